//! The network side against scripted peers.

use super::*;
use crate::msu::Msu;
use crate::route::Destinations;
use bytes::Bytes;
use enrp::daemon::RecordSink;
use m3ua_lite::session::HEARTBEAT_MAX;
use m3ua_lite::session::Heartbeat;
use m3ua_lite::wire::{
    AffectedList, AffectedPc, AspActive, AspUp, Beat, Data, ErrorCode, RoutingContexts, Scon, one_context,
};
use sctp::{ClockAnchor, SendError, Undelivered};
use std::net::{IpAddr, SocketAddr};

#[derive(Default)]
pub(super) struct Wire {
    pub(super) sent: Vec<(AssocId, How, Bytes)>,
    pub(super) aborted: Vec<AssocId>,
    full: bool,
    /// Only this one has no room.
    full_for: Option<AssocId>,
    /// Associations asked for; numbers from 100 on.
    pub(super) connects: Vec<IpAddr>,
}

impl Transport for Wire {
    fn connect(&mut self, _now: Instant, addresses: &[IpAddr], _port: u16) -> Option<AssocId> {
        self.connects.push(addresses[0]);
        Some(AssocId(99 + self.connects.len() as u64))
    }
    fn send(&mut self, _now: Instant, assoc: AssocId, how: How, payload: Bytes) -> Result<(), SendError> {
        if self.full || self.full_for == Some(assoc) {
            return Err(SendError::QueueFull);
        }
        self.sent.push((assoc, how, payload));
        Ok(())
    }
    fn abort(&mut self, _now: Instant, assoc: AssocId) {
        self.aborted.push(assoc);
    }
    fn shutdown(&mut self, _now: Instant, _assoc: AssocId) {}
    fn rtt(&self, _assoc: AssocId) -> Option<Duration> {
        None
    }
}

pub(super) struct Bench {
    pub(super) now: Instant,
    pub(super) network: Network,
    pub(super) wire: Wire,
    record: Recorder,
}

pub(super) const ONE: AssocId = AssocId(1);
const TWO: AssocId = AssocId(2);

impl Bench {
    pub(super) fn new(change: impl FnOnce(&mut config::Network)) -> Self {
        let now = Instant::now();
        let mut config =
            config::Network { point_codes: vec![1], t_r_ms: 100, beat_ms: 0, ..config::Network::default() };
        change(&mut config);
        let clock = ClockAnchor { instant: now, monotonic_ns: 0 };
        let record = Recorder::new(clock, RecordSink::Memory(Vec::new()), 1, 1, true);
        Self { now, network: Network::new(now, config, [7].into_iter(), None), wire: Wire::default(), record }
    }

