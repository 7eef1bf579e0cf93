//! The 14 ASAP messages (RFC 5352 2.2).

use super::Limits;
use super::error::{DecodeError, EncodeError};
use super::types::{
    ErrorCause, OperationError, PeId, Policy, PoolElement, PoolHandle, ServerId, Transport,
};
use bytes::Bytes;

/// An ASAP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// 0x01, PE to server.
    Registration {
        /// Pool to join.
        handle: PoolHandle,
        /// The element.
        element: PoolElement,
    },
    /// 0x02, PE to server.
    Deregistration {
        /// Pool to leave.
        handle: PoolHandle,
        /// Who leaves.
        pe_id: PeId,
    },
    /// 0x03, server to PE.
    RegistrationResponse {
        /// R bit: refused. An error without it is a warning.
        reject: bool,
        /// Pool.
        handle: PoolHandle,
        /// Element.
        pe_id: PeId,
        /// Causes.
        error: Option<OperationError>,
    },
    /// 0x04, server to PE; unasked when the registration life ran out. An error means it was refused.
    DeregistrationResponse {
        /// Pool.
        handle: PoolHandle,
        /// Element.
        pe_id: PeId,
        /// Causes.
        error: Option<OperationError>,
    },
    /// 0x05, PU to server.
    HandleResolution {
        /// S bit: send updates when the pool changes.
        subscribe: bool,
        /// Pool asked for.
        handle: PoolHandle,
        /// Handle Resolution Option (draft-dreibholz-rserpool-asap-hropt): elements wanted, 0xffffffff is all.
        items: Option<u32>,
    },
    /// 0x06, server to PU.
    HandleResolutionResponse {
        /// A bit: updates will follow.
        subscribed: bool,
        /// Pool.
        handle: PoolHandle,
        /// The pool's policy; None on the wire means round robin.
        policy: Option<Policy>,
        /// Its elements; their policies are not the pool's policy (RFC 5352 2.2.6).
        elements: Vec<PoolElement>,
        /// A negative answer.
        error: Option<OperationError>,
    },
    /// 0x07, server to PE.
    EndpointKeepAlive {
        /// H bit: the sender is the element's home from now on.
        home: bool,
        /// Who sends.
        server: ServerId,
        /// Pool.
        handle: PoolHandle,
        /// Not in the RFC; rsplib adds it, and it is accepted.
        pe_id: Option<PeId>,
    },
    /// 0x08, PE to server.
    EndpointKeepAliveAck {
        /// Pool.
        handle: PoolHandle,
        /// Element.
        pe_id: PeId,
    },
    /// 0x09, PU to server.
    EndpointUnreachable {
        /// Pool.
        handle: PoolHandle,
        /// Element that was not reached.
        pe_id: PeId,
    },
    /// 0x0a, server to all.
    ServerAnnounce {
        /// Who announces.
        server: ServerId,
        /// SCTP and TCP transports; none: SCTP, source address, port 3863.
        transports: Vec<Transport>,
    },
    /// 0x0b, PE to PU.
    Cookie {
        /// Opaque state.
        cookie: Bytes,
    },
    /// 0x0c, PU to another PE: the last cookie as it was.
    CookieEcho {
        /// Opaque state.
        cookie: Bytes,
    },
    /// 0x0d, between PE and PU.
    BusinessCard {
        /// Pool of the sender.
        handle: PoolHandle,
        /// Elements to fail over to, in order.
        elements: Vec<PoolElement>,
    },
    /// 0x0e.
    Error {
        /// Causes.
        error: OperationError,
    },
}

/// A message that was understood, and what else its sender is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The message.
    pub message: Message,
    /// Unknown parameters that were skipped and are to be reported (type bits 11), one cause each.
    pub report: Vec<ErrorCause>,
}

impl Message {
    /// Encodes as RFC 5352 says: padded to 4 bytes, Length without the last padding.
    ///
    /// # Errors
    /// [`EncodeError`]: too long, or values the format does not allow.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        todo!()
    }

    /// Decodes one message; `bytes` is one SCTP user message. Accepts a Length with and without the final padding.
    ///
    /// # Errors
    /// [`DecodeError`], with the cause to report if the sender is to be told.
    pub fn decode(_bytes: &[u8], _limits: &Limits) -> Result<Decoded, DecodeError> {
        todo!()
    }
}
