//! Parameter tags (RFC 4666 section 3.2), the walk over parameters, and the two sinks that write them.

use byteorder::{BigEndian, ByteOrder};

use crate::error::{DecodeError, EncodeError};

/// INFO String.
pub const INFO_STRING: u16 = 0x0004;
/// Routing Context.
pub const ROUTING_CONTEXT: u16 = 0x0006;
/// Diagnostic Information.
pub const DIAGNOSTIC_INFORMATION: u16 = 0x0007;
/// Heartbeat Data.
pub const HEARTBEAT_DATA: u16 = 0x0009;
/// Traffic Mode Type.
pub const TRAFFIC_MODE_TYPE: u16 = 0x000b;
/// Error Code.
pub const ERROR_CODE: u16 = 0x000c;
/// Status.
pub const STATUS: u16 = 0x000d;
/// ASP Identifier.
pub const ASP_IDENTIFIER: u16 = 0x0011;
/// Affected Point Code.
pub const AFFECTED_POINT_CODE: u16 = 0x0012;
/// Correlation Id.
pub const CORRELATION_ID: u16 = 0x0013;
/// Network Appearance.
pub const NETWORK_APPEARANCE: u16 = 0x0200;
/// User/Cause.
pub const USER_CAUSE: u16 = 0x0204;
/// Congestion Indications.
pub const CONGESTION_INDICATIONS: u16 = 0x0205;
/// Concerned Destination.
pub const CONCERNED_DESTINATION: u16 = 0x0206;
/// Routing Key.
pub const ROUTING_KEY: u16 = 0x0207;
/// Registration Result.
pub const REGISTRATION_RESULT: u16 = 0x0208;
/// Deregistration Result.
pub const DEREGISTRATION_RESULT: u16 = 0x0209;
/// Local Routing Key Identifier.
pub const LOCAL_RK_IDENTIFIER: u16 = 0x020a;
/// Destination Point Code.
pub const DESTINATION_POINT_CODE: u16 = 0x020b;
/// Service Indicators.
pub const SERVICE_INDICATORS: u16 = 0x020c;
/// Originating Point Code List.
pub const OPC_LIST: u16 = 0x020e;
/// Protocol Data.
pub const PROTOCOL_DATA: u16 = 0x0210;
/// Registration Status.
pub const REGISTRATION_STATUS: u16 = 0x0212;
/// Deregistration Status.
pub const DEREGISTRATION_STATUS: u16 = 0x0213;

/// Octets of tag and length before a value.
const TLV_HEADER: usize = 4;

/// "This parameter has the wrong length", with the length field the peer wrote.
pub(crate) fn wrong_length(tag: u16, value: &[u8]) -> DecodeError {
    DecodeError::ParameterLength { tag, length: (value.len() + TLV_HEADER) as u16 }
}

/// Walks over parameters:
/// ```text
/// |        Tag (16 bits)          |    Length (16 bits, no padding)     |
/// \                   Value, padded with zeros to 4                     \
/// ```
/// The last parameter's padding may be missing (RFC 4666 section 3.1.4). After an error the walk is over.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a> {
    rest: &'a [u8],
}

impl<'a> Params<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Params { rest: body }
    }

    fn step(&mut self) -> Result<(u16, &'a [u8]), DecodeError> {
        let rest = core::mem::take(&mut self.rest);
        let Some((head, _)) = rest.split_first_chunk::<TLV_HEADER>() else {
            return Err(DecodeError::ParameterLength { tag: 0, length: rest.len() as u16 });
        };
        let tag = BigEndian::read_u16(&head[..2]);
        let length = BigEndian::read_u16(&head[2..]);
        let end = usize::from(length);
        let value = rest.get(TLV_HEADER..end).ok_or(DecodeError::ParameterLength { tag, length })?;
        self.rest = rest.get(end.next_multiple_of(4)..).unwrap_or(&[]);
        Ok((tag, value))
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<(u16, &'a [u8]), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.step())
    }
}

/// The tags [`Fields`] knows; all others are unknown, or repeated and read by [`Params`].
const SLOTS: usize = 21;

const fn slot(tag: u16) -> Option<usize> {
    Some(match tag {
        NETWORK_APPEARANCE => 0,
        ROUTING_CONTEXT => 1,
        PROTOCOL_DATA => 2,
        CORRELATION_ID => 3,
        HEARTBEAT_DATA => 4,
        INFO_STRING => 5,
        DIAGNOSTIC_INFORMATION => 6,
        TRAFFIC_MODE_TYPE => 7,
        ERROR_CODE => 8,
        STATUS => 9,
        ASP_IDENTIFIER => 10,
        AFFECTED_POINT_CODE => 11,
        USER_CAUSE => 12,
        CONGESTION_INDICATIONS => 13,
        CONCERNED_DESTINATION => 14,
        LOCAL_RK_IDENTIFIER => 15,
        DESTINATION_POINT_CODE => 16,
        SERVICE_INDICATORS => 17,
        OPC_LIST => 18,
        REGISTRATION_STATUS => 19,
        DEREGISTRATION_STATUS => 20,
        _ => return None,
    })
}

