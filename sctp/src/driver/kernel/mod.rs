//! The kernel's SCTP: one-to-many sockets (RFC 6458 section 3). It does what a [`KernelStack`](crate::kernel::KernelStack) asks for and
//! tells it what the kernel says; who waits for what is known there.
//!
//! A port that is listened on has one socket for all its associations. An association that we start has a socket of its own, unless
//! it is to come from a port that has one.

mod notification;
mod open;
mod options;
#[expect(unsafe_code, reason = "system calls that nix has no safe form of; each block says why it is sound")]
mod socket;

use super::backend::{Backend, Feed, Round, Taken};
use super::poller::{Poller, Ready};
use super::{BindError, DriverConfig, DriverCounters};
use crate::kernel::{KernelId, Notice, Operation, PathChange, PathStatus, Settings, Started};
use crate::{AssocId, BackendKind, Config, Input, Output, PathState};
use bytes::Bytes;
use nix::errno::Errno;
use notification::{Change, Notification};
use rustc_hash::FxHashMap;
use socket::{BATCH, Batch, Outgoing, Received, Socket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Failing calls after which a socket has to wait for the next round.
const FAILURES_MAX: usize = 8;
/// `snd_flags`, `rcv_flags` (RFC 6458 section 5.3.4).
const UNORDERED: u16 = 1;
const ABORT: u16 = 1 << 2;
const SACK_IMMEDIATELY: u16 = 1 << 3;
const EOF: u16 = 1 << 9;

/// A socket that is open.
#[derive(Debug)]
struct Opened {
    socket: Socket,
    port: u16,
    /// It was opened for one association, and is closed with it.
    single: bool,
    /// That association is over.
    over: bool,
}

/// The kernel's sockets of a node.
#[derive(Debug)]
pub(super) struct KernelSockets {
    addresses: Vec<IpAddr>,
    config: DriverConfig,
    settings: Settings,
    counters: Arc<DriverCounters>,
    sockets: FxHashMap<u64, Opened>,
    next: u64,
    batch: Batch,
    /// Messages of this association that go to the kernel together, and their contexts.
    gathered: Option<KernelId>,
    outgoing: Vec<Outgoing>,
    contexts: Vec<u32>,
}

impl KernelSockets {
    /// Makes sure that the kernel has SCTP and the addresses are ours.
    pub(super) fn bind(config: &DriverConfig, counters: &Arc<DriverCounters>) -> Result<Self, BindError> {
        let sockets = Self {
            addresses: config.addresses.clone(),
            config: config.clone(),
            settings: Settings::new(&Config::default()),
            counters: Arc::clone(counters),
            sockets: FxHashMap::default(),
            next: 0,
            batch: Batch::new(),
            gathered: None,
            outgoing: Vec::new(),
            contexts: Vec::new(),
        };
        sockets.probe()?;
        if !config.capture.as_os_str().is_empty() {
            tracing::warn!(
                "no capture: the kernel keeps its SCTP packets to itself; use `tshark -i any -f sctp -w {}`",
                config.capture.display()
            );
        }
        Ok(sockets)
    }

    fn insert(&mut self, opened: Opened, poller: &Poller) -> io::Result<u64> {
        let number = self.next;
        self.next += 1;
        poller.add(key(number), &opened.socket)?;
        self.sockets.insert(number, opened);
        Ok(number)
    }

    fn of_port(&self, port: u16) -> Option<u64> {
        self.sockets.iter().find(|(_, opened)| opened.port == port).map(|(number, _)| *number)
    }

    fn listen(&mut self, port: u16, poller: &Poller) -> io::Result<()> {
        let number = match self.of_port(port) {
            Some(number) => number,
            None => {
                let (socket, port) = self.open(port).map_err(|e| self.explain("listen on", port, &e))?;
                self.insert(Opened { socket, port, single: false, over: false }, poller)?
            }
        };
        let listened = self.sockets.get_mut(&number).map_or(Ok(()), |opened| {
            opened.single = false;
            opened.socket.listen(true)
        });
        listened.map_err(|e| self.explain("listen on", port, &e))
    }

    fn stop_listening(&self, port: u16) -> io::Result<()> {
        match self.of_port(port).and_then(|number| self.sockets.get(&number)) {
            Some(opened) => opened.socket.listen(false),
            None => Ok(()),
        }
    }

    fn connect(&mut self, to: &[u8], local_port: Option<u16>, poller: &Poller) -> io::Result<KernelId> {
        let number = match local_port.and_then(|port| self.of_port(port)) {
            Some(number) => number,
            None => {
                let (socket, port) = self.open(local_port.unwrap_or(0))?;
                self.insert(Opened { socket, port, single: true, over: false }, poller)?
            }
        };
        let opened = &self.sockets[&number];
        match opened.socket.connect(to) {
            Ok(assoc) => Ok(KernelId { socket: number, assoc }),
            Err(error) => {
                if opened.single {
                    self.sockets.remove(&number);
                }
                Err(error)
            }
        }
    }

    /// Does what is asked for. True when the node was told something.
    fn operate(&mut self, operation: Operation, now: Instant, round: &mut Round<'_>) -> io::Result<bool> {
        if let Operation::Send { kernel, context, stream, ppid, unordered, more, payload } = operation {
            let mut told = false;
            if self.gathered.is_some_and(|gathered| gathered != kernel) {
                told = self.send_gathered(false, now, round)?;
            }
            let flags = if unordered { UNORDERED } else { 0 } | if more { 0 } else { SACK_IMMEDIATELY };
            self.gathered = Some(kernel);
            self.outgoing
                .push(Outgoing { payload, info: options::send_info(stream, flags, ppid, context, kernel.assoc) });
            self.contexts.push(context);
            if !more || self.outgoing.len() == BATCH {
                told |= self.send_gathered(more, now, round)?;
            }
            return Ok(told);
        }
        let before = self.send_gathered(false, now, round)?;
        let told = match operation {
            Operation::Configure { settings } => {
                self.settings = settings;
                None
            }
            Operation::Listen { port } => return self.listen(port, round.poller).map(|()| before),
            Operation::StopListening { port } => return self.stop_listening(port).map(|()| before),
            Operation::Connect { assoc, peer, peer_port, local_port } => {
                let to = options::addresses(peer.into_iter(), peer_port);
                let result = self.connect(&to, local_port, round.poller);
                Some(self.connected(assoc, result))
            }
            // Above.
            Operation::Send { .. } => None,
            Operation::Shutdown { kernel } => self.end(kernel, EOF, &Bytes::new()),
            Operation::Abort { kernel, reason } => self.end(kernel, ABORT, &reason),
            Operation::AskDry { kernel } => {
                if let Some(opened) = self.sockets.get(&kernel.socket)
                    && let Err(error) = options::ask_dry(&opened.socket, kernel.assoc, true)
                {
                    tracing::trace!("{kernel:?}: {error}");
                }
                None
            }
            Operation::AskStatus { kernel, paths, peer_port } => self.status(kernel, &paths, peer_port),
        };
        Ok(tell(told, now, round) || before)
    }

    fn connected(&self, assoc: AssocId, result: io::Result<KernelId>) -> Notice {
        match result {
            Ok(kernel) => Notice::Connecting { assoc, kernel },
            Err(error) => {
                self.counters.send_errors.add(1);
                tracing::warn!("cannot start an association: {error}");
                Notice::NotConnecting { assoc }
            }
        }
    }

    /// Hands over what was gathered. True when the node was told something.
    fn send_gathered(&mut self, more: bool, now: Instant, round: &mut Round<'_>) -> io::Result<bool> {
        let Some(kernel) = self.gathered.take() else { return Ok(false) };
        let told = self.send_messages(kernel, more, round.poller)?;
        Ok(tell(told, now, round))
    }

    /// What is not taken is told, with all that follows it.
    fn send_messages(&mut self, kernel: KernelId, more: bool, poller: &Poller) -> io::Result<Option<Notice>> {
        let (outgoing, contexts) = (std::mem::take(&mut self.outgoing), std::mem::take(&mut self.contexts));
        let not_taken = |at: usize, full| Ok(Some(Notice::NotTaken { kernel, context: contexts[at], full }));
        let Some(opened) = self.sockets.get(&kernel.socket) else { return not_taken(0, false) };
        let mut taken = 0;
        while taken < outgoing.len() {
            // Only the last of them may make the kernel send.
            let left = &outgoing[taken..];
            let (part, follows) = if more || left.len() == 1 { (left, more) } else { (&left[..left.len() - 1], true) };
            let result = opened.socket.send(part, follows);
            self.counters.send_calls.add(1);
            match result {
                Ok(count) => {
                    let bytes = part.iter().take(count).map(|m| m.payload.len()).sum();
                    self.counters.count_out(count, bytes);
                    taken += count;
                }
                Err(error) => {
                    let full = error.kind() == io::ErrorKind::WouldBlock;
                    if full {
                        self.counters.send_blocked.add(1);
                        poller.want_writable(key(kernel.socket), &opened.socket, true)?;
                    } else {
                        self.counters.send_errors.add(1);
                        tracing::debug!("{kernel:?}: send: {error}");
                    }
                    return not_taken(taken, full);
                }
            }
        }
        Ok(None)
    }

    /// Shutdown or abort. An error means that it is over already, which the kernel tells by itself.
    fn end(&self, kernel: KernelId, flags: u16, reason: &Bytes) -> Option<Notice> {
        let opened = self.sockets.get(&kernel.socket)?;
        let message = Outgoing { payload: reason.clone(), info: options::send_info(0, flags, 0, 0, kernel.assoc) };
        if let Err(error) = opened.socket.send(&[message], false) {
            tracing::debug!("{kernel:?}: end: {error}");
        }
        None
    }

    fn status(&self, kernel: KernelId, paths: &[IpAddr], peer_port: u16) -> Option<Notice> {
        let socket = &self.sockets.get(&kernel.socket)?.socket;
        let stats = options::stats(socket, kernel.assoc).ok()?;
        let path = |ip: &IpAddr| {
            let info = options::address_info(socket, kernel.assoc, SocketAddr::new(*ip, peer_port)).ok()?;
            Some(PathStatus {
                address: *ip,
                state: path_state(info.state),
                rtt: (info.srtt_ms > 0).then_some(Duration::from_millis(info.srtt_ms.into())),
                rto: Duration::from_millis(info.rto_ms.into()),
            })
        };
        let paths = paths.iter().filter_map(path).collect();
        Some(Notice::Status { kernel, heard: stats.packets_in, asked: stats.asked, paths })
    }

    /// Takes what a socket has.
    fn receive_from(&mut self, number: u64, budget: &mut usize, node: &mut dyn Feed) -> Taken {
        let mut failures = 0;
        let mut empty = false;
        let mut now = None;
        while *budget > 0 && failures < FAILURES_MAX && !empty {
            let Some(opened) = self.sockets.get_mut(&number) else { break };
            match opened.socket.receive(&mut self.batch) {
                Ok(count) => {
                    *budget = budget.saturating_sub(count);
                    self.counters.receive_calls.add(1);
                    empty = count < BATCH;
                    let now = *now.insert(Instant::now());
                    for (received, bytes) in self.batch.received() {
                        let notice = if received.notification {
                            told(number, opened, received, bytes)
                        } else {
                            self.counters.datagrams_in.add(1);
                            self.counters.bytes_in.add(received.len);
                            message(number, received, bytes)
                        };
                        if let Some(notice) = notice {
                            node.input(now, Input::Kernel(notice));
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => empty = true,
                Err(error) => {
                    failures += 1;
                    self.counters.receive_errors.add(1);
                    tracing::debug!("SCTP socket {number}: receive: {error}");
                }
            }
        }
        if empty {
            self.emptied(now.unwrap_or_else(Instant::now), number, node);
        }
        Taken { drained: empty, at: now }
    }

    fn emptied(&mut self, now: Instant, number: u64, node: &mut dyn Feed) {
        node.input(now, Input::Kernel(Notice::Empty { socket: number }));
        if self.sockets.get(&number).is_some_and(|opened| opened.single && opened.over) {
            // Its association is gone, so nothing is said to the peer any more.
            self.sockets.remove(&number);
            node.input(now, Input::Kernel(Notice::SocketClosed { socket: number }));
        }
    }
}

impl Backend for KernelSockets {
    fn kind(&self) -> BackendKind {
        BackendKind::Kernel
    }

    fn local(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|ip| SocketAddr::new(*ip, self.config.port)).collect()
    }

    fn start(&mut self, _: &Poller) -> io::Result<()> {
        // Sockets come with what the node asks for.
        Ok(())
    }

    fn receive(&mut self, ready: &[Ready], round: Round<'_>) -> io::Result<Taken> {
        let mut budget = self.config.receive_budget_datagrams;
        let mut taken = Taken::NOTHING;
        for ready in ready {
            let number = ready.key as u64;
            if ready.writable
                && let Some(opened) = self.sockets.get(&number)
            {
                round.poller.want_writable(ready.key, &opened.socket, false)?;
                round.node.input(Instant::now(), Input::Kernel(Notice::Room { socket: number }));
            }
            if ready.readable || ready.error {
                taken.add(self.receive_from(number, &mut budget, round.node));
            }
        }
        Ok(taken)
    }

    fn send(&mut self, now: Instant, mut round: Round<'_>) -> io::Result<bool> {
        let mut told = false;
        for _ in 0..self.config.send_budget_datagrams {
            match round.node.output(now) {
                Some(Output::Kernel(operation)) => told |= self.operate(operation, now, &mut round)?,
                // Packets are of other backends' associations.
                Some(Output::Packet(_)) => self.counters.unroutable.add(1),
                None => return Ok(self.send_gathered(false, now, &mut round)? || told),
            }
        }
        self.send_gathered(false, now, &mut round)?;
        Ok(true)
    }
}

/// Tells the node. True when there was something.
fn tell(notice: Option<Notice>, now: Instant, round: &mut Round<'_>) -> bool {
    let any = notice.is_some();
    if let Some(notice) = notice {
        round.node.input(now, Input::Kernel(notice));
    }
    any
}

/// The poller's key of a socket.
fn key(number: u64) -> usize {
    usize::try_from(number).expect("invariant: numbers count sockets")
}

fn path_state(state: i32) -> Option<PathState> {
    match state {
        0 => Some(PathState::Inactive),
        1 => Some(PathState::PotentiallyFailed),
        2 => Some(PathState::Active),
        _ => None,
    }
}

/// `spc_state` (RFC 6458 section 6.1.2); `None` for addresses that were added or removed, which nobody does.
fn path_change(state: i32) -> Option<PathChange> {
    match state {
        0 => Some(PathChange::State(PathState::Active)),
        1 => Some(PathChange::State(PathState::Inactive)),
        4 => Some(PathChange::Primary),
        5 => Some(PathChange::Confirmed),
        6 => Some(PathChange::State(PathState::PotentiallyFailed)),
        _ => None,
    }
}

/// User data. The layout is `sctp_rcvinfo`.
fn message(number: u64, received: &Received, bytes: &[u8]) -> Option<Notice> {
    let info = received.info.as_ref()?;
    let u16_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b));
    let assoc = i32::from_ne_bytes(*info.get(24..)?.first_chunk()?);
    Some(Notice::Message {
        kernel: KernelId { socket: number, assoc },
        stream: u16_at(0)?,
        ppid: u32::from_be_bytes(*info.get(8..)?.first_chunk()?),
        unordered: u16_at(4)? & UNORDERED != 0,
        end: received.end,
        payload: Bytes::copy_from_slice(bytes),
    })
}

/// A notification.
fn told(number: u64, opened: &mut Opened, received: &Received, bytes: &[u8]) -> Option<Notice> {
    let id = |assoc| KernelId { socket: number, assoc };
    Some(match notification::parse(bytes)? {
        Notification::Assoc { assoc, change, cause, quoted, outbound_streams, inbound_streams } => {
            let kernel = id(assoc);
            let started = |opened: &Opened| started(opened, received, assoc, (outbound_streams, inbound_streams));
            match change {
                Change::Up => Notice::Up { kernel, started: started(opened)? },
                Change::Restart => Notice::Restarted { kernel, started: started(opened)? },
                Change::Lost => {
                    opened.over = true;
                    Notice::Lost { kernel, cause, by_peer: quoted }
                }
                Change::CannotStart => {
                    opened.over = true;
                    Notice::CannotStart { kernel, cause }
                }
                Change::ShutdownComplete => {
                    opened.over = true;
                    Notice::ShutdownComplete { kernel }
                }
            }
        }
        Notification::Path { assoc, address, state } => {
            Notice::Path { kernel: id(assoc), address, change: path_change(state)? }
        }
        Notification::Shutdown { assoc } => Notice::PeerShutdown { kernel: id(assoc) },
        Notification::PartialAborted { assoc } => Notice::PartialAborted { kernel: id(assoc) },
        Notification::Dry { assoc } => {
            if let Err(error) = options::ask_dry(&opened.socket, assoc, false) {
                tracing::trace!("{assoc}: {error}");
            }
            Notice::Dry { kernel: id(assoc) }
        }
        Notification::SendFailed { assoc, context, bytes, sent } => {
            Notice::SendFailed { kernel: id(assoc), context, bytes, sent }
        }
    })
}

fn started(opened: &Opened, received: &Received, assoc: i32, streams: (u16, u16)) -> Option<Started> {
    let (primary, _) = options::read_address(&received.name)?;
    // It may be over already; then its primary is all there is to know.
    let mut peer: Vec<IpAddr> =
        options::peer_addresses(&opened.socket, assoc).unwrap_or_default().iter().map(SocketAddr::ip).collect();
    match peer.iter().position(|ip| *ip == primary.ip()) {
        Some(at) => peer[..=at].rotate_right(1),
        None => peer.insert(0, primary.ip()),
    }
    let (outbound_streams, inbound_streams) = streams;
    Some(Started { local_port: opened.port, peer_port: primary.port(), peer, outbound_streams, inbound_streams })
}
