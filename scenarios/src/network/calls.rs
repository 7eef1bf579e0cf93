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
pub(crate) struct CallsConfig {
    /// Circuit groups of 32 circuits; circuit 0 of each carries no call.
    pub(crate) groups: u32,
    /// Calls started a second by this side.
    pub(crate) calls_per_s: f64,
    /// The call rate rises from 0 over this time.
    pub(crate) warm_up: Duration,
    /// From IAM to our REL of a call that is given up before the answer, least and most.
    pub(crate) ring_ms: (u32, u32),
    /// On top of the longest ringing: to our REL, unless the pool released first, least and most.
    pub(crate) hold_ms: (u32, u32),
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
    /// The pool sent REL; our RLC follows.
    Clearing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Release,
    Acm,
    Answer,
    Clear,
    T1,
}

#[derive(Debug, Clone, Copy)]
struct CircuitState {
    state: State,
    /// Counts calls and releases; a timer of an older one is void.
    generation: u32,
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
    circuits: Vec<CircuitState>,
    idle: VecDeque<Circuit>,
    timers: BinaryHeap<Reverse<(Instant, Circuit, u32, Timer)>>,
    start: Option<Instant>,
    stopped: bool,
    started_calls: u64,
    up: u64,
    counters: CallCounters,
    out: VecDeque<Due>,
    missed: Vec<(Instant, Circuit)>,
}

impl Calls {
    /// A generator that is not started.
    pub(crate) fn new(config: CallsConfig) -> Self {
        let groups = config.groups.max(1);
        let idle_state = CircuitState { state: State::Idle, generation: 0 };
        // Block by block in turn, so that every group has calls from the first second on.
        let parity = u16::from(!config.even_circuits);
        let circuit = |group: u32, i: u16| Circuit(group * 32 + u32::from(i));
        let idle =
            (1..32u16).filter(|i| i % 2 == parity).flat_map(|i| (0..groups).map(move |g| circuit(g, i))).collect();
        Self {
            circuits: vec![idle_state; groups as usize * 32],
            config,
            idle,
            timers: BinaryHeap::new(),
            start: None,
            stopped: false,
            started_calls: 0,
            up: 0,
            counters: CallCounters::default(),
            out: VecDeque::new(),
            missed: Vec::new(),
        }
    }

    /// Begins to offer calls; the first is meant to go at `at`.
    pub(crate) fn start(&mut self, at: Instant) {
        self.start = Some(at);
    }

