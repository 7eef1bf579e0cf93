//! What the fuzz targets run, and what `cargo test` replays from the committed corpus: functions of bytes that panic when
//! something is wrong. Nothing here is random and nothing waits: time is virtual.
//!
//! Whatever the bytes say: no panic, nothing beyond the MTU, an answer not much larger than what it answers, no association
//! from nowhere, and every message that was accepted is acknowledged, handed back or still held.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs, dead_code, unreachable_pub)] // A test; each target uses one function.

#[path = "../tests/common/mod.rs"]
pub mod common;

use bytes::Bytes;
use common::{A, B, Net, PORT, address, chunk, data, init, ip, packet, sack, seal};
use sctp::{AssocId, Config, Connect, Datagram, Event, SendOptions, Stack, Unreachable};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Longer inputs say nothing that shorter ones do not.
const INPUT_MAX: usize = 8_192;

/// Reads the input from its front; zeros when it is over.
struct Tape<'a>(&'a [u8]);

impl Tape<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
    fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
    /// Up to 255 bytes.
    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken.to_vec()
    }
    fn over(&self) -> bool {
        self.0.is_empty()
    }
}

/// What somebody who reads every packet knows.
#[derive(Default)]
struct Spy {
    /// Tag that each node expects, its SCTP port, the highest TSN it sent.
    tag: [u32; 2],
    port: [u16; 2],
    tsn: [u32; 2],
    cookie: Vec<u8>,
    packets: Vec<(usize, Bytes)>,
}

impl Spy {
    fn look(&mut self, net: &mut Net) {
        for (from, transmit) in std::mem::take(&mut net.sent) {
            let bytes = &transmit.payload;
            let (source, tag) = (u16::from_be_bytes([bytes[0], bytes[1]]), common::u32_at(bytes, 4));
            self.port[from] = source;
            for (kind, flags, value) in common::chunks(bytes) {
                match kind {
                    1 | 2 => {
                        self.tag[from] = common::u32_at(&value, 0);
                        self.tsn[from] = common::u32_at(&value, 12).wrapping_sub(1);
                        if kind == 2 {
                            self.cookie = common::cookie_of(&value);
                        }
                    }
                    0 if (common::u32_at(&value, 0).wrapping_sub(self.tsn[from]) as i32) > 0 => {
                        self.tsn[from] = common::u32_at(&value, 0);
                    }
                    6 | 14 if flags & 1 != 0 => {}
                    _ if tag != 0 => self.tag[1 - from] = tag,
                    _ => {}
                }
            }
            if self.packets.len() < 64 {
                self.packets.push((1 - from, bytes.clone()));
            }
        }
    }
}

fn settings() -> Config {
    Config { a_rwnd: 20_000, inbound_streams: 8, outbound_streams: 8, out_of_the_blue_per_s: 20, ..Config::default() }
}

/// Packets of somebody who knows everything, to both ends of an association that is up.
pub fn packets(input: &[u8]) {
    attack(input, true);
}

/// Packets of somebody who knows everything, to a listener and to an end that waits for an INIT ACK.
pub fn handshake(input: &[u8]) {
    attack(input, false);
}

