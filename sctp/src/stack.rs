//! All associations of one node.

use crate::{Config, Event};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Names an association of one [`Stack`]; never used again for another one.
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

/// Why `send` took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No such association, or it is closing.
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

/// What was counted since the stack was made. Names are the metric names without prefix.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    /// Packets taken in.
    pub packets_in: u64,
    /// Packets given out.
    pub packets_out: u64,
}

/// All associations of one node.
#[derive(Debug)]
pub struct Stack {}

impl Stack {
    /// Makes a stack with our own addresses. `seed` feeds every random choice (tags, TSNs, cookie keys): take it from the
    /// operating system in production.
    #[must_use]
    pub fn new(_config: Config, _local: Vec<IpAddr>, _seed: [u8; 32], _now: Instant) -> Self {
        todo!()
    }
    /// Takes associations on this SCTP port.
    pub fn listen(&mut self, _port: u16) {
        todo!()
    }
    /// Starts an association. It ends in [`Event::Up`] or [`Event::Closed`].
    pub fn connect(&mut self, _now: Instant, _connect: Connect) -> Result<AssocId, SendError> {
        todo!()
    }
    /// Accepts a message for delivery: it reaches the peer, or comes back in [`Event::Closed`].
    pub fn send(&mut self, _now: Instant, _assoc: AssocId, _options: SendOptions, _payload: Bytes) -> Result<(), SendError> {
        todo!()
    }
    /// Graceful end: what was accepted is delivered first (RFC 9260 section 9.2).
    pub fn shutdown(&mut self, _now: Instant, _assoc: AssocId) {
        todo!()
    }
    /// Ends at once with ABORT and an optional User-Initiated Abort reason; the undelivered come back in [`Event::Closed`].
    pub fn abort(&mut self, _now: Instant, _assoc: AssocId, _reason: &[u8]) {
        todo!()
    }
    /// Takes a received datagram.
    pub fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram) {
        todo!()
    }
    /// Takes an ICMP error.
    pub fn handle_unreachable(&mut self, _now: Instant, _error: &Unreachable) {
        todo!()
    }
    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }
    /// The next datagram to send.
    pub fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        todo!()
    }
    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// When to call [`Stack::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
    /// Accepted and not yet acknowledged messages and bytes of an association.
    #[must_use]
    pub fn outstanding(&self, _assoc: AssocId) -> (usize, usize) {
        todo!()
    }
    /// Smoothed round trip of the primary path, if measured.
    #[must_use]
    pub fn rtt(&self, _assoc: AssocId) -> Option<std::time::Duration> {
        todo!()
    }
    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        todo!()
    }
}
