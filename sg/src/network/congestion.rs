//! What peers are told of congestion (RFC 4666 sections 3.4.4 and 4.5.3).

use super::{NetCx, Network};
use crate::route::Destinations;
use m3ua_lite::wire::{AffectedList, MAX_AFFECTED, Message, Scon, one_context};
use sctp::AssocId;

impl Network {
    /// Tells the active peers (or one of them) how congested destinations are. Where the network has no levels, the end of a congestion
    /// is not told: peers find out by no more SCON coming.
    pub(crate) fn announce_congestion(
        &mut self,
        cx: &mut NetCx<'_>,
        only: Option<AssocId>,
        level: u8,
        destinations: &Destinations,
    ) {
        let levels = self.config.congestion_levels;
        if level == 0 && !levels {
            return;
        }
        let to = self.told(only);
        for chunk in destinations.affected.chunks(MAX_AFFECTED) {
            let message = Message::Scon(Scon {
                network_appearance: self.config.appearance(destinations.network),
                routing_contexts: one_context(self.config.routing_context),
                affected: AffectedList::from_slice(chunk).unwrap_or_default(),
                concerned: None,
                congestion_level: levels.then_some(level),
                info: None,
            });
            for assoc in &to {
                self.send_to(cx, *assoc, 0, false, &message);
                self.counters.congestion_told += 1;
            }
        }
    }
}
