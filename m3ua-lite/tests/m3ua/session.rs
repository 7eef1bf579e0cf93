//! What gateway and controller agree on: groups, streams, Correlation Ids, Heartbeat Data, cookies.

use std::collections::HashSet;

use m3ua_lite::session::{
    CorrelationId, Envelope, EnvelopeError, GroupKey, HEARTBEAT_MAX, Heartbeat, Lease, NO_CIC_BLOCK, sls_stream,
    stream_for,
};
use m3ua_lite::wire::ProtocolData;

use crate::hex;

fn isup(opc: u32, dpc: u32, cic: u16, sls: u8) -> (ProtocolData<'static>, [u8; 2]) {
    (ProtocolData { opc, dpc, si: 5, ni: 2, mp: 0, sls, user_data: &[] }, cic.to_le_bytes())
}

#[test]
fn isup_group_is_one_e1() {
    for cic in [0, 31, 32, 33, 4095] {
        let (label, octets) = isup(10, 20, cic, (cic & 15) as u8);
        let message = ProtocolData { user_data: &octets, ..label };
        let group = GroupKey::from_network(&message).unwrap();
        assert_eq!(group, GroupKey { opc: 10, dpc: 20, si: 5, sls: 0, cic_block: cic / 32 });
        let answer = ProtocolData { opc: 20, dpc: 10, sls: 9, ..message };
        assert_eq!(GroupKey::from_pool(&answer), Some(group), "answers are swapped and belong to the same group");
    }
    // The four spare bits over the CIC do not count.
    let (label, _) = isup(10, 20, 0, 0);
    let spare = ProtocolData { user_data: &[0x21, 0xf0], ..label };
    assert_eq!(GroupKey::from_network(&spare).unwrap().cic_block, 1);
    let short = ProtocolData { user_data: &[0x21], ..label };
    assert_eq!(GroupKey::from_network(&short), None);
}

#[test]
fn other_user_parts_group_by_sls() {
    let sccp = ProtocolData { opc: 10, dpc: 20, si: 3, ni: 2, mp: 0, sls: 7, user_data: &[] };
    let group = GroupKey { opc: 10, dpc: 20, si: 3, sls: 7, cic_block: NO_CIC_BLOCK };
    assert_eq!(GroupKey::from_network(&sccp), Some(group));
}

/// Computed by another program (Python); a change breaks running systems of mixed versions.
#[test]
fn stable_hash_is_stable() {
    let key = |opc, dpc, si, sls, cic_block| GroupKey { opc, dpc, si, sls, cic_block }.stable_hash();
    assert_eq!(key(1, 2, 5, 0, 0), 0xd5f0_b1a3);
    assert_eq!(key(1, 2, 5, 0, 1), 0x4469_2bbb);
    assert_eq!(key(0x3fff, 0x1234, 3, 7, 0xffff), 0xb5f0_173e);
}

#[test]
fn streams() {
    for streams in [0, 1, 2, 3, 17, 64, u16::MAX] {
        for cic_block in 0..128 {
            let group = GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block };
            let stream = stream_for(&group, streams);
            assert!(stream >= 1, "DATA is never on stream 0");
            assert!(streams < 2 || stream < streams);
            assert_eq!(u32::from(stream), 1 + group.stable_hash() % u32::from(streams.max(2) - 1));
        }
    }
    let used: HashSet<u16> =
        (0..128).map(|cic_block| stream_for(&GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block }, 17)).collect();
    assert_eq!(used.len(), 16, "128 groups use all 16 streams");
    assert_eq!((sls_stream(0, 17), sls_stream(15, 17), sls_stream(16, 17), sls_stream(255, 2)), (1, 16, 1, 1));
}

#[test]
fn correlation_id_layout() {
    let id = CorrelationId(0xfab1_2345);
    assert_eq!((id.gateway(), id.epoch(), id.sequence()), (0xf, 0xab, 0x12345));
    assert_eq!(CorrelationId::start(0x1f, 0xab), CorrelationId(0xfab0_0000), "a gateway number has 4 bits");
    assert_eq!(CorrelationId::start(2, 3).next(), CorrelationId(0x2030_0001));
    assert_eq!(CorrelationId(0x203f_ffff).next(), CorrelationId(0x2030_0001), "the sequence wraps over 0");
    assert_ne!(CorrelationId::start(0, 0).next(), CorrelationId::NONE);
    assert_eq!(id.to_string(), "fab12345");
}

