//! The host with a stack whose packets nobody carries: who is whose.

use super::*;
use crate::server::ServerConfig;
use asap::wire::{Message, PoolHandle, ServerId};
use sctp::Stack;
use std::net::IpAddr;

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
    let (client, _) = host.poll_message().expect("an answer");
    assert_eq!(client, ClientId::LOCAL);
    assert!(!host.carry_out(now, &mut stack));
}

#[test]
fn strange_messages_and_associations_are_counted_or_left_to_others() {
    let (mut host, mut stack, now) = host();
    let assoc = AssocId(7);
    assert!(!host.closed(now, assoc, &CloseReason::Silent), "not the server's");
    host.up(now, &mut stack, assoc, &["127.0.0.1:9899".parse().unwrap()], 5000);
    host.message(now, assoc, ppid::M3UA, b"?");
    assert_eq!((host.counters().wrong_ppid, host.association_count()), (1, 1));
    assert!(host.has(assoc) && host.closed(now, assoc, &CloseReason::Shutdown) && !host.has(assoc));
}
