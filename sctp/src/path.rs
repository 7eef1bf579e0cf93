//! One destination address of an association: round trip, errors, heartbeats (RFC 9260 sections 6.3, 8.2, 8.3, RFC 7829).

use crate::congestion::Congestion;
use crate::event::PathState;
use crate::flight::{Gain, Pace};
use crate::mtu::PathMtu;
use crate::{Config, PathInfo, PathStats};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(crate) struct Path {
    /// The peer's address and UDP port.
    pub(crate) to: SocketAddr,
    /// Our address.
    pub(crate) from: IpAddr,
    pub(crate) state: PathState,
    /// Section 5.4: no data to an address that did not prove itself.
    pub(crate) confirmed: bool,
    /// Heartbeats and T3-rtx expirations since the last answer.
    pub(crate) errors: u32,
    pub(crate) srtt: Option<Duration>,
    rtt_min: Option<Duration>,
    rttvar: Duration,
    pub(crate) rto: Duration,
    /// When the last heartbeat that was answered left: an answer comes once.
    pub(crate) beat: Option<Instant>,
    /// A heartbeat without answer, and when it left.
    pub(crate) heartbeat_sent: Option<Instant>,
    /// The next heartbeat, or the time by which the last one must be answered.
    pub(crate) heartbeat_at: Instant,
    /// When data of ours to this path was last acknowledged.
    pub(crate) answered_at: Option<Instant>,
    /// When the last ICMP error was taken for it.
    pub(crate) icmp_at: Option<Instant>,
    pub(crate) congestion: Congestion,
    pub(crate) mtu: PathMtu,
    /// The latest departure that arrived, and its TSN.
    newest: Option<(Instant, u32)>,
    /// T3-rtx (section 6.3.2).
    pub(crate) t3_at: Option<Instant>,
    /// When data left over it last.
    pub(crate) data_sent_at: Option<Instant>,
    /// When it came into its state.
    pub(crate) since: Instant,
    pub(crate) stats: PathStats,
}

impl Path {
    pub(crate) fn new(to: SocketAddr, from: IpAddr, confirmed: bool, config: &Config, now: Instant) -> Self {
        Self {
            to,
            from,
            state: PathState::Active,
            confirmed,
            errors: 0,
            srtt: None,
            rtt_min: None,
            rttvar: Duration::ZERO,
            rto: Duration::from_millis(config.rto_initial_ms),
            beat: None,
            heartbeat_sent: None,
            heartbeat_at: now,
            answered_at: None,
            icmp_at: None,
            congestion: Congestion::new(config.mtu),
            mtu: PathMtu::new(config.mtu, config.mtu_max, now),
            newest: None,
            t3_at: None,
            data_sent_at: None,
            since: now,
            stats: PathStats::default(),
        }
    }

    /// For people and metrics.
    pub(crate) fn info(&self, primary: bool, in_use: bool) -> PathInfo {
        PathInfo {
            address: self.to,
            local: self.from,
            state: self.state,
            since: self.since,
            primary,
            in_use,
            confirmed: self.confirmed,
            rtt: self.srtt,
            rto: self.rto,
            errors: self.errors,
            mtu: self.mtu.length(),
            stats: self.stats,
        }
    }

    /// Section 6.3.1.
    pub(crate) fn measured(&mut self, rtt: Duration, config: &Config) {
        self.rtt_min = Some(self.rtt_min.map_or(rtt, |least| least.min(rtt)));
        match self.srtt {
            None => {
                self.srtt = Some(rtt);
                self.rttvar = rtt / 2;
            }
            Some(srtt) => {
                self.rttvar = self.rttvar * 3 / 4 + srtt.abs_diff(rtt) / 4;
                self.srtt = Some(srtt * 7 / 8 + rtt / 8);
            }
        }
        let rto = self.srtt.unwrap_or(rtt) + 4 * self.rttvar;
        self.rto = rto.clamp(Duration::from_millis(config.rto_min_ms), rto_max(config));
    }

