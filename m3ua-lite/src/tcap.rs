//! The head of a TCAP message of the ITU (Q.773): what it is, and its transaction ids. Components are left alone.

/// Message type (Q.773 table 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Unidirectional, 0x61: no transaction.
    Unidirectional,
    /// Begin, 0x62: originating id.
    Begin,
    /// End, 0x64: destination id.
    End,
    /// Continue, 0x65: both ids.
    Continue,
    /// Abort, 0x67: destination id.
    Abort,
}

/// What the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// What it is.
    pub message_type: MessageType,
    /// Originating transaction id, 1 to 4 octets; the sender assigned it.
    pub originating: Option<&'a [u8]>,
    /// Destination transaction id, 1 to 4 octets; the receiver assigned it.
    pub destination: Option<&'a [u8]>,
}

/// Reads the head; the rest of the message may be missing (first segment of an XUDT). `None` when it is no TCAP message
/// of the ITU, or lacks an id that its type has.
#[must_use]
pub fn read(octets: &[u8]) -> Option<Head<'_>> {
    let (message_type, has_originating, has_destination) = match octets.first()? {
        0x61 => (MessageType::Unidirectional, false, false),
        0x62 => (MessageType::Begin, true, false),
        0x64 => (MessageType::End, false, true),
        0x65 => (MessageType::Continue, true, true),
        0x67 => (MessageType::Abort, false, true),
        _ => return None,
    };
    let mut rest = after_length(octets.get(1..)?)?;
    let originating = if has_originating { Some(id(&mut rest, 0x48)?) } else { None };
    let destination = if has_destination { Some(id(&mut rest, 0x49)?) } else { None };
    Some(Head { message_type, originating, destination })
}

/// What follows a BER length (X.690 section 8.1.3); indefinite, and up to four octets of the long form.
fn after_length(octets: &[u8]) -> Option<&[u8]> {
    match *octets.first()? {
        0..=0x80 => octets.get(1..),
        first @ 0x81..=0x84 => octets.get(1 + usize::from(first & 0x7f)..),
        0x85.. => None,
    }
}

/// Takes a transaction id with `tag` off the front.
fn id<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let [found, length, after @ ..] = *rest else { return None };
    if *found != tag || !(1..=4).contains(length) {
        return None;
    }
    let (id, behind) = after.split_at_checked(usize::from(*length))?;
    *rest = behind;
    Some(id)
}
