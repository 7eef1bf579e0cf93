//! Somebody means harm: off the path (he guesses), on it, or as a peer with a good association, a million packets of it. No panic, no
//! growth, and the stack still works. RFC 5062 by its sections; what the attacks may cost is in hostile_cost.rs.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.
mod common;

use common::{A, B, Dice, Fake, Net, PORT, address, chunk, chunks, config, data, ip, packet, sack, seal, u32_at};
use proptest::prelude::*;
use sctp::{CloseReason, Config, Connect, Datagram, Stack, TooBig, Unreachable};
use std::net::SocketAddr;
use std::time::Duration;

/// Resident memory of this process in KiB.
fn resident_kib() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4
}

/// Chunks that make some sense to an association in any state.
fn plausible(dice: &mut Dice, fake: &Fake) -> Vec<u8> {
    // Mostly near what the association expects, so that it gets somewhere; a thousandth far away.
    let tsn = match dice.below(1_000) {
        0 => dice.next() as u32,
        1..=5 => fake.tsn.wrapping_add(dice.below(70_000) as u32),
        _ => fake.tsn.wrapping_add(dice.below(20) as u32),
    };
    let ack = fake.peer_tsn.wrapping_sub(dice.below(4) as u32).wrapping_add(u32::from(dice.below(1_000) == 0));
    match dice.below(13) {
        0..=4 => {
            let user = vec![dice.next() as u8; dice.below(60) as usize + usize::from(!dice.chance(1))];
            data(tsn, dice.below(14) as u16, dice.below(6) as u16, dice.next() as u32, dice.next() as u8, &user)
        }
        5 | 6 => {
            let gaps: Vec<_> = (0..dice.below(4)).map(|_| (dice.below(9) as u16, dice.below(12) as u16)).collect();
            sack(ack, &gaps)
        }
        7 => chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4]),
        8 => chunk(5, 0, &vec![dice.next() as u8; dice.below(40) as usize]),
        9 => chunk(9, 0, &vec![dice.next() as u8; dice.below(20) as usize]),
        10 => chunk(dice.next() as u8, dice.next() as u8, &vec![dice.next() as u8; dice.below(20) as usize]),
        11 => chunk(11, 0, &[]),
        _ if dice.below(500) == 0 => chunk([6, 7, 8, 14, 10, 1, 2][dice.below(7) as usize], 0, &ack.to_be_bytes()),
        _ => chunk(3, 0, &vec![dice.next() as u8; dice.below(40) as usize]),
    }
}

/// Learns from what the stack sent what it expects next and what it wants acknowledged.
fn follow(fake: &mut Fake) {
    for (_, transmit) in std::mem::take(&mut fake.net.sent) {
        for (kind, _, value) in chunks(&transmit.payload) {
            match kind {
                3 => fake.tsn = u32_at(&value, 0).wrapping_add(1),
                0 if (u32_at(&value, 0).wrapping_sub(fake.peer_tsn) as i32) > 0 => fake.peer_tsn = u32_at(&value, 0),
                _ => {}
            }
        }
    }
}

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..dice.below(4) {
        let at = 12 + dice.below(bytes.len() as u64 - 12) as usize;
        match dice.below(4) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.next() as u8,
            2 => bytes.truncate(at.max(16)),
            _ => bytes.insert(at, dice.next() as u8),
        }
    }
}

fn attack(seed: u64, packets: u32) {
    let mut dice = Dice(seed | 1);
    let small = Config { supervision_ms: 0, a_rwnd: 100_000, ..config() };
    let mut fake = Fake::up(small.clone());
    let (mut most, mut ended) = (0, 0);
    let mut before = 0;
    for i in 0..packets {
        if fake.net.stacks[B].state(fake.assoc).is_none() {
            ended += 1;
            fake = Fake::up(small.clone());
        }
        if i % 50 == 0 {
            let options = sctp::SendOptions { stream: (i % 10) as u16, ..Default::default() };
            let _ = fake.net.stacks[B].send(fake.net.now, fake.assoc, options, vec![1; 3_000].into());
            fake.net.now += Duration::from_millis(dice.below(300));
            let now = fake.net.now;
            fake.net.stacks[B].handle_timeout(now);
        }
        let chunks: Vec<_> = (0..1 + dice.below(3)).map(|_| plausible(&mut dice, &fake)).collect();
        let mut bytes = packet((fake.port, PORT), fake.peer_tag, &chunks);
        if dice.chance(30) {
            mutate(&mut dice, &mut bytes);
        }
        seal(&mut bytes);
        fake.net.inject(B, address(A), bytes);
        follow(&mut fake);
        fake.net.events[B].clear();
        most = most.max(fake.net.stacks[B].associations().count());
        if i == packets / 4 {
            before = resident_kib();
        }
    }
    // The attack reaches deep: an association takes some hundred packets before it ends.
    assert!(most <= 2 && ended < packets / 100, "{ended} associations ended");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 30_000, "grew by {grown} KiB");
}

