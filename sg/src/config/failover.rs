//! `[failover]`.

use enrp::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Supervision and takeover.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Failover {
    /// Interval of the liveness BEAT while something is unconfirmed or asked.
    #[schemars(range(min = 1))]
    pub beat_ms: u64,
    /// A controller is dead when its M3UA layer said nothing for this long while something was asked; never under 4 round trips.
    pub dead_ms: u64,
    /// Interval of the liveness BEAT toward an idle controller.
    pub idle_beat_ms: u64,
    /// Age at which an unconfirmed message makes the gateway send a barrier BEAT (with `transactions = true`, where cookies
    /// normally confirm first; else a barrier follows each batch).
    pub barrier_ms: u64,
    /// A controller that answers liveness BEATs but confirms nothing for this long (never under 4 round trips) is given up: its call
    /// control hangs.
    pub confirm_ms: u64,
    /// One that has confirmed nothing for this long (never under 2 round trips) gets no lease until it confirms something, so that its
    /// lease is over when it is given up for `confirm_ms`.
    pub lease_hold_ms: u64,
    /// Given up is, too, one that leaves a single message unconfirmed for this long while it confirms others.
    pub message_confirm_ms: u64,
    /// How long a new association may take to ASPUP and ASPAC.
    #[schemars(range(min = 1))]
    pub asp_up_ms: u64,
    /// How long after the end of an association a registered element is tried again.
    #[schemars(range(min = 1))]
    pub reconnect_ms: u64,
    /// After a time without any controller: how long the groups that wait are kept back when a first one is active and others are
    /// about to be, so that not all groups go to the first.
    pub gather_ms: u64,
    /// Safety added to the end of a controller's lease before its groups move.
    pub fence_margin_ms: u64,
    /// Longest lease granted to a controller; a longer one is not echoed.
    #[schemars(range(min = 1))]
    pub lease_ms_max: u64,
    /// How long a controller that said ASPIA or ASPDN has to confirm what it was sent.
    pub drain_ms: u64,
    /// A controller that joins or comes back takes its fair number of groups from the others by planned moves: the same number for
    /// each with round robin and random, by weight with their weighted kinds. Other policies do not share, and no group is moved.
    pub rebalance: bool,
    /// How long after a controller became active the groups are shared anew.
    #[schemars(range(min = 1))]
    pub rebalance_after_ms: u64,
    /// Most planned moves at the same time. Each keeps one group waiting for a round trip to its old controller.
    #[schemars(range(min = 1))]
    pub moves_outstanding_max: usize,
    /// BEATs of one controller, other than leases, that are answered in a second; more are counted.
    #[schemars(range(min = 1))]
    pub beats_per_s: u32,
    /// Destinations of one controller's DAUDs, and routing keys of its REG REQs and DEREG REQs, that are answered in a second; more are
    /// counted.
    #[schemars(range(min = 1))]
    pub audits_per_s: u32,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            beat_ms: 50,
            dead_ms: 320,
            idle_beat_ms: 1_000,
            barrier_ms: 20,
            confirm_ms: 320,
            lease_hold_ms: 40,
            message_confirm_ms: 20_000,
            asp_up_ms: 2_000,
            reconnect_ms: 100,
            gather_ms: 100,
            fence_margin_ms: 20,
            lease_ms_max: 5_000,
            drain_ms: 320,
            rebalance: true,
            rebalance_after_ms: 200,
            moves_outstanding_max: 16,
            beats_per_s: 100,
            audits_per_s: 100,
        }
    }
}

impl Failover {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.beat_ms > 0, "failover.beat_ms", "more than 0")?;
        ConfigError::unless(
            self.dead_ms > self.beat_ms,
            "failover.dead_ms",
            "more than failover.beat_ms, else every controller is dead at once",
        )?;
        ConfigError::unless(
            self.idle_beat_ms >= self.beat_ms,
            "failover.idle_beat_ms",
            "not less than failover.beat_ms",
        )?;
        ConfigError::unless(self.barrier_ms < self.confirm_ms, "failover.barrier_ms", "less than failover.confirm_ms")?;
        ConfigError::unless(
            self.message_confirm_ms >= self.confirm_ms,
            "failover.message_confirm_ms",
            "not less than failover.confirm_ms",
        )?;
        ConfigError::unless(self.confirm_ms >= self.dead_ms, "failover.confirm_ms", "not less than failover.dead_ms")?;
        ConfigError::unless(self.asp_up_ms > 0, "failover.asp_up_ms", "more than 0")?;
        ConfigError::unless(self.reconnect_ms > 0, "failover.reconnect_ms", "more than 0")?;
        ConfigError::unless(self.lease_ms_max > 0, "failover.lease_ms_max", "more than 0")?;
        ConfigError::unless(self.rebalance_after_ms > 0, "failover.rebalance_after_ms", "more than 0")?;
        let one = self.moves_outstanding_max > 0;
        ConfigError::unless(one, "failover.moves_outstanding_max", "more than 0; `rebalance = false` moves none")?;
        ConfigError::unless(self.beats_per_s > 0, "failover.beats_per_s", "more than 0")?;
        ConfigError::unless(self.audits_per_s > 0, "failover.audits_per_s", "more than 0")
    }
}
