//! Faults in an order that nobody thought of: controllers killed while others hang, stopped while they hang, started again before
//! the gateway noticed, the gateway itself standing still, loss that comes and goes; and after each return, groups on the move. The
//! judge allows no exception.

use crate::world::Machine;
use crate::{GATEWAY, Lab, ip, seeds};

/// What is done to a controller, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Up,
    /// Hangs; killed or woken at this time.
    Hung(u64),
    /// Away, or on its way out; started again at this time.
    Away(u64),
}

const CONTROLLERS: std::ops::RangeInclusive<u8> = 11..=14;

struct Chaos {
    lab: Lab,
    lives: [Life; 4],
    gateway_wakes: Option<u64>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        // Long enough that nothing is discarded.
        let mut lab = Lab::new(seed, |config| config.application_servers[0].t_r_ms = 60_000);
        for number in CONTROLLERS {
            lab.controller(number);
        }
        lab.network(72);
        lab.world.run_until(1_200);
        Self { lab, lives: [Life::Up; 4], gateway_wakes: None }
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.lab.world.random() >> 20) % limit
    }

    fn now(&self) -> u64 {
        self.lab.world.elapsed_ms()
    }

    fn stop(&mut self, number: u8) {
        self.lab.world.with(ip(number), |machine, now| match machine {
            Machine::Controller(node) => {
                sctp::driver::Node::handle_command(&mut **node, now, enrp::daemon::DaemonCommand::Stop.into());
            }
            other => unreachable!("{} is no controller", other.kind()),
        });
    }

    /// Ends of hangs, and starts.
    fn due(&mut self) {
        let now = self.now();
        if self.gateway_wakes.is_some_and(|at| at <= now) {
            self.gateway_wakes = None;
            self.lab.world.wake(GATEWAY);
        }
        for (index, number) in CONTROLLERS.enumerate() {
            match self.lives[index] {
                Life::Hung(at) if at <= now => {
                    if self.below(4) == 0 {
                        self.lab.kill(number);
                        self.lives[index] = Life::Away(now + self.below(300));
                    } else {
                        self.lab.world.wake(ip(number));
                        self.lives[index] = Life::Up;
                        if self.below(4) == 0 {
                            self.stop(number);
                            self.lives[index] = Life::Away(now + 300 + self.below(600));
                        }
                    }
                }
                Life::Away(at) if at <= now => {
                    self.lab.kill(number);
                    self.lab.controller(number);
                    self.lives[index] = Life::Up;
                }
                Life::Up | Life::Hung(_) | Life::Away(_) => {}
            }
        }
    }

    fn fault(&mut self) {
        let now = self.now();
        let index = self.below(4) as usize;
        let number = *CONTROLLERS.start() + index as u8;
        match (self.below(10), self.lives[index]) {
            (0 | 1, Life::Up) => {
                self.lab.kill(number);
                // Again before anybody could notice, or much later.
                let away = if self.below(2) == 0 { self.below(20) } else { self.below(1_200) };
                self.lives[index] = Life::Away(now + away);
            }
            (2..=4, Life::Up) => {
                self.lab.world.hang(ip(number));
                self.lives[index] = Life::Hung(now + 20 + self.below(1_200));
            }
            (5 | 6, Life::Up) => {
                self.stop(number);
                self.lives[index] = Life::Away(now + 200 + self.below(1_000));
            }
            (7, _) if self.gateway_wakes.is_none() => {
                self.lab.world.hang(GATEWAY);
                self.gateway_wakes = Some(now + 20 + self.below(450));
            }
            (8, _) => self.lab.world.loss_per_mille = [0, 0, 10, 40][self.below(4) as usize],
            (9, _) => self.lab.world.icmp = self.below(2) == 0,
            _ => {}
        }
    }

    fn run(&mut self, until: u64) {
        let mut next = self.now();
        while self.now() < until {
            self.due();
            if self.now() >= next {
                self.fault();
                next = self.now() + 5 + self.below(350);
            }
            let step = self.now() + 5;
            self.lab.world.run_until(step);
        }
        self.lab.world.loss_per_mille = 0;
        self.lab.world.icmp = true;
        // Everybody comes back.
        while self.gateway_wakes.is_some() || self.lives.iter().any(|life| *life != Life::Up) {
            self.due();
            let step = self.now() + 5;
            self.lab.world.run_until(step);
        }
    }
}

#[test]
fn whatever_happens_nothing_is_lost_or_acted_on_twice() {
    for seed in seeds() {
        let mut chaos = Chaos::new(seed ^ 0x5eed_0000);
        chaos.run(7_000);
        let settled = chaos.now() + 3_000;
        chaos.lab.world.run_until(settled);
        let verdict = chaos.lab.finish(8_000);
        assert_eq!(verdict.discarded, 0, "seed {seed}");
        assert!(verdict.restored > 0 && !verdict.moved.is_empty(), "seed {seed}: {verdict:?}");
        assert_eq!(chaos.lab.gateway().active_controllers(), 4, "seed {seed}: all serve again");
        let shares: Vec<usize> = verdict.shares.values().copied().collect();
        assert_eq!(shares, [6, 6, 6, 6], "seed {seed}: each its share: {verdict:?}");
    }
}

/// A gateway that stands still now and then reports everybody each time; nobody may be out of the pool for that.
#[test]
fn a_gateway_that_stalls_again_and_again_keeps_its_pool() {
    let mut chaos = Chaos::new(1);
    for _ in 0..6 {
        chaos.lab.world.hang(GATEWAY);
        let wakes = chaos.now() + 400;
        chaos.lab.world.run_until(wakes);
        chaos.lab.world.wake(GATEWAY);
        let next = chaos.now() + 1_500;
        chaos.lab.world.run_until(next);
    }
    assert_eq!(chaos.lab.gateway().active_controllers(), 4);
    let verdict = chaos.lab.finish(2_000);
    assert_eq!(verdict.discarded, 0);
    assert!(verdict.given_up.len() > 16, "each stall cost the leases: {verdict:?}");
}
