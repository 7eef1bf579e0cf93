//! The network side in the admin state.

use super::sets::{ATTACHED, Reach, Set};
use super::{Counters, Network};
use crate::config;
use serde::Serialize;

/// A peer or a link.
#[derive(Debug, Serialize)]
struct PeerView {
    /// Empty: a link that is not open.
    address: String,
    /// The linkset; none for a peer that came to us.
    linkset: Option<String>,
    asp_id: Option<u32>,
    state: &'static str,
    sent: u64,
    received: u64,
}

/// A linkset.
#[derive(Debug, Serialize)]
struct LinkSetView {
    name: String,
    /// `asp`, or `ipsp` with who opens the associations and begins: `ipsp` alone is this gateway, `ipsp passive` the other end.
    mode: &'static str,
    routing_context: Option<u32>,
    links: usize,
    links_active: usize,
    waiting: usize,
    /// `pc/mask` of what its STPs said cannot be reached, and of what is restricted.
    unavailable: Vec<String>,
    restricted: Vec<String>,
}

/// The network side.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    routing_context: u32,
    state: &'static str,
    waiting: usize,
    peers: Vec<PeerView>,
    linksets: Vec<LinkSetView>,
    counters: Counters,
}

impl Network {
    /// For the admin.
    pub(crate) fn view(&self) -> View {
        let mut peers: Vec<_> = self.peers.iter().collect();
        peers.sort_unstable_by_key(|(assoc, _)| **assoc);
        let open = peers.into_iter().map(|(_, peer)| PeerView {
            address: peer.address.map(|address| address.to_string()).unwrap_or_default(),
            linkset: (peer.set != ATTACHED).then(|| self.sets[peer.set].name.clone()),
            asp_id: self.asp_id_of(peer),
            state: self.state_of(peer).name(),
            sent: peer.sent,
            received: peer.received,
        });
        let closed = self.sets.iter().flat_map(|set| {
            set.links.iter().filter(|link| link.assoc.is_none_or(|assoc| !self.peers.contains_key(&assoc))).map(|_| {
                PeerView {
                    address: String::new(),
                    linkset: Some(set.name.clone()),
                    asp_id: None,
                    state: "down",
                    sent: 0,
                    received: 0,
                }
            })
        });
        View {
            routing_context: self.config.routing_context,
            state: self.as_state.state().name(),
            waiting: self.waiting,
            peers: open.chain(closed).collect(),
            linksets: self.sets.iter().skip(ATTACHED + 1).map(LinkSetView::of).collect(),
            counters: self.counters,
        }
    }
}

impl LinkSetView {
    fn of(set: &Set) -> Self {
        let of_reach = |wanted: Reach| -> Vec<String> {
            let of_it = set.destinations.iter().filter(|(_, reach)| *reach == wanted);
            of_it.map(|(affected, _)| format!("{}/{}", affected.pc(), affected.mask())).collect()
        };
        let mode = set.mode.map_or("", config::LinkMode::name);
        Self {
            name: set.name.clone(),
            mode: if set.passive { "ipsp passive" } else { mode },
            routing_context: set.routing_context,
            links: set.links.len(),
            links_active: set.active.len(),
            waiting: set.queue.len(),
            unavailable: of_reach(Reach::Unavailable),
            restricted: of_reach(Reach::Restricted),
        }
    }
}
