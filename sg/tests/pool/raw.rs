//! An ASP that sends whatever bytes it is told and notes what it hears: a peer of the network side or an ordinary ASP that comes to
//! the gateway by itself, or an element of a pool that the gateway comes to.

use crate::world::UDP_PORT;
use asap::wire::{
    ASAP_PORT, Limits, Message as Asap, PeId, Policy, PoolElement, RegistrationLife, SctpTransport, ServerId,
    Transport, TransportUse,
};
use bytes::Bytes;
use m3ua_lite::wire::{Beat, Message};
use sctp::{AssocId, Associations, Connect, Event, Input, Output, SendError, SendOptions, Stack, ppid};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

const M3UA_PORT: u16 = 2905;

/// What it does with BEATs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    Exact,
    /// The answer has no Heartbeat Data.
    WithoutData,
    Never,
}

pub(crate) struct Raw {
    stack: Box<dyn Associations>,
    own: IpAddr,
    /// Of which pool it is an element, and its PE identifier.
    element: Option<(&'static str, u32)>,
    registrar: Option<AssocId>,
    assoc: Option<AssocId>,
    pub(crate) echo: Echo,
    /// M3UA messages but BEAT and BEAT ACK.
    pub(crate) heard: Vec<Bytes>,
    /// BEAT ACKs.
    pub(crate) acknowledged: usize,
    /// Associations for M3UA that ended.
    pub(crate) ended: usize,
}

impl Raw {
    /// Comes to the gateway.
    pub(crate) fn comes(now: Instant, own: IpAddr, gateway: IpAddr, seed: [u8; 32]) -> Self {
        let mut raw = Self::new(now, own, seed);
        raw.assoc = Some(raw.connect(now, gateway, M3UA_PORT));
        raw
    }

    /// Registers in a pool; the gateway comes to it.
    pub(crate) fn waits(
        now: Instant,
        own: IpAddr,
        gateway: IpAddr,
        seed: [u8; 32],
        element: (&'static str, u32),
    ) -> Self {
        let mut raw = Self::new(now, own, seed);
        raw.stack.listen(M3UA_PORT);
        raw.element = Some(element);
        raw.registrar = Some(raw.connect(now, gateway, ASAP_PORT));
        raw
    }

    fn new(now: Instant, own: IpAddr, seed: [u8; 32]) -> Self {
        // It may send what the gateway does not take.
        let longer = sctp::Config { message_bytes_max: 1 << 17, ..sctp::Config::default() };
        Self {
            stack: Box::new(Stack::new(longer, vec![own], seed, now)),
            own,
            element: None,
            registrar: None,
            assoc: None,
            echo: Echo::Exact,
            heard: Vec::new(),
            acknowledged: 0,
            ended: 0,
        }
    }

    fn connect(&mut self, now: Instant, gateway: IpAddr, peer_port: u16) -> AssocId {
        let peer = vec![SocketAddr::new(gateway, UDP_PORT)];
        self.stack.connect(now, Connect { peer, peer_port, local_port: None }).unwrap()
    }

    /// Comes again, after its association ended.
    pub(crate) fn comes_again(&mut self, now: Instant, gateway: IpAddr) {
        self.assoc = Some(self.connect(now, gateway, M3UA_PORT));
    }

    pub(crate) fn send(&mut self, now: Instant, stream: u16, octets: &[u8]) -> Result<(), SendError> {
        let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
        let assoc = self.assoc.expect("an association for M3UA");
        self.stack.send(now, assoc, options, Bytes::copy_from_slice(octets))
    }

    fn register(&mut self, now: Instant) {
        let (Some((pool, pe)), Some(assoc)) = (self.element, self.registrar) else { return };
        let transport = SctpTransport {
            port: M3UA_PORT,
            transport_use: TransportUse::DataAndControl,
            addresses: std::iter::once(self.own).collect(),
        };
        let element = PoolElement {
            id: PeId(pe),
            home: ServerId(0),
            life: RegistrationLife::Infinite,
            user_transport: Transport::Sctp(transport),
            policy: Policy::RoundRobin,
            asap_transport: None,
        };
        self.asap(now, assoc, &Asap::Registration { handle: pool.into(), element });
    }

    fn asap(&mut self, now: Instant, assoc: AssocId, message: &Asap) {
        let options = SendOptions { ppid: ppid::ASAP, ..SendOptions::default() };
        self.stack.send(now, assoc, options, message.encode().unwrap()).unwrap();
    }

    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, .. } if Some(assoc) == self.registrar => self.register(now),
                Event::Up { assoc, .. } => self.assoc = Some(assoc),
                Event::Message { assoc, ppid: ppid::ASAP, payload, .. } => {
                    let message = Asap::decode(&payload, &Limits::default()).unwrap().message;
                    if let Asap::EndpointKeepAlive { handle, pe_id: Some(pe_id), .. } = message {
                        self.asap(now, assoc, &Asap::EndpointKeepAliveAck { handle, pe_id });
                    }
                }
                Event::Message { assoc, stream, payload, .. } => self.m3ua(now, assoc, stream, payload),
                Event::Closed { assoc, .. } if Some(assoc) == self.assoc => {
                    (self.assoc, self.ended) = (None, self.ended + 1);
                }
                _ => {}
            }
        }
    }

    fn m3ua(&mut self, now: Instant, assoc: AssocId, stream: u16, payload: Bytes) {
        match (Message::decode(&payload).expect("the gateway sends no nonsense"), self.echo) {
            (Message::Beat(_), Echo::Never) => {}
            (Message::BeatAck(_), _) => self.acknowledged += 1,
            (Message::Beat(beat), echo) => {
                let data = beat.data.filter(|_| echo == Echo::Exact);
                let answer = Message::BeatAck(Beat { data });
                let mut octets = vec![0; answer.encoded_len().unwrap()];
                answer.encode(&mut octets).unwrap();
                let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
                self.stack.send(now, assoc, options, octets.into()).unwrap();
            }
            _ => self.heard.push(payload),
        }
    }
}

impl sctp::driver::Node for Raw {
    type Command = ();
    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.settle(now);
    }
    fn handle_command(&mut self, _now: Instant, (): ()) {}
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.settle(now);
    }
    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }
    fn finished(&self) -> bool {
        false
    }
}
