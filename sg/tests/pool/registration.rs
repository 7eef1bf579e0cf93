//! Routing keys that ASPs register (RFC 4666 section 4.4), through the whole gateway, while the calls of others go on.

use super::errors::{FIRST, OTHERS, aspac, aspup, names, undisturbed};
use super::*;
use m3ua_lite::wire::{
    AffectedPc, AspDown, AspInactive, Data, DeregReq, DeregistrationStatus, ErrorCode, KeyPart, KeyParts, Message,
    PointCodes, ProtocolData, RegReq, RegistrationStatus, RoutingKey, RoutingKeys, TrafficMode, one_context,
};

/// May register; may not; a controller that may; a peer of the network.
const MAY: u8 = FIRST;
const ALSO: u8 = FIRST + 1;
const STRANGER: u8 = FIRST + 2;
const CONTROLLER: u8 = FIRST + 3;
const STP: u8 = 20;

fn lab(seed: u64, change: impl FnOnce(&mut sg::config::As)) -> Lab {
    let mut lab = Lab::new(seed, |config| {
        let mut server = sg::config::As {
            pool: "Others".into(),
            routing_context: OTHERS,
            dpc: vec![3],
            si: vec![5],
            asps: vec![ip(MAY), ip(ALSO), ip(STRANGER)],
            register_from: vec![ip(MAY), ip(ALSO), ip(CONTROLLER)],
            register_dpc: vec![NETWORK, POOL, 3, 12, 13],
            register_entries_max: 4,
            transactions: false,
            ..sg::config::As::default()
        };
        change(&mut server);
        config.application_servers.push(server);
    });
    for number in 11..=13 {
        lab.controller(number);
    }
    lab.network(24);
    lab.world.run_until(1_000);
    lab
}

fn octets(message: &Message<'_>) -> Vec<u8> {
    let mut octets = vec![0; message.encoded_len().unwrap()];
    message.encode(&mut octets).unwrap();
    octets
}

/// An IAM to this destination.
fn data(dpc: u32) -> Vec<u8> {
    let protocol_data = ProtocolData { opc: NETWORK, dpc, si: 5, ni: 2, mp: 0, sls: 0, user_data: &[33, 0, 1, 0] };
    let data = Data { network_appearance: None, routing_context: None, protocol_data, correlation_id: None };
    octets(&Message::Data(data))
}

/// A key with this DPC, these service indicators and OPCs.
fn part<'a>(dpc: u32, service_indicators: &'a [u8], opcs: &'a [AffectedPc]) -> KeyPart<'a> {
    KeyPart { dpc, service_indicators, opcs: PointCodes::new(opcs) }
}

fn key<'a>(parts: &'a [KeyPart<'a>]) -> RoutingKey<'a> {
    RoutingKey {
        local_id: 77,
        routing_context: None,
        traffic_mode: None,
        network_appearance: None,
        parts: KeyParts::new(parts),
    }
}

impl Lab {
    /// The answer to a REG REQ.
    fn register(&mut self, last: u8, key: RoutingKey<'_>) -> (RegistrationStatus, u32) {
        let heard = self.say(last, 0, &octets(&Message::RegReq(RegReq { keys: RoutingKeys::new(&[key]) })));
        let results = heard.iter().find_map(|octets| match Message::decode(octets).unwrap() {
            Message::RegRsp(answer) => Some(answer.results),
            _ => None,
        });
        let results = results.unwrap_or_else(|| panic!("{:?}", names(&heard)));
        assert_eq!((results.len(), results[0].local_id), (1, 77));
        (results[0].status, results[0].routing_context)
    }

    fn deregister(&mut self, last: u8, routing_context: u32) -> DeregistrationStatus {
        let request = Message::DeregReq(DeregReq { routing_contexts: one_context(routing_context) });
        let heard = self.say(last, 0, &octets(&request));
        let Ok(Message::DeregRsp(answer)) = Message::decode(&heard[0]) else { panic!("{:?}", names(&heard)) };
        assert_eq!((answer.results.len(), answer.results[0].routing_context), (1, routing_context));
        answer.results[0].status
    }

    /// Up and active.
    fn active(&mut self, last: u8, routing_context: u32) {
        self.say(last, 0, &aspup(last.into()));
        let heard = self.say(last, 0, &aspac(routing_context));
        assert!(names(&heard).contains(&"ASPAC ACK"), "{:?}", names(&heard));
    }

    /// The STP sends to this destination; who of the ordinary ones got it, and what the STP heard.
    fn to(&mut self, dpc: u32) -> (Vec<u8>, Vec<&'static str>) {
        for last in [MAY, ALSO] {
            self.raw(last, |raw, _| raw.heard.clear());
        }
        let heard = self.say(STP, 1, &data(dpc));
        let got = |lab: &mut Self, last| lab.raw(last, |raw, _| names(&raw.heard).contains(&"DATA"));
        let got = [MAY, ALSO].into_iter().filter(|last| got(self, *last)).collect();
        (got, names(&heard))
    }

    fn keys(&mut self) -> usize {
        self.state()["routing_keys"].as_array().unwrap().len()
    }

    /// What the STP was told since it last spoke.
    fn told(&mut self) -> Vec<&'static str> {
        self.pause(20);
        let heard = self.raw(STP, |raw, _| std::mem::take(&mut raw.heard));
        names(&heard)
    }
}

