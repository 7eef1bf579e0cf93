//! One run of a scenario, and its repetition when the machine spoiled it.

use super::RunError;
use super::admin::{self, GatewayState};
use super::journal::Journal;
use super::lab::{Lab, NETWORK_ROUTING_CONTEXT};
use super::machine::{Sentinel, steal_core};
use super::plan::{POOL_PC, lab_plan, network_pcs, warm_up};
use super::screen::{Line, Screen};
use super::traffic::{Traffic, TrafficConfig, TrafficCounters, TrafficState};
use crate::checker::{self, Checked};
use crate::interrupt::Interrupt;
use crate::network;
use crate::results::{self, Circumstances, ProcessEntry, Results, TopologyEntry, Verdict};
use crate::scenario::{Fault, FaultKind, Scenario, Target};
use crate::utc;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A run that was void is repeated at most this often.
const REPEATS_MAX: u32 = 2;
/// Time for all processes to start, register and become active.
const READY_PATIENCE: Duration = Duration::from_secs(10);
/// Time for the gateway to empty its queues after the last call ended.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);
/// The main loop looks at everything at least this often.
const LOOK: Duration = Duration::from_millis(20);

/// What to run and where.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The scenario.
    pub scenario: Scenario,
    /// Folder for all files; must not hold those of another run.
    pub out: PathBuf,
    /// Keep the files of void runs too (in `void-1/`, `void-2/`).
    pub keep: bool,
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
    let mut void_runs = 0;
    loop {
        let started_unix_s = unix_s();
        let outcome = attempt(scenario, &out, &interrupt)?;
        let Checked { report, intervals } =
            checker::check_run(&out.join("records")).map_err(|e| RunError::Environment(e.to_string()))?;
        let circumstances = Circumstances {
            command: std::env::args().collect(),
            void_runs,
            interrupted: outcome.interrupted,
            crashes: outcome.crashes,
            topology: outcome.processes.iter().map(TopologyEntry::of).collect(),
            capture: None,
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
            Screen::plain().say(&format!("void: {reason}; the run is repeated"));
            void_runs += 1;
            put_away(&out, void_runs, options.keep)?;
            continue;
        }
        let screen = Screen::plain();
        screen.say(results.table().trim_end());
        for place in &report.malformed_examples {
            screen.say(&format!("unreadable record line: {place}"));
        }
        screen.say(&format!("files      {}", out.display()));
        return Ok(results.verdict.exit_code());
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
            "events.jsonl",
            "results.json",
            "intervals.csv",
            "junit.xml",
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
struct Attempted {
    processes: Vec<ProcessEntry>,
    interrupted: bool,
    crashes: Vec<String>,
}

fn attempt(scenario: &Scenario, out: &Path, interrupt: &Interrupt) -> Result<Attempted, RunError> {
    let mut lab = Lab::start(lab_plan(scenario, out))?;
    let mut journal = Journal::create(out, enrp::daemon::clock_anchor())?;
    let mut traffic = start_traffic(scenario, &lab)?;
    let ready = lab.wait_ready(READY_PATIENCE, &|| interrupt.seen()).and_then(|()| wait_active(&*traffic, interrupt));
    match ready {
        Ok(()) => {}
        Err(RunError::Interrupted) => {
            lab.stop();
            return Ok(Attempted { processes: Vec::new(), interrupted: true, crashes: Vec::new() });
        }
        Err(error) => return Err(error),
    }
    let processes = process_entries(&lab);
    for index in 0..scenario.controllers.at_start() {
        journal.record('N', Instant::now(), &format!("gwc-{},{:08x}", index + 1, lab.pe(index)))?;
    }
    introduce(scenario, &processes);
    journal.event("ready", json!({ "scenario": scenario.name, "seed": scenario.seed, "processes": processes }))?;
    let sentinel = Sentinel::start().map_err(|e| RunError::Environment(format!("cannot start a thread: {e}")))?;
    let sampler = Sampler::start(lab.gateway_ip())?;
    let duration = Duration::from_millis(scenario.duration_ms);
    let mut run = Run {
        scenario,
        lab: &mut lab,
        traffic: &mut *traffic,
        journal: &mut journal,
        sentinel: &sentinel,
        screen: Screen::new(scenario.controllers.count, duration),
        interrupt,
        crashes: Vec::new(),
        shown: Shown::default(),
    };
    let result = run.play(&sampler);
    run.screen.clear();
    let crashes = std::mem::take(&mut run.crashes);
    // Whatever happened: no process stays, and the records are complete.
    let finished = traffic.finish();
    journal.record('Q', Instant::now(), "")?;
    drop(sampler);
    let relay = lab.stop();
    result?;
    finished.map_err(|error| RunError::Environment(format!("the traffic source: {error:#}")))?;
    if let Some(report) = relay {
        journal.event("relay", json!(report))?;
    }
    journal.event("end", json!({ "interrupted": interrupt.seen(), "crashes": crashes }))?;
    Ok(Attempted { processes, interrupted: interrupt.seen(), crashes })
}

/// What a reader of the screen must know to follow the run.
fn introduce(scenario: &Scenario, processes: &[ProcessEntry]) {
    let screen = Screen::plain();
    screen.say(&format!("{}: {}", scenario.name, scenario.description));
    for ProcessEntry { name, pid, address } in processes {
        screen.say(&format!("  {name:<8} pid {pid:<8} at {address}"));
    }
    let seconds = Duration::from_millis(scenario.duration_ms).as_secs_f64();
    let load = &scenario.load;
    let plain = match load.plain_per_s {
        0 => String::new(),
        rate => format!(", and {rate}/s with SI {}", load.plain_si),
    };
    let rate = load.rate_per_s;
    screen.say(&format!("{rate} messages/s for {seconds} s, both directions together{plain}:\n"));
}

fn start_traffic(scenario: &Scenario, lab: &Lab) -> Result<Box<dyn Traffic>, RunError> {
    network::start(TrafficConfig {
        local: lab.network(),
        gateway: lab.gateway(),
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

fn wait_active(traffic: &dyn Traffic, interrupt: &Interrupt) -> Result<(), RunError> {
    let deadline = Instant::now() + READY_PATIENCE;
    loop {
        match traffic.state() {
            TrafficState::Active | TrafficState::Drained => return Ok(()),
            TrafficState::Failed(why) => return Err(RunError::Environment(format!("the traffic source: {why}"))),
            TrafficState::Connecting if interrupt.seen() => return Err(RunError::Interrupted),
            TrafficState::Connecting if Instant::now() > deadline => {
                return Err(RunError::Environment("the gateway does not take the traffic source as ASP".into()));
            }
            TrafficState::Connecting => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn process_entries(lab: &Lab) -> Vec<ProcessEntry> {
    let entry = |(name, pid, ip): (String, u32, std::net::IpAddr)| ProcessEntry { name, pid, address: ip.to_string() };
    let own = ("network".to_owned(), std::process::id(), lab.network().ip());
    lab.processes().into_iter().chain([own]).map(entry).collect()
}

/// What was on the screen last, for rates.
#[derive(Default)]
struct Shown {
    at: Option<Instant>,
    traffic: TrafficCounters,
    controllers: Vec<Line>,
}

/// A run while its load goes on.
struct Run<'a> {
    scenario: &'a Scenario,
    lab: &'a mut Lab,
    traffic: &'a mut dyn Traffic,
    journal: &'a mut Journal,
    sentinel: &'a Sentinel,
    screen: Screen,
    interrupt: &'a Interrupt,
    crashes: Vec<String>,
    shown: Shown,
}

impl Run<'_> {
    /// Load with its faults, then the end of the calls.
    fn play(&mut self, sampler: &Sampler) -> Result<(), RunError> {
        let begin = Instant::now() + LOOK;
        self.journal.set_zero(begin);
        // What came before the load (linking, loading) is not the run's.
        drop(self.sentinel.take());
        self.traffic.begin(begin);
        let warm_up = warm_up(self.scenario);
        self.journal.record('A', begin, "")?;
        self.journal.record('B', begin + warm_up, "")?;
        self.journal.event("begin", json!({ "measured_from_ms": warm_up.as_millis() }))?;
        self.timeline(begin, sampler)?;
        self.journal.record('E', Instant::now(), "")?;
        self.journal.event("load-end", json!({}))?;
        self.lab.quiet();
        self.traffic.stop();
        self.drain();
        for (t_ns, length_ns) in self.sentinel.take() {
            self.journal.record_ns('W', t_ns, &length_ns.to_string())?;
            self.journal.event("stall", json!({ "monotonic_ns": t_ns, "ms": length_ns as f64 / 1e6 }))?;
        }
        Ok(())
    }

    fn timeline(&mut self, begin: Instant, sampler: &Sampler) -> Result<(), RunError> {
        let end = begin + Duration::from_millis(self.scenario.duration_ms);
        let mut faults = self.scenario.faults.iter().peekable();
        let mut next_second = begin + Duration::from_secs(1);
        loop {
            let now = Instant::now();
            while let Some(fault) = faults.next_if(|f| begin + Duration::from_millis(f.at_ms) <= now) {
                self.fault(fault)?;
            }
            if now >= next_second {
                next_second += Duration::from_secs(1);
                self.show(begin, sampler)?;
            }
            if self.interrupt.seen() || self.crashed()? || now >= end {
                return Ok(());
            }
            let next_fault = faults.peek().map_or(end, |f| begin + Duration::from_millis(f.at_ms));
            let until = next_second.min(end).min(next_fault);
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(LOOK));
        }
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), RunError> {
        let (kind, target) = (fault.kind.as_str(), fault.target.to_string());
        let duration_ms = fault.duration_ms.unwrap_or_default();
        // Before it is done: what it does must not seem to come before it.
        let at = Instant::now();
        let mut pe = String::new();
        match fault.target {
            Target::Controller(index) => {
                let before = self.lab.pe(index);
                self.lab.fault(fault.target, fault.kind)?;
                pe = format!("{:08x}", if fault.kind == FaultKind::Start { self.lab.pe(index) } else { before });
            }
            Target::NameServer => self.lab.fault(fault.target, fault.kind)?,
            Target::Machine => {
                let duration = Duration::from_millis(duration_ms);
                self.sentinel.excuse(self.journal.ns(at + duration));
                steal_core(duration).map_err(|e| RunError::Environment(format!("cannot steal a core: {e}")))?;
            }
        }
        self.journal.record('K', at, &format!("{kind},{target},{pe}"))?;
        self.screen.say(&format!("  {kind} {target}"));
        self.journal.event("fault", json!({ "kind": kind, "target": target, "duration_ms": duration_ms }))
    }

    /// Notes processes that ended by themselves; one is enough to end the run.
    fn crashed(&mut self) -> Result<bool, RunError> {
        if let Err(error) = self.lab.check_alive() {
            self.crashes.push(error.to_string());
        }
        if let TrafficState::Failed(why) = self.traffic.state() {
            self.crashes.push(format!("traffic source: {why}"));
        }
        for crash in &self.crashes {
            self.journal.event("crash", json!({ "what": crash }))?;
        }
        Ok(!self.crashes.is_empty())
    }

    fn show(&mut self, begin: Instant, sampler: &Sampler) -> Result<(), RunError> {
        let now = Instant::now();
        let seconds = self.shown.at.map_or(1.0, |at| now.duration_since(at).as_secs_f64());
        let counters = self.traffic.counters();
        let before = self.shown.traffic.sent + self.shown.traffic.received;
        let rate = (counters.sent + counters.received).saturating_sub(before) as f64 / seconds;
        let lines: Vec<Line> =
            (0..self.scenario.controllers.count).map(|index| self.line(index, &sampler.latest(), seconds)).collect();
        self.screen.show(now.duration_since(begin), counters, rate, &lines);
        let controllers: Vec<_> = lines
            .iter()
            .map(|line| {
                let state = &line.state;
                json!({ "name": line.name, "state": state.state, "groups": state.groups,
                    "messages": state.messages_up + state.messages_down, "rate_per_s": line.rate_per_s.round() })
            })
            .collect();
        self.journal.event(
            "second",
            json!({ "sent": counters.sent, "received": counters.received, "calls_up": counters.up,
                "missed": counters.missed, "late_ms": counters.late.as_secs_f64() * 1e3, "rate_per_s": rate.round(), "controllers": controllers }),
        )?;
        self.shown = Shown { at: Some(now), traffic: counters, controllers: lines };
        Ok(())
    }

    fn line(&self, index: usize, state: &GatewayState, seconds: f64) -> Line {
        let pe = format!("{:08x}", self.lab.pe(index));
        let name = format!("gwc-{}", index + 1);
        let Some(found) = state.pools.iter().flat_map(|pool| &pool.controllers).find(|c| c.pe == pe) else {
            return Line { name, ..Line::default() };
        };
        let messages = found.messages_up + found.messages_down;
        let before = self.shown.controllers.get(index).filter(|line| line.state.pe == pe);
        let before = before.map_or(0, |line| line.state.messages_up + line.state.messages_down);
        Line { name, state: found.clone(), rate_per_s: messages.saturating_sub(before) as f64 / seconds }
    }

    /// Waits until all calls ended and the gateway's queues are empty, or the time is over.
    fn drain(&mut self) {
        let deadline = Instant::now() + Duration::from_millis(self.scenario.drain_ms);
        while self.traffic.state() == TrafficState::Active && Instant::now() < deadline && !self.interrupt.seen() {
            std::thread::sleep(LOOK);
        }
        let deadline = Instant::now() + SETTLE_PATIENCE;
        let mut settled = 0;
        // Twice in a row: a message may be between the traffic source and the gateway.
        while settled < 2 && Instant::now() < deadline && !self.interrupt.seen() {
            let empty = self.lab.state().is_ok_and(|state| state.queued() == 0);
            settled = if empty { settled + 1 } else { 0 };
            std::thread::sleep(LOOK);
        }
    }
}

/// Asks the gateway for its state in a thread of its own, so that a slow answer never delays a fault.
struct Sampler {
    stop: Arc<AtomicBool>,
    latest: Arc<Mutex<GatewayState>>,
}

impl Sampler {
    fn start(gateway: std::net::IpAddr) -> Result<Self, RunError> {
        let sampler = Self { stop: Arc::default(), latest: Arc::default() };
        let (stop, latest) = (sampler.stop.clone(), sampler.latest.clone());
        std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(state) = admin::gateway_state(gateway) {
                        *latest.lock().unwrap_or_else(PoisonError::into_inner) = state;
                    }
                    std::thread::sleep(Duration::from_millis(450));
                }
            })
            .map_err(|e| RunError::Environment(format!("cannot start a thread: {e}")))?;
        Ok(sampler)
    }

    fn latest(&self) -> GatewayState {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
