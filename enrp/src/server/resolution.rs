//! Handle resolution (RFC 5352 section 3.3) and updates to subscribers (section 2.2.5, S and A bits).

use super::{ClientId, Server, error, ms};
use crate::handlespace::Element;
use asap::wire::{ElementReport, ErrorCause, Message, PoolHandle};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// So many subscribers of a pool are told at a time, the next ones a little later: an update of a large pool to all of thousands at once
/// would be gigabytes in memory, and hold up everything else.
const TOLD_AT_ONCE: usize = 64;
/// See [`TOLD_AT_ONCE`].
const TOLD_EVERY: Duration = Duration::from_millis(1);

/// Who wants to know when a pool changes.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    /// With what each wants.
    clients: BTreeMap<ClientId, Wanted>,
    /// The next update goes out no sooner.
    not_before: Option<Instant>,
    /// The last client that was told, while others still wait for this update.
    told: Option<ClientId>,
    /// The pool changed meanwhile.
    again: bool,
}

impl Subscribers {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.clients.len()
    }
}

/// ASAP_HANDLE_RESOLUTION.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) subscribe: bool,
    pub(super) handle: PoolHandle,
    pub(super) items: Option<u32>,
    pub(super) hint: Option<Bytes>,
    pub(super) reports: Vec<ElementReport>,
}

/// What a user wants to be told of a pool.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// So many PEs.
    pub(super) items: usize,
    /// For the pool's plug-in.
    pub(super) hint: Option<Bytes>,
}

impl Server {
    /// ASAP_HANDLE_RESOLUTION: always answered.
    pub(super) fn resolution(&mut self, now: Instant, client: ClientId, source: &[SocketAddr], question: Question) {
        let Question { subscribe, handle, items, hint, reports } = question;
        if self.handlespace.pool(&handle).is_none() {
            self.counters.resolutions_unknown += 1;
            self.send(client, &negative(handle, false, ErrorCause::UnknownPoolHandle));
            return;
        }
        self.take_measures(now, client, source, &handle, &reports);
        let wanted = Wanted { items: self.items(client, subscribe, items), hint };
        let subscribed = subscribe && self.subscribe(client, &handle, &wanted);
        self.answer(now, client, &handle, subscribed, &wanted);
    }

    /// Too many in this second. The subscription, if there is one, goes on; the user asks again later (RFC 5354: Lack of Resources).
    pub(super) fn resolution_limited(&mut self, client: ClientId, handle: PoolHandle) {
        self.counters.resolutions_limited += 1;
        self.send(client, &negative(handle, false, ErrorCause::LackOfResources));
    }

    /// How many PEs the client gets: what it asked for (Handle Resolution Option), else the pool for a subscriber, which selects
    /// from what it has until something changes, and the setting for others.
    fn items(&self, client: ClientId, subscribe: bool, asked: Option<u32>) -> usize {
        let asked = asked.map(|asked| usize::try_from(asked).unwrap_or(usize::MAX).max(1));
        let whole = subscribe || client == ClientId::LOCAL;
        let default = if whole { usize::MAX } else { self.config.resolution_items };
        asked.unwrap_or(default).min(self.config.resolution_items_max)
    }

    /// Sends what a resolution of an existing pool gives now.
    ///
    /// A pool in which no PE may be selected is refused with Lack of Resources: a positive answer must list a PE, and Unknown
    /// Pool Handle would not be true. A subscription to it goes on (A stays set), as the pool exists.
    fn answer(&mut self, now: Instant, client: ClientId, handle: &PoolHandle, subscribed: bool, wanted: &Wanted) {
        match self.positive(now, client, handle, subscribed, wanted) {
            Some(bytes) => {
                self.counters.resolutions += 1;
                self.send_bytes(client, bytes);
            }
            None => {
                self.counters.resolutions_empty += 1;
                self.send(client, &negative(handle.clone(), subscribed, ErrorCause::LackOfResources));
            }
        }
    }

