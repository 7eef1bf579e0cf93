//! More comes than the controllers take: the window, whose turn it is, what is discarded, and takeover in the middle of it.

use super::bench::{Bench, Got, data};
use crate::record::Discard;
use sctp::CloseReason;
use std::collections::BTreeMap;

const IAM: u8 = 0x01;
const REL: u8 = 0x0c;

/// What a controller was sent as DATA: circuit and last octet.
fn sent(got: Vec<Got>) -> Vec<(u16, u8)> {
    let mut sent = Vec::new();
    for got in got {
        if let Got::Data(_, user_data) = got {
            sent.push((u16::from_le_bytes([user_data[0], user_data[1]]), user_data[2]));
        }
    }
    sent
}

#[test]
fn beyond_the_window_messages_wait_and_groups_take_turns() {
    let mut bench = Bench::new(|server, _| server.unconfirmed_max = 3);
    let one = bench.controller(1);
    for n in b'a'..=b'g' {
        bench.offer(1, n);
    }
    for n in b'A'..=b'C' {
        bench.offer(40, n);
    }
    bench.offer(70, b'0');
    assert_eq!(sent(bench.got(one)), [(1, b'a'), (1, b'b'), (1, b'c')], "three are unconfirmed");
    bench.pass(0);
    assert!(bench.got(one).is_empty());
    bench.cookie(one, 1, 3, b"");
    bench.offer(70, b'1');
    assert!(bench.got(one).is_empty(), "the newest does not overtake those that wait");
    bench.pass(0);
    assert_eq!(sent(bench.got(one)), [(1, b'd'), (40, b'A'), (70, b'0')], "one each");
    bench.cookie(one, 1, 4, b"");
    bench.cookie(one, 40, 1, b"");
    bench.cookie(one, 70, 1, b"");
    bench.pass(0);
    assert_eq!(sent(bench.got(one)), [(1, b'e'), (40, b'B'), (70, b'1')]);
    bench.cookie(one, 70, 2, b"");
    bench.pass(0);
    assert_eq!(sent(bench.got(one)), [(1, b'f')]);
    assert!(bench.pool.counters().window_full > 0);
    assert!(bench.lines("X").is_empty());
}

#[test]
fn what_begins_something_is_discarded_first() {
    let mut bench = Bench::new(|server, _| {
        server.queue_messages_max = 10;
        server.congestion_percent = 50;
        server.unconfirmed_max = 1;
    });
    bench.controller(1);
    for _ in 0..5 {
        bench.offer(1, IAM);
    }
    assert!(bench.lines("X").is_empty());
    bench.offer(40, IAM);
    for _ in 0..5 {
        bench.offer(1, REL);
    }
    assert_eq!(bench.lines("X"), ["congestion,up,1,2,5,2,0,40,280001"]);
    bench.offer(1, REL);
    bench.offer(40, IAM);
    let discarded = bench.pool.counters().discarded;
    assert_eq!((discarded.of(Discard::Congestion), discarded.of(Discard::QueueFull)), (1, 2), "full is full");
}

/// One controller confirms nothing for a while, the other at once: the queue is not the slow one's alone.
#[test]
fn a_slow_controller_leaves_room_to_the_others() {
    let mut bench = Bench::new(|server, _| {
        server.queue_messages_max = 100;
        server.congestion_percent = 80;
        server.unconfirmed_max = 10;
    });
    let (slow, fast) = (bench.controller(1), bench.controller(2));
    let mut mark = 0;
    for _ in 0..200 {
        bench.offer(1, IAM);
        bench.offer(40, IAM);
        mark += 1;
        assert_eq!(sent(bench.got(fast)), [(40, IAM)], "not discarded, not held up");
        bench.cookie(fast, 40, mark, b"");
    }
    assert_eq!(bench.got(slow).len(), 10);
    let discarded = bench.pool.counters().discarded;
    // Four fifths of 80 are in the queue, and the one that took the last room.
    assert_eq!(discarded.of(Discard::Congestion), 200 - 65, "{discarded:?}");
    assert_eq!(discarded.of(Discard::QueueFull), 0);
    // What ends calls there has the rest of the queue.
    for _ in 0..35 {
        bench.offer(1, REL);
    }
    assert_eq!(bench.pool.counters().discarded, discarded);
}

