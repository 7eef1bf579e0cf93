//! One application server: its groups, and the controllers of its pool.
//!
//! * this file: a message's way from the network into its group and to the group's owner; who owns
//! * [`waiting`]: groups without an owner; T(r)
//! * [`controller`]: one association to a controller
//! * [`broadcast`]: traffic mode broadcast, in which nobody owns a group
//! * [`preference`]: which controller a group without owner gets; [`explain`]: the same said in words
//! * [`overload`]: what is discarded when too much comes; the window toward a controller
//! * [`congestion`]: what the network is told of that
//! * [`elements`]: the pool's elements, connecting, ASP states
//! * [`input`]: what controllers send: output, cookies, BEATs
//! * [`takeover`]: giving a controller up, fencing, planned stops
//! * [`registration`]: what ASPs want of routing keys
//! * [`mirror`]: what the second gateway is told, and what this one takes over
//! * [`moves`]: planned moves, so that each controller has its share
//! * [`destinations`]: DUNA, DAVA, DAUD, SCON toward controllers and from them; [`per_sls`]: messages by SLS
//! * [`surroundings`]: associations, name service and record, as a pool sees them
//!
//! A message that was offered is in exactly one place: a group's queue, applied, or discarded with a counted cause.

mod attached;
mod broadcast;
mod congestion;
mod control;
mod controller;
mod destinations;
mod elements;
mod explain;
mod input;
mod mirror;
mod moves;
mod overload;
mod per_sls;
mod preference;
mod registration;
mod surroundings;
mod takeover;
#[cfg(test)]
mod tests;
mod view;

pub use attached::attached_identifier;
mod waiting;

use crate::config;
use crate::group::{Copy, Group, GroupId, Owner};
use crate::keys::Part;
use crate::mate::wire::Op;
use crate::msu;
use crate::network::Congested;
use crate::record::{Direction, Discard};
use asap::wire::PoolHandle;
use congestion::Congestion;
pub(crate) use control::{ControlView, GROUPS_MAX, GroupView, Wish};
use controller::{Controller, Phase};
use elements::Element;
pub(crate) use elements::Location;
use m3ua_lite::as_state::{As, AsConfig, AsState};
use m3ua_lite::session::{CorrelationId, GroupKey, SccpAffinity, stream_for};
use m3ua_lite::wire::{AffectedPc, Data, Message, ProtocolData, TrafficMode};
pub(crate) use mirror::Origin;
use mirror::Vote;
use moves::Moves;
use per_sls::PerSls;
pub(crate) use per_sls::SlsView;
use preference::ChosenBy;
pub(crate) use registration::Rkm;
use rustc_hash::FxHashMap;
use sctp::AssocId;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
pub(crate) use surroundings::{Cx, Directory, How, Share, Standing, Transport};
pub(crate) use view::{ControllerView, Counters, View};

/// Settings of a pool, ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) server: config::As,
    pub(crate) failover: config::Failover,
    /// Longest message SCTP takes.
    pub(crate) message_bytes_max: usize,
    /// Before the first Correlation Id of each group.
    pub(crate) first_id: CorrelationId,
    /// Which `[[as]]` table this is.
    pub(crate) number: u8,
    /// Another gateway leads, or may: nobody gets a group here.
    pub(crate) standby: bool,
}

/// One application server.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: Settings,
    handle: PoolHandle,
    started: Instant,
    as_state: As<AssocId>,
    by_key: FxHashMap<GroupKey, GroupId>,
    groups: Vec<Group>,
    keys: Vec<GroupKey>,
    /// Messages and bytes in all queues.
    queued: Queued,
    /// DAUDs of controllers, to be answered.
    audits: VecDeque<(AssocId, AffectedPc)>,
    /// What ASPs want of routing keys; taken after each message.
    rkm: VecDeque<(AssocId, Rkm)>,
    /// Routing keys of this application server that are not of the configuration.
    keys_added: Vec<Part>,
    congested: VecDeque<Congested>,
    per_sls: PerSls,
    /// Cookies and held output of all groups ([`Group::state_bytes`]).
    state_bytes: usize,
    /// Groups that have something for a controller and no owner, in the order in which they came to be so.
    waiting: VecDeque<GroupId>,
    /// T(r) for messages that wait before the AS was ever active.
    first_wait: Option<Instant>,
    /// More elements are about to become active: groups that wait are not all given to the first.
    gather: Option<Instant>,
    /// The network was told that the pool's point codes cannot be reached, and since when it has to be told again.
    unavailable: bool,
    availability_changed: bool,
    congestion: Congestion,
    elements: BTreeMap<u32, Element>,
    controllers: BTreeMap<AssocId, Controller>,
    /// Groups of controllers that were given up, and when they may move.
    fences: Vec<(Instant, Vec<GroupId>)>,
    moves: Moves,
    /// The gateway's term as the one that leads of two; else 0.
    term: u32,
    /// What controllers said to that.
    votes: VecDeque<Vote>,
    counters: Counters,
}

