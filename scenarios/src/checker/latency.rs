//! Latency and lateness: percentiles, and the histogram of `results.json`.

use super::LatencyUs;
use super::figures::Bucket;
use hdrhistogram::Histogram;

/// Below this the buckets of the histogram are [`FINE_US`] wide; from there on each doubling has eight.
const LINEAR_US: u64 = 32;
const FINE_US: u64 = 4;
const PER_DOUBLING: u64 = 8;
/// The last bucket takes all that is longer than the one before it, 2^28 us (268 s): 193 buckets.
const BUCKETS: usize = 193;

/// Values in us.
pub(super) struct Latency {
    values: Histogram<u64>,
    buckets: Vec<u64>,
}

impl Latency {
    pub(super) fn new() -> Self {
        let values = Histogram::new_with_bounds(1, 3_600_000_000, 3)
            .expect("invariant: 1 us to 1 h in 3 digits is a valid range");
        Self { values, buckets: vec![0; BUCKETS] }
    }

    pub(super) fn add_ns(&mut self, ns: u64) {
        let us = ns / 1_000;
        self.values.saturating_record(us);
        self.buckets[bucket_of(us)] += 1;
    }

    pub(super) fn percentiles(&self) -> LatencyUs {
        let quantile = |q| self.values.value_at_quantile(q);
        LatencyUs { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), max: self.values.max() }
    }

    /// From the first bucket that is not empty to the last one.
    pub(super) fn histogram(&self) -> Vec<Bucket> {
        let all = self.buckets.iter().enumerate().map(|(index, count)| {
            let last = if index + 1 == BUCKETS { self.values.max() } else { 0 };
            Bucket { up_to_us: up_to(index).max(last), count: *count }
        });
        let last = self.buckets.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        all.take(last).skip_while(|bucket| bucket.count == 0).collect()
    }
}

/// Upper end, inclusive.
fn up_to(index: usize) -> u64 {
    let (index, fine) = (index as u64, LINEAR_US / FINE_US);
    if index < fine {
        return (index + 1) * FINE_US;
    }
    let (doubling, step) = ((index - fine) / PER_DOUBLING, (index - fine) % PER_DOUBLING + 1);
    (LINEAR_US << doubling) + step * (LINEAR_US << doubling) / PER_DOUBLING
}

fn bucket_of(us: u64) -> usize {
    if us <= LINEAR_US {
        return (us.saturating_sub(1) / FINE_US) as usize;
    }
    // Upper ends are inclusive.
    let below = us - 1;
    let doubling = below.ilog2() - LINEAR_US.ilog2();
    let step = (below - (LINEAR_US << doubling)) / ((LINEAR_US << doubling) / PER_DOUBLING);
    let index = LINEAR_US / FINE_US + u64::from(doubling) * PER_DOUBLING + step;
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_whose_ends_are_around_it() {
        for us in (0..5_000).chain((1..28).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let index = bucket_of(us);
            assert!(us <= up_to(index), "{us} in {index}");
            assert!(index == 0 || us > up_to(index - 1), "{us} in {index}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(up_to(BUCKETS - 2), 1 << 28);
        // No bucket is wider than an eighth of where it begins.
        assert!((9..BUCKETS).all(|index| (up_to(index) - up_to(index - 1)) * 8 <= up_to(index - 1)));
    }

    #[test]
    fn the_histogram_holds_all_values_and_its_ends_are_not_empty() {
        let mut latency = Latency::new();
        for us in [100_u64, 100, 250, 90_000, 400_000_000] {
            latency.add_ns(us * 1_000);
        }
        let histogram = latency.histogram();
        assert_eq!(histogram.iter().map(|bucket| bucket.count).sum::<u64>(), 5);
        assert_eq!(histogram.first().map(|bucket| (bucket.up_to_us, bucket.count)), Some((104, 2)));
        assert!(histogram.last().is_some_and(|bucket| bucket.up_to_us >= 400_000_000 && bucket.count == 1));
        assert!(histogram.windows(2).all(|pair| pair[0].up_to_us < pair[1].up_to_us));
        assert!(Latency::new().histogram().is_empty());
    }
}
