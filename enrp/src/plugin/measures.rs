//! What pool users measured at pool elements and told the server in Element Reports.

use crate::handlespace::Slot;
use asap::wire::ElementReport;
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// The measures of one element, over all users that reported it: each new report moves them a quarter of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measure {
    /// 0xffffffff is 100 %.
    pub(crate) load: u32,
    /// In microseconds; none: nobody measured it.
    pub(crate) round_trip_us: Option<u32>,
    /// When the last report came.
    pub(crate) at: Instant,
}

/// Measures by element; no more than there are elements.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    by_element: FxHashMap<Slot, Measure>,
}

impl Measures {
    /// Takes a report. Measures older than `life` count no longer.
    pub(crate) fn take(&mut self, now: Instant, life: Duration, slot: Slot, report: &ElementReport) {
        let known = self.get(now, life, slot);
        let load = known.map_or(report.load, |known| towards(known.load, report.load));
        let round_trip_us = match (known.and_then(|known| known.round_trip_us), report.round_trip_us) {
            (Some(known), Some(new)) => Some(towards(known, new)),
            (known, new) => new.or(known),
        };
        self.by_element.insert(slot, Measure { load, round_trip_us, at: now });
    }

    /// The measures of an element unless they are older than `life`.
    pub(crate) fn get(&self, now: Instant, life: Duration, slot: Slot) -> Option<Measure> {
        let measure = self.by_element.get(&slot)?;
        (now.saturating_duration_since(measure.at) < life).then_some(*measure)
    }

    /// Whether there are none, fresh or old.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_element.is_empty()
    }

    /// The element is gone; another may get its slot.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.by_element.remove(&slot);
    }
}

/// A quarter of the way, and all of it in the end.
fn towards(known: u32, new: u32) -> u32 {
    let quarter = known.abs_diff(new).div_ceil(4);
    if new > known { known + quarter } else { known - quarter }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlespace::{Handlespace, Limits};
    use asap::wire::{PeId, Policy, PoolElement, RegistrationLife, ServerId, Transport};

    #[test]
    fn reports_are_smoothed_and_age_out() {
        let element = PoolElement {
            id: PeId(1),
            home: ServerId(1),
            life: RegistrationLife::Infinite,
            user_transport: Transport::Opaque(b"x".as_slice().into()),
            policy: Policy::RoundRobin,
            asap_transport: None,
        };
        let mut handlespace = Handlespace::new(Limits { pools: 1, pes_per_pool: 1, pes: 1 }, 1);
        let (slot, _) = handlespace.add(&"pool".into(), element).unwrap();
        let (now, life) = (Instant::now(), Duration::from_secs(1));
        let report = |load, round_trip_us| ElementReport { pe_id: PeId(1), load, round_trip_us };
        let mut measures = Measures::default();
        assert_eq!((measures.get(now, life, slot), measures.is_empty()), (None, true));
        measures.take(now, life, slot, &report(1_000, None));
        measures.take(now, life, slot, &report(2_000, Some(400)));
        measures.take(now, life, slot, &report(2_000, Some(0)));
        let at = |seconds: f64| measures.get(now + Duration::from_secs_f64(seconds), life, slot);
        let expected = Measure { load: 1_438, round_trip_us: Some(300), at: now };
        assert_eq!((at(0.999), at(1.0)), (Some(expected), None));
        let later = now + life;
        measures.take(later, life, slot, &report(u32::MAX, None));
        assert_eq!(measures.get(later, life, slot), Some(Measure { load: u32::MAX, round_trip_us: None, at: later }));
        measures.forget(slot);
        assert!(measures.is_empty());
        // Small and great differences end.
        let run = |from, to| (0..200).fold(from, |known, _| towards(known, to));
        assert_eq!([run(0, u32::MAX), run(u32::MAX, 0), run(5, 6)], [u32::MAX, 0, 6]);
    }
}
