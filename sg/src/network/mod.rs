//! The side of the SS7 network: M3UA peers that attach as ASPs, load-shared by SLS.

mod congestion;
mod queue;
mod refusal;

use crate::config;
use crate::msu::{self, ErrorLimit, Msu};
use crate::pool::{How, Transport};
use crate::record::{Direction, Discard, Discards, Recorder};
use bytes::Bytes;
use m3ua_lite::as_state::{As, AsConfig, AsEvent, AsState};
use m3ua_lite::asp::{AspState, Input, Outbound, Replies};
use m3ua_lite::sgp::{AsMember, AspIdRule, Sgp, SgpConfig};
use m3ua_lite::wire::{
    AffectedList, AffectedPc, ErrorCode, ErrorMessage, MAX_AFFECTED, Message, ProtocolData, Ssnm, TrafficMode,
    one_context,
};
use rustc_hash::FxHashMap;
use sctp::{AssocId, Undelivered, ppid};
use serde::Serialize;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

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
    /// A message for a pool.
    Data(ProtocolData<'a>),
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
    /// Management messages that found no room.
    pub(crate) management_lost: u64,
}

/// A peer in the admin state.
#[derive(Debug, Serialize)]
pub(crate) struct PeerView {
    address: String,
    asp_id: Option<u32>,
    state: &'static str,
    sent: u64,
    received: u64,
}

/// The network side in the admin state.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    routing_context: u32,
    state: &'static str,
    waiting: usize,
    peers: Vec<PeerView>,
    counters: Counters,
}

#[derive(Debug)]
struct Peer {
    address: Option<SocketAddr>,
    sgp: Sgp,
    streams: u16,
    errors: ErrorLimit,
    /// DUNA and DUPU for messages without a route.
    refusals: ErrorLimit,
    sent: u64,
    received: u64,
}

/// All peers of the network side.
#[derive(Debug)]
pub(crate) struct Network {
    config: config::Network,
    started: Instant,
    as_state: As<AssocId>,
    peers: FxHashMap<AssocId, Peer>,
    /// Peers that take traffic, in a fixed order: SLS picks one.
    active: Vec<AssocId>,
    /// Output that waits for a peer, and until when.
    queue: VecDeque<(Instant, Msu)>,
    queue_bytes: usize,
    /// How many of them have each SLS: order matters within one.
    queued_of_sls: Vec<u32>,
    /// SCTP had no room: when to try again.
    retry_at: Option<Instant>,
    counters: Counters,
}

/// How long output waits before SCTP is asked again when it had no room.
const RETRY: Duration = Duration::from_millis(5);

impl Network {
    pub(crate) fn new(now: Instant, config: config::Network) -> Self {
        let as_state = As::new(AsConfig {
            routing_context: config.routing_context,
            traffic_mode: TrafficMode::Loadshare,
            asps_min: 1,
            t_r_ms: config.t_r_ms,
        });
        Self {
            config,
            started: now,
            as_state,
            peers: FxHashMap::default(),
            active: Vec::new(),
            queue: VecDeque::new(),
            queue_bytes: 0,
            queued_of_sls: vec![0; 256],
            retry_at: None,
            counters: Counters::default(),
        }
    }

    /// A peer's association is established.
    pub(crate) fn up(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, address: &[SocketAddr], outbound: u16) {
        let allowed: &[IpAddr] = &self.config.allowed_addresses;
        let known = allowed.is_empty() || address.iter().any(|address| allowed.contains(&address.ip()));
        if !known || self.peers.len() >= self.config.peers_max || outbound < 2 {
            self.counters.peers_refused += 1;
            return cx.net.abort(cx.now, assoc);
        }
        let asp_id = if self.config.allowed_asp_ids.is_empty() { AspIdRule::Optional } else { AspIdRule::Required };
        let mut sgp = Sgp::new(SgpConfig { asp_id, ..SgpConfig::default() });
        let member = AsMember {
            routing_context: self.config.routing_context,
            network_appearance: self.config.network_appearance,
            traffic_mode: Some(TrafficMode::Loadshare),
        };
        if sgp.add_as(member).is_err() {
            debug_assert!(false, "an empty SGP has room for one AS");
        }
        let address = address.first().copied();
        self.peers.insert(
            assoc,
            Peer {
                address,
                sgp,
                streams: outbound,
                errors: ErrorLimit::new(cx.now),
                refusals: ErrorLimit::new(cx.now),
                sent: 0,
                received: 0,
            },
        );
    }

