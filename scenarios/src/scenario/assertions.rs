//! What a scenario can ask of a run.

use super::Scenario;
use crate::checker::{NameFigures, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which side of the limit is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The figure must not be over the limit.
    AtMost,
    /// The figure must not be under the limit.
    AtLeast,
}

/// One figure that can be limited in `[assertions]`.
#[derive(Debug, Clone, Copy)]
pub struct Assertion {
    /// Key in `[assertions]`.
    pub name: &'static str,
    /// The limit when the scenario says nothing; `None`: not asserted then.
    pub default: Option<f64>,
    /// Which side of the limit is good.
    pub bound: Bound,
    /// What it is.
    pub meaning: &'static str,
    /// Unit of limit and figure: `ms`, `/s`, `%`; empty for a count.
    pub unit: &'static str,
    actual: Figure,
}

/// An assertion held against a run, as in `results.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Key in `[assertions]`; of a limit that a fault has for itself, with the fault: `longest_gap_ms[fault 1: kill gwc-1]`.
    pub name: String,
    /// at-most, at-least: which side of the limit is good.
    pub bound: Bound,
    /// The limit.
    pub limit: f64,
    /// Unit of limit and figure: `ms`, `/s`, `%`; empty for a count.
    pub unit: String,
    /// The figure; `null` when the run has none (no gap was measured because nothing was affected): that fails.
    pub actual: Option<f64>,
    /// Whether it holds.
    pub pass: bool,
}

impl Assertion {
    /// Holds the figure against a limit.
    #[must_use]
    pub fn hold(&self, limit: f64, report: &Report) -> Outcome {
        Outcome::new(self.name.to_owned(), self.bound, limit, self.unit, (self.actual)(report))
    }
}

impl Outcome {
    fn new(name: String, bound: Bound, limit: f64, unit: &str, actual: Option<f64>) -> Self {
        let pass = actual.is_some_and(|actual| match bound {
            Bound::AtMost => actual <= limit,
            Bound::AtLeast => actual >= limit,
        });
        Self { name, bound, limit, unit: unit.to_owned(), actual, pass }
    }

    /// Whether this failed although no stall of the machine could ever explain it: a message lost, doubled, out of order, acted on twice.
    #[must_use]
    pub fn is_broken_promise(&self) -> bool {
        !self.pass && self.limit == 0.0 && PROMISES.contains(&self.name.as_str())
    }
}

impl Scenario {
    /// Holds a report against all limits: those of `[assertions]`, then those that faults have for themselves.
    #[must_use]
    pub fn hold(&self, report: &Report) -> Vec<Outcome> {
        let limits = ASSERTIONS.iter().filter_map(|a| Some(a.hold(*self.assertions.get(a.name)?, report)));
        let of_faults = self.timeline().into_iter().enumerate().flat_map(|(index, fault)| {
            let (kind, target) = (fault.kind.as_str(), fault.target.to_string());
            // A run that ended early did not get to it.
            let done = report.faults.get(index).filter(|done| done.kind == kind && done.target == target);
            let gap = ("longest_gap_ms", fault.longest_gap_ms, done.and_then(|done| done.longest_gap_ms));
            let first = ("first_ms", fault.first_ms, done.and_then(|done| done.first_ms));
            let carried = done.and_then(|done| done.path.as_ref()?.carried_percent);
            let name = move |figure: &str| format!("{figure}[fault {}: {kind} {target}]", index + 1);
            let back = fault
                .carried_min_percent
                .map(|limit| Outcome::new(name("carried_min_percent"), Bound::AtLeast, limit, "%", carried));
            let times = [gap, first].into_iter().filter_map(move |(figure, limit, actual)| {
                Some(Outcome::new(name(figure), Bound::AtMost, limit?, "ms", actual))
            });
            times.chain(back)
        });
        limits.chain(of_faults).collect()
    }
}

/// The figure of an assertion; `None`: this run has none.
type Figure = fn(&Report) -> Option<f64>;

const fn never(name: &'static str, meaning: &'static str, actual: Figure) -> Assertion {
    Assertion { name, default: Some(0.0), bound: Bound::AtMost, meaning, unit: "", actual }
}

const fn at_most(name: &'static str, unit: &'static str, meaning: &'static str, actual: Figure) -> Assertion {
    Assertion { name, default: None, bound: Bound::AtMost, meaning, unit, actual }
}

const fn at_least(name: &'static str, unit: &'static str, meaning: &'static str, actual: Figure) -> Assertion {
    Assertion { name, default: None, bound: Bound::AtLeast, meaning, unit, actual }
}

