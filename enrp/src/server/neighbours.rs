//! What becomes of one PE says something of the others at its host: the machine may be dead, or the process they live in.
//!
//! Regular keep-alives find that slowly, since all of them together are limited: of 10,000 PEs each has its turn every 200 s. So whenever a
//! PE is found dead or silent, a few of its neighbours (PEs with the same first address) are asked out of turn. If they are well
//! that is all; if they are dead too, each of them has the next few asked, and the whole host is known after a few steps, at
//! most `neighbours_per_s_max` PEs a second. This is how half of 10,000 PEs can die at once and be out of the answers soon, without
//! more traffic than that limit (RFC 3237: no heavy traffic even in failures; not in RFC 5352).

use super::{Server, Timer};
use crate::handlespace::Slot;
use asap::wire::SctpTransport;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Neighbours asked for each PE that is found dead or silent.
const AT_A_TIME: usize = 4;
/// Hosts whose PEs are being asked; of more the regular keep-alives will tell.
const HOSTS_MAX: usize = 64;
/// They are asked so many at a time as this allows at `neighbours_per_s_max`: what is told to peers and subscribers then fits into few packets.
const TICK: Duration = Duration::from_millis(20);
/// After so long the list of a host's PEs is made anew.
const LIST_LIFE: Duration = Duration::from_secs(5);

/// Hosts of which a PE was found dead.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    by_host: BTreeMap<IpAddr, Row>,
    tick: Option<Tick>,
}

/// The moment at which the next ones are asked, and how many are.
#[derive(Debug, Clone, Copy)]
struct Tick {
    at: Instant,
    asked: u32,
}

/// The PEs of a host that were not asked yet.
#[derive(Debug)]
struct Row {
    made: Instant,
    left: Vec<Slot>,
}

impl Neighbours {
    /// When one more may be asked.
    fn place(&mut self, now: Instant, per_s: u32) -> Instant {
        let most = u32::try_from(u64::from(per_s) * TICK.as_millis() as u64 / 1_000).unwrap_or(u32::MAX).max(1);
        let tick = match self.tick {
            Some(tick) if tick.at >= now && tick.asked < most => Tick { at: tick.at, asked: tick.asked + 1 },
            Some(tick) if tick.at + TICK > now => Tick { at: tick.at + TICK, asked: 1 },
            Some(_) | None => Tick { at: now, asked: 1 },
        };
        self.tick = Some(tick);
        tick.at
    }
}

impl Server {
    /// A PE with this ASAP transport is dead or silent: asks some of its neighbours.
    pub(super) fn ask_neighbours(&mut self, now: Instant, transport: Option<&SctpTransport>) {
        let Some(&host) = transport.and_then(|transport| transport.addresses.first()) else { return };
        if self.config.neighbours_per_s_max == 0 || !self.list_neighbours(now, host) {
            return;
        }
        for _ in 0..AT_A_TIME {
            let Some(slot) = self.next_neighbour(host) else {
                break;
            };
            let place = self.neighbours.place(now, self.config.neighbours_per_s_max);
            if let Some(supervision) = self.supervised.get_mut(&slot) {
                supervision.has_place = true;
                self.counters.neighbours_asked += 1;
                self.timers.set(Timer::KeepAlive(slot), place);
            }
        }
    }

    /// The host's list is there and young enough. False: too many hosts.
    fn list_neighbours(&mut self, now: Instant, host: IpAddr) -> bool {
        let rows = &mut self.neighbours.by_host;
        if rows.get(&host).is_some_and(|row| now.saturating_duration_since(row.made) < LIST_LIFE) {
            return true;
        }
        rows.retain(|_, row| now.saturating_duration_since(row.made) < LIST_LIFE);
        if rows.len() >= HOSTS_MAX {
            return false;
        }
        let at_host = |slot: &Slot| {
            let element = self.handlespace.get(*slot);
            element.and_then(|element| element.asap_transport()).is_some_and(|at| at.addresses.first() == Some(&host))
        };
        let left = self.supervised.keys().copied().filter(at_host).collect();
        rows.insert(host, Row { made: now, left });
        true
    }

    /// The next PE of the host that can be asked and is not waited for already.
    fn next_neighbour(&mut self, host: IpAddr) -> Option<Slot> {
        let row = self.neighbours.by_host.get_mut(&host)?;
        while let Some(slot) = row.left.pop() {
            let has_association = self.supervised.get(&slot).is_some_and(|known| known.client.is_some());
            if has_association && self.timers.get(&Timer::Ack(slot)).is_none() {
                return Some(slot);
            }
        }
        None
    }
}
