//! Associations to peers: which is whose, and addresses that are connected to until somebody answers.
//!
//! Both ends may connect at the same time; then there are two associations, and each end sends over the one it had first. Order
//! matters within one direction only, and that stays on one association while it lives. When a peer's last association is
//! lost, updates may be lost with it: the next one begins with a download.

use super::{Context, LINKS_PER_PEER, Peers, STRANGERS_MAX, Status, Timer, ms, rsplib};
use crate::server::{Attempt, ClientId, Output, PeerAddress};
use asap::wire::{SctpTransport, ServerId, TransportUse};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// How often the patience with an address where nobody answers doubles.
const PATIENCE_DOUBLED_MAX: u32 = 3;

/// Addresses of a peer's associations that are kept.
const SOURCES_MAX: usize = 64;

/// An address that is connected to.
#[derive(Debug, Default)]
pub(super) struct Dial {
    /// Configuration has it, so it is never forgotten.
    configured: bool,
    attempt: Option<Attempt>,
    client: Option<ClientId>,
    /// Who was found there.
    peer: Option<ServerId>,
    /// Associations that were up one after the other, and nobody said anything.
    unanswered: u32,
    /// Not configured, and its server is gone: forgotten then.
    forget: Option<Instant>,
    /// The last attempt failed.
    failed: bool,
    /// Where it was heard from: connected to before its other addresses.
    heard: Option<IpAddr>,
}

impl Peers {
    /// The addresses that configuration and DNS know; those known before and not in the list are no longer configured.
    pub(crate) fn set_addresses(&mut self, cx: &Context<'_>, addresses: Vec<PeerAddress>) {
        let first = !std::mem::replace(&mut self.started, true);
        if first && self.config.announce {
            self.timers.set(Timer::Announce, cx.now);
        }
        let forget = cx.now + ms(self.config.peer_forget_ms);
        for dial in self.dials.values_mut().filter(|dial| dial.configured) {
            dial.configured = false;
            dial.forget = Some(forget);
        }
        let others: Vec<_> = addresses.into_iter().map(sorted).filter(|address| !self.is_own(address)).collect();
        for address in &others {
            self.add_dial(cx, address.clone(), true);
        }
        // Peers that DNS or a multicast group will name are waited for as those that are known.
        let named = self.config.servers.iter().any(|server| !server.name.is_empty());
        if first && (!others.is_empty() || named || self.config.announce) {
            self.begin_startup(cx);
        }
    }

    /// Addresses of `[peers] servers` where nobody is.
    pub(crate) fn unreached(&self) -> Vec<String> {
        let at = |(address, dial): (&PeerAddress, &Dial)| {
            let found = dial.client.is_some() || dial.peer.is_some_and(|id| self.peers.contains_key(&id));
            (dial.configured && !found).then(|| {
                let ips: Vec<_> = address.addresses.iter().map(ToString::to_string).collect();
                format!("{}:{}", ips.join(","), address.port)
            })
        };
        self.dials.iter().filter_map(at).collect()
    }

    fn is_own(&self, address: &PeerAddress) -> bool {
        address.port == self.own.port && address.addresses.iter().any(|ip| self.own.addresses.contains(ip))
    }

    fn add_dial(&mut self, cx: &Context<'_>, address: PeerAddress, configured: bool) {
        if !self.dials.contains_key(&address) {
            if self.dials.len() >= 2 * self.config.peers_max || address.addresses.is_empty() {
                self.counters.peers_refused += 1;
                return;
            }
            self.timers.set(Timer::Dial(address.clone()), cx.now);
        }
        let dial = self.dials.entry(address).or_default();
        dial.configured |= configured;
        dial.forget = None;
    }

