//! Octets, circuits out of service, group messages, blocking.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn octets_of_what_the_codec_does_not_model() {
    assert_eq!(hex(&message::ucic(37)), "25002e");
    assert_eq!(hex(&message::upa(0)), "00003500");
    // Cause: location 2, value 97, diagnostic 0xf0.
    assert_eq!(hex(&message::cfn(37, 0xf0)), "25002f02000382e1f0");
    // Range at its pointer + 2, states at theirs + 3.
    assert_eq!(hex(&message::cqr(37, 1, &[0x0c, 0x04])), "25002b02030101020c04");
}

#[test]
fn octets_of_a_call() {
    assert_eq!(hex(&message::acm(37)), "250006161400");
    assert_eq!(hex(&message::anm(37)), "25000900");
    assert_eq!(hex(&message::rel(37, 16)), "25000c0200028290");
    assert_eq!(hex(&message::rlc(37)), "25001000");
    assert_eq!(hex(&message::iam(37, "5550100")), "2500010020010a000200060310550501f0");
}

#[test]
fn malformed_messages_change_nothing() {
    for bytes in [
        &b""[..],
        b"\x25",
        b"\x25\x00",
        // IAM without called number; REL with a pointer beyond its end; COT without its octet.
        b"\x25\x00\x01\x00\x20\x01\x0a\x00",
        b"\x25\x00\x0c\x09\x00",
        b"\x25\x00\x05",
        // SAM with pointer 0; GRS with range 0 and 32; CGB with too few status bits; CGB of a reserved type.
        b"\x25\x00\x02\x00\x00",
        b"\x25\x00\x17\x01\x01\x00",
        b"\x25\x00\x17\x01\x01\x20",
        b"\x25\x00\x18\x00\x01\x02\x0f\xff",
        b"\x25\x00\x18\x02\x01\x02\x01\x03",
        // CQR with range 0, with fewer states than its range says, without its second pointer.
        b"\x25\x00\x2b\x02\x03\x01\x00\x01\x0c",
        b"\x25\x00\x2b\x02\x03\x01\x01\x01\x0c",
        b"\x25\x00\x2b\x02",
    ] {
        let mut bed = Bed::new(Config::default());
        let (out, verdict) = bed.with(|group, cx| group.handle_message(cx, bytes));
        assert_eq!((out, verdict), (vec![], Verdict::Malformed), "{bytes:02x?}");
        assert_eq!(bed.group, Group::new(ID));
        assert_eq!(bed.counters.malformed, 1);
    }
}

#[test]
fn circuits_out_of_service_get_ucic_or_silence() {
    let config = Config { cic_first: 33, cic_last: 36, ..Config::default() };
    for (kind, answer) in [
        ("IAM", "UCIC"),
        ("RSC", "UCIC"),
        ("BLO", "UCIC"),
        ("GRS", "UCIC"),
        ("CQM", "UCIC"),
        ("REL", ""),
        ("RLC", ""),
        ("UCIC", ""),
        ("CFN", ""),
        ("ACM", ""),
    ] {
        let mut bed = Bed::new(config.clone());
        assert_eq!(names(&bed.receive(&sample(37, kind))), answer, "{kind}");
        assert_eq!(bed.group, Group::new(ID));
    }
}

#[test]
fn group_message_beyond_the_group_is_unsupported() {
    let mut bed = Bed::with_call(Config::default(), 31, Call::AnsweredIn);
    let (out, verdict) = bed.with(|group, cx| group.handle_message(cx, &message::grs(63, 1)));
    assert_eq!((out, verdict), (vec![], Verdict::Unsupported));
    assert_eq!(bed.call(31), Call::AnsweredIn);
}

#[test]
fn group_reset_clears_calls_and_reports_our_blocking() {
    let mut bed = Bed::with_call(Config { blocked_cics: vec![38], ..Config::default() }, ODD, Call::AnsweredIn);
    bed.with(|group, cx| group.start(cx, false));
    bed.receive(&sample(37, "BLO"));
    let out = bed.receive(&message::grs(37, 2));
    // Three circuits; the second is blocked by us.
    assert_eq!(hex(&out[0].user_data), "25002901020202");
    assert_eq!(bed.call(ODD), Call::Idle);
    assert_eq!(bed.group.blocked(), (1, 0));
    assert_eq!(bed.counters.ended(Outcome::ResetByPeer), 1);
}

