//! A controller that applies only so much a second.

use super::*;
use proptest::prelude::*;

fn slow(per_s: f64) -> Bed {
    let mut bed = Bed::active(|c| c.session.capacity_per_s = per_s);
    bed.take();
    // What it had no use for so far is not saved up.
    bed.run(1_000, true);
    bed.take();
    bed
}

/// As the node does: timers and turns, with the gateway's lease echoes.
fn work(bed: &mut Bed, ms: u64) {
    let end = bed.now + Duration::from_millis(ms);
    loop {
        while bed.session.take_turn(bed.now, &mut bed.shared) {}
        match bed.session.poll_timeout(&bed.shared).filter(|at| *at <= end) {
            Some(at) => {
                bed.now = at.max(bed.now);
                bed.session.handle_timeout(bed.now, &mut bed.shared);
                bed.echo_leases();
            }
            None => break,
        }
    }
    bed.now = end;
}

#[test]
fn so_many_a_second_and_no_more() {
    let mut bed = slow(100.0);
    for id in 1..=500 {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    let at_once = bed.shared.counters.applied;
    assert!((1..=3).contains(&at_once), "what 20 ms give: {at_once}");
    work(&mut bed, 2_000);
    assert_eq!(bed.shared.counters.applied, at_once + 200);
    assert_eq!(bed.shared.capacity.waiting(), 300 - at_once as usize);
    work(&mut bed, 3_000);
    assert_eq!((bed.shared.counters.applied, bed.shared.capacity.waiting()), (500, 0));
    // In the order in which they came.
    let ids: Vec<String> = bed.record("I").iter().map(|line| line.split(',').nth(2).unwrap().to_owned()).collect();
    assert!(ids.is_sorted() && ids.len() == 500);
    // A second without work is not made up for.
    work(&mut bed, 1_000);
    for id in 501..=600 {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    assert!(bed.shared.counters.applied <= 503);
}

#[test]
fn a_busy_controller_is_not_dead() {
    let mut bed = slow(10.0);
    let stream = stream_for(&key(1), STREAMS);
    for id in 1..=40 {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    bed.beat(stream, false, Heartbeat::Barrier(7));
    bed.output();
    bed.beat(0, true, Heartbeat::Liveness(8));
    assert_eq!(bed.output(), ["0u: echo Liveness(8)"], "at once, and not the barrier");
    // Ten times as long as a lease.
    work(&mut bed, 2_800);
    assert_eq!(bed.shared.counters.leases_lost, 0);
    assert!(!bed.output().iter().any(|word| word.contains("Barrier")));
    work(&mut bed, 1_200);
    let out = bed.output();
    assert_eq!(out.last().unwrap(), &format!("{stream}: echo Barrier(7)"), "behind the last cookie");
    assert_eq!(bed.shared.counters.applied, 40);
}

/// The fault `stick-worker`: nothing is applied, no timer of a call runs, no barrier is echoed; liveness and leases go on.
#[test]
fn call_control_that_hangs_says_nothing_and_the_layers_below_go_on() {
    let mut bed = Bed::active(|_| {});
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.take();
    bed.shared.capacity.set_stuck(true);
    bed.isup(Some(0x1000_0002), &rel(37));
    bed.beat(stream_for(&key(1), STREAMS), false, Heartbeat::Barrier(7));
    bed.beat(0, true, Heartbeat::Liveness(8));
    assert_eq!(bed.output(), ["0u: echo Liveness(8)"]);
    work(&mut bed, 5_000);
    assert_eq!((bed.shared.counters.applied, bed.shared.counters.leases_lost), (1, 0));
    assert!(bed.output().iter().all(|word| word.contains("Lease")), "no ACM, no ANM, no barrier");
    bed.shared.capacity.set_stuck(false);
    work(&mut bed, 10);
    assert_eq!((bed.shared.counters.applied, bed.shared.capacity.waiting()), (2, 0));
    assert!(bed.output().iter().any(|word| word.contains("echo Barrier(7)")));
}

#[test]
fn a_cookie_and_a_request_for_a_group_wait_behind_data() {
    let mut bed = slow(10.0);
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.isup(Some(0x1000_0002), &rel(37));
    bed.isup(Some(0x1000_0003), &rel(37));
    bed.beat(stream_for(&key(1), STREAMS), false, Heartbeat::Release(key(1)));
    assert_eq!(bed.shared.counters.applied, 1);
    assert_eq!(bed.session.group_count(), 1, "not given back while its input waits");
    let mut cookie = vec![0; 64];
    let (group, mark) = (key(2), CorrelationId(9));
    let envelope = Envelope { group, ni: 2, mark, transaction: 1, incarnation: 1, age_ms: 0, state: &[] };
    let length = envelope.encoded_len();
    envelope.encode(&mut cookie[..length]).unwrap();
    cookie.truncate(length);
    let echo = asap_wire::Message::CookieEcho { cookie: cookie.into() }.encode().unwrap();
    bed.receive(stream_for(&key(2), STREAMS), ppid::ASAP, &echo);
    assert_eq!(bed.shared.counters.groups_restored + bed.shared.counters.cookies_refused, 0);
    work(&mut bed, 200);
    assert_eq!((bed.shared.counters.applied, bed.shared.counters.groups_released), (3, 1));
    assert_eq!(bed.shared.counters.groups_restored + bed.shared.counters.cookies_refused, 1);
}

#[test]
fn too_much_is_dropped_and_recorded() {
    let mut bed = Bed::active(|c| {
        c.session.capacity_per_s = 10.0;
        c.session.waiting_max = 5;
    });
    bed.run(1_000, true);
    for id in 1..=20 {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    let dropped = bed.record("D");
    assert_eq!((dropped.len(), bed.shared.counters.overload_dropped), (14, 14));
    assert!(dropped.iter().all(|line| line.starts_with("D,overload,")), "{dropped:?}");
    work(&mut bed, 1_000);
    assert_eq!(bed.shared.counters.applied, 6);
    // Barriers without end are no way to fill it.
    for id in 21..=30 {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    for id in 0..20 {
        bed.beat(1, false, Heartbeat::Barrier(id));
    }
    assert!(matches!(bed.session.poll_end(), Some(End::Abort(_))));
}

#[test]
fn what_waits_is_dropped_with_the_lease() {
    let mut bed = slow(10.0);
    for id in 1..=5 {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    bed.now += Duration::from_millis(LEASE_MS);
    assert!(!bed.session.take_turn(bed.now, &mut bed.shared));
    assert_eq!((bed.shared.counters.lease_dropped, bed.shared.capacity.waiting()), (4, 0));
    assert_eq!(bed.record("D").len(), 4);
}

#[test]
fn one_that_leaves_does_first_what_it_was_sent() {
    let mut bed = slow(10.0);
    for id in 1..=5 {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    bed.shared.stopping = true;
    bed.isup(Some(0x1000_0006), &rel(37));
    bed.session.stop(bed.now, &mut bed.shared);
    assert_eq!((bed.shared.counters.applied, bed.shared.counters.duplicates), (6, 0), "and in order");
}

#[test]
fn with_input_waiting_no_call_is_begun() {
    let mut bed = slow(10.0);
    bed.isup(Some(0x1000_0001), &rel(37));
    assert!(bed.session.originate(bed.now, &mut bed.shared));
    bed.isup(Some(0x1000_0002), &rel(37));
    assert_eq!(bed.shared.capacity.waiting(), 1);
    assert!(!bed.session.originate(bed.now, &mut bed.shared));
}

proptest! {
    /// Whatever comes and whenever: each message is applied in its order, dropped with a cause, or waits.
    #[test]
    fn every_message_is_in_one_place(steps in prop::collection::vec((0_u8..6, 1_u64..60), 1..80), per_s in 1_u32..200) {
        let mut bed = Bed::active(|c| {
            c.session.capacity_per_s = per_s.into();
            c.session.waiting_max = 7;
        });
        let mut sent = [0_u32; 3];
        for (what, ms) in steps {
            match what {
                0..3 => {
                    let group = usize::from(what);
                    sent[group] += 1;
                    bed.isup(Some(0x1000_0000 + sent[group]), &rel(5 + 32 * u16::from(what)));
                }
                3 => bed.beat(1, false, Heartbeat::Barrier(ms)),
                4 => bed.beat(0, true, Heartbeat::Liveness(ms)),
                _ => work(&mut bed, ms),
            }
            if bed.session.end.is_some() {
                // Too many barriers: the association is aborted, and the gateway has copies.
                break;
            }
            let counters = &bed.shared.counters;
            let done = counters.applied + counters.overload_dropped + counters.lease_dropped;
            prop_assert_eq!(u64::from(sent.iter().sum::<u32>()), done + bed.shared.capacity.waiting() as u64);
            prop_assert_eq!(counters.duplicates, 0);
        }
    }
}
