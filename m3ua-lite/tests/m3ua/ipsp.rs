//! Two IPSPs, single exchange: the table, each request in each state, both at once, restarts, refusals.

use m3ua_lite::asp::{Answers, AspState, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer, AspPeerEvent};
use m3ua_lite::ipsp::{IpspEvent, IpspRole, ipsp_step};
use m3ua_lite::wire::*;

use crate::bytes;

use AspState::{Active, Down, Inactive};

/// RFC 4666 sections 4.3.4.1.2, 4.3.4.3.1, 4.3.4.4.1: requests and acknowledgements move one state.
#[test]
fn ipsp_table() {
    let (none, unexpected) = (Answers::empty(), Answers::ERR_UNEXPECTED);
    let table = [
        (Down, IpspEvent::AspUp, Inactive, Answers::UP_ACK),
        (Down, IpspEvent::AspDown, Down, Answers::DOWN_ACK),
        (Down, IpspEvent::AspActive, Down, unexpected),
        (Down, IpspEvent::AspInactive, Down, unexpected),
        (Down, IpspEvent::UpAck, Inactive, none),
        (Down, IpspEvent::DownAck, Down, none),
        (Down, IpspEvent::ActiveAck, Down, unexpected),
        (Down, IpspEvent::InactiveAck, Down, unexpected),
        (Down, IpspEvent::Alternate, Down, none),
        (Down, IpspEvent::AssociationLost, Down, none),
        (Inactive, IpspEvent::AspUp, Inactive, Answers::UP_ACK),
        (Inactive, IpspEvent::AspDown, Down, Answers::DOWN_ACK),
        (Inactive, IpspEvent::AspActive, Active, Answers::ACTIVE_ACK),
        (Inactive, IpspEvent::AspInactive, Inactive, Answers::INACTIVE_ACK),
        (Inactive, IpspEvent::UpAck, Inactive, none),
        (Inactive, IpspEvent::DownAck, Down, none),
        (Inactive, IpspEvent::ActiveAck, Active, none),
        (Inactive, IpspEvent::InactiveAck, Inactive, none),
        (Inactive, IpspEvent::Alternate, Inactive, none),
        (Inactive, IpspEvent::AssociationLost, Down, none),
        (Active, IpspEvent::AspUp, Inactive, Answers::UP_ACK | unexpected),
        (Active, IpspEvent::AspDown, Down, Answers::DOWN_ACK),
        (Active, IpspEvent::AspActive, Active, Answers::ACTIVE_ACK),
        (Active, IpspEvent::AspInactive, Inactive, Answers::INACTIVE_ACK),
        (Active, IpspEvent::UpAck, Inactive, unexpected),
        (Active, IpspEvent::DownAck, Down, none),
        (Active, IpspEvent::ActiveAck, Active, none),
        (Active, IpspEvent::InactiveAck, Inactive, none),
        (Active, IpspEvent::Alternate, Inactive, none),
        (Active, IpspEvent::AssociationLost, Down, none),
    ];
    let pairs: Vec<_> =
        AspState::ALL.into_iter().flat_map(|state| IpspEvent::ALL.map(|event| (state, event))).collect();
    assert_eq!(table.map(|(state, event, _, _)| (state, event)).to_vec(), pairs, "a row for each pair, in order");
    for (state, event, next, answers) in table {
        assert_eq!(ipsp_step(state, event), (next, answers), "{} {event:?}", state.name());
    }
}

fn ipsp(id: u32, role: IpspRole) -> AspPeer {
    let routing_contexts = one_context(7);
    let traffic_mode = Some(TrafficMode::Loadshare);
    let mut end =
        AspPeer::new_ipsp(AspConfig { asp_id: Some(id), routing_contexts, traffic_mode, t_ack_ms: 2_000 }, role);
    end.association_up(0);
    end.want(0, Active);
    end
}

/// What one message is answered with: names, and codes of ERRs.
fn receive(end: &mut AspPeer, stream: u16, message: &Message<'_>) -> Vec<String> {
    let octets = bytes(message);
    let mut replies = Replies::new();
    let _input = end.handle(0, stream, &octets, &mut replies);
    replies.iter().map(|reply| text(&reply.message)).collect()
}

fn text(message: &Message<'_>) -> String {
    if let Message::Error(error) = message {
        return format!("ERR {:?}", error.code);
    }
    message.message_type().name().to_owned()
}

fn sent(end: &mut AspPeer) -> Vec<String> {
    std::iter::from_fn(|| end.poll_transmit()).map(|out| text(&out.message)).collect()
}

fn up() -> Message<'static> {
    Message::AspUp(AspUp { asp_id: Some(9), info: None })
}

