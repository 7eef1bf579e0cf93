//! M3UA and ASAP: bytes to messages and back.
#![allow(missing_docs, reason = "criterion's macros generate public items")]

use asap::wire::Limits;
use criterion::{Criterion, criterion_group, criterion_main};
use m3ua_lite::wire::{Data, Message, ProtocolData};
use std::hint::black_box;

fn m3ua(c: &mut Criterion) {
    let data = Message::Data(Data {
        network_appearance: None,
        routing_context: Some(7),
        protocol_data: ProtocolData { opc: 1, dpc: 2, si: 5, ni: 2, mp: 0, sls: 3, user_data: &[0x2a; 40] },
        correlation_id: Some(42),
    });
    let mut buffer = [0; 128];
    let len = data.encode(&mut buffer).expect("128 bytes suffice");
    c.bench_function("m3ua encode DATA", |b| b.iter(|| black_box(&data).encode(&mut buffer)));
    let octets = buffer[..len].to_vec();
    c.bench_function("m3ua decode DATA", |b| b.iter(|| Message::decode(black_box(&octets)).is_ok()));
}

fn asap(c: &mut Criterion) {
    let octets = benches::resolution(1);
    let limits = Limits::default();
    c.bench_function("asap decode HANDLE_RESOLUTION", |b| {
        b.iter(|| asap::wire::Message::decode(black_box(&octets), &limits).is_ok())
    });
}

criterion_group!(codecs, m3ua, asap);
criterion_main!(codecs);
