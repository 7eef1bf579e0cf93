//! What each fault did: who was affected, when it was noticed, when the first message went elsewhere, how long the gap was.

use super::delivery::Delivery;
use super::figures::GroupGap;
use super::owners::{Change, Owners};
use super::paths::PathFigures;
use super::record::{FaultEntry, Flow, Group, Ownership, Records};
use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Messages intended later than this after a fault do not count for its gap.
const FAULT_WINDOW_NS: u64 = 5_000_000_000;
/// The same after a planned move.
const MOVE_WINDOW_NS: u64 = 1_000_000_000;
/// Most groups listed in the results.
const GROUPS_LISTED_MAX: usize = 1_000;

/// A fault and what it did; times in ms after the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// kill, stop, cont, term, start, steal-core, cut-path, restore-path.
    pub kind: String,
    /// The process, for example `gwc-1`; the path, for example `path-1`; a gateway by its role or number, for example `gateway`.
    pub target: String,
    /// When it was done, ms after the begin of the load.
    pub at_ms: f64,
    /// Until the gateway gave the controller up, ms; `null` if it never did, or the fault takes nothing away.
    pub detected_ms: Option<f64>,
    /// Until the first message of an affected group was applied elsewhere, ms.
    pub first_ms: Option<f64>,
    /// Largest (applied - intended) of any affected group, ms; of faults of a path or a gateway in both directions.
    pub longest_gap_ms: Option<f64>,
    /// kill, term, stop: groups that the target had. start, cont: groups that moved to it afterwards. cut-path, restore-path,
    /// and those of a gateway: all that had an owner.
    pub affected_groups: u64,
    /// Of a fault of a gateway: the process that it was, `sg-1` or `sg-2`; else `null`.
    #[serde(default)]
    pub gateway: Option<String>,
    /// cut-path, restore-path: what happened to paths; else `null`.
    #[serde(default)]
    pub path: Option<PathFigures>,
}

/// A group that a fault or a move touched, while its messages are looked at.
struct Touch {
    group: Group,
    fault: Option<usize>,
    from: u32,
    to: u32,
    /// Messages applied after this and intended before the other count, ns.
    after_ns: u64,
    before_ns: u64,
    /// Messages from the pool count too.
    both_ways: bool,
    gap_ns: Option<u64>,
    /// First application by somebody else than `from`, ns.
    first_ns: Option<u64>,
}

/// All groups touched, and how to find them by flow.
pub(super) struct Touched {
    touches: Vec<Touch>,
    by_flow: Vec<Vec<u32>>,
    moved: u64,
}

/// What the faults did.
pub(super) struct FaultReport {
    pub(super) faults: Vec<Fault>,
    /// For each fault that touched groups: its time and these groups.
    pub(super) affected: Vec<(u64, FxHashSet<Group>)>,
    pub(super) groups: Vec<GroupGap>,
    pub(super) groups_total: u64,
    /// Planned moves.
    pub(super) groups_moved: u64,
    /// Largest gap of all.
    pub(super) longest_gap_ms: Option<f64>,
}

impl Touched {
    pub(super) fn new(records: &Records, owners: &Owners) -> Self {
        let mut touched = Self { touches: Vec::new(), by_flow: vec![Vec::new(); records.flows.len()], moved: 0 };
        // Of each group, by the point codes as the network sends them: its flows to the pool, and those from it.
        let mut flows: FxHashMap<Group, Vec<usize>> = FxHashMap::default();
        let mut back: FxHashMap<Group, Vec<usize>> = FxHashMap::default();
        for (index, flow) in records.flows.iter().enumerate() {
            flows.entry(flow.group()).or_default().push(index);
            let answers = Flow { opc: flow.dpc, dpc: flow.opc, ..*flow };
            back.entry(answers.group()).or_default().push(index);
        }
        for (group, changes) in owners.iter() {
            let begin = touched.touches.len();
            touched.group(records, group, changes);
            for index in begin..touched.touches.len() {
                let both_ways = touched.touches[index].both_ways;
                let answers = back.get(&group).filter(|_| both_ways).into_iter().flatten();
                for flow in flows.get(&group).into_iter().flatten().chain(answers) {
                    touched.by_flow[*flow].push(index as u32);
                }
            }
        }
        touched
    }

