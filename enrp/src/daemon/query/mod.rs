//! `enrp dump` and `enrp peers`: what a running name server knows, asked from its admin server. Others that ask a daemon use
//! [`Admin`] and [`Table`] too.

mod ask;
mod dump;
mod table;

use super::DaemonError;
pub use ask::Admin;
use clap::FromArgMatches;
use serde_json::Value;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
pub use table::Table;

// No doc comment: it would be the help of the daemon.
#[derive(Debug, clap::Subcommand)]
enum Question {
    /// Show the handlespace of a running name server: every pool element, as a table.
    ///
    /// It is read in pages of 250 elements, so that the server goes on meanwhile; what comes and goes during that time may be missing.
    #[command(after_help = "Examples, with [daemon] admin = \"127.0.0.1:9880\":
  enrp dump --admin 127.0.0.1:9880
  enrp dump --admin 127.0.0.1:9880 --pool GatewayPool
  enrp dump --admin unix:/run/enrp.sock --scope carrier-b --json | jq '.elements | length'")]
    Dump {
        #[command(flatten)]
        from: From,
        /// Only the elements of this pool.
        #[arg(long, value_name = "HANDLE")]
        pool: Option<String>,
    },
    /// Show what a running name server knows of its peers.
    #[command(after_help = "Examples, with [daemon] admin = \"127.0.0.1:9880\":
  enrp peers --admin 127.0.0.1:9880
  enrp peers --admin 127.0.0.1:9880 --json | jq '.[].id'")]
    Peers {
        #[command(flatten)]
        from: From,
    },
}

/// Whom to ask, and how to show it.
#[derive(Debug, clap::Args)]
struct From {
    /// Admin address of the server as its configuration has it: ADDRESS:PORT or unix:/path.
    #[arg(long, value_name = "ADDRESS")]
    admin: String,
    /// The operation scope, when the process serves several (`node.name`).
    #[arg(long, value_name = "NAME")]
    scope: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The command line of the daemon with these questions in it.
#[must_use]
pub(crate) fn with_questions(daemon: clap::Command) -> clap::Command {
    <Question as clap::Subcommand>::augment_subcommands(daemon).subcommand_required(false)
}

/// Whether the process was started to ask, or to say what can be asked: by these words in place of a daemon's options.
#[must_use]
pub(crate) fn asks(words: &[OsString]) -> bool {
    words.get(1).is_some_and(|word| ["dump", "peers", "help", "--help", "-h"].iter().any(|known| word == known))
}

/// Asks, shows the answer, and gives the exit status: 0, 2 (usage, no such pool), 3 (nobody answers).
#[must_use]
pub(crate) fn main(command: clap::Command, words: Vec<OsString>) -> ExitCode {
    let question = command.try_get_matches_from(words);
    match question.and_then(|matches| Question::from_arg_matches(&matches)) {
        Ok(question) => match run(question) {
            Ok(text) => {
                // A closed pipe (`| head`) is no error.
                let _ = std::io::stdout().lock().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "enrp: {error}");
                error.exit_code()
            }
        },
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn run(question: Question) -> Result<String, DaemonError> {
    match question {
        Question::Dump { from, pool } => {
            let admin = Admin::new("a name server", &from.admin, from.scope.as_deref())?;
            let dump = dump::read(&admin, pool.as_deref())?;
            if from.json { json(&dump.to_value()) } else { Ok(dump.to_table()) }
        }
        Question::Peers { from } => {
            let admin = Admin::new("a name server", &from.admin, from.scope.as_deref())?;
            let state = admin.get("/state")?;
            let peers = all_peers(&state)?;
            if from.json { json(&peers) } else { Ok(table_of_peers(&peers)) }
        }
    }
}

/// JSON for people and programs, with a line end.
///
/// # Errors
/// Never for a value that was JSON.
pub fn json(value: &Value) -> Result<String, DaemonError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| DaemonError::Internal(error.to_string()))?;
    Ok(text + "\n")
}

