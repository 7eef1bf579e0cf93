//! The command line that all daemons share, and `main`.

use super::DaemonError;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::process::ExitCode;

/// `--config FILE`, `--print-config`, `--log LEVEL`.
#[derive(Debug, Clone, clap::Args)]
pub struct CommonArgs {
    /// Configuration file (TOML). Without it the defaults hold.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the commented default configuration and end.
    #[arg(long)]
    pub print_config: bool,
    /// What to log to standard error: error, warn, info, debug, trace, or a filter such as `sctp=debug,info`.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: String,
}

/// What a daemon says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Name of the binary, and the sub-command of `sigpool`.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// The commented default configuration.
    pub default_text: &'static str,
}

/// The `main` of a daemon: takes the process's command line (also as `sigpool NAME ...`), handles `--print-config`,
/// starts logging, loads the configuration, runs, reports an error on standard error.
///
/// Exit status: 0, 2 (configuration, usage), 3 (environment), 1 (a fault of ours).
pub fn main<C: DeserializeOwned + Default>(
    _program: &Program,
    _run: impl FnOnce(C) -> Result<(), DaemonError>,
) -> ExitCode {
    todo!()
}
