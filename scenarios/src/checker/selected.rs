//! How the elements of a pool shared the answers, beside what the scenario expects (`[[expect]]`): the pool's policy, or its plug-in's
//! order, as a pool user gets it.

use super::record::{AnswerEntry, Expected, NameRecords, Records};
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answers by which an exact share may be missed: where a round of the policy is cut by the begin and the end of the time.
const EXACT_ANSWERS: f64 = 2.0;
/// Standard deviations by which a random share may be missed: one expectation of 150,000 would be, by chance.
const RANDOM_DEVIATIONS: f64 = 4.5;

/// One element's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ElementShare {
    /// The process that has it.
    pub process: String,
    /// Answers it should have been taken from, of those there were.
    pub expected: f64,
    /// Answers it was taken from.
    pub taken: u64,
}

/// An expectation, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShareFigures {
    /// The pool.
    pub pool: String,
    /// The hint of the questions; empty: none.
    pub hint: String,
    /// Questions from then on, ms after the begin of the load.
    pub from_ms: u64,
    /// Up to then.
    pub to_ms: u64,
    /// The policy draws at random.
    pub random: bool,
    /// Answers in that time.
    pub answers: u64,
    /// Each element.
    pub elements: Vec<ElementShare>,
    /// Answers with another policy than the expected one.
    pub other_policy: u64,
    /// Answers from which nobody was taken, or somebody who is none of these elements.
    pub others: u64,
    /// The largest distance of an element from what was expected of it, as a part of what is allowed: over 1 it is missed.
    pub distance: f64,
    /// Whether all of it holds.
    pub pass: bool,
}

pub(super) fn figures(records: &Records) -> Vec<ShareFigures> {
    let names = &records.name_service;
    names.expected.iter().map(|expected| figure(names, records.zero(), expected)).collect()
}

fn figure(names: &NameRecords, zero_ns: u64, expected: &Expected) -> ShareFigures {
    let in_time = zero_ns + expected.from_ms * 1_000_000..zero_ns + expected.to_ms * 1_000_000;
    let meant = |answer: &&AnswerEntry| {
        answer.handle == expected.handle && answer.hint == expected.hint && in_time.contains(&answer.asked_ns)
    };
    let answers: Vec<&AnswerEntry> = names.answers.iter().filter(meant).collect();
    let mut taken: FxHashMap<u32, u64> = FxHashMap::default();
    for pe in answers.iter().filter_map(|answer| answer.taken) {
        *taken.entry(pe).or_default() += 1;
    }
    let sum: f64 = expected.shares.iter().map(|(_, share)| share).sum();
    let elements = expected.shares.iter().map(|(process, share)| ElementShare {
        process: process.clone(),
        expected: answers.len() as f64 * share / sum,
        taken: of_process(names, process, expected.handle).iter().filter_map(|pe| taken.get(pe)).sum(),
    });
    let elements: Vec<ElementShare> = elements.collect();
    let count = answers.len() as u64;
    let distance = elements.iter().map(|element| distance(element, count, expected.random)).fold(0.0, f64::max);
    let policy = |answer: &&&AnswerEntry| expected.policy != 0 && answer.policy != expected.policy;
    let other_policy = answers.iter().filter(policy).count() as u64;
    let others = count - elements.iter().map(|element| element.taken).sum::<u64>().min(count);
    let enough = if expected.shares.is_empty() { count == 0 } else { count >= expected.answers_min };
    ShareFigures {
        pool: names.handle_names.get(expected.handle as usize).cloned().unwrap_or_default(),
        hint: expected.hint.clone(),
        from_ms: expected.from_ms,
        to_ms: expected.to_ms,
        random: expected.random,
        answers: count,
        elements,
        other_policy,
        others,
        distance,
        pass: enough && other_policy == 0 && others == 0 && distance <= 1.0,
    }
}

/// The elements that a process ever had in a pool.
fn of_process(names: &NameRecords, process: &str, handle: u32) -> Vec<u32> {
    let process = names.population.iter().filter(|record| record.name == process);
    let mut pes: Vec<u32> =
        process.flat_map(|record| &record.elements).filter(|place| place.0 == handle).map(|place| place.1).collect();
    pes.sort_unstable();
    pes.dedup();
    pes
}

/// How far an element is from its share, as a part of what is allowed.
fn distance(element: &ElementShare, answers: u64, random: bool) -> f64 {
    let off = (element.taken as f64 - element.expected).abs();
    let part = element.expected / (answers.max(1)) as f64;
    let allowed = if element.expected == 0.0 {
        // Who has no share is in no answer.
        0.5
    } else if random {
        (RANDOM_DEVIATIONS * (element.expected * (1.0 - part)).sqrt()).max(0.5)
    } else {
        EXACT_ANSWERS
    };
    off / allowed
}
