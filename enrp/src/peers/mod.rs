//! The name server toward its peers (ENRP, RFC 5353), as a pure machine that the [`Server`](crate::Server) drives: it reads the
//! handlespace, and says in `Effect`s what is to become of it.
//!
//! | file | RFC 5353 |
//! |---|---|
//! | `startup` | 3.2 mentor, peer list, download of the whole handlespace |
//! | `updates` | 3.3 announcing and taking changes; whose claim to an element holds |
//! | `presence` | 3.4 discovery, heartbeat, detection of a dead peer |
//! | `takeover` | 3.5 arbitration and takeover |
//! | `tables` | 3.6 audit by checksum and resynchronisation; tables served in parts |
//! | `refusals` | elements that find no place here, and what that means for audits |
//! | `links` | 3.1 associations to peers: opened, lost, opened again |
//! | `rsplib` | where rsplib's registrar differs, and what is done about it |
//!
//! # Holes of the RFC, and how they are filled
//! * **A second server dies during an arbitration** (its ENRP_INIT_TAKEOVER_ACK never comes, and the RFC has no timer): after
//!   `takeover_ack_ms` every peer that was silent since the arbitration began is passed over. It is found dead by itself.
//! * **A peer that lives does not acknowledge.** Either it arbitrates for the same target with a right to it; then its own
//!   ENRP_INIT_TAKEOVER ends ours. Or it hears the target, which only we do not: with such an objection the target is not taken over,
//!   and the arbitration begins again every `takeover_ack_ms` until the peer acknowledges or the target is heard. Servers of
//!   this project object when they heard the target in the last half `max_time_last_heard_ms` (and ask it for a presence). To others the
//!   RFC's MUST is kept: they are acknowledged at once. One that is not of this project and neither acknowledges nor takes over is passed
//!   over after three rounds.
//! * **Two servers only**: nobody has to acknowledge. A target with which there is still an association is given `takeover_ack_ms` to
//!   contradict; one that cannot be connected to is taken over at once.
//! * **The initiator dies** after others acknowledged, which leaves the target unwatched: who acknowledged waits for
//!   ENRP_TAKEOVER_SERVER as long as an arbitration and a detection take, then asks the target for a presence and goes on by itself.
//! * **The target comes back in the middle**: any message from it ends the arbitration everywhere it is heard. After the end it is a
//!   new peer; what it still claims is settled as below.
//! * **A server that lives is taken over**: it says so with a presence to all, and downloads what the new owner owns; those
//!   elements it gives up.
//! * **Equal identifiers**: a message with our own identifier that another process sent is counted and not taken; the association
//!   is closed. The two never become peers. (RFC 5353 section 3.2.1 calls it remote and harmless; an identifier must not change.)
//! * **A server nobody can reach owns elements** (its peer died before we met it): it is a peer all the same, silent from the
//!   start, and is taken over.
//! * **A server returns under a new identifier**: the old one is silent, and taken over.
//! * **A server returns under its own identifier** before it was taken over, without what it knew: what its mentor says it owns it takes
//!   as its own again, and tells those elements. Peers ask for its table only after that (it refuses before).
//!
//! # One owner for each element
//! Each element has a claim: how often its home changed. It goes to peers of this project before each Pool Element (parameter
//! 0xbf04). Registering with another server, and a takeover, add one. Of two claims the higher one holds, of equal ones that of
//! the higher server identifier: an order that is the same everywhere, whatever comes late or twice. The owner alone contests:
//! it tells its claim again, and tells the element (ASAP_ENDPOINT_KEEP_ALIVE with H), whose idea of its home then follows. An update
//! from a peer without claims is taken as the RFC says; in a table of such a peer equal claims are assumed, so that the higher
//! identifier keeps the element.
//!
//! Why so: after a partition both sides have reasons. The side that took over an element has changed its home last, and has reached
//! it (elements it could not reach it has removed), so the highest claim is the one with the freshest proof; the server's
//! identifier only breaks ties.
//!
//! **Bound.** When two servers can reach each other again, they are connected after `reconnect_ms` plus the set-up of an association (an INIT is
//! repeated at least each RTO.Max); each
//! then downloads what the other owns, whatever the checksums say, and is told what it lost. So tables are equal, with one owner for each
//! element, after `reconnect_ms` + `audit_interval_ms` + two downloads: under 2 s with the defaults and 10,000 elements. Nothing
//! registered is lost: an element is removed only by its owner, because its owner does not list it, or because its pool was made in
//! another way too (see below). A download that was under way when they were cut costs one `audit_interval_ms` more with a peer
//! of another project: where that one goes on in its table is not known, so nothing is removed until the next.
//!
//! # One kind for each pool
//! All elements of a pool have one policy type, transport type and transport use. Servers that could not hear each other may have
//! made the same pool in two ways; then the lower one holds everywhere (policy type first, then the transport's parameter type, then
//! its use: [`kind_of`](crate::handlespace::kind_of)). Each server can tell that from the elements alone. Who owns elements of the
//! other kind removes them, tells its peers and the elements, and refuses them when they register again (Inconsistent Pool Policy,
//! Transport Type or Data/Control Configuration); the owner's peers take them out at once.
//!
//! # Restraint
//! A peer whose checksum never fits costs one download in `audit_interval_ms`. Where it is because elements found no place here
//! (limits, or a peer that keeps another kind of pool), the pause doubles up to a minute, until something else differs. Peers, addresses, associations of one peer, downloads
//! served, elements in a message: all limited. So are the updates of one peer (`updates_per_s`; its table is downloaded instead), its
//! requests (`requests_per_s`) and what one download brings (`download_pes_max`). Nobody speaks for a server that is connected from
//! elsewhere. Nothing here walks all elements, except to send them or to take them over.

