//! Tables and updates that do not come as they should, message by message.

use super::foreign::{PEER, alone, entry, presence, say, say_as, wait};
use super::lab::Lab;
use asap::wire::{ErrorCause, PeId, RegistrationLife, ServerId};
use enrp::wire::{Body, Entry, Presence, UpdateAction};

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
    lab.now += super::lab::ms(50);
    let before = lab.nodes[0].server.peers_counters().enrp_out;
    say(&mut lab, me());
    assert_eq!(lab.nodes[0].server.peers_counters().enrp_out - before, 2);
}
