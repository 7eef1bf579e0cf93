//! `/metrics`.

use crate::mate::Role;
use crate::node::Node;
use crate::pool::{self, Pool};
use crate::record::Discard;
use enrp::daemon::{Kind, Metrics};

impl Node {
    pub(super) fn metrics(&self) -> String {
        let mut metrics = Metrics::new();
        let views: Vec<pool::View> = self.pools.iter().map(Pool::view).collect();
        pool_metrics(&mut metrics, &views);
        controller_metrics(&mut metrics, &views);
        sls_metrics(&mut metrics, &views);
        discard_metrics(&mut metrics, self);
        mate_metrics(&mut metrics, self);
        let network = self.network.counters();
        metrics.counter("sg_network_received_total", "DATA of the network side.", network.received);
        metrics.counter("sg_network_sent_total", "DATA sent to the network side.", network.sent);
        metrics.counter("sg_network_undelivered_total", "DATA a lost peer may not have got.", network.undelivered);
        metrics.counter(
            "sg_network_malformed_total",
            "Messages of peers not understood or not allowed.",
            network.malformed,
        );
        let tcp = self.wire.stack.tcp_counters();
        metrics.counter("sg_tcp_connections_total", "M3UA connections that came by TCP.", tcp.connections);
        metrics.counter("sg_tcp_refused_total", "TCP connections there was no room for.", tcp.refused);
        metrics.counter("sg_tcp_malformed_total", "TCP connections ended: no M3UA, or too long.", tcp.malformed);
        metrics.counter("sg_tcp_idle_total", "TCP connections ended: idle, or they did not read.", tcp.idle);
        metrics.counter("sg_tcp_full_total", "Messages that waited for room toward a TCP connection.", tcp.full);
        metrics.counter("sg_network_congestion_told_total", "SCON sent to peers.", network.congestion_told);
        let heard = "Destinations in SCON that came, told to the pools.";
        metrics.counter("sg_network_congestion_heard_total", heard, network.congestion_heard);
        metrics.counter(
            "sg_network_refusals_total",
            "DUNA and DUPU for messages without a route.",
            network.refusals_told,
        );
        metrics.counter(
            "sg_keys_registered_total",
            "Routing keys that ASPs registered.",
            self.counters.keys_registered,
        );
        metrics.counter(
            "sg_keys_refused_total",
            "Routing keys that ASPs may not register.",
            self.counters.keys_refused,
        );
        metrics.counter("sg_stalls_total", "Times the gateway itself did not run in time.", self.counters.stalls);
        metrics.counter("sg_strangers_total", "Associations and messages nobody asked for.", self.counters.strangers);
        let user = self.names.user_counters();
        metrics.counter("sg_asap_requests_sent_total", "HANDLE_RESOLUTION sent.", user.requests_sent);
        metrics.counter("sg_asap_reports_sent_total", "ENDPOINT_UNREACHABLE sent.", user.reports_sent);
        if let Some(server) = self.names.server() {
            for (name, help, value) in server.counters().list() {
                metrics.counter(&format!("enrp_{name}_total"), help, value);
            }
        }
        metrics.finish()
    }
}

/// A metric's name, its help, and how to read it.
type Of<T, V> = (&'static str, &'static str, fn(&T) -> V);

