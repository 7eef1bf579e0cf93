//! The pool's elements: associations to them are kept up before they are needed.

use super::controller::{Controller, Phase};
use super::{Cx, How, Pool, ms};
use crate::msu;
use crate::record::GiveUp;
use m3ua_lite::as_state::{AsEvent, AsState};
use m3ua_lite::asp::{AspState, Replies};
use m3ua_lite::sgp::{AsMember, AspIdRule, Sgp, SgpConfig};
use sctp::{AssocId, ppid};
use std::net::IpAddr;
use std::time::Instant;

/// Where an element listens for M3UA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) port: u16,
}

/// One pool element.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) location: Location,
    pub(super) assoc: Option<AssocId>,
    /// When to connect, if there is no association.
    pub(super) retry_at: Instant,
    /// It is registered; else its association is only kept while it has groups.
    pub(super) in_pool: bool,
    /// It was given up and has not been active since.
    pub(super) failed: bool,
    /// When its association ended it had confirmed nothing for long. One whose call control hangs comes back at once, and hangs still.
    pub(super) stuck: bool,
    /// It attached by itself: nobody connects to it.
    pub(super) attached: bool,
    /// An operator wants it to have no groups.
    pub(super) drained: bool,
    /// An operator wants no association to it.
    pub(super) blocked: bool,
}

impl Element {
    pub(super) fn new(now: Instant, location: Location) -> Self {
        Self {
            location,
            assoc: None,
            retry_at: now,
            in_pool: true,
            failed: false,
            stuck: false,
            attached: false,
            drained: false,
            blocked: false,
        }
    }

    pub(super) fn connect_at(&self) -> Option<Instant> {
        (self.in_pool && !self.attached && !self.blocked && self.assoc.is_none()).then_some(self.retry_at)
    }
}

impl Pool {
    /// An element is registered, perhaps with another location than before.
    pub(crate) fn element_there(&mut self, cx: &mut Cx<'_>, pe: u32, location: Location) {
        let element = self.elements.entry(pe).or_insert_with(|| Element::new(cx.now, location.clone()));
        if !element.in_pool || element.location != location {
            element.retry_at = cx.now;
        }
        element.in_pool = true;
        element.location = location;
        self.connect_due(cx);
        if self.gather.is_none() {
            self.assign_waiting(cx);
        }
    }

    /// An element is not registered any more. What it works on it goes on with, while it lives.
    pub(crate) fn element_gone(&mut self, cx: &mut Cx<'_>, pe: u32) {
        let Some(element) = self.elements.get_mut(&pe) else { return };
        element.in_pool = false;
        if element.attached {
            // Its association is its own business.
            return;
        }
        match element.assoc.and_then(|assoc| self.controllers.get(&assoc)) {
            Some(controller) if controller.groups.is_empty() => cx.net.shutdown(cx.now, controller.assoc),
            Some(_) => {}
            None => {
                self.elements.remove(&pe);
            }
        }
    }

    /// The identifiers of the registered elements.
    pub(crate) fn registered(&self) -> Vec<u32> {
        self.elements.iter().filter(|(_, element)| element.in_pool).map(|(pe, _)| *pe).collect()
    }

    /// Connects to registered elements without association.
    pub(super) fn connect_due(&mut self, cx: &mut Cx<'_>) {
        let due = self.elements.iter().filter(|(_, e)| e.connect_at().is_some_and(|at| at <= cx.now));
        let due: Vec<u32> = due.map(|(pe, _)| *pe).collect();
        for pe in due {
            self.connect(cx, pe);
        }
    }

    fn connect(&mut self, cx: &mut Cx<'_>, pe: u32) {
        let full = self.controllers.len() >= self.settings.server.associations_max;
        let Some(element) = self.elements.get_mut(&pe) else { return };
        element.retry_at = cx.now + ms(self.settings.failover.reconnect_ms);
        if full {
            self.counters.associations_refused += 1;
            // A spare is enough: look again when something may have changed.
            element.retry_at = cx.now + ms(self.settings.failover.idle_beat_ms);
            return;
        }
        let Some(assoc) = cx.net.connect(cx.now, &element.location.addresses, element.location.port) else {
            self.counters.associations_refused += 1;
            return;
        };
        element.assoc = Some(assoc);
        // Ours name themselves by their PE identifier; others need not.
        let foreign = !self.settings.server.transactions;
        let sgp = self.new_sgp(if foreign { AspIdRule::Optional } else { AspIdRule::Exactly(pe) });
        let mut controller = Controller::new(cx.now, assoc, pe, sgp, &self.settings.failover);
        controller.foreign = foreign;
        self.controllers.insert(assoc, controller);
    }

    /// Our end toward an ASP of this application server.
    pub(super) fn new_sgp(&self, asp_id: AspIdRule) -> Sgp {
        let server = &self.settings.server;
        let mut sgp =
            Sgp::new(SgpConfig { asp_id, registration: !server.register_from.is_empty(), ..SgpConfig::default() });
        let member = AsMember {
            routing_context: server.routing_context,
            network_appearance: server.network_appearance,
            traffic_mode: Some(self.as_state.config().traffic_mode),
        };
        if sgp.add_as(member).is_err() {
            debug_assert!(false, "an empty SGP has room for one AS");
        }
        sgp
    }

    /// The association to a controller is established. False: not one of this pool.
    pub(crate) fn up(&mut self, cx: &mut Cx<'_>, assoc: AssocId, outbound: u16, inbound: u16) -> bool {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return false };
        let streams = outbound.min(inbound);
        if streams < 2 {
            // DATA must not go on stream 0 (RFC 4666 section 1.4.7).
            self.give_up(cx, assoc, GiveUp::Abort, false);
            return true;
        }
        let delay = if controller.foreign { ms(0) } else { ms(self.settings.failover.barrier_ms) };
        controller.up(streams, delay);
        true
    }

