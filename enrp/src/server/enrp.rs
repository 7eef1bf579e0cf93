//! The server toward its peers (RFC 5353): what comes from them goes to [`Peers`], and what that means for the handlespace is done
//! here.

use super::way::Ways;
use super::{Attempt, ClientId, Event, Multicast, Output, PeerAddress, RemovalCause, Server};
use crate::handlespace::{AddError, Added, Cursor, Element, Slot, Stamp, SuspensionReason, kind_of};
use crate::peers::{Context, Effect, PeerSnapshot, Peers, PeersConfig, PeersCounters};
use crate::wire::{Entry, UpdateAction};
use asap::wire::{PoolElement, PoolHandle, SctpTransport, ServerId};
use std::net::SocketAddr;
use std::time::Instant;

impl Server {
    /// Makes the server one of several: it speaks ENRP. `own` is where peers reach it.
    #[must_use]
    pub fn with_peers_at(mut self, config: PeersConfig, own: SctpTransport) -> Self {
        let seed = self.random.next_u64();
        self.peers = Some(Box::new(Peers::new(config, self.id, own, seed)));
        self
    }

    /// Takes one ENRP message (PPID 12). `source` is where the sender is: each of its IP addresses, with its SCTP port.
    pub fn handle_enrp(&mut self, now: Instant, client: ClientId, source: &[SocketAddr], message: &[u8]) {
        self.run_timers(now);
        self.count_dropped();
        self.with_peers(now, |peers, cx| peers.handle(cx, client, source, message));
        self.send_updates(now);
    }

    /// Takes one datagram of a multicast group. `source` is the sender's address with its UDP port.
    pub fn handle_multicast(&mut self, now: Instant, group: Multicast, source: SocketAddr, message: &[u8]) {
        self.run_timers(now);
        match group {
            Multicast::Asap => self.announce_heard(now, message),
            Multicast::Enrp => {
                self.count_dropped();
                self.with_peers(now, |peers, cx| peers.announced(cx, source, message));
            }
        }
        self.send_updates(now);
    }

    /// A connection that was asked for is up: from now on it is this client, until `client_lost`. `source`: as in `handle_message`.
    pub fn connected(&mut self, now: Instant, attempt: Attempt, client: ClientId, _source: &[SocketAddr]) {
        self.run_timers(now);
        if Ways::has(attempt) {
            self.way_up(now, attempt, client);
        } else {
            let mut wanted = false;
            self.with_peers(now, |peers, cx| wanted = peers.connected(cx, attempt, client));
            if !wanted {
                self.outputs.push_back(Output::Close { client });
            }
        }
        self.send_updates(now);
    }

    /// A connection that was asked for did not come up.
    pub fn connect_failed(&mut self, now: Instant, attempt: Attempt) {
        self.run_timers(now);
        if Ways::has(attempt) {
            self.way_failed(now, attempt);
        } else {
            self.with_peers(now, |peers, cx| peers.connect_failed(cx, attempt));
        }
        self.send_updates(now);
    }

    /// The peers that configuration and DNS name; replaces those named before. Peers learnt from others are not touched. The first
    /// call starts ENRP: with an empty list this server waits for others.
    pub fn set_peers(&mut self, now: Instant, peers: Vec<PeerAddress>) {
        self.run_timers(now);
        self.with_peers(now, |machine, cx| machine.set_addresses(cx, peers));
        self.send_updates(now);
    }

