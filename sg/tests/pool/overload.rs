//! More calls than the controllers can take: each applies 100 messages a second, and every circuit of the network calls again as soon
//! as it may.

use super::*;

const PER_S: f64 = 100.0;

fn overloaded(seed: u64) -> Lab {
    let mut lab = Lab::new(seed, |config| config.application_servers[0].unconfirmed_max = 20);
    for number in 11..=13 {
        lab.controller_with(number, |config| config.session.capacity_per_s = PER_S);
    }
    lab.network(192);
    lab
}

#[test]
fn a_busy_controller_is_not_a_dead_one() {
    let mut lab = overloaded(1);
    lab.world.run_until(6_000);
    let applied = lab.peer(|peer| peer.messages());
    let verdict = lab.finish(4_000);
    assert!(verdict.given_up.is_empty(), "{verdict:?}");
    assert_eq!((verdict.discarded, verdict.rolled_back), (0, 0), "{verdict:?}");
    // 5.4 s at 300 a second, and what is still on its way.
    assert!((1_450..=1_850).contains(&applied), "the capacity is used, and kept to: {applied}");
    // 192 circuits with a message each at most, a third of the capacity for a third of them.
    assert!(verdict.longest < ms(1_500), "{verdict:?}");
}

#[test]
fn one_that_dies_busy_leaves_nothing_behind() {
    for seed in seeds() {
        let mut lab = overloaded(seed);
        lab.world.run_until(3_000 + seed * 7);
        lab.kill(12);
        lab.world.run_until(6_000);
        let verdict = lab.finish(4_000);
        assert_eq!(verdict.given_up.len(), 1, "{verdict:?}");
        assert_eq!(verdict.discarded, 0, "{verdict:?}");
        assert!(verdict.restored > 0, "{verdict:?}");
        assert!(verdict.longest < ms(2_500), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn one_that_leaves_busy_fails_nothing() {
    let mut lab = overloaded(3);
    lab.world.run_until(3_000);
    lab.stop(12);
    lab.world.run_until(6_000);
    let verdict = lab.finish(4_000);
    assert!(verdict.given_up.iter().all(|(_, pe, why)| pe == "0000000c" && why == "shutdown"), "{verdict:?}");
    assert_eq!(verdict.discarded, 0, "{verdict:?}");
}
