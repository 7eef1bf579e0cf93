//! One group, the unit of affinity: who owns it, what it was sent and has not confirmed, what waits, its last committed cookie,
//! and the output held until the next one.
//!
//! There is one queue. Its first `sent` messages were given to the owner and are unconfirmed; the rest waits to be sent. When the
//! owner is given up, `sent` becomes 0: everything unconfirmed is again in front of everything newer, in order, by construction.

use crate::mate::numbers::Numbers;
use crate::mate::wire::GroupState;
use crate::msu::Msu;
use bytes::Bytes;
use m3ua_lite::session::{CorrelationId, Envelope};
use sctp::AssocId;
use std::collections::VecDeque;
use std::time::Instant;

/// Names a group of one application server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(crate) u32);

/// Who acts on a group's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody: never given to anyone, or waiting for a controller.
    Nobody,
    /// Nobody may be: the last owner was given up and may still act until its lease is certainly over.
    Fenced,
    /// The controller behind this association.
    Controller(AssocId),
}

/// A message toward the pool, kept until it is confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    /// Its Correlation Id; the same at each controller it is sent to.
    pub(crate) correlation_id: CorrelationId,
    /// The whole encoded M3UA DATA.
    pub(crate) data: Bytes,
}

/// What left a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) owner: Owner,
    queue: VecDeque<Copy>,
    sent: usize,
    last_id: CorrelationId,
    /// Of peers of the network that number what they send.
    source: Numbers,
    /// Of output.
    down: Numbers,
    start: CorrelationId,
    /// Value of the Cookie parameter, as it came, and when.
    cookie: Option<(Bytes, Instant)>,
    /// The owner has yet to get the cookie, before any message.
    pub(crate) echo_due: bool,
    /// The owner was asked to give it back: it gets no message any more.
    pub(crate) asked_back: bool,
    /// It is in the list of groups that wait for an owner.
    pub(crate) waits: bool,
    /// Output of the owner that no cookie has committed yet.
    held: Vec<Msu>,
    held_bytes: usize,
}

/// What a held message takes besides its user data.
const MSU_BYTES: usize = size_of::<Msu>();

impl Group {
    pub(crate) fn new(start: CorrelationId) -> Self {
        Self {
            owner: Owner::Nobody,
            queue: VecDeque::new(),
            sent: 0,
            last_id: start,
            source: Numbers::default(),
            down: Numbers::default(),
            start,
            cookie: None,
            echo_due: false,
            asked_back: false,
            waits: false,
            held: Vec::new(),
            held_bytes: 0,
        }
    }

    /// The Correlation Id of the next message; [`Group::push`] uses it up.
    pub(crate) fn next_id(&self) -> CorrelationId {
        self.last_id.next()
    }

    /// A message with this number of the network's is new. Without number all are.
    pub(crate) fn is_new(&self, sls: u8, source: CorrelationId) -> bool {
        source == CorrelationId::NONE || source.is_after(self.source.last(sls))
    }

    /// A message with this number of the network's was taken.
    pub(crate) fn took(&mut self, sls: u8, source: CorrelationId) {
        if source != CorrelationId::NONE {
            self.source.set(sls, source);
        }
    }

    /// The number of the next output.
    pub(crate) fn number_output(&mut self, sls: u8) -> CorrelationId {
        self.down.next(sls, self.start)
    }

    /// As it is, for a gateway that begins to mirror; `owner`: the PE identifier of its owner.
    pub(crate) fn state(&self, now: Instant, owner: u32) -> GroupState {
        let (source, down) = (self.source.clone(), self.down.clone());
        let age = |at: &Instant| u32::try_from(now.saturating_duration_since(*at).as_millis()).unwrap_or(u32::MAX);
        let age_ms = self.cookie.as_ref().map_or(0, |(_, at)| age(at));
        GroupState { last: self.last_id, source, down, owner, cookie: self.cookie().cloned(), age_ms }
    }

    /// Its messages that are not confirmed.
    pub(crate) fn queue(&self) -> impl Iterator<Item = &Copy> {
        self.queue.iter()
    }

    /// As it was at the gateway that ended.
    pub(crate) fn adopt(&mut self, state: GroupState, cookie_at: Instant, queue: VecDeque<Copy>) {
        let GroupState { last, source, down, owner: _, cookie, age_ms: _ } = state;
        let cookie = cookie.map(|cookie| (cookie, cookie_at));
        if last != CorrelationId::NONE {
            self.last_id = last;
        }
        (self.source, self.down, self.cookie, self.queue) = (source, down, cookie, queue);
    }

