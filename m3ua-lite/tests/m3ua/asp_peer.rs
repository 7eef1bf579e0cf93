//! The ASP's end: requests, T(ack), and what the SGP may do to it.

use m3ua_lite::asp::{AspState, DropCause, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer, AspPeerEvent, Request};
use m3ua_lite::wire::*;

use crate::bytes;

use AspState::{Active, Down, Inactive};

const T_ACK_MS: u64 = 2_000;

fn contexts(list: &[u32]) -> RoutingContexts {
    RoutingContexts::from_slice(list).unwrap()
}

fn asp(routing_contexts: &[u32]) -> AspPeer {
    AspPeer::new(AspConfig {
        asp_id: Some(3),
        routing_contexts: contexts(routing_contexts),
        traffic_mode: Some(TrafficMode::Loadshare),
        t_ack_ms: T_ACK_MS,
    })
}

/// What the ASP did with one message: what became of it, and the codes of its ERRs.
fn take(asp: &mut AspPeer, now_ms: u64, stream: u16, octets: &[u8]) -> (&'static str, Vec<u32>) {
    let mut replies = Replies::new();
    let input = match asp.handle(now_ms, stream, octets, &mut replies) {
        Input::Deliver(_) => "deliver",
        Input::Consumed => "consumed",
        Input::Dropped(DropCause::NotActive) => "not active",
        Input::Dropped(DropCause::Malformed(_)) => "malformed",
        Input::Dropped(DropCause::Refused(_)) => "refused",
    };
    let code = |message: &Message<'_>| {
        let Message::Error(error) = message else { panic!("an ASP answers with ERR only, not with {message:?}") };
        error.code.code()
    };
    (input, replies.iter().map(|reply| code(&reply.message)).collect())
}

fn receive(asp: &mut AspPeer, message: Message<'_>) -> (&'static str, Vec<u32>) {
    take(asp, 0, 1, &bytes(&message))
}

fn sent(asp: &mut AspPeer) -> Vec<&'static str> {
    std::iter::from_fn(|| asp.poll_transmit()).map(|out| out.message.message_type().name()).collect()
}

fn events(asp: &mut AspPeer) -> Vec<AspPeerEvent> {
    std::iter::from_fn(|| asp.poll_event()).collect()
}

fn moved(from: AspState, to: AspState) -> Vec<AspPeerEvent> {
    vec![AspPeerEvent::State { from, to }]
}

fn up_ack() -> Message<'static> {
    Message::AspUpAck(AspUp::default())
}

fn active_ack(routing_contexts: &[u32]) -> Message<'static> {
    Message::AspActiveAck(AspActive { traffic_mode: None, routing_contexts: contexts(routing_contexts), info: None })
}

fn inactive_ack() -> Message<'static> {
    Message::AspInactiveAck(AspInactive::default())
}

fn down_ack() -> Message<'static> {
    Message::AspDownAck(AspDown::default())
}

fn data(routing_context: Option<u32>) -> Message<'static> {
    let protocol_data = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 0, user_data: &[1, 0, 1] };
    Message::Data(Data { network_appearance: None, routing_context, protocol_data, correlation_id: None })
}

/// An ASP that is active for routing context 7.
fn active_asp() -> AspPeer {
    let mut asp = asp(&[7]);
    asp.association_up(0);
    asp.want(0, Active);
    receive(&mut asp, up_ack());
    receive(&mut asp, active_ack(&[7]));
    assert_eq!(events(&mut asp), moved(Down, Active));
    sent(&mut asp);
    asp
}

