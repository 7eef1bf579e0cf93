//! What ASPs want of routing keys (RFC 4666 section 4.4). The node judges it: keys of all application servers must not overlap.

use super::{Cx, Pool};
use crate::keys::{Part, Request};
use m3ua_lite::asp::AspState;
use m3ua_lite::wire::{DeregReq, Message, MessageType, RegReq, RoutingContexts, TrafficMode};
use sctp::AssocId;
use std::time::Instant;

/// What an ASP wants.
#[derive(Debug)]
pub(crate) enum Rkm {
    /// REG REQ.
    Register(Vec<Request>),
    /// DEREG REQ.
    Deregister(RoutingContexts),
    /// ASPUP while it was active: it begins anew (section 4.3.4.1).
    Forget,
}

impl Pool {
    pub(super) fn reg_req(&mut self, now: Instant, assoc: AssocId, request: &RegReq<'_>) {
        if self.takes_rkm(now, assoc, request.keys.iter().count()) {
            let keys = request.keys.iter().map(|key| Request::read(&key)).collect();
            self.rkm.push_back((assoc, Rkm::Register(keys)));
        }
    }

    pub(super) fn dereg_req(&mut self, now: Instant, assoc: AssocId, request: &DeregReq) {
        if self.takes_rkm(now, assoc, request.routing_contexts.len()) {
            self.rkm.push_back((assoc, Rkm::Deregister(request.routing_contexts.clone())));
        }
    }

    /// False: it asks for too much.
    fn takes_rkm(&mut self, now: Instant, assoc: AssocId, count: usize) -> bool {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return false };
        let fits = (0..count).all(|_| controller.audits.take(now));
        self.counters.floods_suppressed += u64::from(!fits);
        fits
    }

    /// Notes an ASPUP of one that was active.
    pub(super) fn note_up(&mut self, assoc: AssocId, was: AspState, payload: &[u8]) {
        let is_up = payload.get(2..4) == Some(&MessageType::AspUp.code().to_be_bytes()[..]);
        if is_up && was == AspState::Active && !self.is_asp_active(assoc) {
            self.rkm.push_back((assoc, Rkm::Forget));
        }
    }

    /// The next one: whose, whether it may register, and what it wants.
    pub(crate) fn poll_rkm(&mut self) -> Option<(AssocId, bool, Rkm)> {
        let (assoc, wish) = self.rkm.pop_front()?;
        Some((assoc, self.may_register(assoc), wish))
    }

    fn may_register(&self, assoc: AssocId) -> bool {
        let element = self.controllers.get(&assoc).and_then(|controller| self.elements.get(&controller.pe));
        let from = &self.settings.server.register_from;
        element.is_some_and(|element| element.location.addresses.iter().any(|ip| from.contains(ip)))
    }

    pub(crate) fn answer_rkm(&mut self, cx: &mut Cx<'_>, assoc: AssocId, answer: &Message<'_>) {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        if !controller.send(cx, 0, false, answer) {
            self.counters.answers_lost += 1;
        }
    }

    /// Keys that are not of the configuration; gives those of before.
    pub(crate) fn set_keys(&mut self, keys: Vec<Part>) -> Vec<Part> {
        std::mem::replace(&mut self.keys_added, keys)
    }

    pub(crate) fn traffic_mode(&self) -> TrafficMode {
        self.as_state.config().traffic_mode
    }

    /// The ASP said ASPUP, and its association is there.
    pub(crate) fn is_asp_up(&self, assoc: AssocId) -> bool {
        self.controllers.get(&assoc).is_some_and(|controller| controller.sgp.is_up())
    }

    pub(crate) fn is_asp_active(&self, assoc: AssocId) -> bool {
        self.asp_state(assoc) == AspState::Active
    }

    pub(super) fn asp_state(&self, assoc: AssocId) -> AspState {
        let controller = self.controllers.get(&assoc);
        controller.map_or(AspState::Down, |it| it.sgp.state(self.settings.server.routing_context))
    }
}
