//! The configuration file.

use super::DaemonError;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toml::de::DeTable;

/// The table `[daemon]` of every daemon's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DaemonConfig {
    /// Admin HTTP: a loopback `ADDRESS:PORT`, or `unix:/path`. Empty: off.
    #[schemars(example = &"127.0.0.1:9880", example = &"unix:/run/sg.sock")]
    pub admin: String,
    /// A clean stop may take this long after SIGTERM or SIGINT; then the program ends anyway.
    pub stop_ms: u64,
    /// The process that starts this one: when it ends, however it ends, this one does too (SIGKILL, which a stopped process obeys).
    /// For programs that sigpool starts. 0: off. The kernel means the *thread* that started the process: start it from one that
    /// lives.
    #[schemars(example = 4711)]
    pub parent_pid: u32,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self { admin: String::new(), stop_ms: 2_000, parent_pid: 0 }
    }
}

/// Loads a file. Unknown keys are refused if the type says so (`deny_unknown_fields`).
///
/// # Errors
/// [`DaemonError::Config`] with file, line, column, key, what was expected.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, DaemonError> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let problem = format!("{}: cannot read it: {e}; give a readable file with --config", path.display());
        // A wrong name is a wrong argument; a right one that may not be read is the machine's business.
        let forbidden = e.kind() == std::io::ErrorKind::PermissionDenied;
        if forbidden { DaemonError::Environment(problem) } else { DaemonError::Config(problem) }
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

