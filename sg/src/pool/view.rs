//! What a pool counts, and what the admin sees of it.

use super::Pool;
use super::controller::{Controller, Phase};
use super::per_sls::SlsView;
use crate::record::Discards;
use m3ua_lite::session::GroupedBy;
use serde::Serialize;

/// Counted since the start. The field names are the metric names without prefix.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counters {
    /// Messages of the network with this application server's routing key.
    pub(crate) offered: u64,
    /// Confirmed by a controller as applied.
    pub(crate) applied: u64,
    /// Discarded on the way to the pool.
    pub(crate) discarded: Discards,
    /// Output discarded on the way to the network.
    pub(crate) discarded_down: Discards,
    /// Output given to the network side.
    pub(crate) released: u64,
    /// ASPs registered on their behalf.
    pub(crate) proxy_registrations: u64,
    /// DUNA and DAVA of destinations that found no room.
    pub(crate) destinations_untold: u64,
    /// Transactions committed.
    pub(crate) transactions: u64,
    /// Unconfirmed messages taken back from controllers that were given up.
    pub(crate) taken_back: u64,
    /// Output that was never committed.
    pub(crate) held_dropped: u64,
    /// Controllers given up.
    pub(crate) given_up: u64,
    /// Times a group was given to a controller.
    pub(crate) given: u64,
    /// Of these without the pool's policy, because the name service had no answer.
    pub(crate) chosen_by_groups: u64,
    /// Times the association of an ASP had no room for a message that others got (traffic mode broadcast).
    pub(crate) broadcast_missed: u64,
    /// Times a group had to wait because `unconfirmed_max` messages were unconfirmed at its controller.
    pub(crate) window_full: u64,
    /// Planned moves begun.
    pub(crate) moves_started: u64,
    /// Of these, ended with the group at the controller it was meant for.
    pub(crate) moves_completed: u64,
    /// Of these, ended otherwise: a controller left or was given up.
    pub(crate) moves_cancelled: u64,
    /// Times the congestion level changed.
    pub(crate) congestion_changes: u64,
    /// Groups refused (`groups_max`).
    pub(crate) groups_refused: u64,
    /// Associations not opened (`associations_max`, no address).
    pub(crate) associations_refused: u64,
    /// Controllers given up because their held output passed `held_messages_max`, or all state `state_bytes_max`.
    pub(crate) held_overflows: u64,
    /// Lease BEATs not echoed (`lease_ms_max`).
    pub(crate) leases_refused: u64,
    /// Output and cookies for a group that the controller does not own.
    pub(crate) not_owner: u64,
    /// Echoes that belong to no outstanding barrier.
    pub(crate) stray_echoes: u64,
    /// Messages of controllers that were not understood or not allowed.
    pub(crate) malformed_from_pool: u64,
    /// ERR of controllers.
    pub(crate) errors_from_pool: u64,
    /// ERR to controllers not sent because there were too many.
    pub(crate) errors_suppressed: u64,
    /// Messages of controllers that mean nothing here.
    pub(crate) ignored_from_pool: u64,
    /// Answers to REG REQ and DEREG REQ that found no room.
    pub(crate) answers_lost: u64,
    /// Destinations in SCON of controllers, told to the network.
    pub(crate) congestion_heard: u64,
    /// BEATs, audits, SCON and REG REQs of controllers not answered because there were too many.
    pub(crate) floods_suppressed: u64,
    /// Messages of controllers with another PPID than M3UA's and ASAP's.
    pub(crate) unknown_ppid: u64,
    /// Messages of the network that were taken before: a peer sent them again, as a gateway had ended.
    pub(crate) repeated: u64,
    /// NTFYs that found no room.
    pub(crate) notify_lost: u64,
    /// SCCP messages of the network that were grouped by a TCAP transaction id.
    pub(crate) sccp_by_transaction: u64,
    /// SCCP messages of the network that were grouped by SLS.
    pub(crate) sccp_by_sls: u64,
    /// SCCP messages of the network that were grouped by point codes.
    pub(crate) sccp_by_point_codes: u64,
}

