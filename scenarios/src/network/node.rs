//! The traffic source as a node: one M3UA peer (ASP) of the gateway's network side.

use super::source::{Outgoing, Source};
use crate::runner::traffic::{TrafficCounters, TrafficState};
use bytes::Bytes;
use enrp::daemon::RecordFile;
use m3ua_lite::asp::{AspState, Input, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer, AspPeerEvent};
use m3ua_lite::session::{FlowRecord, sls_stream};
use m3ua_lite::wire::{AffectedPc, Data, Message, ProtocolData, TrafficMode, one_context};
use sctp::{AssocId, Associations, ClockAnchor, Connect, Event, Output, SendOptions, ppid};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// M3UA's SCTP port (RFC 4666 section 1.4.8).
const M3UA_PORT: u16 = 2905;
/// Pause before the gateway is tried again.
const RECONNECT: Duration = Duration::from_millis(100);

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
    /// Its addresses, the first is the primary.
    pub(crate) gateway: Vec<SocketAddr>,
    pub(crate) routing_context: u32,
    /// T(ack), RFC 4666 section 4.3.4.1 (RFC: 2 s).
    pub(crate) t_ack_ms: u64,
}

/// The association with the gateway.
#[derive(Debug, Clone, Copy)]
enum Link {
    Down { retry: Instant },
    Connecting { assoc: AssocId },
    Up { assoc: AssocId, streams: u16 },
}

impl Link {
    fn assoc(self) -> Option<AssocId> {
        match self {
            Self::Down { .. } => None,
            Self::Connecting { assoc } | Self::Up { assoc, .. } => Some(assoc),
        }
    }
}

/// See the module.
pub(crate) struct NetworkNode {
    config: PeerConfig,
    stack: Box<dyn Associations>,
    link: Link,
    asp: AspPeer,
    source: Box<dyn Source>,
    /// Due messages that the send queue had no room for.
    late: VecDeque<Outgoing>,
    record: RecordFile,
    line: String,
    clock: ClockAnchor,
    shared: Arc<Mutex<Shared>>,
    counters: TrafficCounters,
    lateness: Lateness,
    stopped: bool,
    finishing: bool,
    finished: bool,
    failed: Option<String>,
}

/// How late messages leave: the most in this second, and in the one before.
#[derive(Debug)]
struct Lateness {
    since: Instant,
    now: Duration,
    before: Duration,
}

impl Lateness {
    fn new(now: Instant) -> Self {
        Self { since: now, now: Duration::ZERO, before: Duration::ZERO }
    }

