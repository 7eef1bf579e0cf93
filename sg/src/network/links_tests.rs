//! Linksets against scripted STPs, and the supervision of whoever is on the network side.

use super::tests::{Bench, ONE};
use super::*;
use crate::msu::Msu;
use m3ua_lite::session::Heartbeat;
use m3ua_lite::wire::{AffectedList, AspActive, AspUp, Beat, ErrorCode, ErrorMessage, RoutingContexts, one_context};
use sctp::Undelivered;
use std::net::SocketAddr;

const FIRST: AssocId = AssocId(100);
const SECOND: AssocId = AssocId(101);
const OTHER: AssocId = AssocId(102);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Linkset "a" with two links for point codes 8 to 15, and "b" with one link as its alternate; peers that come have 1.
fn bench(change: impl FnOnce(&mut config::Network)) -> Bench {
    let link = |last: u8| config::Link { addresses: vec![[127, 0, 0, last].into()], port: 2905 };
    let route = |priority| config::Route { dpc: 8, mask: 3, priority };
    let set = |name: &str, links, priority| config::LinkSet {
        name: name.to_owned(),
        links,
        routes: vec![route(priority)],
        routing_context: Some(7),
        ..config::LinkSet::default()
    };
    let mut bench = Bench::new(|config| {
        config.linksets = vec![set("a", vec![link(3), link(4)], 0), set("b", vec![link(5)], 1)];
        change(config);
    });
    bench.on(|network, cx| {
        network.set_serving(cx, true);
        network.handle_timeout(cx, None);
    });
    bench
}

fn up(bench: &mut Bench, assoc: AssocId) {
    let address = [SocketAddr::from(([127, 0, 0, 3], 9899))];
    assert!(bench.on(|network, cx| network.link_up(cx, assoc, &address, (5, 5))));
    assert_eq!(bench.sent(), [(assoc.0, 0, "ASPUP".to_owned())]);
    bench.message(assoc, 0, &Message::AspUpAck(AspUp::default()));
    assert_eq!(bench.sent(), [(assoc.0, 0, "ASPAC".to_owned())]);
    let ack = AspActive { traffic_mode: None, routing_contexts: one_context(7), info: None };
    bench.message(assoc, 0, &Message::AspActiveAck(ack));
}

fn ssnm(pc: u32, mask: u8) -> Ssnm<'static> {
    Ssnm {
        network_appearance: None,
        routing_contexts: RoutingContexts::new(),
        affected: AffectedList::from_slice(&[AffectedPc::new(mask, pc)]).unwrap(),
        info: None,
    }
}

fn wait(bench: &mut Bench, time: Duration) {
    bench.now += time;
    bench.on(|network, cx| network.handle_timeout(cx, None));
}

#[test]
fn links_are_opened_and_share_the_sls_among_them() {
    let mut bench = bench(|_| {});
    assert_eq!(bench.wire.connects.len(), 3);
    for assoc in [FIRST, SECOND, OTHER] {
        up(&mut bench, assoc);
    }
    wait(&mut bench, ms(100));
    for sls in 0..4 {
        bench.output_to(9, sls, b"x");
    }
    assert_eq!(bench.sent().iter().map(|sent| sent.0).collect::<Vec<_>>(), [100, 101, 100, 101]);
    assert_eq!(bench.network.poll_reachability(), Some((None, true, AffectedPc::new(3, 8))), "the pools hear it once");
    assert_eq!(bench.network.poll_reachability(), None);
}

#[test]
fn a_lost_link_moves_its_sls_alone_and_gets_them_back_when_the_others_have_delivered() {
    let mut bench = bench(|_| {});
    up(&mut bench, FIRST);
    // A second link joins: its SLSs were carried by the first, and rest a little.
    up(&mut bench, SECOND);
    bench.output_to(9, 1, b"one");
    bench.output_to(9, 0, b"zero");
    bench.output_to(9, 1, b"two");
    assert_eq!(bench.sent(), [(100, 1, "zero".to_owned())]);
    wait(&mut bench, ms(100));
    let data = |assoc: u64, text: &str| (assoc, 1 + u16::from(text != "zero"), text.to_owned());
    assert_eq!(bench.sent(), [data(101, "one"), data(101, "two")], "in their order");

    // What the second was not sent goes by the first.
    let user_data = bytes::Bytes::from_static(b"unsent");
    let msu = Msu { opc: 2, dpc: 9, si: 5, ni: 2, mp: 0, sls: 1, user_data, id: CorrelationId::NONE, network: None };
    let payload = msu::encode(&Message::Data(m3ua_lite::wire::Data {
        network_appearance: None,
        routing_context: None,
        protocol_data: msu.protocol_data(),
        correlation_id: None,
    }));
    let of = |transmitted| Undelivered { payload: payload.clone().unwrap(), transmitted, ..undelivered() };
    bench.on(|network, cx| network.closed(cx, SECOND, vec![of(true), of(false)]));
    assert_eq!(bench.sent(), [data(100, "unsent")]);
    assert_eq!(bench.network.counters().undelivered, 1, "what left may have arrived, and is not sent twice");
    bench.output_to(9, 3, b"x");
    bench.output_to(9, 2, b"x");
    assert!(bench.sent().iter().all(|sent| sent.0 == 100));
    wait(&mut bench, ms(200));
    assert_eq!(bench.wire.connects.len(), 4, "it is opened again");
}

