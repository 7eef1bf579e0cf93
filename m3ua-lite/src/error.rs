//! What can be wrong with bytes, and what the peer is told about it.

use core::fmt;

use crate::wire::{Diagnostic, ErrorCode, ErrorMessage, MessageType, RoutingContexts};

/// Octets of the offending message that ERR carries: RFC 4666 section 3.8.1 wants the first 40 for an unsupported
/// class or type; the same bound keeps every ERR small, so that answering garbage never amplifies it.
pub const DIAGNOSTIC_OCTETS_MAX: usize = 40;

/// Why bytes are not an M3UA message this crate understands.
///
/// [`DecodeError::answer`] builds the ERR message RFC 4666 section 3.8.1 wants for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than the common header of 8 octets.
    TooShort {
        /// Octets received.
        len: usize,
    },
    /// The version field is not 1.
    Version {
        /// Version received.
        version: u8,
    },
    /// The Message Length field does not fit the octets received.
    Length {
        /// Length the header claims.
        claimed: u32,
        /// Octets received.
        received: usize,
    },
    /// The message class is not one of RFC 4666.
    UnsupportedClass {
        /// Class received.
        class: u8,
    },
    /// The class is known, the type in it is not.
    UnsupportedType {
        /// Class received.
        class: u8,
        /// Type received.
        message_type: u8,
    },
    /// A parameter's length field is less than 4, reaches over the end, or does not fit what the parameter holds.
    ParameterLength {
        /// The parameter's tag.
        tag: u16,
        /// The length field (with the 4 octets of tag and length).
        length: u16,
    },
    /// A parameter that may occur once came again.
    DuplicateParameter {
        /// The parameter's tag.
        tag: u16,
    },
    /// A mandatory parameter is missing.
    MissingParameter {
        /// The missing parameter's tag.
        tag: u16,
    },
    /// A parameter has a value that RFC 4666 does not allow there.
    InvalidValue {
        /// The parameter's tag.
        tag: u16,
    },
    /// A Traffic Mode Type other than override, loadshare and broadcast.
    TrafficMode {
        /// Value received.
        mode: u32,
    },
    /// A list is longer than this crate's bound.
    TooMany {
        /// The list's tag.
        tag: u16,
        /// The bound.
        limit: usize,
    },
}

impl DecodeError {
    /// The error code of RFC 4666 section 3.8.1 for this error; `None` when no ERR can be built (no header to answer).
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            DecodeError::TooShort { .. } => None,
            DecodeError::Version { .. } => Some(ErrorCode::InvalidVersion),
            DecodeError::UnsupportedClass { .. } => Some(ErrorCode::UnsupportedMessageClass),
            DecodeError::UnsupportedType { .. } => Some(ErrorCode::UnsupportedMessageType),
            DecodeError::ParameterLength { .. } => Some(ErrorCode::ParameterFieldError),
            DecodeError::Length { .. } | DecodeError::DuplicateParameter { .. } => Some(ErrorCode::ProtocolError),
            DecodeError::MissingParameter { .. } => Some(ErrorCode::MissingParameter),
            DecodeError::InvalidValue { .. } | DecodeError::TooMany { .. } => Some(ErrorCode::InvalidParameterValue),
            DecodeError::TrafficMode { .. } => Some(ErrorCode::UnsupportedTrafficMode),
        }
    }

    /// The ERR message that answers `offending` (the bytes given to [`crate::wire::Message::decode`]).
    ///
    /// `None` when there is nothing to answer, above all when the offending message was itself an ERR
    /// (RFC 4666 section 3.8.1: MUST NOT). How often errors are answered is the caller's to limit.
    #[must_use]
    pub fn answer<'a>(&self, offending: &'a [u8]) -> Option<ErrorMessage<'a>> {
        let code = self.code()?;
        answer(code, RoutingContexts::new(), offending)
    }
}

/// An ERR with `code` about `offending`; `None` when that was itself an ERR.
#[must_use]
pub fn answer<'a>(code: ErrorCode, routing_contexts: RoutingContexts, offending: &'a [u8]) -> Option<ErrorMessage<'a>> {
    if offending.get(2..4) == Some(&MessageType::Error.code().to_be_bytes()) {
        return None;
    }
    let kept = offending.len().min(DIAGNOSTIC_OCTETS_MAX);
    Some(ErrorMessage {
        code,
        routing_contexts,
        network_appearance: None,
        affected: heapless::Vec::new(),
        diagnostic: offending.get(..kept).map(Diagnostic),
    })
}

/// ERR "Invalid Network Appearance" about `offending`, which must name the wrong one (RFC 4666 section 3.8.1).
#[must_use]
pub fn invalid_appearance(appearance: u32, offending: &[u8]) -> Option<ErrorMessage<'_>> {
    let mut error = answer(ErrorCode::InvalidNetworkAppearance, RoutingContexts::new(), offending)?;
    error.network_appearance = Some(appearance);
    Some(error)
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::TooShort { len } => {
                write!(f, "{len} octets are shorter than the common header")
            }
            DecodeError::Version { version } => write!(f, "version {version} is not 1"),
            DecodeError::Length { claimed, received } => {
                write!(f, "length field {claimed}, received {received} octets")
            }
            DecodeError::UnsupportedClass { class } => {
                write!(f, "unsupported message class {class}")
            }
            DecodeError::UnsupportedType { class, message_type } => {
                write!(f, "unsupported message type {message_type} in class {class}")
            }
            DecodeError::ParameterLength { tag, length } => {
                write!(f, "parameter {tag:#06x} has the wrong length {length}")
            }
            DecodeError::DuplicateParameter { tag } => write!(f, "parameter {tag:#06x} came twice"),
            DecodeError::MissingParameter { tag } => {
                write!(f, "mandatory parameter {tag:#06x} is missing")
            }
            DecodeError::InvalidValue { tag } => {
                write!(f, "parameter {tag:#06x} has a value not allowed")
            }
            DecodeError::TrafficMode { mode } => {
                write!(f, "traffic mode type {mode} is not supported")
            }
            DecodeError::TooMany { tag, limit } => {
                write!(f, "parameter {tag:#06x} has more than {limit} entries")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The output buffer is too small.
    BufferTooSmall {
        /// Octets needed.
        needed: usize,
        /// Octets given.
        given: usize,
    },
    /// A parameter's value does not fit (its length field has 16 bits; INFO String has 255 octets at most).
    ParameterTooLong {
        /// The parameter's tag.
        tag: u16,
        /// Octets of its value.
        len: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::BufferTooSmall { needed, given } => {
                write!(f, "{needed} octets needed, {given} given")
            }
            EncodeError::ParameterTooLong { tag, len } => {
                write!(f, "parameter {tag:#06x} with {len} octets is too long")
            }
        }
    }
}

impl core::error::Error for EncodeError {}
