//! Output toward the network: to the association of its SLS in the first set that reaches its destination, or it waits, bounded,
//! in order within its SLS.

use super::sets::{ATTACHED, Reach};
use super::{NetCx, Network, RETRY};
use crate::config::Prefers;
use crate::msu::{self, Msu};
use crate::pool::How;
use crate::record::Discard;
use m3ua_lite::session::sls_stream;
use m3ua_lite::wire::{Data, Message};
use sctp::{SendError, ppid};
use std::time::{Duration, Instant};

/// Where a message can go.
enum Place {
    /// By this set, now or when it has somebody.
    Set(usize),
    /// No set has a route.
    NoRoute,
    /// Every set that could carry it says that its destination cannot be reached.
    Unavailable,
}

impl Network {
    /// Messages that an association was not sent any more are older than all that wait: they go in front, in their order.
    pub(super) fn put_back(&mut self, cx: &mut NetCx<'_>, set: usize, unsent: Vec<Msu>) {
        let fresh = cx.now + Duration::from_millis(self.config.t_r_ms);
        let until = self.sets[set].queue.front().map_or(fresh, |(until, _)| *until);
        for msu in unsent.into_iter().rev() {
            self.count_queued(set, &msu);
            self.sets[set].queue.push_front((until, msu));
        }
        while self.waiting > self.config.queue_messages_max || self.queue_bytes > self.config.queue_bytes_max {
            let Some((_, msu)) = self.sets[set].queue.pop_back() else { break };
            self.count_unqueued(set, &msu);
            self.discard(cx, Discard::QueueFull, &msu.protocol_data());
        }
    }

    fn count_queued(&mut self, set: usize, msu: &Msu) {
        self.queue_bytes += msu.user_data.len();
        self.waiting += 1;
        self.sets[set].queued_of_sls[usize::from(msu.sls)] += 1;
    }

    pub(super) fn count_unqueued(&mut self, set: usize, msu: &Msu) {
        self.queue_bytes -= msu.user_data.len();
        self.waiting -= 1;
        self.sets[set].queued_of_sls[usize::from(msu.sls)] -= 1;
    }

    /// Sends a message by the set that reaches its destination, or keeps it until one does.
    pub(crate) fn send(&mut self, cx: &mut NetCx<'_>, msu: Msu) {
        if msu::is_mtp_management(msu.si) {
            return self.discard(cx, Discard::MtpManagement, &msu.protocol_data());
        }
        let until = cx.now + Duration::from_millis(self.config.t_r_ms);
        self.enter(cx, until, msu);
    }

    /// A message that another gateway, which ended, may have sent already: peers that know its number drop it then.
    pub(crate) fn send_again(&mut self, cx: &mut NetCx<'_>, msu: Msu, prefers: Prefers) {
        if prefers == Prefers::Duplicate || self.knows_numbers() {
            self.send(cx, msu);
        } else {
            self.discard(cx, Discard::FateUnknown, &msu.protocol_data());
        }
    }

    fn enter(&mut self, cx: &mut NetCx<'_>, until: Instant, msu: Msu) {
        let set = match self.place(&msu) {
            Place::Set(set) => set,
            Place::NoRoute => return self.discard(cx, Discard::NoRoute, &msu.protocol_data()),
            Place::Unavailable => return self.discard(cx, Discard::DestinationUnavailable, &msu.protocol_data()),
        };
        // Order: nothing overtakes what waits with the same SLS. Others may go by another association.
        if self.sets[set].queued_of_sls[usize::from(msu.sls)] > 0 || !self.try_send(cx, set, &msu) {
            self.enqueue(cx, set, until, msu);
        }
    }

    fn place(&self, msu: &Msu) -> Place {
        let ways = || self.ways_to(msu.network, msu.dpc);
        let reach = |set: &usize| self.sets[*set].reach(msu.dpc);
        if let Some(set) = ways().find(|set| self.sets[*set].queued_of_sls[usize::from(msu.sls)] > 0) {
            return Place::Set(set);
        }
        let active = || ways().filter(|set| !self.sets[*set].active.is_empty());
        let best = active().filter(|set| reach(set) != Reach::Unavailable).min_by_key(reach);
        match best.or_else(|| ways().find(|set| self.sets[*set].active.is_empty())) {
            Some(set) => Place::Set(set),
            None if ways().next().is_some() => Place::Unavailable,
            None => Place::NoRoute,
        }
    }

