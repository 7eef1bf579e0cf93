//! The program `gwc-pe`.

use std::process::ExitCode;

/// Runs the controller with the process's command line (`--config FILE`, `--print-config`) until SIGTERM or SIGINT.
/// Exit status: 0 clean stop, 2 wrong configuration or usage, 3 environment.
#[must_use]
pub fn main() -> ExitCode {
    todo!()
}
