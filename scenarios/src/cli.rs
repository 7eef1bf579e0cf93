//! The command line of `sigpool`.

use crate::replay::ReplayOptions;
use crate::resolve::args::ResolveArgs;
use crate::runner::{self, RunError, RunOptions};
use crate::schema::FileKind;
use crate::{capture, check, checker, population, replay, report, resolve, results};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use sctp::Transport;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod completions;
mod ctl;
mod explain;
mod list;
mod point_code;
mod schemas;

/// Exit status of a scenario that cannot run over this transport, as test harnesses have it for what is skipped.
const SKIPPED: u8 = 77;

/// A daemon's main function.
type Daemon = fn() -> ExitCode;
/// The daemons that this program can be: the first argument, and their main function.
const DAEMONS: [(&str, Daemon); 4] = [
    ("sg", sg::daemon::main),
    ("gwc-pe", gwc_pe::daemon::main),
    ("enrp", enrp::server_daemon::main),
    (population::PROGRAM_NAME, population::daemon::main),
];

/// Runs a signaling gateway and a pool of gateway controllers, does things to them, and says whether anything was lost.
///
/// Exit status: 0 pass, 1 an assertion failed, 2 wrong usage or configuration, 3 the environment, 77 skipped, 130 interrupted.
///
/// `sigpool sg`, `sigpool gwc-pe` and `sigpool enrp` are the daemons themselves (see `sigpool sg --help`). `sigpool population` is
/// many pool elements in one process.
#[derive(Debug, Parser)]
#[command(
    name = "sigpool",
    version,
    about,
    after_help = "First command:
  sigpool run failover          kill -9 of a controller under load, and the verdict
