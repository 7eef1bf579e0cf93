//! What the server wants done outside: messages, connections, datagrams. A [`Host`](crate::host) or another shell does it.

use super::ClientId;
use asap::wire::SctpTransport;
use bytes::Bytes;
use std::net::IpAddr;

/// Names a connection the server asked for, until it is up ([`Server::connected`](super::Server::connected)) or failed
/// ([`Server::connect_failed`](super::Server::connect_failed)). Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(pub u64);

impl Attempt {
    /// Attempts from here on are ways to PEs, those below are connections to peers.
    pub(crate) const WAYS: u64 = 1 << 63;

    /// Whether it is to a peer's ENRP endpoint.
    pub(crate) fn is_to_peer(self) -> bool {
        self.0 < Self::WAYS
    }
}

/// One of the two multicast groups of an operation scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Multicast {
    /// ASAP_SERVER_ANNOUNCE to pool elements and pool users (RFC 5352 section 3.6).
    Asap,
    /// ENRP_PRESENCE to servers that are not known yet (RFC 5353 section 2.1).
    Enrp,
}

/// The next thing to do outside, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An ASAP message: PPID 11, ordered, stream 0.
    Asap {
        /// To whom.
        client: ClientId,
        /// The message.
        bytes: Bytes,
    },
    /// An ENRP message: PPID 12, ordered, stream 0.
    Enrp {
        /// To whom.
        client: ClientId,
        /// The message.
        bytes: Bytes,
    },
    /// An association is wanted, to a peer's ENRP endpoint, or to the ASAP transport of a PE that was taken over.
    Connect {
        /// Names it until it is up or failed.
        attempt: Attempt,
        /// Where to.
        to: SctpTransport,
        /// The own SCTP port it is to come from; `None`: any.
        local_port: Option<u16>,
    },
    /// The association is no longer needed: a clean SHUTDOWN, after which `client_lost` comes as ever.
    Close {
        /// Which one.
        client: ClientId,
    },
    /// A UDP datagram to a group.
    Multicast {
        /// Which group.
        group: Multicast,
        /// The message.
        bytes: Bytes,
    },
}

impl Output {
    /// The ASAP message and whom it is for, if it is one.
    #[must_use]
    pub fn asap(self) -> Option<(ClientId, Bytes)> {
        match self {
            Self::Asap { client, bytes } => Some((client, bytes)),
            Self::Enrp { .. } | Self::Connect { .. } | Self::Close { .. } | Self::Multicast { .. } => None,
        }
    }
}

/// Where a peer's ENRP endpoint is: SCTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddress {
    /// IP addresses, at least one.
    pub addresses: Vec<IpAddr>,
    /// SCTP port (RFC 5353 section 5.4: 9901).
    pub port: u16,
}
