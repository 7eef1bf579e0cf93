//! An ordered map that is small while it holds few: most pools have few members, and there are many pools.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Up to here a sorted list is as fast as a tree, smaller, and all in a few cache lines.
const FEW: usize = 256;

/// An ordered map of small keys and values. All operations are O(log n), n being its size.
#[derive(Debug, Clone)]
pub struct SmallMap<K, V>(Form<K, V>);

#[derive(Debug, Clone)]
enum Form<K, V> {
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self(Form::Few(Vec::new()))
    }
}

impl<K: Ord + Copy, V: Copy> SmallMap<K, V> {
    /// How many it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Few(list) => list.len(),
            Form::Many(tree) => tree.len(),
        }
    }

    /// True when it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<V> {
        match &self.0 {
            Form::Few(list) => list.binary_search_by_key(&key, |&(key, _)| key).ok().map(|place| list[place].1),
            Form::Many(tree) => tree.get(&key).copied(),
        }
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        match &mut self.0 {
            Form::Few(list) => {
                let place = list.binary_search_by_key(&key, |&(key, _)| key).ok()?;
                Some(&mut list[place].1)
            }
            Form::Many(tree) => tree.get_mut(&key),
        }
    }

    /// The value of a key, to change it; `new` if there is none.
    pub fn get_or_insert(&mut self, key: K, new: V) -> &mut V {
        if let Form::Few(list) = &mut self.0
            && list.len() >= FEW
        {
            self.0 = Form::Many(std::mem::take(list).into_iter().collect());
        }
        match &mut self.0 {
            Form::Few(list) => {
                let place = list.partition_point(|&(other, _)| other < key);
                if list.get(place).is_none_or(|&(other, _)| other != key) {
                    if list.len() == list.capacity() && list.len() < 4 {
                        list.reserve_exact(1);
                    }
                    list.insert(place, (key, new));
                }
                &mut list[place].1
            }
            Form::Many(tree) => tree.entry(key).or_insert(new),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: K) -> Option<V> {
        match &mut self.0 {
            Form::Few(list) => {
                let place = list.binary_search_by_key(&key, |&(key, _)| key).ok()?;
                Some(list.remove(place).1)
            }
            Form::Many(tree) => tree.remove(&key),
        }
    }

    /// From a key on, ascending.
    pub fn iter_from(&self, start: Bound<K>) -> impl Iterator<Item = (K, V)> + '_ {
        let (few, many) = match &self.0 {
            Form::Few(list) => {
                let before = list.partition_point(|&(key, _)| match start {
                    Bound::Included(start) => key < start,
                    Bound::Excluded(start) => key <= start,
                    Bound::Unbounded => false,
                });
                (&list[before..], None)
            }
            Form::Many(tree) => (&[][..], Some(tree.range((start, Bound::Unbounded)))),
        };
        few.iter().copied().chain(many.into_iter().flatten().map(|(&key, &value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It is a map, on both sides of the change of form.
        #[test]
        fn agrees_with_a_tree(ops in prop::collection::vec((0..700_u16, 0..8_u8), 1..900)) {
            let mut map = SmallMap::default();
            let mut tree = BTreeMap::new();
            for (key, op) in ops {
                match op {
                    0 => prop_assert_eq!(map.remove(key), tree.remove(&key)),
                    _ => {
                        prop_assert_eq!(map.get(key), tree.get(&key).copied());
                        *map.get_or_insert(key, 0) += u32::from(op);
                        *tree.entry(key).or_insert(0) += u32::from(op);
                        prop_assert_eq!(map.get_mut(key), tree.get_mut(&key));
                    }
                }
                prop_assert_eq!(map.len(), tree.len());
                prop_assert_eq!(map.is_empty(), tree.is_empty());
                for start in [Bound::Unbounded, Bound::Included(key), Bound::Excluded(key)] {
                    let expected = tree.range((start, Bound::Unbounded)).map(|(&key, &value)| (key, value));
                    prop_assert!(map.iter_from(start).eq(expected));
                }
            }
        }
    }
}
