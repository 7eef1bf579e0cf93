//! What packet loss costs in time: 1,000 messages a second of 200 bytes over 16 streams, 5 ms each way, in virtual time.
//! `cargo test -p sctp --test loss_latency -- --nocapture` prints the figures.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::print_stdout)] // A test that prints figures.
mod common;

use common::{A, B, Fake, Net, chunk, chunks, config};
use sctp::Event;
use std::time::{Duration, Instant};

const MESSAGES: usize = 30_000;
const STREAMS: u16 = 16;

/// Latencies in the order of arrival, from `send` to the event at the other end, with this loss in each direction.
fn latencies(loss: u64, seed: u64) -> Vec<Duration> {
    let mut net = Net::new(seed, config(), config());
    net.link.delay = Duration::from_millis(5);
    let (a, _) = net.up();
    net.link.loss = loss;
    let mut sent: Vec<Instant> = Vec::new();
    let mut took = Vec::new();
    let mut seen = 0;
    let mut watch = |net: &Net, sent: &[Instant]| {
        for event in &net.events[B][seen..] {
            match event {
                Event::Message { payload, .. } => {
                    let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
                    took.push(net.now - sent[usize::try_from(number).unwrap()]);
                }
                Event::Path { .. } => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        seen = net.events[B].len();
    };
    for number in 0..MESSAGES as u64 {
        let mut payload = vec![0; 200];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        net.send(A, a, (number % u64::from(STREAMS)) as u16, number, payload);
        sent.push(net.now);
        net.run_for(Duration::from_millis(1), |net| {
            watch(net, &sent);
            false
        });
    }
    net.run_for(Duration::from_secs(10), |net| {
        watch(net, &sent);
        false
    });
    assert!(net.closed_of(A).is_none() && net.closed_of(B).is_none(), "seed {seed}: it went down");
    took
}

/// p50, p99 and the worst of three runs.
fn figures(loss: u64) -> [Duration; 3] {
    let mut all = Vec::new();
    for seed in 1..=3 {
        let took = latencies(loss, seed);
        assert_eq!(took.len(), MESSAGES, "seed {seed}: lost or doubled");
        all.extend(took);
    }
    all.sort_unstable();
    let figures = [all[all.len() / 2], all[all.len() * 99 / 100], all[all.len() - 1]];
    println!("{loss} % loss: p50 {:?}, p99 {:?}, worst {:?} of {}", figures[0], figures[1], figures[2], all.len());
    figures
}

#[test]
fn one_percent_of_loss_costs_less_than_30_ms_at_p99() {
    let [p50, p99, _] = figures(1);
    assert!(p50 < Duration::from_millis(6) && p99 < Duration::from_millis(30), "{p50:?} {p99:?}");
}

#[test]
fn five_percent_of_loss_cost_less_than_200_ms_at_p99() {
    let [p50, p99, _] = figures(5);
    assert!(p50 < Duration::from_millis(15) && p99 < Duration::from_millis(200), "{p50:?} {p99:?}");
}

/// A peer that knows no I bit (RFC 7053) and waits 200 ms for more DATA before it acknowledges, as RFC 9260 lets it.
#[test]
fn a_peer_that_is_slow_to_acknowledge_gets_few_messages_twice() {
    let mut fake = Fake::up(config());
    let mut last = fake.peer_tsn.wrapping_sub(1);
    for number in 0..40 {
        let assoc = fake.assoc;
        fake.net.sent.clear();
        fake.net.send(B, assoc, 0, number, vec![1; 100]);
        fake.net.run_ms(200);
        last = last.wrapping_add(1);
        let copies = fake.net.sent.iter().flat_map(|(_, t)| chunks(&t.payload)).filter(|c| c.0 == 0).count();
        let duplicates = vec![last; copies - 1];
        fake.say(&[sack_with_duplicates(last, &duplicates)]);
        fake.net.run_ms(100);
    }
    let counters = fake.net.stacks[B].counters();
    assert_eq!((counters.messages_acknowledged, counters.t3_expired > 10), (40, false));
    assert!(counters.data_retransmitted < 12, "{} of 40 went twice", counters.data_retransmitted);
}

fn sack_with_duplicates(cumulative: u32, duplicates: &[u32]) -> Vec<u8> {
    let mut value = [&cumulative.to_be_bytes()[..], &100_000u32.to_be_bytes(), &[0; 2]].concat();
    value.extend_from_slice(&(duplicates.len() as u16).to_be_bytes());
    duplicates.iter().for_each(|tsn| value.extend_from_slice(&tsn.to_be_bytes()));
    chunk(3, 0, &value)
}
