//! How PEs come and go: RFC 5352 sections 3.1 and 3.2.

use super::rate::Request;
use super::supervision::Supervision;
use super::{ClientId, Event, RemovalCause, Server, Timer, error};
use crate::handlespace::{AddError, Added, Mismatch, Slot, SuspensionReason};
use asap::wire::{
    ErrorCause, MESSAGE_BYTES_MAX, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport,
    Transport, TransportUse, Writer,
};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

impl Server {
    /// ASAP_REGISTRATION: always answered with ASAP_REGISTRATION_RESPONSE.
    pub(super) fn registration(
        &mut self,
        now: Instant,
        client: ClientId,
        source: &[SocketAddr],
        handle: PoolHandle,
        element: PoolElement,
    ) {
        let pe_id = element.id;
        let refusal = if self.admit(now, client, Request::Registration) {
            match self.check_registration(client, source, &handle, &element) {
                Ok(()) => self.register(now, client, source, &handle, element).err(),
                Err(cause) => Some(cause),
            }
        } else {
            self.counters.registrations_limited += 1;
            Some(ErrorCause::LackOfResources)
        };
        if let Some(cause) = &refusal {
            self.count_refusal(cause);
        }
        let reject = refusal.is_some();
        let error = refusal.and_then(error);
        self.send(client, &Message::RegistrationResponse { reject, handle, pe_id, error });
    }

    /// What can be said before the pool is looked at.
    fn check_registration(
        &self,
        client: ClientId,
        source: &[SocketAddr],
        handle: &PoolHandle,
        element: &PoolElement,
    ) -> Result<(), ErrorCause> {
        if handle.as_bytes().len() > self.config.handle_bytes_max {
            return Err(ErrorCause::LackOfResources);
        }
        if element.id == PeId(0) || element.life == RegistrationLife::Seconds(0) {
            return Err(ErrorCause::InvalidValues(tlv(|writer| writer.pool_element(element))));
        }
        if client.is_outside() {
            // A pool element uses SCTP (RFC 5352 section 2.1); TCP is for pool users.
            return Err(ErrorCause::InvalidValues(tlv(|writer| writer.pool_element(element))));
        }
        // The program that the server lives in may register others.
        let checks = self.config.check_addresses && client != ClientId::LOCAL;
        if checks && !bound(&element.user_transport, source) {
            return Err(ErrorCause::InvalidValues(tlv(|writer| writer.transport(&element.user_transport))));
        }
        // Same identifier from elsewhere: the PE over a new association (it has the same user transport), or another PE
        // that drew the same number while the first is still there.
        if let Some(slot) = self.handlespace.find(handle, element.id)
            && let Some(known) = self.handlespace.get(slot)
            && let Some(owner) = self.supervised.get(&slot).and_then(|supervision| supervision.client)
            && owner != client
            && known.registered().user_transport != element.user_transport
        {
            return Err(ErrorCause::NonUniquePeId);
        }
        Ok(())
    }

    /// Adds or replaces the element and takes ownership of it.
    fn register(
        &mut self,
        now: Instant,
        client: ClientId,
        source: &[SocketAddr],
        handle: &PoolHandle,
        mut element: PoolElement,
    ) -> Result<(), ErrorCause> {
        let known = self.handlespace.find(handle, element.id);
        let claim = self.claim_to_register(known);
        let pes_max = self.config.pes_per_client_max;
        let memory = self.remember(client).ok_or(ErrorCause::LackOfResources)?;
        if memory.elements.len() >= pes_max && known.is_none_or(|slot| !memory.elements.contains(&slot)) {
            return Err(ErrorCause::LackOfResources);
        }
        element.home = self.id;
        element.asap_transport = asap_transport(source);
        if !fits(handle, &element, self.config.element_bytes_max) {
            self.forget_if_idle(client);
            return Err(ErrorCause::LackOfResources);
        }
        let life = element.life;
        let added = self.handlespace.add(handle, element.clone());
        let (slot, added) = match added {
            Ok(added) => added,
            Err(refusal) => {
                self.forget_if_idle(client);
                return Err(cause_of(refusal));
            }
        };
        self.adopt(now, client, slot, life);
        self.tell_peers_of_registration(slot, claim);
        self.announce_registration(now, handle, element, added);
        // Who registers is alive.
        self.resume(now, slot, SuspensionReason::Silent);
        Ok(())
    }

    fn announce_registration(&mut self, now: Instant, handle: &PoolHandle, element: PoolElement, added: Added) {
        let handle = handle.clone();
        match added {
            Added::New => {
                self.counters.registrations += 1;
                self.pool_changed(now, &handle);
                self.events.push_back(Event::Registered { handle, element });
            }
            Added::Replaced { changed } => {
                self.counters.reregistrations += 1;
                if changed {
                    self.pool_changed(now, &handle);
                }
                self.events.push_back(Event::Reregistered { handle, element, changed });
            }
        }
    }

