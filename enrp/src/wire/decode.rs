//! Bytes to an ENRP message.

use super::{Body, Entry, FLAG, MORE, Message, Presence, UpdateAction, message_type as mt};
use asap::wire::{
    DecodeError, DecodeErrorKind, ErrorCause, Header, Limits, OperationError, Parameter, Parameters, PoolHandle,
    ServerId, ServerInformation, param,
};
use bytes::Bytes;

/// Most servers in one ENRP_LIST_RESPONSE; more are left out.
const SERVERS_MAX: usize = 1_024;

/// A message that was understood, and what its sender is to be told besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The message.
    pub message: Message,
    /// Unknown parameters that were skipped and are to be reported (type bits 11), one cause each.
    pub report: Vec<ErrorCause>,
}

impl Message {
    /// Decodes one message; `bytes` is one SCTP user message or one datagram. A Length with and without the final padding is
    /// taken.
    ///
    /// # Errors
    /// [`DecodeError`]; `cause` is what ENRP_ERROR is to say, if anything.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, DecodeError> {
        let header = Header::split(bytes)?;
        let kind = header.message_type;
        if !(mt::PRESENCE..=mt::ERROR).contains(&kind) {
            return Err(unknown_message(kind, bytes));
        }
        let mut fields = header.body;
        let sender = ServerId(u32_field(&mut fields)?);
        let receiver = ServerId(u32_field(&mut fields)?);
        let (body, report) = body(kind, header.flags, fields, limits).map_err(|error| match kind {
            // An error about an error would go back and forth for ever.
            mt::ERROR => DecodeError { cause: None, ..error },
            _ => error,
        })?;
        Ok(Decoded { message: Self { sender, receiver, body }, report })
    }

    /// The sender of a message that may not be decodable: whom to answer.
    #[must_use]
    pub fn sender_of(bytes: &[u8]) -> Option<ServerId> {
        let mut fields = bytes.get(4..)?;
        u32_field(&mut fields).ok().map(ServerId)
    }
}

fn unknown_message(kind: u8, bytes: &[u8]) -> DecodeError {
    const HEADERS: usize = 20;
    let echoed = &bytes[..bytes.len().min(asap::wire::MESSAGE_BYTES_MAX - HEADERS)];
    // Only type bits 01 are to be reported (RFC 5354 section 4).
    let cause = (kind >> 6 == 0b01).then(|| ErrorCause::UnrecognizedMessage(Bytes::copy_from_slice(echoed)));
    DecodeError { kind: DecodeErrorKind::UnknownMessage(kind), cause, request: None }
}

fn failure(kind: DecodeErrorKind, cause: Option<ErrorCause>) -> DecodeError {
    DecodeError { kind, cause, request: None }
}

/// RFC 5354 has no cause for a missing parameter.
fn missing(kind: u16) -> DecodeError {
    failure(DecodeErrorKind::Missing(kind), Some(ErrorCause::Unspecified))
}

fn u32_field(fields: &mut &[u8]) -> Result<u32, DecodeError> {
    let (value, rest) = fields.split_first_chunk::<4>().ok_or_else(|| failure(DecodeErrorKind::Length, None))?;
    *fields = rest;
    Ok(u32::from_be_bytes(*value))
}

/// A body, and what is to be reported.
type Read = (Body, Vec<ErrorCause>);

fn body(kind: u8, flags: u8, mut fields: &[u8], limits: &Limits) -> Result<Read, DecodeError> {
    let flag = flags & FLAG != 0;
    let body = match kind {
        mt::INIT_TAKEOVER => Body::InitTakeover { target: ServerId(u32_field(&mut fields)?) },
        mt::INIT_TAKEOVER_ACK => Body::InitTakeoverAck { target: ServerId(u32_field(&mut fields)?) },
        mt::TAKEOVER_SERVER => Body::TakeoverServer { target: ServerId(u32_field(&mut fields)?) },
        mt::HANDLE_TABLE_REQUEST => Body::HandleTableRequest { own: flag },
        mt::LIST_REQUEST => Body::ListRequest,
        mt::PRESENCE => return presence(flag, Parameters::new(fields, limits)),
        mt::HANDLE_TABLE_RESPONSE => {
            let (entries, report) = entries(Parameters::new(fields, limits), limits)?;
            return Ok((Body::HandleTableResponse { reject: flag, more: flags & MORE != 0, entries }, report));
        }
        mt::HANDLE_UPDATE => return update(fields, limits),
        mt::LIST_RESPONSE => return list(flag, Parameters::new(fields, limits)),
        _ => return error(Parameters::new(fields, limits)),
    };
    let mut rest = Parameters::new(fields, limits);
    while rest.next_parameter()?.is_some() {}
    Ok((body, rest.into_report()))
}

