//! Handshake, data both ways, orderly and disorderly ends, on a good network.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.
mod common;

use bytes::Bytes;
use common::{A, B, Net, address, config};
use sctp::{CloseReason, Config, Event, SendError, SendOptions};
use std::time::Duration;

#[test]
fn comes_up_on_both_sides_with_the_smaller_stream_counts() {
    let b = Config { outbound_streams: 5, inbound_streams: 9, ..config() };
    let mut net = Net::new(1, config(), b);
    let a = net.connect();
    assert!(net.run_for(Duration::from_secs(1), |n| n.up_of(A).is_some() && n.up_of(B).is_some()));
    let up = |node: usize| match &net.events[node][0] {
        Event::Up { incoming, outbound_streams, inbound_streams, peer, local_port, peer_port, assoc } => {
            (*incoming, *outbound_streams, *inbound_streams, peer.clone(), *local_port, *peer_port, *assoc)
        }
        other => panic!("{other:?}"),
    };
    let (left, right) = (up(A), up(B));
    assert_eq!((left.0, left.1, left.2, left.3), (false, 9, 5, vec![address(B)]));
    assert_eq!((right.0, right.1, right.2, right.3), (true, 5, 9, vec![address(A)]));
    assert_eq!((left.4, left.5), (right.5, right.4));
    assert_eq!(left.6, a);
    assert_eq!(net.elapsed(), Duration::from_millis(4), "two round trips of 2 ms");
    assert_eq!(net.stacks[A].rtt(a), Some(Duration::from_millis(2)));
}

#[test]
fn messages_keep_ppid_stream_order_and_content_both_ways() {
    let mut net = Net::quick();
    let (a, b) = net.up();
    for i in 0..300u32 {
        let options = SendOptions { stream: (i % 7) as u16, ppid: i * 1_000_003, unordered: i % 5 == 4, context: 0 };
        let size = [1, 3, 200, 1_371, 1_372, 5_000, 65_535][i as usize % 7];
        let payload = Bytes::from(vec![i as u8; size]);
        net.stacks[A].send(net.now, a, options, payload.clone()).unwrap();
        net.stacks[B].send(net.now, b, options, payload).unwrap();
    }
    let done = net.run_for(Duration::from_secs(20), |n| n.messages(A).len() == 300 && n.messages(B).len() == 300);
    assert!(
        done,
        "{} {} {:?} {:?} {:?}",
        net.messages(A).len(),
        net.messages(B).len(),
        net.stacks[A].info(a),
        net.closed_of(A),
        net.stacks[A].counters()
    );
    for node in [A, B] {
        for stream in 0..7u16 {
            for unordered in [false, true] {
                let got: Vec<_> =
                    net.messages(node).into_iter().filter(|m| (m.0, m.2) == (stream, unordered)).collect();
                let sent: Vec<u32> =
                    (0..300).filter(|i| (i % 7) as u16 == stream && (i % 5 == 4) == unordered).collect();
                assert_eq!(got.len(), sent.len());
                let mut numbers: Vec<u32> = got.iter().map(|m| m.1 / 1_000_003).collect();
                if unordered {
                    numbers.sort_unstable();
                }
                assert_eq!(numbers, sent);
                for (_, ppid, _, payload) in got {
                    let i = ppid / 1_000_003;
                    assert_eq!(payload.len(), [1, 3, 200, 1_371, 1_372, 5_000, 65_535][i as usize % 7]);
                    assert!(payload.iter().all(|byte| *byte == i as u8));
                }
            }
        }
    }
    net.run_ms(500);
    assert_eq!(net.stacks[A].outstanding(a), (0, 0));
    assert_eq!(net.stacks[A].counters().engine_surprises, 0);
    assert_eq!(net.stacks[A].counters().messages_acknowledged, 300);
    assert_eq!(net.stacks[A].counters().data_retransmitted, 0);
}

