//! Ordinary ASPs beside our controllers: a controller that attaches without a lease and registers nowhere is one.

use crate::{GATEWAY, Lab, ip, ms, seeds};
use asap::wire::PoolHandle;

/// An ordinary ASP at the address of this number.
fn ordinary(lab: &mut Lab, number: u8) {
    lab.controller_with(number, |config| {
        config.m3ua.gateways = vec![GATEWAY];
        config.session.lease = false;
    });
}

/// Two ordinary ASPs, 13 and 14, that are there first; then 11 and 12 of ours.
fn mixed(seed: u64) -> Lab {
    let mut lab = Lab::new(seed, |config| config.application_servers[0].asps = vec![ip(13), ip(14)]);
    ordinary(&mut lab, 13);
    ordinary(&mut lab, 14);
    lab.world.run_until(200);
    lab.controller(11);
    lab.controller(12);
    lab.network(96);
    // The network drives each call: what an ordinary ASP knows of calls dies with it.
    lab
}

fn registered(lab: &Lab) -> usize {
    let pool = PoolHandle::from("GatewayPool");
    lab.gateway().name_server().unwrap().handlespace().members(&pool).count()
}

#[test]
fn they_are_registered_before_ours_and_stay_so() {
    let mut lab = mixed(1);
    lab.world.run_until(6_000);
    assert_eq!((registered(&lab), lab.gateway().active_controllers()), (4, 4), "keep-alives are answered for them");
    let verdict = lab.finish(2_000);
    assert_eq!(verdict.shares.values().copied().collect::<Vec<_>>(), [6, 6, 6, 6], "{verdict:?}");
    assert_eq!(verdict.discarded, 0);
    assert!(verdict.given_up.is_empty() && verdict.longest < ms(10), "{verdict:?}");
}

#[test]
fn one_that_leaves_is_out_of_the_pool_and_comes_back() {
    for seed in seeds() {
        let mut lab = mixed(seed);
        lab.world.run_until(1_500 + seed * 7);
        lab.stop(13);
        lab.world.run_until(2_500);
        assert_eq!((registered(&lab), lab.gateway().active_controllers()), (3, 3));
        // Its process has ended; the next one is at its address.
        lab.kill(13);
        ordinary(&mut lab, 13);
        lab.world.run_until(4_000);
        assert_eq!((registered(&lab), lab.gateway().active_controllers()), (4, 4));
    }
}

#[test]
fn it_tries_again_until_its_gateway_is_there() {
    let mut lab = Lab::new(1, |config| config.application_servers[0].asps = vec![ip(13)]);
    lab.world.kill(GATEWAY);
    ordinary(&mut lab, 13);
    lab.world.run_until(5_000);
    crate::add_gateway(&mut lab.world, GATEWAY, |config| config.application_servers[0].asps = vec![ip(13)]);
    lab.world.run_until(9_000);
    assert_eq!((registered(&lab), lab.gateway().active_controllers()), (1, 1));
}
