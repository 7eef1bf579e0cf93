//! Where rsplib's registrar (3.5) differs from RFC 5353 and 5354, and what is done about it. Everything about rsplib is in this
//! file; each difference is one switch of [`Accommodations`], with its reason.
//!
//! A peer is recognised, never assumed: it is treated as rsplib when all of this holds.
//! * It did not send our Extensions parameter: it is not one of this project.
//! * It put Server Information into a presence that nobody had asked for. rsplib always does, because its own parser takes no
//!   presence without; the RFC wants it in answers only.
//! * It got our Probe parameter (type bits 11: skip and report) and answered the presence it came with, but did not report the
//!   parameter. RFC 5354 section 3 and RFC 5353 section 3.7 say to report; rsplib does not ("Implement Me").
//!
//! A strict peer fails at least the last of these, and the setting `rsplib = "none"` switches all of it off. rsplib always sends
//! multicast presence with the same contents, so where it was heard does not matter.

//!
//! Two differences show before anything can be recognised: [`from_enrp_port`] and [`is_complaint`].

use super::config::RsplibPeers;
use crate::handlespace::{Checksum, SHORT_HANDLE_BYTES};
use crate::wire::Body;
use asap::wire::{PoolElement, PoolHandle, RegistrationLife, ServerId};

/// rsplib keeps handles of so many bytes; a longer one ends its process (a CHECK in its parser).
const HANDLE_BYTES_MAX: usize = SHORT_HANDLE_BYTES;

/// Whether an association is to come from our ENRP port, of an address where so many were up one after the other and nobody said
/// anything. rsplib takes a presence only over an association that ends at the address and port in its Server Information ("contains no
/// usable ENRP endpoint addresses"), and is silent otherwise; the RFC wants no certain port of the one who connects, and a strict
/// peer takes any. Not from the beginning: when both ends connect so, the two associations are one (RFC 9260 section 5.2), and one
/// that has to end in silence is in the next one's way.
pub(crate) fn from_enrp_port(setting: RsplibPeers, unanswered: u32) -> bool {
    setting != RsplibPeers::None && unanswered % 2 == 1
}

/// Whether a message that came with our own identifier as its sender is no sign of a second server of that name: rsplib puts the
/// identifier of the server it complains to into its ENRP_ERROR, where RFC 5353 section 2.10 wants its own.
pub(crate) fn is_complaint(setting: RsplibPeers, body: &Body) -> bool {
    setting != RsplibPeers::None && matches!(body, Body::Error { .. })
}

/// What is done otherwise toward one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Accommodations {
    /// Registration life is milliseconds on rsplib's wire; RFC 5354 section 3.10: seconds. Unconverted its elements would live
    /// a thousand times too long here after a takeover, and ours end at once there.
    pub(crate) life_in_ms: bool,
    /// In an arbitration rsplib leaves it to the lower identifier; RFC 5353 section 3.5.1: to the higher one. Each by its own rule,
    /// both would give up, or both go on.
    pub(crate) lower_id_wins: bool,
    /// rsplib takes no presence without Server Information.
    pub(crate) presence_with_server: bool,
    /// Handles over 32 bytes are not told: they would end its process. Nor are they in the checksum it is told, or it would ask for
    /// our table after each presence.
    pub(crate) short_handles: bool,
    /// rsplib sums up its PE checksums in 32 bits, without the carry out of them (RFC 5353 section 3.6.2, RFC 1071: with it). From
    /// about 16,000 elements of a server on, both would download the other's table for ever.
    pub(crate) sum_of_32_bits: bool,
}

impl Accommodations {
    /// All that rsplib needs.
    pub(crate) const RSPLIB: Self = Self {
        life_in_ms: true,
        lower_id_wins: true,
        presence_with_server: true,
        short_handles: true,
        sum_of_32_bits: true,
    };
    /// For a peer that may still turn out to be rsplib's: what both take. A strict one gets the rest when it is known as such, and it
    /// asks for our table again, whose checksum it has not.
    pub(crate) const UNKNOWN: Self = Self { short_handles: true, ..Self::CAREFUL };
    /// For a strict peer of another project.
    pub(crate) const CAREFUL: Self = Self {
        life_in_ms: false,
        lower_id_wins: false,
        presence_with_server: true,
        short_handles: false,
        sum_of_32_bits: false,
    };

