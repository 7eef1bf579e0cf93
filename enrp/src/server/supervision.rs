//! Whether PEs are alive: RFC 5352 sections 3.4 and 3.5, and the end of their associations.
//!
//! A keep-alive goes to each PE at intervals varied by plus or minus 50 percent. The first one that is not answered in time
//! suspends the PE (it is no longer selected); it goes on being asked, once each timeout, and is up again with the first
//! answer, or removed when it missed more than `keep_alive_misses_max` in a row.
//!
//! Supervision adapts: a PE that answers again and again, and that nobody reports, is asked at intervals that grow up to
//! `keep_alive_interval_max_ms`; one that is reported or silent is asked at once, and then often again.
//!
//! The regular ones are paced: all PEs together are sent no more than `keep_alives_per_s_max`. With so many PEs that the interval
//! would ask for more, the interval grows with their number; what still comes together waits for its place in the row, and when the row
//! is long, for another turn.

use super::rate::Request;
use super::{ClientId, RemovalCause, Server, ServerConfig, Timer, ms};
use crate::handlespace::{Slot, SuspensionReason};
use asap::wire::{Message, PeId, PoolHandle};
use std::time::{Duration, Instant};

/// What we know of the health of a PE that we own.
#[derive(Debug)]
pub(super) struct Supervision {
    /// Its association; `None` when that ended.
    pub(super) client: Option<ClientId>,
    /// Keep-alives missed in a row.
    pub(super) misses: u32,
    /// Who reported it since it registered.
    pub(super) reporters: Vec<ClientId>,
    /// Keep-alives answered in a row, since the last report or new association.
    pub(super) calm: u32,
    /// When the last keep-alive was sent.
    sent: Option<Instant>,
    /// How its association ended, while it may still come back.
    lost: Option<RemovalCause>,
    /// The time set for its next keep-alive is one it was given; it does not wait again.
    pub(super) has_place: bool,
    /// It was taken over and has not answered yet: keep-alives have H = 1.
    pub(super) adopting: bool,
}

/// Gives regular keep-alives their places in time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The next place when there is no slack.
    next: Option<Instant>,
}

impl Pace {
    /// So much may come together; what a small pool does by chance is not moved.
    const SLACK: Duration = Duration::from_millis(50);

    /// A longer row than this is not stood in.
    const ROW_MAX: Duration = Duration::from_millis(500);

    /// Whether so many wait already that another one had better come by chance later: else those that were planned when there were few PEs
    /// stand before all others, and what happens to these is seen seconds later.
    fn is_long(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next > now + Self::SLACK + Self::ROW_MAX)
    }

    /// When the next keep-alive may be sent.
    pub(super) fn place(&mut self, now: Instant, per_s: u32) -> Instant {
        let next = self.next.map_or(now, |next| next.max(now));
        self.next = Some(next + Duration::from_secs(1) / per_s.max(1));
        next.checked_sub(Self::SLACK).map_or(now, |place| place.max(now))
    }
}

impl Supervision {
    /// A PE that has just registered over this association.
    pub(super) fn of(client: ClientId) -> Self {
        Self { client: Some(client), adopting: false, ..Self::taken_over() }
    }

    /// A PE of a dead server, which we shall tell.
    pub(super) fn taken_over() -> Self {
        Self {
            client: None,
            misses: 0,
            reporters: Vec::new(),
            calm: 0,
            sent: None,
            lost: None,
            has_place: false,
            adopting: true,
        }
    }
}

impl Server {
    /// Sets the time of the next regular keep-alive.
    pub(super) fn plan_keep_alive(&mut self, now: Instant, slot: Slot) {
        let calm = self.supervised.get(&slot).map_or(0, |supervision| supervision.calm);
        let interval = interval_ms(calm, &self.config).saturating_mul(1_000);
        if interval > 0 {
            let crowded =
                self.supervised.len() as u64 * 1_000_000 / u64::from(self.config.keep_alives_per_s_max.max(1));
            // In a crowd no PE has to be asked soon, but of those that a host has some: one that died is found by its neighbours.
            let wait = match crowded > interval {
                true => self.random.below(crowded.saturating_mul(2)),
                false => interval / 2 + self.random.below(interval),
            };
            self.timers.set(Timer::KeepAlive(slot), now + Duration::from_micros(wait));
        }
    }

    /// The time of a PE's next keep-alive has come: it is sent if there is a place now, else when there is one.
    pub(super) fn keep_alive_due(&mut self, now: Instant, slot: Slot) {
        let Some(supervision) = self.supervised.get_mut(&slot) else { return };
        if !std::mem::take(&mut supervision.has_place) {
            if self.pace.is_long(now) {
                self.counters.keep_alives_paced += 1;
                return self.plan_keep_alive(now, slot);
            }
            let place = self.pace.place(now, self.config.keep_alives_per_s_max);
            if place > now {
                supervision.has_place = true;
                self.counters.keep_alives_paced += 1;
                return self.timers.set(Timer::KeepAlive(slot), place);
            }
        }
        self.send_keep_alive(now, slot);
    }

