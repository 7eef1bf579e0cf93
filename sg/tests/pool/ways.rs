//! The peer's associations with one gateway, or with two of which one may end: then each message has a number, is kept until a
//! barrier behind it is echoed, and goes again to the other gateway if its association ends before.

use crate::peer::{NETWORK, POOL, ROUTING_CONTEXT};
use crate::world::UDP_PORT;
use m3ua_lite::asp::{AspState, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer};
use m3ua_lite::ipsp::IpspRole;
use m3ua_lite::session::{CorrelationId, GroupKey, Heartbeat, sls_stream};
use m3ua_lite::wire::{Beat, Data, Message, ProtocolData, TrafficMode, one_context};
use sctp::{AssocId, Associations, Connect, Event, Output, SendOptions, Stack, ppid};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Oldest unaccepted message after which the other gateway gets it.
const PATIENCE: Duration = Duration::from_millis(400);

struct Link {
    gateway: IpAddr,
    assoc: Option<AssocId>,
    retry: Instant,
    streams: u16,
    asp: AspPeer,
    /// It was active when it was last looked at.
    told: bool,
    unaccepted: VecDeque<Sent>,
}

/// A message of a circuit.
struct Sent {
    at: Instant,
    number: u64,
    id: CorrelationId,
    user_data: Vec<u8>,
}

pub(crate) struct Ways {
    start: Instant,
    pub(crate) stack: Box<dyn Associations>,
    links: Vec<Link>,
    /// Which link a block of circuits uses.
    home: BTreeMap<u16, usize>,
    /// Last number given, and last one that came, of each block and SLS.
    up: BTreeMap<(u16, u8), CorrelationId>,
    down: BTreeMap<(u16, u8), CorrelationId>,
    barriers: u64,
    waiting: VecDeque<(CorrelationId, Vec<u8>)>,
    pub(crate) received: VecDeque<Vec<u8>>,
    pub(crate) heard: Vec<&'static str>,
    /// Messages that came twice, and were sent twice.
    pub(crate) repeated: u64,
    pub(crate) resent: u64,
}

fn block(user_data: &[u8]) -> u16 {
    u16::from_le_bytes([user_data[0], user_data[1]]) / 32
}

fn label(user_data: &[u8]) -> ProtocolData<'_> {
    ProtocolData { opc: NETWORK, dpc: POOL, si: 5, ni: 2, mp: 0, sls: user_data[0] % 16, user_data }
}

fn settings() -> AspConfig {
    AspConfig {
        asp_id: Some(77),
        routing_contexts: one_context(ROUTING_CONTEXT),
        traffic_mode: Some(TrafficMode::Loadshare),
        t_ack_ms: 500,
    }
}

impl Ways {
    /// An IPSP: it comes to the gateway, or waits for it at its own port.
    pub(crate) fn ipsp(now: Instant, own: IpAddr, gateway: Option<IpAddr>, seed: [u8; 32]) -> Self {
        let mut ways =
            Self::new(now, &[own], &gateway.map(|gateway| vec![gateway]).into_iter().collect::<Vec<_>>(), seed);
        if let Some(link) = ways.links.first_mut() {
            link.asp = AspPeer::new_ipsp(settings(), IpspRole::Leads);
            return ways;
        }
        ways.stack.listen(2905);
        let asp = AspPeer::new_ipsp(settings(), IpspRole::Answers);
        let retry = now + Duration::from_secs(3_600);
        let unaccepted = VecDeque::new();
        ways.links = vec![Link { gateway: own, assoc: None, retry, streams: 0, asp, told: false, unaccepted }];
        ways
    }

    pub(crate) fn new(now: Instant, own: &[IpAddr], gateways: &[Vec<IpAddr>], seed: [u8; 32]) -> Self {
        let mut stack = Stack::new(sctp::Config::default(), own.to_vec(), seed, now);
        let links = gateways.iter().map(|addresses| {
            let peer = addresses.iter().map(|ip| SocketAddr::new(*ip, UDP_PORT)).collect();
            let assoc = stack.connect(now, Connect { peer, peer_port: 2905, local_port: None }).unwrap();
            let asp = AspPeer::new(settings());
            let unaccepted = VecDeque::new();
            Link { gateway: addresses[0], assoc: Some(assoc), retry: now, streams: 0, asp, told: false, unaccepted }
        });
        let links = links.collect();
        Self {
            start: now,
            stack: Box::new(stack),
            links,
            home: BTreeMap::new(),
            up: BTreeMap::new(),
            down: BTreeMap::new(),
            barriers: 0,
            waiting: VecDeque::new(),
            received: VecDeque::new(),
            heard: Vec::new(),
            repeated: 0,
            resent: 0,
        }
    }

