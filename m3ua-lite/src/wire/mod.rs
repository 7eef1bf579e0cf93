//! Codec of RFC 4666: [`Message::decode`] is a checked view that borrows the received octets; [`Message::encode`]
//! writes into a buffer of the caller, whose size [`Message::encoded_len`] tells exactly.
//!
//! ```
//! use m3ua_lite::wire::{Data, Message, ProtocolData};
//!
//! let data = Message::Data(Data {
//!     network_appearance: None,
//!     routing_context: Some(7),
//!     protocol_data: ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 3, user_data: &[33, 0, 1] },
//!     correlation_id: Some(42),
//! });
//! let mut buffer = [0; 64];
//! let len = data.encode(&mut buffer)?;
//! assert_eq!(Message::decode(&buffer[..len]).as_ref(), Ok(&data));
//! # Ok::<(), m3ua_lite::EncodeError>(())
//! ```
//!
//! Rules kept in one place: parameters are taken in any order; unknown parameters, and known ones that the message has
//! no use for, are skipped (RFC 4666 section 3: all message types may have attached parameters); a parameter that may
//! come once and comes twice is an error; the padding of the last parameter may be in the message length or not.

mod asp;
mod mgmt;
mod rkm;
mod ssnm;
pub mod tag;
mod transfer;
mod types;

use byteorder::{BigEndian, ByteOrder};

pub use asp::{AspActive, AspDown, AspInactive, AspUp, Beat};
pub use mgmt::{ErrorMessage, Notify};
pub use rkm::{
    DeregReq, DeregRsp, DeregistrationResult, KeyPart, KeyParts, PointCodes, RegReq, RegRsp, RegistrationResult,
    RoutingKey, RoutingKeys,
};
pub use ssnm::{Dupu, Scon, Ssnm};
pub use transfer::{Data, ProtocolData};
pub use types::{
    AffectedList, AffectedPc, DeregistrationStatus, Diagnostic, ErrorCode, MAX_AFFECTED, MAX_ROUTING_CONTEXTS,
    MAX_ROUTING_KEYS, RegistrationStatus, RoutingContexts, Status, TrafficMode, UnavailabilityCause, UserCause,
    one_context,
};

use crate::error::{DecodeError, EncodeError};
use tag::{Counter, Sink, Writer};

/// Octets of the common header.
pub const HEADER_LEN: usize = 8;
/// M3UA version of RFC 4666.
pub const VERSION: u8 = 1;

