//! The members of one pool under one policy.

use super::classes::{Classes, Mode};
use super::ring::RoundRobin;
use super::values::Values;
use super::weighted::Weighted;
use super::{Member, PolicyKind};
use crate::wire::Policy;

/// The members of one pool under one policy, with the policy's state (round robin position, random state, counters). Each
/// bears a tag, by which its owner knows it.
///
/// Costs, n the members of the pool: insert, update, remove O(log n); select O(1) per member returned, O(log n) with LUD,
/// WRAND, RAND, RLU, plus O(log n) once with WRR. Members that cannot be selected cost a selection nothing.
#[derive(Debug, Clone)]
pub struct Ranking<T> {
    kind: PolicyKind,
    order: Order<T>,
}

#[derive(Debug, Clone)]
enum Order<T> {
    RoundRobin(RoundRobin<T>),
    Classes(Classes<T>),
    Weighted(Weighted<T>),
}

impl<T: Copy> Ranking<T> {
    /// An empty pool. Equal seeds and calls give equal selections.
    #[must_use]
    pub fn new(kind: PolicyKind, seed: u64) -> Self {
        let order = match kind {
            PolicyKind::RoundRobin => Order::RoundRobin(RoundRobin::new()),
            PolicyKind::Random | PolicyKind::WeightedRandom | PolicyKind::RandomizedLeastUsed => {
                Order::Weighted(Weighted::new(seed))
            }
            PolicyKind::WeightedRoundRobin => Order::Classes(Classes::new(Mode::Weight)),
            PolicyKind::LeastUsedDegradation => Order::Classes(Classes::new(Mode::Degrading)),
            PolicyKind::Priority | PolicyKind::LeastUsed | PolicyKind::PriorityLeastUsed | PolicyKind::MostUsed => {
                Order::Classes(Classes::new(Mode::Fixed))
            }
        };
        Self { kind, order }
    }

    /// The policy applied.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Adds a usable member, at the end of its equals. Values of another policy than the pool's count as weight 1, load 0.
    pub fn insert(&mut self, tag: T, policy: &Policy) -> Member {
        let values = Values::of(policy);
        match &mut self.order {
            Order::RoundRobin(ring) => ring.insert(tag),
            Order::Classes(classes) => classes.insert(tag, values.rank(self.kind)),
            Order::Weighted(weighted) => weighted.insert(tag, values.weight(self.kind)),
        }
    }

    /// A registration again: new policy values. With equal ones its place among its equals stays; the degradation counter
    /// starts again in any case (RFC 5356 5.2.2).
    pub fn update(&mut self, member: Member, policy: &Policy) {
        let values = Values::of(policy);
        match &mut self.order {
            Order::RoundRobin(_) => {}
            Order::Classes(classes) => classes.update(member, values.rank(self.kind)),
            Order::Weighted(weighted) => weighted.update(member, values.weight(self.kind)),
        }
    }

    /// Whether the member may be selected, if its policy values allow. It comes back at the end of its equals, with its
    /// degradation counter as it was, and without the turns it missed.
    pub fn set_usable(&mut self, member: Member, usable: bool) {
        match &mut self.order {
            Order::RoundRobin(ring) => ring.set_usable(member, usable),
            Order::Classes(classes) => classes.set_usable(member, usable),
            Order::Weighted(weighted) => weighted.set_usable(member, usable),
        }
    }

    /// Takes the member out; its name may then be another's.
    ///
    /// # Panics
    /// When the member is not there.
    pub fn remove(&mut self, member: Member) -> T {
        match &mut self.order {
            Order::RoundRobin(ring) => ring.remove(member),
            Order::Classes(classes) => classes.remove(member),
            Order::Weighted(weighted) => weighted.remove(member),
        }
    }

    /// The member's tag.
    ///
    /// # Panics
    /// When the member is not there.
    #[must_use]
    pub fn tag(&self, member: Member) -> T {
        match &self.order {
            Order::RoundRobin(ring) => ring.tag(member),
            Order::Classes(classes) => classes.tag(member),
            Order::Weighted(weighted) => weighted.tag(member),
        }
    }

    /// How often the member was the first of a list.
    ///
    /// # Panics
    /// When the member is not there.
    #[must_use]
    pub fn selections(&self, member: Member) -> u64 {
        match &self.order {
            Order::RoundRobin(ring) => ring.selections(member),
            Order::Classes(classes) => classes.selections(member),
            Order::Weighted(weighted) => weighted.selections(member),
        }
    }

    /// Number of members, with those that cannot be selected.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.order {
            Order::RoundRobin(ring) => ring.len(),
            Order::Classes(classes) => classes.len(),
            Order::Weighted(weighted) => weighted.len(),
        }
    }

    /// True without members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of members that can be selected.
    #[must_use]
    pub fn selectable(&self) -> usize {
        match &self.order {
            Order::RoundRobin(ring) => ring.selectable(),
            Order::Classes(classes) => classes.selectable(),
            Order::Weighted(weighted) => weighted.selectable(),
        }
    }

    /// Appends up to `count` different members that can be selected and for which `usable` holds to `chosen`, in the order in
    /// which they should be used, and advances the policy's state by one selection (RFC 5356 4.1.2: the head moves by one
    /// per resolution, however long the list). Each member that `usable` refuses costs a step.
    pub fn select(&mut self, count: usize, usable: impl FnMut(T) -> bool, chosen: &mut Vec<Member>) {
        match &mut self.order {
            Order::RoundRobin(ring) => ring.select(count, usable, chosen),
            Order::Classes(classes) => classes.select(count, usable, chosen),
            Order::Weighted(weighted) => weighted.select(count, usable, chosen),
        }
    }
}
