//! TCAP dialogues (Q.773) in UDT of class 1 (Q.713), as a node that asks a service does: Begin, and Continue for as long as the
//! service goes on. Open-loop as calls are: each Begin has its time; what follows comes some time after the answer.

use super::pace::Pace;
use super::random::{random, uniform};
use super::source::{Label, NI_NATIONAL, Outgoing};
use bytes::Bytes;
use m3ua_lite::sccp;
use m3ua_lite::tcap::{self, MessageType};
use m3ua_lite::wire::ProtocolData;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Dialogues that are not over, at the most; what is to begin beyond that is missed.
const OPEN_MAX: usize = 200_000;
/// Addresses by point code and subsystem: ours, and the service's. Numbers for national use, which no dissector takes for its own.
const CALLING: [u8; 2] = [0x42, 250];
const CALLED: [u8; 2] = [0x42, 251];
/// Application context: an arc of our own choice under 1.3.6.1.4.1.
const CONTEXT: [u8; 9] = [0x2b, 6, 1, 4, 1, 0x86, 0x8d, 0x1f, 1];

/// Where they go, and what tells one run's from another's.
#[derive(Debug, Clone)]
pub(crate) struct DialoguesConfig {
    /// Point codes of the network.
    pub(crate) network_pcs: Vec<u32>,
    /// Point code of the pool.
    pub(crate) pool_pc: u32,
    /// From an answer to the next Continue, least and most.
    pub(crate) think_ms: (u32, u32),
    /// Decides point codes, SLS and times.
    pub(crate) seed: u64,
}

/// A dialogue that is not over.
#[derive(Debug)]
struct Dialogue {
    label: Label,
    /// The service's transaction id, once it is known.
    peer: Option<Vec<u8>>,
    /// Invocations so far.
    invoked: u8,
}

/// The generator.
#[derive(Debug)]
pub(crate) struct Dialogues {
    config: DialoguesConfig,
    pace: Pace,
    /// By our transaction id, which is the number of the dialogue.
    open: FxHashMap<u32, Dialogue>,
    /// When which of them goes on.
    due: BTreeSet<(Instant, u32)>,
    missed: Vec<Instant>,
    not_understood: u64,
}

impl Dialogues {
    pub(crate) fn new(config: DialoguesConfig, pace: Pace) -> Self {
        let (open, due) = (FxHashMap::default(), BTreeSet::new());
        Self { config, pace, open, due, missed: Vec::new(), not_understood: 0 }
    }

    pub(crate) fn start(&mut self, at: Instant) {
        self.pace.start(at);
    }

    /// Begins nothing new; what is open goes on to its end.
    pub(crate) fn stop(&mut self) {
        self.pace.stop();
    }

    /// Dialogues that are not over.
    pub(crate) fn up(&self) -> u64 {
        self.open.len() as u64
    }

    /// Messages that no dialogue waits for.
    pub(crate) fn not_understood(&self) -> u64 {
        self.not_understood
    }

    /// Intended times of those that could not begin, since the last question.
    pub(crate) fn take_missed(&mut self) -> Vec<Instant> {
        std::mem::take(&mut self.missed)
    }

    /// Intended time of the next message.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.pace.next().into_iter().chain(self.due.first().map(|(at, _)| *at)).min()
    }

    /// The next message if it is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Outgoing> {
        loop {
            let begin = self.pace.next().filter(|at| *at <= now);
            let due = self.due.first().copied().filter(|(at, _)| *at <= now);
            match (begin, due) {
                (Some(at), due) if due.is_none_or(|(due, _)| at <= due) => {
                    if let Some(out) = self.begin(at) {
                        return Some(out);
                    }
                }
                (_, Some((at, id))) => {
                    self.due.remove(&(at, id));
                    if let Some(out) = self.go_on(at, id) {
                        return Some(out);
                    }
                }
                (_, None) => return None,
            }
        }
    }

    fn begin(&mut self, intended: Instant) -> Option<Outgoing> {
        let serial = self.pace.count();
        self.pace.take();
        // 2^32 of them are more than a run has.
        let id = serial as u32;
        if self.open.len() >= OPEN_MAX || self.open.contains_key(&id) {
            self.missed.push(intended);
            return None;
        }
        let DialoguesConfig { network_pcs, pool_pc, seed, .. } = &self.config;
        let random = random(*seed, serial);
        let opc = *network_pcs.get(random as usize % network_pcs.len().max(1))?;
        let sls = (random >> 32 & 0x0f) as u8;
        let label = Label { opc, dpc: *pool_pc, si: sccp::SERVICE_INDICATOR, ni: NI_NATIONAL, mp: 0, sls };
        self.open.insert(id, Dialogue { label, peer: None, invoked: 1 });
        let mut contents = of(0x48, &id.to_be_bytes());
        contents.extend(dialogue_request());
        contents.extend(invocation(1, serial));
        Some(Outgoing { intended, label, user_data: unitdata(&of(0x62, &contents)) })
    }

    fn go_on(&mut self, intended: Instant, id: u32) -> Option<Outgoing> {
        let dialogue = self.open.get_mut(&id)?;
        dialogue.invoked = dialogue.invoked.wrapping_add(1);
        let mut contents = of(0x48, &id.to_be_bytes());
        contents.extend(of(0x49, dialogue.peer.as_ref()?));
        contents.extend(invocation(dialogue.invoked, u64::from(id)));
        Some(Outgoing { intended, label: dialogue.label, user_data: unitdata(&of(0x65, &contents)) })
    }

    /// A message of the pool.
    pub(crate) fn handle(&mut self, now: Instant, message: &ProtocolData<'_>) {
        let unitdata = sccp::read(message.user_data);
        let head = unitdata.and_then(|unitdata| tcap::read(unitdata.data));
        let own = head.and_then(|head| head.destination?.try_into().ok()).map(u32::from_be_bytes);
        let (Some(head), Some(id)) = (head, own.filter(|id| self.open.contains_key(id))) else {
            self.not_understood += 1;
            return;
        };
        match (head.message_type, head.originating) {
            (MessageType::Continue, Some(peer)) => {
                let (seed, think_ms) = (self.config.seed, self.config.think_ms);
                if let Some(dialogue) = self.open.get_mut(&id) {
                    dialogue.peer = Some(peer.to_vec());
                    let random = random(seed ^ u64::from(dialogue.invoked) << 48, id.into());
                    let think = Duration::from_millis(uniform(think_ms, random));
                    self.due.insert((now + think, id));
                }
            }
            // End and Abort.
            _ => {
                self.open.remove(&id);
            }
        }
    }
}

