//! Name servers and pool elements in virtual time, on a network of associations that can lose, be cut, and end.
//!
//! An association is reliable, as SCTP is: a lost message comes late, never not at all, and order stays. A cut holds everything up; an
//! association over it ends after [`PATIENCE`], and what it held is lost.

mod check;

use asap::policy::Rng;
use asap::wire::{
    Limits as WireLimits, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId,
    Transport, TransportUse,
};
use bytes::Bytes;
use enrp::{Attempt, ClientId, Event, Output, PeerAddress, PeersConfig, Server, ServerConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// After so long an association ends whose other end does not answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1_500);
/// What a PE waits for a new home before it looks for one itself.
const HOME_WAIT: Duration = Duration::from_millis(1_200);
const DELAY: Duration = Duration::from_micros(500);

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Who is at an end of an association: a server or a PE, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    Server(usize),
    Pe(usize),
}

#[derive(Debug)]
enum What {
    Message { to: Who, assoc: u64, ppid: u32, bytes: Bytes },
    Up { who: usize, attempt: Attempt, assoc: u64 },
    Failed { who: usize, attempt: Attempt },
    Lost { who: Who, assoc: u64, certain: bool },
}

#[derive(Debug)]
struct Assoc {
    ends: [Who; 2],
    /// When the last message of each direction arrives.
    last: [Instant; 2],
    /// It was cut since then.
    cut: Option<Instant>,
}

pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) up: bool,
    pub(crate) events: Vec<(Instant, Event)>,
}

pub(crate) struct Pe {
    pub(crate) id: PeId,
    pub(crate) handle: PoolHandle,
    /// Its home and the association with it.
    pub(crate) home: Option<(usize, u64)>,
    pub(crate) up: bool,
    next: Instant,
    load: u32,
}

pub(crate) struct Lab {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pes: Vec<Pe>,
    assocs: BTreeMap<u64, Assoc>,
    queue: BTreeMap<(Instant, u64), What>,
    held: Vec<(Who, u64, u32, Bytes)>,
    cuts: BTreeSet<(Who, Who)>,
    /// Messages that come late, of a thousand.
    pub(crate) loss: u64,
    next: u64,
    pub(crate) random: Rng,
    pub(crate) config: PeersConfig,
    /// ENRP messages by type.
    pub(crate) enrp: BTreeMap<u8, u64>,
}

fn server_ip(n: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(n + 1).unwrap()))
}

fn transport_of(who: Who) -> SctpTransport {
    let (ip, port) = match who {
        Who::Server(n) => (server_ip(n), 9901),
        Who::Pe(n) => (IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)), 10_000 + u16::try_from(n).unwrap()),
    };
    SctpTransport { port, transport_use: TransportUse::DataOnly, addresses: [ip].into() }
}

fn source_of(who: Who) -> Vec<SocketAddr> {
    let transport = transport_of(who);
    transport.addresses.iter().map(|&ip| SocketAddr::new(ip, transport.port)).collect()
}

pub(crate) fn address_of(n: usize) -> PeerAddress {
    PeerAddress { addresses: vec![server_ip(n)], port: 9901 }
}

impl Lab {
    pub(crate) fn new(seed: u64, config: PeersConfig) -> Self {
        let now = Instant::now();
        Self {
            start: now,
            now,
            nodes: Vec::new(),
            pes: Vec::new(),
            assocs: BTreeMap::new(),
            queue: BTreeMap::new(),
            held: Vec::new(),
            cuts: BTreeSet::new(),
            loss: 0,
            next: 1,
            random: Rng::new(seed),
            config,
            enrp: BTreeMap::new(),
        }
    }

    /// So many servers, each with all others configured, and so many PEs spread over them; all at rest.
    pub(crate) fn running(seed: u64, servers: usize, pes: usize) -> Self {
        let mut lab = Self::new(seed, PeersConfig::default());
        for n in 0..servers {
            let id = 100 + 10 * u32::try_from(n).unwrap();
            lab.add_server(ServerId(id), servers);
        }
        lab.run(ms(1_500));
        for n in 0..pes {
            lab.add_pe(n % servers);
        }
        lab.run(ms(1_500));
        lab.assert_settled();
        lab
    }

    fn make(&mut self, id: ServerId, n: usize) -> Server {
        let config = ServerConfig { pes_max: 200_000, pools_max: 50_000, ..ServerConfig::default() };
        let seed = self.random.next_u64();
        Server::new(config, id, seed).with_peers_at(self.config.clone(), transport_of(Who::Server(n)))
    }

