//! All associations of one node.
//!
//! `inbound` finds the association of a packet, `listener` answers INIT and COOKIE ECHO, `ootb` what belongs to none.

mod inbound;
mod listener;
mod ootb;
mod path_info;
mod table;
mod types;

use crate::assoc::{Assoc, Ctx, State, local_for};
use crate::cookie::{CookieJar, PATHS_MAX};
use crate::path::Path;
use crate::queue::Message;
use crate::rng::Rng;
use crate::{CloseReason, Config, Counters, Event};
use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use siphasher::sip::SipHasher13;
use slab::Slab;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub use path_info::{AssociationView, PathInfo, PathStats, PathView, association_views};
pub use types::{AssocId, AssocState, Connect, Datagram, Info, SendError, SendOptions, TooBig, Transmit, Unreachable};

/// Associations that serve the same thing: those that came to a port of ours, those that we opened to a port. Port 0: to any that no
/// service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Crowd {
    Came(u16),
    Opened(u16),
}

/// How many associations each has.
pub(crate) type Crowds = FxHashMap<Crowd, usize>;

/// Our SCTP port, the peer's address, its SCTP port.
type AddressKey = (u16, SocketAddr, u16);

/// Peers choose addresses and ports, so they are hashed under a secret key.
#[derive(Debug, Clone)]
struct Keyed([u8; 16]);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

/// All associations of one node. See the crate for the rule of use.
#[derive(Debug)]
pub struct Stack {
    config: Config,
    local: Vec<IpAddr>,
    start: Instant,
    rng: Rng,
    jar: CookieJar,
    counters: Counters,
    listening: FxHashSet<u16>,
    assocs: Slab<Assoc>,
    next_id: u64,
    by_id: FxHashMap<AssocId, usize>,
    /// Our tags are random, so nobody can make them collide.
    by_tag: FxHashMap<u32, usize>,
    by_address: HashMap<AddressKey, usize, Keyed>,
    crowds: Crowds,
    /// Received chunks of all associations that wait for others.
    waiting: usize,
    ended_tags: VecDeque<u32>,
    events: VecDeque<Event>,
    out: VecDeque<Transmit>,
    dirty: VecDeque<usize>,
    /// One entry an association: when to look at it at the latest, which may be before anything is due.
    timers: BTreeSet<(Instant, usize)>,
    ootb: ootb::Limit,
}

impl Stack {
    /// Makes a stack with our own addresses. `seed` feeds every random choice (tags, TSNs, cookie keys): take it from the
    /// operating system in production.
    #[must_use]
    pub fn new(config: Config, local: Vec<IpAddr>, seed: [u8; 32], now: Instant) -> Self {
        let config = config.sane();
        let mut rng = Rng::new(&seed);
        let jar = CookieJar::new(rng.key(), config.cookie_key_ms);
        let by_address = HashMap::with_hasher(Keyed(rng.key()));
        Self {
            ootb: ootb::Limit::new(config.out_of_the_blue_per_s, now),
            config,
            local,
            start: now,
            rng,
            jar,
            counters: Counters::default(),
            listening: FxHashSet::default(),
            assocs: Slab::new(),
            next_id: 1,
            by_id: FxHashMap::default(),
            by_tag: FxHashMap::default(),
            by_address,
            crowds: Crowds::default(),
            waiting: 0,
            ended_tags: VecDeque::new(),
            events: VecDeque::new(),
            out: VecDeque::new(),
            dirty: VecDeque::new(),
            timers: BTreeSet::new(),
        }
    }

    /// Takes associations on this SCTP port.
    pub fn listen(&mut self, port: u16) {
        self.listening.insert(port);
    }

    /// Takes no more associations on this port; those that are up stay.
    pub fn stop_listening(&mut self, port: u16) {
        self.listening.remove(&port);
    }

    /// Starts an association. It ends in [`Event::Up`] or [`Event::Closed`]. Errors: [`SendError::NotOpen`] when there is no
    /// usable address or port, or there are `associations_max` associations.
    pub fn connect(&mut self, now: Instant, connect: Connect) -> Result<AssocId, SendError> {
        let started = self.start_connect(now, &connect);
        if started.is_none() {
            self.counters.refused_connect += 1;
        }
        started.ok_or(SendError::NotOpen)
    }

