//! The top of the page: the verdict, one sentence that says what was done and what came out, and the figures that people ask for first.

use super::text::{count, ms, number, percent, plural, seconds, us};
use crate::checker::Fault;
use crate::results::{Results, Role, Verdict};
use crate::scenario::{ASSERTIONS, Bound, Outcome};
use maud::{Markup, html};

/// Faults that the sentence names one by one.
const NAMED: usize = 3;

/// The verdict in words and colour, with its reasons.
pub(super) fn verdict(results: &Results) -> Markup {
    let class = match results.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Void => "void",
        Verdict::Interrupted => "interrupted",
    };
    html! {
        div.verdict.(class) role="status" {
            span.word { (results.verdict) }
            p { (done(results)) " " (outcome(results)) }
            @for reason in reasons(results) { p { (reason) } }
        }
    }
}

/// What stands there when there are no results.
pub(super) fn unknown(why: &str) -> Markup {
    html! { div.verdict.unknown role="status" { span.word { "NO VERDICT" } p { (why) " The rest of the page shows what there is." } } }
}

/// What was done.
fn done(results: &Results) -> String {
    let controllers = results
        .controllers
        .len()
        .max(results.process_list.iter().filter(|process| process.name.starts_with("gwc-")).count());
    let gateways = results.topology.iter().filter(|node| node.role == Role::Gateway).count();
    let faults: Vec<&Fault> = results.faults.iter().collect();
    let mut text = format!(
        "{} behind {} took {} messages/s for {}",
        plural(controllers as u64, "controller"),
        if gateways > 1 { "two signaling gateways" } else { "one signaling gateway" },
        number(results.rate_per_s.round()),
        seconds((results.measured_to_ms / 100.0).round() * 100.0),
    );
    if faults.is_empty() {
        text.push_str("; nothing was done to them.");
    } else if faults.len() <= NAMED {
        let each: Vec<_> = faults
            .iter()
            .map(|f| {
                format!(
                    "{} at {}",
                    words(&f.kind, f.gateway.as_ref().unwrap_or(&f.target)),
                    seconds((f.at_ms / 100.0).round() * 100.0)
                )
            })
            .collect();
        text.push_str(&format!("; {}.", each.join(", ")));
    } else {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for fault in &faults {
            match kinds.iter_mut().find(|(kind, _)| *kind == fault.kind) {
                Some((_, n)) => *n += 1,
                None => kinds.push((&fault.kind, 1)),
            }
        }
        let each: Vec<_> = kinds.iter().map(|(kind, n)| format!("{kind} {n} times")).collect();
        text.push_str(&format!("; {} faults: {}.", faults.len(), each.join(", ")));
    }
    text
}

fn words(kind: &str, target: &str) -> String {
    match kind {
        "kill" => format!("{target} was killed (SIGKILL)"),
        "stop" => format!("{target} was made to hang (SIGSTOP)"),
        "cont" => format!("{target} went on (SIGCONT)"),
        "term" | "leave" => format!("{target} was ended cleanly (SIGTERM)"),
        "start" => format!("{target} was started"),
        "cut-path" => format!("{target} was cut"),
        "restore-path" => format!("{target} was joined again"),
        "isolate" => format!("{target} was cut off"),
        "rejoin" => format!("{target} was joined again"),
        "stick-worker" => format!("call control of {target} was blocked"),
        "free-worker" => format!("call control of {target} went on"),
        "starve" => format!("nine tenths of the processor were taken from {target}"),
        "impair" if target == "machine" => "all datagrams met a poor network".to_owned(),
        "clear" if target == "machine" => "datagrams were left alone again".to_owned(),
        "impair" => format!("datagrams of {target} met a poor network"),
        "clear" => format!("datagrams of {target} were left alone again"),
        "steal-core" => "a core was taken away".to_owned(),
        other => format!("{other} {target}"),
    }
}

