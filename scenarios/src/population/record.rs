//! The record of a population (FORMATS.md, role `population`): which elements it has, and which home servers they had when.

use asap::PeEvent;
use asap::wire::{PeId, ServerId};
use enrp::daemon::{RecordLines, RecordSink};
use sctp::ClockAnchor;
use std::io::{self, Write};
use std::time::Instant;

/// See the module.
#[derive(Debug)]
pub struct Record {
    /// None: nothing is recorded.
    clock: Option<ClockAnchor>,
    lines: RecordLines,
}

impl Record {
    /// No record.
    #[must_use]
    pub fn off() -> Self {
        Self { clock: None, lines: RecordLines::new(RecordSink::Off) }
    }

    /// Begins with the header line.
    #[must_use]
    pub fn new(clock: ClockAnchor, sink: RecordSink, name: &str) -> Self {
        let clock = sink.is_on().then_some(clock);
        let name = name.replace(char::is_whitespace, "_");
        let mut lines = RecordLines::new(sink);
        lines.line(|out| writeln!(out, "# sigpool-record 1 population name={name}"));
        Self { clock, lines }
    }

    /// What an element was told.
    pub(super) fn event(&mut self, now: Instant, pe: PeId, pool: &str, event: &PeEvent) {
        let Some(clock) = self.clock else { return };
        let t = clock.ns(now);
        self.lines.line(|out| match event {
            PeEvent::Registered { .. } => writeln!(out, "R,{t},{pe},{pool}"),
            PeEvent::HomeServer { server, .. } => writeln!(out, "H,{t},{pe},{},{pool}", server.unwrap_or(ServerId(0))),
            PeEvent::ServerLost => writeln!(out, "L,{t},{pe},{pool}"),
            PeEvent::Refused { .. } | PeEvent::Deregistered { .. } => Ok(()),
        });
    }

    /// Writes what there is.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    /// What was written to memory, else nothing.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.lines.memory()
    }
}
