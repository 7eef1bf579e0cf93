//! Messages: from the queue through the engine into packets, and back.

use super::bundle::Bundles;
use super::recovery::Leaving;
use super::{Assoc, Ctx, Step};
use crate::engine::{Engine, Input, Output, PREFIX_IN};
use crate::queue::Message;
use crate::wire::{self, Chunk, DATA_HEADER, cause, flag, kind};
use crate::{CloseReason, Config, Counters, Event};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// DATA further than this beyond what we acknowledged is dropped: it cannot come from a peer that keeps to our window, and
/// each one costs memory and time in the engine.
const TSN_WINDOW: i32 = 4_096;

/// The engine's accounting of its receive window knows user bytes only, but each chunk that waits costs it memory, and each one that
/// comes a sort and a search of all that wait: with 16,000 a packet of tiny chunks took 3 ms. So those of an association that wait are
/// limited, ...
const WAITING_MAX: usize = 1_024;
/// ... to one for each so many bytes of a_rwnd, ...
const WINDOW_BYTES_PER_CHUNK: usize = 64;
/// ... but to no less than the longest message may have (smallest fragments that make sense). Single fragments may be as small as
/// they like: dcsctp fills up packets and its congestion window with the beginning, or a middle, of a long message.
const FRAGMENT_BYTES_MIN: usize = 256;

/// Set in the prefix of an incoming message: it came on a stream that does not exist; it is acknowledged and thrown away.
const DISCARD: u8 = 0x80;

/// Messages handed to the engine at once, and chunks of them it gave out before it is told to forget them: what it has in flight it
/// sorts with each chunk.
const LOT: usize = 32;

impl Assoc {
    /// Hands some messages over to the engine, as long as there is room in the window. False when there are no more.
    fn hand_over(&mut self, ctx: &Ctx<'_>) -> bool {
        if !self.state.sends_data() {
            return false;
        }
        let Some(engine) = &mut self.engine else { return false };
        let room = self.window.size(ctx.config).saturating_sub(self.queue.in_engine());
        for _ in 0..room.min(LOT) {
            if !self.queue.hand_over(|prefix, m| engine.write(m.stream, m.unordered, prefix, &m.payload)) {
                return false;
            }
        }
        room > LOT
    }

    /// What the engine numbered waits in the flight from now on. The SACK it has for the peer, with its cumulative TSN.
    fn stage(&mut self, ctx: &mut Ctx<'_>) -> Option<(u32, Vec<u8>)> {
        let mut sack = None;
        let Some(engine) = self.engine.as_mut().filter(|_| !self.state.is_connecting()) else { return sack };
        loop {
            let queue = &mut self.queue;
            engine.output(ctx.now, ctx.config.mtu - wire::HEADER, |output| match output {
                Output::Data(chunk) => ctx.counters.engine_surprises += u64::from(!queue.stage(chunk, ctx.now)),
                Output::Sack { cumulative, chunk } => sack = Some((cumulative, chunk)),
            });
            let held_back = engine.holds_back();
            let told = (held_back || engine.held() >= LOT) && engine.forget(ctx.now);
            if !(told && held_back) {
                return sack;
            }
            // It has room for more now.
        }
    }