macro_rules! message_types {
    ($($(#[$meta:meta])* $variant:ident = $code:literal $name:literal,)*) => {
        /// Class and type of a message (RFC 4666 section 3.1.2).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MessageType {
            $($(#[$meta])* $variant,)*
        }

        impl MessageType {
            /// All message types, in the order of their codes.
            pub const ALL: &'static [MessageType] = &[$(MessageType::$variant,)*];

            /// Class in the high octet, type in the low one, as on the wire.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self {
                    $(MessageType::$variant => $code,)*
                }
            }

            /// The RFC's abbreviation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(MessageType::$variant => $name,)*
                }
            }

            const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(MessageType::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

message_types! {
    /// Error.
    Error = 0x0000 "ERR",
    /// Notify.
    Notify = 0x0001 "NTFY",
    /// Payload Data.
    Data = 0x0101 "DATA",
    /// Destination Unavailable.
    Duna = 0x0201 "DUNA",
    /// Destination Available.
    Dava = 0x0202 "DAVA",
    /// Destination State Audit.
    Daud = 0x0203 "DAUD",
    /// Signalling Congestion.
    Scon = 0x0204 "SCON",
    /// Destination User Part Unavailable.
    Dupu = 0x0205 "DUPU",
    /// Destination Restricted.
    Drst = 0x0206 "DRST",
    /// ASP Up.
    AspUp = 0x0301 "ASPUP",
    /// ASP Down.
    AspDown = 0x0302 "ASPDN",
    /// Heartbeat.
    Beat = 0x0303 "BEAT",
    /// ASP Up Acknowledgement.
    AspUpAck = 0x0304 "ASPUP ACK",
    /// ASP Down Acknowledgement.
    AspDownAck = 0x0305 "ASPDN ACK",
    /// Heartbeat Acknowledgement.
    BeatAck = 0x0306 "BEAT ACK",
    /// ASP Active.
    AspActive = 0x0401 "ASPAC",
    /// ASP Inactive.
    AspInactive = 0x0402 "ASPIA",
    /// ASP Active Acknowledgement.
    AspActiveAck = 0x0403 "ASPAC ACK",
    /// ASP Inactive Acknowledgement.
    AspInactiveAck = 0x0404 "ASPIA ACK",
    /// Registration Request.
    RegReq = 0x0901 "REG REQ",
    /// Registration Response.
    RegRsp = 0x0902 "REG RSP",
    /// Deregistration Request.
    DeregReq = 0x0903 "DEREG REQ",
    /// Deregistration Response.
    DeregRsp = 0x0904 "DEREG RSP",
}

impl MessageType {
    /// Looks class and type up.
    ///
    /// # Errors
    /// [`DecodeError::UnsupportedClass`] or [`DecodeError::UnsupportedType`].
    pub const fn lookup(class: u8, message_type: u8) -> Result<Self, DecodeError> {
        match MessageType::from_code((class as u16) << 8 | message_type as u16) {
            Some(found) => Ok(found),
            None => match class {
                0..=4 | 9 => Err(DecodeError::UnsupportedType { class, message_type }),
                _ => Err(DecodeError::UnsupportedClass { class }),
            },
        }
    }
}

/// A message of RFC 4666; one variant a message type, both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// ERR.
    Error(ErrorMessage<'a>),
    /// NTFY.
    Notify(Notify<'a>),
    /// DATA.
    Data(Data<'a>),
    /// DUNA.
    Duna(Ssnm<'a>),
    /// DAVA.
    Dava(Ssnm<'a>),
    /// DAUD.
    Daud(Ssnm<'a>),
    /// SCON.
    Scon(Scon<'a>),
    /// DUPU.
    Dupu(Dupu<'a>),
    /// DRST.
    Drst(Ssnm<'a>),
    /// ASPUP.
    AspUp(AspUp<'a>),
    /// ASPDN.
    AspDown(AspDown<'a>),
    /// BEAT.
    Beat(Beat<'a>),
    /// ASPUP ACK.
    AspUpAck(AspUp<'a>),
    /// ASPDN ACK.
    AspDownAck(AspDown<'a>),
    /// BEAT ACK.
    BeatAck(Beat<'a>),
    /// ASPAC.
    AspActive(AspActive<'a>),
    /// ASPIA.
    AspInactive(AspInactive<'a>),
    /// ASPAC ACK.
    AspActiveAck(AspActive<'a>),
    /// ASPIA ACK.
    AspInactiveAck(AspInactive<'a>),
    /// REG REQ.
    RegReq(RegReq<'a>),
    /// REG RSP.
    RegRsp(RegRsp),
    /// DEREG REQ.
    DeregReq(DeregReq),
    /// DEREG RSP.
    DeregRsp(DeregRsp),
}

/// Checks the common header and gives message type and parameters:
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// |  Version = 1  |   Reserved    | Message Class | Message Type  |
/// |              Message Length, header included                  |
/// ```
pub(crate) fn header(octets: &[u8]) -> Result<(MessageType, &[u8]), DecodeError> {
    let Some((head, body)) = octets.split_first_chunk::<HEADER_LEN>() else {
        return Err(DecodeError::TooShort { len: octets.len() });
    };
    let [version, _reserved, class, message_type, length @ ..] = *head;
    if version != VERSION {
        return Err(DecodeError::Version { version });
    }
    let message_type = MessageType::lookup(class, message_type)?;
    let claimed = u32::from_be_bytes(length);
    // The final padding may be left out of the length, and of the octets.
    let received = octets.len();
    let whole = usize::try_from(claimed).ok().filter(|len| (HEADER_LEN..=received).contains(len) && received - len < 4);
    let body = whole.and_then(|len| body.get(..len - HEADER_LEN)).ok_or(DecodeError::Length { claimed, received })?;
    Ok((message_type, body))
}

impl<'a> Message<'a> {
    /// Reads one message, the whole of an SCTP message with PPID 3.
    ///
    /// # Errors
    /// [`DecodeError`], which knows the ERR that answers it.
    pub fn decode(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let (message_type, body) = header(octets)?;
        Ok(match message_type {
            MessageType::Error => Message::Error(ErrorMessage::read(body)?),
            MessageType::Notify => Message::Notify(Notify::read(body)?),
            MessageType::Data => Message::Data(Data::read(body)?),
            MessageType::Duna => Message::Duna(Ssnm::read(body)?),
            MessageType::Dava => Message::Dava(Ssnm::read(body)?),
            MessageType::Daud => Message::Daud(Ssnm::read(body)?),
            MessageType::Scon => Message::Scon(Scon::read(body)?),
            MessageType::Dupu => Message::Dupu(Dupu::read(body)?),
            MessageType::Drst => Message::Drst(Ssnm::read(body)?),
            MessageType::AspUp => Message::AspUp(AspUp::read(body)?),
            MessageType::AspDown => Message::AspDown(AspDown::read(body)?),
            MessageType::Beat => Message::Beat(Beat::read(body)?),
            MessageType::AspUpAck => Message::AspUpAck(AspUp::read(body)?),
            MessageType::AspDownAck => Message::AspDownAck(AspDown::read(body)?),
            MessageType::BeatAck => Message::BeatAck(Beat::read(body)?),
            MessageType::AspActive => Message::AspActive(AspActive::read(body)?),
            MessageType::AspInactive => Message::AspInactive(AspInactive::read(body)?),
            MessageType::AspActiveAck => Message::AspActiveAck(AspActive::read(body)?),
            MessageType::AspInactiveAck => Message::AspInactiveAck(AspInactive::read(body)?),
            MessageType::RegReq => Message::RegReq(RegReq::read(body)?),
            MessageType::RegRsp => Message::RegRsp(RegRsp::read(body)?),
            MessageType::DeregReq => Message::DeregReq(DeregReq::read(body)?),
            MessageType::DeregRsp => Message::DeregRsp(DeregRsp::read(body)?),
        })
    }

    /// Which message this is.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Message::Error(_) => MessageType::Error,
            Message::Notify(_) => MessageType::Notify,
            Message::Data(_) => MessageType::Data,
            Message::Duna(_) => MessageType::Duna,
            Message::Dava(_) => MessageType::Dava,
            Message::Daud(_) => MessageType::Daud,
            Message::Scon(_) => MessageType::Scon,
            Message::Dupu(_) => MessageType::Dupu,
            Message::Drst(_) => MessageType::Drst,
            Message::AspUp(_) => MessageType::AspUp,
            Message::AspDown(_) => MessageType::AspDown,
            Message::Beat(_) => MessageType::Beat,
            Message::AspUpAck(_) => MessageType::AspUpAck,
            Message::AspDownAck(_) => MessageType::AspDownAck,
            Message::BeatAck(_) => MessageType::BeatAck,
            Message::AspActive(_) => MessageType::AspActive,
            Message::AspInactive(_) => MessageType::AspInactive,
            Message::AspActiveAck(_) => MessageType::AspActiveAck,
            Message::AspInactiveAck(_) => MessageType::AspInactiveAck,
            Message::RegReq(_) => MessageType::RegReq,
            Message::RegRsp(_) => MessageType::RegRsp,
            Message::DeregReq(_) => MessageType::DeregReq,
            Message::DeregRsp(_) => MessageType::DeregRsp,
        }
    }

    fn write_parameters<S: Sink>(&self, sink: &mut S) {
        match self {
            Message::Error(message) => message.write(sink),
            Message::Notify(message) => message.write(sink),
            Message::Data(message) => message.write(sink),
            Message::Duna(message) | Message::Dava(message) | Message::Daud(message) | Message::Drst(message) => {
                message.write(sink);
            }
            Message::Scon(message) => message.write(sink),
            Message::Dupu(message) => message.write(sink),
            Message::AspUp(message) | Message::AspUpAck(message) => message.write(sink),
            Message::AspDown(message) | Message::AspDownAck(message) => message.write(sink),
            Message::Beat(message) | Message::BeatAck(message) => message.write(sink),
            Message::AspActive(message) | Message::AspActiveAck(message) => message.write(sink),
            Message::AspInactive(message) | Message::AspInactiveAck(message) => message.write(sink),
            Message::RegReq(message) => message.write(sink),
            Message::RegRsp(message) => message.write(sink),
            Message::DeregReq(message) => message.write(sink),
            Message::DeregRsp(message) => message.write(sink),
        }
    }

    /// Octets [`Message::encode`] will write, padding included.
    ///
    /// # Errors
    /// [`EncodeError::ParameterTooLong`].
    pub fn encoded_len(&self) -> Result<usize, EncodeError> {
        let mut counter = Counter::default();
        self.write_parameters(&mut counter);
        Ok(HEADER_LEN + counter.finish()?)
    }

    /// Writes the message to the beginning of `out` and gives its length.
    ///
    /// # Errors
    /// [`EncodeError`]; `out` is untouched then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let needed = self.encoded_len()?;
        let given = out.len();
        let out = out.get_mut(..needed).ok_or(EncodeError::BufferTooSmall { needed, given })?;
        let length = u32::try_from(needed).map_err(|_| EncodeError::ParameterTooLong { tag: 0, len: needed })?;
        let mut head = [VERSION, 0, 0, 0, 0, 0, 0, 0];
        BigEndian::write_u16(&mut head[2..4], self.message_type().code());
        BigEndian::write_u32(&mut head[4..], length);
        let mut writer = Writer::new(out);
        writer.put(&head);
        self.write_parameters(&mut writer);
        Ok(needed)
    }
}
