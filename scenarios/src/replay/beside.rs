//! A run's folder as the thing to replay: its capture, and the configuration that its gateway and controllers had.

use crate::runner::RunError;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Sections of the gateway's configuration that come along; of each `[[as]]` all but its identity comes too.
const GATEWAY_SECTIONS: [&str; 2] = ["failover", "sctp"];
const AS_IDENTITY: [&str; 3] = ["pool", "routing_context", "dpc"];
/// Sections of the controllers' configuration that come along, and keys of them that do not.
const CONTROLLER_SECTIONS: [&str; 5] = ["call", "session", "m3ua", "pool", "sctp"];
/// How much a controller can do is no part of what it decides; and calls of the pool's own are not replayed.
const NOT_FOR_A_REPLAY: [(&str, &[&str]); 4] = [
    ("call", &["originate_per_s", "recorded_calls"]),
    ("session", &["capacity_per_s"]),
    ("m3ua", &["routing_context"]),
    ("pool", &["handle"]),
];

/// How the run was configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunFolder {
    /// Where that is known from.
    pub(crate) config: PathBuf,
    pub(crate) controllers: usize,
    /// Point codes of the pool and of the network.
    pub(crate) pool_pcs: Vec<u32>,
    pub(crate) network_pcs: Vec<u32>,
    pub(crate) gateway_settings: Table,
    pub(crate) controller_settings: Table,
}

/// The capture that `what` means: a file, or a run's folder with one; and the run's configuration, if it lies beside it.
///
/// # Errors
/// Usage: a folder without capture, or a configuration that is none.
pub(crate) fn find(what: &Path) -> Result<(PathBuf, Option<RunFolder>), RunError> {
    let (capture, folder) = if what.is_dir() {
        let capture = what.join("capture.pcapng");
        if !capture.exists() {
            let text = format!("{}: a folder without capture.pcapng; give a run's folder or a capture", what.display());
            return Err(RunError::Usage(text));
        }
        (capture, what.to_owned())
    } else {
        (what.to_owned(), what.parent().map(Path::to_owned).unwrap_or_default())
    };
    let config = folder.join("config");
    // Another capture than the run's, in the same folder, is not of the run.
    let is_of_run = capture.file_name().is_some_and(|name| name == "capture.pcapng");
    let run = if is_of_run && config.join("sg-1.toml").exists() { Some(read(config)?) } else { None };
    Ok((capture, run))
}

fn read(config: PathBuf) -> Result<RunFolder, RunError> {
    let gateway = table(&config.join("sg-1.toml"))?;
    let controllers = (1..).take_while(|n| config.join(format!("gwc-{n}.toml")).exists()).count();
    let controller = if controllers == 0 { Table::new() } else { table(&config.join("gwc-1.toml"))? };
    let application_server = gateway.get("as").and_then(|servers| servers.get(0)).and_then(Value::as_table);
    let network = gateway.get("network").and_then(Value::as_table);
    let mut gateway_settings = sections(&gateway, &GATEWAY_SECTIONS);
    if let Some(server) = application_server {
        let mut server = server.clone();
        AS_IDENTITY.iter().for_each(|key| drop(server.remove(*key)));
        gateway_settings.insert("as".into(), server.into());
    }
    let mut controller_settings = sections(&controller, &CONTROLLER_SECTIONS);
    for (section, keys) in NOT_FOR_A_REPLAY {
        if let Some(table) = controller_settings.get_mut(section).and_then(Value::as_table_mut) {
            keys.iter().for_each(|key| drop(table.remove(*key)));
        }
    }
    Ok(RunFolder {
        controllers: controllers.max(1),
        pool_pcs: codes(application_server, "dpc"),
        network_pcs: codes(network, "point_codes"),
        gateway_settings,
        controller_settings,
        config,
    })
}

fn table(path: &Path) -> Result<Table, RunError> {
    let wrong = |error: &dyn std::fmt::Display| {
        RunError::Usage(format!(
            "{}: {error}; it lies beside the capture, which is replayed as it says",
            path.display()
        ))
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    text.parse().map_err(|error: toml::de::Error| wrong(&error))
}

fn sections(config: &Table, names: &[&str]) -> Table {
    let found = names.iter().filter_map(|name| Some(((*name).to_owned(), config.get(*name)?.clone())));
    found.collect()
}

fn codes(table: Option<&Table>, key: &str) -> Vec<u32> {
    let codes = table.and_then(|table| table.get(key)).and_then(Value::as_array);
    codes.into_iter().flatten().filter_map(|code| u32::try_from(code.as_integer()?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_configuration_comes_along_without_what_is_its_own() {
        let folder = std::env::temp_dir().join(format!("sigpool-beside-{}", std::process::id()));
        let config = folder.join("config");
        std::fs::create_dir_all(&config).unwrap();
        assert!(find(&folder).unwrap_err().to_string().contains("without capture.pcapng"));
        std::fs::write(folder.join("capture.pcapng"), "").unwrap();
        assert_eq!(find(&folder).unwrap().1, None);
        let gateway = "[udp]\naddresses = [\"127.1.1.1\"]\n[failover]\ndead_ms = 400\n[[as]]\npool = \"P\"\nrouting_context = 9\n\
                       dpc = [2]\nt_r_ms = 77\n[network]\npoint_codes = [101, 102]\n";
        std::fs::write(config.join("sg-1.toml"), gateway).unwrap();
        let controller = "[node]\npe_id = 3\n[call]\nseed = 5\noriginate_per_s = 3.5\n[m3ua]\nrouting_context = 9\n";
        std::fs::write(config.join("gwc-1.toml"), controller).unwrap();
        std::fs::write(config.join("gwc-2.toml"), controller).unwrap();
        let (capture, run) = find(&folder.join("capture.pcapng")).unwrap();
        let run = run.unwrap();
        assert_eq!((capture, run.controllers), (folder.join("capture.pcapng"), 2));
        assert_eq!((&run.pool_pcs[..], &run.network_pcs[..]), (&[2][..], &[101, 102][..]));
        assert_eq!(
            run.gateway_settings,
            toml::toml! {
                [failover]
                dead_ms = 400
                [as]
                t_r_ms = 77
            }
        );
        assert_eq!(
            run.controller_settings,
            toml::toml! {
                [call]
                seed = 5
                [m3ua]
            }
        );
        std::fs::write(config.join("gwc-1.toml"), "call = [").unwrap();
        assert!(find(&folder).unwrap_err().to_string().contains("gwc-1.toml"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
