//! INIT to COOKIE ACK: RFC 9260 sections 5.1 and 5.2, and packets out of the blue (8.4, 8.5).
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.
mod common;

use common::{A, B, Fake, Net, PORT, address, chunk, chunks, config, cookie_of, data, init, packet, param_of, u32_at};
use sctp::{CloseReason, Config, Connect, Event, SendOptions};
use std::net::SocketAddr;
use std::time::Duration;

#[test]
fn a_hundred_thousand_spoofed_inits_leave_nothing() {
    let mut net = Net::quick();
    for i in 0..100_000u32 {
        let from = SocketAddr::from(([10, (i >> 16) as u8, (i >> 8) as u8, i as u8], 9899));
        net.inject(B, from, packet((1 + (i % 60_000) as u16, PORT), 0, &[init(i + 1, (10, 10), i, &[])]));
    }
    let counters = net.stacks[B].counters();
    assert_eq!((counters.init_answered, counters.packets_out), (100_000, 100_000));
    assert_eq!(net.stacks[B].associations().count(), 0);
    assert!(net.stacks[B].poll_timeout().is_none(), "not even a timer");
    net.up();
}

#[test]
fn init_parameters_of_real_stacks_are_taken_and_unknown_ones_reported() {
    let mut net = Net::quick();
    let mut params = Vec::new();
    let mut put = |kind: u16, value: &[u8]| {
        params.extend_from_slice(&kind.to_be_bytes());
        params.extend_from_slice(&(4 + value.len() as u16).to_be_bytes());
        params.extend_from_slice(value);
        params.resize(params.len().div_ceil(4) * 4, 0);
    };
    // As a two-address Linux host sends them, then an unknown one to skip and one to report.
    put(5, &[127, 0, 0, 1]);
    put(5, &[10, 1, 1, 1]);
    put(6, &[0xfd, 0x98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    put(12, &[0, 5, 0, 6]);
    put(0x8000, &[]);
    put(0xc000, &[]);
    put(0x8765, &[1, 2, 3]);
    put(0xc123, &[9]);
    let (tag, ack) = Fake::init_ack(&mut net, 4_000, 7, 0, &params);
    assert_eq!(param_of(&ack, 8), Some(vec![0xc0, 0, 0, 4]), "Forward-TSN first");
    net.inject(B, address(A), packet((4_000, PORT), tag, &[chunk(10, 0, &cookie_of(&ack))]));
    let Some(Event::Up { peer, .. }) = net.events[B].first() else { panic!("{:?}", net.events[B]) };
    let peer: Vec<String> = peer.iter().map(ToString::to_string).collect();
    // Our stack has no IPv6 address to talk to the third one from.
    assert_eq!(peer, ["127.0.0.1:9899", "10.1.1.1:9899"]);
    assert_eq!(net.stacks[B].counters().addresses_ignored, 1);
}

#[test]
fn a_peer_with_initial_tsn_zero_or_the_same_tag_works() {
    let mut net = Net::quick();
    let (tag, ack) = Fake::init_ack(&mut net, 4_000, 7, 0, &[]);
    let echo = chunk(10, 0, &cookie_of(&ack));
    // DATA bundled with the COOKIE ECHO.
    net.inject(B, address(A), packet((4_000, PORT), tag, &[echo, data(0, 3, 0, 11, 3 | 8, b"hello")]));
    assert_eq!(net.messages(B), [(3, 11, false, "hello".into())]);
    let sacks: Vec<_> = net.sent.iter().flat_map(|(_, t)| chunks(&t.payload)).filter(|c| c.0 == 3).collect();
    assert_eq!(u32_at(&sacks[0].2, 0), 0, "TSN 0 acknowledged as 0");
}

#[test]
fn a_bad_cookie_is_dropped_without_a_word() {
    let mut net = Net::quick();
    let (tag, ack) = Fake::init_ack(&mut net, 4_000, 7, 1, &[]);
    let mut cookie = cookie_of(&ack);
    cookie[40] ^= 1;
    net.sent.clear();
    net.inject(B, address(A), packet((4_000, PORT), tag, &[chunk(10, 0, &cookie)]));
    net.inject(B, address(A), packet((4_000, PORT), tag, &[chunk(10, 0, b"short")]));
    assert!(net.sent.is_empty());
    assert_eq!(net.stacks[B].counters().cookie_bad, 2);
    // The right one from another host, another port, with another tag.
    let good = chunk(10, 0, &cookie_of(&ack));
    net.inject(B, "127.0.0.9:9899".parse().unwrap(), packet((4_000, PORT), tag, std::slice::from_ref(&good)));
    net.inject(B, address(A), packet((4_001, PORT), tag, std::slice::from_ref(&good)));
    net.inject(B, address(A), packet((4_000, PORT), tag ^ 1, std::slice::from_ref(&good)));
    assert!(net.sent.is_empty());
    assert_eq!(net.stacks[B].counters().dropped_tag, 3);
    assert!(net.up_of(B).is_none());
    net.inject(B, address(A), packet((4_000, PORT), tag, &[good]));
    assert!(net.up_of(B).is_some());
}

#[test]
fn a_stale_cookie_is_answered_with_its_staleness_and_the_client_tries_again() {
    let b = Config { cookie_life_ms: 1_000, ..config() };
    let mut net = Net::new(1, config(), b);
    let (tag, ack) = Fake::init_ack(&mut net, 4_000, 7, 1, &[]);
    net.run_ms(3_500);
    net.now = net.begin + Duration::from_millis(3_500);
    net.sent.clear();
    net.inject(B, address(A), packet((4_000, PORT), tag, &[chunk(10, 0, &cookie_of(&ack))]));
    let found = chunks(&net.sent[0].1.payload);
    assert_eq!((found[0].0, &found[0].2[..4]), (9, &[0, 3, 0, 8][..]));
    assert_eq!(u32_at(&found[0].2, 4), 2_500_000, "microseconds");
    assert_eq!(net.stacks[B].counters().cookie_stale, 1);

    // A client whose COOKIE ECHO takes longer than the cookie lives.
    let b = Config { cookie_life_ms: 100, ..config() };
    let mut net = Net::new(1, Config { rto_initial_ms: 2_000, ..config() }, b);
    net.link.delay = Duration::from_millis(120);
    net.connect();
    assert!(net.run_for(Duration::from_secs(60), |n| n.up_of(A).is_some() || n.closed_of(A).is_some()));
    assert!(net.stacks[B].counters().cookie_stale > 0);
    // 240 ms old; the extension it asks for is granted up to twice the life, which is not enough.
    assert_eq!(net.closed_of(A), Some(CloseReason::ConnectFailed));

    let b = Config { cookie_life_ms: 200, ..config() };
    let mut net = Net::new(1, Config { rto_initial_ms: 2_000, ..config() }, b);
    net.link.delay = Duration::from_millis(120);
    net.connect();
    assert!(
        net.run_for(Duration::from_secs(60), |n| n.up_of(A).is_some()),
        "{:?} {:?} {:?}",
        net.events,
        net.stacks[A].counters(),
        net.stacks[B].counters()
    );
    assert_eq!(net.stacks[B].counters().cookie_stale, 1);
}

#[test]
fn the_cookie_key_changes_and_the_one_before_stays_valid() {
    let b = Config { cookie_key_ms: 1_000, ..config() };
    for (wait, works) in [(900, true), (1_900, true), (2_100, false)] {
        let mut net = Net::new(1, config(), b.clone());
        let (tag, ack) = Fake::init_ack(&mut net, 4_000, 7, 1, &[]);
        net.now += Duration::from_millis(wait);
        net.inject(B, address(A), packet((4_000, PORT), tag, &[chunk(10, 0, &cookie_of(&ack))]));
        assert_eq!(net.up_of(B).is_some(), works, "{wait}");
    }
}

#[test]
fn init_with_impossible_values_is_aborted_with_its_own_tag() {
    let mut net = Net::quick();
    net.record = true;
    net.inject(B, address(A), packet((4_000, PORT), 0, &[init(7, (0, 10), 1, &[])]));
    let (_, answer) = net.sent.pop().unwrap();
    assert_eq!(u32_at(&answer.payload, 4), 7);
    assert_eq!(chunks(&answer.payload), [(6, 0, vec![0, 7, 0, 4])]);
    net.inject(B, address(A), packet((4_000, PORT), 0, &[init(0, (10, 10), 1, &[])]));
    net.inject(B, address(A), packet((4_000, PORT), 5, &[init(7, (10, 10), 1, &[])]));
    net.inject(B, address(A), packet((4_000, PORT), 0, &[init(7, (10, 10), 1, &[]), chunk(11, 0, &[])]));
    assert!(net.sent.is_empty());
    assert_eq!((net.stacks[B].counters().dropped_init, net.stacks[B].counters().dropped_tag), (1, 2));
    // To a port nobody listens on.
    net.inject(B, address(A), packet((4_000, 999), 0, &[init(7, (10, 10), 1, &[])]));
    let (_, answer) = net.sent.pop().unwrap();
    assert_eq!((u32_at(&answer.payload, 4), chunks(&answer.payload)), (7, vec![(6, 0, vec![])]));
}

#[test]
fn connecting_to_a_closed_port_fails_at_once_and_to_nobody_after_the_retries() {
    let mut net = Net::quick();
    let peer = vec![address(B)];
    net.stacks[A].connect(net.now, Connect { peer, peer_port: 999, local_port: None }).unwrap();
    net.run_ms(10);
    assert_eq!(net.closed_of(A), Some(CloseReason::PeerAbort(None)));

    let mut net = Net::quick();
    net.link.cut = [true, true];
    net.record = true;
    net.connect();
    assert!(net.run_for(Duration::from_secs(30), |n| n.closed_of(A).is_some()));
    assert_eq!(net.closed_of(A), Some(CloseReason::ConnectFailed));
    // 200, 400, 800, then 1,000 ms: nine INITs.
    assert_eq!(net.sent.len(), 9);
    assert_eq!(net.elapsed(), Duration::from_millis(200 + 400 + 800 + 6 * 1_000));
}

#[test]
fn every_single_loss_in_the_handshake_is_made_good() {
    for lost in 0..4 {
        let mut net = Net::quick();
        let mut count = 0;
        net.connect();
        for _ in 0..200 {
            // One packet of the four is lost.
            net.link.cut = [count == lost; 2];
            let before: u64 = net.stacks.iter().map(|s| s.counters().packets_out).sum();
            net.run_ms(1);
            count += net.stacks.iter().map(|s| s.counters().packets_out).sum::<u64>() - before;
            net.link.cut = [false; 2];
        }
        net.run_ms(2_000);
        assert!(net.up_of(A).is_some() && net.up_of(B).is_some(), "lost packet {lost}");
        assert_eq!(net.stacks[B].associations().count(), 1);
    }
}

#[test]
fn everything_twice_in_the_handshake_is_harmless() {
    let mut net = Net::quick();
    net.link.duplicate = 100;
    let (a, b) = net.up();
    net.link.duplicate = 0;
    net.run_ms(100);
    net.send(A, a, 0, 0, "x");
    net.send(B, b, 0, 0, "y");
    net.run_ms(100);
    assert_eq!((net.messages(A).len(), net.messages(B).len()), (1, 1));
    for node in [A, B] {
        assert_eq!(net.stacks[node].associations().count(), 1);
        assert_eq!(net.stacks[node].counters().associations_up, 1);
    }
}

#[test]
fn a_late_cookie_echo_does_not_bring_an_ended_association_back() {
    let mut net = Net::quick();
    net.record = true;
    let (a, _) = net.up();
    let echo = net.sent.iter().find(|(_, t)| chunks(&t.payload)[0].0 == 10).unwrap().1.payload.clone();
    let now = net.now;
    net.stacks[A].shutdown(now, a);
    net.run_ms(50);
    assert!(net.closed_of(B).is_some());
    net.inject(B, address(A), echo);
    assert_eq!(net.stacks[B].associations().count(), 0);
}

#[test]
fn both_may_open_at_once() {
    for skew_us in [0u64, 300, 900, 1_500, 2_500] {
        let mut net = Net::quick();
        let connect = |to| Connect { peer: vec![address(to)], peer_port: PORT, local_port: Some(PORT) };
        net.stacks[A].listen(PORT);
        net.stacks[A].connect(net.now, connect(B)).unwrap();
        net.drain();
        net.run_for(Duration::from_micros(skew_us), |_| false);
        let now = net.now;
        // After the other's COOKIE ECHO it is no longer possible.
        let second = net.stacks[B].connect(now, connect(A));
        net.run_ms(1_000);
        let (a, b) = (net.up_of(A).unwrap(), net.up_of(B).unwrap());
        assert_eq!((net.stacks[A].associations().count(), net.stacks[B].associations().count()), (1, 1), "{skew_us}");
        assert!(second.is_ok() || skew_us > 2_000);
        net.send(A, a, 1, 0, "from a");
        net.send(B, b, 1, 0, "from b");
        net.run_ms(50);
        assert_eq!((net.messages(A).len(), net.messages(B).len()), (1, 1), "{skew_us}");
    }
}

#[test]
fn a_restarted_peer_ends_the_old_association_and_starts_a_new_one() {
    let mut net = Net::quick();
    let connect = Connect { peer: vec![address(B)], peer_port: PORT, local_port: Some(5_000) };
    net.stacks[A].connect(net.now, connect.clone()).unwrap();
    net.run_ms(20);
    let old = net.up_of(B).unwrap();
    // A forgets everything; B has messages under way.
    let fresh = Net::new(99, config(), config());
    net.stacks[A] = fresh.stacks.into_iter().next().unwrap();
    // (A message that reached the new one would be out of the blue there, and its ABORT would come first.)
    net.link.cut[B] = true;
    for i in 0..10 {
        net.send(B, old, 1, i, "lost on the way");
    }
    net.drain();
    net.link.cut[B] = false;
    let now = net.now;
    net.stacks[A].connect(now, connect).unwrap();
    net.events[A].clear();
    net.run_ms(50);
    assert_eq!(net.closed_of(B), Some(CloseReason::Restarted));
    assert_eq!(net.undelivered(B), (0..10).collect::<Vec<_>>());
    let (a, b) = (net.up_of(A).unwrap(), net.up_of(B).unwrap());
    assert_ne!(b, old);
    net.send(A, a, 1, 0, "again");
    net.send(B, b, 1, 0, "and back");
    net.run_ms(50);
    assert_eq!((net.messages(A).len(), net.messages(B).len()), (1, 1));
    assert_eq!(net.stacks[B].counters().associations_restarted, 1);
}

#[test]
fn a_restart_that_adds_addresses_is_refused() {
    let mut fake = Fake::up(config());
    let list = [0, 5, 0, 8, 10, 9, 9, 9];
    let answer = fake.say_with(0, &[init(77, (10, 10), 1, &list)]);
    assert_eq!(answer[0].0, 6);
    assert_eq!(answer[0].2, [&[0, 11, 0, 12][..], &list].concat());
    assert!(fake.net.stacks[B].state(fake.assoc).is_some());
}

#[test]
fn associations_have_a_limit() {
    let mut net = Net::new(1, config(), Config { associations_max: 2, ..config() });
    let (_, early) = Fake::init_ack(&mut net, 3_999, 7, 1, &[]);
    for _ in 0..2 {
        net.connect();
        net.run_ms(20);
    }
    assert_eq!(net.stacks[B].associations().count(), 2);
    net.connect();
    net.run_ms(20);
    assert_eq!(net.closed_of(A), Some(CloseReason::PeerAbort(Some(4))));
    net.sent.clear();
    net.inject(B, address(A), packet((3_999, PORT), u32_at(&early, 0), &[chunk(10, 0, &cookie_of(&early))]));
    assert_eq!(chunks(&net.sent[0].1.payload), [(6, 0, vec![0, 4, 0, 4])]);
    assert_eq!(net.stacks[B].counters().associations_refused, 2);
    let full = Connect { peer: vec![address(A)], peer_port: 1, local_port: None };
    assert!(net.stacks[B].connect(net.now, full).is_err());
}

#[test]
fn out_of_the_blue_rules() {
    let mut net = Net::quick();
    net.record = true;
    let mut answer = |list: &[Vec<u8>]| {
        net.sent.clear();
        net.inject(B, address(A), packet((4_000, PORT), 0xabcd, list));
        net.sent.iter().map(|(_, t)| (u32_at(&t.payload, 4), chunks(&t.payload))).collect::<Vec<_>>()
    };
    let aborted = vec![(0xabcd, vec![(6, 1, vec![])])];
    assert_eq!(answer(&[data(1, 0, 0, 3, 3, b"x")]), aborted);
    assert_eq!(answer(&[chunk(4, 0, &[0, 1, 0, 4])]), aborted);
    assert_eq!(answer(&[chunk(8, 0, &[])]), vec![(0xabcd, vec![(14, 1, vec![])])]);
    assert_eq!(answer(&[data(1, 0, 0, 3, 3, b"x"), chunk(6, 0, &[])]), vec![], "ABORT");
    assert_eq!(answer(&[chunk(14, 0, &[])]), vec![], "SHUTDOWN COMPLETE");
    assert_eq!(answer(&[chunk(11, 0, &[])]), vec![], "COOKIE ACK");
    assert_eq!(answer(&[chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 0])]), vec![], "stale cookie");
    assert_eq!(answer(&[chunk(9, 0, &[0, 6, 0, 4])]), aborted, "another ERROR");
    for _ in 0..1_000 {
        answer(&[data(1, 0, 0, 3, 3, b"x")]);
    }
    let counters = net.stacks[B].counters();
    assert_eq!(counters.packets_out, 100, "a second's worth");
    assert_eq!(counters.out_of_the_blue_unanswered, 1_004 - 100);
}

