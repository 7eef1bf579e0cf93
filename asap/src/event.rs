//! What the machines put out: transmits (same for both) and events for the application.

use crate::config::ServerAddress;
use crate::wire::{OperationError, PeId, Policy, PoolElement, PoolHandle, ServerId};
use bytes::Bytes;

/// A connection (SCTP association, PPID 11) to an ENRP server, numbered by the machine that asked for it: two machines in one
/// node have equal numbers for different connections. Never used again within a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The connection of a pool user to a server in its own process: always up, never asked for, never closed.
    pub const EMBEDDED: ConnId = ConnId(0);
}

/// What the caller has to do for a machine, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Open an association to the server; answer with `handle_connected` or `handle_closed`.
    Connect {
        /// The name this connection has from now on.
        conn: ConnId,
        /// Where the server is.
        server: ServerAddress,
    },
    /// Send one ASAP message: PPID 11, ordered, stream 0.
    Send {
        /// On which connection.
        conn: ConnId,
        /// The whole encoded message.
        bytes: Bytes,
    },
    /// Close the association cleanly. The machine has forgotten it: no `handle_closed` is needed, a late one is ignored.
    Close {
        /// Which connection.
        conn: ConnId,
    },
}

/// Why a registration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeregisterCause {
    /// The application asked for it and the server confirmed, or T3 ran out.
    Requested,
    /// The server said so unasked: the registration life ran out (RFC 5352 3.2). The machine registers again.
    Expired,
}

/// What a pool element's application is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeEvent {
    /// The handle is registered (first time, or again after a loss). Periodic re-registrations are silent.
    Registered {
        /// Registered name.
        handle: PoolHandle,
        /// The server changed values of the registration (R = 0 with an error parameter).
        warning: Option<OperationError>,
    },
    /// The server rejected the registration. It is not repeated until `register` is called with corrected values (RFC 5352 3.1);
    /// unless all it says is Lack of Resources: then it is tried again after `refused_retry_ms`, and `Registered` follows when there is
    /// room (told once, however often that is). After `deregister`: it rejected that; the machine has let go of the handle, the registration ends with its life.
    Refused {
        /// Refused name.
        handle: PoolHandle,
        /// Its causes; empty when the server gave none.
        error: OperationError,
    },
    /// Contact with the home server is lost; the machine hunts for another.
    ServerLost,
    /// A home server is there (first, next, or one that took over with H = 1).
    HomeServer {
        /// Connection to it.
        conn: ConnId,
        /// Its identifier, known after a keep-alive.
        server: Option<ServerId>,
    },
    /// The registration ended.
    Deregistered {
        /// Which name.
        handle: PoolHandle,
        /// Why.
        cause: DeregisterCause,
    },
}

/// What a pool user's application is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PuEvent {
    /// A handle that was being asked for has an answer. Queued items can be taken with `take_queued`.
    Resolved {
        /// Name.
        handle: PoolHandle,
        /// The pool's policy.
        policy: Policy,
        /// The pool's elements as the server listed them.
        elements: Vec<PoolElement>,
    },
    /// An answer or an update changed a pool in the cache.
    PoolChanged {
        /// Name.
        handle: PoolHandle,
        /// Elements that are new.
        added: Vec<PeId>,
        /// Elements that are gone. Empty pools stay in the cache with no elements.
        removed: Vec<PeId>,
        /// Elements with other transport or policy values.
        changed: Vec<PeId>,
    },
    /// The server does not know the handle, or has no element of it in service, or refuses. Told once per use of the handle;
    /// the machine goes on asking and `Resolved` follows when the pool comes. Queued items stay for `take_queued`.
    UnknownHandle {
        /// Name.
        handle: PoolHandle,
        /// The server's causes.
        error: OperationError,
    },
    /// No server answered the request within T1 and its retransmissions; the machine hunts and asks the next one.
    NoAnswer {
        /// Name.
        handle: PoolHandle,
    },
    /// Contact with the name server is lost; the machine hunts. The cache goes on being used.
    ServerLost,
    /// A name server is there; what is pending is asked again, subscriptions are renewed.
    ServerFound {
        /// Connection to it.
        conn: ConnId,
    },
}
