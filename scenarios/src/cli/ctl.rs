//! `sigpool ctl`.

mod add;

use super::say;
use crate::runner::RunError;
use add::{Addition, Removal};
use clap::{Subcommand, ValueEnum};
use enrp::daemon::query::{Admin, Table, json};
use serde_json::{Value, json as object};
use std::time::{Duration, Instant};

/// Exit status: the controller still had groups when the time was over.
const NOT_YET: u8 = 1;
/// Between two looks at a controller that is being drained.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whom to ask, and what.
#[derive(Debug, clap::Args)]
pub(super) struct CtlArgs {
    /// Admin address of the gateway as its configuration has it: ADDRESS:PORT or unix:/path.
    #[arg(long, value_name = "ADDRESS", global = true, required = false)]
    admin: Option<String>,
    /// JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    wish: Wish,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Wish {
    /// Show what a gateway knows.
    Show {
        /// Of what.
        what: What,
        /// Groups of this pool, where there are several.
        #[arg(long, value_name = "HANDLE")]
        pool: Option<String>,
    },
    /// Add something without a restart. It is forgotten at the next one unless the configuration has it too, and of two gateways the
    /// other one is told nothing: add it to both, first to the one that follows.
    #[command(subcommand)]
    Add(Addition),
    /// Take away what was added; of two gateways from both.
    #[command(subcommand)]
    Remove(Removal),
    /// Take a controller out of service: its groups move to others while traffic flows, and it gets no new ones. Waits until it has none.
    Drain {
        /// PE identifier, hexadecimal.
        pe: String,
        /// How long to wait for its last group, ms; 0: not at all.
        #[arg(long, value_name = "MS", default_value_t = 10_000)]
        wait_ms: u64,
    },
    /// Put a drained controller back into service.
    Undrain {
        /// PE identifier, hexadecimal.
        pe: String,
    },
    /// End the association to a controller when what was sent is delivered; it is opened again.
    Disconnect {
        /// PE identifier, hexadecimal.
        pe: String,
    },
    /// The same, and it stays closed. An ordinary ASP that comes again is refused (ERR Refused - Management Blocking).
    Block {
        /// PE identifier, hexadecimal.
        pe: String,
    },
    /// Open the association to a blocked controller again; an ordinary ASP may attach again.
    Unblock {
        /// PE identifier, hexadecimal.
        pe: String,
    },
}

/// A table of a gateway's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Application servers with their pools.
    As,
    /// Controllers: the ASPs of the pools.
    Asp,
    /// Peers of the network side and links toward STPs.
    Network,
    /// SCTP associations.
    Associations,
    /// Routing keys that ASPs registered or an operator added.
    Keys,
    /// Circuit groups, SLSs, and who owns them.
    Groups,
    /// Messages of each SLS.
    Sls,
    /// Counters of the gateway, its network side and its pools.
    Counters,
}

/// 0; 1: a drained controller still has groups.
pub(super) fn ctl(args: &CtlArgs) -> Result<u8, RunError> {
    let address = args.admin.as_deref().ok_or_else(|| RunError::Usage("give --admin".to_owned()))?;
    let admin = Admin::new("a gateway", address, None)?;
    let named =
        |command: &str, pe: &str| admin.post(&format!("/command/{command}"), &object!({ "pe": pe }).to_string());
    let changed = |(command, body): (&str, Value)| -> Result<u8, RunError> {
        let answer = admin.post(&format!("/command/{command}"), &body.to_string())?;
        say((if args.json { json(&answer)? } else { table(&CHANGED, &[answer]) }).trim_end());
        Ok(0)
    };
    let (answer, status) = match &args.wish {
        Wish::Show { what, pool } => return show(args.json, &admin, *what, pool.as_deref()),
        Wish::Add(addition) => return changed(addition.command()),
        Wish::Remove(removal) => return changed(removal.command()),
        Wish::Drain { pe, wait_ms } => drained(&admin, named("drain", pe)?, pe, *wait_ms)?,
        Wish::Undrain { pe } => (named("undrain", pe)?, 0),
        Wish::Disconnect { pe } => (named("disconnect", pe)?, 0),
        Wish::Block { pe } => (named("block", pe)?, 0),
        Wish::Unblock { pe } => (named("unblock", pe)?, 0),
    };
    let text = if args.json { json(&answer)? } else { table(&CONTROLLER, std::slice::from_ref(&answer)) };
    say(text.trim_end());
    Ok(status)
}

