//! The record of a population (FORMATS.md, role `population`): which elements it has, and which home servers they had when.

use asap::PeEvent;
use asap::wire::{PeId, ServerId};
use enrp::daemon::RecordSink;
use sctp::ClockAnchor;
use std::io::{self, Write};
use std::time::Instant;

/// The lines since the last flush.
#[derive(Debug)]
pub struct Record {
    /// None: nothing is recorded.
    clock: Option<ClockAnchor>,
    sink: RecordSink,
    lines: Vec<u8>,
}

impl Record {
    /// No record.
    #[must_use]
    pub fn off() -> Self {
        Self { clock: None, sink: RecordSink::Off, lines: Vec::new() }
    }

    /// Begins with the header line.
    #[must_use]
    pub fn new(clock: ClockAnchor, sink: RecordSink, name: &str) -> Self {
        let clock = sink.is_on().then_some(clock);
        let name = name.replace(char::is_whitespace, "_");
        Self { clock, sink, lines: format!("# sigpool-record 1 population name={name}\n").into_bytes() }
    }

    /// What an element was told.
    pub(super) fn event(&mut self, now: Instant, pe: PeId, pool: &str, event: &PeEvent) {
        let Some(clock) = self.clock else { return };
        let (t, lines) = (clock.ns(now), &mut self.lines);
        // Writing to a Vec cannot fail.
        let _ = match event {
            PeEvent::Registered { .. } => writeln!(lines, "R,{t},{pe},{pool}"),
            PeEvent::HomeServer { server, .. } => {
                writeln!(lines, "H,{t},{pe},{},{pool}", server.unwrap_or(ServerId(0)))
            }
            PeEvent::ServerLost => writeln!(lines, "L,{t},{pe},{pool}"),
            PeEvent::Refused { .. } | PeEvent::Deregistered { .. } => Ok(()),
        };
    }

    /// Writes what there is.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.clock.is_none() || self.lines.is_empty() {
            return Ok(());
        }
        let result = self.sink.write(&self.lines);
        self.lines.clear();
        result
    }

    /// What was written to memory, else nothing.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.sink.memory()
    }
}
