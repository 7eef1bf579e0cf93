//! What a malicious peer with a good association may cost: time, memory, answers (RFC 5062, sections 8 to 10 in particular).
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::print_stdout)] // Helpers of tests.
mod common;

use common::{A, B, Fake, Net, PORT, address, chunk, config, data, ip, packet, sack};
use sctp::{CloseReason, Config, Datagram, SendError, SendOptions};
use std::time::{Duration, Instant};

/// What packets cost, thrown one after the other.
#[derive(Debug, Default)]
struct Cost {
    time: Duration,
    /// Answers to one packet at most.
    packets: usize,
    bytes: usize,
}

fn throw(fake: &mut Fake, list: impl Iterator<Item = Vec<Vec<u8>>>) -> Cost {
    let packets: Vec<_> = list.map(|chunks| packet((fake.port, PORT), fake.peer_tag, &chunks)).collect();
    let mut cost = Cost::default();
    let begin = Instant::now();
    for bytes in packets {
        let (mut out, mut length) = (0, 0);
        let stack = &mut fake.net.stacks[B];
        stack.handle_datagram(fake.net.now, Datagram { from: address(A), to: ip(B), payload: bytes.into() });
        while let Some(transmit) = stack.poll_transmit(fake.net.now) {
            (out, length) = (out + 1, length + transmit.payload.len());
        }
        while stack.poll_event().is_some() {}
        (cost.packets, cost.bytes) = (cost.packets.max(out), cost.bytes.max(length));
    }
    cost.time = begin.elapsed();
    cost
}

/// Packets of 60 one-byte messages, all in order.
fn honest() -> Duration {
    let mut fake = Fake::up(config());
    let first = fake.tsn;
    let list =
        (0..400u32).map(|p| (0..60).map(|k| data(first + p * 60 + k, 0, (p * 60 + k) as u16, 3, 3, &[1])).collect());
    throw(&mut fake, list).time
}

/// Before it was limited how many chunks may wait, these took 30 to 100 times the time of the honest ones.
#[test]
fn chunks_that_wait_cost_little_more_than_chunks_that_do_not() {
    let honest = honest();
    // Name, chunks a packet, steps of TSN, the first TSN, flags, bytes, streams, whether the SSN grows.
    for (name, n, step, base, flags, bytes, streams, grows) in [
        ("a message before them never comes, one stream", 60, 1, 0, 3u8, 1, 1, true),
        ("a message before them never comes, ten streams", 60, 1, 0, 3, 1, 10, true),
        ("every second TSN", 60, 2, 1, 3, 1, 1, false),
        ("every second TSN, beginnings", 60, 2, 1, 6, 1, 1, false),
        ("beginnings in sequence", 60, 1, 0, 6, 1, 1, false),
        ("middles, unordered", 16, 2, 1, 4, 64, 1, false),
        ("middles, ordered", 16, 2, 1, 0, 64, 1, true),
        ("backwards", 60, u32::MAX - 1, 16_380, 3, 1, 1, true),
    ] {
        let mut fake = Fake::up(config());
        let first = fake.tsn;
        let one = |i: u32| {
            let ssn = if grows { 1 + (i / streams) as u16 } else { 0 };
            data(
                first.wrapping_add(base).wrapping_add(step.wrapping_mul(i)),
                (i % streams) as u16,
                ssn,
                3,
                flags,
                &vec![1; bytes],
            )
        };
        let list = (0..400).map(|p| (0..n).map(|k| one(p * n + k)).collect());
        let cost = throw(&mut fake, list);
        assert!(cost.time < 8 * honest, "{name}: {:?}, honest ones {honest:?}", cost.time);
        assert!(cost.packets <= 1 && cost.bytes <= config().mtu, "{name}: {cost:?}");
        assert!(fake.net.stacks[B].state(fake.assoc).is_some() || name == "beginnings in sequence", "{name}");
    }
}

