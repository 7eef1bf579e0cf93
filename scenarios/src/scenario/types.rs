//! What a scenario is made of; the keys of a scenario file are the fields of these types.

use super::{Fault, Load};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Table;

/// A scenario. Written out as TOML it parses back to itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, in the results and in the folder's name: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// One line: what it shows.
    #[serde(default)]
    pub description: String,
    /// How long load is offered, warm-up included, ms; 100 to a day. `--duration` shortens it.
    pub duration_ms: u64,
    /// How long the calls may take to end after that, ms; up to an hour.
    #[serde(default = "drain_default_ms")]
    pub drain_ms: u64,
    /// How long all processes stand ready before the load begins, so that the control traffic can be measured alone, ms; up to an hour.
    #[serde(default)]
    pub idle_ms: u64,
    /// Seed of the load; `--seed` overrides it.
    #[serde(default = "seed_default")]
    pub seed: u64,
    /// The pool.
    pub controllers: Controllers,
    /// The gateway.
    #[serde(default)]
    pub gateway: Gateway,
    /// Where the pool is registered.
    #[serde(default)]
    pub name_server: NameServer,
    /// Other pools in the name space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub population: Option<Population>,
    /// The load.
    #[serde(default)]
    pub load: Load,
    /// Faults; once parsed in the order of their times.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Limits by the name of the assertion ([`super::ASSERTIONS`]); once parsed with the defaults.
    #[serde(default)]
    pub assertions: BTreeMap<String, f64>,
}

/// `[controllers]`: the pool `gwc-1` to `gwc-N`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controllers {
    /// How many have a place, 1 to 200.
    pub count: usize,
    /// How many of them run from the start, the first ones; the others come by a `start` fault. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_start: Option<usize>,
    /// Empty: no relay. Else one number for each controller: a relay adds this round trip (half of it in each direction) to
    /// everything between the controller and the gateway, the name server; ms, up to 10,000.
    #[serde(default)]
    pub round_trip_ms: Vec<u32>,
    /// Laid over each controller's configuration.
    #[serde(default)]
    pub settings: Table,
}

impl Controllers {
    /// How many run from the start.
    #[must_use]
    pub fn at_start(&self) -> usize {
        self.at_start.unwrap_or(self.count)
    }
}

/// `[gateway]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Laid over the gateway's configuration; `[gateway.settings.as]` goes into its one `[[as]]`.
    pub settings: Table,
}

/// Where the name server runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameServerKind {
    /// Inside the gateway.
    #[default]
    Embedded,
    /// A process of its own, `enrp-1`, beside the gateway.
    StandAlone,
}

/// `[name_server]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameServer {
    /// `"embedded"` in the gateway, or `"stand-alone"`.
    pub kind: NameServerKind,
    /// Stand-alone: laid over the name server's configuration.
    pub settings: Table,
}

/// `[population]`: other pools in the name space, so that it has a real size while calls run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// Pools, 1 to 50,000.
    pub pools: u32,
    /// Pool elements of each, 1 to 10,000; each has an SCTP association of its own.
    pub pes_per_pool: u32,
    /// Processes that the pool elements share, 1 to 16: `pop-1` to `pop-N`.
    pub processes: usize,
    /// Re-registrations a second of all pool elements together, on top of what the registration life asks for.
    pub re_registrations_per_s: u32,
}

impl Default for Population {
    fn default() -> Self {
        Self { pools: 500, pes_per_pool: 20, processes: 2, re_registrations_per_s: 0 }
    }
}

fn drain_default_ms() -> u64 {
    5_000
}

fn seed_default() -> u64 {
    1
}
