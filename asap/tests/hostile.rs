//! Damaged golden vectors, to both client machines: no panic, nothing that grows, and afterwards they work as ever.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use asap::pool_element::Registration;
use asap::pool_user::Selection;
use asap::wire::{
    Limits, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport,
    TransportUse,
};
use asap::{ConnId, HuntConfig, PeConfig, PeMachine, PuConfig, PuMachine, ServerAddress, Transmit};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const PE: PeId = PeId(0xdead_beef);

fn handle() -> PoolHandle {
    PoolHandle::from("GatewayPool")
}

fn vectors() -> Vec<Vec<u8>> {
    let lines = include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let digits: Vec<u8> = line.bytes().filter(u8::is_ascii_hexdigit).collect();
            digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
        })
        .collect()
}

/// Each vector with each byte replaced by each other value, and inverted together with each other byte; cut anywhere, with and
/// without a Length that says so; each word left out, doubled, or replaced by what would be a length too long; with its tail in
/// place of its head.
fn damaged(vector: &[u8], mut judge: impl FnMut(&[u8])) {
    judge(vector);
    for at in 0..vector.len() {
        for value in 0..=255 {
            let mut bytes = vector.to_vec();
            bytes[at] = value;
            judge(&bytes);
        }
        for other in 0..at {
            let mut bytes = vector.to_vec();
            bytes[at] ^= 0xff;
            bytes[other] ^= 0xff;
            judge(&bytes);
        }
        judge(&vector[..at]);
        judge(&vector[at..]);
        let cut = vector[..at].to_vec();
        judge(&with_length(cut));
    }
    for at in (4..vector.len()).step_by(4) {
        let end = (at + 4).min(vector.len());
        judge(&with_length([&vector[..at], &vector[end..]].concat()));
        judge(&with_length([&vector[..end], &vector[at..]].concat()));
        let mut bytes = vector.to_vec();
        bytes[end - 2..end].copy_from_slice(&[0xff, 0xff]);
        judge(&bytes);
    }
}

/// The Length of the header made true.
fn with_length(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= 4 {
        let length = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
    bytes
}

#[test]
fn the_vectors_are_messages() {
    let vectors = vectors();
    let kinds: std::collections::BTreeSet<u8> = vectors
        .iter()
        .map(|bytes| Message::decode(bytes, &Limits::default()).unwrap().message.message_type())
        .collect();
    assert_eq!(kinds.into_iter().collect::<Vec<u8>>(), (1..=14).collect::<Vec<u8>>(), "each kind");
}

fn element() -> PoolElement {
    PoolElement {
        id: PE,
        home: ServerId(1),
        life: RegistrationLife::Infinite,
        user_transport: user_transport(),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

fn user_transport() -> Transport {
    let addresses = vec![IpAddr::from([192, 0, 2, 1])];
    Transport::Sctp(SctpTransport {
        port: 2905,
        transport_use: TransportUse::DataAndControl,
        addresses: addresses.into(),
    })
}

fn hunt() -> HuntConfig {
    HuntConfig { servers: vec![ServerAddress::new(IpAddr::from([192, 0, 2, 9]))], ..HuntConfig::default() }
}

#[test]
fn a_pool_user_survives_damaged_messages() {
    let mut now = Instant::now();
    let mut pu: PuMachine = PuMachine::embedded(PuConfig { hunt: hunt(), ..PuConfig::default() }, 1);
    pu.resolve(now, &handle());
    for vector in vectors() {
        damaged(&vector, |bytes| {
            pu.handle_received(now, ConnId::EMBEDDED, bytes);
            pu.handle_announce(now, IpAddr::from([192, 0, 2, 7]), bytes);
            let sent = std::iter::from_fn(|| pu.poll_transmit()).count();
            let told = std::iter::from_fn(|| pu.poll_event()).count();
            // An answer, and what came due before it.
            assert!(sent <= 2 && told <= 2, "{sent} sent, {told} told: {bytes:02x?}");
            assert!(pu.handles().count() == 1 && pu.pool(&handle()).is_none_or(|pool| pool.elements().len() <= 1));
            if pu.counters().malformed.is_multiple_of(64) {
                now += Duration::from_millis(100);
                pu.handle_timeout(now);
                assert!(pu.poll_timeout().is_none_or(|at| at > now));
            }
        });
    }
    assert!(pu.counters().malformed > 1_000 && pu.counters().answers > 1_000, "{:?}", pu.counters());
    let answer = Message::HandleResolutionResponse {
        subscribed: true,
        handle: handle(),
        policy: None,
        elements: vec![element()],
        error: None,
    };
    pu.handle_received(now, ConnId::EMBEDDED, &answer.encode().unwrap());
    assert!(matches!(pu.select(now, &handle(), |_| true), Selection::Element { pe: PE, .. }));
}

#[test]
fn a_pool_element_survives_damaged_messages() {
    let mut now = Instant::now();
    let mut pe = PeMachine::new(PeConfig { hunt: hunt(), ..PeConfig::default() }, PE, 1);
    let registration = Registration {
        handle: handle(),
        life: RegistrationLife::Seconds(300),
        user_transport: user_transport(),
        policy: Policy::RoundRobin,
    };
    pe.register(now, registration.clone()).unwrap();
    let mut home = settle(&mut pe, now);
    for vector in vectors() {
        let taker = pe.handle_accepted().expect("a server may come");
        damaged(&vector, |bytes| {
            for conn in [home, taker] {
                pe.handle_received(now, conn, bytes);
                let told = std::iter::from_fn(|| pe.poll_event()).count();
                let sent = std::iter::from_fn(|| pe.poll_transmit()).count();
                // A home server that goes: three attempts end or begin, and the registration goes to the next.
                assert!(sent <= 8 && told <= 3, "{sent} sent, {told} told: {bytes:02x?}");
            }
            pe.handle_announce(now, IpAddr::from([192, 0, 2, 7]), bytes);
            if pe.counters().malformed.is_multiple_of(64) {
                now += Duration::from_millis(100);
                pe.handle_timeout(now);
            }
        });
        // A server that took over may be home; both end, and the element finds its configured server again.
        pe.handle_closed(now, taker);
        pe.handle_closed(now, home);
        pe.register(now, registration.clone()).unwrap();
        now += Duration::from_secs(10);
        pe.handle_timeout(now);
        home = settle(&mut pe, now);
    }
    assert!(pe.counters().malformed > 1_000, "{:?}", pe.counters());
    let granted =
        Message::RegistrationResponse { reject: false, handle: handle(), pe_id: PE, error: None }.encode().unwrap();
    pe.handle_received(now, home, &granted);
    assert!(pe.is_registered(&handle()));
}

/// Its connection to a server comes up.
fn settle(pe: &mut PeMachine, now: Instant) -> ConnId {
    let conns = std::iter::from_fn(|| pe.poll_transmit()).filter_map(|transmit| match transmit {
        Transmit::Connect { conn, .. } => Some(conn),
        Transmit::Close { .. } | Transmit::Send { .. } => None,
    });
    let conn = conns.last().expect("it hunts");
    pe.handle_connected(now, conn);
    assert_eq!(pe.home(), Some(conn));
    std::iter::from_fn(|| pe.poll_transmit()).count();
    std::iter::from_fn(|| pe.poll_event()).count();
    conn
}
