//! `sigpool replay`: sends the network's direction of a capture to a gateway with a pool, prints each answer beside the recorded one.

pub(crate) mod script;

use std::path::PathBuf;

/// What to replay and how; from the command line.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The capture file (pcap or pcapng), see [`crate::capture::read`].
    pub capture: PathBuf,
    /// 1.0 keeps the capture's timing, 2.0 is twice as fast; 0 sends without waiting.
    pub speed: f64,
    /// Where the files of the run go; `None`: `sigpool-out/replay-<time>/`.
    pub out: Option<PathBuf>,
}

/// Runs a replay to its end and gives the exit code of the process.
///
/// # Errors
/// A wrong capture ([`crate::runner::RunError::Usage`]), or the environment.
pub fn run(options: &ReplayOptions) -> Result<u8, crate::runner::RunError> {
    Err(crate::runner::RunError::Usage(format!("replay of {} is not there yet", options.capture.display())))
}
