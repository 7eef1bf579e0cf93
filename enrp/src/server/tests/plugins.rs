//! Selection plug-ins: the two that are shipped, what they are given, tables and reports.

use super::*;
use crate::plugin::{PluginFiles, PluginsConfig, PoolPlugin};
use asap::wire::ElementReport;

pub(super) const NEAREST: &str = include_str!("../../../plugins/nearest.wat");
pub(super) const TENANT: &str = include_str!("../../../plugins/tenant.wat");

impl Lab {
    /// A server whose pool has this plug-in and this table, with PEs 1 to 4.
    pub(super) fn with_plugin(module: &str, table: &str, rows: &str, change: impl FnOnce(&mut PluginsConfig)) -> Self {
        let mut lab = Lab::new(|c| {
            c.keep_alive_interval_ms = 0;
            c.report_from = vec!["127.0.0.0/28".parse().unwrap()];
        });
        lab.plug(module, table, rows, change);
        (1..=4).for_each(|n| lab.register(n));
        lab
    }

    fn plug(&mut self, module: &str, table: &str, rows: &str, change: impl FnOnce(&mut PluginsConfig)) {
        let mut config = PluginsConfig {
            directory: "/plugins".into(),
            pools: vec![PoolPlugin { handle: "Gateway*".into(), plugin: "it".into() }],
            ..PluginsConfig::default()
        };
        change(&mut config);
        let files = PluginFiles {
            plugins: [("it".to_owned(), module.as_bytes().to_vec())].into(),
            tables: [(table.to_owned(), rows.to_owned())].into(),
        };
        self.server.set_plugins(&config, &files).unwrap();
    }

    /// A plug-in with this body of `rank` (and what may stand beside it).
    pub(super) fn with_rank(beside: &str, body: &str) -> Self {
        Self::with_plugin(&module(beside, body), "t", "word 1", |_| {})
    }

    pub(super) fn asked(&mut self, client: u64, hint: Option<&str>) -> Vec<(u32, u32)> {
        priorities(&self.ask(client, &question(false, hint, vec![])))
    }

    fn report(&mut self, client: u64, reports: Vec<ElementReport>) {
        self.ask(client, &question(false, None, reports));
    }

    /// One resolution by the pool's policy, because the plug-in failed.
    pub(super) fn fails(&mut self, expected: &str) {
        let failures = self.server.counters().plugin_failures;
        assert_eq!(by_policy(&self.ask(9, &question(false, Some("x"), vec![]))).len(), 4, "{expected}");
        assert_eq!(self.server.counters().plugin_failures, failures + 1, "{expected}");
        let error = self.server.plugins().plugins[0].last_error.clone().unwrap();
        assert!(error.contains(expected), "expected {expected}, got {error}");
    }
}

pub(super) fn module(beside: &str, body: &str) -> String {
    format!(
        r#"(module
            (import "sigpool" "row" (func $row (param i32 i32 i32 i32 i32 i32) (result i32)))
            (import "sigpool" "element_row" (func $element_row (param i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            {beside}
            (func (export "rank") (param $block i32) (param $length i32) (result i32)
                (local $at i32) (local $n i32) {body}))"#
    )
}

/// Stores for each record what the expression gives for record `$at` and number `$n`; then 0.
pub(super) fn each(expression: &str) -> String {
    format!(
        "(local.set $at (i32.add (local.get $block) (i32.load offset=8 (local.get $block))))
         (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $n) (i32.load offset=4 (local.get $block))))
            (i32.store (local.get $at) {expression})
            (local.set $at (i32.add (local.get $at) (i32.load offset=12 (local.get $block))))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br $next)))
         (i32.const 0)"
    )
}

pub(super) fn question(subscribe: bool, hint: Option<&str>, reports: Vec<ElementReport>) -> Message {
    let hint = hint.map(|hint| Bytes::copy_from_slice(hint.as_bytes()));
    Message::HandleResolution { subscribe, handle: pool(), items: Some(4), hint, reports }
}

/// PEs and priorities of an answer that a plug-in ordered.
pub(super) fn priorities(answer: &Message) -> Vec<(u32, u32)> {
    let Message::HandleResolutionResponse { policy, elements, error: None, .. } = answer else {
        panic!("not a positive answer: {answer:?}")
    };
    assert_eq!(policy.as_ref(), elements.first().map(|first| &first.policy), "the best one's is the pool's");
    let listed = elements.iter().map(|element| {
        let Policy::Priority { priority } = element.policy else { panic!("not ordered by a plug-in: {answer:?}") };
        (element.id.0, priority)
    });
    listed.collect()
}

/// PEs of an answer by the pool's policy.
pub(super) fn by_policy(answer: &Message) -> Vec<u32> {
    let Message::HandleResolutionResponse { policy, .. } = answer else { panic!("{answer:?}") };
    assert!(matches!(policy, None | Some(Policy::RoundRobin)), "{answer:?}");
    listed(answer).1
}

