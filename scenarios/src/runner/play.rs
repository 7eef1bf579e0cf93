//! The time line of a run: idle time, load, faults, and the end of the calls.

use super::RunError;
use super::admin::{ControllerState, GatewayState, UdpTraffic};
use super::journal::Journal;
use super::lab::Lab;
use super::machine::{Sentinel, steal_core};
use super::plan::{hold_ms, warm_up};
use super::sampler::Sampler;
use super::screen::{Line, Screen};
use super::traffic::{Traffic, TrafficCounters, TrafficState};
use crate::interrupt::Interrupt;
use crate::network::random::mix;
use crate::results::{ControllerNow, Event};
use crate::scenario::{Fault, FaultKind, Scenario, Target};
use std::time::{Duration, Instant};

/// Time for the gateway to empty its queues after the last call ended.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);
/// Everything is looked at at least this often.
const LOOK: Duration = Duration::from_millis(20);

/// What was on the screen last, for rates.
#[derive(Default)]
pub(super) struct Shown {
    at: Option<Instant>,
    traffic: TrafficCounters,
    controllers: Vec<Line>,
}

/// A run while its load goes on.
pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) lab: &'a mut Lab,
    pub(super) traffic: &'a mut dyn Traffic,
    pub(super) journal: &'a mut Journal,
    pub(super) sentinel: &'a Sentinel,
    pub(super) screen: Screen,
    pub(super) interrupt: &'a Interrupt,
    pub(super) crashes: Vec<String>,
    pub(super) shown: Shown,
}

