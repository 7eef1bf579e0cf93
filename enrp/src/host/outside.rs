//! Clients of the server that no association carries: pool users over TCP (RFC 5352 section 3.3), and the two multicast groups.
//! The shell says what comes from them, and gives a [`Sink`] for what goes to them.

use super::HostCounters;
use crate::server::{ClientId, Multicast, Server};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

/// Where messages for a TCP connection, or datagrams for a group, go. Dropping it ends the connection when all of it is sent.
pub trait Sink: fmt::Debug + Send {
    /// Takes a message. False: there is no room, or nobody there.
    fn send(&mut self, bytes: Bytes) -> bool;
    /// Bytes that were taken and have not left yet.
    fn waiting(&self) -> usize {
        0
    }
}

/// What the shell says.
#[derive(Debug)]
pub enum OutsideInput {
    /// A TCP connection came. `client` is [`ClientId::OUTSIDE`] or after it, and never used again.
    Connected {
        /// Names it.
        client: ClientId,
        /// The other end.
        source: SocketAddr,
        /// To the other end.
        sink: Box<dyn Sink>,
    },
    /// A whole ASAP message came over it.
    Message {
        /// From whom.
        client: ClientId,
        /// The message, without padding behind it.
        bytes: Bytes,
    },
    /// It ended.
    Ended {
        /// Which one.
        client: ClientId,
        /// Why.
        end: TcpEnd,
    },
    /// A TCP connection came that there was no room for.
    Refused,
    /// Datagrams for the group go here from now on.
    Joined {
        /// Which group.
        group: Multicast,
        /// To the group.
        sink: Box<dyn Sink>,
    },
    /// A datagram came from a group.
    Datagram {
        /// Which group.
        group: Multicast,
        /// The sender's address and UDP port.
        source: SocketAddr,
        /// All of it.
        bytes: Bytes,
    },
    /// So many datagrams of the groups were not taken.
    Missed(u64),
}

/// Why a TCP connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpEnd {
    /// The other end closed it, or it broke.
    Closed,
    /// What came was no message.
    Malformed,
    /// Nothing came or went for too long, or a message that had begun did not end.
    Idle,
}

/// Those that are there.
#[derive(Debug, Default)]
pub(super) struct Outside {
    users: BTreeMap<ClientId, User>,
    asap: Option<Box<dyn Sink>>,
    enrp: Option<Box<dyn Sink>>,
    stopping: bool,
}

#[derive(Debug)]
struct User {
    source: SocketAddr,
    sink: Box<dyn Sink>,
}

impl Outside {
    /// Takes what the shell says.
    pub(super) fn input(
        &mut self,
        now: Instant,
        server: &mut Server,
        counters: &mut HostCounters,
        input: OutsideInput,
    ) {
        match input {
            OutsideInput::Connected { client, source, sink } => {
                counters.tcp_connections += 1;
                if !self.stopping {
                    self.users.insert(client, User { source, sink });
                }
            }
            OutsideInput::Message { client, bytes } => {
                // Not there any more: it did not read, or we are stopping.
                if let Some(user) = self.users.get(&client) {
                    server.handle_message(now, client, &[user.source], &bytes);
                }
            }
            OutsideInput::Ended { client, end } => {
                match end {
                    TcpEnd::Closed => {}
                    TcpEnd::Malformed => counters.tcp_malformed += 1,
                    TcpEnd::Idle => counters.tcp_idle += 1,
                }
                self.lost(now, server, client);
            }
            OutsideInput::Refused => counters.tcp_refused += 1,
            OutsideInput::Joined { group, sink } => *self.group(group) = Some(sink),
            OutsideInput::Datagram { group, source, bytes } => {
                counters.datagrams_in += 1;
                server.handle_multicast(now, group, source, &bytes);
            }
            OutsideInput::Missed(datagrams) => counters.datagrams_missed += datagrams,
        }
    }

    /// How many TCP connections there are.
    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    /// A message for a pool user over TCP.
    pub(super) fn send(
        &mut self,
        now: Instant,
        server: &mut Server,
        counters: &mut HostCounters,
        client: ClientId,
        bytes: Bytes,
    ) {
        let Some(user) = self.users.get_mut(&client) else {
            counters.unsendable += 1;
            return;
        };
        if !user.sink.send(bytes) {
            // As with an association: waiting for it would cost memory.
            counters.slow_clients += 1;
            self.lost(now, server, client);
        }
    }

    /// A datagram for a group. One that nobody has joined, or that is full, does not get it: the next one comes soon.
    pub(super) fn datagram(&mut self, counters: &mut HostCounters, group: Multicast, bytes: Bytes) {
        let sent = self.group(group).as_mut().is_some_and(|sink| sink.send(bytes));
        let counter = if sent { &mut counters.datagrams_out } else { &mut counters.datagrams_unsent };
        *counter += 1;
    }

    /// Ends all connections, and takes no more.
    pub(super) fn stop(&mut self) {
        *self = Self { stopping: true, ..Self::default() };
    }

    fn group(&mut self, group: Multicast) -> &mut Option<Box<dyn Sink>> {
        match group {
            Multicast::Asap => &mut self.asap,
            Multicast::Enrp => &mut self.enrp,
        }
    }

    fn lost(&mut self, now: Instant, server: &mut Server, client: ClientId) {
        if self.users.remove(&client).is_some() {
            server.client_lost(now, client, true);
        }
    }
}
