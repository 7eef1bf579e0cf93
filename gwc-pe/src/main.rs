//! The gateway controller as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    gwc_pe::daemon::main()
}
