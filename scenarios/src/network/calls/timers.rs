//! What is due on which circuit, in the order of time.

use super::circuit::{Circuit, Circuits};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Release,
    Acm,
    Answer,
    Clear,
    T1,
}

/// The timers of all circuits. One that was armed before its circuit's last change of state means nothing when it comes.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Circuit, u32, Timer)>>);

impl Timers {
    pub(super) fn arm(&mut self, circuits: &Circuits, circuit: Circuit, at: Instant, timer: Timer) {
        self.0.push(Reverse((at, circuit, circuits.generation(circuit), timer)));
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }

    /// The first one, if it still means something; `None` also when it does not.
    pub(super) fn pop(&mut self, circuits: &Circuits) -> Option<(Instant, Circuit, Timer)> {
        let Reverse((at, circuit, generation, timer)) = self.0.pop()?;
        (circuits.generation(circuit) == generation).then_some((at, circuit, timer))
    }
}
