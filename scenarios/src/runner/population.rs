//! The processes of a scenario's population: `pop-1` to `pop-N`, which share its pool elements.

use super::RunError;
use super::admin;
use super::process::Process;
use crate::scenario::{FaultKind, Population};
use nix::sys::signal::Signal;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use toml::{Table, Value, toml};

/// Registrations a second that a slow machine does; how long to wait for all follows.
const SLOW_PER_S: u64 = 250;

/// What one process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Elements in each pool.
    pes_per_pool: u32,
    re_registrations_per_s: u32,
}

/// The shares of all processes; one that would have no element is left out.
pub(super) fn shares(population: &Population) -> Vec<Share> {
    // Pools with names of their own say themselves in which processes they are.
    let most = if population.pool.is_empty() { population.pes_per_pool.max(1) } else { u32::MAX };
    let processes = u32::try_from(population.processes).unwrap_or(u32::MAX).clamp(1, most);
    let part = |all: u32, index: u32| all / processes + u32::from(index < all % processes);
    let share = |index| Share {
        pes_per_pool: part(population.pes_per_pool, index),
        re_registrations_per_s: part(population.re_registrations_per_s, index),
    };
    (0..processes).map(share).collect()
}

pub(super) fn name(index: usize) -> String {
    format!("pop-{}", index + 1)
}

/// `[population]` of one process's configuration.
pub(super) fn settings(population: &Population, index: usize, share: Share) -> Table {
    let mut settings = toml! { prefix = "pop-" };
    let mut set = |key: &str, value: Value| drop(settings.insert(key.to_owned(), value));
    set("name", Value::String(name(index)));
    let pools = if share.pes_per_pool == 0 { 0 } else { population.pools };
    set("pools", i64::from(pools).into());
    set("pes_per_pool", i64::from(share.pes_per_pool.max(1)).into());
    set("process", ((index + 1) as i64).into());
    let named = Value::try_from(&population.pool).expect("invariant: what came from TOML goes into TOML");
    set("pool", named);
    set("re_registrations_per_s", i64::from(share.re_registrations_per_s).into());
    settings
}

/// Elements of all its processes.
pub(super) fn elements(population: &Population) -> usize {
    let named: usize = population.pool.iter().map(|pool| pool.elements.len()).sum();
    population.pools as usize * population.pes_per_pool as usize + named
}

/// What the name server must have room for: `[server]` and `[sctp]`.
pub(super) fn room(population: &Population) -> (Table, Table) {
    // The gateway's own pool, controllers and peers besides.
    let elements = elements(population) as u64;
    let at_least =
        |needed: u64, default: usize| Value::Integer(needed.max(default as u64).try_into().unwrap_or(i64::MAX));
    let (server, sctp) = (enrp::ServerConfig::default(), sctp::Config::default());
    let (mut server_room, mut sctp_room) = (Table::new(), Table::new());
    // 50,000 is the most there can be.
    let pools = (u64::from(population.pools) + population.pool.len() as u64 + 1).min(50_000);
    server_room.insert("pools_max".into(), at_least(pools, server.pools_max));
    server_room.insert("pes_max".into(), at_least(elements + 1_000, server.pes_max));
    server_room.insert("clients_max".into(), at_least(elements + 1_000, server.clients_max));
    sctp_room.insert("associations_max".into(), at_least(elements + 1_000, sctp.associations_max));
    (server_room, sctp_room)
}

/// Running processes of a population.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    processes: Vec<(Process, IpAddr)>,
    elements: usize,
}

impl Crowd {
    /// Those that were started, with so many elements in all.
    pub(super) fn new(processes: Vec<(Process, IpAddr)>, elements: usize) -> Self {
        Self { processes, elements }
    }

    /// Bytes that all of them sent and received; they talk with name servers only.
    ///
    /// # Errors
    /// One does not answer.
    pub(super) fn bytes(&self) -> std::io::Result<u64> {
        self.processes.iter().map(|(_, address)| Ok(admin::udp_traffic(*address)?.bytes)).sum()
    }

