//! Links: associations toward STPs that we open, and on which we are an ASP; and those with other IPSPs, who may open them.

use super::peer::{End, Peer};
use super::sets::{ATTACHED, Link, Reach, Set};
use super::{Inbound, NetCx, Network};
use crate::config::{self, LinkMode};
use crate::route::Traffic;
use bytes::Bytes;
use m3ua_lite::asp::{AspState, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer, AspPeerEvent};
use m3ua_lite::ipsp::IpspRole;
use m3ua_lite::session::CorrelationId;
use m3ua_lite::wire::{Message, TrafficMode, one_context};
use sctp::AssocId;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a refused ASPUP or ASPAC rests before it is tried again: the STP's configuration may be changed meanwhile.
const REFUSED_RETRY: Duration = Duration::from_secs(5);

/// A linkset of the configuration, nothing open yet.
pub(super) fn set_of(now: Instant, config: &config::LinkSet) -> Set {
    let mut set = Set::new(&config.name, config.routing_context, config.network_appearance);
    let traffic_mode = match config.traffic_mode {
        config::TrafficMode::Loadshare => TrafficMode::Loadshare,
        config::TrafficMode::Override => TrafficMode::Override,
        config::TrafficMode::Broadcast => TrafficMode::Broadcast,
    };
    let asp = || {
        let settings = AspConfig {
            asp_id: config.asp_id,
            routing_contexts: config.routing_context.map(one_context).unwrap_or_default(),
            traffic_mode: Some(traffic_mode),
            t_ack_ms: config.t_ack_ms,
        };
        match (config.mode, config.passive) {
            (LinkMode::Asp, _) => AspPeer::new(settings),
            (LinkMode::Ipsp, false) => AspPeer::new_ipsp(settings, IpspRole::Leads),
            (LinkMode::Ipsp, true) => AspPeer::new_ipsp(settings, IpspRole::Answers),
        }
    };
    set.mode = Some(config.mode);
    set.passive = config.passive;
    let links = config.links.iter();
    set.links = links
        .map(|link| Link { config: link.clone(), assoc: None, connect_at: now, not_before: None, asp: asp() })
        .collect();
    set
}

impl Network {
    /// Some pool is available, or none is: the ASPs toward the STPs are active accordingly, so that an STP knows whether it can
    /// send here.
    pub(crate) fn set_serving(&mut self, cx: &mut NetCx<'_>, serving: bool) {
        if self.serving == serving {
            return;
        }
        self.serving = serving;
        for (set, at) in self.all_links() {
            if self.sets[set].links[at].assoc.is_some_and(|assoc| self.peers.contains_key(&assoc)) {
                self.want(cx, set, at);
            }
        }
    }

    fn all_links(&self) -> Vec<(usize, usize)> {
        let sets = self.sets.iter().enumerate().skip(ATTACHED + 1);
        sets.flat_map(|(set, it)| (0..it.links.len()).map(move |at| (set, at))).collect()
    }

    /// Opens links that are due, and runs T(ack).
    pub(super) fn links_due(&mut self, cx: &mut NetCx<'_>) {
        let now_ms = self.now_ms(cx.now);
        for (set, at) in self.all_links() {
            let reconnect = Duration::from_millis(self.config.linksets[set - ATTACHED - 1].reconnect_ms);
            let passive = self.sets[set].passive;
            let link = &mut self.sets[set].links[at];
            match link.assoc {
                None if !passive && link.connect_at <= cx.now => {
                    link.connect_at = cx.now + reconnect;
                    link.assoc = cx.net.connect(cx.now, &link.config.addresses, link.config.port);
                }
                Some(assoc) if self.peers.contains_key(&assoc) => {
                    if link.asp.pending().is_none() && link.connect_at <= cx.now {
                        link.connect_at = cx.now + REFUSED_RETRY;
                        self.want(cx, set, at);
                        continue;
                    }
                    link.asp.handle_timeout(now_ms);
                    self.drive(cx, set, at);
                }
                None | Some(_) => {}
            }
            let link = &mut self.sets[set].links[at];
            link.not_before = link.not_before.filter(|at| *at > cx.now);
        }
    }

