//! What a peer hears of messages that have no application server, so that it need not wonder where they go.

use super::{NetCx, Network};
use crate::route::{Destinations, Refusal, Traffic};
use m3ua_lite::wire::{AffectedPc, Dupu, Message, UnavailabilityCause, UserCause, one_context};
use sctp::AssocId;

impl Network {
    /// A destination that is not ours: DUNA. A user part that nobody serves there: DUPU, as its node would send UPU (RFC 4666 section
    /// 3.4.5). An origin that is not let in hears nothing, nor does one that uses another network indicator (the destination itself is
    /// there), nor an STP: these are messages of SGs. Few a second: the messages themselves may be many.
    pub(crate) fn refuse(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, refusal: Refusal, traffic: &Traffic<'_>) {
        let Traffic { message, network } = traffic;
        if matches!(refusal, Refusal::Origin | Refusal::NetworkIndicator) || self.is_link(assoc) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&assoc) else { return };
        if !peer.refusals.take(cx.now) {
            self.counters.refusals_suppressed += 1;
            return;
        }
        self.counters.refusals_told += 1;
        match refusal {
            Refusal::Destination => {
                let destination = Destinations::one(*network, AffectedPc::one(message.dpc));
                self.announce(cx, Some(assoc), false, &destination);
            }
            Refusal::UserPart => {
                let user_cause = UserCause { cause: UnavailabilityCause::Unequipped, user: u16::from(message.si) };
                let dupu = Message::Dupu(Dupu {
                    network_appearance: self.config.appearance(*network),
                    routing_contexts: one_context(self.config.routing_context),
                    affected: message.dpc,
                    user_cause,
                    info: None,
                });
                self.send_to(cx, assoc, 0, false, &dupu);
            }
            Refusal::Origin | Refusal::NetworkIndicator => {}
        }
    }
}
