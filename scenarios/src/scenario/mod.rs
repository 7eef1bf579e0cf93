//! Scenario files: what runs, under which load, which faults come when, and what must hold afterwards.

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
    /// From ACM to the end of a call that the caller gives up, least and most, ms.
    pub ring_ms: (u32, u32),
    /// From ANM to the caller's REL, least and most, ms.
    pub hold_ms: (u32, u32),
    /// The rate rises from 0 to `rate_per_s` over this time at the start of the run, ms. Its messages count for everything but `rate_per_s`.
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

impl Default for Load {
    fn default() -> Self {
        Self {
            rate_per_s: 2_000,
            groups: 64,
            mix: Mix::default(),
            ring_ms: (200, 600),
            hold_ms: (500, 1_500),
            warm_up_ms: 1_000,
        }
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { caller_releases: 60, pool_releases: 20, caller_gives_up: 10, pool_calls: 10 }
    }
}
