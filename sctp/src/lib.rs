//! SCTP associations for signaling: a pure shell around the engine of `sctp-proto`.
//!
//! [`Stack`] owns every association of one node. It has no socket, no clock and no global randomness: it takes
//! datagrams and `now`, and gives datagrams, events and the next timeout. Rule of use, as in every machine of this
//! project: after each `handle_*` or application call, drain [`Stack::poll_transmit`] and [`Stack::poll_event`] until
//! `None`, then sleep until [`Stack::poll_timeout`]. `now` never goes backwards.

mod clock;
mod assoc;
pub mod config;
mod cookie;
pub mod counters;
#[cfg(feature = "driver")]
pub mod driver;
mod engine;
pub mod event;
mod init;
mod path;
mod queue;
mod rng;
mod stack;
mod wire;

pub use clock::ClockAnchor;
pub use config::Config;
pub use event::{CloseReason, Event, PathState, Undelivered};
pub use counters::Counters;
pub use stack::{AssocId, AssocState, Connect, Datagram, Info, PathInfo, SendError, SendOptions, Stack, Transmit, Unreachable};

/// Payload protocol identifiers used by this project (host order; big-endian on the wire).
pub mod ppid {
    /// M3UA, RFC 4666 section 7.1.
    pub const M3UA: u32 = 3;
    /// ASAP, RFC 5352 section 8.3.
    pub const ASAP: u32 = 11;
    /// ENRP, RFC 5353 section 5.4.
    pub const ENRP: u32 = 12;
}
