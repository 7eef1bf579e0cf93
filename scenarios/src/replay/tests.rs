//! The source's timing, and the comparison with the records.

use super::compare::compare;
use super::script::{Script, ScriptSource};
use crate::capture::Capture;
use crate::capture::parts::Parts;
use crate::checker::Records;
use crate::network::isup;
use crate::network::source::Source;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const IAM: u8 = isup::IAM;
const ACM: u8 = isup::ACM;
const ANM: u8 = isup::ANM;
const REL: u8 = isup::REL;
const RLC: u8 = isup::RLC;

/// Messages `(ms, from the network, CIC, type)` between 1 and 2.
type Messages<'a> = &'a [(u64, bool, u8, u8)];

fn script(messages: Messages, keep: bool) -> Script {
    let capture = Capture::of(messages.iter().map(|(ms, from_network, cic, kind)| {
        let (opc, dpc) = if *from_network { (1, 2) } else { (2, 1) };
        (ms * 1_000_000, opc, dpc, 5, vec![*cic, 0, *kind])
    }));
    let parts = Parts::new(&capture, &[2], keep);
    Script::new(capture, parts)
}

/// What `network.csv` says of these messages.
fn records(messages: Messages) -> Records {
    let mut text = "# sigpool-record 1 network\n".to_owned();
    for (ms, from_network, cic, kind) in messages {
        let flow = if *from_network { "1,2" } else { "2,1" };
        let times = if *from_network { format!("S,{ms}000000,{ms}000000") } else { format!("R,{ms}000000") };
        text += &format!("{times},{flow},5,2,0,{cic},{cic:02x}00{kind:02x}\n");
    }
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("sigpool-compare-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("network.csv"), text).unwrap();
    let records = Records::read_dir(&folder).unwrap();
    assert_eq!((records.network_order.len(), records.malformed_lines), (messages.len(), 0));
    std::fs::remove_dir_all(folder).unwrap();
    records
}

#[test]
fn timing_follows_the_speed() {
    let script = script(&[(0, true, 1, IAM), (100, true, 1, REL)], false);
    let mut source = ScriptSource::new(script.clone(), 2.0, None);
    let progress = source.progress();
    let t0 = Instant::now();
    assert!(source.poll(t0).is_none());
    source.start(t0);
    assert!(source.poll(t0).is_some());
    assert!(source.poll(t0 + Duration::from_millis(49)).is_none());
    assert_eq!(source.poll_timeout(), Some(t0 + Duration::from_millis(50)));
    let late = source.poll(t0 + Duration::from_millis(60)).map(|m| m.intended);
    assert_eq!((late, source.up()), (Some(t0 + Duration::from_millis(50)), 0));
    // Both asked, and nothing was answered.
    let seen = progress.look().clone();
    assert_eq!((seen.sent, seen.open.len()), (2, 1));
    let mut at_once = ScriptSource::new(script.clone(), 0.0, None);
    at_once.start(t0);
    assert_eq!(std::iter::from_fn(|| at_once.poll(t0)).count(), 2);
    assert_eq!((script.length(2.0), script.length(0.0)), (Duration::from_millis(50), Duration::ZERO));
}

const CALL: Messages =
    &[(0, true, 1, IAM), (10, false, 1, ACM), (20, false, 1, ANM), (30, true, 1, REL), (31, false, 1, RLC)];

#[test]
fn the_same_calls_are_equal_and_what_differs_is_named() {
    let script = script(CALL, false);
    let equal = compare(&script, &records(CALL), true);
    assert!(equal.is_equal(), "{equal:?}");
    assert_eq!((equal.calls.replayed, equal.answered.replayed, equal.released.replayed), (1, 1, 1));
    // The pool released instead of answering.
    let other = &[(0, true, 1, IAM), (10, false, 1, ACM), (20, false, 1, REL), (30, true, 1, REL), (31, false, 1, RLC)];
    let differs = compare(&script, &records(other), true);
    assert!(!differs.is_equal());
    assert_eq!(differs.different, 1);
    assert_eq!(differs.differences, ["1 - 2, CIC 1, call 1: recorded ACM ANM RLC, here ACM REL RLC"]);
    assert_eq!((differs.pool_to_network["ANM"].recorded, differs.pool_to_network["ANM"].replayed), (1, 0));
    // The same counts in all, but on other circuits: not equal either.
    let two = [CALL, &[(40, true, 2, IAM), (50, false, 2, ACM), (60, true, 2, REL), (61, false, 2, RLC)]].concat();
    let swapped: Vec<_> =
        two.iter().map(|(ms, from, cic, kind)| (*ms, *from, if *from { *cic } else { 3 - cic }, *kind)).collect();
    let swapped = compare(&self::script(&two, false), &records(&swapped), true);
    assert!(swapped.pool_to_network.values().all(|pair| pair.is_equal()) && !swapped.is_equal(), "{swapped:?}");
}

#[test]
fn plain_payload_has_no_answers_to_compare() {
    let own = &[(0, true, 1, IAM), (5, false, 3, IAM), (6, true, 3, ACM), (30, true, 1, REL)];
    let script = script(own, true);
    assert_eq!(script.len(), 3);
    let sent: Vec<_> = own.iter().filter(|m| m.1).copied().collect();
    let comparison = compare(&script, &records(&sent), false);
    assert!(comparison.network_to_pool.values().all(|pair| pair.is_equal()), "{comparison:?}");
    assert!(comparison.pool_to_network.is_empty());
}
