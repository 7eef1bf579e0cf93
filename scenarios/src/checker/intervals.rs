//! The run in intervals, for the network as a whole and for each controller: `intervals.csv`.

use super::delivery::Delivery;
use super::owners::Owners;
use super::record::{Ownership, Records};
use super::share::Names;
use rustc_hash::FxHashMap;
use std::io::{self, Write};

/// First line of `intervals.csv`.
pub const INTERVALS_HEADER: &str =
    "t_ms,name,offered,applied,messages_up,messages_down,discarded,groups,latency_p50_us,latency_p99_us,latency_max_us";

/// Length up to [`FINE_MAX_NS`] of run, and of longer ones, ms.
const FINE_MS: u64 = 100;
const COARSE_MS: u64 = 1_000;
const FINE_MAX_NS: u64 = 600_000_000_000;
/// Most intervals: a day of seconds. What is later is left out.
const INTERVALS_MAX: u64 = 86_400;
/// Index of the network among the names.
const NETWORK: usize = 0;

/// A line of `intervals.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// Begin of the interval, ms after the begin of the load.
    pub t_ms: u64,
    /// `network` for the whole, or a controller.
    pub name: String,
    /// Messages sent by the network and put out by controllers in it; the whole only.
    pub offered: Option<u64>,
    /// Messages applied by controllers and received by the network in it.
    pub applied: u64,
    /// Those applied by controllers.
    pub messages_up: u64,
    /// Those received by the network.
    pub messages_down: u64,
    /// Discards recorded in it; the whole only.
    pub discarded: Option<u64>,
    /// Groups with an owner at its end; of a controller: its groups.
    pub groups: u64,
    /// Latency of what was applied in it, us: p50, p99, max; `None` when nothing was.
    pub latency_us: Option<(u64, u64, u64)>,
}

/// Writes `intervals.csv`.
///
/// # Errors
/// Writing fails.
pub fn write_intervals(intervals: &[Interval], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{INTERVALS_HEADER}")?;
    let optional = |value: Option<u64>| value.map(|v| v.to_string()).unwrap_or_default();
    for line in intervals {
        let Interval { t_ms, name, applied, messages_up, messages_down, groups, .. } = line;
        let (offered, discarded) = (optional(line.offered), optional(line.discarded));
        let latency = line.latency_us.map_or_else(|| ",,".to_owned(), |(p50, p99, max)| format!("{p50},{p99},{max}"));
        writeln!(
            out,
            "{t_ms},{name},{offered},{applied},{messages_up},{messages_down},{discarded},{groups},{latency}"
        )?;
    }
    Ok(())
}

/// Counts of one interval and one name.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    up: u32,
    down: u32,
    groups: u32,
}

/// A step of ownership; groups by their number in [`Owners`].
enum OwnerChange {
    GivenUp(u32),
    Given(usize, u32),
}

fn changes(records: &Records, owners: &Owners) -> Vec<(u64, OwnerChange)> {
    let mut changes = Vec::new();
    // What was given up comes first when others get it in the same moment.
    let end = records.quit_ns.unwrap_or(u64::MAX);
    for (t_ns, what) in records.ownership.iter().filter(|(t_ns, _)| *t_ns <= end) {
        if let Ownership::GivenUp { pe, .. } = what {
            changes.push((*t_ns, OwnerChange::GivenUp(*pe)));
        }
    }
    for (group, (_, of_group)) in owners.iter().enumerate() {
        changes.extend(of_group.iter().map(|change| (change.t_ns, OwnerChange::Given(group, change.pe))));
    }
    changes.sort_by_key(|(t_ns, _)| *t_ns);
    changes
}

/// Collects while the messages are looked at.
pub(super) struct Collector {
    zero_ns: u64,
    length_ns: u64,
    names: Names,
    /// For each interval the network and the controllers.
    cells: Vec<Cell>,
    offered: Vec<u32>,
    discarded: Vec<u32>,
    /// (interval, name, us) of each message applied.
    latencies: Vec<(u32, u16, u32)>,
}

impl Collector {
    pub(super) fn new(records: &Records, owners: &Owners) -> Self {
        let zero_ns = records.zero();
        let messages = [&records.sent, &records.received, &records.applied];
        let last = messages.into_iter().flatten().map(|m| m.t_ns).max().unwrap_or(zero_ns).max(zero_ns);
        let length_ms = if last - zero_ns > FINE_MAX_NS { COARSE_MS } else { FINE_MS };
        let length_ns = length_ms * 1_000_000;
        let any = messages.into_iter().any(|all| !all.is_empty());
        let count = if any { ((last - zero_ns) / length_ns + 1).min(INTERVALS_MAX) as usize } else { 0 };
        let names = Names::new(records);
        let width = names.names.len() + 1;
        let mut collector = Self {
            zero_ns,
            length_ns,
            names,
            cells: vec![Cell::default(); count * width],
            offered: vec![0; count],
            discarded: vec![0; count],
            latencies: Vec::with_capacity(records.sent.len() + records.received.len()),
        };
        collector.offers(records);
        collector.groups(records, owners);
        collector
    }

