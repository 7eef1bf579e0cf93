//! `results.json` of a replay, and its verdict.

use super::compare::{Comparison, Pair};
use super::script::Circuit;
use crate::checker::{LatencyUs, Messages, Records, Report, STALL_MAX_NS};
use crate::results::{Machine, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// Value of [`ReplayResults::schema`].
const SCHEMA: &str = "sigpool-replay-1";
/// The checks that a machine that stands still spoils: what comes late is late, and meets other calls than it did then.
const SAME_COUNTS: &str = "the same counts as recorded";
const TIMING: &str = "p99 of the timing error at most";
/// Circuits without answer that are listed.
const NO_ANSWER_MAX: usize = 20;

/// Something that must hold for PASS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What must hold.
    pub name: String,
    /// It does.
    pub pass: bool,
}

/// Left out of the capture: calls that the pool began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Calls.
    pub calls: u64,
    /// Their messages of the network.
    pub messages: u64,
    /// Their messages of the pool.
    pub answers: u64,
}

/// How the replay was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Asked {
    /// The capture.
    pub capture: String,
    /// Where the run's configuration was taken from; `null`: none.
    pub config: Option<String>,
    /// 1 is the capture's own speed.
    pub speed: f64,
    /// The controllers applied everything as plain MTP3 payload.
    pub plain: bool,
    /// Largest p99 of the lateness of sending that is allowed, ms; `null`: any.
    pub lateness_p99_ms: Option<f64>,
}

/// `results.json` of a replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayResults {
    /// `sigpool-replay-1`.
    pub schema: String,
    /// How it was asked for.
    #[serde(flatten)]
    pub asked: Asked,
    /// pass, fail; void when only the counts or the timing error do not hold and the machine stood still for more than 20 ms.
    pub verdict: Verdict,
    /// What the verdict consists of.
    pub checks: Vec<Check>,
    /// Messages of the network to send.
    pub to_send: u64,
    /// Sent.
    pub sent: u64,
    /// What became of the messages of this replay, both directions.
    pub messages: Messages,
    /// How late messages were sent: sent - intended, µs.
    pub lateness_us: LatencyUs,
    /// From the intended time to the application (up), from the output to its receipt (down), µs.
    pub latency_us: LatencyUs,
    /// Longest stall of the machine, ms.
    pub stall_ms: f64,
    /// Recorded and replayed.
    pub comparison: Comparison,
    /// Left out.
    pub left_out: LeftOut,
    /// Circuits with a message that asks and got no answer: `network - pool, CIC n`; the first 20.
    pub no_answer: Vec<String>,
    /// All of them.
    pub no_answer_total: u64,
    /// Where it ran.
    pub machine: Machine,
}

/// What the results are made of.
pub(super) struct Outcome<'a> {
    pub(super) asked: Asked,
    pub(super) to_send: u64,
    pub(super) left_out: LeftOut,
    pub(super) open: Vec<Circuit>,
    pub(super) stall_ns: u64,
    pub(super) records: &'a Records,
    pub(super) report: &'a Report,
    pub(super) comparison: Comparison,
}

impl ReplayResults {
    pub(super) fn new(outcome: Outcome<'_>) -> Self {
        let Outcome { asked, to_send, left_out, mut open, stall_ns, records, report, comparison } = outcome;
        open.sort_unstable();
        let lateness_us = report.load.lateness_us;
        let sent = records.sent.len() as u64;
        let checks = checks(&asked, (to_send, sent), report, &comparison, &open, lateness_us);
        let verdict = verdict(&checks, stall_ns);
        let no_answer = open.iter().take(NO_ANSWER_MAX);
        Self {
            schema: SCHEMA.to_owned(),
            asked,
            verdict,
            checks,
            to_send,
            sent,
            messages: report.messages.clone(),
            lateness_us,
            latency_us: report.latency_us,
            stall_ms: stall_ns as f64 / 1e6,
            comparison,
            left_out,
            no_answer: no_answer.map(|(network, pool, cic)| format!("{network} - {pool}, CIC {cic}")).collect(),
            no_answer_total: open.len() as u64,
            machine: Machine::look(),
        }
    }

