//! What the name server says: answers, updates, refusals.

use super::PuMachine;
use super::entry::Request;
use super::pool::{Difference, Pool};
use crate::event::PuEvent;
use crate::wire::{ErrorCause, Message, OperationError, Policy, PoolElement, PoolHandle};
use std::time::Instant;

impl<T> PuMachine<T> {
    pub(super) fn handle_message(&mut self, now: Instant, message: Message) {
        match message {
            Message::HandleResolutionResponse { subscribed, handle, policy, elements, error } => match error {
                Some(error) => self.negative(now, &handle, subscribed, error),
                None => self.positive(now, handle, subscribed, policy.unwrap_or(Policy::RoundRobin), elements),
            },
            // A server's complaint about our bytes: nothing to repeat, nothing to answer.
            Message::Error { .. } => self.counters.errors_in += 1,
            Message::Registration { .. }
            | Message::Deregistration { .. }
            | Message::RegistrationResponse { .. }
            | Message::DeregistrationResponse { .. }
            | Message::HandleResolution { .. }
            | Message::EndpointKeepAlive { .. }
            | Message::EndpointKeepAliveAck { .. }
            | Message::EndpointUnreachable { .. }
            | Message::ServerAnnounce { .. }
            | Message::Cookie { .. }
            | Message::CookieEcho { .. }
            | Message::BusinessCard { .. } => self.counters.unexpected += 1,
        }
    }

    fn positive(
        &mut self,
        now: Instant,
        handle: PoolHandle,
        subscribed: bool,
        policy: Policy,
        elements: Vec<PoolElement>,
    ) {
        let seed = self.rng.next_u64();
        let Some(entry) = self.entries.get_mut(&handle) else {
            self.counters.unexpected += 1;
            return;
        };
        self.counters.answers += 1;
        let asked = matches!(entry.request, Request::Sent { .. }) || entry.pool.is_none();
        let known = entry.pool.is_some();
        entry.answered(now, subscribed, &self.config);
        self.due.set(&handle, None);
        let pool = entry.pool.get_or_insert_with(|| Pool::new(&policy, seed));
        let difference = pool.update(policy, elements, seed);
        difference.removed.iter().for_each(|pe| {
            entry.reported.remove(pe);
        });
        if asked {
            let (policy, elements) = (pool.policy().clone(), pool.elements().to_vec());
            self.events.push_back(PuEvent::Resolved { handle: handle.clone(), policy, elements });
        }
        if known && !difference.is_empty() {
            let Difference { added, removed, changed } = difference;
            self.events.push_back(PuEvent::PoolChanged { handle, added, removed, changed });
        }
    }

    /// The pool is gone, or was never there; or it is there and out of service, with updates to follow (A bit); or the server will
    /// not say: then the cache stays.
    fn negative(&mut self, now: Instant, handle: &PoolHandle, subscribed: bool, error: OperationError) {
        let Some(entry) = self.entries.get_mut(handle) else {
            self.counters.unexpected += 1;
            return;
        };
        self.counters.negative_answers += 1;
        entry.subscribed = subscribed;
        entry.ask_later(now, &self.config);
        self.due.set(handle, entry.deadline());
        let mut tell = std::mem::take(&mut entry.used);
        if (subscribed || error.causes.contains(&ErrorCause::UnknownPoolHandle))
            && let Some(pool) = entry.pool.take()
        {
            entry.reported.clear();
            let removed = pool.elements().iter().map(|element| element.id).collect();
            let (added, changed) = (Vec::new(), Vec::new());
            self.events.push_back(PuEvent::PoolChanged { handle: handle.clone(), added, removed, changed });
            tell = true;
        }
        if tell {
            self.events.push_back(PuEvent::UnknownHandle { handle: handle.clone(), error });
        }
    }
}
