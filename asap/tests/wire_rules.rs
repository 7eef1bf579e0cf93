//! Unknown parameters and messages, limits, broken bytes (RFC 5354 2, 3, 4), and bytes of any kind.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use asap::wire::{
    DccpTransport, DecodeErrorKind, ElementReport, EncodeError, ErrorCause, IpTransport, Limits, Message,
    OperationError, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport,
    TransportUse,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn message(kind: u8, parameters: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend_from_slice(&u16::try_from(4 + parameters.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(parameters);
    bytes
}

/// HANDLE_RESOLUTION of "ab" (unaligned), with parameters before and after.
fn resolution(before: &[u8], after: &[u8]) -> Vec<u8> {
    let mut parameters = before.to_vec();
    parameters.extend_from_slice(&[0, 9, 0, 6, b'a', b'b', 0, 0]);
    parameters.extend_from_slice(after);
    message(5, &parameters)
}

fn decode(bytes: &[u8]) -> Result<asap::wire::Decoded, asap::wire::DecodeError> {
    Message::decode(bytes, &Limits::default())
}

fn plain_resolution() -> Message {
    Message::resolution(false, "ab".into(), None)
}

#[test]
fn unknown_parameter_by_its_high_bits() {
    // 00: discard, silently.
    let error = decode(&resolution(&[0x00, 0x77, 0, 4], &[])).unwrap_err();
    assert_eq!((error.kind, error.answer()), (DecodeErrorKind::UnknownParameter(0x77), None));
    // 01: discard and report, the whole parameter (without padding), in the refusal of the request.
    let error = decode(&resolution(&[0x40, 0x77, 0, 5, 1, 0, 0, 0], &[])).unwrap_err();
    let cause = ErrorCause::UnrecognizedParameter(Bytes::from_static(&[0x40, 0x77, 0, 5, 1]));
    assert_eq!(error.kind, DecodeErrorKind::UnknownParameter(0x4077));
    assert_eq!(
        error.answer(),
        Some(Message::HandleResolutionResponse {
            subscribed: false,
            handle: "ab".into(),
            policy: None,
            elements: Vec::new(),
            error: Some(cause.into())
        })
    );
    // 10: skip.
    let decoded = decode(&resolution(&[], &[0x80, 0x77, 0, 4])).unwrap();
    assert_eq!((decoded.answer(), decoded.message), (None, plain_resolution()));
    // 11: skip and report, one cause each.
    let decoded = decode(&resolution(&[0xc0, 1, 0, 4], &[0xc0, 2, 0, 4])).unwrap();
    let causes = [[0xc0, 1, 0, 4], [0xc0, 2, 0, 4]];
    let causes = causes.iter().map(|tlv| ErrorCause::UnrecognizedParameter(Bytes::copy_from_slice(tlv))).collect();
    assert_eq!(decoded.answer(), Some(Message::Error { error: OperationError { causes } }));
    assert_eq!(decoded.message, plain_resolution());
}

#[test]
fn unknown_parameter_inside_a_parameter() {
    // An SCTP transport in a pool element in a registration, with a skip-and-report parameter among its addresses.
    let transport = [0, 4, 0, 20, 0x0b, 0x59, 0, 1, 0, 1, 0, 8, 192, 0, 2, 1, 0xc1, 0, 0, 4];
    let mut bytes = vec![0, 9, 0, 8, b'p', b'o', b'o', b'l', 0, 10, 0, 36, 0, 0, 0, 7, 0, 0, 0, 0, 255, 255, 255, 255];
    bytes.extend_from_slice(&transport);
    let decoded = decode(&message(1, &bytes)).unwrap();
    assert_eq!(decoded.report, [ErrorCause::UnrecognizedParameter(Bytes::from_static(&[0xc1, 0, 0, 4]))]);
    let Message::Registration { element, .. } = decoded.message else { panic!("registration") };
    assert_eq!((element.life, element.policy), (RegistrationLife::Infinite, Policy::RoundRobin));
}

#[test]
fn reports_are_limited() {
    let many: Vec<u8> = [0xc0, 1, 0, 4].repeat(5_000);
    assert_eq!(decode(&resolution(&many, &[])).unwrap().report.len(), 16);
}

#[test]
fn unknown_message_by_its_high_bits() {
    let error = decode(&message(0x20, &[])).unwrap_err();
    assert_eq!((error.kind, error.answer()), (DecodeErrorKind::UnknownMessage(0x20), None));
    let bytes = message(0x60, &[1, 2, 3, 4]);
    let error = decode(&bytes).unwrap_err();
    assert_eq!(
        error.answer(),
        Some(Message::Error { error: ErrorCause::UnrecognizedMessage(Bytes::from(bytes)).into() })
    );
    for reserved in [0x80, 0xc0, 0xff, 0x00] {
        assert_eq!(decode(&message(reserved, &[])).unwrap_err().answer(), None);
    }
    // The largest one still fits into its report.
    assert!(decode(&message(0x60, &vec![0; 65_528])).unwrap_err().answer().unwrap().encode().is_ok());
}

#[test]
fn length_with_and_without_last_padding() {
    let padded = resolution(&[], &[]);
    assert_eq!(padded.len(), 12);
    let mut exact = padded.clone();
    exact[3] = 10;
    for bytes in [&padded[..], &exact, &exact[..10]] {
        assert_eq!(decode(bytes).unwrap().message, plain_resolution());
    }
    assert_eq!(plain_resolution().encode().unwrap(), exact);
    // Longer than the bytes, or more than padding behind it.
    let mut long = padded.clone();
    long[3] = 13;
    assert_eq!(decode(&long).unwrap_err().kind, DecodeErrorKind::Length);
    let mut trailing = padded;
    trailing.extend_from_slice(&[0; 4]);
    assert_eq!(decode(&trailing).unwrap_err().kind, DecodeErrorKind::Length);
}

#[test]
fn no_error_about_an_error() {
    assert_eq!(decode(&message(0x0e, &[])).unwrap_err().answer(), None);
    assert_eq!(decode(&message(0x0e, &[0x40, 0x77, 0, 4])).unwrap_err().answer(), None);
}

#[test]
fn a_bad_registration_is_refused_with_the_offending_parameter() {
    // A least-used policy without its load.
    let policy = [0, 8, 0, 8, 0x40, 0, 0, 1];
    let mut bytes = vec![0, 9, 0, 5, b'p', 0, 0, 0, 0, 10, 0, 40, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 60];
    bytes.extend_from_slice(&[0, 4, 0, 16, 0x0b, 0x59, 0, 1, 0, 1, 0, 8, 192, 0, 2, 1]);
    bytes.extend_from_slice(&policy);
    let answer = decode(&message(1, &bytes)).unwrap_err().answer();
    let cause = ErrorCause::InvalidValues(Bytes::copy_from_slice(&policy));
    assert_eq!(
        answer,
        Some(Message::RegistrationResponse {
            reject: true,
            handle: "p".into(),
            pe_id: PeId(7),
            error: Some(cause.into())
        })
    );
}

/// RFC 5354 sections 3 and 4: the sender pads with zeros, the receiver does not look.
#[test]
fn padding_is_not_looked_at() {
    let mut bytes = resolution(&[], &[]);
    assert_eq!(plain_resolution().encode().unwrap()[10..], [0, 0]);
    bytes[10..].copy_from_slice(&[0xaa, 0x55]);
    assert_eq!(decode(&bytes).unwrap().message, plain_resolution());
}

/// RFC 5354 sections 3.4 and 3.10: what must be in an SCTP transport and in a pool element, and what must not.
#[test]
fn an_element_has_one_user_transport_and_an_sctp_transport_a_use_and_an_address() {
    let sctp = |usage: u8| [0, 4, 0, 16, 0x0b, 0x59, 0, usage, 0, 1, 0, 8, 192, 0, 2, 1].to_vec();
    let tcp = [0, 5, 0, 16, 0, 21, 0, 0, 0, 1, 0, 8, 192, 0, 2, 1].to_vec();
    let no_address = [0, 4, 0, 8, 0x0b, 0x59, 0, 1].to_vec();
    let registration = |transports: &[Vec<u8>]| {
        let transports = transports.concat();
        let length = u8::try_from(16 + transports.len()).unwrap();
        let mut bytes = vec![0, 9, 0, 5, b'p', 0, 0, 0, 0, 10, 0, length, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 60];
        bytes.extend_from_slice(&transports);
        decode(&message(1, &bytes)).map_err(|error| error.kind)
    };
    for good in [vec![sctp(0)], vec![sctp(1)], vec![tcp.clone()], vec![tcp.clone(), sctp(0)]] {
        assert!(registration(&good).is_ok(), "{good:?}");
    }
    for (bad, parameter) in [
        (vec![sctp(2)], 4),
        (vec![no_address], 4),
        (vec![], 10),
        (vec![tcp.clone(), tcp.clone()], 10),
        (vec![sctp(1), tcp], 10),
        (vec![sctp(1), sctp(0), sctp(0)], 10),
    ] {
        assert_eq!(registration(&bad).unwrap_err(), DecodeErrorKind::Invalid(parameter), "{bad:?}");
    }
}

#[test]
fn limits() {
    let long = PoolHandle::new(vec![b'x'; 256]);
    let bytes = Message::resolution(false, long, None).encode().unwrap();
    assert_eq!(decode(&bytes).unwrap_err().kind, DecodeErrorKind::Invalid(9));
    assert!(Message::decode(&bytes, &Limits { max_handle: 256, ..Limits::default() }).is_ok());

    let card = Message::BusinessCard { handle: "p".into(), elements: vec![element(1), element(2)] }.encode().unwrap();
    let error = Message::decode(&card, &Limits { max_elements: 1, ..Limits::default() }).unwrap_err();
    assert_eq!(error.cause, Some(ErrorCause::LackOfResources));

    let cookie = Message::Cookie { cookie: Bytes::from(vec![0; 9]) }.encode().unwrap();
    assert!(Message::decode(&cookie, &Limits { max_cookie: 9, ..Limits::default() }).is_ok());
    assert!(Message::decode(&cookie, &Limits { max_cookie: 8, ..Limits::default() }).is_err());
    let causes = vec![ErrorCause::Unspecified; 17];
    let error = Message::Error { error: OperationError { causes } }.encode().unwrap();
    assert!(Message::decode(&error, &Limits { max_causes: 17, ..Limits::default() }).is_ok());
    assert!(decode(&error).is_err());
    let addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST); 65];
    let sctp = SctpTransport { port: 1, transport_use: TransportUse::DataOnly, addresses: addresses.into() };
    let mut homed = element(1);
    homed.user_transport = Transport::Sctp(sctp);
    let card = Message::BusinessCard { handle: "p".into(), elements: vec![homed] }.encode().unwrap();
    assert!(Message::decode(&card, &Limits { max_addresses: 65, ..Limits::default() }).is_ok());
    assert_eq!(decode(&card).unwrap_err().kind, DecodeErrorKind::Invalid(4));

    let too_long = PoolHandle::new(vec![0; 65_532]);
    let message = Message::resolution(false, too_long, None);
    assert_eq!(message.encode(), Err(EncodeError::TooLong));
    let empty = Message::resolution(false, "".into(), None);
    assert_eq!(empty.encode(), Err(EncodeError::Invalid));
}

