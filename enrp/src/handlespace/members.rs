//! The members of a pool by PE identifier.

use super::Slot;
use asap::wire::PeId;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Up to here a sorted list is as fast as a tree, and smaller.
const FEW: usize = 64;

/// Ordered by identifier. Most pools are small, and there are many.
#[derive(Debug, Clone)]
pub(super) enum Members {
    Few(Vec<(PeId, Slot)>),
    Many(BTreeMap<PeId, Slot>),
}

impl Default for Members {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Members {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(tree) => tree.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, id: PeId) -> Option<Slot> {
        match self {
            Self::Few(list) => list.binary_search_by_key(&id, |&(id, _)| id).ok().map(|place| list[place].1),
            Self::Many(tree) => tree.get(&id).copied(),
        }
    }

    /// Adds a member whose identifier is not there.
    pub(super) fn insert(&mut self, id: PeId, slot: Slot) {
        match self {
            Self::Few(list) if list.len() < FEW => {
                if list.len() == list.capacity() && list.len() < 4 {
                    list.reserve_exact(2);
                }
                let place = list.partition_point(|&(other, _)| other < id);
                list.insert(place, (id, slot));
            }
            Self::Few(list) => {
                let mut tree: BTreeMap<_, _> = std::mem::take(list).into_iter().collect();
                tree.insert(id, slot);
                *self = Self::Many(tree);
            }
            Self::Many(tree) => {
                tree.insert(id, slot);
            }
        }
    }

    pub(super) fn remove(&mut self, id: PeId) {
        match self {
            Self::Few(list) => {
                if let Ok(place) = list.binary_search_by_key(&id, |&(id, _)| id) {
                    list.remove(place);
                }
            }
            Self::Many(tree) => {
                tree.remove(&id);
            }
        }
    }

    /// Any of them.
    pub(super) fn first(&self) -> Option<Slot> {
        self.iter(Bound::Unbounded).next()
    }

    /// From an identifier on.
    pub(super) fn iter(&self, start: Bound<PeId>) -> impl Iterator<Item = Slot> + '_ {
        let (few, many) = match self {
            Self::Few(list) => {
                let before = list.partition_point(|&(id, _)| match start {
                    Bound::Included(start) => id < start,
                    Bound::Excluded(start) => id <= start,
                    Bound::Unbounded => false,
                });
                (&list[before..], None)
            }
            Self::Many(tree) => (&[][..], Some(tree.range((start, Bound::Unbounded)))),
        };
        few.iter().map(|&(_, slot)| slot).chain(many.into_iter().flatten().map(|(_, &slot)| slot))
    }
}
