//! Each message type as octets written by hand after the formats of RFC 4666 section 3, both ways.

use m3ua_lite::wire::*;

use crate::{bytes, hex};

fn both_ways(octets: &str, message: Message<'_>) {
    let octets = hex(octets);
    assert_eq!(Message::decode(&octets).as_ref(), Ok(&message), "decode");
    assert_eq!(bytes(&message), octets, "encode");
    assert_eq!(octets.get(2..4), Some(&message.message_type().code().to_be_bytes()[..]));
}

fn contexts(list: &[u32]) -> RoutingContexts {
    RoutingContexts::from_slice(list).unwrap()
}

fn affected(list: &[AffectedPc]) -> AffectedList {
    AffectedList::from_slice(list).unwrap()
}

#[test]
fn data() {
    let blo = ProtocolData { opc: 0x1122, dpc: 0x33, si: 5, ni: 2, mp: 1, sls: 0x0f, user_data: &[0x21, 0x00, 0x13] };
    let plain = Data { network_appearance: None, routing_context: None, protocol_data: blo, correlation_id: None };
    // The padding octet counts in the message length, not in the parameter's.
    both_ways("01 00 01 01 0000001c  0210 0013 00001122 00000033 05 02 01 0f 210013 00", Message::Data(plain));
    let full =
        Data { network_appearance: Some(9), routing_context: Some(7), correlation_id: Some(0x1234_5678), ..plain };
    both_ways(
        "01 00 01 01 00000034  0200 0008 00000009  0006 0008 00000007
         0210 0013 00001122 00000033 05 02 01 0f 210013 00  0013 0008 12345678",
        Message::Data(full),
    );
}

#[test]
fn err() {
    both_ways(
        "01 00 00 00 00000010  000c 0008 00000006",
        Message::Error(ErrorMessage::new(ErrorCode::UnexpectedMessage)),
    );
    let full = ErrorMessage {
        code: ErrorCode::DestinationStatusUnknown,
        routing_contexts: contexts(&[7, 8]),
        network_appearance: Some(9),
        affected: affected(&[AffectedPc::one(0x0102), AffectedPc::new(8, 0x02_0300)]),
        diagnostic: Some(Diagnostic(&[1, 0, 2, 3, 0])),
    };
    both_ways(
        "01 00 00 00 0000003c  000c 0008 00000014  0006 000c 00000007 00000008
         0012 000c 00000102 08020300  0200 0008 00000009  0007 0009 0100020300 000000",
        Message::Error(full),
    );
}

#[test]
fn ntfy() {
    let statuses = [
        (Status::AsInactive, "0001 0002"),
        (Status::AsActive, "0001 0003"),
        (Status::AsPending, "0001 0004"),
        (Status::InsufficientResources, "0002 0001"),
        (Status::AlternateAspActive, "0002 0002"),
        (Status::AspFailure, "0002 0003"),
        (Status::Other { kind: 3, info: 4 }, "0003 0004"),
    ];
    for (status, octets) in statuses {
        both_ways(
            &format!("01 00 00 01 00000010  000d 0008 {octets}"),
            Message::Notify(Notify { status, asp_id: None, routing_contexts: contexts(&[]), info: None }),
        );
    }
    both_ways(
        "01 00 00 01 00000028  000d 0008 0002 0003  0011 0008 00000005  0006 0008 00000007  0004 0006 6869 0000",
        Message::Notify(Notify {
            status: Status::AspFailure,
            asp_id: Some(5),
            routing_contexts: contexts(&[7]),
            info: Some(b"hi"),
        }),
    );
}