    /// The last message in the queue that the owner was sent.
    pub(crate) fn last_sent(&self) -> Option<CorrelationId> {
        self.sent.checked_sub(1).and_then(|last| self.queue.get(last)).map(|copy| copy.correlation_id)
    }

    /// Takes a message at the end of the queue.
    pub(crate) fn push(&mut self, copy: Copy) {
        debug_assert_eq!(copy.correlation_id, self.next_id(), "numbers go up by one");
        self.last_id = copy.correlation_id;
        self.queue.push_back(copy);
    }

    /// The first message that the owner was not sent yet.
    pub(crate) fn next_unsent(&self) -> Option<&Copy> {
        self.queue.get(self.sent)
    }

    /// The owner was sent [`Group::next_unsent`].
    pub(crate) fn mark_sent(&mut self) {
        debug_assert!(self.sent < self.queue.len(), "there was one to send");
        self.sent += 1;
    }

    /// Messages sent and unconfirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.sent
    }

    /// Messages in the queue, sent or not.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Frees what was sent up to and with this Correlation Id. Nothing that was not sent is ever freed, whatever a controller says.
    pub(crate) fn confirm(&mut self, upto: CorrelationId) -> Freed {
        let mut freed = Freed::default();
        while self.sent > 0 && self.queue.front().is_some_and(|copy| !copy.correlation_id.is_after(upto)) {
            if let Some(copy) = self.queue.pop_front() {
                freed.messages += 1;
                freed.bytes += copy.data.len();
                self.sent -= 1;
            }
        }
        freed
    }

    /// Frees everything that was sent.
    pub(crate) fn confirm_sent(&mut self) -> Freed {
        self.last_sent().map_or_else(Freed::default, |last| self.confirm(last))
    }

    /// True when this message, once sent to the present owner, needs no confirmation any more.
    pub(crate) fn is_confirmed(&self, id: CorrelationId) -> bool {
        self.sent == 0 || self.queue.front().is_none_or(|copy| copy.correlation_id.is_after(id))
    }

    /// The owner is gone: what it was sent goes to the next one, its held output never happened. Gives the Correlation Ids taken back
    /// in order, and how many held messages were dropped.
    pub(crate) fn take_back(&mut self) -> (impl Iterator<Item = CorrelationId> + '_, usize) {
        let taken = std::mem::take(&mut self.sent);
        let dropped = self.held.len();
        self.held.clear();
        self.held_bytes = 0;
        self.echo_due = false;
        (self.queue.iter().take(taken).map(|copy| copy.correlation_id), dropped)
    }

    /// Takes out what the owner was sent and has not confirmed: it goes to nobody else.
    pub(crate) fn give_away_sent(&mut self) -> Vec<Copy> {
        let sent = std::mem::take(&mut self.sent);
        self.queue.drain(..sent).collect()
    }

    /// Gives the group to a controller: the cookie goes first.
    pub(crate) fn give_to(&mut self, controller: AssocId) {
        debug_assert_eq!(self.sent, 0, "taken back before given away");
        debug_assert!(self.held.is_empty(), "output of a former owner");
        self.owner = Owner::Controller(controller);
        self.echo_due = self.cookie.is_some();
    }

    /// The last committed cookie.
    pub(crate) fn cookie(&self) -> Option<&Bytes> {
        self.cookie.as_ref().map(|(cookie, _)| cookie)
    }

    /// The cookie for the next owner: it says how old it is, so that timers in it go on.
    pub(crate) fn cookie_to_echo(&self, now: Instant) -> Option<Bytes> {
        let (cookie, since) = self.cookie.as_ref()?;
        let mut cookie = cookie.to_vec();
        let age_ms = now.saturating_duration_since(*since).as_millis();
        Envelope::set_age(&mut cookie, u32::try_from(age_ms).unwrap_or(u32::MAX));
        Some(cookie.into())
    }

    /// Keeps output of the owner until its cookie comes. False: the limit is reached.
    pub(crate) fn hold(&mut self, output: Msu, held_max: usize) -> bool {
        let room = self.held.len() < held_max;
        if room {
            self.held_bytes += MSU_BYTES + output.user_data.len();
            self.held.push(output);
        }
        room
    }

    /// Bytes that controllers made it keep: the cookie, and the output held.
    pub(crate) fn state_bytes(&self) -> usize {
        self.held_bytes + self.cookie().map_or(0, Bytes::len)
    }

    /// Output held.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// The owner's transaction counts from here: the cookie is stored, what it covers is freed, its output may go.
    pub(crate) fn commit(
        &mut self,
        now: Instant,
        cookie: Bytes,
        mark: CorrelationId,
    ) -> (Freed, impl Iterator<Item = Msu> + '_) {
        self.cookie = Some((cookie, now));
        self.held_bytes = 0;
        let freed = self.confirm(mark);
        (freed, self.held.drain(..))
    }

    /// Empties the queue (T(r) is over).
    pub(crate) fn discard(&mut self) -> impl Iterator<Item = Copy> + '_ {
        debug_assert_eq!(self.sent, 0, "nobody has them");
        self.queue.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u32) -> CorrelationId {
        CorrelationId(CorrelationId::start(1, 0x23).0 | sequence)
    }

    fn msu(user_data: &'static str) -> Msu {
        let user_data = Bytes::from_static(user_data.as_bytes());
        Msu { opc: 2, dpc: 1, si: 5, ni: 2, mp: 0, sls: 0, user_data, id: CorrelationId::NONE, network: None }
    }

    fn group_with(n: usize) -> Group {
        let mut group = Group::new(id(0));
        for _ in 0..n {
            push(&mut group);
        }
        group
    }

    fn push(group: &mut Group) {
        let correlation_id = group.next_id();
        group.push(Copy { correlation_id, data: Bytes::from_static(b"1234") });
    }

    fn send_all(group: &mut Group) -> Vec<u32> {
        let mut sent = Vec::new();
        while let Some(copy) = group.next_unsent() {
            sent.push(copy.correlation_id.sequence());
            group.mark_sent();
        }
        sent
    }

    #[test]
    fn unconfirmed_go_first_to_the_next_owner() {
        let mut group = group_with(3);
        group.give_to(AssocId(1));
        assert_eq!(send_all(&mut group), [1, 2, 3]);
        assert_eq!(group.confirm(id(1)), Freed { messages: 1, bytes: 4 });
        push(&mut group);
        let (taken, _) = group.take_back();
        assert_eq!(taken.collect::<Vec<_>>(), [id(2), id(3)]);
        push(&mut group);
        group.give_to(AssocId(2));
        assert_eq!(send_all(&mut group), [2, 3, 4, 5]);
    }

    #[test]
    fn only_what_was_sent_can_be_confirmed() {
        let mut group = group_with(3);
        group.give_to(AssocId(1));
        assert_eq!(group.confirm(id(3)), Freed::default());
        group.mark_sent();
        assert_eq!(group.confirm(id(3)).messages, 1);
        group.mark_sent();
        let before = CorrelationId(CorrelationId::start(1, 0x22).0 | 3);
        assert_eq!(group.confirm(before), Freed::default(), "a mark of the epoch before");
        assert_eq!(group.confirm(CorrelationId::NONE), Freed::default(), "mark 0 covers nothing");
        assert_eq!(group.len(), 2);
    }

    #[test]
    fn commit_stores_frees_and_releases_in_one_step() {
        let mut group = group_with(2);
        group.give_to(AssocId(1));
        send_all(&mut group);
        assert!(group.hold(msu("a"), 2));
        assert!(group.hold(msu("b"), 2));
        assert!(!group.hold(msu("c"), 2), "bounded");
        let (freed, released) = group.commit(Instant::now(), Bytes::from_static(b"cookie"), id(2));
        assert_eq!(freed.messages, 2);
        assert_eq!(released.map(|msu| msu.user_data).collect::<Vec<_>>(), ["a", "b"]);
        assert!(group.hold(msu("d"), 2));
        let (_, dropped) = group.take_back();
        assert_eq!(dropped, 1, "uncommitted output never happened");
        group.give_to(AssocId(2));
        assert!(group.echo_due);
        assert_eq!(group.cookie().map(Bytes::as_ref), Some(&b"cookie"[..]));
    }

    #[test]
    fn sequence_wraps_over_zero_and_keeps_order() {
        let mut group = Group::new(id(0xf_fffe));
        group.give_to(AssocId(1));
        push(&mut group);
        push(&mut group);
        assert_eq!(send_all(&mut group), [0xf_ffff, 1]);
        assert_eq!(group.confirm(id(0xf_ffff)).messages, 1);
        assert!(!group.is_confirmed(id(1)));
        assert_eq!(group.confirm(id(1)).messages, 1);
        assert!(group.is_confirmed(id(1)));
    }
}
