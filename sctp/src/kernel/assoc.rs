//! The bookkeeping of one association.

use super::{KernelId, Operation, PathChange, PathStatus, Started};
use crate::{CloseReason, PathInfo, PathState, PathStats, SendOptions, Undelivered};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Messages of one association in the kernel that are not known to be acknowledged; the rest waits here. No association can then
/// take all the room of a socket that it shares with others.
const GIVEN_MAX: usize = 4_096;
/// The same in bytes.
const GIVEN_BYTES_MAX: usize = 4 << 20;

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// The handshake is on its way.
    Connecting,
    /// Established.
    Up,
    /// Being shut down. `ours`: we asked for it, and what was accepted goes out first.
    Closing { ours: bool },
    /// We aborted it; the kernel is to tell what was not acknowledged.
    Aborting(CloseReason),
    /// The kernel said it is over, and tells what was not acknowledged.
    Ended(CloseReason),
}

#[derive(Debug)]
struct Message {
    options: SendOptions,
    payload: Bytes,
}

/// A message the kernel has.
#[derive(Debug)]
struct Given {
    message: Message,
    /// The count of times its socket was seen empty when it was handed over.
    epoch: u64,
    /// The kernel said it was not acknowledged.
    failed: bool,
    /// Bytes that were never on the wire.
    unsent: usize,
}

impl Given {
    fn undelivered(self) -> Undelivered {
        let transmitted = self.unsent < self.message.payload.len();
        self.message.undelivered(transmitted)
    }
}

impl Message {
    fn undelivered(self, transmitted: bool) -> Undelivered {
        let SendOptions { stream, ppid, context, .. } = self.options;
        Undelivered { stream, ppid, context, transmitted, payload: self.payload }
    }
}

/// One of the peer's addresses.
#[derive(Debug)]
pub(super) struct KernelPath {
    pub(super) address: SocketAddr,
    pub(super) state: PathState,
    since: Instant,
    confirmed: bool,
    rtt: Option<Duration>,
    rto: Duration,
    failures: u64,
}

impl KernelPath {
    pub(super) fn new(address: SocketAddr, confirmed: bool, now: Instant) -> Self {
        let (state, rto) = (PathState::Active, Duration::ZERO);
        Self { address, state, since: now, confirmed, rtt: None, rto, failures: 0 }
    }

    /// True when its state changed.
    fn set(&mut self, state: PathState, now: Instant) -> bool {
        let changed = self.state != state;
        if changed {
            self.failures += u64::from(self.state == PathState::Active);
            (self.state, self.since) = (state, now);
        }
        changed
    }
}

/// What was last known of packets, for supervision.
#[derive(Debug, Default)]
struct Heard {
    heard: u64,
    asked: u64,
    /// Since when something sent has had no answer whatever.
    unanswered: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Assoc {
    pub(super) phase: Phase,
    pub(super) kernel: Option<KernelId>,
    pub(super) incoming: bool,
    pub(super) local_port: u16,
    pub(super) peer_port: u16,
    /// The primary first.
    pub(super) paths: Vec<KernelPath>,
    pub(super) outbound_streams: u16,
    pub(super) inbound_streams: u16,
    /// Accepted, not yet handed over.
    waiting: VecDeque<Message>,
    /// Handed over, not known to be acknowledged. Their contexts are consecutive.
    given: VecDeque<Given>,
    given_bytes: usize,
    waiting_bytes: usize,
    /// Context of the first of `given`.
    first_context: u32,
    /// Pieces of a message.
    pub(super) partial: Vec<u8>,
    /// It is in the stack's list of those with something to do.
    pub(super) dirty: bool,
    shutdown_asked: bool,
    /// The kernel was asked to tell when nothing is outstanding, and has not.
    dry_asked: bool,
    /// When to look at it.
    pub(super) at: Option<Instant>,
    pub(super) paths_asked: Option<Instant>,
    heard: Heard,
}

impl Assoc {
    pub(super) fn new(incoming: bool, local_port: u16, peer_port: u16) -> Self {
        Self {
            phase: Phase::Connecting,
            kernel: None,
            incoming,
            local_port,
            peer_port,
            paths: Vec::new(),
            outbound_streams: 0,
            inbound_streams: 0,
            waiting: VecDeque::new(),
            given: VecDeque::new(),
            given_bytes: 0,
            waiting_bytes: 0,
            first_context: 0,
            partial: Vec::new(),
            dirty: false,
            shutdown_asked: false,
            dry_asked: false,
            at: None,
            paths_asked: None,
            heard: Heard::default(),
        }
    }

