//! Peers that are not of this project: strict ones, rsplib's, wrong and hostile ones, spoken to message by message.

use super::lab::{Lab, ms};
use asap::wire::{
    ErrorCause, Limits, PeId, Policy, PoolElement, RegistrationLife, SctpTransport, ServerId, ServerInformation,
    Transport, TransportUse,
};
use enrp::wire::{Body, Entry, Message, Presence, UpdateAction};
use enrp::{ClientId, Output, PeersConfig};

pub(crate) const PEER: ServerId = ServerId(0x7777);
pub(crate) const LINK: u64 = 1 << 40;

fn transport(port: u16) -> SctpTransport {
    SctpTransport { port, transport_use: TransportUse::DataOnly, addresses: ["10.9.9.9".parse().unwrap()].into() }
}

pub(crate) fn presence(reply: bool, checksum: u16, server: bool) -> Body {
    let server = server.then(|| ServerInformation { id: PEER, transport: transport(9901) });
    Body::Presence(Presence { reply, checksum, extensions: None, probe: false, server })
}

pub(crate) fn entry(id: u32, life: u32) -> Entry {
    let element = PoolElement {
        id: PeId(id),
        home: PEER,
        life: RegistrationLife::Seconds(life),
        user_transport: Transport::Sctp(transport(2905)),
        policy: Policy::RoundRobin,
        asap_transport: Some(transport(5000)),
    };
    Entry { handle: "theirs".into(), element, claim: None }
}

/// Says something to server 0 as the peer; what it answers over that association.
pub(crate) fn say(lab: &mut Lab, body: Body) -> Vec<Body> {
    let bytes = Message { sender: PEER, receiver: ServerId(0), body }.encode().unwrap();
    let outputs = lab.inject(0, LINK, &bytes);
    told(outputs)
}

pub(crate) fn told(outputs: Vec<Output>) -> Vec<Body> {
    outputs
        .into_iter()
        .filter_map(|output| {
            let Output::Enrp { client: ClientId(LINK), bytes } = output else { return None };
            let limits = Limits { max_handle: 65_531, max_addresses: 64, ..Limits::default() };
            let message = Message::decode(&bytes, &limits).unwrap().message;
            assert_eq!(message.sender, ServerId(100));
            Some(message.body)
        })
        .collect()
}

/// Lets time pass on server 0 alone; what it says to the peer.
pub(crate) fn wait(lab: &mut Lab, milliseconds: u64) -> Vec<Body> {
    let end = lab.now + ms(milliseconds);
    let mut said = Vec::new();
    while let Some(at) = lab.nodes[0].server.poll_timeout().filter(|&at| at <= end) {
        lab.now = lab.now.max(at);
        lab.nodes[0].server.handle_timeout(lab.now);
        let outputs = std::iter::from_fn(|| lab.nodes[0].server.poll_output()).collect();
        said.extend(told(outputs));
    }
    lab.now = end;
    said
}

pub(crate) fn alone() -> Lab {
    Lab::running(1, 1, 0)
}

fn kind(lab: &Lab) -> &'static str {
    lab.nodes[0].server.peers_snapshot()[0].kind
}

#[test]
fn any_message_of_an_unknown_server_is_answered_with_the_question_who_it_is() {
    let mut lab = alone();
    let said = say(&mut lab, Body::ListRequest);
    let [Body::Presence(question), Body::ListResponse { reject: false, servers }] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(question.reply && question.probe && question.server.is_some());
    assert_eq!(servers.len(), 1, "itself");
    // The reply to R has the server information; the heartbeat goes to all, with the checksum of what is owned.
    let said = say(&mut lab, presence(true, 0xffff, false));
    let is_answer = |body: &Body| matches!(body, Body::Presence(p) if !p.reply && p.server.as_ref().is_some_and(|s| s.id == ServerId(100)) && p.checksum == 0xffff);
    assert!(said.iter().any(is_answer), "{said:?}");
    // The whole table of a new peer is wanted, whatever its checksum.
    assert!(said.contains(&Body::HandleTableRequest { own: true }));
}

