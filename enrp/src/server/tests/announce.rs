//! Announcements in virtual time: how often, with whom, and what hostile ones do.

use crate::server::announce::Announce;
use crate::server::{Multicast, Output, Server, ServerConfig};
use asap::wire::{IpTransport, Limits, Message, SctpTransport, ServerId, Transport, TransportUse};
use bytes::Bytes;
use std::time::{Duration, Instant};

fn transports() -> Vec<Transport> {
    let addresses = vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
    let sctp = SctpTransport { port: 3863, transport_use: TransportUse::DataOnly, addresses: addresses.into() };
    vec![Transport::Sctp(sctp), Transport::Tcp(IpTransport { port: 3863, address: [127, 0, 0, 1].into() })]
}

fn announcing(id: u32, now: Instant, servers_max: usize) -> Server {
    let mut server = Server::new(ServerConfig::default(), ServerId(id), u64::from(id));
    let times = (1_000, 5_000);
    server.announce(
        now,
        Announce { transports: transports(), t6_server_announce_ms: times.0, t7_enrp_outdate_ms: times.1, servers_max },
    );
    server
}

/// Runs them for so many seconds; each hears all. How many announcements each sent in the last `measured` seconds.
fn run(servers: &mut [Server], start: Instant, seconds: u64, measured: u64) -> Vec<usize> {
    let end = start + Duration::from_secs(seconds);
    let from = end - Duration::from_secs(measured);
    let mut sent = vec![0; servers.len()];
    loop {
        let mut datagrams: Vec<Bytes> = Vec::new();
        let now = servers.iter().filter_map(Server::poll_timeout).min().unwrap();
        if now > end {
            return sent;
        }
        for (server, sent) in servers.iter_mut().zip(&mut sent) {
            server.handle_timeout(now);
            while let Some(output) = server.poll_output() {
                let Output::Multicast { group: Multicast::Asap, bytes } = output else { panic!("{output:?}") };
                *sent += usize::from(now >= from);
                datagrams.push(bytes);
            }
        }
        for bytes in datagrams {
            for server in &mut *servers {
                server.handle_multicast(now, Multicast::Asap, "127.0.0.1:3863".parse().unwrap(), &bytes);
            }
        }
    }
}

#[test]
fn it_names_all_transports_at_once_and_then_every_t6() {
    let now = Instant::now();
    let mut server = announcing(1, now, 64);
    let Some(Output::Multicast { group: Multicast::Asap, bytes }) = server.poll_output() else { panic!("silent") };
    let Message::ServerAnnounce { server: id, transports: named } =
        Message::decode(&bytes, &Limits::default()).unwrap().message
    else {
        panic!("something else")
    };
    assert_eq!((id, named), (ServerId(1), transports()));
    let sent = run(&mut [server], now, 101, 100)[0];
    assert!((95..=106).contains(&sent), "{sent} in 100 s");
}

#[test]
fn ten_servers_together_send_about_one_each_t6() {
    let now = Instant::now();
    let mut servers: Vec<_> = (1..=10).map(|id| announcing(id, now, 64)).collect();
    let sent = run(&mut servers, now, 300, 200);
    assert!(servers.iter().all(|server| server.servers_heard() == 9));
    let all: usize = sent.iter().sum();
    assert!((180..=220).contains(&all), "{all} in 200 s: {sent:?}");
    // Nine of them end: the last one notices, and announces every T6 again.
    let end = now + Duration::from_secs(300);
    let sent = run(&mut servers[..1], end, 160, 100)[0];
    assert_eq!(servers[0].servers_heard(), 0);
    assert!((94..=107).contains(&sent), "{sent} in 100 s");
}

#[test]
fn hostile_announcements_cost_counters_only() {
    let now = Instant::now();
    let mut server = announcing(1, now, 3);
    let source = "127.0.0.1:3863".parse().unwrap();
    for id in 1..=1_000 {
        let message = Message::ServerAnnounce { server: ServerId(id), transports: Vec::new() }.encode().unwrap();
        server.handle_multicast(now, Multicast::Asap, source, &message);
    }
    let strange = Message::resolution(false, "x".into(), None).encode().unwrap();
    for wrong in [&b""[..], b"\x0a", b"\x0a\0\0\x08\0\0", &strange] {
        server.handle_multicast(now, Multicast::Asap, source, wrong);
    }
    assert_eq!(server.servers_heard(), 3);
    let counters = server.counters();
    assert_eq!((counters.announces_in, counters.announces_refused, counters.malformed), (999, 996, 4));
    assert!(server.poll_output().is_some() && server.poll_output().is_none(), "only our own, nothing is answered");
}
