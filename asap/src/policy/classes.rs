//! The policies that keep their members in an order of values: WRR, PRIO, LU, LUD, PLU. Members of one value form a class,
//! which is a circular list; the classes stand in a tree by value. So an answer costs a step per member in it, and a
//! member that moves O(log n).

use super::Member;
use super::ring::{Head, Rings};
use crate::small_map::SmallMap;
use std::ops::Bound;

/// One round of a weight-1 member in WRR's virtual time.
const ROUND: u64 = 1 << 32;
/// Virtual time is set back when it comes here, after 2^31 rounds.
const TIME_MAX: u64 = 1 << 63;

/// What places a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// By this value, ascending.
    Fixed(u64),
    /// By load + n x degradation, n counting selections.
    Degrading { load: u32, degradation: u32 },
    /// By virtual time, which goes on by 1 / weight per selection. Not zero.
    Weight(u32),
}

/// A member. Small, as there are many.
#[derive(Debug, Clone)]
struct Place<T> {
    /// The class it is in, or would be. It never overflows: virtual time is set back, the rest saturates.
    value: u64,
    /// WRR: the weight. LUD: the degradation.
    step: u32,
    /// WRR: what rounding left over, in units of 1 / weight, so that it stays exact for ever. LUD: the load.
    rest: u32,
    tag: T,
    /// Its policy values say that it takes nothing.
    full: bool,
    usable: bool,
}

/// Which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// PRIO, LU, PLU.
    Fixed,
    /// LUD.
    Degrading,
    /// WRR.
    Weight,
}

/// WRR, PRIO, LU, LUD, PLU.
#[derive(Debug, Clone)]
pub(super) struct Classes<T> {
    mode: Mode,
    rings: Rings<Place<T>>,
    classes: SmallMap<u64, Head>,
    /// WRR's virtual time: that of the last selection.
    virtual_time: u64,
    selectable: usize,
}

impl<T: Copy> Classes<T> {
    pub(super) fn new(mode: Mode) -> Self {
        Self { mode, rings: Rings::new(), classes: SmallMap::default(), virtual_time: 0, selectable: 0 }
    }

    pub(super) fn insert(&mut self, tag: T, rank: Option<Rank>) -> Member {
        let mut place = Place { value: 0, step: 0, rest: 0, tag, full: true, usable: true };
        place.start(rank, self.virtual_time);
        let member = self.rings.insert(place);
        self.link(member);
        member
    }

    /// New values. Equal ones change nothing but the degradation counter.
    pub(super) fn update(&mut self, member: Member, rank: Option<Rank>) {
        let place = self.rings.get(member);
        if place.has(self.mode, rank) {
            return;
        }
        self.unlink(member);
        let (mode, virtual_time) = (self.mode, self.virtual_time);
        let place = self.rings.get_mut(member);
        match rank {
            Some(Rank::Weight(weight)) if mode == Mode::Weight && !place.full => place.reweigh(weight, virtual_time),
            Some(Rank::Fixed(_) | Rank::Degrading { .. } | Rank::Weight(_)) | None => place.start(rank, virtual_time),
        }
        self.link(member);
    }

    pub(super) fn set_usable(&mut self, member: Member, usable: bool) {
        let (mode, virtual_time) = (self.mode, self.virtual_time);
        let place = self.rings.get_mut(member);
        if place.usable == usable {
            return;
        }
        place.usable = usable;
        if usable {
            // One that was away for long is not given all the turns it missed.
            if mode == Mode::Weight && !place.full && place.value <= virtual_time {
                place.start(Some(Rank::Weight(place.step)), virtual_time);
            }
            self.link(member);
        } else {
            self.unlink(member);
        }
    }

    pub(super) fn remove(&mut self, member: Member) -> T {
        self.unlink(member);
        self.rings.remove(member).tag
    }

    pub(super) fn tag(&self, member: Member) -> T {
        self.rings.get(member).tag
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
        let members = self.classes.iter_from(Bound::Unbounded).flat_map(|(_, head)| self.rings.iter(head));
        let members = members.filter(|(_, place)| usable(place.tag)).map(|(member, _)| member);
        chosen.extend(members.take(count));
        if let Some(&first) = chosen.get(start) {
            self.rings.count_selection(first);
        }
        for (position, &member) in chosen[start..].iter().enumerate() {
            if !self.advance(member, position == 0) {
                break;
            }
        }
    }

    /// Moves a selected member on. False: nothing more to be done, as only the first of a list counts.
    fn advance(&mut self, member: Member, first: bool) -> bool {
        let value = self.rings.get(member).value;
        match self.mode {
            Mode::Degrading if self.rings.get(member).step > 0 => {
                self.unlink(member);
                self.rings.get_mut(member).degrade();
                self.link(member);
            }
            Mode::Weight if first => {
                self.virtual_time = self.virtual_time.max(value);
                self.unlink(member);
                self.rings.get_mut(member).next_turn(self.virtual_time);
                self.link(member);
                if self.virtual_time >= TIME_MAX {
                    self.set_time_back();
                }
            }
            Mode::Fixed | Mode::Degrading if first => {
                let head = self.classes.get_mut(value).expect("invariant: a selected member is in its class");
                self.rings.send_back(head, member);
            }
            Mode::Fixed | Mode::Degrading | Mode::Weight => {}
        }
        self.mode == Mode::Degrading
    }

