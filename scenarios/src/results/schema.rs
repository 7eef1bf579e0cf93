//! JSON schemas of what a run says to programs, generated from the types.

use super::{EventLine, Results};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

/// Schema of `results.json`; committed as `scenarios/schema/results.schema.json`.
#[must_use]
pub fn results_schema() -> Value {
    schema_of::<Results>()
}

/// Schema of a line of `events.jsonl` and of `--json-stream`; committed as `scenarios/schema/events.schema.json`.
#[must_use]
pub fn events_schema() -> Value {
    schema_of::<EventLine>()
}

/// As it is written: a field that may be `null` is there all the same.
fn schema_of<T: JsonSchema>() -> Value {
    SchemaGenerator::new(SchemaSettings::draft2020_12().for_serialize()).into_root_schema_for::<T>().to_value()
}

/// Both as files: name and text. `sigpool schema --write scenarios/schema` renews them.
#[must_use]
pub fn schema_files() -> [(&'static str, String); 2] {
    let text =
        |schema: &Value| serde_json::to_string_pretty(schema).expect("invariant: JSON can be written as text") + "\n";
    [("results.schema.json", text(&results_schema())), ("events.schema.json", text(&events_schema()))]
}
