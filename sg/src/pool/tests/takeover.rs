//! Controllers die, hang, leave: nothing lost, nothing reordered, nobody acts while another may.

use super::bench::{Bench, Got, cookie, data};
use m3ua_lite::session::Envelope;
use sctp::{AssocId, CloseReason};

fn answer_all(bench: &mut Bench, assoc: AssocId) {
    for got in bench.all(assoc) {
        if matches!(got, Got::Barrier(_) | Got::Liveness(_)) {
            bench.echo(assoc, &got);
        }
    }
}

/// As call control that hangs: SCTP and M3UA answer, and nothing is confirmed.
fn answer_liveness(bench: &mut Bench, assoc: AssocId) {
    for got in bench.all(assoc) {
        if matches!(got, Got::Liveness(_)) {
            bench.echo(assoc, &got);
        }
    }
}

#[test]
fn a_certain_end_moves_the_groups_at_once_cookie_first() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.output(one, 1, b'x');
    bench.cookie(one, 1, 1, b"calls");
    bench.offer(1, b'b');
    bench.offer(2, b'c');
    bench.output(one, 1, b'y');
    assert_eq!(bench.take_released(), b"x");
    bench.close(one, &CloseReason::Unreachable);
    assert_eq!(
        bench.got(two),
        [Got::CookieEcho(cookie(1, 1, b"calls").to_vec()), data(2, 1, b'b'), data(3, 2, b'c')],
        "with their old Correlation Ids"
    );
    bench.offer(1, b'd');
    assert_eq!(bench.got(two), [data(4, 1, b'd')]);
    assert!(bench.take_released().is_empty(), "the output without cookie never happened");
    assert_eq!(bench.lines("F"), ["00000001,unreachable"]);
    assert_eq!(bench.lines("H"), ["00000001,10200002", "00000001,10200003"]);
    assert_eq!(bench.names.reported, [1]);
    assert_eq!(bench.names.usable.last(), Some(&(1, false)), "resolution does not yield it (N5)");
}

#[test]
fn the_next_controller_is_told_how_old_the_cookie_is() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.cookie(one, 1, 1, b"calls");
    bench.pass(70);
    // A controller that writes an age is not believed.
    let mut lie = cookie(1, 1, b"more calls").to_vec();
    Envelope::set_age(&mut lie, 5_000);
    bench.whole_cookie(one, lie.into());
    bench.pass(30);
    bench.clear();
    bench.close(one, &CloseReason::Unreachable);
    assert_eq!(bench.cookie_ages(two), [30]);
    // The second one commits nothing: the cookie gets older.
    bench.pass(50);
    let three = bench.controller(3);
    bench.clear();
    bench.close(two, &CloseReason::Unreachable);
    assert_eq!(bench.cookie_ages(three), [80]);
}

#[test]
fn a_silent_controllers_groups_wait_for_the_end_of_its_lease() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.pass(30);
    bench.lease(one, 280);
    bench.close(one, &CloseReason::Silent);
    bench.offer(1, b'b');
    bench.pass(299);
    assert!(bench.got(two).is_empty(), "it may still act");
    bench.pass(1);
    assert_eq!(bench.got(two), [data(1, 1, b'a'), data(2, 1, b'b')], "30 + 280 + 20 ms");
}

#[test]
fn a_hang_is_seen_by_its_m3ua_layer_and_never_acts_on() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    let mut moved_at = None;
    while moved_at.is_none() {
        bench.pass(1);
        answer_all(&mut bench, two);
        if bench.pool.counters().given == 2 {
            moved_at = Some(bench.elapsed_ms());
        }
        assert!(bench.elapsed_ms() < 1_000, "never noticed");
    }
    assert_eq!(moved_at, Some(320), "dead_ms after the question, and the lease was over by then");
    assert_eq!(bench.wire.aborted, [one]);
    // It wakes up and goes on where it was: nobody listens.
    bench.now += std::time::Duration::from_millis(100);
    let late = cookie(1, 1, b"late");
    let payload = asap::wire::Message::Cookie { cookie: late }.encode().unwrap();
    assert!(!bench.on(|pool, cx| pool.message(cx, one, 1, sctp::ppid::ASAP, false, &payload)));
    assert!(bench.take_released().is_empty());
}

#[test]
fn an_idle_spare_that_hangs_is_found_too() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.pass(0);
    answer_all(&mut bench, one);
    bench.offer(1, b'a');
    for _ in 0..200 {
        bench.pass(10);
        answer_all(&mut bench, one);
        if bench.wire.aborted == [two] {
            assert!(bench.elapsed_ms() <= 1_000 + 330);
            return;
        }
    }
    panic!("never noticed");
}

