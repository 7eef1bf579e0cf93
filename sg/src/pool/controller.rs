//! One association to a controller: what goes out on it, and whether the controller lives.

use super::{Cx, How, ms};
use crate::barrier::Barriers;
use crate::config::Failover;
use crate::group::GroupId;
use crate::liveness::{Lease, Liveness, Pace};
use crate::msu::{self, ErrorLimit};
use bytes::Bytes;
use m3ua_lite::session::{CorrelationId, GroupKey, HEARTBEAT_MAX, Heartbeat};
use m3ua_lite::sgp::Sgp;
use m3ua_lite::wire::{Beat, Message};
use rustc_hash::FxHashSet;
use sctp::{AssocId, SendError, ppid};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A lease is not held back for less than so many.
const HOLD_ROUND_TRIPS: u32 = 2;

/// The barrier for [`Controller::ask_for_proof`]; those for messages count from 1.
pub(super) const PROOF: u64 = 0;

/// Confirming takes no less than so many round trips.
const ROUND_TRIPS: u32 = 4;

/// How far an association to a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until then it must be up and ASP-ACTIVE.
    Starting(Instant),
    /// ASP-ACTIVE: groups may be given to it.
    Active,
    /// It said ASPIA or ASPDN: it confirms what it was sent, until then at the latest; it gets nothing new.
    Draining(Instant),
    /// ASP-INACTIVE or ASP-DOWN by its own wish, without groups.
    Inactive,
}

/// A question that waits for an answer without Heartbeat Data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Liveness(u64),
    Barrier(u64),
    Release(GroupKey),
}

/// How an ASP treats Heartbeat Data.
#[derive(Debug)]
pub(super) enum Echo {
    /// It gives it back: any number of questions may be outstanding. Counts them.
    Exact { outstanding: u32 },
    /// It drops it: one question at a time. `stale` answers are still to come for questions from before this was known.
    Anonymous { asked: Option<Ask>, stale: u32 },
}

/// One association to a controller.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) assoc: AssocId,
    pub(super) pe: u32,
    pub(super) phase: Phase,
    /// It knows nothing of transactions: no cookies, no leases.
    pub(super) foreign: bool,
    pub(super) sgp: Sgp,
    /// Streams usable in both directions.
    pub(super) streams: u16,
    pub(super) groups: FxHashSet<GroupId>,
    /// Groups with messages that SCTP had no room for.
    pub(super) backlog: VecDeque<GroupId>,
    /// The same groups, to be found fast.
    blocked: FxHashSet<GroupId>,
    /// Messages it was sent and has not confirmed.
    pub(super) unconfirmed: usize,
    /// Messages in the queues of its groups, sent or not.
    pub(super) queued: usize,
    /// When it last confirmed one.
    pub(super) confirmed_at: Option<Instant>,
    /// Since when it has messages to confirm without a pause.
    owing_since: Option<Instant>,
    /// A lease BEAT that is answered when it confirms something: stream, whether unordered, data.
    withheld: Option<(u16, bool, Bytes)>,
    /// It hung, and has not shown yet that it does so no more: no groups, while there is another.
    pub(super) on_probation: bool,
    /// Groups it was asked for and has not given back.
    pub(super) asked_back: usize,
    pub(super) live: Liveness,
    /// Round trip when it was last looked at.
    pub(super) rtt: Option<Duration>,
    pub(super) lease: Lease,
    pub(super) barriers: Barriers,
    pub(super) echo: Echo,
    pub(super) errors: ErrorLimit,
    /// The term that it agreed to, and when it is asked again.
    pub(super) agreed: u32,
    pub(super) claim_at: Instant,
    /// BEATs that are no leases, and destinations it asks for.
    pub(super) beats: ErrorLimit,
    pub(super) audits: ErrorLimit,
    /// From its cookies.
    pub(super) incarnation: u32,
    pub(super) messages_up: u64,
    pub(super) messages_down: u64,
    pub(super) transactions: u64,
}

