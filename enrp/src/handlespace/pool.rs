//! One pool: its members and what they have in common.

use super::{Slot, checksum};
use asap::policy::{PolicyKind, Ranking};
use asap::small_map::SmallMap;
use asap::wire::{PeId, Policy, PoolElement, PoolHandle, Transport, TransportUse, param};
use std::ops::Bound;

/// Why an element does not fit a pool (RFC 5352 section 3.1 rules 2 and 3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Other policy type than the pool's; the pool's policy.
    #[error("the pool has another policy")]
    Policy(Policy),
    /// Other transport type than the pool's; the pool's transport.
    #[error("the pool has another transport type")]
    TransportType(Transport),
    /// Other Transport Use than the pool's.
    #[error("the pool has another transport use")]
    TransportUse,
}

/// A pool. There are no empty pools.
#[derive(Debug, Clone)]
pub struct Pool {
    handle: PoolHandle,
    /// Of the first element (RFC 5352 section 3.1 rule 1), values included.
    policy: Policy,
    pub(super) handle_words: checksum::HandleWords,
    pub(super) members: SmallMap<PeId, Slot>,
    pub(super) ranking: Ranking<Slot>,
}

impl Pool {
    /// A pool made by its first element.
    pub(super) fn new(handle: PoolHandle, first: &PoolElement, seed: u64) -> Self {
        Self {
            handle_words: checksum::handle_words(handle.as_bytes()),
            handle,
            policy: first.policy.clone(),
            members: SmallMap::default(),
            ranking: Ranking::new(PolicyKind::from(&first.policy), seed),
        }
    }

    /// Its name.
    #[must_use]
    pub fn handle(&self) -> &PoolHandle {
        &self.handle
    }

    /// The member selection policy; its values are those of the element that made the pool.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Number of members, selectable or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Never: the last member takes the pool with it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Number of members a resolution may yield.
    #[must_use]
    pub fn selectable(&self) -> usize {
        self.ranking.selectable()
    }

    /// Any member.
    pub(super) fn first(&self) -> Option<Slot> {
        self.members.iter_from(Bound::Unbounded).next().map(|(_, slot)| slot)
    }

    /// Whether the element agrees with the pool in policy type, and with any member in transport type and transport use.
    pub(super) fn check(&self, element: &PoolElement, member: &PoolElement) -> Result<(), Mismatch> {
        if !same_policy_type(&self.policy, &element.policy) {
            return Err(Mismatch::Policy(self.policy.clone()));
        }
        if std::mem::discriminant(&member.user_transport) != std::mem::discriminant(&element.user_transport) {
            return Err(Mismatch::TransportType(member.user_transport.clone()));
        }
        if let (Transport::Sctp(member), Transport::Sctp(element)) = (&member.user_transport, &element.user_transport)
            && member.transport_use != element.transport_use
        {
            return Err(Mismatch::TransportUse);
        }
        Ok(())
    }
}

/// What all elements of a pool have in common, in the order by which servers that made the same pool in two ways decide: policy
/// type, transport parameter type, transport use.
#[must_use]
pub fn kind_of(element: &PoolElement) -> (u32, u16, u16) {
    let (transport, transport_use) = match &element.user_transport {
        Transport::Dccp(_) => (param::DCCP_TRANSPORT, 0),
        Transport::Sctp(sctp) => {
            let data_and_control = sctp.transport_use == TransportUse::DataAndControl;
            (param::SCTP_TRANSPORT, u16::from(data_and_control))
        }
        Transport::Tcp(_) => (param::TCP_TRANSPORT, 0),
        Transport::Udp(_) => (param::UDP_TRANSPORT, 0),
        Transport::UdpLite(_) => (param::UDP_LITE_TRANSPORT, 0),
        Transport::Opaque(_) => (param::OPAQUE_TRANSPORT, 0),
    };
    (element.policy.policy_type(), transport, transport_use)
}

fn same_policy_type(a: &Policy, b: &Policy) -> bool {
    match (a, b) {
        (Policy::Other { policy_type: a, .. }, Policy::Other { policy_type: b, .. }) => a == b,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}
