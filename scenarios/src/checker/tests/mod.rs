//! Plants each kind of defect in a clean set of records and sees it caught; the clean set passes.

mod dialogues;
mod figures;
mod gateways;
mod moves;
mod names;
mod paths;
mod selected;

use super::{Checked, Messages, Records, Report, check};
use std::fmt::Write as _;
use std::path::Path;

const MS: u64 = 1_000_000;
const PE: [&str; 2] = ["0000aaaa", "0000bbbb"];

/// The files of a run, as lines without their header; tests change them before they are read.
#[derive(Clone)]
struct Set {
    network: Vec<String>,
    controllers: [Vec<String>; 2],
    gateway: Vec<String>,
    /// Of a second gateway, if there is one.
    second: Vec<String>,
    runner: Vec<String>,
    /// Cuts this many bytes off controller 0's file.
    torn: usize,
}

const UP: &str = "1,2,5,2,3,";
const DOWN: &str = "2,1,5,2,3,";

fn message(circuit: u16, kind: u8, rest: &str) -> String {
    format!("{:02x}{:02x}{kind:02x}{rest}", circuit & 0xff, circuit >> 8)
}

/// Three circuits of two groups, ten calls each, one after the other: IAM > ACM < ANM < REL > RLC <, 10 ms a message.
/// Circuits 1 and 2 (group 0) belong to controller 0, circuit 33 (group 1) to controller 1.
fn clean() -> Set {
    let mut set = Set {
        network: vec![],
        controllers: [vec![], vec![]],
        gateway: vec![],
        second: vec![],
        runner: vec![],
        torn: 0,
    };
    let (mut t, mut txn, mut corr) = (1_000 * MS, 0_u32, 0x1000_0000_u32);
    set.gateway.push(format!("G,{t},{},1,2,5,0", PE[0]));
    set.gateway.push(format!("G,{t},{},1,2,5,1", PE[1]));
    set.runner.push(format!("B,{t}"));
    for call in 0..10_u32 {
        for circuit in [1_u16, 2, 33] {
            let who = usize::from(circuit / 32);
            let iam = message(circuit, 0x01, &format!("{call:08x}"));
            for (input, outputs) in [
                (iam, vec![message(circuit, 0x06, "1234"), message(circuit, 0x09, "")]),
                (message(circuit, 0x0c, "020002809000"), vec![message(circuit, 0x10, "00")]),
            ] {
                t += 10 * MS;
                txn += 1;
                corr += 1;
                set.network.push(format!("S,{},{t},{UP}{circuit},{input}", t + 1_000));
                set.controllers[who].push(format!("I,{},{txn},{corr:08x},{UP}{circuit},{input}", t + MS));
                for output in &outputs {
                    set.controllers[who].push(format!("O,{},{txn},{DOWN}{circuit},{output}", t + MS));
                }
                set.gateway.push(format!("C,{},{},1,{txn}", t + 2 * MS, PE[who]));
                for output in &outputs {
                    set.network.push(format!("R,{},{DOWN}{circuit},{output}", t + 2 * MS));
                }
            }
        }
    }
    set.runner.push(format!("E,{t}"));
    set
}

impl Set {
    fn records(&self) -> Records {
        let mut records = Records::default();
        records.transactions = true;
        let mut read = |name: &str, header: &str, lines: &[String], cut: usize| {
            let mut text = format!("# sigpool-record 1 {header}\n");
            for line in lines {
                writeln!(text, "{line}").unwrap();
            }
            text.truncate(text.len() - cut);
            records.read_file(Path::new(name), text.as_bytes()).unwrap();
        };
        for (index, lines) in self.controllers.iter().enumerate() {
            let cut = if index == 0 { self.torn } else { 0 };
            read("gwc.csv", &format!("controller pe={} incarnation=1", PE[index]), lines, cut);
        }
        read("network.csv", "network", &self.network, 0);
        read("run.csv", "runner", &self.runner, 0);
        read("sg-1.csv", "gateway pe=0", &self.gateway, 0);
        if !self.second.is_empty() {
            read("sg-2.csv", "gateway gateway=2", &self.second, 0);
        }
        records
    }

    fn check(&self) -> Report {
        self.checked().report
    }

