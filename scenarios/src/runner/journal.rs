//! What the runner writes down: `records/run.csv` for the checker, `events.jsonl` for people and tools.

use super::RunError;
use crate::results::{Event, EventLine};
use sctp::ClockAnchor;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Events on standard output as they come, when somebody asked for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream(pub(super) bool);

impl Stream {
    /// A line. When nobody reads any more the run goes on: its files have everything.
    pub(super) fn send(self, t_ms: f64, event: Event) {
        if self.0
            && let Ok(line) = serde_json::to_string(&EventLine { t_ms, event })
        {
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    }
}

/// Both files; every line is written out at once, there are few.
#[derive(Debug)]
pub(super) struct Journal {
    record: (PathBuf, BufWriter<File>),
    events: (PathBuf, BufWriter<File>),
    stream: Stream,
    clock: ClockAnchor,
    zero: Instant,
}

impl Journal {
    pub(super) fn create(out: &Path, clock: ClockAnchor, stream: Stream) -> Result<Self, RunError> {
        let open = |path: PathBuf| match File::create(&path) {
            Ok(file) => Ok((path, BufWriter::new(file))),
            Err(error) => Err(failed(&path, &error)),
        };
        let mut journal = Self {
            record: open(out.join("records/run.csv"))?,
            events: open(out.join("events.jsonl"))?,
            stream,
            clock,
            zero: clock.instant,
        };
        journal.record_line("# sigpool-record 1 runner")?;
        Ok(journal)
    }

    /// Times of events count from here on.
    pub(super) fn set_zero(&mut self, zero: Instant) {
        self.zero = zero;
    }

    /// A line of `run.csv`: kind, time, the rest.
    pub(super) fn record(&mut self, kind: char, at: Instant, rest: &str) -> Result<(), RunError> {
        let t = self.clock.ns(at);
        let comma = if rest.is_empty() { "" } else { "," };
        self.record_line(&format!("{kind},{t}{comma}{rest}"))
    }

    /// The same with a time that is in ns already.
    pub(super) fn record_ns(&mut self, kind: char, t_ns: u64, rest: &str) -> Result<(), RunError> {
        self.record_line(&format!("{kind},{t_ns},{rest}"))
    }

    pub(super) fn ns(&self, at: Instant) -> u64 {
        self.clock.ns(at)
    }

    fn record_line(&mut self, line: &str) -> Result<(), RunError> {
        let (path, file) = &mut self.record;
        writeln!(file, "{line}").and_then(|()| file.flush()).map_err(|error| failed(path, &error))
    }

    /// Now, in ms after the begin of the load.
    pub(super) fn now_ms(&self) -> f64 {
        let now = Instant::now();
        let after = now.saturating_duration_since(self.zero).as_secs_f64();
        let before = self.zero.saturating_duration_since(now).as_secs_f64();
        ((after - before) * 1e4).round() / 10.0
    }

    /// A line of `events.jsonl`, and of the stream.
    pub(super) fn event(&mut self, event: Event) -> Result<(), RunError> {
        self.event_at(self.now_ms(), event)
    }

    /// The same for something that was at another time, ms after the begin of the load.
    pub(super) fn event_at(&mut self, t_ms: f64, event: Event) -> Result<(), RunError> {
        let line = EventLine { t_ms, event };
        let (path, file) = &mut self.events;
        let text = serde_json::to_string(&line).expect("invariant: an event has only what JSON can say");
        writeln!(file, "{text}").and_then(|()| file.flush()).map_err(|error| failed(path, &error))?;
        self.stream.send(line.t_ms, line.event);
        Ok(())
    }
}

fn failed(path: &Path, error: &io::Error) -> RunError {
    RunError::Environment(format!("cannot write {}: {error}; give a writable folder with --out", path.display()))
}