    /// Everything there is to send becomes packets: control chunks first, then SACK, then DATA, bundled up to the MTU.
    pub(crate) fn flush(&mut self, ctx: &mut Ctx<'_>) {
        let mut more = self.hand_over(ctx);
        let mut sack = self.stage(ctx);
        while more {
            more = self.hand_over(ctx);
            sack = self.stage(ctx).or(sack);
        }
        if let Some((cumulative, chunk)) = &sack {
            self.peer_cumulative = *cumulative;
            self.sack_at = None;
            if wire::u32_at(chunk, 8) >= ctx.config.a_rwnd {
                // Nothing waits in the engine (duplicates may have been counted).
                self.waiting = 0;
            }
        }
        if std::mem::take(&mut self.shutdown_due) {
            self.control(wire::chunk(kind::SHUTDOWN, 0, &[&self.peer_cumulative.to_be_bytes()]));
        }
        let duplicate = std::mem::take(&mut self.duplicate) && sack.is_some();
        let path = self.data_path();
        // What was lost may have been too long, so it goes again in packets that go everywhere.
        let narrow = self.queue.flight.has_lost();
        let again = self.again_over.take().filter(|p| self.queue.flight.has_lost() && self.paths[*p].usable());
        let lost = again.map_or_else(Vec::new, |over| self.leaving(ctx, over, Leaving::Lost));
        // What the other path has no room for yet waits for it.
        self.again_over = again.filter(|_| self.queue.flight.has_lost());
        let which = if self.again_over.is_some() { Leaving::New } else { Leaving::All };
        let leaving = self.leaving(ctx, path, which);
        if leaving.is_empty() && lost.is_empty() && sack.is_none() && self.control.is_empty() {
            return;
        }
        let begin = ctx.out.len();
        let mut bundles = Bundles::new(self.header(), ctx.config.mtu);
        if let Some(over) = self.paths.get(path).filter(|_| !narrow) {
            bundles.widen((over.from, over.to), over.mtu.length());
        }
        for control in std::mem::take(&mut self.control) {
            bundles.chunk(ctx.out, (control.from, control.to), &control.chunk);
        }
        if let (Some((_, chunk)), Some(way)) = (sack, self.sack_way()) {
            bundles.chunk(ctx.out, way, &chunk);
            if let Some(other) = self.other_way(way).filter(|_| duplicate) {
                bundles.chunk(ctx.out, other, &chunk);
            }
        }
        if let Some(over) = again {
            self.bundle_data(ctx, &mut bundles, over, &lost);
        }
        self.bundle_data(ctx, &mut bundles, path, &leaving);
        bundles.finish(ctx.out);
        for packet in ctx.out.range(begin..) {
            if let Some(path) = self.paths.iter_mut().find(|p| p.to == packet.to) {
                path.stats.packets_out += 1;
                path.stats.bytes_out += packet.payload.len() as u64;
            }
        }
    }

    fn bundle_data(&mut self, ctx: &mut Ctx<'_>, bundles: &mut Bundles, path: usize, leaving: &[usize]) {
        let Some(way) = self.paths.get(path).map(|p| (p.from, p.to)) else { return };
        for (i, index) in leaving.iter().enumerate() {
            let chunk = self.queue.flight.get(*index);
            let mut flags = chunk.flags();
            if i + 1 == leaving.len() {
                // The end of the burst: an acknowledgement delayed by 200 ms would come after our RTO, and every message
                // would go out twice (RFC 7053).
                flags |= flag::IMMEDIATE;
            }
            bundles.tlv(ctx.out, way, kind::DATA, flags, &[chunk.fixed(), &chunk.ppid.to_be_bytes(), chunk.user()]);
        }
        if let Some(last) = leaving.last() {
            self.queue.flight.probe(*last);
            self.asked(ctx.now);
        }
    }

