//! The ordered policies against plain models, and what holds at 10,000 members.

use super::*;
use crate::policy::Rng;
use proptest::prelude::*;

/// RR, PRIO, LU, LUD, PLU by sorting: the list stands in the order of turns.
#[derive(Debug, Default)]
struct Sorting(Vec<Entry>);

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    id: u32,
    policy: Policy,
    selections: u64,
    usable: bool,
}

impl Entry {
    /// What it is sorted by; `None` when full.
    fn value(&self) -> Option<u128> {
        let sum = |load: u32, degradation: u32, n: u64| {
            (load != u32::MAX).then(|| u128::from(load) + u128::from(n) * u128::from(degradation))
        };
        match self.policy {
            Policy::Priority { priority } => Some(u128::from(u32::MAX - priority)),
            Policy::LeastUsed { load } => sum(load, 0, 0),
            Policy::MostUsed { load } => sum(load, 0, 0).map(|_| u128::from(!load)),
            Policy::PriorityLeastUsed { load, degradation } => sum(load, degradation, 1),
            Policy::LeastUsedDegradation { load, degradation } => sum(load, degradation, self.selections),
            Policy::RoundRobin
            | Policy::WeightedRoundRobin { .. }
            | Policy::Random
            | Policy::WeightedRandom { .. }
            | Policy::RandomizedLeastUsed { .. }
            | Policy::Other { .. } => Some(0),
        }
    }
}

impl Sorting {
    fn position(&self, id: u32) -> Option<usize> {
        self.0.iter().position(|entry| entry.id == id)
    }

    fn move_to_end(&mut self, id: u32) {
        let entry = self.0.remove(self.position(id).unwrap());
        self.0.push(entry);
    }

    fn register(&mut self, id: u32, policy: Policy) {
        match self.position(id) {
            None => self.0.push(Entry { id, policy, selections: 0, usable: true }),
            Some(position) => {
                let before = self.0[position].value();
                let degrades = |policy: &Policy| matches!(policy, Policy::LeastUsedDegradation { .. });
                let other = degrades(&policy) && self.0[position].policy != policy;
                (self.0[position].policy, self.0[position].selections) = (policy, 0);
                // Both 100 %: nothing to place.
                if self.0[position].value() != before || other && before.is_some() {
                    self.move_to_end(id);
                }
            }
        }
    }

    fn set_usable(&mut self, id: u32, usable: bool) {
        if let Some(position) = self.position(id)
            && self.0[position].usable != usable
        {
            self.0[position].usable = usable;
            self.move_to_end(id);
        }
    }

    fn select(&mut self, count: usize, usable: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut sorted: Vec<_> = self.0.iter().filter(|entry| entry.usable && usable(entry.id)).collect();
        sorted.retain(|entry| entry.value().is_some());
        sorted.sort_by_key(|entry| entry.value());
        let list: Vec<u32> = sorted.iter().take(count).map(|entry| entry.id).collect();
        for (place, &id) in list.iter().enumerate() {
            let position = self.position(id).unwrap();
            let entry = &mut self.0[position];
            let degrades = matches!(entry.policy, Policy::LeastUsedDegradation { degradation: 1.., .. });
            entry.selections += u64::from(degrades);
            if place == 0 || degrades {
                self.move_to_end(id);
            }
        }
        list
    }
}

