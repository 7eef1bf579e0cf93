//! A circuit group: dispatch of messages and timers.

use super::audit::Audit;
use super::circuit::{Call, Circuit, Repeat, earlier, flag};
use super::config::Config;
use super::counters::{Counters, Outcome};
use super::message::{self, CallMessage, CircuitMessage, GROUP_CIRCUITS, GroupMessage, Message};
use super::recorded::RecordedCalls;
use std::time::Instant;

/// Which circuits: point codes as the network side sends them, and `CIC / 32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId {
    /// Point code of the network's exchange (OPC of what we receive).
    pub network: u32,
    /// Point code of the pool (DPC of what we receive).
    pub pool: u32,
    /// `CIC / 32`.
    pub block: u16,
}

impl GroupId {
    /// The circuit identification code of the group's circuit `index`.
    pub(super) fn cic(self, index: usize) -> u16 {
        self.block * u16::from(GROUP_CIRCUITS) + u16::try_from(index).expect("invariant: 32 circuits in a group")
    }

    /// Both exchanges may seize a circuit; of two at once the controlling exchange's call stands. The exchange with the higher
    /// point code controls the even circuits (Q.764 2.9.1.3).
    pub(super) fn controls(self, cic: u16) -> bool {
        (self.pool > self.network) == cic.is_multiple_of(2)
    }
}

/// A message to send to the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its circuit identification code.
    pub cic: u16,
    /// MTP3 user data.
    pub user_data: Vec<u8>,
}

/// What became of a received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was acted on (by Q.764's rules that may mean: discarded).
    Applied,
    /// It cannot be read; nothing changed.
    Malformed,
    /// It names circuits of another group, which may be with another controller; nothing changed.
    Unsupported,
}

/// What a group works with while it handles one input.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time of the input.
    pub now: Instant,
    /// Settings.
    pub config: &'a Config,
    /// Calls to decide as recorded.
    pub recorded: &'a RecordedCalls,
    /// Messages to send are appended here, in order.
    pub out: &'a mut Vec<Output>,
    /// Counts.
    pub counters: &'a mut Counters,
}

impl Context<'_> {
    pub(super) fn send(&mut self, cic: u16, user_data: Vec<u8>) {
        self.out.push(Output { cic, user_data });
    }
}

/// Our own group reset that has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupReset {
    /// Index of its first circuit.
    pub(super) first: u8,
    /// Range octet.
    pub(super) range: u8,
    /// T22/T23.
    pub(super) repeat: Repeat,
}

/// Call control of one circuit group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub(super) id: GroupId,
    pub(super) circuits: [Circuit; GROUP_CIRCUITS as usize],
    /// Calls originated here: gives each its number and its circuit.
    pub(super) originated: u32,
    pub(super) reset: Option<GroupReset>,
    /// A query of ours. It is in no snapshot: the next controller asks anew.
    pub(super) audit: Option<Audit>,
}

impl Group {
    /// A group with all circuits idle.
    #[must_use]
    pub fn new(id: GroupId) -> Self {
        Self { id, circuits: Default::default(), originated: 0, reset: None, audit: None }
    }

    /// Which circuits.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Calls in each state ([`Call::ALL`]).
    #[must_use]
    pub fn calls(&self) -> [u32; Call::ALL.len()] {
        let mut counts = [0; Call::ALL.len()];
        for circuit in &self.circuits {
            counts[circuit.call as usize] += 1;
        }
        counts
    }

    /// Circuits that are blocked by this end, and by the other end.
    #[must_use]
    pub fn blocked(&self) -> (usize, usize) {
        let count = |bits| self.circuits.iter().filter(|c| c.has(bits)).count();
        (count(flag::LOCAL_MAINTENANCE), count(flag::REMOTE_MAINTENANCE | flag::REMOTE_HARDWARE | flag::UNEQUIPPED))
    }

