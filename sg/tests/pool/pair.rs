//! Two gateways: the one that leads is killed, hung, cut off; the one that follows, too. Nothing is lost, out of order, or acted on
//! twice, in either direction.

use super::{GATEWAY, Lab, PEER, add_gateway, ip, ms, seeds};
use crate::names::{NAME_SERVER, name_server};
use crate::peer::Peer;
use crate::world::Machine;
use serde_json::Value;
use std::net::IpAddr;

pub(super) const SECOND: IpAddr = ip(2);

fn gateway(lab: &mut Lab, number: u8, at: IpAddr, mate: IpAddr) {
    add_gateway(&mut lab.world, at, |config| as_one_of_two(config, number, mate));
}

fn as_one_of_two(config: &mut sg::Config, number: u8, mate: IpAddr) {
    config.node.gateway = number;
    config.mate.addresses = vec![mate];
    config.enrp.embedded = false;
    config.enrp.servers = vec![asap::ServerAddress::new(NAME_SERVER)];
    config.application_servers[0].resolve_at_start = true;
}

/// Two gateways, three controllers, a peer that reaches both.
pub(super) fn pair(seed: u64, circuits: u16) -> Lab {
    let mut lab = Lab::new(seed, |config| as_one_of_two(config, 1, SECOND));
    lab.name_server = NAME_SERVER;
    name_server(&mut lab);
    gateway(&mut lab, 2, SECOND, GATEWAY);
    for number in 11..=13 {
        lab.controller(number);
    }
    let circuits: Vec<u16> = (0..circuits).map(|n| n % 24 * 32 + n / 24 + 1).collect();
    let seed = lab.world.seed();
    let gateways = [vec![GATEWAY], vec![SECOND]];
    let peer = Peer::of_gateways(lab.world.now, &[PEER], &gateways, seed, &circuits);
    lab.world.add(PEER, Machine::Peer(Box::new(peer)));
    lab
}

impl Lab {
    pub(super) fn mate_state(&self, at: IpAddr) -> Value {
        match self.world.machine(at) {
            Machine::Gateway(node) => node.state_json(self.world.now)["mate"].clone(),
            other => unreachable!("{} is no gateway", other.kind()),
        }
    }

