//! The tables of a run's page.

use super::folder::{Folder, Found, relative};
use super::page::{missing, shell};
use super::text::{count, ms, ms_or_dash, number, percent, seconds, us};
use super::verdict::{actual, limit};
use crate::checker::PathFigures;
use crate::results::Results;
use crate::scenario::ASSERTIONS;
use maud::{Markup, html};
use std::path::Path;

/// Limits and actual figures; what failed comes first and stands out.
pub(super) fn limits(results: &Results) -> Markup {
    let (failed, held): (Vec<_>, Vec<_>) = results.assertions.iter().partition(|outcome| !outcome.pass);
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "limit on" } th.n scope="col" { "limit" } th.n scope="col" { "actual" } th scope="col" { "" } th.extra scope="col" { "meaning" } } }
            tbody { @for outcome in failed.into_iter().chain(held) {
                tr.failed[!outcome.pass] {
                    th scope="row" { (outcome.name) }
                    td.n { (limit(outcome)) }
                    td.n { (actual(outcome)) }
                    @if outcome.pass { td.good.short { "✓" span.extra { " held" } } } @else { td.bad.short { "✗ FAILED" } }
                    td.soft.extra { (ASSERTIONS.iter().find(|a| a.name == outcome.name).map_or("", |a| a.meaning)) }
                }
            } }
        } }
    }
}

/// What each fault did.
pub(super) fn faults(results: &Results) -> Markup {
    if results.faults.is_empty() {
        return missing("Nothing was done to the controllers in this run.");
    }
    let paths = results.faults.iter().any(|fault| fault.path.is_some());
    html! {
        div.scroll { table {
            thead { tr {
                th.n scope="col" { "#" } th scope="col" { "fault" } th scope="col" { "target" } th.n scope="col" { "at" } th.n scope="col" { "detected" }
                th.n scope="col" { "first elsewhere" } th.n scope="col" { "longest gap" } th.n scope="col" { "groups" }
                @if paths { th scope="col" { "changes of the path" } th.n scope="col" { "datagrams over it" } }
            } }
            tbody { @for (index, fault) in results.faults.iter().enumerate() { tr {
                td.n { (index + 1) }
                th scope="row" { (fault.kind) }
                td { (fault.target) }
                td.n { (seconds(fault.at_ms.round())) }
                td.n { (ms_or_dash(fault.detected_ms)) }
                td.n { (ms_or_dash(fault.first_ms)) }
                td.n { (ms_or_dash(fault.longest_gap_ms)) }
                td.n { @if fault.affected_groups > 0 { (count(fault.affected_groups)) } @else { "–" } }
                @if paths {
                    td { (fault.path.as_ref().map_or_else(|| "–".to_owned(), path_changes)) }
                    td.n { (fault.path.as_ref().and_then(|path| path.carried_percent).map_or_else(|| "–".to_owned(), |p| format!("{} %", number(p)))) }
                }
            } } }
        } }
        p.soft { "Times after the fault: until the gateway gave the controller up, until the first message of an affected group was applied by another controller. A gap is the largest time from when a message of an affected group was intended to when it was applied." }
        @if paths { p.soft { "A path that is cut or joined touches every group, in both directions. Its changes are those that both ends of all associations saw until the next fault of a path; the datagrams over it are its part of all in the last second of that time." } }
    }
}

/// What both ends of associations saw of a path, in words.
fn path_changes(path: &PathFigures) -> String {
    let counts =
        [(path.potentially_failed, "potentially failed"), (path.inactive, "inactive"), (path.active, "active")];
    let seen: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, state)| format!("{} {state}", count(*n))).collect();
    match (path.first_ms, path.last_ms) {
        (Some(first), Some(last)) => format!("{}; after {} to {}", seen.join(", "), ms(first), ms(last)),
        (None, _) | (_, None) => "none".to_owned(),
    }
}

/// Rows of a two-column table: name and figure.
fn figures(caption: &str, rows: &[(&str, String)]) -> Markup {
    html! {
        table {
            caption { (caption) }
            tbody { @for (name, figure) in rows { tr { th scope="row" { (name) } td.n { (figure) } } } }
        }
    }
}

