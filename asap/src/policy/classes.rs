//! The policies that keep their members in an order of values: WRR, PRIO, LU, LUD, PLU. Members of one value form a class,
//! which is a circular list; the classes stand in a tree by value. So an answer costs a step per member in it, and a
//! member that moves O(log n).

use super::Member;
use super::ring::{Head, Rings};
use std::collections::BTreeMap;

/// One round of a weight-1 member in WRR's virtual time.
const ROUND: u128 = 1 << 64;

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

#[derive(Debug, Clone)]
struct Place<T> {
    tag: T,
    /// None: its policy values say that it takes nothing.
    rank: Option<Rank>,
    usable: bool,
    /// The class it is in, or would be. Neither u32 + n x u32 nor virtual time ever fills 128 bits.
    value: u128,
    /// WRR: what rounding left over, in units of 1 / weight, so that it stays exact for ever.
    rest: u32,
}

/// WRR, PRIO, LU, LUD, PLU.
#[derive(Debug, Clone)]
pub(super) struct Classes<T> {
    rings: Rings<Place<T>>,
    classes: BTreeMap<u128, Head>,
    /// WRR's virtual time: that of the last selection.
    virtual_time: u128,
    selectable: usize,
}

impl<T: Copy> Classes<T> {
    pub(super) fn new() -> Self {
        Self { rings: Rings::new(), classes: BTreeMap::new(), virtual_time: 0, selectable: 0 }
    }

    pub(super) fn insert(&mut self, tag: T, rank: Option<Rank>) -> Member {
        let mut place = Place { tag, rank, usable: true, value: 0, rest: 0 };
        place.start(self.virtual_time);
        let member = self.rings.insert(place);
        self.link(member);
        member
    }

    /// New values. Equal ones change nothing but the degradation counter.
    pub(super) fn update(&mut self, member: Member, rank: Option<Rank>) {
        let place = self.rings.get(member);
        let started = match rank {
            Some(Rank::Degrading { load, .. }) => place.value == u128::from(load),
            Some(Rank::Fixed(_) | Rank::Weight(_)) | None => true,
        };
        if rank == place.rank && started {
            return;
        }
        self.unlink(member);
        let virtual_time = self.virtual_time;
        self.rings.get_mut(member).change(rank, virtual_time);
        self.link(member);
    }

    pub(super) fn set_usable(&mut self, member: Member, usable: bool) {
        let virtual_time = self.virtual_time;
        let place = self.rings.get_mut(member);
        if place.usable == usable {
            return;
        }
        place.usable = usable;
        if usable {
            // One that was away for long is not given all the turns it missed.
            if place.value <= virtual_time && matches!(place.rank, Some(Rank::Weight(_))) {
                place.start(virtual_time);
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

    pub(super) fn len(&self) -> usize {
        self.rings.len()
    }

    pub(super) fn selectable(&self) -> usize {
        self.selectable
    }

    pub(super) fn select(&mut self, count: usize, mut usable: impl FnMut(T) -> bool, chosen: &mut Vec<Member>) {
        let start = chosen.len();
        let members = self.classes.values().flat_map(|&head| self.rings.iter(head));
        let members = members.filter(|(_, place)| usable(place.tag)).map(|(member, _)| member);
        chosen.extend(members.take(count));
        for (position, &member) in chosen[start..].iter().enumerate() {
            if !self.advance(member, position == 0) {
                break;
            }
        }
    }

    /// Moves a selected member on. False: nothing more to be done, as only the first of a list counts.
    fn advance(&mut self, member: Member, first: bool) -> bool {
        let place = self.rings.get(member);
        match place.rank {
            Some(Rank::Degrading { degradation: 1.., .. }) => {
                self.unlink(member);
                self.rings.get_mut(member).degrade();
                self.link(member);
                true
            }
            Some(Rank::Weight(_)) if first => {
                self.virtual_time = self.virtual_time.max(place.value);
                self.unlink(member);
                let virtual_time = self.virtual_time;
                self.rings.get_mut(member).next_turn(virtual_time);
                self.link(member);
                false
            }
            Some(Rank::Fixed(_) | Rank::Degrading { .. }) if first => {
                let value = place.value;
                let head = self.classes.get_mut(&value).expect("invariant: a selected member is in its class");
                self.rings.send_back(head, member);
                true
            }
            Some(Rank::Fixed(_) | Rank::Weight(_)) | None => false,
            Some(Rank::Degrading { .. }) => true,
        }
    }

    /// Puts the member at the end of its class, if it can be selected.
    fn link(&mut self, member: Member) {
        let place = self.rings.get(member);
        if place.usable && place.rank.is_some() {
            let head = self.classes.entry(place.value).or_insert(Head::EMPTY);
            self.rings.push(head, member);
            self.selectable += 1;
        }
    }

    fn unlink(&mut self, member: Member) {
        if !self.rings.is_linked(member) {
            return;
        }
        let value = self.rings.get(member).value;
        let head = self.classes.get_mut(&value).expect("invariant: a linked member is in its class");
        self.rings.unlink(head, member);
        if head.is_empty() {
            self.classes.remove(&value);
        }
        self.selectable -= 1;
    }
}

impl<T> Place<T> {
    /// The value of a newcomer.
    fn start(&mut self, virtual_time: u128) {
        self.rest = 0;
        self.value = match self.rank {
            Some(Rank::Fixed(value)) => u128::from(value),
            Some(Rank::Degrading { load, .. }) => u128::from(load),
            Some(Rank::Weight(_)) => virtual_time,
            None => 0,
        };
        self.step();
    }

    fn change(&mut self, rank: Option<Rank>, virtual_time: u128) {
        match (std::mem::replace(&mut self.rank, rank), rank) {
            // What is left until its turn shrinks or grows with the weight: who changes it often neither gains nor starves.
            (Some(Rank::Weight(before)), Some(Rank::Weight(weight))) => {
                let left = self.value.saturating_sub(virtual_time);
                self.value = virtual_time + left * u128::from(before) / u128::from(weight);
                self.rest = 0;
            }
            (Some(Rank::Fixed(_) | Rank::Degrading { .. } | Rank::Weight(_)) | None, _) => self.start(virtual_time),
        }
    }

    fn degrade(&mut self) {
        if let Some(Rank::Degrading { degradation, .. }) = self.rank {
            self.value += u128::from(degradation);
        }
    }

    /// Its next turn after one that it just took, or should have taken long ago.
    fn next_turn(&mut self, virtual_time: u128) {
        if self.value < virtual_time {
            self.value = virtual_time;
        }
        self.step();
    }

    /// WRR: 1 / weight further, exactly.
    fn step(&mut self) {
        let Some(Rank::Weight(weight)) = self.rank else { return };
        let weight = u128::from(weight);
        let rest = u128::from(self.rest) + ROUND % weight;
        self.value += ROUND / weight + rest / weight;
        self.rest = u32::try_from(rest % weight).expect("invariant: less than the weight");
    }
}
