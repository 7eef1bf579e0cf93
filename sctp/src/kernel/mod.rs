//! Associations of the kernel's SCTP (RFC 6458), as pure bookkeeping: [`KernelStack`] turns what a program wants into
//! [`Operation`]s and what the kernel says, as [`Notice`]s, into events. The sockets are in `driver::kernel`.
//!
//! Inside: `stack` has all associations and the rules that go over one socket, `face` is what a program sees of it; `assoc` is the
//! bookkeeping of one: messages that wait for room, messages the kernel has, paths, supervision; `settings` are
//! [`Config`](crate::Config) in the kernel's numbers.
//!
//! What differs from our own [`Stack`](crate::Stack), because the kernel does not tell it: acknowledgements are known when nothing
//! is outstanding any more ("sender dry", asked for now and then), so [`Associations::outstanding`](crate::Associations::outstanding) counts a message until
//! then; an ABORT without a cause cannot be told from silence and is `Silent`, one during the handshake is `ConnectFailed`; what waits
//! in our own queue when the *peer* begins a shutdown comes back undelivered.

mod assoc;
mod face;
mod settings;
mod stack;

pub use settings::Settings;
pub use stack::KernelStack;

use crate::{AssocId, PathState};
use bytes::Bytes;
use std::net::IpAddr;
use std::time::Duration;

/// Names an association of the kernel: a socket of the driver's (its number is never used again) and the id there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelId {
    /// Number of the socket.
    pub socket: u64,
    /// The kernel's association id (`sctp_assoc_t`).
    pub assoc: i32,
}

/// What the kernel tells of an association that is established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Our SCTP port.
    pub local_port: u16,
    /// The peer's SCTP port.
    pub peer_port: u16,
    /// The peer's addresses, the primary first.
    pub peer: Vec<IpAddr>,
    /// Streams we may send on.
    pub outbound_streams: u16,
    /// Streams the peer may send on.
    pub inbound_streams: u16,
}

/// How one of the peer's addresses is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathStatus {
    /// Which.
    pub address: IpAddr,
    /// Its state; `None` while it has not proved itself.
    pub state: Option<PathState>,
    /// Smoothed round trip; `None` before it is measured.
    pub rtt: Option<Duration>,
    /// Its retransmission timeout.
    pub rto: Duration,
}

/// What is new with one of the peer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathChange {
    /// Its state.
    State(PathState),
    /// It proved itself.
    Confirmed,
    /// It is the primary now.
    Primary,
}

