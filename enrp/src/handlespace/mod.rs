//! The handlespace: pools by handle, their elements, selection, and the PE checksum of each home server. Pure data: it
//! sends nothing and knows no time.
//!
//! Every element has a home server ([`PoolElement::home`]); those of other servers are held in the same way. To tell a
//! peer all of them or those of one home, in parts: [`Handlespace::elements_from`], [`Handlespace::owned`], [`Cursor`].

mod checksum;
mod element;
mod homes;
mod keyed;
mod mark;
mod pool;
mod selected;
#[cfg(test)]
mod tests;

use asap::policy::{Member, Rng};
use asap::wire::{PeId, Policy, PoolElement, PoolHandle, ServerId};
pub use checksum::{Checksum, SHORT_HANDLE_BYTES};
pub use element::{Element, Stamp, State, SuspensionReason};
use hashbrown::HashTable;
pub use homes::Cursor;
use homes::Homes;
use keyed::Keyed;
use mark::Marks;
pub use pool::{Mismatch, Pool, kind_of};
pub use selected::Selected;
use slab::Slab;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Most pools whatever the settings say.
pub const POOLS_MAX: usize = 50_000;
/// Most PEs in a pool whatever the settings say.
pub const PES_PER_POOL_MAX: usize = 10_000;

/// Where an element is held: a short name for it while it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

impl Slot {
    fn key(self) -> usize {
        self.0 as usize
    }
}

/// Where a pool is held.
type PoolNumber = u32;

/// How much a handlespace takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most pools; [`POOLS_MAX`] at most.
    pub pools: usize,
    /// Most PEs in a pool; [`PES_PER_POOL_MAX`] at most.
    pub pes_per_pool: usize,
    /// Most PEs together.
    pub pes: usize,
}

/// Why an element was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// A limit is reached.
    #[error("a limit of the handlespace is reached")]
    Full,
    /// It does not fit its pool.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// How an element was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It was known. `changed`: pool users see a difference (transport or policy values).
    Replaced {
        /// See above.
        changed: bool,
    },
}

/// All pools.
#[derive(Debug)]
pub struct Handlespace {
    limits: Limits,
    pools: Slab<Pool>,
    /// The pools by the hash of their handle.
    numbers: HashTable<PoolNumber>,
    /// Handles come from everybody, hostile ones too.
    key: Keyed,
    /// The pools by handle, for those who list them.
    sorted: BTreeMap<PoolHandle, PoolNumber>,
    elements: Slab<Element>,
    marks: Marks,
    homes: Homes,
    random: Rng,
    /// Of the last addition.
    stamp: Stamp,
    /// The last answer, kept for its memory.
    members: Vec<Member>,
    chosen: Vec<Slot>,
}

