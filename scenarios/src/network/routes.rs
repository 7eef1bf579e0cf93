//! Which of two gateways gets what, and what is sent again when one of them is lost. Pure.
//!
//! All messages of a group go to one gateway. It gets another one only when nothing of it is unaccepted: never is a group unaccepted
//! at two gateways at once. Each message has a Correlation Id, by which the gateways tell what comes again; so do those from them.
//! Ids are counted for each group and SLS: only what has one SLS is on one stream, in order.

use super::accepted::{Due, Stamp, Unaccepted};
use m3ua_lite::session::{CorrelationId, GroupKey, SccpAffinity};
use m3ua_lite::wire::ProtocolData;
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// How many there are.
pub(super) const GATEWAYS: usize = 2;
/// A gateway that does not accept a message for so long is lost, if the other one is there.
const ACCEPTED_WITHIN: Duration = Duration::from_millis(400);
/// Most messages that are unaccepted; what is due beyond that waits, and is late.
const UNACCEPTED_MAX: usize = 20_000;
/// The gateway's number in our Correlation Ids; the gateways count from 1.
const OWN_NUMBER: u8 = 15;

/// Where a group's unaccepted messages are.
#[derive(Debug, Clone, Copy)]
struct Place {
    gateway: usize,
    unaccepted: usize,
}

/// What became of a message that wants to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To this gateway.
    To(usize),
    /// It waits: its gateway, or any, is not there, or too much is unaccepted.
    Wait,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Routes {
    affinity: SccpAffinity,
    places: FxHashMap<GroupKey, Place>,
    gateways: [Gateway; GATEWAYS],
    /// Before the first id.
    start: CorrelationId,
    /// The last id given, of each group and SLS.
    given: FxHashMap<(GroupKey, u8), CorrelationId>,
    /// The last id taken.
    taken: FxHashMap<(GroupKey, u8), CorrelationId>,
}

#[derive(Debug, Default)]
struct Gateway {
    active: bool,
    unaccepted: Unaccepted,
}

impl Routes {
    /// No gateway is there; `epoch` is another one at each start, `affinity` that of the gateways.
    pub(super) fn new(epoch: u8, affinity: SccpAffinity) -> Self {
        Self {
            affinity,
            places: FxHashMap::default(),
            gateways: Default::default(),
            start: CorrelationId::start(OWN_NUMBER, epoch),
            given: FxHashMap::default(),
            taken: FxHashMap::default(),
        }
    }

    /// Whether a gateway takes traffic.
    pub(super) fn set_active(&mut self, now: Instant, gateway: usize, active: bool) {
        let gateway = &mut self.gateways[gateway];
        if active && !gateway.active {
            gateway.unaccepted.begin(now);
        }
        gateway.active = active;
    }

    /// Where a message goes. It gets its Correlation Id; one without a group has none, and goes to any gateway.
    pub(super) fn route(&mut self, due: &mut Due) -> Way {
        if self.unaccepted() >= UNACCEPTED_MAX {
            return Way::Wait;
        }
        if due.stamp.is_none() {
            let label = due.outgoing.label;
            due.stamp = self.affinity.of_network(&label.with(&due.outgoing.user_data)).map(|(group, _)| {
                let last = self.given.entry((group, label.sls)).or_insert(self.start);
                *last = last.next();
                Stamp { group, id: *last }
            });
        }
        let group = due.stamp.map(|stamp| stamp.group);
        let bound = group.and_then(|group| self.places.get(&group)).map(|place| place.gateway);
        let way = match bound {
            Some(gateway) => Some(gateway).filter(|gateway| self.gateways[*gateway].active),
            None => {
                let preferred = group.map_or(0, |group| (group.stable_hash() >> 31) as usize);
                [preferred, 1 - preferred].into_iter().find(|gateway| self.gateways[*gateway].active)
            }
        };
        way.map_or(Way::Wait, Way::To)
    }

    /// It was sent.
    pub(super) fn sent(&mut self, now: Instant, gateway: usize, stream: u16, due: Due) {
        let Some(stamp) = due.stamp else { return };
        self.places.entry(stamp.group).or_insert(Place { gateway, unaccepted: 0 }).unaccepted += 1;
        self.gateways[gateway].unaccepted.sent(now, stream, due);
    }

    /// A barrier to send now: stream and id.
    pub(super) fn poll_barrier(&mut self, now: Instant, gateway: usize) -> Option<(u16, u64)> {
        let gateway = &mut self.gateways[gateway];
        if gateway.active { gateway.unaccepted.poll_barrier(now) } else { None }
    }

    /// The association had no room for it.
    pub(super) fn barrier_not_sent(&mut self, now: Instant, gateway: usize, stream: u16) {
        self.gateways[gateway].unaccepted.not_sent(now, stream);
    }

    /// A gateway echoed a barrier.
    pub(super) fn echoed(&mut self, gateway: usize, id: u64) {
        for group in self.gateways[gateway].unaccepted.echoed(id) {
            let Some(place) = self.places.get_mut(&group) else { continue };
            place.unaccepted -= 1;
            if place.unaccepted == 0 {
                self.places.remove(&group);
            }
        }
    }

    /// The association with a gateway ended: what goes again, before all else.
    pub(super) fn lost(&mut self, gateway: usize) -> Vec<Due> {
        self.gateways[gateway].active = false;
        self.places.retain(|_, place| place.gateway != gateway);
        self.gateways[gateway].unaccepted.take()
    }

    /// A gateway that accepts nothing any more, while the other one is there.
    pub(super) fn silent(&self, now: Instant) -> Option<usize> {
        (0..GATEWAYS).find(|gateway| self.silent_at(*gateway).is_some_and(|at| at <= now))
    }

    fn silent_at(&self, gateway: usize) -> Option<Instant> {
        // Without the other one nothing would be better elsewhere.
        let oldest = self.gateways[gateway].unaccepted.oldest().filter(|_| self.gateways[1 - gateway].active);
        oldest.map(|oldest| oldest + ACCEPTED_WITHIN)
    }

    /// Messages that no gateway has accepted yet.
    pub(super) fn unaccepted(&self) -> usize {
        self.gateways.iter().map(|gateway| gateway.unaccepted.len()).sum()
    }

    /// Whether a message from the pool is new; without a Correlation Id it is.
    pub(super) fn takes(&mut self, message: &ProtocolData<'_>, id: Option<u32>) -> bool {
        let id = CorrelationId(id.unwrap_or_default());
        let group = self.affinity.of_pool(message).filter(|_| id != CorrelationId::NONE);
        let Some((group, _)) = group else { return true };
        let last = self.taken.entry((group, message.sls)).or_default();
        let new = id.is_after(*last);
        if new {
            *last = id;
        }
        new
    }

    /// When a barrier is due, or a gateway is silent.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let barriers = self.gateways.iter().filter(|gateway| gateway.active);
        let barriers = barriers.filter_map(|gateway| gateway.unaccepted.poll_timeout());
        barriers.chain((0..GATEWAYS).filter_map(|gateway| self.silent_at(gateway))).min()
    }
}

#[cfg(test)]
mod tests;
