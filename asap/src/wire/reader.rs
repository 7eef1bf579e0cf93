//! Decoding: a bounds-checked cursor, the message header, and the iterator over parameters that applies the rules for unknown
//! ones (RFC 5354 3). ENRP messages are read with the same iterator.

use super::error::{DecodeError, DecodeErrorKind};
use super::types::{
    Addresses, DccpTransport, ElementReport, ErrorCause, IpTransport, OperationError, PeId, Policy, PoolElement,
    PoolHandle, RegistrationLife, SctpTransport, ServerId, ServerInformation, Transport, TransportUse,
};
use super::{HINT_BYTES_MAX, Limits, cause_code, param};
use bytes::Bytes;
use std::net::IpAddr;

/// Unknown parameters reported for one message at most; a sender of thousands gets no answer of the same size.
const MAX_REPORTED: usize = 16;

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads big-endian fields; running out is an error, never a panic.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DecodeError::silent(DecodeErrorKind::Length))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.take(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// The next TLV, with its padding skipped; padding may be missing after the last one.
    fn tlv(&mut self) -> Result<Option<Tlv<'a>>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let start = self.0;
        let kind = self.u16()?;
        let length = usize::from(self.u16()?);
        let value = self.take(length.checked_sub(4).ok_or(DecodeError::silent(DecodeErrorKind::Length))?)?;
        let padding = length.next_multiple_of(4) - length;
        self.take(padding.min(self.0.len()))?;
        Ok(Some(Tlv { kind, value, whole: &start[..length] }))
    }
}

/// One parameter or cause: type, value, and the whole as it goes into an error's information.
#[derive(Debug, Clone, Copy)]
struct Tlv<'a> {
    kind: u16,
    value: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Tlv<'a> {
    fn invalid(&self) -> DecodeError {
        DecodeError::reported(
            DecodeErrorKind::Invalid(self.kind),
            ErrorCause::InvalidValues(Bytes::copy_from_slice(self.whole)),
        )
    }

    fn cursor(&self) -> Cursor<'a> {
        Cursor(self.value)
    }

    /// A value of exactly `N` bytes.
    fn fixed<const N: usize>(&self) -> Result<[u8; N]> {
        self.value.try_into().map_err(|_| self.invalid())
    }

    fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.value)
    }
}

/// Header of an ASAP or ENRP message (RFC 5354 4) and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Message type.
    pub message_type: u8,
    /// Flags; those not defined for the type are to be ignored.
    pub flags: u8,
    /// Fixed fields and parameters, up to the message's length (padding after it cut off).
    pub body: &'a [u8],
}

impl<'a> Header<'a> {
    /// Splits a received message. `bytes` is one SCTP user message; up to 3 bytes of padding may follow the Length or be
    /// counted in it.
    ///
    /// # Errors
    /// [`DecodeErrorKind::Length`], to be discarded silently.
    pub fn split(bytes: &'a [u8]) -> Result<Self> {
        let short = || DecodeError::silent(DecodeErrorKind::Length);
        let (header, _) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let body = bytes.get(4..length).ok_or_else(short)?;
        if bytes.len() - length > 3 {
            return Err(short());
        }
        Ok(Self { message_type: header[0], flags: header[1], body })
    }
}

/// A decoded parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// 0x1, 0x2 outside a transport.
    Address(IpAddr),
    /// 0x3 to 0x7, 0x10.
    Transport(Transport),
    /// 0x8.
    Policy(Policy),
    /// 0x9.
    PoolHandle(PoolHandle),
    /// 0xa.
    PoolElement(Box<PoolElement>),
    /// 0xb.
    ServerInformation(ServerInformation),
    /// 0xc.
    OperationError(OperationError),
    /// 0xd.
    Cookie(Bytes),
    /// 0xe.
    PeIdentifier(PeId),
    /// 0xf.
    PeChecksum(u16),
    /// 0x803f.
    ResolutionOption(u32),
    /// 0xbf01.
    SelectionHint(Bytes),
    /// 0xbf02.
    ElementReport(ElementReport),
    /// 0xbf03.
    Extensions(u32),
    /// 0xbf04.
    Claim(u32),
    /// 0xff03.
    Probe(u32),
}

