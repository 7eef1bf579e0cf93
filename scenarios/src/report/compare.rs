//! Two runs beside each other: figures with their difference, drawings on the same axes, and what makes the comparison unfair.

use super::chart::{histogram, overlay};
use super::folder::{Folder, relative};
use super::page::{began, document, missing, section};
use super::text::{count, ms, number, percent, us};
use super::verdict;
use crate::results::{Results, Verdict};
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::path::Path;

/// Measured figures that differ by less than this part are called alike: two runs of the same program differ that much.
const ALIKE: f64 = 0.05;
/// Differences of scenarios that are listed.
const LISTED: usize = 20;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
    /// Neither: it only says what the run was.
    Neither,
}

/// A figure of both runs.
struct Row {
    name: &'static str,
    better: Better,
    /// Counts are exact; measured figures are alike when they are near.
    exact: bool,
    shown: fn(f64) -> String,
    figure: fn(&Results) -> Option<f64>,
}

const fn counted(name: &'static str, better: Better, figure: fn(&Results) -> Option<f64>) -> Row {
    Row { name, better, exact: true, shown: number, figure }
}

const fn measured(
    name: &'static str,
    better: Better,
    shown: fn(f64) -> String,
    figure: fn(&Results) -> Option<f64>,
) -> Row {
    Row { name, better, exact: false, shown, figure }
}

fn n(value: u64) -> Option<f64> {
    Some(value as f64)
}

const ROWS: &[Row] = &[
    measured("longest gap at a fault", Better::Less, ms, verdict::longest_gap),
    measured("longest time to detect", Better::Less, ms, |r| {
        r.faults.iter().filter_map(|f| f.detected_ms).reduce(f64::max)
    }),
    measured("longest time to the first message elsewhere", Better::Less, ms, |r| {
        r.faults.iter().filter(|f| f.detected_ms.is_some()).filter_map(|f| f.first_ms).reduce(f64::max)
    }),
    counted("messages offered", Better::Neither, |r| n(r.messages.offered)),
    counted("lost", Better::Less, |r| n(r.messages.lost)),
    counted("discarded with a cause", Better::Less, |r| n(r.messages.discarded.values().sum())),
    counted("duplicated", Better::Less, |r| n(r.messages.duplicated)),
    counted("reordered", Better::Less, |r| n(r.messages.reordered)),
    counted("applied twice", Better::Less, |r| n(r.messages.applied_twice)),
    counted("rolled back", Better::Neither, |r| n(r.messages.rolled_back)),
    counted("calls attempted", Better::Neither, |r| n(r.calls.attempted)),
    counted("calls failed", Better::Less, |r| n(r.calls.failed)),
    counted("calls without an end", Better::Less, |r| n(r.calls.hanging)),
    counted("calls that survived a fault", Better::Neither, |r| n(r.calls.survived)),
    counted("false failovers", Better::Less, |r| n(r.false_failovers)),
    measured("latency p50", Better::Less, us, |r| n(r.latency_us.p50)),
    measured("latency p99", Better::Less, us, |r| n(r.latency_us.p99)),
    measured("latency p99.9", Better::Less, us, |r| n(r.latency_us.p999)),
    measured("latency max", Better::Less, us, |r| n(r.latency_us.max)),
    measured("messages/s, both directions", Better::More, number, |r| Some(r.rate_per_s)),
    measured("of the network, applied/s", Better::More, number, |r| Some(r.applied_per_s)),
    measured("offered part of the load", Better::More, percent, |r| Some(r.offered_part)),
    measured("sent late by, p99", Better::Less, us, |r| n(r.load.lateness_us.p99)),
    measured("control datagrams/s without load", Better::Less, number, |r| r.control.map(|c| c.datagrams_per_s)),
    measured("longest stall of the machine", Better::Less, ms, |r| Some(r.stall_ms)),
];

