//! The life of an association beyond single events (those are in `states`): sequences, replays, timers, restarts, reports.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.
mod common;

use common::{
    A, B, Dice, Fake, Net, PORT, address, chunk, chunks, config, cookie_of, data, init, packet, param_of, u32_at,
};
use sctp::{CloseReason, Config, Connect, ConnectionState, Event};
use std::net::SocketAddr;
use std::time::Duration;

/// An address parameter.
fn v4(last: [u8; 4]) -> Vec<u8> {
    [&[0, 5, 0, 8][..], &last].concat()
}

/// From here to there on the same ports each time, so that one association follows another.
fn fixed(to: usize) -> Connect {
    Connect { peer: vec![address(to)], peer_port: PORT, local_port: Some(PORT) }
}

#[test]
fn packets_of_an_earlier_life_do_no_harm_to_a_later_one() {
    // The first life, every packet kept: handshake, messages both ways, shutdown.
    let mut net = Net::quick();
    net.record = true;
    net.stacks[A].connect(net.now, fixed(B)).unwrap();
    net.run_ms(20);
    let (a, b) = (net.up_of(A).unwrap(), net.up_of(B).unwrap());
    for i in 0..20 {
        net.send(A, a, 1, i, "old");
        net.send(B, b, 1, i, "old");
    }
    net.run_ms(100);
    let now = net.now;
    net.stacks[A].shutdown(now, a);
    net.run_ms(100);
    assert_eq!((net.closed_of(A), net.closed_of(B)), (Some(CloseReason::Shutdown), Some(CloseReason::Shutdown)));
    let old = std::mem::take(&mut net.sent);
    assert!(old.len() > 10);
    // Into nothing, into each state of the next life.
    for until_ms in [0, 1, 2, 3, 20] {
        net.events.iter_mut().for_each(Vec::clear);
        for (from, transmit) in &old {
            net.inject(1 - from, address(*from), transmit.payload.clone());
        }
        net.run_ms(10);
        assert_eq!(
            net.stacks[B].associations().count() + net.stacks[A].associations().count(),
            0,
            "nothing comes back"
        );
        net.stacks[A].connect(net.now, fixed(B)).unwrap();
        net.run_ms(until_ms);
        for (from, transmit) in &old {
            net.inject(1 - from, address(*from), transmit.payload.clone());
        }
        net.run_ms(1_000);
        let (a, b) = (net.up_of(A).expect("up"), net.up_of(B).expect("up"));
        net.send(A, a, 1, 0, "new");
        net.send(B, b, 1, 0, "new");
        net.run_ms(50);
        for (from, transmit) in &old {
            net.inject(1 - from, address(*from), transmit.payload.clone());
        }
        net.run_ms(50);
        let texts = |node| net.messages(node).into_iter().map(|m| m.3).collect::<Vec<_>>();
        assert_eq!((texts(A), texts(B)), (vec!["new".into()], vec!["new".into()]), "at {until_ms} ms");
        let now = net.now;
        net.stacks[B].shutdown(now, b);
        net.run_ms(100);
        assert_eq!((net.closed_of(A), net.closed_of(B)), (Some(CloseReason::Shutdown), Some(CloseReason::Shutdown)));
    }
}

#[test]
fn both_may_open_at_once_whatever_is_lost_and_doubled() {
    for seed in 1..=common::seeds(400) {
        let mut net = Net::new(seed, config(), config());
        let mut dice = Dice(seed * 77 + 1);
        net.stacks[A].listen(PORT);
        (net.link.loss, net.link.duplicate, net.link.jitter_us) = (dice.below(30), dice.below(30), dice.below(4_000));
        let first = dice.below(2) as usize;
        net.stacks[first].connect(net.now, fixed(1 - first)).unwrap();
        let wait = Duration::from_micros(dice.below(6_000));
        net.run_for(wait, |_| false);
        // Refused where the other's is up already.
        let _ = net.stacks[1 - first].connect(net.now, fixed(first));
        let up = |net: &Net, node: usize| {
            net.stacks[node]
                .associations()
                .any(|a| net.stacks[node].connection_state(a) == Some(ConnectionState::Established))
        };
        assert!(net.run_for(Duration::from_secs(30), |n| up(n, A) && up(n, B)), "seed {seed}");
        (net.link.loss, net.link.duplicate) = (0, 0);
        net.run_ms(3_000);
        assert_eq!((net.stacks[A].associations().count(), net.stacks[B].associations().count()), (1, 1), "seed {seed}");
        let (a, b) = (net.up_of(A).unwrap(), net.up_of(B).unwrap());
        net.send(A, a, 1, 0, "from a");
        net.send(B, b, 1, 0, "from b");
        net.run_ms(200);
        assert_eq!((net.messages(A).len(), net.messages(B).len()), (1, 1), "seed {seed}");
    }
}

