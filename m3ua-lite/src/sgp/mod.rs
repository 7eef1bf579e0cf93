//! The SGP's end of one association: takes what the ASP sends, answers by the RFC, and says how the ASP's state in
//! each of its Application Servers changed.
//!
//! ```
//! use m3ua_lite::asp::{AspState, Input, Replies};
//! use m3ua_lite::sgp::{AsMember, Sgp, SgpConfig};
//! use m3ua_lite::wire::{AspUp, Message};
//!
//! let mut sgp: Sgp = Sgp::new(SgpConfig::default());
//! sgp.add_as(AsMember { routing_context: 7, network_appearance: None, traffic_mode: None })?;
//!
//! let mut buffer = [0; 64];
//! let len = Message::AspUp(AspUp { asp_id: Some(1), info: None }).encode(&mut buffer)?;
//! let mut replies = Replies::new();
//! assert_eq!(sgp.handle(0, &buffer[..len], &mut replies), Input::Consumed);
//! // 1. send the replies; 2. tell each change to its AS (crate::as_state::As::handle_asp), then send its NTFYs.
//! assert!(matches!(replies[0].message, Message::AspUpAck(_)));
//! let change = sgp.poll_change().expect("the ASP came up");
//! assert_eq!((change.routing_context, change.to), (7, AspState::Inactive));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod handle;

use core::fmt;

use crate::asp::{AspState, DropCause, Input, Replies, SgpEvent, refuse, reply_error};
use crate::wire::{Data, ErrorCode, MAX_ROUTING_CONTEXTS, Message, RoutingContexts, TrafficMode, one_context};

/// An Application Server the ASP at the other end may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsMember {
    /// Routing context of the AS.
    pub routing_context: u32,
    /// Network appearance of the AS; when a message names another, ERR "Invalid Network Appearance".
    pub network_appearance: Option<u32>,
    /// Traffic mode of the AS; an ASPAC with another is refused. `None` takes any.
    pub traffic_mode: Option<TrafficMode>,
}

/// How an ASP Identifier in ASPUP is checked (RFC 4666 section 3.8.1, errors 0x0e and 0x0f).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AspIdRule {
    /// With or without.
    #[default]
    Optional,
    /// There must be one, any.
    Required,
    /// There must be exactly this one.
    Exactly(u32),
}

/// Settings of an [`Sgp`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SgpConfig {
    /// Rule for the ASP Identifier.
    pub asp_id: AspIdRule,
    /// Routing Context must be in ASPAC and DATA even where one AS leaves no doubt.
    pub routing_context_required: bool,
    /// REG REQ and DEREG REQ go to the user above; else they are answered with ERR "Unsupported Message Class".
    pub registration: bool,
    /// Management has locked the ASP out: ASPUP and ASPAC are refused.
    pub blocked: bool,
    /// Network Appearances are for the user above to judge, who answers a wrong one with
    /// [`invalid_appearance`](crate::error::invalid_appearance): an AS of several networks.
    pub any_appearance: bool,
}

/// A change of the ASP's state in one AS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AspChange {
    /// The AS.
    pub routing_context: u32,
    /// State before.
    pub from: AspState,
    /// State now.
    pub to: AspState,
    /// The association was lost; the ASP did not leave by ASPDN.
    pub failed: bool,
}

/// Why an AS cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddAsError {
    /// The ASP has as many ASs as fit.
    Full,
    /// The routing context is there already.
    Exists,
}

impl fmt::Display for AddAsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddAsError::Full => "the ASP has no room for another AS",
            AddAsError::Exists => "the ASP has this routing context already",
        })
    }
}

impl core::error::Error for AddAsError {}

#[derive(Clone, Copy, Debug)]
struct Member {
    member: AsMember,
    state: AspState,
    /// The state last given out by `poll_change`.
    reported: AspState,
    failed: bool,
}

/// The SGP's end of one association, for an ASP with at most `N` Application Servers.
///
/// After each call drain [`Sgp::poll_change`].
#[derive(Clone, Debug)]
pub struct Sgp<const N: usize = 8> {
    config: SgpConfig,
    members: heapless::Vec<Member, N>,
    up: bool,
    asp_id: Option<u32>,
}

impl<const N: usize> Sgp<N> {
    /// A new association's SGP; the ASP is in ASP-DOWN.
    #[must_use]
    pub const fn new(config: SgpConfig) -> Self {
        const { assert!(N <= MAX_ROUTING_CONTEXTS, "one ASPAC ACK must be able to name all ASs") };
        Sgp { config, members: heapless::Vec::new(), up: false, asp_id: None }
    }

    /// Makes the ASP a member of an AS, by configuration or by registration.
    ///
    /// # Errors
    /// [`AddAsError`].
    pub fn add_as(&mut self, member: AsMember) -> Result<(), AddAsError> {
        if self.find(member.routing_context).is_some() {
            return Err(AddAsError::Exists);
        }
        let state = if self.up { AspState::Inactive } else { AspState::Down };
        let member = Member { member, state, reported: AspState::Down, failed: false };
        self.members.push(member).map_err(|_| AddAsError::Full)
    }

