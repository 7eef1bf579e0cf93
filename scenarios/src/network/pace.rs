//! When the next of many events is meant to happen: a rate that rises over the warm-up, then follows a profile.
//!
//! Each event has its own intended time, from its number alone: a generator that is late catches up, and the load does not thin.

use crate::scenario::Step;
use std::time::{Duration, Instant};

/// From a time on, the rate.
#[derive(Debug, Clone, Copy)]
struct Phase {
    /// Seconds after the start.
    from: f64,
    /// Events before it.
    before: f64,
    /// Events a second at its begin.
    rate: f64,
    /// By how much the rate rises each second.
    slope: f64,
}

impl Phase {
    /// Events from the start to `at`, a time of this phase.
    fn events(&self, at: f64) -> f64 {
        let t = at - self.from;
        self.before + self.rate * t + self.slope * t * t / 2.0
    }

    /// When the event with this number is due; `None`: not in this phase, for it has no events.
    fn time_of(&self, number: f64) -> Option<f64> {
        let n = number - self.before;
        if self.slope > 0.0 {
            Some(self.from + (2.0 * n / self.slope).sqrt())
        } else {
            (self.rate > 0.0).then(|| self.from + n / self.rate)
        }
    }
}

/// The intended times of a row of events.
#[derive(Debug)]
pub(crate) struct Pace {
    phases: Vec<Phase>,
    /// The phase of the next event.
    phase: usize,
    /// Number of the next event.
    count: u64,
    start: Option<Instant>,
    stopped: bool,
}

impl Pace {
    /// `per_s` events a second after `warm_up`; from each step on, its percentage of that. Not started.
    pub(crate) fn new(per_s: f64, warm_up: Duration, profile: &[Step]) -> Self {
        let warm_up = warm_up.as_secs_f64();
        let mut phases = Vec::new();
        if warm_up > 0.0 {
            phases.push(Phase { from: 0.0, before: 0.0, rate: 0.0, slope: per_s / warm_up });
        }
        phases.push(Phase { from: warm_up, before: per_s * warm_up / 2.0, rate: per_s, slope: 0.0 });
        for step in profile {
            let from = f64::from(step.at_ms) / 1_000.0;
            let before = phases.last().map_or(0.0, |phase| phase.events(from));
            phases.push(Phase { from, before, rate: per_s * f64::from(step.percent) / 100.0, slope: 0.0 });
        }
        Self { phases, phase: 0, count: 0, start: None, stopped: false }
    }

    /// The first event is meant to happen at `at`.
    pub(crate) fn start(&mut self, at: Instant) {
        self.start = Some(at);
        self.find_phase();
    }

    /// No events from now on.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Events taken.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Intended time of the next event.
    pub(crate) fn next(&self) -> Option<Instant> {
        let start = self.start.filter(|_| !self.stopped)?;
        let at = self.phases.get(self.phase)?.time_of(self.count as f64)?;
        Some(start + Duration::from_secs_f64(at))
    }

    /// The event at [`Pace::next`] happened.
    pub(crate) fn take(&mut self) {
        self.count += 1;
        self.find_phase();
    }

    fn find_phase(&mut self) {
        while self.phases.get(self.phase + 1).is_some_and(|phase| phase.before <= self.count as f64) {
            self.phase += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times_ms(pace: &mut Pace, start: Instant, most: usize) -> Vec<u128> {
        let mut times = Vec::new();
        while let Some(at) = pace.next().filter(|_| times.len() < most) {
            times.push((at - start).as_millis());
            pace.take();
        }
        times
    }

    fn count(times: &[u128], from: u128, to: u128) -> usize {
        times.iter().filter(|at| (from..to).contains(at)).count()
    }

    #[test]
    fn the_warm_up_offers_half_the_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000.0, Duration::from_secs(1), &[]);
        assert_eq!(pace.next(), None, "not started");
        pace.start(start);
        let times = times_ms(&mut pace, start, 3_000);
        assert!(times.is_sorted() && times[0] == 0);
        assert_eq!(
            [count(&times, 0, 1_000), count(&times, 1_000, 2_000), count(&times, 2_000, 3_000)],
            [500, 1_000, 1_000]
        );
        pace.stop();
        assert_eq!(pace.next(), None);
    }

    #[test]
    fn a_profile_changes_the_rate_from_its_times_on() {
        let start = Instant::now();
        let profile = [(1_000, 200), (2_000, 0), (3_000, 50)].map(|(at_ms, percent)| Step { at_ms, percent });
        let mut pace = Pace::new(100.0, Duration::ZERO, &profile);
        pace.start(start);
        let times = times_ms(&mut pace, start, 400);
        assert!(times.is_sorted());
        let seconds: Vec<_> = (0..5).map(|s| count(&times, s * 1_000, s * 1_000 + 1_000)).collect();
        assert_eq!(seconds, [100, 200, 0, 50, 50]);
    }

    #[test]
    fn a_rate_of_nothing_is_no_event() {
        let start = Instant::now();
        for profile in [&[][..], &[Step { at_ms: 100, percent: 300 }]] {
            let mut pace = Pace::new(0.0, Duration::from_millis(50), profile);
            pace.start(start);
            assert_eq!(pace.next(), None);
        }
        let mut pace = Pace::new(10.0, Duration::ZERO, &[Step { at_ms: 500, percent: 0 }]);
        pace.start(start);
        assert_eq!(times_ms(&mut pace, start, 100), [0, 100, 200, 300, 400]);
    }
}