    /// One group: the faults that hit it, and its moves.
    fn group(&mut self, records: &Records, group: Group, changes: &[Change]) {
        let mut hits: Vec<(usize, &FaultEntry, usize)> = Vec::new();
        for (index, fault) in records.faults.iter().enumerate().filter(|(_, fault)| fault.takes_away()) {
            let owner = changes.iter().rposition(|change| change.t_ns <= fault.t_ns);
            if let Some(owner) = owner.filter(|owner| fault.pe == Some(changes[*owner].pe)) {
                hits.push((index, fault, owner));
            }
        }
        let next_hit = |t_ns: u64| hits.iter().map(|(_, f, _)| f.t_ns).filter(|t| *t > t_ns).min().unwrap_or(u64::MAX);
        let touch = |fault, from, to, after_ns, before_ns| Touch {
            group,
            fault,
            from,
            to,
            after_ns,
            before_ns,
            both_ways: false,
            gap_ns: None,
            first_ns: None,
        };
        for (index, fault) in records.faults.iter().enumerate().filter(|(_, fault)| fault.hits_all()) {
            let Some(owner) = changes.iter().rfind(|change| change.t_ns <= fault.t_ns) else { continue };
            let next = records.next_that_hits_all(fault.t_ns).unwrap_or(u64::MAX);
            let before_ns = next.min(fault.t_ns.saturating_add(FAULT_WINDOW_NS));
            let all = touch(Some(index), owner.pe, owner.pe, fault.t_ns, before_ns);
            self.touches.push(Touch { both_ways: true, ..all });
        }
        let mut explained = vec![false; changes.len()];
        for (index, fault, owner) in &hits {
            let from = changes[*owner].pe;
            let next =
                changes.get(owner + 1).filter(|next| fault.ends() || given_up(records, from, fault.t_ns, next.t_ns));
            if next.is_some() {
                explained[owner + 1] = true;
            }
            let before_ns = next_hit(fault.t_ns).min(fault.t_ns.saturating_add(FAULT_WINDOW_NS));
            self.touches.push(touch(Some(*index), from, next.map_or(from, |n| n.pe), fault.t_ns, before_ns));
        }
        for (pair, _) in
            changes.windows(2).zip(&explained[1.min(explained.len())..]).filter(|(_, by_fault)| !**by_fault)
        {
            let (from, change) = (pair[0].pe, pair[1]);
            if from == change.pe {
                continue;
            }
            let joined = records.faults.iter().rposition(|f| f.pe == Some(change.pe) && f.t_ns <= change.t_ns);
            let joined = joined.filter(|index| records.faults[*index].brings_back());
            let before_ns = next_hit(change.t_ns).min(change.t_ns.saturating_add(MOVE_WINDOW_NS));
            self.touches.push(touch(joined, from, change.pe, change.begun_ns, before_ns));
            self.moved += 1;
        }
    }

    /// A message that was applied.
    pub(super) fn see(&mut self, records: &Records, delivery: &Delivery) {
        for index in &self.by_flow[delivery.flow as usize] {
            let touch = &mut self.touches[*index as usize];
            if delivery.t_ns <= touch.after_ns || !(delivery.up || touch.both_ways) {
                continue;
            }
            let source = records.sources[usize::from(delivery.source)];
            if source.pe != touch.from || source.first_ns > touch.after_ns {
                touch.first_ns = Some(touch.first_ns.map_or(delivery.t_ns, |first| first.min(delivery.t_ns)));
            }
            if delivery.intended_ns < touch.before_ns {
                let gap = delivery.t_ns.saturating_sub(delivery.intended_ns);
                touch.gap_ns = Some(touch.gap_ns.unwrap_or(0).max(gap));
            }
        }
    }

