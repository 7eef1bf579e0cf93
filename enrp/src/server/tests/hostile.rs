//! Bytes that are no ASAP message, and messages a server does not expect.

use super::*;
use proptest::prelude::*;

#[test]
fn an_unknown_message_is_reported_when_its_type_says_so() {
    let mut lab = Lab::new(|_| {});
    // Top bits 01: report; 00: silence (RFC 5354 section 4).
    let answers = lab.send_bytes(1, &[0x4f, 0, 0, 4]);
    let cause = ErrorCause::UnrecognizedMessage(Bytes::from_static(&[0x4f, 0, 0, 4]));
    assert_eq!(answers, [(1, Message::Error { error: cause.into() })]);
    assert_eq!(lab.send_bytes(1, &[0x3f, 0, 0, 4]), []);
    assert_eq!(lab.server.counters().unrecognized, 2);
}

#[test]
fn an_unknown_parameter_that_is_to_be_skipped_and_reported() {
    let mut lab = Lab::new(|_| {});
    lab.register(1);
    let mut bytes = resolution(false, None).encode().unwrap().to_vec();
    bytes.extend_from_slice(&[0xc1, 0x23, 0, 4]);
    bytes[2..4].copy_from_slice(&24_u16.to_be_bytes());
    let answers = lab.send_bytes(9, &bytes);
    assert_eq!(listed(&answers[0].1).1, [1], "the message is understood");
    let cause = ErrorCause::UnrecognizedParameter(Bytes::from_static(&[0xc1, 0x23, 0, 4]));
    assert_eq!(answers[1].1, Message::Error { error: cause.into() });
}

#[test]
fn what_is_not_for_a_server_is_counted() {
    let mut lab = Lab::new(|_| {});
    let cookie = Message::Cookie { cookie: Bytes::from_static(b"abcd") };
    let announce = Message::ServerAnnounce { server: ServerId(5), transports: Vec::new() };
    let keep_alive = Message::EndpointKeepAlive { home: true, server: ServerId(5), handle: pool(), pe_id: None };
    for message in [cookie, announce, keep_alive] {
        assert_eq!(lab.send(1, &message), []);
    }
    assert_eq!(lab.send(1, &Message::Error { error: ErrorCause::Unspecified.into() }), []);
    assert_eq!((lab.server.counters().unexpected, lab.server.counters().errors_in), (3, 1));
}

#[test]
fn a_handle_that_is_too_long_is_refused_as_the_request_wants_it() {
    let mut lab = Lab::new(|c| c.handle_bytes_max = 32);
    let handle = PoolHandle::new(vec![b'x'; 33]);
    let answer = lab.ask(1, &Message::Registration { handle: handle.clone(), element: element(1) });
    let refusal = error(ErrorCause::LackOfResources);
    assert_eq!(
        answer,
        Message::RegistrationResponse { reject: true, handle: handle.clone(), pe_id: pe(1), error: refusal }
    );
    let answer = lab.ask(1, &Message::resolution(true, handle, None));
    assert_eq!(refused(&answer), (false, ErrorCause::UnknownPoolHandle));
    assert_eq!(lab.server.handlespace().pool_count(), 0);
}

/// A valid message of any kind, to be damaged.
fn messages() -> Vec<Message> {
    vec![
        registration(1),
        Message::Deregistration { handle: pool(), pe_id: pe(1) },
        resolution(true, Some(5)),
        ack(1),
        Message::EndpointUnreachable { handle: pool(), pe_id: pe(1) },
        Message::Error { error: ErrorCause::LackOfResources.into() },
    ]
}

/// Golden vectors of both directions (`asap/tests/vectors.txt`), as hexadecimal digits.
fn vectors() -> Vec<Vec<u8>> {
    let lines = include_str!("../../../../asap/tests/vectors.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let digits: Vec<u8> = line.bytes().filter(u8::is_ascii_hexdigit).collect();
            digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
        })
        .collect()
}

