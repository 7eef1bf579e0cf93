//! Two name servers with the same pools, and the resolver, on one network in virtual time.

use super::{Command, Node, Pools, Record};
use crate::scenario::Resolver;
use asap::ServerAddress;
use asap::wire::{
    Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport, TransportUse,
};
use enrp::daemon::RecordSink;
use enrp::{ClientId, Host, Ports, Server, ServerConfig};
use sctp::driver::Node as _;
use sctp::{ClockAnchor, Datagram, Output, Stack, Transmit};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const RESOLVER: u8 = 9;
const DELAY: Duration = Duration::from_micros(100);

fn ip(host: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, host])
}

fn handle(pool: usize) -> PoolHandle {
    crate::population::handle("pop-", pool)
}

fn element(id: u32) -> PoolElement {
    let transport = SctpTransport { port: 2905, transport_use: TransportUse::DataOnly, addresses: [ip(100)].into() };
    PoolElement {
        id: PeId(id),
        home: ServerId(0),
        life: RegistrationLife::Seconds(300),
        user_transport: Transport::Sctp(transport),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

/// Server `host` with two elements in each of so many pools; their identifiers begin with the server's.
fn server(host: u8, pools: usize, now: Instant) -> enrp::node::Node {
    // Nobody is behind the elements.
    let config = ServerConfig { keep_alive_interval_ms: 0, ..ServerConfig::default() };
    let mut server = Server::new(config, ServerId(u32::from(host)), 3);
    for pool in 0..pools {
        for n in 1..3 {
            let id = u32::from(host) * 100 + pool as u32 * 10 + n;
            let message = Message::Registration { handle: handle(pool), element: element(id) };
            let source = [SocketAddr::new(ip(100), 2905)];
            server.handle_message(now, ClientId(9_000 + u64::from(n)), &source, &message.encode().unwrap());
        }
    }
    while server.poll_output().is_some() {}
    let stack = Stack::new(sctp::Config::default(), vec![ip(host)], [host; 32], now);
    enrp::node::Node::new("enrp", Box::new(stack), Host::new(server, Ports::default(), 9899))
}

struct World {
    now: Instant,
    begin: Instant,
    /// By host: 1 and 2.
    servers: Vec<enrp::node::Node>,
    resolver: Node,
    dead: Option<u8>,
    wire: BTreeMap<(Instant, u64), (u8, Datagram)>,
    sent: u64,
}

impl World {
    /// So many pools at both servers, and so many that the resolver asks for.
    fn new(pools: usize, asked_for: usize, settings: Resolver) -> Self {
        let now = Instant::now();
        let clock = ClockAnchor { instant: now, monotonic_ns: 0 };
        let record = Record::new(clock, RecordSink::Memory(Vec::new()));
        let stack = Stack::new(sctp::Config::default(), vec![ip(RESOLVER)], [RESOLVER; 32], now);
        let addresses = [1, 2].map(|host| ServerAddress::new(ip(host))).to_vec();
        let pools_asked = Pools { handles: (0..asked_for).map(handle).collect(), scope: None };
        let resolver = Node::new(settings, addresses, 9899, pools_asked, Box::new(stack), record, now);
        let servers = [1, 2].map(|host| server(host, pools, now)).into();
        Self { now, begin: now, servers, resolver, dead: None, wire: BTreeMap::new(), sent: 0 }
    }

    fn send(&mut self, Transmit { from, to, payload }: Transmit) {
        let IpAddr::V4(to_ip) = to.ip() else { return };
        self.sent += 1;
        let datagram = Datagram { from: SocketAddr::new(from, 9899), to: to.ip(), payload };
        self.wire.insert((self.now + DELAY, self.sent), (to_ip.octets()[3], datagram));
    }

    fn pump(&mut self) {
        let now = self.now;
        while let Some(packet) = self.resolver.poll_output(now).and_then(Output::packet) {
            self.send(packet);
        }
        for index in 0..2 {
            while let Some(packet) = self.servers[index].poll_output(now).and_then(Output::packet) {
                self.send(packet);
            }
        }
        self.resolver.flush(now).unwrap();
    }

    /// Until so many ms after the begin.
    fn run(&mut self, until_ms: u64) {
        let end = self.begin + Duration::from_millis(until_ms);
        loop {
            self.pump();
            let timers = self.servers.iter().map(|server| server.poll_timeout()).chain([self.resolver.poll_timeout()]);
            let next = timers.flatten().chain(self.wire.keys().next().map(|key| key.0)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            let now = self.now;
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= now) {
                match entry.remove() {
                    (host, _) if Some(host) == self.dead => {}
                    (RESOLVER, datagram) => self.resolver.handle_input(now, datagram.into()),
                    (host, datagram) => self.servers[usize::from(host) - 1].handle_input(now, datagram.into()),
                }
            }
            self.servers.iter_mut().for_each(|server| server.handle_timeout(now));
            self.resolver.handle_timeout(now);
        }
        self.now = end;
    }

    fn lines(&self, kind: &str) -> Vec<Vec<String>> {
        let text = String::from_utf8(self.resolver.record().memory().to_vec()).unwrap();
        let lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|fields| fields[0] == kind).collect()
    }
}

#[test]
fn each_pool_in_turn_with_its_times() {
    let settings = Resolver { rate_per_s: 100, items: 2, ..Resolver::default() };
    let mut world = World::new(5, 5, settings);
    world.run(1_000);
    let answers = world.lines("A");
    assert!((98..=101).contains(&answers.len()), "{}", answers.len());
    for (n, answer) in answers.iter().enumerate() {
        let (t, asked): (u64, u64) = (answer[1].parse().unwrap(), answer[2].parse().unwrap());
        // There and back; the first one waits for the association.
        assert!(t - asked == 200_000 || n < 2, "{answer:?}");
        assert_eq!(answer[3].split(';').count(), 2, "{answer:?}");
    }
    for pool in 0..5 {
        let of_pool = answers.iter().filter(|answer| answer.last() == Some(&handle(pool).to_string())).count();
        assert!((19..=21).contains(&of_pool), "pool {pool}: {of_pool}");
    }
    let found = world.lines("F");
    assert_eq!(found.iter().map(|line| line[2].as_str()).collect::<Vec<_>>(), ["127.0.0.1"]);
    world.resolver.handle_command(world.now, Command::Stop);
    assert!(world.resolver.finished());
}

#[test]
fn a_pool_that_is_not_there_is_refused() {
    let mut world = World::new(2, 3, Resolver { rate_per_s: 30, ..Resolver::default() });
    world.run(2_000);
    let refused = world.lines("U");
    assert!((18..=21).contains(&refused.len()), "{}", refused.len());
    assert!(refused.iter().all(|line| line[3] == handle(2).to_string()), "{refused:?}");
    assert_eq!(world.resolver.counters().refused, refused.len() as u64);
}

#[test]
fn a_dead_server_is_left_and_the_record_says_for_whom() {
    let mut world = World::new(5, 5, Resolver { rate_per_s: 50, ..Resolver::default() });
    world.run(1_000);
    world.dead = Some(1);
    world.run(4_000);
    let found = world.lines("F");
    assert_eq!(found.iter().map(|line| line[2].as_str()).collect::<Vec<_>>(), ["127.0.0.1", "127.0.0.2"]);
    assert_eq!(world.lines("L").len(), 1);
    let since: u64 = found[1][1].parse().unwrap();
    // Identifiers begin with the server's number.
    for answer in world.lines("A") {
        let (t, first): (u64, u32) = (answer[1].parse().unwrap(), u32::from_str_radix(&answer[3][..8], 16).unwrap());
        assert_eq!(first / 100, if t < since { 1 } else { 2 }, "{answer:?}");
    }
    let last: u64 = world.lines("A").last().unwrap()[1].parse().unwrap();
    assert!(last > 3_900_000_000, "it goes on: {last}");
    assert!(since < 2_000_000_000, "found after {since} ns");
}
