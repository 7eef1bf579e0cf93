//! The handlespace: pools by handle, their elements, selection, and the PE checksum of each home server. Pure data: it
//! sends nothing and knows no time.
//!
//! Every element has a home server ([`PoolElement::home`]); those of other servers are held in the same way.

mod checksum;
mod element;
mod pool;
#[cfg(test)]
mod tests;

use asap::policy::Rng;
use asap::wire::{PeId, PoolElement, PoolHandle, ServerId};
pub use checksum::Checksum;
pub use element::{Element, State, SuspensionReason};
pub use pool::{Mismatch, Pool};
use slab::Slab;
use std::collections::BTreeMap;

/// Most pools whatever the settings say.
pub const POOLS_MAX: usize = 50_000;
/// Most PEs in a pool whatever the settings say.
pub const PES_PER_POOL_MAX: usize = 10_000;

/// Where an element is held: a short name for it while it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(usize);

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

/// PEs that one server owns.
#[derive(Debug, Clone, Copy, Default)]
struct Owned {
    elements: usize,
    checksum: Checksum,
}

/// All pools.
#[derive(Debug)]
pub struct Handlespace {
    limits: Limits,
    pools: BTreeMap<PoolHandle, Pool>,
    elements: Slab<Element>,
    owned: BTreeMap<ServerId, Owned>,
    random: Rng,
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
        Self { limits, pools: BTreeMap::new(), elements: Slab::new(), owned: BTreeMap::new(), random: Rng::new(seed) }
    }

    /// Adds an element, or replaces the one with its identifier (RFC 5352 section 3.1 rules 1 to 3, RFC 5353 section
    /// 3.3.1). A replaced one keeps the reasons it is suspended for.
    ///
    /// # Errors
    /// [`AddError`]; nothing is changed then.
    pub fn add(&mut self, handle: &PoolHandle, element: PoolElement) -> Result<(Slot, Added), AddError> {
        let known = match self.pools.get(handle) {
            Some(pool) => {
                pool.check(&element)?;
                pool.members.get(&element.id).copied()
            }
            None => None,
        };
        match known {
            Some(slot) => Ok((slot, self.replace(slot, element))),
            None => Ok((self.insert(handle, element)?, Added::New)),
        }
    }

    /// Takes an element out, and its pool if it was the last one.
    pub fn remove(&mut self, slot: Slot) -> Option<Element> {
        let element = self.elements.try_remove(slot.0)?;
        let pool = self.pools.get_mut(&element.handle).expect("invariant: an element's pool exists");
        pool.members.remove(&element.id());
        pool.selector.remove(element.id());
        let words = pool.handle_words;
        if pool.members.is_empty() {
            self.pools.remove(&element.handle);
        }
        self.disown(&element.registered, words);
        Some(element)
    }

    /// Adds a reason not to select the element. True: it was up before.
    pub fn suspend(&mut self, slot: Slot, reason: SuspensionReason) -> bool {
        let Some(element) = self.elements.get_mut(slot.0) else { return false };
        if element.reasons.contains(&reason) {
            return false;
        }
        element.reasons.push(reason);
        let first = element.reasons.len() == 1;
        self.offer(slot);
        first
    }

    /// Takes a reason away. True: it is up again.
    pub fn resume(&mut self, slot: Slot, reason: SuspensionReason) -> bool {
        let Some(element) = self.elements.get_mut(slot.0) else { return false };
        let before = element.reasons.len();
        element.reasons.retain(|&other| other != reason);
        let up = before > 0 && element.reasons.is_empty();
        if up {
            self.offer(slot);
        }
        up
    }

    /// Selects up to `items` different elements of a pool by its policy, best first, and advances the policy. Suspended,
    /// draining and full elements are never among them. `None`: no such pool.
    pub fn select(&mut self, handle: &PoolHandle, items: usize) -> Option<Vec<PeId>> {
        let pool = self.pools.get_mut(handle)?;
        let selected = pool.selector.select(items, |_| true);
        if let Some(slot) = selected.first().and_then(|first| pool.members.get(first)) {
            self.elements[slot.0].selections += 1;
        }
        Some(selected)
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, handle: &PoolHandle) -> Option<&Pool> {
        self.pools.get(handle)
    }

    /// All pools, by handle.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.values()
    }

    /// The members of a pool, by PE identifier; nothing if there is no such pool.
    pub fn members(&self, handle: &PoolHandle) -> impl Iterator<Item = &Element> {
        self.pools.get(handle).into_iter().flat_map(|pool| pool.members.values()).map(|slot| &self.elements[slot.0])
    }

    /// The elements of a pool with these identifiers, in this order.
    pub fn listed<'a>(&'a self, handle: &PoolHandle, pes: &'a [PeId]) -> impl Iterator<Item = &'a Element> {
        let members = self.pools.get(handle).map(|pool| &pool.members);
        pes.iter().filter_map(move |pe| members?.get(pe)).map(|slot| &self.elements[slot.0])
    }

    /// Where an element is held.
    #[must_use]
    pub fn find(&self, handle: &PoolHandle, pe: PeId) -> Option<Slot> {
        self.pools.get(handle)?.members.get(&pe).copied()
    }

    /// The element held there.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&Element> {
        self.elements.get(slot.0)
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
        self.owned.get(&home).map(|owned| owned.checksum).unwrap_or_default()
    }

    /// The servers that own elements, with how many.
    pub fn homes(&self) -> impl Iterator<Item = (ServerId, usize)> + '_ {
        self.owned.iter().map(|(&home, owned)| (home, owned.elements))
    }

    fn insert(&mut self, handle: &PoolHandle, element: PoolElement) -> Result<Slot, AddError> {
        let full = match self.pools.get(handle) {
            Some(pool) => pool.len() >= self.limits.pes_per_pool,
            None => self.pools.len() >= self.limits.pools || self.limits.pes_per_pool == 0,
        };
        if full || self.elements.len() >= self.limits.pes {
            return Err(AddError::Full);
        }
        let id = element.id;
        let slot = Slot(self.elements.vacant_key());
        let seed = self.random.next_u64();
        let pool = self.pools.entry(handle.clone()).or_insert_with(|| Pool::new(handle.clone(), &element, seed));
        pool.members.insert(id, slot);
        let words = pool.handle_words;
        self.own(&element, words);
        self.elements.insert(Element::new(handle.clone(), element));
        self.offer(slot);
        Ok(slot)
    }

    fn replace(&mut self, slot: Slot, mut new: PoolElement) -> Added {
        let element = &mut self.elements[slot.0];
        let changed =
            element.registered.user_transport != new.user_transport || element.registered.policy != new.policy;
        element.registrations += 1;
        element.asap_transport = new.asap_transport.take();
        let words = self.pools[&element.handle].handle_words;
        let old = std::mem::replace(&mut element.registered, new.clone());
        self.disown(&old, words);
        self.own(&new, words);
        self.offer(slot);
        Added::Replaced { changed }
    }

    /// Puts the element before the selector with its present values, or takes it away from it.
    fn offer(&mut self, slot: Slot) {
        let element = &self.elements[slot.0];
        let pool = self.pools.get_mut(&element.handle).expect("invariant: an element's pool exists");
        if element.is_selectable() {
            pool.selector.insert(element.id(), &element.registered.policy);
        } else {
            pool.selector.remove(element.id());
        }
    }

    fn own(&mut self, element: &PoolElement, handle_words: u64) {
        let owned = self.owned.entry(element.home).or_default();
        owned.elements += 1;
        owned.checksum.add(handle_words, element.id.0);
    }

    fn disown(&mut self, element: &PoolElement, handle_words: u64) {
        let owned = self.owned.get_mut(&element.home).expect("invariant: an element's home owns it");
        owned.elements -= 1;
        owned.checksum.subtract(handle_words, element.id.0);
        if owned.elements == 0 {
            self.owned.remove(&element.home);
        }
    }
}
