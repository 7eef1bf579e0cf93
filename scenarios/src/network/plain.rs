//! Messages of a user part that is not ISUP, carried as plain MTP3 payload: unitdata as SCCP has it (Q.713 4.10), each with contents
//! that no other message of the run has, spread over point codes and SLS.

use super::pace::Pace;
use super::random::random;
use super::source::{Label, NI_NATIONAL, Outgoing};
use bytes::Bytes;
use std::time::Instant;

/// Where they go, and what tells one run's from another's.
#[derive(Debug, Clone)]
pub(crate) struct PlainConfig {
    /// Service indicator.
    pub(crate) si: u8,
    /// Point codes of the network.
    pub(crate) network_pcs: Vec<u32>,
    /// Point code of the pool.
    pub(crate) pool_pc: u32,
    /// Decides sizes and contents.
    pub(crate) seed: u64,
}

/// The generator.
#[derive(Debug)]
pub(crate) struct Plain {
    config: PlainConfig,
    pace: Pace,
}

/// UDT, protocol class 0, to and from subsystem 8 (routing on SSN), the data at the end.
const HEAD: [u8; 11] = [0x09, 0x00, 3, 5, 7, 2, 0x42, 8, 2, 0x42, 8];
/// Shortest data: the seed and the serial number.
const DATA_MIN: usize = 16;
/// How much longer it may be.
const DATA_MORE: u64 = 96;

impl Plain {
    pub(crate) fn new(config: PlainConfig, pace: Pace) -> Self {
        Self { config, pace }
    }

    pub(crate) fn start(&mut self, at: Instant) {
        self.pace.start(at);
    }

    pub(crate) fn stop(&mut self) {
        self.pace.stop();
    }

    /// Intended time of the next message.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.pace.next()
    }

    /// The next message if it is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Outgoing> {
        let intended = self.pace.next().filter(|at| *at <= now)?;
        let serial = self.pace.count();
        self.pace.take();
        let PlainConfig { si, network_pcs, pool_pc, seed } = &self.config;
        let random = random(*seed, serial);
        let pc = random as usize % network_pcs.len().max(1);
        let label = Label {
            opc: network_pcs.get(pc).copied()?,
            dpc: *pool_pc,
            si: *si,
            ni: NI_NATIONAL,
            mp: 0,
            sls: (random >> 32 & 0x0f) as u8,
        };
        let length = DATA_MIN + (random >> 36) as usize % (DATA_MORE as usize + 1);
        let mut user_data = Vec::with_capacity(HEAD.len() + 1 + length);
        user_data.extend_from_slice(&HEAD);
        user_data.push(length as u8);
        user_data.extend_from_slice(&seed.to_be_bytes());
        user_data.extend_from_slice(&serial.to_be_bytes());
        user_data.resize(HEAD.len() + 1 + length, random as u8);
        Some(Outgoing { intended, label, user_data: Bytes::from(user_data) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Duration;

    fn messages(seed: u64) -> Vec<Outgoing> {
        let start = Instant::now();
        let config = PlainConfig { si: 3, network_pcs: vec![101, 102], pool_pc: 2, seed };
        let mut plain = Plain::new(config, Pace::new(1_000.0, Duration::ZERO, &[]));
        plain.start(start);
        std::iter::from_fn(|| plain.poll(start + Duration::from_millis(999))).collect()
    }

    #[test]
    fn contents_are_unique_and_flows_are_many() {
        let messages = messages(1);
        assert_eq!(messages.len(), 1_000);
        let contents: HashSet<_> = messages.iter().map(|m| m.user_data.clone()).collect();
        assert_eq!(contents.len(), 1_000);
        let flows: HashSet<_> = messages.iter().map(|m| (m.label.opc, m.label.sls)).collect();
        assert_eq!(flows.len(), 32, "two point codes, 16 SLS");
        assert!(messages.iter().all(|m| m.label.si == 3 && m.label.dpc == 2));
        // The pointers lead to three parameters whose lengths end at the end.
        for m in &messages {
            let at = |pointer: usize| pointer + usize::from(m.user_data[pointer]);
            assert_eq!((m.user_data[at(2)], m.user_data[at(3)]), (2, 2));
            assert_eq!(at(4) + 1 + usize::from(m.user_data[at(4)]), m.user_data.len());
        }
    }

    #[test]
    fn the_seed_decides() {
        let of = |seed| messages(seed).into_iter().map(|m| (m.label, m.user_data)).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
