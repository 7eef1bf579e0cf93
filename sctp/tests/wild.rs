//! UDP encapsulation as networks are (RFC 6951): ports that change on the way, links that are narrow, kernels without GSO or GRO.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod peer;

use nix::sched::{CloneFlags, unshare};
use peer::{Peer, together, v4};
use sctp::driver::{DriverConfig, Sockets};
use sctp::{Config, Transport};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn driver(ip: IpAddr) -> DriverConfig {
    DriverConfig { addresses: vec![ip], ..DriverConfig::default() }
}

fn check(peer: &Peer, count: usize) {
    let numbers = peer.received.iter().map(|m| u64::from_be_bytes(m[..8].try_into().unwrap()));
    assert!(numbers.eq((1..=count as u64).rev()), "{} messages of {count}, in order", peer.received.len());
    assert_eq!(peer.closed, None);
}

/// A NAT between a client and a server: the client sends to `inside`, the server sees `outside` with a port that changes.
struct Nat {
    inside: Arc<UdpSocket>,
    server: SocketAddr,
    outside: IpAddr,
    stop: AtomicBool,
    changes: AtomicUsize,
}

impl Nat {
    /// Carries datagrams, each port so many from the client, until it is told to stop.
    fn run(&self, each: usize) {
        let short = Some(Duration::from_millis(1));
        self.inside.set_read_timeout(short).unwrap();
        // A NAT's old mapping takes datagrams silently, so the old sockets stay.
        let mut mappings: Vec<UdpSocket> = Vec::new();
        let (mut client, mut carried, mut buffer) = (None, 0, vec![0; 65_536]);
        while !self.stop.load(Ordering::Relaxed) {
            if let Ok((bytes, from)) = self.inside.recv_from(&mut buffer) {
                client = Some(from);
                if carried % each == 0 {
                    let mapping = UdpSocket::bind((self.outside, 0)).unwrap();
                    mapping.set_nonblocking(true).unwrap();
                    mappings.push(mapping);
                    self.changes.fetch_add(1, Ordering::Relaxed);
                }
                carried += 1;
                mappings.last().unwrap().send_to(&buffer[..bytes], self.server).unwrap();
            }
            let (Some(client), Some(mapping)) = (client, mappings.last()) else { continue };
            while let Ok((bytes, _)) = mapping.recv_from(&mut buffer) {
                self.inside.send_to(&buffer[..bytes], client).unwrap();
            }
        }
    }
}

/// RFC 6951 section 5.4: the port of a peer is where its last valid packet came from. Messages both ways, none lost.
#[test]
fn a_peer_behind_changing_udp_ports_keeps_its_association() {
    const COUNT: usize = 4_000;
    let (client, server, nat_in, nat_out) = (v4(), v4(), v4(), v4());
    let (sockets, other) = (Sockets::bind(&driver(client)).unwrap(), Sockets::bind(&driver(server)).unwrap());
    let nat = Arc::new(Nat {
        inside: Arc::new(UdpSocket::bind((nat_in, 9899)).unwrap()),
        server: SocketAddr::new(server, 9899),
        outside: nat_out,
        stop: AtomicBool::new(false),
        changes: AtomicUsize::new(0),
    });
    let thread = std::thread::spawn({
        let nat = Arc::clone(&nat);
        move || nat.run(40)
    });
    // Few at once: the NAT has small buffers, and what it loses would only slow the test down.
    let settings = |advertise| Config { advertise: vec![advertise], engine_window_messages: 16, ..Config::default() };
    let a = Peer::new(&sockets, settings(nat_out), COUNT, COUNT).connect(nat_in);
    let b = Peer::new(&other, settings(nat_in), COUNT, 0);
    let (a, b) = together((a, sockets), (b, other), None);
    nat.stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    check(&a, COUNT);
    check(&b, COUNT);
    let changes = nat.changes.load(Ordering::Relaxed);
    assert!(changes > 3, "{changes}");
    assert!(b.stack.counters().udp_port_changed > 2, "{:?}", b.stack.counters());
}

