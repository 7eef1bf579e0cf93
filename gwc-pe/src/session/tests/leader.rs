//! Two gateways: which of them this controller agrees to.

use super::*;

/// What is answered to a gateway that says it leads with this term.
fn ask(bed: &mut Bed, term: u32) -> String {
    bed.beat(0, true, Heartbeat::Lead(term));
    let send = bed.sends().into_iter().rfind(|send| word(send) != "0u: lease" || is_refusal(send)).unwrap();
    match Message::decode(&send.payload).unwrap() {
        Message::BeatAck(beat) => format!("agreed {:?}", Heartbeat::decode(beat.data.unwrap())),
        Message::Beat(beat) => format!("refused {:?}", Heartbeat::decode(beat.data.unwrap())),
        other => panic!("{other:?}"),
    }
}

fn is_refusal(send: &Send) -> bool {
    let Ok(Message::Beat(beat)) = Message::decode(&send.payload) else { return false };
    matches!(beat.data.map(Heartbeat::decode), Some(Heartbeat::Lead(_)))
}

/// The other gateway's session comes into play.
fn other(bed: &mut Bed, number: u64) {
    let mut second = Session::new(bed.now, &bed.shared, STREAMS);
    second.number = number;
    // What the first one holds stays in `shared`.
    bed.session = second;
}

#[test]
fn the_first_is_agreed_to_and_the_second_is_not_while_the_first_lives() {
    let mut bed = Bed::active(|_| ());
    assert_eq!(ask(&mut bed, 3), "agreed Lead(3)");
    assert_eq!(ask(&mut bed, 3), "agreed Lead(3)", "again");
    assert_eq!(ask(&mut bed, 4), "agreed Lead(4)", "alone from now on");
    other(&mut bed, 2);
    assert_eq!(ask(&mut bed, 9), "refused Lead(4)", "it lives");
    assert_eq!(bed.shared.counters.leaders_refused, 1);
}

#[test]
fn one_whose_lease_is_over_leads_no_more_and_an_old_term_never_leads() {
    let mut bed = Bed::active(|_| ());
    assert_eq!(ask(&mut bed, 4), "agreed Lead(4)");
    bed.run(1_000, false);
    assert!(bed.session.poll_end().is_some(), "the lease is over");
    other(&mut bed, 2);
    assert_eq!(ask(&mut bed, 4), "refused Lead(4)", "what this one knows may be of before");
    assert_eq!(ask(&mut bed, 5), "agreed Lead(5)");
}

#[test]
fn one_whose_association_ended_leads_no_more() {
    let mut bed = Bed::active(|_| ());
    assert_eq!(ask(&mut bed, 1), "agreed Lead(1)");
    let mut second = Session::new(bed.now, &bed.shared, STREAMS);
    second.number = 2;
    std::mem::replace(&mut bed.session, second).close(bed.now, &mut bed.shared);
    assert_eq!(ask(&mut bed, 2), "agreed Lead(2)");
}
