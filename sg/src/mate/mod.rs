//! Two gateways: one leads, the other one mirrors it, and leads when it ends (ARCHITECTURE.md, "Two gateways").
//!
//! * this file: which of the two leads
//! * [`link`]: the association between them, and whether the other one lives
//! * [`journal`]: what the one that leads tells, and what waits until it is mirrored
//! * [`mirror`]: what the one that follows knows; [`forwards`]: what the network sent it, for the other one
//! * [`suspicion`]: the other one is silent: the controllers say whether they hear it
//! * [`numbers`]: what tells a message that is sent again
//! * [`wire`]: the messages

pub(crate) mod forwards;
pub(crate) mod journal;
mod link;
pub(crate) mod mirror;
pub(crate) mod numbers;
mod suspicion;
pub(crate) mod wire;

use crate::config;
use crate::pool::Transport;
use bytes::Bytes;
use forwards::{Accepted, Forwards};
use journal::Journal;
use link::Link;
use mirror::{Counted, Limits, Mirror, News};
use serde::Serialize;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use suspicion::Suspicion;
pub(crate) use wire::Role;
use wire::{Hello, Malformed, MateMessage, Op};

/// What works with the mate during one call.
pub(crate) struct MateCx<'a> {
    pub(crate) now: Instant,
    pub(crate) net: &'a mut dyn Transport,
    pub(crate) journal: &'a mut Journal,
}

/// What this gateway is from now on, and what it has to do.
#[derive(Debug)]
pub(crate) enum MateEvent {
    /// It leads, with what it mirrored.
    Lead(Option<Mirror>),
    /// The mate begins to mirror: the journal begins with everything there is.
    Snapshot,
    /// Nobody mirrors any more.
    Alone,
    /// A message of the network that the mate got.
    Forwarded(u64, Bytes),
    /// What a peer of the network sent before this is the other gateway's: it may hear so.
    Accepted(Accepted),
    /// The gateway that leads counted a transaction.
    Committed(Counted),
    /// The controllers are to be asked whether this gateway may lead with this term.
    Ask(u32),
    /// It must not act any more: another one may lead. Everything is thrown away.
    Fenced,
}

/// Counted since the start. The field names are the metric names without prefix.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counters {
    /// Associations between the two that came up.
    pub(crate) links: u64,
    /// Times this gateway began to lead with what it had mirrored.
    pub(crate) takeovers: u64,
    /// Times it stopped to act because its right to was over.
    pub(crate) fenced: u64,
    /// Messages of the mate that were not understood.
    pub(crate) malformed: u64,
    /// Times the mate was too slow to mirror.
    pub(crate) overruns: u64,
    /// Messages of the network given to the one that leads.
    pub(crate) forwarded: u64,
    /// The same, not taken as too many waited.
    pub(crate) forwards_refused: u64,
    /// Messages to the network sent again after a takeover.
    pub(crate) sent_again: u64,
}

/// Who this gateway is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) gateway: u8,
    /// Hash of the `[[as]]` tables, which both must have.
    pub(crate) tables: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mate {
    config: config::Mate,
    identity: Identity,
    limits: Vec<Limits>,
    started: Instant,
    /// The one with the higher address connects.
    connects: bool,
    role: Role,
    /// Goes up whenever a gateway begins to lead or to lead alone; controllers refuse lower ones.
    term: u32,
    link: Link,
    mirror: Option<Mirror>,
    forwards: Forwards,
    suspicion: Option<Suspicion>,
    /// When it leads alone, if the other one does not come.
    alone_at: Option<Instant>,
    events: VecDeque<MateEvent>,
    pub(crate) counters: Counters,
}

/// For the admin's state.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    pub(crate) role: Role,
    pub(crate) term: u32,
    /// The association with the other gateway is up.
    pub(crate) connected: bool,
    /// The other one could lead at any moment.
    pub(crate) mirrored: bool,
    /// Steps that it has not got yet.
    pub(crate) behind: u64,
    /// Groups and messages mirrored from the other one.
    pub(crate) groups: usize,
    pub(crate) messages: usize,
    /// Messages of the network that the other one does not have yet.
    pub(crate) forwards: usize,
    pub(crate) counters: Counters,
}

