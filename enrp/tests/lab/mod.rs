//! A name server, pool elements and pool users, each with its SCTP stack, on one network in virtual time.

use asap::policy::Rng;
use asap::wire::{PeId, Policy, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport, TransportUse};
use asap::{PeConfig, PeMachine, PuConfig, PuMachine, ServerAddress, pool_element::Registration};
use enrp::host::enrp_transport;
use enrp::link::{Link, Machine};
use enrp::node::Node;
use enrp::{ENRP_PORT, PeerAddress, PeersConfig, Ports, Server, ServerConfig};
use sctp::driver::Node as _;
use sctp::{Datagram, Event, Output, Stack, Transmit, Unreachable};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub(crate) const SERVER: u8 = 9;

/// What a client's machine has besides [`Machine`]; pool element and pool user are driven alike.
pub(crate) trait Driven: Machine {
    fn timeout(&mut self, now: Instant);
    fn next(&self) -> Option<Instant>;
    fn transmit(&mut self) -> Option<asap::Transmit>;
}

macro_rules! driven {
    ($machine:ty) => {
        impl Driven for $machine {
            fn timeout(&mut self, now: Instant) {
                self.handle_timeout(now);
            }
            fn next(&self) -> Option<Instant> {
                self.poll_timeout()
            }
            fn transmit(&mut self) -> Option<asap::Transmit> {
                self.poll_transmit()
            }
        }
    };
}
driven!(PeMachine);
driven!(PuMachine);

/// A machine with its associations.
pub(crate) struct Client<M> {
    pub(crate) machine: M,
    pub(crate) stack: Stack,
    pub(crate) link: Link,
}

impl<M: Driven> Client<M> {
    fn new(machine: M, host: u8, now: Instant) -> Self {
        let stack = Stack::new(sctp::Config::default(), vec![ip(host)], [host; 32], now);
        Self { machine, stack, link: Link::new() }
    }

    fn pump(&mut self, now: Instant) {
        let Self { machine, stack, link } = self;
        loop {
            let mut idle = true;
            while let Some(event) = stack.poll_event() {
                idle = false;
                match event {
                    Event::Up { assoc, local_port, incoming: true, .. } => {
                        assert_eq!(link.port(), Some(local_port));
                        if !link.accept(machine, assoc) {
                            stack.abort(now, assoc, b"not wanted");
                        }
                    }
                    Event::Up { assoc, local_port, .. } => drop(link.up(now, stack, machine, assoc, local_port)),
                    Event::Message { assoc, payload, .. } => drop(link.message(now, machine, assoc, &payload)),
                    Event::Closed { assoc, .. } => drop(link.closed(now, machine, assoc)),
                    Event::Path { .. } | _ => {}
                }
            }
            while let Some(transmit) = machine.transmit() {
                idle = false;
                link.perform(now, stack, machine, 9899, transmit);
            }
            if idle {
                return;
            }
        }
    }
}

/// What a host of the network does.
trait Host {
    fn datagram(&mut self, now: Instant, datagram: Datagram);
    fn unreachable(&mut self, now: Instant, error: &Unreachable);
    fn timeout(&mut self, now: Instant);
    fn next(&self) -> Option<Instant>;
    fn transmit(&mut self, now: Instant) -> Option<Transmit>;
}

impl<M: Driven> Host for Client<M> {
    fn datagram(&mut self, now: Instant, datagram: Datagram) {
        self.stack.handle_datagram(now, datagram);
        self.pump(now);
    }
    fn unreachable(&mut self, now: Instant, error: &Unreachable) {
        self.stack.handle_unreachable(now, error);
        self.pump(now);
    }
    fn timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.machine.timeout(now);
        self.pump(now);
    }
    fn next(&self) -> Option<Instant> {
        self.stack.poll_timeout().into_iter().chain(self.machine.next()).min()
    }
    fn transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.pump(now);
        self.stack.poll_transmit(now)
    }
}

impl Host for Node {
    fn datagram(&mut self, now: Instant, datagram: Datagram) {
        self.handle_input(now, datagram.into());
    }
    fn unreachable(&mut self, now: Instant, error: &Unreachable) {
        self.handle_input(now, error.clone().into());
    }
    fn timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }
    fn next(&self) -> Option<Instant> {
        self.poll_timeout()
    }
    fn transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.poll_output(now).and_then(Output::packet)
    }
}

