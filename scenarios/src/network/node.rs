//! The traffic source as a node: one M3UA peer (ASP) of the network side of one gateway, or of two.

use super::accepted::Due;
use super::lateness::Lateness;
use super::link::{Link, encode};
use super::routes::{Routes, Way};
use super::source::Source;
use crate::runner::traffic::{TrafficCounters, TrafficState};
use enrp::daemon::RecordFile;
use m3ua_lite::asp::{Input, Replies};
use m3ua_lite::asp_peer::AspPeerEvent;
use m3ua_lite::session::{CorrelationId, FlowRecord, HEARTBEAT_MAX, Heartbeat, sls_stream};
use m3ua_lite::wire::{AffectedPc, Beat, Data, Message, ProtocolData};
use sctp::{AssocId, Associations, ClockAnchor, CloseReason, Event, Output, ppid};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the associations get for a clean end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Requests of the runner's thread.
#[derive(Debug)]
pub(crate) enum Command {
    Begin(Instant),
    Stop,
    Finish,
}

/// What the runner's thread may look at while the node runs.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) state: TrafficState,
    pub(crate) counters: TrafficCounters,
}

/// The node's settings.
#[derive(Debug, Clone)]
pub(crate) struct PeerConfig {
    /// One gateway or two; of each its addresses, the first is the primary.
    pub(crate) gateways: Vec<Vec<SocketAddr>>,
    pub(crate) routing_context: u32,
    /// T(ack), RFC 4666 section 4.3.4.1 (RFC: 2 s).
    pub(crate) t_ack_ms: u64,
    /// Of the Correlation Ids: another one at each start.
    pub(crate) epoch: u8,
}

/// See the module.
pub(crate) struct NetworkNode {
    routing_context: u32,
    stack: Box<dyn Associations>,
    links: Vec<Link>,
    /// Which gateway gets what, when there are two.
    routes: Option<Routes>,
    source: Box<dyn Source>,
    /// Due messages that cannot go yet, and those that go again; before anything newer.
    late: VecDeque<Due>,
    record: RecordFile,
    line: String,
    clock: ClockAnchor,
    shared: Arc<Mutex<Shared>>,
    counters: TrafficCounters,
    lateness: Lateness,
    stopped: bool,
    /// The associations are to end by then.
    finish_by: Option<Instant>,
    failed: Option<String>,
}

/// Records a message: `kind,time[,intended],FLOW,HEX`, as FORMATS.md says.
fn record_line(line: &mut String, kind: char, times: &[u64], message: &ProtocolData<'_>) {
    line.clear();
    line.push(kind);
    // Writing to a String cannot fail.
    for t in times {
        let _ = write!(line, ",{t}");
    }
    let _ = writeln!(line, ",{}", FlowRecord(message));
}

impl NetworkNode {
    /// A node that connects at its first timeout.
    pub(crate) fn new(
        config: PeerConfig,
        stack: Box<dyn Associations>,
        source: Box<dyn Source>,
        record: RecordFile,
        clock: ClockAnchor,
    ) -> Self {
        let shared = Shared { state: TrafficState::Connecting, counters: TrafficCounters::default() };
        let PeerConfig { gateways, routing_context, t_ack_ms, epoch } = config;
        let routes = (gateways.len() > 1).then(|| Routes::new(epoch, source.sccp_affinity()));
        let link = |gateway| Link::new(clock.instant, gateway, routing_context, t_ack_ms);
        let mut node = Self {
            routing_context,
            stack,
            links: gateways.into_iter().map(link).collect(),
            routes,
            source,
            late: VecDeque::new(),
            record,
            line: String::new(),
            clock,
            shared: Arc::new(Mutex::new(shared)),
            counters: TrafficCounters::default(),
            lateness: Lateness::new(clock.instant),
            stopped: false,
            finish_by: None,
            failed: None,
        };
        node.record.append(b"# sigpool-record 1 network clock=CLOCK_MONOTONIC\n");
        node
    }

    /// A view for another thread.
    pub(crate) fn shared(&self) -> Arc<Mutex<Shared>> {
        Arc::clone(&self.shared)
    }

