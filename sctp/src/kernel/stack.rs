//! All associations of a node that the kernel's SCTP carries.

use super::assoc::{Assoc, Phase};
use super::{KernelId, Notice, Operation, PathChange, PathStatus, Settings, Started};
use crate::{AssocId, CloseReason, Config, Connect, Counters, Event, SendError};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Cause codes of RFC 9260 section 3.3.10 that the kernel puts into its own ABORTs.
const PROTOCOL_VIOLATION: u16 = 13;
/// Paths are asked for this often.
const PATHS_EVERY: Duration = Duration::from_secs(1);
/// Time of the kernel's questions to one association at least, times the number of associations.
const ASK_SHARE: Duration = Duration::from_micros(200);
/// After our ABORT the kernel tells at once what was not acknowledged. It has nothing to tell when it lost the association by itself
/// in that moment; then everything it had comes back.
const ABORT_GUARD: Duration = Duration::from_secs(5);

/// What is known of a socket.
#[derive(Debug, Default)]
struct SocketState {
    /// How often it was seen empty.
    epoch: u64,
    /// It has no room for more to send.
    full: bool,
    /// Associations that have something to send and wait for room.
    waiting: Vec<AssocId>,
    /// Associations of which "dry" said too little: messages were handed over since the socket was last empty. Asked again when they
    /// are many.
    unsure: Vec<AssocId>,
    /// Associations that are over; the messages that were not acknowledged are being told.
    ended: Vec<AssocId>,
}

/// [`Associations`](crate::Associations) over the kernel's SCTP. Pure: it makes [`Operation`]s and takes [`Notice`]s.
#[derive(Debug)]
pub struct KernelStack {
    pub(super) config: Config,
    pub(super) local: Vec<IpAddr>,
    pub(super) udp_port: u16,
    pub(super) counters: Counters,
    pub(super) assocs: BTreeMap<AssocId, Assoc>,
    by_kernel: FxHashMap<KernelId, AssocId>,
    sockets: FxHashMap<u64, SocketState>,
    next_id: u64,
    pub(super) events: VecDeque<Event>,
    pub(super) operations: VecDeque<Operation>,
    dirty: VecDeque<AssocId>,
    pub(super) timers: BTreeSet<(Instant, AssocId)>,
}

impl KernelStack {
    /// `local` are the own addresses; `udp_port` is the port that peers' addresses are told with (the kernel has none, or the one of
    /// UDP encapsulation).
    #[must_use]
    pub fn new(config: Config, local: Vec<IpAddr>, udp_port: u16) -> Self {
        let config = config.sane();
        let configure = Operation::Configure { settings: Settings::new(&config) };
        Self {
            config,
            local,
            udp_port,
            counters: Counters::default(),
            assocs: BTreeMap::new(),
            by_kernel: FxHashMap::default(),
            sockets: FxHashMap::default(),
            next_id: 1,
            events: VecDeque::new(),
            operations: VecDeque::from([configure]),
            dirty: VecDeque::new(),
            timers: BTreeSet::new(),
        }
    }

    /// Takes what the kernel says.
    pub fn handle_notice(&mut self, now: Instant, notice: Notice) {
        self.counters.packets_in += 1;
        match notice {
            Notice::Connecting { assoc, kernel } => self.connecting(assoc, kernel),
            Notice::NotConnecting { assoc } => {
                if self.assocs.contains_key(&assoc) {
                    self.close(assoc, CloseReason::ConnectFailed, true);
                }
            }
            Notice::Up { kernel, started } => self.up(now, kernel, &started),
            Notice::Restarted { kernel, started } => self.restarted(now, kernel, &started),
            Notice::Lost { kernel, cause, by_peer } => self.ended(kernel, lost(cause, by_peer)),
            Notice::CannotStart { kernel, cause } => self.ended(kernel, cannot_start(cause)),
            Notice::ShutdownComplete { kernel } => self.ended(kernel, CloseReason::Shutdown),
            Notice::PeerShutdown { kernel } => {
                if let Some((_, assoc)) = self.of(kernel)
                    && matches!(assoc.phase, Phase::Up | Phase::Closing { .. })
                {
                    assoc.phase = Phase::Closing { ours: false };
                }
            }
            Notice::Path { kernel, address, change } => self.path(now, kernel, address, change),
            Notice::SendFailed { kernel, context, bytes, sent } => {
                if !self.of(kernel).is_some_and(|(_, assoc)| assoc.failed(context, bytes, sent)) {
                    self.counters.dropped_unexpected += 1;
                }
            }
            Notice::NotTaken { kernel, context, full } => self.not_taken(kernel, context, full),
            Notice::Room { socket } => self.room(socket),
            Notice::Message { kernel, stream, ppid, unordered, end, payload } => {
                self.message(now, kernel, (stream, ppid, unordered), end, payload);
            }
            Notice::PartialAborted { kernel } => {
                if let Some((_, assoc)) = self.of(kernel) {
                    assoc.partial = Vec::new();
                }
            }
            Notice::Dry { kernel } => self.dry(kernel),
            Notice::Status { kernel, heard, asked, paths } => self.status(now, kernel, (heard, asked), &paths),
            Notice::Empty { socket } => self.empty(socket),
            Notice::SocketClosed { socket } => {
                self.sockets.remove(&socket);
            }
        }
    }

