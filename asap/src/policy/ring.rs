//! Round robin: a circular list and its head (RFC 5356 section 4.1.2). And the lists themselves, which the classes of equals
//! of other policies use too.

use super::Member;
use slab::Slab;

/// A place in no list.
const NONE: u32 = u32::MAX;

/// The first of a circular list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head(u32);

impl Head {
    /// Of an empty list.
    pub(super) const EMPTY: Self = Self(NONE);

    pub(super) fn is_empty(self) -> bool {
        self.0 == NONE
    }

    pub(super) fn first(self) -> Option<Member> {
        (self.0 != NONE).then_some(Member(self.0))
    }
}

#[derive(Debug, Clone)]
struct Node<V> {
    previous: u32,
    next: u32,
    /// How often it was the first of a list. Here because whatever selects it has this at hand.
    selections: u64,
    value: V,
}

/// Members, each in one circular list or in none. Every operation is O(1).
#[derive(Debug, Clone)]
pub(super) struct Rings<V> {
    nodes: Slab<Node<V>>,
}

impl<V> Rings<V> {
    pub(super) fn new() -> Self {
        Self { nodes: Slab::new() }
    }

    /// A member in no list.
    pub(super) fn insert(&mut self, value: V) -> Member {
        // Most pools are small, and there are many.
        if self.nodes.len() == self.nodes.capacity() && self.nodes.len() < 4 {
            self.nodes.reserve_exact(1);
        }
        Member::of(self.nodes.insert(Node { previous: NONE, next: NONE, selections: 0, value }))
    }

    /// Forgets a member that is in no list.
    pub(super) fn remove(&mut self, member: Member) -> V {
        self.nodes.remove(member.key()).value
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn selections(&self, member: Member) -> u64 {
        self.nodes[member.key()].selections
    }

    pub(super) fn count_selection(&mut self, member: Member) {
        self.nodes[member.key()].selections += 1;
    }

    pub(super) fn get(&self, member: Member) -> &V {
        &self.nodes[member.key()].value
    }

    pub(super) fn get_mut(&mut self, member: Member) -> &mut V {
        &mut self.nodes[member.key()].value
    }

    pub(super) fn for_each_mut(&mut self, mut change: impl FnMut(&mut V)) {
        self.nodes.iter_mut().for_each(|(_, node)| change(&mut node.value));
    }

    pub(super) fn is_linked(&self, member: Member) -> bool {
        self.nodes[member.key()].next != NONE
    }

    /// Puts a member, in no list before, at the end.
    pub(super) fn push(&mut self, head: &mut Head, member: Member) {
        let (next, previous) = match *head {
            Head::EMPTY => {
                *head = Head(member.0);
                (member.0, member.0)
            }
            Head(first) => {
                let last = self.nodes[first as usize].previous;
                self.nodes[last as usize].next = member.0;
                self.nodes[first as usize].previous = member.0;
                (first, last)
            }
        };
        let node = &mut self.nodes[member.key()];
        (node.next, node.previous) = (next, previous);
    }

    /// Takes a member out of its list, whose head this is.
    pub(super) fn unlink(&mut self, head: &mut Head, member: Member) {
        let node = &mut self.nodes[member.key()];
        let (previous, next) = (node.previous, node.next);
        (node.previous, node.next) = (NONE, NONE);
        if next == member.0 {
            *head = Head::EMPTY;
            return;
        }
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
        if head.0 == member.0 {
            *head = Head(next);
        }
    }

    /// Puts a member of the list at its end.
    pub(super) fn send_back(&mut self, head: &mut Head, member: Member) {
        if head.0 == member.0 {
            // The list is circular: what follows the head becomes the head.
            *head = Head(self.nodes[member.key()].next);
        } else {
            self.unlink(head, member);
            self.push(head, member);
        }
    }

    /// The list from its head on, once around.
    pub(super) fn iter(&self, head: Head) -> impl Iterator<Item = (Member, &V)> {
        let mut next = head.0;
        std::iter::from_fn(move || {
            let member = Member(next);
            let node = self.nodes.get(member.key())?;
            next = if node.next == head.0 { NONE } else { node.next };
            Some((member, &node.value))
        })
    }
}

/// RR.
#[derive(Debug, Clone)]
pub(super) struct RoundRobin<T> {
    rings: Rings<T>,
    head: Head,
    selectable: usize,
}

impl<T: Copy> RoundRobin<T> {
    pub(super) fn new() -> Self {
        Self { rings: Rings::new(), head: Head::EMPTY, selectable: 0 }
    }

    pub(super) fn insert(&mut self, tag: T) -> Member {
        let member = self.rings.insert(tag);
        self.set_usable(member, true);
        member
    }

    pub(super) fn set_usable(&mut self, member: Member, usable: bool) {
        if usable == self.rings.is_linked(member) {
            return;
        }
        if usable {
            self.rings.push(&mut self.head, member);
            self.selectable += 1;
        } else {
            self.rings.unlink(&mut self.head, member);
            self.selectable -= 1;
        }
    }

    pub(super) fn remove(&mut self, member: Member) -> T {
        self.set_usable(member, false);
        self.rings.remove(member)
    }

    pub(super) fn tag(&self, member: Member) -> T {
        *self.rings.get(member)
    }

    pub(super) fn selections(&self, member: Member) -> u64 {
        self.rings.selections(member)
    }

    pub(super) fn len(&self) -> usize {
        self.rings.len()
    }

    pub(super) fn selectable(&self) -> usize {
        self.selectable
    }

    pub(super) fn select(&mut self, count: usize, mut usable: impl FnMut(T) -> bool, chosen: &mut Vec<Member>) {
        let start = chosen.len();
        let members = self.rings.iter(self.head).filter(|&(_, &tag)| usable(tag)).map(|(member, _)| member);
        chosen.extend(members.take(count));
        if let Some(&first) = chosen.get(start) {
            self.rings.count_selection(first);
            self.rings.send_back(&mut self.head, first);
        }
    }
}
