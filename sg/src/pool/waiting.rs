//! Groups that wait for a controller, and what becomes of their messages when none comes (T(r), RFC 4666 section 4.3.2).

use super::{Cx, Pool, ms};
use crate::group::{Copy, GroupId};
use crate::record::Discard;
use m3ua_lite::as_state::AsState;
use std::collections::VecDeque;

impl Pool {
    /// Puts a group without owner behind those that wait already.
    pub(super) fn wait(&mut self, cx: &mut Cx<'_>, id: GroupId) {
        let group = &mut self.groups[id.0 as usize];
        if !std::mem::replace(&mut group.waits, true) {
            self.waiting.push_back(id);
        }
        let idle = matches!(self.as_state.state(), AsState::Down | AsState::Inactive);
        if idle && group.len() > 0 && self.first_wait.is_none() {
            self.first_wait = Some(cx.now + ms(self.settings.server.t_r_ms));
            cx.directory.resolve(cx.now, &self.handle);
        }
    }

    /// Gives owners to the groups that wait, in their order, if there is a controller.
    pub(super) fn assign_waiting(&mut self, cx: &mut Cx<'_>) {
        for _ in 0..self.waiting.len() {
            let Some(id) = self.waiting.pop_front() else { break };
            // Not waiting any more when a controller began to use the group itself.
            if !std::mem::take(&mut self.groups[id.0 as usize].waits) {
                continue;
            }
            if self.is_broadcast() {
                self.broadcast(cx, id);
                continue;
            }
            match self.choose(cx, id) {
                Some(assoc) => self.give(cx, assoc, id),
                None => {
                    self.groups[id.0 as usize].waits = true;
                    self.waiting.push_front(id);
                    break;
                }
            }
        }
    }

    /// T(r) is over: the messages that wait are discarded; what is known of their calls is kept.
    pub(super) fn expire_waiting(&mut self, cx: &mut Cx<'_>) {
        self.first_wait = None;
        self.set_unavailable(true);
        let mut keep = VecDeque::new();
        for id in std::mem::take(&mut self.waiting) {
            self.expire(cx, id);
            let group = &mut self.groups[id.0 as usize];
            group.waits = group.cookie().is_some();
            if group.waits {
                keep.push_back(id);
            }
        }
        self.waiting = keep;
    }

    /// Discards the messages of a group that nobody owns.
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>, id: GroupId) {
        for copy in self.take_queue(cx, id) {
            self.discard_copy(cx, &copy, Discard::AsPendingExpired);
        }
    }

    /// Empties the queue of a group that nobody owns.
    pub(super) fn take_queue(&mut self, cx: &mut Cx<'_>, id: GroupId) -> Vec<Copy> {
        let copies: Vec<_> = self.groups[id.0 as usize].discard().collect();
        self.note_confirmed(cx, id, copies.last().map(|copy| copy.correlation_id));
        self.queued.messages -= copies.len();
        self.queued.bytes -= copies.iter().map(|copy| copy.data.len()).sum::<usize>();
        copies
    }
}
