//! ASAP_SERVER_ANNOUNCE over multicast (RFC 5352 section 3.6): ours, and those of the other servers, which say how often.
//!
//! Every (N+1) * T6, N the servers heard: about one announcement per T6, however many servers there are. A server counts for T7
//! after it was heard, or for two of its intervals where they are longer: with more than four servers (N+1) * T6 is longer than T7.

use super::{Multicast, Output, Server, Timer, ms};
use asap::policy::Rng;
use asap::wire::{Message, ServerId, Transport};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What to announce, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Where this server takes ASAP: SCTP and TCP transports.
    pub transports: Vec<Transport>,
    /// T6-Serverannounce in ms (RFC 5352 section 7.1: 1,000), more than 0.
    pub t6_server_announce_ms: u64,
    /// T7-ENRPoutdate in ms (RFC 5352 section 7.1: 5,000).
    pub t7_enrp_outdate_ms: u64,
    /// Most other servers that are counted.
    pub servers_max: usize,
}

/// The announcing of one server.
#[derive(Debug)]
pub(super) struct Announcer {
    message: Bytes,
    t6: Duration,
    t7: Duration,
    servers_max: usize,
    /// When each other server was heard last.
    heard: BTreeMap<ServerId, Instant>,
}

impl Announcer {
    /// The interval with so many other servers.
    fn interval(&self) -> Duration {
        self.t6 * u32::try_from(self.heard.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// An eighth less or more, so that servers that began together do not stay together.
    fn varied(&self, random: &mut Rng) -> Duration {
        let interval = self.interval();
        let eighth = interval / 8;
        interval - eighth + eighth.mul_f64(2.0 * (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn forget_silent(&mut self, now: Instant) {
        let life = self.t7.max(2 * self.interval());
        self.heard.retain(|_, at| now.saturating_duration_since(*at) < life);
    }
}

impl Server {
    /// Announces this server to the ASAP multicast group from now on, in place of what was announced before. Transports that do not
    /// encode are counted, and nothing is announced.
    pub fn announce(&mut self, now: Instant, announce: Announce) {
        let Announce { transports, t6_server_announce_ms, t7_enrp_outdate_ms, servers_max } = announce;
        let Ok(message) = (Message::ServerAnnounce { server: self.id, transports }).encode() else {
            self.counters.unencodable += 1;
            return;
        };
        self.announcer = Some(Announcer {
            message,
            t6: ms(t6_server_announce_ms.max(1)),
            t7: ms(t7_enrp_outdate_ms),
            servers_max,
            heard: BTreeMap::new(),
        });
        self.announce_due(now);
    }

    /// How many other servers announce themselves now (N of RFC 5352 section 3.6).
    #[must_use]
    pub fn servers_heard(&self) -> usize {
        self.announcer.as_ref().map_or(0, |announcer| announcer.heard.len())
    }

    pub(super) fn announce_due(&mut self, now: Instant) {
        let Some(announcer) = &mut self.announcer else { return };
        announcer.forget_silent(now);
        let next = now + announcer.varied(&mut self.random);
        let bytes = announcer.message.clone();
        self.counters.announces_out += 1;
        self.outputs.push_back(Output::Multicast { group: Multicast::Asap, bytes });
        self.timers.set(Timer::Announce, next);
    }

    /// A datagram of the ASAP group. It is not authenticated (RFC 5352 section 9.2): all it does is that we announce less often.
    pub(super) fn announce_heard(&mut self, now: Instant, message: &[u8]) {
        let decoded = Message::decode(message, &self.limits).ok().map(|decoded| decoded.message);
        let Some(Message::ServerAnnounce { server, .. }) = decoded else {
            self.counters.malformed += 1;
            return;
        };
        if server == self.id {
            // Our own comes back to us.
            return;
        }
        self.counters.announces_in += 1;
        let Some(announcer) = &mut self.announcer else { return };
        if announcer.heard.len() < announcer.servers_max || announcer.heard.contains_key(&server) {
            announcer.heard.insert(server, now);
        } else {
            self.counters.announces_refused += 1;
        }
    }
}
