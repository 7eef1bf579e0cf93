//! The backend over the kernel's SCTP, with a kernel that has it: runs in a User Mode Linux guest (scenarios/interop), or on any
//! machine with SCTP as root. Elsewhere each test says SKIP; with SIGPOOL_KERNEL_SCTP=1 it fails instead.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and drops all others")]

mod host;

use bytes::Bytes;
use host::{BOUND, Host, Setup};
use sctp::driver::Sockets;
use sctp::{
    AssocId, AssocState, CloseReason, Connect, Event, PathState, SendError, SendOptions, Transport, Undelivered, ppid,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

const PORT: u16 = 2905;

/// False, with a word, where there is no kernel with SCTP.
fn available() -> bool {
    let found = Sockets::open(Transport::Kernel, &Setup::kernel(&["127.0.0.1"]).driver);
    let Err(error) = found else { return true };
    assert!(std::env::var_os("SIGPOOL_KERNEL_SCTP").is_none(), "{error}");
    println!("SKIP: {error}");
    false
}

fn connect(from: &Host, to: &[&str]) -> AssocId {
    let peer: Vec<SocketAddr> = to.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 9899)).collect();
    from.with(move |a, now| a.connect(now, Connect { peer, peer_port: PORT, local_port: None })).unwrap()
}

/// Connects until the listener is there: its listening is asked for, and done some time later.
fn connected(from: &Host, connect: impl Fn(&Host)) -> AssocId {
    let deadline = Instant::now() + BOUND;
    loop {
        connect(from);
        let came = from.wait("up", |event| match event {
            Event::Up { assoc, .. } => Some(Ok(assoc)),
            Event::Closed { reason, .. } => Some(Err(reason)),
            _ => None,
        });
        match came {
            Ok(assoc) => return assoc,
            Err(reason) => assert!(Instant::now() < deadline, "{reason:?}"),
        }
    }
}

fn up(host: &Host) -> AssocId {
    host.wait("up", |event| if let Event::Up { assoc, .. } = event { Some(assoc) } else { None })
}

fn closed(host: &Host) -> (CloseReason, Vec<Undelivered>) {
    host.wait("closed", |event| match event {
        Event::Closed { reason, undelivered, .. } => Some((reason, undelivered)),
        _ => None,
    })
}

/// A listener and a client, connected.
fn pair(server: Setup, client: Setup) -> (Host, AssocId, Host, AssocId) {
    let addresses: Vec<String> = server.driver.addresses.iter().map(ToString::to_string).collect();
    let server = server.start();
    server.with(|a, _| a.listen(PORT));
    let client = client.start();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let on_client = connected(&client, |client| {
        connect(client, &addresses);
    });
    let on_server = up(&server);
    (server, on_server, client, on_client)
}

fn numbered(number: u32, len: usize) -> Bytes {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(len.max(4), number as u8);
    bytes.into()
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(*payload.first_chunk().unwrap())
}

/// Sends these, in order on stream 1, all at once; how many were taken.
fn send(host: &Host, assoc: AssocId, numbers: std::ops::Range<u32>, len: usize) -> u32 {
    host.with(move |a, now| {
        for n in numbers.clone() {
            let options = SendOptions { stream: 1, ppid: ppid::M3UA, unordered: false, context: n.into() };
            match a.send(now, assoc, options, numbered(n, len)) {
                Ok(()) => {}
                Err(SendError::QueueFull) => return n - numbers.start,
                Err(error) => panic!("{error}"),
            }
        }
        numbers.end - numbers.start
    })
}

/// The numbers of the messages up to the end of the association, and how it ended.
fn all_messages(host: &Host) -> (Vec<u32>, CloseReason) {
    let mut got = Vec::new();
    let reason = host.wait("closed", |event| match event {
        Event::Message { payload, .. } => {
            got.push(number(&payload));
            None
        }
        Event::Closed { reason, .. } => Some(reason),
        _ => None,
    });
    (got, reason)
}

