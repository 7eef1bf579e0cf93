//! A name server, processes of a population, and a pool user, on one network in virtual time.

use super::{COMMENTED_DEFAULT, Config, Node, Policy};
use crate::resolve::client::{Client, Settings};
use crate::resolve::questions::Resolutions;
use crate::resolve::report::Report;
use asap::ServerAddress;
use asap::wire::{ASAP_PORT, ServerId};
use enrp::daemon::DaemonCommand;
use enrp::handlespace::Element;
use enrp::{Host, Ports, Server, ServerConfig};
use sctp::driver::Node as _;
use sctp::{Associations, BackendKind, Datagram, Output, Stack, Transmit, Unreachable};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const SERVER: u8 = 1;
const USER: u8 = 2;
const FIRST: u8 = 10;
const DELAY: Duration = Duration::from_micros(100);

fn ip(host: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, host])
}

fn user_stack(now: Instant) -> Box<dyn Associations> {
    Box::new(Stack::new(sctp::Config::default(), vec![ip(USER)], [9; 32], now))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Hosts by the last byte of their address.
struct World {
    now: Instant,
    server: enrp::node::Node,
    processes: Vec<Node>,
    user: Option<Client<Resolutions>>,
    /// Processes that are gone: ICMP answers for them; or that hang: nothing does.
    killed: Vec<u8>,
    stopped: Vec<u8>,
    wire: BTreeMap<(Instant, u64), (u8, Datagram)>,
    datagrams: u64,
}

impl World {
    /// So many pools, with so many elements in each of `processes` processes.
    fn new(pools: usize, per_process: usize, processes: usize, server: ServerConfig, change: fn(&mut Config)) -> Self {
        let now = Instant::now();
        let stack = Stack::new(sctp::Config::default(), vec![ip(SERVER)], [SERVER; 32], now);
        let server = Host::new(Server::new(server, ServerId(7), 3), Ports::default(), 9899);
        let processes = (0..processes).map(|index| {
            let host = FIRST + index as u8;
            let mut config = Config::default();
            config.population.pools = pools;
            config.population.pes_per_pool = per_process;
            config.asap.hunt.servers = vec![ServerAddress::new(ip(SERVER))];
            change(&mut config);
            Node::new(config, [host; 32], now, vec![ip(host)], BackendKind::Udp)
        });
        Self {
            now,
            server: enrp::node::Node::new("enrp", Box::new(stack), server),
            processes: processes.collect(),
            user: None,
            killed: Vec::new(),
            stopped: Vec::new(),
            wire: BTreeMap::new(),
            datagrams: 0,
        }
    }

    fn hosts(&self) -> Vec<u8> {
        let all = [SERVER].into_iter().chain((0..self.processes.len()).map(|index| FIRST + index as u8));
        let all = all.chain(self.user.is_some().then_some(USER));
        all.filter(|host| !self.killed.contains(host) && !self.stopped.contains(host)).collect()
    }

    fn next(&self, host: u8) -> Option<Instant> {
        match host {
            SERVER => self.server.poll_timeout(),
            USER => self.user.as_ref().and_then(|user| user.poll_timeout()),
            host => self.processes[usize::from(host - FIRST)].poll_timeout(),
        }
    }

    fn timeout(&mut self, host: u8) {
        let now = self.now;
        match host {
            SERVER => self.server.handle_timeout(now),
            USER => self.user.iter_mut().for_each(|user| user.handle_timeout(now)),
            host => self.processes[usize::from(host - FIRST)].handle_timeout(now),
        }
    }

    fn transmit(&mut self, host: u8) -> Option<Transmit> {
        let now = self.now;
        let output = match host {
            SERVER => self.server.poll_output(now),
            USER => self.user.as_mut().and_then(|user| user.poll_output(now)),
            host => self.processes[usize::from(host - FIRST)].poll_output(now),
        };
        output.and_then(Output::packet)
    }

    fn datagram(&mut self, host: u8, datagram: Datagram) {
        let now = self.now;
        match host {
            SERVER => self.server.handle_input(now, datagram.into()),
            USER => self.user.iter_mut().for_each(|user| user.handle_input(now, datagram.clone().into())),
            host => self.processes[usize::from(host - FIRST)].handle_input(now, datagram.into()),
        }
    }

    fn pump(&mut self) {
        for host in self.hosts() {
            while let Some(Transmit { from, to, payload }) = self.transmit(host) {
                let IpAddr::V4(v4) = to.ip() else { continue };
                let target = v4.octets()[3];
                self.datagrams += 1;
                if self.killed.contains(&target) {
                    let error = Unreachable { to, quoted: payload, port: true };
                    if host == SERVER {
                        self.server.handle_input(self.now, error.into());
                    }
                    continue;
                }
                let datagram = Datagram { from: SocketAddr::new(from, 9_899), to: to.ip(), payload };
                self.wire.insert((self.now + DELAY, self.datagrams), (target, datagram));
            }
        }
    }

    /// Runs until `done`; false when that did not come within `limit`.
    fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.pump();
        loop {
            if done(self) {
                return true;
            }
            let timers = self.hosts().into_iter().filter_map(|host| self.next(host)).min();
            let next = self.wire.keys().next().map(|key| key.0).into_iter().chain(timers).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (host, datagram) = entry.remove();
                if !self.killed.contains(&host) && !self.stopped.contains(&host) {
                    self.datagram(host, datagram);
                }
            }
            for host in self.hosts() {
                if self.next(host).is_some_and(|at| at <= self.now) {
                    self.timeout(host);
                }
            }
            self.pump();
        }
    }

    fn elements(&self) -> usize {
        self.server.server().handlespace().element_count()
    }

    fn registered(&self) -> usize {
        self.processes.iter().map(Node::registered).sum()
    }

    /// Everybody is registered, and all sides know it.
    fn ready(&mut self, elements: usize) {
        let all = self.run(ms(60_000), |world| world.elements() == elements && world.registered() == elements);
        assert!(all, "{} of {elements} are registered", self.elements());
    }

    /// Asks as a pool user for so many answers.
    fn resolve(&mut self, pools: usize, outstanding: usize, count: u64) -> Report {
        let handles = (0..pools).map(|pool| super::handle("pop-", pool)).collect();
        let settings = Settings {
            outstanding,
            rate_per_s: None,
            count: Some(count),
            time: None,
            warm_up: Duration::ZERO,
            patience: ms(2_000),
        };
        let peer = vec![SocketAddr::new(ip(SERVER), 9_899)];
        let questions = Resolutions::new(handles, None);
        self.user = Some(Client::new(settings, peer, ASAP_PORT, questions, user_stack(self.now), self.now));
        assert!(self.run(ms(60_000), |world| world.user.as_ref().is_some_and(|user| user.finished())));
        self.user.take().unwrap().into_report().unwrap()
    }
}

