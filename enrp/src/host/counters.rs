//! What a host counts besides [`Server::counters`](crate::Server::counters).

use serde::Serialize;

/// Counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HostCounters {
    /// Associations that came up.
    pub associations: u64,
    /// Connections that the server asked for.
    pub connects: u64,
    /// Those of them that did not come up.
    pub connects_failed: u64,
    /// Messages with another PPID than ASAP's and ENRP's, dropped.
    pub wrong_ppid: u64,
    /// Associations aborted because the other end did not take what it was sent.
    pub slow_clients: u64,
    /// Messages that could not be sent for another reason (the association was just closing).
    pub unsendable: u64,
}

impl HostCounters {
    /// Name, help text and value of each, for metrics.
    #[must_use]
    pub fn list(&self) -> [(&'static str, &'static str, u64); 6] {
        [
            ("associations_up", "Associations that came up.", self.associations),
            ("connects", "Connections to peers and PEs that the server asked for.", self.connects),
            ("connects_failed", "Connections to peers and PEs that did not come up.", self.connects_failed),
            ("wrong_ppid", "Messages with another PPID than those of ASAP and ENRP.", self.wrong_ppid),
            ("slow_clients", "Associations aborted: client does not read.", self.slow_clients),
            ("unsendable", "Messages for associations that were closing.", self.unsendable),
        ]
    }
}
