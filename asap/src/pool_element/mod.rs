//! The pool element's life with its home server (RFC 5352 3.1, 3.2, 3.4, 3.6).
//!
//! ```text
//!            register                 response               T4, set_policy
//! (nothing) ----------> Pending ----> Registering ---------> Registered ----> Registering
//!                       ^  sent when     | R = 1 -> Refused (until `register` again)
//!                       |  there is a    | T2, MAX-REG-ATTEMPT times -> next server
//!                       |  home server   |
//!                       +---- home server lost: all of them, unless another one takes over (H = 1) within `home_wait_ms`
//! any --deregister--> Deregistering --response, or T3 MAX-REG-ATTEMPT times--> (nothing)
//! Registered --unasked DEREGISTRATION_RESPONSE (life ran out)--> Waiting --T2--> Registering
//! Registering --R = 1 for Lack of Resources--> Waiting --`refused_retry_ms`, doubling--> Registering
//! ```

mod answers;
mod counters;
mod entry;

#[cfg(test)]
mod home_tests;
#[cfg(test)]
mod tests;

use crate::config::{PeConfig, ms};
use crate::event::{ConnId, DeregisterCause, PeEvent, Transmit};
use crate::hunt::{Ended, Hunt};
use crate::policy::Rng;
use crate::wire::{Message, PeId, Policy, PoolElement, PoolHandle, ServerId};
pub use counters::PeCounters;
pub use entry::Registration;
use entry::{Entry, State};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Servers that may have an association to us at a time without being our home.
const MAX_ACCEPTED: usize = 8;

/// Why an application call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// `max_handles` are registered already.
    #[error("the pool element has its limit of handles")]
    TooManyHandles,
    /// No registration under this handle.
    #[error("not registered under this handle")]
    UnknownHandle,
    /// The values do not fit the format, one message or `max_handle`.
    #[error("the registration cannot be encoded")]
    NotEncodable,
}

/// One pool element: one PE identifier, registered under one or more handles with one home server.
#[derive(Debug)]
pub struct PeMachine {
    config: PeConfig,
    id: PeId,
    entries: BTreeMap<PoolHandle, Entry>,
    hunt: Hunt,
    /// The home server's identifier, as its keep-alives say.
    server: Option<ServerId>,
    /// Associations that servers opened to us, other than the home server's.
    accepted: Vec<ConnId>,
    stopping: bool,
    /// Somebody else uses our home server too: one is wanted also without registrations.
    shared: bool,
    rng: Rng,
    transmits: VecDeque<Transmit>,
    events: VecDeque<PeEvent>,
    counters: PeCounters,
}

impl PeMachine {
    /// `id` is random and non-zero (RFC 5352 3.1 R2); `seed` gives the jitter of hunt and T4. Nothing is sent before `register`.
    #[must_use]
    pub fn new(config: PeConfig, id: PeId, seed: u64) -> Self {
        Self {
            hunt: Hunt::new(config.hunt.clone(), seed),
            config,
            id,
            entries: BTreeMap::new(),
            server: None,
            accepted: Vec::new(),
            stopping: false,
            shared: false,
            rng: Rng::new(seed.rotate_left(32)),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: PeCounters::default(),
        }
    }

    /// The PE identifier.
    #[must_use]
    pub fn id(&self) -> PeId {
        self.id
    }

    /// Registers, or registers again with other values, under a handle.
    ///
    /// # Errors
    /// [`PeError::TooManyHandles`], [`PeError::NotEncodable`].
    pub fn register(&mut self, now: Instant, registration: Registration) -> Result<(), PeError> {
        if !self.entries.contains_key(&registration.handle) && self.entries.len() >= self.config.max_handles {
            return Err(PeError::TooManyHandles);
        }
        if !self.config.limits.allow(&registration.handle) || self.message(&registration).encode().is_err() {
            return Err(PeError::NotEncodable);
        }
        self.stopping = false;
        let handle = registration.handle.clone();
        match self.entries.get_mut(&handle) {
            Some(entry) => entry.replace(registration),
            None => {
                self.entries.insert(handle.clone(), Entry::new(registration));
            }
        }
        self.go_on(now, &handle);
        Ok(())
    }

