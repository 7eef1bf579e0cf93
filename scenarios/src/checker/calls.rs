//! Calls, as the network side saw them: from the ISUP messages in `network.csv` (Q.763 message types, Q.764 procedures).

use super::record::{Group, Msg, Records};
use rustc_hash::{FxHashMap, FxHashSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) const IAM: u8 = 0x01;
const ACM: u8 = 0x06;
const CON: u8 = 0x07;
const ANM: u8 = 0x09;
const REL: u8 = 0x0c;
const RLC: u8 = 0x10;
const RSC: u8 = 0x12;
const GRS: u8 = 0x17;
const UCIC: u8 = 0x2e;
/// Cause values from here on say that something went wrong (Q.850: resource unavailable and above); below are normal ends.
const CAUSE_ABNORMAL: u8 = 32;

/// What became of the calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calls {
    /// Calls begun with IAM, by either side.
    pub attempted: u64,
    /// Calls answered (ANM or CON).
    pub answered: u64,
    /// Calls that ended by REL and RLC with a normal cause.
    pub released: u64,
    /// Calls that ended otherwise: reset (RSC, GRS), UCIC, or REL with a cause of trouble.
    pub failed: u64,
    /// Calls up at a fault, on a circuit of an affected group, that ended normally afterwards.
    pub survived: u64,
    /// Calls without an end.
    pub hanging: u64,
    /// Calls up at a fault on affected groups, by how far they had come.
    pub at_fault: AtFault,
    /// Answered calls that were up at a fault on whatever group; of several faults the least. `null` without a fault that touched groups.
    #[serde(default)]
    pub answered_at_fault: Option<u64>,
    /// Of the answered ones in `at_fault`, those that the pool released later.
    #[serde(default)]
    pub held_over_fault: u64,
    /// Answered calls that the pool released: the largest difference between the time from answer to its REL and the time it was told to hold
    /// calls (`call.hold_ms`), ms. `null` when there is none.
    #[serde(default)]
    pub held_spread_ms: Option<f64>,
}

/// How far the calls on affected groups had come when the fault hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AtFault {
    /// IAM, no ACM yet.
    pub after_iam: u64,
    /// ACM, no answer yet.
    pub after_acm: u64,
    /// Answered.
    pub after_anm: u64,
    /// REL, no RLC yet.
    pub after_rel: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Iam,
    Acm,
    Answered,
    Releasing,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    stage: Stage,
    by_network: bool,
    abnormal: bool,
    hit_by_fault: bool,
    /// When it was answered.
    answered_ns: Option<u64>,
    /// A fault hit it while it was answered.
    held_over_fault: bool,
}

/// (network point code, pool point code, CIC).
type Circuit = (u32, u32, u16);

pub(super) fn calls(records: &Records, affected: &[(u64, FxHashSet<Group>)]) -> Calls {
    let mut book = Book { hold_ns: records.hold_ns, ..Book::default() };
    let (mut sent, mut received) = (records.sent.iter(), records.received.iter());
    let mut faults = affected.iter().peekable();
    for from_network in &records.network_order {
        let next = if *from_network { sent.next() } else { received.next() };
        let Some(message) = next else { break };
        while let Some((_, groups)) = faults.next_if(|(t, _)| *t <= message.t_ns) {
            book.fault(groups);
        }
        let flow = records.flows[message.flow as usize];
        let Some(cic) = flow.cic else { continue };
        let circuit = if *from_network { (flow.opc, flow.dpc, cic) } else { (flow.dpc, flow.opc, cic) };
        book.message(circuit, message, *from_network);
    }
    book.counts.hanging += book.up.len() as u64;
    book.counts
}

#[derive(Default)]
struct Book {
    up: FxHashMap<Circuit, Call>,
    counts: Calls,
    /// How long the pool was told to hold calls.
    hold_ns: Option<u64>,
}