    /// Offers no new calls; those that are up go on to their end.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Calls that are not over.
    pub(crate) fn up(&self) -> u64 {
        self.up
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> CallCounters {
        self.counters
    }

    /// Calls whose time came and for which no circuit was idle, since the last question.
    pub(crate) fn take_missed(&mut self) -> Vec<(Instant, Circuit)> {
        std::mem::take(&mut self.missed)
    }

    /// The next message that is due at `now`.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Due> {
        if let Some(due) = self.out.pop_front() {
            return Some(due);
        }
        loop {
            let call = self.next_call().filter(|c| *c <= now);
            let timer = self.timers.peek().map(|Reverse(t)| t.0).filter(|t| *t <= now);
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
        let timer = self.timers.peek().map(|Reverse(t)| t.0);
        [self.next_call(), timer].into_iter().flatten().min()
    }

    /// Intended time of the next call: a linear ramp, then the full rate.
    fn next_call(&self) -> Option<Instant> {
        let start = self.start.filter(|_| !self.stopped && self.config.calls_per_s > 0.0)?;
        let (n, rate, ramp) = (self.started_calls as f64, self.config.calls_per_s, self.config.warm_up.as_secs_f64());
        let in_ramp = rate * ramp / 2.0;
        let at = if n < in_ramp { (2.0 * n * ramp / rate).sqrt() } else { ramp + (n - in_ramp) / rate };
        Some(start + Duration::from_secs_f64(at))
    }

    fn begin_call(&mut self, intended: Instant) -> Option<Due> {
        let serial = self.started_calls;
        self.started_calls += 1;
        let Some(circuit) = self.idle.pop_front() else {
            self.missed.push((intended, Circuit((serial % self.circuits.len() as u64) as u32)));
            return None;
        };
        self.counters.attempted += 1;
        self.set(circuit, State::Outgoing { answered: false });
        self.arm(circuit, intended + self.life(serial), Timer::Release);
        Some(Due {
            intended,
            circuit,
            user_data: isup::iam(circuit.cic(), self.config.seed.wrapping_mul(1_000_000).wrapping_add(serial)),
        })
    }

    /// From IAM to our REL: a share of the calls is given up while ringing.
    fn life(&self, serial: u64) -> Duration {
        let random = mix(self.config.seed ^ serial.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let within =
            |range: (u32, u32), r: u64| u64::from(range.0) + r % (u64::from(range.1.saturating_sub(range.0)) + 1);
        let ms = if random % 100 < u64::from(self.config.give_up_percent) {
            within(self.config.ring_ms, random >> 16)
        } else {
            u64::from(self.config.ring_ms.1) + within(self.config.hold_ms, random >> 16)
        };
        Duration::from_millis(ms)
    }

    fn fire(&mut self) -> Option<Due> {
        let Reverse((intended, circuit, generation, timer)) = self.timers.pop()?;
        let entry = self.circuits[circuit.index()];
        if entry.generation != generation {
            return None;
        }
        let user_data = match (timer, entry.state) {
            (Timer::Release, State::Outgoing { .. } | State::Incoming { .. }) | (Timer::T1, State::Releasing) => {
                return Some(self.release(circuit, intended));
            }
            (Timer::Acm, State::Incoming { answered: false }) => isup::acm(circuit.cic()),
            (Timer::Answer, State::Incoming { answered: false }) => {
                self.circuits[circuit.index()].state = State::Incoming { answered: true };
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
        self.set(circuit, State::Releasing);
        self.arm(circuit, intended + Duration::from_millis(self.config.t1_ms), Timer::T1);
        Due { intended, circuit, user_data: isup::rel(circuit.cic(), isup::CAUSE_NORMAL) }
    }

    /// Takes one ISUP message that the pool sent to `exchange`. What it asks for goes out by [`Calls::poll`].
    pub(crate) fn handle(&mut self, now: Instant, exchange: u32, user_data: &[u8]) {
        let head = isup::head(user_data).map(|(cic, kind)| (Circuit::new(exchange, cic), kind));
        let Some((circuit, kind)) = head.filter(|(c, _)| c.index() < self.circuits.len()) else {
            self.counters.not_understood += 1;
            return;
        };
        let state = self.circuits[circuit.index()].state;
        let cic = circuit.cic();
        match kind {
            isup::IAM => self.incoming_call(now, circuit, state),
            isup::ANM | isup::CON => self.answered(circuit, state),
            isup::REL => match state {
                State::Outgoing { .. } | State::Incoming { .. } => {
                    self.set(circuit, State::Clearing);
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
        if self.mine(circuit) {
            self.idle.retain(|c| *c != circuit);
        }
        self.set(circuit, State::Incoming { answered: false });
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
                self.circuits[circuit.index()].state = State::Outgoing { answered: true };
                self.counters.answered += 1;
            }
            State::Idle | State::Outgoing { .. } | State::Incoming { .. } | State::Releasing | State::Clearing => {}
        }
    }

    fn group_reset(&mut self, now: Instant, first: Circuit, user_data: &[u8]) {
        let range = isup::range(user_data).unwrap_or(0);
        self.answer_with(now, first, isup::gra(first.cic(), range));
        for i in first.0..=first.0 + u32::from(range) {
            if (i as usize) < self.circuits.len() {
                self.end(Circuit(i));
            }
        }
    }

    fn answer_with(&mut self, now: Instant, circuit: Circuit, user_data: Bytes) {
        self.out.push_back(Due { intended: now, circuit, user_data });
    }

    fn end(&mut self, circuit: Circuit) {
        if self.circuits[circuit.index()].state == State::Idle {
            return;
        }
        self.set(circuit, State::Idle);
        if self.mine(circuit) {
            self.idle.push_back(circuit);
        }
    }

    fn mine(&self, circuit: Circuit) -> bool {
        circuit.cic().is_multiple_of(2) == self.config.even_circuits
    }

    fn set(&mut self, circuit: Circuit, state: State) {
        let entry = &mut self.circuits[circuit.index()];
        match (entry.state == State::Idle, state == State::Idle) {
            (true, false) => self.up += 1,
            (false, true) => self.up -= 1,
            (true, true) | (false, false) => {}
        }
        entry.state = state;
        entry.generation = entry.generation.wrapping_add(1);
    }

    fn arm(&mut self, circuit: Circuit, at: Instant, timer: Timer) {
        let generation = self.circuits[circuit.index()].generation;
        self.timers.push(Reverse((at, circuit, generation, timer)));
    }
}

/// SplitMix64's finaliser: spreads a seed over all bits.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CallsConfig {
        CallsConfig {
            groups: 2,
            calls_per_s: 10.0,
            warm_up: Duration::ZERO,
            ring_ms: (200, 300),
            hold_ms: (700, 700),
            give_up_percent: 0,
            acm_delay_ms: 5,
            answer_delay_ms: 50,
            clear_ms: 0,
            t1_ms: 4_000,
            even_circuits: true,
            seed: 1,
        }
    }

    fn drain(calls: &mut Calls, now: Instant) -> Vec<(u16, u8)> {
        std::iter::from_fn(|| calls.poll(now)).map(|d| (d.circuit.cic(), d.user_data[2])).collect()
    }

    #[test]
    fn a_call_goes_from_seizure_to_idle() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.start(t0);
        let iam = calls.poll(t0).expect("the first call is due at the start");
        let cic = iam.circuit.cic();
        assert_eq!((iam.intended, iam.user_data[2], cic), (t0, isup::IAM, 2));
        calls.handle(t0, 0, &isup::acm(cic));
        calls.handle(t0, 0, &isup::anm(cic));
        calls.stop();
        assert_eq!(calls.counters().answered, 1);
        let end = t0 + Duration::from_millis(1_000);
        assert_eq!(calls.poll_timeout(), Some(end));
        assert_eq!(drain(&mut calls, end), [(cic, isup::REL)]);
        calls.handle(end, 0, &isup::rlc(cic));
        assert_eq!(calls.up(), 0);
    }

    #[test]
    fn lateness_does_not_thin_the_load_and_missing_circuits_are_told() {
        let t0 = Instant::now();
        let mut calls = Calls::new(CallsConfig { calls_per_s: 40.0, ..config() });
        calls.start(t0);
        let due: Vec<_> = std::iter::from_fn(|| calls.poll(t0 + Duration::from_millis(990))).collect();
        // 40 calls in the second, 15 even circuits without circuit 0 in each of the two groups.
        assert_eq!(due.len(), 30);
        assert_eq!(due[29].intended, t0 + Duration::from_millis(725));
        assert!(due.iter().all(|d| d.circuit.cic() % 2 == 0 && d.circuit.cic() % 32 != 0));
        assert_eq!(calls.take_missed().len(), 10);
    }

    #[test]
    fn the_ramp_offers_half_the_rate() {
        let t0 = Instant::now();
        let mut calls = Calls::new(CallsConfig {
            groups: 128,
            calls_per_s: 1_000.0,
            warm_up: Duration::from_secs(1),
            ring_ms: (9_000, 9_000),
            ..config()
        });
        calls.start(t0);
        assert_eq!(drain(&mut calls, t0 + Duration::from_millis(999)).len(), 500);
        assert_eq!(drain(&mut calls, t0 + Duration::from_millis(1_999)).len(), 1_000);
    }

    #[test]
    fn a_call_from_the_pool_is_answered_and_released_by_it() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.handle(t0, 0, &isup::iam(33, 7));
        assert_eq!(drain(&mut calls, t0 + Duration::from_millis(50)), [(33, isup::ACM), (33, isup::ANM)]);
        calls.handle(t0, 0, &isup::rel(33, isup::CAUSE_NORMAL));
        assert_eq!(drain(&mut calls, t0), [(33, isup::RLC)]);
        assert_eq!(calls.up(), 0);
    }

    #[test]
    fn release_without_answer_is_repeated_at_t1() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.start(t0);
        let cic = calls.poll(t0).expect("due").circuit.cic();
        calls.stop();
        assert_eq!(drain(&mut calls, t0 + Duration::from_millis(5_000)), [(cic, isup::REL), (cic, isup::REL)]);
    }

