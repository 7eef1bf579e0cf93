//! The resolver as a node. Pure; the module above gives it a socket.

use super::record::Answer;
use super::{Pools, Record};
use crate::scenario::Resolver;
use asap::pool_user::Selection;
use asap::wire::PoolHandle;
use asap::{ConnId, HuntConfig, PuConfig, PuEvent, PuMachine, ServerAddress, Transmit};
use bytes::Bytes;
use enrp::link::{Done, Link};
use rustc_hash::FxHashMap;
use sctp::{AssocId, Associations, Event, Input, Output, ppid};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Questions without an answer, at most: more are not asked.
const OUTSTANDING_MAX: usize = 256;
/// Time for an answer until it is asked again, ms; on loopback far more than one takes.
const T1_MS: u64 = 300;

/// A request from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Ask no more, and end.
    Stop,
}

/// What it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions.
    pub asked: u64,
    /// Answers with elements.
    pub answered: u64,
    /// Refusals.
    pub refused: u64,
    /// Questions that no server answered.
    pub unanswered: u64,
    /// Questions left out because too many had no answer.
    pub left_out: u64,
    /// Messages that an association did not take.
    pub not_sent: u64,
}

/// See the module above.
#[derive(Debug)]
pub struct Node {
    settings: Resolver,
    pools: Pools,
    user: PuMachine<()>,
    link: Link,
    udp_port: u16,
    stack: Box<dyn Associations>,
    record: Record,
    /// When each was asked that has no answer, with its hint's index.
    asked: FxHashMap<PoolHandle, (Instant, usize)>,
    /// How many questions had their turn.
    turn: usize,
    step: usize,
    next_at: Instant,
    /// Set when it is to end.
    /// Servers that were called, since the last that was found.
    opened: Vec<(ConnId, IpAddr)>,
    stopping: bool,
    counters: Counters,
}

