//! Peers that come to us and attach as ASPs: we are their SGP.

use super::peer::{End, Peer};
use super::sets::ATTACHED;
use super::{Inbound, NetCx, Network};
use crate::msu::{ErrorLimit, Msu};
use crate::record::Discard;
use crate::route::Traffic;
use bytes::Bytes;
use m3ua_lite::as_state::{AsEvent, AsState};
use m3ua_lite::asp::{AspState, Input, Outbound, Replies};
use m3ua_lite::error;
use m3ua_lite::session::CorrelationId;
use m3ua_lite::sgp::{AsMember, AspIdRule, Sgp, SgpConfig};
use m3ua_lite::wire::{Beat, ErrorCode, Message, RoutingContexts, TrafficMode};
use sctp::{AssocId, Undelivered};
use std::net::{IpAddr, SocketAddr};

impl Network {
    /// A peer's association is established: a link's, or that of an ASP.
    pub(crate) fn up(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, address: &[SocketAddr], outbound: u16) {
        match self.awaited(address) {
            None => self.asp_up(cx, assoc, address, outbound),
            Some(Ok(link)) => self.link_begins(cx, link, assoc, address, outbound),
            Some(Err(())) => {
                self.counters.peers_refused += 1;
                cx.net.abort(cx.now, assoc);
            }
        }
    }

    fn asp_up(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, address: &[SocketAddr], outbound: u16) {
        let allowed: &[IpAddr] = &self.config.allowed_addresses;
        let known = allowed.is_empty() || address.iter().any(|address| allowed.contains(&address.ip()));
        let attached = self.peers.values().filter(|peer| peer.set == ATTACHED).count();
        if !known || attached >= self.config.peers_max || outbound < 2 {
            self.counters.peers_refused += 1;
            return cx.net.abort(cx.now, assoc);
        }
        let asp_id = if self.config.allowed_asp_ids.is_empty() { AspIdRule::Optional } else { AspIdRule::Required };
        let mut sgp = Sgp::new(SgpConfig { asp_id, any_appearance: true, ..SgpConfig::default() });
        let member = AsMember {
            routing_context: self.config.routing_context,
            network_appearance: self.config.network_appearance,
            traffic_mode: Some(TrafficMode::Loadshare),
        };
        if sgp.add_as(member).is_err() {
            debug_assert!(false, "an empty SGP has room for one AS");
        }
        let end = End::Sgp(Box::new(sgp));
        let mut peer = Peer::new(cx.now, &self.config, ATTACHED, end, address, outbound);
        if let Some(mate) = &self.mate {
            peer.barriers = ErrorLimit::of(cx.now, mate.barriers_per_s);
        }
        self.peers.insert(assoc, peer);
    }