#[test]
fn bytes_count_as_messages_do() {
    let mut bench = Bench::new(|server, _| {
        server.queue_bytes_max = 1_000;
        server.congestion_percent = 50;
    });
    let one = bench.controller(1);
    for _ in 0..9 {
        bench.offer(1, IAM);
        bench.offer(1, REL);
    }
    let discarded = bench.pool.counters().discarded;
    assert!(discarded.of(Discard::Congestion) > discarded.of(Discard::QueueFull), "{discarded:?}");
    let got = sent(bench.got(one));
    let rels = got.iter().filter(|(_, kind)| *kind == REL).count();
    assert!(rels > got.len() - rels, "{got:?}");
}

/// As a slow controller: one message at a time is confirmed, and every question answered.
#[test]
fn slow_is_not_dead() {
    let mut bench = Bench::new(|server, failover| {
        server.unconfirmed_max = 50;
        failover.confirm_ms = 500;
    });
    let one = bench.controller(1);
    for _ in 0..200 {
        bench.offer(1, REL);
    }
    // 20 a second: the last of the window waits 2.5 s, five times confirm_ms.
    for mark in 1..=100 {
        bench.pass(50);
        bench.cookie(one, 1, mark, b"");
        bench.lease(one, 280);
        assert!(bench.wire.aborted.is_empty(), "after {} ms", bench.elapsed_ms());
    }
    assert_eq!(bench.pool.counters().applied, 100);
    // It stops to confirm, and goes on answering.
    for _ in 0..12 {
        bench.pass(50);
        bench.lease(one, 280);
    }
    assert_eq!(bench.wire.aborted, [one]);
}

/// One message is never confirmed while thousands are: a controller that forgot it.
#[test]
fn a_message_that_is_stuck_is_not_excused_for_ever() {
    let mut bench = Bench::new(|_, failover| (failover.confirm_ms, failover.message_confirm_ms) = (400, 4_000));
    let one = bench.controller(1);
    bench.offer(40, REL);
    let mut mark = 0;
    while bench.wire.aborted.is_empty() {
        mark += 1;
        bench.offer(1, REL);
        bench.pass(50);
        bench.cookie(one, 1, mark, b"");
        bench.lease(one, 280);
        assert!(bench.elapsed_ms() < 4_300, "message_confirm_ms");
    }
    assert!(bench.elapsed_ms() >= 4_000);
}

/// Two controllers that take less than half of what comes; one dies with its window full. What the survivors were sent in each
/// group is what was not discarded, in order, from the first message that the dead one had not confirmed.
#[test]
fn takeover_under_overload_loses_nothing_and_keeps_order() {
    for seed in 1..=20_u64 {
        takeover_under_overload(seed);
    }
}

