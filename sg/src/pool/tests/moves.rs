//! Planned moves, message by message: who is asked, what waits, what the next owner gets, and what else may happen in between.

use super::bench::{Bench, Got, cookie, data};
use crate::pool::{Share, Wish};
use sctp::{AssocId, CloseReason};

/// Answers liveness BEATs, and gives the groups that were asked for.
fn asked(bench: &mut Bench, assoc: AssocId) -> Vec<Got> {
    let mut asked = Vec::new();
    for got in bench.all(assoc) {
        match got {
            Got::Liveness(_) => bench.echo(assoc, &got),
            Got::Release(_) => asked.push(got),
            // No echo of barriers: cookies alone say what is done.
            Got::Barrier(_) | Got::Data(..) | Got::CookieEcho(_) | Got::LeaseEcho | Got::Other(_) => {}
        }
    }
    asked
}

/// A controller with `groups` groups, each with a committed cookie, and nothing on its way.
fn owner(bench: &mut Bench, groups: u16) -> AssocId {
    let one = bench.controller(1);
    for group in 0..groups {
        bench.offer(group * 32, b'a');
        bench.cookie(one, group * 32, 1, b"calls");
    }
    bench.clear();
    one
}

/// Lets the time pass after which groups are shared anew; everybody answers.
fn share(bench: &mut Bench, all: &[AssocId]) -> Vec<Got> {
    let mut questions = Vec::new();
    for _ in 0..25 {
        bench.pass(10);
        for assoc in all {
            questions.extend(asked(bench, *assoc));
        }
    }
    questions
}

#[test]
fn the_owner_is_asked_messages_wait_and_the_next_one_gets_cookie_and_messages() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    let questions = share(&mut bench, &[one, two]);
    assert_eq!(questions, [Got::Release(0)], "one of two");
    assert_eq!(bench.lines("M"), ["00000001,00000002,1,2,5,0"]);
    bench.offer(0, b'b');
    bench.offer(0, b'c');
    assert!(bench.got(one).is_empty() && bench.got(two).is_empty(), "they wait for the echo");
    bench.offer(32, b'b');
    assert_eq!(bench.got(one), [data(2, 32, b'b')], "the other group goes on");
    bench.echo(one, &questions[0]);
    assert_eq!(bench.got(two), [Got::CookieEcho(cookie(0, 1, b"calls").to_vec()), data(2, 0, b'b'), data(3, 0, b'c')]);
    assert_eq!(bench.lines("G").last().unwrap(), "00000002,1,2,5,0");
    let counters = bench.pool.counters();
    assert_eq!((counters.moves_started, counters.moves_completed, counters.taken_back), (1, 1, 0));
    assert!(share(&mut bench, &[one, two]).is_empty(), "each has its share");
}

#[test]
fn what_the_owner_still_does_is_committed_before_the_echo() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    bench.offer(0, b'b');
    bench.offer(32, b'b');
    let questions = share(&mut bench, &[one, two]);
    assert_eq!(questions.len(), 1);
    bench.output(one, 0, b'x');
    bench.cookie(one, 0, 2, b"more calls");
    // A timer of its own, after the question was on its way.
    bench.output(one, 0, b'y');
    bench.cookie(one, 0, 2, b"still more calls");
    assert_eq!(bench.take_released(), b"xy");
    bench.echo(one, &questions[0]);
    assert_eq!(bench.got(two), [Got::CookieEcho(cookie(0, 2, b"still more calls").to_vec())]);
    // Nothing after the echo is its own.
    bench.output(one, 0, b'z');
    assert_eq!((bench.pool.counters().not_owner, bench.take_released().len()), (1, 0));
}

#[test]
fn what_the_owner_could_not_use_is_dealt_with_when_it_echoes() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    bench.offer(0, b'b');
    bench.offer(32, b'b');
    let questions = share(&mut bench, &[one, two]);
    bench.echo(one, &questions[0]);
    assert_eq!(bench.got(two), [Got::CookieEcho(cookie(0, 1, b"calls").to_vec())], "the message is not sent again");
}

#[test]
fn an_echo_with_output_but_no_cookie_is_not_believed() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    let questions = share(&mut bench, &[one, two]);
    bench.output(one, 0, b'x');
    bench.echo(one, &questions[0]);
    assert_eq!(bench.wire.aborted, [one]);
    bench.pass(300);
    assert_eq!(bench.got(two).len(), 2, "both groups, by takeover");
    assert!(bench.take_released().is_empty());
    assert_eq!(bench.pool.counters().moves_cancelled, 1);
}