    pub(super) fn attached_message<'a>(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        stream: u16,
        unordered: bool,
        payload: &'a Bytes,
    ) -> Option<Inbound<'a>> {
        if let Some(code) = refused_asp_id(&self.config.allowed_asp_ids, payload) {
            self.counters.malformed += 1;
            if let Some(answer) = error::answer(code, RoutingContexts::new(), payload) {
                self.send_replies(cx, assoc, &[Outbound { stream: 0, message: Message::Error(answer) }]);
            }
            return None;
        }
        let peer = self.peers.get_mut(&assoc)?;
        let End::Sgp(sgp) = &mut peer.end else { return None };
        let mut replies = Replies::new();
        let input = sgp.handle(stream, payload, &mut replies);
        self.send_replies(cx, assoc, &replies);
        let became_active = self.follow(cx, assoc);
        match input {
            Input::Deliver(message) => {
                self.check_appearance(cx, assoc, &message, payload)?;
                self.delivered(cx, assoc, stream, unordered, message)
            }
            Input::Dropped(_) => {
                self.counters.malformed += 1;
                None
            }
            Input::Consumed => became_active.then_some(Inbound::Active),
        }
    }

    /// A Network Appearance that is not configured is answered by ERR (RFC 4666 section 3.8.1). `None`: it was.
    fn check_appearance(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        message: &Message<'_>,
        payload: &Bytes,
    ) -> Option<()> {
        let given = if let Message::Data(data) = message {
            data.network_appearance
        } else if let Message::Daud(audit) = message {
            audit.network_appearance
        } else if let Message::Scon(scon) = message {
            scon.network_appearance
        } else {
            None
        };
        let Some(wrong) =
            given.filter(|given| !self.config.appearances(self.networks.iter().copied()).any(|known| known == *given))
        else {
            return Some(());
        };
        self.counters.malformed += 1;
        if let Some(answer) = error::invalid_appearance(wrong, payload) {
            self.send_replies(cx, assoc, &[Outbound { stream: 0, message: Message::Error(answer) }]);
        }
        None
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
                self.count_received(assoc);
                let id = CorrelationId(data.correlation_id.unwrap_or_default());
                let network = data.network_appearance.or(self.config.network_appearance);
                Some(Inbound::Data(Traffic { message: data.protocol_data, network }, id))
            }
            Message::Daud(mut audit) => {
                let limit = &mut self.peers.get_mut(&assoc)?.audits;
                audit.affected.retain(|_| limit.take(cx.now));
                if audit.affected.is_empty() {
                    self.counters.floods_suppressed += 1;
                    return None;
                }
                Some(Inbound::Audit(audit))
            }
            Message::Beat(Beat { data: Some(data) }) if self.is_barrier(assoc, stream, unordered, data) => {
                self.take_barrier(cx, assoc, stream, data)
            }
            Message::Beat(beat) => {
                self.answer_beat(cx, assoc, (stream, unordered), beat);
                None
            }
            Message::BeatAck(beat) => {
                self.beat_answered(assoc, &beat);
                None
            }
            Message::Error(_) => {
                self.counters.errors += 1;
                None
            }
            Message::Scon(scon) => {
                self.congestion_came(cx.now, assoc, &scon);
                None
            }
            // What an SG says to an ASP does not come from one; the rest the ASP machine consumes.
            Message::Notify(_)
            | Message::Duna(_)
            | Message::Dava(_)
            | Message::Dupu(_)
            | Message::Drst(_)
            | Message::AspUp(_)
            | Message::AspDown(_)
            | Message::AspUpAck(_)
            | Message::AspDownAck(_)
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

    pub(super) fn count_received(&mut self, assoc: AssocId) {
        self.counters.received += 1;
        if let Some(peer) = self.peers.get_mut(&assoc) {
            peer.received += 1;
        }
    }

    /// Follows the peer's ASP state and the AS. True: the peer became active.
    fn follow(&mut self, cx: &mut NetCx<'_>, assoc: AssocId) -> bool {
        let now_ms = self.now_ms(cx.now);
        let mut became_active = false;
        let change = |network: &mut Self| match &mut network.peers.get_mut(&assoc)?.end {
            End::Sgp(sgp) => Some((sgp.asp_id(), sgp.poll_change()?)),
            End::Asp(_) => None,
        };
        while let Some((asp_id, change)) = change(self) {
            became_active |= change.to == AspState::Active;
            self.asp_state(now_ms, assoc, asp_id, change.to, change.failed);
            self.follow_state(cx, assoc, change.to);
        }
        self.drain_as_events(cx);
        became_active
    }

    pub(super) fn asp_state(&mut self, now_ms: u64, assoc: AssocId, asp_id: Option<u32>, to: AspState, failed: bool) {
        if self.as_state.handle_asp(now_ms, assoc, asp_id, to, failed).is_err() {
            self.counters.peers_refused += 1;
        }
        let active = &mut self.sets[ATTACHED].active;
        *active = self.as_state.active().collect();
        active.sort_unstable();
    }

    pub(super) fn drain_as_events(&mut self, cx: &mut NetCx<'_>) {
        while let Some(event) = self.as_state.poll_event() {
            match event {
                AsEvent::State { to: AsState::Active, .. } => self.flush_all(cx),
                // What waits has a time of its own.
                AsEvent::State { .. } => {}
                AsEvent::Overridden { .. } => debug_assert!(false, "the network side load-shares"),
                AsEvent::Notify { asp, notify } => self.send_to(cx, asp, 0, false, &Message::Notify(notify)),
            }
        }
    }

    /// Of what an association that ended did not deliver: what never left.
    pub(super) fn unsent(&mut self, cx: &mut NetCx<'_>, undelivered: Vec<Undelivered>) -> Vec<Msu> {
        let mut unsent = Vec::new();
        for message in undelivered {
            let Ok(Message::Data(data)) = Message::decode(&message.payload) else { continue };
            let id = CorrelationId(data.correlation_id.unwrap_or_default());
            self.counters.sent -= 1;
            if message.transmitted {
                self.counters.undelivered += 1;
                self.discard(cx, Discard::NoPeer, &data.protocol_data);
            } else {
                // Else it is that of the association, which is to be another now.
                let network = data.network_appearance.filter(|network| self.networks.contains(network));
                unsent.push(Msu { id, ..Msu::from_slice_of(&message.payload, &data.protocol_data, network) });
            }
        }
        unsent
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
