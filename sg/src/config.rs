//! Settings of a signaling gateway. One TOML file; unknown keys are refused; every time is in milliseconds.

mod names;

use enrp::ConfigError;
use enrp::daemon::DaemonConfig;
use schemars::JsonSchema;
use sctp::Transport;
use sctp::driver::DriverConfig;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

pub use names::{Enrp, Scope};

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

/// Traffic Mode Type (RFC 4666 section 3.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrafficMode {
    /// All active ASPs share the traffic; a circuit group stays with one.
    Loadshare,
    /// One active ASP carries all the traffic; the next one to become active takes over.
    Override,
}

/// One application server: a routing key, and the pool that serves it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct As {
    /// Pool handle; `handle@scope` is a pool of another operation scope (`[[scope]]`). An `@` of the handle itself is written `@@`.
    #[schemars(length(min = 1))]
    pub pool: String,
    /// Routing Context toward the pool; unique among the application servers.
    pub routing_context: u32,
    /// Network Appearance put into DATA. Absent: none.
    #[schemars(example = 1)]
    pub network_appearance: Option<u32>,
    /// Destination point codes of the routing key; at least one.
    #[schemars(length(min = 1), inner(range(max = 0x00ff_ffff)), example = [2])]
    pub dpc: Vec<u32>,
    /// How many low bits of each DPC are not looked at (RFC 4666 section 3.4.1 mask), 0 to 24.
    #[schemars(range(max = 24))]
    pub dpc_mask: u8,
    /// Originating point codes; empty means any.
    #[schemars(inner(range(max = 0x00ff_ffff)), example = [101, 102])]
    pub opc: Vec<u32>,
    /// Service indicators; empty means any.
    #[schemars(inner(range(max = 15)), example = [5])]
    pub si: Vec<u8>,
    /// Traffic mode the ASPs must ask for.
    pub traffic_mode: TrafficMode,
    /// The controllers send cookies (transactions). False: output passes at once, barriers alone confirm.
    pub transactions: bool,
    /// Resolve the pool and open associations at start; false waits for the first message.
    pub resolve_at_start: bool,
    /// T(r), RFC 4666 section 4.3.2: how long messages wait while no ASP is active.
    #[schemars(range(min = 1))]
    pub t_r_ms: u64,
    /// Most messages waiting or unconfirmed.
    #[schemars(range(min = 1))]
    pub queue_messages_max: usize,
    /// Most bytes waiting or unconfirmed.
    #[schemars(range(min = 1))]
    pub queue_bytes_max: usize,
    /// Filling of the queue, per cent of its messages or bytes, from which on messages that begin something new (IAM; anything that
    /// is not ISUP) are discarded, so that calls that are up can end; 100: they go on until it is full.
    #[schemars(range(min = 1, max = 100))]
    pub congestion_percent: u8,
    /// Most messages unconfirmed at one controller; the others wait in their groups' queues.
    #[schemars(range(min = 1))]
    pub unconfirmed_max: usize,
    /// Most groups (circuit groups, or OPC-DPC-SLS) remembered.
    #[schemars(range(min = 1))]
    pub groups_max: usize,
    /// Most output messages of one group held until its cookie comes.
    #[schemars(range(min = 1))]
    pub held_messages_max: usize,
    /// Longest session cookie stored, bytes.
    #[schemars(range(min = 28))]
    pub cookie_bytes_max: usize,
    /// Most bytes of cookies and held output of all groups together; the controller that passes it is given up.
    pub state_bytes_max: usize,
    /// Most associations to the pool's elements kept up.
    #[schemars(range(min = 2, max = 64))]
    pub associations_max: usize,
}

/// The network side.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// SCTP port the peers connect to (M3UA: 2905).
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Routing Context of the network side.
    pub routing_context: u32,
    /// Network Appearance put into DATA toward the network. Absent: none.
    #[schemars(example = 1)]
    pub network_appearance: Option<u32>,
    /// Point codes reached through the attached peers; empty means all that no application server has.
    #[schemars(inner(range(max = 0x00ff_ffff)), example = [1])]
    pub point_codes: Vec<u32>,
    /// Addresses from which peers may attach; empty means any.
    #[schemars(example = ["127.0.0.2"])]
    pub allowed_addresses: Vec<IpAddr>,
    /// ASP Identifiers that may attach; empty means any, and none is needed.
    #[schemars(example = [7])]
    pub allowed_asp_ids: Vec<u32>,
    /// Most attached peers.
    #[schemars(range(min = 1, max = 64))]
    pub peers_max: usize,
    /// How long messages toward the network wait while no peer is active.
    #[schemars(range(min = 1))]
    pub t_r_ms: u64,
    /// Most messages waiting for a peer.
    #[schemars(range(min = 1))]
    pub queue_messages_max: usize,
    /// Most bytes waiting for a peer.
    #[schemars(range(min = 1))]
    pub queue_bytes_max: usize,
}

