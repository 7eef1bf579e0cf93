//! Two IP Server Processes that face each other, single exchange (RFC 4666 sections 1.3.2, 4.3, 5.6.1): one state for both
//! directions, which the requests of either end change. Double exchange is not there: a routing context of the other end's own is
//! refused like any that is not configured.
//!
//! An IPSP is an [`AspPeer`] that also answers requests. It sends no NTFY (section 4.3.4.5.1 permits it, nothing needs it).
//!
//! ```
//! use m3ua_lite::asp::{AspState, Replies};
//! use m3ua_lite::asp_peer::{AspConfig, AspPeer};
//! use m3ua_lite::ipsp::IpspRole;
//! use m3ua_lite::wire::{AspUp, Message, one_context};
//!
//! let config = AspConfig { asp_id: Some(1), routing_contexts: one_context(7), traffic_mode: None, t_ack_ms: 2_000 };
//! let mut ipsp = AspPeer::new_ipsp(config, IpspRole::Answers);
//! ipsp.association_up(0);
//! ipsp.want(0, AspState::Active);
//! assert!(ipsp.poll_transmit().is_none(), "the other end begins");
//!
//! let mut buffer = [0; 64];
//! let len = Message::AspUp(AspUp { asp_id: Some(2), info: None }).encode(&mut buffer)?;
//! let mut replies = Replies::new();
//! ipsp.handle(0, 0, &buffer[..len], &mut replies);
//! assert!(matches!(&replies[0].message, Message::AspUpAck(ack) if ack.asp_id == Some(1)));
//! assert_eq!((ipsp.state(), ipsp.peer_id()), (AspState::Inactive, Some(2)));
//! # Ok::<(), m3ua_lite::error::EncodeError>(())
//! ```

use crate::asp::{
    Answers, AspEvent, AspState, Input, Replies, SgpEvent, Step, asp_step, refuse, reply, reply_error, sgp_step,
};
use crate::asp_peer::{AspConfig, AspPeer};
use crate::error;
use crate::wire::{AspActive, AspDown, AspInactive, AspUp, ErrorCode, Message, RoutingContexts};

/// Who brings the state up, when both want it. Either end may bring it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpspRole {
    /// This end sends ASPUP and ASPAC; it also answers the other's.
    Leads,
    /// The other end does: this one asks only to come back after it left itself, and for ASPAC when its user wants the state once more
    /// ([`AspPeer::want`]).
    Answers,
}

/// What happens to the state that two IPSPs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpspEvent {
    /// ASPUP came.
    AspUp,
    /// ASPDN came.
    AspDown,
    /// ASPAC came.
    AspActive,
    /// ASPIA came.
    AspInactive,
    /// ASPUP ACK came.
    UpAck,
    /// ASPDN ACK came.
    DownAck,
    /// ASPAC ACK came, and with it all routing contexts are acknowledged.
    ActiveAck,
    /// ASPIA ACK came.
    InactiveAck,
    /// NTFY "Alternate ASP Active" came.
    Alternate,
    /// SCTP: communication down, or restart.
    AssociationLost,
}

impl IpspEvent {
    /// All events, for tables and tests.
    pub const ALL: [IpspEvent; 10] = [
        IpspEvent::AspUp,
        IpspEvent::AspDown,
        IpspEvent::AspActive,
        IpspEvent::AspInactive,
        IpspEvent::UpAck,
        IpspEvent::DownAck,
        IpspEvent::ActiveAck,
        IpspEvent::InactiveAck,
        IpspEvent::Alternate,
        IpspEvent::AssociationLost,
    ];
}

/// The table of an IPSP: a request counts as at an SGP, an acknowledgement as at an ASP, and both move the one state (RFC 4666
/// sections 4.3.4.1.2, 4.3.4.3.1, 4.3.4.4.1).
#[must_use]
pub const fn ipsp_step(state: AspState, event: IpspEvent) -> Step {
    match event {
        IpspEvent::AspUp => sgp_step(state, SgpEvent::AspUp),
        IpspEvent::AspDown => sgp_step(state, SgpEvent::AspDown),
        IpspEvent::AspActive => sgp_step(state, SgpEvent::AspActive),
        IpspEvent::AspInactive => sgp_step(state, SgpEvent::AspInactive),
        IpspEvent::UpAck => asp_step(state, AspEvent::UpAck),
        IpspEvent::DownAck => asp_step(state, AspEvent::DownAck),
        IpspEvent::ActiveAck => asp_step(state, AspEvent::ActiveAck),
        IpspEvent::InactiveAck => asp_step(state, AspEvent::InactiveAck),
        IpspEvent::Alternate => asp_step(state, AspEvent::Alternate),
        IpspEvent::AssociationLost => asp_step(state, AspEvent::AssociationLost),
    }
}

/// What an IPSP has that an ASP has not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipsp {
    role: IpspRole,
    /// It is for this end to send ASPUP and ASPAC. Not so after the other end took the state down, or refused a request: who
    /// left comes back by itself, and two that want different things must not ask each other for ever.
    raises: bool,
    peer_id: Option<u32>,
}

impl Ipsp {
    pub(crate) const fn raises(self) -> bool {
        self.raises
    }

    /// A new association.
    pub(crate) const fn begin(&mut self) {
        self.raises = matches!(self.role, IpspRole::Leads);
        self.peer_id = None;
    }

    /// The user asks, perhaps again. One that answers leaves the first ASPUP to the other end.
    pub(crate) fn asked(&mut self, state: AspState) {
        self.raises |= self.role == IpspRole::Leads || state != AspState::Down;
    }

    /// The other end does not want it: nothing more until it asks, or the user does.
    pub(crate) const fn rest(&mut self) {
        self.raises = false;
    }

