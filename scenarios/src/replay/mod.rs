//! `sigpool replay`: sends the network's direction of a capture to a gateway with a pool, and compares what comes back with what
//! was recorded.

pub(crate) mod beside;
pub(crate) mod compare;
mod results;
mod screen;
mod script;
#[cfg(test)]
mod tests;

pub use compare::{Comparison, Pair};
pub use results::{Asked, Check, LeftOut, ReplayResults};

use crate::capture::parts::{Part, Parts};
use crate::capture::{self, Capture, CaptureError};
use crate::checker::{self, Records};
use crate::interrupt::Interrupt;
use crate::network;
use crate::runner::RunError;
use crate::runner::lab::{Lab, LabPlan, NETWORK_ROUTING_CONTEXT};
use crate::runner::machine::Sentinel;
use crate::runner::traffic::{self, Traffic, TrafficState};
use beside::RunFolder;
use screen::{LINES_MAX, Screen};
use script::{Happened, ProgressView, Script, ScriptSource};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use toml::{Table, Value};

/// Controllers that serve the replay of a capture that no run wrote.
const CONTROLLERS: usize = 2;
/// How long answers may take after the last message.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// How long the controllers may take to be active.
const READY: Duration = Duration::from_secs(10);
/// How long the traffic source may take to be ASP-ACTIVE.
const CONNECT: Duration = Duration::from_secs(5);
/// The play is looked at this often.
const LOOK: Duration = Duration::from_millis(20);

/// What to replay and how; from the command line.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The capture file (pcap or pcapng), see [`crate::capture::read`]; or the folder of a run.
    pub capture: PathBuf,
    /// 1.0 keeps the capture's timing, 2.0 is twice as fast; 0 sends without waiting.
    pub speed: f64,
    /// Controllers apply everything as plain MTP3 payload: everything is sent, no answer is expected.
    pub plain: bool,
    /// Numbers of the associations to take, as `sigpool capture info` shows them; empty: those of one hop.
    pub associations: Vec<usize>,
    /// Largest p99 of the lateness of sending for PASS, ms.
    pub lateness_p99_ms: Option<f64>,
    /// Where the files of the run go; `None`: `sigpool-out/replay-<time>/`.
    pub out: Option<PathBuf>,
}

impl From<CaptureError> for RunError {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Io { path, source } => {
                Self::of_file(Path::new(&path), &source, "give the name of a pcap or pcapng file")
            }
            CaptureError::Format { .. } => Self::Usage(error.to_string()),
        }
    }
}

/// Runs a replay to its end and gives the exit code of the process: 0 when everything that must hold holds ([`ReplayResults::checks`]).
///
/// # Errors
/// A wrong capture ([`RunError::Usage`]), or the environment.
pub fn run(options: &ReplayOptions) -> Result<u8, RunError> {
    let interrupt = Interrupt::watch()?;
    let (file, folder) = beside::find(&options.capture)?;
    let capture = capture::read(&file, &options.associations)?;
    if capture.messages.is_empty() {
        return Err(nothing(&file, &capture));
    }
    let pool_pcs = folder.as_ref().map_or(&[][..], |folder| &folder.pool_pcs);
    let parts = Parts::new(&capture, pool_pcs, options.plain);
    let script = Script::new(capture, parts);
    let out = prepare(options.out.clone().unwrap_or_else(|| default_out(SystemTime::now())))?;
    let plan = lab_plan(&script, folder.as_ref(), options, &out)?;
    let words = plan_in_words(&plan, folder.as_ref(), options, script.length(options.speed));
    screen::head(&file, &script, &out, &words);

    let mut lab = Lab::start(plan)?;
    lab.wait_ready(READY, &|| interrupt.seen())?;
    let lines = script.capture.messages.len() <= LINES_MAX;
    let (told, happened) = channel();
    let source = ScriptSource::new(script.clone(), options.speed, lines.then_some(told));
    let progress = source.progress();
    let record = out.join("records").join("network.csv");
    let mut traffic = network::start_source(
        lab.transport(),
        &lab.network(),
        lab.gateways(),
        NETWORK_ROUTING_CONTEXT,
        &record,
        Box::new(source),
    )
    .map_err(|error| RunError::Environment(format!("{error:#}")))?;
    let expected = if options.plain { 0 } else { script.of_part(Part::Answer).count() as u64 };
    let sentinel = Sentinel::start().map_err(|e| RunError::Environment(format!("cannot start a thread: {e}")))?;
    let mut play = Play { script: &script, progress, happened, screen: Screen::new(&script, lines), expected };
    // What came before (linking, loading) is not the replay's.
    drop(sentinel.take());
    let played = play.run(traffic.as_mut(), &interrupt).and_then(|()| {
        play.settle(&lab, &interrupt);
        traffic.stop();
        if interrupt.seen() { Err(RunError::Interrupted) } else { Ok(()) }
    });
    play.screen.end();
    let stall_ns = sentinel.take().into_iter().map(|(_, length_ns)| length_ns).max().unwrap_or(0);
    traffic.finish().map_err(|error| RunError::Environment(format!("{error:#}")))?;
    lab.stop();
    played?;

    let asked = Asked {
        capture: file.display().to_string(),
        config: folder.map(|folder| folder.config.display().to_string()),
        speed: options.speed,
        plain: options.plain,
        lateness_p99_ms: options.lateness_p99_ms,
    };
    let open = if options.plain { Vec::new() } else { play.progress.look().open.iter().copied().collect() };
    let results = evaluate(&script, asked, open, stall_ns, &out)?;
    screen::verdict(&results);
    Ok(results.verdict.exit_code())
}

