//! Bytes of rsplib's encoder (rserpool-wire.md section 13), both ways where it agrees with the RFCs, and what differs.
//!
//! rsplib puts the registration life in milliseconds (300,000 here reads as seconds), counts the last parameter's padding in the
//! message Length, and adds a PE Identifier to ENDPOINT_KEEP_ALIVE.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use asap::wire::{
    ElementReport, ErrorCause, Header, Limits, Message, Parameter, Parameters, PeId, Policy, PoolElement, PoolHandle,
    RegistrationLife, SctpTransport, ServerId, Transport, TransportUse, Writer,
};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn handle() -> PoolHandle {
    PoolHandle::from("GatewayPool")
}

const PE: PeId = PeId(0xdead_beef);
const LOAD: Policy = Policy::LeastUsed { load: 0x4000_0000 };

fn sctp(port: u16, transport_use: TransportUse) -> SctpTransport {
    SctpTransport { port, transport_use, addresses: [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))].into() }
}

fn element() -> PoolElement {
    PoolElement {
        id: PE,
        home: ServerId(0x1111_1111),
        life: RegistrationLife::Seconds(300_000),
        user_transport: Transport::Sctp(sctp(2905, TransportUse::DataAndControl)),
        policy: LOAD,
        asap_transport: None,
    }
}

fn decode(bytes: &[u8]) -> Message {
    let decoded = Message::decode(bytes, &Limits::default()).unwrap();
    assert!(decoded.report.is_empty());
    decoded.message
}

/// The vector decodes to the message, and the message encodes to the vector.
fn both_ways(vector: &str, message: &Message) {
    let bytes = hex(vector);
    assert_eq!(&decode(&bytes), message);
    assert_eq!(hex_of(&message.encode().unwrap()), hex_of(&bytes));
}

