//! `sigpool replay`: sends the network's direction of a capture to a gateway with a pool, prints each answer beside the recorded one.

mod screen;
mod script;

use crate::capture::{self, CaptureError};
use crate::checker::{self, Report};
use crate::interrupt::Interrupt;
use crate::network;
use crate::runner::RunError;
use crate::runner::lab::{Lab, LabPlan, NETWORK_ROUTING_CONTEXT};
use crate::runner::traffic::{Traffic, TrafficState};
use screen::Screen;
use script::{Happened, Script, ScriptSource};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Controllers that serve a replay.
const CONTROLLERS: usize = 2;
/// How long answers may take after the last message.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// How long the controllers may take to be active.
const READY: Duration = Duration::from_secs(10);
/// How long the traffic source may take to be ASP-ACTIVE.
const CONNECT: Duration = Duration::from_secs(5);

/// What to replay and how; from the command line.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The capture file (pcap or pcapng), see [`crate::capture::read`].
    pub capture: PathBuf,
    /// 1.0 keeps the capture's timing, 2.0 is twice as fast; 0 sends without waiting.
    pub speed: f64,
    /// Where the files of the run go; `None`: `sigpool-out/replay-<time>/`.
    pub out: Option<PathBuf>,
}

/// Runs a replay to its end and gives the exit code of the process: 0 when each message was applied once, in order, and every one
/// that asks for an answer got one.
///
/// # Errors
/// A wrong capture ([`RunError::Usage`]), or the environment.
pub fn run(options: &ReplayOptions) -> Result<u8, RunError> {
    let interrupt = Interrupt::watch()?;
    let capture = capture::read(&options.capture).map_err(|error| match error {
        CaptureError::Io { path, source } => {
            RunError::of_file(Path::new(&path), &source, "give the name of a pcap or pcapng file")
        }
        CaptureError::Format { .. } => RunError::Usage(error.to_string()),
    })?;
    let script = Script::new(&capture.messages);
    if script.network.is_empty() {
        return Err(RunError::Usage(format!(
            "{}: no M3UA DATA message in it ({} other packets and messages, {} malformed); nothing to replay",
            options.capture.display(),
            capture.other,
            capture.malformed
        )));
    }
    let out = options.out.clone().unwrap_or_else(|| default_out(SystemTime::now()));
    let mut screen = Screen::new(&script);
    screen.head(&options.capture, &capture, &out);
    let lab = start_lab(&script, &out, &interrupt)?;
    let (told, happened) = channel();
    let source = ScriptSource::new(script.network.clone(), options.speed, told);
    let record = out.join("records").join("network.csv");
    let mut traffic =
        network::start_source(lab.network(), lab.gateway(), NETWORK_ROUTING_CONTEXT, &record, Box::new(source))
            .map_err(|error| RunError::Environment(format!("{error:#}")))?;
    let played = play(traffic.as_mut(), &happened, &mut screen, &interrupt).and_then(|()| {
        settle(&lab, &happened, &mut screen, &interrupt);
        traffic.stop();
        if interrupt.seen() { Err(RunError::Interrupted) } else { Ok(()) }
    });
    traffic.finish().map_err(|error| RunError::Environment(format!("{error:#}")))?;
    lab.stop();
    played?;
    let report = checker::check_dir(&out.join("records")).map_err(|error| RunError::Environment(error.to_string()))?;
    let pass = verdict(&report, &mut screen);
    Ok(u8::from(!pass))
}

fn default_out(now: SystemTime) -> PathBuf {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Path::new("sigpool-out").join(format!("replay-{seconds}"))
}

fn start_lab(script: &Script, out: &Path, interrupt: &Interrupt) -> Result<Lab, RunError> {
    let mut lab = Lab::start(LabPlan {
        out: out.to_owned(),
        controllers: CONTROLLERS,
        pool_pcs: script.pool_pcs(),
        network_pcs: script.network_pcs(),
        ..LabPlan::default()
    })?;
    lab.wait_ready(READY, &|| interrupt.seen())?;
    Ok(lab)
}

/// Sends the script and shows what happens until every answer is there, or their time is over.
fn play(
    traffic: &mut dyn Traffic,
    happened: &Receiver<Happened>,
    screen: &mut Screen,
    interrupt: &Interrupt,
) -> Result<(), RunError> {
    let end = Instant::now() + CONNECT;
    while traffic.state() != TrafficState::Active {
        if let TrafficState::Failed(reason) = traffic.state() {
            return Err(RunError::Environment(reason));
        }
        if Instant::now() > end {
            return Err(RunError::Environment("the gateway's network side does not accept the traffic source".into()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    traffic.begin(Instant::now());
    let mut last_event = Instant::now();
    loop {
        match happened.recv_timeout(Duration::from_millis(50)) {
            Ok(event) => {
                last_event = Instant::now();
                screen.show(&event);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if interrupt.seen() {
            return Err(RunError::Interrupted);
        }
        if screen.all_sent() && (screen.all_answered() || last_event.elapsed() > LAST_ANSWERS) {
            break;
        }
    }
    Ok(())
}

/// Waits until the controllers confirmed everything. What they are still at when they are ended would count as lost.
fn settle(lab: &Lab, happened: &Receiver<Happened>, screen: &mut Screen, interrupt: &Interrupt) {
    let end = Instant::now() + LAST_ANSWERS;
    let mut empty = 0;
    // Twice in a row: a message may be between the traffic source and the gateway.
    while empty < 2 && Instant::now() < end && !interrupt.seen() {
        let settled = lab.state().is_ok_and(|state| state.queued() == 0);
        empty = if settled { empty + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(20));
        for event in happened.try_iter() {
            screen.show(&event);
        }
    }
}

fn verdict(report: &Report, screen: &mut Screen) -> bool {
    let m = &report.messages;
    let faultless = [m.lost, m.duplicated, m.reordered, m.applied_twice, m.unknown].iter().all(|n| *n == 0);
    let discarded: u64 = m.discarded.values().sum();
    let pass = faultless && discarded == 0 && screen.all_answered();
    screen.verdict(report, discarded, pass);
    pass
}
