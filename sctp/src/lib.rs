//! SCTP associations for signaling: a pure shell around the engine of `sctp-proto`.
//!
//! [`Stack`] owns every association of one node. It has no socket, no clock and no global randomness: it takes
//! datagrams and `now`, and gives datagrams, events and the next timeout. Rule of use, as in every machine of this
//! project: after each `handle_*` or application call, drain [`Stack::poll_transmit`] and [`Stack::poll_event`] until
//! `None`, then sleep until [`Stack::poll_timeout`]. `now` never goes backwards.
//!
//! Inside: `stack` finds the association of a packet and answers what needs none (INIT with a sealed cookie, packets out of the
//! blue); `assoc` is the life of one association: handshake, messages, shutdown, supervision; `queue` has the messages that are
//! not acknowledged, `flight` their TSNs and which of them are lost, `congestion` what one path may carry; `engine` is the only place that knows `sctp-proto`, which sees DATA and SACK and nothing else.
//!
//! Not there: partial reliability (RFC 3758), stream reset (RFC 6525), dynamic addresses (RFC 5061), authentication (RFC 4895),
//! I-DATA (RFC 8260), ECN. They are not announced, and their chunks are answered as unknown ones.

mod assoc;
mod associations;
mod clock;
pub mod config;
mod congestion;
mod cookie;
pub mod counters;
#[cfg(feature = "driver")]
pub mod driver;
mod engine;
pub mod event;
mod flight;
mod init;
pub mod kernel;
mod mtu;
mod path;
mod queue;
mod rng;
mod stack;
mod wire;

pub use assoc::State as ConnectionState;
pub use associations::{Associations, BackendKind, Input, Output, Transport, associations};
pub use clock::ClockAnchor;
pub use config::Config;
pub use counters::Counters;
pub use event::{CloseReason, Event, PathState, Undelivered};
pub use stack::{
    AssocId, AssocState, AssociationView, Connect, Datagram, Info, PathInfo, PathStats, PathView, SendError,
    SendOptions, Stack, TooBig, Transmit, Unreachable, association_views,
};

/// Payload protocol identifiers used by this project (host order; big-endian on the wire).
pub mod ppid {
    /// M3UA, RFC 4666 section 7.1.
    pub const M3UA: u32 = 3;
    /// ASAP, RFC 5352 section 8.3.
    pub const ASAP: u32 = 11;
    /// ENRP, RFC 5353 section 5.4.
    pub const ENRP: u32 = 12;
}
