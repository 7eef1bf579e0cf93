//! One circuit: its call, its blocking, its timers.

use super::config::{Config, ms};
use super::recorded::Plan;
use std::time::Instant;

/// State of the call on a circuit. The numbers are those of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Call {
    /// No call.
    Idle = 0,
    /// IAM received that announced a continuity check; waiting for COT (T8).
    IncomingCot = 1,
    /// IAM received, ACM not yet sent.
    Incoming = 2,
    /// ACM sent, ANM not yet: wait-answer.
    IncomingAcm = 3,
    /// Answered incoming call.
    AnsweredIn = 4,
    /// IAM sent, no backward message yet (T7).
    OutgoingIam = 5,
    /// ACM received, waiting for ANM (T9).
    OutgoingAcm = 6,
    /// Answered outgoing call.
    AnsweredOut = 7,
    /// REL sent, waiting for RLC (T1, T5).
    Releasing = 8,
    /// RSC sent, waiting for RLC (T16, T17).
    Resetting = 9,
    /// Named in our GRS, waiting for GRA (T22, T23 of the group).
    GroupResetting = 10,
}

impl Call {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Idle,
        Self::IncomingCot,
        Self::Incoming,
        Self::IncomingAcm,
        Self::AnsweredIn,
        Self::OutgoingIam,
        Self::OutgoingAcm,
        Self::AnsweredOut,
        Self::Releasing,
        Self::Resetting,
        Self::GroupResetting,
    ];

    /// Name in metrics and admin state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::IncomingCot => "incoming_cot",
            Self::Incoming => "incoming",
            Self::IncomingAcm => "wait_answer",
            Self::AnsweredIn => "answered_in",
            Self::OutgoingIam => "outgoing_iam",
            Self::OutgoingAcm => "outgoing_acm",
            Self::AnsweredOut => "answered_out",
            Self::Releasing => "releasing",
            Self::Resetting => "resetting",
            Self::GroupResetting => "group_resetting",
        }
    }

    /// True while there is a call whose outcome is not yet counted.
    #[must_use]
    pub fn is_call(self) -> bool {
        (Self::IncomingCot..=Self::AnsweredOut).contains(&self)
    }
}

/// A blocking exchange of ours that has no answer yet. The numbers are those of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Maintenance {
    /// None under way.
    Settled = 0,
    /// BLO sent, waiting for BLA (T12, T13).
    Blocking = 1,
    /// UBL sent, waiting for UBA (T14, T15).
    Unblocking = 2,
}

/// Bits beside the call state; they go into the snapshot as they are.
pub(super) mod flag {
    /// Blocked by the other end for maintenance (BLO, CGB, GRA).
    pub(crate) const REMOTE_MAINTENANCE: u8 = 0x01;
    /// Blocked by the other end for hardware failure (CGB).
    pub(crate) const REMOTE_HARDWARE: u8 = 0x02;
    /// Blocked by this end for maintenance (BLO sent).
    pub(crate) const LOCAL_MAINTENANCE: u8 = 0x04;
    /// The other end does not know the circuit (UCIC).
    pub(crate) const UNEQUIPPED: u8 = 0x08;
    /// This end will release the call after `hold_ms`.
    pub(crate) const RELEASE_BY_US: u8 = 0x10;
    /// SUS without RES so far.
    pub(crate) const SUSPENDED: u8 = 0x20;
    /// CPG went out after ACM.
    pub(crate) const CPG_SENT: u8 = 0x40;
    /// The call has a [`Plan`](super::Plan).
    pub(crate) const RECORDED: u8 = 0x80;
    /// Any reason not to seize the circuit.
    pub(crate) const NOT_FOR_SEIZURE: u8 = REMOTE_MAINTENANCE | REMOTE_HARDWARE | LOCAL_MAINTENANCE | UNEQUIPPED;
    /// Bits that belong to one call.
    pub(crate) const OF_CALL: u8 = RELEASE_BY_US | SUSPENDED | CPG_SENT | RECORDED;
}

/// A message that is repeated until it is answered: at `short_ms` first, from `long_ms` on at that interval (the pairs
/// T12/T13, T14/T15, T16/T17, T22/T23; of T1/T5 the second ends the repetition).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Repeat {
    pub(super) next: Option<Instant>,
    pub(super) long: Option<Instant>,
}

/// What a due [`Repeat`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    No,
    /// Send again.
    Again,
    /// Send again; the long timer ran out.
    Long,
}

impl Repeat {
    pub(super) fn start(now: Instant, short_ms: u64, long_ms: u64) -> Self {
        Self { next: Some(now + ms(short_ms)), long: Some(now + ms(long_ms)) }
    }

    pub(super) fn at(self) -> Option<Instant> {
        earlier(self.next, self.long)
    }

    /// What is due at `now`; starts the next round.
    pub(super) fn check(&mut self, now: Instant, short_ms: u64, long_ms: u64) -> Due {
        if self.long.is_some_and(|at| at <= now) {
            *self = Self { next: None, long: Some(now + ms(long_ms)) };
            Due::Long
        } else if self.next.is_some_and(|at| at <= now) {
            self.next = Some(now + ms(short_ms));
            Due::Again
        } else {
            Due::No
        }
    }
}

