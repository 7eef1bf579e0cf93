//! Encoding: messages and parameters into one growing buffer.
//!
//! Padding rule (RFC 5354 2, 3): padding goes *before* the next parameter, so a parameter's Length, and a message's, counts the
//! padding between nested parameters but not the last one.

use super::error::EncodeError;
use super::types::{
    ElementReport, ErrorCause, OperationError, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport,
    ServerInformation, Transport, TransportUse,
};
use super::{HINT_BYTES_MAX, MESSAGE_BYTES_MAX, cause_code, param};
use bytes::Bytes;
use std::net::IpAddr;

/// Builds one ASAP or ENRP message.
///
/// ```text
/// 0                   1                   2                   3
/// |  message type | message flags |        message length         |
/// :                  fixed fields, parameters                      :
/// ```
#[derive(Debug)]
pub struct Writer {
    buffer: Vec<u8>,
    invalid: bool,
}

impl Writer {
    /// Starts a message.
    #[must_use]
    pub fn new(message_type: u8, flags: u8) -> Self {
        Self::with_room(message_type, flags, 0)
    }

    /// Starts a message that will be some octets longer than most.
    pub(super) fn with_room(message_type: u8, flags: u8, more: usize) -> Self {
        let mut buffer = Vec::with_capacity((128 + more).min(MESSAGE_BYTES_MAX + 4));
        buffer.extend_from_slice(&[message_type, flags, 0, 0]);
        Self { buffer, invalid: false }
    }

    /// Bytes so far, unpadded.
    #[must_use]
    pub fn position(&self) -> usize {
        self.buffer.len()
    }

    /// Takes everything after `position` back: for lists that are cut where the message is full.
    pub fn truncate(&mut self, position: usize) {
        self.buffer.truncate(position);
    }

    /// Sets the length, pads.
    ///
    /// # Errors
    /// [`EncodeError`]: longer than [`MESSAGE_BYTES_MAX`], or a value was not encodable.
    pub fn finish(mut self) -> Result<Bytes, EncodeError> {
        if self.invalid {
            return Err(EncodeError::Invalid);
        }
        let fits = Some(self.buffer.len()).filter(|&length| length <= MESSAGE_BYTES_MAX);
        let length = fits.and_then(|length| u16::try_from(length).ok()).ok_or(EncodeError::TooLong)?;
        self.buffer[2..4].copy_from_slice(&length.to_be_bytes());
        self.pad();
        Ok(Bytes::from(self.buffer))
    }

    /// A 16-bit fixed field.
    pub fn u16(&mut self, value: u16) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    /// A 32-bit fixed field.
    pub fn u32(&mut self, value: u32) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    fn pad(&mut self) {
        self.buffer.resize(self.buffer.len().next_multiple_of(4), 0);
    }

    /// `type:u16 length:u16 value`; parameters and error causes look the same.
    fn tlv(&mut self, kind: u16, value: impl FnOnce(&mut Self)) {
        self.pad();
        let start = self.buffer.len();
        self.u16(kind);
        self.u16(0);
        value(self);
        // A TLV too long for its own field makes the message too long as well: `finish` reports it.
        if let Ok(length) = u16::try_from(self.buffer.len() - start) {
            self.buffer[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// IPv4 Address (0x1: 4 bytes) or IPv6 Address (0x2: 16 bytes).
    pub fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.tlv(param::IPV4_ADDRESS, |w| w.bytes(&v4.octets())),
            IpAddr::V6(v6) => self.tlv(param::IPV6_ADDRESS, |w| w.bytes(&v6.octets())),
        }
    }

    /// SCTP Transport: `port:u16 transport use:u16`, 1..n addresses.
    pub fn sctp_transport(&mut self, transport: &SctpTransport) {
        self.invalid |= transport.addresses.is_empty();
        self.tlv(param::SCTP_TRANSPORT, |w| {
            w.u16(transport.port);
            w.u16(match transport.transport_use {
                TransportUse::DataOnly => 0,
                TransportUse::DataAndControl => 1,
            });
            for &address in &transport.addresses {
                w.address(address);
            }
        });
    }

    /// Any transport. TCP, UDP, UDP-Lite: `port:u16 reserved:u16`, one address. DCCP: a `service code:u32` before the address.
    pub fn transport(&mut self, transport: &Transport) {
        let (kind, port, service_code, address) = match transport {
            Transport::Sctp(sctp) => return self.sctp_transport(sctp),
            Transport::Opaque(data) => return self.tlv(param::OPAQUE_TRANSPORT, |w| w.bytes(data)),
            Transport::Dccp(t) => (param::DCCP_TRANSPORT, t.port, Some(t.service_code), t.address),
            Transport::Tcp(t) => (param::TCP_TRANSPORT, t.port, None, t.address),
            Transport::Udp(t) => (param::UDP_TRANSPORT, t.port, None, t.address),
            Transport::UdpLite(t) => (param::UDP_LITE_TRANSPORT, t.port, None, t.address),
        };
        self.tlv(kind, |w| {
            w.u16(port);
            w.u16(0);
            if let Some(code) = service_code {
                w.u32(code);
            }
            w.address(address);
        });
    }

    /// Pool Member Selection Policy: `policy type:u32`, then the policy's values, 32 bits each (RFC 5356).
    pub fn policy(&mut self, policy: &Policy) {
        self.tlv(param::POLICY, |w| {
            w.u32(policy.policy_type());
            match policy {
                Policy::RoundRobin | Policy::Random => {}
                Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => w.u32(*weight),
                Policy::Priority { priority } => w.u32(*priority),
                Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } | Policy::MostUsed { load } => {
                    w.u32(*load);
                }
                Policy::LeastUsedDegradation { load, degradation }
                | Policy::PriorityLeastUsed { load, degradation } => {
                    w.u32(*load);
                    w.u32(*degradation);
                }
                Policy::Other { data, .. } => w.bytes(data),
            }
        });
    }

