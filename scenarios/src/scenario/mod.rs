//! Scenario files: what runs, under which load, which faults come when, and what must hold afterwards.
//!
//! [`load`] takes the name of a built-in scenario or a file; its types are the schema, [`parse`] checks it. FORMATS.md has the keys.

mod assertions;
mod builtin;
mod check;
mod fault;
mod load;
mod locate;
mod parse;
#[cfg(test)]
mod tests;
mod types;

pub use assertions::{ASSERTIONS, Assertion, Bound, Outcome};
pub use builtin::{BUILT_IN, BuiltIn};
pub use fault::{Fault, FaultKind, Target};
pub use load::{HoldDistribution, Load, Mix, Step};
pub use parse::{ScenarioError, parse};
pub use types::{Controllers, Gateway, NameServer, NameServerKind, Population, Scenario};

use std::path::Path;

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
pub fn settings_error(text: &str, file: &str, problem: &str) -> ScenarioError {
    ScenarioError(locate::locate(text, file, problem))
}

/// The byte at which the value of a key (`as[0].dpc`) begins in a text; of what is around it when it is not there.
#[must_use]
pub fn place(text: &str, key: &str) -> usize {
    locate::find(text, key).value.start
}