#[test]
fn a_slow_path_gets_four_round_trips() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.wire.rtt = Some(std::time::Duration::from_millis(150));
    bench.offer(1, b'a');
    bench.pass(599);
    assert!(bench.wire.aborted.is_empty());
    bench.pass(1);
    assert_eq!(bench.wire.aborted, [one]);
}

#[test]
fn our_own_stall_is_no_failover() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.offer(1, b'a');
    bench.pass(100);
    bench.now += std::time::Duration::from_millis(300);
    bench.on(|pool, cx| pool.handle_timeout(cx, Some(std::time::Duration::from_millis(300))));
    assert!(bench.wire.aborted.is_empty());
    answer_all(&mut bench, one);
    bench.cookie(one, 1, 1, b"s");
    bench.pass(200);
    assert!(bench.wire.aborted.is_empty());
}

#[test]
fn answers_without_confirmation_are_not_enough() {
    let mut bench = Bench::new(|_, failover| failover.confirm_ms = 700);
    let one = bench.controller(1);
    bench.offer(1, b'a');
    while bench.wire.aborted.is_empty() {
        bench.pass(10);
        answer_liveness(&mut bench, one);
        assert!(bench.elapsed_ms() < 1_500, "it confirms nothing");
    }
    assert!(bench.elapsed_ms() >= 700);
}

/// The defaults: call control that hangs behind an M3UA layer that answers is noticed as soon as a controller that hangs.
#[test]
fn a_stuck_worker_is_noticed_in_time_and_a_far_one_has_its_round_trips() {
    for (rtt_ms, range) in [(0, 320..=345), (200, 800..=840)] {
        let mut bench = Bench::new(|_, _| {});
        let one = bench.controller(1);
        bench.wire.rtt = Some(std::time::Duration::from_millis(rtt_ms));
        bench.offer(1, b'a');
        while bench.wire.aborted.is_empty() {
            bench.pass(5);
            answer_liveness(&mut bench, one);
            bench.lease(one, 280);
            assert!(bench.elapsed_ms() < 2_000, "it confirms nothing");
        }
        assert!(range.contains(&bench.elapsed_ms()), "{} ms with a round trip of {rtt_ms}", bench.elapsed_ms());
    }
}

/// Its lease has to be over when it is given up, or its groups would wait for that.
#[test]
fn one_that_confirms_nothing_gets_no_lease() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    let begin = bench.elapsed_ms();
    let leased = |got: Vec<Got>| got.into_iter().filter(|got| *got == Got::LeaseEcho).count();
    bench.pass(40);
    bench.lease(one, 280);
    assert_eq!(leased(bench.all(one)), 1, "not too long yet");
    bench.pass(20);
    bench.lease(one, 280);
    bench.pass(20);
    assert_eq!(leased(bench.all(one)), 0, "withheld");
    bench.cookie(one, 1, 1, b"s");
    bench.pass(0);
    assert_eq!(leased(bench.all(one)), 1, "answered when it has confirmed something");
    bench.offer(1, b'b');
    let stuck = bench.elapsed_ms();
    while bench.groups_of(&[two]) != [1] {
        bench.pass(5);
        for (assoc, got) in [one, two].map(|assoc| (assoc, bench.all(assoc))) {
            for got in got.iter().filter(|got| matches!(got, Got::Liveness(_))) {
                if bench.wire.aborted.is_empty() || assoc == two {
                    bench.echo(assoc, got);
                }
            }
        }
        if bench.wire.aborted.is_empty() {
            bench.lease(one, 280);
        }
        assert!(bench.elapsed_ms() - stuck < 400, "{} ms, {} since the begin", bench.elapsed_ms() - stuck, begin);
    }
}

/// It comes back at once, with SCTP and M3UA in order; it gets groups again when it answers a barrier, and not before.
#[test]
fn one_that_was_stuck_has_to_prove_that_it_works_again() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.offer(1, b'a');
    while bench.wire.aborted.is_empty() {
        bench.pass(5);
        answer_liveness(&mut bench, one);
    }
    let two = bench.controller(2);
    bench.pass(5);
    assert_eq!(bench.groups_of(&[two]), [1]);
    for _ in 0..30 {
        bench.pass(5);
        answer_all(&mut bench, two);
    }
    let again = bench.wire.connects.last().unwrap().0;
    bench.up(again);
    bench.asp_up(again, 1);
    bench.lease(again, 280);
    bench.asp_active(again);
    let proof =
        bench.all(again).into_iter().find(|got| matches!(got, Got::Barrier(_))).expect("it is asked for a sign");
    for cic in [40, 70, 100, 130] {
        bench.offer(cic, b'a');
        bench.pass(5);
        answer_all(&mut bench, two);
    }
    assert_eq!(bench.groups_of(&[again, two]), [0, 5]);
    bench.echo(again, &proof);
    for cic in [160, 200] {
        bench.offer(cic, b'a');
        bench.pass(5);
        answer_all(&mut bench, two);
    }
    assert!(bench.groups_of(&[again])[0] > 0);
}