    /// A DATA chunk (sections 6.2, 6.5, 3.3.10.9).
    pub(super) fn on_data(&mut self, ctx: &mut Ctx<'_>, chunk: Chunk<'_>, input: &mut Input) -> Step {
        if !self.state.takes_data() {
            ctx.counters.dropped_data_state += 1;
            return Step::Next;
        }
        if chunk.whole.len() < DATA_HEADER {
            ctx.counters.dropped_chunk_length += 1;
            return Step::Stop;
        }
        ctx.counters.data_in += 1;
        let (tsn, user) = (wire::u32_at(chunk.value, 0), &chunk.value[12..]);
        if user.is_empty() {
            return Step::End(self.violation(ctx, cause::NO_USER_DATA, &tsn.to_be_bytes()));
        }
        let mut flags = chunk.flags & 0x0f;
        let ahead = tsn.wrapping_sub(self.peer_cumulative) as i32;
        if ahead > TSN_WINDOW {
            ctx.counters.dropped_tsn_window += 1;
            return Step::Next;
        }
        if ahead <= 0 {
            // Our acknowledgement was lost: it must not wait again (section 6.2).
            ctx.counters.data_duplicate += 1;
            flags |= flag::IMMEDIATE;
            self.duplicate = true;
        }
        let first = !std::mem::replace(&mut self.data_seen, true);
        if first || ctx.config.sack_delay_ms == 0 || self.shutting_down() {
            flags |= flag::IMMEDIATE;
        }
        self.on_data_after_shutdown(ctx);
        let stream = wire::u16_at(chunk.value, 4);
        let stream_ssn = [chunk.value[4], chunk.value[5], chunk.value[6], chunk.value[7]];
        let ppid = &chunk.value[8..12];
        if stream >= self.inbound_streams {
            // Section 6.5: acknowledged, reported and thrown away. For the engine it is a whole unordered message.
            ctx.counters.dropped_stream += 1;
            if !std::mem::replace(&mut self.report_stream, true) {
                let path = self.data_from.map_or(0, |(path, _)| path);
                self.send_error(ctx, path, cause::INVALID_STREAM, &[chunk.value[4], chunk.value[5], 0, 0]);
            }
            let flags = flag::BEGIN | flag::END | flag::UNORDERED | flag::IMMEDIATE;
            input.data(flags, tsn, [0; 4], [DISCARD, 0, 0, 0, 0], &[]);
            return Step::Next;
        }
        if ahead > 0 && !self.may_wait(ctx, tsn) {
            ctx.counters.dropped_no_room += 1;
            return Step::Next;
        }
        let prefix = [flags & flag::UNORDERED, ppid[0], ppid[1], ppid[2], ppid[3]];
        input.data(flags, tsn, stream_ssn, prefix, user);
        if self.sack_at.is_none() {
            self.sack_at = Some(ctx.now + Duration::from_millis(ctx.config.sack_delay_ms));
        }
        Step::Next
    }

    /// Whether another chunk may wait in the engine until its message is whole and in order.
    fn may_wait(&mut self, ctx: &Ctx<'_>, tsn: u32) -> bool {
        // The next in sequence may be what the others wait for.
        let next = tsn == self.peer_cumulative.wrapping_add(1);
        let limit = WAITING_MAX.min(ctx.config.a_rwnd as usize / WINDOW_BYTES_PER_CHUNK);
        let limit = limit.max(ctx.config.message_bytes_max / FRAGMENT_BYTES_MIN);
        let full = ctx.crowded || self.waiting >= limit;
        if full && !(next && self.waiting < 2 * limit) {
            return false;
        }
        self.waiting += 1;
        true
    }

    /// A SACK chunk's value (section 6.2.1). What acknowledges TSNs never sent ends the association; what contradicts
    /// itself is dropped: the engine would end the association without a word.
    pub(super) fn on_sack(&mut self, ctx: &mut Ctx<'_>, value: &[u8], input: &mut Input) -> Step {
        if self.engine.is_none() || !self.state.sends_data() {
            ctx.counters.dropped_unexpected += 1;
            return Step::Next;
        }
        let (acknowledged, highest) = self.queue.flight.bounds();
        let Some(sack) = Sack::parse(value, acknowledged, highest) else {
            ctx.counters.dropped_sack += 1;
            return Step::Next;
        };
        if wire::after(acknowledged, sack.cumulative) {
            ctx.counters.sack_old += 1;
            return Step::Next;
        }
        if wire::after(sack.cumulative, highest) {
            ctx.counters.dropped_sack += 1;
            return Step::End(self.violation(ctx, cause::PROTOCOL_VIOLATION, b"SACK beyond the highest TSN"));
        }
        if input.has_sack() && sack.cumulative == acknowledged {
            // Each costs a walk over all that is in flight.
            ctx.counters.sack_repeated += 1;
            return Step::Next;
        }
        self.peer_rwnd = sack.rwnd;
        self.no_room = sack.rwnd == 0;
        if self.no_room {
            // It is alive and has no room: unanswered probes of its window are no errors (section 6.1 A).
            self.errors = 0;
        }
        self.acknowledge(ctx, &sack);
        input.saw_sack();
        Step::Next
    }