/// One circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Circuit {
    pub(super) call: Call,
    pub(super) maintenance: Maintenance,
    pub(super) flags: u8,
    /// Cause of our REL, while releasing.
    pub(super) cause: u8,
    /// What a recorded call does here; of a meaning while [`flag::RECORDED`] is set.
    pub(super) plan: Plan,
    /// The next step of the call: ACM, CPG, ANM, hold, T7, T8, T9 by its state.
    pub(super) timer: Option<Instant>,
    /// T6 while suspended.
    pub(super) suspended: Option<Instant>,
    /// T1/T5 or T16/T17.
    pub(super) clearing: Repeat,
    /// T12/T13 or T14/T15.
    pub(super) blocking: Repeat,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            call: Call::Idle,
            maintenance: Maintenance::Settled,
            flags: 0,
            cause: 0,
            plan: Plan::default(),
            timer: None,
            suspended: None,
            clearing: Repeat::default(),
            blocking: Repeat::default(),
        }
    }
}

impl Circuit {
    pub(super) fn has(&self, bits: u8) -> bool {
        self.flags & bits != 0
    }

    pub(super) fn set(&mut self, bits: u8, on: bool) {
        if on {
            self.flags |= bits;
        } else {
            self.flags &= !bits;
        }
    }

    /// Enters a call state: timers of the state before stop, those of the new one start.
    pub(super) fn enter(&mut self, now: Instant, config: &Config, call: Call) {
        self.call = call;
        if !call.is_call() {
            self.set(flag::OF_CALL, false);
        }
        self.start_timers(now, config);
    }

    /// Starts the timers of the call state.
    pub(super) fn start_timers(&mut self, now: Instant, config: &Config) {
        let answer_ms = config.answer_delay_ms;
        let cpg_ms = if config.sends_cpg() { config.cpg_delay_ms } else { 0 };
        let step_ms = match self.call {
            Call::IncomingCot => Some(config.t8_ms),
            Call::Incoming if self.has(flag::RECORDED) => self.plan.after_iam_ms(),
            Call::Incoming => Some(config.acm_delay_ms),
            Call::IncomingAcm if self.has(flag::RECORDED) => self.plan.after_acm_ms(),
            Call::IncomingAcm if cpg_ms == 0 => Some(answer_ms),
            Call::IncomingAcm if self.has(flag::CPG_SENT) => Some(answer_ms - cpg_ms),
            Call::IncomingAcm => Some(cpg_ms),
            Call::AnsweredIn if self.has(flag::RECORDED) => self.plan.rel_ms.map(u64::from),
            Call::AnsweredIn | Call::AnsweredOut => self.has(flag::RELEASE_BY_US).then_some(config.hold_ms),
            Call::OutgoingIam => Some(config.t7_ms),
            Call::OutgoingAcm => Some(config.t9_ms),
            Call::Idle | Call::Releasing | Call::Resetting | Call::GroupResetting => None,
        };
        self.timer = step_ms.map(|delay| now + ms(delay));
        self.suspended = self.has(flag::SUSPENDED).then(|| now + ms(config.t6_ms));
        self.clearing = match self.call {
            Call::Releasing => Repeat::start(now, config.t1_ms, config.t5_ms),
            Call::Resetting => Repeat::start(now, config.t16_ms, config.t17_ms),
            Call::Idle
            | Call::IncomingCot
            | Call::Incoming
            | Call::IncomingAcm
            | Call::AnsweredIn
            | Call::OutgoingIam
            | Call::OutgoingAcm
            | Call::AnsweredOut
            | Call::GroupResetting => Repeat::default(),
        };
    }

    /// Starts the timers of a blocking exchange.
    pub(super) fn start_blocking(&mut self, now: Instant, config: &Config, maintenance: Maintenance) {
        self.maintenance = maintenance;
        self.blocking = match maintenance {
            Maintenance::Settled => Repeat::default(),
            Maintenance::Blocking => Repeat::start(now, config.t12_ms, config.t13_ms),
            Maintenance::Unblocking => Repeat::start(now, config.t14_ms, config.t15_ms),
        };
    }

    /// True when there is nothing a snapshot would have to say.
    pub(super) fn is_default(&self) -> bool {
        self.call == Call::Idle && self.maintenance == Maintenance::Settled && self.flags == 0
    }

    /// May carry a new outgoing call.
    pub(super) fn is_free(&self) -> bool {
        self.call == Call::Idle && !self.has(flag::NOT_FOR_SEIZURE)
    }

    /// Every timer there is, in the order of the snapshot's bits, and whether the circuit's state has it.
    pub(super) fn timers(&mut self) -> [(&mut Option<Instant>, bool); 6] {
        let (in_call, suspended) = (self.call.is_call(), self.has(flag::SUSPENDED));
        let clearing = matches!(self.call, Call::Releasing | Call::Resetting);
        let blocking = self.maintenance != Maintenance::Settled;
        [
            (&mut self.timer, in_call),
            (&mut self.suspended, suspended),
            (&mut self.clearing.next, clearing),
            (&mut self.clearing.long, clearing),
            (&mut self.blocking.next, blocking),
            (&mut self.blocking.long, blocking),
        ]
    }

    pub(super) fn at(&self) -> Option<Instant> {
        let call = earlier(self.timer, self.suspended);
        earlier(call, earlier(self.clearing.at(), self.blocking.at()))
    }
}

/// The earlier of two optional times.
pub(super) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}
