//! Settings of [`Server`](crate::Server). Times in milliseconds.

use crate::ConfigError;
use crate::handlespace::{PES_PER_POOL_MAX, POOLS_MAX};
use crate::plugin::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the name server. RFC names and defaults are in each comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Most pools in the handlespace. At most 50,000.
    #[schemars(range(min = 1, max = POOLS_MAX))]
    pub pools_max: usize,
    /// Most PEs in a pool. At most 10,000.
    #[schemars(range(min = 1, max = PES_PER_POOL_MAX))]
    pub pes_per_pool_max: usize,
    /// Most PEs in all pools together.
    #[schemars(range(min = 1, max = POOLS_MAX * PES_PER_POOL_MAX))]
    pub pes_max: usize,
    /// Longest pool handle in bytes (the wire allows 65,531).
    #[schemars(range(min = 1, max = super::HANDLE_BYTES_WIRE))]
    pub handle_bytes_max: usize,
    /// Most PEs one association may register.
    pub pes_per_client_max: usize,
    /// Bytes of one PE in a message; only an unknown policy's values or an opaque transport can take many. A longer one is refused.
    #[schemars(range(min = ELEMENT_BYTES_LEAST))]
    pub element_bytes_max: usize,
    /// Most clients (associations) with something to remember: PEs, subscriptions, reports.
    pub clients_max: usize,
    /// PEs in an answer to a user that neither says how many it wants (Handle Resolution Option) nor subscribes (S bit; it gets the
    /// pool, up to `resolution_items_max` and what a message holds). RFC 5352 section 3.3: all.
    #[schemars(range(min = 1, max = PES_PER_POOL_MAX))]
    pub resolution_items: usize,
    /// Most PEs in any answer, also when more are asked for. One message holds about 1,600.
    #[schemars(range(min = 1, max = PES_PER_POOL_MAX))]
    pub resolution_items_max: usize,
    /// Most bytes that wait for all clients and peers together to read them; when it is reached and more than half of it
    /// still waits, the one for which most does is cut off. What one alone may let wait is `sctp.send_queue_bytes_max`.
    #[schemars(range(min = 1_048_576))]
    pub queued_bytes_max: usize,
    /// Most pools one association may subscribe to (S bit, RFC 5352 section 2.2.5).
    pub subscriptions_per_client_max: usize,
    /// Least time between two updates of one pool to its subscribers; changes in between are sent together.
    #[schemars(range(max = DAY_MS))]
    pub update_interval_ms: u64,
    /// Time between two ASAP_ENDPOINT_KEEP_ALIVE to one PE, varied by plus or minus 50 percent (RFC 5352 section 3.5; no
    /// value there). 0: only on reports.
    #[schemars(range(max = DAY_MS))]
    pub keep_alive_interval_ms: u64,
    /// A PE that goes on answering, and that nobody reports, is asked at intervals that double with every fourth answer up to this
    /// (adaptive supervision; a report, a miss, or a new association begin with `keep_alive_interval_ms` again). Who hangs is found
    /// by who uses it; this finds the one that nobody uses. Not more than `keep_alive_interval_ms`: it never grows.
    #[schemars(range(max = DAY_MS))]
    pub keep_alive_interval_max_ms: u64,
    /// How long to wait for ASAP_ENDPOINT_KEEP_ALIVE_ACK (no value in the RFC). A PE that misses it is suspended: not
    /// selected until it answers.
    #[schemars(range(min = 1, max = DAY_MS))]
    pub keep_alive_timeout_ms: u64,
    /// How many keep-alives in a row a PE may miss, sent one after each timeout, before it is removed.
    #[schemars(range(max = MISSES_MAX))]
    pub keep_alive_misses_max: u32,
    /// Regular keep-alives to all PEs together in a second; more than 0. With more PEs than this times `keep_alive_interval_ms` the
    /// interval grows: 10,000 PEs at 50 a second are asked every 200 s each, plus or minus 50 percent (RFC 5352 section 3.5 leaves
    /// the interval to us, RFC 3237 wants no heavy traffic). A PE that is silent or reported is asked at once all the same.
    #[schemars(range(min = 1))]
    pub keep_alives_per_s_max: u32,
    /// When a PE is found dead or silent, others at its host are asked out of turn, at most so many in a second: a few, and the more the
    /// more of them are dead too. 0: off (not in the RFC).
    pub neighbours_per_s_max: u32,
    /// Least time between two keep-alives to one PE, also on reports (RFC 5355 section 2.14).
    #[schemars(range(max = DAY_MS))]
    pub keep_alive_gap_ms: u64,
    /// MAX-BAD-PE-REPORT: a PE is removed when more ASAP_ENDPOINT_UNREACHABLE than this came since its last registration, though it
    /// answers (RFC 5352 section 3.5; no value there). Each client counts once, so that no single one can remove a PE that
    /// lives; the program that the server lives in counts each time.
    #[schemars(range(max = REPORTS_MAX))]
    pub max_bad_pe_report: u32,
    /// ASAP_ENDPOINT_UNREACHABLE taken from one client in a second; more are counted only (RFC 5355 section 2.13).
    pub reports_per_client_per_s: u32,
    /// The same from all clients together.
    pub reports_per_s: u32,
    /// Registrations, first and again, taken from one client in a second; more are refused with Lack of Resources.
    pub registrations_per_client_per_s: u32,
    /// The same from all clients together.
    pub registrations_per_s: u32,
    /// Resolutions answered to one client in a second; more are refused with Lack of Resources.
    pub resolutions_per_client_per_s: u32,
    /// The same to all clients together.
    pub resolutions_per_s: u32,
    /// Who may report loads and round trips of PEs (Element Report): IP networks, `ADDRESS/BITS`. All addresses of a user must be in
    /// them. Empty: nobody but the program the server lives in.
    #[schemars(example = ["127.0.0.0/8"])]
    pub report_from: Vec<Network>,
    /// What users measured counts for this long after the last report.
    #[schemars(range(min = 1, max = DAY_MS))]
    pub report_life_ms: u64,
    /// When a PE's association ends, remove it at once. Otherwise it is suspended, and removed after
    /// `association_loss_grace_ms` unless it registered again (not in the RFC, which waits for a failing keep-alive).
    pub remove_on_association_loss: bool,
    /// See `remove_on_association_loss`.
    #[schemars(range(max = DAY_MS))]
    pub association_loss_grace_ms: u64,
    /// Refuse PEs whose user transport has addresses that their association has not (RFC 5352 section 2.2.1).
    pub check_addresses: bool,
}

