//! A group of dialogues: its messages and its timer.

use super::config::Config;
use super::counters::Counters;
use super::message::{self, Asked};
use crate::isup::Verdict;
use m3ua_lite::sccp::{self, Unitdata};
use m3ua_lite::tcap::{self, Head, MessageType};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Bits of a transaction id of ours: the low six name the group, then come the number within the group and some of the network's
/// point code, so that two networks get different ids for most of the time.
const GROUP_BITS: u32 = 6;
const NUMBER_BITS: u32 = 16;
const POINT_CODE_BITS: u32 = 10;

/// Which dialogues: point codes as the network side sends them, and the six low bits of the transaction ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupId {
    /// Point code of the network's node (OPC of what we receive).
    pub network: u32,
    /// Point code of the pool (DPC of what we receive).
    pub pool: u32,
    /// Six bits.
    pub bits: u16,
}

impl GroupId {
    /// Our transaction id of the dialogue with this number.
    fn transaction(self, number: u16) -> u32 {
        let point_code = self.network % (1 << POINT_CODE_BITS);
        point_code << (GROUP_BITS + NUMBER_BITS) | u32::from(number) << GROUP_BITS | u32::from(self.bits)
    }

    /// The number of a dialogue of ours.
    fn number(self, transaction: &[u8]) -> Option<u16> {
        let id = u32::from_be_bytes(transaction.try_into().ok()?);
        let number = u16::try_from(id >> GROUP_BITS & ((1 << NUMBER_BITS) - 1)).ok()?;
        (self.transaction(number) == id).then_some(number)
    }
}

/// What a group works with while it handles one input.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time of the input.
    pub now: Instant,
    /// Settings.
    pub config: &'a Config,
    /// User data to send is appended here, in order.
    pub out: &'a mut Vec<Vec<u8>>,
    /// Counts.
    pub counters: &'a mut Counters,
}

impl Context<'_> {
    fn deadline(&self) -> Instant {
        self.now + Duration::from_millis(self.config.timeout_ms)
    }
}

/// A dialogue that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialogue {
    /// The other end's transaction id, 1 to 4 octets.
    pub(super) peer: SmallVec<[u8; 4]>,
    /// Answers still to give; the last of them is End.
    pub(super) answers: u8,
    /// Forgotten then, unless something comes.
    pub(super) until: Instant,
}

/// The dialogues of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub(super) id: GroupId,
    /// Number of the next dialogue.
    pub(super) next: u16,
    pub(super) dialogues: BTreeMap<u16, Dialogue>,
}

impl Group {
    /// A group without dialogues.
    #[must_use]
    pub fn new(id: GroupId) -> Self {
        Self { id, next: 0, dialogues: BTreeMap::new() }
    }

    /// Dialogues that are not over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dialogues.len()
    }

    /// No dialogue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dialogues.is_empty()
    }

    /// Takes a message of this group.
    pub fn handle_message(&mut self, cx: &mut Context, user_data: &[u8]) -> Verdict {
        let read = sccp::read(user_data).and_then(|unitdata| Some((unitdata, tcap::read(unitdata.data)?)));
        let (Some((unitdata, head)), Some(class)) = (read, user_data.get(1)) else {
            cx.counters.malformed += 1;
            return Verdict::Malformed;
        };
        let reply = match unitdata.message_type {
            sccp::MessageType::Udts | sccp::MessageType::Xudts => {
                self.came_back(cx, &head);
                None
            }
            sccp::MessageType::Udt | sccp::MessageType::Xudt | sccp::MessageType::Ludt => {
                self.message(cx, &unitdata, &head)
            }
        };
        if let Some(back) = reply.and_then(|tcap| message::back(&unitdata, *class, &tcap)) {
            cx.out.push(back);
        }
        Verdict::Applied
    }

    /// The answer, if there is one.
    fn message(&mut self, cx: &mut Context, unitdata: &Unitdata, head: &Head) -> Option<Vec<u8>> {
        match (head.message_type, head.originating, head.destination) {
            (MessageType::Begin, Some(peer), _) => Some(self.begin(cx, peer, &message::asked(unitdata.data))),
            (MessageType::Continue, Some(peer), Some(own)) => {
                self.go_on(cx, (peer, own), &message::asked(unitdata.data))
            }
            (MessageType::End, _, Some(own)) => {
                if self.take(cx, own).is_some() {
                    cx.counters.ended_by_peer += 1;
                }
                None
            }
            (MessageType::Abort, _, Some(own)) => {
                if self.take(cx, own).is_some() {
                    cx.counters.aborted_by_peer += 1;
                }
                None
            }
            // Unidirectional: `tcap::read` refuses the others when they lack an id.
            _ => {
                cx.counters.unidirectional += 1;
                None
            }
        }
    }

    fn begin(&mut self, cx: &mut Context, peer: &[u8], asked: &Asked) -> Vec<u8> {
        if self.dialogues.len() >= usize::from(cx.config.dialogues_max) {
            cx.counters.refused += 1;
            return message::abort(peer, message::RESOURCE_LIMITATION);
        }
        cx.counters.begun += 1;
        if cx.config.answers <= 1 {
            cx.counters.ended += 1;
            return message::end(peer, asked);
        }
        // There are fewer dialogues than numbers.
        while self.dialogues.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let dialogue = Dialogue { peer: peer.into(), answers: cx.config.answers - 1, until: cx.deadline() };
        self.dialogues.insert(number, dialogue);
        message::go_on(self.id.transaction(number), peer, asked)
    }

    fn go_on(&mut self, cx: &mut Context, (peer, own): (&[u8], &[u8]), asked: &Asked) -> Option<Vec<u8>> {
        let found = self.id.number(own).and_then(|number| Some((number, self.dialogues.get_mut(&number)?)));
        let Some((number, dialogue)) = found else {
            cx.counters.unknown += 1;
            return Some(message::abort(peer, message::UNRECOGNIZED_TRANSACTION));
        };
        if dialogue.peer[..] != *peer {
            // Somebody else's message must not go on with this dialogue, nor end it.
            cx.counters.unknown += 1;
            return None;
        }
        dialogue.until = cx.deadline();
        dialogue.answers -= 1;
        if dialogue.answers > 0 {
            return Some(message::go_on(self.id.transaction(number), peer, asked));
        }
        self.dialogues.remove(&number);
        cx.counters.ended += 1;
        Some(message::end(peer, asked))
    }

    /// The dialogue with our transaction id is over.
    fn take(&mut self, cx: &mut Context, own: &[u8]) -> Option<Dialogue> {
        let taken = self.id.number(own).and_then(|number| self.dialogues.remove(&number));
        cx.counters.unknown += u64::from(taken.is_none());
        taken
    }

    /// SCCP could not deliver what we sent.
    fn came_back(&mut self, cx: &mut Context, head: &Head) {
        if let Some(own) = head.originating
            && self.take(cx, own).is_some()
        {
            cx.counters.returned += 1;
        }
    }

    /// Forgets what waited for too long.
    pub fn handle_timeout(&mut self, cx: &mut Context) {
        let before = self.dialogues.len();
        self.dialogues.retain(|_, dialogue| dialogue.until > cx.now);
        cx.counters.timed_out += (before - self.dialogues.len()) as u64;
    }

    /// When to call [`Group::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.dialogues.values().map(|dialogue| dialogue.until).min()
    }

    /// Counts the dialogues as forgotten: another controller has them now. The group is of no use after it.
    pub fn forget(self, counters: &mut Counters) {
        counters.forgotten += self.dialogues.len() as u64;
    }
}
