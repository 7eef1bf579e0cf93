//! The session with one gateway (ARCHITECTURE.md, "The SG-GWC session, exactly"): an ASP, a lease, the gateway's groups.
//!
//! Pure. `Session::handle_message` and `Session::handle_timeout` act at once on calls and record, but what depends on it
//! leaves only through `Session::close_batch`: each touched group's outputs, then its cookie, then the echoes of the barriers
//! that came behind it. The node writes the record before it sends any of that.

mod audits;
mod capacity;
mod counters;
mod groups;
mod leader;
mod lease;
mod machine;
#[cfg(test)]
mod tests;

pub(crate) use capacity::Capacity;
pub use counters::Counters;

use crate::config::{Config, TrafficMode};
use crate::isup::{self, Group};
use crate::record::{DropCause, Record};
use crate::tcap;
use asap::wire as asap_wire;
use bytes::Bytes;
use groups::{Groups, Part};
pub(crate) use leader::Leader;
use lease::Lease;
use m3ua_lite::asp::{AspState, DropCause as AspDropCause, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer, AspPeerEvent};
use m3ua_lite::session::{CorrelationId, Envelope, GroupKey, HEARTBEAT_MAX, Heartbeat, stream_for};
use m3ua_lite::wire::{self, Beat, Data, Message, RoutingContexts, Status, one_context};
use sctp::{ClockAnchor, ppid};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What all sessions of a controller share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: ClockAnchor,
    pub(crate) pe: u32,
    pub(crate) incarnation: u32,
    pub(crate) record: Record,
    pub(crate) isup: isup::Counters,
    pub(crate) tcap: tcap::Counters,
    /// Calls to decide as recorded.
    pub(crate) recorded: isup::RecordedCalls,
    pub(crate) counters: Counters,
    /// Number of the last transaction.
    pub(crate) transaction: u32,
    /// Groups over all sessions.
    pub(crate) groups: usize,
    /// Whose turn it is, and how much waits.
    pub(crate) capacity: Capacity,
    /// The controller is leaving the pool.
    pub(crate) stopping: bool,
    /// Which of two gateways leads.
    pub(crate) leader: Leader,
}

/// A message to send on the session's association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Send {
    pub(crate) stream: u16,
    pub(crate) ppid: u32,
    pub(crate) unordered: bool,
    pub(crate) payload: Bytes,
}

/// What is to be done with the association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Abort it, for this reason.
    Abort(&'static str),
    /// Shut it down gracefully.
    Shutdown,
}

/// The session with one gateway.
#[derive(Debug)]
pub(crate) struct Session {
    /// Tells it from the other sessions.
    pub(crate) number: u64,
    /// Zero of the ASP machine's milliseconds.
    epoch: Instant,
    /// Streams usable in both directions.
    streams: u16,
    asp: AspPeer,
    lease: Lease,
    /// ASPAC was asked for since ASPUP. After that it is the gateway's and override mode's to say who is active.
    joined: bool,
    /// When to ask again for what the gateway refused.
    retry: Option<Instant>,
    /// The lease was lost: nothing is acted on any more.
    dead: bool,
    groups: Groups,
    /// Input that waits for its turn, in the order of arrival.
    waiting: capacity::Queue,
    sends: VecDeque<Send>,
    /// Echoes that must leave behind this batch's transactions: stream, unordered, encoded BEAT ACK.
    echoes: Vec<Send>,
    /// ERR sent since, how many.
    errors: (Instant, u32),
    end: Option<End>,
}

impl Session {
    /// The association is up: ASPUP goes out.
    pub(crate) fn new(now: Instant, shared: &Shared, streams: u16) -> Self {
        let Config { m3ua, session, .. } = &shared.config;
        let mut asp = AspPeer::new(AspConfig {
            asp_id: Some(shared.pe),
            routing_contexts: m3ua.routing_context.map_or_else(RoutingContexts::new, one_context),
            traffic_mode: Some(match m3ua.traffic_mode {
                TrafficMode::Loadshare => wire::TrafficMode::Loadshare,
                TrafficMode::Override => wire::TrafficMode::Override,
            }),
            t_ack_ms: m3ua.t_ack_ms,
        });
        asp.association_up(0);
        asp.want(0, AspState::Inactive);
        let mut this = Self {
            number: 0,
            epoch: now,
            streams,
            asp,
            lease: Lease::new(session),
            joined: false,
            retry: None,
            dead: false,
            groups: Groups::default(),
            waiting: capacity::Queue::new(),
            sends: VecDeque::new(),
            echoes: Vec::new(),
            errors: (now, 0),
            end: None,
        };
        this.drain_requests();
        this
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    /// ASP state, as the gateway last confirmed it.
    pub(crate) fn asp_state(&self) -> AspState {
        self.asp.state()
    }

    /// What is left of the lease.
    pub(crate) fn lease_left(&self, now: Instant) -> Duration {
        self.lease.left(now)
    }

    /// Groups of this gateway.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Its circuit groups.
    pub(crate) fn isup_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.isup()
    }

