//! The random policies by Pearson's chi-square test, seeded, so that the same draws are judged each time. The bound is the
//! probability of a worse statistic if the policy is right, computed from the incomplete gamma function.

use super::*;
use crate::policy::Rng;

/// A right policy fails a test with this probability, once and for all seeds' choice.
pub(super) const SIGNIFICANCE: f64 = 1e-4;

/// ln of the gamma function (Lanczos, g = 7, nine terms): 15 digits for x > 0.5.
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let sum: f64 = TERMS.iter().zip(1..).map(|(term, i)| term / (x + f64::from(i))).sum();
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + (0.999_999_999_999_809_9 + sum).ln()
}

/// Regularised upper incomplete gamma function Q(a, x).
fn upper_gamma(a: f64, x: f64) -> f64 {
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        let mut n = a;
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    // Lentz's continued fraction.
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for i in 1..1_000 {
        let an = f64::from(i) * (a - f64::from(i));
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction
}

/// Probability that chi-square of so many degrees of freedom is at least this.
fn tail(statistic: f64, freedom: usize) -> f64 {
    upper_gamma(freedom as f64 / 2.0, statistic / 2.0)
}

/// Points of tables of the distribution.
#[test]
fn the_distribution_is_right() {
    for (statistic, freedom, probability) in [
        (3.841_459, 1, 0.05),
        (6.634_897, 1, 0.01),
        (18.307_038, 10, 0.05),
        (33.719_948, 9, 1e-4),
        (124.342_113, 100, 0.05),
    ] {
        let computed = tail(statistic, freedom);
        assert!((computed / probability - 1.0).abs() < 1e-5, "{computed} for {probability}");
    }
    assert!((tail(9.0, 9) - 0.437_274).abs() < 1e-6, "left of the mode");
}

/// Probability of counts at least as far from what is expected. Outcomes expected less than five times are put together.
pub(super) fn probability(observed: &[u64], expected: &[f64]) -> f64 {
    assert_eq!(observed.len(), expected.len());
    let total = observed.iter().sum::<u64>() as f64;
    let (mut statistic, mut cells) = (0.0, 0);
    let mut cell = |observed: f64, expected: f64| {
        statistic += (observed - expected).powi(2) / expected;
        cells += 1;
    };
    let (mut rare_observed, mut rare_expected) = (0.0, 0.0);
    for (&observed, &share) in observed.iter().zip(expected) {
        let (observed, expected) = (observed as f64, share * total);
        if expected < 5.0 {
            (rare_observed, rare_expected) = (rare_observed + observed, rare_expected + expected);
        } else {
            cell(observed, expected);
        }
    }
    if rare_expected > 1.0 {
        cell(rare_observed, rare_expected);
    } else {
        assert!(rare_observed <= 8.0, "hardly ever");
    }
    tail(statistic, cells - 1)
}

/// Whole lists of three: each outcome (i, j, k) has the probability of drawing it without putting back.
fn triples(policies: &[Policy], weights: &[u32], draws: u32) -> f64 {
    triples_with(policies, weights, draws, |_| true)
}

fn triples_with(policies: &[Policy], weights: &[u32], draws: u32, usable: impl Fn(PeId) -> bool + Copy) -> f64 {
    let n = weights.len();
    let mut selector = Selector::new(PolicyKind::from(&policies[0]), 20_261_123);
    for (id, policy) in (0..).zip(policies) {
        selector.insert(PeId(id), policy);
    }
    let mut observed = vec![0; n * n * n];
    for _ in 0..draws {
        let list = selector.select(3, usable);
        let [a, b, c] = list[..] else { panic!("{list:?}") };
        assert!(a != b && b != c && a != c, "no duplicates");
        observed[(a.0 as usize * n + b.0 as usize) * n + c.0 as usize] += 1;
    }
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let mut expected = vec![0.0; n * n * n];
    for a in 0..n {
        for b in (0..n).filter(|&b| b != a) {
            for c in (0..n).filter(|&c| c != a && c != b) {
                let [wa, wb, wc] = [a, b, c].map(|i| f64::from(weights[i]));
                if wa * wb * wc > 0.0 {
                    expected[(a * n + b) * n + c] = wa / total * wb / (total - wa) * wc / (total - wa - wb);
                }
            }
        }
    }
    for (&observed, &expected) in observed.iter().zip(&expected) {
        assert!(observed == 0 || expected > 0.0, "an impossible list");
    }
    probability(&observed, &expected)
}

#[test]
fn random_lists_are_uniform() {
    let p = triples(&[const { Policy::Random }; 5], &[1; 5], 60_000);
    assert!(p > SIGNIFICANCE, "{p}");
    let p = triples(&[const { Policy::Random }; 5], &[1, 1, 1, 1, 2], 60_000);
    assert!(p < 1e-9, "the test sees a wrong distribution: {p}");
}

#[test]
fn weighted_random_lists_follow_the_weights() {
    // The last: most draws repeat the heavy one, so that it leaves the line; the third: sums past 32 bits.
    let max = u32::MAX;
    for weights in [[1, 2, 3, 4, 5], [0, 7, 2, 1, 4], [max, max / 2, 1 << 30, max, max / 3], [1, 2, 3, 4, 9_990]] {
        let policies = weights.map(|weight| Policy::WeightedRandom { weight });
        let p = triples(&policies, &weights, 60_000);
        assert!(p > SIGNIFICANCE, "{weights:?}: {p}");
    }
}

/// What the pool user refuses is as if it were not there.
#[test]
fn refused_members_leave_the_shares_of_others() {
    let weights = [1_000, 2, 3, 4, 5, 6];
    let policies = weights.map(|weight| Policy::WeightedRandom { weight });
    let left = [0, 2, 3, 4, 5, 6];
    let p = triples_with(&policies, &left, 60_000, |id| id != PeId(0));
    assert!(p > SIGNIFICANCE, "{p}");
}

#[test]
fn randomized_least_used_lists_follow_what_is_left() {
    let max = u32::MAX;
    let loads = [0, max / 2, max / 4, max - 1_000_000_000, max, max / 8];
    let policies = loads.map(|load| Policy::RandomizedLeastUsed { load });
    let p = triples(&policies, &loads.map(|load| max - load), 60_000);
    assert!(p > SIGNIFICANCE, "{p}");
}

/// 10,000 members with weights 1 to 10,000, in 100 groups by identifier; the first, and the third of a list of three.
#[test]
fn weighted_random_of_10_000() {
    let mut selector = Selector::new(PolicyKind::WeightedRandom, 5);
    for weight in 1..=10_000 {
        selector.insert(PeId(weight - 1), &Policy::WeightedRandom { weight });
    }
    let mut observed = [vec![0; 100], vec![0; 100]];
    for _ in 0..50_000 {
        let list = selector.select(3, |_| true);
        observed[0][list[0].0 as usize / 100] += 1;
        observed[1][list[2].0 as usize / 100] += 1;
    }
    let expected: Vec<f64> =
        (0..100).map(|group| (1..=100).map(|i| f64::from(group * 100 + i)).sum::<f64>() / 50_005_000.0).collect();
    for observed in observed {
        let p = probability(&observed, &expected);
        assert!(p > SIGNIFICANCE, "{p}");
    }
}

/// Whoever registers, goes and comes back: afterwards the shares are what the weights say.
#[test]
fn shares_are_right_after_many_changes() {
    let mut selector = Selector::new(PolicyKind::WeightedRandom, 5);
    let mut random = Rng::new(9);
    let mut weights = BTreeMap::new();
    for _ in 0..20_000 {
        let id = u32::try_from(random.below(50)).unwrap();
        let weight = u32::try_from(random.below(1_000)).unwrap();
        if random.below(3) == 0 {
            selector.remove(PeId(id));
            weights.remove(&id);
        } else {
            selector.insert(PeId(id), &Policy::WeightedRandom { weight });
            weights.insert(id, weight);
        }
        selector.select(usize::try_from(random.below(20)).unwrap(), |_| true);
    }
    let total: f64 = weights.values().map(|&weight| f64::from(weight)).sum();
    let mut observed = vec![0; 50];
    picks(&mut selector, 50_000).iter().for_each(|pick| observed[pick.0 as usize] += 1);
    let expected: Vec<f64> = (0..50).map(|id| f64::from(weights.get(&id).copied().unwrap_or(0)) / total).collect();
    let p = probability(&observed, &expected);
    assert!(p > SIGNIFICANCE, "{p}");
}

/// The deterministic policies need no statistics: counts differ by at most one.
#[test]
fn round_robin_and_least_used_among_equals_are_exact_at_10_000() {
    for policy in [
        Policy::RoundRobin,
        Policy::WeightedRoundRobin { weight: 5 },
        Policy::Priority { priority: 5 },
        Policy::LeastUsed { load: 5 },
        Policy::LeastUsedDegradation { load: 5, degradation: 5 },
        Policy::PriorityLeastUsed { load: 5, degradation: 5 },
    ] {
        let mut selector = Selector::new(PolicyKind::from(&policy), 1);
        (0..10_000).for_each(|id| selector.insert(PeId(id), &policy));
        let counts = counts(&picks(&mut selector, 30_000));
        assert!(counts.len() == 10_000 && counts.values().all(|&count| count == 3), "{policy:?}");
    }
}
