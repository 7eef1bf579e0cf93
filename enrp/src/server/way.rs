//! Ways to PEs that did not come to us: associations that this server opens to the ASAP transports of PEs.
//!
//! * PEs taken over from a dead peer ([`Server::take_over`], RFC 5353 section 3.5.2): each is sent a keep-alive with H = 1, at most so
//!   many a second, and from its answer on it is supervised over that association as over one of its own making. What cannot be
//!   reached is removed (RFC 5352 section 3.5). A PE that comes by itself meanwhile is not asked.
//! * PEs of other servers that were reported unreachable (RFC 5352 section 3.5: whoever gets the report asks at once): a keep-alive
//!   with H = 0, and the association is closed again. One that does not answer is removed here; its owner is told by the handle
//!   update, and if it knows better, its checksum brings the PE back with the next audit.
//!
//! PEs at one transport share one way. An association opened by us is closed when nothing needs it any more.

use super::supervision::Supervision;
use super::{Attempt, ClientId, Output, RemovalCause, Server, Timer, ms};
use crate::handlespace::Slot;
use asap::wire::{Message, PeId, PoolHandle, SctpTransport};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// PEs of other servers that are being asked; more reports are counted only.
const PROBES_MAX: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ways {
    attempts: u64,
    by_transport: FxHashMap<SctpTransport, Way>,
    by_attempt: FxHashMap<Attempt, SctpTransport>,
    by_client: FxHashMap<ClientId, SctpTransport>,
    /// Which way a PE waits for. Its ASAP transport may be another by now.
    waiting: FxHashMap<Slot, SctpTransport>,
    /// PEs of other servers that are being asked.
    probes: FxHashMap<Slot, SctpTransport>,
}

#[derive(Debug)]
enum Way {
    /// Not up yet; these PEs are asked when it is.
    Opening(Vec<Slot>),
    Up(ClientId),
}

impl Ways {
    /// Whether an attempt is for a way to a PE.
    pub(super) fn has(attempt: Attempt) -> bool {
        !attempt.is_to_peer()
    }

    /// Nothing is open, opened or asked.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_transport.is_empty()
            && self.by_attempt.is_empty()
            && self.by_client.is_empty()
            && self.waiting.is_empty()
            && self.probes.is_empty()
    }

    /// The association of a way is gone.
    pub(super) fn lost(&mut self, client: ClientId) {
        if let Some(transport) = self.by_client.remove(&client) {
            self.by_transport.remove(&transport);
        }
    }

    /// The PE is no longer there, or somebody else's. Gives the association over which it was asked: it may be of no use now.
    pub(super) fn forget(&mut self, slot: Slot) -> Option<ClientId> {
        let waits = self.waiting.remove(&slot);
        if let Some(Way::Opening(waiting)) = waits.and_then(|transport| self.by_transport.get_mut(&transport)) {
            waiting.retain(|&other| other != slot);
        }
        let probed = self.probes.remove(&slot)?;
        match self.by_transport.get(&probed)? {
            Way::Up(client) => Some(*client),
            Way::Opening(_) => None,
        }
    }
}

impl Server {
    /// Makes this server the home of PEs whose server is dead, and sends each a keep-alive with H = 1, `per_s` of them a second.
    /// Until one answers it is selected as before; its registration life starts anew.
    pub fn take_over(&mut self, now: Instant, slots: Vec<Slot>, per_s: u32) {
        for slot in slots {
            if self.supervised.contains_key(&slot) {
                continue;
            }
            let Some(life) = self.handlespace.get(slot).map(|element| element.registered().life) else { continue };
            self.handlespace.set_home(slot, self.id);
            self.counters.taken_over += 1;
            let asked_over = self.ways.forget(slot);
            self.timers.cancel(&Timer::Probe(slot));
            self.supervised.insert(slot, Supervision::taken_over());
            if let Some(life) = life.duration() {
                self.timers.set(Timer::Expiry(slot), now + life);
            }
            let at = self.rehoming.place(now, per_s);
            self.timers.set(Timer::Reach(slot), at);
            if let Some(way) = asked_over {
                self.close_unused(way);
            }
        }
    }

    /// Another server is the PE's home now.
    pub fn give_up(&mut self, slot: Slot) {
        let Some(supervision) = self.supervised.remove(&slot) else { return };
        for timer in Timer::of(slot) {
            self.timers.cancel(&timer);
        }
        let asked_over = self.ways.forget(slot);
        if let Some(client) = supervision.client.or(asked_over) {
            self.leave(client, slot);
        }
    }

    /// The PE is no longer this client's; a way that nobody needs is closed.
    pub(super) fn leave(&mut self, client: ClientId, slot: Slot) {
        if let Some(memory) = self.clients.get_mut(&client) {
            memory.elements.remove(&slot);
        }
        self.forget_if_idle(client);
        self.close_unused(client);
    }

    /// The time has come to ask a PE that has no association to us.
    pub(super) fn reach(&mut self, now: Instant, slot: Slot) {
        let transport = self.handlespace.get(slot).and_then(|element| element.asap_transport()).cloned();
        let Some(transport) = transport else {
            return self.remove(now, slot, RemovalCause::SendFailed);
        };
        match self.ways.by_transport.get_mut(&transport) {
            Some(Way::Up(client)) => {
                let client = *client;
                self.ask(now, client, slot);
            }
            Some(Way::Opening(waiting)) => {
                if self.ways.waiting.insert(slot, transport).is_none() {
                    waiting.push(slot);
                }
            }
            None => {
                self.ways.waiting.insert(slot, transport.clone());
                self.ways.attempts += 1;
                let attempt = Attempt(Attempt::WAYS + self.ways.attempts);
                self.ways.by_attempt.insert(attempt, transport.clone());
                self.ways.by_transport.insert(transport.clone(), Way::Opening(vec![slot]));
                self.counters.ways += 1;
                self.outputs.push_back(Output::Connect { attempt, to: transport, local_port: None });
            }
        }
    }

