//! The handlespace against counting; `model`: against a plain model.

mod model;

use super::*;
use asap::wire::{IpTransport, Policy, RegistrationLife, SctpTransport, Transport, TransportUse};
use std::collections::HashMap;

const HOME: ServerId = ServerId(1);
const LIMITS: Limits = Limits { pools: 500, pes_per_pool: 10_000, pes: 100_000 };

fn sctp(transport_use: TransportUse) -> Transport {
    Transport::Sctp(SctpTransport { port: 2905, transport_use, addresses: ["127.0.0.2".parse().unwrap()].into() })
}

fn element(id: u32, policy: Policy) -> PoolElement {
    PoolElement {
        id: PeId(id),
        home: HOME,
        life: RegistrationLife::Infinite,
        user_transport: sctp(TransportUse::DataAndControl),
        policy,
        asap_transport: None,
    }
}

fn pool() -> PoolHandle {
    PoolHandle::from("GatewayPool")
}

/// A pool with PEs 1, 2, ... of these policies.
fn filled(policies: impl IntoIterator<Item = Policy>) -> Handlespace {
    let mut handlespace = Handlespace::new(LIMITS, 42);
    for (id, policy) in (1..).zip(policies) {
        handlespace.add(&pool(), element(id, policy)).unwrap();
    }
    handlespace
}

/// How often each PE is the first of an answer of three.
fn firsts(handlespace: &mut Handlespace, resolutions: u32) -> HashMap<u32, u32> {
    let mut counts = HashMap::new();
    for _ in 0..resolutions {
        let answer = handlespace.select(&pool(), 3).unwrap();
        *counts.entry(answer[0].0).or_default() += 1;
    }
    counts
}

/// An unchanged registration is told by a print of it alone: whatever is another must be seen, whatever it is.
#[test]
fn a_registration_again_is_taken_whole() {
    let policy = |load| Policy::LeastUsed { load };
    let at = |port, address: &str| SctpTransport {
        port,
        transport_use: TransportUse::DataAndControl,
        addresses: [address.parse().unwrap()].into(),
    };
    let first = PoolElement { asap_transport: Some(at(3863, "127.0.0.2")), ..element(1, policy(1)) };
    let user = |transport| PoolElement { user_transport: Transport::Sctp(transport), ..first.clone() };
    let asap = |transport| PoolElement { asap_transport: transport, ..first.clone() };
    let others = [
        (true, user(at(2906, "127.0.0.2"))),
        (true, user(at(2905, "127.0.0.3"))),
        (true, user(at(2905, "::1"))),
        (true, PoolElement { policy: policy(2), ..first.clone() }),
        (false, asap(Some(at(3864, "127.0.0.2")))),
        (false, asap(None)),
        (false, PoolElement { life: RegistrationLife::Seconds(1), ..first.clone() }),
        (false, PoolElement { home: ServerId(2), ..first.clone() }),
    ];
    let mut handlespace = filled([]);
    let (slot, _) = handlespace.add(&pool(), first.clone()).unwrap();
    let mut registrations = 1;
    for (visible, other) in others {
        for (element, changed) in [(&other, visible), (&other, false), (&first, visible), (&first, false)] {
            let before = handlespace.stamp_of(slot);
            assert_eq!(
                handlespace.add(&pool(), element.clone()),
                Ok((slot, Added::Replaced { changed })),
                "{element:?}"
            );
            assert_eq!(handlespace.get(slot).unwrap().registered(), element);
            registrations += 1;
            assert_eq!(handlespace.registrations(slot), registrations);
            assert!(handlespace.stamp_of(slot) > before);
        }
    }
    // A takeover is no registration, and the next one finds what it left.
    assert!(handlespace.set_home(slot, ServerId(2)));
    assert_eq!(handlespace.registrations(slot), registrations);
    handlespace.add(&pool(), first).unwrap();
    assert_eq!(handlespace.homes().collect::<Vec<_>>(), [(HOME, 1)]);
    // The next one in this place starts anew.
    handlespace.remove(slot).unwrap();
    let (next, added) = handlespace.add(&pool(), element(2, policy(1))).unwrap();
    assert_eq!((next, added, handlespace.registrations(next)), (slot, Added::New, 1));
}

