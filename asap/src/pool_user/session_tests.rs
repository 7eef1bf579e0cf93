//! Announced servers; elements connected to again; business cards.

use super::tests::{Bed, Out, config, element, handle};
use super::*;
use crate::config::HuntConfig;
use crate::wire::ServerId;

#[test]
fn announcements_feed_the_hunt() {
    let mut bed = Bed::new();
    bed.pu = PuMachine::new(PuConfig { hunt: HuntConfig::default(), ..config() }, 1);
    bed.pu.resolve(bed.now, &handle());
    assert_eq!(bed.out(), []);
    let announce = Message::ServerAnnounce { server: ServerId(1), transports: Vec::new() }.encode().unwrap();
    bed.pu.handle_announce(bed.now, [127, 0, 0, 1].into(), &announce);
    assert_eq!(bed.out(), [Out::Connect(1)]);
    bed.pu.handle_connected(bed.now, ConnId(1));
    assert_eq!(bed.out(), [Out::Resolve(1, true)]);
    bed.pu.handle_announce(bed.now, [127, 0, 0, 1].into(), &[0x60, 0, 0, 4]);
    assert_eq!((bed.out(), bed.pu.counters().malformed, bed.pu.counters().servers_announced), (vec![], 1, 1));
}

#[test]
fn a_session_may_connect_again_to_its_element_while_the_pool_has_it() {
    let mut bed = Bed::resolved(&[4, 5]);
    let mut session = Session::default();
    assert_eq!(bed.pu.reconnect(&handle(), &session), None, "it is with nobody");
    bed.pu.select_sticky(bed.now, &handle(), &mut session, |element| element.id == PeId(5));
    assert_eq!(bed.pu.reconnect(&handle(), &session), Some(&element(5)));
    bed.pu.report_unreachable(bed.now, &handle(), PeId(5));
    assert_eq!(bed.pu.reconnect(&handle(), &session), None, "reported");
    bed.pu.reachable(&handle(), PeId(5));
    assert_eq!(bed.pu.reconnect(&handle(), &session), Some(&element(5)));
    bed.answer(0, true, &[4]);
    assert_eq!(bed.pu.reconnect(&handle(), &session), None, "its server took it out");
    assert_eq!(bed.pu.reconnect(&"other".into(), &session), None);
}

#[test]
fn a_business_card_gives_the_failover_order_and_asks_for_its_pool() {
    let mut bed = Bed::embedded();
    let mut session = Session::default();
    assert!(bed.pu.business_card(bed.now, &mut session, &handle(), &[element(9), element(6), element(4)]));
    assert_eq!(bed.out(), [Out::Resolve(0, true)], "not in the cache (BC1)");
    bed.answer(0, true, &[4, 5, 6]);
    let selected = bed.pu.select_sticky(bed.now, &handle(), &mut session, |_| true);
    assert_eq!(
        selected,
        Selection::Element { pe: PeId(6), changed: true, cookie_echo: None },
        "the first that is there (BC2)"
    );
    // A later card replaces the order; the pool is known by now.
    assert!(bed.pu.business_card(bed.now, &mut session, &handle(), &[element(5)]));
    assert_eq!((bed.out(), session.preferred), (vec![], vec![PeId(5)]));
}
