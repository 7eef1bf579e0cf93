//! A TOML text against a schema: everything that is wrong, each with its place. The types' own parsers stop at the first.
//!
//! Knows what our schemas use: types, known and required keys, words, bounds, lengths, IP addresses. What goes further (one key
//! against another, patterns) is for the types' `check()`.

use super::keys::keys;
use super::text::{bounds, choices};
use serde_json::Value;
use std::net::IpAddr;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Byte of the text at which it begins.
    pub at: usize,
    /// The key with its tables; empty when it is about the file.
    pub key: String,
    /// What is wrong and what is expected.
    pub what: String,
}

/// Line and column, from 1, of a byte of a text.
#[must_use]
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// All that is wrong, in the order of the text. When it is no TOML: only that.
#[must_use]
pub fn problems(schema: &Value, text: &str) -> Vec<Problem> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut found = Vec::new();
    if errors.is_empty() {
        let places = keys(schema).into_iter().map(|key| key.path).collect();
        let mut walk = Walk { places, found: Vec::new() };
        walk.table(schema, root.get_ref(), 0..0, "");
        found = walk.found;
    }
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        found.push(Problem { at, key: String::new(), what: error.message().replace('\n', ", ") });
    }
    found.sort_by_key(|problem| problem.at);
    found
}

struct Walk {
    /// Paths of all keys of the schema.
    places: Vec<String>,
    found: Vec<Problem>,
}

impl Walk {
    fn wrong(&mut self, at: usize, key: &str, what: impl Into<String>) {
        self.found.push(Problem { at, key: key.to_owned(), what: what.into() });
    }

    fn table(&mut self, schema: &Value, table: &DeTable<'_>, span: Range<usize>, path: &str) {
        let Some(known) = schema["properties"].as_object() else { return };
        for (key, value) in table {
            let name = key.get_ref();
            let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            match known.get(name.as_ref()) {
                Some(property) => self.value(property, value, &path),
                None if schema["additionalProperties"] == false => {
                    let names: Vec<_> = known.keys().map(String::as_str).collect();
                    let what = self.unknown(name, &path, &names);
                    self.wrong(key.span().start, &path, what);
                }
                None => {}
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if table.get(name).is_none() {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                let what =
                    format!("is missing{}", known.get(name).map_or(String::new(), |s| format!("; {}", expected(s))));
                self.wrong(span.start, &path, what);
            }
        }
    }

    /// Words for a key that does not exist.
    fn unknown(&self, name: &str, path: &str, known: &[&str]) -> String {
        if let Some(near) = suggestion(name, known) {
            return format!("unknown key; did you mean `{near}`?");
        }
        let elsewhere = self.places.iter().find(|p| p.rsplit('.').next() == Some(name) && p.as_str() != path);
        match elsewhere.map(|place| place.rsplit_once('.')) {
            Some(Some((table, _))) => format!("unknown key here; it belongs into [{table}]"),
            Some(None) => "unknown key here; it belongs to the top of the file, before every [table]".to_owned(),
            None => format!("unknown key; expected one of {}", known.join(", ")),
        }
    }

    fn value(&mut self, schema: &Value, value: &Spanned<DeValue<'_>>, path: &str) {
        let at = value.span().start;
        if let Some(choices) = schema["anyOf"].as_array() {
            let kind = if value.get_ref().is_array() { "array" } else { "object" };
            let choice = choices.iter().find(|choice| choice["type"] == kind).or(choices.first());
            return choice.into_iter().for_each(|choice| self.value(choice, value, path));
        }
        let words = choices(schema);
        let fits = match value.get_ref() {
            DeValue::String(given) if !words.is_empty() => {
                let names: Vec<_> = words.iter().map(|(word, _)| word.as_str()).collect();
                if !names.contains(&given.as_ref()) {
                    let near =
                        suggestion(given, &names).map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
                    self.wrong(at, path, format!("\"{given}\": {}{near}", expected(schema)));
                }
                return;
            }
            DeValue::String(given) => string_fits(schema, given),
            DeValue::Integer(given) => {
                integer(given).is_some_and(|n| number_fits(schema, &["integer", "number"], n as f64))
            }
            DeValue::Float(given) => {
                given.as_str().parse::<f64>().is_ok_and(|number| number_fits(schema, &["number"], number))
            }
            DeValue::Boolean(_) => schema["type"] == "boolean",
            DeValue::Datetime(_) => schema["type"].is_null(),
            DeValue::Array(list) if schema["type"] == "array" => {
                for (index, entry) in list.iter().enumerate() {
                    self.value(&schema["items"], entry, &format!("{path}[{index}]"));
                }
                let count = list.len() as u64;
                schema["minItems"].as_u64().is_none_or(|least| count >= least)
                    && schema["maxItems"].as_u64().is_none_or(|most| count <= most)
            }
            DeValue::Table(table) if schema["type"] == "object" => {
                self.table(schema, table, value.span(), path);
                true
            }
            DeValue::Array(_) | DeValue::Table(_) => schema["type"].is_null(),
        };
        if !fits {
            self.wrong(at, path, format!("{}: {}", shown(value.get_ref()), expected(schema)));
        }
    }
}

fn integer(given: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(given.as_str(), given.radix()).ok()
}

fn string_fits(schema: &Value, given: &str) -> bool {
    let length = given.chars().count() as u64;
    schema["type"] == "string"
        && schema["minLength"].as_u64().is_none_or(|least| length >= least)
        && schema["maxLength"].as_u64().is_none_or(|most| length <= most)
        && (schema["format"] != "ip" || given.parse::<IpAddr>().is_ok())
}

fn number_fits(schema: &Value, types: &[&str], given: f64) -> bool {
    schema["type"].as_str().is_some_and(|kind| types.contains(&kind))
        && schema["minimum"].as_f64().is_none_or(|least| given >= least)
        && schema["maximum"].as_f64().is_none_or(|most| given <= most)
}

/// A value as an error shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(list) => format!("a list of {}", list.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// `expected a whole number, 1 to 15`.
fn expected(schema: &Value) -> String {
    let words = choices(schema);
    if !words.is_empty() {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        return format!("expected one of {}", words.join(", "));
    }
    let what = match schema["type"].as_str() {
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => "true or false",
        Some("string") if schema["format"] == "ip" => "an IP address",
        Some("string") => "text in quotes",
        Some("array") if schema["items"]["properties"].is_object() => "tables in double brackets",
        Some("array") => "a list in brackets",
        Some("object") => "a table",
        Some(_) | None => "another value",
    };
    bounds(schema).map_or_else(|| format!("expected {what}"), |bounds| format!("expected {what}, {bounds}"))
}

/// The nearest of `known` to a word that is not among them, when it is near: a third of its letters wrong at most.
#[must_use]
pub fn suggestion<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let word = plain(word);
    let most = (word.chars().count() / 3).max(1);
    let near = known.iter().map(|&candidate| (distance(&word, &plain(candidate)), candidate));
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Letters to insert, leave out, change, or swap with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