    /// The processes with their addresses.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(Process, IpAddr)> {
        self.processes.iter()
    }

    /// The processes.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.processes.iter_mut().map(|(process, _)| process)
    }

    /// Does something to one of the processes.
    pub(super) fn fault(&mut self, index: usize, kind: FaultKind) {
        let Some((process, _)) = self.processes.iter_mut().find(|(process, _)| process.name() == name(index)) else {
            return;
        };
        match kind {
            FaultKind::Stop => process.signal(Signal::SIGSTOP),
            FaultKind::Cont => process.signal(Signal::SIGCONT),
            FaultKind::Kill | FaultKind::Term | FaultKind::Leave => {
                process.signal(if kind == FaultKind::Kill { Signal::SIGKILL } else { Signal::SIGTERM });
                // From now on its end is no surprise.
                self.processes.retain(|(process, _)| process.name() != name(index));
            }
            FaultKind::Start
            | FaultKind::Restart
            | FaultKind::StealCore
            | FaultKind::CutPath
            | FaultKind::RestorePath
            | FaultKind::CutLink
            | FaultKind::RestoreLink
            | FaultKind::Isolate
            | FaultKind::Rejoin
            | FaultKind::StickWorker
            | FaultKind::FreeWorker
            | FaultKind::Starve
            | FaultKind::Impair
            | FaultKind::Clear
            | FaultKind::Command => {}
        }
    }

    /// How long registering may take.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.elements as u64 / SLOW_PER_S)
    }

    /// Who is missing; `None` when all elements are registered.
    ///
    /// # Errors
    /// The name server rejected elements: waiting would be in vain.
    pub(super) fn missing(&self) -> Result<Option<String>, RunError> {
        let (mut registered, mut silent) = (0, None);
        for (process, address) in &self.processes {
            match admin::population_state(*address) {
                Ok(state) if state.refused > 0 => {
                    return Err(RunError::Usage(format!(
                        "the name server rejects {} elements of {}; give it room in its settings (pools_max, pes_max)",
                        state.refused,
                        process.name()
                    )));
                }
                Ok(state) => registered += state.registered,
                Err(error) => silent = Some(format!("{} does not answer: {error}", process.name())),
            }
        }
        if registered >= self.elements {
            return Ok(None);
        }
        Ok(Some(silent.unwrap_or_else(|| format!("{registered} of {} elements are registered", self.elements))))
    }

    /// Asks all to end, and kills what has not at `deadline`.
    pub(super) fn stop(&mut self, deadline: Instant) {
        for (process, _) in &mut self.processes {
            process.signal(Signal::SIGTERM);
        }
        for (process, _) in &mut self.processes {
            if !process.wait_until(deadline) {
                tracing::warn!("{} did not end by itself", process.name());
            }
        }
        self.processes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let population = |pes_per_pool, processes, re_registrations_per_s| Population {
            pools: 500,
            pes_per_pool,
            processes,
            re_registrations_per_s,
            pool: Vec::new(),
            settings: Table::new(),
        };
        let parts = |population| {
            let shares = shares(&population).into_iter();
            shares.map(|share| (share.pes_per_pool, share.re_registrations_per_s)).collect::<Vec<_>>()
        };
        assert_eq!(parts(population(20, 2, 0)), [(10, 0), (10, 0)]);
        assert_eq!(parts(population(20, 3, 100)), [(7, 34), (7, 33), (6, 33)]);
        assert_eq!(parts(population(2, 5, 1)), [(1, 1), (1, 0)], "none without elements");
    }

    #[test]
    fn the_name_server_gets_room() {
        let population = Population { pools: 2_000, processes: 4, ..Population::default() };
        let (server, sctp) = room(&population);
        let number = |table: &Table, key: &str| table[key].as_integer().unwrap();
        assert_eq!(number(&server, "pools_max"), 2_001);
        assert_eq!(number(&server, "pes_max"), 100_000, "no less than the default");
        assert_eq!(number(&server, "clients_max"), 41_000);
        assert_eq!(number(&sctp, "associations_max"), 41_000);
    }
}
