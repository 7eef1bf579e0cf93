//! A session against a scripted gateway, with a virtual clock.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test picks the messages it looks for")]

mod capacity;
mod hostile;
mod leader;
mod release;
mod takeover;

use super::*;
use enrp::daemon::RecordSink;
use m3ua_lite::session::GroupKey;
use m3ua_lite::wire::{AspActive, AspUp, ProtocolData};

const STREAMS: u16 = 17;
const LEASE_MS: u64 = 280;

/// A session, and the gateway's end of it.
struct Bed {
    now: Instant,
    shared: Shared,
    session: Session,
}

/// What the controller sent, in words.
fn word(send: &Send) -> String {
    let u = if send.unordered { "u" } else { "" };
    let text = match send.ppid {
        ppid::ASAP => {
            let decoded = asap_wire::Message::decode(&send.payload, &Default::default()).unwrap().message;
            let asap_wire::Message::Cookie { cookie } = decoded else { panic!("{decoded:?}") };
            let envelope = Envelope::decode(&cookie).unwrap();
            format!("cookie {} mark {} txn {}", envelope.group.cic_block, envelope.mark, envelope.transaction)
        }
        _ => match Message::decode(&send.payload).unwrap() {
            Message::Data(data) => {
                let pd = data.protocol_data;
                assert_eq!((pd.opc, pd.dpc, data.routing_context), (2, 1, Some(1)));
                let kind = itu_isup::MessageType::from_u8(pd.user_data.get(2).copied().unwrap_or_default());
                format!("{} {}", if pd.si == 5 { kind.acronym() } else { "data" }, pd.sls)
            }
            Message::BeatAck(beat) => format!("echo {:?}", Heartbeat::decode(beat.data.unwrap())),
            Message::Beat(_) => "lease".to_owned(),
            other => other.message_type().name().to_owned(),
        },
    };
    format!("{}{u}: {text}", send.stream)
}

