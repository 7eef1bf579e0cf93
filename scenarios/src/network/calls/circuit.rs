//! Circuits: their names, their states, and which are idle.

use std::collections::VecDeque;

/// A circuit of the run: `exchange` counts the network's point codes, 128 groups each (12-bit CIC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Circuit(u32);

impl Circuit {
    pub(crate) fn new(exchange: u32, cic: u16) -> Self {
        Self(exchange * 4_096 + u32::from(cic & 0x0fff))
    }
    pub(crate) fn exchange(self) -> u32 {
        self.0 / 4_096
    }
    pub(crate) fn cic(self) -> u16 {
        (self.0 % 4_096) as u16
    }
    fn index(self) -> usize {
        self.0 as usize
    }
    /// The circuits from this one on, `range` after it included (Q.763 3.43).
    pub(super) fn and_following(self, range: u8) -> impl Iterator<Item = Self> {
        (self.0..=self.0 + u32::from(range)).map(Self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// We sent IAM; `answered` after ANM or CON.
    Outgoing {
        answered: bool,
    },
    /// The pool sent IAM.
    Incoming {
        answered: bool,
    },
    /// We sent REL and wait for RLC.
    Releasing,
    /// The pool sent REL; our RLC follows.
    Clearing,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    state: State,
    /// Counts calls and releases; a timer of an older one is void.
    generation: u32,
    /// In the list of idle circuits, where it stays when the pool seizes it.
    listed: bool,
}

/// All circuits of the run.
#[derive(Debug)]
pub(super) struct Circuits {
    entries: Vec<Entry>,
    /// Circuits for our calls, the one longest idle first; those that are not idle any more are passed over.
    idle: VecDeque<Circuit>,
    /// This side seizes the even circuits.
    even: bool,
    up: u64,
}

impl Circuits {
    /// All idle; circuit 0 of each group carries no call.
    pub(super) fn new(groups: u32, even: bool) -> Self {
        let parity = u16::from(!even);
        let entry = Entry { state: State::Idle, generation: 0, listed: false };
        let mut this = Self { entries: vec![entry; groups as usize * 32], idle: VecDeque::new(), even, up: 0 };
        // Block by block in turn, so that every group has calls from the first second on.
        for number in (1..32).filter(|number| number % 2 == parity) {
            for group in 0..groups {
                this.list(Circuit(group * 32 + u32::from(number)));
            }
        }
        this
    }

    /// A circuit for a call of ours.
    pub(super) fn take_idle(&mut self) -> Option<Circuit> {
        loop {
            let circuit = self.idle.pop_front()?;
            let entry = &mut self.entries[circuit.index()];
            entry.listed = false;
            if entry.state == State::Idle {
                return Some(circuit);
            }
        }
    }

    fn list(&mut self, circuit: Circuit) {
        let mine = circuit.cic().is_multiple_of(2) == self.even;
        if mine && !std::mem::replace(&mut self.entries[circuit.index()].listed, true) {
            self.idle.push_back(circuit);
        }
    }

    pub(super) fn contains(&self, circuit: Circuit) -> bool {
        circuit.index() < self.entries.len()
    }

    pub(super) fn state(&self, circuit: Circuit) -> State {
        self.entries[circuit.index()].state
    }

    pub(super) fn generation(&self, circuit: Circuit) -> u32 {
        self.entries[circuit.index()].generation
    }

    /// Circuits that are not idle.
    pub(super) fn up(&self) -> u64 {
        self.up
    }

    /// A call goes on in another state; its timers stay.
    pub(super) fn go_on(&mut self, circuit: Circuit, state: State) {
        self.entries[circuit.index()].state = state;
    }

    /// Another state, in which the timers of before mean nothing.
    pub(super) fn set(&mut self, circuit: Circuit, state: State) {
        let entry = &mut self.entries[circuit.index()];
        match (entry.state == State::Idle, state == State::Idle) {
            (true, false) => self.up += 1,
            (false, true) => self.up -= 1,
            (true, true) | (false, false) => {}
        }
        entry.state = state;
        entry.generation = entry.generation.wrapping_add(1);
        if state == State::Idle {
            self.list(circuit);
        }
    }
}
