//! The controller as a node: SCTP associations, the pool element's registration, a session for each gateway. Pure;
//! [`daemon`](crate::daemon) gives it sockets and a file.

use crate::config::Config;
use crate::isup;
use crate::record::Record;
use crate::session::{Capacity, End, Session, Shared};
use asap::event::DeregisterCause;
use asap::pool_element::Registration;
use asap::wire::{PeId, PoolHandle, SctpTransport, Transport, TransportUse};
use asap::{ConnId, PeEvent, PeMachine, Transmit as AsapTransmit};
use enrp::daemon::{DaemonCommand, RecordSink};
use sctp::{
    AssocId, Associations, BackendKind, ClockAnchor, CloseReason, Connect, Event, Input, Output, SendError,
    SendOptions, ppid,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::time::{Duration, Instant};

/// What an association is for.
#[derive(Debug)]
pub(crate) enum Role {
    /// To a name server.
    Server(ConnId),
    /// From a gateway.
    Gateway(Box<Session>),
    /// Being closed.
    Closing,
}

impl Role {
    /// The other end, as the record says it; none for what this end is closing.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Server(_) => Some("name-server"),
            Self::Gateway(_) => Some("gateway"),
            Self::Closing => None,
        }
    }
}

/// A gateway controller.
#[derive(Debug)]
pub struct Node {
    pub(crate) shared: Shared,
    pub(crate) stack: Box<dyn Associations>,
    pub(crate) pe: PeMachine,
    pub(crate) handle: PoolHandle,
    pub(crate) roles: BTreeMap<AssocId, Role>,
    conns: BTreeMap<ConnId, AssocId>,
    /// When the controller originates its next call.
    next_call: Instant,
    /// Which gateway's turn it is to get it.
    turn: usize,
    /// Which association last had its turn at the capacity.
    served: AssocId,
    /// The gateways were told that the controller leaves.
    leaving: bool,
}

/// The identity of one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// PE identifier, and ASP Identifier.
    pub pe: u32,
    /// Number of this start, random: tells its transactions from those of the start before.
    pub incarnation: u32,
}

impl Identity {
    /// From the configuration and 32 random octets.
    #[must_use]
    pub fn new(config: &Config, seed: &[u8; 32]) -> Self {
        let word = |at: usize| u32::from_be_bytes([seed[at], seed[at + 1], seed[at + 2], seed[at + 3]]);
        Self { pe: config.node.pe_id.unwrap_or(word(0).max(1)), incarnation: word(4) }
    }
}

impl Node {
    /// A controller that registers at once. `local` are its addresses; `seed` is random; `clock` stamps the record.
    #[must_use]
    pub fn new(
        config: Config,
        seed: [u8; 32],
        clock: ClockAnchor,
        now: Instant,
        local: Vec<IpAddr>,
        backend: BackendKind,
        sink: RecordSink,
    ) -> Self {
        let Identity { pe, incarnation } = Identity::new(&config, &seed);
        let mut stack = sctp::associations(
            backend,
            config.udp.with_advertised(&config.sctp),
            local.clone(),
            config.udp.port,
            seed,
            now,
        );
        stack.listen(config.m3ua.port);
        let jitter = seed[8..16].iter().fold(0_u64, |word, &octet| word << 8 | u64::from(octet));
        let mut machine = PeMachine::new(config.asap.clone(), PeId(pe), jitter);
        let handle = PoolHandle::from(config.pool.handle.as_str());
        let addresses = [&config.pool.advertise, &config.udp.advertise].into_iter().find(|known| !known.is_empty());
        let addresses = addresses.cloned().unwrap_or(local);
        let transport =
            SctpTransport { port: config.m3ua.port, transport_use: TransportUse::DataAndControl, addresses };
        let registration = Registration {
            handle: handle.clone(),
            life: config.pool.life(),
            user_transport: Transport::Sctp(transport),
            policy: config.pool.policy(),
        };
        if let Err(error) = machine.register(now, registration) {
            tracing::error!(%error, "cannot register");
        }
        let mut shared = Shared {
            record: Record::new(clock, sink, pe, incarnation),
            clock,
            pe,
            incarnation,
            isup: Default::default(),
            recorded: isup::RecordedCalls::default(),
            counters: Default::default(),
            transaction: 0,
            groups: 0,
            capacity: Capacity::new(now, config.session.capacity_per_s),
            stopping: false,
            config,
        };
        shared.record.life(now, "start");
        let (roles, conns) = (BTreeMap::new(), BTreeMap::new());
        let mut node = Self {
            shared,
            stack,
            pe: machine,
            handle,
            roles,
            conns,
            next_call: now,
            turn: 0,
            served: AssocId(0),
            leaving: false,
        };
        node.pump(now);
        node
    }

