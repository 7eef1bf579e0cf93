//! `sigpool run NAME --dry-run`: what would run, when what happens, what must hold; drawn as text of 80 columns.

use super::address::{Host, Needs, Net};
use super::plan::warm_up;
use crate::scenario::{ASSERTIONS, Bound, NameServerKind, Scenario};
use sctp::Transport;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Columns of the time line.
const BAR: usize = 70;
/// Marks of the faults on the time line; what comes after them is `+`.
const MARKS: &str = "123456789abcdefghijklmnopqrstuvwxyz";

/// Topology, time line, assertions, files. Nothing is started or written.
#[must_use]
pub fn dry_run(scenario: &Scenario, out: &Path) -> String {
    let mut text = wrapped(&format!("{}: ", scenario.name), &scenario.description);
    text.push_str("\ntopology: addresses in 127.x.y.0/24, a free loopback network found at the start\n");
    text.push_str(&topology(scenario));
    text.push_str(&time_line(scenario));
    text.push_str(&assertions(scenario));
    text.push_str(&files(scenario, out));
    text
}

fn topology(scenario: &Scenario) -> String {
    let net = Net::any(Needs::default());
    let load = &scenario.load;
    let pool = &scenario.controllers;
    let stand_alone = scenario.name_server.kind == NameServerKind::StandAlone;
    let last = pool.count.saturating_sub(1);
    let names = if last == 0 { "gwc-1".to_owned() } else { format!("gwc-1 to gwc-{}", pool.count) };
    let hosts = match last {
        0 => host(net.first(Host::Controller(0))),
        last => format!("{}-{}", host(net.first(Host::Controller(0))), host(net.first(Host::Controller(last)))),
    };
    let network = [
        spread("network", &host(net.first(Host::Network)), 16),
        format!("{} messages/s", load.rate_per_s),
        format!("{} groups", load.groups),
    ];
    let server = if stand_alone { String::new() } else { "name server".to_owned() };
    let gateway = [spread("sg-1", &host(net.first(Host::Gateway(0))), 13), "gateway".to_owned(), server];
    let more = match pool.at_start() {
        started if started < pool.count => format!("{started} of them at start"),
        _ => String::new(),
    };
    let controllers = [spread(&names, &hosts, 23), "pool GatewayPool".to_owned(), more];
    let mut lines = beside(&boxed(&network, 16), &boxed(&gateway, 13), "--M3UA--");
    lines = beside(&lines, &boxed(&controllers, 23), "--M3UA--");
    if stand_alone {
        // Under the middle of the gateway and of the pool.
        let (left, right) = (20 + 8 + 8, 20 + 8 + 17 + 8 + 13);
        let joint = |line: &str| {
            let mut line: Vec<char> = format!("{line:<WIDTH$}").chars().collect();
            (line[left], line[right]) = ('|', '|');
            line.into_iter().collect::<String>().trim_end().to_owned()
        };
        lines.push(joint(""));
        let enrp = boxed(&[spread("enrp-1", &host(net.first(Host::NameServer(0))), 13), "name server".to_owned()], 13);
        let indent = " ".repeat(28);
        for (index, line) in enrp.iter().enumerate() {
            let line = format!("{indent}{line}");
            lines.push(match index {
                0 => joint(&line).replacen('|', "+", 1),
                1 => format!("{:-<width$}+", format!("{line}ASAP"), width = right),
                _ => line,
            });
        }
    }
    let mut text: String = lines.iter().map(|line| format!("{}\n", line.trim_end())).collect();
    if load.plain_per_s > 0 || load.dialogues_per_s > 0 || !load.profile.is_empty() {
        let calls = format!("{} messages/s of calls", load.rate_per_s);
        let plain = (load.plain_per_s > 0).then(|| format!("{} messages/s of SI {}", load.plain_per_s, load.plain_si));
        let dialogues = (load.dialogues_per_s > 0).then(|| format!("{} TCAP dialogues/s", load.dialogues_per_s));
        let steps = load.profile.iter().map(|s| format!("{} % from {} on", s.percent, seconds(s.at_ms.into())));
        let all: Vec<_> = std::iter::once(calls).chain(plain).chain(dialogues).chain(steps).collect();
        text.push_str(&wrapped("load        ", &all.join(", ")));
    }
    if scenario.transport != Transport::Udp {
        let reason = scenario.impossible().map_or(String::new(), |reason| format!("; it will be skipped: {reason}"));
        text.push_str(&wrapped("transport   ", &format!("{}{reason}", scenario.transport.name())));
    }
    if scenario.paths > 1 {
        let relay = if scenario.needs_relay() { ", all through a relay that can cut each" } else { "" };
        let what = format!("{} addresses of each process, each on a network of its own{relay}", scenario.paths);
        text.push_str(&wrapped("paths       ", &what));
    }
    if scenario.gateway.count > 1 {
        let second = host(net.first(Host::Gateway(1)));
        let what = format!("sg-2 {second} is the mate of sg-1: network and controllers reach both, one leads");
        text.push_str(&wrapped("gateways    ", &what));
    }
    if !pool.round_trip_ms.is_empty() {
        let relays = pool.round_trip_ms.iter().enumerate().map(|(i, ms)| format!("gwc-{} {ms} ms", i + 1));
        text.push_str(&wrapped("relays      ", &format!("round trips: {}", relays.collect::<Vec<_>>().join(", "))));
    }
    if let Some(population) = &scenario.population {
        let numbered =
            (population.pools > 0).then(|| format!("{} pools of {} PEs", population.pools, population.pes_per_pool));
        let named = population.pool.iter().map(|pool| format!("{} of {} PEs", pool.name(), pool.elements.len()));
        let what = format!(
            "{} in {} processes, registered at the name server beside the controllers",
            numbered.into_iter().chain(named).collect::<Vec<_>>().join(", "),
            population.processes
        );
        text.push_str(&wrapped("population  ", &what));
    }
    text
}