    /// `None` when no PE may be selected.
    fn positive(
        &mut self,
        now: Instant,
        client: ClientId,
        handle: &PoolHandle,
        subscribed: bool,
        wanted: &Wanted,
    ) -> Option<Bytes> {
        if let Some(order) = self.ranked(now, client, handle, wanted) {
            return self.ranked_answer(handle, subscribed, &order, wanted.items);
        }
        let selected = self.handlespace.resolve(handle, wanted.items)?;
        if selected.is_empty() {
            return None;
        }
        let elements = selected.elements().map(Element::registered);
        let (bytes, listed) =
            Message::encode_resolution(subscribed, handle, selected.pool().policy(), elements).ok()?;
        if listed == 0 {
            return None;
        }
        if listed < selected.len() {
            self.counters.resolutions_truncated += 1;
        }
        Some(bytes)
    }

    fn subscribe(&mut self, client: ClientId, handle: &PoolHandle, wanted: &Wanted) -> bool {
        let limit = self.config.subscriptions_per_client_max;
        let accepted = self.remember(client).is_some_and(|memory| {
            let room = memory.subscriptions.len() < limit || memory.subscriptions.contains(handle);
            room && {
                memory.subscriptions.insert(handle.clone());
                true
            }
        });
        if !accepted {
            self.counters.subscriptions_refused += 1;
            self.forget_if_idle(client);
            return false;
        }
        self.subscribers.entry(handle.clone()).or_default().clients.insert(client, wanted.clone());
        true
    }

    pub(super) fn unsubscribe(&mut self, client: ClientId, handle: &PoolHandle) {
        if let Some(subscribers) = self.subscribers.get_mut(handle) {
            subscribers.clients.remove(&client);
            if subscribers.clients.is_empty() {
                self.subscribers.remove(handle);
                self.updates.cancel(handle);
            }
        }
    }

    /// Something that pool users see of the pool is another now: its subscribers are to be told, at once or when the time
    /// since the last update is over.
    pub(super) fn pool_changed(&mut self, now: Instant, handle: &PoolHandle) {
        let Some(subscribers) = self.subscribers.get_mut(handle) else { return };
        let at = subscribers.not_before.map_or(now, |not_before| not_before.max(now));
        // Those who were told already are to be told again; the others first, in their turn.
        if subscribers.told.is_none() {
            self.updates.set(handle.clone(), at);
        } else {
            subscribers.again = true;
        }
    }

    /// Sends the updates that are due. Called last, so that a change is told after the request that made it is answered.
    pub(super) fn send_updates(&mut self, now: Instant) {
        while let Some(handle) = self.updates.pop_due(now) {
            if self.handlespace.pool(&handle).is_some() {
                self.send_update(now, &handle);
            } else {
                self.end_subscriptions(&handle);
            }
        }
    }

    fn send_update(&mut self, now: Instant, handle: &PoolHandle) {
        let Some(subscribers) = self.subscribers.get_mut(handle) else { return };
        let from = subscribers.told.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = subscribers.clients.range((from, Bound::Unbounded));
        let clients: Vec<(ClientId, Wanted)> = rest.take(TOLD_AT_ONCE).map(|(&c, w)| (c, w.clone())).collect();
        let more = clients.len() == TOLD_AT_ONCE;
        subscribers.told = clients.last().map(|(client, _)| *client).filter(|_| more);
        let not_before = now + ms(self.config.update_interval_ms);
        if more {
            self.updates.set(handle.clone(), now + TOLD_EVERY);
        } else {
            subscribers.not_before = Some(not_before);
            if std::mem::take(&mut subscribers.again) {
                self.updates.set(handle.clone(), not_before);
            }
        }
        for (client, wanted) in clients {
            self.counters.updates += 1;
            self.answer(now, client, handle, true, &wanted);
        }
    }

    /// The pool is gone: a negative answer, after which there are no updates (RFC 5352 section 2.2.5).
    fn end_subscriptions(&mut self, handle: &PoolHandle) {
        let Some(subscribers) = self.subscribers.remove(handle) else { return };
        for client in subscribers.clients.into_keys() {
            if let Some(memory) = self.clients.get_mut(&client) {
                memory.subscriptions.remove(handle);
            }
            self.forget_if_idle(client);
            self.counters.updates += 1;
            self.send(client, &negative(handle.clone(), false, ErrorCause::UnknownPoolHandle));
        }
    }
}

fn negative(handle: PoolHandle, subscribed: bool, cause: ErrorCause) -> Message {
    Message::HandleResolutionResponse { subscribed, handle, policy: None, elements: Vec::new(), error: error(cause) }
}
