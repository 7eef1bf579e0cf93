use super::*;
use crate::runner::address::{Host, Needs, Net};

const BOUND: Duration = Duration::from_secs(10);
const HOSTS: [Host; 3] = [Host::Gateway(0), Host::NameServer(0), Host::Controller(0)];

/// A relay and the sockets of three processes on it.
struct Ends {
    relay: Relay,
    net: Net,
    sockets: Vec<Vec<UdpSocket>>,
}

impl Ends {
    fn socket(&self, host: Host, path: usize) -> &UdpSocket {
        &self.sockets[HOSTS.iter().position(|other| *other == host).unwrap()][path]
    }

    fn outside(&self, host: Host, path: usize) -> SocketAddr {
        SocketAddr::new(self.net.known(host)[path], UDP_PORT)
    }

    /// Sends on one path, from one process to another.
    fn send(&self, text: &[u8], from: Host, to: Host, path: usize) {
        self.socket(from, path).send_to(text, self.outside(to, path)).unwrap();
    }

    /// What comes next, and from whose outside address.
    fn next(&self, host: Host, path: usize) -> (Vec<u8>, SocketAddr) {
        let mut room = [0; 2_000];
        let (length, from) = self.socket(host, path).recv_from(&mut room).unwrap();
        (room[..length].to_vec(), from)
    }
}

fn open(ip: IpAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, UDP_PORT)).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket
}

fn ends(half_ms: u64) -> Ends {
    let net =
        Net::find(Needs { controllers: 1, name_servers: 1, relayed: true, paths: 2, ..Needs::default() }).unwrap();
    let half = |host| if host == Host::Controller(0) { half_ms } else { 0 };
    let port =
        |host: &Host| Port { half: Duration::from_millis(half(*host)), own: net.own(*host), outside: net.known(*host) };
    let relay = Relay::start(HOSTS.iter().map(port).collect()).unwrap();
    let sockets = HOSTS.iter().map(|host| net.own(*host).into_iter().map(open).collect()).collect();
    Ends { relay, net, sockets }
}

#[test]
fn both_sides_see_each_other_at_the_relay_after_half_the_round_trip() {
    let (ends, half) = (ends(30), Duration::from_millis(30));
    let (controller, gateway, name_server) = (Host::Controller(0), Host::Gateway(0), Host::NameServer(0));
    let begin = Instant::now();
    ends.send(b"to the controller", gateway, controller, 0);
    assert_eq!(ends.next(controller, 0), (b"to the controller".to_vec(), ends.outside(gateway, 0)));
    assert!(begin.elapsed() >= half, "{:?}", begin.elapsed());
    ends.send(b"back", controller, gateway, 0);
    assert_eq!(ends.next(gateway, 0), (b"back".to_vec(), ends.outside(controller, 0)));
    assert!(begin.elapsed() >= half * 2, "{:?}", begin.elapsed());
    ends.send(b"register", controller, name_server, 1);
    assert_eq!(ends.next(name_server, 1), (b"register".to_vec(), ends.outside(controller, 1)));
    // From one path to the other: the answer goes back where it came from.
    ends.socket(name_server, 1).send_to(b"registered", ends.outside(controller, 0)).unwrap();
    assert_eq!(ends.next(controller, 0), (b"registered".to_vec(), ends.outside(name_server, 1)));
    assert_eq!(ends.relay.carried(), [3, 1]);
    let report = ends.relay.finish();
    assert_eq!((report.forwarded, report.queue_full, report.foreign, report.not_sent), (4, 0, 0, 0));
    assert!(report.late_max_us > 0 && report.late_p99_us <= report.late_max_us);
    assert_eq!((report.paths, report.cut), (vec![3, 1], 0));
}

#[test]
fn a_cut_path_swallows_what_comes_from_it_and_goes_to_it() {
    let ends = ends(0);
    let (controller, gateway) = (Host::Controller(0), Host::Gateway(0));
    ends.relay.set_cut(0, true);
    ends.send(b"lost", gateway, controller, 0);
    ends.socket(gateway, 1).send_to(b"lost", ends.outside(controller, 0)).unwrap();
    ends.socket(gateway, 0).send_to(b"lost", ends.outside(controller, 1)).unwrap();
    // Twice: before it passes the second one on, the relay has looked at each socket once more.
    for text in [b"other", b"again"] {
        ends.send(text, gateway, controller, 1);
        assert_eq!(ends.next(controller, 1).0, text);
    }
    ends.relay.set_cut(1, true);
    ends.relay.set_cut(0, false);
    ends.send(b"joined", gateway, controller, 0);
    assert_eq!(ends.next(controller, 0).0, b"joined");
    let report = ends.relay.finish();
    assert_eq!((report.forwarded, report.cut, report.foreign), (3, 3, 0));
}

#[test]
fn order_stays_and_nothing_is_changed() {
    let ends = ends(20);
    let (controller, gateway) = (Host::Controller(0), Host::Gateway(0));
    // As much as a socket of the test's own holds.
    for number in 0..50_u32 {
        ends.send(&[&number.to_be_bytes()[..], &[0xa5; 1_000]].concat(), gateway, controller, 0);
    }
    for number in 0..50_u32 {
        let (payload, _) = ends.next(controller, 0);
        assert_eq!((&payload[..4], payload.len()), (&number.to_be_bytes()[..], 1_004));
    }
    assert_eq!(ends.relay.finish().forwarded, 50);
}

