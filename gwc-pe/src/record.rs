//! The controller's record: what it applied, sent, restored and dropped, one CSV line each (scenarios/FORMATS.md).
//!
//! Lines are collected here; [`Node::flush`](crate::node::Node) writes them in one `write(2)` before anything that depends on
//! them is sent, so the record can be trusted after `kill -9`.

use enrp::daemon::{RecordLines, RecordSink};
use m3ua_lite::session::{CorrelationId, FlowRecord, GroupKey, GroupRecord};
use m3ua_lite::wire::ProtocolData;
use sctp::{ClockAnchor, CloseReason, PathState};
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Instant;

/// Why an input was not applied (`D`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropCause {
    /// Not after the group's last applied Correlation Id.
    Duplicate,
    /// The right to act was lost before its turn came: the lease was over, or the ASP left the traffic.
    Lease,
    /// Too much waits for its turn.
    Overload,
    /// Not readable.
    Malformed,
    /// Circuits of another group, or no room for another group.
    Unsupported,
}

impl DropCause {
    fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Lease => "lease",
            Self::Overload => "overload",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Record {
    clock: ClockAnchor,
    lines: RecordLines,
}

impl Record {
    /// Begins with the header line, which says of one without transactions (no lease, no cookies) that all it did counts.
    #[must_use]
    pub fn new(clock: ClockAnchor, sink: RecordSink, (pe, incarnation): (u32, u32), transactions: bool) -> Self {
        let mut record = Self { clock, lines: RecordLines::new(sink) };
        let more = if transactions { "" } else { " transactions=false" };
        record
            .line(|out| writeln!(out, "# sigpool-record 1 controller pe={pe:08x} incarnation={incarnation:08x}{more}"));
        record
    }

    /// Name of the file of one incarnation.
    #[must_use]
    pub fn file_name(pe: u32, incarnation: u32) -> String {
        format!("gwc-{pe:08x}-{incarnation:08x}.csv")
    }

    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        self.lines.line(write);
    }

    fn message(&mut self, message: &ProtocolData, head: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        self.line(|out| {
            head(out)?;
            writeln!(out, ",{}", FlowRecord(message))
        });
    }

    /// `I`: applied an input, in a transaction.
    pub(crate) fn applied(&mut self, now: Instant, transaction: u32, id: CorrelationId, message: &ProtocolData) {
        let t = self.clock.ns(now);
        self.message(message, |out| write!(out, "I,{t},{transaction},{id}"));
    }

    /// `O`: sends an output, in a transaction.
    pub(crate) fn output(&mut self, now: Instant, transaction: u32, message: &ProtocolData) {
        let t = self.clock.ns(now);
        self.message(message, |out| write!(out, "O,{t},{transaction}"));
    }

    /// `D`: did not apply an input.
    pub(crate) fn dropped(&mut self, now: Instant, cause: DropCause, id: CorrelationId, message: &ProtocolData) {
        let t = self.clock.ns(now);
        self.message(message, |out| write!(out, "D,{t},{},{id}", cause.name()));
    }

    /// `R`: restored a group from a cookie.
    pub(crate) fn restored(&mut self, now: Instant, mark: CorrelationId, group: &GroupKey) {
        let t = self.clock.ns(now);
        self.line(|out| writeln!(out, "R,{t},{mark},{}", GroupRecord(group)));
    }

    /// `L`: an event of the controller's life.
    pub(crate) fn life(&mut self, now: Instant, what: &str) {
        let t = self.clock.ns(now);
        self.line(|out| writeln!(out, "L,{t},{what}"));
    }

    /// `P`: a path of an association is another state.
    pub(crate) fn path(&mut self, now: Instant, role: &str, address: IpAddr, state: PathState) {
        let t = self.clock.ns(now);
        self.line(|out| writeln!(out, "P,{t},{role},{address},{}", state.name()));
    }

    /// `Z`: an association that was up ended.
    pub(crate) fn ended(&mut self, now: Instant, role: &str, reason: &CloseReason) {
        let t = self.clock.ns(now);
        self.line(|out| writeln!(out, "Z,{t},{role},{}", reason.name()));
    }

    /// Writes what was collected.
    ///
    /// # Errors
    /// The file could not be written: the record is not complete, the program must end.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    /// What was flushed to memory, if the record goes there.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.lines.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines_are_as_documented() {
        let instant = Instant::now();
        let clock = ClockAnchor { instant, monotonic_ns: 1_000 };
        let mut record = Record::new(clock, RecordSink::Memory(Vec::new()), (0xab, 0x1234), true);
        let message = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 5, user_data: &[0x25, 0, 0x0c] };
        let other = ProtocolData { si: 3, user_data: &[9], ..message };
        let now = instant + Duration::from_nanos(5);
        record.applied(now, 7, CorrelationId(0x1000_0001), &message);
        record.output(now, 7, &ProtocolData { opc: 2, dpc: 1, ..message });
        record.dropped(now, DropCause::Duplicate, CorrelationId(0), &other);
        record.restored(now, CorrelationId(3), &GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: 1 });
        record.life(now, "start");
        record.path(now, "gateway", [127, 0, 0, 9].into(), PathState::Inactive);
        record.ended(now, "name-server", &CloseReason::Silent);
        assert_eq!(record.memory(), b"");
        record.flush().unwrap();
        let text = std::str::from_utf8(record.memory()).unwrap();
        assert_eq!(
            text,
            "# sigpool-record 1 controller pe=000000ab incarnation=00001234\n\
             I,1005,7,10000001,1,2,5,2,5,37,25000c\n\
             O,1005,7,2,1,5,2,5,37,25000c\n\
             D,1005,duplicate,00000000,1,2,3,2,5,,09\n\
             R,1005,00000003,1,2,5,1\n\
             L,1005,start\n\
             P,1005,gateway,127.0.0.9,inactive\n\
             Z,1005,name-server,silent\n"
        );
    }

    #[test]
    fn off_keeps_nothing() {
        let clock = ClockAnchor { instant: Instant::now(), monotonic_ns: 0 };
        let mut record = Record::new(clock, RecordSink::Off, (1, 1), true);
        record.life(clock.instant, "start");
        assert!(record.lines.is_empty());
    }
}
