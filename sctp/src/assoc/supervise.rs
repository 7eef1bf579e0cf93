//! Noticing that the peer is gone: RFC 9260 sections 8.1 to 8.3 and 10, RFC 7829, RFC 6951 section 5.5, and supervision in
//! milliseconds; all timers of the association.

use super::{Assoc, Ctx, State, Step};
use crate::rng::mac;
use crate::wire::{self, kind, param, put_param};
use crate::{CloseReason, Event, PathState};
use std::time::{Duration, Instant};

/// The value of the Heartbeat Info parameter: `u32 path | u64 ns since the stack was made | u32 bytes of a probe
/// of the path MTU, else 0 | u64 MAC`.
const HEARTBEAT_INFO: usize = 24;

/// By what a path shows that it may be dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// T3-rtx, T2-shutdown: something that had to be answered was not.
    Timeout,
    /// A heartbeat without answer, an ICMP error.
    Other,
}

impl Assoc {
    /// Something went out that the peer must answer.
    pub(super) fn asked(&mut self, now: Instant) {
        if self.asked_at.is_none() {
            self.asked_at = Some(now);
            self.probe_at = None;
        }
    }

    /// Something valid came.
    pub(super) fn heard(&mut self, ctx: &Ctx<'_>) {
        if self.asked_at.is_some() {
            let waiting = self.queue.in_flight() || self.paths.iter().any(|p| p.heartbeat_sent.is_some());
            self.asked_at = waiting.then_some(ctx.now);
        }
        self.probe_at = None;
    }

    /// How long the peer may be silent: the setting, but never under four round trips. `None`: supervision is off.
    fn silence(&self, ctx: &Ctx<'_>) -> Option<Duration> {
        if ctx.config.supervision_ms == 0 || self.state.is_connecting() {
            return None;
        }
        let round_trip = self.paths.iter().filter_map(|p| p.srtt).max().unwrap_or_default();
        Some(Duration::from_millis(ctx.config.supervision_ms).max(4 * round_trip))
    }

    fn silent_at(&self, ctx: &Ctx<'_>) -> Option<Instant> {
        Some(self.asked_at? + self.silence(ctx)?)
    }

    /// While the peer is silent, heartbeats go out four times in the supervision time, so that no single loss decides.
    fn probe_at(&self, ctx: &Ctx<'_>) -> Option<Instant> {
        let quarter = self.silence(ctx)? / 4;
        Some(self.probe_at.unwrap_or(self.asked_at?) + quarter)
    }

    /// When [`Assoc::handle_timeout`] has something to do.
    pub(crate) fn next_timeout(&self, ctx: &Ctx<'_>) -> Option<Instant> {
        // No heartbeats before it is up, nor after SHUTDOWN or SHUTDOWN ACK, which T2 repeats (section 8.3).
        let beats = self.state.sends_data();
        let heartbeat = self.paths.iter().map(|p| p.heartbeat_at).min().filter(|_| beats);
        let probe = self.silent_at(ctx).and(self.probe_at(ctx)).filter(|_| beats);
        let all = [
            self.retry_at(),
            self.guard_at,
            self.sack_at,
            self.engine_timeout_at().filter(|_| !self.state.is_connecting()),
            self.recovery_at(),
            heartbeat,
            self.mtu_probe_at(),
            self.silent_at(ctx),
            probe,
        ];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        if self.retry_at().is_some_and(|at| at <= ctx.now) {
            let ended = if self.state.is_connecting() { self.on_t1(ctx) } else { self.on_t2(ctx) };
            if ended.is_some() {
                return ended;
            }
        }
        if self.state.is_connecting() {
            return None;
        }
        if self.guard_at.is_some_and(|at| at <= ctx.now) {
            return Some(self.on_guard(ctx));
        }
        if self.silent_at(ctx).is_some_and(|at| at <= ctx.now) {
            return Some(self.silent(ctx));
        }
        if self.sack_at.is_some_and(|at| at <= ctx.now) {
            self.on_sack_due(ctx);
        }
        if self.engine_timeout_at().is_some_and(|at| at <= ctx.now) {
            self.on_engine_timeout(ctx);
        }
        if let Some(reason) = self.recover(ctx) {
            return Some(reason);
        }
        if !self.state.sends_data() {
            return None;
        }
        self.probe_mtu(ctx);
        self.heartbeats(ctx)
    }

