//! What the types of a scenario cannot say.

use super::gateways::{check_gateway_fault, check_gateways};
use super::pools::{check_expect, check_pools, check_scopes};
use super::timeline::check_repeats;
use super::types::{NameServerKind, Population, Resolver};
use super::{ASSERTIONS, Fault, FaultKind, Scenario, Target};
use crate::runner::address::PATHS_MAX;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

/// Most controllers of a scenario (each gets its own loopback address in one /24).
const CONTROLLERS_MAX: usize = 200;
/// Most controllers with a relay, which asks all its sockets for each datagram.
const RELAYED_MAX: usize = 60;
/// Most stand-alone name servers.
const NAME_SERVERS_MAX: usize = 8;
/// Longest hint (asap: Selection Hint), bytes.
const HINT_BYTES_MAX: usize = 255;
/// Most processes of a population.
const POPULATION_PROCESSES_MAX: usize = 16;
/// An hour, ms.
const HOUR_MS: u64 = 3_600_000;

/// Something that is wrong, and where: keys and indexes such as `faults[2].target`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) path: String,
    pub(super) text: String,
    /// It is the key that is wrong, not its value.
    pub(super) key: bool,
}

/// Refuses a value.
pub(super) fn need(holds: bool, path: impl Display, text: impl FnOnce() -> String) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(Problem { path: path.to_string(), text: text(), key: false }) }
}

/// Finds the first thing that is wrong.
pub(super) fn check(scenario: &Scenario) -> Result<(), Problem> {
    check_names(scenario)?;
    check_controllers(scenario)?;
    check_gateways(scenario)?;
    let settings = &scenario.name_server.settings;
    need(
        scenario.name_server.kind == NameServerKind::StandAlone || settings.is_empty(),
        "name_server.settings",
        || "only for kind = \"stand-alone\"; the embedded one's are [gateway.settings.enrp.server]".into(),
    )?;
    check_name_servers(scenario)?;
    check_scopes(scenario)?;
    if let Some(population) = &scenario.population {
        check_population(scenario, population)?;
    }
    if let Some(resolver) = &scenario.resolver {
        check_resolver(scenario, resolver)?;
    }
    for (index, expect) in scenario.expect.iter().enumerate() {
        check_expect(scenario, expect).map_err(|(key, text)| Problem {
            path: format!("expect[{index}].{key}"),
            text,
            key: false,
        })?;
    }
    scenario.load.check()?;
    for (index, fault) in scenario.faults.iter().enumerate() {
        check_fault(scenario, fault).map_err(|(key, text)| Problem {
            path: format!("faults[{index}].{key}"),
            text,
            key: false,
        })?;
    }
    check_sequence(scenario)?;
    check_assertions(scenario)
}

fn check_names(scenario: &Scenario) -> Result<(), Problem> {
    let Scenario { name, duration_ms, drain_ms, idle_ms, .. } = scenario;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // The name becomes part of a folder's name.
    need(!name.is_empty() && name.chars().all(plain), "name", || {
        format!("`{name}`: expected letters, digits, `-`, `_` and `.` only")
    })?;
    need((100..=24 * HOUR_MS).contains(duration_ms), "duration_ms", || {
        format!("{duration_ms}: expected 100 ms to 86,400,000 ms (a day)")
    })?;
    need(*drain_ms <= HOUR_MS, "drain_ms", || format!("{drain_ms}: expected up to 3,600,000 ms (an hour)"))?;
    need(*idle_ms <= HOUR_MS, "idle_ms", || format!("{idle_ms}: expected up to 3,600,000 ms (an hour)"))
}

