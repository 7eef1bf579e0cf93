//! Controllers join and come back under load, and get their share of the groups; so they do while others die.

use crate::{GATEWAY, Lab, Verdict, ip, ms, seeds, three};
use gwc_pe::config::PolicyName;

/// Messages a circuit sends wait no longer than this when only planned moves happen: some round trips of the test's network.
const SHORT: std::time::Duration = ms(10);

fn shares(verdict: &Verdict) -> Vec<usize> {
    verdict.shares.values().copied().collect()
}

/// Runs in small steps until a planned move from or to somebody has begun since `before` moves; gives its ends.
fn next_move(lab: &mut Lab, before: usize) -> (u8, u8) {
    let pe = |field: &str| u8::from_str_radix(field, 16).unwrap();
    for _ in 0..5_000 {
        let record = std::str::from_utf8(lab.gateway().record()).unwrap();
        if let Some(line) = record.lines().filter(|line| line.starts_with("M,")).nth(before) {
            let fields: Vec<&str> = line.split(',').collect();
            return (pe(fields[2]), pe(fields[3]));
        }
        let next = lab.world.elapsed_ms() + 1;
        lab.world.run_until(next);
    }
    panic!("no move begins");
}

fn moves(lab: &Lab) -> usize {
    std::str::from_utf8(lab.gateway().record()).unwrap().lines().filter(|line| line.starts_with("M,")).count()
}

#[test]
fn a_controller_that_joins_gets_its_share_under_load() {
    for seed in seeds() {
        let mut lab = three(seed, 192);
        lab.world.run_until(1_500 + seed * 7);
        lab.controller(14);
        lab.world.run_until(3_000);
        let verdict = lab.finish(2_000);
        assert_eq!(shares(&verdict), [6, 6, 6, 6], "seed {seed}: {verdict:?}");
        assert_eq!(verdict.moved.len(), 6, "no more than its share: {verdict:?}");
        assert!(verdict.moved.iter().all(|(_, to)| to == "0000000e"), "{verdict:?}");
        assert_eq!((verdict.discarded, verdict.rolled_back), (0, 0), "seed {seed}");
        assert!(verdict.given_up.is_empty(), "{verdict:?}");
        assert!(verdict.longest < SHORT, "seed {seed}: {verdict:?}");
    }
}

#[test]
fn one_that_was_killed_gets_its_share_again_when_it_returns() {
    for seed in seeds() {
        let mut lab = three(seed, 96);
        lab.world.run_until(1_500 + seed * 7);
        lab.kill(12);
        lab.world.run_until(2_500);
        lab.controller(12);
        lab.world.run_until(4_000);
        let verdict = lab.finish(2_000);
        assert_eq!(shares(&verdict), [8, 8, 8], "seed {seed}: {verdict:?}");
        assert_eq!(verdict.discarded, 0);
    }
}

#[test]
fn one_that_hung_gets_its_share_again_when_it_answers() {
    for seed in seeds() {
        let mut lab = three(seed, 96);
        lab.world.run_until(1_500 + seed * 7);
        lab.world.hang(ip(12));
        lab.world.run_until(2_500);
        lab.world.wake(ip(12));
        lab.world.run_until(4_000);
        let verdict = lab.finish(2_000);
        assert_eq!(shares(&verdict), [8, 8, 8], "seed {seed}: {verdict:?}");
        assert_eq!((verdict.discarded, verdict.given_up.len()), (0, 1));
    }
}