    /// A server says where it is, or somebody else does.
    pub(super) fn learn(&mut self, cx: &Context<'_>, id: ServerId, transport: &SctpTransport) {
        let address = sorted(PeerAddress { addresses: transport.addresses.to_vec(), port: transport.port });
        if id == self.id || self.is_own(&address) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.transport = Some(transport.clone());
        }
        // The same server under fewer or other addresses, as configuration has it.
        for (known, dial) in &mut self.dials {
            let same = known.port == address.port && known.addresses.iter().any(|ip| address.addresses.contains(ip));
            if same && self.peers.contains_key(&id) {
                dial.peer = Some(id);
            }
        }
        self.add_dial(cx, address.clone(), false);
        let known = self.peers.contains_key(&id);
        if let Some(dial) = self.dials.get_mut(&address) {
            if known {
                dial.peer = Some(id);
            } else if !dial.configured {
                // Somebody says so; if nobody is there it is forgotten.
                dial.forget = Some(cx.now + ms(self.config.peer_forget_ms));
            }
        }
    }

    /// A datagram came from there.
    pub(super) fn learn_heard(&mut self, cx: &Context<'_>, id: ServerId, transport: &SctpTransport, heard: IpAddr) {
        self.learn(cx, id, transport);
        let address = sorted(PeerAddress { addresses: transport.addresses.to_vec(), port: transport.port });
        if let Some(dial) = self.dials.get_mut(&address) {
            dial.heard = Some(heard);
        }
    }

    /// It is time to connect to an address, unless somebody there is connected; or to see whether somebody there answers.
    pub(super) fn dial(&mut self, cx: &Context<'_>, address: &PeerAddress) {
        let Some(dial) = self.dials.get_mut(address) else { return };
        if let Some(client) = dial.client.filter(|client| self.links.get(client) == Some(&None)) {
            dial.client = None;
            dial.unanswered = dial.unanswered.saturating_add(1);
            self.links.remove(&client);
            self.counters.peers_unanswered += 1;
            self.outputs.push_back(Output::Close { client });
            return self.redial(cx.now, address);
        }
        if dial.forget.is_some_and(|forget| forget <= cx.now) {
            self.dials.remove(address);
            return;
        }
        let connected = dial.peer.and_then(|id| self.peers.get(&id)).is_some_and(|peer| !peer.links.is_empty());
        if connected || dial.attempt.is_some() || dial.client.is_some() {
            return;
        }
        self.next_attempt += 2;
        let attempt = Attempt(self.next_attempt);
        dial.attempt = Some(attempt);
        let local_port = rsplib::from_enrp_port(self.config.rsplib, dial.unanswered).then_some(self.own.port);
        self.attempts.insert(attempt, address.clone());
        let mut addresses = address.addresses.clone();
        addresses.sort_by_key(|&ip| Some(ip) != dial.heard);
        let to = SctpTransport {
            port: address.port,
            transport_use: TransportUse::DataOnly,
            addresses: addresses.as_slice().into(),
        };
        self.outputs.push_back(Output::Connect { attempt, to, local_port });
    }

    fn redial(&mut self, now: Instant, address: &PeerAddress) {
        let pause = self.config.reconnect_ms;
        let wait = pause / 2 + self.random.below(pause / 2 + 1);
        self.timers.set(Timer::Dial(address.clone()), now + ms(wait));
    }

    /// A connection is up. False: it was none of ours.
    pub(crate) fn connected(&mut self, cx: &Context<'_>, attempt: Attempt, client: ClientId) -> bool {
        let Some(address) = self.attempts.remove(&attempt) else { return false };
        let Some(dial) = self.dials.get_mut(&address) else {
            self.outputs.push_back(Output::Close { client });
            return true;
        };
        dial.attempt = None;
        dial.failed = false;
        dial.client = Some(client);
        // Longer each time: it may be slow.
        let patience = ms(self.config.max_time_no_response_ms) * (1 << dial.unanswered.min(PATIENCE_DOUBLED_MAX));
        self.links.entry(client).or_insert(None);
        let known = dial.peer.filter(|id| self.peers.contains_key(id));
        self.timers.set(Timer::Dial(address), cx.now + patience);
        self.ask_presence(cx, client, known.unwrap_or_default());
        true
    }

    /// A connection did not come up. False: it was none of ours.
    pub(crate) fn connect_failed(&mut self, cx: &Context<'_>, attempt: Attempt) -> bool {
        let Some(address) = self.attempts.remove(&attempt) else { return false };
        let Some(dial) = self.dials.get_mut(&address) else { return true };
        dial.attempt = None;
        if !std::mem::replace(&mut dial.failed, true) && dial.configured {
            let (addresses, port) = (&address.addresses, address.port);
            tracing::warn!(?addresses, port, "peer not reached, is tried again; see peers.servers");
        }
        dial.unanswered = 0;
        let peer = dial.peer;
        self.redial(cx.now, &address);
        // "If the send fails": RFC 5353 section 3.4.3.
        let dead = peer.filter(|id| {
            self.peers.get(id).is_some_and(|p| p.links.is_empty() && matches!(p.status, Status::Probed(_)))
        });
        if let Some(id) = dead {
            self.dead(cx, id);
        }
        true
    }

    /// An association ended.
    pub(crate) fn lost(&mut self, cx: &Context<'_>, client: ClientId) {
        let Some(owner) = self.links.remove(&client) else { return };
        let dialled = self.dials.iter_mut().find(|(_, dial)| dial.client == Some(client));
        if let Some((address, dial)) = dialled {
            dial.client = None;
            let address = address.clone();
            self.redial(cx.now, &address);
        }
        let Some(id) = owner else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.links.retain(|link| link.0 != client);
        peer.audit_wanted = true;
        peer.download = None;
        // A server of this project begins anew over another association.
        peer.table_open &= !(peer.recognition.ours && peer.links.is_empty());
        self.timers.cancel(&Timer::Download(id));
        self.sessions.remove(&id);
        self.mentor_lost(cx, id);
        if self.peers[&id].links.is_empty() {
            // Whoever is gone cannot be connected to, which is known long before silence tells.
            let addresses: Vec<_> =
                self.dials.iter().filter(|(_, d)| d.peer == Some(id)).map(|(a, _)| a.clone()).collect();
            for address in addresses {
                self.timers.set(Timer::Dial(address), cx.now);
            }
            self.probe(cx, id);
        }
    }

    /// Whether somebody else speaks in this server's name: over an association that is another's, or from elsewhere while the server
    /// is connected. (Who it is cannot be proven without TLS; but nobody gets between two servers that hear each other.)
    pub(super) fn is_spoofed(&self, client: ClientId, source: &[SocketAddr], id: ServerId) -> bool {
        if let Some(Some(owner)) = self.links.get(&client) {
            return *owner != id;
        }
        let Some(peer) = self.peers.get(&id).filter(|peer| !peer.links.is_empty() && !peer.sources.is_empty()) else {
            return false;
        };
        !source.is_empty() && !source.iter().any(|from| peer.sources.contains(&from.ip()))
    }

    /// The association is this server's: it spoke. False: it is not to be listened to.
    pub(super) fn bind(&mut self, cx: &Context<'_>, client: ClientId, source: &[SocketAddr], id: ServerId) -> bool {
        if !self.links.contains_key(&client)
            && self.links.len() >= self.config.peers_max * LINKS_PER_PEER + STRANGERS_MAX
        {
            self.counters.peers_refused += 1;
            return false;
        }
        if !self.peers.contains_key(&id) && !self.add_peer(cx, id) {
            self.outputs.push_back(Output::Close { client });
            return false;
        }
        if self.links.insert(client, Some(id)) == Some(Some(id)) {
            self.heard_over(cx.now, client, id);
            return true;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        for dial in self.dials.values_mut().filter(|dial| dial.client == Some(client)) {
            dial.peer = Some(id);
            // When it was connected to.
            peer.recognition.asked();
        }
        // What was sent before there was an association did not reach us.
        peer.audit_wanted |= peer.links.is_empty();
        if peer.links.is_empty() {
            peer.sources.clear();
        }
        let new: Vec<_> = source.iter().map(SocketAddr::ip).filter(|ip| !peer.sources.contains(ip)).collect();
        peer.sources.extend(new);
        peer.sources.truncate(SOURCES_MAX);
        peer.links.push((client, cx.now));
        let surplus = (peer.links.len() > LINKS_PER_PEER).then(|| peer.links.remove(0));
        if let Some((client, _)) = surplus {
            self.links.remove(&client);
            self.outputs.push_back(Output::Close { client });
        }
        self.heard_over(cx.now, client, id);
        // RFC 5353 section 3.4.1, and again on each new association: so each end knows that the other can be heard.
        self.ask_presence(cx, client, id);
        true
    }

    /// The peer was heard over this association. When the one we send over has been silent, it may be dead at the other end, and we
    /// send over this one from now on; what the old one held is either delivered or, when that one ends, downloaded.
    fn heard_over(&mut self, now: Instant, client: ClientId, id: ServerId) {
        let patience = ms(self.config.max_time_last_heard_ms);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(at) = peer.links.iter().position(|link| link.0 == client) else { return };
        peer.links[at].1 = now;
        if now.saturating_duration_since(peer.links[0].1) > patience {
            let link = peer.links.remove(at);
            peer.links.insert(0, link);
        }
    }

    /// Drops a peer and its associations. Its address goes on being connected to, for a while if it was learnt.
    pub(super) fn remove_peer(&mut self, now: Instant, id: ServerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        for (client, _) in peer.links {
            self.links.remove(&client);
            self.outputs.push_back(Output::Close { client });
        }
        for timer in [Timer::Silence(id), Timer::Takeover(id), Timer::Download(id), Timer::Session(id)] {
            self.timers.cancel(&timer);
        }
        self.sessions.remove(&id);
        let forget = now + ms(self.config.peer_forget_ms);
        let mut redial = Vec::new();
        for (address, dial) in self.dials.iter_mut().filter(|(_, dial)| dial.peer == Some(id)) {
            dial.peer = None;
            dial.client = None;
            dial.forget = (!dial.configured).then_some(forget);
            redial.push(address.clone());
        }
        for address in redial {
            self.redial(now, &address);
        }
    }
}

fn sorted(mut address: PeerAddress) -> PeerAddress {
    address.addresses.sort_unstable();
    address.addresses.dedup();
    address
}
