//! What the controllers are told of destinations in the network (RFC 4666 sections 3.4.1, 3.4.2, 4.5.1).

use super::controller::Phase;
use super::{Cx, Pool};
use m3ua_lite::wire::{AffectedList, AffectedPc, ErrorCode, ErrorMessage, Message, Ssnm, one_context};
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

    /// The network side reaches it again (DAVA), or no more (DUNA): the active controllers hear it.
    pub(crate) fn tell_destination(&mut self, cx: &mut Cx<'_>, available: bool, affected: AffectedPc) {
        let message = self.destination_message(available, affected);
        for controller in self.controllers.values().filter(|controller| controller.phase == Phase::Active) {
            if !controller.send(cx, 0, false, &message) {
                self.counters.destinations_untold += 1;
            }
        }
    }
}