    /// A server that has the first `servers` configured.
    pub(crate) fn add_server(&mut self, id: ServerId, servers: usize) -> usize {
        let n = self.nodes.len();
        let server = self.make(id, n);
        self.nodes.push(Node { server, up: true, events: Vec::new() });
        self.nodes[n].server.set_peers(self.now, (0..servers).map(address_of).collect());
        self.drain(n);
        n
    }

    /// The server's process is there again, with another identifier.
    pub(crate) fn restart(&mut self, n: usize, id: ServerId) {
        let servers = self.nodes.len();
        self.nodes[n].server = self.make(id, n);
        self.nodes[n].up = true;
        self.nodes[n].server.set_peers(self.now, (0..servers).map(address_of).collect());
        self.drain(n);
    }

    pub(crate) fn add_pe(&mut self, server: usize) -> usize {
        let n = self.pes.len();
        self.pes.push(Pe {
            id: PeId(u32::try_from(n).unwrap() + 1),
            handle: PoolHandle::from(format!("pool-{}", n % 7).as_str()),
            home: None,
            up: true,
            next: self.now,
            load: 0,
        });
        self.register(n, server);
        n
    }

    /// The PE registers with a server over a new association.
    pub(crate) fn register(&mut self, pe: usize, server: usize) {
        if !self.nodes[server].up || self.is_cut(Who::Pe(pe), Who::Server(server)) {
            self.pes[pe].next = self.now + ms(200);
            return;
        }
        let assoc = self.open(Who::Pe(pe), Who::Server(server));
        if let Some((_, old)) = self.pes[pe].home.replace((server, assoc)) {
            self.end(old, Who::Pe(pe));
        }
        self.reregister(pe);
    }

    fn reregister(&mut self, pe: usize) {
        let load = self.random.below(1 << 31) as u32;
        let wait = 2_000 + self.random.below(2_000);
        let it = &mut self.pes[pe];
        it.next = self.now + ms(wait);
        it.load = load;
        let Some((server, assoc)) = it.home else { return };
        let element = PoolElement {
            id: it.id,
            home: ServerId(0),
            life: RegistrationLife::Seconds(600),
            user_transport: Transport::Sctp(transport_of(Who::Pe(pe))),
            policy: Policy::LeastUsed { load },
            asap_transport: None,
        };
        let message = Message::Registration { handle: it.handle.clone(), element };
        self.transmit(Who::Pe(pe), Who::Server(server), assoc, 11, message.encode().unwrap());
    }

    fn open(&mut self, a: Who, b: Who) -> u64 {
        self.next += 1;
        self.assocs.insert(self.next, Assoc { ends: [a, b], last: [self.now; 2], cut: None });
        self.next
    }

    /// One end closes: the other learns it for certain.
    fn end(&mut self, assoc: u64, by: Who) {
        if let Some(gone) = self.assocs.remove(&assoc) {
            for who in gone.ends {
                // Over a cut the other end learns it by silence.
                let cut = self.is_cut(gone.ends[0], gone.ends[1]) && who != by;
                let at = self.now
                    + if who == by {
                        Duration::ZERO
                    } else if cut {
                        PATIENCE
                    } else {
                        2 * DELAY
                    };
                self.push(at, What::Lost { who, assoc, certain: !cut });
            }
        }
    }

    fn push(&mut self, at: Instant, what: What) {
        self.next += 1;
        self.queue.insert((at, self.next), what);
    }

    fn is_cut(&self, a: Who, b: Who) -> bool {
        self.cuts.contains(&(a.min(b), a.max(b)))
    }

    fn transmit(&mut self, from: Who, to: Who, assoc: u64, ppid: u32, bytes: Bytes) {
        if self.is_cut(from, to) {
            if self.assocs.contains_key(&assoc) {
                self.held.push((to, assoc, ppid, bytes));
            }
            return;
        }
        let late = if self.random.below(1_000) < self.loss { ms(20 + self.random.below(60)) } else { DELAY };
        let Some(it) = self.assocs.get_mut(&assoc) else { return };
        let direction = usize::from(it.ends[1] == to);
        let at = (self.now + late).max(it.last[direction]);
        it.last[direction] = at;
        self.push(at, What::Message { to, assoc, ppid, bytes });
    }

    pub(crate) fn cut(&mut self, a: Who, b: Who) {
        self.cuts.insert((a.min(b), a.max(b)));
        for assoc in self.assocs.values_mut().filter(|it| it.ends.contains(&a) && it.ends.contains(&b)) {
            assoc.cut = Some(self.now);
        }
    }

