//! What the runner writes down: `records/run.csv` for the checker, `events.jsonl` for people and tools.

use super::RunError;
use sctp::ClockAnchor;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Both files; every line is written out at once, there are few.
#[derive(Debug)]
pub(super) struct Journal {
    record: (PathBuf, BufWriter<File>),
    events: (PathBuf, BufWriter<File>),
    clock: ClockAnchor,
    zero: Instant,
}

impl Journal {
    pub(super) fn create(out: &Path, clock: ClockAnchor) -> Result<Self, RunError> {
        let open = |path: PathBuf| match File::create(&path) {
            Ok(file) => Ok((path, BufWriter::new(file))),
            Err(error) => Err(failed(&path, &error)),
        };
        let mut journal = Self {
            record: open(out.join("records/run.csv"))?,
            events: open(out.join("events.jsonl"))?,
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

    /// A line of `events.jsonl`: `t_ms`, `event`, and what belongs to it.
    pub(super) fn event(&mut self, event: &str, mut fields: Value) -> Result<(), RunError> {
        let now = Instant::now();
        let after = now.saturating_duration_since(self.zero).as_secs_f64();
        let before = self.zero.saturating_duration_since(now).as_secs_f64();
        if let Some(object) = fields.as_object_mut() {
            object.insert("t_ms".into(), json!(((after - before) * 1e4).round() / 10.0));
            object.insert("event".into(), json!(event));
        }
        let (path, file) = &mut self.events;
        writeln!(file, "{fields}").and_then(|()| file.flush()).map_err(|error| failed(path, &error))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> RunError {
    RunError::Environment(format!("cannot write {}: {error}; give a writable folder with --out", path.display()))
}