#[test]
fn a_strict_peer_is_served_as_the_rfc_says() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    let probe = [0xff, 0x03, 0, 8, 0, 0, 0, 0];
    let cause = ErrorCause::UnrecognizedParameter(probe.to_vec().into());
    say(&mut lab, Body::Error { error: cause.into() });
    for _ in 0..5 {
        say(&mut lab, presence(false, 0xffff, true));
    }
    assert_eq!(kind(&lab), "other");
    // Updates: rules 1 to 3 of section 3.3.1, and removal.
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: entry(1, 300) });
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: entry(2, 300) });
    assert_eq!(lab.table(0).len(), 2);
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Delete, entry: entry(2, 300) });
    assert_eq!(lab.table(0).len(), 1);
    // Its life is in seconds.
    let space = lab.nodes[0].server.handlespace();
    let life = space.element(&"theirs".into(), PeId(1)).unwrap().registered().life;
    assert_eq!(life, RegistrationLife::Seconds(300));
    // ENRP_INIT_TAKEOVER for a server that was never heard of: acknowledged.
    let said = say(&mut lab, Body::InitTakeover { target: ServerId(5) });
    assert_eq!(said, [Body::InitTakeoverAck { target: ServerId(5) }]);
    // For ourselves: presence to all.
    let said = say(&mut lab, Body::InitTakeover { target: ServerId(100) });
    assert!(matches!(&said[..], [Body::Presence(p)] if !p.reply), "{said:?}");
}

#[test]
fn rsplib_is_recognised_and_spoken_to_in_its_way() {
    let mut lab = alone();
    say(&mut lab, presence(true, 0xffff, true));
    assert_eq!(kind(&lab), "other", "not yet");
    say(&mut lab, presence(false, 0xffff, true));
    say(&mut lab, presence(false, 0xffff, true));
    assert_eq!(kind(&lab), "rsplib");
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: entry(1, 90_000) });
    let space = lab.nodes[0].server.handlespace();
    let life = space.element(&"theirs".into(), PeId(1)).unwrap().registered().life;
    assert_eq!(life, RegistrationLife::Seconds(90), "milliseconds on its wire");
    // And in a table it is told milliseconds again, and no claims.
    let said = say(&mut lab, Body::HandleTableRequest { own: false });
    let [Body::HandleTableResponse { entries, .. }] = &said[..] else { panic!("{said:?}") };
    assert_eq!((entries[0].element.life, entries[0].claim), (RegistrationLife::Seconds(90_000), None));
    // Every presence has the server information.
    let said = wait(&mut lab, 200);
    assert!(said.iter().all(|body| matches!(body, Body::Presence(p) if p.server.is_some())), "{said:?}");
}

#[test]
fn what_rsplib_told_before_it_was_recognised_is_asked_again() {
    let mut lab = alone();
    let said = say(&mut lab, presence(true, 0xffff, true));
    assert!(said.contains(&Body::HandleTableRequest { own: true }), "{said:?}");
    say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: vec![entry(1, 90_000)] });
    let life =
        |lab: &Lab| lab.nodes[0].server.handlespace().element(&"theirs".into(), PeId(1)).unwrap().registered().life;
    assert_eq!(life(&lab), RegistrationLife::Seconds(90_000));
    let said = say(&mut lab, presence(false, 0xffff, true));
    assert!(said.contains(&Body::HandleTableRequest { own: true }), "{said:?}");
    say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: vec![entry(1, 90_000)] });
    assert_eq!(life(&lab), RegistrationLife::Seconds(90));
}

/// rsplib complains with the identifier of the one it complains to.
#[test]
fn an_error_in_our_name_does_not_end_the_association() {
    let mut lab = alone();
    let inject = |lab: &mut Lab, body: Body| {
        let bytes = Message { sender: ServerId(100), receiver: ServerId(0), body }.encode().unwrap();
        lab.inject(0, LINK, &bytes)
    };
    let error = Body::Error { error: ErrorCause::Unspecified.into() };
    assert_eq!(inject(&mut lab, error), []);
    let counters = lab.nodes[0].server.peers_counters();
    assert_eq!((counters.enrp_errors_in, counters.enrp_bad_sender), (1, 1));
    // Anything else in our name does.
    assert_eq!(inject(&mut lab, Body::ListRequest), [Output::Close { client: ClientId(LINK) }]);
}

