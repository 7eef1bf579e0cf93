//! What leaves when, and what is sent again: RFC 9260 sections 6.1 to 6.3 and 7, per path.

use super::data::Sack;
use super::supervise::Sign;
use super::{Assoc, Ctx};
use crate::cookie::PATHS_MAX;
use crate::flight::{Gain, Pace};
use crate::wire::{Packet, flag, kind};
use crate::{CloseReason, PathState};
use std::time::{Duration, Instant};

/// What of the flight is to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// What is held lost, then what is new.
    All,
    Lost,
    New,
}

/// What tail probes taught of the peer.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The TSN of the last one, until it is acknowledged.
    probed: Option<u32>,
    /// Wait at least so long.
    patience: Duration,
}

impl Assoc {
    /// Takes from the flight what may leave over this path now; indices, in order.
    pub(super) fn leaving(&mut self, ctx: &mut Ctx<'_>, path: usize, which: Leaving) -> Vec<usize> {
        let mut leaving = Vec::new();
        if self.paths.is_empty() {
            return leaving;
        }
        // One packet of a fast retransmission does not ask the congestion window (section 7.2.4, 3).
        let mut free = if std::mem::take(&mut self.fast_retransmit) { ctx.config.mtu } else { 0 };
        let mut from = if which == Leaving::New { self.queue.flight.sent() } else { 0 };
        while let Some(index) = self.queue.flight.next(from) {
            if which == Leaving::Lost && !self.queue.flight.has_lost() {
                break;
            }
            let is_free = free > 0 && self.queue.flight.has_lost();
            let may = self.paths[path].congestion.may_send() && self.has_room(index);
            if !is_free && !may {
                break;
            }
            let (bytes, again) = self.queue.depart(index, path, ctx.now);
            free = free.saturating_sub(bytes);
            self.paths[path].departed(bytes, again && index == 0, ctx.now);
            self.paths[path].stats.data_retransmitted += u64::from(again);
            ctx.counters.data_out += 1;
            ctx.counters.data_retransmitted += u64::from(again);
            leaving.push(index);
            from = index + 1;
        }
        // From the first departure without an answer on: a steady stream must not put the probe off until the window is full.
        if !leaving.is_empty() && self.tail_at.is_none() {
            self.tail_at = self.tail_due(ctx, path);
        }
        leaving
    }

    /// Section 6.1 A: new data as long as the peer has room for it; without room one chunk may be out, to ask.
    fn has_room(&self, index: usize) -> bool {
        if index < self.queue.flight.sent() {
            return true;
        }
        let outstanding: usize = self.paths.iter().map(|p| p.congestion.outstanding()).sum();
        outstanding == 0 || outstanding + self.queue.flight.get(index).bytes() <= self.peer_rwnd as usize
    }

    /// When a burst without any answer is followed by a repetition of its end (RFC 8985 section 7.2).
    fn tail_due(&self, ctx: &Ctx<'_>, path: usize) -> Option<Instant> {
        let least = Duration::from_millis(ctx.config.tail_probe_ms);
        let rtt = self.paths[path].srtt.filter(|_| !least.is_zero())?;
        Some(ctx.now + (2 * rtt).max(least).max(self.tail.patience))
    }

    /// A peer that has the probed chunk twice is only slow to acknowledge (it knows no I bit, and waits for more DATA): the next
    /// probe waits twice as long, until a round trip with its delay could be measured.
    fn judge_tail(&mut self, ctx: &Ctx<'_>, sack: &Sack<'_>) {
        let Some(tsn) = self.tail.probed else { return };
        if sack.is_duplicate(tsn) {
            let least = self.tail.patience.max(Duration::from_millis(ctx.config.tail_probe_ms));
            self.tail = Tail { probed: None, patience: (2 * least).min(Duration::from_millis(ctx.config.rto_max_ms)) };
        } else if !crate::wire::after(tsn, sack.cumulative) {
            self.tail = Tail { probed: None, patience: self.tail.patience / 2 };
        }
    }

    /// An acknowledgement that was checked.
    pub(super) fn acknowledge(&mut self, ctx: &mut Ctx<'_>, sack: &Sack<'_>) {
        let mut paces = [Pace::default(); PATHS_MAX];
        let mut gains = [Gain::default(); PATHS_MAX];
        for (pace, path) in paces.iter_mut().zip(&self.paths) {
            *pace = path.pace();
        }
        self.judge_tail(ctx, sack);
        let (acknowledged, _) = self.queue.flight.bounds();
        let advanced = crate::wire::after(sack.cumulative, acknowledged);
        let done = self.queue.acknowledge(sack.cumulative, ctx.now, &paces, &mut gains);
        self.queue.flight.gaps(sack.gaps(), ctx.now, &paces, &mut gains);
        ctx.counters.messages_acknowledged += done;
        let mut any = advanced;
        for (i, gain) in gains.iter().enumerate().take(self.paths.len()) {
            self.paths[i].gained(gain, advanced, sack.cumulative, ctx.config, ctx.now);
            any |= gain.bytes > 0;
            // What went over two paths says nothing of either (RFC 9260 section 8.2, RFC 7829 section 3.2, 9 and 10), and does not
            // stand for a heartbeat: tail probes that go over a dead alternate would keep it active for ever.
            if gain.proves {
                self.paths[i].answered_at = Some(ctx.now);
                self.path_answered(ctx, i);
            }
        }
        if any {
            self.errors = 0;
            self.progress_while_closing(ctx);
            self.tail_at = if self.queue.in_flight() { self.tail_due(ctx, self.data_path()) } else { None };
        }
        let rtt = self.paths[self.data_path()].srtt;
        self.window.acknowledged(ctx.now, done, rtt);
        if !self.queue.in_flight() {
            self.asked_at = None;
        }
        self.find_lost(ctx);
    }

