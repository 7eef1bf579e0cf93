//! ASP state (RFC 4666 section 4.3.1): the two transition tables, and what both ends of an association share.
//!
//! [`sgp_step`] is the SGP's view of one ASP in one AS, [`asp_step`] the ASP's view of itself. Both are pure functions
//! over all states and events; [`crate::sgp::Sgp`] and [`crate::asp_peer::AspPeer`] run them.

use bitflags::bitflags;

use crate::error::{self, DecodeError};
use crate::wire::{ErrorCode, ErrorMessage, Message, RoutingContexts};

/// State of an ASP in an AS (RFC 4666 section 4.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AspState {
    /// ASP-DOWN: unreachable, or ASPUP has not come.
    #[default]
    Down,
    /// ASP-INACTIVE: there, but takes no traffic.
    Inactive,
    /// ASP-ACTIVE: takes traffic.
    Active,
}

impl AspState {
    /// All states, for tables and tests.
    pub const ALL: [AspState; 3] = [AspState::Down, AspState::Inactive, AspState::Active];

    /// The RFC's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AspState::Down => "ASP-DOWN",
            AspState::Inactive => "ASP-INACTIVE",
            AspState::Active => "ASP-ACTIVE",
        }
    }
}

/// What happens to an ASP, as the SGP sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SgpEvent {
    /// ASPUP came.
    AspUp,
    /// ASPDN came.
    AspDown,
    /// ASPAC came for this AS.
    AspActive,
    /// ASPIA came for this AS.
    AspInactive,
    /// Another ASP became active in this override mode AS.
    Overridden,
    /// DATA came for this AS.
    Data,
    /// DAUD or SCON came.
    Ssnm,
    /// SCTP: communication down, or restart.
    AssociationLost,
}

impl SgpEvent {
    /// All events, for tables and tests.
    pub const ALL: [SgpEvent; 8] = [
        SgpEvent::AspUp,
        SgpEvent::AspDown,
        SgpEvent::AspActive,
        SgpEvent::AspInactive,
        SgpEvent::Overridden,
        SgpEvent::Data,
        SgpEvent::Ssnm,
        SgpEvent::AssociationLost,
    ];
}

bitflags! {
    /// What is to be done besides the change of state.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Answers: u8 {
        /// Send ASPUP ACK.
        const UP_ACK = 1;
        /// Send ASPDN ACK.
        const DOWN_ACK = 1 << 1;
        /// Send ASPAC ACK.
        const ACTIVE_ACK = 1 << 2;
        /// Send ASPIA ACK.
        const INACTIVE_ACK = 1 << 3;
        /// Send ERR "Unexpected Message".
        const ERR_UNEXPECTED = 1 << 4;
        /// The message is for the user above.
        const DELIVER = 1 << 5;
    }
}

/// A row of [`sgp_step`]: next state and answers.
pub type Step = (AspState, Answers);

/// The SGP's table, RFC 4666 figure 3 and section 4.3.4.
#[must_use]
pub const fn sgp_step(state: AspState, event: SgpEvent) -> Step {
    use AspState::{Active, Down, Inactive};
    let none = Answers::empty();
    match (state, event) {
        // 4.3.4.1: acknowledged in each state; from ASP-ACTIVE it is also an error and ends the traffic.
        (Down | Inactive, SgpEvent::AspUp) => (Inactive, Answers::UP_ACK),
        (Active, SgpEvent::AspUp) => (Inactive, Answers::UP_ACK.union(Answers::ERR_UNEXPECTED)),
        // 4.3.4.2: acknowledged even in ASP-DOWN.
        (Down | Inactive | Active, SgpEvent::AspDown) => (Down, Answers::DOWN_ACK),
        // 4.3.4.1: the ASP must wait for ASPUP ACK before anything else.
        (Down, SgpEvent::AspActive | SgpEvent::AspInactive) => (Down, Answers::ERR_UNEXPECTED),
        // 4.3.4.3: acknowledged even in ASP-ACTIVE.
        (Inactive | Active, SgpEvent::AspActive) => (Active, Answers::ACTIVE_ACK),
        // 4.3.4.4: acknowledged even in ASP-INACTIVE.
        (Inactive | Active, SgpEvent::AspInactive) => (Inactive, Answers::INACTIVE_ACK),
        // 4.3.4.3: override mode. The AS sends the NTFY.
        (Active, SgpEvent::Overridden) => (Inactive, none),
        (Down | Inactive, SgpEvent::Overridden) => (state, none),
        // 4.3.4.3: DATA before ASPAC may be discarded; an ERR a message would amplify, so silently.
        (Active, SgpEvent::Data) => (Active, Answers::DELIVER),
        (Down | Inactive, SgpEvent::Data) => (state, none),
        // 4.3.4.3: SSNM should not come before ASPAC ACK.
        (Active, SgpEvent::Ssnm) => (Active, Answers::DELIVER),
        (Down | Inactive, SgpEvent::Ssnm) => (state, Answers::ERR_UNEXPECTED),
        // 4.3.3: communication down and restart are the same here.
        (Down | Inactive | Active, SgpEvent::AssociationLost) => (Down, none),
    }
}

