//! Call control: every state by every message, timers, group messages, snapshots.

mod audit;
mod messages;
mod recorded;
mod replay;
mod table;
mod timers;

use super::circuit::Call;
use super::*;
use std::time::{Duration, Instant};

/// Pool's point code is the higher one: this end controls even circuits.
const ID: GroupId = GroupId { network: 1_000, pool: 2_000, block: 1 };
/// CIC 37, controlled by the network.
const ODD: usize = 5;

/// A group with its clock and counters.
struct Bed {
    group: Group,
    config: Config,
    recorded: RecordedCalls,
    counters: Counters,
    now: Instant,
}

impl Bed {
    fn new(config: Config) -> Self {
        let (recorded, counters) = (RecordedCalls::default(), Counters::default());
        Self { group: Group::new(ID), config, recorded, counters, now: Instant::now() }
    }

    /// The circuit just entered the call state `call`, and the group was restored in it.
    fn with_call(config: Config, index: usize, call: Call) -> Self {
        let mut bed = Self::new(config);
        bed.with(|group, cx| group.enter(cx, index, call));
        let mut state = Vec::new();
        bed.group.snapshot(bed.now, &mut state);
        bed.with(|_, cx| Group::restore(ID, &state, Duration::ZERO, cx)).1.map(|group| bed.group = group).unwrap();
        bed
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Group, &mut Context) -> T) -> (Vec<Output>, T) {
        let mut out = Vec::new();
        let Self { now, config, recorded, counters, .. } = self;
        let mut cx = Context { now: *now, config, recorded, out: &mut out, counters };
        let result = act(&mut self.group, &mut cx);
        (out, result)
    }

    fn receive(&mut self, message: &[u8]) -> Vec<Output> {
        let (out, verdict) = self.with(|group, cx| group.handle_message(cx, message));
        assert_eq!(verdict, Verdict::Applied, "{message:02x?}");
        self.check();
        out
    }

    /// Lets time pass, timer by timer.
    fn run_ms(&mut self, ms: u64) -> Vec<Output> {
        let end = self.now + Duration::from_millis(ms);
        let mut all = Vec::new();
        while let Some(at) = self.group.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            all.extend(self.with(|group, cx| group.handle_timeout(cx)).0);
            self.check();
            assert!(all.len() < 10_000, "timers must not storm");
        }
        self.now = end;
        all
    }

    fn call(&self, index: usize) -> Call {
        self.group.circuits[index].call
    }

    /// Calls that are counted as open are those the group holds.
    fn check(&self) {
        let held = self.group.circuits.iter().filter(|c| c.call.is_call()).count();
        assert_eq!(self.counters.calls_open(), held as u64);
    }
}

/// Acronyms of messages, in order.
fn names(out: &[Output]) -> String {
    let name = |o: &Output| itu_isup::MessageType::from_u8(o.user_data[2]).acronym().to_string();
    out.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// A message of `kind` with plausible parameters.
fn sample(cic: u16, kind: &str) -> Vec<u8> {
    use itu_isup::{Message as M, RangeAndStatus};
    let bare = |kind: u8| vec![(cic & 0xff) as u8, (cic >> 8) as u8, kind];
    let with = |kind: u8, rest: &[u8]| [bare(kind), rest.to_vec()].concat();
    let status = RangeAndStatus::with_status(1, vec![0b11]);
    match kind {
        "IAM" => message::iam(cic, "5551234"),
        "SAM" => with(0x02, &[2, 0, 2, 0x80, 0x05]),
        "COT+" => with(0x05, &[1]),
        "COT-" => with(0x05, &[0]),
        "ACM" => message::acm(cic),
        "CPG" => message::cpg(cic),
        "CON" => M::con(cic, 0x1614).encode().unwrap(),
        "ANM" => message::anm(cic),
        "REL" => message::rel(cic, 16),
        "RLC" => message::rlc(cic),
        "SUS" => M::suspend(cic, 0).encode().unwrap(),
        "RES" => M::resume(cic, 0).encode().unwrap(),
        "RSC" => message::rsc(cic),
        "GRS" => message::grs(cic, 1),
        "GRA" => M::circuit_group_reset_ack(cic, &status).encode().unwrap(),
        "BLO" => message::blo(cic),
        "BLA" => message::bla(cic),
        "UBL" => message::ubl(cic),
        "UBA" => message::uba(cic),
        "CGB" => M::circuit_group_blocking(cic, 0, &status).encode().unwrap(),
        "CGB hw" => M::circuit_group_blocking(cic, 1, &status).encode().unwrap(),
        "CGU" => M::circuit_group_unblocking(cic, 0, &status).encode().unwrap(),
        "CGBA" => M::circuit_group_blocking_ack(cic, 0, &status).encode().unwrap(),
        "CGUA" => M::circuit_group_unblocking_ack(cic, 0, &status).encode().unwrap(),
        "UCIC" => bare(0x2e),
        "CQM" => with(0x2a, &[1, 1, 1]),
        "CQR" => with(0x2b, &[2, 3, 1, 1, 2, 0x0c, 0x0c]),
        "CCR" => bare(0x11),
        "CFN" => with(0x2f, &[2, 0, 2, 0x82, 0xe1]),
        "UPT" => with(0x34, &[0]),
        "UPA" => with(0x35, &[0]),
        "INF" => M::information(cic, 0).encode().unwrap(),
        "OLM" => bare(0x30),
        "unknown" => bare(0xf0),
        other => panic!("no sample for {other}"),
    }
}
