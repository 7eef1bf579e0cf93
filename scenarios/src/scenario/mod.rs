//! Scenario files: what runs, under which load, which faults come when, and what must hold afterwards.
//!
//! [`load`] takes the name of a built-in scenario or a file; [`parse`] is the schema with its checks. FORMATS.md has the keys.

mod assertions;
mod builtin;
mod load;
mod locate;
mod parse;

pub use assertions::{ASSERTIONS, Assertion, Bound, Outcome};
pub use builtin::{BUILT_IN, BuiltIn};
pub use load::{Load, Mix};
pub use parse::{ScenarioError, parse};

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A scenario that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Name, in the results and in the folder's name.
    pub name: String,
    /// One line: what it shows.
    pub description: String,
    /// How long load is offered, warm-up included, ms.
    pub duration_ms: u64,
    /// How long the calls may take to end after that, ms.
    pub drain_ms: u64,
    /// Seed of the load; `--seed` overrides it.
    pub seed: u64,
    /// Controllers in the pool: `gwc-1` to `gwc-N`.
    pub controllers: usize,
    /// Laid over each controller's configuration.
    pub controller_settings: toml::Table,
    /// Laid over the gateway's configuration.
    pub gateway_settings: toml::Table,
    /// The load.
    pub load: Load,
    /// Faults, in the order of their times.
    pub faults: Vec<Fault>,
    /// Limits by the name of the assertion ([`ASSERTIONS`]), defaults included.
    pub assertions: BTreeMap<String, f64>,
}

/// What can be done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL.
    Kill,
    /// SIGSTOP: the process hangs, its sockets stay.
    Stop,
    /// SIGCONT.
    Cont,
    /// SIGTERM: a clean end.
    Term,
    /// Starts the controller again, as a new process with a new PE identifier, at its address.
    Start,
    /// Takes a core away from everything for `duration_ms`.
    StealCore,
}

impl FaultKind {
    /// The word in scenario files, records and results.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Cont => "cont",
            Self::Term => "term",
            Self::Start => "start",
            Self::StealCore => "steal-core",
        }
    }
}

/// One fault of the time line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When, ms after the begin of the load.
    pub at_ms: u64,
    /// What.
    pub kind: FaultKind,
    /// To whom: index of the controller (0 is `gwc-1`); `None` for `steal-core`.
    pub controller: Option<usize>,
    /// `steal-core`: for how long, ms; 0 otherwise.
    pub duration_ms: u64,
}

impl Fault {
    /// The target's name in records and results.
    #[must_use]
    pub fn target(&self) -> String {
        self.controller.map_or_else(|| "machine".to_owned(), |index| format!("gwc-{}", index + 1))
    }
}

/// Reads a built-in scenario by name, or a file.
///
/// # Errors
/// There is no such scenario or file, or it is wrong.
pub fn load(name_or_file: &str) -> Result<Scenario, ScenarioError> {
    if let Some(built_in) = BUILT_IN.iter().find(|b| b.name == name_or_file) {
        return parse(built_in.text, &format!("<built-in {}>", built_in.name));
    }
    let path = Path::new(name_or_file);
    let looks_like_a_file = path.extension().is_some() || name_or_file.contains('/');
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, name_or_file),
        Err(error) if looks_like_a_file => Err(ScenarioError(format!("{name_or_file}: cannot read it: {error}"))),
        Err(_) => {
            let names: Vec<_> = BUILT_IN.iter().map(|b| b.name).collect();
            Err(ScenarioError(format!(
                "no scenario `{name_or_file}`: expected one of {}, or the path of a TOML file",
                names.join(", ")
            )))
        }
    }
}

/// The error of a scenario whose settings a daemon does not take, with the place in its file.
#[must_use]
pub fn settings_error(name_or_file: &str, problem: &str) -> ScenarioError {
    let built_in = BUILT_IN.iter().find(|b| b.name == name_or_file);
    let text =
        built_in.map_or_else(|| std::fs::read_to_string(name_or_file).unwrap_or_default(), |b| b.text.to_owned());
    ScenarioError(locate::locate(&text, name_or_file, problem))
}