    /// Sends ASAP_ENDPOINT_KEEP_ALIVE, unless the last one is too short ago: then as soon as it is not.
    pub(super) fn send_keep_alive(&mut self, now: Instant, slot: Slot) {
        let Some(supervision) = self.supervised.get_mut(&slot) else { return };
        let Some(client) = supervision.client else {
            if !supervision.adopting {
                self.remove(now, slot, RemovalCause::SendFailed);
            } else {
                self.hasten(now, slot);
            }
            return;
        };
        let gap = ms(self.config.keep_alive_gap_ms);
        if let Some(earliest) = supervision.sent.map(|sent| sent + gap).filter(|&earliest| earliest > now) {
            supervision.has_place = true;
            return self.timers.set(Timer::KeepAlive(slot), earliest);
        }
        supervision.has_place = false;
        supervision.sent = Some(now);
        let home = supervision.adopting;
        let Some(element) = self.handlespace.get(slot) else { return };
        let handle = self.handlespace.handle_of(element).clone();
        self.counters.keep_alives += 1;
        self.send(client, &Message::EndpointKeepAlive { home, server: self.id, handle, pe_id: None });
        self.timers.cancel(&Timer::KeepAlive(slot));
        // The answer to the first unanswered one is what is waited for.
        if self.timers.get(&Timer::Ack(slot)).is_none() {
            self.timers.set(Timer::Ack(slot), now + ms(self.config.keep_alive_timeout_ms));
        }
    }

    /// ASAP_ENDPOINT_KEEP_ALIVE_ACK.
    pub(super) fn keep_alive_ack(&mut self, now: Instant, client: ClientId, handle: &PoolHandle, pe: PeId) {
        let slot = self.handlespace.find(handle, pe);
        let supervision = slot.and_then(|slot| self.supervised.get_mut(&slot));
        let (Some(slot), Some(supervision)) = (slot, supervision.filter(|s| s.client == Some(client))) else {
            if !self.probe_answered(client, handle, pe) {
                self.counters.keep_alive_acks_stray += 1;
            }
            return;
        };
        supervision.misses = 0;
        supervision.calm = supervision.calm.saturating_add(1);
        self.counters.keep_alive_acks += 1;
        self.timers.cancel(&Timer::Ack(slot));
        self.plan_keep_alive(now, slot);
        self.rehomed(slot);
        self.resume(now, slot, SuspensionReason::Silent);
    }

    /// A keep-alive was not answered in time.
    pub(super) fn ack_overdue(&mut self, now: Instant, slot: Slot) {
        let Some(supervision) = self.supervised.get_mut(&slot) else { return };
        supervision.misses += 1;
        supervision.calm = 0;
        let misses = supervision.misses;
        self.counters.keep_alive_misses += 1;
        self.suspend(now, slot, SuspensionReason::Silent);
        if misses == 1 {
            let transport = self.handlespace.get(slot).and_then(|element| element.asap_transport()).cloned();
            self.ask_neighbours(now, transport.as_ref());
        }
        if misses > self.config.keep_alive_misses_max {
            self.remove(now, slot, RemovalCause::KeepAlive);
        } else {
            self.send_keep_alive(now, slot);
        }
    }

    /// ASAP_ENDPOINT_UNREACHABLE: ask the PE at once, count, remove it after too many.
    pub(super) fn unreachable(&mut self, now: Instant, client: ClientId, handle: &PoolHandle, pe: PeId) {
        if !self.admit(now, client, Request::Report) {
            self.counters.reports_limited += 1;
            return;
        }
        let Some(slot) = self.handlespace.find(handle, pe) else {
            self.counters.reports_unknown += 1;
            return;
        };
        self.counters.reports += 1;
        if !self.supervised.contains_key(&slot) {
            return self.probe(now, slot);
        }
        self.send_keep_alive(now, slot);
        // Sending may have failed and removed it.
        if let Some(supervision) = self.supervised.get_mut(&slot) {
            supervision.calm = 0;
            // The program that the server lives in is trusted; others count once each, or one of them could remove any PE.
            if client == ClientId::LOCAL || !supervision.reporters.contains(&client) {
                supervision.reporters.push(client);
            }
            if supervision.reporters.len() > self.config.max_bad_pe_report as usize {
                self.remove(now, slot, RemovalCause::Reported);
            }
        }
    }

    /// The association of a client ended: its subscriptions end with it (RFC 5352 section 2.2.5).
    pub(super) fn association_lost(&mut self, now: Instant, client: ClientId, cause: RemovalCause) {
        self.way_lost(now, client);
        let Some(memory) = self.clients.remove(&client) else { return };
        for handle in memory.subscriptions {
            self.unsubscribe(client, &handle);
        }
        for slot in memory.elements {
            let Some(supervision) = self.supervised.get_mut(&slot) else { continue };
            supervision.client = None;
            if self.config.remove_on_association_loss {
                self.remove(now, slot, cause);
                continue;
            }
            supervision.lost = Some(cause);
            self.timers.cancel(&Timer::KeepAlive(slot));
            self.timers.cancel(&Timer::Ack(slot));
            self.timers.set(Timer::Grace(slot), now + ms(self.config.association_loss_grace_ms));
            self.suspend(now, slot, SuspensionReason::Silent);
        }
    }

    /// A PE whose association ended did not come back.
    pub(super) fn grace_over(&mut self, now: Instant, slot: Slot) {
        let lost = self.supervised.get(&slot).and_then(|supervision| supervision.lost);
        self.remove(now, slot, lost.unwrap_or(RemovalCause::AssociationSilent));
    }
}

/// The interval of a PE that answered so many keep-alives in a row: it doubles with every fourth.
fn interval_ms(calm: u32, config: &ServerConfig) -> u64 {
    let (least, most) = (config.keep_alive_interval_ms, config.keep_alive_interval_max_ms);
    least.saturating_mul(1 << (calm / 4).min(20)).min(most.max(least))
}