    /// Gives the element new policy values (a new load) and registers them at once. While a registration is under way the newest
    /// values follow its answer.
    ///
    /// # Errors
    /// [`PeError::UnknownHandle`], [`PeError::NotEncodable`].
    pub fn set_policy(&mut self, now: Instant, handle: &PoolHandle, policy: Policy) -> Result<(), PeError> {
        let entry = self.entries.get(handle).filter(|entry| !entry.is_leaving()).ok_or(PeError::UnknownHandle)?;
        let mut registration = entry.registration.clone();
        registration.policy = policy;
        self.register(now, registration)
    }

    /// Takes the element out of the pool. `Deregistered` follows, after MAX-REG-ATTEMPT times T3 at the latest; or `Refused`
    /// when the server rejects it (then the registration ends with its life).
    ///
    /// # Errors
    /// [`PeError::UnknownHandle`].
    pub fn deregister(&mut self, now: Instant, handle: &PoolHandle) -> Result<(), PeError> {
        let t3 = self.t3();
        let entry = self.entries.get_mut(handle).ok_or(PeError::UnknownHandle)?;
        if entry.is_leaving() {
            return Ok(());
        }
        if self.hunt.home().is_none() || !entry.sent {
            // No server to tell, or none that knows of it.
            self.remove(handle, DeregisterCause::Requested);
            return Ok(());
        }
        entry.state = State::Deregistering { t3: None, give_up: now + t3 * self.config.max_reg_attempt.max(1) };
        self.go_on(now, handle);
        Ok(())
    }

    /// Deregisters everything and then closes the connection to the home server: a planned end.
    pub fn stop(&mut self, now: Instant) {
        self.stopping = true;
        let handles: Vec<PoolHandle> = self.entries.keys().cloned().collect();
        for handle in handles {
            self.deregister(now, &handle).expect("invariant: the handle was just listed");
        }
        self.close_when_stopped();
    }

