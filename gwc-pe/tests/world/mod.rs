//! Three nodes on a virtual network: name server, controller, scripted gateway. Half a millisecond from one to another.

use asap::ServerAddress;
use asap::wire::{Message as Asap, ServerId};
use bytes::Bytes;
use enrp::daemon::DaemonCommand;
use enrp::daemon::RecordSink;
use enrp::{Host, Ports, Server, ServerConfig};
use gwc_pe::config::Config;
use gwc_pe::node::Node;
use m3ua_lite::session::{CorrelationId, GroupKey, HEARTBEAT_MAX, Heartbeat, stream_for};
use m3ua_lite::wire::{Beat, Data, Message, ProtocolData};
use sctp::driver::Node as _;
use sctp::{
    AssocId, BackendKind, ClockAnchor, CloseReason, Connect, Datagram, Event, Output, SendOptions, Stack, Transmit,
    ppid,
};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const SERVER: [u8; 4] = [127, 0, 0, 1];
const CONTROLLER: [u8; 4] = [127, 0, 0, 2];
const GATEWAY: [u8; 4] = [127, 0, 0, 3];
const STREAMS: u16 = 17;
const LATENCY: Duration = Duration::from_micros(500);

/// A message that the gateway received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) stream: u16,
    pub(crate) ppid: u32,
    pub(crate) payload: Bytes,
}

impl Received {
    /// Name of the message.
    pub(crate) fn kind(&self) -> &'static str {
        match self.ppid {
            ppid::ASAP => "COOKIE",
            _ => Message::decode(&self.payload).unwrap().message_type().name(),
        }
    }

    fn cookie(&self) -> Option<Bytes> {
        if self.ppid != ppid::ASAP {
            return None;
        }
        match Asap::decode(&self.payload, &Default::default()).unwrap().message {
            Asap::Cookie { cookie } => Some(cookie),
            other => panic!("{other:?} from a pool element"),
        }
    }
}

/// A gateway that does what it must and remembers what it gets.
pub(crate) struct Gateway {
    pub(crate) stack: Stack,
    pub(crate) assoc: Option<AssocId>,
    pub(crate) active: bool,
    pub(crate) asp_id: Option<u32>,
    /// Answers nothing any more, as a gateway that gave the controller up.
    pub(crate) mute: bool,
    /// All but BEAT.
    pub(crate) received: Vec<Received>,
    pub(crate) closed: Option<CloseReason>,
    next_id: HashMap<u16, CorrelationId>,
}

impl Gateway {
    fn new(now: Instant) -> Self {
        Self {
            stack: Stack::new(sctp::Config::default(), vec![GATEWAY.into()], [3; 32], now),
            assoc: None,
            active: false,
            asp_id: None,
            mute: false,
            received: Vec::new(),
            closed: None,
            next_id: HashMap::new(),
        }
    }

    fn send(&mut self, now: Instant, stream: u16, unordered: bool, ppid: u32, payload: Bytes) {
        let options = SendOptions { stream, ppid, unordered, context: 0 };
        // After an abort there is nobody to send to; what that does is for the test to see.
        let _ = self.stack.send(now, self.assoc.unwrap(), options, payload);
    }

    fn pump(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Message { stream, ppid, unordered, payload, assoc } if Some(assoc) == self.assoc => {
                    self.message(now, stream, ppid, unordered, payload);
                }
                Event::Closed { assoc, reason, .. } if Some(assoc) == self.assoc => {
                    self.active = false;
                    self.closed = Some(reason);
                }
                _ => {}
            }
        }
    }

    fn message(&mut self, now: Instant, stream: u16, ppid: u32, unordered: bool, payload: Bytes) {
        if self.mute {
            return;
        }
        let answer = match ppid {
            ppid::M3UA => match Message::decode(&payload).unwrap() {
                Message::AspUp(up) => {
                    self.asp_id = up.asp_id;
                    Some(Message::AspUpAck(up))
                }
                Message::AspActive(active) => {
                    self.active = true;
                    Some(Message::AspActiveAck(active))
                }
                Message::AspInactive(inactive) => Some(Message::AspInactiveAck(inactive)),
                Message::AspDown(down) => Some(Message::AspDownAck(down)),
                Message::Beat(beat) => Some(Message::BeatAck(beat)),
                _ => None,
            },
            _ => None,
        };
        if let Some(answer) = &answer {
            let octets = encode(answer);
            self.send(now, stream, unordered, ppid::M3UA, octets);
        }
        if !matches!(answer, Some(Message::BeatAck(_))) {
            self.received.push(Received { stream, ppid, payload });
        }
    }

    pub(crate) fn last_cookie(&self) -> Option<Bytes> {
        self.received.iter().rev().find_map(Received::cookie)
    }

    /// DATA on streams behind whose last cookie it came.
    pub(crate) fn uncommitted(&self) -> usize {
        let mut open: HashMap<u16, usize> = HashMap::new();
        for received in &self.received {
            match received.kind() {
                "DATA" => *open.entry(received.stream).or_default() += 1,
                "COOKIE" => drop(open.insert(received.stream, 0)),
                _ => {}
            }
        }
        open.values().sum()
    }
}