    fn of(&mut self, kernel: KernelId) -> Option<(AssocId, &mut Assoc)> {
        let id = *self.by_kernel.get(&kernel)?;
        Some((id, self.assocs.get_mut(&id)?))
    }

    pub(super) fn insert(&mut self, assoc: Assoc) -> AssocId {
        let id = AssocId(self.next_id);
        self.next_id += 1;
        self.assocs.insert(id, assoc);
        id
    }

    fn connecting(&mut self, id: AssocId, kernel: KernelId) {
        let Some(assoc) = self.assocs.get_mut(&id) else {
            // It was ended before the kernel could begin.
            return self.operations.push_back(Operation::Abort { kernel, reason: Bytes::new() });
        };
        assoc.kernel = Some(kernel);
        self.by_kernel.insert(kernel, id);
        self.sockets.entry(kernel.socket).or_default();
    }

    fn up(&mut self, now: Instant, kernel: KernelId, started: &Started) {
        let id = match self.by_kernel.get(&kernel) {
            Some(id) => *id,
            None if self.assocs.len() >= self.config.associations_max => {
                self.counters.associations_refused += 1;
                return self.operations.push_back(Operation::Abort { kernel, reason: Bytes::new() });
            }
            None => {
                let mut assoc = Assoc::new(true, started.local_port, started.peer_port);
                assoc.kernel = Some(kernel);
                let id = self.insert(assoc);
                self.by_kernel.insert(kernel, id);
                self.sockets.entry(kernel.socket).or_default();
                id
            }
        };
        self.start(now, id, started);
    }

    /// An association is established: tells the program.
    fn start(&mut self, now: Instant, id: AssocId, started: &Started) {
        let Some(assoc) = self.assocs.get_mut(&id) else { return };
        if assoc.phase != Phase::Connecting {
            return;
        }
        assoc.start(started, self.udp_port, now);
        self.counters.associations_up += 1;
        self.events.push_back(Event::Up {
            assoc: id,
            local_port: assoc.local_port,
            peer_port: assoc.peer_port,
            peer: assoc.paths.iter().map(|p| p.address).collect(),
            incoming: assoc.incoming,
            outbound_streams: assoc.outbound_streams,
            inbound_streams: assoc.inbound_streams,
        });
        self.ask(now, id);
        self.schedule(id, now + self.ask_interval());
    }

    fn restarted(&mut self, now: Instant, kernel: KernelId, started: &Started) {
        let epoch = self.sockets.get(&kernel.socket).map_or(0, |s| s.epoch);
        let Some((old, assoc)) = self.of(kernel) else { return };
        let anew = match assoc.phase {
            Phase::Up | Phase::Closing { .. } => true,
            Phase::Connecting | Phase::Aborting(_) | Phase::Ended(_) => false,
        };
        if !anew {
            return;
        }
        assoc.fail_since_restart(epoch);
        let mut fresh = Assoc::new(assoc.incoming, started.local_port, started.peer_port);
        fresh.kernel = Some(kernel);
        fresh.continue_contexts(assoc);
        self.counters.associations_restarted += 1;
        self.close(old, CloseReason::Restarted, true);
        let id = self.insert(fresh);
        self.by_kernel.insert(kernel, id);
        self.start(now, id, started);
    }

    /// The kernel says it is over. What was not acknowledged follows, up to the next time the socket is empty.
    fn ended(&mut self, kernel: KernelId, reason: CloseReason) {
        let Some((id, assoc)) = self.of(kernel) else { return };
        let phase = std::mem::replace(&mut assoc.phase, Phase::Connecting);
        let (reason, already) = match phase {
            Phase::Aborting(ours) => (ours, false),
            Phase::Ended(first) => (first, true),
            Phase::Connecting | Phase::Up | Phase::Closing { .. } => (reason, false),
        };
        assoc.phase = Phase::Ended(reason);
        if !already {
            self.sockets.entry(kernel.socket).or_default().ended.push(id);
        }
    }

