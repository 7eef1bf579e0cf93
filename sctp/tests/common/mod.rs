//! Two stacks and a network between them, in virtual time, from a seed.
// Each test file uses its part of this; helpers of tests may unwrap, and look for one event among all.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use bytes::Bytes;
use sctp::{AssocId, CloseReason, Config, Connect, Datagram, Event, SendOptions, Stack, Transmit};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub const A: usize = 0;
pub const B: usize = 1;
pub const PORT: u16 = 2905;

/// xorshift64*, enough for a network.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What the network does to packets.
#[derive(Debug, Clone)]
pub struct Link {
    pub delay: Duration,
    pub jitter_us: u64,
    pub loss: u64,
    pub duplicate: u64,
    /// Nothing passes from this node.
    pub cut: [bool; 2],
}

impl Default for Link {
    fn default() -> Self {
        Self { delay: Duration::from_millis(1), jitter_us: 0, loss: 0, duplicate: 0, cut: [false; 2] }
    }
}

pub struct Net {
    pub now: Instant,
    pub begin: Instant,
    pub stacks: Vec<Stack>,
    pub events: Vec<Vec<Event>>,
    pub link: Link,
    pub dice: Dice,
    /// Every packet sent: sender and bytes, when `record` is set.
    pub sent: Vec<(usize, Transmit)>,
    pub record: bool,
    wire: BTreeMap<(Instant, u64), (usize, Datagram)>,
    serial: u64,
}

pub fn address(node: usize) -> SocketAddr {
    SocketAddr::new(ip(node), 9899)
}

pub fn ip(node: usize) -> IpAddr {
    IpAddr::from([127, 0, 0, 1 + node as u8])
}

pub fn config() -> Config {
    // One length of packets: no probes of the path MTU, which are no answer to anything a test does.
    Config { mtu: 1_400, mtu_max: 0, ..Config::default() }
}

impl Net {
    pub fn new(seed: u64, config_a: Config, config_b: Config) -> Self {
        let now = Instant::now();
        let seeded = |n: u8| {
            let mut bytes = [n; 32];
            bytes[..8].copy_from_slice(&seed.to_be_bytes());
            bytes
        };
        let mut stacks =
            vec![Stack::new(config_a, vec![ip(A)], seeded(1), now), Stack::new(config_b, vec![ip(B)], seeded(2), now)];
        stacks[B].listen(PORT);
        Self {
            now,
            begin: now,
            stacks,
            events: vec![Vec::new(), Vec::new()],
            link: Link::default(),
            dice: Dice(seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1),
            sent: Vec::new(),
            record: false,
            wire: BTreeMap::new(),
            serial: 0,
        }
    }

    pub fn quick() -> Self {
        Self::new(1, config(), config())
    }

    pub fn connect(&mut self) -> AssocId {
        let connect = Connect { peer: vec![address(B)], peer_port: PORT, local_port: None };
        self.stacks[A].connect(self.now, connect).unwrap()
    }

    /// Both ends of a new association, up.
    pub fn up(&mut self) -> (AssocId, AssocId) {
        let a = self.connect();
        self.run_for(Duration::from_secs(5), |net| net.up_of(B).is_some() && net.up_of(A).is_some());
        let b = self.up_of(B).expect("came up");
        assert_eq!(self.up_of(A), Some(a));
        self.events[A].clear();
        self.events[B].clear();
        (a, b)
    }

    pub fn up_of(&self, node: usize) -> Option<AssocId> {
        self.events[node].iter().rev().find_map(|e| match e {
            Event::Up { assoc, .. } => Some(*assoc),
            _ => None,
        })
    }

