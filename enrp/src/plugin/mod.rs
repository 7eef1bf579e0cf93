//! Selection plug-ins (draft-tuexen-rserpool-reqts section 5): WebAssembly modules that rank the elements of a pool for one user.
//!
//! A plug-in sees the pool's elements with their policy values, what users measured at them, the user's hint, and tables that
//! operators and agents feed. It gives each element a rank; among those of the best rank the pool's own policy selects, so that
//! a plug-in refines the policy and need not think of fairness. The answer goes out as Priority policy (RFC 5356 section 4.5)
//! with priorities made of the ranks: a strict pool user, who selects again by the policy it is told, comes to the same element.
//!
//! A plug-in that fails (a trap, too much fuel or memory, a result that means nothing) is not asked for the same user for `rest_ms`: the
//! user's hint may be the reason. When it fails for several users in that time it rests for all. The pools' own policies decide
//! meanwhile. It cannot name an element twice, or one that is not there or must not be selected: it ranks the elements it
//! is given, in their places, and is given only those that may be selected now.
//!
//! | file | |
//! |---|---|
//! | `config`, `network` | settings |
//! | `budget` | how much a plug-in may compute |
//! | `request` | the block of memory that a plug-in is given |
//! | `machine` | the interpreter; `no_machine` without the feature `plugins` |
//! | `tables`, `measures` | what plug-ins know besides the handlespace |
//! | `order` | from ranks to an answer |

#![cfg_attr(not(feature = "plugins"), allow(dead_code, reason = "what only a machine needs"))]

mod budget;
mod config;
#[cfg(feature = "plugins")]
mod machine;
#[cfg(not(feature = "plugins"))]
#[path = "no_machine.rs"]
mod machine;
mod measures;
mod network;
mod order;
mod request;
mod tables;

use crate::ConfigError;
use crate::handlespace::Element;
use crate::server::ClientId;
use asap::policy::Rng;
use asap::wire::{Policy, PoolHandle};
use budget::Budget;
pub use config::{PluginsConfig, PoolPlugin};
pub(crate) use config::{built_in, is_name};
use machine::{Bounds, Machine, Program};
pub(crate) use measures::Measures;
pub use network::Network;
pub(crate) use order::Order;
use order::Ranks;
pub(crate) use request::Reported;
use request::Request;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tables::Tables;

/// A plug-in that failed for so many users within `rest_ms` rests for all of them.
const FAILED_FOR_MAX: usize = 3;
/// Least time between two lines of the log about one plug-in that takes too much.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What the directory of the plug-ins holds: the shell reads it ([`crate::daemon::read_plugins`]).
#[derive(Debug, Clone, Default)]
pub struct PluginFiles {
    /// Plug-ins by name, as text or binary; those that some pool has.
    pub plugins: BTreeMap<String, Vec<u8>>,
    /// Texts of the tables by name.
    pub tables: BTreeMap<String, String>,
}

/// One plug-in, for admin.
#[derive(Debug, Clone, Serialize)]
pub struct PluginSnapshot {
    /// Its name.
    pub name: String,
    /// How often it decided.
    pub selections: u64,
    /// How often it left it to the pool's policy.
    pub declined: u64,
    /// How often it failed.
    pub failures: u64,
    /// Fuel of its last selection.
    pub last_fuel: u64,
    /// Its last failure.
    pub last_error: Option<String>,
}

/// Plug-ins and tables, for admin.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PluginsSnapshot {
    /// The plug-ins that some pool has.
    pub plugins: Vec<PluginSnapshot>,
    /// Rows of each table.
    pub tables: BTreeMap<String, usize>,
}

/// What came of asking a plug-in.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It ranked the elements.
    Ranked(Order),
    /// It leaves it to the pool's policy.
    Declined,
    /// It failed now.
    Failed,
    /// It failed lately, and was not asked.
    Resting,
    /// It took too much lately, and was not asked.
    OverBudget,
}

/// What a user asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Who asks.
    pub(crate) client: ClientId,
    pub(crate) handle: &'a PoolHandle,
    pub(crate) policy: &'a Policy,
    pub(crate) items: usize,
    pub(crate) hint: Option<&'a [u8]>,
}

/// The plug-ins of a server.
#[derive(Debug)]
pub(crate) struct Plugins {
    config: PluginsConfig,
    plugins: Vec<Plugin>,
    tables: Tables,
    request: Request,
    random: Rng,
}

