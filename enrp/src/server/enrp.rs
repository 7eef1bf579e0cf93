//! The server toward its peers (RFC 5353): where what comes from them goes.

use super::way::Ways;
use super::{Attempt, ClientId, Multicast, Output, PeerAddress, Server};
use std::net::SocketAddr;
use std::time::Instant;

impl Server {
    /// Takes one ENRP message (PPID 12). `source` is where the sender is: each of its IP addresses, with its SCTP port.
    pub fn handle_enrp(&mut self, now: Instant, _client: ClientId, _source: &[SocketAddr], _message: &[u8]) {
        self.run_timers(now);
        self.counters.enrp_dropped += 1;
        self.send_updates(now);
    }

    /// Takes one datagram of a multicast group. `source` is the sender's address with its UDP port.
    pub fn handle_multicast(&mut self, now: Instant, group: Multicast, _source: SocketAddr, message: &[u8]) {
        self.run_timers(now);
        match group {
            Multicast::Asap => self.announce_heard(now, message),
            Multicast::Enrp => self.counters.enrp_dropped += 1,
        }
        self.send_updates(now);
    }

    /// A connection that was asked for is up: from now on it is this client, until `client_lost`. `source`: as in `handle_message`.
    pub fn connected(&mut self, now: Instant, attempt: Attempt, client: ClientId, _source: &[SocketAddr]) {
        self.run_timers(now);
        if Ways::has(attempt) {
            self.way_up(now, attempt, client);
        } else {
            self.outputs.push_back(Output::Close { client });
        }
        self.send_updates(now);
    }

    /// A connection that was asked for did not come up.
    pub fn connect_failed(&mut self, now: Instant, attempt: Attempt) {
        self.run_timers(now);
        if Ways::has(attempt) {
            self.way_failed(now, attempt);
        }
        self.send_updates(now);
    }

    /// The peers that configuration and DNS name; replaces those named before. Peers learnt from others are not touched.
    pub fn set_peers(&mut self, now: Instant, peers: Vec<PeerAddress>) {
        self.run_timers(now);
        self.counters.peers_ignored += peers.len() as u64;
        self.send_updates(now);
    }
}
