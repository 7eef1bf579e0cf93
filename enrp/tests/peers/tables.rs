//! Tables and updates that do not come as they should, message by message.

use super::foreign::{LINK, PEER, alone, entry, presence, say, say_as, wait};
use super::lab::{Lab, Who, ms};
use asap::wire::{self, ErrorCause, PeId, Policy, PoolElement, RegistrationLife, ServerId};
use enrp::wire::{Body, Entry, Message, Presence, UpdateAction};
use enrp::{ClientId, Event, Output, RemovalCause};

const OWN: Body = Body::HandleTableRequest { own: true };

fn part(more: bool, ids: &[u32]) -> Body {
    Body::HandleTableResponse { reject: false, more, entries: ids.iter().map(|&id| entry(id, 300)).collect() }
}

fn ids(lab: &Lab) -> Vec<u32> {
    lab.table(0).into_keys().map(|(_, id)| id.0).collect()
}

/// Presences with a checksum that does not fit, until the table is asked for.
fn until_asked(lab: &mut Lab) {
    for _ in 0..60 {
        let mut said = say(lab, presence(false, 0x4321, true));
        said.extend(wait(lab, 50));
        if said.contains(&OWN) {
            return;
        }
    }
    panic!("not asked for its table");
}

/// The peer goes on in its table after a part that came too late for us.
#[test]
fn a_download_that_may_go_on_in_the_middle_removes_nothing() {
    let mut lab = alone();
    assert!(say(&mut lab, presence(false, 0x4321, true)).contains(&OWN));
    assert!(say(&mut lab, part(true, &[1, 2])).contains(&OWN));
    wait(&mut lab, 160);
    assert_eq!(lab.nodes[0].server.peers_counters().downloads_failed, 1);
    until_asked(&mut lab);
    say(&mut lab, part(false, &[3]));
    assert_eq!(ids(&lab), [1, 2, 3]);
    // The next one begins at the start: what it has not is gone.
    until_asked(&mut lab);
    say(&mut lab, part(false, &[2, 3]));
    assert_eq!(ids(&lab), [2, 3]);
    assert_eq!(lab.nodes[0].server.peers_counters().downloads_in_doubt, 1);
}

fn add(entry: Entry) -> Body {
    Body::HandleUpdate { action: UpdateAction::Add, entry }
}

/// Two servers of this project claim an element before they have met: a third one believes the higher claim, whoever speaks last.
#[test]
fn a_lower_claim_is_not_believed_by_a_third_server() {
    let mut lab = alone();
    for id in [0x11, 0x22] {
        let ours = Presence { reply: false, checksum: 0xffff, extensions: Some(1), probe: false, server: None };
        say_as(&mut lab, id, Body::Presence(ours));
    }
    let told = |home, claim| {
        let mut entry = entry(1, 300);
        entry.element.home = ServerId(home);
        add(Entry { claim, ..entry })
    };
    let owner = |lab: &Lab| lab.table(0).into_values().next().unwrap();
    say_as(&mut lab, 0x11, told(0x11, Some(3)));
    say_as(&mut lab, 0x22, told(0x22, Some(2)));
    assert_eq!(owner(&lab), ServerId(0x11), "lower");
    // Its owner is believed whatever it says, a higher claim too.
    say_as(&mut lab, 0x11, told(0x11, Some(1)));
    say_as(&mut lab, 0x22, told(0x22, Some(2)));
    assert_eq!(owner(&lab), ServerId(0x22));
    // Without claims: the RFC's rule 3.
    say(&mut lab, add(entry(1, 300)));
    assert_eq!(owner(&lab), PEER);
}

/// Where there is no room for their server nobody would watch them.
#[test]
fn elements_of_a_server_there_is_no_room_for_are_not_taken() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    for id in 1..=70 {
        let mut entry = entry(id, 300);
        entry.element.home = ServerId(0x9000 + id);
        say(&mut lab, add(entry));
    }
    assert_eq!(lab.nodes[0].server.peers_snapshot().len(), 64);
    assert_eq!(lab.table(0).len(), 63, "each has a peer that is watched");
    assert_eq!(lab.nodes[0].server.peers_counters().elements_unwatched, 7);
}