    fn note(&mut self, now: Instant, late: Duration) {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self { since: now, now: Duration::ZERO, before: self.now };
        }
        self.now = self.now.max(late);
    }

    fn latest(&self) -> Duration {
        self.now.max(self.before)
    }
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
        let mut node = Self {
            stack,
            link: Link::Down { retry: clock.instant },
            asp: AspPeer::new(AspConfig {
                asp_id: None,
                routing_contexts: one_context(config.routing_context),
                traffic_mode: Some(TrafficMode::Loadshare),
                t_ack_ms: config.t_ack_ms,
            }),
            config,
            source,
            late: VecDeque::new(),
            record,
            line: String::new(),
            clock,
            shared: Arc::new(Mutex::new(shared)),
            counters: TrafficCounters::default(),
            lateness: Lateness::new(clock.instant),
            stopped: false,
            finishing: false,
            finished: false,
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

    fn events(&mut self, now: Instant) {
        while let Some(event) = self.stack.poll_event() {
            match event {
                Event::Up { assoc, outbound_streams, .. } if self.link.assoc() == Some(assoc) => {
                    self.link = Link::Up { assoc, streams: outbound_streams };
                    self.asp.association_up(self.ms(now));
                    self.asp.want(self.ms(now), AspState::Active);
                }
                Event::Message { assoc, stream, ppid: ppid::M3UA, payload, .. } if self.link.assoc() == Some(assoc) => {
                    self.message(now, stream, &payload)
                }
                Event::Path { assoc, address, state } if self.link.assoc() == Some(assoc) => {
                    let (t, ip) = (self.clock.ns(now), address.ip());
                    self.record.append(format!("P,{t},gateway,{ip},{}\n", state.name()).as_bytes());
                }
                Event::Closed { assoc, reason, .. } if self.link.assoc() == Some(assoc) => {
                    if matches!(self.link, Link::Up { .. }) {
                        let t = self.clock.ns(now);
                        self.record.append(format!("Z,{t},gateway,{}\n", reason.name()).as_bytes());
                    }
                    tracing::info!(?reason, "association with the gateway ended");
                    self.asp.association_lost();
                    self.finished |= self.finishing;
                    self.link = Link::Down { retry: now + RECONNECT };
                }
                // Strangers' associations cannot be: nothing listens here.
                Event::Up { .. } | Event::Message { .. } | Event::Path { .. } | Event::Closed { .. } | _ => {}
            }
        }
        while let Some(event) = self.asp.poll_event() {
            match event {
                AspPeerEvent::Refused { request, code } => {
                    self.failed = Some(format!("the gateway refused {request:?}: {code}"))
                }
                AspPeerEvent::State { from, to } => tracing::debug!(?from, ?to, "ASP state"),
                AspPeerEvent::Overridden => self.failed = Some("another ASP took the traffic over".into()),
            }
        }
    }

    fn message(&mut self, now: Instant, stream: u16, payload: &[u8]) {
        let mut replies = Replies::new();
        let input = self.asp.handle(self.ms(now), stream, payload, &mut replies);
        for reply in &replies {
            self.send(now, reply.stream, encode(&reply.message));
        }
        match input {
            Input::Deliver(Message::Data(data)) => self.data(now, &data.protocol_data),
            Input::Deliver(Message::Beat(beat)) => {
                self.send(now, stream, encode(&Message::BeatAck(beat)));
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
    fn send(&mut self, now: Instant, stream: u16, payload: Bytes) -> bool {
        let Some(assoc) = self.link.assoc() else {
            return false;
        };
        let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
        self.stack.send(now, assoc, options, payload).is_ok()
    }

    fn link_timeout(&mut self, now: Instant) {
        if let Link::Down { retry } = self.link
            && retry <= now
            && !self.finishing
        {
            let connect = Connect { peer: self.config.gateway.clone(), peer_port: M3UA_PORT, local_port: None };
            self.link = match self.stack.connect(now, connect) {
                Ok(assoc) => Link::Connecting { assoc },
                Err(_) => Link::Down { retry: now + RECONNECT },
            };
        }
        self.asp.handle_timeout(self.ms(now));
    }

    fn finish(&mut self, now: Instant) {
        self.finishing = true;
        match self.link {
            Link::Down { .. } => self.finished = true,
            Link::Connecting { assoc } => self.stack.abort(now, assoc, b""),
            Link::Up { assoc, .. } => {
                self.asp.want(self.ms(now), AspState::Down);
                self.asp_requests(now);
                self.stack.shutdown(now, assoc);
            }
        }
    }

    fn asp_requests(&mut self, now: Instant) {
        while let Some(request) = self.asp.poll_transmit() {
            self.send(now, request.stream, encode(&request.message));
        }
    }

    /// The number of streams when traffic may flow.
    fn active(&self) -> Option<u16> {
        match self.link {
            Link::Up { streams, .. } if self.asp.state() == AspState::Active => Some(streams),
            Link::Up { .. } | Link::Down { .. } | Link::Connecting { .. } => None,
        }
    }

    fn data(&mut self, now: Instant, m: &ProtocolData<'_>) {
        self.counters.received += 1;
        record_line(&mut self.line, 'R', &[self.clock.ns(now)], m);
        self.record.append(self.line.as_bytes());
        self.source.handle(now, m);
    }

    /// Sends what is due. A message that the send queue cannot take stays due: it goes late, not lost.
    fn send_due(&mut self, now: Instant) {
        let Some(streams) = self.active() else {
            return;
        };
        while let Some(outgoing) = self.late.pop_front().or_else(|| self.source.poll(now)) {
            let label = outgoing.label;
            let data = Message::Data(Data {
                network_appearance: None,
                routing_context: Some(self.config.routing_context),
                protocol_data: label.with(&outgoing.user_data),
                correlation_id: None,
            });
            if !self.send(now, sls_stream(label.sls, streams), encode(&data)) {
                self.late.push_front(outgoing);
                return;
            }
            self.counters.sent += 1;
            self.lateness.note(now, now.saturating_duration_since(outgoing.intended));
            let times = [self.clock.ns(now), self.clock.ns(outgoing.intended)];
            record_line(&mut self.line, 'S', &times, &label.with(&outgoing.user_data));
            self.record.append(self.line.as_bytes());
        }
        for at in self.source.take_missed() {
            self.counters.missed += 1;
            self.record.append(format!("M,{}\n", self.clock.ns(at)).as_bytes());
        }
    }

    fn publish(&mut self) {
        let calls = self.source.call_counters();
        self.counters.attempted = calls.attempted;
        self.counters.answered = calls.answered;
        self.counters.late = self.lateness.latest();
        self.counters.up = self.source.up() + self.late.len() as u64;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.counters = self.counters;
        shared.state = match (&self.failed, self.active()) {
            (Some(reason), _) => TrafficState::Failed(reason.clone()),
            (None, Some(_)) if self.stopped && self.counters.up == 0 => TrafficState::Drained,
            (None, Some(_)) => TrafficState::Active,
            (None, None) => TrafficState::Connecting,
        };
    }

    fn work(&mut self, now: Instant) {
        self.events(now);
        self.asp_requests(now);
        self.send_due(now);
    }
}

fn encode(message: &Message<'_>) -> Bytes {
    // Only messages whose user data came out of a capture of 64 KiB or the generator are ever encoded here.
    let mut octets = vec![0; message.encoded_len().expect("invariant: it fits M3UA's length")];
    message.encode(&mut octets).expect("invariant: the buffer has the encoded length");
    octets.into()
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
        let retry = match self.link {
            Link::Down { retry } => Some(retry).filter(|_| !self.finishing),
            Link::Connecting { .. } | Link::Up { .. } => None,
        };
        let asp = self.asp.poll_timeout().map(|ms| {
            self.clock.instant
                + Duration::from_nanos((ms * 1_000_000).saturating_sub(self.clock.monotonic_ns) + 1_000_000)
        });
        // What is late waits for acknowledgements, which come as datagrams.
        let source = self.active().filter(|_| self.late.is_empty()).and_then(|_| self.source.poll_timeout());
        [self.stack.poll_timeout(), retry, asp, source].into_iter().flatten().min()
    }
    fn finished(&self) -> bool {
        self.finished
    }
}