#[test]
fn a_large_pool_is_cut_where_the_message_is_full() {
    let pool: Vec<PoolElement> = (0..3_000).map(element).collect();
    let (bytes, count) = Message::encode_resolution(true, &"pool".into(), &Policy::RoundRobin, pool.iter()).unwrap();
    assert!(bytes.len() <= 65_536 && count > 1_000);
    let Message::HandleResolutionResponse { elements, subscribed: true, .. } = decode(&bytes).unwrap().message else {
        panic!("resolution")
    };
    assert_eq!(elements, pool[..count]);
}

/// The longest hint and the most reports go both ways; one more byte or report is refused with the reason, and not sent.
#[test]
fn hints_and_reports_have_limits() {
    let report = ElementReport { pe_id: PeId(1), load: u32::MAX, round_trip_us: Some(u32::MAX - 1) };
    let with = |hint: usize, reports: usize| Message::HandleResolution {
        subscribe: false,
        handle: "ab".into(),
        items: None,
        hint: Some(Bytes::from(vec![b'h'; hint])),
        reports: vec![report; reports],
    };
    for message in [with(0, 0), with(255, 64)] {
        assert_eq!(decode(&message.encode().unwrap()).unwrap().message, message);
    }
    assert_eq!(with(256, 0).encode(), Err(EncodeError::Invalid));
    assert_eq!(with(0, 65).encode(), Err(EncodeError::Invalid));
    let one = [0xbf, 2, 0, 16, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 254];
    let refused = |parameters: &[u8]| {
        let error = decode(&resolution(&[], parameters)).unwrap_err();
        assert!(matches!(error.answer(), Some(Message::HandleResolutionResponse { error: Some(_), .. })));
        (error.kind, error.cause.unwrap())
    };
    assert!(decode(&resolution(&one, &one.repeat(63))).is_ok());
    assert_eq!(refused(&one.repeat(65)), (DecodeErrorKind::Invalid(0xbf02), ErrorCause::LackOfResources));
    let long = [&[0xbf, 1, 1, 4][..], &[0; 256]].concat();
    let cause = ErrorCause::InvalidValues(Bytes::from(long.clone()));
    assert_eq!(refused(&long), (DecodeErrorKind::Invalid(0xbf01), cause));
    for wrong in [&[0xbf, 2, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0][..], &[&[0xbf, 2, 0, 20][..], &[0; 16]].concat()] {
        assert_eq!(refused(wrong).0, DecodeErrorKind::Invalid(0xbf02));
    }
    let hint = [0xbf, 1, 0, 5, b'h', 0, 0, 0];
    assert_eq!(refused(&hint.repeat(2)).0, DecodeErrorKind::Invalid(0xbf01), "one hint");
    // Where they mean nothing they are ignored, as any known parameter.
    let deregistration = [&[0, 9, 0, 6, b'a', b'b', 0, 0, 0, 14, 0, 8, 0, 0, 0, 7][..], &hint, &one].concat();
    assert!(matches!(decode(&message(2, &deregistration)).unwrap().message, Message::Deregistration { .. }));
}

