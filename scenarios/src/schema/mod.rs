//! JSON schemas of the files that people write: what editors complete and check, and what `sigpool check` and
//! `sigpool schema FILE --key KEY` know about each key.
//!
//! They come from the types (schemars): descriptions are the doc comments, defaults the types' own. `scenarios/schema/` has them
//! as files; `sigpool schema --write scenarios/schema` renews them, a test says when that is due. Everything is inline and draft
//! 7, because that is what TOML editors understand.

mod keys;
mod text;
mod tidy;
mod validate;

pub use keys::{Key, find, keys};
pub use text::{describe, list, not_found};
pub use validate::{Problem, line_column, problems, suggestion};

use crate::runner;
use crate::scenario::{ASSERTIONS, Assertion, Bound};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// A kind of file with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileKind {
    /// A scenario (`sigpool run FILE`).
    Scenario,
    /// Configuration of the signaling gateway (`sg --config FILE`).
    Sg,
    /// Configuration of a gateway controller (`gwc-pe --config FILE`).
    GwcPe,
    /// Configuration of a stand-alone name server (`enrp --config FILE`).
    Enrp,
    /// Configuration of many pool elements in one process (`sigpool population --config FILE`).
    Population,
}

/// All of them.
pub const FILE_KINDS: &[FileKind] =
    &[FileKind::Scenario, FileKind::Sg, FileKind::GwcPe, FileKind::Enrp, FileKind::Population];

impl FileKind {
    /// The word on the command line, and the file's name in `scenarios/schema/`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::Sg => "sg",
            Self::GwcPe => "gwc-pe",
            Self::Enrp => "enrp",
            Self::Population => "population",
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Scenario => "Scenario of sigpool",
            Self::Sg => "Configuration of the signaling gateway sg",
            Self::GwcPe => "Configuration of the gateway controller gwc-pe",
            Self::Enrp => "Configuration of the name server enrp",
            Self::Population => "Configuration of a population of pool elements",
        }
    }

    /// Name of its schema's file.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{}.schema.json", self.as_str())
    }

    /// Its schema.
    #[must_use]
    pub fn schema(self) -> Value {
        match self {
            Self::Scenario => of::<crate::scenario::Scenario>(self),
            Self::Sg => of::<sg::Config>(self),
            Self::GwcPe => of::<gwc_pe::config::Config>(self),
            Self::Enrp => of::<enrp::server_daemon::Config>(self),
            Self::Population => of::<crate::population::Config>(self),
        }
    }

    /// Its schema as the text of a file.
    #[must_use]
    pub fn text(self) -> String {
        let text = serde_json::to_string_pretty(&self.schema()).expect("invariant: JSON can be written as text");
        format!("{text}\n")
    }
}

fn of<T: JsonSchema>(kind: FileKind) -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy::tidy(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), kind.title().into());
    }
    schema
}

/// `[assertions]`: the figures there are.
pub(crate) fn assertions(_: &mut SchemaGenerator) -> Schema {
    let properties: Map<String, Value> = ASSERTIONS.iter().map(|a| (a.name.to_owned(), assertion(a))).collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn assertion(assertion: &Assertion) -> Value {
    let bound = match assertion.bound {
        Bound::AtMost => "at most",
        Bound::AtLeast => "at least",
    };
    let mut schema = json!({
        "description": format!("Limit ({bound}): {}.", assertion.meaning),
        "type": "number",
        "minimum": 0,
        "examples": [assertion.default.unwrap_or(100.0)],
    });
    if let (Some(default), Some(object)) = (assertion.default, schema.as_object_mut()) {
        object.insert("default".to_owned(), default.into());
    }
    schema
}

/// `[gateway.settings]`: the gateway's configuration, where `as` may also be one table, which goes into each `[[as]]`.
pub(crate) fn gateway_settings(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = sg::Config::json_schema(generator);
    if let Some(list) = schema.pointer_mut("/properties/as") {
        let mut table = list["items"].clone();
        // A run gives the point code of the pool itself.
        table["properties"]["dpc"]["default"] = json!([runner::POOL_PC]);
        let many = json!({ "type": "array", "items": list["items"] });
        *list = json!({ "description": list["description"], "anyOf": [table, many] });
    }
    schema
}

#[cfg(test)]
mod tests;