    /// Contexts go on where those of the association before it, of the same name in the kernel, end.
    pub(super) fn continue_contexts(&mut self, before: &Self) {
        self.first_context = before.next_context();
    }

    /// It is established, with these.
    pub(super) fn start(&mut self, started: &Started, udp_port: u16, now: Instant) {
        self.phase = Phase::Up;
        (self.local_port, self.peer_port) = (started.local_port, started.peer_port);
        (self.outbound_streams, self.inbound_streams) = (started.outbound_streams, started.inbound_streams);
        // The port that the program gave for an address stays with it.
        let asked: Vec<SocketAddr> = self.paths.iter().map(|p| p.address).collect();
        let mut told = started.peer.clone();
        // An outgoing association keeps the program's primary.
        if let Some(first) = asked.first().and_then(|a| told.iter().position(|ip| *ip == a.ip())) {
            told[..=first].rotate_right(1);
        }
        let address =
            |ip: &IpAddr| asked.iter().find(|a| a.ip() == *ip).copied().unwrap_or(SocketAddr::new(*ip, udp_port));
        let proved = |a: &SocketAddr, first: bool| first || asked.contains(a);
        self.paths =
            told.iter().map(address).enumerate().map(|(i, a)| KernelPath::new(a, proved(&a, i == 0), now)).collect();
    }

    /// Accepted and not acknowledged, as far as is known: messages and bytes.
    pub(super) fn outstanding(&self) -> (usize, usize) {
        (self.waiting.len() + self.given.len(), self.waiting_bytes + self.given_bytes)
    }

    pub(super) fn push(&mut self, options: SendOptions, payload: Bytes) {
        self.waiting_bytes += payload.len();
        self.waiting.push_back(Message { options, payload });
    }

