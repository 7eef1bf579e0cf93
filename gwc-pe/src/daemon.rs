//! The program `gwc-pe`. `sigpool gwc-pe --config FILE` is the same thing.

use crate::config::{COMMENTED_DEFAULT, Config};
use crate::isup::RecordedCalls;
use crate::node::{Identity, Node, NodeCommand};
use crate::record::Record;
use enrp::daemon::{self, DaemonError, Part, Program, RecordSink, Start};
use std::net::SocketAddr;
use std::path::Path;
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
        let mut beside = Vec::new();
        let groups = std::iter::once(&config.multicast).chain(config.scope.iter().map(|scope| &scope.multicast));
        for (scope, group) in groups.enumerate() {
            let announced = move |source, bytes| NodeCommand::Announced { scope, source, bytes };
            beside.extend(group.listen(&config.udp.addresses, announced)?);
        }
        let make = Box::new(|start: &Start| node(&config, start));
        let part = Part { name: PROGRAM.name, transport: config.transport, udp: &config.udp, make, beside };
        daemon::run_parts(PROGRAM.name, &config.daemon, vec![part]).map(drop)
    })
}

fn node(config: &Config, start: &Start) -> Result<Node, DaemonError> {
    let Identity { pe, incarnation } = Identity::new(config, &start.seed);
    let sink = RecordSink::in_directory(&config.node.records, &Record::file_name(pe, incarnation))?;
    let local = start.local.iter().map(SocketAddr::ip).collect();
    let recorded = recorded_calls(&config.call.recorded_calls)?;
    let Start { now, clock, seed, backend, .. } = *start;
    Ok(Node::new(config.clone(), seed, clock, now, local, backend, sink).with_recorded_calls(recorded))
}

fn recorded_calls(path: &Path) -> Result<RecordedCalls, DaemonError> {
    if path.as_os_str().is_empty() {
        return Ok(RecordedCalls::default());
    }
    let wrong = |error: &dyn std::fmt::Display| {
        DaemonError::Config(format!("call.recorded_calls: {}: {error}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    RecordedCalls::parse(&text).map_err(|error| wrong(&error))
}
