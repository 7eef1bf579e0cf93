//! Addresses told to others in place of the own ones (behind a translation).

mod common;

use common::{A, B, Net, config, ip};
use sctp::Config;
use std::net::IpAddr;

#[test]
fn advertised_addresses_are_listed_in_place_of_the_own_ones() {
    let outside: IpAddr = "10.1.1.1".parse().unwrap();
    let behind = |own| Config { advertise: vec![own, outside], ..config() };
    let (mut net, known) = (Net::new(1, behind(ip(A)), behind(ip(B))), |own| vec![own, outside]);
    let (a, b) = net.up();
    let peers = |node: usize, assoc| net.stacks[node].addresses(assoc).iter().map(|to| to.ip()).collect::<Vec<_>>();
    assert_eq!(peers(A, a), known(ip(B)), "by its INIT ACK");
    assert_eq!(peers(B, b), known(ip(A)), "by its INIT");
}
