//! RFC 5353 section 3.3: changes announced to all peers, and changes taken from them. Whose claim to an element holds is said in the
//! [module's text](super).

use super::{Accommodations, Context, Effect, Peers};
use crate::handlespace::{Element, Slot};
use crate::wire::{Body, Entry, Message, UpdateAction};
use asap::wire::{PoolHandle, ServerId};
use bytes::Bytes;

/// Which of two owners has an element: the one that took it last, the higher identifier if that cannot be told.
type Claim = (u32, ServerId);

/// What becomes of an element that a peer tells us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is recorded as told.
    Take,
    /// It is ours, and stays so: the sender is told, and the element.
    Keep(Slot),
    /// It was ours before this process.
    Regain,
    /// What is known is newer.
    Ignore,
}

impl Peers {
    /// One of our elements was added, changed or removed: every peer is told.
    pub(crate) fn announce_update(&mut self, action: UpdateAction, slot: Slot, handle: &PoolHandle, element: &Element) {
        if self.peers.is_empty() {
            return;
        }
        self.counters.updates_out += 1;
        let receivers: Vec<_> = self.peers.keys().copied().collect();
        let entry = self.entry(slot, handle, element);
        // Four forms at most: with claims, without, rsplib's, and what is told to those who may be rsplib's.
        let mut forms: Vec<(bool, Accommodations, Option<Bytes>)> = Vec::new();
        for id in receivers {
            let Some(client) = self.link_to(id) else { continue };
            let accommodations = self.accommodations(id);
            let ours = self.is_ours(id);
            let known = forms.iter().find(|form| (form.0, form.1) == (ours, accommodations)).map(|form| form.2.clone());
            let bytes = known.unwrap_or_else(|| {
                let bytes = self.encode_update(ServerId(0), action, &entry, id);
                forms.push((ours, accommodations, bytes.clone()));
                bytes
            });
            if let Some(bytes) = bytes {
                self.send_bytes(client, bytes);
            }
        }
    }

    /// An update as `id` is to get it; `None`: it cannot be told.
    fn encode_update(
        &mut self,
        receiver: ServerId,
        action: UpdateAction,
        entry: &Entry,
        id: ServerId,
    ) -> Option<Bytes> {
        let accommodations = self.accommodations(id);
        if !accommodations.takes(&entry.handle) {
            self.counters.elements_left_out += 1;
            return None;
        }
        let entry = Entry {
            handle: entry.handle.clone(),
            element: accommodations.told(&entry.element),
            claim: entry.claim.filter(|_| self.is_ours(id)),
        };
        let message = Message { sender: self.id, receiver, body: Body::HandleUpdate { action, entry } };
        let bytes = message.encode().ok();
        if bytes.is_none() {
            self.counters.elements_left_out += 1;
        }
        bytes
    }

    /// An element as it stands in ENRP messages.
    pub(super) fn entry(&self, slot: Slot, handle: &PoolHandle, element: &Element) -> Entry {
        Entry { handle: handle.clone(), element: element.registered().clone(), claim: Some(self.claim(slot)) }
    }

    /// Tells one peer what we know of an element.
    fn tell(&mut self, cx: &Context<'_>, slot: Slot, id: ServerId) {
        let Some(element) = cx.handlespace.get(slot) else { return };
        let handle = cx.handlespace.handle_of(element);
        let entry = self.entry(slot, handle, element);
        let bytes = self.encode_update(id, UpdateAction::Add, &entry, id);
        if let (Some(client), Some(bytes)) = (self.link_to(id), bytes) {
            self.send_bytes(client, bytes);
        }
    }

    /// ENRP_HANDLE_UPDATE.
    pub(super) fn update(&mut self, cx: &Context<'_>, sender: ServerId, action: UpdateAction, mut entry: Entry) {
        let limit = self.config.updates_per_s;
        if let Some(peer) = self.peers.get_mut(&sender)
            && !peer.updates.take(cx.now, limit)
        {
            // Its table has what this says.
            peer.audit_wanted = true;
            self.counters.updates_limited += 1;
            return;
        }
        self.counters.updates_in += 1;
        entry.element = self.accommodations(sender).meant(&entry.element);
        match action {
            UpdateAction::Add => {
                let verdict = self.judge_update(cx, sender, &entry);
                self.carry_out(cx, sender, entry, verdict);
            }
            UpdateAction::Delete => {
                let slot = cx.handlespace.find(&entry.handle, entry.element.id);
                let home = slot.and_then(|slot| cx.handlespace.get(slot)).map(|element| element.registered().home);
                match slot {
                    Some(slot) if home == Some(sender) => self.effects.push_back(Effect::Remove(slot)),
                    Some(slot) if home == Some(self.id) => self.effects.push_back(Effect::Suspect(slot)),
                    // It moved on since: only its home removes it.
                    Some(_) | None => self.counters.updates_ignored += 1,
                }
            }
        }
    }

