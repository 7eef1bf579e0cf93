//! The stand-alone name server as a node: SCTP associations, and the [`Host`] with the [`Server`] behind them.
//! Pure, like everything in it; [`server_daemon`](crate::server_daemon) gives it sockets.

use crate::daemon::{AdminKind, AdminReply, AdminRequest, DaemonCommand, Kind, Metrics, OutsideBatch};
use crate::host::{Host, HostCounters};
use crate::peers::{PeerSnapshot, PeersCounters};
use crate::record::Record;
use crate::server::{Event, PeerAddress, Server, ServerSnapshot};
use asap::wire::{PeId, PoolHandle};
use sctp::{Associations, Input, Output};
use serde::Serialize;
use std::io;
use std::time::Instant;

/// What the shell says to a name server.
#[derive(Debug)]
pub enum NodeCommand {
    /// What it says to every node.
    Daemon(DaemonCommand),
    /// Where the configured peers are now.
    Peers(Vec<PeerAddress>),
    /// What came over TCP or from a multicast group.
    Outside(OutsideBatch),
}

impl From<DaemonCommand> for NodeCommand {
    fn from(command: DaemonCommand) -> Self {
        Self::Daemon(command)
    }
}

impl From<OutsideBatch> for NodeCommand {
    fn from(batch: OutsideBatch) -> Self {
        Self::Outside(batch)
    }
}

/// A name server with its associations.
#[derive(Debug)]
pub struct Node {
    name: String,
    stack: Box<dyn Associations>,
    host: Host,
    stopping: bool,
    record: Record,
}

/// Admin state.
#[derive(Debug, Serialize)]
struct NodeSnapshot<'a> {
    name: &'a str,
    associations: usize,
    stopping: bool,
    counters: HostCounters,
    /// Clients may come: the start (RFC 5353 section 3.2) is over.
    ready: bool,
    server: ServerSnapshot,
    peers: Vec<PeerSnapshot>,
    /// Configured addresses where nobody is.
    peers_unreached: Vec<String>,
    peers_counters: PeersCounters,
}

impl Node {
    /// Takes associations, and the server that uses them.
    #[must_use]
    pub fn new(name: &str, mut stack: Box<dyn Associations>, mut host: Host) -> Self {
        host.listen(&mut *stack);
        Self { name: name.to_owned(), stack, host, stopping: false, record: Record::off() }
    }

    /// The same with a record.
    #[must_use]
    pub fn with_record(mut self, record: Record) -> Self {
        self.record = record;
        self
    }

    /// The name server machine.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.host.server()
    }

    /// Moves everything between the associations and the machine until nothing is left to move.
    fn pump(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            while let Some(event) = self.stack.poll_event() {
                idle = false;
                self.association_event(now, event);
            }
            if !self.host.carry_out(now, &mut *self.stack) && idle {
                break;
            }
        }
        while let Some(event) = self.host.poll_event() {
            self.record.event(now, &event);
            log(&event);
        }
    }

    fn association_event(&mut self, now: Instant, event: sctp::Event) {
        match event {
            sctp::Event::Up { assoc, local_port, peer, peer_port, .. } => {
                self.host.up(now, &mut *self.stack, assoc, local_port, &peer, peer_port);
            }
            sctp::Event::Message { assoc, ppid, payload, .. } => self.host.message(now, assoc, ppid, &payload),
            sctp::Event::Closed { assoc, reason, .. } => drop(self.host.closed(now, assoc, &reason)),
            // Paths are the association's own business.
            sctp::Event::Path { .. } | _ => {}
        }
    }

    fn admin(&mut self, now: Instant, request: AdminRequest) {
        let reply = match request.kind {
            AdminKind::State => AdminReply::json(&NodeSnapshot {
                name: &self.name,
                associations: self.host.association_count(),
                stopping: self.stopping,
                counters: self.host.counters(),
                ready: self.host.is_open(),
                server: self.server().snapshot(),
                peers: self.server().peers_snapshot(),
                peers_unreached: self.server().unreached_peers(),
                peers_counters: self.server().peers_counters(),
            }),
            AdminKind::Metrics => AdminReply::ok(self.metrics()),
            AdminKind::Health if self.stopping => AdminReply::unavailable("stopping\n"),
            AdminKind::Health if !self.host.is_open() => AdminReply::unavailable("starting: no table of a peer yet\n"),
            AdminKind::Health => AdminReply::ok("ok\n"),
            AdminKind::Command { name, body } => self.command(now, &name, &body),
        };
        request.reply.send(reply);
    }

    /// `table` changes tables of selection plug-ins ([`Server::change_tables`]), `plugin` replaces one ([`Server::replace_plugin`]).
    /// `drain` and `undrain`, body `HANDLE PE-ID` (identifier in hex): takes a PE out of selection, and back in.
    fn command(&mut self, now: Instant, name: &str, body: &str) -> AdminReply {
        let draining = match name {
            "drain" => true,
            "undrain" => false,
            "table" | "plugin" | "dump" => return server_command(now, self.host.server_mut(), name, body),
            "record-table" => return self.record_table(now),
            _ => {
                return AdminReply::not_found(
                    "commands: drain, undrain, table, plugin, dump, record-table
",
                );
            }
        };
        let target = body.trim().rsplit_once(' ').and_then(|(handle, id)| {
            let id = u32::from_str_radix(id.trim_start_matches("0x"), 16).ok()?;
            Some((PoolHandle::from(handle.trim()), PeId(id)))
        });
        let Some((handle, pe)) = target else {
            return AdminReply::bad_request("give the pool handle, a space, and the PE identifier in hex\n");
        };
        if self.host.server_mut().set_draining(now, &handle, pe, draining) {
            AdminReply::ok("done\n")
        } else {
            AdminReply::bad_request(format!("no PE {pe} in pool {handle}; /state lists them\n"))
        }
    }

    /// The whole table goes into the record.
    fn record_table(&mut self, now: Instant) -> AdminReply {
        match self.record.table(now, self.host.server()) {
            Some(lines) => AdminReply::ok(format!("{lines} lines done\n")),
            None => AdminReply::bad_request("there is no record; give it a directory in [node] records\n"),
        }
    }

    fn metrics(&self) -> String {
        let mut metrics = Metrics::new();
        let handlespace = self.server().handlespace();
        metrics.gauge("enrp_associations", "Associations of clients.", self.host.association_count() as u64);
        metrics.gauge("enrp_pools", "Pools in the handlespace.", handlespace.pool_count() as u64);
        metrics.gauge("enrp_pes", "Pool elements in the handlespace.", handlespace.element_count() as u64);
        metrics.family("enrp_pool_pes", "Pool elements of a pool.", Kind::Gauge);
        for pool in handlespace.pools() {
            metrics.sample(&[("pool", &pool.handle().to_string())], pool.len() as f64);
        }
        metrics.family("enrp_pool_selectable_pes", "Pool elements a resolution may yield.", Kind::Gauge);
        for pool in handlespace.pools() {
            metrics.sample(&[("pool", &pool.handle().to_string())], pool.selectable() as f64);
        }
        for (name, help, value) in self.server().counters().list() {
            metrics.counter(&format!("enrp_{name}_total"), help, value);
        }
        for (name, help, value) in self.server().peers_counters().list() {
            metrics.counter(&format!("enrp_{name}_total"), help, value);
        }
        metrics.gauge("enrp_peers", "Peers known.", self.server().peers_snapshot().len() as u64);
        for (name, help, value) in self.host.counters().list() {
            metrics.counter(&format!("enrp_{name}_total"), help, value);
        }
        metrics.finish()
    }

    /// Closes every association; PEs and users hunt for another server.
    fn stop(&mut self, now: Instant) {
        self.stopping = true;
        self.host.stop(now, &mut *self.stack);
    }
}

