//! What a [`Stack`](crate::Stack) tells its user.

use crate::AssocId;
use bytes::Bytes;
use std::net::SocketAddr;

/// Something happened to an association.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The association is established (COMMUNICATION UP, RFC 9260 section 11.2).
    Up {
        /// Which one.
        assoc: AssocId,
        /// The local SCTP port.
        local_port: u16,
        /// The peer's SCTP port.
        peer_port: u16,
        /// The peer's UDP encapsulation addresses; the first is the primary.
        peer: Vec<SocketAddr>,
        /// True when the peer started it (it came to a listening port).
        incoming: bool,
        /// Streams we may send on (0 to n-1).
        outbound_streams: u16,
        /// Streams the peer may send on.
        inbound_streams: u16,
    },
    /// A whole user message, in order within its stream unless `unordered`.
    Message {
        /// From which association.
        assoc: AssocId,
        /// The stream it came on.
        stream: u16,
        /// Payload protocol identifier, host order.
        ppid: u32,
        /// It was sent with the U bit.
        unordered: bool,
        /// The user data.
        payload: Bytes,
    },
    /// A path changed (RFC 9260 section 8.2, RFC 7829, confirmation after RFC 6951 section 5.5 ICMP).
    Path {
        /// Which association.
        assoc: AssocId,
        /// Which of the peer's addresses.
        address: SocketAddr,
        /// Its new state.
        state: PathState,
    },
    /// The association is gone, or never came up. Always the last event of an association.
    Closed {
        /// Which one.
        assoc: AssocId,
        /// Why.
        reason: CloseReason,
        /// Every accepted message that the peer did not acknowledge, in the order of `send`.
        undelivered: Vec<Undelivered>,
    },
}

/// State of one of the peer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathState {
    /// Reachable.
    Active,
    /// RFC 7829: errors seen, not yet given up.
    PotentiallyFailed,
    /// Given up; only heartbeats go there.
    Inactive,
}

impl PathState {
    /// `active`, `potentially-failed` or `inactive`, as logs and admin servers say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::PotentiallyFailed => "potentially-failed",
            Self::Inactive => "inactive",
        }
    }
}

/// Why an association ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Graceful SHUTDOWN, asked for by us or the peer; everything was delivered.
    Shutdown,
    /// We aborted it.
    LocalAbort,
    /// The peer sent ABORT; the first cause code if there was one.
    PeerAbort(Option<u16>),
    /// No answer: error counter over `association_max_retrans`, or supervision time over.
    Silent,
    /// An ICMP port or protocol unreachable with our verification tag on the last usable path (RFC 6951 section 5.5):
    /// the process at the other end has no socket any more, so it is certainly not acting.
    Unreachable,
    /// The handshake got no answer (T1, `max_init_retransmits`).
    ConnectFailed,
    /// The peer restarted (RFC 9260 section 5.2.4 action A): a new association follows as `Up`.
    Restarted,
    /// A protocol violation by the peer; we sent ABORT.
    ProtocolViolation,
}

impl CloseReason {
    /// In a word, as records say it: `shutdown`, `local-abort`, ...
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::LocalAbort => "local-abort",
            Self::PeerAbort(_) => "peer-abort",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::ConnectFailed => "connect-failed",
            Self::Restarted => "restarted",
            Self::ProtocolViolation => "protocol-violation",
        }
    }

    /// True when the peer certainly no longer acts on this association's messages: its socket is gone, or it said so itself.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Shutdown | Self::PeerAbort(_) | Self::Unreachable | Self::Restarted => true,
            Self::LocalAbort | Self::Silent | Self::ConnectFailed | Self::ProtocolViolation => false,
        }
    }
}

/// A message that was accepted by `send` and not acknowledged by the peer before the association ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Stream it was for.
    pub stream: u16,
    /// Its payload protocol identifier.
    pub ppid: u32,
    /// The number the caller gave in [`SendOptions::context`](crate::SendOptions).
    pub context: u64,
    /// True when at least a part of it went on the wire: the peer may have it.
    pub transmitted: bool,
    /// The user data.
    pub payload: Bytes,
}
