//! The name service: an ASAP pool user, and the ENRP server in this process or the way to one outside.

use crate::config;
use crate::pool::{Directory, Location, Share};
use asap::policy::PolicyKind;
use asap::pool_user::Selection;
use asap::wire::{PeId, Policy, PoolElement, PoolHandle, ServerId, Transport as UserTransport};
use asap::{ConnId, HuntConfig, PuConfig, PuEvent, PuMachine, Transmit};
use bytes::Bytes;
use enrp::{ClientId, Host, Ports, Server};
use sctp::{AssocId, Associations, CloseReason, Connect, SendOptions, ppid};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Pool user and embedded server.
#[derive(Debug)]
pub(crate) struct Names {
    user: PuMachine<()>,
    /// The embedded server.
    host: Option<Host>,
    /// Associations to outside servers.
    by_conn: BTreeMap<ConnId, AssocId>,
    udp_port: u16,
    /// Pools asked for, and whether their elements may have changed since they were last looked at.
    used: BTreeMap<PoolHandle, bool>,
}

impl Names {
    pub(crate) fn new(config: &config::Config, seed: u64) -> Self {
        let enrp = &config.enrp;
        let hunt = HuntConfig { servers: enrp.servers.clone(), ..HuntConfig::default() };
        let pu = PuConfig { hunt, ..PuConfig::default() };
        let (user, host) = if enrp.embedded {
            // Any number but 0 (RFC 5353 section 2.1).
            let id = ServerId(enrp.server_id.unwrap_or_else(|| ((seed >> 32) as u32).max(1)));
            let server = Server::new(enrp.server.clone(), id, seed.rotate_left(17));
            (PuMachine::embedded(pu, seed), Some(Host::new(server, Ports::default(), config.udp.port)))
        } else {
            (PuMachine::new(pu, seed), None)
        };
        Self { user, host, by_conn: BTreeMap::new(), udp_port: config.udp.port, used: BTreeMap::new() }
    }

    /// The embedded server.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.host.as_ref().map(Host::server)
    }

    /// The pool user's counters.
    pub(crate) fn user_counters(&self) -> &asap::pool_user::PuCounters {
        self.user.counters()
    }

    /// The embedded server with its associations.
    pub(crate) fn host(&mut self) -> Option<&mut Host> {
        self.host.as_mut()
    }

    /// What comes to this SCTP port is for the embedded server.
    pub(crate) fn listens_at(&self, port: u16) -> bool {
        self.host.as_ref().is_some_and(|host| host.listens_at(port))
    }

    /// The association to an outside server is up. False: not one.
    pub(crate) fn server_up(&mut self, now: Instant, assoc: AssocId) -> bool {
        let conn = self.conn(assoc);
        if let Some(conn) = conn {
            self.user.handle_connected(now, conn);
        }
        conn.is_some()
    }

    /// An outside server sent an ASAP message.
    pub(crate) fn server_message(&mut self, now: Instant, assoc: AssocId, payload: &Bytes) {
        if let Some(conn) = self.conn(assoc) {
            self.user.handle_received(now, conn, payload);
        }
    }

    /// An association of the embedded server, or to an outside one, ended or did not come up. False: neither.
    pub(crate) fn closed(&mut self, now: Instant, assoc: AssocId, reason: &CloseReason) -> bool {
        if self.host.as_mut().is_some_and(|host| host.closed(now, assoc, reason)) {
            return true;
        }
        let conn = self.conn(assoc);
        if let Some(conn) = conn {
            self.by_conn.remove(&conn);
            self.user.handle_closed(now, conn);
        }
        conn.is_some()
    }

    fn conn(&self, assoc: AssocId) -> Option<ConnId> {
        self.by_conn.iter().find(|(_, other)| **other == assoc).map(|(conn, _)| *conn)
    }

    /// Associations to outside servers, for a clean stop.
    pub(crate) fn associations(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.by_conn.values().copied()
    }

    /// Moves messages between pool user, server and associations until none is left.
    pub(crate) fn pump(&mut self, now: Instant, stack: &mut dyn Associations) {
        loop {
            let mut idle = true;
            while let Some(transmit) = self.user.poll_transmit() {
                idle = false;
                self.transmit(now, stack, transmit);
            }
            idle &= !self.host.as_mut().is_some_and(|host| host.carry_out(now, stack));
            while let Some(bytes) = self.host.as_mut().and_then(Host::poll_message) {
                self.user.handle_received(now, ConnId::EMBEDDED, &bytes);
            }
            while let Some(event) = self.user.poll_event() {
                self.user_event(&event);
            }
            while let Some(event) = self.host.as_mut().and_then(Host::poll_event) {
                self.server_event(&event);
            }
            if idle {
                return;
            }
        }
    }

    fn transmit(&mut self, now: Instant, stack: &mut dyn Associations, transmit: Transmit) {
        match transmit {
            Transmit::Connect { conn, server } => {
                let peer = server.addresses.iter().map(|ip| SocketAddr::new(*ip, self.udp_port)).collect();
                match stack.connect(now, Connect { peer, peer_port: server.port, local_port: None }) {
                    Ok(assoc) => drop(self.by_conn.insert(conn, assoc)),
                    Err(_) => self.user.handle_closed(now, conn),
                }
            }
            Transmit::Send { conn: ConnId::EMBEDDED, bytes } => {
                if let Some(host) = &mut self.host {
                    host.server_mut().handle_message(now, ClientId::LOCAL, &[], &bytes);
                }
            }
            Transmit::Send { conn, bytes } => {
                let Some(assoc) = self.by_conn.get(&conn).copied() else { return };
                if stack.send(now, assoc, asap_options(), bytes).is_err() {
                    // It does not read, or is closing: the pool user looks for another one.
                    stack.abort(now, assoc, b"name server does not read");
                }
            }
            Transmit::Close { conn } => {
                if let Some(assoc) = self.by_conn.remove(&conn) {
                    stack.shutdown(now, assoc);
                }
            }
        }
    }

    fn user_event(&mut self, event: &PuEvent) {
        match event {
            PuEvent::Resolved { handle, .. } | PuEvent::PoolChanged { handle, .. } => self.changed(handle),
            PuEvent::UnknownHandle { handle, .. } => tracing::debug!(%handle, "pool is not known"),
            PuEvent::NoAnswer { handle } => tracing::warn!(%handle, "no name server answers"),
            PuEvent::ServerLost => tracing::warn!("name server lost"),
            PuEvent::ServerFound { .. } => tracing::info!("name server found"),
        }
    }

    fn server_event(&mut self, event: &enrp::Event) {
        match event {
            enrp::Event::Registered { handle, element } => {
                tracing::info!(%handle, pe = %element.id, "registered");
                self.changed(handle);
            }
            enrp::Event::Reregistered { handle, .. } => self.changed(handle),
            enrp::Event::Deregistered { handle, pe, cause } => {
                tracing::info!(%handle, %pe, ?cause, "deregistered");
                self.changed(handle);
            }
            enrp::Event::Suspended { handle, pe, reason } => tracing::info!(%handle, %pe, ?reason, "suspended"),
            enrp::Event::Resumed { handle, pe } => tracing::info!(%handle, %pe, "resumed"),
        }
    }

    fn changed(&mut self, handle: &PoolHandle) {
        if let Some(changed) = self.used.get_mut(handle) {
            *changed = true;
        }
    }

    /// Where the elements of a pool in use listen, if that may have changed since the last call. An embedded server knows also those
    /// that no resolution yields at the moment: they are tried again.
    pub(crate) fn changed_elements(&mut self, handle: &PoolHandle) -> Option<Vec<(u32, Location)>> {
        let changed = self.used.get_mut(handle)?;
        if !std::mem::take(changed) {
            return None;
        }
        let elements: Vec<(u32, Location)> = match self.server() {
            Some(server) => server.handlespace().members(handle).filter_map(|e| located(e.registered())).collect(),
            None => self.user.pool(handle)?.elements().iter().filter_map(located).collect(),
        };
        Some(elements)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.user.handle_timeout(now);
        if let Some(host) = &mut self.host {
            host.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let host = self.host.as_ref().and_then(Host::poll_timeout);
        self.user.poll_timeout().into_iter().chain(host).min()
    }
}

