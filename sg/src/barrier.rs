//! Barriers toward one controller: what was sent on each stream, in order, until it is confirmed.
//!
//! Each stream has a log of what was sent. A barrier BEAT goes ordered on the stream and covers the log so far; its echo empties
//! the log up to there. Cookies normally confirm first; then entries leave the log unasked, and no barrier is needed.
//! At most one barrier a stream is outstanding.

use crate::group::GroupId;
use m3ua_lite::session::CorrelationId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One message sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) group: GroupId,
    pub(crate) correlation_id: CorrelationId,
    at: Instant,
}

#[derive(Debug, Default)]
struct Stream {
    log: VecDeque<Sent>,
    /// Entries that ever left the log: the position of its front.
    left: u64,
    /// Position up to which the outstanding barrier covers the log.
    barrier: Option<u64>,
    /// Barriers sent; names the outstanding one.
    count: u64,
}

impl Stream {
    fn pop(&mut self) -> Option<Sent> {
        let sent = self.log.pop_front()?;
        self.left += 1;
        Some(sent)
    }
}

/// The logs and barriers of all streams of one association.
#[derive(Debug)]
pub(crate) struct Barriers {
    streams: Vec<Stream>,
    /// How old the oldest entry of a stream gets before a barrier asks for it.
    delay: Duration,
    /// When [`Barriers::sweep`] has something to do.
    due: Option<Instant>,
}

/// Streams there are at most; a barrier's id has its stream in the low 16 bits.
const STREAM_BITS: u32 = 16;

/// While a barrier is outstanding, how often the age of what it covers is looked at.
const RECHECK: Duration = Duration::from_millis(10);

impl Barriers {
    pub(crate) fn new(streams: u16, delay: Duration) -> Self {
        Self { streams: (0..streams).map(|_| Stream::default()).collect(), delay, due: None }
    }

    /// A message went out.
    pub(crate) fn sent(&mut self, now: Instant, stream: u16, group: GroupId, correlation_id: CorrelationId) {
        if let Some(entry) = self.streams.get_mut(usize::from(stream)) {
            entry.log.push_back(Sent { group, correlation_id, at: now });
            self.due.get_or_insert(now + self.delay);
        }
    }

    /// Drops what `confirmed` knows as confirmed, and calls `send` with stream and id for each barrier that is due; false means that
    /// it could not be sent now. Gives the time of the oldest message that is not confirmed.
    pub(crate) fn sweep(
        &mut self,
        now: Instant,
        confirmed: impl Fn(&Sent) -> bool,
        mut send: impl FnMut(u16, u64) -> bool,
    ) -> Option<Instant> {
        let (mut due, mut oldest) = (None, None);
        for (number, stream) in (0u16..).zip(&mut self.streams) {
            while stream.log.front().is_some_and(&confirmed) {
                stream.pop();
            }
            let Some(front) = stream.log.front() else { continue };
            oldest = earlier(oldest, front.at);
            if stream.barrier.is_some_and(|upto| upto > stream.left) {
                due = earlier(due, now + RECHECK);
                continue;
            }
            stream.barrier = None;
            let when = front.at + self.delay;
            let id = (stream.count + 1) << STREAM_BITS | u64::from(number);
            if when > now {
                due = earlier(due, when);
            } else if send(number, id) {
                stream.count += 1;
                stream.barrier = Some(stream.left + stream.log.len() as u64);
                due = earlier(due, now + RECHECK);
            } else {
                due = earlier(due, now + self.delay.max(Duration::from_millis(1)));
            }
        }
        self.due = due;
        oldest
    }

    /// The echo of a barrier came: calls `confirm` for each message it covers. False: not an outstanding barrier.
    pub(crate) fn acknowledged(&mut self, now: Instant, id: u64, mut confirm: impl FnMut(Sent)) -> bool {
        let number = (id & ((1 << STREAM_BITS) - 1)) as usize;
        let Some(stream) = self.streams.get_mut(number) else { return false };
        if stream.count != id >> STREAM_BITS {
            return false;
        }
        let Some(upto) = stream.barrier.take() else { return false };
        while stream.left < upto {
            let Some(sent) = stream.pop() else { break };
            confirm(sent);
        }
        if let Some(front) = stream.log.front() {
            self.due = earlier(self.due, (front.at + self.delay).max(now));
        }
        true
    }

    /// Forgets that barriers are outstanding, not what they cover: the ASP does not tell which one it answers.
    pub(crate) fn forget_outstanding(&mut self, now: Instant) {
        for stream in &mut self.streams {
            stream.barrier = None;
        }
        self.due = Some(now);
    }

    /// When to call [`Barriers::sweep`].
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }
}

fn earlier(a: Option<Instant>, b: Instant) -> Option<Instant> {
    Some(a.map_or(b, |a| a.min(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> CorrelationId {
        CorrelationId(n)
    }

    #[test]
    fn one_barrier_a_stream_covers_what_was_sent_before_it() {
        let t = Instant::now();
        let mut barriers = Barriers::new(3, Duration::ZERO);
        barriers.sent(t, 1, GroupId(1), id(1));
        barriers.sent(t, 1, GroupId(2), id(1));
        barriers.sent(t, 2, GroupId(3), id(1));
        let mut sent = Vec::new();
        barriers.sweep(
            t,
            |_| false,
            |stream, id| {
                sent.push((stream, id));
                true
            },
        );
        assert_eq!(sent, [(1, 1 << 16 | 1), (2, 1 << 16 | 2)]);
        barriers.sent(t, 1, GroupId(1), id(2));
        barriers.sweep(t, |_| false, |_, _| panic!("one is outstanding"));
        let mut confirmed = Vec::new();
        assert!(barriers.acknowledged(t, 1 << 16 | 1, |sent| confirmed.push((sent.group, sent.correlation_id))));
        assert_eq!(confirmed, [(GroupId(1), id(1)), (GroupId(2), id(1))]);
        assert!(!barriers.acknowledged(t, 1 << 16 | 1, |_| panic!("echoed twice")));
        assert!(!barriers.acknowledged(t, 7 << 16 | 9, |_| panic!("no such stream")));
        assert_eq!(barriers.due(), Some(t), "the next one is due for what came later");
    }

    #[test]
    fn what_a_cookie_confirmed_needs_no_barrier() {
        let t = Instant::now();
        let delay = Duration::from_millis(20);
        let mut barriers = Barriers::new(2, delay);
        barriers.sent(t, 1, GroupId(1), id(1));
        assert_eq!(barriers.due(), Some(t + delay));
        assert_eq!(barriers.sweep(t + delay, |_| true, |_, _| panic!("nothing to ask")), None);
        assert_eq!(barriers.due(), None);
        barriers.sent(t, 1, GroupId(1), id(2));
        assert_eq!(barriers.sweep(t, |_| false, |_, _| panic!("too early")), Some(t));
        let mut asked = 0;
        barriers.sweep(
            t + delay,
            |_| false,
            |_, _| {
                asked += 1;
                true
            },
        );
        assert_eq!(asked, 1);
    }

    #[test]
    fn a_barrier_that_could_not_be_sent_is_tried_again() {
        let t = Instant::now();
        let mut barriers = Barriers::new(2, Duration::ZERO);
        barriers.sent(t, 1, GroupId(1), id(1));
        barriers.sweep(t, |_| false, |_, _| false);
        assert!(barriers.due().is_some_and(|due| due > t));
        let mut asked = 0;
        barriers.sweep(
            t,
            |_| false,
            |_, _| {
                asked += 1;
                true
            },
        );
        assert_eq!(asked, 1);
    }
}
