//! The name service: an ASAP pool user, and the ENRP server in this process or the way to one outside.

mod proxy;

use crate::config;
use crate::pool::{Directory, Location, Share, Standing};
use asap::policy::PolicyKind;
use asap::pool_user::Selection;
use asap::wire::{PeId, Policy, PoolElement, PoolHandle, ServerId, Transport as UserTransport};
use asap::{ConnId, HuntConfig, PoolName, PuConfig, PuEvent, PuMachine, ServerAddress, Transmit};
use bytes::Bytes;
use enrp::daemon::PeerNames;
use enrp::host::enrp_transport;
use enrp::link::{Done, Link};
use enrp::{ClientId, Host, Ports, Server, SuspensionReason};
use sctp::{AssocId, Associations, CloseReason};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The pool user of one operation scope.
#[derive(Debug)]
struct Way {
    /// `None`: the gateway's own scope.
    scope: Option<String>,
    user: PuMachine<()>,
    /// Associations to outside servers.
    link: Link,
}

/// A pool as configuration names it.
#[derive(Debug)]
struct Known {
    /// Whose servers know it.
    way: usize,
    /// Its handle there.
    handle: PoolHandle,
    /// It was asked for; and its elements may have changed since they were last looked at.
    used: bool,
    changed: bool,
}

/// Pool users, one for each operation scope, and the embedded server.
#[derive(Debug)]
pub(crate) struct Names {
    /// The gateway's own scope first.
    ways: Vec<Way>,
    /// The embedded server.
    host: Option<Host>,
    udp_port: u16,
    /// By the name that the application servers have for it.
    pools: BTreeMap<PoolHandle, Known>,
    /// Elements registered on their behalf, by the pool as the server knows it.
    proxied: BTreeMap<PoolHandle, BTreeSet<u32>>,
}

impl Names {
    pub(crate) fn new(config: &config::Config, now: Instant, seed: u64) -> Self {
        let enrp = &config.enrp;
        let pu = |servers: &[ServerAddress]| {
            let hunt = HuntConfig { servers: servers.to_vec(), ..HuntConfig::default() };
            PuConfig { hunt, ..PuConfig::default() }
        };
        let (user, host) = if enrp.embedded {
            (PuMachine::embedded(pu(&enrp.servers), seed), Some(embedded(config, now, seed)))
        } else {
            (PuMachine::new(pu(&enrp.servers), seed), None)
        };
        let mut ways = vec![Way { scope: None, user, link: Link::new() }];
        for (number, scope) in (1..).zip(&config.scope) {
            let user = PuMachine::new(pu(&scope.servers), seed.wrapping_add(number));
            ways.push(Way { scope: Some(scope.name.clone()), user, link: Link::new() });
        }
        let mut names =
            Self { ways, host, udp_port: config.udp.port, pools: BTreeMap::new(), proxied: BTreeMap::new() };
        config.application_servers.iter().for_each(|server| names.know(server));
        names
    }

    /// There is this application server, and its pool.
    pub(crate) fn know(&mut self, server: &config::As) {
        let Ok(name) = server.pool.parse::<PoolName>() else { return };
        let Some(way) = self.ways.iter().position(|way| way.scope == name.scope) else { return };
        let known = Known { way, handle: name.handle, used: false, changed: false };
        self.pools.insert(PoolHandle::from(server.pool.as_str()), known);
    }