    /// Makes the client the PE's association and starts its timers anew.
    fn adopt(&mut self, now: Instant, client: ClientId, slot: Slot, life: RegistrationLife) {
        let before = self.supervised.insert(slot, Supervision::of(client));
        let moved = before.as_ref().is_none_or(|before| before.client != Some(client));
        if let Some(now) = self.supervised.get_mut(&slot).filter(|_| !moved) {
            now.has_place = before.as_ref().is_some_and(|before| before.has_place);
            now.calm = before.as_ref().map_or(0, |before| before.calm);
        }
        if let Some(former) = before.and_then(|before| before.client).filter(|_| moved) {
            self.leave(former, slot);
        }
        if let Some(way) = self.ways.forget(slot) {
            self.close_unused(way);
        }
        self.clients.entry(client).or_default().elements.insert(slot);
        match life.duration() {
            Some(life) => self.timers.set(Timer::Expiry(slot), now + life),
            None => self.timers.cancel(&Timer::Expiry(slot)),
        }
        self.timers.cancel(&Timer::Ack(slot));
        self.timers.cancel(&Timer::Grace(slot));
        self.timers.cancel(&Timer::Reach(slot));
        self.timers.cancel(&Timer::Probe(slot));
        // A PE that registers often must not put its keep-alive off for ever.
        if moved || self.timers.get(&Timer::KeepAlive(slot)).is_none() {
            self.plan_keep_alive(now, slot);
        }
    }

    /// ASAP_DEREGISTRATION: always answered; granted when the PE is not there (RFC 5352 section 3.2), rejected when it comes
    /// from somebody else (section 2.2.2: not by proxy).
    pub(super) fn deregistration(
        &mut self,
        now: Instant,
        client: ClientId,
        source: &[SocketAddr],
        handle: PoolHandle,
        pe_id: PeId,
    ) {
        let slot = self.handlespace.find(&handle, pe_id);
        let refused = client.is_outside() || slot.is_some_and(|slot| !self.is_pe_itself(client, source, slot));
        let error = if refused { error(ErrorCause::Security) } else { None };
        self.send(client, &Message::DeregistrationResponse { handle, pe_id, error });
        match slot {
            _ if refused => self.counters.refused_security += 1,
            Some(slot) => {
                // With another home than ours, which it may not have reached: ours to remove from here on.
                let claim = self.claim_to_register(Some(slot));
                if self.handlespace.set_home(slot, self.id) {
                    self.tell_peers_of_registration(slot, claim);
                }
                self.remove(now, slot, RemovalCause::Deregistration);
            }
            None => self.counters.deregistrations_unknown += 1,
        }
    }

    /// The association it registered with, or one from an address it registered from.
    fn is_pe_itself(&self, client: ClientId, source: &[SocketAddr], slot: Slot) -> bool {
        if self.supervised.get(&slot).is_some_and(|supervision| supervision.client == Some(client)) {
            return true;
        }
        let home = self.handlespace.get(slot).and_then(|element| element.asap_transport());
        home.is_some_and(|home| source.iter().any(|address| home.has(address.ip())))
    }

    /// Takes a PE out of the handlespace, whatever the cause.
    pub(super) fn remove(&mut self, now: Instant, slot: Slot, cause: RemovalCause) {
        let Some((handle, element)) = self.handlespace.remove(slot) else { return };
        for timer in Timer::of(slot) {
            self.timers.cancel(&timer);
        }
        self.tell_peers_of_removal(slot, &handle, &element, cause);
        self.measures.forget(slot);
        let asked_over = self.ways.forget(slot);
        let supervision = self.supervised.remove(&slot);
        let is_own = supervision.is_some();
        let client = supervision.and_then(|supervision| supervision.client);
        let pe = element.id();
        if let Some(client) = client {
            if tells_the_pe(cause) {
                let answer = Message::DeregistrationResponse { handle: handle.clone(), pe_id: pe, error: None };
                self.send(client, &answer);
            }
            self.leave(client, slot);
        }
        if let Some(way) = asked_over {
            self.close_unused(way);
        }
        self.count_removal(cause);
        self.pool_changed(now, &handle);
        self.events.push_back(Event::Deregistered { handle, pe, cause });
        if is_own && says_something_of_the_host(cause) {
            self.ask_neighbours(now, element.asap_transport());
        }
    }

    /// Drops the memory of a client with nothing in it.
    pub(super) fn forget_if_idle(&mut self, client: ClientId) {
        if self.clients.get(&client).is_some_and(|memory| memory.is_idle() && memory.rates.is_unused()) {
            self.clients.remove(&client);
        }
    }

    fn count_refusal(&mut self, cause: &ErrorCause) {
        let counters = &mut self.counters;
        let counter = match cause {
            ErrorCause::InvalidValues(_) => &mut counters.refused_invalid,
            ErrorCause::NonUniquePeId => &mut counters.refused_not_unique,
            ErrorCause::InconsistentPolicy(_) => &mut counters.refused_policy,
            ErrorCause::InconsistentTransportType(_) => &mut counters.refused_transport,
            ErrorCause::InconsistentDataControl => &mut counters.refused_data_control,
            ErrorCause::Security => &mut counters.refused_security,
            ErrorCause::LackOfResources
            | ErrorCause::Unspecified
            | ErrorCause::UnrecognizedParameter(_)
            | ErrorCause::UnrecognizedMessage(_)
            | ErrorCause::UnknownPoolHandle
            | ErrorCause::Other { .. } => &mut counters.refused_resources,
        };
        *counter += 1;
    }