    /// The last word on an association.
    pub(super) fn close(&mut self, id: AssocId, reason: CloseReason, exact: bool) {
        let Some(mut assoc) = self.assocs.remove(&id) else { return };
        if let Some(kernel) = assoc.kernel {
            self.by_kernel.remove(&kernel);
        }
        if let Some(at) = assoc.at {
            self.timers.remove(&(at, id));
        }
        let (undelivered, acknowledged) = assoc.hand_back(exact);
        self.counters.associations_closed += 1;
        self.counters.messages_acknowledged += acknowledged;
        self.counters.messages_handed_back += undelivered.len() as u64;
        self.events.push_back(Event::Closed { assoc: id, reason, undelivered });
    }

    fn path(&mut self, now: Instant, kernel: KernelId, address: IpAddr, change: PathChange) {
        let Some((id, assoc)) = self.of(kernel) else { return };
        if !is_open(&assoc.phase) {
            return;
        }
        if let Some((address, state)) = assoc.path(address, change, now) {
            self.events.push_back(Event::Path { assoc: id, address, state });
        }
    }

    fn not_taken(&mut self, kernel: KernelId, context: u32, full: bool) {
        let Some((id, assoc)) = self.of(kernel) else { return };
        assoc.not_taken(context);
        if full {
            let socket = self.sockets.entry(kernel.socket).or_default();
            socket.full = true;
            socket.waiting.push(id);
        } else if matches!(assoc.phase, Phase::Up) {
            // It is ending; the kernel says how in a moment.
            assoc.phase = Phase::Closing { ours: false };
        }
    }

    fn room(&mut self, socket: u64) {
        let Some(socket) = self.sockets.get_mut(&socket) else { return };
        socket.full = false;
        for id in std::mem::take(&mut socket.waiting) {
            self.mark(id);
        }
    }

    fn message(&mut self, now: Instant, kernel: KernelId, of: (u16, u32, bool), end: bool, payload: Bytes) {
        let max = self.config.message_bytes_max;
        let Some((id, assoc)) = self.of(kernel) else {
            self.counters.out_of_the_blue += 1;
            return;
        };
        if !is_open(&assoc.phase) {
            self.counters.dropped_data_state += 1;
            return;
        }
        if assoc.partial.len() + payload.len() > max {
            return self.end(now, id, CloseReason::ProtocolViolation, Bytes::from_static(b"message too long"));
        }
        if !end {
            return assoc.partial.extend_from_slice(&payload);
        }
        let payload = if assoc.partial.is_empty() {
            payload
        } else {
            assoc.partial.extend_from_slice(&payload);
            std::mem::take(&mut assoc.partial).into()
        };
        let (stream, ppid, unordered) = of;
        self.counters.messages_in += 1;
        self.events.push_back(Event::Message { assoc: id, stream, ppid, unordered, payload });
    }

    fn dry(&mut self, kernel: KernelId) {
        let Some(epoch) = self.sockets.get(&kernel.socket).map(|s| s.epoch) else { return };
        let Some((id, assoc)) = self.of(kernel) else { return };
        let (acknowledged, unsure) = assoc.dry(epoch);
        self.counters.messages_acknowledged += acknowledged;
        self.mark(id);
        if unsure && let Some(socket) = self.sockets.get_mut(&kernel.socket) {
            socket.unsure.push(id);
        }
    }

    fn empty(&mut self, socket: u64) {
        let Some(state) = self.sockets.get_mut(&socket) else { return };
        state.epoch += 1;
        for id in std::mem::take(&mut state.unsure) {
            let many = self.assocs.get_mut(&id).filter(|a| is_open(&a.phase)).and_then(|a| a.ask_dry(false));
            self.operations.extend(many);
        }
        for id in std::mem::take(&mut state.ended) {
            if let Some(Phase::Ended(reason)) = self.assocs.get(&id).map(|a| a.phase.clone()) {
                self.close(id, reason, true);
            }
        }
    }

    fn status(&mut self, now: Instant, kernel: KernelId, (heard, asked): (u64, u64), paths: &[PathStatus]) {
        let limit = Duration::from_millis(self.config.supervision_ms);
        let Some((id, assoc)) = self.of(kernel) else { return };
        paths.iter().for_each(|path| assoc.path_status(path));
        if assoc.heard(heard, asked, now, limit) && is_open(&assoc.phase) {
            self.end(now, id, CloseReason::Silent, Bytes::new());
        }
    }

    /// Ends an established association by ABORT.
    pub(super) fn end(&mut self, now: Instant, id: AssocId, reason: CloseReason, text: Bytes) {
        let Some(assoc) = self.assocs.get_mut(&id) else { return };
        let Some(kernel) = assoc.kernel else { return };
        assoc.phase = Phase::Aborting(reason);
        self.counters.aborts_out += 1;
        self.operations.push_back(Operation::Abort { kernel, reason: text });
        self.schedule(id, now + ABORT_GUARD);
    }

