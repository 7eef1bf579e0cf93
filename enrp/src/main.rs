//! The name server as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    enrp::server_daemon::main()
}
