//! How elements share answers: right histories hold, wrong ones do not.

use super::*;
use crate::checker::ShareFigures;

/// PE identifiers in pop-1, pop-2 and pop-3.
const PES: [&str; 3] = ["00000001", "00000002", "00000003"];
const POOL: &str = "media@east";

/// Records of a run in which the resolver was given these elements (by place), one answer each ms from 1,000 ms on.
fn run(expected: &str, taken: &[usize], change: fn(&mut Vec<String>)) -> ShareFigures {
    let mut records = Records::default();
    let mut read = |name: &str, header: &str, lines: &[String]| {
        let text = format!("# sigpool-record 1 {header}\n{}\n", lines.join("\n"));
        records.read_file(Path::new(name), text.as_bytes()).unwrap();
    };
    for (place, pe) in PES.iter().enumerate() {
        let lines = [format!("R,{MS},{pe},{POOL}"), format!("R,{MS},0000ffff,media")];
        read("pop.csv", &format!("population name=pop-{}", place + 1), &lines);
    }
    let answer = |(index, place): (usize, &usize)| {
        let asked = (1_000 + index as u64) * MS;
        format!("A,{},{asked},{};0000ffff,{},00000001,vienna,{POOL}", asked + MS, PES[*place], PES[*place])
    };
    let mut answers: Vec<String> = taken.iter().enumerate().map(answer).collect();
    change(&mut answers);
    read("resolver.csv", "resolver", &answers);
    read("run.csv", "runner", &[format!("A,{}", 500 * MS), format!("X,{MS},{expected},vienna,{POOL}")]);
    assert_eq!(records.malformed_lines, 0);
    let report = check(&records).report;
    report.name_service.unwrap().expected.remove(0)
}

/// The second a resolver asks in, its answers by a pattern.
fn pattern(pattern: &[usize]) -> Vec<usize> {
    pattern.iter().copied().cycle().take(120).collect()
}

const HALVES: &str = "0,10000,exact,100,00000001,pop-1=1;pop-2=1;pop-3=0";

#[test]
fn exact_shares_hold() {
    let figures = run(HALVES, &pattern(&[0, 1]), |_| ());
    assert!(figures.pass, "{figures:?}");
    assert_eq!((figures.answers, figures.elements[1].taken, figures.elements[1].expected), (120, 60, 60.0));
    assert_eq!((figures.pool.as_str(), figures.hint.as_str()), (POOL, "vienna"));
    // Cut in the middle of a round.
    assert!(run(HALVES, &pattern(&[0, 0, 1, 1])[1..], |_| ()).pass);
}

#[test]
fn wrong_shares_are_missed() {
    let mut three_more = pattern(&[0, 1]);
    three_more.extend([0; 6]);
    assert!(!run(HALVES, &three_more, |_| ()).pass, "by three answers");
    assert!(!run(HALVES, &pattern(&[0]), |_| ()).pass, "one alone");
    let mut once = pattern(&[0, 1]);
    once[60] = 2;
    assert!(!run(HALVES, &once, |_| ()).pass, "somebody without a share, once");
}

#[test]
fn what_is_too_little_or_of_another_kind_is_missed() {
    let right = pattern(&[0, 1]);
    let few = run(HALVES, &right[..99], |_| ());
    assert!(!few.pass && few.distance <= 1.0, "{few:?}");
    let other = run(HALVES, &right, |lines| lines[7] = lines[7].replace("00000001,vienna", "40000001,vienna"));
    assert!(!other.pass && other.other_policy == 1, "{other:?}");
    let stranger =
        run(HALVES, &right, |lines| lines[7] = lines[7].replace(",00000002,00000001,", ",0000ffff,00000001,"));
    assert!(!stranger.pass && stranger.others == 1, "{stranger:?}");
    let nobody = run(HALVES, &right, |lines| lines[7] = lines[7].replace(",00000002,00000001,", ",,00000001,"));
    assert!(!nobody.pass && nobody.others == 1, "{nobody:?}");
}

#[test]
fn only_this_hint_and_this_time_count() {
    let other_hint = run(HALVES, &pattern(&[0, 1]), |lines| {
        lines.extend(lines.clone().iter().take(50).map(|line| line.replace("vienna", "linz")));
    });
    assert_eq!(other_hint.answers, 120);
    // Zero is at 500 ms: asked from 1,020 to before 1,060 ms.
    let in_time = run("520,560,exact,40,00000000,pop-1=1;pop-2=1;pop-3=0", &pattern(&[0, 1]), |_| ());
    assert_eq!((in_time.answers, in_time.pass), (40, true));
}

#[test]
fn random_shares_may_differ_as_draws_do() {
    let random = "0,10000,random,100,00000000,pop-1=1;pop-2=1;pop-3=0";
    // 60 +- 4.5 * 5.48.
    let of = |first: usize| run(random, &(0..120).map(|n| usize::from(n >= first)).collect::<Vec<_>>(), |_| ());
    assert!(of(60).pass && of(84).pass && of(36).pass);
    assert!(!of(85).pass && !of(35).pass);
}

#[test]
fn none_means_no_answer() {
    let none = "0,10000,exact,50,00000000,";
    assert!(run(none, &[], |_| ()).pass);
    assert!(!run(none, &[0], |_| ()).pass);
    let later = run(none, &[0], |lines| lines[0] = lines[0].replace("vienna", ""));
    assert!(later.pass, "a question of another kind");
}

#[test]
fn a_line_that_makes_no_sense_is_counted() {
    for line in ["X,1,0,10,perhaps,1,00000000,pop-1=1,,media", "X,1,0,10,exact,1,00000000,pop-1,,media", "G,1,enrp-1,x"]
    {
        let mut records = Records::default();
        let text = format!("# sigpool-record 1 runner\n{line}\nB,1\n");
        records.read_file(Path::new("run.csv"), text.as_bytes()).unwrap();
        assert_eq!(records.malformed_lines, 1, "{line}");
    }
}
