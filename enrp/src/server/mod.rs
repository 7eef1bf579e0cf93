//! The ENRP server toward its ASAP clients (RFC 5352), as a pure machine. It knows clients, not transports.
//!
//! After each `handle_*` or application call, drain [`Server::poll_output`] and [`Server::poll_event`] until `None`, then
//! sleep until [`Server::poll_timeout`]. `now` never goes backwards.
//!
//! | file | RFC 5352 |
//! |---|---|
//! | `registration` | 3.1 registration, 3.2 deregistration, and every other end of a PE |
//! | `resolution` | 3.3 handle resolution, 2.2.5 subscriptions |
//! | `ranking` | resolution of pools with a selection plug-in; what users measured (not in the RFCs) |
//! | `supervision` | 3.4 keep-alive, 3.5 unreachable endpoints, lost associations |
//! | `neighbours` | PEs at the host of one that was found dead are asked soon (not in the RFCs) |
//! | `way` | associations that the server opens to PEs: taken over, or reported and not ours |
//! | `enrp` | what comes from peers (RFC 5353) |
//! | `announce` | 3.6 ASAP_SERVER_ANNOUNCE over multicast |
//! | `output` | what the server wants done outside |
//! | `rate` | what clients may ask for in a second (RFC 5355 2.13) |

mod announce;
mod config;
pub(crate) mod counters;
mod dump;
mod enrp;
mod event;
mod neighbours;
mod output;
mod ranking;
pub(crate) mod rate;
mod registration;
mod resolution;
mod snapshot;
mod supervision;
#[cfg(test)]
mod tests;
mod way;

use crate::handlespace::{Handlespace, Limits, Slot, SuspensionReason};
use crate::peers::Peers;
use crate::plugin::{Measures, Plugins};
use crate::timer::TimerQueue;
pub use announce::Announce;
use announce::Announcer;
use asap::policy::Rng;
use asap::wire::{self, ErrorCause, Message, OperationError, PeId, PoolHandle, ServerId};
use bytes::Bytes;
pub use config::ServerConfig;
pub(crate) use config::{DAY_MS, within_a_day};
pub use counters::Counters;
pub use dump::{PAGE_PES, Page, PageElement};
pub use event::{Event, RemovalCause};
use neighbours::Neighbours;
pub use output::{Attempt, Multicast, Output, PeerAddress};
use rate::{Rates, Request};
use resolution::{Question, Subscribers};
use rustc_hash::FxHashMap;
pub use snapshot::{PeSnapshot, PoolSnapshot, ServerSnapshot, policy_text};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use supervision::{Pace, Supervision};
use way::Ways;

/// Longest pool handle a parameter can hold.
pub(crate) const HANDLE_BYTES_WIRE: usize = 65_531;

/// Names a client: one association, or one embedded user. Given by the caller, never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The program the server lives in, as pool user (`asap::PuMachine::embedded`): its answers hold the whole pool.
    pub const LOCAL: ClientId = ClientId(u64::MAX);
    /// From here on clients are neither associations nor the program itself: TCP connections.
    pub const OUTSIDE: ClientId = ClientId(1 << 63);

    /// Whether it is a TCP connection: a pool user, never a PE (RFC 5352 section 2.1).
    #[must_use]
    pub fn is_outside(self) -> bool {
        self >= Self::OUTSIDE && self != Self::LOCAL
    }
}

/// What is due for a PE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Its registration life is over.
    Expiry(Slot),
    /// The next keep-alive is to be sent.
    KeepAlive(Slot),
    /// The answer to a keep-alive is overdue.
    Ack(Slot),
    /// Its association ended and it did not come back.
    Grace(Slot),
    /// It was taken over, and its turn has come to be told.
    Reach(Slot),
    /// A PE of another server, which was reported, did not answer.
    Probe(Slot),
    /// The next ASAP_SERVER_ANNOUNCE.
    Announce,
}

impl Timer {
    /// All that can be due for a PE.
    fn of(slot: Slot) -> [Self; 6] {
        [
            Self::Expiry(slot),
            Self::KeepAlive(slot),
            Self::Ack(slot),
            Self::Grace(slot),
            Self::Reach(slot),
            Self::Probe(slot),
        ]
    }
}

