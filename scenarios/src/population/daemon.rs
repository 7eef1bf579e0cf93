//! The program `sigpool population`.

use super::config::{COMMENTED_DEFAULT, Config};
use super::node::Node;
use super::record::Record;
use enrp::daemon::{self, Program, RecordSink};
use std::net::SocketAddr;
use std::process::ExitCode;

/// The sub-command.
pub const PROGRAM_NAME: &str = "population";

/// What it is, for the command line.
pub const PROGRAM: Program = Program {
    name: PROGRAM_NAME,
    about: "Many pool elements in one process, each with an SCTP association of its own to the name server",
    default_text: COMMENTED_DEFAULT,
};

/// Runs a population with the process's command line (`--config FILE`, `--print-config`) until SIGTERM or SIGINT.
/// Exit status: 0 clean stop, 2 wrong configuration or usage, 3 environment.
#[must_use]
pub fn main() -> ExitCode {
    daemon::main(&PROGRAM, |config: Config| {
        config.check()?;
        daemon::run_daemon(PROGRAM.name, &config.daemon, config.transport, &config.udp, |start| {
            let local = start.local.iter().map(SocketAddr::ip).collect();
            let name = &config.population.name;
            let sink = RecordSink::in_directory(&config.population.records, &format!("{name}.csv"))?;
            let record = Record::new(start.clock, sink, name);
            Ok(Node::new(config.clone(), start.seed, start.now, local, start.backend).with_record(record))
        })
        .map(drop)
    })
}