impl Bed {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let now = Instant::now();
        let clock = ClockAnchor { instant: now, monotonic_ns: 1_000_000 };
        let mut shared = Shared {
            record: Record::new(clock, RecordSink::Memory(Vec::new()), (0xab, 9), true),
            capacity: Capacity::new(now, config.session.capacity_per_s),
            config,
            clock,
            pe: 0xab,
            incarnation: 9,
            isup: Default::default(),
            tcap: Default::default(),
            recorded: Default::default(),
            counters: Default::default(),
            transaction: 0,
            groups: 0,
            stopping: false,
            leader: Leader::default(),
        };
        shared.record.flush().unwrap();
        let session = Session::new(now, &shared, STREAMS);
        Self { now, shared, session }
    }

    /// With ASPUP, first lease and ASPAC behind it.
    fn active(change: impl FnOnce(&mut Config)) -> Self {
        let mut bed = Self::new(change);
        assert_eq!(bed.take(), ["0: ASPUP"]);
        bed.m3ua(0, &Message::AspUpAck(AspUp::default()));
        if bed.shared.config.session.lease {
            bed.run_ms(0);
            bed.echo_leases();
        }
        assert_eq!(bed.take().pop().unwrap(), "0: ASPAC");
        let ack = AspActive { routing_contexts: one_context(1), ..AspActive::default() };
        bed.m3ua(0, &Message::AspActiveAck(ack));
        assert_eq!(bed.session.asp_state(), AspState::Active);
        bed
    }

    fn receive(&mut self, stream: u16, ppid: u32, payload: &[u8]) {
        self.session.handle_message(self.now, &mut self.shared, (stream, ppid, false), payload);
    }

    fn m3ua(&mut self, stream: u16, message: &Message) {
        self.receive(stream, ppid::M3UA, &encode(message).unwrap());
    }

    /// ISUP from network 1 to pool 2.
    fn isup(&mut self, id: Option<u32>, user_data: &[u8]) {
        self.data(id, 5, user_data);
    }

    fn data(&mut self, id: Option<u32>, si: u8, user_data: &[u8]) {
        let protocol_data = ProtocolData { opc: 1, dpc: 2, si, ni: 2, mp: 0, sls: 3, user_data };
        let data = Data { network_appearance: None, routing_context: Some(1), protocol_data, correlation_id: id };
        let stream = GroupKey::from_network(&protocol_data).map_or(1, |key| stream_for(&key, STREAMS));
        self.m3ua(stream, &Message::Data(data));
    }

    fn beat(&mut self, stream: u16, unordered: bool, heartbeat: Heartbeat) {
        let mut room = [0; HEARTBEAT_MAX];
        let payload = encode(&Message::Beat(Beat { data: Some(heartbeat.encode(&mut room)) })).unwrap();
        self.session.handle_message(self.now, &mut self.shared, (stream, ppid::M3UA, unordered), &payload);
    }

    /// Ends the batch and takes what is sent.
    fn sends(&mut self) -> Vec<Send> {
        self.session.close_batch(self.now, &mut self.shared);
        self.shared.record.flush().unwrap();
        std::iter::from_fn(|| self.session.poll_send()).collect()
    }

    fn take(&mut self) -> Vec<String> {
        self.sends().iter().map(word).collect()
    }

    /// As `take`, without lease BEATs.
    fn output(&mut self) -> Vec<String> {
        self.take().into_iter().filter(|word| !word.ends_with("lease")).collect()
    }

    /// Echoes every lease BEAT that waits to be sent, puts the rest back.
    fn echo_leases(&mut self) {
        let sends: Vec<Send> = std::iter::from_fn(|| self.session.poll_send()).collect();
        for send in sends {
            if let Ok(Message::Beat(beat)) = Message::decode(&send.payload) {
                assert_eq!((send.stream, send.unordered), (0, true));
                self.m3ua(0, &Message::BeatAck(beat));
            } else {
                self.session.sends.push_back(send);
            }
        }
    }

    /// Lets time pass; the gateway echoes leases if `echo`.
    fn run(&mut self, ms: u64, echo: bool) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.session.poll_timeout(&self.shared).filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.session.handle_timeout(self.now, &mut self.shared);
            if echo {
                self.echo_leases();
            }
        }
        self.now = end;
    }

    fn run_ms(&mut self, ms: u64) {
        self.run(ms, false);
    }

    /// The record's lines of these kinds, without the time.
    fn record(&mut self, kinds: &str) -> Vec<String> {
        self.shared.record.flush().unwrap();
        let text = String::from_utf8(self.shared.record.memory().to_vec()).unwrap();
        let wanted = text.lines().filter(|line| kinds.contains(&line[..1]));
        let untimed = wanted.map(|line| {
            let mut fields: Vec<&str> = line.split(',').collect();
            fields.remove(1);
            fields.join(",")
        });
        untimed.collect()
    }
}

fn iam(cic: u16) -> Vec<u8> {
    let called = itu_isup::Number::called(3, 1, false, "5551234");
    itu_isup::Message::iam(cic, 0, 0x2001, 10, 0, &called).unwrap().encode().unwrap()
}

fn rel(cic: u16) -> Vec<u8> {
    itu_isup::Message::release(cic, &itu_isup::CauseIndicators::new(0, 16)).encode().unwrap()
}

fn key(block: u16) -> GroupKey {
    GroupKey { opc: 1, dpc: 2, si: 5, sls: 0, cic_block: block }
}

#[test]
fn aspac_waits_for_the_first_lease() {
    let mut bed = Bed::new(|_| ());
    assert_eq!(bed.take(), ["0: ASPUP"]);
    bed.m3ua(0, &Message::AspUpAck(AspUp::default()));
    assert_eq!(bed.take(), [""; 0]);
    bed.run_ms(100);
    assert_eq!(bed.take(), ["0u: lease"; 3]);
    assert_eq!(bed.session.asp_state(), AspState::Inactive);
    bed.run_ms(20);
    bed.echo_leases();
    assert_eq!(bed.take(), ["0: ASPAC"]);
    // Without acknowledgement it is sent again after T(ack).
    bed.run(499, true);
    assert_eq!(bed.output(), [""; 0]);
    bed.run(1, true);
    assert_eq!(bed.output(), ["0: ASPAC"]);
}