fn report(n: u64, load: u32) -> ElementReport {
    ElementReport { pe_id: pe(n), load, round_trip_us: None }
}

pub(super) const PLACES: &str = "vienna 0 0\ngraz 0 200\nip:127.0.0.1 0 10\nip:127.0.0.2 0 -10\npe:3 300 400\n";

#[test]
fn nearest_orders_by_distance_and_shares_among_equals() {
    let mut lab = Lab::with_plugin(NEAREST, "location", PLACES, |_| {});
    // 1 and 2 are 10 away, 3 is 500 away, nobody knows where 4 is. Equals take turns, as round robin says.
    let firsts: Vec<u32> = (0..4)
        .map(|_| {
            let listed = lab.asked(9, Some("vienna"));
            assert_eq!(listed[2..], [(3, 2), (4, 1)]);
            assert_eq!((listed[0].1, listed[1].1), (3, 3));
            listed[0].0
        })
        .collect();
    assert!(firsts == [1, 2, 1, 2] || firsts == [2, 1, 2, 1], "{firsts:?}");
    assert_eq!(lab.asked(9, Some("graz")), [(1, 4), (2, 3), (3, 2), (4, 1)]);
    for nowhere in [None, Some("nowhere"), Some("")] {
        assert_eq!(by_policy(&lab.ask(9, &question(false, nowhere, vec![]))).len(), 4, "{nowhere:?}");
    }
    let counters = lab.server.counters();
    assert_eq!((counters.plugin_answers, counters.plugin_declined, counters.plugin_failures), (5, 3, 0));
    // Only what may be selected, and only as many as are wanted.
    lab.server.set_usable(lab.now, &pool(), pe(1), false);
    assert_eq!(lab.asked(9, Some("graz")), [(2, 3), (3, 2), (4, 1)]);
    let one = Message::HandleResolution {
        subscribe: false,
        handle: pool(),
        items: Some(1),
        hint: Some("graz".into()),
        reports: vec![],
    };
    assert_eq!(priorities(&lab.ask(9, &one)), [(2, 1)]);
    let seen = &lab.server.plugins().plugins[0];
    assert_eq!((seen.name.as_str(), seen.selections, seen.declined, seen.failures), ("it", 7, 3, 0));
    assert!(seen.last_fuel > 50 && seen.last_fuel < 5_000, "{}", seen.last_fuel);
}

#[test]
fn a_strict_user_comes_to_the_same_element() {
    let mut lab = Lab::with_plugin(NEAREST, "location", PLACES, |_| {});
    let Message::HandleResolutionResponse { policy: Some(policy), elements, .. } =
        lab.ask(9, &question(false, Some("graz"), vec![]))
    else {
        panic!()
    };
    let mut user = asap::policy::Selector::new((&policy).into(), 1);
    elements.iter().rev().for_each(|element| user.insert(element.id, &element.policy));
    let choices: Vec<PeId> = (0..3).map(|_| user.select(1, |_| true)[0]).collect();
    assert_eq!(choices, [pe(1); 3]);
    assert_eq!(user.select(4, |_| true), [pe(1), pe(2), pe(3), pe(4)], "and to the same next ones");
}

pub(super) const TENANTS: &str = "acme 7\nother 8\nnobody 9\npe:1 7\npe:2 8 7\npe:3 8\nip:127.0.0.4 7\n";

#[test]
fn tenant_gives_the_least_loaded_of_the_tenant() {
    let mut lab = Lab::with_plugin(TENANT, "tenant", TENANTS, |_| {});
    let percent = |n: u32| u32::MAX / 100 * n;
    assert_eq!(lab.asked(9, Some("acme")).len(), 3, "nobody reported: all of them, alike");
    lab.report(2, vec![report(1, percent(60)), report(2, percent(30)), report(4, percent(90))]);
    assert_eq!(lab.asked(9, Some("acme")), [(2, 3), (1, 2), (4, 1)]);
    assert_eq!(lab.asked(9, Some("other")), [(3, 2), (2, 1)]);
    assert_eq!(refused(&lab.ask(9, &question(false, Some("nobody"), vec![]))).1, ErrorCause::LackOfResources);
    assert_eq!(by_policy(&lab.ask(9, &question(false, Some("unknown"), vec![]))).len(), 4);
    // Fully loaded is not used at all; a load about the same as another's is the same.
    lab.report(2, vec![report(4, u32::MAX); 20]);
    lab.report(2, vec![report(2, percent(60)); 20]);
    let mut equals = lab.asked(9, Some("acme"));
    equals.sort_unstable();
    assert_eq!(equals, [(1, 1), (2, 1)]);
}

