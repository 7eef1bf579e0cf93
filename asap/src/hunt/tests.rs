use super::*;
use crate::config::ServerAddress;
use crate::wire::{IpTransport, ServerId, Transport};

fn hunt(servers: u8) -> Hunt {
    let servers = (1..=servers).map(|n| ServerAddress::new([127, 0, 0, n].into())).collect();
    let config = HuntConfig {
        servers,
        t5_serverhunt_ms: 1_000,
        retran_max_ms: 3_000,
        max_parallel: 9,
        t7_enrp_outdate_ms: 5_000,
        announced_max: 2,
    };
    Hunt::new(config, 1)
}

/// The last byte of each server connected to, and the connections closed.
fn drain(out: &mut VecDeque<Transmit>) -> (Vec<(u64, u8)>, Vec<u64>) {
    let (mut connects, mut closes) = (Vec::new(), Vec::new());
    for transmit in out.drain(..) {
        match transmit {
            Transmit::Connect { conn, server } => {
                let IpAddr::V4(address) = server.addresses[0] else { panic!("v4") };
                connects.push((conn.0, address.octets()[3]));
            }
            Transmit::Close { conn } => closes.push(conn.0),
            Transmit::Send { .. } => panic!("a hunt sends nothing"),
        }
    }
    (connects, closes)
}

#[test]
fn three_at_once_and_the_first_wins() {
    let (mut hunt, mut out, now) = (hunt(5), VecDeque::new(), Instant::now());
    hunt.start(now, &mut out);
    hunt.start(now, &mut out);
    assert_eq!(drain(&mut out), (vec![(1, 1), (2, 2), (3, 3)], vec![]));
    assert_eq!(hunt.closed(ConnId(2), &mut out), Ended::Other);
    assert_eq!(drain(&mut out), (vec![(4, 4)], vec![]), "a failed one's place is taken");
    assert!(hunt.connected(ConnId(3), &mut out));
    assert_eq!(drain(&mut out), (vec![], vec![1, 4]));
    assert_eq!((hunt.home(), hunt.deadline()), (Some(ConnId(3)), None));
    assert!(!hunt.connected(ConnId(1), &mut out));
    assert_eq!(drain(&mut out), (vec![], vec![1]), "too late");
    assert_eq!(hunt.closed(ConnId(3), &mut out), Ended::Home);
    hunt.start(now, &mut out);
    assert_eq!(drain(&mut out).0, [(5, 5), (6, 1), (7, 2)], "goes on with others");
}

#[test]
fn t5_doubles_up_to_its_ceiling_and_starts_over() {
    let (mut hunt, mut out, mut now) = (hunt(2), VecDeque::new(), Instant::now());
    hunt.start(now, &mut out);
    for full in [1_000, 2_000, 3_000, 3_000] {
        let deadline = hunt.deadline().unwrap();
        let wait = (deadline - now).as_millis();
        assert!(wait <= full && wait >= full * 3 / 4, "{wait} of {full}");
        assert!(!hunt.handle_timeout(now, &mut out));
        assert_eq!(drain(&mut out).0.len(), 2);
        hunt.closed(ConnId(hunt.last_conn), &mut out);
        assert_eq!(drain(&mut out).0.len(), 0, "none is tried twice in a round");
        now = deadline;
        assert!(hunt.handle_timeout(now, &mut out));
    }
    let last = hunt.last_conn;
    assert!(hunt.connected(ConnId(last), &mut out));
    hunt.closed(ConnId(last), &mut out);
    hunt.start(now, &mut out);
    assert!(hunt.deadline().unwrap() - now <= Duration::from_secs(1), "reset by success");
}

/// An announcement with these SCTP transports, port 3863 and the last byte of the address.
fn announce(transports: &[&[u8]]) -> Message {
    let transport = |bytes: &&[u8]| {
        let addresses = bytes.iter().map(|&byte| IpAddr::from([127, 0, 0, byte])).collect();
        let transport_use = crate::wire::TransportUse::DataOnly;
        Transport::Sctp(SctpTransport { port: 3863, transport_use, addresses })
    };
    Message::ServerAnnounce { server: ServerId(7), transports: transports.iter().map(transport).collect() }
}

fn new(new: u64, refused: u64) -> Option<Announced> {
    Some(Announced { new, refused })
}

