//! `enrp dump`: the handlespace, page by page.

use super::ask::Admin;
use super::table::Table;
use super::text;
use crate::daemon::DaemonError;
use serde_json::{Map, Value};

/// Heads of the table, and what is under them.
const COLUMNS: [(&str, &str); 9] = [
    ("POOL", "pool"),
    ("PE", "id"),
    ("HOME", "home"),
    ("STATE", "state"),
    ("WHY", "reasons"),
    ("POLICY", "policy"),
    ("USER TRANSPORT", "user_transport"),
    ("LIFE S", "life_s"),
    ("SELECTED", "selections"),
];

/// All pages, sorted by pool and PE.
#[derive(Debug)]
pub(super) struct Dump {
    /// What the first page said of the whole.
    head: Map<String, Value>,
    elements: Vec<Value>,
}

/// Reads until the last page. No element of the pool asked for: an error, as there are no empty pools.
pub(super) fn read(admin: &Admin, pool: Option<&str>) -> Result<Dump, DaemonError> {
    let mut next = String::new();
    let mut dump: Option<Dump> = None;
    loop {
        let page = admin.post("/command/dump", &next)?;
        let Value::Object(mut page) = page else { return Err(admin.strange()) };
        let Some(Value::Array(mut elements)) = page.remove("elements") else { return Err(admin.strange()) };
        let following = page.remove("next");
        if let Some(pool) = pool {
            elements.retain(|element| element.get("pool").and_then(Value::as_str) == Some(pool));
        }
        match &mut dump {
            Some(dump) => dump.elements.append(&mut elements),
            None => dump = Some(Dump { head: page, elements }),
        }
        match following {
            // A server that says the same again would keep us for ever.
            Some(Value::String(following)) if following != next => next = following,
            Some(_) | None => break,
        }
    }
    let mut dump = dump.ok_or_else(|| admin.strange())?;
    if let Some(pool) = pool.filter(|_| dump.elements.is_empty()) {
        let pools = dump.head.get("pools_total").map_or_else(String::new, text);
        return Err(DaemonError::Config(format!(
            "--pool {pool}: no such pool; the server has {pools}, listed without --pool"
        )));
    }
    dump.elements.sort_by_cached_key(|element| {
        let of = |key| element.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (of("pool"), of("id"))
    });
    Ok(dump)
}

impl Dump {
    pub(super) fn to_value(&self) -> Value {
        let mut value = self.head.clone();
        value.insert("elements".to_owned(), Value::Array(self.elements.clone()));
        Value::Object(value)
    }

    pub(super) fn to_table(&self) -> String {
        let of = |key| self.head.get(key).map_or_else(String::new, text);
        let mut table = Table::new(COLUMNS.iter().map(|(head, _)| (*head).to_owned()));
        for element in &self.elements {
            table.row(COLUMNS.iter().map(|(_, key)| element.get(key).map_or_else(String::new, text)));
        }
        let (server, checksum) = (of("server"), of("pe_checksum"));
        let (pools, pes) = (of("pools_total"), of("pes_total"));
        format!("server {server}, PE checksum {checksum}, {pools} pools, {pes} PEs\n{table}")
    }
}