#[test]
fn all_register_and_are_kept_alive_at_the_limit() {
    let server = ServerConfig { keep_alives_per_s_max: 20, ..ServerConfig::default() };
    let mut world = World::new(10, 10, 2, server, |_| ());
    world.ready(200);
    // 200 elements at 20 a second: each every 10 s. The first round is denser, as they came one after the other.
    world.run(ms(20_000), |_| false);
    let (before, datagrams) = (*world.server.server().counters(), world.datagrams);
    world.run(ms(30_000), |_| false);
    let after = *world.server.server().counters();
    let asked = after.keep_alives - before.keep_alives;
    assert!((480..=602).contains(&asked), "20 a second for 30 s: {asked}");
    assert_eq!(after.keep_alive_acks - before.keep_alive_acks, asked);
    assert_eq!((after.keep_alive_misses, after.removed_association, world.elements()), (0, 0, 200));
    // Three datagrams each, and a heartbeat with its answer at most 100 times a second from each of the three stacks; without limits
    // it would be 200 x 3 and 200 x 2 x 2 x 1.7.
    let per_s = (world.datagrams - datagrams) / 30;
    assert!(per_s <= 20 * 3 + 3 * 100 * 2, "{per_s} datagrams a second");
    let answered: u64 = world.processes.iter().map(|process| process.state().counters.keep_alives).sum();
    assert_eq!(answered, after.keep_alive_acks);
}

