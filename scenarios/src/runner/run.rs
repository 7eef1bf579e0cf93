//! One run of a scenario, and its repetition when the machine spoiled it.

use super::RunError;
use super::journal::{Journal, Stream};
use super::lab::{Lab, NETWORK_ROUTING_CONTEXT};
use super::machine::Sentinel;
use super::plan::{POOL_PC, lab_plan, network_pcs};
use super::play::{Run, Shown};
use super::population;
use super::sampler::Sampler;
use super::screen::Screen;
use super::traffic::{self, Traffic, TrafficConfig};
use crate::checker::{self, Checked, PathChange};
use crate::interrupt::Interrupt;
use crate::network;
use crate::population::Element;
use crate::report;
use crate::results::{self, CaptureFigures, Circumstances, Event, ProcessEntry, Results, Role, TopologyEntry, Verdict};
use crate::scenario::{Expect, Scenario};
use crate::utc;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A run that was void is repeated at most this often.
const REPEATS_MAX: u32 = 2;
/// Time for all processes to start, register and become active, and more for each controller: they share the machine.
const READY_PATIENCE: Duration = Duration::from_secs(10);
const READY_PATIENCE_EACH: Duration = Duration::from_millis(500);
/// More processes than this are not all named on the screen.
const NAMED_MAX: usize = 12;

/// What to run and where.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The scenario.
    pub scenario: Scenario,
    /// Folder for all files; must not hold those of another run.
    pub out: PathBuf,
    /// Keep the files of void runs too (in `void-1/`, `void-2/`).
    pub keep: bool,
    /// The events as JSON lines on standard output as they come, then the results; text for people goes to standard error.
    pub json_stream: bool,
}

/// `sigpool-out/<name>-<time>/`, time in UTC.
#[must_use]
pub fn out_folder(name: &str) -> PathBuf {
    PathBuf::from("sigpool-out").join(format!("{name}-{}", utc::compact(unix_s())))
}

/// Runs a scenario, writes its results, says the verdict, and gives the exit code.
///
/// # Errors
/// The run could not take place. An interrupted run has results and an exit code.
pub fn run(options: &RunOptions) -> Result<u8, RunError> {
    let scenario = &options.scenario;
    let out = prepare(&options.out, scenario)?;
    let interrupt = Interrupt::watch()?;
    let stream = Stream(options.json_stream);
    let mut void_runs = 0;
    loop {
        let started_unix_s = unix_s();
        let (outcome, mut journal) = attempt(scenario, &out, &interrupt, stream)?;
        let Checked { report, intervals } =
            checker::check_run(&out.join("records")).map_err(|e| RunError::Environment(e.to_string()))?;
        for PathChange { t_ms, at, peer, role, path, state } in report.path_changes.clone() {
            journal.event_at(t_ms, Event::Path { at, peer, role, path, state })?;
        }
        let end = Event::End { interrupted: outcome.interrupted, crashes: outcome.crashes.clone() };
        journal.event_at(outcome.ended_ms, end)?;
        drop(journal);
        let circumstances = Circumstances {
            command: std::env::args().collect(),
            void_runs,
            interrupted: outcome.interrupted,
            crashes: outcome.crashes,
            topology: outcome.topology,
            capture: outcome.capture,
            process_list: outcome.processes,
            seed: scenario.seed,
            started_unix_s,
        };
        let results = Results::new(scenario, &report, circumstances);
        let file = out.join("results.json");
        results.write(&file).map_err(|e| RunError::Environment(format!("cannot write {}: {e}", file.display())))?;
        results::write_side_files(&results, &intervals, &out)
            .map_err(|e| RunError::Environment(format!("cannot write to {}: {e}", out.display())))?;
        if results.verdict == Verdict::Void && void_runs < REPEATS_MAX {
            let reason = results.void_reason.as_deref().unwrap_or_default();
            Screen::plain(stream).say(&format!("void: {reason}; the run is repeated"));
            stream.send(outcome.ended_ms, Event::Repeat { reason: reason.to_owned() });
            void_runs += 1;
            if options.keep {
                write_report(&out, stream);
            }
            put_away(&out, void_runs, options.keep)?;
            continue;
        }
        let screen = Screen::plain(stream);
        screen.say(results.table().trim_end());
        for place in &report.malformed_examples {
            screen.say(&format!("unreadable record line: {place}"));
        }
        screen.say(&format!("files      {}", out.display()));
        write_report(&out, stream);
        let code = results.verdict.exit_code();
        stream.send(outcome.ended_ms, Event::Results { results: Box::new(results) });
        return Ok(code);
    }
}

