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
    /// TCP connections of pool users.
    pub tcp_connections: u64,
    /// TCP connections that there was no room for.
    pub tcp_refused: u64,
    /// TCP connections closed: what came was no message.
    pub tcp_malformed: u64,
    /// TCP connections closed: nothing came or went, or a message did not end.
    pub tcp_idle: u64,
    /// Datagrams from multicast groups.
    pub datagrams_in: u64,
    /// Datagrams from multicast groups that were too many, and dropped.
    pub datagrams_missed: u64,
    /// Datagrams to multicast groups.
    pub datagrams_out: u64,
    /// Datagrams that no group was there for, or that it did not take.
    pub datagrams_unsent: u64,
}

impl HostCounters {
    /// Name, help text and value of each, for metrics.
    #[must_use]
    pub fn list(&self) -> [(&'static str, &'static str, u64); 14] {
        [
            ("associations_up", "Associations that came up.", self.associations),
            ("connects", "Connections to peers and PEs that the server asked for.", self.connects),
            ("connects_failed", "Connections to peers and PEs that did not come up.", self.connects_failed),
            (
                "wrong_ppid",
                "Messages with another PPID than that of ASAP at the ASAP port, of ENRP at the ENRP port.",
                self.wrong_ppid,
            ),
            ("slow_clients", "Associations aborted: client does not read.", self.slow_clients),
            ("unsendable", "Messages for associations that were closing.", self.unsendable),
            ("tcp_connections", "TCP connections of pool users.", self.tcp_connections),
            ("tcp_refused", "TCP connections that there was no room for.", self.tcp_refused),
            ("tcp_malformed", "TCP connections closed: what came was no message.", self.tcp_malformed),
            ("tcp_idle", "TCP connections closed: silent, or a message did not end.", self.tcp_idle),
            ("datagrams_in", "Datagrams from multicast groups.", self.datagrams_in),
            ("datagrams_missed", "Datagrams from multicast groups that were too many.", self.datagrams_missed),
            ("datagrams_out", "Datagrams to multicast groups.", self.datagrams_out),
            ("datagrams_unsent", "Datagrams to multicast groups that did not go out.", self.datagrams_unsent),
        ]
    }
}
