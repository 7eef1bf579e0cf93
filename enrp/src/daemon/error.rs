//! Why a daemon ends, and its exit status.

use std::process::ExitCode;

/// Why a daemon could not start or go on. The text says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Wrong configuration or usage: exit 2, nothing was started.
    #[error("{0}")]
    Config(String),
    /// The environment: port in use, file not writable: exit 3.
    #[error("{0}")]
    Environment(String),
    /// A fault of ours: exit 1.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl DaemonError {
    /// Exit status: 2 configuration, 3 environment, 1 internal.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Environment(_) => 3,
            Self::Internal(_) => 1,
        }
    }
    /// The same as an [`ExitCode`].
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl From<sctp::driver::BindError> for DaemonError {
    fn from(error: sctp::driver::BindError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<sctp::driver::TapError> for DaemonError {
    fn from(error: sctp::driver::TapError) -> Self {
        Self::Environment(error.to_string())
    }
}