/// Section 5.2.4 A: undelivered messages come back, streams begin again, and the event says what it was.
#[test]
fn a_restart_is_told_before_the_new_association_and_streams_begin_again() {
    let mut fake = Fake::up(Config { engine_window_messages: 1, ..config() });
    let t = fake.tsn;
    fake.say(&[data(t, 1, 0, 3, 3, b"old")]);
    fake.net.send(B, fake.assoc, 1, 41, "unacknowledged");
    fake.net.drain();
    fake.net.send(B, fake.assoc, 1, 42, "also");
    let (tag, ack) = Fake::init_ack(&mut fake.net, fake.port, 0x7777, 5_000, &[]);
    assert!(fake.net.stacks[B].state(fake.assoc).is_some(), "INIT alone ends nothing");
    fake.net.events[B].clear();
    fake.peer_tag = tag;
    // The first message of the new life is bundled with the COOKIE ECHO: stream sequence number 0 again.
    let answer = fake.say(&[chunk(10, 0, &cookie_of(&ack)), data(5_000, 1, 0, 3, 3, b"new")]);
    let kinds: Vec<u8> = answer.iter().map(|c| c.0).collect();
    assert_eq!(kinds, [11, 3], "COOKIE ACK first");
    let [
        Event::Closed { assoc, reason, undelivered },
        Event::Up { assoc: new, incoming, .. },
        Event::Message { payload, .. },
    ] = &fake.net.events[B][..]
    else {
        panic!("{:?}", fake.net.events[B])
    };
    assert_eq!((*assoc, reason), (fake.assoc, &CloseReason::Restarted));
    let back: Vec<_> = undelivered.iter().map(|u| (u.context, u.transmitted)).collect();
    assert_eq!(back, [(41, true), (42, false)]);
    assert!(new != assoc && *incoming && payload == "new");
    // Our first message has stream sequence number 0 too.
    fake.net.sent.clear();
    let new = *new;
    fake.net.send(B, new, 1, 0, "first");
    fake.net.drain();
    let sent = chunks(&fake.net.sent[0].1.payload);
    assert_eq!((sent[0].0, &sent[0].2[4..8]), (0, &[0, 1, 0, 0][..]));
    assert_eq!(u32_at(&fake.net.sent[0].1.payload, 4), 0x7777);
    // The old tag is dead.
    assert_eq!(fake.say_with(fake.tag, &[chunk(6, 1, &[])]), []);
    assert!(fake.net.stacks[B].state(new).is_some());
}

#[test]
fn a_restart_works_where_nobody_listens_any_more() {
    let mut fake = Fake::up(config());
    fake.net.stacks[B].stop_listening(PORT);
    let (tag, ack) = Fake::init_ack(&mut fake.net, fake.port, 0x7777, 5_000, &[]);
    assert_eq!(fake.say_with(tag, &[chunk(10, 0, &cookie_of(&ack))])[0].0, 11);
    assert_eq!(fake.net.stacks[B].associations().count(), 1);
}