#[test]
fn round_robin_is_exactly_fair() {
    let mut handlespace = filled(vec![Policy::RoundRobin; 7]);
    let counts = firsts(&mut handlespace, 7 * 100);
    assert_eq!(counts, (1..=7).map(|id| (id, 100)).collect());
    assert!(handlespace.members(&pool()).all(|element| handlespace.selections(element) == 100));
}

#[test]
fn round_robin_is_fair_while_elements_register_again() {
    let mut handlespace = filled(vec![Policy::RoundRobin; 4]);
    let mut counts = HashMap::<u32, u32>::new();
    for round in 0..400_u32 {
        handlespace.add(&pool(), element(1 + round % 2, Policy::RoundRobin)).unwrap();
        *counts.entry(handlespace.select(&pool(), 1).unwrap()[0].0).or_default() += 1;
    }
    assert_eq!(counts, (1..=4).map(|id| (id, 100)).collect());
}

#[test]
fn weighted_round_robin_is_in_proportion() {
    let weights = [1, 2, 3, 10];
    let mut handlespace = filled(weights.map(|weight| Policy::WeightedRoundRobin { weight }));
    let counts = firsts(&mut handlespace, 16 * 100);
    for (id, weight) in (1..).zip(weights) {
        assert!(counts[&id].abs_diff(weight * 100) <= 1, "{counts:?}");
    }
}

/// Pearson's statistic against expected shares.
fn chi_square(counts: &HashMap<u32, u32>, shares: &[u32]) -> f64 {
    let n = f64::from(counts.values().sum::<u32>());
    let total = f64::from(shares.iter().sum::<u32>());
    (1..)
        .zip(shares)
        .map(|(id, &share)| {
            let expected = n * f64::from(share) / total;
            (f64::from(counts.get(&id).copied().unwrap_or(0)) - expected).powi(2) / expected
        })
        .sum()
}

/// The limits are the 99.99 % points of chi-square with 9 and 4 degrees of freedom.
#[test]
fn random_policies_follow_their_shares() {
    let mut handlespace = filled(vec![Policy::Random; 10]);
    let uniform = firsts(&mut handlespace, 20_000);
    assert!(chi_square(&uniform, &[1; 10]) < 33.7, "{uniform:?}");

    let weights = [1, 2, 3, 4, 90];
    let mut handlespace = filled(weights.map(|weight| Policy::WeightedRandom { weight }));
    let weighted = firsts(&mut handlespace, 20_000);
    assert!(chi_square(&weighted, &weights) < 23.5, "{weighted:?}");
    assert!(chi_square(&weighted, &[1; 5]) > 1_000.0, "the statistic tells them apart");

    let loads = [0, u32::MAX / 2];
    let mut handlespace = filled(loads.map(|load| Policy::RandomizedLeastUsed { load }));
    let unload = firsts(&mut handlespace, 20_000);
    assert!(chi_square(&unload, &[2, 1]) < 15.2, "{unload:?}");
}

#[test]
fn least_used_is_ascending_and_follows_the_load() {
    let mut handlespace = filled([30, 10, 20].map(|load| Policy::LeastUsed { load }));
    let ids = |handlespace: &mut Handlespace| -> Vec<u32> {
        handlespace.select(&pool(), 10).unwrap().iter().map(|pe| pe.0).collect()
    };
    assert_eq!(ids(&mut handlespace), [2, 3, 1]);
    assert_eq!(ids(&mut handlespace), [2, 3, 1]);
    handlespace.add(&pool(), element(2, Policy::LeastUsed { load: 25 })).unwrap();
    assert_eq!(ids(&mut handlespace), [3, 2, 1]);
    handlespace.add(&pool(), element(3, Policy::LeastUsed { load: u32::MAX })).unwrap();
    assert_eq!(ids(&mut handlespace), [2, 1], "100 % load is never selected");
}

