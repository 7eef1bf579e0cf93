//! The associations as the pools and the network side use them.

use crate::pool::{How, Transport};
use crate::tcp::Carriers;
use bytes::Bytes;
use sctp::{AssocId, Associations, Connect, SendError, SendOptions};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The associations.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stack: Carriers,
    pub(crate) udp_port: u16,
}

impl Transport for Wire {
    fn connect(&mut self, now: Instant, addresses: &[IpAddr], port: u16) -> Option<AssocId> {
        let peer = addresses.iter().map(|ip| SocketAddr::new(*ip, self.udp_port)).collect();
        self.stack.connect(now, Connect { peer, peer_port: port, local_port: None }).ok()
    }
    fn send(&mut self, now: Instant, assoc: AssocId, how: How, payload: Bytes) -> Result<(), SendError> {
        let How { stream, ppid, unordered } = how;
        self.stack.send(now, assoc, SendOptions { stream, ppid, unordered, context: 0 }, payload)
    }
    fn abort(&mut self, now: Instant, assoc: AssocId) {
        self.stack.abort(now, assoc, b"given up");
    }
    fn shutdown(&mut self, now: Instant, assoc: AssocId) {
        self.stack.shutdown(now, assoc);
    }
    fn rtt(&self, assoc: AssocId) -> Option<Duration> {
        self.stack.rtt(assoc)
    }
}