impl Handlespace {
    /// No pools. `seed` feeds the random policies.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        let limits = Limits {
            pools: limits.pools.min(POOLS_MAX),
            pes_per_pool: limits.pes_per_pool.min(PES_PER_POOL_MAX),
            ..limits
        };
        let mut random = Rng::new(seed);
        Self {
            limits,
            pools: Slab::new(),
            numbers: HashTable::new(),
            key: Keyed::new(&mut random),
            sorted: BTreeMap::new(),
            elements: Slab::new(),
            marks: Marks::default(),
            homes: Homes::default(),
            random,
            stamp: Stamp::default(),
            members: Vec::new(),
            chosen: Vec::new(),
        }
    }

    /// Adds an element, or replaces the one with its identifier (RFC 5352 section 3.1 rules 1 to 3, RFC 5353 section
    /// 3.3.1). A replaced one keeps the reasons it is suspended for.
    ///
    /// # Errors
    /// [`AddError`]; nothing is changed then.
    pub fn add(&mut self, handle: &PoolHandle, element: PoolElement) -> Result<(Slot, Added), AddError> {
        let Some(number) = self.number_of(handle) else {
            return Ok((self.create(handle, element)?, Added::New));
        };
        let pool = &self.pools[number as usize];
        let known = pool.members.get(element.id);
        let print = self.key.print(&element);
        // A registration starts the degradation counter again, which is the ranking's.
        let unchanged = |slot: &Slot| self.marks.is_as_before(*slot, print) && !counts_degradation(&element.policy);
        if let Some(slot) = known.filter(unchanged) {
            self.stamp.advance();
            self.marks.again(slot, print, self.stamp);
            return Ok((slot, Added::Replaced { changed: false }));
        }
        let member = known.or_else(|| pool.first()).expect("invariant: there are no empty pools");
        pool.check(&element, &self.elements[member.key()].registered)?;
        match known {
            Some(slot) => Ok((slot, self.replace(slot, element, print))),
            None => Ok((self.insert(number, element, print)?, Added::New)),
        }
    }

    /// Takes an element out, and its pool if it was the last one. The pool's handle comes with it.
    pub fn remove(&mut self, slot: Slot) -> Option<(PoolHandle, Element)> {
        let element = self.elements.try_remove(slot.key())?;
        let pool = &mut self.pools[element.pool as usize];
        pool.members.remove(element.id());
        pool.ranking.remove(element.member);
        self.homes.remove(element.registered.home, element.place(), pool.handle_words);
        let handle = pool.handle().clone();
        if pool.members.is_empty() {
            self.pools.remove(element.pool as usize);
            self.sorted.remove(&handle);
            let entry = self.numbers.find_entry(self.key.hash(&handle), |&number| number == element.pool);
            entry.expect("invariant: every pool is in the table").remove();
        }
        Some((handle, element))
    }

    /// Gives the element to another server (takeover, RFC 5353 section 3.5.4). False: it is not there, or had that home.
    pub fn set_home(&mut self, slot: Slot, home: ServerId) -> bool {
        let Some(element) = self.elements.get_mut(slot.key()).filter(|element| element.registered.home != home) else {
            return false;
        };
        let before = std::mem::replace(&mut element.registered.home, home);
        let (place, words) = (element.place(), self.pools[element.pool as usize].handle_words);
        self.homes.remove(before, place, words);
        self.homes.add(home, place, slot, words);
        self.marks.change(slot, self.key.print(&self.elements[slot.key()].registered));
        true
    }

    /// Adds a reason not to select the element. True: it was up before.
    pub fn suspend(&mut self, slot: Slot, reason: SuspensionReason) -> bool {
        let Some(element) = self.elements.get_mut(slot.key()) else { return false };
        let first = element.reasons.is_empty();
        element.reasons.add(reason);
        if first {
            self.pools[element.pool as usize].ranking.set_usable(element.member, false);
        }
        first
    }

    /// Takes a reason away. True: it is up again.
    pub fn resume(&mut self, slot: Slot, reason: SuspensionReason) -> bool {
        let Some(element) = self.elements.get_mut(slot.key()) else { return false };
        let before = element.reasons;
        element.reasons.remove(reason);
        let up = !before.is_empty() && element.reasons.is_empty();
        if up {
            self.pools[element.pool as usize].ranking.set_usable(element.member, true);
        }
        up
    }

    /// Selects up to `items` different elements of a pool by its policy, best first, and advances the policy. Suspended,
    /// draining and full elements are never among them. `None`: no such pool. Costs what [`Ranking`] says, whatever the
    /// number of pools and of suspended elements.
    ///
    /// [`Ranking`]: asap::policy::Ranking
    pub fn resolve(&mut self, handle: &PoolHandle, items: usize) -> Option<Selected<'_>> {
        self.resolve_among(handle, items, |_, _| true)
    }

    /// [`resolve`](Self::resolve), as PE identifiers.
    pub fn select(&mut self, handle: &PoolHandle, items: usize) -> Option<Vec<PeId>> {
        Some(self.resolve(handle, items)?.elements().map(Element::id).collect())
    }

    /// As [`select`](Self::select), among those for which `usable` holds: what a selection plug-in thinks best. Each element
    /// it refuses costs a step.
    pub fn select_among(
        &mut self,
        handle: &PoolHandle,
        items: usize,
        mut usable: impl FnMut(PeId) -> bool,
    ) -> Option<Vec<PeId>> {
        let selected = self.resolve_among(handle, items, |elements, slot| usable(elements[slot.key()].id()))?;
        Some(selected.elements().map(Element::id).collect())
    }

    fn resolve_among(
        &mut self,
        handle: &PoolHandle,
        items: usize,
        mut usable: impl FnMut(&Slab<Element>, Slot) -> bool,
    ) -> Option<Selected<'_>> {
        let number = self.number_of(handle)?;
        let pool = &mut self.pools[number as usize];
        let elements = &self.elements;
        self.members.clear();
        pool.ranking.select(items, |slot| usable(elements, slot), &mut self.members);
        self.chosen.clear();
        self.chosen.extend(self.members.iter().map(|&member| pool.ranking.tag(member)));
        Some(Selected { pool, elements, chosen: &self.chosen })
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, handle: &PoolHandle) -> Option<&Pool> {
        self.number_of(handle).map(|number| &self.pools[number as usize])
    }

    /// All pools, by handle.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.sorted.values().map(|&number| &self.pools[number as usize])
    }

    /// The members of a pool, by PE identifier; nothing if there is no such pool.
    pub fn members(&self, handle: &PoolHandle) -> impl Iterator<Item = &Element> {
        let pool = self.pool(handle);
        pool.into_iter()
            .flat_map(|pool| pool.members.iter_from(Bound::Unbounded))
            .map(|(_, slot)| &self.elements[slot.key()])
    }

    /// The pool of an element of this handlespace.
    #[must_use]
    pub fn handle_of(&self, element: &Element) -> &PoolHandle {
        self.pools[element.pool as usize].handle()
    }

    /// How often an element of this handlespace was the first of an answer.
    #[must_use]
    pub fn selections(&self, element: &Element) -> u64 {
        self.pools[element.pool as usize].ranking.selections(element.member)
    }

    /// Where an element is held.
    #[must_use]
    pub fn find(&self, handle: &PoolHandle, pe: PeId) -> Option<Slot> {
        self.pool(handle)?.members.get(pe)
    }

    /// The element held there.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Element> {
        self.elements.get(slot.key())
    }

    /// The element of this pool and identifier.
    #[must_use]
    pub fn element(&self, handle: &PoolHandle, pe: PeId) -> Option<&Element> {
        self.get(self.find(handle, pe)?)
    }

    /// Number of pools.
    #[must_use]
    pub fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// Number of elements in all pools.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.elements.len()
    }

    /// PE checksum of the elements that `home` owns (RFC 5353 section 3.6.2).
    #[must_use]
    pub fn checksum(&self, home: ServerId) -> Checksum {
        self.homes.checksum(home)
    }

    /// The servers that own elements, with how many.
    pub fn homes(&self) -> impl Iterator<Item = (ServerId, usize)> + '_ {
        self.homes.iter()
    }

    /// The elements that `home` owns, from `from` on, those of a pool together and by PE identifier. To go on later:
    /// [`Cursor::after`] the last one used. A step costs O(1), the start O(log n) in the number it owns.
    pub fn owned(&self, home: ServerId, from: Cursor) -> impl Iterator<Item = (Slot, &Element)> {
        self.homes.owned(home, from).map(|slot| (slot, &self.elements[slot.key()]))
    }

    /// All elements, whatever their home, from `from` on, in the order of [`owned`](Self::owned).
    pub fn elements_from(&self, from: Cursor) -> impl Iterator<Item = (Slot, &Element)> {
        (from.pool()..self.pools.capacity() as PoolNumber)
            .filter_map(|number| Some((number, self.pools.get(number as usize)?)))
            .flat_map(move |(number, pool)| pool.members.iter_from(from.rest_of(number)))
            .map(|(_, slot)| (slot, &self.elements[slot.key()]))
    }

    /// When the element held there was added or replaced last, against [`stamp`](Self::stamp).
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn stamp_of(&self, slot: Slot) -> Stamp {
        self.marks.stamp(slot)
    }

    /// Registrations and re-registrations of the element held there.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn registrations(&self, slot: Slot) -> u64 {
        self.marks.registrations(slot)
    }

    /// Stamp of the last addition or replacement. Elements that come later have a later one ([`Self::stamp_of`]): after a
    /// full download from a peer, those it owns whose stamp is not later than that of the start are what it has no more
    /// (RFC 5353 section 3.6.3, without a mark on each).
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    fn number_of(&self, handle: &PoolHandle) -> Option<PoolNumber> {
        let same = |&number: &PoolNumber| self.pools[number as usize].handle() == handle;
        self.numbers.find(self.key.hash(handle), same).copied()
    }

    /// A pool with its first element.
    fn create(&mut self, handle: &PoolHandle, element: PoolElement) -> Result<Slot, AddError> {
        if self.pools.len() >= self.limits.pools || self.limits.pes_per_pool == 0 || self.is_full() {
            return Err(AddError::Full);
        }
        let handle = handle.detached();
        let number = self.pools.insert(Pool::new(handle.clone(), &element, self.random.next_u64())) as PoolNumber;
        let (pools, key) = (&self.pools, &self.key);
        let hash = |&number: &PoolNumber| key.hash(pools[number as usize].handle());
        self.numbers.insert_unique(hash(&number), number, hash);
        self.sorted.insert(handle, number);
        let print = self.key.print(&element);
        self.insert(number, element, print)
    }

    fn is_full(&self) -> bool {
        self.elements.len() >= self.limits.pes
    }

    fn insert(&mut self, number: PoolNumber, element: PoolElement, print: u64) -> Result<Slot, AddError> {
        let pool = &mut self.pools[number as usize];
        if pool.members.len() >= self.limits.pes_per_pool || self.elements.len() >= self.limits.pes {
            return Err(AddError::Full);
        }
        self.stamp.advance();
        let slot = Slot(self.elements.vacant_key() as u32);
        let member = pool.ranking.insert(slot, &element.policy);
        pool.members.get_or_insert(element.id, slot);
        self.marks.add(slot, print, self.stamp);
        let element = Element::new(number, member, element);
        self.homes.add(element.registered.home, element.place(), slot, pool.handle_words);
        self.elements.insert(element);
        Ok(slot)
    }

    /// Only what is another is written.
    fn replace(&mut self, slot: Slot, new: PoolElement, print: u64) -> Added {
        self.set_home(slot, new.home);
        self.stamp.advance();
        self.marks.again(slot, print, self.stamp);
        let element = &mut self.elements[slot.key()];
        let registered = &mut element.registered;
        if registered.asap_transport != new.asap_transport {
            registered.asap_transport = new.asap_transport;
        }
        let other_policy = registered.policy != new.policy;
        if other_policy || counts_degradation(&new.policy) {
            self.pools[element.pool as usize].ranking.update(element.member, &new.policy);
            registered.policy = new.policy;
        }
        let other_transport = registered.user_transport != new.user_transport;
        if other_transport {
            registered.user_transport = new.user_transport;
        }
        registered.life = new.life;
        Added::Replaced { changed: other_policy || other_transport }
    }
}

/// Whether its ranking counts selections from one registration to the next (RFC 5356 section 5.2).
fn counts_degradation(policy: &Policy) -> bool {
    matches!(policy, Policy::LeastUsedDegradation { .. })
}