/// Where every message went: offered = applied + discarded + lost.
pub(super) fn messages(results: &Results) -> Markup {
    let m = &results.messages;
    let discarded: u64 = m.discarded.values().sum();
    let adds_up = m.offered == m.applied + discarded + m.lost;
    html! {
        div.columns {
            div {
                table {
                    caption { "Where each message went" }
                    tbody {
                        tr { th scope="row" { "applied" } td.n { (count(m.applied)) } }
                        @for (cause, n) in &m.discarded { tr { th scope="row" { "+ discarded: " (cause) } td.n { (count(*n)) } } }
                        @if m.discarded.is_empty() { tr { th scope="row" { "+ discarded" } td.n { "0" } } }
                        tr.failed[m.lost > 0] { th scope="row" { "+ lost" } td.n { (count(m.lost)) } }
                        tr.total { th scope="row" { "= offered" } td.n { (count(m.offered)) } }
                    }
                }
                @if adds_up { p.good { "✓ adds up exactly" } } @else { p.bad { "✗ does not add up: this is a defect of the checker or the records" } }
            }
            (figures("Defects", &[
                ("duplicated", count(m.duplicated)),
                ("reordered", count(m.reordered)),
                ("applied twice", count(m.applied_twice)),
                ("sent by nobody", count(m.unknown)),
                ("uncommitted output released", count(m.uncommitted_released)),
                ("discarded though it arrived", count(m.discarded_wrongly)),
                ("false failovers", count(results.false_failovers)),
            ]))
            (figures("The mechanism at work (no defects)", &[
                ("rolled back with an uncommitted transaction", count(m.rolled_back)),
                ("taken back for another controller", count(m.taken_back)),
                ("sent again to the other gateway", count(m.resent)),
                ("came again from the other gateway, not taken", count(m.repeated)),
                ("duplicates filtered by a controller", count(m.filtered_duplicates)),
                ("thrown away without lease", count(m.lease_dropped)),
            ]))
        }
    }
}

/// Calls, as the network saw them.
pub(super) fn calls(results: &Results) -> Markup {
    let (c, at, d) = (&results.calls, &results.calls.at_fault, &results.dialogues);
    html! {
        div.columns {
            (figures("Calls, as the network saw them", &[
                ("attempted", count(c.attempted)),
                ("answered", count(c.answered)),
                ("released normally", count(c.released)),
                ("failed", count(c.failed)),
                ("without an end", count(c.hanging)),
                ("up at a fault on its groups, ended normally", count(c.survived)),
            ]))
            (figures("How far the calls on affected groups were at the faults", &[
                ("after IAM", count(at.after_iam)),
                ("after ACM", count(at.after_acm)),
                ("after ANM", count(at.after_anm)),
                ("after REL", count(at.after_rel)),
            ]))
            @if d.begun > 0 {
                (figures("TCAP dialogues, as the network saw them", &[
                    ("begun", count(d.begun)),
                    ("ended", count(d.ended)),
                    ("aborted", count(d.aborted)),
                    ("without an end", count(d.hanging)),
                    ("open at a fault on its groups", count(d.at_fault)),
                    ("of these ended", count(d.survived)),
                ]))
            }
        }
    }
}

/// What the load driver was to do and did; control traffic.
pub(super) fn load(results: &Results) -> Markup {
    let (load, late, l) = (&results.load, &results.load.lateness_us, &results.latency_us);
    let time = |n: u64| us(n as f64);
    html! {
        div.columns {
            (figures("Load of the network, intended and sent", &[
                ("calls intended", count(load.calls_intended)),
                ("calls begun", count(load.calls_begun)),
                ("messages intended", count(load.messages_intended)),
                ("messages sent", count(load.messages_sent)),
                ("offered part", percent(results.offered_part)),
            ]))
            table {
                caption { "Times in the steady load" }
                thead { tr { th scope="col" { "" } th.n scope="col" { "latency" } th.n scope="col" { "sent late by" } } }
                tbody {
                    @for (name, latency, lateness) in [("p50", l.p50, late.p50), ("p99", l.p99, late.p99), ("p99.9", l.p999, late.p999), ("max", l.max, late.max)] {
                        tr { th scope="row" { (name) } td.n { (time(latency)) } td.n { (time(lateness)) } }
                    }
                }
            }
            (figures("Rates in the steady load", &[
                ("messages/s, both directions", number(results.rate_per_s)),
                ("of the network, applied/s", number(results.applied_per_s)),
            ]))
            @match &results.control {
                Some(control) => (figures(&format!("Control traffic at the gateway, {} without load", seconds(control.idle_ms)), &[
                    ("datagrams/s", number(control.datagrams_per_s)),
                    ("bytes/s", number(control.bytes_per_s)),
                    ("bytes/s of data under load", control.data_bytes_per_s.map_or_else(|| "-".to_owned(), number)),
                    ("population and name servers, bytes/s", control.pool_bytes_per_s.map_or_else(|| "-".to_owned(), number)),
                    ("the same, in % of data", control.pool_percent_of_data.map_or_else(|| "-".to_owned(), number)),
                    ("control, in % of data", control.percent_of_data.map_or_else(|| "-".to_owned(), number)),
                ])),
                None => div { p.soft { "Control traffic was not measured: the scenario has no time without load (idle_ms)." } },
            }
        }
    }
}

