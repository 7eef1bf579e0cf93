//! What a pool user counts.

/// Counters, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PuCounters {
    /// HANDLE_RESOLUTION sent, with repetitions.
    pub requests_sent: u64,
    /// Selections and resolutions served from the cache.
    pub cache_hits: u64,
    /// Selections and resolutions that found nothing there.
    pub cache_misses: u64,
    /// Answers and updates taken.
    pub answers: u64,
    /// Negative answers.
    pub negative_answers: u64,
    /// T1 ran out.
    pub t1_expired: u64,
    /// Items refused because the queue was full.
    pub queue_refused: u64,
    /// Uses of handles refused because of `max_pools` or `max_handle`.
    pub pools_refused: u64,
    /// ENDPOINT_UNREACHABLE sent.
    pub reports_sent: u64,
    /// Reports not sent because this event was reported already.
    pub reports_suppressed: u64,
    /// Name servers lost.
    pub servers_lost: u64,
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
    /// Messages a pool user does not expect, or from a server that is not its own.
    pub unexpected: u64,
}