    /// Milliseconds for the M3UA machine.
    fn ms(&self, now: Instant) -> u64 {
        self.clock.ns(now) / 1_000_000
    }

    fn link_of(&self, assoc: AssocId) -> Option<usize> {
        self.links.iter().position(|link| link.assoc() == Some(assoc))
    }

    fn events(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            let (Event::Up { assoc, .. }
            | Event::Message { assoc, .. }
            | Event::Path { assoc, .. }
            | Event::Closed { assoc, .. }) = event
            else {
                continue;
            };
            // Strangers' associations cannot be: nothing listens here.
            let Some(at) = self.link_of(assoc) else { continue };
            match event {
                Event::Up { outbound_streams, .. } => {
                    let now_ms = self.ms(now);
                    self.links[at].up(now_ms, assoc, outbound_streams);
                }
                Event::Message { stream, ppid: ppid::M3UA, payload, .. } => self.message(now, at, stream, &payload),
                Event::Path { address, state, .. } => {
                    let (t, ip) = (self.clock.ns(now), address.ip());
                    self.record.append(format!("P,{t},gateway,{ip},{}\n", state.name()).as_bytes());
                }
                Event::Closed { reason, .. } => {
                    tracing::info!(?reason, gateway = at + 1, "association with the gateway ended");
                    self.lost(now, at, reason);
                }
                Event::Message { .. } | _ => {}
            }
        }
        for at in 0..self.links.len() {
            self.asp_events(now, at);
        }
    }

    fn asp_events(&mut self, now: Instant, at: usize) {
        while let Some(event) = self.links[at].asp.poll_event() {
            let failed = match event {
                AspPeerEvent::State { from, to } => {
                    tracing::debug!(?from, ?to, gateway = at + 1, "ASP state");
                    continue;
                }
                AspPeerEvent::Refused { request, code } => format!("the gateway refused {request:?}: {code}"),
                AspPeerEvent::Overridden => "another ASP took the traffic over".into(),
            };
            if self.routes.is_none() {
                self.failed = Some(failed);
            } else {
                // One of two that begins anew may not be ready yet.
                tracing::info!(gateway = at + 1, "tried again: {failed}");
                self.give_up(now, at);
            }
        }
        let active = self.links[at].active().is_some();
        self.links[at].been_active |= active;
        if let Some(routes) = &mut self.routes {
            routes.set_active(now, at, active);
        }
    }

    /// The association with a gateway ended. What it has not accepted goes again, before all else.
    fn lost(&mut self, now: Instant, at: usize, reason: CloseReason) {
        let t = self.clock.ns(now);
        if self.links[at].is_up() {
            self.record.append(format!("Z,{t},gateway,{}\n", reason.name()).as_bytes());
        }
        self.links[at].closed(now);
        let again = self.routes.as_mut().map(|routes| routes.lost(at)).unwrap_or_default();
        if !again.is_empty() {
            self.record.append(format!("A,{t},{},{}\n", at + 1, again.len()).as_bytes());
        }
        for due in again.into_iter().rev() {
            self.late.push_front(due);
        }
    }

    /// Ends the association with a gateway of two.
    fn give_up(&mut self, now: Instant, at: usize) {
        self.links[at].abort(now, &mut *self.stack);
        self.lost(now, at, CloseReason::LocalAbort);
    }

    fn message(&mut self, now: Instant, at: usize, stream: u16, payload: &[u8]) {
        let mut replies = Replies::new();
        let now_ms = self.ms(now);
        let input = self.links[at].asp.handle(now_ms, stream, payload, &mut replies);
        for reply in &replies {
            self.send(now, at, reply.stream, &reply.message);
        }
        match input {
            Input::Deliver(Message::Data(data)) => self.data(now, at, &data),
            Input::Deliver(Message::Beat(beat)) => {
                self.send(now, at, stream, &Message::BeatAck(beat));
            }
            Input::Deliver(Message::BeatAck(Beat { data: Some(data) })) => {
                if let (Some(routes), Heartbeat::Barrier(id)) = (&mut self.routes, Heartbeat::decode(data)) {
                    routes.echoed(at, id);
                }
            }
            Input::Deliver(message) => self.management(now, &message),
            Input::Consumed => {}
            Input::Dropped(cause) => tracing::warn!(?cause, "message of the gateway dropped"),
        }
    }

    /// Records what the gateway says about destinations; the load goes on whatever it is.
    fn management(&mut self, now: Instant, message: &Message<'_>) {
        let one;
        let affected = if let Message::Duna(ssnm) | Message::Dava(ssnm) | Message::Drst(ssnm) = message {
            &ssnm.affected[..]
        } else if let Message::Scon(scon) = message {
            &scon.affected[..]
        } else if let Message::Dupu(dupu) = message {
            one = [AffectedPc::one(dupu.affected)];
            &one
        } else {
            return;
        };
        for affected in affected {
            let (name, pc, mask) = (message.message_type().name(), affected.pc(), affected.mask());
            self.record.append(format!("N,{},{name},{pc},{mask}\n", self.clock.ns(now)).as_bytes());
        }
    }

    /// Sends an M3UA message; false when the send queue or the association cannot take it.
    fn send(&mut self, now: Instant, at: usize, stream: u16, message: &Message<'_>) -> bool {
        self.links[at].send(now, &mut *self.stack, stream, encode(message))
    }

    fn link_timeout(&mut self, now: Instant) {
        let now_ms = self.ms(now);
        for link in &mut self.links {
            if self.finish_by.is_none() {
                link.connect(now, &mut *self.stack);
            } else if self.finish_by.is_some_and(|by| by <= now) {
                link.abort(now, &mut *self.stack);
            }
            link.asp.handle_timeout(now_ms);
        }
    }

    fn finish(&mut self, now: Instant) {
        self.finish_by.get_or_insert(now + END_PATIENCE);
        let now_ms = self.ms(now);
        for link in &mut self.links {
            link.leave(now, now_ms, &mut *self.stack);
        }
    }

    fn is_active(&self) -> bool {
        self.links.iter().any(|link| link.active().is_some())
    }

    fn data(&mut self, now: Instant, at: usize, data: &Data<'_>) {
        let m = &data.protocol_data;
        if let Some(routes) = &mut self.routes
            && !routes.takes(m, data.correlation_id)
        {
            let (t, id) = (self.clock.ns(now), CorrelationId(data.correlation_id.unwrap_or_default()));
            self.record.append(format!("D,{t},{},{id},{}\n", at + 1, FlowRecord(m)).as_bytes());
            return;
        }
        self.counters.received += 1;
        record_line(&mut self.line, 'R', &[self.clock.ns(now)], m);
        self.record.append(self.line.as_bytes());
        self.source.handle(now, m);
    }

    /// The gateway for a message that is due, and the number of streams of its association.
    fn way(&mut self, due: &mut Due) -> Option<(usize, u16)> {
        let at = match &mut self.routes {
            None => 0,
            Some(routes) => match routes.route(due) {
                Way::To(gateway) => gateway,
                Way::Wait => return None,
            },
        };
        Some((at, self.links[at].active()?))
    }

    /// Sends what is due. A message that cannot go stays due: it goes late, not lost.
    fn send_due(&mut self, now: Instant) {
        if !self.is_active() {
            return;
        }
        while let Some(mut due) = self.late.pop_front().or_else(|| self.source.poll(now).map(Due::new)) {
            let Some((at, streams)) = self.way(&mut due) else {
                self.late.push_front(due);
                return;
            };
            let label = due.outgoing.label;
            let stream = sls_stream(label.sls, streams);
            let data = Message::Data(Data {
                network_appearance: None,
                routing_context: Some(self.routing_context),
                protocol_data: label.with(&due.outgoing.user_data),
                correlation_id: due.stamp.map(|stamp| stamp.id.0),
            });
            if !self.send(now, at, stream, &data) {
                self.late.push_front(due);
                return;
            }
            self.sent(now, &mut due);
            if let Some(routes) = &mut self.routes {
                routes.sent(now, at, stream, due);
            }
        }
        for at in self.source.take_missed() {
            self.counters.missed += 1;
            self.record.append(format!("M,{}\n", self.clock.ns(at)).as_bytes());
        }
    }

    /// Counts and records a message when it is sent for the first time.
    fn sent(&mut self, now: Instant, due: &mut Due) {
        if std::mem::replace(&mut due.recorded, true) {
            return;
        }
        let outgoing = &due.outgoing;
        self.counters.sent += 1;
        self.lateness.note(now, now.saturating_duration_since(outgoing.intended));
        let times = [self.clock.ns(now), self.clock.ns(outgoing.intended)];
        record_line(&mut self.line, 'S', &times, &outgoing.label.with(&outgoing.user_data));
        self.record.append(self.line.as_bytes());
    }

    /// Asks the gateways what they accepted, and gives up one that accepts nothing any more.
    fn acceptance(&mut self, now: Instant) {
        for at in 0..self.links.len() {
            while let Some((stream, id)) = self.routes.as_mut().and_then(|routes| routes.poll_barrier(now, at)) {
                let mut room = [0; HEARTBEAT_MAX];
                let beat = Beat { data: Some(Heartbeat::Barrier(id).encode(&mut room)) };
                let sent = self.send(now, at, stream, &Message::Beat(beat));
                if let Some(routes) = self.routes.as_mut().filter(|_| !sent) {
                    routes.barrier_not_sent(now, at, stream);
                }
            }
        }
        while let Some(at) = self.routes.as_ref().and_then(|routes| routes.silent(now)) {
            tracing::info!(gateway = at + 1, "given up: it accepts nothing any more");
            self.give_up(now, at);
        }
    }

    fn publish(&mut self) {
        let calls = self.source.call_counters();
        self.counters.attempted = calls.attempted;
        self.counters.answered = calls.answered;
        self.counters.late = self.lateness.latest();
        self.counters.up = self.source.up() + self.late.len() as u64;
        let drained =
            self.stopped && self.counters.up == 0 && self.routes.as_ref().is_none_or(|routes| routes.unaccepted() == 0);
        // All are there before the load begins; one of two is enough later.
        let active = self.is_active() && self.links.iter().all(|link| link.been_active);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.counters = self.counters;
        shared.state = match &self.failed {
            Some(reason) => TrafficState::Failed(reason.clone()),
            None if active && drained => TrafficState::Drained,
            None if active => TrafficState::Active,
            None => TrafficState::Connecting,
        };
    }

    fn work(&mut self, now: Instant) {
        self.events(now);
        for link in &mut self.links {
            link.asp_requests(now, &mut *self.stack);
        }
        self.acceptance(now);
        self.send_due(now);
    }
}

