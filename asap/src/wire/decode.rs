//! Bytes to an ASAP message (RFC 5352 2.2).

use super::error::{DecodeError, DecodeErrorKind, FailedRequest};
use super::message::{FLAG, Message};
use super::reader::{Header, Parameter, Parameters, subject};
use super::types::{
    ElementReport, ErrorCause, OperationError, PeId, Policy, PoolElement, PoolHandle, ServerId, Transport,
};
use super::{Limits, REPORTS_MAX, message_type as mt, param};
use bytes::Bytes;

/// A message that was understood, and what else its sender is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The message.
    pub message: Message,
    /// Unknown parameters that were skipped and are to be reported (type bits 11), one cause each.
    pub report: Vec<ErrorCause>,
}

impl Decoded {
    /// The ASAP_ERROR for what was skipped and is to be reported, if anything.
    #[must_use]
    pub fn answer(&self) -> Option<Message> {
        (!self.report.is_empty()).then(|| Message::Error { error: OperationError { causes: self.report.clone() } })
    }
}

impl Message {
    /// Decodes one message; `bytes` is one SCTP user message. Accepts a Length with and without the final padding, parameters in
    /// any order, and known parameters that do not belong to the message (ignored).
    ///
    /// # Errors
    /// [`DecodeError`], with the cause to report if the sender is to be told.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
        let header = Header::split(bytes)?;
        let decoded = match header.message_type {
            mt::REGISTRATION..=mt::ERROR => decode_known(&header, limits),
            other => {
                let kind = DecodeErrorKind::UnknownMessage(other);
                // Only type bits 01 are to be reported (RFC 5354 4).
                Err(if other >> 6 == 0b01 {
                    DecodeError::reported(kind, ErrorCause::UnrecognizedMessage(Bytes::copy_from_slice(echoed(bytes))))
                } else {
                    DecodeError::silent(kind)
                })
            }
        };
        decoded.map_err(|mut error| {
            error.request = failed_request(&header, limits);
            if header.message_type == mt::ERROR {
                // An error about an error would go back and forth for ever.
                error.cause = None;
            }
            error
        })
    }
}

/// The parameters of a message by kind. Kinds that may come only once keep the first; a second is an error.
#[derive(Default)]
struct Slots {
    handle: Option<PoolHandle>,
    pe_id: Option<PeId>,
    policy: Option<Policy>,
    elements: Vec<PoolElement>,
    error: Option<OperationError>,
    cookie: Option<Bytes>,
    items: Option<u32>,
    hint: Option<Bytes>,
    reports: Vec<ElementReport>,
    transports: Vec<Transport>,
}

impl Slots {
    fn put(&mut self, parameter: Parameter, limits: &Limits) -> Result<(), DecodeError> {
        match parameter {
            Parameter::PoolHandle(v) => once(&mut self.handle, v, param::POOL_HANDLE),
            Parameter::PeIdentifier(v) => once(&mut self.pe_id, v, param::PE_IDENTIFIER),
            Parameter::Policy(v) => once(&mut self.policy, v, param::POLICY),
            Parameter::OperationError(v) => once(&mut self.error, v, param::OPERATION_ERROR),
            Parameter::Cookie(v) => once(&mut self.cookie, v, param::COOKIE),
            Parameter::ResolutionOption(v) => once(&mut self.items, v, param::RESOLUTION_OPTION),
            Parameter::SelectionHint(v) => once(&mut self.hint, v, param::SELECTION_HINT),
            Parameter::ElementReport(v) if self.reports.len() < REPORTS_MAX => {
                self.reports.push(v);
                Ok(())
            }
            Parameter::ElementReport(_) => Err(no_room(param::ELEMENT_REPORT)),
            Parameter::PoolElement(v) if self.elements.len() < limits.max_elements => {
                self.elements.push(*v);
                Ok(())
            }
            Parameter::PoolElement(_) => Err(no_room(param::POOL_ELEMENT)),
            Parameter::Transport(v) if self.transports.len() < limits.max_addresses => {
                self.transports.push(v);
                Ok(())
            }
            Parameter::Transport(_) => Err(no_room(param::SCTP_TRANSPORT)),
            Parameter::Address(_)
            | Parameter::ServerInformation(_)
            | Parameter::PeChecksum(_)
            | Parameter::Extensions(_)
            | Parameter::Claim(_)
            | Parameter::Probe(_) => Ok(()),
        }
    }

    fn handle(&mut self) -> Result<PoolHandle, DecodeError> {
        self.handle.take().ok_or_else(|| missing(param::POOL_HANDLE))
    }

    fn pe_id(&mut self) -> Result<PeId, DecodeError> {
        self.pe_id.take().ok_or_else(|| missing(param::PE_IDENTIFIER))
    }

    fn cookie(&mut self) -> Result<Bytes, DecodeError> {
        self.cookie.take().ok_or_else(|| missing(param::COOKIE))
    }
}

fn once<T>(slot: &mut Option<T>, value: T, kind: u16) -> Result<(), DecodeError> {
    match slot {
        None => {
            *slot = Some(value);
            Ok(())
        }
        Some(_) => Err(DecodeError::reported(DecodeErrorKind::Invalid(kind), ErrorCause::Unspecified)),
    }
}

