//! Output toward the network: to the peer of its SLS, or it waits for one, bounded, in order within its SLS.

use super::{NetCx, Network, RETRY};
use crate::msu::{self, Msu};
use crate::pool::How;
use crate::record::Discard;
use m3ua_lite::session::sls_stream;
use m3ua_lite::wire::{Data, Message};
use sctp::{SendError, ppid};
use std::time::Duration;

impl Network {
    /// Messages that a peer was not sent any more are older than all that wait: they go in front, in their order.
    pub(super) fn put_back(&mut self, cx: &mut NetCx<'_>, unsent: Vec<Msu>) {
        let fresh = cx.now + Duration::from_millis(self.config.t_r_ms);
        let until = self.queue.front().map_or(fresh, |(until, _)| *until);
        for msu in unsent.into_iter().rev() {
            self.count_queued(&msu);
            self.queue.push_front((until, msu));
        }
        while self.queue.len() > self.config.queue_messages_max || self.queue_bytes > self.config.queue_bytes_max {
            let Some((_, msu)) = self.queue.pop_back() else { break };
            self.count_unqueued(&msu);
            self.discard(cx, Discard::QueueFull, &msu.protocol_data());
        }
    }

    fn count_queued(&mut self, msu: &Msu) {
        self.queue_bytes += msu.user_data.len();
        self.queued_of_sls[usize::from(msu.sls)] += 1;
    }

    pub(super) fn count_unqueued(&mut self, msu: &Msu) {
        self.queue_bytes -= msu.user_data.len();
        self.queued_of_sls[usize::from(msu.sls)] -= 1;
    }

    /// Sends a message to the peer of its SLS, or keeps it until there is one.
    pub(crate) fn send(&mut self, cx: &mut NetCx<'_>, msu: Msu) {
        if !self.serves(msu.dpc) {
            return self.discard(cx, Discard::NoRoute, &msu.protocol_data());
        }
        // Order: nothing overtakes what waits with the same SLS. Others may go by another peer.
        if self.queued_of_sls[usize::from(msu.sls)] > 0 || !self.try_send(cx, &msu) {
            self.enqueue(cx, msu);
        }
    }

    /// Point codes that the pools may send to.
    fn serves(&self, dpc: u32) -> bool {
        self.config.point_codes.is_empty() || self.config.point_codes.contains(&dpc)
    }

    fn try_send(&mut self, cx: &mut NetCx<'_>, msu: &Msu) -> bool {
        if self.active.is_empty() {
            return false;
        }
        let assoc = self.active[usize::from(msu.sls) % self.active.len()];
        let Some(peer) = self.peers.get_mut(&assoc) else { return false };
        let data = Message::Data(Data {
            network_appearance: self.config.network_appearance,
            routing_context: Some(self.config.routing_context),
            protocol_data: msu.protocol_data(),
            correlation_id: None,
        });
        let how = How { stream: sls_stream(msu.sls, peer.streams), ppid: ppid::M3UA, unordered: false };
        let Some(bytes) = msu::encode(&data) else { return false };
        match cx.net.send(cx.now, assoc, how, bytes) {
            Ok(()) => {
                peer.sent += 1;
                self.counters.sent += 1;
                true
            }
            Err(SendError::BadLength) => {
                // It will never fit.
                self.discard(cx, Discard::Malformed, &msu.protocol_data());
                true
            }
            Err(SendError::QueueFull | SendError::NotOpen | SendError::NoSuchStream) => {
                self.retry_at = Some(cx.now + RETRY);
                false
            }
        }
    }

    fn enqueue(&mut self, cx: &mut NetCx<'_>, msu: Msu) {
        let full = self.queue.len() >= self.config.queue_messages_max
            || self.queue_bytes + msu.user_data.len() > self.config.queue_bytes_max;
        if full {
            return self.discard(cx, Discard::QueueFull, &msu.protocol_data());
        }
        self.count_queued(&msu);
        self.queue.push_back((cx.now + Duration::from_millis(self.config.t_r_ms), msu));
    }

    /// Sends what waits, as far as it goes. A peer without room holds up what goes to it, nobody else's.
    pub(crate) fn flush_queue(&mut self, cx: &mut NetCx<'_>) {
        self.retry_at = None;
        if self.active.is_empty() {
            return;
        }
        let mut held = [false; 256];
        for _ in 0..self.queue.len() {
            let Some((until, msu)) = self.queue.pop_front() else { break };
            let sls = usize::from(msu.sls);
            if !held[sls] && self.try_send(cx, &msu) {
                self.count_unqueued(&msu);
            } else {
                held[sls] = true;
                self.queue.push_back((until, msu));
            }
        }
    }
}
