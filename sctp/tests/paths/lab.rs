//! Two hosts with several addresses each, on networks that are cut one by one, in virtual time.

use bytes::Bytes;
use sctp::{AssocId, CloseReason, Config, Connect, Datagram, Event, Info, PathState, SendOptions, Stack, Transmit};
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub const A: usize = 0;
pub const B: usize = 1;
pub const PORT: u16 = 2905;
const UDP: u16 = 9899;

/// Address of a host on a network. Networks 0 to 6 are IPv4, 7 and up IPv6.
pub fn ip(host: usize, network: usize) -> IpAddr {
    let (host, network) = (1 + host as u16, network as u16);
    if network < 7 {
        IpAddr::from([10, 0, network as u8, host as u8])
    } else {
        IpAddr::from([0x2001, 0xdb8, network, 0, 0, 0, 0, host])
    }
}

pub fn to(host: usize, network: usize) -> SocketAddr {
    SocketAddr::new(ip(host, network), UDP)
}

pub struct Lab {
    pub now: Instant,
    pub stacks: Vec<Stack>,
    networks: Vec<usize>,
    /// Sender's address and receiver's between which nothing passes.
    cut: HashSet<(IpAddr, IpAddr)>,
    pub delay: Duration,
    /// What each host was told, and when.
    pub events: Vec<Vec<(Instant, Event)>>,
    /// Every packet that left, when `record` is set.
    pub sent: Vec<(Instant, usize, Transmit)>,
    pub record: bool,
    wire: BTreeMap<(Instant, u64), (usize, Datagram)>,
    serial: u64,
}

impl Lab {
    /// Host A and host B have an address on each of these networks.
    pub fn new(networks: &[usize], config: &Config) -> Self {
        Self::with(networks, networks, config)
    }

    pub fn with(of_a: &[usize], of_b: &[usize], config: &Config) -> Self {
        let now = Instant::now();
        let host = |host: usize, networks: &[usize]| {
            let addresses = networks.iter().map(|n| ip(host, *n)).collect();
            // One length of packets: probes of the path MTU would be heartbeats too.
            let config = Config { mtu_max: 0, ..config.clone() };
            Stack::new(config, addresses, [1 + host as u8; 32], now)
        };
        let mut stacks = vec![host(A, of_a), host(B, of_b)];
        stacks[B].listen(PORT);
        let networks = (0..20).filter(|n| of_a.contains(n) || of_b.contains(n)).collect();
        Self {
            now,
            stacks,
            networks,
            cut: HashSet::new(),
            delay: Duration::from_millis(1),
            events: vec![Vec::new(), Vec::new()],
            sent: Vec::new(),
            record: false,
            wire: BTreeMap::new(),
            serial: 0,
        }
    }

    /// An association up, with every address proved.
    pub fn up(&mut self, networks: &[usize]) -> (AssocId, AssocId) {
        let peer = networks.iter().map(|n| to(B, *n)).collect();
        let connect = Connect { peer, peer_port: PORT, local_port: None };
        let a = self.stacks[A].connect(self.now, connect).unwrap();
        assert!(self.run_until(5_000, |lab| lab.up_of(B).is_some() && lab.up_of(A).is_some()));
        let b = self.up_of(B).unwrap();
        let proved =
            |lab: &Self| [(A, a), (B, b)].iter().all(|(h, id)| lab.info(*h, *id).paths.iter().all(|p| p.confirmed));
        assert!(self.run_until(5_000, proved), "every address proves itself");
        self.events = vec![Vec::new(), Vec::new()];
        (a, b)
    }

    pub fn info(&self, host: usize, assoc: AssocId) -> Info {
        self.stacks[host].info(assoc).expect("the association is there")
    }

    /// Network of the path that data takes.
    pub fn in_use(&self, host: usize, assoc: AssocId) -> usize {
        let info = self.info(host, assoc);
        let mut used = info.paths.iter().filter(|p| p.in_use);
        let address = used.next().expect("one is in use").address;
        assert!(used.next().is_none(), "and only one");
        self.network(address.ip())
    }

    fn network(&self, address: IpAddr) -> usize {
        let on = |n: &&usize| [A, B].iter().any(|h| ip(*h, **n) == address);
        *self.networks.iter().find(on).expect("an address of the lab")
    }