/// The three nodes.
pub(crate) struct World {
    pub(crate) controller: Node,
    pub(crate) gateway: Gateway,
    /// Nothing gets to the name server or from it.
    pub(crate) cut_name_server: bool,
    server: enrp::node::Node,
    now: Instant,
    /// In order of arrival: all paths are equally long.
    wire: VecDeque<(Instant, Transmit)>,
    loss: f64,
    random: u64,
}

impl World {
    /// Nodes that were just started; `loss` is the share of datagrams that never arrive.
    pub(crate) fn new(seed: u64, loss: f64, change: impl FnOnce(&mut Config)) -> Self {
        let now = Instant::now();
        let clock = ClockAnchor { instant: now, monotonic_ns: 1_000_000_000 };
        let mut config = Config::default();
        config.asap.hunt.servers = vec![ServerAddress::new(SERVER.into())];
        config.node.pe_id = Some(0xab);
        config.call.t7_ms = 60_000;
        change(&mut config);
        let listener = Stack::new(sctp::Config::default(), vec![SERVER.into()], [1; 32], now);
        let server = Server::new(ServerConfig::default(), ServerId(1), 1);
        let server = enrp::node::Node::new("enrp", Box::new(listener), Host::new(server, Ports::default(), 9899));
        let memory = RecordSink::Memory(Vec::new());
        let controller = Node::new(config, [2; 32], clock, now, vec![CONTROLLER.into()], BackendKind::Udp, memory);
        let (gateway, wire) = (Gateway::new(now), VecDeque::new());
        Self { controller, gateway, cut_name_server: false, server, now, wire, loss, random: seed.max(1) }
    }

    /// With a gateway for which the controller is ASP-ACTIVE.
    pub(crate) fn active(seed: u64, loss: f64, change: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::new(seed, loss, change);
        world.run_ms(200);
        world.connect();
        world.run_ms(if loss > 0.0 { 3_000 } else { 100 });
        assert!(world.gateway.active);
        world.gateway.received.clear();
        world
    }

    pub(crate) fn connect(&mut self) {
        let peer = vec![SocketAddr::new(CONTROLLER.into(), 9899)];
        let connect = Connect { peer, peer_port: 2905, local_port: None };
        self.gateway.assoc = Some(self.gateway.stack.connect(self.now, connect).unwrap());
        self.gateway.closed = None;
        self.gateway.active = false;
    }

    /// xorshift: enough for losing datagrams.
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn drain(&mut self) {
        self.controller.flush(self.now).unwrap();
        self.server.flush(self.now).unwrap();
        self.gateway.pump(self.now);
        let mut out = Vec::new();
        out.extend(std::iter::from_fn(|| self.controller.poll_output(self.now).and_then(Output::packet)));
        out.extend(std::iter::from_fn(|| self.server.poll_output(self.now).and_then(Output::packet)));
        out.extend(std::iter::from_fn(|| self.gateway.stack.poll_transmit(self.now)));
        for transmit in out {
            let server = IpAddr::from(SERVER);
            let cut = self.cut_name_server && (transmit.from == server || transmit.to.ip() == server);
            let lost = (self.draw() >> 11) as f64 / (1_u64 << 53) as f64 <= self.loss && self.loss > 0.0;
            if !cut && !lost {
                self.wire.push_back((self.now + LATENCY, transmit));
            }
        }
    }

    fn deliver(&mut self, transmit: Transmit) {
        let to = transmit.to.ip();
        let datagram = Datagram { from: SocketAddr::new(transmit.from, 9899), to, payload: transmit.payload };
        if to == IpAddr::from(CONTROLLER) {
            self.controller.handle_input(self.now, datagram.into());
        } else if to == IpAddr::from(SERVER) {
            self.server.handle_input(self.now, datagram.into());
        } else {
            self.gateway.stack.handle_datagram(self.now, datagram);
        }
    }