impl Run<'_> {
    /// The idle time, the load with its faults, then the end of the calls.
    pub(super) fn play(&mut self, sampler: &Sampler) -> Result<(), RunError> {
        self.idle()?;
        if self.interrupt.seen() || !self.crashes.is_empty() {
            return Ok(());
        }
        let begin = Instant::now() + LOOK;
        self.journal.set_zero(begin);
        // What came before the load (linking, loading) is not the run's.
        drop(self.sentinel.take());
        self.traffic.begin(begin);
        let warm_up = warm_up(self.scenario);
        self.journal.record('A', begin, "")?;
        self.journal.record('B', begin + warm_up, "")?;
        if let Some(hold_ms) = hold_ms(self.scenario) {
            self.journal.record('H', begin, &hold_ms.to_string())?;
        }
        let measured_from_ms = u64::try_from(warm_up.as_millis()).unwrap_or(u64::MAX);
        self.journal.event(Event::Begin { measured_from_ms })?;
        // Only beside an idle phase is it of use.
        let before = if self.scenario.idle_ms > 0 { Some(self.counted()?) } else { None };
        self.timeline(begin, sampler)?;
        if let Some(before) = before {
            self.phase_over('V', begin, before, "")?;
        }
        self.carried(Instant::now())?;
        self.journal.record('E', Instant::now(), "")?;
        self.journal.event(Event::LoadEnd {})?;
        self.lab.quiet();
        self.traffic.stop();
        self.drain();
        for (t_ns, length_ns) in self.sentinel.take() {
            self.journal.record_ns('W', t_ns, &length_ns.to_string())?;
            self.journal.event(Event::Stall { monotonic_ns: t_ns, ms: length_ns as f64 / 1e6 })?;
        }
        Ok(())
    }

    /// Control traffic alone, counted at the gateway.
    fn idle(&mut self) -> Result<(), RunError> {
        if self.scenario.idle_ms == 0 {
            return Ok(());
        }
        self.screen.say(&format!("  {} ms of control traffic alone", self.scenario.idle_ms));
        let (begin, before) = (Instant::now(), self.counted()?);
        let population = self.population_bytes()?;
        let end = begin + Duration::from_millis(self.scenario.idle_ms);
        while Instant::now() < end && !self.interrupt.seen() && !self.crashed()? {
            std::thread::sleep(end.saturating_duration_since(Instant::now()).min(LOOK));
        }
        let population = self.population_bytes()?.saturating_sub(population);
        let (idle_ms, datagrams, bytes) = self.phase_over('I', begin, before, &format!(",{population}"))?;
        self.journal.event(Event::Idle { idle_ms, datagrams, bytes })
    }

    /// What went through the gateway's socket so far.
    fn counted(&self) -> Result<UdpTraffic, RunError> {
        self.lab.gateway_traffic().map_err(|e| RunError::Environment(format!("the gateway's metrics: {e}")))
    }

    fn population_bytes(&self) -> Result<u64, RunError> {
        let failed = |e| RunError::Environment(format!("the population's metrics: {e}"));
        self.lab.population_bytes().map_err(failed)
    }

    /// Records how long a phase was, ms, and the datagrams and bytes in it, and what else is known of it.
    fn phase_over(
        &mut self,
        kind: char,
        begin: Instant,
        before: UdpTraffic,
        more: &str,
    ) -> Result<(u64, u64, u64), RunError> {
        let after = self.counted()?;
        let at = Instant::now();
        let ms = u64::try_from(at.duration_since(begin).as_millis()).unwrap_or(u64::MAX);
        let (datagrams, bytes) =
            (after.datagrams.saturating_sub(before.datagrams), after.bytes.saturating_sub(before.bytes));
        self.journal.record(kind, at, &format!("{ms},{datagrams},{bytes}{more}"))?;
        Ok((ms, datagrams, bytes))
    }

    fn timeline(&mut self, begin: Instant, sampler: &Sampler) -> Result<(), RunError> {
        let end = begin + Duration::from_millis(self.scenario.duration_ms);
        let faults = self.scenario.timeline();
        let mut faults = faults.iter().peekable();
        let mut next_second = begin + Duration::from_secs(1);
        loop {
            let now = Instant::now();
            while let Some(fault) = faults.next_if(|f| begin + Duration::from_millis(f.at_ms) <= now) {
                self.fault(fault)?;
            }
            if now >= next_second {
                next_second += Duration::from_secs(1);
                self.carried(now)?;
                self.show(begin, sampler)?;
            }
            if self.interrupt.seen() || self.crashed()? || now >= end {
                return Ok(());
            }
            let next_fault = faults.peek().map_or(end, |f| begin + Duration::from_millis(f.at_ms));
            let until = next_second.min(end).min(next_fault);
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(LOOK));
        }
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), RunError> {
        let (kind, target) = (fault.kind.as_str(), fault.target.to_string());
        let duration_ms = fault.duration_ms.unwrap_or_default();
        // Before it is done: what it does must not seem to come before it.
        let at = Instant::now();
        let mut pe = String::new();
        // Of a gateway which one it was, after a further comma.
        let mut who = String::new();
        match fault.target {
            _ if fault.kind == FaultKind::Command => {
                let command = fault.command.as_deref().unwrap_or_default();
                self.lab.command(fault.target, command, &fault.body)?;
            }
            _ if matches!(fault.kind, FaultKind::Impair | FaultKind::Clear) => {
                self.lab.impair(fault, mix(self.scenario.seed ^ mix(fault.at_ms)));
            }
            Target::Controller(index) => {
                let before = self.lab.pe(index);
                self.lab.fault(fault)?;
                pe = format!("{:08x}", if fault.kind == FaultKind::Start { self.lab.pe(index) } else { before });
            }
            Target::NameServer(_) | Target::Population(_) | Target::Link(..) => {
                self.lab.fault(fault)?;
            }
            Target::Gateway | Target::GatewayFollower | Target::GatewayNumber(_) => {
                who = format!(",{}", self.lab.gateway_fault(fault)?);
            }
            Target::Path(_) => {
                self.carried(at)?;
                self.lab.fault(fault)?;
            }
            Target::Machine => {
                let duration = Duration::from_millis(duration_ms);
                self.sentinel.excuse(self.journal.ns(at + duration));
                steal_core(duration).map_err(|e| RunError::Environment(format!("cannot steal a core: {e}")))?;
            }
        }
        self.journal.record('K', at, &format!("{kind},{target},{pe}{who}"))?;
        self.screen.say(&format!("  {kind} {target}"));
        self.journal.event(Event::Fault { kind: kind.to_owned(), target, duration_ms })
    }

    /// What each path carried so far, as the relay counts.
    fn carried(&mut self, at: Instant) -> Result<(), RunError> {
        let carried = self.lab.carried();
        if carried.is_empty() {
            return Ok(());
        }
        let carried: Vec<_> = carried.iter().map(u64::to_string).collect();
        self.journal.record('C', at, &carried.join(","))
    }

    /// Notes processes that ended by themselves; one is enough to end the run.
    fn crashed(&mut self) -> Result<bool, RunError> {
        if let Err(error) = self.lab.check_alive() {
            self.crashes.push(error.to_string());
        }
        if let TrafficState::Failed(why) = self.traffic.state() {
            self.crashes.push(format!("traffic source: {why}"));
        }
        for crash in &self.crashes {
            self.journal.event(Event::Crash { what: crash.clone() })?;
        }
        Ok(!self.crashes.is_empty())
    }

    fn show(&mut self, begin: Instant, sampler: &Sampler) -> Result<(), RunError> {
        let now = Instant::now();
        let seconds = self.shown.at.map_or(1.0, |at| now.duration_since(at).as_secs_f64());
        let counters = self.traffic.counters();
        let before = self.shown.traffic.sent + self.shown.traffic.received;
        let rate = (counters.sent + counters.received).saturating_sub(before) as f64 / seconds;
        let lines: Vec<Line> =
            (0..self.scenario.controllers.count).map(|index| self.line(index, &sampler.latest(), seconds)).collect();
        self.screen.show(now.duration_since(begin), counters, rate, &lines);
        let controllers = lines.iter().map(|line| ControllerNow {
            name: line.name.clone(),
            state: line.state.state.clone(),
            groups: line.state.groups,
            messages: line.state.messages_up + line.state.messages_down,
            rate_per_s: line.rate_per_s.round(),
        });
        self.journal.event(Event::Second {
            sent: counters.sent,
            received: counters.received,
            calls_up: counters.up,
            missed: counters.missed,
            rate_per_s: rate.round(),
            controllers: controllers.collect(),
        })?;
        self.shown = Shown { at: Some(now), traffic: counters, controllers: lines };
        Ok(())
    }

    fn line(&self, index: usize, state: &GatewayState, seconds: f64) -> Line {
        let pe = format!("{:08x}", self.lab.pe(index));
        let name = format!("gwc-{}", index + 1);
        let Some(found) = state.pools.iter().flat_map(|pool| &pool.controllers).find(|c| c.pe == pe) else {
            let state = ControllerState { state: "gone".into(), ..ControllerState::default() };
            return Line { name, state, rate_per_s: 0.0 };
        };
        let messages = found.messages_up + found.messages_down;
        let before = self.shown.controllers.get(index).filter(|line| line.state.pe == pe);
        let before = before.map_or(0, |line| line.state.messages_up + line.state.messages_down);
        Line { name, state: found.clone(), rate_per_s: messages.saturating_sub(before) as f64 / seconds }
    }

    /// Waits until all calls ended and the gateway's queues are empty, or the time is over.
    fn drain(&mut self) {
        let deadline = Instant::now() + Duration::from_millis(self.scenario.drain_ms);
        while self.traffic.state() == TrafficState::Active && Instant::now() < deadline && !self.interrupt.seen() {
            std::thread::sleep(LOOK);
        }
        self.lab.wait_settled(SETTLE_PATIENCE, LOOK, &mut || self.interrupt.seen());
    }
}