    pub(super) fn links_timeout(&self) -> Option<Instant> {
        let links = self.sets.iter().flat_map(|set| set.links.iter().map(move |link| (set, link)));
        let due = links.flat_map(|(set, link)| {
            let up = link.assoc.is_some_and(|assoc| self.peers.contains_key(&assoc));
            let unsatisfied = up && link.asp.pending().is_none() && link.asp.state() != self.wanted();
            let connect = (link.assoc.is_none() && !set.passive || unsatisfied).then_some(link.connect_at);
            [connect, link.asp.poll_timeout().filter(|_| up).map(|ms| self.at(ms))]
        });
        due.flatten().min()
    }

    fn wanted(&self) -> AspState {
        if self.serving { AspState::Active } else { AspState::Inactive }
    }

    fn want(&mut self, cx: &mut NetCx<'_>, set: usize, at: usize) {
        let (now_ms, wanted) = (self.now_ms(cx.now), self.wanted());
        self.sets[set].links[at].asp.want(now_ms, wanted);
        self.drive(cx, set, at);
    }

    fn link_of(&self, assoc: AssocId) -> Option<(usize, usize)> {
        self.all_links().into_iter().find(|(set, at)| self.sets[*set].links[*at].assoc == Some(assoc))
    }

    /// An association that we opened is established. False: it is no link.
    pub(crate) fn link_up(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        address: &[SocketAddr],
        (outbound, inbound): (u16, u16),
    ) -> bool {
        let Some((set, at)) = self.link_of(assoc) else { return false };
        self.link_begins(cx, (set, at), assoc, address, outbound.min(inbound));
        true
    }

    /// The link that an association from one of these addresses is for: a free one of a linkset whose other end opens them. `Err`: they
    /// have theirs.
    pub(super) fn awaited(&self, address: &[SocketAddr]) -> Option<Result<(usize, usize), ()>> {
        let named = |link: &Link| address.iter().any(|address| link.config.addresses.contains(&address.ip()));
        let of_it = |(set, at): &(usize, usize)| self.sets[*set].passive && named(&self.sets[*set].links[*at]);
        let mut links = self.all_links().into_iter().filter(of_it).peekable();
        links.peek()?;
        Some(links.find(|(set, at)| self.sets[*set].links[*at].assoc.is_none()).ok_or(()))
    }

    pub(super) fn link_begins(
        &mut self,
        cx: &mut NetCx<'_>,
        (set, at): (usize, usize),
        assoc: AssocId,
        address: &[SocketAddr],
        streams: u16,
    ) {
        if streams < 2 {
            // DATA must not go on stream 0 (RFC 4666 section 1.4.7).
            self.counters.peers_refused += 1;
            return cx.net.abort(cx.now, assoc);
        }
        let mut peer = Peer::new(cx.now, &self.config, set, End::Asp(at), address, streams);
        if !self.sets[set].passive {
            peer.up_by = None;
        }
        self.peers.insert(assoc, peer);
        let now_ms = self.now_ms(cx.now);
        let link = &mut self.sets[set].links[at];
        link.connect_at = cx.now + REFUSED_RETRY;
        link.assoc = Some(assoc);
        link.asp.association_up(now_ms);
        self.want(cx, set, at);
    }

    /// A link could not be opened: again a little later.
    pub(super) fn link_failed(&mut self, now: Instant, assoc: AssocId) {
        if let Some((set, at)) = self.link_of(assoc) {
            let reconnect = Duration::from_millis(self.config.linksets[set - ATTACHED - 1].reconnect_ms);
            let link = &mut self.sets[set].links[at];
            (link.assoc, link.connect_at) = (None, now + reconnect);
        }
    }

    pub(super) fn link_lost(&mut self, cx: &mut NetCx<'_>, assoc: AssocId, set: usize) {
        let Some((_, at)) = self.link_of(assoc) else { return };
        self.sets[set].links[at].asp.association_lost();
        self.drive(cx, set, at);
        self.link_failed(cx.now, assoc);
    }

