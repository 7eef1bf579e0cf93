//! Pool member selection (RFC 5356), the one implementation for name server and pool user.
//!
//! A [`Selector`] is a set of pool elements kept in the order or by the weights of one policy. Insert, update and remove take
//! O(log n) in the pool's size; select takes that per element it returns or skips as unusable.
//!
//! | policy | order | after a selection |
//! |---|---|---|
//! | RR | circular | the first of the list goes to the end |
//! | WRR | by virtual time (stride scheduling: an element of weight w comes w times as often, evenly spread) | the first moves on by 1/w |
//! | RAND, WRAND, RLU | drawn without repetition, p = weight / sum of weights (RLU: 0xffffffff - load) | - |
//! | PRIO | decreasing priority, equal ones circular | the first goes behind its equals |
//! | LU, PLU | increasing load (PLU: load + degradation), equal ones circular | the first goes behind its equals |
//! | LUD | increasing load + n x degradation | n + 1 for each one returned |
//!
//! Elements of weight 0 or with a load of 100 % (0xffffffff) are never selected: they cannot serve (N5).

mod rng;
mod sorted;
mod weighted;

#[cfg(test)]
mod tests;

use crate::wire::{PeId, Policy};
pub use rng::Rng;
use sorted::{Rank, Sorted};
use weighted::Weighted;

/// The policies this crate applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// 0x00000001 (RFC 5356 4.1). Also what types are treated as that this crate does not know.
    RoundRobin,
    /// 0x00000002 (4.2).
    WeightedRoundRobin,
    /// 0x00000003 (4.3).
    Random,
    /// 0x00000004 (4.4).
    WeightedRandom,
    /// 0x00000005 (4.5).
    Priority,
    /// 0x40000001 (5.1).
    LeastUsed,
    /// 0x40000002 (5.2).
    LeastUsedDegradation,
    /// 0x40000003 (5.3).
    PriorityLeastUsed,
    /// 0x40000004 (5.4).
    RandomizedLeastUsed,
}

impl From<&Policy> for PolicyKind {
    fn from(policy: &Policy) -> Self {
        match policy {
            Policy::RoundRobin | Policy::Other { .. } => PolicyKind::RoundRobin,
            Policy::WeightedRoundRobin { .. } => PolicyKind::WeightedRoundRobin,
            Policy::Random => PolicyKind::Random,
            Policy::WeightedRandom { .. } => PolicyKind::WeightedRandom,
            Policy::Priority { .. } => PolicyKind::Priority,
            Policy::LeastUsed { .. } => PolicyKind::LeastUsed,
            Policy::LeastUsedDegradation { .. } => PolicyKind::LeastUsedDegradation,
            Policy::PriorityLeastUsed { .. } => PolicyKind::PriorityLeastUsed,
            Policy::RandomizedLeastUsed { .. } => PolicyKind::RandomizedLeastUsed,
        }
    }
}

/// The elements of one pool under one policy, with the policy's state (round robin position, random state, counters).
#[derive(Debug, Clone)]
pub struct Selector {
    kind: PolicyKind,
    order: Order,
}

#[derive(Debug, Clone)]
enum Order {
    Sorted(Sorted),
    Weighted(Weighted),
}

impl Selector {
    /// An empty pool. Equal seeds and calls give equal selections.
    #[must_use]
    pub fn new(kind: PolicyKind, seed: u64) -> Self {
        let order = match kind {
            PolicyKind::Random | PolicyKind::WeightedRandom | PolicyKind::RandomizedLeastUsed => {
                Order::Weighted(Weighted::new(seed))
            }
            PolicyKind::RoundRobin
            | PolicyKind::WeightedRoundRobin
            | PolicyKind::Priority
            | PolicyKind::LeastUsed
            | PolicyKind::LeastUsedDegradation
            | PolicyKind::PriorityLeastUsed => Order::Sorted(Sorted::default()),
        };
        Self { kind, order }
    }

    /// The policy applied.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Adds the element, at the end of its equals, or gives it new policy values: its place among its equals stays, the
    /// degradation counter starts again (RFC 5356 5.2.2). Values of another policy than the pool's count as weight 1, load 0.
    pub fn insert(&mut self, id: PeId, policy: &Policy) {
        let values = Values::of(policy);
        match &mut self.order {
            Order::Sorted(sorted) => sorted.insert(id, values.rank(self.kind)),
            Order::Weighted(weighted) => weighted.insert(id, values.weight(self.kind)),
        }
    }

    /// Takes the element out; false if it was not there.
    pub fn remove(&mut self, id: PeId) -> bool {
        match &mut self.order {
            Order::Sorted(sorted) => sorted.remove(id),
            Order::Weighted(weighted) => weighted.remove(id),
        }
    }

    /// Number of elements, with those that cannot be selected.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.order {
            Order::Sorted(sorted) => sorted.len(),
            Order::Weighted(weighted) => weighted.len(),
        }
    }

    /// True without elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Selects up to `count` different elements for which `usable` holds, in the order in which they should be used, and advances
    /// the policy's state by one selection (RFC 5356 4.1.2: the head moves by one per resolution, however long the list).
    pub fn select(&mut self, count: usize, usable: impl FnMut(PeId) -> bool) -> Vec<PeId> {
        match &mut self.order {
            Order::Sorted(sorted) => sorted.select(count, usable),
            Order::Weighted(weighted) => weighted.select(count, usable),
        }
    }
}

/// The policy values of an element, whichever it has.
struct Values {
    weight: u32,
    priority: u32,
    load: u32,
    degradation: u32,
}

impl Values {
    fn of(policy: &Policy) -> Self {
        let mut values = Values { weight: 1, priority: 0, load: 0, degradation: 0 };
        match *policy {
            Policy::RoundRobin | Policy::Random | Policy::Other { .. } => {}
            Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => values.weight = weight,
            Policy::Priority { priority } => values.priority = priority,
            Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } => values.load = load,
            Policy::LeastUsedDegradation { load, degradation } | Policy::PriorityLeastUsed { load, degradation } => {
                values.load = load;
                values.degradation = degradation;
            }
        }
        values
    }

    /// None: not to be selected.
    fn rank(&self, kind: PolicyKind) -> Option<Rank> {
        let (load, degradation) = (u64::from(self.load), u64::from(self.degradation));
        let loaded = |rank| (self.load != u32::MAX).then_some(rank);
        match kind {
            PolicyKind::WeightedRoundRobin => (self.weight != 0).then_some(Rank::Weight(self.weight)),
            PolicyKind::Priority => Some(Rank::Fixed(u64::from(!self.priority))),
            PolicyKind::LeastUsed => loaded(Rank::Fixed(load)),
            PolicyKind::PriorityLeastUsed => loaded(Rank::Fixed(load + degradation)),
            PolicyKind::LeastUsedDegradation => loaded(Rank::Degrading { load, degradation }),
            PolicyKind::RoundRobin
            | PolicyKind::Random
            | PolicyKind::WeightedRandom
            | PolicyKind::RandomizedLeastUsed => Some(Rank::Fixed(0)),
        }
    }

    /// Zero: not to be selected.
    fn weight(&self, kind: PolicyKind) -> u32 {
        match kind {
            PolicyKind::WeightedRandom => self.weight,
            PolicyKind::RandomizedLeastUsed => u32::MAX - self.load,
            PolicyKind::Random
            | PolicyKind::RoundRobin
            | PolicyKind::WeightedRoundRobin
            | PolicyKind::Priority
            | PolicyKind::LeastUsed
            | PolicyKind::LeastUsedDegradation
            | PolicyKind::PriorityLeastUsed => 1,
        }
    }
}
