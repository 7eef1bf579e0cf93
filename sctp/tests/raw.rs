//! Associations over raw IP, protocol 132, with real sockets on loopback. Needs CAP_NET_RAW and a kernel without SCTP of its own;
//! elsewhere each test says SKIP.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod peer;

use peer::{BOUND, PORT, Peer, runtime, together, v4};
use sctp::driver::{DriverConfig, DriverCounters, Sockets, Tap, run};
use sctp::{BackendKind, CloseReason, Config, Transport};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Whether raw sockets work here; says so when they do not.
fn raw_works() -> bool {
    let probe = DriverConfig { addresses: vec![v4()], ..DriverConfig::default() };
    match Sockets::open(Transport::Raw, &probe) {
        Ok(_) => true,
        Err(error) => {
            println!("SKIP: {error}");
            false
        }
    }
}

fn config(ip: IpAddr) -> DriverConfig {
    DriverConfig { addresses: vec![ip], ..DriverConfig::default() }
}

fn open(ip: IpAddr) -> Sockets {
    let sockets = Sockets::open(Transport::Raw, &config(ip)).unwrap();
    assert_eq!(sockets.kind(), BackendKind::Raw);
    sockets
}

fn exchange(client: IpAddr, server: IpAddr, tap: Option<&Path>) -> (Arc<DriverCounters>, Arc<DriverCounters>) {
    const COUNT: usize = 3_000;
    let (sockets, other) = (open(client), open(server));
    let counters = (sockets.counters(), other.counters());
    let tap = tap.map(|path| Tap::create(path, "raw", 1 << 14, sockets.counters()).unwrap());
    let a = Peer::new(&sockets, Config::default(), COUNT, COUNT).connect(server);
    let b = Peer::new(&other, Config::default(), COUNT, 0);
    let (a, b) = together((a, sockets), (b, other), tap);
    for peer in [&a, &b] {
        let numbers: Vec<_> = peer.received.iter().map(|m| u64::from_be_bytes(m[..8].try_into().unwrap())).collect();
        let sent: Vec<_> = (1..=COUNT as u64).rev().collect();
        assert!(numbers == sent, "{} messages of {COUNT}, in order", numbers.len());
        assert!(peer.received.iter().all(|message| message.len() == 200));
        assert_eq!(peer.closed, None);
    }
    counters
}

#[test]
fn messages_both_ways_over_ipv4() {
    if raw_works() {
        let (a, b) = exchange(v4(), v4(), None);
        for counters in [a, b] {
            assert!(counters.datagrams_in.get() > 0 && counters.segments_out.get() == 0, "{counters:?}");
            let bad = counters.malformed_ip.get() + counters.send_errors.get() + counters.receive_errors.get();
            assert_eq!(bad, 0, "{counters:?}");
        }
    }
}

/// IPv6's loopback has one address, so the peers meet in a network namespace of their own: `ip netns`, which only root can make.
/// Here both ends are in one process, and one address has one process; so it is one node with an association to itself.
#[test]
fn messages_over_ipv6() {
    if !raw_works() {
        return;
    }
    let own = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let sockets = open(own);
    let counters = sockets.counters();
    let (_keep, commands) = mpsc::channel(1);
    let peer = Peer::new(&sockets, Config::default(), 500, 500).connect(own);
    let peer = runtime().block_on(async { tokio::time::timeout(BOUND, run(peer, sockets, commands, None)).await });
    let peer = peer.expect("in time").unwrap();
    assert_eq!(peer.received.len(), 500);
    assert_eq!(counters.send_errors.get() + counters.receive_errors.get(), 0, "{counters:?}");
}

