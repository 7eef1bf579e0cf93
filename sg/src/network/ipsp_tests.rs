//! Linksets with IPSPs: two network sides that face each other, and scripted ones.

use super::tests::Bench;
use super::*;
use m3ua_lite::wire::{AffectedList, AspActive, AspDown, AspUp, RoutingContexts, one_context};
use std::net::SocketAddr;

const ASSOC: AssocId = AssocId(100);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A linkset with one IPSP at 127.0.0.3 for point code 9.
fn bench(passive: bool, asp_id: u32) -> Bench {
    let mut bench = Bench::new(|config| {
        config.asp_up_ms = 500;
        config.linksets = vec![config::LinkSet {
            name: "ipsp".to_owned(),
            mode: config::LinkMode::Ipsp,
            passive,
            links: vec![config::Link { addresses: vec![[127, 0, 0, 3].into()], port: 2905 }],
            routes: vec![config::Route { dpc: 9, mask: 0, priority: 0 }],
            routing_context: Some(7),
            asp_id: Some(asp_id),
            ..config::LinkSet::default()
        }];
    });
    bench.on(|network, cx| {
        network.set_serving(cx, true);
        network.handle_timeout(cx, None);
    });
    bench
}

fn opened(bench: &mut Bench) {
    let address = [SocketAddr::from(([127, 0, 0, 3], 9899))];
    assert!(bench.on(|network, cx| network.link_up(cx, ASSOC, &address, (5, 5))));
}

fn wait(bench: &mut Bench, time: Duration) {
    bench.now += time;
    bench.on(|network, cx| network.handle_timeout(cx, None));
}

fn state(bench: &Bench) -> String {
    let view = serde_json::to_value(bench.network.view()).unwrap();
    view["peers"][0]["state"].as_str().unwrap().to_owned()
}

/// Carries what each sent to the other, until both are quiet. What they delivered.
fn settle(pair: &mut [Bench; 2]) -> [Vec<String>; 2] {
    let mut delivered = [Vec::new(), Vec::new()];
    while pair.iter().any(|bench| !bench.wire.sent.is_empty()) {
        for from in 0..2 {
            for (_, how, bytes) in std::mem::take(&mut pair[from].wire.sent) {
                delivered[1 - from].extend(pair[1 - from].bytes(ASSOC, how.stream, &bytes));
            }
        }
    }
    delivered
}

/// Two gateways as IPSPs of each other, associated.
fn pair() -> [Bench; 2] {
    let mut pair = [bench(false, 1), bench(true, 2)];
    assert_eq!(pair.each_ref().map(|bench| bench.wire.connects.len()), [1, 0], "one opens");
    opened(&mut pair[0]);
    pair[1].up(ASSOC, [127, 0, 0, 3]);
    pair
}

#[test]
fn two_gateways_are_ipsps_of_each_other() {
    let mut pair = pair();
    settle(&mut pair);
    let views = pair.each_ref().map(|bench| serde_json::to_value(bench.network.view()).unwrap());
    assert_eq!(views.each_ref().map(|view| &view["linksets"][0]["mode"]), ["ipsp", "ipsp passive"]);
    assert_eq!(views.each_ref().map(|view| view["peers"][0]["asp_id"].as_u64()), [Some(2), Some(1)]);
    assert_eq!(pair.each_ref().map(state), ["ASP-ACTIVE"; 2]);
    for from in 0..2 {
        pair[from].output_to(9, 0, b"hello");
        let delivered = settle(&mut pair);
        assert!(delivered[1 - from][0].starts_with("Data("), "{delivered:?}");
    }
}