/// What happens to the ASP, as the ASP itself sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AspEvent {
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

impl AspEvent {
    /// All events, for tables and tests.
    pub const ALL: [AspEvent; 6] = [
        AspEvent::UpAck,
        AspEvent::DownAck,
        AspEvent::ActiveAck,
        AspEvent::InactiveAck,
        AspEvent::Alternate,
        AspEvent::AssociationLost,
    ];
}

/// The ASP's table, RFC 4666 section 4.3.4. What was not asked for moves the state all the same, because it tells what
/// the SGP thinks; [`crate::asp_peer::AspPeer`] then works its way back to where its user wants it.
#[must_use]
pub const fn asp_step(state: AspState, event: AspEvent) -> Step {
    use AspState::{Active, Down, Inactive};
    let none = Answers::empty();
    match (state, event) {
        // 4.3.4.1: unexpected in ASP-ACTIVE: an error, and traffic has ended at the SGP.
        (Down | Inactive, AspEvent::UpAck) => (Inactive, none),
        (Active, AspEvent::UpAck) => (Inactive, Answers::ERR_UNEXPECTED),
        // 4.3.4.2: asked for or not, the SGP has us in ASP-DOWN.
        (Down | Inactive | Active, AspEvent::DownAck) => (Down, none),
        (Down, AspEvent::ActiveAck) => (Down, Answers::ERR_UNEXPECTED),
        (Inactive | Active, AspEvent::ActiveAck) => (Active, none),
        // 4.3.4.4: asked for or not, the SGP has us in ASP-INACTIVE.
        (Down, AspEvent::InactiveAck) => (Down, Answers::ERR_UNEXPECTED),
        (Inactive | Active, AspEvent::InactiveAck) => (Inactive, none),
        // 4.3.4.3: MUST consider itself in ASP-INACTIVE.
        (Active, AspEvent::Alternate) => (Inactive, none),
        (Down | Inactive, AspEvent::Alternate) => (state, none),
        (Down | Inactive | Active, AspEvent::AssociationLost) => (Down, none),
    }
}

/// A message to be sent, and its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound<'a> {
    /// SCTP stream; ordered. RFC 4666 section 1.4.7 puts what these machines send on stream 0.
    pub stream: u16,
    /// The message.
    pub message: Message<'a>,
}

/// Most answers one received message can have.
pub const MAX_REPLIES: usize = 4;

/// The answers to one received message, in the order they are to be sent.
pub type Replies<'a> = heapless::Vec<Outbound<'a>, MAX_REPLIES>;

/// What became of a received message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "no allocator to box with; it is a return value, not stored")]
pub enum Input<'a> {
    /// For the user above: DATA, BEAT (**to be answered with `Message::BeatAck` of the same data**; the machines do
    /// not, since a barrier must wait and a lease is the user's decision), BEAT ACK, SSNM, ERR, NTFY, RKM.
    Deliver(Message<'a>),
    /// The machine dealt with it.
    Consumed,
    /// Not acted on, count it; an answer, where the RFC wants one, is among the replies.
    Dropped(DropCause),
}

/// Why a received message was not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// Not a message.
    Malformed(DecodeError),
    /// DATA in an AS in which the ASP is not active.
    NotActive,
    /// Answered with this ERR.
    Refused(ErrorCode),
}

/// Adds an answer on stream 0.
pub(crate) fn reply<'a>(replies: &mut Replies<'a>, message: Message<'a>) {
    // A caller that never clears `replies` loses answers, nothing else.
    let _full = replies.push(Outbound { stream: 0, message });
}

/// Adds an ERR, unless the offending message is an ERR itself.
pub(crate) fn reply_error<'a>(replies: &mut Replies<'a>, error: Option<ErrorMessage<'a>>) {
    if let Some(error) = error {
        reply(replies, Message::Error(error));
    }
}

/// Refuses a message for a reason of the protocol.
pub(crate) fn refuse<'a>(
    replies: &mut Replies<'a>,
    code: ErrorCode,
    routing_contexts: RoutingContexts,
    octets: &'a [u8],
) -> Input<'a> {
    reply_error(replies, error::answer(code, routing_contexts, octets));
    Input::Dropped(DropCause::Refused(code))
}