/// Success (0) and every refusal but Unknown (1), for which there is no reason.
fn every_status(last: u8, lab: &mut Lab) {
    use RegistrationStatus as S;
    let masked = [AffectedPc::new(3, 8)];
    let many = [1, 2, 3, 4].map(AffectedPc::one);
    let isup = |dpc| [part(dpc, &[5], &[])];
    let (own, twelve) = (isup(3), isup(12));
    for (parts, status) in [
        (isup(NETWORK), S::InvalidDpc),
        (isup(0), S::InvalidDpc),
        ([part(12, &[0], &[])], S::InvalidRoutingKey),
        ([part(12, &[16], &[])], S::InvalidRoutingKey),
        (isup(99), S::PermissionDenied),
        (isup(POOL), S::CannotSupportUniqueRouting),
        ([part(3, &[3, 5], &[])], S::CannotSupportUniqueRouting),
        ([part(12, &[5], &many)], S::InsufficientResources),
        ([part(12, &[5], &masked)], S::UnsupportedField),
    ] {
        assert_eq!(lab.register(last, key(&parts)), (status, 0), "{parts:?}");
    }
    for (key, status) in [
        (RoutingKey { network_appearance: Some(9), ..key(&twelve) }, S::InvalidNetworkAppearance),
        (RoutingKey { traffic_mode: Some(TrafficMode::Broadcast), ..key(&twelve) }, S::UnsupportedTrafficMode),
        (RoutingKey { traffic_mode: Some(TrafficMode::Override), ..key(&twelve) }, S::UnsupportedTrafficMode),
        (RoutingKey { routing_context: Some(OTHERS), ..key(&twelve) }, S::ChangeRefused),
        (RoutingKey { routing_context: Some(4_711), ..key(&twelve) }, S::ChangeRefused),
    ] {
        assert_eq!(lab.register(last, key), (status, 0), "{key:?}");
    }
    assert_eq!(lab.register(last, key(&own)), (S::AlreadyRegistered, OTHERS), "by configuration");
    assert_eq!(lab.register(last, key(&twelve)), (S::Success, OTHERS));
    assert_eq!(lab.register(last, key(&twelve)), (S::AlreadyRegistered, OTHERS), "by itself");
    // Alike, and not the same.
    let narrower = [part(12, &[5], &many[..1])];
    assert_eq!(lab.register(last, key(&narrower)), (S::CannotSupportUniqueRouting, 0));
    let beside = [part(12, &[3], &[]), part(13, &[], &[])];
    assert_eq!(lab.register(last, key(&beside)), (S::Success, OTHERS), "several parts");
    assert_eq!(lab.keys(), 2);

    use DeregistrationStatus as D;
    assert_eq!(lab.deregister(last, 4_711), D::InvalidRoutingContext);
    assert_eq!(lab.deregister(last, 1), D::NotRegistered, "of another application server");
    lab.active(last, OTHERS);
    assert_eq!((lab.keys(), lab.state()["counters"]["keys_registered"].as_u64()), (2, Some(2)));
    assert_eq!(lab.deregister(last, OTHERS), D::AspActive);
    let inactive = Message::AspInactive(AspInactive { routing_contexts: one_context(OTHERS), info: None });
    lab.say(last, 0, &octets(&inactive));
    assert_eq!(lab.deregister(last, OTHERS), D::Success);
    assert_eq!(lab.deregister(last, OTHERS), D::NotRegistered);
    assert_eq!(lab.keys(), 0);
}