    /// Whatever is wrong with the records: the sums hold, and the intervals have the same messages.
    fn checked(&self) -> Checked {
        let checked = check(&self.records());
        let m = &checked.report.messages;
        assert_eq!(m.offered, m.applied + m.discarded.values().sum::<u64>() + m.lost, "{m:?}");
        assert_eq!(m.unaccounted, 0, "{m:?}");
        let sum = |all: bool| {
            let lines = checked.intervals.iter().filter(|line| (line.name == "network") == all);
            lines.map(|line| line.applied).sum::<u64>()
        };
        assert_eq!((sum(true), sum(false)), (m.applied, m.applied));
        checked
    }

    fn messages(&self) -> Messages {
        self.check().messages
    }
}

/// Index of the n-th line that starts with `kind` and belongs to `circuit`.
fn nth(lines: &[String], kind: &str, circuit: u16, n: usize) -> usize {
    let of_circuit = |l: &String| l.starts_with(kind) && l.contains(&format!(",3,{circuit},"));
    lines.iter().enumerate().filter(|(_, l)| of_circuit(l)).nth(n).unwrap().0
}

fn field(line: &str, index: usize) -> String {
    line.split(',').nth(index).unwrap().to_owned()
}

fn with_field(line: &str, index: usize, value: &str) -> String {
    let mut fields: Vec<_> = line.split(',').collect();
    fields[index] = value;
    fields.join(",")
}

fn good() -> Messages {
    Messages { offered: 150, applied: 150, ..Messages::default() }
}

#[test]
fn a_clean_set_passes() {
    let report = clean().check();
    assert_eq!(report.messages, good());
    let calls = &report.calls;
    assert_eq!((calls.attempted, calls.answered, calls.released, calls.failed, calls.hanging), (30, 30, 30, 0, 0));
    assert_eq!((report.false_failovers, report.malformed_lines, report.torn_lines), (0, 0, 0));
    assert_eq!(report.void, None);
    assert_eq!(report.latency_us.max, 1_000);
}

#[test]
fn lost_toward_the_pool() {
    let mut set = clean();
    // One REL of many alike, with all that came of it.
    let at = nth(&set.controllers[0], "I", 2, 5);
    let txn = field(&set.controllers[0][at], 2);
    set.controllers[0].retain(|l| field(l, 2) != txn);
    set.gateway.retain(|l| !(l.starts_with('C') && field(l, 4) == txn));
    let rlc = nth(&set.network, "R", 2, 8);
    set.network.remove(rlc);
    let report = set.check();
    assert_eq!(report.messages, Messages { offered: 149, applied: 148, lost: 1, ..good() });
    assert_eq!((report.calls.released, report.calls.hanging), (29, 1));
}

#[test]
fn lost_toward_the_network() {
    let mut set = clean();
    let at = nth(&set.network, "R", 33, 4);
    set.network.remove(at);
    assert_eq!(set.messages(), Messages { applied: 149, lost: 1, ..good() });
}

#[test]
fn duplicated_both_ways() {
    let mut set = clean();
    let at = nth(&set.network, "R", 1, 4);
    let line = set.network[at].clone();
    set.network.insert(at, line);
    assert_eq!(set.messages(), Messages { duplicated: 1, ..good() });

    let mut set = clean();
    let at = nth(&set.controllers[0], "I", 1, 4);
    let line = with_field(&set.controllers[0][at], 3, "1fffffff");
    set.controllers[0].insert(at + 1, line);
    assert_eq!(set.messages(), Messages { duplicated: 1, ..good() });
}

#[test]
fn reordered_both_ways() {
    let mut set = clean();
    let (a, b) = (nth(&set.controllers[0], "I", 1, 4), nth(&set.controllers[0], "I", 1, 5));
    let (ta, tb) = (field(&set.controllers[0][a], 1), field(&set.controllers[0][b], 1));
    set.controllers[0][a] = with_field(&set.controllers[0][a], 1, &tb);
    set.controllers[0][b] = with_field(&set.controllers[0][b], 1, &ta);
    assert_eq!(set.messages(), Messages { reordered: 1, ..good() });

    let mut set = clean();
    let (a, b) = (nth(&set.network, "R", 2, 0), nth(&set.network, "R", 2, 1));
    let (ta, tb) = (field(&set.network[a], 1), field(&set.network[b], 1));
    set.network[a] = with_field(&set.network[a], 1, &(tb.parse::<u64>().unwrap() + 1).to_string());
    set.network[b] = with_field(&set.network[b], 1, &ta);
    assert_eq!(set.messages(), Messages { reordered: 1, ..good() });
}