mod config;
mod counters;
mod links;
mod presence;
mod refusals;
mod rsplib;
mod snapshot;
mod startup;
mod tables;
mod takeover;
mod updates;

use crate::handlespace::{Handlespace, Slot, Stamp};
use crate::server::rate::Rate;
use crate::server::{Attempt, ClientId, Output, PeerAddress};
use crate::timer::TimerQueue;
use crate::wire::{Body, Entry, Message};
use asap::policy::Rng;
use asap::wire::{self, ErrorCause, SctpTransport, ServerId, ServerInformation, TransportUse};
use bytes::Bytes;
pub use config::{PeerAddressConfig, PeersConfig, RsplibPeers};
pub use counters::Counters as PeersCounters;
use links::Dial;
use refusals::Refusals;
use rsplib::{Accommodations, Recognition};
use rustc_hash::FxHashMap;
pub use snapshot::PeerSnapshot;
use startup::Startup;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tables::{Download, Session};
use takeover::Arbitration;

/// Version of our extensions of ENRP.
const EXTENSIONS: u32 = 1;
/// Associations of one peer that are kept; the oldest is closed when more come.
const LINKS_PER_PEER: usize = 4;
/// Associations that have not said who they are.
const STRANGERS_MAX: usize = 256;

/// What the server lends for a call.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    /// To read; [`Effect`]s change it.
    pub(crate) handlespace: &'a Handlespace,
    /// Whether an element of ours is connected.
    pub(crate) is_connected: &'a dyn Fn(Slot) -> bool,
}

/// What the server is to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Add or replace the element, whoever owned it.
    Record(Entry),
    /// Add an element of ours from before this process: it is to be told that its home is here again.
    Regain(Entry),
    /// Remove the element: its home said so.
    Remove(Slot),
    /// Remove what this server owns and what was not added or replaced since: its whole table has come.
    Sweep { home: ServerId, since: Stamp },
    /// Every element of `from` has this home now: another server took it over.
    Reassign { from: ServerId, to: ServerId },
    /// Every element of this server is ours now, and is to be told.
    TakeOver(ServerId),
    /// Tell the element again that we are its home.
    Reclaim(Slot),
    /// Ask an element of ours: another server could not reach it.
    Suspect(Slot),
    /// A server became a peer.
    Up(ServerId),
    /// A peer is dead.
    Dead(ServerId),
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// ENRP_PRESENCE to all.
    Heartbeat,
    /// ENRP_PRESENCE to the multicast group.
    Announce,
    /// To look whether the peer is silent.
    Silence(ServerId),
    /// The next step of its takeover, ours or another's.
    Takeover(ServerId),
    /// The peer's answer to a request for its table is overdue.
    Download(ServerId),
    /// The peer does not ask for the next part.
    Session(ServerId),
    /// To connect.
    Dial(PeerAddress),
    /// The next step of the start.
    Startup,
}

/// What we know of the health of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    /// Heard lately.
    Active,
    /// Asked for a presence; dead when silent until then.
    Probed(Instant),
    /// Dead, and we want to take it over.
    Ours(Arbitration),
    /// "Not active" (RFC 5353 section 3.5.1): this server takes it over.
    Yielded(ServerId),
}

/// Another server.
#[derive(Debug)]
struct Peer {
    /// Where it says it is.
    transport: Option<SctpTransport>,
    /// Its associations, and when it was heard over each; messages go over the first one.
    links: Vec<(ClientId, Instant)>,
    /// Where those come from.
    sources: Vec<IpAddr>,
    /// Updates taken from it, requests of it served.
    updates: Rate,
    requests: Rate,
    last_heard: Instant,
    status: Status,
    recognition: Recognition,
    /// Our download of its table.
    download: Option<Download>,
    /// It may be in the middle of telling us its table: an answer of it was not the last part, or is still to come.
    table_open: bool,
    /// No download before this.
    next_audit: Instant,
    /// Updates may have been lost: its table is wanted whatever its checksum says.
    audit_wanted: bool,
    /// What of its elements found no place here.
    refusals: Refusals,
    /// Its last checksum agreed with ours of it.
    confirmed: bool,
}

