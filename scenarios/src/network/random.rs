//! Numbers that look random and follow from a seed: the same run again.

/// SplitMix64's finaliser: spreads a number over all bits.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The random number of the `serial`-th event of a run.
pub(crate) fn random(seed: u64, serial: u64) -> u64 {
    mix(seed ^ serial.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// From `least` to `most`, all alike; 48 bits of randomness.
pub(crate) fn uniform((least, most): (u32, u32), random: u64) -> u64 {
    u64::from(least) + random % (u64::from(most.saturating_sub(least)) + 1)
}

/// Means after which an exponential distribution is cut: 0.7 % of its values are longer.
const MEANS_MAX: f64 = 5.0;

/// At least `least`, and what comes on top is exponential, so that the mean is the middle of the two; cut at five times that.
pub(crate) fn exponential((least, most): (u32, u32), random: u64) -> u64 {
    let mean = f64::from(most.saturating_sub(least)) / 2.0;
    // 48 bits, never 0.
    let unit = ((random & 0xffff_ffff_ffff) + 1) as f64 / (1_u64 << 48) as f64;
    u64::from(least) + (mean * (-unit.ln()).min(MEANS_MAX)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: fn((u32, u32), u64) -> u64) -> Vec<u64> {
        let mut values: Vec<u64> = (0..100_000).map(|serial| of((500, 1_500), random(7, serial) >> 16)).collect();
        values.sort_unstable();
        values
    }

    fn mean(values: &[u64]) -> f64 {
        values.iter().sum::<u64>() as f64 / values.len() as f64
    }

    #[test]
    fn both_distributions_have_the_middle_as_mean_and_keep_their_bounds() {
        let even = values(uniform);
        assert_eq!((even[0], even[99_999]), (500, 1_500));
        assert!((mean(&even) - 1_000.0).abs() < 5.0, "{}", mean(&even));
        assert!((990..=1_010).contains(&even[50_000]), "the median is the mean");
        let decay = values(exponential);
        assert_eq!((decay[0], decay[99_999]), (500, 3_000));
        assert!((mean(&decay) - 1_000.0).abs() < 10.0, "{}", mean(&decay));
        // ln 2 means.
        assert!((835..=858).contains(&decay[50_000]), "{}", decay[50_000]);
        let cut = decay.iter().filter(|value| **value == 3_000).count();
        assert!((550..=800).contains(&cut), "e^-5: {cut}");
    }

    #[test]
    fn a_range_of_one_value_is_that_value() {
        for random in [0, 1, u64::MAX] {
            assert_eq!((uniform((7, 7), random), exponential((7, 7), random)), (7, 7));
        }
    }
}
