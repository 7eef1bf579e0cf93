//! `sigpool check FILE`: everything that is wrong in a scenario or in a daemon's configuration, each with its place; and the
//! verdict of a run again from its folder.

use crate::population;
use crate::runner::{self, RunError};
use crate::scenario::{self, BUILT_IN, Scenario};
use crate::schema::{self, FILE_KINDS, FileKind, Problem, line_column};
use enrp::ConfigError;
use serde::de::DeserializeOwned;
use std::path::Path;
use toml::de::DeTable;

/// A scenario that is right, or all that is wrong with it.
///
/// # Errors
/// [`RunError::Usage`]: there is no such scenario or file, or what is wrong in it, a line each. [`RunError::Environment`]: no
/// permission to read it.
pub fn scenario(name_or_file: &str) -> Result<Scenario, RunError> {
    let text = match BUILT_IN.iter().find(|b| b.name == name_or_file) {
        Some(built_in) => built_in.text.to_owned(),
        None => read(name_or_file)?,
    };
    let checked = check_scenario(&text, name_or_file);
    checked.map_err(|problems| RunError::Usage(problems.join("\n")))
}

/// Reads a file that the user named; a name that is no file must be meant as a scenario.
fn read(name_or_file: &str) -> Result<String, RunError> {
    let path = Path::new(name_or_file);
    let looks_like_a_file = path.extension().is_some() || name_or_file.contains('/');
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if looks_like_a_file || error.kind() != std::io::ErrorKind::NotFound => Err(RunError::of_file(
            path,
            &error,
            "give the path of a TOML file, or the name of a scenario (`sigpool list`)",
        )),
        Err(_) => {
            let names: Vec<_> = BUILT_IN.iter().map(|b| b.name).collect();
            let near = schema::suggestion(name_or_file, &names);
            let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            Err(RunError::Usage(format!(
                "no scenario `{name_or_file}`: {near}expected one of {}, or the path of a TOML file",
                names.join(", ")
            )))
        }
    }
}

/// Checks files one after the other and says what they are.
///
/// # Errors
/// At least one is wrong: all problems of all files, a line each, then what the files were taken for.
pub fn files(names: &[String], kind: Option<FileKind>, mut say: impl FnMut(&str)) -> Result<(), RunError> {
    let mut wrong = Vec::new();
    for name in names {
        let built_in = BUILT_IN.iter().find(|b| b.name == name);
        let text = built_in.map_or_else(|| read(name), |b| Ok(b.text.to_owned()))?;
        let kind = match kind {
            Some(kind) => kind,
            None => kind_of(&text).ok_or_else(|| {
                let words: Vec<_> = FILE_KINDS.iter().map(|kind| kind.as_str()).collect();
                RunError::Usage(format!("{name}: cannot tell what file this is; say --as {}", words.join("|")))
            })?,
        };
        match check_text(&text, name, kind) {
            Ok(what) => say(&format!("{name}: {what}")),
            Err(problems) => {
                let count =
                    if problems.len() == 1 { "1 problem".to_owned() } else { format!("{} problems", problems.len()) };
                wrong.extend(problems);
                wrong.push(format!("{name}: {count}; it was taken for: {} (--as says otherwise)", kind.as_str()));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(RunError::Usage(wrong.join("\n"))) }
}

/// What a file is: by the schema it names in its first lines, or by the keys that only one kind has.
fn kind_of(text: &str) -> Option<FileKind> {
    let named = text.lines().take_while(|line| line.starts_with('#') || line.trim().is_empty());
    let named = named.filter_map(|line| line.strip_prefix("#:schema")).find_map(|path| {
        let path = path.trim();
        FILE_KINDS.iter().copied().find(|kind| path.rsplit('/').next() == Some(&kind.file_name()))
    });
    if named.is_some() {
        return named;
    }
    let (root, _) = DeTable::parse_recoverable(text);
    let known = |kind: FileKind| {
        let schema = kind.schema();
        root.get_ref().keys().filter(|key| schema["properties"].get(key.get_ref().as_ref()).is_some()).count()
    };
    let counts: Vec<_> = FILE_KINDS.iter().map(|&kind| (known(kind), kind)).collect();
    let most = counts.iter().map(|(count, _)| *count).max().filter(|most| *most > 0)?;
    let mut best = counts.iter().filter(|(count, _)| *count == most).map(|(_, kind)| *kind);
    // Two kinds that fit equally well: someone else must say.
    best.next().filter(|_| best.next().is_none())
}

/// Checks a text; says what it is when it is right.
///
/// # Errors
/// What is wrong, each `file:line:column: key: what`.
pub fn check_text(text: &str, file: &str, kind: FileKind) -> Result<String, Vec<String>> {
    match kind {
        FileKind::Scenario => check_scenario(text, file)
            .map(|scenario| format!("scenario `{}` is right: {}", scenario.name, scenario.description)),
        FileKind::Sg => daemon(text, file, kind, sg::Config::check),
        FileKind::GwcPe => daemon(text, file, kind, gwc_pe::config::Config::check),
        FileKind::Enrp => daemon(text, file, kind, enrp::server_daemon::check),
        FileKind::Population => daemon(text, file, kind, population::Config::check),
    }
}

fn check_scenario(text: &str, file: &str) -> Result<Scenario, Vec<String>> {
    let problems = schema::problems(&FileKind::Scenario.schema(), text);
    let parsed = scenario::parse(text, file).map_err(|error| error.to_string()).and_then(|scenario| {
        let tried = runner::check(&scenario);
        tried.map_err(|error| scenario::settings_error(text, file, &error.to_string()).to_string())?;
        Ok(scenario)
    });
    together(&problems, text, file, parsed)
}

fn daemon<C: DeserializeOwned>(
    text: &str,
    file: &str,
    kind: FileKind,
    check: impl Fn(&C) -> Result<(), ConfigError>,
) -> Result<String, Vec<String>> {
    let problems = schema::problems(&kind.schema(), text);
    let parsed = enrp::daemon::parse(text, file).map_err(|error| error.to_string()).and_then(|config: C| {
        check(&config).map_err(|error| {
            let at = scenario::place(text, &error.key);
            line(text, file, &Problem { at, key: error.key, what: error.problem })
        })
    });
    together(&problems, text, file, parsed).map(|()| format!("{} is right", kind.title()))
}

/// What the schema found, and what the parser and the rules between keys found when that is about another line.
fn together<T>(problems: &[Problem], text: &str, file: &str, parsed: Result<T, String>) -> Result<T, Vec<String>> {
    let mut lines: Vec<_> = problems.iter().map(|problem| line(text, file, problem)).collect();
    match parsed {
        Ok(value) if lines.is_empty() => Ok(value),
        Ok(_) => Err(lines),
        Err(other) => {
            let place = |line: &str| line.strip_prefix(file)?.split(':').nth(1)?.parse::<usize>().ok();
            if !lines.iter().any(|line| place(line) == place(&other)) {
                lines.push(other);
            }
            Err(lines)
        }
    }
}

fn line(text: &str, file: &str, problem: &Problem) -> String {
    let (line, column) = line_column(text, problem.at);
    let key = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
    format!("{file}:{line}:{column}: {key}{}", problem.what)
}

#[cfg(test)]
mod tests;
