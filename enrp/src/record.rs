//! The name server's record: every change of the handlespace and of the peers with its time, one CSV line each
//! (scenarios/FORMATS.md). For runs that are looked at afterwards; off unless `[node] records` names a directory.

use crate::daemon::{RecordLines, RecordSink};
use crate::server::{Event, Server};
use asap::wire::ServerId;
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

    /// Begins with the header line. `name` has no spaces in a record: they become `_`.
    #[must_use]
    pub fn new(clock: ClockAnchor, sink: RecordSink, name: &str, server: ServerId) -> Self {
        let mut record = Self { clock: Some(clock), lines: RecordLines::new(sink) };
        let name = name.replace(char::is_whitespace, "_");
        record.line(|out| writeln!(out, "# sigpool-record 1 name-server name={name} server={server}"));
        record
    }

    /// Name of the file of one server.
    #[must_use]
    pub fn file_name(name: &str, server: ServerId) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        format!("{}-{server}.csv", name.chars().map(plain).collect::<String>())
    }

    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        self.lines.line(write);
    }

    /// What the server told.
    pub(crate) fn event(&mut self, now: Instant, event: &Event) {
        let Some(clock) = self.clock else { return };
        let t = clock.ns(now);
        self.line(|out| match event {
            Event::Registered { handle, element } | Event::Reregistered { handle, element, .. } => {
                writeln!(out, "N,{t},{},{},{handle}", element.id, element.home)
            }
            Event::Deregistered { handle, pe, cause } => writeln!(out, "D,{t},{pe},{cause:?},{handle}"),
            Event::Suspended { handle, pe, .. } => writeln!(out, "S,{t},{pe},{handle}"),
            Event::Resumed { handle, pe } => writeln!(out, "R,{t},{pe},{handle}"),
            Event::PeerUp { server } => writeln!(out, "U,{t},{server}"),
            Event::PeerDead { server } => writeln!(out, "X,{t},{server}"),
            Event::TakenOver { server, by, pes } => writeln!(out, "T,{t},{server},{by},{pes}"),
        });
    }

    /// The whole table as it is now, and how many lines that are. False: there is no record.
    pub(crate) fn table(&mut self, now: Instant, server: &Server) -> Option<usize> {
        let clock = self.clock.filter(|_| self.lines.is_on())?;
        let t = clock.ns(now);
        let mut count = 0;
        for pool in server.handlespace().pools() {
            for element in server.handlespace().members(pool.handle()) {
                let (pe, home, handle) = (element.id(), element.registered().home, pool.handle());
                self.line(|out| writeln!(out, "E,{t},{pe},{home},{handle}"));
                count += 1;
            }
        }
        Some(count)
    }

    /// Writes what there is.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.lines.flush()
    }

    /// What was written to memory, else nothing.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.lines.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::RemovalCause;
    use asap::wire::{PeId, PoolHandle};

    #[test]
    fn lines_have_what_the_format_says() {
        let now = Instant::now();
        let clock = ClockAnchor { instant: now, monotonic_ns: 7 };
        let mut record = Record::new(clock, RecordSink::Memory(Vec::new()), "a b", ServerId(0x0a));
        let handle = PoolHandle::from("x,y");
        record.event(now, &Event::Deregistered { handle, pe: PeId(5), cause: RemovalCause::Expired });
        record.event(now, &Event::PeerDead { server: ServerId(0xb) });
        record.event(now, &Event::TakenOver { server: ServerId(0xb), by: ServerId(0xa), pes: 3 });
        record.flush().unwrap();
        let text = String::from_utf8(record.memory().to_vec()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "# sigpool-record 1 name-server name=a_b server=0000000a");
        assert_eq!(lines[1..], ["D,7,00000005,Expired,x,y", "X,7,0000000b", "T,7,0000000b,0000000a,3"]);
        assert_eq!(Record::file_name("e/1 x", ServerId(1)), "e_1_x-00000001.csv");
    }

    #[test]
    fn without_a_directory_nothing_is_kept() {
        let mut record = Record::off();
        record.event(Instant::now(), &Event::PeerUp { server: ServerId(1) });
        assert!(record.lines.is_empty() && record.flush().is_ok());
        let server = Server::new(crate::ServerConfig::default(), ServerId(1), 1);
        assert_eq!(record.table(Instant::now(), &server), None);
    }
}
