//! Call generator: what a neighbouring exchange does on its circuits, open-loop.
//!
//! Pure: [`Calls::poll`] gives what is due with the time it was *meant* to go, [`Calls::handle`] takes what the pool
//! sent. A late machine shows as lateness of messages, never as fewer messages.

mod circuit;
mod timers;

use super::isup;
use super::pace::Pace;
use super::random::{exponential, random, uniform};
use crate::scenario::HoldDistribution;
use bytes::Bytes;
pub(crate) use circuit::Circuit;
use circuit::{Circuits, State};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use timers::{Timer, Timers};

/// What the generator offers.
#[derive(Debug, Clone)]
pub(crate) struct CallsConfig {
    /// Circuit groups of 32 circuits; circuit 0 of each carries no call.
    pub(crate) groups: u32,
    /// From IAM to our REL of a call that is given up before the answer, least and most.
    pub(crate) ring_ms: (u32, u32),
    /// On top of the longest ringing: to our REL, unless the pool released first, least and most.
    pub(crate) hold_ms: (u32, u32),
    /// How these are spread.
    pub(crate) hold_distribution: HoldDistribution,
    /// Share of calls given up before the answer.
    pub(crate) give_up_percent: u32,
    /// Calls from the pool: from IAM to our ACM.
    pub(crate) acm_delay_ms: u64,
    /// Calls from the pool: from IAM to our ANM.
    pub(crate) answer_delay_ms: u64,
    /// From the pool's REL to our RLC: an exchange takes its time to free the circuit.
    pub(crate) clear_ms: u64,
    /// T1: REL again when no RLC came (Q.764: 15 to 60 s).
    pub(crate) t1_ms: u64,
    /// True when this side seizes the even circuits (Q.764 2.9.1.3: the higher point code controls the even ones).
    pub(crate) even_circuits: bool,
    /// Decides ring and hold times; also the first called number's serial, so that each IAM of a run is unique.
    pub(crate) seed: u64,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    /// When it was meant to be sent.
    pub(crate) intended: Instant,
    /// Circuit.
    pub(crate) circuit: Circuit,
    /// ISUP from the CIC on.
    pub(crate) user_data: Bytes,
}

/// Counted since the start; live figures for the screen (the verdict comes from the records).
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct CallCounters {
    /// IAMs sent.
    pub(crate) attempted: u64,
    /// ANM or CON received, or ANM sent.
    pub(crate) answered: u64,
    /// Messages of the pool that this side did not understand.
    pub(crate) not_understood: u64,
}

/// The generator.
#[derive(Debug)]
pub(crate) struct Calls {
    config: CallsConfig,
    /// When this side's calls are meant to begin.
    pace: Pace,
    circuits: Circuits,
    timers: Timers,
    counters: CallCounters,
    out: VecDeque<Due>,
    missed: Vec<Instant>,
}

impl Calls {
    /// A generator that is not started; its calls begin as `pace` says.
    pub(crate) fn new(config: CallsConfig, pace: Pace) -> Self {
        Self {
            circuits: Circuits::new(config.groups.max(1), config.even_circuits),
            config,
            pace,
            timers: Timers::default(),
            counters: CallCounters::default(),
            out: VecDeque::new(),
            missed: Vec::new(),
        }
    }

    /// Begins to offer calls; the first is meant to go at `at`.
    pub(crate) fn start(&mut self, at: Instant) {
        self.pace.start(at);
    }

    /// Offers no new calls; those that are up go on to their end.
    pub(crate) fn stop(&mut self) {
        self.pace.stop();
    }

    /// Calls that are not over.
    pub(crate) fn up(&self) -> u64 {
        self.circuits.up()
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> CallCounters {
        self.counters
    }

    /// Intended times of the calls for which no circuit was idle, since the last question.
    pub(crate) fn take_missed(&mut self) -> Vec<Instant> {
        std::mem::take(&mut self.missed)
    }

    /// The next message that is due at `now`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Due> {
        if let Some(due) = self.out.pop_front() {
            return Some(due);
        }
        loop {
            let call = self.pace.next().filter(|c| *c <= now);
            let timer = self.timers.next().filter(|t| *t <= now);
            let due = match (call, timer) {
                (Some(c), t) if t.is_none_or(|t| c <= t) => self.begin_call(c),
                (Some(_) | None, Some(_)) => self.fire(),
                (Some(_) | None, None) => return None,
            };
            if due.is_some() {
                return due;
            }
        }
    }