fn undelivered() -> Undelivered {
    Undelivered { stream: 1, ppid: ppid::M3UA, context: 0, payload: bytes::Bytes::new(), transmitted: false }
}

#[test]
fn the_alternate_linkset_takes_over_and_what_waits_goes_first() {
    let mut bench = bench(|_| {});
    bench.output_to(9, 0, b"early");
    assert_eq!(bench.sent(), []);
    up(&mut bench, OTHER);
    assert_eq!(bench.sent(), [(102, 1, "early".to_owned())]);
    up(&mut bench, FIRST);
    bench.output_to(9, 0, b"a");
    assert_eq!(bench.sent()[0].0, 100, "the lower priority number goes first");
    bench.on(|network, cx| network.closed(cx, FIRST, Vec::new()));
    bench.output_to(9, 0, b"b");
    assert_eq!(bench.sent()[0].0, 102);
    bench.on(|network, cx| network.closed(cx, OTHER, Vec::new()));
    let told: Vec<_> = std::iter::from_fn(|| bench.network.poll_reachability()).collect();
    assert_eq!(told, [true, false].map(|available| (None, available, AffectedPc::new(3, 8))));
    bench.output_to(9, 0, b"c");
    wait(&mut bench, ms(100));
    assert_eq!(bench.network.counters().discarded.of(Discard::NoPeer), 1, "T(r) is over");
    bench.output_to(77, 0, b"d");
    assert_eq!(bench.network.counters().discarded.of(Discard::NoRoute), 1);
}

#[test]
fn a_destination_that_the_stps_cannot_reach_is_avoided_told_and_discarded_for() {
    let mut bench = bench(|_| {});
    up(&mut bench, FIRST);
    up(&mut bench, OTHER);
    while bench.network.poll_reachability().is_some() {}
    bench.message(FIRST, 0, &Message::Drst(ssnm(9, 0)));
    bench.output_to(9, 0, b"x");
    assert_eq!(bench.sent()[0].0, 102, "a restricted way is the second choice");
    bench.message(OTHER, 0, &Message::Duna(ssnm(8, 3)));
    bench.output_to(9, 0, b"x");
    assert_eq!(bench.sent()[0].0, 100, "and better than none");
    assert_eq!(bench.network.poll_reachability(), None);
    bench.message(FIRST, 0, &Message::Duna(ssnm(9, 0)));
    assert_eq!(bench.network.poll_reachability(), Some((None, false, AffectedPc::one(9))));
    bench.output_to(9, 0, b"x");
    bench.output_to(10, 0, b"x");
    assert_eq!(bench.sent(), [(100, 1, "x".to_owned())], "10 is still reached");
    assert_eq!(bench.network.counters().discarded.of(Discard::DestinationUnavailable), 1);
    bench.message(FIRST, 0, &Message::Dava(ssnm(9, 0)));
    assert_eq!(bench.network.poll_reachability(), Some((None, true, AffectedPc::one(9))));
    let view = serde_json::to_value(bench.network.view()).unwrap();
    assert_eq!(view["linksets"][1]["unavailable"][0], "8/3");
    // A new association knows nothing of it.
    bench.on(|network, cx| network.closed(cx, OTHER, Vec::new()));
    assert!(bench.network.sets[2].destinations.is_empty());
}

#[test]
fn an_asp_without_a_pool_behind_it_takes_no_traffic() {
    let mut bench = bench(|_| {});
    bench.on(|network, cx| network.set_serving(cx, false));
    let address = [SocketAddr::from(([127, 0, 0, 3], 9899))];
    bench.on(|network, cx| network.link_up(cx, FIRST, &address, (5, 5)));
    bench.message(FIRST, 0, &Message::AspUpAck(AspUp::default()));
    assert_eq!(bench.sent().len(), 1, "ASPUP, and no ASPAC");
    bench.on(|network, cx| network.set_serving(cx, true));
    assert_eq!(bench.sent(), [(100, 0, "ASPAC".to_owned())]);
    let ack = AspActive { traffic_mode: None, routing_contexts: one_context(7), info: None };
    bench.message(FIRST, 0, &Message::AspActiveAck(ack));
    bench.on(|network, cx| network.set_serving(cx, false));
    assert_eq!(bench.sent(), [(100, 0, "ASPIA".to_owned())]);
}