    fn try_send(&mut self, cx: &mut NetCx<'_>, at: usize, msu: &Msu) -> bool {
        let set = &mut self.sets[at];
        if let Some(until) = set.held_until(msu.sls, cx.now) {
            set.retry_at = Some(set.retry_at.map_or(until, |at| at.min(until)));
            return false;
        }
        let Some(assoc) = set.carrier(msu.sls) else { return false };
        let Some(peer) = self.peers.get_mut(&assoc) else { return false };
        // One association may have several networks; a linkset is of one.
        let network_appearance =
            if at == ATTACHED { self.config.appearance(msu.network) } else { set.network_appearance };
        let data = Message::Data(Data {
            network_appearance,
            routing_context: set.routing_context,
            protocol_data: msu.protocol_data(),
            correlation_id: Some(msu.id.0).filter(|id| *id != 0),
        });
        let how = How { stream: sls_stream(msu.sls, peer.streams), ppid: ppid::M3UA, unordered: false };
        let Some(bytes) = msu::encode(&data) else { return false };
        match cx.net.send(cx.now, assoc, how, bytes) {
            Ok(()) => {
                peer.sent += 1;
                if peer.confirms {
                    self.note_used(assoc, how.stream);
                }
                self.counters.sent += 1;
                true
            }
            Err(SendError::BadLength) => {
                // It will never fit.
                self.discard(cx, Discard::Malformed, &msu.protocol_data());
                true
            }
            Err(SendError::QueueFull | SendError::NotOpen | SendError::NoSuchStream) => {
                set.retry_at = Some(cx.now + RETRY);
                false
            }
        }
    }

    fn enqueue(&mut self, cx: &mut NetCx<'_>, set: usize, until: Instant, msu: Msu) {
        let full = self.waiting >= self.config.queue_messages_max
            || self.queue_bytes + msu.user_data.len() > self.config.queue_bytes_max;
        if full {
            return self.discard(cx, Discard::QueueFull, &msu.protocol_data());
        }
        self.count_queued(set, &msu);
        self.sets[set].queue.push_back((until, msu));
    }

    /// Sends what waits, as far as it goes. An association without room holds up what goes to it, nobody else's.
    pub(super) fn flush_queue(&mut self, cx: &mut NetCx<'_>, at: usize) {
        self.sets[at].retry_at = None;
        if self.sets[at].active.is_empty() {
            return;
        }
        let mut held = [false; 256];
        for _ in 0..self.sets[at].queue.len() {
            let Some((until, msu)) = self.sets[at].queue.pop_front() else { break };
            let sls = usize::from(msu.sls);
            if !held[sls] && self.try_send(cx, at, &msu) {
                self.count_unqueued(at, &msu);
            } else {
                held[sls] = true;
                self.sets[at].queue.push_back((until, msu));
            }
        }
    }

    /// Sets have become active or inactive, or destinations reachable: what waits goes where it can go now, in its order.
    pub(super) fn flush_all(&mut self, cx: &mut NetCx<'_>) {
        for at in 0..self.sets.len() {
            if !self.sets[at].active.is_empty() {
                self.flush_queue(cx, at);
                continue;
            }
            let waiting = std::mem::take(&mut self.sets[at].queue);
            waiting.iter().for_each(|(_, msu)| self.count_unqueued(at, msu));
            waiting.into_iter().for_each(|(until, msu)| self.enter(cx, until, msu));
        }
    }

    /// Discards what has waited for too long.
    pub(super) fn expire(&mut self, cx: &mut NetCx<'_>) {
        for at in 0..self.sets.len() {
            while self.sets[at].queue.front().is_some_and(|(until, _)| *until <= cx.now) {
                let Some((_, msu)) = self.sets[at].queue.pop_front() else { break };
                self.count_unqueued(at, &msu);
                self.discard(cx, Discard::NoPeer, &msu.protocol_data());
            }
        }
    }
}
