use super::*;
use std::path::PathBuf;

/// A real capture of the workplace, if it is here.
fn real(name: &str) -> Option<Capture> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures").join(name);
    if !path.exists() {
        println!("SKIP: {} is not here", path.display());
        return None;
    }
    Some(read(&path).expect("a real capture is read"))
}

fn types(capture: &Capture) -> Vec<u8> {
    capture.messages.iter().map(|m| m.data[2]).collect()
}

#[test]
fn a_real_call_in_draft_6_framing() {
    let Some(capture) = real("isup-call-m3ua-draft6.pcap") else { return };
    assert_eq!(types(&capture), [0x01, 0x2f, 0x06, 0x09, 0x0c, 0x10]);
    assert!(capture.messages.iter().all(|m| m.si == 5 && m.data[0] == 213));
    assert_eq!(capture.messages[0].opc, capture.messages[1].dpc);
    let seconds = (capture.messages[5].time_ns - capture.messages[0].time_ns) / 1_000_000_000;
    assert_eq!((seconds, capture.malformed, capture.other), (17, 0, 0));
}

#[test]
fn two_real_calls_in_both_file_formats() {
    let (Some(pcap), Some(pcapng)) = (real("isup-two-calls-m3ua.pcap"), real("isup-two-calls-m3ua.pcapng")) else {
        return;
    };
    assert_eq!(pcap, pcapng);
    assert_eq!(types(&pcap), [1, 6, 0x2c, 9, 0x0c, 0x10, 1, 6, 0x2c, 0x2c, 0x0c, 0x10]);
    assert_eq!((pcap.messages[0].opc, pcap.messages[0].dpc), (1001, 16));
}

/// A pcap file with the given frames, raw IP.
fn pcap(link_type: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![];
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link_type] {
        file.extend(word.to_le_bytes());
    }
    for frame in frames {
        for word in [1, 500_000, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

fn data_chunk(flags: u8, tsn: u32, user_data: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0, flags];
    chunk.extend((16 + user_data.len() as u16).to_be_bytes());
    chunk.extend(tsn.to_be_bytes());
    chunk.extend([0, 1, 0, 0, 0, 0, 0, 3]);
    chunk.extend(user_data);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn udp_packet(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut sctp = vec![0x0b, 0x59, 0x0b, 0x59, 0, 0, 0, 7, 0, 0, 0, 0];
    sctp.extend(chunks.concat());
    let mut packet = vec![0x45, 0];
    packet.extend((28 + sctp.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2]);
    packet.extend(9899_u16.to_be_bytes());
    packet.extend(9899_u16.to_be_bytes());
    packet.extend((8 + sctp.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(sctp);
    packet
}

fn m3ua_data() -> Vec<u8> {
    let user_data = [9, 0, 0x0c, 2, 0, 2, 0x80, 0x90];
    let protocol_data = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 9, user_data: &user_data };
    let message = Message::Data(m3ua_lite::wire::Data {
        network_appearance: None,
        routing_context: None,
        protocol_data,
        correlation_id: None,
    });
    let mut octets = vec![0; message.encoded_len().expect("short")];
    message.encode(&mut octets).expect("fits");
    octets
}

/// Reads `bytes` as a file.
fn import(name: &str, bytes: &[u8]) -> Result<Capture, CaptureError> {
    let path = std::env::temp_dir().join(format!("sigpool-capture-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("written");
    let result = read(&path);
    std::fs::remove_file(&path).expect("removed");
    result
}

#[test]
fn retransmissions_are_taken_once_and_fragments_put_together() {
    let message = m3ua_data();
    let (a, b) = message.split_at(20);
    let frames = [
        udp_packet(&[data_chunk(3, 10, &message), data_chunk(3, 11, &message)]),
        udp_packet(&[data_chunk(3, 11, &message)]),
        // The end of a message comes before its beginning, over the wrap of the TSN.
        udp_packet(&[data_chunk(1, 0, b)]),
        udp_packet(&[data_chunk(2, u32::MAX, a)]),
    ];
    let capture = import("again", &pcap(101, &frames)).expect("valid");
    assert_eq!((capture.messages.len(), capture.retransmitted, capture.malformed), (3, 1, 0));
    assert_eq!(capture.messages[0].time_ns, 1_500_000_000);
    assert!(capture.messages.iter().all(|m| m.dpc == 2 && m.data[2] == 0x0c));
}

/// The same message on two associations, on one of them one message more, and a third association of its own.
#[test]
fn messages_relayed_over_a_second_hop_are_taken_once() {
    let on = |port: u8, tsn: u32, cic: u8| {
        let mut message = m3ua_data();
        let at = message.windows(3).position(|w| w == [9, 0, 0x0c]).expect("the REL");
        message[at] = cic;
        let mut packet = udp_packet(&[data_chunk(3, tsn, &message)]);
        packet[29] = port;
        packet
    };
    // Port 1 is the hop to the pool: it is seen first, but carries less.
    let frames =
        [on(1, 1, 5), on(2, 1, 5), on(2, 2, 6), on(2, 3, 7), on(1, 2, 7), on(3, 1, 8), on(3, 2, 9), on(3, 3, 5)];
    let capture = import("hops", &pcap(101, &frames)).expect("valid");
    let found: Vec<_> = capture.associations.iter().map(|a| (a.messages, a.taken)).collect();
    assert_eq!(found, [(2, false), (3, true), (3, true)]);
    assert_eq!(capture.messages.iter().map(|m| m.data[0]).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 5]);
}

#[test]
fn bad_files_are_refused_with_the_place() {
    let good = pcap(101, &[udp_packet(&[data_chunk(3, 1, &m3ua_data())])]);
    for (name, bytes, says) in [
        ("empty", vec![], "neither pcap nor pcapng"),
        ("text", b"hello, this is no capture at all, but long enough".to_vec(), "neither pcap nor pcapng"),
        ("cut", good[..good.len() - 3].to_vec(), "cut off after packet 0"),
        ("link", pcap(147, &[vec![0; 40]]), "packet 1: link type 147"),
    ] {
        let error = import(name, &bytes).expect_err(name).to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
    let missing = read(Path::new("/nowhere/x.pcap")).expect_err("missing");
    assert!(matches!(missing, CaptureError::Io { .. }) && missing.to_string().contains("/nowhere/x.pcap"));
}

#[test]
fn damaged_packets_are_counted() {
    let mut short = udp_packet(&[data_chunk(3, 1, &m3ua_data())]);
    short[30] = 0xff;
    let whole = udp_packet(&[data_chunk(3, 2, &m3ua_data())]);
    let mut wrong_length = whole.clone();
    wrong_length[43] = 200;
    let frames = [vec![0x45], vec![0x60], vec![], wrong_length, whole[..whole.len() - 4].to_vec(), whole];
    let capture = import("damaged", &pcap(101, &frames)).expect("valid file");
    assert_eq!(capture.messages.len(), 1);
    assert!(capture.malformed >= 4, "{capture:?}");
}

proptest::proptest! {
    #[test]
    fn hostile_frames_never_panic(link in 0_i32..300, frame in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        if let packet::Found::Sctp { from, to, octets } = packet::sctp(link, &frame) {
            Reassembly::default().packet(from, to, octets, &mut |_, _| {});
        }
        let from = std::net::IpAddr::from([127, 0, 0, 1]);
        Reassembly::default().packet(from, from, &frame, &mut |_, _| {});
    }
}