#[test]
fn verification_tags() {
    let mut fake = Fake::up(config());
    let (mine, theirs) = (fake.tag, fake.peer_tag);
    // ABORT with our own tag needs no T bit, with the peer's it needs it.
    fake.say_with(theirs, &[chunk(6, 1, &[])]);
    fake.say_with(mine, &[chunk(6, 0, &[])]);
    fake.say_with(mine ^ 1, &[chunk(6, 1, &[])]);
    assert_eq!(fake.net.closed_of(B), None);
    fake.say_with(mine, &[chunk(6, 1, &[0, 12, 0, 4])]);
    assert_eq!(fake.net.closed_of(B), Some(CloseReason::PeerAbort(Some(12))));

    // From an address that is not the peer's, with the right tag.
    let mut fake = Fake::up(config());
    let bytes = packet((fake.port, PORT), fake.peer_tag, &[chunk(6, 0, &[])]);
    fake.net.inject(B, "127.0.0.77:9899".parse().unwrap(), bytes.clone());
    assert_eq!(fake.net.stacks[B].counters().dropped_source, 1);
    assert_eq!(fake.net.closed_of(B), None);
    // Its own address from another UDP port: translated on the way, and answers follow.
    let heartbeat = packet((fake.port, PORT), fake.peer_tag, &[chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4])]);
    fake.net.sent.clear();
    fake.net.inject(B, "127.0.0.1:40000".parse().unwrap(), heartbeat);
    assert_eq!(fake.net.sent[0].1.to, "127.0.0.1:40000".parse().unwrap());
    assert_eq!(chunks(&fake.net.sent[0].1.payload), [(5, 0, vec![0, 1, 0, 8, 1, 2, 3, 4])]);
    assert_eq!(fake.net.stacks[B].addresses(fake.assoc), ["127.0.0.1:40000".parse().unwrap()]);
}

