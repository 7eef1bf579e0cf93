//! The ASP's end of one association: brings the ASP to the state its user wants, resending by T(ack), and keeps to it.
//!
//! ```
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

use crate::asp::{Answers, AspState, DropCause, Input, Outbound, Replies, refuse, reply_error};
use crate::ipsp::{Ipsp, IpspEvent, ipsp_step};
use crate::wire::{
    AspActive, AspDown, AspInactive, AspUp, Data, ErrorCode, ErrorMessage, MAX_ROUTING_CONTEXTS, Message, MessageType,
    Notify, RoutingContexts, Status, TrafficMode, one_context,
};

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

impl Request {
    const fn message_type(self) -> MessageType {
        match self {
            Request::Up => MessageType::AspUp,
            Request::Down => MessageType::AspDown,
            Request::Active => MessageType::AspActive,
            Request::Inactive => MessageType::AspInactive,
        }
    }
}

/// The request that brings an ASP from `state` one step toward `target`. ASPDN only after ASPIA, as in RFC 4666
/// section 4.9.
#[must_use]
pub const fn next_request(state: AspState, target: AspState) -> Option<Request> {
    match (state, target) {
        (AspState::Down, AspState::Inactive | AspState::Active) => Some(Request::Up),
        (AspState::Inactive, AspState::Active) => Some(Request::Active),
        (AspState::Inactive, AspState::Down) => Some(Request::Down),
        (AspState::Active, AspState::Inactive | AspState::Down) => Some(Request::Inactive),
        (AspState::Down, AspState::Down)
        | (AspState::Inactive, AspState::Inactive)
        | (AspState::Active, AspState::Active) => None,
    }
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
    associated: bool,
    state: AspState,
    /// The state last given out by `poll_event`.
    reported: AspState,
    target: AspState,
    /// The request that waits for its acknowledgement; set exactly while state and target differ on an
    /// association, and, of an IPSP, the request is for this end to make.
    pending: Option<Request>,
    /// `pending` is to be sent.
    unsent: bool,
    /// When T(ack) expires.
    ack_at_ms: Option<u64>,
    /// Which routing contexts ASPAC ACK has named so far, a bit each.
    pub(crate) acknowledged: u32,
    resends: u64,
    refused: Option<(Request, ErrorCode)>,
    overridden: bool,
    /// This end is an IPSP, no ASP.
    pub(crate) ipsp: Option<Ipsp>,
}

const _: () = assert!(MAX_ROUTING_CONTEXTS <= u32::BITS as usize, "AspPeer::acknowledged has a bit for each");

impl AspPeer {
    /// An ASP in ASP-DOWN that wants to be there, without association.
    #[must_use]
    pub const fn new(config: AspConfig) -> Self {
        AspPeer {
            config,
            associated: false,
            state: AspState::Down,
            reported: AspState::Down,
            target: AspState::Down,
            pending: None,
            unsent: false,
            ack_at_ms: None,
            acknowledged: 0,
            resends: 0,
            refused: None,
            overridden: false,
            ipsp: None,
        }
    }

    /// The SCTP association is up, or was restarted by the peer.
    pub fn association_up(&mut self, now_ms: u64) {
        self.association_lost();
        self.associated = true;
        if let Some(ipsp) = &mut self.ipsp {
            ipsp.begin();
        }
        self.drive(now_ms);
    }

    /// The association is gone: ASP-DOWN. What is wanted stays, and is worked for on the next association.
    pub fn association_lost(&mut self) {
        self.associated = false;
        self.pending = None;
        self.unsent = false;
        self.ack_at_ms = None;
        self.step(IpspEvent::AssociationLost);
    }

    /// Sets the state to be reached and kept. To begin with: `Inactive` (ASPUP), then `Active` when ready for traffic
    /// (ASPAC); `Inactive` again to leave the traffic (ASPIA), `Down` to leave (ASPIA if active, then ASPDN).
    pub fn want(&mut self, now_ms: u64, state: AspState) {
        self.target = state;
        if let Some(ipsp) = &mut self.ipsp {
            ipsp.asked(self.state);
        }
        self.drive(now_ms);
    }

