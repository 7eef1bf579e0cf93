//! Routing keys that come and go while the gateway runs (RFC 4666 section 4.4): whose request it is, what is answered, who is told.

use super::Node;
use crate::keys::{Asker, Holder, Part, Request};
use crate::pool::Rkm;
use crate::route::{Destinations, Routes};
use m3ua_lite::wire::{
    AffectedPc, DeregRsp, DeregistrationResult, DeregistrationStatus, Message, RegRsp, RegistrationResult,
    RegistrationStatus,
};
use sctp::AssocId;
use std::collections::BTreeSet;
use std::time::Instant;

impl Node {
    /// Answers what ASPs of a pool asked for.
    pub(super) fn registrations(&mut self, now: Instant, index: usize) {
        while let Some((assoc, allowed, request)) = self.pools[index].poll_rkm() {
            let answer = match request {
                Rkm::Register(requests) => {
                    let one = |request| self.register(now, index, (assoc, allowed), request);
                    Some(Message::RegRsp(RegRsp { results: requests.into_iter().map(one).collect() }))
                }
                Rkm::Deregister(contexts) => {
                    let one = |context| self.deregister(now, index, (assoc, allowed), context);
                    Some(Message::DeregRsp(DeregRsp { results: contexts.into_iter().map(one).collect() }))
                }
                Rkm::Forget => {
                    self.forget(now, index, assoc);
                    None
                }
            };
            if let Some(answer) = answer {
                self.with_pool(now, index, |pool, cx| pool.answer_rkm(cx, assoc, &answer));
            }
        }
    }

    fn register(
        &mut self,
        now: Instant,
        index: usize,
        (assoc, allowed): (AssocId, bool),
        request: Request,
    ) -> RegistrationResult {
        let settings = &self.config.application_servers[index];
        let local_id = request.local_id;
        let asker = Asker {
            server: index,
            settings,
            assoc,
            allowed,
            traffic_mode: self.pools[index].traffic_mode(),
            network: &self.config.network.point_codes,
        };
        let status = self.keys.register(&self.routes, asker, request);
        let known = matches!(status, RegistrationStatus::Success | RegistrationStatus::AlreadyRegistered);
        let routing_context = if known { settings.routing_context } else { 0 };
        if status == RegistrationStatus::Success {
            tracing::info!(routing_context, "an ASP registered a routing key");
            self.counters.keys_registered += 1;
            self.reroute(now);
        } else {
            self.counters.keys_refused += 1;
        }
        RegistrationResult { local_id, status, routing_context }
    }

    /// RFC 4666 section 4.4.2.
    fn deregister(
        &mut self,
        now: Instant,
        index: usize,
        (assoc, allowed): (AssocId, bool),
        routing_context: u32,
    ) -> DeregistrationResult {
        use DeregistrationStatus as S;
        let of = self.config.application_servers.iter().position(|server| server.routing_context == routing_context);
        let status = match of {
            None => S::InvalidRoutingContext,
            Some(_) if !allowed => S::PermissionDenied,
            Some(of) if of != index || !self.keys.holds(index, Holder::Asp(assoc)) => S::NotRegistered,
            Some(_) if self.pools[index].is_asp_active(assoc) => S::AspActive,
            Some(_) => {
                self.forget(now, index, assoc);
                S::Success
            }
        };
        DeregistrationResult { routing_context, status }
    }

    /// What an ASP registered ends with its association, and when it goes down (section 4.3.4.2).
    pub(super) fn release_keys(&mut self, now: Instant) {
        let pools = &self.pools;
        let stays = |server: usize, holder| match holder {
            Holder::Asp(assoc) => pools.get(server).is_some_and(|pool| pool.is_asp_up(assoc)),
            Holder::Operator => true,
        };
        if self.keys.keep(stays) > 0 {
            self.reroute(now);
        }
    }

    fn forget(&mut self, now: Instant, index: usize, assoc: AssocId) -> bool {
        let released = self.keys.keep(|server, holder| server != index || holder != Holder::Asp(assoc));
        if released > 0 {
            self.reroute(now);
        }
        released > 0
    }

    /// The keys are others now: messages go by them, and the network hears of destinations that are new or gone.
    pub(super) fn reroute(&mut self, now: Instant) {
        let routes = Routes::new(&self.config.application_servers, &self.keys);
        let old = std::mem::replace(&mut self.routes, routes);
        for index in 0..self.pools.len() {
            let parts: Vec<Part> = self.keys.of(index).cloned().collect();
            let destinations = |parts: &[Part]| parts.iter().map(|part| part.dpc).collect::<BTreeSet<u32>>();
            let is = destinations(&parts);
            let was = destinations(&self.pools[index].set_keys(parts));
            let network = self.config.application_servers[index].network_appearance;
            let told = |dpcs: BTreeSet<u32>, other: &Routes| {
                let only = dpcs.into_iter().filter(|dpc| other.servers_at(*dpc, network).next().is_none());
                Destinations { network, affected: only.map(AffectedPc::one).collect() }
            };
            let (new, gone) = (told(&is - &was, &old), told(&was - &is, &self.routes));
            let available = self.pools[index].is_available();
            self.with_network(now, |network, cx| {
                network.announce(cx, None, available, &new);
                network.announce(cx, None, false, &gone);
            });
        }
    }

    /// The point codes of an application server.
    pub(super) fn destinations(&self, index: usize) -> Destinations {
        let mut destinations = Destinations::of(&self.config.application_servers[index]);
        destinations.affected.extend(self.keys.of(index).map(|part| AffectedPc::one(part.dpc)));
        destinations
    }
}
