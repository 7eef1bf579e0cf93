//! Settings of [`Peers`](super::Peers). Times in milliseconds.

use crate::ConfigError;
use crate::server::{DAY_MS, within_a_day};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A peer that is known by configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeerAddressConfig {
    /// Its IP addresses; or `name`.
    #[schemars(example = [IpAddr::from([127, 0, 0, 2])])]
    pub addresses: Vec<IpAddr>,
    /// A DNS name, resolved again and again; empty: `addresses` has them.
    #[schemars(example = &"enrp.example")]
    pub name: String,
    /// SCTP port (RFC 5353 section 5.3: 9901).
    #[schemars(range(min = 1))]
    pub port: u16,
}

impl Default for PeerAddressConfig {
    fn default() -> Self {
        Self { addresses: Vec::new(), name: String::new(), port: crate::ENRP_PORT }
    }
}

/// Which peers are treated as rsplib's registrar (see `peers/rsplib.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RsplibPeers {
    /// Those that are recognised as such.
    Recognised,
    /// All that are not of this project.
    All,
    /// None: every peer keeps to the RFCs.
    None,
}

/// Settings toward other name servers (RFC 5353). The defaults find a dead server in less than 500 ms and decide who takes it over
/// in less than 200 ms more; the RFC's own values are in the comments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeersConfig {
    /// Servers to connect to, mentors at the start (RFC 5353 section 3.2.2.1). More are learnt from them. None: this server waits
    /// for others to connect.
    #[schemars(example = [PeerAddressConfig { addresses: vec![IpAddr::from([127, 0, 0, 2])], ..PeerAddressConfig::default() }])]
    pub servers: Vec<PeerAddressConfig>,
    /// PEER-HEARTBEAT-CYCLE: time between two ENRP_PRESENCE to each peer, plus or minus 10 percent (RFC: 30,000).
    #[schemars(range(min = 10))]
    pub peer_heartbeat_cycle_ms: u64,
    /// MAX-TIME-LAST-HEARD: a peer silent for so long is asked for a presence (RFC: 61,000).
    #[schemars(range(min = 10, max = DAY_MS))]
    pub max_time_last_heard_ms: u64,
    /// MAX-TIME-NO-RESPONSE: one that does not answer for so long is dead; also how long a request for a list or a table waits
    /// (RFC: 5,000).
    #[schemars(range(min = 10, max = DAY_MS))]
    pub max_time_no_response_ms: u64,
    /// How long a takeover waits for ENRP_INIT_TAKEOVER_ACK (RFC: no value). Peers that are silent meanwhile are passed over.
    #[schemars(range(min = 10, max = DAY_MS))]
    pub takeover_ack_ms: u64,
    /// How long a server with configured peers, by address or name, or that announces itself looks for a mentor before it counts as
    /// alone and takes clients (RFC: no value).
    #[schemars(range(max = DAY_MS))]
    pub mentor_discovery_ms: u64,
    /// Pause before a mentor that refused is asked again, or another one (RFC 5353 section 3.2.2.2: a few seconds).
    #[schemars(range(max = DAY_MS))]
    pub mentor_retry_ms: u64,
    /// Least time between two downloads of what one peer owns, whatever its checksums say (RFC: no value).
    #[schemars(range(min = 1, max = DAY_MS))]
    pub audit_interval_ms: u64,
    /// Time between two attempts to connect to a peer.
    #[schemars(range(min = 10, max = DAY_MS))]
    pub reconnect_ms: u64,
    /// How long a server that was not configured is still looked for after it died.
    #[schemars(range(max = DAY_MS))]
    pub peer_forget_ms: u64,
    /// PEs of a server that was taken over that are told in a second (ASAP_ENDPOINT_KEEP_ALIVE with H; RFC: no value).
    #[schemars(range(min = 1))]
    pub rehome_per_s: u32,
    /// Most peers, and most addresses of them.
    #[schemars(range(min = 1))]
    pub peers_max: usize,
    /// Most downloads served at a time; more are refused (R bit).
    #[schemars(range(min = 1))]
    pub downloads_max: usize,
    /// ENRP_HANDLE_UPDATE taken from one peer in a second. What is more is not taken, and its table is downloaded instead.
    #[schemars(range(min = 1))]
    pub updates_per_s: u32,
    /// Requests of one peer for a table (each part is one) or the peer list that are served in a second; more are refused (R bit).
    #[schemars(range(min = 1))]
    pub requests_per_s: u32,
    /// PEs in one download at most; what says that it has more is given up.
    #[schemars(range(min = 1))]
    pub download_pes_max: usize,
    /// PEs in one ENRP_HANDLE_TABLE_RESPONSE at most.
    #[schemars(range(min = 1, max = 1_000))]
    pub table_part_pes: usize,
    /// Bytes in one ENRP_HANDLE_TABLE_RESPONSE, unless a single PE takes more.
    #[schemars(range(min = 1_000, max = 65_535))]
    pub table_part_bytes: usize,
    /// Send ENRP_PRESENCE to the ENRP multicast group too, once a second, to be found (not in the RFC; rsplib does).
    pub announce: bool,
    /// Which peers are treated as rsplib's registrar, which differs from the RFC in places.
    pub rsplib: RsplibPeers,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            peer_heartbeat_cycle_ms: 100,
            max_time_last_heard_ms: 250,
            max_time_no_response_ms: 150,
            takeover_ack_ms: 150,
            mentor_discovery_ms: 1_000,
            mentor_retry_ms: 200,
            audit_interval_ms: 1_000,
            reconnect_ms: 300,
            peer_forget_ms: 600_000,
            rehome_per_s: 2_000,
            peers_max: 64,
            downloads_max: 8,
            updates_per_s: 50_000,
            requests_per_s: 2_000,
            download_pes_max: 1_000_000,
            table_part_pes: 400,
            table_part_bytes: 48_000,
            announce: false,
            rsplib: RsplibPeers::Recognised,
        }
    }
}