    pub(super) fn on<R>(&mut self, work: impl FnOnce(&mut Network, &mut NetCx<'_>) -> R) -> R {
        let mut cx = NetCx { now: self.now, net: &mut self.wire, record: &mut self.record };
        work(&mut self.network, &mut cx)
    }

    pub(super) fn up(&mut self, assoc: AssocId, address: [u8; 4]) {
        let address = [SocketAddr::from((address, 9899))];
        self.on(|network, cx| network.up(cx, assoc, &address, 5));
    }

    pub(super) fn message(&mut self, assoc: AssocId, stream: u16, message: &Message<'_>) -> Option<String> {
        let payload = msu::encode(message).unwrap();
        self.bytes(assoc, stream, &payload)
    }

    pub(super) fn bytes(&mut self, assoc: AssocId, stream: u16, payload: &Bytes) -> Option<String> {
        self.on(|network, cx| {
            let inbound = network.message(cx, assoc, stream, ppid::M3UA, false, payload);
            inbound.map(|inbound| format!("{inbound:?}"))
        })
    }

    pub(super) fn active(&mut self, assoc: AssocId) {
        self.up(assoc, [127, 0, 0, 9]);
        self.message(assoc, 0, &Message::AspUp(AspUp { asp_id: Some(assoc.0 as u32), info: None }));
        let active = AspActive { traffic_mode: None, routing_contexts: one_context(100), info: None };
        assert_eq!(self.message(assoc, 0, &Message::AspActive(active)).as_deref(), Some("Active"));
        self.wire.sent.clear();
    }

    fn output(&mut self, sls: u8, text: &'static [u8]) {
        self.output_to(1, sls, text);
    }

    pub(super) fn output_to(&mut self, dpc: u32, sls: u8, text: &'static [u8]) {
        let user_data = Bytes::from_static(text);
        let msu = Msu { opc: 2, dpc, si: 5, ni: 2, mp: 0, sls, user_data, id: CorrelationId::NONE, network: None };
        self.on(|network, cx| network.send(cx, msu));
    }

    /// Peer, stream and name (for DATA the user data) of what was sent.
    pub(super) fn sent(&mut self) -> Vec<(u64, u16, String)> {
        let sent = std::mem::take(&mut self.wire.sent);
        let text = |bytes: &Bytes| match Message::decode(bytes) {
            Ok(Message::Data(data)) => String::from_utf8_lossy(data.protocol_data.user_data).into_owned(),
            Ok(other) => other.message_type().name().to_owned(),
            Err(error) => panic!("{error}"),
        };
        sent.iter().map(|(assoc, how, bytes)| (assoc.0, how.stream, text(bytes))).collect()
    }
}

#[test]
fn peers_share_the_traffic_by_sls_and_keep_it_on_one_stream() {
    let mut bench = Bench::new(|_| {});
    bench.active(ONE);
    bench.active(TWO);
    bench.wire.sent.clear();
    for sls in 0..4 {
        bench.output(sls, b"abc");
    }
    let sent: Vec<_> = bench.sent().into_iter().map(|(peer, stream, _)| (peer, stream)).collect();
    assert_eq!(sent, [(1, 1), (2, 2), (1, 3), (2, 4)]);
}

#[test]
fn output_waits_for_a_peer_in_order_and_then_is_discarded() {
    let mut bench = Bench::new(|config| config.queue_messages_max = 2);
    bench.output(0, b"aaa");
    bench.output(1, b"bbb");
    bench.output(0, b"ccc");
    assert_eq!(bench.network.counters.discarded.of(Discard::QueueFull), 1);
    bench.up(ONE, [127, 0, 0, 9]);
    bench.message(ONE, 0, &Message::AspUp(AspUp::default()));
    bench.wire.sent.clear();
    bench.message(ONE, 0, &Message::AspActive(AspActive::default()));
    let data: Vec<_> = bench.sent().into_iter().map(|(_, _, text)| text).filter(|text| text.len() == 3).collect();
    assert_eq!(data, ["aaa", "bbb"]);
    bench.on(|network, cx| network.closed(cx, ONE, Vec::new()));
    bench.output(0, b"ddd");
    bench.now += Duration::from_millis(100);
    bench.on(|network, cx| network.handle_timeout(cx, None));
    assert_eq!(bench.network.counters.discarded.of(Discard::NoPeer), 1);
    assert!(bench.record.lines().contains("no-peer,down,2,1,5,2,0,"), "{}", bench.record.lines());
}

#[test]
fn sctp_without_room_is_asked_again_and_nothing_overtakes() {
    let mut bench = Bench::new(|_| {});
    bench.active(ONE);
    bench.wire.full = true;
    bench.output(0, b"aaa");
    bench.wire.full = false;
    bench.output(0, b"bbb");
    assert!(bench.sent().is_empty());
    assert_eq!(bench.network.poll_timeout(), Some(bench.now + RETRY));
    bench.now += RETRY;
    bench.on(|network, cx| network.handle_timeout(cx, None));
    assert_eq!(bench.sent().into_iter().map(|(_, _, text)| text).collect::<Vec<_>>(), ["aaa", "bbb"]);
}

#[test]
fn what_a_lost_peer_was_not_sent_goes_by_another() {
    let mut bench = Bench::new(|_| {});
    bench.active(ONE);
    bench.active(TWO);
    bench.wire.sent.clear();
    bench.output(0, b"aaa");
    bench.output(0, b"bbb");
    let payloads: Vec<Bytes> = bench.wire.sent.drain(..).map(|(_, _, bytes)| bytes).collect();
    let lost = |payload: &Bytes, transmitted| Undelivered {
        stream: 1,
        ppid: ppid::M3UA,
        context: 0,
        transmitted,
        payload: payload.clone(),
    };
    let undelivered = vec![lost(&payloads[0], true), lost(&payloads[1], false)];
    bench.on(|network, cx| network.closed(cx, ONE, undelivered));
    let data: Vec<_> = bench.sent().into_iter().filter(|(_, _, text)| text.len() == 3).collect();
    assert_eq!(data, [(2, 1, "bbb".to_owned())], "the first may have arrived");
    assert_eq!(bench.network.counters.undelivered, 1);
}

#[test]
fn a_peer_without_room_holds_up_nobody_else() {
    let mut bench = Bench::new(|_| {});
    bench.active(ONE);
    bench.active(TWO);
    bench.wire.sent.clear();
    bench.wire.full_for = Some(ONE);
    for (sls, text) in [(0, b"aaa"), (1, b"bbb"), (0, b"ccc"), (3, b"ddd")] {
        bench.output(sls, text);
    }
    assert_eq!(bench.sent(), [(2, 2, "bbb".to_owned()), (2, 4, "ddd".to_owned())]);
    bench.wire.full_for = None;
    bench.output(0, b"eee");
    assert!(bench.sent().is_empty(), "not before what waits with its SLS");
    bench.now += RETRY;
    bench.on(|network, cx| network.handle_timeout(cx, None));
    let sent: Vec<_> = bench.sent().into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(sent, ["aaa", "ccc", "eee"]);
    assert_eq!((bench.network.queue_bytes, bench.network.sets[0].queued_of_sls.iter().sum::<u32>()), (0, 0));
}

#[test]
fn what_a_lost_peer_was_not_sent_goes_before_what_waited_behind_it() {
    let mut bench = Bench::new(|config| config.queue_messages_max = 3);
    bench.active(ONE);
    bench.output(0, b"aaa");
    bench.output(0, b"bbb");
    let unsent = |(_, _, payload): (AssocId, How, Bytes)| Undelivered {
        stream: 1,
        ppid: ppid::M3UA,
        context: 0,
        transmitted: false,
        payload,
    };
    let undelivered: Vec<_> = bench.wire.sent.drain(..).map(unsent).collect();
    bench.wire.full = true;
    bench.output(0, b"ccc");
    bench.output(0, b"ddd");
    bench.wire.full = false;
    bench.on(|network, cx| network.closed(cx, ONE, undelivered));
    assert_eq!(bench.network.counters.discarded.of(Discard::QueueFull), 1, "the newest");
    bench.up(TWO, [127, 0, 0, 9]);
    bench.message(TWO, 0, &Message::AspUp(AspUp::default()));
    bench.wire.sent.clear();
    bench.message(TWO, 0, &Message::AspActive(AspActive::default()));
    let data: Vec<_> = bench.sent().into_iter().map(|(_, _, text)| text).filter(|text| text.len() == 3).collect();
    assert_eq!(data, ["aaa", "bbb", "ccc"]);
}

#[test]
fn a_point_code_that_is_not_the_networks_has_no_route() {
    let mut bench = Bench::new(|_| {});
    bench.active(ONE);
    let user_data = Bytes::from_static(b"abc");
    let msu = Msu { opc: 2, dpc: 99, si: 5, ni: 2, mp: 0, sls: 0, user_data, id: CorrelationId::NONE, network: None };
    bench.on(|network, cx| network.send(cx, msu.clone()));
    assert_eq!(bench.network.counters.discarded.of(Discard::NoRoute), 1);
    for si in 0..4 {
        bench.on(|network, cx| network.send(cx, Msu { dpc: 1, si, ..msu.clone() }));
    }
    assert_eq!(bench.sent().len(), 1, "MTP3's own management (SI 0 to 2) is not carried");
    assert_eq!(bench.network.counters.discarded.of(Discard::MtpManagement), 3);
}

#[test]
fn who_may_attach() {
    let mut bench = Bench::new(|config| {
        config.allowed_addresses = vec![IpAddr::from([127, 0, 0, 9])];
        config.allowed_asp_ids = vec![7];
    });
    bench.up(ONE, [127, 0, 0, 8]);
    assert_eq!(bench.wire.aborted, [ONE]);
    bench.up(TWO, [127, 0, 0, 9]);
    for asp_id in [None, Some(8)] {
        bench.message(TWO, 0, &Message::AspUp(AspUp { asp_id, info: None }));
        assert_eq!(bench.sent(), [(2, 0, "ERR".to_owned())]);
    }
    bench.message(TWO, 0, &Message::AspUp(AspUp { asp_id: Some(7), info: None }));
    assert_eq!(bench.sent()[0].2, "ASPUP ACK");
}

#[test]
fn a_beat_is_echoed_as_it_came() {
    let mut bench = Bench::new(|_| {});
    bench.active(ONE);
    let mut room = [0; HEARTBEAT_MAX];
    let data = Some(Heartbeat::Barrier(3).encode(&mut room));
    bench.message(ONE, 2, &Message::Beat(Beat { data }));
    assert_eq!(bench.sent(), [(1, 2, "BEAT ACK".to_owned())]);
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_are_counted_and_answered_at_most_ten_times(
        junk in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), 0..60),
        class in 0u8..12, kind in 0u8..8, active in proptest::prelude::any::<bool>(),
    ) {
        let mut bench = Bench::new(|_| {});
        if active { bench.active(ONE) } else { bench.up(ONE, [127, 0, 0, 9]) }
        bench.wire.sent.clear();
        for mut bytes in junk {
            // Half of them with a header that is almost right.
            if bytes.len() >= 8 && bytes[0] % 2 == 0 {
                let length = (bytes.len() as u32).to_be_bytes();
                bytes[..4].copy_from_slice(&[1, 0, class, kind]);
                bytes[4..8].copy_from_slice(&length);
            }
            bench.bytes(ONE, 1, &Bytes::from(bytes));
        }
        let errors = bench.sent().iter().filter(|(_, _, name)| name == "ERR").count();
        proptest::prop_assert!(errors <= 10);
    }
}

