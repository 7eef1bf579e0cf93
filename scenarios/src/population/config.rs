//! Settings of a population. One TOML file; unknown keys are refused; every time is in milliseconds.

use super::pools::{Element, NamedPool, Scope};
use asap::PeConfig;
use asap::wire::PoolHandle;
use enrp::ConfigError;
use enrp::daemon::DaemonConfig;
use schemars::JsonSchema;
use sctp::Transport;
use sctp::driver::DriverConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What `--print-config` shows: every key with its default and what it means.
pub const COMMENTED_DEFAULT: &str = include_str!("default.toml");

/// The first element's own SCTP port, at which servers reach it; the next one has the next. The dynamic range (RFC 6335 section 6).
const FIRST_OWN_PORT: u16 = 49_152;
/// Most elements of one process: each needs a port of the dynamic range, which has 16,384.
const ELEMENTS_MAX: usize = 16_000;
/// Most pools with names of their own.
const POOLS_MAX: usize = 1_000;
/// Most registrations again in a second.
pub(super) const RE_REGISTRATIONS_MAX: u32 = 100_000;
/// Ports registered as user transports; they repeat from here on.
const USER_PORTS: usize = 50_000;

/// All settings of one process of a population.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who carries the SCTP packets: `udp` (RFC 6951; any user), `raw` (IP protocol 132), `kernel` (the kernel's SCTP), `auto` (the best
    /// there is).
    pub transport: Transport,
    /// Admin HTTP, how to stop.
    pub daemon: DaemonConfig,
    /// Own addresses, UDP encapsulation port (RFC 6951), capture.
    pub udp: DriverConfig,
    /// SCTP (RFC 9260).
    pub sctp: sctp::Config,
    /// Pools and their elements.
    pub population: Population,
    /// Registration of each element: servers, hunt, timers (RFC 5352).
    pub asap: PeConfig,
}

/// Selection policy of all pools (RFC 5356).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Round robin; a re-registration changes nothing.
    RoundRobin,
    /// Least used; each re-registration brings another load, as those of real elements do.
    LeastUsed,
}

/// Pools and their elements.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// Name in logs and in the admin state.
    pub name: String,
    /// Pool handles are this and a number of three digits or more.
    pub prefix: String,
    /// The first pool's number.
    pub first_pool: usize,
    /// How many pools; 0: only those of `[[population.pool]]`.
    pub pools: usize,
    /// Elements that this process has in each pool.
    #[schemars(range(min = 1))]
    pub pes_per_pool: usize,
    /// Their policy.
    pub policy: Policy,
    /// Registration life, seconds (RFC 5354 section 3.10); 0: infinite. Unless `asap.t4_reregistration_ms` says when, each element
    /// registers again at a time of its own in the second half of its life.
    #[schemars(range(max = i32::MAX))]
    pub life_s: u32,
    /// SCTP port of the first element's user transport; the next one has the next.
    #[schemars(range(min = 1))]
    pub first_user_port: u16,
    /// Elements started in a second.
    #[schemars(range(min = 1))]
    pub starts_per_s: u32,
    /// Elements that may be without an answer to their first registration (at the end: to their deregistration) at a time; the
    /// others wait.
    #[schemars(range(min = 1))]
    pub under_way_max: usize,
    /// Directory of the record `NAME.csv`: who registered, and which home server each element has, when. Empty: none.
    #[schemars(example = &"records")]
    pub records: PathBuf,
    /// Registrations again a second, of one element after the other, besides those that the life asks for.
    #[schemars(range(max = RE_REGISTRATIONS_MAX))]
    pub re_registrations_per_s: u32,
    /// Number of this process, for `[[population.pool]]`.
    #[schemars(range(min = 1))]
    pub process: usize,
    /// Further pools, with names and values of their own; this process has the elements that say its number.
    #[schemars(length(max = POOLS_MAX))]
    pub pool: Vec<NamedPool>,
    /// The name servers of their scopes.
    pub scope: Vec<Scope>,
}

impl Default for Config {
    fn default() -> Self {
        let mut asap = PeConfig::default();
        // Thousands that lost their server together must not come back as fast as a lone controller does.
        (asap.hunt.t5_serverhunt_ms, asap.hunt.retran_max_ms) = (2_000, 30_000);
        Self {
            transport: Transport::default(),
            daemon: DaemonConfig::default(),
            udp: DriverConfig::default(),
            sctp: sctp::Config::default(),
            population: Population::default(),
            asap,
        }
    }
}

impl Default for Population {
    fn default() -> Self {
        Self {
            name: "population".into(),
            prefix: "pop-".into(),
            first_pool: 0,
            pools: 500,
            pes_per_pool: 20,
            policy: Policy::RoundRobin,
            life_s: 300,
            first_user_port: 10_000,
            starts_per_s: 2_000,
            under_way_max: 200,
            records: PathBuf::new(),
            re_registrations_per_s: 0,
            process: 1,
            pool: Vec::new(),
            scope: Vec::new(),
        }
    }
}

