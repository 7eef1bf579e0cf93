//! The command from outside: runs, interruption, bad input, exit codes, nobody left behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use scenarios::results::{events_schema, results_schema};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SIGPOOL: &str = env!("CARGO_BIN_EXE_sigpool");

/// A folder of its own for each test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sigpool-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
    fn out(&self) -> PathBuf {
        self.0.join("out")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SMALL: &str = r#"
name = "small"
duration_ms = 3_000
drain_ms = 6_000
[controllers]
count = 2
[load]
rate_per_s = 300
groups = 8
ring_ms = [100, 200]
hold_ms = [100, 300]
warm_up_ms = 200
[[faults]]
at_ms = 1_500
kind = "kill"
target = "gwc-2"
[[faults]]
at_ms = 2_000
kind = "start"
target = "gwc-2"
"#;

fn sigpool(arguments: &[&str]) -> Output {
    Command::new(SIGPOOL).args(arguments).output().unwrap()
}

/// A run in the background.
fn start(scenario: &str, out: &Path) -> Child {
    let arguments = ["run", scenario, "--out", out.to_str().unwrap()];
    Command::new(SIGPOOL).args(arguments).stdout(Stdio::null()).spawn().unwrap()
}

fn results(out: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(out.join("results.json")).unwrap()).unwrap()
}

