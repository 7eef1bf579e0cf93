//! What is seen while a scenario runs: a line for each controller and a progress bar on a terminal, plain lines otherwise.

use super::admin::ControllerState;
use super::traffic::TrafficCounters;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// From when on the load driver's lateness is on the screen.
const LATE: Duration = Duration::from_millis(5);

/// A controller's line.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) state: ControllerState,
    pub(super) rate_per_s: f64,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, state) = (&self.name, &self.state);
        let messages = state.messages_up + state.messages_down;
        let what = if state.state.is_empty() { "gone" } else { &state.state };
        write!(f, "  {name:<8}{what:<11}{:>4} groups{messages:>10} messages{:>8.0}/s", state.groups, self.rate_per_s)
    }
}

struct Bars {
    all: MultiProgress,
    lines: Vec<ProgressBar>,
    bar: ProgressBar,
}

/// The screen of a run.
pub(super) struct Screen {
    bars: Option<Bars>,
}

impl Screen {
    pub(super) fn new(controllers: usize, duration: Duration) -> Self {
        if !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return Self { bars: None };
        }
        let all = MultiProgress::new();
        let text = ProgressStyle::with_template("{msg}").expect("invariant: a template without mistakes");
        // With the text beside it, within 80 columns.
        let style = ProgressStyle::with_template("  [{bar:12}] {msg}").expect("invariant: a template without mistakes");
        let bar = |length, style: &ProgressStyle| all.add(ProgressBar::new(length).with_style(style.clone()));
        let lines = (0..controllers).map(|_| bar(1, &text)).collect();
        let bar = bar(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &style);
        Self { bars: Some(Bars { all, lines, bar }) }
    }

    /// Without bars: before and after a run.
    pub(super) fn plain() -> Self {
        Self { bars: None }
    }

    /// One line that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.bars {
            // Nothing to do when the terminal went away: the results are in files.
            Some(bars) => drop(bars.all.println(text)),
            None => plain(text),
        }
    }

    /// The state of things, once a second.
    pub(super) fn show(&self, elapsed: Duration, counters: TrafficCounters, rate_per_s: f64, lines: &[Line]) {
        let mut summary = format!(
            "{:>3} s  {rate_per_s:>6.0} messages/s  sent {}  received {}  calls up {}",
            elapsed.as_secs(),
            counters.sent,
            counters.received,
            counters.up
        );
        // Intended against sent: said when they are not the same.
        if counters.missed > 0 {
            summary.push_str(&format!("  missed {}", counters.missed));
        }
        if counters.late >= LATE {
            summary.push_str(&format!("  late {} ms", counters.late.as_millis()));
        }
        match &self.bars {
            Some(bars) => {
                for (bar, line) in bars.lines.iter().zip(lines) {
                    bar.set_message(line.to_string());
                }
                bars.bar.set_message(summary);
                bars.bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            }
            None => {
                plain(&summary);
                for line in lines {
                    plain(&line.to_string());
                }
            }
        }
    }

    /// Takes bars away.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            for bar in bars.lines.iter().chain([&bars.bar]) {
                bar.finish_and_clear();
            }
        }
    }
}

fn plain(text: &str) {
    // A closed pipe must not end a run.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