#[test]
fn every_status_for_an_ordinary_asp() {
    let mut lab = lab(1, |_| {});
    for last in [MAY, STRANGER] {
        lab.comes(last);
        let early = Message::DeregReq(DeregReq { routing_contexts: one_context(OTHERS) });
        let heard = lab.say(last, 0, &octets(&early));
        let Ok(Message::Error(error)) = Message::decode(&heard[0]) else { panic!("{:?}", names(&heard)) };
        assert_eq!(error.code, ErrorCode::UnexpectedMessage, "not before ASPUP");
        lab.say(last, 0, &aspup(last.into()));
    }
    every_status(MAY, &mut lab);
    let twelve = [part(12, &[5], &[])];
    assert_eq!(lab.register(STRANGER, key(&twelve)), (RegistrationStatus::PermissionDenied, 0));
    assert_eq!(lab.deregister(STRANGER, OTHERS), DeregistrationStatus::PermissionDenied);
    undisturbed(&mut lab);
}

#[test]
fn every_status_for_a_controller() {
    let mut lab = lab(2, |_| {});
    lab.registers(CONTROLLER);
    lab.say(CONTROLLER, 0, &aspup(CONTROLLER.into()));
    every_status(CONTROLLER, &mut lab);
    undisturbed(&mut lab);
}

#[test]
fn only_what_is_configured_where_no_destination_may_be_registered() {
    let mut lab = lab(3, |server| server.register_dpc.clear());
    lab.comes(MAY);
    lab.say(MAY, 0, &aspup(1));
    let (twelve, own) = ([part(12, &[5], &[])], [part(3, &[5], &[])]);
    assert_eq!(lab.register(MAY, key(&twelve)), (RegistrationStatus::NotProvisioned, 0));
    assert_eq!(lab.register(MAY, key(&own)), (RegistrationStatus::AlreadyRegistered, OTHERS));
    lab.pause(2_000);
    undisturbed(&mut lab);
}

#[test]
fn a_registered_key_leads_there_as_long_as_somebody_holds_it() {
    let mut lab = lab(4, |_| {});
    lab.peer(|peer| peer.quiet = true);
    lab.pause(200);
    lab.comes(STP);
    lab.active(STP, ROUTING_CONTEXT);
    for last in [MAY, ALSO] {
        lab.comes(last);
        lab.say(last, 0, &aspup(last.into()));
    }
    assert_eq!(lab.to(12), (vec![], vec!["DUNA"]), "nobody has it");
    let twelve = [part(12, &[5], &[])];
    assert_eq!(lab.register(MAY, key(&twelve)).0, RegistrationStatus::Success);
    assert_eq!(lab.register(ALSO, key(&twelve)).0, RegistrationStatus::Success, "the same key, one more ASP");
    assert_eq!(lab.keys(), 1);
    lab.active(MAY, OTHERS);
    assert_eq!(lab.told(), ["DAVA"]);
    assert_eq!(lab.to(12), (vec![MAY], vec![]));
    assert_eq!(lab.to(13), (vec![], vec!["DUNA"]));

    // ASPUP of one that is active, and ASPDN, end what it registered; the other one's stays.
    let heard = lab.say(MAY, 0, &aspup(1));
    assert!(names(&heard).contains(&"ASPUP ACK"), "{:?}", names(&heard));
    assert_eq!(lab.register(MAY, key(&twelve)).0, RegistrationStatus::Success, "no more registered by it");
    lab.say(MAY, 0, &octets(&Message::AspDown(AspDown::default())));
    lab.active(MAY, OTHERS);
    assert_eq!(lab.keys(), 1);
    assert_eq!(lab.register(MAY, key(&twelve)).0, RegistrationStatus::Success, "nor now");
    lab.say(MAY, 0, &octets(&Message::AspDown(AspDown::default())));
    lab.active(MAY, OTHERS);
    assert_eq!(lab.to(12).0, [MAY], "all ASPs of the application server serve it");

    // The last one that held it ends: its destination is gone, and the configured one is not.
    lab.told();
    lab.world.kill(ip(ALSO));
    lab.pause(2_000);
    assert_eq!((lab.keys(), lab.told()), (0, vec!["DUNA"]));
    let (got, heard) = lab.to(12);
    assert_eq!((got, heard), (vec![], vec!["DUNA"]));
    assert_eq!(lab.to(3).0, [MAY]);
    lab.world.kill(ip(STP));
    lab.pause(2_000);
    lab.peer(|peer| peer.quiet = false);
    lab.pause(1_000);
    undisturbed(&mut lab);
}

