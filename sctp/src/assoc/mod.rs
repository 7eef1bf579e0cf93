//! One association: its life, paths and supervision, around the engine that moves its data.
//!
//! `handshake` brings it up, `data` carries messages, `recovery` sends again what is
//! lost, `select` says over which path, `close` ends it in order, `supervise` notices when the peer is gone.
//! A method that ends the association returns the reason; the [`Stack`](crate::Stack) then removes it and hands back what was
//! not delivered.

mod bundle;
mod close;
mod data;
mod handshake;
mod path_mtu;
mod recovery;
mod select;
mod supervise;

use crate::engine::{Engine, Input};
use crate::path::Path;
use crate::queue::SendQueue;
use crate::rng::Rng;
use crate::stack::{Crowd, Crowds};
use crate::wire::{Chunk, Chunks, Header, Packet, cause, flag, kind};
use crate::{AssocId, CloseReason, Config, Counters, Event, Transmit, wire};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

pub(crate) use handshake::Peer;
pub(crate) use select::local_for;

/// What an association needs of its stack for one call.
pub(crate) struct Ctx<'a> {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) config: &'a Config,
    pub(crate) local: &'a [IpAddr],
    pub(crate) crowds: &'a Crowds,
    /// Too many received chunks of all associations wait for others.
    pub(crate) crowded: bool,
    pub(crate) counters: &'a mut Counters,
    pub(crate) rng: &'a mut Rng,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) out: &'a mut VecDeque<Transmit>,
}

/// The states of RFC 9260 section 4; `sctp/STATES.md` has what each event does in each. CLOSED has no association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Our INIT is out, T1-init runs.
    CookieWait,
    /// Our COOKIE ECHO is out, T1-cookie runs.
    CookieEchoed,
    /// Up.
    Established,
    /// The user asked for the end; what it sent before is not all acknowledged yet.
    ShutdownPending,
    /// Our SHUTDOWN is out, T2-shutdown and T5-shutdown-guard run; the peer may still send.
    ShutdownSent,
    /// The peer asked for the end; what we have for it is not all acknowledged yet.
    ShutdownReceived,
    /// Our SHUTDOWN ACK is out, T2-shutdown runs.
    ShutdownAckSent,
}

impl State {
    /// Before COMMUNICATION UP.
    pub(crate) fn is_connecting(self) -> bool {
        match self {
            Self::CookieWait | Self::CookieEchoed => true,
            Self::Established
            | Self::ShutdownPending
            | Self::ShutdownSent
            | Self::ShutdownReceived
            | Self::ShutdownAckSent => false,
        }
    }

    /// States in which DATA is taken in (section 6).
    fn takes_data(self) -> bool {
        match self {
            Self::Established | Self::ShutdownPending | Self::ShutdownSent => true,
            Self::CookieWait | Self::CookieEchoed | Self::ShutdownReceived | Self::ShutdownAckSent => false,
        }
    }

    /// States in which accepted messages still go out, acknowledgements count (section 6) and heartbeats are sent (section 8.3).
    fn sends_data(self) -> bool {
        match self {
            Self::Established | Self::ShutdownPending | Self::ShutdownReceived => true,
            Self::CookieWait | Self::CookieEchoed | Self::ShutdownSent | Self::ShutdownAckSent => false,
        }
    }
}

/// A control chunk and where it goes.
#[derive(Debug)]
struct Control {
    from: IpAddr,
    to: SocketAddr,
    chunk: Vec<u8>,
}

/// Retransmission of INIT, COOKIE ECHO (T1), SHUTDOWN or SHUTDOWN ACK (T2).
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Instant,
    interval: Duration,
    count: u32,
}