    /// May act: the lease holds, or none is asked for.
    fn may_act(&self, now: Instant, shared: &Shared) -> bool {
        !self.dead && (!shared.config.session.lease || self.lease.holds(now))
    }

    /// Looks at the clock before anything is acted on: from the end of the lease another controller may have the groups.
    fn check_lease(&mut self, now: Instant, shared: &mut Shared) {
        if shared.config.session.lease && !self.dead && self.lease.is_lost(now) {
            self.dead = true;
            self.lead_no_more(shared);
            shared.counters.leases_lost += 1;
            shared.record.life(now, "lease-lost");
            self.forget_waiting(now, shared);
            self.groups.forget(shared);
            self.sends.clear();
            self.echoes.clear();
            self.end = Some(End::Abort("lease lost"));
        }
    }

    /// Acts on a message of the gateway.
    fn act(&mut self, now: Instant, shared: &mut Shared, (stream, ppid, unordered): (u16, u32, bool), payload: &[u8]) {
        match ppid {
            ppid::M3UA => self.handle_m3ua(now, shared, (stream, unordered), payload),
            ppid::ASAP => self.handle_asap(now, shared, stream, payload),
            _ => shared.counters.wrong_ppid += 1,
        }
    }

    fn handle_m3ua(&mut self, now: Instant, shared: &mut Shared, (stream, unordered): (u16, bool), payload: &[u8]) {
        let mut replies = Replies::new();
        match self.asp.handle(self.ms(now), stream, payload, &mut replies) {
            Input::Deliver(Message::Data(data)) => self.handle_data(now, shared, &data),
            Input::Deliver(Message::Beat(beat)) => self.handle_beat(now, shared, (stream, unordered), &beat),
            Input::Deliver(Message::BeatAck(beat)) => self.handle_beat_ack(now, shared, &beat),
            Input::Deliver(Message::Error(error)) => {
                shared.counters.errors_received += 1;
                tracing::warn!(code = ?error.code, "gateway sent ERR");
            }
            Input::Deliver(Message::Notify(notify)) => {
                shared.counters.notifications += 1;
                // Override mode: the active ASP is gone, a spare steps in (RFC 4666 section 4.3.4.5).
                if notify.status == Status::AsPending && self.may_act(now, shared) {
                    self.join(now, shared);
                }
            }
            Input::Deliver(_) => shared.counters.network_management += 1,
            Input::Consumed => {}
            Input::Dropped(AspDropCause::NotActive) => shared.counters.not_active += 1,
            Input::Dropped(AspDropCause::Malformed(_) | AspDropCause::Refused(_)) => {
                shared.counters.m3ua_malformed += 1
            }
        }
        for reply in replies {
            if !matches!(reply.message, Message::Error(_)) || self.may_complain(now, shared) {
                self.send_m3ua(reply.stream, false, &reply.message);
            }
        }
        self.after_asp(now, shared);
    }

    /// ERR only so often: garbage must not be answered one by one.
    fn may_complain(&mut self, now: Instant, shared: &mut Shared) -> bool {
        if now.saturating_duration_since(self.errors.0) >= Duration::from_secs(1) {
            self.errors = (now, 0);
        }
        let may = self.errors.1 < shared.config.session.errors_per_s;
        self.errors.1 += u32::from(may);
        shared.counters.errors_sent += u64::from(may);
        shared.counters.errors_suppressed += u64::from(!may);
        may
    }

    fn handle_data(&mut self, now: Instant, shared: &mut Shared, data: &Data) {
        if self.may_act(now, shared) {
            self.groups.apply(now, shared, data);
        } else {
            let id = CorrelationId(data.correlation_id.unwrap_or_default());
            shared.drop_input(now, DropCause::Lease, id, &data.protocol_data);
        }
    }