/// What any PE may take: 64 IPv6 addresses in both transports take 2,700 bytes.
const ELEMENT_BYTES_LEAST: usize = 4_096;
/// Most keep-alives that a PE may miss in a row.
const MISSES_MAX: u32 = 1_000;
/// Most reports before a PE is removed.
const REPORTS_MAX: u32 = 1_000;
/// No interval is longer.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// # Errors
/// The setting is longer than a day.
pub(crate) fn within_a_day(key: &str, ms: u64) -> Result<(), ConfigError> {
    ConfigError::unless(ms <= DAY_MS, key, format!("{ms}: expected at most {DAY_MS}, a day"))
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            pools_max: 500,
            pes_per_pool_max: 10_000,
            pes_max: 100_000,
            handle_bytes_max: 255,
            pes_per_client_max: 1_000,
            element_bytes_max: 4_096,
            clients_max: 16_384,
            resolution_items: 16,
            resolution_items_max: 10_000,
            queued_bytes_max: 256 << 20,
            subscriptions_per_client_max: 500,
            update_interval_ms: 20,
            keep_alive_interval_ms: 1_000,
            keep_alive_interval_max_ms: 5_000,
            keep_alive_timeout_ms: 500,
            keep_alive_misses_max: 6,
            keep_alives_per_s_max: 50,
            neighbours_per_s_max: 1_500,
            keep_alive_gap_ms: 50,
            max_bad_pe_report: 3,
            reports_per_client_per_s: 100,
            reports_per_s: 2_000,
            registrations_per_client_per_s: 20_000,
            registrations_per_s: 100_000,
            resolutions_per_client_per_s: 250_000,
            resolutions_per_s: 500_000,
            report_from: Vec::new(),
            report_life_ms: 30_000,
            remove_on_association_loss: true,
            association_loss_grace_ms: 3_000,
            check_addresses: true,
        }
    }
}

impl ServerConfig {
    /// What the types cannot say.
    ///
    /// # Errors
    /// The key, and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, value, most) in [
            ("pools_max", self.pools_max, POOLS_MAX),
            ("pes_per_pool_max", self.pes_per_pool_max, PES_PER_POOL_MAX),
            ("pes_max", self.pes_max, POOLS_MAX * PES_PER_POOL_MAX),
            ("handle_bytes_max", self.handle_bytes_max, super::HANDLE_BYTES_WIRE),
            ("resolution_items", self.resolution_items, PES_PER_POOL_MAX),
            ("resolution_items_max", self.resolution_items_max, PES_PER_POOL_MAX),
        ] {
            ConfigError::unless((1..=most).contains(&value), key, format!("{value}: expected 1 to {most}"))?;
        }
        let key = "element_bytes_max";
        let problem = format!("expected at least {ELEMENT_BYTES_LEAST}");
        ConfigError::unless(self.element_bytes_max >= ELEMENT_BYTES_LEAST, key, problem)?;
        let key = "queued_bytes_max";
        ConfigError::unless(self.queued_bytes_max >= 1 << 20, key, "expected at least 1048576")?;
        let key = "keep_alives_per_s_max";
        ConfigError::unless(
            self.keep_alives_per_s_max > 0,
            key,
            "0: expected 1 or more; keep_alive_interval_ms = 0 is off",
        )?;
        let key = "report_life_ms";
        ConfigError::unless(self.report_life_ms > 0, key, "0: expected how long a report counts")?;
        for (key, value) in [
            ("update_interval_ms", self.update_interval_ms),
            ("keep_alive_interval_ms", self.keep_alive_interval_ms),
            ("keep_alive_interval_max_ms", self.keep_alive_interval_max_ms),
            ("keep_alive_timeout_ms", self.keep_alive_timeout_ms),
            ("keep_alive_gap_ms", self.keep_alive_gap_ms),
            ("report_life_ms", self.report_life_ms),
            ("association_loss_grace_ms", self.association_loss_grace_ms),
        ] {
            within_a_day(key, value)?;
        }
        let key = "max_bad_pe_report";
        ConfigError::unless(self.max_bad_pe_report <= REPORTS_MAX, key, format!("expected at most {REPORTS_MAX}"))?;
        let key = "keep_alive_misses_max";
        ConfigError::unless(self.keep_alive_misses_max <= MISSES_MAX, key, format!("expected at most {MISSES_MAX}"))?;
        let key = "keep_alive_timeout_ms";
        ConfigError::unless(self.keep_alive_timeout_ms > 0, key, "0: expected the milliseconds to wait for an answer")
    }
}
