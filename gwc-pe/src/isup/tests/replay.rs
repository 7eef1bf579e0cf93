//! Snapshots, and what a takeover rests on: the state of a cookie plus the same messages gives the same output.

use super::*;
use proptest::prelude::*;

const KINDS: [&str; 30] = [
    "IAM", "SAM", "COT+", "COT-", "ACM", "CPG", "CON", "ANM", "REL", "RLC", "SUS", "RES", "RSC", "GRS", "GRA", "BLO",
    "BLA", "UBL", "UBA", "CGB", "CGB hw", "CGU", "CGBA", "UCIC", "CQM", "CCR", "UPT", "INF", "OLM", "unknown",
];

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Message(u16, usize),
    Octets(Vec<u8>),
    Wait(u64),
    Originate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (32_u16..48, 0..KINDS.len()).prop_map(|(cic, kind)| Step::Message(cic, kind)),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Step::Octets),
        3 => (0_u64..400).prop_map(Step::Wait),
        1 => Just(Step::Originate),
    ]
}

fn config() -> Config {
    Config {
        release_by_controller_percent: 50,
        refuse_percent: 20,
        cpg_delay_ms: 50,
        hold_ms: 300,
        t1_ms: 500,
        t5_ms: 2_000,
        blocked_cics: vec![40],
        ..Config::default()
    }
}

fn act(bed: &mut Bed, step: &Step) -> Vec<Output> {
    match step {
        Step::Message(cic, kind) => {
            let message = sample(*cic, KINDS[*kind]);
            bed.with(|group, cx| group.handle_message(cx, &message)).0
        }
        Step::Octets(octets) => bed.with(|group, cx| group.handle_message(cx, octets)).0,
        Step::Wait(ms) => bed.run_ms(*ms),
        Step::Originate => bed.with(|group, cx| group.originate(cx)).0,
    }
}

fn snapshot(bed: &Bed) -> Vec<u8> {
    let mut state = Vec::new();
    bed.group.snapshot(bed.now, &mut state);
    state
}

/// Another controller, with the state only.
fn successor(state: &[u8], now: Instant) -> Bed {
    let mut next = Bed { now, ..Bed::new(config()) };
    let restored = next.with(|_, cx| Group::restore(ID, state, Duration::ZERO, cx)).1.unwrap();
    next.group = restored;
    next
}

proptest! {
    #[test]
    fn a_snapshot_gives_itself_back(steps in proptest::collection::vec(step(), 0..60)) {
        let mut bed = Bed::new(config());
        bed.with(|group, cx| group.start(cx, true));
        for step in &steps {
            act(&mut bed, step);
            bed.check();
        }
        let state = snapshot(&bed);
        let next = successor(&state, bed.now);
        prop_assert_eq!(snapshot(&next), state);
        prop_assert_eq!(next.group.calls(), bed.group.calls());
        next.check();
    }

    /// The first controller dies after `before`; messages `after` that were unconfirmed reach the next one, later.
    #[test]
    fn the_next_controller_says_the_same(
        before in proptest::collection::vec(step(), 0..40),
        after in proptest::collection::vec((32_u16..48, 0..KINDS.len()), 1..30),
    ) {
        let mut bed = Bed::new(config());
        for step in &before {
            act(&mut bed, step);
        }
        let mut next = successor(&snapshot(&bed), bed.now + Duration::from_secs(1));
        for (cic, kind) in after {
            let step = Step::Message(cic, kind);
            prop_assert_eq!(act(&mut bed, &step), act(&mut next, &step), "{} for {}", KINDS[kind], cic);
        }
        prop_assert_eq!(snapshot(&bed), snapshot(&next));
    }

    #[test]
    fn hostile_snapshots_are_refused_or_harmless(state in proptest::collection::vec(any::<u8>(), 0..80), version in any::<bool>()) {
        let state = if version { [&[2, 0][..], &state].concat() } else { state };
        let mut bed = Bed::new(config());
        if let Ok(group) = bed.with(|_, cx| Group::restore(ID, &state, Duration::ZERO, cx)).1 {
            bed.group = group;
            bed.run_ms(10_000);
        }
    }

    #[test]
    fn hostile_messages_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300), kind in 0_u8..0x50) {
        let mut bed = Bed::new(config());
        let octets = [&[0x25, 0, kind][..], &octets].concat();
        bed.with(|group, cx| group.handle_message(cx, &octets));
        bed.check();
    }
}

#[test]
fn an_idle_group_is_six_octets_and_a_call_eight_more() {
    let mut bed = Bed::new(Config::default());
    assert_eq!(snapshot(&bed).len(), 6);
    bed.receive(&sample(37, "IAM"));
    assert_eq!(snapshot(&bed), [2, 0, 0, 0, 0, 0, 5, 2, 0, 1, 0, 0, 0, 20]);
}

#[test]
fn another_version_is_refused() {
    let mut bed = Bed::new(Config::default());
    let error = bed.with(|_, cx| Group::restore(ID, &[1, 0, 0, 0, 0, 0], Duration::ZERO, cx)).1.unwrap_err();
    assert_eq!(error, SnapshotError::Version(1));
}

/// The choice by percentage is about right over many calls, and the same every time.
#[test]
fn choices_follow_their_percentage() {
    let refused = || {
        let mut bed = Bed::new(Config { refuse_percent: 30, ..Config::default() });
        for number in 0..1_000 {
            bed.receive(&message::iam(37, &format!("555{number:04}")));
            bed.receive(&sample(37, "RSC"));
        }
        bed.counters.ended(Outcome::RefusedByUs)
    };
    assert!((250..350).contains(&refused()), "{}", refused());
    assert_eq!(refused(), refused());
}