    /// When [`Calls::poll`] has something at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        [self.pace.next(), self.timers.next()].into_iter().flatten().min()
    }

    fn begin_call(&mut self, intended: Instant) -> Option<Due> {
        let serial = self.pace.count();
        self.pace.take();
        let Some(circuit) = self.circuits.take_idle() else {
            self.missed.push(intended);
            return None;
        };
        self.counters.attempted += 1;
        self.circuits.set(circuit, State::Outgoing { answered: false });
        self.arm(circuit, intended + self.life(serial), Timer::Release);
        Some(Due {
            intended,
            circuit,
            user_data: isup::iam(circuit.cic(), self.config.seed.wrapping_mul(1_000_000).wrapping_add(serial)),
        })
    }

    /// From IAM to our REL: a share of the calls is given up while ringing.
    fn life(&self, serial: u64) -> Duration {
        let CallsConfig { seed, ring_ms, hold_ms, hold_distribution, give_up_percent, .. } = self.config;
        let random = random(seed, serial);
        let ms = if random % 100 < u64::from(give_up_percent) {
            uniform(ring_ms, random >> 16)
        } else {
            let hold = match hold_distribution {
                HoldDistribution::Uniform => uniform(hold_ms, random >> 16),
                HoldDistribution::Exponential => exponential(hold_ms, random >> 16),
            };
            u64::from(ring_ms.1) + hold
        };
        Duration::from_millis(ms)
    }

    fn fire(&mut self) -> Option<Due> {
        let (intended, circuit, timer) = self.timers.pop(&self.circuits)?;
        let user_data = match (timer, self.circuits.state(circuit)) {
            (Timer::Release, State::Outgoing { .. } | State::Incoming { .. }) | (Timer::T1, State::Releasing) => {
                return Some(self.release(circuit, intended));
            }
            (Timer::Acm, State::Incoming { answered: false }) => isup::acm(circuit.cic()),
            (Timer::Answer, State::Incoming { answered: false }) => {
                self.circuits.go_on(circuit, State::Incoming { answered: true });
                self.counters.answered += 1;
                isup::anm(circuit.cic())
            }
            (Timer::Clear, State::Clearing) => {
                self.end(circuit);
                isup::rlc(circuit.cic())
            }
            (
                Timer::Release | Timer::Acm | Timer::Answer | Timer::Clear | Timer::T1,
                State::Idle | State::Outgoing { .. } | State::Incoming { .. } | State::Releasing | State::Clearing,
            ) => return None,
        };
        Some(Due { intended, circuit, user_data })
    }

    fn release(&mut self, circuit: Circuit, intended: Instant) -> Due {
        self.circuits.set(circuit, State::Releasing);
        self.arm(circuit, intended + Duration::from_millis(self.config.t1_ms), Timer::T1);
        Due { intended, circuit, user_data: isup::rel(circuit.cic(), isup::CAUSE_NORMAL) }
    }

    /// Takes one ISUP message that the pool sent to `exchange`. What it asks for goes out by [`Calls::poll`].
    pub(crate) fn handle(&mut self, now: Instant, exchange: u32, user_data: &[u8]) {
        let head = isup::head(user_data).map(|(cic, kind)| (Circuit::new(exchange, cic), kind));
        let Some((circuit, kind)) = head.filter(|(c, _)| self.circuits.contains(*c)) else {
            self.counters.not_understood += 1;
            return;
        };
        let state = self.circuits.state(circuit);
        let cic = circuit.cic();
        match kind {
            isup::IAM => self.incoming_call(now, circuit, state),
            isup::ANM | isup::CON => self.answered(circuit, state),
            isup::REL => match state {
                State::Outgoing { .. } | State::Incoming { .. } => {
                    self.circuits.set(circuit, State::Clearing);
                    self.arm(circuit, now + Duration::from_millis(self.config.clear_ms), Timer::Clear);
                }
                // The circuit is free, or was before; after our own REL it is free only with RLC (Q.764 2.3.3).
                State::Idle | State::Releasing => self.answer_with(now, circuit, isup::rlc(cic)),
                // A repeated REL: the RLC is on its way.
                State::Clearing => {}
            },
            isup::RLC if state == State::Releasing => self.end(circuit),
            isup::RSC => {
                self.answer_with(now, circuit, isup::rlc(cic));
                self.end(circuit);
            }
            isup::UCIC => self.end(circuit),
            isup::GRS => self.group_reset(now, circuit, user_data),
            isup::CQM => self.group_query(now, circuit, user_data),
            isup::BLO => self.answer_with(now, circuit, isup::bare(cic, isup::BLA)),
            isup::UBL => self.answer_with(now, circuit, isup::bare(cic, isup::UBA)),
            isup::ACM | isup::CPG | isup::RLC | isup::CFN => {}
            _ => self.counters.not_understood += 1,
        }
    }

    fn incoming_call(&mut self, now: Instant, circuit: Circuit, state: State) {
        if state != State::Idle {
            // Dual seizure cannot happen with split circuits; a repeated IAM changes nothing.
            self.counters.not_understood += 1;
            return;
        }
        self.circuits.set(circuit, State::Incoming { answered: false });
        self.counters.attempted += 1;
        self.arm(circuit, now + Duration::from_millis(self.config.acm_delay_ms), Timer::Acm);
        self.arm(circuit, now + Duration::from_millis(self.config.answer_delay_ms), Timer::Answer);
        // The pool releases its calls; this bound only ends one that its controller forgot.
        let bound =
            u64::from(self.config.ring_ms.1) + 4 * u64::from(self.config.hold_ms.1) + self.config.answer_delay_ms;
        self.arm(circuit, now + Duration::from_millis(bound), Timer::Release);
    }

    fn answered(&mut self, circuit: Circuit, state: State) {
        match state {
            State::Outgoing { answered: false } => {
                self.circuits.go_on(circuit, State::Outgoing { answered: true });
                self.counters.answered += 1;
            }
            State::Idle | State::Outgoing { .. } | State::Incoming { .. } | State::Releasing | State::Clearing => {}
        }
    }

    fn group_reset(&mut self, now: Instant, first: Circuit, user_data: &[u8]) {
        let range = isup::range(user_data).unwrap_or(0);
        self.answer_with(now, first, isup::gra(first.cic(), range));
        for circuit in first.and_following(range) {
            if self.circuits.contains(circuit) {
                self.end(circuit);
            }
        }
    }

    /// Circuit states (Q.763 3.14): bits DC 01 incoming busy, 10 outgoing busy, 11 idle; 00 with BA 00 in transition, with BA 11 not
    /// equipped. A range over 31 is not for a query (Q.763 3.43).
    fn group_query(&mut self, now: Instant, first: Circuit, user_data: &[u8]) {
        let Some(range) = isup::range(user_data).filter(|range| (1..32).contains(range)) else {
            self.counters.not_understood += 1;
            return;
        };
        let state = |circuit| match self.circuits.contains(circuit).then(|| self.circuits.state(circuit)) {
            None => 0b0011,
            Some(State::Idle) => 0b1100,
            Some(State::Outgoing { .. }) => 0b1000,
            Some(State::Incoming { .. }) => 0b0100,
            Some(State::Releasing | State::Clearing) => 0,
        };
        let states: Vec<u8> = first.and_following(range).map(state).collect();
        self.answer_with(now, first, isup::cqr(first.cic(), &states));
    }

    fn answer_with(&mut self, now: Instant, circuit: Circuit, user_data: Bytes) {
        self.out.push_back(Due { intended: now, circuit, user_data });
    }

    fn end(&mut self, circuit: Circuit) {
        if self.circuits.state(circuit) != State::Idle {
            self.circuits.set(circuit, State::Idle);
        }
    }

    fn arm(&mut self, circuit: Circuit, at: Instant, timer: Timer) {
        self.timers.arm(&self.circuits, circuit, at, timer);
    }
}

#[cfg(test)]
mod tests;