/// rsplib takes nobody whose association does not come from the port in the server information.
#[test]
fn where_nobody_answers_the_next_association_comes_from_our_port() {
    let mut lab = alone();
    let bytes = Message { sender: PEER, receiver: ServerId(0), body: presence(false, 0xffff, true) }.encode().unwrap();
    lab.nodes[0].server.handle_multicast(lab.now, enrp::Multicast::Enrp, "10.9.9.8:9901".parse().unwrap(), &bytes);
    let next = |lab: &mut Lab| loop {
        let outputs: Vec<_> = std::iter::from_fn(|| lab.nodes[0].server.poll_output()).collect();
        if let [Output::Connect { attempt, local_port, .. }] = outputs[..] {
            return (attempt, local_port);
        }
        lab.now = lab.nodes[0].server.poll_timeout().unwrap();
        lab.nodes[0].server.handle_timeout(lab.now);
    };
    for (link, expected) in [(LINK + 1, None), (LINK + 2, Some(9901)), (LINK + 3, None), (LINK + 4, Some(9901))] {
        let (attempt, local_port) = next(&mut lab);
        assert_eq!(local_port, expected);
        lab.nodes[0].server.connected(lab.now, attempt, ClientId(link), &[]);
        while lab.nodes[0].server.poll_output().is_some_and(|output| matches!(output, Output::Enrp { .. })) {}
        // Nobody says anything: it is closed.
        let begin = lab.now;
        let closed = loop {
            lab.now = lab.nodes[0].server.poll_timeout().unwrap();
            lab.nodes[0].server.handle_timeout(lab.now);
            if let Some(Output::Close { client }) = lab.nodes[0].server.poll_output() {
                break client;
            }
        };
        assert_eq!(closed, ClientId(link));
        assert!(lab.now - begin <= ms(1_200), "{:?}", lab.now - begin);
    }
    assert_eq!(lab.nodes[0].server.peers_counters().peers_unanswered, 4);
    // The way it was answered stays.
    let (attempt, _) = next(&mut lab);
    lab.nodes[0].server.connected(lab.now, attempt, ClientId(LINK), &[]);
    lab.inject(0, LINK, &bytes);
    wait(&mut lab, 200);
    assert_eq!(lab.nodes[0].server.peers_snapshot()[0].associations, 1);
}

/// "A peer with a broken checksum costs one audit per interval, not an endless loop."
#[test]
fn a_checksum_that_never_fits_costs_one_download_an_interval() {
    let mut lab = alone();
    let mut downloads = 0;
    for _ in 0..100 {
        let mut said = say(&mut lab, presence(false, 0x1234, true));
        said.extend(wait(&mut lab, 50));
        for request in said.iter().filter(|body| **body == (Body::HandleTableRequest { own: true })) {
            assert!(matches!(request, Body::HandleTableRequest { .. }));
            downloads += 1;
            say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: vec![entry(1, 300)] });
        }
    }
    // 5 s, one a second.
    assert!((4..=6).contains(&downloads), "{downloads}");
    assert_eq!(lab.table(0).len(), 1);
}

#[test]
fn what_a_table_does_not_list_is_removed_after_its_last_part() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: Vec::new() });
    for id in 1..=3 {
        say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: entry(id, 300) });
    }
    let mut said = Vec::new();
    for _ in 0..15 {
        wait(&mut lab, 50);
        say(&mut lab, presence(false, 0xffff, false));
    }
    while !said.contains(&(Body::HandleTableRequest { own: true })) {
        said = say(&mut lab, presence(false, 0x4321, false));
        wait(&mut lab, 50);
    }
    let part = |more, ids: &[u32]| Body::HandleTableResponse {
        reject: false,
        more,
        entries: ids.iter().map(|&id| entry(id, 300)).collect(),
    };
    let said = say(&mut lab, part(true, &[4]));
    assert!(said.contains(&(Body::HandleTableRequest { own: true })), "{said:?}");
    assert_eq!(lab.table(0).len(), 4, "nothing is removed before the end");
    say(&mut lab, part(false, &[2]));
    let left: Vec<u32> = lab.table(0).into_keys().map(|(_, id)| id.0).collect();
    assert_eq!(left, [2, 4]);
}

