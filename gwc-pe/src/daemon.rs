//! The program `gwc-pe`. `sigpool gwc-pe --config FILE` is the same thing.

use crate::config::{COMMENTED_DEFAULT, Config};
use crate::node::{Identity, Node};
use crate::record::Record;
use enrp::daemon::{self, DaemonError, Program, RecordSink, Start};
use std::net::SocketAddr;
use std::process::ExitCode;

/// What it is, for the command line.
pub const PROGRAM: Program = Program {
    name: "gwc-pe",
    about: "Gateway controller: pool element, M3UA ASP, ISUP call control",
    default_text: COMMENTED_DEFAULT,
};

/// Runs the controller with the process's command line (`--config FILE`, `--print-config`) until SIGTERM or SIGINT.
/// Exit status: 0 clean stop, 2 wrong configuration or usage, 3 environment.
#[must_use]
pub fn main() -> ExitCode {
    daemon::main(&PROGRAM, |config: Config| {
        config.check()?;
        daemon::run_daemon(PROGRAM.name, &config.daemon, &config.udp, |start| node(&config, start)).map(drop)
    })
}

fn node(config: &Config, start: &Start) -> Result<Node, DaemonError> {
    let Identity { pe, incarnation } = Identity::new(config, &start.seed);
    let sink = RecordSink::in_directory(&config.node.records, &Record::file_name(pe, incarnation))?;
    let local = start.local.iter().map(SocketAddr::ip).collect();
    Ok(Node::new(config.clone(), start.seed, start.clock, start.now, local, sink))
}
