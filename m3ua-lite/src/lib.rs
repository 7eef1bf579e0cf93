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
//!
//! # Memory
//! A `Sgp<8>` has 192 octets, an `As<u32, 64>` 1,096, an `AspPeer` 208 (a test holds them to it). Nothing else is kept;
//! a decoded [`wire::Message`] is 312 octets on the stack and borrows the received octets.
//!
//! # What of RFC 4666 is here
//! Tests are in `tests/m3ua/`.
//!
//! | section | requirement | where | test |
//! |---|---|---|---|
//! | 1.4.7 | DATA MUST NOT be on stream 0 | [`session::stream_for`]; received: ERR 0x09 | `session::streams`, `sgp::data_rules` |
//! | 3.1.4 | Message Length includes padding; receiver takes both | [`wire::Message`] | `golden::final_padding_is_optional` |
//! | 3.2 | padding with zeros, ignored on receipt; parameters in any order | [`wire::Message`] | `golden::parameters_in_any_order` |
//! | 3.3.1 | Network Appearance first in DATA | [`wire::Data`] | `golden::data` |
//! | 3.5.5, 3.5.6 | BEAT MUST be answered, data unchanged | **the user**: [`asp::Input::Deliver`] with the beat, answer `BeatAck` of the same | `sgp::beat` |
//! | 3.8.1 | ERR MUST NOT answer ERR | [`error::answer`] | `decode_errors::err_is_never_answered_with_err`, `hostile::err_is_never_answered` |
//! | 3.8.1 | first 40 octets for unsupported class and type | [`error::answer`], for each ERR | `decode_errors::diagnostic_has_40_octets_at_most` |
//! | 3.8.1 | wrong Routing Context, Network Appearance named in ERR | [`sgp::Sgp`] | `sgp::data_rules`, `sgp::asp_inactive` |
//! | 3.8.1, 4.8 | ERR of version 1 for another version | [`DecodeError::answer`] | `decode_errors::header` |
//! | 3.8.2 | ASP Identifier in NTFY Alternate ASP Active, ASP Failure | [`as_state::As`] | `as_state::override_mode`, `as_state::n_plus_k` |
//! | 4.3.1 | ASP states | [`asp::sgp_step`], [`asp::asp_step`] | `tables` (all states, all events) |
//! | 4.3.2 | AS states, n, T(r) | [`as_state::as_step`], [`as_state::As`] | `tables::as_table`, `as_state` |
//! | 4.3.4.1 | ASPUP MUST be acknowledged; in ASP-ACTIVE also ERR | [`sgp::Sgp`] | `sgp::asp_up` |
//! | 4.3.4.2 | ASPDN MUST be acknowledged, in ASP-DOWN too | [`sgp::Sgp`] | `sgp::asp_down` |
//! | 4.3.4.3 | the six answers to ASPAC by Routing Context; MUST acknowledge in ASP-ACTIVE | [`sgp::Sgp`] | `sgp::asp_active*` |
//! | 4.3.4.3 | override: NTFY to the previous ASP, which MUST be inactive | [`as_state::As`], [`asp_peer::AspPeer`] | `as_state::override_mode`, `asp_peer::override_by_another_asp` |
//! | 4.3.4.4 | the four answers to ASPIA by Routing Context | [`sgp::Sgp`] | `sgp::asp_inactive` |
//! | 4.3.4.4, 4.3.4.5 | NTFY of each AS state to all ASPs not down, after the acknowledgement | [`as_state::As`]; the order is the user's: replies first | `as_state::single_asp` |
//! | 4.3.4.* | T(ack): resend until acknowledged | [`asp_peer::AspPeer`] | `asp_peer::requests_are_resent` |
//! | 4.3.1, 4.3.4.1.2, 4.3.4.3.1, 4.3.4.4.1 | IPSP, single exchange: requests and acknowledgements of both ends move one state; ERR "Refused - Management Blocking" | [`ipsp`], [`asp_peer::AspPeer::new_ipsp`] | `ipsp` (table: all states, all events; both ends begin, leave, restart) |
//! | 4.4.1 | REG REQ without support: ERR 0x03 | [`sgp::Sgp`] | `sgp::registration` |
//!
//! Left out, or the user's:
//! - Deciding about registrations (4.4): codec only; [`sgp::SgpConfig::registration`] hands the requests up, the user answers
//!   and calls [`sgp::Sgp::add_as`]. After ASPDN and after ASPUP in ASP-ACTIVE registered keys MUST be forgotten: the user's
//!   [`sgp::Sgp::remove_as`].
//! - IPSP double exchange (4.3): MAY; a second routing context is refused. NTFY between IPSPs (4.3.4.5.1): none is sent.
//! - Destination status and congestion (4.5), DAUD's answers, ERR 0x14, MTP restart (4.6): codec only.
//! - The Correlation Id on the first broadcast DATA after an activation (4.3.4.3, MUST): who distributes broadcasts sets it.
//! - T(beat) and the death of a silent peer (4.3.4.6): the user's, who has faster detectors.
//! - Routing keys, distribution and the queue of AS-PENDING (1.4.2): the user's.
//! - MTP3 management messages MUST NOT travel in DATA (1.4.3.2): the SS7 side's duty; SI is not checked here.
//! - ASPSM, MGMT and RKM messages on another stream than 0 are taken (1.4.7 says SHOULD), so there is no ERR 0x09 for them.
//! - ERR "Unexpected Parameter" (0x13) is never sent: what is not known is skipped, for forward compatibility (section 3).

#![no_std]

#[cfg(test)]
extern crate std;

pub mod as_state;
pub mod asp;
pub mod asp_peer;
pub mod error;
pub mod ipsp;
pub mod isup;
pub mod mtp3;
pub mod sccp;
pub mod session;
pub mod sgp;
pub mod tcap;
pub mod wire;

pub use error::{DecodeError, EncodeError};