/// Supervision and takeover.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Failover {
    /// Interval of the liveness BEAT while something is unconfirmed or asked.
    #[schemars(range(min = 1))]
    pub beat_ms: u64,
    /// A controller is dead when its M3UA layer said nothing for this long while something was asked; never under 4 round trips.
    pub dead_ms: u64,
    /// Interval of the liveness BEAT toward an idle controller.
    pub idle_beat_ms: u64,
    /// Age at which an unconfirmed message makes the gateway send a barrier BEAT (with `transactions = true`, where cookies
    /// normally confirm first; else a barrier follows each batch).
    pub barrier_ms: u64,
    /// A controller that answers liveness BEATs but confirms nothing for this long is given up; so is one that leaves a single
    /// message unconfirmed ten times as long while it confirms others.
    pub confirm_ms: u64,
    /// How long a new association may take to ASPUP and ASPAC.
    #[schemars(range(min = 1))]
    pub asp_up_ms: u64,
    /// How long after the end of an association a registered element is tried again.
    #[schemars(range(min = 1))]
    pub reconnect_ms: u64,
    /// After a time without any controller: how long the groups that wait are kept back when a first one is active and others are
    /// about to be, so that not all groups go to the first.
    pub gather_ms: u64,
    /// Safety added to the end of a controller's lease before its groups move.
    pub fence_margin_ms: u64,
    /// Longest lease granted to a controller; a longer one is not echoed.
    #[schemars(range(min = 1))]
    pub lease_ms_max: u64,
    /// How long a controller that said ASPIA or ASPDN has to confirm what it was sent.
    pub drain_ms: u64,
    /// A controller that joins or comes back takes its fair number of groups from the others by planned moves: the same number for
    /// each with round robin and random, by weight with their weighted kinds. Other policies do not share, and no group is moved.
    pub rebalance: bool,
    /// How long after a controller became active the groups are shared anew.
    #[schemars(range(min = 1))]
    pub rebalance_after_ms: u64,
    /// Most planned moves at the same time. Each keeps one group waiting for a round trip to its old controller.
    #[schemars(range(min = 1))]
    pub moves_outstanding_max: usize,
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
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self { name: "sg".into(), gateway: 1, epoch: None, records: PathBuf::new() }
    }
}

impl Default for As {
    fn default() -> Self {
        Self {
            pool: "GatewayPool".into(),
            routing_context: 1,
            network_appearance: None,
            dpc: Vec::new(),
            dpc_mask: 0,
            opc: Vec::new(),
            si: Vec::new(),
            traffic_mode: TrafficMode::Loadshare,
            transactions: true,
            resolve_at_start: true,
            t_r_ms: 2_000,
            queue_messages_max: 10_000,
            queue_bytes_max: 8 << 20,
            congestion_percent: 80,
            unconfirmed_max: 1_000,
            groups_max: 65_536,
            held_messages_max: 1_000,
            cookie_bytes_max: 16_384,
            state_bytes_max: 256 << 20,
            associations_max: 64,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            port: 2905,
            routing_context: 100,
            network_appearance: None,
            point_codes: Vec::new(),
            allowed_addresses: Vec::new(),
            allowed_asp_ids: Vec::new(),
            peers_max: 64,
            t_r_ms: 2_000,
            queue_messages_max: 10_000,
            queue_bytes_max: 8 << 20,
        }
    }
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            beat_ms: 50,
            dead_ms: 320,
            idle_beat_ms: 1_000,
            barrier_ms: 20,
            confirm_ms: 2_000,
            asp_up_ms: 2_000,
            reconnect_ms: 100,
            gather_ms: 100,
            fence_margin_ms: 20,
            lease_ms_max: 5_000,
            drain_ms: 320,
            rebalance: true,
            rebalance_after_ms: 200,
            moves_outstanding_max: 16,
        }
    }
}

/// Most bits a point code has on the wire of a routing key (RFC 4666 section 3.6.1: 24).
const POINT_CODE_MAX: u32 = 0x00ff_ffff;