/// Section 5.2.2: fewer addresses are fine, others are not, and one that never became a path is no new one.
#[test]
fn a_restart_with_another_set_of_addresses() {
    let listed = [v4([127, 0, 0, 1]), v4([127, 0, 0, 7])].concat();
    let elsewhere: SocketAddr = "10.0.0.1:9899".parse().unwrap();
    let begin = |source: SocketAddr, params: &[u8]| {
        let mut net = Net::quick();
        net.link.cut = [true, true];
        net.record = true;
        net.inject(B, source, packet((4_000, PORT), 0, &[init(7, (10, 10), 1, params)]));
        let ack = chunks(&net.sent.pop().unwrap().1.payload)[0].2.clone();
        net.inject(B, source, packet((4_000, PORT), u32_at(&ack, 0), &[chunk(10, 0, &cookie_of(&ack))]));
        assert!(net.up_of(B).is_some());
        net.sent.clear();
        net
    };
    let again = |net: &mut Net, source: SocketAddr, params: &[u8]| {
        net.sent.clear();
        net.inject(B, source, packet((4_000, PORT), 0, &[init(8, (10, 10), 1, params)]));
        let (_, answer) = net.sent.pop().unwrap();
        (answer.to, chunks(&answer.payload).remove(0))
    };
    let mut net = begin(address(A), &listed);
    for params in [&listed[..], &v4([127, 0, 0, 7]), &[]] {
        assert_eq!(again(&mut net, address(A), params).1.0, 2, "INIT ACK: {params:?}");
    }
    // From its other address, and the answer goes there.
    let second: SocketAddr = "127.0.0.7:9899".parse().unwrap();
    let (to, answer) = again(&mut net, second, &v4([127, 0, 0, 1]));
    assert_eq!((to, answer.0), (second, 2));
    let more = [&listed[..], &v4([127, 0, 0, 8]), &v4([127, 0, 0, 9])].concat();
    let (_, answer) = again(&mut net, address(A), &more);
    let new = [v4([127, 0, 0, 8]), v4([127, 0, 0, 9])].concat();
    assert_eq!((answer.0, &answer.2[4..]), (6, &new[..]), "the addresses that are new");
    // It comes up with what it listed this time.
    net.sent.clear();
    net.inject(B, address(A), packet((4_000, PORT), 0, &[init(9, (10, 10), 1, &[])]));
    let ack = chunks(&net.sent.pop().unwrap().1.payload)[0].2.clone();
    net.inject(B, address(A), packet((4_000, PORT), u32_at(&ack, 0), &[chunk(10, 0, &cookie_of(&ack))]));
    assert_eq!(net.closed_of(B), Some(CloseReason::Restarted));
    let new = net.up_of(B).unwrap();
    assert_eq!(net.stacks[B].addresses(new), [address(A)]);

    // A host elsewhere lists its loopback address: not taken, and no reason to refuse its restart.
    let list = [v4([127, 0, 0, 1]), v4([10, 0, 0, 1])].concat();
    let mut net = begin(elsewhere, &list);
    let b = net.up_of(B).unwrap();
    assert_eq!(net.stacks[B].addresses(b), [elsewhere]);
    assert_eq!(again(&mut net, elsewhere, &list).1.0, 2);
}

/// Section 5.2.6: the extension asked for is the round trip of COOKIE ECHO and ERROR, and a second more.
#[test]
fn a_stale_cookie_is_asked_for_again_with_a_longer_life() {
    let mut net = Net::new(
        1,
        Config { rto_initial_ms: 2_000, rto_max_ms: 2_000, ..config() },
        Config { cookie_life_ms: 200, ..config() },
    );
    net.link.delay = Duration::from_millis(120);
    net.record = true;
    net.connect();
    assert!(net.run_for(Duration::from_secs(20), |n| n.up_of(A).is_some()));
    let inits: Vec<_> =
        net.sent.iter().map(|(_, t)| chunks(&t.payload).remove(0)).filter(|c| c.0 == 1).map(|c| c.2).collect();
    assert_eq!(inits.len(), 2);
    assert_eq!(param_of(&inits[0], 9), None);
    assert_eq!(param_of(&inits[1], 9), Some(1_240u32.to_be_bytes().to_vec()));
    assert_eq!(inits[0][..4], inits[1][..4], "the same tag");
    // No copy of the old cookie is sent any more, and a second ERROR finds another state.
    assert_eq!(net.stacks[B].counters().cookie_stale, 1);
}

