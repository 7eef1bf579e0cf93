//! What a peer hears of messages that have no application server, so that it need not wonder where they go.

use super::{NetCx, Network};
use crate::route::Refusal;
use m3ua_lite::wire::{AffectedPc, Dupu, Message, ProtocolData, UnavailabilityCause, UserCause, one_context};
use sctp::AssocId;

impl Network {
    /// A destination that is not ours: DUNA. A user part that nobody serves there: DUPU, as its node would send UPU (RFC 4666 section
    /// 3.4.5). An origin that is not let in hears nothing, nor does
    /// an STP: these are messages of SGs. Few a second: the messages themselves may be many.
    pub(crate) fn refuse(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, refusal: Refusal, message: &ProtocolData<'_>) {
        if refusal == Refusal::Origin || self.is_link(assoc) {
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
                self.announce(cx, Some(assoc), false, std::iter::once(AffectedPc::one(message.dpc)));
            }
            Refusal::UserPart => {
                let user_cause = UserCause { cause: UnavailabilityCause::Unequipped, user: u16::from(message.si) };
                let dupu = Message::Dupu(Dupu {
                    network_appearance: self.config.network_appearance,
                    routing_contexts: one_context(self.config.routing_context),
                    affected: message.dpc,
                    user_cause,
                    info: None,
                });
                self.send_to(cx, assoc, 0, false, &dupu);
            }
            Refusal::Origin => {}
        }
    }
}