/// All peers.
#[derive(Debug)]
pub(crate) struct Peers {
    config: PeersConfig,
    limits: wire::Limits,
    id: ServerId,
    own: SctpTransport,
    peers: BTreeMap<ServerId, Peer>,
    /// Associations that carried ENRP or were opened for it, and whose they are.
    links: FxHashMap<ClientId, Option<ServerId>>,
    dials: BTreeMap<PeerAddress, Dial>,
    attempts: FxHashMap<Attempt, PeerAddress>,
    /// Even ones are ours, odd ones the server's ways to elements.
    next_attempt: u64,
    /// The first list of configured peers has come.
    started: bool,
    startup: Startup,
    sessions: BTreeMap<ServerId, Session>,
    /// When all were last told that we live because somebody said we do not.
    contradicted: Option<Instant>,
    /// How often the home of an element changed, where it did.
    claims: FxHashMap<Slot, u32>,
    timers: TimerQueue<Timer>,
    outputs: VecDeque<Output>,
    effects: VecDeque<Effect>,
    random: Rng,
    counters: PeersCounters,
    /// The last `now`, for the state.
    now: Option<Instant>,
}

impl Peers {
    /// Alone. `own`: where peers reach this server.
    pub(crate) fn new(config: PeersConfig, id: ServerId, own: SctpTransport, seed: u64) -> Self {
        Self {
            limits: wire::Limits {
                max_handle: crate::server::HANDLE_BYTES_WIRE,
                max_addresses: 64,
                ..wire::Limits::default()
            },
            config,
            id,
            own: SctpTransport { transport_use: TransportUse::DataOnly, ..own },
            peers: BTreeMap::new(),
            links: FxHashMap::default(),
            dials: BTreeMap::new(),
            attempts: FxHashMap::default(),
            next_attempt: 0,
            started: false,
            startup: Startup::Ready,
            sessions: BTreeMap::new(),
            contradicted: None,
            claims: FxHashMap::default(),
            timers: TimerQueue::new(),
            outputs: VecDeque::new(),
            effects: VecDeque::new(),
            random: Rng::new(seed),
            counters: PeersCounters::default(),
            now: None,
        }
    }

