//! Reads the records of a run and computes what was lost, duplicated, reordered or applied twice, the gaps and the calls.
//!
//! It shares no code with the gateway and the controllers: it knows their records and nothing else, so anyone can compute a
//! verdict again from `records/` alone ([`check_dir`]).

mod align;
mod calls;
mod delivery;
mod dialogues;
mod faults;
mod figures;
mod intervals;
mod latency;
mod management;
mod names;
mod owners;
mod paths;
mod record;
mod selected;
mod share;

#[cfg(test)]
mod tests;

pub use calls::{AtFault, Calls};
pub use delivery::Messages;
pub use dialogues::Dialogues;
pub use faults::Fault;
pub use figures::{Bucket, Control, ControllerFigures, GroupGap, LoadFigures};
pub use intervals::{INTERVALS_HEADER, Interval, write_intervals};
pub use management::{Management, Told};
pub use names::{NameFigures, ServerFigures};
pub use paths::{PathChange, PathFigures};
pub use record::{
    AnswerEntry, Discard, FaultEntry, Flow, Group, Life, ManagementEntry, Msg, NameRecords, Ownership, PathEntry,
    PhaseTraffic, Place, PopulationRecord, RecordError, Records, ServerRecord, Source, TableEntry, Witness,
};
pub use selected::{ElementShare, ShareFigures};

use faults::Touched;
use intervals::Collector;
use latency::Latency;
use owners::Owners;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A stall of the machine over this makes a run void in which a limit was not held, ns.
pub const STALL_MAX_NS: u64 = 20_000_000;
/// Less than this part of the intended load offered makes a run void.
pub const OFFERED_MIN: f64 = 0.99;

/// Latency of messages, both directions: from the intended time to the application (up), from the output to its receipt (down), µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyUs {
    /// Median.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

/// What the records say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Messages, both directions.
    pub messages: Messages,
    /// Calls, as the network side saw them.
    pub calls: Calls,
    /// TCAP dialogues, as the network side saw them.
    #[serde(default)]
    pub dialogues: Dialogues,
    /// Intended and sent load.
    pub load: LoadFigures,
    /// Faults and their gaps.
    pub faults: Vec<Fault>,
    /// Groups that a fault or a move touched, largest gap first; at most 1,000.
    pub groups: Vec<GroupGap>,
    /// How many there are.
    pub groups_total: u64,
    /// Planned moves: groups that went from one controller to another though the first had not been taken away.
    pub groups_moved: u64,
    /// Largest gap of any of them, ms.
    pub longest_gap_ms: Option<f64>,
    /// Each controller's part.
    pub controllers: Vec<ControllerFigures>,
    /// Latency of the measured load (after the warm-up).
    pub latency_us: LatencyUs,
    /// The same as a histogram.
    pub latency_histogram: Vec<Bucket>,
    /// Messages a second in the measured load, both directions together.
    pub rate_per_s: f64,
    /// Messages of the network applied, a second, in the measured load.
    pub applied_per_s: f64,
    /// Control traffic in the idle phase, and beside the data of the load.
    pub control: Option<Control>,
    /// Begin of the measured load, ms after the begin of the load.
    pub measured_from_ms: f64,
    /// End of the load, ms after its begin.
    pub measured_to_ms: f64,
    /// Length of the intervals, ms.
    pub interval_ms: u64,
    /// Changes of state of the paths of associations, as either end saw them, the first 1,000.
    #[serde(default)]
    pub path_changes: Vec<PathChange>,
    /// How many there are.
    #[serde(default)]
    pub path_changes_total: u64,
    /// Associations that ended before the processes were told to end; each end that says so counts.
    #[serde(default)]
    pub associations_ended: u64,
    /// Times a controller's lease ran out.
    #[serde(default)]
    pub leases_lost: u64,
    /// What the gateway told the network about destinations.
    #[serde(default)]
    pub management: Management,
    /// The name service; none without name servers of their own and without a resolver.
    #[serde(default)]
    pub name_service: Option<NameFigures>,
    /// Controllers given up that nothing was done to.
    pub false_failovers: u64,
    /// Part of the intended messages that were offered, 0 to 1.
    pub offered_part: f64,
    /// Longest stall of the machine, ms.
    pub stall_ms: f64,
    /// Why this run says nothing about the system, if so: the load was not offered, or the machine stalled (and a limit was not held).
    pub void: Option<String>,
    /// Lines that could not be read, first ones as `file:line`; 0 in a good run.
    pub malformed_lines: u64,
    /// Where they are.
    pub malformed_examples: Vec<String>,
    /// Files whose last line was cut off by the death of their writer.
    pub torn_lines: u64,
}

/// What the records say, and the run in intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The figures.
    pub report: Report,
    /// The lines of `intervals.csv`.
    pub intervals: Vec<Interval>,
}

/// Reads a folder of records and computes the report.
///
/// # Errors
/// The folder or a file in it cannot be read, or is not a record.
pub fn check_dir(dir: &Path) -> Result<Report, RecordError> {
    Ok(check_run(dir)?.report)
}

/// The same with the intervals.
///
/// # Errors
/// As of [`check_dir`].
pub fn check_run(dir: &Path) -> Result<Checked, RecordError> {
    Ok(check(&Records::read_dir(dir)?))
}