/// The peers in `/state`.
fn peers(state: &Value) -> Result<&Value, DaemonError> {
    if let Some(scopes) = state.get("scopes").and_then(Value::as_array) {
        let names: Vec<_> = scopes.iter().filter_map(|scope| scope.get("name")?.as_str()).collect();
        return Err(DaemonError::Config(format!("--scope: there are several: {}", names.join(", "))));
    }
    // A gateway says what they are peers of.
    let places =
        [state.get("peers"), state.get("enrp_peers"), state.get("server").and_then(|server| server.get("peers"))];
    places.into_iter().flatten().next().ok_or_else(|| {
        DaemonError::Config("--admin: what answers there is no name server with peers; give that of `enrp`".to_owned())
    })
}

/// The peers, and the configured addresses where nobody is.
fn all_peers(state: &Value) -> Result<Value, DaemonError> {
    let mut peers = peers(state)?.clone();
    let places = [
        state.get("peers_unreached"),
        state.get("enrp_peers_unreached"),
        state.get("server").and_then(|server| server.get("peers_unreached")),
    ];
    let unreached = places.into_iter().flatten().filter_map(Value::as_array).flatten();
    if let Some(list) = peers.as_array_mut() {
        list.extend(
            unreached.map(|address| serde_json::json!({"id": null, "address": address, "status": "not reached"})),
        );
    }
    Ok(peers)
}

fn table_of_peers(peers: &Value) -> String {
    // An array, or an object with what is known of all of them and the array in it.
    let list = peers.as_array().or_else(|| peers.get("peers").and_then(Value::as_array));
    let rows = list.map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "no peers\n".to_owned();
    }
    let mut columns: Vec<&str> = Vec::new();
    for key in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    // Who it is comes first.
    columns.sort_by_key(|column| *column != "id");
    let mut table = Table::new(columns.iter().map(|column| column.to_uppercase()));
    for row in rows {
        table.row(columns.iter().map(|column| row.get(column).map_or_else(String::new, text)));
    }
    table.to_string()
}

/// A value as people write it.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn peers_are_found_where_they_are_and_shown_with_all_that_is_known() {
        let list = json!([{"addresses": ["127.0.0.2"], "id": "2", "state": "active"}, {"id": "3", "heard_ms": null}]);
        for state in [json!({"name": "a", "peers": list}), json!({"name": "a", "server": {"peers": list}})] {
            let table = table_of_peers(peers(&state).unwrap());
            let lines: Vec<_> = table.lines().collect();
            assert!(lines[0].starts_with("ID") && lines[0].contains("HEARD_MS"), "{table}");
            assert!(lines[1].starts_with('2') && lines[1].contains("127.0.0.2"), "{table}");
            assert!(lines[2].starts_with('3') && lines[2].contains('-'), "{table}");
        }
        assert_eq!(table_of_peers(&json!([])), "no peers\n");
        let nobody = json!({"server": {"peers": [], "peers_unreached": ["127.0.0.2:9901"]}});
        let table = table_of_peers(&all_peers(&nobody).unwrap());
        assert!(table.contains("127.0.0.2:9901") && table.contains("not reached"), "{table}");
        let error = peers(&json!({"scopes": [{"name": "a"}, {"name": "b"}]})).unwrap_err();
        assert!(error.code() == 2 && error.to_string().contains("a, b"), "{error}");
        assert!(peers(&json!({"pools": []})).unwrap_err().to_string().contains("--admin"));
    }

    #[test]
    fn the_command_line_has_the_daemon_and_the_questions() {
        let command = || with_questions(clap::Command::new("enrp").arg(clap::arg!(--config <FILE>)));
        command().debug_assert();
        assert!(command().try_get_matches_from(["enrp", "--config", "x"]).is_ok());
        assert!(command().try_get_matches_from(["enrp", "dump", "--admin", "127.0.0.1:1", "--json"]).is_ok());
        assert_eq!(command().try_get_matches_from(["enrp", "dump"]).unwrap_err().exit_code(), 2);
    }
}
