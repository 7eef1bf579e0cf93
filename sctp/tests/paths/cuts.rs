//! One of two paths is cut under load and comes back: nothing lost, a short gap, never down, data back on the primary.

use crate::lab::{A, B, Lab};
use sctp::{AssocId, Config, PathState};
use std::time::Duration;

/// The settings of a session that must notice a dead peer within 400 ms.
pub fn failover() -> Config {
    Config { rto_initial_ms: 100, rto_min_ms: 50, heartbeat_interval_ms: 100, supervision_ms: 200, ..Config::default() }
}

/// T3-rtx alone finds losses at the end of a burst.
fn no_tail_probe() -> Config {
    Config { tail_probe_ms: 0, ..Config::default() }
}

/// 5,000 messages a second from A to B and 1,000 from B to A for so many milliseconds.
fn load(lab: &mut Lab, (a, b): (AssocId, AssocId), next: &mut [u64; 2], ms: u64) {
    for _ in 0..ms {
        for _ in 0..5 {
            lab.send(A, a, next[A]);
            next[A] += 1;
        }
        lab.send(B, b, next[B]);
        next[B] += 1;
        lab.run(1);
    }
}

/// Everything came, once, in order within its stream; the longest time in which nothing came.
fn longest_gap(lab: &Lab, host: usize, expected: u64, label: &str) -> Duration {
    let received = lab.received(host);
    assert_eq!(received.len() as u64, expected, "{label}: lost or twice at host {host}");
    for stream in 0..16 {
        let numbers: Vec<u64> = received.iter().map(|r| r.1).filter(|n| n % 16 == stream).collect();
        let wanted: Vec<u64> = (0..expected).filter(|n| n % 16 == stream).collect();
        assert_eq!(numbers, wanted, "{label}: stream {stream} at host {host}");
    }
    received.windows(2).map(|w| w[1].0 - w[0].0).max().unwrap()
}

struct Case<'a> {
    label: &'a str,
    config: Config,
    networks: [usize; 2],
    /// Which of them is cut.
    cut: usize,
    /// For packets of these hosts.
    from: &'a [usize],
    /// Milliseconds that must pass without.
    gap_max: u64,
}

fn one(case: &Case<'_>) {
    let label = case.label;
    let mut lab = Lab::new(&case.networks, &case.config);
    let (a, b) = lab.up(&case.networks);
    let mut next = [0, 0];
    load(&mut lab, (a, b), &mut next, 1_000);
    lab.cut(case.cut, case.from);
    load(&mut lab, (a, b), &mut next, 2_000);
    let other = case.networks.into_iter().find(|n| *n != case.cut).unwrap();
    for (host, assoc) in [(A, a), (B, b)] {
        // Whose packets still arrive may go on: they are acknowledged, over the other path.
        if case.from.contains(&host) {
            assert_eq!(lab.in_use(host, assoc), other, "{label}: data goes over the other path");
            assert_ne!(lab.state(host, assoc, case.cut), PathState::Active, "{label}");
        }
    }
    lab.restore(case.cut);
    // The cut path is asked at the latest after HB.interval and 1.5 RTO.Max.
    load(&mut lab, (a, b), &mut next, case.config.heartbeat_interval_ms + 1_500 + 200);
    lab.run(1_000);
    let primary = case.networks[0];
    assert_eq!((lab.in_use(A, a), lab.in_use(B, b)), (primary, primary), "{label}: back on the primary");
    for network in case.networks {
        assert_eq!((lab.state(A, a, network), lab.state(B, b, network)), (PathState::Active, PathState::Active));
    }
    assert_eq!((lab.closed(A), lab.closed(B)), (None, None), "{label}: never down");
    let gaps = [longest_gap(&lab, B, next[A], label), longest_gap(&lab, A, next[B], label)];
    let retransmitted = lab.stacks[A].counters().data_retransmitted;
    println!("{label}: longest gap {:?} to B, {:?} to A; {retransmitted} DATA sent again by A", gaps[0], gaps[1]);
    assert!(gaps.iter().all(|gap| *gap < Duration::from_millis(case.gap_max)), "{label}: {gaps:?}");
}

#[test]
fn either_path_is_cut_under_load() {
    let profiles =
        [("defaults", Config::default(), 60), ("failover", failover(), 60), ("T3 alone", no_tail_probe(), 150)];
    let directions: [(&str, &[usize]); 3] = [("both ways", &[A, B]), ("A to B", &[A]), ("B to A", &[B])];
    for (profile, config, gap_max) in profiles {
        for cut in [0, 1] {
            for (direction, from) in directions {
                let label = format!("{profile}, network {cut} cut {direction}");
                one(&Case { label: &label, config: config.clone(), networks: [0, 1], cut, from, gap_max });
            }
        }
    }
}