fn active(routing_contexts: &[u32]) -> Message<'static> {
    let routing_contexts = RoutingContexts::from_slice(routing_contexts).unwrap();
    Message::AspActive(AspActive { traffic_mode: None, routing_contexts, info: None })
}

fn inactive() -> Message<'static> {
    Message::AspInactive(AspInactive::default())
}

fn down() -> Message<'static> {
    Message::AspDown(AspDown::default())
}

fn data() -> Message<'static> {
    let protocol_data = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 0, user_data: &[1, 0, 1] };
    Message::Data(Data { network_appearance: None, routing_context: Some(7), protocol_data, correlation_id: None })
}

fn delivers(end: &mut AspPeer, stream: u16) -> bool {
    let octets = bytes(&data());
    matches!(end.handle(0, stream, &octets, &mut Replies::new()), Input::Deliver(_))
}

/// Octets on their way from one of two ends, in order.
type Way = std::collections::VecDeque<Vec<u8>>;

/// Two ends and what is on its way between them.
struct Pair {
    ends: [AspPeer; 2],
    ways: [Way; 2],
    errors: usize,
}

impl Pair {
    fn new(roles: [IpspRole; 2]) -> Self {
        let [a, b] = roles;
        Self { ends: [ipsp(1, a), ipsp(2, b)], ways: [Way::new(), Way::new()], errors: 0 }
    }

    /// Both send what they have, then both take all that came, until nothing is left.
    fn settle(&mut self) {
        for _ in 0..20 {
            for at in 0..2 {
                self.ways[at]
                    .extend(std::iter::from_fn(|| self.ends[at].poll_transmit()).map(|out| bytes(&out.message)));
            }
            for at in 0..2 {
                for octets in std::mem::take(&mut self.ways[1 - at]) {
                    let mut replies = Replies::new();
                    let input = self.ends[at].handle(0, 0, &octets, &mut replies);
                    self.errors += usize::from(matches!(input, Input::Deliver(Message::Error(_))));
                    self.ways[at].extend(replies.iter().map(|reply| bytes(&reply.message)));
                    self.ways[at]
                        .extend(std::iter::from_fn(|| self.ends[at].poll_transmit()).map(|out| bytes(&out.message)));
                }
            }
        }
        assert!(self.ways.iter().all(Way::is_empty), "they ask each other for ever");
    }

    fn states(&self) -> [AspState; 2] {
        self.ends.each_ref().map(AspPeer::state)
    }
}

#[test]
fn one_exchange_serves_both_directions_whoever_begins() {
    use IpspRole::{Answers, Leads};
    for roles in [[Leads, Answers], [Answers, Leads], [Leads, Leads]] {
        let mut pair = Pair::new(roles);
        pair.settle();
        assert_eq!((pair.states(), pair.errors), ([Active; 2], 0), "{roles:?}");
        assert_eq!(pair.ends.each_ref().map(AspPeer::peer_id), [Some(2), Some(1)], "ASPUP and its ACK have it");
        assert!(pair.ends.iter_mut().all(|end| delivers(end, 1) && !delivers(end, 0)));
        assert!(pair.ends.iter().all(|end| end.poll_timeout().is_none()));
    }
    let mut pair = Pair::new([Answers, Answers]);
    pair.settle();
    assert_eq!(pair.states(), [Down; 2], "nobody begins");
}

#[test]
fn either_end_leaves_and_the_other_does_not_pull_it_back() {
    for leaver in 0..2 {
        for to in [Inactive, Down] {
            let mut pair = Pair::new([IpspRole::Leads, IpspRole::Answers]);
            pair.settle();
            pair.ends[leaver].want(0, to);
            pair.settle();
            assert_eq!(pair.states(), [to; 2], "{leaver}");
            // The other one asks again after a while, and is refused while it is not wanted.
            pair.ends[1 - leaver].want(0, Active);
            pair.settle();
            assert_eq!(pair.states(), [to; 2], "{leaver}");
            pair.ends[leaver].want(0, Active);
            pair.settle();
            assert_eq!(pair.states(), [Active; 2], "{leaver} came back");
        }
    }
}

#[test]
fn a_restart_of_either_end_is_seen_by_the_other() {
    for restarted in 0..2 {
        let mut pair = Pair::new([IpspRole::Leads, IpspRole::Leads]);
        pair.settle();
        // The M3UA layer alone, on the same association.
        pair.ends[restarted] = ipsp(5, IpspRole::Leads);
        pair.settle();
        assert_eq!(pair.states(), [Active; 2]);
        assert_eq!(pair.ends[1 - restarted].peer_id(), Some(5));
        // The association, on both ends.
        pair.ends.iter_mut().for_each(AspPeer::association_lost);
        assert_eq!(pair.states(), [Down; 2]);
        pair.ends.iter_mut().for_each(|end| end.association_up(0));
        pair.settle();
        assert_eq!(pair.states(), [Active; 2]);
    }
}

