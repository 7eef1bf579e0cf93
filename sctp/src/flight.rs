//! The TSNs of one association between the engine and the peer's acknowledgement, and which of them are lost.
//!
//! The engine numbers DATA chunks; here they wait for room on a path (staged), are on the wire, arrived out of order (gap-acked),
//! or are held lost and go out again. RFC 9260 section 7.2.4 by miss indications, and, because it lets a chunk be fast
//! retransmitted only once, by time as RFC 8985 does for TCP: what left a round trip and a quarter ago is lost when something that
//! left after it, over the same path, has arrived.

use crate::wire::{self, DATA_HEADER, flag};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Section 7.2.4.
const MISS_INDICATIONS: u8 = 3;
/// Least reordering that is not taken for loss by time.
const REORDER_MIN: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Numbered, never sent.
    Staged,
    OnWire,
    /// To be sent again.
    Lost,
    /// Arrived, says a gap ack block.
    Arrived,
}

/// One TSN.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The message it belongs to.
    pub(crate) number: u64,
    pub(crate) ppid: u32,
    pub(crate) end: bool,
    chunk: Bytes,
    /// Where the user data begins in `chunk`.
    user: usize,
    state: State,
    path: usize,
    /// Bit of each path it left over.
    over: u8,
    at: Instant,
    times: u32,
    missing: u8,
    /// The last of a burst: acknowledged at once, so that it measures the round trip.
    probe: bool,
}

impl Sent {
    /// The path it left over last.
    pub(crate) fn path(&self) -> usize {
        self.path
    }

    pub(crate) fn bytes(&self) -> usize {
        self.chunk.len()
    }

    pub(crate) fn tsn(&self) -> u32 {
        wire::u32_at(&self.chunk, 4)
    }

    /// TSN, stream, SSN as on the wire.
    pub(crate) fn fixed(&self) -> &[u8] {
        &self.chunk[4..12]
    }

    pub(crate) fn flags(&self) -> u8 {
        self.chunk[1]
    }

    pub(crate) fn user(&self) -> &[u8] {
        &self.chunk[self.user..]
    }
}

/// What one path has to know of itself for finding losses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// Smoothed round trip.
    pub(crate) rtt: Duration,
    /// The shortest one ever measured; 0 when none was.
    pub(crate) rtt_min: Duration,
    /// The latest departure that is known to have arrived, and its TSN.
    pub(crate) newest: Option<(Instant, u32)>,
}

impl Pace {
    /// How long after its departure a chunk is lost, once something later arrived.
    fn patience(&self) -> Duration {
        self.rtt + (self.rtt / 4).max(REORDER_MIN)
    }
}

/// What an acknowledgement brought for one path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gain {
    /// Bytes acknowledged for the first time.
    pub(crate) bytes: usize,
    /// The latest departure among them, and its TSN.
    pub(crate) newest: Option<(Instant, u32)>,
    /// A round trip measured by Karn's rule.
    pub(crate) rtt: Option<Duration>,
    /// Something arrived that left over this path only.
    pub(crate) proves: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Flight {
    chunks: VecDeque<Sent>,
    first_tsn: u32,
    /// So many of the chunks were sent at least once; the others are staged.
    sent: usize,
    /// Bytes of the chunks that arrived out of order.
    arrived: usize,
    lost: usize,
    /// Something was sent again and is not yet acknowledged: later arrivals may be of chunks that left before.
    again: bool,
}

impl Flight {
    pub(crate) fn new(first_tsn: u32) -> Self {
        Self { chunks: VecDeque::new(), first_tsn, sent: 0, arrived: 0, lost: 0, again: false }
    }