#[test]
fn while_the_fence_stands_new_messages_wait_behind_the_old_and_bounded() {
    let mut bench = Bench::new(|server, _| server.queue_messages_max = 3);
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.close(one, &CloseReason::Silent);
    for n in b'b'..=b'e' {
        bench.offer(1, n);
    }
    assert_eq!(bench.lines("X").len(), 2, "queue-full");
    bench.offer(40, b'z');
    assert_eq!(bench.lines("X").len(), 3);
    bench.pass(300);
    assert_eq!(bench.got(two), [data(1, 1, b'a'), data(2, 1, b'b'), data(3, 1, b'c')]);
}

#[test]
fn the_next_one_dies_too() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two, three) = (bench.controller(1), bench.controller(2), bench.controller(3));
    bench.offer(1, b'a');
    bench.close(one, &CloseReason::Unreachable);
    assert_eq!(bench.got(two), [data(1, 1, b'a')]);
    bench.cookie(two, 1, 1, b"one");
    bench.offer(1, b'b');
    bench.close(two, &CloseReason::PeerAbort(None));
    assert_eq!(bench.got(three), [Got::CookieEcho(cookie(1, 1, b"one").to_vec()), data(2, 1, b'b')]);
    bench.cookie(three, 1, 2, b"two");
    assert_eq!(bench.pool.counters().applied, 2);
    assert_eq!(bench.lines("F"), ["00000001,unreachable", "00000002,abort"]);
}

#[test]
fn idle_groups_with_calls_move_as_well() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.cookie(one, 1, 1, b"answered call");
    bench.close(one, &CloseReason::Unreachable);
    assert_eq!(bench.got(two), [Got::CookieEcho(cookie(1, 1, b"answered call").to_vec())]);
}

#[test]
fn a_planned_stop_moves_each_group_when_it_is_confirmed() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.offer(40, b'-');
    assert_eq!(bench.got(two).len(), 1);
    bench.asp_inactive(one);
    assert_eq!(bench.names.usable.last(), Some(&(1, false)), "resolution does not yield it (N5)");
    bench.offer(1, b'b');
    assert!(bench.got(two).is_empty(), "one finishes first");
    bench.output(one, 1, b'x');
    bench.cookie(one, 1, 1, b"s");
    assert_eq!(bench.take_released(), b"x", "its last output counts");
    assert_eq!(bench.got(two), [Got::CookieEcho(cookie(1, 1, b"s").to_vec()), data(2, 1, b'b')]);
    bench.asp_down(one);
    bench.close(one, &CloseReason::Shutdown);
    assert!(bench.names.reported.is_empty(), "nothing failed");
}

#[test]
fn a_planned_stop_that_takes_too_long_is_a_failure() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.asp_down(one);
    for _ in 0..33 {
        bench.pass(10);
        bench.lease(one, 280);
        for assoc in [one, two] {
            answer_liveness(&mut bench, assoc);
        }
    }
    assert_eq!(bench.lines("F"), ["00000001,asp-down"]);
    assert!(bench.got(two).is_empty(), "fenced by its lease");
    bench.pass(300);
    assert_eq!(bench.pool.counters().given, 2);
}

#[test]
fn a_shutdown_moves_what_is_unconfirmed() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.close(one, &CloseReason::Shutdown);
    assert_eq!(bench.got(two), [data(1, 1, b'a')]);
}

#[test]
fn no_asp_up_in_time_is_reported_once_and_tried_again() {
    let mut bench = Bench::new(|_, failover| failover.asp_up_ms = 500);
    let one = bench.register(1);
    bench.up(one);
    bench.pass(500);
    assert_eq!(bench.wire.aborted, [one]);
    bench.pass(100);
    assert_eq!(bench.wire.connects.len(), 2, "again after reconnect_ms");
    bench.pass(5_000);
    assert_eq!(bench.names.reported, [1], "once");
    assert_eq!(bench.lines("F").len(), 1);
    assert!(bench.wire.connects.len() > 5);
    let again = bench.wire.connects.last().unwrap().0;
    bench.up(again);
    bench.asp_up(again, 1);
    bench.asp_active(again);
    assert_eq!(bench.names.usable.last(), Some(&(1, true)));
}