#[test]
fn the_other_policies_are_applied() {
    let mut handlespace = filled([1, 9, 5].map(|priority| Policy::Priority { priority }));
    assert_eq!(handlespace.select(&pool(), 3).unwrap(), [2, 3, 1].map(PeId));

    let mut handlespace =
        filled([(10, 50), (20, 1)].map(|(load, degradation)| Policy::PriorityLeastUsed { load, degradation }));
    assert_eq!(handlespace.select(&pool(), 2).unwrap(), [2, 1].map(PeId));

    let mut handlespace =
        filled([(10, 15), (20, 1)].map(|(load, degradation)| Policy::LeastUsedDegradation { load, degradation }));
    let order: Vec<u32> = (0..3).map(|_| handlespace.select(&pool(), 1).unwrap()[0].0).collect();
    assert_eq!(order, [1, 2, 2], "10; then 25 against 20; then 25 against 21");
}

#[test]
fn a_member_must_agree_with_its_pool() {
    let mut handlespace = filled([Policy::RoundRobin]);
    let mut other_policy = element(2, Policy::Random);
    assert_eq!(
        handlespace.add(&pool(), other_policy.clone()),
        Err(AddError::Mismatch(Mismatch::Policy(Policy::RoundRobin)))
    );
    // A re-registration is tested in the same way.
    other_policy.id = PeId(1);
    assert!(handlespace.add(&pool(), other_policy).is_err());
    let mut tcp = element(2, Policy::RoundRobin);
    tcp.user_transport = Transport::Tcp(IpTransport { port: 1, address: "127.0.0.2".parse().unwrap() });
    assert_eq!(
        handlespace.add(&pool(), tcp),
        Err(AddError::Mismatch(Mismatch::TransportType(sctp(TransportUse::DataAndControl))))
    );
    let mut data_only = element(2, Policy::RoundRobin);
    data_only.user_transport = sctp(TransportUse::DataOnly);
    assert_eq!(handlespace.add(&pool(), data_only), Err(AddError::Mismatch(Mismatch::TransportUse)));
    assert_eq!(handlespace.element_count(), 1);
}

#[test]
fn private_policies_are_compared_by_type() {
    let other = |policy_type| Policy::Other { policy_type, data: Box::new([0, 0, 0, 1]) };
    let mut handlespace = filled([other(0xb000_1001)]);
    assert!(handlespace.add(&pool(), element(2, other(0xb000_1001))).is_ok());
    assert!(handlespace.add(&pool(), element(3, other(0xb000_1002))).is_err());
    assert_eq!(handlespace.select(&pool(), 5).unwrap().len(), 2);
}

#[test]
fn limits_hold_and_known_elements_pass_them() {
    let limits = Limits { pools: 2, pes_per_pool: 2, pes: 3 };
    let mut handlespace = Handlespace::new(limits, 0);
    let mut add = |handle: &str, id| handlespace.add(&PoolHandle::from(handle), element(id, Policy::RoundRobin));
    assert!(add("a", 1).is_ok());
    assert!(add("a", 2).is_ok());
    assert_eq!(add("a", 3), Err(AddError::Full), "PEs in a pool");
    assert!(add("b", 1).is_ok());
    assert_eq!(add("c", 1), Err(AddError::Full), "pools");
    assert_eq!(add("b", 2), Err(AddError::Full), "PEs together");
    assert!(matches!(add("a", 1), Ok((_, Added::Replaced { changed: false }))));
}