/// The parameters of a message, in order. Call [`Parameters::next_parameter`] until None, then take [`Parameters::into_report`].
#[derive(Debug)]
pub struct Parameters<'a> {
    cursor: Cursor<'a>,
    limits: &'a Limits,
    report: Report,
}

/// Causes collected for unknown parameters with type bits 11.
type Report = Vec<ErrorCause>;

impl<'a> Parameters<'a> {
    /// Over what follows a message's fixed fields.
    #[must_use]
    pub fn new(bytes: &'a [u8], limits: &'a Limits) -> Self {
        Self { cursor: Cursor(bytes), limits, report: Vec::new() }
    }

    /// The next parameter this implementation knows; unknown ones are treated by the high bits of their type.
    ///
    /// # Errors
    /// [`DecodeError`]: the message is to be discarded, and the cause, if any, reported.
    pub fn next_parameter(&mut self) -> Result<Option<Parameter>> {
        next_known(&mut self.cursor, &mut self.report)?
            .map(|tlv| parameter(&tlv, self.limits, &mut self.report))
            .transpose()
    }

    /// Causes to report although the message was accepted: parameters skipped with type bits 11, at most 16.
    #[must_use]
    pub fn into_report(self) -> Vec<ErrorCause> {
        self.report
    }
}

/// Skips unknown parameters (type bits 10, 11) or fails (00, 01).
fn next_known<'a>(cursor: &mut Cursor<'a>, report: &mut Report) -> Result<Option<Tlv<'a>>> {
    while let Some(tlv) = cursor.tlv()? {
        let known = matches!(
            tlv.kind,
            param::IPV4_ADDRESS
                ..=param::OPAQUE_TRANSPORT
                    | param::RESOLUTION_OPTION
                    | param::SELECTION_HINT
                    | param::ELEMENT_REPORT
                    | param::EXTENSIONS
                    | param::CLAIM
                    | param::PROBE
        );
        if known {
            return Ok(Some(tlv));
        }
        let cause = || ErrorCause::UnrecognizedParameter(Bytes::copy_from_slice(tlv.whole));
        let kind = DecodeErrorKind::UnknownParameter(tlv.kind);
        match tlv.kind >> 14 {
            0b00 => return Err(DecodeError::silent(kind)),
            0b01 => return Err(DecodeError::reported(kind, cause())),
            0b11 if report.len() < MAX_REPORTED => report.push(cause()),
            _ => {}
        }
    }
    Ok(None)
}

fn parameter(tlv: &Tlv<'_>, limits: &Limits, report: &mut Report) -> Result<Parameter> {
    Ok(match tlv.kind {
        param::IPV4_ADDRESS | param::IPV6_ADDRESS => Parameter::Address(address(tlv)?),
        param::POLICY => Parameter::Policy(policy(tlv)?),
        param::POOL_HANDLE => Parameter::PoolHandle(pool_handle(tlv, limits)?),
        param::POOL_ELEMENT => Parameter::PoolElement(Box::new(pool_element(tlv, limits, report)?)),
        param::SERVER_INFORMATION => Parameter::ServerInformation(server_information(tlv, limits, report)?),
        param::OPERATION_ERROR => Parameter::OperationError(operation_error(tlv, limits)?),
        param::COOKIE if tlv.value.len() > limits.max_cookie => return Err(tlv.invalid()),
        param::COOKIE => Parameter::Cookie(tlv.bytes()),
        param::PE_IDENTIFIER => Parameter::PeIdentifier(PeId(u32::from_be_bytes(tlv.fixed()?))),
        param::EXTENSIONS => Parameter::Extensions(u32::from_be_bytes(tlv.fixed()?)),
        param::CLAIM => Parameter::Claim(u32::from_be_bytes(tlv.fixed()?)),
        param::PROBE => Parameter::Probe(u32::from_be_bytes(tlv.fixed()?)),
        param::PE_CHECKSUM => Parameter::PeChecksum(u16::from_be_bytes(tlv.fixed()?)),
        param::RESOLUTION_OPTION => Parameter::ResolutionOption(u32::from_be_bytes(tlv.fixed()?)),
        param::SELECTION_HINT if tlv.value.len() > HINT_BYTES_MAX => return Err(tlv.invalid()),
        param::SELECTION_HINT => Parameter::SelectionHint(tlv.bytes()),
        param::ELEMENT_REPORT => Parameter::ElementReport(element_report(tlv)?),
        _ => Parameter::Transport(transport(tlv, limits, report)?),
    })
}

