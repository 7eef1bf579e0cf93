//! Runs a scenario: configuration files, processes, load, faults; after that the checker and the verdict.
//!
//! [`lab`] is the gateway with its pool as processes, [`traffic`] what feeds it, `play` puts a scenario's time line over both.

pub mod address;
pub mod admin;
mod config;
mod dry_run;
mod gateways;
mod journal;
pub mod lab;
mod lab_network;
pub mod machine;
mod names;
mod plan;
mod play;
mod population;
mod process;
mod relay;
mod run;
mod sampler;
mod scopes;
mod screen;
pub mod traffic;

pub use dry_run::dry_run;
pub(crate) use plan::POOL_PC;
pub use plan::check;
pub use relay::RelayReport;
pub use run::{RunOptions, out_folder, run};

use std::io;
use std::path::Path;

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
    /// A file that the user named and that cannot be read: a wrong name is a wrong argument (exit 2), a right one that may not be
    /// read is the environment's (exit 3).
    #[must_use]
    pub fn of_file(path: &Path, error: &io::Error, remedy: &str) -> Self {
        let file = path.display();
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Self::Environment(format!("{file}: cannot read it: {error}; make it readable for this user"));
        }
        Self::Usage(format!("{file}: cannot read it: {error}; {remedy}"))
    }

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