fn takeover_under_overload(seed: u64) {
    let mut bench = Bench::new(|server, _| {
        server.unconfirmed_max = 7;
        server.queue_messages_max = 60;
    });
    let (one, two) = (bench.controller(1), bench.controller(2));
    let mut random = seed;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    // Per circuit: what was offered and not discarded; what was applied.
    let mut accepted: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    let mut applied: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    // What each controller has in its own queue: (sequence, circuit, octet).
    let mut inbox: BTreeMap<u64, Vec<(u32, u16, u8)>> = BTreeMap::new();
    let mut serial: BTreeMap<u16, u8> = BTreeMap::new();
    let mut alive = vec![one, two];
    for step in 0..600 {
        for _ in 0..next(6) {
            let cic = 1 + 32 * next(5) as u16;
            let number = serial.entry(cic).or_insert(100);
            *number = number.checked_add(1).unwrap_or(100);
            // Above 100: no message type that begins anything.
            let kind = if next(4) == 0 { IAM } else { *number };
            let before = bench.pool.counters().discarded.sum();
            bench.offer(cic, kind);
            if bench.pool.counters().discarded.sum() == before {
                accepted.entry(cic).or_default().push(kind);
            }
        }
        bench.pass(1);
        if step == 300 {
            bench.close(one, &CloseReason::Unreachable);
            alive = vec![two];
            inbox.remove(&one.0);
            bench.pass(1);
        }
        for assoc in alive.clone() {
            let waiting = inbox.entry(assoc.0).or_default();
            for got in bench.got(assoc) {
                if let Got::Data(sequence, text) = got {
                    waiting.push((sequence, u16::from_le_bytes([text[0], text[1]]), text[2]));
                }
            }
            assert!(waiting.len() <= 7, "the window");
            if next(2) == 0 && !waiting.is_empty() {
                let (sequence, cic, octet) = waiting.remove(0);
                applied.entry(cic).or_default().push(octet);
                bench.cookie(assoc, cic, sequence, b"s");
            }
            bench.lease(assoc, 280);
        }
    }
    let counters = *bench.pool.counters();
    assert!(counters.discarded.of(Discard::Congestion) > 0 && counters.discarded.of(Discard::QueueFull) > 0);
    assert!(counters.taken_back > 0, "it died with its window full");
    let (accepted_sum, applied_sum) =
        (accepted.values().map(Vec::len).sum::<usize>(), applied.values().map(Vec::len).sum::<usize>());
    assert_eq!(counters.offered, accepted_sum as u64 + counters.discarded.sum());
    assert_eq!(counters.applied, applied_sum as u64);
    // The load ends; everything that waits is applied.
    while !bench.pool.is_idle() {
        bench.pass(1);
        let waiting = inbox.entry(two.0).or_default();
        for got in bench.got(two) {
            if let Got::Data(sequence, text) = got {
                waiting.push((sequence, u16::from_le_bytes([text[0], text[1]]), text[2]));
            }
        }
        let (sequence, cic, octet) = waiting.remove(0);
        applied.entry(cic).or_default().push(octet);
        bench.cookie(two, cic, sequence, b"s");
        bench.lease(two, 280);
    }
    assert_eq!(applied, accepted, "seed {seed}");
    assert!(bench.wire.aborted.is_empty());
}

#[test]
fn a_full_window_does_not_hold_up_the_cookie_of_a_group_that_moves() {
    let mut bench = Bench::new(|server, _| server.unconfirmed_max = 2);
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.cookie(one, 1, 1, b"calls");
    bench.offer(1, b'b');
    for n in [b'A', b'B', b'C'] {
        bench.offer(40, n);
    }
    bench.clear();
    bench.close(one, &CloseReason::Unreachable);
    let got = bench.got(two);
    assert!(matches!(&got[..], [Got::CookieEcho(_)]), "{got:?}");
    bench.cookie(two, 40, 2, b"");
    bench.pass(0);
    assert_eq!(bench.got(two), [data(3, 40, b'C'), data(2, 1, b'b')]);
}

/// Each level is told once as the queue fills, again after a while, and level 0 when it has emptied below the first threshold less the
/// distance.
#[test]
fn congestion_levels_follow_the_queue() {
    let mut bench = Bench::new(|server, _| {
        server.queue_messages_max = 10;
        server.congestion_levels_percent = [30, 50, 101];
        server.congestion_abatement_percent = 20;
        server.scon_interval_ms = 40;
        server.unconfirmed_max = 100;
    });
    let one = bench.controller(1);
    let mut told = Vec::new();
    for _ in 0..10 {
        bench.offer(1, REL);
        bench.pass(0);
        told.extend(bench.pool.take_congestion());
    }
    assert_eq!(told, [1, 2], "at 3 and 5 of 10; no third level");
    bench.pass(39);
    assert_eq!(bench.pool.take_congestion(), None);
    bench.pass(1);
    assert_eq!(bench.pool.take_congestion(), Some(2), "told again");
    told.clear();
    for mark in 1..=10 {
        bench.cookie(one, 1, mark, b"");
        bench.pass(0);
        told.extend(bench.pool.take_congestion());
    }
    assert_eq!(told, [1, 0], "left at 2 and at none of 10");
    bench.pass(100);
    assert_eq!(bench.pool.take_congestion(), None, "no more");
}

#[test]
fn what_cannot_be_reached_is_not_congested() {
    let mut bench = Bench::new(|server, _| {
        server.queue_messages_max = 10;
        server.t_r_ms = 100;
    });
    for _ in 0..6 {
        bench.offer(1, REL);
    }
    bench.pass(0);
    assert_eq!(bench.pool.take_congestion(), Some(1));
    bench.pass(100);
    assert!(!bench.pool.is_available());
    assert_eq!((bench.pool.take_congestion(), bench.pool.congestion_level()), (None, 0));
}
