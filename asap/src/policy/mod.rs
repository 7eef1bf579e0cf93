//! Pool member selection (RFC 5356), the one implementation for name server and pool user.
//!
//! A [`Ranking`] is a set of members kept in the order or by the weights of one policy; [`Selector`] is one by PE identifier.
//!
//! | policy | order | after a selection |
//! |---|---|---|
//! | RR | circular | the first of the list goes to the end |
//! | WRR | by virtual time (stride scheduling: an element of weight w comes w times as often, evenly spread) | the first moves on by 1/w |
//! | RAND, WRAND, RLU | drawn without repetition, p = weight / sum of weights (RLU: 0xffffffff - load) | - |
//! | PRIO | decreasing priority, equal ones circular | the first goes behind its equals |
//! | LU, PLU | increasing load (PLU: load + degradation), equal ones circular | the first goes behind its equals |
//! | MU (RFC 3237; type 0xc0000001) | decreasing load, equal ones circular | the first goes behind its equals |
//! | LUD | increasing load + n x degradation, equal ones circular | n + 1 for each one returned |
//!
//! Elements of weight 0 or with a load of 100 % (0xffffffff) are never selected: they cannot serve (N5). No sum overflows:
//! values are summed in 64 or 128 bits.

mod classes;
mod ranking;
mod ring;
mod rng;
mod selector;
mod values;
mod weighted;

#[cfg(test)]
mod tests;

use crate::wire::Policy;
pub use ranking::Ranking;
pub use rng::Rng;
pub use selector::Selector;

/// Names a member of a [`Ranking`] while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Member(u32);

impl Member {
    /// More than 2^32 - 2 members do not fit: an element takes more than a byte of memory, many times over.
    fn of(key: usize) -> Self {
        Self(u32::try_from(key).expect("invariant: fewer than 2^32 members"))
    }

    fn key(self) -> usize {
        self.0 as usize
    }
}

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
    /// 0xc0000001: Most Used (RFC 3237), in the range for private use. Fills the busiest element that has room, so that
    /// others can be taken out of service.
    MostUsed,
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
            Policy::MostUsed { .. } => PolicyKind::MostUsed,
        }
    }
}
