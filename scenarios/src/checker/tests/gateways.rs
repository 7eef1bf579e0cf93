//! Two gateways: what either of them says counts, once; faults of a gateway hit every group.

use super::*;

#[test]
fn a_transaction_counts_when_either_gateway_committed_it_and_once_when_both_say_so() {
    let mut set = clean();
    let commits: Vec<String> = set.gateway.iter().filter(|line| line.starts_with('C')).cloned().collect();
    set.second = commits[commits.len() / 3..].to_vec();
    set.gateway.retain(|line| !commits[commits.len() / 2..].contains(line));
    assert_eq!(set.messages(), good());
    set.second.pop();
    assert_eq!(set.messages().rolled_back, 2, "the last one: an input and its output");
}

#[test]
fn both_gateways_discards_explain_what_is_missing() {
    let mut set = clean();
    let at = nth(&set.network, "R", 33, 3);
    let line = set.network.remove(at);
    let (time, message) = line[2..].split_once(',').unwrap();
    set.second.push(format!("X,{time},no-peer,down,{message}"));
    let messages = set.messages();
    assert_eq!((messages.lost, messages.discarded.get("no-peer")), (0, Some(&1)));
}

#[test]
fn what_is_sent_or_comes_again_is_counted_and_no_fault_of_delivery() {
    let mut set = clean();
    let at = nth(&set.network, "R", 1, 0);
    let line = set.network[at].clone();
    let (time, message) = line[2..].split_once(',').unwrap();
    set.network.insert(at + 1, format!("D,{time},2,10000001,{message}"));
    set.network.insert(at + 1, format!("A,{time},1,17"));
    assert_eq!(set.messages(), Messages { resent: 17, repeated: 1, ..good() });
    assert_eq!(set.check().malformed_lines, 0);
}

#[test]
fn a_fault_of_a_gateway_hits_every_group_in_both_directions() {
    let mut set = clean();
    set.runner.push(format!("A,{}", 1_000 * MS));
    set.runner.push(format!("K,{},kill,gateway,,sg-1", 1_200 * MS));
    let late = |set: &mut Set| {
        let from = |line: &String| field(line, 1).parse::<u64>().unwrap();
        let at = set.network.iter().position(|line| line.starts_with('R') && from(line) > 1_250 * MS).unwrap();
        let time = from(&set.network[at]) + 7 * MS;
        set.network[at] = with_field(&set.network[at], 1, &time.to_string());
    };
    let before = set.check();
    let fault = &before.faults[0];
    assert_eq!((fault.target.as_str(), fault.gateway.as_deref()), ("gateway", Some("sg-1")));
    assert_eq!((fault.affected_groups, fault.longest_gap_ms, fault.first_ms), (2, Some(1.0), None));
    late(&mut set);
    let after = set.check();
    assert_eq!((after.faults[0].longest_gap_ms, after.longest_gap_ms), (Some(8.0), Some(8.0)));
    assert!(after.calls.at_fault.after_iam + after.calls.at_fault.after_anm > 0 || after.calls.survived == 0);
}

#[test]
fn what_a_gateway_that_hung_gives_up_is_no_false_failover() {
    let mut set = clean();
    set.runner.push(format!("K,{},stop,gateway,,sg-1", 1_200 * MS));
    set.gateway.push(format!("F,{},{},silent", 1_300 * MS, PE[0]));
    assert_eq!(set.check().false_failovers, 0);
    set.second.push(format!("F,{},{},silent", 1_300 * MS, PE[0]));
    assert_eq!(set.check().false_failovers, 1);
}