/// Processes of a run that are still there: their command line names the run's folder.
fn left_behind(out: &Path) -> Vec<String> {
    let folder = out.display().to_string();
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok()?.replace('\0', " ");
        (line.contains(&folder) && line.contains("--config")).then_some(line)
    });
    lines.collect()
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_kill_loses_nothing_and_the_files_say_so() {
    let folder = Folder::new("kill");
    let scenario = folder.file("small.toml", SMALL);
    let out = folder.out();
    let output = sigpool(&["run", &scenario, "--out", out.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let results = results(&out);
    // On a machine that stands still again and again the run says nothing; it must still have lost nothing.
    let void = results["verdict"] == "void";
    assert_eq!(output.status.code(), Some(if void { 3 } else { 0 }), "{text}");
    for count in ["lost", "duplicated", "reordered", "applied_twice", "unknown"] {
        assert_eq!(results["messages"][count], 0, "{count}: {text}");
    }
    assert!(results["messages"]["offered"].as_u64().unwrap() > 400, "{text}");
    assert_eq!(results["processes"], 4);
    assert_eq!(results["faults"][0]["kind"], "kill");
    assert!(results["faults"][0]["detected_ms"].is_f64(), "{text}");
    assert_eq!(results["calls"]["hanging"], 0, "{text}");
    assert!(text.contains("gwc-1") && text.contains("groups"), "a line for each controller: {text}");
    for file in ["capture.pcapng", "events.jsonl", "records/network.csv", "records/sg-1.csv", "records/run.csv"] {
        assert!(std::fs::metadata(out.join(file)).unwrap().len() > 0, "{file}");
    }
    says_what_the_schemas_say(&results, &out);
    assert_eq!(left_behind(&out), Vec::<String>::new());

    // Anyone can compute it again from the records alone.
    let again = sigpool(&["check", out.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report["messages"], results["messages"]);
    assert_eq!(report["calls"], results["calls"]);
    for figure in ["groups", "controllers", "load", "latency_histogram", "applied_per_s", "longest_gap_ms"] {
        assert_eq!(report[figure], results[figure], "{figure}");
    }
    // And no run writes over another.
    let second = sigpool(&["run", &scenario, "--out", out.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(2));
}

/// `results.json`, `events.jsonl`, `intervals.csv` and `junit.xml` of a real run.
fn says_what_the_schemas_say(results: &Value, out: &Path) {
    let valid = |schema: Value, what: &Value| {
        let schema = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> = schema.iter_errors(what).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {what}");
    };
    valid(results_schema(), results);
    let mut events = Vec::new();
    for line in std::fs::read_to_string(out.join("events.jsonl")).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        valid(events_schema(), &line);
        events.push(line["event"].as_str().unwrap().to_owned());
    }
    assert!(
        ["ready", "begin", "second", "fault", "load-end", "end"].iter().all(|e| events.iter().any(|have| have == e))
    );

    assert!(!results["controllers"].as_array().unwrap().is_empty() && results["groups_total"].as_u64().unwrap() > 0);
    assert_eq!(results["controllers"][1]["pes"].as_array().unwrap().len(), 2, "gwc-2 was started again");
    assert_eq!(results["topology"][0]["role"], "gateway");
    assert!(results["capture"]["packets"].as_u64().unwrap() > 100);
    assert!(results["command"][1] == "run");

    let intervals = std::fs::read_to_string(out.join("intervals.csv")).unwrap();
    let mut lines = intervals.lines();
    assert_eq!(
        lines.next(),
        Some(
            "t_ms,name,offered,applied,messages_up,messages_down,discarded,groups,\
             latency_p50_us,latency_p99_us,latency_max_us"
        )
    );
    let applied = |line: &str| line.split(',').nth(3).unwrap().parse::<u64>().unwrap();
    let whole: u64 = lines.filter(|line| line.contains(",network,")).map(applied).sum();
    assert_eq!(Some(whole), results["messages"]["applied"].as_u64());

    let junit = std::fs::read_to_string(out.join("junit.xml")).unwrap();
    let cases = results["assertions"].as_array().unwrap().len() + 1;
    assert!(junit.contains(&format!("<testsuite name=\"sigpool.small\" tests=\"{cases}\"")), "{junit}");
}

#[test]
fn a_program_can_follow_a_run() {
    let folder = Folder::new("stream");
    let text = SMALL.replace("duration_ms = 3_000", "duration_ms = 1_200");
    let scenario = folder.file("small.toml", text.split("[[faults]]").next().unwrap());
    let run = |name: &str| {
        let out = folder.0.join(name);
        let mut command = Command::new(SIGPOOL);
        command.args(["run", &scenario, "--json-stream", "--out", out.to_str().unwrap()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        (command.spawn().unwrap(), out)
    };
    let (child, out) = run("read");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let schema = jsonschema::validator_for(&events_schema()).unwrap();
    assert!(lines.iter().all(|line| schema.is_valid(line)), "{text}");
    let last = lines.last().unwrap();
    assert_eq!((last["event"].as_str(), &last["results"]), (Some("results"), &results(&out)));
    // The events of the last attempt are those of the file.
    let file = std::fs::read_to_string(out.join("events.jsonl")).unwrap();
    assert!(text.contains(&file), "{text}");
    let second = lines.iter().find(|line| line["event"] == "second").unwrap();
    assert!(second["controllers"][1]["rate_per_s"].is_number());
    assert!(String::from_utf8_lossy(&output.stderr).contains("assertion"), "the table is for people");

    // Nobody reads: the run goes on, and its files are complete.
    let (mut child, out) = run("unread");
    drop(child.stdout.take());
    drop(child.stderr.take());
    let code = child.wait().unwrap().code();
    assert!(code == Some(0) || code == Some(3), "{code:?}");
    assert!(["pass", "void"].contains(&results(&out)["verdict"].as_str().unwrap()));
}

#[test]
fn ctrl_c_ends_the_children_and_writes_results() {
    let folder = Folder::new("interrupt");
    let scenario = folder.file("small.toml", &SMALL.replace("duration_ms = 3_000", "duration_ms = 60_000"));
    let out = folder.out();
    let mut child = start(&scenario, &out);
    let begun = || std::fs::read_to_string(out.join("events.jsonl")).is_ok_and(|text| text.contains("\"begin\""));
    wait_for("the load begins", begun);
    assert_eq!(left_behind(&out).len(), 3);
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(results(&out)["verdict"], "interrupted");
    assert_eq!(left_behind(&out), Vec::<String>::new());
}

#[test]
fn even_a_killed_sigpool_leaves_nobody_behind() {
    let folder = Folder::new("killed");
    let scenario = folder.file("small.toml", &SMALL.replace("duration_ms = 3_000", "duration_ms = 60_000"));
    let out = folder.out();
    let mut child = start(&scenario, &out);
    wait_for("the processes run", || left_behind(&out).len() == 3);
    wait_for("the run is begun", || out.join("events.jsonl").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the children end", || left_behind(&out).is_empty());
}

#[test]
fn bad_input_is_refused_with_its_place_and_nothing_started() {
    let folder = Folder::new("bad");
    let out = folder.out();
    let out = out.to_str().unwrap();
    let case = |text: &str, word: &str| {
        let file = folder.file("bad.toml", text);
        for arguments in [vec!["check", &file], vec!["run", &file, "--out", out]] {
            let output = sigpool(&arguments);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert!(error.contains("bad.toml") && error.contains(word), "{error}");
        }
        assert!(!Path::new(out).exists());
    };
    case("name = 1", "bad.toml:1:8: name");
    case(&SMALL.replace("gwc-2", "gwc-3"), "faults.target");
    case(&SMALL.replace("groups = 8", "groups = 8\ncolour = 3"), "load.colour");
    case(&format!("{SMALL}[gateway.settings.failover]\nbeat_ms = 0"), "failover.beat_ms");
    case(&format!("{SMALL}[controllers.settings.session]\nleese = 0"), "leese");
    assert_eq!(sigpool(&["run", "nonsense"]).status.code(), Some(2));
    assert_eq!(sigpool(&["dance"]).status.code(), Some(2));
    assert_eq!(sigpool(&["run", "failover", "--out", "/proc/no"]).status.code(), Some(3));
    assert_eq!(sigpool(&["check", "failover"]).status.code(), Some(0));
    assert_eq!(sigpool(&["list"]).status.code(), Some(0));
    assert_eq!(sigpool(&["sg", "--print-config"]).status.code(), Some(0));
}

/// Two controllers behind a relay, one of which comes later, and a name server of its own that dies and returns.
const FAR: &str = r#"
name = "far"
duration_ms = 7_000
drain_ms = 8_000
idle_ms = 500
[controllers]
count = 2
at_start = 1
round_trip_ms = [2, 60]
[name_server]
kind = "stand-alone"
[load]
rate_per_s = 200
groups = 8
ring_ms = [200, 400]
hold_ms = [300, 500]
warm_up_ms = 200
[[faults]]
at_ms = 500
kind = "start"
target = "gwc-2"
[[faults]]
at_ms = 2_500
kind = "kill"
target = "enrp-1"
[[faults]]
at_ms = 3_500
kind = "kill"
target = "gwc-1"
longest_gap_ms = 2_000
[[faults]]
at_ms = 4_000
kind = "start"
target = "enrp-1"
"#;

#[test]
fn far_controllers_find_each_other_by_an_outside_name_server_that_may_die() {
    let folder = Folder::new("far");
    let scenario = folder.file("far.toml", FAR);
    let out = folder.out();
    let refused = sigpool(&["run", &scenario, "--out", out.to_str().unwrap(), "--duration", "4000"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("start of enrp-1 at 4000 ms would come after the load"), "{error}");

    let output = sigpool(&["run", &scenario, "--out", out.to_str().unwrap(), "--duration", "6500", "--seed", "5"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let results = results(&out);
    for count in ["lost", "duplicated", "reordered", "applied_twice", "unknown"] {
        assert_eq!(results["messages"][count], 0, "{count}: {text}");
    }
    assert!(results["messages"]["offered"].as_u64().unwrap() > 400, "{text}");
    let kill = &results["faults"][2];
    assert_eq!((kill["kind"].as_str(), kill["target"].as_str()), (Some("kill"), Some("gwc-1")));
    // No ICMP error crosses the relay: silence of 320 ms.
    assert!(kill["detected_ms"].as_f64().unwrap() > 200.0, "{text}");
    let names: Vec<_> = results["process_list"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["sg-1", "enrp-1", "gwc-1", "network"], "the second controller is not there yet");
    let later = &results["topology"][4];
    assert_eq!(
        (later["name"].as_str(), later["detail"].as_str()),
        (Some("gwc-2"), Some("started later, 60 ms round trip"))
    );
    // Control traffic alone was measured, and the relay says what it did.
    let events = std::fs::read_to_string(out.join("events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    assert!(event("idle")["datagrams"].as_u64().unwrap() > 0);
    assert!(event("relay")["forwarded"].as_u64().unwrap() > 400);
    assert_eq!(event("relay")["queue_full"], 0);
    // What was run stands in the folder, and is a scenario.
    let run = std::fs::read_to_string(out.join("scenario.toml")).unwrap();
    assert!(
        run.contains("duration_ms = 6500") && run.contains("seed = 5") && run.contains("pool_releases = "),
        "{run}"
    );
    let written = out.join("scenario.toml");
    assert_eq!(sigpool(&["check", written.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(left_behind(&out), Vec::<String>::new());
}