#[test]
fn t_ack_repeats_what_is_not_answered() {
    let mut end = ipsp(1, IpspRole::Leads);
    assert_eq!(sent(&mut end), ["ASPUP"]);
    end.handle_timeout(1_999);
    assert_eq!(sent(&mut end), Vec::<String>::new());
    end.handle_timeout(2_000);
    assert_eq!((sent(&mut end), end.resends()), (vec!["ASPUP".to_owned()], 1));
    // The other's ASPUP does for the acknowledgement; a late one of those does no harm.
    assert_eq!(receive(&mut end, 0, &up()), ["ASPUP ACK"]);
    assert_eq!(sent(&mut end), ["ASPAC"]);
    assert_eq!(receive(&mut end, 0, &Message::AspUpAck(AspUp::default())), Vec::<String>::new());
    assert!(delivers(&mut end, 1), "DATA may overtake ASPAC ACK");
    assert_eq!(end.poll_timeout(), Some(2_000));
}

#[test]
fn one_that_answers_asks_itself_when_its_user_asks_again() {
    let mut end = ipsp(1, IpspRole::Answers);
    assert_eq!(receive(&mut end, 0, &up()), ["ASPUP ACK"]);
    assert_eq!(sent(&mut end), Vec::<String>::new());
    // The other end leaves ASPAC to us (the example of section 5.6.1).
    end.want(5_000, Active);
    assert_eq!(sent(&mut end), ["ASPAC"]);
}

#[test]
fn requests_are_refused_by_the_rules() {
    let mut end = ipsp(1, IpspRole::Answers);
    assert_eq!(receive(&mut end, 0, &active(&[])), ["ERR UnexpectedMessage"]);
    assert_eq!(receive(&mut end, 0, &inactive()), ["ERR UnexpectedMessage"]);
    assert_eq!(receive(&mut end, 0, &down()), ["ASPDN ACK"]);
    assert!(!delivers(&mut end, 1));
    end.want(0, Down);
    assert_eq!(receive(&mut end, 0, &up()), ["ERR ManagementBlocking"]);
    assert_eq!(end.state(), Down);
    end.want(0, Inactive);
    assert_eq!(receive(&mut end, 0, &up()), ["ASPUP ACK"]);
    assert_eq!(receive(&mut end, 0, &active(&[7])), ["ERR ManagementBlocking"]);
    end.want(0, Active);
    sent(&mut end);
    // Double exchange: the other end's own routing context.
    assert_eq!(receive(&mut end, 0, &active(&[8])), ["ERR NoConfiguredAs"]);
    let other_mode =
        AspActive { traffic_mode: Some(TrafficMode::Override), routing_contexts: one_context(7), info: None };
    assert_eq!(receive(&mut end, 0, &Message::AspActive(other_mode)), ["ERR UnsupportedTrafficMode"]);
    assert_eq!(end.state(), Inactive);
    assert_eq!(receive(&mut end, 0, &active(&[7])), ["ASPAC ACK"]);
    let foreign = AspInactive { routing_contexts: one_context(8), info: None };
    assert_eq!(receive(&mut end, 0, &Message::AspInactive(foreign)), ["ERR InvalidRoutingContext"]);
    assert_eq!(end.state(), Active);
    assert_eq!(receive(&mut end, 0, &active(&[])), ["ASPAC ACK"], "in each state but down");
    assert_eq!(receive(&mut end, 0, &up()), ["ASPUP ACK", "ERR UnexpectedMessage"]);
    assert_eq!(end.state(), Inactive);
    let dereg = Message::DeregReq(DeregReq { routing_contexts: one_context(7) });
    assert_eq!(receive(&mut end, 0, &dereg), ["ERR UnsupportedMessageClass"]);
}

#[test]
fn who_was_refused_rests_but_still_takes_what_the_other_asks() {
    let mut end = ipsp(1, IpspRole::Leads);
    receive(&mut end, 0, &Message::AspUpAck(AspUp::default()));
    assert_eq!(sent(&mut end), ["ASPAC"]);
    receive(&mut end, 0, &Message::Error(ErrorMessage::new(ErrorCode::ManagementBlocking)));
    let refused = |event: &AspPeerEvent| matches!(event, AspPeerEvent::Refused { .. });
    assert!(std::iter::from_fn(|| end.poll_event()).any(|event| refused(&event)));
    assert_eq!((sent(&mut end), end.poll_timeout()), (Vec::new(), None));
    assert_eq!(receive(&mut end, 0, &active(&[7])), ["ASPAC ACK"]);
    assert_eq!(end.state(), Active);
}
