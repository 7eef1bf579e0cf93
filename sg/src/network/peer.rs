//! One association of the network side, and whether its other end lives.

use super::sets::ATTACHED;
use super::{Inbound, NetCx, Network};
use crate::config;
use crate::liveness::{Liveness, Pace};
use crate::msu::ErrorLimit;
use bytes::Bytes;
use m3ua_lite::asp::{AspState, Outbound};
use m3ua_lite::session::{HEARTBEAT_MAX, Heartbeat};
use m3ua_lite::sgp::Sgp;
use m3ua_lite::wire::{Beat, Message};
use sctp::{AssocId, Undelivered, ppid};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What we are on an association.
#[derive(Debug)]
pub(super) enum End {
    /// A peer came to us: we are its SGP.
    Sgp(Box<Sgp>),
    /// The link of this number of the set: we are an ASP, or both are IPSPs.
    Asp(usize),
}

/// An association that is up.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) set: usize,
    pub(super) end: End,
    pub(super) address: Option<SocketAddr>,
    pub(super) streams: u16,
    pub(super) errors: ErrorLimit,
    /// DUNA and DUPU for messages without a route.
    pub(super) refusals: ErrorLimit,
    pub(super) beats: ErrorLimit,
    pub(super) audits: ErrorLimit,
    pub(super) barriers: ErrorLimit,
    /// It asks for acceptance by barriers: it understands Correlation Ids.
    pub(super) confirms: bool,
    /// None: no BEATs are sent, as it is not active or the configuration says so.
    pub(super) live: Option<Liveness>,
    /// Until when it must have said ASPUP.
    pub(super) up_by: Option<Instant>,
    /// When the supervision has something to do.
    due: Option<Instant>,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl Peer {
    pub(super) fn new(
        now: Instant,
        config: &config::Network,
        set: usize,
        end: End,
        address: &[SocketAddr],
        streams: u16,
    ) -> Self {
        let up_by = now + Duration::from_millis(config.asp_up_ms);
        Self {
            set,
            end,
            address: address.first().copied(),
            streams,
            errors: ErrorLimit::new(now),
            refusals: ErrorLimit::new(now),
            beats: ErrorLimit::of(now, config.beats_per_s),
            audits: ErrorLimit::of(now, config.audits_per_s),
            barriers: ErrorLimit::new(now),
            confirms: false,
            live: None,
            up_by: Some(up_by),
            due: Some(up_by),
            sent: 0,
            received: 0,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    fn plan(&mut self, rtt: Option<Duration>) {
        let live = self.live.as_ref().map(|live| {
            let deadline = live.deadline(rtt).filter(|_| live.has_answered());
            deadline.map_or(live.next_beat(), |deadline| deadline.min(live.next_beat()))
        });
        self.due = self.up_by.into_iter().chain(live).min();
    }
}

impl Network {
    /// The ASP Identifier of the other end, if it told.
    pub(super) fn asp_id_of(&self, peer: &Peer) -> Option<u32> {
        match &peer.end {
            End::Sgp(sgp) => sgp.asp_id(),
            End::Asp(at) => self.sets[peer.set].links[*at].asp.peer_id(),
        }
    }

    pub(super) fn state_of(&self, peer: &Peer) -> AspState {
        match &peer.end {
            End::Sgp(sgp) => sgp.state(self.config.routing_context),
            End::Asp(at) => self.sets[peer.set].links[*at].asp.state(),
        }
    }

    /// Takes a message of a peer or an STP.
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
        if let Some(live) = &mut peer.live {
            live.heard(cx.now, false);
        }
        match peer.end {
            End::Sgp(_) => self.attached_message(cx, assoc, stream, unordered, payload),
            End::Asp(_) => self.link_message(cx, assoc, stream, unordered, payload),
        }
    }

    /// Answers a BEAT as it came, so many a second.
    pub(super) fn answer_beat(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        (stream, unordered): (u16, bool),
        beat: Beat<'_>,
    ) {
        let answers = self.peers.get_mut(&assoc).is_some_and(|peer| peer.beats.take(cx.now));
        if answers {
            self.send_to(cx, assoc, stream, unordered, &Message::BeatAck(beat));
        } else {
            self.counters.floods_suppressed += 1;
        }
    }

    /// Whether a BEAT is a barrier: in order, behind DATA. Without a second gateway it is like any other.
    pub(super) fn is_barrier(&self, assoc: AssocId, stream: u16, unordered: bool, data: &[u8]) -> bool {
        let ours = matches!(Heartbeat::decode(data), Heartbeat::Barrier(_));
        self.mate.is_some() && stream != 0 && !unordered && ours && self.peers.contains_key(&assoc)
    }

    /// Takes a barrier, so many a second.
    pub(super) fn take_barrier<'a>(
        &mut self,
        cx: &NetCx<'_>,
        assoc: AssocId,
        stream: u16,
        data: &'a [u8],
    ) -> Option<Inbound<'a>> {
        let peer = self.peers.get_mut(&assoc)?;
        peer.confirms = true;
        if peer.barriers.take(cx.now) {
            return Some(Inbound::Barrier(stream, data));
        }
        self.counters.floods_suppressed += 1;
        None
    }

    /// What came before a barrier is accepted: it is echoed.
    pub(crate) fn accepted(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, stream: u16, data: &[u8]) {
        if self.peers.contains_key(&assoc) {
            self.send_to(cx, assoc, stream, false, &Message::BeatAck(Beat { data: Some(data) }));
        }
    }

    /// A peer that is there understands Correlation Ids, or none is there that could tell.
    pub(crate) fn knows_numbers(&self) -> bool {
        let active = self.sets.iter().flat_map(|set| &set.active).filter_map(|assoc| self.peers.get(assoc));
        let (mut some, mut know) = (false, false);
        active.for_each(|peer| (some, know) = (true, know || peer.confirms));
        know || !some
    }

    /// The answer to a BEAT of ours.
    pub(super) fn beat_answered(&mut self, assoc: AssocId, beat: &Beat<'_>) {
        if let Some(Heartbeat::Barrier(id)) = beat.data.map(Heartbeat::decode) {
            return self.delivered_upto(assoc, id);
        }
        let Some(live) = self.peers.get_mut(&assoc).and_then(|peer| peer.live.as_mut()) else { return };
        if let Some(Heartbeat::Liveness(number)) = beat.data.map(Heartbeat::decode) {
            live.answered(number);
        }
    }

    pub(super) fn send_replies(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, replies: &[Outbound<'_>]) {
        for reply in replies {
            let Some(peer) = self.peers.get_mut(&assoc) else { return };
            if peer.errors.allows(cx.now, &reply.message) {
                self.send_to(cx, assoc, reply.stream, false, &reply.message);
            } else {
                self.counters.errors_suppressed += 1;
            }
        }
    }

    /// The state of an association's ASP is another one.
    pub(super) fn follow_state(&mut self, cx: &NetCx<'_>, assoc: AssocId, to: AspState) {
        let pace = Pace {
            beat: Duration::from_millis(self.config.beat_ms),
            idle_beat: Duration::from_millis(self.config.beat_ms),
            dead: Duration::from_millis(self.config.dead_ms),
        };
        let Some(peer) = self.peers.get_mut(&assoc) else { return };
        if to != AspState::Down {
            peer.up_by = None;
        }
        let beats = to == AspState::Active && !pace.beat.is_zero();
        if beats != peer.live.is_some() {
            peer.live = beats.then(|| Liveness::new(cx.now, pace));
        }
        peer.plan(cx.net.rtt(assoc));
    }

    /// BEATs that are due; those who do not answer, or never said ASPUP, are given up.
    pub(super) fn supervise(&mut self, cx: &mut NetCx<'_>, stall: Option<Duration>) {
        if let Some(stall) = stall {
            self.peers.values_mut().filter_map(|peer| peer.live.as_mut()).for_each(|live| live.excuse(cx.now, stall));
        }
        let due = self.peers.iter().filter(|(_, peer)| peer.due.is_some_and(|due| due <= cx.now));
        let due: Vec<AssocId> = due.map(|(assoc, _)| *assoc).collect();
        for assoc in due {
            let rtt = cx.net.rtt(assoc);
            let Some(peer) = self.peers.get_mut(&assoc) else { continue };
            let late = peer.up_by.is_some_and(|at| at <= cx.now);
            // One that never answered a BEAT does not know them.
            let silent = peer.live.as_ref().is_some_and(|live| {
                live.has_answered() && live.deadline(rtt).is_some_and(|deadline| deadline <= cx.now)
            });
            if late || silent {
                tracing::warn!(peer = ?peer.address, silent, "given up");
                self.counters.given_up += 1;
                (peer.live, peer.up_by, peer.due) = (None, None, None);
                // Its end comes back as an event, with what it was not sent.
                cx.net.abort(cx.now, assoc);
                continue;
            }
            let number = peer.live.as_mut().and_then(|live| live.beat(cx.now));
            peer.plan(rtt);
            if let Some(number) = number {
                let mut room = [0; HEARTBEAT_MAX];
                let data = Heartbeat::Liveness(number).encode(&mut room);
                self.send_to(cx, assoc, 0, true, &Message::Beat(Beat { data: Some(data) }));
            }
        }
    }

    /// An association ended. What was not sent yet goes by another; what was sent may have arrived, and goes nowhere.
    pub(crate) fn closed(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, undelivered: Vec<Undelivered>) {
        let Some(peer) = self.peers.remove(&assoc) else { return self.link_failed(cx.now, assoc) };
        self.forget_asked(assoc);
        let now_ms = self.now_ms(cx.now);
        match peer.end {
            End::Sgp(sgp) => self.asp_state(now_ms, assoc, sgp.asp_id(), AspState::Down, true),
            End::Asp(_) => self.link_lost(cx, assoc, peer.set),
        }
        let unsent = self.unsent(cx, undelivered);
        self.put_back(cx, peer.set, unsent);
        if peer.set == ATTACHED {
            self.drain_as_events(cx);
        }
        self.flush_all(cx);
    }
}
