//! The other gateway is silent: it may be dead, hang, or be cut off from this one only. The controllers, which serve both, decide:
//! a controller agrees to a gateway's leading only while no other one that it knows to lead is alive there, and only with a term
//! above all that it knows.

use super::{Mate, MateCx, MateEvent, Role, ms};
use std::collections::BTreeSet;
use std::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Suspicion {
    /// When the controllers are asked next.
    ask_at: Instant,
    /// Until when the one that leads may act as it is.
    pub(super) until: Option<Instant>,
    /// When this gateway gives up what it mirrored.
    over_at: Option<Instant>,
    /// The term that they are asked for.
    term: u32,
    /// PE identifiers of the controllers that this gateway had when the other one was lost.
    voters: BTreeSet<u32>,
    agreed: BTreeSet<u32>,
}

impl Suspicion {
    pub(super) fn new(ask_at: Instant, until: Option<Instant>) -> Self {
        Self { ask_at, until, over_at: None, term: 0, voters: BTreeSet::new(), agreed: BTreeSet::new() }
    }

    pub(super) fn due(&self) -> Instant {
        self.until.map_or(self.ask_at, |until| until.min(self.ask_at))
    }
}

impl Mate {
    /// Asks the controllers, if that is due; decides at the start.
    pub(super) fn suspect(&mut self, cx: &mut MateCx<'_>) {
        if self.role == Role::Joining && self.alone_at.is_some_and(|at| at <= cx.now) {
            self.alone_at = None;
            if self.link.is_up() {
                // It is there, and will lead or say that it does.
                return;
            }
            self.suspicion = Some(Suspicion::new(cx.now, None));
        }
        let Some(suspicion) = &mut self.suspicion else { return };
        if suspicion.ask_at > cx.now {
            return;
        }
        suspicion.ask_at = cx.now + ms(self.config.beat_ms);
        let patience = ms(self.config.lease_ms) * 2;
        if self.role == Role::Follower && *suspicion.over_at.get_or_insert(cx.now + patience) <= cx.now {
            // The other one goes on without this one: what is mirrored is not true any more.
            tracing::warn!("the controllers do not agree: this gateway begins anew");
            return self.rejoin(cx.now);
        }
        let term = self.term.saturating_add(1);
        if suspicion.term != term {
            suspicion.term = term;
            suspicion.agreed.clear();
        }
        self.events.push_back(MateEvent::Ask(term));
    }

    /// These controllers were asked.
    pub(crate) fn asked(&mut self, cx: &mut MateCx<'_>, controllers: &[u32]) {
        let Some(suspicion) = &mut self.suspicion else { return };
        // Those of the moment when the other one was lost; at the start those that there are.
        if suspicion.voters.is_empty() || self.role == Role::Joining {
            suspicion.voters.extend(controllers);
        }
        self.count(cx);
    }

    /// A controller agrees to this gateway's leading with this term.
    pub(crate) fn agreed(&mut self, cx: &mut MateCx<'_>, controller: u32, term: u32) {
        let Some(suspicion) = self.suspicion.as_mut().filter(|suspicion| suspicion.term == term) else { return };
        suspicion.agreed.insert(controller);
        self.count(cx);
    }

    /// A controller does not agree: it knows this term.
    pub(crate) fn refused(&mut self, cx: &mut MateCx<'_>, term: u32) {
        match self.role {
            // Somebody led on with it: what is mirrored is of before.
            Role::Follower if self.suspicion.is_some() && term > self.term => self.rejoin(cx.now),
            Role::Follower => {}
            Role::Joining => self.term = self.term.max(term),
            // As of an earlier start of both.
            Role::Lead if term >= self.term => {
                self.term = term.saturating_add(1);
                self.greet(cx, false);
            }
            Role::Lead => {}
        }
    }

    fn count(&mut self, cx: &mut MateCx<'_>) {
        let Some(suspicion) = &self.suspicion else { return };
        let (all, agreed) = (suspicion.voters.len(), suspicion.agreed.intersection(&suspicion.voters).count());
        match self.role {
            // Half of them is enough for one of the two only.
            Role::Lead if agreed * 2 >= all => {
                self.term = suspicion.term;
                self.alone();
            }
            Role::Follower if agreed * 2 > all => self.lead(cx, 0),
            Role::Joining if agreed * 2 > all || all == 0 => self.lead(cx, 0),
            Role::Lead | Role::Follower | Role::Joining => {}
        }
    }
}
