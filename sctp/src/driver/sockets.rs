//! The UDP sockets: one for each own address.

use super::{DriverConfig, DriverCounters};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a socket cannot be had. Its text says what to do about it. An environment error (exit 3).
#[derive(Debug, thiserror::Error)]
#[error("cannot bind UDP {address}: {source}; {remedy}")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
    /// What to do.
    pub remedy: String,
}

/// The bound sockets of one node.
#[derive(Debug)]
pub struct Sockets {}

impl Sockets {
    /// Binds one socket for each address of the configuration.
    ///
    /// # Errors
    /// [`BindError`]: port in use, address not on this machine, no permission.
    pub fn bind(_config: &DriverConfig) -> Result<Self, BindError> {
        todo!()
    }
    /// The bound addresses with their port, in the order of the configuration.
    #[must_use]
    pub fn local(&self) -> Vec<SocketAddr> {
        todo!()
    }
    /// The counters; keep a clone to read them while the driver runs.
    #[must_use]
    pub fn counters(&self) -> Arc<DriverCounters> {
        todo!()
    }
}
