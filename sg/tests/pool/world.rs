//! A network in virtual time: hosts with one address each or several, delay, addresses cut off, loss, death with and without ICMP, hanging processes.

use crate::peer::Peer;
use crate::raw::Raw;
use crate::user::User;
use sctp::driver::Node as _;
use sctp::{ClockAnchor, Datagram, Output, Transmit, Unreachable};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub(crate) const UDP_PORT: u16 = 9899;
/// What a stopped process's socket holds; the newest are dropped (spikes.md).
const SOCKET_DATAGRAMS: usize = 166;

pub(crate) enum Machine {
    Gateway(Box<sg::Node>),
    Controller(Box<gwc_pe::node::Node>),
    Peer(Box<Peer>),
    NameServer(Box<enrp::node::Node>),
    User(Box<User>),
    Raw(Box<Raw>),
}

impl Machine {
    /// For the message of a test that took one for another.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Machine::Gateway(_) => "a gateway",
            Machine::Controller(_) => "a controller",
            Machine::Peer(_) => "a peer",
            Machine::NameServer(_) => "a name server",
            Machine::User(_) => "a user",
            Machine::Raw(_) => "a raw ASP",
        }
    }
}

macro_rules! each {
    ($machine:expr, $node:ident => $what:expr) => {
        match $machine {
            Machine::Gateway($node) => $what,
            Machine::Controller($node) => $what,
            Machine::Peer($node) => $what,
            Machine::NameServer($node) => $what,
            Machine::User($node) => $what,
            Machine::Raw($node) => $what,
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Running,
    Hung,
    Dead,
}

struct Host {
    machine: Machine,
    life: Life,
    /// Arrived while it hung.
    socket: VecDeque<Arrival>,
}

enum Arrival {
    Datagram(Datagram),
    Icmp(Unreachable),
}

pub(crate) struct World {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) clock: ClockAnchor,
    hosts: BTreeMap<IpAddr, Host>,
    /// Further addresses of hosts.
    aliases: BTreeMap<IpAddr, IpAddr>,
    /// Nothing comes from these addresses or goes to them.
    pub(crate) cut: BTreeSet<IpAddr>,
    /// Datagrams sent to each address.
    pub(crate) sent_to: BTreeMap<IpAddr, u64>,
    /// By time of arrival, then order of sending.
    flying: BinaryHeap<Reverse<(Instant, u64)>>,
    cargo: BTreeMap<u64, (IpAddr, Arrival)>,
    count: u64,
    random: u64,
    /// One way, on top of 100 to 300 us.
    pub(crate) delay: Duration,
    /// Of 1,000 datagrams, how many are lost.
    pub(crate) loss_per_mille: u64,
    /// Whether a dead process's host says so.
    pub(crate) icmp: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            start: now,
            now,
            clock: ClockAnchor { instant: now, monotonic_ns: 1_000_000_000 },
            hosts: BTreeMap::new(),
            aliases: BTreeMap::new(),
            cut: BTreeSet::new(),
            sent_to: BTreeMap::new(),
            flying: BinaryHeap::new(),
            cargo: BTreeMap::new(),
            count: 0,
            random: seed | 1,
            delay: Duration::ZERO,
            loss_per_mille: 0,
            icmp: true,
        }
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub(crate) fn seed(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| (self.random() >> 24) as u8)
    }

    pub(crate) fn add(&mut self, ip: IpAddr, machine: Machine) {
        let host = Host { machine, life: Life::Running, socket: VecDeque::new() };
        assert!(self.hosts.insert(ip, host).is_none_or(|old| old.life == Life::Dead), "{ip} is taken");
        self.step(ip);
    }

    /// Gives a host one more address.
    pub(crate) fn alias(&mut self, host: IpAddr, address: IpAddr) {
        self.aliases.insert(address, host);
    }

    pub(crate) fn kill(&mut self, ip: IpAddr) {
        self.hosts.get_mut(&ip).unwrap().life = Life::Dead;
    }

    pub(crate) fn hang(&mut self, ip: IpAddr) {
        self.hosts.get_mut(&ip).unwrap().life = Life::Hung;
    }

    pub(crate) fn wake(&mut self, ip: IpAddr) {
        let host = self.hosts.get_mut(&ip).unwrap();
        host.life = Life::Running;
        let (socket, now) = (std::mem::take(&mut host.socket), self.now);
        for arrival in socket {
            arrive(&mut host.machine, now, arrival);
        }
        each!(&mut host.machine, node => node.handle_timeout(now));
        self.step(ip);
    }

    pub(crate) fn machine(&self, ip: IpAddr) -> &Machine {
        &self.hosts[&ip].machine
    }

    pub(crate) fn with<R>(&mut self, ip: IpAddr, work: impl FnOnce(&mut Machine, Instant) -> R) -> R {
        let now = self.now;
        let result = work(&mut self.hosts.get_mut(&ip).unwrap().machine, now);
        self.step(ip);
        result
    }

    pub(crate) fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.hosts.values().map(|host| &host.machine)
    }

    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.now.duration_since(self.start).as_millis() as u64
    }

    /// Flush and send, as the driver does after a batch.
    fn step(&mut self, ip: IpAddr) {
        let now = self.now;
        let mut out = Vec::new();
        let host = self.hosts.get_mut(&ip).unwrap();
        each!(&mut host.machine, node => {
            node.flush(now).unwrap();
            while let Some(transmit) = node.poll_output(now).and_then(Output::packet) {
                out.push(transmit);
            }
        });
        for transmit in out {
            self.send(transmit);
        }
    }

    fn send(&mut self, transmit: Transmit) {
        assert_eq!(transmit.to.port(), UDP_PORT);
        *self.sent_to.entry(transmit.to.ip()).or_default() += 1;
        if [transmit.from, transmit.to.ip()].iter().any(|ip| self.cut.contains(ip)) {
            return;
        }
        if self.random() % 1_000 < self.loss_per_mille {
            return;
        }
        let delay = self.delay + Duration::from_micros(100 + self.random() % 200);
        let from = std::net::SocketAddr::new(transmit.from, UDP_PORT);
        let datagram = Datagram { from, to: transmit.to.ip(), payload: transmit.payload };
        self.fly(delay, transmit.to.ip(), Arrival::Datagram(datagram));
    }

    fn fly(&mut self, delay: Duration, to: IpAddr, arrival: Arrival) {
        self.count += 1;
        self.flying.push(Reverse((self.now + delay, self.count)));
        let host = self.aliases.get(&to).copied().unwrap_or(to);
        self.cargo.insert(self.count, (host, arrival));
    }

    /// Runs until this many ms after the start.
    pub(crate) fn run_until(&mut self, ms: u64) {
        let end = self.start + Duration::from_millis(ms);
        let (mut last, mut idle) = (self.now, 0);
        loop {
            let timer = self
                .hosts
                .iter()
                .filter(|(_, host)| host.life == Life::Running)
                .filter_map(|(ip, host)| Some((each!(&host.machine, node => node.poll_timeout())?, *ip)))
                .min();
            let arrival = self.flying.peek().map(|Reverse((at, _))| *at);
            let Some(next) = timer.map(|(at, _)| at).into_iter().chain(arrival).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            idle = if last == self.now { idle + 1 } else { 0 };
            last = self.now;
            assert!(idle < 100_000, "a timer that is always due, at {:?}", timer.map(|(_, ip)| ip));
            if arrival.is_some_and(|at| at <= self.now) {
                self.deliver();
            } else if let Some((_, ip)) = timer {
                let now = self.now;
                each!(&mut self.hosts.get_mut(&ip).unwrap().machine, node => node.handle_timeout(now));
                self.step(ip);
            }
        }
        self.now = end;
    }

    /// Everything that has arrived, one batch a host.
    fn deliver(&mut self) {
        let mut batches: BTreeMap<IpAddr, Vec<Arrival>> = BTreeMap::new();
        while let Some(Reverse((at, number))) = self.flying.peek().copied() {
            if at > self.now {
                break;
            }
            self.flying.pop();
            let (to, arrival) = self.cargo.remove(&number).unwrap();
            batches.entry(to).or_default().push(arrival);
        }
        for (ip, batch) in batches {
            self.deliver_batch(ip, batch);
        }
    }

    fn deliver_batch(&mut self, ip: IpAddr, batch: Vec<Arrival>) {
        let now = self.now;
        let life = self.hosts.get(&ip).map_or(Life::Dead, |host| host.life);
        match life {
            Life::Running => {
                let host = self.hosts.get_mut(&ip).unwrap();
                for arrival in batch {
                    arrive(&mut host.machine, now, arrival);
                }
                self.step(ip);
            }
            Life::Hung => {
                let socket = &mut self.hosts.get_mut(&ip).unwrap().socket;
                socket.extend(batch);
                socket.truncate(SOCKET_DATAGRAMS);
            }
            Life::Dead if self.icmp => {
                for arrival in batch {
                    let Arrival::Datagram(datagram) = arrival else { continue };
                    let to = std::net::SocketAddr::new(ip, UDP_PORT);
                    let error = Unreachable { to, quoted: datagram.payload, port: true };
                    self.fly(Duration::from_micros(100), datagram.from.ip(), Arrival::Icmp(error));
                }
            }
            Life::Dead => {}
        }
    }
}

fn arrive(machine: &mut Machine, now: Instant, arrival: Arrival) {
    match arrival {
        Arrival::Datagram(datagram) => each!(machine, node => node.handle_input(now, datagram.into())),
        Arrival::Icmp(error) => each!(machine, node => node.handle_input(now, error.into())),
    }
}