#[test]
fn congestion_is_told_with_and_without_levels() {
    for levels in [true, false] {
        let mut bench = Bench::new(|config| config.congestion_levels = levels);
        bench.active(ONE);
        bench.up(TWO, [127, 0, 0, 10]);
        for level in [2, 0] {
            bench.on(|network, cx| {
                network.announce_congestion(cx, None, level, &Destinations::one(None, AffectedPc::new(0, 7)))
            });
        }
        let sent: Vec<_> = std::mem::take(&mut bench.wire.sent);
        let told: Vec<_> = sent
            .iter()
            .map(|(assoc, how, bytes)| match Message::decode(bytes) {
                Ok(Message::Scon(scon)) => (*assoc, how.stream, scon.affected[0].pc(), scon.congestion_level),
                other => panic!("{other:?}"),
            })
            .collect();
        let all = [(ONE, 0, 7, Some(2)), (ONE, 0, 7, Some(0))];
        let expected: &[_] = if levels { &all } else { &[(ONE, 0, 7, None)] };
        assert_eq!(told, expected, "the peer that is not active hears nothing");
    }
}

#[test]
fn congestion_that_peers_tell_goes_to_the_pools_and_a_flood_does_not() {
    let mut bench = Bench::new(|config| config.audits_per_s = 100);
    bench.active(ONE);
    let scon = Scon {
        network_appearance: None,
        routing_contexts: RoutingContexts::new(),
        affected: AffectedList::from_slice(&[AffectedPc::one(7); 3]).unwrap(),
        concerned: Some(2),
        congestion_level: None,
        info: None,
    };
    for _ in 0..30 {
        bench.message(ONE, 0, &Message::Scon(scon.clone()));
    }
    let first = bench.network.poll_congested();
    assert_eq!(first, Some(Congested { network: None, affected: AffectedPc::one(7), level: None }));
    assert_eq!(std::iter::from_fn(|| bench.network.poll_congested()).count(), 63, "no more at a time");
    assert_eq!((bench.network.counters.congestion_heard, bench.network.counters.floods_suppressed), (64, 26));
}

