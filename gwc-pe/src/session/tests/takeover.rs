//! What one controller leaves to the next: cookies, and messages that were not confirmed.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The cookie that `from` sent last for a group.
pub(super) fn last_cookie(sends: &[Send]) -> Bytes {
    let cookies = sends.iter().filter(|send| send.ppid == ppid::ASAP);
    let decoded = asap_wire::Message::decode(&cookies.last().unwrap().payload, &Default::default()).unwrap();
    let asap_wire::Message::Cookie { cookie } = decoded.message else { panic!() };
    cookie
}

#[test]
fn the_next_controller_goes_on_where_the_cookie_ends() {
    let mut first = Bed::active(|_| ());
    first.isup(Some(0x1000_0001), &iam(37));
    first.run(20, true);
    let cookie = last_cookie(&first.sends());
    let mut second = Bed::active(|_| ());
    let stream = stream_for(&key(1), STREAMS);
    let echo = asap_wire::Message::CookieEcho { cookie }.encode().unwrap();
    second.receive(stream, ppid::ASAP, &echo);
    assert_eq!(second.record("R"), ["R,10000001,1,2,5,1"]);
    // What the cookie covers is a duplicate; what it does not cover is applied.
    second.isup(Some(0x1000_0001), &iam(37));
    assert_eq!(second.shared.counters.duplicates, 1);
    second.run(200, true);
    assert_eq!(second.output(), [format!("{stream}: ANM 5"), format!("{stream}: cookie 1 mark 10000001 txn 1")]);
    second.isup(Some(0x1000_0002), &rel(37));
    assert_eq!(second.output()[0], format!("{stream}: RLC 5"));
    assert_eq!(second.shared.isup.ended(isup::Outcome::ReleasedByPeer), 1);
}

#[test]
fn timers_go_on_at_the_next_controller() {
    let change = |config: &mut Config| {
        (config.call.hold_ms, config.call.release_by_controller_percent) = (10_000, 100);
        config.call.audits_per_s = 0;
    };
    let mut first = Bed::active(change);
    first.isup(Some(0x1000_0001), &iam(37));
    first.run(220, true);
    let sends = first.sends();
    let mut cookie = last_cookie(&sends).to_vec();
    assert_eq!(Envelope::decode(&cookie).unwrap().age_ms, 0, "the gateway's to fill in");
    // The gateway had it for 7 s when the controller died.
    Envelope::set_age(&mut cookie, 7_000);
    let mut second = Bed::active(change);
    let stream = stream_for(&key(1), STREAMS);
    second.receive(stream, ppid::ASAP, &asap_wire::Message::CookieEcho { cookie: cookie.into() }.encode().unwrap());
    second.run(2_999, true);
    assert_eq!(second.output(), [""; 0]);
    second.run(1, true);
    assert_eq!(second.output()[0], format!("{stream}: REL 5"));
}

#[test]
fn groups_that_came_over_are_audited_at_a_pace() {
    let change = |config: &mut Config| {
        slow(config);
        (config.call.refuse_percent, config.call.audits_per_s) = (0, 2);
    };
    let mut first = Bed::active(change);
    let mut second = Bed::active(change);
    for (number, cic) in [37, 69, 101].into_iter().enumerate() {
        first.isup(Some(0x1000_0001 + number as u32), &iam(cic));
        let cookie = last_cookie(&first.sends());
        second.receive(1, ppid::ASAP, &asap_wire::Message::CookieEcho { cookie }.encode().unwrap());
    }
    second.run(999, true);
    assert_eq!(second.output(), [""; 0], "what waited goes first");
    for block in 1..=3 {
        second.run(1, true);
        let stream = stream_for(&key(block), STREAMS);
        assert_eq!(second.output()[0], format!("{stream}: CQM 0"), "CIC {}", block * 32);
        second.run(499, true);
        assert_eq!(second.output(), [""; 0]);
    }
    assert_eq!(second.shared.isup.audits, 3);
    second.run(5_000, true);
    assert_eq!(second.output(), [""; 0], "once each");
}