/// One association.
#[derive(Debug)]
pub(crate) struct Assoc {
    pub(crate) id: AssocId,
    pub(crate) state: State,
    pub(crate) incoming: bool,
    pub(crate) local_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) local_tag: u32,
    /// 0 until known.
    pub(crate) peer_tag: u32,
    pub(crate) local_tsn: u32,
    /// Stands for this association in the cookie for a peer that may have restarted (section 5.2.2); never the tags themselves,
    /// which the cookie would show.
    pub(crate) ties: (u32, u32),
    pub(crate) outbound_streams: u16,
    pub(crate) inbound_streams: u16,
    /// In the order they were told; it does not change.
    pub(crate) paths: Vec<Path>,
    /// Index of the primary path.
    pub(crate) primary: usize,
    pub(crate) queue: SendQueue,
    engine: Option<Engine>,
    control: Vec<Control>,
    /// The peer's last TSN in sequence, as last acknowledged.
    peer_cumulative: u32,
    peer_rwnd: u32,
    /// Section 8.1: the error counter of the association.
    errors: u32,

    // handshake
    cookie: Vec<u8>,
    stale_ms: Option<u32>,
    stale_count: u32,
    /// When the first INIT or the last COOKIE ECHO left, as long as an answer measures the round trip.
    sent_at: Option<Instant>,
    /// The path the handshake works over.
    pub(crate) answered_path: usize,
    retry: Option<Retry>,

    // data
    sack_at: Option<Instant>,
    /// The path over which DATA came last, and to which of our addresses.
    data_from: Option<(usize, IpAddr)>,
    /// DATA came again: our acknowledgement may have been lost.
    duplicate: bool,
    /// The peer said since the last T3-rtx that it has no room.
    no_room: bool,
    /// What is lost goes over this path, though data still goes over another.
    again_over: Option<usize>,
    /// Look for losses again.
    lost_at: Option<Instant>,
    tail_at: Option<Instant>,
    tail: recovery::Tail,
    /// Fast recovery has begun: its first packet does not ask the congestion window.
    fast_retransmit: bool,
    report_stream: bool,
    /// The peer's first DATA came; it is acknowledged at once (section 5.1).
    data_seen: bool,
    /// Chunks in the engine whose message is not yet whole and in order.
    pub(crate) waiting: usize,
    window: data::Window,

    // close
    shutdown_due: bool,
    guard_at: Option<Instant>,

    // supervision
    nonce_key: [u8; 16],
    /// Since when something is outstanding and nothing was heard.
    asked_at: Option<Instant>,
    probe_at: Option<Instant>,
    /// HB.Max.Burst: until when, and how many heartbeats to unconfirmed addresses went since.
    verifying: (Instant, u32),

    // the stack's
    pub(crate) scheduled: Option<Instant>,
    pub(crate) dirty: bool,
}

impl Assoc {
    pub(crate) fn new(id: AssocId, ports: (u16, u16), tag: u32, tsn: u32, incoming: bool, ctx: &mut Ctx<'_>) -> Self {
        Self {
            id,
            state: State::CookieWait,
            incoming,
            local_port: ports.0,
            peer_port: ports.1,
            local_tag: tag,
            peer_tag: 0,
            local_tsn: tsn,
            ties: (ctx.rng.nonzero_u32(), ctx.rng.nonzero_u32()),
            outbound_streams: ctx.config.outbound_streams,
            inbound_streams: ctx.config.inbound_streams,
            paths: Vec::new(),
            primary: 0,
            queue: SendQueue::new(tsn),
            engine: None,
            control: Vec::new(),
            peer_cumulative: 0,
            peer_rwnd: 0,
            errors: 0,
            cookie: Vec::new(),
            stale_ms: None,
            stale_count: 0,
            sent_at: None,
            answered_path: 0,
            retry: None,
            sack_at: None,
            data_from: None,
            duplicate: false,
            no_room: false,
            again_over: None,
            lost_at: None,
            tail_at: None,
            tail: recovery::Tail::default(),
            fast_retransmit: false,
            report_stream: false,
            data_seen: false,
            waiting: 0,
            window: data::Window::default(),
            shutdown_due: false,
            guard_at: None,
            nonce_key: ctx.rng.key(),
            asked_at: None,
            probe_at: None,
            verifying: (ctx.now, 0),
            scheduled: None,
            dirty: false,
        }
    }

    /// Whose heartbeats are limited together with this one's. A name server that takes pool elements over opens an association to
    /// a port of each, which their system chose: those are one crowd.
    pub(crate) fn crowd(&self) -> Crowd {
        /// Systems choose from here on.
        const CHOSEN: u16 = 32_768;
        let of = |port| if port >= CHOSEN { 0 } else { port };
        if self.incoming { Crowd::Came(of(self.local_port)) } else { Crowd::Opened(of(self.peer_port)) }
    }

    fn header(&self) -> Header {
        Header { source: self.local_port, destination: self.peer_port, tag: self.peer_tag }
    }

    /// Index of the path with this address.
    pub(crate) fn path_of(&self, address: SocketAddr) -> Option<usize> {
        self.paths.iter().position(|p| p.to == address)
    }

    fn control_to(&mut self, path: usize, chunk: Vec<u8>) {
        let (from, to) = (self.paths[path].from, self.paths[path].to);
        self.control.push(Control { from, to, chunk });
    }

    fn control(&mut self, chunk: Vec<u8>) {
        let path = self.data_path();
        self.control_to(path, chunk);
    }