    /// Whether the server's start is over (RFC 5353 section 3.2): its handlespace is that of its peers, or it is alone.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.is_ready())
    }

    /// The peers, by identifier.
    #[must_use]
    pub fn peers_snapshot(&self) -> Vec<PeerSnapshot> {
        self.peers.as_ref().map(|peers| peers.snapshot(&self.handlespace)).unwrap_or_default()
    }

    /// Configured addresses (`ADDRESS:PORT`) where no server is.
    #[must_use]
    pub fn unreached_peers(&self) -> Vec<String> {
        self.peers.as_ref().map(|peers| peers.unreached()).unwrap_or_default()
    }

    /// What was counted of ENRP.
    #[must_use]
    pub fn peers_counters(&self) -> PeersCounters {
        self.peers.as_ref().map(|peers| *peers.counters()).unwrap_or_default()
    }

    fn count_dropped(&mut self) {
        if self.peers.is_none() {
            self.counters.enrp_dropped += 1;
        }
    }

    /// Lets the peers' machine do something, and does what comes of it.
    pub(super) fn with_peers<T>(&mut self, now: Instant, call: impl FnOnce(&mut Peers, &Context<'_>) -> T) {
        let Some(mut peers) = self.peers.take() else { return };
        let supervised = &self.supervised;
        let is_connected = |slot| supervised.get(&slot).is_some_and(|supervision| supervision.client.is_some());
        call(&mut peers, &Context { now, handlespace: &self.handlespace, is_connected: &is_connected });
        self.peers = Some(peers);
        self.drain_peers(now);
    }

    fn drain_peers(&mut self, now: Instant) {
        while let Some(effect) = self.peers.as_mut().and_then(|peers| peers.poll_effect()) {
            self.apply(now, effect);
        }
        while let Some(output) = self.peers.as_mut().and_then(|peers| peers.poll_output()) {
            self.outputs.push_back(output);
        }
    }

    fn apply(&mut self, now: Instant, effect: Effect) {
        match effect {
            Effect::Record(entry) => self.record(now, entry),
            Effect::Regain(entry) => {
                let (handle, pe) = (entry.handle.clone(), entry.element.id);
                self.record(now, entry);
                if let Some(slot) = self.handlespace.find(&handle, pe) {
                    let per_s = self.peers.as_ref().map_or(1, |peers| peers.rehome_per_s());
                    self.take_over(now, vec![slot], per_s);
                }
            }
            Effect::Remove(slot) => self.remove(now, slot, RemovalCause::Peer),
            Effect::Sweep { home, since } => self.sweep(now, home, since),
            Effect::Reassign { from, to } => self.reassign(now, from, to),
            Effect::TakeOver(server) => self.take_over_all(now, server),
            Effect::Suspect(slot) => {
                self.counters.suspected += 1;
                self.send_keep_alive(now, slot);
            }
            Effect::Reclaim(slot) => {
                if let Some(supervision) = self.supervised.get_mut(&slot) {
                    supervision.adopting = true;
                    self.send_keep_alive(now, slot);
                }
            }
            Effect::Up(server) => self.events.push_back(Event::PeerUp { server }),
            Effect::Dead(server) => self.events.push_back(Event::PeerDead { server }),
        }
    }

    /// An element as its home server tells it.
    fn record(&mut self, now: Instant, entry: Entry) {
        let Entry { handle, element, claim } = entry;
        let mut known = self.handlespace.find(&handle, element.id);
        if let Some(slot) = known.filter(|slot| self.supervised.contains_key(slot)) {
            self.give_up(slot);
            self.count_peers(|counters| counters.claims_yielded += 1);
        }
        let mut added = self.handlespace.add(&handle, element.clone());
        if let (Err(_), Some(slot)) = (&added, known.take()) {
            // What it was no longer fits: its pool goes by another policy or transport at its home.
            self.remove(now, slot, RemovalCause::Peer);
            added = self.handlespace.add(&handle, element.clone());
        }
        if matches!(added, Err(AddError::Mismatch(_))) && self.give_way(now, &handle, &element) {
            added = self.handlespace.add(&handle, element.clone());
        }
        let Ok((slot, added)) = added else {
            if let Some(peers) = &mut self.peers {
                peers.refused(element.home);
            }
            return;
        };
        if let Some(peers) = &mut self.peers {
            let claim = claim.unwrap_or_else(|| peers.claim(slot));
            peers.set_claim(slot, claim);
        }
        // Its home supervises it now.
        self.resume(now, slot, SuspensionReason::Silent);
        if !matches!(added, Added::Replaced { changed: false }) {
            self.pool_changed(now, &handle);
        }
        self.events.push_back(match added {
            Added::New => Event::Registered { handle, element },
            Added::Replaced { changed } => Event::Reregistered { handle, element, changed },
        });
    }

    /// Two kinds of one pool have met: the lower one holds, here as everywhere. True: the pool was of the other and is gone. Its
    /// elements of this server are told to the peers; those of others, their owners remove.
    fn give_way(&mut self, now: Instant, handle: &PoolHandle, element: &PoolElement) -> bool {
        let kind = kind_of(element);
        let others: Vec<_> = self.handlespace.members(handle).map(|it| (it.id(), it.registered().home)).collect();
        if self.handlespace.members(handle).next().is_none_or(|other| kind_of(other.registered()) <= kind) {
            return false;
        }
        for (pe, home) in others {
            let cause = if home == self.id { RemovalCause::PoolKind } else { RemovalCause::Peer };
            if let Some(slot) = self.handlespace.find(handle, pe) {
                self.remove(now, slot, cause);
            }
        }
        true
    }

    /// A peer's whole table has come: what it owned before and has not now is removed.
    fn sweep(&mut self, now: Instant, home: ServerId, since: Stamp) {
        let owned = self.handlespace.owned(home, Cursor::START);
        let gone: Vec<Slot> =
            owned.map(|(slot, _)| slot).filter(|&slot| self.handlespace.stamp_of(slot) <= since).collect();
        for slot in gone {
            self.remove(now, slot, RemovalCause::Peer);
        }
    }

    fn owned_by(&self, home: ServerId) -> Vec<Slot> {
        self.handlespace.owned(home, Cursor::START).map(|(slot, _)| slot).collect()
    }

    /// A new home counts in the claim.
    fn raise_claims(&mut self, slots: &[Slot]) {
        if let Some(peers) = &mut self.peers {
            for &slot in slots {
                let claim = peers.claim(slot).saturating_add(1);
                peers.set_claim(slot, claim);
            }
        }
    }

    fn reassign(&mut self, _now: Instant, from: ServerId, to: ServerId) {
        let slots = self.owned_by(from);
        self.raise_claims(&slots);
        for &slot in &slots {
            self.handlespace.set_home(slot, to);
        }
        self.events.push_back(Event::TakenOver { server: from, by: to, pes: slots.len() });
    }

    fn take_over_all(&mut self, now: Instant, server: ServerId) {
        let slots = self.owned_by(server);
        self.raise_claims(&slots);
        self.count_peers(|counters| counters.elements_taken_over += slots.len() as u64);
        self.events.push_back(Event::TakenOver { server, by: self.id, pes: slots.len() });
        let per_s = self.peers.as_ref().map_or(1, |peers| peers.rehome_per_s());
        self.take_over(now, slots, per_s);
    }

    fn count_peers(&mut self, count: impl FnOnce(&mut PeersCounters)) {
        if let Some(peers) = &mut self.peers {
            count(peers.counters_mut());
        }
    }

    /// The claim of an element that registers here.
    pub(super) fn claim_to_register(&self, known: Option<Slot>) -> u32 {
        let (Some(peers), Some(slot)) = (&self.peers, known) else { return 0 };
        let moves = self.handlespace.get(slot).is_some_and(|element| element.registered().home != self.id);
        peers.claim(slot).saturating_add(u32::from(moves))
    }

    /// RFC 5353 section 3.3.1.
    pub(super) fn tell_peers_of_registration(&mut self, slot: Slot, claim: u32) {
        if let (Some(peers), Some(element)) = (&mut self.peers, self.handlespace.get(slot)) {
            peers.set_claim(slot, claim);
            peers.announce_update(UpdateAction::Add, slot, self.handlespace.handle_of(element), element);
            self.outputs.extend(std::iter::from_fn(|| peers.poll_output()));
        }
    }

    /// RFC 5353 section 3.3.2. What another server owns is told as well: that one asks the element at once.
    pub(super) fn tell_peers_of_removal(
        &mut self,
        slot: Slot,
        handle: &PoolHandle,
        element: &Element,
        cause: RemovalCause,
    ) {
        if let Some(peers) = &mut self.peers {
            if cause != RemovalCause::Peer {
                peers.announce_update(UpdateAction::Delete, slot, handle, element);
                self.outputs.extend(std::iter::from_fn(|| peers.poll_output()));
            }
            peers.set_claim(slot, 0);
        }
    }
}
