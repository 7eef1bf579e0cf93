//! Datagrams that an impairment holds back, each for a time of its own.

use super::line::{BYTES_MAX, HELD_MAX, Held};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Instant;

/// By their times; of the same time first in, first out.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    held: BTreeMap<u64, Held>,
    serial: u64,
    bytes: usize,
}

impl Waiting {
    /// Takes a datagram; false when there is no room for it.
    pub(super) fn put(&mut self, held: Held) -> bool {
        let room = self.held.len() < HELD_MAX && self.bytes + held.payload.len() <= BYTES_MAX;
        if room {
            self.serial += 1;
            self.bytes += held.payload.len();
            self.due.push(Reverse((held.due, self.serial)));
            self.held.insert(self.serial, held);
        }
        room
    }

    /// The next one whose time has come.
    pub(super) fn take(&mut self, now: Instant) -> Option<Held> {
        let Reverse((due, serial)) = *self.due.peek()?;
        if due > now {
            return None;
        }
        self.due.pop();
        let held = self.held.remove(&serial)?;
        self.bytes -= held.payload.len();
        Some(held)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn held(due: Instant, text: &[u8]) -> Held {
        Held { due, socket: 0, to: "127.0.0.1:9899".parse().unwrap(), payload: text.into() }
    }

    #[test]
    fn by_time_then_in_order_and_only_so_many() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut waiting = Waiting::default();
        for (after, text) in [(5, b"c"), (1, b"a"), (5, b"d"), (2, b"b")] {
            assert!(waiting.put(held(start + ms(after), text)));
        }
        assert_eq!((waiting.next_due(), waiting.take(start)), (Some(start + ms(1)), None));
        let order: Vec<_> = std::iter::from_fn(|| waiting.take(start + ms(5))).map(|held| held.payload[0]).collect();
        assert_eq!((&order[..], waiting.bytes), (&b"abcd"[..], 0));
        assert!((0..HELD_MAX).all(|_| waiting.put(held(start, b"x"))) && !waiting.put(held(start, b"x")));
        assert!(waiting.take(start).is_some() && waiting.put(held(start, b"x")));
    }
}
