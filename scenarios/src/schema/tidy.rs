//! From what schemars makes of a type to what is true of its TOML file, in words that editors show well.

use serde_json::{Map, Value};

/// Works on a schema and everything in it.
pub(super) fn tidy(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    without_null(object);
    numbers(object);
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = one_paragraph(text);
    }
    // A table's default is that of its keys, which say it themselves.
    if object.contains_key("properties") {
        object.remove("default");
        object.remove("title");
        must_be_given(object);
    }
    example(object);
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = object.get_mut(key) {
            tidy(inner);
        }
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(tidy);
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(tidy);
    }
}

/// A key whose default is an empty list, though it needs an entry, has no default.
fn must_be_given(table: &mut Map<String, Value>) {
    let mut names = Vec::new();
    for (name, property) in table.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        let needs_entry = property["minItems"].as_u64().is_some_and(|least| least > 0);
        if needs_entry && property["default"].as_array().is_some_and(Vec::is_empty) {
            property.as_object_mut().and_then(|property| property.remove("default"));
            names.push(Value::from(name.as_str()));
        }
    }
    if names.is_empty() {
        return;
    }
    if let Some(required) = table.entry("required").or_insert_with(|| Value::Array(Vec::new())).as_array_mut() {
        required.append(&mut names);
    }
}

/// The same without keys that are null, at any depth.
fn drop_null(value: &mut Value) {
    match value {
        Value::Object(table) => {
            table.retain(|_, value| !value.is_null());
            table.values_mut().for_each(drop_null);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// TOML has no null: what is optional is left out.
fn without_null(object: &mut Map<String, Value>) {
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    object.get_mut("default").into_iter().for_each(drop_null);
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| !null(choice));
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                // The field's own description goes before that of its type.
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// Rust's number formats mean nothing to others: bounds do. TOML's whole numbers end at 2^63 - 1.
fn numbers(object: &mut Map<String, Value>) {
    let most = match object.get("format").and_then(Value::as_str) {
        Some("uint32") => Some(u64::from(u32::MAX)),
        Some("uint" | "uint64" | "int32" | "int64" | "uint8" | "uint16" | "double" | "float") => None,
        _ => return,
    };
    object.remove("format");
    if let Some(most) = most {
        object.entry("maximum").or_insert(most.into());
    }
}

/// A key without an example of its own has its default as one, a switch the other position.
fn example(object: &mut Map<String, Value>) {
    let table = object.contains_key("properties") || object.get("items").is_some_and(|i| !i["properties"].is_null());
    if object.contains_key("examples") || table {
        return;
    }
    let example = match object.get("default") {
        Some(Value::Bool(on)) => Value::Bool(!on),
        Some(Value::String(text)) if text.is_empty() => return,
        Some(Value::Array(list)) if list.is_empty() => return,
        Some(Value::Object(_)) | None => return,
        Some(value) => value.clone(),
    };
    object.insert("examples".to_owned(), Value::Array(vec![example]));
}

/// Doc comments are wrapped; paragraphs (an empty line between them) stay.
fn one_paragraph(text: &str) -> String {
    // The brackets of rustdoc's links go, what they hold stays.
    let text = text.replace("[`", "`").replace("`]", "`");
    let paragraphs: Vec<_> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
    paragraphs.join("\n\n")
}