/// The page of two runs.
pub(super) fn page(a: &Folder, b: &Folder, page_folder: &Path) -> String {
    let (name_a, name_b) = names(a, b);
    let body = html! {
        header {
            h1 { "sigpool: two runs compared" }
            p { "A is " (name_a) ", B is " (name_b) "." }
            div.two { @for (letter, name, folder) in [("A", &name_a, a), ("B", &name_b, b)] { (one(letter, name, folder, page_folder)) } }
            (fairness(a, b))
        }
        main {
            (section("figures", "Figures", &figures(a, b)))
            (section("limits", "Limits", &limits(a, b)))
            (section("drawings", "Latency and rate", &drawings(a, b)))
            (section("faults", "Faults", &faults(a, b)))
        }
    };
    document(&format!("sigpool: {name_a} and {name_b}"), &body)
}

/// What the runs are called: the names of their folders, or their paths when those are the same.
fn names(a: &Folder, b: &Folder) -> (String, String) {
    if a.name() == b.name() { (super::page::shown(&a.path), super::page::shown(&b.path)) } else { (a.name(), b.name()) }
}

fn one(letter: &str, name: &str, folder: &Folder, page_folder: &Path) -> Markup {
    let report = folder.path.join(super::REPORT);
    html! {
        div {
            h2 { (letter) ": " (name) }
            @match &folder.results {
                Ok(results) => {
                    p.soft { (results.scenario) " · " (began(results.started_unix_s)) " · seed " (results.seed) " · sigpool " (results.machine.version)
                        @if let Some(commit) = &results.machine.commit { " · commit " (commit) } }
                    (verdict::verdict(results))
                }
                Err(why) => (verdict::unknown(why)),
            }
            @if report.is_file() { p { a href=(relative(page_folder, &report)) { "its report" } } }
        }
    }
}

/// What makes the two runs differ besides what is compared.
fn fairness(a: &Folder, b: &Folder) -> Markup {
    let mut unfair = Vec::new();
    if let (Ok(a), Ok(b)) = (&a.results, &b.results) {
        let mut differ = |what: &str, a: String, b: String| {
            if a != b {
                unfair.push(format!("{what}: {a} and {b}"));
            }
        };
        differ("different scenarios", a.scenario.clone(), b.scenario.clone());
        differ("different seeds", a.seed.to_string(), b.seed.to_string());
        differ("different numbers of cores", a.machine.cores.to_string(), b.machine.cores.to_string());
        differ("different kernels", a.machine.kernel.clone(), b.machine.kernel.clone());
        for (name, results) in [("A", a), ("B", b)] {
            match results.verdict {
                Verdict::Void => unfair.push(format!("{name} is void: its figures say nothing about the system")),
                Verdict::Interrupted => unfair.push(format!("{name} was interrupted: its figures are of a part")),
                Verdict::Pass | Verdict::Fail => {}
            }
        }
    } else {
        unfair.push("one of them has no results".to_owned());
    }
    let keys = match (&a.scenario, &b.scenario) {
        (Ok(a), Ok(b)) => differences(a, b),
        _ => Vec::new(),
    };
    if unfair.is_empty() && keys.is_empty() {
        return html! { p.good { "✓ Same scenario, same seed, same kind of machine: the comparison is fair." } };
    }
    html! {
        div.note {
            p { b { "The comparison is not fair." } " Besides what is compared, this differs:" }
            ul {
                @for why in &unfair { li { (why) } }
                @for (key, a, b) in keys.iter().take(LISTED) { li { code { (key) } ": " (a) " and " (b) } }
                @if keys.len() > LISTED { li { "and " (keys.len() - LISTED) " more keys of the scenario" } }
            }
        }
    }
}

/// Keys of two scenario files that are not the same, with both values. The seed and the limits are said elsewhere.
fn differences(a: &str, b: &str) -> Vec<(String, String, String)> {
    let (a, b) = (flat(a), flat(b));
    let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let none = || "nothing".to_owned();
    keys.into_iter()
        .filter(|key| {
            a.get(*key) != b.get(*key)
                && *key != "seed"
                && *key != "name"
                && *key != "description"
                && !key.starts_with("assertions.")
        })
        .map(|key| (key.clone(), a.get(key).cloned().unwrap_or_else(none), b.get(key).cloned().unwrap_or_else(none)))
        .collect()
}