impl PeersConfig {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The key, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, least) in [
            ("peer_heartbeat_cycle_ms", self.peer_heartbeat_cycle_ms, 10),
            ("max_time_last_heard_ms", self.max_time_last_heard_ms, 10),
            ("max_time_no_response_ms", self.max_time_no_response_ms, 10),
            ("takeover_ack_ms", self.takeover_ack_ms, 10),
            ("audit_interval_ms", self.audit_interval_ms, 1),
            ("reconnect_ms", self.reconnect_ms, 10),
            ("rehome_per_s", u64::from(self.rehome_per_s), 1),
            ("peers_max", self.peers_max as u64, 1),
            ("downloads_max", self.downloads_max as u64, 1),
            ("updates_per_s", u64::from(self.updates_per_s), 1),
            ("requests_per_s", u64::from(self.requests_per_s), 1),
            ("download_pes_max", self.download_pes_max as u64, 1),
        ] {
            ConfigError::unless(value >= least, key, format!("{value}: expected {least} or more"))?;
        }
        for (key, value) in [
            ("peer_heartbeat_cycle_ms", self.peer_heartbeat_cycle_ms),
            ("max_time_last_heard_ms", self.max_time_last_heard_ms),
            ("max_time_no_response_ms", self.max_time_no_response_ms),
            ("takeover_ack_ms", self.takeover_ack_ms),
            ("mentor_discovery_ms", self.mentor_discovery_ms),
            ("mentor_retry_ms", self.mentor_retry_ms),
            ("audit_interval_ms", self.audit_interval_ms),
            ("reconnect_ms", self.reconnect_ms),
            ("peer_forget_ms", self.peer_forget_ms),
        ] {
            within_a_day(key, value)?;
        }
        for (key, value, range) in [
            ("table_part_pes", self.table_part_pes, 1..=1_000),
            ("table_part_bytes", self.table_part_bytes, 1_000..=65_535),
        ] {
            ConfigError::unless(range.contains(&value), key, format!("{value}: expected {range:?}"))?;
        }
        let beats = self.max_time_last_heard_ms >= 2 * self.peer_heartbeat_cycle_ms;
        let key = "max_time_last_heard_ms";
        ConfigError::unless(
            beats,
            key,
            "expected at least twice peer_heartbeat_cycle_ms, or every late presence counts",
        )?;
        for server in &self.servers {
            let one = server.addresses.is_empty() != server.name.is_empty();
            ConfigError::unless(one, "servers", "each has either addresses or a name")?;
            ConfigError::unless(server.port != 0, "servers.port", "0: expected 1 to 65,535")?;
        }
        Ok(())
    }
}