#[test]
fn an_echo_that_nobody_asked_for_moves_nothing() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    bench.echo(one, &Got::Release(0));
    bench.echo(two, &Got::Release(0));
    bench.echo(two, &Got::Release(99));
    assert_eq!(bench.pool.counters().stray_echoes, 3);
    let questions = share(&mut bench, &[one, two]);
    bench.echo(two, &questions[0]);
    assert_eq!(bench.pool.counters().moves_completed, 0, "the owner was asked, not this one");
    bench.echo(one, &questions[0]);
    assert_eq!(bench.pool.counters().moves_completed, 1);
    bench.echo(one, &questions[0]);
    assert_eq!(bench.pool.counters().stray_echoes, 5, "once");
}

#[test]
fn only_so_many_at_a_time_idle_ones_first_and_none_too_many() {
    let mut bench = Bench::new(|_, failover| failover.moves_outstanding_max = 2);
    let one = owner(&mut bench, 9);
    // Calls on the lower groups; group 8 is the only quite idle one.
    for group in 0..8 {
        bench.cookie(one, group * 32, 1, &[0; 100]);
    }
    bench.offer(0, b'b');
    let (two, three) = (bench.controller(2), bench.controller(3));
    let mut questions = share(&mut bench, &[one, two, three]);
    assert_eq!(questions[0], Got::Release(8), "the one with the least state");
    let mut moved = 0;
    while !questions.is_empty() {
        assert!(questions.len() <= 2);
        moved += questions.len();
        questions.iter().for_each(|question| bench.echo(one, question));
        questions = asked(&mut bench, one);
    }
    assert_eq!(moved, 6);
    assert_eq!(bench.groups_of(&[one, two, three]), [3, 3, 3]);
    assert!(share(&mut bench, &[one, two, three]).is_empty());
}

#[test]
fn by_weight_where_the_policy_has_weights_and_not_at_all_where_it_goes_by_load() {
    for (shares, expected) in [
        ([Share::Weight(3), Share::Weight(1)], [9, 3]),
        ([Share::Weight(1), Share::Weight(1)], [6, 6]),
        // Weight 0 serves nobody.
        ([Share::Weight(0), Share::Weight(7)], [0, 12]),
        ([Share::Weight(0), Share::Weight(0)], [12, 0]),
        ([Share::Weight(u32::MAX), Share::Weight(u32::MAX)], [6, 6]),
        ([Share::None, Share::None], [12, 0]),
        ([Share::Weight(1), Share::Unknown], [12, 0]),
    ] {
        let mut bench = Bench::new(|_, _| {});
        bench.names.shares = [(1, shares[0]), (2, shares[1])].into();
        let one = owner(&mut bench, 12);
        let two = bench.controller(2);
        for question in share(&mut bench, &[one, two]) {
            bench.echo(one, &question);
        }
        assert_eq!(bench.groups_of(&[one, two]), expected, "{shares:?}");
    }
}

#[test]
fn an_unknown_weight_is_waited_for() {
    let mut bench = Bench::new(|_, _| {});
    bench.names.shares.insert(2, Share::Unknown);
    let one = owner(&mut bench, 4);
    let two = bench.controller(2);
    assert!(share(&mut bench, &[one, two]).is_empty());
    bench.names.shares.clear();
    assert_eq!(share(&mut bench, &[one, two]).len(), 2);
}

#[test]
fn the_owner_dies_before_it_echoes() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    share(&mut bench, &[one, two]);
    bench.offer(0, b'b');
    bench.close(one, &CloseReason::Unreachable);
    assert_eq!(
        bench.got(two),
        [
            Got::CookieEcho(cookie(0, 1, b"calls").to_vec()),
            data(2, 0, b'b'),
            Got::CookieEcho(cookie(32, 1, b"calls").to_vec())
        ],
        "an ordinary takeover"
    );
    assert_eq!(bench.pool.counters().moves_cancelled, 1);
}