#[test]
fn correlation_id_order() {
    let first = CorrelationId::start(1, 1).next();
    assert!(first.is_after(CorrelationId::NONE));
    assert!(!first.is_after(first), "a duplicate");
    assert!(first.next().is_after(first) && !first.is_after(first.next()));
    // A window of half the number space, also over the wrap.
    let at = |sequence: u32| CorrelationId(0x1010_0000 | sequence);
    assert!(at(1).is_after(at(0xf_ffff)) && !at(0xf_ffff).is_after(at(1)));
    assert!(at(0x8_0000).is_after(at(1)) && !at(0x8_0001).is_after(at(1)));
    // A gateway that started again counts on its own, whichever epoch it took: nothing of it may pass for a duplicate.
    for epoch in (0..=255).filter(|epoch| *epoch != 1) {
        assert!(CorrelationId::start(1, epoch).next().is_after(at(0xf_fff0)), "epoch {epoch}");
    }
    // Another gateway counts on its own.
    assert!(CorrelationId::start(2, 0).next().is_after(at(5)));
}

#[test]
fn heartbeat_data_both_ways() {
    let forms = [
        (Heartbeat::Barrier(0x0102_0304_0506_0708), "53504252 0102030405060708"),
        (Heartbeat::Liveness(9), "53504c56 0000000000000009"),
        (Heartbeat::Lease(Lease { sent_ns: 1_000_000_007, lease_ms: 280 }), "53504c53 000000003b9aca07 00000118"),
        (
            Heartbeat::Release(GroupKey { opc: 0x0a, dpc: 0x0b, si: 5, sls: 0, cic_block: 3 }),
            "5350524c 00050000 0000000a 0000000b 00030000",
        ),
        (
            Heartbeat::Release(GroupKey { opc: 1, dpc: 2, si: 3, sls: 7, cic_block: NO_CIC_BLOCK }),
            "5350524c 00030007 00000001 00000002 ffff0000",
        ),
    ];
    for (beat, octets) in forms {
        let octets = hex(octets);
        let mut room = [0xaa; HEARTBEAT_MAX];
        assert_eq!(beat.encode(&mut room), octets);
        assert_eq!(Heartbeat::decode(&octets), beat);
        // One octet less or more is not ours.
        for other in [&octets[..octets.len() - 1], &[&octets[..], &[0]].concat()] {
            assert_eq!(Heartbeat::decode(other), Heartbeat::Foreign(other));
            assert_eq!(Heartbeat::decode(other).encode(&mut room), other);
        }
    }
    assert_eq!(Heartbeat::decode(b""), Heartbeat::Foreign(b""));
    // A release with another octet where zeros belong would not be echoed as it came.
    for at in [4, 6, 18, 19] {
        let mut octets = hex("5350524c 00050000 0000000a 0000000b 00030000");
        octets[at] = 1;
        assert_eq!(Heartbeat::decode(&octets), Heartbeat::Foreign(&octets));
    }
}

#[test]
fn envelope_both_ways() {
    let envelope = Envelope {
        group: GroupKey { opc: 0x0a, dpc: 0x0b, si: 5, sls: 0, cic_block: 3 },
        ni: 2,
        mark: CorrelationId(0x1010_0005),
        transaction: 6,
        incarnation: 7,
        age_ms: 0x0102,
        state: b"calls",
    };
    let octets = hex("02 05 02 00  0000000a 0000000b 0003 0000  10100005 00000006 00000007 00000102  63616c6c73");
    let mut out = [0xaa; 64];
    let len = envelope.encode(&mut out).unwrap();
    assert_eq!(out[..len], octets);
    assert_eq!(len, envelope.encoded_len());
    assert_eq!(Envelope::decode(&octets), Ok(envelope));
    assert_eq!(envelope.encode(&mut [0; 36]), None);
    assert_eq!(Envelope::decode(&octets[..31]), Err(EnvelopeError::TooShort { len: 31 }));
    assert_eq!(Envelope::decode(&octets[..32]).map(|e| e.state.len()), Ok(0));
    let mut other = octets.clone();
    Envelope::set_age(&mut other, 77);
    assert_eq!(Envelope::decode(&other), Ok(Envelope { age_ms: 77, ..envelope }));
    Envelope::set_age(&mut [0; 31], 77);
    other[0] = 1;
    assert_eq!(Envelope::decode(&other), Err(EnvelopeError::Version { version: 1 }));
    other[0] = 2;
    other[15] = 1;
    assert_eq!(Envelope::decode(&other), Err(EnvelopeError::Flags { flags: 1 }));
}
