//! Fails when the handlespace alone is slower or larger than it may be: resolution, registration, registration again and
//! deregistration at several sizes, all nine policies with 10,000 elements in a pool, memory per element. And a whole
//! resolution, from request to answer, with 50,000 pools against 500, at 100,000 elements.
//!
//! Each figure is the median over batches of the mean of a batch, pools in random order. What a server has at hand when a
//! request comes (handle, element) is written before the clock starts.
//!
//! Beside each table stands a yardstick, measured at the same moment: a look-up in a `HashMap` of the standard library.
//! Where it takes longer than on the machine that the goals are of, because the machine is another or others are at work
//! on it, so may the rest, in proportion.
#![allow(clippy::print_stdout, reason = "a program")]

use asap::policy::Rng;
use asap::wire::{
    Message, PeId, Policy, PoolElement, PoolHandle, RegistrationLife, SctpTransport, ServerId, Transport, TransportUse,
};
use benches::name_server;
use clap::Parser;
use enrp::ClientId;
use enrp::handlespace::{Handlespace, Limits};
use std::collections::HashMap;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Instant;

const BATCH: usize = 64;
const LIMITS: Limits = Limits { pools: 50_000, pes_per_pool: 10_000, pes: 200_000 };
/// Pools and elements of each.
const SIZES: [(u32, u32); 5] = [(500, 4), (500, 20), (500, 100), (500, 200), (50_000, 2)];
/// Goals in ns with 3 elements in an answer, at 500x20 and 500x200.
const GOALS: [(&str, f64); 3] = [("resolve 3", 300.0), ("register", 1_000.0), ("re-register", 500.0)];
/// How much larger a figure may be at 500x200 than at 500x20.
const FLAT: f64 = 2.0;
/// How much longer a whole resolution may take with 50,000 pools than with 500, with as many elements in both.
const MANY_POOLS: f64 = 1.5;
/// What the yardstick takes on the machine that the goals are of, ns.
const YARDSTICK: f64 = 20.0;
/// The same of a read of memory that is in no cache, ns.
const MEMORY_READ: f64 = 100.0;
const REMOTE_USER: ClientId = ClientId(1 << 40);
/// Bytes per element, at 500x200 and at 50,000x2.
const MEMORY: f64 = 600.0;
/// How much longer a resolution, registration again or change may take with 10,000 elements in a pool than with 100.
const LARGE_POOL: f64 = 5.0;

