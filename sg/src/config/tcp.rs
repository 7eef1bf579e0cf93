//! `[network.tcp]`.

use enrp::ConfigError;
use enrp::daemon::TcpConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// M3UA over TCP, for peers of the network side and ordinary ASPs that come to this gateway (containers without SCTP): the messages one
/// after the other, each as long as its common header says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkTcp {
    /// TCP port at each of `udp.addresses` (RFC 4666 section 1.4.8: 2905). 0: off.
    #[schemars(example = 2905)]
    pub port: u16,
    /// Most connections; more are closed at once.
    #[schemars(range(min = 1, max = 1_024))]
    pub connections_max: usize,
    /// Most connections from one address.
    #[schemars(range(min = 1))]
    pub connections_per_address_max: usize,
    /// A connection over which nothing came and nothing went for so long is closed. One that is active has BEATs (`network.beat_ms`).
    #[schemars(range(min = 1))]
    pub idle_ms: u64,
    /// A message that has begun must be here after so long, one that is sent must be taken, or the connection is closed.
    #[schemars(range(min = 1))]
    pub message_ms: u64,
    /// A message that says it is longer ends the connection.
    #[schemars(range(min = 65_536, max = 1_048_576))]
    pub message_bytes_max: usize,
    /// Most bytes that wait for one connection to take them; more is tried again.
    #[schemars(range(min = 65_536))]
    pub send_queue_bytes_max: usize,
}

impl Default for NetworkTcp {
    fn default() -> Self {
        Self {
            port: 0,
            connections_max: 64,
            connections_per_address_max: 16,
            idle_ms: 600_000,
            message_ms: 5_000,
            message_bytes_max: 1 << 20,
            send_queue_bytes_max: 1 << 20,
        }
    }
}

impl NetworkTcp {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let fits = (1..=1_024).contains(&self.connections_max);
        ConfigError::unless(fits, "network.tcp.connections_max", "1 to 1024")?;
        let fits = (65_536..=1 << 20).contains(&self.message_bytes_max);
        ConfigError::unless(fits, "network.tcp.message_bytes_max", "65536 to 1048576")?;
        self.shell().check().map_err(|error| error.within("network.tcp"))
    }

    /// For the sockets.
    pub(crate) fn shell(&self) -> TcpConfig {
        TcpConfig {
            port: self.port,
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            idle_ms: self.idle_ms,
            message_ms: self.message_ms,
            send_queue_bytes_max: self.send_queue_bytes_max,
        }
    }
}
