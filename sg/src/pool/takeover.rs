//! Giving a controller up, and to whom its groups go when.
//!
//! The rule (ARCHITECTURE.md, lease): a group goes to another controller at the end of the last lease echoed plus a margin, or at once
//! when the controller's end is certain.

use super::controller::{Controller, Phase};
use super::{Cx, Pool, ms};
use crate::config::Prefers;
use crate::group::{GroupId, Owner};
use crate::record::{Discard, GiveUp};
use m3ua_lite::asp::AspState;
use sctp::{AssocId, CloseReason};
use std::time::Instant;

impl Pool {
    /// An association ended. False: not one of this pool.
    pub(crate) fn closed(&mut self, cx: &mut Cx<'_>, assoc: AssocId, reason: &CloseReason) -> bool {
        if !self.controllers.contains_key(&assoc) {
            return false;
        }
        let why = match reason {
            CloseReason::Unreachable => GiveUp::Unreachable,
            CloseReason::Silent | CloseReason::ConnectFailed => GiveUp::Silent,
            CloseReason::Shutdown => GiveUp::Shutdown,
            // Restarted: its state of before is gone, as after an ABORT. The type may grow.
            CloseReason::LocalAbort
            | CloseReason::PeerAbort(_)
            | CloseReason::Restarted
            | CloseReason::ProtocolViolation
            | _ => GiveUp::Abort,
        };
        self.remove(cx, assoc, why, reason.is_certain());
        true
    }

