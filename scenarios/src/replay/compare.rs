//! What was recorded beside what happened in the replay: counts by message type, calls, and the calls that went otherwise.

use super::script::{Circuit, Script};
use crate::capture::parts::Part;
use crate::checker::Records;
use crate::network::isup;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Differences that are kept and shown.
pub(super) const DIFFERENCES_MAX: usize = 20;
/// Messages of the pool kept of one call; further ones make it different enough.
const STEPS_MAX: usize = 32;
const SI_ISUP: u8 = 5;

/// A count in the capture and in the replay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// In the capture, without what was left out.
    pub recorded: u64,
    /// In this replay.
    pub replayed: u64,
}

impl Pair {
    /// Both are the same.
    #[must_use]
    pub fn is_equal(self) -> bool {
        self.recorded == self.replayed
    }
}

/// Both sides of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Messages of the network by type (`SI 3` and so on for other user parts than ISUP).
    pub network_to_pool: BTreeMap<String, Pair>,
    /// Messages of the pool by type.
    pub pool_to_network: BTreeMap<String, Pair>,
    /// Calls that the network began (IAM).
    pub calls: Pair,
    /// Of these: answered (ANM or CON).
    pub answered: Pair,
    /// Of these: ended by REL and RLC.
    pub released: Pair,
    /// Calls on which the pool said something else than in the capture.
    pub different: u64,
    /// The first of them, in words.
    pub differences: Vec<String>,
}

impl Comparison {
    /// The replay reached what was recorded.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        let types = self.network_to_pool.values().chain(self.pool_to_network.values());
        types.chain([&self.calls, &self.answered, &self.released]).all(|pair| pair.is_equal()) && self.different == 0
    }

    /// All messages of a direction.
    #[must_use]
    pub fn sum(types: &BTreeMap<String, Pair>) -> Pair {
        types.values().fold(Pair::default(), |sum, pair| Pair {
            recorded: sum.recorded + pair.recorded,
            replayed: sum.replayed + pair.replayed,
        })
    }
}

/// One side of the comparison.
#[derive(Debug, Default)]
struct Tally {
    /// By (from the network, SI, ISUP type).
    types: BTreeMap<(bool, u8, u8), u64>,
    answered: u64,
    released: u64,
    calls: u64,
    /// For each circuit the pool's messages in each of its calls; the first is what came before any call.
    circuits: FxHashMap<Circuit, Vec<Steps>>,
}

/// What the pool said in a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Steps {
    kinds: Vec<u8>,
    is_answered: bool,
    is_releasing: bool,
    is_over: bool,
}

impl Tally {
    fn see(&mut self, from_network: bool, si: u8, circuit: Option<Circuit>, kind: u8) {
        let kind = if si == SI_ISUP { kind } else { 0 };
        // The pool asks after a takeover; faults are not repeated.
        if !from_network && kind == isup::CQM {
            return;
        }
        *self.types.entry((from_network, si, kind)).or_default() += 1;
        let Some(circuit) = circuit.filter(|_| si == SI_ISUP) else { return };
        let calls = self.circuits.entry(circuit).or_insert_with(|| vec![Steps::default()]);
        if from_network && kind == isup::IAM {
            self.calls += 1;
            calls.push(Steps::default());
        }
        let is_call = calls.len() > 1;
        let Some(steps) = calls.last_mut() else { return };
        if !from_network && steps.kinds.len() < STEPS_MAX {
            steps.kinds.push(kind);
        }
        if !is_call || steps.is_over {
            return;
        }
        match kind {
            isup::ANM | isup::CON if !steps.is_answered => {
                steps.is_answered = true;
                self.answered += 1;
            }
            isup::REL => steps.is_releasing = true,
            isup::RLC if steps.is_releasing => {
                steps.is_over = true;
                self.released += 1;
            }
            _ => {}
        }
    }
}