#[test]
fn the_one_it_was_for_dies_before_the_echo() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    let questions = share(&mut bench, &[one, two]);
    bench.close(two, &CloseReason::Unreachable);
    bench.offer(0, b'b');
    assert!(bench.got(one).is_empty(), "it was asked, and forgets the group");
    bench.echo(one, &questions[0]);
    assert_eq!(
        bench.got(one),
        [Got::CookieEcho(cookie(0, 1, b"calls").to_vec()), data(2, 0, b'b')],
        "by policy, and there is no other"
    );
    assert_eq!(bench.pool.counters().moves_cancelled, 1);
}

#[test]
fn an_owner_that_lives_but_does_not_echo_is_given_up_as_if_it_confirmed_nothing() {
    let mut bench = Bench::new(|_, failover| failover.confirm_ms = 700);
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    assert_eq!(share(&mut bench, &[one, two]).len(), 1);
    bench.offer(0, b'b');
    let begin = bench.elapsed_ms();
    while bench.wire.aborted.is_empty() {
        bench.pass(10);
        bench.lease(one, 280);
        asked(&mut bench, one);
        asked(&mut bench, two);
        assert!(bench.elapsed_ms() < 2_000, "it never gives back");
    }
    assert!((600..=720).contains(&(bench.elapsed_ms() - begin)));
    bench.pass(300);
    assert_eq!(bench.groups_of(&[two]), [2]);
}

#[test]
fn an_idle_owner_that_hangs_is_noticed_as_soon_as_one_with_messages() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    assert_eq!(share(&mut bench, &[one, two]).len(), 1);
    // Its BEATs of before are answered late, what was asked last is not.
    let begin = bench.elapsed_ms();
    while bench.wire.aborted.is_empty() {
        bench.pass(10);
        asked(&mut bench, two);
        assert!(bench.elapsed_ms() - begin < 400, "never noticed");
    }
}

#[test]
fn an_owner_that_leaves_gives_all_by_its_leaving() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    let questions = share(&mut bench, &[one, two]);
    bench.offer(0, b'b');
    bench.asp_inactive(one);
    assert_eq!(bench.got(two).len(), 3, "two cookies and a message, at once");
    bench.echo(one, &questions[0]);
    assert_eq!(bench.pool.counters().stray_echoes, 1);
    assert_eq!(bench.groups_of(&[two]), [2]);
}

#[test]
fn no_room_for_the_question_is_no_move_yet() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    bench.pass(100);
    asked(&mut bench, one);
    asked(&mut bench, two);
    bench.wire.room = Some(0);
    bench.pass(100);
    assert_eq!(bench.pool.counters().moves_started, 0);
    bench.wire.room = None;
    assert_eq!(share(&mut bench, &[one, two]), [Got::Release(0)]);
}

#[test]
fn foreign_controllers_are_not_asked() {
    let mut bench = Bench::new(|server, _| server.transactions = false);
    let one = bench.controller(1);
    (0..4).for_each(|group| bench.offer(group * 32, b'a'));
    let two = bench.controller(2);
    assert!(share(&mut bench, &[one, two]).is_empty());
    let mut bench = Bench::new(|_, failover| failover.rebalance = false);
    let one = owner(&mut bench, 4);
    let two = bench.controller(2);
    assert!(share(&mut bench, &[one, two]).is_empty());
}

#[test]
fn a_takeover_does_not_go_to_one_that_is_silent_if_there_is_another() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two, three) = (bench.controller(1), bench.controller(2), bench.controller(3));
    (0..3).for_each(|group| bench.offer(group * 32, b'a'));
    assert_eq!(bench.groups_of(&[one, two, three]), [1, 1, 1]);
    bench.cookie(one, 0, 1, b"calls");
    bench.cookie(three, 64, 1, b"calls");
    // Two hangs, its message unanswered for longer than two BEATs; then one dies.
    for _ in 0..15 {
        bench.pass(10);
        asked(&mut bench, one);
        asked(&mut bench, three);
    }
    bench.close(one, &CloseReason::Unreachable);
    assert_eq!(bench.groups_of(&[two, three]), [1, 2]);
    // With nobody else it gets what there is: it may be a short stall.
    bench.close(three, &CloseReason::Unreachable);
    assert_eq!(bench.groups_of(&[two]), [3]);
}

