//! What a replay shows: a small capture line by line, the recorded answer beside each one; of a large one how far it is.

use super::results::ReplayResults;
use super::script::{Happened, Script, label};
use crate::capture::parts::Part;
use crate::capture::{Captured, Survey};
use crate::network::isup;
use crate::network::source::Label;
use indicatif::{ProgressBar, ProgressStyle};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// A capture with more messages than this is not shown message by message.
pub(super) const LINES_MAX: usize = 200;
/// Without a terminal, how far it is is said this often.
const SAY: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Screen<'a> {
    script: &'a Script,
    /// Recorded answers that none of ours stands beside yet, by point codes (pool's, network's); of a small capture.
    recorded: FxHashMap<(u32, u32), VecDeque<Captured>>,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl<'a> Screen<'a> {
    /// `lines`: message by message.
    pub(super) fn new(script: &'a Script, lines: bool) -> Self {
        let mut recorded: FxHashMap<_, VecDeque<Captured>> = FxHashMap::default();
        if lines {
            for message in script.of_part(Part::Answer) {
                recorded.entry((message.opc, message.dpc)).or_default().push_back(*message);
            }
        }
        let bar = (!lines && io::stdout().is_terminal() && io::stderr().is_terminal()).then(|| {
            let style = "  [{bar:30}] {pos} of {len} sent  {msg}";
            let style = ProgressStyle::with_template(style).expect("invariant: a template without mistakes");
            ProgressBar::new(script.len() as u64).with_style(style)
        });
        if lines {
            say(&format!("{:>10}  {:<44}{}", "time", "here", "in the capture"));
        }
        Self { script, recorded, bar, said: Instant::now() }
    }

    pub(super) fn show(&mut self, event: &Happened) {
        match event {
            Happened::Sent { at, label, user_data } => {
                say(&format!("{:>9.3}s  > {}", at.as_secs_f64(), text(label, user_data)));
            }
            Happened::Answer { at, label, user_data } => {
                let beside = self.counterpart(label, user_data).map_or_else(
                    || "(none like it recorded)".into(),
                    |recorded| format!("< {}", self.text_of(&recorded)),
                );
                say(&format!("{:>9.3}s  {:<44}{beside}", at.as_secs_f64(), format!("< {}", text(label, user_data))));
            }
        }
    }

    /// How far it is.
    pub(super) fn progress(&mut self, sent: u64, answers: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{answers} answers"));
                bar.set_position(sent);
            }
            None if self.said.elapsed() >= SAY && self.script.len() > LINES_MAX => {
                self.said = Instant::now();
                say(&format!("  {sent} of {} sent, {answers} answers", self.script.len()));
            }
            None => {}
        }
    }

    fn text_of(&self, recorded: &Captured) -> String {
        let text = text(&label(recorded), self.script.capture.octets(recorded));
        format!("{text} at {:.3}s", self.script.at(recorded).as_secs_f64())
    }

    /// The first recorded answer of the same kind between the same point codes.
    fn counterpart(&mut self, label: &Label, user_data: &[u8]) -> Option<Captured> {
        let capture = &self.script.capture;
        let kind = |octets: &[u8]| isup::head(octets).map(|(_, kind)| kind);
        let recorded = self.recorded.get_mut(&(label.opc, label.dpc))?;
        let at = recorded.iter().position(|m| m.si == label.si && kind(capture.octets(m)) == kind(user_data))?;
        recorded.remove(at)
    }

    /// Recorded answers that none of ours stands beside.
    pub(super) fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mut only_recorded: Vec<&Captured> = self.recorded.values().flatten().collect();
        only_recorded.sort_by_key(|m| m.time_ns);
        for message in only_recorded {
            say(&format!("{:>10}  {:<44}< {}", "", "", self.text_of(message)));
        }
    }
}

/// What is known before anything is sent.
pub(super) fn head(file: &Path, script: &Script, out: &Path, plan: &[String]) {
    let survey: &Survey = &script.capture.survey;
    let count = |part| script.of_part(part).count();
    say(&format!(
        "{}: {} messages: {} of the network to send, {} recorded answers",
        file.display(),
        script.capture.messages.len(),
        script.len(),
        count(Part::Answer)
    ));
    let (messages, answers) = (count(Part::LeftOut), count(Part::AnswerLeftOut));
    if messages + answers > 0 {
        let calls = script.parts.pool_calls;
        say(&format!("left out: {messages} messages of {calls} calls that the pool began, and its {answers} messages"));
    }
    if script.parts.repeated_iams > 0 {
        let calls = script.parts.repeated_iams;
        say(&format!(
            "{calls} calls have the IAM of an earlier one on their circuit, and are answered as that one was"
        ));
    }
    // A capture of one hop needs no word about hops.
    let with_data = || survey.associations.iter().filter(|a| a.data > 0);
    if with_data().any(|association| !association.taken) {
        say("associations with M3UA DATA (--association takes others):");
        for association in with_data().take(LINES_MAX / 10) {
            let what = if association.taken { "taken" } else { "left out: the same on another hop, or not asked for" };
            let [one, other] = &association.ends;
            say(&format!("  {}: {one} - {other}: {} messages, {what}", association.number, association.data));
        }
    }
    for useless in &survey.useless {
        say(&format!("{}: {}", useless.count, useless.what));
    }
    if let Some(damage) = &survey.file.damage {
        say(&format!("the file is of use up to a point only: {damage}"));
    }
    for line in plan {
        say(line);
    }
    say(&format!("files of this run: {}\n", out.display()));
}

/// The verdict for people.
pub(super) fn verdict(results: &ReplayResults) {
    say("");
    for line in results.lines() {
        say(&line);
    }
    say(&format!("verdict: {}", results.verdict));
}

fn text(label: &Label, user_data: &[u8]) -> String {
    let what = match isup::head(user_data) {
        Some((cic, _)) if label.si == 5 => format!("{} CIC {cic}", isup::name(user_data)),
        Some(_) | None => format!("SI {} ({} bytes)", label.si, user_data.len()),
    };
    format!("{what} {} -> {}", label.opc, label.dpc)
}

/// A line on the terminal; one that is gone ends nothing.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
