//! TCAP dialogues: each in order by itself, and what became of them.

use super::*;
use crate::checker::Dialogues;

const UP: &str = "1,2,3,2,3,,";
const DOWN: &str = "2,1,3,2,3,,";

/// UDT with a TCAP message of these ids (two octets).
fn tcap(kind: u8, otid: Option<u16>, dtid: Option<u16>) -> String {
    let id = |tag: &str, id: Option<u16>| id.map(|id| format!("{tag}02{id:04x}")).unwrap_or_default();
    let ids = id("48", otid) + &id("49", dtid);
    let length = ids.len() / 2;
    format!("09010305070242fb0242fa{:02x}{kind:02x}{length:02x}{ids}", length + 2)
}

/// Dialogues 0x105 (controller 0) and 0x206 (controller 1), on one SLS: Begin, Continue, Continue, End, each 10 ms after the other.
fn clean() -> Set {
    let mut set = super::clean();
    set.network.clear();
    set.controllers = [vec![], vec![]];
    set.gateway = vec![format!("G,0,{},1,2,3,261", PE[0]), format!("G,0,{},1,2,3,262", PE[1])];
    let mut t = 1_000 * MS;
    let mut txn = 0;
    for (kind, answer) in [(0x62, 0x65), (0x65, 0x64)] {
        for (who, network, pool) in [(0, 0x105, 0x1005), (1, 0x206, 0x1006)] {
            t += 10 * MS;
            txn += 1;
            let input = tcap(kind, Some(network), (kind == 0x65).then_some(pool));
            let output = tcap(answer, (answer == 0x65).then_some(pool), Some(network));
            set.network.push(format!("S,{t},{t},{UP}{input}"));
            set.controllers[who].push(format!("I,{},{txn},{:08x},{UP}{input}", t + MS, 0x1000_0000 + txn));
            set.controllers[who].push(format!("O,{},{txn},{DOWN}{output}", t + MS));
            set.gateway.push(format!("C,{},{},1,{txn}", t + 2 * MS, PE[who]));
            set.network.push(format!("R,{},{DOWN}{output}", t + 2 * MS));
        }
    }
    set.runner = vec![format!("A,{MS}"), format!("B,{}", 1_000 * MS), format!("E,{t}")];
    set
}

const GOOD: Dialogues =
    Dialogues { begun: 2, continued: 2, ended: 2, aborted: 0, hanging: 0, at_fault: 0, survived: 0 };

#[test]
fn dialogues_are_counted() {
    let report = clean().check();
    assert_eq!(report.dialogues, GOOD);
    assert_eq!((report.messages.offered, report.messages.applied, report.messages.reordered), (8, 8, 0));
    let mut aborted = clean();
    *aborted.network.last_mut().unwrap() = aborted.network.last().unwrap().replace("6404", "6704");
    assert_eq!(aborted.check().dialogues, Dialogues { ended: 1, aborted: 1, ..GOOD });
    let mut hanging = clean();
    hanging.network.pop();
    assert_eq!(hanging.check().dialogues, Dialogues { ended: 1, hanging: 1, ..GOOD });
}

#[test]
fn each_dialogue_has_an_order_of_its_own() {
    // Another controller was faster: no message of a dialogue overtook one of the same dialogue.
    let mut two = clean();
    let first = two.network.iter().position(|line| line.starts_with('R')).unwrap();
    let line = two.network.remove(first);
    two.network.insert(3, line);
    assert_eq!(two.check().messages.reordered, 0);
    // The answers of one dialogue the other way round.
    let mut one = clean();
    let answers: Vec<usize> =
        (0..one.network.len()).filter(|at| one.network[*at].starts_with('R')).step_by(2).collect();
    let (times, rest): (Vec<_>, Vec<_>) =
        answers.iter().map(|at| (field(&one.network[*at], 1), one.network[*at].clone())).unzip();
    one.network[answers[0]] = with_field(&rest[1], 1, &times[0]);
    one.network[answers[1]] = with_field(&rest[0], 1, &times[1]);
    assert_eq!(one.check().messages.reordered, 1);
}

#[test]
fn a_fault_hits_the_dialogues_of_its_controller() {
    let mut set = clean();
    // Both have begun; controller 0 is killed.
    set.runner.push(format!("K,{},kill,gwc-1,{}", 1_025 * MS, PE[0]));
    set.runner.push(format!("N,{MS},gwc-1,{}", PE[0]));
    set.gateway.push(format!("F,{},{},silent", 1_026 * MS, PE[0]));
    set.gateway.push(format!("G,{},{},1,2,3,261", 1_026 * MS, PE[1]));
    let report = set.check();
    assert_eq!(report.dialogues, Dialogues { at_fault: 1, survived: 1, ..GOOD });
    assert_eq!(report.faults[0].affected_groups, 1);
}
