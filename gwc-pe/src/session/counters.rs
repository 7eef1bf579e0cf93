//! What the sessions counted, over all gateways.

macro_rules! counters {
    ($($(#[doc = $help:literal])* $name:ident,)*) => {
        /// Counts since the controller started, over all gateways.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
        pub struct Counters {
            $($(#[doc = $help])* pub $name: u64,)*
        }

        impl Counters {
            /// Name, help and value of each.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($help),*).trim_ascii(), self.$name),)*]
            }
        }
    };
}

counters! {
    /// DATA received and applied.
    applied,
    /// DATA sent.
    outputs,
    /// Transactions (a group's outputs and cookie).
    transactions,
    /// DATA dropped: not after the group's last Correlation Id.
    duplicates,
    /// DATA dropped: the lease was lost.
    lease_dropped,
    /// DATA dropped: waiting_max messages wait for their turn.
    overload_dropped,
    /// DATA dropped: user data could not be read.
    malformed,
    /// DATA dropped: circuits of another group, or no room for the group.
    unsupported,
    /// DATA dropped: the ASP is not active.
    not_active,
    /// Groups refused: groups_max.
    groups_refused,
    /// Leases lost.
    leases_lost,
    /// Groups restored from a cookie.
    groups_restored,
    /// Groups given back because the gateway asked for them.
    groups_released,
    /// Cookies that could not be restored.
    cookies_refused,
    /// Barrier and foreign BEATs echoed.
    barriers,
    /// Liveness BEATs echoed.
    liveness,
    /// Messages that are not M3UA.
    m3ua_malformed,
    /// Messages that are not ASAP, or not for a pool element.
    asap_malformed,
    /// Messages with another PPID than M3UA's and ASAP's.
    wrong_ppid,
    /// ERR sent.
    errors_sent,
    /// ERR not sent: errors_per_s.
    errors_suppressed,
    /// ERR received.
    errors_received,
    /// NTFY received.
    notifications,
    /// DUNA, DAVA, SCON, DUPU, DRST and other messages received that nothing depends on.
    network_management,
    /// Gateways that said they lead, not agreed to: another one does, or a later one did.
    leaders_refused,
    /// Sessions aborted because the gateway does not take what it is sent.
    slow_gateways,
    /// Associations refused: gateways_max.
    gateways_refused,
}