    /// A way is up.
    pub(super) fn way_up(&mut self, now: Instant, attempt: Attempt, client: ClientId) {
        let Some(transport) = self.ways.by_attempt.remove(&attempt) else { return };
        self.ways.by_client.insert(client, transport.clone());
        if let Some(Way::Opening(waiting)) = self.ways.by_transport.insert(transport, Way::Up(client)) {
            for slot in waiting {
                self.ways.waiting.remove(&slot);
                self.ask(now, client, slot);
            }
        }
        self.close_unused(client);
    }

    /// A way did not come up: who was to be asked over it is not there.
    pub(super) fn way_failed(&mut self, now: Instant, attempt: Attempt) {
        self.counters.ways_failed += 1;
        let Some(transport) = self.ways.by_attempt.remove(&attempt) else { return };
        if let Some(Way::Opening(waiting)) = self.ways.by_transport.remove(&transport) {
            for slot in waiting {
                self.ways.waiting.remove(&slot);
                // One that came by itself meanwhile has its own association.
                let has_own = self.supervised.get(&slot).is_some_and(|supervision| supervision.client.is_some());
                if !has_own {
                    self.remove(now, slot, RemovalCause::SendFailed);
                }
            }
        }
    }

    fn ask(&mut self, now: Instant, client: ClientId, slot: Slot) {
        if let Some(supervision) = self.supervised.get_mut(&slot) {
            if supervision.client.is_none() {
                supervision.client = Some(client);
                self.clients.entry(client).or_default().elements.insert(slot);
                self.send_keep_alive(now, slot);
            }
        } else if self.ways.probes.contains_key(&slot)
            && let Some(handle) = self.handlespace.get(slot).map(|element| self.handlespace.handle_of(element).clone())
        {
            self.counters.keep_alives += 1;
            self.send(client, &Message::EndpointKeepAlive { home: false, server: self.id, handle, pe_id: None });
        }
    }

    /// A PE of another server was reported: it is asked at once.
    pub(super) fn probe(&mut self, now: Instant, slot: Slot) {
        let Some(transport) = self.handlespace.get(slot).and_then(|element| element.asap_transport()).cloned() else {
            self.counters.reports_unknown += 1;
            return;
        };
        if self.ways.probes.contains_key(&slot) {
            return;
        }
        if self.ways.probes.len() >= PROBES_MAX {
            self.counters.probes_limited += 1;
            return;
        }
        self.counters.probes += 1;
        self.ways.probes.insert(slot, transport);
        // As long as one of ours may be silent.
        let patience = ms(self.config.keep_alive_timeout_ms) * self.config.keep_alive_misses_max.saturating_add(1);
        self.timers.set(Timer::Probe(slot), now + patience.max(Duration::from_millis(1)));
        self.reach(now, slot);
    }

    /// A keep-alive answer that is none of a PE of ours. True: it is that of a probe.
    pub(super) fn probe_answered(&mut self, client: ClientId, handle: &PoolHandle, pe: PeId) -> bool {
        let Some(slot) = self.handlespace.find(handle, pe) else { return false };
        let asked = self.ways.probes.get(&slot).is_some_and(|at| self.ways.by_client.get(&client) == Some(at));
        if asked {
            self.counters.probes_answered += 1;
            self.ways.probes.remove(&slot);
            self.timers.cancel(&Timer::Probe(slot));
            self.close_unused(client);
        }
        asked
    }

    /// A probe was not answered in time.
    pub(super) fn probe_over(&mut self, now: Instant, slot: Slot) {
        if self.ways.probes.contains_key(&slot) {
            self.remove(now, slot, RemovalCause::SendFailed);
        }
    }

    /// The association of a way ended: probes over it have failed.
    pub(super) fn way_lost(&mut self, now: Instant, client: ClientId) {
        let Some(transport) = self.ways.by_client.get(&client).cloned() else { return };
        self.ways.lost(client);
        let probes = self.ways.probes.iter().filter(|(_, at)| **at == transport);
        for slot in probes.map(|(&slot, _)| slot).collect::<Vec<_>>() {
            self.remove(now, slot, RemovalCause::SendFailed);
        }
    }

    /// Closes a way that nobody needs.
    pub(super) fn close_unused(&mut self, client: ClientId) {
        let Some(transport) = self.ways.by_client.get(&client) else { return };
        let used = self.clients.get(&client).is_some_and(|memory| !memory.elements.is_empty())
            || self.ways.probes.values().any(|at| at == transport);
        if !used {
            self.ways.lost(client);
            self.outputs.push_back(Output::Close { client });
        }
    }

    /// Reaches a PE that was taken over, now instead of when its turn comes.
    pub(super) fn hasten(&mut self, now: Instant, slot: Slot) {
        if self.timers.get(&Timer::Reach(slot)).is_some() {
            self.timers.cancel(&Timer::Reach(slot));
            self.reach(now, slot);
        }
    }

    /// What the answer to H = 1 means: it took us for its home.
    pub(super) fn rehomed(&mut self, slot: Slot) {
        if let Some(supervision) = self.supervised.get_mut(&slot)
            && std::mem::take(&mut supervision.adopting)
        {
            self.counters.rehomed += 1;
        }
    }
}