#[test]
fn send_refuses_what_cannot_be() {
    let small = Config { send_queue_messages_max: 3, send_queue_bytes_max: 1_000, message_bytes_max: 600, ..config() };
    let mut net = Net::new(1, small, config());
    let connecting = net.connect();
    let plain = SendOptions::default();
    let now = net.now;
    assert_eq!(net.stacks[A].send(now, connecting, plain, Bytes::from_static(b"x")), Err(SendError::NotOpen));
    net.run_ms(20);
    let a = net.up_of(A).unwrap();
    let now = net.now;
    let mut send = |options, size: usize| net.stacks[A].send(now, a, options, Bytes::from(vec![0; size]));
    assert_eq!(send(plain, 0), Err(SendError::BadLength));
    assert_eq!(send(plain, 601), Err(SendError::BadLength));
    assert_eq!(send(SendOptions { stream: 17, ..plain }, 1), Err(SendError::NoSuchStream));
    assert_eq!(send(plain, 600), Ok(()));
    assert_eq!(send(plain, 401), Err(SendError::QueueFull));
    assert_eq!(send(plain, 1), Ok(()));
    assert_eq!(send(plain, 1), Ok(()));
    assert_eq!(send(plain, 1), Err(SendError::QueueFull));
    assert_eq!(net.stacks[A].outstanding(a), (3, 602));
    let counters = net.stacks[A].counters();
    assert_eq!((counters.refused_length, counters.refused_stream, counters.refused_queue_full), (2, 1, 2));
}

#[test]
fn shutdown_delivers_first_and_is_clean_on_both_sides() {
    for by in [A, B] {
        let mut net = Net::quick();
        let (a, b) = net.up();
        for i in 0..500 {
            net.send(A, a, 1, i, vec![7; 200]);
            net.send(B, b, 1, i, vec![8; 200]);
        }
        let now = net.now;
        net.stacks[by].shutdown(now, [a, b][by]);
        assert!(net.run_for(Duration::from_secs(5), |n| n.closed_of(A).is_some() && n.closed_of(B).is_some()));
        for node in [A, B] {
            assert_eq!(net.closed_of(node), Some(CloseReason::Shutdown));
            assert_eq!(net.messages(node).len(), 500);
            assert!(net.undelivered(node).is_empty());
        }
        assert!(net.elapsed() < Duration::from_millis(400), "{:?}", net.elapsed());
    }
}

#[test]
fn both_may_shut_down_at_once() {
    let mut net = Net::quick();
    let (a, b) = net.up();
    let now = net.now;
    net.stacks[A].shutdown(now, a);
    net.stacks[B].shutdown(now, b);
    net.run_ms(100);
    assert_eq!(net.closed_of(A), Some(CloseReason::Shutdown));
    assert_eq!(net.closed_of(B), Some(CloseReason::Shutdown));
    assert!(net.elapsed() < Duration::from_millis(110));
}

#[test]
fn abort_hands_back_and_tells_the_peer_why() {
    let mut net = Net::quick();
    let (a, _) = net.up();
    for i in 0..100 {
        net.send(A, a, 1, i, vec![7; 200]);
    }
    net.drain();
    let now = net.now;
    net.stacks[A].abort(now, a, b"operator");
    net.run_ms(10);
    assert_eq!(net.closed_of(A), Some(CloseReason::LocalAbort));
    assert_eq!(net.undelivered(A), (0..100).collect::<Vec<_>>());
    assert_eq!(net.closed_of(B), Some(CloseReason::PeerAbort(Some(12))));
    // What left before the ABORT is marked so.
    let transmitted = net.events[A].iter().find_map(|e| match e {
        Event::Closed { undelivered, .. } => Some(undelivered.iter().filter(|u| u.transmitted).count()),
        _ => None,
    });
    assert!(transmitted.unwrap() > 0 && transmitted.unwrap() < 100);
    assert_eq!(net.stacks[A].send(now, a, SendOptions::default(), Bytes::from_static(b"x")), Err(SendError::NotOpen));
}

#[test]
fn a_burst_is_bundled_and_acknowledged_once() {
    let mut net = Net::quick();
    let (a, _) = net.up();
    net.record = true;
    for i in 0..12 {
        net.send(A, a, 1, i, vec![7; 200]);
    }
    net.run_ms(30);
    let count = |node| net.sent.iter().filter(|(from, _)| *from == node).count();
    // 216 bytes a chunk, 6 in 1,400 bytes.
    assert_eq!(count(A), 2);
    assert!(count(B) <= 2);
    assert_eq!(net.stacks[A].outstanding(a), (0, 0));
}

#[test]
fn a_single_message_is_acknowledged_without_delay() {
    let mut net = Net::quick();
    let (a, _) = net.up();
    net.send(A, a, 1, 0, vec![7; 200]);
    let sent = net.now;
    assert!(net.run_for(Duration::from_secs(1), |n| n.stacks[A].outstanding(a).0 == 0));
    assert_eq!(net.now - sent, Duration::from_millis(2));
}