    /// Takes a message of a peer.
    pub(crate) fn message<'a>(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        stream: u16,
        ppid: u32,
        unordered: bool,
        payload: &'a Bytes,
    ) -> Option<Inbound<'a>> {
        let peer = self.peers.get_mut(&assoc)?;
        if ppid != ppid::M3UA {
            self.counters.ignored += 1;
            return None;
        }
        if let Some(code) = refused_asp_id(&self.config.allowed_asp_ids, payload) {
            self.counters.malformed += 1;
            let answer = Outbound { stream: 0, message: Message::Error(ErrorMessage::new(code)) };
            self.send_replies(cx, assoc, &[answer]);
            return None;
        }
        let mut replies = Replies::new();
        let input = peer.sgp.handle(stream, payload, &mut replies);
        self.send_replies(cx, assoc, &replies);
        let became_active = self.follow(cx, assoc);
        match input {
            Input::Deliver(message) => self.delivered(cx, assoc, stream, unordered, message),
            Input::Dropped(_) => {
                self.counters.malformed += 1;
                None
            }
            Input::Consumed => became_active.then_some(Inbound::Active),
        }
    }

    fn delivered<'a>(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        stream: u16,
        unordered: bool,
        message: Message<'a>,
    ) -> Option<Inbound<'a>> {
        match message {
            Message::Data(data) => {
                self.counters.received += 1;
                if let Some(peer) = self.peers.get_mut(&assoc) {
                    peer.received += 1;
                }
                Some(Inbound::Data(data.protocol_data))
            }
            Message::Daud(audit) => Some(Inbound::Audit(audit)),
            Message::Beat(beat) => {
                self.send_to(cx, assoc, stream, unordered, &Message::BeatAck(beat));
                None
            }
            Message::Error(_) => {
                self.counters.errors += 1;
                None
            }
            // What the peers say of their own network is not used yet; the rest the ASP machine consumes.
            Message::Notify(_)
            | Message::Duna(_)
            | Message::Dava(_)
            | Message::Scon(_)
            | Message::Dupu(_)
            | Message::Drst(_)
            | Message::AspUp(_)
            | Message::AspDown(_)
            | Message::AspUpAck(_)
            | Message::AspDownAck(_)
            | Message::BeatAck(_)
            | Message::AspActive(_)
            | Message::AspInactive(_)
            | Message::AspActiveAck(_)
            | Message::AspInactiveAck(_)
            | Message::RegReq(_)
            | Message::RegRsp(_)
            | Message::DeregReq(_)
            | Message::DeregRsp(_) => {
                self.counters.ignored += 1;
                None
            }
        }
    }

    /// Follows the peer's ASP state and the AS. True: the peer became active.
    fn follow(&mut self, cx: &mut NetCx<'_>, assoc: AssocId) -> bool {
        let now_ms = self.now_ms(cx.now);
        let mut became_active = false;
        while let Some((asp_id, change)) =
            self.peers.get_mut(&assoc).and_then(|peer| Some((peer.sgp.asp_id(), peer.sgp.poll_change()?)))
        {
            became_active |= change.to == AspState::Active;
            self.asp_state(now_ms, assoc, asp_id, change.to, change.failed);
        }
        self.drain_as_events(cx);
        became_active
    }

    fn asp_state(&mut self, now_ms: u64, assoc: AssocId, asp_id: Option<u32>, to: AspState, failed: bool) {
        if self.as_state.handle_asp(now_ms, assoc, asp_id, to, failed).is_err() {
            self.counters.peers_refused += 1;
        }
        self.active = self.as_state.active().collect();
        self.active.sort_unstable();
    }

    fn drain_as_events(&mut self, cx: &mut NetCx<'_>) {
        while let Some(event) = self.as_state.poll_event() {
            match event {
                AsEvent::State { to: AsState::Active, .. } => self.flush_queue(cx),
                // What waits has a time of its own.
                AsEvent::State { .. } => {}
                AsEvent::Overridden { .. } => debug_assert!(false, "the network side load-shares"),
                AsEvent::Notify { asp, notify } => self.send_to(cx, asp, 0, false, &Message::Notify(notify)),
            }
        }
    }

    /// An association ended. What was not sent yet goes by another peer; what was sent may have arrived, and goes nowhere.
    pub(crate) fn closed(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, undelivered: Vec<Undelivered>) {
        let Some(peer) = self.peers.remove(&assoc) else { return };
        let now_ms = self.now_ms(cx.now);
        self.asp_state(now_ms, assoc, peer.sgp.asp_id(), AspState::Down, true);
        let mut unsent = Vec::new();
        for message in undelivered {
            let Ok(Message::Data(data)) = Message::decode(&message.payload) else { continue };
            self.counters.sent -= 1;
            if message.transmitted {
                self.counters.undelivered += 1;
                self.discard(cx, Discard::NoPeer, &data.protocol_data);
            } else {
                unsent.push(Msu::from_slice_of(&message.payload, &data.protocol_data));
            }
        }
        self.put_back(cx, unsent);
        self.drain_as_events(cx);
        self.flush_queue(cx);
    }

    fn discard(&mut self, cx: &mut NetCx<'_>, cause: Discard, message: &ProtocolData<'_>) {
        self.counters.discarded.add(cause);
        cx.record.discarded(cx.now, cause, Direction::Down, message);
    }

    /// Tells the active peers (or one of them) that destinations are, or are not, available: DAVA, DUNA.
    pub(crate) fn announce(
        &mut self,
        cx: &mut NetCx<'_>,
        only: Option<AssocId>,
        available: bool,
        affected: impl Iterator<Item = AffectedPc>,
    ) {
        let affected: Vec<AffectedPc> = affected.collect();
        let to: Vec<AssocId> = only.map_or_else(|| self.active.clone(), |assoc| vec![assoc]);
        for chunk in affected.chunks(MAX_AFFECTED) {
            let message = Ssnm {
                network_appearance: self.config.network_appearance,
                routing_contexts: one_context(self.config.routing_context),
                affected: AffectedList::from_slice(chunk).unwrap_or_default(),
                info: None,
            };
            let message = if available { Message::Dava(message) } else { Message::Duna(message) };
            for assoc in &to {
                self.send_to(cx, *assoc, 0, false, &message);
            }
        }
    }

    /// Answers an audit of a destination that is not known here.
    pub(crate) fn unknown_destination(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, affected: AffectedPc) {
        let mut error = ErrorMessage::new(ErrorCode::DestinationStatusUnknown);
        error.routing_contexts = one_context(self.config.routing_context);
        error.network_appearance = self.config.network_appearance;
        error.affected = AffectedList::from_slice(&[affected]).unwrap_or_default();
        self.send_to(cx, assoc, 0, false, &Message::Error(error));
    }

    fn send_replies(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, replies: &[Outbound<'_>]) {
        for reply in replies {
            let Some(peer) = self.peers.get_mut(&assoc) else { return };
            if peer.errors.allows(cx.now, &reply.message) {
                self.send_to(cx, assoc, reply.stream, false, &reply.message);
            } else {
                self.counters.errors_suppressed += 1;
            }
        }
    }

    fn send_to(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, stream: u16, unordered: bool, message: &Message<'_>) {
        let how = How { stream, ppid: ppid::M3UA, unordered };
        let sent = msu::encode(message).map(|bytes| cx.net.send(cx.now, assoc, how, bytes));
        if !matches!(sent, Some(Ok(()))) {
            self.counters.management_lost += 1;
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut NetCx<'_>) {
        self.as_state.handle_timeout(self.now_ms(cx.now));
        self.drain_as_events(cx);
        if self.retry_at.is_some_and(|at| at <= cx.now) {
            self.flush_queue(cx);
        }
        while self.queue.front().is_some_and(|(until, _)| *until <= cx.now) {
            let Some((_, msu)) = self.queue.pop_front() else { break };
            self.count_unqueued(&msu);
            self.discard(cx, Discard::NoPeer, &msu.protocol_data());
        }
    }

    /// When to call [`Network::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let recovery = self.as_state.poll_timeout().map(|at| self.started + Duration::from_millis(at));
        let expiry = self.queue.front().map(|(until, _)| *until);
        [recovery, expiry, self.retry_at].into_iter().flatten().min()
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Attached peers.
    pub(crate) fn peers(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.peers.keys().copied()
    }

    /// For the admin.
    pub(crate) fn view(&self) -> View {
        let mut peers: Vec<_> = self.peers.iter().collect();
        peers.sort_unstable_by_key(|(assoc, _)| **assoc);
        let peers = peers.into_iter().map(|(_, peer)| PeerView {
            address: peer.address.map(|address| address.to_string()).unwrap_or_default(),
            asp_id: peer.sgp.asp_id(),
            state: peer.sgp.state(self.config.routing_context).name(),
            sent: peer.sent,
            received: peer.received,
        });
        View {
            routing_context: self.config.routing_context,
            state: self.as_state.state().name(),
            waiting: self.queue.len(),
            peers: peers.collect(),
            counters: self.counters,
        }
    }

    fn now_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

/// The error for an ASPUP whose ASP Identifier is not among the allowed ones (RFC 4666 section 3.8.1).
fn refused_asp_id(allowed: &[u32], payload: &[u8]) -> Option<ErrorCode> {
    if allowed.is_empty() {
        return None;
    }
    let Ok(Message::AspUp(up)) = Message::decode(payload) else { return None };
    match up.asp_id {
        Some(id) if allowed.contains(&id) => None,
        Some(_) => Some(ErrorCode::InvalidAspIdentifier),
        None => Some(ErrorCode::AspIdentifierRequired),
    }
}

#[cfg(test)]
mod tests;
