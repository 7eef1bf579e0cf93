//! How much waits for those who do not read, all together.

use rustc_hash::FxHashMap;
use sctp::AssocId;

/// Bytes that were sent to each association and may still wait there. What the other ends acknowledge is not told here, so the sum is too
/// high; when it comes to the limit, it is counted anew.
#[derive(Debug)]
pub(super) struct Queued {
    max: usize,
    sum: usize,
    of: FxHashMap<AssocId, usize>,
}

impl Queued {
    pub(super) fn new(max: usize) -> Self {
        Self { max, sum: 0, of: FxHashMap::default() }
    }

    /// So many bytes more for an association. When too much waits, the one that has to go: that for which most does. `waiting` says how much
    /// waits for one.
    pub(super) fn add(&mut self, assoc: AssocId, bytes: usize, waiting: impl Fn(AssocId) -> usize) -> Option<AssocId> {
        self.sum += bytes;
        *self.of.entry(assoc).or_default() += bytes;
        if self.sum <= self.max {
            return None;
        }
        self.of.retain(|&assoc, bytes| {
            *bytes = waiting(assoc);
            *bytes > 0
        });
        self.sum = self.of.values().sum();
        // Half, so that counting anew is not needed again soon.
        if self.sum <= self.max / 2 {
            return None;
        }
        let most = self.of.iter().max_by_key(|&(&assoc, &bytes)| (bytes, assoc)).map(|(&assoc, _)| assoc)?;
        self.sum -= self.of.remove(&most).unwrap_or_default();
        Some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greediest_goes_when_too_much_waits() {
        let mut queued = Queued::new(1_000);
        let (slow, quick) = (AssocId(1), AssocId(2));
        // One reads, the other does not.
        let waiting = |assoc| if assoc == slow { 400 } else { 0 };
        assert_eq!(queued.add(slow, 400, waiting), None);
        for _ in 0..100 {
            assert_eq!(queued.add(quick, 100, waiting), None);
        }
        let stuck = |assoc| if assoc == slow { 700 } else { 0 };
        let gone: Vec<_> = (0..10).filter_map(|_| queued.add(quick, 100, stuck)).collect();
        assert_eq!(gone, [slow]);
        assert!(queued.sum <= 1_000);
    }
}