/// `.10` of 127.1.0.10.
fn host(ip: IpAddr) -> String {
    ip.to_string().rsplit('.').next().map_or(String::new(), |host| format!(".{host}"))
}

/// Two texts at both ends of `width` columns.
fn spread(left: &str, right: &str, width: usize) -> String {
    let gap = width.saturating_sub(left.len());
    format!("{left}{right:>gap$}")
}

fn boxed(lines: &[String], width: usize) -> Vec<String> {
    let edge = format!("+{}+", "-".repeat(width + 2));
    let inner = lines.iter().map(|line| format!("| {line:<width$} |"));
    std::iter::once(edge.clone()).chain(inner).chain([edge]).collect()
}

/// Two boxes with a line between them at their first text.
fn beside(left: &[String], right: &[String], link: &str) -> Vec<String> {
    let blank = " ".repeat(link.len());
    let join = |(at, (left, right)): (usize, (&String, &String))| {
        format!("{left}{}{right}", if at == 1 { link } else { &blank })
    };
    left.iter().zip(right).enumerate().map(join).collect()
}

fn time_line(scenario: &Scenario) -> String {
    let idle = scenario.idle_ms;
    let steady = u64::try_from(warm_up(scenario).as_millis()).unwrap_or(u64::MAX).min(scenario.duration_ms);
    let end = idle + scenario.duration_ms + scenario.drain_ms;
    // Columns are cut so that each part of the time has its true length, and one at least.
    let column = |ms: u64| (ms as f64 / end.max(1) as f64 * BAR as f64) as usize;
    let mut bar = String::new();
    for (until, sign) in [(idle, '.'), (idle + steady, '/'), (idle + scenario.duration_ms, '='), (end, '\\')] {
        while bar.len() < column(until).min(BAR) {
            bar.push(sign);
        }
    }
    let mut marks = vec![' '; BAR];
    for (index, fault) in scenario.done() {
        let at = column(idle + fault.at_ms).min(BAR - 1);
        let mark = MARKS.chars().nth(index).unwrap_or('+');
        marks[at] = if marks[at] == ' ' { mark } else { '*' };
    }
    let marks: String = marks.into_iter().collect();
    let mut text = format!("\ntime line: {} at most; the load begins at 0\n", seconds(end));
    if !scenario.faults.is_empty() {
        let _ = writeln!(text, "    {}", marks.trim_end());
    }
    let _ = writeln!(text, "   |{bar}|");
    let load = scenario.duration_ms;
    let parts = [
        ('.', idle > 0, format!("{} to 0: idle, only control traffic", minus(idle))),
        ('/', steady > 0, format!("0 to {}: warm-up, not in latency and rate", seconds(steady))),
        ('=', true, format!("{} to {}: measured load", seconds(steady), seconds(load))),
        (
            '\\',
            true,
            format!("{} to {}: calls end; it is over when all have", seconds(load), seconds(load + scenario.drain_ms)),
        ),
    ];
    for (sign, _, words) in parts.iter().filter(|(_, there, _)| *there) {
        let _ = writeln!(text, "   {sign}  {words}");
    }
    if marks.contains('*') {
        text.push_str("   *  several of these:\n");
    }
    for (index, fault) in scenario.faults.iter().enumerate() {
        let mark = MARKS.chars().nth(index).unwrap_or('+');
        let long = fault.duration_ms.map_or(String::new(), |ms| format!(" for {ms} ms"));
        let limit = fault.longest_gap_ms.map_or(String::new(), |ms| format!(", gap at most {ms} ms"));
        let until = fault.until_ms.map_or(String::new(), |ms| format!(" until {}", seconds(ms)));
        let again = fault.every_ms.map_or(String::new(), |ms| format!(", every {ms} ms{until}"));
        let what = format!("{} {}{long}{again}{limit}", fault.kind.as_str(), fault.target);
        let _ = writeln!(text, "   {mark}  {:>11}  {what}", seconds(fault.at_ms));
    }
    text
}

