//! What controllers send: output, cookies, BEATs, and the answers to ours.

use super::controller::{Ask, PROOF, Phase};
use super::{Cx, Pool};
use crate::group::{Freed, GroupId, Owner};
use crate::keys::Part;
use crate::mate::journal::Transaction;
use crate::msu::Msu;
use crate::record::{Direction, Discard, GiveUp};
use asap::wire::{Limits, Message as Asap};
use bytes::Bytes;
use m3ua_lite::asp::Input;
use m3ua_lite::session::{Envelope, GroupKey, Heartbeat, SccpAffinity};
use m3ua_lite::wire::{Beat, Data, Message, MessageType};
use sctp::{AssocId, ppid};
use std::time::Instant;

impl Pool {
    /// Takes a message of a controller. False: not one of this pool.
    pub(crate) fn message(
        &mut self,
        cx: &mut Cx<'_>,
        assoc: AssocId,
        stream: u16,
        ppid: u32,
        unordered: bool,
        payload: &Bytes,
    ) -> bool {
        if !self.controllers.contains_key(&assoc) {
            return false;
        }
        match ppid {
            ppid::M3UA => self.m3ua(cx, assoc, stream, unordered, payload),
            ppid::ASAP => self.asap(cx, assoc, payload),
            _ => self.counters.unknown_ppid += 1,
        }
        // Whatever it was: its M3UA layer lives.
        if let Some(controller) = self.controllers.get_mut(&assoc) {
            controller.live.heard(cx.now, controller.owes());
        }
        true
    }

    fn m3ua(&mut self, cx: &mut Cx<'_>, assoc: AssocId, stream: u16, unordered: bool, payload: &Bytes) {
        let Some(controller) = self.controllers.get(&assoc) else { return };
        // A controller that leaves finishes what it was sent: its last output counts, though its ASP is not active any more.
        let is_data = payload.get(2..4) == Some(&MessageType::Data.code().to_be_bytes()[..]);
        if is_data && matches!(controller.phase, Phase::Draining(_)) {
            return match Message::decode(payload) {
                Ok(Message::Data(data)) => self.output(cx, assoc, &data, payload),
                _ => self.counters.malformed_from_pool += 1,
            };
        }
        let was = self.asp_state(assoc);
        let input = self.asp_message(cx, assoc, stream, payload);
        self.note_up(assoc, was, payload);
        match input {
            Some(Input::Deliver(message)) => self.delivered(cx, assoc, stream, unordered, &message, payload),
            Some(Input::Dropped(_)) => self.counters.malformed_from_pool += 1,
            Some(Input::Consumed) | None => {}
        }
    }

    fn delivered(
        &mut self,
        cx: &mut Cx<'_>,
        assoc: AssocId,
        stream: u16,
        unordered: bool,
        message: &Message<'_>,
        payload: &Bytes,
    ) {
        match message {
            Message::Data(data) => self.output(cx, assoc, data, payload),
            Message::Beat(beat) => self.beat(cx, assoc, stream, unordered, *beat),
            Message::BeatAck(beat) => self.beat_ack(cx, assoc, beat.data),
            Message::Error(_) => self.counters.errors_from_pool += 1,
            Message::Daud(audit) => self.audit(cx.now, assoc, audit),
            Message::RegReq(request) => self.reg_req(cx.now, assoc, request),
            Message::DeregReq(request) => self.dereg_req(cx.now, assoc, request),
            Message::Scon(scon) => self.congestion_came(cx.now, assoc, scon),
            // Network management of the pool's side: nothing of ours depends on it. The rest the ASP machine consumes.
            Message::Notify(_)
            | Message::Duna(_)
            | Message::Dava(_)
            | Message::Dupu(_)
            | Message::Drst(_)
            | Message::AspUp(_)
            | Message::AspDown(_)
            | Message::AspUpAck(_)
            | Message::AspDownAck(_)
            | Message::AspActive(_)
            | Message::AspInactive(_)
            | Message::AspActiveAck(_)
            | Message::AspInactiveAck(_)
            | Message::RegRsp(_)
            | Message::DeregRsp(_) => self.counters.ignored_from_pool += 1,
        }
    }

