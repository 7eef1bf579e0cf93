//! A scripted peer of the network side: an ASP that starts a call on each circuit, again and again, and notes what it
//! sends and receives.

use crate::world::UDP_PORT;
use m3ua_lite::asp::{AspState, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer};
use m3ua_lite::session::sls_stream;
use m3ua_lite::wire::{Data, Message, ProtocolData, TrafficMode, one_context};
use sctp::{AssocId, Associations, Connect, Event, Output, SendOptions, Stack, ppid};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub(crate) const NETWORK: u32 = 1;
pub(crate) const POOL: u32 = 2;
pub(crate) const ROUTING_CONTEXT: u32 = 100;

/// What a circuit does next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle(Instant),
    /// IAM is sent.
    Calling,
    /// ANM came: REL follows.
    Talking(Instant),
    /// REL is sent.
    Releasing,
}

pub(crate) struct Peer {
    start: Instant,
    stack: Box<dyn Associations>,
    assoc: AssocId,
    streams: u16,
    asp: AspPeer,
    circuits: BTreeMap<u16, Step>,
    pub(crate) active: bool,
    /// No new calls.
    pub(crate) quiet: bool,
    /// Per circuit: when, and what.
    pub(crate) sent: BTreeMap<u16, Vec<(Instant, Vec<u8>)>>,
    pub(crate) received: BTreeMap<u16, Vec<Vec<u8>>>,
    pub(crate) calls: u64,
    /// Names of other messages that came, DUNA and DAVA above all.
    pub(crate) heard: Vec<&'static str>,
}

impl Peer {
    pub(crate) fn new(now: Instant, own: &[IpAddr], gateway: &[IpAddr], seed: [u8; 32], circuits: &[u16]) -> Self {
        let mut stack = Stack::new(sctp::Config::default(), own.to_vec(), seed, now);
        let peer = gateway.iter().map(|ip| SocketAddr::new(*ip, UDP_PORT)).collect();
        let assoc = stack.connect(now, Connect { peer, peer_port: 2905, local_port: None }).unwrap();
        let asp = AspPeer::new(AspConfig {
            asp_id: Some(77),
            routing_contexts: one_context(ROUTING_CONTEXT),
            traffic_mode: Some(TrafficMode::Loadshare),
            t_ack_ms: 500,
        });
        let spread = |cic: u16| now + Duration::from_millis(500 + u64::from(cic) % 97);
        Self {
            start: now,
            stack: Box::new(stack),
            assoc,
            streams: 0,
            asp,
            circuits: circuits.iter().map(|cic| (*cic, Step::Idle(spread(*cic)))).collect(),
            active: false,
            quiet: false,
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            calls: 0,
            heard: Vec::new(),
        }
    }

    fn ms(&self, now: Instant) -> u64 {
        now.duration_since(self.start).as_millis() as u64
    }

    /// Circuits in the middle of a call.
    pub(crate) fn busy(&self) -> usize {
        self.circuits.values().filter(|step| !matches!(step, Step::Idle(_))).count()
    }