    /// Section 6.3.3 E2.
    pub(crate) fn back_off(&mut self, config: &Config) {
        self.rto = (self.rto * 2).min(rto_max(config));
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { rtt: self.srtt.unwrap_or(self.rto), rtt_min: self.rtt_min.unwrap_or_default(), newest: self.newest }
    }

    /// Data left over it (sections 6.3.2 R1 and 7.2.1). `again`: the earliest outstanding, lost, so T3-rtx starts anew.
    pub(crate) fn departed(&mut self, bytes: usize, again: bool, now: Instant) {
        if self.congestion.outstanding() == 0
            && self.data_sent_at.is_some_and(|at| now.saturating_duration_since(at) > self.rto)
        {
            self.congestion.idle();
        }
        self.congestion.sent(bytes);
        self.data_sent_at = Some(now);
        if again || self.t3_at.is_none() {
            self.t3_at = Some(now + self.rto);
        }
    }

    /// A SACK brought this; `advanced`: it moved the cumulative TSN, to `cumulative` (sections 6.3.2 R2 and R3, 7.2).
    pub(crate) fn gained(&mut self, gain: &Gain, advanced: bool, cumulative: u32, config: &Config, now: Instant) {
        let full = self.congestion.outstanding() + config.mtu >= self.congestion.cwnd();
        self.congestion.gone(gain.bytes);
        if advanced {
            self.congestion.advanced(cumulative);
        }
        if gain.bytes > 0 {
            self.congestion.acknowledged(gain.bytes, full, advanced);
        }
        if let Some(rtt) = gain.rtt {
            self.measured(rtt, config);
        }
        self.newest = self.newest.max(gain.newest);
        if self.congestion.outstanding() == 0 {
            self.t3_at = None;
        } else if gain.bytes > 0 && advanced {
            self.t3_at = Some(now + self.rto);
        }
    }

    /// It answered (sections 8.2 and 8.3, RFC 7829 section 3.2); true when that changes its state.
    pub(crate) fn answered(&mut self, now: Instant) -> bool {
        self.errors = 0;
        self.enter(PathState::Active, now)
    }

    /// No answer; true when that changes its state.
    pub(crate) fn error(&mut self, config: &Config, now: Instant) -> bool {
        // It counts on when inactive: of several such paths the one with the fewest errors is taken (RFC 7829 section 4.1).
        self.errors = self.errors.saturating_add(1);
        let state = if self.errors > config.path_max_retrans {
            PathState::Inactive
        } else if self.errors > config.potentially_failed_max_retrans {
            PathState::PotentiallyFailed
        } else {
            PathState::Active
        };
        // Counting up never makes a path better.
        rank(state) > rank(self.state) && self.enter(state, now)
    }

    /// Given up at once.
    pub(crate) fn give_up(&mut self, config: &Config, now: Instant) -> bool {
        self.errors = self.errors.max(config.path_max_retrans.saturating_add(1));
        self.enter(PathState::Inactive, now)
    }

    fn enter(&mut self, state: PathState, now: Instant) -> bool {
        if self.state == state {
            return false;
        }
        self.stats.failures += u64::from(self.state == PathState::Active);
        (self.state, self.since) = (state, now);
        true
    }

    /// Data may go there: it proved itself, and nothing speaks against it.
    pub(crate) fn usable(&self) -> bool {
        self.confirmed && self.state == PathState::Active
    }
}

/// Order of preference as destination, best first.
pub(crate) fn rank(state: PathState) -> u8 {
    match state {
        PathState::Active => 0,
        PathState::PotentiallyFailed => 1,
        PathState::Inactive => 2,
    }
}