    /// The end for want of answers. Whoever still is there shall know.
    pub(super) fn silent(&mut self, ctx: &mut Ctx<'_>) -> CloseReason {
        if self.state == State::ShutdownAckSent {
            // Everything was delivered, and the peer had said SHUTDOWN: only its SHUTDOWN COMPLETE is missing.
            return CloseReason::Shutdown;
        }
        self.send_abort(ctx, None, &[]);
        CloseReason::Silent
    }

    /// A path did not answer in time.
    pub(super) fn failed(&mut self, ctx: &mut Ctx<'_>, path: usize, sign: Sign) -> Option<CloseReason> {
        let in_use = path == self.data_path();
        self.path_error(ctx, path);
        // Section 8.1: heartbeats of other paths than the one in use say nothing about the association. Section 5.4: nor does an
        // address that never proved itself.
        if self.paths[path].confirmed && (in_use || sign == Sign::Timeout) {
            self.errors += 1;
        }
        (self.errors > ctx.config.association_max_retrans).then(|| self.silent(ctx))
    }

    /// The error counter of a path, and what follows when it passes a threshold.
    pub(super) fn path_error(&mut self, ctx: &mut Ctx<'_>, path: usize) {
        if self.paths[path].error(ctx.config, ctx.now) {
            self.path_changed(ctx, path);
            self.switch_primary(ctx, path);
            // RFC 7829 section 3.2, 6. One that did not prove itself yet is asked in its turn.
            if self.paths[path].confirmed {
                self.ask_path(ctx, path);
            }
        }
    }

    /// A heartbeat at once, unless one is under way; the next one in an RTO.
    pub(super) fn ask_path(&mut self, ctx: &mut Ctx<'_>, path: usize) {
        if !self.state.sends_data() {
            return;
        }
        let by = ctx.now + self.paths[path].rto;
        if self.paths[path].heartbeat_sent.is_none() {
            self.send_heartbeat(ctx, path);
            self.paths[path].heartbeat_at = by;
        } else {
            // Supervision sent it, out of turn: its answer may be awaited until the next HB.interval only.
            self.paths[path].heartbeat_at = self.paths[path].heartbeat_at.min(by);
        }
    }

    /// A path answered.
    pub(super) fn path_answered(&mut self, ctx: &mut Ctx<'_>, path: usize) {
        if self.paths[path].answered(ctx.now) {
            self.path_changed(ctx, path);
        }
    }

    pub(super) fn path_changed(&self, ctx: &mut Ctx<'_>, path: usize) {
        let path = &self.paths[path];
        ctx.events.push_back(Event::Path { assoc: self.id, address: path.to, state: path.state });
    }

    /// HB.interval; longer when so many associations have the same port that their heartbeats would pass the limit.
    fn heartbeat_interval(&self, ctx: &Ctx<'_>) -> Duration {
        let configured = Duration::from_millis(ctx.config.heartbeat_interval_ms);
        let crowd = ctx.crowds.get(&self.crowd()).copied().unwrap_or(1);
        let crowded = match ctx.config.heartbeats_per_s_max {
            0 => Duration::ZERO,
            per_s => Duration::from_secs(1).saturating_mul(u32::try_from(crowd).unwrap_or(u32::MAX)) / per_s,
        };
        configured.max(crowded)
    }

    /// HB.interval + RTO, plus or minus half an RTO (section 8.3). What is longer than the configured HB.interval is spread by plus
    /// or minus half of it, so that associations that came together are not asked together.
    pub(super) fn next_heartbeat(&self, ctx: &mut Ctx<'_>, path: usize) -> Instant {
        let (rto, interval) = (self.paths[path].rto, self.heartbeat_interval(ctx));
        let share = (ctx.rng.u64() >> 11) as f64 / (1u64 << 53) as f64;
        if interval > Duration::from_millis(ctx.config.heartbeat_interval_ms) {
            return ctx.now + interval / 2 + interval.mul_f64(share) + rto;
        }
        ctx.now + interval + rto / 2 + rto.mul_f64(share)
    }