    /// True while a TSN was sent and is not acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == 0
    }

    /// The last TSN acknowledged cumulatively, and the highest one sent.
    pub(crate) fn bounds(&self) -> (u32, u32) {
        let acknowledged = self.first_tsn.wrapping_sub(1);
        (acknowledged, acknowledged.wrapping_add(u32::try_from(self.sent).unwrap_or(u32::MAX)))
    }

    /// Bytes of what arrived out of order: the peer's window does not have them any more, its cumulative TSN does not yet.
    #[cfg(test)]
    fn arrived_bytes(&self) -> u32 {
        u32::try_from(self.arrived).unwrap_or(u32::MAX)
    }

    /// So many chunks, from the first, were sent at least once.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// The next TSN to stage.
    pub(crate) fn next_tsn(&self) -> u32 {
        self.first_tsn.wrapping_add(u32::try_from(self.chunks.len()).unwrap_or(u32::MAX))
    }

    /// Takes a numbered chunk (header included, the engine's prefix of `prefix` bytes before the user data) of a message.
    pub(crate) fn stage(&mut self, chunk: Bytes, prefix: usize, number: u64, ppid: u32, now: Instant) {
        let end = chunk[1] & flag::END != 0;
        self.chunks.push_back(Sent {
            number,
            ppid,
            end,
            user: DATA_HEADER + prefix,
            chunk,
            state: State::Staged,
            path: 0,
            over: 0,
            at: now,
            times: 0,
            missing: 0,
            probe: false,
        });
    }

    /// Index of the next chunk to send, at `from` or later: first what is lost, then what is new.
    pub(crate) fn next(&self, from: usize) -> Option<usize> {
        if self.lost > 0
            && let Some(i) = (from..self.sent).find(|i| self.chunks[*i].state == State::Lost)
        {
            return Some(i);
        }
        let next = from.max(self.sent);
        (next < self.chunks.len()).then_some(next)
    }

    /// Something waits to be sent again.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// Notes a departure; the bytes, and whether it went before.
    pub(crate) fn depart(&mut self, index: usize, path: usize, now: Instant) -> (usize, bool) {
        let chunk = &mut self.chunks[index];
        let again = chunk.times > 0;
        if chunk.state == State::Lost {
            self.lost -= 1;
        }
        chunk.state = State::OnWire;
        (chunk.path, chunk.at, chunk.missing, chunk.probe) = (path, now, 0, false);
        chunk.over |= 1 << (path & 7);
        chunk.times = chunk.times.saturating_add(1);
        self.sent = self.sent.max(index + 1);
        self.again |= again;
        (chunk.bytes(), again)
    }

    /// The chunk asks for an acknowledgement at once, which measures the round trip.
    pub(crate) fn probe(&mut self, index: usize) {
        self.chunks[index].probe = true;
    }

    pub(crate) fn get(&self, index: usize) -> &Sent {
        &self.chunks[index]
    }

    /// Everything up to `cumulative` is acknowledged; `done` gets each TSN, `gains` is by path.
    pub(crate) fn acknowledge(
        &mut self,
        cumulative: u32,
        now: Instant,
        paces: &[Pace],
        gains: &mut [Gain],
        mut done: impl FnMut(&Sent),
    ) {
        while self.sent > 0 && !wire::after(self.first_tsn, cumulative) {
            let Some(chunk) = self.chunks.pop_front() else { break };
            match chunk.state {
                State::Arrived => self.arrived -= chunk.bytes(),
                State::Lost => {
                    self.lost -= 1;
                    gain(&chunk, self.first_tsn, now, paces, gains);
                }
                State::OnWire | State::Staged => gain(&chunk, self.first_tsn, now, paces, gains),
            }
            self.first_tsn = self.first_tsn.wrapping_add(1);
            self.sent -= 1;
            done(&chunk);
        }
        if self.sent == 0 {
            self.again = false;
        }
        self.reneged();
    }

    /// The next in sequence had been gap-acked and is not acknowledged: the peer took back what it had (section 6.2.1).
    fn reneged(&mut self) {
        if self.chunks.front().is_none_or(|first| first.state != State::Arrived) {
            return;
        }
        for chunk in self.chunks.iter_mut().take(self.sent).filter(|c| c.state == State::Arrived) {
            chunk.state = State::Lost;
            self.lost += 1;
        }
        self.arrived = 0;
    }

    /// Gap ack blocks (offsets from the cumulative TSN, checked by the caller), after [`Flight::acknowledge`].
    pub(crate) fn gaps(
        &mut self,
        blocks: impl Iterator<Item = (u16, u16)>,
        now: Instant,
        paces: &[Pace],
        gains: &mut [Gain],
    ) {
        let mut highest_new = None;
        for (start, end) in blocks {
            for index in usize::from(start) - 1..usize::from(end).min(self.sent) {
                let chunk = &mut self.chunks[index];
                if chunk.state == State::Arrived {
                    continue;
                }
                gain(chunk, self.first_tsn.wrapping_add(index as u32), now, paces, gains);
                self.lost -= usize::from(chunk.state == State::Lost);
                chunk.state = State::Arrived;
                self.arrived += chunk.bytes();
                highest_new = Some(index);
            }
        }
        // Miss indications follow the highest TSN newly acknowledged.
        for chunk in self.chunks.iter_mut().take(highest_new.unwrap_or(0)) {
            if chunk.state == State::OnWire && chunk.times == 1 {
                chunk.missing = chunk.missing.saturating_add(1);
            }
        }
    }

    /// Marks what is lost; `each` gets path, bytes, and whether only another path proves it. Returns when to look again.
    pub(crate) fn find_lost(
        &mut self,
        now: Instant,
        paces: &[Pace],
        mut each: impl FnMut(usize, usize, bool),
    ) -> Option<Instant> {
        if self.arrived == 0 && !self.again {
            return None;
        }
        let mut look_at: Option<Instant> = None;
        for (index, chunk) in self.chunks.iter_mut().enumerate().take(self.sent) {
            if chunk.state != State::OnWire {
                continue;
            }
            let Some(pace) = paces.get(chunk.path) else { continue };
            let tsn = self.first_tsn.wrapping_add(index as u32);
            let overtaken =
                pace.newest.is_some_and(|(at, by)| chunk.at < at || (chunk.at == at && wire::after(by, tsn)));
            // Paths differ in length, so what took another one must have left a round trip later.
            let patience = pace.patience();
            let by_another =
                !overtaken && paces.iter().any(|p| p.newest.is_some_and(|(at, _)| at >= chunk.at + patience));
            let due = chunk.at + patience;
            if chunk.missing >= MISS_INDICATIONS || ((overtaken || by_another) && due <= now) {
                chunk.state = State::Lost;
                self.lost += 1;
                each(chunk.path, chunk.bytes(), by_another);
            } else if overtaken {
                look_at = Some(look_at.map_or(due, |at| at.min(due)));
            }
        }
        look_at
    }

    /// Everything that is on the wire over this path is held lost; its bytes.
    pub(crate) fn lost_on(&mut self, path: usize) -> usize {
        let mut bytes = 0;
        for chunk in self.chunks.iter_mut().take(self.sent) {
            if chunk.state == State::OnWire && chunk.path == path {
                chunk.state = State::Lost;
                self.lost += 1;
                bytes += chunk.bytes();
            }
        }
        bytes
    }

    /// Index of the last chunk on the wire, for a tail probe.
    pub(crate) fn tail(&self) -> Option<usize> {
        (0..self.sent).rev().find(|i| self.chunks[*i].state == State::OnWire)
    }
}

