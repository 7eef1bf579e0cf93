//! The echo's other end, as a process.

use enrp::daemon::{self, DaemonConfig};
use scenarios::resolve::echo::EchoServer;
use sctp::driver::DriverConfig;
use sctp::{Config, Transport};
use std::net::IpAddr;
use std::process::ExitCode;

/// As long as an answer with 16 elements.
pub(crate) const ANSWER_BYTES: usize = 720;

/// `echo ADDRESS PARENT`.
pub(crate) fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(2);
    let address = arguments.next().and_then(|text| text.parse::<IpAddr>().ok());
    let parent = arguments.next().and_then(|text| text.parse().ok());
    let (Some(address), Some(parent_pid)) = (address, parent) else { return ExitCode::from(2) };
    let daemon = DaemonConfig { parent_pid, ..DaemonConfig::default() };
    let udp = DriverConfig { addresses: vec![address], ..DriverConfig::default() };
    let result = daemon::run_daemon("echo", &daemon, Transport::Udp, &udp, |start| {
        let mut stack =
            sctp::associations(start.backend, Config::default(), vec![address], udp.port, start.seed, start.now);
        stack.listen(super::processes::SCTP_PORT);
        Ok(EchoServer::new(stack, ANSWER_BYTES))
    });
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
