//! RFC 5352 sections 3.1 and 3.2.

use super::*;
use asap::wire::IpTransport;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn causes(answer: &Message) -> (bool, Vec<ErrorCause>) {
    let Message::RegistrationResponse { reject, error, .. } = answer else { panic!("{answer:?}") };
    (*reject, error.clone().map(|error| error.causes).unwrap_or_default())
}

/// Bytes in, bytes out: rsplib's registration (rserpool-wire section 13), and the answer, which has no flag and no padding
/// on which the two codecs differ.
#[test]
fn golden_registration_and_deregistration() {
    let mut lab = Lab::new(|_| {});
    let address = ["192.0.2.1:5000".parse().unwrap()];
    let mut exchange = |request: &str| {
        lab.server.handle_message(lab.now, ClientId(1), &address, &hex(request));
        lab.server.poll_output().unwrap().asap().unwrap().1
    };
    let registered = exchange(
        "010000400009000f47617465776179506f6f6c00000a002cdeadbeef11111111
         000493e0000400100b59000100010008c00002010008000c4000000140000000",
    );
    assert_eq!(registered, hex("0300001c0009000f47617465776179506f6f6c00000e0008deadbeef"));
    let resolved = exchange("050000140009000f47617465776179506f6f6c00");
    assert_eq!(
        resolved,
        hex("0600004c0009000f47617465776179506f6f6c000008000c4000000140000000
             000a002cdeadbeef11111111000493e0000400100b59000100010008c0000201
             0008000c4000000140000000")
    );
    let deregistered = exchange("0200001c0009000f47617465776179506f6f6c00000e0008deadbeef");
    assert_eq!(deregistered, hex("0400001c0009000f47617465776179506f6f6c00000e0008deadbeef"));
    assert_eq!(lab.server.handlespace().pool_count(), 0);
}

#[test]
fn home_server_and_asap_transport_are_recorded() {
    let mut lab = Lab::new(|_| {});
    assert_eq!(causes(&lab.ask(1, &registration(1))), (false, vec![]));
    let events = lab.events();
    let [Event::Registered { handle, element }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((handle, element.home), (&pool(), SERVER));
    let recorded = element.asap_transport.as_ref().unwrap();
    assert_eq!((recorded.port, recorded.addresses.as_slice()), (3001, transport(1).addresses.as_slice()));
    assert_ne!(lab.server.handlespace().checksum(SERVER).value(), 0xffff);
}

/// Each way to be refused: what is different in the request, the cause, the counter.
#[test]
fn refusals() {
    type Row = (fn(&mut PoolElement), ErrorCause, fn(&Counters) -> u64);
    let invalid = |bytes: &str| ErrorCause::InvalidValues(Bytes::from(hex(bytes)));
    let rows: [Row; 6] = [
        (|e| e.policy = Policy::Random, ErrorCause::InconsistentPolicy(Some(Policy::RoundRobin)), |c| c.refused_policy),
        (
            |e| e.user_transport = Transport::Udp(IpTransport { port: 1, address: "127.0.0.2".parse().unwrap() }),
            ErrorCause::InconsistentTransportType(Some(Transport::Sctp(transport(1)))),
            |c| c.refused_transport,
        ),
        (
            |e| {
                e.user_transport =
                    Transport::Sctp(SctpTransport { transport_use: TransportUse::DataOnly, ..transport(2) });
            },
            ErrorCause::InconsistentDataControl,
            |c| c.refused_data_control,
        ),
        (
            |e| e.user_transport = Transport::Sctp(transport(9)),
            invalid("00040010 0b590001 00010008 7f000009"),
            |c| c.refused_invalid,
        ),
        (
            |e| e.life = RegistrationLife::Seconds(0),
            invalid("000a0028 00000002 00000000 00000000 00040010 0b590001 00010008 7f000002 00080008 00000001"),
            |c| c.refused_invalid,
        ),
        (|e| e.id = pe(1), ErrorCause::NonUniquePeId, |c| c.refused_not_unique),
    ];
    for (change, cause, counter) in rows {
        let mut lab = Lab::new(|_| {});
        lab.register(1);
        let mut element = element(2);
        change(&mut element);
        let id = element.id;
        let answer = lab.ask(2, &Message::Registration { handle: pool(), element });
        assert_eq!(causes(&answer), (true, vec![cause]));
        assert!(matches!(answer, Message::RegistrationResponse { pe_id, .. } if pe_id == id));
        assert_eq!(counter(lab.server.counters()), 1);
        assert_eq!(lab.server.handlespace().element_count(), 1);
        assert_eq!(lab.events(), [], "no update when refused");
    }
}

#[test]
fn limits_are_lack_of_resources() {
    type Change = fn(&mut ServerConfig);
    let rows: [(Change, u64); 5] = [
        (|c| c.pools_max = 0, 1),
        (|c| c.pes_per_pool_max = 1, 2),
        (|c| c.pes_max = 1, 2),
        (|c| c.clients_max = 1, 2),
        (|c| c.pes_per_client_max = 0, 1),
    ];
    for (change, refused) in rows {
        let mut lab = Lab::new(change);
        for n in 1..=refused {
            let answer = lab.ask(n, &registration(n));
            let expected = if n == refused { (true, vec![ErrorCause::LackOfResources]) } else { (false, vec![]) };
            assert_eq!(causes(&answer), expected);
        }
        assert_eq!(lab.server.counters().refused_resources, 1);
        // Registering again passes.
        for n in 1..refused {
            assert_eq!(causes(&lab.ask(n, &registration(n))), (false, vec![]));
        }
    }
}

#[test]
fn registering_again_replaces() {
    let mut lab = Lab::new(|_| {});
    lab.register_with(1, Policy::LeastUsed { load: 1 });
    let again = |load| Message::Registration {
        handle: pool(),
        element: PoolElement { policy: Policy::LeastUsed { load }, ..element(1) },
    };
    for (load, expected) in [(1, false), (2, true)] {
        assert_eq!(causes(&lab.ask(1, &again(load))), (false, vec![]));
        let events = lab.events();
        assert!(
            matches!(events.as_slice(), [Event::Reregistered { changed, .. }] if *changed == expected),
            "{events:?}"
        );
    }
    assert_eq!(lab.server.handlespace().element_count(), 1);
    assert_eq!(lab.server.counters().reregistrations, 2);
}

/// A PE that comes back over a new association before the old one is given up keeps its place; the old association's
/// end no longer concerns it.
#[test]
fn a_pe_moves_to_a_new_association() {
    let mut lab = Lab::new(|_| {});
    lab.register(1);
    lab.server.handle_message(lab.now, ClientId(100), &source(1), &registration(1).encode().unwrap());
    let answers = lab.drain();
    assert_eq!((answers[0].0, causes(&answers[0].1)), (100, (false, vec![])));
    lab.server.client_lost(lab.now, ClientId(1), true);
    assert!(lab.is_there(1));
    lab.server.client_lost(lab.now, ClientId(100), true);
    assert!(!lab.is_there(1));
}

#[test]
fn deregistration_is_granted_to_the_pe_only() {
    let request = Message::Deregistration { handle: pool(), pe_id: pe(1) };
    let mut lab = Lab::new(|_| {});
    lab.register(1);
    let by_proxy = lab.ask(2, &request);
    assert_eq!(
        by_proxy,
        Message::DeregistrationResponse { handle: pool(), pe_id: pe(1), error: error(ErrorCause::Security) }
    );
    assert!(lab.is_there(1));
    // Another association, but from the address it registered from.
    lab.server.handle_message(lab.now, ClientId(100), &source(1), &request.encode().unwrap());
    let granted = Message::DeregistrationResponse { handle: pool(), pe_id: pe(1), error: None };
    assert_eq!(lab.drain(), [(100, granted.clone())]);
    assert_eq!(lab.events(), [Event::Deregistered { handle: pool(), pe: pe(1), cause: RemovalCause::Deregistration }]);
    // What is not there is granted (section 3.2).
    assert_eq!(lab.ask(1, &request), granted);
    let counters = lab.server.counters();
    assert_eq!((counters.refused_security, counters.deregistrations, counters.deregistrations_unknown), (1, 1, 1));
}

#[test]
fn an_expired_pe_is_told() {
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
    let life = RegistrationLife::Seconds(3);
    let request = Message::Registration { handle: pool(), element: PoolElement { life, ..element(1) } };
    lab.ask(1, &request);
    assert_eq!(lab.pass(2_000), []);
    lab.ask(1, &request);
    lab.events();
    assert_eq!(lab.pass(2_999), [], "registering again starts the life anew");
    let told = Message::DeregistrationResponse { handle: pool(), pe_id: pe(1), error: None };
    assert_eq!(lab.pass(1), [(1, 1, told)]);
    assert_eq!(lab.events(), [Event::Deregistered { handle: pool(), pe: pe(1), cause: RemovalCause::Expired }]);
    assert_eq!(lab.server.handlespace().pool_count(), 0);
    assert_eq!(lab.server.poll_timeout(), None, "nothing of it is left");
}

#[test]
fn a_late_timer_does_not_let_an_expired_pe_be_resolved() {
    let mut lab = Lab::new(|_| {});
    let life = RegistrationLife::Seconds(1);
    lab.ask(1, &Message::Registration { handle: pool(), element: PoolElement { life, ..element(1) } });
    lab.now += Duration::from_secs(1);
    let answers = lab.send(2, &resolution(false, None));
    let answer = answers.iter().find(|(client, _)| *client == 2).unwrap();
    assert_eq!(refused(&answer.1), (false, ErrorCause::UnknownPoolHandle));
}

#[test]
fn the_state_stays_small_whatever_is_registered() {
    let mut lab = Lab::new(|c| c.pools_max = 2_000);
    for n in 1..=1_500 {
        let handle = PoolHandle::from(format!("pool-{n:04}").as_str());
        lab.send(1, &Message::Registration { handle, element: element(1) });
    }
    let state = lab.server.snapshot();
    // One client registers 1,000 at most; of those the first 250 are shown with what they are, the others are counted.
    assert_eq!((state.pools_total, state.pes_total, state.pools.len()), (1_000, 1_000, 1_000));
    let listed: usize = state.pools.iter().map(|pool| pool.elements.len()).sum();
    let counted: usize = state.pools.iter().map(|pool| pool.pes).sum();
    assert_eq!((listed, counted), (250, 1_000));
}
