//! What a replay shows: a line for each message sent and each answer, the recorded answer beside it.

use super::script::{Happened, Script, Scripted};
use crate::capture::{Association, Capture};
use crate::checker::Report;
use crate::network::isup;
use crate::network::source::Label;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;

/// ISUP messages that ask for an answer from an exchange that has the circuit (Q.764).
const ASK: [u8; 13] = [0x01, 0x03, 0x0c, 0x11, 0x12, 0x13, 0x14, 0x17, 0x18, 0x19, 0x2a, 0x34, 0x36];

/// See the module.
#[derive(Debug)]
pub(super) struct Screen {
    /// Recorded answers that none of ours stands beside yet, by point codes (pool's, network's).
    recorded: FxHashMap<(u32, u32), VecDeque<Scripted>>,
    to_send: usize,
    sent: usize,
    answers: usize,
    /// Messages that ask and have no answer yet, by (network's point code, pool's, CIC).
    open: Vec<(u32, u32, u16)>,
}

impl Screen {
    pub(super) fn new(script: &Script) -> Self {
        let mut recorded: FxHashMap<_, VecDeque<Scripted>> = FxHashMap::default();
        for message in &script.pool {
            recorded.entry((message.label.opc, message.label.dpc)).or_default().push_back(message.clone());
        }
        Self { recorded, to_send: script.network.len(), sent: 0, answers: 0, open: Vec::new() }
    }

    pub(super) fn head(&self, file: &Path, capture: &Capture, out: &Path) {
        let recorded: usize = self.recorded.values().map(VecDeque::len).sum();
        say(&format!(
            "{}: {} messages, {} of them from the network's side, {recorded} recorded answers; {} other, {} malformed, {} repeated",
            file.display(),
            capture.messages.len(),
            self.to_send,
            capture.other,
            capture.malformed,
            capture.retransmitted
        ));
        // A capture of one hop needs no word about hops.
        if capture.associations.iter().any(|a| !a.taken) {
            say("the same messages are on several associations; each is sent once:");
            for Association { ends: (one, other), messages, taken } in &capture.associations {
                let what = if *taken { "taken" } else { "left out, another hop" };
                say(&format!("  SCTP {one} - {other}: {messages} messages, {what}"));
            }
        }
        say(&format!("files of this run: {}\n", out.display()));
        say(&format!("{:>10}  {:<44}{}", "time", "here", "in the capture"));
    }

    pub(super) fn show(&mut self, event: &Happened) {
        match event {
            Happened::Sent { at, label, user_data } => {
                self.sent += 1;
                if let Some((cic, kind)) = isup::head(user_data).filter(|_| label.si == 5)
                    && ASK.contains(&kind)
                {
                    self.open.push((label.opc, label.dpc, cic));
                }
                say(&format!("{:>9.3}s  > {}", at.as_secs_f64(), text(label, user_data)));
            }
            Happened::Answer { at, label, user_data } => {
                self.answers += 1;
                if let Some((cic, _)) = isup::head(user_data) {
                    // One answer closes all that asked on its circuit before it.
                    self.open.retain(|open| *open != (label.dpc, label.opc, cic));
                }
                let beside = self.counterpart(label, user_data).map_or_else(
                    || "(none like it recorded)".into(),
                    |r| format!("< {} at {:.3}s", text(&r.label, &r.user_data), r.at.as_secs_f64()),
                );
                say(&format!("{:>9.3}s  {:<44}{beside}", at.as_secs_f64(), format!("< {}", text(label, user_data))));
            }
        }
    }

    /// The first recorded answer of the same kind between the same point codes.
    fn counterpart(&mut self, label: &Label, user_data: &[u8]) -> Option<Scripted> {
        let kind = |m: &Scripted| (m.label.si, isup::head(&m.user_data).map(|(_, kind)| kind));
        let wanted = (label.si, isup::head(user_data).map(|(_, kind)| kind));
        let recorded = self.recorded.get_mut(&(label.opc, label.dpc))?;
        let at = recorded.iter().position(|m| kind(m) == wanted)?;
        recorded.remove(at)
    }

    pub(super) fn all_sent(&self) -> bool {
        self.sent == self.to_send
    }

    pub(super) fn all_answered(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn verdict(&self, report: &Report, discarded: u64, pass: bool) {
        let m = &report.messages;
        let mut only_recorded: Vec<&Scripted> = self.recorded.values().flatten().collect();
        only_recorded.sort_by_key(|m| m.at);
        for message in only_recorded {
            let text = text(&message.label, &message.user_data);
            say(&format!("{:>10}  {:<44}< {text} at {:.3}s", "", "", message.at.as_secs_f64()));
        }
        say("");
        for (pc, pool, cic) in &self.open {
            say(&format!("no answer: {pc} to {pool}, CIC {cic}"));
        }
        say(&format!(
            "sent {} of {}, answers {}, lost {}, duplicated {}, reordered {}, applied twice {}, discarded {discarded}",
            self.sent, self.to_send, self.answers, m.lost, m.duplicated, m.reordered, m.applied_twice
        ));
        say(if pass { "verdict: PASS" } else { "verdict: FAIL" });
    }
}

fn text(label: &Label, user_data: &[u8]) -> String {
    let what = match isup::head(user_data) {
        Some((cic, _)) if label.si == 5 => format!("{} CIC {cic}", isup::name(user_data)),
        Some(_) | None => format!("SI {} ({} bytes)", label.si, user_data.len()),
    };
    format!("{what} {} -> {}", label.opc, label.dpc)
}

/// A line on the terminal; one that is gone ends nothing.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
