//! Silent, unreachable, broken and badly behaved peers: what is noticed, how soon, and what comes back.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.
mod common;

use common::{A, B, Fake, Net, PORT, address, chunk, config, data, packet, sack, u32_at};
use sctp::{AssocId, CloseReason, Config, Connect, Event, PathState, Unreachable};
use std::time::Duration;

fn supervised(ms: u64) -> Config {
    Config { supervision_ms: ms, ..config() }
}

fn silent_after(net: &mut Net) -> Duration {
    let begin = net.now;
    assert!(net.run_for(Duration::from_secs(120), |n| n.closed_of(A).is_some()));
    assert_eq!(net.closed_of(A), Some(CloseReason::Silent));
    net.now - begin
}

#[test]
fn a_silent_peer_with_data_under_way_is_noticed_in_supervision_time() {
    let mut net = Net::new(1, supervised(300), config());
    let (a, _) = net.up();
    net.send(A, a, 1, 0, "arrives");
    net.run_ms(50);
    net.link.cut = [true, true];
    for i in 1..200 {
        net.send(A, a, 1, i, vec![0; 200]);
    }
    let took = silent_after(&mut net);
    assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(310), "{took:?}");
    assert_eq!(net.undelivered(A), (1..200).collect::<Vec<_>>());
}

#[test]
fn a_silent_peer_without_data_is_noticed_by_heartbeats() {
    let mut net = Net::new(1, supervised(300), config());
    net.up();
    net.run_ms(5_000);
    net.link.cut = [true, true];
    let took = silent_after(&mut net);
    // The next heartbeat is due within interval + 1.5 RTO.
    assert!(took <= Duration::from_millis(500 + 150 + 310), "{took:?}");
    assert!(net.events[A].iter().any(|e| matches!(e, Event::Path { state: PathState::PotentiallyFailed, .. })));
}

#[test]
fn supervision_is_never_under_four_round_trips() {
    let mut net = Net::new(1, supervised(100), config());
    net.link.delay = Duration::from_millis(75);
    let (a, _) = net.up();
    for i in 0..20 {
        net.send(A, a, 1, i, vec![0; 200]);
        net.run_ms(300);
    }
    assert_eq!(net.closed_of(A), None, "a quiet 300 ms at a round trip of 150 ms is no death");
    net.link.cut = [true, true];
    net.send(A, a, 1, 99, "x");
    let took = silent_after(&mut net);
    assert!(took >= Duration::from_millis(600) && took < Duration::from_millis(620), "{took:?}");
}