    fn heartbeats(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        for path in 0..self.paths.len() {
            if self.paths[path].heartbeat_at <= ctx.now
                && let Some(reason) = self.heartbeat_due(ctx, path)
            {
                return Some(reason);
            }
        }
        let silent = self.asked_at.is_some() && self.probe_at(ctx).is_some_and(|at| at <= ctx.now);
        if silent {
            self.probe_at = Some(ctx.now);
            for i in 0..self.paths.len() {
                // An address that never proved itself gets no more than its share (section 5.4).
                if self.paths[i].confirmed && self.paths[i].state != PathState::Inactive {
                    self.send_heartbeat(ctx, i);
                }
            }
        }
        None
    }

    /// The heartbeat timer of a path: the last one was not answered within its RTO, or the next one is due.
    fn heartbeat_due(&mut self, ctx: &mut Ctx<'_>, path: usize) -> Option<CloseReason> {
        if self.paths[path].heartbeat_sent.take().is_some() {
            ctx.counters.heartbeats_lost += 1;
            self.paths[path].stats.heartbeats_lost += 1;
            // With data outstanding there and nowhere else to go, T3-rtx tells the same (RFC 7829 section 3.2, 6).
            let judged = self.queue.in_flight() && path == self.data_path() && self.alternate(path).is_none();
            if !judged {
                self.paths[path].back_off(ctx.config);
                if let Some(reason) = self.failed(ctx, path, Sign::Other) {
                    return Some(reason);
                }
            }
        } else if self.paths[path].usable() {
            let interval = self.heartbeat_interval(ctx);
            if let Some(at) = self.paths[path].answered_at.filter(|at| *at + interval > ctx.now) {
                // Data was acknowledged over it: not idle.
                self.paths[path].heartbeat_at = at + interval + self.paths[path].rto / 2;
                return None;
            }
        }
        if let Some(later) = self.verify_later(ctx, path) {
            self.paths[path].heartbeat_at = later;
            return None;
        }
        self.ask_path(ctx, path);
        if self.paths[path].state == PathState::Inactive {
            self.paths[path].heartbeat_at = self.next_heartbeat(ctx, path);
        }
        None
    }

    /// HB.Max.Burst (section 5.4): so many heartbeats an RTO to addresses that have not proved themselves. A peer may name whom it
    /// likes, and they all would be asked together. Otherwise when to try again.
    fn verify_later(&mut self, ctx: &Ctx<'_>, path: usize) -> Option<Instant> {
        if self.paths[path].confirmed {
            return None;
        }
        let (until, count) = self.verifying;
        if ctx.now >= until {
            self.verifying = (ctx.now + Duration::from_millis(ctx.config.rto_initial_ms), 1);
            return None;
        }
        self.verifying.1 = count.saturating_add(1);
        (count >= ctx.config.heartbeat_burst_max.max(1)).then_some(until)
    }

    fn send_heartbeat(&mut self, ctx: &mut Ctx<'_>, path: usize) {
        let heartbeat = self.heartbeat(ctx, path, 0);
        ctx.counters.heartbeats_out += 1;
        self.paths[path].stats.heartbeats_out += 1;
        self.control_to(path, heartbeat);
        self.paths[path].heartbeat_sent = Some(ctx.now);
        self.asked(ctx.now);
    }

    /// A HEARTBEAT chunk; `probe`: the bytes of the packet when it is there to find out whether the path carries it.
    pub(super) fn heartbeat(&self, ctx: &Ctx<'_>, path: usize, probe: usize) -> Vec<u8> {
        let sent = ctx.now.saturating_duration_since(ctx.start).as_nanos() as u64;
        let mut info = Vec::with_capacity(HEARTBEAT_INFO);
        info.extend_from_slice(&(path as u32).to_be_bytes());
        info.extend_from_slice(&sent.to_be_bytes());
        info.extend_from_slice(&(probe as u32).to_be_bytes());
        let seal = mac(&self.nonce_key, &info);
        info.extend_from_slice(&seal[..8]);
        let mut value = Vec::with_capacity(HEARTBEAT_INFO + wire::TLV);
        put_param(&mut value, param::HEARTBEAT_INFO, &[&info]);
        wire::chunk(kind::HEARTBEAT, 0, &[&value])
    }

