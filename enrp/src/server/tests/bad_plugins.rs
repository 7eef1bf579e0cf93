//! Selection plug-ins that fail, take too much, or say nonsense: their pool goes by its own policy, and the server goes on.

use super::plugins::{NEAREST, PLACES, TENANT, by_policy, each, module, priorities, question};
use super::*;
use crate::plugin::{PluginFiles, PluginsConfig, PoolPlugin};

#[test]
fn bad_plugins_cost_their_pool_the_default_policy() {
    for (beside, body, expected) in [
        ("", "(unreachable)", "unreachable"),
        ("", "(loop (br 0)) (unreachable)", "fuel"),
        ("(func $again (call $again))", "(call $again) (i32.const 0)", "stack"),
        ("", "(i32.const 7)", "`rank` returned 7"),
        ("", "(i32.const -1)", "`rank` returned -1"),
        ("", "(i32.load (i32.const -4))", "out of bounds"),
        ("", "(i32.div_u (i32.const 1) (i32.const 0))", "zero"),
        (
            "",
            "(call $row (i32.const -9) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
            "not in its memory",
        ),
        (
            "",
            "(call $element_row (i32.const 0) (i32.const 1) (i32.const 4) (i32.const 0) (i32.const 8))",
            "element 4 was not in",
        ),
        (
            r#"(data (i32.const 0) "tword")"#,
            "(call $row (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 4) (i32.const -8) (i32.const 8))",
            "not in its memory",
        ),
        // The start function loops, or a memory that is too large, now or at the start.
        ("(func $start (loop (br 0))) (start $start)", "(i32.const 0)", "fuel"),
        (
            "(func $start (drop (memory.grow (i32.const 1000)))
            (i32.store (i32.const 4000000) (i32.const 1))) (start $start)",
            "(i32.const 0)",
            "out of bounds",
        ),
        ("(table 5000 funcref)", "(i32.const 0)", "limit"),
    ] {
        Lab::with_rank(beside, body).fails(expected);
    }
    for (module, expected) in [
        ("", "expected"),
        ("(module", "expected"),
        ("\0asm\x01\0\0\0\x01", "unexpected end"),
        ("(module)", "no memory"),
        (r#"(module (memory (export "memory") 1))"#, "no function `rank`"),
        (
            r#"(module (memory (export "memory") 1) (func (export "rank") (param i64 i32) (result i32) (i32.const 0)))"#,
            "no function `rank`",
        ),
        (
            r#"(module (memory (export "memory") 100) (func (export "rank") (param i32 i32) (result i32) (i32.const 0)))"#,
            "limit",
        ),
        (
            r#"(module (memory (export "memory") 1 2) (func (export "rank") (param i32 i32) (result i32) (i32.const 0)))"#,
            "no room for",
        ),
        (r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (memory (export "memory") 1))"#, "fd_write"),
    ] {
        Lab::with_plugin(module, "t", "", |_| {}).fails(expected);
    }
}

#[test]
fn a_failed_plugin_rests_and_starts_anew() {
    // It fails at its second question: a global says so.
    let body = format!(
        "(if (global.get $asked) (then (unreachable))) (global.set $asked (i32.const 1)) {}",
        each("(i32.load offset=4 (local.get $at))")
    );
    let mut lab = Lab::with_rank("(global $asked (mut i32) (i32.const 0))", &body);
    assert_eq!(lab.asked(9, None), [(1, 4), (2, 3), (3, 2), (4, 1)]);
    lab.fails("unreachable");
    for _ in 0..5 {
        by_policy(&lab.ask(9, &question(false, None, vec![])));
    }
    lab.pass(999);
    by_policy(&lab.ask(9, &question(false, None, vec![])));
    let counters = lab.server.counters();
    assert_eq!((counters.plugin_failures, counters.plugin_resting, counters.plugin_answers), (1, 6, 1));
    lab.pass(1);
    assert_eq!(lab.asked(9, None), [(1, 4), (2, 3), (3, 2), (4, 1)]);
}