fn attack(input: &[u8], up: bool) {
    let mut tape = Tape(&input[..input.len().min(INPUT_MAX)]);
    let mut net = Net::new(7, settings(), settings());
    net.record = true;
    if up {
        net.up();
    } else {
        net.link.cut = [true; 2];
        net.connect();
        net.drain();
    }
    let mut spy = Spy { port: [0, PORT], ..Spy::default() };
    while !tape.over() {
        spy.look(&mut net);
        let op = tape.byte();
        let to = usize::from(op >> 7);
        match op & 15 {
            0 => deliver(&mut net, to, address(1 - to), tape.bytes()),
            1 => {
                let raw = tape.bytes();
                let mut bytes = packet(ports(&spy, to), spy.tag[to], &[]);
                bytes.extend_from_slice(&raw);
                seal(&mut bytes);
                deliver(&mut net, to, address(1 - to), bytes);
            }
            2 => {
                let chunks: Vec<_> = (0..1 + (op >> 4 & 7)).map(|_| data_chunk(&mut tape, &spy, to)).collect();
                deliver(&mut net, to, address(1 - to), packet(ports(&spy, to), spy.tag[to], &chunks));
            }
            3 => {
                let chunks: Vec<_> = (0..1 + (op >> 4 & 7)).map(|_| sack_chunk(&mut tape, &spy, to)).collect();
                deliver(&mut net, to, address(1 - to), packet(ports(&spy, to), spy.tag[to], &chunks));
            }
            4 => {
                let options =
                    SendOptions { stream: u16::from(tape.byte() & 7), unordered: op & 16 != 0, ..Default::default() };
                let length = usize::from(tape.short()) % 5_000;
                for id in net.stacks[to].associations().collect::<Vec<_>>() {
                    let _ = net.stacks[to].send(net.now, id, options, vec![1; length].into());
                }
                net.drain();
            }
            5 => net.run_ms(u64::from(tape.byte()) * if op & 16 == 0 { 1 } else { 20 }),
            6 => {
                let (tag, tsn, parameters) = (u32::from(tape.short()), u32::from(tape.byte()), tape.bytes());
                let init = init(tag, (tape.byte().into(), tape.byte().into()), tsn, &parameters);
                deliver(&mut net, to, source(op, to), packet(ports(&spy, to), 0, &[init]));
            }
            7 => {
                // The same value again as INIT ACK.
                let mut value =
                    init(u32::from(tape.short()), (tape.byte().into(), tape.byte().into()), 9, &tape.bytes());
                value[0] = 2;
                deliver(&mut net, to, source(op, to), packet(ports(&spy, to), spy.tag[to], &[value]));
            }
            8 => {
                let mut cookie = spy.cookie.clone();
                let (at, flip) = (usize::from(tape.byte()), tape.byte());
                if let Some(byte) = cookie.get_mut(at) {
                    *byte ^= flip;
                }
                let chunks = [chunk(10, 0, &cookie), tape.bytes()];
                deliver(&mut net, to, source(op, to), packet(ports(&spy, to), spy.tag[to], &chunks));
            }
            9 => {
                let body = tape.bytes();
                let chunks: Vec<_> =
                    (0..1 + (op >> 4 & 7)).map(|_| chunk(tape.byte() & 31, tape.byte(), &body)).collect();
                deliver(&mut net, to, address(1 - to), packet(ports(&spy, to), spy.tag[to], &chunks));
            }
            10 => {
                let Some((_, bytes)) = spy.packets.get(usize::from(tape.byte())) else { continue };
                let mut bytes = bytes.to_vec();
                let (at, value) = (usize::from(tape.byte()), tape.byte());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= value;
                }
                seal(&mut bytes);
                deliver(&mut net, to, source(op, to), bytes);
            }
            11 => {
                // An ICMP error that quotes a packet of this node.
                let Some((other, bytes)) = spy.packets.get(usize::from(tape.byte())) else { continue };
                let quoted = bytes.slice(..usize::from(tape.byte()).min(bytes.len()));
                let error = Unreachable { to: address(*other), quoted, port: op & 16 != 0 };
                net.stacks[1 - *other].handle_unreachable(net.now, &error);
                net.drain();
            }
            12 => {
                for id in net.stacks[to].associations().collect::<Vec<_>>() {
                    if op & 16 == 0 {
                        net.stacks[to].shutdown(net.now, id);
                    } else {
                        net.stacks[to].abort(net.now, id, b"why");
                    }
                }
                net.drain();
            }
            13 => net.link.cut = [op & 16 != 0, op & 32 != 0],
            14 => {
                // Somebody who knows nothing: at most one answer.
                let raw = tape.bytes();
                let mut bytes = packet(ports(&spy, to), u32::from(tape.short()), &[]);
                bytes.extend_from_slice(&raw);
                seal(&mut bytes);
                deliver(&mut net, to, "127.0.0.77:7777".parse().unwrap(), bytes);
            }
            _ => {
                let mut bytes = packet(ports(&spy, to), spy.tag[to], &[]);
                let one = tape.bytes();
                for _ in 0..1 + usize::from(tape.byte()) {
                    if bytes.len() + one.len() < 1_400 {
                        bytes.extend_from_slice(&one);
                        bytes.resize(bytes.len().div_ceil(4) * 4, 0);
                    }
                }
                seal(&mut bytes);
                deliver(&mut net, to, address(1 - to), bytes);
            }
        }
        check(&mut net);
    }
    net.link.cut = [false; 2];
    net.run_ms(2_500);
    check(&mut net);
}

