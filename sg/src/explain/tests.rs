//! What routing keys and a configuration alone tell.

use super::*;
use crate::config::As;

fn question(opc: u32, dpc: u32, si: u8) -> Question {
    Question { opc, dpc, sls: 0, cic: (si == 5).then_some(33), si, ni: 2, network: None }
}

fn config() -> Config {
    let servers = vec![
        As { dpc: vec![0x100], dpc_mask: 8, ..As::default() },
        As { routing_context: 2, pool: "b".into(), dpc: vec![2], opc: vec![7, 8], si: vec![5], ..As::default() },
        As { routing_context: 3, pool: "c".into(), dpc: vec![2], si: vec![3], ..As::default() },
    ];
    Config { application_servers: servers, ..Config::default() }
}

#[test]
fn the_key_that_fits_is_taken_and_the_others_say_why_not() {
    let answer = from_config(&config(), question(7, 2, 5));
    assert!(answer.found && !answer.running);
    assert_eq!(answer.fate, Fate::Unknown);
    let keys: Vec<_> = answer.routing_keys.iter().map(|key| (key.routing_context, key.fits, key.taken)).collect();
    assert_eq!(keys, [(2, true, true), (3, false, false), (1, false, false)], "most specific first");
    assert_eq!(answer.routing_keys[0].key, "DPC 2, OPC 7, 8, SI 5");
    assert_eq!(answer.routing_keys[1].why, "SI 5 is none of 3");
    assert_eq!(answer.routing_keys[2].why, "DPC 2 is not 256 to 511");
    assert_eq!(answer.application_server.unwrap().pool, "b");
    assert_eq!(answer.group.unwrap().group, "OPC 7 DPC 2 SI 5 CIC 32 to 63");
    let masked = from_config(&config(), question(7, 0x1ff, 3));
    assert_eq!(masked.application_server.unwrap().routing_context, 1);
    assert_eq!(masked.group.unwrap().group, "OPC 7 DPC 511 SI 3 SLS 0");
}

#[test]
fn a_key_behind_the_one_taken_says_that_it_fits_too() {
    let mut config = config();
    config.application_servers.push(As { routing_context: 4, pool: "d".into(), dpc: vec![2], ..As::default() });
    let answer = from_config(&config, question(7, 2, 5));
    let last = answer.routing_keys.iter().find(|key| key.routing_context == 4).unwrap();
    assert!(last.fits && !last.taken && last.why.starts_with("fits, but one before it does"), "{}", last.why);
}

#[test]
fn without_a_route_it_says_what_is_missing_and_what_the_peer_hears() {
    for (question, text) in [
        (question(7, 3, 5), "no routing key has DPC 3; the peer that sends it is told DUNA"),
        (question(7, 2, 4), "none of them SI 4; the peer that sends it is told DUPU"),
        (question(9, 2, 5), "none lets OPC 9 in; its peer is told nothing"),
    ] {
        let answer = from_config(&config(), question);
        assert!(!answer.found && answer.fate == Fate::NoRoute && answer.application_server.is_none());
        assert!(answer.why.contains(text), "{}", answer.why);
        assert!(answer.to_string().contains(text), "{answer}");
    }
}

#[test]
fn the_list_of_keys_is_bounded_and_always_has_the_one_taken() {
    let mut servers: Vec<As> = (0..500)
        .map(|n| As { routing_context: n, pool: n.to_string(), dpc: vec![2], opc: vec![n], ..As::default() })
        .collect();
    servers.push(As { routing_context: 500, pool: "many".into(), dpc: (1_000..2_000).collect(), ..As::default() });
    let config = Config { application_servers: servers, ..Config::default() };
    let answer = from_config(&config, question(400, 2, 5));
    assert_eq!(answer.routing_keys.len(), 2 * Explanation::KEYS_MAX + 1);
    assert_eq!(answer.routing_keys_left_out, 1_500 - answer.routing_keys.len());
    assert_eq!(answer.routing_keys.iter().find(|key| key.taken).unwrap().routing_context, 400);
    let many = As { dpc: vec![2], opc: (0..100).collect(), ..As::default() };
    let answer = from_config(&Config { application_servers: vec![many], ..Config::default() }, question(200, 2, 5));
    assert_eq!(answer.routing_keys[0].why, "OPC 200 is none of 0, 1, 2, 3, 4, 5, 6, 7 and 92 more");
}