fn pool_metrics(metrics: &mut Metrics, views: &[pool::View]) {
    let counters: [Of<pool::Counters, u64>; 30] = [
        ("offered", "Messages of the network with the pool's routing key.", |c| c.offered),
        ("applied", "Messages a controller confirmed as applied.", |c| c.applied),
        ("released", "Output given to the network side.", |c| c.released),
        ("transactions", "Transactions committed.", |c| c.transactions),
        ("taken_back", "Unconfirmed messages taken back from controllers.", |c| c.taken_back),
        ("held_dropped", "Output that was never committed.", |c| c.held_dropped),
        ("given_up", "Controllers given up.", |c| c.given_up),
        ("groups_given", "Times a group was given to a controller.", |c| c.given),
        ("chosen_by_groups", "Of these, without the pool's policy.", |c| c.chosen_by_groups),
        ("broadcast_missed", "Messages an ASP had no room for, others did.", |c| c.broadcast_missed),
        ("window_full", "Times a group waited for the window toward its controller.", |c| c.window_full),
        ("moves_started", "Planned moves of groups begun.", |c| c.moves_started),
        ("moves_completed", "Planned moves ended as planned.", |c| c.moves_completed),
        ("moves_cancelled", "Planned moves ended otherwise.", |c| c.moves_cancelled),
        ("congestion_changes", "Times the congestion level changed.", |c| c.congestion_changes),
        ("groups_refused", "Groups beyond groups_max.", |c| c.groups_refused),
        ("sccp_by_transaction", "SCCP grouped by a TCAP transaction id.", |c| c.sccp_by_transaction),
        ("sccp_by_sls", "SCCP grouped by SLS.", |c| c.sccp_by_sls),
        ("sccp_by_point_codes", "SCCP grouped by point codes.", |c| c.sccp_by_point_codes),
        ("associations_refused", "Associations not opened.", |c| c.associations_refused),
        ("held_overflows", "Controllers given up for too much uncommitted output.", |c| c.held_overflows),
        ("leases_refused", "Lease BEATs not echoed.", |c| c.leases_refused),
        ("not_owner", "Output and cookies of a controller that does not own the group.", |c| c.not_owner),
        ("stray_echoes", "Echoes of no outstanding barrier.", |c| c.stray_echoes),
        ("malformed_from_pool", "Messages of controllers not understood or not allowed.", |c| c.malformed_from_pool),
        ("errors_from_pool", "ERR of controllers.", |c| c.errors_from_pool),
        ("errors_suppressed", "ERR to controllers not sent, too many.", |c| c.errors_suppressed),
        ("congestion_heard", "Destinations in SCON of controllers, told to the network.", |c| c.congestion_heard),
        ("floods_suppressed", "BEATs and audits of controllers not answered, too many.", |c| c.floods_suppressed),
        ("ignored_from_pool", "Messages of controllers that mean nothing here.", |c| {
            c.ignored_from_pool + c.unknown_ppid + c.notify_lost
        }),
    ];
    for (name, help, read) in counters {
        metrics.family(&format!("sg_pool_{name}_total"), help, Kind::Counter);
        for view in views {
            metrics.sample(&[("pool", &view.pool)], read(&view.counters) as f64);
        }
    }
    let gauges: [Of<pool::View, usize>; 8] = [
        ("queued_messages", "Messages waiting or unconfirmed.", |v| v.queued_messages),
        ("queued_bytes", "Bytes waiting or unconfirmed.", |v| v.queued_bytes),
        ("groups", "Groups known.", |v| v.groups),
        ("groups_waiting", "Groups without a controller.", |v| v.groups_waiting),
        ("moves_outstanding", "Planned moves begun and not ended.", |v| v.moves_outstanding),
        ("moves_planned", "Planned moves to be begun.", |v| v.moves_planned),
        ("congestion_level", "0 to 3, as the network was told.", |v| usize::from(v.congestion_level)),
        ("available", "1 when the pool can be reached.", |v| usize::from(v.available)),
    ];
    for (name, help, read) in gauges {
        metrics.family(&format!("sg_pool_{name}"), help, Kind::Gauge);
        for view in views {
            metrics.sample(&[("pool", &view.pool)], read(view) as f64);
        }
    }
}

fn sls_metrics(metrics: &mut Metrics, views: &[pool::View]) {
    let columns: [Of<pool::SlsView, u64>; 2] = [
        ("offered", "Messages of the network by SLS.", |s| s.offered),
        ("released", "Output given to the network side by SLS.", |s| s.released),
    ];
    for (name, help, read) in columns {
        metrics.family(&format!("sg_pool_sls_{name}_total"), help, Kind::Counter);
        for view in views {
            for sls in &view.sls {
                metrics.sample(&[("pool", &view.pool), ("sls", &sls.sls.to_string())], read(sls) as f64);
            }
        }
    }
}

