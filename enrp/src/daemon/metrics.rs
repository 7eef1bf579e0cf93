//! Prometheus text format 0.0.4.

use std::fmt::Write;

/// Type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// Writes metrics as text: [`family`](Self::family), then its [`sample`](Self::sample)s, and so on, then
/// [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct Metrics {
    text: String,
    name: String,
}

impl Metrics {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a family. A counter's name should end in `_total`.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) -> &mut Self {
        debug_assert!(is_name(name), "{name} is no metric name");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        name.clone_into(&mut self.name);
        self
    }

    /// One sample of the family started last.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.text.push_str(&self.name);
        for (i, (label, text)) in labels.iter().enumerate() {
            debug_assert!(is_name(label) && !label.contains(':'), "{label} is no label name");
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if i == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match value {
            v if v == f64::INFINITY => writeln!(self.text, " +Inf"),
            v if v == f64::NEG_INFINITY => writeln!(self.text, " -Inf"),
            v if v.is_nan() => writeln!(self.text, " NaN"),
            v => writeln!(self.text, " {v}"),
        };
        self
    }

    /// A counter family with one sample without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> &mut Self {
        self.family(name, help, Kind::Counter).integer(value)
    }

    /// A gauge family with one sample without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> &mut Self {
        self.family(name, help, Kind::Gauge).integer(value)
    }

    // An f64 would round counters beyond 2^53.
    pub(super) fn integer(&mut self, value: u64) -> &mut Self {
        let _ = writeln!(self.text, "{} {value}", self.name);
        self
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

fn is_name(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(ok) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_format() {
        let mut metrics = Metrics::new();
        metrics.counter("sg_messages_total", "Messages.\nBoth \\ directions.", u64::MAX);
        metrics
            .family("sg_groups", "Groups of a controller.", Kind::Gauge)
            .sample(&[("pe", "1a"), ("pool", "a\"b\\c\nd")], 2.5)
            .sample(&[], f64::INFINITY);
        assert_eq!(
            metrics.finish(),
            "# HELP sg_messages_total Messages.\\nBoth \\\\ directions.\n\
             # TYPE sg_messages_total counter\n\
             sg_messages_total 18446744073709551615\n\
             # HELP sg_groups Groups of a controller.\n\
             # TYPE sg_groups gauge\n\
             sg_groups{pe=\"1a\",pool=\"a\\\"b\\\\c\\nd\"} 2.5\n\
             sg_groups +Inf\n"
        );
    }

    #[test]
    #[should_panic(expected = "no metric name")]
    fn a_bad_name_is_a_fault_of_ours() {
        Metrics::new().gauge("9 lives", "", 1);
    }
}
