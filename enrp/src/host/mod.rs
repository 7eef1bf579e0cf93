//! One name server over the associations of a node: which association is whose, and what the [`Server`] wants done. Pure.
//!
//! The stand-alone [`Node`](crate::node::Node) and the gateway both give a [`Host`] the events of the associations that are its own
//! ([`Host::up`], [`Host::message`], [`Host::closed`]), and let it do what the server wants ([`Host::carry_out`]). What no association
//! carries comes and goes through [`Host::outside`] (TCP, multicast); messages for the program itself it fetches ([`Host::poll_message`]).
//!
//! An association is [`ClientId`] with its number. It is a peer's when it came to the ENRP port or was opened to one (PPID 12), else a
//! client's or a PE's (PPID 11): who may only reach the ASAP port cannot speak ENRP.

mod counters;
mod outside;
mod queued;
#[cfg(test)]
mod tests;

use crate::server::{Attempt, ClientId, Output, PeerAddress, Server};
use asap::wire::{ASAP_PORT, SctpTransport, TransportUse};
use bytes::Bytes;
pub use counters::HostCounters;
use outside::Outside;
pub use outside::{OutsideInput, Sink, TcpEnd};
use queued::Queued;
use sctp::{AssocId, Associations, CloseReason, Connect, SendError, SendOptions, ppid};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// SCTP port of ENRP (RFC 5353 section 5.4).
pub const ENRP_PORT: u16 = 9901;

/// Where a name server listens: SCTP ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// For PEs and pool users (RFC 5352 section 8.2: 3863).
    pub asap: u16,
    /// For peers (RFC 5353 section 5.4: 9901). `None`: this server is alone.
    pub enrp: Option<u16>,
}

impl Default for Ports {
    fn default() -> Self {
        Self { asap: ASAP_PORT, enrp: None }
    }
}

/// The other end of an association that is up.
#[derive(Debug)]
struct End {
    /// Its IP addresses with its SCTP port.
    source: Vec<SocketAddr>,
    /// What it may speak: ASAP or ENRP.
    ppid: u32,
}

/// A name server with its associations.
#[derive(Debug)]
pub struct Host {
    server: Server,
    ports: Ports,
    /// UDP encapsulation port of everybody.
    udp_port: u16,
    /// Associations that are up.
    up: BTreeMap<AssocId, End>,
    /// Connections that the server asked for and that are not up yet.
    connecting: BTreeMap<AssocId, Attempt>,
    /// For the program that the server lives in.
    messages: VecDeque<Bytes>,
    outside: Outside,
    queued: Queued,
    counters: HostCounters,
    /// It listens for clients.
    open: bool,
    stopping: bool,
}

impl Host {
    /// A host that listens at these ports. `udp_port` is the UDP encapsulation port of those that the server connects to.
    #[must_use]
    pub fn new(server: Server, ports: Ports, udp_port: u16) -> Self {
        let queued = Queued::new(server.config().queued_bytes_max);
        Self {
            server,
            ports,
            udp_port,
            up: BTreeMap::new(),
            connecting: BTreeMap::new(),
            messages: VecDeque::new(),
            outside: Outside::default(),
            queued,
            counters: HostCounters::default(),
            open: false,
            stopping: false,
        }
    }

    /// Makes the associations listen at the server's ports: for peers at once, for clients as soon as the server has what its peers
    /// have (RFC 5353 section 3.2).
    pub fn listen(&mut self, stack: &mut dyn Associations) {
        if let Some(port) = self.ports.enrp {
            stack.listen(port);
        }
        self.open(stack);
    }

    fn open(&mut self, stack: &mut dyn Associations) {
        if !self.open && self.server.is_ready() {
            self.open = true;
            stack.listen(self.ports.asap);
        }
    }

    /// Whether clients may come.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether what comes to this SCTP port is for the server.
    #[must_use]
    pub fn listens_at(&self, port: u16) -> bool {
        port == self.ports.asap || self.ports.enrp == Some(port)
    }

