//! `sigpool explain`, the pool's part: who owns a message's group or would get it, who would come next, who would not and why.

use super::controller::{Controller, Phase};
use super::elements::Element;
use super::preference::ChosenBy;
use super::{Directory, Pool, Standing};
use crate::explain::{Candidate, Explanation, Fate, GroupAnswer, Rejected, group_text};
use crate::group::{GroupId, Owner};
use m3ua_lite::as_state::AsState;
use m3ua_lite::isup;
use m3ua_lite::session::{GroupKey, stream_for};
use sctp::AssocId;
use std::time::Instant;

/// What a message that stands for others has in bytes.
const MESSAGE_BYTES: usize = 200;

impl Pool {
    /// Adds what the pool knows to what the routing keys told.
    pub(crate) fn explain(&self, now: Instant, directory: &dyn Directory, answer: &mut Explanation) {
        if let Some(server) = &mut answer.application_server {
            server.state = Some(self.as_state.state().name().to_owned());
            server.policy = directory.policy(&self.handle);
            server.queued_messages = Some(self.queued.messages);
        }
        let key = answer.question.group(&self.settings.server);
        let id = key.and_then(|key| self.by_key.get(&key).copied());
        let owner = id.and_then(|id| match self.groups[id.0 as usize].owner {
            Owner::Controller(assoc) => Some(assoc),
            Owner::Nobody | Owner::Fenced => None,
        });
        answer.group = key.map(|key| self.group_answer(&key, id));
        let mut select = |count, usable: &dyn Fn(u32) -> bool| directory.order(&self.handle, count, usable);
        let mut order = self.preference(now, self.controllers.len(), &mut select);
        let mut candidates = Vec::new();
        if let Some(owner) = owner.and_then(|assoc| self.controllers.get(&assoc)) {
            order.retain(|(assoc, _)| *assoc != owner.assoc);
            let why = "it owns the group, and a group stays with its controller".to_owned();
            candidates.push(self.candidate(owner, why));
        }
        let policy = directory.policy(&self.handle).unwrap_or_else(|| "not known yet".to_owned());
        candidates.extend(order.iter().filter_map(|(assoc, by)| {
            let controller = self.controllers.get(assoc)?;
            Some(self.candidate(controller, chosen_text(*by, &policy, controller)))
        }));
        self.reject(now, directory, owner, &order, answer);
        let mut candidates = candidates.into_iter();
        answer.controller = candidates.next();
        answer.next = candidates.take(Explanation::NEXT_MAX).collect();
        (answer.fate, answer.why) = self.fate(now, (key, answer.question.si), id, answer.controller.as_ref());
        if self.has_too_few() {
            let least = self.settings.server.asps_min;
            answer.note(&format!("asps_min: nobody gets anything before {least} ASPs are active"));
        }
        if self.is_broadcast() {
            answer.note("traffic mode broadcast: each active ASP gets it, not only the first one named here");
        }
        if self.room_for(id, true, MESSAGE_BYTES).is_err() && answer.fate != Fate::Discarded {
            answer.note("congestion: an IAM would be discarded; what belongs to calls that are up goes on");
        }
    }

    fn group_answer(&self, key: &GroupKey, id: Option<GroupId>) -> GroupAnswer {
        let group = id.map(|id| &self.groups[id.0 as usize]);
        let owner = group.and_then(|group| match group.owner {
            Owner::Controller(assoc) => self.controllers.get(&assoc),
            Owner::Nobody | Owner::Fenced => None,
        });
        GroupAnswer {
            group: group_text(key),
            state: id.map_or("unknown", |id| self.group_state(id)).to_owned(),
            owner: owner.map(|controller| format!("{:08x}", controller.pe)),
            stream: owner.map(|controller| stream_for(key, controller.streams)),
            queued_messages: group.map_or(0, crate::group::Group::len),
            unconfirmed: group.map_or(0, crate::group::Group::unconfirmed),
            cookie_bytes: group.and_then(|group| group.cookie()).map_or(0, bytes::Bytes::len),
        }
    }