#[test]
fn one_identifier_may_be_in_several_pools() {
    let mut handlespace = filled([Policy::RoundRobin]);
    let other = PoolHandle::from("other");
    let (slot, added) = handlespace.add(&other, element(1, Policy::Random)).unwrap();
    assert_eq!(added, Added::New);
    handlespace.remove(slot);
    assert!(handlespace.pool(&other).is_none(), "the last element takes its pool with it");
    assert_eq!(handlespace.select(&other, 1), None);
    assert_eq!(handlespace.select(&pool(), 1), Some(vec![PeId(1)]));
}

#[test]
fn a_change_of_home_moves_the_checksum() {
    let mut handlespace = filled([Policy::RoundRobin]);
    let before = handlespace.checksum(HOME);
    let mut moved = element(1, Policy::RoundRobin);
    moved.home = ServerId(2);
    handlespace.add(&pool(), moved).unwrap();
    assert_eq!(handlespace.checksum(HOME).value(), 0xffff);
    assert_eq!(handlespace.checksum(ServerId(2)), before);
    assert_eq!(handlespace.homes().collect::<Vec<_>>(), [(ServerId(2), 1)]);
}

/// Three homes in turn, 40 pools of 5.
fn of_three_homes() -> Handlespace {
    let mut handlespace = Handlespace::new(LIMITS, 42);
    for id in 0..200_u32 {
        let new = PoolElement { home: ServerId(1 + id % 3), ..element(id, Policy::RoundRobin) };
        handlespace.add(&PoolHandle::from(format!("pool {}", id % 40).as_str()), new).unwrap();
    }
    handlespace
}

#[test]
fn elements_are_met_in_parts_by_home_and_together() {
    let handlespace = of_three_homes();
    for part in [1, 7, 1_000] {
        let mut met = Vec::new();
        for home in [1, 2, 3, 9].map(ServerId) {
            let mut cursor = Cursor::START;
            loop {
                let step: Vec<_> = handlespace.owned(home, cursor).take(part).collect();
                let Some(&(_, last)) = step.last() else { break };
                cursor = Cursor::after(last);
                assert!(step.iter().all(|(slot, e)| e.registered().home == home
                    && handlespace.find(handlespace.handle_of(e), e.id()) == Some(*slot)));
                met.extend(step.iter().map(|(_, element)| element.id().0));
            }
        }
        met.sort_unstable();
        assert_eq!(met, (0..200).collect::<Vec<_>>());
        let mut all = Vec::new();
        let mut cursor = Cursor::START;
        while let Some((_, last)) = handlespace.elements_from(cursor).take(part).last() {
            all.extend(
                handlespace.elements_from(cursor).take(part).map(|(_, e)| (handlespace.handle_of(e).clone(), e.id())),
            );
            cursor = Cursor::after(last);
        }
        assert_eq!(all.len(), 200);
        let changes = all.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
        assert_eq!(changes, 39, "members of a pool stand together");
    }
}

fn next(handlespace: &Handlespace, home: ServerId, cursor: &mut Cursor) -> Option<(Slot, PeId)> {
    let (slot, element) = handlespace.owned(home, *cursor).next()?;
    *cursor = Cursor::after(element);
    Some((slot, element.id()))
}

#[test]
fn an_iteration_in_parts_survives_changes() {
    let mut handlespace = of_three_homes();
    let expected: Vec<PeId> = handlespace.owned(ServerId(2), Cursor::START).map(|(_, e)| e.id()).collect();
    let mut met = Vec::new();
    let mut cursor = Cursor::START;
    let mut new = 1_000;
    while let Some((slot, id)) = next(&handlespace, ServerId(2), &mut cursor) {
        if id.0 < 1_000 {
            met.push(id);
        }
        // What was met goes, whole pools with it; another comes.
        handlespace.remove(slot);
        new += 1;
        let other = PoolElement { home: ServerId(1), ..element_of(new) };
        handlespace.add(&PoolHandle::from(format!("new {new}").as_str()), other).unwrap();
    }
    assert_eq!(met, expected);
    assert_eq!(handlespace.homes().map(|(home, _)| home).collect::<Vec<_>>(), [1, 3].map(ServerId));
}

