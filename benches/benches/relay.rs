//! DATA through a gateway: from the network's SCTP association to a controller, applied, committed; all three ends in one thread.
#![allow(missing_docs, reason = "criterion's macros generate public items")]

use benches::Relay;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const MESSAGES: u64 = 1_000;

fn relay(c: &mut Criterion) {
    let mut group = c.benchmark_group("relay");
    group.throughput(Throughput::Elements(MESSAGES));
    for octets in [40, 200] {
        let mut relay = Relay::new();
        group.bench_function(BenchmarkId::new("1,000 messages, octets", octets), |b| {
            b.iter(|| relay.transfer(MESSAGES, octets));
        });
    }
    group.finish();
}

criterion_group!(relay_benches, relay);
criterion_main!(relay_benches);
