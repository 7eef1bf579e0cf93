//! Coming up: RFC 9260 sections 5.1 and 5.2, the client's side, and the start of the engine for both.

use super::{Assoc, Ctx, Retry, State, Step, local_for};
use crate::cookie::PATHS_MAX;
use crate::engine::{Engine, Setup};
use crate::init::{Families, Init, InitError, init_value, put_address_types, put_addresses, reachable};
use crate::path::Path;
use crate::wire::{self, Header, cause, flag, kind, param, put_param};
use crate::{CloseReason, Event};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// What the peer's INIT or INIT ACK told, from the chunk or from our cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) tag: u32,
    pub(crate) tsn: u32,
    pub(crate) rwnd: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
}

impl Assoc {
    /// Sends the first INIT.
    pub(crate) fn connect(&mut self, ctx: &mut Ctx<'_>) {
        self.retry = Some(Retry { at: ctx.now, interval: Duration::from_millis(ctx.config.rto_initial_ms), count: 0 });
        self.send_init(ctx);
    }

    /// The next of the peer's addresses is tried with each INIT.
    fn send_init(&mut self, ctx: &mut Ctx<'_>) {
        let Some(retry) = &mut self.retry else { return };
        retry.at = ctx.now + retry.interval;
        let attempt = retry.count;
        let mut value = init_value(
            self.local_tag,
            ctx.config.a_rwnd,
            ctx.config.outbound_streams,
            ctx.config.inbound_streams,
            self.local_tsn,
        );
        let path = attempt as usize % self.paths.len().max(1);
        let Some(to) = self.paths.get(path).map(|p| p.to.ip()) else { return };
        put_addresses(&mut value, ctx.local, &ctx.config.advertise, to, Families::ALL);
        if let Some(stale_ms) = self.stale_ms {
            put_param(&mut value, param::COOKIE_PRESERVATIVE, &[&stale_ms.to_be_bytes()]);
        }
        put_address_types(&mut value, ctx.local);
        let chunk = wire::chunk(kind::INIT, 0, &[&value]);
        // Karn's rule: no measurement from a repeated INIT.
        self.sent_at = (attempt == 0).then_some(ctx.now);
        self.send_alone(ctx, path, Header { tag: 0, ..self.header() }, &chunk);
    }

    /// COOKIE ECHO, first in its packet, and a report in the same one: nothing else may leave before COOKIE ACK (sections 3.2.2, 5.1 C).
    fn send_cookie_echo(&mut self, ctx: &mut Ctx<'_>, report: &[u8]) {
        let Some(retry) = &mut self.retry else { return };
        retry.at = ctx.now + retry.interval;
        let again = retry.count as usize;
        // Only where the user said the peer is, or it proved to be (section 5.4).
        let usable: Vec<usize> = (0..self.paths.len()).filter(|i| self.paths[*i].confirmed).collect();
        let first = usable.iter().position(|i| *i == self.answered_path).unwrap_or(0);
        let Some(path) = usable.get((first + again) % usable.len().max(1)).copied() else { return };
        self.sent_at = Some(ctx.now);
        let mut chunks = wire::chunk(kind::COOKIE_ECHO, 0, &[&self.cookie]);
        let fits = wire::HEADER + chunks.len() + report.len() <= ctx.config.mtu;
        if fits {
            chunks.extend_from_slice(report);
        }
        if !report.is_empty() {
            let counter = if fits { &mut ctx.counters.errors_out } else { &mut ctx.counters.errors_left_out };
            *counter += 1;
        }
        self.control_to(path, chunks);
    }

    /// T1-init or T1-cookie is due.
    pub(super) fn on_t1(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        let rto_max = Duration::from_millis(ctx.config.rto_max_ms);
        let retry = self.retry.as_mut()?;
        retry.count += 1;
        retry.interval = (retry.interval * 2).min(rto_max);
        if retry.count > ctx.config.max_init_retransmits {
            // The peer may be up, and its COOKIE ACKs lost.
            self.send_abort(ctx, None, &[]);
            return Some(CloseReason::ConnectFailed);
        }
        match self.state {
            State::CookieWait => self.send_init(ctx),
            State::CookieEchoed => self.send_cookie_echo(ctx, &[]),
            State::Established
            | State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived
            | State::ShutdownAckSent => {}
        }
        None
    }

