//! One controller at a time: sending, confirming, committing, waiting.

use super::bench::{Bench, Got, STREAMS, cookie, data};
use m3ua_lite::wire::{Beat, Message};
use sctp::{AssocId, CloseReason, ppid};

#[test]
fn messages_go_to_one_controller_of_the_group_in_order() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.offer(1, b'a');
    bench.offer(40, b'b');
    bench.offer(2, b'c');
    assert_eq!(bench.got(one), [data(1, 1, b'a'), data(2, 2, b'c')], "circuits 0 to 31 are one group");
    assert_eq!(bench.got(two), [data(1, 40, b'b')], "the policy spreads groups; numbers count per group");
    assert_eq!(bench.lines("G"), ["00000001,1,2,5,0", "00000002,1,2,5,1"]);
}

#[test]
fn the_first_message_triggers_resolution_and_waits_for_it() {
    let mut bench = Bench::new(|_, _| {});
    bench.offer(1, b'a');
    bench.offer(1, b'b');
    assert_eq!(bench.names.resolved, 1);
    bench.pass(300);
    let one = bench.controller(1);
    // Sent before the bench looked away.
    bench.offer(1, b'c');
    assert_eq!(bench.got(one), [data(3, 1, b'c')]);
    assert_eq!(bench.pool.counters().discarded.of(crate::record::Discard::AsPendingExpired), 0);
}

#[test]
fn output_is_held_until_its_cookie_commits_it() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.offer(1, b'a');
    bench.output(one, 1, b'x');
    bench.output(one, 1, b'y');
    assert!(bench.take_released().is_empty());
    bench.cookie(one, 1, 1, b"state");
    assert_eq!(bench.take_released(), b"xy");
    assert_eq!(bench.pool.counters().applied, 1);
    assert_eq!(bench.lines("C"), ["00000001,00000006,5"]);
}

#[test]
fn without_transactions_output_passes_and_barriers_confirm() {
    let mut bench = Bench::new(|server, _| server.transactions = false);
    let one = bench.controller(1);
    bench.offer(1, b'a');
    bench.offer(1, b'b');
    bench.output(one, 1, b'x');
    assert_eq!(bench.take_released(), b"x");
    bench.pass(0);
    let got = bench.all(one);
    let barriers: Vec<_> = got.iter().filter(|got| matches!(got, Got::Barrier(_))).cloned().collect();
    assert_eq!(barriers.len(), 1, "one for the batch: {got:?}");
    bench.offer(1, b'c');
    bench.echo(one, &barriers[0]);
    assert_eq!(bench.pool.counters().applied, 2, "what came after the barrier is not covered");
}

#[test]
fn a_barrier_asks_for_what_no_cookie_confirmed() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.offer(1, b'a');
    bench.offer(1, b'b');
    bench.pass(5);
    bench.cookie(one, 1, 1, b"s");
    bench.pass(10);
    assert!(!bench.all(one).iter().any(|got| matches!(got, Got::Barrier(_))), "cookies normally do");
    bench.pass(10);
    let got = bench.all(one);
    let barrier = got.iter().find(|got| matches!(got, Got::Barrier(_))).expect("asked").clone();
    bench.echo(one, &barrier);
    assert_eq!(bench.pool.counters().applied, 2);
}

#[test]
fn an_asp_that_drops_heartbeat_data_gets_one_question_at_a_time() {
    let mut bench = Bench::new(|server, _| server.transactions = false);
    let one = bench.controller(1);
    for group in 0..6 {
        bench.offer(group * 32, b'a');
    }
    bench.pass(0);
    let asked = bench.all(one).iter().filter(|got| matches!(got, Got::Barrier(_) | Got::Liveness(_))).count();
    assert!(asked >= 2);
    // Each question asked before this is known gets an answer that says nothing.
    for _ in 0..asked {
        bench.send(one, 0, &Message::BeatAck(Beat { data: None }));
    }
    for _ in 0..100 {
        bench.pass(5);
        let asked = bench.all(one).iter().filter(|got| matches!(got, Got::Barrier(_) | Got::Liveness(_))).count();
        assert!(asked <= 1, "{asked} at once");
        if asked == 1 {
            bench.send(one, 0, &Message::BeatAck(Beat { data: None }));
        }
    }
    assert_eq!(bench.pool.counters().applied, 6);
    bench.pass(3_000);
    assert!(bench.wire.aborted.contains(&one), "and it is still supervised");
}