    /// Brings a group that was just made or restored in line with the configuration: blocks and unblocks circuits
    /// (`blocked_cics`), and resets a new one (`reset_new_groups`).
    pub fn start(&mut self, cx: &mut Context, is_new: bool) {
        if is_new && cx.config.reset_new_groups {
            self.reset_all(cx);
        }
        for index in 0..self.circuits.len() {
            let cic = self.id.cic(index);
            if !cx.config.equipped(cic) {
                continue;
            }
            match (cx.config.blocked_cics.contains(&cic), self.circuits[index].has(flag::LOCAL_MAINTENANCE)) {
                (true, false) => self.block(cx, index),
                (false, true) => self.unblock(cx, index),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// Takes a message of this group.
    pub fn handle_message(&mut self, cx: &mut Context, user_data: &[u8]) -> Verdict {
        let Ok((cic, message)) = message::decode(user_data) else {
            cx.counters.malformed += 1;
            return Verdict::Malformed;
        };
        // These concern the user part, whatever the circuit.
        if let Message::UserPartTest = message {
            cx.send(cic, message::upa(cic));
            return Verdict::Applied;
        }
        if let Message::Unknown(kind) = message {
            cx.counters.unknown += 1;
            cx.send(cic, message::cfn(cic, kind));
            return Verdict::Applied;
        }
        if cic / u16::from(GROUP_CIRCUITS) != self.id.block {
            cx.counters.beyond_group += 1;
            return Verdict::Unsupported;
        }
        if !cx.config.equipped(cic) {
            Self::unequipped(cx, cic, message);
            return Verdict::Applied;
        }
        let index = usize::from(cic % u16::from(GROUP_CIRCUITS));
        if message != Message::Circuit(CircuitMessage::Ucic) {
            // Who talks about the circuit has it.
            self.circuits[index].set(flag::UNEQUIPPED, false);
        }
        match message {
            Message::Call(message) => self.call_message(cx, index, message, user_data),
            Message::Circuit(message) => self.circuit_message(cx, index, message),
            Message::Group(message, range) => return self.group_message(cx, index, message, range),
            Message::QueryAnswer(states) => {
                if index + usize::from(states.range) >= usize::from(GROUP_CIRCUITS) {
                    cx.counters.beyond_group += 1;
                    return Verdict::Unsupported;
                }
                self.query_answered(cx, index, states);
            }
            Message::UserPartTest | Message::Unknown(_) | Message::Ignored => {}
        }
        Verdict::Applied
    }

    /// A circuit that is not in service: UCIC for what seizes or manages it, silence for the rest (Q.764 2.12).
    fn unequipped(cx: &mut Context, cic: u16, message: Message) {
        use {CallMessage as C, CircuitMessage as K, GroupMessage as G, Message as M};
        cx.counters.unequipped += 1;
        let answered = match message {
            M::Call(message) => matches!(message, C::Iam { .. } | C::Ccr),
            M::Circuit(message) => matches!(message, K::Rsc | K::Blo | K::Ubl),
            M::Group(message, _) => message != G::ResetAck,
            M::QueryAnswer(_) | M::UserPartTest | M::Unknown(_) | M::Ignored => false,
        };
        if answered {
            cx.send(cic, message::ucic(cic));
        }
    }

    /// Does what is due, lowest circuit first.
    pub fn handle_timeout(&mut self, cx: &mut Context) {
        self.reset_timeout(cx);
        self.audit_timeout(cx);
        for index in 0..self.circuits.len() {
            if self.circuits[index].at().is_some_and(|at| at <= cx.now) {
                self.call_timeout(cx, index);
                self.clearing_timeout(cx, index);
                self.blocking_timeout(cx, index);
            }
        }
    }

    /// When to call [`Group::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let reset = earlier(self.reset.and_then(|r| r.repeat.at()), self.audit.map(Audit::at));
        self.circuits.iter().fold(reset, |at, circuit| earlier(at, circuit.at()))
    }

    /// Counts the calls as forgotten: another controller has them now. The group is of no use after it.
    pub fn forget(self, counters: &mut Counters) {
        for circuit in self.circuits {
            if circuit.call.is_call() {
                counters.end(Outcome::Forgotten);
            }
        }
    }
}