impl Controller {
    pub(super) fn new(now: Instant, assoc: AssocId, pe: u32, sgp: Sgp, failover: &Failover) -> Self {
        let ms = Duration::from_millis;
        let pace =
            Pace { beat: ms(failover.beat_ms), idle_beat: ms(failover.idle_beat_ms), dead: ms(failover.dead_ms) };
        Self {
            assoc,
            pe,
            phase: Phase::Starting(now + ms(failover.asp_up_ms)),
            foreign: false,
            sgp,
            streams: 0,
            groups: FxHashSet::default(),
            backlog: VecDeque::new(),
            blocked: FxHashSet::default(),
            unconfirmed: 0,
            queued: 0,
            confirmed_at: None,
            owing_since: None,
            withheld: None,
            on_probation: false,
            asked_back: 0,
            live: Liveness::new(now, pace),
            rtt: None,
            lease: Lease::default(),
            barriers: Barriers::new(0, Duration::ZERO),
            echo: Echo::Exact { outstanding: 0 },
            errors: ErrorLimit::new(now),
            agreed: 0,
            claim_at: now,
            beats: ErrorLimit::of(now, failover.beats_per_s),
            audits: ErrorLimit::of(now, failover.audits_per_s),
            incarnation: 0,
            messages_up: 0,
            messages_down: 0,
            transactions: 0,
        }
    }

    /// The association is established: streams that both sides have.
    pub(super) fn up(&mut self, streams: u16, barrier_delay: Duration) {
        self.streams = streams;
        self.barriers = Barriers::new(streams, barrier_delay);
    }

    pub(super) fn send_data(
        &mut self,
        cx: &mut Cx<'_>,
        stream: u16,
        group: GroupId,
        correlation_id: CorrelationId,
        data: Bytes,
    ) -> Result<(), SendError> {
        cx.net.send(cx.now, self.assoc, How { stream, ppid: ppid::M3UA, unordered: false }, data)?;
        if self.unconfirmed == 0 {
            self.owing_since = Some(cx.now);
        }
        self.unconfirmed += 1;
        self.messages_up += 1;
        self.barriers.sent(cx.now, stream, group, correlation_id);
        self.live.asked(cx.now);
        Ok(())
    }

    /// Sends a message that nobody waits for to be confirmed.
    pub(super) fn send_unconfirmed(&mut self, cx: &mut Cx<'_>, stream: u16, data: Bytes) -> Result<(), SendError> {
        cx.net.send(cx.now, self.assoc, How { stream, ppid: ppid::M3UA, unordered: false }, data)?;
        self.messages_up += 1;
        self.live.asked(cx.now);
        Ok(())
    }

    pub(super) fn send_cookie_echo(&mut self, cx: &mut Cx<'_>, stream: u16, cookie: Bytes) -> Result<(), SendError> {
        let message = asap::wire::Message::CookieEcho { cookie };
        let bytes = message.encode().map_err(|_| SendError::BadLength)?;
        cx.net.send(cx.now, self.assoc, How { stream, ppid: ppid::ASAP, unordered: false }, bytes)
    }

    /// It owes an answer to something that was sent in order.
    pub(super) fn owes(&self) -> bool {
        self.unconfirmed > 0 || self.asked_back > 0
    }

    /// When what it was asked or sent at `since` is unanswered for too long: `confirm_ms` after it last confirmed anything,
    /// `message_confirm_ms` while it confirms other things.
    pub(super) fn stuck_at(&self, since: Instant, failover: &Failover) -> Instant {
        // Far away a confirmation takes as long as the way there and back.
        let patience = ms(failover.confirm_ms).max(self.rtt.unwrap_or_default() * ROUND_TRIPS);
        let silent = self.confirmed_at.map_or(since, |confirmed| confirmed.max(since)) + patience;
        silent.min(since + ms(failover.message_confirm_ms).max(patience))
    }

