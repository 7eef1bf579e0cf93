//! The pool element's life with its home server (RFC 5352 3.1, 3.2, 3.4, 3.6).

use crate::config::{PeConfig, ServerAddress};
use crate::event::{ConnId, PeEvent, Transmit};
use crate::wire::{PeId, Policy, PoolHandle, RegistrationLife, Transport};
use std::time::Instant;

/// What to register under one handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Pool handle.
    pub handle: PoolHandle,
    /// Registration life asked for.
    pub life: RegistrationLife,
    /// Where pool users reach the element.
    pub user_transport: Transport,
    /// Policy values of the element (weight, load); the pool's policy is set by its first element.
    pub policy: Policy,
}

/// Why an application call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// `max_handles` are registered already.
    #[error("the pool element has its limit of handles")]
    TooManyHandles,
    /// No registration under this handle.
    #[error("not registered under this handle")]
    UnknownHandle,
    /// The values do not fit into one message.
    #[error("the registration does not fit into one message")]
    TooLong,
}

/// Counters, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeCounters {
    /// Registrations sent, with repetitions.
    pub registrations_sent: u64,
    /// Registrations granted.
    pub registrations_granted: u64,
    /// Registrations rejected by a server.
    pub registrations_refused: u64,
    /// T2 ran out.
    pub t2_expired: u64,
    /// Keep-alives answered.
    pub keep_alives: u64,
    /// Keep-alives for a handle that is not ours, silently discarded (RFC 5352 3.4).
    pub keep_alives_wrong_handle: u64,
    /// Home servers lost.
    pub servers_lost: u64,
    /// Server hunts that ended with T5.
    pub hunts_failed: u64,
    /// Messages that did not decode.
    pub malformed: u64,
    /// Messages a pool element does not expect, or from a server that is not its home.
    pub unexpected: u64,
}

/// One pool element: one PE identifier, registered under one or more handles with one home server.
#[derive(Debug)]
pub struct PeMachine {
    id: PeId,
}

impl PeMachine {
    /// `id` is random and non-zero (RFC 5352 3.1 R2); `seed` gives the jitter of the hunt. Nothing is sent before `register`.
    #[must_use]
    pub fn new(_config: PeConfig, id: PeId, _seed: u64) -> Self {
        Self { id }
    }

    /// The PE identifier.
    #[must_use]
    pub fn id(&self) -> PeId {
        self.id
    }

    /// Registers, or registers again with other values, under a handle.
    ///
    /// # Errors
    /// [`PeError::TooManyHandles`], [`PeError::TooLong`].
    pub fn register(&mut self, _now: Instant, _registration: Registration) -> Result<(), PeError> {
        todo!()
    }

    /// Gives the element new policy values (a new load) and registers them at once.
    ///
    /// # Errors
    /// [`PeError::UnknownHandle`].
    pub fn set_policy(
        &mut self,
        _now: Instant,
        _handle: &PoolHandle,
        _policy: Policy,
    ) -> Result<(), PeError> {
        todo!()
    }

    /// Takes the element out of the pool; `Deregistered` follows, after T3 at the latest.
    ///
    /// # Errors
    /// [`PeError::UnknownHandle`].
    pub fn deregister(&mut self, _now: Instant, _handle: &PoolHandle) -> Result<(), PeError> {
        todo!()
    }

    /// Deregisters everything and then closes the connection to the home server: a planned end.
    pub fn stop(&mut self, _now: Instant) {
        todo!()
    }

    /// True when everything is deregistered and closed after `stop`.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        todo!()
    }

    /// True when the handle is registered with the home server.
    #[must_use]
    pub fn is_registered(&self, _handle: &PoolHandle) -> bool {
        todo!()
    }

    /// The association of [`Transmit::Connect`] is up.
    pub fn handle_connected(&mut self, _now: Instant, _conn: ConnId) {
        todo!()
    }

    /// A server opened an association to us (it takes the element over, RFC 5353 3.5.2). None: refuse it.
    pub fn handle_accepted(&mut self, _now: Instant, _from: ServerAddress) -> Option<ConnId> {
        todo!()
    }

    /// One message with PPID 11 arrived.
    pub fn handle_received(&mut self, _now: Instant, _conn: ConnId, _bytes: &[u8]) {
        todo!()
    }

    /// The association ended or could not be opened.
    pub fn handle_closed(&mut self, _now: Instant, _conn: ConnId) {
        todo!()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    /// When to call `handle_timeout` at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Next thing to transmit.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        todo!()
    }

    /// Next event.
    pub fn poll_event(&mut self) -> Option<PeEvent> {
        todo!()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &PeCounters {
        todo!()
    }
}
