//! The messages of one association that the peer has not acknowledged, in the order of `send`.
//!
//! A message waits, then is handed to the engine, then goes out in one or more DATA chunks, then is acknowledged and
//! forgotten. Whatever is left when the association ends is handed back.

use crate::engine::PREFIX_OUT;
use crate::event::Undelivered;
use crate::flight::{Flight, Gain, Pace};
use crate::wire::{self, DATA_HEADER};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Instant;

/// A message accepted by `send`.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) stream: u16,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) context: u64,
    pub(crate) transmitted: bool,
    pub(crate) payload: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SendQueue {
    /// Number of the first slot.
    base: u64,
    /// `None`: acknowledged out of order (streams and unordered messages complete as they like).
    slots: VecDeque<Option<Message>>,
    /// Number of the first message not yet handed to the engine.
    next: u64,
    live: usize,
    bytes: usize,
    in_engine: usize,
    /// The DATA chunks the engine made of the messages.
    pub(crate) flight: Flight,
    /// The message whose fragment was numbered last; the next fragment without the B bit is of the same.
    last: u64,
}

impl SendQueue {
    pub(crate) fn new(first_tsn: u32) -> Self {
        Self {
            base: 0,
            slots: VecDeque::new(),
            next: 0,
            live: 0,
            bytes: 0,
            in_engine: 0,
            flight: Flight::new(first_tsn),
            last: 0,
        }
    }

    /// Messages and bytes not acknowledged.
    pub(crate) fn outstanding(&self) -> (usize, usize) {
        (self.live, self.bytes)
    }

    /// Messages the engine has and the peer did not acknowledge.
    pub(crate) fn in_engine(&self) -> usize {
        self.in_engine
    }

    /// True while a TSN is on the wire without acknowledgement.
    pub(crate) fn in_flight(&self) -> bool {
        !self.flight.is_empty()
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.live += 1;
        self.bytes += message.payload.len();
        self.slots.push_back(Some(message));
    }

    /// Offers the next waiting message to `take`; true when there was one and it was taken.
    pub(crate) fn hand_over(&mut self, take: impl FnOnce([u8; PREFIX_OUT], &Message) -> bool) -> bool {
        let slot = usize::try_from(self.next - self.base).ok().and_then(|i| self.slots.get(i));
        let Some(Some(message)) = slot else { return false };
        // The low half of the number is enough: the queue is far shorter than 2^31.
        if !take((self.next as u32).to_be_bytes(), message) {
            return false;
        }
        self.next += 1;
        self.in_engine += 1;
        true
    }

    /// The engine made a DATA chunk (with its header); with the B bit the prefix stands before the user data. False when it is none
    /// of ours.
    pub(crate) fn stage(&mut self, chunk: Bytes, now: Instant) -> bool {
        if wire::u32_at(&chunk, 4) != self.flight.next_tsn() {
            return false;
        }
        let begins = chunk[1] & wire::flag::BEGIN != 0;
        let number = if begins {
            let Some((prefix, _)) = chunk[DATA_HEADER..].split_first_chunk::<PREFIX_OUT>() else { return false };
            let low = u32::from_be_bytes(*prefix);
            self.base + u64::from(low.wrapping_sub(self.base as u32))
        } else {
            // Fragments of a message have consecutive TSNs (section 6.9).
            self.last
        };
        let Some(ppid) = self.message_mut(number).map(|m| m.ppid) else { return false };
        self.last = number;
        self.flight.stage(chunk, if begins { PREFIX_OUT } else { 0 }, number, ppid, now);
        true
    }

    fn message_mut(&mut self, number: u64) -> Option<&mut Message> {
        let slot = usize::try_from(number.checked_sub(self.base)?).ok()?;
        self.slots.get_mut(slot)?.as_mut()
    }

    /// A staged or lost chunk leaves over this path; its bytes, and whether it left before.
    pub(crate) fn depart(&mut self, index: usize, path: usize, now: Instant) -> (usize, bool) {
        let number = self.flight.get(index).number;
        if let Some(message) = self.message_mut(number) {
            message.transmitted = true;
        }
        self.flight.depart(index, path, now)
    }

