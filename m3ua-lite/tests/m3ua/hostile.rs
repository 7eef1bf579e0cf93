//! Hostile octets: never a panic, and what is decoded encodes to something that decodes to the same.

use m3ua_lite::asp::{AspState, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer};
use m3ua_lite::session::{Envelope, GroupKey, Heartbeat};
use m3ua_lite::sgp::{AsMember, Sgp, SgpConfig};
use m3ua_lite::wire::{Message, MessageType, one_context};
use m3ua_lite::{isup, mtp3};
use proptest::prelude::*;

use crate::bytes;

/// Parameters of all kinds, right and wrong, in any number.
fn parameters() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop_oneof![
        4 => prop::sample::select(vec![
            4_u16, 6, 7, 9, 0xb, 0xc, 0xd, 0x11, 0x12, 0x13, 0x200, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20a,
            0x20b, 0x20c, 0x20e, 0x210, 0x212, 0x213,
        ]),
        1 => any::<u16>(),
    ];
    let value = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 4),
        // Small words hit the values with a meaning.
        4 => (0_u32..6).prop_map(|word| word.to_be_bytes().to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec((0_u16..4, 0_u32..6), 0..6).prop_map(|list| {
            list.into_iter().flat_map(|(tag, word)| [[2, 10 + tag as u8, 0, 8], word.to_be_bytes()].concat()).collect()
        }),
    ];
    let length_error = prop_oneof![20 => Just(0_i32), 1 => -8_i32..64];
    prop::collection::vec((tags, value, length_error), 0..6).prop_map(|list| {
        let mut octets = Vec::new();
        for (tag, value, error) in list {
            let length = (value.len() as i32 + 4 + error).clamp(0, 65_535) as u16;
            octets.extend(tag.to_be_bytes());
            octets.extend(length.to_be_bytes());
            octets.extend(&value);
            octets.resize(octets.len().next_multiple_of(4), 0);
        }
        octets
    })
}

/// Messages that get past the header.
fn message() -> impl Strategy<Value = Vec<u8>> {
    (prop::sample::select(MessageType::ALL.to_vec()), parameters()).prop_map(|(message_type, parameters)| {
        let mut octets = vec![1, 0];
        octets.extend(message_type.code().to_be_bytes());
        octets.extend((8 + parameters.len() as u32).to_be_bytes());
        octets.extend(parameters);
        octets
    })
}

fn any_octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => message(), 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn sgp() -> Sgp {
    let mut sgp = Sgp::new(SgpConfig::default());
    for routing_context in 0..4 {
        sgp.add_as(AsMember { routing_context, network_appearance: None, traffic_mode: None }).unwrap();
    }
    sgp
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn decode_never_panics_and_encode_is_stable(octets in any_octets()) {
        match Message::decode(&octets) {
            Err(error) => {
                if let Some(answer) = error.answer(&octets) {
                    let answer = bytes(&Message::Error(answer));
                    prop_assert!(Message::decode(&answer).is_ok());
                    prop_assert!(answer.len() <= 8 + 8 + 44, "an ERR does not amplify");
                }
            }
            Ok(message) => {
                let again = bytes(&message);
                let decoded = Message::decode(&again);
                prop_assert_eq!(decoded.as_ref(), Ok(&message));
                prop_assert_eq!(bytes(&decoded.unwrap()), again);
            }
        }
    }

    #[test]
    fn a_cut_message_is_an_error_or_less(octets in message(), cut in 1_usize..100) {
        let kept = octets.len().saturating_sub(cut);
        // The length field does not fit any more.
        prop_assert!(Message::decode(&octets[..kept]).is_err());
    }

    #[test]
    fn machines_take_anything(inputs in prop::collection::vec((0_u16..3, any_octets()), 1..20)) {
        let mut sgp = sgp();
        let mut asp = AspPeer::new(AspConfig {
            asp_id: None, routing_contexts: one_context(1), traffic_mode: None, t_ack_ms: 10,
        });
        asp.association_up(0);
        asp.want(0, AspState::Active);
        for (now_ms, (stream, octets)) in inputs.iter().enumerate() {
            let mut replies = Replies::new();
            let taken = sgp.handle(*stream, octets, &mut replies);
            if let Input::Deliver(Message::Data(data)) = &taken {
                prop_assert!(*stream > 0);
                prop_assert_eq!(sgp.as_of(data).map(|rc| sgp.state(rc)), Some(AspState::Active));
            }
            for reply in &replies {
                prop_assert!(Message::decode(&bytes(&reply.message)).is_ok());
            }
            let mut steps = 0;
            while sgp.poll_change().is_some() {
                steps += 1;
                prop_assert!(steps <= 8);
            }
            let mut replies = Replies::new();
            asp.handle(now_ms as u64, *stream, octets, &mut replies);
            prop_assert!(replies.len() <= 1);
            while let Some(request) = asp.poll_transmit() {
                prop_assert!(Message::decode(&bytes(&request.message)).is_ok());
            }
            while asp.poll_event().is_some() {}
            prop_assert_eq!(asp.poll_timeout().is_some(), asp.pending().is_some());
        }
    }

    #[test]
    fn err_is_never_answered(parameters in parameters()) {
        let mut octets = vec![1, 0, 0, 0];
        octets.extend((8 + parameters.len() as u32).to_be_bytes());
        octets.extend(parameters);
        let mut replies = Replies::new();
        sgp().handle(0, &octets, &mut replies);
        prop_assert!(replies.is_empty());
    }

    #[test]
    fn small_codecs_take_anything(octets in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut room = [0; m3ua_lite::session::HEARTBEAT_MAX];
        let beat = Heartbeat::decode(&octets);
        prop_assert_eq!(beat.encode(&mut room), &octets[..]);
        if let Ok(envelope) = Envelope::decode(&octets) {
            let mut out = [0; 64];
            let len = envelope.encode(&mut out).unwrap();
            prop_assert_eq!(&out[..len], &octets[..]);
        }
        let _ = isup::cic(&octets);
        let _ = isup::message_type(&octets);
        if let Some(message) = mtp3::decode_itu(&octets) {
            let from_network = GroupKey::from_network(&message);
            let swapped = m3ua_lite::wire::ProtocolData { opc: message.dpc, dpc: message.opc, ..message };
            prop_assert_eq!(GroupKey::from_pool(&swapped), from_network);
        }
    }

    #[test]
    fn point_codes_read_what_they_write(pc in 0_u32..0x100_0000) {
        for (format, bits) in [
            (mtp3::PointCodeFormat::Plain, 24), (mtp3::PointCodeFormat::Itu383, 14), (mtp3::PointCodeFormat::Ansi888, 24),
        ] {
            let pc = pc & ((1 << bits) - 1);
            prop_assert_eq!(format.parse(&format.display(pc).to_string()), Ok(pc));
        }
    }

    #[test]
    fn serial_order_has_one_direction(a in any::<u32>(), b in any::<u32>()) {
        use m3ua_lite::session::CorrelationId;
        // Within one epoch of one gateway; sequence 0 is never given.
        let (a, b) = (CorrelationId(a >> 12 | 0x1020_0000), CorrelationId(b >> 12 | 0x1020_0000));
        prop_assert!(!(a.is_after(b) && b.is_after(a)));
        prop_assert!(a.next().is_after(a));
    }
}
