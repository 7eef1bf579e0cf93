//! The tokio driver: sockets, batches, ICMP errors, a pcapng tap. It feeds a [`Node`] and sends what the node says; it knows
//! nothing of what the node does. How packets travel is a backend's business: `packets` (UDP, RFC 6951, and raw IP, protocol 132) and `kernel`.

mod backend;
mod config;
mod counters;
mod error_queue;
mod kernel;
mod packet;
mod packets;
mod poller;
mod run;
mod tap;

pub use backend::{BindError, Sockets};
pub use config::DriverConfig;
pub use counters::{Counter, DriverCounters};
pub use run::run;
pub use tap::{Tap, TapError};

use crate::{Input, Output};
use std::io;
use std::time::Instant;

/// A program without I/O: a signaling gateway, a controller, a name server, a load driver.
///
/// The loop: take a batch of inputs, call [`Node::flush`] once (what must be durable before anything leaves), then drain
/// [`Node::poll_output`], then sleep until [`Node::poll_timeout`].
pub trait Node {
    /// Requests from outside the loop (admin, control), carried by a channel.
    type Command: Send + 'static;
    /// A packet, an ICMP error for something we sent, or a notice of the kernel's SCTP came.
    fn handle_input(&mut self, now: Instant, input: Input);
    /// A request came.
    fn handle_command(&mut self, now: Instant, command: Self::Command);
    /// The time of `poll_timeout` has come.
    fn handle_timeout(&mut self, now: Instant);
    /// Writes out what must be on disk before the outputs that follow. An error ends the program.
    fn flush(&mut self, now: Instant) -> io::Result<()>;
    /// Next thing to send.
    fn poll_output(&mut self, now: Instant) -> Option<Output>;
    /// When to call `handle_timeout` at the latest.
    fn poll_timeout(&self) -> Option<Instant>;
    /// True once the node is done (a clean stop that was asked for is complete).
    fn finished(&self) -> bool;
}