/// What the kernel's SCTP says, in the order it says it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// [`Operation::Connect`] is on its way.
    Connecting {
        /// Which connect.
        assoc: AssocId,
        /// Its name from now on.
        kernel: KernelId,
    },
    /// [`Operation::Connect`] could not even begin.
    NotConnecting {
        /// Which connect.
        assoc: AssocId,
    },
    /// An association is established.
    Up {
        /// Which one.
        kernel: KernelId,
        /// All about it.
        started: Started,
    },
    /// The peer restarted; the messages it did not acknowledge were told before.
    Restarted {
        /// Which one.
        kernel: KernelId,
        /// All about it, anew.
        started: Started,
    },
    /// An association ended without a shutdown; the messages that were not acknowledged follow.
    Lost {
        /// Which one.
        kernel: KernelId,
        /// Cause code of the ABORT, sent or received; 0 for none.
        cause: u16,
        /// The peer sent ABORT with a cause.
        by_peer: bool,
    },
    /// A handshake failed.
    CannotStart {
        /// Which one.
        kernel: KernelId,
        /// Cause code of the ABORT; 0 for none.
        cause: u16,
    },
    /// A shutdown is complete.
    ShutdownComplete {
        /// Which one.
        kernel: KernelId,
    },
    /// The peer began a shutdown: no more can be sent.
    PeerShutdown {
        /// Which one.
        kernel: KernelId,
    },
    /// Something is new with one of the peer's addresses.
    Path {
        /// Which association.
        kernel: KernelId,
        /// Which address.
        address: IpAddr,
        /// What.
        change: PathChange,
    },
    /// A fragment of a message was not acknowledged when the association ended.
    SendFailed {
        /// Which association.
        kernel: KernelId,
        /// The message, as in [`Operation::Send`].
        context: u32,
        /// Bytes of the fragment.
        bytes: usize,
        /// It was on the wire.
        sent: bool,
    },
    /// The kernel took nothing of an [`Operation::Send`].
    NotTaken {
        /// Which association.
        kernel: KernelId,
        /// The message.
        context: u32,
        /// The socket has no room: [`Notice::Room`] follows some time. Else the association is ending, which is told too.
        full: bool,
    },
    /// A socket that was full has room again.
    Room {
        /// Number of the socket.
        socket: u64,
    },
    /// A message, or a piece of one.
    Message {
        /// From which association.
        kernel: KernelId,
        /// Its stream.
        stream: u16,
        /// Payload protocol identifier, host order.
        ppid: u32,
        /// It was sent with the U bit.
        unordered: bool,
        /// The message ends here.
        end: bool,
        /// The bytes.
        payload: Bytes,
    },
    /// The rest of a message that came in part will not come.
    PartialAborted {
        /// Which association.
        kernel: KernelId,
    },
    /// Everything sent is acknowledged.
    Dry {
        /// Which association.
        kernel: KernelId,
    },
    /// Answer to [`Operation::AskStatus`].
    Status {
        /// Which association.
        kernel: KernelId,
        /// Packets received so far.
        heard: u64,
        /// Chunks sent so far that want an answer.
        asked: u64,
        /// Those asked for.
        paths: Vec<PathStatus>,
    },
    /// Everything the kernel had on this socket was told.
    Empty {
        /// Number of the socket.
        socket: u64,
    },
    /// The socket was closed: its one association is over.
    SocketClosed {
        /// Number of the socket.
        socket: u64,
    },
}

/// What the kernel's SCTP is asked to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// How associations are to be from now on; before any other operation.
    Configure {
        /// Their settings.
        settings: Settings,
    },
    /// Takes associations on this SCTP port.
    Listen {
        /// The port.
        port: u16,
    },
    /// Takes no more associations on this SCTP port.
    StopListening {
        /// The port.
        port: u16,
    },
    /// Starts an association; answered by [`Notice::Connecting`] or [`Notice::NotConnecting`].
    Connect {
        /// The name in the answer.
        assoc: AssocId,
        /// The peer's addresses, the primary first.
        peer: Vec<IpAddr>,
        /// The peer's SCTP port.
        peer_port: u16,
        /// Our SCTP port; `None` takes a free one.
        local_port: Option<u16>,
    },
    /// Hands a message over; [`Notice::NotTaken`] when the kernel does not take it.
    Send {
        /// Which association.
        kernel: KernelId,
        /// Names the message in [`Notice::SendFailed`] and [`Notice::NotTaken`].
        context: u32,
        /// Its stream.
        stream: u16,
        /// Payload protocol identifier, host order.
        ppid: u32,
        /// Deliver without order (U bit).
        unordered: bool,
        /// Another message of this association follows at once.
        more: bool,
        /// The user data.
        payload: Bytes,
    },
    /// Graceful end.
    Shutdown {
        /// Which association.
        kernel: KernelId,
    },
    /// Ends at once with ABORT.
    Abort {
        /// Which association.
        kernel: KernelId,
        /// User-Initiated Abort reason; may be empty.
        reason: Bytes,
    },
    /// Wants [`Notice::Dry`] at once if nothing is outstanding.
    AskDry {
        /// Which association.
        kernel: KernelId,
    },
    /// Wants [`Notice::Status`].
    AskStatus {
        /// Which association.
        kernel: KernelId,
        /// The addresses to tell of.
        paths: Vec<IpAddr>,
        /// The peer's SCTP port.
        peer_port: u16,
    },
}