#[test]
fn isup_without_a_circuit_has_no_group_and_another_appearance_is_told() {
    let answer = from_config(&config(), Question { cic: None, network: Some(9), ..question(7, 2, 5) });
    assert!(answer.found && answer.group.is_none());
    assert!(answer.notes[0].contains("--cic"), "{:?}", answer.notes);
    assert!(answer.notes[1].contains("Network Appearance is none"), "{:?}", answer.notes);
    let mut ours = config();
    ours.network.network_appearance = Some(9);
    assert!(from_config(&ours, Question { network: Some(9), ..question(7, 2, 5) }).notes.is_empty());
}

#[test]
fn network_indicator_and_network_appearance_are_parts_of_the_key() {
    let mut config = config();
    let of = |routing_context: u32, ni: Vec<u8>, network_appearance| As {
        routing_context,
        pool: routing_context.to_string(),
        dpc: vec![4],
        ni,
        network_appearance,
        ..As::default()
    };
    config.application_servers = vec![of(1, vec![0], Some(8)), of(2, vec![2], Some(8)), of(3, vec![], Some(9))];
    config.network.network_appearance = Some(8);
    let taken = |config: &Config, ni, network| {
        let answer = from_config(config, Question { ni, network, ..question(7, 4, 5) });
        answer.application_server.map(|server| server.routing_context)
    };
    assert_eq!(taken(&config, 0, None), Some(1), "the network side's own appearance is meant");
    assert_eq!(taken(&config, 2, Some(8)), Some(2));
    assert_eq!(taken(&config, 2, Some(9)), Some(3));
    let answer = from_config(&config, Question { ni: 3, ..question(7, 4, 5) });
    let keys: Vec<_> = answer.routing_keys.iter().map(|key| (key.key.as_str(), key.why.as_str())).collect();
    assert_eq!(keys[0], ("DPC 4, NI 0, Network Appearance 8", "NI 3 is none of 0"));
    assert_eq!(keys[2], ("DPC 4, Network Appearance 9", "Network Appearance 8 is not 9"));
    assert!(answer.why.contains("routing keys have DPC 4, none of them NI 3"), "{}", answer.why);
    let other = from_config(&config, Question { network: Some(1), ..question(7, 4, 5) });
    assert!(other.why.contains("no routing key has DPC 4 in the network of Network Appearance 1"), "{}", other.why);
    assert!(other.notes[0].contains("Network Appearance is 8, 9:"), "{:?}", other.notes);
}

#[test]
fn questions_out_of_range_are_refused() {
    let right = question(1, 2, 5);
    right.check().unwrap();
    for (wrong, key) in [
        (Question { opc: 1 << 24, ..right }, "opc"),
        (Question { dpc: 1 << 24, ..right }, "dpc"),
        (Question { si: 16, ..right }, "si"),
        (Question { ni: 4, ..right }, "ni"),
        (Question { cic: Some(4_096), ..right }, "cic"),
        (Question { si: 3, ..right }, "cic"),
    ] {
        assert_eq!(wrong.check().unwrap_err().key, key);
    }
}

#[test]
fn what_is_told_goes_over_the_admin_and_back() {
    let answer = from_config(&config(), question(7, 2, 5));
    let text = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), answer);
}

#[test]
fn sccp_is_grouped_as_the_application_server_says() {
    use crate::config::SccpAffinity;
    for (affinity, group, notes) in [
        (SccpAffinity::Sls, "OPC 7 DPC 2 SI 3 SLS 5", 0),
        (SccpAffinity::PointCodes, "OPC 7 DPC 2 SI 3 SLS 0", 0),
        (SccpAffinity::Tcap, "OPC 7 DPC 2 SI 3 SLS 5", 1),
    ] {
        let mut config = config();
        config.application_servers = vec![As { dpc: vec![2], sccp_affinity: affinity, ..As::default() }];
        let answer = from_config(&config, Question { sls: 5, ..question(7, 2, 3) });
        assert_eq!((answer.group.unwrap().group.as_str(), answer.notes.len()), (group, notes), "{affinity:?}");
    }
}
