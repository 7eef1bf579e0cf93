//! A pool element, a pool user and two name servers on a virtual clock, with delays, silent and dying servers, by seed.
//!
//! The servers here know just enough: they register, resolve, and tell subscribers. The network delivers in order per connection,
//! as SCTP does, or the connection ends. Whatever the faults were: when they end, the element is registered with a live server
//! and the user selects it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use asap::pool_element::Registration;
use asap::pool_user::Selection;
use asap::wire::{
    ErrorCause, Limits, Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, Transport,
    TransportUse,
};
use asap::{ConnId, HuntConfig, PeConfig, PeMachine, PuConfig, PuMachine, ServerAddress, Transmit};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const PE: PeId = PeId(7);
const SERVERS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Client {
    Pe,
    Pu,
}

type Conn = (Client, ConnId);

/// What arrives somewhere at a time.
#[derive(Debug)]
enum Arrival {
    Connected(Conn),
    Closed(Conn),
    ToClient(Conn, Bytes),
    ToServer(Conn, Bytes),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Up,
    /// Accepts connections and bytes, answers nothing: stopped, not dead.
    Silent,
    Dead,
}

struct Server {
    health: Health,
    pool: BTreeMap<PeId, PoolElement>,
    subscribers: BTreeSet<Conn>,
}

struct World {
    now: Instant,
    random: asap::policy::Rng,
    pe: PeMachine,
    pu: PuMachine,
    servers: Vec<Server>,
    /// Which server each connection goes to.
    conns: BTreeMap<Conn, usize>,
    /// By time, then by order of sending.
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    count: u64,
}

fn handle() -> PoolHandle {
    "pool".into()
}

fn hunt() -> HuntConfig {
    let servers = (1..=2).map(|n| ServerAddress::new([127, 0, 0, n].into())).collect();
    HuntConfig { servers, ..HuntConfig::default() }
}

impl World {
    fn new(seed: u64) -> Self {
        let servers = (0..SERVERS)
            .map(|_| Server { health: Health::Up, pool: BTreeMap::new(), subscribers: BTreeSet::new() })
            .collect();
        Self {
            now: Instant::now(),
            random: asap::policy::Rng::new(seed),
            // Every second world waits for a takeover, which does not come here.
            pe: PeMachine::new(
                PeConfig { hunt: hunt(), home_wait_ms: seed % 2 * 200, ..PeConfig::default() },
                PE,
                seed,
            ),
            pu: PuMachine::new(PuConfig { hunt: hunt(), ..PuConfig::default() }, seed),
            servers,
            conns: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            count: 0,
        }
    }

    fn post(&mut self, arrival: Arrival) {
        // One delay for all keeps each connection in order.
        self.count += 1;
        self.arrivals.insert((self.now + Duration::from_millis(10), self.count), arrival);
    }

    fn drain(&mut self) {
        while self.pe.poll_event().is_some() || self.pu.poll_event().is_some() {}
        while let Some(transmit) = self.pe.poll_transmit() {
            self.transmit(Client::Pe, transmit);
        }
        while let Some(transmit) = self.pu.poll_transmit() {
            self.transmit(Client::Pu, transmit);
        }
    }

    fn transmit(&mut self, client: Client, transmit: Transmit) {
        match transmit {
            Transmit::Connect { conn, server } => {
                let IpAddr::V4(address) = server.addresses[0] else { panic!("v4") };
                let server = usize::from(address.octets()[3] - 1);
                let conn = (client, conn);
                match self.servers[server].health {
                    Health::Dead => self.post(Arrival::Closed(conn)),
                    Health::Up | Health::Silent => {
                        self.conns.insert(conn, server);
                        self.post(Arrival::Connected(conn));
                    }
                }
            }
            Transmit::Send { conn, bytes } => self.post(Arrival::ToServer((client, conn), bytes)),
            Transmit::Close { conn } => {
                if let Some(server) = self.conns.remove(&(client, conn)) {
                    self.leave(server, (client, conn));
                }
            }
        }
    }

    /// A connection ended at the server: what came over it goes (rsplib does the same).
    fn leave(&mut self, server: usize, conn: Conn) {
        self.servers[server].subscribers.remove(&conn);
        if conn.0 == Client::Pe && self.servers[server].pool.remove(&PE).is_some() {
            self.update(server);
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Connected((Client::Pe, conn)) => self.pe.handle_connected(self.now, conn),
            Arrival::Connected((Client::Pu, conn)) => self.pu.handle_connected(self.now, conn),
            Arrival::Closed((Client::Pe, conn)) => self.pe.handle_closed(self.now, conn),
            Arrival::Closed((Client::Pu, conn)) => self.pu.handle_closed(self.now, conn),
            Arrival::ToClient(conn, _) if !self.conns.contains_key(&conn) => {}
            Arrival::ToClient((Client::Pe, conn), bytes) => self.pe.handle_received(self.now, conn, &bytes),
            Arrival::ToClient((Client::Pu, conn), bytes) => self.pu.handle_received(self.now, conn, &bytes),
            Arrival::ToServer(conn, bytes) => self.serve(conn, &bytes),
        }
    }

    fn serve(&mut self, conn: Conn, bytes: &[u8]) {
        let Some(&at) = self.conns.get(&conn) else { return };
        if self.servers[at].health != Health::Up {
            return;
        }
        let message = Message::decode(bytes, &Limits::default()).unwrap().message;
        if let Message::Registration { handle, element } = message {
            let pe_id = element.id;
            self.servers[at].pool.insert(pe_id, element);
            self.reply(conn, &Message::RegistrationResponse { reject: false, handle, pe_id, error: None });
            self.update(at);
        } else if let Message::HandleResolution { subscribe, .. } = message {
            if subscribe && !self.servers[at].pool.is_empty() {
                self.servers[at].subscribers.insert(conn);
            }
            let answer = self.resolution(at);
            self.reply(conn, &answer);
        } else {
            panic!("not sent in this test: {message:?}");
        }
    }

