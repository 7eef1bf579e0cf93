//! Golden vectors of rsplib's encoder (rserpool-wire section 13), both ways, and bytes of any kind.

use super::*;
use asap::wire::{DecodeErrorKind, Limits, PeId, Policy, RegistrationLife, SctpTransport, Transport, TransportUse};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

const ME: ServerId = ServerId(0x1111_1111);
const PEER: ServerId = ServerId(0x2222_2222);
const TARGET: ServerId = ServerId(0x3333_3333);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn sctp(port: u16, transport_use: TransportUse) -> SctpTransport {
    SctpTransport { port, transport_use, addresses: [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))].into() }
}

fn entry() -> Entry {
    Entry {
        handle: "GatewayPool".into(),
        element: PoolElement {
            id: PeId(0xdead_beef),
            home: ME,
            life: RegistrationLife::Seconds(300_000),
            user_transport: Transport::Sctp(sctp(2905, TransportUse::DataAndControl)),
            policy: Policy::LeastUsed { load: 0x4000_0000 },
            asap_transport: Some(sctp(5000, TransportUse::DataOnly)),
        },
        claim: None,
    }
}

fn message(receiver: ServerId, body: Body) -> Message {
    Message { sender: ME, receiver, body }
}

fn both_ways(golden: &str, expected: &Message) {
    let bytes = hex(golden);
    assert_eq!(Message::decode(&bytes, &Limits::default()).unwrap().message, *expected);
    assert_eq!(expected.encode().unwrap(), bytes);
}

#[test]
fn golden_vectors_of_rsplib() {
    let update = Body::HandleUpdate { action: UpdateAction::Add, entry: entry() };
    both_ways(
        "0400005c1111111100000000000000000009000f47617465776179506f6f6c00
         000a003cdeadbeef11111111000493e0000400100b59000100010008c0000201
         0008000c4000000140000000000400101388000000010008c0000201",
        &message(ServerId(0), update),
    );
    both_ways("0201000c1111111122222222", &message(PEER, Body::HandleTableRequest { own: true }));
    both_ways("0500000c1111111122222222", &message(PEER, Body::ListRequest));
    both_ways("07000010111111112222222233333333", &message(PEER, Body::InitTakeover { target: TARGET }));
    both_ways("09000010111111112222222233333333", &message(PEER, Body::TakeoverServer { target: TARGET }));
    let server = ServerInformation { id: ME, transport: sctp(9901, TransportUse::DataOnly) };
    let presence = Presence { reply: true, checksum: 0xda79, extensions: None, probe: false, server: Some(server) };
    both_ways(
        "0101002c1111111122222222000f0006da790000000b00181111111100040010
         26ad000000010008c0000201",
        &message(PEER, Body::Presence(presence)),
    );
}

fn every_message() -> Vec<Message> {
    let server = ServerInformation { id: PEER, transport: sctp(9901, TransportUse::DataOnly) };
    let other = Entry { handle: "b".into(), claim: Some(7), ..entry() };
    let bare = Presence { reply: false, checksum: 0, extensions: Some(1), probe: true, server: None };
    vec![
        message(PEER, Body::Presence(bare)),
        message(PEER, Body::HandleTableRequest { own: false }),
        message(PEER, Body::HandleTableResponse { reject: true, more: false, entries: Vec::new() }),
        message(
            PEER,
            Body::HandleTableResponse { reject: false, more: true, entries: vec![entry(), entry(), other.clone()] },
        ),
        message(PEER, Body::HandleUpdate { action: UpdateAction::Delete, entry: other }),
        message(PEER, Body::ListResponse { reject: false, servers: vec![server.clone(), server] }),
        message(PEER, Body::ListResponse { reject: true, servers: Vec::new() }),
        message(PEER, Body::InitTakeoverAck { target: TARGET }),
        Message::error(ME, PEER, vec![ErrorCause::LackOfResources]),
    ]
}

#[test]
fn what_is_written_is_read() {
    for message in every_message() {
        let bytes = message.encode().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(Message::decode(&bytes, &Limits::default()).unwrap().message, message);
    }
}

