//! Of two gateways: what the one that follows is told of a pool, what one that begins to lead takes over, and what the controllers say
//! to its leading.

use super::controller::{Controller, Phase};
use super::{Cx, Pool};
use crate::group::{GroupId, Owner};
use crate::mate::journal::Journal;
use crate::mate::mirror::Mirrored;
use crate::mate::wire::Op;
use crate::msu::Msu;
use m3ua_lite::session::{CorrelationId, GroupKey, HEARTBEAT_MAX, Heartbeat};
use m3ua_lite::wire::{Beat, Message};
use sctp::AssocId;
use std::time::{Duration, Instant};

/// Between two claims to a controller that did not agree.
const CLAIM_AGAIN: Duration = Duration::from_millis(200);

/// Where a message of the network comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The peer's own number of it in its group, if it gives numbers.
    pub(crate) id: CorrelationId,
    /// The number that the other gateway gave it; 0: it came here.
    pub(crate) forward: u64,
}

/// What a controller says to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) pe: u32,
    pub(crate) term: u32,
    pub(crate) agrees: bool,
}

impl Controller {
    /// Tells it that this gateway leads with this term.
    fn claim(&mut self, cx: &mut Cx<'_>, term: u32) {
        let mut room = [0; HEARTBEAT_MAX];
        let data = Heartbeat::Lead(term).encode(&mut room);
        self.claim_at = cx.now + CLAIM_AGAIN;
        self.send(cx, 0, true, &Message::Beat(Beat { data: Some(data) }));
    }

    /// The same, if it has not agreed yet.
    pub(super) fn claim_again(&mut self, cx: &mut Cx<'_>, term: u32) {
        let asked = self.phase == Phase::Active && !self.foreign;
        if term != 0 && self.agreed != term && asked && self.claim_at <= cx.now {
            self.claim(cx, term);
        }
    }

    /// When to.
    pub(super) fn claim_due(&self, term: u32) -> Option<Instant> {
        let asked = self.phase == Phase::Active && !self.foreign;
        (term != 0 && self.agreed != term && asked).then_some(self.claim_at)
    }
}

impl Pool {
    /// Messages of a group up to this one are out of its queue.
    pub(super) fn note_confirmed(&self, cx: &mut Cx<'_>, id: GroupId, upto: Option<CorrelationId>) {
        if let Some(upto) = upto {
            let (server, key) = (self.settings.number, self.keys[id.0 as usize]);
            cx.journal.note(|| Op::Confirmed(server, key, upto));
        }
    }

    /// Gives output its numbers, if there may be a second gateway that sends it again.
    pub(super) fn number(&mut self, cx: &mut Cx<'_>, id: GroupId, outputs: &mut [Msu]) {
        if cx.journal.is_paired() {
            let group = &mut self.groups[id.0 as usize];
            outputs.iter_mut().for_each(|msu| msu.id = group.number_output(msu.sls));
        }
    }

    /// Tells everything, for a gateway that begins to mirror.
    pub(crate) fn tell_all(&self, now: Instant, journal: &mut Journal) {
        let server = self.settings.number;
        for (group, key) in self.groups.iter().zip(&self.keys) {
            let owner = match group.owner {
                Owner::Controller(assoc) => self.controllers.get(&assoc).map_or(0, |controller| controller.pe),
                Owner::Nobody | Owner::Fenced => 0,
            };
            journal.note(|| Op::Group(server, *key, group.state(now, owner)));
            for copy in group.queue() {
                let (id, source, data) = (copy.correlation_id, CorrelationId::NONE, copy.data.clone());
                journal.note(|| Op::Offered { server, key: *key, sls: 0, id, source, forward: 0, data });
            }
        }
    }

    /// A group of the gateway that ended goes on here: with the controller that had it, if that is there, else with the next.
    pub(crate) fn adopt(&mut self, cx: &mut Cx<'_>, key: GroupKey, mirrored: Mirrored) {
        let Mirrored { state, cookie_at, queue, .. } = mirrored;
        let Some(id) = self.group(key) else { return };
        let owner = state.owner;
        self.counters.offered += queue.len() as u64;
        self.queued.messages += queue.len();
        self.queued.bytes += queue.iter().map(|copy| copy.data.len()).sum::<usize>();
        self.with_state(id, |group| group.adopt(state, cookie_at, queue));
        let serves = |c: &Controller| c.pe == owner && c.phase == Phase::Active && !c.on_probation;
        let same = self.controllers.values().find(|controller| serves(controller)).map(|controller| controller.assoc);
        let group = &self.groups[id.0 as usize];
        match same {
            Some(assoc) if self.gather.is_none() => self.give(cx, assoc, id),
            _ if group.len() > 0 || group.cookie().is_some() => self.assign(cx, id),
            _ => {}
        }
    }

    /// This gateway leads with this term; with 0 it does not, or is the only one.
    pub(crate) fn set_term(&mut self, term: u32, standby: bool) {
        (self.term, self.settings.standby) = (term, standby);
    }

    /// Asks the controllers whether this gateway may lead with this term. Gives those that are asked.
    pub(crate) fn claim(&mut self, cx: &mut Cx<'_>, term: u32) -> Vec<u32> {
        let active = self.controllers.values_mut().filter(|c| c.phase == Phase::Active && !c.foreign);
        active
            .map(|controller| {
                controller.claim(cx, term);
                controller.pe
            })
            .collect()
    }

    /// A controller agrees to a term, or says which one it knows.
    pub(super) fn vote(&mut self, assoc: AssocId, term: u32, agrees: bool) {
        let Some(controller) = self.controllers.get_mut(&assoc).filter(|controller| !controller.foreign) else {
            return;
        };
        if agrees {
            controller.agreed = term;
        }
        // More than one a controller at a time says nothing.
        if self.votes.len() < self.settings.server.associations_max {
            self.votes.push_back(Vote { pe: controller.pe, term, agrees });
        }
    }

    /// The next one.
    pub(crate) fn poll_vote(&mut self) -> Option<Vote> {
        self.votes.pop_front()
    }

    /// This gateway leads no more: nothing of what it was about to do happens.
    pub(crate) fn abandon(&mut self, cx: &mut Cx<'_>) {
        for (pe, element) in &self.elements {
            if element.attached {
                cx.directory.withdraw(cx.now, &self.handle, *pe);
            }
        }
        for assoc in self.controllers.keys() {
            cx.net.abort(cx.now, *assoc);
        }
    }
}