fn closes_after(net: &mut Net) -> (Duration, CloseReason) {
    let begin = net.now;
    assert!(net.run_for(Duration::from_secs(600), |n| n.closed_of(A).is_some()));
    (net.now - begin, net.closed_of(A).unwrap())
}

fn kinds_of(net: &Net, node: usize) -> Vec<u8> {
    net.sent.iter().filter(|(n, _)| *n == node).flat_map(|(_, t)| chunks(&t.payload)).map(|c| c.0).collect()
}

/// Sections 9.2 and 6.3: T2 with the path's RTO, doubled each time, until Association.Max.Retrans or T5.
#[test]
fn t2_and_t5_bound_a_shutdown_that_nobody_answers() {
    let quiet = Config { supervision_ms: 0, heartbeat_interval_ms: 1_000_000, ..config() };
    let mut net = Net::new(1, Config { association_max_retrans: 3, ..quiet.clone() }, config());
    let (a, _) = net.up();
    net.link.cut = [true, true];
    net.record = true;
    let now = net.now;
    net.stacks[A].shutdown(now, a);
    let (took, reason) = closes_after(&mut net);
    assert_eq!((took.as_millis(), reason), (100 + 200 + 400 + 800, CloseReason::Silent));
    assert_eq!(kinds_of(&net, A), [7, 7, 7, 7, 6], "SHUTDOWN, three more, ABORT");
    // T5: five times RTO.Max.
    let mut net = Net::new(1, Config { association_max_retrans: 100, ..quiet }, config());
    let (a, _) = net.up();
    net.link.cut = [true, true];
    let now = net.now;
    net.stacks[A].shutdown(now, a);
    let (took, reason) = closes_after(&mut net);
    assert_eq!((took.as_millis(), reason), (5_000, CloseReason::Silent));
}

/// Section 8.3: no heartbeat after SHUTDOWN or SHUTDOWN ACK; section 9.2: what the peer says clears the count.
#[test]
fn a_shutdown_waits_for_a_peer_that_has_much_to_send() {
    let settings = Config { association_max_retrans: 2, rto_max_ms: 2_000, heartbeat_interval_ms: 50, ..config() };
    let mut fake = Fake::up(settings);
    let (now, t) = (fake.net.now, fake.tsn);
    fake.net.stacks[B].shutdown(now, fake.assoc);
    for i in 0..40 {
        // Each brings SACK and SHUTDOWN at once, T2 again, and its count to nothing.
        let answer = fake.say(&[data(t + i, 1, i as u16, 3, 3, b"x")]);
        let kinds: Vec<u8> = answer.iter().map(|c| c.0).collect();
        assert_eq!(kinds, [7, 3], "{i}");
        assert_eq!(u32_at(&answer[0].2, 0), t + i, "the updated cumulative TSN");
        fake.net.run_ms(150);
        assert!(!kinds_of(&fake.net, B).contains(&4), "no heartbeat");
    }
    assert_eq!((fake.net.closed_of(B), fake.net.messages(B).len()), (None, 40));
    // Out of order: SHUTDOWN cannot say it, so a SACK goes with it (section 9.2).
    let answer = fake.say(&[data(t + 50, 1, 50, 3, 3, b"x")]);
    assert_eq!((answer[1].0, &answer[1].2[8..10]), (3, &[0, 1][..]), "one gap block");
}

/// Section 5.1: nobody is left half open where we can say so.
#[test]
fn a_connect_that_gives_up_late_tells_the_peer() {
    let mut net = Net::new(1, Config { max_init_retransmits: 2, ..config() }, config());
    net.connect();
    // COOKIE ACKs are lost.
    net.run_ms(2);
    net.link.cut = [false, true];
    net.run_for(Duration::from_secs(10), |n| n.closed_of(A).is_some());
    net.run_ms(10);
    assert_eq!(net.closed_of(A), Some(CloseReason::ConnectFailed));
    assert_eq!(net.closed_of(B), Some(CloseReason::PeerAbort(None)));
}

