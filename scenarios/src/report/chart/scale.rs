//! Scales: from a figure to a place, with round ticks.

/// How the figures of an axis lie on it.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Linear,
    Log,
}

/// One axis.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::report) struct Scale {
    kind: Kind,
    min: f64,
    max: f64,
    /// Round figures on it, smallest first.
    pub(in crate::report) ticks: Vec<f64>,
}

/// Steps that people call round.
const STEPS: [f64; 4] = [1.0, 2.0, 2.5, 5.0];

impl Scale {
    /// From `min` to at least `max`, ending on a tick; about `wanted` ticks.
    pub(in crate::report) fn linear(min: f64, max: f64, wanted: usize) -> Self {
        let step = step(min, max, wanted);
        let top = (max / step).ceil().max((min / step).floor() + 1.0) * step;
        Self { kind: Kind::Linear, min, max: top, ticks: ticks(min, top, step) }
    }

    /// From `min` to `max` exactly, for time.
    pub(in crate::report) fn exact(min: f64, max: f64, wanted: usize) -> Self {
        let max = if max > min { max } else { min + 1.0 };
        Self { kind: Kind::Linear, min, max, ticks: ticks(min, max, step(min, max, wanted)) }
    }

    /// Powers of ten that hold both figures; at least one decade, at most twelve.
    pub(in crate::report) fn log(min: f64, max: f64) -> Self {
        let exponent = |value: f64| if value.is_finite() && value > 0.0 { value.log10() } else { 0.0 };
        let from = exponent(min).floor();
        let to = exponent(max).ceil().clamp(from + 1.0, from + 12.0);
        let ticks = (0..=12).map(|n| from + f64::from(n)).take_while(|e| *e <= to).map(|e| 10_f64.powf(e)).collect();
        Self { kind: Kind::Log, min: 10_f64.powf(from), max: 10_f64.powf(to), ticks }
    }

    /// Where a figure is, 0 to 1. What is outside lies on the edge.
    pub(in crate::report) fn part(&self, value: f64) -> f64 {
        let part = match self.kind {
            Kind::Linear => (value - self.min) / (self.max - self.min),
            Kind::Log => (value.max(self.min) / self.min).log10() / (self.max / self.min).log10(),
        };
        if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 }
    }
}

fn step(min: f64, max: f64, wanted: usize) -> f64 {
    let span = if max.is_finite() && max > min { max - min } else { 1.0 };
    let rough = span / wanted.max(1) as f64;
    let decade = 10_f64.powf(rough.log10().floor());
    STEPS.iter().map(|step| step * decade).find(|step| *step >= rough * 0.999).unwrap_or(decade * 10.0)
}

fn ticks(min: f64, max: f64, step: f64) -> Vec<f64> {
    let first = (min / step - 1e-9).ceil();
    // Counted, so that no rounding adds up and no span makes many.
    (0..50).map(|n| (first + f64::from(n)) * step).take_while(|tick| *tick <= max + step * 1e-6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover() {
        assert_eq!(Scale::linear(0.0, 2_152.8, 5).ticks, [0.0, 500.0, 1_000.0, 1_500.0, 2_000.0, 2_500.0]);
        assert_eq!(Scale::exact(0.0, 8_000.0, 8).ticks.len(), 9);
        assert_eq!(Scale::log(7.0, 3_541.0).ticks, [1.0, 10.0, 100.0, 1_000.0, 10_000.0]);
    }

    #[test]
    fn nothing_makes_a_place_that_is_no_number() {
        for scale in [
            Scale::linear(0.0, 0.0, 5),
            Scale::exact(3.0, 3.0, 5),
            Scale::log(0.0, 0.0),
            Scale::log(f64::NAN, f64::INFINITY),
        ] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300] {
                assert!((0.0..=1.0).contains(&scale.part(value)), "{scale:?} {value}");
            }
            assert!(!scale.ticks.is_empty() && scale.ticks.len() <= 50, "{scale:?}");
        }
    }

    #[test]
    fn a_decade_is_the_same_everywhere_on_a_log_axis() {
        let scale = Scale::log(1.0, 10_000.0);
        assert!((scale.part(100.0) - 0.5).abs() < 1e-9);
    }
}
