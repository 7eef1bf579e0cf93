//! Peers that are wrong or mean: limits, counters, and bytes of any kind over what was right.

use super::foreign::{LINK, PEER, alone, entry, presence, say, told, wait};
use super::lab::{Lab, ms};
use asap::policy::Rng;
use asap::wire::{ErrorCause, PoolHandle, SctpTransport, ServerId, ServerInformation, Transport, TransportUse};
use enrp::wire::{Body, Entry, Message, UpdateAction};
use enrp::{ClientId, Event, Output, PeersConfig};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const ME: ServerId = ServerId(100);

fn with(config: PeersConfig) -> Lab {
    let mut lab = Lab::new(1, config);
    lab.add_server(ME, 0);
    lab.run(ms(10));
    lab
}

fn add(id: u32) -> Body {
    Body::HandleUpdate { action: UpdateAction::Add, entry: entry(id, 300) }
}

fn said_from(lab: &mut Lab, client: u64, from: &str, sender: ServerId, body: Body) -> Vec<Output> {
    let source: SocketAddr = from.parse().unwrap();
    let bytes = Message { sender, receiver: ServerId(0), body }.encode().unwrap();
    let server = &mut lab.nodes[0].server;
    server.handle_enrp(lab.now, ClientId(client), &[source], &bytes);
    std::iter::from_fn(|| server.poll_output()).collect()
}

#[test]
fn nobody_speaks_for_a_server_that_is_connected() {
    let mut lab = alone();
    said_from(&mut lab, LINK, "10.9.9.9:9901", PEER, presence(false, 0xffff, true));
    said_from(&mut lab, LINK, "10.9.9.9:9901", PEER, add(1));
    // From elsewhere; and another server over the same association.
    for (client, from, sender) in [(LINK + 1, "10.6.6.6:9901", PEER), (LINK, "10.9.9.9:9901", ServerId(0x8888))] {
        let remove = Body::HandleUpdate { action: UpdateAction::Delete, entry: entry(1, 300) };
        let outputs = said_from(&mut lab, client, from, sender, remove);
        assert_eq!(outputs, [Output::Close { client: ClientId(client) }]);
    }
    assert_eq!(lab.nodes[0].server.peers_counters().enrp_spoofed, 2);
    assert_eq!((lab.table(0).len(), lab.nodes[0].server.peers_snapshot().len()), (1, 1));
    // A second association of its own is welcome; and any when there is none left.
    said_from(&mut lab, LINK + 2, "10.9.9.9:5555", PEER, presence(false, 0xffff, true));
    assert_eq!(lab.nodes[0].server.peers_snapshot()[0].associations, 2);
    for client in [LINK, LINK + 2] {
        lab.nodes[0].server.client_lost(lab.now, ClientId(client), true);
    }
    said_from(&mut lab, LINK + 3, "10.9.9.7:9901", PEER, presence(false, 0xffff, true));
    assert_eq!(lab.nodes[0].server.peers_snapshot()[0].associations, 1);
}

#[test]
fn more_updates_than_the_limit_are_downloaded_instead() {
    let mut lab = with(PeersConfig { updates_per_s: 100, ..PeersConfig::default() });
    say(&mut lab, presence(false, 0xffff, true));
    say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: Vec::new() });
    for id in 1..=150 {
        say(&mut lab, add(id));
    }
    let counters = lab.nodes[0].server.peers_counters();
    assert_eq!((counters.updates_in, counters.updates_limited, lab.table(0).len()), (100, 50, 100));
    wait(&mut lab, 200);
    let mut said = Vec::new();
    for _ in 0..10 {
        said.extend(say(&mut lab, presence(false, 0x1234, true)));
        said.extend(wait(&mut lab, 100));
    }
    assert!(said.contains(&Body::HandleTableRequest { own: true }), "{said:?}");
}

#[test]
fn a_table_without_an_end_is_given_up() {
    let mut lab = with(PeersConfig { download_pes_max: 50, ..PeersConfig::default() });
    let request = Body::HandleTableRequest { own: true };
    assert!(say(&mut lab, presence(false, 0xffff, true)).contains(&request));
    let mut requests = 0;
    for id in 1..=500 {
        let part = Body::HandleTableResponse { reject: false, more: true, entries: vec![entry(id, 300)] };
        requests += usize::from(say(&mut lab, part).contains(&request));
    }
    assert_eq!((requests, lab.table(0).len()), (49, 50));
    assert_eq!(lab.nodes[0].server.peers_counters().downloads_failed, 1);
    // With nothing in it: not one more.
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, true));
    let said = say(&mut lab, Body::HandleTableResponse { reject: false, more: true, entries: Vec::new() });
    assert!(!said.contains(&request), "{said:?}");
}

