//! A peer of the network that is an IPSP, single exchange: calls both ways, whoever opens the association, while controllers die and
//! the pool goes and comes.

use crate::peer::{NETWORK, Peer, ROUTING_CONTEXT};
use crate::world::Machine;
use crate::{GATEWAY, Lab, PEER, ms};
use sg::config::{Link, LinkMode, LinkSet, Route};

fn lab(seed: u64, passive: bool) -> Lab {
    let mut lab = Lab::new(seed, |config| {
        let set = LinkSet {
            name: "neighbour".to_owned(),
            mode: LinkMode::Ipsp,
            passive,
            links: vec![Link { addresses: vec![PEER], port: 2905 }],
            routes: vec![Route { dpc: NETWORK, mask: 0, priority: 0 }],
            routing_context: Some(ROUTING_CONTEXT),
            asp_id: Some(5),
            ..LinkSet::default()
        };
        config.network.linksets = vec![set];
    });
    for number in 11..=13 {
        lab.controller(number);
    }
    let circuits: Vec<u16> = (0..48).map(|n| n % 24 * 32 + n / 24 + 1).collect();
    let (seed, now) = (lab.world.seed(), lab.world.now);
    let peer = Peer::ipsp(now, PEER, passive.then_some(GATEWAY), seed, &circuits);
    lab.world.add(PEER, Machine::Peer(Box::new(peer)));
    lab
}

#[test]
fn calls_flow_both_ways_with_an_ipsp_and_survive_a_controller() {
    for passive in [false, true] {
        let mut lab = lab(21, passive);
        lab.world.run_until(2_000);
        assert!(lab.peer(|peer| peer.active), "passive: {passive}");
        assert_eq!(lab.peer(|peer| peer.ways.peer_id()), Some(5));
        lab.kill(12);
        lab.world.run_until(4_000);
        let verdict = lab.finish(2_000);
        assert!(verdict.messages > 2_000, "{verdict:?}");
        assert_eq!((verdict.discarded, verdict.given_up.len()), (0, 1), "{verdict:?}");
        assert!(verdict.longest < ms(100), "{verdict:?}");
    }
}

#[test]
fn an_ipsp_hears_that_no_pool_serves_and_that_one_does_again() {
    for passive in [false, true] {
        let mut lab = lab(22, passive);
        lab.world.run_until(1_500);
        assert!(lab.peer(|peer| peer.active), "passive: {passive}");
        (11..=13).for_each(|number| lab.kill(number));
        lab.world.run_until(6_000);
        assert!(!lab.peer(|peer| peer.active), "passive: {passive}");
        (11..=13).for_each(|number| lab.controller(number));
        lab.world.run_until(8_000);
        assert!(lab.peer(|peer| peer.active), "passive: {passive}");
        let calls = lab.peer(|peer| peer.calls);
        lab.world.run_until(9_000);
        assert!(lab.peer(|peer| peer.calls) > calls || lab.peer(|peer| peer.busy()) > 0, "passive: {passive}");
    }
}
