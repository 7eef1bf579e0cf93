//! The schemas against the types, the files that come with the program, and the rules of the daemons.

use super::*;
use crate::check::check_text;
use crate::scenario::BUILT_IN;
use toml::{Table, Value as Toml};

fn json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<Table>(text).unwrap()).unwrap()
}

/// Whether an editor that knows the schema finds nothing wrong.
fn fits(kind: FileKind, text: &str) -> Result<(), String> {
    let validator = jsonschema::validator_for(&kind.schema()).unwrap();
    validator.validate(&json(text)).map_err(|error| error.to_string())
}

/// A right file of each kind with a value for nearly every key that is not there by default.
fn full(kind: FileKind) -> Table {
    let text = match kind {
        FileKind::Scenario => include_str!("full-scenario.toml"),
        FileKind::Sg => sg::config::COMMENTED_DEFAULT,
        FileKind::GwcPe => gwc_pe::config::COMMENTED_DEFAULT,
        FileKind::Enrp => enrp::server_daemon::COMMENTED_DEFAULT,
        FileKind::Population => crate::population::COMMENTED_DEFAULT,
    };
    let mut table: Table = toml::from_str(text).unwrap();
    let servers = match kind {
        FileKind::Sg => "enrp.servers",
        FileKind::GwcPe | FileKind::Population => "asap.hunt.servers",
        FileKind::Enrp => {
            let scope = "[[scope]]\nnode.name = \"carrier-b\"\nudp.addresses = [\"127.0.0.2\"]";
            table.extend(toml::from_str::<Table>(scope).unwrap());
            ["peers.servers", "scope.peers.servers"].into_iter().for_each(|key| set(&mut table, key, peers()));
            return table;
        }
        FileKind::Scenario => return table,
    };
    let server = toml::from_str("addresses = [\"127.0.0.9\"]").map(Toml::Table).unwrap();
    let servers_of = Toml::Array(vec![server]);
    set(&mut table, servers, servers_of.clone());
    if kind == FileKind::Population {
        let more = "pool = [{ handle = \"media\", scope = \"east\", policy = \"random\", elements = [{}] }]\nscope = [{ name = \"east\" }]";
        for (key, value) in toml::from_str::<Table>(more).unwrap() {
            set(&mut table, &format!("population.{key}"), value);
        }
        set(&mut table, "population.scope.servers", servers_of.clone());
    }
    if kind == FileKind::Sg {
        set(&mut table, "enrp.peers.servers", peers());
        set(&mut table, "enrp.enrp_port", 9901.into());
        let linkset =
            "linkset = [{ name = \"stp-a\", links = [{ addresses = [\"127.0.0.3\"] }], routes = [{ dpc = 1 }] }]";
        let linkset: Table = toml::from_str(linkset).unwrap();
        set(&mut table, "network.linkset", linkset["linkset"].clone());
    }
    if matches!(kind, FileKind::GwcPe | FileKind::Sg) {
        let scope = Table::from_iter([("name".to_owned(), "carrier-b".into()), ("servers".to_owned(), servers_of)]);
        table.insert("scope".to_owned(), Toml::Array(vec![scope.into()]));
    }
    table
}

fn peers() -> Toml {
    let peers: Table = toml::from_str("servers = [{ addresses = [\"127.0.0.3\"] }]").unwrap();
    peers["servers"].clone()
}

/// Sets a key; of an array of tables in the first one.
fn set(table: &mut Table, path: &str, value: Toml) {
    let Some((first, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), value);
        return;
    };
    let inner = table.entry(first).or_insert_with(|| Table::new().into());
    let inner = if inner.is_array() { &mut inner[0] } else { inner };
    set(inner.as_table_mut().unwrap(), rest, value);
}

#[test]
fn the_files_in_the_repository_are_what_the_types_give() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/schema"));
    for kind in FILE_KINDS {
        let file = std::fs::read_to_string(folder.join(kind.file_name())).unwrap_or_default();
        let renew = "renew them: cargo run -- schema --write scenarios/schema";
        assert!(file == kind.text(), "scenarios/schema/{} is old; {renew}", kind.file_name());
    }
}

