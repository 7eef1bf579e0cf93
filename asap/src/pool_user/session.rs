//! What a user of a pool keeps: its element, its cookie, its failover order.

use crate::wire::{PeId, PoolElement};
use bytes::Bytes;

/// Elements of a business card that are remembered.
const MAX_PREFERRED: usize = 16;

/// One user's relation with a pool, kept by the caller (for example per circuit group): which element it is with, and the last
/// cookie that element gave it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// The element in use; `select_sticky` stays with it while it is usable (P4).
    pub pe: Option<PeId>,
    /// Last COOKIE from the element (RFC 5352 3.8); goes as COOKIE_ECHO to the next one.
    pub cookie: Option<Bytes>,
    /// Failover order of the element's last BUSINESS_CARD (RFC 5352 3.9), at most 16; tried before the pool's policy.
    pub preferred: Vec<PeId>,
}

impl Session {
    /// Keeps the Cookie parameter's value of an ASAP_COOKIE; the newest counts.
    pub fn keep_cookie(&mut self, cookie: Bytes) {
        self.cookie = Some(cookie);
    }

    /// Keeps the failover order of an ASAP_BUSINESS_CARD; the newest counts.
    pub fn keep_business_card(&mut self, elements: &[PoolElement]) {
        self.preferred = elements.iter().map(|element| element.id).take(MAX_PREFERRED).collect();
    }
}

/// Outcome of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Use this element.
    Element {
        /// Which.
        pe: PeId,
        /// It is another one than the session was with.
        changed: bool,
        /// An encoded ASAP_COOKIE_ECHO to send first on the new element's control channel, when the session has a cookie
        /// and the element changed.
        cookie_echo: Option<Bytes>,
    },
    /// The pool is known, but has no usable element now; or the server does not know the pool, and is asked again.
    NoneUsable,
    /// Not in the cache: it is being asked for; `Resolved` or `UnknownHandle` follows.
    Resolving,
    /// `max_pools` handles are in use, or this one is empty or longer than `max_handle`; counted.
    TooManyPools,
}
