//! Fails when a failover takes longer than it may: real processes under load, controllers killed and hung again and again.
//!
//! `cargo bench -p benches --bench failover` is the short form for CI; `-- --kills 150 --hangs 150` the long one.
#![allow(clippy::print_stdout, reason = "a program")]

use clap::Parser;
use scenarios::checker::Fault;
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

/// Kills and hangs controllers under 2,200 messages a second; exit status 1 when the longest gap of any circuit group is over the bound.
#[derive(Debug, Parser)]
struct Options {
    /// How many controllers are killed (SIGKILL) and started again.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// How many are hung (SIGSTOP) and woken after a second.
    #[arg(long, default_value_t = 20)]
    hangs: u32,
    /// Longest gap allowed, ms.
    #[arg(long, default_value_t = 1_000.0)]
    bound_ms: f64,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One way to take a controller away.
struct Way {
    name: &'static str,
    fault: &'static str,
    back: &'static str,
    /// From the fault until it is undone, and until the next one, ms.
    away_ms: u32,
    period_ms: u32,
}

const KILL: Way = Way { name: "kill", fault: "kill", back: "start", away_ms: 600, period_ms: 1_800 };
const HANG: Way = Way { name: "hang", fault: "stop", back: "cont", away_ms: 1_000, period_ms: 2_400 };

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
    let ways = [(KILL, options.kills), (HANG, options.hangs)];
    for (way, count) in ways.into_iter().filter(|(_, count)| *count > 0) {
        match measure(&way, count, &folder) {
            Ok(seen) => good &= judge(&way, count, &seen, options.bound_ms),
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

fn measure(way: &Way, count: u32, folder: &Path) -> Result<Seen, String> {
    let mut seen = Seen::default();
    let mut done = 0;
    while done < count {
        let faults = FAULTS_PER_RUN.min(count - done);
        let out = folder.join(format!("{}-{done}", way.name));
        let results = run(&scenario_text(way, faults, done + 1), &out)?;
        take(&mut seen, way, &results)?;
        done += faults;
    }
    Ok(seen)
}

/// A scenario that takes `faults` controllers away, each in turn.
fn scenario_text(way: &Way, faults: u32, seed: u32) -> String {
    let duration_ms = LEAD_MS + faults * way.period_ms;
    let mut text = format!(
        "name = \"bench-{}\"\nduration_ms = {duration_ms}\ndrain_ms = 6000\nseed = {seed}\n[controllers]\ncount = 3\n\
         [load]\nrate_per_s = 2200\ngroups = 64\nring_ms = [100, 300]\nhold_ms = [200, 700]\nclear_ms = 100\nwarm_up_ms = 1000\n",
        way.name
    );
    for i in 0..faults {
        let (at, target) = (LEAD_MS + i * way.period_ms, i % 3 + 1);
        for (at_ms, kind) in [(at, way.fault), (at + way.away_ms, way.back)] {
            write!(text, "[[faults]]\nat_ms = {at_ms}\nkind = \"{kind}\"\ntarget = \"gwc-{target}\"\n")
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
        let gap = |fault: &Fault| Some((fault.longest_gap_ms?, fault.detected_ms?));
        let (gap_ms, detected_ms) = gap(fault)
            .ok_or_else(|| format!("{} {} at {:.0} ms met no traffic", fault.kind, fault.target, fault.at_ms))?;
        seen.gaps_ms.push(gap_ms);
        seen.detected_ms.push(detected_ms);
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
