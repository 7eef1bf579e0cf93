//! Settings of a signaling gateway. One TOML file; unknown keys are refused; every time is in milliseconds.

mod application_server;
mod failover;
mod linkset;
mod mate;
mod names;
mod network;
mod tcp;

use enrp::ConfigError;
use enrp::daemon::DaemonConfig;
use schemars::JsonSchema;
use sctp::Transport;
use sctp::driver::DriverConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub use application_server::{As, Prefers, SccpAffinity, TrafficMode};
pub use failover::Failover;
pub use linkset::{Link, LinkMode, LinkSet, Route};
pub use mate::Mate;
pub use names::{Enrp, Scope};
pub use network::Network;
pub use tcp::NetworkTcp;

/// What `--print-config` shows: every key with its default and what it means.
pub const COMMENTED_DEFAULT: &str = include_str!("default.toml");

/// All settings of one gateway.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who carries the SCTP packets: `udp` (RFC 6951; any user), `raw` (IP protocol 132), `kernel` (the kernel's SCTP), `auto` (the best
    /// there is).
    pub transport: Transport,
    /// Admin HTTP, how to stop.
    pub daemon: DaemonConfig,
    /// Own addresses, UDP encapsulation port (RFC 6951), capture.
    pub udp: DriverConfig,
    /// This gateway.
    pub node: Node,
    /// SCTP (RFC 9260).
    pub sctp: sctp::Config,
    /// Name server: inside this process, or elsewhere.
    pub enrp: Enrp,
    /// Further operation scopes (name spaces), for pools that are named `handle@scope`.
    pub scope: Vec<Scope>,
    /// Application servers toward the pools, in the order in which they are looked at.
    #[serde(rename = "as")]
    #[schemars(length(min = 1))]
    pub application_servers: Vec<As>,
    /// The side of the SS7 network: who attaches as M3UA ASP on port 2905.
    pub network: Network,
    /// How fast a controller is given up, and when its groups may move.
    pub failover: Failover,
    /// The second gateway.
    pub mate: Mate,
}

/// This gateway.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name in logs and in the admin state.
    pub name: String,
    /// Gateway number, 0 to 15: the four high bits of every Correlation Id, and the number in the record's file name.
    #[schemars(range(max = 15))]
    pub gateway: u8,
    /// Boot epoch, 0 to 255: must differ from that of the run before. Absent: from the clock at start.
    #[schemars(example = 7)]
    pub epoch: Option<u8>,
    /// Directory for the record `sg-<gateway>.csv`. Empty: no record.
    #[schemars(example = &"records")]
    pub records: PathBuf,
}

/// One pool, GatewayPool, that has point code 2 and serves ISUP; the network is point code 1.
impl Default for Config {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            daemon: DaemonConfig::default(),
            udp: DriverConfig::default(),
            node: Node::default(),
            sctp: sctp::Config::default(),
            enrp: Enrp::default(),
            scope: Vec::new(),
            application_servers: vec![As { dpc: vec![2], si: vec![5], ..As::default() }],
            network: Network { point_codes: vec![1], ..Network::default() },
            failover: Failover::default(),
            mate: Mate::default(),
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self { name: "sg".into(), gateway: 1, epoch: None, records: PathBuf::new() }
    }
}

/// What a message to the mate takes besides one cookie or one message.
pub(crate) const STEP_BYTES: usize = 256;

/// Most bits a point code has on the wire of a routing key (RFC 4666 section 3.6.1: 24).
const POINT_CODE_MAX: u32 = 0x00ff_ffff;

impl Config {
    fn check_mate(&self) -> Result<(), ConfigError> {
        let other = self.mate.addresses.iter().all(|address| !self.udp.addresses.contains(address));
        ConfigError::unless(other, "mate.addresses", "addresses of the other gateway, not of this one")?;
        // Each step is one message to the mate.
        let longest = self.sctp.message_bytes_max.saturating_sub(STEP_BYTES);
        let fits = self.application_servers.iter().all(|server| server.cookie_bytes_max <= longest);
        ConfigError::unless(
            !self.mate.is_there() || fits,
            "as.cookie_bytes_max",
            "with a [mate] at least 256 less than sctp.message_bytes_max",
        )
    }