#[test]
fn a_refused_request_is_tried_again_later() {
    let mut bench = bench(|_| {});
    let address = [SocketAddr::from(([127, 0, 0, 3], 9899))];
    bench.on(|network, cx| network.link_up(cx, FIRST, &address, (5, 5)));
    bench.sent();
    bench.message(FIRST, 0, &Message::Error(ErrorMessage::new(ErrorCode::ManagementBlocking)));
    wait(&mut bench, ms(4_900));
    assert!(bench.sent().iter().all(|sent| sent.0 != 100));
    wait(&mut bench, ms(101));
    assert!(bench.sent().contains(&(100, 0, "ASPUP".to_owned())));
    // One that has one stream only cannot carry DATA.
    assert!(bench.on(|network, cx| network.link_up(cx, SECOND, &address, (1, 1))));
    assert_eq!(bench.wire.aborted, [SECOND]);
}

#[test]
fn who_answers_beats_and_falls_silent_is_given_up() {
    let mut bench = bench(|config| (config.beat_ms, config.dead_ms) = (100, 400));
    up(&mut bench, FIRST);
    up(&mut bench, SECOND);
    let answer = |bench: &mut Bench, assoc: AssocId| {
        for (to, _, bytes) in std::mem::take(&mut bench.wire.sent) {
            if let Ok(Message::Beat(beat)) = Message::decode(&bytes)
                && to == assoc
            {
                assert!(matches!(beat.data.map(Heartbeat::decode), Some(Heartbeat::Liveness(_))));
                let data = beat.data.map(<[u8]>::to_vec);
                bench.message(assoc, 0, &Message::BeatAck(Beat { data: data.as_deref() }));
            }
        }
    };
    for _ in 0..20 {
        wait(&mut bench, ms(50));
        answer(&mut bench, FIRST);
    }
    assert_eq!(bench.wire.aborted, [], "the second never answered one: it may not know BEAT");
    for _ in 0..6 {
        wait(&mut bench, ms(50));
    }
    assert_eq!(bench.wire.aborted, []);
    for _ in 0..4 {
        wait(&mut bench, ms(50));
    }
    assert_eq!((bench.wire.aborted.clone(), bench.network.counters().given_up), (vec![FIRST], 1));
}

#[test]
fn a_peer_without_aspup_or_with_floods_is_put_in_its_place() {
    let mut bench = bench(|config| (config.asp_up_ms, config.beats_per_s, config.audits_per_s) = (500, 3, 4));
    bench.up(ONE, [127, 0, 0, 9]);
    wait(&mut bench, ms(499));
    assert_eq!(bench.wire.aborted, []);
    wait(&mut bench, ms(1));
    assert_eq!(bench.wire.aborted, [ONE]);
    bench.on(|network, cx| network.closed(cx, ONE, Vec::new()));
    bench.active(ONE);
    for _ in 0..10 {
        bench.message(ONE, 0, &Message::Beat(Beat { data: None }));
    }
    assert_eq!(bench.sent().len(), 3);
    let audits = (0..10).filter(|_| bench.message(ONE, 0, &Message::Daud(ssnm(2, 0))).is_some()).count();
    assert_eq!(audits, 4);
    assert_eq!(bench.network.counters().floods_suppressed, 7 + 6);
}

#[test]
fn a_linkset_leads_to_its_own_network_alone() {
    let mut bench = bench(|config| {
        config.linksets[0].network_appearance = Some(3);
        config.linksets[1].network_appearance = Some(7);
    });
    for assoc in [FIRST, SECOND, OTHER] {
        up(&mut bench, assoc);
    }
    wait(&mut bench, ms(100));
    while bench.network.poll_reachability().is_some() {}
    let of = |network, sls| Msu {
        opc: 2,
        dpc: 9,
        si: 5,
        ni: 2,
        mp: 0,
        sls,
        user_data: bytes::Bytes::from_static(b"x"),
        id: CorrelationId::NONE,
        network,
    };
    for (network, by) in [(Some(3), 100), (Some(7), 102), (None, 100)] {
        bench.on(|side, cx| side.send(cx, of(network, 0)));
        assert_eq!(bench.sent()[0].0, by, "{network:?}");
    }
    bench.on(|side, cx| side.send(cx, of(Some(4), 0)));
    assert_eq!(bench.network.counters().discarded.of(Discard::NoRoute), 1);
    // What its STP says is of its network.
    bench.message(OTHER, 0, &Message::Duna(ssnm(9, 0)));
    assert_eq!(bench.network.poll_reachability(), Some((Some(7), false, AffectedPc::one(9))));
    let audited = [None, Some(3), Some(7), Some(4)].map(|network| bench.network.audited(network, AffectedPc::one(9)));
    assert_eq!(audited, [Some(true), Some(true), Some(false), None]);
}
