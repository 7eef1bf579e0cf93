//! Where the name server is, and what it yields: the gateway's own one and a stand-alone one (draft section 2.6.3), asked by a
//! pool user of its own.

use crate::peer::{POOL, ROUTING_CONTEXT};
use crate::user::User;
use crate::world::Machine;
use crate::{GATEWAY, Lab, PEER, ip, ms};
use m3ua_lite::wire::{AffectedList, AffectedPc, Message, Scon, Ssnm, one_context};
use std::net::IpAddr;

pub(crate) const NAME_SERVER: IpAddr = ip(3);
const USER: IpAddr = ip(201);

/// One outside the gateways: none's end is its end.
pub(crate) fn name_server(lab: &mut Lab) {
    let stack = sctp::Stack::new(sctp::Config::default(), vec![NAME_SERVER], lab.world.seed(), lab.world.now);
    let server = enrp::Server::new(enrp::ServerConfig::default(), asap::wire::ServerId(3), 3);
    let host = enrp::Host::new(server, enrp::Ports::default(), crate::world::UDP_PORT);
    let node = enrp::node::Node::new("enrp", Box::new(stack), host);
    lab.world.add(NAME_SERVER, Machine::NameServer(Box::new(node)));
}

/// A name server outside that speaks ENRP, with these peers.
fn peer_of(lab: &mut Lab, peers: Vec<enrp::PeerAddress>) {
    let stack = sctp::Stack::new(sctp::Config::default(), vec![NAME_SERVER], lab.world.seed(), lab.world.now);
    let own = enrp::host::enrp_transport(vec![NAME_SERVER], enrp::ENRP_PORT);
    let mut server = enrp::Server::new(enrp::ServerConfig::default(), asap::wire::ServerId(3), 3)
        .with_peers_at(enrp::PeersConfig::default(), own);
    server.set_peers(lab.world.now, peers);
    let ports = enrp::Ports { enrp: Some(enrp::ENRP_PORT), ..enrp::Ports::default() };
    let host = enrp::Host::new(server, ports, crate::world::UDP_PORT);
    let node = enrp::node::Node::new("enrp", Box::new(stack), host);
    lab.world.add(NAME_SERVER, Machine::NameServer(Box::new(node)));
}

fn user(lab: &mut Lab, server: IpAddr) {
    let seed = lab.world.seed();
    let user = User::new(lab.world.now, USER, server, seed);
    lab.world.add(USER, Machine::User(Box::new(user)));
}

/// What a resolution yields now.
fn resolved(lab: &mut Lab) -> Vec<u32> {
    lab.world.with(USER, |machine, now| match machine {
        Machine::User(user) => user.ask(now, "GatewayPool"),
        other => panic!("{} is no user", other.kind()),
    });
    let end = lab.world.elapsed_ms() + 5;
    lab.world.run_until(end);
    match lab.world.machine(USER) {
        Machine::User(user) => user.answer.clone().expect("answered"),
        other => panic!("{} is no user", other.kind()),
    }
}

/// X2, and I1 and I2 over SCTP: with `embedded = false` everything works as with the server in the gateway.
#[test]
fn with_a_stand_alone_name_server_a_killed_controllers_calls_go_on_elsewhere() {
    let mut lab = Lab::new(7, |config| {
        config.enrp.embedded = false;
        config.enrp.servers = vec![asap::ServerAddress::new(NAME_SERVER)];
    });
    name_server(&mut lab);
    lab.name_server = NAME_SERVER;
    for number in 11..=13 {
        lab.controller(number);
    }
    user(&mut lab, NAME_SERVER);
    lab.network(48);
    lab.world.run_until(1_500);
    assert_eq!(resolved(&mut lab), [11, 12, 13]);
    lab.kill(12);
    lab.world.run_until(3_000);
    assert_eq!(resolved(&mut lab), [11, 13]);
    // One that comes now is found too, though the gateway never asks again: it is told.
    lab.controller(14);
    lab.world.run_until(4_000);
    assert_eq!(resolved(&mut lab), [11, 13, 14]);
    assert_eq!(lab.gateway().active_controllers(), 3);
    let verdict = lab.finish(2_000);
    assert_eq!((verdict.discarded, verdict.given_up.len()), (0, 1), "{verdict:?}");
    assert!(verdict.restored > 0 && verdict.longest < ms(100), "{verdict:?}");
}

