//! `junit.xml`: a run as a test suite, for continuous integration.

use super::{Results, Verdict};
use crate::scenario::{Bound, Outcome};
use crate::utc;
use std::fmt::{self, Write as _};

impl Results {
    /// One `testsuite` with a `testcase` for each assertion, and one, `run`, for what is none: processes that ended by themselves,
    /// an interruption. A void run says nothing about the system: each case is an `error` then.
    #[must_use]
    pub fn junit(&self) -> String {
        let mut out = String::new();
        self.write_junit(&mut out).expect("invariant: writing to a String cannot fail");
        out
    }

    fn write_junit(&self, out: &mut String) -> fmt::Result {
        let tests = self.assertions.len() + 1;
        let run = self.run_problem();
        let failures = self.assertions.iter().filter(|a| !a.pass).count();
        let (failures, errors) =
            if self.void_reason.is_some() { (0, tests) } else { (failures, usize::from(run.is_some())) };
        let seconds = self.measured_to_ms / 1_000.0;
        let suite = format!("sigpool.{}", self.scenario);
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(
            out,
            "<testsuites>\n  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" \
             time=\"{seconds:.3}\" timestamp=\"{}\">\n    <properties>",
            escape(&suite),
            utc::iso(self.started_unix_s)
        )?;
        let machine = &self.machine;
        for (name, value) in [
            ("seed", self.seed.to_string()),
            ("commit", machine.commit.clone().unwrap_or_default()),
            ("machine", format!("{} cores, Linux {}", machine.cores, machine.kernel)),
            ("version", machine.version.clone()),
            ("command", self.command.join(" ")),
            ("verdict", self.verdict.to_string()),
        ] {
            writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", escape(&value))?;
        }
        writeln!(out, "    </properties>")?;
        self.write_case(out, &suite, "run", run.map(|message| ("error", message)))?;
        for outcome in &self.assertions {
            let failure = (!outcome.pass).then(|| ("failure", outcome.sentence()));
            self.write_case(out, &suite, &outcome.name, failure)?;
        }
        writeln!(out, "  </testsuite>\n</testsuites>")
    }

    /// Why the run itself did not come to a good end.
    fn run_problem(&self) -> Option<String> {
        let interrupted = (self.verdict == Verdict::Interrupted).then(|| "interrupted".to_owned());
        interrupted.or_else(|| (!self.crashes.is_empty()).then(|| self.crashes.join("; ")))
    }

    fn write_case(&self, out: &mut String, suite: &str, name: &str, problem: Option<(&str, String)>) -> fmt::Result {
        let void = self.void_reason.as_ref().map(|reason| ("error", format!("void: {reason}")));
        write!(out, "    <testcase classname=\"{}\" name=\"{}\" time=\"0\"", escape(suite), escape(name))?;
        match void.or(problem) {
            None => writeln!(out, "/>"),
            Some((element, message)) => {
                let message = escape(&message);
                writeln!(
                    out,
                    ">\n      <{element} message=\"{message}\" type=\"{element}\">{message}</{element}>\n    </testcase>"
                )
            }
        }
    }
}

impl Outcome {
    /// `limit <= 100 ms, actual 320.6 ms`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let sign = if self.bound == Bound::AtLeast { ">=" } else { "<=" };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let actual = self.actual.map_or_else(|| "none".to_owned(), |a| format!("{}{unit}", super::table::number(a)));
        format!("limit {sign} {}{unit}, actual {actual}", super::table::number(self.limit))
    }
}

/// For attributes and text; what XML 1.0 cannot hold becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // Written out, a parser would make a space of them in an attribute.
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}
