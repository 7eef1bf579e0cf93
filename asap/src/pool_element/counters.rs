//! What a pool element counts.

/// Counters, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeCounters {
    /// Registrations sent, with repetitions.
    pub registrations_sent: u64,
    /// Registrations granted.
    pub registrations_granted: u64,
    /// Registrations rejected by a server.
    pub registrations_refused: u64,
    /// T2 ran out.
    pub t2_expired: u64,
    /// T3 ran out.
    pub t3_expired: u64,
    /// Keep-alives answered.
    pub keep_alives: u64,
    /// Keep-alives for a handle that is not ours, silently discarded (RFC 5352 3.4).
    pub keep_alives_wrong_handle: u64,
    /// Home servers lost.
    pub servers_lost: u64,
    /// Servers that took the element over (keep-alive with H = 1).
    pub taken_over: u64,
    /// Servers that announced themselves and were not known.
    pub servers_announced: u64,
    /// Announced servers beyond `announced_max`.
    pub announced_refused: u64,
    /// ASAP_ERROR received.
    pub errors_in: u64,
    /// Server hunts that ended with T5.
    pub hunts_failed: u64,
    /// Messages that did not decode.
    pub malformed: u64,
    /// Messages a pool element does not expect, or from a server that is not its home.
    pub unexpected: u64,
}
