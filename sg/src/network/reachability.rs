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
        let network = self.sets[set].network_appearance;
        for affected in &ssnm.affected {
            self.counters.destinations_told += 1;
            let before = self.is_reachable(network, *affected);
            if !self.sets[set].note(*affected, reach) {
                self.counters.destinations_left_out += 1;
            }
            let after = self.is_reachable(network, *affected);
            if before != after {
                self.tell_pools(network, after, *affected);
            }
        }
        self.flush_all(cx);
    }

    /// A set has its first active association, or lost its last: its destinations may be reachable now, or no more.
    pub(super) fn set_changed(&mut self, set: usize) {
        let destinations: Vec<AffectedPc> =
            self.ways.iter().filter(|way| way.set == set).map(|way| way.affected).collect();
        let network = self.sets[set].network_appearance;
        for affected in destinations {
            let by_others = self.reachable_by(network, affected, |other| other != set);
            if !by_others {
                self.tell_pools(network, !self.sets[set].active.is_empty(), affected);
            }
        }
    }

    /// Whether it can be reached, as far as there is a route. `None`: there is none.
    pub(crate) fn audited(&self, network: Option<u32>, affected: AffectedPc) -> Option<bool> {
        self.ways_to(network, affected.pc()).next().map(|_| self.is_reachable(network, affected))
    }

    /// The ways to a point code of a network in the order in which they are tried.
    pub(super) fn ways_to(&self, network: Option<u32>, pc: u32) -> impl Iterator<Item = usize> + '_ {
        // The peers that come to us are of all networks; a linkset is of one.
        let of_network = move |set: usize| set == ATTACHED || self.sets[set].is_of(network);
        self.ways.iter().filter(move |way| way.affected.covers(pc) && of_network(way.set)).map(|way| way.set)
    }

    /// Whether messages to it (to the first of a range) can go somewhere.
    fn is_reachable(&self, network: Option<u32>, affected: AffectedPc) -> bool {
        self.reachable_by(network, affected, |_| true)
    }

    fn reachable_by(&self, network: Option<u32>, affected: AffectedPc, which: impl Fn(usize) -> bool) -> bool {
        self.ways_to(network, affected.pc()).filter(|set| which(*set)).any(|set| {
            let set = &self.sets[set];
            !set.active.is_empty() && set.reach(affected.pc()) != Reach::Unavailable
        })
    }

    fn tell_pools(&mut self, network: Option<u32>, available: bool, affected: AffectedPc) {
        if self.reachability.len() < CHANGES_MAX {
            self.reachability.push_back((network, available, affected));
        } else {
            self.counters.destinations_left_out += 1;
        }
    }

    /// The next destination that can be reached from now on, or no more, and its network.
    pub(crate) fn poll_reachability(&mut self) -> Option<(Option<u32>, bool, AffectedPc)> {
        self.reachability.pop_front()
    }

    /// Whether the association is one that we opened.
    pub(super) fn is_link(&self, assoc: AssocId) -> bool {
        self.peers.get(&assoc).is_some_and(|peer| peer.set != ATTACHED)
    }
}