#[test]
fn a_rolling_restart_costs_nobody_a_call_or_much_time() {
    for seed in seeds() {
        let mut lab = three(seed, 96);
        let mut at = 1_500 + seed * 7;
        for number in 11..=13 {
            lab.world.run_until(at);
            lab.stop(number);
            lab.world.run_until(at + 400);
            lab.kill(number);
            lab.controller(number);
            at += 1_500;
        }
        lab.world.run_until(at);
        let verdict = lab.finish(2_000);
        assert_eq!(shares(&verdict), [8, 8, 8], "seed {seed}: {verdict:?}");
        assert_eq!(verdict.discarded, 0);
        assert!(verdict.longest < ms(50), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn busy_groups_move_over_a_slow_path_in_a_round_trip_and_a_half() {
    // 96 circuits on 24 groups, a message every few ms on each: there is always something on its way.
    let mut lab = three(1, 192);
    lab.world.run_until(1_500);
    lab.world.delay = ms(5);
    lab.world.run_until(2_000);
    lab.controller(14);
    lab.world.run_until(5_000);
    let verdict = lab.finish(4_000);
    assert_eq!(shares(&verdict), [6, 6, 6, 6], "{verdict:?}");
    assert_eq!((verdict.discarded, verdict.rolled_back), (0, 0));
    assert!(verdict.longest < ms(40), "{verdict:?}");
}

/// What happens to a controller while it has to give a group, or to get one.
#[derive(Debug, Clone, Copy)]
enum End {
    Killed,
    Hung,
    Stopped,
}

#[test]
fn whoever_ends_during_a_move_nothing_is_lost() {
    for seed in seeds() {
        for (end, old) in [End::Killed, End::Hung, End::Stopped].into_iter().flat_map(|end| [(end, true), (end, false)])
        {
            let mut lab = Lab::new(seed, |config| config.failover.moves_outstanding_max = 2);
            (11..=13).for_each(|number| lab.controller(number));
            lab.network(48);
            lab.world.run_until(1_500);
            lab.world.delay = ms(3);
            lab.world.run_until(1_600 + seed % 50);
            let before = moves(&lab);
            lab.controller(14);
            let (from, to) = next_move(&mut lab, before + (seed % 3) as usize);
            let number = if old { from } else { to };
            match end {
                End::Killed => lab.kill(number),
                End::Hung => lab.world.hang(ip(number)),
                End::Stopped => lab.stop(number),
            }
            let later = lab.world.elapsed_ms() + 1_200;
            lab.world.run_until(later);
            match end {
                End::Hung => lab.world.wake(ip(number)),
                End::Killed | End::Stopped => {
                    lab.kill(number);
                    lab.controller(number);
                }
            }
            lab.world.run_until(later + 2_000);
            let verdict = lab.finish(4_000);
            let what = format!("seed {seed} {end:?} old {old}: {verdict:?}");
            assert_eq!(verdict.discarded, 0, "{what}");
            assert_eq!(shares(&verdict), [6, 6, 6, 6], "{what}");
        }
    }
}

#[test]
fn a_gateway_that_stalls_during_moves_goes_on_with_them() {
    let mut lab = three(2, 96);
    lab.world.run_until(1_500);
    lab.world.delay = ms(3);
    lab.controller(14);
    next_move(&mut lab, 0);
    lab.world.hang(GATEWAY);
    let later = lab.world.elapsed_ms() + 200;
    lab.world.run_until(later);
    lab.world.wake(GATEWAY);
    lab.world.run_until(later + 2_000);
    let verdict = lab.finish(4_000);
    assert_eq!(shares(&verdict), [6, 6, 6, 6], "{verdict:?}");
    assert!(verdict.given_up.is_empty() && verdict.discarded == 0, "{verdict:?}");
}

#[test]
fn without_rebalancing_groups_stay() {
    let mut lab = Lab::new(1, |config| config.failover.rebalance = false);
    (11..=13).for_each(|number| lab.controller(number));
    lab.network(48);
    lab.world.run_until(1_500);
    lab.controller(14);
    lab.world.run_until(3_000);
    let verdict = lab.finish(2_000);
    assert_eq!(shares(&verdict), [8, 8, 8], "{verdict:?}");
    assert!(verdict.moved.is_empty());
}

/// One controller has all 24 groups, another joins; as the name service tells their policy.
fn second_joins(policy: PolicyName, weights: [u32; 2]) -> Verdict {
    let mut lab = Lab::new(1, |_| {});
    let with = |weight| {
        move |config: &mut gwc_pe::config::Config| {
            config.pool.policy = policy;
            config.pool.weight = weight;
        }
    };
    lab.controller_with(11, with(weights[0]));
    lab.network(48);
    lab.world.run_until(1_500);
    lab.controller_with(12, with(weights[1]));
    lab.world.run_until(2_500);
    lab.finish(2_000)
}

#[test]
fn shares_are_by_weight_if_the_policy_has_weights() {
    for (policy, weights, expected) in [
        (PolicyName::WeightedRoundRobin, [3, 1], vec![18, 6]),
        (PolicyName::WeightedRandom, [1, 2], vec![8, 16]),
        (PolicyName::Random, [3, 1], vec![12, 12]),
        (PolicyName::LeastUsed, [3, 1], vec![24]),
    ] {
        let verdict = second_joins(policy, weights);
        assert_eq!(shares(&verdict), expected, "{policy:?} {verdict:?}");
        assert_eq!(verdict.discarded, 0);
    }
}

#[test]
fn controllers_with_more_streams_than_the_gateway_give_groups_back_in_order() {
    for seed in seeds() {
        let mut lab = Lab::new(seed, |_| {});
        let more = |config: &mut gwc_pe::config::Config| config.sctp.outbound_streams = 64;
        (11..=13).for_each(|number| lab.controller_with(number, more));
        lab.network(192);
        lab.world.loss_per_mille = 20;
        lab.world.delay = ms(3);
        for number in 14..=17 {
            let later = lab.world.elapsed_ms() + 1_500;
            lab.world.run_until(later);
            lab.controller_with(number, more);
        }
        let later = lab.world.elapsed_ms() + 1_500;
        lab.world.run_until(later);
        lab.world.loss_per_mille = 0;
        let verdict = lab.finish(10_000);
        assert_eq!(verdict.discarded, 0, "seed {seed}: {verdict:?}");
        assert!(verdict.moved.len() >= 12, "seed {seed}: {verdict:?}");
    }
}