fn asap_options() -> SendOptions {
    SendOptions { ppid: ppid::ASAP, ..SendOptions::default() }
}

/// M3UA needs SCTP: elements with another transport are none of ours.
fn located(element: &PoolElement) -> Option<(u32, Location)> {
    match &element.user_transport {
        UserTransport::Sctp(sctp) => {
            Some((element.id.0, Location { addresses: sctp.addresses.clone(), port: sctp.port }))
        }
        UserTransport::Tcp(_)
        | UserTransport::Udp(_)
        | UserTransport::UdpLite(_)
        | UserTransport::Dccp(_)
        | UserTransport::Opaque(_) => None,
    }
}

impl Directory for Names {
    fn resolve(&mut self, now: Instant, pool: &PoolHandle) {
        self.used.entry(pool.clone()).or_insert(true);
        self.user.resolve(now, pool);
    }

    fn select(&mut self, now: Instant, pool: &PoolHandle, usable: &dyn Fn(u32) -> bool) -> Option<u32> {
        match self.user.select(now, pool, |element| usable(element.id.0)) {
            Selection::Element { pe, .. } => Some(pe.0),
            Selection::NoneUsable | Selection::Resolving | Selection::TooManyPools => None,
        }
    }

    fn share(&self, pool: &PoolHandle, pe: u32) -> Share {
        let Some(pool) = self.user.pool(pool) else { return Share::Unknown };
        let Some(element) = pool.element(PeId(pe)) else { return Share::Unknown };
        match (PolicyKind::from(pool.policy()), &element.policy) {
            (PolicyKind::RoundRobin | PolicyKind::Random, _) => Share::Weight(1),
            (
                PolicyKind::WeightedRoundRobin | PolicyKind::WeightedRandom,
                Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight },
            ) => Share::Weight(*weight),
            // An element that names another policy than its pool's counts as weight 1 (asap::policy).
            (PolicyKind::WeightedRoundRobin | PolicyKind::WeightedRandom, _) => Share::Weight(1),
            (
                PolicyKind::Priority
                | PolicyKind::LeastUsed
                | PolicyKind::LeastUsedDegradation
                | PolicyKind::PriorityLeastUsed
                | PolicyKind::RandomizedLeastUsed,
                _,
            ) => Share::None,
        }
    }

    fn set_usable(&mut self, now: Instant, pool: &PoolHandle, pe: u32, usable: bool) {
        if let Some(host) = &mut self.host {
            host.server_mut().set_usable(now, pool, PeId(pe), usable);
        }
        if usable {
            self.user.reachable(pool, PeId(pe));
        }
    }

    fn report_unreachable(&mut self, now: Instant, pool: &PoolHandle, pe: u32) {
        self.user.report_unreachable(now, pool, PeId(pe));
    }
}