    fn start_connect(&mut self, now: Instant, connect: &Connect) -> Option<AssocId> {
        let usable = |a: &SocketAddr| a.port() != 0 && !a.ip().is_unspecified() && !a.ip().is_multicast();
        let primary = *connect.peer.first()?;
        let full = self.assocs.len() >= self.config.associations_max;
        if full || connect.peer_port == 0 || connect.local_port == Some(0) || !connect.peer.iter().all(usable) {
            return None;
        }
        let local_port = match connect.local_port {
            Some(port) => port,
            None => self.free_port(primary, connect.peer_port)?,
        };
        if connect.peer.iter().any(|a| self.holder((local_port, *a, connect.peer_port)).is_some()) {
            return None;
        }
        let tag = self.free_tag();
        let tsn = self.rng.nonzero_u32();
        let index = self.insert((local_port, connect.peer_port), tag, tsn, false, now);
        let Self { assocs, config, local, counters, .. } = self;
        for address in &connect.peer {
            let paths = &mut assocs[index].paths;
            if paths.iter().any(|p| p.to == *address) {
                continue;
            }
            if paths.len() >= PATHS_MAX {
                counters.addresses_ignored += 1;
                continue;
            }
            let from = local_for(local, paths, address.ip()).or(local.first().copied()).unwrap_or(address.ip());
            // Section 5.4, 1: what the user gives needs no proof.
            paths.push(Path::new(*address, from, true, config, now));
        }
        self.index_addresses(index);
        self.with(index, now, |assoc, ctx| {
            assoc.connect(ctx);
            None
        });
        Some(self.assocs[index].id)
    }

    /// Accepts a message for delivery: it reaches the peer, or comes back in [`Event::Closed`].
    pub fn send(
        &mut self,
        _now: Instant,
        assoc: AssocId,
        options: SendOptions,
        payload: Bytes,
    ) -> Result<(), SendError> {
        let Some(index) = self.by_id.get(&assoc).copied() else {
            self.counters.refused_not_open += 1;
            return Err(SendError::NotOpen);
        };
        let (config, counters, found) = (&self.config, &mut self.counters, &mut self.assocs[index]);
        if found.state != State::Established {
            counters.refused_not_open += 1;
            return Err(SendError::NotOpen);
        }
        if options.stream >= found.outbound_streams {
            counters.refused_stream += 1;
            return Err(SendError::NoSuchStream);
        }
        if payload.is_empty() || payload.len() > config.message_bytes_max {
            counters.refused_length += 1;
            return Err(SendError::BadLength);
        }
        let (messages, bytes) = found.queue.outstanding();
        if messages >= config.send_queue_messages_max || bytes + payload.len() > config.send_queue_bytes_max {
            counters.refused_queue_full += 1;
            return Err(SendError::QueueFull);
        }
        counters.messages_accepted += 1;
        let SendOptions { stream, ppid, unordered, context } = options;
        found.push(Message { stream, ppid, unordered, context, transmitted: false, payload });
        if !found.dirty {
            found.dirty = true;
            self.dirty.push_back(index);
        }
        Ok(())
    }

    /// Graceful end: what was accepted is delivered first (RFC 9260 section 9.2). Before it is up, it ends at once.
    pub fn shutdown(&mut self, now: Instant, assoc: AssocId) {
        if let Some(index) = self.by_id.get(&assoc).copied() {
            self.with(index, now, Assoc::shutdown);
        }
    }

    /// Ends at once with ABORT and an optional User-Initiated Abort reason; the undelivered come back in [`Event::Closed`].
    pub fn abort(&mut self, now: Instant, assoc: AssocId, reason: &[u8]) {
        // The cause must fit one packet.
        let reason = reason.get(..512).unwrap_or(reason);
        if let Some(index) = self.by_id.get(&assoc).copied() {
            self.with(index, now, |assoc, ctx| {
                assoc.send_abort(ctx, Some(crate::wire::cause::USER_ABORT), reason);
                Some(CloseReason::LocalAbort)
            });
        }
    }