fn element(id: u32) -> PoolElement {
    PoolElement {
        id: PeId(id),
        home: ServerId(0),
        life: RegistrationLife::Seconds(60),
        user_transport: Transport::Tcp(IpTransport { port: 21, address: IpAddr::V4(Ipv4Addr::LOCALHOST) }),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

prop_compose! {
    fn any_address()(v4: bool, bytes: [u8; 16]) -> IpAddr {
        if v4 { Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into() } else { Ipv6Addr::from(bytes).into() }
    }
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

prop_compose! {
    fn any_sctp()(port: u16, control: bool, addresses in prop::collection::vec(any_address(), 1..5)) -> SctpTransport {
        let transport_use = if control { TransportUse::DataAndControl } else { TransportUse::DataOnly };
        SctpTransport { port, transport_use, addresses: addresses.into() }
    }
}

fn any_transport() -> impl Strategy<Value = Transport> {
    let ip = || (any::<u16>(), any_address()).prop_map(|(port, address)| IpTransport { port, address });
    prop_oneof![
        any_sctp().prop_map(Transport::Sctp),
        ip().prop_map(Transport::Tcp),
        ip().prop_map(Transport::Udp),
        ip().prop_map(Transport::UdpLite),
        (any::<u32>(), ip()).prop_map(|(service_code, t)| Transport::Dccp(DccpTransport {
            port: t.port,
            service_code,
            address: t.address
        })),
        any_bytes().prop_map(Transport::Opaque),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::RoundRobin),
        Just(Policy::Random),
        any::<u32>().prop_map(|weight| Policy::WeightedRoundRobin { weight }),
        any::<u32>().prop_map(|weight| Policy::WeightedRandom { weight }),
        any::<u32>().prop_map(|priority| Policy::Priority { priority }),
        any::<u32>().prop_map(|load| Policy::LeastUsed { load }),
        any::<u32>().prop_map(|load| Policy::RandomizedLeastUsed { load }),
        any::<u32>().prop_map(|load| Policy::MostUsed { load }),
        any::<[u32; 2]>().prop_map(|[load, degradation]| Policy::LeastUsedDegradation { load, degradation }),
        any::<[u32; 2]>().prop_map(|[load, degradation]| Policy::PriorityLeastUsed { load, degradation }),
        (0xb000_1001_u32..0xb000_2006, any_bytes())
            .prop_map(|(policy_type, data)| Policy::Other { policy_type, data: data[..].into() }),
    ]
}

prop_compose! {
    fn any_element()(id: u32, home: u32, life in prop::option::of(0..=0x7fff_ffff_u32), user_transport in any_transport(),
                     policy in any_policy(), asap_transport in prop::option::of(any_sctp())) -> PoolElement {
        let life = life.map_or(RegistrationLife::Infinite, RegistrationLife::Seconds);
        PoolElement { id: PeId(id), home: ServerId(home), life, user_transport, policy, asap_transport }
    }
}

fn any_report() -> impl Strategy<Value = ElementReport> {
    (any::<u32>(), any::<u32>(), prop::option::of(0..u32::MAX)).prop_map(|(pe, load, round_trip_us)| ElementReport {
        pe_id: PeId(pe),
        load,
        round_trip_us,
    })
}

fn any_cause() -> impl Strategy<Value = ErrorCause> {
    prop_oneof![
        Just(ErrorCause::Unspecified),
        Just(ErrorCause::NonUniquePeId),
        Just(ErrorCause::LackOfResources),
        Just(ErrorCause::InconsistentDataControl),
        Just(ErrorCause::UnknownPoolHandle),
        Just(ErrorCause::Security),
        any_bytes().prop_map(ErrorCause::UnrecognizedParameter),
        any_bytes().prop_map(ErrorCause::UnrecognizedMessage),
        any_bytes().prop_map(ErrorCause::InvalidValues),
        prop::option::of(any_policy()).prop_map(ErrorCause::InconsistentPolicy),
        prop::option::of(any_transport()).prop_map(ErrorCause::InconsistentTransportType),
        (0xf001..0xf009_u16, any_bytes()).prop_map(|(code, info)| ErrorCause::Other { code, info }),
    ]
}

/// Long enough for both ways in which handles are held.
fn any_handle() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(0..3_u8, 0..4), prop::collection::vec(any::<u8>(), 30..45)]
}