#[test]
fn its_dead_server_is_taken_over_and_its_takeovers_are_believed() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, true));
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: entry(1, 300) });
    // Another server's element, told by nobody who owns it; then that one is taken over by the peer.
    let mut third = entry(9, 300);
    third.element.home = ServerId(5);
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: third });
    assert_eq!(lab.nodes[0].server.peers_snapshot().len(), 2, "its owner is a peer");
    say(&mut lab, Body::TakeoverServer { target: ServerId(5) });
    assert_eq!(lab.table(0).values().copied().collect::<Vec<_>>(), [PEER; 2]);
    let said = wait(&mut lab, 700);
    assert!(said.contains(&Body::InitTakeover { target: PEER }), "{said:?}");
    assert_eq!(lab.table(0).values().copied().collect::<Vec<_>>(), [ServerId(100); 2], "alone, so at once");
}

/// Says something as a server of this identifier, over an association of its own.
pub(crate) fn say_as(lab: &mut Lab, id: u32, body: Body) -> Vec<Body> {
    let message = Message { sender: ServerId(id), receiver: ServerId(0), body };
    let client = ClientId(LINK + u64::from(id));
    let outputs = lab.inject(0, client.0, &message.encode().unwrap());
    let own = |output| match output {
        Output::Enrp { client: to, bytes } if to == client => Some(bytes),
        Output::Enrp { .. }
        | Output::Asap { .. }
        | Output::Connect { .. }
        | Output::Close { .. }
        | Output::Multicast { .. } => None,
    };
    outputs.into_iter().filter_map(own).map(|b| Message::decode(&b, &Limits::default()).unwrap().message.body).collect()
}

/// A server that is about to take over 0x7777, while 50 and 150 (itself is 100) are there.
fn arbitrating() -> Lab {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: entry(1, 300) });
    let mut said = Vec::new();
    while !said.contains(&Body::InitTakeover { target: PEER }) {
        for id in [50, 150] {
            say_as(&mut lab, id, presence(false, 0xffff, false));
        }
        said = wait(&mut lab, 20);
    }
    lab
}

/// RFC 5353 section 3.5.1: rule 2 of what a peer does, and who wins.
#[test]
fn arbitration_by_identifier() {
    let target = PEER;
    let acknowledged = |said: &[Body]| said.contains(&Body::InitTakeoverAck { target });
    let mut lab = arbitrating();
    assert!(!acknowledged(&say_as(&mut lab, 50, Body::InitTakeover { target })), "smaller: ignored");
    assert!(acknowledged(&say_as(&mut lab, 150, Body::InitTakeover { target })), "larger: ours is aborted");
    assert_eq!(lab.nodes[0].server.peers_snapshot()[2].status, "yielded");
    // Both acknowledged: won.
    let mut lab = arbitrating();
    say_as(&mut lab, 50, Body::InitTakeoverAck { target });
    assert_eq!(lab.table(0).into_values().next(), Some(PEER), "one is missing");
    let said = say_as(&mut lab, 150, Body::InitTakeoverAck { target });
    assert!(said.contains(&Body::TakeoverServer { target }), "{said:?}");
    assert_eq!(lab.table(0).into_values().next(), Some(ServerId(100)));
    // The target lives: over.
    let mut lab = arbitrating();
    say(&mut lab, presence(false, 0xffff, false));
    say_as(&mut lab, 50, Body::InitTakeoverAck { target });
    say_as(&mut lab, 150, Body::InitTakeoverAck { target });
    assert_eq!(lab.table(0).into_values().next(), Some(PEER));
    assert_eq!(lab.nodes[0].server.peers_snapshot()[2].status, "active");
}

