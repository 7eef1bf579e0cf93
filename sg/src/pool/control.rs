//! What an operator asks for: a controller drained or ended by name, and what there is to see of groups.

use super::controller::Phase;
use super::elements::Element;
use super::{Cx, Pool};
use crate::explain::group_text;
use crate::group::{GroupId, Owner};
use serde::Serialize;

/// Most groups in one answer.
pub(crate) const GROUPS_MAX: usize = 1_000;

/// What an operator wants with a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No new groups; those it has move to others, one after another, while traffic flows.
    Drain,
    /// As before it was drained.
    Undrain,
    /// Its association ends when what was sent is delivered, and is opened again.
    Disconnect,
    /// The same, and it stays closed. An ASP that attaches by itself and comes again is refused ("Refused - Management Blocking").
    Block,
    /// It may be connected to again, or attach again.
    Unblock,
}

/// How a controller stands after a wish.
#[derive(Debug, Serialize)]
pub(crate) struct ControlView {
    pool: String,
    pe: String,
    /// down, starting, active, draining, inactive.
    state: &'static str,
    drained: bool,
    blocked: bool,
    /// It owns so many.
    groups: usize,
}

/// A group.
#[derive(Debug, Serialize)]
pub(crate) struct GroupView {
    pool: String,
    group: String,
    state: &'static str,
    owner: Option<String>,
    queued_messages: usize,
    unconfirmed: usize,
    cookie_bytes: usize,
}

impl Pool {
    /// Does what an operator wants with an element. `None`: it is not in this pool.
    pub(crate) fn control(&mut self, cx: &mut Cx<'_>, pe: u32, wish: Wish) -> Option<ControlView> {
        let element = self.elements.get_mut(&pe)?;
        match wish {
            Wish::Drain | Wish::Undrain => {
                element.drained = wish == Wish::Drain;
                cx.directory.set_draining(cx.now, &self.handle, pe, wish == Wish::Drain);
                self.look_at_moves(cx.now);
            }
            Wish::Disconnect | Wish::Block => {
                element.blocked = wish == Wish::Block;
                if let Some(assoc) = element.assoc {
                    cx.net.shutdown(cx.now, assoc);
                }
            }
            Wish::Unblock => {
                element.blocked = false;
                element.retry_at = cx.now;
                match element.assoc {
                    Some(assoc) => {
                        self.controllers.get_mut(&assoc).into_iter().for_each(|it| it.sgp.set_blocked(false));
                    }
                    // It comes by itself: nothing is to be kept of it any more.
                    None if element.attached => {
                        let view = self.control_view(pe);
                        self.elements.remove(&pe);
                        return view;
                    }
                    None => {}
                }
            }
        }
        self.control_view(pe)
    }

    /// `None`: it is not in this pool.
    pub(crate) fn control_view(&self, pe: u32) -> Option<ControlView> {
        let element = self.elements.get(&pe)?;
        let controller = element.assoc.and_then(|assoc| self.controllers.get(&assoc));
        let state = controller.map_or("down", |controller| match controller.phase {
            Phase::Starting(_) => "starting",
            Phase::Active => "active",
            Phase::Draining(_) => "draining",
            Phase::Inactive => "inactive",
        });
        Some(ControlView {
            pool: self.handle.to_string(),
            pe: format!("{pe:08x}"),
            state,
            drained: element.drained,
            blocked: element.blocked,
            groups: controller.map_or(0, |controller| controller.groups.len()),
        })
    }

    /// Groups from the `from`-th on, at most [`GROUPS_MAX`].
    pub(crate) fn group_views(&self, from: usize) -> impl Iterator<Item = GroupView> + '_ {
        let numbers = from..self.groups.len().min(from.saturating_add(GROUPS_MAX));
        numbers.map(|number| {
            let id = GroupId(number as u32);
            let group = &self.groups[number];
            let owner = match group.owner {
                Owner::Controller(assoc) => self.controllers.get(&assoc),
                Owner::Nobody | Owner::Fenced => None,
            };
            GroupView {
                pool: self.handle.to_string(),
                group: group_text(&self.keys[number]),
                state: self.group_state(id),
                owner: owner.map(|controller| format!("{:08x}", controller.pe)),
                queued_messages: group.len(),
                unconfirmed: group.unconfirmed(),
                cookie_bytes: group.cookie().map_or(0, bytes::Bytes::len),
            }
        })
    }

    /// How many groups are known.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }
}

impl Element {
    /// It is to have no groups.
    pub(super) fn takes_none(&self) -> bool {
        self.drained || self.blocked
    }
}
