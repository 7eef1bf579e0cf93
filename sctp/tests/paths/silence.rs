//! All paths are cut: the peer is gone, and that is noticed soon.

use crate::cuts::failover;
use crate::lab::{A, B, Lab};
use sctp::{CloseReason, Config, PathState};
use std::time::Duration;

fn silent_after(lab: &mut Lab, host: usize, limit_ms: u64) -> Duration {
    let begin = lab.now;
    assert!(lab.run_until(limit_ms, |lab| lab.closed(host).is_some()), "noticed");
    let (at, reason) = lab.closed(host).unwrap();
    assert_eq!(reason, CloseReason::Silent);
    at - begin
}

#[test]
fn all_paths_cut_is_silence_within_400_ms() {
    for networks in [&[0][..], &[0, 1], &[0, 1, 7]] {
        for (kind, every) in [("idle", 0), ("sending", 1), ("sending now and then", 90)] {
            let mut worst = Duration::ZERO;
            for phase in 0..25 {
                let mut lab = Lab::new(networks, &failover());
                let (a, _) = lab.up(networks);
                lab.run(500 + 13 * phase);
                for network in networks {
                    lab.cut(*network, &[A, B]);
                }
                let begin = lab.now;
                let mut number = 0;
                while every > 0 && lab.closed(A).is_none() && number < 1_000 {
                    lab.send(A, a, number);
                    number += 1;
                    lab.run_until(every, |lab| lab.closed(A).is_some());
                }
                let found =
                    if every == 0 { silent_after(&mut lab, A, 5_000) } else { lab.closed(A).unwrap().0 - begin };
                worst = worst.max(found);
            }
            println!("{} paths, {kind}: silent after {worst:?} at worst", networks.len());
            assert!(worst < Duration::from_millis(400), "{} paths, {kind}: {worst:?}", networks.len());
        }
    }
}

#[test]
fn one_living_path_is_no_silence() {
    let mut lab = Lab::new(&[0, 1, 2], &failover());
    let (a, _) = lab.up(&[0, 1, 2]);
    lab.cut(0, &[A, B]);
    lab.cut(1, &[A, B]);
    for number in 0..100 {
        lab.send(A, a, number);
        lab.run(100);
    }
    assert_eq!((lab.closed(A), lab.closed(B)), (None, None));
    assert_eq!(lab.received(B).len(), 100);
}

#[test]
fn by_the_counters_alone_a_dead_idle_path_never_ends_the_association() {
    // Section 8.1: heartbeats of paths that are not in use do not count for the association.
    let config = Config { supervision_ms: 0, association_max_retrans: 3, ..Config::default() };
    let mut lab = Lab::new(&[0, 1], &config);
    let (a, _) = lab.up(&[0, 1]);
    lab.cut(1, &[A, B]);
    lab.run(120_000);
    assert_eq!((lab.closed(A), lab.closed(B)), (None, None));
    let path = lab.info(A, a).paths[1];
    assert!(path.errors > 20, "it is asked on, and counted: {path:?}");
    // With the other one cut too it ends.
    lab.cut(0, &[A, B]);
    assert!(silent_after(&mut lab, A, 60_000) > Duration::from_secs(1));
}

#[test]
fn a_dead_alternate_is_noticed_though_tail_probes_go_over_it() {
    let mut lab = Lab::new(&[0, 1], &Config { heartbeat_interval_ms: 500, ..Config::default() });
    let (a, _) = lab.up(&[0, 1]);
    for number in 0..10 {
        lab.send(A, a, number);
        lab.run(20);
    }
    lab.cut(1, &[A, B]);
    for round in 0..50 {
        // The acknowledgement is lost, so the tail probe goes over the alternate, where it is lost too. The next one covers both.
        lab.cut(0, &[B]);
        lab.send(A, a, 10 + 2 * round);
        lab.run(10);
        lab.restore(0);
        lab.run(20);
        lab.send(A, a, 11 + 2 * round);
        lab.run(70);
    }
    assert!(lab.stacks[A].counters().tail_probes >= 40, "{}", lab.stacks[A].counters().tail_probes);
    assert_eq!(lab.state(A, a, 0), PathState::Active);
    assert_ne!(lab.state(A, a, 1), PathState::Active, "nothing ever came back over it");
}

#[test]
fn a_path_that_fails_while_supervision_asks_it_is_asked_again_soon() {
    // T3-rtx is later than the heartbeats of supervision, and those are lost. The next one by HB.interval would be in 30 s.
    let config = Config {
        tail_probe_ms: 0,
        rto_min_ms: 300,
        supervision_ms: 400,
        heartbeat_interval_ms: 30_000,
        ..Config::default()
    };
    let mut lab = Lab::new(&[0, 1], &config);
    let (a, _) = lab.up(&[0, 1]);
    for number in 0..10 {
        lab.send(A, a, number);
        lab.run(20);
    }
    lab.cut(0, &[A, B]);
    lab.send(A, a, 10);
    assert!(lab.run_until(2_000, |lab| lab.state(A, a, 0) != PathState::Active));
    lab.run(200);
    lab.restore(0);
    assert!(
        lab.run_until(2_000, |lab| lab.state(A, a, 0) == PathState::Active),
        "RFC 7829 section 3.2, 6: once an RTO"
    );
}