/// Name spaces: controllers that are registered in two scopes, a gateway that serves the pool of the other one. What is registered
/// under the same handle in its own is another pool.
#[test]
fn a_pool_of_another_scope_is_resolved_there() {
    let mut lab = Lab::new(11, |config| {
        let servers = vec![asap::ServerAddress::new(NAME_SERVER)];
        config.scope = vec![sg::config::Scope { name: "carrier-b".into(), servers }];
        config.application_servers[0].pool = "GatewayPool@carrier-b".into();
    });
    name_server(&mut lab);
    for number in 11..=13 {
        lab.controller_with(number, |config| {
            config.pool.more_handles = vec!["Voice".into()];
            if number != 13 {
                let servers = vec![asap::ServerAddress::new(NAME_SERVER)];
                let handles = vec!["GatewayPool".into()];
                config.scope =
                    vec![gwc_pe::config::Scope { name: "carrier-b".into(), servers, handles, ..Default::default() }];
            }
        });
    }
    user(&mut lab, NAME_SERVER);
    lab.network(48);
    lab.world.run_until(1_500);
    assert_eq!(resolved(&mut lab), [11, 12], "in the scope");
    let own = lab.gateway().name_server().unwrap().handlespace();
    for handle in ["GatewayPool", "Voice"] {
        assert_eq!(own.pool(&handle.into()).unwrap().len(), 3, "{handle} in the gateway's own");
    }
    assert_eq!(lab.gateway().active_controllers(), 2);
    lab.kill(11);
    lab.world.run_until(3_000);
    assert_eq!(lab.gateway().active_controllers(), 1);
    let verdict = lab.finish(2_000);
    assert_eq!((verdict.discarded, verdict.given_up.len()), (0, 1), "{verdict:?}");
}

/// The embedded server has a peer outside, which knows the gateway's pool, and takes its elements over when the gateway dies.
#[test]
fn the_embedded_server_has_peers() {
    let mut lab = Lab::new(13, |config| config.enrp.enrp_port = enrp::ENRP_PORT);
    let mentor = enrp::PeerAddress { addresses: vec![GATEWAY], port: enrp::ENRP_PORT };
    peer_of(&mut lab, vec![mentor]);
    for number in 11..=13 {
        lab.controller(number);
    }
    lab.world.run_until(1_500);
    assert_eq!(lab.gateway().name_server().unwrap().peers_snapshot().len(), 1);
    user(&mut lab, NAME_SERVER);
    lab.world.run_until(1_600);
    assert_eq!(resolved(&mut lab), [11, 12, 13], "the peer knows them");
    lab.world.kill(GATEWAY);
    lab.world.run_until(5_000);
    assert_eq!(resolved(&mut lab), [11, 12, 13], "taken over");
    let peer = match lab.world.machine(NAME_SERVER) {
        Machine::NameServer(node) => node,
        other => panic!("{} is no name server", other.kind()),
    };
    let pool = "GatewayPool".into();
    let homes = peer.server().handlespace().members(&pool).map(|element| element.registered().home);
    assert_eq!(homes.collect::<Vec<_>>(), [peer.server().id(); 3]);
    assert_eq!(peer.server().counters().keep_alive_misses, 0, "they let the new home in");
    assert!(peer.server().counters().keep_alive_acks >= 3);
}

/// The traffic does not need the name server once the pool is known (the pool user's cache).
#[test]
fn the_name_servers_death_stops_no_call() {
    let mut lab = Lab::new(8, |config| {
        config.enrp.embedded = false;
        config.enrp.servers = vec![asap::ServerAddress::new(NAME_SERVER)];
    });
    name_server(&mut lab);
    lab.name_server = NAME_SERVER;
    for number in 11..=13 {
        lab.controller(number);
    }
    lab.network(48);
    lab.world.run_until(1_500);
    lab.world.kill(NAME_SERVER);
    lab.world.run_until(2_500);
    lab.kill(13);
    lab.world.run_until(4_000);
    let verdict = lab.finish(2_000);
    assert_eq!((verdict.discarded, verdict.given_up.len()), (0, 1), "{verdict:?}");
    assert!(verdict.restored > 0 && verdict.longest < ms(100), "{verdict:?}");
}

