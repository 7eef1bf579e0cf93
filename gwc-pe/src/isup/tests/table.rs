//! Every call state by every message.

use super::*;

/// A cell says what is sent and, after `>`, the new state where it changes. The circuit is odd, so that an IAM of the network wins.
/// A second IAM in a cell is a repeat attempt on another circuit.
#[rustfmt::skip]
const TABLE: &[(&str, [&str; 11])] = &[
    // message    idle              cot              incoming         wait-answer      answered-in      outgoing-iam        outgoing-acm     answered-out     releasing  resetting  group-resetting
    ("IAM",     [">incoming",      "RSC>resetting", "RSC>resetting", "",              "",              "IAM>incoming",     "",              "",              "",        "",        ""]),
    ("SAM",     ["RSC>resetting",  "",              "",              "",              "",              "RSC IAM>resetting","",              "",              "",        "",        ""]),
    ("COT+",    ["",               ">incoming",     "RSC>resetting", "",              "",              "RSC IAM>resetting","",              "",              "",        "",        ""]),
    ("COT-",    ["",               ">idle",         "RSC>resetting", "",              "",              "RSC IAM>resetting","",              "",              "",        "",        ""]),
    ("ACM",     ["RSC>resetting",  "RSC>resetting", "RSC>resetting", "",              "",              ">outgoing_acm",    "",              "",              "",        "",        ""]),
    ("CPG",     ["RSC>resetting",  "RSC>resetting", "RSC>resetting", "",              "",              "RSC IAM>resetting","",              "",              "",        "",        ""]),
    ("CON",     ["RSC>resetting",  "RSC>resetting", "RSC>resetting", "",              "",              ">answered_out",    "",              "",              "",        "",        ""]),
    ("ANM",     ["RSC>resetting",  "RSC>resetting", "RSC>resetting", "",              "",              "RSC IAM>resetting",">answered_out", "",              "",        "",        ""]),
    ("REL",     ["RLC",            "RLC>idle",      "RLC>idle",      "RLC>idle",      "RLC>idle",      "RLC>idle",         "RLC>idle",      "RLC>idle",      "RLC",     "RLC",     "RLC"]),
    ("RLC",     ["",               "REL>releasing", "REL>releasing", "REL>releasing", "REL>releasing", "REL>releasing",    "REL>releasing", "REL>releasing", ">idle",   ">idle",   ""]),
    ("SUS",     ["RSC>resetting",  "RSC>resetting", "RSC>resetting", "",              "",              "RSC IAM>resetting","",              "",              "",        "",        ""]),
    ("RES",     ["RSC>resetting",  "RSC>resetting", "RSC>resetting", "",              "",              "RSC IAM>resetting","",              "",              "",        "",        ""]),
    ("RSC",     ["RLC",            "RLC>idle",      "RLC>idle",      "RLC>idle",      "RLC>idle",      "RLC IAM>idle",     "RLC>idle",      "RLC>idle",      "RLC>idle","RLC>idle","RLC>idle"]),
    ("GRS",     ["GRA",            "GRA>idle",      "GRA>idle",      "GRA>idle",      "GRA>idle",      "GRA IAM>idle",     "GRA>idle",      "GRA>idle",      "GRA>idle","GRA>idle","GRA>idle"]),
    ("GRA",     ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("BLO",     ["BLA",            "BLA",           "BLA",           "BLA",           "BLA",           "BLA REL IAM>releasing","BLA",       "BLA",           "BLA",     "BLA",     "BLA"]),
    ("BLA",     ["UBL",            "UBL",           "UBL",           "UBL",           "UBL",           "UBL",              "UBL",           "UBL",           "UBL",     "UBL",     "UBL"]),
    ("UBL",     ["UBA",            "UBA",           "UBA",           "UBA",           "UBA",           "UBA",              "UBA",           "UBA",           "UBA",     "UBA",     "UBA"]),
    ("UBA",     ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("CGB",     ["CGBA",           "CGBA",          "CGBA",          "CGBA",          "CGBA",          "CGBA REL IAM>releasing","CGBA",     "CGBA",          "CGBA",    "CGBA",    "CGBA"]),
    ("CGB hw",  ["CGBA",           "CGBA>idle",     "CGBA>idle",     "CGBA>idle",     "CGBA>idle",     "CGBA IAM>idle",    "CGBA>idle",     "CGBA>idle",     "CGBA>idle","CGBA>idle","CGBA>idle"]),
    ("CGU",     ["CGUA",           "CGUA",          "CGUA",          "CGUA",          "CGUA",          "CGUA",             "CGUA",          "CGUA",          "CGUA",    "CGUA",    "CGUA"]),
    ("CGBA",    ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("CGUA",    ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("UCIC",    ["",               ">idle",         ">idle",         ">idle",         ">idle",         "IAM>idle",         ">idle",         ">idle",         ">idle",   ">idle",   ">idle"]),
    ("CQM",     ["CQR",            "CQR",           "CQR",           "CQR",           "CQR",           "CQR",              "CQR",           "CQR",           "CQR",     "CQR",     "CQR"]),
    ("CQR",     ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("CCR",     ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("CFN",     ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("UPT",     ["UPA",            "UPA",           "UPA",           "UPA",           "UPA",           "UPA",              "UPA",           "UPA",           "UPA",     "UPA",     "UPA"]),
    ("UPA",     ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("INF",     ["RSC>resetting",  "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("OLM",     ["",               "",              "",              "",              "",              "",                 "",              "",              "",        "",        ""]),
    ("unknown", ["CFN",            "CFN",           "CFN",           "CFN",           "CFN",           "CFN",              "CFN",           "CFN",           "CFN",     "CFN",     "CFN"]),
];

#[test]
fn every_state_by_every_message() {
    for (message, cells) in TABLE {
        for (state, cell) in Call::ALL.into_iter().zip(cells) {
            let (sent, next) = cell.split_once('>').unwrap_or((cell, state.name()));
            let mut bed = Bed::with_call(Config::default(), ODD, state);
            let out = bed.receive(&sample(37, message));
            assert_eq!(names(&out), sent, "sent for {message} in {}", state.name());
            assert_eq!(bed.call(ODD).name(), next, "state after {message} in {}", state.name());
            // A repeat attempt is on another circuit, everything else on this one.
            for output in out {
                assert_eq!(output.cic == 37, output.user_data[2] != 0x01, "{message} in {}", state.name());
            }
        }
    }
}

#[test]
fn our_call_stands_on_a_circuit_we_control() {
    let mut bed = Bed::with_call(Config::default(), 4, Call::OutgoingIam);
    assert_eq!(names(&bed.receive(&sample(36, "IAM"))), "");
    assert_eq!(bed.call(4), Call::OutgoingIam);
    assert_eq!(bed.counters.ended(Outcome::DualSeizure), 0);
}

#[test]
fn lost_dual_seizure_tries_again_on_a_circuit_we_control() {
    let mut bed = Bed::with_call(Config::default(), ODD, Call::OutgoingIam);
    let out = bed.receive(&sample(37, "IAM"));
    assert_eq!(out[0].cic % 2, 0);
    assert_eq!((bed.counters.ended(Outcome::DualSeizure), bed.counters.repeat_attempts), (1, 1));
    assert_eq!((bed.counters.calls_in, bed.counters.calls_out), (1, 1));
}

#[test]
fn outcomes_of_rel_by_state() {
    for (state, outcome) in [
        (Call::Incoming, Outcome::Abandoned),
        (Call::IncomingAcm, Outcome::Abandoned),
        (Call::AnsweredIn, Outcome::ReleasedByPeer),
        (Call::OutgoingIam, Outcome::RefusedByPeer),
        (Call::OutgoingAcm, Outcome::RefusedByPeer),
        (Call::AnsweredOut, Outcome::ReleasedByPeer),
    ] {
        let mut bed = Bed::with_call(Config::default(), ODD, state);
        bed.receive(&sample(37, "REL"));
        assert_eq!(bed.counters.ended(outcome), 1, "{}", state.name());
    }
}
