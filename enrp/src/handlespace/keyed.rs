//! The hash of pool handles: SipHash under a key drawn from the server's seed, so that nobody can choose handles that
//! fall into one place.

use asap::policy::Rng;
use asap::wire::PoolHandle;
use siphasher::sip::SipHasher13;

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
}