    /// The peer has everything up to `cumulative`, which is within the bounds of the flight. The number of messages done.
    pub(crate) fn acknowledge(&mut self, cumulative: u32, now: Instant, paces: &[Pace], gains: &mut [Gain]) -> u64 {
        let mut done = 0;
        let Self { flight, slots, base, live, bytes, in_engine, .. } = self;
        flight.acknowledge(cumulative, now, paces, gains, |chunk| {
            if !chunk.end {
                return;
            }
            let slot = usize::try_from(chunk.number - *base).ok().and_then(|i| slots.get_mut(i));
            if let Some(message) = slot.and_then(Option::take) {
                *live -= 1;
                *bytes -= message.payload.len();
                *in_engine -= 1;
                done += 1;
            }
        });
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.base += 1;
        }
        done
    }

    /// Everything not acknowledged, in the order of `send`.
    pub(crate) fn take_undelivered(&mut self) -> Vec<Undelivered> {
        self.flight = Flight::new(0);
        (self.live, self.bytes, self.in_engine) = (0, 0, 0);
        std::mem::take(&mut self.slots)
            .into_iter()
            .flatten()
            .map(|m| Undelivered {
                stream: m.stream,
                ppid: m.ppid,
                context: m.context,
                transmitted: m.transmitted,
                payload: m.payload,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::flag::{BEGIN, END};

    fn message(context: u64) -> Message {
        Message {
            stream: 1,
            ppid: 3,
            unordered: false,
            context,
            transmitted: false,
            payload: Bytes::from_static(b"abcd"),
        }
    }

    fn hand(queue: &mut SendQueue) -> [u8; PREFIX_OUT] {
        let mut prefix = [0; PREFIX_OUT];
        assert!(queue.hand_over(|p, _| {
            prefix = p;
            true
        }));
        prefix
    }

    /// A DATA chunk as the engine makes it.
    fn data(tsn: u32, flags: u8, prefix: Option<[u8; PREFIX_OUT]>) -> Bytes {
        let mut chunk = vec![0, flags, 0, 0];
        chunk.extend_from_slice(&tsn.to_be_bytes());
        chunk.extend_from_slice(&[0; 8]);
        chunk.extend_from_slice(prefix.as_ref().map_or(&[][..], |p| &p[..]));
        chunk.extend_from_slice(b"abcd");
        chunk.into()
    }

    /// Acknowledges up to here on a path that just came up.
    fn acknowledge(queue: &mut SendQueue, cumulative: u32, now: Instant) -> u64 {
        queue.acknowledge(cumulative, now, &[Pace::default()], &mut [Gain::default()])
    }

    #[test]
    fn acknowledged_ones_are_forgotten_and_the_rest_comes_back_in_order() {
        let now = Instant::now();
        let mut queue = SendQueue::new(u32::MAX);
        for context in 0..5 {
            queue.push(message(context));
        }
        let prefixes = [hand(&mut queue), hand(&mut queue), hand(&mut queue)];
        // The engine sends the third before the others (it was unordered), the first in two fragments across the wrap.
        assert!(queue.stage(data(u32::MAX, BEGIN | END, Some(prefixes[2])), now));
        assert!(queue.stage(data(0, BEGIN, Some(prefixes[0])), now));
        assert!(queue.stage(data(1, END, None), now));
        assert!(!queue.stage(data(9, BEGIN, Some(prefixes[1])), now), "a TSN left out");
        let sent: Vec<_> = (0..3).map(|i| queue.depart(i, 0, now).1).collect();
        assert_eq!(sent, [false; 3]);
        assert!(queue.depart(1, 0, now).1, "again");
        assert_eq!(queue.flight.bounds(), (u32::MAX - 1, 1));
        assert_eq!(acknowledge(&mut queue, 0, now), 1);
        assert_eq!(queue.outstanding(), (4, 16));
        assert_eq!(queue.in_engine(), 2);
        let back: Vec<_> = queue.take_undelivered().iter().map(|u| (u.context, u.transmitted)).collect();
        assert_eq!(back, [(0, true), (1, false), (3, false), (4, false)]);
    }

    #[test]
    fn a_fragment_leaves_after_the_one_before_was_acknowledged() {
        let now = Instant::now();
        let mut queue = SendQueue::new(7);
        queue.push(message(1));
        let prefix = hand(&mut queue);
        assert!(queue.stage(data(7, BEGIN, Some(prefix)), now));
        queue.depart(0, 0, now);
        assert_eq!(acknowledge(&mut queue, 7, now), 0);
        assert!(queue.stage(data(8, END, None), now));
        queue.depart(0, 0, now);
        assert_eq!(acknowledge(&mut queue, 8, now), 1);
    }

    #[test]
    fn numbered_is_not_transmitted() {
        let mut queue = SendQueue::new(7);
        queue.push(message(1));
        let prefix = hand(&mut queue);
        assert!(queue.stage(data(7, BEGIN | END, Some(prefix)), Instant::now()));
        assert_eq!(queue.flight.bounds(), (6, 6));
        assert!(!queue.in_flight());
        assert!(!queue.take_undelivered()[0].transmitted);
    }

    #[test]
    fn nothing_twice() {
        let now = Instant::now();
        let mut queue = SendQueue::new(7);
        queue.push(message(1));
        let prefix = hand(&mut queue);
        assert!(!queue.hand_over(|_, _| true));
        queue.stage(data(7, BEGIN | END, Some(prefix)), now);
        queue.depart(0, 0, now);
        assert_eq!(acknowledge(&mut queue, 7, now), 1);
        assert_eq!(acknowledge(&mut queue, 7, now), 0);
        assert_eq!(queue.outstanding(), (0, 0));
        assert!(queue.take_undelivered().is_empty());
    }
}