/// The peer can still send its messages: what is next in sequence always gets in.
#[test]
fn a_full_waiting_room_empties_when_what_is_missing_comes() {
    let mut fake = Fake::up(config());
    let first = fake.tsn;
    for p in 0..60u32 {
        fake.say(
            &(0..60).map(|k| data(first + 1 + p * 60 + k, 0, (1 + p * 60 + k) as u16, 3, 3, &[1])).collect::<Vec<_>>(),
        );
    }
    assert!(fake.net.stacks[B].counters().dropped_no_room > 1_000);
    assert!(fake.net.messages(B).is_empty());
    fake.say(&[data(first, 0, 0, 3, 3, &[1])]);
    let came = fake.net.messages(B).len() as u32;
    assert!(came >= 1_000, "{came}");
    // The sender goes on after what was acknowledged.
    let next: Vec<_> = (came..came + 60).map(|i| data(first + i, 0, i as u16, 3, 3, &[1])).collect();
    fake.say(&next);
    assert_eq!(fake.net.messages(B).len() as u32, came + 60);
}

/// Tiny fragments alone are no attack: dcsctp sends them to fill up a packet (found with it; such a message never arrived).
#[test]
fn a_message_with_tiny_fragments_in_between_arrives() {
    let mut fake = Fake::up(config());
    let first = fake.tsn;
    for (i, (flags, bytes)) in [(2u8, 900), (0, 8), (0, 1), (0, 900), (1, 8)].into_iter().enumerate() {
        fake.say(&[data(first + i as u32, 0, 0, 3, flags, &vec![7; bytes])]);
    }
    let lengths: Vec<_> = fake.net.messages(B).iter().map(|message| message.3.len()).collect();
    assert_eq!(lengths, [1_817]);
}

#[test]
fn a_packet_is_answered_by_one_packet() {
    for kind in [4u8, 0xc0, 0xff, 7, 9, 3] {
        for count in [340, 16_000] {
            let mut fake = Fake::up(config());
            let value = if kind == 7 { vec![0; 4] } else { Vec::new() };
            let list = (0..5).map(|_| (0..count / (1 + value.len() / 4)).map(|_| chunk(kind, 0, &value)).collect());
            let cost = throw(&mut fake, list);
            assert!(cost.packets <= 1 && cost.bytes <= config().mtu, "chunk {kind}, {count} times: {cost:?}");
        }
    }
    // A heartbeat longer than our packets has no answer.
    let mut fake = Fake::up(config());
    assert!(fake.say(&[chunk(4, 0, &[7; 5_000])]).is_empty());
    assert_eq!(fake.net.stacks[B].counters().heartbeats_left_out, 1);
}

/// With 2,000 messages under way each SACK is a walk over them; a packet has room for 70.
#[test]
fn one_sack_a_packet_counts_unless_it_acknowledges_more() {
    let mut fake = Fake::up(config());
    for i in 0..10 {
        fake.net.send(B, fake.assoc, 0, i, "x");
    }
    fake.net.drain();
    let first = fake.peer_tsn;
    let list: Vec<_> = (0..70).map(|i| sack(first.wrapping_sub(1), &[(2, 2 + i % 4)])).collect();
    fake.say(&list);
    assert_eq!(fake.net.stacks[B].counters().sack_repeated, 69);
    fake.say(&[sack(first, &[]), sack(first + 1, &[]), sack(first + 1, &[])]);
    assert_eq!(fake.net.stacks[B].outstanding(fake.assoc).0, 8);
    assert_eq!(fake.net.stacks[B].counters().sack_repeated, 70);
}

/// Tests that look at the memory of this process, one at a time.
static MEMORY: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Resident memory of this process in KiB.
fn resident_kib() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4
}

