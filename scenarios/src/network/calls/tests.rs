//! The generator in virtual time.

use super::*;
use std::collections::HashSet;

fn config() -> CallsConfig {
    CallsConfig {
        groups: 2,
        ring_ms: (200, 300),
        hold_ms: (700, 700),
        hold_distribution: HoldDistribution::Uniform,
        give_up_percent: 0,
        acm_delay_ms: 5,
        answer_delay_ms: 50,
        clear_ms: 0,
        t1_ms: 4_000,
        even_circuits: true,
        seed: 1,
    }
}

/// Calls at this rate, without warm-up.
fn generator(calls_per_s: f64, config: CallsConfig) -> Calls {
    Calls::new(config, Pace::new(calls_per_s, Duration::ZERO, &[]))
}

fn drain(calls: &mut Calls, now: Instant) -> Vec<(u16, u8)> {
    std::iter::from_fn(|| calls.poll(now)).map(|d| (d.circuit.cic(), d.user_data[2])).collect()
}

#[test]
fn a_call_goes_from_seizure_to_idle() {
    let t0 = Instant::now();
    let mut calls = generator(10.0, config());
    calls.start(t0);
    let iam = calls.poll(t0).expect("the first call is due at the start");
    let cic = iam.circuit.cic();
    assert_eq!((iam.intended, iam.user_data[2], cic), (t0, isup::IAM, 2));
    calls.handle(t0, 0, &isup::acm(cic));
    calls.handle(t0, 0, &isup::anm(cic));
    calls.stop();
    assert_eq!(calls.counters().answered, 1);
    let end = t0 + Duration::from_millis(1_000);
    assert_eq!(calls.poll_timeout(), Some(end));
    assert_eq!(drain(&mut calls, end), [(cic, isup::REL)]);
    calls.handle(end, 0, &isup::rlc(cic));
    assert_eq!(calls.up(), 0);
}

#[test]
fn lateness_does_not_thin_the_load_and_missing_circuits_are_told() {
    let t0 = Instant::now();
    let mut calls = generator(40.0, config());
    calls.start(t0);
    let due: Vec<_> = std::iter::from_fn(|| calls.poll(t0 + Duration::from_millis(990))).collect();
    // 40 calls in the second, 15 even circuits without circuit 0 in each of the two groups.
    assert_eq!(due.len(), 30);
    assert_eq!(due[29].intended, t0 + Duration::from_millis(725));
    assert!(due.iter().all(|d| d.circuit.cic() % 2 == 0 && d.circuit.cic() % 32 != 0));
    assert_eq!(calls.take_missed().len(), 10);
}

/// Everything a generator sends in 20 s when the pool answers each REL at once.
fn run(config: CallsConfig) -> Vec<(Duration, u16, Bytes)> {
    let t0 = Instant::now();
    let mut calls = generator(40.0, config);
    calls.start(t0);
    let mut sent = Vec::new();
    while let Some(at) = calls.poll_timeout().filter(|at| *at < t0 + Duration::from_secs(20)) {
        while let Some(due) = calls.poll(at) {
            assert_eq!(due.intended, at, "at its time");
            sent.push((at - t0, due.circuit.cic(), due.user_data.clone()));
            if due.user_data[2] == isup::REL {
                calls.handle(at, 0, &isup::rlc(due.circuit.cic()));
            }
        }
    }
    sent
}

#[test]
fn the_same_seed_is_the_same_load() {
    for hold_distribution in [HoldDistribution::Uniform, HoldDistribution::Exponential] {
        let of = |seed| run(CallsConfig { groups: 16, hold_ms: (200, 2_000), hold_distribution, seed, ..config() });
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
        assert!(of(3).len() > 1_400, "{}", of(3).len());
    }
    // Every IAM has contents of its own.
    let all = run(config());
    let iams: Vec<_> = all.iter().filter(|(_, _, data)| data[2] == isup::IAM).collect();
    assert_eq!(iams.iter().map(|(_, _, data)| data).collect::<HashSet<_>>().len(), iams.len());
}

#[test]
fn hold_times_are_spread_as_asked_for() {
    let holds = |hold_distribution| {
        let config = CallsConfig { groups: 16, hold_ms: (400, 2_400), hold_distribution, ..config() };
        let mut begun = std::collections::HashMap::new();
        let mut holds = Vec::new();
        for (at, cic, data) in run(config) {
            if data[2] == isup::IAM {
                begun.insert(cic, at);
            } else if let Some(from) = begun.remove(&cic) {
                holds.push((at - from).as_millis() as u64 - 300);
            }
        }
        holds.sort_unstable();
        let mean = holds.iter().sum::<u64>() / holds.len() as u64;
        (holds[0], mean, holds[holds.len() / 2], *holds.last().expect("calls"))
    };
    let (least, mean, median, most) = holds(HoldDistribution::Uniform);
    assert!(least >= 400 && most <= 2_400 && mean.abs_diff(median) < 150, "{least} {mean} {median} {most}");
    let (least, mean, median, most) = holds(HoldDistribution::Exponential);
    assert!(least >= 400 && most > 3_000 && most <= 5_400, "{least} {most}");
    assert!(mean.abs_diff(1_400) < 120 && median < mean - 150, "{mean} {median}");
}

