//! What each fault did: who was affected, when it was noticed, when the first message went elsewhere, how long the gap was.

use super::delivery::Applied;
use super::record::{FaultEntry, Group, Records};
use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Messages intended later than this after a fault do not count for its gap.
const GAP_WINDOW_NS: u64 = 5_000_000_000;

/// A fault and what it did; times in ms after the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// kill, stop, cont, term, start, steal-core.
    pub kind: String,
    /// The process, for example `gwc-1`.
    pub target: String,
    /// When it was done, ms after the begin of the load.
    pub at_ms: f64,
    /// Until the gateway gave the controller up; `None` if it never did, or the fault takes nothing away.
    pub detected_ms: Option<f64>,
    /// Until the first message of an affected group was applied elsewhere.
    pub first_ms: Option<f64>,
    /// Largest (applied - intended) of any affected group.
    pub longest_gap_ms: Option<f64>,
    /// Groups that the target owned.
    pub affected_groups: u64,
}

/// What the faults did, and which groups each one hit.
pub(super) struct FaultReport {
    pub(super) faults: Vec<Fault>,
    /// For each fault that took a controller away: its time and the groups of the controller.
    pub(super) affected: Vec<(u64, FxHashSet<Group>)>,
    /// Controllers given up that nothing was done to.
    pub(super) false_failovers: u64,
}

pub(super) fn faults(records: &Records, applied: &[Applied]) -> FaultReport {
    let start_ns = start_of_load(records);
    let mut report =
        FaultReport { faults: Vec::new(), affected: Vec::new(), false_failovers: false_failovers(records) };
    for fault in &records.faults {
        let mut entry = Fault {
            kind: fault.kind.clone(),
            target: fault.target.clone(),
            at_ms: ms(fault.t_ns.saturating_sub(start_ns)),
            detected_ms: None,
            first_ms: None,
            longest_gap_ms: None,
            affected_groups: 0,
        };
        if let (true, Some(pe)) = (fault.takes_away(), fault.pe) {
            let affected = groups_of(records, pe, fault.t_ns);
            entry.affected_groups = affected.len() as u64;
            entry.detected_ms = detected(records, pe, fault);
            entry.first_ms = first_elsewhere(records, pe, fault, &affected);
            entry.longest_gap_ms = longest_gap(records, fault, &affected, applied);
            report.affected.push((fault.t_ns, affected));
        }
        report.faults.push(entry);
    }
    report
}

/// Time zero of the report: the first intended time.
pub(super) fn start_of_load(records: &Records) -> u64 {
    records.sent.iter().map(|m| m.intended_ns).min().or(records.begin_ns).unwrap_or(0)
}

pub(super) fn ms(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1_000.0
}

/// The groups whose last owner before `t_ns` was `pe`: by what it applied, or, before that, by what the gateway gave it.
fn groups_of(records: &Records, pe: u32, t_ns: u64) -> FxHashSet<Group> {
    let mut owners: FxHashMap<Group, (u64, u32)> = FxHashMap::default();
    let mut note = |group: Group, at: u64, pe: u32| {
        let owner = owners.entry(group).or_insert((at, pe));
        if at >= owner.0 {
            *owner = (at, pe);
        }
    };
    for (at, pe, group) in records.given.iter().filter(|(at, ..)| *at <= t_ns) {
        note(*group, *at, *pe);
    }
    for message in records.applied.iter().filter(|m| m.t_ns <= t_ns && records.counts(m)) {
        let group = records.flows[message.flow as usize].group();
        note(group, message.t_ns, records.sources[usize::from(message.source)].pe);
    }
    owners.into_iter().filter(|(_, (_, owner))| *owner == pe).map(|(group, _)| group).collect()
}

fn detected(records: &Records, pe: u32, fault: &FaultEntry) -> Option<f64> {
    let given_up = records.given_up.iter().filter(|(t, who, _)| *who == pe && *t >= fault.t_ns);
    given_up.map(|(t, ..)| *t).min().map(|t| ms(t - fault.t_ns))
}

fn first_elsewhere(records: &Records, pe: u32, fault: &FaultEntry, affected: &FxHashSet<Group>) -> Option<f64> {
    let elsewhere = |source: u16| {
        let source = records.sources[usize::from(source)];
        source.pe != pe || source.first_ns > fault.t_ns
    };
    let applied = records.applied.iter().filter(|m| {
        m.t_ns > fault.t_ns
            && elsewhere(m.source)
            && affected.contains(&records.flows[m.flow as usize].group())
            && records.counts(m)
    });
    applied.map(|m| m.t_ns).min().map(|t| ms(t - fault.t_ns))
}

fn longest_gap(records: &Records, fault: &FaultEntry, affected: &FxHashSet<Group>, applied: &[Applied]) -> Option<f64> {
    let after = applied.iter().filter(|a| {
        a.t_ns > fault.t_ns
            && a.intended_ns < fault.t_ns + GAP_WINDOW_NS
            && affected.contains(&records.flows[a.flow as usize].group())
    });
    after.map(|a| a.t_ns.saturating_sub(a.intended_ns)).max().map(ms)
}

/// A controller given up while the run went on, to which no fault had been done before.
fn false_failovers(records: &Records) -> u64 {
    let end = records.quit_ns.unwrap_or(u64::MAX);
    let hit = |pe: u32, t: u64| records.faults.iter().any(|f| f.takes_away() && f.pe == Some(pe) && f.t_ns <= t);
    records.given_up.iter().filter(|(t, pe, _)| *t < end && !hit(*pe, *t)).count() as u64
}
