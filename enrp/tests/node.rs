//! The stand-alone name server with real pool elements and pool users over SCTP, in virtual time.

mod lab;

use asap::policy::Rng;
use asap::pool_element::Registration;
use asap::wire::{PeId, Policy, PoolHandle};
use enrp::ServerConfig;
use enrp::daemon::{AdminKind, AdminReply, AdminRequest, DaemonCommand, Reply};
use lab::{Fault, Lab, pool};
use sctp::driver::Node as _;
use std::time::Duration;

/// PEs 1 to 3 registered, a user at 7 that has them all.
fn running(config: ServerConfig) -> Lab {
    let mut lab = Lab::new(config);
    (1..=3).for_each(|host| lab.start_pe(host));
    lab.run(1_000, |lab| lab.server.server().handlespace().element_count() == 3).expect("registered");
    lab.start_pu(7);
    lab.run(1_000, |lab| lab.cached(7) == [1, 2, 3]).expect("resolved");
    lab
}

fn admin(lab: &mut Lab, kind: AdminKind) -> AdminReply {
    let (reply, mut answer) = Reply::new();
    lab.server.handle_command(lab.now, DaemonCommand::Admin(AdminRequest { kind, reply }).into());
    answer.try_recv().expect("answered at once")
}

#[test]
fn elements_come_and_go_and_the_user_is_told() {
    let mut lab = running(ServerConfig::default());
    lab.start_pe(4);
    lab.run(1_000, |lab| lab.cached(7) == [1, 2, 3, 4]).expect("a new element is pushed");
    let now = lab.now;
    lab.pes.get_mut(&2).unwrap().machine.stop(now);
    lab.run(1_000, |lab| lab.cached(7) == [1, 3, 4]).expect("a planned end is pushed");
    lab.run(1_000, |lab| lab.pes[&2].machine.is_stopped()).expect("and answered");
    // Ten minutes of keep-alives and re-registrations later nothing has changed.
    assert_eq!(lab.run(600_000, |lab| lab.cached(7) != [1, 3, 4]), None);
    let counters = lab.server.server().counters();
    assert_eq!((counters.expired, counters.suspensions, counters.malformed), (0, 0, 0));
    assert!(counters.keep_alive_acks > 300 && counters.reregistrations > 10, "{counters:?}");
}

/// How an element ends, and within which time the user must know.
#[test]
fn a_dead_element_is_gone_from_the_users_cache() {
    let config = ServerConfig { keep_alive_interval_ms: 100, keep_alive_timeout_ms: 100, ..ServerConfig::default() };
    for (fault, limit_ms) in [(Fault::Killed, 200), (Fault::Stopped, 400)] {
        let mut lab = running(config.clone());
        lab.faults.insert(2, fault);
        let told = lab.run(5_000, |lab| lab.cached(7) == [1, 3]).unwrap_or_else(|| panic!("{fault:?}: not told"));
        assert!(told <= Duration::from_millis(limit_ms), "{fault:?}: {told:?}");
        let there = lab.server.server().handlespace().element(&pool(), PeId(2)).is_some();
        assert_eq!(there, fault == Fault::Stopped, "a killed one is removed, a silent one at first suspended");
    }
}

#[test]
fn an_element_that_hung_is_back_by_its_own_answer() {
    let mut lab = running(ServerConfig::default());
    lab.faults.insert(2, Fault::Stopped);
    lab.run(5_000, |lab| lab.cached(7) == [1, 3]).expect("suspended");
    lab.faults.remove(&2);
    lab.run(2_000, |lab| lab.cached(7) == [1, 2, 3]).expect("selected again");
}

#[test]
fn an_element_that_hung_for_long_registers_again() {
    let mut lab = running(ServerConfig::default());
    lab.faults.insert(2, Fault::Stopped);
    let gone = |lab: &mut Lab| lab.server.server().handlespace().element(&pool(), PeId(2)).is_none();
    lab.run(20_000, gone).expect("removed");
    lab.run(5_000, |_| false);
    lab.faults.remove(&2);
    lab.run(10_000, |lab| lab.cached(7) == [1, 2, 3]).expect("back");
}