#[derive(Debug, Clone, Copy, Default)]
struct Queued {
    messages: usize,
    bytes: usize,
}

impl Pool {
    pub(crate) fn new(now: Instant, settings: Settings) -> Self {
        let server = &settings.server;
        let as_state = As::new(AsConfig {
            routing_context: server.routing_context,
            traffic_mode: match server.traffic_mode {
                config::TrafficMode::Loadshare => TrafficMode::Loadshare,
                config::TrafficMode::Override => TrafficMode::Override,
                config::TrafficMode::Broadcast => TrafficMode::Broadcast,
            },
            asps_min: server.asps_min,
            t_r_ms: server.t_r_ms,
        });
        Self {
            handle: PoolHandle::new(server.pool.clone().into_bytes()),
            started: now,
            as_state,
            by_key: FxHashMap::default(),
            groups: Vec::new(),
            keys: Vec::new(),
            queued: Queued::default(),
            audits: VecDeque::new(),
            rkm: VecDeque::new(),
            keys_added: Vec::new(),
            congested: VecDeque::new(),
            per_sls: PerSls::default(),
            state_bytes: 0,
            waiting: VecDeque::new(),
            first_wait: None,
            gather: None,
            unavailable: false,
            availability_changed: false,
            congestion: Congestion::default(),
            elements: BTreeMap::new(),
            controllers: BTreeMap::new(),
            fences: Vec::new(),
            moves: Moves::default(),
            term: 0,
            votes: VecDeque::new(),
            counters: Counters::default(),
            settings,
        }
    }

    /// The pool's handle.
    pub(crate) fn handle(&self) -> &PoolHandle {
        &self.handle
    }

    /// Takes a message of the network. It is sent, or queued, or discarded with a cause that is counted and recorded.
    pub(crate) fn offer(&mut self, cx: &mut Cx<'_>, message: &ProtocolData<'_>, origin: Origin) {
        let affinity = SccpAffinity::from(self.settings.server.sccp_affinity);
        let grouped = affinity.of_network(message);
        let known = grouped.as_ref().and_then(|(key, _)| self.by_key.get(key));
        if known.is_some_and(|id| !self.groups[id.0 as usize].is_new(message.sls, origin.id)) {
            self.counters.repeated += 1;
            return;
        }
        self.counters.offered += 1;
        self.per_sls.offered(message.sls);
        let Some((key, by)) = grouped else {
            return self.discard(cx, Discard::Malformed, message);
        };
        self.counters.grouped(by);
        if self.unavailable && self.as_state.state() != AsState::Active {
            return self.discard(cx, Discard::AsPendingExpired, message);
        }
        let Some(id) = self.group(key) else { return self.discard(cx, Discard::QueueFull, message) };
        let correlation_id = self.groups[id.0 as usize].next_id();
        let data = msu::encode(&Message::Data(Data {
            network_appearance: self.settings.server.network_appearance,
            routing_context: Some(self.settings.server.routing_context),
            protocol_data: *message,
            correlation_id: Some(correlation_id.0),
        }));
        let Some(data) = data.filter(|data| data.len() <= self.settings.message_bytes_max) else {
            return self.discard(cx, Discard::Malformed, message);
        };
        if let Err(cause) = self.admit(id, message, data.len()) {
            return self.discard(cx, cause, message);
        }
        self.note_queued(id);
        self.queued.messages += 1;
        self.queued.bytes += data.len();
        let (server, Origin { id: source, forward }) = (self.settings.number, origin);
        let sls = message.sls;
        cx.journal.note(|| Op::Offered { server, key, sls, id: correlation_id, source, forward, data: data.clone() });
        self.groups[id.0 as usize].took(sls, source);
        self.groups[id.0 as usize].push(Copy { correlation_id, data });
        self.serve(cx, id);
    }