    pub(crate) const fn met(&mut self, id: Option<u32>) {
        if id.is_some() {
            self.peer_id = id;
        }
    }
}

impl AspPeer {
    /// An IPSP in ASP-DOWN that wants to be there, without association.
    #[must_use]
    pub fn new_ipsp(config: AspConfig, role: IpspRole) -> Self {
        let raises = role == IpspRole::Leads;
        let mut end = AspPeer::new(config);
        end.ipsp = Some(Ipsp { role, raises, peer_id: None });
        end
    }

    /// The other IPSP's ASP Identifier, from its ASPUP or ASPUP ACK (RFC 4666 sections 3.5.1, 3.5.2).
    #[must_use]
    pub fn peer_id(&self) -> Option<u32> {
        self.ipsp.and_then(|ipsp| ipsp.peer_id)
    }

    /// Takes a message that an ASP does not get and an IPSP does.
    pub(crate) fn handle_request<'a>(
        &mut self,
        now_ms: u64,
        message: Message<'a>,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Input<'a> {
        if self.ipsp.is_none() {
            return refuse(replies, ErrorCode::UnexpectedMessage, RoutingContexts::new(), octets);
        }
        let input = match message {
            Message::AspUp(up) => self.peer_up(&up, octets, replies),
            Message::AspActive(active) => self.peer_active(active, octets, replies),
            Message::AspInactive(inactive) => self.peer_inactive(inactive, octets, replies),
            Message::AspDown(_) => {
                self.lowered(IpspEvent::AspDown);
                reply(replies, Message::AspDownAck(AspDown::default()));
                Input::Consumed
            }
            // A question about what lies behind; it is the user's.
            Message::Daud(_) => Input::Deliver(message),
            // No registration (section 4.4.1).
            Message::RegReq(_) | Message::DeregReq(_) => {
                refuse(replies, ErrorCode::UnsupportedMessageClass, RoutingContexts::new(), octets)
            }
            // Of all others [`AspPeer::handle`] takes care.
            Message::Data(_)
            | Message::Beat(_)
            | Message::BeatAck(_)
            | Message::Error(_)
            | Message::Notify(_)
            | Message::Duna(_)
            | Message::Dava(_)
            | Message::Scon(_)
            | Message::Dupu(_)
            | Message::Drst(_)
            | Message::AspUpAck(_)
            | Message::AspDownAck(_)
            | Message::AspActiveAck(_)
            | Message::AspInactiveAck(_)
            | Message::RegRsp(_)
            | Message::DeregRsp(_) => Input::Deliver(message),
        };
        self.drive(now_ms);
        input
    }

    /// The other end takes the state down.
    fn lowered(&mut self, event: IpspEvent) {
        self.acknowledged = 0;
        self.step(event);
        if let Some(ipsp) = &mut self.ipsp {
            ipsp.rest();
        }
    }

    /// Section 4.3.4.1.2.
    fn peer_up<'a>(&mut self, up: &AspUp<'a>, octets: &'a [u8], replies: &mut Replies<'a>) -> Input<'a> {
        if self.target() == AspState::Down {
            return refuse(replies, ErrorCode::ManagementBlocking, RoutingContexts::new(), octets);
        }
        self.acknowledged = 0;
        let answers = self.step(IpspEvent::AspUp);
        if let Some(ipsp) = &mut self.ipsp {
            ipsp.begin();
            ipsp.met(up.asp_id);
        }
        reply(replies, Message::AspUpAck(AspUp { asp_id: self.config().asp_id, info: None }));
        if answers.contains(Answers::ERR_UNEXPECTED) {
            reply_error(replies, error::answer(ErrorCode::UnexpectedMessage, RoutingContexts::new(), octets));
        }
        Input::Consumed
    }

    /// Those of the routing contexts named that are not ours: the other end's own ones, of double exchange, are among them.
    fn foreign(&self, named: &RoutingContexts) -> RoutingContexts {
        named.iter().copied().filter(|rc| !self.config().routing_contexts.contains(rc)).collect()
    }

    /// Section 4.3.4.3.1.
    fn peer_active<'a>(&mut self, active: AspActive<'a>, octets: &'a [u8], replies: &mut Replies<'a>) -> Input<'a> {
        let unknown = self.foreign(&active.routing_contexts);
        let misfit = self.config().traffic_mode.zip(active.traffic_mode).is_some_and(|(ours, asked)| ours != asked);
        let refused = if self.state() == AspState::Down {
            Some(ErrorCode::UnexpectedMessage)
        } else if !unknown.is_empty() {
            return refuse(replies, ErrorCode::NoConfiguredAs, unknown, octets);
        } else if misfit {
            Some(ErrorCode::UnsupportedTrafficMode)
        } else {
            (self.target() != AspState::Active).then_some(ErrorCode::ManagementBlocking)
        };
        if let Some(code) = refused {
            return refuse(replies, code, active.routing_contexts, octets);
        }
        if self.acknowledge(&active.routing_contexts) {
            self.step(IpspEvent::AspActive);
        }
        reply(replies, Message::AspActiveAck(AspActive { info: None, ..active }));
        Input::Consumed
    }

    /// Section 4.3.4.4.1.
    fn peer_inactive<'a>(
        &mut self,
        inactive: AspInactive<'a>,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Input<'a> {
        let unknown = self.foreign(&inactive.routing_contexts);
        if self.state() == AspState::Down {
            return refuse(replies, ErrorCode::UnexpectedMessage, inactive.routing_contexts, octets);
        }
        if !unknown.is_empty() {
            return refuse(replies, ErrorCode::InvalidRoutingContext, unknown, octets);
        }
        self.lowered(IpspEvent::AspInactive);
        reply(replies, Message::AspInactiveAck(AspInactive { info: None, ..inactive }));
        Input::Consumed
    }
}
