//! Pool member selection (RFC 5356), the one implementation for name server and pool user.
//!
//! A [`Selector`] is a set of pool elements kept in the order or the weights of one policy. Insert, update, remove and select
//! take O(log n) in the pool's size, plus one step per element that is returned or skipped as unusable.

use crate::wire::{PeId, Policy};

/// The policy types this crate can apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// 0x00000001 (RFC 5356 4.1), also used for types it does not know.
    RoundRobin,
    /// 0x00000002.
    WeightedRoundRobin,
    /// 0x00000003.
    Random,
    /// 0x00000004.
    WeightedRandom,
    /// 0x00000005.
    Priority,
    /// 0x40000001.
    LeastUsed,
    /// 0x40000002.
    LeastUsedDegradation,
    /// 0x40000003.
    PriorityLeastUsed,
    /// 0x40000004.
    RandomizedLeastUsed,
}

/// The elements of one pool under one policy, with the policy's state (round robin position, random state, counters).
#[derive(Debug, Clone)]
pub struct Selector {
    kind: PolicyKind,
    _seed: u64,
}

impl Selector {
    /// An empty pool. Equal seeds and calls give equal selections.
    #[must_use]
    pub fn new(kind: PolicyKind, seed: u64) -> Self {
        Self { kind, _seed: seed }
    }

    /// The policy applied.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Adds the element or gives it new policy values (which resets the degradation counter, RFC 5356 5.2.2).
    pub fn insert(&mut self, _id: PeId, _policy: &Policy) {
        todo!()
    }

    /// Takes the element out; false if it was not there.
    pub fn remove(&mut self, _id: PeId) -> bool {
        todo!()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        todo!()
    }

    /// True without elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Selects up to `count` different elements for which `usable` holds, in the order in which they should be used, and advances
    /// the policy's state by one selection (RFC 5356: once per resolution, whatever the length of the list).
    pub fn select(&mut self, _count: usize, _usable: impl FnMut(PeId) -> bool) -> Vec<PeId> {
        todo!()
    }
}