#[test]
fn outputs_come_before_their_cookie_and_the_barrier_behind_it() {
    let mut bed = Bed::active(|_| ());
    let (one, two) = (stream_for(&key(1), STREAMS), stream_for(&key(2), STREAMS));
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.beat(one, false, Heartbeat::Barrier(7));
    bed.beat(0, true, Heartbeat::Liveness(8));
    bed.isup(Some(0x1000_0001), &rel(70));
    bed.isup(Some(0x1000_0002), &rel(37));
    assert_eq!(
        bed.output(),
        [
            "0u: echo Liveness(8)".to_owned(),
            format!("{one}: RLC 5"),
            format!("{one}: cookie 1 mark 10000002 txn 1"),
            format!("{two}: RLC 6"),
            format!("{two}: cookie 2 mark 10000001 txn 2"),
            format!("{one}: echo Barrier(7)"),
        ]
    );
    assert_eq!(
        bed.record("IO").iter().map(|line| line.rsplit_once(',').unwrap().0).collect::<Vec<_>>(),
        [
            "I,1,10000001,1,2,5,2,3,37",
            "I,2,10000001,1,2,5,2,3,70",
            "O,2,2,1,5,2,6,70",
            "I,1,10000002,1,2,5,2,3,37",
            "O,1,2,1,5,2,5,37",
        ]
    );
    assert_eq!(bed.output(), [""; 0], "a batch without input has no transaction");
}

#[test]
fn a_timer_is_a_transaction_too() {
    let mut bed = Bed::active(|_| ());
    let stream = stream_for(&key(1), STREAMS);
    bed.isup(Some(0x1000_0001), &iam(37));
    assert_eq!(bed.output(), [format!("{stream}: cookie 1 mark 10000001 txn 1")]);
    bed.run(20, true);
    assert_eq!(bed.output(), [format!("{stream}: ACM 5"), format!("{stream}: cookie 1 mark 10000001 txn 2")]);
}

#[test]
fn duplicates_are_recorded_and_not_applied() {
    let mut bed = Bed::active(|_| ());
    for id in [5, 5, 4, 6] {
        bed.isup(Some(0x1000_0000 + id), &rel(37));
    }
    // Another group has a sequence of its own.
    bed.isup(Some(0x1000_0001), &rel(70));
    let sent = bed.output();
    assert_eq!(sent.iter().filter(|word| word.contains("RLC")).count(), 3);
    let dropped = bed.record("D");
    assert_eq!(dropped.len(), 2);
    assert!(dropped[0].starts_with("D,duplicate,10000005,") && dropped[1].starts_with("D,duplicate,10000004,"));
    assert_eq!((bed.shared.counters.applied, bed.shared.counters.duplicates), (3, 2));
}

#[test]
fn without_correlation_ids_nothing_is_filtered() {
    let mut bed = Bed::active(|c| c.session.lease = false);
    bed.isup(None, &rel(37));
    bed.isup(None, &rel(37));
    assert_eq!(bed.output().len(), 2, "two RLC, no cookie");
    bed.run_ms(10_000);
    assert_eq!(bed.take(), [""; 0], "no lease");
    bed.isup(None, &rel(37));
    assert_eq!(bed.output().len(), 1);
}

#[test]
fn malformed_input_is_recorded_and_still_moves_the_mark() {
    let mut bed = Bed::active(|_| ());
    let stream = stream_for(&key(1), STREAMS);
    bed.isup(Some(0x1000_0001), &[37, 0, 0x01]);
    assert_eq!(bed.output(), [format!("{stream}: cookie 1 mark 10000001 txn 1")]);
    assert_eq!(bed.record("ID"), ["D,malformed,10000001,1,2,5,2,3,37,250001"]);
    // Too short for a CIC: no group, no cookie.
    bed.isup(Some(0x1000_0002), &[37]);
    assert_eq!(bed.output(), [""; 0]);
    assert_eq!(bed.shared.counters.malformed, 2);
}