    fn ms(&self, now: Instant) -> u64 {
        now.duration_since(self.start).as_millis() as u64
    }

    /// The other end's ASP Identifier, of an IPSP.
    pub(crate) fn peer_id(&self) -> Option<u32> {
        self.links[0].asp.peer_id()
    }

    fn is_active(&self, at: usize) -> bool {
        self.links[at].asp.state() == AspState::Active
    }

    pub(crate) fn active(&self) -> bool {
        (0..self.links.len()).any(|at| self.is_active(at))
    }

    pub(crate) fn settle(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, outbound_streams, .. } => {
                    // One that waits has one link.
                    let (at, ms) = (self.link(assoc).unwrap_or(0), self.ms(now));
                    self.links[at].assoc = Some(assoc);
                    self.links[at].streams = outbound_streams;
                    self.links[at].asp.association_up(ms);
                    self.links[at].asp.want(ms, AspState::Active);
                }
                Event::Message { assoc, stream, payload, .. } => {
                    if let Some(at) = self.link(assoc) {
                        self.message(now, at, stream, &payload);
                    }
                }
                Event::Closed { reason, .. } if self.links.len() == 1 => {
                    panic!("the gateway's association ended: {reason:?}")
                }
                Event::Closed { assoc, .. } => self.lost(now, assoc),
                Event::Path { .. } | _ => {}
            }
        }
        for at in 0..self.links.len() {
            while let Some(request) = self.links[at].asp.poll_transmit() {
                self.send(now, at, request.stream, &request.message);
            }
            let before = self.links[at].told;
            while self.links[at].asp.poll_event().is_some() {}
            self.links[at].told = self.is_active(at);
            if self.links[at].told && !before && self.links.len() > 1 {
                // It understands numbers.
                self.barrier(now, at, 1);
            }
        }
        for _ in 0..self.waiting.len() {
            let Some((id, user_data)) = self.waiting.pop_front() else { break };
            self.give(now, id, user_data);
        }
    }

    fn link(&self, assoc: AssocId) -> Option<usize> {
        self.links.iter().position(|link| link.assoc == Some(assoc))
    }

    fn lost(&mut self, now: Instant, assoc: AssocId) {
        let Some(at) = self.link(assoc) else { return };
        let link = &mut self.links[at];
        (link.assoc, link.retry) = (None, now + Duration::from_millis(100));
        link.asp.association_lost();
        self.home.retain(|_, home| *home != at);
        for sent in std::mem::take(&mut self.links[at].unaccepted).into_iter().rev() {
            self.resent += 1;
            self.waiting.push_front((sent.id, sent.user_data));
        }
    }

    fn message(&mut self, now: Instant, at: usize, stream: u16, payload: &[u8]) {
        let mut replies = Replies::new();
        let ms = self.ms(now);
        match self.links[at].asp.handle(ms, stream, payload, &mut replies) {
            Input::Deliver(Message::Data(data)) => {
                let pd = data.protocol_data;
                assert_eq!((pd.opc, pd.dpc), (POOL, NETWORK));
                assert!(matches!(pd.si, 3 | 5), "ISUP, and SCCP where a test asks for it");
                let key = GroupKey::from_pool(&pd).unwrap();
                if let Some(id) = data.correlation_id.map(CorrelationId) {
                    let last = self.down.entry((key.cic_block, pd.sls)).or_insert(CorrelationId::NONE);
                    if !id.is_after(*last) {
                        self.repeated += 1;
                        return;
                    }
                    *last = id;
                } else {
                    assert_eq!(self.links.len(), 1, "of two gateways each numbers its messages");
                }
                self.received.push_back(pd.user_data.to_vec());
            }
            Input::Deliver(Message::Beat(beat)) if self.links.len() > 1 => {
                self.send(now, at, stream, &Message::BeatAck(beat));
            }
            Input::Deliver(Message::BeatAck(beat)) => {
                let Some(Heartbeat::Barrier(number)) = beat.data.map(Heartbeat::decode) else { return };
                let streams = self.links[at].streams;
                let on = |sent: &Sent| sls_stream(label(&sent.user_data).sls, streams);
                self.links[at].unaccepted.retain(|sent| sent.number > number || on(sent) != stream);
            }
            Input::Deliver(other) => self.heard.push(other.message_type().name()),
            Input::Consumed => {}
            Input::Dropped(cause) => panic!("the gateway sent nonsense: {cause:?}"),
        }
        for reply in &replies {
            self.send(now, at, reply.stream, &reply.message);
        }
    }

    pub(crate) fn data(&mut self, now: Instant, user_data: &[u8]) {
        let start = CorrelationId::start(15, 1);
        let flow = (block(user_data), label(user_data).sls);
        let id = self.up.entry(flow).and_modify(|id| *id = id.next()).or_insert(start.next());
        let id = *id;
        if self.waiting.iter().any(|(_, other)| block(other) == block(user_data)) {
            return self.waiting.push_back((id, user_data.to_vec()));
        }
        self.give(now, id, user_data.to_vec());
    }

    fn give(&mut self, now: Instant, id: CorrelationId, user_data: Vec<u8>) {
        let of = block(&user_data);
        let wanted = *self.home.get(&of).unwrap_or(&(usize::from(of) % self.links.len()));
        let Some(at) = [wanted].into_iter().chain(0..self.links.len()).find(|at| self.is_active(*at)) else {
            return self.waiting.push_back((id, user_data));
        };
        self.home.insert(of, at);
        let two = self.links.len() > 1;
        let message = Message::Data(Data {
            network_appearance: None,
            routing_context: Some(ROUTING_CONTEXT),
            protocol_data: label(&user_data),
            correlation_id: two.then_some(id.0),
        });
        let stream = sls_stream(label(&user_data).sls, self.links[at].streams);
        self.send(now, at, stream, &message);
        if two {
            let number = self.barrier(now, at, stream);
            self.links[at].unaccepted.push_back(Sent { at: now, number, id, user_data });
        }
    }

    fn barrier(&mut self, now: Instant, at: usize, stream: u16) -> u64 {
        self.barriers += 1;
        let mut room = [0; m3ua_lite::session::HEARTBEAT_MAX];
        let data = Some(Heartbeat::Barrier(self.barriers).encode(&mut room));
        self.send(now, at, stream, &Message::Beat(Beat { data }));
        self.barriers
    }

    pub(crate) fn send(&mut self, now: Instant, at: usize, stream: u16, message: &Message<'_>) {
        let Some(assoc) = self.links[at].assoc else { return };
        let mut octets = vec![0; message.encoded_len().unwrap()];
        message.encode(&mut octets).unwrap();
        let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
        self.stack.send(now, assoc, options, octets.into()).unwrap();
    }

    pub(crate) fn unaccepted(&self) -> usize {
        self.links.iter().map(|link| link.unaccepted.len()).sum::<usize>() + self.waiting.len()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        for at in 0..self.links.len() {
            let ms = self.ms(now);
            self.links[at].asp.handle_timeout(ms);
            if self.links[at].assoc.is_none() && self.links[at].retry <= now {
                let peer = vec![SocketAddr::new(self.links[at].gateway, UDP_PORT)];
                self.links[at].assoc =
                    self.stack.connect(now, Connect { peer, peer_port: 2905, local_port: None }).ok();
            }
            let oldest = self.links[at].unaccepted.front().map(|sent| sent.at);
            if let Some(assoc) = self.links[at].assoc.filter(|_| oldest.is_some_and(|at| at + PATIENCE <= now)) {
                self.stack.abort(now, assoc, b"accepts nothing");
            }
        }
        self.settle(now);
    }

    pub(crate) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let links = self.links.iter().flat_map(|link| {
            let asp = link.asp.poll_timeout().map(|ms| self.start + Duration::from_millis(ms));
            let retry = link.assoc.is_none().then_some(link.retry);
            let patience = link.assoc.and(link.unaccepted.front()).map(|sent| sent.at + PATIENCE);
            [asp, retry, patience]
        });
        links.chain([self.stack.poll_timeout()]).flatten().min()
    }
}