#[test]
fn a_process_that_goes_is_found() {
    let mut world = World::new(5, 4, 2, ServerConfig::default(), |_| ());
    world.ready(40);
    world.killed.push(FIRST);
    assert!(world.run(ms(2_000), |world| world.elements() == 20), "killed: {} are left", world.elements());
    world.stopped.push(FIRST + 1);
    // The next keep-alive suspends, supervision by SCTP ends the associations.
    let none = |world: &World| world.server.server().handlespace().pools().all(|pool| pool.selectable() == 0);
    assert!(world.run(ms(2_100), none), "a silent element is not resolved");
    assert!(world.run(ms(4_000), |world| world.elements() == 0), "silent: {} are left", world.elements());
}

#[test]
fn registering_again_touches_no_other_element() {
    let mut world = World::new(4, 5, 1, ServerConfig::default(), |config| {
        config.population.re_registrations_per_s = 200;
        config.population.policy = Policy::LeastUsed;
    });
    world.ready(20);
    let place = |world: &World| -> Vec<_> {
        let handlespace = world.server.server().handlespace();
        let handles = (0..4).map(|pool| super::handle("pop-", pool));
        let members = handles.flat_map(|handle| handlespace.members(&handle).cloned().collect::<Vec<_>>());
        let registrations = |e: &Element| {
            handlespace.find(handlespace.handle_of(e), e.id()).map(|slot| handlespace.registrations(slot))
        };
        members
            .map(|e| (handlespace.handle_of(&e).clone(), e.registered().clone(), registrations(&e).unwrap()))
            .collect()
    };
    for _ in 0..40 {
        // Each step of 5 ms is one registration again.
        let (before, again) = (place(&world), world.server.server().counters().reregistrations);
        assert!(world.run(ms(100), |world| world.server.server().counters().reregistrations > again));
        let after = place(&world);
        let changed: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).collect();
        assert_eq!(changed.len(), 1, "one element changed, and no other");
        let (old, new) = changed[0];
        assert_eq!((&old.0, old.1.id, old.2 + 1), (&new.0, new.1.id, new.2));
    }
    world.run(ms(1_000), |_| false);
    let state = world.processes[0].state();
    assert!((200..=260).contains(&state.counters.re_registrations), "{state:?}");
    assert_eq!(state.counters.re_registrations_missed, 0);
}

#[test]
fn registrations_are_renewed_before_their_life_is_over() {
    let mut world = World::new(3, 10, 1, ServerConfig::default(), |config| config.population.life_s = 30);
    world.ready(30);
    world.run(ms(14_000), |_| false);
    let counters = world.server.server().counters();
    assert_eq!(counters.reregistrations, 0, "not in the first half");
    world.run(ms(120_000), |_| false);
    let counters = world.server.server().counters();
    assert_eq!((counters.expired, world.elements()), (0, 30));
    assert!(counters.reregistrations >= 30 * 3, "{}", counters.reregistrations);
}

#[test]
fn starts_are_paced_and_wait_for_the_server() {
    let mut world = World::new(10, 10, 1, ServerConfig::default(), |config| {
        config.population.starts_per_s = 50;
        config.population.under_way_max = 7;
    });
    world.run(ms(1_000), |_| false);
    assert!((45..=51).contains(&world.registered()), "50 a second: {}", world.registered());
    // The server hangs: no more than 7 wait for it.
    world.stopped.push(SERVER);
    world.run(ms(500), |_| false);
    let state = world.processes[0].state();
    assert_eq!(state.started, world.registered() + 7, "{state:?}");
}

#[test]
fn a_clean_stop_deregisters_all() {
    let mut world = World::new(10, 30, 1, ServerConfig::default(), |_| ());
    world.ready(300);
    let now = world.now;
    world.processes[0].handle_command(now, DaemonCommand::Stop);
    assert!(world.run(ms(2_000), |world| world.processes[0].finished()), "{:?}", world.processes[0].state());
    assert_eq!((world.elements(), world.server.server().counters().deregistrations), (0, 300));
}