impl sctp::driver::Node for Node {
    type Command = NodeCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, now: Instant, command: NodeCommand) {
        match command {
            NodeCommand::Daemon(DaemonCommand::Admin(request)) => self.admin(now, request),
            NodeCommand::Daemon(DaemonCommand::Stop) => self.stop(now),
            NodeCommand::Peers(peers) => self.host.set_peers(now, peers),
            NodeCommand::Outside(mut batch) => batch.inputs().for_each(|input| self.host.outside(now, input)),
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.host.handle_timeout(now);
        self.pump(now);
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        // The handlespace lives as long as the process: PEs register again with the next server.
        self.record.flush()
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout().into_iter().chain(self.host.poll_timeout()).min()
    }

    fn finished(&self) -> bool {
        self.stopping && self.host.associations().next().is_none()
    }
}

/// The admin commands that a gateway with an embedded server has too: `table` and `plugin`, about selection plug-ins; `dump` with the
/// next page of the handlespace ([`Server::page`]).
#[must_use]
pub fn server_command(now: Instant, server: &mut Server, name: &str, body: &str) -> AdminReply {
    let done = match name {
        "table" => server.change_tables(now, body).map(|lines| format!("{lines} lines done\n")),
        "plugin" => server.replace_plugin(now, body).map(|()| "done\n".to_owned()),
        "dump" => return server.page(body).map_or_else(AdminReply::bad_request, |page| AdminReply::json(&page)),
        _ => return AdminReply::not_found("commands: table, plugin, dump\n"),
    };
    done.map_or_else(|problem| AdminReply::bad_request(format!("{problem}\n")), AdminReply::ok)
}

fn log(event: &Event) {
    match event {
        Event::Registered { handle, element } => {
            tracing::info!(%handle, pe = %element.id, "registered");
        }
        Event::Reregistered { handle, element, changed } => {
            tracing::debug!(%handle, pe = %element.id, changed, "registered again");
        }
        Event::Deregistered { handle, pe, cause } => tracing::info!(%handle, %pe, ?cause, "deregistered"),
        Event::PeerUp { server } => tracing::info!(%server, "peer found"),
        Event::PeerDead { server } => tracing::warn!(%server, "peer dead"),
        Event::TakenOver { server, by, pes } => tracing::warn!(%server, %by, pes, "dead server taken over"),
        Event::Suspended { handle, pe, reason } => tracing::info!(%handle, %pe, ?reason, "suspended"),
        Event::Resumed { handle, pe } => tracing::info!(%handle, %pe, "resumed"),
    }
}
