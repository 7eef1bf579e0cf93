//! INIT and COOKIE ECHO: RFC 9260 sections 5.1 and 5.2. Until a COOKIE ECHO with a good cookie comes, nothing is kept.

use super::{Datagram, Stack};
use crate::CloseReason;
use crate::assoc::{Assoc, Peer, State, local_for};
use crate::cookie::Cookie;
use crate::init::{Init, InitError, init_value, put_address, put_addresses, reachable};
use crate::path::Path;
use crate::wire::{self, Chunk, Chunks, Header, cause, kind, param, put_param};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

impl Stack {
    /// An INIT, alone in its packet.
    pub(super) fn on_init(&mut self, now: Instant, datagram: &Datagram, header: Header, value: &[u8]) {
        let refused = match Init::parse(value) {
            Ok(init) => match self.existing(header, datagram.from, &init.addresses) {
                Some(index) => self.on_init_again(now, datagram, header, &init, index),
                None => self.on_first_init(now, datagram, header, &init),
            },
            Err(InitError::Short | InitError::ZeroTag) => return self.counters.dropped_init += 1,
            Err(InitError::Streams(tag) | InitError::Window(tag)) => {
                Some((tag, Some((cause::INVALID_MANDATORY, Vec::new()))))
            }
            // The cause should carry the address; the name is of no use to us and may be long.
            Err(InitError::HostName(tag)) => Some((tag, Some((cause::UNRESOLVABLE_ADDRESS, Vec::new())))),
        };
        if let Some((tag, cause)) = refused {
            self.counters.init_refused += 1;
            let abort = match cause {
                Some((code, info)) => wire::with_cause(kind::ABORT, 0, code, &info),
                None => wire::chunk(kind::ABORT, 0, &[]),
            };
            self.answer(now, datagram, header.reply(tag), &abort);
        }
    }

    /// An association between these ports with the source or one of the listed addresses, when they have proved themselves there: who
    /// lists addresses of others does not keep those others out (RFC 5062 section 2, camping).
    fn existing(&self, header: Header, from: SocketAddr, listed: &[IpAddr]) -> Option<usize> {
        let all = std::iter::once(from).chain(listed.iter().map(|ip| SocketAddr::new(*ip, from.port())));
        all.filter_map(|a| self.holder((header.destination, a, header.source))).next()
    }

    /// Section 5.1 A and B.
    fn on_first_init(&mut self, now: Instant, datagram: &Datagram, header: Header, init: &Init<'_>) -> Option<Refusal> {
        if !self.listening.contains(&header.destination) {
            return Some((init.tag, None));
        }
        if self.assocs.len() >= self.config.associations_max {
            self.counters.associations_refused += 1;
            return Some((init.tag, Some((cause::OUT_OF_RESOURCE, Vec::new()))));
        }
        let (tag, tsn) = (self.free_tag(), self.rng.nonzero_u32());
        self.send_init_ack(now, datagram, header, init, Own { tag, tsn, ties: (0, 0), to: datagram.from });
        None
    }

    /// Sections 5.2.1 (both open at once), 5.2.2 (restart) and 9.2 (SHUTDOWN-ACK-SENT).
    fn on_init_again(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        header: Header,
        init: &Init<'_>,
        index: usize,
    ) -> Option<Refusal> {
        let assoc = &self.assocs[index];
        let known = |ip: IpAddr| assoc.paths.iter().any(|p| p.to.ip() == ip);
        let source = datagram.from;
        // What would not become a path is no new address either.
        let local = &self.local;
        let usable = |ip: &IpAddr| reachable(*ip, source.ip()) && local_for(local, &[], *ip).is_some();
        let mut listed = std::iter::once(source.ip()).chain(init.addresses.iter().copied().filter(usable));
        let (tag, tsn, ties) = (assoc.local_tag, assoc.local_tsn, assoc.ties);
        let connecting = assoc.state.is_connecting();
        match assoc.state {
            State::ShutdownAckSent => {
                self.with(index, now, |assoc, _| {
                    assoc.repeat_shutdown_ack(None);
                    None
                });
                None
            }
            // While we wait for its INIT ACK, the peer may well list more addresses than we were told. The answer goes to one that we
            // were told, preferably the source (section 5.2.1, rules 1 to 3).
            State::CookieWait => {
                let to = listed.find(|ip| known(*ip)).map_or(source, |ip| SocketAddr::new(ip, source.port()));
                self.send_init_ack(now, datagram, header, init, Own { tag, tsn, ties: (0, 0), to });
                None
            }
            State::CookieEchoed
            | State::Established
            | State::ShutdownPending
            | State::ShutdownSent
            | State::ShutdownReceived => {
                let new: Vec<IpAddr> = listed.filter(|ip| !known(*ip)).collect();
                if !new.is_empty() {
                    let mut info = Vec::new();
                    for address in new {
                        put_address(&mut info, address);
                    }
                    return Some((init.tag, Some((cause::RESTART_NEW_ADDRESSES, info))));
                }
                let (tag, tsn) = if connecting { (tag, tsn) } else { (self.free_tag(), self.rng.nonzero_u32()) };
                self.send_init_ack(now, datagram, header, init, Own { tag, tsn, ties, to: source });
                None
            }
        }
    }

