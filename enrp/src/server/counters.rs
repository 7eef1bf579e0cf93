//! What a [`Server`](crate::Server) counts.

/// Declares [`Counters`] with one text for the documentation and for the metric's help.
macro_rules! counters {
    ($($help:literal $name:ident,)*) => {
        /// Counted since the server was made. The field names are the metric names without prefix and `_total`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
        pub struct Counters {
            $(#[doc = $help] pub $name: u64,)*
        }

        impl Counters {
            /// Name, help text and value of each counter, for metrics.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), $help, self.$name),)*]
            }
        }
    };
}
pub(crate) use counters;

counters! {
    "Messages taken in."
    messages_in,
    "Messages given out."
    messages_out,
    "Messages that did not decode (answered with ASAP_ERROR where the RFC wants it)."
    malformed,
    "Unknown message types or parameters among them, and skipped parameters that were reported."
    unrecognized,
    "Messages an ENRP server does not expect from a client (COOKIE, responses, ...)."
    unexpected,
    "ASAP_ERROR received."
    errors_in,
    "Requests refused because `clients_max` clients are known."
    clients_refused,
    "Answers that were longer than a message, and were cut: a refusal without what it would quote."
    unencodable,
    "Registrations granted to a new PE."
    registrations,
    "Registrations granted to a known PE."
    reregistrations,
    "Rejected with Invalid Values (0x3): addresses, life, identifier."
    refused_invalid,
    "Rejected with Non-unique PE Identifier (0x4)."
    refused_not_unique,
    "Rejected with Inconsistent Pooling Policy (0x5)."
    refused_policy,
    "Rejected with Lack of Resources (0x6)."
    refused_resources,
    "Among them: beyond `registrations_per_client_per_s` or `registrations_per_s`."
    registrations_limited,
    "Rejected with Inconsistent Transport Type (0x7)."
    refused_transport,
    "Rejected with Inconsistent Data/Control Configuration (0x8)."
    refused_data_control,
    "Rejected with 0xa (security): deregistrations not by the PE itself, or over TCP."
    refused_security,
    "PEs that deregistered."
    deregistrations,
    "Deregistrations of PEs that were not there (granted, RFC 5352 section 3.2)."
    deregistrations_unknown,
    "PEs whose registration life ran out."
    expired,
    "PEs removed after missed keep-alives."
    removed_keep_alive,
    "PEs removed because nothing could be sent to them."
    removed_send_failed,
    "PEs removed after reports."
    removed_reported,
    "PEs removed because their association ended."
    removed_association,
    "PEs removed because the server that owns them did."
    removed_peer,
    "PEs of ours removed because their pool has another policy or transport type at a peer, and that one holds."
    removed_pool_kind,
    "PEs of ours asked at once because another server could not reach them."
    suspected,
    "Times a PE was suspended."
    suspensions,
    "Resolutions answered with PEs."
    resolutions,
    "Resolutions of unknown handles."
    resolutions_unknown,
    "Resolutions of pools in which no PE may be selected."
    resolutions_empty,
    "Resolutions beyond `resolutions_per_client_per_s` or `resolutions_per_s`."
    resolutions_limited,
    "Answers cut short because a message cannot hold more."
    resolutions_truncated,
    "Element Reports (load, round trip) taken."
    measures,
    "Element Reports of users that `report_from` does not name."
    measures_unauthorised,
    "Element Reports beyond `reports_per_client_per_s`."
    measures_limited,
    "Element Reports of PEs that are not in the pool."
    measures_unknown,
    "Answers ordered by a selection plug-in."
    plugin_answers,
    "Answers that a selection plug-in left to the pool's policy."
    plugin_declined,
    "Failures of selection plug-ins; the pool's policy answered."
    plugin_failures,
    "Answers by the pool's policy because its plug-in failed less than `rest_ms` ago."
    plugin_resting,
    "Answers by the pool's policy because of `fuel_per_s_max`."
    plugin_over_budget,
    "Subscriptions not accepted (`subscriptions_per_client_max`)."
    subscriptions_refused,
    "Updates sent to subscribers."
    updates,
    "Keep-alives sent."
    keep_alives,
    "Keep-alives that waited because of `keep_alives_per_s_max`."
    keep_alives_paced,
    "Keep-alives out of turn, since a PE at the same host was found dead or silent."
    neighbours_asked,
    "Keep-alive answers taken."
    keep_alive_acks,
    "Keep-alives not answered in time."
    keep_alive_misses,
    "Keep-alive answers of unknown PEs, or from another client than the PE's."
    keep_alive_acks_stray,
    "PEs taken over from dead servers."
    taken_over,
    "PEs among them that answered and have this server as their home."
    rehomed,
    "Associations opened to PEs."
    ways,
    "Among them: those that did not come up."
    ways_failed,
    "PEs of other servers that were asked because of a report."
    probes,
    "Among them: those that answered. The others were removed."
    probes_answered,
    "Reports of PEs of other servers when 64 were being asked already."
    probes_limited,
    "ASAP_ENDPOINT_UNREACHABLE taken."
    reports,
    "Reports of PEs that are not there."
    reports_unknown,
    "Reports beyond `reports_per_client_per_s` or `reports_per_s`."
    reports_limited,
    "ASAP_SERVER_ANNOUNCE sent over multicast."
    announces_out,
    "ASAP_SERVER_ANNOUNCE of other servers heard."
    announces_in,
    "ASAP_SERVER_ANNOUNCE of more servers than are counted."
    announces_refused,
    "ENRP messages and multicast datagrams that nobody takes: this server has no peers."
    enrp_dropped,
}
