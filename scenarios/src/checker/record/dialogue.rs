//! TCAP within SCCP, as far as the checker needs it: its own reading of Q.713 (UDT and XUDT) and Q.773.

/// The head of a TCAP message with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Begin 0x62, End 0x64, Continue 0x65, Abort 0x67.
    pub(super) kind: u8,
    pub(super) originating: Option<Id>,
    pub(super) destination: Option<Id>,
}

/// A transaction id: its length and its octets as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::checker) struct Id(u8, u32);

impl Head {
    /// The six low bits of the ids, which are the same in all messages of a dialogue.
    pub(super) fn bits(&self) -> Option<u8> {
        self.destination.or(self.originating).map(|id| (id.1 & 63) as u8)
    }
}

/// `None`: another message, or one without transaction.
pub(super) fn read(user_data: &[u8]) -> Option<Head> {
    let pointer = match user_data.first()? {
        0x09 => 4,
        0x11 => 5,
        _ => return None,
    };
    let data = user_data.get(pointer + usize::from(*user_data.get(pointer)?) + 1..)?;
    let kind = *data.first()?;
    let (has_originating, has_destination) = match kind {
        0x62 => (true, false),
        0x64 | 0x67 => (false, true),
        0x65 => (true, true),
        _ => return None,
    };
    let mut at = match data.get(1)? {
        length @ 0x81..=0x84 => 2 + usize::from(length & 0x7f),
        _ => 2,
    };
    let mut id = |tag: u8, wanted: bool| -> Option<Option<Id>> {
        if !wanted {
            return Some(None);
        }
        let [found, length, rest @ ..] = data.get(at..)? else { return None };
        if *found != tag || !(1..=4).contains(length) {
            return None;
        }
        at += 2 + usize::from(*length);
        let octets = rest.get(..usize::from(*length))?;
        Some(Some(Id(*length, octets.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet)))))
    };
    Some(Head { kind, originating: id(0x48, has_originating)?, destination: id(0x49, has_destination)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_nothing_else() {
        let udt = |tcap: &[u8]| [&[9, 1, 3, 5, 7, 2, 0x42, 251, 2, 0x42, 250, 40][..], tcap].concat();
        let go_on = udt(&[0x65, 9, 0x48, 2, 1, 0x45, 0x49, 3, 9, 8, 0x85]);
        let head = Head { kind: 0x65, originating: Some(Id(2, 0x145)), destination: Some(Id(3, 0x9_0885)) };
        assert_eq!((read(&go_on), head.bits()), (Some(head), Some(5)));
        assert_eq!(read(&udt(&[0x62, 0x81, 3, 0x48, 1, 7])).unwrap().bits(), Some(7));
        for length in 0..go_on.len() {
            assert_eq!(read(&go_on[..length]), None);
        }
        assert_eq!(read(&udt(&[0x61, 0])), None);
        assert_eq!(read(&udt(&[0x64, 3, 0x48, 1, 7])), None);
    }
}
