//! The steps of the gateway that leads, for the one that mirrors it.
//!
//! Each step is an operation with a number. What follows from a step outside (output to the network, the record of a transaction,
//! the word to the network that its messages are accepted) waits until the step is mirrored: so whichever gateway ends, the other
//! one knows everything that anybody was told. Without a mate that mirrors, nothing is kept and nothing waits.

use super::wire::{MateMessage, Op};
use crate::msu::Msu;
use bytes::Bytes;
use m3ua_lite::session::GroupKey;
use sctp::AssocId;
use std::collections::VecDeque;

/// Operations are gathered up to this length.
const MESSAGE_BYTES: usize = 16 * 1024;

/// What may be done once what it follows from is mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A message goes to the network.
    Output(Msu),
    /// The same, which a gateway that ended may have sent already.
    Again(Msu),
    /// A controller's transaction goes into the record.
    Committed { pe: u32, incarnation: u32, transaction: u32 },
    /// A peer of the network hears that what came before its barrier is accepted.
    Accepted { assoc: AssocId, stream: u16, data: Bytes },
}

/// A transaction that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) pe: u32,
    pub(crate) incarnation: u32,
    pub(crate) transaction: u32,
    pub(crate) cookie: Bytes,
}

/// Messages to the network that it has not confirmed, by number.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// How many left at the front.
    left: u64,
    queue: VecDeque<Msu>,
    max: usize,
    /// Given up because there were more than may be.
    dropped: u64,
}

impl Outputs {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    pub(crate) fn push(&mut self, msu: Msu) {
        if self.queue.len() >= self.max {
            self.queue.pop_front();
            self.left += 1;
            self.dropped += 1;
        }
        self.queue.push_back(msu);
    }

    /// So many, counted from the beginning, have arrived.
    pub(crate) fn delivered(&mut self, count: u64) {
        while self.left < count && self.queue.pop_front().is_some() {
            self.left += 1;
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn take(&mut self) -> VecDeque<Msu> {
        self.left += self.queue.len() as u64;
        std::mem::take(&mut self.queue)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    /// There is a second gateway, or may be: output is numbered and kept until the network confirms it.
    paired: bool,
    /// The mate mirrors: steps are told.
    on: bool,
    /// Operations so far, since it began to mirror.
    next: u64,
    /// How many of them it has.
    mirrored: u64,
    /// The one that said that it has everything.
    complete: Option<u64>,
    /// Operations that are not in a message yet, and the number of the first.
    ops: Vec<u8>,
    first: u64,
    messages: VecDeque<Bytes>,
    bytes: usize,
    bytes_max: usize,
    waiting: VecDeque<(u64, Effect)>,
    ready: VecDeque<Effect>,
    outputs: Outputs,
    /// How many of them had left when the mate began to mirror.
    base: u64,
    /// Messages given to the network so far, as [`Outputs`] counts them.
    given: u64,
}

impl Journal {
    pub(crate) fn new(paired: bool, outputs_max: usize, bytes_max: usize) -> Self {
        Self {
            paired,
            on: false,
            next: 0,
            mirrored: 0,
            complete: None,
            ops: Vec::new(),
            first: 0,
            messages: VecDeque::new(),
            bytes: 0,
            bytes_max,
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            outputs: Outputs::new(outputs_max),
            base: 0,
            given: 0,
        }
    }

    /// There may be a second gateway.
    pub(crate) fn is_paired(&self) -> bool {
        self.paired
    }

    /// Tells a step.
    pub(crate) fn note(&mut self, op: impl FnOnce() -> Op) {
        if self.on {
            op().encode(&mut self.ops);
            self.next += 1;
            if self.ops.len() >= MESSAGE_BYTES {
                self.seal();
            }
        }
    }

    fn seal(&mut self) {
        if !self.ops.is_empty() {
            let message = MateMessage::Ops(self.first, std::mem::take(&mut self.ops).into()).encode();
            self.bytes += message.len();
            self.messages.push_back(message);
        }
        self.first = self.next;
    }

    /// Something is to be done once all steps so far are mirrored.
    pub(crate) fn then(&mut self, effect: Effect) {
        if self.on {
            self.waiting.push_back((self.next, effect));
        } else {
            self.ready.push_back(effect);
        }
    }

    /// Output of a group counts, with its transaction if it has one.
    pub(crate) fn commit(&mut self, server: u8, key: GroupKey, outputs: Vec<Msu>, transaction: Option<Transaction>) {
        for msu in &outputs {
            self.note(|| Op::Output(server, key, msu.clone()));
        }
        match transaction {
            Some(Transaction { pe, incarnation, transaction, cookie }) => {
                self.note(|| Op::Committed { server, key, pe, incarnation, transaction, cookie });
                self.then(Effect::Committed { pe, incarnation, transaction });
            }
            None => self.note(|| Op::Released(server, key)),
        }
        for msu in outputs {
            if self.paired {
                self.outputs.push(msu.clone());
            }
            self.then(Effect::Output(msu));
        }
    }

    /// So many outputs, in the order in which they were given to the network, have arrived there.
    pub(crate) fn delivered(&mut self, count: u64) {
        self.outputs.delivered(count);
        let since = count.saturating_sub(self.base);
        self.note(|| Op::Delivered(since));
    }

    /// The mate begins to mirror. What is known is told first, by `tell`.
    pub(crate) fn begin(&mut self, tell: impl FnOnce(&mut Self)) {
        self.end();
        self.on = true;
        (self.next, self.mirrored, self.first) = (0, 0, 0);
        tell(self);
        self.base = self.outputs.left;
        for msu in self.outputs.queue.clone() {
            self.note(|| Op::Sent(msu));
        }
        self.note(|| Op::Complete);
        self.complete = Some(self.next);
    }

    /// Nobody mirrors any more: nothing waits for it.
    pub(crate) fn end(&mut self) {
        self.on = false;
        self.complete = None;
        self.ops.clear();
        self.messages.clear();
        self.bytes = 0;
        self.ready.extend(self.waiting.drain(..).map(|(_, effect)| effect));
    }

    /// Everything is thrown away: this gateway leads no more, and nothing that waits happened.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.end();
        self.ready.clear();
        self.outputs.take();
        self.given = self.outputs.left;
    }

    /// What a gateway that ended had not seen confirmed is this one's now.
    pub(crate) fn take_over(&mut self, outputs: VecDeque<Msu>) {
        for msu in outputs {
            self.outputs.push(msu.clone());
            self.then(Effect::Again(msu));
        }
    }

    /// The mate has so many steps. False: there are not so many.
    pub(crate) fn acknowledged(&mut self, upto: u64) -> bool {
        if !self.on || upto > self.next {
            return !self.on;
        }
        self.mirrored = self.mirrored.max(upto);
        while self.waiting.front().is_some_and(|(at, _)| *at <= upto) {
            self.ready.extend(self.waiting.pop_front().map(|(_, effect)| effect));
        }
        true
    }

    /// What is to be done now.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        let effect = self.ready.pop_front()?;
        self.given += u64::from(matches!(effect, Effect::Output(_) | Effect::Again(_)));
        Some(effect)
    }

    /// Messages given to the network so far.
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    /// The next message to the mate. [`Journal::sent`] takes it away.
    pub(crate) fn next_message(&mut self) -> Option<&Bytes> {
        if self.messages.is_empty() {
            self.seal();
        }
        self.messages.front()
    }

    pub(crate) fn sent(&mut self) {
        self.bytes -= self.messages.pop_front().map_or(0, |message| message.len());
    }

    /// More waits than may: whoever mirrors is too slow.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes + self.ops.len() > self.bytes_max
    }

