//! Where the controller is registered: one pool element in each operation scope, under one or several handles.

use crate::config::Config;
use asap::event::DeregisterCause;
use asap::pool_element::Registration;
use asap::wire::{PeId, PoolHandle, SctpTransport, ServerId, Transport, TransportUse};
use asap::{PeEvent, PeMachine};
use enrp::link::{Done, Link};
use sctp::{AssocId, Associations};
use serde::Serialize;
use std::net::IpAddr;
use std::time::Instant;

/// What the node does with an association because of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is this membership's from now on.
    Opened(AssocId),
    /// The membership has let go of it.
    Closing(AssocId),
    /// The registration stands.
    Registered,
}

/// The pool element of one scope.
#[derive(Debug)]
pub(crate) struct Membership {
    /// Empty for the scope of `[asap]`.
    scope: String,
    machine: PeMachine,
    link: Link,
    handles: Vec<PoolHandle>,
    home: Option<ServerId>,
}

/// For the admin.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    scope: String,
    handles: Vec<String>,
    registered: bool,
    /// Home server, once its keep-alive has said who it is.
    home: Option<String>,
    /// SCTP port at which servers reach the element.
    port: Option<u16>,
    /// Keep-alives answered.
    keep_alives: u64,
    /// Home servers lost.
    servers_lost: u64,
}

/// One for each scope, the scope of `[asap]` first. All register from `now` on.
pub(crate) fn memberships(config: &Config, pe: PeId, local: &[IpAddr], now: Instant, seed: u64) -> Vec<Membership> {
    let advertise = [&config.pool.advertise, &config.udp.advertise].into_iter().find(|known| !known.is_empty());
    let addresses = advertise.cloned().unwrap_or_else(|| local.to_vec());
    let transport = SctpTransport {
        port: config.m3ua.port,
        transport_use: TransportUse::DataAndControl,
        addresses: addresses.into(),
    };
    let own = config.pool.handles();
    let further = config.scope.iter().map(|scope| {
        let mut asap = config.asap.clone();
        asap.hunt.servers.clone_from(&scope.servers);
        let handles = if scope.handles.is_empty() { own.clone() } else { scope.handles.clone() };
        (scope.name.clone(), asap, handles)
    });
    let all = std::iter::once((String::new(), config.asap.clone(), own.clone())).chain(further);
    let mut memberships = Vec::new();
    for (number, (scope, asap, handles)) in (0_u64..).zip(all) {
        let mut machine = PeMachine::new(asap, pe, seed.wrapping_add(number));
        let handles: Vec<_> = handles.iter().map(|handle| PoolHandle::from(handle.as_str())).collect();
        for handle in &handles {
            let registration = Registration {
                handle: handle.clone(),
                life: config.pool.life(),
                user_transport: Transport::Sctp(transport.clone()),
                policy: config.pool.policy(),
            };
            if let Err(error) = machine.register(now, registration) {
                tracing::error!(%handle, scope, %error, "cannot register");
            }
        }
        memberships.push(Membership { scope, machine, link: Link::new(), handles, home: None });
    }
    memberships
}

impl Membership {
    /// Whether it is registered under every handle.
    pub(crate) fn is_registered(&self) -> bool {
        self.handles.iter().all(|handle| self.machine.is_registered(handle))
    }

    /// A server that takes the element over comes to this SCTP port.
    pub(crate) fn listens_at(&self, port: u16) -> bool {
        self.link.port() == Some(port)
    }

    /// An association of its own is up.
    pub(crate) fn up(&mut self, now: Instant, stack: &mut dyn Associations, assoc: AssocId, local_port: u16) {
        self.link.up(now, stack, &mut self.machine, assoc, local_port);
    }

    /// A server opened an association to the element. False: refuse it.
    pub(crate) fn accept(&mut self, assoc: AssocId) -> bool {
        self.link.accept(&mut self.machine, assoc)
    }

    /// An ASAP message came.
    pub(crate) fn message(&mut self, now: Instant, assoc: AssocId, bytes: &[u8]) {
        self.link.message(now, &mut self.machine, assoc, bytes);
    }

    /// An association ended or did not come up.
    pub(crate) fn closed(&mut self, now: Instant, assoc: AssocId) {
        self.link.closed(now, &mut self.machine, assoc);
    }

    /// Out of every pool.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.machine.stop(now);
    }

    /// See [`PeMachine::is_stopped`].
    pub(crate) fn is_stopped(&self) -> bool {
        self.machine.is_stopped()
    }

    /// A datagram came to the group where the scope's servers announce themselves.
    pub(crate) fn announce(&mut self, now: Instant, source: IpAddr, bytes: &[u8]) {
        self.machine.handle_announce(now, source, bytes);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    /// Does the next thing that the machine asks for. `None`: nothing is left. `Some(None)`: done, and nothing follows for the node.
    pub(crate) fn step(&mut self, now: Instant, stack: &mut dyn Associations, udp_port: u16) -> Option<Option<Step>> {
        if let Some(transmit) = self.machine.poll_transmit() {
            return Some(match self.link.perform(now, stack, &mut self.machine, udp_port, transmit) {
                Done::Opened(assoc) => Some(Step::Opened(assoc)),
                Done::Closing(assoc) => Some(Step::Closing(assoc)),
                Done::NotOpened => {
                    tracing::warn!(scope = self.scope, "cannot connect to a name server");
                    None
                }
                Done::NotSent(Some(_)) => {
                    // T2 and T3 send again; a server that does not read is as good as gone.
                    tracing::warn!(scope = self.scope, "cannot send to the name server");
                    None
                }
                Done::NotSent(None) | Done::Sent | Done::Nothing => None,
            });
        }
        let event = self.machine.poll_event()?;
        Some(self.told(&event).then_some(Step::Registered))
    }

    /// True: it is registered.
    fn told(&mut self, event: &PeEvent) -> bool {
        let scope = self.scope.as_str();
        match event {
            PeEvent::Registered { handle, warning } => {
                tracing::info!(%handle, scope, pe = %self.machine.id(), ?warning, "registered");
                return true;
            }
            PeEvent::Refused { handle, error } => tracing::error!(%handle, scope, ?error, "registration refused"),
            PeEvent::ServerLost => tracing::warn!(scope, "name server lost"),
            PeEvent::HomeServer { server, .. } => {
                tracing::info!(scope, ?server, "home server");
                self.home = *server;
            }
            PeEvent::Deregistered { handle, cause: DeregisterCause::Requested } => {
                tracing::info!(%handle, scope, "deregistered");
            }
            PeEvent::Deregistered { handle, cause: DeregisterCause::Expired } => {
                tracing::warn!(%handle, scope, "registration expired");
            }
        }
        false
    }

    /// What the admin is shown.
    pub(crate) fn view(&self) -> View {
        View {
            scope: self.scope.clone(),
            handles: self.handles.iter().map(ToString::to_string).collect(),
            registered: self.is_registered(),
            home: self.home.map(|home| home.to_string()),
            port: self.link.port(),
            keep_alives: self.machine.counters().keep_alives,
            servers_lost: self.machine.counters().servers_lost,
        }
    }
}