#[test]
fn a_circuit_that_the_pool_seized_is_passed_over_and_comes_back() {
    let t0 = Instant::now();
    let mut calls = generator(1_000.0, config());
    // The pool takes our circuit 2, out of turn, and releases it at once: it is listed once.
    for _ in 0..3 {
        calls.handle(t0, 0, &isup::iam(2, 7));
        calls.handle(t0, 0, &isup::rel(2, isup::CAUSE_NORMAL));
        assert_eq!(drain(&mut calls, t0), [(2, isup::RLC)]);
    }
    calls.handle(t0, 0, &isup::iam(4, 7));
    calls.start(t0);
    let taken: Vec<u16> = drain(&mut calls, t0 + Duration::from_millis(60))
        .into_iter()
        .filter(|(_, k)| *k == isup::IAM)
        .map(|(c, _)| c)
        .collect();
    assert_eq!(taken.len(), 29, "30 circuits, one of them the pool's");
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 29);
    assert!(taken.contains(&2) && !taken.contains(&4));
}

#[test]
fn a_call_from_the_pool_is_answered_and_released_by_it() {
    let t0 = Instant::now();
    let mut calls = generator(10.0, config());
    calls.handle(t0, 0, &isup::iam(33, 7));
    assert_eq!(drain(&mut calls, t0 + Duration::from_millis(50)), [(33, isup::ACM), (33, isup::ANM)]);
    calls.handle(t0, 0, &isup::rel(33, isup::CAUSE_NORMAL));
    assert_eq!(drain(&mut calls, t0), [(33, isup::RLC)]);
    assert_eq!(calls.up(), 0);
}

#[test]
fn release_without_answer_is_repeated_at_t1() {
    let t0 = Instant::now();
    let mut calls = generator(10.0, config());
    calls.start(t0);
    let cic = calls.poll(t0).expect("due").circuit.cic();
    calls.stop();
    assert_eq!(drain(&mut calls, t0 + Duration::from_millis(5_000)), [(cic, isup::REL), (cic, isup::REL)]);
}

#[test]
fn resets_and_both_sides_releasing() {
    let t0 = Instant::now();
    let mut calls = generator(10.0, config());
    calls.start(t0);
    let cics: Vec<_> = drain(&mut calls, t0 + Duration::from_millis(300)).into_iter().map(|d| d.0).collect();
    calls.stop();
    assert_eq!(calls.up(), 4);
    calls.handle(t0, 0, &isup::bare(cics[0], isup::RSC));
    assert_eq!(calls.up(), 3);
    // REL from both sides: RLC to the pool's, and the circuit stays busy until its RLC.
    let end = t0 + Duration::from_millis(1_150);
    drain(&mut calls, end);
    calls.handle(end, 0, &isup::rel(cics[1], isup::CAUSE_NORMAL));
    assert_eq!(drain(&mut calls, end), [(cics[1], isup::RLC)]);
    assert_eq!(calls.up(), 3);
    calls.handle(end, 0, &isup::rlc(cics[1]));
    assert_eq!(calls.up(), 2);
    calls.handle(end, 0, &isup::grs(0, 31));
    calls.handle(end, 0, &isup::grs(32, 31));
    assert_eq!(calls.up(), 0);
}

#[test]
fn a_query_is_answered_with_the_states_of_the_circuits() {
    let t0 = Instant::now();
    let mut calls = generator(10.0, config());
    calls.start(t0);
    let cic = calls.poll(t0).expect("due").circuit.cic();
    calls.stop();
    assert_eq!(cic, 2);
    // 3: a call from the pool; 4 and 5: it released them, and one of them is free already.
    calls.handle(t0, 0, &isup::iam(3, 7));
    calls.handle(t0, 0, &isup::iam(5, 8));
    calls.handle(t0, 0, &isup::rel(5, isup::CAUSE_NORMAL));
    calls.config.clear_ms = 100;
    calls.handle(t0, 0, &isup::iam(4, 9));
    calls.handle(t0, 0, &isup::rel(4, isup::CAUSE_NORMAL));
    let answers = |calls: &mut Calls, query: &[u8]| -> Vec<Bytes> {
        calls.handle(t0, 0, query);
        std::iter::from_fn(|| calls.poll(t0)).map(|due| due.user_data).collect()
    };
    assert_eq!(drain(&mut calls, t0), [(5, isup::RLC)]);
    let cqr = answers(&mut calls, &[1, 0, isup::CQM, 1, 1, 3]);
    assert_eq!(cqr, [&[1, 0, 0x2b, 2, 3, 1, 3, 4, 0b1100, 0b1000, 0b0100, 0][..]]);
    // Two groups of 32: what is behind them is not equipped.
    assert_eq!(answers(&mut calls, &[62, 0, isup::CQM, 1, 1, 2])[0][8..], [0b1100, 0b1100, 0b0011]);
    for bad in [&[1, 0, isup::CQM][..], &[1, 0, isup::CQM, 1, 1, 0], &[1, 0, isup::CQM, 1, 1, 32]] {
        assert!(answers(&mut calls, bad).is_empty());
    }
    assert_eq!(calls.counters().not_understood, 3);
}

#[test]
fn short_and_foreign_messages_are_counted() {
    let mut calls = generator(10.0, config());
    for bad in [&[][..], &[1], &[1, 0], &[0xff, 0x0f, 1], &[0, 0, 0xee]] {
        calls.handle(Instant::now(), 0, bad);
    }
    calls.handle(Instant::now(), 1, &isup::acm(1));
    assert_eq!(calls.counters().not_understood, 6);
}
