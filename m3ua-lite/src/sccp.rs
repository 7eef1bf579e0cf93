//! The connectionless SCCP messages (Q.713): where their user data is. Addresses are left as octets.

/// Service indicator of SCCP in MTP3.
pub const SERVICE_INDICATOR: u8 = 3;

/// Message type of a connectionless message (Q.713 table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Unitdata, 0x09.
    Udt,
    /// Unitdata service: UDT came back, 0x0a.
    Udts,
    /// Extended unitdata, 0x11.
    Xudt,
    /// Extended unitdata service, 0x12.
    Xudts,
    /// Long unitdata, 0x13.
    Ludt,
}

/// A connectionless message; everything borrows the octets it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unitdata<'a> {
    /// What it is.
    pub message_type: MessageType,
    /// Called party address, without its length octet.
    pub called: &'a [u8],
    /// Calling party address, without its length octet.
    pub calling: &'a [u8],
    /// User data, for example a TCAP message, or the segment of one.
    pub data: &'a [u8],
    /// A segment that is not the first (Q.713 section 3.17): `data` does not begin a message of the user.
    pub continues: bool,
}

/// Reads one message; `None` for other types and for what is cut short or points outside of itself.
#[must_use]
pub fn read(octets: &[u8]) -> Option<Unitdata<'_>> {
    let (message_type, fixed) = match octets.first()? {
        0x09 => (MessageType::Udt, 2),
        0x0a => (MessageType::Udts, 2),
        0x11 => (MessageType::Xudt, 3),
        0x12 => (MessageType::Xudts, 3),
        0x13 => (MessageType::Ludt, 3),
        _ => return None,
    };
    let long = message_type == MessageType::Ludt;
    let width = if long { 2 } else { 1 };
    let called = address(octets, pointer(octets, fixed, long)?)?;
    let calling = address(octets, pointer(octets, fixed + width, long)?)?;
    let at = pointer(octets, fixed + 2 * width, long)?;
    let data = if long {
        let length = u16::from_le_bytes(*octets.get(at..)?.first_chunk::<2>()?);
        octets.get(at + 2..)?.get(..usize::from(length))?
    } else {
        address(octets, at)?
    };
    let continues = match message_type {
        MessageType::Udt | MessageType::Udts => false,
        MessageType::Xudt | MessageType::Xudts | MessageType::Ludt => {
            optional_continues(octets, fixed + 3 * width, long)?
        }
    };
    Some(Unitdata { message_type, called, calling, data, continues })
}

/// Where the pointer at `at` leads: it counts from its own last octet (Q.713 section 2.3).
fn pointer(octets: &[u8], at: usize, long: bool) -> Option<usize> {
    if long {
        Some(at + 1 + usize::from(u16::from_le_bytes(*octets.get(at..)?.first_chunk::<2>()?)))
    } else {
        Some(at + usize::from(*octets.get(at)?))
    }
}

/// A parameter with one length octet.
fn address(octets: &[u8], at: usize) -> Option<&[u8]> {
    let length = *octets.get(at)?;
    octets.get(at + 1..)?.get(..usize::from(length))
}

/// Whether the optional part has a Segmentation parameter (0x10) without the bit "first segment".
fn optional_continues(octets: &[u8], pointer_at: usize, long: bool) -> Option<bool> {
    let mut at = pointer(octets, pointer_at, long)?;
    // A pointer of 0 leads to the pointer itself: no optional part.
    if at == pointer_at + usize::from(long) {
        return Some(false);
    }
    loop {
        match octets.get(at)? {
            0 => return Some(false),
            0x10 => return Some(address(octets, at + 1)?.first()? & 0x80 == 0),
            _ => at += 2 + address(octets, at + 1)?.len(),
        }
    }
}