#[test]
fn sctp_without_room_loses_and_reorders_nothing() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.wire.room = Some(2);
    for n in 0..5 {
        bench.offer(1, n);
    }
    assert_eq!(bench.got(one).len(), 2);
    bench.wire.room = None;
    bench.pass(0);
    assert_eq!(bench.got(one), [data(3, 1, 2), data(4, 1, 3), data(5, 1, 4)]);
}

#[test]
fn as_pending_queues_in_order_up_to_its_limit_and_t_r() {
    let mut bench = Bench::new(|server, _| {
        server.queue_messages_max = 4;
        server.t_r_ms = 500;
    });
    let one = bench.controller(1);
    bench.offer(1, b'a');
    bench.close(one, &CloseReason::Unreachable);
    for n in b'b'..=b'f' {
        bench.offer(1, n);
    }
    assert_eq!(bench.lines("X").len(), 2, "four fit");
    assert!(bench.lines("X")[0].starts_with("queue-full,up,1,2,5,2,0,1,"));
    bench.pass(400);
    let two = bench.register(2);
    bench.up(two);
    bench.asp_up(two, 2);
    bench.clear();
    bench.asp_active(two);
    assert_eq!(bench.got(two), [data(1, 1, b'a'), data(2, 1, b'b'), data(3, 1, b'c'), data(4, 1, b'd')]);
    assert_eq!(bench.pool.take_availability_change(), None);
}

#[test]
fn when_t_r_is_over_the_queue_is_discarded_and_the_network_told() {
    let mut bench = Bench::new(|server, _| server.t_r_ms = 500);
    let one = bench.controller(1);
    bench.offer(1, b'a');
    bench.cookie(one, 1, 1, b"calls");
    bench.offer(1, b'b');
    bench.close(one, &CloseReason::Unreachable);
    bench.pass(499);
    assert!(bench.lines("X").is_empty());
    bench.pass(1);
    assert_eq!(bench.lines("X"), ["as-pending-expired,up,1,2,5,2,0,1,010062"]);
    assert_eq!(bench.pool.take_availability_change(), Some(false));
    bench.offer(1, b'c');
    assert_eq!(bench.lines("X").len(), 2, "nothing waits any more");
    let two = bench.register(2);
    bench.up(two);
    bench.asp_up(two, 2);
    bench.clear();
    bench.asp_active(two);
    assert_eq!(bench.pool.take_availability_change(), Some(true));
    assert_eq!(bench.got(two), [Got::CookieEcho(cookie(1, 1, b"calls").to_vec())], "the calls live on");
    bench.offer(1, b'd');
    assert_eq!(bench.got(two), [data(3, 1, b'd')]);
}

#[test]
fn a_controller_may_start_a_call_on_a_group_that_is_nobodys() {
    let mut bench = Bench::new(|_, _| {});
    let (one, two) = (bench.controller(1), bench.controller(2));
    bench.output(two, 1, b'i');
    bench.cookie(two, 1, 0, b"s");
    assert_eq!(bench.take_released(), b"i");
    bench.output(one, 1, b'j');
    bench.cookie(one, 1, 0, b"t");
    assert!(bench.take_released().is_empty(), "it is two's group now");
    assert_eq!(bench.pool.counters().not_owner, 2);
    bench.offer(1, b'a');
    assert_eq!(bench.got(two), [data(1, 1, b'a')]);
}

#[test]
fn garbage_from_a_controller_is_counted_and_ends_what_could_lose_output() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    let send = |bench: &mut Bench, ppid, bytes: &'static [u8]| {
        let payload = bytes::Bytes::from_static(bytes);
        bench.on(|pool, cx| pool.message(cx, one, 1, ppid, false, &payload));
    };
    send(&mut bench, ppid::M3UA, b"\x01\x00\x01\x01\x00\x00\x00\x09");
    send(&mut bench, 99, b"what?");
    assert_eq!(bench.pool.counters().malformed_from_pool, 1);
    assert_eq!(bench.pool.counters().unknown_ppid, 1);
    assert!(bench.wire.aborted.is_empty());
    send(&mut bench, ppid::ASAP, b"\x0b\x00\x00\x05x");
    assert_eq!(bench.wire.aborted, [one], "it may have been a cookie");
}