fn count(n: u64) -> Option<f64> {
    Some(n as f64)
}

/// What is promised however slow the machine is.
const PROMISES: [&str; 8] = [
    "lost",
    "duplicated",
    "reordered",
    "applied_twice",
    "uncommitted_released",
    "discarded_wrongly",
    "record_errors",
    "unaccounted",
];

/// A figure of the name service.
fn names(report: &Report, figure: fn(&NameFigures) -> Option<f64>) -> Option<f64> {
    report.name_service.as_ref().and_then(figure)
}

/// All of them, in the order of the verdict table.
pub const ASSERTIONS: &[Assertion] = &[
    never("lost", "messages that went nowhere", |r| count(r.messages.lost)),
    never("duplicated", "messages that arrived again", |r| count(r.messages.duplicated)),
    never("reordered", "messages out of the order of sending in their flow", |r| count(r.messages.reordered)),
    never("applied_twice", "messages acted on twice", |r| count(r.messages.applied_twice)),
    never("discarded", "messages discarded with a recorded cause", |r| count(r.messages.discarded.values().sum())),
    never("uncommitted_released", "output of uncommitted transactions that got out", |r| {
        count(r.messages.uncommitted_released)
    }),
    never("unknown", "messages that nobody sent", |r| count(r.messages.unknown)),
    never("discarded_wrongly", "recorded discards of messages that did arrive", |r| {
        count(r.messages.discarded_wrongly)
    }),
    never("hanging_calls", "calls without an end", |r| count(r.calls.hanging)),
    never("failed_calls", "calls that ended by reset or with a cause of trouble", |r| count(r.calls.failed)),
    never("false_failovers", "controllers given up without reason", |r| count(r.false_failovers)),
    never("record_errors", "lines of the records that cannot be read", |r| count(r.malformed_lines)),
    never("unaccounted", "messages that the checker's own sums do not explain", |r| count(r.messages.unaccounted)),
    never("shares_missed", "expectations of how a pool's elements share the answers that are not met", |r| {
        let expected = r.name_service.iter().flat_map(|names| &names.expected);
        count(expected.filter(|expected| !expected.pass).count() as u64)
    }),
    at_most("associations_ended", "", "associations that ended before the end of the run, at either end", |r| {
        count(r.associations_ended)
    }),
    at_most("leases_lost", "", "times a controller's lease ran out", |r| count(r.leases_lost)),
    at_least("duna_min", "", "times the network was told that a destination is unavailable", |r| {
        count(r.management.duna)
    }),
    at_least("dava_min", "", "times the network was told that a destination is available", |r| {
        count(r.management.dava)
    }),
    at_least("path_changes_min", "", "changes of state of paths, at either end of associations", |r| {
        count(r.path_changes_total)
    }),
    at_most("longest_gap_ms", "ms", "largest (applied - intended) of any group that a fault or a move touched", |r| {
        r.longest_gap_ms
    }),
    at_most("detected_ms", "ms", "longest time until a controller that was taken away was given up", |r| {
        r.faults.iter().filter_map(|f| f.detected_ms).reduce(f64::max)
    }),
    at_most("p99_ms", "ms", "99 of 100 messages were faster, both directions", |r| {
        Some(r.latency_us.p99 as f64 / 1_000.0)
    }),
    at_least("calls_in_every_state", "", "least number of calls at the faults after IAM, ACM, ANM and REL", |r| {
        let at = r.calls.at_fault;
        count(at.after_iam.min(at.after_acm).min(at.after_anm).min(at.after_rel))
    }),
    at_least(
        "calls_kept_percent",
        "%",
        "calls up at a fault on the groups it touched that came to a normal end",
        |r| {
            let at = r.calls.at_fault;
            let hit = at.after_iam + at.after_acm + at.after_anm + at.after_rel;
            (hit > 0).then(|| r.calls.survived as f64 * 100.0 / hit as f64)
        },
    ),
    at_least(
        "dialogues_kept_percent",
        "%",
        "TCAP dialogues open at a fault on the groups it touched that the pool ended with End",
        |r| {
            let hit = r.dialogues.at_fault;
            (hit > 0).then(|| r.dialogues.survived as f64 * 100.0 / hit as f64)
        },
    ),
    at_least("dialogues_min", "", "TCAP dialogues that the pool ended with End", |r| count(r.dialogues.ended)),
    at_most("dialogues_failed", "", "TCAP dialogues that were aborted or have no end", |r| {
        count(r.dialogues.aborted + r.dialogues.hanging)
    }),
    at_least("answered_at_fault_min", "", "answered calls that were up at a fault, on all groups", |r| {
        count(r.calls.answered_at_fault?)
    }),
    at_least(
        "held_over_fault_min",
        "",
        "calls answered before a fault on their group that the pool released after it",
        |r| count(r.calls.held_over_fault),
    ),
    at_most(
        "held_spread_ms",
        "ms",
        "calls that the pool releases: largest |time from answer to REL - call.hold_ms|",
        |r| r.calls.held_spread_ms,
    ),
    at_least("rate_per_s_min", "/s", "messages a second, both directions", |r| Some(r.rate_per_s)),
    at_least("applied_per_s_min", "/s", "messages of the network applied, a second", |r| Some(r.applied_per_s)),
    at_least("groups_moved_min", "", "groups that went over by plan to a controller that joined or returned", |r| {
        count(r.groups_moved)
    }),
    at_most("share_deviation_percent", "%", "largest |share - fair share| / fair share of any controller", |r| {
        r.controllers.iter().filter_map(|c| c.deviation_percent).map(f64::abs).reduce(f64::max)
    }),
    at_most("control_datagrams_per_s", "/s", "control datagrams at the gateway in the idle phase", |r| {
        r.control.map(|control| control.datagrams_per_s)
    }),
    at_most("control_percent_of_data", "%", "bytes of the idle phase, in percent of what the data takes", |r| {
        r.control.and_then(|control| control.percent_of_data)
    }),
    at_most("pool_control_percent_of_data", "%", "of these what the population and its name servers exchange", |r| {
        r.control.and_then(|control| control.pool_percent_of_data)
    }),
    at_most("server_detected_ms", "ms", "from the kill of a name server until a peer found it dead", |r| {
        names(r, |n| n.detected_ms)
    }),
    at_most("takeover_decided_ms", "ms", "from then until a peer took its pool elements over", |r| {
        names(r, |n| n.decided_ms)
    }),
    at_most("rehomed_ms", "ms", "from the kill until the last of its pool elements had a new home server", |r| {
        names(r, |n| n.rehomed_ms)
    }),
    at_least("rehomed_min", "", "pool elements of a killed name server that have a new home", |r| {
        names(r, |n| count(n.rehomed))
    }),
    at_most("not_rehomed", "", "pool elements of a killed name server that have none", |r| {
        names(r, |n| count(n.not_rehomed))
    }),
    at_most("tables_differ", "", "entries in which the name servers' tables differ at the end", |r| {
        names(r, |n| count(n.tables_differ?))
    }),
    at_most("pes_lost", "", "living elements of the population missing in a table at the end", |r| {
        names(r, |n| count(n.pes_lost?))
    }),
    at_most("dead_listed", "", "dead elements of the population in a table at the end", |r| {
        names(r, |n| count(n.dead_listed?))
    }),
    at_most("tables_equal_ms", "ms", "from the last restore of a link until the tables were equal", |r| {
        names(r, |n| n.tables_equal_ms)
    }),
    at_least("answers_min", "", "answers to the resolver while the load went on", |r| names(r, |n| count(n.answers?))),
    at_most("answers_refused", "", "refusals to the resolver", |r| names(r, |n| count(n.refused?))),
    at_most("resolution_gap_ms", "ms", "longest time between two answers to the resolver", |r| {
        names(r, |n| n.resolution_gap_ms)
    }),
    at_most("dead_in_answers_ms", "ms", "how long after their death elements were in answers", |r| {
        names(r, |n| n.dead_in_answers_ms)
    }),
    at_most("known_dead_in_answers", "", "answers with an element that all name servers knew to be dead", |r| {
        names(r, |n| count(n.known_dead_in_answers?))
    }),
    at_least("plugin_failures_min", "", "failures of selection plug-ins, counted by the name servers", |r| {
        names(r, |n| count(n.plugin_failures?))
    }),
    at_most("plugin_failures_max", "", "failures of selection plug-ins, counted by the name servers", |r| {
        names(r, |n| count(n.plugin_failures?))
    }),
    at_most("server_datagrams_per_s", "/s", "most datagrams of a name server in a second, both directions", |r| {
        names(r, |n| n.datagrams_per_s_max)
    }),
    at_most("lateness_p99_ms", "ms", "99 of 100 messages were sent less after their time", |r| {
        Some(r.load.lateness_us.p99 as f64 / 1_000.0)
    }),
];