    /// Makes one of the peer's addresses the primary path (SET PRIMARY, RFC 9260 section 11.1). False when there is no such
    /// association or address, or the address did not prove itself yet (section 5.4).
    pub fn set_primary(&mut self, now: Instant, assoc: AssocId, address: SocketAddr) -> bool {
        let mut done = false;
        if let Some(index) = self.by_id.get(&assoc).copied() {
            self.with(index, now, |assoc, _| {
                done = assoc.set_primary(address);
                None
            });
        }
        done
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, index)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            self.assocs[index].scheduled = None;
            self.with(index, now, Assoc::handle_timeout);
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        loop {
            if let Some(transmit) = self.out.pop_front() {
                self.counters.packets_out += 1;
                return Some(transmit);
            }
            let index = self.dirty.pop_front()?;
            if self.assocs.get(index).is_some_and(|a| a.dirty) {
                self.assocs[index].dirty = false;
                self.flush(index, now);
            }
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Stack::handle_timeout`] at the latest. It may be earlier than anything is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Accepted and not yet acknowledged messages and bytes of an association.
    #[must_use]
    pub fn outstanding(&self, assoc: AssocId) -> (usize, usize) {
        self.get(assoc).map_or((0, 0), |a| a.queue.outstanding())
    }

    /// Smoothed round trip of the primary path, if measured.
    #[must_use]
    pub fn rtt(&self, assoc: AssocId) -> Option<Duration> {
        self.get(assoc)?.rtt()
    }

    /// How far an association is; `None` once it is closed.
    #[must_use]
    pub fn state(&self, assoc: AssocId) -> Option<AssocState> {
        Some(match self.get(assoc)?.state {
            State::CookieWait | State::CookieEchoed => AssocState::Connecting,
            State::Established => AssocState::Up,
            State::ShutdownPending | State::ShutdownSent | State::ShutdownReceived | State::ShutdownAckSent => {
                AssocState::Closing
            }
        })
    }

    /// The state of RFC 9260 section 4 it is in; `None` is CLOSED (STATUS, section 11.1.8).
    #[must_use]
    pub fn connection_state(&self, assoc: AssocId) -> Option<State> {
        Some(self.get(assoc)?.state)
    }

    /// The peer's UDP encapsulation addresses, in the order they were told.
    #[must_use]
    pub fn addresses(&self, assoc: AssocId) -> Vec<SocketAddr> {
        self.get(assoc).map(|a| a.paths.iter().map(|p| p.to).collect()).unwrap_or_default()
    }

    /// Everything to show of an association.
    #[must_use]
    pub fn info(&self, assoc: AssocId) -> Option<Info> {
        let found = self.get(assoc)?;
        let (outstanding_messages, outstanding_bytes) = found.queue.outstanding();
        let in_use = found.data_path();
        let paths = found.paths.iter().enumerate().map(|(i, p)| p.info(i == found.primary, i == in_use));
        Some(Info {
            state: self.state(assoc)?,
            local_port: found.local_port,
            peer_port: found.peer_port,
            incoming: found.incoming,
            paths: paths.collect(),
            outbound_streams: found.outbound_streams,
            inbound_streams: found.inbound_streams,
            outstanding_messages,
            outstanding_bytes,
        })
    }

    /// Every association, in no order.
    pub fn associations(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.assocs.iter().map(|(_, a)| a.id)
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn get(&self, assoc: AssocId) -> Option<&Assoc> {
        self.by_id.get(&assoc).and_then(|i| self.assocs.get(*i))
    }

    fn now_us(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    fn split(&mut self, now: Instant) -> (Ctx<'_>, &mut Slab<Assoc>) {
        let ctx = Ctx {
            now,
            start: self.start,
            config: &self.config,
            local: &self.local,
            crowds: &self.crowds,
            crowded: self.waiting >= self.config.waiting_chunks_max,
            counters: &mut self.counters,
            rng: &mut self.rng,
            events: &mut self.events,
            out: &mut self.out,
        };
        (ctx, &mut self.assocs)
    }

    /// Does something with an association, then what always follows: it ends, or it is flushed with the next
    /// `poll_transmit` and its timers are looked at.
    fn with(&mut self, index: usize, now: Instant, act: impl FnOnce(&mut Assoc, &mut Ctx<'_>) -> Option<CloseReason>) {
        let (mut ctx, assocs) = self.split(now);
        let assoc = &mut assocs[index];
        let before = assoc.waiting;
        let ended = act(assoc, &mut ctx);
        let after = assoc.waiting;
        self.waiting = (self.waiting + after).saturating_sub(before);
        if let Some(reason) = ended {
            self.end(index, reason);
            return;
        }
        let assoc = &mut self.assocs[index];
        if !assoc.dirty {
            assoc.dirty = true;
            self.dirty.push_back(index);
        }
        self.schedule(index, now);
    }

    fn flush(&mut self, index: usize, now: Instant) {
        let (mut ctx, assocs) = self.split(now);
        let before = assocs[index].waiting;
        assocs[index].flush(&mut ctx);
        let after = assocs[index].waiting;
        self.waiting = (self.waiting + after).saturating_sub(before);
        self.schedule(index, now);
    }

    /// An earlier deadline takes the place of the entry; a later one is looked up when the entry's time has come.
    fn schedule(&mut self, index: usize, now: Instant) {
        let (ctx, assocs) = self.split(now);
        let assoc = &mut assocs[index];
        let Some(at) = assoc.next_timeout(&ctx) else { return };
        if assoc.scheduled.is_some_and(|scheduled| scheduled <= at) {
            return;
        }
        let before = assoc.scheduled.replace(at);
        if let Some(before) = before {
            self.timers.remove(&(before, index));
        }
        self.timers.insert((at, index));
    }
}
