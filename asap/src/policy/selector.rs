//! A ranking by PE identifier, for those who have no table of elements of their own.

use super::{Member, PolicyKind, Ranking};
use crate::wire::{PeId, Policy};
use std::collections::BTreeMap;

/// A [`Ranking`] whose members are found by their PE identifier: O(log n) more per call.
#[derive(Debug, Clone)]
pub struct Selector {
    ranking: Ranking<PeId>,
    members: BTreeMap<PeId, Member>,
}

impl Selector {
    /// An empty pool. Equal seeds and calls give equal selections.
    #[must_use]
    pub fn new(kind: PolicyKind, seed: u64) -> Self {
        Self { ranking: Ranking::new(kind, seed), members: BTreeMap::new() }
    }

    /// The policy applied.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.ranking.kind()
    }

    /// [`Ranking::insert`], or [`Ranking::update`] when it is there.
    pub fn insert(&mut self, id: PeId, policy: &Policy) {
        match self.members.get(&id) {
            Some(&member) => self.ranking.update(member, policy),
            None => {
                self.members.insert(id, self.ranking.insert(id, policy));
            }
        }
    }

    /// Takes the element out; false if it was not there.
    pub fn remove(&mut self, id: PeId) -> bool {
        let member = self.members.remove(&id);
        member.is_some_and(|member| self.ranking.remove(member) == id)
    }

    /// Number of elements, with those that cannot be selected.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True without elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// [`Ranking::select`], as PE identifiers.
    pub fn select(&mut self, count: usize, usable: impl FnMut(PeId) -> bool) -> Vec<PeId> {
        let mut chosen = Vec::new();
        self.ranking.select(count, usable, &mut chosen);
        chosen.into_iter().map(|member| self.ranking.tag(member)).collect()
    }
}
