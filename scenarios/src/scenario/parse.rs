//! The schema of a scenario file. Every error names file, line, column, key, and what was expected.

use super::{ASSERTIONS, Fault, FaultKind, Load, Scenario};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// A scenario that cannot be used, in words for the one who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(pub String);

/// Most controllers of a scenario (each gets its own loopback address in one /24).
const CONTROLLERS_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    #[serde(default)]
    description: String,
    duration_ms: Spanned<u64>,
    #[serde(default = "drain_default_ms")]
    drain_ms: Spanned<u64>,
    #[serde(default = "seed_default")]
    seed: u64,
    controllers: Controllers,
    #[serde(default)]
    gateway: Settings,
    load: Option<Spanned<Load>>,
    #[serde(default)]
    faults: Vec<FaultTable>,
    #[serde(default)]
    assertions: BTreeMap<Spanned<String>, Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Controllers {
    count: Spanned<usize>,
    #[serde(default)]
    settings: toml::Table,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    settings: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultTable {
    at_ms: Spanned<u64>,
    kind: Spanned<FaultKind>,
    target: Option<Spanned<String>>,
    duration_ms: Option<Spanned<u64>>,
}

fn drain_default_ms() -> Spanned<u64> {
    Spanned::new(0..0, 5_000)
}

fn seed_default() -> u64 {
    1
}

/// Parses and checks a scenario; `file` stands for it in errors.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(text: &str, file: &str) -> Result<Scenario, ScenarioError> {
    let source = Source { text, file };
    let parsed: File = toml::from_str(text).map_err(|error| {
        let message = error.message().replace('\n', "; ");
        source.error(error.span().unwrap_or(0..0), &message)
    })?;
    check_names(&source, &parsed)?;
    let controllers = *parsed.controllers.count.get_ref();
    let mut faults = parsed
        .faults
        .iter()
        .map(|table| {
            let fault = check_fault(&source, table, *parsed.duration_ms.get_ref(), controllers)?;
            Ok((fault, table.kind.span()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    faults.sort_by_key(|(fault, _)| fault.at_ms);
    check_sequence(&source, &faults, controllers)?;
    let assertions = assertions(&source, &parsed.assertions)?;
    if let Some(load) = &parsed.load {
        check_load(&source, load)?;
    }
    Ok(Scenario {
        name: parsed.name.into_inner(),
        description: parsed.description,
        duration_ms: parsed.duration_ms.into_inner(),
        drain_ms: parsed.drain_ms.into_inner(),
        seed: parsed.seed,
        controllers,
        controller_settings: parsed.controllers.settings,
        gateway_settings: parsed.gateway.settings,
        load: parsed.load.map(Spanned::into_inner).unwrap_or_default(),
        faults: faults.into_iter().map(|(fault, _)| fault).collect(),
        assertions,
    })
}

fn check_names(source: &Source<'_>, file: &File) -> Result<(), ScenarioError> {
    let name = file.name.get_ref();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // The name becomes part of a folder's name.
    source.need(!name.is_empty() && name.chars().all(plain), &file.name, || {
        format!("`{name}`: expected letters, digits, `-`, `_` and `.` only")
    })?;
    let duration = *file.duration_ms.get_ref();
    source.need((100..=86_400_000).contains(&duration), &file.duration_ms, || {
        format!("{duration}: expected 100 ms to 86,400,000 ms (a day)")
    })?;
    let drain = *file.drain_ms.get_ref();
    source.need(drain <= 3_600_000, &file.drain_ms, || format!("{drain}: expected up to 3,600,000 ms (an hour)"))?;
    let count = *file.controllers.count.get_ref();
    source.need((1..=CONTROLLERS_MAX).contains(&count), &file.controllers.count, || {
        format!("{count}: expected 1 to {CONTROLLERS_MAX} controllers")
    })
}

fn check_load(source: &Source<'_>, spanned: &Spanned<Load>) -> Result<(), ScenarioError> {
    let load = spanned.get_ref();
    let key = |name: &str| source.key_in(spanned.span(), name);
    let check = |holds: bool, name: &str, problem: String| {
        if holds { Ok(()) } else { Err(source.error(key(name), &problem)) }
    };
    let mix = &load.mix;
    let shares = [mix.caller_releases, mix.pool_releases, mix.caller_gives_up, mix.pool_calls];
    let own: u64 = shares[..3].iter().map(|share| u64::from(*share)).sum();
    check(
        (1..=1_000_000).contains(&load.rate_per_s),
        "rate_per_s",
        "expected 1 to 1,000,000 messages a second".into(),
    )?;
    check((1..=4_096).contains(&load.groups), "groups", "expected 1 to 4,096 circuit groups".into())?;
    check(shares.iter().all(|share| *share <= 1_000_000), "mix", "expected shares up to 1,000,000".into())?;
    check(own > 0, "mix", "expected at least one share of calls of the network over 0".into())?;
    for (name, (least, most)) in [("ring_ms", load.ring_ms), ("hold_ms", load.hold_ms)] {
        let good = least <= most && most <= 3_600_000;
        check(good, name, format!("[{least}, {most}]: expected [least, most] in ms, least first"))?;
    }
    Ok(())
}

fn check_fault(
    source: &Source<'_>,
    table: &FaultTable,
    duration_ms: u64,
    controllers: usize,
) -> Result<Fault, ScenarioError> {
    let at_ms = *table.at_ms.get_ref();
    source.need(at_ms < duration_ms, &table.at_ms, || {
        format!("{at_ms}: expected less than duration_ms ({duration_ms}), else it comes after the load")
    })?;
    let kind = *table.kind.get_ref();
    if kind == FaultKind::StealCore {
        let Some(duration) = &table.duration_ms else {
            return Err(source.error(table.kind.span(), "steal-core needs duration_ms: for how long, ms"));
        };
        if let Some(target) = &table.target {
            return Err(source.error(target.span(), "steal-core takes no target; it hits the whole machine"));
        }
        let duration_ms = *duration.get_ref();
        source.need((1..=10_000).contains(&duration_ms), duration, || "expected 1 to 10,000 ms".into())?;
        return Ok(Fault { at_ms, kind, controller: None, duration_ms });
    }
    if let Some(duration) = &table.duration_ms {
        return Err(source.error(duration.span(), "only steal-core takes duration_ms; end a stop with a cont"));
    }
    let Some(target) = &table.target else {
        let problem = format!("{} needs target = \"gwc-1\" to \"gwc-{controllers}\"", kind.as_str());
        return Err(source.error(table.kind.span(), &problem));
    };
    let number = target.get_ref().strip_prefix("gwc-").and_then(|n| n.parse::<usize>().ok());
    match number.filter(|n| (1..=controllers).contains(n)) {
        Some(number) => Ok(Fault { at_ms, kind, controller: Some(number - 1), duration_ms: 0 }),
        None => {
            let problem = format!("no process `{}`: expected gwc-1 to gwc-{controllers}", target.get_ref());
            Err(source.error(target.span(), &problem))
        }
    }
}

/// Plays the faults through: each must find its process in a state in which it can be done.
fn check_sequence(
    source: &Source<'_>,
    faults: &[(Fault, Range<usize>)],
    controllers: usize,
) -> Result<(), ScenarioError> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Process {
        Runs,
        Stopped,
        Gone,
    }
    let mut states = vec![Process::Runs; controllers];
    for (fault, place) in faults {
        let Some(state) = fault.controller.and_then(|index| states.get_mut(index)) else { continue };
        let (possible, next) = match fault.kind {
            FaultKind::Kill => (*state != Process::Gone, Process::Gone),
            FaultKind::Term => (*state == Process::Runs, Process::Gone),
            FaultKind::Stop => (*state == Process::Runs, Process::Stopped),
            FaultKind::Cont => (*state == Process::Stopped, Process::Runs),
            FaultKind::Start => (*state == Process::Gone, Process::Runs),
            FaultKind::StealCore => (true, *state),
        };
        if !possible {
            let is = match state {
                Process::Runs => "running",
                Process::Stopped => "stopped",
                Process::Gone => "not there",
            };
            let (kind, target, at_ms) = (fault.kind.as_str(), fault.target(), fault.at_ms);
            let problem = format!("{kind} of {target} at {at_ms} ms is not possible: it is {is} then");
            return Err(source.error(place.clone(), &problem));
        }
        *state = next;
    }
    Ok(())
}

fn assertions(
    source: &Source<'_>,
    given: &BTreeMap<Spanned<String>, Spanned<f64>>,
) -> Result<BTreeMap<String, f64>, ScenarioError> {
    let mut limits: BTreeMap<String, f64> =
        ASSERTIONS.iter().filter_map(|a| a.default.map(|limit| (a.name.to_owned(), limit))).collect();
    for (name, limit) in given {
        if !ASSERTIONS.iter().any(|a| a.name == name.get_ref()) {
            let known: Vec<_> = ASSERTIONS.iter().map(|a| a.name).collect();
            let problem = format!("unknown assertion `{}`: expected one of {}", name.get_ref(), known.join(", "));
            return Err(source.error(name.span(), &problem));
        }
        let value = *limit.get_ref();
        source.need(value.is_finite() && value >= 0.0, limit, || format!("{value}: expected a number from 0 up"))?;
        limits.insert(name.get_ref().clone(), value);
    }
    Ok(limits)
}

/// The text, for places in errors.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
}

impl Source<'_> {
    fn need<T>(&self, holds: bool, at: &Spanned<T>, problem: impl FnOnce() -> String) -> Result<(), ScenarioError> {
        if holds { Ok(()) } else { Err(self.error(at.span(), &problem())) }
    }

    fn error(&self, span: Range<usize>, problem: &str) -> ScenarioError {
        let start = span.start.min(self.text.len());
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = self.text[line_start..start].chars().count() + 1;
        let key = self.key_at(line_start, before);
        let key = if key.is_empty() { String::new() } else { format!(" {key}:") };
        ScenarioError(format!("{}:{line}:{column}:{key} {problem}", self.file))
    }

    /// The key on the line of an error, with the table it is in.
    fn key_at(&self, line_start: usize, before: &str) -> String {
        let line = self.text[line_start..].lines().next().unwrap_or_default().trim();
        let header = |line: &str| line.trim().trim_matches(['[', ']']).to_owned();
        if line.starts_with('[') {
            return header(line);
        }
        let table = before.lines().rev().find(|l| l.trim_start().starts_with('[') && !l.contains('=')).map(header);
        let key = line.split_once('=').map(|(key, _)| key.trim());
        match (table, key) {
            (Some(table), Some(key)) => format!("{table}.{key}"),
            (Some(table), None) => table,
            (None, Some(key)) => key.to_owned(),
            (None, None) => String::new(),
        }
    }

    /// Where `name` stands as a key in the table that begins at `span`; the span itself when it is not written there.
    fn key_in(&self, span: Range<usize>, name: &str) -> Range<usize> {
        let mut offset = span.start;
        for (number, line) in self.text[span.start..].split_inclusive('\n').enumerate() {
            if number > 0 && line.starts_with('[') {
                break;
            }
            if line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('=')) {
                return offset..offset + name.len();
            }
            offset += line.len();
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BUILT_IN, load};
    use super::*;

    const GOOD: &str = "name = \"x\"\nduration_ms = 1000\n[controllers]\ncount = 2\n";

    fn error(text: &str) -> String {
        parse(text, "f.toml").unwrap_err().0
    }

    #[test]
    fn built_in_scenarios_are_right_and_named_as_listed() {
        for built_in in BUILT_IN {
            let scenario = load(built_in.name).unwrap();
            assert_eq!(scenario.name, built_in.name);
            assert!(!scenario.description.is_empty());
            assert_eq!(scenario.assertions["lost"], 0.0);
        }
        assert_eq!(load("failover").unwrap().assertions["longest_gap_ms"], 100.0);
    }

    #[test]
    fn the_smallest_file_has_the_defaults() {
        let scenario = parse(GOOD, "f.toml").unwrap();
        assert_eq!((scenario.controllers, scenario.load, scenario.seed), (2, Load::default(), 1));
        assert_eq!(scenario.assertions["applied_twice"], 0.0);
        assert!(!scenario.assertions.contains_key("p99_ms"));
    }

    #[test]
    fn errors_name_file_line_column_and_key() {
        for (text, place, word) in [
            ("nam = 1", "f.toml:1:1: nam:", "name"),
            ("name = \"x\"\nduration_ms = \"long\"\n[controllers]\ncount = 2", "f.toml:2:15: duration_ms:", "u64"),
            ("name = \"a/b\"\nduration_ms = 1000\n[controllers]\ncount = 2", "f.toml:1:8: name:", "letters"),
            (
                "name = \"x\"\nduration_ms = 1000\n[controllers]\ncount = 0",
                "f.toml:4:9: controllers.count:",
                "1 to 200",
            ),
            ("name = \"x\"\nduration_ms = = 3", "f.toml:2:15:", ""),
        ] {
            let message = error(text);
            assert!(message.starts_with(place) && message.contains(word), "{message}");
        }
        for (rest, place, word) in [
            ("[load]\nrate = 5", "f.toml:6:1: load.rate:", "rate_per_s"),
            ("[load]\ngroups = 0", "f.toml:6:1: load.groups:", "4,096"),
            ("[load]\nring_ms = [1, 2, 3]", "f.toml:6:11: load.ring_ms:", "[least, most]"),
            ("[load]\nring_ms = [5, 2]", "f.toml:6:1: load.ring_ms:", "least first"),
            ("[[faults]]\nat_ms = 10\nkind = \"kil\"\ntarget = \"gwc-1\"", "f.toml:7:8: faults.kind:", "steal-core"),
            ("[[faults]]\nat_ms = 10\nkind = \"kill\"\ntarget = \"gwc-3\"", "f.toml:8:10: faults.target:", "gwc-2"),
            ("[[faults]]\nat_ms = 10\nkind = \"kill\"", "f.toml:7:8: faults.kind:", "needs target"),
            ("[[faults]]\nat_ms = 1000\nkind = \"kill\"\ntarget = \"gwc-1\"", "f.toml:6:9: faults.at_ms:", "less than"),
            ("[[faults]]\nat_ms = 10\nkind = \"steal-core\"", "f.toml:7:8: faults.kind:", "duration_ms"),
            (
                "[[faults]]\nat_ms = 10\nkind = \"cont\"\ntarget = \"gwc-1\"",
                "f.toml:7:8: faults.kind:",
                "it is running",
            ),
            ("[assertions]\nlots = 0", "f.toml:6:1: assertions.lots:", "expected one of lost"),
            ("[assertions]\nlost = -1", "f.toml:6:8: assertions.lost:", "from 0 up"),
        ] {
            let message = error(&format!("{GOOD}{rest}"));
            assert!(message.starts_with(place) && message.contains(word), "{message}");
        }
    }

    #[test]
    fn names_that_do_not_exist() {
        assert!(load("nonsense").unwrap_err().0.contains("one of failover, "));
        assert!(load("no/such.toml").unwrap_err().0.contains("cannot read"));
    }
}
