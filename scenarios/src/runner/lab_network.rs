//! What a run's relay is told: who is cut off, and whose network is a poor one.

use super::address::Host;
use super::lab::Lab;
use crate::scenario::{Direction, Fault, Target};

impl Lab {
    /// Cuts a controller off in this direction, or joins it again.
    pub(super) fn isolate(&self, target: Target, direction: Option<Direction>) {
        let (Target::Controller(index), Some(relay)) = (target, &self.relay) else { return };
        let who = self.net.first(Host::Controller(index));
        relay.set_swallowed(None, Some(who), matches!(direction, Some(Direction::Both | Direction::To)));
        relay.set_swallowed(Some(who), None, matches!(direction, Some(Direction::Both | Direction::From)));
    }

    /// Makes the network of a process (of all without one) a poor one, or ends that. The same seed gives the same chances.
    pub(super) fn impair(&mut self, fault: &Fault, seed: u64) {
        let gateway = self.meant(fault).map(Host::Gateway);
        let Some(relay) = &self.relay else { return };
        let who = match fault.target {
            Target::Controller(index) => Some(Host::Controller(index)),
            Target::NameServer(index) => Some(Host::NameServer(index)),
            Target::Population(index) => Some(Host::Population(index)),
            Target::Gateway | Target::GatewayFollower | Target::GatewayNumber(_) => gateway,
            Target::Machine | Target::Path(_) | Target::Link(..) => None,
        };
        let who = who.map(|host| self.net.first(host));
        match &fault.with {
            Some(impairment) => relay.impair(who, fault.direction.unwrap_or_default(), impairment.clone(), seed),
            None => relay.clear(who),
        }
    }
}