#[test]
fn applied_twice_by_one_and_by_two() {
    let mut set = clean();
    let at = nth(&set.controllers[0], "I", 1, 4);
    let line = set.controllers[0][at].clone();
    set.controllers[0].insert(at + 1, line.clone());
    assert_eq!(set.messages(), Messages { applied_twice: 1, ..good() });

    // By the other controller, in a committed transaction of its own; with the old Correlation Id, and with a new one.
    for corr in [field(&line, 3), "1fffffff".to_owned()] {
        let mut set = clean();
        let again = with_field(&with_field(&line, 2, "900"), 3, &corr);
        set.controllers[1].push(again);
        set.gateway.push(format!("C,5000000000,{},1,900", PE[1]));
        assert_eq!(set.messages(), Messages { applied_twice: 1, ..good() });
    }
}

#[test]
fn a_takeover_with_a_rolled_back_transaction_is_clean() {
    let mut set = clean();
    // Controller 0 applied the REL, but died before the gateway committed; controller 1 applied it again.
    let at = nth(&set.controllers[0], "I", 2, 5);
    let txn = field(&set.controllers[0][at], 2);
    let moved: Vec<String> = set.controllers[0].iter().filter(|l| field(l, 2) == txn).cloned().collect();
    assert_eq!(moved.len(), 2);
    set.controllers[1].extend(moved.iter().map(|l| with_field(l, 2, "900")));
    for line in &mut set.gateway {
        if line.starts_with('C') && field(line, 4) == txn {
            *line = format!("C,{},{},1,900", field(line, 1), PE[1]);
        }
    }
    assert_eq!(set.messages(), Messages { rolled_back: 2, ..good() });
}

#[test]
fn output_of_an_uncommitted_transaction_must_not_get_out() {
    let mut set = clean();
    set.controllers[0].push(format!("O,4000000000,900,{DOWN}1,01000c0200028090"));
    assert_eq!(set.messages(), Messages { rolled_back: 1, ..good() });
    set.network.push(format!("R,4000000001,{DOWN}1,01000c0200028090"));
    assert_eq!(set.messages(), Messages { rolled_back: 1, uncommitted_released: 1, ..good() });
}

#[test]
fn from_nowhere() {
    let mut set = clean();
    set.network.push(format!("R,4000000001,{DOWN}1,0100ff"));
    set.controllers[0].push(format!("I,4000000000,1,10000099,{UP}1,0100fe"));
    assert_eq!(set.messages(), Messages { unknown: 2, ..good() });
}

#[test]
fn discards_explain_what_is_missing_and_only_that() {
    let mut set = clean();
    let at = nth(&set.network, "R", 33, 4);
    let gone = set.network.remove(at);
    let up = set.network[0].split_once(UP).unwrap().1.to_owned();
    set.gateway.push(format!("X,4000000000,no-peer,down,{}", gone.splitn(3, ',').nth(2).unwrap()));
    let explained = Messages { applied: 149, discarded: [("no-peer".into(), 1)].into(), ..good() };
    assert_eq!(set.messages(), explained);
    // A second account of it, and one of a message that did arrive, are wrong.
    let again = set.gateway.last().unwrap().clone();
    set.gateway.push(again);
    set.gateway.push(format!("X,4000000000,queue-full,up,{UP}{up}"));
    assert_eq!(set.messages(), Messages { discarded_wrongly: 2, ..explained });

    // A controller's refusal explains as well, even twice.
    let mut set = clean();
    set.network.push(format!("S,4000000000,4000000000,{UP}1,0100ff"));
    set.controllers[0].push(format!("D,4000000000,malformed,10000100,{UP}1,0100ff"));
    set.controllers[1].push(format!("D,4000000000,malformed,10000100,{UP}1,0100ff"));
    set.controllers[1].push(format!("D,4000000000,duplicate,10000100,{UP}1,0100ff"));
    let explained =
        Messages { offered: 151, discarded: [("malformed".into(), 1)].into(), filtered_duplicates: 1, ..good() };
    assert_eq!(set.messages(), explained);
}

