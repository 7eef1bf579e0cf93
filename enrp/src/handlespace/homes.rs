//! The elements by home server: how many, their PE checksum, and a place to go on from when a table is sent, audited or
//! taken over in parts.

use super::checksum::{Checksum, HandleWords};
use super::element::Element;
use super::{PoolNumber, Slot};
use asap::wire::{PeId, ServerId};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

/// Where an element stands in the order of iteration: members of a pool stand together.
pub(super) type Place = (PoolNumber, PeId);

/// A place between two elements, for an iteration in parts ([`Handlespace::owned`](super::Handlespace::owned),
/// [`Handlespace::elements_from`](super::Handlespace::elements_from)). It stays good whatever is added and removed
/// meanwhile: an element that is there from the first part to the last is met exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(Option<Place>);

impl Cursor {
    /// Before all elements.
    pub const START: Self = Self(None);

    /// Right behind this element.
    #[must_use]
    pub fn after(element: &Element) -> Self {
        Self(Some(element.place()))
    }

    /// The first pool to look at.
    pub(super) fn pool(self) -> PoolNumber {
        self.0.map_or(0, |(pool, _)| pool)
    }

    /// Where to go on in a pool.
    pub(super) fn rest_of(self, pool: PoolNumber) -> Bound<PeId> {
        match self.0 {
            Some((current, id)) if current == pool => Bound::Excluded(id),
            Some(_) | None => Bound::Unbounded,
        }
    }

    fn rest(self) -> (Bound<Place>, Bound<Place>) {
        (self.0.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
    }
}

impl fmt::Display for Cursor {
    /// Text that [`Cursor::from_str`] reads; empty before all elements.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(pool, id)| write!(f, "{pool}:{}", id.0))
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.is_empty() {
            return Ok(Self::START);
        }
        let (pool, id) = text.split_once(':').ok_or(())?;
        Ok(Self(Some((pool.parse().map_err(|_| ())?, PeId(id.parse().map_err(|_| ())?)))))
    }
}

/// What one server owns.
#[derive(Debug, Default)]
struct Owned {
    elements: BTreeMap<Place, Slot>,
    checksum: Checksum,
}

/// The owners of all elements. A server without elements is not there.
#[derive(Debug, Default)]
pub(super) struct Homes(BTreeMap<ServerId, Owned>);

impl Homes {
    /// The element has this home from now on.
    pub(super) fn add(&mut self, home: ServerId, place: Place, slot: Slot, handle_words: HandleWords) {
        let owned = self.0.entry(home).or_default();
        owned.elements.insert(place, slot);
        owned.checksum.add(handle_words, place.1.0);
    }

    /// The element, added before with these values, has this home no more.
    pub(super) fn remove(&mut self, home: ServerId, place: Place, handle_words: HandleWords) {
        let owned = self.0.get_mut(&home).expect("invariant: an element's home owns it");
        owned.elements.remove(&place);
        owned.checksum.subtract(handle_words, place.1.0);
        if owned.elements.is_empty() {
            self.0.remove(&home);
        }
    }

    pub(super) fn checksum(&self, home: ServerId) -> Checksum {
        self.0.get(&home).map(|owned| owned.checksum).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ServerId, usize)> + '_ {
        self.0.iter().map(|(&home, owned)| (home, owned.elements.len()))
    }

    pub(super) fn owned(&self, home: ServerId, from: Cursor) -> impl Iterator<Item = Slot> + '_ {
        self.0.get(&home).into_iter().flat_map(move |owned| owned.elements.range(from.rest())).map(|(_, &slot)| slot)
    }
}
