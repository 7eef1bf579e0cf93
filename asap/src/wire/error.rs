//! Why bytes are no message, and what the sender is to be told.

use super::message::Message;
use super::types::ErrorCause;

/// Why decoding failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// A length points past the end, or is smaller than its header.
    #[error("length field does not fit the bytes")]
    Length,
    /// A parameter that must be there is not, or another one stands in its place.
    #[error("parameter {0:#06x} missing")]
    Missing(u16),
    /// A value outside what the RFC or our limits allow, in this parameter type.
    #[error("invalid value in parameter {0:#06x}")]
    Invalid(u16),
    /// Unknown parameter whose high bits say: discard the message (RFC 5354 3).
    #[error("unknown parameter {0:#06x}")]
    UnknownParameter(u16),
    /// Unknown message type (RFC 5354 4).
    #[error("unknown message type {0:#04x}")]
    UnknownMessage(u8),
}

/// A message that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Cause to report to the sender; None: discard silently.
    pub cause: Option<ErrorCause>,
}

impl DecodeError {
    /// The ASAP_ERROR to send back, if any.
    #[must_use]
    pub fn answer(&self) -> Option<Message> {
        self.cause.clone().map(|cause| Message::Error {
            error: cause.into(),
        })
    }
}

/// Why a message cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The message or one of its parameters is longer than its 16-bit length field can say.
    #[error("longer than 65,535 bytes")]
    TooLong,
    /// A value the format does not allow: an SCTP transport without address, an empty handle, an error without cause.
    #[error("a value the format does not allow")]
    Invalid,
}
