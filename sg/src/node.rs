//! The gateway as one machine: it takes datagrams, time and requests, and gives datagrams. It moves things between its parts;
//! what they mean is the parts' business.

pub(crate) mod additions;
mod associations;
mod mate;
mod registration;

use crate::config::Config;
use crate::explain::{Explanation, Question};
use crate::keys::Keys;
use crate::mate::Mate;
use crate::mate::journal::Journal;
use crate::msu::is_mtp_management;
use crate::names::Names;
use crate::network::{Congested, NetCx, Network};
use crate::pool::{ControlView, Cx, Origin, Pool, Wish};
use crate::record::{Direction, Discard, Recorder};
use crate::route::{Destinations, Routes, Traffic, one_network};
use crate::tcp::Carriers;
use crate::wire::Wire;
use associations::Role;
use enrp::daemon::{DaemonCommand, RecordSink};
use enrp::node::NodeCommand;
use m3ua_lite::wire::Ssnm;
use rustc_hash::FxHashMap;
use sctp::{AssocId, Associations as _, BackendKind, ClockAnchor, Input, Output};
use std::io;
use std::time::{Duration, Instant};

/// What the shell gives a node at its birth.
#[derive(Debug)]
pub struct Birth {
    /// Now.
    pub now: Instant,
    /// The same moment on both clocks.
    pub clock: ClockAnchor,
    /// Randomness: from the operating system, or a simulation's.
    pub seed: [u8; 32],
    /// Who carries the associations.
    pub backend: BackendKind,
    /// Where the record goes.
    pub record: RecordSink,
}

/// A signaling gateway.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    pub(crate) wire: Wire,
    pub(crate) names: Names,
    pub(crate) pools: Vec<Pool>,
    pub(crate) network: Network,
    routes: Routes,
    /// Those of the routing keys that are not of the configuration.
    pub(crate) keys: Keys,
    roles: FxHashMap<AssocId, Role>,
    record: Recorder,
    /// The other gateway, if there are two, and which of them leads.
    pub(crate) mate: Mate,
    /// What it is told, and what waits until it is.
    pub(crate) journal: Journal,
    epoch: u8,
    pub(crate) counters: Counters,
    stop: Option<Stop>,
}

/// Counted since the start; what has no pool.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Counters {
    /// Messages of the network without application server.
    pub(crate) no_route: u64,
    /// Messages of the network with MTP3's own management in them.
    pub(crate) mtp_management: u64,
    /// Associations that nobody asked for.
    pub(crate) strangers: u64,
    /// Routing keys that ASPs registered, and those that were refused.
    pub(crate) keys_registered: u64,
    pub(crate) keys_refused: u64,
    /// Times this gateway itself did not run for longer than it should.
    pub(crate) stalls: u64,
    /// The longest of them, ms.
    pub(crate) longest_stall_ms: u64,
}

/// A clean stop in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Controllers confirm what they have, until then at the latest.
    Draining(Instant),
    /// All associations were told to end.
    Closing,
}

/// How late a timer may be before it is this gateway that did not run, not its peers that are silent.
const LATE: Duration = Duration::from_millis(30);
/// How long a clean stop waits for confirmations.
const STOP_DRAIN: Duration = Duration::from_millis(500);

