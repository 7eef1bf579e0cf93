//! The handlespace against a plain model.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Add { handle: u8, id: u32, home: u32, load: u32 },
    Remove { handle: u8, id: u32 },
    Suspend { handle: u8, id: u32, reason: SuspensionReason },
    Resume { handle: u8, id: u32, reason: SuspensionReason },
    Select { handle: u8, items: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let reason = || {
        prop_oneof![Just(SuspensionReason::Silent), Just(SuspensionReason::Unusable), Just(SuspensionReason::Draining)]
    };
    let place = || (0..4_u8, 0..12_u32);
    let load = prop_oneof![0..3_u32, Just(u32::MAX)];
    prop_oneof![
        4 => (place(), 1..4_u32, load).prop_map(|((handle, id), home, load)| Op::Add { handle, id, home, load }),
        2 => place().prop_map(|(handle, id)| Op::Remove { handle, id }),
        2 => (place(), reason()).prop_map(|((handle, id), reason)| Op::Suspend { handle, id, reason }),
        2 => (place(), reason()).prop_map(|((handle, id), reason)| Op::Resume { handle, id, reason }),
        2 => (0..4_u8, 0..20_usize).prop_map(|(handle, items)| Op::Select { handle, items }),
    ]
}

/// What the handlespace should hold, kept the plain way.
#[derive(Debug, Default)]
struct Model(BTreeMap<(u8, u32), (u32, u32, Vec<SuspensionReason>)>);

fn name(handle: u8) -> PoolHandle {
    PoolHandle::new(vec![b'p'; usize::from(handle) + 1])
}

/// Each pool has its own policy: the three structures, and the one with a counter.
fn policy(handle: u8, load: u32) -> Policy {
    match handle {
        0 => Policy::LeastUsed { load },
        1 => Policy::WeightedRoundRobin { weight: load.wrapping_add(1) },
        2 => Policy::RandomizedLeastUsed { load },
        _ => Policy::LeastUsedDegradation { load, degradation: 1 },
    }
}

impl Model {
    fn apply(&mut self, handlespace: &mut Handlespace, op: Op) {
        match op {
            Op::Add { handle, id, home, load } => {
                let new = PoolElement { home: ServerId(home), ..element(id, policy(handle, load)) };
                handlespace.add(&name(handle), new).unwrap();
                let entry = self.0.entry((handle, id)).or_default();
                (entry.0, entry.1) = (home, load);
            }
            Op::Remove { handle, id } => {
                let slot = handlespace.find(&name(handle), PeId(id));
                assert_eq!(slot.is_some(), self.0.remove(&(handle, id)).is_some());
                slot.map(|slot| handlespace.remove(slot).unwrap());
            }
            Op::Suspend { handle, id, reason } => {
                if let Some((_, _, reasons)) = self.0.get_mut(&(handle, id)) {
                    let slot = handlespace.find(&name(handle), PeId(id)).unwrap();
                    assert_eq!(handlespace.suspend(slot, reason), reasons.is_empty());
                    reasons.retain(|&r| r != reason);
                    reasons.push(reason);
                }
            }
            Op::Resume { handle, id, reason } => {
                if let Some((_, _, reasons)) = self.0.get_mut(&(handle, id)) {
                    let slot = handlespace.find(&name(handle), PeId(id)).unwrap();
                    let expected = reasons.as_slice() == [reason];
                    reasons.retain(|&r| r != reason);
                    assert_eq!(handlespace.resume(slot, reason), expected);
                }
            }
            Op::Select { handle, items } => self.check_answer(handlespace, handle, items),
        }
    }

    fn selectable(&self, handle: u8) -> Vec<PeId> {
        let range = self.0.range((handle, 0)..=(handle, u32::MAX));
        range
            .filter(|(_, (_, load, reasons))| *load != u32::MAX && reasons.is_empty())
            .map(|(k, _)| PeId(k.1))
            .collect()
    }

    fn check_answer(&self, handlespace: &mut Handlespace, handle: u8, items: usize) {
        let exists = self.0.keys().any(|key| key.0 == handle);
        let Some(mut answer) = handlespace.select(&name(handle), items) else {
            assert!(!exists);
            return;
        };
        let allowed = self.selectable(handle);
        assert!(exists && answer.iter().all(|pe| allowed.contains(pe)), "{answer:?} not within {allowed:?}");
        assert_eq!(answer.len(), items.min(allowed.len()), "as many as there are");
        answer.sort_unstable();
        answer.dedup();
        assert_eq!(answer.len(), items.min(allowed.len()), "no duplicates");
    }

    fn check(&self, handlespace: &Handlespace) {
        assert_eq!(handlespace.element_count(), self.0.len());
        for home in 1..4 {
            let mut plain = Checksum::default();
            for (&(handle, id), _) in self.0.iter().filter(|(_, value)| value.0 == home) {
                plain.add(checksum::handle_words(name(handle).as_bytes()), id);
            }
            assert_eq!(handlespace.checksum(ServerId(home)), plain);
            let owned = handlespace.owned(ServerId(home), Cursor::START);
            let mut owned: Vec<_> = owned.map(|(_, e)| (handlespace.handle_of(e).clone(), e.id().0)).collect();
            owned.sort_unstable();
            let expected = self.0.iter().filter(|(_, value)| value.0 == home).map(|(&(h, id), _)| (name(h), id));
            assert_eq!(owned, expected.collect::<Vec<_>>());
        }
        for handle in 0..4 {
            let selectable = handlespace.pool(&name(handle)).map_or(0, Pool::selectable);
            assert_eq!(selectable, self.selectable(handle).len());
        }
    }
}

proptest! {
    /// Checksums kept up to date equal recomputed ones; no answer has a suspended, draining or full element or one twice.
    #[test]
    fn agrees_with_the_model(ops in prop::collection::vec(op(), 1..120)) {
        let mut handlespace = Handlespace::new(LIMITS, 7);
        let mut model = Model::default();
        for op in ops {
            model.apply(&mut handlespace, op);
            model.check(&handlespace);
        }
    }
}