#[test]
fn group_blocking_follows_its_status_bits() {
    let mut bed = Bed::new(Config::default());
    let status = itu_isup::RangeAndStatus::with_status(2, vec![0b101]);
    let out = bed.receive(&itu_isup::Message::circuit_group_blocking(37, 0, &status).encode().unwrap());
    assert_eq!(hex(&out[0].user_data), "25001a0001020205");
    assert_eq!(bed.group.blocked(), (0, 2));
    // Query: 37 idle and remotely blocked, 38 idle.
    let out = bed.receive(&sample(37, "CQM"));
    assert_eq!(hex(&out[0].user_data), "25002b02030101020e0c");
    bed.receive(&itu_isup::Message::circuit_group_unblocking(37, 0, &status).encode().unwrap());
    assert_eq!(bed.group.blocked(), (0, 0));
}

#[test]
fn query_tells_direction_hardware_and_unequipped() {
    let mut bed = Bed::with_call(Config { cic_last: 38, ..Config::default() }, ODD, Call::AnsweredOut);
    bed.receive(&sample(36, "IAM"));
    let status = itu_isup::RangeAndStatus::with_status(1, vec![0b10]);
    bed.receive(&itu_isup::Message::circuit_group_blocking(37, 1, &status).encode().unwrap());
    let out = bed.receive(&[36, 0, 0x2a, 1, 1, 3]);
    assert_eq!(hex(&out[0].user_data[8..]), "04082c03");
}

#[test]
fn blocked_circuits_follow_the_configuration() {
    let mut bed = Bed::new(Config { blocked_cics: vec![37], ..Config::default() });
    assert_eq!(names(&bed.with(|group, cx| group.start(cx, true)).0), "BLO");
    // An IAM for it says that BLO was not understood.
    assert_eq!(names(&bed.receive(&sample(37, "IAM"))), "BLO");
    assert_eq!(bed.call(ODD), Call::Idle);
    bed.receive(&sample(37, "BLA"));
    assert_eq!(names(&bed.run_ms(400_000)), "");
    // Reset keeps it blocked, and says so.
    assert_eq!(names(&bed.receive(&sample(37, "RSC"))), "BLO RLC");
    bed.receive(&sample(37, "BLA"));
    // Taken off the list.
    bed.config.blocked_cics.clear();
    assert_eq!(names(&bed.with(|group, cx| group.start(cx, false)).0), "UBL");
    assert_eq!(bed.group.blocked(), (1, 0));
    bed.receive(&sample(37, "UBA"));
    assert_eq!(bed.group.blocked(), (0, 0));
    assert_eq!(names(&bed.receive(&sample(37, "IAM"))), "");
    assert_eq!(bed.call(ODD), Call::Incoming);
}

#[test]
fn remote_blocking_keeps_our_calls_away_and_ends_with_an_iam() {
    let mut bed = Bed::new(Config { cic_first: 36, cic_last: 37, ..Config::default() });
    bed.receive(&sample(36, "BLO"));
    let (out, _) = bed.with(|group, cx| group.originate(cx));
    assert_eq!((names(&out).as_str(), out[0].cic), ("IAM", 37));
    assert!(!bed.with(|group, cx| group.originate(cx)).1, "36 is blocked, 37 is busy");
    assert_eq!(bed.counters.no_circuit, 1);
    bed.receive(&sample(36, "IAM"));
    assert_eq!((bed.call(4), bed.group.blocked()), (Call::Incoming, (0, 0)));
}

#[test]
fn new_group_is_reset_when_asked_for() {
    let mut bed = Bed::new(Config { reset_new_groups: true, cic_first: 33, ..Config::default() });
    let (out, ()) = bed.with(|group, cx| group.start(cx, true));
    assert_eq!(hex(&out[0].user_data), "21001701011e");
    assert_eq!(names(&bed.run_ms(15_000)), "GRS");
    // 33 and 34 are blocked at the other end.
    bed.receive(&[0x21, 0, 0x29, 1, 5, 0x1e, 3, 0, 0, 0]);
    assert_eq!(bed.group.calls()[0], 32);
    assert_eq!(bed.group.blocked(), (0, 2));
    assert_eq!(names(&bed.run_ms(600_000)), "");
}
