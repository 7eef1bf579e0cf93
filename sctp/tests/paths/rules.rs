//! The rules one by one: which path when, what counts, who is asked.

use crate::lab::{A, B, Lab, ip, to};
use sctp::{Config, Event, PathState, Unreachable};
use std::time::Duration;

#[test]
fn both_potentially_failed_the_fewest_errors_decide() {
    let config = Config { supervision_ms: 0, association_max_retrans: 100, path_max_retrans: 50, ..Config::default() };
    let mut lab = Lab::new(&[0, 1], &config);
    let (a, _) = lab.up(&[0, 1]);
    lab.cut(0, &[A, B]);
    lab.run(3_000);
    assert_eq!(lab.in_use(A, a), 1);
    lab.cut(1, &[A, B]);
    lab.send(A, a, 0);
    assert!(lab.run_until(3_000, |lab| lab.state(A, a, 1) == PathState::PotentiallyFailed));
    let errors = |lab: &Lab| lab.info(A, a).paths.iter().map(|p| p.errors).collect::<Vec<_>>();
    for _ in 0..200 {
        let errors = errors(&lab);
        let fewest = if errors[0] <= errors[1] { 0 } else { 1 };
        assert_eq!(lab.in_use(A, a), fewest, "{errors:?}");
        lab.run(100);
    }
    assert!(errors(&lab).iter().all(|e| *e > 5), "both were tried: {:?}", errors(&lab));
}

#[test]
fn the_primary_stays_or_moves_as_set() {
    for switchover in [false, true] {
        let config = Config { primary_switchover: switchover, ..Config::default() };
        let mut lab = Lab::new(&[0, 1], &config);
        let (a, _) = lab.up(&[0, 1]);
        lab.cut(0, &[A, B]);
        for number in 0..50 {
            lab.send(A, a, number);
            lab.run(10);
        }
        assert_eq!(lab.in_use(A, a), 1);
        let primary = |lab: &Lab| lab.info(A, a).paths.iter().position(|p| p.primary).unwrap();
        assert_eq!(primary(&lab), usize::from(switchover));
        lab.restore(0);
        assert!(lab.run_until(5_000, |lab| lab.state(A, a, 0) == PathState::Active));
        assert_eq!(lab.in_use(A, a), usize::from(switchover), "RFC 7829 section 5");
        // And what took over is given up like any other primary.
        lab.cut(1, &[A, B]);
        for number in 50..100 {
            lab.send(A, a, number);
            lab.run(10);
        }
        lab.run(500);
        assert_eq!(lab.in_use(A, a), 0);
        assert_eq!(lab.received(B).len(), 100);
    }
}

#[test]
fn the_user_chooses_the_primary() {
    let mut lab = Lab::new(&[0, 1], &Config::default());
    let (a, b) = lab.up(&[0, 1]);
    assert_eq!((lab.in_use(A, a), lab.in_use(B, b)), (0, 0));
    let now = lab.now;
    assert!(lab.stacks[A].set_primary(now, a, to(B, 1)));
    assert!(!lab.stacks[A].set_primary(now, a, to(A, 1)), "not an address of the peer");
    assert!(!lab.stacks[A].set_primary(now, sctp::AssocId(999), to(B, 1)));
    assert_eq!((lab.in_use(A, a), lab.in_use(B, b)), (1, 0), "each end has its own");
    lab.record = true;
    for number in 0..10 {
        lab.send(A, a, number);
        lab.run(1);
    }
    let (of_a, of_b): (Vec<_>, Vec<_>) = lab.sent.iter().partition(|(_, host, _)| *host == A);
    assert!(!of_b.is_empty() && of_a.iter().chain(&of_b).all(|(_, host, t)| t.to == to(1 - host, 1)), "SACKs too");
    assert!(of_a.iter().all(|(_, _, t)| t.from == ip(A, 1)));
}

