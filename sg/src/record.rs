//! The gateway's record: what it committed, took back, discarded, gave and gave up. scenarios/FORMATS.md.
//!
//! Lines are collected and written in `Node::flush`, before anything that follows from them is sent.

use enrp::daemon::RecordSink;
use m3ua_lite::session::{CorrelationId, FlowRecord, GroupKey, GroupRecord};
use m3ua_lite::wire::ProtocolData;
use sctp::{ClockAnchor, CloseReason, PathState};
use serde::{Serialize, Serializer};
use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::time::Instant;

/// Why a message was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Discard {
    NoRoute,
    QueueFull,
    /// The queue is nearly full, and the message begins something new.
    Congestion,
    AsPendingExpired,
    Malformed,
    NoPeer,
    /// The STPs say that its destination cannot be reached.
    DestinationUnavailable,
    /// An ASP without transactions had it and ended before it confirmed: it may have arrived, and is not sent twice.
    FateUnknown,
    /// MTP3's own management (SI 0 to 2), which M3UA does not carry (RFC 4666 section 1.4.3.2).
    MtpManagement,
}

impl Discard {
    pub(crate) const ALL: [Self; 9] = [
        Self::NoRoute,
        Self::QueueFull,
        Self::Congestion,
        Self::AsPendingExpired,
        Self::Malformed,
        Self::NoPeer,
        Self::DestinationUnavailable,
        Self::FateUnknown,
        Self::MtpManagement,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no-route",
            Self::QueueFull => "queue-full",
            Self::Congestion => "congestion",
            Self::AsPendingExpired => "as-pending-expired",
            Self::Malformed => "malformed",
            Self::NoPeer => "no-peer",
            Self::DestinationUnavailable => "destination-unavailable",
            Self::FateUnknown => "fate-unknown",
            Self::MtpManagement => "mtp-management",
        }
    }
}

/// Discarded messages by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Discards([u64; Discard::ALL.len()]);

impl Discards {
    pub(crate) fn add(&mut self, cause: Discard) {
        self.0[cause as usize] += 1;
    }

    pub(crate) fn of(&self, cause: Discard) -> u64 {
        self.0[cause as usize]
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Serialize for Discards {
    /// An object with the causes as keys.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Discard::ALL.iter().map(|cause| (cause.name(), self.of(*cause))))
    }
}

/// Direction of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the network to the pool.
    Up,
    /// From the pool to the network.
    Down,
}

/// Why a controller was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// ICMP: its socket is gone.
    Unreachable,
    /// SCTP heard nothing, or could not connect again.
    Silent,
    /// Its M3UA layer said nothing, or confirmed nothing.
    Beat,
    /// ABORT in either direction.
    Abort,
    /// SHUTDOWN.
    Shutdown,
    /// It left ASP-ACTIVE and did not confirm in time.
    AspDown,
}

impl GiveUp {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Beat => "beat",
            Self::Abort => "abort",
            Self::Shutdown => "shutdown",
            Self::AspDown => "asp-down",
        }
    }
}

/// Collects lines.
#[derive(Debug)]
pub(crate) struct Recorder {
    clock: ClockAnchor,
    sink: RecordSink,
    /// A record is wanted: else nothing is formatted.
    on: bool,
    lines: String,
}

// Writing to a String cannot fail: the results below are dropped.
impl Recorder {
    pub(crate) fn new(clock: ClockAnchor, sink: RecordSink, gateway: u8, epoch: u8, transactions: bool) -> Self {
        let (mut lines, on) = (String::new(), sink.is_on());
        if on {
            let _ = writeln!(
                lines,
                "# sigpool-record 1 gateway gateway={gateway} epoch={epoch} transactions={transactions}"
            );
        }
        Self { clock, sink, on, lines }
    }

    /// A controller's transaction counts.
    pub(crate) fn committed(&mut self, now: Instant, pe: u32, incarnation: u32, transaction: u32) {
        if self.on {
            let t = self.clock.ns(now);
            let _ = writeln!(self.lines, "C,{t},{pe:08x},{incarnation:08x},{transaction}");
        }
    }

