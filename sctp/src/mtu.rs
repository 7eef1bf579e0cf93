//! The longest packet of a path (RFC 8899): it begins with what any path should carry, and is searched upward with padded
//! HEARTBEATs. DATA chunks are never longer than the beginning, so a path that gets smaller costs packets, not messages.

use std::time::{Duration, Instant};

/// Probes of one length before it counts as too long (MAX_PROBES).
const PROBES_MAX: u32 = 3;
/// How long one may take (PROBE_TIMER).
const PROBE_WAIT: Duration = Duration::from_secs(1);
/// The search is over when it could gain no more than this.
const STEP: usize = 32;
/// After that long it is searched again (PMTU_RAISE_TIMER): routes change.
const RAISE: Duration = Duration::from_secs(600);

/// What a probe was sent for, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Probe {
    length: usize,
    tries: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PathMtu {
    base: usize,
    max: usize,
    /// Lengths up to this arrive.
    current: usize,
    /// Lengths from this on do not, as far as is known.
    too_long: usize,
    /// Nothing is known against what is just shorter than that, so it is tried first.
    untried: bool,
    probe: Option<Probe>,
    /// When it was last in doubt.
    doubted_at: Option<Instant>,
    /// The next probe, or the end of the last one's time.
    at: Option<Instant>,
}

impl PathMtu {
    pub(crate) fn new(base: usize, max: usize, now: Instant) -> Self {
        // Packets are of whole words.
        let max = max / 4 * 4;
        Self {
            base,
            max,
            current: base,
            too_long: max + 1,
            untried: true,
            probe: None,
            doubted_at: None,
            at: (max > base).then_some(now),
        }
    }

    /// Bytes of an SCTP packet.
    pub(crate) fn length(&self) -> usize {
        self.current
    }