/// Waits until it has no groups.
fn drained(admin: &Admin, first: Value, pe: &str, wait_ms: u64) -> Result<(Value, u8), RunError> {
    let deadline = Instant::now() + Duration::from_millis(wait_ms);
    let mut answer = first;
    loop {
        let groups = answer.get("groups").and_then(Value::as_u64).ok_or_else(|| RunError::from(admin.strange()))?;
        if groups == 0 || wait_ms == 0 {
            return Ok((answer, 0));
        }
        if Instant::now() >= deadline {
            return Ok((answer, NOT_YET));
        }
        std::thread::sleep(LOOK_EVERY);
        answer = admin.post("/command/controller", &object!({ "pe": pe }).to_string())?;
    }
}

/// Title of a column, and where its value is.
type Column = (&'static str, &'static str);

const CONTROLLER: [Column; 6] = [
    ("PE", "/pe"),
    ("POOL", "/pool"),
    ("STATE", "/state"),
    ("DRAINED", "/drained"),
    ("BLOCKED", "/blocked"),
    ("GROUPS", "/groups"),
];
const CHANGED: [Column; 5] =
    [("DONE", "/what"), ("RC", "/routing_context"), ("POOL", "/pool"), ("DPC", "/dpc"), ("ADDRESS", "/address")];
const KEYS: [Column; 7] = [
    ("RC", "/routing_context"),
    ("POOL", "/pool"),
    ("DPC", "/dpc"),
    ("SI", "/si"),
    ("OPC", "/opc"),
    ("ASPS", "/asps"),
    ("OPERATOR", "/operator"),
];
const AS: [Column; 8] = [
    ("RC", "/routing_context"),
    ("POOL", "/pool"),
    ("STATE", "/state"),
    ("AVAILABLE", "/available"),
    ("GROUPS", "/groups"),
    ("QUEUED", "/queued_messages"),
    ("OFFERED", "/counters/offered"),
    ("APPLIED", "/counters/applied"),
];
const ASP: [Column; 10] = [
    ("POOL", "/pool"),
    ("PE", "/pe"),
    ("ADDRESSES", "/addresses"),
    ("PORT", "/port"),
    ("STATE", "/state"),
    ("REGISTERED", "/registered"),
    ("GROUPS", "/groups"),
    ("UNCONFIRMED", "/unconfirmed"),
    ("UP", "/messages_up"),
    ("DOWN", "/messages_down"),
];
const NETWORK: [Column; 6] = [
    ("ADDRESS", "/address"),
    ("LINKSET", "/linkset"),
    ("ASP ID", "/asp_id"),
    ("STATE", "/state"),
    ("SENT", "/sent"),
    ("RECEIVED", "/received"),
];
const ASSOCIATIONS: [Column; 7] = [
    ("ROLE", "/role"),
    ("STATE", "/state"),
    ("INCOMING", "/incoming"),
    ("PEER", "/paths/0/address"),
    ("PEER PORT", "/peer_port"),
    ("PATHS", "/paths"),
    ("OUTSTANDING", "/outstanding_messages"),
];
const SLS: [Column; 4] = [("POOL", "/pool"), ("SLS", "/sls"), ("OFFERED", "/offered"), ("RELEASED", "/released")];
const GROUPS: [Column; 6] = [
    ("GROUP", "/group"),
    ("STATE", "/state"),
    ("OWNER", "/owner"),
    ("QUEUED", "/queued_messages"),
    ("UNCONFIRMED", "/unconfirmed"),
    ("COOKIE BYTES", "/cookie_bytes"),
];
const COUNTERS: [Column; 3] = [("OF", "/of"), ("COUNTER", "/counter"), ("VALUE", "/value")];