#[test]
fn a_lost_lease_ends_everything() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.output();
    // The process stood still: the first thing it sees is a message.
    bed.now += Duration::from_millis(LEASE_MS);
    bed.isup(Some(0x1000_0002), &rel(37));
    bed.beat(0, true, Heartbeat::Liveness(1));
    assert_eq!(bed.take(), [""; 0]);
    assert_eq!(bed.session.poll_end(), Some(End::Abort("lease lost")));
    assert_eq!(bed.record("LD").last().unwrap(), "D,lease,10000002,1,2,5,2,3,37,25000c0200028090");
    assert!(bed.record("L").contains(&"L,lease-lost".to_owned()));
    assert_eq!((bed.shared.counters.leases_lost, bed.shared.counters.lease_dropped), (1, 1));
    assert_eq!((bed.shared.groups, bed.shared.isup.ended(isup::Outcome::Forgotten)), (0, 1));
    assert_eq!(bed.session.poll_timeout(&bed.shared), None);
}

#[test]
fn a_lease_lost_between_input_and_sending_sends_nothing() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &rel(37));
    bed.now += Duration::from_millis(LEASE_MS);
    assert_eq!(bed.take(), [""; 0]);
    assert_eq!(bed.session.poll_end(), Some(End::Abort("lease lost")));
}

#[test]
fn a_lease_that_is_echoed_lasts_and_one_that_is_not_ends_by_timer() {
    let mut bed = Bed::active(|_| ());
    bed.run(5_000, true);
    assert_eq!(bed.session.poll_end(), None);
    assert!(bed.session.lease_left(bed.now) >= Duration::from_millis(LEASE_MS - 40));
    bed.run(LEASE_MS - 41, false);
    assert_eq!(bed.session.poll_end(), None);
    bed.run(41, false);
    assert_eq!(bed.session.poll_end(), Some(End::Abort("lease lost")));
}

#[test]
fn other_user_parts_are_recorded_and_echoed_when_asked_for() {
    for echo in [false, true] {
        let mut bed = Bed::active(|c| c.session.echo_other_si = echo);
        bed.data(Some(0x1000_0001), 3, &[1, 2, 3, 4]);
        let sent = bed.output();
        assert_eq!(sent.len(), 1 + usize::from(echo));
        assert!(sent.last().unwrap().contains("cookie 65535 mark 10000001 txn 1"));
        assert_eq!(sent[0].ends_with("data 3"), echo);
        assert_eq!(bed.record("I"), ["I,1,10000001,1,2,3,2,3,,01020304"]);
    }
}

/// A dialogue's messages are one group on any SLS, and plain like other SCCP.
#[test]
fn dialogues_are_groups_when_asked_for() {
    let mut bed = Bed::active(|c| {
        c.session.sccp_affinity = crate::config::SccpAffinity::Tcap;
        c.session.echo_other_si = true;
    });
    let begin = [0x09, 0, 3, 5, 7, 2, 0x42, 8, 2, 0x42, 8, 5, 0x62, 3, 0x48, 1, 0x45];
    bed.data(Some(0x1000_0001), 3, &begin);
    let sent = bed.output();
    assert!(sent[0].ends_with("data 3"), "{sent:?}");
    assert!(sent[1].contains("cookie 5 mark 10000001 txn 1"), "{sent:?}");
}

#[test]
fn groups_beyond_the_limit_are_unsupported() {
    let mut bed = Bed::active(|c| c.session.groups_max = 1);
    bed.isup(Some(0x1000_0001), &rel(37));
    bed.isup(Some(0x1000_0001), &rel(70));
    assert_eq!((bed.shared.counters.groups_refused, bed.shared.counters.unsupported), (1, 1));
    assert!(bed.record("D")[0].starts_with("D,unsupported,10000001,"));
    bed.isup(Some(0x1000_0002), &rel(37));
    assert_eq!(bed.shared.counters.applied, 2);
}