fn recorded(script: &Script) -> Tally {
    let mut tally = Tally::default();
    for (message, part) in script.capture.messages.iter().zip(&script.parts.of) {
        let from_network = match part {
            Part::Send => true,
            Part::Answer => false,
            Part::LeftOut | Part::AnswerLeftOut => continue,
        };
        let head = isup::head(script.capture.octets(message));
        let (network, pool) = if from_network { (message.opc, message.dpc) } else { (message.dpc, message.opc) };
        let circuit = head.map(|(cic, _)| (network, pool, cic));
        tally.see(from_network, message.si, circuit, head.map_or(0, |(_, kind)| kind));
    }
    tally
}

fn replayed(records: &Records) -> Tally {
    let mut tally = Tally::default();
    let (mut sent, mut received) = (records.sent.iter(), records.received.iter());
    for from_network in &records.network_order {
        let Some(message) = (if *from_network { sent.next() } else { received.next() }) else { break };
        let flow = records.flows[message.flow as usize];
        let (network, pool) = if *from_network { (flow.opc, flow.dpc) } else { (flow.dpc, flow.opc) };
        let circuit = flow.cic.map(|cic| (network, pool, cic));
        tally.see(*from_network, flow.si, circuit, message.isup_type);
    }
    tally
}

/// Compares a script with the records of its replay. `answers`: those of the capture count (no: none is expected).
pub(super) fn compare(script: &Script, records: &Records, answers: bool) -> Comparison {
    let (mut before, after) = (recorded(script), replayed(records));
    if !answers {
        before.types.retain(|(from_network, _, _), _| *from_network);
        before.circuits.clear();
        (before.answered, before.released) = (0, 0);
    }
    let mut comparison = Comparison {
        calls: Pair { recorded: before.calls, replayed: after.calls },
        answered: Pair { recorded: before.answered, replayed: after.answered },
        released: Pair { recorded: before.released, replayed: after.released },
        ..Comparison::default()
    };
    let keys: BTreeSet<_> = before.types.keys().chain(after.types.keys()).copied().collect();
    for key in keys {
        let count = |tally: &Tally| tally.types.get(&key).copied().unwrap_or(0);
        let (from_network, si, kind) = key;
        let types = if from_network { &mut comparison.network_to_pool } else { &mut comparison.pool_to_network };
        // Types without an acronym share a name.
        let pair = types.entry(type_name(si, kind)).or_default();
        pair.recorded += count(&before);
        pair.replayed += count(&after);
    }
    if answers {
        call_by_call(&before, &after, &mut comparison);
    }
    comparison
}

fn call_by_call(before: &Tally, after: &Tally, comparison: &mut Comparison) {
    let circuits: BTreeSet<_> = before.circuits.keys().chain(after.circuits.keys()).copied().collect();
    for circuit in circuits {
        let of = |tally: &Tally, call: usize| {
            tally
                .circuits
                .get(&circuit)
                .and_then(|calls| calls.get(call))
                .map(|steps| steps.kinds.clone())
                .unwrap_or_default()
        };
        let count = |tally: &Tally| tally.circuits.get(&circuit).map_or(0, Vec::len);
        for call in 0..count(before).max(count(after)) {
            let (was, is) = (of(before, call), of(after, call));
            if was == is {
                continue;
            }
            comparison.different += 1;
            if comparison.differences.len() < DIFFERENCES_MAX {
                let (network, pool, cic) = circuit;
                let which = if call == 0 { "outside of calls".to_owned() } else { format!("call {call}") };
                comparison.differences.push(format!(
                    "{network} - {pool}, CIC {cic}, {which}: recorded {}, here {}",
                    names(&was),
                    names(&is)
                ));
            }
        }
    }
}

fn names(kinds: &[u8]) -> String {
    if kinds.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<String> = kinds.iter().map(|kind| type_name(SI_ISUP, *kind)).collect();
    names.join(" ")
}

/// Name of a message type.
pub(crate) fn type_name(si: u8, kind: u8) -> String {
    if si == SI_ISUP { isup::name(&[0, 0, kind]).to_owned() } else { format!("SI {si}") }
}