    /// An answer goes to where the question came from (section 6.4), unless that address did not prove itself (section 5.4).
    fn reply(&mut self, path: usize, chunk: Vec<u8>) {
        let confirmed = self.paths.get(path).is_some_and(|p| p.confirmed);
        let path = if confirmed { path } else { self.data_path() };
        self.control_to(path, chunk);
    }

    /// Sends one chunk in a packet of its own, at once.
    fn send_alone(&mut self, ctx: &mut Ctx<'_>, path: usize, header: Header, chunk: &[u8]) {
        let mut packet = Packet::new(header, wire::HEADER + chunk.len());
        packet.raw(chunk);
        self.emit(ctx, path, packet);
    }

    /// A packet leaves over a path.
    fn emit(&mut self, ctx: &mut Ctx<'_>, path: usize, packet: Packet) {
        let Some(path) = self.paths.get_mut(path) else { return };
        let payload = packet.finish();
        path.stats.packets_out += 1;
        path.stats.bytes_out += payload.len() as u64;
        ctx.out.push_back(Transmit { from: path.from, to: path.to, payload });
    }

    /// ABORT with a cause (section 9.1); nothing when the peer's tag is not known.
    pub(crate) fn send_abort(&mut self, ctx: &mut Ctx<'_>, code: Option<u16>, info: &[u8]) {
        if self.peer_tag == 0 {
            return;
        }
        let chunk = match code {
            Some(code) => wire::with_cause(kind::ABORT, 0, code, info),
            None => wire::chunk(kind::ABORT, 0, &[]),
        };
        ctx.counters.aborts_out += 1;
        let (path, header) = (self.data_path(), self.header());
        self.send_alone(ctx, path, header, &chunk);
    }

    fn violation(&mut self, ctx: &mut Ctx<'_>, code: u16, info: &[u8]) -> CloseReason {
        self.send_abort(ctx, Some(code), info);
        CloseReason::ProtocolViolation
    }

    fn send_error(&mut self, ctx: &mut Ctx<'_>, path: usize, code: u16, info: &[u8]) {
        // Answers to one packet fit one packet (section 12.4).
        if !self.answer_fits(ctx, 2 * wire::TLV + info.len()) {
            ctx.counters.errors_left_out += 1;
            return;
        }
        ctx.counters.errors_out += 1;
        self.reply(path, wire::with_cause(kind::ERROR, 0, code, info));
    }

    /// Whether a chunk of so many bytes fits the one packet that answers a packet (section 12.4, RFC 5062 sections 8.3 and 10.3).
    fn answer_fits(&self, ctx: &Ctx<'_>, length: usize) -> bool {
        let waiting: usize = self.control.iter().map(|c| wire::padded(c.chunk.len())).sum();
        wire::HEADER + waiting + wire::padded(length) <= ctx.config.mtu
    }

    /// Takes the chunks of a packet with our tag, which came over this path to this address of ours.
    pub(crate) fn handle_chunks(
        &mut self,
        ctx: &mut Ctx<'_>,
        path: usize,
        to: IpAddr,
        chunks: Chunks<'_>,
    ) -> Option<CloseReason> {
        let mut quiet = false;
        if let Some(abort) = chunks.flatten().find(|c| c.kind == kind::ABORT) {
            // A packet whose ABORT does not count is dropped whole (section 8.5.1 B); one whose ABORT does is not answered
            // (section 9.1).
            if !self.abort_counts(abort) {
                ctx.counters.dropped_tag += 1;
                return None;
            }
            quiet = true;
        }
        self.heard(ctx);
        self.answered_while_closing();
        self.came_over(path, to, wire::HEADER + chunks.0.len());
        let mut input = Input::new(self.engine.as_ref(), chunks.0.len());
        for chunk in chunks {
            if input.is_long() {
                let full = std::mem::replace(&mut input, Input::new(self.engine.as_ref(), 0));
                if let Some(reason) = self.feed(ctx, full) {
                    return Some(reason);
                }
            }
            let Ok(chunk) = chunk else {
                ctx.counters.dropped_chunk_length += 1;
                break;
            };
            let step = match chunk.kind {
                kind::ABORT => Step::End(self.aborted(ctx, chunk.value)),
                kind if kind::is_known(kind) && (quiet || !self.expects(kind)) => {
                    ctx.counters.dropped_unexpected += 1;
                    Step::Next
                }
                kind::DATA => {
                    self.data_from = Some((path, to));
                    self.on_data(ctx, chunk, &mut input)
                }
                kind::SACK => self.on_sack(ctx, chunk.value, &mut input),
                kind::HEARTBEAT if !self.answer_fits(ctx, chunk.whole.len()) => {
                    ctx.counters.heartbeats_left_out += 1;
                    Step::Next
                }
                kind::HEARTBEAT => {
                    self.control.push(Control {
                        from: to,
                        to: self.paths[path].to,
                        chunk: wire::chunk(kind::HEARTBEAT_ACK, 0, &[chunk.value]),
                    });
                    Step::Next
                }
                kind::HEARTBEAT_ACK => self.on_heartbeat_ack(ctx, chunk.value),
                kind::SHUTDOWN => self.on_shutdown(ctx, path, chunk.value, &mut input),
                kind::SHUTDOWN_ACK => self.on_shutdown_ack(ctx, path),
                kind::SHUTDOWN_COMPLETE => self.on_shutdown_complete(ctx, chunk.flags),
                kind::ERROR => self.on_error(ctx, chunk.value),
                kind::COOKIE_ACK => self.on_cookie_ack(ctx),
                kind::INIT_ACK | kind::INIT | kind::COOKIE_ECHO => {
                    // They stand alone or first, and the stack takes them there.
                    ctx.counters.dropped_unexpected += 1;
                    Step::Stop
                }
                kind::PAD => Step::Next,
                _ => self.on_unknown(ctx, path, chunk, quiet),
            };
            match step {
                Step::Next => {}
                Step::Stop => break,
                Step::End(reason) => {
                    // What came before it in the packet still counts.
                    if !matches!(reason, CloseReason::ProtocolViolation) {
                        self.feed(ctx, input);
                    }
                    return Some(reason);
                }
            }
        }
        self.feed(ctx, input).or_else(|| self.proceed(ctx))
    }

