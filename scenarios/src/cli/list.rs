//! `sigpool list`.

use super::say;
use crate::runner::RunError;
use crate::scenario::{self, ASSERTIONS, BUILT_IN, Bound, FaultKind, NameServerKind, Scenario, Target};
use serde_json::{Value, json};

/// What the scenarios are about, in the order in which they are listed.
const GROUPS: [&str; 4] = ["a controller is taken away or comes", "a path is cut", "the name space", "load"];

fn group(scenario: &Scenario) -> &'static str {
    if scenario.population.is_some() || scenario.name_server.kind == NameServerKind::StandAlone {
        GROUPS[2]
    } else if scenario.faults.iter().any(|fault| matches!(fault.target, Target::Path(_))) {
        GROUPS[1]
    } else if scenario.faults.iter().any(|fault| fault.kind != FaultKind::StealCore) {
        GROUPS[0]
    } else {
        GROUPS[3]
    }
}

/// Says which scenarios there are and what can be asserted.
pub(super) fn list(as_json: bool) -> Result<u8, RunError> {
    let load = |name| scenario::load(name).map_err(|error| RunError::Usage(error.to_string()));
    let all = BUILT_IN.iter().map(|built_in| load(built_in.name)).collect::<Result<Vec<_>, _>>()?;
    say(&if as_json { json_text(&all) } else { text(&all) });
    Ok(0)
}

fn json_text(all: &[Scenario]) -> String {
    let scenario = |s: &Scenario| {
        json!({
            "name": s.name, "description": s.description, "group": group(s), "controllers": s.controllers.count,
            "idle_ms": s.idle_ms, "duration_ms": s.duration_ms, "drain_ms": s.drain_ms, "faults": s.timeline().len(),
        })
    };
    let assertions: Vec<Value> = ASSERTIONS
        .iter()
        .map(|a| json!({ "name": a.name, "meaning": a.meaning, "bound": bound(a.bound), "default": a.default }))
        .collect();
    let all = json!({ "scenarios": all.iter().map(scenario).collect::<Vec<_>>(), "assertions": assertions });
    format!("{all:#}")
}

fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::AtMost => "at most",
        Bound::AtLeast => "at least",
    }
}

fn text(all: &[Scenario]) -> String {
    let mut lines = Vec::new();
    for name in GROUPS {
        let mut members = all.iter().filter(|scenario| group(scenario) == name).peekable();
        if members.peek().is_none() {
            continue;
        }
        lines.push(format!("{name}:"));
        for scenario in members {
            let length = duration(scenario.idle_ms + scenario.duration_ms);
            lines.push(format!("  {:<18}{length:>7}  {}", scenario.name, scenario.description));
        }
        lines.push(String::new());
    }
    lines.push("sigpool run NAME; the time is that of the load, starting and draining come on top".to_owned());
    lines.push("sigpool run NAME --dry-run shows a scenario without running it".to_owned());
    lines.push("\nwhat a scenario can assert in [assertions]:".to_owned());
    for assertion in ASSERTIONS {
        let limit = assertion.default.map_or(String::new(), |limit| format!("; {limit} unless given"));
        let bound = bound(assertion.bound);
        lines.push(format!("  {:<24}{} ({bound}{limit})", assertion.name, assertion.meaning));
    }
    lines.join("\n")
}

fn duration(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_listed_once_with_its_length() {
        let all: Vec<_> = BUILT_IN.iter().map(|b| scenario::load(b.name).unwrap()).collect();
        let text = text(&all);
        for built_in in BUILT_IN {
            let lines = text.lines().filter(|line| line.starts_with(&format!("  {} ", built_in.name))).count();
            assert_eq!(lines, 1, "{}\n{text}", built_in.name);
        }
        assert!(text.contains("8 s  kill -9 of one of three controllers"), "{text}");
        let json: Value = serde_json::from_str(&json_text(&all)).unwrap();
        assert_eq!(json["scenarios"].as_array().unwrap().len(), BUILT_IN.len());
        assert_eq!(json["scenarios"][0]["name"], "failover");
        assert_eq!((duration(119_001), duration(600_000)), ("2 min".to_owned(), "10 min".to_owned()));
    }
}
