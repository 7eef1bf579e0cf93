//! The groups of one gateway: duplicate filter, call control, transactions.

use super::Shared;
use super::audits::Audits;
use super::machine::{Machine, Out};
use crate::isup::{Group, Verdict};
use crate::record::DropCause;
use m3ua_lite::session::{CorrelationId, Envelope, GroupKey, SccpAffinity};
use m3ua_lite::wire::{Data, ProtocolData};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::time::Instant;

#[derive(Debug)]
struct Slot {
    key: GroupKey,
    ni: u8,
    /// Correlation Id of the last message applied.
    mark: CorrelationId,
    machine: Machine,
    /// Transaction of this batch, with its outputs so far.
    open: Option<(u32, Vec<Out>)>,
    due: Option<Instant>,
}

impl Slot {
    /// The label of an output: the input's with OPC and DPC swapped.
    fn label<'a>(&self, out: &'a Out) -> ProtocolData<'a> {
        let GroupKey { opc, dpc, si, .. } = self.key;
        ProtocolData { opc: dpc, dpc: opc, si, ni: self.ni, mp: 0, sls: out.sls, user_data: &out.user_data }
    }
}

/// What a finished transaction consists of, in the order of sending.
pub(super) enum Part<'a> {
    /// An output.
    Data(ProtocolData<'a>),
    /// The group's state behind it.
    Cookie(Envelope<'a>),
}

/// All groups of one gateway. They come one by one; they go all at once, or when the gateway asks for one.
#[derive(Debug, Default)]
pub(super) struct Groups {
    slots: Vec<Slot>,
    index: FxHashMap<GroupKey, usize>,
    due: BTreeSet<(Instant, usize)>,
    /// Slots with an open transaction, in the order of opening.
    touched: Vec<usize>,
    /// Whose turn it is to originate a call.
    turn: usize,
    audits: Audits,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// ISUP groups, for the admin state.
    pub(super) fn isup(&self) -> impl Iterator<Item = &Group> {
        self.slots.iter().filter_map(|slot| match &slot.machine {
            Machine::Isup(group) => Some(&**group),
            Machine::Dialogues(_) | Machine::Plain => None,
        })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at).into_iter().chain(self.audits.poll_timeout()).min()
    }

    /// DATA of the gateway: applied, or recorded with the reason why not.
    pub(super) fn apply(&mut self, now: Instant, shared: &mut Shared, data: &Data) {
        let message = &data.protocol_data;
        let id = CorrelationId(data.correlation_id.unwrap_or_default());
        let affinity = SccpAffinity::from(shared.config.session.sccp_affinity);
        let Some((key, _)) = affinity.of_network(message) else {
            return shared.drop_input(now, DropCause::Malformed, id, message);
        };
        let at = match self.index.get(&key) {
            Some(&at) => at,
            None if !shared.config.is_served(key.si) => {
                return shared.drop_input(now, DropCause::Unsupported, id, message);
            }
            None => match self.add(now, shared, key, message.ni) {
                Some(at) => at,
                None => return shared.drop_input(now, DropCause::Unsupported, id, message),
            },
        };
        // Gateways of another make send no Correlation Id: nothing to filter by.
        if data.correlation_id.is_some() {
            if !id.is_after(self.slots[at].mark) {
                return shared.drop_input(now, DropCause::Duplicate, id, message);
            }
            self.slots[at].mark = id;
        }
        self.slots[at].ni = message.ni;
        self.apply_to(now, shared, at, id, message);
    }

    fn apply_to(&mut self, now: Instant, shared: &mut Shared, at: usize, id: CorrelationId, message: &ProtocolData) {
        // Whatever comes of it, the cookie must say that this message is dealt with.
        let transaction = self.open(shared, at);
        let mut out = Vec::new();
        let verdict = self.slots[at].machine.handle_message(now, shared, message, &mut out);
        match verdict {
            Verdict::Applied => {
                shared.counters.applied += 1;
                shared.record.applied(now, transaction, id, message);
            }
            Verdict::Malformed => shared.drop_input(now, DropCause::Malformed, id, message),
            Verdict::Unsupported => shared.drop_input(now, DropCause::Unsupported, id, message),
        }
        if shared.config.session.echo_other_si
            && !self.slots[at].key.is_isup()
            && matches!(self.slots[at].machine, Machine::Plain)
        {
            self.output(now, shared, at, Out { sls: message.sls, user_data: message.user_data.to_vec() });
        }
        self.finish(now, shared, at, out);
    }

    /// COOKIE_ECHO: the group as the last controller committed it.
    pub(super) fn restore(&mut self, now: Instant, shared: &mut Shared, envelope: &Envelope) -> Result<(), String> {
        let key = envelope.group;
        let machine = Machine::restore(now, shared, envelope)?;
        let at = match self.index.get(&key) {
            Some(&at) => {
                std::mem::replace(&mut self.slots[at].machine, machine).forget(shared);
                at
            }
            None if shared.groups >= shared.config.session.groups_max => {
                machine.forget(shared);
                shared.counters.groups_refused += 1;
                return Err("groups_max reached".into());
            }
            None => self.push(shared, key, envelope.ni, machine),
        };
        self.slots[at].mark = envelope.mark;
        self.slots[at].ni = envelope.ni;
        shared.counters.groups_restored += 1;
        shared.record.restored(now, envelope.mark, &key);
        if let Machine::Isup(_) = self.slots[at].machine {
            self.audits.add(now, &shared.config.call, key);
        }
        self.start(now, shared, at, false);
        Ok(())
    }

    fn add(&mut self, now: Instant, shared: &mut Shared, key: GroupKey, ni: u8) -> Option<usize> {
        if shared.groups >= shared.config.session.groups_max {
            shared.counters.groups_refused += 1;
            return None;
        }
        let machine = Machine::new(shared, &key);
        let at = self.push(shared, key, ni, machine);
        self.start(now, shared, at, true);
        Some(at)
    }

    fn push(&mut self, shared: &mut Shared, key: GroupKey, ni: u8, machine: Machine) -> usize {
        shared.groups += 1;
        self.index.insert(key, self.slots.len());
        self.slots.push(Slot { key, ni, mark: CorrelationId::NONE, machine, open: None, due: None });
        self.slots.len() - 1
    }

    /// Brings a new or restored group in line with the configuration.
    fn start(&mut self, now: Instant, shared: &mut Shared, at: usize, is_new: bool) {
        let mut out = Vec::new();
        if let Machine::Isup(group) = &mut self.slots[at].machine {
            shared.calls(now, &mut out, |cx| group.start(cx, is_new));
        }
        if out.is_empty() {
            self.reschedule(at);
        } else {
            self.open(shared, at);
            self.finish(now, shared, at, out);
        }
    }

    /// Timers that are due, each a transaction of its group.
    pub(super) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) {
        while let Some(key) = self.audits.take(now, &shared.config.call) {
            if let Some(&at) = self.index.get(&key) {
                self.audit(now, shared, at);
            }
        }
        while let Some(&(when, at)) = self.due.first()
            && when <= now
        {
            let mut out = Vec::new();
            self.open(shared, at);
            self.slots[at].machine.handle_timeout(now, shared, &mut out);
            self.finish(now, shared, at, out);
        }
    }

    /// Asks the other end for the states of a group's circuits.
    fn audit(&mut self, now: Instant, shared: &mut Shared, at: usize) {
        let mut out = Vec::new();
        if let Machine::Isup(group) = &mut self.slots[at].machine
            && shared.calls(now, &mut out, |cx| group.audit(cx))
        {
            self.open(shared, at);
            self.finish(now, shared, at, out);
        }
    }

    /// Starts a call of the controller's own in the next ISUP group that has a free circuit.
    pub(super) fn originate(&mut self, now: Instant, shared: &mut Shared) -> bool {
        for _ in 0..self.slots.len() {
            let at = self.turn % self.slots.len();
            self.turn = at + 1;
            let mut out = Vec::new();
            if let Machine::Isup(group) = &mut self.slots[at].machine
                && shared.calls(now, &mut out, |cx| group.originate(cx))
            {
                self.open(shared, at);
                self.finish(now, shared, at, out);
                return true;
            }
        }
        false
    }

    /// The group's transaction of this batch.
    fn open(&mut self, shared: &mut Shared, at: usize) -> u32 {
        let slot = &mut self.slots[at];
        if let Some((transaction, _)) = slot.open {
            return transaction;
        }
        let transaction = shared.next_transaction();
        slot.open = Some((transaction, Vec::new()));
        self.touched.push(at);
        transaction
    }

    fn output(&mut self, now: Instant, shared: &mut Shared, at: usize, out: Out) {
        let slot = &mut self.slots[at];
        if let Some((transaction, _)) = slot.open {
            shared.record.output(now, transaction, &slot.label(&out));
        }
        if let Some((_, outputs)) = &mut slot.open {
            outputs.push(out);
        }
    }

    /// After every use of a group: its outputs into the transaction, its next timer into the order.
    fn finish(&mut self, now: Instant, shared: &mut Shared, at: usize, out: Vec<Out>) {
        for out in out {
            self.output(now, shared, at, out);
        }
        self.reschedule(at);
    }

    fn reschedule(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        let due = slot.machine.poll_timeout();
        if due != slot.due {
            if let Some(old) = std::mem::replace(&mut slot.due, due) {
                self.due.remove(&(old, at));
            }
            if let Some(new) = due {
                self.due.insert((new, at));
            }
        }
    }

    /// Closes the transactions of this batch: gives each group's outputs, then its cookie.
    pub(super) fn close_transactions(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        mut give: impl FnMut(&GroupKey, Part),
    ) {
        let mut touched = std::mem::take(&mut self.touched);
        let mut state = Vec::new();
        for at in touched.drain(..) {
            self.close((now, at), shared, &mut state, &mut give);
        }
        self.touched = touched;
    }

    /// Closes a group's transaction, if it has one. `state` is room.
    fn close(
        &mut self,
        (now, at): (Instant, usize),
        shared: &mut Shared,
        state: &mut Vec<u8>,
        give: &mut impl FnMut(&GroupKey, Part),
    ) {
        let slot = &mut self.slots[at];
        let Some((transaction, outputs)) = slot.open.take() else { return };
        shared.counters.transactions += 1;
        shared.counters.outputs += outputs.len() as u64;
        for out in &outputs {
            give(&slot.key, Part::Data(slot.label(out)));
        }
        if !shared.config.session.lease {
            return;
        }
        state.clear();
        slot.machine.snapshot(now, state);
        let (group, ni, mark, incarnation) = (slot.key, slot.ni, slot.mark, shared.incarnation);
        give(&slot.key, Part::Cookie(Envelope { group, ni, mark, transaction, incarnation, age_ms: 0, state }));
    }

    /// Commits what was done with a group so far, then forgets it and its timers: another controller gets it. False: it is not here.
    pub(super) fn release(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        key: &GroupKey,
        mut give: impl FnMut(&GroupKey, Part),
    ) -> bool {
        let Some(at) = self.index.remove(key) else { return false };
        self.close((now, at), shared, &mut Vec::new(), &mut give);
        let slot = self.slots.swap_remove(at);
        self.touched.retain(|touched| *touched != at);
        if let Some(due) = slot.due {
            self.due.remove(&(due, at));
        }
        self.renumber(self.slots.len(), at);
        shared.groups -= 1;
        slot.machine.forget(shared);
        true
    }

    /// The last slot took the place of one that was removed.
    fn renumber(&mut self, from: usize, to: usize) {
        let Some(slot) = self.slots.get(to) else { return };
        self.index.insert(slot.key, to);
        if let Some(due) = slot.due {
            self.due.remove(&(due, from));
            self.due.insert((due, to));
        }
        self.touched.iter_mut().filter(|touched| **touched == from).for_each(|touched| *touched = to);
    }

    /// Forgets everything, transactions that were not closed included: another controller has these groups now.
    pub(super) fn forget(&mut self, shared: &mut Shared) {
        shared.groups -= self.slots.len();
        for slot in std::mem::take(self).slots {
            slot.machine.forget(shared);
        }
    }
}