    /// An entry of a table.
    pub(super) fn table_entry(&mut self, cx: &Context<'_>, sender: ServerId, own: bool, mut entry: Entry) {
        entry.element = self.accommodations(sender).meant(&entry.element);
        let verdict =
            if own && entry.element.home != sender { Verdict::Ignore } else { self.judge_table(cx, sender, &entry) };
        self.carry_out(cx, sender, entry, verdict);
    }

    fn carry_out(&mut self, cx: &Context<'_>, sender: ServerId, entry: Entry, verdict: Verdict) {
        match verdict {
            Verdict::Take => {
                let home = entry.element.home;
                // An owner that nobody has heard of is a peer all the same: a silent one. Without it nobody would watch the element.
                if home != sender && !self.peers.contains_key(&home) && !self.add_peer(cx, home) {
                    self.counters.elements_unwatched += 1;
                    return;
                }
                self.effects.push_back(Effect::Record(entry));
            }
            Verdict::Keep(slot) => {
                self.counters.claims_kept += 1;
                self.tell(cx, slot, sender);
                self.effects.push_back(Effect::Reclaim(slot));
            }
            Verdict::Regain => self.effects.push_back(Effect::Regain(entry)),
            Verdict::Ignore => self.counters.updates_ignored += 1,
        }
    }

    /// What is known of an element: where it is, who owns it with which claim.
    fn known(&self, cx: &Context<'_>, entry: &Entry) -> Option<(Slot, Claim)> {
        let slot = cx.handlespace.find(&entry.handle, entry.element.id)?;
        let home = cx.handlespace.get(slot)?.registered().home;
        Some((slot, (self.claim(slot), home)))
    }

    fn judge_update(&self, cx: &Context<'_>, sender: ServerId, entry: &Entry) -> Verdict {
        let home = entry.element.home;
        let Some((slot, known)) = self.known(cx, entry) else {
            return if home == self.id { Verdict::Ignore } else { Verdict::Take };
        };
        match entry.claim {
            _ if home == self.id => Verdict::Ignore,
            // Not ours: RFC 5353 section 3.3.1 rule 3, if it is the owner who says so.
            _ if known.1 != self.id && home == sender && known.1 == sender => Verdict::Take,
            // A peer without claims is believed to be the owner.
            None if known.1 != self.id && home == sender => Verdict::Take,
            Some(claim) if (claim, home) > known => Verdict::Take,
            Some(_) if known.1 != self.id => Verdict::Ignore,
            Some(_) if (cx.is_connected)(slot) => Verdict::Keep(slot),
            // The element left us, whatever the numbers say.
            Some(_) | None => Verdict::Take,
        }
    }

    fn judge_table(&mut self, cx: &Context<'_>, sender: ServerId, entry: &Entry) -> Verdict {
        let home = entry.element.home;
        let Some((slot, known)) = self.known(cx, entry) else {
            return match home == self.id {
                true if self.startup.is_ready() => Verdict::Ignore,
                true => Verdict::Regain,
                false => Verdict::Take,
            };
        };
        let told = (entry.claim.unwrap_or(known.0), home);
        if home == known.1 {
            return if home == self.id { Verdict::Ignore } else { Verdict::Take };
        }
        if home == self.id || (told < known && known.1 != self.id) {
            // The sender does not know who owns it now. Whoever owns it tells it; we do when we know it for sure.
            let sure = self.peers.get(&known.1).is_some_and(|peer| peer.confirmed && !peer.links.is_empty());
            if home == sender && sure {
                self.tell(cx, slot, sender);
            }
            return Verdict::Ignore;
        }
        if told < known { Verdict::Keep(slot) } else { Verdict::Take }
    }
}
