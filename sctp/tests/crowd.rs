//! Heartbeats of many idle associations.
#![allow(clippy::unwrap_used)] // Helpers of tests.
mod common;

use common::{A, B, Net, PORT, address, config};
use sctp::{Config, Connect};

/// Heartbeats that each end sent in 60 s, with so many idle associations between them.
fn heartbeats(associations: usize, config_a: Config) -> [u64; 2] {
    let mut net = Net::new(1, config_a, config());
    for _ in 0..associations {
        let to = Connect { peer: vec![address(B)], peer_port: PORT, local_port: None };
        net.stacks[A].connect(net.now, to).unwrap();
    }
    net.run_ms(30_000);
    let sent = |net: &Net| [A, B].map(|node| net.stacks[node].counters().heartbeats_out);
    let before = sent(&net);
    net.run_ms(60_000);
    let after = sent(&net);
    assert_eq!(net.stacks[A].associations().count(), associations, "all are up");
    [after[0] - before[0], after[1] - before[1]]
}

#[test]
fn few_have_the_configured_interval() {
    for sent in heartbeats(3, config()) {
        // 500 ms and 50 to 150 ms.
        assert!((3 * 60_000 / 650..=3 * 60_000 / 550).contains(&sent), "{sent}");
    }
}

#[test]
fn the_heartbeats_of_many_are_limited() {
    let [a, b] = heartbeats(400, Config { heartbeats_per_s_max: 20, ..config() });
    assert!((900..=1_250).contains(&a), "20 a second for 60 s: {a}");
    assert!((4_000..=6_100).contains(&b), "100 a second for 60 s: {b}");
}
