//! A peer of the network, a gateway and a controller in one thread, with nothing between them: what one message costs in all three.

use bytes::Bytes;
use enrp::daemon::RecordSink;
use m3ua_lite::asp::{AspState, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer};
use m3ua_lite::session::sls_stream;
use m3ua_lite::wire::{Data, Message, ProtocolData, TrafficMode, one_context};
use sctp::driver::Node as _;
use sctp::{AssocId, BackendKind, ClockAnchor, Connect, Datagram, Event, Output, SendOptions, Stack, Transmit, ppid};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const NETWORK_PC: u32 = 1;
const POOL_PC: u32 = 2;
const ROUTING_CONTEXT: u32 = 100;
const UDP_PORT: u16 = 9899;
/// SCCP: the controller applies it as plain MTP3 payload.
const SCCP: u8 = 3;
/// Time that passes in a step of all three.
const STEP: Duration = Duration::from_micros(50);
/// Steps until everything is connected, at most.
const STEPS_MAX: usize = 100_000;

const fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}
const NETWORK: IpAddr = ip(1);
const GATEWAY: IpAddr = ip(2);
const CONTROLLER: IpAddr = ip(3);

/// See the module.
pub struct Relay {
    now: Instant,
    start: Instant,
    network: Stack,
    assoc: AssocId,
    streams: u16,
    asp: AspPeer,
    gateway: sg::Node,
    controller: gwc_pe::node::Node,
    sent: u64,
}

impl Relay {
    /// Connects all three.
    ///
    /// # Panics
    /// They do not find each other.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        let clock = ClockAnchor { instant: now, monotonic_ns: 1 };
        let mut network = Stack::new(sctp::Config::default(), vec![NETWORK], [1; 32], now);
        let to = Connect { peer: vec![SocketAddr::new(GATEWAY, UDP_PORT)], peer_port: 2905, local_port: None };
        let assoc = network.connect(now, to).expect("a first association");
        let asp = AspPeer::new(AspConfig {
            asp_id: Some(1),
            routing_contexts: one_context(ROUTING_CONTEXT),
            traffic_mode: Some(TrafficMode::Loadshare),
            t_ack_ms: 500,
        });
        let birth = sg::Birth { now, clock, seed: [2; 32], backend: BackendKind::Udp, record: RecordSink::Off };
        let gateway = sg::Node::new(gateway_config(), birth);
        let controller = gwc_pe::node::Node::new(
            controller_config(),
            [3; 32],
            clock,
            now,
            vec![CONTROLLER],
            BackendKind::Udp,
            RecordSink::Off,
        );
        let mut relay = Self { now, start: now, network, assoc, streams: 0, asp, gateway, controller, sent: 0 };
        for _ in 0..STEPS_MAX {
            if relay.asp.state() == AspState::Active && relay.gateway.active_controllers() == 1 {
                return relay;
            }
            relay.step();
        }
        panic!("gateway, controller and network did not connect");
    }

    /// Sends `count` messages of `octets` octets over 16 groups, and returns when the controller has applied them.
    ///
    /// # Panics
    /// They do not arrive.
    pub fn transfer(&mut self, count: u64, octets: usize) {
        let user_data = vec![0x5a; octets];
        let goal = self.controller.session_counters().applied + count;
        for _ in 0..count {
            let sls = (self.sent % 16) as u8;
            self.sent += 1;
            let data = Data {
                network_appearance: None,
                routing_context: Some(ROUTING_CONTEXT),
                protocol_data: ProtocolData {
                    opc: NETWORK_PC,
                    dpc: POOL_PC,
                    si: SCCP,
                    ni: 2,
                    mp: 0,
                    sls,
                    user_data: &user_data,
                },
                correlation_id: None,
            };
            self.send(sls_stream(sls, self.streams), &Message::Data(data));
        }
        for _ in 0..STEPS_MAX {
            if self.controller.session_counters().applied >= goal {
                return;
            }
            self.step();
        }
        panic!("{} of {goal} messages were applied", self.controller.session_counters().applied);
    }

    fn send(&mut self, stream: u16, message: &Message<'_>) {
        let mut buffer = [0; 1_024];
        let length = message.encode(&mut buffer).expect("short messages");
        let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
        let payload = Bytes::copy_from_slice(&buffer[..length]);
        self.network.send(self.now, self.assoc, options, payload).expect("the queue holds a round");
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        self.network.handle_timeout(now);
        self.gateway.handle_timeout(now);
        self.controller.handle_timeout(now);
        self.network_events();
        while let Some(transmit) = self.network.poll_transmit(now) {
            self.deliver(NETWORK, transmit);
        }
        // Records are off: this is what the driver does before it sends.
        self.gateway.flush(now).expect("no file");
        while let Some(transmit) = self.gateway.poll_output(now).and_then(Output::packet) {
            self.deliver(GATEWAY, transmit);
        }
        self.controller.flush(now).expect("no file");
        while let Some(transmit) = self.controller.poll_output(now).and_then(Output::packet) {
            self.deliver(CONTROLLER, transmit);
        }
    }

    fn deliver(&mut self, from: IpAddr, Transmit { to, payload, .. }: Transmit) {
        let datagram = Datagram { from: SocketAddr::new(from, UDP_PORT), to: to.ip(), payload };
        if to.ip() == NETWORK {
            self.network.handle_datagram(self.now, datagram);
        } else if to.ip() == GATEWAY {
            self.gateway.handle_input(self.now, datagram.into());
        } else {
            assert_eq!(to.ip(), CONTROLLER, "nobody else is there");
            self.controller.handle_input(self.now, datagram.into());
        }
    }

    fn network_events(&mut self) {
        let ms = self.now.duration_since(self.start).as_millis() as u64;
        while let Some(event) = self.network.poll_event() {
            match event {
                Event::Up { outbound_streams, .. } => {
                    self.streams = outbound_streams;
                    self.asp.association_up(ms);
                    self.asp.want(ms, AspState::Active);
                }
                Event::Message { stream, payload, .. } => {
                    let mut replies = Replies::new();
                    self.asp.handle(ms, stream, &payload, &mut replies);
                    for reply in &replies {
                        self.send(reply.stream, &reply.message);
                    }
                }
                Event::Closed { reason, .. } => panic!("the gateway's association ended: {reason:?}"),
                Event::Path { .. } | _ => {}
            }
        }
        while let Some(request) = self.asp.poll_transmit() {
            self.send(request.stream, &request.message);
        }
        while self.asp.poll_event().is_some() {}
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self::new()
    }
}

fn gateway_config() -> sg::Config {
    let mut config = sg::Config::default();
    config.udp.addresses = vec![GATEWAY];
    config.application_servers[0].dpc = vec![POOL_PC];
    config.application_servers[0].si = vec![SCCP];
    config.network.point_codes = vec![NETWORK_PC];
    config.network.routing_context = ROUTING_CONTEXT;
    config
}

fn controller_config() -> gwc_pe::config::Config {
    let mut config = gwc_pe::config::Config::default();
    config.node.pe_id = Some(7);
    config.udp.addresses = vec![CONTROLLER];
    config.asap.hunt.servers = vec![asap::ServerAddress::new(GATEWAY)];
    config
}
