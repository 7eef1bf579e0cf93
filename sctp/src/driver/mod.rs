//! The tokio driver: UDP sockets (RFC 6951), batches, ICMP errors, a pcapng tap. It feeds a [`Node`] and sends what the
//! node says; it knows nothing of what the node does.

mod config;
mod counters;
mod error_queue;
mod packet;
mod poller;
mod receive;
mod run;
mod send;
mod sockets;
mod tap;

pub use config::DriverConfig;
pub use counters::{Counter, DriverCounters};
pub use run::run;
pub use sockets::{BindError, Sockets};
pub use tap::{Tap, TapError};

use crate::{Datagram, Transmit, Unreachable};
use std::io;
use std::time::Instant;

/// A program without I/O: a signaling gateway, a controller, a name server, a load driver.
///
/// The loop: take a batch of inputs, call [`Node::flush`] once (what must be durable before anything leaves), then drain
/// [`Node::poll_transmit`], then sleep until [`Node::poll_timeout`].
pub trait Node {
    /// Requests from outside the loop (admin, control), carried by a channel.
    type Command: Send + 'static;
    /// A datagram came.
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram);
    /// An ICMP error came for something we sent.
    fn handle_unreachable(&mut self, now: Instant, error: &Unreachable);
    /// A request came.
    fn handle_command(&mut self, now: Instant, command: Self::Command);
    /// The time of `poll_timeout` has come.
    fn handle_timeout(&mut self, now: Instant);
    /// Writes out what must be on disk before the transmits that follow. An error ends the program.
    fn flush(&mut self, now: Instant) -> io::Result<()>;
    /// Next datagram to send.
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit>;
    /// When to call `handle_timeout` at the latest.
    fn poll_timeout(&self) -> Option<Instant>;
    /// True once the node is done (a clean stop that was asked for is complete).
    fn finished(&self) -> bool;
}
