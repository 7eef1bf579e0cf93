//! The policies that keep their elements in an order: RR, WRR, PRIO, LU, LUD, PLU.

use crate::wire::PeId;
use std::collections::{BTreeMap, BTreeSet};

/// One round of a weight-1 element in WRR's virtual time.
const ROUND: u128 = 1 << 64;

/// What places an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// By this key, ascending; circular among equals.
    Fixed(u64),
    /// By load + n x degradation, n counting selections.
    Degrading { load: u64, degradation: u64 },
    /// By virtual time, which goes on by 1 / weight per selection. Not zero.
    Weight(u32),
}

/// Place in the order: key, then the turn among equals, then the identifier.
type Place = (u128, u64, PeId);

#[derive(Debug, Clone, Default)]
pub(super) struct Sorted {
    elements: BTreeMap<PeId, Element>,
    /// Elements that can be selected.
    places: BTreeSet<Place>,
    /// Next turn to give out; higher is later.
    next_turn: u64,
    /// WRR's virtual time: that of the last selection.
    virtual_time: u128,
}

#[derive(Debug, Clone, Copy)]
struct Element {
    rank: Option<Rank>,
    key: u128,
    turn: u64,
}

impl Sorted {
    pub(super) fn insert(&mut self, id: PeId, rank: Option<Rank>) {
        let old = self.elements.get(&id).copied();
        if let Some(old) = old {
            self.places.remove(&(old.key, old.turn, id));
        }
        let turn = old.map_or_else(|| self.take_turn(), |old| old.turn);
        let key = match (rank, old) {
            // An unchanged weight keeps its place: a re-registration must not cost or give a turn.
            (Some(Rank::Weight(_)), Some(old)) if old.rank == rank => old.key,
            (Some(Rank::Weight(weight)), _) => self.virtual_time + ROUND / u128::from(weight),
            (Some(Rank::Fixed(key)), _) => u128::from(key),
            (Some(Rank::Degrading { load, .. }), _) => u128::from(load),
            (None, _) => 0,
        };
        if rank.is_some() {
            self.places.insert((key, turn, id));
        }
        self.elements.insert(id, Element { rank, key, turn });
    }

    pub(super) fn remove(&mut self, id: PeId) -> bool {
        let Some(element) = self.elements.remove(&id) else {
            return false;
        };
        self.places.remove(&(element.key, element.turn, id));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(super) fn select(&mut self, count: usize, mut usable: impl FnMut(PeId) -> bool) -> Vec<PeId> {
        let selected: Vec<PeId> =
            self.places.iter().map(|&(_, _, id)| id).filter(|&id| usable(id)).take(count).collect();
        for (position, &id) in selected.iter().enumerate() {
            self.advance(id, position == 0);
        }
        selected
    }

    /// Moves a selected element on. Only the first of a list gives its turn away, but each one's degradation counts.
    fn advance(&mut self, id: PeId, first: bool) {
        let turn = if first { self.take_turn() } else { 0 };
        let Some(element) = self.elements.get_mut(&id) else {
            return;
        };
        if !first && !matches!(element.rank, Some(Rank::Degrading { .. })) {
            return;
        }
        let old_place = (element.key, element.turn, id);
        match element.rank {
            Some(Rank::Degrading { degradation, .. }) => element.key += u128::from(degradation),
            Some(Rank::Weight(weight)) if first => {
                // One that was unusable for long is not given all the turns it missed.
                self.virtual_time = self.virtual_time.max(element.key);
                element.key = self.virtual_time + ROUND / u128::from(weight);
            }
            Some(Rank::Fixed(_) | Rank::Weight(_)) | None => {}
        }
        if first {
            element.turn = turn;
        }
        let new_place = (element.key, element.turn, id);
        self.places.remove(&old_place);
        self.places.insert(new_place);
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}