/// `SIGPOOL_SEEDS=10 cargo test --release -p sctp --test hostile` goes beyond a million packets.
#[test]
fn mutated_packets_of_a_peer_that_is_up() {
    // Two threads, so that a debug build takes seconds.
    let seeds = common::seeds(2);
    let attacks = |first: u64| (first..=seeds).step_by(2).for_each(|seed| attack(seed * 0x1234_5678_9abc, 150_000));
    std::thread::scope(|threads| {
        threads.spawn(|| attacks(1));
        threads.spawn(|| attacks(2));
    });
}

#[test]
fn mutated_handshakes_from_anywhere() {
    let mut net = Net::quick();
    net.record = true;
    net.connect();
    net.run_ms(50);
    let seen: Vec<Vec<u8>> = net.sent.iter().map(|(_, t)| t.payload.to_vec()).collect();
    assert!(seen.len() >= 4);
    net.record = false;
    let mut dice = Dice(77);
    for _ in 0..50_000 {
        let mut bytes = seen[dice.below(seen.len() as u64) as usize].clone();
        mutate(&mut dice, &mut bytes);
        if dice.chance(10) {
            bytes[dice.below(12) as usize] ^= 1 << dice.below(8);
        }
        seal(&mut bytes);
        let from = if dice.chance(50) { address(A) } else { "127.0.0.50:9899".parse().unwrap() };
        for node in [A, B] {
            net.stacks[node].handle_datagram(net.now, Datagram { from, to: ip(node), payload: bytes.clone().into() });
        }
        net.drain();
        net.events.iter_mut().for_each(Vec::clear);
    }
    assert!(net.stacks[A].associations().count() <= 3);
    assert!(net.stacks[B].associations().count() <= 3);
}

#[test]
fn a_flood_of_fragments_that_never_complete_is_bounded_by_the_window() {
    let mut fake = Fake::up(Config { a_rwnd: 50_000, ..config() });
    // Beginnings of messages, no ends, in every stream, each second TSN missing.
    let mut held = 0;
    for i in 0..5_000u32 {
        let tsn = fake.tsn.wrapping_add(2 * i + 1);
        let answer = fake.say(&[data(tsn, (i % 10) as u16, (i / 10) as u16, 3, 2, &[1; 1_000])]);
        held = answer.iter().find(|c| c.0 == 3).map_or(held, |sack| u16::from_be_bytes([sack.2[8], sack.2[9]]));
    }
    assert!((40..=51).contains(&held), "{held} fragments of 1,000 bytes in 50,000");
    assert_eq!(fake.net.messages(B).len(), 0);
}

