//! The associations of a pool element or a pool user: what its machine asks for, done with [`Associations`]. Pure.
//!
//! A pool element listens at the SCTP port from which it reached its home server: a server that takes it over opens an association
//! to there (RFC 5353 section 3.5.2). The port stays the same while the program lives, whichever server it registers with.

use asap::{ConnId, PeMachine, PuMachine, Transmit};
use sctp::{AssocId, Associations, Connect, SendOptions, ppid};
use std::net::SocketAddr;
use std::time::Instant;

/// What [`Link`] needs of a machine.
pub trait Machine {
    /// It listens where its own associations come from.
    const LISTENS: bool;
    /// See `handle_connected` of the machine.
    fn connected(&mut self, now: Instant, conn: ConnId);
    /// See `handle_accepted` of the pool element.
    fn accepted(&mut self) -> Option<ConnId>;
    /// See `handle_received` of the machine.
    fn received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]);
    /// See `handle_closed` of the machine.
    fn closed(&mut self, now: Instant, conn: ConnId);
}

impl Machine for PeMachine {
    const LISTENS: bool = true;
    fn connected(&mut self, now: Instant, conn: ConnId) {
        self.handle_connected(now, conn);
    }
    fn accepted(&mut self) -> Option<ConnId> {
        self.handle_accepted()
    }
    fn received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        self.handle_received(now, conn, bytes);
    }
    fn closed(&mut self, now: Instant, conn: ConnId) {
        self.handle_closed(now, conn);
    }
}

impl<T> Machine for PuMachine<T> {
    const LISTENS: bool = false;
    fn connected(&mut self, now: Instant, conn: ConnId) {
        self.handle_connected(now, conn);
    }
    fn accepted(&mut self) -> Option<ConnId> {
        None
    }
    fn received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        self.handle_received(now, conn, bytes);
    }
    fn closed(&mut self, now: Instant, conn: ConnId) {
        self.handle_closed(now, conn);
    }
}

/// What came of a [`Transmit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// An association is on its way: from now on it is this machine's, until `sctp::Event::Closed`.
    Opened(AssocId),
    /// None could be opened; the machine knows.
    NotOpened,
    /// A message was accepted for delivery.
    Sent,
    /// A message was not: the association is closing, or the server does not read. The machine's timers send again.
    NotSent(Option<AssocId>),
    /// The machine has let go of this association, which is being closed.
    Closing(AssocId),
    /// The machine let go of what was gone already.
    Nothing,
}

/// A machine's associations.
#[derive(Debug, Default)]
pub struct Link {
    /// One, more only while it hunts or is taken over.
    conns: Vec<(ConnId, AssocId)>,
    /// The port it listens at.
    port: Option<u16>,
}

impl Link {
    /// No association yet. A pool element listens at the port of its first association.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, for one of many in a process: at a port that is its own from the start. The caller makes the associations listen.
    #[must_use]
    pub fn at(port: u16) -> Self {
        Self { conns: Vec::new(), port: Some(port) }
    }

    /// The SCTP port at which servers reach it.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Its associations, up or on their way.
    pub fn associations(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.conns.iter().map(|(_, assoc)| *assoc)
    }

    /// The association of a connection.
    #[must_use]
    pub fn assoc(&self, conn: ConnId) -> Option<AssocId> {
        self.conns.iter().find(|(other, _)| *other == conn).map(|(_, assoc)| *assoc)
    }

    /// Whether an association is one of its own.
    #[must_use]
    pub fn has(&self, assoc: AssocId) -> bool {
        self.conn(assoc).is_some()
    }

    fn conn(&self, assoc: AssocId) -> Option<ConnId> {
        self.conns.iter().find(|(_, other)| *other == assoc).map(|(conn, _)| *conn)
    }

    /// Does what the machine asks for. `udp_port` is the UDP encapsulation port of the servers.
    pub fn perform(
        &mut self,
        now: Instant,
        stack: &mut dyn Associations,
        machine: &mut impl Machine,
        udp_port: u16,
        transmit: Transmit,
    ) -> Done {
        match transmit {
            Transmit::Connect { conn, server } => {
                let peer: Vec<_> = server.addresses.iter().map(|&ip| SocketAddr::new(ip, udp_port)).collect();
                match self.connect(now, stack, &peer, server.port) {
                    Some(assoc) => {
                        self.conns.push((conn, assoc));
                        Done::Opened(assoc)
                    }
                    None => {
                        machine.closed(now, conn);
                        Done::NotOpened
                    }
                }
            }
            Transmit::Send { conn, bytes } => {
                let Some(assoc) = self.assoc(conn) else { return Done::NotSent(None) };
                let options = SendOptions { ppid: ppid::ASAP, ..SendOptions::default() };
                match stack.send(now, assoc, options, bytes) {
                    Ok(()) => Done::Sent,
                    Err(_) => Done::NotSent(Some(assoc)),
                }
            }
            Transmit::Close { conn } => {
                let Some(assoc) = self.assoc(conn) else { return Done::Nothing };
                self.conns.retain(|(other, _)| *other != conn);
                stack.shutdown(now, assoc);
                Done::Closing(assoc)
            }
        }
    }

    /// From the port it listens at; while an association of that port to the same server is still closing, from another one.
    fn connect(&self, now: Instant, stack: &mut dyn Associations, to: &[SocketAddr], port: u16) -> Option<AssocId> {
        let mut from = |local_port| stack.connect(now, Connect { peer: to.to_vec(), peer_port: port, local_port }).ok();
        self.port.and_then(|own| from(Some(own))).or_else(|| from(None))
    }

    /// An association that it opened is up. Gives the port that it listens at from now on, if it did not before.
    pub fn up(
        &mut self,
        now: Instant,
        stack: &mut dyn Associations,
        machine: &mut impl Machine,
        assoc: AssocId,
        local_port: u16,
    ) -> Option<u16> {
        machine.connected(now, self.conn(assoc)?);
        if self.port.is_some() || !listens(machine) {
            return None;
        }
        stack.listen(local_port);
        self.port = Some(local_port);
        self.port
    }

    /// A server opened an association to the port it listens at. False: refuse it.
    pub fn accept(&mut self, machine: &mut impl Machine, assoc: AssocId) -> bool {
        let conn = machine.accepted();
        self.conns.extend(conn.map(|conn| (conn, assoc)));
        conn.is_some()
    }

    /// An ASAP message (PPID 11) came over an association. False: none of its own.
    pub fn message(&self, now: Instant, machine: &mut impl Machine, assoc: AssocId, bytes: &[u8]) -> bool {
        let conn = self.conn(assoc);
        if let Some(conn) = conn {
            machine.received(now, conn, bytes);
        }
        conn.is_some()
    }

    /// An association ended or did not come up. False: none of its own.
    pub fn closed(&mut self, now: Instant, machine: &mut impl Machine, assoc: AssocId) -> bool {
        let Some(conn) = self.conn(assoc) else { return false };
        self.conns.retain(|(other, _)| *other != conn);
        machine.closed(now, conn);
        true
    }
}

fn listens<M: Machine>(_: &M) -> bool {
    M::LISTENS
}
