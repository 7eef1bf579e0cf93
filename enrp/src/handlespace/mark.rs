//! What a registration that changes nothing needs of its element. Most registrations are of this kind, and a handlespace of
//! 100,000 elements is in no cache: the marks stand apart from the elements, so that such a registration reads one line of
//! a column a tenth as large.

use super::Slot;
use super::element::Stamp;

/// Of one element.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Of what it registered, under the handlespace's key: 64 bits that nobody outside can aim at.
    print: u64,
    stamp: Stamp,
    registrations: u64,
}

/// Of all elements, by slot.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<Mark>);

impl Marks {
    /// Of a new element, whose slot is taken now.
    pub(super) fn add(&mut self, slot: Slot, print: u64, stamp: Stamp) {
        let mark = Mark { print, stamp, registrations: 1 };
        match self.0.get_mut(slot.key()) {
            Some(of_one_before) => *of_one_before = mark,
            None => {
                debug_assert_eq!(self.0.len(), slot.key(), "slots are given one after another");
                self.0.push(mark);
            }
        }
    }

    /// Whether this is what it registered last.
    pub(super) fn is_as_before(&self, slot: Slot, print: u64) -> bool {
        self.0[slot.key()].print == print
    }

    /// It has registered again.
    pub(super) fn again(&mut self, slot: Slot, print: u64, stamp: Stamp) {
        let mark = &mut self.0[slot.key()];
        *mark = Mark { print, stamp, registrations: mark.registrations + 1 };
    }

    /// What is recorded as registered is another now, without a registration.
    pub(super) fn change(&mut self, slot: Slot, print: u64) {
        self.0[slot.key()].print = print;
    }

    /// When it registered last.
    pub(super) fn stamp(&self, slot: Slot) -> Stamp {
        self.0[slot.key()].stamp
    }

    /// How often it registered.
    pub(super) fn registrations(&self, slot: Slot) -> u64 {
        self.0[slot.key()].registrations
    }
}