    pub fn closed_of(&self, node: usize) -> Option<CloseReason> {
        self.events[node].iter().find_map(|e| match e {
            Event::Closed { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }

    pub fn undelivered(&self, node: usize) -> Vec<u64> {
        self.events[node]
            .iter()
            .filter_map(|e| match e {
                Event::Closed { undelivered, .. } => Some(undelivered.iter().map(|u| u.context)),
                _ => None,
            })
            .flatten()
            .collect()
    }

    pub fn messages(&self, node: usize) -> Vec<(u16, u32, bool, Bytes)> {
        self.events[node]
            .iter()
            .filter_map(|e| match e {
                Event::Message { stream, ppid, unordered, payload, .. } => {
                    Some((*stream, *ppid, *unordered, payload.clone()))
                }
                _ => None,
            })
            .collect()
    }

    pub fn send(&mut self, node: usize, assoc: AssocId, stream: u16, context: u64, payload: impl Into<Bytes>) {
        let options = SendOptions { stream, ppid: 3, unordered: false, context };
        self.stacks[node].send(self.now, assoc, options, payload.into()).unwrap();
    }

    /// Puts a datagram on the wire to a node, past the link.
    pub fn inject(&mut self, node: usize, from: SocketAddr, payload: impl Into<Bytes>) {
        let datagram = Datagram { from, to: ip(node), payload: payload.into() };
        self.stacks[node].handle_datagram(self.now, datagram);
        self.drain();
    }

    /// Takes everything out of both stacks.
    pub fn drain(&mut self) {
        for node in [A, B] {
            while let Some(transmit) = self.stacks[node].poll_transmit(self.now) {
                self.carry(node, transmit);
            }
            while let Some(event) = self.stacks[node].poll_event() {
                self.events[node].push(event);
            }
        }
    }

    pub fn carry(&mut self, node: usize, transmit: Transmit) {
        assert!(transmit.payload.len() <= self.stacks[node].config().mtu_max, "beyond the MTU");
        assert_eq!(transmit.payload.len() % 4, 0);
        if self.record {
            self.sent.push((node, transmit.clone()));
        }
        let Some(to) = [A, B].into_iter().find(|n| transmit.to.ip() == ip(*n)) else { return };
        if self.link.cut[node] || self.dice.chance(self.link.loss) {
            return;
        }
        let copies = 1 + usize::from(self.dice.chance(self.link.duplicate));
        for _ in 0..copies {
            let jitter = if self.link.jitter_us == 0 { 0 } else { self.dice.below(self.link.jitter_us) };
            let at = self.now + self.link.delay + Duration::from_micros(jitter);
            self.serial += 1;
            let from = SocketAddr::new(transmit.from, 9899);
            let datagram = Datagram { from, to: transmit.to.ip(), payload: transmit.payload.clone() };
            self.wire.insert((at, self.serial), (to, datagram));
        }
    }

    /// Runs until `done` or the time is over; whether it was done.
    pub fn run_for(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.drain();
        while !done(self) {
            let packet = self.wire.keys().next().map(|(at, _)| *at);
            let timer = self.stacks.iter().filter_map(Stack::poll_timeout).min();
            let Some(next) = packet.into_iter().chain(timer).min() else { return done(self) };
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (node, datagram) = entry.remove();
                self.stacks[node].handle_datagram(self.now, datagram);
            }
            for stack in &mut self.stacks {
                if stack.poll_timeout().is_some_and(|at| at <= self.now) {
                    stack.handle_timeout(self.now);
                }
            }
            self.drain();
        }
        true
    }

    pub fn run_ms(&mut self, ms: u64) {
        self.run_for(Duration::from_millis(ms), |_| false);
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.begin
    }
}

/// A packet with a right checksum, from chunks with headers (padded here).
pub fn packet(ports: (u16, u16), tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &tag.to_be_bytes(), &[0; 4]].concat();
    for chunk in chunks {
        bytes.extend_from_slice(chunk);
        bytes.resize(bytes.len().div_ceil(4) * 4, 0);
    }
    seal(&mut bytes);
    bytes
}

/// Puts the checksum in.
pub fn seal(bytes: &mut [u8]) {
    bytes[8..12].fill(0);
    let sum = crc32c::crc32c(bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
}

pub fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, flags][..], &(4 + value.len() as u16).to_be_bytes(), value].concat()
}

pub fn init(tag: u32, streams: (u16, u16), tsn: u32, params: &[u8]) -> Vec<u8> {
    let value = [
        &tag.to_be_bytes()[..],
        &100_000u32.to_be_bytes(),
        &streams.0.to_be_bytes(),
        &streams.1.to_be_bytes(),
        &tsn.to_be_bytes(),
        params,
    ];
    chunk(1, 0, &value.concat())
}

