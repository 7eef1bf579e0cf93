//! User messages out of SCTP packets, as a capture shows them: each DATA chunk once, fragments put together.
//!
//! A reader of captures, not an endpoint: it keeps no order of its own, and it believes what it sees.

use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// TSNs remembered for one direction, to know a retransmission.
const TSNS_MAX: usize = 65_536;
/// Directions (ports and tag) of one capture; associations are at most as many.
const DIRECTIONS_MAX: usize = 65_536;
/// Bytes of unfinished messages of one direction.
const FRAGMENT_BYTES_MAX: usize = 1 << 20;
/// Unfinished fragments of one direction.
const FRAGMENTS_MAX: usize = 4_096;

const DATA: u8 = 0;
const DATA_HEADER: usize = 16;

/// The two ends of an association: addresses and SCTP ports, the lower address first.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// One direction of one association: source and destination port, verification tag. Not the addresses: a host may have several.
type Key = (u16, u16, u32);

/// What a packet holds.
#[derive(Debug)]
pub(super) enum Seen<'a> {
    /// A DATA chunk; `again`: seen before.
    Chunk { stream: u16, ppid: u32, bytes: usize, again: bool },
    /// A whole user message.
    Message { ppid: u32, octets: &'a [u8] },
    /// A chunk whose lengths do not fit.
    Malformed,
    /// A fragment that found no room.
    NoRoom,
}

#[derive(Debug, Default)]
struct Direction {
    association: usize,
    seen: FxHashSet<u32>,
    order: VecDeque<u32>,
    /// First and last TSN seen, in serial order.
    span: Option<(u32, u32)>,
    distinct: u64,
    /// Fragments by TSN: flags, PPID, user data.
    fragments: FxHashMap<u32, (u8, u32, Vec<u8>)>,
    fragment_bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    directions: FxHashMap<Key, Direction>,
    associations: FxHashMap<Ends, usize>,
    /// Ends of each association, in the order of their first packet.
    pub(super) ends: Vec<Ends>,
}

impl Reassembly {
    /// The association of a packet, and which direction of it; `None` when there is no room for another, or no header.
    fn direction(&mut self, from: IpAddr, to: IpAddr, head: &[u8; 12]) -> Option<&mut Direction> {
        let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let tag = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let key = (port(0), port(2), tag);
        let is_full = self.directions.len() >= DIRECTIONS_MAX || self.ends.len() >= DIRECTIONS_MAX;
        // INIT has the tag 0, whoever sends it: it says nothing about the association of another packet.
        if tag == 0 || !self.directions.contains_key(&key) {
            if is_full {
                return None;
            }
            let (one, other) = (SocketAddr::new(from, port(0)), SocketAddr::new(to, port(2)));
            let ends = (one.min(other), one.max(other));
            let next = self.ends.len();
            let association = *self.associations.entry(ends).or_insert(next);
            if association == next {
                self.ends.push(ends);
            }
            self.directions.entry(key).or_default().association = association;
        }
        self.directions.get_mut(&key)
    }

    /// Takes one SCTP packet and gives what is in it; the association's index, or `None` when it is not looked at.
    pub(super) fn packet(
        &mut self,
        from: IpAddr,
        to: IpAddr,
        octets: &[u8],
        give: &mut dyn FnMut(usize, Seen<'_>),
    ) -> Option<usize> {
        let (head, mut rest) = octets.split_first_chunk::<12>()?;
        let direction = self.direction(from, to, head)?;
        let association = direction.association;
        while let Some([kind, flags, high, low]) = rest.first_chunk() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(chunk) = rest.get(4..length) else {
                give(association, Seen::Malformed);
                break;
            };
            if *kind == DATA && length > DATA_HEADER {
                direction.data(*flags, chunk, &mut |seen| give(association, seen));
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Some(association)
    }

    /// For each association: TSNs between the first and the last one seen that never were, and fragments of messages that were
    /// never whole.
    pub(super) fn missing(&self) -> Vec<(u64, u64)> {
        let mut missing = vec![(0, 0); self.ends.len()];
        for direction in self.directions.values() {
            let span = direction.span.map_or(0, |(first, last)| u64::from(last.wrapping_sub(first)) + 1);
            let entry = &mut missing[direction.association];
            entry.0 += span.saturating_sub(direction.distinct);
            entry.1 += direction.fragments.len() as u64;
        }
        missing
    }
}

impl Direction {
    fn data(&mut self, flags: u8, chunk: &[u8], give: &mut dyn FnMut(Seen<'_>)) {
        let word = |at: usize| u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]);
        let (tsn, stream, ppid, user_data) = (word(0), (word(4) >> 16) as u16, word(8), &chunk[12..]);
        let again = !self.first_time(tsn);
        give(Seen::Chunk { stream, ppid, bytes: user_data.len(), again });
        if again {
            return;
        }
        if flags & 3 == 3 {
            return give(Seen::Message { ppid, octets: user_data });
        }
        if self.fragment_bytes + user_data.len() > FRAGMENT_BYTES_MAX || self.fragments.len() >= FRAGMENTS_MAX {
            return give(Seen::NoRoom);
        }
        self.fragment_bytes += user_data.len();
        self.fragments.insert(tsn, (flags, ppid, user_data.to_vec()));
        if let Some((ppid, message)) = self.complete(tsn) {
            give(Seen::Message { ppid, octets: &message });
        }
    }

    fn first_time(&mut self, tsn: u32) -> bool {
        if !self.seen.insert(tsn) {
            return false;
        }
        self.distinct += 1;
        let before = |a: u32, b: u32| a.wrapping_sub(b) > u32::MAX / 2;
        self.span = Some(match self.span {
            None => (tsn, tsn),
            Some((first, last)) if before(tsn, first) => (tsn, last),
            Some((first, last)) if before(last, tsn) => (first, tsn),
            Some(span) => span,
        });
        self.order.push_back(tsn);
        if self.order.len() > TSNS_MAX
            && let Some(old) = self.order.pop_front()
        {
            self.seen.remove(&old);
        }
        true
    }

    /// The whole message around a fragment, once its neighbours by TSN are there (RFC 9260 section 6.9).
    fn complete(&mut self, tsn: u32) -> Option<(u32, Vec<u8>)> {
        let (mut first, mut last) = (tsn, tsn);
        while self.fragments.get(&first)?.0 & 2 == 0 {
            first = first.wrapping_sub(1);
        }
        while self.fragments.get(&last)?.0 & 1 == 0 {
            last = last.wrapping_add(1);
        }
        let mut message = Vec::new();
        let mut ppid = 0;
        for i in 0..=last.wrapping_sub(first) {
            let (_, its_ppid, data) = self.fragments.remove(&first.wrapping_add(i))?;
            ppid = its_ppid;
            self.fragment_bytes -= data.len();
            message.extend_from_slice(&data);
        }
        Some((ppid, message))
    }
}