/// `load.rate_per_s` -> `2200`; a fault is one value.
fn flat(text: &str) -> BTreeMap<String, String> {
    fn walk(prefix: &str, value: &toml::Value, out: &mut BTreeMap<String, String>) {
        let key = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(table) => table.iter().for_each(|(name, value)| walk(&key(name), value, out)),
            toml::Value::Array(array) if array.iter().any(toml::Value::is_table) => {
                for (index, value) in array.iter().enumerate() {
                    out.insert(key(&(index + 1).to_string()), value.to_string());
                }
            }
            toml::Value::Array(array) if array.is_empty() => {}
            toml::Value::Array(_)
            | toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => {
                out.insert(prefix.to_owned(), value.to_string());
            }
        }
    }
    let mut out = BTreeMap::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        walk("", &toml::Value::Table(table), &mut out);
    }
    out
}

fn figures(a: &Folder, b: &Folder) -> Markup {
    let (Ok(a), Ok(b)) = (&a.results, &b.results) else {
        return missing("One of the runs has no results.");
    };
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "figure" } th.n scope="col" { "A" } th.n scope="col" { "B" } th.n scope="col" { "B − A" } th scope="col" { "better" }
            } }
            tbody { @for row in ROWS {
                @let (a, b) = ((row.figure)(a), (row.figure)(b));
                @if a.is_some() || b.is_some() { tr {
                    th scope="row" { (row.name) }
                    td.n { (shown(row, a)) }
                    td.n { (shown(row, b)) }
                    td.n { (difference(row, a, b)) }
                    td.short { (better(row, a, b)) }
                } }
            } }
        } }
        p.soft { "Measured figures that differ by less than " (percent(ALIKE)) " are called alike: two runs of the same program differ that much." }
    }
}

fn shown(row: &Row, value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), row.shown)
}

fn difference(row: &Row, a: Option<f64>, b: Option<f64>) -> String {
    let (Some(a), Some(b)) = (a, b) else {
        return "–".to_owned();
    };
    let sign = if b > a { "+" } else { "−" };
    if a == b {
        "0".to_owned()
    } else if a == 0.0 || row.exact {
        format!("{sign}{}", (row.shown)((b - a).abs()))
    } else {
        format!("{sign}{} ({sign}{})", (row.shown)((b - a).abs()), rounded(((b - a) / a).abs()))
    }
}

/// Percent without the digits that mean nothing.
fn rounded(part: f64) -> String {
    if part >= 0.1 { format!("{}\u{a0}%", number((part * 100.0).round())) } else { percent((part * 1e3).round() / 1e3) }
}

fn better(row: &Row, a: Option<f64>, b: Option<f64>) -> Markup {
    let (Some(a), Some(b)) = (a, b) else {
        return html! { "–" };
    };
    let near = !row.exact && (a - b).abs() <= ALIKE * a.abs().max(b.abs());
    match row.better {
        Better::Neither => html! { "" },
        Better::Less | Better::More if a == b => html! { "same" },
        Better::Less | Better::More if near => html! { "alike" },
        Better::Less if a < b => html! { b { "A" } },
        Better::More if a > b => html! { b { "A" } },
        Better::Less | Better::More => html! { b { "B" } },
    }
}

fn limits(a: &Folder, b: &Folder) -> Markup {
    let (Ok(a), Ok(b)) = (&a.results, &b.results) else {
        return missing("One of the runs has no results.");
    };
    let find = |results: &Results, name: &str| results.assertions.iter().find(|o| o.name == name).cloned();
    let mut names: Vec<&str> = a.assertions.iter().map(|o| o.name.as_str()).collect();
    let more: Vec<&str> = b.assertions.iter().map(|o| o.name.as_str()).filter(|name| !names.contains(name)).collect();
    names.extend(more);
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "limit on" } th.n scope="col" { "limit A" } th.n scope="col" { "actual A" } th scope="col" { "" }
                th.n scope="col" { "limit B" } th.n scope="col" { "actual B" } th scope="col" { "" }
            } }
            tbody { @for name in names {
                @let both = [find(a, name), find(b, name)];
                tr.failed[both.iter().flatten().any(|o| !o.pass)] {
                    th scope="row" { (name) }
                    @for outcome in &both { @match outcome {
                        Some(outcome) => {
                            td.n { (verdict::limit(outcome)) }
                            td.n { (verdict::actual(outcome)) }
                            @if outcome.pass { td.good { "✓" } } @else { td.bad { "✗ FAILED" } }
                        }
                        None => { td.n { "–" } td.n { "–" } td {} }
                    } }
                }
            } }
        } }
    }
}

