//! Send failures are exact (RFC 9260 sections 11.2.2 and 9): whatever happens, each accepted message is delivered once, or comes back
//! once with the truth about whether it was sent, and one that came back as never sent is never delivered. Two nodes with two addresses
//! each, in virtual time, from a seed: loss, duplicates, reordering, paths cut one way or both, crashes with restart on the same ports,
//! opening from both sides, shutdowns and aborts by either.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::print_stdout)] // Helpers of tests; figures with --nocapture.
mod common;

use bytes::Bytes;
use common::{A, B, Dice, PORT, config};
use sctp::{
    AssocId, CloseReason, Config, Connect, Datagram, Event, SendError, SendOptions, Stack, Transmit, Unreachable,
};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const PATHS: usize = 2;

fn ip(node: usize, path: usize) -> IpAddr {
    IpAddr::from([127, 0, path as u8, 1 + node as u8])
}

/// Node and path of an address.
fn place(ip: IpAddr) -> (usize, usize) {
    match ip {
        IpAddr::V4(v4) => (usize::from(v4.octets()[3]) - 1, usize::from(v4.octets()[2])),
        IpAddr::V6(_) => unreachable!("only IPv4 here"),
    }
}

/// What became of one accepted message.
#[derive(Debug, Clone)]
struct Fate {
    owner: (usize, u32, AssocId),
    stream: u16,
    unordered: bool,
    size: usize,
    delivered: u32,
    /// Handed back, and said to have been transmitted.
    back: Option<bool>,
    /// The process that sent it died: nobody is left to be told.
    orphan: bool,
}

/// How often what happened, over all cases: a test that never gets there shows nothing.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    delivered: u64,
    back_unsent: u64,
    back_sent: u64,
    /// The peer's user has it, and it came back all the same.
    back_and_delivered: u64,
    restarts: u64,
    crashes: u64,
    shutdowns: u64,
    aborts: u64,
    silent: u64,
    unreachable: u64,
}