    /// Asks the kernel to tell when nothing is outstanding, once. `now`: also when there is room for many more.
    pub(super) fn ask_dry(&mut self, now: bool) -> Option<Operation> {
        let many = self.given.len() >= GIVEN_MAX / 2 || self.given_bytes >= GIVEN_BYTES_MAX / 2;
        let wanted = !self.dry_asked && !self.given.is_empty() && (now || many);
        self.dry_asked |= wanted;
        self.kernel.filter(|_| wanted).map(|kernel| Operation::AskDry { kernel })
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn may_give(&self) -> bool {
        let ready = match self.phase {
            Phase::Up | Phase::Closing { ours: true } => true,
            Phase::Connecting | Phase::Closing { ours: false } | Phase::Aborting(_) | Phase::Ended(_) => false,
        };
        ready && !self.waiting.is_empty() && self.given.len() < GIVEN_MAX && self.given_bytes < GIVEN_BYTES_MAX
    }

    /// The next thing for the kernel to do.
    pub(super) fn next(&mut self, epoch: u64) -> Option<Operation> {
        let kernel = self.kernel?;
        if !self.may_give() {
            let last = self.phase == Phase::Closing { ours: true } && self.waiting.is_empty() && !self.shutdown_asked;
            self.shutdown_asked |= last;
            return last.then_some(Operation::Shutdown { kernel });
        }
        let message = self.waiting.pop_front()?;
        let (len, context) = (message.payload.len(), self.next_context());
        let SendOptions { stream, ppid, unordered, .. } = message.options;
        let payload = message.payload.clone();
        self.waiting_bytes -= len;
        self.given_bytes += len;
        self.given.push_back(Given { message, epoch, failed: false, unsent: 0 });
        let more = self.may_give();
        Some(Operation::Send { kernel, context, stream, ppid, unordered, more, payload })
    }

    fn next_context(&self) -> u32 {
        self.first_context.wrapping_add(u32::try_from(self.given.len()).expect("invariant: bounded by GIVEN_MAX"))
    }

    fn position(&self, context: u32) -> Option<usize> {
        let at = usize::try_from(context.wrapping_sub(self.first_context)).ok()?;
        (at < self.given.len()).then_some(at)
    }

    /// The kernel did not take it, nor anything after it: they wait again.
    pub(super) fn not_taken(&mut self, context: u32) {
        let Some(at) = self.position(context) else { return };
        for given in self.given.drain(at..).rev() {
            self.given_bytes -= given.message.payload.len();
            self.waiting_bytes += given.message.payload.len();
            self.waiting.push_front(given.message);
        }
    }

    /// A fragment was not acknowledged. False when it is of no message of this association.
    pub(super) fn failed(&mut self, context: u32, bytes: usize, sent: bool) -> bool {
        let Some(at) = self.position(context) else { return false };
        let given = &mut self.given[at];
        given.failed = true;
        given.unsent += if sent { 0 } else { bytes };
        true
    }

    /// Everything handed over before the socket was last seen empty is acknowledged: the kernel said so after that. Returns how many
    /// messages that were, and whether others remain of which nothing is known.
    pub(super) fn dry(&mut self, epoch: u64) -> (u64, bool) {
        self.dry_asked = false;
        let known = self.given.iter().take_while(|g| g.epoch < epoch && !g.failed).count();
        for given in self.given.drain(..known) {
            self.given_bytes -= given.message.payload.len();
            self.first_context = self.first_context.wrapping_add(1);
        }
        (known as u64, !self.given.is_empty())
    }

    /// The peer restarted and we only hear of it now: what was handed over meanwhile went to the peer's new life. It comes back, as
    /// possibly delivered. A message after one that failed was not acknowledged by the old life; without one that failed, those
    /// handed over since the socket was last empty may have been.
    pub(super) fn fail_since_restart(&mut self, epoch: u64) {
        let first = match self.given.iter().rposition(|g| g.failed) {
            Some(last_failed) => last_failed + 1,
            None => self.given.iter().take_while(|g| g.epoch < epoch).count(),
        };
        self.given.iter_mut().skip(first).for_each(|g| g.failed = true);
    }

    /// Everything that was not acknowledged, in the order of `send`, and how many were. `exact`: the kernel told which failed; else
    /// everything that it had counts as not acknowledged.
    pub(super) fn hand_back(&mut self, exact: bool) -> (Vec<Undelivered>, u64) {
        let count = self.given.len();
        let next = self.next_context();
        let mut back: Vec<_> = self.given.drain(..).filter(|g| g.failed || !exact).map(Given::undelivered).collect();
        let acknowledged = (count - back.len()) as u64;
        back.extend(self.waiting.drain(..).map(|m| m.undelivered(false)));
        (self.given_bytes, self.waiting_bytes, self.first_context) = (0, 0, next);
        (back, acknowledged)
    }

    /// Takes what the kernel counted. True when the peer has been silent for `limit`.
    pub(super) fn heard(&mut self, heard: u64, asked: u64, now: Instant, limit: Duration) -> bool {
        let last = &mut self.heard;
        if heard != last.heard {
            *last = Heard { heard, asked, unanswered: None };
        } else if asked > last.asked {
            last.asked = asked;
            last.unanswered.get_or_insert(now);
        }
        !limit.is_zero() && last.unanswered.is_some_and(|since| now.saturating_duration_since(since) >= limit)
    }

    /// Takes a change of a path. The address and state to tell of, if the state is another.
    pub(super) fn path(&mut self, ip: IpAddr, change: PathChange, now: Instant) -> Option<(SocketAddr, PathState)> {
        let at = self.paths.iter().position(|p| p.address.ip() == ip)?;
        let path = &mut self.paths[at];
        match change {
            PathChange::State(state) => path.set(state, now).then_some((path.address, state)),
            PathChange::Confirmed => {
                path.confirmed = true;
                None
            }
            PathChange::Primary => {
                self.paths[..=at].rotate_right(1);
                None
            }
        }
    }

    /// Takes what the kernel says of a path when asked.
    pub(super) fn path_status(&mut self, status: &PathStatus) {
        if let Some(path) = self.paths.iter_mut().find(|p| p.address.ip() == status.address) {
            (path.rtt, path.rto) = (status.rtt.or(path.rtt), status.rto);
            path.confirmed |= status.state.is_some();
        }
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.paths.first()?.rtt
    }

    /// What is known of the paths. Packets of each path are not: the kernel does not tell.
    pub(super) fn path_infos(&self, local: &[IpAddr]) -> Vec<PathInfo> {
        let in_use = self.paths.iter().position(|p| p.state == PathState::Active).unwrap_or(0);
        let info = |(at, path): (usize, &KernelPath)| {
            let ip = path.address.ip();
            let own = local.iter().find(|l| l.is_ipv4() == ip.is_ipv4()).or(local.first()).copied();
            PathInfo {
                address: path.address,
                local: own.unwrap_or(ip),
                state: path.state,
                since: path.since,
                primary: at == 0,
                in_use: at == in_use,
                confirmed: path.confirmed,
                rtt: path.rtt,
                rto: path.rto,
                errors: 0,
                mtu: 0,
                stats: PathStats { failures: path.failures, ..PathStats::default() },
            }
        };
        self.paths.iter().enumerate().map(info).collect()
    }
}
