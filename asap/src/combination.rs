//! A pool element that is a pool user too ("PU/PE combination", RFC 5352 3.9 and 4; requirement I4): of its own pool, or of others.
//!
//! Both use one home server and one association to it: the one that the element registered over (RFC 5352 3.3 NR3). The element
//! hunts; the user's requests wait while there is no home server, and go to the next one when it does not answer.

use crate::config::{PeConfig, PuConfig};
use crate::event::{ConnId, Transmit};
use crate::pool_element::PeMachine;
use crate::pool_user::{PuMachine, Wish};
use crate::wire::{Message, PeId, PoolHandle, message_type};
use bytes::Bytes;
use std::net::IpAddr;
use std::time::Instant;

/// Elements in a business card.
const CARD_MAX: usize = 16;

/// Both machines. The application calls them directly (`register`, `resolve`, `select`, ...) and takes their events; what comes from
/// and goes to servers passes through the combination. As with the single machines: after each call drain `poll_transmit` and both
/// machines' events, and call `handle_timeout` at `poll_timeout` at the latest.
#[derive(Debug)]
pub struct Combination<T = u64> {
    /// The pool element.
    pub pe: PeMachine,
    /// The pool user. Its own server settings (`PuConfig::hunt`) are not used.
    pub pu: PuMachine<T>,
}

impl<T> Combination<T> {
    /// As [`PeMachine::new`] and [`PuMachine::new`].
    #[must_use]
    pub fn new(pe: PeConfig, pu: PuConfig, id: PeId, seed: u64) -> Self {
        Self { pe: PeMachine::new(pe, id, seed), pu: PuMachine::sharing(pu, seed.rotate_left(16)) }
    }

    /// The association of [`Transmit::Connect`] is up.
    pub fn handle_connected(&mut self, now: Instant, conn: ConnId) {
        self.pe.handle_connected(now, conn);
        self.settle(now);
    }

    /// A server opened an association to us: [`PeMachine::handle_accepted`].
    pub fn handle_accepted(&mut self) -> Option<ConnId> {
        self.pe.handle_accepted()
    }

    /// One message with PPID 11 arrived from a server.
    pub fn handle_received(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        if bytes.first() == Some(&message_type::HANDLE_RESOLUTION_RESPONSE) {
            self.pu.handle_received(now, conn, bytes);
        } else {
            self.pe.handle_received(now, conn, bytes);
        }
        self.settle(now);
    }

    /// The association ended or could not be opened.
    pub fn handle_closed(&mut self, now: Instant, conn: ConnId) {
        self.pe.handle_closed(now, conn);
        self.settle(now);
    }

    /// An ASAP_SERVER_ANNOUNCE came over multicast: [`PeMachine::handle_announce`].
    pub fn handle_announce(&mut self, now: Instant, source: IpAddr, bytes: &[u8]) {
        self.pe.handle_announce(now, source, bytes);
        self.settle(now);
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.pe.handle_timeout(now);
        self.settle(now);
        self.pu.handle_timeout(now);
        self.settle(now);
    }

    /// When to call `handle_timeout` at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pe.poll_timeout().into_iter().chain(self.pu.poll_timeout()).min()
    }

    /// Next thing to transmit. `now` because what the application asked of one machine may need the other.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.settle(now);
        self.pe.poll_transmit().or_else(|| self.pu.poll_transmit())
    }

    /// An encoded ASAP_BUSINESS_CARD, to be sent first on a control channel (RFC 5352 3.9): the pool handle that this element is
    /// registered under, and others of that pool in the order in which its users should fail over, which is the pool's policy from
    /// here on (each element gives another, so that the work of one that dies is spread). Without others, or before the pool is
    /// resolved, it lists the element itself. `None`: not registered under this handle.
    #[must_use]
    pub fn business_card(&self, handle: &PoolHandle) -> Option<Bytes> {
        let own = self.pe.element(handle)?;
        let mut elements = self.pu.pool(handle).map(|pool| pool.others(own.id, CARD_MAX)).unwrap_or_default();
        if elements.is_empty() {
            elements.push(own);
        }
        Message::BusinessCard { handle: handle.clone(), elements }.encode().ok()
    }

    /// Makes the user's home the element's, and has the element do what the user wants.
    fn settle(&mut self, now: Instant) {
        // What the user wants first: a home server that it gave up must not be given back to it.
        let mut wish = self.pu.take_wish();
        loop {
            match wish {
                Some(Wish::Seek) => self.pe.seek_home(now),
                Some(Wish::Leave) => self.pe.home_failed(now),
                None => {}
            }
            self.pu.share(now, self.pe.home());
            wish = self.pu.take_wish();
            if wish.is_none() {
                return;
            }
        }
    }
}
