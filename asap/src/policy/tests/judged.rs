//! One judge for each policy, and each of them before the pool under every policy: it accepts its own and none of the others.
//!
//! A judge sees which members came first in many lists and the members' values, nothing of the policy's code. The orders are
//! judged by exact bounds; the random policies by a chi-square test of both sides: chance that is too even is none.

use super::statistics::{SIGNIFICANCE, probability};
use super::*;

/// Lists per trial: a multiple of the pool's size, of the sum of the weights, and of how many share the best value.
const LISTS: u64 = 15_600;

/// What a member has for whichever policy.
#[derive(Debug, Clone, Copy)]
struct Row {
    weight: u32,
    priority: u32,
    load: u32,
    degradation: u32,
}

impl Row {
    fn policy(self, kind: PolicyKind) -> Policy {
        let Row { weight, priority, load, degradation } = self;
        match kind {
            PolicyKind::RoundRobin => Policy::RoundRobin,
            PolicyKind::WeightedRoundRobin => Policy::WeightedRoundRobin { weight },
            PolicyKind::Random => Policy::Random,
            PolicyKind::WeightedRandom => Policy::WeightedRandom { weight },
            PolicyKind::Priority => Policy::Priority { priority },
            PolicyKind::LeastUsed => Policy::LeastUsed { load },
            PolicyKind::LeastUsedDegradation => Policy::LeastUsedDegradation { load, degradation },
            PolicyKind::PriorityLeastUsed => Policy::PriorityLeastUsed { load, degradation },
            PolicyKind::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load },
            PolicyKind::MostUsed => Policy::MostUsed { load },
        }
    }
}

const ALL: [PolicyKind; 10] = [
    PolicyKind::RoundRobin,
    PolicyKind::WeightedRoundRobin,
    PolicyKind::Random,
    PolicyKind::WeightedRandom,
    PolicyKind::Priority,
    PolicyKind::LeastUsed,
    PolicyKind::LeastUsedDegradation,
    PolicyKind::PriorityLeastUsed,
    PolicyKind::RandomizedLeastUsed,
    PolicyKind::MostUsed,
];

/// Twelve members; who is best by one value is not by another. One has weight 0, one a load of 100 %.
fn table() -> Vec<Row> {
    let tenth = u32::MAX / 10;
    [
        // weight, priority, load (tenths of the range), degradation (thousandths)
        (1, 5, 1, 150),
        (2, 5, 1, 160),
        (3, 9, 2, 1),
        (4, 9, 2, 1),
        (0, 9, 2, 1),
        (5, 1, 3, 2),
        (6, 1, 4, 2),
        (7, 2, 5, 3),
        (8, 2, 6, 1),
        (9, 3, 9, 6),
        (10, 3, 9, 7),
        (10, 9, 10, 0),
    ]
    .map(|(weight, priority, load, degradation)| Row {
        weight,
        priority,
        load: if load == 10 { u32::MAX } else { load * tenth },
        degradation: degradation * (tenth / 100) + 1,
    })
    .to_vec()
}

/// How often each member was the first of a list of three under this policy.
fn firsts(kind: PolicyKind, rows: &[Row], lists: u64, items: usize) -> Vec<u64> {
    let mut selector = Selector::new(kind, 20_261_123);
    for (id, row) in (0..).zip(rows) {
        selector.insert(PeId(id), &row.policy(kind));
    }
    let mut counts = vec![0; rows.len()];
    for _ in 0..lists {
        let list = selector.select(items, |_| true);
        assert!((1..list.len()).all(|i| !list[..i].contains(&list[i])), "{kind:?}: one twice in {list:?}");
        counts[list[0].0 as usize] += 1;
    }
    counts
}

