//! The command `sigpool`.

use std::process::ExitCode;

fn main() -> ExitCode {
    scenarios::cli::main()
}
