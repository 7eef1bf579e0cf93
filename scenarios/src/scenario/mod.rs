//! Scenario files: what runs, under which load, which faults come when, and what must hold afterwards.
//!
//! [`load`] takes the name of a built-in scenario; [`Scenario`] and its parts are the schema, [`parse`] checks it. FORMATS.md has the keys.

mod assertions;
mod builtin;
mod check;
mod fault;
mod gateways;
mod impairment;
mod load;
mod locate;
mod parse;
mod pools;
#[cfg(test)]
mod pools_tests;
#[cfg(test)]
mod tests;
mod timeline;
mod types;

pub use assertions::{ASSERTIONS, Assertion, Bound, Outcome};
pub use builtin::{BUILT_IN, BuiltIn};
pub use fault::{Direction, Fault, FaultKind, Target};
pub use impairment::{Impairment, Wanted};
pub use load::{HoldDistribution, Load, Mix, Step};
pub use parse::{ScenarioError, parse};
pub use pools::{Expect, Scope};
pub use types::{Controllers, Gateway, NameServer, NameServerKind, Population, Resolver, Scenario};

/// Reads a built-in scenario by name. Files are for [`crate::check::scenario`], which says everything that is wrong in one.
///
/// # Errors
/// There is none of this name.
pub fn load(name: &str) -> Result<Scenario, ScenarioError> {
    let built_in = BUILT_IN.iter().find(|b| b.name == name);
    let built_in = built_in.ok_or_else(|| ScenarioError(format!("no scenario `{name}` is built in")))?;
    parse(built_in.text, &format!("<built-in {name}>"))
}

/// The error of a scenario whose settings a daemon does not take, with the place in its file.
#[must_use]
pub fn settings_error(text: &str, file: &str, problem: &str) -> ScenarioError {
    ScenarioError(locate::locate(text, file, problem))
}

/// The byte at which the value of a key (`as[0].dpc`) begins in a text; of what is around it when it is not there.
#[must_use]
pub fn place(text: &str, key: &str) -> usize {
    locate::find(text, key).value.start
}
