//! Both directions, flow by flow: what was lost, duplicated, reordered, applied twice, discarded.

use super::align::align;
use super::record::{Discard, Msg, Records};
use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Two applications of one Correlation Id in one flow within this time are the same message (the sequence part of the id
/// wraps after 2^20 messages).
const SAME_CORRELATION_NS: u64 = 10_000_000_000;

/// The counts of a run. "Offered" are the messages sent by the network (up) and those that controllers put out in committed
/// transactions (down); `offered = applied + discarded + lost` holds exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Messages {
    /// Messages offered, both directions.
    pub offered: u64,
    /// Offered and applied by a controller in a committed transaction (up), or received by the network (down).
    pub applied: u64,
    /// Offered, not applied, and nobody said why.
    pub lost: u64,
    /// Arrived again: another message of the same content than was sent arrived (down), or was applied under a new Correlation Id (up).
    pub duplicated: u64,
    /// First arrivals that break the order of sending within their flow.
    pub reordered: u64,
    /// One message applied by two controllers, or twice by one.
    pub applied_twice: u64,
    /// Offered, not applied, with a recorded cause.
    pub discarded: BTreeMap<String, u64>,
    /// Arrived though nobody had sent it.
    pub unknown: u64,
    /// Reached the network though its transaction was never committed.
    pub uncommitted_released: u64,
    /// Recorded as discarded by the gateway, but not missing: the gateway's account is wrong.
    pub discarded_wrongly: u64,
    /// Inputs and outputs of transactions that were never committed (their controller was given up): without effect.
    pub rolled_back: u64,
    /// Calls whose intended time came and that the load driver could not begin.
    pub missed: u64,
    /// Duplicates that the controllers' filters stopped.
    pub filtered_duplicates: u64,
    /// Unapplied input that controllers threw away when their lease expired.
    pub lease_dropped: u64,
    /// Unconfirmed messages that the gateway took back from controllers it gave up.
    pub taken_back: u64,
}

/// A message of the network and where it was applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applied {
    pub(super) intended_ns: u64,
    pub(super) t_ns: u64,
    /// Index into `Records::flows`.
    pub(super) flow: u32,
}

/// What [`deliveries`] finds.
pub(super) struct Deliveries {
    pub(super) messages: Messages,
    pub(super) applied: Vec<Applied>,
    /// µs, both directions.
    pub(super) latency: Histogram<u64>,
}

/// Compares what was sent with what arrived, in both directions.
pub(super) fn deliveries(records: &Records) -> Deliveries {
    let mut found = Deliveries {
        messages: Messages {
            missed: records.missed,
            filtered_duplicates: records.filtered_duplicates,
            lease_dropped: records.lease_dropped,
            taken_back: records.taken_back,
            ..Messages::default()
        },
        applied: Vec::with_capacity(records.sent.len()),
        latency: Histogram::new_with_bounds(1, 3_600_000_000, 3)
            .expect("invariant: 1 us to 1 h in 3 digits is a valid range"),
    };
    let (applied, rolled_back) = committed(records, &records.applied);
    found.messages.rolled_back += rolled_back.len() as u64;
    up(records, &ByFlow::new(records.sent.clone()), &ByFlow::new(applied), &mut found);

    let (outputs, held) = committed(records, &records.outputs);
    found.messages.rolled_back += held.len() as u64;
    down(records, &ByFlow::new(outputs), &ByFlow::new(records.received.clone()), &held, &mut found);
    found
}

fn committed(records: &Records, all: &[Msg]) -> (Vec<Msg>, Vec<Msg>) {
    all.iter().partition(|message| records.counts(message))
}

/// Messages sorted by flow, then by time; entries of one file with equal times keep their order.
struct ByFlow {
    messages: Vec<Msg>,
    ranges: FxHashMap<u32, Range<usize>>,
}

impl ByFlow {
    fn new(mut messages: Vec<Msg>) -> Self {
        messages.sort_by_key(|m| (m.flow, m.t_ns));
        let mut ranges = FxHashMap::default();
        let mut start = 0;
        for run in messages.chunk_by(|a, b| a.flow == b.flow) {
            ranges.insert(run[0].flow, start..start + run.len());
            start += run.len();
        }
        Self { messages, ranges }
    }

    fn flow(&self, flow: u32) -> &[Msg] {
        self.ranges.get(&flow).map_or(&[], |range| &self.messages[range.clone()])
    }
}

fn payloads(messages: &[Msg]) -> Vec<u64> {
    messages.iter().map(|m| m.payload).collect()
}

