//! `results.json` and the verdict table. FORMATS.md describes the file.

use crate::checker::{Calls, Fault, LatencyUs, Messages, Report};
use crate::scenario::{ASSERTIONS, Bound, Outcome, Scenario};
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::path::Path;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All assertions hold.
    Pass,
    /// An assertion does not hold, or a process ended by itself.
    Fail,
    /// The machine stalled, or the load could not be offered, each time: this says nothing about the system.
    Void,
    /// Ctrl-C.
    Interrupted,
}

impl Verdict {
    /// The exit code of `sigpool`.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Void => 3,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Void => "VOID",
            Self::Interrupted => "INTERRUPTED",
        })
    }
}

/// A process of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessEntry {
    /// Its name, for example `gwc-1`.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// Its own address.
    pub address: String,
}

/// Where the run took place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Commit of the source tree this was built from, when it is still there.
    pub commit: Option<String>,
    /// Version of sigpool.
    pub version: String,
}

impl Machine {
    /// Looks around.
    #[must_use]
    pub fn look() -> Self {
        let commit = || {
            let git = std::process::Command::new("git")
                .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=12", "HEAD"])
                .stderr(std::process::Stdio::null())
                .output()
                .ok()?;
            let text = String::from_utf8(git.stdout).ok()?.trim().to_owned();
            (git.status.success() && !text.is_empty()).then_some(text)
        };
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: kernel.trim().to_owned(),
            commit: commit(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// `results.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results {
    /// The scenario's name.
    pub scenario: String,
    /// pass, fail, void, interrupted.
    pub verdict: Verdict,
    /// Runs before this one that were void and repeated.
    pub void_runs: u32,
    /// Why this run is void, if it is.
    pub void_reason: Option<String>,
    /// Every assertion with its figure.
    pub assertions: Vec<Outcome>,
    /// Messages, both directions.
    pub messages: Messages,
    /// Calls.
    pub calls: Calls,
    /// Faults.
    pub faults: Vec<Fault>,
    /// Latency.
    pub latency_us: LatencyUs,
    /// Messages a second, both directions, in the measured load.
    pub rate_per_s: f64,
    /// Processes with sockets of their own, this one included.
    pub processes: usize,
    /// Those that ran at the start of the load.
    pub process_list: Vec<ProcessEntry>,
    /// Processes that ended though nobody ended them.
    pub crashes: Vec<String>,
    /// Seed of the load.
    pub seed: u64,
    /// Begin of the run, seconds since 1970.
    pub started_unix_s: u64,
    /// Part of the intended messages that were offered.
    pub offered_part: f64,
    /// Longest stall of the machine, ms.
    pub stall_ms: f64,
    /// Controllers given up without reason.
    pub false_failovers: u64,
    /// Lines of the records that could not be read.
    pub record_errors: u64,
    /// Files cut off in a line by the death of their writer.
    pub torn_lines: u64,
    /// Where it ran.
    pub machine: Machine,
}

/// What is known of a run besides its records.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Void runs before.
    pub void_runs: u32,
    /// Ctrl-C came.
    pub interrupted: bool,
    /// Processes that ended by themselves.
    pub crashes: Vec<String>,
    /// All processes.
    pub process_list: Vec<ProcessEntry>,
    /// Seed of the load.
    pub seed: u64,
    /// Begin, seconds since 1970.
    pub started_unix_s: u64,
}

impl Results {
    /// Holds a report against a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, report: &Report, circumstances: Circumstances) -> Self {
        let limits = ASSERTIONS.iter().filter_map(|a| Some((a, *scenario.assertions.get(a.name)?)));
        let assertions: Vec<_> = limits.map(|(assertion, limit)| assertion.hold(limit, report)).collect();
        let good = assertions.iter().all(|a| a.pass) && circumstances.crashes.is_empty();
        let verdict = match (circumstances.interrupted, &report.void, good) {
            (true, _, _) => Verdict::Interrupted,
            (false, Some(_), _) => Verdict::Void,
            (false, None, true) => Verdict::Pass,
            (false, None, false) => Verdict::Fail,
        };
        Self {
            scenario: scenario.name.clone(),
            verdict,
            void_runs: circumstances.void_runs,
            void_reason: report.void.clone(),
            assertions,
            messages: report.messages.clone(),
            calls: report.calls.clone(),
            faults: report.faults.clone(),
            latency_us: report.latency_us,
            rate_per_s: report.rate_per_s,
            processes: circumstances.process_list.len(),
            process_list: circumstances.process_list,
            crashes: circumstances.crashes,
            seed: circumstances.seed,
            started_unix_s: circumstances.started_unix_s,
            offered_part: report.offered_part,
            stall_ms: report.stall_ms,
            false_failovers: report.false_failovers,
            record_errors: report.malformed_lines,
            torn_lines: report.torn_lines,
            machine: Machine::look(),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        text.push('\n');
        std::fs::write(path, text)
    }

