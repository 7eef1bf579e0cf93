//! Which SCCP messages (SI 3) stay together.

use super::group::GroupKey;
use crate::wire::ProtocolData;
use crate::{sccp, tcap};

/// Groups of TCAP dialogues between two point codes: as many as six bits name.
pub const DIALOGUE_GROUPS: u16 = 64;

/// What an SCCP message is grouped by. Gateway and controllers must agree; other user parts are grouped as [`GroupKey`] says,
/// whatever this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SccpAffinity {
    /// By TCAP transaction id; by SLS what has none, or none that can be read.
    Tcap,
    /// By SLS.
    #[default]
    Sls,
    /// By point codes alone.
    PointCodes,
}

/// What a message was grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupedBy {
    /// A TCAP transaction id.
    Transaction,
    /// OPC, DPC and SLS.
    Sls,
    /// OPC and DPC.
    PointCodes,
    /// Not SCCP.
    UserPart,
}

impl SccpAffinity {
    /// The group of a message from the network to the pool; `None` as [`GroupKey::from_network`].
    #[must_use]
    pub fn of_network(self, message: &ProtocolData<'_>) -> Option<(GroupKey, GroupedBy)> {
        GroupKey::from_network(message).map(|key| self.refine(key, message, true))
    }

    /// The group of a message from the pool to the network; `None` as [`GroupKey::from_pool`].
    #[must_use]
    pub fn of_pool(self, message: &ProtocolData<'_>) -> Option<(GroupKey, GroupedBy)> {
        GroupKey::from_pool(message).map(|key| self.refine(key, message, false))
    }

    fn refine(self, key: GroupKey, message: &ProtocolData<'_>, to_pool: bool) -> (GroupKey, GroupedBy) {
        if key.si != sccp::SERVICE_INDICATOR {
            return (key, GroupedBy::UserPart);
        }
        let by_sls = (key, GroupedBy::Sls);
        match self {
            Self::Sls => by_sls,
            Self::PointCodes => (GroupKey { sls: 0, ..key }, GroupedBy::PointCodes),
            Self::Tcap => dialogue_group(message.user_data, to_pool)
                .map_or(by_sls, |group| (GroupKey { sls: 0, cic_block: group, ..key }, GroupedBy::Transaction)),
        }
    }
}

/// The group of the dialogues with this transaction id: its six low bits, less than [`DIALOGUE_GROUPS`].
///
/// A controller that answers a Begin takes an id of its own that has the same six bits. Then any message of the dialogue, either
/// way, leads to the same group by whichever id it has (End and Abort have only the receiver's), and nobody keeps a table of
/// dialogues.
#[must_use]
pub fn dialogue_group_of(id: &[u8]) -> Option<u16> {
    id.last().map(|octet| u16::from(*octet) % DIALOGUE_GROUPS)
}

/// The pool's id decides if it is there, else the network's.
fn dialogue_group(user_data: &[u8], to_pool: bool) -> Option<u16> {
    let unitdata = sccp::read(user_data).filter(|unitdata| !unitdata.continues)?;
    let head = tcap::read(unitdata.data)?;
    // What comes back undelivered was sent by the side that now receives it (Q.714 section 4.2).
    let comes_back = matches!(unitdata.message_type, sccp::MessageType::Udts | sccp::MessageType::Xudts);
    let (first, second) =
        if to_pool == comes_back { (head.originating, head.destination) } else { (head.destination, head.originating) };
    dialogue_group_of(first.or(second)?)
}
