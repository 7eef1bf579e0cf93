//! How congested the pool is, as the network is told (SCON, RFC 4666 sections 3.4.4 and 4.5): three levels by how full the queues are.
//!
//! A level is left only some way below where it was reached, so that a queue at a threshold is not a SCON for each message.

use super::Pool;
use std::time::{Duration, Instant};

/// What the network was told.
#[derive(Debug, Default)]
pub(super) struct Congestion {
    /// 0: not congested.
    level: u8,
    /// It is told again: peers may forget a level that is not confirmed (RFC 4666 section 3.4.4).
    again: Option<Instant>,
    /// The network is to be told.
    untold: bool,
}

impl Congestion {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.again
    }
}

/// The level at this filling, per cent, after `level`.
fn step(level: u8, filled: usize, onset: [u8; 3], abatement: u8) -> u8 {
    let reached =
        |by: u8| onset.iter().take_while(|onset| usize::from(onset.saturating_sub(by)) <= filled).count() as u8;
    // Up where a threshold is reached, down where even the threshold less the distance is not.
    reached(0).max(level.min(reached(abatement)))
}

impl Pool {
    /// Looks at the queues, once a batch: there are hundreds of pools.
    pub(super) fn follow_congestion(&mut self, now: Instant) {
        let server = &self.settings.server;
        let percent = |part: usize, whole: usize| part.saturating_mul(100) / whole.max(1);
        let filled = match self.queued.messages {
            0 => 0,
            messages => {
                percent(messages, server.queue_messages_max).max(percent(self.queued.bytes, server.queue_bytes_max))
            }
        };
        let before = self.congestion.level;
        if filled == 0 && before == 0 {
            return;
        }
        // What cannot be reached is not congested: DUNA says all.
        let level = match self.unavailable {
            true => 0,
            false => step(before, filled, server.congestion_levels_percent, server.congestion_abatement_percent),
        };
        if level != before || self.congestion.again.is_some_and(|again| again <= now) {
            self.congestion.level = level;
            self.congestion.again = (level > 0).then(|| now + Duration::from_millis(server.scon_interval_ms));
            self.congestion.untold = !self.unavailable;
            self.counters.congestion_changes += u64::from(level != before);
        }
    }

    /// The level that the network must be told now: another one, or the same again.
    pub(crate) fn take_congestion(&mut self) -> Option<u8> {
        std::mem::take(&mut self.congestion.untold).then_some(self.congestion.level)
    }

    /// The level the network knows; 0: not congested.
    pub(crate) fn congestion_level(&self) -> u8 {
        self.congestion.level
    }
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn levels_are_left_below_where_they_are_reached() {
        let next = |level, filled| step(level, filled, [50, 65, 80], 10);
        for (level, filled, expected) in [
            (0, 49, 0),
            (0, 50, 1),
            (0, 100, 3),
            (1, 45, 1),
            (1, 40, 1),
            (1, 39, 0),
            (2, 55, 2),
            (2, 54, 1),
            (3, 70, 3),
            (3, 69, 2),
            (3, 0, 0),
            (2, 80, 3),
        ] {
            assert_eq!(next(level, filled), expected, "from {level} at {filled} per cent");
        }
    }
}
