//! Messages and timers of one call (Q.764 2.1 to 2.4, 2.9.1, 2.9.5.1, 2.9.6).

use super::circuit::{Call, Circuit, Due, flag};
use super::config::Config;
use super::counters::Outcome;
use super::group::{Context, Group, GroupId};
use super::message::{self, CallMessage, cause};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// 19, no answer from user (user alerted): what T9 gives the caller.
const NO_ANSWER: u8 = 19;

/// Two percentages in 0..100 that depend on the circuit and its IAM only, so that a controller that takes the message again
/// chooses again what the one before chose.
fn choices(config: &Config, id: GroupId, iam: &[u8]) -> (u8, u8) {
    let mut hasher = SipHasher13::new_with_keys(config.seed, u64::from(id.network) << 32 | u64::from(id.pool));
    hasher.write(iam);
    let hash = hasher.finish();
    let percent = |bits: u64| u8::try_from(bits % 100).expect("invariant: below 100");
    (percent(hash & 0xffff_ffff), percent(hash >> 32))
}

impl Group {
    /// A message of the call on circuit `index`; `user_data` is the whole message.
    pub(super) fn call_message(&mut self, cx: &mut Context, index: usize, message: CallMessage, user_data: &[u8]) {
        use CallMessage as M;
        let call = self.circuits[index].call;
        let answered = matches!(call, Call::AnsweredIn | Call::AnsweredOut);
        match message {
            M::Iam { continuity } => self.initial_address(cx, index, continuity, user_data),
            M::Rel => self.released(cx, index),
            M::Rlc => self.release_complete(cx, index),
            // En bloc or not, ACM comes by its timer.
            M::Sam if matches!(call, Call::IncomingCot | Call::Incoming) => {}
            M::Cot { successful: true } if call == Call::IncomingCot => self.enter(cx, index, Call::Incoming),
            M::Cot { successful: false } if call == Call::IncomingCot => {
                self.end(cx, index, Outcome::Continuity, Call::Idle)
            }
            // The end of a test by CCR; a loop for the test tone is all that CCR itself asks for.
            M::Cot { .. } if call == Call::Idle => {}
            M::Ccr => {}
            M::Acm if call == Call::OutgoingIam => self.enter(cx, index, Call::OutgoingAcm),
            M::Con if call == Call::OutgoingIam => self.answered(cx, index, Call::AnsweredOut),
            M::Anm if call == Call::OutgoingAcm => self.answered(cx, index, Call::AnsweredOut),
            M::Cpg if answered || call == Call::OutgoingAcm => {}
            M::Sus if answered => self.suspend(cx, index, true),
            M::Res if answered => self.suspend(cx, index, false),
            M::Other if call.is_call() => {}
            M::Sam | M::Cot { .. } | M::Acm | M::Con | M::Anm | M::Cpg | M::Sus | M::Res | M::Other => {
                self.unexpected(cx, index)
            }
        }
    }

    pub(super) fn enter(&mut self, cx: &Context, index: usize, call: Call) {
        if let Some(audit) = &mut self.audit {
            audit.changed(index);
        }
        self.circuits[index].enter(cx.now, cx.config, call);
    }

    /// Ends the call with an outcome.
    pub(super) fn end(&mut self, cx: &mut Context, index: usize, outcome: Outcome, next: Call) {
        if self.circuits[index].call.is_call() {
            cx.counters.end(outcome);
        }
        self.enter(cx, index, next);
    }

    /// Ends the call with an outcome and REL.
    pub(super) fn release(&mut self, cx: &mut Context, index: usize, outcome: Outcome, cause: u8) {
        let cic = self.id.cic(index);
        self.circuits[index].cause = cause;
        self.end(cx, index, outcome, Call::Releasing);
        cx.send(cic, message::rel(cic, cause));
    }

    /// RSC, to bring both ends back to idle (Q.764 2.9.3.1).
    pub(super) fn reset_circuit(&mut self, cx: &mut Context, index: usize) {
        let cic = self.id.cic(index);
        self.end(cx, index, Outcome::ResetByUs, Call::Resetting);
        cx.counters.resets_sent += 1;
        cx.send(cic, message::rsc(cic));
    }

    /// Q.764 2.9.5.1 d: a message that does not fit the state.
    fn unexpected(&mut self, cx: &mut Context, index: usize) {
        cx.counters.unexpected += 1;
        match self.circuits[index].call {
            Call::Idle | Call::IncomingCot | Call::Incoming => self.reset_circuit(cx, index),
            Call::OutgoingIam => {
                self.reset_circuit(cx, index);
                self.repeat_attempt(cx);
            }
            // A backward message was there already, or the circuit is being cleared: discarded.
            Call::IncomingAcm
            | Call::AnsweredIn
            | Call::OutgoingAcm
            | Call::AnsweredOut
            | Call::Releasing
            | Call::Resetting
            | Call::GroupResetting => {}
        }
    }