    /// The verdict for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        self.write_table(&mut out).expect("invariant: writing to a String cannot fail");
        out
    }

    fn write_table(&self, out: &mut String) -> fmt::Result {
        let (m, c, l) = (&self.messages, &self.calls, &self.latency_us);
        writeln!(out, "\n{:<24}{:>12}{:>14}", "assertion", "limit", "actual")?;
        for outcome in &self.assertions {
            let bound = ASSERTIONS.iter().find(|a| a.name == outcome.name).map(|a| a.bound);
            let sign = if bound == Some(Bound::AtLeast) { ">=" } else { "<=" };
            let actual = outcome.actual.map_or_else(|| "none".to_owned(), number);
            let mark = if outcome.pass { "ok" } else { "FAILED" };
            writeln!(out, "{:<24}{sign:>3}{:>9}{actual:>14}  {mark}", outcome.name, number(outcome.limit))?;
        }
        writeln!(
            out,
            "\nmessages   offered {}  applied {}  lost {}  rolled back {}",
            m.offered, m.applied, m.lost, m.rolled_back
        )?;
        for (cause, count) in &m.discarded {
            writeln!(out, "           discarded ({cause}) {count}")?;
        }
        writeln!(
            out,
            "calls      attempted {}  answered {}  released {}\n           failed {}  survived {}  hanging {}",
            c.attempted, c.answered, c.released, c.failed, c.survived, c.hanging
        )?;
        let at = c.at_fault;
        if self.faults.iter().any(|f| f.affected_groups > 0) {
            writeln!(
                out,
                "at fault   after IAM {}  after ACM {}  after ANM {}  after REL {}",
                at.after_iam, at.after_acm, at.after_anm, at.after_rel
            )?;
        }
        writeln!(
            out,
            "latency    p50 {} us  p99 {} us  p99.9 {} us  max {} us\nrate       {} messages/s",
            l.p50, l.p99, l.p999, l.max, self.rate_per_s
        )?;
        for fault in &self.faults {
            let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
            write!(out, "fault      {} {} at {:.0} ms", fault.kind, fault.target, fault.at_ms)?;
            if fault.affected_groups > 0 {
                write!(
                    out,
                    ": {} groups, detected after {},\n           first message elsewhere after {}, longest gap {}",
                    fault.affected_groups,
                    time(fault.detected_ms),
                    time(fault.first_ms),
                    time(fault.longest_gap_ms)
                )?;
            }
            writeln!(out)?;
        }
        for crash in &self.crashes {
            writeln!(out, "crash      {crash}")?;
        }
        if self.void_runs > 0 {
            writeln!(out, "void runs  {} before this one, repeated", self.void_runs)?;
        }
        if let Some(reason) = &self.void_reason {
            writeln!(out, "void       {reason}")?;
        }
        writeln!(out, "\n{}: {}", self.scenario, self.verdict)
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::{Records, check};
    use crate::scenario;

    #[test]
    fn the_file_has_the_fields_that_others_read() {
        let scenario = scenario::load("failover").unwrap();
        let results = Results::new(&scenario, &check(&Records::default()), Circumstances::default());
        let json = serde_json::to_value(&results).unwrap();
        for pointer in [
            "/scenario",
            "/verdict",
            "/void_runs",
            "/assertions/0/name",
            "/assertions/0/limit",
            "/assertions/0/actual",
            "/assertions/0/pass",
            "/messages/offered",
            "/messages/applied",
            "/messages/lost",
            "/messages/duplicated",
            "/messages/reordered",
            "/messages/applied_twice",
            "/messages/discarded",
            "/calls/attempted",
            "/calls/answered",
            "/calls/released",
            "/calls/failed",
            "/calls/survived",
            "/faults",
            "/latency_us/p50",
            "/latency_us/p99",
            "/latency_us/p999",
            "/latency_us/max",
            "/rate_per_s",
            "/processes",
        ] {
            assert!(json.pointer(pointer).is_some(), "{pointer}");
        }
        // No load at all was offered: void, whatever the rest says.
        assert_eq!((results.verdict, results.verdict.exit_code()), (Verdict::Void, 3));
        assert!(results.table().contains("longest_gap_ms"));
    }

    #[test]
    fn an_assertion_that_fails_fails_the_run() {
        let scenario = scenario::parse("name=\"x\"\nduration_ms=1000\n[controllers]\ncount=1\n", "x").unwrap();
        let mut report = check(&Records::default());
        report.void = None;
        assert_eq!(Results::new(&scenario, &report, Circumstances::default()).verdict, Verdict::Pass);
        report.messages.lost = 1;
        let results = Results::new(&scenario, &report, Circumstances::default());
        assert_eq!(results.verdict, Verdict::Fail);
        assert!(results.table().contains("FAILED"));
        let interrupted = Circumstances { interrupted: true, ..Circumstances::default() };
        assert_eq!(Results::new(&scenario, &report, interrupted).verdict.exit_code(), 130);
    }
}
