//! Why bytes are no message, and what the sender is to be told.

use super::message::Message;
use super::types::{ErrorCause, PeId, PoolHandle};

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
    /// The request that failed, when it was one and could be told: its refusal is the answer instead of a bare ASAP_ERROR.
    pub request: Option<FailedRequest>,
}

/// An ASAP request whose parameters could not all be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailedRequest {
    /// REGISTRATION.
    Registration(PoolHandle, PeId),
    /// DEREGISTRATION.
    Deregistration(PoolHandle, PeId),
    /// HANDLE_RESOLUTION.
    HandleResolution(PoolHandle),
}

impl DecodeError {
    pub(super) fn silent(kind: DecodeErrorKind) -> Self {
        Self { kind, cause: None, request: None }
    }

    pub(super) fn reported(kind: DecodeErrorKind, cause: ErrorCause) -> Self {
        Self { kind, cause: Some(cause), request: None }
    }

    /// What to send back, if anything: the request's refusal (RFC 5352 3.1, 3.2, 3.3: a server MUST answer), or ASAP_ERROR.
    #[must_use]
    pub fn answer(&self) -> Option<Message> {
        let error = self.cause.clone()?.into();
        Some(match self.request.clone() {
            Some(FailedRequest::Registration(handle, pe_id)) => {
                Message::RegistrationResponse { reject: true, handle, pe_id, error: Some(error) }
            }
            Some(FailedRequest::Deregistration(handle, pe_id)) => {
                Message::DeregistrationResponse { handle, pe_id, error: Some(error) }
            }
            Some(FailedRequest::HandleResolution(handle)) => Message::HandleResolutionResponse {
                subscribed: false,
                handle,
                policy: None,
                elements: Vec::new(),
                error: Some(error),
            },
            None => Message::Error { error },
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