fn nothing(file: &Path, capture: &Capture) -> RunError {
    let mut why: Vec<String> =
        capture.survey.useless.iter().map(|useless| format!("{} {}", useless.count, useless.what)).collect();
    why.extend(capture.survey.file.damage.clone());
    let why = if why.is_empty() { "no packets but of other associations".to_owned() } else { why.join("; ") };
    RunError::Usage(format!(
        "{}: no M3UA DATA message to replay in its {} packets ({why}); `sigpool capture info` says more",
        file.display(),
        capture.survey.file.packets
    ))
}

fn default_out(now: SystemTime) -> PathBuf {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Path::new("sigpool-out").join(format!("replay-{seconds}"))
}

/// An absolute folder without records of another run, which would be counted too.
fn prepare(out: PathBuf) -> Result<PathBuf, RunError> {
    if out.join("records").exists() {
        let text = format!("{} holds the files of another run; give a new folder with --out", out.display());
        return Err(RunError::Usage(text));
    }
    let made = std::fs::create_dir_all(&out).and_then(|()| std::fs::canonicalize(&out));
    made.map_err(|e| RunError::Environment(format!("{}: {e}; give a writable folder with --out", out.display())))
}

/// The lab of a replay. What the recorded pool decided goes into a file for the controllers.
fn lab_plan(
    script: &Script,
    folder: Option<&RunFolder>,
    options: &ReplayOptions,
    out: &Path,
) -> Result<LabPlan, RunError> {
    let mut controller_settings = folder.map(|folder| folder.controller_settings.clone()).unwrap_or_default();
    let call = controller_settings.entry("call").or_insert_with(|| Table::new().into());
    if let Some(call) = call.as_table_mut() {
        if options.plain {
            call.insert("plain".into(), true.into());
        } else {
            let file = out.join("recorded-calls.csv");
            std::fs::write(&file, script.parts.recorded_calls(&script.capture, options.speed)).map_err(|e| {
                RunError::Environment(format!("{}: {e}; give a writable folder with --out", file.display()))
            })?;
            call.insert("recorded_calls".into(), Value::String(file.display().to_string()));
        }
    }
    let with = |mut codes: Vec<u32>, more: Option<&Vec<u32>>| {
        codes.extend(more.into_iter().flatten());
        codes.sort_unstable();
        codes.dedup();
        codes
    };
    Ok(LabPlan {
        out: out.to_owned(),
        controllers: folder.map_or(CONTROLLERS, |folder| folder.controllers),
        pool_pcs: with(script.pool_pcs(), folder.map(|folder| &folder.pool_pcs)),
        network_pcs: with(script.network_pcs(), folder.map(|folder| &folder.network_pcs)),
        gateway_settings: folder.map(|folder| folder.gateway_settings.clone()).unwrap_or_default(),
        controller_settings,
        ..LabPlan::default()
    })
}

