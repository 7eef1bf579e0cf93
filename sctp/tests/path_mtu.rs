//! How long packets get on each path (RFC 8899, RFC 9260 section 7.3): two stacks over a link that carries so much and no more.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use bytes::Bytes;
use sctp::{AssocId, Config, Connect, Datagram, Event, SendOptions, Stack, TooBig, Transmit, Unreachable, ppid};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_millis(2);

/// What the link does with a packet that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Narrow {
    Silent,
    /// ICMP "fragmentation needed".
    Told,
}

struct Link {
    stacks: [Stack; 2],
    now: Instant,
    carries: usize,
    narrow: Narrow,
    wire: VecDeque<(Instant, usize, Datagram)>,
    assoc: Option<AssocId>,
    received: Vec<u64>,
    /// The longest packet that was sent from the client since it was last asked.
    longest: usize,
    swallowed: usize,
}

fn ip(node: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, 1 + node as u8])
}

impl Link {
    fn new(carries: usize, narrow: Narrow, config: &Config) -> Self {
        let now = Instant::now();
        let make = |node: usize| Stack::new(config.clone(), vec![ip(node)], [node as u8 + 1; 32], now);
        let mut stacks = [make(0), make(1)];
        stacks[1].listen(2905);
        let peer = vec![SocketAddr::new(ip(1), 9899)];
        stacks[0].connect(now, Connect { peer, peer_port: 2905, local_port: None }).unwrap();
        let (wire, received) = (VecDeque::new(), Vec::new());
        Self { stacks, now, carries, narrow, wire, assoc: None, received, longest: 0, swallowed: 0 }
    }

