//! An SGP's answers, message by message, through octets. Names follow RFC 4666 sections.

use m3ua_lite::asp::{AspState, DropCause, Input, Replies};
use m3ua_lite::sgp::{AddAsError, AsMember, AspChange, AspIdRule, Sgp, SgpConfig};
use m3ua_lite::wire::*;

use crate::{bytes, hex};

fn contexts(list: &[u32]) -> RoutingContexts {
    RoutingContexts::from_slice(list).unwrap()
}

fn sgp_with(config: SgpConfig, routing_contexts: &[u32]) -> Sgp {
    let mut sgp = Sgp::new(config);
    for routing_context in routing_contexts {
        let member = AsMember {
            routing_context: *routing_context,
            network_appearance: Some(100 + routing_context),
            traffic_mode: Some(TrafficMode::Loadshare),
        };
        sgp.add_as(member).unwrap();
    }
    sgp
}

fn sgp() -> Sgp {
    sgp_with(SgpConfig::default(), &[7])
}

/// What an SGP did with one message.
#[derive(Debug)]
struct Done {
    /// "deliver", "consumed", "not active", "malformed", "refused".
    input: &'static str,
    /// Names of the answers, ERR with its code.
    replies: Vec<String>,
    changes: Vec<AspChange>,
    octets: Vec<Vec<u8>>,
}

fn take(sgp: &mut Sgp, stream: u16, octets: &[u8]) -> Done {
    let mut replies = Replies::new();
    let input = match sgp.handle(stream, octets, &mut replies) {
        Input::Deliver(_) => "deliver",
        Input::Consumed => "consumed",
        Input::Dropped(DropCause::NotActive) => "not active",
        Input::Dropped(DropCause::Malformed(_)) => "malformed",
        Input::Dropped(DropCause::Refused(_)) => "refused",
    };
    assert!(replies.iter().all(|reply| reply.stream == 0));
    let octets = replies.iter().map(|reply| bytes(&reply.message)).collect();
    let name = |message: &Message<'_>| {
        if let Message::Error(error) = message {
            return format!("ERR {:02x} {:?}", error.code.code(), &error.routing_contexts[..]);
        }
        message.message_type().name().to_owned()
    };
    let replies = replies.iter().map(|reply| name(&reply.message)).collect();
    Done { input, replies, changes: std::iter::from_fn(|| sgp.poll_change()).collect(), octets }
}

fn send(sgp: &mut Sgp, message: Message<'_>) -> Done {
    take(sgp, 1, &bytes(&message))
}

#[track_caller]
fn expect(done: Done, input: &str, replies: &[&str], states: &[(u32, AspState)]) {
    assert_eq!(done.input, input, "{done:?}");
    assert_eq!(done.replies, replies, "{done:?}");
    let changes: Vec<_> = done.changes.iter().map(|change| (change.routing_context, change.to)).collect();
    assert_eq!(changes, states, "{done:?}");
}

fn up() -> Message<'static> {
    Message::AspUp(AspUp { asp_id: Some(3), info: None })
}

fn down() -> Message<'static> {
    Message::AspDown(AspDown::default())
}

fn active(routing_contexts: &[u32], traffic_mode: Option<TrafficMode>) -> Message<'static> {
    Message::AspActive(AspActive { traffic_mode, routing_contexts: contexts(routing_contexts), info: None })
}

fn inactive(routing_contexts: &[u32]) -> Message<'static> {
    Message::AspInactive(AspInactive { routing_contexts: contexts(routing_contexts), info: None })
}

fn data(routing_context: Option<u32>, network_appearance: Option<u32>) -> Message<'static> {
    let protocol_data = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 0, user_data: &[1, 0, 1] };
    Message::Data(Data { network_appearance, routing_context, protocol_data, correlation_id: None })
}

use AspState::{Active, Down, Inactive};