/// Makes the folder, with the scenario as it is run in it.
fn prepare(out: &Path, scenario: &Scenario) -> Result<PathBuf, RunError> {
    if out.join("records").exists() {
        return Err(RunError::Usage(format!(
            "{} holds the files of another run; give a new folder with --out",
            out.display()
        )));
    }
    let text = scenario.to_toml().map_err(|error| RunError::Usage(error.to_string()))?;
    let make = || {
        std::fs::create_dir_all(out)?;
        std::fs::write(out.join("scenario.toml"), text)?;
        std::fs::canonicalize(out)
    };
    make().map_err(|e| RunError::Environment(format!("{}: {e}; give a writable folder with --out", out.display())))
}

/// Writes `report.html`, last, so that it links all files. Without it the verdict still stands.
fn write_report(out: &Path, stream: Stream) {
    let said = match report::write_for(out) {
        Ok(page) => format!("report     {}", page.display()),
        Err(error) => format!("no report: {error}"),
    };
    Screen::plain(stream).say(&said);
}

/// Moves the files of a void run aside, or removes them.
fn put_away(out: &Path, number: u32, keep: bool) -> Result<(), RunError> {
    let aside = out.join(format!("void-{number}"));
    let work = || -> std::io::Result<()> {
        std::fs::create_dir_all(&aside)?;
        for name in [
            "config",
            "logs",
            "records",
            "capture.pcapng",
            "capture-2.pcapng",
            "events.jsonl",
            "results.json",
            "intervals.csv",
            "junit.xml",
            "report.html",
        ] {
            let file = out.join(name);
            if file.exists() {
                std::fs::rename(&file, aside.join(name))?;
            }
        }
        if keep { Ok(()) } else { std::fs::remove_dir_all(&aside) }
    };
    work().map_err(|e| RunError::Environment(format!("{}: {e}", aside.display())))
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// What an attempt leaves besides its records.
#[derive(Default)]
struct Attempted {
    processes: Vec<ProcessEntry>,
    topology: Vec<TopologyEntry>,
    interrupted: bool,
    crashes: Vec<String>,
    capture: Option<CaptureFigures>,
    /// When all had ended, ms after the begin of the load.
    ended_ms: f64,
}

/// Runs the scenario once. The journal is still open: what is known only from the records goes into it, too.
fn attempt(
    scenario: &Scenario,
    out: &Path,
    interrupt: &Interrupt,
    stream: Stream,
) -> Result<(Attempted, Journal), RunError> {
    let mut lab = Lab::start(lab_plan(scenario, out))?;
    let mut journal = Journal::create(out, enrp::daemon::clock_anchor(), stream)?;
    let mut traffic = start_traffic(scenario, &lab)?;
    let patience = READY_PATIENCE + READY_PATIENCE_EACH * u32::try_from(scenario.controllers.count).unwrap_or(u32::MAX);
    let ready = lab
        .wait_ready(patience, &|| interrupt.seen())
        .and_then(|()| traffic::wait_active(&*traffic, READY_PATIENCE, interrupt));
    match ready {
        Ok(()) => {}
        Err(RunError::Interrupted) => {
            lab.stop();
            let ended_ms = journal.now_ms();
            return Ok((Attempted { interrupted: true, ended_ms, ..Attempted::default() }, journal));
        }
        Err(error) => return Err(error),
    }
    let processes = process_entries(&lab);
    let topology = topology(scenario, &lab, &processes);
    for index in 0..scenario.controllers.at_start() {
        journal.record('N', Instant::now(), &format!("gwc-{},{:08x}", index + 1, lab.pe(index)))?;
    }
    for expect in &scenario.expect {
        journal.record('X', Instant::now(), &expectation(scenario, expect))?;
    }
    for (name, path, ip) in lab.addresses() {
        journal.record('Y', Instant::now(), &format!("{name},{path},{ip}"))?;
    }
    introduce(scenario, &processes, stream);
    journal.event(Event::Ready {
        scenario: scenario.name.clone(),
        seed: scenario.seed,
        processes: processes.clone(),
    })?;
    let sentinel = Sentinel::start().map_err(|e| RunError::Environment(format!("cannot start a thread: {e}")))?;
    let resolvers = lab.start_resolvers()?;
    let sampler = Sampler::start(lab.gateway_ips(), lab.name_servers())?;
    let duration = Duration::from_millis(scenario.duration_ms);
    let mut run = Run {
        scenario,
        lab: &mut lab,
        traffic: &mut *traffic,
        journal: &mut journal,
        sentinel: &sentinel,
        screen: Screen::new(scenario.controllers.count, duration, stream),
        interrupt,
        crashes: Vec::new(),
        shown: Shown::default(),
    };
    let result = run.play(&sampler);
    run.screen.clear();
    let crashes = std::mem::take(&mut run.crashes);
    for (at, name, datagrams) in sampler.traffic() {
        journal.record('U', at, &format!("{name},{datagrams}"))?;
    }
    for (name, failures) in lab.plugin_failures() {
        journal.record('G', Instant::now(), &format!("{name},{failures}"))?;
    }
    let resolved: anyhow::Result<()> = resolvers.into_iter().try_for_each(|resolver| resolver.finish().map(drop));
    lab.record_tables();
    // Whatever happened: no process stays, and the records are complete.
    journal.record('Q', Instant::now(), "")?;
    let finished = traffic.finish();
    drop(sampler);
    let capture = lab.capture_figures();
    let relay = lab.stop();
    result?;
    finished.map_err(|error| RunError::Environment(format!("the traffic source: {error:#}")))?;
    resolved.map_err(|error| RunError::Environment(format!("the resolver: {error:#}")))?;
    if let Some(report) = relay {
        journal.event(Event::Relay(report))?;
    }
    let (interrupted, ended_ms) = (interrupt.seen(), journal.now_ms());
    Ok((Attempted { processes, topology, interrupted, crashes, capture, ended_ms }, journal))
}

/// `X` of the runner's record: what is expected of a pool's elements, each named by its process.
fn expectation(scenario: &Scenario, expect: &Expect) -> String {
    let pools = scenario.population.iter().flat_map(|population| &population.pool);
    let pool = pools.into_iter().find(|pool| pool.name() == expect.pool);
    let shares = expect.shares.iter().enumerate().filter_map(|(place, share)| {
        Some(format!("{}={share}", population::name(pool?.process(place).checked_sub(1)?)))
    });
    let policy = expect.policy.map_or(0, |name| Element::default().policy(name).policy_type());
    let kind = if expect.random { "random" } else { "exact" };
    let Expect { from_ms, to_ms, answers_min, hint, pool, .. } = expect;
    let shares = shares.collect::<Vec<_>>().join(";");
    format!("{from_ms},{to_ms},{kind},{answers_min},{policy:08x},{shares},{hint},{pool}")
}

/// The processes, controllers that come later among them, and how far away each is.
fn topology(scenario: &Scenario, lab: &Lab, processes: &[ProcessEntry]) -> Vec<TopologyEntry> {
    let mut entries: Vec<_> = processes.iter().map(TopologyEntry::of).collect();
    for index in 0..scenario.controllers.count {
        let (name, ip) = lab.place(index);
        let at = entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            let later = ProcessEntry { name, pid: 0, address: ip.to_string() };
            let entry = TopologyEntry { detail: "started later".into(), ..TopologyEntry::of(&later) };
            entries.push(entry);
            entries.len() - 1
        });
        if let Some(trip_ms) = scenario.controllers.round_trip_ms.get(index) {
            let detail = &mut entries[at].detail;
            let comma = if detail.is_empty() { "" } else { ", " };
            detail.push_str(&format!("{comma}{trip_ms} ms round trip"));
        }
    }
    for (name, _, ip) in lab.addresses().into_iter().filter(|(_, path, _)| scenario.paths > 1 && *path > 0) {
        let Some(entry) = entries.iter_mut().find(|entry| entry.name == name) else { continue };
        let more = entry.detail.contains("known as");
        let comma = if entry.detail.is_empty() { "" } else { ", " };
        entry.detail.push_str(&if more { format!(" and {ip}") } else { format!("{comma}known as {ip}") });
    }
    if let Some(population) = &scenario.population {
        for entry in entries.iter_mut().filter(|entry| entry.role == Role::Population) {
            let numbered = (population.pools > 0)
                .then(|| format!("part of {} pools of {}", population.pools, population.pes_per_pool));
            let named = (!population.pool.is_empty()).then(|| format!("{} pools with names", population.pool.len()));
            entry.detail = numbered.into_iter().chain(named).collect::<Vec<_>>().join(", ");
        }
    }
    entries
}

