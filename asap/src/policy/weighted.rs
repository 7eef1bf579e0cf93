//! The policies that draw at random: RAND, WRAND, RLU.

use super::Member;
use super::rng::Rng;
use slab::Slab;

/// Lists up to this long are drawn by trying again when a member comes up twice.
const TRIED_MAX: usize = 8;
/// So often in a list; then those drawn are taken off the line.
const MISSES_MAX: usize = 3;

#[derive(Debug, Clone)]
struct Share<T> {
    tag: T,
    weight: u32,
    usable: bool,
    /// How often it was the first of a list.
    selections: u64,
}

impl<T> Share<T> {
    fn effective(&self) -> u32 {
        if self.usable { self.weight } else { 0 }
    }
}

/// Members with their weights and a Fenwick tree of the weights' sums.
#[derive(Debug, Clone)]
pub(super) struct Weighted<T> {
    members: Slab<Share<T>>,
    /// `sums[i]` (i counted from 1) is the sum of the `i & -i` weights that end at member i - 1.
    sums: Vec<u64>,
    total: u64,
    selectable: usize,
    rng: Rng,
}

impl<T: Copy> Weighted<T> {
    pub(super) fn new(seed: u64) -> Self {
        Self { members: Slab::new(), sums: vec![0], total: 0, selectable: 0, rng: Rng::new(seed) }
    }

    pub(super) fn insert(&mut self, tag: T, weight: u32) -> Member {
        let member = Member::of(self.members.insert(Share { tag, weight, usable: true, selections: 0 }));
        if member.key() + 1 == self.sums.len() {
            self.grow();
        }
        self.selectable += usize::from(weight > 0);
        self.raise(member, weight);
        member
    }

    pub(super) fn update(&mut self, member: Member, weight: u32) {
        self.change(member, |share| share.weight = weight);
    }

    pub(super) fn set_usable(&mut self, member: Member, usable: bool) {
        self.change(member, |share| share.usable = usable);
    }

    pub(super) fn remove(&mut self, member: Member) -> T {
        self.set_usable(member, false);
        self.members.remove(member.key()).tag
    }

    pub(super) fn tag(&self, member: Member) -> T {
        self.members[member.key()].tag
    }

    pub(super) fn selections(&self, member: Member) -> u64 {
        self.members[member.key()].selections
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn selectable(&self) -> usize {
        self.selectable
    }

    /// Draws without putting back. A draw that repeats one is made again, which is the same distribution; when that happens
    /// often or the list is long, those drawn leave the line until the list is complete.
    pub(super) fn select(&mut self, count: usize, mut usable: impl FnMut(T) -> bool, chosen: &mut Vec<Member>) {
        let start = chosen.len();
        let mut misses = 0;
        while chosen.len() - start < count.min(self.selectable) {
            if chosen.len() - start >= TRIED_MAX || misses >= MISSES_MAX {
                return self.complete(start, count, usable, chosen);
            }
            let member = self.draw();
            if chosen[start..].contains(&member) || !usable(self.tag(member)) {
                misses += 1;
            } else {
                self.choose(member, start, chosen);
            }
        }
    }

    fn choose(&mut self, member: Member, start: usize, chosen: &mut Vec<Member>) {
        if chosen.len() == start {
            self.members[member.key()].selections += 1;
        }
        chosen.push(member);
    }

    /// The rest of a list, those drawn off the line.
    fn complete(&mut self, start: usize, count: usize, mut usable: impl FnMut(T) -> bool, chosen: &mut Vec<Member>) {
        let mut drawn: Vec<Member> = chosen[start..].to_vec();
        drawn.iter().for_each(|&member| self.lower(member, self.members[member.key()].weight));
        while chosen.len() - start < count && self.total > 0 {
            let member = self.draw();
            self.lower(member, self.members[member.key()].weight);
            drawn.push(member);
            if usable(self.tag(member)) {
                self.choose(member, start, chosen);
            }
        }
        drawn.into_iter().for_each(|member| self.raise(member, self.members[member.key()].weight));
    }

    fn change(&mut self, member: Member, change: impl FnOnce(&mut Share<T>)) {
        let share = &mut self.members[member.key()];
        let before = share.effective();
        change(share);
        let after = share.effective();
        if before != after {
            self.selectable -= usize::from(before > 0);
            self.selectable += usize::from(after > 0);
            self.lower(member, before);
            self.raise(member, after);
        }
    }

    /// One node more. It covers its own weight (zero still) and those of the nodes it takes in.
    fn grow(&mut self) {
        let node = self.sums.len();
        let first = node - lowest_bit(node);
        let mut child = node - 1;
        let mut sum = 0;
        while child > first {
            sum += self.sums[child];
            child -= lowest_bit(child);
        }
        self.sums.push(sum);
    }

    fn raise(&mut self, member: Member, weight: u32) {
        self.total += u64::from(weight);
        self.walk(member, |sum| *sum += u64::from(weight));
    }

    fn lower(&mut self, member: Member, weight: u32) {
        self.total -= u64::from(weight);
        self.walk(member, |sum| *sum -= u64::from(weight));
    }

    /// The sums a member counts in.
    fn walk(&mut self, member: Member, change: impl Fn(&mut u64)) {
        let mut node = member.key() + 1;
        while let Some(sum) = self.sums.get_mut(node) {
            change(sum);
            node += lowest_bit(node);
        }
    }

    /// The member in whose share of the line 0..total a random point lies. The total is not 0.
    fn draw(&mut self) -> Member {
        let mut point = self.rng.below(self.total);
        let mut node = 0;
        let mut step = self.sums.len().next_power_of_two() / 2;
        while step > 0 {
            if let Some(&sum) = self.sums.get(node + step)
                && sum <= point
            {
                point -= sum;
                node += step;
            }
            step /= 2;
        }
        Member::of(node)
    }
}

fn lowest_bit(node: usize) -> usize {
    node & node.wrapping_neg()
}