    /// True when everything is deregistered and closed after `stop`.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopping && self.entries.is_empty() && self.transmits.is_empty()
    }

    /// True when the handle is registered with the home server (a re-registration may be under way).
    #[must_use]
    pub fn is_registered(&self, handle: &PoolHandle) -> bool {
        self.entries.get(handle).is_some_and(|entry| entry.told && !entry.is_leaving())
    }

    /// The element as it is registered under this handle; `None` when it is not.
    pub(crate) fn element(&self, handle: &PoolHandle) -> Option<PoolElement> {
        self.entries.get(handle).filter(|entry| entry.told).map(|entry| self.as_element(&entry.registration))
    }

    /// The connection to the home server.
    #[must_use]
    pub fn home(&self) -> Option<ConnId> {
        self.hunt.home()
    }

    /// The association of [`Transmit::Connect`] is up.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        if self.hunt.connected(conn, &mut self.transmits) {
            self.server = None;
            // It may know nothing of us.
            self.entries.values_mut().for_each(Entry::forget_server);
            self.found_home(now, conn);
        }
    }

    /// An ASAP_SERVER_ANNOUNCE (RFC 5352 3.6) came over multicast from `source`. What is something else is counted, never answered.
    pub fn handle_announce(&mut self, now: Instant, source: IpAddr, bytes: &[u8]) {
        let message = Message::decode(bytes, &self.config.limits).ok().map(|decoded| decoded.message);
        let announced = message.and_then(|message| self.hunt.announced(now, source, &message, &mut self.transmits));
        match announced {
            Some(announced) => {
                self.counters.servers_announced += announced.new;
                self.counters.announced_refused += announced.refused;
            }
            None => self.counters.malformed += 1,
        }
    }

    /// A home server is wanted even without a registration: a pool user shares it (RFC 5352 3.3 NR3).
    pub(crate) fn seek_home(&mut self, now: Instant) {
        self.shared = true;
        self.hunt.start(now, &mut self.transmits);
    }

    /// The home server did not answer somebody who shares it: on to the next one.
    pub(crate) fn home_failed(&mut self, now: Instant) {
        self.next_server(now);
    }

    /// A server opened an association to us (it takes the element over, RFC 5353 3.5.2). None: refuse it. Where it came from is
    /// nothing the machine needs: its keep-alive says who it is.
    pub fn handle_accepted(&mut self) -> Option<ConnId> {
        if self.accepted.len() >= MAX_ACCEPTED || self.stopping {
            return None;
        }
        let conn = self.hunt.new_conn();
        self.accepted.push(conn);
        Some(conn)
    }

    /// One message with PPID 11 arrived.
    pub fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        if self.hunt.home() != Some(conn) && !self.accepted.contains(&conn) {
            self.counters.unexpected += 1;
            return;
        }
        match Message::decode(bytes, &self.config.limits) {
            Ok(decoded) => {
                if let Some(answer) = decoded.answer() {
                    self.send(conn, &answer);
                }
                self.handle_message(now, conn, decoded.message);
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
        self.accepted.retain(|&other| other != conn);
        if self.hunt.closed(conn, &mut self.transmits) == Ended::Home {
            self.lost_home(now, Duration::from_millis(self.config.home_wait_ms));
        }
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let waited = self.hunt.is_waiting();
        if self.hunt.handle_timeout(now, &mut self.transmits) {
            self.counters.hunts_failed += 1;
        }
        if waited && !self.hunt.is_waiting() {
            // Nobody took over.
            self.entries.values_mut().for_each(Entry::forget_server);
        }
        let due: Vec<PoolHandle> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.deadline().is_some_and(|deadline| deadline <= now))
            .map(|(handle, _)| handle.clone())
            .collect();
        for handle in due {
            self.entry_timeout(now, &handle);
        }
    }

    /// When to call `handle_timeout` at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.entries.values().filter_map(Entry::deadline).chain(self.hunt.deadline()).min()
    }

    /// Next thing to transmit.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Next event.
    pub fn poll_event(&mut self) -> Option<PeEvent> {
        self.events.pop_front()
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &PeCounters {
        &self.counters
    }

    fn entry_timeout(&mut self, now: Instant, handle: &PoolHandle) {
        let Some(entry) = self.entries.get_mut(handle) else {
            return;
        };
        match entry.state {
            State::Registering { attempts, .. } => {
                self.counters.t2_expired += 1;
                if attempts >= self.config.max_reg_attempt {
                    self.next_server(now);
                } else {
                    self.send_registration(now, handle, attempts);
                }
            }
            State::Registered { .. } | State::Waiting { .. } => {
                entry.state = State::Pending;
                self.go_on(now, handle);
            }
            State::Deregistering { give_up, .. } => {
                self.counters.t3_expired += 1;
                if give_up <= now {
                    self.remove(handle, DeregisterCause::Requested);
                } else {
                    self.next_server(now);
                }
            }
            State::Pending | State::Refused => {}
        }
    }

    /// Does the entry's next step, if it is one that needs no waiting.
    fn go_on(&mut self, now: Instant, handle: &PoolHandle) {
        let Some(entry) = self.entries.get_mut(handle) else {
            return;
        };
        match entry.state {
            State::Pending => {
                self.hunt.start(now, &mut self.transmits);
                self.send_registration(now, handle, 0);
            }
            State::Deregistering { t3: None, give_up } => {
                self.hunt.start(now, &mut self.transmits);
                if let Some(conn) = self.hunt.home() {
                    let t3 = ms(self.config.t3_deregistration_ms);
                    entry.state = State::Deregistering { t3: Some((now + t3).min(give_up)), give_up };
                    self.send(conn, &Message::Deregistration { handle: handle.clone(), pe_id: self.id });
                }
            }
            State::Registering { .. }
            | State::Registered { .. }
            | State::Waiting { .. }
            | State::Refused
            | State::Deregistering { t3: Some(_), .. } => {}
        }
    }

    fn send_registration(&mut self, now: Instant, handle: &PoolHandle, attempts: u32) {
        let (Some(conn), t2) = (self.hunt.home(), self.t2()) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(handle) else {
            return;
        };
        entry.state = State::Registering { t2: now + t2, attempts: attempts + 1 };
        entry.sent = true;
        entry.changed = false;
        let registration = entry.registration.clone();
        self.counters.registrations_sent += 1;
        self.send(conn, &self.message(&registration));
    }

    fn message(&self, registration: &Registration) -> Message {
        Message::Registration { handle: registration.handle.clone(), element: self.as_element(registration) }
    }

    fn as_element(&self, registration: &Registration) -> PoolElement {
        PoolElement {
            id: self.id,
            home: self.server.unwrap_or_default(),
            life: registration.life,
            user_transport: registration.user_transport.clone(),
            policy: registration.policy.clone(),
            asap_transport: None,
        }
    }

    fn send(&mut self, conn: ConnId, message: &Message) {
        // What the application gives is checked in `register`; the rest is small, or taken from a message of the same size.
        if let Ok(bytes) = message.encode() {
            self.transmits.push_back(Transmit::Send { conn, bytes });
        }
    }

    fn found_home(&mut self, now: Instant, conn: ConnId) {
        self.events.push_back(PeEvent::HomeServer { conn, server: self.server });
        let handles: Vec<PoolHandle> = self.entries.keys().cloned().collect();
        for handle in handles {
            // After a takeover the new home has what is registered; what was asked of the old home is asked again.
            if let Some(entry) = self.entries.get_mut(&handle) {
                entry.ask_again();
            }
            self.go_on(now, &handle);
        }
    }

    /// The home server does not answer: on to the next one.
    fn next_server(&mut self, now: Instant) {
        if self.hunt.home().is_some() {
            self.hunt.drop_home(&mut self.transmits);
            self.lost_home(now, Duration::ZERO);
        }
    }

    /// `wait`: for a server that takes over, which has what is registered; without one all is registered anew elsewhere.
    fn lost_home(&mut self, now: Instant, wait: Duration) {
        self.server = None;
        self.counters.servers_lost += 1;
        self.events.push_back(PeEvent::ServerLost);
        self.entries.values_mut().for_each(if wait.is_zero() { Entry::forget_server } else { Entry::ask_again });
        if self.shared || !self.entries.is_empty() {
            self.hunt.start_after(now, wait, &mut self.transmits);
        }
    }

    /// T4 of an entry that was granted now.
    fn t4(&mut self, handle: &PoolHandle) -> Duration {
        let t4 = self.entries.get(handle).map_or(Duration::ZERO, |entry| entry.t4(self.config.t4_reregistration_ms));
        let spread = t4.as_micros() * u128::from(self.config.t4_spread_percent.min(100)) / 100;
        t4 - Duration::from_micros(self.rng.below(u64::try_from(spread).unwrap_or(u64::MAX)))
    }

    fn remove(&mut self, handle: &PoolHandle, cause: DeregisterCause) {
        self.entries.remove(handle);
        self.events.push_back(PeEvent::Deregistered { handle: handle.clone(), cause });
        self.close_when_stopped();
    }

    fn close_when_stopped(&mut self) {
        if self.stopping && self.entries.is_empty() {
            self.hunt.stop(&mut self.transmits);
            self.hunt.drop_home(&mut self.transmits);
            self.transmits.extend(self.accepted.drain(..).map(|conn| Transmit::Close { conn }));
        }
    }

    fn t2(&self) -> Duration {
        ms(self.config.t2_registration_ms)
    }

    fn t3(&self) -> Duration {
        ms(self.config.t3_deregistration_ms)
    }
}