    /// Gives a group's waiting messages to its owner, or the group to an owner.
    fn serve(&mut self, cx: &mut Cx<'_>, id: GroupId) {
        match self.groups[id.0 as usize].owner {
            Owner::Controller(assoc) => {
                if !self.queue_behind(assoc, id) {
                    self.pump(cx, assoc, id);
                }
            }
            Owner::Fenced => {}
            Owner::Nobody if self.is_broadcast() => self.broadcast(cx, id),
            Owner::Nobody => self.assign(cx, id),
        }
    }

    /// Chooses an owner for a group that has none; without one it waits.
    fn assign(&mut self, cx: &mut Cx<'_>, id: GroupId) {
        match self.choose(cx, id) {
            Some(assoc) => self.give(cx, assoc, id),
            None => self.wait(cx, id),
        }
    }

    /// A controller by the pool's policy ([`preference`]). What is known of calls goes to one that understands it, if there is one.
    fn choose(&mut self, cx: &mut Cx<'_>, id: GroupId) -> Option<AssocId> {
        if self.gather.is_some() || self.has_too_few() {
            return None;
        }
        let (now, handle) = (cx.now, &self.handle);
        let has_calls = self.groups[id.0 as usize].cookie().is_some();
        let suits = |pe: u32| !has_calls || self.elements.get(&pe).is_some_and(|element| !element.attached);
        let mut select = |_, usable: &dyn Fn(u32) -> bool| {
            cx.directory.select(now, handle, &|pe| suits(pe) && usable(pe)).into_iter().collect()
        };
        let (assoc, by) = self.preference(now, 1, &mut select).into_iter().next()?;
        self.counters.chosen_by_groups += u64::from(by == ChosenBy::FewestGroups);
        Some(assoc)
    }

    fn give(&mut self, cx: &mut Cx<'_>, assoc: AssocId, id: GroupId) {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        self.groups[id.0 as usize].give_to(assoc);
        self.groups[id.0 as usize].waits = false;
        controller.groups.insert(id);
        controller.queued += self.groups[id.0 as usize].len();
        self.counters.given += 1;
        let (server, key, pe) = (self.settings.number, self.keys[id.0 as usize], controller.pe);
        cx.journal.note(|| Op::Owner(server, key, pe));
        cx.record.given(cx.now, pe, &key);
        self.pump(cx, assoc, id);
    }

    /// Sends the owner what it has not been sent: the cookie first, then the messages in order.
    /// False: SCTP, or the window toward the controller, had no room for all of it.
    fn pump(&mut self, cx: &mut Cx<'_>, assoc: AssocId, id: GroupId) -> bool {
        self.pump_some(cx, assoc, id, usize::MAX)
    }

    /// [`Pool::pump`] for `most` messages; the group is tried again for the rest.
    fn pump_some(&mut self, cx: &mut Cx<'_>, assoc: AssocId, id: GroupId, most: usize) -> bool {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return true };
        if controller.phase != Phase::Active {
            return true;
        }
        let group = &mut self.groups[id.0 as usize];
        if group.asked_back {
            return true;
        }
        let stream = stream_for(&self.keys[id.0 as usize], controller.streams);
        if group.echo_due
            && !controller.foreign
            && let Some(cookie) = group.cookie_to_echo(cx.now)
        {
            if controller.send_cookie_echo(cx, stream, cookie).is_err() {
                controller.blocked(id);
                return false;
            }
            group.echo_due = false;
        }
        let window = self.settings.server.unconfirmed_max;
        let mut sent = 0;
        while let Some(copy) = group.next_unsent() {
            if sent == most {
                controller.blocked(id);
                break;
            }
            let (correlation_id, data) = (copy.correlation_id, copy.data.clone());
            let open = controller.unconfirmed < window;
            self.counters.window_full += u64::from(!open);
            if !open || controller.send_data(cx, stream, id, correlation_id, data).is_err() {
                controller.blocked(id);
                return false;
            }
            group.mark_sent();
            sent += 1;
        }
        true
    }

    /// Runs `work` on a group and keeps the account of what controllers make all groups keep. False: it is more than the limit.
    fn with_state<R>(&mut self, id: GroupId, work: impl FnOnce(&mut Group) -> R) -> (R, bool) {
        let group = &mut self.groups[id.0 as usize];
        let before = group.state_bytes();
        let result = work(group);
        self.state_bytes = self.state_bytes + group.state_bytes() - before;
        (result, self.state_bytes <= self.settings.server.state_bytes_max)
    }

    fn set_unavailable(&mut self, unavailable: bool) {
        if std::mem::replace(&mut self.unavailable, unavailable) != unavailable {
            self.availability_changed = true;
        }
    }

