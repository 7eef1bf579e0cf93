//! The program `enrp`: a stand-alone name server. `sigpool enrp --config FILE` is the same thing.

use crate::ConfigError;
use crate::daemon::{self, DaemonConfig, DaemonError, Program, Start};
use crate::host::{Host, Ports};
use crate::node::Node;
use crate::plugin::PluginsConfig;
use crate::server::{Server, ServerConfig};
use asap::wire::{ASAP_PORT, ServerId};
use schemars::JsonSchema;
use sctp::Transport;
use sctp::driver::DriverConfig;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::process::ExitCode;

/// The commented default configuration (`--print-config`).
pub const COMMENTED_DEFAULT: &str = include_str!("default.toml");

/// What it is, for the command line.
pub const PROGRAM: Program =
    Program { name: "enrp", about: "RSerPool name server (ENRP server)", default_text: COMMENTED_DEFAULT };

/// All settings of one name server.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who carries the SCTP packets: `udp` (RFC 6951; any user), `raw` (IP protocol 132), `kernel` (the kernel's SCTP), `auto` (the best
    /// there is).
    pub transport: Transport,
    /// Admin HTTP, how to stop.
    pub daemon: DaemonConfig,
    /// Own addresses, UDP encapsulation port (RFC 6951), capture.
    pub udp: DriverConfig,
    /// This server.
    pub node: NodeConfig,
    /// SCTP (RFC 9260).
    pub sctp: sctp::Config,
    /// Handlespace and supervision.
    pub server: ServerConfig,
    /// Selection plug-ins.
    pub plugins: PluginsConfig,
}

/// This server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Name in logs and in the admin state.
    pub name: String,
    /// SCTP port for PEs and PUs (RFC 5352 section 8.2: 3863).
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Server Identifier, not 0 (RFC 5353 section 3.2.1). Absent: chosen at random at each start.
    #[schemars(range(min = 1), example = 1)]
    pub server_id: Option<u32>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { name: "enrp".into(), port: ASAP_PORT, server_id: None }
    }
}

/// Runs the program with the process's command line.
#[must_use]
pub fn main() -> ExitCode {
    daemon::main(&PROGRAM, |config: Config| {
        check(&config)?;
        daemon::run_daemon(PROGRAM.name, &config.daemon, config.transport, &config.udp, |start: &Start| {
            node(&config, start)
        })
        .map(drop)
    })
}

/// What TOML's types cannot say.
///
/// # Errors
/// The first key whose value cannot work.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let Config { node, udp, server, plugins, .. } = config;
    ConfigError::unless(node.server_id != Some(0), "node.server_id", "not 0; leave it out for a random one")?;
    ConfigError::unless(node.port != 0, "node.port", "the SCTP port to listen on (3863), not 0")?;
    ConfigError::check_addresses(udp)?;
    server.check().map_err(|error| error.within("server"))?;
    plugins.check().map_err(|error| error.within("plugins"))
}

fn node(config: &Config, start: &Start) -> Result<Node, DaemonError> {
    let (id, seed) = identity(config.node.server_id, &start.seed);
    let local = start.local.iter().map(SocketAddr::ip).collect();
    let Start { now, seed: random, backend, .. } = *start;
    let stack =
        sctp::associations(backend, config.udp.with_advertised(&config.sctp), local, config.udp.port, random, now);
    tracing::info!(name = %config.node.name, server = %id, port = config.node.port, "name server ready");
    let mut server = Server::new(config.server.clone(), id, seed);
    let files = daemon::read_plugins(&config.plugins)?;
    server.set_plugins(&config.plugins, &files).map_err(|error| error.within("plugins"))?;
    let ports = Ports { asap: config.node.port, enrp: None };
    Ok(Node::new(&config.node.name, stack, Host::new(server, ports, config.udp.port)))
}

/// Server identifier and the machine's seed, from 32 random bytes.
fn identity(configured: Option<u32>, random: &[u8; 32]) -> (ServerId, u64) {
    let word = |at: usize| random[at..at + 8].iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
    let drawn = (word(16) >> 32) as u32;
    (ServerId(configured.unwrap_or(drawn.max(1))), word(24))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_default_is_the_default() {
        daemon::assert_default_text::<Config>(COMMENTED_DEFAULT);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            check(&config).unwrap_err().key
        };
        assert!(check(&Config::default()).is_ok());
        assert_eq!(wrong(|c| c.node.server_id = Some(0)), "node.server_id");
        assert_eq!(wrong(|c| c.udp.addresses.clear()), "udp.addresses");
        assert_eq!(wrong(|c| c.udp.addresses = vec![[0, 0, 0, 0].into()]), "udp.addresses");
        assert_eq!(wrong(|c| c.node.port = 0), "node.port");
        assert_eq!(wrong(|c| c.server.pools_max = 50_001), "server.pools_max");
        assert_eq!(wrong(|c| c.server.pes_per_pool_max = 10_001), "server.pes_per_pool_max");
        assert_eq!(wrong(|c| c.server.keep_alive_timeout_ms = 0), "server.keep_alive_timeout_ms");
        assert_eq!(wrong(|c| c.server.handle_bytes_max = 0), "server.handle_bytes_max");
        assert_eq!(wrong(|c| c.plugins.fuel_per_s_max = 0), "plugins.fuel_per_s_max");
    }

    #[test]
    fn the_identifier_is_never_zero() {
        assert_eq!(identity(None, &[0; 32]).0, ServerId(1));
        assert_eq!(identity(Some(7), &[9; 32]).0, ServerId(7));
        assert_eq!(identity(None, &[9; 32]), (ServerId(0x0909_0909), 0x0909_0909_0909_0909));
    }
}
