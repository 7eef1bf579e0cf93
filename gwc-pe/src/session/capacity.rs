//! A controller with a limited capacity: input beyond it waits, in the order of arrival, and nothing of the M3UA layer waits with it.
//!
//! `capacity_per_s` stands for an application that takes its time for each message. DATA takes its turn; behind waiting DATA wait the
//! cookies, barriers and requests for groups that came after it, because their answers say what was done before. Liveness BEATs, lease
//! echoes and ASP messages are answered at once: a controller that is busy is not dead.

use super::{End, Session, Shared};
use crate::record::DropCause;
use bytes::Bytes;
use m3ua_lite::session::{CorrelationId, Heartbeat};
use m3ua_lite::wire::{Message, MessageType};
use sctp::ppid;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much of the time in which nothing was to be done may be made up for: what a timer of the machine is late, and no more.
const CREDIT: Duration = Duration::from_millis(20);

/// The turns of all sessions of a controller: one message each `1 / capacity_per_s`.
#[derive(Debug)]
pub(crate) struct Capacity {
    interval: Duration,
    next: Instant,
    /// Messages that wait, in all sessions.
    waiting: usize,
    /// The application stands still: no turn is given.
    stuck: bool,
}

impl Capacity {
    pub(crate) fn new(now: Instant, per_s: f64) -> Self {
        let interval = if per_s > 0.0 { Duration::from_secs_f64(1.0 / per_s) } else { Duration::ZERO };
        Self { interval, next: now, waiting: 0, stuck: false }
    }

    /// Makes the application stand still, as one whose thread for call control is blocked, or go on: a fault for tests.
    pub(crate) fn set_stuck(&mut self, stuck: bool) {
        self.stuck = stuck;
    }

    /// Whether it stands still.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Messages that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    fn is_limited(&self) -> bool {
        self.stuck || self.interval > Duration::ZERO
    }

    /// Takes a turn, if it is time.
    fn take(&mut self, now: Instant) -> bool {
        let may = !self.stuck && self.next <= now;
        if may {
            // Without the bound, a controller that had nothing to do for an hour would do an hour's work at once.
            let earliest = now.checked_sub(CREDIT).unwrap_or(now);
            self.next = self.next.max(earliest) + self.interval;
        }
        may
    }
}

/// Input in a session's queue, as it came.
#[derive(Debug)]
pub(super) struct Waiting {
    stream: u16,
    ppid: u32,
    unordered: bool,
    payload: Bytes,
}

/// The queue of a session.
pub(super) type Queue = VecDeque<Waiting>;

/// How a message takes part in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Work for the application.
    Data,
    /// Costs nothing, but must not overtake DATA that came before it.
    Behind,
    /// The M3UA layer's own.
    Now,
}

fn turn(ppid: u32, payload: &[u8]) -> Turn {
    if ppid == ppid::ASAP {
        return Turn::Behind;
    }
    let is = |kind: MessageType| payload.get(2..4) == Some(&kind.code().to_be_bytes()[..]);
    if is(MessageType::Data) {
        Turn::Data
    } else if is(MessageType::Beat) {
        match Message::decode(payload) {
            Ok(Message::Beat(beat)) if matches!(beat.data.map(Heartbeat::decode), Some(Heartbeat::Liveness(_))) => {
                Turn::Now
            }
            Ok(_) | Err(_) => Turn::Behind,
        }
    } else {
        Turn::Now
    }
}

impl Session {
    /// Takes a message of the gateway; it acts at once, or waits for its turn.
    pub(crate) fn handle_message(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        (stream, ppid, unordered): (u16, u32, bool),
        payload: &[u8],
    ) {
        self.check_lease(now, shared);
        if shared.stopping {
            // One that leaves has only so much time to commit what it was sent.
            self.take_all_turns(now, shared);
        }
        let takes_turns = shared.capacity.is_limited() && !shared.stopping && !self.dead;
        let waits = takes_turns
            && match turn(ppid, payload) {
                Turn::Data => shared.capacity.waiting > 0 || !shared.capacity.take(now),
                Turn::Behind => shared.capacity.stuck || !self.waiting.is_empty(),
                Turn::Now => false,
            };
        if waits {
            let payload = Bytes::copy_from_slice(payload);
            self.push(now, shared, Waiting { stream, ppid, unordered, payload });
        } else {
            self.act(now, shared, (stream, ppid, unordered), payload);
        }
    }

    fn push(&mut self, now: Instant, shared: &mut Shared, message: Waiting) {
        let is_data = turn(message.ppid, &message.payload) == Turn::Data;
        let max = shared.config.session.waiting_max;
        if is_data && shared.capacity.waiting >= max {
            return drop_waiting(now, shared, DropCause::Overload, &message.payload);
        }
        // A cookie or a barrier that is dropped would make the gateway believe what is not so.
        if self.waiting.len() >= max * 2 {
            self.end = Some(End::Abort("more than waiting_max waits"));
            return;
        }
        shared.capacity.waiting += usize::from(is_data);
        self.waiting.push_back(message);
    }

    /// Does what is first in the queue, up to and with one message of DATA if it is time, and what costs nothing behind it. False:
    /// no DATA was applied.
    pub(crate) fn take_turn(&mut self, now: Instant, shared: &mut Shared) -> bool {
        let mut applied = false;
        loop {
            self.check_lease(now, shared);
            let Some(front) = self.waiting.front() else { break };
            let is_data = turn(front.ppid, &front.payload) == Turn::Data;
            if shared.capacity.stuck || is_data && (applied || !shared.capacity.take(now)) {
                break;
            }
            let Some(message) = self.waiting.pop_front() else { break };
            shared.capacity.waiting -= usize::from(is_data);
            applied |= is_data;
            self.act(now, shared, (message.stream, message.ppid, message.unordered), &message.payload);
        }
        applied
    }

    /// Does all that waits, before the controller leaves.
    pub(super) fn take_all_turns(&mut self, now: Instant, shared: &mut Shared) {
        while let Some(message) = self.waiting.pop_front() {
            self.check_lease(now, shared);
            shared.capacity.waiting -= usize::from(turn(message.ppid, &message.payload) == Turn::Data);
            self.act(now, shared, (message.stream, message.ppid, message.unordered), &message.payload);
        }
    }

    /// The right to act on what waits is gone: another controller will do it.
    pub(super) fn forget_waiting(&mut self, now: Instant, shared: &mut Shared) {
        for message in std::mem::take(&mut self.waiting) {
            if turn(message.ppid, &message.payload) == Turn::Data {
                shared.capacity.waiting -= 1;
                drop_waiting(now, shared, DropCause::Lease, &message.payload);
            }
        }
    }

    /// When [`Session::take_turn`] has something to do.
    pub(super) fn next_turn(&self, shared: &Shared) -> Option<Instant> {
        (!self.waiting.is_empty() && !shared.capacity.stuck).then_some(shared.capacity.next)
    }
}

fn drop_waiting(now: Instant, shared: &mut Shared, cause: DropCause, payload: &[u8]) {
    match Message::decode(payload) {
        Ok(Message::Data(data)) => {
            let id = CorrelationId(data.correlation_id.unwrap_or_default());
            shared.drop_input(now, cause, id, &data.protocol_data);
        }
        // It would have been answered with ERR, had its turn come.
        Ok(_) | Err(_) => shared.counters.m3ua_malformed += 1,
    }
}
