//! The resolver's lines (FORMATS.md, role `resolver`).

use asap::wire::{PeId, PoolElement};
use enrp::daemon::{RecordLines, RecordSink};
use sctp::ClockAnchor;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Instant;

/// What came back.
pub(super) struct Answer<'a> {
    /// The hint of the question.
    pub(super) hint: &'a str,
    /// The elements, in order.
    pub(super) elements: &'a [PoolElement],
    /// The element that a pool user takes.
    pub(super) taken: Option<PeId>,
}

/// See the module.
#[derive(Debug)]
pub struct Record {
    clock: ClockAnchor,
    lines: RecordLines,
}

impl Record {
    /// Begins with the header line.
    #[must_use]
    pub fn new(clock: ClockAnchor, sink: RecordSink) -> Self {
        let mut record = Self { clock, lines: RecordLines::new(sink) };
        record.line(|out| writeln!(out, "# sigpool-record 1 resolver"));
        record
    }

    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        self.lines.line(write);
    }

    /// `A`: an answer, with the policy that its elements have, and the one that a pool user takes.
    pub(super) fn answer(&mut self, now: Instant, asked: Instant, answer: &Answer<'_>, pool: &str) {
        let (t, asked) = (self.clock.ns(now), self.clock.ns(asked));
        let ids: Vec<String> = answer.elements.iter().map(|element| element.id.to_string()).collect();
        let taken = answer.taken.map_or_else(String::new, |pe| pe.to_string());
        let policy = answer.elements.first().map_or(0, |element| element.policy.policy_type());
        let hint = answer.hint.replace([',', '\n'], "_");
        self.line(|out| writeln!(out, "A,{t},{asked},{},{taken},{policy:08x},{hint},{pool}", ids.join(";")));
    }

    /// `U`: refused, `N`: no answer.
    pub(super) fn without(&mut self, kind: char, now: Instant, asked: Instant, pool: &str) {
        let (t, asked) = (self.clock.ns(now), self.clock.ns(asked));
        self.line(|out| writeln!(out, "{kind},{t},{asked},{pool}"));
    }

    /// `L`: its name server is lost.
    pub(super) fn lost(&mut self, now: Instant) {
        let t = self.clock.ns(now);
        self.line(|out| writeln!(out, "L,{t}"));
    }

    /// `F`: it found a name server; who answers from now on.
    pub(super) fn found(&mut self, now: Instant, address: IpAddr) {
        let t = self.clock.ns(now);
        self.line(|out| writeln!(out, "F,{t},{address}"));
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    /// What was written to memory, else nothing.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.lines.memory()
    }
}
