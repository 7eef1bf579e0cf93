//! What the admin HTTP server is told: state as JSON, metrics for Prometheus (`metrics`); and what it asks for (`command`).

mod command;
mod metrics;

use crate::node::{Counters, Node};
use crate::pool::Pool;
use crate::tcp::TcpCounters;
use crate::{keys, mate, network, pool};
use enrp::daemon::{AdminKind, AdminReply, AdminRequest};
use sctp::Associations as _;
use serde::Serialize;
use std::time::Instant;

/// The admin state.
#[derive(Debug, Serialize)]
struct State<'a> {
    name: &'a str,
    gateway: u8,
    health: &'a str,
    pools: Vec<pool::View>,
    network: network::View,
    /// Routing keys besides those of the configuration.
    routing_keys: Vec<keys::View>,
    /// Of two gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    mate: Option<mate::View>,
    counters: Counters,
    sctp: SctpState,
    tcp: TcpCounters,
    associations: Vec<sctp::AssociationView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrp: Option<enrp::ServerSnapshot>,
    /// The embedded server's peers.
    enrp_peers: Vec<enrp::PeerSnapshot>,
    enrp_peers_unreached: Vec<String>,
}

#[derive(Debug, Serialize)]
struct SctpState {
    packets_in: u64,
    packets_out: u64,
}

impl Node {
    /// Answers the admin.
    pub(crate) fn admin(&mut self, now: Instant, request: AdminRequest) {
        let reply = match &request.kind {
            AdminKind::State => AdminReply::json(&self.state(now)),
            AdminKind::Metrics => AdminReply::ok(self.metrics()),
            AdminKind::Health => match self.unhealthy() {
                Some(why) => AdminReply::unavailable(why),
                None => AdminReply::ok("ok\n"),
            },
            AdminKind::Command { name, body } => self.command(now, name, body),
        };
        request.reply.send(reply);
    }

    /// The admin state, as `/state` has it.
    #[must_use]
    pub fn state_json(&self, now: Instant) -> serde_json::Value {
        serde_json::to_value(self.state(now)).unwrap_or_default()
    }

    fn state(&self, now: Instant) -> State<'_> {
        let sctp = self.wire.stack.counters();
        State {
            name: &self.config.node.name,
            gateway: self.config.node.gateway,
            health: self.unhealthy().map_or("ok", str::trim_end),
            pools: self.pools.iter().map(Pool::view).collect(),
            network: self.network.view(),
            routing_keys: self.keys.views(&self.config.application_servers),
            mate: self.mate.view(&self.journal),
            counters: self.counters,
            sctp: SctpState { packets_in: sctp.packets_in, packets_out: sctp.packets_out },
            tcp: self.wire.stack.tcp_counters(),
            associations: sctp::association_views(&self.wire.stack, now, |assoc| self.role_name(assoc)),
            enrp: self.names.server().map(enrp::Server::snapshot),
            enrp_peers: self.names.server().map(enrp::Server::peers_snapshot).unwrap_or_default(),
            enrp_peers_unreached: self.names.server().map(enrp::Server::unreached_peers).unwrap_or_default(),
        }
    }
}
