//! Whose business each association of the gateway is: its beginning, its messages and its end go to the part that owns it.

use super::Node;
use crate::config::As;
use crate::network::Inbound;
use bytes::Bytes;
use sctp::{AssocId, Associations as _, CloseReason, Event, Undelivered, ppid};
use std::net::SocketAddr;
use std::time::Instant;

/// Whose business an association is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A controller of this pool.
    Pool(usize),
    /// A peer of the network side.
    Network,
    /// Of the embedded name server: a client or a peer.
    Host,
    /// A name server outside.
    NameServer,
    /// The other one of two gateways.
    Mate,
}

impl Role {
    /// The other end, as the record says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pool(_) => "pool",
            Self::Network => "network",
            Self::Host => "client",
            Self::NameServer => "name-server",
            Self::Mate => "mate",
        }
    }

    /// Signaling traffic goes over it.
    pub(super) fn is_traffic(self) -> bool {
        match self {
            Self::Pool(_) | Self::Network => true,
            Self::Host | Self::NameServer | Self::Mate => false,
        }
    }
}

impl Node {
    pub(super) fn association_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up { assoc, local_port, peer_port, peer, incoming, outbound_streams, inbound_streams } => {
                if incoming {
                    self.incoming(now, assoc, local_port, peer_port, &peer, outbound_streams);
                } else {
                    self.outgoing(now, assoc, (&peer, peer_port), outbound_streams, inbound_streams);
                }
            }
            Event::Message { assoc, stream, ppid, unordered, payload } => {
                self.message(now, assoc, stream, ppid, unordered, &payload);
            }
            Event::Closed { assoc, reason, undelivered } => {
                if let Some(role) = self.roles.get(&assoc) {
                    self.record.ended(now, role.name(), &reason);
                }
                self.association_closed(now, assoc, &reason, undelivered);
            }
            // Selection sees associations, not their paths (P3).
            Event::Path { assoc, address, state } => {
                if let Some(role) = self.roles.get(&assoc) {
                    self.record.path(now, role.name(), address.ip(), state);
                }
            }
            _ => {}
        }
    }

    /// What the other end of an association is.
    pub(crate) fn role_name(&self, assoc: AssocId) -> &'static str {
        self.roles.get(&assoc).map_or("closing", |role| role.name())
    }

    fn association_closed(
        &mut self,
        now: Instant,
        assoc: AssocId,
        reason: &CloseReason,
        undelivered: Vec<Undelivered>,
    ) {
        match self.roles.remove(&assoc) {
            Some(Role::Network) => self.with_network(now, |network, cx| network.closed(cx, assoc, undelivered)),
            Some(Role::Host | Role::NameServer) => drop(self.names.closed(now, assoc, reason)),
            Some(Role::Mate) => {
                self.with_mate(now, |mate, cx| mate.closed(cx, assoc, reason));
            }
            Some(Role::Pool(index)) => {
                self.with_pool(now, index, |pool, cx| pool.closed(cx, assoc, reason));
            }
            // It never came up.
            None => {
                if self.with_mate(now, |mate, cx| mate.closed(cx, assoc, reason)) {
                    return;
                }
                self.with_network(now, |network, cx| network.closed(cx, assoc, undelivered));
                let mine = |node: &mut Self, index| node.with_pool(now, index, |p, cx| p.closed(cx, assoc, reason));
                let _ = self.names.closed(now, assoc, reason) || (0..self.pools.len()).any(|index| mine(self, index));
            }
        }
    }

    fn incoming(
        &mut self,
        now: Instant,
        assoc: AssocId,
        local_port: u16,
        peer_port: u16,
        peer: &[SocketAddr],
        outbound: u16,
    ) {
        if self.stop.is_some() {
            return self.wire.stack.shutdown(now, assoc);
        }
        let is_asp = |server: &As| peer.iter().any(|address| server.asps.contains(&address.ip()));
        if local_port == self.config.network.port
            && let Some(index) = self.config.application_servers.iter().position(is_asp)
        {
            self.roles.insert(assoc, Role::Pool(index));
            if !self.with_pool(now, index, |pool, cx| pool.attach(cx, assoc, (peer, peer_port), outbound)) {
                self.wire.stack.abort(now, assoc, b"no room for one more ASP");
            }
        } else if local_port == self.config.network.port {
            self.roles.insert(assoc, Role::Network);
            self.with_network(now, |network, cx| network.up(cx, assoc, peer, outbound));
        } else if self.mate.is_mate(local_port, peer) {
            self.roles.insert(assoc, Role::Mate);
            self.with_mate(now, |mate, cx| mate.attached(cx, assoc));
        } else if self.names.listens_at(local_port) {
            self.host_up(now, assoc, local_port, (peer, peer_port));
        } else {
            self.counters.strangers += 1;
            self.wire.stack.abort(now, assoc, b"nobody listens");
        }
    }

    fn host_up(&mut self, now: Instant, assoc: AssocId, local_port: u16, peer: (&[SocketAddr], u16)) {
        self.roles.insert(assoc, Role::Host);
        if let Some(host) = self.names.host() {
            host.up(now, &mut self.wire.stack, assoc, local_port, peer.0, peer.1);
        }
    }

    fn outgoing(&mut self, now: Instant, assoc: AssocId, peer: (&[SocketAddr], u16), outbound: u16, inbound: u16) {
        if self.names.host().is_some_and(|host| host.has(assoc)) {
            // The local port says nothing: the host knows what it asked for.
            return self.host_up(now, assoc, 0, peer);
        }
        if self.names.server_up(now, &mut self.wire.stack, assoc, 0) {
            self.roles.insert(assoc, Role::NameServer);
            return;
        }
        if self.with_mate(now, |mate, cx| mate.up(cx, assoc)) {
            self.roles.insert(assoc, Role::Mate);
            return;
        }
        if self.with_network(now, |network, cx| network.link_up(cx, assoc, peer.0, (outbound, inbound))) {
            self.roles.insert(assoc, Role::Network);
            return;
        }
        for index in 0..self.pools.len() {
            if self.with_pool(now, index, |pool, cx| pool.up(cx, assoc, outbound, inbound)) {
                self.roles.insert(assoc, Role::Pool(index));
                return;
            }
        }
        self.counters.strangers += 1;
        self.wire.stack.abort(now, assoc, b"not wanted any more");
    }

    fn message(&mut self, now: Instant, assoc: AssocId, stream: u16, ppid: u32, unordered: bool, payload: &Bytes) {
        match self.roles.get(&assoc) {
            Some(Role::Pool(index)) => {
                let index = *index;
                self.with_pool(now, index, |pool, cx| pool.message(cx, assoc, stream, ppid, unordered, payload));
                self.registrations(now, index);
            }
            Some(Role::Network) => {
                let inbound =
                    self.with_network(now, |network, cx| network.message(cx, assoc, stream, ppid, unordered, payload));
                match inbound {
                    Some(Inbound::Data(traffic, id)) => self.data(now, assoc, (&traffic, id), payload),
                    Some(Inbound::Barrier(stream, data)) => self.barrier(assoc, stream, data),
                    Some(Inbound::Audit(audit)) => self.audit(now, assoc, &audit),
                    Some(Inbound::Active) => self.tell_unavailable(now, assoc),
                    None => {}
                }
            }
            Some(Role::Host) => {
                if let Some(host) = self.names.host() {
                    host.message(now, assoc, ppid, payload);
                }
            }
            Some(Role::Mate) => self.with_mate(now, |mate, cx| mate.message(cx, assoc, payload)),
            Some(Role::NameServer) if ppid == ppid::ASAP => self.names.server_message(now, assoc, payload),
            Some(Role::NameServer) | None => self.counters.strangers += 1,
        }
    }
}