    /// Marks what is lost by miss indications or by time; it leaves with the next packets.
    pub(super) fn find_lost(&mut self, ctx: &mut Ctx<'_>) {
        let mut paces = [Pace::default(); PATHS_MAX];
        for (pace, path) in paces.iter_mut().zip(&self.paths) {
            *pace = path.pace();
        }
        let (_, highest) = self.queue.flight.bounds();
        let paths = &mut self.paths;
        let (mut lost, mut fast, mut dead) = (0, false, [false; PATHS_MAX]);
        self.lost_at = self.queue.flight.find_lost(ctx.now, &paces, |path, bytes, by_another| {
            if let Some(found) = paths.get_mut(path) {
                found.congestion.gone(bytes);
                fast |= found.congestion.lost(highest);
                found.mtu.doubt(ctx.now);
                lost += 1;
                dead[path] |= by_another;
            }
        });
        self.fast_retransmit |= fast;
        ctx.counters.data_held_lost += lost;
        for path in (0..self.paths.len()).filter(|path| dead[*path]) {
            // What left later over another path came there first: an error of this path, as T3-rtx would be, only sooner.
            if self.paths[path].state == PathState::Active {
                self.path_error(ctx, path);
            }
        }
    }

    /// What is on the wire over this path is sent again over the best one.
    pub(super) fn lost_on(&mut self, path: usize) {
        let bytes = self.queue.flight.lost_on(path);
        self.paths[path].congestion.gone(bytes);
        self.paths[path].t3_at = None;
    }

    /// When [`Assoc::recover`] has something to do.
    pub(super) fn recovery_at(&self) -> Option<Instant> {
        if self.state.is_connecting() {
            return None;
        }
        let t3 = self.paths.iter().filter_map(|p| p.t3_at).min();
        [t3, self.lost_at, self.tail_at].into_iter().flatten().min()
    }

    /// T3-rtx of each path, losses by time, the tail probe.
    pub(super) fn recover(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        for path in 0..self.paths.len() {
            if self.paths[path].t3_at.is_some_and(|at| at <= ctx.now)
                && let Some(reason) = self.on_t3(ctx, path)
            {
                return Some(reason);
            }
        }
        if self.lost_at.is_some_and(|at| at <= ctx.now) {
            self.find_lost(ctx);
        }
        if self.tail_at.is_some_and(|at| at <= ctx.now) {
            self.tail_at = None;
            self.probe_tail(ctx);
        }
        None
    }

    /// Section 6.3.3.
    fn on_t3(&mut self, ctx: &mut Ctx<'_>, path: usize) -> Option<CloseReason> {
        ctx.counters.t3_expired += 1;
        self.paths[path].stats.timeouts += 1;
        self.lost_on(path);
        self.paths[path].congestion.timed_out();
        self.paths[path].back_off(ctx.config);
        self.mtu_silence(ctx, path);
        if std::mem::take(&mut self.no_room) {
            // The peer answers, it has no room: no error (section 6.1 A).
            return None;
        }
        let ended = self.failed(ctx, path, Sign::Timeout);
        // Section 6.4: sent again over another active path, also while this one counts as active.
        self.again_over = (self.data_path() == path).then(|| self.alternate(path)).flatten();
        ended
    }

    /// Nothing was heard for two round trips: the end of the burst goes out again, so that the answer tells what is missing. Over
    /// another path when there is one, because the one it left over may be dead.
    fn probe_tail(&mut self, ctx: &mut Ctx<'_>) {
        let Some(index) = self.queue.flight.tail() else { return };
        let first = self.data_path();
        let other = self.alternate(first);
        if other.is_some() {
            // What went over two paths tells nothing of either, so the silent one is asked (section 8.3 D).
            self.ask_path(ctx, first);
        }
        let path = other.unwrap_or(first);
        ctx.counters.tail_probes += 1;
        self.tail.probed = Some(self.queue.flight.get(index).tsn());
        self.send_again(ctx, index, path);
    }

    /// One DATA chunk that is on the wire, once more, in a packet of its own.
    fn send_again(&mut self, ctx: &mut Ctx<'_>, index: usize, path: usize) {
        let (before, bytes) = (self.queue.flight.get(index).path(), self.queue.flight.get(index).bytes());
        self.paths[before].congestion.gone(bytes);
        self.queue.depart(index, path, ctx.now);
        self.paths[path].departed(bytes, false, ctx.now);
        ctx.counters.data_out += 1;
        ctx.counters.data_retransmitted += 1;
        self.paths[path].stats.data_retransmitted += 1;
        let chunk = self.queue.flight.get(index);
        let flags = chunk.flags() | flag::IMMEDIATE;
        let mut packet = Packet::new(self.header(), ctx.config.mtu);
        packet.chunk(kind::DATA, flags, &[chunk.fixed(), &chunk.ppid.to_be_bytes(), chunk.user()]);
        self.emit(ctx, path, packet);
    }
}