struct World {
    now: Instant,
    dice: Dice,
    configs: [Config; 2],
    stacks: Vec<Stack>,
    lives: [u32; 2],
    up: [Vec<AssocId>; 2],
    fates: Vec<Fate>,
    /// Ordered messages arrived by sender's association and stream.
    arrived: HashMap<((usize, u32, AssocId), u16), u64>,
    wire: BTreeMap<(Instant, u64), (usize, Datagram)>,
    serial: u64,
    last_sent: [Option<Transmit>; 2],
    cut: [[bool; PATHS]; 2],
    loss: u64,
    duplicate: u64,
    jitter_us: u64,
    delay_us: u64,
    label: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let now = Instant::now();
        let mut settings = || Config {
            supervision_ms: [0, 300, 2_000][dice.below(3) as usize],
            engine_window_messages: [1, 8, 64][dice.below(3) as usize],
            association_max_retrans: 5,
            a_rwnd: [20_000, 1 << 20][dice.below(2) as usize],
            message_bytes_max: 15_000,
            mtu: [600, 1_400][dice.below(2) as usize],
            cookie_life_ms: [200, 60_000][dice.below(2) as usize],
            ..config()
        };
        let configs = [settings(), settings()];
        let mut world = Self {
            now,
            configs,
            stacks: Vec::new(),
            lives: [0; 2],
            up: [Vec::new(), Vec::new()],
            fates: Vec::new(),
            arrived: HashMap::new(),
            wire: BTreeMap::new(),
            serial: 0,
            last_sent: [None, None],
            cut: [[false; PATHS]; 2],
            loss: [0, 0, 2, 15][dice.below(4) as usize],
            duplicate: [0, 10][dice.below(2) as usize],
            jitter_us: [0, 300, 20_000][dice.below(3) as usize],
            delay_us: 50 + dice.below(10_000),
            label: format!("seed {seed}"),
            dice,
        };
        world.stacks = vec![world.boot(A), world.boot(B)];
        world
    }

    fn boot(&mut self, node: usize) -> Stack {
        let mut seed = [node as u8; 32];
        seed[..8].copy_from_slice(&self.dice.next().to_be_bytes());
        let own = (0..PATHS).map(|p| ip(node, p)).collect();
        let mut stack = Stack::new(self.configs[node].clone(), own, seed, self.now);
        stack.listen(PORT);
        stack
    }

    /// The process dies without a word, and starts anew.
    fn crash(&mut self, node: usize, tally: &mut Tally) {
        tally.crashes += 1;
        let life = self.lives[node];
        for fate in self.fates.iter_mut().filter(|f| (f.owner.0, f.owner.1) == (node, life)) {
            fate.orphan |= fate.back.is_none();
        }
        self.lives[node] += 1;
        self.up[node].clear();
        self.stacks[node] = self.boot(node);
    }

    fn connect(&mut self, node: usize) {
        let peer = (0..PATHS).map(|p| SocketAddr::new(ip(1 - node, p), 9899)).collect();
        // Refused while there is one: the ports are the same each time.
        let _ = self.stacks[node].connect(self.now, Connect { peer, peer_port: PORT, local_port: Some(PORT) });
    }

    fn send(&mut self, node: usize, count: u64) {
        for _ in 0..count {
            let Some(assoc) = self.up[node].last().copied() else { return };
            let number = self.fates.len() as u64;
            let (stream, unordered) = (self.dice.below(4) as u16, self.dice.chance(15));
            let size = [8, 60, 200, 1_400, 4_000, 12_000][self.dice.below(6) as usize];
            let options = SendOptions { stream, ppid: 3, unordered, context: number };
            let payload = payload(number, size);
            match self.stacks[node].send(self.now, assoc, options, payload) {
                Ok(()) => {
                    let owner = (node, self.lives[node], assoc);
                    let fate = Fate { owner, stream, unordered, size, delivered: 0, back: None, orphan: false };
                    self.fates.push(fate);
                }
                Err(SendError::QueueFull | SendError::NotOpen) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn drain(&mut self, tally: &mut Tally) {
        for node in [A, B] {
            while let Some(transmit) = self.stacks[node].poll_transmit(self.now) {
                self.carry(node, transmit);
            }
            while let Some(event) = self.stacks[node].poll_event() {
                self.take(node, event, tally);
            }
        }
    }

    fn take(&mut self, node: usize, event: Event, tally: &mut Tally) {
        match event {
            Event::Up { assoc, .. } => self.up[node].push(assoc),
            Event::Message { stream, unordered, payload, .. } => self.arrive(node, stream, unordered, &payload),
            Event::Closed { assoc, reason, undelivered } => {
                self.up[node].retain(|a| *a != assoc);
                match reason {
                    CloseReason::Restarted => tally.restarts += 1,
                    CloseReason::Shutdown => {
                        tally.shutdowns += 1;
                        assert!(undelivered.is_empty(), "{}: a clean end hands nothing back", self.label);
                    }
                    CloseReason::LocalAbort | CloseReason::PeerAbort(_) => tally.aborts += 1,
                    CloseReason::Silent => tally.silent += 1,
                    CloseReason::Unreachable => tally.unreachable += 1,
                    CloseReason::ConnectFailed => {}
                    other => panic!("{}: {other:?} between two of us", self.label),
                }
                let contexts: Vec<u64> = undelivered.iter().map(|u| u.context).collect();
                assert!(contexts.is_sorted(), "{}: not in the order of send", self.label);
                for u in undelivered {
                    let fate = &mut self.fates[u.context as usize];
                    assert_eq!(fate.owner, (node, self.lives[node], assoc), "{}", self.label);
                    assert!(fate.back.is_none(), "{}: {} handed back twice", self.label, u.context);
                    fate.back = Some(u.transmitted);
                    assert_eq!(u.payload, payload(u.context, fate.size), "{}: content", self.label);
                    assert_eq!((u.stream, u.ppid), (fate.stream, 3), "{}", self.label);
                }
            }
            _ => {}
        }
    }

    fn arrive(&mut self, node: usize, stream: u16, unordered: bool, bytes: &Bytes) {
        let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
        let label = &self.label;
        let fate = &mut self.fates[number as usize];
        fate.delivered += 1;
        assert_eq!(fate.delivered, 1, "{label}: {number} delivered twice");
        assert_ne!(fate.back, Some(false), "{label}: {number} came back as never sent, and now it is here");
        assert_eq!((fate.owner.0, fate.stream, fate.unordered), (1 - node, stream, unordered), "{label}");
        assert_eq!(*bytes, payload(number, fate.size), "{label}: content");
        if unordered {
            return;
        }
        // In order and without a gap among the ordered ones of its association and stream.
        let owner = fate.owner;
        let next = *self.arrived.get(&(owner, stream)).unwrap_or(&0);
        let skipped = self.fates[next as usize..number as usize]
            .iter()
            .filter(|f| f.owner == owner && f.stream == stream && !f.unordered)
            .count();
        assert!(next <= number && skipped == 0, "{label}: stream {stream} out of order at {number}");
        self.arrived.insert((owner, stream), number + 1);
    }

    fn carry(&mut self, node: usize, transmit: Transmit) {
        self.last_sent[node] = Some(transmit.clone());
        let ((_, from_path), (to, to_path)) = (place(transmit.from), place(transmit.to.ip()));
        if self.cut[node][from_path] || self.cut[node][to_path] || self.dice.chance(self.loss) {
            return;
        }
        for _ in 0..1 + u64::from(self.dice.chance(self.duplicate)) {
            let jitter = if self.jitter_us == 0 { 0 } else { self.dice.below(self.jitter_us) };
            let at = self.now + Duration::from_micros(self.delay_us + jitter);
            self.serial += 1;
            let from = SocketAddr::new(transmit.from, 9899);
            let datagram = Datagram { from, to: transmit.to.ip(), payload: transmit.payload.clone() };
            self.wire.insert((at, self.serial), (to, datagram));
        }
    }

    fn run(&mut self, limit: Duration, tally: &mut Tally, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        self.drain(tally);
        while !done(self) {
            let packet = self.wire.keys().next().map(|(at, _)| *at);
            let timer = self.stacks.iter().filter_map(Stack::poll_timeout).min();
            let next = packet.into_iter().chain(timer).min().filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            while self.wire.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
                let (_, (node, datagram)) = self.wire.pop_first().unwrap();
                self.stacks[node].handle_datagram(self.now, datagram);
                // In the order in which things happen: a message delivered, then what its sender is told.
                self.drain(tally);
            }
            for stack in &mut self.stacks {
                if stack.poll_timeout().is_some_and(|at| at <= self.now) {
                    stack.handle_timeout(self.now);
                }
            }
            self.drain(tally);
        }
        self.now = self.now.max(end.min(self.now + limit));
    }

    fn step(&mut self, tally: &mut Tally) {
        let node = self.dice.below(2) as usize;
        let current = self.up[node].last().copied();
        match self.dice.below(100) {
            0..=59 => {
                let count = self.dice.below(16);
                self.send(node, count);
            }
            60..=69 => self.cut = std::array::from_fn(|_| std::array::from_fn(|_| self.dice.chance(30))),
            70..=84 => self.cut = [[false; PATHS]; 2],
            85..=87 => self.crash(node, tally),
            88..=93 => self.connect(node),
            94 => {
                let now = self.now;
                current.inspect(|a| self.stacks[node].shutdown(now, *a));
            }
            95 => {
                let now = self.now;
                current.inspect(|a| self.stacks[node].abort(now, *a, b"for the test"));
            }
            96 | 97 => {
                // From one or both of the peer's addresses.
                let paths = 1 + self.dice.below(2) as usize;
                let port = self.dice.chance(70);
                for path in 0..paths {
                    let Some(last) = self.last_sent[node].clone() else { return };
                    let to = SocketAddr::new(ip(1 - node, path), 9899);
                    let error = Unreachable { to, quoted: last.payload, port };
                    self.stacks[node].handle_unreachable(self.now, &error);
                }
            }
            _ => {
                // Both at once, with what was just sent still on its way.
                self.connect(A);
                self.connect(B);
            }
        }
        let wait = Duration::from_micros([0, 200, 5_000, 60_000, 400_000][self.dice.below(5) as usize]);
        self.run(wait, tally, |_| false);
    }

    /// Everything is ended, in order where that is possible.
    fn finish(&mut self, tally: &mut Tally) {
        (self.cut, self.loss) = ([[false; PATHS]; 2], 0);
        let none = |w: &Self| w.stacks.iter().all(|s| s.associations().count() == 0);
        for orderly in [true, false] {
            for node in [A, B] {
                for assoc in self.stacks[node].associations().collect::<Vec<_>>() {
                    if orderly {
                        self.stacks[node].shutdown(self.now, assoc);
                    } else {
                        self.stacks[node].abort(self.now, assoc, b"");
                    }
                }
            }
            self.run(Duration::from_secs(60), tally, none);
        }
        assert!(none(self), "{}", self.label);
    }

    fn judge(&self, tally: &mut Tally) {
        for (number, fate) in self.fates.iter().enumerate() {
            tally.accepted += 1;
            tally.delivered += u64::from(fate.delivered);
            match (fate.delivered, fate.back) {
                (0, None) => assert!(fate.orphan, "{}: {number} lost without a word: {fate:?}", self.label),
                (_, None) => {}
                (0, Some(transmitted)) => {
                    *(if transmitted { &mut tally.back_sent } else { &mut tally.back_unsent }) += 1
                }
                (_, Some(transmitted)) => {
                    assert!(transmitted, "{}: {number} delivered, and back as never sent", self.label);
                    tally.back_and_delivered += 1;
                }
            }
        }
        for stack in &self.stacks {
            let counters = stack.counters();
            let done = counters.messages_acknowledged + counters.messages_handed_back;
            assert_eq!(counters.messages_accepted, done, "{}", self.label);
            assert_eq!(counters.engine_surprises, 0, "{}", self.label);
        }
    }
}

fn payload(number: u64, size: usize) -> Bytes {
    let mut bytes = vec![number as u8; size];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn one(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    world.connect(A);
    world.run(Duration::from_secs(2), tally, |w| !w.up[A].is_empty() && !w.up[B].is_empty());
    for _ in 0..40 + world.dice.below(60) {
        world.step(tally);
    }
    world.finish(tally);
    world.judge(tally);
}

/// `SIGPOOL_SEEDS=20000 cargo test --release -p sctp --test send_failures -- --nocapture` tries more and tells what happened how often.
#[test]
fn each_accepted_message_is_delivered_once_or_handed_back_once_with_the_truth() {
    let seeds = common::seeds(2_000);
    let half = |first: u64| {
        let mut tally = Tally::default();
        (first..=seeds).step_by(2).for_each(|seed| one(seed, &mut tally));
        tally
    };
    let tallies: Vec<Tally> = std::thread::scope(|threads| {
        let halves = [1, 2].map(|first| threads.spawn(move || half(first)));
        halves.into_iter().map(|h| h.join().unwrap()).collect()
    });
    println!("{tallies:#?}");
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let least = seeds / 20;
    for (what, count) in [
        ("accepted", sum(|t| t.accepted) / 50),
        ("delivered", sum(|t| t.delivered) / 30),
        ("back, never sent", sum(|t| t.back_unsent)),
        ("back, sent", sum(|t| t.back_sent)),
        ("back and delivered", sum(|t| t.back_and_delivered)),
        ("restarts", sum(|t| t.restarts)),
        ("crashes", sum(|t| t.crashes)),
        ("shutdowns", sum(|t| t.shutdowns)),
        ("aborts", sum(|t| t.aborts)),
        ("silent", sum(|t| t.silent)),
        ("unreachable", sum(|t| t.unreachable)),
    ] {
        assert!(count >= least, "{what}: {count} in {seeds} cases, so nothing is shown: {tallies:?}");
    }
}
