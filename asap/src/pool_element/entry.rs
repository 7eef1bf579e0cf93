//! One handle of a pool element.

use crate::wire::{Policy, PoolHandle, RegistrationLife, Transport};
use std::time::{Duration, Instant};

/// RFC 5352 7.1: T4 is 10 minutes or 20 seconds less than the life.
const T4_LONGEST: Duration = Duration::from_mins(10);
const T4_BEFORE_END: Duration = Duration::from_secs(20);

/// What to register under one handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Pool handle.
    pub handle: PoolHandle,
    /// Registration life asked for.
    pub life: RegistrationLife,
    /// Where pool users reach the element.
    pub user_transport: Transport,
    /// Policy values of the element (weight, load); the pool's policy is set by its first element.
    pub policy: Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be registered as soon as there is a home server.
    Pending,
    /// REGISTRATION sent `attempts` times to this server.
    Registering { t2: Instant, attempts: u32 },
    /// Granted; re-registration at `t4`.
    Registered { t4: Instant },
    /// The life ran out, or the server has no room now; or (and then `told`) a server that took over did not say that it has this
    /// handle too. Registered again at `until`.
    Waiting { until: Instant },
    /// Rejected; nothing happens before the application corrects it.
    Refused,
    /// DEREGISTRATION sent (`t3` set) or to be sent.
    Deregistering { t3: Option<Instant>, give_up: Instant },
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) registration: Registration,
    pub(super) state: State,
    /// A registration was sent, so a server may know of it.
    pub(super) sent: bool,
    /// The application was told Registered.
    pub(super) told: bool,
    /// New values came while a registration was under way.
    pub(super) changed: bool,
    /// Refusals for Lack of Resources in a row.
    pub(super) refusals: u32,
}

impl Entry {
    pub(super) fn new(registration: Registration) -> Self {
        Self { registration, state: State::Pending, sent: false, told: false, changed: false, refusals: 0 }
    }

    /// New values from the application.
    pub(super) fn replace(&mut self, registration: Registration) {
        self.registration = registration;
        match self.state {
            State::Registering { .. } => self.changed = true,
            State::Pending
            | State::Registered { .. }
            | State::Waiting { .. }
            | State::Refused
            | State::Deregistering { .. } => self.state = State::Pending,
        }
    }

    /// The home server is lost: what it was asked and what it granted must be done again elsewhere.
    pub(super) fn forget_server(&mut self) {
        match self.state {
            State::Registering { .. } | State::Registered { .. } | State::Waiting { .. } => self.state = State::Pending,
            State::Deregistering { give_up, .. } => self.state = State::Deregistering { t3: None, give_up },
            State::Pending | State::Refused => {}
        }
        self.told = false;
    }

    /// Another server is, or may soon be, home: open questions go to it, what is registered stays.
    pub(super) fn ask_again(&mut self) {
        match self.state {
            State::Registering { .. } => self.state = State::Pending,
            State::Deregistering { give_up, .. } => self.state = State::Deregistering { t3: None, give_up },
            State::Pending | State::Registered { .. } | State::Waiting { .. } | State::Refused => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Registering { t2, .. } => Some(t2),
            State::Registered { t4 } => Some(t4),
            State::Waiting { until } => Some(until),
            State::Deregistering { t3, give_up } => Some(t3.unwrap_or(give_up)),
            State::Pending | State::Refused => None,
        }
    }

    /// T4: what is configured, but never later than the RFC's default; half the life where that is nearer than 20 s to its end.
    pub(super) fn t4(&self, configured_ms: Option<u64>) -> Duration {
        let longest = self.registration.life.duration().map_or(T4_LONGEST, |life| {
            T4_LONGEST.min(if life < 2 * T4_BEFORE_END { life / 2 } else { life - T4_BEFORE_END })
        });
        configured_ms.map_or(longest, |ms| longest.min(Duration::from_millis(ms)))
    }

    pub(super) fn is_registering(&self) -> bool {
        matches!(self.state, State::Registering { .. })
    }

    pub(super) fn is_refused(&self) -> bool {
        self.state == State::Refused
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Deregistering { .. })
    }
}
