//! The verdict table: what people read at the end of a run.

use super::Results;
use crate::checker::{ElementShare, NameFigures, STALL_MAX_NS, ShareFigures};
use crate::scenario::Bound;
use std::fmt::{self, Write as _};

impl Results {
    /// The verdict for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        self.write_table(&mut out).expect("invariant: writing to a String cannot fail");
        out
    }

    fn write_table(&self, out: &mut String) -> fmt::Result {
        let (m, c, l) = (&self.messages, &self.calls, &self.latency_us);
        writeln!(out, "\n{:<38}{:>15}{:>15}", "assertion", "limit", "actual")?;
        for outcome in &self.assertions {
            let sign = if outcome.bound == Bound::AtLeast { ">=" } else { "<=" };
            let unit = if outcome.unit.is_empty() { String::new() } else { format!(" {}", outcome.unit) };
            let limit = format!("{sign} {}{unit}", number(outcome.limit));
            let actual = outcome.actual.map_or_else(|| "none".to_owned(), |a| format!("{}{unit}", number(a)));
            let mark = if outcome.pass { "ok" } else { "FAILED" };
            let mut name = outcome.name.as_str();
            if name.len() >= 38 {
                // The figures below it, in their columns.
                writeln!(out, "{}", std::mem::take(&mut name))?;
            }
            writeln!(out, "{name:<38}{limit:>15}{actual:>15}  {mark}")?;
        }
        writeln!(
            out,
            "\nmessages   offered {}  applied {}  lost {}  rolled back {}",
            m.offered, m.applied, m.lost, m.rolled_back
        )?;
        for (cause, count) in &m.discarded {
            writeln!(out, "           discarded ({cause}) {count}")?;
        }
        writeln!(
            out,
            "calls      attempted {}  answered {}  released {}\n           failed {}  survived {}  hanging {}",
            c.attempted, c.answered, c.released, c.failed, c.survived, c.hanging
        )?;
        let d = &self.dialogues;
        if d.begun > 0 {
            writeln!(
                out,
                "dialogues  begun {}  ended {}  aborted {}  hanging {}\n           at fault {}  survived {}",
                d.begun, d.ended, d.aborted, d.hanging, d.at_fault, d.survived
            )?;
        }
        let told = &self.management;
        if !told.listed.is_empty() {
            writeln!(
                out,
                "told       DUNA {}  DAVA {}  DRST {}  SCON {}  DUPU {}",
                told.duna, told.dava, told.drst, told.scon, told.dupu
            )?;
        }
        let at = c.at_fault;
        if self.faults.iter().any(|f| f.affected_groups > 0) {
            writeln!(
                out,
                "at fault   after IAM {}  after ACM {}  after ANM {}  after REL {}",
                at.after_iam, at.after_acm, at.after_anm, at.after_rel
            )?;
        }
        if let Some(spread_ms) = c.held_spread_ms.filter(|_| c.held_over_fault > 0) {
            writeln!(out, "held       {} calls over a fault  off by {spread_ms:.1} ms at most", c.held_over_fault)?;
        }
        writeln!(
            out,
            "latency    p50 {} us  p99 {} us  p99.9 {} us  max {} us\nrate       {} messages/s",
            l.p50, l.p99, l.p999, l.max, self.rate_per_s
        )?;
        for fault in &self.faults {
            let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
            write!(out, "fault      {} {} at {:.0} ms", fault.kind, fault.target, fault.at_ms)?;
            if let Some(path) = &fault.path {
                write!(
                    out,
                    ": longest gap {},\n           {} paths potentially failed, {} inactive, {} active",
                    time(fault.longest_gap_ms),
                    path.potentially_failed,
                    path.inactive,
                    path.active
                )?;
                if let (Some(first), Some(last)) = (path.first_ms, path.last_ms) {
                    write!(out, " after {first:.1} to {last:.1} ms")?;
                }
                if let Some(percent) = path.carried_percent {
                    write!(out, ",\n           {percent} % of the datagrams over it in the last second")?;
                }
            } else if fault.affected_groups > 0 {
                write!(
                    out,
                    ": {} groups, detected after {},\n           first message elsewhere after {}, longest gap {}",
                    fault.affected_groups,
                    time(fault.detected_ms),
                    time(fault.first_ms),
                    time(fault.longest_gap_ms)
                )?;
            }
            writeln!(out)?;
        }
        if let Some(control) = &self.control {
            let data = control.data_bytes_per_s.map_or_else(|| "-".to_owned(), number);
            let percent = |part: Option<f64>| part.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"));
            writeln!(
                out,
                "control    {} datagrams/s, {} bytes/s without load;\n           \
                 {} of the {data} bytes/s of data;\n           \
                 population and name servers {} bytes/s, {}",
                number(control.datagrams_per_s),
                number(control.bytes_per_s),
                percent(control.percent_of_data),
                control.pool_bytes_per_s.map_or_else(|| "-".to_owned(), number),
                percent(control.pool_percent_of_data)
            )?;
        }
        if let Some(names) = &self.name_service {
            write_names(out, names)?;
        }
        for crash in &self.crashes {
            writeln!(out, "crash      {crash}")?;
        }
        if self.void_runs > 0 {
            writeln!(out, "void runs  {} before this one, repeated", self.void_runs)?;
        }
        if let Some(reason) = &self.void_reason {
            writeln!(out, "void       {reason}")?;
        } else if self.stall_ms > STALL_MAX_NS as f64 / 1e6 {
            writeln!(
                out,
                "stall      the machine itself stalled for {:.0} ms; what held, held nevertheless",
                self.stall_ms
            )?;
        }
        writeln!(out, "\n{}: {}", self.scenario, self.verdict)
    }
}

