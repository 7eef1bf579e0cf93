//! Fails when a failover takes longer than it may: real processes under load, controllers taken away again and again, in five ways.
//!
//! `cargo bench -p benches --bench failover` is the short form for CI; `-- --kills 300 --hangs 300 --cuts 300 --stuck 300 --zombies 300`
//! the long one.
#![allow(clippy::print_stdout, reason = "a program")]

use clap::Parser;
use scenarios::results::{Results, Verdict};
use scenarios::runner::{self, RunOptions};
use scenarios::{cli, scenario};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Faults of one run: a run that the machine spoils is repeated, so it should not be long.
const FAULTS_PER_RUN: u32 = 5;
/// Load before the first fault, ms.
const LEAD_MS: u32 = 2_500;

/// Takes controllers away under 2,200 messages a second; exit status 1 when the longest gap of any circuit group is over the bound.
#[derive(Debug, Parser)]
struct Options {
    /// How many controllers are killed (SIGKILL) and started again.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// How many are hung (SIGSTOP) and woken after a second.
    #[arg(long, default_value_t = 20)]
    hangs: u32,
    /// How many are cut off for a second: in both directions, only what goes to it, only what comes from it, in turn.
    #[arg(long, default_value_t = 20)]
    cuts: u32,
    /// How many have their call control blocked for a second, while SCTP and M3UA go on answering.
    #[arg(long, default_value_t = 20)]
    stuck: u32,
    /// How many are hung and woken after 100 ms, 300 ms and 2 s, in turn.
    #[arg(long, default_value_t = 20)]
    zombies: u32,
    /// Longest gap allowed after a kill, ms.
    #[arg(long, default_value_t = 100.0)]
    kill_bound_ms: f64,
    /// Longest gap allowed after every other way, ms.
    #[arg(long, default_value_t = 400.0)]
    hang_bound_ms: f64,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One way to take a controller away.
struct Way {
    name: &'static str,
    fault: &'static str,
    /// Further keys of the fault, in turn.
    more: &'static [&'static str],
    back: &'static str,
    /// From the fault until it is undone, in turn, ms.
    away_ms: &'static [u32],
    /// From one fault to the next, ms.
    period_ms: u32,
    /// The controller may be back before anybody gave it up.
    may_return: bool,
}

const KILL: Way = Way {
    name: "kill",
    fault: "kill",
    more: &[""],
    back: "start",
    away_ms: &[600],
    period_ms: 1_800,
    may_return: false,
};
const HANG: Way = Way { name: "hang", fault: "stop", back: "cont", away_ms: &[1_000], period_ms: 2_400, ..KILL };
const CUT: Way = Way {
    name: "cut",
    fault: "isolate",
    more: &["direction = \"both\"\n", "direction = \"to\"\n", "direction = \"from\"\n"],
    back: "rejoin",
    away_ms: &[1_000],
    period_ms: 3_000,
    ..KILL
};
const STUCK: Way =
    Way { name: "stuck", fault: "stick-worker", back: "free-worker", away_ms: &[1_000], period_ms: 2_400, ..KILL };
const ZOMBIE: Way = Way {
    name: "zombie",
    fault: "stop",
    back: "cont",
    away_ms: &[100, 300, 2_000],
    period_ms: 3_400,
    may_return: true,
    ..KILL
};

/// What all runs of one way showed.
#[derive(Default)]
struct Seen {
    gaps_ms: Vec<f64>,
    detected_ms: Vec<f64>,
    messages: u64,
    wrong: u64,
    void_runs: u32,
    p99_us: u64,
    stall_ms: f64,
}

fn main() -> ExitCode {
    if let Some(code) = cli::as_daemon() {
        return code;
    }
    let options = Options::parse();
    let folder = std::env::temp_dir().join(format!("sigpool-bench-failover-{}", std::process::id()));
    let mut good = true;
    let (kill_ms, other_ms) = (options.kill_bound_ms, options.hang_bound_ms);
    let ways = [
        (KILL, options.kills, kill_ms),
        (HANG, options.hangs, other_ms),
        (CUT, options.cuts, other_ms),
        (STUCK, options.stuck, other_ms),
        (ZOMBIE, options.zombies, other_ms),
    ];
    for (way, count, bound_ms) in ways.into_iter().filter(|(_, count, _)| *count > 0) {
        match measure(&way, count, bound_ms, &folder) {
            Ok(seen) => good &= judge(&way, count, &seen, bound_ms),
            Err(problem) => {
                println!("FAIL: {}: {problem}; its files are in {}", way.name, folder.display());
                return ExitCode::FAILURE;
            }
        }
    }
    if good {
        // The figures are printed; the files of good runs are of no use to anyone.
        let _ = std::fs::remove_dir_all(&folder);
        ExitCode::SUCCESS
    } else {
        println!("FAIL: over the bound; the runs are in {}", folder.display());
        ExitCode::FAILURE
    }
}

fn measure(way: &Way, count: u32, bound_ms: f64, folder: &Path) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut done = 0;
    while done < count {
        let faults = FAULTS_PER_RUN.min(count - done);
        let out = folder.join(format!("{}-{done}", way.name));
        let results = run(&scenario_text(way, (done, faults), bound_ms), &out)?;
        take(&mut seen, way, &results)?;
        done += faults;
    }
    Ok(seen)
}

