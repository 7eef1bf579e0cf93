//! The whole controller in virtual time: with the real name server, and with a scripted gateway on a real SCTP stack.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test picks the messages it looks for")]

mod world;

use asap::wire::Message as Asap;
use gwc_pe::isup::Outcome;
use m3ua_lite::session::Envelope;
use sctp::{CloseReason, ppid};
use world::{Received, World, group_stream, iam, message_type, rel};

const ACM: u8 = 0x06;
const ANM: u8 = 0x09;
const RLC: u8 = 0x10;

#[test]
fn it_registers_and_becomes_active() {
    let mut world = World::new(1, 0.0, |_| ());
    world.run_ms(200);
    assert_eq!(world.registered(), [0xab]);
    world.connect();
    world.run_ms(100);
    assert!(world.gateway.active);
    assert_eq!(world.gateway.asp_id, Some(0xab));
    assert_eq!(world.life(), ["start", "registered", "aspup", "active"]);
}

#[test]
fn calls_are_answered_and_every_output_is_committed() {
    let mut world = World::active(1, 0.0, |_| ());
    for cic in 1..200 {
        world.gateway_sends(&iam(cic));
    }
    world.run_ms(300);
    for cic in 1..200 {
        world.gateway_sends(&rel(cic));
    }
    world.run_ms(100);
    let types = world.output_types();
    for kind in [ACM, ANM, RLC] {
        assert_eq!(types.iter().filter(|t| **t == kind).count(), 199, "{kind:#x}");
    }
    // Group by group, what is behind the last cookie would be uncommitted.
    assert_eq!(world.gateway.uncommitted(), 0);
    assert_eq!(world.controller.call_counters().ended(Outcome::ReleasedByPeer), 199);
    assert_eq!(world.controller.call_counters().calls_open(), 0);
    assert_eq!(world.record("I").len(), 398);
    assert_eq!(world.record("O").len(), 3 * 199);
}

#[test]
fn loss_changes_nothing_but_time() {
    let mut world = World::active(7, 0.05, |_| ());
    for cic in 1..100 {
        world.gateway_sends(&iam(cic));
        world.run_ms(5);
    }
    world.run_ms(3_000);
    for cic in 1..100 {
        world.gateway_sends(&rel(cic));
    }
    world.run_ms(3_000);
    let types = world.output_types();
    for kind in [ACM, ANM, RLC] {
        assert_eq!(types.iter().filter(|t| **t == kind).count(), 99, "{kind:#x}");
    }
    assert_eq!(world.record("I").len(), 198);
    assert_eq!(world.gateway.uncommitted(), 0);
}

#[test]
fn a_mute_gateway_loses_the_controller_and_gets_its_calls_back_by_cookie() {
    let mut world = World::active(1, 0.0, |_| ());
    world.gateway_sends(&iam(37));
    world.run_ms(50);
    assert_eq!(world.output_types(), [ACM]);
    world.gateway.mute = true;
    world.run_ms(300);
    assert!(matches!(world.gateway.closed, Some(CloseReason::PeerAbort(_))), "{:?}", world.gateway.closed);
    assert!(world.life().contains(&"lease-lost".to_owned()));
    assert_eq!(world.controller.call_counters().ended(Outcome::Forgotten), 1);

    world.gateway.mute = false;
    let cookie = world.gateway.last_cookie().expect("a cookie was committed");
    world.connect();
    world.run_ms(100);
    assert!(world.gateway.active);
    world.gateway.received.clear();
    world.gateway_sends_asap(&Asap::CookieEcho { cookie });
    world.run_ms(300);
    // The call was in wait-answer: its answer timer started again, the call goes on.
    assert_eq!(world.output_types(), [ANM]);
    assert_eq!(world.record("R").len(), 1);
    assert_eq!(world.controller.call_counters().calls_restored, 1);
}

#[test]
fn barriers_are_echoed_behind_what_they_confirm() {
    let mut world = World::active(1, 0.0, |_| ());
    world.gateway_sends(&rel(37));
    world.gateway_sends_barrier(9);
    world.run_ms(20);
    let kinds: Vec<&str> =
        world.gateway.received.iter().filter(|r| r.stream == group_stream()).map(Received::kind).collect();
    assert_eq!(kinds, ["DATA", "COOKIE", "BEAT ACK"]);
}

#[test]
fn a_planned_end_leaves_pool_and_traffic_in_order() {
    let mut world = World::active(1, 0.0, |_| ());
    world.gateway_sends(&iam(37));
    world.run_ms(50);
    world.gateway.received.clear();
    world.stop();
    world.run_ms(500);
    assert!(world.finished());
    assert!(world.registered().is_empty());
    let kinds: Vec<&str> =
        world.gateway.received.iter().map(Received::kind).filter(|kind| kind.starts_with("ASP")).collect();
    assert_eq!(kinds, ["ASPIA", "ASPDN"]);
    assert_eq!(world.gateway.closed, Some(CloseReason::Shutdown));
    assert_eq!(world.life().last().unwrap(), "inactive");
}

#[test]
fn an_end_without_name_server_and_gateway_is_an_end_too() {
    let mut world = World::new(1, 0.0, |_| ());
    world.cut_name_server = true;
    world.run_ms(1_000);
    world.stop();
    world.run_ms(3_000);
    assert!(world.finished());
}

#[test]
fn own_calls_are_originated_at_their_rate() {
    let mut world = World::active(1, 0.0, |config| config.call.originate_per_s = 50.0);
    // Any message makes the group known.
    world.gateway_sends(&rel(37));
    world.run_ms(1_000);
    let iams = world.output_types().iter().filter(|t| **t == 1).count();
    // 32 circuits are all there are; they stay seized until T7.
    assert_eq!(iams, 32);
    assert!(world.controller.call_counters().no_circuit > 10);
    assert_eq!(world.gateway.uncommitted(), 0);
}

#[test]
fn too_many_gateways_are_turned_away() {
    let mut world = World::active(1, 0.0, |config| config.session.gateways_max = 1);
    world.connect();
    world.run_ms(100);
    assert!(matches!(world.gateway.closed, Some(CloseReason::PeerAbort(_))));
    assert_eq!(world.controller.session_counters().gateways_refused, 1);
}

#[test]
fn hostile_datagrams_and_messages_do_no_harm() {
    let mut world = World::active(3, 0.0, |_| ());
    for round in 0..2_000_u32 {
        world.controller_gets_garbage(round);
    }
    for round in 0..500_u32 {
        let octets: Vec<u8> =
            (0..round % 60).map(|i| (round.wrapping_mul(31).wrapping_add(i * 7) >> 3) as u8).collect();
        world.gateway_sends_raw(if round % 3 == 0 { ppid::ASAP } else { ppid::M3UA }, octets);
    }
    world.run_ms(500);
    world.gateway_sends(&rel(37));
    world.run_ms(50);
    assert_eq!(message_type(&world.outputs().last().unwrap().1), RLC);
}

#[test]
fn the_cookie_says_whose_it_is() {
    let mut world = World::active(1, 0.0, |_| ());
    world.gateway_sends(&iam(37));
    world.run_ms(5);
    let cookie = world.gateway.last_cookie().unwrap();
    let envelope = Envelope::decode(&cookie).unwrap();
    assert_eq!(envelope.incarnation, world.controller.identity().incarnation);
    assert_eq!((envelope.group.opc, envelope.group.dpc, envelope.group.cic_block, envelope.ni), (1, 2, 1, 2));
}
