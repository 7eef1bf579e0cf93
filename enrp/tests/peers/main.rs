//! Two to five name servers in virtual time: they find each other, agree, and go on whoever dies or is cut off.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their figures")]

mod foreign;
mod hostile;
mod lab;
mod rules;
mod tables;

use asap::wire::{PeId, ServerId};
use enrp::{Event, PeersConfig};
use lab::{Lab, Who, ms};
use std::time::{Duration, Instant};

/// What the module text of `enrp::peers` promises after a partition, plus the association's set-up.
const BOUND: Duration = Duration::from_millis(2_000);

/// How many seeds a test with faults runs: so many, or what `ENRP_SEEDS` says.
pub(crate) fn seeds(default: u64) -> u64 {
    std::env::var("ENRP_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn servers_find_each_other_and_agree() {
    let mut lab = Lab::running(1, 3, 30);
    lab.enrp.clear();
    lab.run(ms(5_000));
    lab.assert_settled();
    assert_eq!(lab.table(0).len(), 30);
    // Type 0x01 are presences: ten a second to each of two peers; the updates are the re-registrations.
    let each = |kinds: std::ops::RangeInclusive<u8>| lab.enrp.range(kinds).map(|(_, n)| n).sum::<u64>() / 15;
    println!("3 servers at rest: {} presences, {} other messages a second and server", each(1..=1), each(2..=10));
    assert!(each(1..=1) <= 22, "{:?}", lab.enrp);
    for n in 0..3 {
        let counters = lab.nodes[n].server.peers_counters();
        assert_eq!((counters.takeovers_begun, counters.peers_dead, counters.claims_kept), (0, 0, 0), "server {n}");
        // Updates carry everything: nothing had to be downloaded but at the start.
        assert!(counters.downloads <= 4, "{counters:?}");
    }
}

#[test]
fn a_new_server_gets_everything_in_parts() {
    let mut lab = Lab::running(2, 2, 0);
    for n in 0..1_000 {
        lab.add_pe(n % 2);
    }
    lab.run(ms(1_000));
    let from = lab.now;
    let new = lab.add_server(ServerId(500), 1);
    assert!(!lab.nodes[new].server.is_ready());
    while !lab.nodes[new].server.is_ready() {
        assert!(lab.now - from < ms(500), "not ready");
        lab.run(ms(1));
    }
    assert_eq!(lab.table(new).len(), 1_000, "the whole handlespace from one mentor");
    println!("1,000 PEs from a mentor after {:?}", lab.now - from);
    // The mentor named the other server.
    lab.settle(ms(1_000));
    assert!(lab.nodes[0].server.peers_counters().tables_served >= 3, "in parts");
}

/// "Server killed, three servers": detected in under 500 ms, decided in under 200 ms more, all re-homed in under 3 s.
#[test]
fn a_dead_servers_elements_get_a_new_home() {
    for seed in 0..10 {
        let silent = seed % 2 == 0;
        let mut lab = Lab::running(seed, 3, 60);
        let from = lab.now;
        lab.crash(1, !silent);
        let dead = lab.nodes[1].server.id();
        lab.run(ms(1_000));
        let found = |lab: &Lab, n| lab.seen(n, from, |e| *e == Event::PeerDead { server: dead });
        let detected = [0, 2].iter().filter_map(|&n| found(&lab, n)).min().expect("detected");
        let taken = |n: usize| lab.seen(n, from, |e| matches!(e, Event::TakenOver { server, .. } if *server == dead));
        let (a, b) = (taken(0).expect("by one"), taken(2).expect("and the other knows"));
        println!("seed {seed}, silent {silent}: detected {detected:?}, decided {:?} later", a.max(b) - detected);
        assert!(detected < ms(500), "{detected:?}");
        assert!(a.max(b) - detected < ms(200), "decided after {:?}", a.max(b));
        let rehomed = lab.settle(ms(2_500)) + ms(1_000);
        assert!(rehomed < ms(3_000));
        let won: u64 = [0, 2].iter().map(|&n| lab.nodes[n].server.peers_counters().takeovers_won).sum();
        assert_eq!(won, 1, "one of them");
        assert_eq!(lab.table(0).len(), 60, "nobody lost");
    }
}

#[test]
fn a_second_dead_server_does_not_hold_up_a_takeover() {
    for seed in 0..6 {
        let mut lab = Lab::running(seed, 4, 40);
        lab.crash(1, false);
        lab.run(ms(100 * seed));
        lab.crash(2, seed % 2 == 0);
        lab.settle(ms(4_000));
        assert_eq!(lab.table(0).len(), 40);
    }
}

/// Whoever acknowledged waits for the takeover, and goes on by itself when the initiator dies.
#[test]
fn an_initiator_that_dies_leaves_nothing_undone() {
    for seed in 0..10 {
        let mut lab = Lab::running(seed, 4, 40);
        let from = lab.now;
        lab.crash(0, true);
        let dead = lab.nodes[0].server.id();
        // The highest identifier wins; it dies as soon as it has begun.
        while lab.seen(3, from, |e| *e == Event::PeerDead { server: dead }).is_none() {
            lab.run(Duration::from_micros(500));
        }
        lab.run(Duration::from_micros(300 * seed));
        lab.crash(3, seed % 2 == 0);
        lab.settle(ms(4_000));
        assert_eq!(lab.table(1).len(), 40);
    }
}

#[test]
fn a_server_that_comes_back_in_the_middle_keeps_its_elements() {
    for seed in 0..10 {
        let mut lab = Lab::running(seed, 3, 30);
        let servers = [Who::Server(0), Who::Server(2)];
        for other in servers {
            lab.cut(Who::Server(1), other);
        }
        lab.run(ms(300 + 25 * seed));
        lab.heal_all();
        let settled = lab.settle(BOUND);
        println!("away for {} ms: settled after {settled:?}", 300 + 25 * seed);
        assert_eq!(lab.table(0).len(), 30);
    }
}

/// One server does not hear another, which a third does: it is not taken over, and nothing is lost.
#[test]
fn a_server_that_others_hear_is_not_taken_over() {
    let mut lab = Lab::running(7, 3, 30);
    lab.cut(Who::Server(0), Who::Server(1));
    lab.run(ms(5_000));
    let won: u64 = (0..3).map(|n| lab.nodes[n].server.peers_counters().takeovers_won).sum();
    assert_eq!(won, 0, "the third objects");
    lab.heal_all();
    lab.settle(BOUND);
    assert_eq!(lab.table(0).len(), 30);
}

/// A partition long enough that both sides take over what the other has; the PEs are reached by both.
#[test]
fn after_a_partition_each_element_has_one_owner() {
    let mut worst = Duration::ZERO;
    let seeds = seeds(20);
    for seed in 0..seeds {
        let servers = 2 + (seed % 4) as usize;
        let mut lab = Lab::running(seed, servers, 40);
        lab.loss = 5 * (seed % 3);
        let side = 1 + (seed as usize / 4) % (servers - 1);
        for a in 0..side {
            for b in side..servers {
                lab.cut(Who::Server(a), Who::Server(b));
            }
        }
        // Some PEs are on one side only.
        for pe in 0..40 {
            let lost = if pe % 3 == 0 { 0..side } else { side..side };
            for server in lost {
                lab.cut(Who::Pe(pe), Who::Server(server));
            }
        }
        lab.run(ms(6_000));
        lab.add_pe(0);
        lab.add_pe(servers - 1);
        lab.crash_pe(1);
        lab.run(ms(500));
        lab.heal_all();
        let settled = lab.settle(BOUND + ms(1_300));
        worst = worst.max(settled);
        assert_eq!(lab.table(0).len(), 41, "seed {seed}");
    }
    println!("{seeds} partitions of 2 to 5 servers: tables equal at the latest after {worst:?}");
}

/// Whatever happens to 2 to 5 servers and 40 PEs for a while: when it stops, all is well after a bounded time.
#[test]
fn faults_of_all_kinds_leave_nothing_behind() {
    let mut worst = Duration::ZERO;
    let seeds = seeds(40);
    for seed in 100..100 + seeds {
        let servers = 2 + (seed % 4) as usize;
        let mut lab = Lab::running(seed, servers, 40);
        lab.loss = 10;
        let mut id = 1_000;
        for _ in 0..12 {
            fault(&mut lab, servers, &mut id);
            let pause = lab.random.below(900);
            lab.run(ms(pause));
        }
        lab.heal_all();
        lab.loss = 0;
        for n in 0..servers {
            if !lab.nodes[n].up {
                id += 1;
                lab.restart(n, ServerId(id));
            }
        }
        // PEs whose home is gone look for one after a while; then the servers agree.
        let settled = lab.settle(ms(6_000));
        worst = worst.max(settled);
        let up = lab.pes.iter().filter(|pe| pe.up).count();
        assert_eq!(lab.table(0).len(), up, "seed {seed}");
    }
    println!("{seeds} runs of 12 faults: settled at the latest after {worst:?}");
}

fn fault(lab: &mut Lab, servers: usize, id: &mut u32) {
    let n = lab.random.below(servers as u64) as usize;
    let other = lab.random.below(servers as u64) as usize;
    let pe = lab.random.below(40) as usize;
    match lab.random.below(8) {
        0 if lab.nodes.iter().filter(|node| node.up).count() > 1 && lab.nodes[n].up => {
            let seen = lab.random.below(2) == 0;
            lab.crash(n, seen);
        }
        1 | 2 if !lab.nodes[n].up => {
            *id += 1;
            lab.restart(n, ServerId(*id));
        }
        3 if n != other => lab.cut(Who::Server(n), Who::Server(other)),
        4 => lab.heal_all(),
        5 if lab.pes[pe].up => lab.register(pe, n),
        6 => lab.cut(Who::Pe(pe), Who::Server(n)),
        7 if lab.pes[pe].up && pe < 5 => lab.crash_pe(pe),
        _ => {}
    }
}

/// An element that moves while updates cross has one home in the end.
#[test]
fn elements_that_move_about() {
    for seed in 0..5 {
        let mut lab = Lab::running(seed, 3, 12);
        lab.loss = 20;
        for round in 0..60 {
            lab.register(round % 12, (round * 7 + seed as usize) % 3);
            lab.run(ms(7));
        }
        lab.loss = 0;
        lab.settle(BOUND);
    }
}

/// A server that comes back under a new identifier, at once: its old one is silent and taken over.
#[test]
fn a_restart_is_a_new_server() {
    let mut lab = Lab::running(3, 3, 30);
    lab.crash(1, true);
    lab.run(ms(20));
    lab.restart(1, ServerId(77));
    lab.settle(ms(4_000));
    assert_eq!(lab.table(0).len(), 30);
}

/// A server that comes back under its own identifier, taken over or not.
#[test]
fn a_restart_under_the_same_identifier() {
    for away in [5, 100, 600] {
        let mut lab = Lab::running(4, 3, 30);
        let id = lab.nodes[1].server.id();
        lab.crash(1, true);
        lab.run(ms(away));
        lab.restart(1, id);
        let settled = lab.settle(ms(4_000));
        println!("away for {away} ms: settled after {settled:?}");
        assert_eq!(lab.table(0).len(), 30);
    }
}

/// "Full download of 10,000 PEs to a new server: under 1 s": the time that the servers take for it, and on a network of 0.5 ms.
#[test]
fn ten_thousand_elements_to_a_new_server() {
    let mut lab = Lab::new(9, PeersConfig::default());
    lab.add_server(ServerId(1), 0);
    lab.run(ms(10));
    for _ in 0..10_000 {
        lab.add_pe(0);
    }
    lab.run(ms(50));
    for pe in &mut lab.pes {
        pe.up = false;
    }
    let (from, clock) = (lab.now, Instant::now());
    let new = lab.add_server(ServerId(2), 1);
    while !lab.nodes[new].server.is_ready() {
        assert!(lab.now - from < ms(1_000), "not ready");
        lab.run(ms(1));
    }
    assert_eq!(lab.table(new).len(), 10_000);
    let (network, real) = (lab.now - from, clock.elapsed());
    println!("10,000 PEs: {network:?} on the network, {real:?} of computing (two servers, this build)");
    assert_eq!(lab.table(new).get(&("pool-0".into(), PeId(1))), Some(&ServerId(1)));
}
