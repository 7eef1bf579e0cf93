//! Ties it together: one thread, one node, its sockets, admin, signals.

use super::{AdminRequest, DaemonConfig, DaemonError};
use sctp::ClockAnchor;
use sctp::driver::{DriverConfig, Node};
use std::net::SocketAddr;
use std::time::Instant;

/// What the shell asks of a node. A node's command type is this, or can be made from it.
#[derive(Debug)]
pub enum DaemonCommand {
    /// The admin server asks.
    Admin(AdminRequest),
    /// SIGTERM or SIGINT came: end cleanly, then be `finished`.
    Stop,
}

/// What a node gets at its birth.
#[derive(Debug, Clone)]
pub struct Start {
    /// Now.
    pub now: Instant,
    /// The same moment on both clocks.
    pub clock: ClockAnchor,
    /// Randomness from the operating system.
    pub seed: [u8; 32],
    /// The bound addresses with their UDP port.
    pub local: Vec<SocketAddr>,
}

/// Binds the sockets, makes the node, runs it until it has finished or a stop took longer than `stop_ms`.
///
/// Returns the node, or `None` when the stop took too long or a second signal came.
///
/// # Errors
/// `make`'s error; environment: sockets, capture, admin address, a flush that failed.
pub fn run_daemon<N>(
    _name: &str,
    _config: &DaemonConfig,
    _udp: &DriverConfig,
    _make: impl FnOnce(&Start) -> Result<N, DaemonError>,
) -> Result<Option<N>, DaemonError>
where
    N: Node,
    N::Command: From<DaemonCommand>,
{
    todo!()
}