/// What happens to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its process is gone: its kernel answers with ICMP port unreachable.
    Killed,
    /// It hangs, or nothing reaches it: silence.
    Stopped,
}

/// Hosts by the last byte of their address 127.0.0.n.
pub(crate) struct Lab {
    pub(crate) now: Instant,
    pub(crate) server: Node,
    /// Its peers.
    pub(crate) others: BTreeMap<u8, Node>,
    pub(crate) pes: BTreeMap<u8, Client<PeMachine>>,
    pub(crate) pus: BTreeMap<u8, Client<PuMachine>>,
    pub(crate) faults: BTreeMap<u8, Fault>,
    /// Packets lost, percent, drawn from `dice`.
    pub(crate) loss: u64,
    pub(crate) dice: Rng,
    /// In flight: (when, serial) to (host, what).
    wire: BTreeMap<(Instant, u64), (u8, Packet)>,
    serial: u64,
}

enum Packet {
    Data(Datagram),
    Icmp(Unreachable),
}

const DELAY: Duration = Duration::from_millis(1);

pub(crate) fn ip(host: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, host])
}

pub(crate) fn pool() -> PoolHandle {
    PoolHandle::from("GatewayPool")
}

/// What a host registers: round robin, M3UA's port.
pub(crate) fn registration(host: u8) -> Registration {
    let transport =
        SctpTransport { port: 2905, transport_use: TransportUse::DataAndControl, addresses: [ip(host)].into() };
    Registration {
        handle: pool(),
        life: RegistrationLife::Seconds(60),
        user_transport: Transport::Sctp(transport),
        policy: Policy::RoundRobin,
    }
}

