//! Brings what was sent and what arrived in one flow together: which message is which, what is missing, what is out of order.
//!
//! Messages are known by the hash of their user data only, and many are alike (an ANM looks like the next ANM), so this is a
//! longest common subsequence, by Myers' O(ND) algorithm: time grows with the number of differences, none in a good run.

use rustc_hash::FxHashMap;

/// After this many differences in one flow (some 50 MB of state) the rest is matched by content alone: still counted, though
/// messages that are merely late in the sequence then count as reordered.
const DIFFERENCES_MAX: usize = 2_500;

/// How two sequences relate; indexes into them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Alignment {
    /// (expected, actual) in order.
    pub(super) in_order: Vec<(usize, usize)>,
    /// (expected, actual): arrived, but not in the order of sending.
    pub(super) out_of_order: Vec<(usize, usize)>,
    /// Expected and not arrived.
    pub(super) missing: Vec<usize>,
    /// Arrived without one expected for it.
    pub(super) extra: Vec<usize>,
}

/// Aligns `actual` with `expected`.
#[must_use]
pub(super) fn align(expected: &[u64], actual: &[u64]) -> Alignment {
    let head = expected.iter().zip(actual).take_while(|(e, a)| e == a).count();
    let tail_max = expected.len().min(actual.len()) - head;
    let tail = expected.iter().rev().zip(actual.iter().rev()).take(tail_max).take_while(|(e, a)| e == a).count();
    let mut result = Alignment { in_order: (0..head).map(|i| (i, i)).collect(), ..Alignment::default() };
    let (middle_expected, middle_actual) = (&expected[head..expected.len() - tail], &actual[head..actual.len() - tail]);
    if !(middle_expected.is_empty() && middle_actual.is_empty()) {
        let pairs = common_subsequence(middle_expected, middle_actual);
        classify(middle_expected, middle_actual, &pairs, head, &mut result);
    }
    let (from_expected, from_actual) = (expected.len() - tail, actual.len() - tail);
    result.in_order.extend((0..tail).map(|i| (from_expected + i, from_actual + i)));
    result
}

/// What is not in the common subsequence: pairs of equal messages are out of order, the rest is missing or extra.
fn classify(expected: &[u64], actual: &[u64], pairs: &[(usize, usize)], offset: usize, result: &mut Alignment) {
    let mut expected_used = vec![false; expected.len()];
    let mut actual_used = vec![false; actual.len()];
    for &(e, a) in pairs {
        expected_used[e] = true;
        actual_used[a] = true;
        result.in_order.push((e + offset, a + offset));
    }
    let mut waiting: FxHashMap<u64, std::collections::VecDeque<usize>> = FxHashMap::default();
    for (index, payload) in expected.iter().enumerate().filter(|(i, _)| !expected_used[*i]) {
        waiting.entry(*payload).or_default().push_back(index);
    }
    for (index, payload) in actual.iter().enumerate().filter(|(i, _)| !actual_used[*i]) {
        match waiting.get_mut(payload).and_then(std::collections::VecDeque::pop_front) {
            Some(e) => result.out_of_order.push((e + offset, index + offset)),
            None => result.extra.push(index + offset),
        }
    }
    result.missing.extend(waiting.into_values().flatten().map(|e| e + offset));
    result.missing.sort_unstable();
}

/// A longest common subsequence as pairs of indexes (Myers 1986, forward greedy). Past [`DIFFERENCES_MAX`]: as far as it came.
fn common_subsequence(expected: &[u64], actual: &[u64]) -> Vec<(usize, usize)> {
    if expected.is_empty() || actual.is_empty() {
        return Vec::new();
    }
    let bound = (expected.len() + actual.len()).min(DIFFERENCES_MAX);
    // furthest[k + bound + 1]: the furthest x reached on diagonal k = x - y.
    let mut furthest = vec![0_usize; 2 * bound + 3];
    let mut trace: Vec<Vec<usize>> = Vec::new();
    let (mut best_sum, mut best) = (0, (0_usize, 0_isize));
    let centre = bound + 1;
    let at = |k: isize| centre.wrapping_add_signed(k);
    for d in 0..=bound {
        let reach = d as isize;
        trace.push(furthest[at(-reach) - 1..=at(reach) + 1].to_vec());
        for k in (-reach..=reach).step_by(2) {
            let down = k == -reach || (k != reach && furthest[at(k - 1)] < furthest[at(k + 1)]);
            let mut x = if down { furthest[at(k + 1)] } else { furthest[at(k - 1)] + 1 };
            let mut y = x.wrapping_add_signed(-k);
            while x < expected.len() && y < actual.len() && expected[x] == actual[y] {
                x += 1;
                y += 1;
            }
            furthest[at(k)] = x;
            if x <= expected.len() && y <= actual.len() && x + y > best_sum {
                (best_sum, best) = (x + y, (d, k));
            }
            if x >= expected.len() && y >= actual.len() {
                return backtrack(&trace, d, k, expected, actual);
            }
        }
    }
    backtrack(&trace, best.0, best.1, expected, actual)
}

