//! The directory of the selection plug-ins.

use super::DaemonError;
use crate::plugin::{PluginFiles, PluginsConfig, built_in, is_name};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Longest file of a table.
const TABLE_BYTES_MAX: usize = 16 << 20;

/// Reads the plug-ins that some pool has, and all tables.
///
/// # Errors
/// Configuration: a file that is not there or is too long. Environment: one that cannot be read.
pub fn read_plugins(config: &PluginsConfig) -> Result<PluginFiles, DaemonError> {
    let mut files = PluginFiles::default();
    if config.pools.is_empty() {
        return Ok(files);
    }
    for rule in &config.pools {
        if files.plugins.contains_key(&rule.plugin) {
            continue;
        }
        let path = |ending: &str| config.directory.join(format!("{}.{ending}", rule.plugin));
        let (wasm, wat) = (path("wasm"), path("wat"));
        let mut file = None;
        if !config.directory.as_os_str().is_empty() {
            file = read(&wasm, config.module_bytes_max)?;
            if file.is_none() {
                file = read(&wat, config.module_bytes_max)?;
            }
        }
        let Some(file) = file.or_else(|| built_in(&rule.plugin).map(Into::into)) else {
            let problem = format!("plugins.pools: there is neither {} nor {}", wasm.display(), wat.display());
            return Err(DaemonError::Config(problem));
        };
        files.plugins.insert(rule.plugin.clone(), file);
    }
    if config.directory.as_os_str().is_empty() {
        return Ok(files);
    }
    for entry in fs::read_dir(&config.directory).map_err(|error| unreadable(&config.directory, &error))? {
        let path = entry.map_err(|error| unreadable(&config.directory, &error))?.path();
        if path.extension().is_none_or(|ending| ending != "table") {
            continue;
        }
        let name = path.file_stem().and_then(|name| name.to_str()).filter(|name| is_name(name));
        let Some(name) = name else {
            let problem = format!("{}: a table's name has letters, digits, - and _ only", path.display());
            return Err(DaemonError::Config(problem));
        };
        let text = read(&path, TABLE_BYTES_MAX)?.unwrap_or_default();
        let text = String::from_utf8(text)
            .map_err(|_| DaemonError::Config(format!("{}: expected text in UTF-8", path.display())))?;
        files.tables.insert(name.to_owned(), text);
    }
    Ok(files)
}

/// None: there is no such file.
fn read(path: &Path, most: usize) -> Result<Option<Vec<u8>>, DaemonError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() > most {
        let problem = format!("{}: longer than {most} bytes (plugins.module_bytes_max)", path.display());
        return Err(DaemonError::Config(problem));
    }
    Ok(Some(bytes))
}

fn unreadable(path: &Path, error: &std::io::Error) -> DaemonError {
    DaemonError::Environment(format!("{}: cannot read it: {error}; make it readable", path.display()))
}