    /// Length of the intervals, ms.
    pub(super) fn interval_ms(&self) -> u64 {
        self.length_ns / 1_000_000
    }

    fn index(&self, t_ns: u64) -> Option<usize> {
        let index = t_ns.checked_sub(self.zero_ns)? / self.length_ns;
        (index < self.offered.len() as u64).then_some(index as usize)
    }

    fn width(&self) -> usize {
        self.names.names.len() + 1
    }

    fn offers(&mut self, records: &Records) {
        let outputs = records.outputs.iter().filter(|m| records.counts(m));
        for t_ns in records.sent.iter().chain(outputs).map(|m| m.t_ns) {
            if let Some(index) = self.index(t_ns) {
                self.offered[index] += 1;
            }
        }
        for discard in records.discarded_up.iter().chain(&records.discarded_down) {
            if let Some(index) = self.index(discard.t_ns) {
                self.discarded[index] += 1;
            }
        }
    }

    /// Plays ownership through and notes it at the end of each interval.
    fn groups(&mut self, records: &Records, owners: &Owners) {
        let width = self.width();
        let mut owner: Vec<Option<u32>> = vec![None; owners.iter().count()];
        let mut changes = changes(records, owners).into_iter().peekable();
        let mut columns: FxHashMap<u32, Option<usize>> = FxHashMap::default();
        for (index, cells) in self.cells.chunks_mut(width).enumerate() {
            let end = self.zero_ns + (index as u64 + 1) * self.length_ns;
            while let Some((_, change)) = changes.next_if(|(t_ns, _)| *t_ns < end) {
                match change {
                    OwnerChange::GivenUp(pe) => owner.iter_mut().filter(|o| **o == Some(pe)).for_each(|o| *o = None),
                    OwnerChange::Given(group, pe) => owner[group] = Some(pe),
                }
            }
            for pe in owner.iter().flatten() {
                let column = columns.entry(*pe).or_insert_with(|| self.names.of_pe(records, *pe));
                cells[NETWORK].groups += 1;
                if let Some(who) = column {
                    cells[*who + 1].groups += 1;
                }
            }
        }
    }

    /// A message that was applied or received.
    pub(super) fn see(&mut self, delivery: &Delivery) {
        let Some(index) = self.index(delivery.t_ns) else { return };
        let who = self.names.of_source[usize::from(delivery.source)] + 1;
        let width = self.width();
        for name in [NETWORK, who] {
            let cell = &mut self.cells[index * width + name];
            *(if delivery.up { &mut cell.up } else { &mut cell.down }) += 1;
        }
        let us = delivery.t_ns.saturating_sub(delivery.intended_ns) / 1_000;
        self.latencies.push((index as u32, who as u16, u32::try_from(us).unwrap_or(u32::MAX)));
    }

    /// After all messages: the lines.
    pub(super) fn intervals(mut self) -> Vec<Interval> {
        let width = self.width();
        let mut latency = vec![None; self.cells.len()];
        self.latencies.sort_unstable_by_key(|(interval, _, us)| (*interval, *us));
        for part in self.latencies.chunk_by(|a, b| a.0 == b.0) {
            latency[part[0].0 as usize * width + NETWORK] = Some(percentiles(part));
        }
        self.latencies.sort_unstable();
        for part in self.latencies.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            latency[part[0].0 as usize * width + usize::from(part[0].1)] = Some(percentiles(part));
        }
        let line = |place: usize| {
            let (index, name, cell) = (place / width, place % width, self.cells[place]);
            let whole = |all: &[u32]| (name == NETWORK).then(|| u64::from(all[index]));
            Interval {
                t_ms: index as u64 * self.interval_ms(),
                name: if name == NETWORK { "network".to_owned() } else { self.names.names[name - 1].clone() },
                offered: whole(&self.offered),
                applied: u64::from(cell.up) + u64::from(cell.down),
                messages_up: u64::from(cell.up),
                messages_down: u64::from(cell.down),
                discarded: whole(&self.discarded),
                groups: u64::from(cell.groups),
                latency_us: latency[place],
            }
        };
        (0..self.cells.len()).map(line).collect()
    }
}

/// p50, p99, max of sorted values: the smallest value that is not under that part of them.
fn percentiles(sorted: &[(u32, u16, u32)]) -> (u64, u64, u64) {
    let at = |percent: usize| u64::from(sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1].2);
    (at(50), at(99), at(100))
}
