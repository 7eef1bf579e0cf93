//! The handlespace and the name server around it, from 500 pools of 4 elements to 500 of 200, and 50,000 pools of 2.
#![allow(missing_docs, reason = "criterion's macros generate public items")]

use asap::wire::Policy;
use benches::{handle, name_server, registration, resolution};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use enrp::ClientId;
use std::hint::black_box;
use std::time::Instant;

/// Pools and elements of each.
const SIZES: [(u32, u32); 5] = [(500, 4), (500, 20), (500, 100), (500, 200), (50_000, 2)];
/// A step that visits all pools in an order that no cache expects.
const STRIDE: u32 = 7_919;

fn select(c: &mut Criterion) {
    let mut group = c.benchmark_group("select");
    for (pools, pes) in SIZES {
        let mut server = name_server(pools, pes, &Policy::RoundRobin);
        let handles: Vec<_> = (0..pools).map(handle).collect();
        for items in [1, 3, 16] {
            let mut i = 0;
            group.bench_function(BenchmarkId::new(format!("{items} in the answer"), format!("{pools}x{pes}")), |b| {
                b.iter(|| {
                    i = (i + STRIDE) % pools;
                    black_box(server.resolve(&handles[i as usize], items))
                });
            });
        }
    }
    group.finish();
}

fn asap(c: &mut Criterion) {
    let mut group = c.benchmark_group("ASAP request");
    let now = Instant::now();
    for (pools, pes) in SIZES {
        let size = format!("{pools}x{pes}");
        let mut server = name_server(pools, pes, &Policy::RoundRobin);
        let requests: Vec<_> = (0..pools).map(resolution).collect();
        let mut i = 0;
        group.bench_function(BenchmarkId::new("resolution, up to 16 in the answer", &size), |b| {
            b.iter(|| {
                i = (i + STRIDE) % pools;
                server.handle_message(now, ClientId(1 << 40), &[], &requests[i as usize]);
                black_box(server.poll_output())
            });
        });
        let elements = pools * pes;
        let again: Vec<_> = (0..elements.min(20_000)).map(|i| registration(i, pes, &Policy::RoundRobin)).collect();
        let mut i = 0;
        group.bench_function(BenchmarkId::new("re-registration", &size), |b| {
            b.iter(|| {
                i = (i + STRIDE as usize) % again.len();
                let (client, from, bytes) = &again[i];
                server.handle_message(now, *client, std::slice::from_ref(from), bytes);
                while server.poll_event().is_some() {}
                black_box(server.poll_output())
            });
        });
        // One element more in a full name space, and gone again.
        let (client, from, bytes) = registration(elements, pes, &Policy::RoundRobin);
        let gone = benches::deregistration(elements, pes);
        group.bench_function(BenchmarkId::new("registration and deregistration", &size), |b| {
            b.iter(|| {
                server.handle_message(now, client, std::slice::from_ref(&from), &bytes);
                server.handle_message(now, client, std::slice::from_ref(&from), &gone);
                while server.poll_event().is_some() {}
                while let Some(output) = server.poll_output() {
                    black_box(output);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(handlespace_benches, select, asap);
criterion_main!(handlespace_benches);
