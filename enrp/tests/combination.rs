//! A pool element that is a pool user of another pool (requirement I4, RFC 5352 sections 3.3 and 4), and two name servers that know
//! nothing of each other, in virtual time. Connections carry messages in order and without delay, or end.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use asap::pool_element::Registration;
use asap::pool_user::{Selection, Session};
use asap::wire::{
    Limits, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport,
    TransportUse,
};
use asap::{Combination, ConnId, HuntConfig, PeConfig, PeEvent, PuConfig, PuEvent, ServerAddress, Transmit};
use enrp::{ClientId, Output, Server, ServerConfig};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The one under test.
const NODE: PeId = PeId(1);

fn files() -> PoolHandle {
    "files".into()
}

fn disks() -> PoolHandle {
    "disks".into()
}

fn user_transport(host: u8) -> Transport {
    let (port, transport_use) = (2905, TransportUse::DataAndControl);
    Transport::Sctp(SctpTransport { port, transport_use, addresses: [[127, 0, 0, host].into()].into() })
}

struct World {
    now: Instant,
    servers: Vec<Server>,
    /// Those that take and answer nothing.
    silent: Vec<usize>,
    node: Combination,
    /// Which server a connection goes to; all that were ever made.
    conns: BTreeMap<ConnId, usize>,
    /// Encoded messages of the node that a server got, by type.
    sent: Vec<(usize, u8)>,
}

impl World {
    fn new() -> Self {
        let servers = (1..=2).map(|n| ServerAddress::new([127, 0, 0, 100 + n].into())).collect();
        let hunt = HuntConfig { servers, max_parallel: 1, ..HuntConfig::default() };
        let pe = PeConfig { hunt, home_wait_ms: 0, ..PeConfig::default() };
        let servers = (1..=2).map(|n| Server::new(ServerConfig::default(), ServerId(n), n.into())).collect();
        let mut world = Self {
            now: Instant::now(),
            servers,
            silent: Vec::new(),
            node: Combination::new(pe, PuConfig::default(), NODE, 7),
            conns: BTreeMap::new(),
            sent: Vec::new(),
        };
        // Two disks, with both servers.
        for server in 0..2 {
            (11..=12).for_each(|host| world.register_at(server, host, disks()));
        }
        world
    }

    fn source(host: u8) -> [SocketAddr; 1] {
        [SocketAddr::new(IpAddr::from([127, 0, 0, host]), 4_000)]
    }

    /// Another element, as its messages say.
    fn register_at(&mut self, server: usize, host: u8, handle: PoolHandle) {
        let element = PoolElement {
            id: PeId(host.into()),
            home: ServerId(0),
            life: RegistrationLife::Infinite,
            user_transport: user_transport(host),
            policy: Policy::RoundRobin,
            asap_transport: None,
        };
        let bytes = Message::Registration { handle, element }.encode().unwrap();
        self.servers[server].handle_message(self.now, ClientId(host.into()), &Self::source(host), &bytes);
    }

    fn register_node(&mut self) {
        let registration = Registration {
            handle: files(),
            life: RegistrationLife::Infinite,
            user_transport: user_transport(1),
            policy: Policy::RoundRobin,
        };
        self.node.pe.register(self.now, registration).unwrap();
    }

