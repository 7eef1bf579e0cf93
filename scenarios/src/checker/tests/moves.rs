//! Groups that go from one controller to another: because of a fault, by plan, or not at all.

use super::*;
use crate::checker::GroupGap;

/// Everything of circuits 1 and 2 (group 0) from message `from` on belongs to controller 1; its first message there is `delay` late.
/// Gives the set and the time of the change.
fn moved(from: usize, delay: u64) -> (Set, u64) {
    let mut set = clean();
    let first = nth(&set.controllers[0], "I", 1, from);
    let t = field(&set.controllers[0][first], 1).parse::<u64>().unwrap() - 2 * MS;
    let lines = set.controllers[0].split_off(first);
    let txns: Vec<String> = lines.iter().map(|l| field(l, 2)).collect();
    for (index, line) in lines.into_iter().enumerate() {
        let at = field(&line, 1).parse::<u64>().unwrap() + if index < 3 { delay } else { 0 };
        set.controllers[1].push(with_field(&line, 1, &at.to_string()));
    }
    for line in &mut set.gateway {
        if line.starts_with('C') && txns.contains(&field(line, 4)) {
            *line = with_field(line, 2, PE[1]);
        }
    }
    for (index, pe) in PE.iter().enumerate() {
        set.runner.push(format!("N,1,gwc-{},{pe}", index + 1));
    }
    (set, t)
}

fn gap(group: &str, gap_ms: f64, fault: Option<usize>, from: &str, to: &str) -> GroupGap {
    GroupGap { group: group.into(), gap_ms: Some(gap_ms), fault, from: from.into(), to: to.into() }
}

#[test]
fn the_groups_of_a_controller_that_leaves_are_measured() {
    let (mut set, t) = moved(10, 7 * MS);
    set.runner.push(format!("K,{t},term,gwc-1,{}", PE[0]));
    set.gateway.push(format!("G,{},{},1,2,5,0", t + 4 * MS, PE[1]));
    let report = set.check();
    let fault = &report.faults[0];
    assert_eq!((fault.affected_groups, fault.detected_ms), (1, None));
    assert_eq!((fault.first_ms, fault.longest_gap_ms, report.longest_gap_ms), (Some(9.0), Some(8.0), Some(8.0)));
    assert_eq!(report.groups, [gap("1-2-0", 8.0, Some(0), "gwc-1", "gwc-2")]);
    assert_eq!((report.groups_total, report.groups_moved, report.messages), (1, 0, good()));
}

#[test]
fn a_planned_move_is_measured_from_its_begin() {
    let (mut set, t) = moved(10, 7 * MS);
    set.gateway.push(format!("M,{},{},{},1,2,5,0", t + MS, PE[0], PE[1]));
    set.gateway.push(format!("G,{},{},1,2,5,0", t + 10 * MS, PE[1]));
    let report = set.check();
    assert_eq!(report.groups, [gap("1-2-0", 8.0, None, "gwc-1", "gwc-2")]);
    assert_eq!((report.groups_moved, report.longest_gap_ms, report.false_failovers), (1, Some(8.0), 0));

    // The same after the other controller was started, or came to life again: that is why.
    for kind in ["start", "cont"] {
        let mut set = set.clone();
        set.runner.push(format!("K,{},{kind},gwc-2,{}", t - 30 * MS, PE[1]));
        let report = set.check();
        assert_eq!(report.groups, [gap("1-2-0", 8.0, Some(0), "gwc-1", "gwc-2")]);
        let fault = &report.faults[0];
        assert_eq!((fault.affected_groups, fault.longest_gap_ms, fault.first_ms), (1, Some(8.0), Some(39.0)));
        assert_eq!(fault.detected_ms, None);
    }
}

#[test]
fn a_group_that_came_back_after_a_stop_moved_by_plan() {
    let (mut set, t) = moved(14, 7 * MS);
    // It hangs for 20 ms, is not given up, and later its group goes elsewhere.
    set.runner.push(format!("K,{},stop,gwc-1,{}", t - 100 * MS, PE[0]));
    set.runner.push(format!("K,{},cont,gwc-1,{}", t - 80 * MS, PE[0]));
    set.gateway.push(format!("G,{t},{},1,2,5,0", PE[1]));
    let report = set.check();
    assert_eq!((report.faults[0].affected_groups, report.groups_moved), (1, 1));
    assert_eq!(
        report.groups,
        [gap("1-2-0", 8.0, Some(0), "gwc-1", "gwc-1"), gap("1-2-0", 8.0, None, "gwc-1", "gwc-2")],
        "within five seconds of the stop as well"
    );

    // Given up when it hangs again, and once more when all is ended: neither was for the first time.
    let again = t + 200 * MS;
    set.runner.push(format!("K,{again},stop,gwc-1,{}", PE[0]));
    set.runner.push(format!("Q,{}", t + 900 * MS));
    set.gateway.push(format!("F,{},{},silent", t + 1_000 * MS, PE[0]));
    let times = |set: &Set| set.check().faults.iter().map(|fault| fault.detected_ms).collect::<Vec<_>>();
    assert_eq!(times(&set), [None, None, None]);
    set.gateway.push(format!("F,{},{},silent", again + 7 * MS, PE[0]));
    assert_eq!(times(&set), [None, None, Some(7.0)]);
}

#[test]
fn a_gap_belongs_to_the_fault_that_made_it() {
    // The group goes to controller 1 with the first fault, without delay; the second one hits it there.
    let (mut set, t) = moved(8, 0);
    set.runner.push(format!("K,{t},kill,gwc-1,{}", PE[0]));
    set.gateway.push(format!("G,{},{},1,2,5,0", t + MS, PE[1]));
    let second = t + 100 * MS;
    set.runner.push(format!("K,{second},stop,gwc-2,{}", PE[1]));
    let late = set.controllers[1]
        .iter()
        .position(|l| l.starts_with('I') && l.contains(",3,1,") && field(l, 1).parse::<u64>().unwrap() > second);
    let line = set.controllers[1][late.unwrap()].clone();
    let at = field(&line, 1).parse::<u64>().unwrap() + 5 * MS;
    set.controllers[1][late.unwrap()] = with_field(&line, 1, &at.to_string());
    let report = set.check();
    let gaps: Vec<_> = report.faults.iter().map(|f| f.longest_gap_ms).collect();
    assert_eq!(gaps, [Some(1.0), Some(6.0)]);
    assert_eq!(report.longest_gap_ms, Some(6.0));
}

#[test]
fn what_moves_when_the_run_is_taken_down_does_not_count() {
    let mut set = clean();
    set.runner.push("Q,1700000000".into());
    set.gateway.push(format!("G,1700000001,{},1,2,5,0", PE[1]));
    let report = set.check();
    assert_eq!((report.groups_total, report.groups_moved, report.longest_gap_ms), (0, 0, None));
}

#[test]
fn groups_of_user_parts_without_circuits_have_their_name() {
    let mut set = clean();
    set.gateway.push(format!("G,1000000000,{},7,8,3,4", PE[0]));
    set.gateway.push(format!("G,1100000000,{},7,8,3,4", PE[1]));
    let group = set.check().groups.remove(0);
    assert_eq!((group.group.as_str(), group.gap_ms, group.from.as_str()), ("7-8-3-4", None, "pe-0000aaaa"));
}