    fn handle_beat(&mut self, now: Instant, shared: &mut Shared, (stream, unordered): (u16, bool), beat: &Beat) {
        if self.dead {
            // An echo would say that what came before is applied.
            return;
        }
        let Some(payload) = encode(&Message::BeatAck(*beat)) else { return };
        let echo = Send { stream, ppid: ppid::M3UA, unordered, payload };
        match beat.data.map(Heartbeat::decode) {
            Some(Heartbeat::Liveness(_)) => {
                shared.counters.liveness += 1;
                self.sends.push_back(echo);
            }
            Some(Heartbeat::Lead(term)) => self.answer_leader(shared, term, echo),
            Some(Heartbeat::Release(key)) => {
                self.release(now, shared, &key);
                self.echoes.push(echo);
            }
            // Ours or not, its echo must not overtake what it confirms.
            Some(Heartbeat::Barrier(_) | Heartbeat::Lease(_) | Heartbeat::Foreign(_)) | None => {
                shared.counters.barriers += 1;
                self.echoes.push(echo);
            }
        }
    }

    /// The gateway wants a group for another controller: what was done with it so far is committed, then it is forgotten.
    fn release(&mut self, now: Instant, shared: &mut Shared, key: &GroupKey) {
        let give = give_to(&mut self.sends, self.streams, shared);
        if self.groups.release(now, shared, key, give) {
            shared.counters.groups_released += 1;
        }
    }

    fn handle_beat_ack(&mut self, now: Instant, shared: &Shared, beat: &Beat) {
        if let Some(Heartbeat::Lease(echo)) = beat.data.map(Heartbeat::decode)
            && !self.dead
            && self.lease.echoed(now, echo)
            // A late echo may be of a BEAT whose lease is over already.
            && self.lease.holds(now)
            && self.asp.state() == AspState::Inactive
            && !self.joined
        {
            self.join(now, shared);
        }
    }

    /// Asks for traffic.
    fn join(&mut self, now: Instant, shared: &Shared) {
        if !shared.stopping {
            self.joined = true;
            self.asp.want(self.ms(now), AspState::Active);
        }
    }

    /// ASAP on the session's association: COOKIE_ECHO (RFC 5352 section 2.2.14); the rest is not for a pool element.
    fn handle_asap(&mut self, now: Instant, shared: &mut Shared, stream: u16, payload: &[u8]) {
        match asap_wire::Message::decode(payload, &shared.config.asap.limits) {
            Ok(asap_wire::Decoded { message: asap_wire::Message::CookieEcho { cookie }, .. }) => {
                if self.may_act(now, shared) && shared.config.session.lease {
                    self.handle_cookie(now, shared, stream, &cookie);
                }
            }
            Ok(_) | Err(_) => shared.counters.asap_malformed += 1,
        }
    }

    fn handle_cookie(&mut self, now: Instant, shared: &mut Shared, stream: u16, cookie: &[u8]) {
        let restored = match Envelope::decode(cookie) {
            Ok(envelope) => self.groups.restore(now, shared, &envelope),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = restored {
            shared.counters.cookies_refused += 1;
            tracing::warn!(stream, %error, "cookie refused; the group starts with idle circuits");
        }
    }

    /// Follows the ASP machine: requests to send, changes of state.
    fn after_asp(&mut self, now: Instant, shared: &mut Shared) {
        while let Some(event) = self.asp.poll_event() {
            match event {
                AspPeerEvent::State { from, to } => self.asp_changed(now, shared, from, to),
                AspPeerEvent::Refused { request, code } => {
                    tracing::warn!(?request, ?code, "gateway refuses the ASP");
                    self.retry = Some(now + Duration::from_millis(shared.config.m3ua.refused_retry_ms));
                }
                AspPeerEvent::Overridden => tracing::info!("another ASP is active (override)"),
            }
        }
        self.drain_requests();
    }

    fn drain_requests(&mut self) {
        while let Some(request) = self.asp.poll_transmit() {
            self.send_m3ua(request.stream, false, &request.message);
        }
    }

    fn asp_changed(&mut self, now: Instant, shared: &mut Shared, from: AspState, to: AspState) {
        tracing::info!(from = from.name(), to = to.name(), "ASP state");
        match (from, to) {
            (_, AspState::Active) => shared.record.life(now, "active"),
            (AspState::Down, AspState::Inactive) => {
                shared.record.life(now, "aspup");
                if shared.stopping {
                    // The machine is on its way down already.
                } else if shared.config.session.lease {
                    self.lease.start(now);
                } else {
                    self.join(now, shared);
                }
            }
            (_, AspState::Inactive | AspState::Down) => {
                if from == AspState::Active {
                    // The gateway gives the groups away.
                    shared.record.life(now, "inactive");
                    self.forget_waiting(now, shared);
                    self.groups.forget(shared);
                }
                if to == AspState::Down {
                    self.joined = false;
                    if shared.stopping {
                        self.end = Some(End::Shutdown);
                    }
                }
            }
        }
    }

    /// Leaves the traffic: ASPIA, ASPDN, shutdown.
    pub(crate) fn stop(&mut self, now: Instant, shared: &mut Shared) {
        self.take_all_turns(now, shared);
        if self.asp.state() == AspState::Down {
            self.end = Some(End::Shutdown);
        }
        self.asp.want(self.ms(now), AspState::Down);
        self.after_asp(now, shared);
    }

    /// Starts a call of the controller's own. While input waits, nothing new is begun.
    pub(crate) fn originate(&mut self, now: Instant, shared: &mut Shared) -> bool {
        self.check_lease(now, shared);
        let active = self.asp.state() == AspState::Active && self.may_act(now, shared);
        let free = shared.capacity.waiting() == 0 && !shared.capacity.is_stuck();
        active && !shared.stopping && free && self.groups.originate(now, shared)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) {
        self.check_lease(now, shared);
        if self.dead {
            return;
        }
        self.asp.handle_timeout(self.ms(now));
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
            let state = match (shared.stopping, self.joined) {
                (true, _) => AspState::Down,
                (false, true) => AspState::Active,
                (false, false) => AspState::Inactive,
            };
            self.asp.want(self.ms(now), state);
        }
        self.after_asp(now, shared);
        if let Some(beat) = self.lease.due(now, shared.clock.ns(now)) {
            let mut room = [0; HEARTBEAT_MAX];
            let data = Some(Heartbeat::Lease(beat).encode(&mut room));
            self.send_m3ua(0, true, &Message::Beat(Beat { data }));
        }
        if self.may_act(now, shared) && !shared.capacity.is_stuck() {
            self.groups.handle_timeout(now, shared);
        }
    }

