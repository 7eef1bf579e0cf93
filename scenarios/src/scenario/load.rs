//! `[load]` of a scenario file.

use serde::Deserialize;

/// `[load]`: what the load driver generates. Open loop: each message has its intended time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
