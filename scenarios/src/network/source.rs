//! What a traffic source sends and how it takes answers: generated load here, a capture in [`crate::replay`].

use super::calls::{CallCounters, Calls};
use super::dialogues::Dialogues;
use super::plain::Plain;
use bytes::Bytes;
use m3ua_lite::sccp;
use m3ua_lite::session::SccpAffinity;
use m3ua_lite::wire::ProtocolData;
use std::time::Instant;

/// MTP3 routing label with service information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    pub(crate) opc: u32,
    pub(crate) dpc: u32,
    pub(crate) si: u8,
    pub(crate) ni: u8,
    pub(crate) mp: u8,
    pub(crate) sls: u8,
}

impl Label {
    /// The message with this label and user data.
    pub(crate) fn with<'a>(&self, user_data: &'a [u8]) -> ProtocolData<'a> {
        let Self { opc, dpc, si, ni, mp, sls } = *self;
        ProtocolData { opc, dpc, si, ni, mp, sls, user_data }
    }
}

/// A message to send, with the time it was meant to go.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) intended: Instant,
    pub(crate) label: Label,
    pub(crate) user_data: Bytes,
}

/// Where the messages come from. Pure.
pub(crate) trait Source: Send {
    /// What the gateways group SCCP by: of two, each numbers the messages of a group.
    fn sccp_affinity(&self) -> SccpAffinity {
        SccpAffinity::Sls
    }
    /// Begins; the first message is meant to go at `at`.
    fn start(&mut self, at: Instant);
    /// Begins nothing new.
    fn stop(&mut self);
    /// The next message due at `now`.
    fn poll(&mut self, now: Instant) -> Option<Outgoing>;
    /// When `poll` has something at the latest.
    fn poll_timeout(&self) -> Option<Instant>;
    /// A message from the pool.
    fn handle(&mut self, now: Instant, message: &ProtocolData<'_>);
    /// What is still going on: calls up, or messages to send.
    fn up(&self) -> u64;
    /// Counters of calls.
    fn call_counters(&self) -> CallCounters;
    /// Intended times of what could not be offered, since the last question.
    fn take_missed(&mut self) -> Vec<Instant>;
}

/// Generated calls between network point codes and the pool's; messages of another user part and dialogues beside them.
#[derive(Debug)]
pub(crate) struct GeneratedSource {
    pub(crate) calls: Calls,
    pub(crate) plain: Plain,
    pub(crate) dialogues: Dialogues,
    /// By TCAP dialogues when there are any.
    pub(crate) sccp_affinity: SccpAffinity,
    /// Point codes of the network; the index is the generator's exchange number.
    pub(crate) network_pcs: Vec<u32>,
    pub(crate) pool_pc: u32,
}

/// ISUP, in MTP3's service indicator.
const SI_ISUP: u8 = 5;
/// National network.
pub(super) const NI_NATIONAL: u8 = 2;

impl GeneratedSource {
    fn poll_calls(&mut self, now: Instant) -> Option<Outgoing> {
        let due = self.calls.poll(now)?;
        let label = Label {
            opc: self.network_pcs[due.circuit.exchange() as usize],
            dpc: self.pool_pc,
            si: SI_ISUP,
            ni: NI_NATIONAL,
            mp: 0,
            // ITU practice: the low 4 bits of the CIC.
            sls: (due.circuit.cic() & 0x0f) as u8,
        };
        Some(Outgoing { intended: due.intended, label, user_data: due.user_data })
    }
}

impl Source for GeneratedSource {
    fn sccp_affinity(&self) -> SccpAffinity {
        self.sccp_affinity
    }
    fn start(&mut self, at: Instant) {
        self.calls.start(at);
        self.plain.start(at);
        self.dialogues.start(at);
    }
    fn stop(&mut self) {
        self.calls.stop();
        self.plain.stop();
        self.dialogues.stop();
    }
    fn poll(&mut self, now: Instant) -> Option<Outgoing> {
        // What is meant to go earlier goes first, so that none holds up the others when all are late. What calls answer at once has no
        // time of its own.
        let mut turns = [(self.calls.poll_timeout(), 0), (self.plain.next(), 1), (self.dialogues.next(), 2)];
        turns.sort_by_key(|(at, which)| (at.is_none(), *at, *which));
        turns.into_iter().find_map(|(_, which)| match which {
            0 => self.poll_calls(now),
            1 => self.plain.poll(now),
            _ => self.dialogues.poll(now),
        })
    }
    fn poll_timeout(&self) -> Option<Instant> {
        [self.calls.poll_timeout(), self.plain.next(), self.dialogues.next()].into_iter().flatten().min()
    }
    fn handle(&mut self, now: Instant, message: &ProtocolData<'_>) {
        if message.si == sccp::SERVICE_INDICATOR && self.sccp_affinity == SccpAffinity::Tcap {
            return self.dialogues.handle(now, message);
        }
        if message.si != SI_ISUP {
            // An echo of a plain message: received and recorded, and no more to it.
            return;
        }
        let exchange = self.network_pcs.iter().position(|pc| *pc == message.dpc);
        // A stranger's point code goes where the generator counts what it does not understand.
        let exchange = exchange.unwrap_or(self.network_pcs.len());
        self.calls.handle(now, exchange as u32, message.user_data);
    }
    fn up(&self) -> u64 {
        self.calls.up() + self.dialogues.up()
    }
    fn call_counters(&self) -> CallCounters {
        let counters = self.calls.counters();
        CallCounters { not_understood: counters.not_understood + self.dialogues.not_understood(), ..counters }
    }
    fn take_missed(&mut self) -> Vec<Instant> {
        let mut missed = self.calls.take_missed();
        missed.extend(self.dialogues.take_missed());
        missed
    }
}