    /// Answers a BEAT; the echo of a lease BEAT is what lets the controller act.
    fn beat(&mut self, cx: &mut Cx<'_>, assoc: AssocId, stream: u16, unordered: bool, beat: Beat<'_>) {
        if let Some(Heartbeat::Lead(term)) = beat.data.map(Heartbeat::decode) {
            self.vote(assoc, term, false);
        }
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        if let Some(Heartbeat::Lease(lease)) = beat.data.map(Heartbeat::decode) {
            if u64::from(lease.lease_ms) > self.settings.failover.lease_ms_max {
                self.counters.leases_refused += 1;
                return;
            }
            let data = beat.data.unwrap_or_default();
            return controller.lease_beat(cx, &self.settings.failover, (stream, unordered), data);
        }
        if controller.beats.take(cx.now) {
            controller.send(cx, stream, unordered, &Message::BeatAck(beat));
        } else {
            self.counters.floods_suppressed += 1;
        }
    }

    fn beat_ack(&mut self, cx: &mut Cx<'_>, assoc: AssocId, data: Option<&[u8]>) {
        if let Some(Heartbeat::Lead(term)) = data.map(Heartbeat::decode) {
            return self.vote(assoc, term, true);
        }
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        match controller.answered(cx.now, data) {
            Some(Ask::Liveness(number)) => controller.live.answered(number),
            // A leaving controller of ours drops DATA that its ASPIA overtook, and echoes nevertheless: only its cookies count.
            Some(Ask::Barrier(_)) if controller.is_leaving() && !controller.foreign => {}
            Some(Ask::Barrier(PROOF)) if controller.on_probation => self.proven(cx, assoc),
            Some(Ask::Barrier(id)) => {
                let mut confirmed = Vec::new();
                if !controller.barriers.acknowledged(cx.now, id, |sent| confirmed.push(sent)) {
                    self.counters.stray_echoes += 1;
                }
                for sent in confirmed {
                    if self.groups[sent.group.0 as usize].owner == Owner::Controller(assoc) {
                        let freed = self.groups[sent.group.0 as usize].confirm(sent.correlation_id);
                        if freed.messages > 0 {
                            self.note_confirmed(cx, sent.group, Some(sent.correlation_id));
                        }
                        self.freed(cx.now, assoc, freed);
                    }
                }
                self.drained(cx, assoc);
            }
            Some(Ask::Release(key)) => self.given_back(cx, assoc, &key),
            None => {}
        }
    }

    /// Messages of a controller are applied.
    pub(super) fn freed(&mut self, now: Instant, assoc: AssocId, freed: Freed) {
        self.queued.messages -= freed.messages;
        self.queued.bytes -= freed.bytes;
        self.counters.applied += freed.messages as u64;
        if let Some(controller) = self.controllers.get_mut(&assoc) {
            controller.unconfirmed -= freed.messages;
            controller.queued -= freed.messages;
            if freed.messages > 0 {
                controller.confirmed_at = Some(now);
            }
        }
    }

    /// The group of what a controller sends, if the controller owns it. A group that nobody ever worked on is its from now on:
    /// controllers start calls too.
    fn own_group(&mut self, cx: &mut Cx<'_>, assoc: AssocId, key: GroupKey) -> Option<GroupId> {
        let known = self.by_key.contains_key(&key);
        if self.settings.standby || (!known && !self.may_begin(&key)) {
            self.counters.not_owner += 1;
            return None;
        }
        let id = self.group(key)?;
        let group = &self.groups[id.0 as usize];
        if group.owner == Owner::Controller(assoc) || self.is_broadcast() {
            return Some(id);
        }
        let active = self.controllers.get(&assoc).is_some_and(|controller| controller.phase == Phase::Active);
        if active && group.owner == Owner::Nobody && group.cookie().is_none() && group.len() == 0 {
            self.give(cx, assoc, id);
            // One that is drained may begin calls all the same.
            self.share_soon(cx.now);
            return Some(id);
        }
        self.counters.not_owner += 1;
        None
    }

    /// Controllers may begin groups of their own pool's point codes, and leave half of the table to the network.
    fn may_begin(&self, key: &GroupKey) -> bool {
        let server = &self.settings.server;
        let is = |opc: &[u32], si: &[u8]| {
            (opc.is_empty() || opc.contains(&key.opc)) && (si.is_empty() || si.contains(&key.si))
        };
        let configured = server.dpc.iter().any(|dpc| key.dpc >> server.dpc_mask == dpc >> server.dpc_mask)
            && is(&server.opc, &server.si);
        let added = |part: &Part| part.dpc == key.dpc && is(&part.opc, &part.si);
        self.groups.len() < server.groups_max.div_ceil(2) && (configured || self.keys_added.iter().any(added))
    }