#[test]
fn up_active_inactive_down() {
    let mut asp = asp(&[7]);
    asp.want(0, Active);
    assert_eq!(sent(&mut asp), [""; 0], "nothing without an association");
    asp.association_up(0);
    let request = asp.poll_transmit().unwrap();
    assert_eq!(request.stream, 0);
    assert_eq!(request.message, Message::AspUp(AspUp { asp_id: Some(3), info: None }));
    assert_eq!(sent(&mut asp), [""; 0], "waits for the acknowledgement");
    receive(&mut asp, up_ack());
    assert_eq!(events(&mut asp), moved(Down, Inactive));
    let request = asp.poll_transmit().unwrap();
    let traffic_mode = Some(TrafficMode::Loadshare);
    assert_eq!(
        request.message,
        Message::AspActive(AspActive { traffic_mode, routing_contexts: contexts(&[7]), info: None })
    );
    receive(&mut asp, active_ack(&[7]));
    assert_eq!(events(&mut asp), moved(Inactive, Active));
    assert_eq!((asp.poll_timeout(), asp.pending(), asp.state()), (None, None, Active));
    // Leaving takes both steps (4.9).
    asp.want(0, Down);
    assert_eq!(sent(&mut asp), ["ASPIA"]);
    receive(&mut asp, inactive_ack());
    assert_eq!(sent(&mut asp), ["ASPDN"]);
    receive(&mut asp, down_ack());
    assert_eq!(events(&mut asp), moved(Active, Down));
    assert_eq!((sent(&mut asp), asp.poll_timeout()), (vec![], None));
}

/// 4.3.4.1: resent each T(ack) until it is acknowledged.
#[test]
fn requests_are_resent() {
    let mut asp = asp(&[7]);
    asp.association_up(100);
    asp.want(100, Inactive);
    assert_eq!(sent(&mut asp), ["ASPUP"]);
    for turn in 1..=5 {
        assert_eq!(asp.poll_timeout(), Some(100 + turn * T_ACK_MS));
        asp.handle_timeout(100 + turn * T_ACK_MS - 1);
        assert_eq!(sent(&mut asp), [""; 0], "not before it is due");
        asp.handle_timeout(100 + turn * T_ACK_MS);
        assert_eq!(sent(&mut asp), ["ASPUP"]);
        assert_eq!(asp.resends(), turn);
    }
    take(&mut asp, 20_000, 0, &bytes(&up_ack()));
    assert_eq!(asp.poll_timeout(), None);
    // The second acknowledgement, of a resent request, changes nothing.
    assert_eq!(receive(&mut asp, up_ack()), ("consumed", vec![]));
    assert_eq!((events(&mut asp), sent(&mut asp)), (moved(Down, Inactive), vec![]));
}

/// 4.3.4.3: several ASPAC ACKs, each for some routing contexts.
#[test]
fn active_when_all_routing_contexts_are_acknowledged() {
    let mut asp = asp(&[7, 8, 9]);
    asp.association_up(0);
    asp.want(0, Active);
    receive(&mut asp, up_ack());
    sent(&mut asp);
    for some in [&[8][..], &[8], &[5], &[7]] {
        receive(&mut asp, active_ack(some));
        assert_eq!(asp.state(), Inactive);
    }
    assert_eq!(asp.pending(), Some(Request::Active));
    receive(&mut asp, active_ack(&[9]));
    assert_eq!(asp.state(), Active);
    // An SGP that does not name them means all.
    asp.want(0, Inactive);
    receive(&mut asp, inactive_ack());
    asp.want(0, Active);
    receive(&mut asp, active_ack(&[]));
    assert_eq!(asp.state(), Active);
}

/// 4.3.4.1, 4.3.4.2, 4.3.4.4: an acknowledgement nobody asked for tells what the SGP thinks; the ASP works its way back.
#[test]
fn unexpected_acknowledgements() {
    let mut asp = active_asp();
    assert_eq!(receive(&mut asp, up_ack()), ("refused", vec![6]));
    assert_eq!((events(&mut asp), sent(&mut asp)), (moved(Active, Inactive), vec!["ASPAC"]));
    let mut asp = active_asp();
    assert_eq!(receive(&mut asp, inactive_ack()), ("consumed", vec![]));
    assert_eq!((events(&mut asp), sent(&mut asp)), (moved(Active, Inactive), vec!["ASPAC"]));
    let mut asp = active_asp();
    assert_eq!(receive(&mut asp, down_ack()), ("consumed", vec![]));
    assert_eq!((events(&mut asp), sent(&mut asp)), (moved(Active, Down), vec!["ASPUP"]));
    assert_eq!(receive(&mut asp, active_ack(&[7])), ("refused", vec![6]), "in ASP-DOWN");
    assert_eq!(receive(&mut asp, inactive_ack()), ("refused", vec![6]), "in ASP-DOWN");
    // An ASPIA ACK for somebody else's AS.
    let mut asp = active_asp();
    let other = Message::AspInactiveAck(AspInactive { routing_contexts: contexts(&[8]), info: None });
    assert_eq!(receive(&mut asp, other), ("consumed", vec![]));
    assert_eq!(asp.state(), Active);
}