/// One small chunk that waits, in a datagram of 60 KB of chunks that do not: the chunk must not hold the datagram.
#[test]
fn a_waiting_chunk_does_not_hold_its_datagram_in_memory() {
    let mut fake = Fake::up(config());
    let _alone = MEMORY.lock();
    let (first, before) = (fake.tsn, resident_kib());
    for i in 0..1_000u32 {
        let middle = data(first + 1 + 2 * i, 0, 0, 3, 0, &[1; 64]);
        let unknown = chunk(0x80, 0, &[0; 60_000]);
        let list = if i % 2 == 0 { [middle, unknown] } else { [unknown, middle] };
        fake.say(&list);
    }
    assert_eq!(fake.net.stacks[B].counters().dropped_no_room, 0);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 30_000, "1,000 chunks of 64 bytes hold {grown} KiB");
}

/// Many associations of malicious peers share one limit, and an honest one still works.
#[test]
fn what_waits_in_all_associations_together_is_limited() {
    let small = Config { waiting_chunks_max: 3_000, ..config() };
    let mut net = Net::new(3, config(), small);
    net.link.cut = [true, true];
    let mut all = Vec::new();
    for port in 1_000..1_020u16 {
        let (tag, ack) = Fake::init_ack(&mut net, port, 7, 1_000, &[]);
        net.inject(B, address(A), packet((port, PORT), tag, &[chunk(10, 0, &common::cookie_of(&ack))]));
        all.push((port, tag));
    }
    for (port, tag) in &all {
        for p in 0..20u32 {
            let list: Vec<_> = (0..50).map(|k| data(1_001 + p * 50 + k, 0, 5, 3, 3, &[1])).collect();
            net.inject(B, address(A), packet((*port, PORT), *tag, &list));
        }
    }
    let dropped = net.stacks[B].counters().dropped_no_room;
    assert!((16_900..=17_100).contains(&dropped), "{dropped}");
    let (port, tag) = all[19];
    net.inject(B, address(A), packet((port, PORT), tag, &[data(1_000, 1, 0, 3, 3, b"honest")]));
    assert_eq!(net.messages(B).len(), 1);
    // What ends gives its share back.
    for (port, tag) in &all[..19] {
        net.inject(B, address(A), packet((*port, PORT), *tag, &[chunk(6, 0, &[])]));
    }
    net.inject(B, address(A), packet((port, PORT), tag, &[data(1_003, 1, 2, 3, 3, b"x")]));
    assert_eq!(net.stacks[B].counters().dropped_no_room, dropped);
}

/// A peer that is alive and takes nothing: what is accepted for it is limited, and it cannot keep us from closing.
#[test]
fn a_peer_that_never_opens_its_window_cannot_hold_an_association() {
    let mut fake = Fake::up(Config { send_queue_messages_max: 50, ..config() });
    let shut = |fake: &mut Fake| {
        let mut closed = chunk(3, 0, &[&fake.peer_tsn.wrapping_sub(1).to_be_bytes()[..], &[0; 8]].concat());
        closed[1] = 0;
        fake.say(&[closed]);
    };
    shut(&mut fake);
    for i in 0..50 {
        fake.net.send(B, fake.assoc, 0, i, "x");
    }
    let now = fake.net.now;
    let more = fake.net.stacks[B].send(now, fake.assoc, SendOptions::default(), "x".into());
    assert_eq!(more, Err(SendError::QueueFull));
    for _ in 0..300 {
        fake.net.run_ms(100);
        shut(&mut fake);
    }
    assert_eq!(fake.net.closed_of(B), None, "it answers: that alone is no reason");
    let (begin, now) = (fake.net.now, fake.net.now);
    fake.net.stacks[B].shutdown(now, fake.assoc);
    while fake.net.closed_of(B).is_none() && fake.net.now - begin < Duration::from_secs(60) {
        fake.net.run_ms(100);
        shut(&mut fake);
    }
    assert_eq!(fake.net.closed_of(B), Some(CloseReason::Silent));
    assert_eq!(fake.net.undelivered(B).len(), 50);
    assert!(fake.net.now - begin <= Duration::from_millis(5 * config().rto_max_ms + 200));
}