    /// Carries everything until nothing is under way.
    fn settle(&mut self) {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.node.poll_transmit(self.now) {
                idle = false;
                self.transmit(transmit);
            }
            for at in 0..self.servers.len() {
                while let Some(output) = self.servers[at].poll_output() {
                    idle = false;
                    let Output::Asap { client, bytes } = output else { panic!("{output:?}") };
                    if client.0 >= 1_000 {
                        if !self.silent.contains(&at) {
                            self.node.handle_received(self.now, ConnId(client.0 - 1_000), &bytes);
                        }
                        continue;
                    }
                    // The other elements answer what must be answered to stay.
                    let message = Message::decode(&bytes, &Limits::default()).unwrap().message;
                    if let Message::EndpointKeepAlive { handle, .. } = message {
                        let pe_id = PeId(u32::try_from(client.0).unwrap());
                        let ack = Message::EndpointKeepAliveAck { handle, pe_id }.encode().unwrap();
                        self.servers[at].handle_message(self.now, client, &[], &ack);
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Connect { conn, server } => {
                let IpAddr::V4(address) = server.addresses[0] else { panic!("v4") };
                self.conns.insert(conn, usize::from(address.octets()[3] - 101));
                self.node.handle_connected(self.now, conn);
            }
            Transmit::Send { conn, bytes } => {
                let at = self.conns[&conn];
                self.sent.push((at, bytes[0]));
                if !self.silent.contains(&at) {
                    self.servers[at].handle_message(self.now, ClientId(1_000 + conn.0), &Self::source(1), &bytes);
                }
            }
            Transmit::Close { conn } => {
                let at = self.conns[&conn];
                self.servers[at].client_lost(self.now, ClientId(1_000 + conn.0), true);
            }
        }
    }

    fn run(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        loop {
            self.settle();
            let timers = self.servers.iter().map(Server::poll_timeout).chain([self.node.poll_timeout()]);
            let Some(next) = timers.flatten().min().filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            self.servers.iter_mut().for_each(|server| server.handle_timeout(self.now));
            self.node.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// The server of the node dies.
    fn kill(&mut self, server: usize) {
        let conn = self.node.pe.home().unwrap();
        assert_eq!(self.conns[&conn], server);
        self.silent.push(server);
        self.node.handle_closed(self.now, conn);
        self.settle();
    }

    fn events(&mut self) -> (Vec<PeEvent>, Vec<PuEvent>) {
        let pe = std::iter::from_fn(|| self.node.pe.poll_event()).collect();
        (pe, std::iter::from_fn(|| self.node.pu.poll_event()).collect())
    }

    fn disk(&mut self) -> Option<u32> {
        match self.node.pu.select(self.now, &disks(), |_| true) {
            Selection::Element { pe, .. } => Some(pe.0),
            Selection::NoneUsable | Selection::Resolving | Selection::TooManyPools => None,
        }
    }
}

#[test]
fn an_element_of_one_pool_uses_another_over_one_association() {
    let mut world = World::new();
    world.register_node();
    assert_eq!(world.disk(), None);
    world.settle();
    assert!(world.node.pe.is_registered(&files()));
    assert_eq!([world.disk(), world.disk(), world.disk()], [Some(11), Some(12), Some(11)]);
    assert_eq!(world.conns.len(), 1, "one association for both roles (RFC 5352 3.3 NR3)");
    let (pe, pu) = world.events();
    assert!(matches!(pe[..], [PeEvent::HomeServer { .. }, PeEvent::Registered { .. }]));
    assert!(matches!(pu[..], [PuEvent::ServerFound { .. }, PuEvent::Resolved { .. }]));
    // It is told of changes, answers keep-alives, and reports as any user (a PE over SCTP, RFC 5352 3.5).
    world.register_at(0, 13, disks());
    world.run(3_000);
    assert_eq!(world.node.pu.pool(&disks()).unwrap().elements().len(), 3);
    assert!(world.servers[0].counters().keep_alive_acks > 0 && world.node.pe.counters().keep_alives > 0);
    assert!(world.node.pu.report_unreachable(world.now, &disks(), PeId(13)));
    world.settle();
    assert_eq!(world.servers[0].counters().reports, 1);
    assert_eq!(world.servers[0].counters().keep_alive_misses + world.servers[0].counters().unexpected, 0);
    // It leaves its pool, and goes on using the other.
    world.node.pe.deregister(world.now, &files()).unwrap();
    world.settle();
    assert!(world.servers[0].handlespace().pool(&files()).is_none() && world.disk().is_some());
}

#[test]
fn the_next_home_server_serves_both_roles() {
    let mut world = World::new();
    world.register_node();
    world.disk();
    world.settle();
    world.events();
    world.kill(0);
    assert!(world.node.pe.is_registered(&files()) && world.servers[1].handlespace().pool(&files()).is_some());
    assert_eq!((world.conns.len(), world.conns[&world.node.pu.home().unwrap()]), (2, 1));
    let (pe, pu) = world.events();
    assert!(matches!(pe[..], [PeEvent::ServerLost, PeEvent::HomeServer { .. }, PeEvent::Registered { .. }]), "{pe:?}");
    assert!(matches!(pu[..], [PuEvent::ServerLost, PuEvent::ServerFound { .. }, PuEvent::Resolved { .. }]), "{pu:?}");
}

/// T1 of the user's request runs out at a server that does not answer: both roles go to the next one.
#[test]
fn a_server_that_does_not_answer_the_user_is_left_by_both() {
    let mut world = World::new();
    world.register_node();
    world.settle();
    world.silent.push(0);
    world.disk();
    world.run(1_500);
    assert_eq!(world.conns[&world.node.pe.home().unwrap()], 1);
    assert!(world.node.pe.is_registered(&files()) && world.disk().is_some());
    assert_eq!(world.node.pu.counters().t1_expired, 2);
}

#[test]
fn a_user_without_a_registration_finds_a_server_too() {
    let mut world = World::new();
    world.disk();
    world.settle();
    assert_eq!((world.disk(), world.conns.len()), (Some(11), 1));
    world.kill(0);
    world.run(2_000);
    assert_eq!((world.disk(), world.conns[&world.node.pe.home().unwrap()]), (Some(12), 1));
}

#[test]
fn a_business_card_names_the_pool_and_gives_an_order_of_the_others() {
    let mut world = World::new();
    assert_eq!(world.node.business_card(&files()), None, "not registered");
    world.register_node();
    world.settle();
    let card = |world: &World| {
        let bytes = world.node.business_card(&files()).unwrap();
        let Message::BusinessCard { handle, elements } = Message::decode(&bytes, &Limits::default()).unwrap().message
        else {
            panic!("a business card")
        };
        assert_eq!(handle, files());
        elements
    };
    // It knows nobody else: at least one element must be there (RFC 5352 2.2.13).
    assert_eq!(card(&world).iter().map(|element| element.id).collect::<Vec<_>>(), [NODE]);
    (21..=40).for_each(|host| world.register_at(0, host, files()));
    world.node.pu.resolve(world.now, &files());
    world.run(100);
    let order: Vec<u32> = card(&world).iter().map(|element| element.id.0).collect();
    assert_eq!(order.len(), 16);
    assert!(!order.contains(&NODE.0));
    assert_eq!(card(&world).iter().map(|element| element.id.0).collect::<Vec<_>>(), order, "asking changes nothing");
    // A user of this pool that got it fails over in this order, and takes its cookie along.
    let elements = card(&world);
    let mut session = Session { pe: Some(NODE), ..Session::default() };
    session.keep_cookie(bytes::Bytes::from_static(b"state"));
    world.node.pu.business_card(world.now, &mut session, &files(), &elements);
    let dead = [NODE.0, order[0]];
    let selected =
        world.node.pu.select_sticky(world.now, &files(), &mut session, |element| !dead.contains(&element.id.0));
    let Selection::Element { pe, changed: true, cookie_echo: Some(echo) } = selected else { panic!("{selected:?}") };
    assert_eq!(pe, PeId(order[1]));
    let cookie = bytes::Bytes::from_static(b"state");
    assert_eq!(Message::decode(&echo, &Limits::default()).unwrap().message, Message::CookieEcho { cookie });
}
