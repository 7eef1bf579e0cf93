//! Packets that belong to no association, RFC 9260 section 8.4.

use super::{Datagram, Stack, Transmit};
use crate::wire::{self, Chunks, Header, Packet, cause, flag, kind};
use std::time::{Duration, Instant};

/// So many answers a second.
#[derive(Debug)]
pub(super) struct Limit {
    per_s: u32,
    left: u32,
    since: Instant,
}

impl Limit {
    pub(super) fn new(per_s: u32, now: Instant) -> Self {
        Self { per_s, left: per_s, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            (self.left, self.since) = (self.per_s, now);
        }
        let ok = self.left > 0;
        self.left = self.left.saturating_sub(1);
        ok
    }
}

impl Stack {
    /// Rules 2 and 5 to 8, in their order; INIT and COOKIE ECHO went another way.
    pub(super) fn out_of_the_blue(&mut self, now: Instant, datagram: &Datagram, header: Header) {
        self.counters.out_of_the_blue += 1;
        let chunks = Chunks::of_packet(&datagram.payload);
        if chunks.any(kind::ABORT, 0) {
            return;
        }
        let code = if chunks.any(kind::SHUTDOWN_ACK, 0) {
            kind::SHUTDOWN_COMPLETE
        } else if [kind::SHUTDOWN_COMPLETE, kind::COOKIE_ACK].iter().any(|k| chunks.any(*k, 0)) || stale_cookie(chunks)
        {
            return;
        } else {
            kind::ABORT
        };
        self.answer(now, datagram, header.reply(header.tag), &wire::chunk(code, flag::TAG_REFLECTED, &[]));
    }

    /// A reply without an association, within the limit.
    pub(super) fn answer(&mut self, now: Instant, datagram: &Datagram, header: Header, chunk: &[u8]) {
        if !self.ootb.take(now) {
            self.counters.out_of_the_blue_unanswered += 1;
            return;
        }
        self.reply(datagram, header, chunk);
    }

    /// A reply without an association.
    pub(super) fn reply(&mut self, datagram: &Datagram, header: Header, chunk: &[u8]) {
        let mut packet = Packet::new(header, wire::HEADER + chunk.len());
        packet.raw(chunk);
        self.out.push_back(Transmit { from: datagram.to, to: datagram.from, payload: packet.finish() });
    }
}

fn stale_cookie(chunks: Chunks<'_>) -> bool {
    chunks.flatten().any(|c| c.kind == kind::ERROR && wire::has_cause(c.value, cause::STALE_COOKIE))
}
