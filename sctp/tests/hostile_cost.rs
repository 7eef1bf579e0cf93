//! What one packet of a malicious peer with a good association may cost: time, memory, answers.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::print_stdout)] // A test.
mod common;

use common::{A, B, Fake, PORT, address, chunk, config, data, ip, packet, sack};
use sctp::{Datagram, SendOptions};
use std::time::{Duration, Instant};

struct Cost {
    worst_10: Duration,
    packets: usize,
    out_packets: usize,
    out_bytes: usize,
    longest: usize,
}

fn throw(fake: &mut Fake, list: impl Iterator<Item = Vec<Vec<u8>>>) -> Cost {
    let packets: Vec<_> = list.map(|chunks| packet((fake.port, PORT), fake.peer_tag, &chunks)).collect();
    let mut cost = Cost { worst_10: Duration::ZERO, packets: packets.len(), out_packets: 0, out_bytes: 0, longest: 0 };
    for ten in packets.chunks(10) {
        let begin = Instant::now();
        for bytes in ten {
            fake.net.stacks[B]
                .handle_datagram(fake.net.now, Datagram { from: address(A), to: ip(B), payload: bytes.clone().into() });
            while let Some(t) = fake.net.stacks[B].poll_transmit(fake.net.now) {
                cost.out_packets += 1;
                cost.out_bytes += t.payload.len();
                cost.longest = cost.longest.max(t.payload.len());
            }
            while fake.net.stacks[B].poll_event().is_some() {}
        }
        if ten.len() == 10 {
            cost.worst_10 = cost.worst_10.max(begin.elapsed());
        }
    }
    cost
}

fn show(name: &str, cost: &Cost, fake: &Fake) {
    let c = fake.net.stacks[B].counters();
    println!(
        "{name}: {:?} a packet at worst, {} packets, answers {} packets {} bytes longest {}; no_room {} window {} up {} sack {}",
        cost.worst_10 / 10,
        cost.packets,
        cost.out_packets,
        cost.out_bytes,
        cost.longest,
        c.dropped_no_room,
        c.dropped_tsn_window,
        fake.net.stacks[B].state(fake.assoc).is_some(),
        c.dropped_sack
    );
}

#[test]
fn costs() {
    for (name, n, step, base, flags, len, streams, ssn) in [
        ("ordered, ssn never next, one stream", 60u32, 1u32, 0u32, 3u8, 1usize, 1u32, true),
        ("ordered, ssn never next, ten streams", 60, 1, 0, 3, 1, 10, true),
        ("every second TSN, one stream", 60, 2, 1, 3, 1, 1, false),
        ("every second TSN, unordered begin", 60, 2, 1, 6, 1, 1, false),
        ("unordered begins in sequence", 60, 1, 0, 6, 1, 1, false),
        ("middles of 64 unordered", 16, 2, 1, 4, 64, 1, false),
        ("middles of 64 ordered ssn each", 16, 2, 1, 0, 64, 1, true),
        ("begins one ssn", 60, 1, 1, 2, 1, 1, false),
    ] {
        let mut fake = Fake::up(config());
        let tsn0 = fake.tsn;
        let list = (0..400u32).map(|p| {
            (0..n)
                .map(|k| {
                    let i = p * n + k;
                    data(
                        tsn0.wrapping_add(base + step * i),
                        (i % streams) as u16,
                        if ssn { 1 + (i / streams) as u16 } else { 0 },
                        3,
                        flags,
                        &vec![1; len],
                    )
                })
                .collect()
        });
        let cost = throw(&mut fake, list);
        show(name, &cost, &fake);
    }
    // descending
    let mut fake = Fake::up(config());
    let tsn0 = fake.tsn;
    let list = (0..136u32).map(|p| {
        (0..60)
            .map(|k| {
                let i = p * 60 + k;
                data(tsn0.wrapping_add(16_380 - 2 * i), 0, 30_000 - i as u16, 3, 3, &[1])
            })
            .collect()
    });
    let cost = throw(&mut fake, list);
    show("descending", &cost, &fake);
    // heartbeats, unknown chunks
    for kind in [4u8, 0xff, 0xc0] {
        let mut fake = Fake::up(config());
        let list = (0..20).map(|_| (0..340).map(|_| chunk(kind, 0, &[])).collect());
        let cost = throw(&mut fake, list);
        show(&format!("chunk {kind}"), &cost, &fake);
        let mut fake = Fake::up(config());
        let list = (0..20).map(|_| (0..16_000).map(|_| chunk(kind, 0, &[])).collect());
        let cost = throw(&mut fake, list);
        show(&format!("chunk {kind} in 64 KB"), &cost, &fake);
    }
}

#[test]
fn sacks() {
    let mut fake = Fake::up(config());
    let mut acked = fake.peer_tsn.wrapping_sub(1);
    // Acknowledge for a while so that windows grow.
    let mut sent = 0;
    for round in 0..200 {
        for _ in 0..400 {
            let o = SendOptions { stream: 0, ..Default::default() };
            if fake.net.stacks[B].send(fake.net.now, fake.assoc, o, vec![1; 20].into()).is_ok() {
                sent += 1;
            }
        }
        fake.net.sent.clear();
        fake.net.drain();
        for (_, t) in &fake.net.sent {
            for (k, _, v) in common::chunks(&t.payload) {
                if k == 0 {
                    acked = common::u32_at(&v, 0);
                }
            }
        }
        if round < 195 {
            fake.net.now += Duration::from_millis(20);
            fake.say(&[sack(acked, &[])]);
            for (_, t) in &fake.net.sent {
                for (k, _, v) in common::chunks(&t.payload) {
                    if k == 0 {
                        acked = common::u32_at(&v, 0);
                    }
                }
            }
        }
    }
    let (held, _) = fake.net.stacks[B].outstanding(fake.assoc);
    println!("sent {sent} outstanding {held}");
    let info = fake.net.stacks[B].counters();
    println!("{info:?}");
    // what is in flight?
    let mut top = fake.say(&[sack(acked, &[])]).len() as u32;
    println!("top {top}");
    top = top.max(1500);
    let cum = acked.wrapping_sub(1);
    let _ = top;
    let list = (0..20u32).map(|p| {
        (0..60u32)
            .map(|k| {
                let _ = (p, k);
                sack(cum.wrapping_sub(1_000), &[(2, 900)])
            })
            .collect()
    });
    let cost = throw(&mut fake, list);
    show("sacks", &cost, &fake);
}