#[test]
fn a_torn_last_line_never_was_and_a_broken_one_is_reported() {
    let mut set = clean();
    let line = format!("I,4000000000,1,10000100,{UP}1,0100fe");
    set.controllers[0].push(line.clone());
    set.torn = 3;
    let report = set.check();
    assert_eq!((report.messages.unknown, report.torn_lines, report.malformed_lines), (0, 1, 0));

    let mut set = clean();
    set.controllers[0].insert(3, line[..line.len() - 9].to_owned());
    let report = set.check();
    assert_eq!((report.torn_lines, report.malformed_lines), (0, 1));
    assert_eq!(report.malformed_examples, ["gwc.csv:5"]);
}

/// Kills controller 0 before call 5: circuits 1 and 2 go to controller 1, the first message `delay` after its time.
fn with_kill(delay: u64) -> Set {
    let mut set = clean();
    let first = nth(&set.controllers[0], "I", 1, 10);
    let fault = field(&set.controllers[0][first], 1).parse::<u64>().unwrap() - 2 * MS;
    let moved = set.controllers[0].split_off(first);
    set.runner.push(format!("K,{fault},kill,gwc-1,{}", PE[0]));
    set.gateway.push(format!("F,{},{},unreachable", fault + 3 * MS, PE[0]));
    let txns: Vec<String> = moved.iter().map(|l| field(l, 2)).collect();
    for (index, line) in moved.into_iter().enumerate() {
        let t = field(&line, 1).parse::<u64>().unwrap();
        let t = if index < 3 { t + delay } else { t };
        set.controllers[1].push(with_field(&line, 1, &t.to_string()));
    }
    for line in &mut set.gateway {
        if line.starts_with('C') && txns.contains(&field(line, 4)) {
            *line = with_field(line, 2, PE[1]);
        }
    }
    set
}

#[test]
fn a_gap_is_measured_for_the_groups_of_the_killed_controller() {
    let report = with_kill(7 * MS).check();
    assert_eq!(report.messages, good());
    let fault = &report.faults[0];
    assert_eq!((fault.kind.as_str(), fault.target.as_str()), ("kill", "gwc-1"));
    assert_eq!(fault.affected_groups, 1);
    assert_eq!(fault.detected_ms, Some(3.0));
    assert_eq!(fault.first_ms, Some(9.0));
    assert_eq!(fault.longest_gap_ms, Some(8.0));
    assert_eq!(report.false_failovers, 0);
}

#[test]
fn a_controller_given_up_without_reason_is_seen() {
    let mut set = clean();
    set.gateway.push(format!("F,2000000000,{},beat", PE[1]));
    assert_eq!(set.check().false_failovers, 1);
    // At the end of the run every controller goes away.
    set.runner.push("Q,1900000000".into());
    assert_eq!(set.check().false_failovers, 0);
}

#[test]
fn calls_at_the_fault_survive_fail_or_hang() {
    let base = with_kill(MS);
    let first = base.runner.iter().find(|l| l.starts_with('K')).unwrap();
    let fault = field(first, 1).parse::<u64>().unwrap();
    let with_rest = |extra: &[String]| {
        let mut set = base.clone();
        // A call on circuit 3 (group 0), answered before the fault.
        let flow = |sent: bool| if sent { UP } else { DOWN };
        let at = set.network.iter().position(|l| field(l, 1).parse::<u64>().unwrap() > fault).unwrap();
        set.network.insert(at, format!("S,{0},{0},{1}3,03000100", fault - 30, flow(true)));
        set.network.insert(at + 1, format!("R,{},{}3,030009", fault - 10, flow(false)));
        set.network.extend_from_slice(extra);
        let report = set.check();
        let kept = crate::scenario::ASSERTIONS.iter().find(|assertion| assertion.name == "calls_kept_percent").unwrap();
        (kept.hold(100.0, &report), report.calls)
    };
    let rel = format!("S,9000000000,9000000000,{UP}3,03000c020002809000");
    let trouble = format!("S,9000000000,9000000000,{UP}3,03000c02000280a900");
    let rlc = format!("R,9000000001,{DOWN}3,03001000");
    let (kept, calls) = with_rest(&[rel, rlc.clone()]);
    assert!(kept.pass && kept.actual == Some(100.0), "{kept:?}");
    assert_eq!((calls.survived, calls.failed, calls.hanging, calls.at_fault.after_anm), (1, 0, 0, 1));
    let (kept, calls) = with_rest(&[trouble, rlc]);
    assert!(!kept.pass && kept.actual == Some(0.0), "{kept:?}");
    assert_eq!((calls.survived, calls.failed, calls.hanging), (0, 1, 0));
    let (kept, calls) = with_rest(&[]);
    assert!(!kept.pass, "{kept:?}");
    assert_eq!((calls.survived, calls.failed, calls.hanging), (0, 0, 1));
}

