//! The PE checksum of a home server (RFC 5353 section 3.6.2).
//!
//! For each PE the server owns, the bytes of the pool handle, padded with zeros to a multiple of four, and then the PE
//! identifier; over all of them the Internet checksum of RFC 1071. The order of the PEs does not matter, so a sum kept
//! up to date by adding and subtracting is exact.

/// Sum of the 16-bit words of all blocks. Kept unfolded: subtraction stays exact and there is no minus zero. The largest
/// handlespace (50,000 pools of 10,000 PEs, handles of 64 KiB) sums to about 2^60.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum {
    all: u64,
    /// Of the PEs with short handles alone, each word little-endian.
    short: u64,
}

/// Handles of so many bytes are short ([`Checksum::value_32_bits`]).
pub const SHORT_HANDLE_BYTES: usize = 32;

/// What a pool handle brings into the checksum of each of its PEs.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandleWords {
    sum: u64,
    /// Of little-endian words, for a short handle.
    little_endian: Option<u64>,
}

/// Sum of the 16-bit words of a pool handle; an odd last byte counts as the high half (zero padding).
pub(super) fn handle_words(handle: &[u8]) -> HandleWords {
    let words = handle.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let swapped = || words.clone().map(|word| u64::from(word.swap_bytes())).sum();
    HandleWords {
        little_endian: (handle.len() <= SHORT_HANDLE_BYTES).then(swapped),
        sum: words.clone().map(u64::from).sum(),
    }
}

impl Checksum {
    /// Takes in a PE: the words of its pool's handle ([`handle_words`]) and its identifier.
    pub(super) fn add(&mut self, handle: HandleWords, pe: u32) {
        self.all += handle.sum + pe_words(pe);
        self.short += handle.short(pe);
    }

    /// Takes a PE out again that was added before.
    pub(super) fn subtract(&mut self, handle: HandleWords, pe: u32) {
        self.all -= handle.sum + pe_words(pe);
        self.short -= handle.short(pe);
    }

    /// The value for the PE Checksum parameter. No PEs: 0xffff (the RFC says nothing; rsplib does the same).
    #[must_use]
    pub fn value(self) -> u16 {
        fold(self.all)
    }

    /// The value that a server has which knows the PEs with handles of up to [`SHORT_HANDLE_BYTES`] bytes only, and sums up
    /// little-endian words in 32 bits, without the carry out of them: the same as by the RFC until that sum is 2^32 (the order
    /// of the bytes does not matter to RFC 1071), wrong from there on.
    #[must_use]
    pub fn value_32_bits(self) -> u16 {
        fold(self.short & u64::from(u32::MAX)).swap_bytes()
    }
}

impl HandleWords {
    /// What a PE brings into the sum of short handles.
    fn short(self, pe: u32) -> u64 {
        let [high, low] = [(pe >> 16) as u16, pe as u16].map(|word| u64::from(word.swap_bytes()));
        self.little_endian.map_or(0, |words| words + high + low)
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn pe_words(pe: u32) -> u64 {
    u64::from(pe >> 16) + u64::from(pe & 0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 over the concatenated blocks, written the plain way.
    fn plain(blocks: &[(Vec<u8>, u32)]) -> u16 {
        let mut bytes = Vec::new();
        for (handle, pe) in blocks {
            bytes.extend_from_slice(handle);
            while !bytes.len().is_multiple_of(4) {
                bytes.push(0);
            }
            bytes.extend_from_slice(&pe.to_be_bytes());
        }
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn of(blocks: &[(Vec<u8>, u32)]) -> Checksum {
        let mut checksum = Checksum::default();
        for (handle, pe) in blocks {
            checksum.add(handle_words(handle), *pe);
        }
        checksum
    }

    /// Reference values of rserpool-wire section 8.
    #[test]
    fn golden_values() {
        assert_eq!(Checksum::default().value(), 0xffff);
        assert_eq!(of(&[(b"GatewayPool".to_vec(), 0xdead_beef)]).value(), 0xda79);
        for (n, expected) in [(2_000, 0x717f), (10_000, 0xdb1a), (100_000, 0xf5d2)] {
            let blocks: Vec<_> = (0..n).map(|i| (format!("GatewayPool-{:05}", i % 500).into_bytes(), i + 1)).collect();
            assert_eq!(of(&blocks).value(), expected, "{n} PEs");
            assert_eq!(plain(&blocks), expected, "{n} PEs, plain");
        }
    }

    /// The value that rsplib has for these (rserpool-wire section 8).
    #[test]
    fn in_32_bits_it_is_as_wrong_as_rsplibs() {
        for (n, expected) in [(0, 0xffff), (2_000, 0x717f), (10_000, 0xdb1a), (100_000, 0xf9d2)] {
            let mut checksum = Checksum::default();
            for i in 0..n {
                checksum.add(handle_words(format!("GatewayPool-{:05}", i % 500).as_bytes()), i + 1);
                checksum.add(handle_words(b"a handle of more than 32 bytes ..."), i);
            }
            assert_eq!(checksum.value_32_bits(), expected, "{n} PEs");
        }
        // Out of the sum again, as exactly as into it.
        let mut checksum = of(&[(b"a".to_vec(), 1), (vec![b'b'; 33], 2)]);
        checksum.subtract(handle_words(&[b'b'; 33]), 2);
        checksum.subtract(handle_words(b"a"), 1);
        assert_eq!(checksum, Checksum::default());
    }

    #[test]
    fn taking_everything_out_gives_the_empty_value() {
        let mut checksum = of(&[(b"a".to_vec(), 0xffff_ffff), (b"bc".to_vec(), 0)]);
        checksum.subtract(handle_words(b"bc"), 0);
        checksum.subtract(handle_words(b"a"), 0xffff_ffff);
        assert_eq!(checksum.value(), 0xffff);
    }
}
