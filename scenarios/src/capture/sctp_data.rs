//! User messages out of SCTP packets, as a capture shows them: each DATA chunk once, fragments put together.
//!
//! A reader of captures, not an endpoint: it keeps no order of its own, and it believes what it sees.

use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::net::IpAddr;

/// TSNs remembered for one direction, to know a retransmission.
const TSNS_MAX: usize = 65_536;
/// Directions (addresses, ports, tag) of one capture.
const DIRECTIONS_MAX: usize = 65_536;
/// Bytes of unfinished messages of one direction.
const FRAGMENT_BYTES_MAX: usize = 1 << 20;

const DATA: u8 = 0;
const DATA_HEADER: usize = 16;

/// One direction of one association.
type Key = (IpAddr, IpAddr, u16, u16, u32);

#[derive(Debug, Default)]
struct Direction {
    seen: FxHashSet<u32>,
    order: VecDeque<u32>,
    /// Fragments by TSN: flags, PPID, user data.
    fragments: FxHashMap<u32, (u8, u32, Vec<u8>)>,
    fragment_bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    directions: FxHashMap<Key, Direction>,
    /// Packets with lengths that do not fit, and fragments that found no room.
    pub(super) malformed: u64,
    /// DATA chunks seen before.
    pub(super) repeated: u64,
}

impl Reassembly {
    /// Takes one SCTP packet and gives each user message that it completes: PPID and octets.
    pub(super) fn packet(&mut self, from: IpAddr, to: IpAddr, octets: &[u8], give: &mut dyn FnMut(u32, &[u8])) {
        let Some((head, mut rest)) = octets.split_first_chunk::<12>() else {
            self.malformed += 1;
            return;
        };
        let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let tag = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let key = (from, to, port(0), port(2), tag);
        while let Some([kind, flags, high, low]) = rest.first_chunk() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(chunk) = rest.get(4..length) else {
                self.malformed += 1;
                return;
            };
            if *kind == DATA && length > DATA_HEADER {
                self.data(key, *flags, chunk, give);
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
    }

    fn data(&mut self, key: Key, flags: u8, chunk: &[u8], give: &mut dyn FnMut(u32, &[u8])) {
        if self.directions.len() >= DIRECTIONS_MAX && !self.directions.contains_key(&key) {
            self.malformed += 1;
            return;
        }
        let direction = self.directions.entry(key).or_default();
        let word = |at: usize| u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]);
        let (tsn, ppid, user_data) = (word(0), word(8), &chunk[12..]);
        if !direction.first_time(tsn) {
            self.repeated += 1;
            return;
        }
        if flags & 3 == 3 {
            give(ppid, user_data);
        } else if direction.fragment_bytes + user_data.len() > FRAGMENT_BYTES_MAX {
            self.malformed += 1;
        } else {
            direction.fragment_bytes += user_data.len();
            direction.fragments.insert(tsn, (flags, ppid, user_data.to_vec()));
            if let Some((ppid, message)) = direction.complete(tsn) {
                give(ppid, &message);
            }
        }
    }
}

impl Direction {
    fn first_time(&mut self, tsn: u32) -> bool {
        if !self.seen.insert(tsn) {
            return false;
        }
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