    /// After all messages.
    pub(super) fn report(mut self, records: &Records) -> FaultReport {
        let mut faults: Vec<_> = records.faults.iter().map(|fault| entry(records, fault)).collect();
        let mut affected: Vec<(u64, FxHashSet<Group>)> =
            records.faults.iter().map(|fault| (fault.t_ns, FxHashSet::default())).collect();
        for touch in &self.touches {
            let Some(index) = touch.fault else { continue };
            let (fault, at_ns) = (&mut faults[index], records.faults[index].t_ns);
            affected[index].1.insert(touch.group);
            fault.longest_gap_ms = larger(fault.longest_gap_ms, touch.gap_ns.map(ms));
            let first_ms = touch.first_ns.map(|t| ms(t.saturating_sub(at_ns)));
            fault.first_ms = [fault.first_ms, first_ms].into_iter().flatten().reduce(f64::min);
        }
        for (fault, (_, groups)) in faults.iter_mut().zip(&affected) {
            fault.affected_groups = groups.len() as u64;
        }
        affected.retain(|(_, groups)| !groups.is_empty());
        affected.sort_by_key(|(t, _)| *t);
        let groups_total = self.touches.len() as u64;
        self.touches.sort_by_key(|touch| std::cmp::Reverse(touch.gap_ns));
        let groups: Vec<_> = self.touches.iter().take(GROUPS_LISTED_MAX).map(|touch| touch.gap(records)).collect();
        FaultReport {
            longest_gap_ms: groups.first().and_then(|group| group.gap_ms),
            faults,
            affected,
            groups,
            groups_total,
            groups_moved: self.moved,
        }
    }
}

impl Touch {
    fn gap(&self, records: &Records) -> GroupGap {
        GroupGap {
            group: self.group.to_string(),
            gap_ms: self.gap_ns.map(ms),
            fault: self.fault,
            from: records.name(self.from),
            to: records.name(self.to),
        }
    }
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    [a, b].into_iter().flatten().reduce(f64::max)
}

fn entry(records: &Records, fault: &FaultEntry) -> Fault {
    // What is given up after the next fault, or at the end of the run, was not given up for this one.
    let same = |other: &&FaultEntry| other.pe == fault.pe && other.takes_away() && other.t_ns > fault.t_ns;
    let until =
        records.faults.iter().filter(same).map(|other| other.t_ns).min().into_iter().chain(records.quit_ns).min();
    let detected_ms = fault.pe.filter(|_| fault.takes_away()).and_then(|pe| detected(records, pe, fault.t_ns));
    let detected_ms = detected_ms.filter(|t| until.is_none_or(|until| *t < until));
    Fault {
        kind: fault.kind.clone(),
        target: fault.target.clone(),
        at_ms: ms(fault.t_ns.saturating_sub(records.zero())),
        detected_ms: detected_ms.map(|t| ms(t - fault.t_ns)),
        first_ms: None,
        longest_gap_ms: None,
        affected_groups: 0,
        gateway: fault.gateway.clone(),
        path: None,
    }
}

pub(super) fn ms(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1_000.0
}

fn give_ups(records: &Records) -> impl Iterator<Item = (u64, u32)> {
    records.ownership.iter().filter_map(|(t, what)| match what {
        Ownership::GivenUp { pe, .. } => Some((*t, *pe)),
        Ownership::Given { .. } | Ownership::MoveBegun { .. } => None,
    })
}

fn detected(records: &Records, pe: u32, from_ns: u64) -> Option<u64> {
    give_ups(records).filter(|(t, who)| *who == pe && *t >= from_ns).map(|(t, _)| t).min()
}

fn given_up(records: &Records, pe: u32, from_ns: u64, to_ns: u64) -> bool {
    detected(records, pe, from_ns).is_some_and(|t| t <= to_ns)
}

/// A controller given up while the run went on, to which no fault had been done before. What a gateway says that hung itself
/// moves nothing.
pub(super) fn false_failovers(records: &Records) -> u64 {
    let end = records.quit_ns.unwrap_or(u64::MAX);
    let hit = |t: u64, who: &dyn Fn(&FaultEntry) -> bool| {
        records.faults.iter().any(|fault| fault.takes_away() && fault.t_ns <= t && who(fault))
    };
    let unfounded = records.ownership.iter().filter(|(t, what)| match what {
        Ownership::GivenUp { gateway, pe } => {
            let name = format!("sg-{gateway}");
            *t < end && !hit(*t, &|fault| fault.pe == Some(*pe) || fault.gateway.as_ref() == Some(&name))
        }
        Ownership::Given { .. } | Ownership::MoveBegun { .. } => false,
    });
    unfounded.count() as u64
}
