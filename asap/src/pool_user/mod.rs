//! The pool user (RFC 5352 3.3, 3.5, 3.6, 3.8): resolution with cache, queueing until the answer, selection, stickiness, reports.
//!
//! Three ways to its name server: over associations it asks for (`PuMachine::new`); a server embedded in the same process
//! (`PuMachine::embedded`): then [`crate::Transmit::Send`] on [`ConnId::EMBEDDED`] goes to the server machine directly, and the
//! server's answers come to `handle_received` with the same id; or the association of a pool element in the same node
//! ([`crate::Combination`]).
//!
//! A handle stays in the cache, with its subscription, until `forget`. After a negative answer it is asked for again, at first
//! every `retry_unknown_ms`, slower while nobody uses it.

mod answers;
mod counters;
mod due;
mod entry;
mod home;
mod pool;
mod session;

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod tests;

use crate::config::{PuConfig, ms};
use crate::event::{ConnId, PuEvent, Transmit};
use crate::hunt::Hunt;
use crate::policy::Rng;
use crate::wire::{ElementReport, HINT_BYTES_MAX, Message, PeId, PoolElement, PoolHandle};
use bytes::Bytes;
pub use counters::PuCounters;
use due::Due;
use entry::{Entry, Request};
use home::Home;
pub(crate) use home::Wish;
pub use pool::Pool;
pub use session::{Selection, Session};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

/// One pool user. `T` is what it queues until a handle is resolved.
#[derive(Debug)]
pub struct PuMachine<T = u64> {
    config: PuConfig,
    home: Home,
    entries: BTreeMap<PoolHandle, Entry<T>>,
    /// `Entry::deadline` of each.
    due: Due,
    rng: Rng,
    transmits: VecDeque<Transmit>,
    events: VecDeque<PuEvent>,
    counters: PuCounters,
}