proptest! {
    /// A handle is its bytes, wherever it holds them.
    #[test]
    fn handles_compare_as_their_bytes(a in any_handle(), b in any_handle()) {
        let (one, other) = (PoolHandle::new(a.clone()), PoolHandle::from(b.as_slice()));
        prop_assert_eq!(one.as_bytes(), a.as_slice());
        prop_assert_eq!(one.cmp(&other), a.cmp(&b));
        prop_assert_eq!(one == other, a == b);
        prop_assert_eq!(&one.detached(), &one);
        let hash = |handle: &PoolHandle| BuildHasherDefault::<DefaultHasher>::default().hash_one(handle);
        prop_assert_eq!(hash(&one) == hash(&other), a == b);
    }
}

fn any_message() -> impl Strategy<Value = Message> {
    let handle = || prop::collection::vec(any::<u8>(), 1..80).prop_map(PoolHandle::new);
    let pe = || any::<u32>().prop_map(PeId);
    let server = || any::<u32>().prop_map(ServerId);
    let error = || prop::collection::vec(any_cause(), 1..4).prop_map(|causes| OperationError { causes });
    let maybe_error = move || prop::option::of(error());
    let elements = || prop::collection::vec(any_element(), 1..4);
    let reports = || prop::collection::vec(any_report(), 0..4);
    prop_oneof![
        (handle(), any_element()).prop_map(|(handle, element)| Message::Registration { handle, element }),
        (handle(), pe()).prop_map(|(handle, pe_id)| Message::Deregistration { handle, pe_id }),
        (any::<bool>(), handle(), pe(), maybe_error())
            .prop_map(|(reject, handle, pe_id, error)| Message::RegistrationResponse { reject, handle, pe_id, error }),
        (handle(), pe(), maybe_error())
            .prop_map(|(handle, pe_id, error)| { Message::DeregistrationResponse { handle, pe_id, error } }),
        (any::<bool>(), handle(), any::<Option<u32>>(), prop::option::of(any_bytes()), reports()).prop_map(
            |(subscribe, handle, items, hint, reports)| {
                Message::HandleResolution { subscribe, handle, items, hint, reports }
            }
        ),
        (any::<bool>(), handle(), prop::option::of(any_policy()), elements(), maybe_error()).prop_map(
            |(subscribed, handle, policy, elements, error)| {
                Message::HandleResolutionResponse { subscribed, handle, policy, elements, error }
            }
        ),
        (any::<bool>(), server(), handle(), prop::option::of(pe()))
            .prop_map(|(home, server, handle, pe_id)| Message::EndpointKeepAlive { home, server, handle, pe_id }),
        (handle(), pe()).prop_map(|(handle, pe_id)| Message::EndpointKeepAliveAck { handle, pe_id }),
        (handle(), pe()).prop_map(|(handle, pe_id)| Message::EndpointUnreachable { handle, pe_id }),
        (server(), prop::collection::vec(any_transport(), 0..4))
            .prop_map(|(server, transports)| Message::ServerAnnounce { server, transports }),
        any_bytes().prop_map(|cookie| Message::Cookie { cookie }),
        any_bytes().prop_map(|cookie| Message::CookieEcho { cookie }),
        (handle(), elements()).prop_map(|(handle, elements)| Message::BusinessCard { handle, elements }),
        error().prop_map(|error| Message::Error { error }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(message in any_message()) {
        let bytes = message.encode().unwrap();
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert!(bytes.len() - usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) <= 3);
        prop_assert_eq!(decode(&bytes).unwrap().message, message);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes).map_err(|error| error.answer().map(|answer| answer.encode().unwrap()));
    }

    /// A good message with bytes changed reaches deeper than random ones; what is accepted can be encoded again.
    #[test]
    fn damaged_messages(message in any_message(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = message.encode().unwrap().to_vec();
        for (index, value) in damage {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        match decode(&bytes) {
            Ok(decoded) => {
                let again = decoded.message.encode().unwrap();
                prop_assert_eq!(decode(&again).unwrap().message, decoded.message);
            }
            Err(error) => {
                if let Some(answer) = error.answer() {
                    prop_assert!(answer.encode().is_ok());
                }
            }
        }
    }
}

#[test]
fn most_used_has_a_private_number_that_others_may_use_too() {
    let element = |policy: &[u8]| {
        let mut bytes =
            vec![0, 9, 0, 5, b'p', 0, 0, 0, 0, 10, 0, 32 + policy.len() as u8, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 60];
        bytes.extend_from_slice(&[0, 4, 0, 16, 0x0b, 0x59, 0, 1, 0, 1, 0, 8, 192, 0, 2, 1]);
        bytes.extend_from_slice(policy);
        let Message::Registration { element, .. } = decode(&message(1, &bytes)).unwrap().message else {
            panic!("kind")
        };
        element.policy
    };
    assert_eq!(element(&[0, 8, 0, 12, 0xc0, 0, 0, 1, 0, 0, 0, 9]), Policy::MostUsed { load: 9 });
    let data = Bytes::from_static(&[0, 0, 0, 9, 0, 0, 0, 1]);
    let theirs = Policy::Other { policy_type: 0xc000_0001, data: data[..].into() };
    assert_eq!(element(&[0, 8, 0, 16, 0xc0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1]), theirs);
}
