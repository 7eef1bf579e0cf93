//! What a selection plug-in costs: a whole ASAP request and its answer with 3 elements, without a plug-in and with `nearest`, by the
//! size of the pool; and a plug-in that never ends, which takes all the fuel it may.
#![allow(missing_docs, reason = "criterion's macros generate public items")]

use asap::wire::{Message, Policy};
use benches::{handle, name_server};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use enrp::{ClientId, PluginFiles, PluginsConfig, PoolPlugin, Server};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

const NEAREST: &str = include_str!("../../enrp/plugins/nearest.wat");
const ENDLESS: &str = r#"(module (memory (export "memory") 1) (func (export "rank") (param i32 i32) (result i32)
    (local $sum i32) (loop (local.set $sum (i32.add (local.get $sum) (i32.load (local.get 0)))) (br 0)) (unreachable)))"#;

fn plug(server: &mut Server, module: &str, pes: u32, fuel: u64) {
    let config = PluginsConfig {
        directory: "/nowhere".into(),
        pools: vec![PoolPlugin { handle: "*".into(), plugin: "it".into() }],
        fuel_per_selection_max: fuel,
        fuel_per_s_max: u64::MAX,
        rest_ms: 0,
        ..PluginsConfig::default()
    };
    let mut location = String::from("here 0 0\n");
    for pe in 1..=pes {
        let _ = writeln!(location, "pe:{pe:x} {} {}", pe % 97, pe % 89);
    }
    let files = PluginFiles {
        plugins: [("it".to_owned(), module.into())].into(),
        tables: [("location".to_owned(), location)].into(),
    };
    server.set_plugins(&config, &files).expect("a good plug-in");
}

fn ask(server: &mut Server, now: Instant, request: &Bytes) {
    // The program itself is not limited in how much it asks.
    server.handle_message(now, ClientId::LOCAL, &[], request);
    black_box(server.poll_output());
}

fn plugins(c: &mut Criterion) {
    let now = Instant::now();
    let request = Message::HandleResolution {
        subscribe: false,
        handle: handle(0),
        items: Some(3),
        hint: Some(Bytes::from_static(b"here")),
        reports: Vec::new(),
    };
    let request = request.encode().expect("a short request encodes");
    for pes in [4, 20, 200, 1_000, 10_000] {
        let mut server = name_server(1, pes, &Policy::RoundRobin);
        c.bench_function(&format!("pool of {pes}, no plug-in"), |b| b.iter(|| ask(&mut server, now, &request)));
        plug(&mut server, NEAREST, pes, 5_000_000);
        c.bench_function(&format!("pool of {pes}, nearest"), |b| b.iter(|| ask(&mut server, now, &request)));
        let seen = &server.plugins().plugins[0];
        assert_eq!(seen.failures, 0, "{seen:?}");
        eprintln!("pool of {pes}: fuel of one selection {}", seen.last_fuel);
    }
    let mut server = name_server(1, 20, &Policy::RoundRobin);
    plug(&mut server, ENDLESS, 20, 1_000_000);
    c.bench_function("1,000,000 of fuel", |b| b.iter(|| ask(&mut server, now, &request)));
    assert!(server.counters().plugin_failures > 10, "it always fails");
}

criterion_group!(plugin_benches, plugins);
criterion_main!(plugin_benches);