/// A server that a client with two addresses connects to lists as many as it can: they are taken up to the limit of paths.
#[test]
fn a_server_that_lists_many_addresses_does_no_harm() {
    let mut net = Net::quick();
    net.link.cut = [true, true];
    net.record = true;
    let peer = vec![address(B), "127.0.0.9:9899".parse().unwrap(), "127.0.0.10:9899".parse().unwrap()];
    let connect = sctp::Connect { peer, peer_port: PORT, local_port: Some(4_000) };
    let id = net.stacks[A].connect(net.now, connect).unwrap();
    net.drain();
    let tag = common::u32_at(&common::chunks(&net.sent[0].1.payload)[0].2, 0);
    let mut parameters = vec![0, 7, 0, 8, 1, 2, 3, 4];
    for i in 0..50 {
        parameters.extend_from_slice(&[0, 5, 0, 8, 127, 0, 1, i]);
    }
    let mut ack = common::init(9, (10, 10), 100, &parameters);
    ack[0] = 2;
    net.inject(A, address(B), packet((PORT, 4_000), tag, &[ack]));
    net.inject(A, address(B), packet((PORT, 4_000), tag, &[chunk(11, 0, &[])]));
    assert_eq!(net.stacks[A].addresses(id).len(), 8);
    // Losses are looked for on every path.
    for i in 0..20 {
        net.send(A, id, 0, i, "x");
    }
    net.sent.clear();
    net.drain();
    let tsn = net
        .sent
        .iter()
        .flat_map(|(_, t)| common::chunks(&t.payload))
        .find(|c| c.0 == 0)
        .map(|c| common::u32_at(&c.2, 0))
        .unwrap();
    for end in 2..6 {
        net.inject(A, address(B), packet((PORT, 4_000), tag, &[sack(tsn.wrapping_sub(1), &[(2, end)])]));
    }
    net.run_ms(50);
    assert!(net.stacks[A].counters().data_held_lost > 0);
}

/// A cookie that cannot be sent back in one packet is no cookie.
#[test]
fn a_cookie_longer_than_a_packet_is_not_taken() {
    let mut net = Net::quick();
    net.link.cut = [true, true];
    net.record = true;
    net.connect();
    net.drain();
    let (port, tag) = {
        let first = &net.sent[0].1.payload;
        (u16::from_be_bytes([first[0], first[1]]), common::u32_at(&common::chunks(first)[0].2, 0))
    };
    net.sent.clear();
    let cookie = [&[0, 7][..], &(4 + 2_000u16).to_be_bytes(), &[5; 2_000]].concat();
    let mut ack = common::init(9, (10, 10), 100, &cookie);
    ack[0] = 2;
    net.inject(A, address(B), packet((PORT, port), tag, &[ack]));
    assert!(net.sent.is_empty());
    assert_eq!(net.stacks[A].counters().dropped_init, 1);
}

/// What a stranger with a real address can make us keep by completing handshakes: times `associations_max`, that is all of it.
#[test]
fn an_association_that_does_nothing_is_small() {
    let mut net = Net::new(3, config(), config());
    net.link.cut = [true, true];
    let _alone = MEMORY.lock();
    let mut before = 0;
    for port in 1_000..3_000u16 {
        if port == 1_500 {
            before = resident_kib();
        }
        let (tag, ack) = Fake::init_ack(&mut net, port, 7, 1_000, &[]);
        net.inject(B, address(A), packet((port, PORT), tag, &[chunk(10, 0, &common::cookie_of(&ack))]));
    }
    assert_eq!(net.stacks[B].associations().count(), 2_000);
    let each = resident_kib().saturating_sub(before) as f64 / 1_500.0;
    println!("{each:.1} KiB each");
    assert!(each < 32.0, "{each} KiB each");
}
