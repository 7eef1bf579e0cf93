//! When something is due for which handle: the first one without a look at all of them.

use crate::wire::PoolHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The next deadline of each handle that has one. All but `first` in O(log n).
#[derive(Debug, Default)]
pub(super) struct Due {
    of: BTreeMap<PoolHandle, Instant>,
    in_order: BTreeSet<(Instant, PoolHandle)>,
}

impl Due {
    /// Sets, or with `None` cancels, the deadline of a handle.
    pub(super) fn set(&mut self, handle: &PoolHandle, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(handle.clone(), at),
            None => self.of.remove(handle),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.in_order.remove(&(before, handle.clone()));
        }
        self.in_order.extend(at.map(|at| (at, handle.clone())));
    }

    /// The first deadline.
    pub(super) fn first(&self) -> Option<Instant> {
        self.in_order.first().map(|&(at, _)| at)
    }

    /// The handles whose deadline is over, first things first. They keep their deadlines until another is set.
    pub(super) fn over(&self, now: Instant) -> Vec<PoolHandle> {
        self.in_order.iter().take_while(|&&(at, _)| at <= now).map(|(_, handle)| handle.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// It is a list of deadlines, looked through.
        #[test]
        fn agrees_with_a_plain_list(ops in prop::collection::vec((0..6_u8, prop::option::of(0..20_u64)), 1..80), end in 0..20_u64) {
            let start = Instant::now();
            let (mut due, mut plain) = (Due::default(), BTreeMap::new());
            for (handle, at) in ops {
                let handle = PoolHandle::new(vec![handle]);
                let at = at.map(|at| start + Duration::from_millis(at));
                due.set(&handle, at);
                plain.insert(handle, at);
                prop_assert_eq!(due.first(), plain.values().flatten().min().copied());
            }
            let end = start + Duration::from_millis(end);
            let mut over = due.over(end);
            prop_assert!(over.is_sorted_by_key(|handle| plain[handle]));
            over.sort();
            let expected: Vec<_> = plain.iter().filter(|(_, at)| at.is_some_and(|at| at <= end)).map(|(handle, _)| handle.clone()).collect();
            prop_assert_eq!(over, expected);
            prop_assert_eq!(due.of.len(), due.in_order.len());
        }
    }
}
