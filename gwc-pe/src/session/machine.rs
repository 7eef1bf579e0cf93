//! What stands behind a group: call control, a service behind dialogues, or nothing.

use super::Shared;
use crate::isup::{self, GroupId, Verdict};
use crate::tcap;
use m3ua_lite::sccp;
use m3ua_lite::session::{Envelope, GroupKey, NO_CIC_BLOCK};
use m3ua_lite::wire::ProtocolData;
use std::time::{Duration, Instant};

/// A message for the network, within the group's label.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) sls: u8,
    pub(super) user_data: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) enum Machine {
    Isup(Box<isup::Group>),
    Dialogues(tcap::Group),
    /// Plain MTP3 payload: nothing to remember.
    Plain,
}

/// What a group's messages mean, by its key.
enum Kind {
    Isup(GroupId),
    Dialogues(tcap::GroupId),
    Plain,
}

fn kind(shared: &Shared, key: &GroupKey) -> Kind {
    let (network, pool, block) = (key.opc, key.dpc, key.cic_block);
    if shared.config.is_plain(key.si) {
        Kind::Plain
    } else if key.is_isup() {
        Kind::Isup(GroupId { network, pool, block })
    } else if key.si == sccp::SERVICE_INDICATOR && block != NO_CIC_BLOCK {
        Kind::Dialogues(tcap::GroupId { network, pool, bits: block })
    } else {
        // SCCP without a transaction, its management for example. What else is not plain was refused before.
        Kind::Plain
    }
}

impl Machine {
    /// A new one for a group.
    pub(super) fn new(shared: &Shared, key: &GroupKey) -> Self {
        match kind(shared, key) {
            Kind::Isup(id) => Self::Isup(Box::new(isup::Group::new(id))),
            Kind::Dialogues(id) => Self::Dialogues(tcap::Group::new(id)),
            Kind::Plain => Self::Plain,
        }
    }

    /// One as the last controller committed it.
    pub(super) fn restore(now: Instant, shared: &mut Shared, envelope: &Envelope) -> Result<Self, String> {
        let age = Duration::from_millis(envelope.age_ms.into());
        match kind(shared, &envelope.group) {
            Kind::Isup(id) => {
                let group = shared.calls(now, &mut Vec::new(), |cx| isup::Group::restore(id, envelope.state, age, cx));
                group.map(|group| Self::Isup(Box::new(group))).map_err(|error| error.to_string())
            }
            Kind::Dialogues(id) => {
                let group =
                    shared.dialogues(now, (0, &mut Vec::new()), |cx| tcap::Group::restore(id, envelope.state, age, cx));
                group.map(Self::Dialogues).map_err(|error| error.to_string())
            }
            Kind::Plain => Ok(Self::Plain),
        }
    }

    pub(super) fn handle_message(
        &mut self,
        now: Instant,
        shared: &mut Shared,
        message: &ProtocolData,
        out: &mut Vec<Out>,
    ) -> Verdict {
        match self {
            Self::Isup(group) => shared.calls(now, out, |cx| group.handle_message(cx, message.user_data)),
            Self::Dialogues(group) => {
                shared.dialogues(now, (message.sls, out), |cx| group.handle_message(cx, message.user_data))
            }
            Self::Plain => Verdict::Applied,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared, out: &mut Vec<Out>) {
        match self {
            Self::Isup(group) => shared.calls(now, out, |cx| group.handle_timeout(cx)),
            // It says nothing then.
            Self::Dialogues(group) => shared.dialogues(now, (0, out), |cx| group.handle_timeout(cx)),
            Self::Plain => {}
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Isup(group) => group.poll_timeout(),
            Self::Dialogues(group) => group.poll_timeout(),
            Self::Plain => None,
        }
    }

    /// Appends the state for the cookie.
    pub(super) fn snapshot(&self, now: Instant, out: &mut Vec<u8>) {
        match self {
            Self::Isup(group) => group.snapshot(now, out),
            Self::Dialogues(group) => group.snapshot(now, out),
            Self::Plain => {}
        }
    }

    /// Another controller has the group now.
    pub(super) fn forget(self, shared: &mut Shared) {
        match self {
            Self::Isup(group) => group.forget(&mut shared.isup),
            Self::Dialogues(group) => group.forget(&mut shared.tcap),
            Self::Plain => {}
        }
    }
}

impl Shared {
    /// Lets call control act; what it sends is appended to `out`.
    pub(super) fn calls<T>(
        &mut self,
        now: Instant,
        out: &mut Vec<Out>,
        act: impl FnOnce(&mut isup::Context) -> T,
    ) -> T {
        let mut sent = Vec::new();
        let result = act(&mut isup::Context {
            now,
            config: &self.config.call,
            recorded: &self.recorded,
            out: &mut sent,
            counters: &mut self.isup,
        });
        // ITU-T Q.704 annex / Q.763 1.2: the SLS of ISUP is the four low bits of the CIC.
        out.extend(sent.into_iter().map(|isup::Output { cic, user_data }| Out { sls: (cic & 0xf) as u8, user_data }));
        result
    }

    /// Lets the service behind dialogues act; what it sends is appended, with the SLS of what it answers.
    fn dialogues<T>(
        &mut self,
        now: Instant,
        (sls, out): (u8, &mut Vec<Out>),
        act: impl FnOnce(&mut tcap::Context) -> T,
    ) -> T {
        let mut sent = Vec::new();
        let result =
            act(&mut tcap::Context { now, config: &self.config.dialogue, out: &mut sent, counters: &mut self.tcap });
        out.extend(sent.into_iter().map(|user_data| Out { sls, user_data }));
        result
    }
}
