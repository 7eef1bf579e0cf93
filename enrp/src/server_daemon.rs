//! The program `enrp`: a stand-alone name server. `sigpool enrp --config FILE` is the same thing.

use crate::ConfigError;
use crate::daemon::query;
use crate::daemon::{
    self, Beside, DaemonConfig, DaemonError, MulticastConfig, OutsideSockets, Part, PeerNames, Program, RecordSink,
    Start, TcpConfig,
};
use crate::host::{ENRP_PORT, Host, Ports, enrp_transport};
use crate::node::{Node, NodeCommand};
use crate::peers::PeersConfig;
use crate::plugin::PluginsConfig;
use crate::record::Record;
use crate::server::{Server, ServerConfig};
use asap::wire::{ASAP_PORT, ServerId};
use schemars::JsonSchema;
use sctp::Transport;
use sctp::driver::DriverConfig;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

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
    /// Pool users over TCP.
    pub tcp: TcpConfig,
    /// Announcements and discovery by multicast.
    pub multicast: MulticastConfig,
    /// Other servers of the same scope (ENRP).
    pub peers: PeersConfig,
    /// Further operation scopes (name spaces): servers of their own in this process, with addresses of their own.
    pub scope: Vec<Scope>,
}

/// One operation scope: a name server with its own addresses, peers and limits. It knows nothing of the others.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Own addresses, UDP encapsulation port (RFC 6951), capture: not both address and port of another scope.
    pub udp: DriverConfig,
    /// The server; its name is the scope's.
    pub node: NodeConfig,
    /// SCTP (RFC 9260).
    pub sctp: sctp::Config,
    /// Handlespace and supervision.
    pub server: ServerConfig,
    /// Selection plug-ins.
    pub plugins: PluginsConfig,
    /// Pool users over TCP.
    pub tcp: TcpConfig,
    /// Announcements and discovery by multicast.
    pub multicast: MulticastConfig,
    /// Other servers of the same scope (ENRP).
    pub peers: PeersConfig,
}

/// Most scopes of one process.
const SCOPES_MAX: usize = 64;

impl Config {
    /// Every scope, that of the top of the file first.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let Self { udp, node, sctp, server, plugins, tcp, multicast, peers, scope, .. } = self.clone();
        std::iter::once(Scope { udp, node, sctp, server, plugins, tcp, multicast, peers }).chain(scope).collect()
    }
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
    /// SCTP port for peers (RFC 5353 section 5.3: 9901). 0: this server is alone, and speaks no ENRP.
    pub enrp_port: u16,
    /// DNS is asked again for the peers that have a name, after this long.
    #[schemars(range(min = 100))]
    pub peer_names_ms: u64,
    /// Server Identifier, not 0 (RFC 5353 section 3.2.1). Absent: chosen at random at each start.
    #[schemars(range(min = 1), example = 1)]
    pub server_id: Option<u32>,
    /// Directory of the record `NAME-ID.csv`: every change of the handlespace and of the peers, with its time. Empty: none.
    #[schemars(example = &"records")]
    pub records: PathBuf,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: "enrp".into(),
            port: ASAP_PORT,
            enrp_port: ENRP_PORT,
            peer_names_ms: 30_000,
            server_id: None,
            records: PathBuf::new(),
        }
    }
}

/// The command line: the daemon's, and the questions to a running one.
#[must_use]
pub fn command() -> clap::Command {
    query::with_questions(PROGRAM.command())
}

/// Runs the program with the process's command line.
#[must_use]
pub fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == PROGRAM.name) {
        // As `sigpool enrp`.
        words.remove(0);
    }
    if query::asks(&words) {
        return query::main(command(), words);
    }
    daemon::main(&PROGRAM, |config: Config| {
        check(&config)?;
        let scopes = config.scopes();
        let parts = scopes.iter().map(|scope| part(config.transport, scope)).collect::<Result<_, _>>()?;
        daemon::run_parts(PROGRAM.name, &config.daemon, parts).map(drop)
    })
}