    /// It answers, but confirms nothing for longer than a lease may be given.
    pub(super) fn hangs(&self, now: Instant, failover: &Failover) -> bool {
        let patience = ms(failover.lease_hold_ms).max(self.rtt.unwrap_or_default() * HOLD_ROUND_TRIPS);
        let since = self.confirmed_at.max(self.owing_since);
        self.unconfirmed > 0 && since.is_some_and(|since| now.saturating_duration_since(since) > patience)
    }

    /// Answers a lease BEAT, at once or when it confirms something. Only the latest counts: an earlier one is worth less.
    pub(super) fn lease_beat(
        &mut self,
        cx: &mut Cx<'_>,
        failover: &Failover,
        (stream, unordered): (u16, bool),
        data: &[u8],
    ) {
        if self.hangs(cx.now, failover) {
            self.withheld = Some((stream, unordered, Bytes::copy_from_slice(data)));
        } else {
            self.withheld = None;
            self.grant(cx, stream, unordered, data);
        }
    }

    /// What was withheld is answered if it has confirmed something since.
    pub(super) fn grant_withheld(&mut self, cx: &mut Cx<'_>, failover: &Failover) {
        if self.withheld.is_some()
            && !self.hangs(cx.now, failover)
            && let Some((stream, unordered, data)) = self.withheld.take()
        {
            self.grant(cx, stream, unordered, &data);
        }
    }

    fn grant(&mut self, cx: &mut Cx<'_>, stream: u16, unordered: bool, data: &[u8]) {
        if let Heartbeat::Lease(lease) = Heartbeat::decode(data) {
            // Noted before it is sent: whoever gets the echo acts on it.
            self.lease.granted(cx.now, ms(lease.lease_ms.into()));
        }
        self.send(cx, stream, unordered, &Message::BeatAck(Beat { data: Some(data) }));
    }

    /// The gateway itself did not run: what the controller confirmed meanwhile may still be unread.
    pub(super) fn excuse(&mut self, now: Instant, stall: Duration) {
        self.live.excuse(now, stall);
        if self.owes() {
            self.confirmed_at = Some(now);
        }
    }

    /// Sends an M3UA message that is not DATA. False: SCTP did not take it.
    pub(super) fn send(&self, cx: &mut Cx<'_>, stream: u16, unordered: bool, message: &Message<'_>) -> bool {
        let Some(bytes) = msu::encode(message) else { return false };
        cx.net.send(cx.now, self.assoc, How { stream, ppid: ppid::M3UA, unordered }, bytes).is_ok()
    }

    /// SCTP has no room: the group is tried again.
    pub(super) fn blocked(&mut self, group: GroupId) {
        if self.blocked.insert(group) {
            self.backlog.push_back(group);
        }
    }

    /// The group that has waited longest for room; it waits no more.
    pub(super) fn next_blocked(&mut self) -> Option<GroupId> {
        let group = self.backlog.pop_front()?;
        self.blocked.remove(&group);
        Some(group)
    }

    /// Nothing more goes out on its own.
    pub(super) fn clear_backlog(&mut self) {
        self.backlog.clear();
        self.blocked.clear();
    }