    /// Pool Handle: its bytes.
    pub fn pool_handle(&mut self, handle: &PoolHandle) {
        self.invalid |= handle.as_bytes().is_empty();
        self.tlv(param::POOL_HANDLE, |w| w.bytes(handle.as_bytes()));
    }

    /// Pool Element: `PE id:u32 home server:u32 life:i32`, user transport, policy, ASAP transport if known.
    pub fn pool_element(&mut self, element: &PoolElement) {
        self.element(element, element.asap_transport.as_ref());
    }

    /// As pool users get it, who do not need the ASAP transport.
    pub fn pool_element_for_users(&mut self, element: &PoolElement) {
        self.element(element, None);
    }

    fn element(&mut self, element: &PoolElement, asap_transport: Option<&SctpTransport>) {
        let life = match element.life {
            RegistrationLife::Infinite => -1,
            RegistrationLife::Seconds(seconds) => i32::try_from(seconds).unwrap_or_else(|_| {
                self.invalid = true;
                0
            }),
        };
        self.tlv(param::POOL_ELEMENT, |w| {
            w.u32(element.id.0);
            w.u32(element.home.0);
            w.bytes(&life.to_be_bytes());
            w.transport(&element.user_transport);
            w.policy(&element.policy);
            if let Some(transport) = asap_transport {
                w.sctp_transport(transport);
            }
        });
    }

    /// Server Information: `server id:u32`, one SCTP transport.
    pub fn server_information(&mut self, server: &ServerInformation) {
        self.tlv(param::SERVER_INFORMATION, |w| {
            w.u32(server.id.0);
            w.sctp_transport(&server.transport);
        });
    }

    /// Operation Error: 1..n causes `code:u16 length:u16 information`.
    pub fn operation_error(&mut self, error: &OperationError) {
        self.invalid |= error.causes.is_empty();
        self.tlv(param::OPERATION_ERROR, |w| {
            for cause in &error.causes {
                w.cause(cause);
            }
        });
    }

    fn cause(&mut self, cause: &ErrorCause) {
        self.tlv(cause.code(), |w| match cause {
            ErrorCause::UnrecognizedParameter(info)
            | ErrorCause::UnrecognizedMessage(info)
            | ErrorCause::InvalidValues(info)
            | ErrorCause::Other { info, .. } => w.bytes(info),
            ErrorCause::InconsistentPolicy(Some(policy)) => w.policy(policy),
            ErrorCause::InconsistentTransportType(Some(transport)) => w.transport(transport),
            ErrorCause::Unspecified
            | ErrorCause::NonUniquePeId
            | ErrorCause::InconsistentPolicy(None)
            | ErrorCause::LackOfResources
            | ErrorCause::InconsistentTransportType(None)
            | ErrorCause::InconsistentDataControl
            | ErrorCause::UnknownPoolHandle
            | ErrorCause::Security => {}
        });
    }