fn address(tlv: &Tlv<'_>) -> Result<IpAddr> {
    match tlv.kind {
        param::IPV4_ADDRESS => Ok(IpAddr::from(tlv.fixed::<4>()?)),
        param::IPV6_ADDRESS => Ok(IpAddr::from(tlv.fixed::<16>()?)),
        _ => Err(tlv.invalid()),
    }
}

fn pool_handle(tlv: &Tlv<'_>, limits: &Limits) -> Result<PoolHandle> {
    if tlv.value.is_empty() || tlv.value.len() > limits.max_handle {
        return Err(tlv.invalid());
    }
    Ok(PoolHandle::new(tlv.bytes()))
}

fn element_report(tlv: &Tlv<'_>) -> Result<ElementReport> {
    let [pe_id, load, round_trip] = [0, 4, 8].map(|at| -> Result<u32> {
        let value = tlv.fixed::<12>()?;
        Ok(u32::from_be_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]))
    });
    let round_trip_us = Some(round_trip?).filter(|&us| us != u32::MAX);
    Ok(ElementReport { pe_id: PeId(pe_id?), load: load?, round_trip_us })
}

/// Any of the six transports. A field cut short is an invalid value of this parameter.
fn transport(tlv: &Tlv<'_>, limits: &Limits, report: &mut Report) -> Result<Transport> {
    if tlv.kind == param::OPAQUE_TRANSPORT {
        return Ok(Transport::Opaque(tlv.bytes()));
    }
    if tlv.kind == param::SCTP_TRANSPORT {
        return sctp_transport(tlv, limits, report).map(Transport::Sctp);
    }
    let short = |_| tlv.invalid();
    let mut cursor = tlv.cursor();
    let port = cursor.u16().map_err(short)?;
    cursor.u16().map_err(short)?;
    let service_code = if tlv.kind == param::DCCP_TRANSPORT { cursor.u32().map_err(short)? } else { 0 };
    let address = address(&next_known(&mut cursor, report)?.ok_or_else(|| tlv.invalid())?)?;
    if next_known(&mut cursor, report)?.is_some() {
        return Err(tlv.invalid());
    }
    match tlv.kind {
        param::DCCP_TRANSPORT => Ok(Transport::Dccp(DccpTransport { port, service_code, address })),
        param::TCP_TRANSPORT => Ok(Transport::Tcp(IpTransport { port, address })),
        param::UDP_TRANSPORT => Ok(Transport::Udp(IpTransport { port, address })),
        param::UDP_LITE_TRANSPORT => Ok(Transport::UdpLite(IpTransport { port, address })),
        _ => Err(tlv.invalid()),
    }
}

