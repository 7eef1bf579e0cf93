//! Timers, from the call's own to T1 ... T23.

use super::*;

#[test]
fn incoming_call_from_iam_to_release() {
    let config = Config { release_by_controller_percent: 100, cpg_delay_ms: 50, ..Config::default() };
    let mut bed = Bed::new(config);
    assert_eq!(names(&bed.receive(&sample(37, "IAM"))), "");
    assert_eq!(names(&bed.run_ms(19)), "");
    assert_eq!(names(&bed.run_ms(1)), "ACM");
    assert_eq!(names(&bed.run_ms(50)), "CPG");
    assert_eq!(names(&bed.run_ms(149)), "");
    assert_eq!(names(&bed.run_ms(1)), "ANM");
    assert_eq!(names(&bed.run_ms(3_000)), "REL");
    assert_eq!(names(&bed.receive(&sample(37, "RLC"))), "");
    assert_eq!((bed.call(ODD), bed.group.poll_timeout()), (Call::Idle, None));
    assert_eq!((bed.counters.calls_answered, bed.counters.ended(Outcome::ReleasedByUs)), (1, 1));
}

#[test]
fn outgoing_call_from_iam_to_release() {
    let mut bed = Bed::new(Config::default());
    let (out, _) = bed.with(|group, cx| group.originate(cx));
    let cic = out[0].cic;
    assert_eq!((names(&out).as_str(), cic % 2), ("IAM", 0));
    bed.receive(&sample(cic, "ACM"));
    bed.receive(&sample(cic, "CPG"));
    bed.receive(&sample(cic, "ANM"));
    assert_eq!(names(&bed.run_ms(3_000)), "REL");
    bed.receive(&sample(cic, "RLC"));
    assert_eq!(bed.counters.ended(Outcome::ReleasedByUs), 1);
}

#[test]
fn refused_call_gets_rel_at_once() {
    let mut bed = Bed::new(Config { refuse_percent: 100, ..Config::default() });
    let out = bed.receive(&sample(37, "IAM"));
    assert_eq!(out[0].user_data, message::rel(37, 17));
    assert_eq!((bed.call(ODD), bed.counters.ended(Outcome::RefusedByUs)), (Call::Releasing, 1));
}

#[test]
fn continuity_check_comes_before_acm() {
    let mut iam = sample(37, "IAM");
    iam[3] = 0b0100;
    let mut bed = Bed::new(Config::default());
    bed.receive(&iam);
    assert_eq!(names(&bed.run_ms(1_000)), "");
    bed.receive(&sample(37, "COT+"));
    assert_eq!(names(&bed.run_ms(20)), "ACM");
    // Without COT: T8.
    let mut bed = Bed::new(Config::default());
    bed.receive(&iam);
    assert_eq!(names(&bed.run_ms(10_000)), "REL");
    assert_eq!(bed.counters.ended(Outcome::Continuity), 1);
}

#[test]
fn outgoing_timers_release_the_call() {
    for (state, ms, outcome) in
        [(Call::OutgoingIam, 20_000, Outcome::NoAddressComplete), (Call::OutgoingAcm, 90_000, Outcome::NoAnswer)]
    {
        let mut bed = Bed::with_call(Config::default(), ODD, state);
        assert_eq!(names(&bed.run_ms(ms - 1)), "");
        assert_eq!(names(&bed.run_ms(1)), "REL");
        assert_eq!(bed.counters.ended(outcome), 1);
    }
}

#[test]
fn suspended_call_ends_by_t6_unless_resumed() {
    let mut bed = Bed::with_call(Config::default(), ODD, Call::AnsweredIn);
    bed.receive(&sample(37, "SUS"));
    assert_eq!(names(&bed.run_ms(59_999)), "");
    bed.receive(&sample(37, "RES"));
    assert_eq!(names(&bed.run_ms(100_000)), "");
    bed.receive(&sample(37, "SUS"));
    assert_eq!(names(&bed.run_ms(60_000)), "REL");
    assert_eq!(bed.counters.ended(Outcome::Suspended), 1);
}

#[test]
fn rel_is_repeated_with_its_cause_until_t5_then_reset() {
    let mut bed = Bed::new(Config { refuse_percent: 100, ..Config::default() });
    bed.receive(&sample(37, "IAM"));
    let out = bed.run_ms(299_999);
    // T1 15 s: 15, 30, ... 285 s.
    assert_eq!(out.len(), 19);
    assert!(out.iter().all(|o| o.user_data == message::rel(37, 17)));
    assert_eq!(names(&bed.run_ms(1)), "RSC");
    assert_eq!((bed.call(ODD), bed.counters.maintenance_alerts), (Call::Resetting, 1));
    bed.receive(&sample(37, "RLC"));
    assert_eq!(bed.call(ODD), Call::Idle);
}

