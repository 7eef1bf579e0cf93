//! The session cookie envelope: what a controller hands to the gateway in ASAP COOKIE, and the next controller gets
//! back in ASAP COOKIE_ECHO.

use core::fmt;

use crate::session::{CorrelationId, GroupKey};

/// The cookie of one group; layout in ARCHITECTURE.md, big-endian:
/// ```text
/// 0  u8 version = 2   1  u8 SI    2  u8 NI    3  u8 SLS
/// 4  u32 OPC          8  u32 DPC              12 u16 CIC block    14 u16 flags = 0
/// 16 u32 mark         20 u32 transaction      24 u32 incarnation
/// 28 u32 age in ms                                                32.. state
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The group.
    pub group: GroupKey,
    /// Network indicator of the group's messages.
    pub ni: u8,
    /// Correlation Id of the last message covered.
    pub mark: CorrelationId,
    /// The controller's transaction number, counts up in one incarnation.
    pub transaction: u32,
    /// The controller's incarnation.
    pub incarnation: u32,
    /// How long ago the gateway stored the cookie, in milliseconds: the gateway says so in COOKIE_ECHO
    /// ([`Envelope::set_age`]), and a controller writes 0. So timers of the state go on where they were.
    pub age_ms: u32,
    /// The controller's state, opaque to the gateway.
    pub state: &'a [u8],
}

/// Why octets are not a session cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Shorter than the 32 octets of the header.
    TooShort {
        /// Octets received.
        len: usize,
    },
    /// Another version.
    Version {
        /// Version received.
        version: u8,
    },
    /// Flags this version does not have.
    Flags {
        /// Flags received.
        flags: u16,
    },
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvelopeError::TooShort { len } => {
                write!(f, "{len} octets are shorter than a cookie envelope")
            }
            EnvelopeError::Version { version } => {
                write!(f, "cookie envelope version {version} is not {}", Envelope::VERSION)
            }
            EnvelopeError::Flags { flags } => {
                write!(f, "cookie envelope flags {flags:#06x} are not known")
            }
        }
    }
}

impl core::error::Error for EnvelopeError {}

impl<'a> Envelope<'a> {
    /// Octets before the state.
    pub const HEADER_LEN: usize = 32;
    /// Version of this layout.
    pub const VERSION: u8 = 2;
    /// Where the age is.
    const AGE_AT: usize = 28;

    /// Reads a cookie.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn decode(cookie: &'a [u8]) -> Result<Self, EnvelopeError> {
        let Some((head, state)) = cookie.split_first_chunk::<{ Envelope::HEADER_LEN }>() else {
            return Err(EnvelopeError::TooShort { len: cookie.len() });
        };
        let [version, si, ni, sls, ..] = *head;
        if version != Self::VERSION {
            return Err(EnvelopeError::Version { version });
        }
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let flags = word(12) as u16;
        if flags != 0 {
            return Err(EnvelopeError::Flags { flags });
        }
        Ok(Envelope {
            group: GroupKey { opc: word(4), dpc: word(8), si, sls, cic_block: (word(12) >> 16) as u16 },
            ni,
            mark: CorrelationId(word(16)),
            transaction: word(20),
            incarnation: word(24),
            age_ms: word(Self::AGE_AT),
            state,
        })
    }

    /// The header; the cookie is this and the state behind it.
    #[must_use]
    pub fn header(&self) -> [u8; Envelope::HEADER_LEN] {
        let mut head = [0; Envelope::HEADER_LEN];
        let group = &self.group;
        head[..4].copy_from_slice(&[Self::VERSION, group.si, self.ni, group.sls]);
        let block = u32::from(group.cic_block) << 16;
        let words = [group.opc, group.dpc, block, self.mark.0, self.transaction, self.incarnation, self.age_ms];
        for (place, word) in head[4..].as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        head
    }

    /// Writes the age into a cookie; octets too short for a header stay as they are.
    pub fn set_age(cookie: &mut [u8], age_ms: u32) {
        if let Some(place) = cookie.get_mut(Self::AGE_AT..Self::HEADER_LEN) {
            place.copy_from_slice(&age_ms.to_be_bytes());
        }
    }

    /// Octets of the whole cookie.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        Self::HEADER_LEN + self.state.len()
    }

    /// Writes the cookie to the beginning of `out` and gives its length; `None` when `out` is too small.
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..self.encoded_len())?;
        let (head, state) = out.split_at_mut(Self::HEADER_LEN);
        head.copy_from_slice(&self.header());
        state.copy_from_slice(self.state);
        Some(self.encoded_len())
    }
}