fn controller_metrics(metrics: &mut Metrics, views: &[pool::View]) {
    let columns: [Of<pool::ControllerView, f64>; 6] = [
        ("active", "1 when ASP-ACTIVE.", |c| f64::from(u8::from(c.state == "active"))),
        ("groups", "Groups it owns.", |c| c.groups as f64),
        ("unconfirmed", "Messages it has not confirmed.", |c| c.unconfirmed as f64),
        ("messages_up", "Messages sent to it on this association.", |c| c.messages_up as f64),
        ("messages_down", "Messages from it on this association.", |c| c.messages_down as f64),
        ("rtt_seconds", "Smoothed round trip.", |c| c.rtt_us.map_or(f64::NAN, |us| us as f64 / 1e6)),
    ];
    for (name, help, read) in columns {
        metrics.family(&format!("sg_controller_{name}"), help, Kind::Gauge);
        for view in views {
            for controller in &view.controllers {
                metrics.sample(&[("pool", &view.pool), ("pe", &controller.pe)], read(controller));
            }
        }
    }
}

fn mate_metrics(metrics: &mut Metrics, node: &Node) {
    let Some(view) = node.mate.view(&node.journal) else { return };
    let gauges = [
        ("leads", "1 when this gateway leads.", u64::from(view.role == Role::Lead)),
        ("connected", "1 when the association with the other gateway is up.", u64::from(view.connected)),
        ("mirrored", "1 when the other gateway could lead at any moment.", u64::from(view.mirrored)),
        ("behind", "Steps that the other gateway has not got yet.", view.behind),
        ("messages", "Messages mirrored from the other gateway.", view.messages as u64),
        ("forwards", "Messages of the network that the other gateway does not have yet.", view.forwards as u64),
        ("term", "Goes up whenever a gateway begins to lead.", view.term.into()),
    ];
    for (name, help, value) in gauges {
        metrics.family(&format!("sg_mate_{name}"), help, Kind::Gauge);
        metrics.sample(&[], value as f64);
    }
    let c = view.counters;
    let counters = [
        ("links", "Associations between the two gateways that came up.", c.links),
        ("takeovers", "Times this gateway began to lead with what it had mirrored.", c.takeovers),
        ("fenced", "Times it stopped to act because its right to was over.", c.fenced),
        ("malformed", "Messages of the other gateway not understood.", c.malformed),
        ("overruns", "Times the other gateway was too slow to mirror.", c.overruns),
        ("forwarded", "Messages of the network given to the one that leads.", c.forwarded),
        ("forwards_refused", "The same, discarded as too many waited.", c.forwards_refused),
        ("sent_again", "Messages to the network sent again after a takeover.", c.sent_again),
    ];
    for (name, help, value) in counters {
        metrics.family(&format!("sg_mate_{name}_total"), help, Kind::Counter);
        metrics.sample(&[], value as f64);
    }
}

fn discard_metrics(metrics: &mut Metrics, node: &Node) {
    metrics.family("sg_discarded_total", "Messages discarded.", Kind::Counter);
    for cause in Discard::ALL {
        let counters = || node.pools.iter().map(Pool::counters);
        let of_node = match cause {
            Discard::NoRoute => node.counters.no_route,
            Discard::MtpManagement => node.counters.mtp_management,
            Discard::QueueFull => node.mate.counters.forwards_refused,
            Discard::Congestion
            | Discard::AsPendingExpired
            | Discard::Malformed
            | Discard::NoPeer
            | Discard::DestinationUnavailable
            | Discard::FateUnknown => 0,
        };
        let up = counters().map(|c| c.discarded.of(cause)).sum::<u64>() + of_node;
        let down =
            counters().map(|c| c.discarded_down.of(cause)).sum::<u64>() + node.network.counters().discarded.of(cause);
        metrics.sample(&[("cause", cause.name()), ("direction", "up")], up as f64);
        metrics.sample(&[("cause", cause.name()), ("direction", "down")], down as f64);
    }
}
