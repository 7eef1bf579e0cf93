//! A population as a node. Pure; [`daemon`](super::daemon) gives it sockets.

use super::config::Config;
use super::member::{Member, Phase, policy};
use super::record::Record;
use asap::policy::Rng;
use asap::{PeEvent, Transmit as AsapTransmit};
use enrp::daemon::{AdminKind, AdminReply, AdminRequest, DaemonCommand, Metrics};
use enrp::link::Done;
use rustc_hash::FxHashMap;
use sctp::{AssocId, Associations, BackendKind, Event, Input, Output, ppid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Re-registrations made up for at once after the process did not run; what is older is left out and counted.
const BEHIND_MAX: Duration = Duration::from_millis(100);

/// Many pool elements. See the module above.
#[derive(Debug)]
pub struct Node {
    pub(super) config: Config,
    stack: Box<dyn Associations>,
    random: Rng,
    pub(super) members: Vec<Member>,
    /// Whose association it is.
    owners: FxHashMap<AssocId, usize>,
    /// One entry an element: its machine's deadline.
    timers: BTreeSet<(Instant, usize)>,
    /// The next element to be started; when the node stops, to be stopped.
    next: usize,
    /// When that may be.
    next_at: Instant,
    /// Elements in [`Phase::Starting`] or [`Phase::Stopping`].
    under_way: usize,
    registered: usize,
    refused: usize,
    /// Whose turn it is to register again, and when.
    again: usize,
    pub(super) again_at: Instant,
    counters: Counters,
    stopping: bool,
    record: Record,
}

/// Counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Registrations sent, first ones, again, and repeated for want of an answer.
    pub registrations_sent: u64,
    /// Registrations granted.
    pub registrations_granted: u64,
    /// Registrations rejected by the server.
    pub registrations_refused: u64,
    /// Answers to a registration that did not come in time (T2).
    pub registrations_unanswered: u64,
    /// Keep-alives answered.
    pub keep_alives: u64,
    /// Home servers lost, by all elements together.
    pub servers_lost: u64,
    /// Registrations again because of `re_registrations_per_s`.
    pub re_registrations: u64,
    /// Those left out because the process did not run in time, or no element was registered.
    pub re_registrations_missed: u64,
    /// Messages for associations that were closing.
    pub unsendable: u64,
    /// Associations that could not be opened.
    pub connects_failed: u64,
    /// Associations that name servers opened to elements (RFC 5353 section 3.5.2: they took them over).
    pub accepted: u64,
    /// Those of them that were refused.
    pub accepts_refused: u64,
}

/// The admin state, `GET /state`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The process's name.
    pub name: String,
    /// Pools in which it has elements.
    pub pools: usize,
    /// Elements.
    pub pes: usize,
    /// Of these started.
    pub started: usize,
    /// Of these registered now.
    pub registered: usize,
    /// Of these rejected: they wait for somebody to correct the settings.
    pub refused: usize,
    /// Associations that are there.
    pub associations: usize,
    /// Whether it is ending.
    pub stopping: bool,
    /// See there.
    pub counters: Counters,
}

