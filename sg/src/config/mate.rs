//! `[mate]`.

use super::Prefers;
use enrp::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The second gateway. One of the two leads, the other one mirrors it, and leads when it ends.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mate {
    /// Its SCTP addresses; none: this gateway is alone. Both need different `node.gateway` numbers and the same `[[as]]` tables.
    #[schemars(example = ["127.0.0.3"])]
    pub addresses: Vec<IpAddr>,
    /// SCTP port, its and ours, for the association between the two. The one with the higher number connects.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Interval of the questions whether it lives.
    #[schemars(range(min = 1))]
    pub beat_ms: u64,
    /// It is dead when nothing was heard for this long. The controllers are asked then whether they hear it.
    pub dead_ms: u64,
    /// For so long after the sending of a question that was answered may the one that leads act; then it must have answered again, or
    /// the controllers must have agreed that this gateway leads alone.
    pub lease_ms: u64,
    /// Safety added to the end of the other one's lease before this gateway leads.
    pub margin_ms: u64,
    /// Between two attempts to connect.
    #[schemars(range(min = 1))]
    pub reconnect_ms: u64,
    /// At the start: how long it is waited for before this gateway leads alone.
    pub start_alone_ms: u64,
    /// Most messages of the network that the one that follows keeps until the other has them.
    #[schemars(range(min = 1))]
    pub forwards_max: usize,
    /// Most messages to the network that are kept until the network has confirmed them.
    #[schemars(range(min = 1))]
    pub outputs_max: usize,
    /// Most bytes that wait to be mirrored; more, and the one that follows is cut off and begins anew.
    #[schemars(range(min = 65_536))]
    pub queued_bytes_max: usize,
    /// How often peers of the network that understand Correlation Ids are asked to confirm what they were sent.
    #[schemars(range(min = 1))]
    pub network_confirm_ms: u64,
    /// Barrier BEATs of one peer of the network that are answered in a second.
    #[schemars(range(min = 1))]
    pub barriers_per_s: u32,
    /// What a gateway that ended had sent to peers that know no Correlation Ids, and that may not have arrived: again, or not.
    pub network_prefers: Prefers,
}

impl Default for Mate {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            port: 2907,
            beat_ms: 50,
            dead_ms: 320,
            lease_ms: 400,
            margin_ms: 20,
            reconnect_ms: 100,
            start_alone_ms: 1_000,
            forwards_max: 20_000,
            outputs_max: 65_536,
            queued_bytes_max: 256 << 20,
            network_confirm_ms: 50,
            barriers_per_s: 10_000,
            network_prefers: Prefers::Loss,
        }
    }
}

impl Mate {
    /// There is one.
    pub(crate) fn is_there(&self) -> bool {
        !self.addresses.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless(self.port > 0, "mate.port", "1 to 65535")?;
        ConfigError::unless(self.beat_ms > 0, "mate.beat_ms", "more than 0")?;
        ConfigError::unless(self.dead_ms > self.beat_ms, "mate.dead_ms", "more than mate.beat_ms")?;
        ConfigError::unless(
            self.lease_ms > self.dead_ms,
            "mate.lease_ms",
            "more than mate.dead_ms: the controllers are asked in between",
        )?;
        ConfigError::unless(self.reconnect_ms > 0, "mate.reconnect_ms", "more than 0")?;
        ConfigError::unless(self.forwards_max > 0, "mate.forwards_max", "more than 0")?;
        ConfigError::unless(self.outputs_max > 0, "mate.outputs_max", "more than 0")?;
        ConfigError::unless(self.queued_bytes_max >= 65_536, "mate.queued_bytes_max", "at least 65536")?;
        ConfigError::unless(self.network_confirm_ms > 0, "mate.network_confirm_ms", "more than 0")?;
        ConfigError::unless(self.barriers_per_s > 0, "mate.barriers_per_s", "more than 0")
    }
}