fn check_controllers(scenario: &Scenario) -> Result<(), Problem> {
    let controllers = &scenario.controllers;
    let count = controllers.count;
    need((1..=CONTROLLERS_MAX).contains(&count), "controllers.count", || {
        format!("{count}: expected 1 to {CONTROLLERS_MAX} controllers")
    })?;
    if let Some(at_start) = controllers.at_start {
        need((1..=count).contains(&at_start), "controllers.at_start", || {
            format!("{at_start}: expected 1 to count ({count})")
        })?;
    }
    let ordinary = controllers.ordinary;
    need(ordinary <= count, "controllers.ordinary", || format!("{ordinary}: expected at most count ({count})"))?;
    need(ordinary == 0 || scenario.gateway.count == 1, "controllers.ordinary", || {
        "ordinary ASPs attach to one gateway: expected gateway.count = 1".into()
    })?;
    need((1..=PATHS_MAX).contains(&scenario.paths), "paths", || {
        format!("{}: expected 1 to {PATHS_MAX} addresses of each process", scenario.paths)
    })?;
    need(!scenario.needs_relay() || count <= RELAYED_MAX, "controllers.count", || {
        format!("{count}: expected at most {RELAYED_MAX} controllers behind a relay (round trips, cut paths)")
    })?;
    let trips = &controllers.round_trip_ms;
    need(trips.is_empty() || trips.len() == count, "controllers.round_trip_ms", || {
        format!("{} numbers: expected none, or one for each of the {count} controllers", trips.len())
    })?;
    need(trips.iter().all(|ms| *ms <= 10_000), "controllers.round_trip_ms", || {
        "expected round trips up to 10,000 ms".into()
    })
}

fn check_name_servers(scenario: &Scenario) -> Result<(), Problem> {
    let count = scenario.name_server.count;
    need((1..=NAME_SERVERS_MAX).contains(&count), "name_server.count", || {
        format!("{count}: expected 1 to {NAME_SERVERS_MAX} name servers")
    })?;
    need(count == 1 || scenario.name_server.kind == NameServerKind::StandAlone, "name_server.count", || {
        format!("{count}: several are for kind = \"stand-alone\"; the embedded one is one")
    })
}

fn check_resolver(scenario: &Scenario, resolver: &Resolver) -> Result<(), Problem> {
    let Resolver { rate_per_s, items, server, hints } = resolver;
    need(scenario.population.is_some(), "resolver", || {
        "it asks for the population's pools: expected [population] too".into()
    })?;
    need((1..=10_000).contains(rate_per_s), "resolver.rate_per_s", || format!("{rate_per_s}: expected 1 to 10,000"))?;
    need((1..=1_000).contains(items), "resolver.items", || format!("{items}: expected 1 to 1,000"))?;
    let count = scenario.name_server.count;
    need((1..=count).contains(server), "resolver.server", || {
        format!("{server}: expected 1 to {count} (name_server.count)")
    })?;
    need(hints.iter().all(|hint| hint.len() <= HINT_BYTES_MAX), "resolver.hints", || {
        format!("expected hints of at most {HINT_BYTES_MAX} bytes")
    })
}

fn check_population(scenario: &Scenario, population: &Population) -> Result<(), Problem> {
    check_pools(scenario, population)?;
    let &Population { pools, pes_per_pool, processes, re_registrations_per_s, pool: _, settings: _ } = population;
    let least = u32::from(population.pool.is_empty());
    need((least..=50_000).contains(&pools), "population.pools", || {
        format!("{pools}: expected 1 to 50,000, or 0 beside [[population.pool]]")
    })?;
    need((1..=10_000).contains(&pes_per_pool), "population.pes_per_pool", || {
        format!("{pes_per_pool}: expected 1 to 10,000")
    })?;
    need((1..=POPULATION_PROCESSES_MAX).contains(&processes), "population.processes", || {
        format!("{processes}: expected 1 to {POPULATION_PROCESSES_MAX}")
    })?;
    need(re_registrations_per_s <= 100_000, "population.re_registrations_per_s", || {
        format!("{re_registrations_per_s}: expected up to 100,000 a second")
    })
}

