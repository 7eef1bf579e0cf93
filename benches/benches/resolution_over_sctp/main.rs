//! Enforces how fast a name server resolves over SCTP: 500 pools of 20 pool elements, each with an association of its own, under
//! 2,000 re-registrations a second.
//!
//! Fails (exit status 1) when the 99th percentile of resolutions one at a time, or of 10,000 a second, is over the bound: 5 ms, or twice
//! that of the echoes beside it where that is more; or `SIGPOOL_RESOLUTION_P99_MS` as it stands; or when 64 outstanding do not reach 10,000 a second (there the percentile is only the queue's). Beside
//! each figure stands that of a bare echo with the same sizes over the same sctp shell, measured just before and after: how much of it is the
//! machine's.
//!
//! Processes: this one asks; it executes itself again as name server, as population and as echo.
#![allow(clippy::print_stdout, reason = "a program")]

mod echo;
mod processes;

use processes::{Processes, REREGISTRATIONS_PER_S};
use scenarios::resolve;
use scenarios::resolve::client::{Questions, Settings};
use scenarios::resolve::echo::EchoQuestions;
use scenarios::resolve::questions::Resolutions;
use scenarios::resolve::report::Report;
use scenarios::runner::RunError;
use sctp::Transport;
use std::process::ExitCode;
use std::time::Duration;

const POOLS: usize = 500;
const PES_PER_POOL: usize = 20;
/// The bound of the 99th percentile, ms.
const P99_MAX_MS: f64 = 5.0;
/// Where the machine itself is slow: so many times the echo's.
const ECHOES: f64 = 2.0;
const BOUND: &str = "SIGPOOL_RESOLUTION_P99_MS";
/// How long each figure is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// The echoes before and after it.
const MEASURE_ECHO: Duration = Duration::from_secs(2);
const OUTSTANDING: usize = 64;
/// Open loop: this many a second, whatever the answers do.
const OFFERED_PER_S: f64 = 10_000.0;
/// Open loop: unanswered questions past this are not asked, and count as wrong.
const OPEN_OUTSTANDING: usize = 10_000;
/// Least rate with 64 outstanding; the target is twice that.
const RATE_MIN_PER_S: f64 = 10_000.0;
/// Under this part of the re-registrations the figure would not be what it says.
const REREGISTRATIONS_PART: f64 = 0.8;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("enrp" | "population") => return scenarios::cli::main(),
        Some("echo") => return echo::main(),
        Some(_) | None => {}
    }
    match bench() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("resolution over SCTP: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// A figure, and the worse 99th percentile of the echoes before and after it, ms.
struct Figure {
    report: Report,
    echo_p99_ms: f64,
}

impl Figure {
    fn p99_ms(&self) -> f64 {
        self.report.latency_us.p99 / 1_000.0
    }
}

/// What was asked for; `None`: the usual one.
fn bound_ms() -> Result<Option<f64>, RunError> {
    let Ok(text) = std::env::var(BOUND) else { return Ok(None) };
    let bound = text.parse::<f64>().ok().filter(|bound| bound.is_finite() && *bound > 0.0);
    bound.map(Some).ok_or_else(|| RunError::Usage(format!("{BOUND}={text}: expected milliseconds, such as 5")))
}

/// Measures, prints; false when a bound was passed.
fn bench() -> Result<bool, RunError> {
    let bound_ms = bound_ms()?;
    let processes = Processes::start(POOLS, PES_PER_POOL)?;
    println!("{POOLS} pools of {PES_PER_POOL}, each element with an association; {}", processes.ready());
    println!("\n{:<44}{:>9}{:>9}{:>9}{:>9}{:>9}", "us", "p50", "p90", "p99", "max", "per s");
    let alone = figure(&processes, "one at a time", 1, None)?;
    let before = processes.population()?;
    processes.register_again(REREGISTRATIONS_PER_S)?;
    let under = format!("{REREGISTRATIONS_PER_S} re-registrations/s");
    let started = std::time::Instant::now();
    let beside = figure(&processes, &format!("one at a time, {under}"), 1, None)?;
    let open = figure(&processes, &format!("{OFFERED_PER_S}/s, {under}"), OPEN_OUTSTANDING, Some(OFFERED_PER_S))?;
    let many = figure(&processes, &format!("{OUTSTANDING} outstanding, {under}"), OUTSTANDING, None)?;
    let took = started.elapsed().as_secs_f64();
    let after = processes.population()?;
    let rate = (after.counters.registrations_granted - before.counters.registrations_granted) as f64 / took;
    println!("\nre-registrations granted: {rate:.0} a second, {} unanswered", after.counters.registrations_unanswered);
    println!("an answer lists {:.0} elements in {:.0} bytes\n", many.report.elements, many.report.bytes);
    target("one at a time, p50", alone.report.latency_us.p50, 150.0, "us", false);
    target("one at a time, p99", alone.report.latency_us.p99, 2_000.0, "us", false);
    target("64 outstanding, rate", many.report.rate_per_s, 20_000.0, "a second", true);
    Ok(verdict(&[&alone, &beside, &open], &many.report, rate, bound_ms))
}

fn target(what: &str, actual: f64, target: f64, unit: &str, at_least: bool) {
    let reached = if at_least { actual >= target } else { actual <= target };
    let sign = if at_least { '>' } else { '<' };
    println!(
        "target   {what:<24}{sign} {target:>6.0}  {actual:>8.0} {unit:<9} {}",
        if reached { "reached" } else { "MISSED" }
    );
}

fn verdict(timed: &[&Figure], many: &Report, reregistrations: f64, bound_ms: Option<f64>) -> bool {
    let allowed = |figure: &Figure| bound_ms.unwrap_or_else(|| P99_MAX_MS.max(ECHOES * figure.echo_p99_ms));
    let nearest = timed.iter().max_by(|a, b| (a.p99_ms() / allowed(a)).total_cmp(&(b.p99_ms() / allowed(b))));
    let (worst_ms, bound_ms) = nearest.map_or((f64::INFINITY, 0.0), |figure| (figure.p99_ms(), allowed(figure)));
    let wrong: u64 = timed.iter().map(|figure| &figure.report).chain([many]).map(Report::wrong).sum();
    let quick = many.rate_per_s >= RATE_MIN_PER_S;
    let fast = worst_ms <= bound_ms;
    let loaded = reregistrations >= f64::from(REREGISTRATIONS_PER_S) * REREGISTRATIONS_PART;
    println!("bound    worst p99              <= {bound_ms:>6.2}  {worst_ms:>8.2} ms        {}", word(fast));
    println!(
        "bound    64 outstanding, rate   >= {RATE_MIN_PER_S:>6.0}  {:>8.0} a second  {}",
        many.rate_per_s,
        word(quick)
    );
    println!("bound    wrong answers          <= {:>6}  {wrong:>8}           {}", 0, word(wrong == 0));
    let least = f64::from(REREGISTRATIONS_PER_S) * REREGISTRATIONS_PART;
    println!("bound    re-registrations/s     >= {least:>6.0}  {reregistrations:>8.0}           {}", word(loaded));
    let pass = fast && quick && wrong == 0 && loaded;
    println!("\nresolution over SCTP: {}", if pass { "PASS" } else { "FAIL" });
    pass
}

fn word(holds: bool) -> &'static str {
    if holds { "ok" } else { "OVER" }
}

