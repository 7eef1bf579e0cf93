//! The server's state for people: admin `/state`.

use super::{Counters, Server};
use crate::handlespace::{Element, Pool, State, SuspensionReason};
use crate::plugin::PluginsSnapshot;
use asap::wire::{Policy, Transport};
use serde::Serialize;

/// Everything worth seeing. Identifiers are hex, as in the records.
#[derive(Debug, Clone, Serialize)]
pub struct ServerSnapshot {
    /// Server identifier.
    pub id: String,
    /// PE checksum over the PEs this server owns (RFC 5353 section 3.6.2).
    pub pe_checksum: String,
    /// Clients with something to remember: PEs, subscriptions, reports.
    pub clients: usize,
    /// Pools in the handlespace.
    pub pools_total: usize,
    /// PEs in all pools.
    pub pes_total: usize,
    /// The pools, by handle: the first 1,000.
    pub pools: Vec<PoolSnapshot>,
    /// Selection plug-ins and their tables.
    pub plugins: PluginsSnapshot,
    /// What was counted.
    pub counters: Counters,
}

/// One pool.
#[derive(Debug, Clone, Serialize)]
pub struct PoolSnapshot {
    /// Pool handle, unprintable bytes escaped.
    pub handle: String,
    /// Member selection policy.
    pub policy: String,
    /// How many PEs a resolution may yield now.
    pub selectable: usize,
    /// Clients that get updates.
    pub subscribers: usize,
    /// How many members it has.
    pub pes: usize,
    /// Its members, by identifier. None are listed when with those of the pools before it they would be more than 250.
    pub elements: Vec<PeSnapshot>,
}

/// One pool element.
#[derive(Debug, Clone, Serialize)]
pub struct PeSnapshot {
    /// PE identifier.
    pub id: String,
    /// Home server identifier.
    pub home: String,
    /// Whether it takes new work.
    pub state: State,
    /// Why not.
    pub reasons: Vec<SuspensionReason>,
    /// Load 100 % or weight 0.
    pub full: bool,
    /// Where users reach it.
    pub user_transport: String,
    /// Its policy values.
    pub policy: String,
    /// Registration life in seconds; none: infinite.
    pub life_s: Option<u64>,
    /// Registrations and re-registrations.
    pub registrations: u64,
    /// How often it was the first of an answer.
    pub selections: u64,
    /// Reports of users since it registered last, one of each.
    pub reports: usize,
    /// Keep-alives missed in a row.
    pub keep_alive_misses: u32,
}

/// Pools in a snapshot: whoever asks must not hold up what the server is for.
const POOLS_MAX: usize = 1_000;
/// PEs listed in a snapshot, all pools together.
const PES_MAX: usize = 250;

impl Server {
    /// A copy of the state for admin, bounded whatever the handlespace holds.
    #[must_use]
    pub fn snapshot(&self) -> ServerSnapshot {
        let mut room = PES_MAX;
        let pools = self.handlespace.pools().take(POOLS_MAX).map(|pool| {
            let listed = if pool.len() <= room { pool.len() } else { 0 };
            room -= listed;
            self.pool_snapshot(pool, listed)
        });
        ServerSnapshot {
            id: self.id.to_string(),
            pe_checksum: format!("{:04x}", self.handlespace.checksum(self.id).value()),
            clients: self.clients.len(),
            pools_total: self.handlespace.pool_count(),
            pes_total: self.handlespace.element_count(),
            pools: pools.collect(),
            plugins: self.plugins(),
            counters: self.counters,
        }
    }

    fn pool_snapshot(&self, pool: &Pool, listed: usize) -> PoolSnapshot {
        PoolSnapshot {
            handle: pool.handle().to_string(),
            policy: policy_text(pool.policy()),
            selectable: pool.selectable(),
            subscribers: self.subscribers.get(pool.handle()).map_or(0, |subscribers| subscribers.count()),
            pes: pool.len(),
            elements: self.handlespace.members(pool.handle()).take(listed).map(|e| self.pe_snapshot(e)).collect(),
        }
    }

    pub(super) fn pe_snapshot(&self, element: &Element) -> PeSnapshot {
        let registered = element.registered();
        let slot = self.handlespace.find(self.handlespace.handle_of(element), element.id());
        let supervision = slot.and_then(|slot| self.supervised.get(&slot));
        PeSnapshot {
            id: element.id().to_string(),
            home: registered.home.to_string(),
            state: element.state(),
            reasons: element.reasons().collect(),
            full: element.is_full(),
            user_transport: transport_text(&registered.user_transport),
            policy: policy_text(&registered.policy),
            life_s: registered.life.duration().map(|life| life.as_secs()),
            registrations: slot.map_or(0, |slot| self.handlespace.registrations(slot)),
            selections: self.handlespace.selections(element),
            reports: supervision.map_or(0, |supervision| supervision.reporters.len()),
            keep_alive_misses: supervision.map_or(0, |supervision| supervision.misses),
        }
    }
}

/// A policy with its values, as people write it.
#[must_use]
pub fn policy_text(policy: &Policy) -> String {
    match policy {
        Policy::RoundRobin => "round robin".into(),
        Policy::WeightedRoundRobin { weight } => format!("weighted round robin, weight {weight}"),
        Policy::Random => "random".into(),
        Policy::WeightedRandom { weight } => format!("weighted random, weight {weight}"),
        Policy::Priority { priority } => format!("priority {priority}"),
        Policy::LeastUsed { load } => format!("least used, load {}", percent(*load)),
        Policy::LeastUsedDegradation { load, degradation } => {
            format!("least used with degradation, load {}, degradation {}", percent(*load), percent(*degradation))
        }
        Policy::PriorityLeastUsed { load, degradation } => {
            format!("priority least used, load {}, degradation {}", percent(*load), percent(*degradation))
        }
        Policy::RandomizedLeastUsed { load } => format!("randomized least used, load {}", percent(*load)),
        Policy::MostUsed { load } => format!("most used, load {}", percent(*load)),
        Policy::Other { policy_type, .. } => format!("policy type {policy_type:#010x}"),
    }
}

/// 0xffffffff is 100 % (RFC 5356 section 3.1).
fn percent(load: u32) -> String {
    format!("{:.1} %", f64::from(load) / f64::from(u32::MAX) * 100.0)
}

fn transport_text(transport: &Transport) -> String {
    match transport {
        Transport::Sctp(sctp) => {
            let addresses: Vec<String> = sctp.addresses.iter().map(ToString::to_string).collect();
            format!("sctp {}:{}", addresses.join(","), sctp.port)
        }
        Transport::Tcp(ip) => format!("tcp {}:{}", ip.address, ip.port),
        Transport::Udp(ip) => format!("udp {}:{}", ip.address, ip.port),
        Transport::UdpLite(ip) => format!("udp-lite {}:{}", ip.address, ip.port),
        Transport::Dccp(dccp) => format!("dccp {}:{} service {:#x}", dccp.address, dccp.port, dccp.service_code),
        Transport::Opaque(bytes) => format!("opaque, {} bytes", bytes.len()),
    }
}