/// Limits of time and memory of the handlespace.
#[derive(Parser)]
struct Options {
    /// Times are judged against the goal times this and times what the yardstick says; memory is not.
    #[arg(long, default_value_t = 2.0)]
    slack: f64,
    /// Batches of 64 per figure.
    #[arg(long, default_value_t = 2_000)]
    batches: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn handle(pool: u32) -> PoolHandle {
    PoolHandle::from(format!("GatewayPool-{pool:05}").as_str())
}

fn element(id: u32, policy: Policy) -> PoolElement {
    let transport = |port| SctpTransport {
        port,
        transport_use: TransportUse::DataAndControl,
        addresses: [Ipv4Addr::from(0x7f10_0000 + id).into()].into(),
    };
    PoolElement {
        id: PeId(id),
        home: ServerId(1 + id % 3),
        life: RegistrationLife::Seconds(300),
        user_transport: Transport::Sctp(transport(2_905)),
        policy,
        asap_transport: Some(transport(3_863)),
    }
}

/// Elements 0 to `pes` - 1 are in the first pool, and so on; registered in random order, as they come in life.
fn filled(pools: u32, pes: u32, policy: impl Fn(u32) -> Policy) -> Handlespace {
    let mut handlespace = Handlespace::new(LIMITS, 1);
    let mut order: Vec<u32> = (0..pools * pes).collect();
    let mut random = Rng::new(2);
    for left in (1..order.len()).rev() {
        order.swap(left, below(&mut random, left as u32 + 1) as usize);
    }
    for id in order {
        handlespace.add(&handle(id / pes), element(id, policy(id))).expect("there is room");
    }
    handlespace
}

fn below(random: &mut Rng, bound: u32) -> u32 {
    u32::try_from(random.below(u64::from(bound))).expect("below a u32")
}

/// ns per operation: the median over batches.
fn measure<I>(batches: usize, mut prepare: impl FnMut() -> I, mut operation: impl FnMut(I)) -> f64 {
    let mut took = Vec::with_capacity(batches);
    for _ in 0..batches {
        let inputs: Vec<I> = (0..BATCH).map(|_| prepare()).collect();
        let start = Instant::now();
        inputs.into_iter().for_each(&mut operation);
        took.push(start.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    took.sort_unstable_by(f64::total_cmp);
    took[batches / 2]
}

/// Figures of one handlespace, ns.
struct Figures {
    resolve: [f64; 3],
    register: f64,
    deregister: f64,
    again: f64,
    changed: f64,
}

fn figures(
    handlespace: &mut Handlespace,
    pools: u32,
    pes: u32,
    policy: &dyn Fn(u32) -> Policy,
    batches: usize,
) -> Figures {
    let mut random = Rng::new(3);
    let resolve = [1, 3, 16].map(|items| {
        let prepare = || handle(below(&mut random, pools));
        measure(batches, prepare, |handle| {
            let selected = handlespace.resolve(&handle, items).expect("the pool is there");
            black_box(selected.elements().len());
        })
    });
    let mut again = |changed: bool| {
        let mut version = 0;
        let prepare = || {
            version += u32::from(changed);
            let id = below(&mut random, pools * pes);
            (handle(id / pes), element(id, policy(id.wrapping_add(version))))
        };
        measure(batches, prepare, |(handle, element)| {
            black_box(handlespace.add(&handle, element)).expect("it was there");
        })
    };
    let (again, changed) = (again(false), again(true));
    // New elements in old pools, and out again.
    let (mut register, mut deregister) = (Vec::new(), Vec::new());
    for batch in 0..batches as u32 {
        let new: Vec<_> = (0..BATCH as u32)
            .map(|i| {
                let id = 1_000_000_000 + batch * BATCH as u32 + i;
                (handle(below(&mut random, pools)), element(id, policy(id)))
            })
            .collect();
        let start = Instant::now();
        let mut slots = [None; BATCH];
        for (place, (handle, element)) in slots.iter_mut().zip(new) {
            *place = handlespace.add(&handle, element).ok().map(|(slot, _)| slot);
        }
        register.push(start.elapsed().as_nanos() as f64 / BATCH as f64);
        let start = Instant::now();
        let gone = slots.into_iter().flatten().filter_map(|slot| handlespace.remove(slot));
        assert_eq!(gone.count(), BATCH, "all of them were added");
        deregister.push(start.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    let median = |mut took: Vec<f64>| {
        took.sort_unstable_by(f64::total_cmp);
        took[took.len() / 2]
    };
    Figures { resolve, register: median(register), deregister: median(deregister), again, changed }
}

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().expect("a number") * 1_024
}

/// A look-up of a handle in a map of 500, ns.
fn yardstick(batches: usize) -> f64 {
    let map: HashMap<PoolHandle, u32> = (0..500).map(|pool| (handle(pool), pool)).collect();
    let mut random = Rng::new(5);
    let prepare = || handle(below(&mut random, 500));
    measure(batches, prepare, |handle| {
        black_box(map.get(&handle)).expect("it is there");
    })
}

/// A read of memory that is in no cache, ns: each says where the next one is.
fn memory_read() -> f64 {
    const READS: usize = 200_000;
    const PLACES: u32 = 16 << 20;
    // A walk that meets every place, as the step and their number have no common factor.
    let mut next = vec![0_u32; PLACES as usize];
    for place in 0..PLACES {
        next[place as usize] = (place.wrapping_mul(0x9e37_79b5).wrapping_add(0x7f4a_7c15)) % PLACES;
    }
    let start = Instant::now();
    let mut place = 0;
    (0..READS).for_each(|_| place = next[place as usize]);
    black_box(place);
    start.elapsed().as_nanos() as f64 / READS as f64
}

/// What was judged.
struct Judge {
    slack: f64,
    /// How much slower than the machine of the goals this one is now, at least 1.
    slower: f64,
    /// ns. See [`memory_read`].
    memory_read: f64,
    failures: Vec<String>,
}

impl Judge {
    /// Measures the machine as it is now.
    fn calibrate(&mut self, batches: usize) {
        let took = yardstick(batches);
        self.slower = (took / YARDSTICK).max(1.0);
        println!("yardstick: {took:.0} ns; goals stand for {YARDSTICK:.0} ns, times {:.2} here", self.slower);
        self.memory_read = memory_read();
        println!("a read of memory: {:.0} ns; goals stand for {MEMORY_READ:.0} ns", self.memory_read);
    }

    fn at_most(&mut self, what: &str, value: f64, limit: f64) {
        if value > limit {
            self.failures.push(format!("{what}: {value:.2}, limit {limit:.2}"));
        }
    }

    fn time(&mut self, what: &str, value: f64, goal: f64) {
        self.at_most(what, value, goal * self.slack * self.slower);
    }

    /// Of what is in no cache.
    fn time_in_memory(&mut self, what: &str, value: f64, goal: f64) {
        self.at_most(what, value, goal * self.slack * self.slower.max(self.memory_read / MEMORY_READ));
    }

    /// The larger one is in a cache less often: where memory is slow, or shared with others at work, the ratio may grow.
    fn ratio(&mut self, what: &str, value: f64, goal: f64) {
        self.at_most(what, value, goal * self.slack * (self.memory_read / MEMORY_READ).max(1.0));
    }
}

fn memory(judge: &mut Judge) {
    println!("memory per element, of the resident set");
    let mut kept = Vec::new();
    for (pools, pes) in [(500, 200), (50_000, 2)] {
        let before = resident();
        kept.push(filled(pools, pes, |_| Policy::LeastUsed { load: 1 }));
        let per_element = (resident() - before) as f64 / f64::from(pools * pes);
        println!("  {:>10}  {per_element:4.0} bytes (limit {MEMORY:.0})", format!("{pools}x{pes}"));
        judge.at_most(&format!("bytes per element at {pools}x{pes}"), per_element, MEMORY);
    }
}

fn sizes(judge: &mut Judge, batches: usize) {
    println!("round robin, ns            resolve 1  resolve 3  resolve 16   register  deregister  re-register");
    let mut by_size = Vec::new();
    for (pools, pes) in SIZES {
        let round_robin = |_| Policy::RoundRobin;
        let f = figures(&mut filled(pools, pes, round_robin), pools, pes, &round_robin, batches);
        let [one, three, sixteen] = f.resolve;
        println!(
            "  {:>10}               {one:9.0}  {three:9.0}  {sixteen:10.0}  {:9.0}  {:10.0}  {:11.0}",
            format!("{pools}x{pes}"),
            f.register,
            f.deregister,
            f.again
        );
        by_size.push([three, f.register, f.again]);
    }
    let [four, twenty, _, two_hundred, many] = by_size[..] else { unreachable!("as many as sizes") };
    for (i, (what, goal)) in GOALS.into_iter().enumerate() {
        judge.time(&format!("{what} at 500x20, ns"), twenty[i], goal);
        judge.time(&format!("{what} at 500x200, ns"), two_hundred[i], goal);
        println!("  {what}: 500x200 takes {:.2} times what 500x20 takes (goal {FLAT})", two_hundred[i] / twenty[i]);
        judge.ratio(&format!("{what}, 500x200 to 500x20"), two_hundred[i] / twenty[i], FLAT);
    }
    // One in a cache, the other in memory: not judged but by the goal for 500 pools.
    println!("  resolve 3: 50,000x2 takes {:.2} times what 500x4 takes", many[0] / four[0]);
    judge.time_in_memory("resolve 3 at 50,000x2, ns", many[0], GOALS[0].1);
}

/// From the octets of a request to those of its answer, which lists two elements. What is judged is the number of pools, at
/// the same number of elements. Against 500 pools of two it is a cache against memory: printed, with what a read costs in each.
fn whole_resolution(judge: &mut Judge, batches: usize) {
    println!("whole resolution (request to answer, two elements), ns");
    let now = Instant::now();
    let took = [(500, 2), (500, 200), (50_000, 2)].map(|(pools, pes)| {
        let mut server = name_server(pools, pes, &Policy::RoundRobin);
        let mut random = Rng::new(4);
        let ask = |pool| Message::resolution(false, benches::handle(pool), Some(2)).encode().expect("short");
        let prepare = || ask(below(&mut random, pools));
        let took = measure(batches, prepare, |request| {
            server.handle_message(now, REMOTE_USER, &[], &request);
            let (_, answer) = server.poll_output().and_then(enrp::Output::asap).expect("every request is answered");
            assert!(black_box(answer).len() > 100, "two elements are listed");
        });
        println!("  {:>10}  {took:9.0}", format!("{pools}x{pes}"));
        took
    });
    println!("  50,000x2 takes {:.2} times what 500x200 takes (goal {MANY_POOLS})", took[2] / took[1]);
    println!("  50,000x2 takes {:.2} times what 500x2 takes, {:.1} reads of memory more", took[2] / took[0], {
        (took[2] - took[0]) / judge.memory_read
    });
    judge.ratio("whole resolution, 50,000x2 to 500x200", took[2] / took[1], MANY_POOLS);
}

/// A policy with the values of the n-th element.
type ByNumber = fn(u32) -> Policy;

/// Values that differ from element to element and from registration to registration.
fn policies() -> [(&'static str, ByNumber); 9] {
    [
        ("RR", |_| Policy::RoundRobin),
        ("WRR", |n| Policy::WeightedRoundRobin { weight: 1 + n % 100 }),
        ("RAND", |_| Policy::Random),
        ("WRAND", |n| Policy::WeightedRandom { weight: 1 + n % 100 }),
        ("PRIO", |n| Policy::Priority { priority: scattered(n) }),
        ("LU", |n| Policy::LeastUsed { load: scattered(n) }),
        ("LUD", |n| Policy::LeastUsedDegradation { load: scattered(n), degradation: 1 << 20 }),
        ("PLU", |n| Policy::PriorityLeastUsed { load: scattered(n), degradation: 1 << 20 }),
        ("RLU", |n| Policy::RandomizedLeastUsed { load: scattered(n) }),
    ]
}

fn scattered(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b9)
}

fn large_pools(judge: &mut Judge, batches: usize) {
    println!(
        "one pool, ns          resolve 1  resolve 3  resolve 16   register  deregister  re-register  with other values"
    );
    for (name, policy) in policies() {
        let mut rows = Vec::new();
        for pes in [100, 9_900] {
            let f = figures(&mut filled(1, pes, policy), 1, pes, &policy, batches);
            let [one, three, sixteen] = f.resolve;
            println!(
                "  {name:5} {pes:6}        {one:9.0}  {three:9.0}  {sixteen:10.0}  {:9.0}  {:10.0}  {:11.0}  {:17.0}",
                f.register, f.deregister, f.again, f.changed
            );
            rows.push([three, f.again, f.changed]);
        }
        for (i, what) in ["resolve 3", "re-register", "re-register with other values"].into_iter().enumerate() {
            judge.ratio(&format!("{name}: {what}, 9,900 to 100 elements"), rows[1][i] / rows[0][i], LARGE_POOL);
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut judge = Judge { slack: options.slack, slower: 1.0, memory_read: MEMORY_READ, failures: Vec::new() };
    memory(&mut judge);
    judge.calibrate(options.batches);
    sizes(&mut judge, options.batches);
    large_pools(&mut judge, options.batches / 4);
    whole_resolution(&mut judge, options.batches);
    for failure in &judge.failures {
        println!("OVER {failure}");
    }
    if judge.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