impl Config {
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

impl As {
    fn check(&self, index: usize) -> Result<(), ConfigError> {
        let key = |name: &str| format!("as[{index}].{name}");
        ConfigError::unless(!self.dpc.is_empty(), &key("dpc"), "at least one destination point code: the pool's own")?;
        ConfigError::unless(
            self.dpc.iter().all(|pc| *pc <= POINT_CODE_MAX),
            &key("dpc"),
            "point codes of 24 bits at most",
        )?;
        ConfigError::unless(self.dpc_mask <= 24, &key("dpc_mask"), "0 to 24 bits")?;
        ConfigError::unless(
            self.opc.iter().all(|pc| *pc <= POINT_CODE_MAX),
            &key("opc"),
            "point codes of 24 bits at most",
        )?;
        ConfigError::unless(self.si.iter().all(|si| *si < 16), &key("si"), "0 to 15; 5 is ISUP")?;
        ConfigError::unless(self.t_r_ms > 0, &key("t_r_ms"), "more than 0")?;
        ConfigError::unless(self.queue_messages_max > 0, &key("queue_messages_max"), "more than 0")?;
        ConfigError::unless(self.queue_bytes_max > 0, &key("queue_bytes_max"), "more than 0")?;
        let percent = (1..=100).contains(&self.congestion_percent);
        ConfigError::unless(percent, &key("congestion_percent"), "1 to 100 per cent of the queue")?;
        ConfigError::unless(self.unconfirmed_max > 0, &key("unconfirmed_max"), "more than 0")?;
        ConfigError::unless(self.groups_max > 0, &key("groups_max"), "more than 0")?;
        ConfigError::unless(self.held_messages_max > 0, &key("held_messages_max"), "more than 0")?;
        ConfigError::unless(
            self.cookie_bytes_max >= 28,
            &key("cookie_bytes_max"),
            "28 or more (the envelope alone has 28 bytes)",
        )?;
        ConfigError::unless(
            self.state_bytes_max >= self.cookie_bytes_max,
            &key("state_bytes_max"),
            "not less than cookie_bytes_max; a group takes some 200 bytes",
        )?;
        let warm = (2..=64).contains(&self.associations_max);
        ConfigError::unless(warm, &key("associations_max"), "2 (a spare must be warm) to 64")
    }
}

impl Network {
    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.port != 0, "network.port", "a port, normally 2905 (M3UA)")?;
        let narrow = self.point_codes.iter().all(|pc| *pc <= POINT_CODE_MAX);
        ConfigError::unless(narrow, "network.point_codes", "point codes of 24 bits at most")?;
        ConfigError::unless((1..=64).contains(&self.peers_max), "network.peers_max", "1 to 64")?;
        ConfigError::unless(self.t_r_ms > 0, "network.t_r_ms", "more than 0")?;
        ConfigError::unless(self.queue_messages_max > 0, "network.queue_messages_max", "more than 0")?;
        ConfigError::unless(self.queue_bytes_max > 0, "network.queue_bytes_max", "more than 0")
    }
}

impl Failover {
    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.beat_ms > 0, "failover.beat_ms", "more than 0")?;
        ConfigError::unless(
            self.dead_ms > self.beat_ms,
            "failover.dead_ms",
            "more than failover.beat_ms, else every controller is dead at once",
        )?;
        ConfigError::unless(
            self.idle_beat_ms >= self.beat_ms,
            "failover.idle_beat_ms",
            "not less than failover.beat_ms",
        )?;
        ConfigError::unless(self.barrier_ms < self.confirm_ms, "failover.barrier_ms", "less than failover.confirm_ms")?;
        ConfigError::unless(self.confirm_ms >= self.dead_ms, "failover.confirm_ms", "not less than failover.dead_ms")?;
        ConfigError::unless(self.asp_up_ms > 0, "failover.asp_up_ms", "more than 0")?;
        ConfigError::unless(self.reconnect_ms > 0, "failover.reconnect_ms", "more than 0")?;
        ConfigError::unless(self.lease_ms_max > 0, "failover.lease_ms_max", "more than 0")?;
        ConfigError::unless(self.rebalance_after_ms > 0, "failover.rebalance_after_ms", "more than 0")?;
        let one = self.moves_outstanding_max > 0;
        ConfigError::unless(one, "failover.moves_outstanding_max", "more than 0; `rebalance = false` moves none")
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
            ("[[as]]\ndpc = []", "as[0].dpc"),
            ("[[as]]\ndpc = [1]\nsi = [16]", "as[0].si"),
            ("[[as]]\ndpc = [1]\ncongestion_percent = 0", "as[0].congestion_percent"),
            ("[[as]]\ndpc = [1]\nunconfirmed_max = 0", "as[0].unconfirmed_max"),
            ("[[as]]\ndpc = [1]\n[[as]]\ndpc = [2]\npool = \"other\"", "as[1].routing_context"),
            ("as = []", "as"),
        ] {
            assert_eq!(parse(change).check().unwrap_err().key, key, "{change}");
        }
        assert!(toml::from_str::<Config>("[node]\ngatewey = 1").is_err(), "unknown keys are refused");
    }
}