/// An element shorter than 128 octets.
fn of(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, contents.len() as u8];
    out.extend_from_slice(contents);
    out
}

/// Dialogue portion with AARQ (Q.773 section 4.2.3).
fn dialogue_request() -> Vec<u8> {
    let request = [of(0x80, &[0x07, 0x80]), of(0xa1, &of(6, &CONTEXT))].concat();
    let external = [of(6, &[0x00, 0x11, 0x86, 0x05, 0x01, 0x01, 0x01]), of(0xa0, &of(0x60, &request))].concat();
    of(0x6b, &of(0x28, &external))
}

/// Component portion with one invocation of operation 1, its argument a number.
fn invocation(invoke: u8, argument: u64) -> Vec<u8> {
    let components = [of(2, &[invoke]), of(2, &[1]), of(4, &argument.to_be_bytes())].concat();
    of(0x6c, &of(0xa1, &components))
}

/// UDT, protocol class 1: in sequence.
fn unitdata(tcap: &[u8]) -> Bytes {
    let mut out = vec![0x09, 1, 3, 5, 7, 2];
    out.extend(CALLED);
    out.push(2);
    out.extend(CALLING);
    out.push(tcap.len() as u8);
    out.extend_from_slice(tcap);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(rate: f64) -> (Dialogues, Instant) {
        let config = DialoguesConfig { network_pcs: vec![101, 102], pool_pc: 2, think_ms: (50, 150), seed: 3 };
        let mut dialogues = Dialogues::new(config, Pace::new(rate, Duration::ZERO, &[]));
        let start = Instant::now();
        dialogues.start(start);
        (dialogues, start)
    }

    /// What the service says.
    fn answer(to: &Outgoing, tag: u8, own: Option<&[u8]>) -> Vec<u8> {
        let unit = sccp::read(&to.user_data).unwrap();
        let peer = tcap::read(unit.data).unwrap().originating.unwrap();
        let mut contents = own.map(|own| of(0x48, own)).unwrap_or_default();
        contents.extend(of(0x49, peer));
        unitdata(&of(tag, &contents)).to_vec()
    }

    fn give(dialogues: &mut Dialogues, now: Instant, label: Label, user_data: &[u8]) {
        let label = Label { opc: label.dpc, dpc: label.opc, ..label };
        dialogues.handle(now, &label.with(user_data));
    }

    #[test]
    fn a_dialogue_goes_on_until_the_service_ends_it() {
        let (mut dialogues, start) = generator(1.0);
        let begin = dialogues.poll(start).unwrap();
        assert!(dialogues.poll(start).is_none());
        let head = |out: &Outgoing| {
            let unit = sccp::read(&out.user_data).unwrap();
            let head = tcap::read(unit.data).unwrap();
            (head.message_type, head.destination.map(<[u8]>::to_vec))
        };
        assert_eq!(head(&begin), (MessageType::Begin, None));
        dialogues.stop();
        give(&mut dialogues, start, begin.label, &answer(&begin, 0x65, Some(&[7, 7])));
        let at = dialogues.next().unwrap();
        assert!((50..=150).contains(&at.duration_since(start).as_millis()));
        let more = dialogues.poll(at).unwrap();
        assert_eq!((head(&more), more.label), ((MessageType::Continue, Some(vec![7, 7])), begin.label));
        give(&mut dialogues, at, begin.label, &answer(&begin, 0x64, None));
        assert_eq!((dialogues.up(), dialogues.next(), dialogues.not_understood()), (0, None, 0));
        // Once more: nobody waits for it.
        give(&mut dialogues, at, begin.label, &answer(&begin, 0x64, None));
        give(&mut dialogues, at, begin.label, &[9, 0]);
        assert_eq!(dialogues.not_understood(), 2);
    }

    #[test]
    fn messages_are_unique_and_spread() {
        let (mut dialogues, start) = generator(1_000.0);
        let all: Vec<_> = std::iter::from_fn(|| dialogues.poll(start + Duration::from_millis(999))).collect();
        let contents: std::collections::HashSet<_> = all.iter().map(|out| out.user_data.clone()).collect();
        let labels: std::collections::HashSet<_> = all.iter().map(|out| (out.label.opc, out.label.sls)).collect();
        assert_eq!((all.len(), contents.len(), labels.len(), dialogues.up()), (1_000, 1_000, 32, 1_000));
    }
}