impl Node {
    /// Asks from `now` on for these pools; for nothing when there is none.
    #[must_use]
    pub fn new(
        settings: Resolver,
        servers: Vec<ServerAddress>,
        udp_port: u16,
        pools: Pools,
        stack: Box<dyn Associations>,
        record: Record,
        now: Instant,
    ) -> Self {
        // One server after the other: it begins with the first of the list.
        let hunt = HuntConfig { servers, max_parallel: 1, ..HuntConfig::default() };
        let config = PuConfig {
            hunt,
            t1_enrp_request_ms: T1_MS,
            subscribe: false,
            items: Some(settings.items),
            max_pools: pools.handles.len().max(1),
            ..PuConfig::default()
        };
        let handles = pools.handles.len().max(1);
        // A step that has no divisor in common with the number of handles goes around all of them.
        let step = (1..).map(|n| n * 6 + 1).find(|step| gcd(*step, handles) == 1).unwrap_or(1);
        Self {
            settings,
            user: PuMachine::new(config, 1),
            link: Link::new(),
            udp_port,
            stack,
            record,
            asked: FxHashMap::default(),
            opened: Vec::new(),
            turn: 0,
            step,
            pools,
            next_at: now,
            stopping: false,
            counters: Counters::default(),
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The record ([`enrp::daemon::RecordSink::Memory`] keeps it readable).
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    fn gap(&self) -> Duration {
        Duration::from_secs(1) / self.settings.rate_per_s.max(1)
    }

    fn ask_due(&mut self, now: Instant) {
        while !self.stopping && self.next_at <= now {
            // What was not asked in time is left out: the gap between the answers shows it.
            self.next_at = self.next_at.max(now - self.gap().min(Duration::from_millis(20))) + self.gap();
            self.ask(now);
        }
    }

    fn ask(&mut self, now: Instant) {
        let hints = self.settings.hints.len();
        let turn = self.turn;
        self.turn = self.turn.wrapping_add(1);
        let place = (turn / hints.max(1)).wrapping_mul(self.step) % self.pools.handles.len().max(1);
        let Some(handle) = self.pools.handles.get(place).cloned() else { return };
        if self.asked.contains_key(&handle) || self.asked.len() >= OUTSTANDING_MAX {
            self.counters.left_out += 1;
            return;
        }
        // Out of the cache: each question goes to a server.
        self.user.forget(&handle);
        let hint = turn % hints.max(1);
        if let Some(text) = self.settings.hints.get(hint) {
            let hint = (!text.is_empty()).then(|| Bytes::copy_from_slice(text.as_bytes()));
            self.user.set_hint(now, &handle, hint);
        }
        self.asked.insert(handle.clone(), (now, hint));
        self.counters.asked += 1;
        self.user.resolve(now, &handle);
    }

    fn pump(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            while let Some(event) = self.stack.poll_event() {
                idle = false;
                self.association_event(now, event);
            }
            while let Some(transmit) = self.user.poll_transmit() {
                idle = false;
                self.perform(now, transmit);
            }
            while let Some(event) = self.user.poll_event() {
                self.user_event(now, event);
            }
            if idle {
                return;
            }
        }
    }

    fn perform(&mut self, now: Instant, transmit: Transmit) {
        if let Transmit::Connect { conn, server } = &transmit
            && let Some(address) = server.addresses.first()
        {
            self.opened.push((*conn, *address));
        }
        match self.link.perform(now, &mut *self.stack, &mut self.user, self.udp_port, transmit) {
            Done::NotSent(assoc) => {
                self.counters.not_sent += u64::from(assoc.is_some());
            }
            Done::Opened(_) | Done::NotOpened | Done::Sent | Done::Closing(_) | Done::Nothing => {}
        }
    }

    fn association_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up { assoc, incoming: true, .. } => self.stack.abort(now, assoc, b"a pool user"),
            // None: it has let go of the association.
            Event::Up { assoc, local_port, .. } => {
                let _ = self.link.up(now, &mut *self.stack, &mut self.user, assoc, local_port);
            }
            Event::Message { assoc, ppid: ppid::ASAP, payload, .. } => {
                let _ = self.link.message(now, &mut self.user, assoc, &payload);
            }
            Event::Closed { assoc, .. } => {
                let _ = self.link.closed(now, &mut self.user, assoc);
            }
            Event::Message { .. } | Event::Path { .. } | _ => {}
        }
    }

    fn user_event(&mut self, now: Instant, event: PuEvent) {
        match event {
            PuEvent::Resolved { handle, elements, .. } => {
                let Some((asked, hint)) = self.asked.remove(&handle) else { return };
                self.counters.answered += 1;
                // A strict pool user: it selects again, by the policy that the answer has.
                let taken = match self.user.select(now, &handle, |_| true) {
                    Selection::Element { pe, .. } => Some(pe),
                    Selection::NoneUsable | Selection::Resolving | Selection::TooManyPools => None,
                };
                let hint = self.settings.hints.get(hint).map_or("", String::as_str);
                self.record.answer(now, asked, &Answer { hint, elements: &elements, taken }, &self.pools.name(&handle));
            }
            PuEvent::UnknownHandle { handle, .. } => {
                let Some((asked, _)) = self.asked.remove(&handle) else { return };
                self.counters.refused += 1;
                self.record.without('U', now, asked, &self.pools.name(&handle));
                self.user.forget(&handle);
            }
            PuEvent::NoAnswer { handle } => {
                // The machine asks the next server; the question still waits.
                let Some((asked, _)) = self.asked.get(&handle) else { return };
                self.counters.unanswered += 1;
                self.record.without('N', now, *asked, &self.pools.name(&handle));
            }
            PuEvent::ServerLost => self.record.lost(now),
            PuEvent::ServerFound { conn } => {
                if let Some((_, address)) = self.opened.iter().find(|(opened, _)| *opened == conn) {
                    self.record.found(now, *address);
                }
                self.opened.retain(|(opened, _)| *opened >= conn);
            }
            PuEvent::PoolChanged { .. } => {}
        }
    }

    fn stop(&mut self, now: Instant) {
        self.stopping = true;
        let associations: Vec<AssocId> = self.link.associations().collect();
        for assoc in associations {
            self.stack.abort(now, assoc, b"done");
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl sctp::driver::Node for Node {
    type Command = Command;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Stop => self.stop(now),
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.user.handle_timeout(now);
        self.ask_due(now);
        self.pump(now);
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        self.record.flush()
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = (!self.stopping).then_some(self.next_at);
        [self.stack.poll_timeout(), self.user.poll_timeout(), next].into_iter().flatten().min()
    }

    fn finished(&self) -> bool {
        self.stopping
    }
}
