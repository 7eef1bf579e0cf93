//! What the paths of associations did: their changes of state, what a cut or joined path brought, associations that ended.

use super::faults::ms;
use super::record::{FaultEntry, Records, Witness};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most changes listed in the results; all are counted.
const CHANGES_LISTED_MAX: usize = 1_000;
/// What a path carries is looked at over so much time before the next fault of a path, ns. The runner says it each second.
const CARRIED_NS: u64 = 900_000_000;

/// A path of an association became another state at one of its ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathChange {
    /// When, ms after the begin of the load.
    pub t_ms: f64,
    /// Who saw it, for example `sg-1`.
    pub at: String,
    /// The other end, for example `gwc-1`; its address when nobody of the run has it.
    pub peer: String,
    /// What the association is for, as its end says: pool, network, client, name-server, gateway.
    pub role: String,
    /// The path, for example `path-1`; empty when nobody of the run has the address.
    pub path: String,
    /// active, potentially-failed, inactive.
    pub state: String,
}

/// What happened to paths from a `cut-path` or `restore-path` to the next one, or the end of the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathFigures {
    /// Changes to potentially-failed, of this path, seen by either end of each association.
    pub potentially_failed: u64,
    /// Changes to inactive.
    pub inactive: u64,
    /// Changes to active.
    pub active: u64,
    /// The first of these changes, ms after the fault.
    pub first_ms: Option<f64>,
    /// The last of them.
    pub last_ms: Option<f64>,
    /// Part of all datagrams that went over this path in the last second of that time, per cent.
    pub carried_percent: Option<f64>,
}

/// All that is said of paths.
pub(super) struct PathReport {
    pub(super) changes: Vec<PathChange>,
    pub(super) changes_total: u64,
    /// Of each fault, in their order; none of those that hit no path.
    pub(super) of_faults: Vec<Option<PathFigures>>,
    /// Associations that ended while the run went on, as told by both of their ends.
    pub(super) associations_ended: u64,
}

pub(super) fn report(records: &Records) -> PathReport {
    let until = records.quit_ns.unwrap_or(u64::MAX);
    let mut all: Vec<_> = records.paths.iter().filter(|entry| entry.t_ns < until).collect();
    all.sort_by_key(|entry| entry.t_ns);
    let change = |entry: &&super::record::PathEntry| {
        let place = records.places.get(&entry.address);
        PathChange {
            t_ms: signed_ms(entry.t_ns, records.zero()),
            at: witness(records, &entry.at),
            peer: place.map_or_else(|| entry.address.to_string(), |(name, _)| name.clone()),
            role: entry.role.clone(),
            path: place.map(|(_, path)| format!("path-{path}")).unwrap_or_default(),
            state: entry.state.clone(),
        }
    };
    let changes: Vec<_> = all.iter().map(change).collect();
    let times: Vec<u64> = all.iter().map(|entry| entry.t_ns).collect();
    let figures = |fault: &FaultEntry| fault.is_path().then(|| of_fault(records, fault, &changes, &times));
    PathReport {
        of_faults: records.faults.iter().map(figures).collect(),
        changes_total: changes.len() as u64,
        changes: changes.into_iter().take(CHANGES_LISTED_MAX).collect(),
        associations_ended: records.ended_ns.iter().filter(|t| **t < until).count() as u64,
    }
}

fn of_fault(records: &Records, fault: &FaultEntry, changes: &[PathChange], times: &[u64]) -> PathFigures {
    let until = records.next_of_a_path(fault.t_ns).or(records.end_ns).unwrap_or(u64::MAX);
    let mut figures = PathFigures::default();
    let window = changes.iter().zip(times).filter(|(_, t)| (fault.t_ns..until).contains(*t));
    for (change, t_ns) in window.filter(|(change, _)| change.path == fault.target) {
        match change.state.as_str() {
            "potentially-failed" => figures.potentially_failed += 1,
            "inactive" => figures.inactive += 1,
            _ => figures.active += 1,
        }
        let after = ms(t_ns - fault.t_ns);
        figures.first_ms.get_or_insert(after);
        figures.last_ms = Some(after);
    }
    figures.carried_percent = carried(records, fault, until);
    figures
}

/// The path's part in the last second before `until`, by what the relay counted.
fn carried(records: &Records, fault: &FaultEntry, until: u64) -> Option<f64> {
    let path = fault.target.strip_prefix("path-")?.parse::<usize>().ok()?.checked_sub(1)?;
    let within = || records.carried.iter().filter(|(t, _)| (fault.t_ns..=until).contains(t));
    let (end_ns, end) = within().next_back()?;
    let (_, begin) = within().rfind(|(t, _)| t.saturating_add(CARRIED_NS) <= *end_ns)?;
    let parts: Vec<u64> = end.iter().zip(begin).map(|(end, begin)| end.saturating_sub(*begin)).collect();
    let all: u64 = parts.iter().sum();
    let part = *parts.get(path)?;
    (all > 0).then(|| (part as f64 * 1_000.0 / all as f64).round() / 10.0)
}

fn witness(records: &Records, at: &Witness) -> String {
    match at {
        Witness::Gateway(name) => name.clone(),
        Witness::Controller(source) => records.name(records.sources[usize::from(*source)].pe),
        Witness::Network => "network".to_owned(),
    }
}

/// Before the load it is negative.
fn signed_ms(t_ns: u64, zero_ns: u64) -> f64 {
    if t_ns >= zero_ns { ms(t_ns - zero_ns) } else { -ms(zero_ns - t_ns) }
}
