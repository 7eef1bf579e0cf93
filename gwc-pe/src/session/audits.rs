//! Groups that came from another controller and wait for their audit, at a pace.

use crate::isup;
use m3ua_lite::session::GroupKey;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// At most one entry for each restored group; a group that is restored again is put behind the others again.
#[derive(Debug, Default)]
pub(super) struct Audits {
    waiting: VecDeque<GroupKey>,
    /// When it is the next one's turn.
    next: Option<Instant>,
}

impl Audits {
    /// The group was just restored.
    pub(super) fn add(&mut self, now: Instant, config: &isup::Config, key: GroupKey) {
        if config.audits_per_s == 0 {
            return;
        }
        self.waiting.retain(|waiting| *waiting != key);
        self.waiting.push_back(key);
        // What the controller before left unanswered is answered first.
        self.next.get_or_insert(now + Duration::from_millis(config.audit_recheck_ms));
    }

    /// The group whose turn it is, once a turn.
    pub(super) fn take(&mut self, now: Instant, config: &isup::Config) -> Option<GroupKey> {
        self.next.filter(|at| *at <= now)?;
        let key = self.waiting.pop_front();
        let pause = Duration::from_secs(1) / config.audits_per_s.max(1);
        self.next = (!self.waiting.is_empty()).then_some(now + pause);
        key
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}
