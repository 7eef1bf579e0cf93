//! Call generator: what a neighbouring exchange does on its circuits, open-loop.
//!
//! Pure: [`Calls::poll`] gives what is due with the time it was *meant* to go, [`Calls::handle`] takes what the pool
//! sent. A late machine shows as lateness of messages, never as fewer messages.

use super::isup;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// What the generator offers.
#[derive(Debug, Clone)]
pub struct CallsConfig {
    /// Circuits are the CICs 0 to `groups * 32 - 1`; at most 128 groups (12-bit CIC).
    pub groups: u16,
    /// Calls started a second by this side.
    pub calls_per_s: f64,
    /// From IAM to our REL, unless the pool released first.
    pub hold_ms: u64,
    /// Calls from the pool: from IAM to our ACM.
    pub acm_delay_ms: u64,
    /// Calls from the pool: from IAM to our ANM.
    pub answer_delay_ms: u64,
    /// T1: REL again when no RLC came (Q.764: 15 to 60 s).
    pub t1_ms: u64,
    /// True when this side seizes the even circuits (Q.764 2.9.1.3: the higher point code controls the even ones).
    pub even_circuits: bool,
    /// First called number's serial; makes each call's IAM unique in a run.
    pub first_serial: u64,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// When it was meant to be sent.
    pub intended: Instant,
    /// Circuit.
    pub cic: u16,
    /// ISUP from the CIC on.
    pub user_data: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Release,
    Acm,
    Answer,
    T1,
}

#[derive(Debug, Clone, Copy)]
struct Circuit {
    state: State,
    /// Counts calls and releases; a timer of an older one is void.
    generation: u32,
}

/// Counted since the start; live figures for the screen (the verdict comes from the records).
#[derive(Debug, Default, Clone, Copy)]
pub struct CallCounters {
    /// IAMs sent.
    pub attempted: u64,
    /// ANM or CON received, or ANM sent.
    pub answered: u64,
    /// Circuits back to idle after a call.
    pub released: u64,
    /// Calls that ended before answer by the pool's REL, RSC, GRS or UCIC.
    pub failed: u64,
    /// Due calls that found no idle circuit: the intended load was not offered.
    pub no_circuit: u64,
    /// Messages of the pool that this side did not understand.
    pub not_understood: u64,
}

/// The generator.
#[derive(Debug)]
pub struct Calls {
    config: CallsConfig,
    circuits: Vec<Circuit>,
    idle: VecDeque<u16>,
    timers: BinaryHeap<Reverse<(Instant, u16, u32, Timer)>>,
    start: Option<Instant>,
    stopped: bool,
    started_calls: u64,
    counters: CallCounters,
    out: VecDeque<Due>,
}

impl Calls {
    /// A generator that is not started.
    #[must_use]
    pub fn new(config: CallsConfig) -> Self {
        let n = config.groups.clamp(1, 128) * 32;
        let circuits = vec![
            Circuit {
                state: State::Idle,
                generation: 0
            };
            usize::from(n)
        ];
        // Block by block in turn, so that every group has calls from the first second on.
        let mine = |cic: &u16| (cic % 2 == 0) == config.even_circuits;
        let idle = (0..32u16)
            .flat_map(|i| (0..n / 32).map(move |g| g * 32 + i))
            .filter(mine)
            .collect();
        Self {
            config,
            circuits,
            idle,
            timers: BinaryHeap::new(),
            start: None,
            stopped: false,
            started_calls: 0,
            counters: CallCounters::default(),
            out: VecDeque::new(),
        }
    }

    /// Begins to offer calls.
    pub fn start(&mut self, now: Instant) {
        self.start = Some(now);
    }

    /// Offers no new calls; those that are up go on to their end.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Calls that are not over.
    #[must_use]
    pub fn up(&self) -> usize {
        self.circuits
            .iter()
            .filter(|c| c.state != State::Idle)
            .count()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> CallCounters {
        self.counters
    }

    /// The next message that is due at `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Due> {
        if let Some(due) = self.out.pop_front() {
            return Some(due);
        }
        loop {
            let call = self.next_call();
            let timer = self.timers.peek().map(|Reverse(t)| t.0);
            match (call, timer) {
                (Some(c), t) if c <= now && t.is_none_or(|t| c <= t) => {
                    if let Some(due) = self.begin_call(c) {
                        return Some(due);
                    }
                }
                (_, Some(t)) if t <= now => {
                    if let Some(due) = self.fire() {
                        return Some(due);
                    }
                }
                (None | Some(_), None | Some(_)) => return None,
            }
        }
    }

