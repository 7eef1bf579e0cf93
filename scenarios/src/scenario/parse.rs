//! From the text of a scenario file to a [`Scenario`]. Every error names file, line, column, key, and what was expected.

use super::check::{Problem, check};
use super::locate::{find, line_column};
use super::{ASSERTIONS, Scenario};

/// A scenario that cannot be used, in words for the one who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(pub String);

/// Parses and checks a scenario; `file` stands for it in errors.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(text: &str, file: &str) -> Result<Scenario, ScenarioError> {
    let mut scenario: Scenario = toml::from_str(text).map_err(|error| {
        let offset = error.span().unwrap_or(0..0).start.min(text.len());
        let key = key_at(text, offset);
        let key = if key.is_empty() { key } else { format!(" {key}:") };
        let message = error.message().replace('\n', "; ");
        ScenarioError(format!("{file}:{}:{key} {message}", line_column(text, offset)))
    })?;
    // As they stand in the file: their order gives a fault that is wrong its place.
    check(&scenario).map_err(|problem| placed(text, file, &problem))?;
    scenario.faults.sort_by_key(|fault| fault.at_ms);
    for assertion in ASSERTIONS {
        if let Some(limit) = assertion.default {
            scenario.assertions.entry(assertion.name.to_owned()).or_insert(limit);
        }
    }
    Ok(scenario)
}

impl Scenario {
    /// Ends the load earlier (or later): `--duration`.
    ///
    /// # Errors
    /// A fault would come after the load, or the duration itself is not possible.
    pub fn set_duration(&mut self, duration_ms: u64) -> Result<(), ScenarioError> {
        if let Some(fault) = self.faults.iter().find(|fault| fault.at_ms >= duration_ms) {
            return Err(ScenarioError(format!(
                "--duration {duration_ms}: {} of {} at {} ms would come after the load; expected more than that",
                fault.kind.as_str(),
                fault.target,
                fault.at_ms
            )));
        }
        self.duration_ms = duration_ms;
        check(self).map_err(|problem| ScenarioError(format!("--duration: {}", problem.text)))
    }

    /// The whole scenario as a file that parses back to it: defaults and overrides filled in.
    ///
    /// # Errors
    /// A number that TOML does not have (over 2^63 - 1).
    pub fn to_toml(&self) -> Result<String, ScenarioError> {
        toml::to_string(self).map_err(|error| ScenarioError(error.to_string()))
    }
}

fn placed(text: &str, file: &str, problem: &Problem) -> ScenarioError {
    let place = find(text, &problem.path);
    let offset = if problem.key { place.key.start } else { place.value.start };
    // Without indexes: the line says which one it is.
    let path: String =
        problem.path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
    ScenarioError(format!("{file}:{}: {path}: {}", line_column(text, offset), problem.text))
}

/// The key on the line of an error, with the table it is in.
fn key_at(text: &str, offset: usize) -> String {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim();
    let header = |line: &str| line.trim().trim_matches(['[', ']']).to_owned();
    if line.starts_with('[') {
        return header(line);
    }
    let table = before.lines().rev().find(|l| l.trim_start().starts_with('[') && !l.contains('=')).map(header);
    let key = line.split_once('=').map(|(key, _)| key.trim());
    match (table, key) {
        (Some(table), Some(key)) => format!("{table}.{key}"),
        (Some(table), None) => table,
        (None, Some(key)) => key.to_owned(),
        (None, None) => String::new(),
    }
}