#[test]
fn an_announced_server_is_tried_at_once_when_one_is_wanted() {
    let (mut hunt, mut out, now) = (hunt(0), VecDeque::new(), Instant::now());
    hunt.start(now, &mut out);
    assert_eq!((drain(&mut out), hunt.deadline()), ((vec![], vec![]), None), "nobody is known");
    // Without a transport: where it came from, port 3863 (RFC 5352 3.6).
    assert_eq!(hunt.announced(now, [127, 0, 0, 9].into(), &announce(&[]), &mut out), new(1, 0));
    let connects: Vec<_> = out.iter().cloned().collect();
    let server = ServerAddress { addresses: vec![[127, 0, 0, 9].into()], port: 3863 };
    assert_eq!(connects, [Transmit::Connect { conn: ConnId(1), server }]);
    drain(&mut out);
    // Into a round that is on.
    assert_eq!(hunt.announced(now, [127, 0, 0, 9].into(), &announce(&[&[8]]), &mut out), new(1, 0));
    assert_eq!(drain(&mut out).0, [(2, 8)]);
    assert!(hunt.connected(ConnId(2), &mut out));
    // Nothing to do once there is a home server.
    assert_eq!(hunt.announced(now, [127, 0, 0, 9].into(), &announce(&[&[8], &[9]]), &mut out), new(0, 0));
    assert_eq!(drain(&mut out), (vec![], vec![1]));
    let other = Message::Error { error: crate::wire::ErrorCause::Unspecified.into() };
    assert_eq!(hunt.announced(now, [127, 0, 0, 9].into(), &other, &mut out), None);
}

#[test]
fn announced_servers_come_after_the_configured_ones_and_are_bounded() {
    let (mut hunt, mut out, now) = (hunt(2), VecDeque::new(), Instant::now());
    // 127.0.0.1 is configured; of three others there is room for two.
    let message = announce(&[&[1], &[4, 5], &[6], &[7]]);
    assert_eq!(hunt.announced(now, [127, 0, 0, 9].into(), &message, &mut out), new(2, 1));
    let tcp = IpTransport { port: 3863, address: [127, 0, 0, 8].into() };
    let tcp = Message::ServerAnnounce { server: ServerId(8), transports: vec![Transport::Tcp(tcp)] };
    assert_eq!(hunt.announced(now, [127, 0, 0, 9].into(), &tcp, &mut out), new(0, 0));
    assert_eq!(drain(&mut out), (vec![], vec![]), "nobody asked for a server");
    hunt.start(now, &mut out);
    assert_eq!(drain(&mut out).0, [(1, 1), (2, 2), (3, 4)]);
    hunt.closed(ConnId(3), &mut out);
    assert_eq!(drain(&mut out).0, [(4, 6)], "5 is another address of 4");
}

#[test]
fn t7_deletes_addresses_and_each_announcement_starts_it_again() {
    let (mut hunt, mut out, start) = (hunt(0), VecDeque::new(), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    let source = [127, 0, 0, 9].into();
    hunt.announced(start, source, &announce(&[&[4, 5]]), &mut out);
    hunt.announced(at(4_000), source, &announce(&[&[5, 6]]), &mut out);
    let addresses = |hunt: &mut Hunt, ms| hunt.heard.servers(at(ms)).map(|s| s.addresses).collect::<Vec<_>>();
    let ip = |byte| IpAddr::from([127, 0, 0, byte]);
    assert_eq!(addresses(&mut hunt, 4_999), [vec![ip(4), ip(5), ip(6)]]);
    assert_eq!(addresses(&mut hunt, 5_000), [vec![ip(5), ip(6)]]);
    hunt.start(at(8_999), &mut out);
    assert_eq!(drain(&mut out).0, [(1, 5)]);
    let t5 = hunt.deadline().unwrap();
    assert!(hunt.handle_timeout(t5.max(at(9_000)), &mut out));
    assert_eq!(drain(&mut out), (vec![], vec![1]), "the last one is forgotten");
    assert_eq!((addresses(&mut hunt, 9_000), hunt.deadline()), (vec![], None));
    hunt.announced(at(9_500), source, &announce(&[]), &mut out);
    assert_eq!(drain(&mut out).0, [(2, 9)], "still wanted");
}

#[test]
fn the_wait_before_a_hunt_is_spread_and_ends_with_a_home_server() {
    let waits: Vec<u128> = (0..50)
        .map(|seed| {
            let mut hunt = Hunt::new(
                HuntConfig { servers: vec![ServerAddress::new([127, 0, 0, 1].into())], ..HuntConfig::default() },
                seed,
            );
            let (mut out, now) = (VecDeque::new(), Instant::now());
            hunt.start_after(now, Duration::from_millis(200), &mut out);
            hunt.start(now, &mut out);
            assert!(out.is_empty(), "waits");
            let pause = hunt.deadline().unwrap();
            hunt.handle_timeout(pause, &mut out);
            assert_eq!(drain(&mut out).0.len(), 1);
            (pause - now).as_millis()
        })
        .collect();
    assert!(waits.iter().all(|wait| (200..300).contains(wait)), "{waits:?}");
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 50, "{waits:?}");
    let (mut hunt, mut out, now) = (hunt(1), VecDeque::new(), Instant::now());
    hunt.start_after(now, Duration::from_millis(200), &mut out);
    hunt.adopt(ConnId(9), &mut out);
    assert_eq!((hunt.deadline(), out.len()), (None, 0));
}