    /// The cumulative TSN of a SHUTDOWN chunk is an acknowledgement like another (section 9.2).
    pub(super) fn on_cumulative(&mut self, ctx: &mut Ctx<'_>, cumulative: u32, input: &mut Input) -> Step {
        let rwnd = self.peer_rwnd.to_be_bytes();
        let value = [&cumulative.to_be_bytes()[..], &rwnd, &[0; 4]].concat();
        self.on_sack(ctx, &value, input)
    }

    /// Hands what a packet brought to the engine, and the messages it completes to the user.
    pub(super) fn feed(&mut self, ctx: &mut Ctx<'_>, input: Input) -> Option<CloseReason> {
        self.report_stream = false;
        if input.is_empty() {
            return None;
        }
        let engine = self.engine.as_mut()?;
        engine.input(ctx.now, input);
        while let Some((stream, message, chunks)) = engine.read() {
            if deliver(ctx.events, ctx.counters, self.id, stream, &message) {
                self.waiting = self.waiting.saturating_sub(chunks);
            }
        }
        if engine.is_lost() {
            return Some(self.violation(ctx, cause::PROTOCOL_VIOLATION, b"data transfer gave up"));
        }
        None
    }

    /// The acknowledgement we owe has waited long enough.
    pub(super) fn on_sack_due(&mut self, ctx: &Ctx<'_>) {
        self.sack_at = None;
        if let Some(engine) = &mut self.engine {
            engine.acknowledge_now(ctx.now, self.peer_cumulative);
        }
    }

    /// Takes a message from the user.
    pub(crate) fn push(&mut self, message: Message) {
        self.queue.push(message);
    }

    pub(super) fn engine_timeout_at(&self) -> Option<Instant> {
        self.engine.as_ref().and_then(Engine::poll_timeout)
    }

    pub(super) fn on_engine_timeout(&mut self, ctx: &Ctx<'_>) {
        if let Some(engine) = &mut self.engine {
            engine.handle_timeout(ctx.now);
        }
    }
}

/// How many messages the engine may have at once: what the setting says, and more where the round trip is so long that
/// this would limit the rate: twice what was acknowledged in the last round trip.
#[derive(Debug, Default)]
pub(super) struct Window {
    since: Option<Instant>,
    done: u64,
    wanted: usize,
}

impl Window {
    /// The engine sorts what is in flight: beyond some thousands it costs more than it gives.
    const GROWTH_MAX: usize = 32;

    fn size(&self, config: &Config) -> usize {
        let least = config.engine_window_messages.max(1);
        self.wanted.clamp(least, least.saturating_mul(Self::GROWTH_MAX))
    }

    pub(super) fn acknowledged(&mut self, now: Instant, done: u64, rtt: Option<Duration>) {
        let since = *self.since.get_or_insert(now);
        self.done += done;
        if now.saturating_duration_since(since) >= rtt.unwrap_or_default() {
            self.wanted = usize::try_from(2 * self.done).unwrap_or(usize::MAX);
            (self.since, self.done) = (Some(now), 0);
        }
    }
}

/// A whole message with its prefix becomes an event. False when it is one to be thrown away.
fn deliver(
    events: &mut VecDeque<Event>,
    counters: &mut Counters,
    assoc: crate::AssocId,
    stream: u16,
    message: &Bytes,
) -> bool {
    if message.len() < PREFIX_IN {
        counters.engine_surprises += 1;
        return true;
    }
    if message[0] & DISCARD != 0 {
        return false;
    }
    counters.messages_in += 1;
    events.push_back(Event::Message {
        assoc,
        stream,
        ppid: wire::u32_at(message, 1),
        unordered: message[0] & flag::UNORDERED != 0,
        payload: message.slice(PREFIX_IN..),
    });
    true
}

