//! The orderly end, RFC 9260 section 9.2. ABORT is in the module above.

use super::{Assoc, Ctx, Retry, State, Step};
use crate::CloseReason;
use crate::engine::Input;
use crate::wire::{self, Header, cause, flag, kind};
use std::time::{Duration, Instant};

impl Assoc {
    /// The user asks for a graceful end. `Some` when that ends it at once.
    pub(crate) fn shutdown(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        match self.state {
            State::CookieWait => Some(CloseReason::LocalAbort),
            State::CookieEchoed => {
                // The peer may be up already.
                self.send_abort(ctx, Some(cause::USER_ABORT), &[]);
                Some(CloseReason::LocalAbort)
            }
            State::Established => {
                self.state = State::ShutdownPending;
                self.progress_while_closing(ctx);
                self.proceed(ctx)
            }
            State::ShutdownPending | State::ShutdownSent | State::ShutdownReceived | State::ShutdownAckSent => None,
        }
    }

    /// Takes the next step of a shutdown once everything accepted is acknowledged.
    pub(super) fn proceed(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        if self.queue.outstanding().0 > 0 {
            return None;
        }
        match self.state {
            State::ShutdownPending => {
                self.state = State::ShutdownSent;
                self.start_t2(ctx);
                self.guard_at = Some(guard(ctx));
                self.send_shutdown(ctx);
            }
            State::ShutdownReceived => {
                self.state = State::ShutdownAckSent;
                self.guard_at = None;
                self.start_t2(ctx);
                self.control(wire::chunk(kind::SHUTDOWN_ACK, 0, &[]));
            }
            State::CookieWait
            | State::CookieEchoed
            | State::Established
            | State::ShutdownSent
            | State::ShutdownAckSent => {}
        }
        None
    }

    pub(super) fn shutting_down(&self) -> bool {
        match self.state {
            State::ShutdownPending | State::ShutdownSent | State::ShutdownReceived | State::ShutdownAckSent => true,
            State::CookieWait | State::CookieEchoed | State::Established => false,
        }
    }

    fn start_t2(&mut self, ctx: &Ctx<'_>) {
        let interval =
            self.paths.get(self.data_path()).map_or(Duration::from_millis(ctx.config.rto_initial_ms), |p| p.rto);
        self.retry = Some(Retry { at: ctx.now + interval, interval, count: 0 });
        self.asked(ctx.now);
    }

    /// SHUTDOWN goes out with the next packets, after the SACK that tells its cumulative TSN.
    fn send_shutdown(&mut self, ctx: &Ctx<'_>) {
        if self.sack_at.is_some() {
            self.on_sack_due(ctx);
        }
        self.shutdown_due = true;
    }

    /// T2-shutdown is due.
    pub(super) fn on_t2(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        let path = self.data_path();
        self.asked(ctx.now);
        self.paths[path].back_off(ctx.config);
        // An error of the path as T3-rtx is: the repetition takes another one.
        self.path_error(ctx, path);
        let interval = self.paths[self.data_path()].rto;
        let retry = self.retry.as_mut()?;
        *retry = Retry { at: ctx.now + interval, interval, count: retry.count + 1 };
        if retry.count > ctx.config.association_max_retrans {
            return Some(self.silent(ctx));
        }
        if self.state == State::ShutdownSent {
            self.send_shutdown(ctx);
        } else {
            self.control(wire::chunk(kind::SHUTDOWN_ACK, 0, &[]));
        }
        None
    }

    /// Section 9.2 has a guard once SHUTDOWN is out. A peer that is alive and takes nothing (its window stays 0) would keep us from
    /// getting there for ever: so much time without any acknowledgement is the end too.
    pub(super) fn progress_while_closing(&mut self, ctx: &Ctx<'_>) {
        match self.state {
            State::ShutdownPending | State::ShutdownReceived => self.guard_at = Some(guard(ctx)),
            State::CookieWait
            | State::CookieEchoed
            | State::Established
            | State::ShutdownSent
            | State::ShutdownAckSent => {}
        }
    }

    /// T5-shutdown-guard is due.
    pub(super) fn on_guard(&mut self, ctx: &mut Ctx<'_>) -> CloseReason {
        self.silent(ctx)
    }

    /// Anything from the peer clears the count of repeated SHUTDOWNs, as it may have much to send yet (section 9.2). T2 itself starts
    /// again with DATA only: a peer that lost our SHUTDOWN and sends other things would never get the next one.
    pub(super) fn answered_while_closing(&mut self) {
        if self.state == State::ShutdownSent
            && let Some(retry) = &mut self.retry
        {
            retry.count = 0;
        }
    }

