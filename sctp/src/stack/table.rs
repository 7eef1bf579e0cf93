//! Who is here: the tables by id, tag and address, and what is chosen so that it is in none of them.

use super::{AddressKey, Stack};
use crate::assoc::Assoc;
use crate::{AssocId, CloseReason, Event};
use std::net::SocketAddr;
use std::time::Instant;

/// First port of the dynamic range (RFC 6335 section 6).
const DYNAMIC_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// Tags of associations that ended lately; a late COOKIE ECHO must not bring them back.
const ENDED_TAGS_MAX: usize = 4_096;

impl Stack {
    /// At random, so that nobody can take the next one first (RFC 5062 section 2.3).
    pub(super) fn free_port(&mut self, peer: SocketAddr, peer_port: u16) -> Option<u16> {
        let span = u64::from(DYNAMIC_PORTS.end() - DYNAMIC_PORTS.start()) + 1;
        let first = DYNAMIC_PORTS.start() + (self.rng.u64() % span) as u16;
        (first..=*DYNAMIC_PORTS.end())
            .chain(*DYNAMIC_PORTS.start()..first)
            .find(|port| !self.listening.contains(port) && !self.by_address.contains_key(&(*port, peer, peer_port)))
    }

    pub(super) fn free_tag(&mut self) -> u32 {
        loop {
            let tag = self.rng.nonzero_u32();
            if !self.by_tag.contains_key(&tag) {
                return tag;
            }
        }
    }

    pub(super) fn insert(&mut self, ports: (u16, u16), tag: u32, tsn: u32, incoming: bool, now: Instant) -> usize {
        let id = AssocId(self.next_id);
        self.next_id += 1;
        let (mut ctx, assocs) = self.split(now);
        let assoc = Assoc::new(id, ports, tag, tsn, incoming, &mut ctx);
        let crowd = assoc.crowd();
        let index = assocs.insert(assoc);
        *self.crowds.entry(crowd).or_default() += 1;
        self.by_id.insert(id, index);
        self.by_tag.insert(tag, index);
        index
    }

    /// Lets packets from each of its addresses find the association.
    pub(super) fn index_addresses(&mut self, index: usize) {
        let assoc = &self.assocs[index];
        for path in &assoc.paths {
            let key = (assoc.local_port, path.to, assoc.peer_port);
            let camper = path.confirmed && self.holder(key).is_none();
            if camper || !self.by_address.contains_key(&key) {
                self.by_address.insert(key, index);
            }
        }
    }

    /// The association that has this address, and to which it has proved itself.
    pub(super) fn holder(&self, key: AddressKey) -> Option<usize> {
        let index = *self.by_address.get(&key)?;
        let proved = |assoc: &Assoc| assoc.paths.iter().any(|p| p.to == key.1 && p.confirmed);
        self.assocs.get(index).is_some_and(proved).then_some(index)
    }

    /// Removes an association and hands back what was not delivered.
    pub(super) fn end(&mut self, index: usize, reason: CloseReason) {
        let mut assoc = self.assocs.remove(index);
        self.waiting = self.waiting.saturating_sub(assoc.waiting);
        if let Some(at) = assoc.scheduled {
            self.timers.remove(&(at, index));
        }
        if let Some(count) = self.crowds.get_mut(&assoc.crowd()) {
            *count -= 1;
            if *count == 0 {
                self.crowds.remove(&assoc.crowd());
            }
        }
        self.by_id.remove(&assoc.id);
        self.by_tag.remove(&assoc.local_tag);
        for path in &assoc.paths {
            let key = (assoc.local_port, path.to, assoc.peer_port);
            if self.by_address.get(&key) == Some(&index) {
                self.by_address.remove(&key);
            }
        }
        if self.ended_tags.len() >= ENDED_TAGS_MAX {
            self.ended_tags.pop_front();
        }
        self.ended_tags.push_back(assoc.local_tag);
        let undelivered = assoc.queue.take_undelivered();
        self.counters.associations_closed += 1;
        self.counters.messages_handed_back += undelivered.len() as u64;
        self.events.push_back(Event::Closed { assoc: assoc.id, reason, undelivered });
    }
}