impl Book {
    fn fault(&mut self, groups: &FxHashSet<Group>) {
        let answered = self.up.values().filter(|call| call.stage == Stage::Answered).count() as u64;
        let before = self.counts.answered_at_fault;
        self.counts.answered_at_fault = Some(before.map_or(answered, |least| least.min(answered)));
        for ((opc, dpc, cic), call) in &mut self.up {
            if !groups.contains(&Group { opc: *opc, dpc: *dpc, si: 5, block: cic / 32 }) {
                continue;
            }
            call.held_over_fault |= call.stage == Stage::Answered;
            if !call.hit_by_fault {
                call.hit_by_fault = true;
                let at_fault = &mut self.counts.at_fault;
                match call.stage {
                    Stage::Iam => at_fault.after_iam += 1,
                    Stage::Acm => at_fault.after_acm += 1,
                    Stage::Answered => at_fault.after_anm += 1,
                    Stage::Releasing => at_fault.after_rel += 1,
                }
            }
        }
    }

    fn message(&mut self, circuit: Circuit, message: &Msg, by_network: bool) {
        match message.isup_type {
            IAM => {
                self.counts.attempted += 1;
                let call = Call {
                    stage: Stage::Iam,
                    by_network,
                    abnormal: false,
                    hit_by_fault: false,
                    answered_ns: None,
                    held_over_fault: false,
                };
                match self.up.insert(circuit, call) {
                    // Dual seizure (Q.764 2.9.1.4): one of the two goes on, the other is given up without a message.
                    Some(other) if other.stage == Stage::Iam && other.by_network != by_network => {
                        self.counts.failed += 1;
                    }
                    // The circuit was seized again before the call on it had ended.
                    Some(_) => self.counts.hanging += 1,
                    None => {}
                }
            }
            ACM => self.step(circuit, Stage::Acm, message.t_ns),
            ANM | CON => self.step(circuit, Stage::Answered, message.t_ns),
            REL => {
                self.held(circuit, message, by_network);
                if let Some(call) = self.up.get_mut(&circuit) {
                    call.stage = Stage::Releasing;
                    call.abnormal |= message.isup_arg >= CAUSE_ABNORMAL;
                }
            }
            RLC => self.end(circuit, false),
            RSC => {
                if let Some(call) = self.up.get_mut(&circuit) {
                    call.stage = Stage::Releasing;
                    call.abnormal = true;
                }
            }
            GRS => {
                for offset in 0..=u16::from(message.isup_arg) {
                    self.end((circuit.0, circuit.1, circuit.2.saturating_add(offset)), true);
                }
            }
            UCIC => self.end(circuit, true),
            _ => {}
        }
    }

    /// The first REL of an answered call; only what the pool does by its own timer is of interest.
    fn held(&mut self, circuit: Circuit, message: &Msg, by_network: bool) {
        let Some(call) = self.up.get(&circuit) else { return };
        let by_timer = call.stage == Stage::Answered && !by_network && message.isup_arg < CAUSE_ABNORMAL;
        if let (true, Some(answered_ns), Some(hold_ns)) = (by_timer, call.answered_ns, self.hold_ns) {
            let held_ns = message.t_ns.saturating_sub(answered_ns);
            let off_ms = held_ns.abs_diff(hold_ns) as f64 / 1e6;
            self.counts.held_over_fault += u64::from(call.held_over_fault);
            self.counts.held_spread_ms = Some(self.counts.held_spread_ms.map_or(off_ms, |most| most.max(off_ms)));
        }
    }

    fn step(&mut self, circuit: Circuit, stage: Stage, t_ns: u64) {
        let Some(call) = self.up.get_mut(&circuit) else { return };
        let forward = match call.stage {
            Stage::Iam => true,
            Stage::Acm => stage == Stage::Answered,
            Stage::Answered | Stage::Releasing => false,
        };
        if forward {
            call.stage = stage;
            if stage == Stage::Answered {
                call.answered_ns = Some(t_ns);
                self.counts.answered += 1;
            }
        }
    }

    fn end(&mut self, circuit: Circuit, abnormal: bool) {
        let Some(call) = self.up.remove(&circuit) else { return };
        if abnormal || call.abnormal {
            self.counts.failed += 1;
        } else {
            self.counts.released += 1;
            if call.hit_by_fault {
                self.counts.survived += 1;
            }
        }
    }
}