#[test]
fn leaving_goes_by_aspia_and_aspdn() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.shared.stopping = true;
    bed.session.stop(bed.now, &mut bed.shared);
    let sent = bed.output();
    assert!(sent.contains(&"0: ASPIA".to_owned()), "{sent:?}");
    bed.m3ua(0, &Message::AspInactiveAck(Default::default()));
    assert_eq!(bed.output(), ["0: ASPDN"]);
    assert_eq!(bed.shared.groups, 0);
    bed.m3ua(0, &Message::AspDownAck(Default::default()));
    assert_eq!(bed.session.poll_end(), Some(End::Shutdown));
    assert_eq!(bed.record("L"), ["L,aspup", "L,active", "L,inactive"]);
}

#[test]
fn aspdn_ack_out_of_the_blue_forgets_the_groups_and_comes_back() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.output();
    bed.m3ua(0, &Message::AspDownAck(Default::default()));
    assert_eq!(bed.shared.groups, 0);
    assert_eq!(bed.output(), ["0: ASPUP"]);
}

#[test]
fn a_refused_aspac_is_tried_again_later_and_not_with_every_lease() {
    let mut bed = Bed::new(|_| ());
    bed.m3ua(0, &Message::AspUpAck(AspUp::default()));
    bed.run(10, true);
    assert_eq!(bed.output(), ["0: ASPUP", "0: ASPAC"]);
    bed.m3ua(0, &Message::Error(wire::ErrorMessage::new(wire::ErrorCode::InvalidRoutingContext)));
    bed.run(999, true);
    assert_eq!(bed.output(), [""; 0]);
    bed.run(1, true);
    assert_eq!(bed.output(), ["0: ASPAC"]);
    assert_eq!(bed.shared.counters.errors_received, 1);
}

#[test]
fn in_override_mode_the_spare_waits_until_the_as_is_pending() {
    let mut bed = Bed::active(|c| c.m3ua.traffic_mode = TrafficMode::Override);
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.output();
    let notify =
        |status| Message::Notify(wire::Notify { status, asp_id: None, routing_contexts: one_context(1), info: None });
    bed.m3ua(0, &notify(Status::AlternateAspActive));
    assert_eq!((bed.session.asp_state(), bed.shared.groups), (AspState::Inactive, 0));
    bed.run(5_000, true);
    assert_eq!(bed.output(), [""; 0]);
    bed.m3ua(0, &notify(Status::AsPending));
    assert_eq!(bed.output(), ["0: ASPAC"]);
}

#[test]
fn errors_are_answered_only_so_often() {
    let mut bed = Bed::active(|c| c.session.errors_per_s = 3);
    for _ in 0..10 {
        // An unknown class.
        bed.receive(0, ppid::M3UA, &[1, 0, 77, 1, 0, 0, 0, 8]);
    }
    assert_eq!(bed.output(), ["0: ERR"; 3]);
    assert_eq!((bed.shared.counters.errors_sent, bed.shared.counters.errors_suppressed), (3, 7));
    assert_eq!(bed.shared.counters.m3ua_malformed, 10);
    bed.run(1_000, true);
    bed.receive(0, ppid::M3UA, &[1, 0, 77, 1, 0, 0, 0, 8]);
    assert_eq!(bed.output(), ["0: ERR"]);
}

#[test]
fn own_calls_go_to_groups_in_turn() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &rel(37));
    bed.isup(Some(0x1000_0001), &rel(70));
    bed.output();
    assert!(bed.session.originate(bed.now, &mut bed.shared));
    assert!(bed.session.originate(bed.now, &mut bed.shared));
    let sent = bed.output();
    // DPC 2 is the higher point code: even circuits are ours, 32 and 64, with SLS 0.
    assert_eq!(sent[0], format!("{}: IAM 0", stream_for(&key(1), STREAMS)));
    assert_eq!(sent[2], format!("{}: IAM 0", stream_for(&key(2), STREAMS)));
    assert_eq!(sent.len(), 4);
    assert_eq!(bed.shared.isup.calls_out, 2);
}