    /// When [`Calls::poll`] has something at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse(t)| t.0);
        [self.next_call(), timer].into_iter().flatten().min()
    }

    fn next_call(&self) -> Option<Instant> {
        let start = self
            .start
            .filter(|_| !self.stopped && self.config.calls_per_s > 0.0)?;
        Some(start + Duration::from_secs_f64(self.started_calls as f64 / self.config.calls_per_s))
    }

    fn begin_call(&mut self, intended: Instant) -> Option<Due> {
        let serial = self.config.first_serial + self.started_calls;
        self.started_calls += 1;
        let Some(cic) = self.idle.pop_front() else {
            self.counters.no_circuit += 1;
            return None;
        };
        self.counters.attempted += 1;
        self.set(cic, State::Outgoing { answered: false });
        self.arm(
            cic,
            intended + Duration::from_millis(self.config.hold_ms),
            Timer::Release,
        );
        Some(Due {
            intended,
            cic,
            user_data: isup::iam(cic, serial),
        })
    }

    fn fire(&mut self) -> Option<Due> {
        let Reverse((intended, cic, generation, timer)) = self.timers.pop()?;
        let circuit = self.circuits[usize::from(cic)];
        if circuit.generation != generation {
            return None;
        }
        let user_data = match (timer, circuit.state) {
            (Timer::Release, State::Outgoing { .. } | State::Incoming { .. }) => {
                return Some(self.release(cic, intended));
            }
            (Timer::T1, State::Releasing) => return Some(self.release(cic, intended)),
            (Timer::Acm, State::Incoming { answered: false }) => isup::acm(cic),
            (Timer::Answer, State::Incoming { answered: false }) => {
                self.circuits[usize::from(cic)].state = State::Incoming { answered: true };
                self.counters.answered += 1;
                isup::anm(cic)
            }
            (Timer::Release | Timer::Acm | Timer::Answer | Timer::T1, _) => return None,
        };
        Some(Due {
            intended,
            cic,
            user_data,
        })
    }

    fn release(&mut self, cic: u16, intended: Instant) -> Due {
        self.set(cic, State::Releasing);
        self.arm(
            cic,
            intended + Duration::from_millis(self.config.t1_ms),
            Timer::T1,
        );
        Due {
            intended,
            cic,
            user_data: isup::rel(cic, isup::CAUSE_NORMAL),
        }
    }

    /// Takes one ISUP message of the pool. What it asks for goes out by [`Calls::poll`].
    pub fn handle(&mut self, now: Instant, user_data: &[u8]) {
        let Some((cic, kind)) =
            isup::head(user_data).filter(|(cic, _)| usize::from(*cic) < self.circuits.len())
        else {
            self.counters.not_understood += 1;
            return;
        };
        let state = self.circuits[usize::from(cic)].state;
        match kind {
            isup::IAM => self.incoming_call(now, cic, state),
            isup::ANM | isup::CON => self.answer(cic, state),
            isup::REL => {
                self.answer_with(now, cic, isup::rlc(cic));
                // After our own REL the circuit is free only with RLC (Q.764 2.3.3).
                if state != State::Releasing {
                    self.end(cic, state);
                }
            }
            isup::RLC if state == State::Releasing => self.end(cic, State::Idle),
            isup::RSC => {
                self.answer_with(now, cic, isup::rlc(cic));
                self.end(cic, state);
            }
            isup::UCIC => self.end(cic, state),
            isup::GRS => self.group_reset(now, cic, user_data),
            isup::BLO => self.answer_with(now, cic, isup::bare(cic, isup::BLA)),
            isup::UBL => self.answer_with(now, cic, isup::bare(cic, isup::UBA)),
            isup::ACM | isup::CPG | isup::RLC | isup::CFN => {}
            _ => self.counters.not_understood += 1,
        }
    }

    fn incoming_call(&mut self, now: Instant, cic: u16, state: State) {
        if state != State::Idle {
            // Dual seizure cannot happen with split circuits; a repeated IAM changes nothing.
            self.counters.not_understood += 1;
            return;
        }
        if self.mine(cic) {
            self.idle.retain(|c| *c != cic);
        }
        self.set(cic, State::Incoming { answered: false });
        self.arm(
            cic,
            now + Duration::from_millis(self.config.acm_delay_ms),
            Timer::Acm,
        );
        self.arm(
            cic,
            now + Duration::from_millis(self.config.answer_delay_ms),
            Timer::Answer,
        );
        // The pool releases its calls; this bound only ends one whose controller forgot it.
        self.arm(
            cic,
            now + Duration::from_millis(4 * self.config.hold_ms + self.config.answer_delay_ms),
            Timer::Release,
        );
    }

    fn answer(&mut self, cic: u16, state: State) {
        match state {
            State::Outgoing { answered: false } => {
                self.circuits[usize::from(cic)].state = State::Outgoing { answered: true };
                self.counters.answered += 1;
            }
            State::Idle | State::Outgoing { .. } | State::Incoming { .. } | State::Releasing => {}
        }
    }

    fn group_reset(&mut self, now: Instant, cic: u16, user_data: &[u8]) {
        let range = isup::range(user_data).unwrap_or(0);
        self.answer_with(now, cic, isup::gra(cic, range));
        for c in cic..=cic.saturating_add(u16::from(range)) {
            if let Some(circuit) = self.circuits.get(usize::from(c)).copied() {
                self.end(c, circuit.state);
            }
        }
    }

    fn answer_with(&mut self, now: Instant, cic: u16, user_data: Bytes) {
        self.out.push_back(Due {
            intended: now,
            cic,
            user_data,
        });
    }

    fn end(&mut self, cic: u16, was: State) {
        match was {
            State::Outgoing { answered: false } | State::Incoming { answered: false } => {
                self.counters.failed += 1
            }
            State::Idle | State::Outgoing { .. } | State::Incoming { .. } | State::Releasing => {}
        }
        if self.circuits[usize::from(cic)].state == State::Idle {
            return;
        }
        self.counters.released += 1;
        self.set(cic, State::Idle);
        if self.mine(cic) {
            self.idle.push_back(cic);
        }
    }

    fn mine(&self, cic: u16) -> bool {
        (cic % 2 == 0) == self.config.even_circuits
    }

    fn set(&mut self, cic: u16, state: State) {
        let circuit = &mut self.circuits[usize::from(cic)];
        circuit.state = state;
        circuit.generation = circuit.generation.wrapping_add(1);
    }

    fn arm(&mut self, cic: u16, at: Instant, timer: Timer) {
        let generation = self.circuits[usize::from(cic)].generation;
        self.timers.push(Reverse((at, cic, generation, timer)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CallsConfig {
        CallsConfig {
            groups: 2,
            calls_per_s: 10.0,
            hold_ms: 1_000,
            acm_delay_ms: 5,
            answer_delay_ms: 50,
            t1_ms: 4_000,
            even_circuits: true,
            first_serial: 0,
        }
    }

    fn drain(calls: &mut Calls, now: Instant) -> Vec<(u16, u8)> {
        std::iter::from_fn(|| calls.poll(now))
            .map(|d| (d.cic, d.user_data[2]))
            .collect()
    }

    #[test]
    fn a_call_goes_from_seizure_to_idle() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.start(t0);
        let iam = calls.poll(t0).expect("the first call is due at the start");
        assert_eq!((iam.intended, iam.user_data[2]), (t0, isup::IAM));
        calls.handle(t0, &isup::acm(iam.cic));
        calls.handle(t0, &isup::anm(iam.cic));
        calls.stop();
        assert_eq!(calls.counters().answered, 1);
        let end = t0 + Duration::from_millis(1_000);
        assert_eq!(calls.poll_timeout(), Some(end));
        assert_eq!(drain(&mut calls, end), [(iam.cic, isup::REL)]);
        calls.handle(end, &isup::rlc(iam.cic));
        assert_eq!((calls.up(), calls.counters().released), (0, 1));
    }

    #[test]
    fn lateness_does_not_thin_the_load() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.start(t0);
        let late = t0 + Duration::from_millis(950);
        let due: Vec<_> = std::iter::from_fn(|| calls.poll(late)).collect();
        assert_eq!(due.len(), 10);
        assert_eq!(due[9].intended, t0 + Duration::from_millis(900));
        assert!(due.iter().all(|d| d.cic % 2 == 0));
    }

    #[test]
    fn a_call_from_the_pool_is_answered_and_released_by_it() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.handle(t0, &isup::iam(33, 7));
        assert_eq!(
            drain(&mut calls, t0 + Duration::from_millis(50)),
            [(33, isup::ACM), (33, isup::ANM)]
        );
        calls.handle(t0, &isup::rel(33, isup::CAUSE_NORMAL));
        assert_eq!(drain(&mut calls, t0), [(33, isup::RLC)]);
        assert_eq!(calls.up(), 0);
    }

    #[test]
    fn release_without_answer_is_repeated_at_t1() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.start(t0);
        let iam = calls.poll(t0).expect("due");
        calls.stop();
        let t = t0 + Duration::from_millis(5_000);
        assert_eq!(
            drain(&mut calls, t),
            [(iam.cic, isup::REL), (iam.cic, isup::REL)]
        );
    }

    #[test]
    fn resets_and_both_sides_releasing() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.start(t0);
        let cics: Vec<_> = std::iter::from_fn(|| calls.poll(t0 + Duration::from_millis(300)))
            .map(|d| d.cic)
            .collect();
        calls.stop();
        assert_eq!(calls.up(), 4);
        calls.handle(t0, &isup::bare(cics[0], isup::RSC));
        assert_eq!(calls.up(), 3);
        // REL from both sides: RLC to the pool's, and the circuit stays busy until its RLC.
        let end = t0 + Duration::from_millis(1_000);
        let first_release = cics[1];
        drain(&mut calls, end + Duration::from_millis(150));
        calls.handle(end, &isup::rel(first_release, isup::CAUSE_NORMAL));
        assert_eq!(drain(&mut calls, end), [(first_release, isup::RLC)]);
        assert_eq!(calls.up(), 3);
        calls.handle(end, &isup::rlc(first_release));
        assert_eq!(calls.up(), 2);
        calls.handle(end, &isup::grs(0, 31));
        calls.handle(end, &isup::grs(32, 31));
        assert_eq!(calls.up(), 0);
    }

    #[test]
    fn short_and_foreign_messages_are_counted() {
        let mut calls = Calls::new(config());
        for bad in [&[][..], &[1], &[1, 0], &[0xff, 0x0f, 1], &[0, 0, 0xee]] {
            calls.handle(Instant::now(), bad);
        }
        assert_eq!(calls.counters().not_understood, 5);
    }
}
