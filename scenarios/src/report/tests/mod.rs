//! The pages as a whole: well formed, nothing loaded, small, and the figures are those of results.json.

mod strict;

use super::*;
use crate::checker::{Bucket, ControllerFigures, Fault, GroupGap, LatencyUs, Records, check};
use crate::results::{Circumstances, ProcessEntry, Results, Role, TopologyEntry, Verdict};
use crate::scenario;
use std::fmt::Write as _;
use strict::{Page, parse};

/// A name that breaks what is not escaped.
const HOSTILE: &str = r#"</pre></style><script>alert("1")</script>&'<!--"#;
/// A report must be smaller, bytes.
const SIZE_MAX: usize = 2_000_000;

/// A folder of a run, removed at the end.
struct Run {
    dir: PathBuf,
}

impl Run {
    fn empty(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sigpool-report-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir }
    }

    /// With all files.
    fn full(name: &str, results: &Results, seconds: u32) -> Self {
        let run = Self::empty(name);
        results.write(&run.dir.join("results.json")).unwrap();
        run.put("intervals.csv", &csv(results.controllers.len(), seconds));
        run.put("events.jsonl", "{\"t_ms\":4000.2,\"event\":\"fault\",\"kind\":\"steal-core\",\"duration_ms\":200}\n");
        run.put("scenario.toml", &format!("name = \"x\"\nseed = {}\n# {HOSTILE}\n", results.seed));
        run
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    fn page(&self) -> String {
        run_page(&Folder::read(&self.dir).unwrap(), &self.dir)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// Every 100 ms, with a hole and a peak.
fn csv(controllers: usize, seconds: u32) -> String {
    let mut text = format!("{}\n", intervals::HEADER);
    for step in 0..seconds * 10 {
        let t = step * 100;
        let latency = if step == 40 {
            ",,".to_owned()
        } else {
            format!("{},{},{}", 80 + step % 7, 300 + step % 90, 900 + step * 37 % 5_000)
        };
        writeln!(text, "{t},network,200,200,100,100,0,,{latency}").unwrap();
        for controller in 1..=controllers {
            let n = if step == 40 { 0 } else { 90 + (step * 7 + controller as u32) % 20 };
            writeln!(text, "{t},gwc-{controller},,,{n},{n},,4,,,").unwrap();
        }
    }
    text
}

fn results(controllers: usize) -> Results {
    let scenario = scenario::load("failover").unwrap();
    let mut report = check(&Records::default()).report;
    report.void = None;
    let mut results = Results::new(&scenario, &report, Circumstances::default());
    results.verdict = Verdict::Pass;
    results.assertions.iter_mut().for_each(|outcome| (outcome.actual, outcome.pass) = (Some(outcome.limit), true));
    results.seed = 7;
    results.messages.offered = 16_301;
    results.messages.applied = 16_298;
    results.messages.discarded.insert("queue-full".to_owned(), 3);
    results.calls.attempted = 3_328;
    results.calls.survived = 156;
    results.rate_per_s = 2_151.4;
    results.measured_to_ms = 8_000.0;
    results.latency_us = LatencyUs { p50: 105, p99: 417, p999: 2_429, max: 6_211 };
    results.latency_histogram = [(64, 100), (128, 12_000), (512, 4_000), (4_096, 190), (8_192, 8)]
        .map(|(up_to_us, count)| Bucket { up_to_us, count })
        .to_vec();
    let fault = Fault {
        kind: "kill".to_owned(),
        target: "gwc-1".to_owned(),
        at_ms: 4_000.2,
        detected_ms: Some(1.8),
        first_ms: Some(2.31),
        longest_gap_ms: Some(5.24),
        affected_groups: 22,
        gateway: None,
        path: None,
    };
    results.faults = vec![
        fault.clone(),
        Fault {
            kind: "start".to_owned(),
            at_ms: 6_000.0,
            detected_ms: None,
            first_ms: None,
            longest_gap_ms: None,
            affected_groups: 0,
            ..fault
        },
    ];
    let group = |index: usize| GroupGap {
        group: format!("101-2-{index}"),
        gap_ms: (index != 21).then(|| 5.24 / (index + 1) as f64),
        fault: Some(0),
        from: "gwc-1".to_owned(),
        to: "gwc-2".to_owned(),
    };
    (results.groups, results.groups_total) = ((0..22).map(group).collect(), 22);
    let name = |index: usize| format!("gwc-{}", index + 1);
    let figures = |index| ControllerFigures {
        name: name(index),
        messages_up: 9_000 + index as u64,
        ..ControllerFigures::default()
    };
    results.controllers = (0..controllers).map(figures).collect();
    let node =
        |name: String, role| TopologyEntry { name, role, address: "127.9.9.10".to_owned(), detail: String::new() };
    results.topology = vec![node("network".to_owned(), Role::Network), node("sg-1".to_owned(), Role::Gateway)];
    results.topology.extend((0..controllers).map(|index| node(name(index), Role::Controller)));
    results.process_list = vec![ProcessEntry { name: "sg-1".to_owned(), pid: 77, address: "127.9.9.1".to_owned() }];
    results
}

#[test]
fn every_figure_on_the_page_is_that_of_the_results() {
    let page = parse(&Run::full("figures", &results(3), 8).page()).unwrap();
    for figure in [
        "16,301",
        "16,298",
        "3,328",
        "2,151.4",
        "105\u{a0}µs",
        "417\u{a0}µs",
        "2.43\u{a0}ms",
        "6.21\u{a0}ms",
        "1.8\u{a0}ms",
        "2.3\u{a0}ms",
        "5.2\u{a0}ms",
        "9,002",
        "+ discarded: queue-full",
        "127.9.9.1",
        "PASS",
        "✓ adds up exactly",
    ] {
        assert!(page.texts.iter().any(|text| text.contains(figure)), "{figure}");
    }
    let top = page.texts.iter().find(|text| text.contains("behind one signaling gateway")).unwrap();
    assert!(top.contains("Of 16,301 messages 16,298 were applied; 3 discarded with a cause."), "{top}");
}

#[test]
fn nothing_in_a_run_can_break_the_page() {
    let mut results = results(3);
    let hostile = || HOSTILE.to_owned();
    (results.scenario, results.description, results.command) = (hostile(), hostile(), vec![hostile()]);
    (results.crashes, results.void_reason) = (vec![hostile()], Some(hostile()));
    results.verdict = Verdict::Void;
    results.controllers[0].name = hostile();
    results.controllers[0].pes = vec![hostile()];
    (results.faults[0].target, results.groups[0].group) = (hostile(), hostile());
    (results.topology[2].name, results.topology[2].detail) = (hostile(), hostile());
    (results.machine.kernel, results.assertions[0].name) = (hostile(), hostile());
    results.messages.discarded.insert(hostile(), 1);
    let run = Run::full("hostile", &results, 8);
    let named = csv(1, 8).replace("gwc-1", &HOSTILE.replace(',', ""));
    run.put("intervals.csv", &named);
    let other = Run::full("hostile-other", &results, 4);
    for text in [run.page(), compared(&run, &other)] {
        let page = parse(&text).unwrap();
        assert!(!text.to_lowercase().contains("<script"), "a script");
        assert!(page.texts.iter().any(|text| text.contains(HOSTILE)), "the name is shown as it is");
    }
}

#[test]
fn the_page_loads_nothing_and_links_only_what_is_beside_it() {
    let run = Run::full("links", &results(3), 8);
    let other = Run::full("links-other", &results(3), 8);
    for text in [run.page(), compared(&run, &other)] {
        let page = parse(&text).unwrap();
        for (element, name, value) in &page.attributes {
            assert!(
                !["src", "srcset", "data", "action", "background", "poster", "xlink:href"].contains(&name.as_str()),
                "{element} {name}"
            );
            assert!(!name.starts_with("on"), "{element} {name}");
            if name == "href" {
                assert!(element == "a" && !value.contains(':') && !value.starts_with("//"), "{element} href={value}");
            }
            if name == "style" {
                assert!(!value.contains("url("), "{value}");
            }
        }
        for forbidden in ["@import", "url(", "http:", "https:", "<link", "<img", "<iframe", "<object"] {
            assert!(!text.to_lowercase().contains(forbidden), "{forbidden}");
        }
    }
}

#[test]
fn five_minutes_are_under_two_megabytes() {
    for controllers in [10, 40, 8] {
        let page = Run::full(&format!("size-{controllers}"), &results(controllers), 300).page();
        assert!(page.len() < SIZE_MAX, "{controllers} controllers: {} bytes", page.len());
        drawings_are_sound(&parse(&page).unwrap());
    }
}

#[test]
fn drawings_have_numbers_only_and_stay_inside() {
    for controllers in [1, 3, 8, 9, 40, 200] {
        drawings_are_sound(&parse(&Run::full(&format!("svg-{controllers}"), &results(controllers), 8).page()).unwrap());
    }
    // Figures that no run has.
    let mut odd = results(2);
    odd.latency_us = LatencyUs::default();
    odd.latency_histogram = vec![Bucket { up_to_us: 0, count: 1 }, Bucket { up_to_us: u64::MAX, count: u64::MAX }];
    odd.faults[0].at_ms = 1e300;
    odd.groups[0].gap_ms = Some(0.0);
    odd.groups[1].gap_ms = Some(1e300);
    let run = Run::full("odd", &odd, 1);
    run.put("intervals.csv", &format!("{}\n0,network,,,,,,,0,0,0\n0,gwc-1,,,1e300,1e300,,,,,\n", intervals::HEADER));
    drawings_are_sound(&parse(&run.page()).unwrap());
}

/// Every figure in the drawings is a number within the drawing.
fn drawings_are_sound(page: &Page) {
    assert!(page.drawings.len() >= 6, "{} drawings", page.drawings.len());
    for drawing in &page.drawings {
        let size: Vec<f64> = drawing.view_box.split(' ').map(|n| n.parse().unwrap()).collect();
        assert!(drawing.has_title && drawing.has_description, "{drawing:?}");
        for (name, value) in &drawing.attributes {
            assert!(!value.contains("NaN") && !value.contains("inf"), "{name}={value}");
            let most = match name.as_str() {
                "x" | "width" => size[2],
                "y" | "height" => size[3],
                _ => continue,
            };
            let number: f64 = value.parse().unwrap_or_else(|_| panic!("{name}={value}"));
            assert!((-1.0..=most + 1.0).contains(&number), "{name}={value}, size {size:?}");
        }
        for path in &drawing.paths {
            let numbers = path.split(|c: char| c.is_ascii_alphabetic() || c == ' ').filter(|part| !part.is_empty());
            for number in numbers {
                let number: f64 = number.parse().unwrap_or_else(|_| panic!("{number} in {path}"));
                assert!((-1.0..=size[2].max(size[3]) + 1.0).contains(&number), "{number} in {path}");
            }
        }
    }
}

#[test]
fn what_is_missing_is_said_in_its_place() {
    let all = ["results.json", "intervals.csv", "events.jsonl", "scenario.toml"];
    for gone in all {
        let run = Run::full(&format!("missing-{gone}"), &results(3), 8);
        std::fs::remove_file(run.dir.join(gone)).unwrap();
        let page = parse(&run.page()).unwrap();
        assert!(page.texts.iter().any(|text| text.contains(&format!("This run has no {gone}."))), "{gone}");
    }
    let run = Run::full("broken", &results(3), 8);
    run.put("results.json", "{\"scenario\": 1}");
    run.put("intervals.csv", "other,columns\n1,2\n");
    run.put("events.jsonl", "no json\n{\"t_ms\":5,\"event\":\"fault\",\"kind\":\"kill\",\"target\":\"gwc-1\"}\n");
    let page = parse(&run.page()).unwrap();
    for said in ["NO VERDICT", "results.json: ", "expected the header"] {
        assert!(page.texts.iter().any(|text| text.contains(said)), "{said}");
    }
    // Nothing was offered: no rate, no latency, no faults.
    let bare = Run::empty("bare");
    let scenario = scenario::load("failover").unwrap();
    Results::new(&scenario, &check(&Records::default()).report, Circumstances::default())
        .write(&bare.dir.join("results.json"))
        .unwrap();
    let page = parse(&bare.page()).unwrap();
    assert!(page.texts.iter().any(|text| text == "VOID"));
}

#[test]
fn the_verdict_says_why() {
    let said = |results: &Results| verdict::verdict(results).into_string();
    let mut run = results(3);
    run.verdict = Verdict::Fail;
    (run.assertions[12].pass, run.assertions[12].actual, run.assertions[12].limit) = (false, Some(5.24), 0.001);
    let name = run.assertions[12].name.clone();
    assert!(
        said(&run).contains("FAIL")
            && said(&run).contains(&format!("1 of {} limits was not held: {name} 5.24", run.assertions.len()))
    );
    assert!(sections::limits(&run).into_string().contains("✗ FAILED"));
    run.verdict = Verdict::Interrupted;
    assert!(said(&run).contains("INTERRUPTED") && said(&run).contains("Ctrl-C"));
    (run.verdict, run.void_reason) = (Verdict::Void, Some("the machine itself stalled for 90 ms".to_owned()));
    assert!(said(&run).contains("VOID") && said(&run).contains("stalled for 90 ms"));
    run.crashes = vec!["gwc-2 ended".to_owned()];
    assert!(said(&run).contains("gwc-2 ended"));
}

fn compared(a: &Run, b: &Run) -> String {
    compare::page(&Folder::read(&a.dir).unwrap(), &Folder::read(&b.dir).unwrap(), &a.dir)
}

#[test]
fn two_runs_are_compared_and_unfair_comparisons_say_so() {
    let mut other = results(3);
    let (a, same) = (Run::full("compare-a", &other, 8), Run::full("compare-same", &other, 8));
    other.seed = 8;
    other.latency_us.p99 = 900;
    other.messages.lost = 2;
    other.machine.cores = 64;
    let b = Run::full("compare-b", &other, 8);
    assert!(compared(&a, &same).contains("the comparison is fair"));
    let text = compared(&a, &b);
    let page = parse(&text).unwrap();
    for said in [
        "The comparison is not fair.",
        "different seeds: 7 and 8",
        "different numbers of cores",
        "+483\u{a0}µs (+116\u{a0}%)",
    ] {
        assert!(page.texts.iter().any(|text| text.contains(said)), "{said}");
    }
    assert!(text.contains("<th scope=\"row\">lost</th><td class=\"n\">0</td><td class=\"n\">2</td><td class=\"n\">+2</td><td class=\"short\"><b>A</b>"));
    assert_eq!(page.drawings.len(), 6);
}

#[test]
fn the_command_writes_where_it_is_told_and_knows_wrong_folders() {
    let (a, b) = (Run::full("command-a", &results(3), 8), Run::full("command-b", &results(3), 8));
    assert_eq!(command(std::slice::from_ref(&a.dir), None).unwrap(), a.dir.join(REPORT));
    let both = [a.dir.clone(), b.dir.clone()];
    assert!(command(&both, None).unwrap().ends_with(COMPARISON) && b.dir.join(COMPARISON).is_file());
    // Links lead from where the page is to the run.
    let page =
        std::fs::read_to_string(command(std::slice::from_ref(&a.dir), Some(&b.dir.join("a.html"))).unwrap()).unwrap();
    let folder = a.dir.file_name().unwrap().to_string_lossy();
    assert!(page.contains(&format!("href=\"../{folder}/results.json\"")));
    let empty = Run::empty("command-empty");
    for wrong in [empty.dir.clone(), empty.dir.join("not-there")] {
        assert_eq!(command(&[wrong], None).unwrap_err().exit_code(), 2);
    }
    assert_eq!(command(std::slice::from_ref(&a.dir), Some(Path::new("/not/there/x.html"))).unwrap_err().exit_code(), 3);
}
