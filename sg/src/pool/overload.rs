//! More comes than the pool takes: a window toward each controller, what waits behind it, and what is discarded first.
//!
//! A controller that falls behind is not sent more than `unconfirmed_max`; its own queue stays short, and its BEATs, cookies and
//! lease go on as ever. The rest waits here, in the groups' queues. When these fill up, what begins something new goes first: a
//! discarded IAM costs one call, a discarded REL or RLC costs a circuit until its timer repeats it. A controller that is slower than
//! the others does not take their room: what it may have in the queues depends on how much is left.

use super::{Cx, Pool};
use crate::group::{GroupId, Owner};
use crate::record::Discard;
use m3ua_lite::isup::{self, MessageType};
use m3ua_lite::wire::ProtocolData;
use sctp::AssocId;

/// The messages in the queues of one controller's groups may be so many times the room that is left; above that, nothing new is begun
/// there. One controller alone that falls behind gets four fifths of the queue up to `congestion_percent`; three, twelve thirteenths.
const SHARE: usize = 4;

impl Pool {
    /// Whether the queues have room for a message of the network, of `bytes` when encoded; else why it is discarded.
    pub(super) fn admit(&self, id: GroupId, message: &ProtocolData<'_>, bytes: usize) -> Result<(), Discard> {
        self.room_for(Some(id), begins_something(message), bytes)
    }

    /// The same for a message that begins something new, or does not, of a group or of a new one.
    pub(super) fn room_for(&self, id: Option<GroupId>, begins: bool, bytes: usize) -> Result<(), Discard> {
        let server = &self.settings.server;
        let (messages, bytes) = (self.queued.messages + 1, self.queued.bytes + bytes);
        if messages > server.queue_messages_max || bytes > server.queue_bytes_max {
            return Err(Discard::QueueFull);
        }
        if !begins {
            return Ok(());
        }
        let part = |max: usize| (max as u128 * u128::from(server.congestion_percent)).div_ceil(100);
        let room = part(server.queue_messages_max).checked_sub(messages as u128);
        let queued = id.map_or(0, |id| self.queued_of(id));
        let fair = room.is_some_and(|room| queued as u128 <= (room + 1) * SHARE as u128);
        let congested = !fair || bytes as u128 > part(server.queue_bytes_max);
        if congested { Err(Discard::Congestion) } else { Ok(()) }
    }

    /// Messages in the queues of the groups that have the same owner; 0 without an owner.
    fn queued_of(&self, id: GroupId) -> usize {
        match self.groups[id.0 as usize].owner {
            Owner::Controller(assoc) => self.controllers.get(&assoc).map_or(0, |controller| controller.queued),
            Owner::Nobody | Owner::Fenced => 0,
        }
    }

    /// A message goes into a group's queue.
    pub(super) fn note_queued(&mut self, id: GroupId) {
        if let Owner::Controller(assoc) = self.groups[id.0 as usize].owner
            && let Some(controller) = self.controllers.get_mut(&assoc)
        {
            controller.queued += 1;
        }
    }

    /// Puts a group behind those that wait for room toward the controller. False: none waits.
    pub(super) fn queue_behind(&mut self, assoc: AssocId, id: GroupId) -> bool {
        match self.controllers.get_mut(&assoc) {
            Some(controller) if !controller.backlog.is_empty() => {
                controller.blocked(id);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Serves the groups that found no room: one message each in turn, until there is none again. With thousands of them, trying each
    /// in every batch would be the end.
    pub(super) fn pump_backlog(&mut self, cx: &mut Cx<'_>, assoc: AssocId) {
        let window = self.settings.server.unconfirmed_max;
        loop {
            let Some(controller) = self.controllers.get_mut(&assoc) else { return };
            if controller.unconfirmed >= window {
                return;
            }
            let Some(id) = controller.next_blocked() else { return };
            if self.groups[id.0 as usize].owner == Owner::Controller(assoc) && !self.pump_some(cx, assoc, id, 1) {
                return;
            }
        }
    }
}

/// It makes work for its user part and nothing that is under way waits for it, as far as a gateway can tell.
fn begins_something(message: &ProtocolData<'_>) -> bool {
    message.si != isup::SERVICE_INDICATOR || isup::message_type(message.user_data) == Some(MessageType::Iam)
}
