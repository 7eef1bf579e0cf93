//! The lines of `events.jsonl` and of `--json-stream`. Their JSON schema is generated from these types (`schema/events.schema.json`).

use super::{ProcessEntry, Results};
use crate::runner::RelayReport;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventLine {
    /// When, ms after the begin of the load; before that, negative: after the start of the processes.
    pub t_ms: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// All processes run and the controllers are active.
    Ready {
        /// Name of the scenario.
        scenario: String,
        /// Seed of the load.
        seed: u64,
        /// All processes.
        processes: Vec<ProcessEntry>,
    },
    /// The idle phase before the load is over; what went through the gateway's socket in it was control traffic alone.
    Idle {
        /// How long it was, ms.
        idle_ms: u64,
        /// Datagrams, sent and received.
        datagrams: u64,
        /// Bytes in them.
        bytes: u64,
    },
    /// The load begins.
    Begin {
        /// When it will be steady, ms after this.
        measured_from_ms: u64,
    },
    /// Another second went by.
    Second {
        /// Messages sent by the network so far.
        sent: u64,
        /// Messages received by the network so far.
        received: u64,
        /// Calls going on now.
        calls_up: u64,
        /// Calls that could not be begun, so far.
        missed: u64,
        /// Messages a second, both directions, in this second.
        rate_per_s: f64,
        /// Each controller.
        controllers: Vec<ControllerNow>,
    },
    /// A fault was done.
    Fault {
        /// kill, stop, cont, term, start, steal-core, cut-path, restore-path, cut-link, restore-link.
        kind: String,
        /// The process, for example `gwc-1`; `machine`; the path, for example `path-1`; the link, for example `enrp-1/enrp-2`.
        target: String,
        /// `steal-core`: for how long, ms; 0 otherwise.
        duration_ms: u64,
    },
    /// A process ended though nobody ended it.
    Crash {
        /// Which, and the end of its log.
        what: String,
    },
    /// No new calls from now on.
    LoadEnd {},
    /// The machine stood still; told after the load.
    Stall {
        /// End of the stall, ns of CLOCK_MONOTONIC.
        monotonic_ns: u64,
        /// How long, ms.
        ms: f64,
    },
    /// A path of an association is another state, as one end saw it; told after the load, with its own time.
    Path {
        /// Who saw it, for example `sg-1`.
        at: String,
        /// The other end, for example `gwc-1`.
        peer: String,
        /// What the association is for, as this end says: pool, network, client, name-server, gateway.
        role: String,
        /// The path, for example `path-1`; empty when nobody of the run has the address.
        path: String,
        /// active, potentially-failed, inactive.
        state: String,
    },
    /// What the relay did, when there was one.
    Relay(RelayReport),
    /// All processes have ended.
    End {
        /// Ctrl-C.
        interrupted: bool,
        /// Processes that ended by themselves.
        crashes: Vec<String>,
    },
    /// The run was void and begins anew; in the stream only.
    Repeat {
        /// Why it was void.
        reason: String,
    },
    /// The verdict and every figure: the last line of the stream; not in the file.
    Results {
        /// What is in `results.json`.
        results: Box<Results>,
    },
}

/// A controller at the moment, as the gateway sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControllerNow {
    /// Its name, for example `gwc-1`.
    pub name: String,
    /// connecting, starting, active, draining, inactive, down; gone: the gateway does not know it.
    pub state: String,
    /// Groups it has.
    pub groups: u64,
    /// Messages to and from it on its association.
    pub messages: u64,
    /// Of these, a second, in this second.
    pub rate_per_s: f64,
}
