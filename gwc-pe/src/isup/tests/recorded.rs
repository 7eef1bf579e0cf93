//! Calls that are decided as they were recorded.

use super::*;

fn bed(plan: &str) -> (Bed, Vec<u8>) {
    let iam = sample(37, "IAM");
    let hex: String = iam.iter().map(|octet| format!("{octet:02x}")).collect();
    let mut bed = Bed::new(Config { refuse_percent: 100, release_by_controller_percent: 100, ..Config::default() });
    bed.recorded = RecordedCalls::parse(&format!("1000,2000,{hex},{plan}\n")).unwrap();
    assert_eq!(bed.recorded.len(), 1);
    (bed, iam)
}

#[test]
fn a_call_goes_as_it_was_recorded() {
    let (mut bed, iam) = bed("70,300,40,31");
    assert_eq!(names(&bed.receive(&iam)), "");
    assert_eq!(names(&bed.run_ms(69)), "");
    assert_eq!(names(&bed.run_ms(1)), "ACM");
    assert_eq!(names(&bed.run_ms(299)), "");
    assert_eq!(names(&bed.run_ms(1)), "ANM");
    let out = bed.run_ms(40);
    assert_eq!((names(&out).as_str(), bed.group.circuits[ODD].cause), ("REL", 31));
    assert_eq!(bed.counters.ended(Outcome::ReleasedByUs), 1);
    // The next call on the circuit is another one.
    bed.receive(&sample(37, "RLC"));
    let mut other = iam;
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(names(&bed.receive(&other)), "REL");
}

#[test]
fn what_was_not_done_is_not_done() {
    for (plan, seen) in
        [(",,,0", ""), ("70,,,0", "ACM"), ("70,300,,0", "ACM ANM"), (",,50,17", "REL"), ("70,,50,17", "ACM REL")]
    {
        let (mut bed, iam) = bed(plan);
        bed.receive(&iam);
        // T1 repeats REL after 15 s.
        assert_eq!(names(&bed.run_ms(14_000)), seen, "{plan}");
    }
}

#[test]
fn the_next_controller_knows_the_plan_from_the_cookie() {
    let (mut bed, iam) = bed("70,300,40,31");
    bed.receive(&iam);
    bed.run_ms(70);
    let mut state = Vec::new();
    bed.group.snapshot(bed.now, &mut state);
    // Another controller.
    bed.recorded = RecordedCalls::default();
    bed.counters = Counters::default();
    bed.group = bed.with(|_, cx| Group::restore(ID, &state, Duration::ZERO, cx)).1.unwrap();
    assert_eq!(names(&bed.run_ms(300)), "ANM");
    assert_eq!(names(&bed.run_ms(40)), "REL");
    for length in 0..state.len() {
        let cut = bed.with(|_, cx| Group::restore(ID, &state[..length], Duration::ZERO, cx).map(drop)).1;
        assert!(cut.is_err() || length == 6, "{length}");
    }
}

#[test]
fn wrong_lines_have_their_number() {
    for (text, line) in [
        ("1,2,00,,,,0\n1,2,00", 2),
        ("1,2,0,,,,0", 1),
        ("1,2,0g,,,,0", 1),
        ("1,2,00,x,,,0", 1),
        ("1,2,00,,5,,0", 1),
        ("1,2,00,,,,0,", 1),
    ] {
        assert_eq!(RecordedCalls::parse(text).unwrap_err(), RecordedCallsError { line }, "{text}");
    }
}
