//! Random numbers from the seed: tags, TSNs, heartbeat nonces, cookie keys.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// SipHash-2-4 in counter mode under a secret key: unpredictable to anyone without the seed, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Rng {
    key: [u8; 16],
    counter: u64,
}

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is a secret.
        f.debug_struct("Rng").field("counter", &self.counter).finish_non_exhaustive()
    }
}

impl Rng {
    /// Uses one half of the seed as key and the other to start the sequence.
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&seed[..16]);
        Self { key: mac(&half, &seed[16..]), counter: 0 }
    }

    /// A fresh key.
    pub(crate) fn key(&mut self) -> [u8; 16] {
        self.counter += 1;
        mac(&self.key, &self.counter.to_be_bytes())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        let key = self.key();
        u64::from_be_bytes([key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7]])
    }

    /// Not zero: tags must not be (RFC 9260 section 5.3.1), and the engine refuses TSN 0.
    pub(crate) fn nonzero_u32(&mut self) -> u32 {
        loop {
            let value = (self.u64() >> 32) as u32;
            if value != 0 {
                return value;
            }
        }
    }
}

/// Keyed hash with 128 bits of output.
pub(crate) fn mac(key: &[u8; 16], data: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(data);
    hasher.finish128().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_sequence() {
        let (mut a, mut b, mut c) = (Rng::new(&[1; 32]), Rng::new(&[1; 32]), Rng::new(&[2; 32]));
        let first: Vec<u64> = (0..100).map(|_| a.u64()).collect();
        assert_eq!(first, (0..100).map(|_| b.u64()).collect::<Vec<_>>());
        assert_ne!(first, (0..100).map(|_| c.u64()).collect::<Vec<_>>());
    }
}
