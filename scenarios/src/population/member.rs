//! One pool element of a population, with its association.

use super::config::{Policy as Numbered, Population};
use super::pools::Element;
use asap::policy::Rng;
use asap::pool_element::Registration;
use asap::wire::{PeId, Policy, PoolHandle, RegistrationLife, SctpTransport, Transport, TransportUse};
use asap::{PeConfig, PeMachine};
use enrp::link::Link;
use gwc_pe::config::PolicyName;
use std::net::IpAddr;
use std::time::Instant;

/// How far an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started.
    Waiting,
    /// No answer to its first registration.
    Starting,
    /// It had one; from now on its machine looks after itself.
    Settled,
    /// Deregistering.
    Stopping,
    /// Deregistered, or never started.
    Stopped,
}

/// What the settings say of an element in a pool with a name of its own.
#[derive(Debug)]
pub(super) struct Named {
    /// With the scope.
    pub(super) name: String,
    pub(super) policy: PolicyName,
    pub(super) values: Element,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) machine: PeMachine,
    pub(super) registration: Registration,
    /// The values of an element in a pool with a name of its own.
    pub(super) named: Option<Named>,
    pub(super) phase: Phase,
    pub(super) registered: bool,
    pub(super) refused: bool,
    /// Its associations.
    pub(super) link: Link,
    /// Its entry in the node's timers.
    pub(super) scheduled: Option<Instant>,
}

impl Member {
    /// Element number `index` of a process, reached at `known`. Nothing is sent before its registration is given to the machine.
    pub(super) fn new(
        index: usize,
        settings: &Population,
        asap: &PeConfig,
        known: &[IpAddr],
        random: &mut Rng,
    ) -> Self {
        let life = match settings.life_s {
            0 => RegistrationLife::Infinite,
            seconds => RegistrationLife::Seconds(seconds),
        };
        let mut asap = asap.clone();
        if asap.t4_reregistration_ms.is_none() {
            // Those that started together must not register again together: a time of its own for each, in the second half of its life.
            asap.t4_spread_percent = 0;
            asap.t4_reregistration_ms = life.duration().and_then(|life| {
                let half = u64::try_from(life.as_millis()).ok()? / 2;
                Some(half + random.below(half))
            });
        }
        let transport = SctpTransport {
            port: settings.user_port(index),
            transport_use: TransportUse::DataOnly,
            addresses: known.into(),
        };
        let mut id = ((random.next_u64() >> 32) as u32).max(1);
        let mut registration = Registration {
            handle: settings.handle(index / settings.pes_per_pool.max(1)),
            life,
            user_transport: Transport::Sctp(transport),
            policy: policy(settings.policy, random),
        };
        let mut named = None;
        if let Some((pool, element)) = settings.named_at(index) {
            id = element.id.unwrap_or(id);
            registration.handle = PoolHandle::from(pool.handle.as_str());
            registration.policy = element.policy(pool.policy);
            if let Some(scope) = settings.scope.iter().find(|scope| pool.scope.as_ref() == Some(&scope.name)) {
                asap.hunt.servers.clone_from(&scope.servers);
            }
            named = Some(Named { name: pool.name(), policy: pool.policy, values: element.clone() });
        }
        Self {
            machine: PeMachine::new(asap, PeId(id), random.next_u64()),
            registration,
            named,
            phase: Phase::Waiting,
            registered: false,
            refused: false,
            link: Link::at(settings.own_port(index)),
            scheduled: None,
        }
    }

    pub(super) fn handle(&self) -> &PoolHandle {
        &self.registration.handle
    }

    /// Its pool, with the scope, as records have it.
    pub(super) fn pool(&self) -> String {
        self.named.as_ref().map_or_else(|| self.handle().to_string(), |named| named.name.clone())
    }
}

/// Values for a registration; another load each time.
pub(super) fn policy(name: Numbered, random: &mut Rng) -> Policy {
    match name {
        Numbered::RoundRobin => Policy::RoundRobin,
        // Not full: 100 % would not be selected.
        Numbered::LeastUsed => Policy::LeastUsed { load: (random.next_u64() >> 33) as u32 },
    }
}