    /// When to call `Session::handle_timeout` at the latest.
    pub(crate) fn poll_timeout(&self, shared: &Shared) -> Option<Instant> {
        if self.dead {
            return None;
        }
        let asp = self.asp.poll_timeout().map(|ms| self.epoch + Duration::from_millis(ms));
        asp.into_iter()
            .chain(self.retry)
            .chain(self.lease.poll_timeout())
            .chain(self.groups.poll_timeout().filter(|_| !shared.capacity.is_stuck()))
            .chain(self.next_turn(shared))
            .min()
    }

    /// Ends a batch of inputs: transactions, then the echoes that wait for them.
    pub(crate) fn close_batch(&mut self, now: Instant, shared: &mut Shared) {
        self.check_lease(now, shared);
        let give = give_to(&mut self.sends, self.streams, shared);
        self.groups.close_transactions(now, shared, give);
        self.sends.extend(self.echoes.drain(..));
    }

    /// The association is gone, and with it the right to the groups.
    pub(crate) fn close(mut self, now: Instant, shared: &mut Shared) {
        self.lead_no_more(shared);
        self.forget_waiting(now, shared);
        self.groups.forget(shared);
    }

    fn send_m3ua(&mut self, stream: u16, unordered: bool, message: &Message) {
        if let Some(payload) = encode(message) {
            self.sends.push_back(Send { stream, ppid: ppid::M3UA, unordered, payload });
        }
    }

    /// The next message to send.
    pub(crate) fn poll_send(&mut self) -> Option<Send> {
        self.sends.pop_front()
    }

    /// What is to be done with the association, once.
    pub(crate) fn poll_end(&mut self) -> Option<End> {
        self.end.take()
    }
}

/// Sends the parts of transactions, each on the stream of its group.
fn give_to<'a>(sends: &'a mut VecDeque<Send>, streams: u16, shared: &Shared) -> impl FnMut(&GroupKey, Part) + use<'a> {
    let m3ua = &shared.config.m3ua;
    let (routing_context, network_appearance) = (m3ua.routing_context, m3ua.network_appearance);
    move |key, part| {
        let (ppid, payload) = match part {
            Part::Data(protocol_data) => {
                let data = Data { network_appearance, routing_context, protocol_data, correlation_id: None };
                (ppid::M3UA, encode(&Message::Data(data)))
            }
            Part::Cookie(envelope) => (ppid::ASAP, encode_cookie(&envelope)),
        };
        if let Some(payload) = payload {
            sends.push_back(Send { stream: stream_for(key, streams), ppid, unordered: false, payload });
        }
    }
}

/// An M3UA message's octets; `None` for one longer than M3UA can say, which nothing that came by M3UA can make.
fn encode(message: &Message) -> Option<Bytes> {
    let mut octets = vec![0; message.encoded_len().ok()?];
    message.encode(&mut octets).ok()?;
    Some(octets.into())
}

fn encode_cookie(envelope: &Envelope) -> Option<Bytes> {
    let mut cookie = vec![0; envelope.encoded_len()];
    envelope.encode(&mut cookie)?;
    asap_wire::Message::Cookie { cookie: cookie.into() }.encode().ok()
}
