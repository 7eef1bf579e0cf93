//! A PE that is found dead or silent has others at its host asked.

use super::*;
use std::collections::BTreeSet;

/// Where PE n of a host is.
fn at(n: u64, host: u8) -> [SocketAddr; 1] {
    [SocketAddr::from(([192, 0, 2, host], 20_000 + u16::try_from(n).unwrap()))]
}

fn register_at(lab: &mut Lab, n: u64, host: u8) {
    let source = at(n, host);
    let transport =
        SctpTransport { port: 2905, transport_use: TransportUse::DataOnly, addresses: [source[0].ip()].into() };
    let element = PoolElement { user_transport: Transport::Sctp(transport), ..element(1) };
    let message = Message::Registration { handle: pool(), element: PoolElement { id: pe(n), ..element } };
    lab.server.handle_message(lab.now, ClientId(n), &source, &message.encode().unwrap());
    lab.drain();
    assert!(lab.is_there(n));
}

fn answer(lab: &mut Lab, n: u64, host: u8) {
    let ack = Message::EndpointKeepAliveAck { handle: pool(), pe_id: pe(n) };
    lab.server.handle_message(lab.now, ClientId(n), &at(n, host), &ack.encode().unwrap());
}

fn is_keep_alive(message: &Message) -> bool {
    matches!(message, Message::EndpointKeepAlive { .. })
}

#[test]
fn one_death_has_four_asked_and_a_dead_host_is_known_soon() {
    let mut lab = Lab::new(|c| {
        // No round beside.
        (c.keep_alive_interval_ms, c.keep_alive_interval_max_ms) = (0, 0);
        c.neighbours_per_s_max = 1_000;
    });
    (1..=100).for_each(|n| register_at(&mut lab, n, 1));
    (101..=1_100).for_each(|n| register_at(&mut lab, n, 2));
    // One of host 1: the four that are asked are well, and that is all.
    lab.server.client_lost(lab.now, ClientId(1), true);
    let asked: Vec<_> = lab.pass(300).into_iter().filter(|(_, _, message)| is_keep_alive(message)).collect();
    asked.iter().for_each(|&(_, n, _)| answer(&mut lab, n, if n <= 100 { 1 } else { 2 }));
    assert!(asked.iter().all(|(_, n, _)| *n <= 100), "{asked:?}");
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(lab.server.counters().neighbours_asked, 4);
    // All of host 2: whoever is asked is found dead.
    lab.server.client_lost(lab.now, ClientId(101), true);
    let mut milliseconds = 0;
    while (102..=1_100).any(|n| lab.is_there(n)) {
        for (_, n, message) in lab.pass(1) {
            match n {
                ..=100 => answer(&mut lab, n, 1),
                _ if is_keep_alive(&message) => lab.server.client_lost(lab.now, ClientId(n), true),
                _ => {}
            }
        }
        milliseconds += 1;
        assert!(milliseconds < 1_500, "{} asked", lab.server.counters().neighbours_asked);
    }
    assert!(milliseconds > 900, "1,000 a second: {milliseconds} ms");
    assert!((2..=100).all(|n| lab.is_there(n)));
}

#[test]
fn a_silent_one_has_its_host_asked_too() {
    let report = Message::EndpointUnreachable { handle: pool(), pe_id: pe(1) };
    for (per_s, expected) in [(2_000, 20), (0, 1)] {
        let mut lab = Lab::new(|c| {
            (c.keep_alive_interval_ms, c.keep_alive_interval_max_ms) = (10_000, 10_000);
            c.neighbours_per_s_max = per_s;
        });
        (1..=20).for_each(|n| register_at(&mut lab, n, 1));
        // Nobody answers: the reported one, four more after its timeout, all others after theirs.
        lab.send(99, &report);
        let asked: BTreeSet<u64> =
            lab.pass(1_300).into_iter().filter(|(_, _, m)| is_keep_alive(m)).map(|o| o.1).collect();
        assert_eq!(asked.len(), expected, "{asked:?}");
    }
}