#[test]
fn a_message_without_a_route_is_answered_ten_times_a_second() {
    use crate::route::Refusal;
    let mut bench = Bench::new(|_| {});
    bench.active(ONE);
    let message = ProtocolData { opc: 1, dpc: 9, si: 13, ni: 2, mp: 0, sls: 0, user_data: &[] };
    let message = Traffic { message, network: None };
    let refuse = |bench: &mut Bench, refusal| bench.on(|network, cx| network.refuse(cx, ONE, refusal, &message));
    refuse(&mut bench, Refusal::Destination);
    refuse(&mut bench, Refusal::Origin);
    refuse(&mut bench, Refusal::NetworkIndicator);
    refuse(&mut bench, Refusal::UserPart);
    let sent = std::mem::take(&mut bench.wire.sent);
    let decoded: Vec<_> = sent.iter().map(|(_, _, bytes)| Message::decode(bytes).unwrap()).collect();
    assert!(
        matches!(&decoded[..], [Message::Duna(duna), Message::Dupu(dupu)]
        if duna.affected[0].pc() == 9 && dupu.affected == 9 && dupu.user_cause.user == 13),
        "{decoded:?}"
    );
    (0..100).for_each(|_| refuse(&mut bench, Refusal::Destination));
    assert_eq!(bench.wire.sent.len(), 8, "ten in a second");
    assert_eq!((bench.network.counters.refusals_told, bench.network.counters.refusals_suppressed), (10, 92));
    bench.now += Duration::from_secs(1);
    refuse(&mut bench, Refusal::Destination);
    assert_eq!(bench.wire.sent.len(), 9);
}

