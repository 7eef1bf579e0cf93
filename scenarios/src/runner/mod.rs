//! Runs a scenario: configuration files, processes, load, faults; after that the checker and the verdict.
//!
//! [`lab`] is the gateway with its pool as processes, [`traffic`] what feeds it, [`play`] puts a scenario's time line over both.

pub mod address;
pub mod admin;
mod config;
mod journal;
pub mod lab;
pub mod machine;
mod plan;
mod play;
mod process;
mod relay;
mod run;
mod sampler;
mod screen;
pub mod traffic;

pub use plan::check;
pub use relay::RelayReport;
pub use run::{RunOptions, out_folder, run};

/// Why a run could not take place; each kind has its exit code.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Wrong scenario, capture or argument: exit 2.
    #[error("{0}")]
    Usage(String),
    /// The machine does not give what is needed (port in use, file not writable, a process that does not start): exit 3.
    #[error("{0}")]
    Environment(String),
    /// Ctrl-C: exit 130.
    #[error("interrupted")]
    Interrupted,
}

impl RunError {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Environment(_) => 3,
            Self::Interrupted => 130,
        }
    }
}