    /// The name server machine.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The same, to use. [`Host::carry_out`] must follow.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> HostCounters {
        self.counters
    }

    /// How many associations are up.
    #[must_use]
    pub fn association_count(&self) -> usize {
        self.up.len()
    }

    /// Every association of the server, up or on its way.
    pub fn associations(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.up.keys().chain(self.connecting.keys()).copied()
    }

    /// Whether an association is the server's.
    #[must_use]
    pub fn has(&self, assoc: AssocId) -> bool {
        self.up.contains_key(&assoc) || self.connecting.contains_key(&assoc)
    }

    /// An association is up: one that came to a port of the server (`local_port`), or that the server asked for. `peer` are the
    /// addresses of the other end, `peer_port` is its SCTP port.
    pub fn up(
        &mut self,
        now: Instant,
        stack: &mut dyn Associations,
        assoc: AssocId,
        local_port: u16,
        peer: &[SocketAddr],
        peer_port: u16,
    ) {
        self.counters.associations += 1;
        let source: Vec<_> = peer.iter().map(|peer| SocketAddr::new(peer.ip(), peer_port)).collect();
        let attempt = self.connecting.remove(&assoc);
        let peers = attempt.map_or(self.ports.enrp == Some(local_port), Attempt::is_to_peer);
        if let Some(attempt) = attempt {
            self.server.connected(now, attempt, ClientId(assoc.0), &source);
        }
        self.up.insert(assoc, End { source, ppid: if peers { ppid::ENRP } else { ppid::ASAP } });
        if self.stopping {
            stack.shutdown(now, assoc);
        }
    }

    /// A message came over one of the server's associations.
    pub fn message(&mut self, now: Instant, assoc: AssocId, ppid: u32, payload: &[u8]) {
        match self.up.get(&assoc).filter(|end| end.ppid == ppid) {
            Some(End { source, ppid: ppid::ASAP }) => {
                self.server.handle_message(now, ClientId(assoc.0), source, payload);
            }
            Some(End { source, .. }) => self.server.handle_enrp(now, ClientId(assoc.0), source, payload),
            None => self.counters.wrong_ppid += 1,
        }
    }

    /// An association is over, or did not come up. False: it is none of the server's.
    pub fn closed(&mut self, now: Instant, assoc: AssocId, reason: &CloseReason) -> bool {
        if let Some(attempt) = self.connecting.remove(&assoc) {
            self.counters.connects_failed += 1;
            self.server.connect_failed(now, attempt);
            return true;
        }
        let known = self.up.remove(&assoc).is_some();
        if known {
            self.server.client_lost(now, ClientId(assoc.0), reason.is_certain());
        }
        known
    }

    /// Does what the server wants done. False: it wanted nothing.
    pub fn carry_out(&mut self, now: Instant, stack: &mut dyn Associations) -> bool {
        let mut some = false;
        self.open(stack);
        while let Some(output) = self.server.poll_output() {
            some = true;
            match output {
                Output::Asap { client, bytes } if is_association(client) => {
                    self.send(now, stack, client, ppid::ASAP, bytes);
                }
                Output::Asap { client: ClientId::LOCAL, bytes } => self.messages.push_back(bytes),
                Output::Asap { client, bytes } => {
                    self.outside.send(now, &mut self.server, &mut self.counters, client, bytes);
                }
                Output::Enrp { client, bytes } => self.send(now, stack, client, ppid::ENRP, bytes),
                Output::Connect { attempt, to, local_port } => self.connect(now, stack, attempt, &to, local_port),
                Output::Close { client } => stack.shutdown(now, AssocId(client.0)),
                Output::Multicast { group, bytes } => self.outside.datagram(&mut self.counters, group, bytes),
            }
        }
        some
    }

    /// The next ASAP message for the program that the server lives in ([`ClientId::LOCAL`]).
    pub fn poll_message(&mut self) -> Option<Bytes> {
        self.messages.pop_front()
    }

    /// Takes what came over TCP or from a multicast group. [`Host::carry_out`] must follow.
    pub fn outside(&mut self, now: Instant, input: OutsideInput) {
        self.outside.input(now, &mut self.server, &mut self.counters, input);
    }

    /// How many pool users are connected over TCP.
    #[must_use]
    pub fn tcp_count(&self) -> usize {
        self.outside.count()
    }

    /// The next change of the handlespace.
    pub fn poll_event(&mut self) -> Option<crate::Event> {
        self.server.poll_event()
    }

    /// The peers that configuration and DNS name now.
    pub fn set_peers(&mut self, now: Instant, peers: Vec<PeerAddress>) {
        self.server.set_peers(now, peers);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.server.handle_timeout(now);
    }

    /// When to call [`Host::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.server.poll_timeout()
    }

    /// Ends every association, and what comes up from now on. All at once, so that no user and no peer can still be told that the
    /// elements whose associations end with its own are gone: nothing is sent on an association that is closing.
    pub fn stop(&mut self, now: Instant, stack: &mut dyn Associations) {
        self.stopping = true;
        self.outside.stop();
        for assoc in self.associations() {
            stack.shutdown(now, assoc);
        }
    }

    fn connect(
        &mut self,
        now: Instant,
        stack: &mut dyn Associations,
        attempt: Attempt,
        to: &SctpTransport,
        local_port: Option<u16>,
    ) {
        let peer = to.addresses.iter().map(|&ip| SocketAddr::new(ip, self.udp_port)).collect();
        self.counters.connects += 1;
        let assoc = if self.stopping {
            Err(SendError::NotOpen)
        } else {
            stack.connect(now, Connect { peer, peer_port: to.port, local_port })
        };
        match assoc {
            Ok(assoc) => drop(self.connecting.insert(assoc, attempt)),
            Err(_) => {
                self.counters.connects_failed += 1;
                self.server.connect_failed(now, attempt);
            }
        }
    }

    fn send(&mut self, now: Instant, stack: &mut dyn Associations, client: ClientId, ppid: u32, bytes: Bytes) {
        let assoc = AssocId(client.0);
        let count = bytes.len();
        match stack.send(now, assoc, SendOptions { ppid, ..SendOptions::default() }, bytes) {
            Ok(()) => {
                // Many that do not read cost as much together as one that is let do so.
                let waiting = |assoc| stack.outstanding(assoc).1;
                if let Some(slow) = self.queued.add(assoc, count, waiting) {
                    self.counters.slow_clients += 1;
                    stack.abort(now, slow, b"client does not read");
                }
            }
            Err(SendError::QueueFull) => {
                // It does not read. Waiting for it would cost memory; gone, it is out of the pools and can come back.
                self.counters.slow_clients += 1;
                stack.abort(now, assoc, b"client does not read");
            }
            // Nothing that the client did.
            Err(SendError::BadLength) => self.counters.unsendable += 1,
            Err(SendError::NotOpen | SendError::NoSuchStream) => {
                self.counters.unsendable += 1;
                if ppid == ppid::ASAP {
                    self.server.send_failed(now, client);
                }
            }
        }
    }
}

/// Where a server with these addresses is for its peers.
#[must_use]
pub fn enrp_transport(addresses: Vec<IpAddr>, port: u16) -> SctpTransport {
    SctpTransport { port, transport_use: TransportUse::DataOnly, addresses: addresses.into() }
}

/// Associations are numbered from 1; the others are far above.
fn is_association(client: ClientId) -> bool {
    client < ClientId::OUTSIDE
}