/// A scenario that takes `faults` controllers away, each in turn, after `done` in the runs before it. The bound is a limit of the run, so
/// that one that does not hold it while the machine stands still is void, and repeated.
fn scenario_text(way: &Way, (done, faults): (u32, u32), bound_ms: f64) -> String {
    let (duration_ms, seed) = (LEAD_MS + faults * way.period_ms, done + 1);
    let mut text = format!(
        "name = \"bench-{}\"\nduration_ms = {duration_ms}\ndrain_ms = 6000\nseed = {seed}\n[controllers]\ncount = 3\n\
         [load]\nrate_per_s = 2200\ngroups = 64\nring_ms = [100, 300]\nhold_ms = [200, 700]\nclear_ms = 100\nwarm_up_ms = 1000\n",
        way.name
    );
    for i in 0..faults {
        let (at, target, turn) = (LEAD_MS + i * way.period_ms, i % 3 + 1, (done + i) as usize);
        let (more, away_ms) = (way.more[turn % way.more.len()], way.away_ms[turn % way.away_ms.len()]);
        for (at_ms, kind, more) in [(at, way.fault, more), (at + away_ms, way.back, "")] {
            // One that no run can hold is there to see the bench fail.
            let limit = if kind == way.fault && bound_ms >= 1.0 {
                format!("longest_gap_ms = {bound_ms:?}\n")
            } else {
                String::new()
            };
            write!(text, "[[faults]]\nat_ms = {at_ms}\nkind = \"{kind}\"\ntarget = \"gwc-{target}\"\n{more}{limit}")
                .expect("invariant: writing to a String cannot fail");
        }
    }
    text
}

fn run(text: &str, out: &Path) -> Result<Results, String> {
    let scenario = scenario::parse(text, "<bench failover>").map_err(|e| e.to_string())?;
    runner::run(&RunOptions { scenario, out: out.to_owned(), keep: false, json_stream: false })
        .map_err(|e| e.to_string())?;
    Results::read(&out.join("results.json")).map_err(|e| e.to_string())
}

/// Adds a run; an error if it says nothing.
fn take(seen: &mut Seen, way: &Way, results: &Results) -> Result<(), String> {
    match results.verdict {
        Verdict::Pass | Verdict::Fail => {}
        Verdict::Void => return Err("the machine is too busy: three runs in a row were void".into()),
        Verdict::Interrupted => return Err("interrupted".into()),
    }
    let m = &results.messages;
    seen.messages += m.offered;
    seen.wrong += m.lost + m.duplicated + m.reordered + m.applied_twice + m.unknown + results.false_failovers;
    seen.wrong += results.calls.failed + results.calls.hanging + results.crashes.len() as u64;
    seen.void_runs += results.void_runs;
    seen.p99_us = seen.p99_us.max(results.latency_us.p99);
    seen.stall_ms = seen.stall_ms.max(results.stall_ms);
    for fault in results.faults.iter().filter(|fault| fault.kind == way.fault) {
        let what = |what: &str| format!("{} {} at {:.0} ms {what}", fault.kind, fault.target, fault.at_ms);
        seen.gaps_ms.push(fault.longest_gap_ms.ok_or_else(|| what("met no traffic"))?);
        match fault.detected_ms {
            Some(detected_ms) => seen.detected_ms.push(detected_ms),
            None if way.may_return => {}
            None => return Err(what("was not noticed")),
        }
    }
    Ok(())
}

/// Prints the figures; false when they are past the bound.
fn judge(way: &Way, count: u32, seen: &Seen, bound_ms: f64) -> bool {
    let mut gaps = seen.gaps_ms.clone();
    let mut detected = seen.detected_ms.clone();
    gaps.sort_by(f64::total_cmp);
    detected.sort_by(f64::total_cmp);
    let line = |name: &str, sorted: &[f64]| {
        let at = |q: f64| sorted.get(((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1)));
        let text = |value: Option<&f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        println!(
            "  {name:<12} p50 {:>7}  p90 {:>7}  p99 {:>7}  worst {:>7} ms",
            text(at(0.5)),
            text(at(0.9)),
            text(at(0.99)),
            text(sorted.last())
        );
    };
    println!(
        "\nfailover, {}: {} of {count} faults, {} messages, void runs repeated {}",
        way.name,
        gaps.len(),
        seen.messages,
        seen.void_runs
    );
    line("longest gap", &gaps);
    line("detected", &detected);
    if way.may_return {
        println!("  {} of them were back before they were given up", gaps.len() - detected.len());
    }
    println!(
        "  in the same runs: lost, doubled, reordered, acted on twice, false, failed calls {}; message p99 {:.1} ms; longest stall of the machine {:.1} ms",
        seen.wrong,
        seen.p99_us as f64 / 1e3,
        seen.stall_ms
    );
    let worst = gaps.last().copied().unwrap_or(f64::INFINITY);
    println!("  bound {bound_ms} ms: {}", if worst < bound_ms { "kept" } else { "EXCEEDED" });
    gaps.len() as u32 == count && worst < bound_ms && seen.wrong == 0
}
