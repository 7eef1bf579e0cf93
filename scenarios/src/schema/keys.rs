//! The keys of a file, one by one, as its schema has them.

use serde_json::Value;

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Tables and key, with points: `load.rate_per_s`, `as.pool` (in each `[[as]]`).
    pub path: String,
    /// What it means.
    pub description: String,
    /// Whether it must be given.
    pub required: bool,
    /// Whether tables of this name repeat (`[[as]]`); keys in it belong to each.
    pub array_of_tables: bool,
    /// Whether it is a table, or tables: it has keys of its own.
    pub table: bool,
    /// Its schema.
    pub schema: Value,
}

/// All keys, tables included, each before what is in it.
#[must_use]
pub fn keys(schema: &Value) -> Vec<Key> {
    let mut all = Vec::new();
    collect(schema, "", &mut all);
    all
}

fn collect(schema: &Value, path: &str, all: &mut Vec<Key>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    // Keys before tables, as TOML wants it.
    let table = |schema: &Value| tables_of(schema).is_some();
    let in_order = properties.iter().filter(|(_, s)| !table(s)).chain(properties.iter().filter(|(_, s)| table(s)));
    for (name, property) in in_order {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let inner = tables_of(property);
        all.push(Key {
            path: path.clone(),
            description: property["description"].as_str().unwrap_or_default().to_owned(),
            required: schema["required"].as_array().is_some_and(|list| list.iter().any(|entry| entry == name.as_str())),
            array_of_tables: property["type"] == "array" && inner.is_some(),
            table: inner.is_some(),
            schema: property.clone(),
        });
        if let Some(inner) = inner {
            collect(inner, &path, all);
        }
    }
}

/// The schema of the table that a key holds, or of each of its tables.
fn tables_of(schema: &Value) -> Option<&Value> {
    // One table, or many: both have the same keys.
    let schema = schema["anyOf"].as_array().and_then(|choices| choices.first()).unwrap_or(schema);
    let schema = if schema["type"] == "array" { &schema["items"] } else { schema };
    schema["properties"].is_object().then_some(schema)
}

/// The key of a path; `as[0].pool`, `as[].pool` and `as.pool` are the same.
#[must_use]
pub fn find<'a>(keys: &'a [Key], path: &str) -> Option<&'a Key> {
    let mut plain = String::new();
    let mut inside = false;
    for c in path.trim().chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    keys.iter().find(|key| key.path == plain)
}