/// The engine's window counts user bytes; a byte a chunk would cost it a hundred times as much, and time squared.
#[test]
fn a_flood_of_tiny_chunks_that_wait_for_another_is_bounded() {
    // The message that all wait for never comes; or: ends without beginnings; or: middles of one byte.
    for (flags, first_ssn) in [(3u8, 1u16), (1, 1), (0, 0)] {
        let mut fake = Fake::up(config());
        let begin = std::time::Instant::now();
        for packet in 0..2_000u32 {
            let list: Vec<_> = (0..40u32)
                .map(|k| {
                    let i = packet * 40 + k;
                    data(
                        fake.tsn.wrapping_add(i),
                        (i % 10) as u16,
                        first_ssn.wrapping_add((i / 10) as u16),
                        3,
                        flags,
                        &[1],
                    )
                })
                .collect();
            fake.say(&list);
        }
        let counters = fake.net.stacks[B].counters();
        assert!(counters.dropped_no_room + counters.dropped_tsn_window > 40_000, "{counters:?}");
        assert_eq!(fake.net.messages(B).len(), 0);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..200), fix in any::<bool>(), zero_tag in any::<bool>()) {
        let now = std::time::Instant::now();
        let mut stack = Stack::new(config(), vec![ip(B)], [1; 32], now);
        stack.listen(PORT);
        let mut bytes = bytes;
        if fix && bytes.len() >= 12 {
            bytes[2..4].copy_from_slice(&PORT.to_be_bytes());
            if zero_tag {
                bytes[4..8].fill(0);
            }
            seal(&mut bytes);
        }
        let quoted = bytes.clone().into();
        stack.handle_datagram(now, Datagram { from: address(A), to: ip(B), payload: bytes.into() });
        stack.handle_unreachable(now, &Unreachable { to: address(A), quoted, port: true });
        while stack.poll_transmit(now).is_some() {}
        prop_assert_eq!(stack.associations().count(), 0);
        prop_assert_eq!(stack.poll_event(), None);
    }
}

/// RFC 5062 section 2: somebody lists the address of another host, with that host's port. The other one still gets in, with whatever
/// addresses it has, and the one that camps loses nothing but the place.
#[test]
fn an_address_that_is_camped_on_is_free_for_its_owner() {
    let camper: SocketAddr = "127.0.0.66:9899".parse().unwrap();
    let mut net = Net::quick();
    net.record = true;
    // The victim's address, and its SCTP port: stack A will connect from there.
    let listed = [0, 5, 0, 8, 127, 0, 0, 1];
    let value = common::init(5, (10, 10), 1, &listed);
    net.inject(B, camper, packet((4_000, PORT), 0, &[value]));
    let ack = chunks(&net.sent.pop().unwrap().1.payload)[0].2.clone();
    let tag = u32_at(&ack, 0);
    net.inject(B, camper, packet((4_000, PORT), tag, &[chunk(10, 0, &common::cookie_of(&ack))]));
    let camping = net.up_of(B).unwrap();
    assert_eq!(net.stacks[B].addresses(camping).len(), 2);
    net.events[B].clear();
    // More addresses than the camper's association has: no restart with new addresses either.
    let connect = Connect { peer: vec![address(B)], peer_port: PORT, local_port: Some(4_000) };
    let a = net.stacks[A].connect(net.now, connect).unwrap();
    assert!(net.run_for(Duration::from_secs(2), |net| net.up_of(A) == Some(a) && net.up_of(B).is_some()));
    assert_eq!(net.stacks[B].counters().associations_restarted, 0);
    assert_eq!(net.closed_of(B), None);
    // And packets and INITs of the owner find its association.
    net.send(A, a, 0, 1, "mine");
    net.run_ms(50);
    assert_eq!(net.messages(B).len(), 1);
    net.stacks[A] = Stack::new(config(), vec![ip(A)], [9; 32], net.now);
    let connect = Connect { peer: vec![address(B)], peer_port: PORT, local_port: Some(4_000) };
    net.stacks[A].connect(net.now, connect).unwrap();
    net.run_ms(100);
    assert_eq!(net.closed_of(B), Some(CloseReason::Restarted));
}

/// Answers to heartbeats that were answered before, or that are held back for a minute.
#[test]
fn heartbeat_answers_count_once_and_measure_no_more_than_rto_max() {
    let mut fake =
        Fake::up(Config { supervision_ms: 0, association_max_retrans: 1_000, path_max_retrans: 1_000, ..config() });
    fake.net.run_ms(1_500);
    let beats: Vec<_> = fake.net.sent.iter().flat_map(|(_, t)| chunks(&t.payload)).filter(|c| c.0 == 4).collect();
    assert!(!beats.is_empty());
    fake.net.run_ms(60_000);
    fake.say(&[chunk(5, 0, &beats[0].2)]);
    let rtt = fake.net.stacks[B].rtt(fake.assoc).unwrap();
    assert!(rtt <= Duration::from_millis(config().rto_max_ms), "{rtt:?}");
    let before = fake.net.stacks[B].counters().dropped_heartbeat_ack;
    fake.say(&[chunk(5, 0, &beats[0].2)]);
    assert_eq!(fake.net.stacks[B].counters().dropped_heartbeat_ack, before + 1);
}