fn gain(chunk: &Sent, tsn: u32, now: Instant, paces: &[Pace], gains: &mut [Gain]) {
    let (Some(gain), Some(pace)) = (gains.get_mut(chunk.path), paces.get(chunk.path)) else { return };
    let took = now.saturating_duration_since(chunk.at);
    if chunk.state == State::OnWire {
        gain.bytes += chunk.bytes();
    }
    gain.proves |= chunk.over.is_power_of_two();
    if chunk.times == 1 && chunk.probe {
        gain.rtt = Some(took);
    }
    // What comes sooner than any round trip after the second departure answers the first one, and says nothing of the order. (The
    // smoothed round trip would be too long for that: heartbeats measured a quiet path's, now and then.)
    let this_one = chunk.times == 1 || took >= pace.rtt_min - pace.rtt_min / 4;
    if this_one && chunk.state == State::OnWire && gain.newest.is_none_or(|newest| newest < (chunk.at, tsn)) {
        gain.newest = Some((chunk.at, tsn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(10);

    fn ms(begin: Instant, ms: u64) -> Instant {
        begin + Duration::from_millis(ms)
    }

    /// `count` chunks from TSN 1 on, sent over these paths, one each millisecond.
    fn flying(begin: Instant, paths: &[usize]) -> Flight {
        let mut flight = Flight::new(1);
        for (i, path) in paths.iter().enumerate() {
            let mut chunk = vec![0, flag::BEGIN | flag::END, 0, 0];
            chunk.extend_from_slice(&flight.next_tsn().to_be_bytes());
            chunk.resize(DATA_HEADER + 4, 0);
            flight.stage(chunk.into(), 0, i as u64, 3, begin);
            assert_eq!(flight.next(0), Some(i));
            flight.depart(i, *path, ms(begin, i as u64));
        }
        flight
    }

    /// Takes a SACK in at `now`, then looks for losses: TSN offsets that are to be sent again, and when to look next.
    fn sack(
        flight: &mut Flight,
        paces: &mut [Pace; 2],
        cumulative: u32,
        gaps: &[(u16, u16)],
        now: Instant,
    ) -> (Vec<usize>, Option<Instant>) {
        let mut gains = [Gain::default(); 2];
        flight.acknowledge(cumulative, now, &*paces, &mut gains, |_| {});
        flight.gaps(gaps.iter().copied(), now, &*paces, &mut gains);
        for (pace, gain) in paces.iter_mut().zip(gains) {
            pace.newest = pace.newest.max(gain.newest);
        }
        let look = flight.find_lost(now, &*paces, |_, _, _| {});
        let mut lost = Vec::new();
        let mut from = 0;
        while let Some(i) = flight.next(from).filter(|i| *i < flight.sent) {
            lost.push(i);
            from = i + 1;
        }
        (lost, look)
    }

    fn paces() -> [Pace; 2] {
        [Pace { rtt: RTT, rtt_min: RTT, newest: None }; 2]
    }

    #[test]
    fn three_miss_indications_or_a_round_trip_and_a_quarter() {
        let begin = Instant::now();
        let (mut flight, mut paces) = (flying(begin, &[0; 6]), paces());
        // TSN 2 is missing. Two indications are not enough; the third is.
        assert_eq!(sack(&mut flight, &mut paces, 1, &[(2, 2)], ms(begin, 10)).0, [0; 0]);
        assert_eq!(
            sack(&mut flight, &mut paces, 1, &[(2, 3)], ms(begin, 11)),
            (vec![], Some(begin + Duration::from_micros(13_500)))
        );
        assert_eq!(sack(&mut flight, &mut paces, 1, &[(2, 4)], ms(begin, 12)).0, [0]);
        // It left again at 12 ms and is lost again: nobody will say so three times, but what left at 13 ms arrives.
        assert_eq!(flight.depart(0, 0, ms(begin, 12)), (20, true));
        flight.depart(4, 0, ms(begin, 13));
        assert_eq!(sack(&mut flight, &mut paces, 1, &[(2, 5)], ms(begin, 23)).0, [0; 0]);
        assert_eq!(
            flight.find_lost(ms(begin, 25), &paces, |path, bytes, other| assert_eq!(
                (path, bytes, other),
                (0, 20, false)
            )),
            None
        );
        assert_eq!(flight.next(0), Some(0));
        flight.acknowledge(6, ms(begin, 30), &paces, &mut [Gain::default(); 2], |_| {});
        assert!(flight.is_empty() && !flight.has_lost() && flight.arrived_bytes() == 0);
    }

    #[test]
    fn reordering_is_no_loss() {
        let begin = Instant::now();
        let (mut flight, mut paces) = (flying(begin, &[0; 4]), paces());
        assert_eq!(sack(&mut flight, &mut paces, 0, &[(2, 2)], ms(begin, 11)).0, [0; 0]);
        assert_eq!(sack(&mut flight, &mut paces, 2, &[], ms(begin, 12)), (vec![], None));
        // The answer to a first departure says nothing of what left before its second one.
        flight.depart(0, 0, ms(begin, 20));
        assert_eq!(sack(&mut flight, &mut paces, 3, &[], ms(begin, 21)), (vec![], None));
    }

    #[test]
    fn what_left_a_round_trip_later_over_another_path_proves_a_path_dead() {
        let begin = Instant::now();
        let mut flight = flying(begin, &[0, 0, 1]);
        let mut paces = paces();
        // TSN 3 left 1 or 2 ms after the others: the paths may differ in length.
        assert_eq!(sack(&mut flight, &mut paces, 0, &[(3, 3)], ms(begin, 20)).0, [0; 0]);
        let mut flight = flying(begin, &[0, 0]);
        flight.depart(1, 1, ms(begin, 13));
        let (lost, _) = sack(&mut flight, &mut paces, 0, &[(2, 2)], ms(begin, 23));
        assert_eq!(lost, [0]);
    }

    #[test]
    fn a_path_that_is_given_up_loses_what_is_on_it_and_reneging_is_survived() {
        let begin = Instant::now();
        let mut flight = flying(begin, &[0, 1, 0]);
        assert_eq!(flight.lost_on(0), 40);
        assert_eq!((flight.next(0), flight.next(1)), (Some(0), Some(2)));
        // TSN 2 and 3 arrived; then the peer has 1 only.
        let mut flight = flying(begin, &[0, 0, 0]);
        sack(&mut flight, &mut paces(), 0, &[(2, 3)], ms(begin, 10));
        assert_eq!(flight.arrived_bytes(), 40);
        sack(&mut flight, &mut paces(), 1, &[], ms(begin, 20));
        assert_eq!((flight.next(0), flight.next(1), flight.arrived_bytes()), (Some(0), Some(1), 0));
    }
}