impl Mate {
    /// Without a mate in the configuration it leads at once, and nothing else ever happens.
    pub(crate) fn new(
        now: Instant,
        config: config::Mate,
        own: &[IpAddr],
        identity: Identity,
        limits: Vec<Limits>,
    ) -> Self {
        let there = config.is_there();
        Self {
            connects: own.iter().min() > config.addresses.iter().min(),
            role: if there { Role::Joining } else { Role::Lead },
            alone_at: there.then(|| now + ms(config.start_alone_ms)),
            link: Link::down(now),
            forwards: Forwards::new(config.forwards_max),
            config,
            identity,
            limits,
            started: now,
            term: 0,
            mirror: None,
            suspicion: None,
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The `[[as]]` tables are others now: an operator added something. None is gone.
    pub(crate) fn set_tables(&mut self, tables: u32, limits: Vec<Limits>) {
        self.identity.tables = tables;
        if let Some(mirror) = &mut self.mirror {
            mirror.add(&limits);
        }
        self.limits = limits;
    }

    /// This gateway acts.
    pub(crate) fn leads(&self) -> bool {
        self.role == Role::Lead
    }

    /// Its term as the one that leads; 0 without a mate in the configuration.
    pub(crate) fn term(&self) -> u32 {
        self.term
    }

    /// What it has to do.
    pub(crate) fn poll_event(&mut self) -> Option<MateEvent> {
        self.events.pop_front()
    }

    /// For the admin's state; none without a mate in the configuration.
    pub(crate) fn view(&self, journal: &Journal) -> Option<View> {
        let (groups, messages) = self.mirror.as_ref().map(Mirror::size).unwrap_or_default();
        self.config.is_there().then(|| View {
            role: self.role,
            term: self.term,
            connected: self.link.is_up(),
            mirrored: journal.is_complete(),
            behind: journal.behind(),
            groups,
            messages,
            forwards: self.forwards.len(),
            counters: self.counters,
        })
    }

    /// The first message of the other one, or the next, when it is something else now.
    fn hello(&mut self, cx: &mut MateCx<'_>, hello: Hello) {
        if hello.tables != self.identity.tables || hello.gateway == self.identity.gateway {
            tracing::error!(
                gateway = hello.gateway,
                "the mate has other [[as]] tables or the same node.gateway: both need the same tables and different numbers"
            );
            return self.part(cx);
        }
        let known = self.link.met(hello);
        self.suspicion = None;
        let first = self.identity.gateway < hello.gateway;
        match (self.role, hello.role) {
            // Both led without the other. One of them goes on: the higher term, then the lower number.
            (Role::Lead, Role::Lead) => {
                if self.term < hello.term || (self.term == hello.term && !first) {
                    self.fence(cx);
                }
            }
            (Role::Lead, Role::Joining | Role::Follower) => {
                if hello.ready {
                    self.events.push_back(MateEvent::Snapshot);
                }
            }
            (Role::Follower, Role::Lead) if known == Some(Role::Lead) => self.term = self.term.max(hello.term),
            (Role::Joining | Role::Follower, Role::Lead) => self.follow(cx, hello.term),
            // Whoever led is there anew and knows nothing.
            (Role::Follower, Role::Joining | Role::Follower) => self.lead(cx, hello.term),
            (Role::Joining, Role::Joining) if first => self.lead(cx, hello.term),
            (Role::Joining, Role::Joining | Role::Follower) => {}
        }
    }

    /// Mirrors the other one, from the beginning.
    fn follow(&mut self, cx: &mut MateCx<'_>, term: u32) {
        tracing::info!(term, "the mate leads; this gateway mirrors it");
        (self.role, self.term, self.alone_at) = (Role::Follower, term, None);
        self.mirror = Some(Mirror::new(&self.limits, self.config.outputs_max));
        self.greet(cx, true);
        let again: Vec<_> = self.forwards.iter().map(|(number, data)| (number, data.clone())).collect();
        for (number, data) in again {
            self.say(cx, &MateMessage::Forward(number, data));
        }
    }

    /// Leads from now on, with what is mirrored and a term above this one.
    fn lead(&mut self, cx: &mut MateCx<'_>, above: u32) {
        let mirror = self.mirror.take();
        self.counters.takeovers += u64::from(mirror.is_some());
        (self.role, self.suspicion, self.alone_at) = (Role::Lead, None, None);
        self.term = self.term.max(above).saturating_add(1);
        tracing::info!(term = self.term, takeover = mirror.is_some(), "this gateway leads");
        self.events.push_back(MateEvent::Lead(mirror));
        // The other one answers that it follows; then it is told everything.
        self.greet(cx, false);
    }

    /// The other one is certainly gone, or is not to be waited for: nobody mirrors.
    fn alone(&mut self) {
        self.suspicion = None;
        self.events.push_back(MateEvent::Alone);
    }

    /// Stops to act, and begins anew.
    fn fence(&mut self, cx: &mut MateCx<'_>) {
        tracing::error!("this gateway must not lead any more: it begins anew");
        self.counters.fenced += 1;
        self.events.clear();
        self.events.push_back(MateEvent::Fenced);
        self.rejoin(cx.now);
        self.part(cx);
    }

    /// Looks for the other one again, without any state.
    fn rejoin(&mut self, now: Instant) {
        (self.role, self.mirror, self.suspicion) = (Role::Joining, None, None);
        self.alone_at = Some(now + ms(self.config.start_alone_ms));
    }

    /// Whether this gateway must not act any more as it is: to be looked at before it acts on anything.
    pub(crate) fn check(&mut self, cx: &mut MateCx<'_>) {
        if self.leads() && cx.journal.is_complete() && self.acts_until().is_some_and(|until| until <= cx.now) {
            self.fence(cx);
        }
    }

    /// For how long the one that leads may act as far as the other one has promised to keep still.
    fn acts_until(&self) -> Option<Instant> {
        let up = self.link.answered().map(|answered| answered + ms(self.config.lease_ms));
        up.or(self.suspicion.as_ref().and_then(|suspicion| suspicion.until))
    }

    /// A message of the network, for the one that leads. False: too many wait.
    pub(crate) fn forward(&mut self, cx: &mut MateCx<'_>, data: &Bytes) -> bool {
        let Some(number) = self.forwards.push(data.clone()) else {
            self.counters.forwards_refused += 1;
            return false;
        };
        self.counters.forwarded += 1;
        if self.role == Role::Follower {
            self.say(cx, &MateMessage::Forward(number, data.clone()));
        }
        true
    }

    /// A peer of the network asks whether what it sent so far is accepted.
    pub(crate) fn barrier(&mut self, accepted: Accepted) {
        if let Some(now) = self.forwards.barrier(accepted) {
            self.events.push_back(MateEvent::Accepted(now));
        }
    }

    /// What was forwarded and not taken, for the one that leads now itself, and who waits for it.
    pub(crate) fn take_forwards(&mut self) -> (Vec<Bytes>, Vec<Accepted>) {
        self.forwards.take()
    }

    /// Operations of the one that leads.
    fn ops(&mut self, cx: &mut MateCx<'_>, first: u64, mut ops: Bytes) -> Result<(), Malformed> {
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.count == first) else { return Err(Malformed) };
        while !ops.is_empty() {
            match mirror.apply(cx.now, Op::take(&mut ops)?)? {
                Some(News::Committed(counted)) => self.events.push_back(MateEvent::Committed(counted)),
                Some(News::Taken(forward)) => {
                    let accepted = self.forwards.taken(forward);
                    self.events.extend(accepted.into_iter().map(MateEvent::Accepted));
                }
                Some(News::Complete) => tracing::info!("everything of the mate is mirrored"),
                None => {}
            }
        }
        self.link.ack_due();
        Ok(())
    }

    /// To be called when a batch of input is through.
    pub(crate) fn end_batch(&mut self, cx: &mut MateCx<'_>) {
        let Some(assoc) = self.link.assoc() else { return };
        if self.link.take_ack_due()
            && let Some(mirror) = &self.mirror
        {
            let ack = MateMessage::Ack(mirror.count);
            self.say(cx, &ack);
        }
        if cx.journal.is_over() {
            self.counters.overruns += 1;
            cx.journal.end();
            return self.part(cx);
        }
        while let Some(message) = cx.journal.next_message() {
            let message = message.clone();
            if !link::send(cx, assoc, message) {
                break;
            }
            cx.journal.sent();
        }
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
