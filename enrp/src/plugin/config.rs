//! Settings of selection plug-ins: table `[plugins]`.

use crate::ConfigError;
use crate::handlespace::PES_PER_POOL_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which pools have selection plug-ins, and what these may cost. How to write one: `enrp/plugins/README.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginsConfig {
    /// Directory with the plug-ins, `NAME.wasm` or `NAME.wat`, and the tables they read, `NAME.table`. Empty: only those that are built
    /// in, `nearest` and `tenant`; a file of such a name goes before.
    #[schemars(example = &"/etc/sigpool/plugins")]
    pub directory: PathBuf,
    /// Which pool has which plug-in: the first pattern that fits. A pool that none fits has none.
    pub pools: Vec<PoolPlugin>,
    /// Tables given here and not as a file: by name the lines `KEY NUMBER...`.
    #[schemars(example = BTreeMap::from([("location", "vienna 16 48\nip:127.0.0.5 14 50\n")]))]
    pub tables: BTreeMap<String, String>,
    /// Instructions (wasmi's fuel) one selection may take. 1,000,000 are about 1.3 ms. A plug-in that wants more has failed.
    #[schemars(range(min = 1))]
    pub fuel_per_selection_max: u64,
    /// Instructions all selections together may take in a second; each plug-in has an equal share. Past it the plug-in's pools go by
    /// their own policy for a moment.
    #[schemars(range(min = 1))]
    pub fuel_per_s_max: u64,
    /// Memory of one plug-in; it has to hold what the plug-in is asked, 48 bytes for each pool element.
    #[schemars(range(min = 65_536))]
    pub memory_bytes_max: usize,
    /// Longest file of a plug-in.
    pub module_bytes_max: usize,
    /// Most elements of a pool that a plug-in sees in one selection; of a larger pool that many, others each time.
    #[schemars(range(min = 1, max = PES_PER_POOL_MAX))]
    pub elements_max: usize,
    /// After a failure a plug-in is not asked for the same user for this long, nor for anybody when it failed for three; its pools go
    /// by their own policy meanwhile.
    pub rest_ms: u64,
    /// Most tables.
    pub tables_max: usize,
    /// Most rows in all tables together.
    pub table_rows_max: usize,
}

/// A plug-in for some pools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolPlugin {
    /// Pool handle; one `*` in it stands for any bytes.
    #[schemars(example = &"media-*")]
    pub handle: String,
    /// Name of the plug-in: its file without `.wasm` or `.wat`.
    #[schemars(example = &"nearest")]
    pub plugin: String,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            pools: Vec::new(),
            tables: BTreeMap::new(),
            fuel_per_selection_max: 5_000_000,
            fuel_per_s_max: 100_000_000,
            memory_bytes_max: 4 << 20,
            module_bytes_max: 1 << 20,
            elements_max: PES_PER_POOL_MAX,
            rest_ms: 1_000,
            tables_max: 64,
            table_rows_max: 100_000,
        }
    }
}

impl PluginsConfig {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The key, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value) in
            [("fuel_per_selection_max", self.fuel_per_selection_max), ("fuel_per_s_max", self.fuel_per_s_max)]
        {
            ConfigError::unless(value > 0, key, "0: expected 1 or more instructions")?;
        }
        let key = "memory_bytes_max";
        ConfigError::unless(self.memory_bytes_max >= 1 << 16, key, "expected at least one page, 65536")?;
        let fits = (1..=PES_PER_POOL_MAX).contains(&self.elements_max);
        ConfigError::unless(fits, "elements_max", format!("expected 1 to {PES_PER_POOL_MAX}"))?;
        let there = !self.directory.as_os_str().is_empty();
        let known = there || self.pools.iter().all(|pool| built_in(&pool.plugin).is_some());
        let problem = "name the directory with the plug-ins of [[plugins.pools]]; nearest and tenant are built in";
        ConfigError::unless(known, "directory", problem)?;
        if let Some(name) = self.tables.keys().find(|name| !is_name(name)) {
            let problem = format!("`{name}`: a table's name has letters, digits, - and _ only");
            return ConfigError::unless(false, "tables", problem);
        }
        for pool in &self.pools {
            let one = !pool.handle.is_empty() && pool.handle.matches('*').count() <= 1;
            ConfigError::unless(one, "pools.handle", format!("`{}`: a pool handle with at most one *", pool.handle))?;
            ConfigError::unless(
                is_name(&pool.plugin),
                "pools.plugin",
                format!("`{}`: letters, digits, - and _ only: the name of a file without its ending", pool.plugin),
            )?;
        }
        Ok(())
    }
}

impl PoolPlugin {
    /// Whether this is the rule of the pool.
    pub(super) fn fits(&self, handle: &[u8]) -> bool {
        match self.handle.split_once('*') {
            None => self.handle.as_bytes() == handle,
            Some((before, after)) => {
                handle.len() >= before.len() + after.len()
                    && handle.starts_with(before.as_bytes())
                    && handle.ends_with(after.as_bytes())
            }
        }
    }
}

/// The plug-ins that come with the program, by name.
const BUILT_IN: [(&str, &str); 2] =
    [("nearest", include_str!("../../plugins/nearest.wat")), ("tenant", include_str!("../../plugins/tenant.wat"))];

/// The text of a plug-in that comes with the program.
pub(crate) fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Names of plug-ins and tables, which are names of files.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(handle: &str, plugin: &str) -> PoolPlugin {
        PoolPlugin { handle: handle.into(), plugin: plugin.into() }
    }

    #[test]
    fn a_pattern_has_one_star() {
        for (pattern, yes, no) in [
            ("pool", &["pool"][..], &["pools", "poo", ""][..]),
            ("gw-*", &["gw-", "gw-1"], &["gw", "a-gw-1"]),
            ("*-x", &["-x", "a-x"], &["x", "-x-"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("*", &["", "anything"], &[]),
        ] {
            yes.iter().for_each(|handle| assert!(rule(pattern, "p").fits(handle.as_bytes()), "{pattern} {handle}"));
            no.iter().for_each(|handle| assert!(!rule(pattern, "p").fits(handle.as_bytes()), "{pattern} {handle}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let wrong = |change: fn(&mut PluginsConfig)| {
            let mut config = PluginsConfig { directory: "/x".into(), ..PluginsConfig::default() };
            change(&mut config);
            config.check().unwrap_err().key
        };
        assert_eq!(PluginsConfig::default().check(), Ok(()));
        assert_eq!(wrong(|c| c.fuel_per_selection_max = 0), "fuel_per_selection_max");
        assert_eq!(wrong(|c| c.fuel_per_s_max = 0), "fuel_per_s_max");
        assert_eq!(wrong(|c| c.memory_bytes_max = 65_535), "memory_bytes_max");
        assert_eq!(wrong(|c| c.elements_max = 0), "elements_max");
        assert_eq!(wrong(|c| c.elements_max = 10_001), "elements_max");
        assert_eq!(wrong(|c| c.pools = vec![rule("a**", "p")]), "pools.handle");
        assert_eq!(wrong(|c| c.pools = vec![rule("", "p")]), "pools.handle");
        for name in ["", "../p", "p.wat", "a/b"] {
            let config = PluginsConfig { directory: "/x".into(), pools: vec![rule("a", name)], ..Default::default() };
            assert_eq!(config.check().unwrap_err().key, "pools.plugin", "{name}");
        }
        assert_eq!(wrong(|c| (c.directory, c.pools) = ("".into(), vec![rule("a", "p")])), "directory");
        assert_eq!(wrong(|c| c.tables = [("a/b".to_owned(), String::new())].into()), "tables");
        let built_in = PluginsConfig { pools: vec![rule("a", "nearest"), rule("b", "tenant")], ..Default::default() };
        assert_eq!(built_in.check(), Ok(()));
    }
}
