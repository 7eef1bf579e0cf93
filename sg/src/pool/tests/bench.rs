//! The test bench: a pool, a wire that keeps what was sent, a name service that takes the lowest usable element.

use crate::config::{As, Failover};
use crate::group::GroupId;
use crate::mate::journal::{Effect, Journal};
use crate::msu;
use crate::pool::{Counters, Cx, Directory, How, Location, Origin, Pool, Settings, Share, Standing, Transport};
use crate::record::Recorder;
use asap::wire::{Message as Asap, PoolHandle};
use bytes::Bytes;
use enrp::daemon::RecordSink;
use m3ua_lite::session::{CorrelationId, Envelope, GroupKey, HEARTBEAT_MAX, Heartbeat, Lease, stream_for};
use m3ua_lite::wire::{
    AspActive, AspDown, AspInactive, AspUp, Beat, Data, Message, ProtocolData, TrafficMode, one_context,
};
use sctp::{AssocId, ClockAnchor, CloseReason, SendError, ppid};
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub(super) const STREAMS: u16 = 5;
pub(super) const ROUTING_CONTEXT: u32 = 7;

/// What a test does with associations.
#[derive(Debug, Default)]
pub(super) struct Wire {
    next: u64,
    pub(super) connects: Vec<(AssocId, IpAddr)>,
    pub(super) sent: Vec<(AssocId, How, Bytes)>,
    pub(super) aborted: Vec<AssocId>,
    pub(super) shut: Vec<AssocId>,
    /// Sends before `QueueFull`.
    pub(super) room: Option<usize>,
    pub(super) rtt: Option<Duration>,
}

impl Transport for Wire {
    fn connect(&mut self, _now: Instant, addresses: &[IpAddr], _port: u16) -> Option<AssocId> {
        self.next += 1;
        let assoc = AssocId(self.next);
        self.connects.push((assoc, *addresses.first()?));
        Some(assoc)
    }
    fn send(&mut self, _now: Instant, assoc: AssocId, how: How, payload: Bytes) -> Result<(), SendError> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(1).ok_or(SendError::QueueFull)?;
        }
        self.sent.push((assoc, how, payload));
        Ok(())
    }
    fn abort(&mut self, _now: Instant, assoc: AssocId) {
        self.aborted.push(assoc);
    }
    fn shutdown(&mut self, _now: Instant, assoc: AssocId) {
        self.shut.push(assoc);
    }
    fn rtt(&self, _assoc: AssocId) -> Option<Duration> {
        self.rtt
    }
}

#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) resolved: usize,
    pub(super) usable: Vec<(u32, bool)>,
    pub(super) reported: Vec<u32>,
    pub(super) registered: Vec<(u32, Location)>,
    pub(super) withdrawn: Vec<u32>,
    pub(super) draining: Vec<(u32, bool)>,
    /// Elements whose share is not 1.
    pub(super) shares: std::collections::BTreeMap<u32, Share>,
    /// Elements that resolution does not yield.
    pub(super) unlisted: Vec<u32>,
    turn: u32,
}

