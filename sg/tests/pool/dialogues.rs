//! TCAP dialogues through the whole gateway: each stays with one controller by its transaction ids, and goes on elsewhere when that
//! controller dies.

use crate::peer::{NETWORK, POOL, ROUTING_CONTEXT};
use crate::world::Machine;
use crate::{Lab, seeds};
use m3ua_lite::sccp;
use m3ua_lite::session::sls_stream;
use m3ua_lite::tcap::{self, MessageType};
use m3ua_lite::wire::{Data, Message, ProtocolData};
use std::collections::{BTreeMap, BTreeSet};

/// Where the peer keeps what is UDT of class 1: it takes it for a circuit.
const UDT: u16 = 0x0109;
const DIALOGUES: u32 = 96;

fn lab(seed: u64) -> Lab {
    let mut lab = Lab::new(seed, |config| {
        config.application_servers[0].si = vec![3];
        config.application_servers[0].sccp_affinity = sg::config::SccpAffinity::Tcap;
    });
    for number in 11..=13 {
        lab.controller_with(number, |config| {
            config.session.sccp_affinity = gwc_pe::config::SccpAffinity::Tcap;
            config.session.plain_si.clear();
        });
    }
    lab.network(0);
    lab
}

/// UDT of class 1 with a TCAP message of these ids and an invocation, so that no two messages are alike.
fn unitdata(tag: u8, otid: Option<&[u8]>, dtid: Option<&[u8]>, invoke: u8) -> Vec<u8> {
    let mut ids = Vec::new();
    for (tag, id) in [(0x48, otid), (0x49, dtid)].into_iter().filter_map(|(tag, id)| Some((tag, id?))) {
        ids.extend([tag, id.len() as u8]);
        ids.extend(id);
    }
    ids.extend([0x6c, 8, 0xa1, 6, 2, 1, invoke, 2, 1, 1]);
    let length = ids.len() as u8;
    [&[9, 1, 3, 5, 7, 2, 0x42, 251, 2, 0x42, 250, length + 2, tag, length][..], &ids].concat()
}

fn send(lab: &mut Lab, user_data: &[u8], sls: u8) {
    let now = lab.world.now;
    let protocol_data = ProtocolData { opc: NETWORK, dpc: POOL, si: 3, ni: 2, mp: 0, sls, user_data };
    let data =
        Data { routing_context: Some(ROUTING_CONTEXT), protocol_data, network_appearance: None, correlation_id: None };
    lab.peer(|peer| peer.send(now, sls_stream(sls, 17), &Message::Data(data)));
}

/// Type of a message of the pool, and its transaction id if it says one.
type Answer = (MessageType, Option<Vec<u8>>);

/// What came since, with our transaction ids.
fn answers(lab: &mut Lab) -> Vec<(u32, Answer)> {
    let received = lab.peer(|peer| peer.received.remove(&UDT)).unwrap_or_default();
    let read = |user_data: &Vec<u8>| {
        let head = tcap::read(sccp::read(user_data).unwrap().data).unwrap();
        let own = u32::from_be_bytes(head.destination.unwrap().try_into().unwrap());
        (own, (head.message_type, head.originating.map(<[u8]>::to_vec)))
    };
    received.iter().map(read).collect()
}

/// Begins the dialogues one after the other and continues each at once; `act` is called each ms.
fn play(lab: &mut Lab, act: impl Fn(&mut Lab, u32)) -> BTreeMap<u32, Vec<Answer>> {
    let mut seen: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    let start = lab.world.elapsed_ms();
    for step in 0..2_000 {
        if step % 3 == 0 && step / 3 < DIALOGUES {
            let id: u32 = step / 3;
            send(lab, &unitdata(0x62, Some(&id.to_be_bytes()), None, 1), id as u8 % 16);
        }
        act(lab, step);
        lab.world.run_until(start + u64::from(step));
        for (own, (kind, peer)) in answers(lab) {
            let so_far = seen.entry(own).or_default();
            if let Some(peer) = &peer {
                let invoke = so_far.len() as u8 + 2;
                send(lab, &unitdata(0x65, Some(&own.to_be_bytes()), Some(peer), invoke), own as u8 % 16);
            }
            so_far.push((kind, peer));
        }
    }
    seen
}