#[test]
fn refusals_are_shown_and_not_repeated() {
    let server = ServerConfig { pools_max: 3, ..ServerConfig::default() };
    // A server without room would be asked again later.
    let mut world = World::new(4, 5, 1, server, |config| config.asap.refused_retry_ms = 0);
    assert!(world.run(ms(10_000), |world| world.processes[0].state().refused == 5));
    world.run(ms(10_000), |_| false);
    let state = world.processes[0].state();
    assert_eq!((state.registered, state.refused, state.counters.registrations_refused), (15, 5, 5));
}

#[test]
fn the_resolver_counts_and_measures() {
    let mut world = World::new(10, 20, 1, ServerConfig::default(), |_| ());
    world.ready(200);
    let report = world.resolve(10, 1, 100);
    assert_eq!((report.answered, report.wrong(), report.elements), (100, 0, 16.0));
    // One way is 100 us in this world, and nothing else takes time.
    assert!((200.0..=201.0).contains(&report.latency_us.p99), "{report:?}");
    let report = world.resolve(10, 16, 1_000);
    assert_eq!((report.answered, report.wrong()), (1_000, 0));
    // A pool that is not there.
    let report = world.resolve(11, 1, 110);
    assert_eq!((report.refused, report.wrong()), (10, 10));
}

#[test]
fn the_resolver_says_why_it_ends() {
    let mut world = World::new(1, 1, 1, ServerConfig::default(), |_| ());
    world.stopped.push(SERVER);
    let settings = Settings {
        outstanding: 1,
        rate_per_s: None,
        count: Some(1),
        time: None,
        warm_up: Duration::ZERO,
        patience: ms(500),
    };
    let peer = vec![SocketAddr::new(ip(SERVER), 9_899)];
    let questions = Resolutions::new(vec![super::handle("pop-", 0)], None);
    world.user = Some(Client::new(settings, peer, ASAP_PORT, questions, user_stack(world.now), world.now));
    assert!(world.run(ms(2_000), |world| world.user.as_ref().is_some_and(|user| user.finished())));
    assert_eq!(world.user.take().unwrap().into_report().unwrap_err(), "no association within 500 ms");
}

#[test]
fn the_commented_default_is_the_default() {
    enrp::daemon::assert_default_text::<Config>(COMMENTED_DEFAULT);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let wrong = |change: fn(&mut Config)| {
        let mut config = Config::default();
        config.asap.hunt.servers = vec![ServerAddress::new(ip(SERVER))];
        assert_eq!(config.check(), Ok(()));
        change(&mut config);
        config.check().unwrap_err().key
    };
    assert_eq!(wrong(|c| c.population.pools = 0), "population.pools");
    assert_eq!(wrong(|c| c.population.pes_per_pool = 0), "population.pes_per_pool");
    assert_eq!(wrong(|c| c.population.pes_per_pool = 33), "population.pes_per_pool");
    assert_eq!(wrong(|c| c.population.starts_per_s = 0), "population.starts_per_s");
    assert_eq!(wrong(|c| c.population.under_way_max = 0), "population.under_way_max");
    assert_eq!(wrong(|c| c.population.first_user_port = 0), "population.first_user_port");
    assert_eq!(wrong(|c| c.population.life_s = u32::MAX), "population.life_s");
    assert_eq!(wrong(|c| c.asap.hunt.servers.clear()), "asap.hunt.servers");
    assert_eq!(wrong(|c| c.udp.addresses.clear()), "udp.addresses");
}

#[test]
fn user_ports_are_never_zero() {
    let population = super::Population { first_user_port: 65_534, ..super::Population::default() };
    let ports: Vec<u16> = (0..4).map(|element| population.user_port(element)).collect();
    assert_eq!(ports, [65_534, 65_535, 2, 3]);
}