    /// How a group stands, for people.
    pub(super) fn group_state(&self, id: GroupId) -> &'static str {
        let group = &self.groups[id.0 as usize];
        match group.owner {
            Owner::Controller(_) if group.asked_back => "moving",
            Owner::Controller(assoc) => match self.controllers.get(&assoc).map(|controller| controller.phase) {
                Some(Phase::Draining(_)) => "draining",
                Some(Phase::Starting(_) | Phase::Active | Phase::Inactive) | None => "owned",
            },
            Owner::Fenced => "fenced",
            Owner::Nobody if group.waits => "waiting",
            Owner::Nobody => "free",
        }
    }

    fn candidate(&self, controller: &Controller, why: String) -> Candidate {
        let address = self.elements.get(&controller.pe).map_or_else(String::new, Element::address_text);
        Candidate { pe: format!("{:08x}", controller.pe), address, why }
    }

    /// The elements that neither own the group nor are among those that would get it.
    fn reject(
        &self,
        now: Instant,
        directory: &dyn Directory,
        owner: Option<AssocId>,
        order: &[(AssocId, ChosenBy)],
        answer: &mut Explanation,
    ) {
        let is_candidate = |assoc: AssocId| {
            let place = order.iter().position(|(other, _)| *other == assoc);
            let shown = Explanation::NEXT_MAX + usize::from(owner.is_none());
            owner == Some(assoc) || place.is_some_and(|place| place < shown)
        };
        for (pe, element) in &self.elements {
            if element.assoc.is_some_and(is_candidate) {
                continue;
            }
            if answer.rejected.len() == Explanation::REJECTED_MAX {
                answer.rejected_left_out += 1;
                continue;
            }
            let mut why = self.objections(now, element, &directory.standing(&self.handle, *pe));
            if why.is_empty() {
                why.push("it comes after those named".to_owned());
            }
            answer.rejected.push(Rejected { pe: format!("{pe:08x}"), why });
        }
    }

    /// Everything that speaks against an element.
    fn objections(&self, now: Instant, element: &Element, standing: &Standing) -> Vec<String> {
        let mut why = Vec::new();
        let mut against = |objection: bool, text: &str| {
            if objection {
                why.push(text.to_owned());
            }
        };
        let controller = element.assoc.and_then(|assoc| self.controllers.get(&assoc));
        against(!element.in_pool, "not registered any more");
        against(element.drained, "drained by an operator");
        against(element.blocked, "blocked by an operator");
        against(element.failed, "given up, and not active since");
        match controller.map(|controller| controller.phase) {
            None => against(true, &self.no_association(now, element)),
            Some(Phase::Starting(_)) if controller.is_some_and(|c| c.streams == 0) => {
                against(true, "not active: the association is being set up");
            }
            Some(Phase::Starting(_)) => against(true, "not active: no ASPUP and ASPAC yet"),
            Some(Phase::Draining(_)) => against(true, "draining: it left by ASPIA or ASPDN and finishes what it has"),
            Some(Phase::Inactive) => against(true, "not active: it left by ASPIA or ASPDN"),
            Some(Phase::Active) => {}
        }
        against(
            controller.is_some_and(|controller| controller.on_probation),
            "on probation: its call control hung, and it has not confirmed anything since",
        );
        why.extend(standing.suspended.iter().map(|reason| format!("suspended by the name server: {reason}")));
        if standing.full {
            why.push(format!("full, by its policy values: {}", standing.policy.as_deref().unwrap_or_default()));
        }
        if element.in_pool && !standing.listed && standing.suspended.is_empty() && !standing.full {
            why.push("resolution does not yield it".to_owned());
        }
        why
    }

    fn no_association(&self, now: Instant, element: &Element) -> String {
        if self.controllers.len() >= self.settings.server.associations_max {
            return format!("no association: {} are there, associations_max", self.controllers.len());
        }
        match element.connect_at() {
            Some(at) => format!("no association: tried again in {} ms", at.saturating_duration_since(now).as_millis()),
            None => "no association".to_owned(),
        }
    }

    /// What becomes of a message of the group now.
    fn fate(
        &self,
        now: Instant,
        (key, si): (Option<GroupKey>, u8),
        id: Option<GroupId>,
        first: Option<&Candidate>,
    ) -> (Fate, String) {
        let state = self.as_state.state();
        if self.unavailable && state != AsState::Active {
            let why = "no controller is active and T(r) is over; the network was told DUNA".to_owned();
            return (Fate::Discarded, why);
        }
        let server = &self.settings.server;
        if key.is_some() && id.is_none() && self.groups.len() >= server.groups_max {
            return (
                Fate::Discarded,
                format!("{} groups are known, groups_max; there is no room for another", self.groups.len()),
            );
        }
        if let Err(cause) = self.room_for(id, si != isup::SERVICE_INDICATOR, MESSAGE_BYTES) {
            return (Fate::Discarded, format!("{}: {} messages are queued", cause.name(), self.queued.messages));
        }
        let first = first.map_or_else(|| "nobody yet".to_owned(), |candidate| candidate.pe.clone());
        match id.map(|id| (id, self.groups[id.0 as usize].owner)) {
            Some((id, Owner::Controller(assoc))) => self.fate_at_owner(id, assoc, first),
            Some((id, Owner::Fenced)) => {
                let fence = self.fences.iter().find(|(_, groups)| groups.contains(&id));
                let left = fence.map_or(0, |(at, _)| at.saturating_duration_since(now).as_millis());
                let why =
                    format!("the last owner was given up and may act for {left} ms more, by its lease; then {first}");
                (Fate::Waits, why)
            }
            Some((_, Owner::Nobody)) | None => self.fate_without_owner(now, state, first),
        }
    }

    fn fate_at_owner(&self, id: GroupId, assoc: AssocId, owner: String) -> (Fate, String) {
        if self.groups[id.0 as usize].asked_back {
            let to = self.moves_to(id).map_or_else(String::new, |to| format!(" to {to:08x}"));
            return (Fate::Waits, format!("{owner} was asked to give the group back, a planned move{to}"));
        }
        let Some(controller) = self.controllers.get(&assoc) else { return (Fate::Waits, String::new()) };
        match controller.phase {
            Phase::Draining(_) => {
                (Fate::Waits, format!("{owner} leaves; the group moves when it has confirmed what it has"))
            }
            Phase::Starting(_) | Phase::Inactive => (Fate::Waits, format!("{owner} is not active")),
            Phase::Active if controller.unconfirmed >= self.settings.server.unconfirmed_max => (
                Fate::Waits,
                format!("{} messages are unconfirmed at {owner}, unconfirmed_max", controller.unconfirmed),
            ),
            Phase::Active if !controller.backlog.is_empty() => {
                (Fate::Waits, format!("SCTP has no room toward {owner} at the moment; groups take turns"))
            }
            Phase::Active => (Fate::Sent, format!("to {owner}, the group's owner")),
        }
    }

    fn fate_without_owner(&self, now: Instant, state: AsState, first: String) -> (Fate, String) {
        if let Some(at) = self.gather {
            let left = at.saturating_duration_since(now).as_millis();
            return (
                Fate::Waits,
                format!("more controllers are about to become active, at most {left} ms more; then {first}"),
            );
        }
        match state {
            AsState::Active => (Fate::Sent, format!("the group has no owner yet and goes to {first}")),
            AsState::Down | AsState::Inactive | AsState::Pending => {
                let t_r = self.settings.server.t_r_ms;
                (Fate::Waits, format!("no controller is active; what waits longer than T(r), {t_r} ms, is discarded"))
            }
        }
    }
}

impl Element {
    /// Where it listens.
    pub(super) fn address_text(&self) -> String {
        let addresses: Vec<String> = self.location.addresses.iter().map(ToString::to_string).collect();
        format!("{}:{}", addresses.join(","), self.location.port)
    }
}

fn chosen_text(by: ChosenBy, policy: &str, controller: &Controller) -> String {
    match by {
        ChosenBy::Policy => format!("by the pool's policy, {policy}"),
        ChosenBy::Silent if controller.on_probation => format!(
            "by the pool's policy, {policy}, after all others: on probation, its call control hung and has confirmed nothing since"
        ),
        ChosenBy::Silent => {
            format!("by the pool's policy, {policy}, after all that answer promptly: it has been silent for a while")
        }
        ChosenBy::FewestGroups => {
            format!(
                "only if resolution yields nobody: the fewest groups come first, it has {}",
                controller.groups.len()
            )
        }
    }
}
