//! RFC 5353 section 3.4: who is there, and who has died.

use super::{Accommodations, Context, EXTENSIONS, Effect, Peer, Peers, Recognition, Refusals, Status, Timer, ms};
use crate::server::rate::Rate;
use crate::server::{ClientId, Multicast, Output};
use crate::wire::{Body, Message, Presence};
use asap::wire::ServerId;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Timers that come later than this say nothing of others: we stood still ourselves, and what was sent to us waits unread.
const STALL: Duration = Duration::from_millis(30);
/// Between two rounds of presences to all because somebody says that we are dead.
const CONTRADICTION_PAUSE: Duration = Duration::from_millis(50);
/// Between two presences to the multicast group.
const ANNOUNCE: Duration = Duration::from_secs(1);

impl Peers {
    /// A server that was not known. False: there is no room for it.
    pub(super) fn add_peer(&mut self, cx: &Context<'_>, id: ServerId) -> bool {
        if self.peers.len() >= self.config.peers_max {
            self.counters.peers_refused += 1;
            return false;
        }
        self.counters.peers_up += 1;
        let peer = Peer {
            transport: None,
            links: Vec::new(),
            sources: Vec::new(),
            updates: Rate::default(),
            requests: Rate::default(),
            last_heard: cx.now,
            status: Status::Active,
            recognition: Recognition::default(),
            download: None,
            table_open: false,
            next_audit: cx.now,
            audit_wanted: true,
            refusals: Refusals::default(),
            confirmed: false,
        };
        self.peers.insert(id, peer);
        if self.timers.get(&Timer::Heartbeat).is_none() {
            self.timers.set(Timer::Heartbeat, cx.now);
        }
        self.effects.push_back(Effect::Up(id));
        self.watch(id, cx.now);
        true
    }

    /// A message came from the peer: it lives, and whoever takes it over is to stop.
    pub(super) fn heard(&mut self, cx: &Context<'_>, id: ServerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.last_heard = cx.now;
        match std::mem::replace(&mut peer.status, Status::Active) {
            Status::Active => return,
            Status::Probed(_) => {}
            Status::Ours(_) | Status::Yielded(_) => {
                self.counters.takeovers_stopped += 1;
                self.timers.cancel(&Timer::Takeover(id));
            }
        }
        self.watch(id, cx.now);
    }

    /// Looks after the longest silence whether there was any.
    fn watch(&mut self, id: ServerId, from: Instant) {
        self.timers.set(Timer::Silence(id), from + ms(self.config.max_time_last_heard_ms));
    }

