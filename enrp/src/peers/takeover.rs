//! RFC 5353 section 3.5: a dead peer's elements get one new home. What the RFC leaves open is in the [module's text](super).

use super::{Context, Effect, Peers, Status, Timer, ms};
use crate::server::ClientId;
use crate::wire::Body;
use asap::wire::ServerId;
use std::collections::BTreeSet;
use std::time::Instant;

/// So many rounds a peer that lives and is not of this project may leave us without acknowledgement.
pub(super) const ROUNDS: u32 = 3;

/// Our takeover of a peer, before it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arbitration {
    /// When this round began.
    since: Instant,
    /// Who has not acknowledged.
    waiting: BTreeSet<ServerId>,
    round: u32,
}

impl Peers {
    /// A peer is dead. Without elements of its own there is nothing to take over.
    pub(super) fn dead(&mut self, cx: &Context<'_>, id: ServerId) {
        self.counters.peers_dead += 1;
        self.effects.push_back(Effect::Dead(id));
        if cx.handlespace.owned(id, crate::handlespace::Cursor::START).next().is_none() {
            return self.remove_peer(cx.now, id);
        }
        self.counters.takeovers_begun += 1;
        self.arbitrate(cx, id, 1);
    }

    /// ENRP_INIT_TAKEOVER to all, the target too. Peers that cannot be reached are not waited for. Where nobody else can contradict,
    /// the target itself has the time to: as long as there is an association with it.
    fn arbitrate(&mut self, cx: &Context<'_>, target: ServerId, round: u32) {
        let all: Vec<_> = self.peers.keys().copied().collect();
        let mut waiting = BTreeSet::new();
        for id in all {
            let reached = self.announce_to(id, Body::InitTakeover { target });
            let lives = self.peers.get(&id).is_some_and(|p| matches!(p.status, Status::Active | Status::Probed(_)));
            if reached && lives && id != target {
                waiting.insert(id);
            }
        }
        let decided = waiting.is_empty() && self.link_to(target).is_none();
        if let Some(peer) = self.peers.get_mut(&target) {
            peer.status = Status::Ours(Arbitration { since: cx.now, waiting, round });
        }
        self.timers.cancel(&Timer::Silence(target));
        self.timers.set(Timer::Takeover(target), cx.now + ms(self.config.takeover_ack_ms));
        if decided {
            self.win(cx, target);
        }
    }

    /// ENRP_INIT_TAKEOVER_ACK.
    pub(super) fn takeover_ack(&mut self, cx: &Context<'_>, sender: ServerId, target: ServerId) {
        let Some(peer) = self.peers.get_mut(&target) else { return };
        let Status::Ours(arbitration) = &mut peer.status else { return };
        if arbitration.waiting.remove(&sender) && arbitration.waiting.is_empty() {
            self.win(cx, target);
        }
    }

    /// The arbitration, ours or another's, has taken its time.
    pub(super) fn takeover_due(&mut self, cx: &Context<'_>, target: ServerId) {
        match self.peers.get(&target).map(|peer| peer.status.clone()) {
            Some(Status::Ours(arbitration)) => self.round_over(cx, target, &arbitration),
            // Nobody took it over: the initiator is gone, or gave up.
            Some(Status::Yielded(_)) => {
                if let Some(peer) = self.peers.get_mut(&target) {
                    peer.status = Status::Active;
                }
                self.probe(cx, target);
            }
            Some(Status::Active | Status::Probed(_)) | None => {}
        }
    }

    fn round_over(&mut self, cx: &Context<'_>, target: ServerId, arbitration: &Arbitration) {
        let objects = |id: &ServerId| {
            let Some(peer) = self.peers.get(id) else { return false };
            let lives = peer.last_heard > arbitration.since && !peer.links.is_empty();
            lives && (peer.recognition.ours || arbitration.round < ROUNDS)
        };
        if arbitration.waiting.iter().any(objects) {
            self.counters.takeovers_objected += 1;
            self.arbitrate(cx, target, arbitration.round.saturating_add(1));
        } else {
            self.win(cx, target);
        }
    }

    fn win(&mut self, cx: &Context<'_>, target: ServerId) {
        self.counters.takeovers_won += 1;
        let others: Vec<_> = self.peers.keys().copied().filter(|&id| id != target).collect();
        for id in others {
            self.announce_to(id, Body::TakeoverServer { target });
        }
        self.effects.push_back(Effect::TakeOver(target));
        self.remove_peer(cx.now, target);
    }

    /// ENRP_INIT_TAKEOVER: RFC 5353 section 3.5.1, rules 1 to 3.
    pub(super) fn init_takeover(&mut self, cx: &Context<'_>, client: ClientId, sender: ServerId, target: ServerId) {
        if target == self.id {
            return self.contradict(cx, sender);
        }
        if target == sender {
            return;
        }
        let sender_wins = self.accommodations(sender).sender_wins(sender, self.id);
        let objects = self.is_ours(sender) && self.hears(cx, target);
        let Some(peer) = self.peers.get_mut(&target) else {
            return self.send(client, sender, Body::InitTakeoverAck { target });
        };
        match peer.status {
            Status::Ours(_) if !sender_wins => return,
            Status::Active if objects => {
                self.counters.takeovers_objected += 1;
                return self.probe(cx, target);
            }
            Status::Ours(_) | Status::Active | Status::Probed(_) | Status::Yielded(_) => {}
        }
        peer.status = Status::Yielded(sender);
        self.counters.takeovers_yielded += 1;
        self.timers.cancel(&Timer::Silence(target));
        let patience = 2 * self.config.takeover_ack_ms + self.config.max_time_no_response_ms;
        self.timers.set(Timer::Takeover(target), cx.now + ms(patience));
        self.send(client, sender, Body::InitTakeoverAck { target });
    }

    /// Whether a peer was heard so lately that another's failure to hear it says nothing.
    fn hears(&self, cx: &Context<'_>, id: ServerId) -> bool {
        let lately = ms(self.config.max_time_last_heard_ms) / 2;
        self.peers
            .get(&id)
            .is_some_and(|peer| !peer.links.is_empty() && cx.now.saturating_duration_since(peer.last_heard) < lately)
    }

    /// ENRP_TAKEOVER_SERVER: RFC 5353 section 3.5.2.
    pub(super) fn taken_over(&mut self, cx: &Context<'_>, sender: ServerId, target: ServerId) {
        self.counters.takeovers_heard += 1;
        self.abandon_download(sender);
        if target == sender {
            return;
        }
        // We live, or hear that the target does, as when the message was held up by a cut that is over: which elements the sender
        // has, and with which claims, only its table says.
        let late = self.is_ours(sender) && self.hears(cx, target);
        if target == self.id || late {
            self.counters.taken_over_alive += 1;
            if let Some(peer) = self.peers.get_mut(&sender) {
                peer.audit_wanted = true;
                peer.next_audit = cx.now;
            }
            if target == self.id {
                self.contradict(cx, sender);
            }
            return;
        }
        self.effects.push_back(Effect::Reassign { from: target, to: sender });
        self.remove_peer(cx.now, target);
    }
}
