use super::*;
use std::path::PathBuf;

/// A real capture of the workplace, if it is here.
fn real(name: &str) -> Option<Capture> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures").join(name);
    if !path.exists() {
        println!("SKIP: {} is not here", path.display());
        return None;
    }
    Some(read(&path, &[]).expect("a real capture is read"))
}

fn types(capture: &Capture) -> Vec<u8> {
    capture.messages.iter().map(|m| capture.octets(m)[2]).collect()
}

#[test]
fn a_real_call_in_draft_6_framing() {
    let Some(capture) = real("isup-call-m3ua-draft6.pcap") else { return };
    assert_eq!(types(&capture), [0x01, 0x2f, 0x06, 0x09, 0x0c, 0x10]);
    assert!(capture.messages.iter().all(|m| m.si == 5 && capture.octets(m)[0] == 213));
    assert_eq!(capture.messages[0].opc, capture.messages[1].dpc);
    let seconds = (capture.messages[5].time_ns - capture.messages[0].time_ns) / 1_000_000_000;
    assert_eq!((seconds, &capture.survey.useless[..]), (17, &[][..]));
}

#[test]
fn two_real_calls_in_both_file_formats() {
    let (Some(pcap), Some(pcapng)) = (real("isup-two-calls-m3ua.pcap"), real("isup-two-calls-m3ua.pcapng")) else {
        return;
    };
    assert_eq!((&pcap.messages, &pcap.user_data), (&pcapng.messages, &pcapng.user_data));
    assert_eq!((&pcap.survey.file.format[..], &pcapng.survey.file.format[..]), ("pcap", "pcapng"));
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
    m3ua_data_with(None)
}

fn m3ua_data_with(correlation_id: Option<u32>) -> Vec<u8> {
    let user_data = [9, 0, 0x0c, 2, 0, 2, 0x80, 0x90];
    let protocol_data = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 9, user_data: &user_data };
    let message = Message::Data(m3ua_lite::wire::Data {
        network_appearance: None,
        routing_context: None,
        protocol_data,
        correlation_id,
    });
    let mut octets = vec![0; message.encoded_len().expect("short")];
    message.encode(&mut octets).expect("fits");
    octets
}

