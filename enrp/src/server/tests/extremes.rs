//! Handles, addresses, weights and loads at the ends of their ranges.

use super::*;
use asap::wire::MESSAGE_BYTES_MAX;

fn wide() -> Lab {
    Lab::new(|c| {
        c.handle_bytes_max = 65_531;
        c.element_bytes_max = 65_531;
        c.keep_alive_interval_ms = 0;
    })
}

fn limits() -> WireLimits {
    WireLimits { max_handle: 65_531, ..WireLimits::default() }
}

/// What is answered to a message of client 1, with handles of any length.
fn exchange(lab: &mut Lab, message: &Message) -> Message {
    lab.server.handle_message(lab.now, ClientId(1), &source(1), &message.encode().unwrap());
    let (_, bytes) = lab.server.poll_output().and_then(Output::asap).expect("an answer");
    assert_eq!(lab.server.poll_output(), None);
    Message::decode(&bytes, &limits()).unwrap().message
}

fn handle_of(bytes: usize) -> PoolHandle {
    PoolHandle::new((0..bytes).map(|at| at as u8).collect::<Vec<_>>())
}

#[test]
fn handles_of_all_lengths_that_messages_hold() {
    for length in [1, 2, 3, 4, 5, 31, 32, 33, 255, 256, 1_024, 1_025, 32_768, 65_000, 65_400] {
        let (mut lab, handle) = (wide(), handle_of(length));
        let answer = exchange(&mut lab, &Message::Registration { handle: handle.clone(), element: element(1) });
        let granted =
            Message::RegistrationResponse { reject: false, handle: handle.clone(), pe_id: pe(1), error: None };
        assert!(answer == granted, "{length}");
        assert_eq!(listed(&exchange(&mut lab, &Message::resolution(false, handle.clone(), None))).1, [1], "{length}");
        let report = Message::EndpointUnreachable { handle: handle.clone(), pe_id: pe(1) };
        let asked = exchange(&mut lab, &report);
        assert_eq!(
            asked,
            Message::EndpointKeepAlive { home: false, server: SERVER, handle: handle.clone(), pe_id: None }
        );
        let gone = exchange(&mut lab, &Message::Deregistration { handle: handle.clone(), pe_id: pe(1) });
        assert_eq!(gone, Message::DeregistrationResponse { handle, pe_id: pe(1), error: None });
        assert_eq!(lab.server.handlespace().pool_count(), 0);
    }
}

/// A handle parameter may have 65,531 bytes, a message with more in it must fit 65,532: what could never be resolved or told to peers
/// is not registered; what is asked for and cannot even be refused by its name is answered by ASAP_ERROR.
#[test]
fn handles_that_leave_no_room_in_messages() {
    let mut lab = wide();
    // A registration has room for 65,484 bytes of handle, the answers to users and peers for less.
    for (length, registered) in [(65_436, true), (65_437, false), (65_484, false)] {
        let message = Message::Registration { handle: handle_of(length), element: element(1) };
        let answer = exchange(&mut lab, &message);
        let Message::RegistrationResponse { reject, error, .. } = answer else { panic!("{answer:?}") };
        assert_eq!((reject, error.is_some()), (!registered, !registered), "{length}");
    }
    assert_eq!(lab.server.counters().refused_resources, 2);
    assert!(Message::Registration { handle: handle_of(65_485), element: element(1) }.encode().is_err());
    // Asked for: with 65,516 bytes the refusal fits, with 65,524 the question only.
    let refusal = exchange(&mut lab, &Message::resolution(false, handle_of(65_516), None));
    assert_eq!(refused(&refusal).1, ErrorCause::UnknownPoolHandle);
    let error = exchange(&mut lab, &Message::resolution(false, handle_of(65_524), None));
    assert_eq!(error, Message::Error { error: ErrorCause::Unspecified.into() });
    assert_eq!(lab.server.counters().unencodable, 1);
}

#[test]
fn a_refusal_that_would_quote_too_much_is_sent_without_the_quotation() {
    let mut lab = wide();
    let policy = Policy::Other { policy_type: 0x8000_0001, data: vec![7; 30_000].into() };
    let element = PoolElement { policy, life: RegistrationLife::Seconds(0), ..element(1) };
    // The registration just fits a message; with the element quoted, its refusal would not.
    let handle = handle_of(35_484);
    let answer = exchange(&mut lab, &Message::Registration { handle: handle.clone(), element });
    let error = error(ErrorCause::Unspecified);
    let expected = Message::RegistrationResponse { reject: true, handle, pe_id: pe(1), error };
    assert!(answer == expected, "too long to print");
    assert_eq!(lab.server.counters().unencodable, 1);
}

