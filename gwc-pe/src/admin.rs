//! What the controller says about itself: state as JSON, counters in Prometheus text.

use crate::isup::{Call, Counters as CallCounters, Outcome};
use crate::membership::{Membership, View};
use crate::node::{Node, Role};
use crate::session::{Counters, Session};
use crate::tcap;
use enrp::daemon::{AdminKind, AdminReply, AdminRequest, Kind, Metrics};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Admin state.
#[derive(Debug, Serialize)]
struct Snapshot<'a> {
    name: &'a str,
    pe: String,
    incarnation: String,
    pool: String,
    /// In every scope, under every handle.
    registered: bool,
    /// `registering`, `ready` (registered), `active` (a gateway sends), `stopping`.
    state: &'static str,
    groups: usize,
    /// DATA that waits for its turn (`capacity_per_s`).
    waiting: usize,
    /// DATA applied and sent.
    messages_in: u64,
    messages_out: u64,
    /// Circuits by state of their call, idle ones left out.
    circuits: BTreeMap<&'static str, u32>,
    blocked_local: usize,
    blocked_remote: usize,
    calls: Calls,
    dialogues: Dialogues,
    gateways: Vec<Gateway>,
    memberships: Vec<View>,
    associations: Vec<sctp::AssociationView>,
    counters: Counters,
}

#[derive(Debug, Serialize)]
struct Calls {
    incoming: u64,
    outgoing: u64,
    restored: u64,
    answered: u64,
    open: u64,
    ended: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Dialogues {
    open: u64,
    #[serde(flatten)]
    counts: tcap::Counters,
}

#[derive(Debug, Serialize)]
struct Gateway {
    addresses: Vec<SocketAddr>,
    asp_state: &'static str,
    lease_left_ms: u128,
    groups: usize,
}

fn calls(counters: &CallCounters) -> Calls {
    let ended = Outcome::ALL.into_iter().map(|outcome| (outcome.name(), counters.ended(outcome)));
    Calls {
        incoming: counters.calls_in,
        outgoing: counters.calls_out,
        restored: counters.calls_restored,
        answered: counters.calls_answered,
        open: counters.calls_open(),
        ended: ended.filter(|(_, count)| *count > 0).collect(),
    }
}

impl Node {
    pub(crate) fn admin(&mut self, now: Instant, request: AdminRequest) {
        let reply = match request.kind {
            AdminKind::State => AdminReply::json(&self.snapshot(now)),
            AdminKind::Metrics => AdminReply::ok(self.metrics()),
            AdminKind::Health if self.shared.stopping => AdminReply::unavailable("stopping\n"),
            AdminKind::Health if !self.is_registered() => AdminReply::unavailable("not registered\n"),
            AdminKind::Health => AdminReply::ok("ok\n"),
            AdminKind::Command { name, .. } if name == "stop-originating" => {
                self.shared.config.call.originate_per_s = 0.0;
                AdminReply::ok("ok\n")
            }
            // For tests: call control stands still while SCTP and M3UA answer, and goes on.
            AdminKind::Command { name, .. } if name == "stuck" || name == "unstuck" => {
                self.shared.capacity.set_stuck(name == "stuck");
                self.take_all_first_turns(now);
                AdminReply::ok("ok\n")
            }
            AdminKind::Command { .. } => {
                AdminReply::not_found("expected the command stop-originating, stuck or unstuck\n")
            }
        };
        request.reply.send(reply);
    }

    fn is_registered(&self) -> bool {
        self.memberships.iter().all(Membership::is_registered)
    }

    fn sessions(&self) -> impl Iterator<Item = (sctp::AssocId, &Session)> {
        self.roles.iter().filter_map(|(assoc, role)| match role {
            Role::Gateway(session) => Some((*assoc, &**session)),
            Role::Server(_) | Role::Attaching | Role::Closing => None,
        })
    }

    /// Circuits by state of their call, and how many are blocked by this end and by the other.
    fn circuits(&self) -> ([u32; Call::ALL.len()], usize, usize) {
        let (mut states, mut local, mut remote) = ([0; Call::ALL.len()], 0, 0);
        for group in self.sessions().flat_map(|(_, session)| session.isup_groups()) {
            for (sum, count) in states.iter_mut().zip(group.calls()) {
                *sum += count;
            }
            let blocked = group.blocked();
            local += blocked.0;
            remote += blocked.1;
        }
        (states, local, remote)
    }

    fn snapshot(&self, now: Instant) -> Snapshot<'_> {
        let (states, blocked_local, blocked_remote) = self.circuits();
        let circuits = Call::ALL.into_iter().zip(states).filter(|(call, count)| *call != Call::Idle && *count > 0);
        let gateways: Vec<Gateway> = self
            .sessions()
            .map(|(assoc, session)| Gateway {
                addresses: self.stack.addresses(assoc),
                asp_state: session.asp_state().name(),
                lease_left_ms: session.lease_left(now).as_millis(),
                groups: session.group_count(),
            })
            .collect();
        let registered = self.is_registered();
        let state = if self.shared.stopping {
            "stopping"
        } else if self.sessions().any(|(_, session)| session.asp_state() == m3ua_lite::asp::AspState::Active) {
            "active"
        } else if registered {
            "ready"
        } else {
            "registering"
        };
        Snapshot {
            name: &self.shared.config.node.name,
            pe: format!("{:08x}", self.shared.pe),
            incarnation: format!("{:08x}", self.shared.incarnation),
            pool: self.shared.config.pool.handle.clone(),
            registered,
            state,
            groups: self.shared.groups,
            waiting: self.shared.capacity.waiting(),
            messages_in: self.shared.counters.applied,
            messages_out: self.shared.counters.outputs,
            circuits: circuits.map(|(call, count)| (call.name(), count)).collect(),
            blocked_local,
            blocked_remote,
            calls: calls(&self.shared.isup),
            dialogues: Dialogues { open: self.shared.tcap.open(), counts: self.shared.tcap },
            gateways,
            memberships: self.memberships.iter().map(Membership::view).collect(),
            associations: sctp::association_views(&*self.stack, now, |assoc| {
                self.roles.get(&assoc).and_then(Role::name).unwrap_or("closing")
            }),
            counters: self.shared.counters,
        }
    }

