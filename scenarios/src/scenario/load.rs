//! `[load]` of a scenario file.

use super::check::{Problem, need};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[load]`: what the load driver generates. Open loop: each message has its intended time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    /// Messages a second, both directions together.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rate_per_s: u32,
    /// Circuit groups (32 circuits each; circuit 0 of each block is not used) the calls are spread over.
    #[schemars(range(min = 1, max = 4_096))]
    pub groups: u32,
    /// Share of each kind of call.
    pub mix: Mix,
    /// From IAM to the REL of a caller who gives up, least and most, ms; the answer comes at the most.
    #[serde(deserialize_with = "two")]
    #[schemars(with = "[u32; 2]", inner(range(max = 3_600_000)))]
    pub ring_ms: (u32, u32),
    /// From ANM to the caller's REL, least and most, ms; the pool releases after half the least.
    #[serde(deserialize_with = "two")]
    #[schemars(with = "[u32; 2]", inner(range(max = 3_600_000)))]
    pub hold_ms: (u32, u32),
    /// How hold times are spread. The mean is the middle of `hold_ms` with both.
    #[schemars(example = HoldDistribution::Exponential)]
    pub hold_distribution: HoldDistribution,
    /// From a REL of the pool to the network's RLC, ms.
    pub clear_ms: u32,
    /// Messages a second of another user part on top of `rate_per_s`, network to pool: plain MTP3 payload, each with contents of its
    /// own, spread over the network's point codes and all SLS. Controllers apply and do not answer them.
    #[schemars(range(max = 1_000_000), example = 200)]
    pub plain_per_s: u32,
    /// Service indicator of these (Q.704 section 14.2.1); 3 is SCCP.
    #[schemars(range(max = 15))]
    pub plain_si: u8,
    /// TCAP dialogues a second on top of `rate_per_s`, begun by the network, in UDT (SI 3), spread over its point codes and all SLS. The
    /// controllers' `[dialogue] answers` says how long they are, which must be set to serve them: `session.sccp_affinity` and that of the
    /// gateways' `as` to tcap, `session.plain_si` without 3.
    #[schemars(range(max = 100_000), example = 300)]
    pub dialogues_per_s: u32,
    /// From the pool's answer in a dialogue to the network's next message, least and most, ms.
    #[serde(deserialize_with = "two")]
    #[schemars(with = "[u32; 2]", inner(range(max = 3_600_000)))]
    pub dialogue_think_ms: (u32, u32),
    /// Changes of the rate, in the order of time, none before the end of the warm-up. They hold for what the network begins, its calls,
    /// dialogues and plain messages; controllers go on to begin calls as `rate_per_s` says.
    #[schemars(length(max = STEPS_MAX))]
    pub profile: Vec<Step>,
    /// The call rate rises from 0 over this time at the start of the run, ms. Messages before the load is steady (this time and
    /// that of one call) count for everything but `latency_us` and `rate_per_s`.
    pub warm_up_ms: u32,
}

/// How times are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HoldDistribution {
    /// All times from the least to the most alike.
    Uniform,
    /// The least, and on top of it an exponentially distributed time, cut at five times its mean.
    Exponential,
}

/// An entry of `[load] profile`: the rate from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// After the begin of the load, ms.
    #[schemars(example = 5_000)]
    pub at_ms: u32,
    /// Per cent of the configured rate.
    #[schemars(range(max = 1_000), example = 200)]
    pub percent: u32,
}

/// Most entries of a profile.
const STEPS_MAX: usize = 1_000;

/// `[load.mix]`: shares of the kinds of calls, as whole numbers of any sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// IAM, ACM, ANM, REL by the network, RLC.
    #[schemars(range(max = 1_000_000))]
    pub caller_releases: u32,
    /// IAM, ACM, ANM, REL by the controller, RLC.
    #[schemars(range(max = 1_000_000))]
    pub pool_releases: u32,
    /// IAM, ACM, REL by the network before the answer, RLC.
    #[schemars(range(max = 1_000_000))]
    pub caller_gives_up: u32,
    /// IAM by a controller, ACM and ANM by the network, REL by the controller, RLC. The runner turns this share into each
    /// controller's `originate_per_s`; the traffic source generates the rest.
    #[schemars(range(max = 1_000_000))]
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
        for (name, (least, most)) in [
            ("load.ring_ms", self.ring_ms),
            ("load.hold_ms", self.hold_ms),
            ("load.dialogue_think_ms", self.dialogue_think_ms),
        ] {
            need(least <= most && most <= 3_600_000, name, || {
                format!("[{least}, {most}]: expected [least, most] in ms, least first")
            })?;
        }
        need(self.plain_per_s <= 1_000_000, "load.plain_per_s", expected("up to 1,000,000 messages a second"))?;
        need(self.dialogues_per_s <= 100_000, "load.dialogues_per_s", expected("up to 100,000 dialogues a second"))?;
        let plain = self.plain_si < 16 && self.plain_si != 5;
        need(plain, "load.plain_si", expected("0 to 15, and not 5: that is ISUP, which the calls are"))?;
        need(self.profile.len() <= STEPS_MAX, "load.profile", expected("at most 1,000 entries"))?;
        let mut before = self.warm_up_ms;
        for (index, step) in self.profile.iter().enumerate() {
            let from = if index == 0 { "the end of the warm-up" } else { "that of the entry before" };
            let (at_ms, percent) = (step.at_ms, step.percent);
            need(at_ms >= before, format!("load.profile[{index}].at_ms"), || {
                format!("{at_ms}: expected a time not before {from} ({before} ms)")
            })?;
            need(percent <= 1_000, format!("load.profile[{index}].percent"), || {
                format!("{percent}: expected 0 to 1,000 per cent of the rate")
            })?;
            before = at_ms;
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
            hold_distribution: HoldDistribution::Uniform,
            plain_per_s: 0,
            plain_si: 3,
            dialogues_per_s: 0,
            dialogue_think_ms: (50, 250),
            profile: Vec::new(),
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