#[test]
fn plugins_that_take_too_much_together_are_not_asked() {
    let body = format!(
        "(local.set $n (i32.const -9000)) (block (loop (br_if 1 (i32.eqz (local.get $n)))
        (local.set $n (i32.add (local.get $n) (i32.const 1))) (br 0))) {}",
        each("(i32.const 5)")
    );
    let mut lab = Lab::with_plugin(&module("", &body), "t", "", |c| {
        c.fuel_per_selection_max = 100_000;
        c.fuel_per_s_max = 100_000;
    });
    let mut answers = 0;
    while lab.server.counters().plugin_over_budget == 0 {
        lab.ask(9, &question(false, None, vec![]));
        answers += 1;
    }
    assert!((3..15).contains(&answers), "{answers}");
    lab.pass(1_000);
    assert_eq!(lab.asked(9, None).len(), 4, "a second later there is fuel again");
    assert_eq!(lab.server.counters().plugin_failures, 0);
}

/// What a plug-in writes beside the ranks, and any ranks: each answer has elements that may be selected, each once.
#[test]
fn nothing_but_the_ranks_is_believed() {
    let scribble = "(memory.fill (local.get $block) (i32.const 0x5a) (local.get $length)) (i32.const 0)";
    let mut lab = Lab::with_rank("", scribble);
    let mut all = lab.asked(9, Some("hint"));
    all.sort_unstable();
    assert_eq!(all, [(1, 1), (2, 1), (3, 1), (4, 1)]);
    // Ranks by a bad hash of the random number: any order, some not to be used.
    let random = "(i32.rotl (i32.xor (i32.load offset=48 (local.get $block)) (i32.const 0x9e3779b9)) (i32.mul (local.get $n) (i32.const 7)))";
    let mut lab =
        Lab::with_rank("", &each(&format!("(select (i32.const -1) {random} (i32.and {random} (i32.const 1)))")));
    lab.server.set_usable(lab.now, &pool(), pe(2), false);
    let mut orders = BTreeSet::new();
    for _ in 0..200 {
        let answer = lab.ask(9, &question(false, None, vec![]));
        if matches!(answer, Message::HandleResolutionResponse { error: None, .. }) {
            let mut pes: Vec<u32> = priorities(&answer).iter().map(|&(pe, _)| pe).collect();
            orders.insert(pes.clone());
            pes.sort_unstable();
            pes.dedup();
            assert_eq!(pes.len(), listed(&answer).1.len());
            assert!(pes.iter().all(|pe| [1, 3, 4].contains(pe)));
        } else {
            assert_eq!(refused(&answer).1, ErrorCause::LackOfResources);
        }
    }
    assert!(orders.len() > 5, "{orders:?}");
}

/// Damaged modules: each is refused, fails, or ranks; the pool has its answer all the same.
#[test]
fn any_bytes_are_a_plugin_or_an_error() {
    let good: Vec<Vec<u8>> = [NEAREST, TENANT].map(|text| wat::parse_str(text).unwrap()).to_vec();
    let mut random = Rng::new(7);
    let (mut failed, mut ranked) = (0, 0);
    for round in 0..600 {
        let mut bytes = good[round % 2].clone();
        for _ in 0..=random.below(3) {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] = random.next_u64().to_le_bytes()[0];
        }
        let mut lab = Lab::with_plugin("", "location", PLACES, |c| c.fuel_per_selection_max = 20_000);
        let files = PluginFiles { plugins: [("it".to_owned(), bytes)].into(), tables: [].into() };
        let config = PluginsConfig {
            directory: "/plugins".into(),
            pools: vec![PoolPlugin { handle: "*".into(), plugin: "it".into() }],
            fuel_per_selection_max: 20_000,
            ..PluginsConfig::default()
        };
        lab.server.set_plugins(&config, &files).unwrap();
        for hint in ["vienna", "acme", "x"] {
            let answer = lab.ask(9, &question(false, Some(hint), vec![]));
            let Message::HandleResolutionResponse { elements, error, .. } = &answer else { panic!("{answer:?}") };
            let mut pes: Vec<u32> = elements.iter().map(|element| element.id.0).collect();
            pes.sort_unstable();
            pes.dedup();
            assert!(pes.len() == elements.len() && pes.iter().all(|pe| (1..=4).contains(pe)));
            assert!(error.is_some() == elements.is_empty());
        }
        failed += lab.server.counters().plugin_failures;
        ranked += lab.server.counters().plugin_answers + lab.server.counters().plugin_declined;
    }
    assert!(failed > 100 && ranked > 100, "{failed} {ranked}");
}

