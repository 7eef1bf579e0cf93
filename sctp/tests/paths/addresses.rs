//! Who has which address: lists in INIT and INIT ACK, families, proof before use.

use crate::lab::{A, B, Lab, ip, to};
use sctp::{Config, Connect, PathState};
use std::collections::BTreeSet;
use std::net::IpAddr;

fn addresses(lab: &Lab, host: usize) -> BTreeSet<IpAddr> {
    let assoc = lab.stacks[host].associations().next().unwrap();
    lab.stacks[host].addresses(assoc).iter().map(|a| a.ip()).collect()
}

#[test]
fn both_ends_learn_all_addresses_of_the_other_from_one() {
    let networks = [0, 1, 7, 8];
    let mut lab = Lab::new(&networks, &Config::default());
    let (a, b) = lab.up(&[1]);
    assert_eq!(addresses(&lab, A), networks.map(|n| ip(B, n)).into());
    assert_eq!(addresses(&lab, B), networks.map(|n| ip(A, n)).into());
    assert_eq!((lab.in_use(A, a), lab.in_use(B, b)), (1, 1), "the address of the handshake is the primary");
    for (host, assoc) in [(A, a), (B, b)] {
        for path in lab.info(host, assoc).paths {
            let network = networks.into_iter().find(|n| to(1 - host, *n) == path.address).unwrap();
            assert_eq!((path.local, path.state, path.confirmed), (ip(host, network), PathState::Active, true));
            assert!(path.rtt.is_some(), "each has its own round trip");
        }
    }
}

#[test]
fn addresses_of_a_family_that_one_end_lacks_are_left_out() {
    // A has IPv4 only: B does not list IPv6 to it. And what A cannot use of a peer that lists it all the same is counted.
    let mut lab = Lab::with(&[0, 1], &[0, 1, 7], &Config::default());
    lab.up(&[0]);
    assert_eq!(addresses(&lab, A), [ip(B, 0), ip(B, 1)].into());
    assert_eq!(lab.stacks[A].counters().addresses_ignored, 0, "it did not have to: Supported Address Types");
    let mut lab = Lab::with(&[0, 1, 7], &[0, 1], &Config::default());
    lab.up(&[0]);
    assert_eq!(addresses(&lab, B), [ip(A, 0), ip(A, 1)].into());
    assert_eq!(lab.stacks[B].counters().addresses_ignored, 1, "A could not know");
}

#[test]
fn no_chunk_but_heartbeats_goes_to_an_address_that_did_not_prove_itself() {
    let mut lab = Lab::new(&[0, 1], &Config::default());
    // A lists its address on network 1, and nothing comes back from there.
    lab.cut(1, &[A, B]);
    lab.record = true;
    let connect = Connect { peer: vec![to(B, 0)], peer_port: crate::lab::PORT, local_port: None };
    let a = lab.stacks[A].connect(lab.now, connect).unwrap();
    lab.run(100);
    // The path that is proved fails too.
    for number in 0..10 {
        lab.send(A, a, number);
    }
    lab.run(2);
    lab.cut(0, &[A, B]);
    for number in 10..30 {
        lab.send(A, a, number);
    }
    lab.run(1_900);
    assert!(lab.info(A, a).paths.iter().any(|p| !p.confirmed));
    let kinds: BTreeSet<u8> = lab
        .sent
        .iter()
        .filter(|(_, _, t)| [to(A, 1), to(B, 1)].contains(&t.to))
        .map(|(_, _, t)| t.payload[12])
        .collect();
    assert_eq!(kinds, [4].into(), "HEARTBEAT only, even with nothing better");
}

#[test]
fn unconfirmed_addresses_are_asked_one_an_rto() {
    let networks = [0, 1, 2, 3, 4, 5, 6];
    for (burst, most) in [(1, 1), (3, 3)] {
        let mut lab = Lab::new(&networks, &Config { heartbeat_burst_max: burst, ..Config::default() });
        for network in &networks[1..] {
            lab.cut(*network, &[A, B]);
        }
        lab.record = true;
        let connect = Connect { peer: vec![to(B, 0)], peer_port: crate::lab::PORT, local_port: None };
        lab.stacks[A].connect(lab.now, connect).unwrap();
        let begin = lab.now;
        lab.run(20_000);
        let probes: Vec<u128> = lab
            .sent
            .iter()
            .filter(|(_, host, t)| *host == A && t.to.ip() != ip(B, 0) && t.payload[12] == 4)
            .map(|(at, _, _)| (*at - begin).as_millis())
            .collect();
        assert!(probes.len() > 60, "{}", probes.len());
        for window in probes.windows(most + 1) {
            assert!(window[most] - window[0] >= 199, "more than {most} within RTO.Initial: {window:?}");
        }
        let asked: BTreeSet<IpAddr> = lab.sent.iter().filter(|s| s.1 == A).map(|s| s.2.to.ip()).collect();
        assert_eq!(asked.len(), networks.len(), "none is forgotten");
    }
}

#[test]
fn an_address_paired_wrongly_finds_its_way_by_what_comes_from_it() {
    // B's addresses have no longer prefix in common with one of A's than with the other.
    let mut lab = Lab::new(&[2, 1], &Config::default());
    let (a, b) = lab.up(&[1]);
    for (host, assoc) in [(A, a), (B, b)] {
        for path in lab.info(host, assoc).paths {
            assert!(path.rtt.is_some() && path.confirmed, "{path:?}");
        }
    }
}
