//! Our stack and `dcsctp`, the stack of WebRTC, in one process and in virtual time: a third implementation that knows nothing of ours.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use bytes::Bytes;
use common::{Dice, config};
use dcsctp::api::{DcSctpSocket, Message, Options, PpId, Socket, SocketEvent, SocketState, SocketTime, StreamId};
use sctp::{AssocId, CloseReason, Connect, Datagram, Event, SendOptions, Stack};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const OUR_PORT: u16 = 2905;
const THEIR_PORT: u16 = 5000;
const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const STREAMS: u16 = 8;

/// Both stacks and the network between them.
struct Net {
    begin: Instant,
    now: Instant,
    ours: Stack,
    theirs: Socket,
    /// When their socket was made: its time begins there.
    theirs_begin: Instant,
    events: Vec<Event>,
    their_events: Vec<String>,
    their_messages: Vec<(u16, u32, Vec<u8>)>,
    loss: u64,
    cut: bool,
    dice: Dice,
    /// What is under way, by time of arrival; true: to us.
    wire: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    serial: u64,
}

fn options() -> Options {
    Options {
        local_port: THEIR_PORT,
        remote_port: OUR_PORT,
        announced_maximum_outgoing_streams: 64,
        ..Options::default()
    }
}

impl Net {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let mut ours = Stack::new(config(), vec![OURS], [seed as u8; 32], now);
        ours.listen(OUR_PORT);
        Self {
            begin: now,
            now,
            ours,
            theirs: Socket::new("theirs", &options()),
            theirs_begin: now,
            events: Vec::new(),
            their_events: Vec::new(),
            their_messages: Vec::new(),
            loss: 0,
            cut: false,
            dice: Dice(seed.wrapping_mul(2) | 1),
            wire: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Up, started by them or by us.
    fn up(seed: u64, we_connect: bool) -> (Self, AssocId) {
        let mut net = Self::new(seed);
        if we_connect {
            let peer = vec![SocketAddr::new(THEIRS, 9899)];
            net.ours.connect(net.now, Connect { peer, peer_port: THEIR_PORT, local_port: Some(OUR_PORT) }).unwrap();
        } else {
            net.theirs.connect();
        }
        let assoc = net.until_up();
        (net, assoc)
    }

    fn until_up(&mut self) -> AssocId {
        let up = |net: &Self| net.our_up().is_some() && net.they_said("OnConnected");
        assert!(self.run_for(Duration::from_secs(5), up), "{:?} {:?}", self.events, self.their_events);
        assert_eq!(self.theirs.state(), SocketState::Connected);
        let assoc = self.our_up().unwrap();
        self.events.clear();
        self.their_events.clear();
        assoc
    }

    fn our_up(&self) -> Option<AssocId> {
        self.events.iter().find_map(|event| match event {
            Event::Up { assoc, .. } => Some(*assoc),
            _ => None,
        })
    }

    fn our_end(&self) -> Option<(CloseReason, usize)> {
        self.events.iter().find_map(|event| match event {
            Event::Closed { reason, undelivered, .. } => Some((reason.clone(), undelivered.len())),
            _ => None,
        })
    }

    fn our_messages(&self) -> Vec<(u16, u32, Vec<u8>)> {
        let message = |event: &Event| match event {
            Event::Message { stream, ppid, payload, .. } => Some((*stream, *ppid, payload.to_vec())),
            _ => None,
        };
        self.events.iter().filter_map(message).collect()
    }

    fn they_said(&self, what: &str) -> bool {
        self.their_events.iter().any(|event| event.starts_with(what))
    }

    fn we_send(&mut self, assoc: AssocId, message: &(u16, u32, Vec<u8>)) {
        let options = SendOptions { stream: message.0, ppid: message.1, unordered: false, context: 0 };
        self.ours.send(self.now, assoc, options, Bytes::from(message.2.clone())).unwrap();
    }

    fn they_send(&mut self, message: &(u16, u32, Vec<u8>)) {
        let message = Message::new(StreamId(message.0), PpId(message.1), message.2.clone());
        self.theirs.send(message, &dcsctp::api::SendOptions::default()).unwrap();
    }

    fn carry(&mut self, to_us: bool, packet: Vec<u8>) {
        if self.cut || self.dice.chance(self.loss) {
            return;
        }
        self.serial += 1;
        self.wire.insert((self.now + Duration::from_millis(5), self.serial), (to_us, packet));
    }

    fn their_time(&self, at: Instant) -> SocketTime {
        SocketTime::zero() + (at - self.theirs_begin)
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.ours.poll_transmit(self.now) {
            self.carry(false, transmit.payload.to_vec());
        }
        while let Some(event) = self.ours.poll_event() {
            self.events.push(event);
        }
        while let Some(event) = self.theirs.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.carry(true, packet),
                other => self.their_events.push(format!("{other:?}")),
            }
        }
        while let Some(message) = self.theirs.get_next_message() {
            self.their_messages.push((message.stream_id.0, message.ppid.0, message.payload));
        }
    }

    /// Until `done`, or until this long has gone by; whether it was done.
    fn run_for(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.drain();
        while !done(self) {
            let theirs = self.theirs.poll_timeout();
            let theirs =
                (theirs != SocketTime::infinite_future()).then(|| self.theirs_begin + (theirs - SocketTime::zero()));
            let packet = self.wire.keys().next().map(|(at, _)| *at);
            let Some(next) = packet.into_iter().chain(theirs).chain(self.ours.poll_timeout()).min() else {
                return false;
            };
            if next > end {
                self.now = end;
                return false;
            }
            self.now = self.now.max(next);
            self.theirs.advance_time(self.their_time(self.now));
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to_us, packet) = entry.remove();
                if to_us {
                    let from = SocketAddr::new(THEIRS, 9899);
                    self.ours.handle_datagram(self.now, Datagram { from, to: OURS, payload: packet.into() });
                } else {
                    self.theirs.handle_input(&packet);
                }
            }
            if self.ours.poll_timeout().is_some_and(|at| at <= self.now) {
                self.ours.handle_timeout(self.now);
            }
            self.drain();
        }
        true
    }

    /// Their process goes without a word, and another one begins with the same ports.
    fn replace_theirs(&mut self) {
        self.theirs = Socket::new("again", &options());
        self.theirs_begin = self.now;
        self.their_events.clear();
    }
}