#[cfg(test)]
impl Groups {
    /// Everything that must hold between two calls.
    pub(super) fn assert_consistent(&self) {
        assert_eq!(self.index.len(), self.slots.len());
        for (at, slot) in self.slots.iter().enumerate() {
            assert_eq!(self.index[&slot.key], at);
            assert_eq!(slot.open.is_some(), self.touched.contains(&at), "what is open gets closed");
            if let Some(due) = slot.due {
                assert!(self.due.contains(&(due, at)), "its timer runs");
            }
        }
        assert_eq!(self.due.len(), self.slots.iter().filter(|slot| slot.due.is_some()).count());
        assert!(self.touched.iter().all(|at| *at < self.slots.len()));
    }
}

impl Shared {
    /// Counts and records an input that is not applied.
    pub(super) fn drop_input(&mut self, now: Instant, cause: DropCause, id: CorrelationId, message: &ProtocolData) {
        *match cause {
            DropCause::Duplicate => &mut self.counters.duplicates,
            DropCause::Lease => &mut self.counters.lease_dropped,
            DropCause::Overload => &mut self.counters.overload_dropped,
            DropCause::Malformed => &mut self.counters.malformed,
            DropCause::Unsupported => &mut self.counters.unsupported,
        } += 1;
        self.record.dropped(now, cause, id, message);
    }

    fn next_transaction(&mut self) -> u32 {
        self.transaction = self.transaction.wrapping_add(1);
        self.transaction
    }
}