#[test]
fn what_timed_out_goes_over_another_path_also_while_its_own_counts_as_active() {
    // RFC 9260 section 6.4 without RFC 7829: PFMR not under PMR.
    let config = Config { tail_probe_ms: 0, potentially_failed_max_retrans: 5, ..Config::default() };
    let mut lab = Lab::new(&[0, 1], &config);
    let (a, _) = lab.up(&[0, 1]);
    lab.run(1_000);
    lab.cut(0, &[A, B]);
    let begin = lab.now;
    lab.send(A, a, 0);
    assert!(lab.run_until(300, |lab| !lab.received(B).is_empty()));
    assert_eq!(lab.now - begin, Duration::from_millis(101), "RTO.Min, then the other path");
    assert_eq!(lab.state(A, a, 0), PathState::Active);
    assert_eq!(lab.in_use(A, a), 0);
    let paths = lab.info(A, a).paths;
    assert_eq!((paths[0].stats.timeouts, paths[1].stats.data_retransmitted), (1, 1));
}

#[test]
fn an_acknowledgement_of_what_went_over_two_paths_heals_neither() {
    // RFC 7829 section 3.2, 9. The heartbeats of the dead path are far apart, so only data could speak for it.
    let config = Config { tail_probe_ms: 0, heartbeat_interval_ms: 1_000_000, ..Config::default() };
    let mut lab = Lab::new(&[0, 1], &config);
    let (a, _) = lab.up(&[0, 1]);
    lab.cut(0, &[A, B]);
    for number in 0..20 {
        lab.send(A, a, number);
        lab.run(50);
    }
    lab.run(500);
    assert_eq!(lab.received(B).len(), 20);
    assert_eq!(lab.stacks[A].outstanding(a), (0, 0));
    assert_eq!(lab.state(A, a, 0), PathState::PotentiallyFailed);
}

#[test]
fn potentially_failed_is_asked_each_rto_and_inactive_each_interval() {
    let mut lab = Lab::new(&[0, 1], &Config { supervision_ms: 0, ..Config::default() });
    let (a, _) = lab.up(&[0, 1]);
    lab.run(2_000);
    lab.cut(0, &[A, B]);
    let lost = |lab: &Lab| lab.info(A, a).paths[0];
    assert!(lab.run_until(2_000, |lab| lost(lab).state == PathState::PotentiallyFailed));
    let (begin, sent) = (lab.now, lost(&lab).stats.heartbeats_out);
    assert!(lab.run_until(10_000, |lab| lost(lab).state == PathState::Inactive));
    // 200, 400, 800 ms, then RTO.Max twice, without HB.interval between.
    assert_eq!(lab.now - begin, Duration::from_millis(200 + 400 + 800 + 1_000 + 1_000));
    assert_eq!(lost(&lab).stats.heartbeats_out - sent, 5, "and one more at the end of each");
    let (begin, sent) = (lab.now, lost(&lab).stats.heartbeats_out);
    lab.run(30_000);
    let each = (lab.now - begin) / (lost(&lab).stats.heartbeats_out - sent) as u32;
    assert!(each > Duration::from_millis(1_300) && each < Duration::from_millis(1_700), "{each:?}");
    let told: Vec<PathState> = lab.told(A, 0).into_iter().map(|(_, state)| state).collect();
    assert_eq!(told, [PathState::PotentiallyFailed, PathState::Inactive], "each change is told once");
    let path = lost(&lab);
    assert_eq!((path.stats.failures, lab.stacks[A].counters().heartbeats_lost), (1, path.stats.heartbeats_lost));
    lab.restore(0);
    assert!(lab.run_until(2_500, |lab| lost(lab).state == PathState::Active));
    assert!(lost(&lab).rto < Duration::from_millis(1_000), "measured again");
    assert_eq!(lost(&lab).since, lab.now);
}

