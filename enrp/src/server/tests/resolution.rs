//! RFC 5352 sections 3.3 and 2.2.5.

use super::*;

#[test]
fn an_unknown_handle_is_refused() {
    let mut lab = Lab::new(|_| {});
    let answer = lab.ask(9, &resolution(true, None));
    assert_eq!(refused(&answer), (false, ErrorCause::UnknownPoolHandle));
    // A negative answer starts no subscription (section 2.2.5).
    lab.register(1);
    assert_eq!(lab.server.subscribers.len(), 0);
}

#[test]
fn the_policy_is_given_unless_round_robin() {
    for (policy, expected) in
        [(Policy::RoundRobin, None), (Policy::WeightedRandom { weight: 3 }, Some(Policy::WeightedRandom { weight: 3 }))]
    {
        let mut lab = Lab::new(|_| {});
        lab.register_with(1, policy);
        let Message::HandleResolutionResponse { policy, elements, .. } = lab.ask(9, &resolution(false, None)) else {
            panic!()
        };
        assert_eq!(policy.filter(|policy| *policy != Policy::RoundRobin), expected);
        assert_eq!((elements[0].id, elements[0].home), (pe(1), SERVER));
        assert_eq!(elements[0].asap_transport, None);
    }
}

#[test]
fn answers_have_as_many_as_asked_for() {
    let mut lab = Lab::new(|c| c.resolution_items_max = 30);
    (1..=40).for_each(|n| lab.register(n));
    for (asked, plain, subscriber) in
        [(None, 16, 30), (Some(0), 1, 1), (Some(3), 3, 3), (Some(20), 20, 20), (Some(u32::MAX), 30, 30)]
    {
        for (subscribe, expected) in [(false, plain), (true, subscriber)] {
            let answer = lab.ask(99, &resolution(subscribe, asked));
            assert_eq!(listed(&answer).1.len(), expected, "{asked:?}, S = {subscribe}");
        }
    }
    // The embedding program sees the whole pool.
    lab.server.handle_message(lab.now, ClientId::LOCAL, &[], &resolution(false, None).encode().unwrap());
    assert_eq!(listed(&lab.drain()[0].1).1.len(), 30);
}

#[test]
fn a_pool_larger_than_a_message_is_cut() {
    let mut lab = Lab::new(|c| c.check_addresses = false);
    for n in 1..=2_000 {
        let element = PoolElement { id: pe(n), ..element(1) };
        lab.ask(1 + n / 1_000, &Message::Registration { handle: pool(), element });
    }
    let request = resolution(false, Some(u32::MAX)).encode().unwrap();
    lab.server.handle_message(lab.now, ClientId(9), &source(9), &request);
    let (_, bytes) = lab.server.poll_output().and_then(Output::asap).unwrap();
    assert!((65_000..=65_535).contains(&bytes.len()), "{}", bytes.len());
    let limits = WireLimits::default();
    let (_, ids) = listed(&Message::decode(&bytes, &limits).unwrap().message);
    assert!((1_500..1_700).contains(&ids.len()), "{}", ids.len());
    assert_eq!(lab.server.counters().resolutions_truncated, 1);
}

#[test]
fn what_cannot_serve_is_never_resolved() {
    let mut lab = Lab::new(|_| {});
    (1..=4).for_each(|n| lab.register_with(n, Policy::LeastUsed { load: 1 }));
    assert!(lab.server.set_usable(lab.now, &pool(), pe(1), false));
    assert!(lab.server.set_draining(lab.now, &pool(), pe(2), true));
    lab.register_with(3, Policy::LeastUsed { load: u32::MAX });
    assert_eq!(listed(&lab.ask(9, &resolution(false, None))).1, [4]);
    assert_eq!(lab.server.resolve(&pool(), 5), Some(vec![pe(4)]));
    assert!(lab.server.set_usable(lab.now, &pool(), pe(4), false));
    let answer = lab.ask(9, &resolution(false, None));
    assert_eq!(refused(&answer), (false, ErrorCause::LackOfResources));
    assert_eq!(lab.server.resolve(&pool(), 5), Some(vec![]));
    assert!(lab.server.set_usable(lab.now, &pool(), pe(1), true));
    assert_eq!(lab.server.resolve(&pool(), 5), Some(vec![pe(1)]));
    assert!(!lab.server.set_usable(lab.now, &pool(), pe(77), true));
    assert_eq!(lab.server.resolve(&PoolHandle::from("other"), 1), None);
}

