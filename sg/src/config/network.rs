//! `[network]`.

use super::{LinkSet, NetworkTcp, POINT_CODE_MAX};
use enrp::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The network side.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// SCTP port the peers connect to (M3UA: 2905).
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Routing Context of the network side.
    pub routing_context: u32,
    /// Network Appearance of the network side: put into DATA toward peers, and that of DATA which comes without one. Application servers
    /// with another (`network_appearance` of the `[[as]]`) have theirs instead. Absent: none, and DATA with one is refused.
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
    /// The network has congestion levels (as ANSI MTP): SCON names the level, and level 0 when the congestion is over. False (as ITU
    /// MTP): SCON without a level, repeated while it lasts.
    pub congestion_levels: bool,
    /// Between BEATs toward an active peer or STP (RFC 4666 section 4.3.4.6, T(beat)), ms; 0: none.
    pub beat_ms: u64,
    /// Silence after which one that has answered a BEAT before is dead, and its traffic goes elsewhere, ms; never under four round
    /// trips.
    #[schemars(range(min = 1))]
    pub dead_ms: u64,
    /// Time that a peer has for ASPUP, ms.
    #[schemars(range(min = 1))]
    pub asp_up_ms: u64,
    /// BEATs of a peer that are answered in a second; more are counted.
    #[schemars(range(min = 1))]
    pub beats_per_s: u32,
    /// Destinations of a peer's DAUDs that are answered in a second; more are counted.
    #[schemars(range(min = 1))]
    pub audits_per_s: u32,
    /// M3UA over TCP.
    pub tcp: NetworkTcp,
    /// Associations toward STPs that this gateway opens as an ASP.
    #[serde(rename = "linkset")]
    pub linksets: Vec<LinkSet>,
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
            congestion_levels: true,
            beat_ms: 100,
            dead_ms: 400,
            asp_up_ms: 10_000,
            beats_per_s: 100,
            audits_per_s: 100,
            tcp: NetworkTcp::default(),
            linksets: Vec::new(),
        }
    }
}

impl Network {
    /// The Network Appearances that peers may use, of the application servers `networks`.
    pub(crate) fn appearances(&self, networks: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
        let ours = self.network_appearance;
        ours.into_iter().chain(networks.filter(move |_| ours.is_some()))
    }

    /// The Network Appearance of what is told peers of an application server that has this one, if any.
    pub(crate) fn appearance(&self, network: Option<u32>) -> Option<u32> {
        self.network_appearance.map(|ours| network.unwrap_or(ours))
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.port != 0, "network.port", "a port, normally 2905 (M3UA)")?;
        let narrow = self.point_codes.iter().all(|pc| *pc <= POINT_CODE_MAX);
        ConfigError::unless(narrow, "network.point_codes", "point codes of 24 bits at most")?;
        ConfigError::unless((1..=64).contains(&self.peers_max), "network.peers_max", "1 to 64")?;
        ConfigError::unless(self.t_r_ms > 0, "network.t_r_ms", "more than 0")?;
        ConfigError::unless(self.queue_messages_max > 0, "network.queue_messages_max", "more than 0")?;
        ConfigError::unless(self.queue_bytes_max > 0, "network.queue_bytes_max", "more than 0")?;
        ConfigError::unless(self.dead_ms > 0, "network.dead_ms", "more than 0")?;
        ConfigError::unless(self.asp_up_ms > 0, "network.asp_up_ms", "more than 0")?;
        ConfigError::unless(self.beats_per_s > 0, "network.beats_per_s", "more than 0")?;
        ConfigError::unless(self.audits_per_s > 0, "network.audits_per_s", "more than 0")?;
        self.tcp.check()?;
        ConfigError::unless(self.linksets.len() <= 16, "network.linkset", "16 linksets at most")?;
        for (i, set) in self.linksets.iter().enumerate() {
            let key = format!("network.linkset[{i}]");
            set.check(&key)?;
            let twice = self.linksets[..i].iter().any(|other| other.name == set.name);
            ConfigError::unless(!twice, &format!("{key}.name"), "another linkset has this name; each needs its own")?;
        }
        Ok(())
    }
}
