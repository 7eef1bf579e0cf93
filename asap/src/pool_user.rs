//! The pool user (RFC 5352 3.3, 3.5, 3.6, 3.8): resolution with cache, queueing until the answer, selection, stickiness, reports.
//!
//! Two ways to its name server: over associations it asks for (`PuMachine::new`), or a server embedded in the same process
//! (`PuMachine::embedded`): then [`crate::Transmit::Send`] on [`ConnId::EMBEDDED`] goes to the server machine directly, and the
//! server's answers come to `handle_received` with the same id.

use crate::config::PuConfig;
use crate::event::{ConnId, PuEvent, Transmit};
use crate::wire::{PeId, Policy, PoolElement, PoolHandle};
use bytes::Bytes;
use std::time::Instant;

/// One user's relation with a pool, kept by the caller (for example per circuit group): which element it is with, and the last
/// cookie that element gave it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// The element in use; `select_sticky` stays with it while it is usable (P4).
    pub pe: Option<PeId>,
    /// Last COOKIE from the element (RFC 5352 3.8); goes as COOKIE_ECHO to the next one.
    pub cookie: Option<Bytes>,
}

impl Session {
    /// Keeps the Cookie parameter's value of an ASAP_COOKIE; the newest counts.
    pub fn keep_cookie(&mut self, cookie: Bytes) {
        self.cookie = Some(cookie);
    }
}

/// Outcome of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Use this element.
    Element {
        /// Which.
        pe: PeId,
        /// It is another one than the session was with.
        changed: bool,
        /// An encoded ASAP_COOKIE_ECHO to send first on the new element's control channel, when the session has a cookie
        /// and the element changed.
        cookie_echo: Option<Bytes>,
    },
    /// The pool is known, but has no usable element now.
    NoneUsable,
    /// Not in the cache: it is being asked for; `Resolved` or `UnknownHandle` follows.
    Resolving,
    /// `max_pools` handles are in use; counted.
    TooManyPools,
}

/// A pool in the cache.
#[derive(Debug, Clone)]
pub struct Pool {
    policy: Policy,
    elements: Vec<PoolElement>,
}

impl Pool {
    /// The pool's policy as answered (round robin when the answer had none).
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its elements, ordered as the server listed them.
    #[must_use]
    pub fn elements(&self) -> &[PoolElement] {
        &self.elements
    }

    /// The element with this identifier.
    #[must_use]
    pub fn element(&self, id: PeId) -> Option<&PoolElement> {
        self.elements.iter().find(|element| element.id == id)
    }
}

/// Counters, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PuCounters {
    /// HANDLE_RESOLUTION sent, with repetitions.
    pub requests_sent: u64,
    /// Selections and resolutions served from the cache.
    pub cache_hits: u64,
    /// Selections and resolutions that had to ask.
    pub cache_misses: u64,
    /// Answers and updates taken.
    pub answers: u64,
    /// Negative answers.
    pub negative_answers: u64,
    /// T1 ran out.
    pub t1_expired: u64,
    /// Items refused because the queue was full.
    pub queue_refused: u64,
    /// Handles refused because of `max_pools`.
    pub pools_refused: u64,
    /// ENDPOINT_UNREACHABLE sent.
    pub reports_sent: u64,
    /// Reports not sent because this event was reported already.
    pub reports_suppressed: u64,
    /// Name servers lost.
    pub servers_lost: u64,
    /// Server hunts that ended with T5.
    pub hunts_failed: u64,
    /// Messages that did not decode.
    pub malformed: u64,
    /// Messages a pool user does not expect, or from a server that is not its own.
    pub unexpected: u64,
}

/// One pool user. `T` is what it queues until a handle is resolved.
#[derive(Debug)]
pub struct PuMachine<T = u64> {
    _queue: Vec<T>,
}

impl<T> PuMachine<T> {
    /// A pool user that reaches its server over associations it asks for; it hunts at its first need.
    #[must_use]
    pub fn new(_config: PuConfig, _seed: u64) -> Self {
        todo!()
    }

    /// A pool user with the server in the same process, on [`ConnId::EMBEDDED`].
    #[must_use]
    pub fn embedded(_config: PuConfig, _seed: u64) -> Self {
        todo!()
    }

    /// Asks for a handle unless the cache has it fresh. True: the cache has it (perhaps stale, and being renewed). False: being
    /// asked for, or refused by `max_pools` (counted).
    pub fn resolve(&mut self, _now: Instant, _handle: &PoolHandle) -> bool {
        todo!()
    }

    /// Queues an item until the handle is resolved (RFC 5352 6.5.1: hold the message), and asks for it.
    ///
    /// # Errors
    /// The item comes back when the queue is full; counted.
    pub fn queue(&mut self, _now: Instant, _handle: &PoolHandle, _item: T) -> Result<(), T> {
        todo!()
    }

    /// Takes the next queued item of a handle, in order.
    pub fn take_queued(&mut self, _handle: &PoolHandle) -> Option<T> {
        todo!()
    }

    /// Items queued for a handle.
    #[must_use]
    pub fn queued(&self, _handle: &PoolHandle) -> usize {
        todo!()
    }

    /// Selects an element by the pool's policy among those for which `usable` holds: the state of associations, nothing of
    /// their paths (P3). Asks for the handle when it is not in the cache.
    pub fn select(
        &mut self,
        _now: Instant,
        _handle: &PoolHandle,
        _usable: impl FnMut(&PoolElement) -> bool,
    ) -> Selection {
        todo!()
    }

    /// As `select`, but stays with the session's element while it is usable; else moves the session to another.
    pub fn select_sticky(
        &mut self,
        _now: Instant,
        _handle: &PoolHandle,
        _session: &mut Session,
        _usable: impl FnMut(&PoolElement) -> bool,
    ) -> Selection {
        todo!()
    }

    /// The cached pool.
    #[must_use]
    pub fn pool(&self, _handle: &PoolHandle) -> Option<&Pool> {
        todo!()
    }

    /// The handles in the cache or being asked for.
    pub fn handles(&self) -> impl Iterator<Item = &PoolHandle> {
        std::iter::empty()
    }

    /// Drops the handle: its cache entry and its queue (items are returned).
    pub fn forget(&mut self, _handle: &PoolHandle) -> Vec<T> {
        todo!()
    }

    /// Reports an element unreachable to the server, at most once per event (RFC 5352 3.5): again only after `reachable`, or after
    /// the element left the pool and came back. True: a report was sent. Call it only after something was sent to the element.
    pub fn report_unreachable(&mut self, _now: Instant, _handle: &PoolHandle, _pe: PeId) -> bool {
        todo!()
    }

    /// The element serves again: its next failure is a new event.
    pub fn reachable(&mut self, _handle: &PoolHandle, _pe: PeId) {
        todo!()
    }

    /// The association of [`Transmit::Connect`] is up.
    pub fn handle_connected(&mut self, _now: Instant, _conn: ConnId) {
        todo!()
    }

    /// One message with PPID 11 arrived from a server.
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
    pub fn poll_event(&mut self) -> Option<PuEvent> {
        todo!()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &PuCounters {
        todo!()
    }
}
