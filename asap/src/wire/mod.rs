//! The wire: RFC 5354 parameters and RFC 5352 messages.
//!
//! [`Message::decode`] and [`Message::encode`] are the ASAP codec. ENRP, which has the same parameters in other messages, uses the
//! layer below: [`Header::split`] and [`Parameters`] to read, [`Writer`] to write.

mod decode;
mod error;
mod message;
mod reader;
mod types;
mod writer;

pub use decode::Decoded;
pub use error::{DecodeError, DecodeErrorKind, EncodeError, FailedRequest};
pub use message::Message;
pub use reader::{Header, Parameter, Parameters};
pub use types::{
    Addresses, DccpTransport, ElementReport, ErrorCause, IpTransport, OperationError, PeId, Policy, PoolElement,
    PoolHandle, RegistrationLife, SctpTransport, ServerId, ServerInformation, Transport, TransportUse,
};
pub use writer::Writer;

use serde::{Deserialize, Serialize};

/// SCTP, TCP and UDP port of ASAP (RFC 5352 8.2).
pub const ASAP_PORT: u16 = 3863;
/// SCTP payload protocol identifier of ASAP (RFC 5352 8.3), as a host order value.
pub const ASAP_PPID: u32 = 11;
/// Longest message, in bytes: a multiple of four, as messages are padded to, within the 16 bits of Message Length and what SCTP carries.
pub const MESSAGE_BYTES_MAX: usize = 65_532;
/// Longest selection hint, in bytes.
pub const HINT_BYTES_MAX: usize = 255;
/// Most element reports in one message.
pub const REPORTS_MAX: usize = 64;

/// What a receiver accepts. Messages beyond it are answered with Invalid Values or Lack of Resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes in a pool handle. Default 255 (the wire allows 65,531).
    pub max_handle: usize,
    /// Pool elements in one message. Default 2,048 (a 64 KiB message holds about 1,638).
    pub max_elements: usize,
    /// Addresses in one SCTP transport. Default 64.
    pub max_addresses: usize,
    /// Bytes in a cookie. Default 16,384.
    pub max_cookie: usize,
    /// Causes in one error. Default 16.
    pub max_causes: usize,
}

impl Limits {
    /// Whether a handle is one to use: not empty, and not longer than `max_handle`.
    #[must_use]
    pub fn allow(&self, handle: &PoolHandle) -> bool {
        (1..=self.max_handle).contains(&handle.as_bytes().len())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_handle: 255, max_elements: 2_048, max_addresses: 64, max_cookie: 16_384, max_causes: 16 }
    }
}

/// Parameter types (RFC 5354 Table 1, IANA RSerPool parameters).
pub mod param {
    /// IPv4 Address.
    pub const IPV4_ADDRESS: u16 = 0x0001;
    /// IPv6 Address.
    pub const IPV6_ADDRESS: u16 = 0x0002;
    /// DCCP Transport.
    pub const DCCP_TRANSPORT: u16 = 0x0003;
    /// SCTP Transport.
    pub const SCTP_TRANSPORT: u16 = 0x0004;
    /// TCP Transport.
    pub const TCP_TRANSPORT: u16 = 0x0005;
    /// UDP Transport.
    pub const UDP_TRANSPORT: u16 = 0x0006;
    /// UDP-Lite Transport.
    pub const UDP_LITE_TRANSPORT: u16 = 0x0007;
    /// Pool Member Selection Policy.
    pub const POLICY: u16 = 0x0008;
    /// Pool Handle.
    pub const POOL_HANDLE: u16 = 0x0009;
    /// Pool Element.
    pub const POOL_ELEMENT: u16 = 0x000a;
    /// Server Information.
    pub const SERVER_INFORMATION: u16 = 0x000b;
    /// Operation Error.
    pub const OPERATION_ERROR: u16 = 0x000c;
    /// Cookie.
    pub const COOKIE: u16 = 0x000d;
    /// PE Identifier.
    pub const PE_IDENTIFIER: u16 = 0x000e;
    /// PE Checksum.
    pub const PE_CHECKSUM: u16 = 0x000f;
    /// Opaque Transport.
    pub const OPAQUE_TRANSPORT: u16 = 0x0010;
    /// Handle Resolution Option (draft-dreibholz-rserpool-asap-hropt); type bits 10: others skip it.
    pub const RESOLUTION_OPTION: u16 = 0x803f;
    /// Selection Hint (ours): up to 255 bytes that mean something to a selection plug-in of the server; type bits 10: others skip it.
    pub const SELECTION_HINT: u16 = 0xbf01;
    /// Element Report (ours): PE identifier, load and round trip as a pool user measured them; type bits 10: others skip it.
    pub const ELEMENT_REPORT: u16 = 0xbf02;
    /// Extensions (ours), in ENRP_PRESENCE: the sender understands the ENRP parameters of this list; type bits 10: others skip it.
    pub const EXTENSIONS: u16 = 0xbf03;
    /// Claim (ours), in ENRP before a Pool Element: how often that element changed its home; type bits 10: others skip it.
    pub const CLAIM: u16 = 0xbf04;
    /// Probe (ours), in ENRP_PRESENCE: nothing but a parameter whose type bits 11 ask whoever does not know it for a report. Who
    /// keeps to RFC 5354 section 3 reports it; rsplib does not.
    pub const PROBE: u16 = 0xff03;
}