/// What TOML's types cannot say.
///
/// # Errors
/// The first key whose value cannot work.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let scopes = config.scopes();
    let key = |index: usize, error: ConfigError| match index.checked_sub(1) {
        Some(index) => error.within(&format!("scope[{index}]")),
        None => error,
    };
    for (index, scope) in scopes.iter().enumerate() {
        check_scope(scope)
            .and_then(|()| apart(config.transport, scope, &scopes[..index]))
            .map_err(|e| key(index, e))?;
    }
    ConfigError::unless(scopes.len() <= SCOPES_MAX, "scope", "63 further scopes at most; start another process")
}

fn check_scope(scope: &Scope) -> Result<(), ConfigError> {
    let Scope { node, udp, server, plugins, tcp, multicast, peers, .. } = scope;
    let need = |holds: bool, key: &str, problem: &str| ConfigError::unless(holds, key, problem);
    need(!node.name.is_empty(), "node.name", "a name, not empty")?;
    need(node.server_id != Some(0), "node.server_id", "not 0; leave it out for a random one")?;
    need(node.port != 0, "node.port", "the SCTP port to listen on (3863), not 0")?;
    need(node.enrp_port != node.port, "node.enrp_port", "another one than node.port")?;
    need(node.peer_names_ms >= 100, "node.peer_names_ms", "100 or more")?;
    ConfigError::check_addresses(udp)?;
    server.check().map_err(|error| error.within("server"))?;
    plugins.check().map_err(|error| error.within("plugins"))?;
    tcp.check().map_err(|error| error.within("tcp"))?;
    multicast.check().map_err(|error| error.within("multicast"))?;
    let alone = node.enrp_port != 0 || peers.servers.is_empty();
    need(alone, "peers.servers", "none, because node.enrp_port = 0: this server is alone")?;
    peers.check().map_err(|error| error.within("peers"))
}

/// Two scopes must not be told apart by nothing.
fn apart(transport: Transport, scope: &Scope, others: &[Scope]) -> Result<(), ConfigError> {
    for other in others {
        let name = &other.node.name;
        ConfigError::unless(scope.node.name != *name, "node.name", format!("another scope is named {name}"))?;
        // Only UDP encapsulation has ports that keep the packets of one address apart.
        let ports_differ = transport == Transport::Udp && scope.udp.port != other.udp.port;
        let shared = scope.udp.addresses.iter().find(|&address| other.udp.addresses.contains(address));
        if let Some(address) = shared.filter(|_| !ports_differ) {
            let problem = format!("{address} with this port is the scope {name}'s; each scope has its own");
            return ConfigError::unless(false, "udp.addresses", problem);
        }
    }
    Ok(())
}

fn part(transport: Transport, scope: &Scope) -> Result<Part<'_, Node>, DaemonError> {
    let make = Box::new(|start: &Start| node(scope, start));
    let outside = OutsideSockets::bind(&scope.tcp, &scope.multicast, &scope.udp.addresses)?;
    let outside: Beside<NodeCommand> = Box::new(|commands| Box::pin(outside.serve(commands)));
    let names = PeerNames::new(&scope.peers.servers);
    let names = names.follow(Duration::from_millis(scope.node.peer_names_ms), NodeCommand::Peers);
    let beside = std::iter::once(outside).chain(names).collect();
    Ok(Part { name: &scope.node.name, transport, udp: &scope.udp, make, beside })
}