/// Shares by these weights, at most `off` from exact.
fn exact(counts: &[u64], weights: &[u64], off: u64) -> bool {
    let (lists, total) = (counts.iter().sum::<u64>(), weights.iter().sum::<u64>());
    counts.iter().zip(weights).all(|(&count, &weight)| {
        let (is, should) = (count * total, lists * weight);
        is.abs_diff(should) <= off * total && (weight > 0 || count == 0)
    })
}

/// Shares by these weights, as chance gives them: neither too far off nor too near.
fn by_chance(counts: &[u64], weights: &[u64]) -> bool {
    let total = weights.iter().sum::<u64>() as f64;
    let impossible = counts.iter().zip(weights).any(|(&count, &weight)| weight == 0 && count > 0);
    let (counts, shares): (Vec<u64>, Vec<f64>) =
        counts.iter().zip(weights).filter(|&(_, &weight)| weight > 0).map(|(&c, &w)| (c, w as f64 / total)).unzip();
    let p = probability(&counts, &shares);
    !impossible && p > SIGNIFICANCE && p < 1.0 - SIGNIFICANCE
}

/// Weight 1 for those that are best, 0 for the others.
fn best(rows: &[Row], value: impl Fn(&Row) -> Option<u64>) -> Vec<u64> {
    let least = rows.iter().filter_map(&value).min();
    rows.iter().map(|row| u64::from(value(row).is_some() && value(row) == least)).collect()
}

/// Each one was selected when its load with what it had been given was the least, and never else.
fn least_with_degradation(rows: &[Row], counts: &[u64]) -> bool {
    let after = |row: &Row, n: u64| u64::from(row.load) + n * u64::from(row.degradation);
    let both = || rows.iter().zip(counts).filter(|(row, _)| row.load != u32::MAX);
    let least = both().map(|(row, &n)| after(row, n)).min().expect("not empty");
    let full = rows.iter().zip(counts).any(|(row, &n)| row.load == u32::MAX && n > 0);
    !full && both().all(|(row, &n)| n == 0 || after(row, n - 1) <= least)
}

/// Whether these counts are what the policy gives.
fn accepts(kind: PolicyKind, rows: &[Row], counts: &[u64]) -> bool {
    let map = |weight: fn(&Row) -> u64| rows.iter().map(weight).collect::<Vec<_>>();
    let not_full = |row: &Row, value: u64| (row.load != u32::MAX).then_some(value);
    match kind {
        PolicyKind::RoundRobin => exact(counts, &map(|_| 1), 1),
        PolicyKind::WeightedRoundRobin => exact(counts, &map(|row| row.weight.into()), 1),
        PolicyKind::Random => by_chance(counts, &map(|_| 1)),
        PolicyKind::WeightedRandom => by_chance(counts, &map(|row| row.weight.into())),
        PolicyKind::RandomizedLeastUsed => by_chance(counts, &map(|row| u64::from(u32::MAX - row.load))),
        PolicyKind::Priority => exact(counts, &best(rows, |row| Some(u64::from(!row.priority))), 1),
        PolicyKind::LeastUsed => exact(counts, &best(rows, |row| not_full(row, row.load.into())), 1),
        PolicyKind::MostUsed => exact(counts, &best(rows, |row| not_full(row, u64::from(!row.load))), 1),
        PolicyKind::PriorityLeastUsed => {
            let sum = |row: &Row| not_full(row, u64::from(row.load) + u64::from(row.degradation));
            exact(counts, &best(rows, sum), 1)
        }
        PolicyKind::LeastUsedDegradation => least_with_degradation(rows, counts),
    }
}

/// A wrong policy in the place of a right one is seen, whichever they are.
#[test]
fn each_policy_is_accepted_by_its_judge_and_refused_by_the_others() {
    let rows = table();
    for applied in ALL {
        let counts = firsts(applied, &rows, LISTS, 1);
        for judge in ALL {
            assert_eq!(accepts(judge, &rows, &counts), judge == applied, "{judge:?} of {applied:?}: {counts:?}");
        }
    }
}

