//! Fails when a resolution in a handlespace of 500 pools takes longer than it may.
//!
//! The failover limits are enforced by the scenarios (`sigpool run`, `.ci/run scenarios`), with real processes.
#![allow(clippy::print_stdout, reason = "a program")]

use asap::wire::Policy;
use benches::{name_server, resolution};
use enrp::ClientId;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const POOLS: u32 = 500;
const PES: u32 = 20;
const ROUNDS: usize = 200_000;
/// A whole ASAP request with 16 elements in the answer. Medians do not see what else the machine does.
const MEDIAN_MAX: Duration = Duration::from_micros(20);
/// The tail does, so its limit is wide.
const P99_MAX: Duration = Duration::from_micros(200);

fn main() -> ExitCode {
    let mut server = name_server(POOLS, PES, &Policy::RoundRobin);
    let requests: Vec<_> = (0..POOLS).map(resolution).collect();
    let mut took = Vec::with_capacity(ROUNDS);
    for i in 0..ROUNDS {
        let start = Instant::now();
        server.handle_message(start, ClientId(u64::MAX), &[], &requests[i * 7 % requests.len()]);
        let answer = server.poll_output();
        took.push(start.elapsed());
        assert!(answer.is_some(), "every request is answered");
    }
    took.sort_unstable();
    let (median, p99, max) = (took[ROUNDS / 2], took[ROUNDS * 99 / 100], took[ROUNDS - 1]);
    println!(
        "resolution at {POOLS} pools of {PES}: median {median:?} (limit {MEDIAN_MAX:?}), p99 {p99:?} (limit {P99_MAX:?}), max {max:?}"
    );
    if median <= MEDIAN_MAX && p99 <= P99_MAX {
        ExitCode::SUCCESS
    } else {
        println!("FAIL: over the limit");
        ExitCode::FAILURE
    }
}
