//! Settings in the kernel's numbers.

use crate::Config;

/// What of [`Config`] the kernel's SCTP can be told, in its units and within its bounds. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// RTO.Initial.
    pub rto_initial_ms: u32,
    /// RTO.Min.
    pub rto_min_ms: u32,
    /// RTO.Max.
    pub rto_max_ms: u32,
    /// Max.Init.Retransmits.
    pub max_init_retransmits: u16,
    /// Association.Max.Retrans.
    pub association_max_retrans: u16,
    /// Path.Max.Retrans.
    pub path_max_retrans: u16,
    /// PotentiallyFailed.Max.Retrans (RFC 7829).
    pub potentially_failed_max_retrans: u16,
    /// HB.interval.
    pub heartbeat_interval_ms: u32,
    /// SACK.Delay; 0: every packet is acknowledged at once.
    pub sack_delay_ms: u32,
    /// Valid.Cookie.Life.
    pub cookie_life_ms: u32,
    /// Outbound streams asked for.
    pub outbound_streams: u16,
    /// Most inbound streams.
    pub inbound_streams: u16,
}

impl Settings {
    /// From the settings of all backends.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let config = config.clone().sane();
        let ms = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let count = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        Self {
            rto_initial_ms: ms(config.rto_initial_ms),
            rto_min_ms: ms(config.rto_min_ms),
            rto_max_ms: ms(config.rto_max_ms),
            // 0 would mean the system's default.
            max_init_retransmits: count(config.max_init_retransmits).max(1),
            association_max_retrans: count(config.association_max_retrans).max(1),
            path_max_retrans: count(config.path_max_retrans).max(1),
            potentially_failed_max_retrans: count(config.potentially_failed_max_retrans),
            heartbeat_interval_ms: ms(config.heartbeat_interval_ms),
            // The kernel refuses more than half a second.
            sack_delay_ms: ms(config.sack_delay_ms).min(500),
            cookie_life_ms: ms(config.cookie_life_ms).max(1),
            outbound_streams: config.outbound_streams,
            inbound_streams: config.inbound_streams,
        }
    }
}
