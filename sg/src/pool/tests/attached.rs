//! Ordinary ASPs that attach by themselves, beside controllers of ours.

use super::bench::*;
use crate::config::{As, Prefers};
use crate::network::Congested;
use crate::pool::Location;
use crate::record::Discard;
use m3ua_lite::wire::{AffectedList, AffectedPc, Message, Scon, Ssnm, TrafficMode, one_context};
use sctp::{AssocId, CloseReason};
use std::net::SocketAddr;

impl Bench {
    /// An ASP from this address attaches and becomes active; its PE identifier.
    fn attach(&mut self, assoc: AssocId, last: u8) -> u32 {
        let peer = [SocketAddr::from(([127, 0, 2, last], 9899))];
        assert!(self.on(|pool, cx| pool.attach(cx, assoc, (&peer, 2906), STREAMS)));
        let before = self.names.registered.len();
        self.asp_up(assoc, 0);
        assert_eq!(self.names.registered.len(), before, "not before it is active");
        self.asp_active(assoc);
        let (pe, location) = self.names.registered.last().expect("registered on its behalf").clone();
        assert_eq!((location.addresses[0], location.port), (peer[0].ip(), 2906));
        // The name server knows it now.
        self.there(pe, last);
        pe
    }

    fn there(&mut self, pe: u32, last: u8) {
        let location = Location { addresses: vec![[127, 0, 2, last].into()], port: 2906 };
        self.on(|pool, cx| pool.element_there(cx, pe, location));
        self.clear();
    }
}

const ASP: AssocId = AssocId(50);
const OTHER: AssocId = AssocId(51);

#[test]
fn an_asp_that_attaches_is_registered_takes_its_share_and_leaves() {
    let mut bench = Bench::new(|_, _| {});
    let pe = bench.attach(ASP, 1);
    assert!(bench.wire.connects.is_empty(), "nobody connects to it");
    bench.offer(1, b'a');
    assert_eq!(bench.got(ASP).len(), 1);
    bench.output(ASP, 1, b'x');
    assert_eq!(bench.take_released(), b"x", "it passes without a cookie");
    // ASPIA: no new groups, and withdrawn at once; its association stays.
    bench.asp_inactive(ASP);
    assert_eq!(bench.names.withdrawn, [pe]);
    bench.on(|pool, cx| pool.element_gone(cx, pe));
    assert!(bench.wire.shut.is_empty() && bench.wire.aborted.is_empty());
    // And back, by the same name.
    bench.asp_active(ASP);
    assert_eq!(bench.names.registered.len(), 2);
    assert_eq!(bench.names.registered[1].0, pe);
    bench.close(ASP, &CloseReason::Shutdown);
    assert_eq!(bench.names.withdrawn, [pe, pe]);
    assert!(bench.names.reported.is_empty(), "who registered it knows better than to report it");
    assert!(bench.pool.elements.is_empty());
    let again = bench.attach(OTHER, 1);
    assert_eq!(again, pe);
}

#[test]
fn beside_ours_it_gets_new_groups_and_none_that_has_calls() {
    let mut bench = Bench::new(|_, _| {});
    let ours = bench.controller(1);
    bench.offer(1, b'a');
    bench.cookie(ours, 1, 1, b"call");
    // A foreign one with an identifier that the bench's name server yields.
    bench.attach(ASP, 1);
    let second = bench.controller(2);
    bench.close(ours, &CloseReason::Unreachable);
    assert!(
        matches!(bench.got(second)[..], [Got::CookieEcho(_)]),
        "what is known of calls goes to one that understands it"
    );
    bench.close(second, &CloseReason::Unreachable);
    assert_eq!(bench.groups_of(&[ASP]), [1], "unless there is none");
    bench.offer(1, b'b');
    assert_eq!(bench.got(ASP), [Got::Data(2, vec![1, 0, b'b'])], "and it gets no cookie");
}