/// Messages of many sizes on all streams, with PPIDs of ours.
fn some_messages(count: usize) -> Vec<(u16, u32, Vec<u8>)> {
    let size = |n: usize| [1, 200, 1_400, 5_000, 40_000][n % 5];
    (0..count).map(|n| (n as u16 % STREAMS, [3, 11][n % 2], vec![n as u8; size(n)])).collect()
}

/// The same messages, each stream's in the order of sending.
#[track_caller]
fn assert_same(mut got: Vec<(u16, u32, Vec<u8>)>, mut sent: Vec<(u16, u32, Vec<u8>)>) {
    got.sort_by_key(|message| message.0);
    sent.sort_by_key(|message| message.0);
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "not what was sent, or not in order");
}

fn exchange(net: &mut Net, assoc: AssocId, count: usize) {
    let sent = some_messages(count);
    for message in &sent {
        net.we_send(assoc, message);
        net.they_send(message);
    }
    let all = |net: &Net| net.our_messages().len() >= count && net.their_messages.len() >= count;
    let done = net.run_for(Duration::from_secs(120), all);
    assert!(done, "{} and {} of {count}", net.our_messages().len(), net.their_messages.len());
    assert_same(net.our_messages(), sent.clone());
    assert_same(std::mem::take(&mut net.their_messages), sent);
    net.events.retain(|event| !matches!(event, Event::Message { .. }));
}

#[test]
fn messages_both_ways_whoever_connects() {
    for we_connect in [true, false] {
        let (mut net, assoc) = Net::up(1, we_connect);
        exchange(&mut net, assoc, 200);
        assert_eq!(net.our_end(), None);
        assert!(!net.they_said("OnError"), "{:?}", net.their_events);
    }
}

#[test]
fn messages_both_ways_through_loss() {
    for seed in 1..=5 {
        let (mut net, assoc) = Net::up(seed, seed % 2 == 0);
        net.loss = 5;
        exchange(&mut net, assoc, 200);
        assert_eq!(net.our_end(), None);
    }
}

#[test]
fn the_handshake_itself_through_loss() {
    for seed in 1..=40 {
        let mut net = Net::new(seed);
        net.loss = 20;
        if seed % 2 == 0 {
            let peer = vec![SocketAddr::new(THEIRS, 9899)];
            net.ours.connect(net.now, Connect { peer, peer_port: THEIR_PORT, local_port: Some(OUR_PORT) }).unwrap();
        } else {
            net.theirs.connect();
        }
        let up = |net: &Net| net.our_up().is_some() && net.they_said("OnConnected");
        assert!(net.run_for(Duration::from_secs(60), up), "seed {seed}: {:?} {:?}", net.events, net.their_events);
    }
}

#[test]
fn both_connect_at_once() {
    for seed in 1..=20 {
        let mut net = Net::new(seed);
        net.loss = if seed > 10 { 20 } else { 0 };
        let peer = vec![SocketAddr::new(THEIRS, 9899)];
        net.ours.connect(net.now, Connect { peer, peer_port: THEIR_PORT, local_port: Some(OUR_PORT) }).unwrap();
        net.theirs.connect();
        let up = |net: &Net| net.our_up().is_some() && net.they_said("OnConnected");
        assert!(net.run_for(Duration::from_secs(60), up), "seed {seed}: {:?} {:?}", net.events, net.their_events);
        net.loss = 0;
        let assoc = net.our_up().unwrap();
        exchange(&mut net, assoc, 20);
        let ups = net.events.iter().filter(|event| matches!(event, Event::Up { .. })).count();
        assert_eq!((ups, net.our_end()), (1, None), "seed {seed}: one association");
    }
}

