//! What is seen while a scenario runs: a line for each controller and a progress bar on a terminal, plain lines otherwise.

use super::admin::ControllerState;
use super::journal::Stream;
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
        write!(
            f,
            "  {name:<8}{:<11}{:>4} groups{messages:>10} messages{:>8.0}/s",
            state.state, state.groups, self.rate_per_s
        )
    }
}

/// More controllers than this are folded into so many lines.
const LINES_MAX: usize = 8;

/// The lines for the controllers. Of many only a summary, those with the least and the most groups, and those that do not take traffic.
fn fold(lines: &[Line]) -> Vec<String> {
    if lines.len() <= LINES_MAX {
        return lines.iter().map(Line::to_string).collect();
    }
    let (active, others): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.state.state == "active");
    let groups = |line: &&&Line| line.state.groups;
    let rate: f64 = active.iter().map(|line| line.rate_per_s).sum();
    let mut folded = vec![format!("  {} of {} controllers active{rate:>37.0}/s", active.len(), lines.len())];
    let ends = [active.iter().min_by_key(groups), active.iter().max_by_key(groups)];
    folded.extend(ends.into_iter().flatten().map(|line| line.to_string()));
    let room = LINES_MAX - folded.len();
    if others.len() > room {
        folded.extend(others.iter().take(room - 1).map(|line| line.to_string()));
        folded.push(format!("  and {} more that are not active", others.len() - (room - 1)));
    } else {
        folded.extend(others.iter().map(|line| line.to_string()));
    }
    folded
}

struct Bars {
    all: MultiProgress,
    lines: Vec<ProgressBar>,
    bar: ProgressBar,
}

/// The screen of a run.
pub(super) struct Screen {
    bars: Option<Bars>,
    /// Standard output belongs to the stream of events: text goes to standard error.
    stream: Stream,
}

impl Screen {
    pub(super) fn new(controllers: usize, duration: Duration, stream: Stream) -> Self {
        if stream.0 || !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return Self::plain(stream);
        }
        let all = MultiProgress::new();
        let text = ProgressStyle::with_template("{msg}").expect("invariant: a template without mistakes");
        // With the text beside it, within 80 columns.
        let style = ProgressStyle::with_template("  [{bar:12}] {msg}").expect("invariant: a template without mistakes");
        let bar = |length, style: &ProgressStyle| all.add(ProgressBar::new(length).with_style(style.clone()));
        let lines = (0..controllers.min(LINES_MAX)).map(|_| bar(1, &text)).collect();
        let bar = bar(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &style);
        Self { bars: Some(Bars { all, lines, bar }), stream }
    }

    /// Without bars: before and after a run.
    pub(super) fn plain(stream: Stream) -> Self {
        Self { bars: None, stream }
    }

    /// One line that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.bars {
            // Nothing to do when the terminal went away: the results are in files.
            Some(bars) => drop(bars.all.println(text)),
            None => self.line(text),
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
                let mut folded = fold(lines).into_iter();
                for bar in &bars.lines {
                    bar.set_message(folded.next().unwrap_or_default());
                }
                bars.bar.set_message(summary);
                bars.bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            }
            None => {
                self.line(&summary);
                for line in fold(lines) {
                    self.line(&line);
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

    fn line(&self, text: &str) {
        // A closed pipe must not end a run.
        let _ = if self.stream.0 {
            writeln!(std::io::stderr().lock(), "{text}")
        } else {
            writeln!(std::io::stdout().lock(), "{text}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(index: u64, state: &str) -> Line {
        let state = ControllerState {
            state: state.to_owned(),
            groups: 30 + index,
            messages_up: 4_000_000_000,
            ..Default::default()
        };
        Line { name: format!("gwc-{}", index + 1), state, rate_per_s: 123_456.0 }
    }

    #[test]
    fn forty_controllers_fit_on_a_small_screen() {
        let mut lines: Vec<_> = (0..40).map(|index| line(index, "active")).collect();
        let folded = fold(&lines);
        assert_eq!(folded.len(), 3);
        assert!(
            folded[0].contains("40 of 40") && folded[1].contains("gwc-1 ") && folded[2].contains("gwc-40 "),
            "{folded:?}"
        );
        for (index, state) in [(3, "draining"), (5, "gone")] {
            lines[index] = line(index as u64, state);
        }
        let folded = fold(&lines);
        assert!(folded[3].contains("gwc-4 ") && folded[4].contains("gone"), "{folded:?}");
        lines.iter_mut().for_each(|line| line.state.state = "connecting".into());
        let folded = fold(&lines);
        assert_eq!(folded.len(), LINES_MAX);
        assert!(folded[0].contains("0 of 40") && folded[7].contains("34 more"), "{folded:?}");
        assert!(folded.iter().all(|line| line.chars().count() <= 80), "{folded:?}");
        assert_eq!(fold(&lines[..8]).len(), 8);
    }
}