#[test]
fn without_supervision_the_error_counter_decides() {
    let mut net = Net::new(1, Config { supervision_ms: 0, heartbeat_interval_ms: 1_000_000, ..config() }, config());
    let (a, _) = net.up();
    net.link.cut = [true, true];
    net.send(A, a, 1, 0, "x");
    let took = silent_after(&mut net);
    // T3-rtx eleven times: 100, 200, 400, 800 ms, then 1,000 ms.
    assert_eq!(net.stacks[A].counters().t3_expired, 11);
    assert_eq!(took.as_millis(), 100 + 200 + 400 + 800 + 7 * 1_000);
    let states: Vec<_> = net.events[A]
        .iter()
        .filter_map(|e| match e {
            Event::Path { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [PathState::PotentiallyFailed, PathState::Inactive]);
}

#[test]
fn a_short_outage_kills_nothing_and_heals() {
    let mut net = Net::new(1, supervised(1_000), supervised(1_000));
    let (a, b) = net.up();
    net.link.cut = [true, true];
    for i in 0..50 {
        net.send(A, a, 1, i, vec![0; 200]);
        net.send(B, b, 1, i, vec![0; 200]);
    }
    net.run_ms(700);
    net.link.cut = [false; 2];
    net.run_ms(2_000);
    assert_eq!((net.closed_of(A), net.closed_of(B)), (None, None));
    assert_eq!((net.messages(A).len(), net.messages(B).len()), (50, 50));
    let last = net.events[A].iter().rev().find_map(|e| match e {
        Event::Path { state, .. } => Some(*state),
        _ => None,
    });
    assert_eq!(last, Some(PathState::Active));
}

/// The head of the last packet A sent.
fn quoted(net: &Net, bytes: usize) -> bytes::Bytes {
    let (_, last) = net.sent.iter().rev().find(|(node, _)| *node == A).unwrap();
    last.payload.slice(..bytes)
}

fn icmp(net: &mut Net, quoted: impl Into<bytes::Bytes>, port: bool) {
    let error = Unreachable { to: address(B), quoted: quoted.into(), port };
    let now = net.now;
    net.stacks[A].handle_unreachable(now, &error);
    net.drain();
}

#[test]
fn port_unreachable_with_the_right_tag_ends_it_at_once() {
    let mut net = Net::quick();
    let (a, _) = net.up();
    net.record = true;
    net.link.cut = [true, true];
    for i in 0..20 {
        net.send(A, a, 1, i, "x");
    }
    net.drain();
    let good = quoted(&net, 8);
    for i in 0..8 {
        let mut bad = good.to_vec();
        bad[i] ^= 1;
        icmp(&mut net, bad, true);
    }
    icmp(&mut net, good.slice(..7), true);
    assert_eq!(net.stacks[A].counters().icmp_ignored, 9);
    assert_eq!(net.closed_of(A), None);
    icmp(&mut net, good, true);
    assert_eq!(net.closed_of(A), Some(CloseReason::Unreachable));
    assert!(net.closed_of(A).unwrap().is_certain());
    assert_eq!(net.undelivered(A), (0..20).collect::<Vec<_>>());
}

#[test]
fn host_unreachable_is_an_error_like_another_and_icmp_can_be_switched_off() {
    let mut net = Net::quick();
    net.record = true;
    net.up();
    net.run_ms(1_000);
    let good = quoted(&net, 8);
    icmp(&mut net, good.clone(), false);
    assert_eq!(net.closed_of(A), None);
    assert!(net.events[A].iter().any(|e| matches!(e, Event::Path { state: PathState::PotentiallyFailed, .. })));

    let mut net = Net::new(1, Config { icmp: false, ..config() }, config());
    net.record = true;
    net.up();
    net.run_ms(1_000);
    let good = quoted(&net, 8);
    icmp(&mut net, good, true);
    assert_eq!(net.closed_of(A), None);
}

#[test]
fn icmp_while_connecting_needs_the_initiate_tag() {
    let mut net = Net::quick();
    net.link.cut = [true, true];
    net.record = true;
    net.connect();
    net.drain();
    let head = quoted(&net, 8);
    icmp(&mut net, head, true);
    assert_eq!(net.closed_of(A), None, "too short to show the tag");
    let mut wrong = quoted(&net, 20).to_vec();
    wrong[19] ^= 1;
    icmp(&mut net, wrong, true);
    assert_eq!(net.closed_of(A), None);
    let right = quoted(&net, 20);
    icmp(&mut net, right, true);
    assert_eq!(net.closed_of(A), Some(CloseReason::ConnectFailed));
}

#[test]
fn with_two_addresses_the_second_is_tried_and_takes_over() {
    let mut net = Net::quick();
    net.record = true;
    // Nobody is at the first.
    let nobody = "127.0.0.200:9899".parse().unwrap();
    let connect = Connect { peer: vec![nobody, address(B)], peer_port: PORT, local_port: None };
    let a = net.stacks[A].connect(net.now, connect).unwrap();
    net.drain();
    let error = Unreachable { to: nobody, quoted: quoted(&net, 20), port: true };
    let now = net.now;
    net.stacks[A].handle_unreachable(now, &error);
    assert!(net.run_for(Duration::from_millis(10), |n| n.up_of(A).is_some()));
    assert_eq!(net.stacks[A].addresses(a), [nobody, address(B)]);
    net.send(A, a, 1, 0, "goes to the second at once");
    net.run_ms(10);
    assert_eq!(net.messages(B).len(), 1);
    net.run_ms(3_000);
    assert_eq!(net.closed_of(A), None);
    let info = net.stacks[A].info(a).unwrap();
    assert_eq!((info.paths[0].state, info.paths[1].state), (PathState::Inactive, PathState::Active));
}

#[test]
fn silence_in_shutdown_is_noticed() {
    let mut net = Net::new(1, supervised(300), config());
    let (a, _) = net.up();
    net.link.cut = [true, true];
    net.send(A, a, 1, 7, "x");
    let now = net.now;
    net.stacks[A].shutdown(now, a);
    assert!(silent_after(&mut net) < Duration::from_millis(320));
    assert_eq!(net.undelivered(A), [7]);
}

#[test]
fn every_single_loss_in_a_shutdown_is_made_good() {
    for lost in 0..3 {
        let mut net = Net::quick();
        let (a, _) = net.up();
        let now = net.now;
        net.stacks[A].shutdown(now, a);
        let sent = |net: &Net| net.stacks.iter().map(|s| s.counters().packets_out).sum::<u64>();
        let begin = sent(&net);
        for _ in 0..50 {
            net.link.cut = [sent(&net) - begin == lost; 2];
            net.run_ms(1);
        }
        net.link.cut = [false; 2];
        net.run_ms(1_000);
        assert_eq!(net.closed_of(A), Some(CloseReason::Shutdown), "lost {lost}");
        assert_eq!(net.closed_of(B), Some(CloseReason::Shutdown), "lost {lost}");
    }
}

#[test]
fn a_long_path_is_not_limited_by_the_window() {
    let mut net = Net::new(1, Config { supervision_ms: 0, ..config() }, config());
    net.link.delay = Duration::from_millis(75);
    let (a, _) = net.up();
    let mut most = 0;
    for i in 0..2_000 {
        for k in 0..10 {
            net.send(A, a, (k % 16) as u16, i * 10 + k, vec![0; 200]);
        }
        net.run_ms(5);
        most = most.max(net.stacks[A].outstanding(a).0);
    }
    net.run_ms(1_000);
    assert_eq!(net.messages(B).len(), 20_000, "10 s of 2,000 a second at 150 ms");
    assert!(most < 3_000, "queue stayed bounded: {most}");
}

#[test]
fn data_on_a_stream_that_does_not_exist_is_acknowledged_reported_and_dropped() {
    let mut fake = Fake::up(config());
    let t = fake.tsn;
    let answer = fake.say(&[
        data(t, 10, 0, 3, 3, b"bad"),
        data(t + 1, 99, 0, 3, 3, b"bad"),
        data(t + 2, 9, 0, 3, 3 | 8, b"good"),
    ]);
    assert_eq!(fake.net.messages(B), [(9, 3, false, "good".into())]);
    let errors: Vec<_> = answer.iter().filter(|c| c.0 == 9).collect();
    assert_eq!(errors.len(), 1, "one report a packet");
    assert_eq!(errors[0].2, [0, 1, 0, 8, 0, 10, 0, 0]);
    let sack = answer.iter().find(|c| c.0 == 3).unwrap();
    assert_eq!(u32_at(&sack.2, 0), t + 2);
    // And the stream that is there goes on.
    fake.say(&[data(t + 3, 9, 1, 3, 3, b"more")]);
    assert_eq!(fake.net.messages(B).len(), 2);
}

#[test]
fn bad_sacks() {
    let mut fake = Fake::up(config());
    fake.net.send(B, fake.assoc, 1, 5, "x");
    fake.net.drain();
    let first = fake.peer_tsn;
    fake.say(&[sack(first.wrapping_sub(1), &[(1, 9)])]);
    fake.say(&[sack(first.wrapping_sub(1), &[(0, 1)])]);
    fake.say(&[chunk(3, 0, &[0; 8])]);
    assert_eq!(fake.net.stacks[B].counters().dropped_sack, 3);
    assert_eq!(fake.net.stacks[B].outstanding(fake.assoc), (1, 1));
    let answer = fake.say(&[sack(first.wrapping_add(1), &[])]);
    assert_eq!(answer[0].0, 6);
    assert_eq!(fake.net.closed_of(B), Some(CloseReason::ProtocolViolation));
    assert_eq!(fake.net.undelivered(B), [5]);
}

#[test]
fn data_without_user_data_is_a_violation_that_names_the_tsn() {
    let mut fake = Fake::up(config());
    let t = fake.tsn;
    let answer = fake.say(&[data(t, 1, 0, 3, 3, b"")]);
    assert_eq!(answer, [(6, 0, [&[0, 9, 0, 8][..], &t.to_be_bytes()].concat())]);
    assert_eq!(fake.net.closed_of(B), Some(CloseReason::ProtocolViolation));
}

#[test]
fn unknown_chunks_by_their_high_bits() {
    let t = |fake: &Fake| fake.tsn;
    for (kind, goes_on, reported) in
        [(0x3f, false, false), (0x7f, false, true), (0x8f, true, false), (0xcf, true, true)]
    {
        let mut fake = Fake::up(config());
        let tsn = t(&fake);
        let answer = fake.say(&[chunk(kind, 0, b"abc"), data(tsn, 1, 0, 3, 3 | 8, b"x")]);
        assert_eq!(fake.net.messages(B).len(), usize::from(goes_on), "{kind:x}");
        let errors: Vec<_> = answer.into_iter().filter(|c| c.0 == 9).collect();
        let expected = (9, 0, [&[0, 6, 0, 11, kind, 0, 0, 7][..], b"abc"].concat());
        assert_eq!(errors, if reported { vec![expected] } else { vec![] }, "{kind:x}");
    }
}

#[test]
fn an_error_chunk_kills_nothing_and_a_heartbeat_ack_must_be_ours() {
    let mut fake = Fake::up(config());
    fake.say(&[chunk(9, 0, &[0, 6, 0, 8, 1, 2, 3, 4]), chunk(9, 0, &[])]);
    fake.say(&[chunk(5, 0, &[0, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])]);
    fake.say(&[chunk(5, 0, &[0, 1, 0, 4])]);
    let counters = fake.net.stacks[B].counters();
    assert_eq!((counters.errors_in, counters.dropped_heartbeat_ack), (2, 2));
    assert_eq!(fake.net.closed_of(B), None);
    // Ours comes back unchanged.
    fake.net.run_ms(1_000);
    let heartbeat = fake.net.sent.iter().flat_map(|(_, p)| common::chunks(&p.payload)).find(|c| c.0 == 4).unwrap();
    assert_eq!(fake.say(&[chunk(4, 0, b"anything")]), [(5, 0, b"anything".to_vec())]);
    fake.say(&[chunk(5, 0, &heartbeat.2)]);
    assert_eq!(fake.net.stacks[B].counters().dropped_heartbeat_ack, 2);
}

#[test]
fn a_lost_acknowledgement_is_repeated_at_once() {
    let mut fake = Fake::up(config());
    let t = fake.tsn;
    fake.say(&[data(t, 1, 0, 3, 3 | 8, b"x")]);
    let answer = fake.say(&[data(t, 1, 0, 3, 3, b"x")]);
    assert_eq!((answer[0].0, u32_at(&answer[0].2, 0)), (3, t));
    assert_eq!(fake.net.messages(B).len(), 1);
    assert_eq!(fake.net.stacks[B].counters().data_duplicate, 1);
}

#[test]
fn an_acknowledgement_waits_no_longer_than_the_setting() {
    let mut fake = Fake::up(config());
    let t = fake.tsn;
    // Section 5.1: the first DATA of an association is acknowledged at once.
    let answer = fake.say(&[data(t, 1, 0, 3, 3, b"x")]);
    assert_eq!((answer.len(), answer[0].0, u32_at(&answer[0].2, 0)), (1, 3, t));
    assert_eq!(fake.say(&[data(t + 1, 1, 1, 3, 3, b"x")]), []);
    let begin = fake.net.now;
    fake.net.sent.clear();
    fake.net.run_for(Duration::from_secs(1), |n| !n.sent.is_empty());
    assert_eq!(fake.net.now - begin, Duration::from_millis(40));
    assert_eq!(common::chunks(&fake.net.sent[0].1.payload)[0].0, 3);
}

#[test]
fn what_a_foreign_peer_closes_is_closed_by_the_book() {
    // SHUTDOWN while we have a message under way: it is delivered first.
    let mut fake = Fake::up(config());
    fake.net.send(B, fake.assoc, 1, 5, "x");
    fake.net.drain();
    let first = fake.peer_tsn;
    assert_eq!(fake.say(&[chunk(7, 0, &first.wrapping_sub(1).to_be_bytes())]), []);
    let answer = fake.say(&[chunk(7, 0, &first.to_be_bytes())]);
    assert_eq!(answer, [(8, 0, vec![])]);
    // Our SHUTDOWN ACK was lost.
    assert_eq!(fake.say(&[chunk(7, 0, &first.to_be_bytes())]), [(8, 0, vec![])]);
    assert_eq!(fake.say(&[chunk(14, 0, &[])]), []);
    assert_eq!(fake.net.closed_of(B), Some(CloseReason::Shutdown));
    // It comes again: out of the blue now.
    let bytes = packet((fake.port, PORT), fake.peer_tag, &[chunk(8, 0, &[])]);
    fake.net.sent.clear();
    fake.net.inject(B, address(A), bytes);
    assert_eq!(common::chunks(&fake.net.sent[0].1.payload), [(14, 1, vec![])]);

    // We close: DATA of the peer is taken until its SHUTDOWN ACK, and answered by SACK and SHUTDOWN.
    let mut fake = Fake::up(config());
    let (t, now) = (fake.tsn, fake.net.now);
    fake.net.sent.clear();
    fake.net.stacks[B].shutdown(now, fake.assoc);
    fake.net.drain();
    assert_eq!(common::chunks(&fake.net.sent[0].1.payload), [(7, 0, t.wrapping_sub(1).to_be_bytes().to_vec())]);
    let answer = fake.say(&[data(t, 1, 0, 3, 3, b"late")]);
    let kinds: Vec<_> = answer.iter().map(|c| c.0).collect();
    assert_eq!(kinds, [7, 3]);
    assert_eq!(answer[0].2, t.to_be_bytes());
    assert_eq!(fake.net.messages(B).len(), 1);
    assert_eq!(fake.say(&[chunk(8, 0, &[])]), [(14, 0, vec![])]);
    assert_eq!(fake.net.closed_of(B), Some(CloseReason::Shutdown));
}

#[test]
fn closed_is_the_last_event_of_an_association() {
    let mut net = Net::new(1, supervised(300), config());
    let (a, _) = net.up();
    net.link.cut = [true, true];
    net.send(A, a, 1, 0, "x");
    silent_after(&mut net);
    net.run_ms(5_000);
    let of = |e: &Event| -> Option<AssocId> {
        match e {
            Event::Up { assoc, .. }
            | Event::Message { assoc, .. }
            | Event::Path { assoc, .. }
            | Event::Closed { assoc, .. } => Some(*assoc),
            _ => None,
        }
    };
    let last = net.events[A].iter().rev().find(|e| of(e) == Some(a));
    assert!(matches!(last, Some(Event::Closed { .. })));
    assert!(net.stacks[A].poll_timeout().is_none(), "no timer is left");
}

#[test]
fn a_peer_without_room_is_alive() {
    let mut fake = Fake::up(supervised(2_000));
    for i in 0..3 {
        fake.net.send(B, fake.assoc, 1, i, "x");
    }
    fake.net.drain();
    let before = fake.peer_tsn.wrapping_sub(1);
    // It answers each probe: nothing taken, a_rwnd 0.
    for _ in 0..100 {
        let value = [&before.to_be_bytes()[..], &[0; 8]].concat();
        fake.say(&[chunk(3, 0, &value)]);
        fake.net.run_ms(500);
    }
    assert_eq!(fake.net.closed_of(B), None, "50 s");
    assert!(fake.net.stacks[B].counters().t3_expired > 20);
    fake.say(&[sack(before.wrapping_add(3), &[])]);
    assert_eq!(fake.net.stacks[B].outstanding(fake.assoc), (0, 0));
}