#[test]
fn shutdown_by_either_side_delivers_what_was_accepted() {
    for (seed, by_us, loss) in [(1, true, 0), (2, false, 0), (3, true, 5), (4, false, 5)] {
        let (mut net, assoc) = Net::up(seed, true);
        net.loss = loss;
        let mut sent = some_messages(50);
        if !by_us {
            // It sends SHUTDOWN when nothing is in flight, though more waits in its queue: what is more than a window is lost.
            sent.retain(|message| message.2.len() <= 200);
            sent.truncate(10);
        }
        for message in &sent {
            if by_us {
                net.we_send(assoc, message);
            } else {
                net.they_send(message);
            }
        }
        if by_us {
            net.ours.shutdown(net.now, assoc);
        } else {
            net.theirs.shutdown();
        }
        let ended = |net: &Net| net.our_end().is_some() && net.theirs.state() == SocketState::Closed;
        assert!(net.run_for(Duration::from_secs(60), ended), "seed {seed}: {:?}", net.their_events);
        assert_eq!(net.our_end(), Some((CloseReason::Shutdown, 0)));
        assert_same(if by_us { net.their_messages } else { net.our_messages() }, sent);
    }
}

#[test]
fn abort_by_either_side_is_seen_at_once() {
    let (mut net, assoc) = Net::up(1, true);
    net.ours.abort(net.now, assoc, b"enough");
    assert!(net.run_for(Duration::from_secs(1), |net| net.they_said("OnAborted")));
    assert!(net.their_events[0].contains("PeerReported"), "{:?}", net.their_events);
    assert_eq!(net.our_end(), Some((CloseReason::LocalAbort, 0)));

    let (mut net, _) = Net::up(2, false);
    net.theirs.close();
    assert!(net.run_for(Duration::from_secs(1), |net| net.our_end().is_some()));
    assert_eq!(net.our_end(), Some((CloseReason::PeerAbort(Some(12)), 0)));
}

#[test]
fn their_restart_hands_back_what_was_not_acknowledged() {
    let (mut net, assoc) = Net::up(1, true);
    exchange(&mut net, assoc, 20);
    net.cut = true;
    for message in some_messages(5) {
        net.we_send(assoc, &message);
    }
    net.run_for(Duration::from_millis(1), |_| false);
    net.replace_theirs();
    net.cut = false;
    net.theirs.connect();
    let again = net.until_restarted();
    assert_ne!(again, assoc);
    exchange(&mut net, again, 20);
}

impl Net {
    fn until_restarted(&mut self) -> AssocId {
        let up = |net: &Self| net.our_up().is_some() && net.they_said("OnConnected");
        assert!(self.run_for(Duration::from_secs(5), up), "{:?} {:?}", self.events, self.their_events);
        assert_eq!(self.our_end(), Some((CloseReason::Restarted, 5)));
        let again = self.our_up().unwrap();
        self.events.clear();
        again
    }
}

#[test]
fn our_restart_is_seen_by_them() {
    let (mut net, assoc) = Net::up(1, true);
    exchange(&mut net, assoc, 20);
    // Our process goes without a word, and another one begins with the same ports.
    net.ours = Stack::new(config(), vec![OURS], [9; 32], net.now);
    net.events.clear();
    let peer = vec![SocketAddr::new(THEIRS, 9899)];
    net.ours.connect(net.now, Connect { peer, peer_port: THEIR_PORT, local_port: Some(OUR_PORT) }).unwrap();
    let up = |net: &Net| net.our_up().is_some() && net.they_said("OnConnectionRestarted");
    assert!(net.run_for(Duration::from_secs(5), up), "{:?} {:?}", net.events, net.their_events);
    let again = net.our_up().unwrap();
    exchange(&mut net, again, 20);
}

#[test]
fn their_silence_is_found_idle_or_sending() {
    for sending in [false, true] {
        let (mut net, assoc) = Net::up(1, true);
        net.run_for(Duration::from_secs(2), |_| false);
        net.cut = true;
        if sending {
            net.we_send(assoc, &(0, 3, vec![1; 200]));
        }
        let cut = net.now;
        assert!(net.run_for(Duration::from_secs(10), |net| net.our_end().is_some()));
        assert_eq!(net.our_end(), Some((CloseReason::Silent, usize::from(sending))));
        // HB.interval 500 ms with its jitter, then supervision 2,000 ms.
        assert!(net.now - cut < Duration::from_millis(3_500), "{:?}", net.now - cut);
        assert!(net.now > net.begin);
    }
}