    /// Takes one ENRP message.
    pub(crate) fn handle(&mut self, cx: &Context<'_>, client: ClientId, source: &[SocketAddr], bytes: &[u8]) {
        self.counters.enrp_in += 1;
        let decoded = match Message::decode(bytes, &self.limits) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.counters.enrp_malformed += 1;
                return self.report(client, Message::sender_of(bytes), error.cause.into_iter().collect());
            }
        };
        let Message { sender, receiver, body } = decoded.message;
        if sender == self.id || sender == ServerId(0) {
            self.counters.enrp_bad_sender += 1;
            if sender == self.id && rsplib::is_complaint(self.config.rsplib, &body) {
                self.counters.enrp_errors_in += 1;
                return;
            }
            self.outputs.push_back(Output::Close { client });
            return;
        }
        if receiver != self.id && receiver != ServerId(0) {
            self.counters.enrp_misdirected += 1;
            return;
        }
        if self.is_spoofed(client, source, sender) {
            self.counters.enrp_spoofed += 1;
            self.outputs.push_back(Output::Close { client });
            return;
        }
        if !self.bind(cx, client, source, sender) {
            return;
        }
        self.report(client, Some(sender), decoded.report);
        self.heard(cx, sender);
        self.dispatch(cx, client, sender, body);
    }

    fn dispatch(&mut self, cx: &Context<'_>, client: ClientId, sender: ServerId, body: Body) {
        match body {
            Body::Presence(presence) => self.presence(cx, client, sender, &presence),
            Body::HandleTableRequest { own } => self.table_request(cx, client, sender, own),
            Body::HandleTableResponse { reject, more, entries } => {
                self.table_response(cx, sender, reject, more, entries);
            }
            Body::HandleUpdate { action, entry } => self.update(cx, sender, action, entry),
            Body::ListRequest => self.list_request(cx, client, sender),
            Body::ListResponse { reject, servers } => self.list_response(cx, sender, reject, &servers),
            Body::InitTakeover { target } => self.init_takeover(cx, client, sender, target),
            Body::InitTakeoverAck { target } => self.takeover_ack(cx, sender, target),
            Body::TakeoverServer { target } => self.taken_over(cx, sender, target),
            Body::Error { error } => {
                self.counters.enrp_errors_in += 1;
                if error.causes.iter().any(reports_probe) {
                    self.recognise(cx, sender, Recognition::reported);
                }
            }
        }
    }

    /// Does what is due.
    pub(crate) fn run(&mut self, cx: &Context<'_>) {
        self.now = Some(cx.now);
        self.notice_stall(cx.now);
        while let Some(timer) = self.timers.pop_due(cx.now) {
            match timer {
                Timer::Heartbeat => self.heartbeat(cx),
                Timer::Announce => self.announce(cx),
                Timer::Silence(id) => self.silence(cx, id),
                Timer::Takeover(id) => self.takeover_due(cx, id),
                Timer::Download(id) => self.download_overdue(cx, id),
                Timer::Session(id) => drop(self.sessions.remove(&id)),
                Timer::Dial(address) => self.dial(cx, &address),
                Timer::Startup => self.startup_due(cx),
            }
        }
    }

    /// When to call [`Peers::run`] at the latest.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn counters(&self) -> &PeersCounters {
        &self.counters
    }

    pub(crate) fn counters_mut(&mut self) -> &mut PeersCounters {
        &mut self.counters
    }

    /// An element of this server found no place in the handlespace.
    pub(crate) fn refused(&mut self, home: ServerId) {
        self.counters.elements_refused += 1;
        if let Some(peer) = self.peers.get_mut(&home) {
            peer.refusals.refused();
        }
    }

    /// How many elements that were taken over are told in a second.
    pub(crate) fn rehome_per_s(&self) -> u32 {
        self.config.rehome_per_s
    }

    /// Whether the start is over: a mentor's handlespace was downloaded, or there is none.
    pub(crate) fn is_ready(&self) -> bool {
        self.startup.is_ready()
    }

    /// How often the element changed its home.
    pub(crate) fn claim(&self, slot: Slot) -> u32 {
        self.claims.get(&slot).copied().unwrap_or(0)
    }

    /// The element changed its home so often.
    pub(crate) fn set_claim(&mut self, slot: Slot, claim: u32) {
        if claim == 0 {
            self.claims.remove(&slot);
        } else {
            self.claims.insert(slot, claim);
        }
    }

    /// Who we are, for others.
    fn information(&self) -> ServerInformation {
        ServerInformation { id: self.id, transport: self.own.clone() }
    }

    fn accommodations(&self, id: ServerId) -> Accommodations {
        let recognition = self.peers.get(&id).map(|peer| peer.recognition).unwrap_or_default();
        recognition.accommodations(self.config.rsplib)
    }

    fn is_ours(&self, id: ServerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.recognition.ours)
    }

    fn send(&mut self, client: ClientId, receiver: ServerId, body: Body) {
        let message = Message { sender: self.id, receiver, body };
        match message.encode() {
            Ok(bytes) => self.send_bytes(client, bytes),
            Err(_) => self.counters.enrp_unencodable += 1,
        }
    }

    fn send_bytes(&mut self, client: ClientId, bytes: Bytes) {
        self.counters.enrp_out += 1;
        self.outputs.push_back(Output::Enrp { client, bytes });
    }

    /// Over the peer's first association. False: it has none.
    fn send_to(&mut self, id: ServerId, body: Body) -> bool {
        let link = self.link_to(id);
        if let Some(client) = link {
            self.send(client, id, body);
        }
        link.is_some()
    }

    /// The same for what goes to all: it names no receiver (RFC 5353 section 2.1).
    fn announce_to(&mut self, id: ServerId, body: Body) -> bool {
        let link = self.link_to(id);
        if let Some(client) = link {
            self.send(client, ServerId(0), body);
        }
        link.is_some()
    }

    /// The association over which messages go to the peer.
    fn link_to(&self, id: ServerId) -> Option<ClientId> {
        self.peers.get(&id)?.links.first().map(|link| link.0)
    }

    /// ENRP_ERROR, if there is something to report.
    fn report(&mut self, client: ClientId, receiver: Option<ServerId>, causes: Vec<ErrorCause>) {
        if !causes.is_empty() {
            let message = Message::error(self.id, receiver.unwrap_or_default(), causes);
            self.send(client, message.receiver, message.body);
        }
    }
}

fn reports_probe(cause: &ErrorCause) -> bool {
    match cause {
        ErrorCause::UnrecognizedParameter(parameter) => parameter.starts_with(&wire::param::PROBE.to_be_bytes()),
        ErrorCause::Unspecified
        | ErrorCause::UnrecognizedMessage(_)
        | ErrorCause::InvalidValues(_)
        | ErrorCause::NonUniquePeId
        | ErrorCause::InconsistentPolicy(_)
        | ErrorCause::LackOfResources
        | ErrorCause::InconsistentTransportType(_)
        | ErrorCause::InconsistentDataControl
        | ErrorCause::UnknownPoolHandle
        | ErrorCause::Security
        | ErrorCause::Other { .. } => false,
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