    #[test]
    fn resets_and_both_sides_releasing() {
        let t0 = Instant::now();
        let mut calls = Calls::new(config());
        calls.start(t0);
        let cics: Vec<_> = drain(&mut calls, t0 + Duration::from_millis(300)).into_iter().map(|d| d.0).collect();
        calls.stop();
        assert_eq!(calls.up(), 4);
        calls.handle(t0, 0, &isup::bare(cics[0], isup::RSC));
        assert_eq!(calls.up(), 3);
        // REL from both sides: RLC to the pool's, and the circuit stays busy until its RLC.
        let end = t0 + Duration::from_millis(1_150);
        drain(&mut calls, end);
        calls.handle(end, 0, &isup::rel(cics[1], isup::CAUSE_NORMAL));
        assert_eq!(drain(&mut calls, end), [(cics[1], isup::RLC)]);
        assert_eq!(calls.up(), 3);
        calls.handle(end, 0, &isup::rlc(cics[1]));
        assert_eq!(calls.up(), 2);
        calls.handle(end, 0, &isup::grs(0, 31));
        calls.handle(end, 0, &isup::grs(32, 31));
        assert_eq!(calls.up(), 0);
    }

    #[test]
    fn short_and_foreign_messages_are_counted() {
        let mut calls = Calls::new(config());
        for bad in [&[][..], &[1], &[1, 0], &[0xff, 0x0f, 1], &[0, 0, 0xee]] {
            calls.handle(Instant::now(), 0, bad);
        }
        calls.handle(Instant::now(), 1, &isup::acm(1));
        assert_eq!(calls.counters().not_understood, 6);
    }
}