/// Somebody who knows addresses and ports guesses tags, with all kinds of chunks that could end or change something.
#[test]
fn guessed_tags_do_nothing() {
    let mut net = Net::quick();
    let (a, b) = net.up();
    net.send(A, a, 0, 1, "x");
    net.run_ms(50);
    let info = net.stacks[B].info(b).unwrap();
    let peer_port = info.peer_port;
    let mut dice = Dice(5);
    let mut answers = 0;
    for i in 0..50_000u32 {
        let (kind, flags) = ([6, 6, 7, 8, 14, 14, 9, 5, 0, 3, 10, 11][(i % 12) as usize], (dice.next() & 1) as u8);
        let bytes = packet((peer_port, PORT), dice.next() as u32 | 1, &[chunk(kind, flags, &[0; 12])]);
        net.stacks[B].handle_datagram(net.now, Datagram { from: address(A), to: ip(B), payload: bytes.into() });
        while net.stacks[B].poll_transmit(net.now).is_some() {
            answers += 1;
        }
    }
    assert_eq!(net.stacks[B].state(b), Some(sctp::AssocState::Up));
    assert_eq!(net.stacks[B].poll_event(), None);
    assert!(answers <= config().out_of_the_blue_per_s, "{answers}");
    net.send(A, a, 0, 2, "still there");
    net.run_ms(50);
    assert_eq!(net.messages(B).len(), 2);
}

/// ICMP errors of somebody who does not see the packets: he quotes right addresses and ports, and guesses the tag.
#[test]
fn forged_icmp_does_nothing() {
    let mut net = Net::quick();
    let (a, b) = net.up();
    let ports = net.stacks[A].info(a).map(|i| (i.local_port, i.peer_port)).unwrap();
    let mut dice = Dice(9);
    for i in 0..20_000u32 {
        let mut quoted = packet(ports, dice.next() as u32 | 1, &[chunk((i % 16) as u8, 0, &[0; 16])]);
        if i % 3 == 0 {
            // As if it were for our INIT: tag 0, initiate tag guessed.
            quoted[4..8].fill(0);
        }
        quoted.truncate(8 + (i % 40) as usize);
        let quoted = bytes::Bytes::from(quoted);
        let error = Unreachable { to: address(B), quoted: quoted.clone(), port: i % 2 == 0 };
        net.stacks[A].handle_unreachable(net.now, &error);
        // "Fragmentation needed" would make packets small.
        net.stacks[A].handle_too_big(net.now, &TooBig { to: address(B), quoted, largest: Some(68) });
    }
    assert_eq!(net.stacks[A].counters().icmp_taken, 0);
    assert_eq!(net.stacks[A].counters().icmp_ignored, 40_000);
    net.send(A, a, 0, 1, "x");
    net.run_ms(50);
    assert_eq!(
        (net.stacks[A].state(a), net.stacks[B].state(b)),
        (Some(sctp::AssocState::Up), Some(sctp::AssocState::Up))
    );
}

/// RFC 5062 section 6: a cookie sent again and again after its association ended brings nothing back, and asks no victim again.
#[test]
fn a_replayed_cookie_is_good_once() {
    let mut net = Net::quick();
    net.record = true;
    net.link.cut = [true, true];
    let victims = [0, 5, 0, 8, 127, 0, 9, 1, 0, 5, 0, 8, 127, 0, 9, 2];
    let (tag, ack) = Fake::init_ack(&mut net, 4_000, 7, 1, &victims);
    let echo = packet((4_000, PORT), tag, &[chunk(10, 0, &common::cookie_of(&ack))]);
    net.inject(B, address(A), echo.clone());
    net.inject(B, address(A), packet((4_000, PORT), tag, &[chunk(6, 0, &[])]));
    assert_eq!(net.stacks[B].associations().count(), 0);
    net.sent.clear();
    for _ in 0..1_000 {
        net.inject(B, address(A), echo.clone());
        net.run_ms(1);
    }
    assert_eq!(net.stacks[B].associations().count(), 0);
    assert!(net.sent.is_empty(), "{} packets", net.sent.len());
    assert_eq!(net.stacks[B].counters().cookie_unmatched, 1_000);
}
