//! What can be done to gateways.

use super::check::{Problem, need};
use super::types::GATEWAYS_MAX;
use super::{Fault, FaultKind, Scenario, Target};

/// `[gateway]`.
pub(super) fn check_gateways(scenario: &Scenario) -> Result<(), Problem> {
    let count = scenario.gateway.count;
    need((1..=GATEWAYS_MAX).contains(&count), "gateway.count", || {
        format!("{count}: expected 1 to {GATEWAYS_MAX} gateways")
    })
}

/// A fault of a gateway by itself: the key that is wrong, and how.
pub(super) fn check_gateway_fault(scenario: &Scenario, fault: &Fault) -> Result<(), (&'static str, String)> {
    let (count, kind, target) = (scenario.gateway.count, fault.kind.as_str(), fault.target);
    let there = match target {
        Target::GatewayNumber(index) => index < count,
        Target::GatewayFollower => count > 1,
        Target::Machine
        | Target::Gateway
        | Target::Controller(_)
        | Target::NameServer(_)
        | Target::Population(_)
        | Target::Link(..)
        | Target::Path(_) => true,
    };
    if !there {
        return Err(("target", format!("no process `{target}`: there is 1 gateway (gateway.count)")));
    }
    let of_all_groups = matches!(
        fault.kind,
        FaultKind::Kill
            | FaultKind::Term
            | FaultKind::Leave
            | FaultKind::Restart
            | FaultKind::Stop
            | FaultKind::Cont
            | FaultKind::Start
    );
    if !of_all_groups
        && !matches!(fault.kind, FaultKind::Starve | FaultKind::Impair | FaultKind::Clear | FaultKind::Command)
    {
        let kinds = "expected kill, term, leave, restart, stop, cont, start, starve, impair, clear or command";
        return Err(("kind", format!("{kind} is not for gateways: {kinds}")));
    }
    match (fault.longest_gap_ms, fault.first_ms) {
        (_, Some(_)) => Err(("first_ms", "a gateway takes no controller away: nothing is applied elsewhere".into())),
        (Some(_), _) if !of_all_groups => Err(("longest_gap_ms", format!("not for {kind} of a gateway"))),
        (Some(_) | None, None) => Ok(()),
    }
}