    fn count_removal(&mut self, cause: RemovalCause) {
        let counters = &mut self.counters;
        let counter = match cause {
            RemovalCause::Deregistration => &mut counters.deregistrations,
            RemovalCause::Expired => &mut counters.expired,
            RemovalCause::KeepAlive => &mut counters.removed_keep_alive,
            RemovalCause::SendFailed => &mut counters.removed_send_failed,
            RemovalCause::Reported => &mut counters.removed_reported,
            RemovalCause::AssociationEnded | RemovalCause::AssociationSilent => &mut counters.removed_association,
            RemovalCause::Peer => &mut counters.removed_peer,
            RemovalCause::PoolKind => &mut counters.removed_pool_kind,
        };
        *counter += 1;
    }
}

/// Whether the PE is told unasked that it is no longer registered: on expiry (RFC 5352 section 3.2), and after missed
/// keep-alives or too many reports, so that one that lives registers again (or learns why it may not). Untold it would be out of the pool until T4 (minutes),
/// and a pool user that stood still a few times itself would have reported, and so removed, every PE there is. It comes back
/// after T2, not at once.
fn tells_the_pe(cause: RemovalCause) -> bool {
    match cause {
        RemovalCause::Expired | RemovalCause::KeepAlive | RemovalCause::Reported | RemovalCause::PoolKind => true,
        RemovalCause::Deregistration
        | RemovalCause::SendFailed
        | RemovalCause::AssociationEnded
        | RemovalCause::AssociationSilent
        | RemovalCause::Peer => false,
    }
}

/// Whether others at the PE's host may be dead too.
fn says_something_of_the_host(cause: RemovalCause) -> bool {
    match cause {
        RemovalCause::KeepAlive
        | RemovalCause::SendFailed
        | RemovalCause::AssociationEnded
        | RemovalCause::AssociationSilent => true,
        RemovalCause::Deregistration
        | RemovalCause::Expired
        | RemovalCause::Reported
        | RemovalCause::Peer
        | RemovalCause::PoolKind => false,
    }
}

fn cause_of(refusal: AddError) -> ErrorCause {
    match refusal {
        AddError::Full => ErrorCause::LackOfResources,
        AddError::Mismatch(Mismatch::Policy(policy)) => ErrorCause::InconsistentPolicy(Some(policy)),
        AddError::Mismatch(Mismatch::TransportType(transport)) => {
            ErrorCause::InconsistentTransportType(Some(transport))
        }
        AddError::Mismatch(Mismatch::TransportUse) => ErrorCause::InconsistentDataControl,
    }
}

/// Whether the PE takes no more than `bytes_max`, and users and peers can be told of it: handle, policy and element in one message (the
/// longest is ENRP_HANDLE_UPDATE).
fn fits(handle: &PoolHandle, element: &PoolElement, bytes_max: usize) -> bool {
    // With the claim that goes before the element to peers of this project.
    const ENRP_HEADER: usize = 16 + 8;
    let long = handle.as_bytes().len() > 1_024
        || matches!(element.policy, Policy::Other { .. })
        || matches!(element.user_transport, Transport::Opaque(_));
    // Others are far within `ELEMENT_BYTES_LEAST`, with 64 addresses too.
    let mut writer = Writer::new(0, 0);
    !long || {
        writer.pool_element(element);
        let of_element = writer.position();
        writer.pool_handle(handle);
        writer.policy(&element.policy);
        of_element <= bytes_max && writer.position() + ENRP_HEADER <= MESSAGE_BYTES_MAX
    }
}

/// Whether every address of the user transport is one of the association's (RFC 5352 section 2.2.1). An opaque transport has
/// none.
fn bound(transport: &Transport, source: &[SocketAddr]) -> bool {
    let has = |address: IpAddr| source.iter().any(|source| source.ip() == address);
    match transport {
        Transport::Sctp(sctp) => sctp.addresses.iter().all(|&address| has(address)),
        Transport::Tcp(ip) | Transport::Udp(ip) | Transport::UdpLite(ip) => has(ip.address),
        Transport::Dccp(dccp) => has(dccp.address),
        Transport::Opaque(_) => true,
    }
}

/// Where the registration came from (RFC 5352 section 3.1: recorded in the ASAP Transport). `None` for an embedded client.
fn asap_transport(source: &[SocketAddr]) -> Option<SctpTransport> {
    let port = source.first()?.port();
    let addresses = source.iter().map(SocketAddr::ip).collect();
    Some(SctpTransport { port, transport_use: TransportUse::DataOnly, addresses })
}

/// One parameter as it stands on the wire, for Invalid Values.
fn tlv(write: impl FnOnce(&mut Writer)) -> Bytes {
    const HEADER: usize = 4;
    let mut writer = Writer::new(0, 0);
    write(&mut writer);
    writer.finish().map(|bytes| bytes.slice(HEADER..)).unwrap_or_default()
}