impl Lab {
    pub(crate) fn new(config: ServerConfig) -> Self {
        let now = Instant::now();
        Self {
            now,
            server: name_server(SERVER, config, None, now),
            others: BTreeMap::new(),
            pes: BTreeMap::new(),
            pus: BTreeMap::new(),
            faults: BTreeMap::new(),
            loss: 0,
            dice: Rng::new(1),
            wire: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Name servers that are peers, the first at [`SERVER`]; the others at these hosts know the first only.
    pub(crate) fn with_peers(config: ServerConfig, others: &[u8]) -> Self {
        let mut lab = Self::new(config.clone());
        lab.server = name_server(SERVER, config.clone(), Some(Vec::new()), lab.now);
        for &host in others {
            let mentor = PeerAddress { addresses: vec![ip(SERVER)], port: ENRP_PORT };
            lab.others.insert(host, name_server(host, config.clone(), Some(vec![mentor]), lab.now));
        }
        lab
    }

    /// The node at a host.
    pub(crate) fn server_at(&self, host: u8) -> &Server {
        self.others.get(&host).unwrap_or(&self.server).server()
    }

    /// A pool element that registers; its PE identifier is its host number.
    pub(crate) fn start_pe(&mut self, host: u8) {
        self.start_pe_with(host, &[SERVER]);
    }

    /// The same with these servers, in order of preference.
    pub(crate) fn start_pe_with(&mut self, host: u8, servers: &[u8]) {
        let mut config = PeConfig::default();
        config.hunt.servers = servers.iter().map(|&server| ServerAddress::new(ip(server))).collect();
        config.hunt.max_parallel = 1;
        let mut machine = PeMachine::new(config, PeId(host.into()), host.into());
        machine.register(self.now, registration(host)).expect("a valid registration");
        self.pes.insert(host, Client::new(machine, host, self.now));
    }

    /// A pool user that resolves the pool and subscribes.
    pub(crate) fn start_pu(&mut self, host: u8) {
        self.start_pu_with(host, SERVER);
    }

    /// The same with this server.
    pub(crate) fn start_pu_with(&mut self, host: u8, server: u8) {
        let mut config = PuConfig::default();
        config.hunt.servers = vec![ServerAddress::new(ip(server))];
        let mut machine = PuMachine::new(config, host.into());
        machine.resolve(self.now, &pool());
        self.pus.insert(host, Client::new(machine, host, self.now));
    }

    /// The pool as the user has it in its cache, sorted.
    pub(crate) fn cached(&self, pu: u8) -> Vec<u32> {
        self.cached_in(pu, &pool())
    }

    /// The same for another pool.
    pub(crate) fn cached_in(&self, pu: u8, handle: &PoolHandle) -> Vec<u32> {
        let pool = self.pus[&pu].machine.pool(handle);
        let mut ids: Vec<u32> = pool.map(|pool| pool.elements().iter().map(|e| e.id.0).collect()).unwrap_or_default();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn pump(&mut self) {
        for host in self.hosts() {
            if self.faults.contains_key(&host) {
                continue;
            }
            let now = self.now;
            while let Some(transmit) = self.host(host).transmit(now) {
                self.carry(transmit);
            }
        }
    }

    /// Runs until `done`, at most for `limit_ms`; gives how long it took, or `None`.
    pub(crate) fn run(&mut self, limit_ms: u64, mut done: impl FnMut(&mut Self) -> bool) -> Option<Duration> {
        let (start, end) = (self.now, self.now + Duration::from_millis(limit_ms));
        self.pump();
        loop {
            if done(self) {
                return Some(self.now - start);
            }
            let alive: Vec<u8> = self.hosts().into_iter().filter(|host| !self.faults.contains_key(host)).collect();
            let timers = alive.iter().filter_map(|&host| self.host(host).next()).min();
            let packet = self.wire.keys().next().map(|key| key.0);
            let next = packet.into_iter().chain(timers).min().filter(|&next| next <= end);
            let Some(next) = next else {
                self.now = end;
                return None;
            };
            self.now = self.now.max(next);
            self.deliver();
            for host in alive {
                let now = self.now;
                if self.host(host).next().is_some_and(|at| at <= now) {
                    self.host(host).timeout(now);
                }
            }
            self.pump();
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, packet) = entry.remove();
            let now = self.now;
            match (packet, self.faults.get(&to)) {
                (Packet::Data(datagram), None) => self.host(to).datagram(now, datagram),
                (Packet::Icmp(error), None) => self.host(to).unreachable(now, &error),
                (Packet::Data(datagram), Some(Fault::Killed)) => self.reject(to, datagram),
                (_, Some(_)) => {}
            }
        }
    }

    /// The kernel of a killed process answers a datagram.
    fn reject(&mut self, host: u8, datagram: Datagram) {
        let IpAddr::V4(from) = datagram.from.ip() else { return };
        let to = SocketAddr::new(ip(host), 9899);
        let error = Unreachable { to, quoted: datagram.payload, port: true };
        self.put(from.octets()[3], Packet::Icmp(error));
    }

    fn carry(&mut self, transmit: Transmit) {
        if self.dice.below(100) < self.loss {
            return;
        }
        let IpAddr::V4(to) = transmit.to.ip() else { return };
        let from = SocketAddr::new(transmit.from, 9899);
        let datagram = Datagram { from, to: transmit.to.ip(), payload: transmit.payload };
        self.put(to.octets()[3], Packet::Data(datagram));
    }

    fn put(&mut self, host: u8, packet: Packet) {
        self.serial += 1;
        self.wire.insert((self.now + DELAY, self.serial), (host, packet));
    }

    fn hosts(&self) -> Vec<u8> {
        let servers = [SERVER].into_iter().chain(self.others.keys().copied());
        servers.chain(self.pes.keys().copied()).chain(self.pus.keys().copied()).collect()
    }

    fn host(&mut self, host: u8) -> &mut dyn Host {
        if host == SERVER {
            &mut self.server
        } else if let Some(server) = self.others.get_mut(&host) {
            server
        } else if let Some(pe) = self.pes.get_mut(&host) {
            pe
        } else {
            self.pus.get_mut(&host).expect("a host of the lab")
        }
    }
}

fn name_server(host: u8, config: ServerConfig, peers: Option<Vec<PeerAddress>>, now: Instant) -> Node {
    let stack = Stack::new(sctp::Config::default(), vec![ip(host)], [host; 32], now);
    let mut server = Server::new(config, ServerId(0x0900 + u32::from(host)), host.into());
    let mut ports = Ports::default();
    if let Some(peers) = peers {
        ports.enrp = Some(ENRP_PORT);
        server = server.with_peers_at(PeersConfig::default(), enrp_transport(vec![ip(host)], ENRP_PORT));
        server.set_peers(now, peers);
    }
    Node::new("enrp", Box::new(stack), enrp::Host::new(server, ports, 9899))
}