    /// The mate mirrors.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// The mate has all that there was when it began: it could lead.
    pub(crate) fn is_complete(&self) -> bool {
        self.on && self.complete.is_some_and(|at| self.mirrored >= at)
    }

    /// Something is to be done once it is mirrored.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Steps that the mate has not got yet.
    pub(crate) fn behind(&self) -> u64 {
        self.next - self.mirrored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use m3ua_lite::session::CorrelationId;

    const KEY: GroupKey = GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: 9 };

    fn msu(n: u32) -> Msu {
        Msu {
            opc: 2,
            dpc: 1,
            si: 5,
            ni: 2,
            mp: 0,
            sls: 0,
            user_data: Bytes::new(),
            id: CorrelationId(n),
            network: None,
        }
    }

    fn transaction() -> Option<Transaction> {
        Some(Transaction { pe: 7, incarnation: 8, transaction: 9, cookie: Bytes::new() })
    }

    fn ops(journal: &mut Journal) -> Vec<Op> {
        let mut all = Vec::new();
        while let Some(message) = journal.next_message() {
            let Ok(MateMessage::Ops(_, mut ops)) = MateMessage::decode(message) else { panic!("operations") };
            while !ops.is_empty() {
                all.push(Op::take(&mut ops).unwrap());
            }
            journal.sent();
        }
        all
    }

    fn effects(journal: &mut Journal) -> usize {
        std::iter::from_fn(|| journal.poll_effect()).count()
    }

    #[test]
    fn alone_nothing_waits_and_nothing_is_told() {
        let mut journal = Journal::new(true, 10, 1_000);
        journal.commit(0, KEY, vec![msu(1)], transaction());
        assert_eq!(effects(&mut journal), 2);
        assert!(journal.next_message().is_none());
    }

    #[test]
    fn effects_wait_until_their_step_is_mirrored() {
        let mut journal = Journal::new(true, 10, 1_000);
        journal.commit(0, KEY, vec![msu(1)], transaction());
        effects(&mut journal);
        journal.begin(|_| ());
        assert_eq!(ops(&mut journal), [Op::Sent(msu(1)), Op::Complete], "what the network has not confirmed, too");
        assert!(!journal.is_complete());
        assert!(journal.acknowledged(2));
        assert!(journal.is_complete());
        journal.commit(0, KEY, vec![msu(2)], transaction());
        journal.commit(0, KEY, vec![msu(3)], None);
        assert_eq!(journal.behind(), 4);
        assert_eq!(effects(&mut journal), 0);
        assert!(journal.acknowledged(4));
        assert_eq!(effects(&mut journal), 2);
        assert!(!journal.acknowledged(100), "more than there are");
        journal.delivered(3);
        assert_eq!(ops(&mut journal).last(), Some(&Op::Delivered(3)));
        journal.end();
        assert_eq!(effects(&mut journal), 1, "nobody mirrors any more");
    }

    #[test]
    fn a_gateway_that_leads_no_more_does_nothing_of_what_waited() {
        let mut journal = Journal::new(true, 10, 1_000);
        journal.begin(|_| ());
        journal.commit(0, KEY, vec![msu(1)], transaction());
        journal.clear();
        assert_eq!(effects(&mut journal), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut outputs = Outputs::new(2);
        (1..=3).for_each(|n| outputs.push(msu(n)));
        assert_eq!((outputs.len(), outputs.dropped), (2, 1));
        outputs.delivered(2);
        assert_eq!(outputs.take(), [msu(3)]);
        let mut journal = Journal::new(true, 10, 100);
        journal.begin(|_| ());
        (0..10).for_each(|_| journal.note(|| Op::Owner(0, KEY, 1)));
        assert!(journal.is_over());
    }
}
