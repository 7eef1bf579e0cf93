//! Whether all is as it should be in a lab: tables, owners, peers.

use super::{Lab, ms};
use asap::wire::{PeId, PoolElement, PoolHandle, ServerId};
use enrp::Event;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

impl Lab {
    /// Pool, PE and home of everything that a server knows.
    pub(crate) fn table(&self, n: usize) -> BTreeMap<(PoolHandle, PeId), ServerId> {
        let space = self.nodes[n].server.handlespace();
        space
            .pools()
            .flat_map(|pool| space.members(pool.handle()))
            .map(|e| ((space.handle_of(e).clone(), e.id()), e.registered().home))
            .collect()
    }

    fn whole(&self, n: usize) -> BTreeMap<(PoolHandle, PeId), PoolElement> {
        let space = self.nodes[n].server.handlespace();
        space
            .pools()
            .flat_map(|pool| space.members(pool.handle()))
            .map(|e| ((space.handle_of(e).clone(), e.id()), e.registered().clone()))
            .collect()
    }

    /// What is wrong, if anything: tables that differ, PEs missing, or with an owner that is not theirs.
    pub(crate) fn unsettled(&self) -> Option<String> {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|&n| self.nodes[n].up).collect();
        let first = self.table(*up.first()?);
        for &n in &up {
            if self.table(n) != first || self.whole(n) != self.whole(up[0]) {
                let (a, b) = (self.whole(up[0]), self.whole(n));
                let other = a
                    .iter()
                    .find(|(key, value)| b.get(*key) != Some(*value))
                    .or(b.iter().find(|(key, value)| a.get(*key) != Some(*value)))
                    .unwrap()
                    .0;
                return Some(format!(
                    "tables of {} and {n} differ: {:?} {:?} {:?}",
                    up[0],
                    other,
                    a.get(other),
                    b.get(other)
                ));
            }
            for peer in self.nodes[n].server.peers_snapshot() {
                if !peer.agrees || peer.status != "active" {
                    return Some(format!("server {n}: {peer:?}"));
                }
            }
            if self.nodes[n].server.peers_snapshot().len() + 1 != up.len() {
                return Some(format!("server {n} has other peers than there are"));
            }
        }
        for (n, pe) in self.pes.iter().enumerate() {
            let owner = first.get(&(pe.handle.clone(), pe.id)).copied();
            let home = pe.home.map(|(home, _)| self.nodes[home].server.id());
            if pe.up && (owner != home || owner.is_none()) || !pe.up && owner.is_some() {
                return Some(format!("PE {n} (up {}) has home {home:?}, tables say {owner:?}", pe.up));
            }
        }
        None
    }

    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        assert_eq!(self.unsettled(), None, "at {:?}", self.now - self.start);
    }

    /// Runs until all is settled; how long that took.
    #[track_caller]
    pub(crate) fn settle(&mut self, bound: Duration) -> Duration {
        let from = self.now;
        while let Some(problem) = self.unsettled() {
            assert!(self.now - from < bound, "not settled after {bound:?}: {problem}{}", self.state());
            self.run(ms(10));
        }
        self.now - from
    }

    /// Everything that may tell why.
    fn state(&self) -> String {
        let mut text = String::new();
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.up) {
            text += &format!("\nserver {n} {}: {:?}", node.server.id(), node.server.peers_counters());
            let mut homes = BTreeMap::<String, usize>::new();
            for home in self.table(n).into_values() {
                *homes.entry(home.to_string()).or_default() += 1;
            }
            text += &format!("\n    owners {homes:?}");
            for peer in node.server.peers_snapshot() {
                text += &format!("\n    {peer:?}");
            }
        }
        text
    }

    /// When a server saw something first since `from`.
    pub(crate) fn seen(&self, n: usize, from: Instant, what: impl Fn(&Event) -> bool) -> Option<Duration> {
        self.nodes[n].events.iter().find(|(at, event)| *at >= from && what(event)).map(|(at, _)| *at - from)
    }
}