    /// The Network Appearances of the application servers.
    pub(crate) fn networks(&self) -> impl Iterator<Item = u32> + '_ {
        self.application_servers.iter().filter_map(|server| server.network_appearance)
    }

    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first key whose value cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.node.check()?;
        ConfigError::check_addresses(&self.udp)?;
        self.enrp.check()?;
        self.check_scopes()?;
        self.network.check()?;
        self.failover.check()?;
        self.mate.check()?;
        self.check_mate()?;
        ConfigError::unless(
            !self.application_servers.is_empty(),
            "as",
            "at least one [[as]] table is needed: a routing key and its pool",
        )?;
        for (i, entry) in self.application_servers.iter().enumerate() {
            entry.check(i)?;
            self.check_pool(i, entry)?;
            let twice =
                self.application_servers[..i].iter().any(|other| other.routing_context == entry.routing_context);
            ConfigError::unless(
                !twice,
                &format!("as[{i}].routing_context"),
                "another [[as]] has this Routing Context; each needs its own",
            )?;
            let proxied = entry.asps.is_empty() || (self.enrp.embedded && !entry.pool.contains('@'));
            ConfigError::unless(
                proxied,
                &format!("as[{i}].asps"),
                "ASPs are registered with the embedded name server: [enrp] embedded = true, and a pool without @scope",
            )?;
            let same_pool = self.application_servers[..i].iter().any(|other| other.pool == entry.pool);
            ConfigError::unless(
                !same_pool,
                &format!("as[{i}].pool"),
                "another [[as]] has this pool; one pool serves one application server",
            )?;
        }
        Ok(())
    }
}

impl Node {
    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.gateway < 16, "node.gateway", "0 to 15 (four bits of the Correlation Id)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn commented_default_is_the_default_and_valid() {
        let parsed = parse(COMMENTED_DEFAULT);
        parsed.check().unwrap();
        assert_eq!(toml::to_string(&parsed).unwrap(), toml::to_string(&Config::default()).unwrap());
    }

    #[test]
    fn errors_name_the_key() {
        for (change, key) in [
            ("[node]\ngateway = 16", "node.gateway"),
            ("[udp]\naddresses = []", "udp.addresses"),
            ("[udp]\naddresses = [\"0.0.0.0\"]", "udp.addresses"),
            ("[enrp]\nembedded = false", "enrp.servers"),
            ("[enrp]\nserver_id = 0", "enrp.server_id"),
            ("[enrp.server]\npools_max = 0", "enrp.server.pools_max"),
            ("[enrp.plugins]\nelements_max = 0", "enrp.plugins.elements_max"),
            (
                "[enrp]\nembedded = false\nservers = [{ addresses = [\"127.0.0.9\"] }]\n[enrp.plugins]\ndirectory = \"x\"\n\
                 pools = [{ handle = \"a\", plugin = \"b\" }]",
                "enrp.plugins.pools",
            ),
            ("[failover]\ndead_ms = 10", "failover.dead_ms"),
            ("[failover]\nrebalance_after_ms = 0", "failover.rebalance_after_ms"),
            ("[failover]\nmoves_outstanding_max = 0", "failover.moves_outstanding_max"),
            ("[failover]\nbeats_per_s = 0", "failover.beats_per_s"),
            ("[failover]\naudits_per_s = 0", "failover.audits_per_s"),
            ("[[as]]\ndpc = []", "as[0].dpc"),
            ("[[as]]\ndpc = [1]\nsi = [16]", "as[0].si"),
            ("[[as]]\ndpc = [1]\nni = [4]", "as[0].ni"),
            ("[[as]]\ndpc = [1]\nasps_min = 0", "as[0].asps_min"),
            ("[[as]]\ndpc = [1]\ntraffic_mode = \"broadcast\"", "as[0].traffic_mode"),
            ("[[as]]\ndpc = [1]\ntraffic_mode = \"override\"\nasps_min = 2", "as[0].asps_min"),
            ("[[as]]\ndpc = [1]\nregister_dpc = [16777216]", "as[0].register_dpc"),
            ("[[as]]\ndpc = [1]\nregister_entries_max = 0", "as[0].register_entries_max"),
            ("[[as]]\ndpc = [1]\ncongestion_percent = 0", "as[0].congestion_percent"),
            ("[[as]]\ndpc = [1]\ncongestion_levels_percent = [50, 40, 80]", "as[0].congestion_levels_percent"),
            ("[[as]]\ndpc = [1]\nunconfirmed_max = 0", "as[0].unconfirmed_max"),
            ("[[as]]\ndpc = [1]\n[[as]]\ndpc = [2]\npool = \"other\"", "as[1].routing_context"),
            ("[network]\ndead_ms = 0", "network.dead_ms"),
            ("[mate]\nlease_ms = 300", "mate.lease_ms"),
            ("[mate]\naddresses = [\"127.0.0.1\"]", "mate.addresses"),
            ("[[network.linkset]]\nname = \"a\"", "network.linkset[0].links"),
            (
                "[[network.linkset]]\nname = \"a\"\nlinks = [{ addresses = [\"127.0.0.3\"] }]\nroutes = [{ dpc = 1, mask = 25 }]",
                "network.linkset[0].routes",
            ),
            (
                "[enrp]\nembedded = false\nservers = [{ addresses = [\"127.0.0.9\"] }]\n[[as]]\ndpc = [1]\nasps = [\"127.0.0.50\"]",
                "as[0].asps",
            ),
            ("as = []", "as"),
        ] {
            assert_eq!(parse(change).check().unwrap_err().key, key, "{change}");
        }
        assert!(toml::from_str::<Config>("[node]\ngatewey = 1").is_err(), "unknown keys are refused");
    }
}