    fn send_init_ack(&mut self, now: Instant, datagram: &Datagram, header: Header, init: &Init<'_>, ours: Own) {
        let (config, now_us) = (&self.config, self.now_us(now));
        // A suggested longer life is granted up to twice the usual (section 5.2.6 advises caution).
        let life = config.cookie_life_ms.saturating_add(u64::from(init.preservative_ms).min(config.cookie_life_ms));
        // The source is an address of the peer, whether listed or not (section 5.1.2 C).
        let others = std::iter::once(datagram.from.ip()).chain(init.addresses.iter().copied());
        let cookie = Cookie {
            created_us: now_us,
            life_ms: u32::try_from(life).unwrap_or(u32::MAX),
            local_port: header.destination,
            peer_port: header.source,
            local_tag: ours.tag,
            peer_tag: init.tag,
            local_tsn: ours.tsn,
            peer_tsn: init.tsn,
            local_tie: ours.ties.0,
            peer_tie: ours.ties.1,
            peer_rwnd: init.rwnd,
            peer_outbound: init.outbound,
            peer_inbound: init.inbound,
            local: datagram.to,
            source: ours.to,
            addresses: others.filter(|ip| *ip != ours.to.ip()).collect(),
        };
        let mut value = init_value(ours.tag, config.a_rwnd, config.outbound_streams, config.inbound_streams, ours.tsn);
        put_param(&mut value, param::STATE_COOKIE, &[&self.jar.seal(&cookie, now_us)]);
        let families = init.families(datagram.from.ip());
        put_addresses(&mut value, &self.local, &config.advertise, datagram.from.ip(), families);
        if !init.unrecognized.is_empty() {
            // Each unrecognized parameter in a parameter of its own (section 3.3.3.1).
            for parameter in Chunks(&init.unrecognized).flatten() {
                put_param(&mut value, param::UNRECOGNIZED, &[parameter.whole]);
            }
        }
        self.counters.init_answered += 1;
        self.counters.addresses_ignored += u64::from(init.ignored);
        let answered = Datagram { from: ours.to, to: datagram.to, payload: bytes::Bytes::new() };
        self.reply(&answered, header.reply(init.tag), &wire::chunk(kind::INIT_ACK, 0, &[&value]));
    }

    /// A COOKIE ECHO, first in its packet (sections 5.1.5 and 5.2.4); `rest` are the chunks after it.
    pub(super) fn on_cookie_echo(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        header: Header,
        chunk: Chunk<'_>,
        rest: Chunks<'_>,
    ) {
        let now_us = self.now_us(now);
        let Some(cookie) = self.jar.open(chunk.value, now_us) else { return self.counters.cookie_bad += 1 };
        let fits =
            (cookie.local_port, cookie.peer_port, cookie.local_tag) == (header.destination, header.source, header.tag);
        let from = datagram.from;
        let known =
            from == cookie.source || (from.port() == cookie.source.port() && cookie.addresses.contains(&from.ip()));
        if !fits || !known {
            return self.counters.dropped_tag += 1;
        }
        let index = self.existing(header, cookie.source, &cookie.addresses);
        let same = index
            .map(|i| &self.assocs[i])
            .is_some_and(|a| (a.local_tag, a.peer_tag) == (cookie.local_tag, cookie.peer_tag));
        let age_us = now_us.saturating_sub(cookie.created_us);
        let stale_us = age_us.saturating_sub(u64::from(cookie.life_ms) * 1_000);
        if stale_us > 0 && !same {
            self.counters.cookie_stale += 1;
            let staleness = u32::try_from(stale_us).unwrap_or(u32::MAX).to_be_bytes();
            let error = wire::with_cause(kind::ERROR, 0, cause::STALE_COOKIE, &staleness);
            return self.answer(now, datagram, header.reply(cookie.peer_tag), &error);
        }
        let up = match index {
            None => self.accept(now, datagram, header, &cookie, Duration::from_micros(age_us)),
            Some(index) => self.on_cookie_again(now, datagram, header, &cookie, index, Duration::from_micros(age_us)),
        };
        // What is bundled with it (section 5.1: DATA may be).
        if let Some(index) = up
            && let Some(path) = self.source_path(index, from)
        {
            self.with(index, now, |assoc, ctx| assoc.handle_chunks(ctx, path, datagram.to, rest));
        }
    }

    /// Section 5.1 D: the association comes to exist.
    fn accept(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        header: Header,
        cookie: &Cookie,
        rtt: Duration,
    ) -> Option<usize> {
        let taken = self.by_tag.contains_key(&cookie.local_tag) || self.ended_tags.contains(&cookie.local_tag);
        if taken {
            self.counters.cookie_unmatched += 1;
            return None;
        }
        let refusal = if !self.listening.contains(&cookie.local_port) {
            Some(None)
        } else if self.assocs.len() >= self.config.associations_max {
            self.counters.associations_refused += 1;
            Some(Some(cause::OUT_OF_RESOURCE))
        } else {
            None
        };
        if let Some(code) = refusal {
            let abort =
                code.map_or_else(|| wire::chunk(kind::ABORT, 0, &[]), |c| wire::with_cause(kind::ABORT, 0, c, &[]));
            self.answer(now, datagram, header.reply(cookie.peer_tag), &abort);
            return None;
        }
        let ports = (cookie.local_port, cookie.peer_port);
        let index = self.insert(ports, cookie.local_tag, cookie.local_tsn, true, now);
        self.assocs[index].paths.push(Path::new(cookie.source, datagram.to, true, &self.config, now));
        self.come_up(now, index, datagram.from, cookie, Some(rtt))
    }

