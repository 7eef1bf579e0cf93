//! What an SGP does with each message (RFC 4666 sections 4.3.4 and 4.5).

use super::{AspIdRule, Member, Sgp};
use crate::asp::{Answers, AspState, DropCause, Input, Replies, SgpEvent, refuse, reply, reply_error, sgp_step};
use crate::error;
use crate::wire::{
    AspActive, AspDown, AspInactive, AspUp, Data, ErrorCode, Message, RoutingContexts, TrafficMode, one_context,
};

impl<const N: usize> Sgp<N> {
    /// The ASP's state as one: ASP-ACTIVE when it is in any AS.
    pub(super) fn overall(&self) -> AspState {
        let highest = self.members.iter().map(|entry| entry.state).max().unwrap_or_default();
        if self.up { highest.max(AspState::Inactive) } else { AspState::Down }
    }

    /// One event for all ASs.
    pub(super) fn step_all(&mut self, event: SgpEvent) -> Answers {
        let (overall, answers) = sgp_step(self.overall(), event);
        self.up = overall != AspState::Down;
        for entry in &mut self.members {
            entry.state = sgp_step(entry.state, event).0;
            entry.failed = event == SgpEvent::AssociationLost;
        }
        answers
    }

    /// RFC 4666 section 4.3.4.1.
    pub(super) fn handle_up<'a>(&mut self, up: &AspUp<'a>, octets: &'a [u8], replies: &mut Replies<'a>) -> Input<'a> {
        let refused = match (self.config.blocked, self.config.asp_id, up.asp_id) {
            (true, _, _) => Some(ErrorCode::ManagementBlocking),
            (false, AspIdRule::Required | AspIdRule::Exactly(_), None) => Some(ErrorCode::AspIdentifierRequired),
            (false, AspIdRule::Exactly(wanted), Some(id)) if id != wanted => Some(ErrorCode::InvalidAspIdentifier),
            (false, AspIdRule::Optional | AspIdRule::Required | AspIdRule::Exactly(_), _) => None,
        };
        if let Some(code) = refused {
            return refuse(replies, code, RoutingContexts::new(), octets);
        }
        let answers = self.step_all(SgpEvent::AspUp);
        self.asp_id = up.asp_id.or(self.asp_id);
        reply(replies, Message::AspUpAck(AspUp::default()));
        if answers.contains(Answers::ERR_UNEXPECTED) {
            reply_error(replies, error::answer(ErrorCode::UnexpectedMessage, RoutingContexts::new(), octets));
        }
        Input::Consumed
    }

    /// RFC 4666 section 4.3.4.2.
    pub(super) fn handle_down<'a>(&mut self, replies: &mut Replies<'a>) -> Input<'a> {
        self.step_all(SgpEvent::AspDown);
        self.asp_id = None;
        reply(replies, Message::AspDownAck(AspDown::default()));
        Input::Consumed
    }

    /// Splits routing contexts into those the ASP is a member of and the others.
    fn known(&self, wanted: &RoutingContexts) -> (RoutingContexts, RoutingContexts) {
        let pick = |is_member| wanted.iter().copied().filter(|rc| self.find(*rc).is_some() == is_member).collect();
        (pick(true), pick(false))
    }

    /// Moves the ASP in the ASs named.
    pub(super) fn step_some(&mut self, routing_contexts: &RoutingContexts, event: SgpEvent) {
        for entry in self.members.iter_mut().filter(|entry| routing_contexts.contains(&entry.member.routing_context)) {
            entry.state = sgp_step(entry.state, event).0;
            entry.failed = false;
        }
    }

    /// The routing contexts of all members.
    fn all_contexts(&self) -> RoutingContexts {
        self.members.iter().map(|entry| entry.member.routing_context).take(crate::wire::MAX_ROUTING_CONTEXTS).collect()
    }

    /// RFC 4666 section 4.3.4.3, the list of answers by presence of the Routing Context.
    pub(super) fn handle_active<'a>(
        &mut self,
        active: AspActive<'a>,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Input<'a> {
        let named = !active.routing_contexts.is_empty();
        let refused = match (self.up, self.config.blocked) {
            (false, _) => Some(ErrorCode::UnexpectedMessage),
            (true, true) => Some(ErrorCode::ManagementBlocking),
            (true, false) if named => None,
            (true, false) if self.members.is_empty() => Some(ErrorCode::InvalidRoutingContext),
            (true, false) => self.config.routing_context_required.then_some(ErrorCode::MissingParameter),
        };
        if let Some(code) = refused {
            return refuse(replies, code, active.routing_contexts, octets);
        }
        let (known, unknown) = match named {
            true => self.known(&active.routing_contexts),
            false => (self.all_contexts(), RoutingContexts::new()),
        };
        let fits = |rc: &u32| self.mode_fits(*rc, active.traffic_mode);
        let accepted: RoutingContexts = known.iter().copied().filter(fits).collect();
        let misfits: RoutingContexts = known.iter().copied().filter(|rc| !fits(rc)).collect();
        self.step_some(&accepted, SgpEvent::AspActive);
        if !accepted.is_empty() {
            // Named when the request named them, or when not all that the ASP may have meant are accepted.
            let routing_contexts = if named || !misfits.is_empty() { accepted } else { RoutingContexts::new() };
            let traffic_mode = active.traffic_mode;
            reply(replies, Message::AspActiveAck(AspActive { traffic_mode, routing_contexts, info: None }));
        }
        let mut result = Input::Consumed;
        if !misfits.is_empty() {
            result = refuse(replies, ErrorCode::UnsupportedTrafficMode, misfits, octets);
        }
        if !unknown.is_empty() {
            result = refuse(replies, ErrorCode::NoConfiguredAs, unknown, octets);
        }
        result
    }

    fn mode_fits(&self, routing_context: u32, asked: Option<TrafficMode>) -> bool {
        let entry = self.find(routing_context).and_then(|at| self.members.get(at));
        match (entry.and_then(|entry| entry.member.traffic_mode), asked) {
            (Some(configured), Some(asked)) => configured == asked,
            (None, _) | (_, None) => true,
        }
    }

    /// RFC 4666 section 4.3.4.4, the list of answers by presence of the Routing Context.
    pub(super) fn handle_inactive<'a>(
        &mut self,
        inactive: AspInactive<'a>,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Input<'a> {
        let named = !inactive.routing_contexts.is_empty();
        if !self.up {
            return refuse(replies, ErrorCode::UnexpectedMessage, inactive.routing_contexts, octets);
        }
        if !named && self.members.is_empty() {
            return refuse(replies, ErrorCode::NoConfiguredAs, RoutingContexts::new(), octets);
        }
        let (known, unknown) = match named {
            true => self.known(&inactive.routing_contexts),
            false => (self.all_contexts(), RoutingContexts::new()),
        };
        self.step_some(&known, SgpEvent::AspInactive);
        if !known.is_empty() {
            let routing_contexts = if named { known } else { RoutingContexts::new() };
            reply(replies, Message::AspInactiveAck(AspInactive { routing_contexts, info: None }));
        }
        match unknown.is_empty() {
            true => Input::Consumed,
            false => refuse(replies, ErrorCode::InvalidRoutingContext, unknown, octets),
        }
    }

    /// RFC 4666 sections 1.4.7, 3.3.1, 3.8.1.
    pub(super) fn handle_data<'a>(
        &mut self,
        stream: u16,
        data: Data<'a>,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Input<'a> {
        if stream == 0 {
            return refuse(replies, ErrorCode::InvalidStream, RoutingContexts::new(), octets);
        }
        if !self.up {
            return Input::Dropped(DropCause::NotActive);
        }
        let entry = match self.resolve(data.routing_context) {
            Ok(at) => self.members.get(at).expect("invariant: resolve gives the place of a member"),
            Err(code) => {
                let wrong = data.routing_context.map(one_context).unwrap_or_default();
                return refuse(replies, code, wrong, octets);
            }
        };
        if let Some(appearance) = data.network_appearance
            && !self.knows(entry, appearance)
        {
            return refuse_appearance(replies, appearance, octets);
        }
        match sgp_step(entry.state, SgpEvent::Data).1.contains(Answers::DELIVER) {
            true => Input::Deliver(Message::Data(data)),
            false => Input::Dropped(DropCause::NotActive),
        }
    }

    /// The member a routing context stands for; without one there must be no doubt.
    pub(super) fn resolve(&self, routing_context: Option<u32>) -> Result<usize, ErrorCode> {
        match (routing_context, self.members.len()) {
            (Some(routing_context), _) => self.find(routing_context).ok_or(ErrorCode::InvalidRoutingContext),
            (None, 0) => Err(ErrorCode::NoConfiguredAs),
            (None, 1) if !self.config.routing_context_required => Ok(0),
            (None, _) => Err(ErrorCode::MissingParameter),
        }
    }

    /// Checks DAUD and SCON; gives the refusal.
    pub(super) fn check_ssnm<'a>(
        &self,
        appearance: Option<u32>,
        routing_contexts: &RoutingContexts,
        octets: &'a [u8],
        replies: &mut Replies<'a>,
    ) -> Option<Input<'a>> {
        if !sgp_step(self.overall(), SgpEvent::Ssnm).1.contains(Answers::DELIVER) {
            return Some(refuse(replies, ErrorCode::UnexpectedMessage, routing_contexts.clone(), octets));
        }
        let (known, unknown) = self.known(routing_contexts);
        if !unknown.is_empty() {
            return Some(refuse(replies, ErrorCode::InvalidRoutingContext, unknown, octets));
        }
        let concerned = |entry: &&Member| known.is_empty() || known.contains(&entry.member.routing_context);
        let mut members = self.members.iter().filter(concerned);
        match appearance {
            Some(appearance) if !members.any(|entry| self.knows(entry, appearance)) => {
                Some(refuse_appearance(replies, appearance, octets))
            }
            _ => None,
        }
    }

    fn knows(&self, entry: &Member, appearance: u32) -> bool {
        self.config.any_appearance || entry.member.network_appearance == Some(appearance)
    }
}

fn refuse_appearance<'a>(replies: &mut Replies<'a>, appearance: u32, octets: &'a [u8]) -> Input<'a> {
    reply_error(replies, error::invalid_appearance(appearance, octets));
    Input::Dropped(DropCause::Refused(ErrorCode::InvalidNetworkAppearance))
}
