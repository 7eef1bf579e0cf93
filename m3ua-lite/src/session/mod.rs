//! What gateway (SG) and controllers (GWC) of sigpool agree on beyond RFC 4666; ARCHITECTURE.md "The SG-GWC session,
//! exactly" is the contract. A foreign ASP sees only plain DATA, BEAT and BEAT ACK.

mod affinity;
mod correlation;
mod envelope;
mod group;
mod heartbeat;
mod record;

pub use affinity::{DIALOGUE_GROUPS, GroupedBy, SccpAffinity, dialogue_group_of};
pub use correlation::CorrelationId;
pub use envelope::{Envelope, EnvelopeError};
pub use group::{CIC_BLOCK, GroupKey, NO_CIC_BLOCK, sls_stream, stream_for};
pub use heartbeat::{HEARTBEAT_MAX, Heartbeat, Lease};
pub use record::{FlowRecord, GroupRecord};