#[test]
fn no_group_is_asked_back_from_it() {
    let mut bench = Bench::new(|_, failover| failover.rebalance_after_ms = 10);
    bench.attach(ASP, 1);
    for block in 0..8 {
        bench.offer(block * 32, b'a');
    }
    let ours = bench.controller(1);
    bench.pass(200);
    assert!(!bench.all(ASP).iter().any(|got| matches!(got, Got::Release(_))));
    assert_eq!(bench.groups_of(&[ours])[0], 0);
}

#[test]
fn what_it_had_goes_to_the_next_one_or_nowhere() {
    for (prefers, resent) in [(Prefers::Duplicate, 2), (Prefers::Loss, 1)] {
        let mut bench = Bench::new(|server, _| server.foreign_prefers = prefers);
        bench.attach(ASP, 1);
        bench.attach(OTHER, 2);
        bench.pool.settings.server.unconfirmed_max = 1;
        let had = [ASP, OTHER];
        bench.offer(1, b'a');
        // No room for it at the owner: it was not sent.
        bench.offer(1, b'b');
        let owner = *had.iter().find(|asp| bench.groups_of(&[**asp]) == [1]).unwrap();
        let other = had[usize::from(owner == ASP)];
        bench.pool.settings.server.unconfirmed_max = 100;
        bench.clear();
        bench.close(owner, &CloseReason::Unreachable);
        assert_eq!(bench.got(other).len(), resent, "{prefers:?}");
        assert_eq!(bench.pool.counters().discarded.of(Discard::FateUnknown), 2 - resent as u64);
        assert_eq!(bench.lines("X").len(), 2 - resent);
    }
}

/// RFC 4666 section 4.3.4.3.
#[test]
fn in_broadcast_mode_each_active_asp_gets_each_message_in_order() {
    let broadcast = |server: &mut As| {
        (server.traffic_mode, server.transactions) = (crate::config::TrafficMode::Broadcast, false);
    };
    let mut bench = Bench::new(|server, _| broadcast(server));
    bench.traffic_mode = TrafficMode::Broadcast;
    bench.offer(1, b'a');
    bench.attach(ASP, 1);
    assert_eq!(bench.pool.counters().applied, 1, "what waited for the first one");
    bench.attach(OTHER, 2);
    bench.clear();
    for text in *b"bcd" {
        bench.offer(1, text);
        bench.offer(40, text);
    }
    let (first, second) = (bench.got(ASP), bench.got(OTHER));
    assert_eq!(first, second, "with the same Correlation Ids");
    let of_one: Vec<_> =
        first.iter().filter(|got| matches!(got, Got::Data(_, data) if data[0] == 1)).cloned().collect();
    assert_eq!(of_one, [data(2, 1, b'b'), data(3, 1, b'c'), data(4, 1, b'd')]);
    // Any of them may send.
    bench.output(ASP, 1, b'x');
    bench.output(OTHER, 1, b'y');
    assert_eq!(bench.take_released(), b"xy");
    bench.close(ASP, &CloseReason::Silent);
    bench.offer(1, b'e');
    assert_eq!(bench.got(OTHER), [data(5, 1, b'e')], "nothing is sent again, nothing is missing");
    bench.close(OTHER, &CloseReason::Silent);
    bench.offer(1, b'f');
    assert_eq!((bench.pool.counters().offered, bench.pool.counters().applied), (9, 8), "it waits (AS-PENDING)");
    bench.attach(ASP, 1);
    assert_eq!(bench.pool.counters().applied, 9);
    assert!(bench.pool.is_idle());
}

#[test]
fn there_is_a_limit_of_them() {
    let mut bench = Bench::new(|server, _| server.associations_max = 1);
    bench.attach(ASP, 1);
    let peer = [SocketAddr::from(([127, 0, 2, 2], 9899))];
    assert!(!bench.on(|pool, cx| pool.attach(cx, OTHER, (&peer, 2906), STREAMS)));
    assert!(!bench.on(|pool, cx| pool.attach(cx, OTHER, (&peer, 2906), 1)), "DATA never goes on stream 0");
    assert_eq!(bench.pool.counters().associations_refused, 2);
}

