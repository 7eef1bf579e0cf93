//! Each controller's part of the work, beside the part that was its due.

use super::faults::ms;
use super::figures::ControllerFigures;
use super::record::{Msg, Ownership, Records};
use std::collections::BTreeMap;

/// A controller that was active for less than this part of the measured load is not judged.
const JUDGED_FROM: f64 = 0.1;

/// All controllers by name. The measured load is cut wherever a controller becomes active or stops being it; in each piece the
/// active ones are due equal parts (they all have the same configuration, so the same weight) of what was applied in it.
pub(super) fn controllers(records: &Records) -> Vec<ControllerFigures> {
    let names = Names::new(records);
    let (begin, end) = records.measured();
    let pieces = pieces(records, &names, begin, end);
    let mut figures = names.figures(records);
    let mut applied = vec![vec![0_u64; figures.len()]; pieces.len()];
    for message in records.applied.iter().filter(|m| records.counts(m)) {
        let who = names.of_source[usize::from(message.source)];
        figures[who].messages_up += 1;
        if (begin..=end).contains(&message.t_ns) {
            // The first piece begins with the measured load.
            let piece = pieces.partition_point(|piece| piece.from_ns <= message.t_ns).saturating_sub(1);
            applied[piece][who] += 1;
        }
    }
    for message in records.outputs.iter().filter(|m| records.counts(m)) {
        figures[names.of_source[usize::from(message.source)]].messages_down += 1;
    }
    let total: u64 = applied.iter().flatten().sum();
    let measured_ms = ms(end - begin);
    for (who, figures) in figures.iter_mut().enumerate() {
        let own: u64 = applied.iter().map(|piece| piece[who]).sum();
        let due = |(piece, counts): (&Piece, &Vec<u64>)| {
            let active = piece.active.iter().filter(|active| **active).count();
            if piece.active[who] { counts.iter().sum::<u64>() as f64 / active as f64 } else { 0.0 }
        };
        let due: f64 = pieces.iter().zip(&applied).map(due).sum();
        let active_ns: u64 = pieces.iter().filter(|p| p.active[who]).map(|p| p.to_ns - p.from_ns).sum();
        figures.active_ms = ms(active_ns);
        if total > 0 {
            figures.share = round(own as f64 / total as f64);
            figures.fair_share = round(due / total as f64);
        }
        if due > 0.0 && figures.active_ms >= JUDGED_FROM * measured_ms {
            figures.deviation_percent = Some(((own as f64 - due) / due * 10_000.0).round() / 100.0);
        }
    }
    figures
}

/// To six digits: what is written reads back the same.
pub(super) fn round(part: f64) -> f64 {
    (part * 1e6).round() / 1e6
}

/// The controllers of a run: one for each name, however many processes it had.
pub(super) struct Names {
    /// In the order of their numbers (`gwc-2` before `gwc-10`).
    pub(super) names: Vec<String>,
    /// For each of `Records::sources` the index of its controller.
    pub(super) of_source: Vec<usize>,
}

impl Names {
    pub(super) fn new(records: &Records) -> Self {
        let mut names: Vec<_> = records.sources.iter().map(|source| records.name(source.pe)).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names.dedup();
        let index = |name: String| names.iter().position(|n| *n == name).expect("invariant: names has every source's");
        let of_source = records.sources.iter().map(|source| index(records.name(source.pe))).collect();
        Self { names, of_source }
    }

    /// Index of the controller that a PE identifier belongs to.
    pub(super) fn of_pe(&self, records: &Records, pe: u32) -> Option<usize> {
        records.sources.iter().position(|source| source.pe == pe).map(|source| self.of_source[source])
    }

    fn figures(&self, records: &Records) -> Vec<ControllerFigures> {
        let named = |name: &String| ControllerFigures { name: name.clone(), ..ControllerFigures::default() };
        let mut figures: Vec<_> = self.names.iter().map(named).collect();
        let mut sources: Vec<_> = records.sources.iter().zip(&self.of_source).collect();
        sources.sort_by_key(|(source, _)| source.first_ns);
        for (source, who) in sources {
            let pe = format!("{:08x}", source.pe);
            if !figures[*who].pes.contains(&pe) {
                figures[*who].pes.push(pe);
            }
        }
        figures
    }
}

/// A part of the measured load in which the same controllers were active.
struct Piece {
    from_ns: u64,
    to_ns: u64,
    active: Vec<bool>,
}

fn pieces(records: &Records, names: &Names, begin: u64, end: u64) -> Vec<Piece> {
    let mut active = vec![false; names.names.len()];
    let mut pieces = Vec::new();
    let mut from_ns = begin;
    for (t_ns, who, is) in changes(records, names) {
        if t_ns > from_ns && t_ns <= end && active[who] != is {
            pieces.push(Piece { from_ns, to_ns: t_ns, active: active.clone() });
            from_ns = t_ns;
        }
        if t_ns <= end {
            active[who] = is;
        }
    }
    pieces.push(Piece { from_ns, to_ns: end, active });
    pieces
}

/// (t, controller, whether it is active from now on), in the order of time: active by its own record; no more by its own record,
/// by the gateway's (given up), or because it was killed or told to end.
fn changes(records: &Records, names: &Names) -> Vec<(u64, usize, bool)> {
    let mut changes: BTreeMap<(u64, usize), bool> = BTreeMap::new();
    for life in &records.life {
        changes.insert((life.t_ns, names.of_source[usize::from(life.source)]), life.active);
    }
    for (index, source) in records.sources.iter().enumerate() {
        // A record without a life: active as soon as it does something.
        if source.first_ns != u64::MAX && !records.life.iter().any(|life| usize::from(life.source) == index) {
            changes.insert((source.first_ns, names.of_source[index]), true);
        }
    }
    let given_up = records.ownership.iter().filter_map(|(t, what)| match what {
        Ownership::GivenUp { pe, .. } => Some((*t, *pe)),
        Ownership::Given { .. } | Ownership::MoveBegun { .. } => None,
    });
    let ended = records.faults.iter().filter(|fault| fault.ends()).filter_map(|fault| Some((fault.t_ns, fault.pe?)));
    for (t_ns, pe) in given_up.chain(ended) {
        if let Some(who) = names.of_pe(records, pe) {
            changes.insert((t_ns, who), false);
        }
    }
    changes.into_iter().map(|((t_ns, who), active)| (t_ns, who, active)).collect()
}

/// Messages of the network applied, a second, in the measured load.
pub(super) fn applied_per_s(records: &Records) -> f64 {
    let (begin, end) = records.measured();
    let in_time = |m: &&Msg| (begin..=end).contains(&m.t_ns) && records.counts(m);
    per_second(records.applied.iter().filter(in_time).count(), begin, end)
}

/// To one digit after the point; 0 when there was no time.
pub(super) fn per_second(count: usize, begin: u64, end: u64) -> f64 {
    let seconds = end.saturating_sub(begin) as f64 / 1e9;
    if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
}