#[derive(Debug, Clone)]
enum Op {
    Register { id: u32, load: u32, degradation: u32 },
    Remove { id: u32 },
    Usable { id: u32, usable: bool },
    Select { count: usize, refused: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    let load = prop_oneof![4 => 0..4_u32, 1 => Just(u32::MAX), 1 => Just(u32::MAX - 1)];
    let degradation = prop_oneof![0..3_u32, Just(u32::MAX)];
    prop_oneof![
        3 => (0..9_u32, load, degradation)
            .prop_map(|(id, load, degradation)| Op::Register { id, load, degradation }),
        1 => (0..9_u32).prop_map(|id| Op::Remove { id }),
        2 => (0..9_u32, any::<bool>()).prop_map(|(id, usable)| Op::Usable { id, usable }),
        4 => (0..6_usize, 0..20_u32).prop_map(|(count, refused)| Op::Select { count, refused }),
    ]
}

fn values(kind: PolicyKind, load: u32, degradation: u32) -> Policy {
    match kind {
        PolicyKind::Priority => Policy::Priority { priority: load },
        PolicyKind::LeastUsed => Policy::LeastUsed { load },
        PolicyKind::MostUsed => Policy::MostUsed { load },
        PolicyKind::LeastUsedDegradation => Policy::LeastUsedDegradation { load, degradation },
        PolicyKind::PriorityLeastUsed => Policy::PriorityLeastUsed { load, degradation },
        PolicyKind::RoundRobin
        | PolicyKind::WeightedRoundRobin
        | PolicyKind::Random
        | PolicyKind::WeightedRandom
        | PolicyKind::RandomizedLeastUsed => Policy::RoundRobin,
    }
}

proptest! {
    /// Lists and their order equal those of the model, whatever registers, goes, is suspended and comes back.
    #[test]
    fn ordered_policies_agree_with_sorting(
        kind in prop::sample::select(vec![
            PolicyKind::RoundRobin,
            PolicyKind::Priority,
            PolicyKind::LeastUsed,
            PolicyKind::MostUsed,
            PolicyKind::LeastUsedDegradation,
            PolicyKind::PriorityLeastUsed,
        ]),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut ranking = Ranking::new(kind, 1);
        let mut members = BTreeMap::new();
        let mut model = Sorting::default();
        for op in ops {
            match op {
                Op::Register { id, load, degradation } => {
                    let policy = values(kind, load, degradation);
                    match members.get(&id) {
                        Some(&member) => ranking.update(member, &policy),
                        None => {
                            members.insert(id, ranking.insert(id, &policy));
                        }
                    }
                    model.register(id, policy);
                }
                Op::Remove { id } => {
                    if let Some(member) = members.remove(&id) {
                        prop_assert_eq!(ranking.remove(member), id);
                        model.0.remove(model.position(id).unwrap());
                    }
                }
                Op::Usable { id, usable } => {
                    if let Some(&member) = members.get(&id) {
                        ranking.set_usable(member, usable);
                        model.set_usable(id, usable);
                    }
                }
                Op::Select { count, refused } => {
                    let mut chosen = Vec::new();
                    ranking.select(count, |id| id != refused, &mut chosen);
                    let list: Vec<u32> = chosen.into_iter().map(|member| ranking.tag(member)).collect();
                    prop_assert_eq!(list, model.select(count, |id| id != refused));
                }
            }
            prop_assert_eq!(ranking.len(), model.0.len());
            let selectable = model.0.iter().filter(|entry| entry.usable && entry.value().is_some()).count();
            prop_assert_eq!(ranking.selectable(), selectable);
        }
    }

    /// In each round of as many selections as the sum of the weights, each one comes exactly as often as its weight says; and
    /// within it evenly: between two of its turns no other comes more often than the ratio of weights says, rounded up.
    #[test]
    fn weighted_round_robin_is_exact(weights in prop::collection::vec(0..40_u32, 1..8), rounds in 1..30_usize) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let mut selector = Selector::new(PolicyKind::WeightedRoundRobin, 1);
        for (id, &weight) in (0..).zip(&weights) {
            selector.insert(PeId(id), &Policy::WeightedRoundRobin { weight });
        }
        for _ in 0..rounds {
            let round = picks(&mut selector, weights.iter().sum::<u32>() as usize);
            let counts = counts(&round);
            for (id, &weight) in (0..).zip(&weights) {
                prop_assert_eq!(counts.get(&PeId(id)).copied().unwrap_or(0), weight as usize);
            }
            for (id, &weight) in (0..).zip(&weights) {
                let turns: Vec<usize> = (0..round.len()).filter(|&i| round[i] == PeId(id)).collect();
                for gap in turns.windows(2).map(|pair| &round[pair[0] + 1..pair[1]]) {
                    for (other, &others) in (0..).zip(&weights).filter(|&(other, _)| other != id) {
                        let between = gap.iter().filter(|&&pick| pick == PeId(other)).count();
                        prop_assert!(between <= others.div_ceil(weight) as usize + 1, "{between} of {other} in {gap:?}");
                    }
                }
            }
        }
    }

