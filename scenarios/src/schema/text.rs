//! Keys in words, for a terminal.

use super::{FileKind, Key};
use serde_json::Value;
use std::fmt::Write;

/// Everything about one key: what it means, what it may be, its default, an example to copy.
#[must_use]
pub fn describe(kind: FileKind, keys: &[Key], key: &Key) -> String {
    let mut text = format!("{} (file of {})\n\n{}\n\n", key.path, kind.as_str(), wrap(&key.description, "  "));
    let mut line = |what: &str, value: &str| {
        let _ = writeln!(text, "  {what:<9}{value}");
    };
    line("type", &type_of(&key.schema));
    if let Some(bounds) = bounds(&key.schema) {
        line("bounds", &bounds);
    }
    for (at, (value, meaning)) in choices(&key.schema).iter().enumerate() {
        line(if at == 0 { "values" } else { "" }, &format!("{value:<24} {meaning}"));
    }
    match (key.required, key.schema.get("default")) {
        (true, _) => line("default", "none: it must be given"),
        (false, Some(default)) => line("default", &toml(default)),
        (false, None) if key.table => {}
        (false, None) => line("default", "left out"),
    }
    let _ = writeln!(text, "  example");
    text.push_str(&example(keys, key, "    "));
    text
}

/// The error for a key that there is not.
#[must_use]
pub fn not_found(kind: FileKind, keys: &[Key], path: &str) -> String {
    let paths: Vec<_> = keys.iter().map(|key| key.path.as_str()).collect();
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let same_name = paths.iter().find(|other| last(other) == last(path)).copied();
    let near = same_name.or_else(|| super::suggestion(path, &paths));
    let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
    let kind = kind.as_str();
    format!("no key `{path}` in the file of {kind}: {near}`sigpool schema {kind} --list` has them all")
}

/// Tables of a scenario that hold settings of a daemon, and that daemon.
const SETTINGS: [(&str, FileKind); 3] = [
    ("gateway.settings", FileKind::Sg),
    ("controllers.settings", FileKind::GwcPe),
    ("name_server.settings", FileKind::Enrp),
];

/// A line for each key, under its table.
#[must_use]
pub fn list(kind: FileKind, keys: &[Key]) -> String {
    let mut text = String::new();
    for key in keys {
        let daemon = SETTINGS.iter().find(|(table, _)| kind == FileKind::Scenario && key.path.starts_with(table));
        if let Some((table, daemon)) = daemon {
            if key.path == *table {
                let keys_of = format!("`sigpool schema {} --list` has its keys", daemon.as_str());
                let _ = writeln!(text, "\n[{table}]  {} {keys_of}", first_sentence(&key.description));
            }
            continue;
        }
        if key.table {
            let _ = writeln!(text, "\n{}  {}", header(key), first_sentence(&key.description));
            continue;
        }
        let name = key.path.rsplit('.').next().unwrap_or_default();
        let default = match key.schema.get("default") {
            Some(default) => format!("= {}", toml(default)),
            None if key.required => "(must be given)".to_owned(),
            None => "(left out)".to_owned(),
        };
        let _ = writeln!(text, "  {:<40} {}", format!("{name} {default}"), first_sentence(&key.description));
    }
    text
}

/// The line that begins a table.
fn header(table: &Key) -> String {
    if table.array_of_tables { format!("[[{}]]", table.path) } else { format!("[{}]", table.path) }
}

/// The first sentence, at most 100 characters of it.
fn first_sentence(text: &str) -> String {
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    let sentence = &text[..end];
    match sentence.char_indices().nth(100) {
        Some((at, _)) => format!("{}...", sentence[..at].trim_end()),
        None => sentence.to_owned(),
    }
}

/// The table and the key with a value, to copy.
fn example(keys: &[Key], key: &Key, indent: &str) -> String {
    let (table, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
    let mut text = String::new();
    if key.table {
        let _ = writeln!(text, "{indent}{}", header(key));
        return text;
    }
    if let Some(table) = keys.iter().find(|key| key.path == table) {
        let _ = writeln!(text, "{indent}{}", header(table));
    }
    for example in key.schema["examples"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "{indent}{name} = {}", toml(example));
    }
    text
}

fn type_of(schema: &Value) -> String {
    let name = |schema: &Value| match schema["type"].as_str() {
        Some("integer") => "whole number",
        Some("number") => "number",
        Some("boolean") => "true or false",
        Some("string") if schema["format"] == "ip" => "IP address",
        Some("string") => "text",
        Some("object") => "table",
        Some(_) | None => "value",
    };
    if schema["type"] == "array" {
        let inner = match name(&schema["items"]) {
            "IP address" => "IP addresses",
            "whole number" => "whole numbers",
            "table" => "tables",
            other => other,
        };
        return format!("list of {inner}");
    }
    if choices(schema).is_empty() { name(schema).to_owned() } else { "one of these values".to_owned() }
}

/// The values of a key that takes only some words, each with what it means.
pub(super) fn choices(schema: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| (text(word), String::new())).collect();
    }
    let all = schema["oneOf"].as_array().into_iter().flatten();
    let mut choices = Vec::new();
    for one in all {
        // schemars puts words without a comment together.
        match one["enum"].as_array() {
            Some(words) => choices.extend(words.iter().map(|word| (text(word), String::new()))),
            None => choices.push((text(&one["const"]), text(&one["description"]))),
        }
    }
    choices
}

/// What a value may be, beyond its type.
pub(super) fn bounds(schema: &Value) -> Option<String> {
    let inner = if schema["type"] == "array" { &schema["items"] } else { schema };
    let number = |key: &str| inner.get(key).map(ToString::to_string);
    let range = match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("{least} or more")),
        (None, Some(most)) => Some(format!("{most} at most")),
        (None, None) => None,
    };
    let length = |least: &str, most: &str, of: &str| match (schema[least].as_u64(), schema[most].as_u64()) {
        (Some(least), Some(most)) if least == most => Some(format!("{least} {of}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most} {of}")),
        (Some(1), None) if of == "characters" => Some("not empty".to_owned()),
        (Some(least), None) => Some(format!("at least {least} {of}")),
        (None, Some(most)) => Some(format!("at most {most} {of}")),
        (None, None) => None,
    };
    let pattern = schema["pattern"].as_str().map(|pattern| format!("matches {pattern}"));
    let parts =
        [range, length("minLength", "maxLength", "characters"), length("minItems", "maxItems", "of them"), pattern];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A JSON value as TOML writes it.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let fields: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Lines of at most 78 characters.
fn wrap(text: &str, indent: &str) -> String {
    let mut lines = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut line = indent.to_owned();
        for word in paragraph.split_whitespace() {
            if line.len() + word.len() > 78 && line.len() > indent.len() {
                lines.push(std::mem::replace(&mut line, indent.to_owned()).trim_end().to_owned());
            }
            line.push_str(word);
            line.push(' ');
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}
