//! Ties the caller's `Instant` to nanoseconds of CLOCK_MONOTONIC, so that a pure node can stamp its records.

use std::time::Instant;

/// One moment on both clocks. The shell reads it once at the start (`enrp::daemon::clock_anchor`); a simulation makes
/// one up. Both clocks run at the same rate, so every later moment follows from it.
#[derive(Debug, Clone, Copy)]
pub struct ClockAnchor {
    /// The moment as `Instant`.
    pub instant: Instant,
    /// The same moment, nanoseconds of CLOCK_MONOTONIC (the same for all processes of a machine).
    pub monotonic_ns: u64,
}

impl ClockAnchor {
    /// `now` in nanoseconds of CLOCK_MONOTONIC; works for moments before the anchor too (not below 0).
    #[must_use]
    pub fn ns(&self, now: Instant) -> u64 {
        let after = now.saturating_duration_since(self.instant).as_nanos();
        let before = self.instant.saturating_duration_since(now).as_nanos();
        let clamp = |ns: u128| u64::try_from(ns).unwrap_or(u64::MAX);
        self.monotonic_ns.saturating_add(clamp(after)).saturating_sub(clamp(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn counts_in_both_directions() {
        let instant = Instant::now() + Duration::from_secs(10);
        let anchor = ClockAnchor { instant, monotonic_ns: 5_000 };
        assert_eq!(anchor.ns(instant), 5_000);
        assert_eq!(anchor.ns(instant + Duration::from_nanos(7)), 5_007);
        assert_eq!(anchor.ns(instant - Duration::from_nanos(7)), 4_993);
        assert_eq!(anchor.ns(instant - Duration::from_secs(1)), 0);
    }
}