    fn initial_address(&mut self, cx: &mut Context, index: usize, continuity: bool, iam: &[u8]) {
        match self.circuits[index].call {
            // The other end has not understood that we block it (Q.764 2.8.2.3).
            Call::Idle if self.circuits[index].has(flag::LOCAL_MAINTENANCE) => {
                cx.counters.unexpected += 1;
                self.block(cx, index);
            }
            Call::Idle => self.seized(cx, index, continuity, iam),
            Call::OutgoingIam if self.id.controls(self.id.cic(index)) => {
                // Dual seizure: our call stands; the other end backs off (Q.764 2.9.1.4).
            }
            Call::OutgoingIam => {
                self.end(cx, index, Outcome::DualSeizure, Call::Idle);
                self.seized(cx, index, continuity, iam);
                self.repeat_attempt(cx);
            }
            Call::IncomingCot
            | Call::Incoming
            | Call::IncomingAcm
            | Call::AnsweredIn
            | Call::OutgoingAcm
            | Call::AnsweredOut
            | Call::Releasing
            | Call::Resetting
            | Call::GroupResetting => self.unexpected(cx, index),
        }
    }

    /// An incoming call begins.
    fn seized(&mut self, cx: &mut Context, index: usize, continuity: bool, iam: &[u8]) {
        cx.counters.calls_in += 1;
        let (refuse, release) = choices(cx.config, self.id, iam);
        let circuit = &mut self.circuits[index];
        // Who seizes a circuit does not block it (any more).
        circuit.set(flag::REMOTE_MAINTENANCE | flag::REMOTE_HARDWARE, false);
        circuit.set(flag::RELEASE_BY_US, release < cx.config.release_by_controller_percent);
        let plan = cx.recorded.plan(self.id, iam);
        circuit.set(flag::RECORDED, plan.is_some());
        circuit.plan = plan.unwrap_or_default();
        self.enter(cx, index, if continuity { Call::IncomingCot } else { Call::Incoming });
        if plan.is_none() && refuse < cx.config.refuse_percent {
            self.release(cx, index, Outcome::RefusedByUs, cause::BUSY);
        }
    }

    /// REL: answered in every state (Q.764 2.3, 2.9.5.1 a).
    fn released(&mut self, cx: &mut Context, index: usize) {
        let cic = self.id.cic(index);
        match self.circuits[index].call {
            Call::IncomingCot | Call::Incoming | Call::IncomingAcm => {
                self.end(cx, index, Outcome::Abandoned, Call::Idle)
            }
            Call::OutgoingIam | Call::OutgoingAcm => self.end(cx, index, Outcome::RefusedByPeer, Call::Idle),
            Call::AnsweredIn | Call::AnsweredOut => self.end(cx, index, Outcome::ReleasedByPeer, Call::Idle),
            // Both ends released at once, or we reset: our own RLC is still to come.
            Call::Idle | Call::Releasing | Call::Resetting | Call::GroupResetting => {}
        }
        cx.send(cic, message::rlc(cic));
    }

    fn release_complete(&mut self, cx: &mut Context, index: usize) {
        match self.circuits[index].call {
            Call::Releasing | Call::Resetting => self.enter(cx, index, Call::Idle),
            // Q.764 2.9.5.1 b, and GRA is the answer to GRS.
            Call::Idle | Call::GroupResetting => cx.counters.unexpected += 1,
            Call::IncomingCot
            | Call::Incoming
            | Call::IncomingAcm
            | Call::AnsweredIn
            | Call::OutgoingIam
            | Call::OutgoingAcm
            | Call::AnsweredOut => {
                cx.counters.unexpected += 1;
                self.release(cx, index, Outcome::UnexpectedRelease, cause::UNSPECIFIED);
            }
        }
    }

    fn answered(&mut self, cx: &mut Context, index: usize, call: Call) {
        cx.counters.calls_answered += 1;
        self.enter(cx, index, call);
    }

    fn suspend(&mut self, cx: &Context, index: usize, on: bool) {
        let circuit = &mut self.circuits[index];
        if circuit.has(flag::SUSPENDED) != on {
            circuit.set(flag::SUSPENDED, on);
            circuit.suspended = on.then(|| cx.now + super::config::ms(cx.config.t6_ms));
        }
    }

