//! Fails when a resolution in a handlespace of 500 pools takes longer than it may.
//!
//! The failover limits are enforced by the scenarios (`sigpool run`, `.ci/run scenarios`), with real processes.
#![allow(clippy::print_stdout, reason = "a program")]

use asap::wire::Policy;
use benches::{name_server, resolution};
use enrp::{ClientId, Output};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const POOLS: u32 = 500;
const PES: u32 = 20;
/// Gets `resolution_items` (16) elements in an answer.
const REMOTE_USER: ClientId = ClientId(1 << 40);
const ROUNDS: usize = 200_000;
/// A whole ASAP request with 16 elements in the answer. Medians do not see what else the machine does.
const MEDIAN_MAX: Duration = Duration::from_micros(10);
/// The tail does, so its limit is wide.
const P99_MAX: Duration = Duration::from_micros(100);

fn main() -> ExitCode {
    let mut server = name_server(POOLS, PES, &Policy::RoundRobin);
    let requests: Vec<_> = (0..POOLS).map(resolution).collect();
    let now = Instant::now();
    let mut took = Vec::with_capacity(ROUNDS);
    for i in 0..ROUNDS {
        let start = Instant::now();
        // The server's own time stands still: nobody here answers its keep-alives.
        server.handle_message(now, REMOTE_USER, &[], &requests[i * 7 % requests.len()]);
        let answer = server.poll_output();
        took.push(start.elapsed());
        assert!(
            answer.and_then(Output::asap).is_some_and(|(_, bytes)| bytes.len() > 500),
            "every answer lists elements"
        );
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