#[test]
fn icmp_moves_the_data_at_once_and_a_storm_of_it_counts_as_one() {
    for port in [true, false] {
        let mut lab = Lab::new(&[0, 1], &Config { tail_probe_ms: 0, ..Config::default() });
        let (a, _) = lab.up(&[0, 1]);
        lab.run(1_000);
        lab.cut(0, &[A, B]);
        lab.record = true;
        for number in 0..20 {
            lab.send(A, a, number);
        }
        lab.drain();
        let quoted = lab.sent.last().unwrap().2.payload.slice(..8);
        let now = lab.now;
        for _ in 0..1_000 {
            let error = Unreachable { to: to(B, 0), quoted: quoted.clone(), port };
            lab.stacks[A].handle_unreachable(now, &error);
        }
        lab.drain();
        let expected = if port { PathState::Inactive } else { PathState::PotentiallyFailed };
        assert_eq!(lab.state(A, a, 0), expected);
        lab.run(2);
        assert_eq!(lab.received(B).len(), 20, "no timer was needed");
        assert_eq!(lab.closed(A), None);
    }
}

#[test]
fn shutdown_is_repeated_over_the_other_path() {
    for from in [&[A][..], &[B], &[A, B]] {
        let mut lab = Lab::new(&[0, 1], &Config::default());
        let (a, _) = lab.up(&[0, 1]);
        lab.run(1_000);
        lab.cut(0, from);
        let now = lab.now;
        lab.stacks[A].shutdown(now, a);
        assert!(lab.run_until(1_000, |lab| lab.closed(A).is_some() && lab.closed(B).is_some()), "{from:?}");
        assert_eq!(lab.closed(A).unwrap().1, sctp::CloseReason::Shutdown);
        assert_eq!(lab.closed(B).unwrap().1, sctp::CloseReason::Shutdown);
    }
}

#[test]
fn a_peer_without_room_fails_no_path() {
    // Nobody reads at a peer whose window is closed: here it is the peer's a_rwnd of one packet and messages that wait for another.
    let mut lab = Lab::new(&[0, 1], &Config { tail_probe_ms: 0, ..Config::default() });
    let (a, _) = lab.up(&[0, 1]);
    let begin = lab.events[A].len();
    for number in 0..2_000 {
        lab.send(A, a, number);
    }
    lab.run(3_000);
    assert_eq!(lab.received(B).len(), 2_000);
    let changes = lab.events[A][begin..].iter().filter(|(_, e)| matches!(e, Event::Path { .. })).count();
    assert_eq!(changes, 0);
}

#[test]
fn paths_count_what_went_over_them() {
    let mut lab = Lab::new(&[0, 1], &Config::default());
    let (a, b) = lab.up(&[0, 1]);
    for number in 0..100 {
        lab.send(A, a, number);
        lab.run(5);
    }
    lab.run(100);
    let (of_a, of_b) = (lab.info(A, a).paths, lab.info(B, b).paths);
    for network in 0..2 {
        let (x, y) = (of_a[network].stats, of_b[network].stats);
        // All but INIT and INIT ACK, for which the other end has no association.
        let handshake = u64::from(network == 0);
        assert_eq!((x.packets_out, x.packets_in), (y.packets_in + handshake, y.packets_out), "network {network}");
        assert_eq!(x.bytes_in, y.bytes_out);
    }
    assert!(of_a[0].stats.packets_out >= 100 && of_a[0].stats.bytes_out > 100 * 216, "{:?}", of_a[0].stats);
    assert!(of_a[1].stats.packets_out < 10 && of_a[1].stats.heartbeats_out > 0, "{:?}", of_a[1].stats);
    assert_eq!((of_a[0].local, of_a[1].local), (ip(A, 0), ip(A, 1)));
    let view = serde_json::to_value(of_a[1].view(lab.now)).unwrap();
    assert_eq!((&view["state"], &view["in_use"]), (&"active".into(), &false.into()));
    assert!(view["rtt_us"].as_u64().unwrap() >= 2_000 && view["heartbeats_out"].as_u64().unwrap() > 0, "{view}");
}