    /// DATA came while our SHUTDOWN is out: it is answered at once and T2 starts again (section 9.2).
    pub(super) fn on_data_after_shutdown(&mut self, ctx: &Ctx<'_>) {
        if self.state == State::ShutdownSent {
            self.start_t2(ctx);
            // The engine acknowledges it at once, and SHUTDOWN is made after that.
            self.shutdown_due = true;
        }
    }

    /// SHUTDOWN: the cumulative TSN acknowledges, then no new data is taken from the user.
    pub(super) fn on_shutdown(&mut self, ctx: &mut Ctx<'_>, path: usize, value: &[u8], input: &mut Input) -> Step {
        if self.state.is_connecting() {
            ctx.counters.dropped_unexpected += 1;
            return Step::Next;
        }
        if value.len() < 4 {
            ctx.counters.dropped_sack += 1;
            return Step::Next;
        }
        match self.state {
            State::ShutdownSent => {
                // Both at once: SHUTDOWN ACK, also without waiting for the acknowledgement of ours.
                self.state = State::ShutdownAckSent;
                self.start_t2(ctx);
                self.reply(path, wire::chunk(kind::SHUTDOWN_ACK, 0, &[]));
                Step::Next
            }
            State::Established | State::ShutdownPending | State::ShutdownReceived => {
                if self.state != State::ShutdownReceived {
                    self.state = State::ShutdownReceived;
                    self.progress_while_closing(ctx);
                }
                self.on_cumulative(ctx, wire::u32_at(value, 0), input)
            }
            // Our SHUTDOWN ACK was lost.
            State::ShutdownAckSent => {
                self.repeat_shutdown_ack(Some(path));
                Step::Next
            }
            State::CookieWait | State::CookieEchoed => Step::Next,
        }
    }

    /// SHUTDOWN ACK: SHUTDOWN COMPLETE, and it is over.
    pub(super) fn on_shutdown_ack(&mut self, ctx: &mut Ctx<'_>, path: usize) -> Step {
        match self.state {
            State::ShutdownSent | State::ShutdownAckSent => {
                self.send_alone(ctx, path, self.header(), &wire::chunk(kind::SHUTDOWN_COMPLETE, 0, &[]));
                Step::End(CloseReason::Shutdown)
            }
            State::CookieWait | State::CookieEchoed => {
                // Section 8.5.1 E: as out of the blue, with the tag that came.
                let header = Header { tag: self.local_tag, ..self.header() };
                let chunk = wire::chunk(kind::SHUTDOWN_COMPLETE, flag::TAG_REFLECTED, &[]);
                self.send_alone(ctx, path, header, &chunk);
                Step::Stop
            }
            State::Established | State::ShutdownPending | State::ShutdownReceived => {
                ctx.counters.dropped_unexpected += 1;
                Step::Next
            }
        }
    }

    /// SHUTDOWN COMPLETE with our tag, so without the T bit (section 8.5.1 C).
    pub(super) fn on_shutdown_complete(&mut self, ctx: &mut Ctx<'_>, flags: u8) -> Step {
        if self.state == State::ShutdownAckSent && self.own_tag(flags) {
            return Step::End(CloseReason::Shutdown);
        }
        ctx.counters.dropped_unexpected += 1;
        Step::Next
    }

    /// SHUTDOWN COMPLETE with the peer's tag and the T bit: it has forgotten the association already.
    pub(crate) fn reflected_complete(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        if self.state == State::ShutdownAckSent {
            return Some(CloseReason::Shutdown);
        }
        ctx.counters.dropped_unexpected += 1;
        None
    }

    /// Section 9.2: an INIT in SHUTDOWN-ACK-SENT means that our SHUTDOWN ACK or the peer's SHUTDOWN COMPLETE was lost.
    pub(crate) fn repeat_shutdown_ack(&mut self, path: Option<usize>) {
        if self.control.iter().all(|c| c.chunk.first() != Some(&kind::SHUTDOWN_ACK)) {
            self.reply(path.unwrap_or_else(|| self.data_path()), wire::chunk(kind::SHUTDOWN_ACK, 0, &[]));
        }
    }
}

/// Section 9.2: T5-shutdown-guard, 5 * RTO.Max.
fn guard(ctx: &Ctx<'_>) -> Instant {
    ctx.now + 5 * Duration::from_millis(ctx.config.rto_max_ms)
}