impl Counters {
    /// Counts what a message of the network was grouped by.
    pub(super) fn grouped(&mut self, by: GroupedBy) {
        match by {
            GroupedBy::Transaction => self.sccp_by_transaction += 1,
            GroupedBy::Sls => self.sccp_by_sls += 1,
            GroupedBy::PointCodes => self.sccp_by_point_codes += 1,
            GroupedBy::UserPart => {}
        }
    }

    /// Offered = applied + discarded + in a queue, exactly.
    pub(crate) fn balances(&self, queued: usize) -> bool {
        self.offered == self.applied + self.discarded.sum() + queued as u64
    }
}

/// A pool in the admin state.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    pub(crate) pool: String,
    pub(crate) routing_context: u32,
    pub(crate) state: &'static str,
    pub(crate) available: bool,
    pub(crate) groups: usize,
    pub(crate) groups_waiting: usize,
    /// Planned moves begun and not ended.
    pub(crate) moves_outstanding: usize,
    /// Planned moves to be begun.
    pub(crate) moves_planned: usize,
    pub(crate) queued_messages: usize,
    pub(crate) queued_bytes: usize,
    /// 0 to 3, as the network was told (SCON).
    pub(crate) congestion_level: u8,
    pub(crate) controllers: Vec<ControllerView>,
    /// The SLSs that were ever used.
    pub(crate) sls: Vec<SlsView>,
    pub(crate) counters: Counters,
}

/// A pool element in the admin state.
#[derive(Debug, Serialize)]
pub(crate) struct ControllerView {
    pub(crate) pe: String,
    /// connecting, starting, active, draining, inactive, or down.
    pub(crate) state: &'static str,
    pub(crate) registered: bool,
    pub(crate) addresses: Vec<String>,
    pub(crate) port: u16,
    pub(crate) incarnation: String,
    pub(crate) groups: usize,
    pub(crate) unconfirmed: usize,
    pub(crate) rtt_us: Option<u64>,
    /// Sent to it on this association.
    pub(crate) messages_up: u64,
    /// Came from it.
    pub(crate) messages_down: u64,
    pub(crate) transactions: u64,
}

impl Controller {
    fn state(&self) -> &'static str {
        match self.phase {
            Phase::Starting(_) if self.streams == 0 => "connecting",
            Phase::Starting(_) => "starting",
            Phase::Active => "active",
            Phase::Draining(_) => "draining",
            Phase::Inactive => "inactive",
        }
    }
}

impl Pool {
    /// What was counted.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// For the admin.
    pub(crate) fn view(&self) -> View {
        let controllers = self.elements.iter().map(|(pe, element)| {
            let controller = element.assoc.and_then(|assoc| self.controllers.get(&assoc));
            let rtt = controller.and_then(|c| c.rtt);
            ControllerView {
                pe: format!("{pe:08x}"),
                state: controller.map_or("down", Controller::state),
                registered: element.in_pool,
                addresses: element.location.addresses.iter().map(ToString::to_string).collect(),
                port: element.location.port,
                incarnation: format!("{:08x}", controller.map_or(0, |c| c.incarnation)),
                groups: controller.map_or(0, |c| c.groups.len()),
                unconfirmed: controller.map_or(0, |c| c.unconfirmed),
                rtt_us: rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
                messages_up: controller.map_or(0, |c| c.messages_up),
                messages_down: controller.map_or(0, |c| c.messages_down),
                transactions: controller.map_or(0, |c| c.transactions),
            }
        });
        View {
            pool: self.settings.server.pool.clone(),
            routing_context: self.settings.server.routing_context,
            state: self.as_state.state().name(),
            available: self.is_available(),
            groups: self.groups.len(),
            groups_waiting: self.waiting.len(),
            moves_outstanding: self.moves.outstanding(),
            moves_planned: self.moves.planned(),
            queued_messages: self.queued.messages,
            queued_bytes: self.queued.bytes,
            congestion_level: self.congestion_level(),
            controllers: controllers.collect(),
            sls: self.per_sls.view(),
            counters: self.counters,
        }
    }
}
