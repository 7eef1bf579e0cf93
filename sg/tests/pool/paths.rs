//! Several addresses from end to end, IPv4 and IPv6 mixed: registered, connected to, used when one is cut off.

use super::*;
use std::net::Ipv6Addr;

/// Each host has both; SCTP lists what the other side can reach, so none of them is a loopback address.
fn both(last: u8) -> [IpAddr; 2] {
    [IpAddr::from([10, 0, 0, last]), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into()]
}

/// A lab whose hosts all have both addresses; its controllers are 1 to 3 plus 10.
fn mixed(seed: u64) -> Lab {
    let mut world = World::new(seed);
    let mut config = sg::Config::default();
    config.udp.addresses = both(1).to_vec();
    config.application_servers[0].dpc = vec![POOL];
    config.network.point_codes = vec![NETWORK];
    config.network.routing_context = ROUTING_CONTEXT;
    config.check().unwrap();
    let seed = world.seed();
    let record = enrp::daemon::RecordSink::Memory(Vec::new());
    let birth = sg::Birth { now: world.now, clock: world.clock, seed, backend: BackendKind::Udp, record };
    add(&mut world, GATEWAY, 1, Machine::Gateway(Box::new(sg::Node::new(config, birth))));
    for number in 11..14 {
        let mut config = gwc_pe::config::Config::default();
        config.node.pe_id = Some(number.into());
        config.udp.addresses = both(number).to_vec();
        let server = asap::ServerAddress { addresses: both(1).to_vec(), ..asap::ServerAddress::new(GATEWAY) };
        config.asap.hunt.servers = vec![server];
        config.call.acm_delay_ms = 4;
        config.call.answer_delay_ms = 9;
        let (seed, sink) = (world.seed(), enrp::daemon::RecordSink::Memory(Vec::new()));
        let (clock, now, local) = (world.clock, world.now, both(number).to_vec());
        let node = gwc_pe::node::Node::new(config, seed, clock, now, local, BackendKind::Udp, sink);
        add(&mut world, ip(number), number, Machine::Controller(Box::new(node)));
    }
    Lab { world, old: Vec::new(), old_gateways: Vec::new(), name_server: GATEWAY }
}

/// The host's name in the tests stays its 127 address, which is not used.
fn add(world: &mut World, name: IpAddr, last: u8, machine: Machine) {
    for address in both(last) {
        world.alias(name, address);
    }
    world.add(name, machine);
}

fn cut(lab: &mut Lab, family: usize) {
    lab.world.cut = [1, 11, 12, 13, 200].into_iter().map(|last| both(last)[family]).collect();
}

#[test]
fn two_families_are_registered_connected_to_and_enough_each() {
    let mut lab = mixed(5);
    lab.world.run_until(300);
    let seed = lab.world.seed();
    let circuits: Vec<u16> = (1..600).step_by(13).collect();
    let peer = Peer::new(lab.world.now, &both(200), &both(1), seed, &circuits);
    add(&mut lab.world, PEER, 200, Machine::Peer(Box::new(peer)));
    lab.world.run_until(1_500);
    assert_eq!(lab.gateway().active_controllers(), 3);
    // With both lists exchanged, heartbeats confirm every address.
    for last in [1, 11, 12, 13, 200] {
        for address in both(last) {
            assert!(lab.world.sent_to.get(&address).is_some_and(|n| *n > 0), "nothing goes to {address}");
        }
    }
    for family in [0, 1] {
        cut(&mut lab, family);
        lab.world.run_until(lab.world.elapsed_ms() + 1_500);
        lab.world.cut.clear();
        lab.world.run_until(lab.world.elapsed_ms() + 1_500);
    }
    let verdict = lab.finish(3_000);
    assert_eq!((verdict.discarded, verdict.given_up.len()), (0, 0), "{verdict:?}");
    assert!(verdict.messages > 2_000 && verdict.longest < ms(300), "{verdict:?}");
    let gateway = String::from_utf8(lab.gateway().record().to_vec()).unwrap();
    assert!(!gateway.lines().any(|line| line.starts_with("F,") || line.starts_with("Z,")), "{gateway}");
    for (last, family) in [(11, 0), (13, 0), (200, 0), (11, 1), (200, 1)] {
        let changes = format!(",{},", both(last)[family]);
        let states: Vec<_> = gateway
            .lines()
            .filter(|l| l.starts_with("P,") && l.contains(&changes))
            .map(|l| l.rsplit(',').next())
            .collect();
        assert!(states.contains(&Some("potentially-failed")) && states.last() == Some(&Some("active")), "{states:?}");
    }
}