    /// Hands an M3UA message to the ASP machine, sends its answers, follows its changes of state.
    pub(super) fn asp_message<'a>(
        &mut self,
        cx: &mut Cx<'_>,
        assoc: AssocId,
        stream: u16,
        octets: &'a [u8],
    ) -> Option<m3ua_lite::asp::Input<'a>> {
        let controller = self.controllers.get_mut(&assoc)?;
        let mut replies = Replies::new();
        let input = controller.sgp.handle(stream, octets, &mut replies);
        for reply in &replies {
            if controller.errors.allows(cx.now, &reply.message) {
                controller.send(cx, reply.stream, false, &reply.message);
            } else {
                self.counters.errors_suppressed += 1;
            }
        }
        while let Some(change) = self.controllers.get_mut(&assoc).and_then(|c| c.sgp.poll_change()) {
            self.asp_changed(cx, assoc, change.to, change.failed);
        }
        Some(input)
    }

    /// An ASP's state is another one.
    pub(super) fn asp_changed(&mut self, cx: &mut Cx<'_>, assoc: AssocId, to: AspState, failed: bool) {
        let now_ms = self.now_ms(cx.now);
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        let (pe, asp_id, was) = (controller.pe, controller.sgp.asp_id(), controller.phase);
        if to == AspState::Active && controller.is_leaving() && !controller.foreign {
            // It forgot its groups when it left, and transactions of before may still be on their way: it starts anew.
            return self.give_up(cx, assoc, GiveUp::AspDown, false);
        }
        if to == AspState::Active {
            controller.phase = Phase::Active;
            let element = self.elements.get_mut(&pe);
            let stuck = element.is_some_and(|element| {
                element.failed = false;
                element.stuck
            });
            if stuck {
                controller.ask_for_proof(cx);
            } else {
                cx.directory.set_usable(cx.now, &self.handle, pe, true);
            }
            self.register_attached(cx, pe);
        }
        if self.as_state.handle_asp(now_ms, assoc, asp_id, to, failed).is_err() {
            self.counters.associations_refused += 1;
        }
        if to != AspState::Active && was == Phase::Active {
            self.drain(cx, assoc);
        }
        self.drain_as_events(cx);
        if to == AspState::Active {
            self.activated(cx, assoc);
        }
    }

    /// A controller that hung once answered a barrier: its call control works again.
    pub(super) fn proven(&mut self, cx: &mut Cx<'_>, assoc: AssocId) {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        controller.on_probation = false;
        if let Some(element) = self.elements.get_mut(&controller.pe) {
            element.stuck = false;
        }
        cx.directory.set_usable(cx.now, &self.handle, controller.pe, true);
        if controller.phase == Phase::Active {
            self.activated(cx, assoc);
        }
    }

    /// There is one more controller: its own groups go on, groups without owner find one.
    fn activated(&mut self, cx: &mut Cx<'_>, assoc: AssocId) {
        let Some(controller) = self.controllers.get(&assoc) else { return };
        for id in controller.groups.iter().copied().collect::<Vec<_>>() {
            self.pump(cx, assoc, id);
        }
        if self.gather.is_some() && !self.more_to_come() {
            self.gather = None;
        }
        if self.gather.is_none() {
            self.assign_waiting(cx);
        }
        self.share_soon(cx.now);
    }

    /// Registered elements that may become active soon.
    fn more_to_come(&self) -> bool {
        self.elements.values().any(|element| {
            let controller = element.assoc.and_then(|assoc| self.controllers.get(&assoc));
            let starting = controller.is_none_or(|controller| matches!(controller.phase, Phase::Starting(_)));
            element.in_pool && !element.failed && starting
        })
    }

    /// Follows the AS: sends its NTFYs, queues, flushes or discards what waits.
    pub(super) fn drain_as_events(&mut self, cx: &mut Cx<'_>) {
        while let Some(event) = self.as_state.poll_event() {
            match event {
                AsEvent::State { to: AsState::Active, .. } => {
                    self.first_wait = None;
                    self.set_unavailable(false);
                    if !self.waiting.is_empty() && self.more_to_come() {
                        self.gather = Some(cx.now + ms(self.settings.failover.gather_ms));
                    }
                }
                AsEvent::State { to: AsState::Pending, .. } => self.gather = None,
                AsEvent::State { from, to: AsState::Inactive | AsState::Down } => {
                    if from == AsState::Pending {
                        self.expire_waiting(cx);
                    }
                }
                AsEvent::Overridden { asp } => self.overridden(cx, asp),
                AsEvent::Notify { asp, notify } => {
                    let message = m3ua_lite::wire::Message::Notify(notify);
                    if let Some(bytes) = msu::encode(&message) {
                        // A NTFY that finds no room is not worth an association.
                        let how = How { stream: 0, ppid: ppid::M3UA, unordered: false };
                        if cx.net.send(cx.now, asp, how, bytes).is_err() {
                            self.counters.notify_lost += 1;
                        }
                    }
                }
            }
        }
    }

    /// Override mode: another ASP took over; this one's groups move.
    fn overridden(&mut self, cx: &mut Cx<'_>, assoc: AssocId) {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        controller.sgp.overridden(self.settings.server.routing_context);
        while controller.sgp.poll_change().is_some() {}
        self.drain(cx, assoc);
    }
}