impl Directory for Names {
    fn resolve(&mut self, _now: Instant, _pool: &PoolHandle) {
        self.resolved += 1;
    }
    /// Round robin over identifiers 1 to 9.
    fn select(&mut self, _now: Instant, pool: &PoolHandle, usable: &dyn Fn(u32) -> bool) -> Option<u32> {
        let next = self.order(pool, 1, usable).first().copied()?;
        self.turn = next;
        Some(next)
    }
    fn order(&self, _pool: &PoolHandle, count: usize, usable: &dyn Fn(u32) -> bool) -> Vec<u32> {
        let turns = (1..=9).map(|step| (self.turn + step - 1) % 9 + 1);
        turns.filter(|pe| usable(*pe) && !self.unlisted.contains(pe)).take(count).collect()
    }
    fn policy(&self, _pool: &PoolHandle) -> Option<String> {
        Some("round robin".to_owned())
    }
    fn standing(&self, _pool: &PoolHandle, pe: u32) -> Standing {
        let listed = !self.unlisted.contains(&pe);
        let suspended = if listed { Vec::new() } else { vec!["silent toward the name server"] };
        Standing { listed, suspended, ..Standing::default() }
    }
    fn share(&self, _pool: &PoolHandle, pe: u32) -> Share {
        self.shares.get(&pe).copied().unwrap_or(Share::Weight(1))
    }
    fn set_usable(&mut self, _now: Instant, _pool: &PoolHandle, pe: u32, usable: bool) {
        self.usable.push((pe, usable));
    }
    fn set_draining(&mut self, _now: Instant, _pool: &PoolHandle, pe: u32, draining: bool) {
        self.draining.push((pe, draining));
    }
    fn register(&mut self, _now: Instant, _pool: &PoolHandle, pe: u32, location: &Location) {
        self.registered.push((pe, location.clone()));
    }
    fn withdraw(&mut self, _now: Instant, _pool: &PoolHandle, pe: u32) {
        self.withdrawn.push(pe);
    }
    fn report_unreachable(&mut self, _now: Instant, _pool: &PoolHandle, pe: u32) {
        self.reported.push(pe);
    }
}

/// What a controller was sent, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    /// DATA: sequence number and user data.
    Data(u32, Vec<u8>),
    CookieEcho(Vec<u8>),
    /// Barrier with its id.
    Barrier(u64),
    Liveness(u64),
    /// Asked for the group of this block.
    Release(u16),
    LeaseEcho,
    /// Anything else, by name.
    Other(&'static str),
}

pub(super) struct Bench {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) pool: Pool,
    pub(super) wire: Wire,
    pub(super) names: Names,
    pub(super) record: Recorder,
    pub(super) journal: Journal,
    /// Asked for in ASPAC.
    pub(super) traffic_mode: TrafficMode,
}

impl Bench {
    pub(super) fn new(change: impl FnOnce(&mut As, &mut Failover)) -> Self {
        let now = Instant::now();
        let mut server = As { routing_context: ROUTING_CONTEXT, dpc: vec![2], ..As::default() };
        let mut failover = Failover::default();
        change(&mut server, &mut failover);
        let first_id = CorrelationId::start(1, 2);
        let pool = Pool::new(
            now,
            Settings { server, failover, message_bytes_max: 4_000, first_id, number: 0, standby: false },
        );
        let record =
            Recorder::new(ClockAnchor { instant: now, monotonic_ns: 0 }, RecordSink::Memory(Vec::new()), 1, 2, true);
        Self {
            start: now,
            now,
            pool,
            wire: Wire::default(),
            names: Names::default(),
            record,
            journal: Journal::new(false, 1, 1),
            traffic_mode: TrafficMode::Loadshare,
        }
    }