/// Reads `bytes` as a file.
fn import(name: &str, bytes: &[u8]) -> Result<Capture, CaptureError> {
    let path = std::env::temp_dir().join(format!("sigpool-capture-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).expect("written");
    let result = read(&path, &[]);
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
    let association = &capture.survey.associations[0];
    assert_eq!((capture.messages.len(), association.repeated, association.missing), (3, 1, 9));
    assert_eq!(capture.survey.useless, []);
    assert_eq!(capture.messages[0].time_ns, 1_500_000_000);
    assert!(capture.messages.iter().all(|m| m.dpc == 2 && capture.octets(m)[2] == 0x0c));
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
    let found: Vec<_> = capture.survey.associations.iter().map(|a| (a.data, a.taken)).collect();
    assert_eq!(found, [(2, false), (3, true), (3, true)]);
    assert_eq!(capture.messages.iter().map(|m| capture.octets(m)[0]).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 5]);
}

/// With one controller both hops have the same messages, and after a takeover the pool's has more.
#[test]
fn the_hop_to_the_controllers_is_known_by_its_correlation_ids() {
    let on = |port: u8, tsn: u32, correlation_id| {
        let mut packet = udp_packet(&[data_chunk(3, tsn, &m3ua_data_with(correlation_id))]);
        packet[29] = port;
        packet
    };
    let frames = [on(1, 1, Some(1)), on(2, 1, None), on(2, 2, None), on(1, 2, Some(1)), on(1, 3, Some(1))];
    let file = pcap(101, &frames);
    let capture = import("correlation", &file).expect("valid");
    let found: Vec<_> = capture.survey.associations.iter().map(|a| (a.data, a.to_controllers, a.taken)).collect();
    assert_eq!(found, [(3, true, false), (2, false, true)]);
    // By hand, another one.
    let path = std::env::temp_dir().join(format!("sigpool-capture-{}-by-hand", std::process::id()));
    std::fs::write(&path, file).expect("written");
    assert_eq!(read(&path, &[1]).expect("valid").messages.len(), 3);
    assert_eq!(read(&path, &[1, 2]).expect("valid").messages.len(), 5);
    for number in [0, 3] {
        let error = read(&path, &[number]).expect_err("no such association").to_string();
        assert!(error.contains("shows 1 to 2"), "{error}");
    }
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn bad_files_are_refused_or_of_use_up_to_a_point() {
    let packet = udp_packet(&[data_chunk(3, 1, &m3ua_data())]);
    let good = pcap(101, &[packet.clone(), packet]);
    for (name, bytes) in [("empty", vec![]), ("text", b"hello, this is no capture at all, but long enough".to_vec())] {
        let error = import(name, &bytes).expect_err(name).to_string();
        assert!(error.contains("neither pcap nor pcapng"), "{name}: {error}");
    }
    let cut = import("cut", &good[..good.len() - 3]).expect("the first packet is whole");
    assert_eq!(cut.messages.len(), 1);
    assert!(cut.survey.file.damage.is_some_and(|damage| damage.contains("after packet 1: cut off")));
    let link = import("link", &pcap(147, &[vec![0; 40], vec![0; 40]])).expect("a file of packets");
    let useless = &link.survey.useless[0];
    assert!(useless.what.contains("link type") && useless.count == 2 && useless.first_packets == [1, 2], "{useless:?}");
    let missing = read(Path::new("/nowhere/x.pcap"), &[]).expect_err("missing");
    assert!(matches!(missing, CaptureError::Io { .. }) && missing.to_string().contains("/nowhere/x.pcap"));
    assert!(matches!(read(Path::new("/"), &[]), Err(CaptureError::Io { .. })));
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
    let useless = &capture.survey.useless;
    let found: Vec<_> = useless.iter().map(|useless| (useless.count, &useless.first_packets[..])).collect();
    // The empty one is not SCTP; the others have lengths that do not fit.
    assert_eq!(found, [(1, &[3][..]), (4, &[1, 2, 4, 5][..])], "{useless:?}");
}

/// What was not captured, and what was cut off, is told from what is broken.
#[test]
fn missing_and_cut_packets_are_counted() {
    let message = m3ua_data();
    let chunk = |tsn: u32| udp_packet(&[data_chunk(3, tsn, &message)]);
    let mut file = pcap(101, &[chunk(u32::MAX), chunk(2), udp_packet(&[data_chunk(2, 3, &message)])]);
    let short = &chunk(4)[..60];
    for word in [2_u32, 0, 60, 500] {
        file.extend(word.to_le_bytes());
    }
    file.extend(short);
    let survey = import("missing", &file).expect("valid").survey;
    let association = &survey.associations[0];
    assert_eq!((association.data, association.missing, association.incomplete), (2, 2, 1));
    assert_eq!(survey.useless.len(), 1, "{survey:?}");
    assert!(survey.useless[0].what.contains("snap length") && survey.useless[0].first_packets == [4]);
    assert_eq!(survey.encapsulation["SCTP in UDP, IPv4"], 3);
}

/// Another address of the same host is the same association: the retransmission on it is one.
#[test]
fn an_association_of_two_addresses_is_one() {
    let packet = udp_packet(&[data_chunk(3, 1, &m3ua_data())]);
    let mut other_path = packet.clone();
    other_path[19] = 9;
    let survey = import("paths", &pcap(101, &[packet, other_path])).expect("valid").survey;
    assert_eq!(survey.associations.len(), 1);
    assert_eq!((survey.associations[0].packets, survey.associations[0].repeated), (2, 1));
}

/// A small capture of a network, a gateway and a pool, as a file.
fn sample() -> Vec<u8> {
    let message = m3ua_data();
    let (a, b) = message.split_at(20);
    let on = |port: u8, chunks: &[Vec<u8>]| {
        let mut packet = udp_packet(chunks);
        packet[29] = port;
        packet
    };
    let frames: Vec<Vec<u8>> = (0..20)
        .flat_map(|n| {
            [
                on(1, &[data_chunk(3, 3 * n, &message), data_chunk(2, 3 * n + 1, a), data_chunk(1, 3 * n + 2, b)]),
                on(2, &[data_chunk(3, n, &message)]),
            ]
        })
        .collect();
    pcap(101, &frames)
}

/// The same as pcapng.
fn sample_ng() -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = 12 + body.len() as u32;
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &length.to_le_bytes()].concat()
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let application = [&[4, 0, 7, 0][..], b"sigpool", &[0, 0, 0, 0, 0]].concat();
    let mut file = block(0x0a0d_0d0a, &[words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]), application].concat());
    file.extend(block(1, &words(&[101, 0])));
    let pcap = sample();
    let mut rest = &pcap[24..];
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let mut body = words(&[0, 0, 1_500_000, length as u32, length as u32]);
        body.extend(&tail[..length]);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
        rest = &tail[length..];
    }
    file
}