    fn metrics(&self) -> String {
        let mut metrics = Metrics::new();
        let (states, local, remote) = self.circuits();
        metrics.gauge("gwc_registered", "1 while registered with the pool.", self.is_registered().into());
        metrics.gauge("gwc_gateways", "Gateways connected.", self.sessions().count() as u64);
        metrics.gauge("gwc_waiting", "DATA that waits for its turn.", self.shared.capacity.waiting() as u64);
        metrics.gauge("gwc_groups", "Groups of all gateways.", self.shared.groups as u64);
        metrics.family("gwc_circuits", "Circuits by state of their call.", Kind::Gauge);
        for (call, count) in Call::ALL.into_iter().zip(states) {
            metrics.sample(&[("state", call.name())], f64::from(count));
        }
        metrics.gauge("gwc_circuits_blocked_local", "Circuits blocked by this end.", local as u64);
        metrics.gauge("gwc_circuits_blocked_remote", "Circuits blocked by the other end.", remote as u64);
        for (name, help, value) in self.shared.counters.list() {
            metrics.counter(&format!("gwc_{name}_total"), help, value);
        }
        self.call_metrics(&mut metrics);
        self.dialogue_metrics(&mut metrics);
        for (name, value) in self.stack.counters().iter() {
            metrics.counter(&format!("gwc_sctp_{name}_total"), "SCTP, see the crate sctp.", value);
        }
        metrics.finish()
    }

    fn call_metrics(&self, metrics: &mut Metrics) {
        let counters = &self.shared.isup;
        metrics.family("gwc_calls_ended_total", "Calls by how they ended.", Kind::Counter);
        for outcome in Outcome::ALL {
            metrics.sample(&[("outcome", outcome.name())], counters.ended(outcome) as f64);
        }
        for (name, help, value) in [
            ("calls_in", "Incoming calls.", counters.calls_in),
            ("calls_out", "Outgoing calls, repeat attempts included.", counters.calls_out),
            ("calls_restored", "Calls that came back from a cookie.", counters.calls_restored),
            ("calls_answered", "Calls answered.", counters.calls_answered),
            ("calls_no_circuit", "Calls for which no circuit was free.", counters.no_circuit),
            ("calls_repeat_attempts", "Repeat attempts on another circuit.", counters.repeat_attempts),
            ("isup_unexpected", "Messages that did not fit the state (Q.764 2.9.5.1).", counters.unexpected),
            ("isup_unequipped", "Messages for circuits out of service.", counters.unequipped),
            ("isup_unknown", "Messages of an unknown type.", counters.unknown),
            ("isup_beyond_group", "Group messages that name circuits beyond the group.", counters.beyond_group),
            ("isup_malformed", "Messages that could not be read.", counters.malformed),
            ("isup_resets_sent", "RSC and GRS sent.", counters.resets_sent),
            ("isup_resets_received", "RSC and GRS received.", counters.resets_received),
            ("isup_audits", "Groups whose circuits were audited.", counters.audits),
            ("isup_queries_sent", "CQM sent.", counters.queries_sent),
            ("isup_queries_unanswered", "CQM without CQR in time (T28).", counters.queries_unanswered),
            ("isup_audit_resets", "RSC: a call there on a circuit that is idle here.", counters.audit_resets),
            ("isup_blockings_received", "BLO and CGB received.", counters.blockings_received),
            ("isup_maintenance_alerts", "Long timers that ran out, circuits unequipped.", counters.maintenance_alerts),
        ] {
            metrics.counter(&format!("gwc_{name}_total"), help, value);
        }
    }

    fn dialogue_metrics(&self, metrics: &mut Metrics) {
        let counters = &self.shared.tcap;
        metrics.gauge("gwc_dialogues", "TCAP dialogues that are not over.", counters.open());
        for (name, help, value) in [
            ("begun", "Begin taken.", counters.begun),
            ("restored", "Dialogues that came back from a cookie.", counters.restored),
            ("ended", "Ended by our End.", counters.ended),
            ("ended_by_peer", "Ended by the other end's End.", counters.ended_by_peer),
            ("aborted_by_peer", "Ended by Abort of the other end.", counters.aborted_by_peer),
            ("returned", "Ended because SCCP returned what was sent.", counters.returned),
            ("timed_out", "Ended because nothing came for dialogue.timeout_ms.", counters.timed_out),
            ("forgotten", "Another controller has them now.", counters.forgotten),
            ("refused", "Begin beyond dialogue.dialogues_max.", counters.refused),
            ("unknown", "Messages of no dialogue known here.", counters.unknown),
            ("unidirectional", "Unidirectional messages.", counters.unidirectional),
            ("malformed", "TCAP messages that could not be read.", counters.malformed),
        ] {
            metrics.counter(&format!("gwc_dialogues_{name}_total"), help, value);
        }
    }
}
