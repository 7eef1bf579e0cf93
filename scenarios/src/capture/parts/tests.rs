use super::*;
use Part::{Answer, AnswerLeftOut, LeftOut, Send};

/// Point codes: the network is 101, the pool 2.
const NETWORK: u32 = 101;
const POOL: u32 = 2;

/// Messages `(ms, from the network, user data)`.
fn capture(messages: &[(u64, bool, Vec<u8>)]) -> Capture {
    let labelled = messages.iter().map(|(ms, from_network, octets)| {
        let (opc, dpc) = if *from_network { (NETWORK, POOL) } else { (POOL, NETWORK) };
        (ms * 1_000_000, opc, dpc, 5, octets.clone())
    });
    Capture::of(labelled)
}

fn bare(cic: u16, kind: u8) -> Vec<u8> {
    isup::bare(cic, kind).to_vec()
}

fn iam(cic: u16, serial: u64) -> Vec<u8> {
    isup::iam(cic, serial).to_vec()
}

fn rel(cic: u16, cause: u8) -> Vec<u8> {
    isup::rel(cic, cause).to_vec()
}

fn of(messages: &[(u64, bool, Vec<u8>)]) -> Vec<Part> {
    Parts::new(&capture(messages), &[POOL], false).of
}

/// The lines for the controllers, without the IAM.
fn decided(messages: &[(u64, bool, Vec<u8>)], speed: f64) -> Vec<String> {
    let capture = capture(messages);
    let text = Parts::new(&capture, &[POOL], false).recorded_calls(&capture, speed);
    // They are what a controller reads.
    let calls = gwc_pe::isup::RecordedCalls::parse(&text).expect("its own format");
    assert_eq!(calls.len(), text.lines().count());
    text.lines().map(|line| line.splitn(4, ',').nth(3).expect("four fields").to_owned()).collect()
}

#[test]
fn the_network_is_the_side_that_seizes() {
    // The capture begins in mid-call with the called side's ACM; another pair has no IAM at all.
    let message = |opc, dpc, kind| (0, opc, dpc, 5, bare(1, kind));
    let capture = Capture::of([message(16, 1, 6), message(1, 16, 1), message(30, 40, 0x10), message(40, 30, 0x10)]);
    assert_eq!(Parts::new(&capture, &[], false).of, [Answer, Send, Send, Answer]);
    // Point codes that are known are believed: then the IAM is the pool's.
    assert_eq!(Parts::new(&capture, &[1, 30], false).of, [Send, AnswerLeftOut, Answer, Send]);
}

#[test]
fn calls_of_the_pool_are_left_out_to_their_end() {
    let messages = [
        (0, true, iam(4, 1)),
        (1, false, iam(3, 2)),
        (2, true, bare(3, isup::ACM)),
        (3, true, bare(3, isup::ANM)),
        // Both release at once: each waits for the other's RLC.
        (4, false, rel(3, 16)),
        (4, true, rel(3, 16)),
        (5, true, bare(3, isup::RLC)),
        (5, false, bare(3, isup::RLC)),
        // The circuit is free again; blocking belongs to no call.
        (6, true, rel(3, 16)),
        (7, false, bare(3, isup::RLC)),
        (8, false, iam(3, 3)),
        (9, true, bare(3, isup::BLO)),
        (9, true, vec![]),
    ];
    let expected = [
        Send,
        AnswerLeftOut,
        LeftOut,
        LeftOut,
        AnswerLeftOut,
        LeftOut,
        LeftOut,
        AnswerLeftOut,
        Send,
        Answer,
        AnswerLeftOut,
        Send,
        Send,
    ];
    assert_eq!(of(&messages), expected);
    let parts = Parts::new(&capture(&messages), &[POOL], false);
    assert_eq!((parts.pool_calls, parts.calls.len()), (2, 1));
    // As plain payload nothing is left out.
    let plain = Parts::new(&capture(&messages), &[POOL], true).of;
    assert!(plain.iter().all(|part| matches!(part, Send | Answer)));
}

#[test]
fn of_a_dual_seizure_the_controlling_exchange_s_call_stands() {
    // The network has the higher point code: it controls the even circuits (Q.764 2.9.1.3).
    let race = |cic| {
        [(0, false, iam(cic, 1)), (0, true, iam(cic, 2)), (5, true, rel(cic, 16)), (6, false, bare(cic, isup::RLC))]
    };
    assert_eq!(of(&race(4)), [AnswerLeftOut, Send, Send, Answer]);
    assert_eq!(of(&race(3)), [AnswerLeftOut, LeftOut, LeftOut, AnswerLeftOut]);
    let other_order = |cic| [(0, true, iam(cic, 1)), (0, false, iam(cic, 2)), (5, true, rel(cic, 16))];
    assert_eq!(of(&other_order(4)), [Send, AnswerLeftOut, Send]);
    assert_eq!(of(&other_order(3)), [Send, AnswerLeftOut, LeftOut]);
}

#[test]
fn the_pools_decisions_are_told_with_their_times() {
    let answered = [
        (1_000, true, iam(4, 1)),
        (1_100, false, bare(4, isup::ACM)),
        (1_500, false, bare(4, isup::ANM)),
        (1_700, false, rel(4, 31)),
        (1_900, true, bare(4, isup::RLC)),
        // Given up by the caller.
        (2_000, true, iam(4, 2)),
        (2_100, false, bare(4, isup::ACM)),
        (2_400, true, rel(4, 16)),
        (2_401, false, bare(4, isup::RLC)),
        // Refused.
        (3_000, true, iam(4, 3)),
        (3_040, false, rel(4, 17)),
        (3_900, true, bare(4, isup::RLC)),
    ];
    assert_eq!(decided(&answered, 1.0), ["100,400,200,31", "100,,,0", ",,40,17"]);
    assert_eq!(decided(&answered, 2.0), ["50,200,100,31", "50,,,0", ",,20,17"]);
    // CON is ACM and ANM at once; a call without end has none.
    // Of a call without any answer the capture has one side only.
    assert_eq!(decided(&[(0, true, iam(4, 1)), (900, true, rel(4, 16))], 1.0), [""; 0]);
    let connected = [(0, true, iam(4, 1)), (50, false, bare(4, isup::CON))];
    assert_eq!(decided(&connected, 0.0), ["50,0,,0"]);
}

#[test]
fn what_the_network_followed_closely_comes_a_little_earlier() {
    let close = [
        (0, true, iam(4, 1)),
        (100, false, bare(4, isup::ACM)),
        (500, false, bare(4, isup::ANM)),
        (501, true, rel(4, 16)),
        (502, false, bare(4, isup::RLC)),
    ];
    // 1 ms becomes 60 ms.
    assert_eq!(decided(&close, 1.0), ["100,341,,0"]);
    assert_eq!(decided(&close, 10.0), ["10,0,,0"]);
    // ANM and REL crossed: the pool had answered before the REL came to it.
    let crossed = [
        (0, true, iam(4, 1)),
        (100, false, bare(4, isup::ACM)),
        (500, true, rel(4, 16)),
        (501, false, bare(4, isup::ANM)),
        (502, false, bare(4, isup::RLC)),
    ];
    assert_eq!(decided(&crossed, 1.0), ["100,340,,0"]);
}

#[test]
fn the_same_iam_again_is_decided_as_the_first() {
    let twice = [(0, true, iam(4, 1)), (10, false, bare(4, isup::UCIC)), (20, true, iam(4, 1))];
    let parts = Parts::new(&capture(&twice), &[POOL], false);
    assert_eq!((parts.calls.len(), parts.repeated_iams), (2, 1));
}
