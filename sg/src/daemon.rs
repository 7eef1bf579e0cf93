//! The program `sg`. `sigpool sg --config FILE` is the same thing.

use crate::config::{COMMENTED_DEFAULT, Config};
use crate::node::{Birth, Node};
use crate::record::Sink;
use enrp::daemon::{self, DaemonError, Program, RecordFile, Start};
use std::process::ExitCode;

const PROGRAM: Program =
    Program { name: "sg", about: "Signaling gateway with embedded name server", default_text: COMMENTED_DEFAULT };

/// Runs the program with the process's command line (`--config FILE`, `--print-config`) until SIGTERM or SIGINT.
/// Exit status: 0 clean stop, 2 wrong configuration or usage, 3 environment.
#[must_use]
pub fn main() -> ExitCode {
    daemon::main(&PROGRAM, |config: Config| {
        config.validate().map_err(|error| DaemonError::Config(error.to_string()))?;
        daemon::run_daemon(PROGRAM.name, &config.daemon, &config.udp, |start: &Start| node(&config, start)).map(drop)
    })
}

fn node(config: &Config, start: &Start) -> Result<Node, DaemonError> {
    let directory = &config.node.records;
    let name = format!("sg-{}.csv", config.node.gateway);
    let wanted = !directory.as_os_str().is_empty();
    let record = if wanted { Sink::File(RecordFile::create(&directory.join(name))?) } else { Sink::Off };
    tracing::info!(name = %config.node.name, pools = config.application_servers.len(), "signaling gateway ready");
    Ok(Node::new(config.clone(), Birth { now: start.now, clock: start.clock, seed: start.seed, record }))
}