/// Computes everything from records.
#[must_use]
pub fn check(records: &Records) -> Checked {
    let owners = Owners::new(records);
    let mut touched = Touched::new(records, &owners);
    let mut collector = Collector::new(records, &owners);
    let mut latency = Latency::new();
    let messages = delivery::deliveries(records, &mut |delivery| {
        touched.see(records, delivery);
        collector.see(delivery);
        if records.begin_ns.is_none_or(|begin| delivery.intended_ns >= begin) {
            latency.add_ns(delivery.t_ns.saturating_sub(delivery.intended_ns));
        }
    });
    let mut fault_report = touched.report(records);
    let path_report = paths::report(records);
    for (fault, path) in fault_report.faults.iter_mut().zip(path_report.of_faults) {
        fault.path = path;
    }
    let (zero, (begin, end)) = (records.zero(), records.measured());
    let load = load_figures(records);
    let offered_part = match load.messages_intended {
        0 => 0.0,
        intended => share::round(load.messages_sent as f64 / intended as f64),
    };
    let stall_ns = records.stalls.iter().map(|(_, ns)| *ns).max().unwrap_or(0);
    let interval_ms = collector.interval_ms();
    let report = Report {
        calls: calls::calls(records, &fault_report.affected),
        dialogues: dialogues::dialogues(records, &fault_report.affected),
        load,
        longest_gap_ms: fault_report.longest_gap_ms,
        groups_moved: fault_report.groups_moved,
        faults: fault_report.faults,
        groups: fault_report.groups,
        groups_total: fault_report.groups_total,
        controllers: share::controllers(records),
        latency_us: latency.percentiles(),
        latency_histogram: latency.histogram(),
        rate_per_s: rate(records),
        applied_per_s: share::applied_per_s(records),
        control: records.idle.map(|idle| control(idle, records.loaded)),
        measured_from_ms: faults::ms(begin.saturating_sub(zero)),
        measured_to_ms: faults::ms(end.saturating_sub(zero)),
        interval_ms,
        path_changes: path_report.changes,
        path_changes_total: path_report.changes_total,
        associations_ended: path_report.associations_ended,
        leases_lost: records.leases_lost,
        management: management::report(records),
        name_service: names::figures(records),
        false_failovers: faults::false_failovers(records),
        offered_part,
        stall_ms: faults::ms(stall_ns),
        void: void(stall_ns, offered_part),
        malformed_lines: records.malformed_lines,
        malformed_examples: records.malformed_examples.clone(),
        torn_lines: records.torn_lines,
        messages,
    };
    Checked { report, intervals: collector.intervals() }
}

fn load_figures(records: &Records) -> LoadFigures {
    let mut lateness = Latency::new();
    let (begin, end) = records.measured();
    for message in records.sent.iter().filter(|m| (begin..=end).contains(&m.intended_ns())) {
        lateness.add_ns(message.t_ns.saturating_sub(message.intended_ns()));
    }
    let calls_begun = records.sent.iter().filter(|m| m.isup_type == calls::IAM).count() as u64;
    let messages_sent = records.sent.len() as u64;
    LoadFigures {
        calls_intended: calls_begun + records.missed,
        calls_begun,
        // A call that could not be begun misses two messages of the network: its IAM and its REL or RLC.
        messages_intended: messages_sent + 2 * records.missed,
        messages_sent,
        lateness_us: lateness.percentiles(),
    }
}

fn control(idle: PhaseTraffic, loaded: Option<PhaseTraffic>) -> Control {
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    let per_s = |count: u64, ms: u64| if ms == 0 { 0.0 } else { count as f64 * 1_000.0 / ms as f64 };
    let bytes = per_s(idle.bytes, idle.ms);
    let data = loaded.map(|loaded| (per_s(loaded.bytes, loaded.ms) - bytes).max(0.0));
    let pools = idle.population_bytes.map(|bytes| per_s(bytes, idle.ms));
    let percent = |part: f64| data.filter(|data| *data > 0.0).map(|data| (part / data * 10_000.0).round() / 100.0);
    Control {
        idle_ms: idle.ms as f64,
        datagrams_per_s: tenths(per_s(idle.datagrams, idle.ms)),
        bytes_per_s: tenths(bytes),
        data_bytes_per_s: data.map(tenths),
        percent_of_data: percent(bytes),
        pool_bytes_per_s: pools.map(tenths),
        pool_percent_of_data: pools.and_then(percent),
    }
}

fn void(stall_ns: u64, offered_part: f64) -> Option<String> {
    if offered_part < OFFERED_MIN {
        Some(format!("only {:.1} % of the intended load was offered", offered_part * 100.0))
    } else if stall_ns > STALL_MAX_NS {
        Some(format!("the machine itself stalled for {:.0} ms", faults::ms(stall_ns)))
    } else {
        None
    }
}

fn rate(records: &Records) -> f64 {
    let (begin, end) = records.measured();
    let times = records.sent.iter().chain(&records.received).map(|m| m.t_ns);
    share::per_second(times.filter(|t| (begin..=end).contains(t)).count(), begin, end)
}