/// Plain payload: no state, but the mark says what is dealt with.
#[test]
fn plain_payload_is_applied_once_over_a_takeover() {
    for (si, plain_isup) in [(3, false), (5, true)] {
        let change = |config: &mut Config| config.call.plain = plain_isup;
        let mut first = Bed::active(change);
        first.data(Some(0x1000_0001), si, &iam(37));
        first.data(Some(0x1000_0002), si, &rel(37));
        let sends = first.sends();
        // One transaction, no answer.
        assert_eq!(sends.iter().filter(|send| send.ppid == ppid::ASAP).count(), 1);
        assert!(sends.iter().all(|send| Message::decode(&send.payload).is_ok_and(|m| !matches!(m, Message::Data(_)))
            || send.ppid == ppid::ASAP));
        let cookie = last_cookie(&sends);
        let envelope = Envelope::decode(&cookie).unwrap();
        assert_eq!((envelope.group.si, envelope.mark, envelope.state), (si, CorrelationId(0x1000_0002), &[][..]));
        assert_eq!(first.record("I").len(), 2);

        let mut second = Bed::active(change);
        second.receive(1, ppid::ASAP, &asap_wire::Message::CookieEcho { cookie }.encode().unwrap());
        second.data(Some(0x1000_0002), si, &rel(37));
        second.data(Some(0x1000_0003), si, &rel(37));
        let record = second.record("ID");
        assert_eq!(record.len(), 2, "{record:?}");
        assert!(record[0].starts_with("D,duplicate,10000002") && record[1].starts_with("I,1,10000003"), "{record:?}");
        // No call of its own, no timer.
        assert!(!second.session.originate(second.now, &mut second.shared));
        assert_eq!(second.shared.isup.calls_in, 0);
    }
}

#[test]
fn a_user_part_that_is_not_plain_is_unsupported() {
    let mut bed = Bed::active(|config| config.session.plain_si = vec![3]);
    bed.data(Some(0x1000_0001), 4, b"TUP");
    bed.data(Some(0x1000_0001), 3, b"SCCP");
    let record = bed.record("ID");
    assert!(record[0].starts_with("D,unsupported") && record[1].starts_with("I,"), "{record:?}");
    assert_eq!((bed.shared.groups, bed.shared.counters.unsupported), (1, 1));
}

#[test]
fn a_cookie_replaces_the_group_and_a_bad_one_is_refused() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &iam(37));
    let cookie = last_cookie(&bed.sends());
    bed.isup(Some(0x1000_0002), &iam(38));
    let echo = |cookie: Bytes| asap_wire::Message::CookieEcho { cookie }.encode().unwrap();
    bed.receive(1, ppid::ASAP, &echo(cookie.clone()));
    assert_eq!(bed.shared.groups, 1);
    assert_eq!(bed.session.isup_groups().next().unwrap().calls()[isup::Call::Incoming as usize], 1);
    assert_eq!(bed.shared.isup.calls_open(), 1);
    let mut bad = cookie.to_vec();
    bad[32] = 77;
    bed.receive(1, ppid::ASAP, &echo(bad.into()));
    bed.receive(1, ppid::ASAP, &echo(Bytes::from_static(b"short")));
    assert_eq!((bed.shared.counters.groups_restored, bed.shared.counters.cookies_refused), (1, 2));
    bed.receive(1, ppid::ASAP, b"nonsense");
    bed.receive(1, ppid::ENRP, b"nonsense");
    assert_eq!((bed.shared.counters.asap_malformed, bed.shared.counters.wrong_ppid), (1, 1));
}

/// Outputs and last cookie by group.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Committed {
    outputs: BTreeMap<u16, Vec<Vec<u8>>>,
    cookies: BTreeMap<u16, Bytes>,
}

impl Committed {
    /// What a gateway does with a batch: outputs count when the group's cookie arrives; `arrives` says for which it does.
    fn take(&mut self, sends: &[Send], arrives: impl Fn(u16) -> bool) {
        let mut held: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
        for send in sends {
            if send.ppid == ppid::ASAP {
                let cookie = last_cookie(std::slice::from_ref(send));
                let block = Envelope::decode(&cookie).unwrap().group.cic_block;
                if arrives(block) {
                    self.outputs.entry(block).or_default().extend(held.remove(&block).unwrap_or_default());
                    self.cookies.insert(block, cookie);
                }
            } else if let Ok(Message::Data(data)) = Message::decode(&send.payload) {
                let block = GroupKey::from_pool(&data.protocol_data).unwrap().cic_block;
                held.entry(block).or_default().push(data.protocol_data.user_data.to_vec());
            }
        }
    }