    /// The embedded server.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.host.as_ref().map(Host::server)
    }

    /// The counters of the pool user of the gateway's own scope.
    pub(crate) fn user_counters(&self) -> &asap::pool_user::PuCounters {
        self.ways[0].user.counters()
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
    pub(crate) fn server_up(&mut self, now: Instant, stack: &mut dyn Associations, assoc: AssocId, port: u16) -> bool {
        let way = self.ways.iter_mut().find(|way| way.link.has(assoc));
        way.map(|Way { user, link, .. }| link.up(now, stack, user, assoc, port)).is_some()
    }

    /// An outside server sent an ASAP message.
    pub(crate) fn server_message(&mut self, now: Instant, assoc: AssocId, payload: &Bytes) {
        for Way { user, link, .. } in &mut self.ways {
            link.message(now, user, assoc, payload);
        }
    }

    /// An association of the embedded server, or to an outside one, ended or did not come up. False: neither.
    pub(crate) fn closed(&mut self, now: Instant, assoc: AssocId, reason: &CloseReason) -> bool {
        self.host.as_mut().is_some_and(|host| host.closed(now, assoc, reason))
            || self.ways.iter_mut().any(|Way { user, link, .. }| link.closed(now, user, assoc))
    }

    /// Associations to outside servers, for a clean stop.
    pub(crate) fn associations(&self) -> impl Iterator<Item = AssocId> + '_ {
        self.ways.iter().flat_map(|way| way.link.associations())
    }

    /// Moves messages between pool users, server and associations until none is left.
    pub(crate) fn pump(&mut self, now: Instant, stack: &mut dyn Associations) {
        loop {
            let mut idle = true;
            for index in 0..self.ways.len() {
                while let Some(transmit) = self.ways[index].user.poll_transmit() {
                    idle = false;
                    self.transmit(now, stack, index, transmit);
                }
                while let Some(event) = self.ways[index].user.poll_event() {
                    self.user_event(index, &event);
                }
            }
            idle &= !self.host.as_mut().is_some_and(|host| host.carry_out(now, stack));
            while let Some(bytes) = self.host.as_mut().and_then(Host::poll_message) {
                idle = false;
                if !self.proxy_answered(now, &bytes) {
                    self.ways[0].user.handle_received(now, ConnId::EMBEDDED, &bytes);
                }
            }
            while let Some(event) = self.host.as_mut().and_then(Host::poll_event) {
                self.server_event(&event);
            }
            if idle {
                return;
            }
        }
    }

    fn transmit(&mut self, now: Instant, stack: &mut dyn Associations, index: usize, transmit: Transmit) {
        if let (Transmit::Send { conn: ConnId::EMBEDDED, bytes }, Some(host)) = (&transmit, &mut self.host) {
            return host.server_mut().handle_message(now, ClientId::LOCAL, &[], bytes);
        }
        let Way { user, link, .. } = &mut self.ways[index];
        match link.perform(now, stack, user, self.udp_port, transmit) {
            // It does not read, or is closing: the pool user looks for another one.
            Done::NotSent(Some(assoc)) => stack.abort(now, assoc, b"name server does not read"),
            Done::NotSent(None) | Done::Sent | Done::Opened(_) | Done::NotOpened | Done::Closing(_) | Done::Nothing => {
            }
        }
    }

    fn user_event(&mut self, way: usize, event: &PuEvent) {
        let scope = self.ways[way].scope.as_deref().unwrap_or_default();
        match event {
            PuEvent::Resolved { handle, .. } | PuEvent::PoolChanged { handle, .. } => self.changed(way, handle),
            PuEvent::UnknownHandle { handle, .. } => tracing::debug!(%handle, scope, "pool is not known"),
            PuEvent::NoAnswer { handle } => tracing::warn!(%handle, scope, "no name server answers"),
            PuEvent::ServerLost => tracing::warn!(scope, "name server lost"),
            PuEvent::ServerFound { .. } => tracing::info!(scope, "name server found"),
        }
    }

    fn server_event(&mut self, event: &enrp::Event) {
        match event {
            enrp::Event::Registered { handle, element } => {
                tracing::info!(%handle, pe = %element.id, "registered");
                self.changed(0, handle);
            }
            enrp::Event::Reregistered { handle, .. } => self.changed(0, handle),
            enrp::Event::Deregistered { handle, pe, cause } => {
                tracing::info!(%handle, %pe, ?cause, "deregistered");
                self.changed(0, handle);
            }
            enrp::Event::Suspended { handle, pe, reason } => tracing::info!(%handle, %pe, ?reason, "suspended"),
            enrp::Event::Resumed { handle, pe } => tracing::info!(%handle, %pe, "resumed"),
            enrp::Event::PeerUp { server } => tracing::info!(%server, "name server peer found"),
            enrp::Event::PeerDead { server } => tracing::warn!(%server, "name server peer dead"),
            enrp::Event::TakenOver { server, by, pes } => {
                tracing::warn!(%server, %by, pes, "dead name server taken over");
            }
        }
    }

    fn changed(&mut self, way: usize, handle: &PoolHandle) {
        for known in self.pools.values_mut().filter(|known| known.way == way && known.handle == *handle) {
            known.changed = known.used;
        }
    }

    /// Where the elements of a pool in use listen, if that may have changed since the last call. An embedded server knows also those
    /// that no resolution yields at the moment: they are tried again.
    pub(crate) fn changed_elements(&mut self, pool: &PoolHandle) -> Option<Vec<(u32, Location)>> {
        let known = self.pools.get_mut(pool)?;
        if !std::mem::take(&mut known.changed) {
            return None;
        }
        let Known { way, handle, .. } = &self.pools[pool];
        let elements: Vec<(u32, Location)> = match self.server().filter(|_| *way == 0) {
            Some(server) => server.handlespace().members(handle).filter_map(|e| located(e.registered())).collect(),
            None => self.ways[*way].user.pool(handle)?.elements().iter().filter_map(located).collect(),
        };
        Some(elements)
    }

    /// The elements of a pool in use are told again, whether they changed or not.
    pub(crate) fn look_again(&mut self, pool: &PoolHandle) {
        if let Some(known) = self.pools.get_mut(pool) {
            known.changed = true;
        }
    }

    /// The pool user that knows a pool, and the pool's handle there.
    fn way(&mut self, pool: &PoolHandle) -> Option<(&mut PuMachine<()>, &PoolHandle)> {
        let known = self.pools.get(pool)?;
        Some((&mut self.ways[known.way].user, &known.handle))
    }

    /// What the pool user was told of a pool.
    fn cached(&self, pool: &PoolHandle) -> Option<&asap::pool_user::Pool> {
        let known = self.pools.get(pool)?;
        self.ways[known.way].user.pool(&known.handle)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.ways.iter_mut().for_each(|way| way.user.handle_timeout(now));
        if let Some(host) = &mut self.host {
            host.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let host = self.host.as_ref().and_then(Host::poll_timeout);
        self.ways.iter().filter_map(|way| way.user.poll_timeout()).chain(host).min()
    }
}

