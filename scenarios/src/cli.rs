//! The command line of `sigpool`.

use crate::replay::ReplayOptions;
use crate::runner::{self, RunError, RunOptions};
use crate::scenario::{self, ASSERTIONS, BUILT_IN, Bound, Scenario};
use crate::{checker, replay};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// A daemon's main function.
type Daemon = fn() -> ExitCode;
/// The daemons that this program can be: the first argument, and their main function.
const DAEMONS: [(&str, Daemon); 3] =
    [("sg", sg::daemon::main), ("gwc-pe", gwc_pe::daemon::main), ("enrp", enrp::server_daemon::main)];

/// Runs a signaling gateway and a pool of gateway controllers, does things to them, and says whether anything was lost.
///
/// Exit status: 0 pass, 1 an assertion failed, 2 wrong usage or configuration, 3 the environment, 130 interrupted.
///
/// `sigpool sg`, `sigpool gwc-pe` and `sigpool enrp` are the daemons themselves (see `sigpool sg --help`).
#[derive(Debug, Parser)]
#[command(name = "sigpool", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario: real processes, load, faults, verdict.
    Run {
        /// Name of a built-in scenario (`sigpool list`), or a TOML file.
        #[arg(value_name = "NAME|FILE")]
        scenario: String,
        /// Folder for results, capture and records [default: sigpool-out/<scenario>-<time>].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Keep the files of void runs too.
        #[arg(long)]
        keep: bool,
        /// Another seed for the load than the scenario's.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
        seed: Option<u64>,
        /// Another length of the load than the scenario's; all faults must come before its end.
        #[arg(long, value_name = "MS")]
        duration: Option<u64>,
    },
    /// List the built-in scenarios and what can be asserted.
    List,
    /// Check a scenario (a file, or a built-in one) without running it; or compute the verdict of a run again from its folder.
    Check {
        /// Scenario file or name, or the folder of a run.
        #[arg(value_name = "FILE|DIR")]
        what: String,
    },
    /// Send the network's direction of a capture (pcap, pcapng) to a gateway with a pool; each answer is shown beside the recorded one.
    Replay {
        /// The capture.
        capture: PathBuf,
        /// 1 keeps the timing, 2 is twice as fast, 0 sends without waiting.
        #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
        speed: f64,
        /// Folder for capture and records [default: sigpool-out/replay-<time>].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Runs the command and gives the exit code: 0 pass, 1 an assertion failed, 2 wrong usage or configuration, 3 the environment,
/// 130 interrupted.
#[must_use]
pub fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    if let Some((_, daemon)) = DAEMONS.iter().find(|(name, _)| first.as_deref() == Some(name)) {
        return daemon();
    }
    // Wrong usage is exit 2, --help and --version are 0.
    let cli = Cli::parse();
    match command(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody reads standard error: the exit code still says it.
            let _ = writeln!(std::io::stderr(), "sigpool: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn command(command: Command) -> Result<u8, RunError> {
    match command {
        Command::Run { scenario, out, keep, seed, duration } => {
            let mut scenario = load(&scenario)?;
            if let Some(duration_ms) = duration {
                scenario.set_duration(duration_ms).map_err(|e| RunError::Usage(e.to_string()))?;
            }
            scenario.seed = seed.unwrap_or(scenario.seed);
            let out = out.unwrap_or_else(|| runner::out_folder(&scenario.name));
            runner::run(&RunOptions { scenario, out, keep })
        }
        Command::List => list(),
        Command::Check { what } => check(&what),
        Command::Replay { capture, speed, out } => {
            if !speed.is_finite() || speed < 0.0 {
                return Err(RunError::Usage(format!("--speed {speed}: expected 0 or more")));
            }
            replay::run(&ReplayOptions { capture, speed, out })
        }
    }
}

fn list() -> Result<u8, RunError> {
    for built_in in BUILT_IN {
        let scenario = scenario::load(built_in.name).map_err(|e| RunError::Usage(e.to_string()))?;
        say(&format!("{:<17}{}", built_in.name, scenario.description));
    }
    say("\nwhat a scenario can assert in [assertions]:");
    for assertion in ASSERTIONS {
        let bound = match (assertion.bound, assertion.default) {
            (Bound::AtMost, Some(limit)) => format!("at most; {limit} unless given"),
            (Bound::AtMost, None) => "at most".to_owned(),
            (Bound::AtLeast, _) => "at least".to_owned(),
        };
        say(&format!("  {:<24}{} ({bound})", assertion.name, assertion.meaning));
    }
    Ok(0)
}

fn check(what: &str) -> Result<u8, RunError> {
    let records = PathBuf::from(what).join("records");
    if records.is_dir() {
        let report = checker::check_dir(&records).map_err(|e| RunError::Usage(e.to_string()))?;
        let text = serde_json::to_string_pretty(&report).map_err(|e| RunError::Environment(e.to_string()))?;
        say(&text);
        return Ok(0);
    }
    let scenario = load(what)?;
    say(&format!("{what}: scenario `{}` is right: {}", scenario.name, scenario.description));
    Ok(0)
}

/// Reads a scenario and tries its settings on the daemons' schemas.
fn load(what: &str) -> Result<Scenario, RunError> {
    let scenario = scenario::load(what).map_err(|e| RunError::Usage(e.to_string()))?;
    runner::check(&scenario)
        .map_err(|error| RunError::Usage(scenario::settings_error(what, &error.to_string()).to_string()))?;
    Ok(scenario)
}

fn say(text: &str) {
    // A closed pipe (`| head`) is no error.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