    /// Starts the engine of an association from a cookie; COOKIE ACK goes out, COMMUNICATION UP is told.
    fn come_up(
        &mut self,
        now: Instant,
        index: usize,
        from: SocketAddr,
        cookie: &Cookie,
        rtt: Option<Duration>,
    ) -> Option<usize> {
        let peer = Peer {
            tag: cookie.peer_tag,
            tsn: cookie.peer_tsn,
            rwnd: cookie.peer_rwnd,
            outbound: cookie.peer_outbound,
            inbound: cookie.peer_inbound,
        };
        let id = self.assocs[index].id;
        self.with(index, now, |assoc, ctx| {
            assoc.learn_addresses(ctx, cookie.source, &cookie.addresses);
            assoc.answered_path = assoc.path_of(cookie.source).unwrap_or(0);
            // Section 5.4, 2: our INIT ACK went there, and its cookie came back.
            assoc.paths[assoc.answered_path].confirmed = true;
            if let Some(rtt) = rtt {
                // INIT ACK to COOKIE ECHO.
                assoc.paths[assoc.answered_path].measured(rtt, ctx.config);
            }
            if !assoc.start_engine(ctx, peer) {
                assoc.send_abort(ctx, Some(cause::INVALID_MANDATORY), &[]);
                return Some(CloseReason::ProtocolViolation);
            }
            let path = assoc.path_of(from).unwrap_or(0);
            assoc.send_cookie_ack(path);
            assoc.establish(ctx);
            None
        });
        let up = self.by_id.contains_key(&id);
        if up {
            self.index_addresses(index);
        }
        up.then_some(index)
    }

    /// Section 5.2.4, table 12.
    fn on_cookie_again(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        header: Header,
        cookie: &Cookie,
        index: usize,
        rtt: Duration,
    ) -> Option<usize> {
        let assoc = &self.assocs[index];
        let local = assoc.local_tag == cookie.local_tag;
        let peer = assoc.peer_tag == cookie.peer_tag;
        let ties = (cookie.local_tie, cookie.peer_tie) == assoc.ties;
        let connecting = assoc.state.is_connecting();
        match (local, peer) {
            // (A) the peer restarted.
            (false, false) if ties && assoc.state == State::ShutdownAckSent => {
                self.with(index, now, |assoc, _| {
                    assoc.repeat_shutdown_ack(None);
                    None
                });
                let error = wire::with_cause(kind::ERROR, 0, cause::COOKIE_WHILE_SHUTTING_DOWN, &[]);
                self.answer(now, datagram, header.reply(cookie.peer_tag), &error);
                None
            }
            (false, false) if ties => self.restart(now, datagram, cookie, index, rtt),
            // (B), (D) both opened at once.
            (true, _) if connecting => self.come_up(now, index, datagram.from, cookie, None),
            // (D) it came twice: our COOKIE ACK was lost.
            (true, true) => {
                let path = assoc.path_of(datagram.from).unwrap_or(0);
                self.with(index, now, |assoc: &mut Assoc, _| {
                    assoc.send_cookie_ack(path);
                    None
                });
                Some(index)
            }
            // (C) it came late. (B) once we are up can only be an old packet: a peer that has our COOKIE ACK does not echo another
            // cookie. To obey it would end an association that works.
            (true, false) | (false, true) | (false, false) => {
                self.counters.cookie_unmatched += 1;
                None
            }
        }
    }

    /// The old association ends, a new one takes its place.
    fn restart(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        cookie: &Cookie,
        index: usize,
        rtt: Duration,
    ) -> Option<usize> {
        self.counters.associations_restarted += 1;
        self.end(index, CloseReason::Restarted);
        // Also where nobody listens any more: it takes the place of one that was there (section 5.2.4 A).
        let ports = (cookie.local_port, cookie.peer_port);
        let new = self.insert(ports, cookie.local_tag, cookie.local_tsn, true, now);
        self.assocs[new].paths.push(Path::new(cookie.source, datagram.to, true, &self.config, now));
        self.come_up(now, new, datagram.from, cookie, Some(rtt))
    }
}

/// What goes into an INIT ACK and its cookie on our side, and where it goes.
#[derive(Debug, Clone, Copy)]
struct Own {
    tag: u32,
    tsn: u32,
    /// Tie-tags.
    ties: (u32, u32),
    to: SocketAddr,
}

/// Initiate tag of the INIT, cause and its information.
type Refusal = (u32, Option<(u16, Vec<u8>)>);
