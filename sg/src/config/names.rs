//! Where the pools' elements are known: the name server inside or outside, and further operation scopes.

use super::{As, Config};
use asap::{PoolName, PoolNameError, ServerAddress};
use enrp::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most operation scopes besides the gateway's own.
const SCOPES_MAX: usize = 16;

/// The name server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Enrp {
    /// Run the ENRP server in this process (listening on SCTP port 3863).
    pub embedded: bool,
    /// Server Identifier of the embedded server, not 0 (RFC 5353 section 3.2.1). Absent: chosen at random.
    #[schemars(range(min = 1), example = 1)]
    pub server_id: Option<u32>,
    /// SCTP port of the embedded server for peers (RFC 5353 section 5.3: 9901). 0: it is alone, and speaks no ENRP.
    pub enrp_port: u16,
    /// Outside servers, in order of preference, when `embedded = false`.
    #[schemars(example = [ServerAddress::new(IpAddr::from([127, 0, 0, 9]))])]
    pub servers: Vec<ServerAddress>,
    /// DNS is asked again for the peers that have a name, after this long.
    #[schemars(range(min = 100))]
    pub peer_names_ms: u64,
    /// Other servers of the same scope, for the embedded one (ENRP).
    pub peers: enrp::PeersConfig,
    /// Settings of the embedded server.
    pub server: enrp::ServerConfig,
    /// Its selection plug-ins.
    pub plugins: enrp::PluginsConfig,
}

/// A further operation scope: name servers outside, which know pools of their own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// What stands behind the `@` of `as.pool`; each has its own.
    #[schemars(length(min = 1), example = &"carrier-b")]
    pub name: String,
    /// Its name servers, in order of preference; at least one.
    #[schemars(length(min = 1), example = [ServerAddress::new(IpAddr::from([127, 0, 0, 10]))])]
    pub servers: Vec<ServerAddress>,
}

impl Default for Enrp {
    fn default() -> Self {
        Self {
            embedded: true,
            server_id: None,
            enrp_port: 0,
            peer_names_ms: 30_000,
            peers: enrp::PeersConfig::default(),
            servers: Vec::new(),
            server: enrp::ServerConfig::default(),
            plugins: enrp::PluginsConfig::default(),
        }
    }
}

impl Config {
    pub(super) fn check_pool(&self, index: usize, entry: &As) -> Result<(), ConfigError> {
        let key = format!("as[{index}].pool");
        let name: PoolName =
            entry.pool.parse().map_err(|e: PoolNameError| ConfigError { key: key.clone(), problem: e.to_string() })?;
        let known = name.scope.as_ref().is_none_or(|scope| self.scope.iter().any(|known| known.name == *scope));
        ConfigError::unless(known, &key, format!("there is no [[scope]] with the name behind @ in {}", entry.pool))
    }

    pub(super) fn check_scopes(&self) -> Result<(), ConfigError> {
        for (i, scope) in self.scope.iter().enumerate() {
            let key = |name: &str| format!("scope[{i}].{name}");
            let name = !scope.name.is_empty() && !scope.name.contains('@');
            ConfigError::unless(name, &key("name"), "a name without @, not empty")?;
            let twice = self.scope[..i].iter().any(|other| other.name == scope.name);
            ConfigError::unless(!twice, &key("name"), "another [[scope]] has this name")?;
            let servers = "at least one name server: { addresses = [\"127.0.0.10\"] }";
            ConfigError::unless(!scope.servers.is_empty(), &key("servers"), servers)?;
        }
        ConfigError::unless(self.scope.len() <= SCOPES_MAX, "scope", "16 at most")
    }
}

impl Enrp {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(
            self.server_id != Some(0),
            "enrp.server_id",
            "not 0 (RFC 5353 section 2.1); leave it out for a random one",
        )?;
        let key = "enrp.enrp_port";
        ConfigError::unless(self.enrp_port != asap::wire::ASAP_PORT, key, "another one than that of ASAP, 3863")?;
        ConfigError::unless(self.peer_names_ms >= 100, "enrp.peer_names_ms", "100 or more")?;
        let alone = self.peers.servers.is_empty() || self.embedded && self.enrp_port != 0;
        let problem = "none, because enrp.enrp_port = 0 or embedded = false: no server here has peers";
        ConfigError::unless(alone, "enrp.peers.servers", problem)?;
        self.peers.check().map_err(|error| error.within("enrp.peers"))?;
        let outside = self.embedded || !self.servers.is_empty();
        ConfigError::unless(outside, "enrp.servers", "at least one { addresses = [...] } when embedded = false")?;
        self.server.check().map_err(|error| error.within("enrp.server"))?;
        let alone = self.embedded || self.plugins.pools.is_empty();
        ConfigError::unless(alone, "enrp.plugins.pools", "none when embedded = false: the outside server has them")?;
        self.plugins.check().map_err(|error| error.within("enrp.plugins"))
    }
}