    /// Whether `sender`, who wants the same server as `own`, gets it.
    pub(crate) fn sender_wins(self, sender: ServerId, own: ServerId) -> bool {
        if self.lower_id_wins { sender < own } else { sender > own }
    }

    /// An element as this peer is to be told it.
    pub(crate) fn told(self, element: &PoolElement) -> PoolElement {
        self.with_life(element, |seconds| seconds.saturating_mul(1_000).min(i32::MAX.unsigned_abs()))
    }

    /// An element that this peer told, as it is meant.
    pub(crate) fn meant(self, element: &PoolElement) -> PoolElement {
        self.with_life(element, |ms| ms.div_ceil(1_000).max(1))
    }

    /// Whether this peer may be told of the handle.
    pub(crate) fn takes(self, handle: &PoolHandle) -> bool {
        !self.short_handles || handle.as_bytes().len() <= HANDLE_BYTES_MAX
    }

    /// The PE checksum that this peer has of what it knows of a server.
    pub(crate) fn checksum(self, of: Checksum) -> u16 {
        if self.sum_of_32_bits && self.short_handles { of.value_32_bits() } else { of.value() }
    }

    fn with_life(self, element: &PoolElement, convert: impl Fn(u32) -> u32) -> PoolElement {
        let life = match element.life {
            RegistrationLife::Seconds(value) if self.life_in_ms => RegistrationLife::Seconds(convert(value)),
            life @ (RegistrationLife::Seconds(_) | RegistrationLife::Infinite) => life,
        };
        PoolElement { life, ..element.clone() }
    }
}

/// What was seen of a peer that tells what it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recognition {
    /// It sent our Extensions parameter.
    pub(crate) ours: bool,
    /// It sent Server Information unasked.
    volunteers: bool,
    /// It reported the probe.
    reported: bool,
    /// It sent a presence without Server Information.
    plain: bool,
    /// Presences with R that it was sent, with the probe in them.
    asked: u32,
    /// Presences of its own since the first of those, each a chance to have reported by now.
    answered: u32,
}

impl Recognition {
    /// A presence with R and the probe went to it.
    pub(crate) fn asked(&mut self) {
        self.asked = self.asked.saturating_add(1);
    }

    /// It reported the probe as unrecognized.
    pub(crate) fn reported(&mut self) {
        self.reported = true;
    }

    /// A presence came from it.
    pub(crate) fn presence(&mut self, extensions: bool, server: bool) {
        self.ours |= extensions;
        self.plain |= !server;
        if self.asked > 0 {
            self.answered = self.answered.saturating_add(1);
        }
        // One more than was asked for came by itself.
        self.volunteers |= server && self.answered > self.asked;
    }

    /// Whether it is rsplib's registrar.
    fn is_rsplib(self, setting: RsplibPeers) -> bool {
        match setting {
            RsplibPeers::None => false,
            RsplibPeers::All => !self.ours && self.answered > 0,
            RsplibPeers::Recognised => !self.ours && self.volunteers && !self.reported && !self.plain,
        }
    }

