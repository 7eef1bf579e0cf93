//! Sentences of RFC 5353 that other tests here do not show, message by message.

use super::foreign::{LINK, PEER, alone, entry, presence, say, told, wait};
use super::lab::Lab;
use asap::wire::{self, Limits, PeId, Policy, ServerId, ServerInformation};
use enrp::wire::{Body, Entry, Message, UpdateAction};
use enrp::{ClientId, Output, PeersConfig};
use std::net::SocketAddr;

const ME: ServerId = ServerId(100);
const CLIENT: ClientId = ClientId(7);

/// What server 0 says to the peer when a PE at this client sends a message.
fn pe_says(lab: &mut Lab, message: &wire::Message) -> Vec<Message> {
    let source: SocketAddr = "10.9.9.9:5000".parse().unwrap();
    let server = &mut lab.nodes[0].server;
    server.handle_message(lab.now, CLIENT, &[source], &message.encode().unwrap());
    let outputs = std::iter::from_fn(|| server.poll_output());
    let enrp = outputs.filter_map(|output| match output {
        Output::Enrp { bytes, .. } => Some(Message::decode(&bytes, &Limits::default()).unwrap().message),
        Output::Asap { .. } | Output::Connect { .. } | Output::Close { .. } | Output::Multicast { .. } => None,
    });
    enrp.filter(|message| !matches!(message.body, Body::Presence(_))).collect()
}

/// Sections 3.3.1 and 3.3.2.
#[test]
fn registrations_and_deregistrations_are_announced_to_nobody_in_particular() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    let Entry { handle, mut element, .. } = entry(1, 300);
    element.asap_transport = None;
    let registration = wire::Message::Registration { handle: handle.clone(), element };
    let deregistration = wire::Message::Deregistration { handle: handle.clone(), pe_id: PeId(1) };
    for (message, expected) in [
        (&registration, UpdateAction::Add),
        (&registration, UpdateAction::Add),
        (&deregistration, UpdateAction::Delete),
    ] {
        let said = pe_says(&mut lab, message);
        let [Message { sender: ME, receiver: ServerId(0), body: Body::HandleUpdate { action, entry } }] = &said[..]
        else {
            panic!("{said:?}")
        };
        assert_eq!((*action, &entry.handle, entry.element.id, entry.element.home), (expected, &handle, PeId(1), ME));
        assert!(entry.element.asap_transport.is_some(), "the complete information");
        assert_eq!(entry.claim, None, "a strict peer gets nothing of ours");
    }
}

/// Sections 3.2.2.2 and 3.2.3: list, then the whole table, part by part; then ready.
#[test]
fn a_starting_server_takes_list_and_table_from_its_mentor() {
    let mut lab = Lab::new(1, PeersConfig::default());
    lab.add_server(ME, 8);
    assert!(!lab.nodes[0].server.is_ready());
    // As long as it starts it serves nobody (R bit, nothing else).
    let refused = Body::ListResponse { reject: true, servers: Vec::new() };
    let said = say(&mut lab, Body::ListRequest);
    assert!(said.contains(&refused), "{said:?}");
    let refused = Body::HandleTableResponse { reject: true, more: false, entries: Vec::new() };
    assert!(say(&mut lab, Body::HandleTableRequest { own: false }).contains(&refused));
    // A mentor that refuses is asked again.
    assert!(say(&mut lab, presence(false, 0xffff, true)).contains(&Body::ListRequest));
    say(&mut lab, Body::ListResponse { reject: true, servers: Vec::new() });
    let mut said = wait(&mut lab, 250);
    said.extend(say(&mut lab, presence(false, 0xffff, true)));
    assert_eq!(said.iter().filter(|body| **body == Body::ListRequest).count(), 1, "{said:?}");
    let transport = wire::SctpTransport {
        port: 9901,
        transport_use: wire::TransportUse::DataOnly,
        addresses: ["10.9.9.5".parse().unwrap()].into(),
    };
    let servers = vec![ServerInformation { id: ServerId(5), transport }];
    let whole = Body::HandleTableRequest { own: false };
    assert!(say(&mut lab, Body::ListResponse { reject: false, servers }).contains(&whole));
    assert_eq!(lab.nodes[0].server.peers_snapshot().len(), 2, "the list is the peer list");
    let part = |more, id| Body::HandleTableResponse { reject: false, more, entries: vec![entry(id, 300)] };
    assert!(say(&mut lab, part(true, 1)).contains(&whole), "M: once more");
    assert!(!lab.nodes[0].server.is_ready());
    say(&mut lab, part(false, 2));
    assert!(lab.nodes[0].server.is_ready());
    assert_eq!(lab.table(0).len(), 2);
}