impl Node {
    /// Elements that register from `now` on. `local` are their addresses, `seed` is random.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], now: Instant, local: Vec<IpAddr>, backend: BackendKind) -> Self {
        let word = seed[8..16].iter().fold(0_u64, |word, &octet| word << 8 | u64::from(octet));
        let mut random = Rng::new(word);
        let settings = &config.population;
        let known = if config.udp.advertise.is_empty() { &local } else { &config.udp.advertise };
        let members = (0..settings.elements())
            .map(|index| Member::new(index, settings, &config.asap, known, &mut random))
            .collect();
        Self {
            stack: sctp::associations(
                backend,
                config.udp.with_advertised(&config.sctp),
                local,
                config.udp.port,
                seed,
                now,
            ),
            config,
            random,
            members,
            owners: FxHashMap::default(),
            timers: BTreeSet::new(),
            next: 0,
            next_at: now,
            under_way: 0,
            registered: 0,
            refused: 0,
            again: 0,
            again_at: now,
            counters: Counters::default(),
            stopping: false,
            record: Record::off(),
        }
    }

    /// The same with a record.
    #[must_use]
    pub fn with_record(mut self, record: Record) -> Self {
        self.record = record;
        self
    }

    /// The record ([`enrp::daemon::RecordSink::Memory`] keeps it readable).
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Elements registered now.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.registered
    }

    /// What the admin is shown.
    #[must_use]
    pub fn state(&self) -> State {
        let mut counters = self.counters;
        for member in &self.members {
            let own = member.machine.counters();
            counters.registrations_sent += own.registrations_sent;
            counters.registrations_granted += own.registrations_granted;
            counters.registrations_refused += own.registrations_refused;
            counters.registrations_unanswered += own.t2_expired;
            counters.keep_alives += own.keep_alives;
            counters.servers_lost += own.servers_lost;
        }
        State {
            name: self.config.population.name.clone(),
            pools: self.config.population.pools,
            pes: self.members.len(),
            started: if self.stopping { self.members.len() } else { self.next },
            registered: self.registered,
            refused: self.refused,
            associations: self.owners.len(),
            stopping: self.stopping,
            counters,
        }
    }

    /// Gives every event of the associations to its element.
    fn pump(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            if let Event::Up { assoc, local_port, incoming: true, .. } = event {
                self.accept(now, assoc, local_port);
                continue;
            }
            let (assoc, closed) = match &event {
                Event::Up { assoc, .. } | Event::Message { assoc, .. } => (*assoc, false),
                Event::Closed { assoc, .. } => (*assoc, true),
                // Paths are the association's own business.
                Event::Path { .. } | _ => continue,
            };
            let owner = if closed { self.owners.remove(&assoc) } else { self.owners.get(&assoc).copied() };
            let Some(index) = owner else { continue };
            let Member { machine, link, .. } = &mut self.members[index];
            // False: the element has let go of the association.
            let _ = match event {
                Event::Up { local_port, .. } => link.up(now, &mut *self.stack, machine, assoc, local_port).is_some(),
                Event::Message { ppid: ppid::ASAP, payload, .. } => link.message(now, machine, assoc, &payload),
                Event::Closed { .. } => link.closed(now, machine, assoc),
                Event::Message { .. } | Event::Path { .. } | _ => continue,
            };
            self.follow(now, index);
        }
    }

    /// A name server opened an association to an element.
    fn accept(&mut self, now: Instant, assoc: AssocId, local_port: u16) {
        let index = self.config.population.element_at(local_port);
        let accepted = index.filter(|&index| {
            let Member { machine, link, .. } = &mut self.members[index];
            link.accept(machine, assoc)
        });
        match accepted {
            Some(index) => {
                self.counters.accepted += 1;
                self.owners.insert(assoc, index);
            }
            None => {
                self.counters.accepts_refused += 1;
                self.stack.abort(now, assoc, b"no pool element here wants it");
            }
        }
    }

    /// Does what an element's machine says, and keeps count of what it is.
    pub(super) fn follow(&mut self, now: Instant, index: usize) {
        while let Some(transmit) = self.members[index].machine.poll_transmit() {
            self.perform(now, index, transmit);
        }
        let member = &mut self.members[index];
        while let Some(event) = member.machine.poll_event() {
            self.record.event(now, member.machine.id(), &member.pool(), &event);
            let refused = match event {
                PeEvent::Refused { handle, error } => {
                    tracing::warn!(%handle, ?error, "registration refused");
                    true
                }
                PeEvent::Registered { .. } => false,
                PeEvent::ServerLost | PeEvent::HomeServer { .. } | PeEvent::Deregistered { .. } => continue,
            };
            self.refused -= usize::from(std::mem::replace(&mut member.refused, refused));
            self.refused += usize::from(refused);
            if member.phase == Phase::Starting {
                member.phase = Phase::Settled;
                self.under_way -= 1;
            }
        }
        let registered = member.machine.is_registered(&member.registration.handle);
        self.registered -= usize::from(std::mem::replace(&mut member.registered, registered));
        self.registered += usize::from(registered);
        if member.phase == Phase::Stopping && member.machine.is_stopped() {
            member.phase = Phase::Stopped;
            self.under_way -= 1;
        }
        self.schedule(index);
    }

    fn perform(&mut self, now: Instant, index: usize, transmit: AsapTransmit) {
        let Member { machine, link, .. } = &mut self.members[index];
        match link.perform(now, &mut *self.stack, machine, self.config.udp.port, transmit) {
            Done::Opened(assoc) => drop(self.owners.insert(assoc, index)),
            Done::NotOpened => self.counters.connects_failed += 1,
            // T2 and T3 send again.
            Done::NotSent(assoc) => self.counters.unsendable += u64::from(assoc.is_some()),
            Done::Sent | Done::Closing(_) | Done::Nothing => {}
        }
    }

    fn schedule(&mut self, index: usize) {
        let member = &mut self.members[index];
        let deadline = member.machine.poll_timeout();
        let before = std::mem::replace(&mut member.scheduled, deadline);
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.timers.remove(&(before, index));
        }
        if let Some(deadline) = deadline {
            self.timers.insert((deadline, index));
        }
    }

    /// Whether another element may be started, or stopped.
    fn may_go_on(&self) -> bool {
        self.next < self.members.len() && self.under_way < self.config.population.under_way_max
    }

    /// Starts the elements whose time has come.
    fn start_members(&mut self, now: Instant) {
        let gap = Duration::from_secs(1) / self.config.population.starts_per_s.max(1);
        while !self.stopping && self.may_go_on() && self.next_at <= now {
            let index = self.next;
            self.next += 1;
            self.next_at = self.next_at.max(now - gap) + gap;
            let member = &mut self.members[index];
            member.phase = Phase::Starting;
            self.under_way += 1;
            let registration = member.registration.clone();
            if let Some(port) = member.link.port() {
                self.stack.listen(port);
            }
            if let Err(error) = member.machine.register(now, registration) {
                tracing::error!(handle = %member.handle(), %error, "cannot register");
            }
            self.follow(now, index);
        }
    }

    /// Stops further elements, as many at a time as may be under way.
    fn stop_members(&mut self, now: Instant) {
        while self.stopping && self.may_go_on() {
            let index = self.next;
            self.next += 1;
            let member = &mut self.members[index];
            if member.phase == Phase::Waiting {
                member.phase = Phase::Stopped;
                continue;
            }
            self.under_way += 1;
            member.phase = Phase::Stopping;
            member.machine.stop(now);
            self.follow(now, index);
        }
    }

    fn again_gap(&self) -> Option<Duration> {
        let per_s = self.config.population.re_registrations_per_s;
        (per_s > 0 && !self.stopping && self.next == self.members.len()).then(|| Duration::from_secs(1) / per_s)
    }

    /// Lets one element after the other register again.
    fn register_again(&mut self, now: Instant) {
        let Some(gap) = self.again_gap() else {
            self.again_at = now;
            return;
        };
        let behind = now.saturating_duration_since(self.again_at);
        if behind > BEHIND_MAX {
            let missed = (behind - BEHIND_MAX).as_nanos() / gap.as_nanos().max(1);
            self.counters.re_registrations_missed += u64::try_from(missed).unwrap_or(u64::MAX);
            self.again_at = now - BEHIND_MAX;
        }
        while self.again_at <= now {
            self.again_at += gap;
            self.again = (self.again + 1) % self.members.len();
            let index = self.again;
            let member = &mut self.members[index];
            let values = match &member.named {
                Some(named) => named.values.policy(named.policy),
                None => policy(self.config.population.policy, &mut self.random),
            };
            if member.registered && member.machine.set_policy(now, &member.registration.handle, values).is_ok() {
                self.counters.re_registrations += 1;
                self.follow(now, index);
            } else {
                self.counters.re_registrations_missed += 1;
            }
        }
    }

    fn machines_timeout(&mut self, now: Instant) {
        while let Some((at, index)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.members[index].machine.handle_timeout(now);
            self.follow(now, index);
        }
    }

    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.next = 0;
            // Whoever waits for an answer does so no longer.
            self.under_way = 0;
            self.members.iter_mut().filter(|m| m.phase == Phase::Starting).for_each(|m| m.phase = Phase::Settled);
        }
    }

    fn admin(&mut self, now: Instant, request: AdminRequest) {
        let reply = match &request.kind {
            AdminKind::State => AdminReply::json(&self.state()),
            AdminKind::Metrics => AdminReply::ok(self.metrics()),
            AdminKind::Health if self.stopping => AdminReply::unavailable("stopping\n"),
            AdminKind::Health if self.registered < self.members.len() => AdminReply::unavailable(format!(
                "{} of {} elements are registered\n",
                self.registered,
                self.members.len()
            )),
            AdminKind::Health => AdminReply::ok("ok\n"),
            AdminKind::Command { name, body } => self.command(now, name, body),
        };
        request.reply.send(reply);
    }

    fn metrics(&self) -> String {
        let (mut metrics, state) = (Metrics::new(), self.state());
        let Counters { registrations_sent, registrations_granted, registrations_refused, keep_alives, .. } =
            state.counters;
        let count = |n: usize| n as u64;
        metrics.gauge("population_pes", "Pool elements of this process.", count(state.pes));
        metrics.gauge("population_registered", "Of these registered now.", count(state.registered));
        metrics.gauge("population_refused", "Of these rejected.", count(state.refused));
        metrics.gauge("population_associations", "Associations.", count(state.associations));
        metrics.counter("population_registrations_sent_total", "Registrations sent.", registrations_sent);
        metrics.counter("population_registrations_granted_total", "Registrations granted.", registrations_granted);
        metrics.counter("population_registrations_refused_total", "Registrations rejected.", registrations_refused);
        metrics.counter("population_keep_alives_total", "Keep-alives answered.", keep_alives);
        metrics.finish()
    }

    /// Everything that follows from what came in.
    fn settle(&mut self, now: Instant) {
        self.pump(now);
        self.start_members(now);
        self.stop_members(now);
        self.pump(now);
    }
}

impl sctp::driver::Node for Node {
    type Command = DaemonCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.settle(now);
    }

    fn handle_command(&mut self, now: Instant, command: DaemonCommand) {
        match command {
            DaemonCommand::Admin(request) => self.admin(now, request),
            DaemonCommand::Stop => self.stop(),
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.machines_timeout(now);
        self.settle(now);
        self.register_again(now);
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        self.record.flush()
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let machines = self.timers.first().map(|(at, _)| *at);
        let start = (!self.stopping && self.may_go_on()).then_some(self.next_at);
        let again = self.again_gap().map(|_| self.again_at);
        [self.stack.poll_timeout(), machines, start, again].into_iter().flatten().min()
    }

    fn finished(&self) -> bool {
        self.stopping && self.next == self.members.len() && self.under_way == 0 && self.owners.is_empty()
    }
}