    /// The group with this key; a new one if there is room.
    fn group(&mut self, key: GroupKey) -> Option<GroupId> {
        if let Some(id) = self.by_key.get(&key) {
            return Some(*id);
        }
        if self.groups.len() >= self.settings.server.groups_max {
            self.counters.groups_refused += 1;
            return None;
        }
        let id = GroupId(u32::try_from(self.groups.len()).ok()?);
        self.groups.push(Group::new(self.settings.first_id));
        self.keys.push(key);
        self.by_key.insert(key, id);
        Some(id)
    }

    fn discard(&mut self, cx: &mut Cx<'_>, cause: Discard, message: &ProtocolData<'_>) {
        self.counters.discarded.add(cause);
        cx.record.discarded(cx.now, cause, Direction::Up, message);
    }

    fn discard_copy(&mut self, cx: &mut Cx<'_>, copy: &Copy, cause: Discard) {
        match Message::decode(&copy.data) {
            Ok(Message::Data(data)) => self.discard(cx, cause, &data.protocol_data),
            // Encoded by ourselves as DATA.
            _ => self.counters.discarded.add(cause),
        }
    }

    /// To be called when a batch of input is through: barriers, and what found no room before.
    pub(crate) fn end_batch(&mut self, cx: &mut Cx<'_>) {
        let blocked: Vec<AssocId> =
            self.controllers.iter().filter(|(_, c)| !c.backlog.is_empty()).map(|(assoc, _)| *assoc).collect();
        for assoc in blocked {
            self.pump_backlog(cx, assoc);
        }
        self.controllers.values_mut().for_each(|controller| controller.grant_withheld(cx, &self.settings.failover));
        self.sweep_barriers(cx, false);
        self.follow_congestion(cx.now);
        debug_assert!(self.counters.balances(self.queued.messages), "a message is in two places, or in none");
    }

    /// Does what is due. `stall`: how long this gateway itself did not run.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Cx<'_>, stall: Option<Duration>) {
        if let Some(stall) = stall {
            self.controllers.values_mut().for_each(|controller| controller.excuse(cx.now, stall));
        }
        self.open_fences(cx);
        self.supervise(cx);
        // Here and not with each batch: by now what was sent meanwhile is read.
        self.sweep_barriers(cx, true);
        self.connect_due(cx);
        self.as_state.handle_timeout(self.now_ms(cx.now));
        self.drain_as_events(cx);
        if self.first_wait.is_some_and(|at| at <= cx.now) {
            self.expire_waiting(cx);
        }
        if self.gather.is_some_and(|at| at <= cx.now) {
            self.gather = None;
            self.assign_waiting(cx);
        }
        self.handle_moves(cx);
    }

    /// When [`Pool::handle_timeout`] or [`Pool::end_batch`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let recovery = self.as_state.poll_timeout().map(|at| self.started + ms(at));
        let fence = self.fences.iter().map(|(at, _)| *at).min();
        let connect = self.elements.values().filter_map(|element| element.connect_at()).min();
        let due = |c: &Controller| c.poll_timeout().into_iter().chain(c.claim_due(self.term)).min();
        let controllers = self.controllers.values().filter_map(due).min();
        let again = self.congestion.poll_timeout();
        [recovery, fence, connect, controllers, self.first_wait, self.gather, self.next_move(), again]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether the network must be told that the pool can (true) or cannot be reached, since the last call.
    pub(crate) fn take_availability_change(&mut self) -> Option<bool> {
        std::mem::take(&mut self.availability_changed).then_some(!self.unavailable)
    }

    /// False once T(r) ran out without a controller.
    pub(crate) fn is_available(&self) -> bool {
        !self.unavailable
    }

    /// Messages for it are taken: a controller is active, or was until T(r) ago.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.as_state.state(), AsState::Active | AsState::Pending)
    }

    /// Fewer ASPs are active than it takes to begin (n of n+k, RFC 4666 section 4.3.2); once it has begun, one is enough.
    fn has_too_few(&self) -> bool {
        self.settings.server.asps_min > 1 && !self.serves()
    }

    /// Nothing waits and nothing is unconfirmed.
    pub(crate) fn is_idle(&self) -> bool {
        self.queued.messages == 0
    }

    /// Controllers that are ASP-ACTIVE.
    pub(crate) fn active_controllers(&self) -> usize {
        self.controllers.values().filter(|controller| controller.phase == Phase::Active).count()
    }

    /// The associations to controllers.
    pub(crate) fn associations(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.controllers.keys().copied()
    }

    fn now_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
