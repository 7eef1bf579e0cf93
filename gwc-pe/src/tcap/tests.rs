//! Dialogues message by message, over a change of controllers, and with messages that fit nowhere.

use super::{Config, Context, Counters, Group, GroupId, SnapshotError};
use crate::isup::Verdict;
use m3ua_lite::sccp;
use m3ua_lite::tcap::{self, MessageType};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const ID: GroupId = GroupId { network: 101, pool: 2, bits: 5 };
/// The network's transaction id; its six low bits are the group's.
const PEER: [u8; 4] = [0, 0, 7, 0x45];
/// Routing on SSN, the subsystems 250 of the network and 251 of the pool.
const NETWORK: [u8; 2] = [0x42, 250];
const POOL: [u8; 2] = [0x42, 251];

/// UDT of the network, protocol class 1.
fn udt(tcap: &[u8]) -> Vec<u8> {
    let mut out = vec![0x09, 1, 3, 5, 7, 2];
    out.extend(POOL);
    out.push(2);
    out.extend(NETWORK);
    out.push(u8::try_from(tcap.len()).unwrap());
    out.extend(tcap);
    out
}

/// A message with these ids and an invocation of operation 1, its invoke id `invoke`.
fn message(tag: u8, otid: Option<&[u8]>, dtid: Option<&[u8]>, invoke: u8) -> Vec<u8> {
    let mut contents = Vec::new();
    for (tag, id) in [(0x48, otid), (0x49, dtid)] {
        if let Some(id) = id {
            contents.extend([tag, u8::try_from(id.len()).unwrap()]);
            contents.extend(id);
        }
    }
    contents.extend([0x6c, 8, 0xa1, 6, 2, 1, invoke, 2, 1, 1]);
    let mut out = vec![tag, u8::try_from(contents.len()).unwrap()];
    out.extend(contents);
    udt(&out)
}

/// A controller with one group.
struct Lab {
    now: Instant,
    config: Config,
    counters: Counters,
    group: Group,
}

impl Lab {
    fn new(config: Config) -> Self {
        Self { now: Instant::now(), config, counters: Counters::default(), group: Group::new(ID) }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Group, &mut Context) -> T) -> (T, Vec<Vec<u8>>) {
        let mut out = Vec::new();
        let Self { now, config, counters, group } = self;
        let result = act(group, &mut Context { now: *now, config, out: &mut out, counters });
        (result, out)
    }

    /// Gives a message; the answer.
    fn take(&mut self, user_data: &[u8]) -> Option<Vec<u8>> {
        let (verdict, mut out) = self.act(|group, cx| group.handle_message(cx, user_data));
        assert_eq!(verdict, Verdict::Applied);
        assert!(out.len() <= 1);
        out.pop()
    }

    /// Another controller takes over after `age`.
    fn take_over(&mut self, age: Duration) {
        let mut state = Vec::new();
        self.group.snapshot(self.now, &mut state);
        self.now += age;
        self.counters = Counters::default();
        self.group = self.act(|_, cx| Group::restore(ID, &state, age, cx)).0.unwrap();
    }
}

/// Type, originating and destination id, and everything behind them.
type Read = (MessageType, Option<Vec<u8>>, Option<Vec<u8>>, Vec<u8>);

/// What an answer is.
fn read(answer: &[u8]) -> Read {
    let unitdata = sccp::read(answer).unwrap();
    assert_eq!((unitdata.called, unitdata.calling, answer[1]), (&NETWORK[..], &POOL[..], 1), "back to the sender");
    let head = tcap::read(unitdata.data).unwrap();
    let ids: usize = [head.originating, head.destination].into_iter().flatten().map(|id| id.len() + 2).sum();
    let rest = unitdata.data[2 + ids..].to_vec();
    (head.message_type, head.originating.map(Into::into), head.destination.map(Into::into), rest)
}