/// A fault by itself: the key that is wrong, and how.
fn check_fault(scenario: &Scenario, fault: &Fault) -> Result<(), (&'static str, String)> {
    let &Fault { at_ms, kind, target, duration_ms, longest_gap_ms, first_ms, carried_min_percent, .. } = fault;
    let (load_ms, count) = (scenario.duration_ms, scenario.controllers.count);
    if at_ms >= load_ms {
        return Err((
            "at_ms",
            format!("{at_ms}: expected less than duration_ms ({load_ms}), else it comes after the load"),
        ));
    }
    let limits = [("longest_gap_ms", longest_gap_ms), ("first_ms", first_ms)];
    if let Some((key, _)) = limits.into_iter().find(|(_, limit)| limit.is_some_and(|ms| !ms.is_finite() || ms < 0.0)) {
        return Err((key, "expected a number from 0 up".into()));
    }
    check_repeats(fault, load_ms)?;
    check_carried(kind, carried_min_percent)?;
    check_command(fault)?;
    let limit = limits.into_iter().find_map(|(key, limit)| limit.map(|_| key));
    match (kind, duration_ms) {
        (FaultKind::StealCore | FaultKind::Starve, None) => {
            return Err(("kind", format!("{} needs duration_ms: for how long, ms", kind.as_str())));
        }
        (FaultKind::StealCore | FaultKind::Starve | FaultKind::Restart, Some(ms)) if !(1..=10_000).contains(&ms) => {
            return Err(("duration_ms", "expected 1 to 10,000 ms".into()));
        }
        (FaultKind::StealCore | FaultKind::Starve | FaultKind::Restart, Some(_)) => {}
        (_, Some(_)) => {
            return Err((
                "duration_ms",
                "only steal-core, starve and restart take duration_ms; end a stop with a cont".into(),
            ));
        }
        (_, None) => {}
    }
    check_impairment(fault)?;
    let servers = scenario.name_server.stand_alone();
    let processes = scenario.population.as_ref().map_or(0, |population| population.processes);
    match (kind, target) {
        (_, Target::Gateway | Target::GatewayFollower | Target::GatewayNumber(_)) => {
            check_gateway_fault(scenario, fault)
        }
        (FaultKind::CutLink | FaultKind::RestoreLink, Target::Link(a, b)) => {
            if a >= servers || b >= servers || a == b {
                return Err(("target", format!("no link `{target}`: expected two of enrp-1 to enrp-{servers}")));
            }
            match limit {
                Some(key) => Err((key, "two name servers carry no messages of groups".into())),
                None => Ok(()),
            }
        }
        (FaultKind::CutLink | FaultKind::RestoreLink, _) => {
            Err(("target", format!("{} needs target = \"enrp-1/enrp-2\"", kind.as_str())))
        }
        (_, Target::Link(..)) => Err(("target", format!("`{target}`: only cut-link and restore-link take a link"))),
        (FaultKind::CutPath | FaultKind::RestorePath, Target::Path(path)) => {
            let paths = scenario.paths;
            let there = path < paths;
            if !there {
                return Err((
                    "target",
                    format!("no path `{target}`: expected path-1 to path-{paths} (the key `paths`)"),
                ));
            }
            match first_ms {
                Some(_) => Err(("first_ms", "a path takes no controller away: nothing is applied elsewhere".into())),
                None => Ok(()),
            }
        }
        (FaultKind::CutPath | FaultKind::RestorePath, _) => {
            Err(("target", format!("{} needs target = \"path-1\" or \"path-2\"", kind.as_str())))
        }
        (_, Target::Path(_)) => Err(("target", format!("`{target}`: only cut-path and restore-path take a path"))),
        (FaultKind::StealCore | FaultKind::Impair | FaultKind::Clear, Target::Machine) => match limit {
            Some(key) if kind != FaultKind::StealCore => Err((key, "it takes no controller away".into())),
            Some(_) | None => Ok(()),
        },
        (FaultKind::StealCore, Target::Controller(_) | Target::NameServer(_) | Target::Population(_)) => {
            Err(("target", "steal-core takes no target; it hits the whole machine".into()))
        }
        (_, Target::Machine) => Err(("kind", format!("{} needs target = \"gwc-1\" to \"gwc-{count}\"", kind.as_str()))),
        (_, Target::Controller(index)) if index >= count => {
            Err(("target", format!("no process `{target}`: expected gwc-1 to gwc-{count}")))
        }
        (_, Target::NameServer(_)) if servers == 0 => {
            Err(("target", format!("no process `{target}`: that is for name_server.kind = \"stand-alone\"")))
        }
        (_, Target::NameServer(index)) if index >= servers => {
            Err(("target", format!("no process `{target}`: expected enrp-1 to enrp-{servers} (name_server.count)")))
        }
        (_, Target::Population(index)) if index >= processes => {
            Err(("target", format!("no process `{target}`: expected pop-1 to pop-{processes} (population.processes)")))
        }
        (FaultKind::Start | FaultKind::Restart, Target::Population(_)) => {
            Err(("kind", "a process of the population is not started again: the others register in its place".into()))
        }
        (
            FaultKind::Kill
            | FaultKind::Term
            | FaultKind::Leave
            | FaultKind::Restart
            | FaultKind::Stop
            | FaultKind::Start
            | FaultKind::Isolate
            | FaultKind::StickWorker,
            Target::Controller(_),
        ) => Ok(()),
        (
            FaultKind::Isolate | FaultKind::Rejoin | FaultKind::StickWorker | FaultKind::FreeWorker | FaultKind::Starve,
            Target::NameServer(_) | Target::Population(_),
        ) => Err(("target", format!("{} is for controllers: expected gwc-1 to gwc-{count}", kind.as_str()))),
        (_, Target::Controller(_) | Target::NameServer(_) | Target::Population(_)) => match limit {
            Some(key) => Err((
                key,
                "only for kill, term, leave, restart, stop, isolate, stick-worker and start of a controller: nothing else moves groups"
                    .into(),
            )),
            None => Ok(()),
        },
    }
}