#[test]
fn table_and_list_requests_are_limited() {
    let mut lab = with(PeersConfig { requests_per_s: 10, ..PeersConfig::default() });
    say(&mut lab, presence(false, 0xffff, true));
    let (mut served, mut refused) = (0, 0);
    for n in 0..40 {
        let request = if n % 2 == 0 { Body::ListRequest } else { Body::HandleTableRequest { own: false } };
        for body in say(&mut lab, request) {
            if let Body::ListResponse { reject, .. } | Body::HandleTableResponse { reject, .. } = body {
                *(if reject { &mut refused } else { &mut served }) += 1;
            }
        }
    }
    assert_eq!((served, refused), (10, 30));
    assert_eq!(lab.nodes[0].server.peers_counters().tables_refused, 30);
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, true));
    say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: Vec::new() });
    let transport = SctpTransport {
        port: 9901,
        transport_use: TransportUse::DataOnly,
        addresses: ["10.5.5.5".parse().unwrap()].into(),
    };
    let servers = vec![ServerInformation { id: ServerId(5), transport }];
    let before = lab.nodes[0].server.peers_snapshot().len();
    for body in [
        Body::HandleTableResponse { reject: false, more: true, entries: vec![entry(1, 300)] },
        Body::HandleTableResponse { reject: true, more: false, entries: Vec::new() },
        Body::ListResponse { reject: false, servers },
        Body::ListResponse { reject: true, servers: Vec::new() },
        Body::InitTakeoverAck { target: PEER },
        Body::InitTakeoverAck { target: ME },
    ] {
        assert_eq!(say(&mut lab, body), []);
    }
    assert_eq!((lab.table(0).len(), lab.nodes[0].server.peers_snapshot().len()), (0, before));
    assert_eq!(lab.nodes[0].server.peers_counters().takeovers_won, 0);
}

/// Handles up to what fits a message beside an element, elements with 64 addresses: by update, and out again in parts of a table.
#[test]
fn long_handles_and_many_addresses() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, true));
    // It is strict: whoever may be rsplib's is told no long handle.
    let probe = ErrorCause::UnrecognizedParameter(vec![0xff, 0x03, 0, 8, 0, 0, 0, 0].into());
    say(&mut lab, Body::Error { error: probe.into() });
    say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: Vec::new() });
    let addresses: Vec<IpAddr> = (1..=64).map(|n| Ipv4Addr::new(10, 7, 0, n).into()).collect();
    let sctp =
        |port| SctpTransport { port, transport_use: TransportUse::DataOnly, addresses: addresses.as_slice().into() };
    let mut sent: Vec<Entry> = Vec::new();
    for (id, length) in [1, 2, 3, 31, 32, 33, 1_000, 30_000, 60_000, 64_000].into_iter().enumerate() {
        let mut one = entry(u32::try_from(id).unwrap() + 1, 300);
        one.handle = PoolHandle::new(vec![b'h'; length]);
        one.element.user_transport = Transport::Sctp(sctp(2905));
        one.element.asap_transport = Some(sctp(5000));
        say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: one.clone() });
        sent.push(one);
    }
    assert_eq!(lab.table(0).len(), sent.len());
    let (mut got, mut parts) = (Vec::new(), 0);
    loop {
        let said = say(&mut lab, Body::HandleTableRequest { own: false });
        let Some(Body::HandleTableResponse { reject: false, more, entries }) = said.last() else { panic!("{said:?}") };
        got.extend(entries.iter().cloned());
        parts += 1;
        if !more {
            break;
        }
    }
    assert!(parts > 2, "tables are larger than a message");
    got.sort_by_key(|entry| entry.element.id.0);
    assert_eq!(got, sent);
    // One byte more than a message holds is nobody's: it cannot be written.
    let mut huge = entry(99, 300);
    huge.handle = PoolHandle::new(vec![b'h'; 65_531]);
    let update = Body::HandleUpdate { action: UpdateAction::Add, entry: huge };
    assert!(Message { sender: PEER, receiver: ServerId(0), body: update }.encode().is_err());
}