/// Committed inputs of all controllers, by user data; and the groups that the gateway gave.
fn applied(lab: &Lab) -> (BTreeMap<String, usize>, BTreeSet<u16>) {
    let gateway = std::str::from_utf8(lab.gateway().record()).unwrap();
    let fields = |text: &'_ str, kind: &str| -> Vec<Vec<String>> {
        let lines = text.lines().filter(|line| line.starts_with(kind));
        lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let committed: BTreeSet<(String, String)> =
        fields(gateway, "C,").into_iter().map(|f| (f[2].clone(), f[4].clone())).collect();
    let mut records = lab.old.clone();
    records.extend(lab.world.machines().filter_map(|machine| match machine {
        Machine::Controller(node) => Some(node.record().memory().to_vec()),
        _ => None,
    }));
    records.sort();
    records.dedup();
    let mut applied = BTreeMap::new();
    for record in records {
        let text = std::str::from_utf8(&record).unwrap();
        let pe = text.split_once("pe=").unwrap().1[..8].to_owned();
        for f in fields(text, "I,").into_iter().filter(|f| committed.contains(&(pe.clone(), f[2].clone()))) {
            *applied.entry(f[10].clone()).or_default() += 1;
        }
    }
    (applied, fields(gateway, "G,").iter().map(|f| f[6].parse().unwrap()).collect())
}

fn check(lab: &Lab, seen: &BTreeMap<u32, Vec<Answer>>) {
    assert_eq!(seen.len(), DIALOGUES as usize);
    for (id, answers) in seen {
        let kinds: Vec<_> = answers.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [MessageType::Continue, MessageType::Continue, MessageType::End], "dialogue {id}");
        assert_eq!(answers[0].1, answers[1].1, "dialogue {id} keeps its transaction");
        assert_eq!(tcap_group(answers[0].1.as_ref().unwrap()), (*id % 64) as u16);
    }
    let (applied, groups) = applied(lab);
    assert_eq!(applied.len(), 3 * DIALOGUES as usize, "nothing is lost");
    assert!(applied.values().all(|times| *times == 1), "nothing is acted on twice");
    assert_eq!(groups, (256..320).collect());
}

/// How often a group was given to a controller.
fn given(lab: &Lab) -> usize {
    std::str::from_utf8(lab.gateway().record()).unwrap().lines().filter(|line| line.starts_with("G,")).count()
}

fn tcap_group(id: &[u8]) -> u16 {
    m3ua_lite::session::dialogue_group_of(id).unwrap()
}

#[test]
fn dialogues_stay_with_their_controllers() {
    let mut lab = lab(1);
    lab.world.run_until(1_000);
    let seen = play(&mut lab, |_, _| {});
    check(&lab, &seen);
    assert_eq!(given(&lab), 64);
}

#[test]
fn a_killed_controllers_dialogues_go_on_elsewhere() {
    for seed in seeds() {
        let mut lab = lab(seed);
        lab.world.run_until(1_000 + seed * 7);
        let seen = play(&mut lab, |lab, step| {
            if step == 150 {
                lab.kill(12);
            }
        });
        check(&lab, &seen);
        assert!(given(&lab) > 64, "the groups of the killed one have another owner");
    }
}

#[test]
fn what_has_no_transaction_goes_by_its_sls() {
    let mut lab = lab(1);
    lab.world.run_until(1_000);
    // Unitdata whose contents are no TCAP.
    send(&mut lab, &[9, 1, 3, 5, 7, 2, 0x42, 251, 2, 0x42, 250, 1, 0xff], 7);
    lab.world.run_until(1_500);
    let (applied, groups) = applied(&lab);
    assert_eq!((applied.len(), groups), (1, BTreeSet::from([7])));
}