    /// When [`PathMtu::due`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.at
    }

    /// What happens when the time has come: the length of a probe to send, if one is to be sent.
    pub(crate) fn due(&mut self, now: Instant) -> Option<usize> {
        if self.at.is_none_or(|at| at > now) {
            return None;
        }
        if let Some(Probe { length, tries }) = self.probe {
            if tries < PROBES_MAX {
                return Some(self.send(length, tries + 1, now));
            }
            self.refused(length);
        } else if self.candidate().is_none() {
            (self.too_long, self.untried) = (self.max + 1, true);
        }
        match self.candidate() {
            Some(length) => Some(self.send(length, 1, now)),
            None => {
                self.rest(now);
                None
            }
        }
    }

    /// A probe came back.
    pub(crate) fn confirmed(&mut self, length: usize, now: Instant) {
        if length <= self.max && length < self.too_long {
            self.current = self.current.max(length);
        }
        if self.probe.is_some_and(|probe| probe.length <= length) {
            self.probe = None;
            match self.candidate() {
                Some(_) => self.at = Some(now),
                None => self.rest(now),
            }
        }
    }

    /// A packet was refused on the way, or by our own device; `largest` would have passed. True when that changes the length.
    pub(crate) fn too_big(&mut self, largest: Option<usize>, now: Instant) -> bool {
        let Some(largest) = largest.map(|bytes| bytes / 4 * 4) else { return self.too_big_for_what(now) };
        if largest >= self.too_long {
            return false;
        }
        let before = self.current;
        (self.too_long, self.untried) = (largest + 1, true);
        self.current = before.min(largest).max(self.base);
        self.probe = None;
        // What would have passed is tried at once, if it is more than what is known to pass.
        if largest > self.current {
            self.at = Some(now);
        } else {
            self.rest(now);
        }
        self.current != before
    }

    fn too_big_for_what(&mut self, now: Instant) -> bool {
        let Some(probe) = self.probe else { return self.black_hole(now) };
        let before = self.current;
        self.refused(probe.length);
        self.at = Some(now);
        self.current != before
    }

    /// Nothing comes back: perhaps because it is too long. True when that changes the length.
    pub(crate) fn black_hole(&mut self, now: Instant) -> bool {
        let before = std::mem::replace(&mut self.current, self.base);
        if before == self.base {
            return false;
        }
        // Not sooner than when a failure that had nothing to do with it is over.
        (self.too_long, self.untried, self.probe) = (self.max + 1, true, None);
        self.at = Some(now + PROBE_WAIT);
        true
    }

    /// Packets were lost: are the long ones still getting through?
    pub(crate) fn doubt(&mut self, now: Instant) {
        let lately = self.doubted_at.is_some_and(|at| now < at + PROBE_WAIT);
        if self.current > self.base && self.probe.is_none() && !lately {
            self.doubted_at = Some(now);
            (self.probe, self.at) = (Some(Probe { length: self.current, tries: 0 }), Some(now));
        }
    }

    fn send(&mut self, length: usize, tries: u32, now: Instant) -> usize {
        (self.probe, self.at) = (Some(Probe { length, tries }), Some(now + PROBE_WAIT));
        length
    }

    /// So many probes of this length were lost.
    fn refused(&mut self, length: usize) {
        self.probe = None;
        (self.too_long, self.untried) = (self.too_long.min(length), false);
        if self.current >= length {
            self.current = self.base;
        }
    }

    /// The next length to try: the longest possible first, then halving.
    fn candidate(&self) -> Option<usize> {
        let longest = (self.too_long - 1) / 4 * 4;
        if longest <= self.current {
            None
        } else if self.untried {
            Some(longest)
        } else {
            let middle = usize::midpoint(self.current, self.too_long) / 4 * 4;
            (self.too_long > self.current + STEP).then_some(middle)
        }
    }

    fn rest(&mut self, now: Instant) {
        self.probe = None;
        self.at = Some(now + RAISE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends probes over a path that carries so much, until the search rests; returns how many probes went out.
    fn search(mtu: &mut PathMtu, now: &mut Instant, carries: usize) -> u32 {
        let mut probes = 0;
        loop {
            let at = mtu.poll_timeout().unwrap();
            if at.saturating_duration_since(*now) > PROBE_WAIT {
                return probes;
            }
            *now = at.max(*now);
            if let Some(length) = mtu.due(*now) {
                probes += 1;
                if length <= carries {
                    mtu.confirmed(length, *now);
                }
            }
        }
    }

    #[test]
    fn what_the_path_carries_is_found_from_below() {
        let mut now = Instant::now();
        for (carries, probes) in [(9_000, 1), (1_400, 1), (1_300, 10), (1_100, 12)] {
            let mut mtu = PathMtu::new(1_200, 1_400, now);
            assert_eq!(mtu.length(), 1_200);
            let sent = search(&mut mtu, &mut now, carries);
            let found = mtu.length();
            assert!(found <= carries.max(1_200) && found + STEP > carries.clamp(1_200, 1_400), "{carries}: {found}");
            assert!(sent <= probes, "{carries}: {sent} probes");
        }
    }

    #[test]
    fn nothing_is_probed_when_there_is_nothing_to_gain() {
        let mtu = PathMtu::new(1_400, 1_400, Instant::now());
        assert_eq!((mtu.poll_timeout(), mtu.length()), (None, 1_400));
    }

    #[test]
    fn a_route_that_got_better_is_found_after_a_while() {
        let mut now = Instant::now();
        let mut mtu = PathMtu::new(1_200, 9_000, now);
        search(&mut mtu, &mut now, 1_500);
        let before = mtu.length();
        assert!((1_468..=1_500).contains(&before), "{before}");
        now = mtu.poll_timeout().unwrap();
        search(&mut mtu, &mut now, 9_000);
        assert_eq!(mtu.length(), 9_000);
    }

    #[test]
    fn a_router_that_says_what_it_takes_ends_the_search() {
        let now = Instant::now();
        let mut mtu = PathMtu::new(1_200, 9_000, now);
        assert_eq!(mtu.due(now), Some(9_000));
        assert!(!mtu.too_big(Some(1_472), now));
        assert_eq!(mtu.due(now), Some(1_472));
        mtu.confirmed(1_472, now);
        assert_eq!(mtu.length(), 1_472);
        // Less than it takes by itself, and less than any path should carry: never under the base.
        assert!(mtu.too_big(Some(1_302), now));
        assert_eq!(mtu.length(), 1_300);
        assert!(mtu.too_big(Some(68), now));
        assert_eq!(mtu.length(), 1_200);
        assert!(!mtu.too_big(Some(9_000), now));
        // One that does not say: halving, without waiting.
        let mut mtu = PathMtu::new(1_200, 9_000, now);
        assert_eq!(mtu.due(now), Some(9_000));
        assert!(!mtu.too_big(None, now));
        assert_eq!(mtu.due(now), Some(5_100));
    }

    #[test]
    fn a_path_that_swallows_long_packets_is_found_out() {
        let mut now = Instant::now();
        let mut mtu = PathMtu::new(1_200, 1_400, now);
        search(&mut mtu, &mut now, 1_400);
        // It still carries them: the doubt costs a probe.
        mtu.doubt(now);
        search(&mut mtu, &mut now, 1_400);
        assert_eq!(mtu.length(), 1_400);
        // Not for every packet.
        mtu.doubt(now);
        assert_eq!(mtu.due(now), None);
        now += PROBE_WAIT;
        mtu.doubt(now);
        search(&mut mtu, &mut now, 1_250);
        assert!((1_218..=1_250).contains(&mtu.length()), "{}", mtu.length());
        // Silence: at once.
        assert!(mtu.black_hole(now));
        assert_eq!(mtu.length(), 1_200);
        assert!(!mtu.black_hole(now));
        search(&mut mtu, &mut now, 1_400);
        assert_eq!(mtu.length(), 1_400);
    }
}