    pub(crate) fn heal(&mut self, a: Who, b: Who) {
        self.cuts.remove(&(a.min(b), a.max(b)));
        for assoc in self.assocs.values_mut().filter(|it| it.ends.contains(&a) && it.ends.contains(&b)) {
            assoc.cut = None;
        }
        for (to, assoc, ppid, bytes) in std::mem::take(&mut self.held) {
            let Some(ends) = self.assocs.get(&assoc).map(|it| it.ends) else { continue };
            let from = if ends[0] == to { ends[1] } else { ends[0] };
            self.transmit(from, to, assoc, ppid, bytes);
        }
    }

    pub(crate) fn heal_all(&mut self) {
        for (a, b) in self.cuts.clone() {
            self.heal(a, b);
        }
    }

    /// The process is gone. `seen`: others see it at once (their packets are refused); else only by silence.
    pub(crate) fn crash(&mut self, n: usize, seen: bool) {
        self.nodes[n].up = false;
        self.gone(Who::Server(n), seen);
    }

    /// The PE is gone, at once and seen.
    pub(crate) fn crash_pe(&mut self, n: usize) {
        self.pes[n].up = false;
        self.pes[n].home = None;
        self.gone(Who::Pe(n), true);
    }

    fn gone(&mut self, who: Who, seen: bool) {
        let gone: Vec<_> = self.assocs.iter().filter(|(_, it)| it.ends.contains(&who)).map(|(&a, _)| a).collect();
        for assoc in gone {
            let it = self.assocs.remove(&assoc).unwrap();
            let other = if it.ends[0] == who { it.ends[1] } else { it.ends[0] };
            let at = self.now + if seen { 2 * DELAY } else { PATIENCE };
            self.push(at, What::Lost { who: other, assoc, certain: seen });
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = self.next_timer();
            let event = self.queue.keys().next().map(|key| key.0);
            let Some(at) = timer.into_iter().chain(event).min().filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.break_cut();
            self.step();
        }
        self.now = end;
        self.break_cut();
    }

    fn next_timer(&self) -> Option<Instant> {
        let servers = self.nodes.iter().filter(|n| n.up).filter_map(|n| n.server.poll_timeout());
        let pes = self.pes.iter().filter(|pe| pe.up).map(|pe| pe.next);
        servers.chain(pes).min()
    }

    /// Associations that were cut too long end at both ends.
    fn break_cut(&mut self) {
        let broken: Vec<_> = self
            .assocs
            .iter()
            .filter(|(_, it)| it.cut.is_some_and(|cut| cut + PATIENCE <= self.now))
            .map(|(&assoc, _)| assoc)
            .collect();
        for assoc in broken {
            for who in self.assocs.remove(&assoc).unwrap().ends {
                self.push(self.now, What::Lost { who, assoc, certain: false });
            }
        }
    }

