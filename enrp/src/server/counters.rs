//! What a [`Server`](crate::Server) counts. The field names are the metric names without prefix.

use serde::Serialize;

/// Counted since the server was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Messages taken in.
    pub messages_in: u64,
    /// Messages given out.
    pub messages_out: u64,
    /// Messages that did not decode (answered with ASAP_ERROR where the RFC wants it).
    pub malformed: u64,
    /// Unknown message types or parameters among them, and skipped parameters that were reported.
    pub unrecognized: u64,
    /// Messages an ENRP server does not expect from a client (COOKIE, responses, ...).
    pub unexpected: u64,
    /// ASAP_ERROR received.
    pub errors_in: u64,
    /// Requests refused because `clients_max` clients are known.
    pub clients_refused: u64,
    /// Answers that could not be encoded (an error with more in it than a message holds).
    pub unencodable: u64,
    /// Registrations granted to a new PE.
    pub registrations: u64,
    /// Registrations granted to a known PE.
    pub reregistrations: u64,
    /// Rejected with Invalid Values (0x3): addresses, life, identifier.
    pub refused_invalid: u64,
    /// Rejected with Non-unique PE Identifier (0x4).
    pub refused_not_unique: u64,
    /// Rejected with Inconsistent Pooling Policy (0x5).
    pub refused_policy: u64,
    /// Rejected with Lack of Resources (0x6).
    pub refused_resources: u64,
    /// Rejected with Inconsistent Transport Type (0x7).
    pub refused_transport: u64,
    /// Rejected with Inconsistent Data/Control Configuration (0x8).
    pub refused_data_control: u64,
    /// Deregistrations rejected with 0xa: not by the PE itself.
    pub refused_security: u64,
    /// PEs that deregistered.
    pub deregistrations: u64,
    /// Deregistrations of PEs that were not there (granted, RFC 5352 section 3.2).
    pub deregistrations_unknown: u64,
    /// PEs whose registration life ran out.
    pub expired: u64,
    /// PEs removed after missed keep-alives.
    pub removed_keep_alive: u64,
    /// PEs removed because nothing could be sent to them.
    pub removed_send_failed: u64,
    /// PEs removed after reports.
    pub removed_reported: u64,
    /// PEs removed because their association ended.
    pub removed_association: u64,
    /// Times a PE was suspended.
    pub suspensions: u64,
    /// Resolutions answered with PEs.
    pub resolutions: u64,
    /// Resolutions of unknown handles.
    pub resolutions_unknown: u64,
    /// Resolutions of pools in which no PE may be selected.
    pub resolutions_empty: u64,
    /// Answers cut short because a message cannot hold more.
    pub resolutions_truncated: u64,
    /// Subscriptions not accepted (`subscriptions_per_client_max`).
    pub subscriptions_refused: u64,
    /// Updates sent to subscribers.
    pub updates: u64,
    /// Keep-alives sent.
    pub keep_alives: u64,
    /// Keep-alive answers taken.
    pub keep_alive_acks: u64,
    /// Keep-alives not answered in time.
    pub keep_alive_misses: u64,
    /// Keep-alive answers of unknown PEs, or from another client than the PE's.
    pub keep_alive_acks_stray: u64,
    /// ASAP_ENDPOINT_UNREACHABLE taken.
    pub reports: u64,
    /// Reports of PEs that are not there.
    pub reports_unknown: u64,
    /// Reports beyond `reports_per_client_per_s`.
    pub reports_limited: u64,
}
