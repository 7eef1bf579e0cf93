//! The command line that all daemons share, and `main`.

use super::config::in_text;
use super::{DaemonError, load};
use clap::{Args, FromArgMatches};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

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
    program: &Program,
    run: impl FnOnce(C) -> Result<(), DaemonError>,
) -> ExitCode {
    let args = match arguments(program, std::env::args_os().collect()) {
        Ok(args) => args,
        Err(error) => {
            // `--help` and `--version` are "errors" for standard output with status 0. A closed output changes nothing.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if args.print_config {
        // `| head` may hang up.
        let _ = std::io::stdout().write_all(program.default_text.as_bytes());
        return ExitCode::SUCCESS;
    }
    let result = start_log(&args.log)
        .and_then(|()| configuration(&args))
        .and_then(|config| run(config).map_err(|error| in_file(error, &args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}: {error}", program.name);
            error.exit_code()
        }
    }
}

fn arguments(program: &Program, mut words: Vec<OsString>) -> Result<CommonArgs, clap::Error> {
    // `sigpool NAME ...`: sigpool is every daemon by executing itself with the name in front.
    if words.get(1).is_some_and(|word| word == program.name) {
        words.remove(0);
    }
    CommonArgs::from_arg_matches(&program.command().try_get_matches_from(words)?)
}

impl Program {
    /// The command line, also for the help and the completions of sigpool.
    #[must_use]
    pub fn command(&self) -> clap::Command {
        let command = clap::Command::new(self.name).version(env!("CARGO_PKG_VERSION"));
        let example = format!("Example:\n  {0} --print-config > {0}.toml; {0} --config {0}.toml", self.name);
        // After the arguments, which bring the comment of their type as `about`.
        CommonArgs::augment_args(command).about(self.about).after_help(example)
    }
}

fn configuration<C: DeserializeOwned + Default>(args: &CommonArgs) -> Result<C, DaemonError> {
    args.config.as_deref().map_or_else(|| Ok(C::default()), load)
}

/// Names the file, and the line, of a setting that only showed to be wrong together with others.
fn in_file(error: DaemonError, args: &CommonArgs) -> DaemonError {
    match (error, &args.config) {
        (DaemonError::Config(problem), Some(file)) => {
            // It could be read a moment ago; if it cannot now, the line is not known.
            let text = std::fs::read_to_string(file).unwrap_or_default();
            DaemonError::Config(in_text(&problem, &text, &file.display().to_string()))
        }
        (other, _) => other,
    }
}

/// Logs to standard error. A log that was started before (a test, sigpool) stays.
fn start_log(filter: &str) -> Result<(), DaemonError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|e| DaemonError::Config(format!("--log {filter}: {e}; give a level such as info, or target=level")))?;
    super::log::start(filter);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Program = Program { name: "sg", about: "a test", default_text: "" };

    fn parse(words: &[&str]) -> Result<CommonArgs, clap::Error> {
        arguments(&PROGRAM, words.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_same_by_its_own_name_and_through_sigpool() {
        for words in [&["sg", "--config", "a.toml"][..], &["/bin/sigpool", "sg", "--config", "a.toml"]] {
            let args = parse(words).unwrap();
            assert_eq!((args.config, args.print_config, args.log.as_str()), (Some("a.toml".into()), false, "info"));
        }
        assert!(parse(&["sg", "--print-config", "--log", "debug"]).unwrap().print_config);
    }

    #[test]
    fn wrong_usage_is_status_2() {
        assert_eq!(parse(&["sg", "--what"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["sg", "sg", "sg"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["sg", "--help"]).unwrap_err().exit_code(), 0);
        assert_eq!(start_log("a=b=c").unwrap_err().code(), 2);
    }
}
