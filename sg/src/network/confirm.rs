//! What arrived in the network, asked of peers that understand Correlation Ids: a barrier BEAT goes behind what they were sent, and
//! its echo says that they have it. The second gateway needs not keep it any longer then.

use super::{NetCx, Network};
use m3ua_lite::session::{HEARTBEAT_MAX, Heartbeat};
use m3ua_lite::wire::{Beat, Message};
use sctp::AssocId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The low bits of a barrier's id are the stream.
const STREAM_BITS: u32 = 16;

/// Rounds of questions, one at a time.
#[derive(Debug, Default)]
pub(super) struct Confirm {
    /// Messages to the network so far.
    given: u64,
    /// How many of them were given when this round began.
    asked: u64,
    /// How many of them have arrived.
    delivered: Option<u64>,
    round: u64,
    /// Associations and streams that have been used since the last round.
    used: BTreeSet<(AssocId, u16)>,
    /// Those asked in this round that have not answered.
    open: BTreeSet<(AssocId, u16)>,
    due: Option<Instant>,
}

impl Network {
    /// So many messages have been given to the network, this one included: asks in a while whether they arrived.
    pub(crate) fn note_given(&mut self, now: Instant, given: u64, interval: Duration) {
        self.confirm.given = given;
        self.confirm.due.get_or_insert(now + interval);
    }

    pub(super) fn note_used(&mut self, assoc: AssocId, stream: u16) {
        self.confirm.used.insert((assoc, stream));
    }

    /// How many have arrived, if that is news.
    pub(crate) fn take_delivered(&mut self) -> Option<u64> {
        self.confirm.delivered.take()
    }

    pub(super) fn confirm_due(&self) -> Option<Instant> {
        self.confirm.due
    }

    /// Begins a round, if it is time. What still waits here has not been sent, so nothing can be said of what came before it.
    pub(super) fn ask_delivered(&mut self, cx: &mut NetCx<'_>, interval: Duration) {
        if self.confirm.due.is_none_or(|due| due > cx.now) {
            return;
        }
        if self.waiting > 0 || !self.confirm.open.is_empty() {
            self.confirm.due = Some(cx.now + interval);
            return;
        }
        self.confirm.due = None;
        self.confirm.asked = self.confirm.given;
        self.confirm.round += 1;
        self.confirm.open = std::mem::take(&mut self.confirm.used);
        for (assoc, stream) in self.confirm.open.clone() {
            let mut room = [0; HEARTBEAT_MAX];
            let id = self.confirm.round << STREAM_BITS | u64::from(stream);
            let data = Heartbeat::Barrier(id).encode(&mut room);
            self.send_to(cx, assoc, stream, false, &Message::Beat(Beat { data: Some(data) }));
        }
        self.close_round();
    }

    /// An echo of a barrier.
    pub(super) fn delivered_upto(&mut self, assoc: AssocId, id: u64) {
        let stream = (id & ((1 << STREAM_BITS) - 1)) as u16;
        if id >> STREAM_BITS == self.confirm.round {
            self.confirm.open.remove(&(assoc, stream));
            self.close_round();
        }
    }

    /// It answers no more.
    pub(super) fn forget_asked(&mut self, assoc: AssocId) {
        self.confirm.used.retain(|(peer, _)| *peer != assoc);
        self.confirm.open.retain(|(peer, _)| *peer != assoc);
        self.close_round();
    }

    fn close_round(&mut self) {
        if self.confirm.open.is_empty() && self.confirm.asked > 0 {
            self.confirm.delivered = Some(self.confirm.asked);
            self.confirm.asked = 0;
        }
    }
}