    /// Cookie: opaque bytes.
    pub fn cookie(&mut self, cookie: &[u8]) {
        self.tlv(param::COOKIE, |w| w.bytes(cookie));
    }

    /// PE Identifier: `u32`.
    pub fn pe_identifier(&mut self, id: PeId) {
        self.tlv(param::PE_IDENTIFIER, |w| w.u32(id.0));
    }

    /// PE Checksum: `u16` (ENRP).
    pub fn pe_checksum(&mut self, checksum: u16) {
        self.tlv(param::PE_CHECKSUM, |w| w.u16(checksum));
    }

    /// Handle Resolution Option: `items:u32` (draft-dreibholz-rserpool-asap-hropt).
    pub fn resolution_option(&mut self, items: u32) {
        self.tlv(param::RESOLUTION_OPTION, |w| w.u32(items));
    }

    /// Selection Hint: opaque bytes, at most [`HINT_BYTES_MAX`].
    pub fn selection_hint(&mut self, hint: &[u8]) {
        self.invalid |= hint.len() > HINT_BYTES_MAX;
        self.tlv(param::SELECTION_HINT, |w| w.bytes(hint));
    }

    /// Element Report: `PE id:u32 load:u32 round trip in microseconds:u32`.
    pub fn element_report(&mut self, report: &ElementReport) {
        self.tlv(param::ELEMENT_REPORT, |w| {
            w.u32(report.pe_id.0);
            w.u32(report.load);
            w.u32(report.round_trip_us.unwrap_or(u32::MAX));
        });
    }

    /// Extensions: `version:u32` (ENRP).
    pub fn extensions(&mut self, version: u32) {
        self.tlv(param::EXTENSIONS, |w| w.u32(version));
    }

    /// Claim: `changes of home:u32` (ENRP).
    pub fn claim(&mut self, claim: u32) {
        self.tlv(param::CLAIM, |w| w.u32(claim));
    }

    /// Probe: a number that means nothing (ENRP).
    pub fn probe(&mut self) {
        self.tlv(param::PROBE, |w| w.u32(0));
    }

    /// A message that cannot be: [`Writer::finish`] says so.
    pub(super) fn refuse(&mut self) {
        self.invalid = true;
    }
}

impl Policy {
    /// The policy type (RFC 5356 7.1).
    #[must_use]
    pub fn policy_type(&self) -> u32 {
        match self {
            Policy::RoundRobin => 0x0000_0001,
            Policy::WeightedRoundRobin { .. } => 0x0000_0002,
            Policy::Random => 0x0000_0003,
            Policy::WeightedRandom { .. } => 0x0000_0004,
            Policy::Priority { .. } => 0x0000_0005,
            Policy::LeastUsed { .. } => 0x4000_0001,
            Policy::LeastUsedDegradation { .. } => 0x4000_0002,
            Policy::PriorityLeastUsed { .. } => 0x4000_0003,
            Policy::RandomizedLeastUsed { .. } => 0x4000_0004,
            Policy::MostUsed { .. } => 0xc000_0001,
            Policy::Other { policy_type, .. } => *policy_type,
        }
    }
}

impl ErrorCause {
    /// The cause code (RFC 5354 Table 2).
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            ErrorCause::Unspecified => cause_code::UNSPECIFIED,
            ErrorCause::UnrecognizedParameter(_) => cause_code::UNRECOGNIZED_PARAMETER,
            ErrorCause::UnrecognizedMessage(_) => cause_code::UNRECOGNIZED_MESSAGE,
            ErrorCause::InvalidValues(_) => cause_code::INVALID_VALUES,
            ErrorCause::NonUniquePeId => cause_code::NON_UNIQUE_PE_ID,
            ErrorCause::InconsistentPolicy(_) => cause_code::INCONSISTENT_POLICY,
            ErrorCause::LackOfResources => cause_code::LACK_OF_RESOURCES,
            ErrorCause::InconsistentTransportType(_) => cause_code::INCONSISTENT_TRANSPORT_TYPE,
            ErrorCause::InconsistentDataControl => cause_code::INCONSISTENT_DATA_CONTROL,
            ErrorCause::UnknownPoolHandle => cause_code::UNKNOWN_POOL_HANDLE,
            ErrorCause::Security => cause_code::SECURITY,
            ErrorCause::Other { code, .. } => *code,
        }
    }
}