    /// Takes one received message (SCTP user message with PPID 3) and adds the answers to `replies`, which should be
    /// empty.
    ///
    /// DATA is delivered in ASP-ACTIVE, and while ASPAC waits for its acknowledgement: the two may overtake each other on
    /// different streams (RFC 4666 section 4.3.4.3), and no message is to be lost by that.
    pub fn handle<'a>(&mut self, now_ms: u64, stream: u16, octets: &'a [u8], replies: &mut Replies<'a>) -> Input<'a> {
        let message = match Message::decode(octets) {
            Ok(message) => message,
            Err(error) => {
                reply_error(replies, error.answer(octets));
                return Input::Dropped(DropCause::Malformed(error));
            }
        };
        match message {
            Message::Data(data) => self.handle_data(stream, data, octets, replies),
            Message::AspUpAck(ack) => {
                if let Some(ipsp) = &mut self.ipsp {
                    ipsp.met(ack.asp_id);
                }
                self.handle_ack(now_ms, IpspEvent::UpAck, octets, replies)
            }
            Message::AspDownAck(_) => self.handle_ack(now_ms, IpspEvent::DownAck, octets, replies),
            Message::AspActiveAck(ack) => match self.acknowledge(&ack.routing_contexts) {
                true => self.handle_ack(now_ms, IpspEvent::ActiveAck, octets, replies),
                false => Input::Consumed,
            },
            Message::AspInactiveAck(ack) => match self.concerns(&ack.routing_contexts) {
                true => self.handle_ack(now_ms, IpspEvent::InactiveAck, octets, replies),
                false => Input::Consumed,
            },
            Message::Notify(notify) => {
                self.handle_notify(now_ms, &notify);
                Input::Deliver(Message::Notify(notify))
            }
            Message::Error(error) => {
                self.handle_error(now_ms, &error);
                Input::Deliver(Message::Error(error))
            }
            Message::Duna(_) | Message::Dava(_) | Message::Scon(_) | Message::Dupu(_) | Message::Drst(_) => {
                match self.state {
                    AspState::Down => Input::Dropped(DropCause::NotActive),
                    AspState::Inactive | AspState::Active => Input::Deliver(message),
                }
            }
            Message::Beat(_) | Message::BeatAck(_) | Message::RegRsp(_) | Message::DeregRsp(_) => {
                Input::Deliver(message)
            }
            // Messages that an ASP sends, or an IPSP.
            Message::AspUp(_)
            | Message::AspDown(_)
            | Message::AspActive(_)
            | Message::AspInactive(_)
            | Message::Daud(_)
            | Message::RegReq(_)
            | Message::DeregReq(_) => self.handle_request(now_ms, message, octets, replies),
        }
    }