    pub(super) fn on<R>(&mut self, work: impl FnOnce(&mut Pool, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx {
            now: self.now,
            net: &mut self.wire,
            directory: &mut self.names,
            record: &mut self.record,
            journal: &mut self.journal,
        };
        let result = work(&mut self.pool, &mut cx);
        self.pool.assert_consistent();
        result
    }

    /// Lets time pass, with every timer in between.
    pub(super) fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            self.on(|pool, cx| pool.end_batch(cx));
            match self.pool.poll_timeout().filter(|at| *at <= end) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.on(|pool, cx| pool.handle_timeout(cx, None));
                }
                None => break,
            }
        }
        self.now = end;
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        self.now.duration_since(self.start).as_millis() as u64
    }

    /// A registered element, connected to at once.
    pub(super) fn register(&mut self, pe: u8) -> AssocId {
        let location = Location { addresses: vec![IpAddr::from([127, 0, 1, pe])], port: 2905 };
        let before = self.wire.connects.len();
        self.on(|pool, cx| pool.element_there(cx, pe.into(), location));
        assert_eq!(self.wire.connects.len(), before + 1, "connected at once");
        self.wire.connects[before].0
    }

    pub(super) fn up(&mut self, assoc: AssocId) {
        assert!(self.on(|pool, cx| pool.up(cx, assoc, STREAMS, STREAMS)));
    }

    /// A controller that is up, has a lease, and is active.
    pub(super) fn controller(&mut self, pe: u8) -> AssocId {
        let assoc = self.register(pe);
        self.up(assoc);
        self.asp_up(assoc, pe.into());
        self.lease(assoc, 280);
        self.asp_active(assoc);
        self.clear();
        assoc
    }

    pub(super) fn send(&mut self, assoc: AssocId, stream: u16, message: &Message<'_>) {
        let payload = msu::encode(message).unwrap();
        self.on(|pool, cx| pool.message(cx, assoc, stream, ppid::M3UA, false, &payload));
    }

    pub(super) fn asp_up(&mut self, assoc: AssocId, pe: u32) {
        self.send(assoc, 0, &Message::AspUp(AspUp { asp_id: Some(pe), info: None }));
    }

    pub(super) fn asp_active(&mut self, assoc: AssocId) {
        let message = AspActive {
            traffic_mode: Some(self.traffic_mode),
            routing_contexts: one_context(ROUTING_CONTEXT),
            info: None,
        };
        self.send(assoc, 0, &Message::AspActive(message));
    }

    pub(super) fn asp_inactive(&mut self, assoc: AssocId) {
        let message = AspInactive { routing_contexts: one_context(ROUTING_CONTEXT), info: None };
        self.send(assoc, 0, &Message::AspInactive(message));
    }

    pub(super) fn asp_down(&mut self, assoc: AssocId) {
        self.send(assoc, 0, &Message::AspDown(AspDown { info: None }));
    }

    pub(super) fn lease(&mut self, assoc: AssocId, lease_ms: u32) {
        let mut room = [0; HEARTBEAT_MAX];
        let data = Heartbeat::Lease(Lease { sent_ns: 1, lease_ms }).encode(&mut room);
        self.send(assoc, 0, &Message::Beat(Beat { data: Some(data) }));
    }

    /// Answers a BEAT.
    pub(super) fn echo(&mut self, assoc: AssocId, beat: &Got) {
        let mut room = [0; HEARTBEAT_MAX];
        let data = match beat {
            Got::Barrier(id) => Heartbeat::Barrier(*id).encode(&mut room),
            Got::Liveness(id) => Heartbeat::Liveness(*id).encode(&mut room),
            Got::Release(block) => Heartbeat::Release(key(*block * 32)).encode(&mut room),
            Got::Data(..) | Got::CookieEcho(_) | Got::LeaseEcho | Got::Other(_) => panic!("no BEAT: {beat:?}"),
        };
        self.send(assoc, 0, &Message::BeatAck(Beat { data: Some(data) }));
    }

    /// The network sends a message on this circuit.
    pub(super) fn offer(&mut self, cic: u16, text: u8) {
        let user_data = [cic as u8, (cic >> 8) as u8, text];
        let message = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 0, user_data: &user_data };
        self.on(|pool, cx| pool.offer(cx, &message, Origin { id: CorrelationId::NONE, forward: 0 }));
    }

    /// The controller answers on this circuit.
    pub(super) fn output(&mut self, assoc: AssocId, cic: u16, text: u8) {
        let user_data = [cic as u8, (cic >> 8) as u8, text];
        let protocol_data = ProtocolData { opc: 2, dpc: 1, si: 5, ni: 2, mp: 0, sls: 0, user_data: &user_data };
        let data = Data {
            network_appearance: None,
            routing_context: Some(ROUTING_CONTEXT),
            protocol_data,
            correlation_id: None,
        };
        self.send(assoc, stream_for(&key(cic), STREAMS), &Message::Data(data));
    }

    /// The controller commits: everything up to this sequence number is applied.
    pub(super) fn cookie(&mut self, assoc: AssocId, cic: u16, mark: u32, state: &[u8]) {
        self.whole_cookie(assoc, cookie(cic, mark, state));
    }

    pub(super) fn whole_cookie(&mut self, assoc: AssocId, cookie: Bytes) {
        let stream = stream_for(&Envelope::decode(&cookie).unwrap().group, STREAMS);
        let payload = Asap::Cookie { cookie }.encode().unwrap();
        self.on(|pool, cx| pool.message(cx, assoc, stream, ppid::ASAP, false, &payload));
    }

    /// The ages in the cookies that this controller was sent.
    pub(super) fn cookie_ages(&self, assoc: AssocId) -> Vec<u32> {
        let asap = self.wire.sent.iter().filter(|(to, how, _)| *to == assoc && how.ppid == ppid::ASAP);
        asap.map(|(_, _, bytes)| Envelope::decode(&cookie_in(bytes)).unwrap().age_ms).collect()
    }

    pub(super) fn close(&mut self, assoc: AssocId, reason: &CloseReason) {
        assert!(self.on(|pool, cx| pool.closed(cx, assoc, reason)));
    }

    /// What this controller was sent since the last look, BEATs and all.
    pub(super) fn all(&mut self, assoc: AssocId) -> Vec<Got> {
        let mine = |(to, _, _): &(AssocId, How, Bytes)| *to == assoc;
        let got = self.wire.sent.iter().filter(|sent| mine(sent)).map(|(_, how, bytes)| decode(*how, bytes)).collect();
        self.wire.sent.retain(|sent| !mine(sent));
        got
    }

    /// DATA and cookies this controller was sent since the last look.
    pub(super) fn got(&mut self, assoc: AssocId) -> Vec<Got> {
        let mut got = self.all(assoc);
        got.retain(|got| matches!(got, Got::Data(..) | Got::CookieEcho(_)));
        got
    }

    /// How many groups each of these controllers owns.
    pub(super) fn groups_of(&self, controllers: &[AssocId]) -> Vec<usize> {
        controllers.iter().map(|assoc| self.pool.controllers[assoc].groups.len()).collect()
    }

    pub(super) fn clear(&mut self) {
        self.wire.sent.clear();
    }

    /// User data released to the network, last octet only.
    pub(super) fn take_released(&mut self) -> Vec<u8> {
        let mut released = Vec::new();
        while let Some(effect) = self.journal.poll_effect() {
            match effect {
                Effect::Output(msu) => released.push(*msu.user_data.last().unwrap()),
                Effect::Committed { pe, incarnation, transaction } => {
                    self.record.committed(self.now, pe, incarnation, transaction);
                }
                Effect::Again(_) | Effect::Accepted { .. } => panic!("there is one gateway"),
            }
        }
        released
    }

    /// The record's lines of one kind, without time.
    pub(super) fn lines(&self, kind: &str) -> Vec<String> {
        let of_kind = self.record.lines().lines().filter(|line| line.split(',').next() == Some(kind));
        of_kind.map(|line| line.splitn(3, ',').nth(2).unwrap().to_owned()).collect()
    }
}