    /// An unconfirmed message is taken back.
    pub(crate) fn taken_back(&mut self, now: Instant, pe: u32, correlation_id: CorrelationId) {
        if self.on {
            let t = self.clock.ns(now);
            let _ = writeln!(self.lines, "H,{t},{pe:08x},{correlation_id}");
        }
    }

    /// A message is discarded.
    pub(crate) fn discarded(&mut self, now: Instant, cause: Discard, direction: Direction, message: &ProtocolData<'_>) {
        if !self.on {
            return;
        }
        let t = self.clock.ns(now);
        let direction = match direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        let _ = writeln!(self.lines, "X,{t},{},{direction},{}", cause.name(), FlowRecord(message));
    }

    /// A group is given to a controller.
    pub(crate) fn given(&mut self, now: Instant, pe: u32, group: &GroupKey) {
        if self.on {
            let t = self.clock.ns(now);
            let _ = writeln!(self.lines, "G,{t},{pe:08x},{}", GroupRecord(group));
        }
    }

    /// A planned move of a group begins.
    pub(crate) fn moving(&mut self, now: Instant, from: u32, to: u32, group: &GroupKey) {
        if self.on {
            let t = self.clock.ns(now);
            let _ = writeln!(self.lines, "M,{t},{from:08x},{to:08x},{}", GroupRecord(group));
        }
    }

    /// A controller is given up.
    pub(crate) fn gave_up(&mut self, now: Instant, pe: u32, why: GiveUp) {
        if self.on {
            let t = self.clock.ns(now);
            let _ = writeln!(self.lines, "F,{t},{pe:08x},{}", why.name());
        }
    }

    /// A path of an association is another state.
    pub(crate) fn path(&mut self, now: Instant, role: &str, address: IpAddr, state: PathState) {
        if self.on {
            let t = self.clock.ns(now);
            let _ = writeln!(self.lines, "P,{t},{role},{address},{}", state.name());
        }
    }

    /// An association that was up ended.
    pub(crate) fn ended(&mut self, now: Instant, role: &str, reason: &CloseReason) {
        if self.on {
            let t = self.clock.ns(now);
            let _ = writeln!(self.lines, "Z,{t},{role},{}", reason.name());
        }
    }

    /// Writes what was collected.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.sink.write(self.lines.as_bytes())?;
        self.lines.clear();
        Ok(())
    }

    /// What was flushed to memory, if the record goes there.
    pub(crate) fn memory(&self) -> &[u8] {
        self.sink.memory()
    }

    /// Lines that are not flushed yet.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> &str {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let now = Instant::now();
        let mut record =
            Recorder::new(ClockAnchor { instant: now, monotonic_ns: 77 }, RecordSink::Memory(Vec::new()), 3, 200, true);
        let message = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 3, user_data: &[0x21, 0x01, 0x10] };
        let group = GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: 9 };
        record.committed(now, 0xbeef, 4, 5);
        record.taken_back(now, 0xbeef, CorrelationId(0x1010_0001));
        record.discarded(now, Discard::NoRoute, Direction::Up, &message);
        record.discarded(now, Discard::NoPeer, Direction::Down, &ProtocolData { si: 3, ..message });
        record.given(now, 0xbeef, &group);
        record.moving(now, 0xbeef, 0xcafe, &group);
        record.gave_up(now, 0xbeef, GiveUp::AspDown);
        record.path(now, "pool", [127, 0, 0, 9].into(), PathState::PotentiallyFailed);
        record.ended(now, "network", &CloseReason::PeerAbort(None));
        assert_eq!(
            record.lines(),
            "# sigpool-record 1 gateway gateway=3 epoch=200 transactions=true\n\
             C,77,0000beef,00000004,5\n\
             H,77,0000beef,10100001\n\
             X,77,no-route,up,1,2,5,2,3,289,210110\n\
             X,77,no-peer,down,1,2,3,2,3,,210110\n\
             G,77,0000beef,1,2,5,9\n\
             M,77,0000beef,0000cafe,1,2,5,9\n\
             F,77,0000beef,asp-down\n\
             P,77,pool,127.0.0.9,potentially-failed\n\
             Z,77,network,peer-abort\n"
        );
        record.flush().unwrap();
        assert_eq!(record.lines(), "");
        assert!(record.memory().starts_with(b"# sigpool-record 1 gateway"));
    }
}
