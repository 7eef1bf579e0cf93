//! What the gateway that follows knows of the one that leads: enough to lead at any moment.

use super::journal::Outputs;
use super::wire::{GroupState, Malformed, Op};
use crate::group::Copy;
use crate::msu::Msu;
use bytes::Bytes;
use m3ua_lite::session::{CorrelationId, Envelope, GroupKey};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A group of the gateway that leads.
#[derive(Debug, Clone)]
pub(crate) struct Mirrored {
    pub(crate) state: GroupState,
    /// When its cookie came.
    pub(crate) cookie_at: Instant,
    /// Messages that are not confirmed.
    pub(crate) queue: VecDeque<Copy>,
    /// Output that does not count yet.
    pending: Vec<Msu>,
}

/// A transaction that counts: PE identifier, incarnation, number.
pub(crate) type Counted = (u32, u32, u32);

/// What an operation says besides what is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// This transaction counts.
    Committed(Counted),
    /// Forwarded messages up to this one are the other's.
    Taken(u64),
    /// Everything is mirrored.
    Complete,
}

/// The limits of one `[[as]]` table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) groups_max: usize,
    pub(crate) queue_max: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mirror {
    pools: Vec<(Limits, FxHashMap<GroupKey, Mirrored>, usize)>,
    /// Operations mirrored.
    pub(crate) count: u64,
    /// All that there was at the beginning is here.
    pub(crate) complete: bool,
    outputs: Outputs,
}

impl Mirror {
    pub(crate) fn new(limits: &[Limits], outputs_max: usize) -> Self {
        Self {
            pools: limits.iter().map(|limits| (*limits, FxHashMap::default(), 0)).collect(),
            count: 0,
            complete: false,
            outputs: Outputs::new(outputs_max),
        }
    }

    /// There are more tables now.
    pub(crate) fn add(&mut self, limits: &[Limits]) {
        let more = limits.iter().skip(self.pools.len());
        self.pools.extend(more.map(|limits| (*limits, FxHashMap::default(), 0)));
    }

    /// Takes the next operation.
    pub(crate) fn apply(&mut self, now: Instant, op: Op) -> Result<Option<News>, Malformed> {
        self.count += 1;
        match op {
            Op::Group(server, key, state) => {
                let group = self.group(now, server, key)?;
                // A copy: a slice would keep the whole message.
                group.cookie_at = now.checked_sub(Duration::from_millis(state.age_ms.into())).unwrap_or(now);
                group.state = GroupState { cookie: state.cookie.as_deref().map(Bytes::copy_from_slice), ..state };
            }
            Op::Offered { server, key, sls, id, source, forward, data } => {
                self.offered(now, (server, key), id, (sls, source), &data)?;
                return Ok((forward != 0).then_some(News::Taken(forward)));
            }
            Op::Output(server, key, msu) => self.group(now, server, key)?.pending.push(detached(msu)),
            Op::Committed { server, key, pe, incarnation, transaction, cookie } => {
                self.committed(now, server, key, &cookie)?;
                return Ok(Some(News::Committed((pe, incarnation, transaction))));
            }
            Op::Released(server, key) => self.released(now, server, key)?,
            Op::Sent(msu) => self.outputs.push(detached(msu)),
            Op::Confirmed(server, key, upto) => self.confirmed(now, server, key, upto)?,
            Op::Owner(server, key, pe) => self.group(now, server, key)?.state.owner = pe,
            Op::Taken(forward) => return Ok(Some(News::Taken(forward))),
            Op::Delivered(count) => self.outputs.delivered(count),
            Op::Complete => {
                self.complete = true;
                return Ok(Some(News::Complete));
            }
        }
        Ok(None)
    }

    fn group(&mut self, now: Instant, server: u8, key: GroupKey) -> Result<&mut Mirrored, Malformed> {
        let (limits, groups, _) = self.pools.get_mut(usize::from(server)).ok_or(Malformed)?;
        if groups.len() >= limits.groups_max && !groups.contains_key(&key) {
            return Err(Malformed);
        }
        Ok(groups.entry(key).or_insert_with(|| Mirrored {
            state: GroupState { last: CorrelationId::NONE, ..GroupState::default() },
            cookie_at: now,
            queue: VecDeque::new(),
            pending: Vec::new(),
        }))
    }

    fn offered(
        &mut self,
        now: Instant,
        (server, key): (u8, GroupKey),
        id: CorrelationId,
        (sls, source): (u8, CorrelationId),
        data: &Bytes,
    ) -> Result<(), Malformed> {
        let group = self.group(now, server, key)?;
        group.state.last = id;
        if source != CorrelationId::NONE {
            group.state.source.set(sls, source);
        }
        group.queue.push_back(Copy { correlation_id: id, data: Bytes::copy_from_slice(data) });
        let (limits, _, queued) = self.pools.get_mut(usize::from(server)).ok_or(Malformed)?;
        *queued += 1;
        if *queued > limits.queue_max { Err(Malformed) } else { Ok(()) }
    }

    fn committed(&mut self, now: Instant, server: u8, key: GroupKey, cookie: &Bytes) -> Result<(), Malformed> {
        let mark = Envelope::decode(cookie).map_err(|_| Malformed)?.mark;
        let group = self.group(now, server, key)?;
        group.state.cookie = Some(Bytes::copy_from_slice(cookie));
        group.cookie_at = now;
        self.confirmed(now, server, key, mark)?;
        self.released(now, server, key)
    }

    fn released(&mut self, now: Instant, server: u8, key: GroupKey) -> Result<(), Malformed> {
        let group = self.group(now, server, key)?;
        let outputs = std::mem::take(&mut group.pending);
        outputs.iter().for_each(|msu| group.state.down.set(msu.sls, msu.id));
        outputs.into_iter().for_each(|msu| self.outputs.push(msu));
        Ok(())
    }

