//! One pool element as a name server records it.

use super::PoolNumber;
use super::homes::Place;
use asap::policy::Member;
use asap::wire::{PeId, Policy, PoolElement, SctpTransport};
use serde::Serialize;

/// Why a PE is not selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SuspensionReason {
    /// It missed a keep-alive, or its association is lost.
    Silent,
    /// The embedding program said so ([`Server::set_usable`](crate::Server::set_usable)).
    Unusable,
    /// It is being taken out of service ([`Server::set_draining`](crate::Server::set_draining)).
    Draining,
}

impl SuspensionReason {
    const ALL: [Self; 3] = [Self::Silent, Self::Unusable, Self::Draining];

    fn bit(self) -> u8 {
        match self {
            Self::Silent => 1,
            Self::Unusable => 2,
            Self::Draining => 4,
        }
    }
}

/// Whether a PE takes new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Selected as the policy says (unless its own policy values say it is full).
    Up,
    /// Not selected: silent or unusable.
    Suspended,
    /// Not selected: planned work, nothing is wrong with it.
    Draining,
}

/// When an element was added or replaced last, against others: a running number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(u64);

impl Stamp {
    pub(super) fn advance(&mut self) {
        self.0 += 1;
    }
}

/// A set of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reasons(u8);

impl Reasons {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, reason: SuspensionReason) -> bool {
        self.0 & reason.bit() != 0
    }

    pub(super) fn add(&mut self, reason: SuspensionReason) {
        self.0 |= reason.bit();
    }

    pub(super) fn remove(&mut self, reason: SuspensionReason) {
        self.0 &= !reason.bit();
    }
}

/// A registered pool element: what it registered, and what the server knows besides. Its pool:
/// [`Handlespace::handle_of`](super::Handlespace::handle_of).
#[derive(Debug, Clone)]
pub struct Element {
    pub(super) pool: PoolNumber,
    pub(super) registered: PoolElement,
    pub(super) reasons: Reasons,
    /// Its name in the pool's ranking.
    pub(super) member: Member,
}

impl Element {
    pub(super) fn new(pool: PoolNumber, member: Member, registered: PoolElement) -> Self {
        Self { pool, registered, reasons: Reasons::default(), member }
    }

    /// Its place among all elements.
    pub(super) fn place(&self) -> Place {
        (self.pool, self.registered.id)
    }

    /// PE identifier.
    #[must_use]
    pub fn id(&self) -> PeId {
        self.registered.id
    }

    /// What it registered, with the home server filled in.
    #[must_use]
    pub fn registered(&self) -> &PoolElement {
        &self.registered
    }

    /// Where its home server reaches it.
    #[must_use]
    pub fn asap_transport(&self) -> Option<&SctpTransport> {
        self.registered.asap_transport.as_ref()
    }

    /// Whether it takes new work.
    #[must_use]
    pub fn state(&self) -> State {
        if self.reasons.is_empty() {
            State::Up
        } else if self.reasons == Reasons(SuspensionReason::Draining.bit()) {
            State::Draining
        } else {
            State::Suspended
        }
    }

    /// Why it is not selected, in the order of the enum.
    pub fn reasons(&self) -> impl Iterator<Item = SuspensionReason> + '_ {
        SuspensionReason::ALL.into_iter().filter(|reason| self.reasons.has(*reason))
    }

    /// Its own policy values say that it takes nothing: load 100 % or weight 0 (RFC 5356 sections 3.1 and 3.2).
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self.registered.policy {
            Policy::LeastUsed { load }
            | Policy::LeastUsedDegradation { load, .. }
            | Policy::PriorityLeastUsed { load, .. }
            | Policy::RandomizedLeastUsed { load }
            | Policy::MostUsed { load } => load == u32::MAX,
            Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => weight == 0,
            Policy::RoundRobin | Policy::Random | Policy::Priority { .. } | Policy::Other { .. } => false,
        }
    }

    /// Whether a resolution may yield it.
    #[must_use]
    pub fn is_selectable(&self) -> bool {
        self.reasons.is_empty() && !self.is_full()
    }
}
