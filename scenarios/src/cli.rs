//! The command line of `sigpool`.

use std::process::ExitCode;

/// Runs the command and gives the exit code: 0 pass, 1 an assertion failed, 2 wrong usage or configuration, 3 the environment,
/// 130 interrupted.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
