//! What is on its way over the same distance: each datagram as long as the others, so the first in is the first out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most datagrams on their way over one distance. At 75 ms in each direction that is over 100,000 a second.
pub(super) const HELD_MAX: usize = 16_384;
/// Most bytes of them together.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// A datagram on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) due: Instant,
    /// Index of the socket it leaves from.
    pub(super) socket: usize,
    pub(super) to: SocketAddr,
    pub(super) payload: Box<[u8]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Line {
    half: Duration,
    held: VecDeque<Held>,
    bytes: usize,
}

impl Line {
    pub(super) fn new(half: Duration) -> Self {
        Self { half, held: VecDeque::new(), bytes: 0 }
    }

    /// How long each datagram takes.
    pub(super) fn half(&self) -> Duration {
        self.half
    }

    /// Takes a datagram; false when there is no room for it.
    pub(super) fn put(&mut self, now: Instant, socket: usize, to: SocketAddr, payload: &[u8]) -> bool {
        let room = self.held.len() < HELD_MAX && self.bytes + payload.len() <= BYTES_MAX;
        if room {
            self.bytes += payload.len();
            self.held.push_back(Held { due: now + self.half, socket, to, payload: payload.into() });
        }
        room
    }

    /// The next datagram that has arrived at the other end.
    pub(super) fn take(&mut self, now: Instant) -> Option<Held> {
        let held = self.held.pop_front_if(|held| held.due <= now)?;
        self.bytes -= held.payload.len();
        Some(held)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.front().map(|held| held.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_after_the_same_time() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let to: SocketAddr = "127.0.0.1:9899".parse().unwrap();
        let mut line = Line::new(ms(75));
        assert_eq!((line.next_due(), line.take(start)), (None, None));
        assert!(line.put(start, 0, to, b"first") && line.put(start + ms(1), 1, to, b"second"));
        assert_eq!(line.next_due(), Some(start + ms(75)));
        assert_eq!(line.take(start + ms(74)), None);
        assert_eq!(&*line.take(start + ms(75)).unwrap().payload, b"first");
        assert_eq!(line.take(start + ms(75)), None);
        assert_eq!((line.take(start + ms(90)).unwrap().socket, line.bytes), (1, 0));
    }

    #[test]
    fn it_holds_only_so_much() {
        let (start, to) = (Instant::now(), "127.0.0.1:9899".parse().unwrap());
        let mut line = Line::new(Duration::from_millis(75));
        assert!((0..HELD_MAX).all(|_| line.put(start, 0, to, b"x")));
        assert!(!line.put(start, 0, to, b"x"));
        assert!(line.take(start + Duration::from_millis(75)).is_some() && line.put(start, 0, to, b"x"));
        let mut line = Line::new(Duration::ZERO);
        let large = vec![0; 60_000];
        let taken = (0..HELD_MAX).filter(|_| line.put(start, 0, to, &large)).count();
        assert_eq!(taken, BYTES_MAX / large.len());
    }
}