    /// The same, deciding recorded calls as they were recorded.
    #[must_use]
    pub fn with_recorded_calls(mut self, recorded: isup::RecordedCalls) -> Self {
        self.shared.recorded = recorded;
        self
    }

    /// The record ([`RecordSink::Memory`] keeps it readable).
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.shared.record
    }

    /// The identity of this start.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { pe: self.shared.pe, incarnation: self.shared.incarnation }
    }

    /// What call control counted.
    #[must_use]
    pub fn call_counters(&self) -> &isup::Counters {
        &self.shared.isup
    }

    /// What the sessions counted.
    #[must_use]
    pub fn session_counters(&self) -> &crate::session::Counters {
        &self.shared.counters
    }

    /// Moves everything between associations, registration and sessions until nothing is left to move.
    fn pump(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            while let Some(event) = self.stack.poll_event() {
                idle = false;
                self.association_event(now, event);
            }
            while let Some(transmit) = self.pe.poll_transmit() {
                idle = false;
                self.asap_transmit(now, transmit);
            }
            while let Some(event) = self.pe.poll_event() {
                idle = false;
                self.asap_event(now, &event);
            }
            idle &= !self.end_sessions(now);
            if idle {
                break;
            }
        }
        if self.shared.stopping && !self.leaving && self.pe.is_stopped() {
            self.leave(now);
            self.pump(now);
        }
    }

    fn association_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up { assoc, local_port, incoming: true, outbound_streams, inbound_streams, peer, .. } => {
                // A group has the same stream in both directions, else echoes would overtake what they confirm.
                self.gateway_up(now, assoc, local_port, outbound_streams.min(inbound_streams), &peer);
            }
            // Ours, to a name server.
            Event::Up { assoc, .. } => {
                if let Some(Role::Server(conn)) = self.roles.get(&assoc) {
                    self.pe.handle_connected(now, *conn);
                }
            }
            Event::Message { assoc, stream, ppid, unordered, payload } => match self.roles.get_mut(&assoc) {
                Some(Role::Gateway(session)) => {
                    session.handle_message(now, &mut self.shared, (stream, ppid, unordered), &payload);
                }
                Some(Role::Server(conn)) if ppid == ppid::ASAP => self.pe.handle_received(now, *conn, &payload),
                Some(Role::Server(_) | Role::Closing) | None => self.shared.counters.wrong_ppid += 1,
            },
            Event::Closed { assoc, reason, .. } => self.association_closed(now, assoc, &reason),
            // Paths are the association's own business.
            Event::Path { assoc, address, state } => {
                if let Some(role) = self.roles.get(&assoc).and_then(Role::name) {
                    self.shared.record.path(now, role, address.ip(), state);
                }
            }
            _ => {}
        }
    }

    fn gateway_up(&mut self, now: Instant, assoc: AssocId, local_port: u16, streams: u16, peer: &[SocketAddr]) {
        let gateways = self.roles.values().filter(|role| matches!(role, Role::Gateway(_))).count();
        let refusal = if local_port != self.shared.config.m3ua.port {
            Some("not an M3UA port")
        } else if gateways >= self.shared.config.session.gateways_max {
            self.shared.counters.gateways_refused += 1;
            Some("too many gateways")
        } else if self.shared.stopping {
            Some("leaving the pool")
        } else if streams < 2 {
            // DATA must not use stream 0 (RFC 4666 section 1.4.7).
            Some("M3UA needs two streams")
        } else {
            None
        };
        if let Some(reason) = refusal {
            tracing::warn!(?peer, reason, "association refused");
            self.roles.insert(assoc, Role::Closing);
            return self.stack.abort(now, assoc, reason.as_bytes());
        }
        tracing::info!(?peer, "gateway connected");
        self.roles.insert(assoc, Role::Gateway(Box::new(Session::new(now, &self.shared, streams))));
    }

    fn association_closed(&mut self, now: Instant, assoc: AssocId, reason: &CloseReason) {
        let was_up = *reason != CloseReason::ConnectFailed;
        if let Some(role) = self.roles.get(&assoc).and_then(Role::name).filter(|_| was_up) {
            self.shared.record.ended(now, role, reason);
        }
        match self.roles.remove(&assoc) {
            Some(Role::Gateway(session)) => {
                tracing::info!(?reason, "gateway gone");
                session.close(now, &mut self.shared);
            }
            Some(Role::Server(conn)) => {
                self.conns.remove(&conn);
                self.pe.handle_closed(now, conn);
            }
            Some(Role::Closing) | None => {}
        }
    }

    fn asap_transmit(&mut self, now: Instant, transmit: AsapTransmit) {
        match transmit {
            AsapTransmit::Connect { conn, server } => {
                let udp_port = self.shared.config.udp.port;
                let peer = server.addresses.iter().map(|address| SocketAddr::new(*address, udp_port)).collect();
                match self.stack.connect(now, Connect { peer, peer_port: server.port, local_port: None }) {
                    Ok(assoc) => {
                        self.roles.insert(assoc, Role::Server(conn));
                        self.conns.insert(conn, assoc);
                    }
                    Err(error) => {
                        tracing::warn!(?server, %error, "cannot connect to the name server");
                        self.pe.handle_closed(now, conn);
                    }
                }
            }
            AsapTransmit::Send { conn, bytes } => {
                let Some(&assoc) = self.conns.get(&conn) else { return };
                let options = SendOptions { ppid: ppid::ASAP, ..SendOptions::default() };
                if let Err(error) = self.stack.send(now, assoc, options, bytes) {
                    // T2 and T3 send again; a server that does not read is as good as gone.
                    tracing::warn!(%error, "cannot send to the name server");
                }
            }
            AsapTransmit::Close { conn } => {
                if let Some(assoc) = self.conns.remove(&conn) {
                    self.roles.insert(assoc, Role::Closing);
                    self.stack.shutdown(now, assoc);
                }
            }
        }
    }

    fn asap_event(&mut self, now: Instant, event: &PeEvent) {
        match event {
            PeEvent::Registered { handle, warning } => {
                tracing::info!(%handle, pe = %self.pe.id(), ?warning, "registered");
                self.shared.record.life(now, "registered");
            }
            PeEvent::Refused { handle, error } => tracing::error!(%handle, ?error, "registration refused"),
            PeEvent::ServerLost => tracing::warn!("name server lost"),
            PeEvent::HomeServer { server, .. } => tracing::info!(?server, "home server"),
            PeEvent::Deregistered { handle, cause: DeregisterCause::Requested } => {
                tracing::info!(%handle, "deregistered")
            }
            PeEvent::Deregistered { handle, cause: DeregisterCause::Expired } => {
                tracing::warn!(%handle, "registration expired");
            }
        }
    }

    /// Ends associations whose session asks for it. True when there was one.
    fn end_sessions(&mut self, now: Instant) -> bool {
        let mut ended = false;
        for (&assoc, role) in &mut self.roles {
            let Role::Gateway(session) = role else { continue };
            match session.poll_end() {
                None => continue,
                Some(End::Abort(reason)) => {
                    tracing::warn!(reason, "session aborted");
                    self.stack.abort(now, assoc, reason.as_bytes());
                }
                Some(End::Shutdown) => self.stack.shutdown(now, assoc),
            }
            ended = true;
        }
        ended
    }

    /// Sends what the sessions have, behind the record.
    fn send_all(&mut self, now: Instant) {
        for (&assoc, role) in &mut self.roles {
            let Role::Gateway(session) = role else { continue };
            session.close_batch(now, &mut self.shared);
            while let Some(send) = session.poll_send() {
                let options =
                    SendOptions { stream: send.stream, ppid: send.ppid, unordered: send.unordered, context: 0 };
                match self.stack.send(now, assoc, options, send.payload) {
                    Ok(()) => {}
                    // The association is closing; the gateway takes back what it has no answer for.
                    Err(SendError::NotOpen) => break,
                    Err(error @ (SendError::QueueFull | SendError::NoSuchStream | SendError::BadLength)) => {
                        // A transaction must not lose a part: end here, the gateway gives the groups to another controller.
                        tracing::warn!(%error, "gateway does not take what it is sent");
                        self.shared.counters.slow_gateways += 1;
                        self.stack.abort(now, assoc, b"gateway does not read");
                        break;
                    }
                }
            }
        }
    }

    /// What waits in the sessions, a message each in turn, as far as the capacity goes.
    fn take_turns(&mut self, now: Instant) {
        let mut idle = 0;
        while self.shared.capacity.waiting() > 0 && idle < self.roles.len() {
            let after = self.roles.range((Bound::Excluded(self.served), Bound::Unbounded)).next();
            let Some((&assoc, _)) = after.or_else(|| self.roles.first_key_value()) else { break };
            self.served = assoc;
            let applied = match self.roles.get_mut(&assoc) {
                Some(Role::Gateway(session)) => session.take_turn(now, &mut self.shared),
                Some(Role::Server(_) | Role::Closing) | None => false,
            };
            idle = if applied { 0 } else { idle + 1 };
        }
    }

    fn call_interval(&self) -> Option<Duration> {
        let rate = self.shared.config.call.originate_per_s;
        (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate))
    }

    /// Originates the calls that are due; what was missed while the process stood still is not made up for.
    fn originate(&mut self, now: Instant) {
        let Some(interval) = self.call_interval() else { return };
        if self.next_call + interval * 10 < now {
            self.next_call = now;
        }
        while self.next_call <= now {
            self.next_call += interval;
            let mut sessions: Vec<_> = self
                .roles
                .values_mut()
                .filter_map(|role| match role {
                    Role::Gateway(session) => Some(session),
                    Role::Server(_) | Role::Closing => None,
                })
                .collect();
            self.turn += 1;
            for step in 0..sessions.len() {
                let at = (self.turn + step) % sessions.len();
                if sessions[at].originate(now, &mut self.shared) {
                    break;
                }
            }
        }
    }

    /// Step one of a planned end: out of the pool.
    fn stop(&mut self, now: Instant) {
        if !self.shared.stopping {
            self.shared.stopping = true;
            self.shared.record.life(now, "stop");
            self.pe.stop(now);
        }
    }

    /// Step two: no gateway finds us any more, so leave the traffic.
    fn leave(&mut self, now: Instant) {
        self.leaving = true;
        self.stack.stop_listening(self.shared.config.m3ua.port);
        for role in self.roles.values_mut() {
            if let Role::Gateway(session) = role {
                session.stop(now, &mut self.shared);
            }
        }
    }
}

impl sctp::driver::Node for Node {
    type Command = DaemonCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, now: Instant, command: DaemonCommand) {
        match command {
            DaemonCommand::Admin(request) => self.admin(now, request),
            DaemonCommand::Stop => self.stop(now),
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.pe.handle_timeout(now);
        for role in self.roles.values_mut() {
            if let Role::Gateway(session) = role {
                session.handle_timeout(now, &mut self.shared);
            }
        }
        self.take_turns(now);
        self.originate(now);
        self.pump(now);
    }

    fn flush(&mut self, now: Instant) -> io::Result<()> {
        self.send_all(now);
        self.pump(now);
        // The stack holds what is to be sent; it leaves through `poll_output`, after this write.
        self.shared.record.flush()
    }

    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.stack.poll_output(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.roles.values().filter_map(|role| match role {
            Role::Gateway(session) => session.poll_timeout(&self.shared),
            Role::Server(_) | Role::Closing => None,
        });
        let calls = (self.shared.groups > 0 && self.call_interval().is_some()).then_some(self.next_call);
        self.stack.poll_timeout().into_iter().chain(self.pe.poll_timeout()).chain(sessions).chain(calls).min()
    }

    fn finished(&self) -> bool {
        self.leaving && self.roles.is_empty()
    }
}