/// The user changed its mind while ASPAC was on the way: the SGP made it active, so it has to leave again.
#[test]
fn active_ack_after_a_change_of_mind() {
    let mut asp = asp(&[7]);
    asp.association_up(0);
    asp.want(0, Active);
    receive(&mut asp, up_ack());
    sent(&mut asp);
    asp.want(0, Inactive);
    assert_eq!((sent(&mut asp), asp.poll_timeout()), (vec![], None));
    receive(&mut asp, active_ack(&[7]));
    assert_eq!(sent(&mut asp), ["ASPIA"]);
}

/// 4.3.4.3: MUST consider itself inactive.
#[test]
fn override_by_another_asp() {
    let mut asp = active_asp();
    let notify = |status, routing_contexts: &[u32]| {
        Message::Notify(Notify { status, asp_id: Some(9), routing_contexts: contexts(routing_contexts), info: None })
    };
    for other in
        [notify(Status::AlternateAspActive, &[8]), notify(Status::AspFailure, &[7]), notify(Status::AsActive, &[7])]
    {
        assert_eq!(receive(&mut asp, other), ("deliver", vec![]));
        assert_eq!(asp.state(), Active);
    }
    assert_eq!(receive(&mut asp, notify(Status::AlternateAspActive, &[7])), ("deliver", vec![]));
    let mut expected = vec![AspPeerEvent::Overridden];
    expected.extend(moved(Active, Inactive));
    assert_eq!((events(&mut asp), sent(&mut asp)), (expected, vec![]), "does not fight");
    asp.want(0, Active);
    assert_eq!(sent(&mut asp), ["ASPAC"]);
    // A late copy does not take the request back.
    receive(&mut asp, notify(Status::AlternateAspActive, &[7]));
    assert_eq!((events(&mut asp), asp.pending()), (vec![], Some(Request::Active)));
}

/// 3.8.1
#[test]
fn refused_requests_are_not_repeated() {
    let mut asp = asp(&[7]);
    asp.association_up(0);
    asp.want(0, Active);
    sent(&mut asp);
    // About another message.
    let mut about_data = ErrorMessage::new(ErrorCode::InvalidRoutingContext);
    about_data.diagnostic = Some(Diagnostic(&[1, 0, 1, 1, 0, 0, 0, 8]));
    assert_eq!(receive(&mut asp, Message::Error(about_data)), ("deliver", vec![]));
    assert_eq!(asp.pending(), Some(Request::Up));
    let mut about_up = ErrorMessage::new(ErrorCode::InvalidAspIdentifier);
    about_up.diagnostic = Some(Diagnostic(&[1, 0, 3, 1]));
    receive(&mut asp, Message::Error(about_up));
    let refused = AspPeerEvent::Refused { request: Request::Up, code: ErrorCode::InvalidAspIdentifier };
    assert_eq!((events(&mut asp), asp.poll_timeout()), (vec![refused], None));
    asp.handle_timeout(100_000);
    assert_eq!(sent(&mut asp), [""; 0]);
    asp.want(0, Active);
    assert_eq!(sent(&mut asp), ["ASPUP"]);
    receive(&mut asp, up_ack());
    sent(&mut asp);
    events(&mut asp);
    // An ERR without diagnostic is taken to be about the request.
    receive(&mut asp, Message::Error(ErrorMessage::new(ErrorCode::NoConfiguredAs)));
    let refused = AspPeerEvent::Refused { request: Request::Active, code: ErrorCode::NoConfiguredAs };
    assert_eq!((events(&mut asp), asp.state()), (vec![refused], Inactive));
}

#[test]
fn lost_association() {
    let mut asp = active_asp();
    asp.association_lost();
    assert_eq!((events(&mut asp), sent(&mut asp), asp.poll_timeout()), (moved(Active, Down), vec![], None));
    asp.association_up(5);
    assert_eq!(sent(&mut asp), ["ASPUP"], "what was wanted still is");
    // 4.3.3: a restart is ASP-DOWN too.
    receive(&mut asp, up_ack());
    asp.association_up(6);
    assert_eq!(asp.state(), Down);
    assert_eq!(sent(&mut asp), ["ASPUP"]);
}