/// What a sane peer says, one byte or more of it changed, in any order, over a few associations.
#[test]
fn mutated_messages_are_no_panic_and_bounded() {
    let transport = SctpTransport {
        port: 9901,
        transport_use: TransportUse::DataOnly,
        addresses: ["10.9.9.9".parse().unwrap()].into(),
    };
    let servers = vec![ServerInformation { id: PEER, transport }; 2];
    let bodies = [
        presence(true, 0xffff, true),
        presence(false, 0x1234, false),
        Body::HandleTableRequest { own: true },
        Body::HandleTableRequest { own: false },
        Body::HandleTableResponse { reject: false, more: true, entries: vec![entry(1, 300), entry(2, 300)] },
        Body::HandleTableResponse { reject: false, more: false, entries: vec![entry(3, 300)] },
        add(1),
        Body::HandleUpdate { action: UpdateAction::Delete, entry: entry(1, 300) },
        Body::ListRequest,
        Body::ListResponse { reject: false, servers },
        Body::InitTakeover { target: PEER },
        Body::InitTakeover { target: ME },
        Body::InitTakeoverAck { target: PEER },
        Body::TakeoverServer { target: ServerId(5) },
    ];
    let golden: Vec<Vec<u8>> = bodies
        .into_iter()
        .map(|body| Message { sender: PEER, receiver: ServerId(0), body }.encode().unwrap().to_vec())
        .collect();
    let seeds = super::seeds(20);
    for seed in 0..seeds {
        let mut lab = Lab::running(seed, 1, 5);
        let mut random = Rng::new(seed);
        for _ in 0..2_000 {
            let mut bytes = golden[random.below(golden.len() as u64) as usize].clone();
            for _ in 0..random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = if random.below(2) == 0 { random.below(256) as u8 } else { bytes[at] ^ 1 };
            }
            if random.below(10) == 0 {
                bytes.truncate(random.below(bytes.len() as u64) as usize);
            }
            let outputs = lab.inject(0, LINK + random.below(8), &bytes);
            assert!(outputs.len() < 200, "one message costs few others: {}", outputs.len());
            let pause = random.below(3);
            lab.run(ms(pause));
        }
        let server = &lab.nodes[0].server;
        assert!(server.peers_snapshot().len() <= PeersConfig::default().peers_max);
        // Two thousand messages of two elements at most.
        assert!(lab.table(0).len() <= 4_005);
        let own = lab.table(0).iter().filter(|(key, home)| key.0.as_bytes() != b"theirs" && **home == ME).count();
        assert!(own >= 5, "seed {seed}: those that are registered here stay: {own}");
        let counters = server.peers_counters();
        assert!(counters.enrp_malformed > 0 && counters.updates_in > 0, "{counters:?}");
    }
    println!("{seeds} seeds of 2,000 mutated messages");
}

/// Two servers with one identifier never become peers; both go on.
#[test]
fn equal_identifiers_are_no_peers() {
    let mut lab = Lab::new(1, PeersConfig::default());
    for _ in 0..2 {
        lab.add_server(ME, 2);
    }
    lab.run(ms(3_000));
    for node in &lab.nodes {
        let counters = node.server.peers_counters();
        assert!(node.server.is_ready() && node.server.peers_snapshot().is_empty());
        assert!((1..=40).contains(&counters.enrp_bad_sender), "counted, and not in a loop: {counters:?}");
    }
}

/// "Server killed, three servers, 10,000 PEs": the time until it is found dead and until it is decided who has them.
#[test]
fn a_dead_server_with_ten_thousand_elements_is_found_and_taken_over_in_time() {
    let mut lab = Lab::running(1, 3, 0);
    for n in 0..10_000 {
        lab.add_pe(n % 3);
    }
    lab.run(ms(20));
    lab.run(ms(20));
    for pe in &mut lab.pes {
        pe.up = false;
    }
    assert_eq!((lab.table(0).len(), lab.table(2).len()), (10_000, 10_000));
    let (from, dead) = (lab.now, lab.nodes[1].server.id());
    lab.crash(1, false);
    lab.run(ms(700));
    let found = [0, 2].iter().filter_map(|&n| lab.seen(n, from, |e| *e == Event::PeerDead { server: dead })).min();
    let decided = |n| lab.seen(n, from, |e| matches!(e, Event::TakenOver { pes: 3_333, .. })).expect("decided");
    let (found, decided) = (found.expect("found"), decided(0).max(decided(2)));
    println!("10,000 PEs, a silent server: detected {found:?}, decided {:?} later", decided - found);
    assert!(found < ms(500) && decided - found < ms(200), "{found:?} {decided:?}");
}

#[test]
fn an_unknown_parameter_is_reported_and_the_message_taken() {
    // Type bits 11: skip and report.
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, true));
    let mut bytes = Message { sender: PEER, receiver: ServerId(0), body: Body::ListRequest }.encode().unwrap().to_vec();
    bytes.extend([0xc7, 0x77, 0, 8, 1, 2, 3, 4]);
    bytes[3] += 8;
    let said = told(lab.inject(0, LINK, &bytes));
    assert!(said.iter().any(|body| matches!(body, Body::Error { .. })), "{said:?}");
    assert!(said.iter().any(|body| matches!(body, Body::ListResponse { reject: false, .. })), "{said:?}");
}
