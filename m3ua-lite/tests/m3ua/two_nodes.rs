//! SGP with its AS, and ASPs, joined by associations that lose and delay messages, under a virtual clock.

use std::collections::VecDeque;

use m3ua_lite::as_state::{As, AsConfig, AsEvent, AsState};
use m3ua_lite::asp::{AspState, Input, Outbound, Replies};
use m3ua_lite::asp_peer::{AspConfig, AspPeer};
use m3ua_lite::sgp::{AsMember, Sgp, SgpConfig};
use m3ua_lite::wire::{Message, TrafficMode, one_context};

use crate::bytes;

const ASPS: usize = 3;

/// Time of arrival, stream, octets; in order of sending.
type Wire = VecDeque<(u64, u16, Vec<u8>)>;

struct Net {
    random: u64,
    loss_percent: u64,
    now_ms: u64,
    server: As<usize>,
    sgps: Vec<Sgp>,
    asps: Vec<AspPeer>,
    to_sgp: Vec<Wire>,
    to_asp: Vec<Wire>,
    notified: Vec<usize>,
}

impl Net {
    fn new(seed: u64, loss_percent: u64, traffic_mode: TrafficMode) -> Self {
        let member = AsMember { routing_context: 7, network_appearance: None, traffic_mode: Some(traffic_mode) };
        let sgp = || {
            let mut sgp = Sgp::new(SgpConfig::default());
            sgp.add_as(member).unwrap();
            sgp
        };
        let asp = |asp_id| {
            AspPeer::new(AspConfig {
                asp_id: Some(asp_id as u32),
                routing_contexts: one_context(7),
                traffic_mode: Some(traffic_mode),
                t_ack_ms: 500,
            })
        };
        Net {
            random: seed | 1,
            loss_percent,
            now_ms: 0,
            server: As::new(AsConfig { routing_context: 7, traffic_mode, asps_min: 2, t_r_ms: 2_000 }),
            sgps: (0..ASPS).map(|_| sgp()).collect(),
            asps: (0..ASPS).map(asp).collect(),
            to_sgp: vec![Wire::new(); ASPS],
            to_asp: vec![Wire::new(); ASPS],
            notified: vec![0; ASPS],
        }
    }

    /// xorshift64.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn carry(&mut self, at: usize, to_sgp: bool, out: &Outbound<'_>) {
        // SCTP loses nothing, but a process that restarts or an SGP that discards does; T(ack) is there for that.
        if self.below(100) < self.loss_percent {
            return;
        }
        let arrival = self.now_ms + 1 + self.below(20);
        let wire = if to_sgp { &mut self.to_sgp[at] } else { &mut self.to_asp[at] };
        let arrival = arrival.max(wire.back().map_or(0, |last| last.0));
        wire.push_back((arrival, out.stream, bytes(&out.message)));
    }

    fn drain_sgp(&mut self, at: usize) {
        while let Some(change) = self.sgps[at].poll_change() {
            let asp_id = self.sgps[at].asp_id();
            self.server.handle_asp(self.now_ms, at, asp_id, change.to, change.failed).unwrap();
        }
        while let Some(event) = self.server.poll_event() {
            match event {
                AsEvent::State { .. } => {}
                AsEvent::Overridden { asp } => self.sgps[asp].overridden(7),
                AsEvent::Notify { asp, notify } => {
                    self.notified[asp] += 1;
                    self.carry(asp, false, &Outbound { stream: 0, message: Message::Notify(notify) });
                }
            }
        }
    }

    fn drain_asp(&mut self, at: usize) {
        while let Some(request) = self.asps[at].poll_transmit() {
            self.carry(at, true, &request);
        }
        while self.asps[at].poll_event().is_some() {}
    }

    fn deliver(&mut self, at: usize) {
        while self.to_sgp[at].front().is_some_and(|message| message.0 <= self.now_ms) {
            let (_, stream, octets) = self.to_sgp[at].pop_front().unwrap();
            let mut replies = Replies::new();
            let input = self.sgps[at].handle(stream, &octets, &mut replies);
            assert!(!matches!(input, Input::Dropped(m3ua_lite::asp::DropCause::Malformed(_))));
            replies.iter().for_each(|reply| self.carry(at, false, reply));
            self.drain_sgp(at);
        }
        while self.to_asp[at].front().is_some_and(|message| message.0 <= self.now_ms) {
            let (_, stream, octets) = self.to_asp[at].pop_front().unwrap();
            let mut replies = Replies::new();
            self.asps[at].handle(self.now_ms, stream, &octets, &mut replies);
            replies.iter().for_each(|reply| self.carry(at, true, reply));
            self.drain_asp(at);
        }
    }

    /// Runs until `until_ms`.
    fn run(&mut self, until_ms: u64) {
        while self.now_ms < until_ms {
            self.now_ms += 1;
            self.server.handle_timeout(self.now_ms);
            for at in 0..ASPS {
                self.asps[at].handle_timeout(self.now_ms);
                self.drain_asp(at);
                self.deliver(at);
                self.drain_sgp(at);
            }
            self.check();
        }
    }

    /// What must hold always.
    fn check(&self) {
        let active: Vec<usize> = self.server.active().collect();
        for at in 0..ASPS {
            assert_eq!(active.contains(&at), self.sgps[at].state(7) == AspState::Active, "AS and SGP agree");
        }
        assert_eq!(self.server.poll_timeout().is_some(), self.server.state() == AsState::Pending);
        if self.server.config().traffic_mode == TrafficMode::Override {
            assert!(active.len() <= 1);
        }
        if self.server.state() == AsState::Active {
            assert!(!active.is_empty());
        }
    }

    fn connect(&mut self, at: usize) {
        self.asps[at].association_up(self.now_ms);
        self.drain_asp(at);
    }

    fn disconnect(&mut self, at: usize) {
        self.to_sgp[at].clear();
        self.to_asp[at].clear();
        self.asps[at].association_lost();
        self.sgps[at].association_lost();
        self.drain_asp(at);
        self.drain_sgp(at);
    }
}