    fn confirmed(&mut self, now: Instant, server: u8, key: GroupKey, upto: CorrelationId) -> Result<(), Malformed> {
        let group = self.group(now, server, key)?;
        let before = group.queue.len();
        while upto != CorrelationId::NONE && group.queue.front().is_some_and(|copy| !copy.correlation_id.is_after(upto))
        {
            group.queue.pop_front();
        }
        let freed = before - group.queue.len();
        if let Some((_, _, queued)) = self.pools.get_mut(usize::from(server)) {
            *queued -= freed;
        }
        Ok(())
    }

    /// Groups and messages that are mirrored.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.pools.iter().fold((0, 0), |(groups, queued), pool| (groups + pool.1.len(), queued + pool.2))
    }

    /// Everything, by the number of the `[[as]]` table, and what the network had not confirmed. Output that does not count never happened.
    pub(crate) fn take(self) -> (Vec<Vec<(GroupKey, Mirrored)>>, VecDeque<Msu>) {
        let Self { pools, mut outputs, .. } = self;
        let pools = pools.into_iter().map(|(_, groups, _)| {
            let mut groups: Vec<_> = groups.into_iter().collect();
            groups.sort_unstable_by_key(|(key, _)| *key);
            groups
        });
        (pools.collect(), outputs.take())
    }
}

/// A copy that does not keep the whole message it came in.
fn detached(msu: Msu) -> Msu {
    Msu { user_data: Bytes::copy_from_slice(&msu.user_data), ..msu }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: GroupKey = GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: 9 };

    fn id(n: u32) -> CorrelationId {
        CorrelationId(CorrelationId::start(1, 1).0 | n)
    }

    fn offered(n: u32) -> Op {
        let data = Bytes::from_static(b"data");
        Op::Offered { server: 0, key: KEY, sls: 3, id: id(n), source: id(100 + n), forward: n.into(), data }
    }

    fn output(n: u32) -> Msu {
        Msu { opc: 2, dpc: 1, si: 5, ni: 2, mp: 0, sls: 0, user_data: Bytes::new(), id: id(n), network: None }
    }

    fn mirror() -> Mirror {
        Mirror::new(&[Limits { groups_max: 2, queue_max: 3 }], 10)
    }

    fn committed(mark: u32) -> Op {
        let cookie =
            Envelope { group: KEY, ni: 2, mark: id(mark), transaction: 3, incarnation: 2, age_ms: 0, state: b"state" };
        let mut octets = vec![0; cookie.encoded_len()];
        cookie.encode(&mut octets).unwrap();
        Op::Committed { server: 0, key: KEY, pe: 1, incarnation: 2, transaction: 3, cookie: octets.into() }
    }

    #[test]
    fn a_transaction_counts_in_one_step() {
        let (t, mut mirror) = (Instant::now(), mirror());
        assert_eq!(mirror.apply(t, offered(1)), Ok(Some(News::Taken(1))));
        assert_eq!(mirror.apply(t, offered(2)), Ok(Some(News::Taken(2))));
        mirror.apply(t, Op::Owner(0, KEY, 7)).unwrap();
        mirror.apply(t, Op::Output(0, KEY, output(1))).unwrap();
        assert_eq!(mirror.outputs.len(), 0, "it does not count yet");
        assert_eq!(mirror.apply(t, committed(1)), Ok(Some(News::Committed((1, 2, 3)))));
        mirror.apply(t, Op::Output(0, KEY, output(2))).unwrap();
        assert_eq!(mirror.size(), (1, 1));
        let (pools, outputs) = mirror.take();
        let (key, group) = &pools[0][0];
        assert_eq!((*key, group.state.last, group.state.source.last(3), group.state.owner), (KEY, id(2), id(102), 7));
        assert_eq!(group.queue.iter().map(|copy| copy.correlation_id).collect::<Vec<_>>(), [id(2)]);
        assert!(group.state.cookie.is_some());
        assert_eq!(
            (outputs, group.state.down.last(0)),
            ([output(1)].into(), id(1)),
            "what did not count never happened"
        );
    }

    #[test]
    fn what_arrived_or_was_discarded_is_forgotten() {
        let (t, mut mirror) = (Instant::now(), mirror());
        for op in [offered(1), offered(2), Op::Confirmed(0, KEY, id(2)), Op::Sent(output(1)), Op::Delivered(1)] {
            mirror.apply(t, op).unwrap();
        }
        assert_eq!(mirror.size(), (1, 0));
        assert_eq!(mirror.outputs.len(), 0);
        assert_eq!(mirror.count, 5);
    }

    #[test]
    fn more_than_the_other_one_may_have_is_an_error() {
        let (t, mut mirror) = (Instant::now(), mirror());
        (1..=3).for_each(|n| assert!(mirror.apply(t, offered(n)).is_ok()));
        assert_eq!(mirror.apply(t, offered(4)), Err(Malformed));
        assert_eq!(mirror.apply(t, Op::Owner(1, KEY, 7)), Err(Malformed), "no such table");
        mirror.apply(t, Op::Owner(0, GroupKey { opc: 3, ..KEY }, 7)).unwrap();
        assert_eq!(mirror.apply(t, Op::Owner(0, GroupKey { opc: 4, ..KEY }, 7)), Err(Malformed), "groups_max");
        let bad = Op::Committed { server: 0, key: KEY, pe: 1, incarnation: 2, transaction: 3, cookie: Bytes::new() };
        assert_eq!(mirror.apply(t, bad), Err(Malformed));
    }
}
