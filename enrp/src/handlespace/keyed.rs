//! The hash of pool handles: SipHash under a key drawn from the server's seed, so that nobody can choose handles that
//! fall into one place.

use asap::policy::Rng;
use siphasher::sip::SipHasher13;
use std::hash::BuildHasher;

/// Builds hashers with one key.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    key: (u64, u64),
}

impl Keyed {
    pub(super) fn new(random: &mut Rng) -> Self {
        Self { key: (random.next_u64(), random.next_u64()) }
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}