fn ports(spy: &Spy, to: usize) -> (u16, u16) {
    (spy.port[1 - to], spy.port[to])
}

/// The other end, the other end behind another UDP port, or somebody else.
fn source(op: u8, to: usize) -> SocketAddr {
    match op >> 4 & 3 {
        0 | 1 => address(1 - to),
        2 => SocketAddr::new(ip(1 - to), 4_444),
        _ => "127.0.0.77:7777".parse().unwrap(),
    }
}

fn data_chunk(tape: &mut Tape<'_>, spy: &Spy, to: usize) -> Vec<u8> {
    let what = tape.byte();
    let tsn = spy.tsn[1 - to].wrapping_add(u32::from(what & 15)).wrapping_sub(u32::from(what >> 6));
    let place = tape.byte();
    let user = vec![place; usize::from(tape.byte())];
    data(tsn, u16::from(place & 15), u16::from(place >> 4), 3, what >> 2, &user)
}

fn sack_chunk(tape: &mut Tape<'_>, spy: &Spy, to: usize) -> Vec<u8> {
    let what = tape.byte();
    let gaps: Vec<_> = (0..what >> 5).map(|_| (u16::from(tape.byte()), u16::from(tape.byte()))).collect();
    sack(spy.tsn[to].wrapping_sub(u32::from(what & 15)).wrapping_add(u32::from(what >> 4 & 1)), &gaps)
}

/// One datagram, and what comes back at once: no amplification worth the name (RFC 5062 sections 8 to 10). What was waiting
/// to be sent may leave because of it, so answers are counted by those packets that carry no DATA.
fn deliver(net: &mut Net, to: usize, from: SocketAddr, bytes: Vec<u8>) {
    let (mut packets, mut length) = (0, 0);
    net.stacks[to].handle_datagram(net.now, Datagram { from, to: ip(to), payload: bytes.clone().into() });
    while let Some(transmit) = net.stacks[to].poll_transmit(net.now) {
        if common::chunks(&transmit.payload).iter().all(|c| c.0 != 0) {
            packets += 1;
            length += transmit.payload.len();
        }
        net.carry(to, transmit);
    }
    assert!(packets <= 4, "{packets} packets in answer to one");
    assert!(length <= 3 * bytes.len() + 700, "{length} bytes in answer to {}", bytes.len());
    net.drain();
}

fn check(net: &mut Net) {
    for node in [A, B] {
        let stack = &net.stacks[node];
        let counters = stack.counters();
        let held: usize = stack.associations().map(|id| stack.outstanding(id).0).sum();
        let accounted = counters.messages_acknowledged + counters.messages_handed_back + held as u64;
        assert_eq!(counters.messages_accepted, accounted, "{counters:?}");
        assert_eq!(counters.engine_surprises, 0);
        assert!(stack.associations().count() <= 4 + counters.associations_up as usize);
    }
    let mut closed = HashSet::new();
    for events in &mut net.events {
        for event in events.drain(..) {
            if let Event::Closed { assoc, .. } = event {
                assert!(closed.insert(assoc) || closed.len() > 1, "closed twice");
            }
        }
        closed.clear();
    }
}

/// What became of the messages one node accepted.
#[derive(Default)]
struct Book {
    accepted: HashSet<u64>,
    delivered: HashSet<u64>,
    back: HashSet<u64>,
    /// Last context by association of the receiver and stream, of the ordered ones.
    last: HashMap<(AssocId, u16), u64>,
}

