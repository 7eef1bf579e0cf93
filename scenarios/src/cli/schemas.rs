//! `sigpool schema`.

use super::say;
use crate::results;
use crate::runner::RunError;
use crate::schema::{FILE_KINDS, describe, find, keys, list as lines, not_found};
use clap::builder::PossibleValuesParser;
use std::path::Path;

/// Files that people write come first, then those that a run writes.
pub(super) fn names() -> PossibleValuesParser {
    let written = FILE_KINDS.iter().map(|kind| kind.as_str());
    PossibleValuesParser::new(written.chain(results::schema_files().map(|(file, _)| stem(file))))
}

/// `results` of `results.schema.json`.
fn stem(file: &'static str) -> &'static str {
    file.split('.').next().unwrap_or(file)
}

/// Prints a schema, or one key, or all keys.
pub(super) fn print(name: &str, key: Option<&str>, list: bool) -> Result<u8, RunError> {
    let Some(kind) = FILE_KINDS.iter().copied().find(|kind| kind.as_str() == name) else {
        if key.is_some() || list {
            let problem = "has no keys that people set; FORMATS.md has its fields, the schema without --key and --list";
            return Err(RunError::Usage(format!("{name} {problem}")));
        }
        let file = results::schema_files().into_iter().find(|(file, _)| stem(file) == name);
        say(file.map_or(String::new(), |(_, text)| text).trim_end());
        return Ok(0);
    };
    let all = keys(&kind.schema());
    let text = match key {
        Some(path) => {
            let key = find(&all, path).ok_or_else(|| RunError::Usage(not_found(kind, &all, path)))?;
            describe(kind, &all, key)
        }
        None if list => lines(kind, &all),
        None => kind.text(),
    };
    say(text.trim_end());
    Ok(0)
}

/// Writes all of them into a folder.
pub(super) fn write(folder: &Path) -> Result<u8, RunError> {
    let write = |path: &Path, text: &str| std::fs::write(path, text).map(|()| say(&path.display().to_string()));
    let all = std::fs::create_dir_all(folder)
        .and_then(|()| FILE_KINDS.iter().try_for_each(|kind| write(&folder.join(kind.file_name()), &kind.text())))
        .and_then(|()| results::schema_files().iter().try_for_each(|(name, text)| write(&folder.join(name), text)));
    let problem = |e| RunError::Environment(format!("{}: {e}; give a writable folder with --write", folder.display()));
    all.map(|()| 0).map_err(problem)
}
