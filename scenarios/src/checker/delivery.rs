//! Both directions, flow by flow: what was lost, duplicated, reordered, applied twice, discarded.

use super::align::align;
use super::record::{Discard, Msg, Records};
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Two applications of one Correlation Id in one flow within this time are the same message (the sequence part of the id
/// wraps after 2^20 messages).
const SAME_CORRELATION_NS: u64 = 10_000_000_000;

/// What the gateway says of messages that an ordinary ASP had when it ended: they may have arrived, and are not sent again.
const FATE_UNKNOWN: &str = "fate-unknown";
/// What an ordinary ASP recorded within this time before it was killed may not have left it.
const LAST_WORDS_NS: u64 = 100_000_000;

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
    /// Recorded as discarded by the gateway, but not missing: the gateway's account is wrong. Without those whose fate it says it does
    /// not know.
    pub discarded_wrongly: u64,
    /// Inputs and outputs of transactions that were never committed (their controller was given up): without effect.
    pub rolled_back: u64,
    /// Messages that the checker's own sums do not explain: 0, or the checker (or a record) is wrong.
    pub unaccounted: u64,
    /// Calls whose intended time came and that the load driver could not begin.
    pub missed: u64,
    /// Duplicates that the controllers' filters stopped.
    pub filtered_duplicates: u64,
    /// Unapplied input that controllers threw away when their lease expired.
    pub lease_dropped: u64,
    /// Unconfirmed messages that the gateway took back from controllers it gave up.
    pub taken_back: u64,
    /// Messages that the network sent again to the other gateway, because the first one had not accepted them.
    #[serde(default)]
    pub resent: u64,
    /// Messages that came to the network again, from the other gateway, and that it knew by their Correlation Ids.
    #[serde(default)]
    pub repeated: u64,
}

/// A message that was offered and arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    /// Intended time (up), time of the output (down), ns.
    pub(super) intended_ns: u64,
    /// Applied by a controller (up), received by the network (down), ns.
    pub(super) t_ns: u64,
    /// Index into `Records::flows`.
    pub(super) flow: u32,
    /// Index into `Records::sources`: who applied it or put it out.
    pub(super) source: u16,
    /// From the network to the pool.
    pub(super) up: bool,
}

/// Compares what was sent with what arrived, in both directions; shows each message that arrived to `see`.
pub(super) fn deliveries(records: &Records, see: &mut dyn FnMut(&Delivery)) -> Messages {
    let mut messages = Messages {
        missed: records.missed,
        filtered_duplicates: records.filtered_duplicates,
        lease_dropped: records.lease_dropped,
        taken_back: records.taken_back,
        resent: records.resent,
        repeated: records.repeated,
        ..Messages::default()
    };
    let all = |_: &Msg| true;
    let counts = |message: &Msg| records.counts(message);
    let flows = records.flows.len();
    let (sent, applied) = (ByFlow::new(&records.sent, flows, all), ByFlow::new(&records.applied, flows, counts));
    messages.rolled_back += (records.applied.len() - applied.order.len()) as u64;
    messages.offered += sent.order.len() as u64;
    let mut arrived = applied.order.len();
    up(records, &sent, &applied, &mut messages, see);
    drop((sent, applied));

    let (outputs, received) =
        (ByFlow::new(&records.outputs, flows, counts), ByFlow::new(&records.received, flows, all));
    messages.rolled_back += (records.outputs.len() - outputs.order.len()) as u64;
    messages.offered += outputs.order.len() as u64;
    arrived += received.order.len();
    down(records, &outputs, &received, &mut messages, see);
    messages.unaccounted = unaccounted(&messages, arrived as u64);
    messages
}

/// The checker's own books: what was offered against what became of it, and what arrived against what it was taken for. Offered
/// and arrived are counted as lines of the records, the rest message by message.
fn unaccounted(m: &Messages, arrived: u64) -> u64 {
    let became = m.applied + m.discarded.values().sum::<u64>() + m.lost;
    let taken_for = m.applied + m.applied_twice + m.duplicated + m.unknown + m.uncommitted_released;
    m.offered.abs_diff(became) + arrived.abs_diff(taken_for)
}

/// Messages by flow, then by time; entries of one file with equal times keep their order.
struct ByFlow<'a> {
    all: &'a [Msg],
    /// Indexes into `all`.
    order: Vec<u32>,
    /// Where each flow begins in `order`, and the end.
    starts: Vec<usize>,
}

impl<'a> ByFlow<'a> {
    fn new(all: &'a [Msg], flows: usize, keep: impl Fn(&Msg) -> bool) -> Self {
        let kept: Vec<bool> = all.iter().map(keep).collect();
        let mut starts = vec![0; flows + 1];
        for (message, _) in all.iter().zip(&kept).filter(|(_, kept)| **kept) {
            starts[message.flow as usize + 1] += 1;
        }
        for flow in 0..flows {
            starts[flow + 1] += starts[flow];
        }
        let mut next = starts.clone();
        let mut order = vec![0; starts[flows]];
        for (index, message) in all.iter().enumerate().filter(|(index, _)| kept[*index]) {
            let place = &mut next[message.flow as usize];
            order[*place] =
                u32::try_from(index).expect("invariant: 2^32 messages of 32 bytes would not fit into memory");
            *place += 1;
        }
        let mut by_flow = Self { all, order, starts };
        for flow in 0..flows {
            let range = by_flow.starts[flow]..by_flow.starts[flow + 1];
            by_flow.order[range].sort_by_key(|index| all[*index as usize].t_ns);
        }
        by_flow
    }

