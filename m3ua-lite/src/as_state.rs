//! Application Server state at an SGP (RFC 4666 section 4.3.2), T(r), and who is notified of what (section 4.3.4.5).
//!
//! The AS does not queue messages: while it is [`AsState::Pending`] its user does, and what becomes of the queue follows
//! from the next [`AsEvent::State`]: to ACTIVE send it, in order and before anything new; to INACTIVE or DOWN discard it.

use bitflags::bitflags;

use crate::asp::AspState;
use crate::wire::{Notify, Status, TrafficMode, one_context};

/// State of an AS (RFC 4666 section 4.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AsState {
    /// AS-DOWN: all its ASPs are down.
    #[default]
    Down,
    /// AS-INACTIVE: ASPs are there, not enough are active.
    Inactive,
    /// AS-ACTIVE: traffic flows.
    Active,
    /// AS-PENDING: the last active ASP is gone, T(r) runs, messages are queued.
    Pending,
}

impl AsState {
    /// All states, for tables and tests.
    pub const ALL: [AsState; 4] = [AsState::Down, AsState::Inactive, AsState::Active, AsState::Pending];

    /// The RFC's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AsState::Down => "AS-DOWN",
            AsState::Inactive => "AS-INACTIVE",
            AsState::Active => "AS-ACTIVE",
            AsState::Pending => "AS-PENDING",
        }
    }

    /// The NTFY status; AS-DOWN has none, there is nobody to tell.
    const fn status(self) -> Option<Status> {
        match self {
            AsState::Down => None,
            AsState::Inactive => Some(Status::AsInactive),
            AsState::Active => Some(Status::AsActive),
            AsState::Pending => Some(Status::AsPending),
        }
    }
}

/// Settings of an AS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsConfig {
    /// Routing context, named in each NTFY.
    pub routing_context: u32,
    /// Traffic mode.
    pub traffic_mode: TrafficMode,
    /// n: ASPs that must be active before the AS is (RFC 4666 section 4.3.2); 0 counts as 1, override mode has 1.
    pub asps_min: usize,
    /// T(r), ms: how long AS-PENDING waits for an ASP. No default in the RFC; the field uses 2,000.
    pub t_r_ms: u64,
}

/// What an AS tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsEvent<K> {
    /// The state changed.
    State {
        /// State before.
        from: AsState,
        /// State now.
        to: AsState,
    },
    /// Override mode: this ASP is inactive now; tell its [`crate::sgp::Sgp::overridden`].
    Overridden {
        /// The ASP.
        asp: K,
    },
    /// Send this NTFY to this ASP, after the acknowledgements.
    Notify {
        /// The ASP.
        asp: K,
        /// The message.
        notify: Notify<'static>,
    },
}

bitflags! {
    /// NTFYs an ASP is still to get. Flags instead of a queue: one change can concern each ASP, and this is bounded.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Owed: u8 {
        const OVERRIDDEN = 1;
        const ALTERNATE = 1 << 1;
        const FAILURE = 1 << 2;
        const STATE = 1 << 3;
        const INSUFFICIENT = 1 << 4;
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    asp: K,
    asp_id: Option<u32>,
    active: bool,
    owed: Owed,
}

/// The AS has as many ASPs as fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsFull;

impl core::fmt::Display for AsFull {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the AS has no room for another ASP")
    }
}

impl core::error::Error for AsFull {}

/// What moves an AS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AsTrigger {
    /// An ASP changed its state.
    Asp,
    /// T(r) expired.
    RecoveryTimer,
}

/// The table, RFC 4666 figure 4: next state from how many ASPs are `active` and `inactive` now; `n` as in the RFC.
#[must_use]
pub const fn as_step(state: AsState, trigger: AsTrigger, active: usize, inactive: usize, n: usize) -> AsState {
    let enough = active > 0 && active >= n;
    match (state, trigger) {
        // DN2IA, IA2AC, IA2DN; AS-ACTIVE is reached from AS-DOWN where the first ASP is known by its ASPAC.
        (AsState::Down | AsState::Inactive, AsTrigger::Asp) => match (enough, active + inactive) {
            (true, _) => AsState::Active,
            (false, 0) => AsState::Down,
            (false, _) => AsState::Inactive,
        },
        // AC2PN: only when none is left; fewer than n does not end the traffic.
        (AsState::Active, AsTrigger::Asp) if active == 0 => AsState::Pending,
        // PN2AC: one is enough, the AS was active before.
        (AsState::Pending, AsTrigger::Asp) if active > 0 => AsState::Active,
        // PN2IA, PN2DN.
        (AsState::Pending, AsTrigger::RecoveryTimer) if inactive > 0 => AsState::Inactive,
        (AsState::Pending, AsTrigger::RecoveryTimer) => AsState::Down,
        (AsState::Down | AsState::Inactive | AsState::Active, AsTrigger::RecoveryTimer)
        | (AsState::Active | AsState::Pending, AsTrigger::Asp) => state,
    }
}

/// One Application Server with at most `N` ASPs that are not down. `K` names an ASP, for example its association.
///
/// After each call drain [`As::poll_event`], then sleep until [`As::poll_timeout`].
#[derive(Clone, Debug)]
pub struct As<K, const N: usize = 64> {
    config: AsConfig,
    state: AsState,
    reported: AsState,
    asps: heapless::Vec<Entry<K>, N>,
    /// When T(r) expires; set exactly in AS-PENDING.
    recovery_at_ms: Option<u64>,
    failed_id: Option<u32>,
    alternate_id: Option<u32>,
}