    /// Lets time pass.
    pub(crate) fn run_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        self.drain();
        for _ in 0..1_000_000 {
            let timers =
                [self.controller.poll_timeout(), self.server.poll_timeout(), self.gateway.stack.poll_timeout()];
            let arrival = self.wire.front().map(|(at, _)| *at);
            let Some(at) = timers.into_iter().flatten().chain(arrival).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            while let Some((_, transmit)) = self.wire.pop_front_if(|(at, _)| *at <= self.now) {
                self.deliver(transmit);
            }
            if self.controller.poll_timeout().is_some_and(|at| at <= self.now) {
                self.controller.handle_timeout(self.now);
            }
            if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
                self.server.handle_timeout(self.now);
            }
            if self.gateway.stack.poll_timeout().is_some_and(|at| at <= self.now) {
                self.gateway.stack.handle_timeout(self.now);
            }
            self.drain();
        }
        panic!("the world does not come to rest");
    }

    /// DATA from network 1 to pool 2, with the group's next Correlation Id.
    pub(crate) fn gateway_sends(&mut self, user_data: &[u8]) {
        let protocol_data = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 3, user_data };
        let group = GroupKey::from_network(&protocol_data).unwrap();
        let id = self.gateway.next_id.entry(group.cic_block).or_insert(CorrelationId::start(1, 1));
        *id = id.next();
        let correlation_id = Some(id.0);
        let data = Data { network_appearance: None, routing_context: Some(1), protocol_data, correlation_id };
        let octets = encode(&Message::Data(data));
        self.gateway.send(self.now, stream_for(&group, STREAMS), false, ppid::M3UA, octets);
    }

    pub(crate) fn gateway_sends_barrier(&mut self, id: u64) {
        let mut room = [0; HEARTBEAT_MAX];
        let octets = encode(&Message::Beat(Beat { data: Some(Heartbeat::Barrier(id).encode(&mut room)) }));
        self.gateway.send(self.now, group_stream(), false, ppid::M3UA, octets);
    }

    pub(crate) fn gateway_sends_asap(&mut self, message: &Asap) {
        self.gateway.send(self.now, group_stream(), false, ppid::ASAP, message.encode().unwrap());
    }

    pub(crate) fn gateway_sends_raw(&mut self, ppid: u32, octets: Vec<u8>) {
        let stream = (self.draw() % u64::from(STREAMS)) as u16;
        self.gateway.send(self.now, stream, false, ppid, octets.into());
    }

    pub(crate) fn controller_gets_garbage(&mut self, round: u32) {
        let payload: Vec<u8> = (0..round % 90).map(|_| self.draw() as u8).collect();
        let from = SocketAddr::new(GATEWAY.into(), 9899);
        let datagram = Datagram { from, to: CONTROLLER.into(), payload: payload.into() };
        self.controller.handle_input(self.now, datagram.into());
    }

    pub(crate) fn stop(&mut self) {
        self.controller.handle_command(self.now, DaemonCommand::Stop.into());
    }

    pub(crate) fn finished(&self) -> bool {
        self.controller.finished()
    }

    /// PE identifiers in the name server's pool.
    pub(crate) fn registered(&self) -> Vec<u32> {
        let handlespace = self.server.server().handlespace();
        handlespace.members(&"GatewayPool".into()).map(|element| element.id().0).collect()
    }

    /// Stream and user data of the DATA that the gateway received.
    pub(crate) fn outputs(&self) -> Vec<(u16, Vec<u8>)> {
        let data = self.gateway.received.iter().filter_map(|received| {
            let Ok(Message::Data(data)) = Message::decode(&received.payload) else { return None };
            Some((received.stream, data.protocol_data.user_data.to_vec()))
        });
        data.collect()
    }

    pub(crate) fn output_types(&self) -> Vec<u8> {
        self.outputs().iter().map(|(_, user_data)| message_type(user_data)).collect()
    }

    /// The record's lines of one kind.
    pub(crate) fn record(&self, kind: &str) -> Vec<String> {
        let text = std::str::from_utf8(self.controller.record().memory()).unwrap();
        text.lines().filter(|line| line.starts_with(&format!("{kind},"))).map(str::to_owned).collect()
    }

    /// The controller's life so far.
    pub(crate) fn life(&self) -> Vec<String> {
        self.record("L").iter().map(|line| line.rsplit(',').next().unwrap().to_owned()).collect()
    }
}

/// The stream of circuit 37's group.
pub(crate) fn group_stream() -> u16 {
    stream_for(&GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: 1 }, STREAMS)
}

fn encode(message: &Message) -> Bytes {
    let mut octets = vec![0; message.encoded_len().unwrap()];
    message.encode(&mut octets).unwrap();
    octets.into()
}

/// ISUP message type of user data.
pub(crate) fn message_type(user_data: &[u8]) -> u8 {
    user_data[2]
}

pub(crate) fn iam(cic: u16) -> Vec<u8> {
    let called = itu_isup::Number::called(3, 1, false, "5551234");
    itu_isup::Message::iam(cic, 0, 0x2001, 10, 0, &called).unwrap().encode().unwrap()
}

pub(crate) fn rel(cic: u16) -> Vec<u8> {
    itu_isup::Message::release(cic, &itu_isup::CauseIndicators::new(0, 16)).encode().unwrap()
}