/// Each controller's part.
pub(super) fn shares(results: &Results) -> Markup {
    if results.controllers.is_empty() {
        return missing("No figures of controllers in results.json.");
    }
    html! {
        div.scroll { table {
            caption { "Committed messages. The fair share is by the pool's policy, for the time that the controller was active." }
            thead { tr {
                th scope="col" { "controller" } th.n scope="col" { "from the network" } th.n scope="col" { "to the network" } th.n scope="col" { "share" }
                th.n scope="col" { "fair share" } th.n scope="col" { "deviation" } th scope="col" { "PE identifiers" }
            } }
            tbody { @for controller in &results.controllers { tr {
                th scope="row" { (controller.name) }
                td.n { (count(controller.messages_up)) }
                td.n { (count(controller.messages_down)) }
                td.n { (percent(controller.share)) }
                td.n { (percent(controller.fair_share)) }
                td.n { (controller.deviation_percent.map_or_else(|| "–".to_owned(), |d| format!("{} %", number((d * 10.0).round() / 10.0)))) }
                td.mono { (controller.pes.join(" ")) }
            } } }
        } }
    }
}

/// Processes, machine, commit.
pub(super) fn machine(results: &Results) -> Markup {
    let m = &results.machine;
    html! {
        div.columns {
            (figures("Machine and build", &[
                ("cores", m.cores.to_string()),
                ("kernel", m.kernel.clone()),
                ("sigpool", m.version.clone()),
                ("commit", m.commit.clone().unwrap_or_else(|| "not known".to_owned())),
                ("longest stall of the machine", ms(results.stall_ms)),
                ("unreadable record lines", count(results.record_errors)),
                ("files cut off by a kill", count(results.torn_lines)),
            ]))
            div.scroll { table {
                caption { "Processes at the begin of the load" }
                thead { tr { th scope="col" { "name" } th.n scope="col" { "pid" } th scope="col" { "address" } } }
                tbody { @for process in &results.process_list { tr {
                    th scope="row" { (process.name) } td.n { (process.pid) } td.mono { (process.address) }
                } } }
            } }
        }
    }
}

/// How to do it again: the command, the seed, the scenario.
pub(super) fn repeat(results: Option<&Results>, scenario: &Found<String>) -> Markup {
    html! {
        @if let Some(results) = results {
            @let command = if results.command.is_empty() {
                ["sigpool", "run", &results.scenario, "--seed", &results.seed.to_string()].map(str::to_owned).to_vec()
            } else { results.command.clone() };
            pre { (shell(&command)) }
            p { "Seed " (results.seed) ". The same seed gives the same calls at the same times; what the machine does in between differs." }
        }
        @match scenario {
            Ok(text) => {
                p { "Or from the scenario as it was run, defaults filled in: " code { "sigpool run scenario.toml" } "." }
                details { summary { "scenario.toml" } pre { (text.trim_end()) } }
                // Paper has nothing to click on.
                pre.paper { (text.trim_end()) }
            }
            Err(why) => (missing(why)),
        }
    }
}

/// The run's files, as seen from the page.
pub(super) fn files(folder: &Folder, page_folder: &Path) -> Markup {
    html! {
        div.scroll { table {
            caption { "Links work while the page lies where it was made, " code { (super::page::shown(&folder.path)) } }
            tbody { @for link in &folder.links { tr {
                th scope="row" { a href=(relative(page_folder, &folder.path.join(link.name))) { (link.name) } }
                td.n { (link.size) }
                td.soft { (link.what) }
            } } }
        } }
    }
}