pub fn data(tsn: u32, stream: u16, ssn: u16, ppid: u32, flags: u8, user: &[u8]) -> Vec<u8> {
    let value = [&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &ssn.to_be_bytes(), &ppid.to_be_bytes(), user].concat();
    chunk(0, flags, &value)
}

pub fn sack(cumulative: u32, gaps: &[(u16, u16)]) -> Vec<u8> {
    let mut value =
        [&cumulative.to_be_bytes()[..], &100_000u32.to_be_bytes(), &(gaps.len() as u16).to_be_bytes(), &[0; 2]]
            .concat();
    for (start, end) in gaps {
        value.extend_from_slice(&start.to_be_bytes());
        value.extend_from_slice(&end.to_be_bytes());
    }
    chunk(3, 0, &value)
}

/// The chunks of a packet: type, flags, value.
pub fn chunks(packet: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut rest = &packet[12..];
    let mut all = Vec::new();
    while rest.len() >= 4 {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        all.push((rest[0], rest[1], rest[4..length].to_vec()));
        rest = &rest[length.div_ceil(4) * 4..];
    }
    all
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A hand-made peer of stack B, on address A, that has gone through the handshake.
pub struct Fake {
    pub net: Net,
    pub port: u16,
    pub tag: u32,
    pub peer_tag: u32,
    pub tsn: u32,
    pub peer_tsn: u32,
    pub assoc: AssocId,
}

impl Fake {
    /// Sends an INIT with these parameters and gives the value of the INIT ACK.
    pub fn init_ack(net: &mut Net, port: u16, tag: u32, tsn: u32, params: &[u8]) -> (u32, Vec<u8>) {
        net.record = true;
        net.sent.clear();
        net.inject(B, address(A), packet((port, PORT), 0, &[init(tag, (10, 10), tsn, params)]));
        let (_, answer) = net.sent.pop().expect("an answer");
        let found = chunks(&answer.payload);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 2, "{found:?}");
        assert_eq!(u32_at(&answer.payload, 4), tag);
        (u32_at(&found[0].2, 0), found[0].2.clone())
    }

    pub fn up(config_b: Config) -> Self {
        let mut net = Net::new(3, config(), config_b);
        // Stack A knows nothing of this association and would say so.
        net.link.cut = [true, true];
        let (port, tag, tsn) = (4_000, 0x1111_2222, 1_000);
        let (peer_tag, ack) = Self::init_ack(&mut net, port, tag, tsn, &[]);
        net.sent.clear();
        net.inject(B, address(A), packet((port, PORT), peer_tag, &[chunk(10, 0, &cookie_of(&ack))]));
        let assoc = net.up_of(B).expect("up");
        assert_eq!(chunks(&net.sent[0].1.payload)[0].0, 11);
        net.sent.clear();
        net.events[B].clear();
        Self { net, port, tag, peer_tag, tsn, peer_tsn: u32_at(&ack, 12), assoc }
    }

    /// Sends chunks; what came back, as chunks.
    pub fn say(&mut self, list: &[Vec<u8>]) -> Vec<(u8, u8, Vec<u8>)> {
        self.say_with(self.peer_tag, list)
    }

    pub fn say_with(&mut self, tag: u32, list: &[Vec<u8>]) -> Vec<(u8, u8, Vec<u8>)> {
        self.net.sent.clear();
        self.net.inject(B, address(A), packet((self.port, PORT), tag, list));
        self.net.sent.iter().flat_map(|(_, t)| chunks(&t.payload)).collect()
    }
}

/// The state cookie parameter in the value of an INIT ACK.
pub fn cookie_of(ack: &[u8]) -> Vec<u8> {
    param_of(ack, 7).expect("a cookie")
}

/// The first parameter of this type in the value of an INIT or INIT ACK.
pub fn param_of(value: &[u8], kind: u16) -> Option<Vec<u8>> {
    let mut rest = &value[16..];
    while rest.len() >= 4 {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if u16::from_be_bytes([rest[0], rest[1]]) == kind {
            return Some(rest[4..length].to_vec());
        }
        rest = rest.get(length.div_ceil(4) * 4..).unwrap_or_default();
    }
    None
}

/// How many seeds a test tries: `SIGPOOL_SEEDS`, or so many.
pub fn seeds(default: u64) -> u64 {
    std::env::var("SIGPOOL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