    /// What is done for it.
    pub(crate) fn accommodations(self, setting: RsplibPeers) -> Accommodations {
        if self.is_rsplib(setting) {
            Accommodations::RSPLIB
        } else if self.ours {
            Accommodations::default()
        } else if self.reported || self.plain || setting == RsplibPeers::None {
            Accommodations::CAREFUL
        } else {
            Accommodations::UNKNOWN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlespace::{Handlespace, Limits};

    fn seen(extensions: bool, server: bool, reports: bool) -> Recognition {
        let mut peer = Recognition::default();
        peer.asked();
        peer.presence(extensions, true);
        if reports {
            peer.reported();
        }
        peer.presence(extensions, server);
        peer
    }

    #[test]
    fn only_rsplib_is_rsplib() {
        let setting = RsplibPeers::Recognised;
        assert_eq!(seen(false, true, false).accommodations(setting), Accommodations::RSPLIB);
        assert_eq!(seen(false, true, true).accommodations(setting), Accommodations::CAREFUL, "reports as the RFC says");
        assert_eq!(seen(false, false, false).accommodations(setting), Accommodations::CAREFUL, "tells only when asked");
        assert_eq!(seen(true, true, false).accommodations(setting), Accommodations::default(), "one of ours");
        assert_eq!(seen(false, true, false).accommodations(RsplibPeers::None), Accommodations::CAREFUL);
        assert_eq!(seen(false, false, true).accommodations(RsplibPeers::All), Accommodations::RSPLIB);
        let mut fresh = Recognition::default();
        fresh.asked();
        fresh.presence(false, true);
        assert_eq!(fresh.accommodations(setting), Accommodations::UNKNOWN, "that was an answer");
        assert!(!Accommodations::UNKNOWN.takes(&"a handle of more than thirty-two bytes".into()), "it may be rsplib");
        assert!(Accommodations::CAREFUL.takes(&"a handle of more than thirty-two bytes".into()), "strict");
    }

    #[test]
    fn each_switch() {
        let (strict, rsplib) = (Accommodations::default(), Accommodations::RSPLIB);
        assert!(strict.sender_wins(ServerId(2), ServerId(1)) && !rsplib.sender_wins(ServerId(2), ServerId(1)));
        let long = PoolHandle::from("a handle of more than thirty-two bytes");
        assert!(strict.takes(&long) && !rsplib.takes(&long) && rsplib.takes(&"short".into()));
        let element = |life| PoolElement {
            id: asap::wire::PeId(1),
            home: ServerId(1),
            life,
            user_transport: asap::wire::Transport::Opaque(bytes::Bytes::new()),
            policy: asap::wire::Policy::RoundRobin,
            asap_transport: None,
        };
        let seconds = |n| element(RegistrationLife::Seconds(n));
        assert_eq!(rsplib.told(&seconds(300)).life, RegistrationLife::Seconds(300_000));
        assert_eq!(rsplib.told(&seconds(2_147_483_647)).life, RegistrationLife::Seconds(2_147_483_647));
        assert_eq!(rsplib.meant(&seconds(90_500)).life, RegistrationLife::Seconds(91));
        assert_eq!(rsplib.meant(&seconds(1)).life, RegistrationLife::Seconds(1));
        assert_eq!(rsplib.told(&element(RegistrationLife::Infinite)).life, RegistrationLife::Infinite);
        assert_eq!(strict.told(&seconds(300)).life, RegistrationLife::Seconds(300));
    }

    #[test]
    fn the_checksum_is_of_what_rsplib_is_told() {
        let mut handlespace = Handlespace::new(Limits { pools: 2, pes_per_pool: 1, pes: 2 }, 1);
        let mut add = |handle: &str| {
            let element = PoolElement {
                id: asap::wire::PeId(7),
                home: ServerId(1),
                life: RegistrationLife::Infinite,
                user_transport: asap::wire::Transport::Opaque(bytes::Bytes::new()),
                policy: asap::wire::Policy::RoundRobin,
                asap_transport: None,
            };
            handlespace.add(&handle.into(), element).unwrap();
            let of = handlespace.checksum(ServerId(1));
            (Accommodations::default().checksum(of), Accommodations::RSPLIB.checksum(of))
        };
        let (strict, rsplib) = add("short");
        assert_eq!(strict, rsplib);
        let (strict_after, rsplib_after) = add("a handle of more than thirty-two bytes");
        assert_ne!(strict, strict_after);
        assert_eq!(rsplib, rsplib_after);
    }

    #[test]
    fn what_shows_before_it_is_recognised() {
        let ports = |setting| [0, 1, 2, 3].map(|unanswered| from_enrp_port(setting, unanswered));
        assert_eq!(ports(RsplibPeers::Recognised), [false, true, false, true]);
        assert_eq!(ports(RsplibPeers::None), [false; 4]);
        let error = Body::Error { error: asap::wire::ErrorCause::Unspecified.into() };
        assert!(is_complaint(RsplibPeers::Recognised, &error) && !is_complaint(RsplibPeers::None, &error));
        assert!(!is_complaint(RsplibPeers::Recognised, &Body::ListRequest));
    }
}