/// A strict peer that tells where it is before it reports the probe looks like rsplib's until then.
#[test]
fn what_a_strict_peer_told_while_taken_for_rsplib_is_asked_again() {
    let mut lab = alone();
    say(&mut lab, presence(true, 0xffff, true));
    say(&mut lab, part(false, &[]));
    let said = say(&mut lab, presence(false, 0xffff, true));
    assert!(said.contains(&OWN), "{said:?}");
    say(&mut lab, part(false, &[1]));
    let life =
        |lab: &Lab| lab.nodes[0].server.handlespace().element(&"theirs".into(), PeId(1)).unwrap().registered().life;
    assert_eq!(life(&lab), RegistrationLife::Seconds(1), "300, taken for milliseconds");
    let probe = [0xff, 0x03, 0, 8, 0, 0, 0, 0];
    let cause = ErrorCause::UnrecognizedParameter(probe.to_vec().into());
    say(&mut lab, Body::Error { error: cause.into() });
    // At once, even if the checksum fits.
    let agrees = lab.nodes[0].server.handlespace().checksum(PEER).value();
    let said = say(&mut lab, presence(false, agrees, true));
    assert!(said.contains(&OWN), "{said:?}");
    say(&mut lab, part(false, &[1]));
    assert_eq!(life(&lab), RegistrationLife::Seconds(300));
}

/// RFC 5353 section 3.5.1, without a multiplication: a message of one peer was one to each of all.
#[test]
fn who_says_that_we_are_dead_is_told_and_all_only_now_and_then() {
    let mut lab = alone();
    say_as(&mut lab, 0x11, presence(false, 0xffff, false));
    say(&mut lab, presence(false, 0xffff, false));
    let me = || Body::InitTakeover { target: ServerId(100) };
    let before = lab.nodes[0].server.peers_counters().enrp_out;
    for _ in 0..40 {
        let said = say(&mut lab, me());
        assert!(matches!(&said[..], [Body::Presence(it)] if !it.reply), "{said:?}");
    }
    assert_eq!(lab.nodes[0].server.peers_counters().enrp_out - before, 41, "40 to it, one to the other");
    lab.now += ms(50);
    let before = lab.nodes[0].server.peers_counters().enrp_out;
    say(&mut lab, me());
    assert_eq!(lab.nodes[0].server.peers_counters().enrp_out - before, 2);
}

/// A PE registers with server `n` over an association of the lab's outside; the outputs.
fn register(lab: &mut Lab, n: usize, id: u32, policy: Policy) -> Vec<Output> {
    let Entry { handle, element, .. } = entry(id, 300);
    let element = PoolElement { policy, asap_transport: None, ..element };
    let message = wire::Message::Registration { handle, element }.encode().unwrap();
    let (client, source) = (ClientId(LINK + 500 + u64::from(id)), "10.9.9.9:5000".parse().unwrap());
    lab.nodes[n].server.handle_message(lab.now, client, &[source], &message);
    std::iter::from_fn(|| lab.nodes[n].server.poll_output()).collect()
}

fn asap(outputs: &[Output]) -> Vec<wire::Message> {
    let of = |output: &Output| match output {
        Output::Asap { bytes, .. } => Some(wire::Message::decode(bytes, &wire::Limits::default()).unwrap().message),
        Output::Enrp { .. } | Output::Connect { .. } | Output::Close { .. } | Output::Multicast { .. } => None,
    };
    outputs.iter().filter_map(of).collect()
}