#[test]
fn what_waits_behind_the_window_of_a_slow_owner_goes_to_the_next_one() {
    let mut bench = Bench::new(|server, _| server.unconfirmed_max = 1);
    let one = owner(&mut bench, 2);
    let two = bench.controller(2);
    for group in [0, 32] {
        (b'b'..=b'd').for_each(|text| bench.offer(group, text));
    }
    let questions = share(&mut bench, &[one, two]);
    assert_eq!(questions.len(), 1);
    let Got::Release(block) = questions[0] else { unreachable!() };
    let cic = block * 32;
    // The one message of the window may be the other group's.
    let sent: u32 = if cic == 0 { 2 } else { 1 };
    bench.cookie(one, cic, sent, b"more");
    bench.echo(one, &questions[0]);
    let mut expected = vec![Got::CookieEcho(cookie(cic, sent, b"more").to_vec())];
    expected.push(data(sent + 1, cic, [b'b', b'c'][sent as usize - 1]));
    assert_eq!(bench.got(two), expected, "what was not sent, as far as the window goes");
}

/// It was to get a group and leaves the pool: its association is ended, and the group would wait there until that is done.
#[test]
fn one_that_left_the_pool_gets_no_group() {
    let mut bench = Bench::new(|_, _| {});
    let one = owner(&mut bench, 4);
    let (two, three) = (bench.controller(2), bench.controller(3));
    let questions = share(&mut bench, &[one, two, three]);
    assert!(bench.lines("M").iter().any(|line| line.starts_with("00000001,00000002,")), "{:?}", bench.lines("M"));
    bench.on(|pool, cx| pool.element_gone(cx, 2));
    assert_eq!(bench.wire.shut, [two]);
    questions.iter().for_each(|question| bench.echo(one, question));
    assert!(bench.got(two).is_empty());
    assert_eq!(bench.groups_of(&[one, two, three])[1], 0);
}

#[test]
fn a_drained_controller_gives_all_its_groups_and_gets_none_until_it_serves_again() {
    // Not by sharing anew: by being drained.
    let mut bench = Bench::new(|_, failover| failover.rebalance = false);
    let one = owner(&mut bench, 8);
    let (two, three) = (bench.controller(2), bench.controller(3));
    let all = [one, two, three];
    let drain = |bench: &mut Bench, wish| bench.on(|pool, cx| pool.control(cx, 1, wish)).expect("it is there");
    assert!(share(&mut bench, &all).is_empty());
    drain(&mut bench, Wish::Drain);
    assert_eq!(bench.names.draining, [(1, true)]);
    bench.offer(0, b'b');
    while bench.groups_of(&[one]) != [0] {
        let questions = share(&mut bench, &[one, two, three]);
        assert!(!questions.is_empty(), "{:?} groups are left", bench.groups_of(&all));
        questions.iter().for_each(|question| bench.echo(one, question));
    }
    assert_eq!(bench.groups_of(&all), [0, 4, 4]);
    assert_eq!(bench.pool.counters().given_up, 0);
    // A new group, and one that it begins itself.
    bench.offer(600, b'a');
    bench.output(one, 700, b'x');
    bench.cookie(one, 700, 0, b"calls");
    assert_eq!(bench.groups_of(&[one]), [1]);
    let questions = share(&mut bench, &all);
    questions.iter().for_each(|question| bench.echo(one, question));
    assert_eq!(bench.groups_of(&[one]), [0]);
    drain(&mut bench, Wish::Undrain);
    assert_eq!(bench.names.draining, [(1, true), (1, false)]);
    bench.offer(800, b'a');
    bench.offer(900, b'a');
    bench.offer(1_000, b'a');
    assert_eq!(bench.groups_of(&[one]), [1], "its turn is as good as another's");
}

#[test]
fn a_blocked_controller_is_not_connected_to() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    assert!(bench.on(|pool, cx| pool.control(cx, 7, Wish::Block)).is_none(), "there is no such one");
    bench.on(|pool, cx| pool.control(cx, 1, Wish::Block));
    assert_eq!(bench.wire.shut, [one]);
    bench.close(one, &CloseReason::Shutdown);
    let before = bench.wire.connects.len();
    bench.pass(1_000);
    assert_eq!(bench.wire.connects.len(), before);
    bench.on(|pool, cx| pool.control(cx, 1, Wish::Unblock));
    bench.pass(1);
    assert_eq!(bench.wire.connects.len(), before + 1);
}