/// Three processes with an element each in two pools with names of their own.
fn named(config: &mut Config) {
    config.population.pool = toml::from_str::<BTreeMap<String, Vec<super::NamedPool>>>(
        "[[pool]]\nhandle = \"least\"\npolicy = \"least-used\"\nelements = [{ load_percent = 50.0, id = 7 }, {}, { load_percent = 100.0 }]\n\
         [[pool]]\nhandle = \"weighted\"\npolicy = \"weighted-random\"\nelements = [{ process = 2, weight = 4 }]\n",
    )
    .unwrap()
    .remove("pool")
    .unwrap();
}

#[test]
fn pools_with_names_have_the_values_they_are_given_and_others_on_command() {
    let mut world = World::new(1, 1, 3, ServerConfig::default(), named);
    for (index, process) in world.processes.iter_mut().enumerate() {
        let mut config = Config::default();
        (config.population.pools, config.population.pes_per_pool, config.population.process) = (1, 1, index + 1);
        config.asap.hunt.servers = vec![ServerAddress::new(ip(SERVER))];
        named(&mut config);
        config.check().unwrap();
        let host = FIRST + index as u8;
        *process = Node::new(config, [host; 32], world.now, vec![ip(host)], BackendKind::Udp);
    }
    // A numbered one in each, three of the first pool, one of the second.
    world.ready(7);
    let values = |world: &World, pool: &str| -> Vec<_> {
        let pool = pool.into();
        let members = world.server.server().handlespace().members(&pool);
        members.map(|member| member.registered().policy.clone()).collect()
    };
    let load = |load| asap::wire::Policy::LeastUsed { load };
    let sorted = |mut policies: Vec<asap::wire::Policy>| {
        policies.sort_by_key(|policy| format!("{policy:?}"));
        policies
    };
    assert_eq!(sorted(values(&world, "least")), sorted(vec![load(0x8000_0000), load(0), load(u32::MAX)]));
    assert_eq!(values(&world, "weighted"), [asap::wire::Policy::WeightedRandom { weight: 4 }]);
    let ids = |world: &World| -> Vec<u32> {
        world.server.server().handlespace().members(&"least".into()).map(|member| member.registered().id.0).collect()
    };
    assert!(ids(&world).contains(&7));
    let now = world.now;
    let process = &mut world.processes[1];
    for (body, problem) in [
        ("other load_percent=5", "no element here in pool `other`"),
        ("least load=5", "`load=5`: expected weight="),
        ("least load_percent=101", "load_percent: 0 to 100"),
        ("weighted weight=9\nleast load_percent=x", "`load_percent=x`"),
    ] {
        let reply = process.command(now, "values", body);
        assert!(reply.status == 400 && reply.body.contains(problem), "{body}: {}", reply.body);
    }
    assert_eq!(process.command(now, "nothing", "").status, 404);
    assert_eq!(process.command(now, "values", "\nweighted weight=9\nleast load_percent=25\n").status, 200);
    let changed = |world: &World| values(world, "weighted") == [asap::wire::Policy::WeightedRandom { weight: 9 }];
    assert!(world.run(ms(500), changed), "{:?}", values(&world, "weighted"));
    assert_eq!(sorted(values(&world, "least")), sorted(vec![load(0x8000_0000), load(0x4000_0000), load(u32::MAX)]));
}

#[test]
fn wrong_named_pools_are_refused() {
    for (text, key) in [
        ("pools = 0", "population.pools"),
        ("process = 0", "population.process"),
        ("pool = [{ handle = \"\", policy = \"random\", elements = [{}] }]", "population.pool[0].handle"),
        (
            "pool = [{ handle = \"x\", scope = \"east\", policy = \"random\", elements = [{}] }]",
            "population.pool[0].scope",
        ),
        ("pool = [{ handle = \"x\", policy = \"random\", elements = [] }]", "population.pool[0].elements"),
        ("scope = [{ name = \"east\", servers = [] }]", "population.scope[0].servers"),
    ] {
        let text = format!("[asap.hunt]\nservers = [{{ addresses = [\"127.0.0.1\"] }}]\n[population]\n{text}");
        let error = toml::from_str::<Config>(&text).unwrap().check().unwrap_err();
        assert_eq!(error.key, key, "{error}");
    }
}
