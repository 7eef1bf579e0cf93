//! Where output can go: sets of associations that lead to the same destinations. The first set is the peers that come to us, the
//! others are the configured linksets.

use crate::config;
use crate::msu::Msu;
use crate::route::one_network;
use m3ua_lite::asp_peer::AspPeer;
use m3ua_lite::wire::AffectedPc;
use sctp::AssocId;
use std::collections::VecDeque;
use std::time::Instant;

/// The set of the peers that come to us.
pub(super) const ATTACHED: usize = 0;
/// Entries that an STP may make in a set's table of destinations; more are not noted.
const DESTINATIONS_MAX: usize = 1_024;

/// What an STP said of destinations (RFC 4666 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// DAVA, or nothing.
    Available,
    /// DRST: another way is to be preferred.
    Restricted,
    /// DUNA.
    Unavailable,
}

/// One association that we open, or that the IPSP at its other end opens.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) config: config::Link,
    pub(super) assoc: Option<AssocId>,
    /// When to open it, if it is not open.
    pub(super) connect_at: Instant,
    /// It is active, and carries nothing before this: others had its SLSs.
    pub(super) not_before: Option<Instant>,
    pub(super) asp: AspPeer,
}

/// A set of associations.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) routing_context: Option<u32>,
    pub(super) network_appearance: Option<u32>,
    /// None in the first set.
    pub(super) mode: Option<config::LinkMode>,
    /// The other ends open its associations.
    pub(super) passive: bool,
    /// Those that take traffic: attached ones in a fixed order, links in the order of the configuration.
    pub(super) active: Vec<AssocId>,
    /// Empty in the first set.
    pub(super) links: Vec<Link>,
    /// What its STPs said of destinations, where it is not `Available`.
    pub(super) destinations: Vec<(AffectedPc, Reach)>,
    /// Output that waits here, and until when.
    pub(super) queue: VecDeque<(Instant, Msu)>,
    /// How many of them have each SLS: order matters within one.
    pub(super) queued_of_sls: Vec<u32>,
    /// SCTP had no room, or a link is waited for: when to try again.
    pub(super) retry_at: Option<Instant>,
}

impl Set {
    pub(super) fn new(name: &str, routing_context: Option<u32>, network_appearance: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            routing_context,
            network_appearance,
            mode: None,
            passive: false,
            active: Vec::new(),
            links: Vec::new(),
            destinations: Vec::new(),
            queue: VecDeque::new(),
            queued_of_sls: vec![0; 256],
            retry_at: None,
        }
    }

    /// Whether it leads to this network.
    pub(super) fn is_of(&self, network: Option<u32>) -> bool {
        one_network(self.network_appearance, network)
    }

    /// Who carries this SLS. Of links each has its own SLSs; while it is away the others share them, and only them.
    pub(super) fn carrier(&self, sls: u8) -> Option<AssocId> {
        let sls = usize::from(sls);
        let of_active = |n: usize| self.active.get(n % self.active.len().max(1)).copied();
        if self.links.is_empty() {
            return of_active(sls);
        }
        let own = self.links[sls % self.links.len()].assoc.filter(|assoc| self.active.contains(assoc));
        own.or_else(|| of_active(sls / self.links.len()))
    }

    /// Until when what has this SLS waits, as its link is back only now.
    pub(super) fn held_until(&self, sls: u8, now: Instant) -> Option<Instant> {
        let link = self.links.get(usize::from(sls) % self.links.len().max(1))?;
        link.not_before.filter(|at| *at > now)
    }

    pub(super) fn reach(&self, dpc: u32) -> Reach {
        let of_dpc = self.destinations.iter().filter(|(affected, _)| affected.covers(dpc));
        of_dpc.map(|(_, reach)| *reach).max().unwrap_or(Reach::Available)
    }

    /// Notes what an STP said. What it says of a range holds for all in it. False: there is no room for more.
    pub(super) fn note(&mut self, affected: AffectedPc, reach: Reach) -> bool {
        self.destinations.retain(|(known, _)| !(affected.mask() >= known.mask() && affected.covers(known.pc())));
        if reach == Reach::Available {
            return true;
        }
        let room = self.destinations.len() < DESTINATIONS_MAX;
        if room {
            self.destinations.push((affected, reach));
        }
        room
    }
}

/// A way to a destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) affected: AffectedPc,
    pub(super) set: usize,
}

/// The ways in the order in which they are tried: fewest masked bits, then priority, then links before peers that come.
pub(super) fn ways(config: &config::Network) -> Vec<Way> {
    let of_sets = config.linksets.iter().enumerate().flat_map(|(i, set)| {
        set.routes.iter().map(move |r| ((r.mask, r.priority, i), AffectedPc::new(r.mask, r.dpc), ATTACHED + 1 + i))
    });
    let of_peers = config.point_codes.iter().map(|pc| ((0, u8::MAX, usize::MAX), AffectedPc::one(*pc), ATTACHED));
    let rest = config.point_codes.is_empty().then_some(((u8::MAX, 0, 0), AffectedPc::new(24, 0), ATTACHED));
    let mut all: Vec<_> = of_sets.chain(of_peers).chain(rest).collect();
    all.sort_by_key(|(rank, _, _)| *rank);
    all.into_iter().map(|(_, affected, set)| Way { affected, set }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_route_then_the_lowest_priority_goes_first() {
        let route = |dpc, mask, priority| config::Route { dpc, mask, priority };
        let set = |routes| config::LinkSet { routes, ..config::LinkSet::default() };
        let linksets = vec![set(vec![route(0, 24, 0), route(7, 0, 2)]), set(vec![route(7, 0, 1), route(8, 3, 0)])];
        let of = |config: &config::Network, dpc| -> Vec<usize> {
            ways(config).iter().filter(|way| way.affected.covers(dpc)).map(|way| way.set).collect()
        };
        let config = config::Network { linksets, point_codes: vec![7], ..config::Network::default() };
        assert_eq!(of(&config, 7), [2, 1, 0, 1]);
        assert_eq!(of(&config, 9), [2, 1]);
        assert_eq!(of(&config, 99), [1]);
        let config = config::Network { point_codes: Vec::new(), ..config };
        assert_eq!(of(&config, 99), [1, 0], "the peers that come reach what nobody else does");
    }

    #[test]
    fn what_is_said_of_a_range_replaces_what_was_said_of_its_parts() {
        let mut set = Set::new("a", None, None);
        assert!(set.note(AffectedPc::one(9), Reach::Restricted));
        assert!(set.note(AffectedPc::new(3, 8), Reach::Unavailable));
        assert_eq!([7, 8, 9, 16].map(|pc| set.reach(pc)), {
            use Reach::{Available, Unavailable};
            [Available, Unavailable, Unavailable, Available]
        });
        assert!(set.note(AffectedPc::new(8, 0), Reach::Available));
        assert_eq!((set.reach(9), set.destinations.len()), (Reach::Available, 0));
        let noted = (0..2_000).filter(|pc| set.note(AffectedPc::one(*pc), Reach::Unavailable)).count();
        assert_eq!(noted, DESTINATIONS_MAX);
    }
}
