//! The unit of affinity, and its stream.

use crate::isup;
use crate::wire::ProtocolData;

/// Circuits in one group: one E1.
pub const CIC_BLOCK: u16 = 32;
/// [`GroupKey::cic_block`] of user parts without circuits.
pub const NO_CIC_BLOCK: u16 = 0xffff;

/// A group: all its messages go to one controller, on one stream, in order.
///
/// ISUP: (OPC, DPC, CIC / 32), `sls` is 0. Other user parts: (OPC, DPC, SI, SLS), `cic_block` is [`NO_CIC_BLOCK`]; SCCP as
/// [`SccpAffinity`](super::SccpAffinity) says.
/// OPC and DPC are as the network side sends them: OPC is the network's, DPC the pool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Point code of the network's node.
    pub opc: u32,
    /// Point code of the pool.
    pub dpc: u32,
    /// Service indicator.
    pub si: u8,
    /// Signalling link selection; 0 for ISUP, and for SCCP that is not grouped by it.
    pub sls: u8,
    /// CIC / 32 for ISUP, the group of TCAP dialogues for SCCP grouped by them, else [`NO_CIC_BLOCK`].
    pub cic_block: u16,
}

impl GroupKey {
    /// A circuit group.
    #[must_use]
    pub fn is_isup(&self) -> bool {
        self.si == isup::SERVICE_INDICATOR
    }

    /// The group of a message from the network to the pool; `None` when ISUP is too short to have a CIC (malformed).
    #[must_use]
    pub fn from_network(message: &ProtocolData<'_>) -> Option<Self> {
        Self::new(message.opc, message.dpc, message)
    }

    /// The group of a message from the pool to the network, which has OPC and DPC swapped; `None` as above.
    #[must_use]
    pub fn from_pool(message: &ProtocolData<'_>) -> Option<Self> {
        Self::new(message.dpc, message.opc, message)
    }

    fn new(opc: u32, dpc: u32, message: &ProtocolData<'_>) -> Option<Self> {
        let (sls, cic_block) = match message.si {
            isup::SERVICE_INDICATOR => (0, isup::cic(message.user_data)? / CIC_BLOCK),
            _ => (message.sls, NO_CIC_BLOCK),
        };
        Some(GroupKey { opc, dpc, si: message.si, sls, cic_block })
    }

    /// A hash that is the same in every version and on every machine: FNV-1a, 32 bits, over
    /// `opc (4 octets) dpc (4) si (1) sls (1) cic_block (2)`, big-endian, then the finalizer of MurmurHash3
    /// (`h ^= h >> 16; h *= 0x85ebca6b; h ^= h >> 13; h *= 0xc2b2ae35; h ^= h >> 16`), because FNV alone leaves
    /// neighbours in neighbouring remainders.
    #[must_use]
    pub fn stable_hash(&self) -> u32 {
        let fields =
            [&self.opc.to_be_bytes()[..], &self.dpc.to_be_bytes(), &[self.si, self.sls], &self.cic_block.to_be_bytes()];
        let mut hash = 0x811c_9dc5_u32;
        for octet in fields.into_iter().flatten() {
            hash = (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193);
        }
        hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

/// The stream of a group's DATA, cookies and barriers on an association with `streams` outgoing streams:
/// `1 + hash % (streams - 1)`. Stream 0 never carries DATA (RFC 4666 section 1.4.7), so an association needs at least
/// two streams; with fewer the answer is 1, which SCTP refuses.
#[must_use]
pub fn stream_for(group: &GroupKey, streams: u16) -> u16 {
    data_stream(group.stable_hash(), streams)
}

/// The stream toward the network side: `1 + SLS % (streams - 1)`, so that one SLS stays in sequence.
#[must_use]
pub fn sls_stream(sls: u8, streams: u16) -> u16 {
    data_stream(u32::from(sls), streams)
}

fn data_stream(number: u32, streams: u16) -> u16 {
    let data_streams = streams.saturating_sub(1).max(1);
    // The remainder is less than a u16.
    1 + (number % u32::from(data_streams)) as u16
}