/// What was sent, received and handed back fits together: nothing lost, all in order, twice only what was on the wire.
fn check(sent: u32, got: &[u32], back: &[Undelivered]) {
    assert!(got.windows(2).all(|w| w[0] < w[1]), "received in order and once");
    let contexts: Vec<u64> = back.iter().map(|u| u.context).collect();
    assert!(contexts.windows(2).all(|w| w[0] < w[1]), "handed back in order of send: {contexts:?}");
    let received: BTreeSet<u64> = got.iter().map(|n| u64::from(*n)).collect();
    let handed: BTreeSet<u64> = contexts.iter().copied().collect();
    let lost: Vec<u64> = (0..u64::from(sent)).filter(|n| !received.contains(n) && !handed.contains(n)).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    for undelivered in back {
        assert_eq!(u64::from(number(&undelivered.payload)), undelivered.context);
        assert!(undelivered.transmitted || !received.contains(&undelivered.context), "{undelivered:?} was received");
    }
    println!("{sent} sent, {} received, {} handed back", got.len(), back.len());
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Two namespaces with two links; 10.N.1.x and 10.N.2.x. They go with the guest.
fn namespaces(n: u8, a: &'static str, b: &'static str) {
    for name in [a, b] {
        ip(&format!("netns add {name}"));
        ip(&format!("-n {name} link set lo up"));
    }
    for link in [1, 2] {
        ip(&format!("-n {a} link add l{link} type veth peer name l{link} netns {b}"));
        for (name, host) in [(a, 1), (b, 2)] {
            ip(&format!("-n {name} address add 10.{n}.{link}.{host}/24 dev l{link}"));
            ip(&format!("-n {name} link set l{link} up"));
        }
    }
    for (name, link) in [(a, 1), (a, 2), (b, 1), (b, 2)] {
        carrier(name, link);
    }
}

/// Waits until a link carries: the kernel needs a moment to see it.
fn carrier(name: &str, link: u8) {
    let deadline = Instant::now() + BOUND;
    loop {
        let shown = Command::new("ip").args(["-n", name, "link", "show", &format!("l{link}")]).output().unwrap();
        if String::from_utf8_lossy(&shown.stdout).contains("state UP") {
            return;
        }
        assert!(Instant::now() < deadline, "l{link} of {name} has no carrier");
    }
}

#[test]
fn messages_of_all_kinds_both_ways_then_shutdown() {
    if !available() {
        return;
    }
    let (server, on_server, client, on_client) = pair(Setup::kernel(&["127.91.0.1"]), Setup::kernel(&["127.91.0.2"]));
    let kinds =
        [(0, 1, false, 3), (3, 200, false, 11), (5, 1_400, true, 12), (16, 60_000, false, 3), (2, 65_535, true, 7)];
    for (from, to, assoc) in [(&client, &server, on_client), (&server, &client, on_server)] {
        for (stream, len, unordered, ppid) in kinds {
            let options = SendOptions { stream, ppid, unordered, context: 0 };
            from.with(move |a, now| a.send(now, assoc, options, numbered(7, len))).unwrap();
            let got = to.wait("message", |event| match event {
                Event::Message { stream, ppid, unordered, payload, .. } => Some((stream, ppid, unordered, payload)),
                _ => None,
            });
            assert_eq!(got, (stream, ppid, unordered, numbered(7, len)));
        }
    }
    let no_stream = SendOptions { stream: 17, ..SendOptions::default() };
    let refused = client.with(move |a, now| a.send(now, on_client, no_stream, numbered(1, 5)));
    assert_eq!(refused, Err(SendError::NoSuchStream));
    let info = client.with(move |a, _| a.info(on_client)).unwrap();
    assert_eq!((info.state, info.peer_port, info.outbound_streams, info.incoming), (AssocState::Up, PORT, 17, false));
    assert_eq!(info.paths[0].address, "127.91.0.1:9899".parse().unwrap());
    // The last message before a shutdown arrives.
    send(&client, on_client, 0..100, 300);
    client.with(move |a, now| a.shutdown(now, on_client));
    let (got, reason) = all_messages(&server);
    assert_eq!((got.len(), reason), (100, CloseReason::Shutdown));
    assert_eq!(closed(&client), (CloseReason::Shutdown, Vec::new()));
    assert_eq!(client.with(|a, _| a.counters().messages_acknowledged), 105);
}

#[test]
fn what_is_outstanding_becomes_nothing_without_further_traffic() {
    if !available() {
        return;
    }
    let (server, _, client, on_client) = pair(Setup::kernel(&["127.91.1.1"]), Setup::kernel(&["127.91.1.2"]));
    for round in 0..20 {
        send(&client, on_client, 0..50, 200);
        (0..50).for_each(|_| server.wait("message", |e| matches!(e, Event::Message { .. }).then_some(())));
        let deadline = Instant::now() + BOUND;
        while client.with(move |a, _| a.outstanding(on_client)) != (0, 0) {
            assert!(Instant::now() < deadline, "round {round}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_abort_hands_back_exactly_what_was_not_acknowledged() {
    if !available() {
        return;
    }
    let (server, _, client, on_client) = pair(Setup::kernel(&["127.91.2.1"]), Setup::kernel(&["127.91.2.2"]));
    let sent = send(&client, on_client, 0..5_000, 3_000);
    server.wait("message", |e| matches!(e, Event::Message { .. }).then_some(()));
    client.with(move |a, now| a.abort(now, on_client, b"enough"));
    let (mut got, reason) = all_messages(&server);
    got.insert(0, 0);
    assert_eq!(reason, CloseReason::PeerAbort(Some(12)));
    let (reason, back) = closed(&client);
    assert_eq!(reason, CloseReason::LocalAbort);
    check(sent, &got, &back);
    assert!(!back.is_empty(), "a part was not acknowledged yet");
}

#[test]
fn a_peer_that_is_gone_says_so_and_one_that_is_not_there_too() {
    if !available() {
        return;
    }
    let (server, _, client, _) = pair(Setup::kernel(&["127.91.3.1"]), Setup::kernel(&["127.91.3.2"]));
    drop(server);
    assert_eq!(closed(&client).0, CloseReason::PeerAbort(Some(12)));
    connect(&client, &["127.91.3.1"]);
    let (reason, back) = closed(&client);
    assert!(back.is_empty());
    assert_eq!(reason, CloseReason::ConnectFailed);
}

#[test]
fn a_slow_peer_holds_up_the_sender_and_nothing_is_lost() {
    if !available() {
        return;
    }
    let mut slow = Setup::kernel(&["127.91.4.1"]);
    slow.driver.receive_buffer_bytes = 64 << 10;
    let mut sender = Setup::kernel(&["127.91.4.2"]);
    sender.driver.send_buffer_bytes = 64 << 10;
    sender.sctp.send_queue_messages_max = 3_000;
    let (server, _, client, on_client) = pair(slow, sender);
    let held = server.hold();
    let sent = send(&client, on_client, 0..10_000, 1_000);
    assert_eq!(sent, 3_000, "the queue is full");
    drop(held);
    for n in 0..sent {
        let got = server
            .wait("message", |e| if let Event::Message { payload, .. } = e { Some(number(&payload)) } else { None });
        assert_eq!(got, n);
    }
    client.with(move |a, now| a.shutdown(now, on_client));
    assert_eq!(closed(&client), (CloseReason::Shutdown, Vec::new()));
}

#[test]
fn a_peer_cut_off_is_silent_and_what_it_has_not_comes_back() {
    if !available() {
        return;
    }
    namespaces(31, "cuta", "cutb");
    let mut settings = Setup::kernel(&["10.31.1.1"]).within("cuta");
    settings.sctp.supervision_ms = 600;
    settings.sctp.heartbeat_interval_ms = 200;
    let (server, _, client, on_client) = pair(Setup::kernel(&["10.31.1.2"]).within("cutb"), settings);
    send(&client, on_client, 0..100, 200);
    let mut got = Vec::new();
    (0..100).for_each(|_| {
        server.wait("message", |e| {
            let Event::Message { payload, .. } = e else { return None };
            got.push(number(&payload));
            Some(())
        });
    });
    ip("-n cutb link set l1 down");
    let sent = 100 + send(&client, on_client, 100..3_000, 200);
    let since = Instant::now();
    let (reason, back) = closed(&client);
    println!("silent after {} ms", since.elapsed().as_millis());
    assert_eq!(reason, CloseReason::Silent);
    assert!(since.elapsed() < Duration::from_secs(5));
    // The window of the kernel was full of the first ones; the last were never on the wire.
    assert!(back.first().unwrap().transmitted && !back.last().unwrap().transmitted);
    assert_eq!(back.len(), 2_900);
    check(sent, &got, &back);
}

#[test]
fn an_idle_peer_cut_off_is_silent_and_one_that_only_listens_is_not() {
    if !available() {
        return;
    }
    namespaces(32, "idla", "idlb");
    let mut settings = Setup::kernel(&["10.32.1.1"]).within("idla");
    settings.sctp.supervision_ms = 600;
    settings.sctp.heartbeat_interval_ms = 200;
    let (_server, _, client, _) = pair(Setup::kernel(&["10.32.1.2"]).within("idlb"), settings.clone());
    // No heartbeats for a long time: what is acknowledged and what only acknowledges wants no answer.
    settings.sctp.heartbeat_interval_ms = 60_000;
    settings.driver.addresses = vec!["10.32.2.1".parse().unwrap()];
    let mut quiet = Setup::kernel(&["10.32.2.2"]).within("idlb");
    quiet.sctp.heartbeat_interval_ms = 60_000;
    let (other, on_other, listens, on_listens) = pair(quiet, settings);
    send(&other, on_other, 0..3, 200);
    ip("-n idlb link set l1 down");
    let since = Instant::now();
    assert_eq!(closed(&client), (CloseReason::Silent, Vec::new()));
    println!("silent after {} ms", since.elapsed().as_millis());
    assert!(since.elapsed() < Duration::from_secs(5));
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(listens.with(move |a, _| a.state(on_listens)), Some(AssocState::Up));
        std::thread::yield_now();
    }
}

#[test]
fn one_of_two_paths_cut_costs_nothing_and_is_told() {
    if !available() {
        return;
    }
    namespaces(33, "mula", "mulb");
    let server = Setup::kernel(&["10.33.1.2", "10.33.2.2"]).within("mulb");
    let (server, on_server, client, on_client) =
        pair(server, Setup::kernel(&["10.33.1.1", "10.33.2.1"]).within("mula"));
    let mut peer = server.with(move |a, _| a.addresses(on_server));
    peer.sort();
    assert_eq!(peer, ["10.33.1.1:9899", "10.33.2.1:9899"].map(|a| a.parse().unwrap()));
    ip("-n mulb link set l1 down");
    let since = Instant::now();
    let mut longest = Duration::ZERO;
    for n in 0..200 {
        let at = Instant::now();
        send(&client, on_client, n..n + 1, 200);
        let got = server
            .wait("message", |e| if let Event::Message { payload, .. } = e { Some(number(&payload)) } else { None });
        assert_eq!(got, n);
        longest = longest.max(at.elapsed());
    }
    println!("longest wait {} ms", longest.as_millis());
    // The other one may be suspected for a moment, on a slow machine.
    let cut: SocketAddr = "10.33.1.2:9899".parse().unwrap();
    let path = |event| match event {
        Event::Path { address, state, .. } => (address == cut).then_some(state),
        _ => None,
    };
    assert_eq!(client.wait("path", path), PathState::PotentiallyFailed);
    println!("told, {} ms after the cut", since.elapsed().as_millis());
    assert_eq!(client.wait("path", path), PathState::Inactive);
    ip("-n mulb link set l1 up");
    assert_eq!(client.wait("path", path), PathState::Active);
    let info = client.with(move |a, _| a.info(on_client)).unwrap();
    assert_eq!(info.paths.len(), 2);
    assert!(info.paths[0].primary && info.paths[0].state == PathState::Active);
}

#[test]
fn a_peer_that_restarts_is_another_association_and_nothing_is_lost() {
    if !available() {
        return;
    }
    namespaces(34, "resa", "resb");
    let client = Setup::kernel(&["10.34.1.2"]).within("resb");
    let mut server = Setup::kernel(&["10.34.1.1"]).within("resa");
    server.sctp.supervision_ms = 0;
    let server = server.start();
    server.with(|a, _| a.listen(PORT));
    let from = |host: &Host| {
        let peer = vec!["10.34.1.1:9899".parse().unwrap()];
        let connect = Connect { peer, peer_port: PORT, local_port: Some(5_555) };
        host.with(|a, now| a.connect(now, connect)).unwrap();
    };
    let first = client.clone().start();
    connected(&first, from);
    let of_first = up(&server);
    ip("-n resa link set l1 down");
    send(&server, of_first, 0..2_000, 200);
    // Its ABORT does not get through, not even from a queue of the neighbour table.
    ip("-n resb route add blackhole 10.34.1.1/32");
    drop(first);
    ip("-n resb route del blackhole 10.34.1.1/32");
    ip("-n resa link set l1 up");
    let second = client.start();
    connected(&second, from);
    let (reason, back) = closed(&server);
    assert_eq!(reason, CloseReason::Restarted);
    let anew = up(&server);
    assert_ne!(anew, of_first);
    send(&server, anew, 5_000..5_010, 200);
    // What was handed over between the restart and the word of it reached the new life.
    let mut got = Vec::new();
    second.wait("the last message", |e| {
        let Event::Message { payload, .. } = e else { return None };
        got.push(number(&payload));
        (number(&payload) == 5_009).then_some(())
    });
    let old = got.iter().copied().filter(|n| *n < 5_000).collect::<Vec<_>>();
    check(2_000, &old, &back);
    assert_eq!(got[old.len()..], (5_000..5_010).collect::<Vec<_>>());
}