    /// Runs T(ack) when it is due (RFC 4666 section 4.3.4.1: the request is sent again until it is answered).
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.ack_at_ms.is_some_and(|at| at <= now_ms) {
            self.resends += 1;
            self.send(now_ms);
        }
    }

    /// When [`AspPeer::handle_timeout`] is to be called, if at all.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<u64> {
        self.ack_at_ms
    }

    /// The next request to send, on stream 0, ordered.
    pub fn poll_transmit(&mut self) -> Option<Outbound<'static>> {
        let request = self.pending.filter(|_| core::mem::take(&mut self.unsent))?;
        let routing_contexts = self.config.routing_contexts.clone();
        let message = match request {
            Request::Up => Message::AspUp(AspUp { asp_id: self.config.asp_id, info: None }),
            Request::Down => Message::AspDown(AspDown { info: None }),
            Request::Active => {
                let traffic_mode = self.config.traffic_mode;
                Message::AspActive(AspActive { traffic_mode, routing_contexts, info: None })
            }
            Request::Inactive => Message::AspInactive(AspInactive { routing_contexts, info: None }),
        };
        Some(Outbound { stream: 0, message })
    }

    /// The next event; drain until `None`.
    pub fn poll_event(&mut self) -> Option<AspPeerEvent> {
        if let Some((request, code)) = self.refused.take() {
            return Some(AspPeerEvent::Refused { request, code });
        }
        if core::mem::take(&mut self.overridden) {
            return Some(AspPeerEvent::Overridden);
        }
        let from = core::mem::replace(&mut self.reported, self.state);
        (from != self.state).then_some(AspPeerEvent::State { from, to: self.state })
    }

    /// The state, as the SGP last confirmed it.
    #[must_use]
    pub const fn state(&self) -> AspState {
        self.state
    }

    /// The state that its user wants.
    pub(crate) const fn target(&self) -> AspState {
        self.target
    }

    /// The request that waits for its acknowledgement.
    #[must_use]
    pub const fn pending(&self) -> Option<Request> {
        self.pending
    }

    /// How often T(ack) made a request be sent again.
    #[must_use]
    pub const fn resends(&self) -> u64 {
        self.resends
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &AspConfig {
        &self.config
    }

    /// Asks for the next step toward the target, if it is not asked for already.
    pub(crate) fn drive(&mut self, now_ms: u64) {
        let raises = self.ipsp.is_none_or(Ipsp::raises);
        let may = |request: &Request| raises || matches!(request, Request::Down | Request::Inactive);
        let wanted = next_request(self.state, self.target).filter(|_| self.associated).filter(may);
        if wanted != self.pending {
            self.pending = wanted;
            self.acknowledged = 0;
            self.send(now_ms);
        }
    }

    fn send(&mut self, now_ms: u64) {
        self.unsent = self.pending.is_some();
        self.ack_at_ms = self.pending.map(|_| now_ms.saturating_add(self.config.t_ack_ms));
    }

    pub(crate) fn step(&mut self, event: IpspEvent) -> Answers {
        let (next, answers) = ipsp_step(self.state, event);
        self.state = next;
        answers
    }

    fn handle_ack<'a>(
        &mut self,
        now_ms: u64,
        event: IpspEvent,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Input<'a> {
        let answers = self.step(event);
        self.drive(now_ms);
        match answers.contains(Answers::ERR_UNEXPECTED) {
            true => refuse(replies, ErrorCode::UnexpectedMessage, RoutingContexts::new(), octets),
            false => Input::Consumed,
        }
    }

    /// True when a list of routing contexts, empty for all, means any of ours.
    fn concerns(&self, named: &RoutingContexts) -> bool {
        let ours = &self.config.routing_contexts;
        named.is_empty() || ours.is_empty() || named.iter().any(|rc| ours.contains(rc))
    }

    /// Notes what ASPAC ACK acknowledges; true when nothing is missing. The SGP may acknowledge one by one.
    pub(crate) fn acknowledge(&mut self, named: &RoutingContexts) -> bool {
        let ours = &self.config.routing_contexts;
        if named.is_empty() || ours.is_empty() {
            return true;
        }
        for (bit, _) in ours.iter().enumerate().filter(|(_, rc)| named.contains(rc)) {
            self.acknowledged |= 1 << bit;
        }
        self.acknowledged.count_ones() as usize == ours.len()
    }

    fn handle_notify(&mut self, now_ms: u64, notify: &Notify<'_>) {
        let taken_over = notify.status == Status::AlternateAspActive && self.concerns(&notify.routing_contexts);
        if taken_over && self.state == AspState::Active {
            self.step(IpspEvent::Alternate);
            // Coming back at once would make two ASPs take each other's traffic forever.
            self.rest(self.target.min(AspState::Inactive));
            self.overridden = true;
            self.drive(now_ms);
        }
    }

    /// Asks for nothing more. An ASP has `target` until its user wants something else. An IPSP goes on wanting what it wanted, as
    /// the other end may ask for that later.
    const fn rest(&mut self, target: AspState) {
        match &mut self.ipsp {
            Some(ipsp) => ipsp.rest(),
            None => self.target = target,
        }
    }

    /// An ERR about the pending request ends its resending; what to do is the user's to decide.
    fn handle_error(&mut self, now_ms: u64, error: &ErrorMessage<'_>) {
        let Some(request) = self.pending else {
            return;
        };
        // The diagnostic tells which message it was; without one it is taken to be the request.
        let about = error.diagnostic.and_then(|diagnostic| diagnostic.0.get(2..4));
        if about.is_none_or(|about| about == request.message_type().code().to_be_bytes()) {
            self.refused = Some((request, error.code));
            self.rest(self.state);
            self.drive(now_ms);
        }
    }

    fn handle_data<'a>(&self, stream: u16, data: Data<'a>, octets: &'a [u8], replies: &mut Replies<'a>) -> Input<'a> {
        if stream == 0 {
            return refuse(replies, ErrorCode::InvalidStream, RoutingContexts::new(), octets);
        }
        if self.state != AspState::Active && self.pending != Some(Request::Active) {
            return Input::Dropped(DropCause::NotActive);
        }
        match data.routing_context {
            Some(wrong) if !self.concerns(&one_context(wrong)) => {
                refuse(replies, ErrorCode::InvalidRoutingContext, one_context(wrong), octets)
            }
            _ => Input::Deliver(Message::Data(data)),
        }
    }
}