#[test]
fn with_and_without_segmentation_and_joining() {
    const COUNT: usize = 5_000;
    for (gso, gro) in [(true, true), (true, false), (false, true), (false, false)] {
        let (client, server) = (v4(), v4());
        let bind = |ip| Sockets::bind(&DriverConfig { gso, gro, ..driver(ip) }).unwrap();
        let (sockets, other) = (bind(client), bind(server));
        let counters = sockets.counters();
        let a = Peer::new(&sockets, Config::default(), COUNT, COUNT).connect(server);
        let b = Peer::new(&other, Config::default(), COUNT, 0);
        let (a, b) = together((a, sockets), (b, other), None);
        check(&a, COUNT);
        check(&b, COUNT);
        assert_eq!(counters.segments_out.get() > 0, gso, "gso {gso}, gro {gro}: {counters:?}");
        assert_eq!(counters.send_errors.get() + counters.receive_errors.get(), 0, "{counters:?}");
    }
}

/// In a network namespace of this thread whose loopback device takes `mtu` bytes. False: not permitted here.
fn on_a_narrow_loopback(mtu: u32, test: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::spawn(move || {
        // Root may; others within a user namespace of their own, where that is allowed.
        let (net, user) = (CloneFlags::CLONE_NEWNET, CloneFlags::CLONE_NEWUSER);
        if let Err(error) = unshare(net).or_else(|_| unshare(net | user)) {
            println!("SKIP: no network namespace: {error}");
            return false;
        }
        let up = Command::new("ip").args(["link", "set", "lo", "mtu", &mtu.to_string(), "up"]).status();
        if !up.is_ok_and(|status| status.success()) {
            println!("SKIP: `ip link set lo mtu {mtu} up` does not work");
            return false;
        }
        test();
        true
    });
    thread.join().unwrap()
}

/// The device says what it takes (EMSGSIZE), and the packets get as long as that: no longer, and not much shorter.
#[test]
fn a_device_that_takes_less_than_hoped_costs_no_message() {
    on_a_narrow_loopback(1_350, || {
        const COUNT: usize = 3_000;
        for transport in [Transport::Udp, Transport::Raw] {
            let header = if transport == Transport::Udp { 28 } else { 20 };
            let (client, server) = (v4(), v4());
            let open = |ip| Sockets::open(transport, &driver(ip)).inspect_err(|error| println!("SKIP: {error}")).ok();
            let (Some(sockets), Some(other)) = (open(client), open(server)) else { continue };
            let counters = sockets.counters();
            let config = Config { mtu_max: 9_000, ..Config::default() };
            let a = Peer::new(&sockets, config.clone(), COUNT, COUNT).connect(server);
            let b = Peer::new(&other, config, COUNT, 0);
            let (a, b) = together((a, sockets), (b, other), None);
            check(&a, COUNT);
            check(&b, COUNT);
            let info = a.stack.info(a.assoc.unwrap()).unwrap();
            assert_eq!(info.paths[0].mtu, (1_350 - header) / 4 * 4, "{transport:?}");
            assert_eq!(counters.too_big.get(), 1, "{transport:?}: {counters:?}");
            assert_eq!(counters.send_errors.get(), 0, "{counters:?}");
            assert_eq!(a.stack.counters().mtu_under_base, 0);
        }
    });
}

/// A link narrower than the setting `mtu` is counted; the setting is what helps.
#[test]
fn a_link_narrower_than_the_setting_is_counted_and_the_setting_helps() {
    on_a_narrow_loopback(600, || {
        const COUNT: usize = 500;
        let (client, server) = (v4(), v4());
        let (sockets, other) = (Sockets::bind(&driver(client)).unwrap(), Sockets::bind(&driver(server)).unwrap());
        let config = Config { mtu: 572, mtu_max: 1_400, ..Config::default() };
        let a = Peer::new(&sockets, config.clone(), COUNT, COUNT).connect(server);
        let b = Peer::new(&other, config, COUNT, 0);
        let (a, b) = together((a, sockets), (b, other), None);
        check(&a, COUNT);
        check(&b, COUNT);
        assert_eq!(a.stack.info(a.assoc.unwrap()).unwrap().paths[0].mtu, 572);
    });
}