fn up(records: &Records, sent: &ByFlow, applied: &ByFlow, found: &mut Deliveries) {
    let mut discards = Discards::new(&records.discarded_up);
    for flow in 0..records.flows.len() as u32 {
        let expected = sent.flow(flow);
        let (actual, again) = without_repeats(applied.flow(flow));
        found.messages.offered += expected.len() as u64;
        found.messages.applied_twice += again;
        let alignment = align(&payloads(expected), &payloads(&actual));
        found.messages.reordered += alignment.out_of_order.len() as u64;
        let pairs = alignment.in_order.iter().chain(&alignment.out_of_order);
        for (e, a) in pairs.clone() {
            found.messages.applied += 1;
            let (intended_ns, t_ns) = (expected[*e].intended_ns, actual[*a].t_ns);
            found.applied.push(Applied { intended_ns, t_ns, flow });
            if records.begin_ns.is_none_or(|begin| intended_ns >= begin) {
                found.latency.saturating_record(t_ns.saturating_sub(intended_ns) / 1_000);
            }
        }
        for &index in &alignment.extra {
            let extra = actual[index];
            let twin = pairs.clone().map(|(_, a)| actual[*a]).find(|m| m.payload == extra.payload);
            match twin {
                // Under its old Correlation Id this would have been found above; another controller means a failed takeover.
                Some(twin) if twin.source != extra.source => found.messages.applied_twice += 1,
                Some(_) => found.messages.duplicated += 1,
                None => found.messages.unknown += 1,
            }
        }
        for &index in &alignment.missing {
            discards.explain(records, &expected[index], &mut found.messages);
        }
    }
    found.messages.discarded_wrongly += discards.unused_of_gateway();
}

/// Leaves out applications of a Correlation Id that was applied before, and counts them.
fn without_repeats(applied: &[Msg]) -> (Vec<Msg>, u64) {
    let mut last: FxHashMap<(u32, u64), u64> = FxHashMap::default();
    let mut again = 0;
    let mut first = Vec::with_capacity(applied.len());
    for message in applied {
        let key = (message.corr, message.payload);
        match last.insert(key, message.t_ns) {
            Some(before) if message.corr != 0 && message.t_ns - before < SAME_CORRELATION_NS => again += 1,
            Some(_) | None => first.push(*message),
        }
    }
    (first, again)
}

fn down(records: &Records, outputs: &ByFlow, received: &ByFlow, held: &[Msg], found: &mut Deliveries) {
    let mut discards = Discards::new(&records.discarded_down);
    let mut uncommitted: FxHashMap<(u32, u64), u64> = FxHashMap::default();
    for message in held {
        *uncommitted.entry((message.flow, message.payload)).or_default() += 1;
    }
    for flow in 0..records.flows.len() as u32 {
        let expected = outputs.flow(flow);
        let actual = received.flow(flow);
        found.messages.offered += expected.len() as u64;
        let alignment = align(&payloads(expected), &payloads(actual));
        found.messages.reordered += alignment.out_of_order.len() as u64;
        let pairs = alignment.in_order.iter().chain(&alignment.out_of_order);
        for (e, a) in pairs.clone() {
            found.messages.applied += 1;
            let (from_ns, to_ns) = (expected[*e].t_ns, actual[*a].t_ns);
            if records.begin_ns.is_none_or(|begin| from_ns >= begin) {
                found.latency.saturating_record(to_ns.saturating_sub(from_ns) / 1_000);
            }
        }
        for &index in &alignment.extra {
            let extra = actual[index];
            let from_uncommitted = uncommitted.get_mut(&(flow, extra.payload)).filter(|left| **left > 0);
            if let Some(left) = from_uncommitted {
                *left -= 1;
                found.messages.uncommitted_released += 1;
            } else if expected.iter().any(|m| m.payload == extra.payload) {
                found.messages.duplicated += 1;
            } else {
                found.messages.unknown += 1;
            }
        }
        for &index in &alignment.missing {
            discards.explain(records, &expected[index], &mut found.messages);
        }
    }
    found.messages.discarded_wrongly += discards.unused_of_gateway();
}

/// Recorded discards that have not yet explained a missing message.
struct Discards {
    unused: FxHashMap<(u32, u64), Vec<Discard>>,
}

impl Discards {
    fn new(all: &[Discard]) -> Self {
        let mut unused: FxHashMap<(u32, u64), Vec<Discard>> = FxHashMap::default();
        for discard in all {
            unused.entry((discard.flow, discard.payload)).or_default().push(*discard);
        }
        Self { unused }
    }

    /// Counts a message that did not arrive: discarded by its recorded cause, else lost.
    fn explain(&mut self, records: &Records, missing: &Msg, messages: &mut Messages) {
        match self.unused.get_mut(&(missing.flow, missing.payload)).and_then(Vec::pop) {
            Some(discard) => {
                let cause = records.causes[usize::from(discard.cause)].clone();
                *messages.discarded.entry(cause).or_default() += 1;
            }
            None => messages.lost += 1,
        }
    }

    /// Discards of the gateway that explain nothing. A controller may refuse one message twice (again after a takeover).
    fn unused_of_gateway(&self) -> u64 {
        self.unused.values().flatten().filter(|discard| discard.by_gateway).count() as u64
    }
}