/// RFC 5354 has no cause for a missing parameter.
fn missing(kind: u16) -> DecodeError {
    DecodeError::reported(DecodeErrorKind::Missing(kind), ErrorCause::Unspecified)
}

fn no_room(kind: u16) -> DecodeError {
    DecodeError::reported(DecodeErrorKind::Invalid(kind), ErrorCause::LackOfResources)
}

/// As much of a message as fits into a cause of an ASAP_ERROR.
fn echoed(bytes: &[u8]) -> &[u8] {
    const HEADERS: usize = 12;
    &bytes[..bytes.len().min(super::MESSAGE_BYTES_MAX - HEADERS)]
}

fn failed_request(header: &Header<'_>, limits: &Limits) -> Option<FailedRequest> {
    let (handle, pe_id) = match header.message_type {
        mt::REGISTRATION | mt::DEREGISTRATION | mt::HANDLE_RESOLUTION => subject(header.body, limits),
        _ => return None,
    };
    match header.message_type {
        mt::REGISTRATION => Some(FailedRequest::Registration(handle?, pe_id?)),
        mt::DEREGISTRATION => Some(FailedRequest::Deregistration(handle?, pe_id?)),
        _ => Some(FailedRequest::HandleResolution(handle?)),
    }
}

fn decode_known(header: &Header<'_>, limits: &Limits) -> Result<Decoded, DecodeError> {
    let flag = header.flags & FLAG != 0;
    let (server, body) = match header.message_type {
        mt::ENDPOINT_KEEP_ALIVE | mt::SERVER_ANNOUNCE => {
            let (id, rest) =
                header.body.split_first_chunk::<4>().ok_or_else(|| DecodeError::silent(DecodeErrorKind::Length))?;
            (ServerId(u32::from_be_bytes(*id)), rest)
        }
        _ => (ServerId(0), header.body),
    };
    let mut parameters = Parameters::new(body, limits);
    let mut slots = Slots::default();
    while let Some(parameter) = parameters.next_parameter()? {
        slots.put(parameter, limits)?;
    }
    let message = match header.message_type {
        mt::REGISTRATION => registration(slots)?,
        mt::DEREGISTRATION => Message::Deregistration { handle: slots.handle()?, pe_id: slots.pe_id()? },
        mt::REGISTRATION_RESPONSE => Message::RegistrationResponse {
            reject: flag,
            handle: slots.handle()?,
            pe_id: slots.pe_id()?,
            error: slots.error,
        },
        mt::DEREGISTRATION_RESPONSE => {
            Message::DeregistrationResponse { handle: slots.handle()?, pe_id: slots.pe_id()?, error: slots.error }
        }
        mt::HANDLE_RESOLUTION => Message::HandleResolution {
            subscribe: flag,
            handle: slots.handle()?,
            items: slots.items,
            hint: slots.hint,
            reports: slots.reports,
        },
        mt::HANDLE_RESOLUTION_RESPONSE => Message::HandleResolutionResponse {
            subscribed: flag,
            handle: slots.handle()?,
            policy: slots.policy,
            elements: slots.elements,
            error: slots.error,
        },
        mt::ENDPOINT_KEEP_ALIVE => {
            Message::EndpointKeepAlive { home: flag, server, handle: slots.handle()?, pe_id: slots.pe_id }
        }
        mt::ENDPOINT_KEEP_ALIVE_ACK => Message::EndpointKeepAliveAck { handle: slots.handle()?, pe_id: slots.pe_id()? },
        mt::ENDPOINT_UNREACHABLE => Message::EndpointUnreachable { handle: slots.handle()?, pe_id: slots.pe_id()? },
        mt::SERVER_ANNOUNCE => Message::ServerAnnounce { server, transports: slots.transports },
        mt::COOKIE => Message::Cookie { cookie: slots.cookie()? },
        mt::COOKIE_ECHO => Message::CookieEcho { cookie: slots.cookie()? },
        mt::BUSINESS_CARD => business_card(slots)?,
        _ => Message::Error { error: slots.error.ok_or_else(|| missing(param::OPERATION_ERROR))? },
    };
    Ok(Decoded { message, report: parameters.into_report() })
}

fn registration(mut slots: Slots) -> Result<Message, DecodeError> {
    let handle = slots.handle()?;
    let mut elements = slots.elements.into_iter();
    match (elements.next(), elements.next()) {
        (Some(element), None) => Ok(Message::Registration { handle, element }),
        (None, _) => Err(missing(param::POOL_ELEMENT)),
        (Some(_), Some(_)) => {
            Err(DecodeError::reported(DecodeErrorKind::Invalid(param::POOL_ELEMENT), ErrorCause::Unspecified))
        }
    }
}

fn business_card(mut slots: Slots) -> Result<Message, DecodeError> {
    let handle = slots.handle()?;
    if slots.elements.is_empty() {
        return Err(missing(param::POOL_ELEMENT));
    }
    Ok(Message::BusinessCard { handle, elements: slots.elements })
}
