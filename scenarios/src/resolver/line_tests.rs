//! What a resolver asks for, and the line of an answer.

use super::record::Answer;
use super::{Pools, Record};
use crate::scenario::Population;
use asap::wire::{PeId, PoolElement};
use enrp::daemon::{RecordSink, clock_anchor};

#[test]
fn each_scope_has_its_own_pools() {
    let text = "pools = 2\nprocesses = 1\n[[pool]]\nhandle = \"media\"\npolicy = \"random\"\nelements = [{}]\n\
                [[pool]]\nhandle = \"media\"\nscope = \"east\"\npolicy = \"random\"\nelements = [{}]\n";
    let population: Population = toml::from_str(text).unwrap();
    let pools = Pools::of(&population, None);
    let names = |pools: &Pools| pools.handles.iter().map(|handle| pools.name(handle)).collect::<Vec<_>>();
    assert_eq!(names(&pools), ["pop-000", "pop-001", "media"]);
    assert_eq!(names(&Pools::of(&population, Some("east".into()))), ["media@east"]);
    assert!(Pools::of(&population, Some("west".into())).handles.is_empty());
}

#[test]
fn an_answer_has_who_was_taken_and_the_policy() {
    let clock = clock_anchor();
    let mut record = Record::new(clock, RecordSink::Memory(Vec::new()));
    let none: &[PoolElement] = &[];
    let answer = Answer { hint: "a,b", elements: none, taken: Some(PeId(0x1f)) };
    record.answer(clock.instant, clock.instant, &answer, "media@east");
    record.flush().unwrap();
    let text = String::from_utf8(record.memory().to_vec()).unwrap();
    let line = text.lines().nth(1).unwrap();
    assert!(line.ends_with(",,0000001f,00000000,a_b,media@east") && line.starts_with("A,"), "{line}");
}
