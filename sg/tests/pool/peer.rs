//! A scripted peer of the network side: an ASP that starts a call on each circuit, again and again, and notes what it
//! sends and receives.

use crate::ways::Ways;
use m3ua_lite::wire::Message;
use sctp::Output;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub(crate) const NETWORK: u32 = 1;
pub(crate) const POOL: u32 = 2;
pub(crate) const ROUTING_CONTEXT: u32 = 100;

/// What a circuit does next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle(Instant),
    /// IAM is sent.
    Calling,
    /// ANM came: REL follows.
    Talking(Instant),
    /// REL is sent.
    Releasing,
}

pub(crate) struct Peer {
    pub(crate) ways: Ways,
    circuits: BTreeMap<u16, Step>,
    pub(crate) active: bool,
    /// No new calls.
    pub(crate) quiet: bool,
    /// Per circuit: when, and what.
    pub(crate) sent: BTreeMap<u16, Vec<(Instant, Vec<u8>)>>,
    pub(crate) received: BTreeMap<u16, Vec<Vec<u8>>>,
    pub(crate) calls: u64,
}

impl Peer {
    pub(crate) fn new(now: Instant, own: &[IpAddr], gateway: &[IpAddr], seed: [u8; 32], circuits: &[u16]) -> Self {
        Self::of_gateways(now, own, &[gateway.to_vec()], seed, circuits)
    }

    /// An IPSP that comes to the gateway, or waits for it.
    pub(crate) fn ipsp(now: Instant, own: IpAddr, gateway: Option<IpAddr>, seed: [u8; 32], circuits: &[u16]) -> Self {
        Self { ways: Ways::ipsp(now, own, gateway, seed), ..Self::of_gateways(now, &[own], &[], seed, circuits) }
    }

    /// One that reaches several gateways.
    pub(crate) fn of_gateways(
        now: Instant,
        own: &[IpAddr],
        gateways: &[Vec<IpAddr>],
        seed: [u8; 32],
        circuits: &[u16],
    ) -> Self {
        let spread = |cic: u16| now + Duration::from_millis(500 + u64::from(cic) % 97);
        Self {
            ways: Ways::new(now, own, gateways, seed),
            circuits: circuits.iter().map(|cic| (*cic, Step::Idle(spread(*cic)))).collect(),
            active: false,
            quiet: false,
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            calls: 0,
        }
    }

    /// Circuits in the middle of a call.
    pub(crate) fn busy(&self) -> usize {
        self.circuits.values().filter(|step| !matches!(step, Step::Idle(_))).count()
    }

    pub(crate) fn messages(&self) -> usize {
        self.sent.values().map(Vec::len).sum()
    }

    fn settle(&mut self, now: Instant) {
        self.ways.settle(now);
        while let Some(user_data) = self.ways.received.pop_front() {
            let cic = u16::from_le_bytes([user_data[0], user_data[1]]);
            self.isup(now, cic, &user_data);
            self.received.entry(cic).or_default().push(user_data);
        }
        self.active = self.ways.active();
    }

    fn isup(&mut self, now: Instant, cic: u16, user_data: &[u8]) {
        let Some(step) = self.circuits.get_mut(&cic) else { return };
        match user_data[2] {
            // ANM
            0x09 if *step == Step::Calling => {
                *step = Step::Talking(now + Duration::from_millis(15 + u64::from(cic) % 13))
            }
            // RLC
            0x10 if *step == Step::Releasing => *step = Step::Idle(now + Duration::from_millis(5 + u64::from(cic) % 7)),
            // REL
            0x0c => {
                *step = Step::Idle(now + Duration::from_millis(10));
                self.data(now, cic, &[0x10, 0]);
            }
            _ => {}
        }
    }

    /// Sends ISUP on a circuit.
    pub(crate) fn data(&mut self, now: Instant, cic: u16, body: &[u8]) {
        let mut user_data = cic.to_le_bytes().to_vec();
        user_data.extend_from_slice(body);
        self.ways.data(now, &user_data);
        self.sent.entry(cic).or_default().push((now, user_data));
    }

    pub(crate) fn send(&mut self, now: Instant, stream: u16, message: &Message<'_>) {
        self.ways.send(now, 0, stream, message);
    }

    fn run_circuits(&mut self, now: Instant) {
        let due: Vec<u16> = self.circuits.iter().filter(|(_, s)| self.due(s) <= Some(now)).map(|(c, _)| *c).collect();
        for cic in due {
            match self.circuits[&cic] {
                Step::Idle(at) if at <= now && self.active && !self.quiet => {
                    self.calls += 1;
                    self.data(now, cic, IAM);
                    self.circuits.insert(cic, Step::Calling);
                }
                Step::Talking(at) if at <= now => {
                    self.data(now, cic, &[0x0c, 2, 0, 2, 0x80, 0x90]);
                    self.circuits.insert(cic, Step::Releasing);
                }
                Step::Idle(_) | Step::Calling | Step::Talking(_) | Step::Releasing => {}
            }
        }
    }

    fn due(&self, step: &Step) -> Option<Instant> {
        match step {
            Step::Idle(at) => (!self.quiet && self.active).then_some(*at),
            Step::Talking(at) => Some(*at),
            Step::Calling | Step::Releasing => None,
        }
    }
}

/// Called number 5550100, speech.
const IAM: &[u8] = &[0x01, 0, 0x60, 0x01, 0x0a, 0, 2, 8, 6, 0x83, 0x10, 0x55, 0x05, 0x01, 0x00, 0];

impl sctp::driver::Node for Peer {
    type Command = ();
    fn handle_input(&mut self, now: Instant, input: sctp::Input) {
        self.ways.stack.handle_input(now, input);
        self.settle(now);
    }
    fn handle_command(&mut self, _now: Instant, (): ()) {}
    fn handle_timeout(&mut self, now: Instant) {
        self.ways.handle_timeout(now);
        self.settle(now);
        self.run_circuits(now);
    }
    fn flush(&mut self, _now: Instant) -> io::Result<()> {
        Ok(())
    }
    fn poll_output(&mut self, now: Instant) -> Option<Output> {
        self.ways.poll_output(now)
    }
    fn poll_timeout(&self) -> Option<Instant> {
        let circuits = self.circuits.values().filter_map(|step| self.due(step)).min();
        [self.ways.poll_timeout(), circuits].into_iter().flatten().min()
    }
    fn finished(&self) -> bool {
        false
    }
}