    fn states(&self) -> BTreeMap<u16, Vec<u8>> {
        self.cookies.iter().map(|(block, cookie)| (*block, Envelope::decode(cookie).unwrap().state.to_vec())).collect()
    }

    fn mark(&self, block: u16) -> CorrelationId {
        self.cookies.get(&block).map_or(CorrelationId::NONE, |cookie| Envelope::decode(cookie).unwrap().mark)
    }
}

/// User data of a message of some kind.
fn user_data(cic: u16, kind: u8) -> Vec<u8> {
    let bare = |kind: u8| vec![(cic & 0xff) as u8, (cic >> 8) as u8, kind];
    match kind % 8 {
        0..=2 => iam(cic),
        3 => rel(cic),
        4 => bare(0x12),
        5 => bare(0x13),
        6 => bare(0x14),
        _ => [bare(0x2a), vec![1, 1, 1]].concat(),
    }
}

/// A busy configuration in which no timer runs out during the test.
fn slow(config: &mut Config) {
    config.call.acm_delay_ms = 1_000_000;
    config.call.refuse_percent = 40;
    config.call.seed = 5;
}

fn is_after(id: u32, mark: CorrelationId) -> bool {
    CorrelationId(id).is_after(mark)
}

proptest! {
    /// A controller dies after any batch, of which any part was committed. The next one gets the cookies and what is not
    /// covered by them: what the network sees is what it would have seen without the death.
    #[test]
    fn a_death_is_not_seen_by_the_network(
        batches in proptest::collection::vec(proptest::collection::vec((32_u16..128, any::<u8>()), 1..12), 1..12),
        death in any::<prop::sample::Index>(),
        committed in any::<u8>(),
    ) {
        // Every message with its group's next Correlation Id.
        let mut sequence: BTreeMap<u16, u32> = BTreeMap::new();
        let batches: Vec<Vec<(u32, Vec<u8>)>> = batches.iter().map(|batch| {
            batch.iter().map(|(cic, kind)| {
                // CQM of two circuits must not reach beyond the group.
                let cic = if cic % 32 == 31 { cic - 1 } else { *cic };
                let id = sequence.entry(cic / 32).or_insert(0x1000_0000);
                *id += 1;
                (*id, user_data(cic, *kind))
            }).collect()
        }).collect();
        let death = death.index(batches.len());

        let mut alone = Bed::active(slow);
        let mut expected = Committed::default();
        for batch in &batches {
            batch.iter().for_each(|(id, message)| alone.isup(Some(*id), message));
            expected.take(&alone.sends(), |_| true);
        }

        let mut first = Bed::active(slow);
        let mut seen = Committed::default();
        for (number, batch) in batches[..=death].iter().enumerate() {
            batch.iter().for_each(|(id, message)| first.isup(Some(*id), message));
            seen.take(&first.sends(), |block| number < death || committed & (1 << block) != 0);
        }

        let mut second = Bed::active(slow);
        for cookie in seen.cookies.clone().into_values() {
            second.receive(1, ppid::ASAP, &asap_wire::Message::CookieEcho { cookie }.encode().unwrap());
        }
        for batch in &batches {
            for (id, message) in batch {
                let block = m3ua_lite::isup::cic(message).unwrap() / 32;
                if is_after(*id, seen.mark(block)) {
                    second.isup(Some(*id), message);
                }
            }
            let sends = second.sends();
            seen.take(&sends, |_| true);
        }
        prop_assert_eq!(&seen.outputs, &expected.outputs);
        prop_assert_eq!(second.shared.counters.duplicates, 0);
        // Up to transaction numbers, what they leave behind is the same as well.
        prop_assert_eq!(seen.states(), expected.states());
    }
}
