//! The hash of pool handles and of what was registered: SipHash under a key drawn from the server's seed, so that nobody can
//! choose handles that fall into one place, nor two registrations that look the same.

use asap::policy::Rng;
use asap::wire::{PoolElement, PoolHandle};
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// A hash under a key.
#[derive(Debug, Clone)]
pub(super) struct Keyed(SipHasher13);

impl Keyed {
    pub(super) fn new(random: &mut Rng) -> Self {
        Self(SipHasher13::new_with_keys(random.next_u64(), random.next_u64()))
    }

    pub(super) fn hash(&self, handle: &PoolHandle) -> u64 {
        self.0.hash(handle.as_bytes())
    }

    /// Of everything in a registration.
    pub(super) fn print(&self, element: &PoolElement) -> u64 {
        let mut hasher = self.0;
        element.hash(&mut hasher);
        hasher.finish()
    }
}
