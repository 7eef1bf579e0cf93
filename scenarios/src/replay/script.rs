//! A capture as a traffic source: the network's direction with its timing, and what came back.

use crate::capture::Captured;
use crate::network::calls::CallCounters;
use crate::network::source::{Label, Outgoing, Source};
use bytes::Bytes;
use m3ua_lite::wire::ProtocolData;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A message of one direction of the capture, with its time from the capture's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scripted {
    pub(crate) at: Duration,
    pub(crate) label: Label,
    pub(crate) user_data: Bytes,
}

/// A capture, parted into what the network sent and what it got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) network: Vec<Scripted>,
    pub(crate) pool: Vec<Scripted>,
}

/// ISUP IAM.
const IAM: u8 = 0x01;

impl Script {
    /// Parts a capture. The network is the side that seizes: for each pair of point codes the sender of the first IAM; without
    /// an IAM, the sender of the pair's first message.
    pub(crate) fn new(messages: &[Captured]) -> Self {
        let start = messages.iter().map(|m| m.time_ns).min().unwrap_or(0);
        // For each pair: whether an IAM told it, and the network's point code.
        let mut networks: FxHashMap<(u32, u32), (bool, u32)> = FxHashMap::default();
        for message in messages {
            let seizes = message.si == 5 && message.data.get(2) == Some(&IAM);
            let known = networks.entry(pair(message)).or_insert((seizes, message.opc));
            if seizes && !known.0 {
                *known = (true, message.opc);
            }
        }
        let mut script = Self::default();
        for message in messages {
            let scripted = Scripted {
                at: Duration::from_nanos(message.time_ns - start),
                label: Label {
                    opc: message.opc,
                    dpc: message.dpc,
                    si: message.si,
                    ni: message.ni,
                    mp: message.mp,
                    sls: message.sls,
                },
                user_data: Bytes::copy_from_slice(&message.data),
            };
            if networks.get(&pair(message)).is_none_or(|(_, opc)| *opc == message.opc) {
                script.network.push(scripted);
            } else {
                script.pool.push(scripted);
            }
        }
        script
    }

    /// Point codes of the pool's side, each once.
    pub(crate) fn pool_pcs(&self) -> Vec<u32> {
        unique(self.network.iter().map(|m| m.label.dpc))
    }

    /// Point codes of the network's side, each once.
    pub(crate) fn network_pcs(&self) -> Vec<u32> {
        unique(self.network.iter().map(|m| m.label.opc))
    }
}

fn pair(message: &Captured) -> (u32, u32) {
    (message.opc.min(message.dpc), message.opc.max(message.dpc))
}

fn unique(pcs: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut all: Vec<u32> = pcs.collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What happened, for the screen.
#[derive(Debug, Clone)]
pub(crate) enum Happened {
    /// A message of the capture went out.
    Sent { at: Duration, label: Label, user_data: Bytes },
    /// The pool sent a message.
    Answer { at: Duration, label: Label, user_data: Bytes },
}

/// Sends a script at a speed.
#[derive(Debug)]
pub(crate) struct ScriptSource {
    waiting: VecDeque<Scripted>,
    /// 1.0 keeps the timing; 0 sends all at once.
    speed: f64,
    start: Option<Instant>,
    stopped: bool,
    counters: CallCounters,
    told: Sender<Happened>,
}

impl ScriptSource {
    pub(crate) fn new(network: Vec<Scripted>, speed: f64, told: Sender<Happened>) -> Self {
        Self { waiting: network.into(), speed, start: None, stopped: false, counters: CallCounters::default(), told }
    }

    fn due(&self) -> Option<Instant> {
        let start = self.start.filter(|_| !self.stopped)?;
        let next = self.waiting.front()?;
        Some(if self.speed > 0.0 { start + next.at.div_f64(self.speed) } else { start })
    }

    fn since_start(&self, now: Instant) -> Duration {
        self.start.map_or(Duration::ZERO, |start| now.saturating_duration_since(start))
    }
}

impl Source for ScriptSource {
    fn start(&mut self, at: Instant) {
        self.start = Some(at);
    }
    fn stop(&mut self) {
        self.stopped = true;
        self.waiting.clear();
    }
    fn poll(&mut self, now: Instant) -> Option<Outgoing> {
        let intended = self.due().filter(|due| *due <= now)?;
        let Scripted { label, user_data, .. } = self.waiting.pop_front()?;
        self.counters.attempted += u64::from(label.si == 5 && user_data.get(2) == Some(&IAM));
        // The screen may be gone (Ctrl-C); sending goes on.
        let _ = self.told.send(Happened::Sent { at: self.since_start(now), label, user_data: user_data.clone() });
        Some(Outgoing { intended, label, user_data })
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.due()
    }
    fn handle(&mut self, now: Instant, m: &ProtocolData<'_>) {
        let label = Label { opc: m.opc, dpc: m.dpc, si: m.si, ni: m.ni, mp: m.mp, sls: m.sls };
        let user_data = Bytes::copy_from_slice(m.user_data);
        let _ = self.told.send(Happened::Answer { at: self.since_start(now), label, user_data });
    }
    fn up(&self) -> u64 {
        self.waiting.len() as u64
    }
    fn call_counters(&self) -> CallCounters {
        self.counters
    }
    fn take_missed(&mut self) -> Vec<Instant> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn captured(time_ms: u64, opc: u32, dpc: u32, kind: u8) -> Captured {
        Captured {
            time_ns: time_ms * 1_000_000,
            opc,
            dpc,
            si: 5,
            ni: 2,
            mp: 0,
            sls: 0,
            association: 0,
            data: vec![1, 0, kind],
        }
    }

    #[test]
    fn the_network_is_the_side_that_seizes() {
        // The capture begins in mid-call with the called side's ACM; another pair has no IAM at all.
        let script = Script::new(&[
            captured(5, 16, 1, 6),
            captured(7, 1, 16, 1),
            captured(8, 30, 40, 0x10),
            captured(9, 40, 30, 0x10),
        ]);
        assert_eq!(
            script.network.iter().map(|m| (m.label.opc, m.at.as_millis())).collect::<Vec<_>>(),
            [(1, 2), (30, 3)]
        );
        assert_eq!(script.pool.len(), 2);
        assert_eq!((script.pool_pcs(), script.network_pcs()), (vec![16, 40], vec![1, 30]));
    }

    #[test]
    fn timing_follows_the_speed() {
        let (told, _screen) = channel();
        let script = Script::new(&[captured(0, 1, 2, 1), captured(100, 1, 2, 0x0c)]);
        let mut source = ScriptSource::new(script.network.clone(), 2.0, told.clone());
        let t0 = Instant::now();
        assert!(source.poll(t0).is_none());
        source.start(t0);
        assert!(source.poll(t0).is_some());
        assert!(source.poll(t0 + Duration::from_millis(49)).is_none());
        assert_eq!(source.poll_timeout(), Some(t0 + Duration::from_millis(50)));
        assert_eq!(
            source.poll(t0 + Duration::from_millis(60)).map(|m| m.intended),
            Some(t0 + Duration::from_millis(50))
        );
        assert_eq!(source.up(), 0);

        let mut at_once = ScriptSource::new(script.network, 0.0, told);
        at_once.start(t0);
        assert_eq!(std::iter::from_fn(|| at_once.poll(t0)).count(), 2);
    }
}
