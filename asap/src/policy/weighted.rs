//! The policies that draw at random: RAND, WRAND, RLU.

use super::rng::Rng;
use crate::wire::PeId;
use std::collections::BTreeMap;

/// Elements with their weights and a Fenwick tree of the weights' sums.
#[derive(Debug, Clone)]
pub(super) struct Weighted {
    elements: Vec<(PeId, u32)>,
    slots: BTreeMap<PeId, usize>,
    /// `sums[i]` (i counted from 1) is the sum of the `i & -i` weights that end at slot i - 1.
    sums: Vec<u64>,
    total: u64,
    rng: Rng,
}

impl Weighted {
    pub(super) fn new(seed: u64) -> Self {
        Self { elements: Vec::new(), slots: BTreeMap::new(), sums: vec![0], total: 0, rng: Rng::new(seed) }
    }

    pub(super) fn insert(&mut self, id: PeId, weight: u32) {
        if let Some(&slot) = self.slots.get(&id) {
            self.set(slot, weight);
            return;
        }
        let slot = self.elements.len();
        self.elements.push((id, 0));
        self.slots.insert(id, slot);
        // The new node covers its own weight (zero still) and those of the nodes it takes in.
        let node = slot + 1;
        let first = node - lowest_bit(node);
        let mut child = slot;
        let mut sum = 0;
        while child > first {
            sum += self.sums[child];
            child -= lowest_bit(child);
        }
        self.sums.push(sum);
        self.set(slot, weight);
    }

    pub(super) fn remove(&mut self, id: PeId) -> bool {
        let Some(slot) = self.slots.remove(&id) else {
            return false;
        };
        let last = self.elements.len() - 1;
        let (last_id, last_weight) = self.elements[last];
        self.set(last, 0);
        if slot != last {
            self.elements[slot].0 = last_id;
            self.set(slot, last_weight);
            self.slots.insert(last_id, slot);
        }
        self.elements.pop();
        self.sums.pop();
        true
    }

    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Draws without putting back; those drawn, usable or not, get their weights back at the end.
    pub(super) fn select(&mut self, count: usize, mut usable: impl FnMut(PeId) -> bool) -> Vec<PeId> {
        let mut selected = Vec::new();
        let mut drawn = Vec::new();
        while selected.len() < count && self.total > 0 {
            let point = self.rng.below(self.total);
            let slot = self.slot_at(point);
            let (id, weight) = self.elements[slot];
            drawn.push((slot, weight));
            self.set(slot, 0);
            if usable(id) {
                selected.push(id);
            }
        }
        for (slot, weight) in drawn {
            self.set(slot, weight);
        }
        selected
    }

    fn set(&mut self, slot: usize, weight: u32) {
        let old = std::mem::replace(&mut self.elements[slot].1, weight);
        let change = |sum: u64| sum - u64::from(old) + u64::from(weight);
        self.total = change(self.total);
        let mut node = slot + 1;
        while node < self.sums.len() {
            self.sums[node] = change(self.sums[node]);
            node += lowest_bit(node);
        }
    }

    /// The slot in whose share of the line 0..total the point lies.
    fn slot_at(&self, mut point: u64) -> usize {
        let mut node = 0;
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            if let Some(&sum) = self.sums.get(node + step)
                && sum <= point
            {
                point -= sum;
                node += step;
            }
            step /= 2;
        }
        node
    }
}

fn lowest_bit(node: usize) -> usize {
    node & node.wrapping_neg()
}