    /// DATA of a controller: held until its cookie comes, or passed on.
    fn output(&mut self, cx: &mut Cx<'_>, assoc: AssocId, data: &Data<'_>, payload: &Bytes) {
        let pd = &data.protocol_data;
        let affinity = SccpAffinity::from(self.settings.server.sccp_affinity);
        let Some((key, _)) = affinity.of_pool(pd) else {
            self.counters.discarded_down.add(Discard::Malformed);
            return cx.record.discarded(cx.now, Discard::Malformed, Direction::Down, pd);
        };
        let Some(id) = self.own_group(cx, assoc, key) else { return };
        let Some(controller) = self.controllers.get_mut(&assoc) else { return };
        controller.messages_down += 1;
        let mut msu = Msu::from_slice_of(payload, pd, self.settings.server.network_appearance);
        if controller.foreign {
            self.counters.released += 1;
            self.per_sls.released(msu.sls);
            self.number(cx, id, std::slice::from_mut(&mut msu));
            return cx.journal.commit(self.settings.number, key, vec![msu], None);
        }
        let held_max = self.settings.server.held_messages_max;
        let (held, fits) = self.with_state(id, |group| group.hold(msu, held_max));
        if !(held && fits) {
            // It can never be committed whole any more.
            self.counters.held_overflows += 1;
            self.give_up(cx, assoc, GiveUp::Abort, false);
        }
    }

    fn asap(&mut self, cx: &mut Cx<'_>, assoc: AssocId, payload: &Bytes) {
        let limits = Limits { max_cookie: self.settings.server.cookie_bytes_max, ..Limits::default() };
        let foreign = self.controllers.get(&assoc).is_none_or(|controller| controller.foreign);
        match Asap::decode(payload, &limits).map(|decoded| decoded.message) {
            Ok(Asap::Cookie { cookie }) if !foreign => self.cookie(cx, assoc, cookie),
            Ok(_) => self.counters.ignored_from_pool += 1,
            Err(_) => {
                // Were it a cookie, the output before it would be released with a later one, out of its transaction.
                self.counters.malformed_from_pool += 1;
                if !foreign {
                    self.give_up(cx, assoc, GiveUp::Abort, false);
                }
            }
        }
    }

    /// A transaction counts from here: in one step the cookie is stored, what it covers is freed, the output is released.
    fn cookie(&mut self, cx: &mut Cx<'_>, assoc: AssocId, cookie: Bytes) {
        let Ok(envelope) = Envelope::decode(&cookie) else {
            self.counters.malformed_from_pool += 1;
            return self.give_up(cx, assoc, GiveUp::Abort, false);
        };
        let (key, mark) = (envelope.group, envelope.mark);
        let (incarnation, transaction) = (envelope.incarnation, envelope.transaction);
        let Some(id) = self.own_group(cx, assoc, key) else { return };
        let group = &self.groups[id.0 as usize];
        let grows = cookie.len() > group.cookie().map_or(0, Bytes::len);
        if grows && self.state_bytes - group.state_bytes() + cookie.len() > self.settings.server.state_bytes_max {
            self.counters.held_overflows += 1;
            return self.give_up(cx, assoc, GiveUp::Abort, false);
        }
        let now = cx.now;
        let ((freed, mut outputs), _) = self.with_state(id, |group| {
            let (freed, output) = group.commit(now, cookie.clone(), mark);
            (freed, output.collect::<Vec<_>>())
        });
        self.counters.released += outputs.len() as u64;
        outputs.iter().for_each(|msu| self.per_sls.released(msu.sls));
        self.counters.transactions += 1;
        self.freed(cx.now, assoc, freed);
        self.number(cx, id, &mut outputs);
        if let Some(controller) = self.controllers.get_mut(&assoc) {
            controller.incarnation = incarnation;
            controller.transactions += 1;
            let counted = Transaction { pe: controller.pe, incarnation, transaction, cookie };
            cx.journal.commit(self.settings.number, key, outputs, Some(counted));
        }
        self.drained(cx, assoc);
    }
}
