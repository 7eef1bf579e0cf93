//! What peers are told of destinations (RFC 4666 sections 3.4.1, 3.4.2, 4.5).

use super::sets::ATTACHED;
use super::{NetCx, Network};
use crate::route::Destinations;
use m3ua_lite::wire::{AffectedList, AffectedPc, ErrorCode, ErrorMessage, MAX_AFFECTED, Message, Ssnm, one_context};
use sctp::AssocId;

impl Network {
    /// The peers to be told: those that came to us and are active, or one. An STP is told nothing by its ASP: there the ASP is
    /// active or not.
    pub(super) fn told(&self, only: Option<AssocId>) -> Vec<AssocId> {
        only.map_or_else(|| self.sets[ATTACHED].active.clone(), |assoc| vec![assoc])
    }

    /// Tells the active peers (or one of them) that destinations are, or are not, available: DAVA, DUNA.
    pub(crate) fn announce(
        &mut self,
        cx: &mut NetCx<'_>,
        only: Option<AssocId>,
        available: bool,
        destinations: &Destinations,
    ) {
        for chunk in destinations.affected.chunks(MAX_AFFECTED) {
            let message = Ssnm {
                network_appearance: self.config.appearance(destinations.network),
                routing_contexts: one_context(self.config.routing_context),
                affected: AffectedList::from_slice(chunk).unwrap_or_default(),
                info: None,
            };
            let message = if available { Message::Dava(message) } else { Message::Duna(message) };
            for assoc in self.told(only) {
                self.send_to(cx, assoc, 0, false, &message);
            }
        }
    }

    /// Answers an audit of a destination that is not known here.
    pub(crate) fn unknown_destination(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        network: Option<u32>,
        affected: AffectedPc,
    ) {
        let mut error = ErrorMessage::new(ErrorCode::DestinationStatusUnknown);
        error.routing_contexts = one_context(self.config.routing_context);
        error.network_appearance = self.config.appearance(network);
        error.affected = AffectedList::from_slice(&[affected]).unwrap_or_default();
        self.send_to(cx, assoc, 0, false, &Message::Error(error));
    }
}
