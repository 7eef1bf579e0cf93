//! The gateways that the controller attaches to as an ordinary ASP, instead of being found in a pool (RFC 4666 section 1.4.8: the ASP
//! opens the association).

use crate::config::Config;
use sctp::{AssocId, Associations, Connect};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The way to one gateway.
#[derive(Debug)]
struct Way {
    gateway: IpAddr,
    assoc: Option<AssocId>,
    /// When to try; meant while there is no association.
    at: Instant,
}

/// The ways to all of them; none for a pool element.
#[derive(Debug)]
pub(crate) struct Attachments {
    ways: Vec<Way>,
    /// From the end of an association to the next one.
    pause: Duration,
    udp_port: u16,
    port: u16,
}

impl Attachments {
    /// Tries at once.
    pub(crate) fn new(now: Instant, config: &Config) -> Self {
        let way = |gateway: &IpAddr| Way { gateway: *gateway, assoc: None, at: now };
        Self {
            ways: config.m3ua.gateways.iter().map(way).collect(),
            pause: Duration::from_millis(config.m3ua.refused_retry_ms),
            udp_port: config.udp.port,
            port: config.m3ua.port,
        }
    }

    /// Opens an association that is due; what the node has to keep.
    pub(crate) fn step(&mut self, now: Instant, stack: &mut dyn Associations) -> Option<AssocId> {
        let way = self.ways.iter_mut().find(|way| way.assoc.is_none() && way.at <= now)?;
        // From a port of its own: the gateway knows it again after a restart.
        let peer = vec![SocketAddr::new(way.gateway, self.udp_port)];
        let connect = Connect { peer, peer_port: self.port, local_port: Some(self.port) };
        way.assoc = stack.connect(now, connect).ok();
        way.at = now + self.pause;
        way.assoc
    }

    /// An association ended or did not come up.
    pub(crate) fn closed(&mut self, now: Instant, assoc: AssocId) {
        if let Some(way) = self.ways.iter_mut().find(|way| way.assoc == Some(assoc)) {
            way.assoc = None;
            way.at = now + self.pause;
        }
    }

    /// No more attempts.
    pub(crate) fn stop(&mut self) {
        self.ways.clear();
    }

    /// When the next attempt is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.ways.iter().filter(|way| way.assoc.is_none()).map(|way| way.at).min()
    }
}