    pub(super) fn role(&self, at: IpAddr) -> String {
        self.mate_state(at)["role"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn kill_gateway(&mut self, at: IpAddr) {
        self.world.kill(at);
        if let Machine::Gateway(node) = self.world.machine(at) {
            self.old_gateways.push(node.record().to_vec());
        }
    }
}

#[test]
fn both_carry_calls_and_one_mirrors_the_other() {
    let mut lab = pair(1, 48);
    lab.world.run_until(2_000);
    assert_eq!((lab.role(GATEWAY), lab.role(SECOND)), ("lead".into(), "follower".into()));
    assert_eq!(lab.mate_state(GATEWAY)["mirrored"], true);
    assert!(lab.mate_state(SECOND)["counters"]["forwarded"].as_u64() > Some(500), "{}", lab.mate_state(SECOND));
    let verdict = lab.finish(2_000);
    assert!(verdict.messages > 2_000, "{verdict:?}");
    assert_eq!((verdict.discarded, verdict.rolled_back), (0, 0), "{verdict:?}");
    assert!(verdict.longest < ms(5), "{verdict:?}");
    assert_eq!(lab.peer(|peer| peer.ways.unaccepted()), 0);
    assert_eq!((&lab.mate_state(SECOND)["messages"], &lab.mate_state(SECOND)["forwards"]), (&0.into(), &0.into()));
}

#[test]
fn the_one_that_leads_is_killed() {
    for seed in seeds() {
        let mut lab = pair(seed, 12);
        lab.world.run_until(1_300 + seed * 7);
        lab.kill_gateway(GATEWAY);
        lab.world.run_until(2_500);
        assert_eq!(lab.role(SECOND), "lead");
        let verdict = lab.finish(2_000);
        assert_eq!(verdict.discarded, 0, "{verdict:?}");
        assert!(verdict.longest < ms(100), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn the_one_that_follows_is_killed() {
    for seed in seeds() {
        let mut lab = pair(seed, 12);
        lab.world.run_until(1_300 + seed * 7);
        lab.kill_gateway(SECOND);
        lab.world.run_until(2_500);
        assert_eq!(lab.role(GATEWAY), "lead");
        let verdict = lab.finish(2_000);
        assert_eq!(verdict.discarded, 0, "{verdict:?}");
        assert!(verdict.longest < ms(100), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn one_after_the_other_is_killed_and_comes_back() {
    for seed in seeds() {
        let mut lab = pair(seed, 12);
        for round in 0..3 {
            lab.world.run_until(1_300 + round * 2_000 + seed * 7);
            let (number, at, other) = if round % 2 == 0 { (1, GATEWAY, SECOND) } else { (2, SECOND, GATEWAY) };
            lab.kill_gateway(at);
            lab.world.run_until(2_000 + round * 2_000);
            assert_eq!(lab.role(other), "lead", "round {round}");
            gateway(&mut lab, number, at, other);
            lab.world.run_until(2_700 + round * 2_000);
            assert_eq!((lab.role(at), &lab.mate_state(other)["mirrored"]), ("follower".into(), &true.into()));
        }
        let verdict = lab.finish(2_000);
        assert_eq!(verdict.discarded, 0, "{verdict:?}");
        assert!(verdict.longest < ms(100), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn without_icmp_the_controllers_decide() {
    for seed in seeds() {
        for at in [GATEWAY, SECOND] {
            let mut lab = pair(seed, 12);
            lab.world.icmp = false;
            lab.world.run_until(1_300 + seed * 7);
            lab.kill_gateway(at);
            lab.world.run_until(2_500);
            let other = if at == GATEWAY { SECOND } else { GATEWAY };
            assert_eq!(lab.role(other), "lead", "seed {seed}");
            let verdict = lab.finish(3_000);
            assert_eq!(verdict.discarded, 0, "{verdict:?}");
            assert!(verdict.longest < ms(900), "seed {seed}: {verdict:?}");
        }
    }
}

#[test]
fn one_that_hangs_and_wakes_does_nothing_twice() {
    for seed in seeds() {
        for at in [GATEWAY, SECOND] {
            let mut lab = pair(seed, 12);
            lab.world.run_until(1_300 + seed * 7);
            lab.world.hang(at);
            lab.world.run_until(2_500 + seed * 13);
            lab.world.wake(at);
            lab.world.run_until(5_000);
            let other = if at == GATEWAY { SECOND } else { GATEWAY };
            assert_eq!((lab.role(other), lab.role(at)), ("lead".into(), "follower".into()), "seed {seed}");
            let verdict = lab.finish(2_000);
            assert_eq!(verdict.discarded, 0, "{verdict:?}");
            assert!(verdict.longest < ms(900), "seed {seed}: {verdict:?}");
        }
    }
}

#[test]
fn short_stalls_change_nothing() {
    let mut lab = pair(3, 12);
    for n in 0..4 {
        lab.world.run_until(1_300 + n * 500);
        let at = if n % 2 == 0 { GATEWAY } else { SECOND };
        lab.world.hang(at);
        lab.world.run_until(1_500 + n * 500);
        lab.world.wake(at);
    }
    lab.world.run_until(3_600);
    assert_eq!((lab.role(GATEWAY), lab.role(SECOND)), ("lead".into(), "follower".into()));
    assert_eq!(lab.finish(2_000).discarded, 0);
}

#[test]
fn a_controller_dies_with_the_one_that_leads() {
    for seed in seeds() {
        let mut lab = pair(seed, 12);
        lab.world.run_until(1_300 + seed * 7);
        lab.kill_gateway(GATEWAY);
        lab.kill(12);
        lab.world.run_until(2_500);
        let verdict = lab.finish(2_000);
        assert_eq!(verdict.discarded, 0, "{verdict:?}");
        assert!(verdict.longest < ms(500), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn with_packet_loss_too() {
    for seed in seeds() {
        let mut lab = pair(seed, 12);
        lab.world.run_until(1_000);
        lab.world.loss_per_mille = 20;
        lab.world.run_until(1_300 + seed * 7);
        lab.kill_gateway(GATEWAY);
        lab.world.run_until(2_500);
        lab.world.loss_per_mille = 0;
        assert_eq!(lab.finish(4_000).discarded, 0, "seed {seed}");
    }
}

/// One gateway alone with a mate in its configuration that never comes: it waits for it, then leads.
#[test]
fn one_whose_mate_never_comes_leads_alone() {
    let mut lab = Lab::new(7, |config| as_one_of_two(config, 1, SECOND));
    lab.name_server = NAME_SERVER;
    name_server(&mut lab);
    lab.controller(11);
    lab.network(24);
    lab.world.run_until(3_000);
    assert_eq!(lab.role(GATEWAY), "lead");
}