    fn step(&mut self) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let what = entry.remove();
            self.happen(what);
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].up && self.nodes[n].server.poll_timeout().is_some_and(|at| at <= self.now) {
                self.nodes[n].server.handle_timeout(self.now);
                self.drain(n);
            }
        }
        for n in 0..self.pes.len() {
            if self.pes[n].up && self.pes[n].next <= self.now {
                if self.pes[n].home.is_some() {
                    self.reregister(n);
                } else {
                    let server = self.random.below(self.nodes.len() as u64) as usize;
                    self.register(n, server);
                }
            }
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Message { to: Who::Server(n), assoc, ppid, bytes } if self.nodes[n].up => {
                let Some(it) = self.assocs.get(&assoc) else { return };
                let from = if it.ends[0] == Who::Server(n) { it.ends[1] } else { it.ends[0] };
                if ppid == 12 {
                    *self.enrp.entry(bytes[0]).or_default() += 1;
                    self.nodes[n].server.handle_enrp(self.now, ClientId(assoc), &source_of(from), &bytes);
                } else {
                    self.nodes[n].server.handle_message(self.now, ClientId(assoc), &source_of(from), &bytes);
                }
                self.drain(n);
            }
            What::Message { to: Who::Pe(n), assoc, bytes, .. } if self.pes[n].up => self.pe_hears(n, assoc, &bytes),
            What::Message { .. } => {}
            What::Up { who, attempt, assoc } if self.nodes[who].up => {
                let Some(it) = self.assocs.get(&assoc) else { return };
                let other = it.ends[1];
                self.nodes[who].server.connected(self.now, attempt, ClientId(assoc), &source_of(other));
                self.drain(who);
            }
            What::Failed { who, attempt } if self.nodes[who].up => {
                self.nodes[who].server.connect_failed(self.now, attempt);
                self.drain(who);
            }
            What::Lost { who: Who::Server(n), assoc, certain } if self.nodes[n].up => {
                self.nodes[n].server.client_lost(self.now, ClientId(assoc), certain);
                self.drain(n);
            }
            What::Lost { who: Who::Pe(n), assoc, .. } if self.pes[n].up => {
                if self.pes[n].home.is_some_and(|(_, home)| home == assoc) {
                    self.pes[n].home = None;
                    self.pes[n].next = self.now + HOME_WAIT;
                }
            }
            What::Up { .. } | What::Failed { .. } | What::Lost { .. } => {}
        }
    }

    fn pe_hears(&mut self, n: usize, assoc: u64, bytes: &[u8]) {
        let Some(it) = self.assocs.get(&assoc) else { return };
        let Who::Server(server) = (if it.ends[0] == Who::Pe(n) { it.ends[1] } else { it.ends[0] }) else { return };
        let message = Message::decode(bytes, &WireLimits::default()).unwrap().message;
        if let Message::EndpointKeepAlive { home, handle, .. } = message {
            if handle == self.pes[n].handle {
                if home && self.pes[n].home != Some((server, assoc)) {
                    let old = self.pes[n].home.replace((server, assoc));
                    if let Some((_, old)) = old {
                        self.end(old, Who::Pe(n));
                    }
                    self.pes[n].next = self.now + ms(3_000);
                }
                let ack = Message::EndpointKeepAliveAck { handle, pe_id: self.pes[n].id };
                self.transmit(Who::Pe(n), Who::Server(server), assoc, 11, ack.encode().unwrap());
            }
        } else if matches!(message, Message::DeregistrationResponse { .. }) && self.pes[n].home == Some((server, assoc))
        {
            self.pes[n].next = self.now + ms(300);
        }
    }

    /// Does what a server wants done.
    fn drain(&mut self, n: usize) {
        while let Some(output) = self.nodes[n].server.poll_output() {
            match output {
                Output::Asap { client, bytes } => self.deliver(n, client, 11, bytes),
                Output::Enrp { client, bytes } => self.deliver(n, client, 12, bytes),
                Output::Connect { attempt, to, .. } => self.connect(n, attempt, &to),
                Output::Close { client } => {
                    let assoc = client.0;
                    self.end(assoc, Who::Server(n));
                }
                Output::Multicast { .. } => {}
            }
        }
        while let Some(event) = self.nodes[n].server.poll_event() {
            self.nodes[n].events.push((self.now, event));
        }
    }

    fn deliver(&mut self, n: usize, client: ClientId, ppid: u32, bytes: Bytes) {
        let Some(it) = self.assocs.get(&client.0) else { return };
        let to = if it.ends[0] == Who::Server(n) { it.ends[1] } else { it.ends[0] };
        self.transmit(Who::Server(n), to, client.0, ppid, bytes);
    }

    fn connect(&mut self, n: usize, attempt: Attempt, to: &SctpTransport) {
        let servers = (0..self.nodes.len()).map(Who::Server);
        let other = servers.chain((0..self.pes.len()).map(Who::Pe)).find(|&who| transport_of(who) == *to);
        let lives = match other {
            Some(Who::Server(other)) => self.nodes[other].up,
            Some(Who::Pe(other)) => self.pes[other].up,
            None => false,
        };
        match other {
            Some(other) if self.is_cut(Who::Server(n), other) => {
                self.push(self.now + ms(800), What::Failed { who: n, attempt });
            }
            Some(other) if lives => {
                let assoc = self.open(Who::Server(n), other);
                self.push(self.now + 4 * DELAY, What::Up { who: n, attempt, assoc });
            }
            Some(_) | None => self.push(self.now + 2 * DELAY, What::Failed { who: n, attempt }),
        }
    }

    /// Bytes from nowhere, over an association of their own that ends unasked.
    pub(crate) fn inject(&mut self, n: usize, client: u64, bytes: &[u8]) -> Vec<Output> {
        self.nodes[n].server.handle_enrp(self.now, ClientId(client), &[], bytes);
        std::iter::from_fn(|| self.nodes[n].server.poll_output()).collect()
    }
}