#[derive(Debug)]
struct Plugin {
    program: Option<Program>,
    /// None until it is needed, and after a failure.
    machine: Option<Machine>,
    rests_until: Option<Instant>,
    /// Those it failed for, and until when it is not asked for them.
    failed_for: Vec<(ClientId, Instant)>,
    budget: Budget,
    /// When that it takes too much was logged last.
    logged: Option<Instant>,
    seen: PluginSnapshot,
}

impl Plugins {
    /// Translates the plug-ins. One that is wrong is a failed one; its pools go by their own policy.
    ///
    /// # Errors
    /// A plug-in without a file, or a table that is wrong.
    pub(crate) fn new(config: PluginsConfig, files: &PluginFiles, seed: u64) -> Result<Self, ConfigError> {
        let mut tables = Tables::new(config.tables_max, config.table_rows_max);
        for (name, text) in &config.tables {
            let wrong = |problem| ConfigError { key: format!("tables.{name}"), problem };
            tables.load(name, text).map_err(wrong)?;
        }
        for (name, text) in &files.tables {
            let file = config.directory.join(format!("{name}.table"));
            let twice = !config.tables.contains_key(name);
            ConfigError::unless(twice, &format!("tables.{name}"), format!("is in {}, too", file.display()))?;
            let problem = |problem| format!("{}: {problem}", file.display());
            let loaded = tables.load(name, text);
            loaded.map_err(|error| ConfigError { key: "directory".into(), problem: problem(error) })?;
        }
        let names: BTreeSet<&str> = config.pools.iter().map(|rule| rule.plugin.as_str()).collect();
        let mut plugins: Vec<Plugin> = Vec::new();
        for rule in &config.pools {
            if plugins.iter().any(|plugin| plugin.seen.name == rule.plugin) {
                continue;
            }
            let file = files.plugins.get(&rule.plugin);
            let problem = format!("{}: neither {1}.wasm nor {1}.wat", config.directory.display(), rule.plugin);
            ConfigError::unless(file.is_some(), "pools.plugin", problem)?;
            let budget = Budget::new(&config, names.len());
            plugins.extend(file.map(|file| Plugin::new(&rule.plugin, file, budget)));
        }
        Ok(Self { config, plugins, tables, request: Request::default(), random: Rng::new(seed) })
    }

    /// The plug-in of a pool, if it has one.
    pub(crate) fn of(&self, handle: &PoolHandle) -> Option<usize> {
        let rule = self.config.pools.iter().find(|rule| rule.fits(handle.as_bytes()))?;
        self.plugins.iter().position(|plugin| plugin.seen.name == rule.plugin)
    }

    /// How many elements of so many a plug-in is given, and from which on.
    pub(crate) fn window(&mut self, elements: usize) -> (usize, usize) {
        let most = self.config.elements_max;
        if elements <= most {
            return (0, elements);
        }
        (usize::try_from(self.random.below(elements as u64)).unwrap_or(0), most)
    }

    /// Asks plug-in `which` about `elements`, which may all be selected: with how often each was the first of an answer, and
    /// what was reported of it.
    pub(crate) fn rank<'a>(
        &mut self,
        now: Instant,
        which: usize,
        question: Question<'_>,
        elements: impl Iterator<Item = (&'a Element, u64, Option<Reported>)>,
    ) -> Outcome {
        let Some(plugin) = self.plugins.get_mut(which) else { return Outcome::Declined };
        if plugin.rests(now, question.client) {
            return Outcome::Resting;
        }
        if !plugin.budget.has_some(now) {
            plugin.took_too_much(now);
            return Outcome::OverBudget;
        }
        self.request.begin(&question, self.random.next_u64());
        elements.for_each(|(element, selections, reported)| self.request.push(element, selections, reported));
        let Asked { ranks, fuel } = plugin.ask(&self.config, &mut self.tables, &mut self.request);
        plugin.budget.take(fuel);
        match ranks {
            Ok(Some(ranks)) => {
                plugin.seen.selections += 1;
                Outcome::Ranked(Order::new(ranks))
            }
            Ok(None) => {
                plugin.seen.declined += 1;
                Outcome::Declined
            }
            Err(error) => {
                plugin.failed(now, Duration::from_millis(self.config.rest_ms), question, error);
                Outcome::Failed
            }
        }
    }

    /// Changes tables: see [`Tables::command`].
    pub(crate) fn command(&mut self, text: &str) -> Result<usize, String> {
        self.tables.command(text)
    }

