//! The signaling gateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    sg::daemon::main()
}