#[test]
fn an_association_id_is_never_used_again() {
    let mut net = Net::quick();
    let (first, _) = net.up();
    let now = net.now;
    net.stacks[A].abort(now, first, b"");
    net.run_ms(10);
    net.events[A].clear();
    let second = net.connect();
    assert_ne!(first, second);
    assert!(net.stacks[A].send(net.now, first, SendOptions::default(), "x".into()).is_err());
}

#[test]
fn a_listed_address_that_is_not_the_peers_does_no_harm() {
    // An address of somebody else, who answers our heartbeat with ABORT: out of the blue.
    let mut net = Net::quick();
    let list = [0, 5, 0, 8, 10, 9, 9, 9, 0, 5, 0, 8, 127, 0, 0, 1];
    let other: SocketAddr = "10.0.0.1:9899".parse().unwrap();
    net.record = true;
    net.inject(B, other, packet((4_000, PORT), 0, &[init(7, (10, 10), 1, &list)]));
    let ack = chunks(&net.sent.pop().unwrap().1.payload)[0].2.clone();
    net.inject(B, other, packet((4_000, PORT), u32_at(&ack, 0), &[chunk(10, 0, &cookie_of(&ack))]));
    let b = net.up_of(B).unwrap();
    let stranger: SocketAddr = "10.9.9.9:9899".parse().unwrap();
    assert_eq!(net.stacks[B].addresses(b), [other, stranger], "and no loopback address of our own");
    net.run_ms(10);
    assert!(net.sent.iter().any(|(_, t)| t.to == stranger && chunks(&t.payload)[0].0 == 4), "it is probed");
    net.inject(B, stranger, packet((4_000, PORT), 7, &[chunk(6, 1, &[])]));
    assert_eq!(net.closed_of(B), None);
    // No data goes there.
    net.sent.clear();
    net.send(B, b, 0, 0, "x");
    net.run_ms(1_000);
    assert!(net.sent.iter().all(|(_, t)| t.to != stranger || chunks(&t.payload)[0].0 == 4));
    net.inject(B, other, packet((4_000, PORT), 7, &[chunk(6, 1, &[])]));
    assert!(net.closed_of(B).is_some());
}

#[test]
fn a_stack_can_be_given_to_a_thread() {
    fn is_send<T: Send>() {}
    is_send::<sctp::Stack>();
    is_send::<Event>();
}