    /// Puts another module in the place of a plug-in, which starts anew.
    ///
    /// # Errors
    /// There is none of this name, or the module cannot be used; the old one stays.
    pub(crate) fn replace(&mut self, name: &str, file: &[u8]) -> Result<(), String> {
        if file.len() > self.config.module_bytes_max {
            return Err(format!("longer than {} bytes (plugins.module_bytes_max)", self.config.module_bytes_max));
        }
        let plugin = self.plugins.iter_mut().find(|plugin| plugin.seen.name == name);
        let plugin = plugin.ok_or_else(|| format!("`{name}`: no pool has a plug-in of this name"))?;
        let program = Program::read(file)?;
        let machine = Machine::start(&program, bounds(&self.config))?;
        (plugin.program, plugin.machine, plugin.rests_until) = (Some(program), Some(machine), None);
        plugin.failed_for.clear();
        Ok(())
    }

    /// For admin.
    pub(crate) fn snapshot(&self) -> PluginsSnapshot {
        PluginsSnapshot {
            plugins: self.plugins.iter().map(|plugin| plugin.seen.clone()).collect(),
            tables: self.tables.list().map(|(name, rows)| (name.to_owned(), rows)).collect(),
        }
    }
}

impl Plugin {
    fn new(name: &str, file: &[u8], budget: Budget) -> Self {
        let program = Program::read(file).inspect_err(|error| tracing::error!(plugin = name, error, "no plug-in"));
        let last_error = program.as_ref().err().cloned();
        let seen =
            PluginSnapshot { name: name.to_owned(), selections: 0, declined: 0, failures: 0, last_fuel: 0, last_error };
        Self {
            program: program.ok(),
            machine: None,
            rests_until: None,
            failed_for: Vec::new(),
            budget,
            logged: None,
            seen,
        }
    }

    /// Starts it if it does not run, and asks it.
    fn ask(&mut self, config: &PluginsConfig, tables: &mut Tables, request: &mut Request) -> Asked {
        let fuel = config.fuel_per_selection_max;
        if self.machine.is_none() {
            let Some(program) = &self.program else {
                let error = self.seen.last_error.clone().unwrap_or_default();
                return Asked { ranks: Err(error), fuel: 0 };
            };
            match Machine::start(program, bounds(config)) {
                Ok(machine) => self.machine = Some(machine),
                // What a start takes is not known: as much as it may.
                Err(error) => return Asked { ranks: Err(error), fuel },
            }
        }
        let Some(machine) = &mut self.machine else { return Asked { ranks: Ok(None), fuel: 0 } };
        let asked = machine.rank(tables, request, fuel);
        self.seen.last_fuel = asked.fuel;
        asked
    }

    /// Logged once in a while; the counter has the rest.
    fn took_too_much(&mut self, now: Instant) {
        if self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_EVERY) {
            self.logged = Some(now);
            tracing::warn!(
                plugin = self.seen.name,
                "the selection plug-in takes more than its share of plugins.fuel_per_s_max; its pools go by their own policy meanwhile"
            );
        }
    }

    fn rests(&self, now: Instant, client: ClientId) -> bool {
        let for_client = || self.failed_for.iter().any(|&(failed, until)| failed == client && now < until);
        self.rests_until.is_some_and(|until| now < until) || for_client()
    }

    fn failed(&mut self, now: Instant, rest: Duration, question: Question<'_>, error: String) {
        let until = now + rest;
        self.failed_for.retain(|&(_, until)| now < until);
        self.failed_for.push((question.client, until));
        let all = self.failed_for.len() >= FAILED_FOR_MAX;
        tracing::error!(
            plugin = self.seen.name, handle = %question.handle, hint = ?question.hint.map(<[u8]>::escape_ascii), error,
            "the selection plug-in failed; for {} the pool's own policy decides for {} ms",
            if all { "all" } else { "this user" }, rest.as_millis()
        );
        self.machine = None;
        if all {
            self.failed_for.clear();
            self.rests_until = Some(until);
        }
        self.seen.failures += 1;
        self.seen.last_error = Some(error);
    }
}

fn bounds(config: &PluginsConfig) -> Bounds {
    Bounds {
        fuel: config.fuel_per_selection_max,
        memory_bytes: config.memory_bytes_max,
        block_bytes: Request::bytes_max(config.elements_max),
    }
}

/// What a plug-in said.
#[derive(Debug)]
struct Asked {
    /// None: the pool's own policy is to decide. An error: how it failed.
    ranks: Result<Option<Ranks>, String>,
    /// What it took.
    fuel: u64,
}
