//! How much a plug-in may compute.

use super::PluginsConfig;
use std::time::{Duration, Instant};

/// Fuel that one plug-in's selections may still take. It fills with time, up to a tenth of a second's, or one selection's.
#[derive(Debug)]
pub(super) struct Budget {
    per_s: u64,
    most: u64,
    /// Below zero when the last selection took more than there was.
    level: i128,
    filled: Option<Instant>,
}

impl Budget {
    /// An equal share of what all of so many plug-ins may take, so that a greedy one takes nothing from another.
    pub(super) fn new(config: &PluginsConfig, plugins: usize) -> Self {
        let per_s = (config.fuel_per_s_max / plugins.max(1) as u64).max(1);
        let most = (per_s / 10).max(config.fuel_per_selection_max);
        Self { per_s, most, level: i128::from(most), filled: None }
    }

    pub(super) fn has_some(&mut self, now: Instant) -> bool {
        let since = self.filled.map_or(Duration::ZERO, |filled| now.saturating_duration_since(filled));
        let filled = u128::from(self.per_s).saturating_mul(since.as_nanos()) / 1_000_000_000;
        if filled > 0 || self.filled.is_none() {
            // Only then, so that what comes in small steps is not lost.
            self.filled = Some(now);
            let filled = i128::try_from(filled).unwrap_or(i128::MAX);
            self.level = self.level.saturating_add(filled).min(i128::from(self.most));
        }
        self.level > 0
    }

    pub(super) fn take(&mut self, fuel: u64) {
        self.level -= i128::from(fuel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_fills_with_time() {
        let config = PluginsConfig { fuel_per_selection_max: 10, fuel_per_s_max: 2_000, ..PluginsConfig::default() };
        let mut budget = Budget::new(&config, 2);
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        assert!(budget.has_some(now));
        budget.take(105);
        assert!(!budget.has_some(at(5)), "-5 + 5");
        assert!(budget.has_some(at(6)));
        budget.take(51);
        // No more than a tenth of a second's is saved up.
        assert!(budget.has_some(at(60_000)));
        budget.take(100);
        assert!(!budget.has_some(at(60_000)));
        // Steps too small for one unit of fuel add up.
        let step = |us| at(60_000) + Duration::from_micros(us);
        assert!(!budget.has_some(step(400)) && !budget.has_some(step(800)) && budget.has_some(step(1_200)));
    }
}
