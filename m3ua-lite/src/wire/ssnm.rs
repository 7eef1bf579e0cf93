//! SS7 signalling network management messages (RFC 4666 section 3.4), and the parameters many messages share.

use crate::error::{DecodeError, EncodeError};
use crate::wire::tag::{self, Fields, Sink};
use crate::wire::types::words;
use crate::wire::{AffectedList, AffectedPc, RoutingContexts, UnavailabilityCause, UserCause};

/// Octets an INFO String may have (RFC 4666 section 3.4.1).
const INFO_MAX: usize = 255;

pub(crate) fn routing_contexts(fields: &Fields<'_>) -> Result<RoutingContexts, DecodeError> {
    match fields.get(tag::ROUTING_CONTEXT) {
        None => Ok(RoutingContexts::new()),
        Some(value) => words(tag::ROUTING_CONTEXT, value, |word| word),
    }
}

pub(crate) fn affected(fields: &Fields<'_>) -> Result<AffectedList, DecodeError> {
    match fields.get(tag::AFFECTED_POINT_CODE) {
        None => Ok(AffectedList::new()),
        Some(value) => words(tag::AFFECTED_POINT_CODE, value, AffectedPc),
    }
}

fn require_affected(fields: &Fields<'_>) -> Result<AffectedList, DecodeError> {
    words(tag::AFFECTED_POINT_CODE, fields.require(tag::AFFECTED_POINT_CODE)?, AffectedPc)
}

pub(crate) fn info<'a>(fields: &Fields<'a>) -> Result<Option<&'a [u8]>, DecodeError> {
    match fields.get(tag::INFO_STRING) {
        Some(value) if value.len() > INFO_MAX => Err(tag::wrong_length(tag::INFO_STRING, value)),
        other => Ok(other),
    }
}

pub(crate) fn write_contexts<S: Sink>(list: &RoutingContexts, sink: &mut S) {
    sink.words(tag::ROUTING_CONTEXT, list.len(), list.iter().copied());
}

pub(crate) fn write_affected<S: Sink>(list: &AffectedList, sink: &mut S) {
    sink.words(tag::AFFECTED_POINT_CODE, list.len(), list.iter().map(|entry| entry.0));
}

pub(crate) fn write_info<S: Sink>(info: Option<&[u8]>, sink: &mut S) {
    match info {
        Some(value) if value.len() > INFO_MAX => {
            sink.fail(EncodeError::ParameterTooLong { tag: tag::INFO_STRING, len: value.len() });
        }
        other => sink.optional(tag::INFO_STRING, other),
    }
}

/// DUNA, DAVA, DAUD and DRST (RFC 4666 sections 3.4.1 to 3.4.3, 3.4.6): same parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssnm<'a> {
    /// Network Appearance.
    pub network_appearance: Option<u32>,
    /// The ASs concerned.
    pub routing_contexts: RoutingContexts,
    /// The destinations; at least one.
    pub affected: AffectedList,
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> Ssnm<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        Ok(Ssnm {
            network_appearance: fields.word(tag::NETWORK_APPEARANCE)?,
            routing_contexts: routing_contexts(&fields)?,
            affected: require_affected(&fields)?,
            info: info(&fields)?,
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.optional_word(tag::NETWORK_APPEARANCE, self.network_appearance);
        write_contexts(&self.routing_contexts, sink);
        write_affected(&self.affected, sink);
        write_info(self.info, sink);
    }
}

/// SCON (RFC 4666 section 3.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scon<'a> {
    /// Network Appearance.
    pub network_appearance: Option<u32>,
    /// The ASs concerned.
    pub routing_contexts: RoutingContexts,
    /// The congested destinations; at least one.
    pub affected: AffectedList,
    /// From an ASP only: originator of the message that led to this SCON; 24 bits.
    pub concerned: Option<u32>,
    /// Congestion level 0 to 3; only in networks with several levels.
    pub congestion_level: Option<u8>,
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> Scon<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        let congestion_level = match fields.word(tag::CONGESTION_INDICATIONS)?.map(|word| word as u8) {
            Some(4..) => {
                return Err(DecodeError::InvalidValue { tag: tag::CONGESTION_INDICATIONS });
            }
            level => level,
        };
        Ok(Scon {
            network_appearance: fields.word(tag::NETWORK_APPEARANCE)?,
            routing_contexts: routing_contexts(&fields)?,
            affected: require_affected(&fields)?,
            concerned: fields.word(tag::CONCERNED_DESTINATION)?.map(|word| word & 0x00ff_ffff),
            congestion_level,
            info: info(&fields)?,
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.optional_word(tag::NETWORK_APPEARANCE, self.network_appearance);
        write_contexts(&self.routing_contexts, sink);
        write_affected(&self.affected, sink);
        sink.optional_word(tag::CONCERNED_DESTINATION, self.concerned.map(|pc| pc & 0x00ff_ffff));
        sink.optional_word(tag::CONGESTION_INDICATIONS, self.congestion_level.map(u32::from));
        write_info(self.info, sink);
    }
}

/// DUPU (RFC 4666 section 3.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dupu<'a> {
    /// Network Appearance.
    pub network_appearance: Option<u32>,
    /// The ASs concerned.
    pub routing_contexts: RoutingContexts,
    /// Point code of the node without the user part; exactly one, 24 bits.
    pub affected: u32,
    /// Which user part, and why.
    pub user_cause: UserCause,
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> Dupu<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        let affected = AffectedPc(fields.require_word(tag::AFFECTED_POINT_CODE)?);
        if affected.mask() != 0 {
            // The RFC's own example of "Invalid Parameter Value".
            return Err(DecodeError::InvalidValue { tag: tag::AFFECTED_POINT_CODE });
        }
        let user_cause = fields.require_word(tag::USER_CAUSE)?;
        Ok(Dupu {
            network_appearance: fields.word(tag::NETWORK_APPEARANCE)?,
            routing_contexts: routing_contexts(&fields)?,
            affected: affected.pc(),
            user_cause: UserCause {
                cause: UnavailabilityCause::from_code((user_cause >> 16) as u16),
                user: user_cause as u16,
            },
            info: info(&fields)?,
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.optional_word(tag::NETWORK_APPEARANCE, self.network_appearance);
        write_contexts(&self.routing_contexts, sink);
        sink.word(tag::AFFECTED_POINT_CODE, AffectedPc::one(self.affected).0);
        sink.word(tag::USER_CAUSE, u32::from(self.user_cause.cause.code()) << 16 | u32::from(self.user_cause.user));
        write_info(self.info, sink);
    }
}