pub(super) fn key(cic: u16) -> GroupKey {
    GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: cic / 32 }
}

pub(super) fn cookie(cic: u16, mark: u32, state: &[u8]) -> Bytes {
    let mark = if mark == 0 { CorrelationId::NONE } else { CorrelationId(CorrelationId::start(1, 2).0 | mark) };
    let envelope = Envelope { group: key(cic), ni: 2, mark, transaction: 5, incarnation: 6, age_ms: 0, state };
    let mut bytes = vec![0; envelope.encoded_len()];
    envelope.encode(&mut bytes).unwrap();
    bytes.into()
}

pub(super) fn data(sequence: u32, cic: u16, text: u8) -> Got {
    Got::Data(sequence, vec![cic as u8, (cic >> 8) as u8, text])
}

fn cookie_in(asap: &Bytes) -> Bytes {
    let Asap::CookieEcho { cookie } = Asap::decode(asap, &asap::wire::Limits::default()).unwrap().message else {
        panic!("only COOKIE_ECHO goes to a controller");
    };
    cookie
}

fn decode(how: How, bytes: &Bytes) -> Got {
    if how.ppid == ppid::ASAP {
        // Its age is another test's business.
        let mut cookie = cookie_in(bytes).to_vec();
        Envelope::set_age(&mut cookie, 0);
        return Got::CookieEcho(cookie);
    }
    let message = Message::decode(bytes).unwrap();
    let name = message.message_type().name();
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told by name")]
    match message {
        Message::Data(data) => {
            assert_ne!(how.stream, 0);
            let id = CorrelationId(data.correlation_id.unwrap());
            Got::Data(id.sequence(), data.protocol_data.user_data.to_vec())
        }
        Message::Beat(beat) => match Heartbeat::decode(beat.data.unwrap()) {
            Heartbeat::Barrier(id) => {
                assert!(!how.unordered && how.stream != 0, "ordered behind DATA");
                Got::Barrier(id)
            }
            Heartbeat::Liveness(id) => {
                assert!(how.unordered && how.stream == 0, "overtakes DATA");
                Got::Liveness(id)
            }
            Heartbeat::Release(group) => {
                assert!(!how.unordered && how.stream == stream_for(&group, STREAMS), "ordered behind the group's DATA");
                Got::Release(group.cic_block)
            }
            Heartbeat::Lease(_) | Heartbeat::Lead(_) | Heartbeat::Foreign(_) => Got::Other("foreign BEAT"),
        },
        Message::BeatAck(_) => Got::LeaseEcho,
        _ => Got::Other(name),
    }
}