/// The parameters of one message that may occur once each, in whatever order they came; unknown ones are skipped.
pub(crate) struct Fields<'a> {
    slots: [Option<&'a [u8]>; SLOTS],
}

impl<'a> Fields<'a> {
    pub(crate) const fn empty() -> Self {
        Fields { slots: [None; SLOTS] }
    }

    pub(crate) fn collect(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::empty();
        for param in Params::new(body) {
            let (tag, value) = param?;
            fields.put(tag, value)?;
        }
        Ok(fields)
    }

    pub(crate) fn put(&mut self, tag: u16, value: &'a [u8]) -> Result<(), DecodeError> {
        let Some(place) = slot(tag).and_then(|i| self.slots.get_mut(i)) else {
            return Ok(());
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(DecodeError::DuplicateParameter { tag }),
        }
    }

    pub(crate) fn get(&self, tag: u16) -> Option<&'a [u8]> {
        slot(tag).and_then(|i| self.slots.get(i).copied().flatten())
    }

    pub(crate) fn require(&self, tag: u16) -> Result<&'a [u8], DecodeError> {
        self.get(tag).ok_or(DecodeError::MissingParameter { tag })
    }

    pub(crate) fn word(&self, tag: u16) -> Result<Option<u32>, DecodeError> {
        self.get(tag).map(|value| word(tag, value)).transpose()
    }

    pub(crate) fn require_word(&self, tag: u16) -> Result<u32, DecodeError> {
        word(tag, self.require(tag)?)
    }
}

/// A parameter that holds exactly one 32-bit word.
fn word(tag: u16, value: &[u8]) -> Result<u32, DecodeError> {
    let word: [u8; 4] = value.try_into().map_err(|_| wrong_length(tag, value))?;
    Ok(u32::from_be_bytes(word))
}

/// Where octets go: counted ([`Counter`]) or written ([`Writer`]), so that `encoded_len` and `encode` cannot disagree.
pub(crate) trait Sink {
    fn put(&mut self, octets: &[u8]);
    fn fail(&mut self, error: EncodeError);

    /// One parameter whose value is `len` octets written by `value`; adds the padding.
    fn param_with(&mut self, tag: u16, len: usize, value: impl FnOnce(&mut Self))
    where
        Self: Sized,
    {
        let Ok(length) = u16::try_from(len + TLV_HEADER) else {
            return self.fail(EncodeError::ParameterTooLong { tag, len });
        };
        let mut head = [0; TLV_HEADER];
        BigEndian::write_u16(&mut head[..2], tag);
        BigEndian::write_u16(&mut head[2..], length);
        self.put(&head);
        value(self);
        self.put(&[0; 3][..len.next_multiple_of(4) - len]);
    }

    fn param(&mut self, tag: u16, value: &[u8])
    where
        Self: Sized,
    {
        self.param_with(tag, value.len(), |sink| sink.put(value));
    }

    fn optional(&mut self, tag: u16, value: Option<&[u8]>)
    where
        Self: Sized,
    {
        if let Some(value) = value {
            self.param(tag, value);
        }
    }

    fn word(&mut self, tag: u16, value: u32)
    where
        Self: Sized,
    {
        self.param(tag, &value.to_be_bytes());
    }

    fn optional_word(&mut self, tag: u16, value: Option<u32>)
    where
        Self: Sized,
    {
        if let Some(value) = value {
            self.word(tag, value);
        }
    }

    /// A list parameter; an empty list is an absent parameter.
    fn words(&mut self, tag: u16, count: usize, values: impl Iterator<Item = u32>)
    where
        Self: Sized,
    {
        if count > 0 {
            self.param_with(tag, count * 4, |sink| values.for_each(|value| sink.put(&value.to_be_bytes())));
        }
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Counter {
    len: usize,
    error: Option<EncodeError>,
}

impl Counter {
    pub(crate) fn finish(self) -> Result<usize, EncodeError> {
        match self.error {
            None => Ok(self.len),
            Some(error) => Err(error),
        }
    }
}

impl Sink for Counter {
    fn put(&mut self, octets: &[u8]) {
        self.len += octets.len();
    }

    fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }
}

/// Writes into a buffer that was measured with [`Counter`] before.
pub(crate) struct Writer<'b> {
    out: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    pub(crate) const fn new(out: &'b mut [u8]) -> Self {
        Writer { out, at: 0 }
    }
}

impl Sink for Writer<'_> {
    fn put(&mut self, octets: &[u8]) {
        let end = self.at + octets.len();
        self.out.get_mut(self.at..end).expect("invariant: the counter measured the buffer").copy_from_slice(octets);
        self.at = end;
    }

    fn fail(&mut self, _: EncodeError) {
        unreachable!("invariant: the counter refused this message before");
    }
}
