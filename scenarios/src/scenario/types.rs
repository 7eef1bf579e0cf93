//! What a scenario is made of; the keys of a scenario file are the fields of these types.

use super::pools::{EXPECT_MAX, Expect, NAMED_POOLS_MAX, SCOPES_MAX, Scope};
use super::{Fault, FaultKind, Load};
use crate::population::NamedPool;
use crate::runner::address::PATHS_MAX;
use schemars::JsonSchema;
use sctp::Transport;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Table;

/// Most gateways.
pub(super) const GATEWAYS_MAX: usize = 2;

/// A scenario. Written out as TOML it parses back to itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, in the results and in the folder's name: letters, digits, `-`, `_`, `.`.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]+$"), example = &"failover")]
    pub name: String,
    /// One line: what it shows.
    #[serde(default)]
    #[schemars(example = &"kill -9 of one of three controllers")]
    pub description: String,
    /// How long load is offered, warm-up included, ms; 100 to a day. `--duration` shortens it.
    #[schemars(range(min = 100, max = 86_400_000), example = 8_000)]
    pub duration_ms: u64,
    /// How long the calls may take to end after that, ms; up to an hour.
    #[serde(default = "drain_default_ms")]
    #[schemars(range(max = 3_600_000))]
    pub drain_ms: u64,
    /// How long all processes stand ready before the load begins, so that the control traffic can be measured alone, ms; up to an hour.
    #[serde(default)]
    #[schemars(range(max = 3_600_000), example = 5_000)]
    pub idle_ms: u64,
    /// Seed of the load; `--seed` overrides it.
    #[serde(default = "seed_default")]
    pub seed: u64,
    /// Who carries SCTP, in every process: "udp" (RFC 6951), "raw" (IP protocol 132), "kernel", "auto" (the best this machine has);
    /// `--transport` overrides it. Round trips and faults of a path need udp.
    #[serde(default)]
    pub transport: Transport,
    /// Addresses of each process, each on a network of its own, 1 or 2: SCTP associations have so many paths.
    #[serde(default = "paths_default")]
    #[schemars(range(min = 1, max = PATHS_MAX), example = 2)]
    pub paths: usize,
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
    /// A pool user that asks for the population's pools all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<Resolver>,
    /// What the resolver must be answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = EXPECT_MAX))]
    pub expect: Vec<Expect>,
    /// The load.
    #[serde(default)]
    pub load: Load,
    /// Faults; once parsed in the order of their times.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Limits by the name of the figure ([`super::ASSERTIONS`], `sigpool list`); once parsed with the defaults.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::assertions")]
    pub assertions: BTreeMap<String, f64>,
}

/// `[controllers]`: the pool `gwc-1` to `gwc-N`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Controllers {
    /// How many have a place, 1 to 200.
    #[schemars(range(min = 1, max = 200), example = 3)]
    pub count: usize,
    /// How many of them run from the start, the first ones; the others come by a `start` fault. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 200), example = 3)]
    pub at_start: Option<usize>,
    /// So many of them, the last ones, are ordinary ASPs: they attach to the gateway, know nothing of pools, leases and cookies, and are
    /// registered on their behalf. With one gateway only.
    #[serde(default, skip_serializing_if = "is_none")]
    #[schemars(range(max = 200), example = 1)]
    pub ordinary: usize,
    /// Empty: no relay. Else one number for each controller: a relay adds this round trip (half of it in each direction) to
    /// everything between the controller and the gateway, the name server; ms, up to 10,000.
    #[serde(default)]
    #[schemars(inner(range(max = 10_000)), example = [1, 40, 150])]
    pub round_trip_ms: Vec<u32>,
    /// Laid over each controller's configuration.
    #[serde(default)]
    #[schemars(with = "gwc_pe::config::Config")]
    pub settings: Table,
}

impl Scenario {
    /// Whether a relay stands between all processes: distances, and paths that are cut, are its work.
    #[must_use]
    pub fn needs_relay(&self) -> bool {
        let cut = |fault: &Fault| {
            matches!(
                fault.kind,
                FaultKind::CutPath
                    | FaultKind::RestorePath
                    | FaultKind::CutLink
                    | FaultKind::RestoreLink
                    | FaultKind::Isolate
                    | FaultKind::Rejoin
                    | FaultKind::Impair
            )
        };
        !self.controllers.round_trip_ms.is_empty() || self.faults.iter().any(cut)
    }

    /// Why it cannot run over the transport that it is to run over, if so.
    #[must_use]
    pub fn impossible(&self) -> Option<String> {
        match self.transport {
            Transport::Raw | Transport::Kernel if self.needs_relay() => Some(format!(
                "its relay (round trips, faults of a path) is one of UDP datagrams, not for transport {}",
                self.transport.name()
            )),
            Transport::Auto | Transport::Udp | Transport::Raw | Transport::Kernel => None,
        }
    }

