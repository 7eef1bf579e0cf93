//! `results.json` and the verdict table. FORMATS.md describes the file.

mod events;
mod junit;
mod schema;
mod table;
mod types;

pub use events::{ControllerNow, Event, EventLine};
pub use schema::{events_schema, results_schema, schema_files};
pub use types::{CaptureFigures, Circumstances, Machine, ProcessEntry, Results, Role, SCHEMA, TopologyEntry, Verdict};

use crate::checker::{Interval, OFFERED_MIN, Report, write_intervals};
use crate::scenario::{Outcome, Scenario};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes `intervals.csv` and `junit.xml` into the folder of a run.
///
/// # Errors
/// A file cannot be written.
pub fn write_side_files(results: &Results, intervals: &[Interval], folder: &Path) -> io::Result<()> {
    write_intervals_file(intervals, folder)?;
    std::fs::write(folder.join("junit.xml"), results.junit())
}

/// Writes `intervals.csv` into the folder of a run.
///
/// # Errors
/// The file cannot be written.
pub fn write_intervals_file(intervals: &[Interval], folder: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join("intervals.csv"))?);
    write_intervals(intervals, &mut file)?;
    file.flush()
}

impl Results {
    /// Holds a report against a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, report: &Report, circumstances: Circumstances) -> Self {
        let assertions = scenario.hold(report);
        let good = assertions.iter().all(|a| a.pass) && circumstances.crashes.is_empty();
        // A stall makes figures worse, never better: limits that held although the machine stood still did hold.
        // And no stall explains a message that was lost or came twice.
        let broken = assertions.iter().any(Outcome::is_broken_promise) || !circumstances.crashes.is_empty();
        let void_reason = report.void.clone().filter(|_| !broken && (!good || report.offered_part < OFFERED_MIN));
        let verdict = match (circumstances.interrupted, &void_reason, good) {
            (true, _, _) => Verdict::Interrupted,
            (false, Some(_), _) => Verdict::Void,
            (false, None, true) => Verdict::Pass,
            (false, None, false) => Verdict::Fail,
        };
        Self {
            schema: SCHEMA.to_owned(),
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            command: circumstances.command,
            verdict,
            void_runs: circumstances.void_runs,
            void_reason,
            assertions,
            messages: report.messages.clone(),
            calls: report.calls.clone(),
            dialogues: report.dialogues.clone(),
            load: report.load.clone(),
            faults: report.faults.clone(),
            groups: report.groups.clone(),
            groups_total: report.groups_total,
            groups_moved: report.groups_moved,
            longest_gap_ms: report.longest_gap_ms,
            latency_us: report.latency_us,
            latency_histogram: report.latency_histogram.clone(),
            rate_per_s: report.rate_per_s,
            applied_per_s: report.applied_per_s,
            controllers: report.controllers.clone(),
            control: report.control,
            measured_from_ms: report.measured_from_ms,
            measured_to_ms: report.measured_to_ms,
            interval_ms: report.interval_ms,
            transport: scenario.lab_transport().name().to_owned(),
            topology: circumstances.topology,
            processes: circumstances.process_list.len(),
            process_list: circumstances.process_list,
            crashes: circumstances.crashes,
            seed: circumstances.seed,
            started_unix_s: circumstances.started_unix_s,
            offered_part: report.offered_part,
            stall_ms: report.stall_ms,
            path_changes: report.path_changes.clone(),
            path_changes_total: report.path_changes_total,
            associations_ended: report.associations_ended,
            leases_lost: report.leases_lost,
            management: report.management.clone(),
            name_service: report.name_service.clone(),
            false_failovers: report.false_failovers,
            record_errors: report.malformed_lines,
            torn_lines: report.torn_lines,
            capture: circumstances.capture,
            machine: Machine::look(),
        }
    }

    /// Reads `results.json` back.
    ///
    /// # Errors
    /// The file cannot be read, or is not of this version.
    pub fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::other)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        text.push('\n');
        std::fs::write(path, text)
    }
}

#[cfg(test)]
mod tests;
