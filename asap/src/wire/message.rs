//! The 14 ASAP messages (RFC 5352 2.2).

use super::error::{DecodeError, DecodeErrorKind, EncodeError, FailedRequest};
use super::reader::{Header, Parameter, Parameters, subject};
use super::types::{
    ErrorCause, OperationError, PeId, Policy, PoolElement, PoolHandle, ServerId, Transport,
};
use super::writer::Writer;
use super::{Limits, message_type as mt, param};
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

/// Flag bit 0: R, S, A or H, by message type.
const FLAG: u8 = 0x01;

impl Decoded {
    /// The ASAP_ERROR for what was skipped and is to be reported, if anything.
    #[must_use]
    pub fn answer(&self) -> Option<Message> {
        (!self.report.is_empty()).then(|| Message::Error {
            error: OperationError {
                causes: self.report.clone(),
            },
        })
    }
}

impl Message {
    /// Encodes as RFC 5352 says: padded to 4 bytes, Length without the last padding.
    ///
    /// # Errors
    /// [`EncodeError`]: too long, or values the format does not allow.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new(self.message_type(), if self.flag() { FLAG } else { 0 });
        match self {
            Message::Registration { handle, element } => {
                w.pool_handle(handle);
                w.pool_element(element);
            }
            Message::Deregistration { handle, pe_id }
            | Message::EndpointKeepAliveAck { handle, pe_id }
            | Message::EndpointUnreachable { handle, pe_id } => {
                w.pool_handle(handle);
                w.pe_identifier(*pe_id);
            }
            Message::RegistrationResponse {
                handle,
                pe_id,
                error,
                ..
            }
            | Message::DeregistrationResponse {
                handle,
                pe_id,
                error,
            } => {
                w.pool_handle(handle);
                w.pe_identifier(*pe_id);
                error.iter().for_each(|error| w.operation_error(error));
            }
            Message::HandleResolution { handle, items, .. } => {
                w.pool_handle(handle);
                items.iter().for_each(|&items| w.resolution_option(items));
            }
            Message::HandleResolutionResponse {
                handle,
                policy,
                elements,
                error,
                ..
            } => {
                w.pool_handle(handle);
                policy.iter().for_each(|policy| w.policy(policy));
                elements.iter().for_each(|element| w.pool_element(element));
                error.iter().for_each(|error| w.operation_error(error));
            }
            Message::EndpointKeepAlive {
                server,
                handle,
                pe_id,
                ..
            } => {
                w.u32(server.0);
                w.pool_handle(handle);
                pe_id.iter().for_each(|&id| w.pe_identifier(id));
            }
            Message::ServerAnnounce { server, transports } => {
                w.u32(server.0);
                transports
                    .iter()
                    .for_each(|transport| w.transport(transport));
            }
            Message::Cookie { cookie } | Message::CookieEcho { cookie } => w.cookie(cookie),
            Message::BusinessCard { handle, elements } => {
                w.pool_handle(handle);
                elements.iter().for_each(|element| w.pool_element(element));
            }
            Message::Error { error } => w.operation_error(error),
        }
        w.finish()
    }

    /// A positive HANDLE_RESOLUTION_RESPONSE with as many elements as one message holds (there is no "more" flag): the bytes, and
    /// how many elements are in it. For servers, which have the elements in a table.
    ///
    /// # Errors
    /// [`EncodeError`]: handle or an element is not encodable.
    pub fn encode_resolution<'e>(
        subscribed: bool,
        handle: &PoolHandle,
        policy: &Policy,
        elements: impl IntoIterator<Item = &'e PoolElement>,
    ) -> Result<(Bytes, usize), EncodeError> {
        let mut w = Writer::new(mt::HANDLE_RESOLUTION_RESPONSE, u8::from(subscribed));
        w.pool_handle(handle);
        w.policy(policy);
        let mut count = 0;
        for element in elements {
            let before = w.position();
            w.pool_element(element);
            if w.position() > usize::from(u16::MAX) {
                w.truncate(before);
                break;
            }
            count += 1;
        }
        w.finish().map(|bytes| (bytes, count))
    }

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
                    DecodeError::reported(
                        kind,
                        ErrorCause::UnrecognizedMessage(Bytes::copy_from_slice(echoed(bytes))),
                    )
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

    /// The message type on the wire.
    #[must_use]
    pub fn message_type(&self) -> u8 {
        match self {
            Message::Registration { .. } => mt::REGISTRATION,
            Message::Deregistration { .. } => mt::DEREGISTRATION,
            Message::RegistrationResponse { .. } => mt::REGISTRATION_RESPONSE,
            Message::DeregistrationResponse { .. } => mt::DEREGISTRATION_RESPONSE,
            Message::HandleResolution { .. } => mt::HANDLE_RESOLUTION,
            Message::HandleResolutionResponse { .. } => mt::HANDLE_RESOLUTION_RESPONSE,
            Message::EndpointKeepAlive { .. } => mt::ENDPOINT_KEEP_ALIVE,
            Message::EndpointKeepAliveAck { .. } => mt::ENDPOINT_KEEP_ALIVE_ACK,
            Message::EndpointUnreachable { .. } => mt::ENDPOINT_UNREACHABLE,
            Message::ServerAnnounce { .. } => mt::SERVER_ANNOUNCE,
            Message::Cookie { .. } => mt::COOKIE,
            Message::CookieEcho { .. } => mt::COOKIE_ECHO,
            Message::BusinessCard { .. } => mt::BUSINESS_CARD,
            Message::Error { .. } => mt::ERROR,
        }
    }

    /// The one flag a message can have.
    fn flag(&self) -> bool {
        match self {
            Message::RegistrationResponse { reject, .. } => *reject,
            Message::HandleResolution { subscribe, .. } => *subscribe,
            Message::HandleResolutionResponse { subscribed, .. } => *subscribed,
            Message::EndpointKeepAlive { home, .. } => *home,
            Message::Registration { .. }
            | Message::Deregistration { .. }
            | Message::DeregistrationResponse { .. }
            | Message::EndpointKeepAliveAck { .. }
            | Message::EndpointUnreachable { .. }
            | Message::ServerAnnounce { .. }
            | Message::Cookie { .. }
            | Message::CookieEcho { .. }
            | Message::BusinessCard { .. }
            | Message::Error { .. } => false,
        }
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
            Parameter::Address(_) | Parameter::ServerInformation(_) | Parameter::PeChecksum(_) => {
                Ok(())
            }
        }
    }

    fn handle(&mut self) -> Result<PoolHandle, DecodeError> {
        self.handle
            .take()
            .ok_or_else(|| missing(param::POOL_HANDLE))
    }

    fn pe_id(&mut self) -> Result<PeId, DecodeError> {
        self.pe_id
            .take()
            .ok_or_else(|| missing(param::PE_IDENTIFIER))
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
        Some(_) => Err(DecodeError::reported(
            DecodeErrorKind::Invalid(kind),
            ErrorCause::Unspecified,
        )),
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
    &bytes[..bytes.len().min(usize::from(u16::MAX) - HEADERS)]
}

