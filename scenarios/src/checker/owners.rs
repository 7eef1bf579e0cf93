//! Who had which group when: by the gateway's record, and of groups it says nothing of, by who applied their messages.

use super::record::{Group, Ownership, Records};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// A group got an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// When, ns.
    pub(super) t_ns: u64,
    /// When the move to this owner began (`M`), ns; `t_ns` when nobody says.
    pub(super) begun_ns: u64,
    /// PE identifier of the owner.
    pub(super) pe: u32,
}

/// The changes of every group in the order of time.
pub(super) struct Owners(BTreeMap<Group, Vec<Change>>);

impl Owners {
    pub(super) fn new(records: &Records) -> Self {
        let mut groups: BTreeMap<Group, Vec<Change>> = BTreeMap::new();
        let mut begun: FxHashMap<Group, u64> = FxHashMap::default();
        // At the end of the run the controllers leave one after the other, and the groups go round once more.
        let end = records.quit_ns.unwrap_or(u64::MAX);
        for (t_ns, what) in records.ownership.iter().filter(|(t_ns, _)| *t_ns <= end) {
            match *what {
                Ownership::MoveBegun { group } => drop(begun.insert(group, *t_ns)),
                Ownership::Given { pe, group } => {
                    let begun_ns = begun.remove(&group).unwrap_or(*t_ns);
                    groups.entry(group).or_default().push(Change { t_ns: *t_ns, begun_ns, pe });
                }
                Ownership::GivenUp { .. } => {}
            }
        }
        for (group, changes) in by_application(records, &groups) {
            groups.insert(group, changes);
        }
        for changes in groups.values_mut() {
            changes.sort_by_key(|change| change.t_ns);
        }
        Self(groups)
    }

    /// Every group with its changes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Group, &[Change])> {
        self.0.iter().map(|(group, changes)| (*group, changes.as_slice()))
    }
}

/// First applications by another controller than the last one, of groups that are not in `known`.
fn by_application(records: &Records, known: &BTreeMap<Group, Vec<Change>>) -> BTreeMap<Group, Vec<Change>> {
    let unknown: Vec<bool> = records.flows.iter().map(|flow| !known.contains_key(&flow.group())).collect();
    let of_unknown = records.applied.iter().filter(|m| unknown[m.flow as usize] && records.counts(m));
    let mut applied: Vec<_> =
        of_unknown.map(|m| (m.t_ns, records.group(m), records.sources[usize::from(m.source)].pe)).collect();
    applied.sort_by_key(|(t_ns, ..)| *t_ns);
    let mut found: BTreeMap<Group, Vec<Change>> = BTreeMap::new();
    for (t_ns, group, pe) in applied {
        let changes = found.entry(group).or_default();
        if changes.last().is_none_or(|last| last.pe != pe) {
            changes.push(Change { t_ns, begun_ns: t_ns, pe });
        }
    }
    found
}
