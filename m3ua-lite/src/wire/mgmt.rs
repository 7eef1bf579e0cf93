//! Management messages (RFC 4666 section 3.8).

use crate::error::DecodeError;
use crate::wire::tag::{self, Fields, Sink};
use crate::wire::{AffectedList, Diagnostic, ErrorCode, RoutingContexts, Status, ssnm};

/// Error (RFC 4666 section 3.8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage<'a> {
    /// Error Code.
    pub code: ErrorCode,
    /// Routing contexts concerned; mandatory for "Invalid Routing Context".
    pub routing_contexts: RoutingContexts,
    /// Network appearance concerned; mandatory for "Invalid Network Appearance".
    pub network_appearance: Option<u32>,
    /// Point codes concerned; mandatory for "Destination Status Unknown".
    pub affected: AffectedList,
    /// Beginning of the offending message.
    pub diagnostic: Option<Diagnostic<'a>>,
}

impl<'a> ErrorMessage<'a> {
    /// An ERR with nothing but the code.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        ErrorMessage {
            code,
            routing_contexts: RoutingContexts::new(),
            network_appearance: None,
            affected: AffectedList::new(),
            diagnostic: None,
        }
    }

    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        Ok(ErrorMessage {
            code: ErrorCode::from_code(fields.require_word(tag::ERROR_CODE)?),
            routing_contexts: ssnm::routing_contexts(&fields)?,
            network_appearance: fields.word(tag::NETWORK_APPEARANCE)?,
            affected: ssnm::affected(&fields)?,
            diagnostic: fields.get(tag::DIAGNOSTIC_INFORMATION).map(Diagnostic),
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.word(tag::ERROR_CODE, self.code.code());
        ssnm::write_contexts(&self.routing_contexts, sink);
        ssnm::write_affected(&self.affected, sink);
        sink.optional_word(tag::NETWORK_APPEARANCE, self.network_appearance);
        sink.optional(tag::DIAGNOSTIC_INFORMATION, self.diagnostic.map(|diagnostic| diagnostic.0));
    }
}

/// Notify (RFC 4666 section 3.8.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// Status.
    pub status: Status,
    /// The failed ASP (ASP Failure) or the new one (Alternate ASP Active).
    pub asp_id: Option<u32>,
    /// The ASs concerned.
    pub routing_contexts: RoutingContexts,
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> Notify<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        Ok(Notify {
            status: Status::from_code(fields.require_word(tag::STATUS)?),
            asp_id: fields.word(tag::ASP_IDENTIFIER)?,
            routing_contexts: ssnm::routing_contexts(&fields)?,
            info: ssnm::info(&fields)?,
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.word(tag::STATUS, self.status.code());
        sink.optional_word(tag::ASP_IDENTIFIER, self.asp_id);
        ssnm::write_contexts(&self.routing_contexts, sink);
        ssnm::write_info(self.info, sink);
    }
}