#[test]
fn the_wrong_controller_at_an_address_is_refused() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.register(1);
    bench.up(one);
    bench.asp_up(one, 2);
    assert_eq!(bench.all(one), [Got::Other("ERR")]);
}

#[test]
fn a_lease_without_end_is_not_granted() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.lease(one, 1_000_000);
    assert!(bench.all(one).is_empty());
    assert_eq!(bench.pool.counters().leases_refused, 1);
}

#[test]
fn after_an_outage_the_groups_are_shared_among_those_that_come() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    for circuit in 0..6 {
        bench.offer(circuit * 32, b'a');
    }
    bench.close(one, &CloseReason::Unreachable);
    bench.close(two, &CloseReason::Unreachable);
    bench.on(|pool, cx| {
        pool.element_gone(cx, 1);
        pool.element_gone(cx, 2);
    });
    bench.pass(800);
    let (three, four) = (bench.register(3), bench.register(4));
    for (assoc, pe) in [(three, 3), (four, 4)] {
        bench.up(assoc);
        bench.asp_up(assoc, pe);
    }
    bench.clear();
    bench.asp_active(three);
    assert!(bench.got(three).is_empty(), "another one is about to come");
    bench.pass(10);
    bench.asp_active(four);
    assert_eq!((bench.got(three).len(), bench.got(four).len()), (3, 3));
    assert!(bench.lines("X").is_empty());
}

#[test]
fn a_second_one_that_never_comes_does_not_hold_the_first_up() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.offer(1, b'a');
    bench.close(one, &CloseReason::Unreachable);
    bench.on(|pool, cx| pool.element_gone(cx, 1));
    let (three, four) = (bench.register(3), bench.register(4));
    bench.up(three);
    bench.asp_up(three, 3);
    bench.clear();
    bench.asp_active(three);
    assert!(bench.got(three).is_empty());
    bench.pass(100);
    assert_eq!(bench.got(three), [data(1, 1, b'a')]);
    assert!(!bench.wire.aborted.contains(&four));
}

#[test]
fn an_element_that_left_the_pool_keeps_its_groups_while_it_lives() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.on(|pool, cx| pool.element_gone(cx, 1));
    bench.on(|pool, cx| pool.element_gone(cx, 2));
    assert_eq!(bench.wire.shut, [two], "without groups it is not needed");
    bench.offer(1, b'b');
    assert_eq!(bench.got(one).len(), 2);
}

#[test]
fn a_leaving_controllers_barrier_echo_confirms_nothing_and_it_comes_back_by_a_new_association() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    let two = bench.controller(2);
    bench.offer(1, b'a');
    bench.pass(20);
    let barrier = bench.all(one).into_iter().find(|got| matches!(got, Got::Barrier(_))).unwrap();
    bench.asp_inactive(one);
    bench.echo(one, &barrier);
    assert_eq!(bench.pool.counters().applied, 0, "it may have dropped the message because it was inactive");
    bench.asp_active(one);
    assert_eq!(bench.wire.aborted, [one]);
    bench.pass(300);
    assert_eq!(bench.got(two), [data(1, 1, b'a')]);
}

/// The only controller is silent, and its lease is longer than T(r): messages are discarded, each group's when it may move; the calls
/// are kept for who comes.
#[test]
fn a_lease_longer_than_t_r_leaves_the_cookies_and_no_message() {
    let mut bench = Bench::new(|server, _| server.t_r_ms = 200);
    let one = bench.controller(1);
    for group in 0..3 {
        bench.offer(group * 32, b'a');
        bench.cookie(one, group * 32, 1, b"calls");
        bench.offer(group * 32, b'b');
    }
    bench.lease(one, 2_000);
    bench.close(one, &CloseReason::Silent);
    bench.pass(1_500);
    assert!(!bench.pool.is_available() && !bench.pool.is_idle(), "the lease is not over");
    bench.pass(1_000);
    assert!(bench.pool.is_idle());
    assert_eq!(bench.lines("X").len(), 3, "{:?}", bench.lines("X"));
    let two = bench.controller(2);
    bench.pass(0);
    assert_eq!(bench.groups_of(&[two]), [3], "their calls go on");
}
