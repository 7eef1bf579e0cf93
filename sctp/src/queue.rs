//! The messages of one association that the peer has not acknowledged, in the order of `send`.
//!
//! A message waits, then is handed to the engine, then goes out in one or more DATA chunks, then is acknowledged and
//! forgotten. Whatever is left when the association ends is handed back.

use crate::engine::PREFIX_OUT;
use crate::event::Undelivered;
use crate::wire;
use bytes::Bytes;
use std::collections::VecDeque;

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

/// A TSN on the wire that is not yet cumulatively acknowledged.
#[derive(Debug, Clone, Copy)]
struct Flight {
    number: u64,
    ppid: u32,
    end: bool,
}

/// What to put in an outgoing DATA chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) ppid: u32,
    /// This TSN was on the wire before.
    pub(crate) again: bool,
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
    flight: VecDeque<Flight>,
    first_tsn: u32,
    /// The message whose fragment left last; the next fragment without the B bit is of the same.
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
            flight: VecDeque::new(),
            first_tsn,
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

    /// The last TSN acknowledged cumulatively, and the highest one sent.
    pub(crate) fn tsn_bounds(&self) -> (u32, u32) {
        let acknowledged = self.first_tsn.wrapping_sub(1);
        (acknowledged, acknowledged.wrapping_add(u32::try_from(self.flight.len()).unwrap_or(u32::MAX)))
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

    /// A DATA chunk is about to leave; `prefix` is there with the B bit. `None` when it is none of ours.
    pub(crate) fn transmit(&mut self, tsn: u32, flags: u8, prefix: Option<[u8; PREFIX_OUT]>) -> Option<Outgoing> {
        let index = usize::try_from(tsn.wrapping_sub(self.first_tsn)).ok()?;
        if let Some(flight) = self.flight.get(index) {
            return Some(Outgoing { ppid: flight.ppid, again: true });
        }
        if index != self.flight.len() {
            return None;
        }
        let number = match prefix {
            Some(prefix) => {
                let low = u32::from_be_bytes(prefix);
                self.base + u64::from(low.wrapping_sub(self.base as u32))
            }
            // Fragments of a message have consecutive TSNs (section 6.9).
            None => self.last,
        };
        let slot = usize::try_from(number.checked_sub(self.base)?).ok()?;
        let message = self.slots.get_mut(slot)?.as_mut()?;
        message.transmitted = true;
        let ppid = message.ppid;
        self.last = number;
        self.flight.push_back(Flight { number, ppid, end: flags & wire::flag::END != 0 });
        Some(Outgoing { ppid, again: false })
    }

    /// The peer has everything up to `cumulative`, which is within [`SendQueue::tsn_bounds`]. The number of messages done.
    pub(crate) fn acknowledge(&mut self, cumulative: u32) -> u64 {
        let mut done = 0;
        while !wire::after(self.first_tsn, cumulative) {
            let Some(flight) = self.flight.pop_front() else { break };
            self.first_tsn = self.first_tsn.wrapping_add(1);
            if !flight.end {
                continue;
            }
            let slot = usize::try_from(flight.number - self.base).ok().and_then(|i| self.slots.get_mut(i));
            if let Some(message) = slot.and_then(Option::take) {
                self.live -= 1;
                self.bytes -= message.payload.len();
                self.in_engine -= 1;
                done += 1;
            }
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.base += 1;
        }
        done
    }

    /// Everything not acknowledged, in the order of `send`.
    pub(crate) fn take_undelivered(&mut self) -> Vec<Undelivered> {
        self.flight.clear();
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

    #[test]
    fn acknowledged_ones_are_forgotten_and_the_rest_comes_back_in_order() {
        let mut queue = SendQueue::new(u32::MAX);
        for context in 0..5 {
            queue.push(message(context));
        }
        let prefixes = [hand(&mut queue), hand(&mut queue), hand(&mut queue)];
        // The engine sends the third before the others (it was unordered), the first in two fragments across the wrap.
        assert_eq!(queue.transmit(u32::MAX, BEGIN | END, Some(prefixes[2])), Some(Outgoing { ppid: 3, again: false }));
        assert!(queue.transmit(0, BEGIN, Some(prefixes[0])).is_some());
        assert!(queue.transmit(1, END, None).is_some());
        assert_eq!(queue.transmit(0, BEGIN, Some(prefixes[0])), Some(Outgoing { ppid: 3, again: true }));
        assert_eq!(queue.transmit(9, BEGIN, Some(prefixes[1])), None);
        assert_eq!(queue.tsn_bounds(), (u32::MAX - 1, 1));
        assert_eq!(queue.acknowledge(0), 1);
        assert_eq!(queue.outstanding(), (4, 16));
        assert_eq!(queue.in_engine(), 2);
        let back: Vec<_> = queue.take_undelivered().iter().map(|u| (u.context, u.transmitted)).collect();
        assert_eq!(back, [(0, true), (1, false), (3, false), (4, false)]);
    }

    #[test]
    fn a_fragment_leaves_after_the_one_before_was_acknowledged() {
        let mut queue = SendQueue::new(7);
        queue.push(message(1));
        let prefix = hand(&mut queue);
        assert!(queue.transmit(7, BEGIN, Some(prefix)).is_some());
        assert_eq!(queue.acknowledge(7), 0);
        assert_eq!(queue.transmit(8, END, None), Some(Outgoing { ppid: 3, again: false }));
        assert_eq!(queue.acknowledge(8), 1);
    }

    #[test]
    fn nothing_twice() {
        let mut queue = SendQueue::new(7);
        queue.push(message(1));
        let prefix = hand(&mut queue);
        assert!(!queue.hand_over(|_, _| true));
        queue.transmit(7, BEGIN | END, Some(prefix));
        assert_eq!(queue.acknowledge(7), 1);
        assert_eq!(queue.acknowledge(7), 0);
        assert_eq!(queue.outstanding(), (0, 0));
        assert!(queue.take_undelivered().is_empty());
    }
}