    fn resolution(&self, server: usize) -> Message {
        let elements: Vec<PoolElement> = self.servers[server].pool.values().cloned().collect();
        let known = !elements.is_empty();
        Message::HandleResolutionResponse {
            subscribed: known,
            handle: handle(),
            policy: None,
            elements,
            error: (!known).then(|| ErrorCause::UnknownPoolHandle.into()),
        }
    }

    fn update(&mut self, server: usize) {
        let answer = self.resolution(server);
        for conn in self.servers[server].subscribers.clone() {
            self.reply(conn, &answer);
        }
        if self.servers[server].pool.is_empty() {
            self.servers[server].subscribers.clear();
        }
    }

    fn reply(&mut self, conn: Conn, message: &Message) {
        self.post(Arrival::ToClient(conn, message.encode().unwrap()));
    }

    fn set_health(&mut self, server: usize, health: Health) {
        self.servers[server].health = health;
        if health == Health::Dead {
            self.servers[server].pool.clear();
            self.servers[server].subscribers.clear();
            let ended: Vec<Conn> = self.conns.iter().filter(|(_, at)| **at == server).map(|(&conn, _)| conn).collect();
            for conn in ended {
                self.conns.remove(&conn);
                self.post(Arrival::Closed(conn));
            }
        }
    }

    /// Runs until the time is over; events in the order of their times.
    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            self.drain();
            let timers = [self.pe.poll_timeout(), self.pu.poll_timeout()];
            let arrival = self.arrivals.first_key_value().map(|(&(at, _), _)| at);
            let next = timers.into_iter().flatten().chain(arrival).min().filter(|&next| next <= end);
            let Some(next) = next else { break };
            assert!(next >= self.now || arrival != Some(next), "time goes forward");
            self.now = next.max(self.now);
            while let Some(entry) = self.arrivals.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let arrival = entry.remove();
                self.arrive(arrival);
            }
            self.pe.handle_timeout(self.now);
            self.pu.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn home_of_pe(&self) -> Option<usize> {
        self.conns.get(&(Client::Pe, self.pe.home()?)).copied()
    }

    fn home_of_pu(&self) -> Option<usize> {
        self.conns.get(&(Client::Pu, self.pu.home()?)).copied()
    }

    fn start(&mut self) {
        let user_transport = Transport::Sctp(SctpTransport {
            port: 2905,
            transport_use: TransportUse::DataAndControl,
            addresses: [[127, 0, 0, 9].into()].into(),
        });
        let registration = Registration {
            handle: handle(),
            life: RegistrationLife::Seconds(30),
            user_transport,
            policy: Policy::RoundRobin,
        };
        self.pe.register(self.now, registration).unwrap();
        self.pu.resolve(self.now, &handle());
    }

    fn selects(&mut self) -> bool {
        matches!(self.pu.select(self.now, &handle(), |_| true), Selection::Element { pe: PE, .. })
    }
}

#[test]
fn without_faults_both_find_each_other_in_three_round_trips() {
    let mut world = World::new(1);
    world.start();
    world.run(60);
    assert!(world.pe.is_registered(&handle()));
    world.run(200);
    assert!(world.selects());
    assert_eq!((world.home_of_pe(), world.home_of_pu()), (Some(0), Some(0)));
    // Nothing goes on for its own sake: one re-registration in its 15 s less up to 10 %, no polling.
    let before = world.pu.counters().requests_sent;
    world.run(13_000);
    assert_eq!((world.pu.counters().requests_sent, world.pe.counters().registrations_sent), (before, 1));
}

#[test]
fn a_dead_server_is_replaced_within_the_round_trips_it_takes() {
    let mut world = World::new(2);
    world.start();
    world.run(500);
    world.set_health(0, Health::Dead);
    world.run(10 + 20 + 20);
    assert!(world.pe.is_registered(&handle()));
    world.run(150);
    assert_eq!((world.home_of_pe(), world.home_of_pu()), (Some(1), Some(1)));
    assert!(world.selects());
}

/// Random faults for 20 s, then one server is well, and 10 s later all is well.
fn storm(seed: u64) {
    let mut world = World::new(seed);
    world.start();
    for _ in 0..40 {
        let server = usize::from(world.random.below(2) == 1);
        let health = [Health::Up, Health::Silent, Health::Dead][usize::try_from(world.random.below(3)).unwrap()];
        world.set_health(server, health);
        world.selects();
        let pause = world.random.below(1_000);
        world.run(pause);
        let (pe, pu) = (world.pe.counters(), world.pu.counters());
        // In 40 s at the most, one per 75 ms at the most.
        let elapsed_limit = 40 * 1_000 / 75;
        assert!(pe.registrations_sent < elapsed_limit && pu.requests_sent < elapsed_limit, "no storm of our own");
    }
    let survivor = usize::from(world.random.below(2) == 1);
    world.set_health(1 - survivor, Health::Dead);
    world.set_health(survivor, Health::Up);
    world.run(10_000);
    world.selects();
    world.run(10_000);
    assert_eq!(world.home_of_pe(), Some(survivor), "seed {seed}");
    assert!(world.pe.is_registered(&handle()), "seed {seed}");
    assert!(world.servers[survivor].pool.contains_key(&PE), "seed {seed}");
    assert!(world.selects(), "seed {seed}");
}

#[test]
fn when_the_storm_is_over_all_is_well() {
    (0..500).for_each(storm);
}
