//! The association with one gateway, and the ASP on it.

use bytes::Bytes;
use m3ua_lite::asp::AspState;
use m3ua_lite::asp_peer::{AspConfig, AspPeer};
use m3ua_lite::wire::{Message, TrafficMode, one_context};
use sctp::{AssocId, Associations, Connect, SendOptions, ppid};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// M3UA's SCTP port (RFC 4666 section 1.4.8).
const M3UA_PORT: u16 = 2905;
/// Pause before the gateway is tried again.
const RECONNECT: Duration = Duration::from_millis(100);

/// The association.
#[derive(Debug, Clone, Copy)]
enum State {
    Down { retry: Instant },
    Connecting { assoc: AssocId },
    Up { assoc: AssocId, streams: u16 },
}

/// See the module.
pub(super) struct Link {
    /// The gateway's addresses, the first is the primary.
    gateway: Vec<SocketAddr>,
    state: State,
    pub(super) asp: AspPeer,
    /// It took traffic at some time.
    pub(super) been_active: bool,
}

impl Link {
    /// Connects at its first timeout.
    pub(super) fn new(now: Instant, gateway: Vec<SocketAddr>, routing_context: u32, t_ack_ms: u64) -> Self {
        let asp = AspPeer::new(AspConfig {
            asp_id: None,
            routing_contexts: one_context(routing_context),
            traffic_mode: Some(TrafficMode::Loadshare),
            t_ack_ms,
        });
        Self { gateway, state: State::Down { retry: now }, asp, been_active: false }
    }

    pub(super) fn assoc(&self) -> Option<AssocId> {
        match self.state {
            State::Down { .. } => None,
            State::Connecting { assoc } | State::Up { assoc, .. } => Some(assoc),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// The number of streams when traffic may flow.
    pub(super) fn active(&self) -> Option<u16> {
        match self.state {
            State::Up { streams, .. } if self.asp.state() == AspState::Active => Some(streams),
            State::Up { .. } | State::Down { .. } | State::Connecting { .. } => None,
        }
    }

    /// The association is up: the ASP asks for traffic.
    pub(super) fn up(&mut self, now_ms: u64, assoc: AssocId, streams: u16) {
        self.state = State::Up { assoc, streams };
        self.asp.association_up(now_ms);
        self.asp.want(now_ms, AspState::Active);
    }

    /// The association ended, or never was.
    pub(super) fn closed(&mut self, now: Instant) {
        self.asp.association_lost();
        self.state = State::Down { retry: now + RECONNECT };
    }

    /// Sends an M3UA message; false when the send queue or the association cannot take it.
    pub(super) fn send(&self, now: Instant, stack: &mut dyn Associations, stream: u16, payload: Bytes) -> bool {
        let Some(assoc) = self.assoc() else {
            return false;
        };
        let options = SendOptions { stream, ppid: ppid::M3UA, ..SendOptions::default() };
        stack.send(now, assoc, options, payload).is_ok()
    }

    /// Sends what the ASP asks for.
    pub(super) fn asp_requests(&mut self, now: Instant, stack: &mut dyn Associations) {
        while let Some(request) = self.asp.poll_transmit() {
            self.send(now, stack, request.stream, encode(&request.message));
        }
    }

    /// Connects again when it is time.
    pub(super) fn connect(&mut self, now: Instant, stack: &mut dyn Associations) {
        if !matches!(self.state, State::Down { retry } if retry <= now) {
            return;
        }
        let connect = Connect { peer: self.gateway.clone(), peer_port: M3UA_PORT, local_port: None };
        self.state = match stack.connect(now, connect) {
            Ok(assoc) => State::Connecting { assoc },
            Err(_) => State::Down { retry: now + RECONNECT },
        };
    }

    /// When to connect again.
    pub(super) fn retry(&self) -> Option<Instant> {
        match self.state {
            State::Down { retry } => Some(retry),
            State::Connecting { .. } | State::Up { .. } => None,
        }
    }

    /// A clean end.
    pub(super) fn leave(&mut self, now: Instant, now_ms: u64, stack: &mut dyn Associations) {
        match self.state {
            State::Down { .. } => {}
            State::Connecting { assoc } => stack.abort(now, assoc, b""),
            State::Up { assoc, .. } => {
                self.asp.want(now_ms, AspState::Down);
                self.asp_requests(now, stack);
                stack.shutdown(now, assoc);
            }
        }
    }

    /// An end at once; the stack tells when it is closed.
    pub(super) fn abort(&mut self, now: Instant, stack: &mut dyn Associations) {
        self.asp.association_lost();
        if let Some(assoc) = self.assoc() {
            stack.abort(now, assoc, b"");
        }
    }
}

/// A message in octets.
pub(super) fn encode(message: &Message<'_>) -> Bytes {
    // Only messages whose user data came out of a capture of 64 KiB or the generator are ever encoded here.
    let mut octets = vec![0; message.encoded_len().expect("invariant: it fits M3UA's length")];
    message.encode(&mut octets).expect("invariant: the buffer has the encoded length");
    octets.into()
}