    fn flow(&self, flow: u32) -> Vec<Msg> {
        let range = self.starts[flow as usize]..self.starts[flow as usize + 1];
        self.order[range].iter().map(|index| self.all[*index as usize]).collect()
    }
}

fn payloads(messages: &[Msg]) -> Vec<u64> {
    messages.iter().map(|m| m.payload).collect()
}

fn up(
    records: &Records,
    sent: &ByFlow<'_>,
    applied: &ByFlow<'_>,
    messages: &mut Messages,
    see: &mut dyn FnMut(&Delivery),
) {
    let mut discards = Discards::new(&records.discarded_up);
    for flow in 0..records.flows.len() as u32 {
        let expected = sent.flow(flow);
        let (actual, again) = without_repeats(&applied.flow(flow));
        messages.applied_twice += again;
        let alignment = align(&payloads(&expected), &payloads(&actual));
        messages.reordered += alignment.out_of_order.len() as u64;
        let pairs = alignment.in_order.iter().chain(&alignment.out_of_order);
        for (e, a) in pairs.clone() {
            messages.applied += 1;
            let (intended_ns, t_ns, source) = (expected[*e].intended_ns(), actual[*a].t_ns, actual[*a].source);
            see(&Delivery { intended_ns, t_ns, flow, source, up: true });
        }
        for &index in &alignment.extra {
            let extra = actual[index];
            let twin = pairs.clone().map(|(_, a)| actual[*a]).find(|m| m.payload == extra.payload);
            match twin {
                // Under its old Correlation Id this would have been found above; another controller means a failed takeover.
                Some(twin) if twin.source != extra.source => messages.applied_twice += 1,
                Some(_) => messages.duplicated += 1,
                None => messages.unknown += 1,
            }
        }
        for &index in &alignment.missing {
            discards.explain(records, &expected[index], messages);
        }
    }
    messages.discarded_wrongly += discards.unused_of_gateway(records);
}

/// Whether nobody can know if it was sent: by an ordinary ASP, just before it was killed.
fn is_last_word(records: &Records, output: &Msg) -> bool {
    let source = records.sources[usize::from(output.source)];
    let mut kills = records.faults.iter().filter(|fault| fault.kind == "kill" && fault.pe == Some(source.pe));
    !source.transactions && kills.any(|kill| (0..LAST_WORDS_NS).contains(&(kill.t_ns.saturating_sub(output.t_ns))))
}

/// Leaves out applications of a Correlation Id that was applied before, and counts them.
fn without_repeats(applied: &[Msg]) -> (Vec<Msg>, u64) {
    let mut last: FxHashMap<(u32, u64), u64> = FxHashMap::default();
    let mut again = 0;
    let mut first = Vec::with_capacity(applied.len());
    for message in applied {
        let key = (message.corr(), message.payload);
        match last.insert(key, message.t_ns) {
            Some(before) if message.corr() != 0 && message.t_ns - before < SAME_CORRELATION_NS => again += 1,
            Some(_) | None => first.push(*message),
        }
    }
    (first, again)
}

fn down(
    records: &Records,
    outputs: &ByFlow<'_>,
    received: &ByFlow<'_>,
    messages: &mut Messages,
    see: &mut dyn FnMut(&Delivery),
) {
    let mut discards = Discards::new(&records.discarded_down);
    let mut uncommitted: FxHashMap<(u32, u64), u64> = FxHashMap::default();
    for message in records.outputs.iter().filter(|m| !records.counts(m)) {
        *uncommitted.entry((message.flow, message.payload)).or_default() += 1;
    }
    for flow in 0..records.flows.len() as u32 {
        let expected = outputs.flow(flow);
        let actual = received.flow(flow);
        let alignment = align(&payloads(&expected), &payloads(&actual));
        messages.reordered += alignment.out_of_order.len() as u64;
        let pairs = alignment.in_order.iter().chain(&alignment.out_of_order);
        for (e, a) in pairs.clone() {
            messages.applied += 1;
            let (output, t_ns) = (&expected[*e], actual[*a].t_ns);
            see(&Delivery { intended_ns: output.t_ns, t_ns, flow, source: output.source, up: false });
        }
        for &index in &alignment.extra {
            let extra = actual[index];
            let from_uncommitted = uncommitted.get_mut(&(flow, extra.payload)).filter(|left| **left > 0);
            if let Some(left) = from_uncommitted {
                *left -= 1;
                messages.uncommitted_released += 1;
            } else if expected.iter().any(|m| m.payload == extra.payload) {
                messages.duplicated += 1;
            } else {
                messages.unknown += 1;
            }
        }
        for &index in &alignment.missing {
            if is_last_word(records, &expected[index]) {
                *messages.discarded.entry(FATE_UNKNOWN.to_owned()).or_default() += 1;
            } else {
                discards.explain(records, &expected[index], messages);
            }
        }
    }
    messages.discarded_wrongly += discards.unused_of_gateway(records);
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
    fn unused_of_gateway(&self, records: &Records) -> u64 {
        let is_known = |discard: &&Discard| records.causes[usize::from(discard.cause)] != FATE_UNKNOWN;
        self.unused.values().flatten().filter(|discard| discard.by_gateway).filter(is_known).count() as u64
    }
}