/// ```text
/// u32 cumulative TSN | u32 a_rwnd | u16 gap blocks | u16 duplicates | blocks: u16 start, u16 end | duplicate TSNs
/// ```
pub(super) struct Sack<'a> {
    pub(super) cumulative: u32,
    rwnd: u32,
    /// Gap ack blocks.
    blocks: &'a [u8],
    /// TSNs that came more than once.
    duplicates: &'a [u8],
}

impl<'a> Sack<'a> {
    /// `None` when too short, or when its gap blocks name TSNs that are not in flight.
    fn parse(value: &'a [u8], acknowledged: u32, highest: u32) -> Option<Self> {
        if value.len() < 12 {
            return None;
        }
        let (gaps, duplicates) = (usize::from(wire::u16_at(value, 8)), usize::from(wire::u16_at(value, 10)));
        if value.len() < 12 + 4 * (gaps + duplicates) {
            return None;
        }
        let cumulative = wire::u32_at(value, 0);
        let (blocks, rest) = value[12..].split_at(4 * gaps);
        let duplicates = &rest[..4 * duplicates];
        let sack = Self { cumulative, rwnd: wire::u32_at(value, 4), blocks, duplicates };
        if wire::after(cumulative, highest) || wire::after(acknowledged, cumulative) {
            // Judged by the caller; the blocks mean nothing then.
            return Some(sack);
        }
        let in_flight = highest.wrapping_sub(cumulative);
        let mut covered = 0;
        for (start, end) in sack.gaps() {
            let (start, end) = (u32::from(start), u32::from(end));
            // Overlapping blocks would be work without end.
            covered += (end + 1).saturating_sub(start);
            if start < 2 || end < start || end > in_flight || covered > in_flight {
                return None;
            }
        }
        Some(sack)
    }

    /// Whether this TSN came more than once.
    pub(super) fn is_duplicate(&self, tsn: u32) -> bool {
        self.duplicates.chunks_exact(4).any(|duplicate| wire::u32_at(duplicate, 0) == tsn)
    }

    /// First and last offset of each gap ack block, from the cumulative TSN.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (u16, u16)> + use<'a> {
        self.blocks.chunks_exact(4).map(|block| (wire::u16_at(block, 0), wire::u16_at(block, 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sack(cumulative: u32, gaps: &[(u16, u16)], duplicates: u16) -> Vec<u8> {
        let mut value = [cumulative.to_be_bytes(), 1_000u32.to_be_bytes()].concat();
        value.extend_from_slice(&(gaps.len() as u16).to_be_bytes());
        value.extend_from_slice(&duplicates.to_be_bytes());
        for (start, end) in gaps {
            value.extend_from_slice(&start.to_be_bytes());
            value.extend_from_slice(&end.to_be_bytes());
        }
        value.extend(std::iter::repeat_n(0, 4 * usize::from(duplicates)));
        value
    }

    #[test]
    fn sacks_are_checked_before_the_engine_sees_them() {
        let ok = |value: &[u8]| Sack::parse(value, 100, 110).is_some();
        assert!(ok(&sack(100, &[], 0)));
        assert!(ok(&sack(110, &[], 3)));
        assert!(ok(&sack(100, &[(2, 3), (5, 10)], 0)));
        assert!(!ok(&sack(100, &[(2, 11)], 0)), "beyond the highest TSN");
        assert!(!ok(&sack(100, &[(0, 2)], 0)), "the cumulative TSN itself");
        assert!(!ok(&sack(100, &[(1, 2)], 0)), "what the cumulative TSN should have");
        assert!(!ok(&sack(100, &[(3, 2)], 0)), "backwards");
        assert!(!ok(&sack(100, &[(2, 7), (2, 7)], 0)), "overlapping");
        assert!(!ok(&sack(100, &[(2, 3)], 0)[..15]), "short");
        assert!(!ok(&sack(100, &[], 1)[..15]), "short");
        assert!(!ok(&sack(100, &[], 0)[..11]), "short");
    }
}
