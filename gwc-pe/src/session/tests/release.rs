//! The gateway asks for a group back: a planned move.

use super::*;
use proptest::prelude::*;

fn ask(bed: &mut Bed, block: u16) {
    bed.beat(stream_for(&key(block), STREAMS), false, Heartbeat::Release(key(block)));
}

fn echo(block: u16) -> String {
    format!("{}: echo {:?}", stream_for(&key(block), STREAMS), Heartbeat::Release(key(block)))
}

#[test]
fn what_was_done_is_committed_then_the_echo_and_then_nothing_more() {
    let mut bed = Bed::active(|_| ());
    let stream = stream_for(&key(1), STREAMS);
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.isup(Some(0x1000_0002), &rel(38));
    ask(&mut bed, 1);
    assert_eq!(
        bed.output(),
        [format!("{stream}: RLC 6"), format!("{stream}: cookie 1 mark 10000002 txn 1"), echo(1)],
        "all in one batch, the cookie before the echo"
    );
    assert_eq!((bed.shared.groups, bed.session.group_count()), (0, 0));
    assert_eq!(bed.shared.counters.groups_released, 1);
    assert_eq!(bed.shared.isup.ended(isup::Outcome::Forgotten), 1, "the call is another controller's now");
    bed.run(60_000, true);
    assert_eq!(bed.output(), [""; 0], "its timers are gone with it");
    assert!(!bed.session.originate(bed.now, &mut bed.shared), "nor may it start calls there");
}

#[test]
fn a_timer_just_before_is_committed_with_the_group() {
    let mut bed = Bed::active(|_| ());
    let stream = stream_for(&key(1), STREAMS);
    bed.isup(Some(0x1000_0001), &iam(37));
    bed.output();
    // The timer and the question meet in one batch.
    bed.run(20, true);
    ask(&mut bed, 1);
    assert_eq!(bed.output(), [format!("{stream}: ACM 5"), format!("{stream}: cookie 1 mark 10000001 txn 2"), echo(1)]);
}

#[test]
fn the_group_comes_back_with_its_cookie() {
    let mut bed = Bed::active(|_| ());
    let stream = stream_for(&key(1), STREAMS);
    bed.isup(Some(0x1000_0001), &iam(37));
    ask(&mut bed, 1);
    let sends = bed.sends();
    let cookie = takeover::last_cookie(&sends);
    bed.receive(stream, ppid::ASAP, &asap_wire::Message::CookieEcho { cookie }.encode().unwrap());
    bed.isup(Some(0x1000_0001), &iam(37));
    assert_eq!(bed.shared.counters.duplicates, 1, "it knows what was applied before");
    bed.isup(Some(0x1000_0002), &rel(37));
    assert_eq!(bed.output(), [format!("{stream}: RLC 5"), format!("{stream}: cookie 1 mark 10000002 txn 2")]);
    assert!(bed.session.originate(bed.now, &mut bed.shared), "and may start calls there again");
}

#[test]
fn a_group_that_is_not_here_is_given_back_too() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &rel(37));
    bed.output();
    ask(&mut bed, 9);
    assert_eq!(bed.output(), [echo(9)]);
    assert_eq!((bed.shared.groups, bed.shared.counters.groups_released), (1, 0));
}

#[test]
fn a_lost_lease_is_no_echo() {
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &rel(37));
    ask(&mut bed, 1);
    bed.now += Duration::from_millis(LEASE_MS);
    assert_eq!(bed.take(), [""; 0], "neither what was committed nor the echo leaves");
    assert_eq!(bed.session.poll_end(), Some(End::Abort("lease lost")));
    let mut bed = Bed::active(|_| ());
    bed.isup(Some(0x1000_0001), &rel(37));
    bed.now += Duration::from_millis(LEASE_MS);
    ask(&mut bed, 1);
    assert_eq!(bed.take(), [""; 0]);
}

proptest! {
    /// Groups come, work, ring and go in any order: those that stay are not touched by those that go.
    #[test]
    fn the_others_go_on(ops in proptest::collection::vec((0..4_u8, 0..6_u16), 1..120)) {
        let mut bed = Bed::active(|_| ());
        let mut present = std::collections::BTreeSet::new();
        for (id, (op, block)) in (1..).zip(&ops) {
            match op {
                0 => {
                    ask(&mut bed, *block);
                    present.remove(block);
                }
                1 => bed.run(10, true),
                2 => drop(bed.sends()),
                _ => {
                    let message = if id % 3 == 0 { rel(block * 32 + 5) } else { iam(block * 32 + (id % 31) as u16) };
                    bed.isup(Some(0x1000_0000 + id), &message);
                    present.insert(*block);
                }
            }
            bed.session.groups.assert_consistent();
            prop_assert_eq!(bed.session.group_count(), present.len());
            prop_assert_eq!(bed.shared.groups, present.len());
        }
    }
}
