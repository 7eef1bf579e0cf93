//! SCCP and TCAP readers. The frames were written by hand after Q.713 and Q.773.

use m3ua_lite::{sccp, tcap};
use proptest::prelude::*;

/// UDT, class 0, called SSN 6, calling SSN 7, TCAP Begin with originating id 01020304.
const UDT_BEGIN: &[u8] = &[
    0x09, 0x00, 0x03, 0x05, 0x07, 0x02, 0x42, 0x06, 0x02, 0x42, 0x07, 0x08, 0x62, 0x06, 0x48, 0x04, 0x01, 0x02, 0x03,
    0x04,
];
const CONTINUE: &[u8] = &[0x65, 0x08, 0x48, 0x02, 0x0a, 0x0b, 0x49, 0x02, 0x0c, 0x0d];

#[test]
fn udt_with_begin() {
    let unitdata = sccp::read(UDT_BEGIN).unwrap();
    assert_eq!(unitdata.message_type, sccp::MessageType::Udt);
    assert_eq!((unitdata.called, unitdata.calling), (&[0x42, 6][..], &[0x42, 7][..]));
    let head = tcap::read(unitdata.data).unwrap();
    assert_eq!(head.message_type, tcap::MessageType::Begin);
    assert_eq!((head.originating, head.destination), (Some(&[1, 2, 3, 4][..]), None));
}

/// The same in UDTS, XUDT, XUDTS (with a segmentation parameter, first and not first) and LUDT.
#[test]
fn other_messages() {
    let tail = [2, 0x42, 6, 2, 0x42, 7, 2, 0xaa, 0xbb];
    let frame = |head: &[u8], end: &[u8]| [head, &tail, end].concat();
    let xudt = |first| frame(&[0x11, 0x81, 15, 4, 6, 8, 10], &[0x10, 4, first, 1, 2, 3, 0]);
    for (octets, expected, continues) in [
        (frame(&[0x0a, 1, 3, 5, 7], &[]), sccp::MessageType::Udts, false),
        (frame(&[0x11, 0, 15, 4, 6, 8, 0], &[]), sccp::MessageType::Xudt, false),
        (xudt(0x81), sccp::MessageType::Xudt, false),
        (xudt(0x01), sccp::MessageType::Xudt, true),
        (frame(&[0x12, 1, 15, 4, 6, 8, 0], &[]), sccp::MessageType::Xudts, false),
        (
            [0x13, 0, 15, 7, 0, 8, 0, 9, 0, 0, 0, 2, 0x42, 6, 2, 0x42, 7, 2, 0, 0xaa, 0xbb].to_vec(),
            sccp::MessageType::Ludt,
            false,
        ),
    ] {
        let unitdata = sccp::read(&octets).unwrap_or_else(|| panic!("{octets:02x?}"));
        assert_eq!((unitdata.message_type, unitdata.continues), (expected, continues));
        assert_eq!((unitdata.called, unitdata.calling), (&[0x42, 6][..], &[0x42, 7][..]), "{octets:02x?}");
        assert_eq!(unitdata.data, [0xaa, 0xbb]);
    }
}

#[test]
fn transaction_ids() {
    let head = tcap::read(CONTINUE).unwrap();
    assert_eq!((head.originating, head.destination), (Some(&[0x0a, 0x0b][..]), Some(&[0x0c, 0x0d][..])));
    let long = tcap::read(&[0x64, 0x81, 0x03, 0x49, 0x01, 0x07]).unwrap();
    assert_eq!((long.originating, long.destination), (None, Some(&[7][..])));
    assert_eq!(tcap::read(&[0x67, 0x80, 0x49, 0x01, 0x07]).unwrap().destination, Some(&[7][..]));
    assert_eq!(tcap::read(&[0x61, 0x00]).unwrap().originating, None);
    for wrong in
        [&[0x62, 0x02, 0x48, 0x00][..], &[0x62, 0x07, 0x48, 5, 1, 2, 3, 4, 5], &[0x64, 3, 0x48, 1, 7], &[0x30, 0]]
    {
        assert_eq!(tcap::read(wrong), None, "{wrong:02x?}");
    }
}

/// Each cut of a good message is refused: nothing is read past the end.
#[test]
fn cut_short() {
    for length in 0..UDT_BEGIN.len() {
        assert_eq!(sccp::read(&UDT_BEGIN[..length]), None, "{length}");
    }
    for length in 0..CONTINUE.len() {
        assert_eq!(tcap::read(&CONTINUE[..length]), None, "{length}");
    }
}

proptest! {
    #[test]
    fn hostile_octets(kind in prop::sample::select(vec![0x09_u8, 0x0a, 0x11, 0x12, 0x13, 0x61, 0x62, 0x64, 0x65, 0x67]),
                      rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let octets = [&[kind][..], &rest].concat();
        if let Some(unitdata) = sccp::read(&octets) {
            prop_assert!(unitdata.data.len() < octets.len());
        }
        if let Some(head) = tcap::read(&octets) {
            prop_assert!(head.originating.is_none_or(|id| (1..=4).contains(&id.len())));
        }
    }
}