/// Users' calls, loss, time and restarts at two honest ends: every message is delivered once, in order, or handed back once.
pub fn operations(input: &[u8]) {
    let mut tape = Tape(&input[..input.len().min(INPUT_MAX)]);
    let mut net = Net::new(11, settings(), settings());
    net.connect();
    net.run_ms(10);
    let mut books = [Book::default(), Book::default()];
    let mut context = 0u64;
    while !tape.over() {
        let op = tape.byte();
        let node = usize::from(op >> 7);
        let value = tape.byte();
        let newest = net.stacks[node].associations().max();
        match (op & 15, newest) {
            (0..=4, Some(id)) => {
                for _ in 0..1 + (op >> 4 & 7) {
                    context += 1;
                    let options =
                        SendOptions { stream: u16::from(value & 7), unordered: value & 8 != 0, ppid: 3, context };
                    let mut payload = vec![value; [8, 200, 1_500, 4_000][usize::from(value >> 4 & 3)]];
                    payload[..8].copy_from_slice(&context.to_be_bytes());
                    if net.stacks[node].send(net.now, id, options, payload.into()).is_ok() {
                        books[node].accepted.insert(context);
                    }
                }
                net.drain();
            }
            (5, _) => net.run_ms(u64::from(value)),
            (6, _) => net.run_ms(u64::from(value) * 10),
            (7, _) => net.link.loss = u64::from(value % 60),
            (8, _) => (net.link.duplicate, net.link.jitter_us) = (u64::from(value & 31), u64::from(value >> 5) * 1_000),
            (9, _) => net.link.cut = [value & 1 != 0, value & 2 != 0],
            (10, Some(id)) => net.stacks[node].shutdown(net.now, id),
            (11, Some(id)) if value & 3 == 0 => net.stacks[node].abort(net.now, id, b"no"),
            (12, _) => {
                let local_port = Some(5_000 + u16::from(value & 3));
                let connect = Connect { peer: vec![address(1 - node)], peer_port: PORT, local_port };
                let _ = net.stacks[node].connect(net.now, connect);
            }
            (13, _) => net.stacks[node].listen(PORT),
            (14, _) if value & 7 == 0 => {
                // It dies and comes back; what it held is gone with it.
                net.drain();
                keep(&mut net, &mut books);
                net.stacks[node] = Stack::new(settings(), vec![ip(node)], [value; 32], net.now);
                net.stacks[node].listen(PORT);
                books[node].accepted.clear();
            }
            _ => {}
        }
        keep(&mut net, &mut books);
    }
    net.link = common::Link::default();
    net.run_for(Duration::from_secs(60), |net| {
        net.stacks.iter().all(|s| s.associations().all(|id| s.outstanding(id).0 == 0))
    });
    net.run_ms(50);
    keep(&mut net, &mut books);
    for (node, book) in books.iter().enumerate() {
        let held: usize = net.stacks[node].associations().map(|id| net.stacks[node].outstanding(id).0).sum();
        assert_eq!(held, 0, "still held after a minute of a good network");
        for context in &book.accepted {
            assert!(book.delivered.contains(context) || book.back.contains(context), "{context} is lost");
        }
    }
}

fn keep(net: &mut Net, books: &mut [Book; 2]) {
    for node in [A, B] {
        for event in std::mem::take(&mut net.events[node]) {
            match event {
                Event::Message { assoc, stream, unordered, payload, .. } => {
                    let context = u64::from_be_bytes(payload[..8].try_into().unwrap());
                    let book = &mut books[1 - node];
                    assert!(book.delivered.insert(context), "{context} came twice");
                    if !unordered {
                        let last = book.last.insert((assoc, stream), context);
                        assert!(last.is_none_or(|last| last < context), "{context} after {last:?}");
                    }
                }
                Event::Closed { undelivered, .. } => {
                    for one in undelivered {
                        let book = &mut books[node];
                        assert!(book.accepted.contains(&one.context));
                        assert!(book.back.insert(one.context), "{} came back twice", one.context);
                        assert!(one.transmitted || !book.delivered.contains(&one.context), "{one:?}");
                    }
                }
                _ => {}
            }
        }
    }
}