#[test]
fn registered_loads_count_where_none_are_reported() {
    let mut lab = Lab::with_plugin(TENANT, "tenant", TENANTS, |_| {});
    (1..=4).for_each(|n| {
        lab.ask(n, &Message::Deregistration { handle: pool(), pe_id: pe(n) });
    });
    lab.events();
    for (n, load) in [(1, 0x2000_0000), (2, 0x1000_0000), (4, 0x3000_0000)] {
        lab.register_with(n, Policy::LeastUsed { load });
    }
    assert_eq!(lab.asked(9, Some("acme")), [(2, 3), (1, 2), (4, 1)]);
    lab.report(2, vec![report(1, 0)]);
    assert_eq!(lab.asked(9, Some("acme")), [(1, 3), (2, 2), (4, 1)]);
}

#[test]
fn reports_are_authorised_limited_and_age_out() {
    let mut lab = Lab::with_plugin(TENANT, "tenant", TENANTS, |_| {});
    let high = || vec![report(1, 0xf000_0000)];
    let first = |lab: &mut Lab| {
        let listed = lab.asked(9, Some("acme"));
        (listed.len(), listed.iter().filter(|&&(_, priority)| priority == listed[0].1).count())
    };
    // Client 99 is at 127.0.0.99, outside of 127.0.0.0/28; one that has an address there and another elsewhere is, too.
    lab.report(99, high());
    let both = [source(3), source(99)].concat();
    let message = question(false, None, high()).encode().unwrap();
    lab.server.handle_message(lab.now, ClientId(3), &both, &message);
    lab.server.handle_message(lab.now, ClientId(3), &[], &message);
    lab.drain();
    assert_eq!((first(&mut lab), lab.server.counters().measures_unauthorised), ((3, 3), 3));
    lab.report(2, high());
    assert_eq!((first(&mut lab), lab.server.counters().measures), ((3, 2), 1));
    // The embedding program is always believed; whoever is not in the pool is not remembered.
    let message = question(false, None, vec![report(1, 0xf000_0000), report(77, 1)]).encode().unwrap();
    lab.server.handle_message(lab.now, ClientId::LOCAL, &[], &message);
    lab.drain();
    assert_eq!((lab.server.counters().measures, lab.server.counters().measures_unknown), (2, 1));
    // 100 in a second.
    (0..2).for_each(|_| lab.report(5, vec![report(4, 0); 64]));
    assert_eq!((lab.server.counters().measures, lab.server.counters().measures_limited), (102, 28));
    lab.pass(29_999);
    assert_eq!(first(&mut lab), (3, 2));
    lab.pass(1);
    assert_eq!(first(&mut lab), (3, 3), "nobody said anything for report_life_ms");
    // Another PE in the same place starts with nothing.
    lab.report(2, high());
    lab.ask(1, &Message::Deregistration { handle: pool(), pe_id: pe(1) });
    lab.register(1);
    assert_eq!(first(&mut lab), (3, 3));
}

#[test]
fn subscribers_get_updates_for_their_hint_and_when_a_table_changes() {
    let mut lab = Lab::with_plugin(NEAREST, "location", PLACES, |_| {});
    assert_eq!(priorities(&lab.ask(9, &question(true, Some("graz"), vec![])))[0], (1, 4));
    lab.pass(100);
    let updates = lab.send(5, &registration(5));
    assert_eq!((updates[1].0, priorities(&updates[1].1)[0]), (9, (1, 4)));
    lab.pass(100);
    assert_eq!(lab.server.change_tables(lab.now, "set location pe:4 0 200\n"), Ok(1));
    let updates = lab.drain();
    assert_eq!((updates[0].0, priorities(&updates[0].1)[0], updates.len()), (9, (4, 4), 1));
    assert!(lab.server.change_tables(lab.now, "set location").unwrap_err().starts_with("line 1"));
    assert_eq!((lab.drain(), lab.server.plugins().tables["location"]), (vec![], 6));
    let mut without = Lab::new(|_| {});
    assert!(without.server.change_tables(without.now, "set a b 1").unwrap_err().contains("no pool has a plug-in"));
}

#[test]
fn a_plugin_is_replaced_while_the_server_runs() {
    let mut lab = Lab::with_rank("", "(unreachable)");
    lab.fails("unreachable");
    lab.ask(9, &question(true, None, vec![]));
    lab.pass(100);
    let last_first = module("", &each("(i32.sub (i32.const 9) (i32.load offset=4 (local.get $at)))"));
    assert_eq!(lab.server.replace_plugin(lab.now, &format!("it\n{last_first}")), Ok(()));
    let updates = lab.drain();
    assert_eq!((updates[0].0, priorities(&updates[0].1)[0]), (9, (4, 4)), "at once, though the old one was to rest");
    for (text, expected) in [
        ("it", "name in a line of its own"),
        ("other\n(module)", "`other`: no pool has a plug-in of this name"),
        ("it\n(module)", "no memory"),
        ("it\n(modul)", "expected"),
    ] {
        assert!(lab.server.replace_plugin(lab.now, text).unwrap_err().contains(expected));
    }
    assert!(
        lab.server.replace_plugin(lab.now, &format!("it\n{}", " ".repeat(1 << 20 | 1))).unwrap_err().contains("longer")
    );
    assert_eq!(lab.asked(9, None)[0].0, 4, "the good one stays");
    let mut without = Lab::new(|_| {});
    assert!(without.server.replace_plugin(without.now, "it\n(module)").unwrap_err().contains("no pool has a plug-in"));
}