    pub(crate) fn messages(&self) -> usize {
        self.sent.values().map(Vec::len).sum()
    }

    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { outbound_streams, .. } => {
                    self.streams = outbound_streams;
                    self.asp.association_up(self.ms(now));
                    self.asp.want(self.ms(now), AspState::Active);
                }
                Event::Message { stream, payload, .. } => self.message(now, stream, &payload),
                Event::Closed { reason, .. } => panic!("the gateway's association ended: {reason:?}"),
                Event::Path { .. } | _ => {}
            }
        }
        while let Some(request) = self.asp.poll_transmit() {
            self.send(now, request.stream, &request.message);
        }
        while self.asp.poll_event().is_some() {}
        self.active = self.asp.state() == AspState::Active;
    }

    fn message(&mut self, now: Instant, stream: u16, payload: &[u8]) {
        let mut replies = Replies::new();
        let input = self.asp.handle(self.ms(now), stream, payload, &mut replies);
        match input {
            Input::Deliver(Message::Data(data)) => {
                let pd = data.protocol_data;
                assert_eq!((pd.opc, pd.dpc, pd.si), (POOL, NETWORK, 5));
                let cic = u16::from_le_bytes([pd.user_data[0], pd.user_data[1]]);
                self.received.entry(cic).or_default().push(pd.user_data.to_vec());
                self.isup(now, cic, pd.user_data);
            }
            Input::Deliver(other) => self.heard.push(other.message_type().name()),
            Input::Consumed => {}
            Input::Dropped(cause) => panic!("the gateway sent nonsense: {cause:?}"),
        }
        for reply in &replies {
            self.send(now, reply.stream, &reply.message);
        }
    }

    fn isup(&mut self, now: Instant, cic: u16, user_data: &[u8]) {
        let Some(step) = self.circuits.get_mut(&cic) else { return };
        match user_data[2] {
            // ANM
            0x09 if *step == Step::Calling => {
                *step = Step::Talking(now + Duration::from_millis(15 + u64::from(cic) % 13))
            }
            // RLC
            0x10 if *step == Step::Releasing => *step = Step::Idle(now + Duration::from_millis(5 + u64::from(cic) % 7)),
            // REL
            0x0c => {
                *step = Step::Idle(now + Duration::from_millis(10));
                self.data(now, cic, &[0x10, 0]);
            }
            _ => {}
        }
    }

    /// Sends ISUP on a circuit.
    pub(crate) fn data(&mut self, now: Instant, cic: u16, body: &[u8]) {
        let mut user_data = cic.to_le_bytes().to_vec();
        user_data.extend_from_slice(body);
        let sls = (cic % 16) as u8;
        let message = Message::Data(Data {
            network_appearance: None,
            routing_context: Some(ROUTING_CONTEXT),
            protocol_data: ProtocolData { opc: NETWORK, dpc: POOL, si: 5, ni: 2, mp: 0, sls, user_data: &user_data },
            correlation_id: None,
        });
        self.send(now, sls_stream(sls, self.streams), &message);
        self.sent.entry(cic).or_default().push((now, user_data));
    }

    pub(crate) fn send(&mut self, now: Instant, stream: u16, message: &Message<'_>) {
        let mut octets = vec![0; message.encoded_len().unwrap()];
        message.encode(&mut octets).unwrap();
        let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
        self.stack.send(now, self.assoc, options, octets.into()).unwrap();
    }

    fn run_circuits(&mut self, now: Instant) {
        let due: Vec<u16> = self.circuits.iter().filter(|(_, s)| self.due(s) <= Some(now)).map(|(c, _)| *c).collect();
        for cic in due {
            match self.circuits[&cic] {
                Step::Idle(at) if at <= now && self.active && !self.quiet => {
                    self.calls += 1;
                    self.data(now, cic, IAM);
                    self.circuits.insert(cic, Step::Calling);
                }
                Step::Talking(at) if at <= now => {
                    self.data(now, cic, &[0x0c, 2, 0, 2, 0x80, 0x90]);
                    self.circuits.insert(cic, Step::Releasing);
                }
                Step::Idle(_) | Step::Calling | Step::Talking(_) | Step::Releasing => {}
            }
        }
    }

    fn due(&self, step: &Step) -> Option<Instant> {
        match step {
            Step::Idle(at) => (!self.quiet && self.active).then_some(*at),
            Step::Talking(at) => Some(*at),
            Step::Calling | Step::Releasing => None,
        }
    }
}

/// Called number 5550100, speech.
const IAM: &[u8] = &[0x01, 0, 0x60, 0x01, 0x0a, 0, 2, 8, 6, 0x83, 0x10, 0x55, 0x05, 0x01, 0x00, 0];

impl sctp::driver::Node for Peer {
    type Command = ();
    fn handle_input(&mut self, now: Instant, input: sctp::Input) {
        self.stack.handle_input(now, input);
        self.settle(now);
    }
    fn handle_command(&mut self, _now: Instant, (): ()) {}
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.asp.handle_timeout(self.ms(now));
        self.settle(now);
        self.run_circuits(now);
    }
    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        let asp = self.asp.poll_timeout().map(|ms| self.start + Duration::from_millis(ms));
        let circuits = self.circuits.values().filter_map(|step| self.due(step)).min();
        [self.stack.poll_timeout(), asp, circuits].into_iter().flatten().min()
    }
    fn finished(&self) -> bool {
        false
    }
}
