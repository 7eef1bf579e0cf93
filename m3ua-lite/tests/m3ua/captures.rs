//! The captures under `shared/captures`, read in place. Where they are not at hand the test says so and passes.

use std::path::Path;

use m3ua_lite::isup::{self, MessageType};
use m3ua_lite::mtp3;
use m3ua_lite::session::GroupKey;
use m3ua_lite::wire::Message;

use crate::bytes;

/// M3UA octets of a classic pcap with Ethernet, IPv4 and SCTP; just enough for these two files.
fn m3ua_payloads(name: &str) -> Option<Vec<Vec<u8>>> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["../../shared/captures", "/work/shared/captures"];
    let Some(file) = places.iter().find_map(|place| std::fs::read(manifest.join(place).join(name)).ok()) else {
        println!("SKIP: {name} is in none of {places:?}");
        return None;
    };
    let word = |at: usize| {
        let octets: [u8; 4] = file[at..at + 4].try_into().unwrap();
        if file[0] == 0xd4 { u32::from_le_bytes(octets) } else { u32::from_be_bytes(octets) }
    };
    let link_header = match word(20) {
        1 => 14,
        101 => 0,
        other => panic!("link type {other}"),
    };
    let mut payloads = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let len = word(at + 8) as usize;
        let packet = &file[at + 16..at + 16 + len];
        at += 16 + len;
        let ip = &packet[link_header..];
        let sctp = &ip[usize::from(ip[0] & 15) * 4..usize::from(u16::from_be_bytes([ip[2], ip[3]]))];
        let mut chunks = &sctp[12..];
        while chunks.len() >= 4 {
            let length = usize::from(u16::from_be_bytes([chunks[2], chunks[3]]));
            // DATA: type, flags, length, TSN, stream, sequence, PPID, user data.
            if chunks[0] == 0 {
                payloads.push(chunks[16..length].to_vec());
            }
            chunks = chunks.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
    }
    Some(payloads)
}

#[test]
fn two_calls_in_rfc_4666() {
    let Some(payloads) = m3ua_payloads("isup-two-calls-m3ua.pcap") else {
        return;
    };
    let mut names = Vec::new();
    for payload in &payloads {
        let message = Message::decode(payload).expect("RFC 4666");
        assert_eq!(mtp3::decode_draft_data(payload), None);
        assert_eq!(Message::decode(&bytes(&message)), Ok(message.clone()));
        if let Message::Data(data) = message {
            assert_eq!(data.protocol_data.si, isup::SERVICE_INDICATOR);
            assert!(GroupKey::from_network(&data.protocol_data).is_some());
            names.push(isup::message_type(data.protocol_data.user_data).unwrap().name());
        }
    }
    println!("{names:?}");
    assert_eq!(names.len(), 12);
    assert!(!names.contains(&"?"));
    assert_eq!((names[0], names[11]), ("IAM", "RLC"));
}

/// Draft 6: a Protocol Data parameter with another tag, holding SIO, ITU label and user part.
#[test]
fn one_call_in_draft_6() {
    let Some(payloads) = m3ua_payloads("isup-call-m3ua-draft6.pcap") else {
        return;
    };
    let mut types = Vec::new();
    for payload in &payloads {
        let message = mtp3::decode_draft_data(payload).expect("DATA of draft 6");
        assert!(Message::decode(payload).is_err(), "no Protocol Data of RFC 4666 in it");
        assert_eq!((message.si, isup::cic(message.user_data)), (5, Some(213)));
        types.push(isup::message_type(message.user_data).unwrap());
    }
    let call =
        [MessageType::Iam, MessageType::Cfn, MessageType::Acm, MessageType::Anm, MessageType::Rel, MessageType::Rlc];
    assert_eq!(types, call);
}