/// What is remembered of a client that registered, subscribed or reported.
#[derive(Debug, Default)]
struct Client {
    elements: BTreeSet<Slot>,
    subscriptions: BTreeSet<PoolHandle>,
    /// What it asked for in the present second.
    rates: Rates,
}

impl Client {
    /// Neither PE nor subscriber.
    fn is_idle(&self) -> bool {
        self.elements.is_empty() && self.subscriptions.is_empty()
    }
}

/// The name server.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    limits: wire::Limits,
    id: ServerId,
    handlespace: Handlespace,
    clients: FxHashMap<ClientId, Client>,
    /// What all clients together asked for in the present second.
    rates: Rates,
    /// When clients that only asked were forgotten last.
    room_made: Option<Instant>,
    /// The PEs that we own.
    supervised: FxHashMap<Slot, Supervision>,
    subscribers: BTreeMap<PoolHandle, Subscribers>,
    timers: TimerQueue<Timer>,
    pace: Pace,
    neighbours: Neighbours,
    /// When PEs that were taken over are told.
    rehoming: Pace,
    /// Associations that we opened to PEs.
    ways: Ways,
    /// Pools that changed, and when their subscribers are told.
    updates: TimerQueue<PoolHandle>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
    /// Selection plug-ins, when some pool has one.
    plugins: Option<Box<Plugins>>,
    /// Other servers; none: this server is alone.
    peers: Option<Box<Peers>>,
    measures: Measures,
    /// Announces this server over multicast, when there is multicast.
    announcer: Option<Announcer>,
    random: Rng,
    counters: Counters,
}

impl Server {
    /// A server with an empty handlespace. `id` is random and not 0, and stays the same until the process ends (RFC 5353
    /// section 2.1); `seed` feeds the spreading of keep-alives and the random policies.
    #[must_use]
    pub fn new(config: ServerConfig, id: ServerId, seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let limits = Limits { pools: config.pools_max, pes_per_pool: config.pes_per_pool_max, pes: config.pes_max };
        Self {
            // Our own limit is checked where the request can be refused as itself.
            limits: wire::Limits { max_handle: HANDLE_BYTES_WIRE, ..wire::Limits::default() },
            handlespace: Handlespace::new(limits, random.next_u64()),
            config,
            id,
            clients: FxHashMap::default(),
            rates: Rates::default(),
            room_made: None,
            supervised: FxHashMap::default(),
            subscribers: BTreeMap::new(),
            timers: TimerQueue::new(),
            pace: Pace::default(),
            neighbours: Neighbours::default(),
            rehoming: Pace::default(),
            ways: Ways::default(),
            updates: TimerQueue::new(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            plugins: None,
            peers: None,
            measures: Measures::default(),
            announcer: None,
            random,
            counters: Counters::default(),
        }
    }

    /// The server's identifier: the home server identifier of the PEs it owns.
    #[must_use]
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Takes one ASAP message (PPID 11). `source` is where the client is: each of its IP addresses, with its SCTP port; it
    /// becomes the PE's ASAP transport.
    pub fn handle_message(&mut self, now: Instant, client: ClientId, source: &[SocketAddr], message: &[u8]) {
        self.counters.messages_in += 1;
        self.run_timers(now);
        match Message::decode(message, &self.limits) {
            Ok(decoded) => {
                let answer = decoded.answer();
                self.dispatch(now, client, source, decoded.message);
                if let Some(answer) = answer {
                    self.counters.unrecognized += 1;
                    self.send(client, &answer);
                }
            }
            Err(error) => self.undecodable(client, &error),
        }
        self.send_updates(now);
    }

    /// The client's association ended. `certain`: its process certainly no longer acts
    /// (`sctp::CloseReason::is_certain`). Its subscriptions end; its PEs are removed or suspended.
    pub fn client_lost(&mut self, now: Instant, client: ClientId, certain: bool) {
        self.run_timers(now);
        let cause = if certain { RemovalCause::AssociationEnded } else { RemovalCause::AssociationSilent };
        self.association_lost(now, client, cause);
        self.with_peers(now, |peers, cx| peers.lost(cx, client));
        self.send_updates(now);
    }

    /// An output could not be sent to the client although its association is up (SEND.FAILURE): its PEs are removed, RFC
    /// 5352 section 3.5.
    pub fn send_failed(&mut self, now: Instant, client: ClientId) {
        let slots = self.clients.get(&client).map(|client| client.elements.clone()).unwrap_or_default();
        for slot in slots {
            self.remove(now, slot, RemovalCause::SendFailed);
        }
        self.send_updates(now);
    }

    /// Its settings.
    pub(crate) fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run_timers(now);
        self.send_updates(now);
    }