/// `file:line:column: key: what is wrong`, and where to look it up.
fn describe(error: &toml::de::Error, text: &str, name: &str) -> String {
    let place = error.span().map_or(String::new(), |span| place(text, span.start));
    // Without its input the error shows the key instead of the lines: "message\nin `a.b`".
    let mut bare = error.clone();
    bare.set_input(None);
    let bare = bare.to_string();
    let key = bare.lines().last().and_then(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    let key = key.map_or(String::new(), |key| format!("{key}: "));
    let message = error.message().trim_end().replace('\n', ", ");
    let expected = EXPECTED.iter().find(|(said, _)| message.contains(said)).map_or("", |(_, expected)| expected);
    format!("{name}{place}: {key}{message}{expected}; --print-config shows every key with its default")
}

/// What the standard library's and serde's words leave out.
const EXPECTED: [(&str, &str); 3] = [
    (
        "invalid IP address syntax",
        ", expected an IP address such as \"127.0.0.2\" (names: `name` in place of `addresses`)",
    ),
    ("invalid socket address syntax", ", expected ADDRESS:PORT such as \"224.0.1.185:3863\""),
    ("AddressConfig", ", a table such as { addresses = [\"127.0.0.2\"] }"),
];

/// `:line:column` of a place in a text.
fn place(text: &str, at: usize) -> String {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!(":{line}:{column}")
}

/// A problem of the form `key: what is wrong`, as [`load`] says it: `file:line:column: key: what is wrong`. When the text leaves the
/// key out, the place is that of the innermost table that it has.
pub(super) fn in_text(problem: &str, text: &str, name: &str) -> String {
    let key = problem.split_once(": ").map_or("", |(key, _)| key);
    let place = DeTable::parse(text).ok().and_then(|table| find(table.get_ref(), key));
    let place = place.map_or(String::new(), |at| self::place(text, at));
    format!("{name}{place}: {problem}")
}

/// Where a key such as `scope[0].udp.addresses` begins, or the innermost part of it that is there.
fn find(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (head, rest) = key.split_once('.').unwrap_or((key, ""));
    let (head, index) = match head.split_once('[') {
        Some((head, index)) => (head, index.trim_end_matches(']').parse::<usize>().ok()),
        None => (head, None),
    };
    let (found, value) = table.iter().find(|(name, _)| name.get_ref() == head)?;
    let (at, value) = match (index, value.get_ref().as_array()) {
        (Some(index), Some(array)) => (array.get(index)?.span().start, array.get(index)?.get_ref()),
        (Some(_) | None, _) => (found.span().start, value.get_ref()),
    };
    Some(value.as_table().and_then(|table| find(table, rest)).unwrap_or(at))
}

/// For tests: the commented default text (`--print-config`) parses to the default, and names every key that has one.
///
/// # Panics
/// When it does not.
pub fn assert_default_text<T: DeserializeOwned + Serialize + Default>(text: &str) {
    let parsed: T = parse(text, "default text").unwrap_or_else(|error| panic!("{error}"));
    let as_table = |value: &T| toml::Table::try_from(value).expect("invariant: settings can be written as TOML");
    let mut wrong = Vec::new();
    compare(&as_table(&parsed), &as_table(&T::default()), text, "", &mut wrong);
    assert!(wrong.is_empty(), "default text:\n{}", wrong.join("\n"));
}

/// Finds keys whose value in the text is not the default, or that no line of the text sets (also commented out).
fn compare(parsed: &toml::Table, default: &toml::Table, text: &str, path: &str, wrong: &mut Vec<String>) {
    for (key, value) in default {
        let other = parsed.get(key);
        if let (Some(value), Some(other)) = (value.as_table(), other.and_then(|other| other.as_table())) {
            compare(other, value, text, &format!("{path}{key}."), wrong);
        } else if other != Some(value) {
            let other = other.map_or("nothing".to_owned(), ToString::to_string);
            wrong.push(format!("{path}{key} is {other}, but the default is {value}"));
        } else if !value.is_table() && !text.lines().any(|line| names(line, key)) {
            wrong.push(format!("{path}{key} is not named; the default is {value}"));
        }
    }
    let more = parsed.keys().filter(|key| !default.contains_key(*key));
    wrong.extend(more.map(|key| format!("{path}{key} is set, but there is no default")));
}

fn names(line: &str, key: &str) -> bool {
    let line = line.trim_start_matches(['#', ' ']);
    line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        daemon: DaemonConfig,
        count: u16,
    }

    fn error(text: &str) -> String {
        let error = parse::<Settings>(text, "x.toml").unwrap_err();
        assert_eq!(error.code(), 2);
        error.to_string()
    }

    #[test]
    fn errors_name_file_line_column_and_key() {
        let text = error("count = 1\n[daemon]\n  stop_ms = \"soon\"\n");
        assert!(text.starts_with("x.toml:3:13: daemon.stop_ms: "), "{text}");
        assert!(text.contains("expected u64") && text.contains("--print-config"), "{text}");
        let text = error("[daemon]\nadmim = \"\"\n");
        assert!(text.starts_with("x.toml:2:1: ") && text.contains("admim") && text.contains("`admin`"), "{text}");
        let text = error("count = 70000\n");
        assert!(text.starts_with("x.toml:1:9: count: "), "{text}");
        let text = error("\u{e4} = = 1\n");
        assert!(text.starts_with("x.toml:1:"), "{text}");
    }

    #[test]
    fn a_setting_that_is_wrong_together_with_others_has_its_line() {
        let text = "name = 1\n[[scope]]\n[[scope]]\nnode = { name = \"b\" }\n[scope.udp]\naddresses = []\n";
        let line = |key: &str| in_text(&format!("{key}: is wrong"), text, "x.toml");
        assert_eq!(line("scope[1].udp.addresses"), "x.toml:6:1: scope[1].udp.addresses: is wrong");
        assert_eq!(line("scope[1].node.name"), "x.toml:4:10: scope[1].node.name: is wrong");
        // Not in the file: the table it would be in.
        assert_eq!(line("scope[1].udp.port"), "x.toml:5:8: scope[1].udp.port: is wrong");
        assert_eq!(line("scope[0].udp.port"), "x.toml:2:1: scope[0].udp.port: is wrong");
        assert_eq!(line("peers.servers"), "x.toml: peers.servers: is wrong");
        assert_eq!(in_text("no key", text, "x.toml"), "x.toml: no key");
        assert_eq!(in_text("name: what", "= =", "x.toml"), "x.toml: name: what");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Settings>(Path::new("/nowhere/x.toml")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/x.toml") && error.code() == 2, "{error}");
    }

    #[test]
    fn a_file_that_may_not_be_read_is_the_environments_business() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("enrp-config-{}.toml", std::process::id()));
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        let forbidden = std::fs::read(&path).is_err();
        let loaded = load::<Settings>(&path);
        std::fs::remove_file(&path).unwrap();
        // Root may read everything.
        assert_eq!(loaded.err().map(|error| error.code()), forbidden.then_some(3));
    }

    const DEFAULT: &str = "# How many\ncount = 0\n[daemon]\nadmin = \"\"\n# stop_ms = 2_000\nparent_pid = 0\n";

    #[test]
    fn default_text_is_checked() {
        assert_default_text::<Settings>(DEFAULT);
    }

    #[test]
    #[should_panic(expected = "count is 1, but the default is 0")]
    fn a_default_text_with_another_value_is_caught() {
        assert_default_text::<Settings>(&DEFAULT.replace("count = 0", "count = 1"));
    }

    #[test]
    #[should_panic(expected = "daemon.stop_ms is not named")]
    fn a_default_text_that_forgets_a_key_is_caught() {
        assert_default_text::<Settings>(&DEFAULT.replace("# stop_ms = 2_000\n", ""));
    }
}