    /// The verdict in lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let comparison = &self.comparison;
        let mut lines = Vec::new();
        let table = |lines: &mut Vec<String>, title: &str, types: &BTreeMap<String, Pair>| {
            lines.push(format!("{title:<24}{:>12}{:>12}", "recorded", "here"));
            let all = Comparison::sum(types);
            for (name, pair) in types.iter().map(|(name, pair)| (name.as_str(), pair)).chain([("all", &all)]) {
                let mark = if pair.is_equal() { "" } else { "  differs" };
                lines.push(format!("  {name:<22}{:>12}{:>12}{mark}", pair.recorded, pair.replayed));
            }
        };
        table(&mut lines, "network -> pool", &comparison.network_to_pool);
        if !self.asked.plain {
            table(&mut lines, "pool -> network", &comparison.pool_to_network);
            for (name, pair) in
                [("calls", comparison.calls), ("answered", comparison.answered), ("released", comparison.released)]
            {
                lines.push(format!("{name:<24}{:>12}{:>12}", pair.recorded, pair.replayed));
            }
            lines.extend(comparison.differences.iter().map(|difference| format!("differs: {difference}")));
            let more = comparison.different.saturating_sub(comparison.differences.len() as u64);
            if more > 0 {
                lines.push(format!("         and {more} calls more"));
            }
        }
        lines.extend(self.no_answer.iter().map(|circuit| format!("no answer: {circuit}")));
        let m = &self.messages;
        let discarded: u64 = m.discarded.values().sum();
        lines.push(format!(
            "sent {} of {}, offered {}, applied {}, lost {}, duplicated {}, reordered {}, applied twice {}, discarded {discarded}",
            self.sent, self.to_send, m.offered, m.applied, m.lost, m.duplicated, m.reordered, m.applied_twice
        ));
        let l = self.lateness_us;
        lines.push(format!(
            "timing error (sent - intended): p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            l.p50 as f64 / 1e3,
            l.p99 as f64 / 1e3,
            l.max as f64 / 1e3
        ));
        lines.extend(
            self.checks.iter().filter(|check| !check.pass).map(|check| format!("does not hold: {}", check.name)),
        );
        if self.verdict == Verdict::Void {
            lines.push(format!("void: the machine stood still for {:.0} ms; repeat the replay", self.stall_ms));
        }
        lines
    }
}

/// What lateness of the machine explains says nothing about the system; what it cannot explain does.
fn verdict(checks: &[Check], stall_ns: u64) -> Verdict {
    let mut failed = checks.iter().filter(|check| !check.pass).peekable();
    if failed.peek().is_none() {
        Verdict::Pass
    } else if stall_ns > STALL_MAX_NS && failed.all(|check| check.name == SAME_COUNTS || check.name.starts_with(TIMING))
    {
        Verdict::Void
    } else {
        Verdict::Fail
    }
}

fn checks(
    asked: &Asked,
    (to_send, sent): (u64, u64),
    report: &Report,
    comparison: &Comparison,
    open: &[Circuit],
    lateness: LatencyUs,
) -> Vec<Check> {
    let m = &report.messages;
    let mut checks = Vec::new();
    let mut check = |name: &str, pass: bool| checks.push(Check { name: name.to_owned(), pass });
    check("every message was sent", to_send == sent);
    check("offered = applied", m.offered == m.applied);
    check("nothing lost, duplicated, reordered or applied twice", {
        [m.lost, m.duplicated, m.reordered, m.applied_twice, m.unknown].iter().all(|count| *count == 0)
    });
    if asked.plain {
        check("no answers to plain payload", comparison.pool_to_network.is_empty());
    } else if asked.config.is_some() && asked.speed > 0.0 {
        // The same configuration and the same calls: the same counts.
        check(SAME_COUNTS, comparison.is_equal());
    } else {
        check("an answer to every message that asks", open.is_empty());
    }
    if let Some(limit_ms) = asked.lateness_p99_ms {
        check(&format!("{TIMING} {limit_ms} ms"), lateness.p99 as f64 / 1e3 <= limit_ms);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_explains_what_is_late_and_nothing_else() {
        let timing = format!("{TIMING} 10 ms");
        let after = |failed: &[&str], stall_ms: u64| {
            let names = ["every message was sent", SAME_COUNTS, &timing];
            let checks = names.map(|name| Check { name: name.to_owned(), pass: !failed.contains(&name) });
            verdict(&checks, stall_ms * 1_000_000)
        };
        assert_eq!(after(&[], 90), Verdict::Pass);
        assert_eq!(after(&[SAME_COUNTS, &timing], 90), Verdict::Void);
        assert_eq!(after(&[SAME_COUNTS], 21), Verdict::Void);
        assert_eq!(after(&[&timing], 20), Verdict::Fail, "nothing stood still: this is the system's own lateness");
        assert_eq!(after(&["every message was sent", SAME_COUNTS], 90), Verdict::Fail);
    }
}
