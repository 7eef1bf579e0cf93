//! The program.

use std::process::ExitCode;

/// Entry point of the program `sg`, and of `sigpool sg` (which passes its arguments on).
#[must_use]
pub fn main() -> ExitCode {
    todo!()
}
