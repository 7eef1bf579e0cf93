//! Operation scopes, pools with names of their own, and what is expected of the answers of such pools.

use super::check::{Problem, need};
use super::types::{NameServerKind, Population, Scenario};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most further scopes: each has a resolver of its own.
pub(super) const SCOPES_MAX: usize = 4;
/// Most servers of all further scopes together: each has an address of its own.
const SCOPE_SERVERS_MAX: usize = 8;
/// Most pools with names of their own.
pub(super) const NAMED_POOLS_MAX: usize = 1_000;
/// Most expectations.
pub(super) const EXPECT_MAX: usize = 1_000;

/// `[[name_server.scope]]`: a further operation scope, a server of its own in each of these processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Its name: the gateway resolves `handle@name`.
    #[schemars(regex(pattern = "^[A-Za-z0-9._-]+$"), example = &"east")]
    pub name: String,
    /// The name server processes that serve it, 1 is `enrp-1`; they are peers in it. None given: all.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 8)), example = [1])]
    pub servers: Vec<usize>,
}

impl Scope {
    /// Indexes of the processes that serve it, of so many.
    #[must_use]
    pub fn servers(&self, count: usize) -> Vec<usize> {
        if self.servers.is_empty() {
            (0..count).collect()
        } else {
            self.servers.iter().map(|n| n.saturating_sub(1)).collect()
        }
    }
}

/// `[[expect]]`: how a pool's elements must share the answers to the resolver in a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The pool: `handle` or `handle@scope` of a `[[population.pool]]`.
    #[schemars(length(min = 1), example = &"media@east")]
    pub pool: String,
    /// Only questions with this hint; empty: without one.
    #[serde(default)]
    #[schemars(example = &"vienna")]
    pub hint: String,
    /// Questions from this time on, ms after the begin of the load. Leave time after a change for it to be everywhere.
    #[schemars(example = 1_000)]
    pub from_ms: u64,
    /// Up to this time.
    #[schemars(example = 4_000)]
    pub to_ms: u64,
    /// Part of the answers in which each element is the one that a pool user takes, in any unit: `[1, 2]` is a third and two thirds.
    /// Whoever has 0 must be in none. An empty list: no answer at all.
    #[schemars(inner(range(min = 0.0)), example = [1.0, 2.0])]
    pub shares: Vec<f64>,
    /// The policy draws at random: the shares may differ as such draws do (4.5 standard deviations). Else by 2 answers.
    #[serde(default)]
    pub random: bool,
    /// Fewer answers say nothing: that fails too.
    #[serde(default = "answers_default")]
    #[schemars(range(min = 1))]
    pub answers_min: u64,
    /// The policy that the answers have; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = gwc_pe::config::PolicyName::Priority)]
    pub policy: Option<gwc_pe::config::PolicyName>,
}

fn answers_default() -> u64 {
    50
}

pub(super) fn check_scopes(scenario: &Scenario) -> Result<(), Problem> {
    let (scopes, count) = (&scenario.name_server.scope, scenario.name_server.count);
    let stand_alone = scenario.name_server.kind == NameServerKind::StandAlone;
    need(scopes.is_empty() || stand_alone, "name_server.scope", || "only for kind = \"stand-alone\"".into())?;
    need(scopes.len() <= SCOPES_MAX, "name_server.scope", || format!("expected at most {SCOPES_MAX} scopes"))?;
    let servers: usize = scopes.iter().map(|scope| scope.servers(count).len()).sum();
    need(servers <= SCOPE_SERVERS_MAX, "name_server.scope", || {
        format!("{servers} servers: expected at most {SCOPE_SERVERS_MAX} of all scopes together")
    })?;
    for (index, scope) in scopes.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let key = |name: &str| format!("name_server.scope[{index}].{name}");
        need(!scope.name.is_empty() && scope.name.chars().all(plain), key("name"), || {
            format!("`{}`: expected letters, digits, `-`, `_` and `.` only", scope.name)
        })?;
        let twice = scopes[..index].iter().any(|other| other.name == scope.name);
        need(!twice && !scope.name.starts_with("enrp-"), key("name"), || {
            format!("`{}`: expected another name than those of the other scopes and servers", scope.name)
        })?;
        let known = scope
            .servers
            .iter()
            .enumerate()
            .all(|(place, server)| (1..=count).contains(server) && !scope.servers[..place].contains(server));
        need(known, key("servers"), || format!("expected numbers from 1 to {count} (name_server.count), each once"))?;
    }
    Ok(())
}

pub(super) fn check_pools(scenario: &Scenario, population: &Population) -> Result<(), Problem> {
    let pools = &population.pool;
    need(pools.len() <= NAMED_POOLS_MAX, "population.pool", || format!("expected at most {NAMED_POOLS_MAX}"))?;
    for (index, pool) in pools.iter().enumerate() {
        let path = format!("population.pool[{index}]");
        pool.check().map_err(|error| Problem {
            path: format!("{path}.{}", error.key),
            text: format!("expected {}", error.problem),
            key: false,
        })?;
        let known = |name: &String| scenario.name_server.scope.iter().any(|scope| scope.name == *name);
        need(pool.scope.as_ref().is_none_or(known), format!("{path}.scope"), || {
            "expected the name of a [[name_server.scope]]".into()
        })?;
        let twice = pools[..index].iter().any(|other| other.name() == pool.name());
        need(!twice, format!("{path}.handle"), || format!("there is another pool {}", pool.name()))?;
        let most = (0..pool.elements.len()).map(|place| pool.process(place)).max().unwrap_or(0);
        need(most <= population.processes, format!("{path}.elements"), || {
            format!("one is in pop-{most}: expected pop-1 to pop-{} (population.processes)", population.processes)
        })?;
    }
    Ok(())
}

pub(super) fn check_expect(scenario: &Scenario, expect: &Expect) -> Result<(), (&'static str, String)> {
    let need =
        |holds: bool, key: &'static str, text: &dyn Fn() -> String| if holds { Ok(()) } else { Err((key, text())) };
    let Some(resolver) = &scenario.resolver else {
        return Err(("pool", "nobody asks for it: expected [resolver] too".into()));
    };
    let pools = scenario.population.iter().flat_map(|population| &population.pool);
    let Some(pool) = pools.into_iter().find(|pool| pool.name() == expect.pool) else {
        return Err(("pool", format!("no [[population.pool]] `{}`", expect.pool)));
    };
    need(expect.from_ms < expect.to_ms, "from_ms", &|| format!("{}: expected less than to_ms", expect.from_ms))?;
    need(expect.to_ms <= scenario.duration_ms, "to_ms", &|| {
        format!("{}: expected up to duration_ms ({})", expect.to_ms, scenario.duration_ms)
    })?;
    let hint = if expect.hint.is_empty() {
        resolver.hints.is_empty() || resolver.hints.contains(&expect.hint)
    } else {
        resolver.hints.contains(&expect.hint)
    };
    need(hint, "hint", &|| format!("`{}`: expected one of resolver.hints", expect.hint))?;
    let shares = &expect.shares;
    need(shares.is_empty() || shares.len() == pool.elements.len(), "shares", &|| {
        format!("{} numbers: expected none, or one for each of the {} elements", shares.len(), pool.elements.len())
    })?;
    let sum: f64 = shares.iter().sum();
    let numbers = shares.iter().all(|share| *share >= 0.0) && sum.is_finite() && (shares.is_empty() || sum > 0.0);
    need(numbers, "shares", &|| "expected numbers from 0 up, one over 0".into())?;
    need(expect.answers_min > 0, "answers_min", &|| "expected 1 or more".into())
}