    fn find(&self, routing_context: u32) -> Option<usize> {
        self.members.iter().position(|entry| entry.member.routing_context == routing_context)
    }

    /// Takes the ASP out of an AS (deregistration); gives the state it had there, for the caller to tell the AS.
    pub fn remove_as(&mut self, routing_context: u32) -> Option<AspState> {
        let at = self.find(routing_context)?;
        Some(self.members.remove(at).state)
    }

    /// Takes one received message (SCTP user message with PPID 3) and adds the answers to `replies`, which should be
    /// empty. Any stream is taken for everything but DATA: RFC 4666 section 1.4.7 only says SHOULD there.
    pub fn handle<'a>(&mut self, stream: u16, octets: &'a [u8], replies: &mut Replies<'a>) -> Input<'a> {
        let message = match Message::decode(octets) {
            Ok(message) => message,
            Err(error) => {
                reply_error(replies, error.answer(octets));
                return Input::Dropped(DropCause::Malformed(error));
            }
        };
        match message {
            Message::Data(data) => self.handle_data(stream, data, octets, replies),
            Message::AspUp(up) => self.handle_up(&up, octets, replies),
            Message::AspDown(_) => self.handle_down(replies),
            Message::AspActive(active) => self.handle_active(active, octets, replies),
            Message::AspInactive(inactive) => self.handle_inactive(inactive, octets, replies),
            Message::Daud(ref daud) => {
                match self.check_ssnm(daud.network_appearance, &daud.routing_contexts, octets, replies) {
                    Some(refused) => refused,
                    None => Input::Deliver(message),
                }
            }
            Message::Scon(ref scon) => {
                match self.check_ssnm(scon.network_appearance, &scon.routing_contexts, octets, replies) {
                    Some(refused) => refused,
                    None => Input::Deliver(message),
                }
            }
            Message::RegReq(_) | Message::DeregReq(_) => {
                let code = match (self.config.registration, self.up) {
                    // 4.4.1: an SGP without registration says so.
                    (false, _) => ErrorCode::UnsupportedMessageClass,
                    (true, false) => ErrorCode::UnexpectedMessage,
                    (true, true) => return Input::Deliver(message),
                };
                refuse(replies, code, RoutingContexts::new(), octets)
            }
            Message::Beat(_) | Message::BeatAck(_) | Message::Error(_) => Input::Deliver(message),
            // Messages that only an SGP sends.
            Message::Notify(_)
            | Message::Duna(_)
            | Message::Dava(_)
            | Message::Dupu(_)
            | Message::Drst(_)
            | Message::AspUpAck(_)
            | Message::AspDownAck(_)
            | Message::AspActiveAck(_)
            | Message::AspInactiveAck(_)
            | Message::RegRsp(_)
            | Message::DeregRsp(_) => refuse(replies, ErrorCode::UnexpectedMessage, RoutingContexts::new(), octets),
        }
    }

    /// The AS a delivered DATA belongs to, also where it has no Routing Context because there is only one.
    #[must_use]
    pub fn as_of(&self, data: &Data<'_>) -> Option<u32> {
        let at = self.resolve(data.routing_context).ok()?;
        self.members.get(at).map(|entry| entry.member.routing_context)
    }

    /// Management locks the ASP out, or lets it in again. One that is up already stays as it is.
    pub const fn set_blocked(&mut self, blocked: bool) {
        self.config.blocked = blocked;
    }

    /// The association is gone, or the peer restarted it: ASP-DOWN everywhere.
    pub fn association_lost(&mut self) {
        self.step_all(SgpEvent::AssociationLost);
        self.asp_id = None;
    }

    /// Another ASP took over this override mode AS ([`crate::as_state::AsEvent::Overridden`]).
    pub fn overridden(&mut self, routing_context: u32) {
        self.step_some(&one_context(routing_context), SgpEvent::Overridden);
    }

    /// The next change of state; drain until `None`.
    pub fn poll_change(&mut self) -> Option<AspChange> {
        let entry = self.members.iter_mut().find(|entry| entry.state != entry.reported)?;
        let change = AspChange {
            routing_context: entry.member.routing_context,
            from: entry.reported,
            to: entry.state,
            failed: entry.failed,
        };
        entry.reported = entry.state;
        Some(change)
    }

    /// The ASP's state in an AS; ASP-DOWN when it is not a member.
    #[must_use]
    pub fn state(&self, routing_context: u32) -> AspState {
        let entry = self.find(routing_context).and_then(|at| self.members.get(at));
        entry.map_or(AspState::Down, |entry| entry.state)
    }

    /// True after ASPUP.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// The ASP Identifier of the ASPUP, for NTFY.
    #[must_use]
    pub const fn asp_id(&self) -> Option<u32> {
        self.asp_id
    }
}
