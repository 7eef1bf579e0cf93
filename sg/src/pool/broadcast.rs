//! Traffic mode broadcast (RFC 4666 sections 1.2, 4.3.4.3): each active ASP gets each message, in its order, with its Correlation Id,
//! by which an ASP that becomes active knows where the others are.
//!
//! For ASPs without transactions alone: two controllers of ours would both act on a call. A group has no owner; its messages wait
//! while the AS is not active, and are done with when at least one ASP's association took them. What one ASP misses the
//! others have: nothing is confirmed, and nothing is sent again.

use super::controller::Phase;
use super::{Cx, Pool};
use crate::config;
use crate::group::GroupId;
use crate::record::Discard;
use m3ua_lite::as_state::AsState;
use m3ua_lite::session::stream_for;

impl Pool {
    pub(super) fn is_broadcast(&self) -> bool {
        self.settings.server.traffic_mode == config::TrafficMode::Broadcast
    }

    /// Gives each active ASP what waits in a group.
    pub(super) fn broadcast(&mut self, cx: &mut Cx<'_>, id: GroupId) {
        if self.as_state.state() != AsState::Active {
            return self.wait(cx, id);
        }
        for copy in self.take_queue(cx, id) {
            let mut taken = false;
            for controller in self.controllers.values_mut().filter(|controller| controller.phase == Phase::Active) {
                let stream = stream_for(&self.keys[id.0 as usize], controller.streams);
                match controller.send_unconfirmed(cx, stream, copy.data.clone()) {
                    Ok(()) => taken = true,
                    Err(_) => self.counters.broadcast_missed += 1,
                }
            }
            if taken {
                self.counters.applied += 1;
            } else {
                self.discard_copy(cx, &copy, Discard::QueueFull);
            }
        }
    }
}
