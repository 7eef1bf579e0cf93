//! Elements of a peer that found no place here: the checksums differ because of them, and another download changes nothing.

use std::time::{Duration, Instant};

/// Longest time between two downloads that bring nothing.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What of one peer's elements was refused.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refusals {
    /// Something was, since the last download began.
    seen: bool,
    /// The pause for it is set.
    judged: bool,
    pause: Duration,
    until: Option<Instant>,
    /// What the checksums differed by then.
    difference: Option<u16>,
}

impl Refusals {
    /// A download begins.
    pub(super) fn begin(&mut self) {
        self.seen = false;
        self.judged = false;
    }

    /// An element was refused.
    pub(super) fn refused(&mut self) {
        self.seen = true;
        self.difference = None;
    }

    /// The checksums agree.
    pub(super) fn agree(&mut self) {
        *self = Self::default();
    }

    /// Whether this difference is what was refused, so that no download is due yet: twice `interval` at first, then twice as long each
    /// time, up to [`PAUSE_MAX`]. A difference that changes by itself says that something else is missing too.
    pub(super) fn explain(&mut self, now: Instant, interval: Duration, difference: u16) -> bool {
        if !self.seen {
            self.pause = Duration::ZERO;
            return false;
        }
        if !std::mem::replace(&mut self.judged, true) {
            self.pause = self.pause.max(interval).saturating_mul(2).min(PAUSE_MAX.max(interval));
            self.until = Some(now + self.pause);
            self.difference = None;
        }
        if *self.difference.get_or_insert(difference) != difference {
            self.seen = false;
            return false;
        }
        self.until.is_some_and(|until| now < until)
    }
}

/// What two checksums differ by, in the arithmetic of RFC 1071: the same whatever else both sums have.
pub(super) fn difference(a: u16, b: u16) -> u16 {
    ((u32::from(a) + u32::from(!b)) % 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_a_minute_and_end_with_another_difference() {
        let (mut refusals, mut now) = (Refusals::default(), Instant::now());
        assert!(!refusals.explain(now, SECOND, 5), "nothing was refused");
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            refusals.begin();
            refusals.refused();
            assert!(refusals.explain(now, SECOND, 5));
            now += Duration::from_secs(seconds) - Duration::from_millis(1);
            assert!(refusals.explain(now, SECOND, 5));
            now += Duration::from_millis(1);
            assert!(!refusals.explain(now, SECOND, 5), "{seconds}");
        }
        refusals.begin();
        refusals.refused();
        assert!(refusals.explain(now, SECOND, 5));
        assert!(!refusals.explain(now, SECOND, 6), "an update was lost");
        refusals.begin();
        assert!(!refusals.explain(now, SECOND, 6), "and nothing refused");
        refusals.begin();
        refusals.refused();
        assert!(refusals.explain(now, SECOND, 6) && !refusals.explain(now + 2 * SECOND, SECOND, 6), "from the start");
    }

    #[test]
    fn a_difference_stays_when_both_get_the_same() {
        let add = |a: u16, b: u16| ((u32::from(a) + u32::from(b)) % 0xffff) as u16;
        for (a, b) in [(0x1234, 0xff00), (0xffff, 0), (7, 0xfffe), (0x8000, 0x8000)] {
            for more in [0, 1, 0x7fff, 0xfffe] {
                assert_eq!(difference(add(a, more), add(b, more)), difference(a, b), "{a:x} {b:x} {more:x}");
            }
        }
        assert_eq!(difference(3, 3), difference(9, 9));
    }
}