impl sctp::driver::Node for NetworkNode {
    type Command = Command;

    fn handle_input(&mut self, now: Instant, input: sctp::Input) {
        self.stack.handle_input(now, input);
        self.work(now);
    }
    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Begin(at) => self.source.start(at),
            Command::Stop => {
                self.stopped = true;
                self.source.stop();
            }
            Command::Finish => self.finish(now),
        }
        self.work(now);
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.link_timeout(now);
        self.work(now);
    }
    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        self.publish();
        self.record.flush()
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        let retries = self.links.iter().filter(|_| self.finish_by.is_none()).filter_map(Link::retry);
        let at = |ms: u64| {
            self.clock.instant
                + Duration::from_nanos((ms * 1_000_000).saturating_sub(self.clock.monotonic_ns) + 1_000_000)
        };
        let asps = self.links.iter().filter_map(|link| link.asp.poll_timeout()).map(at);
        // What is late waits for acknowledgements, which come as datagrams.
        let due = self.is_active() && self.late.is_empty();
        let source = if due { self.source.poll_timeout() } else { None };
        let routes = self.routes.as_ref().and_then(Routes::poll_timeout);
        let others = [self.stack.poll_timeout(), source, routes, self.finish_by];
        retries.chain(asps).chain(others.into_iter().flatten()).min()
    }
    fn finished(&self) -> bool {
        self.finish_by.is_some() && self.links.iter().all(|link| link.assoc().is_none())
    }
}
