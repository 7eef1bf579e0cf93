//! Who sent what: the network's side and the pool's, the calls between them, and what of it a replay can send.

use super::{Capture, Captured};
use crate::network::isup;
use rustc_hash::{FxHashMap, FxHashSet};
use std::fmt::Write as _;

/// A step of the pool comes at least this long before the message of the network that followed it, so that the replay keeps their
/// order; a little more than the stall that makes a run void, ms.
const ORDER_MARGIN_MS: f64 = 60.0;

/// What a replay does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The network's: it is sent.
    Send,
    /// The network's, in a call that the pool began: left out.
    LeftOut,
    /// The pool's: what the replayed pool should say too.
    Answer,
    /// The pool's, in a call that the pool began.
    AnswerLeftOut,
}

/// A call that the network began, and what the pool did with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordedCall {
    /// Index of its IAM in [`Capture::messages`].
    pub(crate) iam: usize,
    /// Time of the IAM, ACM, ANM, REL of the pool, ns; `None`: there was none.
    acm_ns: Option<u64>,
    anm_ns: Option<u64>,
    rel_ns: Option<u64>,
    iam_ns: u64,
    cause: u8,
    /// The pool said something in it. Else the capture has only one side of it, and does not tell what the pool did.
    is_heard: bool,
    /// From ACM, ANM, REL to the next message, when that was the network's, ms.
    gap_ms: [Option<u32>; 3],
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// For each message of the capture.
    pub(crate) of: Vec<Part>,
    /// Calls of the network in the order of their IAMs.
    pub(crate) calls: Vec<RecordedCall>,
    /// Calls that the pool began.
    pub(crate) pool_calls: u64,
    /// Calls whose IAM another call on the same circuit had before: they are decided as that one.
    pub(crate) repeated_iams: u64,
}

/// (network's point code, pool's, CIC).
type Circuit = (u32, u32, u16);

/// The call on a circuit.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    by_pool: bool,
    /// Index into `Parts::calls`, of a call of the network.
    call: usize,
    /// The called side said something.
    backward: bool,
    /// REL or RSC of this side without RLC so far.
    network_clears: bool,
    pool_clears: bool,
    /// When the network sent that, ns.
    cleared_ns: u64,
    /// The last step of the pool: which of ACM, ANM, REL, and when.
    last_step: Option<(usize, u64)>,
}

/// Point codes of the pool's side: for each pair the side that does not seize. The network is the sender of the first IAM; without an
/// IAM, the sender of the pair's first message.
pub(crate) fn pool_codes(capture: &Capture) -> FxHashSet<(u32, u32)> {
    // For each pair: whether an IAM told it, and (network's, pool's) code.
    let mut pairs: FxHashMap<(u32, u32), (bool, (u32, u32))> = FxHashMap::default();
    for message in &capture.messages {
        let seizes = message.si == SI_ISUP && kind(capture, message) == Some(isup::IAM);
        let pair = (message.opc.min(message.dpc), message.opc.max(message.dpc));
        let known = pairs.entry(pair).or_insert((seizes, (message.opc, message.dpc)));
        if seizes && !known.0 {
            *known = (true, (message.opc, message.dpc));
        }
    }
    pairs.into_values().map(|(_, codes)| codes).collect()
}

const SI_ISUP: u8 = 5;

fn kind(capture: &Capture, message: &Captured) -> Option<u8> {
    capture.octets(message).get(2).copied()
}

/// Messages that belong to the call on their circuit; the others (blocking, group reset, queries) stand for themselves.
fn is_of_a_call(kind: u8) -> bool {
    !matches!(kind, 0x13..=0x1b | 0x2a | 0x2b | 0x34 | 0x35 | 0x39..=0x3c)
}