fn sctp_transport(tlv: &Tlv<'_>, limits: &Limits, report: &mut Report) -> Result<SctpTransport> {
    let mut cursor = tlv.cursor();
    let port = cursor.u16().map_err(|_| tlv.invalid())?;
    let transport_use = match cursor.u16().map_err(|_| tlv.invalid())? {
        0 => TransportUse::DataOnly,
        1 => TransportUse::DataAndControl,
        _ => return Err(tlv.invalid()),
    };
    let mut addresses = Addresses::new();
    while let Some(nested) = next_known(&mut cursor, report)? {
        if addresses.len() == limits.max_addresses {
            return Err(tlv.invalid());
        }
        addresses.push(address(&nested)?);
    }
    if addresses.is_empty() {
        return Err(tlv.invalid());
    }
    Ok(SctpTransport { port, transport_use, addresses })
}

/// A policy of RFC 5356 must have exactly its values; 0x00000000 and 0x40000000 are invalid; others are carried as they are.
fn policy(tlv: &Tlv<'_>) -> Result<Policy> {
    let mut cursor = tlv.cursor();
    let policy_type = cursor.u32().map_err(|_| tlv.invalid())?;
    let data = cursor.0;
    let mut value = || cursor.u32().map_err(|_| tlv.invalid());
    let policy = match policy_type {
        0x0000_0000 | 0x4000_0000 => return Err(tlv.invalid()),
        0x0000_0001 => Policy::RoundRobin,
        0x0000_0002 => Policy::WeightedRoundRobin { weight: value()? },
        0x0000_0003 => Policy::Random,
        0x0000_0004 => Policy::WeightedRandom { weight: value()? },
        0x0000_0005 => Policy::Priority { priority: value()? },
        0x4000_0001 => Policy::LeastUsed { load: value()? },
        0x4000_0002 => Policy::LeastUsedDegradation { load: value()?, degradation: value()? },
        0x4000_0003 => Policy::PriorityLeastUsed { load: value()?, degradation: value()? },
        0x4000_0004 => Policy::RandomizedLeastUsed { load: value()? },
        // A number for private use: with other values than ours it is somebody else's.
        0xc000_0001 if data.len() == 4 => Policy::MostUsed { load: value()? },
        _ => {
            return Ok(Policy::Other { policy_type, data: data.into() });
        }
    };
    if cursor.0.is_empty() { Ok(policy) } else { Err(tlv.invalid()) }
}

/// The first transport is the user's, a second one the ASAP transport (SCTP). Without a policy it is round robin.
fn pool_element(tlv: &Tlv<'_>, limits: &Limits, report: &mut Report) -> Result<PoolElement> {
    let mut cursor = tlv.cursor();
    let short = |_| tlv.invalid();
    let id = PeId(cursor.u32().map_err(short)?);
    let home = ServerId(cursor.u32().map_err(short)?);
    let life = match cursor.u32().map_err(short)?.cast_signed() {
        -1 => RegistrationLife::Infinite,
        seconds => RegistrationLife::Seconds(u32::try_from(seconds).map_err(|_| tlv.invalid())?),
    };
    let (mut user_transport, mut pool_policy, mut asap_transport) = (None, None, None);
    while let Some(nested) = next_known(&mut cursor, report)? {
        match nested.kind {
            param::POLICY if pool_policy.is_none() => pool_policy = Some(policy(&nested)?),
            param::SCTP_TRANSPORT if user_transport.is_some() && asap_transport.is_none() => {
                asap_transport = Some(sctp_transport(&nested, limits, report)?);
            }
            param::DCCP_TRANSPORT..=param::UDP_LITE_TRANSPORT | param::OPAQUE_TRANSPORT if user_transport.is_none() => {
                user_transport = Some(transport(&nested, limits, report)?);
            }
            _ => return Err(tlv.invalid()),
        }
    }
    let user_transport = user_transport.ok_or_else(|| tlv.invalid())?;
    Ok(PoolElement {
        id,
        home,
        life,
        user_transport,
        policy: pool_policy.unwrap_or(Policy::RoundRobin),
        asap_transport,
    })
}