    /// It said ASPIA or ASPDN since it was active.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Draining(_) | Phase::Inactive)
    }

    /// Once it was ASP-ACTIVE it is asked whether it lives; before, it has its time to start.
    fn is_asked(&self) -> bool {
        !matches!(self.phase, Phase::Starting(_))
    }

    /// Sends the liveness BEAT if it is due.
    pub(super) fn beat(&mut self, cx: &mut Cx<'_>) {
        if !self.is_asked() {
            return;
        }
        if !self.may_ask() {
            return self.live.postpone(cx.now);
        }
        if let Some(number) = self.live.beat(cx.now) {
            let mut room = [0; HEARTBEAT_MAX];
            let data = Heartbeat::Liveness(number).encode(&mut room);
            if self.send(cx, 0, true, &Message::Beat(Beat { data: Some(data) })) {
                self.note_asked(Ask::Liveness(number));
            }
        }
    }

    /// Asks one that hung for a sign of its call control: a barrier behind nothing. What hangs echoes liveness, but no barrier.
    pub(super) fn ask_for_proof(&mut self, cx: &mut Cx<'_>) {
        self.on_probation = true;
        let mut room = [0; HEARTBEAT_MAX];
        let data = Heartbeat::Barrier(PROOF).encode(&mut room);
        if self.may_ask() && self.send(cx, 1, false, &Message::Beat(Beat { data: Some(data) })) {
            self.note_asked(Ask::Barrier(PROOF));
        }
    }

    /// Sends the barriers that are due. Gives the time of the oldest unconfirmed message.
    pub(super) fn sweep_barriers(
        &mut self,
        cx: &mut Cx<'_>,
        confirmed: impl Fn(GroupId, CorrelationId) -> bool,
    ) -> Option<Instant> {
        let mut barriers = std::mem::replace(&mut self.barriers, Barriers::new(0, Duration::ZERO));
        let oldest = barriers.sweep(
            cx.now,
            |sent| confirmed(sent.group, sent.correlation_id),
            |stream, id| {
                let mut room = [0; HEARTBEAT_MAX];
                let data = Heartbeat::Barrier(id).encode(&mut room);
                let sent = self.may_ask() && self.send(cx, stream, false, &Message::Beat(Beat { data: Some(data) }));
                if sent {
                    self.note_asked(Ask::Barrier(id));
                    self.live.asked(cx.now);
                }
                sent
            },
        );
        self.barriers = barriers;
        oldest
    }

    fn may_ask(&self) -> bool {
        match self.echo {
            Echo::Exact { .. } => true,
            Echo::Anonymous { asked, stale } => asked.is_none() && stale == 0,
        }
    }

    pub(super) fn note_asked(&mut self, ask: Ask) {
        match &mut self.echo {
            Echo::Exact { outstanding } => *outstanding += 1,
            Echo::Anonymous { asked, .. } => *asked = Some(ask),
        }
    }

    /// A BEAT ACK came: which question it answers, if any.
    pub(super) fn answered(&mut self, now: Instant, data: Option<&[u8]>) -> Option<Ask> {
        let ask = match data.map(Heartbeat::decode) {
            Some(Heartbeat::Barrier(id)) => Some(Ask::Barrier(id)),
            Some(Heartbeat::Liveness(number)) => Some(Ask::Liveness(number)),
            Some(Heartbeat::Release(group)) => Some(Ask::Release(group)),
            Some(Heartbeat::Lease(_) | Heartbeat::Lead(_) | Heartbeat::Foreign(_)) | None => None,
        };
        match (&mut self.echo, ask) {
            (Echo::Exact { outstanding }, Some(_)) => *outstanding = outstanding.saturating_sub(1),
            (Echo::Exact { outstanding }, None) => {
                let stale = outstanding.saturating_sub(1);
                self.echo = Echo::Anonymous { asked: None, stale };
                self.barriers.forget_outstanding(now);
                self.live.answered_all();
                return None;
            }
            (Echo::Anonymous { asked, .. }, Some(_)) => *asked = None,
            (Echo::Anonymous { asked, stale }, None) => {
                if *stale > 0 {
                    *stale -= 1;
                    return None;
                }
                return asked.take();
            }
        }
        ask
    }

    /// When something of this association is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Starting(at) | Phase::Draining(at) => Some(at),
            Phase::Active | Phase::Inactive => None,
        };
        let beat = self.is_asked().then(|| self.live.next_beat());
        [phase, beat, self.live.deadline(self.rtt), self.barriers.due()].into_iter().flatten().min()
    }
}
