//! What a [`Server`](crate::Server) tells the program it lives in.

use crate::handlespace::SuspensionReason;
use asap::wire::{PeId, PoolElement, PoolHandle, ServerId};
use serde::Serialize;

/// A change of the handlespace, whoever made it, or of the peers. Every change of a PE gives exactly one event, but for a change
/// of its home alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A PE joined a pool (the first one makes the pool).
    Registered {
        /// Its pool.
        handle: PoolHandle,
        /// The PE as recorded: home server and ASAP transport filled in.
        element: PoolElement,
    },
    /// A PE registered again; its values may have changed.
    Reregistered {
        /// Its pool.
        handle: PoolHandle,
        /// The PE as recorded now.
        element: PoolElement,
        /// Something a pool user sees is another: transport or policy values.
        changed: bool,
    },
    /// A PE left its pool (the last one takes the pool with it).
    Deregistered {
        /// Its pool.
        handle: PoolHandle,
        /// Which PE.
        pe: PeId,
        /// Why.
        cause: RemovalCause,
    },
    /// A PE stays registered, but is no longer selected.
    Suspended {
        /// Its pool.
        handle: PoolHandle,
        /// Which PE.
        pe: PeId,
        /// The reason that came up now (there may be others).
        reason: SuspensionReason,
    },
    /// A suspended PE is selected again: no reason is left.
    Resumed {
        /// Its pool.
        handle: PoolHandle,
        /// Which PE.
        pe: PeId,
    },
    /// Another name server became a peer.
    PeerUp {
        /// Its identifier.
        server: ServerId,
    },
    /// A peer is dead.
    PeerDead {
        /// Its identifier.
        server: ServerId,
    },
    /// The PEs of a dead server have a new home; nothing else about them changed.
    TakenOver {
        /// The dead server.
        server: ServerId,
        /// The new home: this server or a peer.
        by: ServerId,
        /// How many PEs.
        pes: usize,
    },
}

/// Why a PE was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemovalCause {
    /// It deregistered (RFC 5352 section 3.2).
    Deregistration,
    /// Its registration life ran out (RFC 5352 section 3.2).
    Expired,
    /// It missed more keep-alives than `keep_alive_misses_max`.
    KeepAlive,
    /// A message to it could not be sent (RFC 5352 section 3.5).
    SendFailed,
    /// More reports than MAX-BAD-PE-REPORT (RFC 5352 section 3.5).
    Reported,
    /// Its association ended, and its process certainly no longer acts (shut down, aborted, port unreachable).
    AssociationEnded,
    /// Its association ended without a sign of the process's end (silence).
    AssociationSilent,
    /// The server that owns it removed it, or does not list it.
    Peer,
    /// Its pool has another policy or transport type at another server, and that one holds (see `enrp/src/peers/mod.rs`).
    PoolKind,
}
