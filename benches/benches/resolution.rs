//! Resolution at the name server, 500 pools of 20 elements: the selection alone, and a whole ASAP request with its answer.
#![allow(missing_docs, reason = "criterion's macros generate public items")]

use asap::wire::Policy;
use benches::{handle, name_server, resolution};
use criterion::{Criterion, criterion_group, criterion_main};
use enrp::ClientId;
use std::hint::black_box;
use std::time::Instant;

const POOLS: u32 = 500;

fn resolve(c: &mut Criterion) {
    for (name, policy) in [
        ("round robin", Policy::RoundRobin),
        ("least used", Policy::LeastUsed { load: 100 }),
        ("weighted random", Policy::WeightedRandom { weight: 3 }),
    ] {
        let mut server = name_server(POOLS, 20, &policy);
        let handles: Vec<_> = (0..POOLS).map(handle).collect();
        let mut i = 0;
        c.bench_function(&format!("select 1 of 20, 500 pools, {name}"), |b| {
            b.iter(|| {
                i = (i + 7) % handles.len();
                black_box(server.resolve(&handles[i], 1))
            });
        });
        let requests: Vec<_> = (0..POOLS).map(resolution).collect();
        let now = Instant::now();
        c.bench_function(&format!("ASAP request, answer with 16, 500 pools, {name}"), |b| {
            b.iter(|| {
                i = (i + 7) % requests.len();
                server.handle_message(now, ClientId(1 << 40), &[], &requests[i]);
                black_box(server.poll_output())
            });
        });
    }
}

criterion_group!(resolution_benches, resolve);
criterion_main!(resolution_benches);