/// Nobody has a raw socket on that address: ICMP protocol unreachable says so at once (RFC 9260 section 10).
#[test]
fn an_address_without_sctp_is_found_dead_by_icmp() {
    if !raw_works() {
        return;
    }
    let sockets = open(v4());
    let counters = sockets.counters();
    let (_keep, commands) = mpsc::channel(1);
    let begin = Instant::now();
    let peer = Peer::new(&sockets, Config::default(), 0, 0).connect(v4());
    let peer = runtime().block_on(async { tokio::time::timeout(BOUND, run(peer, sockets, commands, None)).await });
    assert_eq!(peer.expect("in time").unwrap().closed, Some(CloseReason::ConnectFailed));
    assert!(counters.icmp_unreachable.get() > 0, "{counters:?}");
    // T1 with its 9 INITs would take seconds.
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

/// The peer's process is gone in the middle of an association: the next heartbeat or message shows it.
#[test]
fn a_process_that_is_gone_is_found_by_icmp() {
    if !raw_works() {
        return;
    }
    let (client, server) = (v4(), v4());
    let (sockets, other) = (open(client), open(server));
    let a = Peer::new(&sockets, Config::default(), 50, 0).connect(server);
    let b = Peer::new(&other, Config::default(), 0, 50);
    let ((_keep_a, commands_a), (_keep_b, commands_b)) = (mpsc::channel(1), mpsc::channel(1));
    let a = runtime().block_on(async {
        let gone = async { drop(run(b, other, commands_b, None).await.unwrap()) };
        let both = async { tokio::join!(run(a, sockets, commands_a, None), gone).0 };
        tokio::time::timeout(BOUND, both).await.expect("in time").unwrap()
    });
    assert_eq!(a.closed, Some(CloseReason::Unreachable));
}

/// Messages of 60,000 bytes travel in many packets, none of them longer than the MTU of the settings.
#[test]
fn fragments_of_large_messages_arrive_whole() {
    if !raw_works() {
        return;
    }
    let (client, server) = (v4(), v4());
    let (sockets, other) = (open(client), open(server));
    let mut a = Peer::new(&sockets, Config::default(), 20, 0).connect(server);
    a.bytes = 60_000;
    let b = Peer::new(&other, Config::default(), 0, 20);
    let (b, _) = together((b, other), (a, sockets), None);
    assert_eq!(b.received.len(), 20);
    assert!(b.received.iter().all(|message| message.len() == 60_000 && message[8..].iter().all(|byte| *byte == 0x5a)));
}

/// A raw socket gets all of its address's packets; two processes there would each answer the other's peers with ABORT.
#[test]
fn an_address_has_one_process() {
    if raw_works() {
        let ip = v4();
        let first = open(ip);
        let error = Sockets::open(Transport::Raw, &config(ip)).unwrap_err().to_string();
        assert!(error.contains(&ip.to_string()) && error.contains("address of its own"), "{error}");
        drop(first);
        open(ip);
    }
}

#[test]
fn a_foreign_address_is_refused_with_a_remedy() {
    if raw_works() {
        let error = Sockets::open(Transport::Raw, &config([192, 0, 2, 1].into())).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1") && error.contains("not an address of this machine"), "{error}");
    }
}

/// The capture has IP with protocol 132 and no UDP: Wireshark opens it as it is.
#[test]
fn the_capture_has_sctp_right_behind_ip() {
    if !raw_works() {
        return;
    }
    let path = std::env::temp_dir().join(format!("sigpool-raw-{}.pcapng", std::process::id()));
    let (client, server) = (v4(), v4());
    exchange(client, server, Some(&path));
    let file = std::fs::File::open(&path).unwrap();
    let mut reader = pcap_parser::PcapNGReader::new(1 << 20, file).unwrap();
    let mut packets = 0;
    loop {
        use pcap_parser::traits::PcapReaderIterator as _;
        match reader.next() {
            Ok((offset, block)) => {
                if let pcap_parser::PcapBlockOwned::NG(pcap_parser::Block::EnhancedPacket(packet)) = block {
                    let data = &packet.data[..packet.caplen as usize];
                    let IpAddr::V4(server) = server else { panic!("IPv4") };
                    assert_eq!((data[0], data[9]), (0x45, 132));
                    assert!(data[12..16] == server.octets() || data[16..20] == server.octets());
                    let port = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
                    assert!(port(20) == PORT || port(22) == PORT);
                    packets += 1;
                }
                reader.consume(offset);
            }
            Err(pcap_parser::PcapError::Eof) => break,
            Err(pcap_parser::PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(packets > 100, "{packets}");
    std::fs::remove_file(path).unwrap();
}
