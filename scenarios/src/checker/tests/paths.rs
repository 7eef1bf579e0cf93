//! Paths: changes of state, faults of a path, associations that ended.

use super::*;
use crate::checker::PathFigures;

/// Path 1 is cut from 1.2 to 1.4 s; two ends see it.
fn cut() -> Set {
    let mut set = clean();
    for (index, pe) in PE.iter().enumerate() {
        set.runner.push(format!("N,1,gwc-{},{pe}", index + 1));
        set.runner.push(format!("Y,1,gwc-{},1,127.1.1.{}", index + 1, 10 + index));
    }
    set.runner.push("Y,1,sg-1,1,127.1.1.1".to_owned());
    set.runner.push("Y,1,sg-1,2,127.1.3.1".to_owned());
    set.runner.push(format!("A,{}", 1_000 * MS));
    set.runner.push(format!("K,{},cut-path,path-1,", 1_200 * MS));
    set.runner.push(format!("K,{},restore-path,path-1,", 1_400 * MS));
    let see = |lines: &mut Vec<String>, at_ms: u64, role: &str, address: &str, state: &str| {
        lines.push(format!("P,{},{role},{address},{state}", at_ms * MS));
    };
    see(&mut set.gateway, 1_210, "pool", "127.1.1.10", "potentially-failed");
    see(&mut set.controllers[0], 1_220, "gateway", "127.1.1.1", "potentially-failed");
    see(&mut set.gateway, 1_260, "pool", "127.1.1.10", "inactive");
    see(&mut set.gateway, 1_430, "pool", "127.1.1.10", "active");
    see(&mut set.network, 1_450, "gateway", "127.9.9.9", "inactive");
    set
}

#[test]
fn what_a_cut_path_brought_is_told_by_both_ends() {
    let mut set = cut();
    let report = set.check();
    assert_eq!((report.messages, report.path_changes_total), (good(), 5));
    let first = &report.path_changes[0];
    assert_eq!((first.at.as_str(), first.peer.as_str(), first.path.as_str()), ("sg-1", "gwc-1", "path-1"));
    assert_eq!((first.t_ms, first.role.as_str(), first.state.as_str()), (210.0, "pool", "potentially-failed"));
    assert_eq!((report.path_changes[1].at.as_str(), report.path_changes[1].peer.as_str()), ("gwc-1", "sg-1"));
    let stranger = &report.path_changes[4];
    assert_eq!((stranger.at.as_str(), stranger.peer.as_str(), stranger.path.as_str()), ("network", "127.9.9.9", ""));
    let figures = |index: usize| report.faults[index].path.clone().unwrap();
    let seen = PathFigures {
        potentially_failed: 2,
        inactive: 1,
        first_ms: Some(10.0),
        last_ms: Some(60.0),
        ..PathFigures::default()
    };
    assert_eq!(figures(0), seen);
    let back = PathFigures { active: 1, first_ms: Some(30.0), last_ms: Some(30.0), ..PathFigures::default() };
    assert_eq!(figures(1), back);
    // The relay's counts just before the next fault, and a second earlier.
    for (t_ms, counts) in [(1_300, "100,0"), (2_000, "100,50"), (3_010, "175,75")] {
        set.runner.push(format!("C,{},{counts}", t_ms * MS));
    }
    set.runner.retain(|line| !line.starts_with('E'));
    set.runner.push(format!("E,{}", 3_020 * MS));
    let carried = |set: &Set, fault: usize| set.check().faults[fault].path.clone().unwrap().carried_percent;
    assert_eq!((carried(&set, 0), carried(&set, 1)), (None, Some(75.0)));
}

#[test]
fn every_group_has_a_gap_at_a_cut_path_in_both_directions() {
    let mut set = cut();
    let clean = set.check();
    assert_eq!(clean.faults.iter().map(|fault| fault.affected_groups).collect::<Vec<_>>(), [2, 2]);
    assert_eq!((clean.faults[0].longest_gap_ms, clean.faults[0].first_ms), (Some(1.0), None));
    assert_eq!(clean.groups_moved, 0);
    // An answer of the pool within the window reaches the network 90 ms late.
    let late = set.network.iter().position(|l| l.starts_with('R') && field(l, 1).parse::<u64>().unwrap() > 1_210 * MS);
    let line = &set.network[late.unwrap()];
    let t = field(line, 1).parse::<u64>().unwrap() + 90 * MS;
    set.network[late.unwrap()] = with_field(line, 1, &t.to_string());
    let report = set.check();
    assert_eq!(report.faults[0].longest_gap_ms, Some(91.0));
    assert_eq!(report.longest_gap_ms, Some(91.0));
}

#[test]
fn associations_that_end_and_leases_that_run_out_are_counted_before_the_end_of_the_run() {
    let mut set = clean();
    assert_eq!((set.check().associations_ended, set.check().leases_lost), (0, 0));
    set.runner.push(format!("Q,{}", 1_500 * MS));
    set.gateway.push(format!("Z,{},pool,silent", 1_300 * MS));
    set.controllers[0].push(format!("Z,{},gateway,peer-abort", 1_301 * MS));
    set.controllers[1].push(format!("L,{},lease-lost", 1_302 * MS));
    set.network.push(format!("Z,{},gateway,shutdown", 1_501 * MS));
    let report = set.check();
    assert_eq!((report.associations_ended, report.leases_lost, report.malformed_lines), (2, 1, 0));
}