fn element_of(id: u32) -> PoolElement {
    element(id, Policy::RoundRobin)
}

#[test]
fn takeover_moves_elements_and_checksums() {
    let mut handlespace = of_three_homes();
    let whole = |handlespace: &Handlespace| -> usize { handlespace.homes().map(|(_, elements)| elements).sum() };
    let expected = {
        let mut alone = Handlespace::new(LIMITS, 1);
        for (_, element) in handlespace.elements_from(Cursor::START).filter(|(_, e)| e.registered().home.0 != 2) {
            alone
                .add(handlespace.handle_of(element), PoolElement { home: HOME, ..element.registered().clone() })
                .unwrap();
        }
        alone.checksum(HOME)
    };
    while let Some((slot, _)) = next(&handlespace, ServerId(3), &mut Cursor::default()) {
        assert!(handlespace.set_home(slot, HOME) && !handlespace.set_home(slot, HOME));
    }
    assert_eq!(whole(&handlespace), 200);
    assert_eq!(handlespace.checksum(HOME), expected);
    assert_eq!(handlespace.checksum(ServerId(3)).value(), 0xffff);
}

#[test]
fn a_later_stamp_tells_what_was_replaced_since() {
    let mut handlespace = of_three_homes();
    let start = handlespace.stamp();
    let again: Vec<_> = handlespace
        .owned(HOME, Cursor::START)
        .take(5)
        .map(|(_, e)| (handlespace.handle_of(e).clone(), e.registered().clone()))
        .collect();
    for (handle, element) in again {
        handlespace.add(&handle, element).unwrap();
    }
    let stale = handlespace.owned(HOME, Cursor::START).filter(|(slot, _)| handlespace.stamp_of(*slot) <= start).count();
    assert_eq!(stale, handlespace.owned(HOME, Cursor::START).count() - 5);
}

#[test]
fn an_answer_lists_elements_of_the_pool() {
    let mut handlespace = filled(vec![Policy::RoundRobin; 4]);
    let selected = handlespace.resolve(&pool(), 3).unwrap();
    assert_eq!((selected.len(), selected.pool().handle()), (3, &pool()));
    assert!(selected.elements().map(Element::id).eq([1, 2, 3].map(PeId)));
    // What somebody refuses keeps its turn; so do the suspended ones' neighbours.
    assert_eq!(handlespace.select_among(&pool(), 9, |pe| pe != PeId(2)).unwrap(), [3, 4, 1].map(PeId));
    let slot = handlespace.find(&pool(), PeId(4)).unwrap();
    handlespace.suspend(slot, SuspensionReason::Silent);
    assert_eq!(handlespace.select(&pool(), 9).unwrap(), [2, 1, 3].map(PeId));
    handlespace.resume(slot, SuspensionReason::Silent);
    assert_eq!(handlespace.select(&pool(), 9).unwrap(), [1, 3, 2, 4].map(PeId));
    assert!(handlespace.resolve(&pool(), 0).unwrap().is_empty());
    assert!(handlespace.resolve(&PoolHandle::from("none"), 1).is_none());
}

/// Suspension is no registration: the degradation counter goes on where it was (RFC 5356 section 5.2.2).
#[test]
fn suspension_does_not_reset_the_degradation() {
    let degrading = Policy::LeastUsedDegradation { load: 0, degradation: 10 };
    let mut handlespace = filled([degrading.clone(), degrading.clone()]);
    let slot = handlespace.find(&pool(), PeId(1)).unwrap();
    assert_eq!(handlespace.select(&pool(), 1), Some(vec![PeId(1)]));
    handlespace.suspend(slot, SuspensionReason::Silent);
    handlespace.resume(slot, SuspensionReason::Silent);
    assert_eq!(handlespace.select(&pool(), 1), Some(vec![PeId(2)]));
    handlespace.add(&pool(), element(1, degrading)).unwrap();
    assert_eq!(handlespace.select(&pool(), 1), Some(vec![PeId(1)]));
}