/// RFC 5353 section 3.2.3 and 3.3.1 say to add; the pool can have one policy only (RFC 5352 section 3.1).
#[test]
fn of_two_kinds_of_a_pool_the_lower_one_holds() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    say(&mut lab, part(false, &[]));
    register(&mut lab, 0, 1, Policy::Random);
    while lab.nodes[0].server.poll_event().is_some() {}
    // A higher one: refused, nothing happens to ours.
    let mut higher = entry(2, 300);
    higher.element.policy = Policy::WeightedRandom { weight: 1 };
    say(&mut lab, add(higher));
    assert_eq!(ids(&lab), [1]);
    assert_eq!(lab.nodes[0].server.peers_counters().elements_refused, 1);
    // A lower one, Round Robin: ours goes, its PE and the peers are told.
    let bytes = Message { sender: PEER, receiver: ServerId(0), body: add(entry(3, 300)) }.encode().unwrap();
    let outputs = lab.inject(0, LINK, &bytes);
    assert_eq!(ids(&lab), [3]);
    let told = super::foreign::told(outputs.clone());
    let [Body::HandleUpdate { action: UpdateAction::Delete, entry: gone }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(gone.element.id, PeId(1));
    let told = asap(&outputs);
    assert!(matches!(&told[..], [wire::Message::DeregistrationResponse { pe_id: PeId(1), .. }]), "{told:?}");
    let events: Vec<_> = std::iter::from_fn(|| lab.nodes[0].server.poll_event()).collect();
    let gone = |event: &Event| matches!(event, Event::Deregistered { cause: RemovalCause::PoolKind, .. });
    assert_eq!(events.iter().filter(|event| gone(event)).count(), 1, "{events:?}");
    // And it does not come back by registering again.
    let told = asap(&register(&mut lab, 0, 1, Policy::Random));
    let [wire::Message::RegistrationResponse { reject: true, error: Some(error), .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(error.causes, [ErrorCause::InconsistentPolicy(Some(Policy::RoundRobin))]);
    assert_eq!(ids(&lab), [3]);
}

/// The same with all servers of this project, after a partition.
#[test]
fn a_pool_made_in_two_ways_while_cut_is_one_everywhere_after() {
    let mut lab = Lab::running(1, 3, 6);
    let cuts = [(0, 2), (1, 2)].map(|(a, b)| (Who::Server(a), Who::Server(b)));
    for (a, b) in cuts {
        lab.cut(a, b);
    }
    lab.run(ms(3_000));
    register(&mut lab, 0, 501, Policy::LeastUsed { load: 0 });
    register(&mut lab, 2, 502, Policy::Random);
    lab.heal_all();
    let theirs = |lab: &Lab, n: usize| -> Vec<u32> {
        lab.table(n).into_keys().filter(|(handle, _)| *handle == "theirs".into()).map(|(_, id)| id.0).collect()
    };
    for _ in 0..40 {
        lab.run(ms(50));
        if (0..3).all(|n| theirs(&lab, n) == [502]) && lab.unsettled().is_none() {
            return;
        }
    }
    panic!("{:?} {:?}", [0, 1, 2].map(|n| theirs(&lab, n)), lab.unsettled());
}

/// What finds no place here is not asked for each second; what was lost beside it is.
#[test]
fn a_difference_that_was_refused_is_asked_for_more_and_more_seldom() {
    let mut lab = alone();
    say(&mut lab, presence(false, 0xffff, false));
    say(&mut lab, part(false, &[]));
    // The pool is there: another server's.
    say_as(&mut lab, 0x11, presence(false, 0xffff, false));
    let mut first = entry(1, 300);
    first.element.home = ServerId(0x11);
    say_as(&mut lab, 0x11, add(first));
    let mut refused = entry(7, 300);
    refused.element.policy = Policy::Random;
    let table = |more: &[u32]| {
        let entries = more.iter().map(|&id| entry(id, 300)).chain([refused.clone()]).collect();
        Body::HandleTableResponse { reject: false, more: false, entries }
    };
    let run = |lab: &mut Lab, told: u16, times: usize, more: &[u32]| {
        let mut downloads = 0;
        for _ in 0..times {
            say_as(lab, 0x11, presence(false, 0x1111, false));
            let mut said = say(lab, presence(false, told, false));
            said.extend(wait(lab, 50));
            if said.contains(&OWN) {
                downloads += 1;
                say(lab, table(more));
            }
        }
        downloads
    };
    // After 1, 2, 4, 8, 16 s: five in 40 s, not forty.
    assert_eq!(run(&mut lab, 0x1234, 800, &[]), 5);
    // An update that was lost changes the difference.
    assert_eq!(run(&mut lab, 0x1239, 40, &[8]), 1);
    assert_eq!(ids(&lab), [1, 8]);
}