/// 4.3.4.1
#[test]
fn asp_up() {
    let mut sgp = sgp();
    expect(send(&mut sgp, up()), "consumed", &["ASPUP ACK"], &[(7, Inactive)]);
    assert!(sgp.is_up());
    assert_eq!((sgp.asp_id(), sgp.state(7), sgp.state(8)), (Some(3), Inactive, Down));
    // Again, in ASP-INACTIVE: acknowledged, nothing else.
    expect(send(&mut sgp, up()), "consumed", &["ASPUP ACK"], &[]);
    send(&mut sgp, active(&[7], None));
    // In ASP-ACTIVE: acknowledged, an error, and ASP-INACTIVE.
    expect(send(&mut sgp, up()), "consumed", &["ASPUP ACK", "ERR 06 []"], &[(7, Inactive)]);
}

#[test]
fn asp_up_works_without_any_as() {
    let mut sgp = sgp_with(SgpConfig::default(), &[]);
    expect(send(&mut sgp, up()), "consumed", &["ASPUP ACK"], &[]);
    assert!(sgp.is_up());
    // 4.3.4.3 last item, 4.3.4.4 last item.
    expect(send(&mut sgp, active(&[], None)), "refused", &["ERR 19 []"], &[]);
    expect(send(&mut sgp, inactive(&[])), "refused", &["ERR 1a []"], &[]);
    expect(send(&mut sgp, data(None, None)), "refused", &["ERR 1a []"], &[]);
    // An AS that is added now finds the ASP up.
    sgp.add_as(AsMember { routing_context: 5, network_appearance: None, traffic_mode: None }).unwrap();
    assert_eq!(sgp.state(5), Inactive);
    assert_eq!(sgp.poll_change().map(|change| change.to), Some(Inactive));
}

/// 3.8.1, errors 0x0d, 0x0e, 0x0f
#[test]
fn asp_up_refused() {
    let none = || Message::AspUp(AspUp::default());
    let rule = |asp_id| sgp_with(SgpConfig { asp_id, ..SgpConfig::default() }, &[7]);
    expect(send(&mut rule(AspIdRule::Required), none()), "refused", &["ERR 0e []"], &[]);
    expect(send(&mut rule(AspIdRule::Required), up()), "consumed", &["ASPUP ACK"], &[(7, Inactive)]);
    expect(send(&mut rule(AspIdRule::Exactly(4)), none()), "refused", &["ERR 0e []"], &[]);
    expect(send(&mut rule(AspIdRule::Exactly(4)), up()), "refused", &["ERR 0f []"], &[]);
    expect(send(&mut rule(AspIdRule::Exactly(3)), up()), "consumed", &["ASPUP ACK"], &[(7, Inactive)]);
    let mut blocked = sgp_with(SgpConfig { blocked: true, ..SgpConfig::default() }, &[7]);
    expect(send(&mut blocked, up()), "refused", &["ERR 0d []"], &[]);
    assert!(!blocked.is_up());
}

/// 4.3.4.2
#[test]
fn asp_down() {
    let mut sgp = sgp();
    expect(send(&mut sgp, down()), "consumed", &["ASPDN ACK"], &[]);
    send(&mut sgp, up());
    expect(send(&mut sgp, down()), "consumed", &["ASPDN ACK"], &[(7, Down)]);
    send(&mut sgp, up());
    send(&mut sgp, active(&[7], None));
    let done = send(&mut sgp, down());
    assert!(!done.changes[0].failed, "left, not failed");
    assert_eq!(done.changes[0].from, Active);
    assert_eq!((sgp.is_up(), sgp.asp_id()), (false, None));
}

/// 4.3.3
#[test]
fn association_lost_is_a_failure() {
    let mut sgp = sgp();
    send(&mut sgp, up());
    send(&mut sgp, active(&[7], None));
    sgp.association_lost();
    let change = AspChange { routing_context: 7, from: Active, to: Down, failed: true };
    assert_eq!((sgp.poll_change(), sgp.poll_change()), (Some(change), None));
    // The next start is not a failure any more.
    assert!(!send(&mut sgp, up()).changes[0].failed);
}

