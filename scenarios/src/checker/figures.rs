//! What the records say beyond loss and order, as types of `results.json`.

use super::LatencyUs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the load driver was to send, and what it sent, over the whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoadFigures {
    /// Calls of the network whose time came: begun, or missed because no circuit was idle.
    pub calls_intended: u64,
    /// Calls of the network begun (an IAM was sent).
    pub calls_begun: u64,
    /// Messages of the network whose time came; a missed call counts for two (its IAM, and its REL or RLC).
    pub messages_intended: u64,
    /// Messages of the network sent.
    pub messages_sent: u64,
    /// How late messages were sent: sent - intended, in the measured load, microseconds.
    pub lateness_us: LatencyUs,
}

/// One bucket of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// Upper end, microseconds, inclusive; the lower end is the upper end of the bucket before it.
    pub up_to_us: u64,
    /// Values in it.
    pub count: u64,
}

/// What one controller (all its processes together) did; messages of committed transactions only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ControllerFigures {
    /// Its name, for example `gwc-1`.
    pub name: String,
    /// PE identifiers of its processes in the order of their start, hex, 8 digits.
    pub pes: Vec<String>,
    /// Messages of the network that it applied, whole run.
    pub messages_up: u64,
    /// Messages that it put out, whole run.
    pub messages_down: u64,
    /// Its part of all messages applied in the measured load, 0 to 1.
    pub share: f64,
    /// The part that was its due: at each moment, equal parts among the controllers active then, 0 to 1.
    pub fair_share: f64,
    /// How long it was active within the measured load, ms.
    pub active_ms: f64,
    /// (share - fair_share) / fair_share, percent; `null` when it was active for less than a tenth of the measured load.
    pub deviation_percent: Option<f64>,
}

/// A group that a fault or a move touched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupGap {
    /// `opc-dpc-block`, block = CIC / 32; `opc-dpc-si-sls` for user parts without circuits.
    pub group: String,
    /// Largest applied - intended of its messages around the fault or move, ms; `null` when it had none.
    pub gap_ms: Option<f64>,
    /// Index into `faults`; `null`: a move without a fault.
    pub fault: Option<usize>,
    /// The controller that had it.
    pub from: String,
    /// The controller that had it then; the same as `from` when it stayed.
    pub to: String,
}

/// Control traffic (registrations, keep-alive, heartbeats) at the gateway, measured before the load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// How long it was measured, ms.
    pub idle_ms: f64,
    /// Datagrams a second, sent and received.
    pub datagrams_per_s: f64,
    /// Bytes of UDP payload a second, sent and received.
    pub bytes_per_s: f64,
    /// The same while the load went on, without these: what the data took, with its acknowledgements; `null`: not measured.
    #[serde(default)]
    pub data_bytes_per_s: Option<f64>,
    /// `bytes_per_s` in percent of `data_bytes_per_s`: all that goes on, the leases of the controllers too.
    #[serde(default)]
    pub percent_of_data: Option<f64>,
    /// Of `bytes_per_s` what went between the population and its name servers (registrations, keep-alives, their acknowledgements and
    /// heartbeats).
    #[serde(default)]
    pub pool_bytes_per_s: Option<f64>,
    /// The same in percent of `data_bytes_per_s`.
    #[serde(default)]
    pub pool_percent_of_data: Option<f64>,
}
