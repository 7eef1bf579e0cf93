//! Every state by every event: `sctp/STATES.md` says what happens, and here it does.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::wildcard_enum_match_arm)] // Helpers of tests.
#[path = "../common/mod.rs"]
mod common;
mod events;
mod world;

use events::apply;
use world::{STATES, World};

const TABLE: &str = include_str!("../../STATES.md");

/// Event and expected cells by state.
fn rows() -> Vec<(&'static str, Vec<&'static str>)> {
    let lines = TABLE.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| event |"));
    let rows: Vec<_> = lines
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let event = cells.next().unwrap();
            (event, cells.collect::<Vec<_>>())
        })
        .collect();
    assert!(rows.iter().all(|(_, cells)| cells.len() == STATES.len()));
    rows
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for (event, expected) in rows() {
        for (state, expected) in STATES.iter().zip(expected) {
            let mut tried = 0;
            for incoming in [false, true] {
                let Some(mut world) = World::reach(state, incoming) else { continue };
                let Some(found) = apply(&mut world, state, event) else { continue };
                tried += 1;
                if found != expected {
                    wrong.push(format!("{event} in {state} (incoming {incoming}): {found}; the table says {expected}"));
                }
            }
            cells += tried;
            assert_eq!(tried == 0, expected == "-", "{event} in {state}: tried {tried} times");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cells > 700, "{cells}");
}

/// Section 8.5: with a tag that is neither ours nor the peer's nothing happens, but for what belongs to nobody.
#[test]
fn a_wrong_tag_does_nothing_in_any_state() {
    for (event, _) in rows().into_iter().filter(|(event, _)| events::has_our_tag(event)) {
        for state in &STATES[1..] {
            for incoming in [false, true] {
                let Some(mut world) = World::reach(state, incoming) else { continue };
                world.tag ^= 0x5555;
                let found = apply(&mut world, state, event);
                let before = matches!(*state, "CW" | "CE") && event == "SHUTDOWN ACK";
                let expected = if before { "SHUTDOWN COMPLETE T" } else { "." };
                assert_eq!(found.as_deref(), Some(expected), "{event} in {state}");
            }
        }
    }
}

/// Our tag from an address that is not the peer's: dropped, without an answer that could be aimed at somebody else.
#[test]
fn a_strange_address_does_nothing_in_any_state() {
    // Only an INIT ACK may come from an address we did not know.
    let events = rows().into_iter().map(|row| row.0);
    for event in events.filter(|event| events::has_our_tag(event) && !event.starts_with("INIT ACK")) {
        for state in &STATES[1..] {
            for incoming in [false, true] {
                let Some(mut world) = World::reach(state, incoming) else { continue };
                world.strange = true;
                assert_eq!(apply(&mut world, state, event).as_deref(), Some("."), "{event} in {state}");
            }
        }
    }
}