/// `with` and `direction`.
fn check_impairment(fault: &Fault) -> Result<(), (&'static str, String)> {
    let one_sided = fault.kind == FaultKind::Impair && fault.target != Target::Machine;
    if fault.direction.is_some() && fault.kind != FaultKind::Isolate && !one_sided {
        return Err(("direction", "only isolate, and impair of a process, take a direction".into()));
    }
    match (fault.kind, &fault.with) {
        (FaultKind::Impair, None) => {
            Err(("kind", "impair needs with: what is done to datagrams, { loss_percent = 5 }".into()))
        }
        (FaultKind::Impair, Some(impairment)) => impairment.check(),
        (_, Some(_)) => Err(("with", "only impair takes with".into())),
        (_, None) => Ok(()),
    }
}

fn check_command(fault: &Fault) -> Result<(), (&'static str, String)> {
    let plain = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match (fault.kind, &fault.command) {
        (FaultKind::Command, None) => Err(("kind", "command needs command: the name of an admin command".into())),
        (FaultKind::Command, Some(name)) if !plain(name) => Err(("command", "expected letters, digits and -".into())),
        (FaultKind::Command, Some(_)) => Ok(()),
        (_, Some(_)) => Err(("command", "only for kind = \"command\"".into())),
        (_, None) if !fault.body.is_empty() => Err(("body", "only for kind = \"command\"".into())),
        (_, None) => Ok(()),
    }
}

fn check_carried(kind: FaultKind, percent: Option<f64>) -> Result<(), (&'static str, String)> {
    let key = "carried_min_percent";
    match percent {
        Some(_) if kind != FaultKind::RestorePath => {
            Err((key, "only restore-path brings traffic back to a path".into()))
        }
        Some(percent) if !(0.0..=100.0).contains(&percent) => Err((key, "expected 0 to 100 per cent".into())),
        Some(_) | None => Ok(()),
    }
}

