//! `sigpool capture info`: what is in a capture, what of it can be replayed, and why not the rest.

use super::parts::{Part, Parts};
use super::{Capture, Survey};
use crate::replay::beside;
use crate::replay::compare::type_name;
use crate::runner::RunError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Associations shown as text, those with the most DATA first; `--json` has them all.
const ASSOCIATIONS_SHOWN: usize = 40;
/// Pairs of point codes kept; further ones are counted together.
const PAIRS_MAX: usize = 1_000;
/// Pairs shown as text.
const PAIRS_SHOWN: usize = 20;

/// Messages between two point codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PairCount {
    /// Originating point code.
    pub opc: u32,
    /// Destination point code.
    pub dpc: u32,
    /// Messages.
    pub messages: u64,
}

/// Something that is not replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotReplayed {
    /// How many.
    pub count: u64,
    /// What it is and why not.
    pub why: String,
}

/// What `sigpool capture info --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// The file and what was found in it.
    #[serde(flatten)]
    pub survey: Survey,
    /// M3UA DATA of the associations taken, each message once.
    pub messages: u64,
    /// By service indicator.
    pub by_si: BTreeMap<u8, u64>,
    /// By originating and destination point code.
    pub by_point_codes: Vec<PairCount>,
    /// By ISUP message type.
    pub isup: BTreeMap<String, u64>,
    /// Messages of the network that a replay sends.
    pub replayed: u64,
    /// Calls among them.
    pub calls: u64,
    /// What it does not send.
    pub not_replayed: Vec<NotReplayed>,
}

/// Prints what is in a capture, or in the capture of a run's folder.
///
/// # Errors
/// As [`super::read`].
pub fn run(what: &Path, associations: &[usize], json: bool) -> Result<u8, RunError> {
    let (file, folder) = beside::find(what)?;
    let capture = super::read(&file, associations)?;
    let info = Info::new(&capture, folder.as_ref().map_or(&[][..], |folder| &folder.pool_pcs));
    let text = if json {
        serde_json::to_string_pretty(&info).map_err(|error| RunError::Environment(error.to_string()))? + "\n"
    } else {
        info.text(&file)
    };
    // A closed pipe (`| head`) is no error.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(0)
}

impl Info {
    /// Looks at a capture; `pool_pcs` as for [`Parts::new`].
    fn new(capture: &Capture, pool_pcs: &[u32]) -> Self {
        let parts = Parts::new(capture, pool_pcs, false);
        let mut info = Self {
            survey: capture.survey.clone(),
            messages: capture.messages.len() as u64,
            by_si: BTreeMap::new(),
            by_point_codes: Vec::new(),
            isup: BTreeMap::new(),
            replayed: parts.of.iter().filter(|part| **part == Part::Send).count() as u64,
            calls: parts.calls.len() as u64,
            not_replayed: not_replayed(&capture.survey, &parts),
        };
        let mut pairs: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for message in &capture.messages {
            *info.by_si.entry(message.si).or_default() += 1;
            if let Some(kind) = capture.octets(message).get(2).filter(|_| message.si == 5) {
                *info.isup.entry(type_name(5, *kind)).or_default() += 1;
            }
            if pairs.len() < PAIRS_MAX || pairs.contains_key(&(message.opc, message.dpc)) {
                *pairs.entry((message.opc, message.dpc)).or_default() += 1;
            }
        }
        info.by_point_codes =
            pairs.into_iter().map(|((opc, dpc), messages)| PairCount { opc, dpc, messages }).collect();
        info.by_point_codes.sort_by_key(|pair| std::cmp::Reverse(pair.messages));
        info
    }

    fn text(&self, file: &Path) -> String {
        let mut out = String::new();
        self.write(file, &mut out).expect("invariant: writing to a String cannot fail");
        out
    }

    fn write(&self, file: &Path, out: &mut String) -> std::fmt::Result {
        let survey = &self.survey;
        let of = |text: &Option<String>| text.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
        let about = &survey.file;
        writeln!(out, "{}: {}{}{}", file.display(), about.format, of(&about.application), of(&about.comment))?;
        writeln!(
            out,
            "{} packets in {:.3} s, the first at {:.6} (s since 1970)",
            about.packets, survey.span_s, survey.first_s
        )?;
        for interface in &about.interfaces {
            let name = interface.name.as_deref().unwrap_or("without name");
            write!(out, "interface {name}: link type {} ({})", interface.link_type, link_name(interface.link_type))?;
            match interface.snap_len {
                0 => writeln!(out)?,
                length => writeln!(out, ", packets up to {length} bytes")?,
            }
        }
        counts(out, "encapsulation", &survey.encapsulation)?;
        self.associations(out)?;
        counts(out, "M3UA, all associations", &survey.m3ua)?;
        counts(out, "ASAP", &survey.asap)?;
        if self.messages > 0 {
            writeln!(out, "\nDATA of the associations taken, each message once: {}", self.messages)?;
            for (si, count) in &self.by_si {
                writeln!(out, "  SI {si:<21}{count:>12}{}", if *si == 5 { "  ISUP" } else { "" })?;
            }
            for PairCount { opc, dpc, messages } in self.by_point_codes.iter().take(PAIRS_SHOWN) {
                writeln!(out, "  {:<24}{messages:>12}", format!("{opc} -> {dpc}"))?;
            }
            let more = self.by_point_codes.len().saturating_sub(PAIRS_SHOWN);
            if more > 0 {
                writeln!(out, "  and {more} pairs of point codes more")?;
            }
            counts(out, "ISUP", &self.isup)?;
        }
        for useless in &survey.useless {
            let places: Vec<String> = useless.first_packets.iter().map(u64::to_string).collect();
            writeln!(out, "{} {}; first: packet {}", useless.count, useless.what, places.join(", "))?;
        }
        if let Some(damage) = &about.damage {
            writeln!(out, "the file is of use up to a point only: {damage}")?;
        }
        writeln!(out, "\nreplay: {} messages of the network, {} calls", self.replayed, self.calls)?;
        for NotReplayed { count, why } in &self.not_replayed {
            writeln!(out, "  not {count:>8} {why}")?;
        }
        Ok(())
    }