impl Parts {
    /// Parts a capture. `pool_pcs`: the pool's point codes, when they are known; else the capture must tell ([`pool_codes`]).
    /// `keep_pool_calls`: nothing is left out.
    pub(crate) fn new(capture: &Capture, pool_pcs: &[u32], keep_pool_calls: bool) -> Self {
        let network_to_pool = pool_codes(capture);
        let is_network = |m: &Captured| match (pool_pcs.contains(&m.opc), pool_pcs.contains(&m.dpc)) {
            (false, true) => true,
            (true, false) => false,
            (true, true) | (false, false) => network_to_pool.contains(&(m.opc, m.dpc)),
        };
        let mut parts = Self { of: Vec::with_capacity(capture.messages.len()), ..Self::default() };
        let mut open: FxHashMap<Circuit, Open> = FxHashMap::default();
        let mut iams: FxHashSet<(u32, u32, &[u8])> = FxHashSet::default();
        for (index, message) in capture.messages.iter().enumerate() {
            let from_network = is_network(message);
            let octets = capture.octets(message);
            let head = isup::head(octets).filter(|(_, kind)| message.si == SI_ISUP && is_of_a_call(*kind));
            let own = if from_network { Part::Send } else { Part::Answer };
            let Some((cic, kind)) = head else {
                parts.of.push(own);
                continue;
            };
            let circuit = if from_network { (message.opc, message.dpc, cic) } else { (message.dpc, message.opc, cic) };
            let known = parts.calls.len();
            let in_pool_call = if from_network {
                parts.network_says(&mut open, circuit, kind, index, message.time_ns)
            } else {
                parts.pool_says(&mut open, circuit, kind, octets, message.time_ns)
            };
            if parts.calls.len() > known && !iams.insert((message.opc, message.dpc, octets)) {
                parts.repeated_iams += 1;
            }
            parts.of.push(match (in_pool_call && !keep_pool_calls, from_network) {
                (true, true) => Part::LeftOut,
                (true, false) => Part::AnswerLeftOut,
                (false, _) => own,
            });
        }
        parts
    }

    /// A message of a call from the network; true when the pool began that call.
    fn network_says(
        &mut self,
        open: &mut FxHashMap<Circuit, Open>,
        circuit: Circuit,
        kind: u8,
        index: usize,
        time_ns: u64,
    ) -> bool {
        if kind == isup::IAM {
            let dual_seizure = open.get(&circuit).is_some_and(|call| call.by_pool && !call.backward);
            if dual_seizure && !network_controls(circuit) {
                // The pool's call stands (Q.764 2.9.1.4).
                return true;
            }
            open.insert(circuit, Open { call: self.calls.len(), ..Open::default() });
            self.calls.push(RecordedCall {
                iam: index,
                iam_ns: time_ns,
                acm_ns: None,
                anm_ns: None,
                rel_ns: None,
                cause: 0,
                is_heard: false,
                gap_ms: [None; 3],
            });
            return false;
        }
        let Some(call) = open.get_mut(&circuit) else { return false };
        if let Some((step, at)) = call.last_step.take()
            && !call.by_pool
        {
            let gap = u32::try_from(time_ns.saturating_sub(at) / 1_000_000).unwrap_or(u32::MAX);
            self.calls[call.call].gap_ms[step] = Some(gap);
        }
        match kind {
            isup::REL | isup::RSC => {
                call.network_clears = true;
                call.cleared_ns = time_ns;
            }
            isup::RLC => call.pool_clears = false,
            _ => call.backward |= call.by_pool,
        }
        let by_pool = call.by_pool;
        if kind == isup::UCIC || kind == isup::RLC && !call.network_clears {
            open.remove(&circuit);
        }
        by_pool
    }