    /// What its processes are told: with a relay the best there is, is UDP.
    #[must_use]
    pub fn lab_transport(&self) -> Transport {
        if self.needs_relay() { Transport::Udp } else { self.transport }
    }
}

impl Controllers {
    /// How many run from the start.
    #[must_use]
    pub fn at_start(&self) -> usize {
        self.at_start.unwrap_or(self.count)
    }
}

/// `[gateway]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// How many, 1 or 2: `sg-1` and `sg-2`. Two are mates, and the network side reaches both.
    #[schemars(range(min = 1, max = GATEWAYS_MAX), example = 2)]
    pub count: usize,
    /// Laid over the configuration of each gateway; `[gateway.settings.as]` goes into its one `[[as]]`.
    #[schemars(schema_with = "crate::schema::gateway_settings")]
    pub settings: Table,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { count: 1, settings: Table::new() }
    }
}

/// Where the name server runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NameServerKind {
    /// Inside the gateway.
    #[default]
    Embedded,
    /// Processes of their own, `enrp-1` to `enrp-N`, beside the gateway.
    StandAlone,
}

/// `[name_server]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NameServer {
    /// `"embedded"` in the gateway, or `"stand-alone"`.
    #[schemars(example = NameServerKind::StandAlone)]
    pub kind: NameServerKind,
    /// Stand-alone: how many, 1 to 8; each is a peer of all others. The gateway, the controllers and the processes of the population
    /// each begin with another one of them.
    #[schemars(range(min = 1, max = 8), example = 3)]
    pub count: usize,
    /// Stand-alone: further operation scopes. The gateway and the controllers know each of them; controllers register in all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = SCOPES_MAX))]
    pub scope: Vec<Scope>,
    /// Stand-alone: laid over each name server's configuration.
    #[schemars(with = "enrp::server_daemon::Config")]
    pub settings: Table,
}

impl Default for NameServer {
    fn default() -> Self {
        Self { kind: NameServerKind::default(), count: 1, scope: Vec::new(), settings: Table::new() }
    }
}

impl NameServer {
    /// Processes of their own.
    #[must_use]
    pub fn stand_alone(&self) -> usize {
        match self.kind {
            NameServerKind::Embedded => 0,
            NameServerKind::StandAlone => self.count,
        }
    }
}

/// `[resolver]`: a pool user that asks for the population's pools, one after the other, from before the load until its end. When its
/// name server is gone it finds another one. In each further scope there is another one like it, for the pools there. Its answers are in the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resolver {
    /// Questions a second, 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub rate_per_s: u32,
    /// Elements to ask for (Handle Resolution Option), 1 to 1,000.
    #[schemars(range(min = 1, max = 1_000))]
    pub items: u32,
    /// The name server with which it begins, 1 is `enrp-1`.
    #[schemars(range(min = 1, max = 8))]
    pub server: usize,
    /// Hints for a selection plug-in, one after the other (an empty one: a question without); none: no hint.
    #[schemars(example = ["berlin"])]
    pub hints: Vec<String>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { rate_per_s: 200, items: 3, server: 1, hints: Vec::new() }
    }
}

/// `[population]`: other pools in the name space, so that it has a real size while calls run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// Pools with numbers for names, 1 to 50,000; 0: only those of `[[population.pool]]`.
    #[schemars(range(max = 50_000))]
    pub pools: u32,
    /// Pool elements of each, 1 to 10,000; each has an SCTP association of its own.
    #[schemars(range(min = 1, max = 10_000))]
    pub pes_per_pool: u32,
    /// Processes that the pool elements share, 1 to 16: `pop-1` to `pop-N`.
    #[schemars(range(min = 1, max = 16))]
    pub processes: usize,
    /// Re-registrations a second of all pool elements together, on top of what the registration life asks for.
    #[schemars(range(max = 100_000), example = 2_000)]
    pub re_registrations_per_s: u32,
    /// Further pools, with names, policies and values of their own; each element is in another process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMED_POOLS_MAX))]
    pub pool: Vec<NamedPool>,
    /// Laid over the configuration of each of its processes.
    #[schemars(with = "crate::population::Config")]
    pub settings: Table,
}

impl Default for Population {
    fn default() -> Self {
        Self {
            pools: 500,
            pes_per_pool: 20,
            processes: 2,
            re_registrations_per_s: 0,
            pool: Vec::new(),
            settings: Table::new(),
        }
    }
}

fn paths_default() -> usize {
    1
}

fn drain_default_ms() -> u64 {
    5_000
}

fn seed_default() -> u64 {
    1
}

fn is_none(count: &usize) -> bool {
    *count == 0
}