#[test]
fn every_message_is_answered_and_the_last_answer_ends_the_dialogue() {
    let mut lab = Lab::new(Config::default());
    let (kind, own, peer, rest) = read(&lab.take(&message(0x62, Some(&PEER), None, 1)).unwrap());
    let own = own.unwrap();
    assert_eq!((kind, peer.as_deref()), (MessageType::Continue, Some(&PEER[..])));
    assert_eq!(rest, [0x6c, 5, 0xa2, 3, 2, 1, 1], "the result of invocation 1");
    assert_eq!(own.last().unwrap() & 63, 5, "what comes back with it leads to the same group");
    // Another controller goes on, and another after that.
    lab.take_over(Duration::from_secs(1));
    let (kind, same, ..) = read(&lab.take(&message(0x65, Some(&PEER), Some(&own), 2)).unwrap());
    assert_eq!((kind, same.as_ref()), (MessageType::Continue, Some(&own)));
    assert_eq!((lab.counters.restored, lab.counters.open()), (1, 1));
    lab.take_over(Duration::from_secs(1));
    let (kind, none, peer, rest) = read(&lab.take(&message(0x65, Some(&PEER), Some(&own), 3)).unwrap());
    assert_eq!((kind, none, peer.as_deref()), (MessageType::End, None, Some(&PEER[..])));
    assert_eq!(rest, [0x6c, 5, 0xa2, 3, 2, 1, 3]);
    assert_eq!((lab.counters.ended, lab.counters.open(), lab.group.len()), (1, 0, 0));
}

#[test]
fn a_dialogue_request_is_accepted_with_its_context() {
    let mut lab = Lab::new(Config { answers: 1, ..Config::default() });
    let request = [
        &[0x62, 0x1e, 0x48, 1, 5, 0x6b, 0x19, 0x28, 0x17, 6, 7, 0, 0x11, 0x86, 5, 1, 1, 1, 0xa0, 0x0c, 0x60, 0x0a][..],
        &[0x80, 2, 7, 0x80, 0xa1, 4, 6, 2, 4, 0x2a],
    ];
    let (kind, _, _, rest) = read(&lab.take(&udt(&request.concat())).unwrap());
    assert_eq!(kind, MessageType::End);
    let response = [
        &[0x6b, 0x25, 0x28, 0x23, 6, 7, 0, 0x11, 0x86, 5, 1, 1, 1, 0xa0, 0x18, 0x61, 0x16, 0x80, 2, 7, 0x80][..],
        &[0xa1, 4, 6, 2, 4, 0x2a, 0xa2, 3, 2, 1, 0, 0xa3, 5, 0xa1, 3, 2, 1, 0],
    ];
    assert_eq!(rest, response.concat());
}

#[test]
fn the_other_end_may_end_abort_or_be_out_of_reach() {
    let mut lab = Lab::new(Config::default());
    let begin = |lab: &mut Lab| lab.take(&message(0x62, Some(&PEER), None, 1)).unwrap();
    let own = |answer: &[u8]| read(answer).1.unwrap();
    let answer = begin(&mut lab);
    assert_eq!(lab.take(&message(0x64, None, Some(&own(&answer)), 2)), None);
    let answer = begin(&mut lab);
    assert_eq!(lab.take(&message(0x67, None, Some(&own(&answer)), 2)), None);
    // UDTS: called and calling as in what was sent.
    let mut returned = begin(&mut lab);
    (returned[0], returned[1]) = (0x0a, 1);
    assert_eq!(lab.take(&returned), None);
    begin(&mut lab);
    lab.now += Duration::from_millis(lab.config.timeout_ms);
    assert_eq!(lab.group.poll_timeout(), Some(lab.now));
    lab.act(|group, cx| group.handle_timeout(cx));
    let Counters { ended_by_peer, aborted_by_peer, returned, timed_out, .. } = lab.counters;
    assert_eq!((ended_by_peer, aborted_by_peer, returned, timed_out), (1, 1, 1, 1));
    assert_eq!((lab.counters.open(), lab.group.len(), lab.group.poll_timeout()), (0, 0, None));
}

