//! The ENRP server toward its ASAP clients (RFC 5352), as a pure machine. It knows clients, not transports.
//!
//! After each `handle_*` or application call, drain [`Server::poll_output`] and [`Server::poll_event`] until `None`, then
//! sleep until [`Server::poll_timeout`]. `now` never goes backwards.

mod config;
mod counters;
mod event;

use crate::handlespace::Handlespace;
use asap::wire::{PeId, PoolHandle, ServerId};
use bytes::Bytes;
pub use config::ServerConfig;
pub use counters::Counters;
pub use event::{Event, RemovalCause, SuspensionReason};
use std::net::SocketAddr;
use std::time::Instant;

/// Names a client: one association, or one embedded user. Given by the caller, never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The program the server lives in, as pool user (`asap::PuMachine::embedded`): its answers hold the whole pool.
    pub const LOCAL: ClientId = ClientId(u64::MAX);
}

/// The name server.
#[derive(Debug)]
pub struct Server {
    id: ServerId,
    handlespace: Handlespace,
    counters: Counters,
}

impl Server {
    /// A server with an empty handlespace. `id` is random and not 0, and stays the same until the process ends (RFC 5353
    /// section 2.1); `seed` feeds the spreading of keep-alives and the random policies.
    #[must_use]
    pub fn new(_config: ServerConfig, _id: ServerId, _seed: u64) -> Self {
        todo!()
    }

    /// The server's identifier: the home server identifier of the PEs it owns.
    #[must_use]
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Takes one ASAP message (PPID 11). `source` is where the client is: each of its IP addresses, with its SCTP port; it
    /// becomes the PE's ASAP transport.
    pub fn handle_message(&mut self, _now: Instant, _client: ClientId, _source: &[SocketAddr], _message: &[u8]) {
        todo!()
    }

    /// The client's association ended. `certain`: its process certainly no longer acts
    /// (`sctp::CloseReason::is_certain`). Its subscriptions end; its PEs are removed or suspended.
    pub fn client_lost(&mut self, _now: Instant, _client: ClientId, _certain: bool) {
        todo!()
    }

    /// An output could not be sent to the client although its association is up (SEND.FAILURE): its PEs are removed, RFC
    /// 5352 section 3.5.
    pub fn send_failed(&mut self, _now: Instant, _client: ClientId) {
        todo!()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    /// The next message to send: PPID 11, ordered, stream 0.
    pub fn poll_output(&mut self) -> Option<(ClientId, Bytes)> {
        todo!()
    }

    /// The next change of the handlespace.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// When to call [`Server::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Selects up to `items` different PEs by the pool's policy, best first, and advances the policy: a resolution without
    /// messages. `None`: no such pool. Empty: no PE of it may be selected now.
    pub fn resolve(&mut self, _handle: &PoolHandle, _items: usize) -> Option<Vec<PeId>> {
        todo!()
    }

    /// A local hint: whether the embedding gateway can use this PE (its ASP is active and reachable). An unusable PE stays
    /// registered and supervised, but no resolution yields it. False: no such PE. A PE starts usable, and stays what it is
    /// over re-registrations.
    pub fn set_usable(&mut self, _now: Instant, _handle: &PoolHandle, _pe: PeId, _usable: bool) -> bool {
        todo!()
    }

    /// Takes a PE out of service for planned work, or back in: as [`Server::set_usable`], but named draining in the state.
    pub fn set_draining(&mut self, _now: Instant, _handle: &PoolHandle, _pe: PeId, _draining: bool) -> bool {
        todo!()
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
}