    /// How often the kernel is asked how an association is: often enough for supervision, rarely enough for many of them.
    pub(super) fn ask_interval(&self) -> Duration {
        let supervision = match self.config.supervision_ms {
            0 => PATHS_EVERY,
            ms => Duration::from_millis((ms / 8).clamp(10, 1_000)),
        };
        let count = u32::try_from(self.assocs.len()).unwrap_or(u32::MAX);
        supervision.max(ASK_SHARE.saturating_mul(count))
    }

    pub(super) fn ask(&mut self, now: Instant, id: AssocId) {
        let Some(assoc) = self.assocs.get_mut(&id) else { return };
        let Some(kernel) = assoc.kernel else { return };
        self.operations.extend(assoc.ask_dry(true));
        let due = assoc.paths_asked.is_none_or(|at| now.saturating_duration_since(at) >= PATHS_EVERY);
        let mut paths = Vec::new();
        if due {
            assoc.paths_asked = Some(now);
            paths = assoc.paths.iter().map(|p| p.address.ip()).collect();
        }
        self.operations.push_back(Operation::AskStatus { kernel, paths, peer_port: assoc.peer_port });
    }

    pub(super) fn schedule(&mut self, id: AssocId, at: Instant) {
        let Some(assoc) = self.assocs.get_mut(&id) else { return };
        if let Some(before) = assoc.at.replace(at) {
            self.timers.remove(&(before, id));
        }
        self.timers.insert((at, id));
    }

    /// It may have something to do.
    pub(super) fn mark(&mut self, id: AssocId) {
        if let Some(assoc) = self.assocs.get_mut(&id).filter(|a| !a.dirty) {
            assoc.dirty = true;
            self.dirty.push_back(id);
        }
    }

    pub(super) fn refuse(&mut self, error: SendError) -> SendError {
        match error {
            SendError::NotOpen => self.counters.refused_not_open += 1,
            SendError::NoSuchStream => self.counters.refused_stream += 1,
            SendError::QueueFull => self.counters.refused_queue_full += 1,
            SendError::BadLength => self.counters.refused_length += 1,
        }
        error
    }

    pub(super) fn may_send(&self, id: AssocId, stream: u16, len: usize) -> Result<(), SendError> {
        let assoc = self.assocs.get(&id).filter(|a| a.phase == Phase::Up).ok_or(SendError::NotOpen)?;
        if stream >= assoc.outbound_streams {
            return Err(SendError::NoSuchStream);
        }
        if len == 0 || len > self.config.message_bytes_max {
            return Err(SendError::BadLength);
        }
        let (messages, bytes) = assoc.outstanding();
        if messages >= self.config.send_queue_messages_max || bytes + len > self.config.send_queue_bytes_max {
            return Err(SendError::QueueFull);
        }
        Ok(())
    }

    pub(super) fn may_connect(&self, connect: &Connect) -> bool {
        let usable = |a: &SocketAddr| !a.ip().is_unspecified() && !a.ip().is_multicast();
        self.assocs.len() < self.config.associations_max
            && connect.peer_port != 0
            && connect.local_port != Some(0)
            && !connect.peer.is_empty()
            && connect.peer.iter().all(usable)
    }

    pub(super) fn operation(&mut self) -> Option<Operation> {
        loop {
            if let Some(operation) = self.operations.pop_front() {
                return Some(operation);
            }
            let id = *self.dirty.front()?;
            if let Some(operation) = self.next_of(id) {
                self.operations.extend(self.assocs.get_mut(&id).and_then(|a| a.ask_dry(false)));
                return Some(operation);
            }
            self.dirty.pop_front();
            if let Some(assoc) = self.assocs.get_mut(&id) {
                assoc.dirty = false;
            }
        }
    }

    /// What this association has to do, unless its socket has no room.
    fn next_of(&mut self, id: AssocId) -> Option<Operation> {
        let assoc = self.assocs.get_mut(&id)?;
        let socket = self.sockets.get_mut(&assoc.kernel?.socket)?;
        if socket.full && assoc.has_waiting() {
            socket.waiting.push(id);
            return None;
        }
        assoc.next(socket.epoch)
    }
}

/// The program still sees it.
fn is_open(phase: &Phase) -> bool {
    match phase {
        Phase::Up | Phase::Closing { .. } => true,
        Phase::Connecting | Phase::Aborting(_) | Phase::Ended(_) => false,
    }
}

/// Why an established association was lost. Without a cause it is silence, or an ABORT that gave none: only the first is safe to say.
fn lost(cause: u16, by_peer: bool) -> CloseReason {
    match (cause, by_peer) {
        (cause, true) => CloseReason::PeerAbort((cause != 0).then_some(cause)),
        (PROTOCOL_VIOLATION, false) => CloseReason::ProtocolViolation,
        (_, false) => CloseReason::Silent,
    }
}

fn cannot_start(cause: u16) -> CloseReason {
    if cause == 0 { CloseReason::ConnectFailed } else { CloseReason::PeerAbort(Some(cause)) }
}