#[test]
fn an_element_with_64_addresses() {
    let v4 = (0..32).map(|n| IpAddr::from([10, 0, 0, n]));
    let addresses: Vec<IpAddr> = v4.chain((0..32).map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]))).collect();
    let source: Vec<SocketAddr> = addresses.iter().map(|&ip| SocketAddr::new(ip, 3_001)).collect();
    let user_transport = Transport::Sctp(SctpTransport { addresses: addresses.as_slice().into(), ..transport(1) });
    let mut lab = Lab::new(|_| {});
    let request = Message::Registration {
        handle: pool(),
        element: PoolElement { user_transport: user_transport.clone(), ..element(1) },
    };
    lab.server.handle_message(lab.now, ClientId(1), &source, &request.encode().unwrap());
    let events = lab.events();
    let [Event::Registered { element, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(element.asap_transport.as_ref().unwrap().addresses.as_slice(), addresses.as_slice());
    lab.drain();
    let answer = lab.ask(9, &resolution(false, None));
    let Message::HandleResolutionResponse { elements, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(elements[0].user_transport, user_transport);
    // One of them is not the association's.
    lab.server.handle_message(lab.now, ClientId(2), &source[..63], &request.encode().unwrap());
    let (_, refusal) = lab.drain().remove(0);
    let Message::RegistrationResponse { reject: true, error: Some(error), .. } = refusal else { panic!("{refusal:?}") };
    assert!(matches!(error.causes[..], [ErrorCause::InvalidValues(_)]));
}

/// Each policy with its values at both ends: who is selected, in which order. 100 % load and weight 0 are never.
#[test]
fn weights_priorities_and_loads_at_their_ends() {
    const MAX: u32 = u32::MAX;
    type Row = (&'static [Policy], &'static [u32]);
    let rows: [Row; 8] = [
        (&[Policy::WeightedRoundRobin { weight: 0 }, Policy::WeightedRoundRobin { weight: MAX }], &[2]),
        (&[Policy::WeightedRandom { weight: 0 }, Policy::WeightedRandom { weight: MAX }], &[2]),
        (&[Policy::Priority { priority: 0 }, Policy::Priority { priority: MAX }], &[2, 1]),
        (
            &[Policy::LeastUsed { load: 0 }, Policy::LeastUsed { load: MAX }, Policy::LeastUsed { load: MAX - 1 }],
            &[1, 3],
        ),
        (
            &[
                Policy::LeastUsedDegradation { load: MAX, degradation: 0 },
                Policy::LeastUsedDegradation { load: MAX - 1, degradation: MAX },
                Policy::LeastUsedDegradation { load: 0, degradation: MAX },
            ],
            &[3, 2],
        ),
        (
            &[
                Policy::PriorityLeastUsed { load: MAX - 1, degradation: MAX },
                Policy::PriorityLeastUsed { load: MAX, degradation: MAX },
                Policy::PriorityLeastUsed { load: 0, degradation: MAX },
            ],
            &[3, 1],
        ),
        (&[Policy::RandomizedLeastUsed { load: MAX }, Policy::RandomizedLeastUsed { load: 0 }], &[2]),
        (&[Policy::LeastUsed { load: MAX }, Policy::LeastUsed { load: MAX }], &[]),
    ];
    for (policies, expected) in rows {
        let mut lab = Lab::new(|_| {});
        for (n, policy) in (1..).zip(policies) {
            lab.register_with(n, policy.clone());
        }
        let answer = lab.ask(9, &resolution(true, Some(MAX)));
        if expected.is_empty() {
            assert_eq!(refused(&answer), (true, ErrorCause::LackOfResources), "{policies:?}");
        } else {
            assert_eq!(listed(&answer), (true, expected.to_vec()), "{policies:?}");
        }
    }
}

#[test]
fn the_longest_life_and_no_end() {
    let longest = RegistrationLife::Seconds(i32::MAX.cast_unsigned());
    for (life, ends) in [(longest, true), (RegistrationLife::Infinite, false)] {
        let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
        lab.ask(1, &Message::Registration { handle: pool(), element: PoolElement { life, ..element(1) } });
        lab.now += Duration::from_secs(u64::from(i32::MAX.cast_unsigned()) - 1);
        assert_eq!(listed(&lab.ask(9, &resolution(false, None))).1, [1]);
        lab.now += Duration::from_secs(1);
        lab.server.handle_timeout(lab.now);
        assert_eq!(lab.is_there(1), !ends);
    }
}

/// No answer is longer than a message, padding included: one that SCTP does not take would never come, and the user would lose its server.
#[test]
fn the_longest_answer_is_padded_within_a_message() {
    let mut lab = wide();
    let with = |n: u64, bytes: usize| PoolElement {
        policy: Policy::Other { policy_type: 0x8000_0001, data: vec![7; bytes].into() },
        ..element(n)
    };
    let handle = PoolHandle::from("p");
    for (client, bytes) in [(1, 20_000), (2, 25_000)] {
        let registration = Message::Registration { handle: handle.clone(), element: with(client, bytes) };
        lab.server.handle_message(lab.now, ClientId(client), &source(client), &registration.encode().unwrap());
        assert!(lab.server.poll_output().is_some());
    }
    for bytes in 19_900..20_600 {
        let registration = Message::Registration { handle: handle.clone(), element: with(1, bytes) };
        lab.server.handle_message(lab.now, ClientId(1), &source(1), &registration.encode().unwrap());
        assert!(lab.server.poll_output().is_some());
        let question = Message::resolution(false, handle.clone(), Some(9)).encode().unwrap();
        lab.server.handle_message(lab.now, ClientId(9), &source(9), &question);
        let (_, answer) = lab.server.poll_output().and_then(Output::asap).expect("an answer");
        assert!(answer.len() <= MESSAGE_BYTES_MAX && answer.len() % 4 == 0, "{bytes}: {}", answer.len());
        lab.pass(1_000);
    }
}

/// Who asked once and stays connected takes no place from a PE.
#[test]
fn those_who_only_asked_make_room() {
    let mut lab = Lab::new(|c| {
        c.clients_max = 4;
        c.keep_alive_interval_ms = 0;
    });
    lab.register(1);
    (2..=20).for_each(|n| drop(lab.send(n, &Message::resolution(false, pool(), None))));
    lab.pass(1_000);
    lab.register(21);
    assert!(lab.is_there(1) && lab.is_there(21));
}
