//! Shares, load, control traffic, intervals.

use super::*;
use crate::checker::{INTERVALS_HEADER, write_intervals};

fn named() -> Set {
    let mut set = clean();
    for (index, pe) in PE.iter().enumerate() {
        set.runner.push(format!("N,1,gwc-{},{pe}", index + 1));
        set.controllers[index].insert(0, format!("L,{},active", 1_000 * MS));
    }
    // The last message was applied 1 ms after its time.
    set.runner.push(format!("E,{}", 1_605 * MS));
    set
}

fn csv(set: &Set) -> Vec<String> {
    let mut out = Vec::new();
    write_intervals(&set.checked().intervals, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn shares_are_held_against_equal_parts() {
    // Two circuits of three are controller 0's.
    let controllers = named().check().controllers;
    let of = |index: usize| {
        let c = &controllers[index];
        (c.name.as_str(), c.messages_up, c.messages_down, c.share, c.fair_share, c.deviation_percent)
    };
    assert_eq!(of(0), ("gwc-1", 40, 60, 0.666_667, 0.5, Some(33.33)));
    assert_eq!(of(1), ("gwc-2", 20, 30, 0.333_333, 0.5, Some(-33.33)));
    assert_eq!(controllers[0].pes, ["0000aaaa"]);
}

#[test]
fn a_controller_is_due_only_what_comes_while_it_is_active() {
    let mut set = named();
    // Controller 1 joins after half of the messages, and has its circuit from then on only: a third of the second half.
    let half = 1_300 * MS;
    let moved: Vec<_> =
        set.controllers[1].iter().filter(|l| field(l, 1).parse::<u64>().unwrap() <= half).cloned().collect();
    set.controllers[1].retain(|l| field(l, 1).parse::<u64>().unwrap() > half);
    set.controllers[1].insert(0, format!("L,{half},active"));
    set.controllers[0].extend(moved.iter().filter(|l| !l.starts_with('L')).cloned());
    let txns: Vec<_> = moved.iter().map(|l| field(l, 2)).collect();
    for line in &mut set.gateway {
        if line.starts_with('C') && txns.contains(&field(line, 4)) {
            *line = with_field(line, 2, PE[0]);
        }
    }
    let controllers = set.check().controllers;
    assert_eq!((controllers[1].fair_share, controllers[0].fair_share), (0.258_333, 0.741_667));
    assert_eq!((controllers[1].active_ms, controllers[0].active_ms), (305.0, 605.0));
    assert_eq!(controllers[1].deviation_percent, Some(-29.03));

    // Ended right away it is not judged at all.
    set.runner.push(format!("K,{},kill,gwc-2,{}", half + 20 * MS, PE[1]));
    assert_eq!(set.check().controllers[1].deviation_percent, None);
}

#[test]
fn what_the_network_is_told_about_destinations() {
    let mut set = named();
    set.runner.push("A,1000000000".into());
    set.runner.push("Q,9000000000".into());
    for (t_ms, what) in [
        (999, "DAVA,2,0"),
        (1_001, "DUNA,2,0"),
        (1_002, "DUNA,8,3"),
        (1_500, "DAVA,2,0"),
        (1_600, "SCON,2,0"),
        (9_001, "DUNA,2,0"),
        (1_700, "DAUD,2,0"),
        (1_700, "DUNA,2"),
    ] {
        set.network.push(format!("N,{},{what}", t_ms * MS));
    }
    let report = set.check();
    let told = &report.management;
    assert_eq!((told.duna, told.dava, told.drst, told.scon, told.dupu), (2, 1, 0, 1, 0));
    assert_eq!(told.listed.len(), 4);
    let second = &told.listed[1];
    assert_eq!((second.t_ms, second.message.as_str(), second.point_code, second.mask), (2.0, "DUNA", 8, 3));
    assert_eq!((report.malformed_lines, &report.messages), (2, &good()));
    let limits = |name: &str, limit: f64| {
        let assertion = crate::scenario::ASSERTIONS.iter().find(|assertion| assertion.name == name).unwrap();
        assertion.hold(limit, &report).pass
    };
    assert!(limits("duna_min", 2.0) && !limits("duna_min", 3.0));
    assert!(limits("dava_min", 1.0) && !limits("dava_min", 2.0));
}

#[test]
fn load_and_control_traffic() {
    let mut set = named();
    set.runner.insert(0, "I,900000000,2000,500,60000".into());
    set.network.push("M,1500000000".into());
    let report = set.check();
    let load = &report.load;
    assert_eq!((load.calls_intended, load.calls_begun, load.messages_intended, load.messages_sent), (31, 30, 62, 60));
    assert_eq!((load.lateness_us.p50, load.lateness_us.max), (1, 1));
    let control = report.control.unwrap();
    assert_eq!((control.idle_ms, control.datagrams_per_s, control.bytes_per_s), (2_000.0, 250.0, 30_000.0));
    assert_eq!((control.data_bytes_per_s, control.percent_of_data), (None, None));
    // Under load 780,000 bytes a second, 30,000 of them are not data.
    set.runner.push("V,1700000000,1000,9000,780000".into());
    let control = set.check().control.unwrap();
    assert_eq!((control.bytes_per_s, control.data_bytes_per_s), (30_000.0, Some(750_000.0)));
    assert_eq!((control.percent_of_data, control.pool_percent_of_data), (Some(4.0), None));
    // Of them 15,000 a second are the population's.
    set.runner[0].push_str(",30000");
    let control = set.check().control.unwrap();
    assert_eq!((control.pool_bytes_per_s, control.pool_percent_of_data), (Some(15_000.0), Some(2.0)));
    // 60 in 605 ms; the first was to be sent at 10 ms.
    assert_eq!((report.applied_per_s, report.measured_to_ms), (99.2, 595.0));
    let histogram: u64 = report.latency_histogram.iter().map(|bucket| bucket.count).sum();
    assert_eq!(histogram, report.messages.applied);
}

#[test]
fn intervals_have_their_fixed_header_and_every_name() {
    let mut set = named();
    set.runner.insert(0, format!("A,{}", 1_000 * MS));
    let lines = csv(&set);
    assert_eq!(
        INTERVALS_HEADER,
        "t_ms,name,offered,applied,messages_up,messages_down,discarded,groups,latency_p50_us,latency_p99_us,latency_max_us"
    );
    assert_eq!(lines[0], INTERVALS_HEADER);
    // 1,010 to 1,090 ms: nine messages of the network, 1 ms each; they alternate between one and two answers.
    assert_eq!(lines[1], "0,network,23,23,9,14,0,2,1000,1000,1000");
    assert_eq!(lines[2], "0,gwc-1,,18,7,11,,1,1000,1000,1000");
    assert_eq!(lines[3], "0,gwc-2,,5,2,3,,1,1000,1000,1000");
    assert_eq!(lines.len(), 1 + 7 * 3, "{lines:?}");
    assert!(lines[19].starts_with("600,network,"));
}

#[test]
fn intervals_show_a_fault() {
    let mut set = with_kill(150 * MS);
    set.runner.push(format!("N,1,gwc-2,{}", PE[1]));
    let fault = field(set.runner.iter().find(|l| l.starts_with('K')).unwrap(), 1).parse::<u64>().unwrap();
    set.runner.insert(0, format!("A,{}", 1_000 * MS));
    set.gateway.push(format!("G,{},{},1,2,5,0", fault + 120 * MS, PE[1]));
    let lines: Vec<_> = set.checked().intervals;
    let of = |t_ms: u64, name: &str| {
        let line = lines.iter().find(|l| l.t_ms == t_ms && l.name == name).unwrap();
        (line.groups, line.latency_us.map(|(_, _, max)| max))
    };
    assert_eq!(fault, 1_309 * MS);
    assert_eq!((of(200, "network").0, of(200, "gwc-1").0), (2, 1));
    // Given up 3 ms after the fault; the group is nobody's until 120 ms after it.
    assert_eq!((of(300, "network").0, of(300, "gwc-1").0), (1, 0));
    assert_eq!(of(400, "network"), (2, Some(151_000)));
    assert_eq!((of(400, "gwc-1"), of(400, "gwc-2")), ((0, None), (2, Some(151_000))));
}

#[test]
fn a_record_with_times_from_elsewhere_makes_no_endless_list() {
    let mut set = clean();
    set.network.push(format!("R,{},{DOWN}1,0100ff", u64::MAX));
    let checked = check(&set.records());
    assert_eq!(checked.report.interval_ms, 1_000);
    assert_eq!(checked.intervals.len(), 86_400 * 3);
    assert!(check(&Records::default()).intervals.is_empty());
}
