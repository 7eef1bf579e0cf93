//! The server hunt (RFC 5352 3.6): find one server that answers, with at most three connections at once and a growing T5.
//!
//! Servers are those of the configuration, in its order, and after them those that announced themselves (ASAP_SERVER_ANNOUNCE),
//! each address for T7 after it was heard last. Announcements are not authenticated (RFC 5352 9.2): they never displace a
//! configured server, and `announced_max` bounds them.

mod heard;
#[cfg(test)]
mod tests;

use crate::config::{HuntConfig, ServerAddress, ms};
use crate::event::{ConnId, Transmit};
use crate::policy::Rng;
use crate::wire::{Message, SctpTransport};
use heard::Heard;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// RFC 5352 3.6 SH1: no more than three, whatever the configuration says.
const MAX_PARALLEL: usize = 3;

/// What the end of a connection meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was the home server's.
    Home,
    /// An attempt, or nothing of ours.
    Other,
}

#[derive(Debug)]
pub(crate) struct Hunt {
    config: HuntConfig,
    rng: Rng,
    last_conn: u64,
    home: Option<ConnId>,
    trying: Vec<ConnId>,
    /// Servers that announced themselves.
    heard: Heard,
    /// Server to try next; goes around the list.
    next_server: usize,
    /// Servers not yet tried in this round.
    untried: VecDeque<ServerAddress>,
    /// T5's current value.
    t5: Duration,
    /// T5 runs: a round is on.
    deadline: Option<Instant>,
    /// The first round waits until then: a server that takes the lost one's place may come to us.
    pause: Option<Instant>,
    /// A server is wanted and none is known: the first one heard starts a round.
    wanted: bool,
}

impl Hunt {
    pub(crate) fn new(config: HuntConfig, seed: u64) -> Self {
        Self {
            t5: ms(config.t5_serverhunt_ms),
            heard: Heard::new(ms(config.t7_enrp_outdate_ms), config.announced_max),
            config,
            rng: Rng::new(seed),
            last_conn: ConnId::EMBEDDED.0,
            home: None,
            trying: Vec::new(),
            next_server: 0,
            untried: VecDeque::new(),
            deadline: None,
            pause: None,
            wanted: false,
        }
    }

    pub(crate) fn home(&self) -> Option<ConnId> {
        self.home
    }