#[test]
fn duna_dava_daud_drst() {
    let minimal = Ssnm {
        network_appearance: None,
        routing_contexts: contexts(&[]),
        affected: affected(&[AffectedPc::one(0x3fff)]),
        info: None,
    };
    let full = Ssnm {
        network_appearance: Some(1),
        routing_contexts: contexts(&[7]),
        affected: affected(&[AffectedPc::new(3, 0x000808), AffectedPc::one(0x01_0203)]),
        info: Some(b""),
    };
    type Make = fn(Ssnm<'static>) -> Message<'static>;
    let types: [(&str, Make); 4] =
        [("01", Message::Duna), ("02", Message::Dava), ("03", Message::Daud), ("06", Message::Drst)];
    for (code, make) in types {
        both_ways(&format!("01 00 02 {code} 00000010  0012 0008 00 003fff"), make(minimal.clone()));
        both_ways(
            &format!(
                "01 00 02 {code} 00000028  0200 0008 00000001  0006 0008 00000007
                 0012 000c 03 000808 00 010203  0004 0004"
            ),
            make(full.clone()),
        );
    }
}

#[test]
fn scon() {
    let minimal = Scon {
        network_appearance: None,
        routing_contexts: contexts(&[]),
        affected: affected(&[AffectedPc::one(5)]),
        concerned: None,
        congestion_level: None,
        info: None,
    };
    both_ways("01 00 02 04 00000010  0012 0008 00 000005", Message::Scon(minimal.clone()));
    let full = Scon {
        network_appearance: Some(1),
        routing_contexts: contexts(&[7]),
        concerned: Some(6),
        congestion_level: Some(2),
        info: Some(b"full"),
        ..minimal
    };
    both_ways(
        "01 00 02 04 00000038  0200 0008 00000001  0006 0008 00000007  0012 0008 00 000005
         0206 0008 00 000006  0205 0008 000000 02  0004 0008 66756c6c",
        Message::Scon(full),
    );
}

#[test]
fn dupu() {
    let minimal = Dupu {
        network_appearance: None,
        routing_contexts: contexts(&[]),
        affected: 0x21,
        user_cause: UserCause { cause: UnavailabilityCause::Inaccessible, user: 5 },
        info: None,
    };
    both_ways("01 00 02 05 00000018  0012 0008 00 000021  0204 0008 0002 0005", Message::Dupu(minimal.clone()));
    let full = Dupu { network_appearance: Some(1), routing_contexts: contexts(&[7]), info: Some(b"x"), ..minimal };
    both_ways(
        "01 00 02 05 00000030  0200 0008 00000001  0006 0008 00000007  0012 0008 00 000021
         0204 0008 0002 0005  0004 0005 78 000000",
        Message::Dupu(full),
    );
}

#[test]
fn aspup_aspdn_and_acks() {
    let up = AspUp { asp_id: Some(0x0a0b_0c0d), info: Some(b"gwc") };
    let up_octets = "00000018  0011 0008 0a0b0c0d  0004 0007 677763 00";
    both_ways(&format!("01 00 03 01 {up_octets}"), Message::AspUp(up));
    both_ways(&format!("01 00 03 04 {up_octets}"), Message::AspUpAck(up));
    both_ways("01 00 03 01 00000008", Message::AspUp(AspUp::default()));
    both_ways("01 00 03 04 00000008", Message::AspUpAck(AspUp::default()));
    both_ways("01 00 03 02 00000008", Message::AspDown(AspDown::default()));
    both_ways("01 00 03 05 00000008", Message::AspDownAck(AspDown::default()));
    let down = AspDown { info: Some(b"bye!") };
    both_ways("01 00 03 02 00000010  0004 0008 62796521", Message::AspDown(down));
    both_ways("01 00 03 05 00000010  0004 0008 62796521", Message::AspDownAck(down));
}

#[test]
fn beat_and_ack() {
    both_ways("01 00 03 03 00000008", Message::Beat(Beat { data: None }));
    both_ways("01 00 03 06 00000008", Message::BeatAck(Beat { data: None }));
    let beat = Beat { data: Some(&[1, 2, 3, 4, 5]) };
    both_ways("01 00 03 03 00000014  0009 0009 0102030405 000000", Message::Beat(beat));
    both_ways("01 00 03 06 00000014  0009 0009 0102030405 000000", Message::BeatAck(beat));
}

#[test]
fn aspac_aspia_and_acks() {
    both_ways("01 00 04 01 00000008", Message::AspActive(AspActive::default()));
    both_ways("01 00 04 03 00000008", Message::AspActiveAck(AspActive::default()));
    for (mode, code) in [(TrafficMode::Override, 1), (TrafficMode::Loadshare, 2), (TrafficMode::Broadcast, 3)] {
        let active = AspActive { traffic_mode: Some(mode), routing_contexts: contexts(&[7, 8]), info: Some(b"") };
        let octets = format!("00000020  000b 0008 0000000{code}  0006 000c 00000007 00000008  0004 0004");
        both_ways(&format!("01 00 04 01 {octets}"), Message::AspActive(active.clone()));
        both_ways(&format!("01 00 04 03 {octets}"), Message::AspActiveAck(active));
    }
    both_ways("01 00 04 02 00000008", Message::AspInactive(AspInactive::default()));
    let inactive = AspInactive { routing_contexts: contexts(&[7]), info: Some(b"a") };
    let octets = "00000018  0006 0008 00000007  0004 0005 61 000000";
    both_ways(&format!("01 00 04 02 {octets}"), Message::AspInactive(inactive.clone()));
    both_ways(&format!("01 00 04 04 {octets}"), Message::AspInactiveAck(inactive));
}

#[test]
fn reg_req() {
    let opcs = [AffectedPc::one(4), AffectedPc::new(1, 6)];
    let parts = [
        KeyPart { dpc: 2, service_indicators: &[3, 5], opcs: PointCodes::new(&opcs) },
        KeyPart { dpc: 3, service_indicators: &[], opcs: PointCodes::new(&[]) },
    ];
    let keys = [
        RoutingKey {
            local_id: 1,
            routing_context: Some(7),
            traffic_mode: Some(TrafficMode::Loadshare),
            network_appearance: Some(9),
            parts: KeyParts::new(&parts),
        },
        RoutingKey {
            local_id: 2,
            routing_context: None,
            traffic_mode: None,
            network_appearance: None,
            parts: KeyParts::new(&parts[1..]),
        },
    ];
    both_ways(
        "01 00 09 01 00000064
         0207 0048  020a 0008 00000001  0006 0008 00000007  000b 0008 00000002  0200 0008 00000009
                    020b 0008 00 000002  020c 0006 0305 0000  020e 000c 00 000004 01 000006  020b 0008 00 000003
         0207 0014  020a 0008 00000002  020b 0008 00 000003",
        Message::RegReq(RegReq { keys: RoutingKeys::new(&keys) }),
    );
}

#[test]
fn reg_rsp_dereg_req_dereg_rsp() {
    let registered = [
        RegistrationResult { local_id: 1, status: RegistrationStatus::Success, routing_context: 7 },
        RegistrationResult { local_id: 2, status: RegistrationStatus::NotProvisioned, routing_context: 0 },
    ];
    both_ways(
        "01 00 09 02 00000040
         0208 001c  020a 0008 00000001  0212 0008 00000000  0006 0008 00000007
         0208 001c  020a 0008 00000002  0212 0008 00000007  0006 0008 00000000",
        Message::RegRsp(RegRsp { results: registered.into_iter().collect() }),
    );
    both_ways(
        "01 00 09 03 00000014  0006 000c 00000007 00000008",
        Message::DeregReq(DeregReq { routing_contexts: contexts(&[7, 8]) }),
    );
    let deregistered = [
        DeregistrationResult { routing_context: 7, status: DeregistrationStatus::Success },
        DeregistrationResult { routing_context: 8, status: DeregistrationStatus::AspActive },
    ];
    both_ways(
        "01 00 09 04 00000030
         0209 0014  0006 0008 00000007  0213 0008 00000000
         0209 0014  0006 0008 00000008  0213 0008 00000005",
        Message::DeregRsp(DeregRsp { results: deregistered.into_iter().collect() }),
    );
}

/// RFC 4666 section 3.2: any order; osmo-stp puts the Routing Context behind Protocol Data.
#[test]
fn parameters_in_any_order() {
    let octets = hex(
        "01 00 01 01 0000002c  0013 0008 00000002  0210 0013 00000001 00000002 05 02 00 03 210013 00  0006 0008 00000007",
    );
    let Ok(Message::Data(data)) = Message::decode(&octets) else { panic!("DATA") };
    assert_eq!((data.routing_context, data.correlation_id, data.protocol_data.sls), (Some(7), Some(2), 3));
}

/// RFC 4666 section 3: unknown parameters, and known ones without a use in the message, are skipped.
#[test]
fn unknown_parameters_are_skipped() {
    let octets =
        hex("01 00 03 01 00000028  0301 0007 010203 00  fffe 0004  0011 0008 00000005  0013 0008 00000001  8004 0004");
    assert_eq!(Message::decode(&octets), Ok(Message::AspUp(AspUp { asp_id: Some(5), info: None })));
}

/// RFC 4666 section 3.1.4: the final padding may be counted or not; some leave it out altogether.
#[test]
fn final_padding_is_optional() {
    let beat = Ok(Message::Beat(Beat { data: Some(&[1, 2, 3, 4, 5]) }));
    let forms = [
        "01 00 03 03 00000014  0009 0009 0102030405 000000",
        "01 00 03 03 00000011  0009 0009 0102030405 000000",
        "01 00 03 03 00000011  0009 0009 0102030405",
        // Padding is ignored, not checked.
        "01 00 03 03 00000014  0009 0009 0102030405 ffffff",
        // The reserved octet too (3.1.3).
        "01 ff 03 03 00000014  0009 0009 0102030405 000000",
    ];
    for form in forms {
        assert_eq!(Message::decode(&hex(form)), beat, "{form}");
    }
}

#[test]
fn encode_refuses_what_does_not_fit() {
    use m3ua_lite::EncodeError;
    let beat = Message::Beat(Beat { data: Some(&[0; 5]) });
    let mut small = [0xaa; 19];
    assert_eq!(beat.encode(&mut small), Err(EncodeError::BufferTooSmall { needed: 20, given: 19 }));
    assert_eq!(small, [0xaa; 19], "untouched");
    let long = Message::Beat(Beat { data: Some(&[0; 65_532]) });
    assert_eq!(long.encoded_len(), Err(EncodeError::ParameterTooLong { tag: tag::HEARTBEAT_DATA, len: 65_532 }));
    let fits = Message::Beat(Beat { data: Some(&[0; 65_531]) });
    assert_eq!(fits.encoded_len(), Ok(8 + 4 + 65_532));
    let info = Message::AspDown(AspDown { info: Some(&[b'x'; 256]) });
    assert_eq!(info.encoded_len(), Err(EncodeError::ParameterTooLong { tag: tag::INFO_STRING, len: 256 }));
}

#[test]
fn codes_and_names_go_both_ways() {
    for code in 0..=u32::from(u8::MAX) {
        assert_eq!(ErrorCode::from_code(code).code(), code);
        assert_eq!(RegistrationStatus::from_code(code).code(), code);
        assert_eq!(DeregistrationStatus::from_code(code).code(), code);
        assert_eq!(UnavailabilityCause::from_code(code as u16).code(), code as u16);
    }
    assert_eq!(ErrorCode::from_code(0x1a), ErrorCode::NoConfiguredAs);
    assert_eq!(ErrorCode::from_code(0x02), ErrorCode::Other(2));
    assert_eq!(ErrorCode::InvalidStream.to_string(), "Invalid Stream Identifier (0x9)");
    assert_eq!(MessageType::ALL.len(), 23);
    for message_type in MessageType::ALL {
        let [class, low] = message_type.code().to_be_bytes();
        assert_eq!(MessageType::lookup(class, low), Ok(*message_type), "{}", message_type.name());
    }
}

#[test]
fn affected_point_code_mask() {
    let cluster = AffectedPc::new(8, 0xfb_0400);
    assert!(cluster.covers(0xfb_04ff) && !cluster.covers(0xfb_0500));
    assert!(AffectedPc::one(5).covers(5) && !AffectedPc::one(5).covers(4));
    assert!(AffectedPc::new(255, 0).covers(0xff_ffff), "network isolation");
    assert_eq!((cluster.mask(), cluster.pc()), (8, 0xfb_0400));
}