    pub(super) fn silence(&mut self, cx: &Context<'_>, id: ServerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        match peer.status {
            Status::Active => {
                let due = peer.last_heard + ms(self.config.max_time_last_heard_ms);
                if due > cx.now { self.timers.set(Timer::Silence(id), due) } else { self.probe(cx, id) }
            }
            Status::Probed(until) if until > cx.now => self.timers.set(Timer::Silence(id), until),
            Status::Probed(_) => self.dead(cx, id),
            Status::Ours(_) | Status::Yielded(_) => {}
        }
    }

    /// Asks the peer for a presence; it is dead when nothing comes in MAX-TIME-NO-RESPONSE.
    pub(super) fn probe(&mut self, cx: &Context<'_>, id: ServerId) {
        let until = cx.now + ms(self.config.max_time_no_response_ms);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.status != Status::Active {
            return;
        }
        self.counters.peers_probed += 1;
        peer.status = Status::Probed(until);
        let links = peer.links.clone();
        self.timers.set(Timer::Silence(id), until);
        for (client, _) in links {
            self.ask_presence(cx, client, id);
        }
    }

    /// Our timers came late: the peers get the time that we lost.
    pub(super) fn notice_stall(&mut self, now: Instant) {
        let Some(late) = self.timers.next().map(|due| now.saturating_duration_since(due)).filter(|&late| late > STALL)
        else {
            return;
        };
        self.counters.peers_stalls += 1;
        let answer = now + ms(self.config.max_time_no_response_ms);
        for (&id, peer) in &mut self.peers {
            peer.last_heard = (peer.last_heard + late).min(now);
            if let Status::Probed(until) = &mut peer.status {
                *until = (*until + late).min(answer).max(*until);
                self.timers.set(Timer::Silence(id), *until);
            }
        }
    }

    /// ENRP_PRESENCE. The reply to R goes back the way it came.
    pub(super) fn presence(&mut self, cx: &Context<'_>, client: ClientId, sender: ServerId, presence: &Presence) {
        if let Some(server) = presence.server.as_ref().filter(|server| server.id == sender) {
            self.learn(cx, sender, &server.transport);
        }
        self.recognise(cx, sender, |it| it.presence(presence.extensions.is_some(), presence.server.is_some()));
        if presence.reply {
            let reply = self.own_presence(cx, false, true, self.accommodations(sender));
            self.send(client, sender, reply);
        }
        self.audit(cx, sender, presence.checksum);
        self.mentor_heard(cx, sender);
    }

    /// Something was seen of the peer that tells what it is. If that changes how its words are meant, in whatever direction, what it
    /// told until now was misunderstood.
    pub(super) fn recognise(&mut self, cx: &Context<'_>, id: ServerId, see: impl FnOnce(&mut Recognition)) {
        let before = self.accommodations(id).life_in_ms;
        if let Some(peer) = self.peers.get_mut(&id) {
            see(&mut peer.recognition);
        }
        let after = self.accommodations(id).life_in_ms;
        if let Some(peer) = self.peers.get_mut(&id).filter(|_| after != before) {
            peer.audit_wanted = true;
            peer.next_audit = cx.now;
        }
    }

    /// ENRP_PRESENCE with R, which says who and where we are.
    pub(super) fn ask_presence(&mut self, cx: &Context<'_>, client: ClientId, receiver: ServerId) {
        let mut question = self.own_presence(cx, true, true, self.accommodations(receiver));
        if let Some(peer) = self.peers.get_mut(&receiver) {
            if let Body::Presence(presence) = &mut question {
                presence.probe = !peer.recognition.ours;
            }
            peer.recognition.asked();
        }
        self.send(client, receiver, question);
    }

    fn own_presence(&self, cx: &Context<'_>, reply: bool, server: bool, accommodations: Accommodations) -> Body {
        Body::Presence(Presence {
            reply,
            checksum: accommodations.checksum(cx.handlespace.checksum(self.id)),
            extensions: Some(EXTENSIONS),
            probe: false,
            server: server.then(|| self.information()),
        })
    }

    /// ENRP_PRESENCE to every peer, each PEER-HEARTBEAT-CYCLE.
    pub(super) fn heartbeat(&mut self, cx: &Context<'_>) {
        if self.peers.is_empty() {
            return;
        }
        self.presence_to_all(cx);
        let cycle = self.config.peer_heartbeat_cycle_ms;
        let wait = cycle - cycle / 10 + self.random.below(cycle / 5 + 1);
        self.timers.set(Timer::Heartbeat, cx.now + ms(wait));
    }

    pub(super) fn presence_to_all(&mut self, cx: &Context<'_>) {
        let receivers: Vec<_> = self.peers.keys().map(|&id| (id, self.accommodations(id))).collect();
        for (id, accommodations) in receivers {
            let presence = self.own_presence(cx, false, accommodations.presence_with_server, accommodations);
            self.announce_to(id, presence);
        }
    }

    /// Somebody thinks that we are dead: ENRP_PRESENCE to all. Not to all each time it is said so quickly again; who says it is told.
    pub(super) fn contradict(&mut self, cx: &Context<'_>, sender: ServerId) {
        if self.contradicted.is_some_and(|at| cx.now.saturating_duration_since(at) < CONTRADICTION_PAUSE) {
            let accommodations = self.accommodations(sender);
            let presence = self.own_presence(cx, false, accommodations.presence_with_server, accommodations);
            self.announce_to(sender, presence);
            return;
        }
        self.contradicted = Some(cx.now);
        self.presence_to_all(cx);
    }

    /// ENRP_PRESENCE to the multicast group.
    pub(super) fn announce(&mut self, cx: &Context<'_>) {
        let body = self.own_presence(cx, false, true, Accommodations::CAREFUL);
        if let Ok(bytes) = (Message { sender: self.id, receiver: ServerId(0), body }).encode() {
            self.outputs.push_back(Output::Multicast { group: Multicast::Enrp, bytes });
        }
        self.timers.set(Timer::Announce, cx.now + ANNOUNCE);
    }

    /// A datagram to the multicast group: it tells where a server is, nothing else. Whether it lives is asked over SCTP.
    pub(crate) fn announced(&mut self, cx: &Context<'_>, source: SocketAddr, bytes: &[u8]) {
        let Ok(decoded) = Message::decode(bytes, &self.limits) else {
            self.counters.enrp_malformed += 1;
            return;
        };
        let (sender, Body::Presence(presence)) = (decoded.message.sender, decoded.message.body) else { return };
        let connected = self.peers.get(&sender).is_some_and(|peer| !peer.links.is_empty());
        if sender == self.id || sender == ServerId(0) || connected {
            return;
        }
        if let Some(mut server) = presence.server.filter(|server| server.id == sender) {
            // Its other addresses as well: the datagram's may be on a network where SCTP finds nobody.
            let listed = server.transport.addresses.iter().copied().filter(|&ip| ip != source.ip());
            let all = std::iter::once(source.ip()).chain(listed).take(self.limits.max_addresses);
            server.transport.addresses = all.collect::<Vec<_>>().as_slice().into();
            self.learn_heard(cx, sender, &server.transport, source.ip());
        }
    }
}
