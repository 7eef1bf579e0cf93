//! The stand-alone name server as a node: SCTP associations on the ASAP port, and the [`Server`] machine behind them.
//! Pure, like everything in it; [`server_daemon`](crate::server_daemon) gives it sockets.

use crate::daemon::{AdminKind, AdminReply, AdminRequest, DaemonCommand, Kind, Metrics};
use crate::server::{ClientId, Event, Server, ServerSnapshot};
use asap::wire::{PeId, PoolHandle};
use sctp::{AssocId, Associations, Input, Output, SendError, SendOptions, ppid};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

/// A name server with its associations.
#[derive(Debug)]
pub struct Node {
    name: String,
    stack: Box<dyn Associations>,
    server: Server,
    /// Where each client is: its IP addresses with its SCTP port.
    clients: BTreeMap<AssocId, Vec<SocketAddr>>,
    counters: Counters,
    stopping: bool,
}

/// What the node counts besides [`Server::counters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Associations that came up.
    pub associations: u64,
    /// Messages with another PPID than ASAP's, dropped.
    pub wrong_ppid: u64,
    /// Associations aborted because the client did not take what it was sent.
    pub slow_clients: u64,
    /// Messages that could not be sent for another reason (the association was just closing).
    pub unsendable: u64,
}

/// Admin state.
#[derive(Debug, Serialize)]
struct NodeSnapshot<'a> {
    name: &'a str,
    associations: usize,
    stopping: bool,
    counters: Counters,
    server: ServerSnapshot,
}

impl Node {
    /// Takes associations that listen on the ASAP port, and the machine.
    #[must_use]
    pub fn new(name: &str, stack: Box<dyn Associations>, server: Server) -> Self {
        let (clients, counters) = (BTreeMap::new(), Counters::default());
        Self { name: name.to_owned(), stack, server, clients, counters, stopping: false }
    }