#[test]
fn other_pools_have_no_plugin() {
    let mut lab = Lab::with_plugin(NEAREST, "location", PLACES, |c| c.pools[0].handle = "other-*".into());
    assert_eq!(by_policy(&lab.ask(9, &question(false, Some("graz"), vec![]))).len(), 4);
    assert_eq!((lab.server.counters().plugin_answers, lab.server.counters().plugin_declined), (0, 0));
}

#[test]
fn a_question_says_what_the_readme_says() {
    // Declines (the answer is by policy) when all is as described, fails otherwise.
    let expect =
        |at: &str, value: u32| format!("(if (i32.ne {at} (i32.const {value})) (then (return (i32.const {value}))))");
    let header = |offset: u32| format!("(i32.load offset={offset} (local.get $block))");
    let record = |offset: u32| format!("(i32.load offset={} (i32.add (local.get $block) {}))", offset + 48, header(8));
    let byte = |offset: u32| format!("(i32.load8_u (i32.add (local.get $block) {}))", header(offset));
    let body = [
        expect(&header(0), 1),
        expect(&header(4), 4),
        expect(&header(12), 48),
        expect(&header(16), 4),
        expect(&header(20), 0x4000_0002),
        expect(&header(28), 3),
        expect(&byte(24), u32::from(b'h')),
        expect(&header(36), 11),
        expect(&byte(32), u32::from(b'G')),
        expect(&header(40), 1),
        expect(&record(0), 0),
        expect(&record(4), 2),
        expect(&record(8), 0x4000_0002),
        expect(&record(12), 50),
        expect(&record(16), 5),
        expect(&record(20), 3),
        expect(&record(24), 77),
        expect(&record(28), 1_500),
        expect(&record(32), 20),
        "(i32.const 1)".to_owned(),
    ];
    let mut lab = Lab::new(|c| c.report_from = vec!["127.0.0.0/8".parse().unwrap()]);
    (1..=4).for_each(|n| lab.register_with(n, Policy::LeastUsedDegradation { load: 50, degradation: 5 }));
    lab.report(9, vec![ElementReport { pe_id: pe(2), load: 77, round_trip_us: Some(1_500) }]);
    lab.plug(&module("", &body.concat()), "t", "", |_| {});
    lab.now += ms(20);
    lab.ask(9, &question(false, Some("hop"), vec![]));
    assert_eq!(lab.server.counters().plugin_declined, 1, "{:?}", lab.server.plugins());
}

#[test]
fn a_pool_with_more_elements_than_a_plugin_may_see_has_others_each_time() {
    let mut lab = Lab::with_plugin(&module("", &each("(i32.const 1)")), "t", "", |c| c.elements_max = 2);
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let listed = lab.asked(9, None);
        assert_eq!(listed.len(), 2);
        seen.extend(listed.iter().map(|&(pe, _)| pe));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn plugins_and_tables_that_cannot_be_are_refused() {
    let mut lab = Lab::new(|_| {});
    let mut config = PluginsConfig {
        directory: "/plugins".into(),
        pools: vec![PoolPlugin { handle: "*".into(), plugin: "it".into() }],
        ..PluginsConfig::default()
    };
    let mut files = PluginFiles::default();
    let problem = |lab: &mut Lab, config: &PluginsConfig, files: &PluginFiles| {
        lab.server.set_plugins(config, files).unwrap_err().to_string()
    };
    assert!(problem(&mut lab, &config, &files).contains("neither it.wasm nor it.wat"));
    files.plugins.insert("it".into(), NEAREST.into());
    files.tables.insert("location".into(), "vienna 1\nx y\n".into());
    let text = problem(&mut lab, &config, &files);
    assert!(text.contains("/plugins/location.table: line 2: `y`: expected a whole number"), "{text}");
    files.tables.clear();
    config.elements_max = 0;
    assert!(problem(&mut lab, &config, &files).starts_with("elements_max"));
    config.elements_max = 1;
    lab.server.set_plugins(&config, &files).unwrap();
    // Taken away again.
    lab.server.set_plugins(&PluginsConfig::default(), &PluginFiles::default()).unwrap();
    assert!(lab.server.plugins().plugins.is_empty());
}
