//! How late messages leave.

use std::time::{Duration, Instant};

/// The most in this second, and in the one before.
#[derive(Debug)]
pub(super) struct Lateness {
    since: Instant,
    now: Duration,
    before: Duration,
}

impl Lateness {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, now: Duration::ZERO, before: Duration::ZERO }
    }

    pub(super) fn note(&mut self, now: Instant, late: Duration) {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, now: Duration::ZERO, before: self.now };
        }
        self.now = self.now.max(late);
    }

    pub(super) fn latest(&self) -> Duration {
        self.now.max(self.before)
    }
}
