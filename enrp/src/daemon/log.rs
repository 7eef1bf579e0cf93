//! The log, with a limit: what peers cause must not fill a disk or keep a thread busy.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{Metadata, callsite::Identifier};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines a second of each place in the code that logs. A flood of one kind hides no other.
const LINES_PER_S: u32 = 50;

/// Starts the log to standard error. One that was started before (a test, sigpool) stays.
pub(super) fn start(filter: EnvFilter) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Limited::new(io::stderr));
    let _ = log.with_ansi(io::stderr().is_terminal()).try_init();
}

/// What one place logged in its current second.
#[derive(Debug)]
struct Place {
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// Writes to what `inner` makes, within the limit; the first line after others were left out says how many.
#[derive(Debug)]
struct Limited<W> {
    inner: W,
    /// As many as there are places in the code.
    places: Mutex<HashMap<Identifier, Place>>,
}

impl<W> Limited<W> {
    fn new(inner: W) -> Self {
        Self { inner, places: Mutex::default() }
    }

    /// Whether a line of this place may be written, and how many were left out before it.
    fn take(&self, place: Identifier, now: Instant) -> Option<u64> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let found = places.entry(place).or_insert(Place { since: now, lines: 0, left_out: 0 });
        if now.saturating_duration_since(found.since) >= Duration::from_secs(1) {
            (found.since, found.lines) = (now, 0);
        }
        if found.lines >= LINES_PER_S {
            found.left_out += 1;
            return None;
        }
        found.lines += 1;
        Some(std::mem::take(&mut found.left_out))
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Limited<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(Some(self.inner.make_writer()))
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        let Some(left_out) = self.take(meta.callsite(), Instant::now()) else { return Line(None) };
        let mut writer = self.inner.make_writer_for(meta);
        if left_out > 0 {
            let _ = writeln!(writer, "{left_out} lines like the next one left out: over {LINES_PER_S} a second");
        }
        Line(Some(writer))
    }
}

/// One line, written or left out.
#[derive(Debug)]
struct Line<W>(Option<W>);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(bytes.len()), |writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_flood_of_one_kind_is_cut_and_counted_and_hides_no_other() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let limited = Arc::new(Limited::new(Shared(Arc::clone(&lines))));
        let log = tracing_subscriber::fmt().with_writer(Through(Arc::clone(&limited))).with_ansi(false).finish();
        tracing::subscriber::with_default(log, || {
            let flood = |times| (0..times).for_each(|i| tracing::warn!(i, "association refused"));
            flood(10_000);
            tracing::info!("something else");
            for place in limited.places.lock().unwrap().values_mut() {
                place.since -= Duration::from_secs(1);
            }
            flood(1);
        });
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert!(text.contains("something else"));
        // In a test that stands still for a second more may pass.
        let written = text.matches("association refused").count();
        assert!((51..1_000).contains(&written), "{written}");
        assert!(text.contains("lines like the next one left out"), "{}", text.lines().last().unwrap_or_default());
    }

    struct Through(Arc<Limited<Shared>>);

    impl<'a> MakeWriter<'a> for Through {
        type Writer = Line<Shared>;
        fn make_writer(&'a self) -> Self::Writer {
            self.0.make_writer()
        }
        fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
            self.0.make_writer_for(meta)
        }
    }

    #[derive(Clone)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Shared {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }
}