/// Error cause codes (RFC 5354 Table 2).
pub mod cause_code {
    /// Unspecified Error.
    pub const UNSPECIFIED: u16 = 0x0;
    /// Unrecognized Parameter.
    pub const UNRECOGNIZED_PARAMETER: u16 = 0x1;
    /// Unrecognized Message.
    pub const UNRECOGNIZED_MESSAGE: u16 = 0x2;
    /// Invalid Values.
    pub const INVALID_VALUES: u16 = 0x3;
    /// Non-unique PE Identifier.
    pub const NON_UNIQUE_PE_ID: u16 = 0x4;
    /// Inconsistent Pooling Policy.
    pub const INCONSISTENT_POLICY: u16 = 0x5;
    /// Lack of Resources.
    pub const LACK_OF_RESOURCES: u16 = 0x6;
    /// Inconsistent Transport Type.
    pub const INCONSISTENT_TRANSPORT_TYPE: u16 = 0x7;
    /// Inconsistent Data/Control Configuration.
    pub const INCONSISTENT_DATA_CONTROL: u16 = 0x8;
    /// Unknown Pool Handle.
    pub const UNKNOWN_POOL_HANDLE: u16 = 0x9;
    /// Rejected due to security considerations.
    pub const SECURITY: u16 = 0xa;
}

/// ASAP message types (RFC 5352 2.2).
pub mod message_type {
    /// ASAP_REGISTRATION.
    pub const REGISTRATION: u8 = 0x01;
    /// ASAP_DEREGISTRATION.
    pub const DEREGISTRATION: u8 = 0x02;
    /// ASAP_REGISTRATION_RESPONSE.
    pub const REGISTRATION_RESPONSE: u8 = 0x03;
    /// ASAP_DEREGISTRATION_RESPONSE.
    pub const DEREGISTRATION_RESPONSE: u8 = 0x04;
    /// ASAP_HANDLE_RESOLUTION.
    pub const HANDLE_RESOLUTION: u8 = 0x05;
    /// ASAP_HANDLE_RESOLUTION_RESPONSE.
    pub const HANDLE_RESOLUTION_RESPONSE: u8 = 0x06;
    /// ASAP_ENDPOINT_KEEP_ALIVE.
    pub const ENDPOINT_KEEP_ALIVE: u8 = 0x07;
    /// ASAP_ENDPOINT_KEEP_ALIVE_ACK.
    pub const ENDPOINT_KEEP_ALIVE_ACK: u8 = 0x08;
    /// ASAP_ENDPOINT_UNREACHABLE.
    pub const ENDPOINT_UNREACHABLE: u8 = 0x09;
    /// ASAP_SERVER_ANNOUNCE.
    pub const SERVER_ANNOUNCE: u8 = 0x0a;
    /// ASAP_COOKIE.
    pub const COOKIE: u8 = 0x0b;
    /// ASAP_COOKIE_ECHO.
    pub const COOKIE_ECHO: u8 = 0x0c;
    /// ASAP_BUSINESS_CARD.
    pub const BUSINESS_CARD: u8 = 0x0d;
    /// ASAP_ERROR.
    pub const ERROR: u8 = 0x0e;
}
