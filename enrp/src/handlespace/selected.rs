//! What a resolution selected.

use super::{Element, Pool, Slot};
use slab::Slab;

/// The elements of an answer, best first.
#[derive(Debug)]
pub struct Selected<'a> {
    pub(super) pool: &'a Pool,
    pub(super) elements: &'a Slab<Element>,
    pub(super) chosen: &'a [Slot],
}

impl<'a> Selected<'a> {
    /// The pool they are in.
    #[must_use]
    pub fn pool(&self) -> &'a Pool {
        self.pool
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// True when no element may be selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// The elements, best first.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = &'a Element> + Clone + use<'a> {
        let elements = self.elements;
        self.chosen.iter().map(move |slot| &elements[slot.key()])
    }
}
