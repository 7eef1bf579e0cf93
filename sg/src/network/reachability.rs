//! What STPs say of destinations (RFC 4666 section 3.4), and what follows for output and for the pools.

use super::sets::{ATTACHED, Reach};
use super::{NetCx, Network};
use m3ua_lite::wire::{AffectedPc, Ssnm};
use sctp::AssocId;

/// Changes that wait for the pools to be told; more are left out and counted.
const CHANGES_MAX: usize = 1_024;

impl Network {
    /// DUNA, DAVA or DRST of an STP.
    pub(super) fn reachability(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, reach: Reach, ssnm: &Ssnm<'_>) {
        let Some(set) = self.peers.get(&assoc).map(|peer| peer.set) else { return };
        for affected in &ssnm.affected {
            self.counters.destinations_told += 1;
            let before = self.is_reachable(*affected);
            if !self.sets[set].note(*affected, reach) {
                self.counters.destinations_left_out += 1;
            }
            let after = self.is_reachable(*affected);
            if before != after {
                self.tell_pools(after, *affected);
            }
        }
        self.flush_all(cx);
    }

    /// A set has its first active association, or lost its last: its destinations may be reachable now, or no more.
    pub(super) fn set_changed(&mut self, set: usize) {
        let destinations: Vec<AffectedPc> =
            self.ways.iter().filter(|way| way.set == set).map(|way| way.affected).collect();
        for affected in destinations {
            let by_others = self.reachable_by(affected, |other| other != set);
            if !by_others {
                self.tell_pools(!self.sets[set].active.is_empty(), affected);
            }
        }
    }

    /// Whether it can be reached, as far as there is a route. `None`: there is none.
    pub(crate) fn audited(&self, affected: AffectedPc) -> Option<bool> {
        self.ways.iter().any(|way| way.affected.covers(affected.pc())).then(|| self.is_reachable(affected))
    }

    /// Whether messages to it (to the first of a range) can go somewhere.
    fn is_reachable(&self, affected: AffectedPc) -> bool {
        self.reachable_by(affected, |_| true)
    }

    fn reachable_by(&self, affected: AffectedPc, which: impl Fn(usize) -> bool) -> bool {
        self.ways.iter().filter(|way| which(way.set) && way.affected.covers(affected.pc())).any(|way| {
            let set = &self.sets[way.set];
            !set.active.is_empty() && set.reach(affected.pc()) != Reach::Unavailable
        })
    }

    fn tell_pools(&mut self, available: bool, affected: AffectedPc) {
        if self.reachability.len() < CHANGES_MAX {
            self.reachability.push_back((available, affected));
        } else {
            self.counters.destinations_left_out += 1;
        }
    }

    /// The next destination that can be reached from now on, or no more.
    pub(crate) fn poll_reachability(&mut self) -> Option<(bool, AffectedPc)> {
        self.reachability.pop_front()
    }

    /// Whether the association is one that we opened.
    pub(super) fn is_link(&self, assoc: AssocId) -> bool {
        self.peers.get(&assoc).is_some_and(|peer| peer.set != ATTACHED)
    }
}