/// Each byte of each vector replaced by each other value; cut anywhere, with and without a Length that says so. Over SCTP and as
/// over TCP, while time passes and what was registered by chance is asked whether it lives.
#[test]
fn damaged_golden_vectors_change_nothing_for_others() {
    let mut lab = Lab::new(|c| {
        c.pes_max = 8;
        c.pools_max = 4;
        c.subscriptions_per_client_max = 4;
        c.clients_max = 4;
    });
    lab.register(1);
    // Addresses that the vectors' PE may register from.
    let stranger: Vec<SocketAddr> = vec!["192.0.2.1:5000".parse().unwrap()];
    let (sctp, tcp) = (ClientId(7), ClientId(ClientId::OUTSIDE.0 + 7));
    let mut taken = 0_u64;
    for vector in vectors() {
        let mut attack = |bytes: &[u8]| {
            for client in [sctp, tcp] {
                lab.server.handle_message(lab.now, client, &stranger, bytes);
                // An answer, a report of what was skipped, updates to the two that may have subscribed.
                let said = std::iter::from_fn(|| lab.server.poll_output()).count();
                assert!(said <= 4 && lab.events().len() <= 2, "{said}: {bytes:02x?}");
            }
            taken += 2;
            if taken.is_multiple_of(100) {
                pass_while_1_answers(&mut lab, 100);
            }
            let handlespace = lab.server.handlespace();
            assert!(handlespace.element_count() <= 8 && handlespace.pool_count() <= 4);
            assert!(lab.server.supervised.len() == handlespace.element_count() && lab.server.clients.len() <= 4);
        };
        for at in 0..vector.len() {
            for value in 0..=255 {
                let mut bytes = vector.clone();
                bytes[at] = value;
                attack(&bytes);
            }
            attack(&vector[..at]);
            let mut cut = vector[..at].to_vec();
            if let Some(length) = cut.get_mut(2..4) {
                length.copy_from_slice(&u16::try_from(at).unwrap().to_be_bytes());
                attack(&cut);
            }
        }
    }
    assert!(lab.is_there(1) && lab.server.counters().malformed > 10_000, "{:?}", lab.server.counters());
    for client in [sctp, tcp, ClientId(1)] {
        lab.server.client_lost(lab.now, client, true);
    }
    assert!(lab.server.clients.is_empty() && lab.server.subscribers.is_empty());
    assert_eq!(lab.server.handlespace().element_count(), 0);
}

/// Lets time pass; PE 1 answers each keep-alive.
fn pass_while_1_answers(lab: &mut Lab, milliseconds: u64) {
    let end = lab.now + ms(milliseconds);
    while let Some(at) = lab.server.poll_timeout().filter(|&at| at <= end) {
        lab.now = lab.now.max(at);
        lab.server.handle_timeout(lab.now);
        for (client, message) in lab.drain() {
            if client == 1 && matches!(message, Message::EndpointKeepAlive { .. }) {
                lab.send(1, &ack(1));
            }
        }
    }
    lab.now = end;
    lab.events();
}

proptest! {
    /// Whatever comes: no panic, at most one answer to the sender of a message (besides updates), memory bounded by the limits.
    #[test]
    fn any_bytes(inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)) {
        let mut lab = Lab::new(|_| {});
        for bytes in inputs {
            prop_assert!(lab.send_bytes(1, &bytes).len() <= 2);
        }
        prop_assert_eq!(lab.server.handlespace().element_count(), 0);
    }

    #[test]
    fn damaged_messages(which in prop::collection::vec((0..6_usize, any::<prop::sample::Index>(), any::<u8>()), 1..60)) {
        let mut lab = Lab::new(|c| {
            c.pes_max = 3;
            c.pools_max = 2;
        });
        for (message, at, value) in which {
            let mut bytes = messages()[message].encode().unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = value;
            lab.send_bytes(1, &bytes);
            lab.pass(300);
            prop_assert!(lab.server.handlespace().element_count() <= 3);
            prop_assert!(lab.server.handlespace().pool_count() <= 2);
            prop_assert!(lab.server.supervised.len() == lab.server.handlespace().element_count());
        }
        // Whatever was registered ends with its client, and nothing is left behind.
        lab.server.client_lost(lab.now, ClientId(1), true);
        prop_assert_eq!(lab.server.handlespace().element_count(), 0);
        prop_assert!(lab.server.clients.is_empty() && lab.server.subscribers.is_empty());
        lab.pass(1_000);
        prop_assert_eq!(lab.server.poll_timeout(), None);
    }
}
