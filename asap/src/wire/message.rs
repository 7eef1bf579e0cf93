//! The 14 ASAP messages (RFC 5352 2.2).

use super::error::EncodeError;
use super::message_type as mt;
use super::types::{ElementReport, OperationError, PeId, Policy, PoolElement, PoolHandle, ServerId, Transport};
use super::writer::Writer;
use super::{MESSAGE_BYTES_MAX, REPORTS_MAX};
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
        /// Selection Hint (ours): bytes for the server's selection plug-in, at most 255.
        hint: Option<Bytes>,
        /// Element Reports (ours): what the user measured, at most 64.
        reports: Vec<ElementReport>,
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

/// Flag bit 0: R, S, A or H, by message type.
pub(super) const FLAG: u8 = 0x01;

impl Message {
    /// A HANDLE_RESOLUTION as the RFC has it: without hint and reports.
    #[must_use]
    pub fn resolution(subscribe: bool, handle: PoolHandle, items: Option<u32>) -> Self {
        Self::HandleResolution { subscribe, handle, items, hint: None, reports: Vec::new() }
    }

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
            Message::RegistrationResponse { handle, pe_id, error, .. }
            | Message::DeregistrationResponse { handle, pe_id, error } => {
                w.pool_handle(handle);
                w.pe_identifier(*pe_id);
                error.iter().for_each(|error| w.operation_error(error));
            }
            Message::HandleResolution { handle, items, hint, reports, .. } => {
                w.pool_handle(handle);
                items.iter().for_each(|&items| w.resolution_option(items));
                hint.iter().for_each(|hint| w.selection_hint(hint));
                reports.iter().for_each(|report| w.element_report(report));
                if reports.len() > REPORTS_MAX {
                    w.refuse();
                }
            }
            Message::HandleResolutionResponse { handle, policy, elements, error, .. } => {
                w.pool_handle(handle);
                policy.iter().for_each(|policy| w.policy(policy));
                elements.iter().for_each(|element| w.pool_element(element));
                error.iter().for_each(|error| w.operation_error(error));
            }
            Message::EndpointKeepAlive { server, handle, pe_id, .. } => {
                w.u32(server.0);
                w.pool_handle(handle);
                pe_id.iter().for_each(|&id| w.pe_identifier(id));
            }
            Message::ServerAnnounce { server, transports } => {
                w.u32(server.0);
                transports.iter().for_each(|transport| w.transport(transport));
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
        elements: impl Iterator<Item = &'e PoolElement> + Clone,
    ) -> Result<(Bytes, usize), EncodeError> {
        // One allocation; and where the elements are in no cache, a look at all of them before the first is written lets their
        // memory come at the same time.
        let room: usize = elements.clone().map(|element| element.user_transport.octets_about()).sum();
        let mut w = Writer::with_room(mt::HANDLE_RESOLUTION_RESPONSE, u8::from(subscribed), room);
        w.pool_handle(handle);
        w.policy(policy);
        let mut count = 0;
        for element in elements {
            let before = w.position();
            w.pool_element_for_users(element);
            if w.position() > MESSAGE_BYTES_MAX {
                w.truncate(before);
                break;
            }
            count += 1;
        }
        w.finish().map(|bytes| (bytes, count))
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
