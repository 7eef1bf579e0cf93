//! The types of `results.json`. Its JSON schema is generated from them (`schema/results.schema.json`).

use crate::checker::{
    Bucket, Calls, Control, ControllerFigures, Dialogues, Fault, GroupGap, LatencyUs, LoadFigures, Management,
    Messages, NameFigures, PathChange,
};
use crate::scenario::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Value of [`Results::schema`]. It changes when a field is renamed, removed or means something else; new fields may come without.
pub const SCHEMA: &str = "sigpool-results-1";

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessEntry {
    /// Its name, for example `gwc-1`.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// Its own address.
    pub address: String,
}

/// What a node of the topology is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The traffic source: the SS7 network.
    Network,
    /// A signaling gateway.
    Gateway,
    /// An ENRP server that is a process of its own.
    NameServer,
    /// A gateway controller, pool element of the pool under test.
    Controller,
    /// A process with pool elements of other pools.
    Population,
}

/// A node of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopologyEntry {
    /// Its name, for example `gwc-1`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its own IP address.
    pub address: String,
    /// What is special about it (a round trip time, how many pools), in words; may be empty.
    pub detail: String,
}

impl TopologyEntry {
    /// The node that a process is; its role by its name.
    #[must_use]
    pub fn of(process: &ProcessEntry) -> Self {
        let role = match process.name.split('-').next() {
            Some("network") => Role::Network,
            Some("sg") => Role::Gateway,
            Some("enrp") => Role::NameServer,
            Some("gwc") => Role::Controller,
            Some(_) | None => Role::Population,
        };
        Self { name: process.name.clone(), role, address: process.address.clone(), detail: String::new() }
    }
}

/// The gateway's capture, `capture.pcapng`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaptureFigures {
    /// Datagrams in the file.
    pub packets: u64,
    /// Datagrams that were not written because the disk was too slow.
    pub dropped: u64,
}

/// Where the run took place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// `results.json`: the verdict of a run and every figure. Unless it says otherwise a figure is of the whole run; the measured load
/// is that part of it in which the load was steady.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// `sigpool-results-1`.
    pub schema: String,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's description, one line.
    pub description: String,
    /// How to repeat the run: program and arguments.
    pub command: Vec<String>,
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
    /// TCAP dialogues.
    #[serde(default)]
    pub dialogues: Dialogues,
    /// Intended and sent load, and how late it was.
    pub load: LoadFigures,
    /// Faults in the order of their times.
    pub faults: Vec<Fault>,
    /// Groups that a fault or a move touched, largest gap first; at most 1,000.
    pub groups: Vec<GroupGap>,
    /// How many there are.
    pub groups_total: u64,
    /// Planned moves: groups that went from one controller to another though the first had not been taken away.
    pub groups_moved: u64,
    /// Largest gap of any group that a fault or a move touched, ms.
    pub longest_gap_ms: Option<f64>,
    /// Latency in the measured load.
    pub latency_us: LatencyUs,
    /// The same as a histogram: log-linear, from the first bucket that is not empty to the last one.
    pub latency_histogram: Vec<Bucket>,
    /// Messages a second, both directions, in the measured load.
    pub rate_per_s: f64,
    /// Messages of the network applied by controllers, a second, in the measured load.
    pub applied_per_s: f64,
    /// Each controller's part.
    pub controllers: Vec<ControllerFigures>,
    /// Control traffic in the idle phase; `null` when the scenario has none.
    pub control: Option<Control>,
    /// Begin of the measured load, ms after the begin of the load.
    pub measured_from_ms: f64,
    /// End of the load, ms after its begin.
    pub measured_to_ms: f64,
    /// Length of the intervals in `intervals.csv`, ms.
    pub interval_ms: u64,
    /// The nodes of the run.
    pub topology: Vec<TopologyEntry>,
    /// Who carried SCTP: udp, raw, kernel, auto.
    #[serde(default)]
    pub transport: String,
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
    /// Part of the intended messages that were offered, 0 to 1.
    pub offered_part: f64,
    /// Longest stall of the machine, ms.
    pub stall_ms: f64,
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
    /// What the gateway told the network about destinations (SSNM).
    #[serde(default)]
    pub management: Management,
    /// The name service; `null` without name servers of their own and without a resolver.
    #[serde(default)]
    pub name_service: Option<NameFigures>,
    /// Controllers given up without reason.
    pub false_failovers: u64,
    /// Lines of the records that could not be read.
    pub record_errors: u64,
    /// Files cut off in a line by the death of their writer.
    pub torn_lines: u64,
    /// The gateway's capture; `null` when its counters could not be read.
    pub capture: Option<CaptureFigures>,
    /// Where it ran.
    pub machine: Machine,
}

/// What is known of a run besides its records.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Program and arguments that repeat the run.
    pub command: Vec<String>,
    /// Void runs before.
    pub void_runs: u32,
    /// Ctrl-C came.
    pub interrupted: bool,
    /// Processes that ended by themselves.
    pub crashes: Vec<String>,
    /// All processes.
    pub process_list: Vec<ProcessEntry>,
    /// All nodes.
    pub topology: Vec<TopologyEntry>,
    /// The gateway's capture counters at the end.
    pub capture: Option<CaptureFigures>,
    /// Seed of the load.
    pub seed: u64,
    /// Begin, seconds since 1970.
    pub started_unix_s: u64,
}