impl<T> PuMachine<T> {
    /// A pool user that reaches its server over associations it asks for; it hunts at its first need.
    #[must_use]
    pub fn new(config: PuConfig, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            home: Home::Hunted(Box::new(Hunt::new(config.hunt.clone(), rng.next_u64()))),
            config,
            entries: BTreeMap::new(),
            due: Due::default(),
            rng,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: PuCounters::default(),
        }
    }

    /// A pool user with the server in the same process, on [`ConnId::EMBEDDED`].
    #[must_use]
    pub fn embedded(config: PuConfig, seed: u64) -> Self {
        Self { home: Home::Embedded, ..Self::new(config, seed) }
    }

    /// A pool user that uses the home server of the pool element beside it.
    pub(crate) fn sharing(config: PuConfig, seed: u64) -> Self {
        Self { home: Home::Shared { conn: None, wish: None }, ..Self::new(config, seed) }
    }

    /// Asks for a handle unless the cache has it fresh. True: the cache has it (perhaps stale, and being renewed). False: being
    /// asked for, or refused by `max_pools` (counted).
    pub fn resolve(&mut self, now: Instant, handle: &PoolHandle) -> bool {
        self.touch(now, handle) && self.pool(handle).is_some()
    }

    /// Sends a hint for the server's selection plug-in with each resolution of the handle from now on; none: no more. What the cache
    /// has was selected for the old hint: it is asked for anew. False: longer than 255 bytes, or refused by `max_pools` (counted).
    pub fn set_hint(&mut self, now: Instant, handle: &PoolHandle, hint: Option<Bytes>) -> bool {
        if hint.as_ref().is_some_and(|hint| hint.len() > HINT_BYTES_MAX) || !self.enter(now, handle) {
            return false;
        }
        let Some(entry) = self.entries.get_mut(handle).filter(|entry| entry.hint != hint) else {
            return true;
        };
        entry.hint = hint;
        if entry.pool.is_some() || matches!(entry.request, Request::Sent { .. }) {
            self.ask(now, handle, 0);
        }
        true
    }

    /// What the application measured at an element: its load (0xffffffff is 100 %), and the round trip. The next resolution of the
    /// handle takes it along (Element Report), for the 64 elements measured last. False: the handle is not in the cache.
    pub fn measured(&mut self, handle: &PoolHandle, measure: ElementReport) -> bool {
        self.entries.get_mut(handle).map(|entry| entry.keep_measure(measure)).is_some()
    }

    /// Queues an item until the handle is resolved (RFC 5352 6.5.1: hold the message), and asks for it.
    ///
    /// # Errors
    /// The item comes back when the queue is full, or the handle one too many; counted.
    pub fn queue(&mut self, now: Instant, handle: &PoolHandle, item: T) -> Result<(), T> {
        if !self.touch(now, handle) {
            return Err(item);
        }
        match self.entries.get_mut(handle).filter(|entry| entry.queue.len() < self.config.max_queue) {
            Some(entry) => {
                entry.queue.push_back(item);
                Ok(())
            }
            None => {
                self.counters.queue_refused += 1;
                Err(item)
            }
        }
    }

    /// Takes the next queued item of a handle, in order.
    pub fn take_queued(&mut self, handle: &PoolHandle) -> Option<T> {
        self.entries.get_mut(handle)?.queue.pop_front()
    }

    /// Items queued for a handle.
    #[must_use]
    pub fn queued(&self, handle: &PoolHandle) -> usize {
        self.entries.get(handle).map_or(0, |entry| entry.queue.len())
    }

    /// Selects an element by the pool's policy among those for which `usable` holds: the state of associations, nothing of
    /// their paths (P3). Asks for the handle when it is not in the cache.
    pub fn select(&mut self, now: Instant, handle: &PoolHandle, usable: impl FnMut(&PoolElement) -> bool) -> Selection {
        self.select_sticky(now, handle, &mut Session::default(), usable)
    }

    /// As `select`, but stays with the session's element while it is in the pool and usable; else moves the session to another,
    /// first by the failover order of its business card.
    pub fn select_sticky(
        &mut self,
        now: Instant,
        handle: &PoolHandle,
        session: &mut Session,
        mut usable: impl FnMut(&PoolElement) -> bool,
    ) -> Selection {
        if !self.touch(now, handle) {
            return Selection::TooManyPools;
        }
        let Some(entry) = self.entries.get_mut(handle) else {
            return Selection::TooManyPools;
        };
        let Some(pool) = &mut entry.pool else {
            let refused = matches!(entry.request, Request::Again { .. });
            return if refused { Selection::NoneUsable } else { Selection::Resolving };
        };
        let mut is_usable = |id: &PeId| pool.element(*id).is_some_and(&mut usable);
        if let Some(pe) = session.pe.filter(&mut is_usable) {
            return Selection::Element { pe, changed: false, cookie_echo: None };
        }
        let preferred = session.preferred.iter().copied().find(is_usable);
        let Some(pe) = preferred.or_else(|| pool.select(usable)) else {
            return Selection::NoneUsable;
        };
        session.pe = Some(pe);
        let cookie_echo = session.cookie.clone().and_then(|cookie| Message::CookieEcho { cookie }.encode().ok());
        Selection::Element { pe, changed: true, cookie_echo }
    }

    /// The element that the session is with, if it may be connected to again after its association ended: its server still lists
    /// it, so it lives for all that is known, and its failure was not reported. Whoever has its work with one element goes back to
    /// it while it lives (RFC 3237 2.10); only else `select_sticky` moves the session.
    #[must_use]
    pub fn reconnect(&self, handle: &PoolHandle, session: &Session) -> Option<&PoolElement> {
        let (entry, pe) = (self.entries.get(handle)?, session.pe?);
        if entry.reported.contains_key(&pe) { None } else { entry.pool.as_ref()?.element(pe) }
    }

    /// The session's peer sent ASAP_BUSINESS_CARD: its failover order is kept (RFC 5352 3.9 BC2), and the pool it names is asked for
    /// unless it is in the cache (BC1). False: one handle too many, counted; the order is kept all the same.
    pub fn business_card(
        &mut self,
        now: Instant,
        session: &mut Session,
        handle: &PoolHandle,
        elements: &[PoolElement],
    ) -> bool {
        session.keep_business_card(elements);
        self.touch(now, handle)
    }

    /// The cached pool.
    #[must_use]
    pub fn pool(&self, handle: &PoolHandle) -> Option<&Pool> {
        self.entries.get(handle)?.pool.as_ref()
    }

    /// The handles in the cache or being asked for.
    pub fn handles(&self) -> impl Iterator<Item = &PoolHandle> {
        self.entries.keys()
    }

    /// Drops the handle: its cache entry and its queue (items are returned). The server is not told: there is no message for
    /// it; its updates are ignored until its association ends.
    pub fn forget(&mut self, handle: &PoolHandle) -> Vec<T> {
        self.due.set(handle, None);
        self.entries.remove(handle).map(|entry| entry.queue.into()).unwrap_or_default()
    }

    /// Reports an element unreachable to the server, at most once per event (RFC 5352 3.5): again only after `reachable`, or after
    /// the element left the pool and came back. True: sent, or kept for the next server. Call it only after something was sent to
    /// the element (RFC 5352 3.5: otherwise it MUST NOT be reported).
    pub fn report_unreachable(&mut self, _now: Instant, handle: &PoolHandle, pe: PeId) -> bool {
        let Some(entry) = self.entries.get_mut(handle) else {
            return false;
        };
        if entry.pool.as_ref().is_none_or(|pool| pool.element(pe).is_none()) {
            return false;
        }
        if entry.reported.contains_key(&pe) {
            self.counters.reports_suppressed += 1;
            return false;
        }
        let home = self.home.conn();
        entry.reported.insert(pe, home.is_some());
        if let Some(conn) = home {
            self.send_report(conn, handle.clone(), pe);
        }
        true
    }

    /// The element serves again: its next failure is a new event.
    pub fn reachable(&mut self, handle: &PoolHandle, pe: PeId) {
        if let Some(entry) = self.entries.get_mut(handle) {
            entry.reported.remove(&pe);
        }
    }

    /// The connection to the name server.
    #[must_use]
    pub fn home(&self) -> Option<ConnId> {
        self.home.conn()
    }

    /// The association of [`Transmit::Connect`] is up.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        if self.home.connected(conn, &mut self.transmits) {
            self.found_home(now, conn);
        }
    }

    fn found_home(&mut self, now: Instant, conn: ConnId) {
        self.events.push_back(PuEvent::ServerFound { conn });
        let wanted = self.entries.iter().filter(|(_, entry)| entry.request == Request::Wanted);
        let handles: Vec<PoolHandle> = wanted.map(|(handle, _)| handle.clone()).collect();
        for handle in handles {
            self.ask(now, &handle, 0);
        }
        self.send_reports(conn);
    }

    /// One message with PPID 11 arrived from a server.
    pub fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        if self.home() != Some(conn) {
            self.counters.unexpected += 1;
            return;
        }
        match Message::decode(bytes, &self.config.limits) {
            Ok(decoded) => {
                if let Some(answer) = decoded.answer() {
                    self.send(conn, &answer);
                }
                self.handle_message(now, decoded.message);
            }
            Err(error) => {
                self.counters.malformed += 1;
                if let Some(answer) = error.answer() {
                    self.send(conn, &answer);
                }
            }
        }
    }

    /// The association ended or could not be opened.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        if self.home.closed(conn, &mut self.transmits) {
            self.lost_home(now);
        }
    }

    /// An ASAP_SERVER_ANNOUNCE (RFC 5352 3.6) came over multicast from `source`. What is something else is counted, never answered.
    pub fn handle_announce(&mut self, now: Instant, source: IpAddr, bytes: &[u8]) {
        let message = Message::decode(bytes, &self.config.limits).ok().map(|decoded| decoded.message);
        let announced = message.and_then(|message| self.home.announced(now, source, &message, &mut self.transmits));
        match announced {
            Some(announced) => {
                self.counters.servers_announced += announced.new;
                self.counters.announced_refused += announced.refused;
            }
            None => self.counters.malformed += 1,
        }
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.home.handle_timeout(now, &mut self.transmits) {
            self.counters.hunts_failed += 1;
        }
        for handle in self.due.over(now) {
            self.entry_timeout(now, &handle);
        }
    }

    /// When to call `handle_timeout` at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().into_iter().chain(self.home.deadline()).min()
    }

    /// Next thing to transmit.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Next event.
    pub fn poll_event(&mut self) -> Option<PuEvent> {
        self.events.pop_front()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &PuCounters {
        &self.counters
    }

    /// Makes sure the handle has an entry, and that it is asked for when it must be. False: one handle too many, or too long.
    fn touch(&mut self, now: Instant, handle: &PoolHandle) -> bool {
        if !self.enter(now, handle) {
            return false;
        }
        let Some(entry) = self.entries.get_mut(handle) else {
            return false;
        };
        if entry.pool.is_some() {
            self.counters.cache_hits += 1;
        } else {
            self.counters.cache_misses += 1;
        }
        if entry.touch(now, &self.config) {
            self.ask(now, handle, 0);
        } else if let Some(sooner) = entry.deadline() {
            self.due.set(handle, Some(sooner));
        }
        true
    }

    /// Makes sure the handle has an entry. False: one handle too many, or too long.
    fn enter(&mut self, now: Instant, handle: &PoolHandle) -> bool {
        if !self.entries.contains_key(handle) {
            if self.entries.len() >= self.config.max_pools || !self.config.limits.allow(handle) {
                self.counters.pools_refused += 1;
                return false;
            }
            self.entries.insert(handle.clone(), Entry::new(now, &self.config));
        }
        true
    }

    /// NR1 to NR4: sends the request, or has it sent when a server is found.
    fn ask(&mut self, now: Instant, handle: &PoolHandle, attempts: u32) {
        let home = self.home();
        let Some(entry) = self.entries.get_mut(handle) else {
            return;
        };
        let Some(conn) = home else {
            entry.request = Request::Wanted;
            self.due.set(handle, None);
            self.home.seek(now, &mut self.transmits);
            return;
        };
        let t1 = now + ms(self.config.t1_enrp_request_ms);
        entry.request = Request::Sent { t1, attempts: attempts + 1 };
        self.due.set(handle, Some(t1));
        let (subscribe, items) = (self.config.subscribe, self.config.items);
        let (hint, reports) = entry.take_along();
        self.counters.requests_sent += 1;
        self.send(conn, &Message::HandleResolution { subscribe, handle: handle.clone(), items, hint, reports });
    }

    fn entry_timeout(&mut self, now: Instant, handle: &PoolHandle) {
        let Some(entry) = self.entries.get_mut(handle) else {
            return;
        };
        if entry.deadline().is_none_or(|deadline| deadline > now) {
            // What was due before it lost the server, so that this waits for the next one.
            return;
        }
        match entry.request {
            Request::Sent { attempts, .. } => {
                self.counters.t1_expired += 1;
                if attempts < self.config.max_request_retransmit {
                    self.ask(now, handle, attempts);
                    return;
                }
                self.events.push_back(PuEvent::NoAnswer { handle: handle.clone() });
                entry.ask_later(now, &self.config);
                self.due.set(handle, entry.deadline());
                if self.home.leave(&mut self.transmits) {
                    self.lost_home(now);
                }
            }
            Request::Again { .. } => self.ask(now, handle, 0),
            Request::None | Request::Wanted => {}
        }
    }

    fn lost_home(&mut self, now: Instant) {
        self.counters.servers_lost += 1;
        self.events.push_back(PuEvent::ServerLost);
        for (handle, entry) in &mut self.entries {
            entry.forget_server();
            self.due.set(handle, entry.deadline());
        }
        if !self.entries.is_empty() {
            self.home.seek(now, &mut self.transmits);
        }
    }

    /// Sends the reports that waited for a server.
    fn send_reports(&mut self, conn: ConnId) {
        let mut waiting = Vec::new();
        for (handle, entry) in &mut self.entries {
            for (&pe, sent) in entry.reported.iter_mut().filter(|(_, sent)| !**sent) {
                *sent = true;
                waiting.push((handle.clone(), pe));
            }
        }
        for (handle, pe) in waiting {
            self.send_report(conn, handle, pe);
        }
    }

    fn send_report(&mut self, conn: ConnId, handle: PoolHandle, pe_id: PeId) {
        self.counters.reports_sent += 1;
        self.send(conn, &Message::EndpointUnreachable { handle, pe_id });
    }

    fn send(&mut self, conn: ConnId, message: &Message) {
        // What the application gives is checked in `touch`; the rest is small, or taken from a message of the same size.
        if let Ok(bytes) = message.encode() {
            self.transmits.push_back(Transmit::Send { conn, bytes });
        }
    }
}
