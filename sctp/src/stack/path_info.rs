//! What there is to see of an association and its paths.

use crate::{AssocState, Associations, Info, PathState};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// One of the peer's addresses, for people and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathInfo {
    /// The address and UDP port.
    pub address: SocketAddr,
    /// Our own address that talks to it.
    pub local: IpAddr,
    /// Its state.
    pub state: PathState,
    /// Since when it is in this state.
    pub since: Instant,
    /// It is the primary path (RFC 9260 section 6.4).
    pub primary: bool,
    /// Data goes there now.
    pub in_use: bool,
    /// Whether it proved itself (RFC 9260 section 5.4).
    pub confirmed: bool,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
    /// Its retransmission timeout (RFC 9260 section 6.3.1), backed off while it does not answer.
    pub rto: Duration,
    /// Errors since the last answer (RFC 9260 section 8.2).
    pub errors: u32,
    /// The longest SCTP packet sent to it, bytes (RFC 8899). 0: not known, the kernel's business.
    pub mtu: usize,
    /// What was counted.
    pub stats: PathStats,
}

/// What was counted on one path since the association began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PathStats {
    /// Packets sent to it.
    pub packets_out: u64,
    /// Their bytes, SCTP header included.
    pub bytes_out: u64,
    /// Packets that came from it.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// DATA chunks sent to it that had been sent before, to it or to another.
    pub data_retransmitted: u64,
    /// T3-rtx expirations charged to it (RFC 9260 section 6.3.3).
    pub timeouts: u64,
    /// HEARTBEAT chunks sent to it.
    pub heartbeats_out: u64,
    /// HEARTBEAT chunks it did not answer in time.
    pub heartbeats_lost: u64,
    /// How often it left the state active.
    pub failures: u64,
}

/// A path as shown in JSON by the admin servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathView {
    /// The peer's address and UDP port.
    pub address: SocketAddr,
    /// Our own address.
    pub local: IpAddr,
    /// `active`, `potentially-failed` or `inactive`.
    pub state: &'static str,
    /// For how long, in milliseconds.
    pub state_ms: u64,
    /// See [`PathInfo::primary`].
    pub primary: bool,
    /// See [`PathInfo::in_use`].
    pub in_use: bool,
    /// See [`PathInfo::confirmed`].
    pub confirmed: bool,
    /// Smoothed round trip in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// Retransmission timeout in milliseconds.
    pub rto_ms: u64,
    /// See [`PathInfo::errors`].
    pub errors: u32,
    /// See [`PathInfo::mtu`].
    pub mtu: usize,
    /// What was counted.
    #[serde(flatten)]
    pub stats: PathStats,
}

impl PathInfo {
    /// As the admin servers show it.
    #[must_use]
    pub fn view(&self, now: Instant) -> PathView {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        PathView {
            address: self.address,
            local: self.local,
            state: self.state.name(),
            state_ms: ms(now.saturating_duration_since(self.since)),
            primary: self.primary,
            in_use: self.in_use,
            confirmed: self.confirmed,
            rtt_us: self.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            rto_ms: ms(self.rto),
            errors: self.errors,
            mtu: self.mtu,
            stats: self.stats,
        }
    }
}

/// An association as shown in JSON by the admin servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssociationView {
    /// What the other end is to the program.
    pub role: &'static str,
    /// `connecting`, `up` or `closing`.
    pub state: &'static str,
    /// See [`Info::local_port`].
    pub local_port: u16,
    /// See [`Info::peer_port`].
    pub peer_port: u16,
    /// See [`Info::incoming`].
    pub incoming: bool,
    /// See [`Info::outstanding_messages`].
    pub outstanding_messages: usize,
    /// See [`Info::outstanding_bytes`].
    pub outstanding_bytes: usize,
    /// The peer's addresses.
    pub paths: Vec<PathView>,
}

impl Info {
    /// As the admin servers show it.
    #[must_use]
    pub fn view(&self, role: &'static str, now: Instant) -> AssociationView {
        AssociationView {
            role,
            state: match self.state {
                AssocState::Connecting => "connecting",
                AssocState::Up => "up",
                AssocState::Closing => "closing",
            },
            local_port: self.local_port,
            peer_port: self.peer_port,
            incoming: self.incoming,
            outstanding_messages: self.outstanding_messages,
            outstanding_bytes: self.outstanding_bytes,
            paths: self.paths.iter().map(|path| path.view(now)).collect(),
        }
    }
}

/// All associations for an admin server, in the order they began; `role` names what the other end of each is.
pub fn association_views(
    associations: &dyn Associations,
    now: Instant,
    mut role: impl FnMut(crate::AssocId) -> &'static str,
) -> Vec<AssociationView> {
    let mut all = associations.associations();
    all.sort_unstable();
    all.into_iter().filter_map(|id| Some(associations.info(id)?.view(role(id), now))).collect()
}
