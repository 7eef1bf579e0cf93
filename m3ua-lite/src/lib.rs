//! M3UA (RFC 4666): codec, ASP and AS machines, MTP3 label, the ISUP fields a gateway needs, and what gateway and
//! controllers of sigpool agree on beyond the RFC ([`session`]).
//!
//! `no_std`, no allocator, no clock: times are `now_ms`, milliseconds of any monotonic clock of the caller.
//!
//! | you are | use |
//! |---|---|
//! | reading or writing bytes | [`wire::Message`] |
//! | an SGP | [`sgp::Sgp`], one an association, and [`as_state::As`], one an Application Server |
//! | an ASP | [`asp_peer::AspPeer`], one an association |
//! | routing by circuit group | [`session::GroupKey`], [`isup`], [`mtp3`] |

#![no_std]

#[cfg(test)]
extern crate std;

pub mod as_state;
pub mod asp;
pub mod asp_peer;
pub mod error;
pub mod isup;
pub mod mtp3;
pub mod session;
pub mod sgp;
pub mod wire;

pub use error::{DecodeError, EncodeError};
