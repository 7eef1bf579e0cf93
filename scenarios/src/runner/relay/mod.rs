//! A relay between all processes of a run: it puts controllers at a distance, and cuts paths.
//!
//! It is a hub that translates addresses. Each process has one own address on each path, which only the relay sends to, and one
//! outside address there, a socket of the relay's, by which the others know it (`udp.advertise`). What comes to an outside address
//! goes on to the process behind it, from the sender's outside address. Datagrams are not changed, and the order between two processes
//! stays as it is, unless an impairment (`impair`) is there to lose, delay, double them or let them overtake each other. What a network does not carry either, ICMP errors of a process that is gone, does not
//! cross the relay. A path that is cut swallows everything that comes from or goes to an address on it; a link, everything between
//! two processes.

mod impair;
mod line;
mod matcher;
mod waiting;

use super::RunError;
use super::address::{PATHS_MAX, UDP_PORT};
use crate::scenario::{Direction, Impairment};
use hdrhistogram::Histogram;
use impair::{Fate, Rule};
use line::{Held, Line};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::time::TimeSpec;
use rustc_hash::FxHashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use waiting::Waiting;

/// The thread looks whether it is to end at least this often.
const LOOK: Duration = Duration::from_millis(50);
/// Taken from one socket before the others get their turn.
const BUDGET: usize = 64;
/// Largest datagram.
const DATAGRAM_MAX: usize = 65_536;
/// Asked of the kernel for each socket, bytes.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Largest lateness told, µs.
const LATENESS_MAX_US: u64 = 60_000_000;

/// A process at the relay.
#[derive(Debug, Clone)]
pub(super) struct Port {
    /// Added to each datagram from and to it.
    pub(super) half: Duration,
    /// Its own address on each path.
    pub(super) own: Vec<IpAddr>,
    /// What others know it by, on each path.
    pub(super) outside: Vec<IpAddr>,
}

/// What a relay did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct RelayReport {
    /// Datagrams passed on.
    pub forwarded: u64,
    /// Of these, on each path.
    #[serde(default)]
    pub paths: Vec<u64>,
    /// Datagrams that a cut path or a cut link swallowed.
    #[serde(default)]
    pub cut: u64,
    /// Datagrams that impairments lost.
    #[serde(default)]
    pub lost: u64,
    /// Datagrams that they made two.
    #[serde(default)]
    pub doubled: u64,
    /// Datagrams that they held back.
    #[serde(default)]
    pub delayed: u64,
    /// Datagrams that they let overtake those.
    #[serde(default)]
    pub overtook: u64,
    /// Datagrams thrown away because too many were on their way already.
    pub queue_full: u64,
    /// Datagrams of somebody who is no process of the run.
    pub foreign: u64,
    /// Datagrams the kernel did not take.
    pub not_sent: u64,
    /// How much later than half the round trip datagrams left: 99 of 100 less than this, µs.
    pub late_p99_us: u64,
    /// The latest of all, µs.
    pub late_max_us: u64,
}

/// What the runner's thread and the relay's share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    cut: [AtomicBool; PATHS_MAX],
    /// From whom and to whom nothing gets through, by their first own addresses; nobody: from all, to all.
    swallowed: Mutex<Vec<(Option<IpAddr>, Option<IpAddr>)>>,
    some_swallowed: AtomicBool,
    carried: [AtomicU64; PATHS_MAX],
}

/// A change of the impairments.
#[derive(Debug)]
enum Change {
    Impair { who: Option<IpAddr>, direction: Direction, impairment: Impairment, seed: u64 },
    Clear { who: Option<IpAddr> },
}

/// A running relay; dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Relay {
    shared: Arc<Shared>,
    changes: Sender<Change>,
    paths: usize,
    thread: Option<JoinHandle<RelayReport>>,
}

