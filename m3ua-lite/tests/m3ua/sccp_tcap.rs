//! SCCP and TCAP readers. The frames were written by hand after Q.713 and Q.773.

use m3ua_lite::session::{GroupKey, GroupedBy, NO_CIC_BLOCK, SccpAffinity, dialogue_group_of};
use m3ua_lite::wire::ProtocolData;
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

/// UDT with a TCAP message whose ids (tag 0x48 and 0x49) are these.
fn dialogue(message_type: u8, originating: Option<u32>, destination: Option<u32>) -> Vec<u8> {
    let mut ids = Vec::new();
    for (tag, id) in [(0x48, originating), (0x49, destination)] {
        if let Some(id) = id {
            ids.extend([tag, 4]);
            ids.extend(id.to_be_bytes());
        }
    }
    let mut octets = vec![0x09, 0, 3, 5, 7, 2, 0x42, 8, 2, 0x42, 8, ids.len() as u8 + 2, message_type, ids.len() as u8];
    octets.extend(ids);
    octets
}

fn label(opc: u32, dpc: u32, sls: u8, user_data: &[u8]) -> ProtocolData<'_> {
    ProtocolData { opc, dpc, si: sccp::SERVICE_INDICATOR, ni: 2, mp: 0, sls, user_data }
}

/// Begin, Continue and End, either way and on any SLS: one group, without a table.
#[test]
fn a_dialogue_stays_in_one_group() {
    let affinity = SccpAffinity::Tcap;
    let network = 0x0001_2345_u32;
    // The controller's id: any, but for the six low bits.
    let pool = 0xbeef_0000_u32 | network & 0x3f;
    let group = GroupKey { opc: 10, dpc: 20, si: 3, sls: 0, cic_block: 5 };
    let expected = Some((group, GroupedBy::Transaction));
    assert_eq!(dialogue_group_of(&network.to_be_bytes()), Some(5));
    let up = [
        dialogue(0x62, Some(network), None),
        dialogue(0x65, Some(network), Some(pool)),
        dialogue(0x64, None, Some(pool)),
        dialogue(0x67, None, Some(pool)),
    ];
    for (sls, octets) in up.iter().enumerate() {
        assert_eq!(affinity.of_network(&label(10, 20, sls as u8, octets)), expected, "{octets:02x?}");
    }
    let down = [
        dialogue(0x65, Some(pool), Some(network)),
        dialogue(0x64, None, Some(network)),
        dialogue(0x67, None, Some(network)),
    ];
    for (sls, octets) in down.iter().enumerate() {
        assert_eq!(affinity.of_pool(&label(20, 10, sls as u8, octets)), expected, "{octets:02x?}");
    }
    // A dialogue that the pool began: the pool's id decides, also in what comes back undelivered.
    let (began, peer) = (0x07_u32, 0x39_u32);
    let seven = Some((GroupKey { cic_block: 7, ..group }, GroupedBy::Transaction));
    let begin = dialogue(0x62, Some(began), None);
    assert_eq!(affinity.of_pool(&label(20, 10, 1, &begin)), seven);
    assert_eq!(affinity.of_network(&label(10, 20, 1, &dialogue(0x65, Some(peer), Some(began)))), seven);
    let mut back = dialogue(0x65, Some(began), Some(peer));
    back[0] = 0x0a;
    assert_eq!(affinity.of_network(&label(10, 20, 1, &back)), seven);
}

#[test]
fn what_has_no_transaction_goes_by_sls() {
    let by_sls = Some((GroupKey { opc: 10, dpc: 20, si: 3, sls: 9, cic_block: NO_CIC_BLOCK }, GroupedBy::Sls));
    let begin = dialogue(0x62, Some(1), None);
    for octets in [&[][..], &[0x09], &dialogue(0x61, None, None), &begin[..begin.len() - 1]] {
        assert_eq!(SccpAffinity::Tcap.of_network(&label(10, 20, 9, octets)), by_sls, "{octets:02x?}");
    }
    assert_eq!(SccpAffinity::Sls.of_network(&label(10, 20, 9, &begin)), by_sls);
    let points = GroupKey { opc: 10, dpc: 20, si: 3, sls: 0, cic_block: NO_CIC_BLOCK };
    let by_points = Some((points, GroupedBy::PointCodes));
    assert_eq!(SccpAffinity::PointCodes.of_network(&label(10, 20, 9, &begin)), by_points);
    assert_eq!(SccpAffinity::PointCodes.of_pool(&label(20, 10, 3, &begin)), by_points);
    let other = ProtocolData { si: 4, ..label(10, 20, 9, &begin) };
    let (key, by) = SccpAffinity::Tcap.of_network(&other).unwrap();
    assert_eq!((key, by), (GroupKey::from_network(&other).unwrap(), GroupedBy::UserPart));
}
