//! The ISUP messages of the traffic source, made with itu-isup (Q.763).

use bytes::Bytes;
use itu_isup::{CauseIndicators, Message, MessageType, Number, Parameter, RangeAndStatus};

/// Message types (Q.763 table 4).
pub(crate) const IAM: u8 = 0x01;
pub(crate) const ACM: u8 = 0x06;
pub(crate) const CON: u8 = 0x07;
pub(crate) const ANM: u8 = 0x09;
pub(crate) const REL: u8 = 0x0c;
pub(crate) const RLC: u8 = 0x10;
pub(crate) const RSC: u8 = 0x12;
pub(crate) const BLO: u8 = 0x13;
pub(crate) const UBL: u8 = 0x14;
pub(crate) const BLA: u8 = 0x15;
pub(crate) const UBA: u8 = 0x16;
pub(crate) const GRS: u8 = 0x17;
pub(crate) const CQM: u8 = 0x2a;
const CQR: u8 = 0x2b;
pub(crate) const CPG: u8 = 0x2c;
pub(crate) const UCIC: u8 = 0x2e;
pub(crate) const CFN: u8 = 0x2f;

/// Q.850 cause 16, normal call clearing.
pub(crate) const CAUSE_NORMAL: u8 = 16;

fn bytes(message: &Message) -> Bytes {
    // Only fields that fit by type are ever put in; an encoder that refuses them is a bug of this file.
    Bytes::from(message.encode().expect("invariant: messages of this file always encode"))
}

/// IAM to a number that ends in the call's serial.
pub(crate) fn iam(cic: u16, serial: u64) -> Bytes {
    let called = Number::called(3, 1, false, &format!("49555{:010}", serial % 10_000_000_000));
    let calling = Number::calling(3, 1, false, 0, 3, "4955500000");
    // National number, ISDN used all the way, ordinary subscriber, speech.
    let message = Message::iam(cic, 0x00, 0x6001, 0x0a, 0x00, &called)
        .and_then(|m| Ok(m.with_optional(Parameter::calling_party_number(&calling)?)));
    bytes(&message.expect("invariant: a number of digits encodes"))
}
pub(crate) fn acm(cic: u16) -> Bytes {
    bytes(&Message::acm(cic, 0x1416))
}
pub(crate) fn anm(cic: u16) -> Bytes {
    bytes(&Message::anm(cic))
}
pub(crate) fn rel(cic: u16, cause: u8) -> Bytes {
    bytes(&Message::release(cic, &CauseIndicators::new(0, cause)))
}
pub(crate) fn rlc(cic: u16) -> Bytes {
    bytes(&Message::release_complete(cic))
}
#[cfg(test)]
pub(crate) fn grs(cic: u16, range: u8) -> Bytes {
    bytes(&Message::circuit_group_reset(cic, &RangeAndStatus::range_only(range)))
}
/// GRA: no circuit of the range is blocked.
pub(crate) fn gra(cic: u16, range: u8) -> Bytes {
    let status = vec![0; (usize::from(range) + 8) / 8];
    bytes(&Message::circuit_group_reset_ack(cic, &RangeAndStatus::with_status(range, status)))
}
/// CQR: two variable parameters, the range and a circuit state octet for each circuit (Q.763 3.14). At most 32 circuits.
pub(crate) fn cqr(cic: u16, states: &[u8]) -> Bytes {
    let [low, high] = cic.to_le_bytes();
    let count = states.len().min(32) as u8;
    // Pointers, each from its own octet: range at +2, states behind the two octets of range at +3.
    let head = [low, high, CQR, 2, 3, 1, count.saturating_sub(1), count];
    head.iter().chain(states.iter().take(32)).copied().collect()
}
/// A message without parameters.
pub(crate) fn bare(cic: u16, kind: u8) -> Bytes {
    Bytes::copy_from_slice(&[cic.to_le_bytes()[0], cic.to_le_bytes()[1], kind])
}

/// CIC (12 bits) and message type.
pub(crate) fn head(user_data: &[u8]) -> Option<(u16, u8)> {
    match user_data {
        [low, high, kind, ..] => Some((u16::from_le_bytes([*low, *high & 0x0f]), *kind)),
        _ => None,
    }
}

/// The range octet of a message whose only mandatory variable parameter is range and status.
pub(crate) fn range(user_data: &[u8]) -> Option<u8> {
    let pointer = 3 + usize::from(*user_data.get(3)?);
    user_data.get(pointer + 1).copied()
}

/// The cause value of REL (Q.763 3.12), the only mandatory variable parameter: pointer, length, location, cause.
pub(crate) fn release_cause(user_data: &[u8]) -> Option<u8> {
    let length = 3 + usize::from(*user_data.get(3)?);
    let is_there = usize::from(*user_data.get(length)?) >= 2;
    user_data.get(length + 2).filter(|_| is_there).map(|octet| octet & 0x7f)
}

/// Short name of a message for people.
pub(crate) fn name(user_data: &[u8]) -> &'static str {
    head(user_data).map_or("?", |(_, kind)| MessageType::from_u8(kind).acronym())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_decodes_again() {
        for (m, kind) in [
            (iam(4_095, u64::MAX), IAM),
            (acm(1), ACM),
            (anm(2), ANM),
            (rel(3, CAUSE_NORMAL), REL),
            (rlc(4), RLC),
            (grs(0, 31), GRS),
            (bare(9, BLA), BLA),
        ] {
            let decoded = Message::decode(&m).expect("decodes");
            assert_eq!((decoded.cic, decoded.message_type.value()), (head(&m).expect("head").0, kind));
        }
        assert_eq!(range(&grs(0, 31)), Some(31));
        assert_eq!(range(&gra(0, 31)), Some(31));
        assert_eq!(cqr(0x21, &[0x0c, 0x08])[..], [0x21, 0, 0x2b, 2, 3, 1, 1, 2, 0x0c, 0x08]);
        assert_eq!(name(&rel(1, 16)), "REL");
        assert_eq!(release_cause(&rel(1, 31)), Some(31));
    }
}
