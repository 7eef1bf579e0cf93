//! The host with a stack whose packets nobody carries: who is whose.

use super::*;
use crate::server::ServerConfig;
use crate::wire::{Body, Presence};
use crate::{PeerAddressConfig, PeersConfig};
use asap::wire::{Message, PoolHandle, ServerId};
use sctp::Stack;
use std::net::IpAddr;
use std::time::Duration;

const OWN: [u8; 4] = [127, 0, 0, 9];

fn host() -> (Host, Stack, Instant) {
    let now = Instant::now();
    let stack = Stack::new(sctp::Config::default(), vec![IpAddr::from(OWN)], [1; 32], now);
    let server = Server::new(ServerConfig::default(), ServerId(9), 9);
    (Host::new(server, Ports { asap: 3863, enrp: Some(ENRP_PORT) }, 9899), stack, now)
}

#[test]
fn both_ports_are_its_own() {
    let (host, ..) = host();
    assert!(host.listens_at(3863) && host.listens_at(9901) && !host.listens_at(2905));
    let alone = Host::new(Server::new(ServerConfig::default(), ServerId(1), 1), Ports::default(), 9899);
    assert!(!alone.listens_at(9901));
}

#[test]
fn an_embedded_users_answer_stays_inside() {
    let (mut host, mut stack, now) = host();
    let question = Message::HandleResolution {
        subscribe: false,
        handle: PoolHandle::from("none"),
        items: None,
        hint: None,
        reports: Vec::new(),
    };
    host.server_mut().handle_message(now, ClientId::LOCAL, &[], &question.encode().unwrap());
    assert!(host.carry_out(now, &mut stack));
    assert!(host.poll_message().is_some());
    assert!(!host.carry_out(now, &mut stack));
}

#[test]
fn strange_messages_and_associations_are_counted_or_left_to_others() {
    let (_, mut stack, now) = host();
    let server = Server::new(ServerConfig::default(), ServerId(9), 9);
    let server = server.with_peers_at(PeersConfig::default(), enrp_transport(vec![OWN.into()], ENRP_PORT));
    let mut host = Host::new(server, Ports { asap: 3863, enrp: Some(ENRP_PORT) }, 9899);
    let assoc = AssocId(7);
    assert!(!host.closed(now, assoc, &CloseReason::Silent), "not the server's");
    host.up(now, &mut stack, assoc, 3863, &["127.0.0.1:9899".parse().unwrap()], 5000);
    host.message(now, assoc, ppid::M3UA, b"?");
    assert_eq!((host.counters().wrong_ppid, host.association_count()), (1, 1));
    // Who may only reach the ASAP port is no peer, and the other way round.
    let body = Body::Presence(Presence { reply: false, checksum: 0, extensions: None, probe: false, server: None });
    let presence = crate::wire::Message { sender: ServerId(5), receiver: ServerId(0), body }.encode().unwrap();
    host.message(now, assoc, ppid::ENRP, &presence);
    assert_eq!((host.counters().wrong_ppid, host.server().peers_snapshot().len()), (2, 0));
    let peer = AssocId(8);
    host.up(now, &mut stack, peer, 9901, &["127.0.0.2:9899".parse().unwrap()], 9901);
    host.message(now, peer, ppid::ASAP, b"?");
    assert_eq!(host.counters().wrong_ppid, 3);
    host.message(now, peer, ppid::ENRP, &presence);
    assert_eq!((host.counters().wrong_ppid, host.server().peers_snapshot().len()), (3, 1));
    assert!(host.has(assoc) && host.closed(now, assoc, &CloseReason::Shutdown) && !host.has(assoc));
}

/// Keeps what it takes, up to so many messages.
#[derive(Debug, Clone)]
struct Kept(std::sync::Arc<std::sync::Mutex<Vec<Bytes>>>, usize);

impl Sink for Kept {
    fn send(&mut self, bytes: Bytes) -> bool {
        let mut taken = self.0.lock().unwrap();
        let room = taken.len() < self.1;
        if room {
            taken.push(bytes);
        }
        room
    }
}

fn kept(most: usize) -> (Kept, impl Fn() -> Vec<Message>) {
    let taken = Kept(std::sync::Arc::default(), most);
    let limits = asap::wire::Limits::default();
    let kept = taken.clone();
    (taken, move || {
        kept.0.lock().unwrap().drain(..).map(|bytes| Message::decode(&bytes, &limits).unwrap().message).collect()
    })
}

