//! The controller as a node: SCTP associations, the pool element's registration, a session for each gateway. Pure;
//! [`daemon`](crate::daemon) gives it sockets and a file.

use crate::attachment::Attachments;
use crate::config::Config;
use crate::isup;
use crate::membership::{self, Membership, Step};
use crate::record::Record;
use crate::session::{Capacity, End, Session, Shared};
use asap::wire::PeId;
use bytes::Bytes;
use enrp::daemon::{DaemonCommand, RecordSink};
use sctp::{
    AssocId, Associations, BackendKind, ClockAnchor, CloseReason, Event, Input, Output, SendError, SendOptions, ppid,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::time::Instant;

/// What an association is for.
#[derive(Debug)]
pub(crate) enum Role {
    /// To or from a name server, of the membership with this index.
    Server(usize),
    /// To a gateway, as an ordinary ASP; not up yet.
    Attaching,
    /// From a gateway; of an ordinary ASP to it.
    Gateway(Box<Session>),
    /// Being closed.
    Closing,
}

impl Role {
    /// The other end, as the record says it; none for what this end is closing.
    pub(crate) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Server(_) => Some("name-server"),
            Self::Gateway(_) | Self::Attaching => Some("gateway"),
            Self::Closing => None,
        }
    }
}

/// What the shell says to a controller.
#[derive(Debug)]
pub enum NodeCommand {
    /// What it says to every node.
    Daemon(DaemonCommand),
    /// A datagram of the group where name servers announce themselves.
    Announced {
        /// Of the scope with this number; 0 is that of `[asap]`.
        scope: usize,
        /// Who sent it.
        source: IpAddr,
        /// What should be an ASAP_SERVER_ANNOUNCE.
        bytes: Bytes,
    },
}

impl From<DaemonCommand> for NodeCommand {
    fn from(command: DaemonCommand) -> Self {
        Self::Daemon(command)
    }
}

