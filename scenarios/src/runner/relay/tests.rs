use super::*;
use crate::runner::address::{Needs, Net};

const BOUND: Duration = Duration::from_secs(10);

struct Ends {
    relay: Relay,
    leg: Leg,
    controller: UdpSocket,
    gateway: UdpSocket,
    name_server: UdpSocket,
}

fn ends(half_ms: u64) -> Ends {
    let net = Net::find(Needs { controllers: 1, relayed: true, population: 0 }).unwrap();
    let leg = Leg {
        half: Duration::from_millis(half_ms),
        controller: net.controller(0),
        gateway: net.gateway(),
        name_server: Some(net.name_server()),
        pool_side: net.pool_side(0),
        gateway_side: net.gateway_side(0),
        name_server_side: net.name_server_side(0),
    };
    let relay = Relay::start(&[leg]).unwrap();
    let open = |ip| {
        let socket = UdpSocket::bind((ip, UDP_PORT)).unwrap();
        socket.set_read_timeout(Some(BOUND)).unwrap();
        socket
    };
    let (controller, gateway, name_server) = (open(leg.controller), open(leg.gateway), open(net.name_server()));
    Ends { relay, leg, controller, gateway, name_server }
}

fn next(socket: &UdpSocket) -> (Vec<u8>, IpAddr) {
    let mut room = [0; 2_000];
    let (length, from) = socket.recv_from(&mut room).unwrap();
    assert_eq!(from.port(), UDP_PORT);
    (room[..length].to_vec(), from.ip())
}

#[test]
fn both_sides_see_each_other_at_the_relay_after_half_the_round_trip() {
    let Ends { relay, leg, controller, gateway, name_server } = ends(30);
    let begin = Instant::now();
    gateway.send_to(b"to the controller", (leg.pool_side, UDP_PORT)).unwrap();
    assert_eq!(next(&controller), (b"to the controller".to_vec(), leg.gateway_side));
    assert!(begin.elapsed() >= leg.half, "{:?}", begin.elapsed());
    controller.send_to(b"back", (leg.gateway_side, UDP_PORT)).unwrap();
    assert_eq!(next(&gateway), (b"back".to_vec(), leg.pool_side));
    assert!(begin.elapsed() >= leg.half * 2, "{:?}", begin.elapsed());
    controller.send_to(b"register", (leg.name_server_side, UDP_PORT)).unwrap();
    assert_eq!(next(&name_server), (b"register".to_vec(), leg.pool_side));
    name_server.send_to(b"registered", (leg.pool_side, UDP_PORT)).unwrap();
    assert_eq!(next(&controller), (b"registered".to_vec(), leg.name_server_side));
    let report = relay.finish();
    assert_eq!((report.forwarded, report.queue_full, report.foreign, report.not_sent), (4, 0, 0, 0));
    assert!(report.late_max_us > 0 && report.late_p99_us <= report.late_max_us);
}

#[test]
fn order_stays_and_nothing_is_changed() {
    let Ends { relay, leg, controller, gateway, .. } = ends(20);
    // As much as a socket of the test's own holds.
    for number in 0..50_u32 {
        gateway.send_to(&[&number.to_be_bytes()[..], &[0xa5; 1_000]].concat(), (leg.pool_side, UDP_PORT)).unwrap();
    }
    for number in 0..50_u32 {
        let (payload, _) = next(&controller);
        assert_eq!((&payload[..4], payload.len()), (&number.to_be_bytes()[..], 1_004));
    }
    assert_eq!(relay.finish().forwarded, 50);
}

#[test]
fn strangers_and_a_controller_that_is_gone() {
    let Ends { relay, leg, controller, gateway, .. } = ends(1);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for address in [leg.pool_side, leg.gateway_side, leg.name_server_side] {
        stranger.send_to(b"who are you", (address, UDP_PORT)).unwrap();
    }
    drop(controller);
    gateway.send_to(b"gone", (leg.pool_side, UDP_PORT)).unwrap();
    // Comes back at its address: the relay has not stopped for the ICMP error of before.
    let controller = UdpSocket::bind((leg.controller, UDP_PORT)).unwrap();
    controller.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let deadline = Instant::now() + BOUND;
    let mut room = [0; 100];
    loop {
        gateway.send_to(b"again", (leg.pool_side, UDP_PORT)).unwrap();
        match controller.recv_from(&mut room) {
            Ok((length, _)) if &room[..length] == b"again" => break,
            Ok(_) | Err(_) => assert!(Instant::now() < deadline, "nothing comes through any more"),
        }
    }
    assert_eq!(relay.finish().foreign, 3);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let Ends { leg, .. } = ends(1);
    // The first relay went with its ends; hold one of its addresses.
    let _taken = UdpSocket::bind((leg.gateway_side, UDP_PORT)).unwrap();
    let error = Relay::start(&[leg]).unwrap_err().to_string();
    assert!(error.contains(&leg.gateway_side.to_string()), "{error}");
}