/// Known parameters that do not belong to a message are ignored.
fn presence(reply: bool, mut parameters: Parameters<'_>) -> Result<Read, DecodeError> {
    let (mut checksum, mut extensions, mut server, mut probe) = (None, None, None, false);
    while let Some(parameter) = parameters.next_parameter()? {
        if let Parameter::PeChecksum(value) = parameter {
            checksum = checksum.or(Some(value));
        } else if let Parameter::Extensions(version) = parameter {
            extensions = extensions.or(Some(version));
        } else if let Parameter::Probe(_) = parameter {
            probe = true;
        } else if let Parameter::ServerInformation(value) = parameter {
            server = server.or(Some(value));
        }
    }
    let checksum = checksum.ok_or_else(|| missing(param::PE_CHECKSUM))?;
    let presence = Presence { reply, checksum, extensions, probe, server };
    Ok((Body::Presence(presence), parameters.into_report()))
}

/// Pool handles, each followed by at least one element, each of those with or without a claim before it.
fn entries(mut parameters: Parameters<'_>, limits: &Limits) -> Result<(Vec<Entry>, Vec<ErrorCause>), DecodeError> {
    let (mut entries, mut handle, mut claim): (Vec<Entry>, Option<PoolHandle>, _) = (Vec::new(), None, None);
    let mut empty = false;
    while let Some(parameter) = parameters.next_parameter()? {
        if let Parameter::PoolHandle(value) = parameter {
            if empty {
                return Err(missing(param::POOL_ELEMENT));
            }
            handle = Some(value);
            empty = true;
        } else if let Parameter::Claim(value) = parameter {
            claim = Some(value);
        } else if let Parameter::PoolElement(element) = parameter {
            if entries.len() >= limits.max_elements {
                let kind = DecodeErrorKind::Invalid(param::POOL_ELEMENT);
                return Err(failure(kind, Some(ErrorCause::LackOfResources)));
            }
            let handle = handle.clone().ok_or_else(|| missing(param::POOL_HANDLE))?;
            entries.push(Entry { handle, element: *element, claim: claim.take() });
            empty = false;
        }
    }
    if empty {
        return Err(missing(param::POOL_ELEMENT));
    }
    Ok((entries, parameters.into_report()))
}

fn update(fields: &[u8], limits: &Limits) -> Result<Read, DecodeError> {
    let (field, rest) = fields.split_first_chunk::<4>().ok_or_else(|| failure(DecodeErrorKind::Length, None))?;
    let action = match u16::from_be_bytes([field[0], field[1]]) {
        0 => UpdateAction::Add,
        1 => UpdateAction::Delete,
        _ => return Err(failure(DecodeErrorKind::Length, Some(ErrorCause::Unspecified))),
    };
    let (entries, report) = entries(Parameters::new(rest, limits), limits)?;
    let mut entries = entries.into_iter();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok((Body::HandleUpdate { action, entry }, report)),
        (None, _) => Err(missing(param::POOL_ELEMENT)),
        (Some(_), Some(_)) => {
            Err(failure(DecodeErrorKind::Invalid(param::POOL_ELEMENT), Some(ErrorCause::Unspecified)))
        }
    }
}

fn list(reject: bool, mut parameters: Parameters<'_>) -> Result<Read, DecodeError> {
    let mut servers: Vec<ServerInformation> = Vec::new();
    while let Some(parameter) = parameters.next_parameter()? {
        if let Parameter::ServerInformation(server) = parameter
            && servers.len() < SERVERS_MAX
        {
            servers.push(server);
        }
    }
    Ok((Body::ListResponse { reject, servers }, parameters.into_report()))
}

fn error(mut parameters: Parameters<'_>) -> Result<Read, DecodeError> {
    let mut error: Option<OperationError> = None;
    while let Some(parameter) = parameters.next_parameter()? {
        if let Parameter::OperationError(value) = parameter {
            error = error.or(Some(value));
        }
    }
    let error = error.ok_or_else(|| missing(param::OPERATION_ERROR))?;
    // Reports about an error are an error about an error.
    Ok((Body::Error { error }, Vec::new()))
}
