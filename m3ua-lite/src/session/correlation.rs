//! Correlation Ids between gateway and controller.

use core::fmt;

/// Bits of the sequence number.
const SEQ_BITS: u32 = 20;
const SEQ_MASK: u32 = (1 << SEQ_BITS) - 1;
const EPOCH_BITS: u32 = 8;

/// Correlation Id of DATA from gateway to controller: `gateway (4 bits) | epoch (8) | sequence (20)`.
///
/// **The sequence counts per group**, not per gateway: order is compared in a window of half the number space (524,287
/// messages), and a group that rests while others work must not fall out of it. 0 is "none yet" ([`Self::NONE`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CorrelationId(
    /// The value on the wire.
    pub u32,
);

impl CorrelationId {
    /// No message yet; the mark of a new cookie.
    pub const NONE: CorrelationId = CorrelationId(0);

    /// The id before the first one of a group: take [`Self::next`] of it. `gateway` has 4 bits, `epoch`
    /// (another one at each start of the gateway) 8; higher bits are cut off.
    #[must_use]
    pub const fn start(gateway: u8, epoch: u8) -> Self {
        CorrelationId((gateway as u32 & 0xf) << (SEQ_BITS + EPOCH_BITS) | (epoch as u32) << SEQ_BITS)
    }

    /// The gateway's number, 0 to 15.
    #[must_use]
    pub const fn gateway(self) -> u8 {
        (self.0 >> (SEQ_BITS + EPOCH_BITS)) as u8
    }

    /// The gateway's epoch.
    #[must_use]
    pub const fn epoch(self) -> u8 {
        (self.0 >> SEQ_BITS) as u8
    }

    /// The sequence number, 20 bits.
    #[must_use]
    pub const fn sequence(self) -> u32 {
        self.0 & SEQ_MASK
    }

    /// The id of the group's next message: same gateway and epoch, sequence plus one. Never [`Self::NONE`]: the
    /// sequence wraps from 0xfffff to 1.
    #[must_use]
    pub const fn next(self) -> Self {
        let sequence = match self.sequence() {
            SEQ_MASK => 1,
            sequence => sequence + 1,
        };
        CorrelationId(self.0 & !SEQ_MASK | sequence)
    }

    /// True when this message comes after `last`, the last one applied, so that it must be applied; false for a
    /// duplicate. The sequence compares in a window (serial arithmetic as in RFC 1982).
    ///
    /// Ids of another gateway or epoch count on their own, say nothing about duplicates and are always after: an epoch may
    /// be random, and what an earlier one sent can come no more, since its associations are gone.
    #[must_use]
    pub const fn is_after(self, last: CorrelationId) -> bool {
        if last.0 == Self::NONE.0 || (self.0 ^ last.0) & !SEQ_MASK != 0 {
            return true;
        }
        let distance = self.sequence().wrapping_sub(last.sequence()) & SEQ_MASK;
        distance != 0 && distance < 1 << (SEQ_BITS - 1)
    }
}

impl fmt::Display for CorrelationId {
    /// Eight hex digits, as in the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}
