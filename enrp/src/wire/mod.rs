//! The ENRP messages (RFC 5353 section 2). Parameters are ASAP's ([`asap::wire`]).
//!
//! ```text
//! |  message type | message flags |        message length         |
//! |                    Sending Server's ID                        |
//! |          Receiving Server's ID (0: to all, or unknown)        |
//! :                  fixed fields, parameters                     :
//! ```
//!
//! What the RFC leaves open, and how it is here: the flags' bits are those of wireshark and rsplib (the figures print them as
//! zeros in places); 0x01 of HANDLE_UPDATE is the takeover suggestion of draft-dreibholz-rserpool-enrp-takeover, read and not
//! acted on.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use asap::wire::{ErrorCause, OperationError, PoolElement, PoolHandle, ServerId, ServerInformation};
pub use decode::Decoded;
pub use encode::TableWriter;

/// Message types (RFC 5353 section 5.1).
pub(crate) mod message_type {
    pub(crate) const PRESENCE: u8 = 0x01;
    pub(crate) const HANDLE_TABLE_REQUEST: u8 = 0x02;
    pub(crate) const HANDLE_TABLE_RESPONSE: u8 = 0x03;
    pub(crate) const HANDLE_UPDATE: u8 = 0x04;
    pub(crate) const LIST_REQUEST: u8 = 0x05;
    pub(crate) const LIST_RESPONSE: u8 = 0x06;
    pub(crate) const INIT_TAKEOVER: u8 = 0x07;
    pub(crate) const INIT_TAKEOVER_ACK: u8 = 0x08;
    pub(crate) const TAKEOVER_SERVER: u8 = 0x09;
    pub(crate) const ERROR: u8 = 0x0a;
}

/// R of ENRP_PRESENCE, W of HANDLE_TABLE_REQUEST, R (reject) of both responses, T of HANDLE_UPDATE.
pub(crate) const FLAG: u8 = 0x01;
/// M of HANDLE_TABLE_RESPONSE.
pub(crate) const MORE: u8 = 0x02;

/// An ENRP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Sending Server's ID.
    pub sender: ServerId,
    /// Receiving Server's ID; 0: all, or not known.
    pub receiver: ServerId,
    /// What it says.
    pub body: Body,
}

/// What an ENRP message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// 0x01.
    Presence(Presence),
    /// 0x02.
    HandleTableRequest {
        /// W bit: only the elements that the receiver owns.
        own: bool,
    },
    /// 0x03.
    HandleTableResponse {
        /// R bit: refused; there are no entries.
        reject: bool,
        /// M bit: ask again for the rest.
        more: bool,
        /// Elements; those of a pool may stand together.
        entries: Vec<Entry>,
    },
    /// 0x04.
    HandleUpdate {
        /// What happened.
        action: UpdateAction,
        /// To which element.
        entry: Entry,
    },
    /// 0x05.
    ListRequest,
    /// 0x06.
    ListResponse {
        /// R bit: refused; there are no servers.
        reject: bool,
        /// The servers that the sender knows.
        servers: Vec<ServerInformation>,
    },
    /// 0x07.
    InitTakeover {
        /// The server to take over.
        target: ServerId,
    },
    /// 0x08.
    InitTakeoverAck {
        /// The server to take over.
        target: ServerId,
    },
    /// 0x09.
    TakeoverServer {
        /// The server that was taken over.
        target: ServerId,
    },
    /// 0x0a.
    Error {
        /// Causes.
        error: OperationError,
    },
}

/// ENRP_PRESENCE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// R bit: answer with a presence that has the server information.
    pub reply: bool,
    /// PE checksum over the elements that the sender owns.
    pub checksum: u16,
    /// The sender understands our extensions, in this version; none: another implementation.
    pub extensions: Option<u32>,
    /// With the parameter that those who do not know it should report (`asap::wire::param::PROBE`).
    pub probe: bool,
    /// Where the sender is. A MUST in the answer to an R bit.
    pub server: Option<ServerInformation>,
}

/// One element of a table or an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its pool.
    pub handle: PoolHandle,
    /// The element, with home server and ASAP transport.
    pub element: PoolElement,
    /// How often it changed its home, if the sender says so (ours).
    pub claim: Option<u32>,
}

/// Update Action of HANDLE_UPDATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateAction {
    /// 0x0000: the element is to be added, or replaced.
    Add,
    /// 0x0001: the element is to be removed.
    Delete,
}

impl Message {
    /// The ENRP_ERROR with these causes (RFC 5353 section 3.7).
    #[must_use]
    pub fn error(sender: ServerId, receiver: ServerId, causes: Vec<ErrorCause>) -> Self {
        Self { sender, receiver, body: Body::Error { error: OperationError { causes } } }
    }
}
