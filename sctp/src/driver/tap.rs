//! The capture tap.

use super::DriverCounters;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a capture cannot be made. An environment error (exit 3).
#[derive(Debug, thiserror::Error)]
#[error("cannot write the capture {path}: {source}; give a writable path or switch the capture off")]
pub struct TapError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes every datagram in and out to a pcapng file, in a thread of its own behind a bounded queue.
#[derive(Debug)]
pub struct Tap {}

impl Tap {
    /// Creates the file and starts the writer. `interface` becomes the capture's interface name.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(
        _path: &Path,
        _interface: &str,
        _queue_datagrams: usize,
        _counters: Arc<DriverCounters>,
    ) -> Result<Self, TapError> {
        todo!()
    }
}
