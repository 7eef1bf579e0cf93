//! Associations over raw IP, protocol 132, with real sockets on loopback. Needs CAP_NET_RAW and a kernel without SCTP of its own;
//! elsewhere each test says SKIP.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

use bytes::Bytes;
use sctp::driver::{DriverConfig, DriverCounters, Node, Sockets, Tap, run};
use sctp::{
    AssocId, Associations, BackendKind, CloseReason, Config, Connect, Event, Input, Output, SendOptions, Transport,
    associations, ppid,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const BOUND: Duration = Duration::from_secs(20);
const PORT: u16 = 2905;

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

/// A new loopback address.
fn v4() -> IpAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn config(ip: IpAddr) -> DriverConfig {
    DriverConfig { addresses: vec![ip], ..DriverConfig::default() }
}

fn open(ip: IpAddr) -> Sockets {
    Sockets::open(Transport::Raw, &config(ip)).unwrap()
}

/// Sends so many messages when its association is up; done when it got so many, or is told to stop.
struct Peer {
    stack: Box<dyn Associations>,
    assoc: Option<AssocId>,
    to_send: usize,
    bytes: usize,
    expected: usize,
    received: Vec<Bytes>,
    closed: Option<CloseReason>,
    stopped: bool,
}

impl Peer {
    fn new(sockets: &Sockets, config: Config, to_send: usize, expected: usize) -> Self {
        assert_eq!(sockets.kind(), BackendKind::Raw);
        let local: Vec<_> = sockets.local().iter().map(SocketAddr::ip).collect();
        let (udp_port, now) = (sockets.local()[0].port(), Instant::now());
        let seed = [local[0].to_string().as_bytes().iter().fold(7_u8, |sum, byte| sum.wrapping_mul(31) ^ byte); 32];
        let mut stack = associations(sockets.kind(), config, local, udp_port, seed, now);
        stack.listen(PORT);
        let (received, closed) = (Vec::new(), None);
        Self { stack, assoc: None, to_send, bytes: 200, expected, received, closed, stopped: false }
    }

    fn connect(mut self, to: IpAddr) -> Self {
        let peer = vec![SocketAddr::new(to, DriverConfig::default().port)];
        self.stack.connect(Instant::now(), Connect { peer, peer_port: PORT, local_port: None }).unwrap();
        self
    }

    fn work(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, .. } => self.assoc = Some(assoc),
                Event::Message { payload, ppid: ppid::M3UA, .. } => self.received.push(payload),
                Event::Closed { reason, .. } => self.closed = Some(reason),
                Event::Message { .. } | Event::Path { .. } | _ => {}
            }
        }
        let Some(assoc) = self.assoc else { return };
        while self.to_send > 0 {
            let mut payload = self.to_send.to_be_bytes().to_vec();
            payload.resize(self.bytes, 0x5a);
            let options = SendOptions { stream: 1, ppid: ppid::M3UA, ..SendOptions::default() };
            if self.stack.send(now, assoc, options, payload.into()).is_err() {
                break;
            }
            self.to_send -= 1;
        }
    }
}

impl Node for Peer {
    type Command = ();
    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
    }
    fn handle_command(&mut self, _: Instant, (): ()) {
        self.stopped = true;
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
    }
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.work(now);
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }
    fn finished(&self) -> bool {
        let all = self.expected > 0 && self.received.len() >= self.expected;
        all && self.assoc.is_some_and(|assoc| self.stack.outstanding(assoc).0 == 0)
            || self.closed.is_some()
            || self.stopped
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs `a` until it is finished, beside `b`, which is then stopped.
fn together(a: (Peer, Sockets), b: (Peer, Sockets), tap: Option<Tap>) -> (Peer, Peer) {
    let (stop_b, commands_b) = mpsc::channel(1);
    let (_keep, commands_a) = mpsc::channel(1);
    runtime().block_on(async {
        let first = async {
            let a = run(a.0, a.1, commands_a, tap).await.unwrap();
            // The other one may have finished by itself.
            let _ = stop_b.send(()).await;
            a
        };
        let both = async { tokio::join!(first, async { run(b.0, b.1, commands_b, None).await.unwrap() }) };
        tokio::time::timeout(BOUND, both).await.expect("in time")
    })
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