fn node(scope: &Scope, start: &Start) -> Result<Node, DaemonError> {
    let Scope { udp, node, sctp, server, plugins, tcp, multicast, peers } = scope;
    let (id, seed) = identity(node.server_id, &start.seed);
    let local: Vec<_> = start.local.iter().map(SocketAddr::ip).collect();
    let own = if udp.advertise.is_empty() { local.clone() } else { udp.advertise.clone() };
    let Start { now, seed: random, backend, .. } = *start;
    let stack = sctp::associations(backend, udp.with_advertised(sctp), local, udp.port, random, now);
    let mut server = Server::new(server.clone(), id, seed);
    let files = daemon::read_plugins(plugins)?;
    server.set_plugins(plugins, &files).map_err(|error| error.within("plugins"))?;
    if let Some(announce) = multicast.announce(&own, node.port, tcp.port) {
        server.announce(now, announce);
    }
    tracing::info!(name = %node.name, server = %id, port = node.port, enrp_port = node.enrp_port, "name server ready");
    let mut known = None;
    if node.enrp_port != 0 {
        server = server.with_peers_at(peers.clone(), enrp_transport(own, node.enrp_port));
        known = Some(PeerNames::new(&peers.servers).known());
    }
    let ports = Ports { asap: node.port, enrp: (node.enrp_port != 0).then_some(node.enrp_port) };
    let mut host = Host::new(server, ports, udp.port);
    if let Some(known) = known {
        host.set_peers(now, known);
    }
    let sink = RecordSink::in_directory(&node.records, &Record::file_name(&node.name, id))?;
    let record = Record::new(start.clock, sink, &node.name, id);
    Ok(Node::new(&node.name, stack, host).with_record(record))
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
        assert_eq!(wrong(|c| c.node.enrp_port = 3863), "node.enrp_port");
        assert_eq!(wrong(|c| c.node.name.clear()), "node.name");
        assert_eq!(wrong(|c| c.peers.peers_max = 0), "peers.peers_max");
        let peer = |c: &mut Config| {
            c.node.enrp_port = 0;
            c.peers.servers = vec![crate::PeerAddressConfig { name: "b".into(), ..Default::default() }];
        };
        assert_eq!(wrong(peer), "peers.servers");
        assert_eq!(wrong(|c| c.server.pools_max = 50_001), "server.pools_max");
        assert_eq!(wrong(|c| c.server.pes_per_pool_max = 10_001), "server.pes_per_pool_max");
        assert_eq!(wrong(|c| c.server.keep_alive_timeout_ms = 0), "server.keep_alive_timeout_ms");
        assert_eq!(wrong(|c| c.server.handle_bytes_max = 0), "server.handle_bytes_max");
        assert_eq!(wrong(|c| c.plugins.fuel_per_s_max = 0), "plugins.fuel_per_s_max");
        assert_eq!(wrong(|c| c.tcp.send_queue_bytes_max = 65_535), "tcp.send_queue_bytes_max");
        assert_eq!(wrong(|c| c.tcp.connections_max = 0), "tcp.connections_max");
        assert_eq!(wrong(|c| c.multicast.asap_group = "10.0.0.1:3863".parse().ok()), "multicast.asap_group");
        assert_eq!(wrong(|c| c.multicast.t6_server_announce_ms = 0), "multicast.t6_server_announce_ms");
    }

    #[test]
    fn scopes_have_names_and_addresses_of_their_own() {
        let scope = |name: &str, address: [u8; 4], port| Scope {
            node: NodeConfig { name: name.into(), ..NodeConfig::default() },
            udp: DriverConfig { addresses: vec![address.into()], port, ..DriverConfig::default() },
            ..Scope::default()
        };
        let problem = |transport, scopes: &[Scope]| {
            let config = Config { transport, scope: scopes.to_vec(), ..Config::default() };
            check(&config).err().map(|error| error.key)
        };
        let other_port = scope("b", [127, 0, 0, 1], 9900);
        assert_eq!(
            problem(Transport::Udp, &[scope("b", [127, 0, 0, 2], 9899), other_port.clone()]).as_deref(),
            Some("scope[1].node.name")
        );
        assert_eq!(problem(Transport::Udp, std::slice::from_ref(&other_port)), None);
        assert_eq!(problem(Transport::Kernel, &[other_port]).as_deref(), Some("scope[0].udp.addresses"));
        assert_eq!(
            problem(Transport::Udp, &[scope("b", [127, 0, 0, 1], 9899)]).as_deref(),
            Some("scope[0].udp.addresses")
        );
        assert_eq!(problem(Transport::Udp, &[scope("b", [127, 0, 0, 2], 9899)]), None);
        let mut wrong = scope("b", [127, 0, 0, 2], 9899);
        wrong.server.pools_max = 0;
        assert_eq!(problem(Transport::Udp, &[wrong]).as_deref(), Some("scope[0].server.pools_max"));
    }

    #[test]
    fn the_identifier_is_never_zero() {
        assert_eq!(identity(None, &[0; 32]).0, ServerId(1));
        assert_eq!(identity(Some(7), &[9; 32]).0, ServerId(7));
        assert_eq!(identity(None, &[9; 32]), (ServerId(0x0909_0909), 0x0909_0909_0909_0909));
    }
}