Then:
  sigpool list                  every scenario
  sigpool run NAME --dry-run    what it would do
  sigpool COMMAND --help        more, with examples"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario: real processes, load, faults, verdict.
    #[command(after_help = "Examples:
  sigpool run failover
  sigpool run hang --out /tmp/hang --seed 7
  sigpool run failover --transport raw
  sigpool run my.toml --dry-run")]
    Run {
        /// Name of a built-in scenario (`sigpool list`), or a TOML file.
        #[arg(value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
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
        /// Another carrier of SCTP than the scenario's. Exit status 77, and SKIP with the reason, when the scenario needs UDP.
        #[arg(long, value_name = "WHO", value_parser = transports())]
        transport: Option<Transport>,
        /// Show topology, time line, limits and files, and start nothing.
        #[arg(long)]
        dry_run: bool,
        /// The events as JSON lines on standard output as they come, the results as the last line; text for people on standard error.
        #[arg(long)]
        json_stream: bool,
    },
    /// List the built-in scenarios and what can be asserted.
    #[command(after_help = "Example:
  sigpool list --json | jq '.scenarios[].name'")]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check scenario files and daemons' configuration files; or compute the verdict of a run again from its folder.
    ///
    /// Says everything that is wrong, each `file:line:column: key: what is wrong, what is expected`. Exit status 2 then.
    #[command(after_help = "Examples:
  sigpool check my-scenario.toml
  sigpool check sg.toml gwc.toml
  sigpool check --as gwc-pe half-empty.toml
  sigpool check sigpool-out/failover-20261122-163000")]
    Check {
        /// Scenario files or names, daemons' configuration files; or the folder of a run.
        #[arg(value_name = "FILE|DIR", required = true, value_hint = ValueHint::AnyPath)]
        what: Vec<String>,
        /// What the files are; without it that is told by their keys.
        #[arg(long = "as", value_name = "KIND")]
        kind: Option<FileKind>,
    },
    /// Print the JSON schema of a kind of file, or what is known of its keys.
    #[command(after_help = "Examples:
  sigpool schema scenario --list
  sigpool schema scenario --key load.rate_per_s
  sigpool schema sg --key as.queue_messages_max
  sigpool schema --write schemas     then, first line of a file: #:schema schemas/sg.schema.json")]
    Schema {
        /// The kind of file; results is results.json, events a line of events.jsonl and of --json-stream.
        #[arg(required_unless_present = "write", value_parser = schemas::names())]
        kind: Option<String>,
        /// Meaning, type, bounds, default and an example of one key.
        #[arg(long, value_name = "KEY", conflicts_with = "list")]
        key: Option<String>,
        /// A line for each key.
        #[arg(long)]
        list: bool,
        /// Write the schemas of all kinds into a folder, for editors.
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["kind", "key", "list"])]
        write: Option<PathBuf>,
    },
    /// Say what becomes of a message of the network, and why: routing key, application server, pool, policy, circuit group, controller.
    ///
    /// Exit status: 0 a routing key fits, 1 none does, 2 wrong usage or configuration, 3 nobody answers.
    #[command(after_help = "Examples, with [daemon] admin = \"127.77.0.1:9880\":
  sigpool explain --opc 1 --dpc 2 --cic 33 --admin 127.77.0.1:9880
  sigpool explain --opc 1 --dpc 2 --si 3 --sls 7 --admin 127.77.0.1:9880 --json | jq -r .controller.pe
  sigpool explain --opc 1 --dpc 3 --config sg.toml              (routing keys only)")]
    Explain(Box<explain::ExplainArgs>),
    /// Ask a running gateway what it knows, or take its controllers out of service and back.
    ///
    /// Exit status: 0 done, 1 a drained controller still has groups, 2 wrong usage or no such controller, 3 nobody answers.
    #[command(after_help = "Examples, with [daemon] admin = \"127.77.0.1:9880\":
  sigpool ctl --admin 127.77.0.1:9880 show asp
  sigpool ctl --admin 127.77.0.1:9880 show groups --json | jq 'group_by(.owner) | map({(.[0].owner): length}) | add'
  sigpool ctl --admin 127.77.0.1:9880 drain 4f1c2a90 && systemctl stop gwc-pe
  sigpool ctl --admin 127.77.0.1:9880 add as --pool SmsPool --routing-context 7 --dpc 12 --si 3
  sigpool ctl --admin 127.77.0.1:9880 add key --routing-context 7 --dpc 13,14 --si 3
  sigpool ctl --admin 127.77.0.1:9880 add peer 127.77.0.50 --routing-context 7")]
    Ctl(ctl::CtlArgs),
    /// Print a script that completes sigpool's commands, options and scenarios in a shell.
    #[command(after_help = "Examples:
  sigpool completions bash > ~/.local/share/bash-completion/completions/sigpool
  sigpool completions zsh > ~/.zfunc/_sigpool          (with fpath+=~/.zfunc before compinit)
  sigpool completions fish > ~/.config/fish/completions/sigpool.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Resolve pool handles at a name server, as fast as it answers or at a given rate, and show how long the answers took.
    ///
    /// Exit status 1 when an answer is wrong, or slower than --p99-max-us.
    #[command(after_help = "Examples, against 500 pools that `sigpool population` registers:
  sigpool resolve-bench --server 127.77.0.1
  sigpool resolve-bench --server 127.77.0.1 --outstanding 64 --seconds 30
  sigpool resolve-bench --server 127.77.0.1 --rate 5000 --json | jq .latency_us.p99
  sigpool resolve-bench --server 127.77.0.1 --handle GatewayPool --count 1000 --p99-max-us 2000
  sigpool resolve-bench --server 127.77.0.1 --tcp --handle GatewayPool --hint berlin --count 1000")]
    ResolveBench(Box<ResolveArgs>),
    /// Look at captures.
    #[command(after_help = "Example:
  sigpool capture info capture.pcapng")]
    Capture {
        #[command(subcommand)]
        command: CaptureCommand,
    },
    /// Send the network's direction of a capture (pcap, pcapng) to a gateway with a pool, and compare its answers with the recorded ones.
    #[command(after_help = "Examples:
  sigpool replay capture.pcapng --speed 10
  sigpool replay sigpool-out/failover-20261122-163000            (configured as that run was)
  sigpool replay sigpool-out/failover-20261122-163000 --plain --speed 0")]
    Replay {
        /// The capture, or the folder of a run: then the pool is configured as it was there.
        #[arg(value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
        capture: PathBuf,
        /// 1 keeps the timing, 2 is twice as fast, 0 sends without waiting.
        #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
        speed: f64,
        /// The controllers apply everything as plain MTP3 payload: every message of the network is sent, no answer is expected.
        #[arg(long)]
        plain: bool,
        /// Take this association (its number in `sigpool capture info`), instead of those that look like the network's; may be repeated.
        #[arg(long = "association", value_name = "N")]
        associations: Vec<usize>,
        /// Fail when the 99th percentile of the timing error (sent - intended) is over this.
        #[arg(long, value_name = "MS")]
        lateness_p99_ms: Option<f64>,
        /// Folder for capture and records [default: sigpool-out/replay-<time>].
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Make report.html of a run again, from the files in its folder; with two folders a page that compares both runs.
    #[command(after_help = "Examples:
  sigpool report sigpool-out/failover-20261122-163000
  sigpool report before after --out comparison.html")]
    Report {
        /// Folder of a run; a second one to compare with.
        #[arg(required = true, num_args = 1..=2, value_name = "DIR", value_hint = ValueHint::DirPath)]
        dirs: Vec<PathBuf>,
        /// Where the page goes [default: report.html in the folder; comparison.html in the second folder].
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum CaptureCommand {
    /// Say what is in a capture (pcap, pcapng), what of it can be replayed, and why not the rest.
    #[command(after_help = "Examples:
  sigpool capture info capture.pcapng
  sigpool capture info sigpool-out/failover-20261122-163000 --json | jq .not_replayed")]
    Info {
        /// The capture, or the folder of a run.
        #[arg(value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
        capture: PathBuf,
        /// Take this association instead of those that look like the network's; may be repeated.
        #[arg(long = "association", value_name = "N")]
        associations: Vec<usize>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command and gives the exit code: 0 pass, 1 an assertion failed, 2 wrong usage or configuration, 3 the environment,
/// 130 interrupted.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = as_daemon() {
        return code;
    }
    // Wrong usage is exit 2, --help and --version are 0.
    let cli = Cli::from_arg_matches(&command_line().get_matches()).unwrap_or_else(|error| error.exit());
    match command(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody reads standard error: the exit code still says it.
            let _ = writeln!(std::io::stderr(), "sigpool: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the daemon that the first argument names, if it names one. A run executes its own program again for each of its processes:
/// a program that calls [`runner::run`] must ask this first.
#[must_use]
pub fn as_daemon() -> Option<ExitCode> {
    let first = std::env::args().nth(1);
    let (_, daemon) = DAEMONS.iter().find(|(name, _)| first.as_deref() == Some(name))?;
    Some(daemon())
}

/// `auto`, `udp`, `raw`, `kernel`.
pub(crate) fn transports() -> impl TypedValueParser<Value = Transport> {
    let named =
        |name: String| Transport::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, transport)| transport);
    PossibleValuesParser::new(Transport::NAMES.map(|(name, _)| name))
        .try_map(move |name| named(name).ok_or("no such transport"))
}

fn command(command: Command) -> Result<u8, RunError> {
    match command {
        Command::Run { scenario, out, keep, seed, duration, transport, dry_run, json_stream } => {
            let mut scenario = check::scenario(&scenario)?;
            if let Some(duration_ms) = duration {
                scenario.set_duration(duration_ms).map_err(|e| RunError::Usage(e.to_string()))?;
            }
            scenario.seed = seed.unwrap_or(scenario.seed);
            scenario.transport = transport.unwrap_or(scenario.transport);
            let out = out.unwrap_or_else(|| runner::out_folder(&scenario.name));
            if dry_run {
                say(runner::dry_run(&scenario, &out).trim_end());
                return Ok(0);
            }
            if let Some(reason) = scenario.impossible() {
                say(&format!("SKIP {}: {reason}", scenario.name));
                return Ok(SKIPPED);
            }
            runner::run(&RunOptions { scenario, out, keep, json_stream })
        }
        Command::List { json } => list::list(json),
        Command::Check { what, kind } => check(&what, kind),
        Command::Schema { write: Some(folder), .. } => schemas::write(&folder),
        Command::Schema { kind, key, list, write: None } => {
            schemas::print(kind.as_deref().unwrap_or_default(), key.as_deref(), list)
        }
        Command::Explain(args) => explain::explain(&args),
        Command::Ctl(args) => ctl::ctl(&args),
        Command::Completions { shell } => {
            say(completions::script(command_line(), shell).trim_end());
            Ok(0)
        }
        Command::ResolveBench(args) => resolve::run(args.options()?),
        Command::Capture { command: CaptureCommand::Info { capture, associations, json } } => {
            capture::info::run(&capture, &associations, json)
        }
        Command::Replay { capture, speed, plain, associations, lateness_p99_ms, out } => {
            if !speed.is_finite() || speed < 0.0 {
                return Err(RunError::Usage(format!("--speed {speed}: expected 0 or more")));
            }
            replay::run(&ReplayOptions { capture, speed, plain, associations, lateness_p99_ms, out })
        }
        Command::Report { dirs, out } => {
            let page = report::command(&dirs, out.as_deref())?;
            say(&page.display().to_string());
            Ok(0)
        }
    }
}

fn check(what: &[String], kind: Option<FileKind>) -> Result<u8, RunError> {
    if let [folder] = what
        && Path::new(folder).is_dir()
    {
        let records = Path::new(folder).join("records");
        if !records.is_dir() {
            let problem = "is no folder of a run: it has no records/; give one that `sigpool run` wrote, or a file";
            return Err(RunError::Usage(format!("{folder} {problem}")));
        }
        let checked = checker::check_run(&records).map_err(|e| RunError::Usage(e.to_string()))?;
        results::write_intervals_file(&checked.intervals, Path::new(folder))
            .map_err(|e| RunError::Environment(format!("cannot write {folder}/intervals.csv: {e}")))?;
        let text = serde_json::to_string_pretty(&checked.report).map_err(|e| RunError::Environment(e.to_string()))?;
        say(&text);
        return Ok(0);
    }
    check::files(what, kind, say).map(|()| 0)
}

/// The whole command line, with the daemons, which `main` starts before anything is parsed.
fn command_line() -> clap::Command {
    Cli::command()
        .subcommand(sg::daemon::PROGRAM.command())
        .subcommand(gwc_pe::daemon::PROGRAM.command())
        .subcommand(enrp::server_daemon::command())
        .subcommand(population::daemon::PROGRAM.command())
}

fn say(text: &str) {
    // A closed pipe (`| head`) is no error.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command_line().debug_assert();
    }
}