/// Lists of three move a policy on by one all the same (RFC 5356 4.1.2), but for degradation, which counts all that are listed.
#[test]
fn the_first_of_three_is_as_the_first_of_one() {
    let rows = table();
    for applied in ALL.into_iter().filter(|&kind| kind != PolicyKind::LeastUsedDegradation) {
        let counts = firsts(applied, &rows, LISTS, 3);
        assert!(accepts(applied, &rows, &counts), "{applied:?}: {counts:?}");
    }
}

/// The table 833 times, four rounds of WRR: no judge changes its mind.
#[test]
fn each_policy_is_accepted_at_9_996_members() {
    let rows: Vec<Row> = table().into_iter().cycle().take(12 * 833).collect();
    for applied in ALL {
        let counts = firsts(applied, &rows, 4 * 65 * 833, 1);
        assert!(accepts(applied, &rows, &counts), "{applied:?}");
    }
}

/// Defects that are no other policy: a third of one's turns given to another, one that is never selected, one selected though full.
#[test]
fn judges_see_small_defects() {
    let rows = table();
    for kind in ALL {
        let counts = firsts(kind, &rows, LISTS, 1);
        let one = (0..rows.len()).max_by_key(|&i| counts[i]).expect("not empty");
        let other = (0..rows.len()).find(|&i| i != one && counts[i] > 0).expect("no policy serves one alone here");
        let moved = |from: usize, to: usize, n: u64| {
            let mut counts = counts.clone();
            counts[from] -= n;
            counts[to] += n;
            counts
        };
        let third = counts[one] / 3;
        assert!(!accepts(kind, &rows, &moved(one, other, third)), "{kind:?}: favoured");
        assert!(!accepts(kind, &rows, &moved(one, other, counts[one])), "{kind:?}: starved");
        // What cannot serve: the last is full, the fifth has weight 0.
        let nothing = match kind {
            PolicyKind::RoundRobin | PolicyKind::Random | PolicyKind::Priority => continue,
            PolicyKind::WeightedRoundRobin | PolicyKind::WeightedRandom => 4,
            PolicyKind::LeastUsed
            | PolicyKind::LeastUsedDegradation
            | PolicyKind::PriorityLeastUsed
            | PolicyKind::RandomizedLeastUsed
            | PolicyKind::MostUsed => 11,
        };
        assert!(!accepts(kind, &rows, &moved(one, nothing, 2)), "{kind:?}: what cannot serve was selected");
    }
}

/// One member is the whole of every answer, unless it cannot serve.
#[test]
fn a_pool_of_one() {
    for kind in ALL {
        let able = Row { weight: u32::MAX, priority: 0, load: u32::MAX - 1, degradation: u32::MAX };
        assert_eq!(firsts(kind, &[able], 100, 9), [100]);
        let mut selector = Selector::new(kind, 1);
        selector.insert(A, &Row { weight: 0, load: u32::MAX, ..able }.policy(kind));
        let listed = matches!(kind, PolicyKind::RoundRobin | PolicyKind::Random | PolicyKind::Priority);
        assert_eq!(selector.select(9, |_| true).len(), usize::from(listed), "{kind:?}");
    }
}

/// The one listed is taken out, 10,000 times: each comes once, and at the end there is nobody.
#[test]
fn members_go_while_lists_are_walked() {
    for kind in ALL {
        let mut selector = Selector::new(kind, 1);
        for id in 0..10_000_u32 {
            let row = Row { weight: 1 + id % 7, priority: id % 5, load: id % 11, degradation: id % 3 };
            selector.insert(PeId(id), &row.policy(kind));
        }
        let mut gone = std::collections::BTreeSet::new();
        while let [first, ..] = selector.select(3, |_| true)[..] {
            assert!(gone.insert(first) && selector.remove(first), "{kind:?}");
        }
        assert_eq!((gone.len(), selector.len()), (10_000, 0), "{kind:?}");
    }
}