#[test]
fn all_elements_die_and_new_ones_come() {
    let mut lab = running(ServerConfig::default());
    lab.faults.extend((1..=3).map(|host| (host, Fault::Killed)));
    lab.run(5_000, |lab| lab.cached(7).is_empty()).expect("the pool is gone");
    lab.run(800, |_| false);
    lab.start_pe(4);
    lab.run(2_000, |lab| lab.cached(7) == [4]).expect("the user asks again and finds the new one");
}

/// On a network that loses one packet in twenty nobody is taken for dead, and who dies is still found.
#[test]
fn loss_is_not_death() {
    for seed in 0..10 {
        let mut lab = running(ServerConfig::default());
        (lab.loss, lab.dice) = (5, Rng::new(seed));
        let removed = lab.run(60_000, |lab| lab.server.server().handlespace().element_count() < 3);
        assert_eq!(removed, None, "seed {seed}: {:?}", lab.server.server().counters());
        lab.faults.insert(3, Fault::Stopped);
        lab.run(5_000, |lab| lab.cached(7) == [1, 2]).unwrap_or_else(|| panic!("seed {seed}: not told"));
        lab.loss = 0;
        lab.faults.clear();
        lab.run(5_000, |lab| lab.cached(7) == [1, 2, 3]).unwrap_or_else(|| panic!("seed {seed}: not back"));
    }
}

/// N5: load 100 % (RFC 5356 section 3.1). An element that says it is full is in no answer until it says otherwise.
#[test]
fn a_full_element_is_not_resolved_until_it_has_room() {
    let mut lab = Lab::new(ServerConfig::default());
    let loads = PoolHandle::from("Loads");
    let now = lab.now;
    for host in 1..=2 {
        lab.start_pe(host);
        let registration = Registration { handle: loads.clone(), policy: least_used(0), ..lab::registration(host) };
        lab.pes.get_mut(&host).unwrap().machine.register(now, registration).unwrap();
    }
    lab.run(1_000, |lab| lab.server.server().handlespace().element_count() == 4).expect("registered");
    lab.start_pu(7);
    lab.pus.get_mut(&7).unwrap().machine.resolve(now, &loads);
    lab.run(1_000, |lab| lab.cached_in(7, &loads) == [1, 2]).expect("resolved");
    for (load, expected) in [(u32::MAX, vec![1]), (u32::MAX - 1, vec![1, 2])] {
        let now = lab.now;
        lab.pes.get_mut(&2).unwrap().machine.set_policy(now, &loads, least_used(load)).unwrap();
        lab.run(1_000, |lab| lab.cached_in(7, &loads) == expected).expect("told");
    }
    assert_eq!(lab.cached(7), [1, 2], "its other pool is not touched");
}

fn least_used(load: u32) -> Policy {
    Policy::LeastUsed { load }
}