/// Takes one figure, between two of the echo.
fn figure(processes: &Processes, name: &str, outstanding: usize, rate_per_s: Option<f64>) -> Result<Figure, RunError> {
    let handles = (0..POOLS).map(|pool| scenarios::population::handle("pop-", pool)).collect();
    let pressure = (outstanding, rate_per_s);
    let questions = EchoQuestions { answer_bytes: echo::ANSWER_BYTES };
    let echo = || ask(processes, processes.echo(), questions, pressure, MEASURE_ECHO);
    let before = echo()?;
    let report = ask(processes, processes.name_server(), Resolutions::new(handles, None), pressure, MEASURE)?;
    let after = echo()?;
    let same = rate_per_s.map_or_else(|| format!("echo, {outstanding} outstanding"), |rate| format!("echo, {rate}/s"));
    line(&same, &before);
    line(&format!("resolution, {name}"), &report);
    line(&same, &after);
    let echo_p99_ms = before.latency_us.p99.max(after.latency_us.p99) / 1_000.0;
    Ok(Figure { report, echo_p99_ms })
}

fn line(name: &str, report: &Report) {
    let latency = report.latency_us;
    println!(
        "{name:<44}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>9.0}",
        latency.p50, latency.p90, latency.p99, latency.max, report.rate_per_s
    );
}

fn ask<Q: Questions>(
    processes: &Processes,
    whom: std::net::IpAddr,
    questions: Q,
    (outstanding, rate_per_s): (usize, Option<f64>),
    time: Duration,
) -> Result<Report, RunError> {
    let settings = Settings {
        outstanding,
        rate_per_s,
        count: None,
        time: Some(time),
        warm_up: Duration::from_millis(300),
        patience: resolve::PATIENCE,
    };
    let peer = vec![(whom, processes::UDP_PORT).into()];
    resolve::ask(Transport::Udp, processes.user(), peer, processes::SCTP_PORT, settings, questions)
}
