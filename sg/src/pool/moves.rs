//! Planned moves: a controller that joins or comes back gets its share of the groups while traffic flows.
//!
//! The gateway asks the owner for a group (`SPRL`, ordered behind the group's DATA) and from then on keeps the group's messages. The
//! owner commits what it did, forgets the group and echoes; its cookie comes before the echo on the same stream. So at the echo the
//! last committed cookie is all there is to know, and the group goes to its new owner as in a takeover.
//! A move has no undo: the owner echoes, or it is given up and the group goes the way of all its groups.

use super::controller::{Ask, Controller, Echo, Phase};
use super::{Cx, Pool, Share, ms};
use crate::config;
use crate::group::{GroupId, Owner};
use crate::record::GiveUp;
use m3ua_lite::session::{GroupKey, HEARTBEAT_MAX, Heartbeat, stream_for};
use m3ua_lite::wire::{Beat, Message};
use sctp::AssocId;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// A move that has not begun.
#[derive(Debug, Clone, Copy)]
struct Planned {
    id: GroupId,
    from: AssocId,
    to: AssocId,
}

/// The owner was asked for a group and has not echoed yet.
#[derive(Debug, Clone, Copy)]
struct Asked {
    from: AssocId,
    to: AssocId,
    at: Instant,
}

/// The moves of one pool.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// When to look whether the groups are shared fairly.
    look_at: Option<Instant>,
    /// To be begun, in this order, as others end.
    plan: VecDeque<Planned>,
    asked: BTreeMap<GroupId, Asked>,
}

impl Moves {
    /// Begun and not ended.
    pub(super) fn outstanding(&self) -> usize {
        self.asked.len()
    }

    /// Not begun.
    pub(super) fn planned(&self) -> usize {
        self.plan.len()
    }
}

/// A controller that takes part in sharing.
#[derive(Debug, Clone, Copy)]
struct Member {
    assoc: AssocId,
    weight: i128,
    groups: i128,
}

impl Member {
    /// How far above its fair number of groups, in parts of `weights` to a group; below: negative.
    fn surplus(&self, groups: i128, weights: i128) -> i128 {
        self.groups * weights - groups * self.weight
    }
}

impl Pool {
    /// Groups are to be shared anew, soon: others may join at the same time, and their weights have to be known.
    pub(super) fn share_soon(&mut self, now: Instant) {
        let server = &self.settings.server;
        let shares = server.transactions && server.traffic_mode == config::TrafficMode::Loadshare;
        let drains = self.elements.values().any(|element| element.drained);
        if drains || (shares && self.settings.failover.rebalance) {
            self.moves.look_at.get_or_insert(now + ms(self.settings.failover.rebalance_after_ms));
        }
    }

    /// Groups are to be looked at now.
    pub(super) fn look_at_moves(&mut self, now: Instant) {
        self.moves.look_at = Some(now);
    }

    /// Does what is due: controllers that do not give back, and sharing anew.
    pub(super) fn handle_moves(&mut self, cx: &mut Cx<'_>) {
        let over = self.patience().filter(|(_, until)| *until <= cx.now).map(|(assoc, _)| assoc);
        for assoc in over.collect::<Vec<_>>() {
            self.give_up(cx, assoc, GiveUp::Beat, false);
        }
        if self.moves.look_at.is_some_and(|at| at <= cx.now) {
            self.moves.look_at = None;
            self.plan_moves(cx);
            self.begin_moves(cx);
        }
    }

    /// When [`Pool::handle_moves`] has something to do.
    pub(super) fn next_move(&self) -> Option<Instant> {
        self.moves.look_at.into_iter().chain(self.patience().map(|(_, until)| until)).min()
    }