#[test]
fn rsc_blo_and_ubl_are_repeated_and_slow_down() {
    type Start = fn(&mut Bed);
    let starts: [(&str, Start); 3] = [
        ("RSC", |bed| drop(bed.receive(&sample(37, "ACM")))),
        ("BLO", |bed| drop(bed.with(|group, cx| group.start(cx, true)))),
        ("UBL", |bed| drop(bed.receive(&sample(37, "BLA")))),
    ];
    for (name, start) in starts {
        let blocked_cics = if name == "BLO" { vec![37] } else { vec![] };
        let mut bed = Bed::new(Config { blocked_cics, ..Config::default() });
        start(&mut bed);
        let out = bed.run_ms(300_000);
        // 19 by the short timer, and one when the long one ends.
        assert_eq!(names(&out), [name; 20].join(" "));
        assert_eq!(names(&bed.run_ms(300_000)), name);
        assert_eq!(bed.counters.maintenance_alerts, 2);
    }
}

#[test]
fn ucic_for_an_outgoing_call_takes_the_circuit_out_until_it_is_heard_of_again() {
    let mut bed = Bed::new(Config { cic_first: 36, cic_last: 36, ..Config::default() });
    bed.with(|group, cx| group.originate(cx));
    bed.receive(&sample(36, "UCIC"));
    assert_eq!((bed.counters.ended(Outcome::CircuitUnavailable), bed.counters.no_circuit), (1, 1));
    assert_eq!(bed.group.blocked(), (0, 1));
    bed.receive(&sample(36, "RSC"));
    assert!(bed.with(|group, cx| group.originate(cx)).1);
}

#[test]
fn forgotten_calls_are_counted() {
    let mut bed = Bed::with_call(Config::default(), ODD, Call::AnsweredIn);
    let group = std::mem::replace(&mut bed.group, Group::new(ID));
    group.forget(&mut bed.counters);
    assert_eq!((bed.counters.ended(Outcome::Forgotten), bed.counters.calls_open()), (1, 0));
}

/// Another controller, with what the first one left `age_ms` ago.
fn next_controller(bed: &mut Bed, age_ms: u64) {
    let mut state = Vec::new();
    bed.group.snapshot(bed.now, &mut state);
    let age = Duration::from_millis(age_ms);
    bed.now += age;
    bed.counters = Counters::default();
    bed.group = bed.with(|_, cx| Group::restore(ID, &state, age, cx)).1.unwrap();
}

#[test]
fn timers_go_on_at_the_next_controller() {
    let config = Config { hold_ms: 10_000, release_by_controller_percent: 100, ..Config::default() };
    let mut bed = Bed::new(config);
    // Each at a moment of its own: 20 ms after IAM, 200 ms after ACM, 10 s after ANM, T1 after REL.
    bed.receive(&sample(37, "IAM"));
    bed.run_ms(5);
    next_controller(&mut bed, 5);
    assert_eq!((names(&bed.run_ms(9)).as_str(), names(&bed.run_ms(1)).as_str()), ("", "ACM"));
    bed.run_ms(200);
    assert_eq!(bed.call(ODD), Call::AnsweredIn);
    bed.run_ms(4_000);
    next_controller(&mut bed, 300);
    bed.run_ms(1_000);
    next_controller(&mut bed, 300);
    assert_eq!((names(&bed.run_ms(4_399)).as_str(), names(&bed.run_ms(1)).as_str()), ("", "REL"), "after 10 s in all");
    bed.run_ms(14_000);
    next_controller(&mut bed, 600);
    assert_eq!((names(&bed.run_ms(399)).as_str(), names(&bed.run_ms(1)).as_str()), ("", "REL"), "T1");
    let t5 = 300_000 - 15_000;
    bed.run_ms(t5 - 1_000);
    next_controller(&mut bed, 500);
    assert_eq!((names(&bed.run_ms(499)).as_str(), names(&bed.run_ms(1)).as_str()), ("", "RSC"), "T5");
    assert_eq!(bed.call(ODD), Call::Resetting);
}

#[test]
fn overdue_timers_run_out_at_once() {
    let mut bed = Bed::new(Config { blocked_cics: vec![40], ..Config::default() });
    bed.with(|group, cx| group.start(cx, true));
    bed.receive(&sample(37, "IAM"));
    bed.run_ms(220);
    bed.receive(&sample(37, "SUS"));
    // T6, and T12 of BLO; T13 is still far away.
    next_controller(&mut bed, 90_000);
    assert_eq!(names(&bed.run_ms(0)), "REL BLO");
    assert_eq!(bed.counters.ended(Outcome::Suspended), 1);
}

#[test]
fn timers_of_a_group_reset_go_on() {
    let mut bed = Bed::new(Config { reset_new_groups: true, ..Config::default() });
    assert_eq!(names(&bed.with(|group, cx| group.start(cx, true)).0), "GRS");
    bed.run_ms(10_000);
    next_controller(&mut bed, 1_000);
    assert_eq!((names(&bed.run_ms(3_999)).as_str(), names(&bed.run_ms(1)).as_str()), ("", "GRS"), "T22 15 s");
}