/// rsplib counts the final padding in the message length.
#[test]
fn a_length_with_the_final_padding_is_taken() {
    let presence = Presence { reply: false, checksum: 1, extensions: None, probe: false, server: None };
    let mut bytes = Vec::from(message(PEER, Body::Presence(presence.clone())).encode().unwrap());
    assert_eq!((bytes[3], bytes.len()), (0x12, 0x14));
    bytes[3] = 0x14;
    let decoded = Message::decode(&bytes, &Limits::default()).unwrap().message;
    assert_eq!(decoded.body, Body::Presence(presence));
}

#[test]
fn a_table_is_cut_where_it_is_full() {
    let entry = entry();
    let mut table = TableWriter::new(ME, PEER, 1_000);
    let added = (0..100_u32).take_while(|i| table.push(&entry.handle, &entry.element, Some(*i))).count();
    let bytes = table.finish(true).unwrap();
    assert!((900..=1_000).contains(&bytes.len()), "{}", bytes.len());
    let Body::HandleTableResponse { more, reject, entries } =
        Message::decode(&bytes, &Limits::default()).unwrap().message.body
    else {
        panic!("a table")
    };
    assert_eq!((more, reject, entries.len(), entries[3].claim), (true, false, added, Some(3)));
    let huge = PoolHandle::new(vec![b'x'; 65_531]);
    assert!(!TableWriter::new(ME, PEER, 1_000).push(&huge, &entry.element, None), "no message holds it");
    let long = PoolHandle::new(vec![b'x'; 60_000]);
    let mut table = TableWriter::new(ME, PEER, 1_000);
    assert!(table.push(&long, &entry.element, None), "one is always taken");
    assert!(!table.push(&long, &entry.element, None));
}

#[test]
fn what_is_wrong_is_said() {
    let decode = |bytes: &[u8]| Message::decode(bytes, &Limits::default()).unwrap_err();
    // A presence without checksum.
    let error = decode(&hex("0100000c1111111122222222"));
    assert_eq!((error.kind, error.cause), (DecodeErrorKind::Missing(0xf), Some(ErrorCause::Unspecified)));
    // A handle with no element after it.
    let error = decode(&hex("0300001411111111222222220009000561000000"));
    assert_eq!(error.kind, DecodeErrorKind::Missing(0xa));
    // An unknown update action; one cut short.
    assert!(decode(&hex("04000010111111112222222200070000")).cause.is_some());
    assert_eq!(decode(&hex("0400000e11111111222222220000")).kind, DecodeErrorKind::Length);
    // Unknown message types: 00 silent, 01 reported whole.
    let unknown = hex("0b0000081111111100");
    assert_eq!(decode(&unknown[..8]).cause, None);
    let reported = hex("4b00000811111111");
    assert_eq!(decode(&reported).cause, Some(ErrorCause::UnrecognizedMessage(reported.into())));
    // An error that does not decode is not answered.
    assert_eq!(decode(&hex("0a00000c1111111122222222")).cause, None);
    // A parameter with type bits 11 is skipped and reported.
    let decoded = Message::decode(&hex("0500001411111111222222 22c7770008 00000000"), &Limits::default()).unwrap();
    assert_eq!((decoded.message.body, decoded.report.len()), (Body::ListRequest, 1));
    assert_eq!(Message::sender_of(&hex("0100000c1111111122222222")), Some(ME));
    assert_eq!(Message::sender_of(&[1, 0, 0]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..16) {
        let mut bytes = bytes;
        if bytes.len() >= 4 {
            bytes[0] = kind;
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            bytes[2..4].copy_from_slice(&length);
        }
        let _ = Message::decode(&bytes, &Limits::default());
    }

    #[test]
    fn a_changed_byte_is_no_panic(which in 0_usize..9, at in 0_usize..400, value in any::<u8>()) {
        let mut bytes = Vec::from(every_message()[which].encode().unwrap());
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(decoded) = Message::decode(&bytes, &Limits::default()) {
            let _ = decoded.message.encode();
        }
    }
}
