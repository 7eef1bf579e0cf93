//! Pools with names, policies and values of their own, one element of each in a process.

use asap::ServerAddress;
use asap::wire::Policy;
use enrp::ConfigError;
use gwc_pe::config::PolicyName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pool of its own name; a scenario and the processes of its population have it in the same words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedPool {
    /// Pool handle.
    #[schemars(length(min = 1), example = &"media")]
    pub handle: String,
    /// The operation scope in which it is registered; absent: that of `asap.hunt.servers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"east")]
    pub scope: Option<String>,
    /// Selection policy (RFC 5356).
    #[schemars(example = PolicyName::LeastUsed)]
    pub policy: PolicyName,
    /// Its elements, each in a process of its own.
    pub elements: Vec<Element>,
}

/// An element of such a pool, with the values that its policy has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Element {
    /// Number of the process that has it. Absent: the first element is in `pop-1`, the next one in `pop-2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 1)]
    pub process: Option<usize>,
    /// PE identifier. Absent: random.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 1)]
    pub id: Option<u32>,
    /// Weight, for the weighted policies; 0: not to be used.
    pub weight: u32,
    /// Priority; larger is preferred.
    pub priority: u32,
    /// Load; at 100 it is not selected.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub load_percent: f64,
    /// Load that one more user adds.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub degradation_percent: f64,
}

/// Name servers of a further operation scope.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Its name, as pools have it.
    #[schemars(length(min = 1), example = &"east")]
    pub name: String,
    /// Its name servers, in the order of preference.
    #[schemars(length(min = 1), example = [ServerAddress::new(std::net::IpAddr::from([127, 0, 0, 10]))])]
    pub servers: Vec<ServerAddress>,
}

impl Default for Element {
    fn default() -> Self {
        Self { process: None, id: None, weight: 1, priority: 1, load_percent: 0.0, degradation_percent: 0.0 }
    }
}

impl NamedPool {
    /// `handle@scope`, or the handle alone.
    #[must_use]
    pub fn name(&self) -> String {
        full_name(&self.handle, self.scope.as_deref())
    }

    /// The process (counted from 1) of an element by its place.
    #[must_use]
    pub fn process(&self, place: usize) -> usize {
        self.elements.get(place).and_then(|element| element.process).unwrap_or(place + 1)
    }

    /// The element that a process (counted from 1) has.
    #[must_use]
    pub fn element_in(&self, process: usize) -> Option<&Element> {
        let place = (0..self.elements.len()).find(|place| self.process(*place) == process)?;
        self.elements.get(place)
    }

    /// Finds the first thing that is wrong: the key in the pool, and how.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> Result<(), ConfigError> {
        let need = |holds: bool, key: &str, problem: &str| ConfigError::unless(holds, key, problem);
        need(!self.handle.is_empty() && !self.handle.contains(['@', '\n']), "handle", "a name without @, not empty")?;
        let scope = self.scope.as_deref().is_none_or(|scope| !scope.is_empty() && !scope.contains(['@', ',', '\n']));
        need(scope, "scope", "a name without @, not empty")?;
        need(!self.elements.is_empty(), "elements", "at least one")?;
        for (place, element) in self.elements.iter().enumerate() {
            let key = |name: &str| format!("elements[{place}].{name}");
            let process = self.process(place);
            let twice = (0..place).any(|other| self.process(other) == process);
            need(process > 0 && !twice, &key("process"), "from 1 up, another one for each element")?;
            need(element.id != Some(0), &key("id"), "not 0; leave it out for a random one")?;
            element.check().map_err(|error| error.within(&format!("elements[{place}]")))?;
        }
        Ok(())
    }
}

impl Element {
    fn check(&self) -> Result<(), ConfigError> {
        for (key, percent) in [("load_percent", self.load_percent), ("degradation_percent", self.degradation_percent)] {
            ConfigError::unless((0.0..=100.0).contains(&percent), key, "0 to 100 per cent")?;
        }
        Ok(())
    }

    /// The policy parameter of its registration.
    #[must_use]
    pub fn policy(&self, name: PolicyName) -> Policy {
        let part = |percent: f64| (f64::from(u32::MAX) * percent / 100.0).round() as u32;
        let (load, degradation) = (part(self.load_percent), part(self.degradation_percent));
        let (weight, priority) = (self.weight, self.priority);
        gwc_pe::config::Pool { policy: name, weight, priority, load, degradation, ..Default::default() }.policy()
    }

    /// The same element with other values: `weight=2 load_percent=50`.
    ///
    /// # Errors
    /// Which word is wrong.
    pub fn changed<'a>(&self, words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut changed = self.clone();
        for word in words {
            let wrong =
                || format!("`{word}`: expected weight=, priority=, load_percent= or degradation_percent= and a number");
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            match key {
                "weight" => changed.weight = value.parse().map_err(|_| wrong())?,
                "priority" => changed.priority = value.parse().map_err(|_| wrong())?,
                "load_percent" => changed.load_percent = value.parse().map_err(|_| wrong())?,
                "degradation_percent" => changed.degradation_percent = value.parse().map_err(|_| wrong())?,
                _ => return Err(wrong()),
            }
        }
        changed.check().map_err(|error| error.to_string())?;
        Ok(changed)
    }
}

/// `handle@scope`, or the handle alone.
#[must_use]
pub fn full_name(handle: &str, scope: Option<&str>) -> String {
    scope.map_or_else(|| handle.to_owned(), |scope| format!("{handle}@{scope}"))
}