    /// Ends the association to a controller that is not to be trusted with its groups any more.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, assoc: AssocId, why: GiveUp, certain: bool) {
        if self.controllers.contains_key(&assoc) {
            cx.net.abort(cx.now, assoc);
            self.remove(cx, assoc, why, certain);
        }
    }

    /// From here on nothing that this controller sends counts. Its groups take back what is unconfirmed and move.
    fn remove(&mut self, cx: &mut Cx<'_>, assoc: AssocId, why: GiveUp, certain: bool) {
        let Some(controller) = self.controllers.remove(&assoc) else { return };
        // One that confirmed nothing may come back at once, as its lower layers are in order.
        if controller.hangs(cx.now, &self.settings.failover)
            && let Some(element) = self.elements.get_mut(&controller.pe)
        {
            element.stuck = true;
        }
        let at = if certain { cx.now } else { self.safe_from(cx.now, &controller) };
        // An element that cannot be reached again and again is given up once.
        if self.elements.get(&controller.pe).is_none_or(|element| !element.failed) {
            self.counters.given_up += 1;
            cx.record.gave_up(cx.now, controller.pe, why);
        }
        self.cancel_moves(cx.now, assoc);
        let mut groups: Vec<GroupId> = controller.groups.iter().copied().collect();
        groups.sort_unstable();
        for id in &groups {
            self.take_back(cx, &controller, *id);
        }
        self.tell(cx, &controller, why);
        self.forget_association(cx.now, controller.pe, assoc);
        // The AS first: with no controller left the groups wait, and T(r) runs.
        let now_ms = self.now_ms(cx.now);
        if self.as_state.handle_asp(now_ms, assoc, controller.sgp.asp_id(), AspState::Down, true).is_err() {
            debug_assert!(false, "an ASP that goes down needs no room");
        }
        self.drain_as_events(cx);
        if !groups.is_empty() {
            self.fences.push((at, groups));
            self.open_fences(cx);
        }
    }

    fn safe_from(&self, now: Instant, controller: &Controller) -> Instant {
        controller.lease.safe_from(now, ms(self.settings.failover.fence_margin_ms))
    }

    fn take_back(&mut self, cx: &mut Cx<'_>, controller: &Controller, id: GroupId) {
        let pe = controller.pe;
        if controller.foreign && self.settings.server.foreign_prefers == Prefers::Loss {
            let last = self.groups[id.0 as usize].last_sent();
            self.note_confirmed(cx, id, last);
            for copy in self.groups[id.0 as usize].give_away_sent() {
                self.queued.messages -= 1;
                self.queued.bytes -= copy.data.len();
                self.discard_copy(cx, &copy, Discard::FateUnknown);
            }
        }
        let group = &mut self.groups[id.0 as usize];
        group.owner = Owner::Fenced;
        self.state_bytes -= group.state_bytes();
        let (taken, dropped) = group.take_back();
        self.counters.held_dropped += dropped as u64;
        for correlation_id in taken {
            self.counters.taken_back += 1;
            cx.record.taken_back(cx.now, pe, correlation_id);
        }
        self.state_bytes += self.groups[id.0 as usize].state_bytes();
    }

    /// Resolution does not yield the element until it serves again; its failure is reported once.
    fn tell(&mut self, cx: &mut Cx<'_>, controller: &Controller, why: GiveUp) {
        let Some(element) = self.elements.get_mut(&controller.pe) else { return };
        let first = !std::mem::replace(&mut element.failed, true);
        if !first {
            return;
        }
        if self.withdraw_attached(cx, controller.pe) {
            return;
        }
        cx.directory.set_usable(cx.now, &self.handle, controller.pe, false);
        match why {
            GiveUp::Shutdown => {}
            GiveUp::Unreachable | GiveUp::Silent | GiveUp::Beat | GiveUp::Abort | GiveUp::AspDown => {
                cx.directory.report_unreachable(cx.now, &self.handle, controller.pe);
            }
        }
    }

    fn forget_association(&mut self, now: Instant, pe: u32, assoc: AssocId) {
        let Some(element) = self.elements.get_mut(&pe) else { return };
        if element.assoc == Some(assoc) {
            element.assoc = None;
            element.retry_at = now + ms(self.settings.failover.reconnect_ms);
            // A blocked ASP that attached by itself will come again, and is refused then.
            let keep = if element.attached { element.blocked } else { element.in_pool };
            if !keep {
                self.elements.remove(&pe);
            }
        }
    }

    /// Groups whose last owner certainly no longer acts get the next one, if there is something to do for them: messages, or calls
    /// whose timers must run somewhere.
    pub(super) fn open_fences(&mut self, cx: &mut Cx<'_>) {
        let mut free = Vec::new();
        self.fences.retain_mut(|(at, groups)| {
            let open = *at <= cx.now;
            if open {
                free.append(groups);
            }
            !open
        });
        for id in free {
            self.free(cx, id);
        }
    }

    /// A group has no owner: it gets the next one, or waits.
    pub(super) fn free(&mut self, cx: &mut Cx<'_>, id: GroupId) {
        self.groups[id.0 as usize].owner = Owner::Nobody;
        if self.unavailable {
            // T(r) ran out while the lease did not. This group only: thousands may come at once.
            self.expire(cx, id);
        }
        let group = &self.groups[id.0 as usize];
        if group.len() > 0 || group.cookie().is_some() {
            self.assign(cx, id);
        }
    }

    /// A controller leaves by its own wish (ASPIA, ASPDN, override): it gets nothing new, finishes what it was sent, and each of its
    /// groups moves as soon as it has.
    pub(super) fn drain(&mut self, cx: &mut Cx<'_>, assoc: AssocId) {
        self.cancel_moves(cx.now, assoc);
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        controller.phase = Phase::Draining(cx.now + ms(self.settings.failover.drain_ms));
        controller.clear_backlog();
        let pe = controller.pe;
        if !self.withdraw_attached(cx, pe) {
            cx.directory.set_usable(cx.now, &self.handle, pe, false);
        }
        self.drained(cx, assoc);
    }

    /// Moves the groups of a leaving controller that have nothing unconfirmed any more.
    pub(super) fn drained(&mut self, cx: &mut Cx<'_>, assoc: AssocId) {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        if !matches!(controller.phase, Phase::Draining(_)) {
            return;
        }
        let done = |id: &GroupId| {
            let group = &self.groups[id.0 as usize];
            group.unconfirmed() == 0 && group.held() == 0
        };
        let mut moved: Vec<GroupId> = controller.groups.iter().copied().filter(done).collect();
        moved.sort_unstable();
        for id in &moved {
            controller.groups.remove(id);
            controller.queued -= self.groups[id.0 as usize].len();
        }
        if controller.groups.is_empty() {
            controller.phase = Phase::Inactive;
        }
        for id in moved {
            self.groups[id.0 as usize].echo_due = false;
            self.free(cx, id);
        }
    }

    /// BEATs, and controllers that are dead, too slow to start, or too slow to leave.
    pub(super) fn supervise(&mut self, cx: &mut Cx<'_>) {
        let mut over = Vec::new();
        for (assoc, controller) in &mut self.controllers {
            let rtt = cx.net.rtt(*assoc);
            controller.rtt = rtt;
            let late = match controller.phase {
                Phase::Starting(at) | Phase::Draining(at) if at <= cx.now => Some(GiveUp::AspDown),
                Phase::Starting(_) | Phase::Draining(_) | Phase::Active | Phase::Inactive => None,
            };
            let dead = controller.live.deadline(rtt).filter(|at| *at <= cx.now).map(|_| GiveUp::Beat);
            match dead.or(late) {
                Some(why) => over.push((*assoc, why)),
                None => {
                    controller.beat(cx);
                    controller.claim_again(cx, self.term);
                }
            }
        }
        for (assoc, why) in over {
            self.give_up(cx, assoc, why, false);
        }
    }

    /// Barriers that are due, and, when they are to be judged, controllers that answer but confirm nothing.
    pub(super) fn sweep_barriers(&mut self, cx: &mut Cx<'_>, judge: bool) {
        let mut over = Vec::new();
        let failover = &self.settings.failover;
        for (assoc, controller) in &mut self.controllers {
            if controller.barriers.due().is_none_or(|due| due > cx.now) {
                continue;
            }
            let groups = &self.groups;
            let oldest = controller.sweep_barriers(cx, |id, correlation_id| {
                let group = &groups[id.0 as usize];
                group.owner != Owner::Controller(*assoc) || group.is_confirmed(correlation_id)
            });
            if judge && oldest.is_some_and(|at| controller.stuck_at(at, failover) <= cx.now) {
                over.push(*assoc);
            }
        }
        for assoc in over {
            self.give_up(cx, assoc, GiveUp::Beat, false);
        }
    }
}