/// What a reader of the screen must know to follow the run.
fn introduce(scenario: &Scenario, processes: &[ProcessEntry], stream: Stream) {
    let screen = Screen::plain(stream);
    screen.say(&format!("{}: {}", scenario.name, scenario.description));
    for ProcessEntry { name, pid, address } in processes.iter().take(NAMED_MAX) {
        screen.say(&format!("  {name:<8} pid {pid:<8} at {address}"));
    }
    if processes.len() > NAMED_MAX {
        screen.say(&format!("  and {} more", processes.len() - NAMED_MAX));
    }
    let seconds = Duration::from_millis(scenario.duration_ms).as_secs_f64();
    let load = &scenario.load;
    let plain = match load.plain_per_s {
        0 => String::new(),
        rate => format!(", and {rate}/s with SI {}", load.plain_si),
    };
    let dialogues = match load.dialogues_per_s {
        0 => String::new(),
        rate => format!(", and {rate} dialogues/s"),
    };
    let rate = load.rate_per_s;
    screen.say(&format!("{rate} messages/s for {seconds} s, both directions together{plain}{dialogues}:\n"));
}

fn start_traffic(scenario: &Scenario, lab: &Lab) -> Result<Box<dyn Traffic>, RunError> {
    network::start(TrafficConfig {
        udp: lab.network(),
        transport: lab.transport(),
        gateways: lab.gateways(),
        routing_context: NETWORK_ROUTING_CONTEXT,
        network_pcs: network_pcs(scenario.load.groups),
        pool_pc: POOL_PC,
        record: lab.records().join("network.csv"),
        load: scenario.load.clone(),
        duration: Duration::from_millis(scenario.duration_ms),
        seed: scenario.seed,
    })
    .map_err(|error| RunError::Environment(format!("the traffic source cannot start: {error:#}")))
}

fn process_entries(lab: &Lab) -> Vec<ProcessEntry> {
    let entry = |(name, pid, ip): (String, u32, std::net::IpAddr)| ProcessEntry { name, pid, address: ip.to_string() };
    let own = ("network".to_owned(), std::process::id(), lab.network().addresses[0]);
    lab.processes().into_iter().chain([own]).map(entry).collect()
}
