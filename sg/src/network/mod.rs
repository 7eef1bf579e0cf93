//! The side of the SS7 network: M3UA peers that attach to us as ASPs, and the STPs that we attach to as an ASP, load-shared by SLS.

mod announce;
mod attached;
mod confirm;
mod congestion;
mod links;
mod peer;
mod queue;
mod reachability;
mod refusal;
mod sets;
mod view;

use crate::config;
use crate::msu;
use crate::pool::{How, Transport};
use crate::record::{Direction, Discard, Discards, Recorder};
use crate::route::Traffic;
use confirm::Confirm;
pub(crate) use congestion::Congested;
use m3ua_lite::as_state::{As, AsConfig};
use m3ua_lite::session::CorrelationId;
use m3ua_lite::wire::{AffectedPc, Message, ProtocolData, Ssnm, TrafficMode};
use peer::Peer;
use rustc_hash::FxHashMap;
use sctp::{AssocId, ppid};
use serde::Serialize;
use sets::{Set, Way};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};
pub(crate) use view::View;

/// What the network side works with during one call.
pub(crate) struct NetCx<'a> {
    pub(crate) now: Instant,
    pub(crate) net: &'a mut dyn Transport,
    pub(crate) record: &'a mut Recorder,
}

/// What a peer sent that is not the network side's own business.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a return value on the path of every message, not stored; DAUD is rare")]
pub(crate) enum Inbound<'a> {
    /// A message for a pool, and the peer's number of it.
    Data(Traffic<'a>, CorrelationId),
    /// A barrier BEAT on this stream, of a peer that wants to know what is accepted: its Heartbeat Data.
    Barrier(u16, &'a [u8]),
    /// DAUD: is this destination reachable?
    Audit(Ssnm<'a>),
    /// A peer became active: it has to hear what is unavailable.
    Active,
}

/// Counted since the start. The field names are the metric names without prefix.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counters {
    /// DATA received.
    pub(crate) received: u64,
    /// DATA sent.
    pub(crate) sent: u64,
    /// Output discarded.
    pub(crate) discarded: Discards,
    /// Messages given to a peer that ended before it acknowledged them; they may have arrived, and are not sent again.
    pub(crate) undelivered: u64,
    /// Messages of peers that were not understood or not allowed.
    pub(crate) malformed: u64,
    /// ERR of peers.
    pub(crate) errors: u64,
    /// ERR to peers not sent because there were too many.
    pub(crate) errors_suppressed: u64,
    /// Messages of peers that mean nothing here.
    pub(crate) ignored: u64,
    /// Associations refused: address, number, streams.
    pub(crate) peers_refused: u64,
    /// DUNA and DUPU in answer to messages without a route.
    pub(crate) refusals_told: u64,
    /// More of them would have been too many.
    pub(crate) refusals_suppressed: u64,
    /// SCON sent.
    pub(crate) congestion_told: u64,
    /// Destinations in SCON that came, told to the pools.
    pub(crate) congestion_heard: u64,
    /// Management messages that found no room.
    pub(crate) management_lost: u64,
    /// BEATs and audits of peers not answered because there were too many.
    pub(crate) floods_suppressed: u64,
    /// Peers and links given up: silent, or without ASPUP in time.
    pub(crate) given_up: u64,
    /// What STPs said of destinations: DUNA, DAVA, DRST.
    pub(crate) destinations_told: u64,
    /// More of that than is noted.
    pub(crate) destinations_left_out: u64,
}

/// All peers of the network side.
#[derive(Debug)]
pub(crate) struct Network {
    config: config::Network,
    /// Network Appearances of the application servers.
    networks: Vec<u32>,
    started: Instant,
    /// Of the peers that come to us.
    as_state: As<AssocId>,
    peers: FxHashMap<AssocId, Peer>,
    /// Of what leads to the same destinations: first the peers that come to us, then the linksets.
    sets: Vec<Set>,
    ways: Vec<Way>,
    /// Messages in the queues of all sets.
    waiting: usize,
    queue_bytes: usize,
    /// Some pool is available: the STPs may send.
    serving: bool,
    /// What arrived, for the second gateway; none without one.
    confirm: Confirm,
    /// There may be a second gateway: barriers are answered when what came before them is accepted.
    mate: Option<config::Mate>,
    /// Destinations that became available, or not, for the pools to be told.
    reachability: VecDeque<(Option<u32>, bool, AffectedPc)>,
    congested: VecDeque<Congested>,
    counters: Counters,
}

/// How long output waits before SCTP is asked again when it had no room.
const RETRY: Duration = Duration::from_millis(5);

impl Network {
    /// `networks`: Network Appearances of application servers.
    pub(crate) fn new(
        now: Instant,
        config: config::Network,
        networks: impl Iterator<Item = u32>,
        mate: Option<config::Mate>,
    ) -> Self {
        let as_state = As::new(AsConfig {
            routing_context: config.routing_context,
            traffic_mode: TrafficMode::Loadshare,
            asps_min: 1,
            t_r_ms: config.t_r_ms,
        });
        let attached = Set::new("attached", Some(config.routing_context), config.network_appearance);
        let links = config.linksets.iter().map(|set| links::set_of(now, set));
        Self {
            networks: networks.collect(),
            sets: std::iter::once(attached).chain(links).collect(),
            ways: sets::ways(&config),
            config,
            started: now,
            as_state,
            peers: FxHashMap::default(),
            waiting: 0,
            queue_bytes: 0,
            serving: false,
            confirm: Confirm::default(),
            mate,
            reachability: VecDeque::new(),
            congested: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The Network Appearances of the application servers are these now.
    pub(crate) fn set_networks(&mut self, networks: impl Iterator<Item = u32>) {
        self.networks = networks.collect();
    }

    /// Peers may attach from one more address.
    pub(crate) fn allow(&mut self, address: IpAddr) {
        self.config.allowed_addresses.push(address);
    }

    fn discard(&mut self, cx: &mut NetCx<'_>, cause: Discard, message: &ProtocolData<'_>) {
        self.counters.discarded.add(cause);
        cx.record.discarded(cx.now, cause, Direction::Down, message);
    }

    fn send_to(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, stream: u16, unordered: bool, message: &Message<'_>) {
        let how = How { stream, ppid: ppid::M3UA, unordered };
        let sent = msu::encode(message).map(|bytes| cx.net.send(cx.now, assoc, how, bytes));
        if !matches!(sent, Some(Ok(()))) {
            self.counters.management_lost += 1;
        }
    }

    /// Does what is due. `stall`: this gateway itself did not run for so long, and what it should have heard waits unread.
    pub(crate) fn handle_timeout(&mut self, cx: &mut NetCx<'_>, stall: Option<Duration>) {
        self.as_state.handle_timeout(self.now_ms(cx.now));
        self.drain_as_events(cx);
        self.links_due(cx);
        self.supervise(cx, stall);
        for at in 0..self.sets.len() {
            if self.sets[at].retry_at.is_some_and(|retry_at| retry_at <= cx.now) {
                self.flush_queue(cx, at);
            }
        }
        if let Some(mate) = &self.mate {
            let interval = Duration::from_millis(mate.network_confirm_ms);
            self.ask_delivered(cx, interval);
        }
        self.expire(cx);
    }

    /// When to call [`Network::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let recovery = self.as_state.poll_timeout().map(|at| self.at(at));
        let sets = self.sets.iter().flat_map(|set| [set.queue.front().map(|(until, _)| *until), set.retry_at]);
        let peers = self.peers.values().filter_map(|peer| peer.due());
        let confirm = self.confirm_due();
        recovery.into_iter().chain(sets.flatten()).chain(peers).chain(self.links_timeout()).chain(confirm).min()
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Attached peers and links.
    pub(crate) fn peers(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.peers.keys().copied()
    }

    fn now_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn at(&self, ms: u64) -> Instant {
        self.started + Duration::from_millis(ms)
    }
}

#[cfg(test)]
mod ipsp_tests;
#[cfg(test)]
mod links_tests;
#[cfg(test)]
mod tests;