/// RFC 4666 section 4.5.3: the gateway answers for its pool, and says what it does not know.
#[test]
fn an_audit_is_answered() {
    let mut lab = crate::three(12, 24);
    lab.world.run_until(1_500);
    for (point_code, answer) in [(POOL, "DAVA"), (99, "ERR")] {
        let before = lab.peer(|peer| peer.ways.heard.iter().filter(|name| **name == answer).count());
        let audit = Ssnm {
            network_appearance: None,
            routing_contexts: one_context(ROUTING_CONTEXT),
            affected: AffectedList::from_slice(&[AffectedPc::new(0, point_code)]).unwrap(),
            info: None,
        };
        lab.world.with(PEER, |machine, now| match machine {
            Machine::Peer(peer) => peer.send(now, 0, &Message::Daud(audit)),
            other => panic!("{} is no peer", other.kind()),
        });
        let next = lab.world.elapsed_ms() + 10;
        lab.world.run_until(next);
        let after = lab.peer(|peer| peer.ways.heard.iter().filter(|name| **name == answer).count());
        assert_eq!(after, before + 1, "{answer}");
    }
}

/// RFC 4666 section 3.4.4: what a peer of the network says is congested, the controllers that send there hear.
#[test]
fn congestion_of_the_network_reaches_the_controllers() {
    let mut lab = crate::three(12, 24);
    lab.world.run_until(1_500);
    let heard = |lab: &Lab| -> Vec<u64> {
        let controllers = lab.world.machines().filter_map(|machine| match machine {
            Machine::Controller(node) => Some(node.session_counters().network_management),
            _ => None,
        });
        controllers.collect()
    };
    let before = heard(&lab);
    let scon = Scon {
        network_appearance: None,
        routing_contexts: one_context(ROUTING_CONTEXT),
        affected: AffectedList::from_slice(&[AffectedPc::new(0, 99)]).unwrap(),
        concerned: None,
        congestion_level: Some(1),
        info: None,
    };
    lab.world.with(PEER, |machine, now| match machine {
        Machine::Peer(peer) => peer.send(now, 0, &Message::Scon(scon)),
        other => panic!("{} is no peer", other.kind()),
    });
    let next = lab.world.elapsed_ms() + 10;
    lab.world.run_until(next);
    assert_eq!(heard(&lab), before.iter().map(|count| count + 1).collect::<Vec<_>>());
}

/// N5: dead, hung (out of the gateway's reach before the name server misses a keep-alive), back again, left.
#[test]
fn resolution_yields_no_controller_that_cannot_serve() {
    let mut lab = crate::three(9, 48);
    user(&mut lab, GATEWAY);
    lab.world.run_until(1_500);
    assert_eq!(resolved(&mut lab), [11, 12, 13]);
    lab.kill(11);
    lab.world.run_until(1_600);
    assert_eq!(resolved(&mut lab), [12, 13], "dead");
    lab.world.hang(ip(12));
    lab.world.run_until(1_600 + 400);
    assert_eq!(resolved(&mut lab), [13], "unreachable from the gateway, whatever its registration says");
    lab.world.wake(ip(12));
    lab.world.run_until(3_500);
    assert_eq!(resolved(&mut lab), [12, 13], "back");
    lab.stop(13);
    lab.world.run_until(3_600);
    assert_eq!(resolved(&mut lab), [12], "left");
    let verdict = lab.finish(2_000);
    assert_eq!(verdict.discarded, 0, "{verdict:?}");
}

/// X1 to the letter: nobody is asked before there is something to send, and the first messages wait for the answer. The policy
/// then shares the groups out.
#[test]
fn the_first_message_triggers_resolution() {
    let mut lab = Lab::new(7, |config| config.application_servers[0].resolve_at_start = false);
    for number in 11..=13 {
        lab.controller(number);
    }
    lab.world.run_until(400);
    assert_eq!(lab.gateway().active_controllers(), 0, "nobody asked yet");
    lab.network(96);
    lab.world.run_until(2_500);
    assert_eq!(lab.gateway().active_controllers(), 3);
    let verdict = lab.finish(2_000);
    assert_eq!((verdict.discarded, verdict.groups_given), (0, 24), "{verdict:?}");
    let applied = lab.world.machines().filter_map(|machine| match machine {
        Machine::Controller(node) => Some(String::from_utf8_lossy(node.record().memory()).contains("\nI,")),
        _ => None,
    });
    assert_eq!(applied.collect::<Vec<_>>(), [true; 3]);
}