#[test]
fn several_networks_over_one_association_each_with_its_appearance() {
    let data = |network_appearance| {
        let protocol_data = ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 0, user_data: &[1] };
        Message::Data(Data { network_appearance, routing_context: Some(100), protocol_data, correlation_id: None })
    };
    // The bench has an application server with Network Appearance 7.
    for (ours, taken) in [(None, [true, false, false, false]), (Some(5), [true, true, true, false])] {
        let mut bench = Bench::new(|config| config.network_appearance = ours);
        bench.active(ONE);
        for (given, taken) in [None, Some(5), Some(7), Some(9)].into_iter().zip(taken) {
            let network = bench
                .message(ONE, 1, &data(given))
                .map(|inbound| inbound.contains(&format!("network: {:?}", given.or(ours))));
            assert_eq!(network, taken.then_some(true), "{ours:?} {given:?}");
            let sent = std::mem::take(&mut bench.wire.sent);
            let refused = sent.iter().map(|(_, _, bytes)| match Message::decode(bytes) {
                Ok(Message::Error(error)) => (error.code, error.network_appearance),
                other => panic!("{other:?}"),
            });
            let wanted = (!taken).then_some((ErrorCode::InvalidNetworkAppearance, given));
            assert_eq!(refused.collect::<Vec<_>>(), wanted.into_iter().collect::<Vec<_>>());
        }
        // Output, and what is told of destinations.
        for (network, told) in [(None, ours), (Some(7), ours.map(|_| 7))] {
            let user_data = Bytes::from_static(b"abc");
            let msu = Msu { opc: 2, dpc: 1, si: 5, ni: 2, mp: 0, sls: 0, user_data, id: CorrelationId::NONE, network };
            bench.on(|side, cx| side.send(cx, msu));
            let destinations = Destinations::one(network, AffectedPc::one(2));
            bench.on(|side, cx| side.announce(cx, None, true, &destinations));
            bench.on(|side, cx| side.announce_congestion(cx, None, 1, &destinations));
            let sent = std::mem::take(&mut bench.wire.sent);
            let appearances = sent.iter().map(|(_, _, bytes)| {
                let message = Message::decode(bytes).unwrap();
                if let Message::Data(data) = message {
                    data.network_appearance
                } else if let Message::Dava(dava) = message {
                    dava.network_appearance
                } else if let Message::Scon(scon) = message {
                    scon.network_appearance
                } else {
                    panic!("{message:?}")
                }
            });
            assert_eq!(appearances.collect::<Vec<_>>(), [told; 3], "{ours:?} {network:?}");
        }
    }
}