impl Population {
    /// Elements of this process in the numbered pools.
    fn numbered(&self) -> usize {
        self.pools.saturating_mul(self.pes_per_pool)
    }

    /// Elements of this process in all pools.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.numbered().saturating_add(self.named().count())
    }

    /// Its elements in pools with names of their own.
    fn named(&self) -> impl Iterator<Item = (&NamedPool, &Element)> {
        self.pool.iter().filter_map(|pool| Some((pool, pool.element_in(self.process)?)))
    }

    /// The pool with a name of its own in which an element is; the numbered ones come first.
    pub(super) fn named_at(&self, element: usize) -> Option<(&NamedPool, &Element)> {
        self.named().nth(element.checked_sub(self.numbered())?)
    }

    /// Handle of a pool, counted from the first one.
    #[must_use]
    pub fn handle(&self, pool: usize) -> PoolHandle {
        handle(&self.prefix, self.first_pool + pool)
    }

    /// SCTP port of an element's associations.
    pub(super) fn own_port(&self, element: usize) -> u16 {
        let past = u16::try_from(element).unwrap_or(u16::MAX);
        FIRST_OWN_PORT.saturating_add(past)
    }

    /// Whose port this is.
    pub(super) fn element_at(&self, port: u16) -> Option<usize> {
        let element = usize::from(port.checked_sub(FIRST_OWN_PORT)?);
        (element < self.elements()).then_some(element)
    }

    /// User transport port of an element.
    pub(super) fn user_port(&self, element: usize) -> u16 {
        let past = u16::try_from(element % USER_PORTS).unwrap_or(0);
        // Wraps past the reserved port 0.
        self.first_user_port.checked_add(past).unwrap_or_else(|| past.max(1))
    }
}

impl Population {
    fn check_named(&self) -> Result<(), ConfigError> {
        let need = |holds: bool, key: &str, problem: &str| ConfigError::unless(holds, key, problem);
        need(self.process > 0, "population.process", "1 or more")?;
        need(self.pool.len() <= POOLS_MAX, "population.pool", "1000 at most")?;
        for (index, scope) in self.scope.iter().enumerate() {
            let key = |name: &str| format!("population.scope[{index}].{name}");
            need(!scope.name.is_empty(), &key("name"), "a name, not empty")?;
            need(!scope.servers.is_empty(), &key("servers"), "at least one name server")?;
        }
        for (index, pool) in self.pool.iter().enumerate() {
            let within = format!("population.pool[{index}]");
            pool.check().map_err(|error| error.within(&within))?;
            let known = pool.scope.as_ref().is_none_or(|name| self.scope.iter().any(|scope| scope.name == *name));
            need(known, &format!("{within}.scope"), "the name of a [[population.scope]]")?;
            let twice = self.pool[..index].iter().any(|other| other.name() == pool.name());
            need(!twice, &format!("{within}.handle"), "another pool of the scope has this name")?;
        }
        Ok(())
    }
}

/// Handle of a population's pool of this number.
#[must_use]
pub fn handle(prefix: &str, number: usize) -> PoolHandle {
    PoolHandle::from(format!("{prefix}{number:03}").as_str())
}

impl Config {
    /// What TOML's types cannot say.
    ///
    /// # Errors
    /// The first key whose value cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Population { pools, pes_per_pool, life_s, starts_per_s, under_way_max, .. } = self.population;
        let need = |holds: bool, key: &str, problem: &str| ConfigError::unless(holds, key, problem);
        ConfigError::check_addresses(&self.udp)?;
        self.population.check_named()?;
        let any = pools > 0 || !self.population.pool.is_empty();
        need(any, "population.pools", "1 or more; 0 is for a file with [[population.pool]]")?;
        need(pes_per_pool > 0, "population.pes_per_pool", "1 or more")?;
        let most = ELEMENTS_MAX.min(self.sctp.associations_max);
        let key = "population.pes_per_pool";
        let problem =
            format!("{pools} pools of {pes_per_pool}: at most {most} elements in a process; start another one");
        ConfigError::unless(self.population.elements() <= most, key, problem)?;
        need(life_s <= i32::MAX as u32, "population.life_s", "2147483647 at most; 0 means infinite")?;
        need(self.population.first_user_port > 0, "population.first_user_port", "an SCTP port, not 0")?;
        need(starts_per_s > 0, "population.starts_per_s", "1 or more")?;
        let again = self.population.re_registrations_per_s <= RE_REGISTRATIONS_MAX;
        need(again, "population.re_registrations_per_s", "100000 at most")?;
        need(under_way_max > 0, "population.under_way_max", "1 or more")?;
        let servers = "at least one name server: { addresses = [\"127.0.0.1\"] }";
        need(!self.asap.hunt.servers.is_empty(), "asap.hunt.servers", servers)
    }
}