/// A hint that a plug-in stumbles over costs the user who sends it, not the others; a plug-in that fails for several rests.
#[test]
fn a_plugin_that_fails_for_one_user_goes_on_for_others() {
    // It stumbles over the hint `x`.
    let body = format!("(if (i32.load offset=28 (local.get $block)) (then (unreachable))) {}", each("(i32.const 5)"));
    let hint_fails = |lab: &mut Lab, client| by_policy(&lab.ask(client, &question(false, Some("x"), vec![])));
    let mut lab = Lab::with_rank("", &body);
    hint_fails(&mut lab, 9);
    by_policy(&lab.ask(9, &question(false, None, vec![])));
    assert_eq!(lab.asked(10, None).len(), 4);
    for _ in 0..20 {
        hint_fails(&mut lab, 9);
    }
    let counters = lab.server.counters();
    assert_eq!((counters.plugin_failures, counters.plugin_resting, counters.plugin_answers), (1, 21, 1));
    hint_fails(&mut lab, 10);
    assert_eq!(lab.asked(11, None).len(), 4);
    hint_fails(&mut lab, 11);
    by_policy(&lab.ask(12, &question(false, None, vec![])));
    assert_eq!(lab.server.counters().plugin_failures, 3);
    lab.pass(1_000);
    assert_eq!(lab.asked(9, None).len(), 4);
}

/// Each plug-in has its share of the fuel: one that takes too much takes nothing from another.
#[test]
fn a_greedy_plugin_starves_only_its_own_pools() {
    let greedy = module(
        "",
        &format!(
            "(local.set $n (i32.const -9000)) (block (loop (br_if 1 (i32.eqz (local.get $n)))
        (local.set $n (i32.add (local.get $n) (i32.const 1))) (br 0))) {}",
            each("(i32.const 5)")
        ),
    );
    let modest = module("", &each("(i32.const 5)"));
    let mut lab = Lab::new(|c| c.keep_alive_interval_ms = 0);
    let rule = |handle: &str, plugin: &str| PoolPlugin { handle: handle.into(), plugin: plugin.into() };
    let config = PluginsConfig {
        directory: "/plugins".into(),
        pools: vec![rule("greedy", "greedy"), rule("Gateway*", "modest")],
        fuel_per_selection_max: 100_000,
        fuel_per_s_max: 200_000,
        ..PluginsConfig::default()
    };
    let plugins = [("greedy", greedy), ("modest", modest)].map(|(name, text)| (name.to_owned(), text.into_bytes()));
    lab.server.set_plugins(&config, &PluginFiles { plugins: plugins.into(), ..PluginFiles::default() }).unwrap();
    (1..=2).for_each(|n| lab.register(n));
    let pool = PoolHandle::from("greedy");
    let answers = lab.send(3, &Message::Registration { handle: pool.clone(), element: element(3) });
    assert!(matches!(answers[0].1, Message::RegistrationResponse { reject: false, .. }));
    let ask_greedy = Message::resolution(false, pool, None);
    while lab.server.counters().plugin_over_budget == 0 {
        lab.ask(9, &ask_greedy);
    }
    assert_eq!(lab.asked(9, None).len(), 2, "the other plug-in has its own share");
}
