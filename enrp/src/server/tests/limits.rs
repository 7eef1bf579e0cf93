//! What clients may ask for in a second, and what is refused beyond it.

use super::*;

/// Sends `count` of a message; how many were refused with Lack of Resources.
fn refusals(lab: &mut Lab, client: u64, message: &Message, count: usize) -> usize {
    let lack = error(ErrorCause::LackOfResources);
    let is_refusal = |message: &Message| {
        if let Message::RegistrationResponse { reject, error, .. } = message {
            assert_eq!(*reject, error.is_some());
            *error == lack
        } else if let Message::HandleResolutionResponse { error, subscribed, .. } = message {
            assert!(error.is_none() || !subscribed, "a cache must not be dropped for it");
            *error == lack
        } else {
            panic!("{message:?}")
        }
    };
    (0..count).filter(|_| is_refusal(&lab.ask(client, message))).count()
}

#[test]
fn registrations_are_limited_for_each_client_and_in_total() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_ms = 0;
        c.registrations_per_client_per_s = 4;
        c.registrations_per_s = 6;
    });
    assert_eq!(refusals(&mut lab, 1, &registration(1), 6), 2);
    assert_eq!(refusals(&mut lab, 2, &registration(2), 3), 1, "4 + 2 are 6");
    assert_eq!(refusals(&mut lab, 3, &registration(3), 1), 1);
    assert!(lab.is_there(1) && lab.is_there(2) && !lab.is_there(3), "what was granted stays");
    let counters = lab.server.counters();
    assert_eq!((counters.registrations_limited, counters.refused_resources), (4, 4));
    lab.now += Duration::from_secs(1);
    assert_eq!(refusals(&mut lab, 3, &registration(3), 1), 0, "another second");
}

#[test]
fn resolutions_are_limited_for_each_client_and_in_total() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_ms = 0;
        c.resolutions_per_client_per_s = 4;
        c.resolutions_per_s = 6;
        c.update_interval_ms = 0;
    });
    lab.register(1);
    assert!(listed(&lab.ask(8, &resolution(true, None))).0);
    assert_eq!(refusals(&mut lab, 8, &resolution(false, None), 5), 2);
    assert_eq!(refusals(&mut lab, 9, &resolution(false, None), 3), 1);
    assert_eq!(lab.server.counters().resolutions_limited, 3);
    // Updates are not asked for, and go on.
    let updates = lab.send(2, &registration(2));
    assert!(
        updates.iter().any(|(client, message)| *client == 8 && listed(message) == (true, vec![1, 2])),
        "{updates:?}"
    );
    // The program around the server is not limited.
    let bytes = resolution(false, None).encode().unwrap();
    for _ in 0..20 {
        lab.server.handle_message(lab.now, ClientId::LOCAL, &[], &bytes);
        assert!(lab.drain().iter().all(|(_, message)| listed(message).1.len() == 2));
    }
    lab.now += Duration::from_secs(1);
    assert_eq!(refusals(&mut lab, 9, &resolution(false, None), 4), 0);
}

#[test]
fn reports_are_limited_in_total() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_ms = 0;
        c.reports_per_client_per_s = 2;
        c.reports_per_s = 3;
        c.max_bad_pe_report = 100;
    });
    lab.register(1);
    let report = Message::EndpointUnreachable { handle: pool(), pe_id: pe(1) };
    for client in [7, 7, 7, 8, 8, 9] {
        lab.send(client, &report);
    }
    assert_eq!((lab.server.counters().reports, lab.server.counters().reports_limited), (3, 3));
}

/// Without room to remember it, a client is served all the same, and counts among all.
#[test]
fn more_clients_than_are_remembered_share_the_total() {
    let mut lab = Lab::new(|c| {
        c.keep_alive_interval_ms = 0;
        c.clients_max = 1;
        c.resolutions_per_client_per_s = 1;
        c.resolutions_per_s = 5;
    });
    lab.register(1);
    assert_eq!(refusals(&mut lab, 9, &resolution(false, None), 7), 2);
    assert_eq!(lab.server.clients.len(), 1);
}

/// Many subscribers are told a few at a time, each of them what the pool is in the end.
#[test]
fn many_subscribers_are_told_in_parts() {
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
    lab.register(1);
    for client in 10..210 {
        lab.send(client, &resolution(true, None));
    }
    lab.pass(100);
    lab.register(2);
    let mut told = BTreeMap::<u64, Vec<u32>>::new();
    let mut at_once = BTreeMap::<u64, usize>::new();
    // The first part came with the registration, and another change comes in the middle.
    let mut out = lab.pass(1);
    lab.register(3);
    out.extend(lab.pass(100));
    for (at, client, message) in out {
        let (subscribed, pes) = listed(&message);
        assert!(subscribed);
        *at_once.entry(at).or_default() += 1;
        told.insert(client, pes);
    }
    assert!(at_once.values().all(|&count| count <= 128), "{at_once:?}");
    assert_eq!(told.len(), 200);
    for (client, mut pes) in told {
        pes.sort_unstable();
        assert_eq!(pes, [1, 2, 3], "{client}");
    }
}

/// Values of a policy that the server does not know may be long, but not as long as they like.
#[test]
fn a_long_element_is_refused() {
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
    for (bytes, granted) in [(4_000, true), (4_100, false)] {
        let policy = Policy::Other { policy_type: 0x8000_0001, data: vec![7; bytes].into() };
        let answers =
            lab.send(1, &Message::Registration { handle: pool(), element: PoolElement { policy, ..element(1) } });
        let Message::RegistrationResponse { reject, .. } = &answers[0].1 else { panic!("{answers:?}") };
        assert_eq!(*reject, !granted, "{bytes}");
    }
    assert_eq!(lab.server.counters().refused_resources, 1);
}
