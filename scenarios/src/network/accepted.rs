//! What one gateway of two was sent and has not accepted yet: copies, and the barriers that ask for acceptance. Pure.
//!
//! A barrier is a BEAT in order behind the DATA of its stream. The gateway echoes it when what came before it is safe with it and
//! with the other gateway, or applied by a controller.

use super::source::Outgoing;
use m3ua_lite::session::{CorrelationId, GroupKey};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// From the first message on a stream without a barrier behind it to the barrier.
const BARRIER_AFTER: Duration = Duration::from_millis(5);
/// The stream of the first barrier, which says that this peer understands Correlation Ids.
const FIRST_STREAM: u16 = 1;
/// Bits of a barrier's id that have its stream.
const STREAM_BITS: u32 = 16;

/// A message on its way to the pool.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) outgoing: Outgoing,
    /// From the first time that it is sent to one of two gateways.
    pub(super) stamp: Option<Stamp>,
    /// Its line is in the record: it counts as offered once.
    pub(super) recorded: bool,
}

/// What tells a message that is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) group: GroupKey,
    pub(super) id: CorrelationId,
}

impl Due {
    pub(super) fn new(outgoing: Outgoing) -> Self {
        Self { outgoing, stamp: None, recorded: false }
    }
}

#[derive(Debug)]
struct Copy {
    /// Counts what was sent to this gateway.
    serial: u64,
    sent: Instant,
    due: Due,
}

#[derive(Debug, Default)]
struct Stream {
    copies: VecDeque<Copy>,
    /// The one that is not echoed yet: its id, and the last copy before it.
    barrier: Option<(u64, u64)>,
    /// When there must be a (further) barrier.
    barrier_at: Option<Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unaccepted {
    streams: BTreeMap<u16, Stream>,
    serial: u64,
    barriers: u64,
    length: usize,
}

impl Unaccepted {
    /// The gateway takes traffic from now on: it is told at once that this peer understands Correlation Ids.
    pub(super) fn begin(&mut self, now: Instant) {
        self.streams.entry(FIRST_STREAM).or_default().barrier_at.get_or_insert(now);
    }

    /// How many messages are not accepted.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// A message was sent.
    pub(super) fn sent(&mut self, now: Instant, stream: u16, due: Due) {
        self.serial += 1;
        self.length += 1;
        let stream = self.streams.entry(stream).or_default();
        stream.copies.push_back(Copy { serial: self.serial, sent: now, due });
        stream.barrier_at.get_or_insert(now + BARRIER_AFTER);
    }

    /// A barrier to send now: stream and id. It counts as sent; see [`Self::not_sent`].
    pub(super) fn poll_barrier(&mut self, now: Instant) -> Option<(u16, u64)> {
        let ready = |stream: &Stream| stream.barrier.is_none() && stream.barrier_at.is_some_and(|at| at <= now);
        let (number, stream) = self.streams.iter_mut().find(|(_, stream)| ready(stream))?;
        self.barriers += 1;
        let id = self.barriers << STREAM_BITS | u64::from(*number);
        stream.barrier = Some((id, stream.copies.back().map_or(0, |copy| copy.serial)));
        stream.barrier_at = None;
        Some((*number, id))
    }

    /// The association had no room for the barrier that was polled last: a little later.
    pub(super) fn not_sent(&mut self, now: Instant, stream: u16) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.barrier = None;
            stream.barrier_at = Some(now + BARRIER_AFTER);
        }
    }

    /// The gateway echoed a barrier; gives the groups of what it accepted. An echo that nobody waits for says nothing.
    pub(super) fn echoed(&mut self, id: u64) -> Vec<GroupKey> {
        let number = (id & ((1 << STREAM_BITS) - 1)) as u16;
        let Some(stream) = self.streams.get_mut(&number) else { return Vec::new() };
        let Some((_, last)) = stream.barrier.take_if(|(waited, _)| *waited == id) else { return Vec::new() };
        let count = stream.copies.iter().take_while(|copy| copy.serial <= last).count();
        self.length -= count;
        stream.copies.drain(..count).filter_map(|copy| Some(copy.due.stamp?.group)).collect()
    }

    /// When the oldest message that is not accepted was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.streams.values().filter_map(|stream| stream.copies.front()).map(|copy| copy.sent).min()
    }

    /// The association ended: all that is not accepted, in the order of sending.
    pub(super) fn take(&mut self) -> Vec<Due> {
        let streams = std::mem::take(&mut self.streams);
        let mut copies: Vec<Copy> = streams.into_values().flat_map(|stream| stream.copies).collect();
        copies.sort_unstable_by_key(|copy| copy.serial);
        self.length = 0;
        copies.into_iter().map(|copy| copy.due).collect()
    }

    /// When the next barrier is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.streams.values().filter(|stream| stream.barrier.is_none());
        waiting.filter_map(|stream| stream.barrier_at).min()
    }
}