/// DATA may overtake ASPAC ACK on another stream; it must not be lost by that.
#[test]
fn data_rules() {
    let mut asp = asp(&[7]);
    asp.association_up(0);
    asp.want(0, Inactive);
    assert_eq!(receive(&mut asp, data(Some(7))), ("not active", vec![]));
    receive(&mut asp, up_ack());
    assert_eq!(receive(&mut asp, data(Some(7))), ("not active", vec![]));
    asp.want(0, Active);
    assert_eq!(receive(&mut asp, data(Some(7))), ("deliver", vec![]), "ASPAC is on the way");
    receive(&mut asp, active_ack(&[7]));
    assert_eq!(receive(&mut asp, data(Some(7))), ("deliver", vec![]));
    assert_eq!(receive(&mut asp, data(None)), ("deliver", vec![]));
    assert_eq!(receive(&mut asp, data(Some(8))), ("refused", vec![0x19]));
    assert_eq!(take(&mut asp, 0, 0, &bytes(&data(Some(7)))), ("refused", vec![9]));
    asp.want(0, Inactive);
    assert_eq!(receive(&mut asp, data(Some(7))), ("deliver", vec![]), "ASPIA is on the way");
    receive(&mut asp, inactive_ack());
    assert_eq!(receive(&mut asp, data(Some(7))), ("not active", vec![]));
}

#[test]
fn other_messages() {
    let mut asp = asp(&[7]);
    asp.association_up(0);
    let duna = || {
        Message::Duna(Ssnm {
            network_appearance: None,
            routing_contexts: contexts(&[]),
            affected: AffectedList::from_slice(&[AffectedPc::one(1)]).unwrap(),
            info: None,
        })
    };
    assert_eq!(receive(&mut asp, duna()), ("not active", vec![]));
    asp.want(0, Inactive);
    receive(&mut asp, up_ack());
    assert_eq!(receive(&mut asp, duna()), ("deliver", vec![]));
    assert_eq!(receive(&mut asp, Message::Beat(Beat { data: Some(b"x") })), ("deliver", vec![]));
    assert_eq!(receive(&mut asp, Message::BeatAck(Beat { data: Some(b"x") })), ("deliver", vec![]));
    // What only an ASP sends.
    for message in [
        Message::AspUp(AspUp::default()),
        Message::AspDown(AspDown::default()),
        Message::AspActive(AspActive::default()),
        Message::AspInactive(AspInactive::default()),
        Message::DeregReq(DeregReq { routing_contexts: contexts(&[1]) }),
    ] {
        assert_eq!(receive(&mut asp, message), ("refused", vec![6]));
    }
    assert_eq!(take(&mut asp, 0, 0, &[1, 0, 7, 7, 0, 0, 0, 8]), ("malformed", vec![3]));
    assert_eq!(take(&mut asp, 0, 0, &[1, 0, 0, 0, 0, 0, 0, 8]), ("malformed", vec![]));
}

/// Acknowledgements of one association do not count on the next.
#[test]
fn partial_acknowledgement_does_not_outlive_the_association() {
    let mut asp = asp(&[7, 8]);
    asp.association_up(0);
    asp.want(0, Active);
    receive(&mut asp, up_ack());
    receive(&mut asp, active_ack(&[7]));
    asp.association_up(0);
    receive(&mut asp, up_ack());
    receive(&mut asp, active_ack(&[8]));
    assert_eq!((asp.state(), asp.pending()), (Inactive, Some(Request::Active)));
    receive(&mut asp, active_ack(&[7]));
    assert_eq!(asp.state(), Active);
}

#[test]
fn wanting_again_sends_nothing_again() {
    let mut asp = asp(&[7]);
    asp.association_up(0);
    asp.want(0, Inactive);
    assert_eq!(sent(&mut asp), ["ASPUP"]);
    asp.want(100, Inactive);
    asp.want(100, Active);
    assert_eq!((sent(&mut asp), asp.poll_timeout()), (vec![], Some(T_ACK_MS)), "the same request is on its way");
}
