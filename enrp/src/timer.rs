//! Deadlines by key, earliest first. Setting, cancelling and taking the next are O(log n); nothing ever walks all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// At most one deadline for each key.
#[derive(Debug, Clone)]
pub(crate) struct TimerQueue<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K: Clone + Ord> TimerQueue<K> {
    /// No deadlines.
    pub(crate) fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Sets the deadline of `key`; one set before no longer counts.
    pub(crate) fn set(&mut self, key: K, at: Instant) {
        self.cancel(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Takes the deadline of `key` away, if it has one.
    pub(crate) fn cancel(&mut self, key: &K) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, key.clone()));
        }
    }

    /// The deadline of `key`.
    pub(crate) fn get(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest deadline that has come by `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn pops_in_order_and_only_what_is_due() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut queue = TimerQueue::new();
        queue.set(1, at(30));
        queue.set(2, at(10));
        queue.set(3, at(20));
        queue.set(1, at(5));
        queue.cancel(&3);
        assert_eq!(queue.next(), Some(at(5)));
        assert_eq!(queue.get(&2), Some(at(10)));
        assert_eq!(queue.pop_due(at(4)), None);
        assert_eq!(queue.pop_due(at(100)), Some(1));
        assert_eq!(queue.pop_due(at(100)), Some(2));
        assert_eq!(queue.pop_due(at(100)), None);
        assert_eq!(queue.next(), None);
    }
}
