//! Whether a controller's M3UA layer is alive, and until when it may act.

use std::time::{Duration, Instant};

/// Settings of [`Liveness`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between BEATs while something is unconfirmed or asked.
    pub(crate) beat: Duration,
    /// Between BEATs otherwise.
    pub(crate) idle_beat: Duration,
    /// Silence after which the controller is dead.
    pub(crate) dead: Duration,
}

/// Round trips that an answer has time at least.
const ROUND_TRIPS: u32 = 4;
/// Round trips that silence after something heard must last at least: what came then answers what was asked a round trip before.
const ROUND_TRIPS_AFTER: u32 = ROUND_TRIPS - 1;

/// Supervision of one controller.
#[derive(Debug)]
pub(crate) struct Liveness {
    pace: Pace,
    /// Since when the controller owes a sign of life: the later of the oldest question and the last thing heard.
    silent_since: Option<Instant>,
    /// That is the last thing heard.
    heard: bool,
    next_beat: Instant,
    /// Liveness BEATs sent; names the newest.
    sent: u64,
    /// The newest one answered.
    answered: u64,
}

impl Liveness {
    pub(crate) fn new(now: Instant, pace: Pace) -> Self {
        Self { pace, silent_since: None, heard: false, next_beat: now, sent: 0, answered: 0 }
    }

    /// Something was sent that will be answered.
    pub(crate) fn asked(&mut self, now: Instant) {
        if self.silent_since.is_none() {
            self.silent_since = Some(now);
            self.heard = false;
            self.next_beat = self.next_beat.min(now + self.pace.beat);
        }
    }

    /// Something came from the M3UA layer. `owes`: messages are still unconfirmed.
    pub(crate) fn heard(&mut self, now: Instant, owes: bool) {
        if owes || self.answered < self.sent {
            self.silent_since = Some(now);
            self.heard = true;
        } else {
            self.silent_since = None;
            self.next_beat = now + self.pace.idle_beat;
        }
    }

    /// The echo of a liveness BEAT came.
    pub(crate) fn answered(&mut self, number: u64) {
        if number <= self.sent {
            self.answered = self.answered.max(number);
        }
    }

    /// Every liveness BEAT counts as answered (an ASP that drops Heartbeat Data).
    pub(crate) fn answered_all(&mut self) {
        self.answered = self.sent;
    }

    /// The number of the BEAT to send now, if one is due. The next one follows at the tight pace unless this one is answered.
    pub(crate) fn beat(&mut self, now: Instant) -> Option<u64> {
        if now < self.next_beat {
            return None;
        }
        self.sent += 1;
        self.asked(now);
        self.next_beat = now + self.pace.beat;
        Some(self.sent)
    }

    /// A BEAT cannot go now (one is outstanding and may not be doubled).
    pub(crate) fn postpone(&mut self, now: Instant) {
        if self.next_beat <= now {
            self.next_beat = now + self.pace.beat;
        }
    }

    /// When the controller is dead if nothing is heard until then.
    pub(crate) fn deadline(&self, rtt: Option<Duration>) -> Option<Instant> {
        let round_trips = if self.heard { ROUND_TRIPS_AFTER } else { ROUND_TRIPS };
        let patience = self.pace.dead.max(rtt.unwrap_or_default() * round_trips);
        self.silent_since.map(|since| since + patience)
    }

    /// Not silent for longer than two BEATs or round trips.
    pub(crate) fn is_prompt(&self, now: Instant, rtt: Option<Duration>) -> bool {
        let usual = 2 * self.pace.beat.max(rtt.unwrap_or_default());
        self.silent_since.is_none_or(|since| now < since + usual)
    }

    /// It answered a liveness BEAT once.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered > 0
    }

    /// This gateway itself did not run for a while: what was sent to it waits unread, so the controller is not to blame. What was
    /// heard after the stall needs no excuse: silence never begins later than now.
    pub(crate) fn excuse(&mut self, now: Instant, stall: Duration) {
        if let Some(since) = &mut self.silent_since {
            *since = (*since + stall).min(now);
        }
    }

    /// When the next BEAT is due.
    pub(crate) fn next_beat(&self) -> Instant {
        self.next_beat
    }
}

