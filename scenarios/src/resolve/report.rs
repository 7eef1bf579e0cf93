//! What was measured.

use super::client::{Answer, Settings};
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

/// Longest latency told apart, ns.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Counts while asking goes on.
#[derive(Debug)]
pub(super) struct Tally {
    /// What was asked since then is measured.
    pub(super) begin: Option<Instant>,
    latency: Histogram<u64>,
    right: u64,
    refused: u64,
    wrong: u64,
    pub(super) unasked: u64,
    pub(super) other: u64,
    elements: u64,
    bytes: u64,
    took: Duration,
}

impl Default for Tally {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("invariant: bounds that fit");
        Self {
            latency,
            begin: None,
            right: 0,
            refused: 0,
            wrong: 0,
            unasked: 0,
            other: 0,
            elements: 0,
            bytes: 0,
            took: Duration::ZERO,
        }
    }
}

impl Tally {
    pub(super) fn answered(&mut self, latency: Duration, answer: Answer, bytes: usize) {
        self.latency.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        self.bytes += bytes as u64;
        match answer {
            Answer::Right(elements) => {
                self.right += 1;
                self.elements += elements as u64;
            }
            Answer::Refused => self.refused += 1,
            Answer::Wrong | Answer::Other => self.wrong += 1,
        }
    }

    /// The last answer came so long after the begin.
    pub(super) fn last(&mut self, took: Duration) {
        self.took = took;
    }
}

/// Percentiles, µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Half are shorter.
    pub p50: f64,
    /// 9 of 10 are shorter.
    pub p90: f64,
    /// 99 of 100 are shorter.
    pub p99: f64,
    /// 999 of 1,000 are shorter.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// What was measured, from the question's sending (open loop: from its intended time) to the whole answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Questions outstanding at most.
    pub outstanding: usize,
    /// Questions a second asked for; null: as fast as the answers come.
    pub rate_intended_per_s: Option<f64>,
    /// Answers.
    pub answered: u64,
    /// Of these refusals: unknown handle, no element in service.
    pub refused: u64,
    /// Of these answers to something else.
    pub wrong: u64,
    /// Answers that nobody waited for.
    pub unasked: u64,
    /// Other messages (errors, updates).
    pub other: u64,
    /// From the begin of measuring to the last answer, s.
    pub seconds: f64,
    /// Answers a second.
    pub rate_per_s: f64,
    /// Elements in a right answer, mean.
    pub elements: f64,
    /// Bytes of an answer, mean.
    pub bytes: f64,
    /// How long the answers took, µs.
    pub latency_us: Latency,
}

impl Report {
    pub(super) fn new(settings: &Settings, tally: Tally) -> Self {
        let (answered, seconds) = (tally.latency.len(), tally.took.as_secs_f64());
        let us = |ns: u64| ns as f64 / 1_000.0;
        let at = |quantile: f64| us(tally.latency.value_at_quantile(quantile));
        let mean = |sum: u64, of: u64| if of == 0 { 0.0 } else { sum as f64 / of as f64 };
        Self {
            outstanding: settings.outstanding,
            rate_intended_per_s: settings.rate_per_s,
            answered,
            refused: tally.refused,
            wrong: tally.wrong,
            unasked: tally.unasked,
            other: tally.other,
            seconds,
            rate_per_s: if seconds > 0.0 { answered as f64 / seconds } else { 0.0 },
            elements: mean(tally.elements, tally.right),
            bytes: mean(tally.bytes, answered),
            latency_us: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: us(tally.latency.max()),
            },
        }
    }

    /// Answers that were not right.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.refused + self.wrong + self.unasked
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50, p90, p99, p999, max } = self.latency_us;
        writeln!(f, "answers    {} in {:.2} s, {:.0} a second", self.answered, self.seconds, self.rate_per_s)?;
        writeln!(f, "wrong      refused {}  wrong {}  unasked {}", self.refused, self.wrong, self.unasked)?;
        writeln!(f, "an answer  {:.1} elements, {:.0} bytes", self.elements, self.bytes)?;
        writeln!(f, "latency    p50 {p50:.0} us  p90 {p90:.0} us  p99 {p99:.0} us  p99.9 {p999:.0} us  max {max:.0} us")
    }
}
