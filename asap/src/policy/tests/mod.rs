mod judged;
mod models;
mod statistics;

use super::*;
use crate::wire::PeId;
use proptest::prelude::*;
use std::collections::BTreeMap;

const A: PeId = PeId(0xa);
const B: PeId = PeId(0xb);
const C: PeId = PeId(0xc);

fn selector(policies: &[(PeId, Policy)]) -> Selector {
    let mut selector = Selector::new(PolicyKind::from(&policies[0].1), 1);
    for (id, policy) in policies {
        selector.insert(*id, policy);
    }
    selector
}

fn picks(selector: &mut Selector, count: usize) -> Vec<PeId> {
    (0..count).map(|_| selector.select(1, |_| true)[0]).collect()
}

fn counts(picks: &[PeId]) -> BTreeMap<PeId, usize> {
    picks.iter().fold(BTreeMap::new(), |mut counts, &id| {
        *counts.entry(id).or_default() += 1;
        counts
    })
}

#[test]
fn round_robin_lists_start_one_further() {
    let mut s = selector(&[(A, Policy::RoundRobin), (B, Policy::RoundRobin), (C, Policy::RoundRobin)]);
    assert_eq!(s.select(3, |_| true), [A, B, C]);
    assert_eq!(s.select(3, |_| true), [B, C, A]);
    assert_eq!(s.select(2, |_| true), [C, A]);
    assert_eq!(s.select(9, |_| true), [A, B, C]);
}

#[test]
fn round_robin_goes_around_what_is_unusable_and_gone() {
    let mut s = selector(&[(A, Policy::RoundRobin), (B, Policy::RoundRobin), (C, Policy::RoundRobin)]);
    let without_a: Vec<PeId> = (0..4).map(|_| s.select(1, |id| id != A)[0]).collect();
    assert_eq!(without_a, [B, C, B, C]);
    // Back again: one turn, not all it missed.
    assert_eq!(picks(&mut s, 4), [A, B, C, A]);
    assert!(s.remove(B) && !s.remove(B));
    assert_eq!(picks(&mut s, 3), [C, A, C]);
    assert_eq!(s.select(1, |_| false), []);
    // A re-registration keeps the place.
    s.insert(A, &Policy::RoundRobin);
    assert_eq!(picks(&mut s, 2), [A, C]);
}

#[test]
fn weighted_round_robin_is_proportional_and_spread() {
    let weighted = |weight| Policy::WeightedRoundRobin { weight };
    let mut s = selector(&[(A, weighted(3)), (B, weighted(1)), (C, weighted(0))]);
    let sequence = picks(&mut s, 400);
    assert_eq!(counts(&sequence), BTreeMap::from([(A, 300), (B, 100)]));
    for window in sequence.windows(4) {
        assert_eq!(counts(window)[&A], 3, "evenly spread");
    }
    // One that comes later, or was unusable for long, does not get a burst.
    s.insert(C, &weighted(1));
    let sequence = picks(&mut s, 50);
    assert_eq!(counts(&sequence), BTreeMap::from([(A, 30), (B, 10), (C, 10)]));
    (0..100).for_each(|_| assert_ne!(s.select(1, |id| id != A), [A]));
    assert!(counts(&picks(&mut s, 10))[&A] <= 7);
    // One that registers again and again neither gains nor starves.
    let mut s = selector(&[(A, weighted(1)), (B, weighted(3))]);
    let sequence: Vec<PeId> = (0..20)
        .map(|_| {
            s.insert(A, &weighted(1));
            s.select(1, |_| true)[0]
        })
        .collect();
    assert_eq!(counts(&sequence), BTreeMap::from([(A, 5), (B, 15)]));
    // All weights 1: RR.
    let mut s = selector(&[(A, weighted(1)), (B, weighted(1)), (C, weighted(1))]);
    assert_eq!(picks(&mut s, 6), [A, B, C, A, B, C]);
}

#[test]
fn priority_is_decreasing() {
    let prio = |priority| Policy::Priority { priority };
    let mut s = selector(&[(A, prio(1)), (B, prio(9)), (C, prio(9))]);
    assert_eq!(s.select(3, |_| true), [B, C, A]);
    assert_eq!(s.select(3, |_| true), [C, B, A]);
    assert_eq!(s.select(3, |id| id == A), [A]);
}

#[test]
fn most_used_descends_to_the_one_that_is_full() {
    let load = |load| Policy::MostUsed { load };
    let mut s = selector(&[(A, load(5)), (B, load(u32::MAX - 1)), (C, load(u32::MAX))]);
    assert_eq!(s.select(3, |_| true), [B, A]);
    s.insert(B, &load(5));
    let sequence = picks(&mut s, 6);
    assert_eq!(counts(&sequence), BTreeMap::from([(A, 3), (B, 3)]));
    s.insert(C, &load(6));
    assert_eq!(s.select(1, |_| true), [C]);
}

