//! The configuration file.

use super::DaemonError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The table `[daemon]` of every daemon's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaemonConfig {
    /// Admin HTTP: a loopback `ADDRESS:PORT`, or `unix:/path`. Empty: off.
    pub admin: String,
    /// A clean stop may take this long after SIGTERM or SIGINT; then the program ends anyway.
    pub stop_ms: u64,
    /// End (SIGTERM) when the parent process ends, however it ends. For programs that sigpool starts.
    pub die_with_parent: bool,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self { admin: String::new(), stop_ms: 2_000, die_with_parent: false }
    }
}

/// Loads a file. Unknown keys are refused if the type says so (`deny_unknown_fields`).
///
/// # Errors
/// [`DaemonError::Config`] with file, line, column, key, what was expected.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, DaemonError> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        DaemonError::Config(format!("{}: cannot read it: {e}; give a readable file with --config", path.display()))
    })?;
    parse(&text, &path.display().to_string())
}

/// Parses a text; `name` stands for the file in errors.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, DaemonError> {
    toml::from_str(text).map_err(|error| DaemonError::Config(describe(&error, text, name)))
}

fn describe(_error: &toml::de::Error, _text: &str, _name: &str) -> String {
    todo!()
}

/// For tests: the commented default text (`--print-config`) parses to the default, and names every key.
///
/// # Panics
/// When it does not.
pub fn assert_default_text<T: DeserializeOwned + Serialize + Default>(_text: &str) {
    todo!()
}