    /// INIT ACK, alone in its packet, with our tag (sections 5.1 B and C, 5.2.3).
    pub(crate) fn on_init_ack(&mut self, ctx: &mut Ctx<'_>, value: &[u8], from: SocketAddr) -> Option<CloseReason> {
        if self.state != State::CookieWait {
            ctx.counters.dropped_unexpected += 1;
            return None;
        }
        let init = match Init::parse(value) {
            Ok(init) => init,
            Err(error) => return self.bad_init_ack(ctx, error),
        };
        self.peer_tag = init.tag;
        let Some(cookie) = init.cookie.filter(|c| !c.is_empty()) else {
            // Section 3.3.10.2: number of missing parameters, then their types.
            let info = [&1u32.to_be_bytes()[..], &param::STATE_COOKIE.to_be_bytes()].concat();
            return Some(self.violation(ctx, cause::MISSING_PARAMETER, &info));
        };
        if wire::HEADER + wire::TLV + cookie.len() > ctx.config.mtu {
            // It would have to go back in a packet longer than any of ours.
            ctx.counters.dropped_init += 1;
            return None;
        }
        let asked = self.retry.map_or(0, |retry| retry.count as usize) % self.paths.len().max(1);
        ctx.counters.addresses_ignored += u64::from(init.ignored);
        let rtt = self.sent_at.take().map(|sent| ctx.now.saturating_duration_since(sent));
        self.learn_addresses(ctx, from, &init.addresses);
        // An address that the user did not name has to prove itself first.
        let proved = self.path_of(from).filter(|i| self.paths[*i].confirmed);
        self.answered_path = proved.unwrap_or(asked);
        if let Some(rtt) = rtt {
            self.paths[self.answered_path].measured(rtt, ctx.config);
        }
        self.cookie = cookie.to_vec();
        let peer =
            Peer { tag: init.tag, tsn: init.tsn, rwnd: init.rwnd, outbound: init.outbound, inbound: init.inbound };
        if !self.start_engine(ctx, peer) {
            return Some(self.violation(ctx, cause::INVALID_MANDATORY, &[]));
        }
        self.state = State::CookieEchoed;
        self.retry = Some(Retry { at: ctx.now, interval: Duration::from_millis(ctx.config.rto_initial_ms), count: 0 });
        let report = match init.unrecognized.as_slice() {
            [] => Vec::new(),
            unrecognized => wire::with_cause(kind::ERROR, 0, cause::UNRECOGNIZED_PARAMETERS, unrecognized),
        };
        self.send_cookie_echo(ctx, &report);
        None
    }

    /// Section 3.3.3: most of what cannot be ends it, for who knows our tag is the peer or near it; a small window does not.
    fn bad_init_ack(&mut self, ctx: &mut Ctx<'_>, error: InitError) -> Option<CloseReason> {
        ctx.counters.dropped_init += 1;
        let (tag, code) = match error {
            InitError::Short => return None,
            InitError::ZeroTag => {
                let header = Header { tag: self.local_tag, ..self.header() };
                ctx.counters.aborts_out += 1;
                let chunk = wire::chunk(kind::ABORT, flag::TAG_REFLECTED, &[]);
                self.send_alone(ctx, self.data_path(), header, &chunk);
                return Some(CloseReason::ProtocolViolation);
            }
            InitError::Window(tag) => {
                let header = Header { tag, ..self.header() };
                ctx.counters.aborts_out += 1;
                let chunk = wire::with_cause(kind::ABORT, 0, cause::INVALID_MANDATORY, &[]);
                self.send_alone(ctx, self.data_path(), header, &chunk);
                return None;
            }
            InitError::Streams(tag) => (tag, cause::INVALID_MANDATORY),
            InitError::HostName(tag) => (tag, cause::UNRESOLVABLE_ADDRESS),
        };
        self.peer_tag = tag;
        Some(self.violation(ctx, code, &[]))
    }

    /// The source of the packet and the listed addresses become paths, with the source's UDP port (RFC 6951 section 5.4), when they
    /// are of use from here (section 5.1.2). None of them has proved itself (section 5.4).
    pub(crate) fn learn_addresses(&mut self, ctx: &mut Ctx<'_>, source: SocketAddr, listed: &[IpAddr]) {
        let from = self.paths.first().map(|p| p.from);
        for address in std::iter::once(source).chain(listed.iter().map(|ip| SocketAddr::new(*ip, source.port()))) {
            if self.path_of(address).is_some() {
                continue;
            }
            let own = local_for(ctx.local, &self.paths, address.ip());
            let own = if address == source { own.or(from).or(Some(source.ip())) } else { own };
            match own.filter(|_| self.paths.len() < PATHS_MAX && reachable(address.ip(), source.ip())) {
                Some(own) => self.paths.push(Path::new(address, own, false, ctx.config, ctx.now)),
                None => ctx.counters.addresses_ignored += 1,
            }
        }
    }