#[test]
fn strangers_and_a_controller_that_is_gone() {
    let mut ends = ends(1);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for host in HOSTS {
        stranger.send_to(b"who are you", ends.outside(host, 0)).unwrap();
    }
    ends.sockets[2].clear();
    ends.send(b"gone", Host::Gateway(0), Host::Controller(0), 0);
    // Comes back at its address: the relay has not stopped for the ICMP error of before.
    let controller = open(ends.net.first(Host::Controller(0)));
    controller.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let deadline = Instant::now() + BOUND;
    let mut room = [0; 100];
    loop {
        ends.send(b"again", Host::Gateway(0), Host::Controller(0), 0);
        match controller.recv_from(&mut room) {
            Ok((length, _)) if &room[..length] == b"again" => break,
            Ok(_) | Err(_) => assert!(Instant::now() < deadline, "nothing comes through any more"),
        }
    }
    assert_eq!(ends.relay.finish().foreign, 3);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let ends = ends(1);
    let port =
        Port { half: Duration::ZERO, own: ends.net.own(Host::Gateway(0)), outside: ends.net.known(Host::Gateway(0)) };
    // The first relay holds it.
    let error = Relay::start(vec![port]).unwrap_err().to_string();
    assert!(error.contains(&ends.net.known(Host::Gateway(0))[0].to_string()), "{error}");
}

#[test]
fn a_process_is_cut_off_from_all_in_one_direction() {
    let ends = ends(0);
    let (controller, gateway, name_server) = (Host::Controller(0), Host::Gateway(0), Host::NameServer(0));
    let who = Some(ends.net.own(controller)[0]);
    ends.relay.set_swallowed(who, None, true);
    ends.send(b"lost", controller, gateway, 0);
    ends.send(b"lost too", controller, name_server, 1);
    ends.send(b"it hears", gateway, controller, 0);
    assert_eq!(ends.next(controller, 0).0, b"it hears");
    ends.relay.set_swallowed(None, who, true);
    ends.relay.set_swallowed(who, None, false);
    ends.send(b"unheard", gateway, controller, 0);
    ends.send(b"it speaks", controller, gateway, 0);
    assert_eq!(ends.next(gateway, 0).0, b"it speaks");
    ends.relay.set_swallowed(None, who, false);
    ends.send(b"joined", gateway, controller, 0);
    assert_eq!(ends.next(controller, 0).0, b"joined");
    assert_eq!(ends.relay.finish().cut, 3);
}

#[test]
fn two_processes_are_cut_off_from_each_other_and_from_nobody_else() {
    let ends = ends(0);
    let (controller, gateway, name_server) = (Host::Controller(0), Host::Gateway(0), Host::NameServer(0));
    let own = |host| ends.net.own(host)[0];
    ends.relay.set_link_cut(own(controller), own(gateway), true);
    ends.send(b"lost", gateway, controller, 0);
    ends.send(b"lost too", controller, gateway, 1);
    ends.send(b"the others go on", name_server, controller, 0);
    assert_eq!(ends.next(controller, 0).0, b"the others go on");
    ends.send(b"to the gateway too", name_server, gateway, 0);
    assert_eq!(ends.next(gateway, 0).0, b"to the gateway too");
    // In the other order it is the same link.
    ends.relay.set_link_cut(own(gateway), own(controller), false);
    ends.send(b"joined", gateway, controller, 0);
    assert_eq!(ends.next(controller, 0).0, b"joined");
    assert_eq!(ends.relay.finish().cut, 2);
}

/// Sends `count` numbered datagrams from the gateway to the controller, a barrier of the name server's, which no rule is about, behind
/// each; which of them came, each as often as it did.
fn what_comes(ends: &Ends, count: u8) -> Vec<u8> {
    let (controller, gateway, name_server) = (Host::Controller(0), Host::Gateway(0), Host::NameServer(0));
    let mut came = Vec::new();
    for number in 0..count {
        ends.send(&[number], gateway, controller, 0);
        ends.send(b"barrier", name_server, controller, 0);
        let next = || Some(ends.next(controller, 0).0).filter(|payload| payload != b"barrier");
        came.extend(std::iter::from_fn(next).flatten());
    }
    came
}

#[test]
fn a_poor_network_loses_and_doubles_the_same_again_for_the_same_seed() {
    let poor = Impairment { loss_percent: 40.0, duplicate_percent: 40.0, ..Impairment::default() };
    let run = |seed| {
        let ends = ends(0);
        let who = Some(ends.net.first(Host::Gateway(0)));
        ends.relay.impair(who, Direction::From, poor.clone(), seed);
        let came = what_comes(&ends, 40);
        ends.relay.clear(who);
        let after = what_comes(&ends, 20);
        assert_eq!(after, (0..20).collect::<Vec<_>>(), "all is well again");
        let report = ends.relay.finish();
        assert_eq!(came.len() as u64, 40 - report.lost + report.doubled);
        assert!(report.lost > 0 && report.doubled > 0 && report.delayed == 0, "{report:?}");
        came
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn what_does_not_wait_overtakes() {
    let ends = ends(0);
    let (controller, gateway) = (Host::Controller(0), Host::Gateway(0));
    let slow = Impairment { delay_ms: 50.0, message: Some("BEAT".into()), ..Impairment::default() };
    ends.relay.impair(None, Direction::Both, slow, 1);
    let beat = matcher::tests::packet(&[(3, 3, &[1, 0, 3, 3, 0, 0, 0, 8])]);
    let begin = Instant::now();
    ends.send(&beat, gateway, controller, 0);
    ends.send(b"other", gateway, controller, 0);
    assert_eq!(ends.next(controller, 0).0, b"other");
    assert_eq!(ends.next(controller, 0).0, beat);
    assert!(begin.elapsed() >= Duration::from_millis(50));
    let report = ends.relay.finish();
    assert_eq!((report.delayed, report.forwarded, report.lost), (1, 2, 0));
}