#[test]
fn loadshare_comes_up_survives_losses_and_goes_down() {
    for seed in 1..=50 {
        let mut net = Net::new(seed, 30, TrafficMode::Loadshare);
        for at in 0..ASPS {
            net.connect(at);
            net.asps[at].want(0, AspState::Active);
        }
        net.run(20_000);
        assert_eq!(net.server.state(), AsState::Active, "seed {seed}");
        assert!(net.asps.iter().all(|asp| asp.state() == AspState::Active), "seed {seed}");
        // Two fail; the third keeps the AS active.
        net.disconnect(0);
        net.disconnect(1);
        assert_eq!(net.server.state(), AsState::Active);
        net.disconnect(2);
        assert_eq!(net.server.state(), AsState::Pending);
        // One comes back in T(r).
        net.loss_percent = 0;
        net.connect(1);
        net.run(22_000 - 1);
        assert_eq!(net.server.state(), AsState::Active, "seed {seed}");
        net.asps[1].want(net.now_ms, AspState::Down);
        net.run(23_000);
        assert_eq!(net.server.state(), AsState::Pending);
        net.run(26_000);
        assert_eq!(net.server.state(), AsState::Down, "seed {seed}");
        assert!(net.notified.iter().all(|count| *count > 0));
    }
}

#[test]
fn override_gives_the_traffic_to_the_last_who_asks() {
    for seed in 1..=50 {
        let mut net = Net::new(seed, 0, TrafficMode::Override);
        for at in 0..ASPS {
            net.connect(at);
            net.asps[at].want(0, AspState::Inactive);
        }
        net.run(1_000);
        for at in [0, 2, 1, 0] {
            net.asps[at].want(net.now_ms, AspState::Active);
            net.run(net.now_ms + 500);
            assert_eq!(net.server.active().collect::<Vec<_>>(), [at], "seed {seed}");
            let states: Vec<_> = net.asps.iter().map(AspPeer::state).collect();
            assert_eq!(states.iter().filter(|state| **state == AspState::Active).count(), 1, "{states:?}");
            assert_eq!(states[at], AspState::Active);
        }
        net.disconnect(0);
        assert_eq!(net.server.state(), AsState::Pending);
    }
}

/// ASPs that come, go and change their mind at random: the invariants hold, and in the end all agree.
#[test]
fn anything_goes() {
    for seed in 1..=100 {
        let mode = [TrafficMode::Override, TrafficMode::Loadshare, TrafficMode::Broadcast][seed as usize % 3];
        let mut net = Net::new(seed, 10, mode);
        for _ in 0..60 {
            let at = net.below(ASPS as u64) as usize;
            match net.below(4) {
                0 => net.connect(at),
                1 => net.disconnect(at),
                _ => {
                    let state = AspState::ALL[net.below(3) as usize];
                    net.asps[at].want(net.now_ms, state);
                }
            }
            let pause = net.below(800);
            net.run(net.now_ms + pause);
        }
        net.loss_percent = 0;
        for at in 0..ASPS {
            net.disconnect(at);
            net.connect(at);
            net.asps[at].want(net.now_ms, AspState::Inactive);
        }
        net.run(net.now_ms + 5_000);
        for at in 0..ASPS {
            assert_eq!(
                (net.asps[at].state(), net.sgps[at].state(7)),
                (AspState::Inactive, AspState::Inactive),
                "seed {seed}"
            );
        }
        assert_eq!(net.server.state(), AsState::Inactive, "seed {seed}");
    }
}