    /// The name server machine.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Moves everything between the associations and the machine until nothing is left to move.
    fn pump(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            while let Some(event) = self.stack.poll_event() {
                idle = false;
                self.association_event(now, event);
            }
            while let Some((client, bytes)) = self.server.poll_output() {
                idle = false;
                self.send(now, client, bytes);
            }
            if idle {
                break;
            }
        }
        while let Some(event) = self.server.poll_event() {
            log(&event);
        }
    }

    fn association_event(&mut self, now: Instant, event: sctp::Event) {
        match event {
            sctp::Event::Up { assoc, peer, peer_port, .. } => {
                self.counters.associations += 1;
                let source = peer.iter().map(|peer| SocketAddr::new(peer.ip(), peer_port)).collect();
                self.clients.insert(assoc, source);
                if self.stopping {
                    self.stack.shutdown(now, assoc);
                }
            }
            sctp::Event::Message { assoc, ppid: ppid::ASAP, payload, .. } => {
                let source = self.clients.get(&assoc).map(Vec::as_slice).unwrap_or_default();
                self.server.handle_message(now, ClientId(assoc.0), source, &payload);
            }
            sctp::Event::Message { .. } => self.counters.wrong_ppid += 1,
            sctp::Event::Closed { assoc, reason, .. } => {
                self.clients.remove(&assoc);
                self.server.client_lost(now, ClientId(assoc.0), reason.is_certain());
            }
            // Paths are the association's own business.
            sctp::Event::Path { .. } | _ => {}
        }
    }

    fn send(&mut self, now: Instant, client: ClientId, bytes: bytes::Bytes) {
        let assoc = AssocId(client.0);
        let options = SendOptions { ppid: ppid::ASAP, ..SendOptions::default() };
        match self.stack.send(now, assoc, options, bytes) {
            Ok(()) => {}
            Err(SendError::QueueFull) => {
                // It does not read. Waiting for it would cost memory; gone, it is out of the pools and can come back.
                self.counters.slow_clients += 1;
                self.stack.abort(now, assoc, b"client does not read");
            }
            Err(SendError::NotOpen | SendError::NoSuchStream | SendError::BadLength) => {
                self.counters.unsendable += 1;
                self.server.send_failed(now, client);
            }
        }
    }

    fn admin(&mut self, now: Instant, request: AdminRequest) {
        let reply = match request.kind {
            AdminKind::State => AdminReply::json(&NodeSnapshot {
                name: &self.name,
                associations: self.clients.len(),
                stopping: self.stopping,
                counters: self.counters,
                server: self.server.snapshot(),
            }),
            AdminKind::Metrics => AdminReply::ok(self.metrics()),
            AdminKind::Health if self.stopping => AdminReply::unavailable("stopping\n"),
            AdminKind::Health => AdminReply::ok("ok\n"),
            AdminKind::Command { name, body } => self.command(now, &name, &body),
        };
        request.reply.send(reply);
    }

    /// `drain` and `undrain`, body `HANDLE PE-ID` (identifier in hex): takes a PE out of selection, and back in.
    fn command(&mut self, now: Instant, name: &str, body: &str) -> AdminReply {
        let draining = match name {
            "drain" => true,
            "undrain" => false,
            _ => return AdminReply::not_found("commands: drain, undrain\n"),
        };
        let target = body.trim().rsplit_once(' ').and_then(|(handle, id)| {
            let id = u32::from_str_radix(id.trim_start_matches("0x"), 16).ok()?;
            Some((PoolHandle::from(handle.trim()), PeId(id)))
        });
        let Some((handle, pe)) = target else {
            return AdminReply::bad_request("give the pool handle, a space, and the PE identifier in hex\n");
        };
        if self.server.set_draining(now, &handle, pe, draining) {
            AdminReply::ok("done\n")
        } else {
            AdminReply::bad_request(format!("no PE {pe} in pool {handle}; /state lists them\n"))
        }
    }

    fn metrics(&self) -> String {
        let mut metrics = Metrics::new();
        let handlespace = self.server.handlespace();
        metrics.gauge("enrp_associations", "Associations of clients.", self.clients.len() as u64);
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
        for (name, help, value) in self.server.counters().list() {
            metrics.counter(&format!("enrp_{name}_total"), help, value);
        }
        let node = self.counters;
        metrics.counter("enrp_associations_up_total", "Associations that came up.", node.associations);
        metrics.counter("enrp_wrong_ppid_total", "Messages with another PPID than ASAP's.", node.wrong_ppid);
        metrics.counter("enrp_slow_clients_total", "Associations aborted: client does not read.", node.slow_clients);
        metrics.counter("enrp_unsendable_total", "Messages for associations that were closing.", node.unsendable);
        metrics.finish()
    }

    /// Closes every association; PEs and users hunt for another server. All at once, so that no user can still be told that
    /// the elements whose associations end with its own are gone: nothing is sent on an association that is closing.
    fn stop(&mut self, now: Instant) {
        self.stopping = true;
        for &assoc in self.clients.keys() {
            self.stack.shutdown(now, assoc);
        }
    }
}

impl sctp::driver::Node for Node {
    type Command = DaemonCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, now: Instant, command: DaemonCommand) {
        match command {
            DaemonCommand::Admin(request) => self.admin(now, request),
            DaemonCommand::Stop => self.stop(now),
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.server.handle_timeout(now);
        self.pump(now);
    }

    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        // The handlespace lives as long as the process: PEs register again with the next server.
        Ok(())
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout().into_iter().chain(self.server.poll_timeout()).min()
    }

    fn finished(&self) -> bool {
        self.stopping && self.clients.is_empty()
    }
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
        Event::Suspended { handle, pe, reason } => tracing::info!(%handle, %pe, ?reason, "suspended"),
        Event::Resumed { handle, pe } => tracing::info!(%handle, %pe, "resumed"),
    }
}
