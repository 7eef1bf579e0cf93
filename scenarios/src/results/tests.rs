use super::*;
use crate::checker::{GroupGap, Records, check};
use crate::scenario;
use serde_json::Value;

fn empty() -> Report {
    check(&Records::default()).report
}

/// Results with something in every list.
fn full() -> Results {
    let text = "name=\"x\"\nduration_ms=1000\n[controllers]\ncount=1\n[assertions]\nlongest_gap_ms=100\nrate_per_s_min=5\n\
                [[faults]]\nat_ms=10\nkind=\"kill\"\ntarget=\"gwc-1\"\nlongest_gap_ms=400\n";
    let mut records = Records::default();
    records.transactions = true;
    let file = |role: &str, lines: &str| format!("# sigpool-record 1 {role}\n{lines}");
    for (role, lines) in [
        (
            "runner",
            "N,1,gwc-1,0000000a\nI,1,2000,10,700\nA,1000000\nB,1000000\nK,500000000,kill,gwc-1,0000000a\nE,1000000000\n",
        ),
        ("network", "S,2000000,1000000,1,2,5,2,3,1,010001\nS,900000000,500000001,1,2,5,2,3,1,01000c020002809000\n"),
        ("controller pe=a incarnation=1", "L,1,active\nI,3000000,1,10000001,1,2,5,2,3,1,010001\n"),
        ("controller pe=b incarnation=2", "I,820600001,1,10000002,1,2,5,2,3,1,01000c020002809000\n"),
        ("gateway", "G,1000000,a,1,2,5,0\nC,4000000,a,1,1\nG,600000000,b,1,2,5,0\nC,900000000,b,2,1\n"),
    ] {
        records.read_file(Path::new("x.csv"), file(role, lines).as_bytes()).unwrap();
    }
    let mut report = check(&records).report;
    report.void = None;
    let process = ProcessEntry { name: "gwc-1".into(), pid: 7, address: "127.0.0.1".into() };
    let circumstances = Circumstances {
        command: vec!["sigpool".into(), "run".into(), "a & <b> \"c\"".into()],
        topology: vec![TopologyEntry::of(&process)],
        process_list: vec![process],
        crashes: vec!["gwc-9: ended <early>\n\u{1}".into()],
        capture: Some(CaptureFigures { packets: 5, dropped: 0 }),
        ..Circumstances::default()
    };
    Results::new(&scenario::parse(text, "x").unwrap(), &report, circumstances)
}