#[test]
fn too_much_uncommitted_output_ends_the_controller() {
    let mut bench = Bench::new(|server, _| server.held_messages_max = 3);
    let one = bench.controller(1);
    bench.offer(1, b'a');
    for n in 0..4 {
        bench.output(one, 1, n);
    }
    assert_eq!(bench.wire.aborted, [one]);
    assert!(bench.take_released().is_empty());
}

#[test]
fn one_stream_is_not_enough() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.register(1);
    assert!(bench.on(|pool, cx| pool.up(cx, one, STREAMS, 1)));
    assert_eq!(bench.wire.aborted, [one]);
}

#[test]
fn strangers_are_not_the_pools_business() {
    let mut bench = Bench::new(|_, _| {});
    assert!(!bench.on(|pool, cx| pool.up(cx, AssocId(99), 9, 9)));
    assert!(!bench.on(|pool, cx| pool.closed(cx, AssocId(99), &CloseReason::Silent)));
}

#[test]
fn a_controller_cannot_fill_the_gateway() {
    let mut bench = Bench::new(|server, _| {
        (server.groups_max, server.state_bytes_max, server.cookie_bytes_max) = (4, 4_000, 3_000);
    });
    let (hostile, honest) = (bench.controller(1), bench.controller(2));
    for block in 0..8 {
        bench.output(hostile, block * 32, 1);
    }
    assert_eq!(bench.pool.counters().not_owner, 6, "half of the table is the network's");
    bench.cookie(hostile, 0, 0, &[0; 2_500]);
    assert!(bench.wire.aborted.is_empty());
    bench.cookie(hostile, 32, 0, &[0; 2_500]);
    assert_eq!(bench.wire.aborted, [hostile], "together it is too much");
    assert_eq!(bench.take_released(), [1], "of what it could commit");
    bench.pass(400);
    bench.offer(64, 7);
    bench.cookie(honest, 64, 1, &[0; 100]);
    assert_eq!(bench.pool.counters().applied, 1);
    for text in 0..40 {
        bench.output(honest, 64, text);
    }
    assert_eq!(bench.wire.aborted, [hostile, honest], "held output counts too");
    assert!(bench.pool.counters().held_dropped > 0);
}

#[test]
fn without_room_the_groups_take_turns_and_only_one_asks() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.wire.room = Some(0);
    for block in 0..100 {
        bench.offer(block * 32, block as u8);
    }
    assert!(bench.got(one).is_empty());
    let mut got = Vec::new();
    for _ in 0..10 {
        bench.wire.room = Some(10);
        bench.on(|pool, cx| pool.end_batch(cx));
        got.extend(bench.got(one));
    }
    // All of them, each once; who asked in vain goes behind the others.
    got.sort_by_key(|got| format!("{got:?}"));
    got.dedup();
    assert_eq!(got.len(), 100);
}

proptest::proptest! {
    /// A controller out of control: the counters still add up (the bench checks after each message), nothing panics.
    #[test]
    fn hostile_controllers_cannot_break_the_books(
        steps in proptest::collection::vec((0u8..9, 0u16..70, 0u32..20), 1..80),
        junk in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
    ) {
        let mut bench = Bench::new(|_, _| {});
        let mut two = [bench.controller(1), bench.controller(2)];
        for (step, cic, number) in steps {
            let which = usize::from(cic % 2 == 1);
            let assoc = two[which];
            match step {
                0 | 1 => bench.offer(cic, 1),
                2 => bench.output(assoc, cic, 2),
                3 => bench.cookie(assoc, cic, number, b"s"),
                4 => bench.echo(assoc, &Got::Barrier(u64::from(number) << 16 | u64::from(cic % 5))),
                5 => bench.asp_inactive(assoc),
                6 => bench.asp_active(assoc),
                7 => {
                    let ppid = if number % 2 == 0 { ppid::M3UA } else { ppid::ASAP };
                    let payload = bytes::Bytes::from(junk.clone());
                    bench.on(|pool, cx| pool.message(cx, assoc, cic % 5, ppid, false, &payload));
                }
                _ => bench.pass(u64::from(number) * 10),
            }
            // It always comes back.
            if bench.wire.aborted.contains(&two[which]) {
                bench.pass(150);
                let (again, _) = *bench.wire.connects.iter().rev().find(|(_, ip)| ip.to_string().ends_with(&format!(".{}", which + 1))).unwrap();
                if !bench.wire.aborted.contains(&again) {
                    bench.up(again);
                    bench.asp_up(again, which as u32 + 1);
                    bench.asp_active(again);
                }
                two[which] = again;
            }
        }
    }
}
