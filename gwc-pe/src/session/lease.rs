//! The lease: the controller acts only for `lease_ms` after the sending of the last BEAT that the gateway echoed.

use m3ua_lite::session::Lease as Beat;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most BEATs remembered; echoes of older ones renew nothing.
const BEATS_MAX: usize = 64;

/// The lease of one gateway.
#[derive(Debug)]
pub(crate) struct Lease {
    length: Duration,
    interval: Duration,
    /// Sent and not echoed, oldest first.
    sent: VecDeque<(u64, Instant)>,
    next: Option<Instant>,
    until: Option<Instant>,
}

impl Lease {
    pub(crate) fn new(lease_ms: u32, beat_ms: u64) -> Self {
        Self {
            length: Duration::from_millis(u64::from(lease_ms)),
            interval: Duration::from_millis(beat_ms),
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
        self.sent.push_back((ns, now));
        // `length` was made from a u32.
        Some(Beat { sent_ns: ns, lease_ms: u32::try_from(self.length.as_millis()).unwrap_or(u32::MAX) })
    }

    /// An echo came. True when it renewed the lease: it is of a BEAT of ours that was not echoed yet.
    pub(crate) fn echoed(&mut self, echo: Beat) -> bool {
        let Some(at) = self.sent.iter().position(|(ns, _)| *ns == echo.sent_ns) else { return false };
        let Some((_, sent)) = self.sent.drain(..=at).next_back() else { return false };
        self.until = Some(sent + self.length);
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

    #[test]
    fn lasts_from_the_sending_not_from_the_echo() {
        let start = Instant::now();
        let mut lease = Lease::new(280, 40);
        assert_eq!(lease.due(start, 5), None);
        lease.start(start);
        let beat = lease.due(start, 5).unwrap();
        assert_eq!(beat, Beat { sent_ns: 5, lease_ms: 280 });
        assert_eq!(lease.due(start, 5), None);
        assert!(!lease.holds(start) && !lease.is_lost(start));
        assert!(lease.echoed(beat));
        assert!(lease.holds(start + ms(279)));
        assert!(lease.is_lost(start + ms(280)));
        assert_eq!(lease.poll_timeout(), Some(start + ms(40)));
    }

    #[test]
    fn only_own_beats_renew_and_each_once() {
        let start = Instant::now();
        let mut lease = Lease::new(280, 40);
        lease.start(start);
        let first = lease.due(start, 1).unwrap();
        let second = lease.due(start + ms(40), 2).unwrap();
        assert!(!lease.echoed(Beat { sent_ns: 99, lease_ms: 280 }));
        assert!(lease.echoed(second));
        assert_eq!(lease.left(start + ms(40)), ms(280));
        // A late echo of an older one must not shorten it, an echo again must not renew it.
        assert!(!lease.echoed(first) && !lease.echoed(second));
        assert_eq!(lease.left(start + ms(40)), ms(280));
    }
}