/// A gateway controller.
#[derive(Debug)]
pub struct Node {
    pub(crate) shared: Shared,
    pub(crate) stack: Box<dyn Associations>,
    /// One for each operation scope.
    pub(crate) memberships: Vec<Membership>,
    attachments: Attachments,
    pub(crate) roles: BTreeMap<AssocId, Role>,
    /// When the controller originates its next call.
    pub(crate) next_call: Instant,
    /// Which gateway's turn it is to get it.
    pub(crate) turn: usize,
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
        let is_element = config.m3ua.gateways.is_empty();
        if is_element {
            stack.listen(config.m3ua.port);
        }
        let jitter = seed[8..16].iter().fold(0_u64, |word, &octet| word << 8 | u64::from(octet));
        let memberships =
            if is_element { membership::memberships(&config, PeId(pe), &local, now, jitter) } else { Vec::new() };
        let attachments = Attachments::new(now, &config);
        let mut shared = Shared {
            record: Record::new(clock, sink, (pe, incarnation), config.session.lease),
            clock,
            pe,
            incarnation,
            isup: Default::default(),
            tcap: Default::default(),
            recorded: isup::RecordedCalls::default(),
            counters: Default::default(),
            transaction: 0,
            groups: 0,
            capacity: Capacity::new(now, config.session.capacity_per_s),
            stopping: false,
            leader: crate::session::Leader::default(),
            config,
        };
        shared.record.life(now, "start");
        let mut node = Self {
            shared,
            stack,
            memberships,
            attachments,
            roles: BTreeMap::new(),
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
            for index in 0..self.memberships.len() {
                let udp_port = self.shared.config.udp.port;
                while let Some(step) = self.memberships[index].step(now, &mut *self.stack, udp_port) {
                    idle = false;
                    self.membership_step(now, index, step);
                }
            }
            while let Some(assoc) = self.attachments.step(now, &mut *self.stack) {
                self.roles.insert(assoc, Role::Attaching);
            }
            idle &= !self.end_sessions(now);
            if idle {
                break;
            }
        }
        if self.shared.stopping && !self.leaving && self.memberships.iter().all(Membership::is_stopped) {
            self.leave(now);
            self.pump(now);
        }
    }

    fn association_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up { assoc, local_port, incoming: true, outbound_streams, inbound_streams, peer, .. } => {
                if let Some(index) = self.memberships.iter().position(|one| one.listens_at(local_port)) {
                    return self.server_up(now, assoc, index);
                }
                // A group has the same stream in both directions, else echoes would overtake what they confirm.
                let refusal = (local_port != self.shared.config.m3ua.port).then_some("not an M3UA port");
                self.gateway_up(now, assoc, refusal, outbound_streams.min(inbound_streams), &peer);
            }
            // Ours.
            Event::Up { assoc, local_port, outbound_streams, inbound_streams, peer, .. } => {
                match self.roles.get(&assoc) {
                    Some(Role::Server(index)) => {
                        self.memberships[*index].up(now, &mut *self.stack, assoc, local_port);
                    }
                    Some(Role::Attaching) => {
                        self.gateway_up(now, assoc, None, outbound_streams.min(inbound_streams), &peer);
                    }
                    Some(Role::Gateway(_) | Role::Closing) | None => {}
                }
            }
            Event::Message { assoc, stream, ppid, unordered, payload } => match self.roles.get_mut(&assoc) {
                Some(Role::Gateway(session)) => {
                    session.handle_message(now, &mut self.shared, (stream, ppid, unordered), &payload);
                }
                Some(Role::Server(index)) if ppid == ppid::ASAP => {
                    self.memberships[*index].message(now, assoc, &payload);
                }
                Some(Role::Server(_) | Role::Attaching | Role::Closing) | None => self.shared.counters.wrong_ppid += 1,
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

    /// A name server came, to take the element over (RFC 5353 section 3.5.2).
    fn server_up(&mut self, now: Instant, assoc: AssocId, index: usize) {
        if self.memberships[index].accept(assoc) {
            self.roles.insert(assoc, Role::Server(index));
        } else {
            self.roles.insert(assoc, Role::Closing);
            self.stack.abort(now, assoc, b"too many name servers, or leaving the pool");
        }
    }

    fn gateway_up(
        &mut self,
        now: Instant,
        assoc: AssocId,
        refusal: Option<&'static str>,
        streams: u16,
        peer: &[SocketAddr],
    ) {
        let gateways = self.roles.values().filter(|role| matches!(role, Role::Gateway(_))).count();
        let refusal = if refusal.is_some() {
            refusal
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
        let mut session = Session::new(now, &self.shared, streams);
        session.number = assoc.0;
        self.roles.insert(assoc, Role::Gateway(Box::new(session)));
    }

    fn association_closed(&mut self, now: Instant, assoc: AssocId, reason: &CloseReason) {
        let was_up = *reason != CloseReason::ConnectFailed;
        if let Some(role) = self.roles.get(&assoc).and_then(Role::name).filter(|_| was_up) {
            self.shared.record.ended(now, role, reason);
        }
        self.attachments.closed(now, assoc);
        match self.roles.remove(&assoc) {
            Some(Role::Gateway(session)) => {
                tracing::info!(?reason, "gateway gone");
                session.close(now, &mut self.shared);
            }
            Some(Role::Server(index)) => self.memberships[index].closed(now, assoc),
            Some(Role::Attaching | Role::Closing) | None => {}
        }
    }

    fn membership_step(&mut self, now: Instant, index: usize, step: Option<Step>) {
        match step {
            Some(Step::Opened(assoc)) => drop(self.roles.insert(assoc, Role::Server(index))),
            Some(Step::Closing(assoc)) => drop(self.roles.insert(assoc, Role::Closing)),
            Some(Step::Registered) => self.shared.record.life(now, "registered"),
            None => {}
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
                Some(Role::Server(_) | Role::Attaching | Role::Closing) | None => false,
            };
            idle = if applied { 0 } else { idle + 1 };
        }
    }

    /// Once around: while call control hung, barriers may have come that no DATA is before.
    pub(crate) fn take_all_first_turns(&mut self, now: Instant) {
        for role in self.roles.values_mut() {
            if let Role::Gateway(session) = role {
                session.take_turn(now, &mut self.shared);
            }
        }
    }

    /// Step one of a planned end: out of the pool.
    fn stop(&mut self, now: Instant) {
        if !self.shared.stopping {
            self.shared.stopping = true;
            self.shared.record.life(now, "stop");
            self.memberships.iter_mut().for_each(|one| one.stop(now));
        }
    }

    /// Step two: no gateway finds us any more, so leave the traffic.
    fn leave(&mut self, now: Instant) {
        self.leaving = true;
        self.stack.stop_listening(self.shared.config.m3ua.port);
        self.attachments.stop();
        for (assoc, role) in &mut self.roles {
            match role {
                Role::Gateway(session) => session.stop(now, &mut self.shared),
                Role::Attaching => self.stack.shutdown(now, *assoc),
                Role::Server(_) | Role::Closing => {}
            }
        }
    }
}

impl sctp::driver::Node for Node {
    type Command = NodeCommand;

    fn handle_input(&mut self, now: Instant, input: Input) {
        self.stack.handle_input(now, input);
        self.pump(now);
    }

    fn handle_command(&mut self, now: Instant, command: NodeCommand) {
        match command {
            NodeCommand::Daemon(DaemonCommand::Admin(request)) => self.admin(now, request),
            NodeCommand::Daemon(DaemonCommand::Stop) => self.stop(now),
            NodeCommand::Announced { scope, source, bytes } => {
                if let Some(membership) = self.memberships.get_mut(scope) {
                    membership.announce(now, source, &bytes);
                }
            }
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.memberships.iter_mut().for_each(|one| one.handle_timeout(now));
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
            Role::Server(_) | Role::Attaching | Role::Closing => None,
        });
        let calls = (self.shared.groups > 0 && self.call_interval().is_some()).then_some(self.next_call);
        let asap = self.memberships.iter().filter_map(Membership::poll_timeout);
        let attaching = self.attachments.poll_timeout();
        self.stack.poll_timeout().into_iter().chain(attaching).chain(asap).chain(sessions).chain(calls).min()
    }

    fn finished(&self) -> bool {
        self.leaving && self.roles.is_empty()
    }
}