/// Three name servers, real nodes and associations: one dies, and its elements have another home before anybody misses them. The
/// new home reaches them at the port of their own association (RFC 5353 section 3.5.2), so none has to hunt.
#[test]
fn a_dead_servers_elements_are_taken_over_over_real_associations() {
    for fault in [Fault::Killed, Fault::Stopped] {
        let mut lab = Lab::with_peers(ServerConfig::default(), &[21, 22]);
        lab.run(3_000, |lab| [21, 22].iter().all(|&host| lab.server_at(host).is_ready())).expect("the start is over");
        for host in 1..=6 {
            // A third of them each; only those of the first know no other server.
            let home = [lab::SERVER, 21, 22][usize::from(host % 3)];
            lab.start_pe_with(host, &[home]);
        }
        let count = |lab: &Lab, host: u8| lab.server_at(host).handlespace().element_count();
        let full = |lab: &mut Lab| [lab::SERVER, 21, 22].iter().all(|&host| count(lab, host) == 6);
        lab.run(3_000, full).unwrap_or_else(|| panic!("{fault:?}: all have the whole table"));
        lab.start_pu_with(7, 21);
        lab.run(1_000, |lab| lab.cached(7).len() == 6).expect("resolved");
        let dead = lab.server.server().id();
        lab.faults.insert(lab::SERVER, fault);
        let owned = |lab: &Lab, host: u8| {
            lab.server_at(host).handlespace().members(&pool()).filter(|e| e.registered().home == dead).count()
        };
        let taken = lab
            .run(3_000, |lab| owned(lab, 21) == 0 && owned(lab, 22) == 0)
            .unwrap_or_else(|| panic!("{fault:?}: not taken over"));
        assert!(taken <= Duration::from_millis(800), "{fault:?}: decided after {taken:?}");
        let homed =
            |lab: &mut Lab| lab.pes.values().all(|pe| pe.machine.home().is_some() && pe.machine.is_registered(&pool()));
        let rehomed = lab.run(3_000, homed).unwrap_or_else(|| panic!("{fault:?}: not all have a home"));
        println!("{fault:?}: taken over after {taken:?}, all re-homed {rehomed:?} later");
        let lost = lab.run(30_000, |lab| count(lab, 21) < 6 || count(lab, 22) < 6 || lab.cached(7).len() < 6);
        assert_eq!(lost, None, "{fault:?}: nobody is lost");
        // The new home speaks to them, over associations that it opened.
        let acks = lab.server_at(21).counters().keep_alive_acks + lab.server_at(22).counters().keep_alive_acks;
        assert!(acks >= 6, "{fault:?}: {acks}");
        let checksum = |host| lab.server_at(host).peers_snapshot();
        assert!([21, 22].into_iter().flat_map(checksum).all(|peer| peer.agrees), "{fault:?}: tables agree");
    }
}

#[test]
fn the_server_stops_cleanly() {
    let mut lab = running(ServerConfig::default());
    assert_eq!(admin(&mut lab, AdminKind::Health).status, 200);
    lab.server.handle_command(lab.now, DaemonCommand::Stop.into());
    assert_eq!(admin(&mut lab, AdminKind::Health).status, 503);
    lab.run(1_000, |lab| lab.server.finished()).expect("every association is shut down");
    lab.run(5_000, |_| false);
    assert_eq!(lab.cached(7), [1, 2, 3], "the user is not told that the elements are gone: they are not");
}

#[test]
fn admin_shows_and_drains() {
    let mut lab = running(ServerConfig::default());
    let drain = |name: &str, body: &str| AdminKind::Command { name: name.into(), body: body.into() };
    assert_eq!(admin(&mut lab, drain("drain", "GatewayPool 00000002\n")).status, 200);
    lab.run(1_000, |lab| lab.cached(7) == [1, 3]).expect("drained");
    let state: serde_json::Value = serde_json::from_str(&admin(&mut lab, AdminKind::State).body).unwrap();
    let pool = &state["server"]["pools"][0];
    assert_eq!((pool["handle"].as_str(), pool["selectable"].as_u64()), (Some("GatewayPool"), Some(2)));
    assert_eq!(pool["elements"][1]["state"], "draining");
    assert_eq!(pool["elements"][1]["user_transport"], "sctp 127.0.0.2:2905");
    assert_eq!(pool["subscribers"], 1);
    assert_eq!(admin(&mut lab, drain("undrain", "GatewayPool 2")).status, 200);
    lab.run(1_000, |lab| lab.cached(7) == [1, 2, 3]).expect("back in");
    assert_eq!(admin(&mut lab, drain("drain", "GatewayPool 77")).status, 400);
    assert_eq!(admin(&mut lab, drain("drain", "GatewayPool")).status, 400);
    assert_eq!(admin(&mut lab, drain("dance", "")).status, 404);
    let metrics = admin(&mut lab, AdminKind::Metrics).body;
    assert!(metrics.contains("enrp_pool_pes{pool=\"GatewayPool\"} 3\n"), "{metrics}");
    assert!(metrics.contains("enrp_registrations_total 3\n"), "{metrics}");
}
