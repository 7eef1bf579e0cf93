//! Timers, limits and servers of the two machines. Times in milliseconds. The defaults suit a lab that measures sub-second
//! failover; RFC 5352 section 7's values are named at each. A time of 0 counts as 1 ms: a timer that is always due is a loop.

use crate::wire::{ASAP_PORT, Limits};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// Where an ENRP server can be reached: one SCTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerAddress {
    /// Its addresses (several when it is multi-homed).
    #[cfg_attr(feature = "schema", schemars(example = ["127.0.0.9"]))]
    pub addresses: Vec<IpAddr>,
    /// SCTP port; 3863 (RFC 5352 8.2) when not given.
    #[serde(default = "default_port")]
    #[cfg_attr(feature = "schema", schemars(example = 3863))]
    pub port: u16,
}

fn default_port() -> u16 {
    ASAP_PORT
}

impl ServerAddress {
    /// A server with one address at the standard port.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self { addresses: vec![address], port: ASAP_PORT }
    }
}

/// The server hunt (RFC 5352 3.6), same for pool element and pool user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HuntConfig {
    /// Servers in order of preference.
    #[cfg_attr(feature = "schema", schemars(example = [ServerAddress::new(IpAddr::from([127, 0, 0, 9]))]))]
    pub servers: Vec<ServerAddress>,
    /// T5-Serverhunt: wait for one of the tried servers. Default 500 (RFC 10,000). Doubles up to `retran_max_ms`.
    pub t5_serverhunt_ms: u64,
    /// RETRAN-MAX: ceiling of T5's doubling. Default 2,000 (RFC 60,000).
    pub retran_max_ms: u64,
    /// Connections tried at once. Default 3; RFC 5352 3.6 forbids more, larger values count as 3.
    pub max_parallel: usize,
    /// T7-ENRPoutdate: a server that announced itself is forgotten when it was not heard for this long. Default 20,000 (RFC 5,000,
    /// which is less than the (N + 1) seconds between two announcements of one of more than five servers). Configured servers stay.
    pub t7_enrp_outdate_ms: u64,
    /// Servers remembered from announcements, besides the configured ones. Default 64.
    pub announced_max: usize,
}

impl Default for HuntConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            t5_serverhunt_ms: 500,
            retran_max_ms: 2_000,
            max_parallel: 3,
            t7_enrp_outdate_ms: 20_000,
            announced_max: 64,
        }
    }
}

/// Settings of [`crate::PeMachine`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PeConfig {
    /// Servers and their hunt.
    pub hunt: HuntConfig,
    /// T2-registration: wait for a registration's answer. Default 500 (RFC 30,000).
    pub t2_registration_ms: u64,
    /// T3-deregistration: wait for a deregistration's answer. Default 500 (RFC 30,000).
    pub t3_deregistration_ms: u64,
    /// T4-reregistration. Not given: min(10 min, life - 20 s), or half the life when that is shorter than 40 s (RFC 5352 7.1).
    #[cfg_attr(feature = "schema", schemars(example = 60_000))]
    pub t4_reregistration_ms: Option<u64>,
    /// T4 is shortened by up to this many percent, at random, so that elements that started (or lost their server) together do not
    /// register again together for ever. Default 10; larger values than 100 count as 100.
    pub t4_spread_percent: u64,
    /// MAX-REG-ATTEMPT: registrations sent to one server before hunting. Default 2.
    pub max_reg_attempt: u32,
    /// The association to the home server ended: wait this long, and up to half as long again at random, for the server that takes
    /// it over (keep-alive with H = 1, RFC 5353 3.5.2) before the hunt. Default 200; 0: hunt at once, as RFC 5352 3.6 has it.
    pub home_wait_ms: u64,
    /// A registration refused for Lack of Resources alone is tried again after this time: it is the server that has to change, not
    /// the registration. Doubles with each refusal, up to RETRAN-MAX. Default 1,000; 0: not before the application says so, as after all
    /// other refusals (RFC 5352 3.1).
    pub refused_retry_ms: u64,
    /// Handles one pool element may register. Default 64.
    pub max_handles: usize,
    /// Limits for messages received.
    pub limits: Limits,
}

impl Default for PeConfig {
    fn default() -> Self {
        Self {
            hunt: HuntConfig::default(),
            t2_registration_ms: 500,
            t3_deregistration_ms: 500,
            t4_reregistration_ms: None,
            t4_spread_percent: 10,
            max_reg_attempt: 2,
            home_wait_ms: 200,
            refused_retry_ms: 1_000,
            max_handles: 64,
            limits: Limits::default(),
        }
    }
}

/// Settings of [`crate::PuMachine`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PuConfig {
    /// Servers and their hunt; unused with an embedded server.
    pub hunt: HuntConfig,
    /// T1-ENRPrequest: wait for an answer. Default 500 (RFC 15,000).
    pub t1_enrp_request_ms: u64,
    /// MAX-REQUEST-RETRANSMIT: requests sent to one server before hunting. Default 2.
    pub max_request_retransmit: u32,
    /// stale_cache_value: age at which a cache entry is asked for again at its next use; an update makes it young again. The
    /// old content serves until the answer. Default 30,000 (RFC: none).
    pub stale_cache_value_ms: u64,
    /// After a negative answer, ask again after this time while the handle is in use (the pool may come; RFC 5352 2.2.5: a
    /// negative answer ends the subscription). Default 100.
    pub retry_unknown_ms: u64,
    /// Without use since, the wait doubles up to this. Default 5,000.
    pub retry_unknown_max_ms: u64,
    /// Ask for updates with each resolution (S bit, RFC 5352 2.2.5). Default true.
    pub subscribe: bool,
    /// Elements to ask for (Handle Resolution Option); not given: the server decides; 0xffffffff: all. Default all.
    pub items: Option<u32>,
    /// Pools in the cache. Default 500.
    pub max_pools: usize,
    /// Items queued per handle until its answer. Default 10,000.
    pub max_queue: usize,
    /// Limits for messages received.
    pub limits: Limits,
}

impl Default for PuConfig {
    fn default() -> Self {
        Self {
            hunt: HuntConfig::default(),
            t1_enrp_request_ms: 500,
            max_request_retransmit: 2,
            stale_cache_value_ms: 30_000,
            retry_unknown_ms: 100,
            retry_unknown_max_ms: 5_000,
            subscribe: true,
            items: Some(u32::MAX),
            max_pools: 500,
            max_queue: 10_000,
            limits: Limits::default(),
        }
    }
}

/// A configured time.
pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds.max(1))
}