/// What is known of the name service.
fn write_names(out: &mut String, names: &NameFigures) -> fmt::Result {
    let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    let many = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for server in &names.servers {
        let rate = server.datagrams_per_s_max.map_or_else(|| "-".to_owned(), number);
        writeln!(
            out,
            "server     {}{}: {} elements, {} its own, at most {rate} datagrams/s",
            server.name,
            if server.dead { " (dead)" } else { "" },
            many(server.pes),
            many(server.pes_owned)
        )?;
    }
    if names.detected_ms.is_some() || names.rehomed > 0 {
        writeln!(
            out,
            "takeover   detected after {}, decided after {} more,\n           {} elements re-homed after {}, {} not",
            time(names.detected_ms),
            time(names.decided_ms),
            names.rehomed,
            time(names.rehomed_ms),
            names.not_rehomed
        )?;
    }
    if !names.servers.is_empty() {
        writeln!(
            out,
            "tables     {} differ, {} elements lost, {} dead ones listed{}",
            many(names.tables_differ),
            many(names.pes_lost),
            many(names.dead_listed),
            names
                .tables_equal_ms
                .map_or_else(String::new, |ms| format!(",\n           equal {ms:.1} ms after the link was back"))
        )?;
    }
    if let (Some(answers), Some(refused)) = (names.answers, names.refused) {
        writeln!(
            out,
            "resolver   {answers} answers, {refused} refused, longest gap {},\n           dead elements in answers for {}, known dead {}",
            time(names.resolution_gap_ms),
            time(names.dead_in_answers_ms),
            many(names.known_dead_in_answers)
        )?;
    }
    write_expected(out, names)
}

/// Each expectation of how a pool's elements share the answers.
fn write_expected(out: &mut String, names: &NameFigures) -> fmt::Result {
    if !names.expected.is_empty() {
        writeln!(out, "shares     answers an element was taken from (due); distance of what is allowed")?;
    }
    for expected in &names.expected {
        let ShareFigures { pool, hint, from_ms, to_ms, answers, distance, other_policy, others, .. } = expected;
        let hint = if hint.is_empty() { String::new() } else { format!(" for {hint}") };
        writeln!(out, "           {pool}{hint}, {from_ms} to {to_ms} ms: {answers} answers")?;
        let element = |element: &ElementShare| {
            format!("{} {} ({})", element.process, element.taken, number((element.expected * 10.0).round() / 10.0))
        };
        let elements: Vec<_> = expected.elements.iter().map(element).collect();
        let elements = if elements.is_empty() { "none due".to_owned() } else { elements.join(", ") };
        writeln!(out, "             {elements}: {distance:.2}{}", if expected.pass { "" } else { " MISSED" })?;
        if other_policy + others > 0 {
            writeln!(
                out,
                "             {other_policy} with another policy, {others} from which nobody expected was taken"
            )?;
        }
    }
    if let Some(failures) = names.plugin_failures.filter(|failures| *failures > 0) {
        writeln!(out, "plug-ins   {failures} failures")?;
    }
    Ok(())
}

/// With one digit after the point, if there is something.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