    /// The next thing to do outside.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next change of the handlespace.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Server::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let peers = self.peers.as_ref().and_then(|peers| peers.next_timeout());
        self.timers.next().into_iter().chain(self.updates.next()).chain(peers).min()
    }

    /// Selects up to `items` different PEs by the pool's policy, best first, and advances the policy: a resolution without
    /// messages. `None`: no such pool. Empty: no PE of it may be selected now.
    pub fn resolve(&mut self, handle: &PoolHandle, items: usize) -> Option<Vec<PeId>> {
        self.handlespace.select(handle, items)
    }

    /// A local hint: whether the embedding gateway can use this PE (its ASP is active and reachable). An unusable PE stays
    /// registered and supervised, but no resolution yields it, for remote users neither. False: no such PE. A PE starts
    /// usable, and stays what it is over re-registrations.
    pub fn set_usable(&mut self, now: Instant, handle: &PoolHandle, pe: PeId, usable: bool) -> bool {
        self.hint(now, handle, pe, SuspensionReason::Unusable, !usable)
    }

    /// Takes a PE out of service for planned work, or back in: as [`Server::set_usable`], but named draining in the state.
    pub fn set_draining(&mut self, now: Instant, handle: &PoolHandle, pe: PeId, draining: bool) -> bool {
        self.hint(now, handle, pe, SuspensionReason::Draining, draining)
    }

    /// The handlespace, to read.
    #[must_use]
    pub fn handlespace(&self) -> &Handlespace {
        &self.handlespace
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn dispatch(&mut self, now: Instant, client: ClientId, source: &[SocketAddr], message: Message) {
        match message {
            Message::Registration { handle, element } => self.registration(now, client, source, handle, element),
            Message::Deregistration { handle, pe_id } => self.deregistration(now, client, source, handle, pe_id),
            Message::HandleResolution { handle, .. } if !self.admit(now, client, Request::Resolution) => {
                self.resolution_limited(client, handle);
            }
            Message::HandleResolution { subscribe, handle, items, hint, reports } => {
                self.resolution(now, client, source, Question { subscribe, handle, items, hint, reports });
            }
            Message::EndpointKeepAliveAck { handle, pe_id } => self.keep_alive_ack(now, client, &handle, pe_id),
            Message::EndpointUnreachable { handle, pe_id } => self.unreachable(now, client, &handle, pe_id),
            Message::Error { .. } => self.counters.errors_in += 1,
            Message::RegistrationResponse { .. }
            | Message::DeregistrationResponse { .. }
            | Message::HandleResolutionResponse { .. }
            | Message::EndpointKeepAlive { .. }
            | Message::ServerAnnounce { .. }
            | Message::Cookie { .. }
            | Message::CookieEcho { .. }
            | Message::BusinessCard { .. } => self.counters.unexpected += 1,
        }
    }

    fn undecodable(&mut self, client: ClientId, error: &wire::DecodeError) {
        match error.kind {
            wire::DecodeErrorKind::UnknownParameter(_) | wire::DecodeErrorKind::UnknownMessage(_) => {
                self.counters.unrecognized += 1;
            }
            wire::DecodeErrorKind::Length | wire::DecodeErrorKind::Missing(_) | wire::DecodeErrorKind::Invalid(_) => {
                self.counters.malformed += 1
            }
        }
        if let Some(answer) = error.answer() {
            self.send(client, &answer);
        }
    }

    fn run_timers(&mut self, now: Instant) {
        if self.peers.as_ref().and_then(|peers| peers.next_timeout()).is_some_and(|due| due <= now) {
            self.with_peers(now, |peers, cx| peers.run(cx));
        }
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Expiry(slot) => self.remove(now, slot, RemovalCause::Expired),
                Timer::KeepAlive(slot) => self.keep_alive_due(now, slot),
                Timer::Ack(slot) => self.ack_overdue(now, slot),
                Timer::Grace(slot) => self.grace_over(now, slot),
                Timer::Reach(slot) => self.reach(now, slot),
                Timer::Probe(slot) => self.probe_over(now, slot),
                Timer::Announce => self.announce_due(now),
            }
        }
    }

    fn hint(&mut self, now: Instant, handle: &PoolHandle, pe: PeId, reason: SuspensionReason, on: bool) -> bool {
        let Some(slot) = self.handlespace.find(handle, pe) else { return false };
        if on {
            self.suspend(now, slot, reason);
        } else {
            self.resume(now, slot, reason);
        }
        self.send_updates(now);
        true
    }

    fn suspend(&mut self, now: Instant, slot: Slot, reason: SuspensionReason) {
        if !self.handlespace.suspend(slot, reason) {
            return;
        }
        self.counters.suspensions += 1;
        if let Some(element) = self.handlespace.get(slot) {
            let handle = self.handlespace.handle_of(element).clone();
            self.events.push_back(Event::Suspended { handle: handle.clone(), pe: element.id(), reason });
            self.pool_changed(now, &handle);
        }
    }

    fn resume(&mut self, now: Instant, slot: Slot, reason: SuspensionReason) {
        if !self.handlespace.resume(slot, reason) {
            return;
        }
        if let Some(element) = self.handlespace.get(slot) {
            let handle = self.handlespace.handle_of(element).clone();
            self.events.push_back(Event::Resumed { handle: handle.clone(), pe: element.id() });
            self.pool_changed(now, &handle);
        }
    }

    /// The memory of a client; `None` when there is no room for another.
    fn remember(&mut self, client: ClientId) -> Option<&mut Client> {
        if !self.clients.contains_key(&client) && self.clients.len() >= self.config.clients_max {
            self.counters.clients_refused += 1;
            return None;
        }
        Some(self.clients.entry(client).or_default())
    }

    /// An answer that is longer than a message goes without the details of its error; without the handle, as ASAP_ERROR, if that is
    /// what is too long.
    fn send(&mut self, client: ClientId, message: &Message) {
        let bytes = message.encode().or_else(|_| {
            self.counters.unencodable += 1;
            let unspecified = Message::Error { error: ErrorCause::Unspecified.into() };
            undetailed(message).encode().or_else(|_| unspecified.encode())
        });
        if let Ok(bytes) = bytes {
            self.send_bytes(client, bytes);
        }
    }

    fn send_bytes(&mut self, client: ClientId, bytes: Bytes) {
        self.counters.messages_out += 1;
        self.outputs.push_back(Output::Asap { client, bytes });
    }
}

/// The same refusal without what a cause quotes. What is no refusal cannot be shortened.
fn undetailed(message: &Message) -> Message {
    let mut message = message.clone();
    match &mut message {
        Message::RegistrationResponse { error: Some(error), .. }
        | Message::DeregistrationResponse { error: Some(error), .. }
        | Message::HandleResolutionResponse { error: Some(error), .. }
        | Message::Error { error } => *error = ErrorCause::Unspecified.into(),
        Message::Registration { .. }
        | Message::Deregistration { .. }
        | Message::RegistrationResponse { error: None, .. }
        | Message::DeregistrationResponse { error: None, .. }
        | Message::HandleResolution { .. }
        | Message::HandleResolutionResponse { error: None, .. }
        | Message::EndpointKeepAlive { .. }
        | Message::EndpointKeepAliveAck { .. }
        | Message::EndpointUnreachable { .. }
        | Message::ServerAnnounce { .. }
        | Message::Cookie { .. }
        | Message::CookieEcho { .. }
        | Message::BusinessCard { .. } => {}
    }
    message
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn error(cause: ErrorCause) -> Option<OperationError> {
    Some(OperationError::from(cause))
}