    fn drain(&mut self) {
        for node in 0..2 {
            while let Some(Transmit { to, payload, .. }) = self.stacks[node].poll_transmit(self.now) {
                if node == 0 {
                    self.longest = self.longest.max(payload.len());
                }
                if payload.len() > self.carries {
                    self.swallowed += 1;
                    if self.narrow == Narrow::Told {
                        let error = TooBig { to, quoted: payload.slice(..20), largest: Some(self.carries) };
                        self.stacks[node].handle_too_big(self.now, &error);
                    }
                    continue;
                }
                let datagram = Datagram { from: SocketAddr::new(ip(node), 9899), to: to.ip(), payload };
                self.wire.push_back((self.now + DELAY, 1 - node, datagram));
            }
            while let Some(event) = self.stacks[node].poll_event() {
                match event {
                    Event::Up { assoc, incoming: false, .. } => self.assoc = Some(assoc),
                    Event::Message { payload, .. } => {
                        self.received.push(u64::from_be_bytes(payload[..8].try_into().unwrap()));
                    }
                    Event::Closed { reason, .. } => panic!("closed: {reason:?}"),
                    Event::Up { .. } | Event::Path { .. } | _ => {}
                }
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        loop {
            let arrives = self.wire.front().map(|(at, ..)| *at);
            let timers = self.stacks.iter().filter_map(Stack::poll_timeout);
            let Some(next) = timers.chain(arrives).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some((_, node, datagram)) = self.wire.pop_front_if(|(at, ..)| *at <= self.now) {
                self.stacks[node].handle_datagram(self.now, datagram);
            }
            for stack in &mut self.stacks {
                stack.handle_timeout(self.now);
            }
            self.drain();
        }
        self.now = end;
    }

    fn mtu(&self) -> usize {
        self.stacks[0].info(self.assoc.unwrap()).unwrap().paths[0].mtu
    }

    fn send(&mut self, numbers: std::ops::Range<u64>, bytes: usize) {
        for number in numbers {
            let mut payload = number.to_be_bytes().to_vec();
            payload.resize(bytes, 0);
            let options = SendOptions { ppid: ppid::M3UA, stream: 1, ..SendOptions::default() };
            self.stacks[0].send(self.now, self.assoc.unwrap(), options, Bytes::from(payload)).unwrap();
        }
        self.drain();
    }
}

fn config() -> Config {
    Config { mtu: 1_200, mtu_max: 1_452, ..Config::default() }
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[test]
fn packets_get_as_long_as_the_path_carries() {
    for (carries, most_probes) in [(9_000, 1), (1_452, 1), (1_400, 14), (1_300, 14), (1_200, 14)] {
        let mut link = Link::new(carries, Narrow::Silent, &config());
        link.run(seconds(30));
        let (found, limit) = (link.mtu(), carries.min(1_452));
        assert!(found <= limit && found + 32 >= limit, "{carries}: {found}");
        let counters = link.stacks[0].counters();
        assert!(counters.mtu_probes <= most_probes, "{carries}: {} probes", counters.mtu_probes);
        // Lost probes are no sign of the peer's death.
        assert_eq!((counters.heartbeats_lost, counters.t3_expired), (0, 0), "{carries}");
        link.longest = 0;
        link.send(0..1_000, 100);
        link.run(seconds(1));
        assert!(link.received.iter().copied().eq(0..1_000), "{carries}: {}", link.received.len());
        assert!(link.longest <= found && link.longest + 128 > found, "{carries}: {} of {found}", link.longest);
    }
}

#[test]
fn a_router_that_says_so_is_believed_at_once() {
    let mut link = Link::new(1_300, Narrow::Told, &config());
    link.run(seconds(1));
    assert_eq!(link.mtu(), 1_300);
    assert_eq!((link.swallowed, link.stacks[0].counters().mtu_probes), (2, 2), "one each way, then the right one");
}

/// The route changes for a narrower one while messages flow: none is lost, and the packets get shorter.
#[test]
fn a_path_that_gets_narrower_costs_no_message() {
    for narrow in [Narrow::Silent, Narrow::Told] {
        let mut link = Link::new(1_452, narrow, &config());
        link.run(seconds(2));
        assert_eq!(link.mtu(), 1_452);
        link.send(0..300, 200);
        link.run(Duration::from_millis(1));
        link.carries = 1_250;
        link.send(300..600, 200);
        let mut sent = 600;
        for _ in 0..200 {
            link.run(Duration::from_millis(25));
            link.send(sent..sent + 5, 200);
            sent += 5;
        }
        link.run(seconds(2));
        assert!(link.received.iter().copied().eq(0..sent), "{narrow:?}: {} of {sent}", link.received.len());
        assert!(link.mtu() <= 1_250 && link.mtu() >= 1_200, "{narrow:?}: {}", link.mtu());
        assert!(link.stacks[0].counters().mtu_lowered > 0, "{narrow:?}");
    }
}

/// Messages longer than a packet are cut to what every path carries, so they pass a path that got narrower as well.
#[test]
fn fragments_fit_every_path() {
    let mut link = Link::new(1_452, Narrow::Silent, &config());
    link.run(seconds(2));
    link.carries = 1_200;
    link.send(0..20, 30_000);
    link.run(seconds(20));
    assert!(link.received.iter().copied().eq(0..20), "{}", link.received.len());
}

#[test]
fn without_the_setting_nothing_is_tried() {
    let mut link = Link::new(1_200, Narrow::Silent, &Config { mtu_max: 0, ..config() });
    link.run(seconds(700));
    assert_eq!((link.stacks[0].counters().mtu_probes, link.mtu(), link.swallowed), (0, 1_200, 0));
}

/// A spoofed ICMP error changes nothing: it must quote a packet of ours with the peer's tag. And a true one never makes packets
/// shorter than the setting.
#[test]
fn forged_and_absurd_icmp_is_harmless() {
    let mut link = Link::new(1_452, Narrow::Silent, &config());
    link.run(seconds(2));
    let to = SocketAddr::new(ip(1), 9899);
    let forged = TooBig { to, quoted: Bytes::from(vec![7; 20]), largest: Some(600) };
    link.stacks[0].handle_too_big(link.now, &forged);
    for quoted in [Bytes::new(), Bytes::from(vec![0; 7])] {
        link.stacks[0].handle_too_big(link.now, &TooBig { to, quoted, largest: Some(600) });
    }
    assert_eq!((link.mtu(), link.stacks[0].counters().icmp_ignored), (1_452, 3));
    link.send(0..1, 8);
    let (_, _, datagram) = link.wire.back().unwrap();
    let quoted = datagram.payload.slice(..20);
    link.stacks[0].handle_too_big(link.now, &TooBig { to, quoted: quoted.clone(), largest: Some(0) });
    assert_eq!((link.mtu(), link.stacks[0].counters().mtu_under_base), (1_200, 1));
    // It says nothing of reachability.
    link.stacks[0].handle_unreachable(link.now, &Unreachable { to, quoted: quoted.slice(..7), port: true });
    link.run(seconds(1));
    assert_eq!(link.received, [0]);
}