    /// Lost its home server, and waits for one that takes over before it hunts.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pause.is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.pause).min()
    }

    /// A number for a connection that the other side opened.
    pub(crate) fn new_conn(&mut self) -> ConnId {
        self.last_conn += 1;
        ConnId(self.last_conn)
    }

    /// SH1, SH2: starts a round, unless there is a home server, a round is on, or the wait before the first one is.
    pub(crate) fn start(&mut self, now: Instant, out: &mut VecDeque<Transmit>) {
        if self.home.is_some() || self.deadline.is_some() || self.pause.is_some() {
            return;
        }
        let mut servers = self.config.servers.clone();
        servers.extend(self.heard.servers(now));
        self.wanted = servers.is_empty();
        if self.wanted {
            return;
        }
        // 75 to 100 % of T5, so that the clients of a dead server do not come to the next one all at once.
        let quarter = u64::try_from(self.t5.as_micros() / 4).unwrap_or(u64::MAX);
        self.deadline = Some(now + self.t5 - Duration::from_micros(self.rng.below(quarter)));
        let first = self.next_server % servers.len();
        servers.rotate_left(first);
        self.next_server = first;
        self.untried = servers.into();
        self.try_more(out);
    }

    /// As `start`, but after a time between `wait` and one and a half of it, in which another server may come to us.
    pub(crate) fn start_after(&mut self, now: Instant, wait: Duration, out: &mut VecDeque<Transmit>) {
        if wait.is_zero() {
            return self.start(now, out);
        }
        let half = u64::try_from(wait.as_micros() / 2).unwrap_or(u64::MAX);
        self.pause = Some(now + wait + Duration::from_micros(self.rng.below(half)));
    }

    fn try_more(&mut self, out: &mut VecDeque<Transmit>) {
        while self.trying.len() < self.config.max_parallel.clamp(1, MAX_PARALLEL)
            && let Some(server) = self.untried.pop_front()
        {
            self.next_server += 1;
            let conn = self.new_conn();
            self.trying.push(conn);
            out.push_back(Transmit::Connect { conn, server });
        }
    }

    /// An ASAP_SERVER_ANNOUNCE came from `source`. `None`: it is no announcement. Else how many servers in it are new, and how many
    /// there was no room for. TCP transports are left out: the machines ask for SCTP associations.
    pub(crate) fn announced(
        &mut self,
        now: Instant,
        source: IpAddr,
        message: &Message,
        out: &mut VecDeque<Transmit>,
    ) -> Option<Announced> {
        let mut transports = heard::transports(source, message)?;
        transports.retain(|transport| !self.is_configured(transport));
        let mut announced = Announced::default();
        for transport in transports {
            match self.heard.hear(now, &transport) {
                heard::Result::Known => {}
                heard::Result::Full => announced.refused += 1,
                heard::Result::New => {
                    announced.new += 1;
                    if self.deadline.is_some() {
                        let SctpTransport { port, addresses, .. } = transport;
                        self.untried.push_back(ServerAddress { addresses: addresses.into_vec(), port });
                        self.try_more(out);
                    }
                }
            }
        }
        if self.wanted {
            self.start(now, out);
        }
        Some(announced)
    }

    /// All its addresses are those of one server in the configuration.
    fn is_configured(&self, transport: &SctpTransport) -> bool {
        self.config.servers.iter().any(|server| {
            server.port == transport.port && transport.addresses.iter().all(|ip| server.addresses.contains(ip))
        })
    }

    /// SH3, SH6: the first one that answers is the home server. True: this one.
    pub(crate) fn connected(&mut self, conn: ConnId, out: &mut VecDeque<Transmit>) -> bool {
        if self.trying.contains(&conn) {
            self.trying.retain(|&other| other != conn);
            self.adopt(conn, out);
            return true;
        }
        if self.home != Some(conn) {
            // Came up after T5 gave it up.
            out.push_back(Transmit::Close { conn });
        }
        false
    }

    /// Makes this connection the home server's and ends all others.
    pub(crate) fn adopt(&mut self, conn: ConnId, out: &mut VecDeque<Transmit>) {
        let old = self.home.replace(conn);
        self.stop(out);
        out.extend(old.map(|conn| Transmit::Close { conn }));
        self.t5 = ms(self.config.t5_serverhunt_ms);
    }

    /// SH4: another server takes a failed one's place. After the last one, T5 paces the next round.
    pub(crate) fn closed(&mut self, conn: ConnId, out: &mut VecDeque<Transmit>) -> Ended {
        if self.home == Some(conn) {
            self.home = None;
            return Ended::Home;
        }
        let before = self.trying.len();
        self.trying.retain(|&other| other != conn);
        if self.trying.len() < before {
            self.try_more(out);
        }
        Ended::Other
    }

    /// Gives the home server up because it does not answer.
    pub(crate) fn drop_home(&mut self, out: &mut VecDeque<Transmit>) {
        out.extend(self.home.take().map(|conn| Transmit::Close { conn }));
    }

    /// SH5: T5 ran out: double it, stop the attempts, start over with the next servers. True: it was due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Transmit>) -> bool {
        if self.pause.is_some_and(|pause| pause <= now) {
            self.pause = None;
            self.start(now, out);
        }
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return false;
        }
        self.stop(out);
        self.t5 = (self.t5 * 2).min(ms(self.config.retran_max_ms));
        self.start(now, out);
        true
    }

    /// Ends the round without a server.
    pub(crate) fn stop(&mut self, out: &mut VecDeque<Transmit>) {
        out.extend(self.trying.drain(..).map(|conn| Transmit::Close { conn }));
        self.untried.clear();
        self.deadline = None;
        self.pause = None;
        self.wanted = false;
    }
}

/// What an announcement brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Servers not known before.
    pub(crate) new: u64,
    /// Servers beyond `announced_max`.
    pub(crate) refused: u64,
}