/// What came out.
fn outcome(results: &Results) -> String {
    let m = &results.messages;
    let discarded: u64 = m.discarded.values().sum();
    let wrong: Vec<String> = [
        (m.lost, "lost"),
        (discarded, "discarded with a cause"),
        (m.duplicated, "duplicated"),
        (m.reordered, "out of order"),
        (m.applied_twice, "applied twice"),
        (m.unknown, "sent by nobody"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {what}", count(n)))
    .collect();
    let mut text = if m.offered == 0 {
        "No message was offered.".to_owned()
    } else if wrong.is_empty() {
        format!("All {} messages were applied, each once and in order.", count(m.offered))
    } else {
        format!("Of {} messages {} were applied; {}.", count(m.offered), count(m.applied), wrong.join(", "))
    };
    if let Some(gap) = longest_gap(results) {
        text.push_str(&format!(" The longest gap of any circuit group was {}.", ms(gap)));
    }
    if results.calls.survived > 0 {
        text.push_str(&format!(
            " {} up at a fault on the groups it touched went on to a normal end.",
            plural(results.calls.survived, "call")
        ));
    }
    text
}

/// The longest gap of any fault.
pub(super) fn longest_gap(results: &Results) -> Option<f64> {
    results.faults.iter().filter_map(|fault| fault.longest_gap_ms).reduce(f64::max)
}

/// Why it is not a pass.
fn reasons(results: &Results) -> Vec<String> {
    let mut reasons = Vec::new();
    match results.verdict {
        Verdict::Void => reasons.push(format!(
            "The run says nothing about the system: {}.",
            results.void_reason.as_deref().unwrap_or("the machine did not keep up")
        )),
        Verdict::Interrupted => {
            reasons.push("Ctrl-C ended the run before its time; the figures are of the part that ran.".to_owned())
        }
        Verdict::Pass | Verdict::Fail => {}
    }
    let failed: Vec<&Outcome> = results.assertions.iter().filter(|outcome| !outcome.pass).collect();
    if !failed.is_empty() {
        let each: Vec<_> =
            failed.iter().take(6).map(|o| format!("{} {} (limit {})", o.name, actual(o), limit(o))).collect();
        let more = if failed.len() > 6 { format!(", and {} more", failed.len() - 6) } else { String::new() };
        reasons.push(format!(
            "{} of {} limits {}: {}{more}.",
            failed.len(),
            results.assertions.len(),
            if failed.len() == 1 { "was not held" } else { "were not held" },
            each.join("; ")
        ));
    } else if results.verdict == Verdict::Pass {
        reasons.push(format!("All {} limits held.", results.assertions.len()));
    }
    reasons.extend(results.crashes.iter().map(|crash| format!("Ended by itself: {crash}.")));
    if results.void_runs > 0 {
        reasons.push(format!("{} before this one: void, and repeated.", plural(u64::from(results.void_runs), "run")));
    }
    reasons
}

/// `≤ 100`.
pub(super) fn limit(outcome: &Outcome) -> String {
    let bound = ASSERTIONS.iter().find(|assertion| assertion.name == outcome.name).map(|assertion| assertion.bound);
    let sign = match bound {
        Some(Bound::AtMost) => "≤ ",
        Some(Bound::AtLeast) => "≥ ",
        None => "",
    };
    format!("{sign}{}", number(outcome.limit))
}

/// The figure, or that there is none.
pub(super) fn actual(outcome: &Outcome) -> String {
    outcome.actual.map_or_else(|| "none".to_owned(), number)
}

/// The figures that people ask for first.
pub(super) fn cards(results: &Results) -> Markup {
    let (m, l) = (&results.messages, &results.latency_us);
    let mut cards = Vec::new();
    if let Some(gap) = longest_gap(results) {
        cards.push((ms(gap), "longest gap at a fault"));
    }
    cards.push((count(m.offered), "messages offered"));
    cards.push((count(m.lost), "lost"));
    cards.push((format!("{} / {}", count(m.reordered), count(m.applied_twice)), "reordered / applied twice"));
    cards.push((format!("{} / {}", us(l.p50 as f64), us(l.p99 as f64)), "latency p50 / p99"));
    cards.push((number(results.rate_per_s), "messages/s, steady load"));
    cards.push((count(results.calls.attempted), "calls"));
    cards.push((percent(results.offered_part), "of the intended load offered"));
    html! { ul.cards { @for (figure, what) in cards { li { b { (figure) } span { (what) } } } } }
}