#[test]
fn they_are_schemas() {
    for kind in FILE_KINDS {
        assert!(jsonschema::meta::is_valid(&kind.schema()), "{kind:?}");
        assert!(!kind.text().contains("\"$ref\""), "editors cope better without references");
        assert!(!kind.text().contains("null"), "TOML has no null");
    }
}

#[test]
fn every_key_has_a_description_and_an_example_that_fits() {
    let mut wrong = Vec::new();
    for kind in FILE_KINDS {
        for key in keys(&kind.schema()) {
            if key.description.len() < 5 {
                wrong.push(format!("{kind:?} {}: no description", key.path));
            }
            if key.table {
                continue;
            }
            let validator = jsonschema::validator_for(&key.schema).unwrap();
            let examples = key.schema["examples"].as_array().cloned().unwrap_or_default();
            if examples.is_empty() {
                wrong.push(format!("{kind:?} {}: no example; give it #[schemars(example = ...)]", key.path));
            }
            let bad = examples.iter().chain(key.schema.get("default")).find(|value| !validator.is_valid(value));
            wrong.extend(bad.map(|value| format!("{kind:?} {}: {value} does not fit", key.path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_comes_with_the_program_fits() {
    for built_in in BUILT_IN {
        assert_eq!(fits(FileKind::Scenario, built_in.text), Ok(()), "{}", built_in.name);
    }
    for kind in FILE_KINDS {
        let text = full(*kind).to_string();
        assert_eq!(fits(*kind, &text), Ok(()), "{kind:?}");
        assert_eq!(problems(&kind.schema(), &text), [], "{kind:?}");
        check_text(&text, "f", *kind).unwrap();
    }
}

#[test]
fn mistakes_do_not_fit() {
    let failover = BUILT_IN[0].text;
    let scenario = |from: &str, to: &str| {
        assert!(failover.contains(from), "{from}");
        (FileKind::Scenario, failover.replace(from, to))
    };
    let mistakes = [
        scenario("rate_per_s", "rate_per_sec"),
        scenario("count = 3", "count = \"3\""),
        scenario("count = 3", "count = 201"),
        scenario("\"kill\"", "\"kil\""),
        scenario("target = \"gwc-1\"", "target = \"gwc1\""),
        scenario("longest_gap_ms", "longest_gap"),
        scenario("[150, 500]", "[150]"),
        scenario("at_ms = 4_000\n", ""),
        scenario("[load]", "[loud]"),
        scenario("count = 3", "count = 3\n[controllers.settings.session]\nlease_ms = \"long\""),
        (FileKind::Sg, "[failover]\nbeat_ms = 0".to_owned()),
        (FileKind::Sg, "[as]\npool = \"x\"".to_owned()),
        (FileKind::Sg, "[[as]]\nsi = [16]".to_owned()),
        (FileKind::GwcPe, "[pool]\npolicy = \"round_robin\"".to_owned()),
        (FileKind::GwcPe, "[asap.hunt]\nservers = [\"127.0.0.1\"]".to_owned()),
        (FileKind::Enrp, "[server]\npools_max = 50_001".to_owned()),
        (FileKind::Enrp, "[node]\nserver_id = 4294967296".to_owned()),
    ];
    for (kind, text) in mistakes {
        assert!(fits(kind, &text).is_err(), "{text}");
        // Patterns are for the types' own check, which `sigpool check` asks too.
        assert!(check_text(&text, "f", kind).is_err(), "{text}");
    }
}

/// What one value is to the program itself: its type and its `check()`, without the schema.
fn refused(kind: FileKind, table: &Table) -> Option<String> {
    fn by<C: serde::de::DeserializeOwned>(
        table: &Table,
        check: impl Fn(&C) -> Result<(), enrp::ConfigError>,
    ) -> Option<String> {
        match table.clone().try_into() {
            Ok(config) => check(&config).err().map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
    match kind {
        FileKind::Scenario => crate::scenario::parse(&table.to_string(), "f").err().map(|error| error.to_string()),
        FileKind::Sg => by(table, sg::Config::check),
        FileKind::GwcPe => by(table, gwc_pe::config::Config::check),
        FileKind::Enrp => by(table, enrp::server_daemon::check),
        FileKind::Population => by(table, crate::population::Config::check),
    }
}

/// Numbers just inside and outside the bounds of a key (of the entries of a list).
fn edges(key: &Key) -> Vec<(f64, bool)> {
    let list = key.schema["type"] == "array";
    let schema = if list { &key.schema["items"] } else { &key.schema };
    let mut edges = Vec::new();
    if let Some(least) = schema["minimum"].as_f64() {
        edges.extend([(least, true), (least - 1.0, false)]);
    }
    // Beyond 2^53 a float does not tell neighbours apart.
    if let Some(most) = schema["maximum"].as_f64().filter(|most| *most < 9e15) {
        edges.extend([(most, true), (most + 1.0, false)]);
    }
    edges
}

/// Rules between keys refuse values that are right by themselves; changing one key alone cannot show more here.
const OTHER_RULES: &[(FileKind, &[&str])] = &[
    (
        FileKind::Sg,
        &[
            "as.cookie_bytes_max",
            "as.state_bytes_max",
            "failover.beat_ms",
            "failover.dead_ms",
            "failover.idle_beat_ms",
            "mate.dead_ms",
            "mate.lease_ms",
        ],
    ),
    (FileKind::Sg, &["failover.barrier_ms", "failover.confirm_ms", "failover.message_confirm_ms"]),
    (FileKind::Sg, &["enrp.enrp_port", "enrp.peers.max_time_last_heard_ms"]),
    (FileKind::Enrp, &["node.enrp_port", "scope.node.enrp_port"]),
    (FileKind::Enrp, &["peers.max_time_last_heard_ms", "scope.peers.max_time_last_heard_ms"]),
    (
        FileKind::GwcPe,
        &["call.cic_first", "call.cic_last", "session.lease_ms", "session.lease_ms_max", "session.lease_beat_ms"],
    ),
    (FileKind::Population, &["sctp.associations_max", "population.pools", "population.pes_per_pool"]),
    (
        FileKind::Scenario,
        &[
            "duration_ms",
            "controllers.count",
            "controllers.at_start",
            "controllers.ordinary",
            "controllers.round_trip_ms",
        ],
    ),
    (
        FileKind::Scenario,
        &[
            "faults.at_ms",
            "faults.duration_ms",
            "faults.every_ms",
            "faults.until_ms",
            "faults.carried_min_percent",
            "faults.with.loss_percent",
            "faults.with.delay_ms",
            "faults.with.jitter_ms",
            "faults.with.duplicate_percent",
            "faults.with.reorder_percent",
            "faults.with.ppid",
            "load.ring_ms",
            "load.hold_ms",
            "load.profile.at_ms",
            "load.warm_up_ms",
            "resolver.server",
            "name_server.scope.servers",
            "expect.from_ms",
            "expect.to_ms",
            "expect.shares",
        ],
    ),
];

#[test]
fn the_bounds_are_those_of_the_program() {
    let mut wrong = Vec::new();
    for kind in FILE_KINDS {
        for key in keys(&kind.schema()) {
            if key.path.contains("settings") {
                continue;
            }
            let by_other_rules = OTHER_RULES.iter().any(|(k, keys)| k == kind && keys.contains(&key.path.as_str()));
            for (value, good) in edges(&key) {
                let number =
                    if key.schema["type"] == "number" { Toml::Float(value) } else { Toml::Integer(value as i64) };
                let count = key.schema["minItems"].as_u64().unwrap_or(1) as usize;
                let list = key.schema["type"] == "array";
                let mut table = full(*kind);
                set(&mut table, &key.path, if list { Toml::Array(vec![number; count]) } else { number });
                let problem = refused(*kind, &table);
                if problem.is_none() != good && !(good && by_other_rules) {
                    wrong.push(format!("{kind:?} {} = {value}: schema {good}, program {problem:?}; #[schemars(range(...))] and check() must agree", key.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn formats_md_names_every_key_of_a_scenario() {
    // Between backticks: every second part.
    let code = include_str!("../../FORMATS.md").split('`').skip(1).step_by(2);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named: Vec<_> = code.flat_map(|code| code.split(|c| !word(c))).collect();
    let missing: Vec<_> = keys(&FileKind::Scenario.schema())
        .into_iter()
        .map(|key| key.path)
        .filter(|path| !path.contains("settings.") && !path.starts_with("assertions."))
        .filter(|path| !named.contains(&path.rsplit('.').next().unwrap()))
        .collect();
    assert!(missing.is_empty(), "FORMATS.md does not name {}", missing.join(", "));
}

#[test]
fn everything_wrong_is_found_at_its_place() {
    let text = "name = \"x\"\nduration_ms = 1.5\n[controllers]\ncount = 3\n[load]\nrate = 5\ngroups = 0\nring_ms = 3\n\
                [[faults]]\nkind = \"kil\"\nat_ms = 1\ncolour = true\n[assertions]\nlst = 0\n[controller]\n";
    let found: Vec<_> = problems(&FileKind::Scenario.schema(), text)
        .into_iter()
        .map(|p| {
            let (line, column) = line_column(text, p.at);
            format!("{line}:{column} {} {}", p.key, p.what)
        })
        .collect();
    let expected = [
        ("2:15 duration_ms 1.5: expected a whole number, 100 to 86400000", ""),
        ("6:1 load.rate unknown key;", "clear_ms"),
        ("7:10 load.groups 0: expected a whole number, 1 to 4096", ""),
        ("8:11 load.ring_ms 3: expected a list in brackets, 0 to 3600000, 2 of them", ""),
        ("10:8 faults[0].kind \"kil\": expected one of \"kill\", ", "; did you mean \"kill\"?"),
        ("12:1 faults[0].colour unknown key; expected one of at_ms, ", ""),
        ("14:1 assertions.lst unknown key; did you mean `lost`?", ""),
        ("15:2 controller unknown key; did you mean `controllers`?", ""),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (start, inside)) in found.iter().zip(expected) {
        assert!(found.starts_with(start) && found.contains(inside), "{found}");
    }
    let broken = problems(&FileKind::Scenario.schema(), "a = = 1\nb = [1,\n");
    assert!(broken.len() >= 2 && line_column("a = = 1\nb = [1,\n", broken[0].at).0 == 1, "{broken:?}");
}

#[test]
fn a_key_in_the_wrong_table_is_sent_to_the_right_one() {
    let what = |text: &str| problems(&FileKind::Sg.schema(), text)[0].what.clone();
    assert_eq!(what("beat_ms = 5"), "unknown key here; it belongs into [failover]");
    assert_eq!(
        what("[failover]\nfailover = 5"),
        "unknown key here; it belongs to the top of the file, before every [table]"
    );
    assert_eq!(what("[failover]\nbeat-ms = 5"), "unknown key; did you mean `beat_ms`?");
}

#[test]
fn suggestions_are_near() {
    let known = ["rate_per_s", "groups", "ring_ms", "lost"];
    for (word, near) in [
        ("rate_pre_s", Some("rate_per_s")),
        ("Rate-Per-S", Some("rate_per_s")),
        ("group", Some("groups")),
        ("lsot", Some("lost")),
        ("colour", None),
        ("", None),
    ] {
        assert_eq!(suggestion(word, &known), near, "{word}");
    }
}

#[test]
fn a_key_is_explained_with_bounds_default_and_example() {
    let about = |kind: FileKind, path: &str| {
        let keys = keys(&kind.schema());
        describe(kind, &keys, find(&keys, path).unwrap())
    };
    let rate = about(FileKind::Scenario, "load.rate_per_s");
    for words in
        ["Messages a second", "whole number", "1 to 1000000", "default  2000", "    [load]\n    rate_per_s = 2000"]
    {
        assert!(rate.contains(words), "{rate}");
    }
    assert!(
        about(FileKind::Sg, "as[0].dpc").contains("    [[as]]\n    dpc = [2]"),
        "{}",
        about(FileKind::Sg, "as.dpc")
    );
    assert!(about(FileKind::GwcPe, "pool.policy").contains("least-used "));
    assert!(about(FileKind::Scenario, "name").contains("none: it must be given"));
    let all = keys(&FileKind::Scenario.schema());
    let list = list(FileKind::Scenario, &all);
    for key in all.iter().filter(|key| !key.path.contains("settings.")) {
        let name = key.path.rsplit('.').next().unwrap();
        assert!(list.contains(name), "{name}");
    }
    assert!(not_found(FileKind::Sg, &keys(&FileKind::Sg.schema()), "beat_ms").contains("`failover.beat_ms`"));
}
