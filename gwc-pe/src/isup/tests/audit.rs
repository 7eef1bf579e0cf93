//! Our own circuit group query.

use super::*;

const IDLE: u8 = 0b1100;

/// Call states in which nothing happens by itself during the test.
fn calm() -> Config {
    Config { acm_delay_ms: 100_000, answer_delay_ms: 100_000, ..Config::default() }
}

fn ask(bed: &mut Bed) -> Vec<Output> {
    bed.with(|group, cx| group.audit(cx)).0
}

/// CQR of the whole group: everything idle but the circuit of the test.
fn answer(state: u8) -> Vec<u8> {
    let mut states = [IDLE; 32];
    states[ODD] = state;
    message::cqr(32, 31, &states)
}

#[test]
fn every_call_state_by_every_state_of_the_other_end() {
    for call in Call::ALL {
        for state in [0b0000, 0b0011, 0b0100, 0b1000, 0b1100] {
            let mut bed = Bed::with_call(calm(), ODD, call);
            let sent = ask(&mut bed);
            assert_eq!(sent[0].user_data, [32, 0, 0x2a, 1, 1, 31]);
            assert_eq!(names(&bed.receive(&answer(state))), "", "one answer is not enough");
            let (there_idle, there_call) = (state == IDLE, matches!(state, 0b0100 | 0b1000));
            let (acts, next) = if call.is_call() && there_idle {
                ("REL", Call::Releasing)
            } else if call == Call::Idle && there_call {
                ("RSC", Call::Resetting)
            } else {
                ("", call)
            };
            let about = format!("{} here, {state:04b} there", call.name());
            assert_eq!(names(&bed.run_ms(1_000)), if acts.is_empty() { "" } else { "CQM" }, "{about}");
            if !acts.is_empty() {
                assert_eq!(names(&bed.receive(&answer(state))), acts, "{about}");
            }
            assert_eq!(bed.call(ODD), next, "{about}");
            assert_eq!(bed.counters.ended(Outcome::Audit), u64::from(acts == "REL"));
            assert_eq!(bed.counters.audit_resets, u64::from(acts == "RSC"));
            if !acts.is_empty() {
                bed.receive(&sample(37, "RLC"));
                assert_eq!(bed.call(ODD), Call::Idle, "both ends agree again");
            }
        }
    }
}

#[test]
fn what_was_on_its_way_is_no_difference() {
    // The IAM comes behind the answer: the second question finds a call at both ends.
    let mut bed = Bed::new(calm());
    ask(&mut bed);
    bed.receive(&answer(0b1000));
    bed.receive(&sample(37, "IAM"));
    assert_eq!(names(&bed.run_ms(1_000)), "CQM");
    assert_eq!(names(&bed.receive(&answer(IDLE))), "", "nor is this one: the call changed since the first question");
    assert_eq!(bed.call(ODD), Call::Incoming);
    // The difference is gone.
    let mut bed = Bed::with_call(calm(), ODD, Call::AnsweredIn);
    ask(&mut bed);
    bed.receive(&answer(IDLE));
    bed.run_ms(1_000);
    assert_eq!(names(&bed.receive(&answer(0b1000))), "");
    assert_eq!((bed.call(ODD), bed.group.poll_timeout()), (Call::AnsweredIn, None));
}

#[test]
fn no_answer_is_counted_by_t28_and_answers_to_nothing_are_too() {
    let mut bed = Bed::with_call(calm(), ODD, Call::AnsweredIn);
    assert_eq!(names(&bed.receive(&answer(IDLE))), "");
    assert_eq!(bed.counters.unexpected, 1);
    ask(&mut bed);
    assert_eq!(names(&ask(&mut bed)), "", "one at a time");
    // Of another range.
    bed.receive(&message::cqr(32, 1, &[IDLE; 2]));
    assert_eq!(bed.counters.unexpected, 2);
    assert_eq!(names(&bed.run_ms(10_000)), "");
    assert_eq!((bed.counters.audits, bed.counters.queries_sent, bed.counters.queries_unanswered), (1, 1, 1));
    assert_eq!(bed.group.poll_timeout(), None);
    // A range names two circuits at least.
    let mut bed = Bed::new(Config { cic_first: 37, cic_last: 37, ..calm() });
    assert_eq!(names(&ask(&mut bed)), "");
}