fn drawings(a: &Folder, b: &Folder) -> Markup {
    let histogram = match (&a.results, &b.results) {
        (Ok(a), Ok(b)) => {
            let series = |name, results: &'_ Results| (name, results.latency_histogram.clone(), results.latency_us);
            let both = [series("A", a), series("B", b)];
            let series: Vec<_> = both
                .iter()
                .map(|(name, buckets, latency)| histogram::Series { name, buckets, latency: *latency })
                .collect();
            histogram::figure(&series)
        }
        _ => None,
    };
    let over_time = match (&a.intervals, &b.intervals) {
        (Ok(a), Ok(b)) => {
            let runs = [("A", a), ("B", b)];
            [overlay::rates(&runs), overlay::latencies(&runs)]
        }
        _ => [None, None],
    };
    html! {
        (histogram.unwrap_or_else(|| missing("One of the runs has no latency.")))
        @for figure in over_time { (figure.unwrap_or_else(|| missing("One of the runs has no intervals.csv."))) }
    }
}

fn faults(a: &Folder, b: &Folder) -> Markup {
    let (Ok(a), Ok(b)) = (&a.results, &b.results) else {
        return missing("One of the runs has no results.");
    };
    let rows = a.faults.len().max(b.faults.len());
    if rows == 0 {
        return missing("Nothing was done to the controllers in either run.");
    }
    html! {
        div.scroll { table {
            thead { tr {
                th.n scope="col" { "#" } th scope="col" { "run" } th scope="col" { "fault" } th.n scope="col" { "at" } th.n scope="col" { "detected after" }
                th.n scope="col" { "first elsewhere" } th.n scope="col" { "longest gap" } th.n scope="col" { "groups" }
            } }
            tbody { @for index in 0..rows { @for (name, fault) in [("A", a.faults.get(index)), ("B", b.faults.get(index))] {
                @if let Some(fault) = fault { tr {
                    td.n { (index + 1) } td { (name) } th scope="row" { (fault.kind) " " (fault.target) }
                    td.n { (super::text::seconds(fault.at_ms.round())) }
                    @for time in [fault.detected_ms, fault.first_ms, fault.longest_gap_ms] { td.n { (super::text::ms_or_dash(time)) } }
                    td.n { (count(fault.affected_groups)) }
                } }
            } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_compared_key_by_key() {
        let a = "seed = 1\n[load]\nrate_per_s = 2200\nring_ms = [1, 2]\n[[faults]]\nat_ms = 5\n";
        let b = "seed = 2\n[load]\nrate_per_s = 2400\nring_ms = [1, 2]\n[[faults]]\nat_ms = 5\n[[faults]]\nat_ms = 9\n";
        let found = differences(a, b);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1], ("load.rate_per_s".to_owned(), "2200".to_owned(), "2400".to_owned()));
        assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("faults.2", "nothing"));
    }

    #[test]
    fn near_is_alike_for_what_is_measured_and_not_for_what_is_counted() {
        let row = |exact| Row { name: "x", better: Better::Less, exact, shown: number, figure: |_| None };
        let said = |exact, a, b| better(&row(exact), Some(a), Some(b)).into_string();
        assert_eq!((said(false, 100.0, 103.0), said(true, 100.0, 103.0)), ("alike".into(), "<b>A</b>".into()));
        assert_eq!((said(false, 100.0, 80.0), said(true, 0.0, 0.0)), ("<b>B</b>".into(), "same".into()));
        assert_eq!(difference(&row(false), Some(100.0), Some(80.0)), "−20 (−20\u{a0}%)");
    }
}
