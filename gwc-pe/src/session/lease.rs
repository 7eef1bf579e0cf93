//! The lease: the controller acts only for `lease_ms` after the sending of the last BEAT that the gateway echoed.
//!
//! The echo takes a round trip, and what is left after it must do until the next echo. So a lease is never under two and a half
//! round trips: over before the gateway, which waits for three, gives the controller up, so that waiting for its end costs nothing.

use crate::config;
use m3ua_lite::session::Lease as Beat;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most BEATs remembered; echoes of older ones renew nothing.
const BEATS_MAX: usize = 64;

/// A BEAT that was not echoed yet.
#[derive(Debug)]
struct Sent {
    ns: u64,
    at: Instant,
    length: Duration,
}

/// The lease of one gateway.
#[derive(Debug)]
pub(crate) struct Lease {
    least: Duration,
    most: Duration,
    interval: Duration,
    /// From BEAT to echo, smoothed as in RFC 9260 section 6.3.1.
    round_trip: Option<Duration>,
    /// Oldest first.
    sent: VecDeque<Sent>,
    next: Option<Instant>,
    until: Option<Instant>,
}

impl Lease {
    pub(crate) fn new(settings: &config::Session) -> Self {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        Self {
            least: ms(settings.lease_ms),
            most: ms(settings.lease_ms_max),
            interval: Duration::from_millis(settings.lease_beat_ms),
            round_trip: None,
            sent: VecDeque::new(),
            next: None,
            until: None,
        }
    }

    /// The gateway is there: BEATs go out from now on.
    pub(crate) fn start(&mut self, now: Instant) {
        self.next = Some(now);
    }

    /// The BEAT to send now, if one is due; `ns` is `now` on the controller's clock.
    pub(crate) fn due(&mut self, now: Instant, ns: u64) -> Option<Beat> {
        self.next.filter(|at| *at <= now)?;
        self.next = Some(now + self.interval);
        if self.sent.len() == BEATS_MAX {
            self.sent.pop_front();
        }
        let grown = self.round_trip.unwrap_or_default() * 5 / 2;
        // In whole ms, as the gateway is told. Both bounds were made from a u32.
        let lease_ms = u32::try_from(grown.clamp(self.least, self.most).as_millis()).unwrap_or(u32::MAX);
        let length = Duration::from_millis(u64::from(lease_ms));
        self.sent.push_back(Sent { ns, at: now, length });
        Some(Beat { sent_ns: ns, lease_ms })
    }

    /// An echo came. True when it renewed the lease: it is of a BEAT of ours that was not echoed yet.
    pub(crate) fn echoed(&mut self, now: Instant, echo: Beat) -> bool {
        let Some(position) = self.sent.iter().position(|sent| sent.ns == echo.sent_ns) else { return false };
        let Some(sent) = self.sent.drain(..=position).next_back() else { return false };
        let measured = now.saturating_duration_since(sent.at);
        self.round_trip = Some(self.round_trip.map_or(measured, |smoothed| smoothed * 7 / 8 + measured / 8));
        let until = sent.at + sent.length;
        if self.until.is_none() && until <= now {
            // So far away that the first lease was over before its echo came; the next one is longer.
            return false;
        }
        // One that is shorter does not take back what was granted.
        self.until = self.until.max(Some(until));
        true
    }

    /// May act at `now`.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Had the lease and has it no longer.
    pub(crate) fn is_lost(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// What is left of it.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next.into_iter().chain(self.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn lease() -> Lease {
        Lease::new(&config::Session { lease_ms_max: 2_000, ..config::Session::default() })
    }

    #[test]
    fn lasts_from_the_sending_not_from_the_echo() {
        let start = Instant::now();
        let mut lease = lease();
        assert_eq!(lease.due(start, 5), None);
        lease.start(start);
        let beat = lease.due(start, 5).unwrap();
        assert_eq!(beat, Beat { sent_ns: 5, lease_ms: 280 });
        assert_eq!(lease.due(start, 5), None);
        assert!(!lease.holds(start) && !lease.is_lost(start));
        assert!(lease.echoed(start, beat));
        assert!(lease.holds(start + ms(279)));
        assert!(lease.is_lost(start + ms(280)));
        assert_eq!(lease.poll_timeout(), Some(start + ms(40)));
    }

    #[test]
    fn only_own_beats_renew_and_each_once() {
        let start = Instant::now();
        let mut lease = lease();
        lease.start(start);
        let first = lease.due(start, 1).unwrap();
        let second = lease.due(start + ms(40), 2).unwrap();
        assert!(!lease.echoed(start + ms(40), Beat { sent_ns: 99, lease_ms: 280 }));
        assert!(lease.echoed(start + ms(40), second));
        assert_eq!(lease.left(start + ms(40)), ms(280));
        // A late echo of an older one must not shorten it, an echo again must not renew it.
        assert!(!lease.echoed(start + ms(40), first) && !lease.echoed(start + ms(40), second));
        assert_eq!(lease.left(start + ms(40)), ms(280));
    }

    /// Sends BEATs whose echoes take so long, for two seconds; the least that was left of the lease once it was held.
    fn least_left(round_trip: Duration) -> (Duration, u32) {
        let start = Instant::now();
        let mut lease = lease();
        lease.start(start);
        let mut on_the_way = VecDeque::new();
        let (mut least, mut last) = (Duration::MAX, 0);
        for tick in 0..2_000 {
            let now = start + ms(tick);
            while on_the_way.front().is_some_and(|(at, _)| *at <= now) {
                let (_, beat) = on_the_way.pop_front().unwrap();
                lease.echoed(now, beat);
            }
            if lease.until.is_some() {
                least = least.min(lease.left(now));
            }
            if let Some(beat) = lease.due(now, tick) {
                last = beat.lease_ms;
                on_the_way.push_back((now + round_trip, beat));
            }
        }
        (least, last)
    }

    #[test]
    fn it_grows_with_the_distance_and_is_never_lost_by_it() {
        for (round_trip, length) in [(1, 280), (40, 280), (90, 280), (150, 375), (300, 750), (500, 1_250)] {
            let (least, last) = least_left(ms(round_trip));
            assert_eq!(last, length, "round trip {round_trip} ms");
            assert!(least >= ms(80), "round trip {round_trip} ms: {least:?} left");
        }
        assert_eq!(least_left(ms(900)).1, 2_000, "not over lease_ms_max");
    }

    #[test]
    fn a_shorter_lease_does_not_shorten_what_was_granted() {
        let start = Instant::now();
        let mut lease = lease();
        lease.start(start);
        lease.round_trip = Some(ms(150));
        let long = lease.due(start, 1).unwrap();
        assert_eq!(long.lease_ms, 375);
        lease.round_trip = Some(ms(1));
        let short = lease.due(start + ms(40), 2).unwrap();
        assert!(lease.echoed(start + ms(41), long) && lease.echoed(start + ms(42), short));
        assert_eq!(lease.left(start), ms(375));
    }
}
