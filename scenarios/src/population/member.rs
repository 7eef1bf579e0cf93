//! One pool element of a population, with its association.

use super::config::{Policy as PolicyName, Population};
use asap::policy::Rng;
use asap::pool_element::Registration;
use asap::wire::{PeId, Policy, PoolHandle, RegistrationLife, SctpTransport, Transport, TransportUse};
use asap::{PeConfig, PeMachine};
use enrp::link::Link;
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

/// See the module.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) machine: PeMachine,
    pub(super) registration: Registration,
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
            addresses: known.to_vec(),
        };
        let id = PeId(((random.next_u64() >> 32) as u32).max(1));
        Self {
            machine: PeMachine::new(asap, id, random.next_u64()),
            registration: Registration {
                handle: settings.handle(index / settings.pes_per_pool.max(1)),
                life,
                user_transport: Transport::Sctp(transport),
                policy: policy(settings.policy, random),
            },
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
}

/// Values for a registration; another load each time.
pub(super) fn policy(name: PolicyName, random: &mut Rng) -> Policy {
    match name {
        PolicyName::RoundRobin => Policy::RoundRobin,
        // Not full: 100 % would not be selected.
        PolicyName::LeastUsed => Policy::LeastUsed { load: (random.next_u64() >> 33) as u32 },
    }
}
