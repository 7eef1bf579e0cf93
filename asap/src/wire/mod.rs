//! The wire: RFC 5354 parameters and RFC 5352 messages.
//!
//! [`Message::decode`] and [`Message::encode`] are the ASAP codec. The parameter layer under them ([`Reader`], [`Writer`] and the
//! `encode`, `decode` of each parameter) serves ENRP as well, which has the same parameters in other messages.

mod error;
mod message;
mod types;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use message::{Decoded, Message};
pub use types::{
    DccpTransport, ErrorCause, IpTransport, OperationError, PeId, Policy, PoolElement, PoolHandle,
    RegistrationLife, SctpTransport, ServerId, ServerInformation, Transport, TransportUse,
};

use serde::{Deserialize, Serialize};

/// SCTP, TCP and UDP port of ASAP (RFC 5352 8.2).
pub const ASAP_PORT: u16 = 3863;
/// SCTP payload protocol identifier of ASAP (RFC 5352 8.3), as a host order value.
pub const ASAP_PPID: u32 = 11;

/// What a receiver accepts. Messages beyond it are answered with Invalid Values or Lack of Resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes in a pool handle. Default 255 (the wire allows 65,531).
    pub max_handle: usize,
    /// Pool elements in one message. Default 2,048 (a 64 KiB message holds about 1,638).
    pub max_elements: usize,
    /// Addresses in one SCTP transport. Default 16.
    pub max_addresses: usize,
    /// Bytes in a cookie. Default 16,384.
    pub max_cookie: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_handle: 255,
            max_elements: 2_048,
            max_addresses: 16,
            max_cookie: 16_384,
        }
    }
}