#[test]
fn what_is_written_reads_back() {
    let results = full();
    let folder = std::env::temp_dir().join(format!("sigpool-results-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("results.json");
    results.write(&file).unwrap();
    assert_eq!(Results::read(&file).unwrap(), results);
    std::fs::write(&file, "{}").unwrap();
    assert!(Results::read(&file).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(!results.groups.is_empty() && !results.controllers.is_empty() && !results.latency_histogram.is_empty());
    assert!(results.control.is_some() && !results.faults.is_empty());
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    for (name, text) in schema_files() {
        let file = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(file == text, "scenarios/schema/{name} is old; cargo run -- schema --write scenarios/schema");
    }
}

#[test]
fn the_schemas_accept_what_is_written_and_nothing_less() {
    let schema = jsonschema::validator_for(&results_schema()).unwrap();
    for results in [full(), Results::new(&scenario::load("failover").unwrap(), &empty(), Circumstances::default())] {
        let mut json = serde_json::to_value(&results).unwrap();
        assert!(schema.is_valid(&json), "{:?}", schema.iter_errors(&json).map(|e| e.to_string()).collect::<Vec<_>>());
        let fields: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
        for field in fields {
            let value = json.as_object_mut().unwrap().remove(&field).unwrap();
            assert!(!schema.is_valid(&json), "{field} is missing");
            json[&field] = value;
        }
        json["messages"]["lost"] = Value::from(-1);
        assert!(!schema.is_valid(&json));
    }
    let schema = jsonschema::validator_for(&events_schema()).unwrap();
    let line = |event| serde_json::to_value(EventLine { t_ms: -3.5, event }).unwrap();
    for event in [
        Event::LoadEnd {},
        Event::Results { results: Box::new(full()) },
        Event::Crash { what: "x".into() },
        Event::Relay(crate::runner::RelayReport::default()),
    ] {
        let json = line(event.clone());
        assert!(schema.is_valid(&json), "{json}");
        assert_eq!(serde_json::from_value::<EventLine>(json).unwrap().event, event);
    }
    assert!(!schema.is_valid(&serde_json::json!({ "t_ms": 1.0, "event": "party" })));
    assert!(!schema.is_valid(&serde_json::json!({ "t_ms": 1.0, "event": "crash" })));
}

#[test]
fn a_run_without_load_is_void() {
    let results = Results::new(&scenario::load("failover").unwrap(), &empty(), Circumstances::default());
    assert_eq!((results.verdict, results.verdict.exit_code()), (Verdict::Void, 3));
    assert!(results.table().contains("longest_gap_ms"));
    // Each case of the suite, and the one of the run itself.
    let cases = results.assertions.len() + 1;
    assert!(results.junit().contains(&format!("failures=\"0\" errors=\"{cases}\"")));
    assert_eq!(results.junit().matches("<error ").count(), cases);
}

#[test]
fn a_stall_makes_a_run_void_only_if_a_limit_was_not_held() {
    let scenario = scenario::parse("name=\"x\"\nduration_ms=1000\n[controllers]\ncount=1\n", "x").unwrap();
    let mut report = empty();
    (report.offered_part, report.stall_ms, report.void) =
        (1.0, 61.0, Some("the machine itself stalled for 61 ms".into()));
    let results = |report: &Report| Results::new(&scenario, report, Circumstances::default());
    let held = results(&report);
    assert_eq!((held.verdict, held.void_reason.as_deref()), (Verdict::Pass, None));
    assert!(held.table().contains("stalled for 61 ms; what held, held nevertheless"));
    report.calls.failed = 1;
    assert_eq!(results(&report).verdict, Verdict::Void);
    report.messages.lost = 1;
    assert_eq!(results(&report).verdict, Verdict::Fail, "no stall explains a lost message");
    (report.messages.lost, report.calls.failed) = (0, 0);
    report.offered_part = 0.98;
    assert_eq!(results(&report).verdict, Verdict::Void, "an easier run than the one that was asked for");
}

#[test]
fn an_assertion_that_fails_fails_the_run() {
    let scenario = scenario::parse("name=\"x\"\nduration_ms=1000\n[controllers]\ncount=1\n", "x").unwrap();
    let mut report = empty();
    report.void = None;
    let verdict = |report: &Report| Results::new(&scenario, report, Circumstances::default());
    assert_eq!(verdict(&report).verdict, Verdict::Pass);
    report.messages.lost = 1;
    let results = verdict(&report);
    assert_eq!(results.verdict, Verdict::Fail);
    assert!(results.table().contains("FAILED"));
    let interrupted = Circumstances { interrupted: true, ..Circumstances::default() };
    assert_eq!(Results::new(&scenario, &report, interrupted).verdict.exit_code(), 130);
    // The checker's own sums.
    report.messages.lost = 0;
    report.messages.unaccounted = 1;
    assert_eq!(verdict(&report).verdict, Verdict::Fail);
}

#[test]
fn a_fault_has_its_own_limit() {
    let outcome = |results: &Results| {
        let found = results.assertions.iter().find(|a| a.name == "longest_gap_ms[fault 1: kill gwc-1]").cloned();
        let found = found.unwrap();
        (found.limit, found.actual, found.pass)
    };
    let results = full();
    // Intended 1 ns after 500 ms, applied at 820.6 ms.
    assert_eq!(outcome(&results), (400.0, Some(320.6), true));
    let general = results.assertions.iter().find(|a| a.name == "longest_gap_ms").unwrap();
    assert!(!general.pass);
    assert_eq!(general.sentence(), "limit <= 100 ms, actual 320.6 ms");
    let gap = GroupGap {
        group: "1-2-0".into(),
        gap_ms: Some(320.6),
        fault: Some(0),
        from: "gwc-1".into(),
        to: "pe-0000000b".into(),
    };
    assert_eq!(results.groups, [gap]);
}

#[test]
fn the_table_fits_a_terminal() {
    for line in full().table().lines() {
        assert!(line.chars().count() <= 80, "{}: {line}", line.chars().count());
    }
}

#[test]
fn junit_is_escaped_and_counts_right() {
    let results = full();
    let text = results.junit();
    let failed = results.assertions.iter().filter(|a| !a.pass).count();
    assert!(failed > 0 && text.matches("<failure ").count() == failed, "{text}");
    assert_eq!(text.matches("<testcase ").count(), results.assertions.len() + 1);
    assert!(text.contains("message=\"limit &lt;= 100 ms, actual 320.6 ms\""), "{text}");
    assert!(text.contains("value=\"sigpool run a &amp; &lt;b&gt; &quot;c&quot;\""), "{text}");
    assert!(text.contains("gwc-9: ended &lt;early&gt;&#10;\u{fffd}"), "{text}");
    assert!(text.contains("name=\"longest_gap_ms[fault 1: kill gwc-1]\""));
}
