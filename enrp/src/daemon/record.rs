//! Append-only record files, and where a record goes.

use super::DaemonError;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that is only appended to: [`append`](Self::append) collects, [`flush`](Self::flush) hands it to the kernel in one
/// `write(2)`. What was flushed survives `kill -9` (not a power failure; nothing calls fsync).
///
/// A node's shell calls `flush` in `Node::flush`, so the record is written before anything that depends on it is sent.
#[derive(Debug)]
pub struct RecordFile {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
}

impl RecordFile {
    /// Creates the file (and its directory); an old one with that name is emptied.
    ///
    /// # Errors
    /// [`DaemonError::Environment`].
    pub fn create(path: &Path) -> Result<Self, DaemonError> {
        let make = || {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            File::create(path)
        };
        let file = make().map_err(|e| {
            DaemonError::Environment(format!("cannot create {}: {e}; give a writable directory", path.display()))
        })?;
        Ok(Self { path: path.to_owned(), file, pending: Vec::new() })
    }

    /// Adds bytes, usually one line with its line feed.
    pub fn append(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Writes what was appended. Does nothing when there is nothing.
    ///
    /// # Errors
    /// The write failed (disk full): the text names the file. The program must end: its record is not complete.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.pending);
        self.pending.clear();
        result.map_err(|e| io::Error::new(e.kind(), format!("cannot write {}: {e}", self.path.display())))
    }
}

/// Where a node's record goes.
#[derive(Debug)]
pub enum RecordSink {
    /// Nowhere.
    Off,
    /// Into memory: simulations and tests.
    Memory(Vec<u8>),
    /// To a file.
    File(RecordFile),
}

impl RecordSink {
    /// The file `name` in `directory`; nowhere when that is empty.
    ///
    /// # Errors
    /// As [`RecordFile::create`].
    pub fn in_directory(directory: &Path, name: &str) -> Result<Self, DaemonError> {
        if directory.as_os_str().is_empty() {
            return Ok(Self::Off);
        }
        RecordFile::create(&directory.join(name)).map(Self::File)
    }

    /// Whether a record is wanted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Writes lines; with a file in one `write(2)`.
    ///
    /// # Errors
    /// As [`RecordFile::flush`].
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Off => Ok(()),
            Self::Memory(memory) => {
                memory.extend_from_slice(lines);
                Ok(())
            }
            Self::File(file) => {
                file.append(lines);
                file.flush()
            }
        }
    }

    /// What was written to memory ([`RecordSink::Memory`]), else nothing.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        match self {
            Self::Memory(memory) => memory,
            Self::Off | Self::File(_) => &[],
        }
    }
}

/// The lines of a record since the last flush, and where they go.
#[derive(Debug)]
pub struct RecordLines {
    sink: RecordSink,
    lines: Vec<u8>,
}

impl RecordLines {
    /// No lines yet.
    #[must_use]
    pub fn new(sink: RecordSink) -> Self {
        Self { sink, lines: Vec::new() }
    }

    /// Whether a record is wanted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.sink.is_on()
    }

    /// Nothing waits for the next flush.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds what `write` writes, if a record is wanted.
    pub fn line(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        if self.sink.is_on() {
            // Writing to a Vec cannot fail.
            let _ = write(&mut self.lines);
        }
    }

    /// Writes what there is.
    ///
    /// # Errors
    /// As [`RecordSink::write`]: the record is not complete, the program must end.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let result = self.sink.write(&self.lines);
        self.lines.clear();
        result
    }

    /// What was flushed to memory ([`RecordSink::Memory`]), else nothing.
    #[must_use]
    pub fn memory(&self) -> &[u8] {
        self.sink.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_before_flush_and_all_after() {
        let path = std::env::temp_dir().join(format!("sigpool-record-{}/a/r.csv", std::process::id()));
        let mut record = RecordFile::create(&path).unwrap();
        record.append(b"one\n");
        record.append(b"two\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        record.flush().unwrap();
        record.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        std::fs::remove_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
    }

    #[test]
    fn an_unwritable_place_is_an_environment_error() {
        let error = RecordFile::create(Path::new("/proc/nowhere/r.csv")).unwrap_err();
        assert_eq!(error.code(), 3);
        assert!(error.to_string().contains("/proc/nowhere/r.csv"), "{error}");
    }

    #[test]
    fn a_full_disk_names_the_file() {
        let mut record = RecordFile::create(Path::new("/dev/full")).unwrap();
        record.append(b"x");
        assert!(record.flush().unwrap_err().to_string().contains("/dev/full"));
    }
}