/// The name server in this process.
fn embedded(config: &config::Config, now: Instant, seed: u64) -> Host {
    let enrp = &config.enrp;
    // Any number but 0 (RFC 5353 section 2.1).
    let id = ServerId(enrp.server_id.unwrap_or_else(|| ((seed >> 32) as u32).max(1)));
    let mut server = Server::new(enrp.server.clone(), id, seed.rotate_left(17));
    let mut known = None;
    if enrp.enrp_port != 0 {
        let udp = &config.udp;
        let own = if udp.advertise.is_empty() { &udp.addresses } else { &udp.advertise };
        server = server.with_peers_at(enrp.peers.clone(), enrp_transport(own.clone(), enrp.enrp_port));
        known = Some(PeerNames::new(&enrp.peers.servers).known());
    }
    let ports = Ports { enrp: (enrp.enrp_port != 0).then_some(enrp.enrp_port), ..Ports::default() };
    let mut host = Host::new(server, ports, config.udp.port);
    if let Some(known) = known {
        host.set_peers(now, known);
    }
    host
}

/// Why the embedded server does not select an element.
fn reason_text(reason: SuspensionReason) -> &'static str {
    match reason {
        SuspensionReason::Silent => "silent toward the name server",
        SuspensionReason::Unusable => "given up by the gateway and not active since",
        SuspensionReason::Draining => "draining",
    }
}