#[test]
fn a_pool_user_over_tcp_is_answered_and_a_pool_element_refused() {
    let (mut host, mut stack, now) = host();
    let client = ClientId(ClientId::OUTSIDE.0 + 1);
    let (sink, taken) = kept(64);
    let source = "127.0.0.1:40000".parse().unwrap();
    host.outside(now, OutsideInput::Connected { client, source, sink: Box::new(sink) });
    let transport_use = TransportUse::DataOnly;
    let transport = SctpTransport { port: 5000, transport_use, addresses: [[127, 0, 0, 1].into()].into() };
    let element = asap::wire::PoolElement {
        id: asap::wire::PeId(1),
        home: ServerId(0),
        life: asap::wire::RegistrationLife::Infinite,
        user_transport: asap::wire::Transport::Sctp(transport),
        policy: asap::wire::Policy::RoundRobin,
        asap_transport: None,
    };
    let registration = Message::Registration { handle: PoolHandle::from("p"), element };
    for message in [registration, Message::resolution(false, PoolHandle::from("p"), None)] {
        host.outside(now, OutsideInput::Message { client, bytes: message.encode().unwrap() });
        host.carry_out(now, &mut stack);
    }
    let answers = taken();
    assert!(matches!(answers[0], Message::RegistrationResponse { reject: true, .. }), "{answers:?}");
    let Message::HandleResolutionResponse { error: Some(error), .. } = &answers[1] else { panic!("{answers:?}") };
    assert!(format!("{error:?}").contains("UnknownPoolHandle"), "{error:?}");
    assert_eq!(host.tcp_count(), 1);
    host.outside(now, OutsideInput::Ended { client, end: TcpEnd::Malformed });
    assert_eq!((host.tcp_count(), host.counters().tcp_malformed), (0, 1));
}

#[test]
fn a_user_that_does_not_read_is_let_go_and_costs_no_memory() {
    let (mut host, mut stack, now) = host();
    let client = ClientId(ClientId::OUTSIDE.0 + 1);
    let (sink, taken) = kept(2);
    let source = "127.0.0.1:40000".parse().unwrap();
    host.outside(now, OutsideInput::Connected { client, source, sink: Box::new(sink) });
    let bytes = Message::resolution(false, PoolHandle::from("p"), None).encode().unwrap();
    for _ in 0..5 {
        host.outside(now, OutsideInput::Message { client, bytes: bytes.clone() });
        host.carry_out(now, &mut stack);
    }
    assert_eq!((taken().len(), host.tcp_count(), host.counters().slow_clients), (2, 0, 1));
}

#[test]
fn datagrams_go_to_the_group_that_is_joined() {
    let (mut host, mut stack, now) = host();
    let announce = crate::Announce {
        transports: Vec::new(),
        t6_server_announce_ms: 1_000,
        t7_enrp_outdate_ms: 5_000,
        servers_max: 64,
    };
    host.server_mut().announce(now, announce.clone());
    host.carry_out(now, &mut stack);
    assert_eq!((host.counters().datagrams_out, host.counters().datagrams_unsent), (0, 1));
    let (sink, taken) = kept(64);
    host.outside(now, OutsideInput::Joined { group: crate::Multicast::Asap, sink: Box::new(sink) });
    host.server_mut().announce(now, announce);
    host.carry_out(now, &mut stack);
    assert!(matches!(taken()[..], [Message::ServerAnnounce { server: ServerId(9), .. }]));
}

/// Peers that only DNS or a multicast group can name are waited for like those that are known (RFC 5353 section 3.2.2.1).
#[test]
fn clients_wait_until_unnamed_peers_had_their_time() {
    let named = PeerAddressConfig { name: "enrp-2.lab".into(), ..PeerAddressConfig::default() };
    let by_name = PeersConfig { servers: vec![named], ..PeersConfig::default() };
    let by_group = PeersConfig { announce: true, ..PeersConfig::default() };
    for (config, waits) in [(by_name, true), (by_group, true), (PeersConfig::default(), false)] {
        let (_, mut stack, now) = host();
        let wait = Duration::from_millis(config.mentor_discovery_ms);
        let server = Server::new(ServerConfig::default(), ServerId(9), 9);
        let server = server.with_peers_at(config, enrp_transport(vec![OWN.into()], ENRP_PORT));
        let mut host = Host::new(server, Ports { asap: 3863, enrp: Some(ENRP_PORT) }, 9899);
        host.set_peers(now, Vec::new());
        host.listen(&mut stack);
        assert_eq!(host.is_open(), !waits);
        // DNS answered without an address: nothing new.
        host.set_peers(now + wait / 2, Vec::new());
        host.carry_out(now + wait / 2, &mut stack);
        assert_eq!(host.is_open(), !waits);
        host.handle_timeout(now + wait);
        host.carry_out(now + wait, &mut stack);
        assert!(host.is_open());
    }
}