impl<K: Copy + PartialEq, const N: usize> As<K, N> {
    /// An AS in AS-DOWN.
    #[must_use]
    pub const fn new(config: AsConfig) -> Self {
        As {
            config,
            state: AsState::Down,
            reported: AsState::Down,
            asps: heapless::Vec::new(),
            recovery_at_ms: None,
            failed_id: None,
            alternate_id: None,
        }
    }

    /// Tells the AS that `asp` is in state `to` now; `failed` when it went down without ASPDN
    /// ([`crate::sgp::AspChange`] has both). `asp_id` is its ASP Identifier, for NTFY.
    ///
    /// # Errors
    /// [`AsFull`] when a new ASP finds no room; it gets no traffic then.
    pub fn handle_asp(
        &mut self,
        now_ms: u64,
        asp: K,
        asp_id: Option<u32>,
        to: AspState,
        failed: bool,
    ) -> Result<(), AsFull> {
        let at = self.asps.iter().position(|entry| entry.asp == asp);
        let was_active = at.and_then(|at| self.asps.get(at)).is_some_and(|entry| entry.active);
        match (at, to) {
            (None, AspState::Down) => return Ok(()),
            (None, AspState::Inactive | AspState::Active) => {
                let entry = Entry { asp, asp_id, active: to == AspState::Active, owed: Owed::STATE };
                self.asps.push(entry).map_err(|_| AsFull)?;
            }
            (Some(at), AspState::Down) => {
                let gone = self.asps.swap_remove(at);
                if failed {
                    self.failed_id = gone.asp_id;
                    self.owe(Owed::FAILURE, |_| true);
                }
            }
            (Some(at), AspState::Inactive | AspState::Active) => {
                let entry = self.asps.get_mut(at).expect("invariant: position is in the list");
                entry.active = to == AspState::Active;
                entry.asp_id = asp_id.or(entry.asp_id);
            }
        }
        let is_active = to == AspState::Active;
        if is_active && !was_active && self.config.traffic_mode == TrafficMode::Override {
            self.override_others(asp, asp_id);
        }
        self.step(now_ms, AsTrigger::Asp);
        let short = self.state == AsState::Active && self.active().count() < self.needed();
        if was_active && !is_active && short {
            // 4.3.4.4: loadshare and broadcast; n is 1 in override mode, so it is never short.
            self.owe(Owed::INSUFFICIENT, |entry| !entry.active);
        }
        Ok(())
    }

    /// Runs T(r) when it is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.recovery_at_ms.is_some_and(|at| at <= now_ms) {
            self.step(now_ms, AsTrigger::RecoveryTimer);
        }
    }

    /// When [`As::handle_timeout`] is to be called, if at all.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<u64> {
        self.recovery_at_ms
    }

    /// The next event; drain until `None`. State first, then for each ASP what it is owed.
    pub fn poll_event(&mut self) -> Option<AsEvent<K>> {
        if self.state != self.reported {
            let from = core::mem::replace(&mut self.reported, self.state);
            return Some(AsEvent::State { from, to: self.state });
        }
        let entry = self.asps.iter_mut().find(|entry| !entry.owed.is_empty())?;
        let owed = entry.owed.iter().next()?;
        entry.owed.remove(owed);
        let asp = entry.asp;
        if owed == Owed::OVERRIDDEN {
            return Some(AsEvent::Overridden { asp });
        }
        let (status, asp_id) = match owed {
            Owed::ALTERNATE => (Status::AlternateAspActive, self.alternate_id),
            Owed::FAILURE => (Status::AspFailure, self.failed_id),
            Owed::INSUFFICIENT => (Status::InsufficientResources, None),
            _ => (self.state.status()?, None),
        };
        let routing_contexts = one_context(self.config.routing_context);
        Some(AsEvent::Notify { asp, notify: Notify { status, asp_id, routing_contexts, info: None } })
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> AsState {
        self.state
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &AsConfig {
        &self.config
    }

    /// The active ASPs, among which traffic is distributed; the order is stable only between changes.
    pub fn active(&self) -> impl Iterator<Item = K> + '_ {
        self.asps.iter().filter(|entry| entry.active).map(|entry| entry.asp)
    }

    /// The ASPs that are there and not active.
    pub fn inactive(&self) -> impl Iterator<Item = K> + '_ {
        self.asps.iter().filter(|entry| !entry.active).map(|entry| entry.asp)
    }

    fn needed(&self) -> usize {
        match self.config.traffic_mode {
            TrafficMode::Override => 1,
            TrafficMode::Loadshare | TrafficMode::Broadcast => self.config.asps_min.max(1),
        }
    }

    fn owe(&mut self, what: Owed, whom: impl Fn(&Entry<K>) -> bool) {
        self.asps.iter_mut().filter(|entry| whom(entry)).for_each(|entry| entry.owed |= what);
    }

    /// 4.3.4.3: the newly active ASP takes all, the others are inactive and told so.
    fn override_others(&mut self, asp: K, asp_id: Option<u32>) {
        self.alternate_id = asp_id;
        for entry in self.asps.iter_mut().filter(|entry| entry.active && entry.asp != asp) {
            entry.active = false;
            entry.owed |= Owed::OVERRIDDEN | Owed::ALTERNATE;
        }
    }

    fn step(&mut self, now_ms: u64, trigger: AsTrigger) {
        let (active, inactive) = (self.active().count(), self.inactive().count());
        let next = as_step(self.state, trigger, active, inactive, self.needed());
        if next == self.state {
            return;
        }
        self.state = next;
        self.recovery_at_ms = (next == AsState::Pending).then(|| now_ms.saturating_add(self.config.t_r_ms));
        // 4.3.4.5: a change of state is told to each ASP that is not down.
        self.owe(Owed::STATE, |_| true);
    }
}