#[test]
fn wrong_messages_are_counted() {
    let mut lab = alone();
    let own = Message { sender: ServerId(100), receiver: ServerId(0), body: presence(true, 0, false) };
    let outputs = lab.inject(0, LINK, &own.encode().unwrap());
    assert_eq!(outputs, [Output::Close { client: ClientId(LINK) }], "our identifier, not us");
    let nobody = Message { sender: ServerId(0), ..own.clone() };
    lab.inject(0, LINK + 1, &nobody.encode().unwrap());
    let other = Message { sender: PEER, receiver: ServerId(3), body: presence(true, 0, false) };
    assert!(lab.inject(0, LINK + 2, &other.encode().unwrap()).is_empty());
    assert!(lab.inject(0, LINK + 3, b"garbage").is_empty());
    let reported = [0x4b, 0, 0, 8, 0, 0, 0, 9];
    let outputs = lab.inject(0, LINK + 3, &reported);
    let [Output::Enrp { bytes, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    let Body::Error { error } = Message::decode(bytes, &Limits::default()).unwrap().message.body else { panic!() };
    assert_eq!(error.causes, [ErrorCause::UnrecognizedMessage(reported.to_vec().into())]);
    let counters = lab.nodes[0].server.peers_counters();
    assert_eq!((counters.enrp_bad_sender, counters.enrp_misdirected, counters.enrp_malformed), (2, 1, 2));
    assert!(lab.nodes[0].server.peers_snapshot().is_empty());
}

/// What a datagram says is only where a server is; the connection tells whether.
#[test]
fn a_server_heard_over_multicast_is_connected_to() {
    let mut lab = alone();
    let mut body = presence(false, 0xffff, true);
    let Body::Presence(Presence { server: Some(information), .. }) = &mut body else { panic!() };
    information.transport.addresses = ["10.9.9.7".parse().unwrap()].into();
    let bytes = Message { sender: PEER, receiver: ServerId(0), body }.encode().unwrap();
    let source = "10.9.9.8:9901".parse().unwrap();
    for _ in 0..2 {
        lab.nodes[0].server.handle_multicast(lab.now, enrp::Multicast::Enrp, source, &bytes);
        lab.nodes[0].server.handle_timeout(lab.now);
    }
    let outputs: Vec<_> = std::iter::from_fn(|| lab.nodes[0].server.poll_output()).collect();
    let [Output::Connect { attempt, to, local_port: None }] = &outputs[..] else { panic!("{outputs:?}") };
    let listed: std::net::IpAddr = "10.9.9.7".parse().unwrap();
    assert_eq!((to.port, &to.addresses[..]), (9901, &[source.ip(), listed][..]), "where it was heard first");
    assert!(lab.nodes[0].server.peers_snapshot().is_empty());
    lab.nodes[0].server.connected(lab.now, *attempt, ClientId(LINK), &[]);
    let outputs = std::iter::from_fn(|| lab.nodes[0].server.poll_output()).collect();
    assert!(matches!(&told(outputs)[..], [Body::Presence(p)] if p.reply), "who is there?");
}

#[test]
fn an_announcing_server_says_where_it_is() {
    let mut lab = Lab::new(1, PeersConfig { announce: true, ..PeersConfig::default() });
    lab.add_server(ServerId(100), 0);
    lab.nodes[0].server.handle_timeout(lab.now);
    let outputs: Vec<_> = std::iter::from_fn(|| lab.nodes[0].server.poll_output()).collect();
    let [Output::Multicast { group: enrp::Multicast::Enrp, bytes }] = &outputs[..] else { panic!("{outputs:?}") };
    let message = Message::decode(bytes, &Limits::default()).unwrap().message;
    assert!(matches!(message.body, Body::Presence(Presence { server: Some(s), .. }) if s.id == ServerId(100)));
}

#[test]
fn too_many_servers_are_refused() {
    let mut lab = alone();
    for n in 0..200_u32 {
        let message = Message { sender: ServerId(10_000 + n), receiver: ServerId(0), body: Body::ListRequest };
        lab.inject(0, LINK + u64::from(n), &message.encode().unwrap());
    }
    assert_eq!(lab.nodes[0].server.peers_snapshot().len(), 64);
    assert_eq!(lab.nodes[0].server.peers_counters().peers_refused, 136);
}