/// 4.3.4.3
#[test]
fn asp_active() {
    let mut sgp = sgp_with(SgpConfig::default(), &[7, 8, 9]);
    expect(send(&mut sgp, active(&[7], None)), "refused", &["ERR 06 [7]"], &[]);
    send(&mut sgp, up());
    let loadshare = Some(TrafficMode::Loadshare);
    let done = send(&mut sgp, active(&[8, 7], loadshare));
    // The acknowledgement repeats mode and routing contexts.
    assert_eq!(done.octets[0], hex("01 00 04 03 0000001c  000b 0008 00000002  0006 000c 00000008 00000007"));
    expect(done, "consumed", &["ASPAC ACK"], &[(7, Active), (8, Active)]);
    // Again, in ASP-ACTIVE.
    expect(send(&mut sgp, active(&[7], None)), "consumed", &["ASPAC ACK"], &[]);
    // Without routing contexts: all; the acknowledgement has none either.
    let done = send(&mut sgp, active(&[], None));
    assert_eq!(done.octets[0], hex("01 00 04 03 00000008"));
    expect(done, "consumed", &["ASPAC ACK"], &[(9, Active)]);
}

#[test]
fn asp_active_partly_or_not_possible() {
    let mut sgp = sgp_with(SgpConfig::default(), &[7, 8]);
    send(&mut sgp, up());
    expect(send(&mut sgp, active(&[5, 7, 6], None)), "refused", &["ASPAC ACK", "ERR 1a [5, 6]"], &[(7, Active)]);
    expect(send(&mut sgp, active(&[5], None)), "refused", &["ERR 1a [5]"], &[]);
    // Another mode than the AS has.
    let r#override = Some(TrafficMode::Override);
    expect(send(&mut sgp, active(&[8], r#override)), "refused", &["ERR 05 [8]"], &[]);
    expect(send(&mut sgp, active(&[8, 5], r#override)), "refused", &["ERR 05 [8]", "ERR 1a [5]"], &[]);
    expect(send(&mut sgp, active(&[], r#override)), "refused", &["ERR 05 [7, 8]"], &[]);
    // A mode that does not exist.
    expect(take(&mut sgp, 0, &hex("01 00 04 01 00000010  000b 0008 00000009")), "malformed", &["ERR 05 []"], &[]);
    assert_eq!(sgp.state(8), Inactive);
    // An AS without a mode takes any, beside one that does not: the acknowledgement says which.
    sgp.add_as(AsMember { routing_context: 9, network_appearance: None, traffic_mode: None }).unwrap();
    let done = send(&mut sgp, active(&[], r#override));
    assert_eq!(done.octets[0], hex("01 00 04 03 00000018  000b 0008 00000001  0006 0008 00000009"));
    assert_eq!(done.replies, ["ASPAC ACK", "ERR 05 [7, 8]"]);
}

#[test]
fn asp_active_refused_by_rule() {
    let mut strict = sgp_with(SgpConfig { routing_context_required: true, ..SgpConfig::default() }, &[7]);
    send(&mut strict, up());
    expect(send(&mut strict, active(&[], None)), "refused", &["ERR 16 []"], &[]);
    expect(send(&mut strict, active(&[7], None)), "consumed", &["ASPAC ACK"], &[(7, Active)]);
    expect(send(&mut strict, data(None, None)), "refused", &["ERR 16 []"], &[]);
    expect(send(&mut strict, data(Some(7), None)), "deliver", &[], &[]);
}

/// 4.3.4.4
#[test]
fn asp_inactive() {
    let mut sgp = sgp_with(SgpConfig::default(), &[7, 8]);
    expect(send(&mut sgp, inactive(&[7])), "refused", &["ERR 06 [7]"], &[]);
    send(&mut sgp, up());
    expect(send(&mut sgp, inactive(&[7])), "consumed", &["ASPIA ACK"], &[]);
    send(&mut sgp, active(&[], None));
    expect(send(&mut sgp, inactive(&[7, 5])), "refused", &["ASPIA ACK", "ERR 19 [5]"], &[(7, Inactive)]);
    expect(send(&mut sgp, inactive(&[5])), "refused", &["ERR 19 [5]"], &[]);
    let done = send(&mut sgp, inactive(&[]));
    assert_eq!(done.octets[0], hex("01 00 04 04 00000008"));
    expect(done, "consumed", &["ASPIA ACK"], &[(8, Inactive)]);
}

/// 1.4.7, 3.3.1, 3.8.1
#[test]
fn data_rules() {
    let mut sgp = sgp_with(SgpConfig::default(), &[7]);
    // Before ASPUP and before ASPAC silently.
    expect(send(&mut sgp, data(Some(7), None)), "not active", &[], &[]);
    expect(send(&mut sgp, data(Some(99), None)), "not active", &[], &[]);
    send(&mut sgp, up());
    expect(send(&mut sgp, data(Some(7), None)), "not active", &[], &[]);
    send(&mut sgp, active(&[7], None));
    expect(send(&mut sgp, data(Some(7), None)), "deliver", &[], &[]);
    expect(send(&mut sgp, data(None, None)), "deliver", &[], &[]);
    expect(send(&mut sgp, data(Some(7), Some(107))), "deliver", &[], &[]);
    // On stream 0.
    expect(take(&mut sgp, 0, &bytes(&data(Some(7), None))), "refused", &["ERR 09 []"], &[]);
    expect(send(&mut sgp, data(Some(8), None)), "refused", &["ERR 19 [8]"], &[]);
    let done = send(&mut sgp, data(Some(7), Some(5)));
    let Ok(Message::Error(error)) = Message::decode(&done.octets[0]) else { panic!("ERR") };
    assert_eq!((error.code, error.network_appearance), (ErrorCode::InvalidNetworkAppearance, Some(5)));
    let Message::Data(plain) = data(None, None) else { panic!("DATA") };
    assert_eq!(sgp.as_of(&plain), Some(7));
    // With two ASs the Routing Context decides.
    sgp.add_as(AsMember { routing_context: 8, network_appearance: None, traffic_mode: None }).unwrap();
    expect(send(&mut sgp, data(None, None)), "refused", &["ERR 16 []"], &[(8, Inactive)]);
    expect(send(&mut sgp, data(Some(8), None)), "not active", &[], &[]);
    assert_eq!(sgp.as_of(&plain), None);
    // After ASPIA.
    send(&mut sgp, inactive(&[7]));
    expect(send(&mut sgp, data(Some(7), None)), "not active", &[], &[]);
}

/// 4.3.4.6: BEAT goes up in each state; its answer is the user's.
#[test]
fn beat() {
    let mut sgp = sgp();
    for message in [Message::Beat(Beat { data: Some(b"x") }), Message::BeatAck(Beat { data: None })] {
        expect(send(&mut sgp, message), "deliver", &[], &[]);
    }
}

/// 3.8.1: ERR is never answered with ERR, whatever is wrong with it.
#[test]
fn err_is_not_answered() {
    let mut sgp = sgp();
    expect(send(&mut sgp, Message::Error(ErrorMessage::new(ErrorCode::ProtocolError))), "deliver", &[], &[]);
    expect(take(&mut sgp, 0, &hex("01 00 00 00 00000008")), "malformed", &[], &[]);
}

/// 4.5
#[test]
fn ssnm() {
    let mut sgp = sgp_with(SgpConfig::default(), &[7, 8]);
    let ssnm = |routing_contexts: &[u32], network_appearance| Ssnm {
        network_appearance,
        routing_contexts: contexts(routing_contexts),
        affected: AffectedList::from_slice(&[AffectedPc::one(1)]).unwrap(),
        info: None,
    };
    let daud = |routing_contexts: &[u32], appearance| Message::Daud(ssnm(routing_contexts, appearance));
    expect(send(&mut sgp, daud(&[7], None)), "refused", &["ERR 06 [7]"], &[]);
    send(&mut sgp, up());
    send(&mut sgp, active(&[7], None));
    expect(send(&mut sgp, daud(&[7], None)), "deliver", &[], &[]);
    expect(send(&mut sgp, daud(&[], Some(108))), "deliver", &[], &[]);
    expect(send(&mut sgp, daud(&[7, 9], None)), "refused", &["ERR 19 [9]"], &[]);
    expect(send(&mut sgp, daud(&[7], Some(108))), "refused", &["ERR 15 []"], &[]);
    let scon = Scon {
        network_appearance: None,
        routing_contexts: contexts(&[]),
        affected: AffectedList::from_slice(&[AffectedPc::one(1)]).unwrap(),
        concerned: Some(2),
        congestion_level: None,
        info: None,
    };
    expect(send(&mut sgp, Message::Scon(scon)), "deliver", &[], &[]);
    // What only an SGP sends.
    for message in [Message::Duna(ssnm(&[], None)), Message::Dava(ssnm(&[], None)), Message::Drst(ssnm(&[], None))] {
        expect(send(&mut sgp, message), "refused", &["ERR 06 []"], &[]);
    }
}

#[test]
fn messages_of_the_wrong_direction_are_unexpected() {
    let messages = [
        Message::Notify(Notify { status: Status::AsActive, asp_id: None, routing_contexts: contexts(&[]), info: None }),
        Message::AspUpAck(AspUp::default()),
        Message::AspDownAck(AspDown::default()),
        Message::AspActiveAck(AspActive::default()),
        Message::AspInactiveAck(AspInactive::default()),
        Message::DeregRsp(DeregRsp {
            results: [DeregistrationResult { routing_context: 1, status: DeregistrationStatus::Success }]
                .into_iter()
                .collect(),
        }),
    ];
    let mut sgp = sgp();
    for message in messages {
        expect(send(&mut sgp, message), "refused", &["ERR 06 []"], &[]);
    }
}

/// 4.4
#[test]
fn registration() {
    let part = [KeyPart { dpc: 1, service_indicators: &[], opcs: PointCodes::new(&[]) }];
    let key = [RoutingKey {
        local_id: 1,
        routing_context: None,
        traffic_mode: None,
        network_appearance: None,
        parts: KeyParts::new(&part),
    }];
    let request = bytes(&Message::RegReq(RegReq { keys: RoutingKeys::new(&key) }));
    expect(take(&mut sgp(), 0, &request), "refused", &["ERR 03 []"], &[]);
    let mut open = sgp_with(SgpConfig { registration: true, ..SgpConfig::default() }, &[]);
    expect(take(&mut open, 0, &request), "refused", &["ERR 06 []"], &[]);
    send(&mut open, up());
    expect(take(&mut open, 0, &request), "deliver", &[], &[]);
    open.add_as(AsMember { routing_context: 1, network_appearance: None, traffic_mode: None }).unwrap();
    expect(send(&mut open, active(&[1], None)), "consumed", &["ASPAC ACK"], &[(1, Active)]);
    expect(send(&mut open, Message::DeregReq(DeregReq { routing_contexts: contexts(&[1]) })), "deliver", &[], &[]);
    assert_eq!((open.remove_as(1), open.remove_as(1)), (Some(Active), None));
}

#[test]
fn members_are_bounded() {
    let mut sgp: Sgp<2> = Sgp::new(SgpConfig::default());
    let member = |routing_context| AsMember { routing_context, network_appearance: None, traffic_mode: None };
    assert_eq!(sgp.add_as(member(1)), Ok(()));
    assert_eq!(sgp.add_as(member(1)), Err(AddAsError::Exists));
    assert_eq!(sgp.add_as(member(2)), Ok(()));
    assert_eq!(sgp.add_as(member(3)), Err(AddAsError::Full));
}