    /// A message of a call from the pool; true when the pool began that call.
    fn pool_says(
        &mut self,
        open: &mut FxHashMap<Circuit, Open>,
        circuit: Circuit,
        kind: u8,
        octets: &[u8],
        time_ns: u64,
    ) -> bool {
        if kind == isup::IAM {
            self.pool_calls += 1;
            let dual_seizure = open.get(&circuit).is_some_and(|call| !call.by_pool && !call.backward);
            if !dual_seizure || !network_controls(circuit) {
                open.insert(circuit, Open { by_pool: true, ..Open::default() });
            }
            return true;
        }
        let Some(call) = open.get_mut(&circuit) else { return false };
        if !call.by_pool {
            call.backward = true;
            let recorded = &mut self.calls[call.call];
            recorded.is_heard = true;
            // What crossed the network's REL was said before the pool knew of that.
            let crossed = call.network_clears;
            let at = if crossed { call.cleared_ns } else { time_ns };
            let step = recorded.step(kind, octets, at);
            if let Some(step) = step.filter(|_| crossed) {
                recorded.gap_ms[step] = Some(0);
            }
            call.last_step = step.filter(|_| !crossed).map(|step| (step, at));
        }
        match kind {
            isup::REL | isup::RSC => call.pool_clears = true,
            isup::RLC => call.network_clears = false,
            _ => {}
        }
        let by_pool = call.by_pool;
        if kind == isup::UCIC || kind == isup::RLC && !call.pool_clears {
            open.remove(&circuit);
        }
        by_pool
    }

    /// The file for the controllers (`call.recorded_calls`): what the pool did with each call, at a speed.
    pub(crate) fn recorded_calls(&self, capture: &Capture, speed: f64) -> String {
        let mut text = String::new();
        for call in self.calls.iter().filter(|call| call.is_heard) {
            call.line(capture, speed, &mut text);
        }
        text
    }
}

/// Q.764 2.9.1.3: the exchange with the higher point code controls the even circuits.
fn network_controls((network, pool, cic): Circuit) -> bool {
    (network > pool) == cic.is_multiple_of(2)
}

impl RecordedCall {
    /// Notes what the pool did; which of ACM, ANM, REL it was, if one.
    fn step(&mut self, kind: u8, octets: &[u8], time_ns: u64) -> Option<usize> {
        let (place, step) = match kind {
            isup::ACM => (&mut self.acm_ns, 0),
            isup::ANM | isup::CON => (&mut self.anm_ns, 1),
            isup::REL => (&mut self.rel_ns, 2),
            _ => return None,
        };
        if place.is_some() {
            return None;
        }
        *place = Some(time_ns);
        if kind == isup::REL {
            self.cause = isup::release_cause(octets).unwrap_or(0);
        }
        Some(step)
    }

    fn line(&self, capture: &Capture, speed: f64, out: &mut String) {
        let message = &capture.messages[self.iam];
        let mut before = self.iam_ns;
        let speed = if speed > 0.0 { speed } else { 1.0 };
        let mut delay = |at: Option<u64>, gap_ms: Option<u32>| {
            let at = at?;
            let ms = at.saturating_sub(before) as f64 / 1e6 / speed;
            before = at;
            let forward_ms = gap_ms.map_or(0.0, |gap| ORDER_MARGIN_MS - f64::from(gap) / speed).max(0.0);
            let ms = (ms - forward_ms).max(0.0);
            // A step too long for the file never comes in any replay.
            (ms < f64::from(u32::MAX)).then_some(ms as u32)
        };
        // CON is ACM and ANM at once: the replayed pool says both.
        let acm = delay(self.acm_ns.or(self.anm_ns), self.gap_ms[0]);
        let anm = delay(self.anm_ns, self.gap_ms[1]);
        let rel = delay(self.rel_ns, self.gap_ms[2]);
        // Writing to a String cannot fail.
        let _ = write!(out, "{},{},", message.opc, message.dpc);
        for octet in capture.octets(message) {
            let _ = write!(out, "{octet:02x}");
        }
        for ms in [acm, anm, rel] {
            out.push(',');
            if let Some(ms) = ms {
                let _ = write!(out, "{ms}");
            }
        }
        let _ = writeln!(out, ",{}", self.cause);
    }
}

#[cfg(test)]
mod tests;
