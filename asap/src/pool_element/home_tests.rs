//! What a pool element does when its home server is lost, refuses for now, or is taken over from; and who announces itself.

use super::tests::{Bed, Out, PE, lost, registration};
use super::*;
use crate::wire::{ErrorCause, OperationError};

/// Registered under both names; the home server's association has just ended.
fn abandoned() -> Bed {
    let mut bed = Bed::registered(2);
    bed.pe.config.home_wait_ms = 200;
    bed.pe.register(bed.now, registration("other")).unwrap();
    bed.grant(1, "other");
    bed.pe.handle_closed(bed.now, ConnId(1));
    assert_eq!(bed.out(), [Out::Register(1, "other", 0)], "no hunt yet");
    assert_eq!(bed.events().last(), Some(&lost()));
    bed
}

#[test]
fn a_server_that_takes_over_within_home_wait_is_home_without_a_hunt() {
    let mut bed = abandoned();
    assert!(bed.pe.is_registered(&"pool".into()), "for all that is known");
    let conn = bed.pe.handle_accepted().unwrap();
    bed.keep_alive(conn.0, 0xbb, true, "pool");
    assert_eq!(bed.out(), [Out::Ack(conn.0, "pool")]);
    assert_eq!(bed.events(), [PeEvent::HomeServer { conn, server: Some(ServerId(0xbb)) }]);
    // It says so for the other name too: nothing to register before T4.
    bed.keep_alive(conn.0, 0xbb, true, "other");
    assert_eq!(bed.out(), [Out::Ack(conn.0, "other")]);
    assert_eq!(
        (bed.wait(), bed.out()),
        (40_000, vec![Out::Register(conn.0, "other", 0), Out::Register(conn.0, "pool", 0)])
    );
    assert_eq!((bed.pe.counters().taken_over, bed.pe.counters().servers_lost), (1, 1));
}

#[test]
fn what_the_new_home_does_not_confirm_is_registered_with_it() {
    let mut bed = abandoned();
    let conn = bed.pe.handle_accepted().unwrap();
    bed.keep_alive(conn.0, 0xbb, true, "pool");
    bed.out();
    assert_eq!((bed.wait(), bed.out()), (100, vec![Out::Register(conn.0, "other", 0)]), "T2");
    bed.grant(conn.0, "other");
    assert!(bed.pe.is_registered(&"other".into()) && bed.pe.is_registered(&"pool".into()));
}

#[test]
fn nobody_takes_over_so_it_hunts_and_registers_anew() {
    let mut bed = abandoned();
    // What the application changes meanwhile waits too.
    bed.pe.set_policy(bed.now, &"pool".into(), Policy::LeastUsed { load: 9 }).unwrap();
    assert_eq!(bed.out(), []);
    let waited = bed.wait();
    assert!((200..300).contains(&waited), "{waited}");
    assert_eq!(bed.out(), [Out::Connect(2)]);
    assert!(!bed.pe.is_registered(&"pool".into()));
    bed.pe.handle_connected(bed.now, ConnId(2));
    assert_eq!(bed.out(), [Out::Register(2, "other", 0), Out::Register(2, "pool", 9)]);
}

#[test]
fn timers_that_run_out_without_a_home_server_do_not_spin() {
    let mut bed = abandoned();
    bed.pe.config.home_wait_ms = 200;
    bed.pe.deregister(bed.now, &"other".into()).unwrap();
    for _ in 0..20 {
        bed.wait();
        bed.out();
    }
    assert!(bed.pe.counters().hunts_failed >= 15, "only the hunt goes on: {:?}", bed.pe.counters());
}

#[test]
fn a_server_without_room_is_asked_again_later_and_later() {
    let mut bed = Bed::new(1);
    bed.pe.register(bed.now, registration("pool")).unwrap();
    bed.pe.handle_connected(bed.now, ConnId(1));
    bed.events();
    for wait in [1_000, 2_000, 2_000] {
        bed.out();
        bed.respond(1, "pool", true, Some(ErrorCause::LackOfResources));
        assert!(!bed.pe.is_registered(&"pool".into()));
        assert_eq!((bed.out(), bed.wait()), (vec![], wait), "up to RETRAN-MAX");
        assert_eq!(bed.out(), [Out::Register(1, "pool", 0)]);
    }
    let error = ErrorCause::LackOfResources.into();
    assert_eq!(bed.events(), [PeEvent::Refused { handle: "pool".into(), error }], "told once");
    bed.grant(1, "pool");
    assert_eq!(bed.events(), [PeEvent::Registered { handle: "pool".into(), warning: None }]);
    // With another cause beside it, it is the registration that must change.
    bed.pe.set_policy(bed.now, &"pool".into(), Policy::LeastUsed { load: 1 }).unwrap();
    let causes = vec![ErrorCause::LackOfResources, ErrorCause::NonUniquePeId];
    let error = Some(OperationError { causes });
    bed.receive(1, &Message::RegistrationResponse { reject: true, handle: "pool".into(), pe_id: PE, error });
    assert_eq!(bed.pe.poll_timeout(), None);
    // Nor if the setting says so.
    bed.pe.config.refused_retry_ms = 0;
    bed.pe.register(bed.now, registration("pool")).unwrap();
    bed.respond(1, "pool", true, Some(ErrorCause::LackOfResources));
    assert_eq!(bed.pe.poll_timeout(), None);
}

#[test]
fn what_was_corrected_before_the_refusal_came_is_sent() {
    let mut bed = Bed::new(1);
    bed.pe.register(bed.now, registration("pool")).unwrap();
    bed.pe.handle_connected(bed.now, ConnId(1));
    bed.pe.set_policy(bed.now, &"pool".into(), Policy::LeastUsed { load: 5 }).unwrap();
    bed.events();
    bed.respond(1, "pool", true, Some(ErrorCause::InconsistentPolicy(None)));
    assert_eq!(bed.out(), [Out::Connect(1), Out::Register(1, "pool", 0), Out::Register(1, "pool", 5)]);
    assert_eq!(bed.events(), []);
    bed.respond(1, "pool", true, Some(ErrorCause::InconsistentPolicy(None)));
    assert_eq!((bed.out(), bed.events().len()), (vec![], 1));
}

#[test]
fn announcements_feed_the_hunt() {
    let mut bed = Bed::new(0);
    bed.pe.register(bed.now, registration("pool")).unwrap();
    assert_eq!(bed.out(), []);
    let announce = Message::ServerAnnounce { server: ServerId(1), transports: Vec::new() }.encode().unwrap();
    bed.pe.handle_announce(bed.now, [127, 0, 0, 1].into(), &announce);
    assert_eq!(bed.out(), [Out::Connect(1)]);
    // Hostile bytes are counted, and never answered: their source is anybody.
    bed.pe.handle_announce(bed.now, [127, 0, 0, 1].into(), &[0x60, 0, 0, 4]);
    bed.pe.handle_announce(bed.now, [127, 0, 0, 1].into(), &[]);
    assert_eq!(bed.out(), []);
    assert_eq!((bed.pe.counters().malformed, bed.pe.counters().servers_announced), (2, 1));
}
