//! A pool in the cache, with its selection state.

use crate::policy::{PolicyKind, Selector};
use crate::wire::{PeId, Policy, PoolElement};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A pool in the cache.
#[derive(Debug, Clone)]
pub struct Pool {
    policy: Policy,
    elements: Vec<PoolElement>,
    /// Place of each element in `elements`.
    places: BTreeMap<PeId, usize>,
    selector: Selector,
}

/// What an answer changed in a pool.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) added: Vec<PeId>,
    pub(super) removed: Vec<PeId>,
    pub(super) changed: Vec<PeId>,
}

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Pool {
    pub(super) fn new(policy: &Policy, seed: u64) -> Self {
        Self {
            policy: policy.clone(),
            elements: Vec::new(),
            places: BTreeMap::new(),
            selector: Selector::new(PolicyKind::from(policy), seed),
        }
    }

    /// The pool's policy as answered (round robin when the answer had none).
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its elements, ordered as the server listed them.
    #[must_use]
    pub fn elements(&self) -> &[PoolElement] {
        &self.elements
    }

    /// The element with this identifier.
    #[must_use]
    pub fn element(&self, id: PeId) -> Option<&PoolElement> {
        self.places.get(&id).map(|&place| &self.elements[place])
    }

    /// Takes a new list. The selection goes on from where it was: only elements with new policy values are placed anew.
    pub(super) fn update(&mut self, policy: Policy, mut elements: Vec<PoolElement>, seed: u64) -> Difference {
        let mut places = BTreeMap::new();
        elements.retain(|element| {
            let place = places.len();
            match places.entry(element.id) {
                Entry::Vacant(vacant) => {
                    vacant.insert(place);
                    true
                }
                Entry::Occupied(_) => false,
            }
        });
        if PolicyKind::from(&policy) != self.selector.kind() {
            self.selector = Selector::new(PolicyKind::from(&policy), seed);
            self.elements.iter().for_each(|element| self.selector.insert(element.id, &element.policy));
        }
        let mut difference = Difference::default();
        for element in self.elements.iter().filter(|element| !places.contains_key(&element.id)) {
            self.selector.remove(element.id);
            difference.removed.push(element.id);
        }
        for element in &elements {
            match self.places.get(&element.id).map(|&place| &self.elements[place]) {
                None => {
                    self.selector.insert(element.id, &element.policy);
                    difference.added.push(element.id);
                }
                Some(old) if old.policy != element.policy => {
                    self.selector.insert(element.id, &element.policy);
                    difference.changed.push(element.id);
                }
                Some(old) if old.user_transport != element.user_transport => difference.changed.push(element.id),
                Some(_) => {}
            }
        }
        self.policy = policy;
        self.elements = elements;
        self.places = places;
        difference
    }

    /// Up to `count` elements for which `usable` holds, in the order in which the policy would select them now; nothing is selected,
    /// so that nobody's turn is used up. With a random policy the first is the one that would be drawn next.
    #[must_use]
    pub fn order(&self, count: usize, usable: impl FnMut(PeId) -> bool) -> Vec<PeId> {
        self.selector.clone().select(count, usable)
    }

    /// Up to `count` elements other than `own`, in this order.
    pub(crate) fn others(&self, own: PeId, count: usize) -> Vec<PoolElement> {
        let order = self.order(count, |id| id != own);
        order.into_iter().filter_map(|id| self.element(id).cloned()).collect()
    }

    /// The policy's next usable element.
    pub(super) fn select(&mut self, mut usable: impl FnMut(&PoolElement) -> bool) -> Option<PeId> {
        let (elements, places) = (&self.elements, &self.places);
        let usable = |id| places.get(&id).is_some_and(|&place| usable(&elements[place]));
        self.selector.select(1, usable).first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RegistrationLife, ServerId, Transport};

    #[test]
    fn selection_state_is_as_large_as_the_pool() {
        let element = |id| PoolElement {
            id: PeId(id),
            home: ServerId(0),
            life: RegistrationLife::Infinite,
            user_transport: Transport::Opaque(bytes::Bytes::new()),
            policy: Policy::RoundRobin,
            asap_transport: None,
        };
        let mut pool = Pool::new(&Policy::RoundRobin, 1);
        for generation in 0..10 {
            pool.update(Policy::RoundRobin, (0..5).map(|id| element(id + generation)).collect(), 1);
            assert_eq!(pool.selector.len(), 5);
        }
    }

    #[test]
    fn the_order_is_what_is_then_selected_and_uses_up_no_turn() {
        for policy in [Policy::RoundRobin, Policy::Random, Policy::WeightedRoundRobin { weight: 2 }] {
            let element = |id| PoolElement {
                id: PeId(id),
                home: ServerId(0),
                life: RegistrationLife::Infinite,
                user_transport: Transport::Opaque(bytes::Bytes::new()),
                policy: policy.clone(),
                asap_transport: None,
            };
            let mut pool = Pool::new(&policy, 7);
            pool.update(policy.clone(), (0..5).map(element).collect(), 7);
            for _ in 0..20 {
                let order = pool.order(5, |id| id != PeId(3));
                assert_eq!((order.len(), &order), (4, &pool.order(5, |id| id != PeId(3))));
                assert_eq!(pool.select(|element| element.id != PeId(3)), order.first().copied(), "{policy:?}");
            }
        }
    }
}