/// Section 3.3.1: the pool has the policy of its first element; 3.3.2: the last one takes the pool with it.
#[test]
fn pools_come_and_go_with_their_elements() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, true));
    let update = |action, policy| {
        let mut entry = entry(1, 300);
        entry.element.policy = policy;
        Body::HandleUpdate { action, entry }
    };
    let policy = |lab: &Lab| {
        lab.nodes[0].server.handlespace().element(&"theirs".into(), PeId(1)).map(|e| e.registered().policy.clone())
    };
    for chosen in [Policy::RoundRobin, Policy::LeastUsed { load: 3 }] {
        say(&mut lab, update(UpdateAction::Add, chosen.clone()));
        assert_eq!(policy(&lab), Some(chosen.clone()));
        say(&mut lab, update(UpdateAction::Delete, chosen));
        assert_eq!(policy(&lab), None);
        // What is not there is not removed again, and nothing is said.
        assert_eq!(say(&mut lab, update(UpdateAction::Delete, Policy::RoundRobin)), []);
    }
    // Rule 3: attributes are replaced.
    for load in [1, 2] {
        say(&mut lab, update(UpdateAction::Add, Policy::LeastUsed { load }));
        assert_eq!(policy(&lab), Some(Policy::LeastUsed { load }));
    }
}

/// Section 2.4: the reserved field is sent as zeros and not looked at.
#[test]
fn the_reserved_field_of_an_update() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, true));
    let body = Body::HandleUpdate { action: UpdateAction::Add, entry: entry(1, 300) };
    let mut bytes = Message { sender: PEER, receiver: ServerId(0), body }.encode().unwrap().to_vec();
    assert_eq!(bytes[14..16], [0, 0]);
    bytes[14..16].copy_from_slice(&[0xab, 0xcd]);
    lab.inject(0, LINK, &bytes);
    assert_eq!(lab.table(0).len(), 1);
    // Actions that are reserved do nothing.
    bytes[13] = 9;
    let said = told(lab.inject(0, LINK, &bytes));
    assert!(said.iter().any(|body| matches!(body, Body::Error { .. })), "{said:?}");
}

/// Sections 3.4.2 and 3.4.3.
#[test]
fn presence_to_all_and_a_question_to_the_silent() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    say(&mut lab, Body::HandleTableResponse { reject: false, more: false, entries: vec![entry(1, 300)] });
    let presences = |said: &[Body], asking| {
        said.iter().filter(|body| matches!(body, Body::Presence(p) if p.reply == asking)).count()
    };
    let said = wait(&mut lab, 240);
    assert!((2..=3).contains(&presences(&said, false)), "{said:?}");
    assert_eq!(presences(&said, true), 0);
    let said = wait(&mut lab, 20);
    assert_eq!(presences(&said, true), 1, "250 ms: it is asked");
    // Any message counts.
    say(&mut lab, Body::ListRequest);
    assert_eq!(presences(&wait(&mut lab, 240), true), 0);
    let said = wait(&mut lab, 200);
    assert_eq!(presences(&said, true), 1);
    assert!(said.contains(&Body::InitTakeover { target: PEER }), "150 ms more: dead");
}

/// Section 3.3.2: a PE that cannot reach its home and deregisters elsewhere is gone everywhere. The server it told becomes its home first, as
/// only a home's word removes it at the others.
#[test]
fn a_deregistration_at_another_server_holds() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    let known = entry(1, 300);
    say(&mut lab, Body::HandleUpdate { action: UpdateAction::Add, entry: known.clone() });
    let deregistration = wire::Message::Deregistration { handle: known.handle.clone(), pe_id: PeId(1) };
    let said = pe_says(&mut lab, &deregistration);
    let home = |message: &Message| {
        let Message { body: Body::HandleUpdate { action, entry }, .. } = message else { return None };
        Some((*action, entry.element.home))
    };
    let told: Vec<_> = said.iter().filter_map(home).collect();
    assert_eq!(told, [(UpdateAction::Add, ME), (UpdateAction::Delete, ME)]);
    assert_eq!(lab.nodes[0].server.handlespace().element_count(), 0);
}