#[test]
fn a_flood_of_requests_is_counted() {
    let mut lab = lab(5, |_| {});
    lab.comes(MAY);
    lab.say(MAY, 0, &aspup(1));
    let parts = [part(99, &[5], &[])];
    let keys = [key(&parts); 8];
    let request = octets(&Message::RegReq(RegReq { keys: RoutingKeys::new(&keys) }));
    let heard: usize = (0..40).map(|_| lab.say(MAY, 0, &request).len()).sum();
    assert!((12..=13).contains(&heard), "100 keys a second: {heard}");
    assert!(lab.counter(false, "floods_suppressed") >= 27);
    assert_eq!(lab.state()["counters"]["keys_refused"].as_u64(), Some(heard as u64 * 8));
    undisturbed(&mut lab);
}

/// What an operator is answered.
fn command(lab: &mut Lab, name: &str, body: &str) -> String {
    selection::ask(lab, enrp::daemon::AdminKind::Command { name: name.to_owned(), body: body.to_owned() })
}

#[test]
fn an_operator_adds_keys_application_servers_and_addresses() {
    const LATER: u8 = FIRST + 9;
    let mut lab = lab(6, |_| {});
    lab.peer(|peer| peer.quiet = true);
    lab.pause(200);
    for last in [STP, MAY, ALSO] {
        lab.comes(last);
    }
    lab.active(STP, ROUTING_CONTEXT);
    lab.active(MAY, OTHERS);
    lab.active(ALSO, OTHERS);
    assert_eq!(lab.to(40), (vec![], vec!["DUNA"]));

    let forty = r#"{"routing_context": 2, "dpc": [40, 41], "si": [5]}"#;
    assert!(command(&mut lab, "add-key", forty).contains("key added"));
    assert_eq!(lab.told(), ["DAVA"]);
    assert_eq!(lab.to(40).0.len(), 1, "it goes to one of the pool");
    for (name, body, why) in [
        ("add-key", forty, "could fit a key that is there"),
        ("add-key", r#"{"routing_context": 9, "dpc": [42]}"#, "there are: 1, 2"),
        ("add-key", r#"{"routing_context": 2, "dpc": []}"#, "at least one"),
        ("add-key", r#"{"routing_context": 2, "dpc": [42], "si": [2]}"#, "MTP's own"),
        ("add-key", r#"{"routing_context": 2, "dpc": [16777216]}"#, "24 bits"),
        ("remove-key", r#"{"routing_context": 2, "dpc": [40], "si": [5]}"#, "given whole"),
        ("add-as", r#"{"pool": "Others", "routing_context": 9, "dpc": [50]}"#, "another [[as]] has this pool"),
        (
            "add-as",
            r#"{"pool": "Third", "routing_context": 2, "dpc": [50]}"#,
            "another [[as]] has this Routing Context",
        ),
        ("add-as", r#"{"pool": "Third", "routing_context": 9}"#, "at least one destination point code"),
        (
            "add-as",
            r#"{"pool": "Third", "routing_context": 9, "dpc": [40]}"#,
            "registered or added for routing context 2",
        ),
        ("add-as", r#"{"pool": "Third", "colour": 9}"#, "unknown field"),
        ("add-peer", r#"{"address": "127.0.0.9"}"#, "any address"),
        ("add-peer", r#"{"address": "127.0.0.100", "routing_context": 2}"#, "already"),
    ] {
        let answer = command(&mut lab, name, body);
        assert!(answer.contains(why), "{name} {body}: {answer}");
    }
    assert!(command(&mut lab, "remove-key", forty).contains("key removed"));
    assert_eq!(lab.told(), ["DUNA"]);
    assert_eq!(lab.to(41), (vec![], vec!["DUNA"]));

    // An application server, and who serves it.
    assert!(command(&mut lab, "add-as", r#"{"pool": "Third", "routing_context": 9, "dpc": [50]}"#).contains("Third"));
    assert_eq!(lab.told(), ["DAVA"]);
    let address = ip(LATER);
    let peer = format!(r#"{{"address": "{address}", "routing_context": 9}}"#);
    assert!(command(&mut lab, "add-peer", &peer).contains("ordinary ASP added"));
    lab.comes(LATER);
    lab.say(LATER, 0, &aspup(1));
    let active =
        Message::AspActive(m3ua_lite::wire::AspActive { routing_contexts: one_context(9), ..Default::default() });
    let heard = lab.say(LATER, 0, &octets(&active));
    assert!(names(&heard).contains(&"ASPAC ACK"), "{:?}", names(&heard));
    assert_eq!(lab.to(50), (vec![], vec![]));
    let heard = lab.raw(LATER, |raw, _| names(&raw.heard).contains(&"DATA"));
    assert!(heard, "the new one serves the new pool");
    assert_eq!(lab.state()["pools"].as_array().unwrap().len(), 3);

    lab.world.kill(ip(STP));
    lab.pause(2_000);
    lab.peer(|peer| peer.quiet = false);
    lab.pause(1_000);
    undisturbed(&mut lab);
}

#[test]
fn a_peer_may_come_once_its_address_is_added() {
    let mut lab = Lab::new(7, |config| config.network.allowed_addresses = vec![PEER]);
    for number in 11..=13 {
        lab.controller(number);
    }
    lab.network(24);
    lab.world.run_until(2_000);
    lab.comes(STP);
    assert_eq!(lab.raw(STP, |raw, _| raw.ended), 1);
    let body = format!(r#"{{"address": "{}"}}"#, ip(STP));
    assert!(command(&mut lab, "add-peer", &body).contains("peer added"));
    assert!(command(&mut lab, "add-peer", &body).contains("may come already"));
    lab.raw(STP, |raw, now| raw.comes_again(now, GATEWAY));
    lab.pause(20);
    assert_eq!(names(&lab.say(STP, 0, &aspup(7)))[..1], ["ASPUP ACK"]);
    undisturbed(&mut lab);
}

#[test]
fn what_is_added_to_both_of_two_gateways_is_mirrored() {
    let mut lab = pair::pair(8, 12);
    lab.world.run_until(1_000);
    lab.peer(|peer| peer.quiet = true);
    lab.pause(200);
    let body = r#"{"pool": "Third", "routing_context": 9, "dpc": [50], "t_r_ms": 60000}"#;
    for at in [pair::SECOND, GATEWAY] {
        let kind = enrp::daemon::AdminKind::Command { name: "add-as".to_owned(), body: body.to_owned() };
        assert!(selection::ask_at(&mut lab, at, kind).contains("application server added"));
    }
    lab.comes(STP);
    lab.active(STP, ROUTING_CONTEXT);
    lab.say(STP, 1, &data(50));
    lab.world.kill(ip(STP));
    let mirrored = lab.mate_state(pair::SECOND);
    assert_eq!((&mirrored["messages"], &mirrored["connected"]), (&1.into(), &true.into()), "{mirrored}");
    lab.pause(2_000);
    lab.kill_gateway(GATEWAY);
    lab.pause(500);
    assert_eq!(lab.role(pair::SECOND), "lead");
    let state = selection::ask_at(&mut lab, pair::SECOND, enrp::daemon::AdminKind::State);
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["pools"][1]["queued_messages"], 1, "it waits for a controller of the new pool still");
}