#[test]
fn either_gateway_without_a_pool_leaves_and_comes_back() {
    for leaver in 0..2 {
        let mut pair = pair();
        settle(&mut pair);
        pair[leaver].on(|network, cx| network.set_serving(cx, false));
        settle(&mut pair);
        assert_eq!(pair.each_ref().map(state), ["ASP-INACTIVE"; 2]);
        // It is asked once in a while, not all the time.
        wait(&mut pair[1 - leaver], ms(4_900));
        assert!(pair[1 - leaver].wire.sent.is_empty());
        wait(&mut pair[1 - leaver], ms(101));
        settle(&mut pair);
        assert_eq!(pair.each_ref().map(state), ["ASP-INACTIVE"; 2]);
        pair[leaver].on(|network, cx| network.set_serving(cx, true));
        settle(&mut pair);
        assert_eq!(pair.each_ref().map(state), ["ASP-ACTIVE"; 2], "{leaver} is back");
    }
}

#[test]
fn a_passive_linkset_takes_one_association_for_each_link() {
    let mut bench = bench(true, 1);
    bench.up(ASSOC, [127, 0, 0, 3]);
    bench.up(AssocId(101), [127, 0, 0, 3]);
    assert_eq!((bench.wire.aborted.clone(), bench.network.counters().peers_refused), (vec![AssocId(101)], 1));
    bench.on(|network, cx| network.closed(cx, AssocId(101), Vec::new()));
    // Others are the ASPs of an SGP as ever.
    bench.active(AssocId(1));
    assert_eq!(bench.wire.sent.len(), 0, "nothing is asked of the IPSP");
    // Without ASPUP it is given up, and may come again.
    wait(&mut bench, ms(500));
    assert_eq!(bench.wire.aborted.last(), Some(&ASSOC));
    bench.on(|network, cx| network.closed(cx, ASSOC, Vec::new()));
    wait(&mut bench, ms(1_000));
    assert_eq!(bench.wire.connects.len(), 0, "it is for the other end to open it");
    bench.up(AssocId(102), [127, 0, 0, 3]);
    bench.message(AssocId(102), 0, &Message::AspUp(AspUp::default()));
    assert_eq!(bench.sent(), [(102, 0, "ASPUP ACK".to_owned())]);
}

#[test]
fn an_ipsp_that_leaves_takes_its_traffic_with_it() {
    let mut bench = bench(true, 1);
    bench.up(ASSOC, [127, 0, 0, 3]);
    bench.message(ASSOC, 0, &Message::AspUp(AspUp::default()));
    let active = || AspActive { traffic_mode: None, routing_contexts: one_context(7), info: None };
    bench.message(ASSOC, 0, &Message::AspActive(active()));
    bench.sent();
    bench.output_to(9, 0, b"one");
    assert_eq!(bench.sent(), [(100, 1, "one".to_owned())]);
    bench.message(ASSOC, 0, &Message::AspDown(AspDown::default()));
    assert_eq!(bench.sent(), [(100, 0, "ASPDN ACK".to_owned())]);
    bench.output_to(9, 0, b"two");
    assert_eq!(bench.sent(), []);
    // It comes back in time for what waits.
    bench.message(ASSOC, 0, &Message::AspUp(AspUp::default()));
    bench.message(ASSOC, 0, &Message::AspActive(active()));
    let sent: Vec<_> = bench.sent().into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(sent, ["ASPUP ACK", "ASPAC ACK", "two"]);
    // What it says of destinations behind it counts as an STP's word; its questions about ours have no answer.
    let ssnm = Ssnm {
        network_appearance: None,
        routing_contexts: RoutingContexts::new(),
        affected: AffectedList::from_slice(&[AffectedPc::one(9)]).unwrap(),
        info: None,
    };
    bench.message(ASSOC, 0, &Message::Duna(ssnm.clone()));
    assert_eq!(bench.network.audited(None, AffectedPc::one(9)), Some(false));
    let ignored = bench.network.counters().ignored;
    assert_eq!(bench.message(ASSOC, 0, &Message::Daud(ssnm)), None);
    assert_eq!((bench.network.counters().ignored, bench.sent()), (ignored + 1, Vec::new()));
}