impl Pool {
    /// Everything that must hold between two calls, looked at the slow way.
    pub(super) fn assert_consistent(&self) {
        let queued: usize = self.groups.iter().map(crate::group::Group::len).sum();
        assert_eq!(queued, self.queued.messages, "queue counter");
        let state: usize = self.groups.iter().map(crate::group::Group::state_bytes).sum();
        assert_eq!(state, self.state_bytes, "what controllers make it keep");
        assert!(self.counters.balances(queued), "offered = applied + discarded + waiting: {:?}", self.counters);
        for (assoc, controller) in &self.controllers {
            let unconfirmed: usize = controller.groups.iter().map(|id| self.groups[id.0 as usize].unconfirmed()).sum();
            assert_eq!(unconfirmed, controller.unconfirmed, "unconfirmed at one controller");
            let queued: usize = controller.groups.iter().map(|id| self.groups[id.0 as usize].len()).sum();
            assert_eq!(queued, controller.queued, "in the queues of its groups");
            for id in &controller.groups {
                assert_eq!(self.groups[id.0 as usize].owner, crate::group::Owner::Controller(*assoc), "one owner");
            }
        }
        let asked_back: usize = self.controllers.values().map(|controller| controller.asked_back).sum();
        assert_eq!(asked_back, self.moves.outstanding(), "moves by controller");
        assert_eq!(asked_back, self.groups.iter().filter(|group| group.asked_back).count(), "moves by group");
        let Counters { moves_started, moves_completed, moves_cancelled, .. } = self.counters;
        assert_eq!(moves_started, moves_completed + moves_cancelled + asked_back as u64, "moves by counter");
        for (index, group) in self.groups.iter().enumerate() {
            let id = GroupId(index as u32);
            match group.owner {
                crate::group::Owner::Controller(assoc) => {
                    assert!(self.controllers[&assoc].groups.contains(&id), "owner knows its group");
                }
                crate::group::Owner::Fenced => {
                    assert!(self.fences.iter().any(|(_, groups)| groups.contains(&id)), "fenced by a fence");
                    assert_eq!(group.unconfirmed(), 0);
                }
                crate::group::Owner::Nobody => {
                    assert_eq!(group.unconfirmed(), 0);
                    assert!(group.len() == 0 || group.waits, "nobody forgets a message");
                }
            }
            assert_eq!(group.waits, self.waiting.contains(&id), "the list of waiting groups");
        }
    }
}
