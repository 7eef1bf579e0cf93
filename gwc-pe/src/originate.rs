//! The controller's own calls, at their rate, over the gateways in turn.

use crate::node::{Node, Role};
use std::time::{Duration, Instant};

impl Node {
    pub(crate) fn call_interval(&self) -> Option<Duration> {
        let rate = self.shared.config.call.originate_per_s;
        (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate))
    }

    /// Originates the calls that are due; what was missed while the process stood still is not made up for.
    pub(crate) fn originate(&mut self, now: Instant) {
        let Some(interval) = self.call_interval() else { return };
        if self.next_call + interval * 10 < now {
            self.next_call = now;
        }
        while self.next_call <= now {
            self.next_call += interval;
            let mut sessions: Vec<_> = self
                .roles
                .values_mut()
                .filter_map(|role| match role {
                    Role::Gateway(session) => Some(session),
                    Role::Server(_) | Role::Attaching | Role::Closing => None,
                })
                .collect();
            self.turn += 1;
            for step in 0..sessions.len() {
                let at = (self.turn + step) % sessions.len();
                if sessions[at].originate(now, &mut self.shared) {
                    break;
                }
            }
        }
    }
}