fn rto_max(config: &Config) -> Duration {
    Duration::from_millis(config.rto_max_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        let address: SocketAddr = "127.0.0.2:9899".parse().unwrap();
        Path::new(address, address.ip(), true, &Config::default(), Instant::now())
    }

    #[test]
    fn rto_follows_the_round_trip_within_its_bounds() {
        let (mut path, config) = (path(), Config::default());
        path.measured(Duration::from_millis(150), &config);
        assert_eq!(path.rto, Duration::from_millis(450));
        for _ in 0..50 {
            path.measured(Duration::from_millis(150), &config);
        }
        assert!(path.rto < Duration::from_millis(160));
        for _ in 0..50 {
            path.measured(Duration::from_micros(80), &config);
        }
        assert_eq!(path.rto, Duration::from_millis(config.rto_min_ms));
        for _ in 0..10 {
            path.back_off(&config);
        }
        assert_eq!(path.rto, Duration::from_millis(config.rto_max_ms));
    }

    #[test]
    fn states_follow_the_error_count() {
        let (mut path, config) = (path(), Config::default());
        let later = path.since + Duration::from_secs(1);
        assert!(path.error(&config, later));
        assert_eq!((path.state, path.since), (PathState::PotentiallyFailed, later));
        for _ in 1..config.path_max_retrans {
            assert!(!path.error(&config, later));
        }
        assert!(path.error(&config, later));
        assert_eq!((path.state, path.stats.failures), (PathState::Inactive, 1));
        assert!(path.answered(later));
        assert_eq!((path.state, path.errors), (PathState::Active, 0));
        assert!(!path.answered(later));
    }

    /// Each state by each event and threshold: the table of RFC 9260 section 8.2 with RFC 7829 section 3.2.
    #[test]
    fn state_table() {
        use PathState::{Active, Inactive, PotentiallyFailed};
        #[derive(Debug, Clone, Copy)]
        enum Event {
            Error,
            Answer,
            GiveUp,
        }
        let table = [
            // PFMR, PMR, errors before, state before, event -> state, errors
            (0, 5, 0, Active, Event::Error, PotentiallyFailed, 1),
            (0, 5, 1, PotentiallyFailed, Event::Error, PotentiallyFailed, 2),
            (0, 5, 5, PotentiallyFailed, Event::Error, Inactive, 6),
            (0, 5, 6, Inactive, Event::Error, Inactive, 7),
            (2, 5, 0, Active, Event::Error, Active, 1),
            (2, 5, 2, Active, Event::Error, PotentiallyFailed, 3),
            // PFMR not under PMR: the state is never potentially failed (RFC 7829 section 3.2, 1).
            (5, 5, 4, Active, Event::Error, Active, 5),
            (5, 5, 5, Active, Event::Error, Inactive, 6),
            (9, 5, 5, Active, Event::Error, Inactive, 6),
            (0, 0, 0, Active, Event::Error, Inactive, 1),
            (0, 5, 0, Active, Event::Answer, Active, 0),
            (0, 5, 3, PotentiallyFailed, Event::Answer, Active, 0),
            (0, 5, 60, Inactive, Event::Answer, Active, 0),
            (0, 5, 0, Active, Event::GiveUp, Inactive, 6),
            (0, 5, 3, PotentiallyFailed, Event::GiveUp, Inactive, 6),
            (0, 5, 60, Inactive, Event::GiveUp, Inactive, 60),
        ];
        for row in table {
            let (pfmr, pmr, errors, before, event, after, errors_after) = row;
            let config = Config { potentially_failed_max_retrans: pfmr, path_max_retrans: pmr, ..Config::default() };
            let mut path = path();
            (path.errors, path.state) = (errors, before);
            let now = path.since + Duration::from_secs(1);
            let changed = match event {
                Event::Error => path.error(&config, now),
                Event::Answer => path.answered(now),
                Event::GiveUp => path.give_up(&config, now),
            };
            assert_eq!((path.state, path.errors), (after, errors_after), "{row:?}");
            assert_eq!(changed, before != after, "{row:?}");
            assert_eq!(path.since == now, changed, "{row:?}");
        }
    }
}