#[test]
fn what_fits_nowhere_gets_p_abort_or_nothing() {
    let mut lab = Lab::new(Config { dialogues_max: 2, ..Config::default() });
    let own = read(&lab.take(&message(0x62, Some(&PEER), None, 1)).unwrap()).1.unwrap();
    // Somebody else's transaction id in a dialogue that there is.
    assert_eq!(lab.take(&message(0x65, Some(&[0x85]), Some(&own), 1)), None);
    for unknown in [&[0, 0, 0, 5][..], &[5], &[0xff, 0xff, 0xff, 0x45]] {
        let (kind, _, peer, rest) = read(&lab.take(&message(0x65, Some(&PEER), Some(unknown), 1)).unwrap());
        assert_eq!((kind, peer.as_deref(), &rest[..]), (MessageType::Abort, Some(&PEER[..]), &[0x4a, 1, 1][..]));
        assert_eq!(lab.take(&message(0x64, None, Some(unknown), 1)), None);
    }
    assert_eq!(lab.counters.unknown, 7);
    lab.take(&message(0x62, Some(&[5]), None, 1));
    let (kind, .., rest) = read(&lab.take(&message(0x62, Some(&[0x45]), None, 1)).unwrap());
    assert_eq!((kind, &rest[..], lab.counters.refused), (MessageType::Abort, &[0x4a, 1, 4][..], 1));
    assert_eq!(lab.take(&udt(&[0x61, 0])), None);
    assert_eq!((lab.counters.unidirectional, lab.group.len()), (1, 2));
    // A calling address of no octets: there is nowhere to answer to.
    let nowhere = [9, 0, 3, 5, 5, 2, 0x42, 251, 0, 5, 0x62, 3, 0x48, 1, 5];
    assert_eq!(lab.act(|group, cx| group.handle_message(cx, &nowhere)).1, Vec::<Vec<u8>>::new());
}

#[test]
fn numbers_go_round_and_are_not_given_twice() {
    let mut lab = Lab::new(Config::default());
    let first = read(&lab.take(&message(0x62, Some(&PEER), None, 1)).unwrap()).1.unwrap();
    lab.group.next = u16::MAX;
    let last = read(&lab.take(&message(0x62, Some(&[0x45]), None, 1)).unwrap()).1.unwrap();
    let second = read(&lab.take(&message(0x62, Some(&[0x85]), None, 1)).unwrap()).1.unwrap();
    assert_eq!([&first[..], &last, &second], [[0x19, 0x40, 0, 5], [0x19, 0x7f, 0xff, 0xc5], [0x19, 0x40, 0, 0x45]]);
}

#[test]
fn a_snapshot_is_restored_whole_or_not_at_all() {
    let mut lab = Lab::new(Config::default());
    lab.take(&message(0x62, Some(&PEER), None, 1));
    let mut state = Vec::new();
    lab.group.snapshot(lab.now, &mut state);
    assert_eq!(state, [1, 0, 1, 0, 0, 2, 0, 0, 0xea, 0x60, 4, 0, 0, 7, 0x45]);
    let before = lab.counters;
    for length in 0..state.len() {
        let cut = lab.act(|_, cx| Group::restore(ID, &state[..length], Duration::ZERO, cx)).0;
        assert_eq!(cut.is_ok(), length == 3, "{length} octets");
    }
    for (at, octet, error) in [(0, 9, SnapshotError::Version(9)), (5, 0, SnapshotError::Value)] {
        let mut wrong = state.clone();
        wrong[at] = octet;
        assert_eq!(lab.act(|_, cx| Group::restore(ID, &wrong, Duration::ZERO, cx)).0, Err(error));
    }
    let twice = [&state[..], &state[3..]].concat();
    assert_eq!(lab.act(|_, cx| Group::restore(ID, &twice, Duration::ZERO, cx)).0, Err(SnapshotError::Value));
    assert_eq!(lab.counters, before);
    // Older than what was left: over at once.
    let old = lab.act(|_, cx| Group::restore(ID, &state, Duration::from_secs(61), cx)).0.unwrap();
    assert_eq!(old.poll_timeout(), Some(lab.now));
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics_and_the_books_balance(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..40),
        tags in prop::collection::vec((prop::sample::select(vec![0x61_u8, 0x62, 0x64, 0x65, 0x67]), 0_u8..6), 0..40),
    ) {
        let mut lab = Lab::new(Config { dialogues_max: 3, ..Config::default() });
        for octets in messages {
            lab.act(|group, cx| group.handle_message(cx, &octets));
            lab.act(|group, cx| group.handle_message(cx, &udt(&octets)));
        }
        for (tag, number) in tags {
            let own = [0x19, 0x40 | number >> 2, number << 6, 0x05];
            lab.act(|group, cx| group.handle_message(cx, &message(tag, Some(&PEER), Some(&own), number)));
            prop_assert_eq!(lab.counters.open(), lab.group.len() as u64);
            prop_assert!(lab.group.len() <= 3);
        }
    }
}