    /// A packet came over a path, to this address of ours. As long as the path does not work as it is, that address is tried: it
    /// is the one by which the peer reaches us.
    fn came_over(&mut self, path: usize, to: IpAddr, bytes: usize) {
        let path = &mut self.paths[path];
        path.stats.packets_in += 1;
        path.stats.bytes_in += bytes as u64;
        if !path.usable() {
            path.from = to;
        }
    }

    /// Section 3.2: the two high bits of an unknown type say whether to go on and whether to report.
    fn on_unknown(&mut self, ctx: &mut Ctx<'_>, path: usize, chunk: Chunk<'_>, quiet: bool) -> Step {
        ctx.counters.unknown_chunks += 1;
        if chunk.kind & 0x40 != 0 && !quiet && self.state != State::CookieWait {
            let reported = chunk.whole.get(..256).unwrap_or(chunk.whole);
            self.send_error(ctx, path, cause::UNRECOGNIZED_CHUNK, reported);
        }
        if chunk.kind & 0x80 != 0 { Step::Next } else { Step::Stop }
    }

    /// While our INIT is not answered the peer knows nothing of this association: it can refuse it, or end the one before.
    fn expects(&self, kind: u8) -> bool {
        self.state != State::CookieWait || kind == kind::SHUTDOWN_ACK
    }

    /// Whether an ABORT with our tag is to be obeyed: without the T bit (section 8.5.1 B), causes well-formed (section 3.3.7).
    fn abort_counts(&self, chunk: Chunk<'_>) -> bool {
        self.own_tag(chunk.flags) && wire::well_formed(chunk.value)
    }

    /// The tag of the packet is ours, and the T bit says so too; where both ends chose the same tag it says nothing.
    fn own_tag(&self, flags: u8) -> bool {
        flags & flag::TAG_REFLECTED == 0 || self.peer_tag == self.local_tag
    }

    /// The peer aborted: the reason with its first cause.
    pub(crate) fn aborted(&mut self, ctx: &mut Ctx<'_>, causes: &[u8]) -> CloseReason {
        ctx.counters.aborts_in += 1;
        CloseReason::PeerAbort(first_cause(causes))
    }

    /// Section 3.3.10: an ERROR is reported by counters and ends nothing, but a stale cookie starts the handshake again.
    fn on_error(&mut self, ctx: &mut Ctx<'_>, value: &[u8]) -> Step {
        ctx.counters.errors_in += 1;
        if self.state == State::CookieEchoed && wire::has_cause(value, cause::STALE_COOKIE) {
            return self.on_stale_cookie(ctx).map_or(Step::Stop, Step::End);
        }
        Step::Next
    }
}

/// What a chunk leads to.
#[derive(Debug)]
enum Step {
    Next,
    /// The rest of the packet is not looked at.
    Stop,
    End(CloseReason),
}

fn first_cause(causes: &[u8]) -> Option<u16> {
    (causes.len() >= wire::TLV).then(|| wire::u16_at(causes, 0))
}
