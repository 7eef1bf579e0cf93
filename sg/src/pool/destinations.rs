//! What the controllers are told of destinations in the network, and say of their own (RFC 4666 sections 3.4.1, 3.4.2, 3.4.4, 4.5.1).

use super::controller::Phase;
use super::{Cx, Pool};
use crate::network::Congested;
use crate::route::Destinations;
use m3ua_lite::wire::{AffectedList, AffectedPc, ErrorCode, ErrorMessage, Message, Scon, Ssnm, one_context};
use sctp::AssocId;
use std::time::Instant;

/// Questions of controllers that wait for an answer; more at once are counted.
const AUDITS_MAX: usize = 64;

impl Pool {
    /// DAUD of a controller: the network side knows.
    pub(super) fn audit(&mut self, now: Instant, assoc: AssocId, audit: &Ssnm<'_>) {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        for affected in &audit.affected {
            if self.audits.len() < AUDITS_MAX && controller.audits.take(now) {
                self.audits.push_back((assoc, *affected));
            } else {
                self.counters.floods_suppressed += 1;
            }
        }
    }

    /// The next question of a controller: can this destination be reached?
    pub(crate) fn poll_audit(&mut self) -> Option<(AssocId, AffectedPc)> {
        self.audits.pop_front()
    }

    /// The answer (RFC 4666 section 4.5.3): DAVA or DUNA; ERR for what has no route.
    pub(crate) fn answer_audit(
        &mut self,
        cx: &mut Cx<'_>,
        assoc: AssocId,
        available: Option<bool>,
        affected: AffectedPc,
    ) {
        let message = match available {
            Some(available) => self.destination_message(available, affected),
            None => self.unknown_destination(affected),
        };
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        if !controller.errors.allows(cx.now, &message) {
            self.counters.errors_suppressed += 1;
        } else if !controller.send(cx, 0, false, &message) {
            self.counters.destinations_untold += 1;
        }
    }

    /// ERR "Destination Status Unknown", with what was asked for (RFC 4666 section 3.8.1).
    fn unknown_destination(&self, affected: AffectedPc) -> Message<'static> {
        let mut error = ErrorMessage::new(ErrorCode::DestinationStatusUnknown);
        error.routing_contexts = one_context(self.settings.server.routing_context);
        error.network_appearance = self.settings.server.network_appearance;
        error.affected = AffectedList::from_slice(&[affected]).unwrap_or_default();
        Message::Error(error)
    }

    fn destination_message(&self, available: bool, affected: AffectedPc) -> Message<'static> {
        let server = &self.settings.server;
        let message = Ssnm {
            network_appearance: server.network_appearance,
            routing_contexts: one_context(server.routing_context),
            affected: AffectedList::from_slice(&[affected]).unwrap_or_default(),
            info: None,
        };
        if available { Message::Dava(message) } else { Message::Duna(message) }
    }

    /// SCON of a controller or an ordinary ASP: the network hears it, as far as it is about the pool's own point codes.
    pub(super) fn congestion_came(&mut self, now: Instant, assoc: AssocId, scon: &Scon<'_>) {
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        let own = Destinations::of(&self.settings.server);
        for affected in &scon.affected {
            if !own.affected.iter().any(|own| own.mask() >= affected.mask() && own.covers(affected.pc())) {
                self.counters.ignored_from_pool += 1;
            } else if self.congested.len() < AUDITS_MAX && controller.audits.take(now) {
                self.counters.congestion_heard += 1;
                let (network, level) = (own.network, scon.congestion_level);
                self.congested.push_back(Congested { network, affected: *affected, level });
            } else {
                self.counters.floods_suppressed += 1;
            }
        }
    }

    /// The next of the pool's destinations of which SCON came.
    pub(crate) fn poll_congested(&mut self) -> Option<Congested> {
        self.congested.pop_front()
    }

    /// The network says that one of its destinations is congested: the active controllers hear it.
    pub(crate) fn tell_congestion(&mut self, cx: &mut Cx<'_>, congested: &Congested) {
        let server = &self.settings.server;
        let message = Message::Scon(Scon {
            network_appearance: server.network_appearance,
            routing_contexts: one_context(server.routing_context),
            affected: AffectedList::from_slice(&[congested.affected]).unwrap_or_default(),
            concerned: None,
            congestion_level: congested.level,
            info: None,
        });
        self.tell_active(cx, &message);
    }

    /// The network side reaches it again (DAVA), or no more (DUNA): the active controllers hear it.
    pub(crate) fn tell_destination(&mut self, cx: &mut Cx<'_>, available: bool, affected: AffectedPc) {
        let message = self.destination_message(available, affected);
        self.tell_active(cx, &message);
    }

    fn tell_active(&mut self, cx: &mut Cx<'_>, message: &Message<'_>) {
        for controller in self.controllers.values().filter(|controller| controller.phase == Phase::Active) {
            if !controller.send(cx, 0, false, message) {
                self.counters.destinations_untold += 1;
            }
        }
    }
}