    /// Virtual time begins again at 0, in the same order.
    fn set_time_back(&mut self) {
        let time = std::mem::take(&mut self.virtual_time);
        self.rings.for_each_mut(|place| place.value = place.value.saturating_sub(time));
        // Those that were skipped for long come into one class, in their order.
        let before = std::mem::take(&mut self.classes);
        for (value, mut head) in before.iter_from(Bound::Unbounded) {
            while let Some(member) = head.first() {
                self.rings.unlink(&mut head, member);
                let class = self.classes.get_or_insert(value.saturating_sub(time), Head::EMPTY);
                self.rings.push(class, member);
            }
        }
    }

    /// Puts the member at the end of its class, if it can be selected.
    fn link(&mut self, member: Member) {
        let place = self.rings.get(member);
        if place.usable && !place.full {
            let head = self.classes.get_or_insert(place.value, Head::EMPTY);
            self.rings.push(head, member);
            self.selectable += 1;
        }
    }

    fn unlink(&mut self, member: Member) {
        if !self.rings.is_linked(member) {
            return;
        }
        let value = self.rings.get(member).value;
        let head = self.classes.get_mut(value).expect("invariant: a linked member is in its class");
        self.rings.unlink(head, member);
        if head.is_empty() {
            self.classes.remove(value);
        }
        self.selectable -= 1;
    }
}

impl<T> Place<T> {
    /// Whether these are the values it has, and a degradation counter at its start.
    fn has(&self, mode: Mode, rank: Option<Rank>) -> bool {
        match rank {
            None => self.full,
            Some(_) if self.full => false,
            Some(Rank::Fixed(value)) => mode == Mode::Fixed && self.value == value,
            Some(Rank::Degrading { load, degradation }) => {
                (self.value, self.rest, self.step) == (u64::from(load), load, degradation)
            }
            Some(Rank::Weight(weight)) => mode == Mode::Weight && self.step == weight,
        }
    }

    /// The values of a newcomer.
    fn start(&mut self, rank: Option<Rank>, virtual_time: u64) {
        self.full = rank.is_none();
        match rank {
            Some(Rank::Fixed(value)) => self.value = value,
            Some(Rank::Degrading { load, degradation }) => {
                (self.value, self.rest, self.step) = (u64::from(load), load, degradation);
            }
            Some(Rank::Weight(weight)) => {
                (self.value, self.rest, self.step) = (virtual_time, 0, weight);
                self.next_turn(virtual_time);
            }
            None => {}
        }
    }

    /// What is left until its turn shrinks or grows with the weight: who changes it often neither gains nor starves.
    fn reweigh(&mut self, weight: u32, virtual_time: u64) {
        let left = u128::from(self.value.saturating_sub(virtual_time)) * u128::from(self.step) / u128::from(weight);
        self.value = virtual_time + u64::try_from(left).unwrap_or(ROUND).min(ROUND);
        (self.rest, self.step) = (0, weight);
    }

    /// LUD: one selection more.
    fn degrade(&mut self) {
        self.value = self.value.saturating_add(u64::from(self.step));
    }

    /// WRR: 1 / weight after a turn that it just took, or should have taken long ago. Exactly: the rest is kept.
    fn next_turn(&mut self, virtual_time: u64) {
        let weight = u64::from(self.step);
        let rest = u64::from(self.rest) + ROUND % weight;
        self.value = self.value.max(virtual_time) + ROUND / weight + rest / weight;
        self.rest = u32::try_from(rest % weight).expect("invariant: less than the weight");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of turns is that of a pool whose time is young.
    #[test]
    fn time_is_set_back_without_a_trace() {
        let mut young = Classes::new(Mode::Weight);
        let mut old = Classes::new(Mode::Weight);
        old.virtual_time = TIME_MAX - 3 * ROUND;
        for (tag, weight) in (0..).zip([1_u32, 2, 3, 7, 7]) {
            young.insert(tag, Some(Rank::Weight(weight)));
            old.insert(tag, Some(Rank::Weight(weight)));
        }
        let pick = |classes: &mut Classes<u32>| {
            let mut chosen = Vec::new();
            classes.select(2, |tag| tag != 4, &mut chosen);
            chosen.into_iter().map(|member| classes.tag(member)).collect::<Vec<_>>()
        };
        for _ in 0..200 {
            assert_eq!(pick(&mut young), pick(&mut old));
        }
        assert!(old.virtual_time < TIME_MAX - 3 * ROUND, "it was set back");
        assert_eq!(old.selectable(), 5);
    }

    #[test]
    fn a_degradation_beyond_64_bits_saturates() {
        let mut classes = Classes::new(Mode::Degrading);
        for tag in 0..2 {
            let member = classes.insert(tag, Some(Rank::Degrading { load: 1, degradation: u32::MAX }));
            classes.unlink(member);
            classes.rings.get_mut(member).value = u64::MAX - 1;
            classes.link(member);
        }
        for _ in 0..10 {
            let mut chosen = Vec::new();
            classes.select(1, |_| true, &mut chosen);
            classes.select(1, |_| true, &mut chosen);
            assert_ne!(chosen[0], chosen[1], "in turn still");
        }
        assert_eq!(classes.classes.iter_from(Bound::Unbounded).next().unwrap().0, u64::MAX);
    }
}
