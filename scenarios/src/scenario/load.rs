//! `[load]` of a scenario file.

use super::check::{Problem, need};
use serde::{Deserialize, Serialize};

/// `[load]`: what the load driver generates. Open loop: each message has its intended time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    /// Messages a second, both directions together.
    pub rate_per_s: u32,
    /// Circuit groups (32 circuits each; circuit 0 of each block is not used) the calls are spread over.
    pub groups: u32,
    /// Share of each kind of call.
    pub mix: Mix,
    /// From IAM to the REL of a caller who gives up, least and most, ms; the answer comes at the most.
    #[serde(deserialize_with = "two")]
    pub ring_ms: (u32, u32),
    /// From ANM to the caller's REL, least and most, ms; the pool releases after half the least.
    #[serde(deserialize_with = "two")]
    pub hold_ms: (u32, u32),
    /// From a REL of the pool to the network's RLC, ms.
    pub clear_ms: u32,
    /// The call rate rises from 0 over this time at the start of the run, ms. Messages before the load is steady (this time and
    /// that of one call) count for everything but `latency_us` and `rate_per_s`.
    pub warm_up_ms: u32,
}

/// `[load.mix]`: shares of the kinds of calls, as whole numbers of any sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// IAM, ACM, ANM, REL by the network, RLC.
    pub caller_releases: u32,
    /// IAM, ACM, ANM, REL by the controller, RLC.
    pub pool_releases: u32,
    /// IAM, ACM, REL by the network before the answer, RLC.
    pub caller_gives_up: u32,
    /// IAM by a controller, ACM and ANM by the network, REL by the controller, RLC. The runner turns this share into each
    /// controller's `originate_per_s`; the traffic source generates the rest.
    pub pool_calls: u32,
}

/// Exactly two numbers; a tuple would take more and ignore them.
fn two<'de, D: serde::Deserializer<'de>>(from: D) -> Result<(u32, u32), D::Error> {
    let numbers = Vec::<u32>::deserialize(from)?;
    let [least, most] = numbers[..] else {
        return Err(serde::de::Error::invalid_length(numbers.len(), &"[least, most] in ms"));
    };
    Ok((least, most))
}

impl Load {
    /// Finds the first thing that is wrong.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let mix = &self.mix;
        let shares = [mix.caller_releases, mix.pool_releases, mix.caller_gives_up, mix.pool_calls];
        let own: u64 = shares[..3].iter().map(|share| u64::from(*share)).sum();
        let expected = |what: &'static str| move || format!("expected {what}");
        let rate = (1..=1_000_000).contains(&self.rate_per_s);
        need(rate, "load.rate_per_s", expected("1 to 1,000,000 messages a second"))?;
        need((1..=4_096).contains(&self.groups), "load.groups", expected("1 to 4,096 circuit groups"))?;
        need(shares.iter().all(|share| *share <= 1_000_000), "load.mix", expected("shares up to 1,000,000"))?;
        need(own > 0, "load.mix", expected("at least one share of calls of the network over 0"))?;
        for (name, (least, most)) in [("load.ring_ms", self.ring_ms), ("load.hold_ms", self.hold_ms)] {
            need(least <= most && most <= 3_600_000, name, || {
                format!("[{least}, {most}]: expected [least, most] in ms, least first")
            })?;
        }
        Ok(())
    }
}

impl Default for Load {
    fn default() -> Self {
        Self {
            rate_per_s: 2_000,
            groups: 64,
            mix: Mix::default(),
            ring_ms: (200, 600),
            hold_ms: (500, 1_500),
            clear_ms: 250,
            warm_up_ms: 1_000,
        }
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { caller_releases: 60, pool_releases: 20, caller_gives_up: 10, pool_calls: 10 }
    }
}