/// Walks the saved states back from `d` differences on diagonal `k`.
fn backtrack(trace: &[Vec<usize>], d: usize, k: isize, expected: &[u64], actual: &[u64]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut k = k;
    let mut end: Option<usize> = None;
    for d in (0..=d).rev() {
        let reach = d as isize;
        let state = &trace[d];
        // trace[d] holds diagonals -d-1 ..= d+1 as they were before round d.
        let at = |k: isize| state[(k + reach + 1) as usize];
        let down = k == -reach || (k != reach && at(k - 1) < at(k + 1));
        let previous_k = if down { k + 1 } else { k - 1 };
        let start = if down { at(k + 1) } else { at(k - 1) + 1 };
        let mut x = end.unwrap_or_else(|| run_end(start, k, expected, actual));
        while x > start {
            x -= 1;
            pairs.push((x, x.wrapping_add_signed(-k)));
        }
        end = Some(if down { start } else { start.saturating_sub(1) });
        k = previous_k;
    }
    pairs.reverse();
    pairs
}

fn run_end(start: usize, k: isize, expected: &[u64], actual: &[u64]) -> usize {
    let mut x = start;
    let mut y = start.wrapping_add_signed(-k);
    while x < expected.len() && y < actual.len() && expected[x] == actual[y] {
        x += 1;
        y += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(expected: &[u64], actual: &[u64]) -> (usize, usize, usize, usize) {
        let a = align(expected, actual);
        (a.in_order.len(), a.out_of_order.len(), a.missing.len(), a.extra.len())
    }

    #[test]
    fn equal_sequences_are_in_order() {
        assert_eq!(counts(&[1, 2, 3, 1, 2, 3], &[1, 2, 3, 1, 2, 3]), (6, 0, 0, 0));
        assert_eq!(counts(&[], &[]), (0, 0, 0, 0));
    }

    #[test]
    fn one_of_many_alike_missing_is_only_missing() {
        assert_eq!(counts(&[1, 9, 2, 9, 3, 9], &[1, 2, 9, 3, 9]), (5, 0, 1, 0));
        assert_eq!(align(&[1, 9, 2, 9, 3, 9], &[1, 2, 9, 3, 9]).missing, [1]);
    }

    #[test]
    fn swapped_twice_and_unknown() {
        assert_eq!(counts(&[1, 2, 3, 4], &[1, 3, 2, 4]), (3, 1, 0, 0));
        assert_eq!(counts(&[1, 2, 3], &[1, 2, 2, 3]), (3, 0, 0, 1));
        assert_eq!(counts(&[1, 2, 3], &[1, 7, 2, 3]), (3, 0, 0, 1));
        assert_eq!(counts(&[1, 2], &[]), (0, 0, 2, 0));
        assert_eq!(counts(&[], &[1, 2]), (0, 0, 0, 2));
    }

    #[test]
    fn a_long_hole_is_found_and_bounded() {
        let expected: Vec<u64> = (0..100_000).collect();
        let mut actual = expected.clone();
        actual.drain(50_000..52_000);
        actual.swap(10, 11);
        assert_eq!(counts(&expected, &actual), (97_999, 1, 2_000, 0));
        let other: Vec<u64> = (200_000..300_000).collect();
        assert_eq!(counts(&expected, &other), (0, 0, 100_000, 100_000));
    }

    proptest! {
        #[test]
        fn every_message_is_in_exactly_one_class(
            expected in prop::collection::vec(0_u64..6, 0..60),
            actual in prop::collection::vec(0_u64..6, 0..60),
        ) {
            let a = align(&expected, &actual);
            prop_assert!(a.in_order.is_sorted_by(|p, q| p.0 < q.0 && p.1 < q.1));
            let pairs = || a.in_order.iter().chain(&a.out_of_order);
            prop_assert!(pairs().all(|&(e, r)| expected[e] == actual[r]));
            let mut es: Vec<_> = pairs().map(|p| p.0).chain(a.missing.iter().copied()).collect();
            es.sort_unstable();
            prop_assert_eq!(es, (0..expected.len()).collect::<Vec<_>>());
            let mut rs: Vec<_> = pairs().map(|p| p.1).chain(a.extra.iter().copied()).collect();
            rs.sort_unstable();
            prop_assert_eq!(rs, (0..actual.len()).collect::<Vec<_>>());
            // The in-order part is a longest one: checked against the textbook table.
            let mut table = vec![vec![0_usize; actual.len() + 1]; expected.len() + 1];
            for (i, e) in expected.iter().enumerate() {
                for (j, r) in actual.iter().enumerate() {
                    table[i + 1][j + 1] =
                        if e == r { table[i][j] + 1 } else { table[i][j + 1].max(table[i + 1][j]) };
                }
            }
            prop_assert_eq!(a.in_order.len(), table[expected.len()][actual.len()]);
        }
    }
}