    pub(super) fn link_message<'a>(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        stream: u16,
        unordered: bool,
        payload: &'a Bytes,
    ) -> Option<Inbound<'a>> {
        let peer = self.peers.get(&assoc)?;
        let End::Asp(at) = peer.end else { return None };
        let set = peer.set;
        let now_ms = self.now_ms(cx.now);
        let mut replies = Replies::new();
        let input = self.sets[set].links[at].asp.handle(now_ms, stream, payload, &mut replies);
        self.send_replies(cx, assoc, &replies);
        self.drive(cx, set, at);
        match input {
            Input::Deliver(message) => self.link_delivered(cx, assoc, (stream, unordered), message),
            Input::Dropped(_) => {
                self.counters.malformed += 1;
                None
            }
            Input::Consumed => None,
        }
    }

    fn link_delivered<'a>(
        &mut self,
        cx: &mut NetCx<'_>,
        assoc: AssocId,
        way: (u16, bool),
        message: Message<'a>,
    ) -> Option<Inbound<'a>> {
        match message {
            Message::Data(data) => {
                self.count_received(assoc);
                let of_set = self.peers.get(&assoc).and_then(|peer| self.sets[peer.set].network_appearance);
                let network = data.network_appearance.or(of_set);
                return Some(Inbound::Data(Traffic { message: data.protocol_data, network }, CorrelationId::NONE));
            }
            Message::Beat(beat) => self.answer_beat(cx, assoc, way, beat),
            Message::BeatAck(beat) => self.beat_answered(assoc, &beat),
            Message::Error(_) => self.counters.errors += 1,
            Message::Duna(ssnm) => self.reachability(cx, assoc, Reach::Unavailable, &ssnm),
            Message::Drst(ssnm) => self.reachability(cx, assoc, Reach::Restricted, &ssnm),
            Message::Dava(ssnm) => self.reachability(cx, assoc, Reach::Available, &ssnm),
            Message::Scon(scon) => self.congestion_came(cx.now, assoc, &scon),
            // NTFY tells nothing that the ASP machine has not; user parts of others concern who sends there.
            Message::Notify(_)
            | Message::Dupu(_)
            | Message::Daud(_)
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
            | Message::DeregRsp(_) => self.counters.ignored += 1,
        }
        None
    }

    /// Sends what the ASP machine has to send, and follows its state.
    fn drive(&mut self, cx: &mut NetCx<'_>, set: usize, at: usize) {
        let Some(assoc) = self.sets[set].links[at].assoc else { return };
        while let Some(request) = self.sets[set].links[at].asp.poll_transmit() {
            self.send_to(cx, assoc, request.stream, false, &request.message);
        }
        while let Some(event) = self.sets[set].links[at].asp.poll_event() {
            let name = self.sets[set].name.clone();
            match event {
                AspPeerEvent::State { from, to } => {
                    if to < from {
                        // Of an IPSP: who left comes back by itself; it is asked once more after a while.
                        self.sets[set].links[at].connect_at = cx.now + REFUSED_RETRY;
                    }
                    tracing::info!(linkset = name, link = at, state = to.name(), "link");
                    self.link_state(cx, (set, at), assoc, to);
                }
                AspPeerEvent::Refused { request, code } => {
                    tracing::warn!(linkset = name, link = at, ?request, ?code, "refused by the STP");
                    self.sets[set].links[at].connect_at = cx.now + REFUSED_RETRY;
                }
                AspPeerEvent::Overridden => tracing::info!(linkset = name, link = at, "overridden by another ASP"),
            }
        }
    }

    fn link_state(&mut self, cx: &mut NetCx<'_>, (set, at): (usize, usize), assoc: AssocId, to: AspState) {
        let changeback = Duration::from_millis(self.config.linksets[set - ATTACHED - 1].changeback_ms);
        self.follow_state(cx, assoc, to);
        let it = &mut self.sets[set];
        let before = it.active.len();
        let active = |link: &Link| link.asp.state() == AspState::Active;
        it.active = it.links.iter().filter(|link| active(link)).filter_map(|link| link.assoc).collect();
        // Others carried its SLSs: what they have is delivered first.
        let others = before > 0 && to == AspState::Active;
        it.links[at].not_before = others.then(|| cx.now + changeback);
        if it.active.is_empty() {
            // What it said is of before; it says it again.
            it.destinations.clear();
        }
        let is_active = !it.active.is_empty();
        self.flush_all(cx);
        if (before > 0) != is_active {
            self.set_changed(set);
        }
    }
}