impl Node {
    /// A gateway with this configuration, which must be valid ([`Config::check`]).
    #[must_use]
    pub fn new(config: Config, birth: Birth) -> Self {
        let Birth { now, clock, seed, backend, record } = birth;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| seed[at + i]));
        // Counts up by one about each second: after a restart within two minutes it is higher.
        let epoch = config.node.epoch.unwrap_or((clock.ns(now) >> 30) as u8);
        let gateway = config.node.gateway;
        let local = config.udp.addresses.clone();
        let stack =
            sctp::associations(backend, config.udp.with_advertised(&config.sctp), local, config.udp.port, seed, now);
        let mut stack = Carriers::new(stack, config.network.port);
        stack.listen(config.network.port);
        let there = config.mate.is_there();
        if there {
            stack.listen(config.mate.port);
        }
        let transactions = config.application_servers.iter().all(|server| server.transactions);
        let mut node = Self {
            pools: mate::pools(now, &config, epoch),
            names: Names::new(&config, now, word(24)),
            network: mate::network(now, &config),
            mate: mate::mate(now, &config),
            journal: Journal::new(there, config.mate.outputs_max, config.mate.queued_bytes_max),
            epoch,
            routes: Routes::new(&config.application_servers, &Keys::default()),
            keys: Keys::default(),
            wire: Wire { stack, udp_port: config.udp.port },
            roles: FxHashMap::default(),
            record: Recorder::new(clock, record, gateway, epoch, transactions),
            counters: Counters::default(),
            stop: None,
            config,
        };
        for index in 0..node.pools.len() {
            if node.config.application_servers[index].resolve_at_start {
                let handle = node.pools[index].handle().clone();
                crate::pool::Directory::resolve(&mut node.names, now, &handle);
            }
        }
        if let Some(host) = node.names.host() {
            host.listen(&mut node.wire.stack);
        }
        node.settle(now);
        node
    }

    /// Gives the embedded name server the selection plug-ins of `[enrp.plugins]`.
    ///
    /// # Errors
    /// A plug-in whose file is not there, a table that is wrong.
    pub fn set_plugins(&mut self, files: &enrp::PluginFiles) -> Result<(), enrp::ConfigError> {
        let plugins = &self.config.enrp.plugins;
        self.names.host().map_or(Ok(()), |host| host.server_mut().set_plugins(plugins, files))
    }

    /// What was flushed to a record in memory ([`RecordSink::Memory`]), else nothing.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        self.record.memory()
    }

    /// Controllers that are ASP-ACTIVE.
    #[must_use]
    pub fn active_controllers(&self) -> usize {
        self.pools.iter().map(Pool::active_controllers).sum()
    }

    /// What becomes of such a message now, and why. Nothing changes.
    #[must_use]
    pub fn explain(&self, now: Instant, question: Question) -> Explanation {
        let servers = &self.config.application_servers;
        let keys = (&self.routes, servers.as_slice());
        let (mut answer, server) = Explanation::of_keys(question, &self.config.node.name, keys, &self.config.network);
        answer.running = true;
        if let Some(index) = server {
            self.pools[index].explain(now, &self.names, &mut answer);
        }
        answer
    }

    /// Does what an operator wants with a controller. `None`: no pool has it.
    pub(crate) fn control(&mut self, now: Instant, pe: u32, wish: Wish) -> Option<ControlView> {
        (0..self.pools.len()).find_map(|index| self.with_pool(now, index, |pool, cx| pool.control(cx, pe, wish)))
    }

    /// The embedded name server.
    #[must_use]
    pub fn name_server(&self) -> Option<&enrp::Server> {
        self.names.server()
    }

    /// Runs `work` on a pool.
    fn with_pool<R>(&mut self, now: Instant, index: usize, work: impl FnOnce(&mut Pool, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx {
            now,
            net: &mut self.wire,
            directory: &mut self.names,
            record: &mut self.record,
            journal: &mut self.journal,
        };
        work(&mut self.pools[index], &mut cx)
    }

    /// Runs `work` on the network side.
    fn with_network<R>(&mut self, now: Instant, work: impl FnOnce(&mut Network, &mut NetCx<'_>) -> R) -> R {
        let mut cx = NetCx { now, net: &mut self.wire, record: &mut self.record };
        work(&mut self.network, &mut cx)
    }

    /// Moves everything to where it belongs until nothing moves.
    fn settle(&mut self, now: Instant) {
        loop {
            self.names.pump(now, &mut self.wire.stack);
            self.follow_elements(now);
            match self.wire.stack.poll_event() {
                Some(event) => self.association_event(now, event),
                None if self.settle_mate(now) => {}
                None => break,
            }
        }
        self.settle_availability(now);
    }

    /// What of pools and destinations is available now, each side is told of the other.
    fn settle_availability(&mut self, now: Instant) {
        self.release_keys(now);
        for index in 0..self.pools.len() {
            if let Some(available) = self.pools[index].take_availability_change() {
                tracing::info!(pool = %self.pools[index].handle(), available, "availability");
                let told = self.destinations(index);
                self.with_network(now, |network, cx| network.announce(cx, None, available, &told));
            }
            if let Some(level) = self.pools[index].take_congestion() {
                tracing::info!(pool = %self.pools[index].handle(), level, "congestion");
                let told = self.destinations(index);
                self.with_network(now, |network, cx| network.announce_congestion(cx, None, level, &told));
            }
        }
        let serving = self.pools.iter().any(Pool::serves);
        self.with_network(now, |network, cx| network.set_serving(cx, serving));
        for index in 0..self.pools.len() {
            while let Some((assoc, affected)) = self.pools[index].poll_audit() {
                let network = self.config.application_servers[index].network_appearance;
                let available = self.network.audited(network, affected);
                self.with_pool(now, index, |pool, cx| pool.answer_audit(cx, assoc, available, affected));
            }
        }
        self.settle_congestion(now);
        while let Some((network, available, affected)) = self.network.poll_reachability() {
            tracing::info!(pc = affected.pc(), mask = affected.mask(), network, available, "destination");
            for index in 0..self.pools.len() {
                if one_network(self.config.application_servers[index].network_appearance, network) {
                    self.with_pool(now, index, |pool, cx| pool.tell_destination(cx, available, affected));
                }
            }
        }
    }

    /// Either side's SCON goes to the other one.
    fn settle_congestion(&mut self, now: Instant) {
        while let Some(congested) = self.network.poll_congested() {
            for index in 0..self.pools.len() {
                if one_network(self.config.application_servers[index].network_appearance, congested.network) {
                    self.with_pool(now, index, |pool, cx| pool.tell_congestion(cx, &congested));
                }
            }
        }
        for index in 0..self.pools.len() {
            while let Some(Congested { network: of, affected, level }) = self.pools[index].poll_congested() {
                let told = Destinations::one(of, affected);
                // Without a level it is congested; a network with levels hears the lowest one.
                self.with_network(now, |network, cx| {
                    network.announce_congestion(cx, None, level.unwrap_or(1), &told);
                });
            }
        }
    }

    /// Tells the pools which elements are registered.
    fn follow_elements(&mut self, now: Instant) {
        for index in 0..self.pools.len() {
            let handle = self.pools[index].handle().clone();
            let Some(elements) = self.names.changed_elements(&handle) else { continue };
            for gone in self.pools[index].registered() {
                if !elements.iter().any(|(pe, _)| *pe == gone) {
                    self.with_pool(now, index, |pool, cx| pool.element_gone(cx, gone));
                }
            }
            for (pe, location) in elements {
                self.with_pool(now, index, |pool, cx| pool.element_there(cx, pe, location));
            }
        }
    }

    /// A message of the network goes to the pool of its routing key.
    fn offer(&mut self, now: Instant, assoc: Option<AssocId>, traffic: &Traffic<'_>, origin: Origin) {
        let message = &traffic.message;
        if is_mtp_management(message.si) {
            self.counters.mtp_management += 1;
            return self.record.discarded(now, Discard::MtpManagement, Direction::Up, message);
        }
        match self.routes.server_for(traffic) {
            Some(index) => self.with_pool(now, index, |pool, cx| pool.offer(cx, message, origin)),
            None => {
                self.counters.no_route += 1;
                self.record.discarded(now, Discard::NoRoute, Direction::Up, message);
                let refusal = self.routes.refusal(traffic);
                if let Some(assoc) = assoc {
                    self.with_network(now, |network, cx| network.refuse(cx, assoc, refusal, traffic));
                }
            }
        }
    }

    /// Answers DAUD: DAVA or DUNA for each destination (RFC 4666 section 4.5.3).
    fn audit(&mut self, now: Instant, assoc: AssocId, audit: &Ssnm<'_>) {
        let of = audit.network_appearance.or(self.config.network.network_appearance);
        for affected in &audit.affected {
            let servers: Vec<usize> = self.routes.servers_at(affected.pc(), of).collect();
            if servers.is_empty() {
                self.with_network(now, |network, cx| network.unknown_destination(cx, assoc, of, *affected));
                continue;
            }
            let one = Destinations::one(of, *affected);
            let available = servers.iter().any(|index| self.pools[*index].is_available());
            let level = servers.iter().map(|index| self.pools[*index].congestion_level()).max().unwrap_or(0);
            if level > 0 {
                self.with_network(now, |network, cx| network.announce_congestion(cx, Some(assoc), level, &one));
            }
            self.with_network(now, |network, cx| network.announce(cx, Some(assoc), available, &one));
        }
    }

    /// A peer that became active hears what cannot be reached, and what is congested.
    fn tell_unavailable(&mut self, now: Instant, assoc: AssocId) {
        for index in 0..self.pools.len() {
            let level = self.pools[index].congestion_level();
            if level > 0 {
                let told = self.destinations(index);
                self.with_network(now, |network, cx| network.announce_congestion(cx, Some(assoc), level, &told));
            }
            if !self.pools[index].is_available() {
                let told = self.destinations(index);
                self.with_network(now, |network, cx| network.announce(cx, Some(assoc), false, &told));
            }
        }
    }

    /// This gateway did not run for so long that what it should have heard waits unread.
    fn stall(&mut self, now: Instant) -> Option<Duration> {
        let due = sctp::driver::Node::poll_timeout(self)?;
        let late = now.checked_duration_since(due).filter(|late| *late > LATE)?;
        self.counters.stalls += 1;
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        self.counters.longest_stall_ms = self.counters.longest_stall_ms.max(late_ms);
        Some(late)
    }

    fn begin_stop(&mut self, now: Instant) {
        if self.stop.is_none() {
            tracing::info!("stopping");
            self.stop = Some(Stop::Draining(now + STOP_DRAIN));
            self.go_on_stopping(now);
        }
    }

    fn go_on_stopping(&mut self, now: Instant) {
        let Some(Stop::Draining(until)) = self.stop else { return };
        if until > now && (self.journal.is_waiting() || self.pools.iter().any(|pool| !pool.is_idle())) {
            return;
        }
        self.stop = Some(Stop::Closing);
        let ends: Vec<AssocId> = self
            .network
            .peers()
            .chain(self.names.associations())
            .chain(self.pools.iter().flat_map(Pool::associations))
            .chain(self.mate.association())
            .collect();
        for assoc in ends {
            self.wire.stack.shutdown(now, assoc);
        }
        if let Some(host) = self.names.host() {
            host.stop(now, &mut self.wire.stack);
        }
    }

    /// For the admin's health check: why not, if not.
    pub(crate) fn unhealthy(&self) -> Option<&'static str> {
        if self.stop.is_some() {
            return Some("stopping\n");
        }
        self.pools.iter().any(|pool| !pool.is_available()).then_some("a pool is not available\n")
    }
}

