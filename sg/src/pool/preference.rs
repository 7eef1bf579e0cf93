//! Which controller a group without owner gets, and which ones would come after it.

use super::Pool;
use super::controller::{Controller, Phase};
use sctp::AssocId;
use std::time::Instant;

/// How a controller came to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChosenBy {
    /// By the pool's policy, among those that answer promptly.
    Policy,
    /// By the pool's policy, though it has been silent for a while: nobody is prompt.
    Silent,
    /// The name service yields none that is active: it has the fewest groups.
    FewestGroups,
}

/// The name service's part: up to so many of the usable elements, in the policy's order.
pub(super) type Select<'a> = dyn FnMut(usize, &dyn Fn(u32) -> bool) -> Vec<u32> + 'a;

/// Whether a controller may be chosen.
type Suits<'a> = &'a dyn Fn(&Controller) -> bool;

impl Pool {
    /// Up to `count` active controllers, the best first: by the pool's policy; when the name service does not have its list complete
    /// yet, the one with the fewest groups.
    pub(super) fn preference(&self, now: Instant, count: usize, select: &mut Select<'_>) -> Vec<(AssocId, ChosenBy)> {
        let mut order: Vec<(AssocId, ChosenBy)> = Vec::new();
        let active = || self.controllers.values().filter(|controller| controller.phase == Phase::Active);
        if active().next().is_none() {
            return order;
        }
        // The directory may tell a little later than the server that an element left: its association is being ended.
        let with = |pe: u32| {
            let element = self.elements.get(&pe).filter(|element| element.in_pool && !element.takes_none())?;
            self.controllers.get(&element.assoc?).filter(|controller| controller.phase == Phase::Active)
        };
        // Not one that may hang, if there is another: after a double failure that would cost the time of detection again.
        let kinds: [(ChosenBy, Suits<'_>); 2] =
            [(ChosenBy::Policy, &|controller| controller.is_prompt(now)), (ChosenBy::Silent, &|_| true)];
        for (by, suits) in kinds {
            let room = count - order.len();
            if room == 0 {
                return order;
            }
            let new = |controller: &&Controller| !order.iter().any(|(assoc, _)| *assoc == controller.assoc);
            let usable = |pe: u32| with(pe).filter(new).is_some_and(suits);
            let chosen = select(room, &usable);
            order.extend(chosen.into_iter().filter_map(|pe| Some((with(pe)?.assoc, by))));
        }
        let left = |pe: u32| self.elements.get(&pe).is_none_or(|element| !element.in_pool || element.takes_none());
        let mut rest: Vec<_> = active().filter(|c| !order.iter().any(|(assoc, _)| *assoc == c.assoc)).collect();
        rest.sort_by_key(|c| (c.foreign, left(c.pe), !c.is_prompt(now), c.groups.len()));
        let room = count - order.len();
        order.extend(rest.into_iter().take(room).map(|controller| (controller.assoc, ChosenBy::FewestGroups)));
        order
    }
}
