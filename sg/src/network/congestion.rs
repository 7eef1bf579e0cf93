//! What peers are told of congestion, and tell of it (RFC 4666 sections 3.4.4 and 4.5.3).

use super::{NetCx, Network};
use crate::route::Destinations;
use m3ua_lite::wire::{AffectedList, AffectedPc, MAX_AFFECTED, Message, Scon, one_context};
use sctp::AssocId;
use std::time::Instant;

/// Congested destinations that wait for the pools to be told; more are left out and counted.
const CONGESTED_MAX: usize = 64;

/// A destination of which SCON came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Congested {
    /// Network Appearance.
    pub(crate) network: Option<u32>,
    pub(crate) affected: AffectedPc,
    /// `None`: in a network without levels.
    pub(crate) level: Option<u8>,
}

impl Network {
    /// SCON of an STP or a peer: the pools send there. So many a second as audits.
    pub(super) fn congestion_came(&mut self, now: Instant, assoc: AssocId, scon: &Scon<'_>) {
        let Some(peer) = self.peers.get_mut(&assoc) else { return };
        let network =
            scon.network_appearance.or(self.sets[peer.set].network_appearance).or(self.config.network_appearance);
        for affected in &scon.affected {
            if self.congested.len() < CONGESTED_MAX && peer.audits.take(now) {
                self.counters.congestion_heard += 1;
                self.congested.push_back(Congested { network, affected: *affected, level: scon.congestion_level });
            } else {
                self.counters.floods_suppressed += 1;
            }
        }
    }

    /// The next destination of which SCON came.
    pub(crate) fn poll_congested(&mut self) -> Option<Congested> {
        self.congested.pop_front()
    }

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