    /// The call's own timers.
    pub(super) fn call_timeout(&mut self, cx: &mut Context, index: usize) {
        let circuit = &mut self.circuits[index];
        if circuit.suspended.is_some_and(|at| at <= cx.now) {
            return self.release(cx, index, Outcome::Suspended, cause::TIMER_EXPIRY);
        }
        if circuit.timer.is_none_or(|at| at > cx.now) {
            return;
        }
        let cic = self.id.cic(index);
        let plan = circuit.has(flag::RECORDED).then_some(circuit.plan);
        match circuit.call {
            Call::Incoming if plan.is_some_and(|plan| plan.acm_ms.is_none()) => self.release_as_recorded(cx, index),
            Call::IncomingAcm if plan.is_some_and(|plan| plan.anm_ms.is_none()) => self.release_as_recorded(cx, index),
            Call::AnsweredIn if plan.is_some() => self.release_as_recorded(cx, index),
            Call::IncomingCot => self.release(cx, index, Outcome::Continuity, cause::TEMPORARY_FAILURE),
            Call::Incoming => {
                cx.send(cic, message::acm(cic));
                self.enter(cx, index, Call::IncomingAcm);
            }
            Call::IncomingAcm if plan.is_none() && cx.config.sends_cpg() && !circuit.has(flag::CPG_SENT) => {
                circuit.set(flag::CPG_SENT, true);
                circuit.start_timers(cx.now, cx.config);
                cx.send(cic, message::cpg(cic));
            }
            Call::IncomingAcm => {
                cx.send(cic, message::anm(cic));
                self.answered(cx, index, Call::AnsweredIn);
            }
            Call::AnsweredIn | Call::AnsweredOut => self.release(cx, index, Outcome::ReleasedByUs, cause::NORMAL),
            Call::OutgoingIam => self.release(cx, index, Outcome::NoAddressComplete, cause::TIMER_EXPIRY),
            Call::OutgoingAcm => self.release(cx, index, Outcome::NoAnswer, NO_ANSWER),
            Call::Idle | Call::Releasing | Call::Resetting | Call::GroupResetting => circuit.timer = None,
        }
    }

    /// REL where the recorded pool sent it.
    fn release_as_recorded(&mut self, cx: &mut Context, index: usize) {
        let Circuit { call, plan, .. } = self.circuits[index];
        let outcome = if call == Call::AnsweredIn { Outcome::ReleasedByUs } else { Outcome::RefusedByUs };
        self.release(cx, index, outcome, plan.cause);
    }

    /// T1/T5 of REL, T16/T17 of RSC.
    pub(super) fn clearing_timeout(&mut self, cx: &mut Context, index: usize) {
        let (cic, now, config) = (self.id.cic(index), cx.now, cx.config);
        let circuit = &mut self.circuits[index];
        if circuit.call == Call::Releasing {
            match circuit.clearing.check(now, config.t1_ms, config.t5_ms) {
                Due::No => {}
                Due::Again => cx.send(cic, message::rel(cic, circuit.cause)),
                Due::Long => {
                    cx.counters.maintenance_alerts += 1;
                    self.reset_circuit(cx, index);
                }
            }
        } else if circuit.call == Call::Resetting {
            let due = circuit.clearing.check(now, config.t16_ms, config.t17_ms);
            if due != Due::No {
                cx.counters.maintenance_alerts += u64::from(due == Due::Long);
                cx.counters.resets_sent += 1;
                cx.send(cic, message::rsc(cic));
            }
        }
    }

    /// A call of ours that met an obstacle before its first backward message goes to another circuit.
    pub(super) fn repeat_attempt(&mut self, cx: &mut Context) {
        cx.counters.repeat_attempts += 1;
        self.originate(cx);
    }

    /// Starts a call of ours on a free circuit: those we control first (Q.764 2.9.1.3). False when none is free.
    pub fn originate(&mut self, cx: &mut Context) -> bool {
        let count = self.circuits.len();
        let start = self.originated as usize % count;
        let turn = (0..count).map(|step| (start + step) % count);
        let free = |index: &usize| self.circuits[*index].is_free() && cx.config.equipped(self.id.cic(*index));
        let controlled = |index: &usize| self.id.controls(self.id.cic(*index));
        let Some(index) = turn.clone().filter(free).find(controlled).or_else(|| turn.clone().find(free)) else {
            cx.counters.no_circuit += 1;
            return false;
        };
        let cic = self.id.cic(index);
        let prefix = &cx.config.called_number[..cx.config.called_number.len() - 4];
        let digits = format!("{prefix}{:04}", self.originated % 10_000);
        self.originated = self.originated.wrapping_add(1);
        cx.counters.calls_out += 1;
        self.circuits[index].set(flag::RELEASE_BY_US, true);
        self.enter(cx, index, Call::OutgoingIam);
        cx.send(cic, message::iam(cic, &digits));
        true
    }
}