#[test]
fn hints_give_one_event_each_and_survive_reregistration() {
    let mut lab = Lab::new(|_| {});
    lab.register(1);
    let suspended = |reason| Event::Suspended { handle: pool(), pe: pe(1), reason };
    lab.server.set_usable(lab.now, &pool(), pe(1), false);
    lab.server.set_usable(lab.now, &pool(), pe(1), false);
    lab.server.set_draining(lab.now, &pool(), pe(1), true);
    assert_eq!(lab.events(), [suspended(SuspensionReason::Unusable)]);
    lab.register(1);
    assert_eq!(lab.server.resolve(&pool(), 1), Some(vec![]));
    lab.server.set_usable(lab.now, &pool(), pe(1), true);
    assert_eq!(lab.events(), [], "still draining");
    lab.server.set_draining(lab.now, &pool(), pe(1), false);
    assert_eq!(lab.events(), [Event::Resumed { handle: pool(), pe: pe(1) }]);
}

#[test]
fn subscribers_are_told_at_once_and_then_in_batches() {
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
    lab.register(1);
    assert_eq!(listed(&lab.ask(9, &resolution(true, None))), (true, vec![1]));
    // The first change goes out with the request that made it, after its answer.
    let answers = lab.send(2, &registration(2));
    assert_eq!(answers.iter().map(|(client, _)| *client).collect::<Vec<_>>(), [2, 9]);
    let (subscribed, mut ids) = listed(&answers[1].1);
    ids.sort_unstable();
    assert_eq!((subscribed, ids), (true, vec![1, 2]));
    // Changes in the next 20 ms go together.
    for n in 3..10 {
        assert_eq!(lab.send(n, &registration(n)).len(), 1);
    }
    let updates = lab.pass(100);
    assert_eq!(updates.len(), 1, "{updates:?}");
    assert_eq!((updates[0].0, updates[0].1, listed(&updates[0].2).1.len()), (20, 9, 9));
    // A registration that changes nothing tells nothing; a hint does.
    assert_eq!(lab.send(3, &registration(3)).len(), 1);
    lab.server.set_usable(lab.now, &pool(), pe(3), false);
    assert_eq!(listed(&lab.drain()[0].1).1.len(), 8);
}

#[test]
fn a_pool_without_a_usable_pe_keeps_its_subscribers_and_one_that_is_gone_does_not() {
    let mut lab = Lab::new(|c| c.update_interval_ms = 0);
    lab.register(1);
    lab.ask(9, &resolution(true, None));
    lab.server.set_usable(lab.now, &pool(), pe(1), false);
    let update = lab.drain().remove(0);
    assert_eq!((update.0, refused(&update.1)), (9, (true, ErrorCause::LackOfResources)));
    lab.server.set_usable(lab.now, &pool(), pe(1), true);
    assert_eq!(listed(&lab.drain()[0].1), (true, vec![1]));
    lab.server.client_lost(lab.now, ClientId(1), true);
    let update = lab.drain().remove(0);
    assert_eq!((update.0, refused(&update.1)), (9, (false, ErrorCause::UnknownPoolHandle)));
    // Its next life is not told (section 2.2.5), and nothing is remembered.
    assert_eq!(lab.send(1, &registration(1)).len(), 1);
    assert!(lab.server.subscribers.is_empty() && lab.server.clients[&ClientId(9)].subscriptions.is_empty());
}

#[test]
fn subscriptions_end_with_their_client_and_have_a_limit() {
    let mut lab = Lab::new(|c| c.subscriptions_per_client_max = 1);
    lab.register(1);
    let other = PoolHandle::from("other");
    lab.ask(2, &Message::Registration { handle: other.clone(), element: element(2) });
    assert!(listed(&lab.ask(9, &resolution(true, None))).0);
    assert!(listed(&lab.ask(9, &resolution(true, None))).0, "asking again is no second one");
    let second = Message::resolution(true, other, None);
    assert!(!listed(&lab.ask(9, &second)).0, "answered, but no updates");
    assert_eq!(lab.server.counters().subscriptions_refused, 1);
    lab.server.client_lost(lab.now, ClientId(9), false);
    assert_eq!(lab.send(3, &registration(3)).len(), 1);
    assert!(lab.server.subscribers.is_empty());
}

/// RFC 5354 section 3.8: there will be new policies, and 0x80000000 up are for private use. The server hands
/// its values on, bit by bit, and lists by round robin.
#[test]
fn an_unknown_policy_is_handed_on() {
    let theirs = |byte: u8| Policy::Other { policy_type: 0x8000_0001, data: vec![byte; 7].into() };
    let mut lab = Lab::new(|_| {});
    (1..=3).for_each(|n| lab.register_with(n, theirs(n as u8)));
    let mut firsts = Vec::new();
    for _ in 0..3 {
        let Message::HandleResolutionResponse { policy, elements, .. } = lab.ask(9, &resolution(false, None)) else {
            panic!()
        };
        assert!(matches!(policy, Some(Policy::Other { policy_type: 0x8000_0001, .. })), "{policy:?}");
        for element in &elements {
            assert_eq!(element.policy, theirs(element.id.0 as u8));
        }
        firsts.push(elements[0].id);
    }
    assert_eq!(firsts, [pe(1), pe(2), pe(3)]);
}