impl Relay {
    /// Binds all outside addresses and starts the thread.
    pub(super) fn start(ports: Vec<Port>) -> Result<Self, RunError> {
        let environment = |error: io::Error| RunError::Environment(format!("relay: {error}"));
        let paths = ports.iter().map(|port| port.outside.len()).max().unwrap_or(0);
        let shared = Arc::new(Shared::default());
        let (changes, told) = channel();
        let work = Work::new(ports, shared.clone(), told).map_err(environment)?;
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || work.run()).map_err(environment)?;
        Ok(Self { shared, changes, paths, thread: Some(thread) })
    }

    /// Cuts a path, counted from 0, or joins it again.
    pub(super) fn set_cut(&self, path: usize, cut: bool) {
        if let Some(flag) = self.shared.cut.get(path) {
            flag.store(cut, Ordering::Relaxed);
        }
    }

    /// Cuts two processes, by their first own addresses, off from each other, or joins them again.
    pub(super) fn set_link_cut(&self, a: IpAddr, b: IpAddr, cut: bool) {
        self.set_swallowed(Some(a), Some(b), cut);
        self.set_swallowed(Some(b), Some(a), cut);
    }

    /// Swallows what one process sends to another, by their first own addresses, or no longer. `None`: each process.
    pub(super) fn set_swallowed(&self, from: Option<IpAddr>, to: Option<IpAddr>, swallowed: bool) {
        let mut all = self.shared.swallowed.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| *other != (from, to));
        if swallowed {
            all.push((from, to));
        }
        self.shared.some_swallowed.store(!all.is_empty(), Ordering::Relaxed);
    }

    /// From now on treats the datagrams of a process, by its first own address, like this; of all processes without one.
    pub(super) fn impair(&self, who: Option<IpAddr>, direction: Direction, impairment: Impairment, seed: u64) {
        // The thread is there as long as this is.
        let _ = self.changes.send(Change::Impair { who, direction, impairment, seed });
    }

    /// Treats them as before again; what is held back still comes.
    pub(super) fn clear(&self, who: Option<IpAddr>) {
        let _ = self.changes.send(Change::Clear { who });
    }

    /// Datagrams passed on so far, on each path.
    pub(super) fn carried(&self) -> Vec<u64> {
        self.shared.carried[..self.paths].iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Ends it; what it did.
    pub(super) fn finish(mut self) -> RelayReport {
        self.end()
    }

    fn end(&mut self) -> RelayReport {
        self.shared.stop.store(true, Ordering::Relaxed);
        // It does not panic; and if it did, nothing came through any more and the run's verdict says so.
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

/// One outside address.
struct Side {
    socket: UdpSocket,
    /// Whose it is, and on which path.
    port: usize,
    path: usize,
}

/// The thread's own.
struct Work {
    shared: Arc<Shared>,
    ports: Vec<Port>,
    /// All paths of the first port, all of the next one...
    sides: Vec<Side>,
    /// The outside address of each own one, as index into `sides`.
    outside_of: FxHashMap<IpAddr, usize>,
    /// One for each distance: in a line the first in is the first out.
    lines: Vec<Line>,
    told: Receiver<Change>,
    rules: Vec<Rule>,
    waiting: Waiting,
    room: Vec<u8>,
    report: RelayReport,
    late_us: Histogram<u64>,
}

impl Work {
    fn new(ports: Vec<Port>, shared: Arc<Shared>, told: Receiver<Change>) -> io::Result<Self> {
        let (mut sides, mut outside_of) = (Vec::new(), FxHashMap::default());
        for (port, who) in ports.iter().enumerate() {
            for (path, (own, outside)) in who.own.iter().zip(&who.outside).enumerate() {
                outside_of.insert(*own, sides.len());
                sides.push(Side { socket: bind(*outside)?, port, path });
            }
        }
        let late_us = Histogram::new_with_bounds(1, LATENESS_MAX_US, 2).expect("invariant: constant bounds are right");
        let (lines, room, report) = (Vec::new(), vec![0; DATAGRAM_MAX], RelayReport::default());
        let (rules, waiting) = (Vec::new(), Waiting::default());
        Ok(Self { shared, ports, sides, outside_of, lines, told, rules, waiting, room, report, late_us })
    }

    fn run(mut self) -> RelayReport {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.wait();
            self.receive();
            self.send();
        }
        let paths = self.ports.iter().map(|port| port.outside.len()).max().unwrap_or(0);
        self.report.paths = self.shared.carried[..paths].iter().map(|count| count.load(Ordering::Relaxed)).collect();
        self.report.late_p99_us = self.late_us.value_at_quantile(0.99);
        self.report.late_max_us = self.late_us.max();
        self.report
    }

    fn change(&mut self) {
        while let Ok(change) = self.told.try_recv() {
            let place = |who: Option<IpAddr>| {
                who.map(|who| self.ports.iter().position(|port| port.own.first() == Some(&who)).unwrap_or(usize::MAX))
            };
            match change {
                Change::Impair { who, direction, impairment, seed } => {
                    self.rules.push(Rule::new(place(who), direction, impairment, seed));
                }
                Change::Clear { who } => {
                    let who = place(who);
                    self.rules.retain(|rule| rule.who() != who);
                }
            }
        }
    }

    /// Until something comes or is due.
    fn wait(&self) {
        let due = self.lines.iter().filter_map(Line::next_due).chain(self.waiting.next_due()).min();
        let patience = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
        let mut fds: Vec<_> =
            self.sides.iter().map(|side| PollFd::new(side.socket.as_fd(), PollFlags::POLLIN)).collect();
        // An interrupted wait only comes round again.
        let _ = if patience.is_zero() {
            poll(&mut fds, PollTimeout::ZERO)
        } else {
            ppoll(&mut fds, Some(TimeSpec::from_duration(patience)), None)
        };
    }

    fn receive(&mut self) {
        for side in 0..self.sides.len() {
            for _ in 0..BUDGET {
                // An error of the socket itself cannot be told from an empty one here; both end the turn.
                let Ok((length, from)) = self.sides[side].socket.recv_from(&mut self.room) else { break };
                self.take(side, from.ip(), length);
            }
        }
    }

    /// A datagram came to an outside address.
    fn take(&mut self, side: usize, from: IpAddr, length: usize) {
        // What was told before it was sent holds for it.
        self.change();
        let Some(&out) = self.outside_of.get(&from) else {
            self.report.foreign += 1;
            return;
        };
        let (to, path) = (self.sides[side].port, self.sides[side].path);
        let Side { port: sender, path: left_on, .. } = self.sides[out];
        if [path, left_on].iter().any(|path| self.shared.cut[*path].load(Ordering::Relaxed)) || self.is_cut(sender, to)
        {
            self.report.cut += 1;
            return;
        }
        let half = self.ports[sender].half + self.ports[to].half;
        let Some((extra, copies)) = self.impaired(sender, to, length) else { return };
        let to = SocketAddr::new(self.ports[to].own[path], UDP_PORT);
        for _ in 0..copies {
            if self.put(half, extra, out, to, length) {
                self.shared.carried[path].fetch_add(1, Ordering::Relaxed);
            } else {
                self.report.queue_full += 1;
            }
        }
    }

    /// What the impairments do to a datagram: how much longer it takes, and how many come of it. `None`: it is lost.
    fn impaired(&mut self, from: usize, to: usize, length: usize) -> Option<(Duration, usize)> {
        let (mut all, mut copies) = (Duration::ZERO, 1);
        if self.rules.is_empty() {
            return Some((all, copies));
        }
        let now = Instant::now();
        for rule in &mut self.rules {
            match rule.fate(now, from, to, &self.room[..length]) {
                None => {}
                Some(Fate::Lost) => {
                    self.report.lost += 1;
                    return None;
                }
                Some(Fate::Goes { extra, twice, overtakes }) => {
                    all += extra;
                    copies += usize::from(twice);
                    self.report.doubled += u64::from(twice);
                    self.report.overtook += u64::from(overtakes);
                }
            }
        }
        self.report.delayed += u64::from(!all.is_zero());
        Some((all, copies))
    }

    /// Sends a datagram on its way; false when there is no room for it.
    fn put(&mut self, half: Duration, extra: Duration, out: usize, to: SocketAddr, length: usize) -> bool {
        let (now, payload) = (Instant::now(), &self.room[..length]);
        if !extra.is_zero() {
            return self.waiting.put(Held { due: now + half + extra, socket: out, to, payload: payload.into() });
        }
        let line = self.lines.iter().position(|line| line.half() == half).unwrap_or_else(|| {
            self.lines.push(Line::new(half));
            self.lines.len() - 1
        });
        self.lines[line].put(now, out, to, payload)
    }

    /// Whether nothing gets through from the one to the other.
    fn is_cut(&self, sender: usize, receiver: usize) -> bool {
        if !self.shared.some_swallowed.load(Ordering::Relaxed) {
            return false;
        }
        let first = |port: usize| self.ports[port].own.first().copied();
        let (sender, receiver) = (first(sender), first(receiver));
        let all = self.shared.swallowed.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|&(from, to)| (from.is_none() || from == sender) && (to.is_none() || to == receiver))
    }

    fn send(&mut self) {
        for line in 0..self.lines.len() {
            let now = Instant::now();
            while let Some(held) = self.lines[line].take(now) {
                self.pass_on(now, &held);
            }
        }
        let now = Instant::now();
        while let Some(held) = self.waiting.take(now) {
            self.pass_on(now, &held);
        }
    }

    fn pass_on(&mut self, now: Instant, held: &Held) {
        let late_us = u64::try_from(now.saturating_duration_since(held.due).as_micros()).unwrap_or(LATENESS_MAX_US);
        self.late_us.saturating_record(late_us.max(1));
        match self.sides[held.socket].socket.send_to(&held.payload, held.to) {
            Ok(_) => self.report.forwarded += 1,
            Err(_) => self.report.not_sent += 1,
        }
    }
}

fn bind(ip: IpAddr) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(ip, UDP_PORT);
    let socket = UdpSocket::bind(address).map_err(|e| io::Error::new(e.kind(), format!("UDP {address}: {e}")))?;
    socket.set_nonblocking(true)?;
    // As much as the kernel grants; a burst that does not fit is lost as in any network.
    let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &RECEIVE_BUFFER);
    Ok(socket)
}

#[cfg(test)]
mod tests;