fn failed_request(header: &Header<'_>, limits: &Limits) -> Option<FailedRequest> {
    let (handle, pe_id) = match header.message_type {
        mt::REGISTRATION | mt::DEREGISTRATION | mt::HANDLE_RESOLUTION => {
            subject(header.body, limits)
        }
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
            let (id, rest) = header
                .body
                .split_first_chunk::<4>()
                .ok_or_else(|| DecodeError::silent(DecodeErrorKind::Length))?;
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
        mt::DEREGISTRATION => Message::Deregistration {
            handle: slots.handle()?,
            pe_id: slots.pe_id()?,
        },
        mt::REGISTRATION_RESPONSE => Message::RegistrationResponse {
            reject: flag,
            handle: slots.handle()?,
            pe_id: slots.pe_id()?,
            error: slots.error,
        },
        mt::DEREGISTRATION_RESPONSE => Message::DeregistrationResponse {
            handle: slots.handle()?,
            pe_id: slots.pe_id()?,
            error: slots.error,
        },
        mt::HANDLE_RESOLUTION => Message::HandleResolution {
            subscribe: flag,
            handle: slots.handle()?,
            items: slots.items,
        },
        mt::HANDLE_RESOLUTION_RESPONSE => Message::HandleResolutionResponse {
            subscribed: flag,
            handle: slots.handle()?,
            policy: slots.policy,
            elements: slots.elements,
            error: slots.error,
        },
        mt::ENDPOINT_KEEP_ALIVE => Message::EndpointKeepAlive {
            home: flag,
            server,
            handle: slots.handle()?,
            pe_id: slots.pe_id,
        },
        mt::ENDPOINT_KEEP_ALIVE_ACK => Message::EndpointKeepAliveAck {
            handle: slots.handle()?,
            pe_id: slots.pe_id()?,
        },
        mt::ENDPOINT_UNREACHABLE => Message::EndpointUnreachable {
            handle: slots.handle()?,
            pe_id: slots.pe_id()?,
        },
        mt::SERVER_ANNOUNCE => Message::ServerAnnounce {
            server,
            transports: slots.transports,
        },
        mt::COOKIE => Message::Cookie {
            cookie: slots.cookie()?,
        },
        mt::COOKIE_ECHO => Message::CookieEcho {
            cookie: slots.cookie()?,
        },
        mt::BUSINESS_CARD => business_card(slots)?,
        _ => Message::Error {
            error: slots.error.ok_or_else(|| missing(param::OPERATION_ERROR))?,
        },
    };
    Ok(Decoded {
        message,
        report: parameters.into_report(),
    })
}

fn registration(mut slots: Slots) -> Result<Message, DecodeError> {
    let handle = slots.handle()?;
    let mut elements = slots.elements.into_iter();
    match (elements.next(), elements.next()) {
        (Some(element), None) => Ok(Message::Registration { handle, element }),
        (None, _) => Err(missing(param::POOL_ELEMENT)),
        (Some(_), Some(_)) => Err(DecodeError::reported(
            DecodeErrorKind::Invalid(param::POOL_ELEMENT),
            ErrorCause::Unspecified,
        )),
    }
}

fn business_card(mut slots: Slots) -> Result<Message, DecodeError> {
    let handle = slots.handle()?;
    if slots.elements.is_empty() {
        return Err(missing(param::POOL_ELEMENT));
    }
    Ok(Message::BusinessCard {
        handle,
        elements: slots.elements,
    })
}