    /// Who was asked for a group, and until when it has to give it back: as long as for confirming a message.
    fn patience(&self) -> impl Iterator<Item = (AssocId, Instant)> + '_ {
        let failover = &self.settings.failover;
        let owners = self.moves.asked.values().filter_map(|asked| Some((asked, self.controllers.get(&asked.from)?)));
        owners.map(move |(asked, owner)| (asked.from, owner.stuck_at(asked.at, failover)))
    }

    /// Plans the fewest moves after which every controller has its fair number of groups, give or take one.
    fn plan_moves(&mut self, cx: &mut Cx<'_>) {
        self.moves.plan.clear();
        if !self.fences.is_empty()
            || self.gather.is_some()
            || self.waiting.iter().any(|id| self.groups[id.0 as usize].waits)
        {
            // Groups are on their way to an owner by the pool's policy: count when they are there.
            return self.share_soon(cx.now);
        }
        let Some(mut members) = self.members(cx) else { return };
        self.plan_drains(&mut members);
        let server = &self.settings.server;
        let shares = server.transactions && server.traffic_mode == config::TrafficMode::Loadshare;
        if !(shares && self.settings.failover.rebalance) {
            return;
        }
        let (groups, weights) = members.iter().fold((0, 0), |(g, w), m| (g + m.groups, w + m.weight));
        let mut to_give: BTreeMap<AssocId, Vec<GroupId>> = BTreeMap::new();
        loop {
            let surplus = |member: &Member| member.surplus(groups, weights);
            let most = (0..members.len()).max_by_key(|at| surplus(&members[*at]));
            let least = (0..members.len()).min_by_key(|at| surplus(&members[*at]));
            let (Some(most), Some(least)) = (most, least) else { return };
            // One group less here and one more there must be nearer to fair, else it goes back and forth.
            if weights == 0 || surplus(&members[most]) - surplus(&members[least]) <= weights {
                return;
            }
            members[most].groups -= 1;
            members[least].groups += 1;
            let (from, to) = (members[most].assoc, members[least].assoc);
            let Some(id) = to_give.entry(from).or_insert_with(|| self.to_give(from)).pop() else { return };
            self.moves.plan.push_back(Planned { id, from, to });
        }
    }

    /// All groups of controllers that are to have none, each to whom it brings nearest to a fair number.
    fn plan_drains(&mut self, members: &mut [Member]) {
        let drained = self.controllers.values().filter(|c| self.elements.get(&c.pe).is_some_and(|e| e.drained));
        for from in drained.map(|controller| controller.assoc).collect::<Vec<_>>() {
            // Those best to be moved first come last.
            for id in self.to_give(from).into_iter().rev() {
                let (groups, weights) = members.iter().fold((0, 0), |(g, w), m| (g + m.groups, w + m.weight));
                let Some(to) = members.iter_mut().min_by_key(|member| member.surplus(groups, weights)) else { return };
                to.groups += 1;
                self.moves.plan.push_back(Planned { id, from, to: to.assoc });
            }
        }
    }

    /// The active controllers of the pool with their weights, and their groups as they will be when what has begun has ended.
    /// `None`: there is nothing to share, or nobody who takes any.
    fn members(&mut self, cx: &mut Cx<'_>) -> Option<Vec<Member>> {
        let (mut members, mut unknown) = (Vec::new(), false);
        for (assoc, controller) in &self.controllers {
            // One that left the pool keeps its groups while it lives, and gets none.
            let takes_groups = controller.phase == Phase::Active && !controller.on_probation && !controller.foreign;
            if !takes_groups || !self.is_in_pool(controller) || !controller.echoes_exactly() {
                continue;
            }
            let weight = match cx.directory.share(&self.handle, controller.pe) {
                Share::Weight(weight) => i128::from(weight),
                Share::Unknown => {
                    unknown = true;
                    continue;
                }
                Share::None => return None,
            };
            members.push(Member { assoc: *assoc, weight, groups: controller.groups.len() as i128 });
        }
        if unknown {
            self.share_soon(cx.now);
        }
        for asked in self.moves.asked.values() {
            for (assoc, change) in [(asked.from, -1), (asked.to, 1)] {
                members.iter_mut().filter(|m| m.assoc == assoc).for_each(|m| m.groups += change);
            }
        }
        (!members.is_empty()).then_some(members)
    }

    /// The controller that a group was asked back for.
    pub(super) fn moves_to(&self, id: GroupId) -> Option<u32> {
        let asked = self.moves.asked.get(&id)?;
        self.controllers.get(&asked.to).map(|controller| controller.pe)
    }

    /// It is registered, and may have groups.
    fn is_in_pool(&self, controller: &Controller) -> bool {
        self.elements.get(&controller.pe).is_some_and(|element| element.in_pool && !element.takes_none())
    }

    /// A controller's groups, those last that are best to be moved first: nothing on its way, and little state, which means few calls.
    fn to_give(&self, assoc: AssocId) -> Vec<GroupId> {
        let groups = self.controllers.get(&assoc).map(|controller| &controller.groups);
        let mut groups: Vec<GroupId> = groups.into_iter().flatten().copied().collect();
        groups.retain(|id| !self.groups[id.0 as usize].asked_back);
        groups.sort_by_cached_key(|id| {
            let group = &self.groups[id.0 as usize];
            std::cmp::Reverse((group.len(), group.cookie().map_or(0, bytes::Bytes::len), *id))
        });
        groups
    }

    /// Begins planned moves, as many as may be outstanding.
    fn begin_moves(&mut self, cx: &mut Cx<'_>) {
        while self.moves.asked.len() < self.settings.failover.moves_outstanding_max {
            let Some(planned) = self.moves.plan.pop_front() else { return };
            if self.ask_back(cx, planned).is_none() {
                // Things are not as they were: look again.
                self.share_soon(cx.now);
            }
        }
    }

    /// Asks the owner for a group. `None`: not now.
    fn ask_back(&mut self, cx: &mut Cx<'_>, Planned { id, from, to }: Planned) -> Option<()> {
        let (key, group) = (self.keys[id.0 as usize], &self.groups[id.0 as usize]);
        let ready = group.owner == Owner::Controller(from) && !group.asked_back;
        let to_pe = self.controllers.get(&to).filter(|to| to.is_prompt(cx.now) && self.is_in_pool(to))?.pe;
        let controller = self.controllers.get_mut(&from).filter(|from| from.is_prompt(cx.now))?;
        if !(ready && controller.knows_session()) {
            return None;
        }
        let mut room = [0; HEARTBEAT_MAX];
        let beat = Message::Beat(Beat { data: Some(Heartbeat::Release(key).encode(&mut room)) });
        let stream = stream_for(&key, controller.streams);
        if !controller.send(cx, stream, false, &beat) {
            return None;
        }
        controller.note_asked(Ask::Release(key));
        controller.live.asked(cx.now);
        controller.asked_back += 1;
        self.groups[id.0 as usize].asked_back = true;
        cx.record.moving(cx.now, controller.pe, to_pe, &key);
        self.moves.asked.insert(id, Asked { from, to, at: cx.now });
        self.counters.moves_started += 1;
        Some(())
    }

    /// The echo came: the owner has committed all it did with the group, and forgot it.
    pub(super) fn given_back(&mut self, cx: &mut Cx<'_>, assoc: AssocId, key: &GroupKey) {
        let id = self.by_key.get(key).copied();
        let asked = id.and_then(|id| Some((id, *self.moves.asked.get(&id)?))).filter(|(_, asked)| asked.from == assoc);
        let Some((id, asked)) = asked else {
            self.counters.stray_echoes += 1;
            return;
        };
        let group = &mut self.groups[id.0 as usize];
        if group.held() > 0 {
            // It owes a cookie and will never send it.
            self.counters.malformed_from_pool += 1;
            return self.give_up(cx, assoc, GiveUp::Abort, false);
        }
        // As with a barrier: what it got and has no cookie for, it could not use.
        let last = group.last_sent();
        let freed = group.confirm_sent();
        group.asked_back = false;
        group.owner = Owner::Nobody;
        self.moves.asked.remove(&id);
        self.note_confirmed(cx, id, last);
        self.freed(cx.now, assoc, freed);
        if let Some(controller) = self.controllers.get_mut(&assoc) {
            controller.asked_back -= 1;
            controller.groups.remove(&id);
            controller.queued -= self.groups[id.0 as usize].len();
        }
        if self.controllers.get(&asked.to).is_some_and(|to| to.phase == Phase::Active && self.is_in_pool(to)) {
            self.counters.moves_completed += 1;
            self.give(cx, asked.to, id);
        } else {
            self.counters.moves_cancelled += 1;
            self.free(cx, id);
        }
        self.begin_moves(cx);
    }

    /// A controller leaves or is given up: its groups move by themselves. What was planned with it has to be thought over.
    pub(super) fn cancel_moves(&mut self, now: Instant, assoc: AssocId) {
        let Self { moves, groups, counters, .. } = self;
        let mut involved = moves.asked.values().any(|asked| asked.to == assoc);
        moves.asked.retain(|id, asked| {
            let keep = asked.from != assoc;
            if !keep {
                involved = true;
                groups[id.0 as usize].asked_back = false;
                counters.moves_cancelled += 1;
            }
            keep
        });
        moves.plan.retain(|planned| {
            let keep = planned.from != assoc && planned.to != assoc;
            involved |= !keep;
            keep
        });
        if let Some(controller) = self.controllers.get_mut(&assoc) {
            controller.asked_back = 0;
        }
        if involved {
            self.share_soon(now);
        }
    }
}

impl Controller {
    /// It heard and answered lately: not one that may hang.
    pub(super) fn is_prompt(&self, now: Instant) -> bool {
        self.phase == Phase::Active && !self.on_probation && self.live.is_prompt(now, self.rtt)
    }

    /// What it committed or answered shows that its echo will be known.
    fn knows_session(&self) -> bool {
        !self.foreign && self.echoes_exactly() && (self.transactions > 0 || self.live.has_answered())
    }

    /// It gives Heartbeat Data back, as far as is known.
    fn echoes_exactly(&self) -> bool {
        matches!(self.echo, Echo::Exact { .. })
    }
}