/// Plays the faults through: each must find its process in a state in which it can be done.
fn check_sequence(scenario: &Scenario) -> Result<(), Problem> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Process {
        Runs,
        Stopped,
        Isolated,
        Stuck,
        Gone,
    }
    let at_start = scenario.controllers.at_start();
    let mut controllers: Vec<_> = (0..scenario.controllers.count)
        .map(|index| if index < at_start { Process::Runs } else { Process::Gone })
        .collect();
    let mut name_servers = vec![Process::Runs; scenario.name_server.count];
    let mut population = [Process::Runs; POPULATION_PROCESSES_MAX];
    let mut links = BTreeMap::new();
    let mut gateways = HashMap::new();
    // Of a path: whole, or cut.
    let mut paths = [Process::Runs; PATHS_MAX];
    let mut impaired = Vec::new();
    for (place, fault) in scenario.done() {
        if fault.kind == FaultKind::Impair {
            impaired.push(fault.target);
        }
        if matches!(fault.kind, FaultKind::Impair | FaultKind::Clear) {
            need(impaired.contains(&fault.target), format_args!("faults[{place}].kind"), || {
                format!("clear of {} at {} ms is not possible: nothing impairs it then", fault.target, fault.at_ms)
            })?;
            impaired.retain(|other| fault.kind == FaultKind::Impair || *other != fault.target);
            continue;
        }
        let state = match fault.target {
            Target::Machine => continue,
            // Each name by itself: which gateway a role means is known only then.
            Target::Gateway | Target::GatewayFollower | Target::GatewayNumber(_) => {
                gateways.entry(fault.target).or_insert(Process::Runs)
            }
            Target::Controller(index) => &mut controllers[index],
            Target::NameServer(index) => &mut name_servers[index],
            Target::Population(index) => &mut population[index],
            Target::Link(a, b) => links.entry((a.min(b), a.max(b))).or_insert(Process::Runs),
            Target::Path(path) => &mut paths[path],
        };
        let (possible, next) = match fault.kind {
            FaultKind::Kill => (*state != Process::Gone, Process::Gone),
            FaultKind::Term | FaultKind::Leave => (*state == Process::Runs, Process::Gone),
            FaultKind::Stop => (*state == Process::Runs, Process::Stopped),
            FaultKind::Cont => (*state == Process::Stopped, Process::Runs),
            FaultKind::Start => (*state == Process::Gone, Process::Runs),
            FaultKind::StealCore => (true, *state),
            FaultKind::Starve => (*state == Process::Runs, *state),
            FaultKind::Isolate => (*state == Process::Runs, Process::Isolated),
            FaultKind::Rejoin => (*state == Process::Isolated, Process::Runs),
            FaultKind::StickWorker => (*state == Process::Runs, Process::Stuck),
            FaultKind::FreeWorker => (*state == Process::Stuck, Process::Runs),
            FaultKind::Command => (*state == Process::Runs, *state),
            // Here it is a kill and a start.
            FaultKind::Restart => (true, *state),
            // Looked at above: a datagram does not care how its process is.
            FaultKind::Impair | FaultKind::Clear => (true, *state),
            FaultKind::CutPath | FaultKind::CutLink => (*state == Process::Runs, Process::Gone),
            FaultKind::RestorePath | FaultKind::RestoreLink => (*state == Process::Gone, Process::Runs),
        };
        let is_path = matches!(fault.target, Target::Path(_) | Target::Link(..));
        let is = match state {
            Process::Runs if is_path => "whole",
            Process::Gone if is_path => "cut",
            Process::Runs => "running",
            Process::Stopped => "stopped",
            Process::Isolated => "isolated",
            Process::Stuck => "stuck",
            Process::Gone => "not there",
        };
        need(possible, format_args!("faults[{place}].kind"), || {
            let (kind, target, at_ms) = (fault.kind.as_str(), fault.target, fault.at_ms);
            format!("{kind} of {target} at {at_ms} ms is not possible: it is {is} then")
        })?;
        *state = next;
    }
    Ok(())
}

fn check_assertions(scenario: &Scenario) -> Result<(), Problem> {
    for (name, limit) in &scenario.assertions {
        let path = format!("assertions.{name}");
        if !ASSERTIONS.iter().any(|a| a.name == name) {
            let known: Vec<_> = ASSERTIONS.iter().map(|a| a.name).collect();
            let text = format!("unknown assertion `{name}`: expected one of {}", known.join(", "));
            return Err(Problem { path, text, key: true });
        }
        need(limit.is_finite() && *limit >= 0.0, path, || format!("{limit}: expected a number from 0 up"))?;
    }
    Ok(())
}