fn plan_in_words(plan: &LabPlan, folder: Option<&RunFolder>, options: &ReplayOptions, length: Duration) -> Vec<String> {
    let configured = folder.map_or_else(
        || "configured by default".to_owned(),
        |folder| format!("configured as in {}", folder.config.display()),
    );
    let decide =
        if options.plain { "apply everything as plain payload" } else { "decide each call as it was recorded" };
    let speed = if options.speed > 0.0 {
        format!("speed {}: {:.1} s", options.speed, length.as_secs_f64())
    } else {
        "speed 0: without waiting".to_owned()
    };
    vec![format!("{} controllers, {configured}; they {decide}", plan.controllers), speed]
}

/// A replay while it goes on.
struct Play<'a> {
    script: &'a Script,
    progress: ProgressView,
    happened: Receiver<Happened>,
    screen: Screen<'a>,
    /// Answers that are to come.
    expected: u64,
}

impl Play<'_> {
    /// Sends the script and shows what happens until every answer is there, or their time is over.
    fn run(&mut self, traffic: &mut dyn Traffic, interrupt: &Interrupt) -> Result<(), RunError> {
        traffic::wait_active(traffic, CONNECT, interrupt)?;
        // The first message is not late before it is sent.
        traffic.begin(Instant::now() + LOOK);
        let mut last = ((0, 0), Instant::now());
        loop {
            std::thread::sleep(LOOK);
            let (seen, is_open) = self.look();
            if last.0 != seen {
                last = (seen, Instant::now());
            }
            if interrupt.seen() {
                return Err(RunError::Interrupted);
            }
            if let TrafficState::Failed(reason) = traffic.state() {
                return Err(RunError::Environment(reason));
            }
            let (sent, answers) = seen;
            let complete = answers >= self.expected && !is_open;
            if sent == self.script.len() as u64 && (complete || last.1.elapsed() > LAST_ANSWERS) {
                return Ok(());
            }
        }
    }

    /// Shows what happened since; sent and answers so far, and whether an answer is missing.
    fn look(&mut self) -> ((u64, u64), bool) {
        for event in self.happened.try_iter() {
            self.screen.show(&event);
        }
        let progress = self.progress.look();
        let seen = ((progress.sent, progress.answers), self.expected > 0 && !progress.open.is_empty());
        drop(progress);
        self.screen.progress(seen.0.0, seen.0.1);
        seen
    }

    /// Waits until the controllers confirmed everything. What they are still at when they are ended would count as lost.
    fn settle(&mut self, lab: &Lab, interrupt: &Interrupt) {
        lab.wait_settled(LAST_ANSWERS, LOOK, &mut || {
            self.look();
            interrupt.seen()
        });
    }
}

/// Reads the records, compares them with the capture, and writes `results.json`.
fn evaluate(
    script: &Script,
    asked: Asked,
    open: Vec<script::Circuit>,
    stall_ns: u64,
    out: &Path,
) -> Result<ReplayResults, RunError> {
    let records = Records::read_dir(&out.join("records")).map_err(|error| RunError::Environment(error.to_string()))?;
    let report = checker::check(&records).report;
    let count = |part| script.of_part(part).count() as u64;
    let results = ReplayResults::new(results::Outcome {
        comparison: compare::compare(script, &records, !asked.plain),
        asked,
        to_send: script.len() as u64,
        left_out: LeftOut {
            calls: if count(Part::LeftOut) + count(Part::AnswerLeftOut) > 0 { script.parts.pool_calls } else { 0 },
            messages: count(Part::LeftOut),
            answers: count(Part::AnswerLeftOut),
        },
        open,
        stall_ns,
        records: &records,
        report: &report,
    });
    let file = out.join("results.json");
    let write = || {
        let text = serde_json::to_string_pretty(&results).map_err(std::io::Error::other)?;
        std::fs::write(&file, text + "\n")
    };
    write().map_err(|error| RunError::Environment(format!("{}: {error}", file.display())))?;
    Ok(results)
}