impl sctp::driver::Node for Node {
    type Command = NodeCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.check_mate(now);
        self.wire.stack.handle_input(now, input);
        self.settle(now);
    }

    fn handle_command(&mut self, now: Instant, command: NodeCommand) {
        match command {
            NodeCommand::Daemon(DaemonCommand::Admin(request)) => self.admin(now, request),
            NodeCommand::Daemon(DaemonCommand::Stop) => self.begin_stop(now),
            NodeCommand::Peers(peers) => {
                if let Some(host) = self.names.host() {
                    host.set_peers(now, peers);
                }
            }
            // The gateway's name server has neither TCP nor multicast: these are peers and ASPs.
            NodeCommand::Outside(mut batch) => {
                for input in batch.inputs() {
                    self.wire.stack.outside(input);
                }
            }
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        let stall = self.stall(now);
        self.check_mate(now);
        self.wire.stack.handle_timeout(now);
        self.names.handle_timeout(now);
        self.settle(now);
        for index in 0..self.pools.len() {
            self.with_pool(now, index, |pool, cx| pool.handle_timeout(cx, stall));
        }
        self.with_network(now, |network, cx| network.handle_timeout(cx, stall));
        self.with_mate(now, |mate, cx| mate.handle_timeout(cx, stall));
        self.go_on_stopping(now);
        self.settle(now);
    }

    /// A batch of input is through: barriers go out, and the record is written before anything leaves.
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        for index in 0..self.pools.len() {
            self.with_pool(now, index, |pool, cx| pool.end_batch(cx));
        }
        self.settle(now);
        self.with_mate(now, |mate, cx| mate.end_batch(cx));
        self.record.flush()
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.wire.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let pools = self.pools.iter().filter_map(Pool::poll_timeout).min();
        let stop = match self.stop {
            Some(Stop::Draining(until)) => Some(until),
            Some(Stop::Closing) | None => None,
        };
        let parts =
            [self.wire.stack.poll_timeout(), self.names.poll_timeout(), self.network.poll_timeout(), pools, stop];
        let parts = parts.into_iter().chain([self.mate.poll_timeout()]);
        parts.flatten().min()
    }

    fn finished(&self) -> bool {
        self.stop == Some(Stop::Closing) && self.roles.is_empty()
    }
}
