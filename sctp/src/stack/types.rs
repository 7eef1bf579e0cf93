//! What goes into and out of a [`Stack`](crate::Stack).

use super::path_info::PathInfo;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// Names an association of one [`Stack`](crate::Stack); never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssocId(pub u64);

/// One received UDP datagram (the encapsulated SCTP packet is its payload).
#[derive(Debug, Clone)]
pub struct Datagram {
    /// Source address and UDP port.
    pub from: SocketAddr,
    /// Our own address it came to.
    pub to: IpAddr,
    /// The SCTP packet.
    pub payload: Bytes,
}

/// One UDP datagram to send.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// Our own address to send from.
    pub from: IpAddr,
    /// Where to.
    pub to: SocketAddr,
    /// The SCTP packet.
    pub payload: Bytes,
}

/// An ICMP error for a packet of ours: port, protocol, host or network unreachable.
#[derive(Debug, Clone)]
pub struct Unreachable {
    /// Where the packet went.
    pub to: SocketAddr,
    /// The head of the SCTP packet that ICMP quoted (at least 8 bytes, else it is ignored).
    pub quoted: Bytes,
    /// True for port or protocol unreachable: the other end has no socket there.
    pub port: bool,
}

/// A packet of ours was too long for a link on its way (ICMP "fragmentation needed", "packet too big") or for our own device.
#[derive(Debug, Clone)]
pub struct TooBig {
    /// Where the packet went.
    pub to: SocketAddr,
    /// The head of the SCTP packet (at least 8 bytes, else it is ignored).
    pub quoted: Bytes,
    /// The longest SCTP packet that would have passed, bytes, if that is known.
    pub largest: Option<usize>,
}

/// What to connect to.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The peer's addresses with their UDP encapsulation port; at least one. The first is the primary.
    pub peer: Vec<SocketAddr>,
    /// The peer's SCTP port.
    pub peer_port: u16,
    /// Our SCTP port; `None` takes a free one from the dynamic range.
    pub local_port: Option<u16>,
}

/// How to send a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendOptions {
    /// Stream number.
    pub stream: u16,
    /// Payload protocol identifier, host order.
    pub ppid: u32,
    /// Deliver without order (U bit).
    pub unordered: bool,
    /// A number of the caller's, given back in [`Undelivered`](crate::Undelivered).
    pub context: u64,
}

/// Why `send` or `connect` took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// `send`: no such association, or it is not up, or it is closing. `connect`: no usable address, the same ports and
    /// address are in use, or there are `associations_max` already.
    #[error("association is not open")]
    NotOpen,
    /// Stream number beyond what the peer accepts.
    #[error("stream is beyond the negotiated outbound streams")]
    NoSuchStream,
    /// The send queue is full in messages or bytes.
    #[error("send queue is full")]
    QueueFull,
    /// Longer than `message_bytes_max`, or empty.
    #[error("message is empty or too long")]
    BadLength,
}

/// How far an association is, for people and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssocState {
    /// COOKIE-WAIT or COOKIE-ECHOED.
    Connecting,
    /// ESTABLISHED.
    Up,
    /// SHUTDOWN-PENDING, -SENT, -RECEIVED or -ACK-SENT.
    Closing,
}

/// An association, for people and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// How far it is.
    pub state: AssocState,
    /// Our SCTP port.
    pub local_port: u16,
    /// The peer's SCTP port.
    pub peer_port: u16,
    /// True when the peer started it.
    pub incoming: bool,
    /// The peer's addresses, in the order they were told.
    pub paths: Vec<PathInfo>,
    /// Streams we may send on; before it is up, what we ask for.
    pub outbound_streams: u16,
    /// Streams the peer may send on; before it is up, what we offer.
    pub inbound_streams: u16,
    /// Accepted messages that are not acknowledged.
    pub outstanding_messages: usize,
    /// Their bytes.
    pub outstanding_bytes: usize,
}