    /// A weight that changes all the time neither starves nor gains: shares follow the mean of the weights.
    #[test]
    fn changing_a_weight_gives_no_turns(seed in any::<u64>()) {
        let weight = |weight| Policy::WeightedRoundRobin { weight };
        let mut selector = selector(&[(A, weight(2)), (B, weight(2))]);
        let mut random = Rng::new(seed);
        let mut sequence = Vec::new();
        for _ in 0..3_000 {
            for _ in 0..random.below(3) {
                selector.insert(A, &weight(1 + u32::try_from(random.below(3)).unwrap()));
            }
            sequence.extend(selector.select(1, |_| true));
        }
        let share = counts(&sequence)[&A];
        prop_assert!((1_300..1_700).contains(&share), "{share} of 3,000");
    }
}

/// Weights that do not divide 2^64, many rounds: no drift.
#[test]
fn weighted_round_robin_does_not_drift() {
    let weights = [3, 7, 11, 100_003];
    let mut selector = Selector::new(PolicyKind::WeightedRoundRobin, 1);
    for (id, weight) in (0..).zip(weights) {
        selector.insert(PeId(id), &Policy::WeightedRoundRobin { weight });
    }
    for _ in 0..3 {
        let counts = counts(&picks(&mut selector, weights.iter().sum::<u32>() as usize));
        assert_eq!(counts, (0..).zip(weights).map(|(id, weight)| (PeId(id), weight as usize)).collect());
    }
}

/// All nine, 10,000 members of which five may be selected: a selection looks at no others.
#[test]
fn suspended_and_full_members_cost_nothing() {
    for number in 0..9 {
        let kind = PolicyKind::from(&policy_of(number, 1));
        let mut ranking = Ranking::new(kind, 1);
        for id in 0..10_000_u32 {
            // Half of them are full, as far as the policy knows that.
            let full = if matches!(number, 1 | 3) { 0 } else { u32::MAX };
            let value = if id % 2 == 0 && !matches!(number, 0 | 2 | 4) { full } else { 1 };
            let member = ranking.insert(id, &policy_of(number, value));
            ranking.set_usable(member, id > 9_990 && id % 2 == 1);
        }
        assert_eq!((ranking.len(), ranking.selectable()), (10_000, 5), "{kind:?}");
        let mut looks = 0;
        let mut chosen = Vec::new();
        let look = |id| {
            looks += 1;
            assert!(id > 9_990 && id % 2 == 1);
            true
        };
        ranking.select(16, look, &mut chosen);
        let mut list: Vec<u32> = chosen.into_iter().map(|member| ranking.tag(member)).collect();
        list.sort_unstable();
        assert_eq!(list, [9_991, 9_993, 9_995, 9_997, 9_999], "{kind:?}");
        assert_eq!(looks, 5, "{kind:?}");
    }
}

/// Each policy lists 10,000 members once each, with the largest and smallest values there are.
#[test]
fn lists_of_10_000_with_extreme_values() {
    for number in 0..9 {
        let kind = PolicyKind::from(&policy_of(number, 1));
        let mut selector = Selector::new(kind, 1);
        for id in 0..10_000 {
            let value = match id % 4 {
                0 => 1,
                1 => u32::MAX - 1,
                2 if matches!(number, 1 | 3) => u32::MAX,
                _ => 2,
            };
            selector.insert(PeId(id), &policy_of(number, value));
        }
        for _ in 0..3 {
            let mut list = selector.select(usize::MAX, |_| true);
            list.sort_unstable();
            assert!(list.into_iter().eq((0..10_000).map(PeId)), "{kind:?}");
        }
    }
}