    /// Sets what was negotiated and starts the engine; false when it refuses.
    pub(crate) fn start_engine(&mut self, ctx: &mut Ctx<'_>, peer: Peer) -> bool {
        self.peer_tag = peer.tag;
        self.peer_rwnd = peer.rwnd;
        self.peer_cumulative = peer.tsn.wrapping_sub(1);
        // Section 5.1.1: each takes the smaller of what it asked for and what the other offers.
        self.outbound_streams = ctx.config.outbound_streams.min(peer.inbound);
        self.inbound_streams = ctx.config.inbound_streams.min(peer.outbound);
        let setup = Setup {
            local_tsn: self.local_tsn,
            remote_tsn: peer.tsn,
            local_rwnd: ctx.config.a_rwnd,
            outbound_streams: self.outbound_streams,
            inbound_streams: self.inbound_streams,
            mtu: ctx.config.mtu,
            message_bytes_max: ctx.config.message_bytes_max,
        };
        self.engine = Engine::new(&setup);
        self.engine.is_some()
    }

    /// ESTABLISHED: COMMUNICATION UP.
    pub(crate) fn establish(&mut self, ctx: &mut Ctx<'_>) {
        self.state = State::Established;
        self.retry = None;
        self.cookie = Vec::new();
        self.sent_at = None;
        self.errors = 0;
        if let Some(path) = self.paths.get_mut(self.answered_path) {
            path.answered(ctx.now);
        }
        for i in 0..self.paths.len() {
            // The others are asked at once: to prove themselves (section 5.4), and for their round trip before it is needed.
            self.paths[i].heartbeat_at = if i == self.answered_path { self.next_heartbeat(ctx, i) } else { ctx.now };
        }
        ctx.counters.associations_up += 1;
        ctx.events.push_back(Event::Up {
            assoc: self.id,
            local_port: self.local_port,
            peer_port: self.peer_port,
            peer: self.paths.iter().map(|p| p.to).collect(),
            incoming: self.incoming,
            outbound_streams: self.outbound_streams,
            inbound_streams: self.inbound_streams,
        });
    }

    /// Section 5.1 E.
    pub(super) fn on_cookie_ack(&mut self, ctx: &mut Ctx<'_>) -> Step {
        if self.state == State::CookieEchoed {
            let first = self.retry.is_some_and(|retry| retry.count == 0);
            if let Some(sent) = self.sent_at.take().filter(|_| first)
                && let Some(path) = self.paths.get_mut(self.answered_path)
            {
                path.measured(ctx.now.saturating_duration_since(sent), ctx.config);
            }
            self.establish(ctx);
        } else {
            ctx.counters.dropped_unexpected += 1;
        }
        Step::Next
    }

    /// COOKIE ACK, first in its packet; also the answer to a COOKIE ECHO that came twice.
    pub(crate) fn send_cookie_ack(&mut self, path: usize) {
        self.reply(path, wire::chunk(kind::COOKIE_ACK, 0, &[]));
    }

    /// Section 5.2.6, third way: a new INIT that asks for a longer life of the cookie, by the round trip of the COOKIE ECHO and its
    /// ERROR and a second more.
    pub(super) fn on_stale_cookie(&mut self, ctx: &mut Ctx<'_>) -> Option<CloseReason> {
        let rtt = self.sent_at.map(|sent| ctx.now.saturating_duration_since(sent)).unwrap_or_default();
        self.state = State::CookieWait;
        self.engine = None;
        self.cookie = Vec::new();
        self.stale_ms = Some(u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX).saturating_add(1_000));
        self.peer_tag = 0;
        self.stale_count += 1;
        if self.stale_count > ctx.config.max_init_retransmits {
            // A peer whose cookies are always stale.
            return Some(CloseReason::ConnectFailed);
        }
        self.retry = Some(Retry { at: ctx.now, interval: Duration::from_millis(ctx.config.rto_initial_ms), count: 0 });
        self.send_init(ctx);
        None
    }

    /// The T1 or T2 timer.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry.map(|r| r.at)
    }
}
