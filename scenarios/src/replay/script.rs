//! A capture as a traffic source: the network's direction with its timing, and what came back.

use crate::capture::parts::{Part, Parts};
use crate::capture::{Capture, Captured};
use crate::network::calls::CallCounters;
use crate::network::isup;
use crate::network::source::{Label, Outgoing, Source};
use bytes::Bytes;
use m3ua_lite::wire::ProtocolData;
use rustc_hash::FxHashSet;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// ISUP messages that ask for an answer from an exchange that has the circuit (Q.764).
const ASK: [u8; 13] = [0x01, 0x03, 0x0c, 0x11, 0x12, 0x13, 0x14, 0x17, 0x18, 0x19, 0x2a, 0x34, 0x36];

/// (network's point code, pool's, CIC).
pub(super) type Circuit = (u32, u32, u16);

/// The label of a message of a capture.
pub(super) fn label(m: &Captured) -> Label {
    let Captured { opc, dpc, si, ni, mp, sls, .. } = *m;
    Label { opc, dpc, si, ni, mp, sls }
}

/// What to send, of a capture.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) capture: Arc<Capture>,
    pub(super) parts: Arc<Parts>,
    /// Indices of the messages to send.
    send: Arc<[u32]>,
    /// Time of the capture's first message.
    begin_ns: u64,
}

impl Script {
    pub(super) fn new(capture: Capture, parts: Parts) -> Self {
        let send = (0_u32..).zip(&parts.of).filter(|(_, part)| **part == Part::Send).map(|(index, _)| index).collect();
        let begin_ns = capture.messages.iter().map(|m| m.time_ns).min().unwrap_or(0);
        Self { capture: Arc::new(capture), parts: Arc::new(parts), send, begin_ns }
    }

    /// Messages to send.
    pub(super) fn len(&self) -> usize {
        self.send.len()
    }

    /// From the capture's first message to this one.
    pub(super) fn at(&self, message: &Captured) -> Duration {
        Duration::from_nanos(message.time_ns.saturating_sub(self.begin_ns))
    }

    /// How long it takes at a speed.
    pub(super) fn length(&self, speed: f64) -> Duration {
        let last = self.send.last().map_or(Duration::ZERO, |index| self.at(&self.capture.messages[*index as usize]));
        if speed > 0.0 { last.div_f64(speed) } else { Duration::ZERO }
    }

    /// Messages of one part with their index.
    pub(super) fn of_part(&self, wanted: Part) -> impl Iterator<Item = &Captured> {
        self.capture.messages.iter().zip(&self.parts.of).filter(move |(_, part)| **part == wanted).map(|(m, _)| m)
    }

    /// Point codes of the pool's side, each once.
    pub(super) fn pool_pcs(&self) -> Vec<u32> {
        unique(self.of_part(Part::Send).map(|m| m.dpc))
    }

    /// Point codes of the network's side, each once.
    pub(super) fn network_pcs(&self) -> Vec<u32> {
        unique(self.of_part(Part::Send).map(|m| m.opc))
    }
}

fn unique(pcs: impl Iterator<Item = u32>) -> Vec<u32> {
    let all: FxHashSet<u32> = pcs.collect();
    let mut all: Vec<u32> = all.into_iter().collect();
    all.sort_unstable();
    all
}

/// What happened, for the screen.
#[derive(Debug, Clone)]
pub(super) enum Happened {
    /// A message of the capture went out.
    Sent { at: Duration, label: Label, user_data: Bytes },
    /// The pool sent a message.
    Answer { at: Duration, label: Label, user_data: Bytes },
}

/// How far it is, for another thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    pub(super) sent: u64,
    pub(super) answers: u64,
    /// Circuits with a message that asks and has no answer yet.
    pub(super) open: FxHashSet<Circuit>,
}

/// A view of the progress.
#[derive(Debug, Clone, Default)]
pub(super) struct ProgressView(Arc<Mutex<Progress>>);

impl ProgressView {
    pub(super) fn look(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a script at a speed.
#[derive(Debug)]
pub(super) struct ScriptSource {
    script: Script,
    /// Index into `Script::send`.
    next: usize,
    /// 1.0 keeps the timing; 0 sends all at once.
    speed: f64,
    start: Option<Instant>,
    stopped: bool,
    counters: CallCounters,
    progress: ProgressView,
    /// Each message, for a screen that shows them.
    told: Option<Sender<Happened>>,
}

impl ScriptSource {
    pub(super) fn new(script: Script, speed: f64, told: Option<Sender<Happened>>) -> Self {
        Self {
            script,
            next: 0,
            speed,
            start: None,
            stopped: false,
            counters: CallCounters::default(),
            progress: ProgressView::default(),
            told,
        }
    }

    pub(super) fn progress(&self) -> ProgressView {
        self.progress.clone()
    }

    fn message(&self) -> Option<&Captured> {
        let index = self.script.send.get(self.next)?;
        self.script.capture.messages.get(*index as usize)
    }

    fn due(&self) -> Option<Instant> {
        let start = self.start.filter(|_| !self.stopped)?;
        let at = self.script.at(self.message()?);
        Some(if self.speed > 0.0 { start + at.div_f64(self.speed) } else { start })
    }

    fn tell(&self, now: Instant, happened: impl FnOnce(Duration) -> Happened) {
        if let Some(told) = &self.told {
            let at = self.start.map_or(Duration::ZERO, |start| now.saturating_duration_since(start));
            // The screen may be gone (Ctrl-C); sending goes on.
            let _ = told.send(happened(at));
        }
    }
}

impl Source for ScriptSource {
    fn start(&mut self, at: Instant) {
        self.start = Some(at);
    }
    fn stop(&mut self) {
        self.stopped = true;
    }
    fn poll(&mut self, now: Instant) -> Option<Outgoing> {
        let intended = self.due().filter(|due| *due <= now)?;
        let message = *self.message()?;
        self.next += 1;
        let (label, user_data) = (label(&message), self.script.capture.user_data(&message));
        let head = isup::head(&user_data).filter(|_| label.si == 5);
        self.counters.attempted += u64::from(head.is_some_and(|(_, kind)| kind == isup::IAM));
        let mut progress = self.progress.look();
        progress.sent += 1;
        if let Some((cic, _)) = head.filter(|(_, kind)| ASK.contains(kind)) {
            progress.open.insert((label.opc, label.dpc, cic));
        }
        drop(progress);
        self.tell(now, |at| Happened::Sent { at, label, user_data: user_data.clone() });
        Some(Outgoing { intended, label, user_data })
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.due()
    }
    fn handle(&mut self, now: Instant, m: &ProtocolData<'_>) {
        let label = Label { opc: m.opc, dpc: m.dpc, si: m.si, ni: m.ni, mp: m.mp, sls: m.sls };
        let mut progress = self.progress.look();
        progress.answers += 1;
        if let Some((cic, _)) = isup::head(m.user_data).filter(|_| m.si == 5) {
            // One answer closes all that asked on its circuit before it.
            progress.open.remove(&(m.dpc, m.opc, cic));
        }
        drop(progress);
        self.tell(now, |at| Happened::Answer { at, label, user_data: Bytes::copy_from_slice(m.user_data) });
    }
    fn up(&self) -> u64 {
        if self.stopped { 0 } else { (self.script.send.len() - self.next) as u64 }
    }
    fn call_counters(&self) -> CallCounters {
        self.counters
    }
    fn take_missed(&mut self) -> Vec<Instant> {
        Vec::new()
    }
}
