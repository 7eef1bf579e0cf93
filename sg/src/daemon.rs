//! The program `sg`. `sigpool sg --config FILE` is the same thing.

use crate::config::{COMMENTED_DEFAULT, Config};
use crate::node::{Birth, Node};
use enrp::daemon::{self, Beside, DaemonError, OutsideSockets, Part, PeerNames, Program, RecordSink, Start};
use enrp::node::NodeCommand;
use std::process::ExitCode;
use std::time::Duration;

/// What it is, for the command line.
pub const PROGRAM: Program =
    Program { name: "sg", about: "Signaling gateway with embedded name server", default_text: COMMENTED_DEFAULT };

/// Runs the program with the process's command line (`--config FILE`, `--print-config`) until SIGTERM or SIGINT.
/// Exit status: 0 clean stop, 2 wrong configuration or usage, 3 environment.
#[must_use]
pub fn main() -> ExitCode {
    daemon::main(&PROGRAM, |config: Config| {
        config.check()?;
        let names = PeerNames::new(&config.enrp.peers.servers);
        let names = names.follow(Duration::from_millis(config.enrp.peer_names_ms), NodeCommand::Peers);
        let framing = crate::tcp::framing(config.network.tcp.message_bytes_max);
        let outside = OutsideSockets::tcp(&config.network.tcp.shell(), framing, &config.udp.addresses)?;
        let outside: Beside<NodeCommand> = Box::new(|commands| Box::pin(outside.serve(commands)));
        let part = Part {
            name: PROGRAM.name,
            transport: config.transport,
            udp: &config.udp,
            make: Box::new(|start: &Start| node(&config, start)),
            beside: std::iter::once(outside).chain(names).collect(),
        };
        daemon::run_parts(PROGRAM.name, &config.daemon, vec![part]).map(drop)
    })
}

fn node(config: &Config, start: &Start) -> Result<Node, DaemonError> {
    let record = RecordSink::in_directory(&config.node.records, &format!("sg-{}.csv", config.node.gateway))?;
    tracing::info!(name = %config.node.name, pools = config.application_servers.len(), "signaling gateway ready");
    let Start { now, clock, seed, backend, .. } = *start;
    let files = daemon::read_plugins(&config.enrp.plugins)?;
    let mut node = Node::new(config.clone(), Birth { now, clock, seed, backend, record });
    node.set_plugins(&files).map_err(|error| error.within("enrp.plugins"))?;
    Ok(node)
}