fn server_information(tlv: &Tlv<'_>, limits: &Limits, report: &mut Report) -> Result<ServerInformation> {
    let mut cursor = tlv.cursor();
    let id = ServerId(cursor.u32().map_err(|_| tlv.invalid())?);
    let nested = next_known(&mut cursor, report)?.ok_or_else(|| tlv.invalid())?;
    if nested.kind != param::SCTP_TRANSPORT || next_known(&mut cursor, report)?.is_some() {
        return Err(tlv.invalid());
    }
    Ok(ServerInformation { id, transport: sctp_transport(&nested, limits, report)? })
}

fn operation_error(tlv: &Tlv<'_>, limits: &Limits) -> Result<OperationError> {
    let mut cursor = tlv.cursor();
    let mut causes = Vec::new();
    while let Some(nested) = cursor.tlv()? {
        if causes.len() == limits.max_causes {
            return Err(tlv.invalid());
        }
        causes.push(error_cause(&nested, limits));
    }
    if causes.is_empty() { Err(tlv.invalid()) } else { Ok(OperationError { causes }) }
}

/// Information that does not fit the code is kept as it came: an error report must not fail for its details.
fn error_cause(tlv: &Tlv<'_>, limits: &Limits) -> ErrorCause {
    let nested = || Cursor(tlv.value).tlv().ok().flatten();
    let known = match tlv.kind {
        cause_code::UNRECOGNIZED_PARAMETER => Some(ErrorCause::UnrecognizedParameter(tlv.bytes())),
        cause_code::UNRECOGNIZED_MESSAGE => Some(ErrorCause::UnrecognizedMessage(tlv.bytes())),
        cause_code::INVALID_VALUES => Some(ErrorCause::InvalidValues(tlv.bytes())),
        cause_code::INCONSISTENT_POLICY if !tlv.value.is_empty() => nested()
            .filter(|inner| inner.kind == param::POLICY)
            .and_then(|inner| policy(&inner).ok())
            .map(|policy| ErrorCause::InconsistentPolicy(Some(policy))),
        cause_code::INCONSISTENT_TRANSPORT_TYPE if !tlv.value.is_empty() => nested()
            .and_then(|inner| transport(&inner, limits, &mut Vec::new()).ok())
            .map(|transport| ErrorCause::InconsistentTransportType(Some(transport))),
        _ if !tlv.value.is_empty() => None,
        cause_code::UNSPECIFIED => Some(ErrorCause::Unspecified),
        cause_code::NON_UNIQUE_PE_ID => Some(ErrorCause::NonUniquePeId),
        cause_code::INCONSISTENT_POLICY => Some(ErrorCause::InconsistentPolicy(None)),
        cause_code::LACK_OF_RESOURCES => Some(ErrorCause::LackOfResources),
        cause_code::INCONSISTENT_TRANSPORT_TYPE => Some(ErrorCause::InconsistentTransportType(None)),
        cause_code::INCONSISTENT_DATA_CONTROL => Some(ErrorCause::InconsistentDataControl),
        cause_code::UNKNOWN_POOL_HANDLE => Some(ErrorCause::UnknownPoolHandle),
        cause_code::SECURITY => Some(ErrorCause::Security),
        _ => None,
    };
    known.unwrap_or_else(|| ErrorCause::Other { code: tlv.kind, info: tlv.bytes() })
}

/// Handle and PE identifier of a message that was not accepted, as far as they can be read: whom its refusal is about.
pub(super) fn subject(body: &[u8], limits: &Limits) -> (Option<PoolHandle>, Option<PeId>) {
    let mut cursor = Cursor(body);
    let (mut handle, mut pe) = (None, None);
    while let Ok(Some(tlv)) = cursor.tlv() {
        match tlv.kind {
            param::POOL_HANDLE if handle.is_none() => handle = pool_handle(&tlv, limits).ok(),
            param::POOL_ELEMENT | param::PE_IDENTIFIER if pe.is_none() => pe = tlv.cursor().u32().ok().map(PeId),
            _ => {}
        }
    }
    (handle, pe)
}