fn minus(ms: u64) -> String {
    format!("-{}", seconds(ms))
}

fn seconds(ms: u64) -> String {
    format!("{:.3} s", ms as f64 / 1_000.0)
}

fn assertions(scenario: &Scenario) -> String {
    let mut never = Vec::new();
    let mut lines = String::new();
    for assertion in ASSERTIONS {
        let Some(limit) = scenario.assertions.get(assertion.name) else { continue };
        match assertion.bound {
            Bound::AtMost if *limit == 0.0 => never.push(assertion.name),
            Bound::AtMost => {
                lines.push_str(&wrapped(&format!("   {:<26} <= {limit:<8} ", assertion.name), assertion.meaning))
            }
            Bound::AtLeast => {
                lines.push_str(&wrapped(&format!("   {:<26} >= {limit:<8} ", assertion.name), assertion.meaning))
            }
        }
    }
    let never = if never.is_empty() { String::new() } else { wrapped("   0 of each: ", &never.join(", ")) };
    format!("\nmust hold\n{never}{lines}")
}

fn files(scenario: &Scenario, out: &Path) -> String {
    let processes = scenario.controllers.count
        + scenario.gateway.count
        + scenario.name_server.stand_alone()
        + scenario.population.as_ref().map_or(0, |population| population.processes);
    let mut text = format!("\nfiles in {}\n", out.display());
    text.push_str(&wrapped("   verdict   ", "results.json, events.jsonl (FORMATS.md has every field)"));
    text.push_str(&wrapped("   evidence  ", "capture.pcapng of the gateway, records/*.csv of every process"));
    text.push_str(&wrapped(
        "   settings  ",
        &format!("scenario.toml as run; config/ and logs/ of {processes} processes"),
    ));
    let _ = writeln!(text, "\nnothing was started; seed {}", scenario.seed);
    text
}

/// A text after its label, in lines of at most 80 columns.
fn wrapped(label: &str, text: &str) -> String {
    let mut all = String::new();
    let mut line = label.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(all, "{line}");
            line = " ".repeat(label.chars().count());
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(all, "{}", line.trim_end());
    all
}

#[cfg(test)]
mod tests;