    fn associations(&self, out: &mut String) -> std::fmt::Result {
        let mut shown: Vec<_> = self.survey.associations.iter().collect();
        writeln!(out, "\n{} associations", shown.len())?;
        shown.sort_by_key(|association| std::cmp::Reverse((association.data, association.packets)));
        for a in shown.iter().take(ASSOCIATIONS_SHOWN) {
            let [one, other] = &a.ends;
            let begin = a.first_s - self.survey.first_s;
            writeln!(
                out,
                "{:>4}: {one} - {other}: {} packets, {} bytes, {} streams, {begin:.3} to {:.3} s{}",
                a.number,
                a.packets,
                a.bytes,
                a.streams,
                a.last_s - self.survey.first_s,
                if a.taken { "; taken" } else { "" }
            )?;
            let ppids: Vec<String> = a
                .ppids
                .iter()
                .map(|(ppid, amount)| {
                    format!("PPID {ppid} ({}) {} messages {} bytes", ppid_name(*ppid), amount.messages, amount.bytes)
                })
                .collect();
            let mut words = vec![ppids.join(", ")];
            for (count, what) in [
                (a.data, "M3UA DATA"),
                (a.repeated, "chunks seen again"),
                (a.missing, "chunks missing in the capture"),
                (a.incomplete, "fragments without the rest"),
            ] {
                if count > 0 {
                    words.push(format!("{count} {what}"));
                }
            }
            writeln!(out, "      {}", words.join("; "))?;
        }
        let more = shown.len().saturating_sub(ASSOCIATIONS_SHOWN);
        if more > 0 { writeln!(out, "      and {more} more; --json has them all") } else { Ok(()) }
    }
}

/// What a replay does not send, and why.
fn not_replayed(survey: &Survey, parts: &Parts) -> Vec<NotReplayed> {
    let count = |part| parts.of.iter().filter(|of| **of == part).count() as u64;
    let sum = |amount: fn(&super::Association) -> u64| survey.associations.iter().map(amount).sum::<u64>();
    let data: u64 = sum(|a| a.data);
    let other_hop: u64 = survey.associations.iter().filter(|a| !a.taken).map(|a| a.data).sum();
    let m3ua: u64 = survey.m3ua.values().sum();
    let useless = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        survey.useless.iter().filter(|useless| wanted(&useless.what)).map(|useless| useless.count).sum()
    };
    let all = [
        (
            other_hop,
            "DATA on associations not taken: the same messages on another hop, or not asked for (--association N)",
        ),
        (count(Part::Answer), "messages of the pool's side: they are what the replay's answers are compared with"),
        (
            count(Part::LeftOut),
            "messages of the network in calls that the pool began: the replayed pool does not begin them (--plain sends them)",
        ),
        (count(Part::AnswerLeftOut), "messages of the pool in those calls"),
        (m3ua.saturating_sub(data), "M3UA messages that are not DATA: gateway and controllers say their own"),
        (survey.asap.values().sum(), "ASAP messages: the replay's name server, gateway and controllers say their own"),
        (survey.enrp, "ENRP messages: name servers say their own"),
        (survey.other_ppids, "user messages of other PPIDs than M3UA, ASAP and ENRP"),
        (sum(|a| a.repeated), "DATA chunks seen again: retransmissions, or captured twice"),
        (sum(|a| a.incomplete), "fragments of messages that are not whole in the capture"),
        (sum(|a| a.missing), "DATA chunks that are missing in the capture"),
        (useless(&|_| true), "packets and messages of no use, as said above"),
    ];
    let some = all.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, why)| NotReplayed { count, why: why.to_owned() }).collect()
}

/// The text for a capture, whatever it holds.
#[cfg(test)]
pub(super) fn text_of(capture: &Capture) -> String {
    Info::new(capture, &[]).text(Path::new("test"))
}

fn counts(out: &mut String, title: &str, counts: &BTreeMap<String, u64>) -> std::fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    counts.iter().try_for_each(|(name, count)| writeln!(out, "  {name:<24}{count:>12}"))
}

fn ppid_name(ppid: u32) -> &'static str {
    match ppid {
        sctp::ppid::M3UA => "M3UA",
        sctp::ppid::ASAP => "ASAP",
        sctp::ppid::ENRP => "ENRP",
        u32::MAX => "others",
        _ => "unknown",
    }
}

fn link_name(link_type: i32) -> &'static str {
    match link_type {
        0 | 108 => "loopback",
        1 => "Ethernet",
        12 | 14 | 101 | 228 | 229 => "raw IP",
        113 | 276 => "Linux cooked",
        _ => "not known here",
    }
}
