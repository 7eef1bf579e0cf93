//! A capture taken at a gateway holds each message twice: on its way to the gateway, and onward to a controller. This finds the hop to take.

use super::survey::Association;
use rustc_hash::{FxHashMap, FxHasher};
use std::cmp::Reverse;
use std::hash::{Hash, Hasher};

/// Different messages looked at, over all associations; a hop shows itself long before.
const CONTENTS_MAX: usize = 4_000_000;

/// From where to where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) opc: u32,
    pub(super) dpc: u32,
    pub(super) si: u8,
    pub(super) sls: u8,
}

/// What makes a message the same one on another hop. A collision makes two messages seem one, among thousands that are not.
pub(super) fn content_hash(place: Place, user_data: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    place.hash(&mut hasher);
    hasher.write(user_data);
    hasher.finish()
}

/// How often each message is on each association.
#[derive(Debug, Default)]
pub(super) struct Contents {
    by_association: Vec<FxHashMap<u64, u32>>,
    count: usize,
}

impl Contents {
    pub(super) fn add(&mut self, association: usize, content: u64) {
        if self.by_association.len() <= association {
            self.by_association.resize_with(association + 1, FxHashMap::default);
        }
        let contents = &mut self.by_association[association];
        match contents.get_mut(&content) {
            Some(count) => *count = count.saturating_add(1),
            None if self.count < CONTENTS_MAX => {
                self.count += 1;
                contents.insert(content, 1);
            }
            None => {}
        }
    }

    /// Which associations to take, by their index. One that shows that it goes to controllers comes last, else the larger first;
    /// the first is taken, and each other one unless more than half of its messages are on those that are: then it is another hop
    /// of the same traffic.
    pub(super) fn taken(&self, associations: &[Association]) -> Vec<bool> {
        let mut taken = vec![false; associations.len()];
        let mut order: Vec<usize> = (0..associations.len()).filter(|index| associations[*index].data > 0).collect();
        order.sort_by_key(|index| (associations[*index].to_controllers, Reverse(associations[*index].data)));
        let mut known: FxHashMap<u64, u32> = FxHashMap::default();
        for index in order {
            let Some(own) = self.by_association.get(index) else { continue };
            let looked_at: u64 = own.values().map(|count| u64::from(*count)).sum();
            let copies: u64 =
                own.iter().map(|(key, count)| u64::from((*count).min(known.get(key).copied().unwrap_or(0)))).sum();
            if copies * 2 > looked_at {
                continue;
            }
            taken[index] = true;
            for (key, count) in own {
                let entry = known.entry(*key).or_default();
                *entry = entry.saturating_add(*count);
            }
        }
        taken
    }
}
