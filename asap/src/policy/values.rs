//! What a policy makes of an element's values.

use super::PolicyKind;
use super::classes::Rank;
use crate::wire::Policy;

/// The policy values of an element, whichever it has.
pub(super) struct Values {
    weight: u32,
    priority: u32,
    load: u32,
    degradation: u32,
}

impl Values {
    pub(super) fn of(policy: &Policy) -> Self {
        let mut values = Values { weight: 1, priority: 0, load: 0, degradation: 0 };
        match *policy {
            Policy::RoundRobin | Policy::Random | Policy::Other { .. } => {}
            Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => values.weight = weight,
            Policy::Priority { priority } => values.priority = priority,
            Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } | Policy::MostUsed { load } => {
                values.load = load;
            }
            Policy::LeastUsedDegradation { load, degradation } | Policy::PriorityLeastUsed { load, degradation } => {
                values.load = load;
                values.degradation = degradation;
            }
        }
        values
    }

    /// None: not to be selected.
    pub(super) fn rank(&self, kind: PolicyKind) -> Option<Rank> {
        let (load, degradation) = (u64::from(self.load), u64::from(self.degradation));
        let loaded = |rank| (self.load != u32::MAX).then_some(rank);
        match kind {
            PolicyKind::WeightedRoundRobin => (self.weight != 0).then_some(Rank::Weight(self.weight)),
            PolicyKind::Priority => Some(Rank::Fixed(u64::from(!self.priority))),
            PolicyKind::LeastUsed => loaded(Rank::Fixed(load)),
            PolicyKind::MostUsed => loaded(Rank::Fixed(u64::from(!self.load))),
            PolicyKind::PriorityLeastUsed => loaded(Rank::Fixed(load + degradation)),
            PolicyKind::LeastUsedDegradation => {
                loaded(Rank::Degrading { load: self.load, degradation: self.degradation })
            }
            PolicyKind::RoundRobin
            | PolicyKind::Random
            | PolicyKind::WeightedRandom
            | PolicyKind::RandomizedLeastUsed => Some(Rank::Fixed(0)),
        }
    }

    /// Zero: not to be selected.
    pub(super) fn weight(&self, kind: PolicyKind) -> u32 {
        match kind {
            PolicyKind::WeightedRandom => self.weight,
            PolicyKind::RandomizedLeastUsed => u32::MAX - self.load,
            PolicyKind::Random
            | PolicyKind::RoundRobin
            | PolicyKind::WeightedRoundRobin
            | PolicyKind::Priority
            | PolicyKind::LeastUsed
            | PolicyKind::LeastUsedDegradation
            | PolicyKind::PriorityLeastUsed
            | PolicyKind::MostUsed => 1,
        }
    }
}
