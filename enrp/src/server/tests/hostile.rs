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
