//! Two SCTP stacks in one thread: messages of 200 bytes from one to the other, acknowledged.
#![allow(missing_docs, reason = "criterion's macros generate public items")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sctp::{AssocId, Config, Connect, Datagram, Event, SendOptions, Stack, Transmit, ppid};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const MESSAGES: u64 = 1_000;

struct Pair {
    stacks: [Stack; 2],
    now: Instant,
    received: u64,
    up: Option<AssocId>,
}

fn address(i: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + i as u8))
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let make = |i: usize| Stack::new(Config::default(), vec![address(i)], [i as u8 + 1; 32], now);
        let mut pair = Self { stacks: [make(0), make(1)], now, received: 0, up: None };
        pair.stacks[1].listen(2905);
        let to = Connect { peer: vec![SocketAddr::new(address(1), 9899)], peer_port: 2905, local_port: None };
        pair.stacks[0].connect(now, to).expect("a first association");
        while pair.up.is_none() {
            pair.step();
        }
        pair
    }

    fn step(&mut self) {
        self.now += Duration::from_micros(50);
        for i in 0..2 {
            self.stacks[i].handle_timeout(self.now);
            while let Some(Transmit { payload, .. }) = self.stacks[i].poll_transmit(self.now) {
                let datagram = Datagram { from: SocketAddr::new(address(i), 9899), to: address(1 - i), payload };
                self.stacks[1 - i].handle_datagram(self.now, datagram);
            }
            while let Some(event) = self.stacks[i].poll_event() {
                match event {
                    Event::Up { assoc, incoming: false, .. } => self.up = Some(assoc),
                    Event::Message { .. } => self.received += 1,
                    Event::Closed { reason, .. } => panic!("closed: {reason:?}"),
                    Event::Up { .. } | Event::Path { .. } | _ => {}
                }
            }
        }
    }

    fn transfer(&mut self, payload: &Bytes) {
        let assoc = self.up.expect("established");
        let goal = self.received + MESSAGES;
        for i in 0..MESSAGES {
            let options = SendOptions { stream: 1 + (i % 16) as u16, ppid: ppid::M3UA, ..SendOptions::default() };
            self.stacks[0].send(self.now, assoc, options, payload.clone()).expect("the queue holds a round");
        }
        while self.received < goal {
            self.step();
        }
    }
}

fn throughput(c: &mut Criterion) {
    let payload = Bytes::from(vec![0x5a; 200]);
    let mut pair = Pair::new();
    let mut group = c.benchmark_group("sctp");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("1,000 messages of 200 bytes, both ends", |b| b.iter(|| pair.transfer(&payload)));
    group.finish();
}

criterion_group!(sctp_benches, throughput);
criterion_main!(sctp_benches);
