//! MTP3 routing label and point code formats.

use core::fmt;

use crate::wire::tag::Params;
use crate::wire::{self, ProtocolData};

/// How point codes are written by people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PointCodeFormat {
    /// One decimal number.
    #[default]
    Plain,
    /// ITU zone-region-point, 3-8-3 bits, for example `2-77-3`.
    Itu383,
    /// ANSI network-cluster-member, 8-8-8 bits, for example `251-4-2`.
    Ansi888,
}

/// A text that is not a point code in the format asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPointCode {
    /// The format expected.
    pub format: PointCodeFormat,
}

impl fmt::Display for InvalidPointCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.format {
            PointCodeFormat::Plain => "not a point code: expected a number up to 16777215",
            PointCodeFormat::Itu383 => "not a point code: expected zone-region-point, at most 7-255-7",
            PointCodeFormat::Ansi888 => "not a point code: expected network-cluster-member, at most 255-255-255",
        })
    }
}

impl core::error::Error for InvalidPointCode {}

impl PointCodeFormat {
    /// Bits of the three fields, from the high end.
    const fn widths(self) -> [u32; 3] {
        match self {
            PointCodeFormat::Plain => [0, 0, 24],
            PointCodeFormat::Itu383 => [3, 8, 3],
            PointCodeFormat::Ansi888 => [8, 8, 8],
        }
    }

    /// Reads a point code.
    ///
    /// # Errors
    /// [`InvalidPointCode`] when fields are missing, too many, not decimal, or too large.
    pub fn parse(self, text: &str) -> Result<u32, InvalidPointCode> {
        let wrong = InvalidPointCode { format: self };
        let mut fields = text.split('-');
        let mut pc = 0;
        for width in self.widths().into_iter().filter(|width| *width > 0) {
            let field = fields.next().ok_or(wrong)?;
            // u32::from_str would take a leading `+`.
            let digits = !field.is_empty() && field.bytes().all(|octet| octet.is_ascii_digit());
            let value = field.parse::<u32>().ok().filter(|value| digits && *value < 1 << width).ok_or(wrong)?;
            pc = pc << width | value;
        }
        fields.next().is_none().then_some(pc).ok_or(wrong)
    }

    /// A value that displays `pc` in this format.
    #[must_use]
    pub const fn display(self, pc: u32) -> DisplayPointCode {
        DisplayPointCode { format: self, pc }
    }
}

/// A point code and how to write it; see [`PointCodeFormat::display`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisplayPointCode {
    format: PointCodeFormat,
    pc: u32,
}

impl fmt::Display for DisplayPointCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pc = self.pc;
        match self.format {
            PointCodeFormat::Plain => write!(f, "{pc}"),
            PointCodeFormat::Itu383 => write!(f, "{}-{}-{}", pc >> 11, pc >> 3 & 0xff, pc & 7),
            PointCodeFormat::Ansi888 => write!(f, "{}-{}-{}", pc >> 16, pc >> 8 & 0xff, pc & 0xff),
        }
    }
}

/// Octets of service information and ITU routing label.
const ITU_LABEL_LEN: usize = 5;

/// Reads a classic MTP3 MSU with ITU label (Q.704 sections 2.2 and 14.2), as older M3UA drafts carry it:
/// ```text
/// | SIO: NI (2 bits), spare (2), SI (4) | label, 32 bits little-endian: SLS (4), OPC (14), DPC (14) | user data
/// ```
/// `None` when `msu` is shorter than SIO and label.
#[must_use]
pub fn decode_itu(msu: &[u8]) -> Option<ProtocolData<'_>> {
    let (head, user_data) = msu.split_first_chunk::<ITU_LABEL_LEN>()?;
    let [sio, label @ ..] = *head;
    let label = u32::from_le_bytes(label);
    Some(ProtocolData {
        opc: label >> 14 & 0x3fff,
        dpc: label & 0x3fff,
        si: sio & 0x0f,
        ni: sio >> 6,
        mp: sio >> 4 & 0x03,
        sls: (label >> 28) as u8,
        user_data,
    })
}

/// Protocol Data 1 of old drafts: the MSU from the service information octet on.
const DRAFT_PROTOCOL_DATA_1: u16 = 2;
/// Protocol Data 2 of old drafts: the length indicator, then the MSU.
const DRAFT_PROTOCOL_DATA_2: u16 = 3;

/// Reads the DATA message of an old draft (up to draft 6, about 2001), as some captures have it: the MSU lies in it
/// with its classic label ([`decode_itu`]). `None` when it is no such message; RFC 4666 messages are none.
#[must_use]
pub fn decode_draft_data(octets: &[u8]) -> Option<ProtocolData<'_>> {
    let (message_type, body) = wire::header(octets).ok()?;
    if message_type != wire::MessageType::Data {
        return None;
    }
    let msu = Params::new(body).map_while(Result::ok).find_map(|(tag, value)| match tag {
        DRAFT_PROTOCOL_DATA_1 => Some(value),
        DRAFT_PROTOCOL_DATA_2 => value.get(1..),
        _ => None,
    });
    msu.and_then(decode_itu)
}
