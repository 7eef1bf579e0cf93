//! The server hunt (RFC 5352 3.6): find one server that answers, with at most three connections at once and a growing T5.

use crate::config::{HuntConfig, ms};
use crate::event::{ConnId, Transmit};
use crate::policy::Rng;
use std::collections::VecDeque;
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
    /// Server to try next; goes around the list.
    next_server: usize,
    /// Servers not yet tried in this round.
    untried: usize,
    /// T5's current value.
    t5: Duration,
    /// T5 runs: a round is on.
    deadline: Option<Instant>,
}

impl Hunt {
    pub(crate) fn new(config: HuntConfig, seed: u64) -> Self {
        Self {
            t5: ms(config.t5_serverhunt_ms),
            config,
            rng: Rng::new(seed),
            last_conn: ConnId::EMBEDDED.0,
            home: None,
            trying: Vec::new(),
            next_server: 0,
            untried: 0,
            deadline: None,
        }
    }

    pub(crate) fn home(&self) -> Option<ConnId> {
        self.home
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A number for a connection that the other side opened.
    pub(crate) fn new_conn(&mut self) -> ConnId {
        self.last_conn += 1;
        ConnId(self.last_conn)
    }

    /// SH1, SH2: starts a round, unless there is a home server or a round is on.
    pub(crate) fn start(&mut self, now: Instant, out: &mut VecDeque<Transmit>) {
        if self.home.is_some() || self.deadline.is_some() || self.config.servers.is_empty() {
            return;
        }
        // 75 to 100 % of T5, so that the clients of a dead server do not come to the next one all at once.
        let quarter = u64::try_from(self.t5.as_micros() / 4).unwrap_or(u64::MAX);
        self.deadline = Some(now + self.t5 - Duration::from_micros(self.rng.below(quarter)));
        self.untried = self.config.servers.len();
        self.try_more(out);
    }

    fn try_more(&mut self, out: &mut VecDeque<Transmit>) {
        while self.untried > 0 && self.trying.len() < self.config.max_parallel.clamp(1, MAX_PARALLEL) {
            let server = self.config.servers[self.next_server % self.config.servers.len()].clone();
            self.next_server = (self.next_server + 1) % self.config.servers.len();
            self.untried -= 1;
            let conn = self.new_conn();
            self.trying.push(conn);
            out.push_back(Transmit::Connect { conn, server });
        }
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
        out.extend(self.trying.drain(..).chain(old).map(|conn| Transmit::Close { conn }));
        self.deadline = None;
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
        self.deadline = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServerAddress;

    fn hunt(servers: u8) -> Hunt {
        let servers = (1..=servers).map(|n| ServerAddress::new([127, 0, 0, n].into())).collect();
        Hunt::new(HuntConfig { servers, t5_serverhunt_ms: 1_000, retran_max_ms: 3_000, max_parallel: 9 }, 1)
    }

    /// The last byte of each server connected to, and the connections closed.
    fn drain(out: &mut VecDeque<Transmit>) -> (Vec<(u64, u8)>, Vec<u64>) {
        let (mut connects, mut closes) = (Vec::new(), Vec::new());
        for transmit in out.drain(..) {
            match transmit {
                Transmit::Connect { conn, server } => {
                    let std::net::IpAddr::V4(address) = server.addresses[0] else { panic!("v4") };
                    connects.push((conn.0, address.octets()[3]));
                }
                Transmit::Close { conn } => closes.push(conn.0),
                Transmit::Send { .. } => panic!("a hunt sends nothing"),
            }
        }
        (connects, closes)
    }

    #[test]
    fn three_at_once_and_the_first_wins() {
        let (mut hunt, mut out, now) = (hunt(5), VecDeque::new(), Instant::now());
        hunt.start(now, &mut out);
        hunt.start(now, &mut out);
        assert_eq!(drain(&mut out), (vec![(1, 1), (2, 2), (3, 3)], vec![]));
        assert_eq!(hunt.closed(ConnId(2), &mut out), Ended::Other);
        assert_eq!(drain(&mut out), (vec![(4, 4)], vec![]), "a failed one's place is taken");
        assert!(hunt.connected(ConnId(3), &mut out));
        assert_eq!(drain(&mut out), (vec![], vec![1, 4]));
        assert_eq!((hunt.home(), hunt.deadline()), (Some(ConnId(3)), None));
        assert!(!hunt.connected(ConnId(1), &mut out));
        assert_eq!(drain(&mut out), (vec![], vec![1]), "too late");
        assert_eq!(hunt.closed(ConnId(3), &mut out), Ended::Home);
        hunt.start(now, &mut out);
        assert_eq!(drain(&mut out).0, [(5, 5), (6, 1), (7, 2)], "goes on with others");
    }

    #[test]
    fn t5_doubles_up_to_its_ceiling_and_starts_over() {
        let (mut hunt, mut out, mut now) = (hunt(2), VecDeque::new(), Instant::now());
        hunt.start(now, &mut out);
        for full in [1_000, 2_000, 3_000, 3_000] {
            let deadline = hunt.deadline().unwrap();
            let wait = (deadline - now).as_millis();
            assert!(wait <= full && wait >= full * 3 / 4, "{wait} of {full}");
            assert!(!hunt.handle_timeout(now, &mut out));
            assert_eq!(drain(&mut out).0.len(), 2);
            hunt.closed(ConnId(hunt.last_conn), &mut out);
            assert_eq!(drain(&mut out).0.len(), 0, "none is tried twice in a round");
            now = deadline;
            assert!(hunt.handle_timeout(now, &mut out));
        }
        let last = hunt.last_conn;
        assert!(hunt.connected(ConnId(last), &mut out));
        hunt.closed(ConnId(last), &mut out);
        hunt.start(now, &mut out);
        assert!(hunt.deadline().unwrap() - now <= Duration::from_secs(1), "reset by success");
    }
}