fn show(as_json: bool, admin: &Admin, what: What, pool: Option<&str>) -> Result<u8, RunError> {
    let (columns, rows): (&[Column], Vec<Value>) = if what == What::Groups {
        (&GROUPS, groups(admin, pool)?)
    } else {
        let state = admin.get("/state")?;
        let rows = rows_of(&state, what).ok_or_else(|| RunError::from(admin.strange()))?;
        match what {
            What::As => (&AS, rows),
            What::Asp => (&ASP, rows),
            What::Network => (&NETWORK, rows),
            What::Keys => (&KEYS, rows),
            What::Associations => (&ASSOCIATIONS, rows),
            What::Groups => (&GROUPS, rows),
            What::Sls => (&SLS, rows),
            What::Counters => (&COUNTERS, rows),
        }
    };
    let text = if as_json { json(&Value::Array(rows))? } else { table(columns, &rows) };
    say(text.trim_end());
    Ok(0)
}

fn rows_of(state: &Value, what: What) -> Option<Vec<Value>> {
    let pools = state.get("pools")?.as_array()?;
    Some(match what {
        What::As => pools.iter().map(|pool| without(pool, "controllers")).collect(),
        What::Asp => of_pools(pools, "controllers"),
        What::Sls => of_pools(pools, "sls"),
        What::Network => state.pointer("/network/peers")?.as_array()?.clone(),
        What::Keys => {
            let keys = state.get("routing_keys")?.as_array()?;
            let parts = |key: &Value| key.get("parts").and_then(Value::as_array).cloned().unwrap_or_default();
            keys.iter()
                .flat_map(|key| parts(key).into_iter().map(move |part| merged(without(key, "parts"), &part)))
                .collect()
        }
        What::Associations => state.get("associations")?.as_array()?.clone(),
        What::Groups => Vec::new(),
        What::Counters => {
            let mut rows = counters("gateway", state.get("counters")?);
            rows.extend(counters("network", state.pointer("/network/counters")?));
            for pool in pools {
                let name = pool.get("pool").and_then(Value::as_str).unwrap_or_default();
                rows.extend(counters(name, pool.get("counters")?));
            }
            rows
        }
    })
}

/// The rows that each pool has there, with its name.
fn of_pools(pools: &[Value], key: &str) -> Vec<Value> {
    let rows = |pool: &Value| pool.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    pools.iter().flat_map(|pool| rows(pool).into_iter().map(move |row| with(&row, "pool", pool.get("pool")))).collect()
}

/// All groups of a pool, page by page.
fn groups(admin: &Admin, pool: Option<&str>) -> Result<Vec<Value>, RunError> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        let mut page = admin.post("/command/groups", &object!({ "pool": pool, "from": at }).to_string())?;
        let rows = page.get_mut("groups").map(Value::take);
        let Some(Value::Array(rows)) = rows else { return Err(admin.strange().into()) };
        all.extend(rows);
        from = page.get("next").and_then(Value::as_u64).filter(|next| *next > at);
    }
    Ok(all)
}

/// A row for each counter, those in an object too.
fn counters(of: &str, counters: &Value) -> Vec<Value> {
    let row = |counter: String, value: &Value| object!({ "of": of, "counter": counter, "value": value });
    let each = counters.as_object().into_iter().flatten();
    each.flat_map(|(name, value)| match value.as_object() {
        Some(parts) => parts.iter().map(|(part, value)| row(format!("{name}.{part}"), value)).collect(),
        None => vec![row(name.clone(), value)],
    })
    .collect()
}

fn with(value: &Value, key: &str, more: Option<&Value>) -> Value {
    let mut value = value.clone();
    if let (Some(object), Some(more)) = (value.as_object_mut(), more) {
        object.insert(key.to_owned(), more.clone());
    }
    value
}

fn merged(mut value: Value, more: &Value) -> Value {
    if let (Some(object), Some(more)) = (value.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
    value
}

fn without(value: &Value, key: &str) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
    value
}

fn table(columns: &[Column], rows: &[Value]) -> String {
    let mut table = Table::new(columns.iter().map(|(title, _)| (*title).to_owned()));
    for row in rows {
        table.row(columns.iter().map(|(_, place)| cell(row.pointer(place))));
    }
    table.to_string()
}

/// A list of plain values as it is, of others how many.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) if list.is_empty() => "-".to_owned(),
        Some(Value::Array(list)) if list.iter().all(Value::is_number) => {
            list.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
        }
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        Some(Value::Array(list)) => list.len().to_string(),
        Some(value @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => value.to_string(),
    }
}