#[test]
fn ipv4_and_ipv6_stand_in_for_each_other() {
    for cut in [0, 7] {
        let label = format!("IPv4 and IPv6, network {cut} cut");
        one(&Case { label: &label, config: Config::default(), networks: [0, 7], cut, from: &[A, B], gap_max: 60 });
    }
}

#[test]
fn a_mere_receiver_answers_over_the_path_that_lives() {
    // Only A sends: B has no data of its own by which it would notice that its way is broken.
    for from in [&[A, B][..], &[A], &[B]] {
        let mut lab = Lab::new(&[0, 1], &Config::default());
        let (a, _) = lab.up(&[0, 1]);
        let mut next = 0;
        let mut send = |lab: &mut Lab, ms: u64| {
            for _ in 0..ms {
                lab.send(A, a, next);
                next += 1;
                lab.run(1);
            }
        };
        send(&mut lab, 500);
        lab.cut(0, from);
        send(&mut lab, 2_000);
        lab.run(500);
        assert_eq!(lab.stacks[A].outstanding(a), (0, 0), "everything is acknowledged");
        let gap = longest_gap(&lab, B, 2_500, "receiver");
        assert!(gap < Duration::from_millis(60), "{gap:?}");
    }
}

#[test]
fn a_steady_stream_within_a_large_window_does_not_put_the_tail_probe_off() {
    let mut lab = Lab::new(&[0, 1], &Config::default());
    let (a, _) = lab.up(&[0, 1]);
    let mut next = 0;
    // Bursts make the congestion window far larger than the stream after them needs.
    for (count, messages) in [(100, 200), (500, 1)] {
        for _ in 0..count {
            (0..messages).for_each(|n| lab.send(A, a, next + n));
            next += messages;
            lab.run(if messages > 1 { 10 } else { 1 });
        }
    }
    lab.cut(0, &[A, B]);
    for _ in 0..500 {
        lab.send(A, a, next);
        next += 1;
        lab.run(1);
    }
    lab.run(500);
    let received = lab.received(B);
    assert_eq!(received.len() as u64, next);
    let gap = received.windows(2).skip(20_100).map(|w| w[1].0 - w[0].0).max().unwrap();
    assert!(gap < Duration::from_millis(40), "{gap:?}");
}

#[test]
fn a_quiet_path_whose_round_trip_was_longer_once_still_proves_the_other_one_dead() {
    let mut lab = Lab::new(&[0, 1], &Config::default());
    let (a, _) = lab.up(&[0, 1]);
    // Heartbeats measure 16 ms for some time; the stream then measures 2 ms of the first path, and nobody any of the second.
    lab.delay = Duration::from_millis(8);
    lab.run(10_000);
    lab.delay = Duration::from_millis(1);
    for (number, cut) in (0..1_000).map(|n| (n, n == 300)) {
        if cut {
            lab.cut(0, &[A, B]);
        }
        lab.send(A, a, number);
        lab.run(1);
    }
    lab.run(500);
    let gap = longest_gap(&lab, B, 1_000, "quiet path");
    assert!(gap < Duration::from_millis(40), "{gap:?}");
}

#[test]
fn a_message_now_and_then_waits_for_one_tail_probe_only() {
    let mut lab = Lab::new(&[0, 1], &Config::default());
    let (a, _) = lab.up(&[0, 1]);
    lab.send(A, a, 0);
    lab.run(100);
    lab.cut(0, &[A, B]);
    for number in 1..20 {
        let sent = lab.now;
        lab.send(A, a, number);
        lab.run(100);
        let came = lab.received(B).last().copied().unwrap();
        assert_eq!(came.1, number, "before the next one leaves");
        let took = came.0 - sent;
        // Until the path is found dead (a heartbeat without answer within an RTO), the tail probe goes over the other one.
        let most = if number <= 3 { 30 } else { 2 };
        assert!(took < Duration::from_millis(most), "message {number}: {took:?}");
    }
    assert_ne!(lab.state(A, a, 0), PathState::Active);
}

#[test]
fn one_path_after_the_other() {
    let mut lab = Lab::new(&[0, 1], &Config::default());
    let (a, b) = lab.up(&[0, 1]);
    let mut next = [0, 0];
    for round in 0..4 {
        let network = round % 2;
        load(&mut lab, (a, b), &mut next, 500);
        lab.cut(network, &[A, B]);
        load(&mut lab, (a, b), &mut next, 1_000);
        lab.restore(network);
        load(&mut lab, (a, b), &mut next, 2_500);
    }
    lab.run(1_000);
    assert_eq!((lab.closed(A), lab.closed(B)), (None, None));
    let gaps = [longest_gap(&lab, B, next[A], "rounds"), longest_gap(&lab, A, next[B], "rounds")];
    println!("one after the other: longest gaps {gaps:?}");
    assert!(gaps.iter().all(|gap| *gap < Duration::from_millis(60)), "{gaps:?}");
}