/// M3UA needs SCTP: elements with another transport are none of ours.
fn located(element: &PoolElement) -> Option<(u32, Location)> {
    match &element.user_transport {
        UserTransport::Sctp(sctp) => {
            Some((element.id.0, Location { addresses: sctp.addresses.to_vec(), port: sctp.port }))
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
        if let Some(known) = self.pools.get_mut(pool).filter(|known| !known.used) {
            (known.used, known.changed) = (true, true);
        }
        if let Some((user, handle)) = self.way(pool) {
            user.resolve(now, handle);
        }
    }

    fn select(&mut self, now: Instant, pool: &PoolHandle, usable: &dyn Fn(u32) -> bool) -> Option<u32> {
        let (user, handle) = self.way(pool)?;
        match user.select(now, handle, |element| usable(element.id.0)) {
            Selection::Element { pe, .. } => Some(pe.0),
            Selection::NoneUsable | Selection::Resolving | Selection::TooManyPools => None,
        }
    }

    fn order(&self, pool: &PoolHandle, count: usize, usable: &dyn Fn(u32) -> bool) -> Vec<u32> {
        let order = self.cached(pool).map(|pool| pool.order(count, |pe| usable(pe.0)));
        order.into_iter().flatten().map(|pe| pe.0).collect()
    }

    fn policy(&self, pool: &PoolHandle) -> Option<String> {
        self.cached(pool).map(|pool| enrp::policy_text(pool.policy()))
    }

    fn standing(&self, pool: &PoolHandle, pe: u32) -> Standing {
        let listed = self.cached(pool).and_then(|pool| pool.element(PeId(pe)));
        let mut standing = Standing {
            listed: listed.is_some(),
            policy: listed.map(|element| enrp::policy_text(&element.policy)),
            ..Standing::default()
        };
        let Some(Known { way: 0, handle, .. }) = self.pools.get(pool) else { return standing };
        if let Some(element) = self.server().and_then(|server| server.handlespace().element(handle, PeId(pe))) {
            standing.policy = Some(enrp::policy_text(&element.registered().policy));
            standing.full = element.is_full();
            standing.suspended = element.reasons().map(reason_text).collect();
        }
        standing
    }

    fn share(&self, pool: &PoolHandle, pe: u32) -> Share {
        let Some(pool) = self.cached(pool) else { return Share::Unknown };
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
                | PolicyKind::RandomizedLeastUsed
                | PolicyKind::MostUsed,
                _,
            ) => Share::None,
        }
    }

    fn set_usable(&mut self, now: Instant, pool: &PoolHandle, pe: u32, usable: bool) {
        let Some(Known { way, handle, .. }) = self.pools.get(pool) else { return };
        if let Some(host) = self.host.as_mut().filter(|_| *way == 0) {
            host.server_mut().set_usable(now, handle, PeId(pe), usable);
        }
        if usable {
            self.ways[*way].user.reachable(handle, PeId(pe));
        }
    }

    fn set_draining(&mut self, now: Instant, pool: &PoolHandle, pe: u32, draining: bool) {
        let Some(Known { way: 0, handle, .. }) = self.pools.get(pool) else { return };
        if let Some(host) = &mut self.host {
            host.server_mut().set_draining(now, handle, PeId(pe), draining);
        }
    }

    fn register(&mut self, now: Instant, pool: &PoolHandle, pe: u32, location: &Location) {
        self.register_proxy(now, pool, pe, location);
    }

    fn withdraw(&mut self, now: Instant, pool: &PoolHandle, pe: u32) {
        self.withdraw_proxy(now, pool, pe);
    }

    fn report_unreachable(&mut self, now: Instant, pool: &PoolHandle, pe: u32) {
        if let Some((user, handle)) = self.way(pool) {
            user.report_unreachable(now, handle, PeId(pe));
        }
    }
}