    pub fn state(&self, host: usize, assoc: AssocId, network: usize) -> PathState {
        let info = self.info(host, assoc);
        info.paths.iter().find(|p| p.address == to(1 - host, network)).expect("a path").state
    }

    pub fn cut(&mut self, network: usize, from: &[usize]) {
        for host in from {
            self.cut.insert((ip(*host, network), ip(1 - host, network)));
        }
    }

    pub fn restore(&mut self, network: usize) {
        for host in [A, B] {
            self.cut.remove(&(ip(host, network), ip(1 - host, network)));
        }
    }

    fn up_of(&self, host: usize) -> Option<AssocId> {
        self.events[host].iter().find_map(|(_, e)| if let Event::Up { assoc, .. } = e { Some(*assoc) } else { None })
    }

    pub fn closed(&self, host: usize) -> Option<(Instant, CloseReason)> {
        self.events[host]
            .iter()
            .find_map(|(at, e)| if let Event::Closed { reason, .. } = e { Some((*at, reason.clone())) } else { None })
    }

    /// States of the path over this network as the host was told.
    pub fn told(&self, host: usize, network: usize) -> Vec<(Duration, PathState)> {
        let begin = self.events[host].first().map_or(self.now, |(at, _)| *at);
        let of = |(at, e): &(Instant, Event)| match e {
            Event::Path { address, state, .. } if *address == to(1 - host, network) => Some((*at - begin, *state)),
            _ => None,
        };
        self.events[host].iter().filter_map(of).collect()
    }

    pub fn send(&mut self, host: usize, assoc: AssocId, number: u64) {
        let mut payload = vec![0; 200];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        let options = SendOptions { stream: (number % 16) as u16, ppid: 3, unordered: false, context: number };
        self.stacks[host].send(self.now, assoc, options, Bytes::from(payload)).unwrap();
    }

    /// Numbers of the messages that came to a host, and when.
    pub fn received(&self, host: usize) -> Vec<(Instant, u64)> {
        let message = |(at, e): &(Instant, Event)| match e {
            Event::Message { payload, .. } => Some((*at, u64::from_be_bytes(payload[..8].try_into().unwrap()))),
            _ => None,
        };
        self.events[host].iter().filter_map(message).collect()
    }

    pub fn drain(&mut self) {
        for host in [A, B] {
            while let Some(transmit) = self.stacks[host].poll_transmit(self.now) {
                self.carry(host, transmit);
            }
            while let Some(event) = self.stacks[host].poll_event() {
                self.events[host].push((self.now, event));
            }
        }
    }

    fn carry(&mut self, host: usize, transmit: Transmit) {
        if self.record {
            self.sent.push((self.now, host, transmit.clone()));
        }
        let (from, dest) = (transmit.from, transmit.to.ip());
        // No routing between the networks: a packet leaves on that of its source and arrives on that of its destination.
        let joined = self.networks.iter().any(|n| ip(host, *n) == from && ip(1 - host, *n) == dest);
        if !joined || self.cut.contains(&(from, dest)) {
            return;
        }
        self.serial += 1;
        let datagram = Datagram { from: SocketAddr::new(from, UDP), to: dest, payload: transmit.payload };
        self.wire.insert((self.now + self.delay, self.serial), (1 - host, datagram));
    }

    /// Runs for so many milliseconds, or until `done`; whether it was done.
    pub fn run_until(&mut self, ms: u64, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + Duration::from_millis(ms);
        self.drain();
        while !done(self) {
            let packet = self.wire.keys().next().map(|(at, _)| *at);
            let timer = self.stacks.iter().filter_map(Stack::poll_timeout).min();
            let next = packet.into_iter().chain(timer).min().unwrap_or(end);
            if next > end {
                self.now = end;
                return done(self);
            }
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let (host, datagram) = entry.remove();
                self.stacks[host].handle_datagram(self.now, datagram);
            }
            for stack in &mut self.stacks {
                if stack.poll_timeout().is_some_and(|at| at <= self.now) {
                    stack.handle_timeout(self.now);
                }
            }
            self.drain();
        }
        true
    }

    pub fn run(&mut self, ms: u64) {
        self.run_until(ms, |_| false);
    }
}