#[test]
fn calls_of_the_pool_are_held_for_their_time_or_not() {
    let base = with_kill(MS);
    let first = base.runner.iter().find(|l| l.starts_with('K')).unwrap();
    let fault = field(first, 1).parse::<u64>().unwrap();
    let held = |ms: u64, cause: u8, by_network: bool| {
        let mut set = base.clone();
        set.runner.push("H,1,10000".into());
        let at = set.network.iter().position(|l| field(l, 1).parse::<u64>().unwrap() > fault).unwrap();
        set.network.insert(at, format!("S,{0},{0},{UP}3,03000100", fault - 30));
        set.network.insert(at + 1, format!("R,{},{DOWN}3,030009", fault - 10));
        let t = fault - 10 + ms * MS;
        let head = if by_network { format!("S,{t},{t},{UP}") } else { format!("R,{t},{DOWN}") };
        set.network.push(format!("{head}3,03000c02000280{cause:02x}00"));
        set.check().calls
    };
    let right = held(10_002, 0x90, false);
    assert_eq!((right.answered_at_fault, right.held_over_fault, right.held_spread_ms), (Some(1), 1, Some(2.0)));
    // Its timer started again at the next controller; or too early.
    assert_eq!(held(19_000, 0x90, false).held_spread_ms, Some(9_000.0));
    assert_eq!(held(400, 0x90, false).held_spread_ms, Some(9_600.0));
    // The network's REL, and one that has another reason, say nothing.
    for (cause, by_network) in [(0x90, true), (0xa9, false)] {
        let other = held(400, cause, by_network);
        assert_eq!((other.held_over_fault, other.held_spread_ms), (0, None));
    }
}

#[test]
fn a_circuit_seized_again_before_its_call_ended() {
    let iam = |t: u64, network: bool| {
        if network { format!("S,{t},{t},{UP}3,03000100") } else { format!("R,{t},{DOWN}3,03000100") }
    };
    let mut set = clean();
    set.network.extend([iam(9_000 * MS, true), iam(9_001 * MS, false), format!("R,9002000000,{DOWN}3,030010")]);
    let calls = set.check().calls;
    assert_eq!((calls.failed, calls.hanging), (1, 0), "dual seizure");
    let mut set = clean();
    set.network.extend([iam(9_000 * MS, true), iam(9_001 * MS, true), format!("R,9002000000,{DOWN}3,030010")]);
    let calls = set.check().calls;
    assert_eq!((calls.failed, calls.hanging), (0, 1), "never ended");
}

#[test]
fn void_runs() {
    let mut set = clean();
    set.runner.push("W,1500000000,19000000".into());
    assert_eq!(set.check().void, None);
    set.runner.push("W,1500000000,21000000".into());
    assert!(set.check().void.unwrap().contains("21 ms"));
    let mut set = clean();
    set.network.push("M,1500000000".into());
    assert!(set.check().void.unwrap().contains("96.8 %"));
}

#[test]
fn without_transactions_everything_counts() {
    let mut set = clean();
    set.gateway.retain(|l| !l.starts_with('C'));
    assert_eq!(set.messages().applied, 0);
    let mut records = set.records();
    records.transactions = false;
    assert_eq!(check(&records).report.messages, good());
}

#[test]
fn a_file_that_is_no_record_is_refused() {
    let mut records = Records::default();
    assert!(records.read_file(Path::new("x"), &b"a,b\n"[..]).is_err());
    assert!(records.read_file(Path::new("x"), &b"# sigpool-record 1 stranger\n"[..]).is_err());
}