    /// HEARTBEAT ACK: only what we sealed counts (section 8.3).
    pub(super) fn on_heartbeat_ack(&mut self, ctx: &mut Ctx<'_>, value: &[u8]) -> Step {
        let Some((path, sent, probe)) = self.heartbeat_info(ctx, value) else {
            ctx.counters.dropped_heartbeat_ack += 1;
            return Step::Next;
        };
        if probe > 0 {
            self.mtu_confirmed(ctx, path, probe);
        }
        // One that came before would measure a round trip as long as its sender likes.
        if self.paths[path].beat.is_some_and(|last| last >= sent) {
            ctx.counters.dropped_heartbeat_ack += u64::from(probe == 0);
            return Step::Next;
        }
        self.paths[path].beat = Some(sent);
        // The silence that is allowed grows with the round trip: a peer that holds its answers back must not stretch it without end.
        let took = ctx.now.saturating_duration_since(sent).min(Duration::from_millis(ctx.config.rto_max_ms));
        self.paths[path].measured(took, ctx.config);
        self.paths[path].heartbeat_sent = None;
        self.paths[path].heartbeat_at = self.next_heartbeat(ctx, path);
        self.errors = 0;
        // Section 5.4: the nonce was sent there and came back.
        let proved = !std::mem::replace(&mut self.paths[path].confirmed, true);
        if self.paths[path].answered(ctx.now) || proved {
            self.path_changed(ctx, path);
        }
        if !self.queue.in_flight() && self.paths.iter().all(|p| p.heartbeat_sent.is_none()) {
            self.asked_at = None;
        }
        Step::Next
    }

    fn heartbeat_info(&self, ctx: &Ctx<'_>, value: &[u8]) -> Option<(usize, Instant, usize)> {
        let info = value.get(wire::TLV..wire::TLV + HEARTBEAT_INFO)?;
        let (body, seal) = info.split_at(16);
        let path = wire::u32_at(body, 0) as usize;
        if mac(&self.nonce_key, body)[..8] != *seal || path >= self.paths.len() {
            return None;
        }
        Some((path, ctx.start + Duration::from_nanos(wire::u64_at(body, 4)), wire::u32_at(body, 12) as usize))
    }

    /// An ICMP error for this path. `port`: nobody has a socket there any more.
    pub(crate) fn unreachable(&mut self, ctx: &mut Ctx<'_>, path: usize, port: bool) -> Option<CloseReason> {
        if self.state.is_connecting() {
            // The other addresses are tried with the next INIT; the last one decides.
            self.paths[path].give_up(ctx.config, ctx.now);
            let all = self.paths.iter().all(|p| p.state == PathState::Inactive);
            if !all && let Some(retry) = &mut self.retry {
                retry.at = ctx.now;
            }
            return (port && all).then_some(CloseReason::ConnectFailed);
        }
        let found = &mut self.paths[path];
        if !port {
            // Host or network unreachable may be a passing failure of routing (RFC 1122 section 4.2.3.9): an error like a timeout, and
            // not more often, however many packets are answered so.
            if found.icmp_at.is_some_and(|at| ctx.now < at + found.rto) {
                return None;
            }
            found.icmp_at = Some(ctx.now);
            let ended = self.failed(ctx, path, Sign::Other);
            if self.data_path() != path {
                self.lost_on(path);
            }
            return ended;
        }
        if found.give_up(ctx.config, ctx.now) {
            self.path_changed(ctx, path);
            self.switch_primary(ctx, path);
        }
        if self.data_path() != path {
            self.lost_on(path);
        }
        let usable = self.paths.iter().any(|p| p.confirmed && p.state != PathState::Inactive);
        if usable {
            return None;
        }
        if self.state == State::ShutdownAckSent {
            return Some(CloseReason::Shutdown);
        }
        Some(CloseReason::Unreachable)
    }

    /// The smoothed round trip of the path that data takes.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.paths.get(self.data_path()).and_then(|p| p.srtt)
    }
}