#[test]
fn the_sample_is_whole_in_both_formats() {
    for (name, file, format) in [("sample", sample(), "pcap"), ("sample-ng", sample_ng(), "pcapng")] {
        let capture = import(name, &file).expect("valid");
        assert_eq!((capture.survey.file.packets, &capture.survey.file.format[..]), (40, format));
        assert_eq!(capture.survey.associations.iter().map(|a| a.data).collect::<Vec<_>>(), [40, 20], "{format}");
        assert_eq!((capture.messages.len(), &capture.survey.useless[..]), (40, &[][..]));
        let application = capture.survey.file.application.as_deref();
        assert_eq!(application, (format == "pcapng").then_some("sigpool"));
    }
}

/// All that is done with a capture, on a file in memory.
fn all_of_it(bytes: &[u8]) -> Option<u64> {
    let mut surveyor = Surveyor::default();
    let walked = walk::walk_in(bytes, &mut |packet, time_ns, event| surveyor.event(packet, time_ns, event)).ok()?;
    let (mut survey, contents) = surveyor.finish(walked);
    choose(&mut survey, &contents, &[]).expect("nothing chosen by hand");
    let mut capture = Capture { survey, ..Capture::default() };
    let mut user_data = Vec::new();
    walk::walk_in(bytes, &mut |_, time_ns, event| {
        let Event::Message { ppid: PPID_M3UA, octets, .. } = event else { return };
        let Some((data, _)) = data_of(octets) else { return };
        capture.messages.push(captured(time_ns, user_data.len(), &data));
        user_data.extend_from_slice(data.user_data);
    })
    .ok()?;
    capture.user_data = user_data.into();
    let parts = parts::Parts::new(&capture, &[], false);
    assert_eq!(parts.of.len(), capture.messages.len());
    parts.recorded_calls(&capture, 1.0);
    info::text_of(&capture);
    Some(capture.survey.file.packets)
}

proptest::proptest! {
    #[test]
    fn hostile_frames_never_panic(link in 0_i32..300, frame in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        if let packet::Found::Sctp { from, to, octets, .. } = packet::sctp(link, &frame) {
            sctp_data::Reassembly::default().packet(from, to, octets, &mut |_, _| {});
        }
        let from = std::net::IpAddr::from([127, 0, 0, 1]);
        sctp_data::Reassembly::default().packet(from, from, &frame, &mut |_, _| {});
    }

    /// Flipped octets, a cut, and octets that go missing: counted, never a panic, never without end.
    #[test]
    fn mutated_captures_never_panic(
        ng in proptest::bool::ANY,
        flips in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 1_u8..), 0..24),
        cut in proptest::option::of(proptest::prelude::any::<proptest::sample::Index>()),
        hole in proptest::option::of((proptest::prelude::any::<proptest::sample::Index>(), 1_usize..40)),
    ) {
        let mut bytes = if ng { sample_ng() } else { sample() };
        for (index, mask) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= mask;
        }
        if let Some((index, length)) = hole {
            let at = index.index(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.drain(at..end);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len().max(1)));
        }
        proptest::prop_assert!(all_of_it(&bytes).is_none_or(|packets| packets <= 400));
    }
}
