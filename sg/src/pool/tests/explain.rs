//! What `sigpool explain` says is what then happens; and it says why of everybody else.

use super::bench::Bench;
use crate::config::{As, Config};
use crate::explain::{Explanation, Fate, Question, from_config};
use crate::pool::Location;
use sctp::{AssocId, CloseReason};
use std::net::IpAddr;

impl Bench {
    fn explain(&mut self, cic: u16) -> Explanation {
        let question = Question { opc: 1, dpc: 2, sls: 0, cic: Some(cic), si: 5, ni: 2, network: None };
        let server = As { dpc: vec![2], ..As::default() };
        let mut answer = from_config(&Config { application_servers: vec![server], ..Config::default() }, question);
        self.pool.explain(self.now, &self.names, &mut answer);
        answer
    }

    /// Who owns the circuit's group.
    fn owner(&self, assocs: &[AssocId], cic: u16) -> Option<u32> {
        let id = self.pool.by_key[&super::bench::key(cic)];
        let owner =
            assocs.iter().find(|assoc| self.pool.controllers.get(assoc).is_some_and(|c| c.groups.contains(&id)));
        owner.map(|assoc| self.pool.controllers[assoc].pe)
    }
}

fn why<'a>(answer: &'a Explanation, pe: &str) -> &'a str {
    answer.rejected.iter().find(|rejected| rejected.pe == pe).map_or("", |rejected| &rejected.why[0])
}

#[test]
fn a_new_group_goes_where_it_was_said_and_the_question_uses_up_no_turn() {
    let mut bench = Bench::new(|_, _| {});
    let all: Vec<_> = [1, 2, 3].map(|pe| bench.controller(pe)).into();
    for group in 0..20 {
        let cic = group * 32;
        let said = bench.explain(cic);
        assert_eq!((said.fate, &said), (Fate::Sent, &bench.explain(cic)), "asked twice, the same");
        assert_eq!(said.group.unwrap().state, "unknown");
        bench.offer(cic, b'a');
        let owner = format!("{:08x}", bench.owner(&all, cic).unwrap());
        assert_eq!(said.controller.unwrap().pe, owner);
        let said = bench.explain(cic);
        assert_eq!(said.controller.as_ref().unwrap().pe, owner);
        assert!(said.controller.unwrap().why.contains("owns the group"));
        let group = said.group.unwrap();
        assert_eq!(
            (group.state.as_str(), group.owner, group.queued_messages, group.unconfirmed),
            ("owned", Some(owner), 1, 1)
        );
        assert_eq!((said.next.len(), said.rejected.len()), (2, 0));
    }
}

#[test]
fn when_the_owner_dies_its_group_goes_to_the_one_named_next() {
    let mut bench = Bench::new(|_, _| {});
    let all: Vec<_> = [1, 2, 3].map(|pe| bench.controller(pe)).into();
    bench.offer(0, b'a');
    let next = bench.explain(0).next[0].pe.clone();
    let owner = bench.owner(&all, 0).unwrap();
    bench.close(all[owner as usize - 1], &CloseReason::Unreachable);
    assert_eq!(format!("{:08x}", bench.owner(&all, 0).unwrap()), next);
    let said = bench.explain(0);
    assert_eq!(why(&said, &format!("{owner:08x}")), "given up, and not active since");
}

#[test]
fn while_the_last_owner_may_still_act_it_says_for_how_long() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    bench.offer(0, b'a');
    bench.controller(2);
    bench.close(one, &CloseReason::Silent);
    let said = bench.explain(0);
    assert_eq!((said.fate, said.group.unwrap().state.as_str()), (Fate::Waits, "fenced"));
    assert!(said.why.contains("300 ms more") && said.why.ends_with("then 00000002"), "{}", said.why);
}

#[test]
fn everybody_who_does_not_get_it_has_a_reason() {
    let mut bench = Bench::new(|_, failover| failover.rebalance = false);
    bench.controller(1);
    let two = bench.controller(2);
    let three = bench.controller(3);
    bench.register(4);
    let five = bench.register(5);
    bench.up(five);
    bench.controller(6);
    bench.names.unlisted.push(6);
    bench.asp_inactive(two);
    bench.close(three, &CloseReason::Silent);
    let said = bench.explain(0);
    assert_eq!(said.controller.as_ref().unwrap().pe, "00000001");
    assert_eq!(why(&said, "00000002"), "not active: it left by ASPIA or ASPDN");
    let failed = said.rejected.iter().find(|rejected| rejected.pe == "00000003").unwrap();
    assert_eq!(failed.why, ["given up, and not active since", "no association: tried again in 100 ms"]);
    assert_eq!(why(&said, "00000004"), "not active: the association is being set up");
    assert_eq!(why(&said, "00000005"), "not active: no ASPUP and ASPAC yet");
    // Suspended: it comes last, as nothing is lost when resolution yields nobody.
    let last = said.next.last().unwrap();
    assert_eq!(last.pe, "00000006");
    assert!(last.why.starts_with("only if resolution yields nobody"), "{}", last.why);
}

#[test]
fn what_a_message_waits_for_or_why_it_is_discarded_is_said() {
    let mut bench = Bench::new(|server, _| {
        server.unconfirmed_max = 1;
        server.queue_messages_max = 4;
        server.congestion_percent = 50;
    });
    let said = bench.explain(0);
    assert_eq!(said.fate, Fate::Waits);
    assert!(said.why.contains("T(r), 2000 ms") && said.controller.is_none(), "{}", said.why);
    let one = bench.controller(1);
    bench.offer(0, b'a');
    let said = bench.explain(0);
    assert!(said.why.contains("unconfirmed_max") && said.fate == Fate::Waits, "{}", said.why);
    bench.offer(0, b'b');
    let said = bench.explain(0);
    assert!(said.notes.iter().any(|note| note.contains("congestion")), "{:?}", said.notes);
    bench.offer(0, b'c');
    bench.offer(0, b'd');
    let said = bench.explain(0);
    assert_eq!((said.fate, said.why.as_str()), (Fate::Discarded, "queue-full: 4 messages are queued"));
    bench.close(one, &CloseReason::Unreachable);
    bench.pass(2_100);
    let said = bench.explain(0);
    assert!(said.fate == Fate::Discarded && said.why.contains("DUNA"), "{}", said.why);
}

#[test]
fn a_planned_move_is_said_with_its_end() {
    let mut bench = Bench::new(|_, _| {});
    let one = bench.controller(1);
    for group in 0..2 {
        bench.offer(group * 32, b'a');
        bench.cookie(one, group * 32, 1, b"calls");
    }
    bench.controller(2);
    bench.pass(210);
    let moving: Vec<_> =
        [0, 32].into_iter().filter(|cic| bench.explain(*cic).group.unwrap().state == "moving").collect();
    let [cic] = moving[..] else { panic!("one of two moves") };
    let said = bench.explain(cic);
    assert!(said.why.ends_with("a planned move to 00000002") && said.fate == Fate::Waits, "{}", said.why);
}

#[test]
fn more_elements_than_are_listed_are_counted() {
    let mut bench = Bench::new(|server, _| server.associations_max = 2);
    for pe in 0..200_u8 {
        let location = Location { addresses: vec![IpAddr::from([127, 0, 1, pe])], port: 2905 };
        bench.on(|pool, cx| pool.element_there(cx, pe.into(), location));
    }
    let said = bench.explain(0);
    assert_eq!((said.rejected.len(), said.rejected_left_out), (Explanation::REJECTED_MAX, 100));
    assert_eq!(said.rejected[5].why[0], "no association: 2 are there, associations_max");
}
