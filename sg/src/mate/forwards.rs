//! Messages of the network that came to the gateway that follows: they are kept until the one that leads has accepted them.

use bytes::Bytes;
use sctp::AssocId;
use std::collections::VecDeque;

/// A barrier of a peer of the network: what it sent before is accepted when it is echoed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) assoc: AssocId,
    pub(crate) stream: u16,
    pub(crate) data: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Forwards {
    max: usize,
    /// Number of the last one, from 1.
    last: u64,
    queue: VecDeque<(u64, Bytes)>,
    barriers: VecDeque<(u64, Accepted)>,
}

impl Forwards {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, last: 0, queue: VecDeque::new(), barriers: VecDeque::new() }
    }

    /// Keeps a message. Gives its number; `None`: there is no room.
    pub(crate) fn push(&mut self, data: Bytes) -> Option<u64> {
        if self.queue.len() >= self.max {
            return None;
        }
        self.last += 1;
        self.queue.push_back((self.last, data));
        Some(self.last)
    }

    /// A peer asks for acceptance: given back when there is nothing to wait for. One that finds no room is asked again by the peer's time.
    pub(crate) fn barrier(&mut self, accepted: Accepted) -> Option<Accepted> {
        if self.queue.is_empty() {
            return Some(accepted);
        }
        if self.barriers.len() < self.max {
            self.barriers.push_back((self.last, accepted));
        }
        None
    }

    /// Messages up to this one are the other gateway's. Gives the barriers that waited for them.
    pub(crate) fn taken(&mut self, upto: u64) -> Vec<Accepted> {
        while self.queue.front().is_some_and(|(number, _)| *number <= upto) {
            self.queue.pop_front();
        }
        let mut accepted = Vec::new();
        while self.barriers.front().is_some_and(|(number, _)| *number <= upto) {
            accepted.extend(self.barriers.pop_front().map(|(_, accepted)| accepted));
        }
        accepted
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        self.queue.iter().map(|(number, data)| (*number, data))
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Everything, in order, and all barriers.
    pub(crate) fn take(&mut self) -> (Vec<Bytes>, Vec<Accepted>) {
        let messages = self.queue.drain(..).map(|(_, data)| data).collect();
        (messages, self.barriers.drain(..).map(|(_, accepted)| accepted).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(n: u16) -> Accepted {
        Accepted { assoc: AssocId(1), stream: n, data: Bytes::new() }
    }

    #[test]
    fn a_barrier_waits_for_what_came_before_it() {
        let mut forwards = Forwards::new(2);
        assert_eq!(forwards.barrier(barrier(1)), Some(barrier(1)), "nothing to wait for");
        assert_eq!(forwards.push(Bytes::from_static(b"a")), Some(1));
        assert_eq!(forwards.barrier(barrier(2)), None);
        assert_eq!(forwards.push(Bytes::from_static(b"b")), Some(2));
        assert_eq!(forwards.push(Bytes::new()), None, "bounded");
        assert_eq!(forwards.barrier(barrier(3)), None);
        assert_eq!(forwards.taken(1), [barrier(2)]);
        assert_eq!(forwards.iter().collect::<Vec<_>>(), [(2, &Bytes::from_static(b"b"))]);
        assert_eq!(forwards.take(), (vec![Bytes::from_static(b"b")], vec![barrier(3)]));
    }
}