#[test]
fn least_used_ascends_and_rotates_among_equals() {
    let load = |load| Policy::LeastUsed { load };
    let mut s = selector(&[(A, load(5)), (B, load(5)), (C, load(1))]);
    assert_eq!(s.select(3, |_| true), [C, A, B]);
    s.insert(C, &load(5));
    let sequence = picks(&mut s, 6);
    assert_eq!(counts(&sequence), BTreeMap::from([(A, 2), (B, 2), (C, 2)]));
    // 100 % is not usable (N5).
    s.insert(A, &load(u32::MAX));
    assert_eq!(s.len(), 3);
    assert!(!s.select(3, |_| true).contains(&A));
    s.insert(A, &load(0));
    assert_eq!(s.select(1, |_| true), [A]);
}

#[test]
fn degradation_counts_each_selection_until_the_next_registration() {
    let lud = |load, degradation| Policy::LeastUsedDegradation { load, degradation };
    let mut s = selector(&[(A, lud(0, 10)), (B, lud(15, 10))]);
    assert_eq!(picks(&mut s, 5), [A, A, B, A, B]);
    s.insert(A, &lud(0, 10));
    assert_eq!(picks(&mut s, 2), [A, A]);
    // Sums past 32 bits still sort.
    let mut s = selector(&[(A, lud(u32::MAX - 1, u32::MAX)), (B, lud(u32::MAX - 1, u32::MAX))]);
    assert_eq!(counts(&picks(&mut s, 1_000)), BTreeMap::from([(A, 500), (B, 500)]));
}

#[test]
fn priority_least_used_adds_the_degradation() {
    // RFC 5356 5.3.1: both at 50 %, A will add 10 %, B 50 %.
    let plu = |load, degradation| Policy::PriorityLeastUsed { load, degradation };
    let mut s = selector(&[(B, plu(50, 50)), (A, plu(50, 10))]);
    assert_eq!(s.select(2, |_| true), [A, B]);
    assert_eq!(s.select(2, |_| true), [A, B]);
}

#[test]
fn equal_seeds_select_equally() {
    let run = |seed| {
        let mut s = Selector::new(PolicyKind::Random, seed);
        (0..100).for_each(|id| s.insert(PeId(id), &Policy::Random));
        picks(&mut s, 50)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

fn any_kind() -> impl Strategy<Value = Policy> {
    (0..10_u8).prop_map(|kind| policy_of(kind, 0))
}

fn policy_of(kind: u8, value: u32) -> Policy {
    match kind {
        0 => Policy::RoundRobin,
        1 => Policy::WeightedRoundRobin { weight: value },
        2 => Policy::Random,
        3 => Policy::WeightedRandom { weight: value },
        4 => Policy::Priority { priority: value },
        5 => Policy::LeastUsed { load: value },
        6 => Policy::LeastUsedDegradation { load: value, degradation: value },
        7 => Policy::PriorityLeastUsed { load: value, degradation: value },
        8 => Policy::MostUsed { load: value },
        _ => Policy::RandomizedLeastUsed { load: value },
    }
}

fn number_of(policy: &Policy) -> u8 {
    (0..10).find(|&kind| policy_of(kind, 0).policy_type() == policy.policy_type()).unwrap()
}

proptest! {
    /// Whatever comes and goes: lists have no duplicates, nothing unusable, and everything that can serve when asked for all.
    #[test]
    fn lists_are_sets_of_the_usable(
        kind in any_kind(),
        steps in prop::collection::vec((0..20_u32, prop::option::of(0..4_u32), 0..5_usize), 1..60),
    ) {
        let number = number_of(&kind);
        let mut selector = Selector::new(PolicyKind::from(&kind), 3);
        let mut model: BTreeMap<PeId, u32> = BTreeMap::new();
        for (id, value, count) in steps {
            let id = PeId(id);
            match value {
                Some(value) => {
                    selector.insert(id, &policy_of(number, value));
                    model.insert(id, value);
                }
                None => prop_assert_eq!(selector.remove(id), model.remove(&id).is_some()),
            }
            prop_assert_eq!(selector.len(), model.len());
            let usable = |id: PeId| !id.0.is_multiple_of(3);
            let short = selector.select(count, usable);
            let mut all = selector.select(usize::MAX, usable);
            let serving: Vec<PeId> = model
                .iter()
                .filter(|&(&id, &value)| usable(id) && (value > 0 || !matches!(number, 1 | 3)))
                .map(|(&id, _)| id)
                .collect();
            prop_assert_eq!(short.len(), count.min(serving.len()));
            all.sort_unstable();
            prop_assert_eq!(all, serving);
        }
    }
}