/// Section 12.4: many things to answer, one packet.
#[test]
fn reports_on_one_packet_fit_one_packet() {
    let mut fake = Fake::up(config());
    let many: Vec<_> = (0..300).map(|_| chunk(0xcf, 0, &[])).collect();
    fake.net.sent.clear();
    let bytes = packet((fake.port, PORT), fake.peer_tag, &many);
    fake.net.inject(B, address(A), bytes);
    assert_eq!(fake.net.sent.len(), 1);
    let counters = fake.net.stacks[B].counters();
    assert_eq!((counters.unknown_chunks, counters.errors_out + counters.errors_left_out), (300, 300));
    assert!(counters.errors_left_out > 0);
}

/// Sections 3.2.2 and 5.1 C: a report goes with the COOKIE ECHO, and where there is no room it does not go.
#[test]
fn the_report_on_an_init_ack_goes_with_the_cookie_echo() {
    for (cookie_bytes, expected) in [(100, vec![10, 9]), (1_300, vec![10])] {
        let mut net = Net::quick();
        net.link.cut = [true, true];
        net.record = true;
        net.connect();
        net.drain();
        let sent = net.sent.pop().unwrap().1.payload;
        let (port, tag) = (u16::from_be_bytes([sent[0], sent[1]]), u32_at(&sent, 16));
        let unknown = [&[0xc1, 0x23, 0, 100][..], &[5; 96]].concat();
        let cookie = [&[0, 7][..], &(4 + cookie_bytes as u16).to_be_bytes(), &vec![1; cookie_bytes]].concat();
        let mut ack = init(9, (10, 10), 1, &[unknown, cookie].concat());
        ack[0] = 2;
        net.inject(A, address(B), packet((PORT, port), tag, &[ack]));
        let first = chunks(&net.sent[0].1.payload).iter().map(|c| c.0).collect::<Vec<_>>();
        assert_eq!((net.sent.len(), first), (1, expected));
        // A repeated COOKIE ECHO does not report again.
        net.sent.clear();
        net.run_for(Duration::from_secs(2), |n| !n.sent.is_empty());
        assert_eq!(kinds_of(&net, A), [10]);
    }
}

/// Extensions that we do not have are refused and the association goes on without them: PR-SCTP, RE-CONFIG, ASCONF with AUTH, I-DATA,
/// ECN, zero checksum, padding.
#[test]
fn parameters_of_extensions_are_refused_and_the_association_comes_up() {
    let parameters: [(u16, &[u8]); 10] = [
        (0xc000, &[]),
        (0x8008, &[0x82, 0xc1, 0x80, 0x40, 0xc0, 0x0f]),
        (0x8000, &[]),
        (0x8002, &[7; 32]),
        (0x8003, &[0xc1, 0x80]),
        (0x8004, &[0, 1, 0, 3]),
        (0x8001, &[0, 0, 0, 1]),
        (0xc006, &[0, 0, 0, 9]),
        (0x8005, &[0; 12]),
        (0xc001, &[0, 0, 0, 1, 0, 5, 0, 8, 10, 9, 9, 9]),
    ];
    let mut list = Vec::new();
    for (kind, value) in parameters {
        list.extend_from_slice(&kind.to_be_bytes());
        list.extend_from_slice(&(4 + value.len() as u16).to_be_bytes());
        list.extend_from_slice(value);
        list.resize(list.len().div_ceil(4) * 4, 0);
    }
    let mut net = Net::quick();
    net.link.cut = [true, true];
    let (tag, ack) = Fake::init_ack(&mut net, 4_000, 7, 1, &list);
    let mut rest = &ack[16..];
    let mut reported = Vec::new();
    while rest.len() >= 4 {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        match u16::from_be_bytes([rest[0], rest[1]]) {
            7 => {}
            8 => reported.push(u16::from_be_bytes([rest[4], rest[5]])),
            other => panic!("{other:x} is not ours to offer"),
        }
        rest = rest.get(length.div_ceil(4) * 4..).unwrap_or_default();
    }
    assert_eq!(reported, [0xc000, 0xc006, 0xc001], "those whose high bits ask for it");
    net.sent.clear();
    net.inject(B, address(A), packet((4_000, PORT), tag, &[chunk(10, 0, &cookie_of(&ack))]));
    let b = net.up_of(B).expect("up");
    assert_eq!(net.stacks[B].addresses(b), [address(A)], "no address by ASCONF");
}
