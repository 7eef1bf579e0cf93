//! Nothing is lost without a word: whatever the network does, each accepted message is delivered or handed back, once.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.
mod common;

use bytes::Bytes;
use common::{A, B, Dice, Link, Net, address, config};
use sctp::{AssocId, CloseReason, Config, Event, SendError, SendOptions, Unreachable};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What one side did and saw.
#[derive(Default)]
struct Side {
    accepted: Vec<(u64, u16, bool)>,
    next: u64,
}

impl Side {
    fn send(&mut self, net: &mut Net, node: usize, assoc: AssocId, dice: &mut Dice) {
        let options = SendOptions {
            stream: dice.below(5) as u16,
            ppid: dice.next() as u32,
            unordered: dice.chance(15),
            context: self.next,
        };
        let size = [8, 20, 200, 1_000, 1_372, 3_000, 20_000][dice.below(7) as usize];
        let mut payload = vec![self.next as u8; size];
        payload[..8].copy_from_slice(&self.next.to_be_bytes());
        match net.stacks[node].send(net.now, assoc, options, Bytes::from(payload)) {
            Ok(()) => {
                self.accepted.push((self.next, options.stream, options.unordered));
                self.next += 1;
            }
            Err(SendError::QueueFull | SendError::NotOpen) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Numbers received by `node` from `assoc`, checked for content.
fn received(net: &Net, node: usize) -> Vec<(u64, u16, bool)> {
    net.messages(node)
        .into_iter()
        .map(|(stream, _, unordered, payload)| {
            let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
            assert!(payload[8..].iter().all(|byte| *byte == number as u8));
            (number, stream, unordered)
        })
        .collect()
}

fn check(net: &Net, from: usize, to: usize, side: &Side, label: &str) {
    let accepted: BTreeSet<u64> = side.accepted.iter().map(|a| a.0).collect();
    let got = received(net, to);
    let numbers: BTreeSet<u64> = got.iter().map(|g| g.0).collect();
    assert_eq!(numbers.len(), got.len(), "{label}: delivered twice");
    assert!(numbers.is_subset(&accepted), "{label}: from nowhere");
    let back = net.undelivered(from);
    assert!(back.windows(2).all(|w| w[0] < w[1]), "{label}: handed back out of order or twice");
    let back: BTreeSet<u64> = back.into_iter().collect();
    assert!(back.is_subset(&accepted), "{label}");
    // Acknowledged means delivered; what is neither delivered nor handed back would be lost.
    for number in accepted.difference(&back) {
        assert!(numbers.contains(number), "{label}: {number} of {} lost without a word", accepted.len());
    }
    // What is handed back as never transmitted was never delivered.
    for event in &net.events[from] {
        if let Event::Closed { undelivered, .. } = event {
            for u in undelivered {
                assert!(u.transmitted || !numbers.contains(&u.context), "{label}: {} was transmitted", u.context);
            }
        }
    }
    let mut last: BTreeMap<u16, u64> = BTreeMap::new();
    for (number, stream, unordered) in got {
        if !unordered {
            let before = last.insert(stream, number);
            assert!(before.is_none_or(|b| b < number), "{label}: stream {stream} out of order");
            // In order means without a gap among the ordered ones of the stream.
            let skipped = side
                .accepted
                .iter()
                .filter(|a| a.1 == stream && !a.2 && a.0 < number && before.is_none_or(|b| a.0 > b));
            assert_eq!(skipped.count(), 0, "{label}: stream {stream} skipped");
        }
    }
}

fn one(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let side = |dice: &mut Dice| Config {
        supervision_ms: [0, 500, 2_000][dice.below(3) as usize],
        rto_min_ms: [50, 100, 300][dice.below(3) as usize],
        engine_window_messages: [1, 8, 64][dice.below(3) as usize],
        send_queue_messages_max: [50, 20_000][dice.below(2) as usize],
        mtu: [600, 1_400][dice.below(2) as usize],
        association_max_retrans: 6,
        ..config()
    };
    let (a_config, b_config) = (side(&mut dice), side(&mut dice));
    let mut net = Net::new(seed, a_config, b_config);
    net.link = Link {
        delay: Duration::from_micros(50 + dice.below(20_000)),
        jitter_us: [0, 500, 30_000][dice.below(3) as usize],
        loss: [0, 1, 5, 20][dice.below(4) as usize],
        duplicate: [0, 10][dice.below(2) as usize],
        cut: [false; 2],
    };
    net.record = true;
    let label = format!("seed {seed} {:?}", net.link);
    let a = net.connect();
    net.run_for(Duration::from_secs(30), |n| {
        (n.up_of(A).is_some() && n.up_of(B).is_some()) || n.closed_of(A).is_some()
    });
    let (Some(_), Some(b)) = (net.up_of(A), net.up_of(B)) else { return };
    let mut sides = [Side::default(), Side::default()];
    let mut end = dice.below(6);
    for _ in 0..20 + dice.below(60) {
        for (node, assoc) in [(A, a), (B, b)] {
            for _ in 0..dice.below(12) {
                sides[node].send(&mut net, node, assoc, &mut dice);
            }
        }
        net.run_ms(dice.below(40));
        if dice.chance(2) {
            // A short outage in one direction or both.
            net.link.cut = [dice.chance(60), dice.chance(60)];
            net.run_ms(dice.below(300));
            net.link.cut = [false; 2];
        }
    }
    let now = net.now;
    let closed = |n: &Net| n.closed_of(A).is_some() && n.closed_of(B).is_some();
    match end {
        0 => net.stacks[A].shutdown(now, a),
        1 => net.stacks[B].shutdown(now, b),
        2 => net.stacks[A].abort(now, a, b"end"),
        3 => net.link.cut = [true, true],
        4 => net.link.cut = [true, false],
        _ => {
            net.drain();
            if let Some((_, last)) = net.sent.iter().rev().find(|(node, _)| *node == A) {
                let error = Unreachable { to: address(B), quoted: last.payload.clone(), port: true };
                net.stacks[A].handle_unreachable(now, &error);
            }
        }
    }
    net.sent.clear();
    net.record = false;
    if !net.run_for(Duration::from_secs(600), closed) {
        // One side may not learn of the end; nothing can be asked of it but to end on our order.
        end = 9;
        let now = net.now;
        net.stacks[A].abort(now, a, b"");
        net.stacks[B].abort(now, b, b"");
        net.drain();
    }
    assert!(closed(&net), "{label} end {end}");
    check(&net, A, B, &sides[A], &label);
    check(&net, B, A, &sides[B], &label);
    if end < 2 && net.closed_of(A) == Some(CloseReason::Shutdown) && net.closed_of(B) == Some(CloseReason::Shutdown) {
        assert!(
            net.undelivered(A).is_empty() && net.undelivered(B).is_empty(),
            "{label}: a clean end hands nothing back"
        );
    }
    for node in [A, B] {
        assert_eq!(net.stacks[node].counters().engine_surprises, 0, "{label}");
        let counters = net.stacks[node].counters();
        assert_eq!(
            counters.messages_accepted,
            counters.messages_acknowledged + counters.messages_handed_back,
            "{label}"
        );
        assert_eq!(net.stacks[node].associations().count(), 0);
    }
}

/// `SIGPOOL_SEEDS=5000 cargo test --release -p sctp --test lossy` tries more.
#[test]
fn every_accepted_message_is_delivered_or_handed_back_once() {
    for seed in 1..=common::seeds(150) {
        one(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut net = Net::new(5, config(), config());
        net.link.loss = 10;
        net.link.jitter_us = 5_000;
        net.record = true;
        let a = net.connect();
        net.run_ms(1_500);
        for i in 0..500 {
            if net.up_of(A).is_some() {
                net.send(A, a, (i % 4) as u16, i, vec![1; 300]);
            }
            net.run_ms(2);
        }
        net.run_ms(3_000);
        let begin = net.begin;
        let packets: Vec<Bytes> = net.sent.iter().map(|(_, t)| t.payload.clone()).collect();
        (packets, net.messages(B).len(), net.now - begin)
    };
    let (first, second) = (run(), run());
    assert_eq!(first.1, second.1);
    assert_eq!(first.0.len(), second.0.len());
    assert!(first == second);
}
