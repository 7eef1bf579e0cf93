//! Messages a second through two stacks in one thread, without a network: `cargo run --release -p sctp --example speed`.
//!
//! Both ends together on one core: send, two checksums each way, engine, delivery, acknowledgement.
#![allow(clippy::print_stdout, clippy::wildcard_enum_match_arm)] // It prints its result.

use bytes::Bytes;
use sctp::{Config, Connect, Datagram, Event, SendOptions, Stack};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

fn main() {
    for (size, burst, window) in
        [(200, 1, 64), (200, 16, 64), (200, 64, 64), (200, 256, 64), (200, 256, 16), (200, 256, 256), (1_000, 64, 64)]
    {
        let rate = run(size, burst, window);
        println!("{size:5} bytes, bursts of {burst:3}, engine window {window:3}: {rate:7.0} messages a second");
    }
}

fn run(size: usize, burst: usize, window: usize) -> f64 {
    let config = Config { engine_window_messages: window, ..Config::default() };
    let ips: [IpAddr; 2] = [[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
    let mut now = Instant::now();
    let mut stacks = [0, 1].map(|n| Stack::new(config.clone(), vec![ips[n]], [n as u8; 32], now));
    stacks[1].listen(2905);
    let peer = vec![SocketAddr::new(ips[1], 9899)];
    let assoc = stacks[0].connect(now, Connect { peer, peer_port: 2905, local_port: None }).expect("one association");
    let payload = Bytes::from(vec![7; size]);
    let (mut up, mut received, mut sent) = (false, 0u64, 0u64);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        now = Instant::now();
        while up && stacks[0].outstanding(assoc).0 < burst {
            let options = SendOptions { stream: (sent % 16) as u16, ppid: 3, unordered: false, context: sent };
            if stacks[0].send(now, assoc, options, payload.clone()).is_err() {
                break;
            }
            sent += 1;
        }
        for from in [0, 1] {
            if stacks[from].poll_timeout().is_some_and(|at| at <= now) {
                stacks[from].handle_timeout(now);
            }
            while let Some(transmit) = stacks[from].poll_transmit(now) {
                let datagram = Datagram {
                    from: SocketAddr::new(transmit.from, 9899),
                    to: transmit.to.ip(),
                    payload: transmit.payload,
                };
                stacks[1 - from].handle_datagram(now, datagram);
            }
        }
        for stack in &mut stacks {
            while let Some(event) = stack.poll_event() {
                match event {
                    Event::Up { .. } => up = true,
                    Event::Message { .. } => received += 1,
                    _ => {}
                }
            }
        }
    }
    received as f64 / begin.elapsed().as_secs_f64()
}
