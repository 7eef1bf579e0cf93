//! Reads the records of a run and computes what was lost, duplicated, reordered or applied twice, the gaps and the calls.
//!
//! It shares no code with the gateway and the controllers: it knows their records and nothing else, so anyone can compute a
//! verdict again from `records/` alone ([`check_dir`]).

mod align;
mod calls;
mod delivery;
mod faults;
mod figures;
mod line;
mod record;

#[cfg(test)]
mod tests;

pub use calls::{AtFault, Calls};
pub use delivery::Messages;
pub use faults::Fault;
pub use figures::{Bucket, Control, ControllerFigures, GroupGap, LoadFigures};
pub use record::{Discard, FaultEntry, Flow, Group, Msg, RecordError, Records, Source};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A stall of the machine over this makes a run void, ns.
pub const STALL_MAX_NS: u64 = 50_000_000;
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
    /// Intended and sent load.
    pub load: LoadFigures,
    /// Faults and their gaps.
    pub faults: Vec<Fault>,
    /// Groups that a fault or a move touched, largest gap first; at most 1,000.
    pub groups: Vec<GroupGap>,
    /// How many there are.
    pub groups_total: u64,
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
    /// Control traffic in the idle phase.
    pub control: Option<Control>,
    /// Begin of the measured load, ms after the begin of the load.
    pub measured_from_ms: f64,
    /// End of the load, ms after its begin.
    pub measured_to_ms: f64,
    /// Length of the intervals, ms.
    pub interval_ms: u64,
    /// Controllers given up that nothing was done to.
    pub false_failovers: u64,
    /// Part of the intended messages that were offered, 0 to 1.
    pub offered_part: f64,
    /// Longest stall of the machine, ms.
    pub stall_ms: f64,
    /// Why this run says nothing about the system, if so: the machine stalled, or the load was not offered.
    pub void: Option<String>,
    /// Lines that could not be read, first ones as `file:line`; 0 in a good run.
    pub malformed_lines: u64,
    /// Where they are.
    pub malformed_examples: Vec<String>,
    /// Files whose last line was cut off by the death of their writer.
    pub torn_lines: u64,
}

/// Reads a folder of records and computes the report.
///
/// # Errors
/// The folder or a file in it cannot be read, or is not a record.
pub fn check_dir(dir: &Path) -> Result<Report, RecordError> {
    Ok(check(&Records::read_dir(dir)?))
}

/// Computes the report from records.
#[must_use]
pub fn check(records: &Records) -> Report {
    let deliveries = delivery::deliveries(records);
    let fault_report = faults::faults(records, &deliveries.applied);
    let mut affected = fault_report.affected;
    affected.sort_by_key(|(t, _)| *t);
    let quantile = |q| deliveries.latency.value_at_quantile(q);
    let sent = records.sent.len() as f64;
    // A call that could not be begun misses two messages of the network: its IAM and its REL or RLC.
    let missed = 2.0 * records.missed as f64;
    let offered_part = if sent == 0.0 { 0.0 } else { sent / (sent + missed) };
    let stall_ns = records.stalls.iter().map(|(_, ns)| *ns).max().unwrap_or(0);
    Report {
        load: LoadFigures::default(),
        groups: Vec::new(),
        groups_total: 0,
        controllers: Vec::new(),
        latency_histogram: Vec::new(),
        applied_per_s: 0.0,
        control: None,
        measured_from_ms: 0.0,
        measured_to_ms: 0.0,
        interval_ms: 100,
        calls: calls::calls(records, &affected),
        faults: fault_report.faults,
        latency_us: LatencyUs {
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: deliveries.latency.max(),
        },
        rate_per_s: rate(records),
        false_failovers: fault_report.false_failovers,
        offered_part,
        stall_ms: faults::ms(stall_ns),
        void: void(stall_ns, offered_part),
        malformed_lines: records.malformed_lines,
        malformed_examples: records.malformed_examples.clone(),
        torn_lines: records.torn_lines,
        messages: deliveries.messages,
    }
}

fn void(stall_ns: u64, offered_part: f64) -> Option<String> {
    if stall_ns > STALL_MAX_NS {
        Some(format!("the machine itself stalled for {:.0} ms", faults::ms(stall_ns)))
    } else if offered_part < OFFERED_MIN {
        Some(format!("only {:.1} % of the intended load was offered", offered_part * 100.0))
    } else {
        None
    }
}

fn rate(records: &Records) -> f64 {
    let times = || records.sent.iter().chain(&records.received).map(|m| m.t_ns);
    let begin = records.begin_ns.or_else(|| times().min()).unwrap_or(0);
    let end = records.end_ns.or_else(|| times().max()).unwrap_or(0);
    let seconds = end.saturating_sub(begin) as f64 / 1e9;
    let count = times().filter(|t| (begin..=end).contains(t)).count();
    if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
}