/// RFC 4666 sections 4.3.2, 4.3.4.4: n of n+k.
#[test]
fn as_many_controllers_as_configured_must_be_active_before_there_is_traffic() {
    let mut bench = Bench::new(|server, _| server.asps_min = 2);
    let (one, three) = (bench.controller(1), bench.register(3));
    bench.up(three);
    bench.asp_up(three, 3);
    bench.offer(1, b'a');
    assert_eq!(bench.got(one), [], "the AS is not active yet");
    assert!(!bench.pool.serves());
    let two = bench.controller(2);
    // The third one might become active too.
    bench.pass(bench.pool.settings.failover.gather_ms);
    let sent = [bench.got(one), bench.got(two)].concat();
    assert_eq!(sent, [data(1, 1, b'a')]);
    bench.clear();
    bench.close(two, &CloseReason::Silent);
    bench.offer(64, b'b');
    assert_eq!(bench.got(one).len(), 1, "one is enough once it has begun");
    let told = bench.all(three).into_iter().filter(|got| *got == Got::Other("NTFY")).count();
    assert_eq!(told, 2, "ASP Failure, and Insufficient ASP Resources");
}

#[test]
fn congestion_is_told_both_ways() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    let down = bench.register(2);
    let scon = |affected: &[AffectedPc]| {
        Message::Scon(Scon {
            network_appearance: None,
            routing_contexts: one_context(ROUTING_CONTEXT),
            affected: AffectedList::from_slice(affected).unwrap(),
            concerned: None,
            congestion_level: Some(2),
            info: None,
        })
    };
    let network = Congested { network: None, affected: AffectedPc::one(9), level: Some(1) };
    bench.on(|pool, cx| pool.tell_congestion(cx, &network));
    assert_eq!(bench.all(one), [Got::Other("SCON")]);
    assert_eq!(bench.all(down), [], "one that is not active is told nothing");
    let own = AffectedPc::one(2);
    bench.send(one, 0, &scon(&[own, AffectedPc::one(9), AffectedPc::new(24, 0)]));
    assert_eq!(bench.pool.poll_congested(), Some(Congested { network: None, affected: own, level: Some(2) }));
    assert_eq!(bench.pool.poll_congested(), None, "others' point codes are not its business");
    assert_eq!(bench.pool.counters().ignored_from_pool, 2);
    for _ in 0..200 {
        bench.send(one, 0, &scon(&[own]));
    }
    let told = std::iter::from_fn(|| bench.pool.poll_congested()).count();
    assert_eq!((told, bench.pool.counters().floods_suppressed), (64, 136), "a flood is not the network's business");
}

#[test]
fn controllers_are_told_of_destinations_and_may_ask() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    let down = bench.register(2);
    let ranges = AffectedList::from_slice(&[AffectedPc::one(9); 3]).unwrap();
    for _ in 0..30 {
        let audit = Ssnm {
            network_appearance: None,
            routing_contexts: one_context(ROUTING_CONTEXT),
            affected: ranges.clone(),
            info: None,
        };
        bench.send(one, 0, &Message::Daud(audit));
    }
    let asked: Vec<_> = std::iter::from_fn(|| bench.pool.poll_audit()).collect();
    assert_eq!((asked.len(), asked[0]), (64, (one, AffectedPc::one(9))), "no more at a time");
    assert_eq!(bench.pool.counters().floods_suppressed, 90 - 64);
    bench.on(|pool, cx| pool.answer_audit(cx, one, Some(false), AffectedPc::one(9)));
    bench.on(|pool, cx| pool.tell_destination(cx, true, AffectedPc::one(9)));
    assert_eq!(bench.all(one), [Got::Other("DUNA"), Got::Other("DAVA")]);
    assert_eq!(bench.all(down), [], "one that is not active is told nothing");
}
