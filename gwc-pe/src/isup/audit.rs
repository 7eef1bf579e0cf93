//! Our circuit group query (Q.764 2.8.3): CQM, and what comes of the states in CQR.
//!
//! A group that came from another controller is audited: a call may have ended, or begun, in a message that no controller saw. A
//! difference counts when two answers, `audit_recheck_ms` apart at least, show it and the call here has not changed since the first
//! question: what was on its way meanwhile explains no difference then.

use super::circuit::{Call, Circuit};
use super::config::ms;
use super::counters::Outcome;
use super::group::{Context, Group};
use super::message::{self, CircuitStates, cause};
use std::time::Instant;

/// What is wrong with a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// A call here, idle there.
    CallHere,
    /// Idle here, a call there.
    CallThere,
}

/// A query under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Audit {
    /// Index of its first circuit.
    first: u8,
    /// Range octet.
    range: u8,
    /// Bits of the group's circuits whose call changed since the first question.
    changed: u32,
    /// Bits of the circuits that differed in the first answer; `None` before it.
    suspects: Option<u32>,
    /// CQM is out: T28. Else the second CQM is due then.
    waiting: bool,
    at: Instant,
}

impl Audit {
    pub(super) fn at(self) -> Instant {
        self.at
    }

    pub(super) fn changed(&mut self, index: usize) {
        self.changed |= 1 << index;
    }
}

/// Compares the call here with the circuit state indicator of the other end (Q.763 3.14: bits DC 01 incoming busy, 10 outgoing busy,
/// 11 idle; 00: in transition, or not equipped). What is in transition here has its own timers.
fn difference(circuit: &Circuit, state: u8) -> Option<Difference> {
    match (circuit.call, (state >> 2) & 3) {
        (call, 3) if call.is_call() => Some(Difference::CallHere),
        (Call::Idle, 1 | 2) => Some(Difference::CallThere),
        _ => None,
    }
}

impl Group {
    /// Asks for the states of the circuits in service. False: they are too few for a range (Q.763 3.43), or a query is under way.
    pub fn audit(&mut self, cx: &mut Context) -> bool {
        let Some((first, range)) = self.in_service(cx).filter(|(_, range)| *range > 0 && self.audit.is_none()) else {
            return false;
        };
        let at = cx.now + ms(cx.config.t28_ms);
        self.audit = Some(Audit { first, range, changed: 0, suspects: None, waiting: true, at });
        cx.counters.audits += 1;
        self.query(cx, first, range);
        true
    }

    fn query(&self, cx: &mut Context, first: u8, range: u8) {
        let cic = self.id.cic(usize::from(first));
        cx.counters.queries_sent += 1;
        cx.send(cic, message::cqm(cic, range));
    }

    /// CQR.
    pub(super) fn query_answered(&mut self, cx: &mut Context, index: usize, states: CircuitStates) {
        let asked = |audit: &Audit| audit.waiting && usize::from(audit.first) == index && audit.range == states.range;
        let Some(audit) = self.audit.filter(asked) else {
            cx.counters.unexpected += 1;
            return;
        };
        let mut suspects = 0;
        for (state, circuit) in states.octets().iter().zip(index..) {
            if audit.changed & (1 << circuit) == 0 && difference(&self.circuits[circuit], *state).is_some() {
                suspects |= 1 << circuit;
            }
        }
        self.audit = None;
        match audit.suspects {
            None if suspects != 0 => {
                let at = cx.now + ms(cx.config.audit_recheck_ms);
                self.audit = Some(Audit { suspects: Some(suspects), waiting: false, at, ..audit });
            }
            None => {}
            Some(before) => {
                for (state, circuit) in states.octets().iter().zip(index..) {
                    if suspects & before & (1 << circuit) != 0 {
                        self.put_right(cx, circuit, *state);
                    }
                }
            }
        }
    }

    /// Both ends come back to idle.
    fn put_right(&mut self, cx: &mut Context, index: usize, state: u8) {
        match difference(&self.circuits[index], state) {
            Some(Difference::CallHere) => self.release(cx, index, Outcome::Audit, cause::UNSPECIFIED),
            Some(Difference::CallThere) => {
                cx.counters.audit_resets += 1;
                self.reset_circuit(cx, index);
            }
            None => {}
        }
    }

    /// T28 ran out, or the second question is due.
    pub(super) fn audit_timeout(&mut self, cx: &mut Context) {
        let Some(audit) = self.audit.filter(|audit| audit.at <= cx.now) else { return };
        if audit.waiting {
            self.audit = None;
            cx.counters.queries_unanswered += 1;
            cx.counters.maintenance_alerts += 1;
        } else {
            self.audit = Some(Audit { waiting: true, at: cx.now + ms(cx.config.t28_ms), ..audit });
            self.query(cx, audit.first, audit.range);
        }
    }
}