/// Until when a controller may act, as far as this gateway granted it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lease {
    end: Option<Instant>,
}

impl Lease {
    /// The lease BEAT was echoed now. The controller counts from when it sent the BEAT, which was not later.
    pub(crate) fn granted(&mut self, now: Instant, lease: Duration) {
        self.end = Some(self.end.map_or(now + lease, |end| end.max(now + lease)));
    }

    /// From when on the controller certainly no longer acts.
    pub(crate) fn safe_from(&self, now: Instant, margin: Duration) -> Instant {
        self.end.map_or(now, |end| (end + margin).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        beat: Duration::from_millis(50),
        idle_beat: Duration::from_millis(1_000),
        dead: Duration::from_millis(320),
    };

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn silence_counts_only_while_something_is_asked() {
        let t = Instant::now();
        let mut live = Liveness::new(t, PACE);
        assert_eq!(live.deadline(None), None);
        assert_eq!(live.beat(t), Some(1));
        assert_eq!(live.deadline(None), Some(t + ms(320)));
        live.answered(1);
        live.heard(t + ms(10), false);
        assert_eq!(live.deadline(None), None);
        assert_eq!(live.next_beat(), t + ms(1_010), "idle pace");
    }

    #[test]
    fn data_tightens_and_progress_moves_the_deadline() {
        let t = Instant::now();
        let mut live = Liveness::new(t, PACE);
        live.beat(t);
        live.answered(1);
        live.heard(t, false);
        live.asked(t + ms(100));
        assert_eq!(live.next_beat(), t + ms(150));
        live.heard(t + ms(120), true);
        assert_eq!(live.deadline(None), Some(t + ms(440)), "still owes");
        assert_eq!(live.beat(t + ms(150)), Some(2));
        assert_eq!(live.next_beat(), t + ms(200));
    }

    #[test]
    fn never_under_four_round_trips() {
        let t = Instant::now();
        let mut live = Liveness::new(t, PACE);
        live.asked(t);
        assert_eq!(live.deadline(Some(ms(150))), Some(t + ms(600)));
        // What came now was asked for 150 ms ago.
        live.heard(t + ms(150), true);
        assert_eq!(live.deadline(Some(ms(150))), Some(t + ms(600)));
        live.heard(t + ms(200), true);
        assert_eq!(live.deadline(Some(ms(150))), Some(t + ms(650)));
        // Silence is silence, however near.
        assert_eq!(live.deadline(Some(ms(100))), Some(t + ms(520)));
    }

    #[test]
    fn a_forged_answer_is_no_answer() {
        let t = Instant::now();
        let mut live = Liveness::new(t, PACE);
        live.beat(t);
        live.answered(99);
        live.heard(t, false);
        assert!(live.deadline(None).is_some());
    }

    #[test]
    fn our_own_stall_is_no_silence() {
        let t = Instant::now();
        let mut live = Liveness::new(t, PACE);
        live.asked(t);
        live.excuse(t + ms(250), ms(200));
        assert_eq!(live.deadline(None), Some(t + ms(520)));
    }

    #[test]
    fn an_excuse_does_not_reach_into_the_future() {
        let t = Instant::now();
        let mut live = Liveness::new(t, PACE);
        live.asked(t);
        // After a stall of 2 s the input that waited is read before the timers are served.
        live.heard(t + ms(2_000), true);
        live.excuse(t + ms(2_000), ms(1_950));
        assert_eq!(live.deadline(None), Some(t + ms(2_320)), "dying right after it is noticed as ever");
    }

    #[test]
    fn groups_move_only_after_the_lease() {
        let t = Instant::now();
        let mut lease = Lease::default();
        assert_eq!(lease.safe_from(t, ms(20)), t, "never had one");
        lease.granted(t, ms(280));
        lease.granted(t + ms(40), ms(100));
        assert_eq!(lease.safe_from(t + ms(50), ms(20)), t + ms(300));
        assert_eq!(lease.safe_from(t + ms(400), ms(20)), t + ms(400));
    }
}