/// The vector decodes to the message; the message encodes to the same bytes but for a Length of `length`.
fn but_for_length(vector: &str, message: &Message, length: u16) {
    let mut bytes = hex(vector);
    assert_eq!(&decode(&bytes), message, "with the padding counted");
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(&decode(&bytes), message, "without");
    assert_eq!(hex_of(&message.encode().unwrap()), hex_of(&bytes));
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn registration() {
    both_ways(
        "010000400009000f47617465776179506f6f6c00000a002cdeadbeef11111111
         000493e0000400100b59000100010008c00002010008000c4000000140000000",
        &Message::Registration { handle: handle(), element: element() },
    );
}

#[test]
fn registration_response() {
    both_ways(
        "0300001c0009000f47617465776179506f6f6c00000e0008deadbeef",
        &Message::RegistrationResponse { reject: false, handle: handle(), pe_id: PE, error: None },
    );
    // rsplib leaves the pool's policy out of cause 5.
    both_ways(
        "030100240009000f47617465776179506f6f6c00000e0008deadbeef000c000800050004",
        &Message::RegistrationResponse {
            reject: true,
            handle: handle(),
            pe_id: PE,
            error: Some(ErrorCause::InconsistentPolicy(None).into()),
        },
    );
    // RFC 5354 3.12.6: it is there.
    both_ways(
        "030100300009000f47617465776179506f6f6c00000e0008deadbeef000c001400050010 0008000c4000000140000000",
        &Message::RegistrationResponse {
            reject: true,
            handle: handle(),
            pe_id: PE,
            error: Some(ErrorCause::InconsistentPolicy(Some(LOAD)).into()),
        },
    );
}

#[test]
fn deregistration() {
    both_ways(
        "0200001c0009000f47617465776179506f6f6c00000e0008deadbeef",
        &Message::Deregistration { handle: handle(), pe_id: PE },
    );
    both_ways(
        "0400001c0009000f47617465776179506f6f6c00000e0008deadbeef",
        &Message::DeregistrationResponse { handle: handle(), pe_id: PE, error: None },
    );
}

#[test]
fn handle_resolution() {
    but_for_length("050000140009000f47617465776179506f6f6c00", &Message::resolution(false, handle(), None), 0x13);
    both_ways(
        "0500001c0009000f47617465776179506f6f6c00803f000800000003",
        &Message::resolution(false, handle(), Some(3)),
    );
    // No vector of rsplib has the S bit: it does not know updates.
    both_ways(
        "0501001c0009000f47617465776179506f6f6c00803f0008ffffffff",
        &Message::resolution(true, handle(), Some(u32::MAX)),
    );
    // Ours: a hint for the selection plug-in and what the user measured. Type bits 10: others skip them.
    both_ways(
        "050100480009000f47617465776179506f6f6c00803f000800000003
         bf01000a7669656e6e610000
         bf02001000000001800000000000c350 bf02001000000002ffffffffffffffff",
        &Message::HandleResolution {
            subscribe: true,
            handle: handle(),
            items: Some(3),
            hint: Some(Bytes::from_static(b"vienna")),
            reports: vec![
                ElementReport { pe_id: PeId(1), load: 0x8000_0000, round_trip_us: Some(50_000) },
                ElementReport { pe_id: PeId(2), load: u32::MAX, round_trip_us: None },
            ],
        },
    );
}

#[test]
fn handle_resolution_response() {
    let vector = "0600004c0009000f47617465776179506f6f6c000008000c4000000140000000
                  000a002cdeadbeef11111111000493e0000400100b59000100010008c0000201
                  0008000c4000000140000000";
    both_ways(
        vector,
        &Message::HandleResolutionResponse {
            subscribed: false,
            handle: handle(),
            policy: Some(LOAD),
            elements: vec![element()],
            error: None,
        },
    );
    let (bytes, count) = Message::encode_resolution(false, &handle(), &LOAD, [element()].iter()).unwrap();
    assert_eq!((hex_of(&bytes), count), (hex_of(&hex(vector)), 1));
    both_ways(
        "0600001c0009000f47617465776179506f6f6c00000c000800090004",
        &Message::HandleResolutionResponse {
            subscribed: false,
            handle: handle(),
            policy: None,
            elements: Vec::new(),
            error: Some(ErrorCause::UnknownPoolHandle.into()),
        },
    );
}

#[test]
fn keep_alive() {
    let server = ServerId(0x1111_1111);
    both_ways(
        "07010020111111110009000f47617465776179506f6f6c00000e0008deadbeef",
        &Message::EndpointKeepAlive { home: true, server, handle: handle(), pe_id: Some(PE) },
    );
    // The RFC's form.
    both_ways(
        "07000017111111110009000f47617465776179506f6f6c00",
        &Message::EndpointKeepAlive { home: false, server, handle: handle(), pe_id: None },
    );
    both_ways(
        "0800001c0009000f47617465776179506f6f6c00000e0008deadbeef",
        &Message::EndpointKeepAliveAck { handle: handle(), pe_id: PE },
    );
}

#[test]
fn the_others() {
    both_ways(
        "0900001c0009000f47617465776179506f6f6c00000e0008deadbeef",
        &Message::EndpointUnreachable { handle: handle(), pe_id: PE },
    );
    both_ways("0a00000811111111", &Message::ServerAnnounce { server: ServerId(0x1111_1111), transports: Vec::new() });
    but_for_length("0b000010000d00096162636465000000", &Message::Cookie { cookie: Bytes::from_static(b"abcde") }, 0x0d);
    but_for_length(
        "0c000010000d00096162636465000000",
        &Message::CookieEcho { cookie: Bytes::from_static(b"abcde") },
        0x0d,
    );
    both_ways(
        "0d0000400009000f47617465776179506f6f6c00000a002cdeadbeef11111111
         000493e0000400100b59000100010008c00002010008000c4000000140000000",
        &Message::BusinessCard { handle: handle(), elements: vec![element()] },
    );
    both_ways("0e00000c000c000800060004", &Message::Error { error: ErrorCause::LackOfResources.into() });
}

/// ENRP uses the parameter codec in its own messages.
#[test]
fn enrp_handle_update() {
    let vector = hex("0400005c1111111100000000000000000009000f47617465776179506f6f6c00
        000a003cdeadbeef11111111000493e0000400100b59000100010008c0000201
        0008000c4000000140000000000400101388000000010008c0000201");
    let mut with_asap = element();
    with_asap.asap_transport = Some(sctp(5000, TransportUse::DataOnly));
    let mut w = Writer::new(0x04, 0);
    w.u32(0x1111_1111);
    w.u32(0);
    w.u16(0);
    w.u16(0);
    w.pool_handle(&handle());
    w.pool_element(&with_asap);
    assert_eq!(hex_of(&w.finish().unwrap()), hex_of(&vector));

    let header = Header::split(&vector).unwrap();
    assert_eq!((header.message_type, header.flags), (4, 0));
    let limits = Limits::default();
    let mut parameters = Parameters::new(&header.body[12..], &limits);
    assert_eq!(parameters.next_parameter().unwrap(), Some(Parameter::PoolHandle(handle())));
    assert_eq!(parameters.next_parameter().unwrap(), Some(Parameter::PoolElement(Box::new(with_asap))));
    assert_eq!(parameters.next_parameter().unwrap(), None);
}

#[test]
fn enrp_presence() {
    let vector = hex("0101002c1111111122222222000f0006da790000000b00181111111100040010 26ad000000010008c0000201");
    let information =
        asap::wire::ServerInformation { id: ServerId(0x1111_1111), transport: sctp(9901, TransportUse::DataOnly) };
    let mut w = Writer::new(0x01, 0x01);
    w.u32(0x1111_1111);
    w.u32(0x2222_2222);
    w.pe_checksum(0xda79);
    w.server_information(&information);
    assert_eq!(hex_of(&w.finish().unwrap()), hex_of(&vector));

    let limits = Limits::default();
    let mut parameters = Parameters::new(&Header::split(&vector).unwrap().body[8..], &limits);
    assert_eq!(parameters.next_parameter().unwrap(), Some(Parameter::PeChecksum(0xda79)));
    assert_eq!(parameters.next_parameter().unwrap(), Some(Parameter::ServerInformation(information)));
    assert_eq!(parameters.next_parameter().unwrap(), None);
}
