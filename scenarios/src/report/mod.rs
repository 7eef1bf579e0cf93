//! `report.html`: a run, or two runs beside each other, as one page that can be handed on.
//!
//! [`write_for`] is called at the end of each run, [`command`] is `sigpool report`. The page is made from the files of the run's folder
//! alone (`folder`); what is missing is said in its place.

mod chart;
mod compare;

mod folder;
mod intervals;
mod page;
mod sections;
mod text;
mod verdict;

#[cfg(test)]
mod tests;

use crate::runner::RunError;
use folder::{Folder, Found};
use maud::{Markup, html};
use page::{began, document, missing, section};
use std::path::{Path, PathBuf};

/// Name of the page of one run.
pub const REPORT: &str = "report.html";
/// Name of the page of two runs.
pub const COMPARISON: &str = "comparison.html";

/// `sigpool report DIR [DIR2] [--out FILE]`: writes the page and gives its path.
///
/// # Errors
/// Usage: a folder holds no run. Environment: the page cannot be written.
pub fn command(dirs: &[PathBuf], out: Option<&Path>) -> Result<PathBuf, RunError> {
    match dirs {
        [dir] => {
            let folder = Folder::read(dir)?;
            let out = out.map_or_else(|| dir.join(REPORT), Path::to_owned);
            write(&out, |page_folder| run_page(&folder, page_folder))
        }
        [first, second] => {
            let (first, second) = (Folder::read(first)?, Folder::read(second)?);
            let out = out.map_or_else(|| second.path.join(COMPARISON), Path::to_owned);
            write(&out, |page_folder| compare::page(&first, &second, page_folder))
        }
        _ => Err(RunError::Usage(format!("report: expected one folder or two, not {}", dirs.len()))),
    }
}

/// Writes `report.html` into the folder of a run that just ended.
///
/// # Errors
/// Environment: the page cannot be written.
pub fn write_for(dir: &Path) -> Result<PathBuf, RunError> {
    command(&[dir.to_owned()], None)
}

fn write(out: &Path, page: impl Fn(&Path) -> String) -> Result<PathBuf, RunError> {
    let failed = |error: std::io::Error| {
        RunError::Environment(format!("cannot write {}: {error}; give a writable file with --out", out.display()))
    };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let page_folder = std::fs::canonicalize(parent).map_err(failed)?;
    std::fs::write(out, page(&page_folder)).map_err(failed)?;
    Ok(out.to_owned())
}

/// The page of one run.
fn run_page(folder: &Folder, page_folder: &Path) -> String {
    let results = folder.results.as_ref();
    let name = results.map_or_else(|_| folder.name(), |results| results.scenario.clone());
    let body = html! {
        header {
            h1 { "sigpool run: " (name) }
            @match results {
                Ok(results) => {
                    p { (results.description) }
                    p.soft { (began(results.started_unix_s)) " · seed " (results.seed) " · " (results.machine.cores) " cores · sigpool " (results.machine.version)
                        @if let Some(commit) = &results.machine.commit { " · commit " (commit) } }
                    (verdict::verdict(results))
                    (verdict::cards(results))
                }
                Err(why) => (verdict::unknown(why)),
            }
            nav aria-label="Sections" { @for (id, title) in SECTIONS { a href=(format!("#{id}")) { (title) } } }
        }
        main { @for (id, title) in SECTIONS { (section(id, title, &section_body(id, folder, page_folder))) } }
    };
    document(&format!("sigpool run: {name}"), &body)
}

/// The sections in their order.
const SECTIONS: [(&str, &str); 11] = [
    ("limits", "Limits and actual figures"),
    ("faults", "Faults and failover"),
    ("nodes", "Topology"),
    ("time", "Over time"),
    ("latencies", "Latency"),
    ("groups", "Circuit groups"),
    ("accounts", "Messages and calls"),
    ("shares", "Share of each controller"),
    ("machine", "Machine and processes"),
    ("repeat", "How to repeat it"),
    ("files", "Files of the run"),
];

fn section_body(id: &str, folder: &Folder, page_folder: &Path) -> Markup {
    let with_results = |make: &dyn Fn(&crate::results::Results) -> Markup| match &folder.results {
        Ok(results) => make(results),
        Err(why) => missing(why),
    };
    match id {
        "limits" => with_results(&sections::limits),
        "faults" => with_results(&sections::faults),
        "nodes" => with_results(&topology),
        "time" => over_time(folder),
        "latencies" => with_results(&|results| {
            let series = chart::histogram::Series {
                name: "this run",
                buckets: &results.latency_histogram,
                latency: results.latency_us,
            };
            html! {
                (chart::histogram::figure(&[series]).unwrap_or_else(|| missing("No latency was measured: the load was never steady.")))
                (sections::load(results))
            }
        }),
        "groups" => with_results(&|results| {
            let limit =
                results.assertions.iter().find(|outcome| outcome.name == "longest_gap_ms").map(|outcome| outcome.limit);
            chart::gaps::figure(&results.groups, results.groups_total, limit)
                .unwrap_or_else(|| missing("No group was touched by a fault or a move."))
        }),
        "accounts" => with_results(&|results| html! { (sections::messages(results)) (sections::calls(results)) }),
        "shares" => with_results(&sections::shares),
        "machine" => with_results(&sections::machine),
        "repeat" => sections::repeat(folder.results.as_ref().ok(), &folder.scenario),
        _ => sections::files(folder, page_folder),
    }
}

fn topology(results: &crate::results::Results) -> Markup {
    chart::topology::figure(&chart::topology::Topology::of(results))
        .unwrap_or_else(|| missing("No process was running when the run ended."))
}

fn over_time(folder: &Folder) -> Markup {
    let intervals = match &folder.intervals {
        Ok(intervals) => intervals,
        Err(why) => return missing(why),
    };
    let marks = folder.marks();
    html! {
        (chart::rate::figure(intervals, &marks).unwrap_or_else(|| missing("intervals.csv has no figures of controllers.")))
        (chart::latency::figure(intervals, &marks).unwrap_or_else(|| missing("intervals.csv has no latency.")))
        @if intervals.unreadable > 0 { p.note { (intervals.unreadable) " lines of intervals.csv could not be read and are not shown." } }
        (not_read(&folder.events))
    }
}

/// Events only add to the drawings; that they are missing is worth a line.
fn not_read(events: &Found<Vec<folder::Event>>) -> Markup {
    html! { @if let Err(why) = events { p.soft { (why) } } }
}
