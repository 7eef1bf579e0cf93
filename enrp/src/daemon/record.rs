//! Append-only record files.

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

impl Write for RecordFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
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
