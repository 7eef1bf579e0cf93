//! The ASP's end of one association: brings the ASP to the state its user wants, resending by T(ack), and keeps to it.
//!
//! ```no_run
//! use m3ua_lite::asp::AspState;
//! use m3ua_lite::asp_peer::{AspConfig, AspPeer};
//! use m3ua_lite::wire::{Message, TrafficMode, one_context};
//!
//! let mut asp = AspPeer::new(AspConfig {
//!     asp_id: Some(1),
//!     routing_contexts: one_context(7),
//!     traffic_mode: Some(TrafficMode::Loadshare),
//!     t_ack_ms: 2_000,
//! });
//! asp.association_up(0);
//! asp.want(0, AspState::Inactive); // ASPUP only; want Active when ready for traffic
//! let first = asp.poll_transmit().expect("ASPUP");
//! assert!(matches!(first.message, Message::AspUp(_)));
//! assert_eq!(asp.poll_timeout(), Some(2_000));
//! ```

use crate::asp::{AspState, Input, Outbound, Replies};
use crate::wire::{ErrorCode, RoutingContexts, TrafficMode};

/// Settings of an [`AspPeer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AspConfig {
    /// ASP Identifier in ASPUP.
    pub asp_id: Option<u32>,
    /// Routing contexts in ASPAC and ASPIA; empty leaves them to the SGP's configuration.
    pub routing_contexts: RoutingContexts,
    /// Traffic Mode Type in ASPAC.
    pub traffic_mode: Option<TrafficMode>,
    /// T(ack), ms (RFC 4666 section 4.3.4.1, default 2,000): an unanswered request is sent again.
    pub t_ack_ms: u64,
}

/// A request that waits for its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// ASPUP.
    Up,
    /// ASPDN.
    Down,
    /// ASPAC.
    Active,
    /// ASPIA.
    Inactive,
}

/// What an [`AspPeer`] tells its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AspPeerEvent {
    /// The state changed.
    State {
        /// State before.
        from: AspState,
        /// State now.
        to: AspState,
    },
    /// The SGP refused a request with ERR; it is not sent again until [`AspPeer::want`] is called.
    Refused {
        /// The request.
        request: Request,
        /// The SGP's reason.
        code: ErrorCode,
    },
    /// Override mode: another ASP took over. The ASP stays inactive until [`AspPeer::want`] is called.
    Overridden,
}

/// The ASP's end of one association. It works for all its routing contexts together: it is active when all are.
///
/// After each call drain [`AspPeer::poll_transmit`] and [`AspPeer::poll_event`], then sleep until
/// [`AspPeer::poll_timeout`].
#[derive(Clone, Debug)]
pub struct AspPeer {
    config: AspConfig,
}

impl AspPeer {
    /// An ASP in ASP-DOWN that wants to be there, without association.
    #[must_use]
    pub const fn new(config: AspConfig) -> Self {
        AspPeer { config }
    }

    /// The SCTP association is up.
    pub fn association_up(&mut self, now_ms: u64) {
        todo!("{now_ms}")
    }

    /// The association is gone: ASP-DOWN. What is wanted stays, and is worked for on the next association.
    pub fn association_lost(&mut self) {
        todo!()
    }

    /// Sets the state to be reached and kept. To begin with: `Inactive` (ASPUP), then `Active` when ready for traffic
    /// (ASPAC); `Inactive` again to leave the traffic (ASPIA), `Down` to leave (ASPDN).
    pub fn want(&mut self, now_ms: u64, state: AspState) {
        todo!("{now_ms} {state:?}")
    }

    /// Takes one received message (SCTP user message with PPID 3) and adds the answers to `replies`.
    ///
    /// DATA is delivered in ASP-ACTIVE, and while ASPAC waits for its acknowledgement: the two may overtake each other on
    /// different streams (RFC 4666 section 4.3.4.3), and no message is to be lost by that.
    pub fn handle<'a>(
        &mut self,
        now_ms: u64,
        stream: u16,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Input<'a> {
        todo!("{now_ms} {stream} {octets:?} {replies:?}")
    }

    /// Runs T(ack) when it is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        todo!("{now_ms}")
    }

    /// When [`AspPeer::handle_timeout`] is to be called, if at all.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        todo!()
    }

    /// The next request to send.
    pub fn poll_transmit(&mut self) -> Option<Outbound<'static>> {
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<AspPeerEvent> {
        todo!()
    }

    /// The state, as the SGP last confirmed it.
    #[must_use]
    pub fn state(&self) -> AspState {
        todo!()
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &AspConfig {
        &self.config
    }
}
